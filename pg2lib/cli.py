"""The command `pg2`: thin sub-commands over the library.

Everything heavy is imported inside the command that needs it, so that `pg2 --help` is instant.
"""

import argparse
import json
import os
import sys
from pathlib import Path

from pg2lib.core.files import UserError

EPILOG = """examples:
  pg2 reproduce                                everything, on drawn people, in minutes
  pg2 reproduce --dataset all                  the same for both halves of Table 1
  pg2 reproduce --dataset market1501 --data D  the same on real images
  pg2 train G1-L1 --profile lite               one row of Table 1
  pg2 describe --profile paper                 parameters, GFLOPs, schedule
  pg2 report                                   all results on one page
  pg2 generate --image me.jpg --target-pose walk.json --out me
                                               one's own photo in other poses
runs are kept in runs/ ($PG2_RUNS), figures and tables in figures/ ($PG2_FIGURES)"""


def main(arguments=None) -> int:
    """Run one command; 0 when done, 2 after a user's mistake (one sentence on stderr)."""
    options = parser().parse_args(arguments)
    if "WORLD_SIZE" in os.environ:  # of a launcher; torch is not loaded for anything less
        from pg2lib.core import distributed

        if distributed.launched():
            distributed.leave(status_of(together, options))
    return status_of(options.run, options)


def status_of(work, options) -> int:
    """The exit status of a command, with one sentence on stderr for what a user can repair."""
    try:
        work(options)
    except UserError as error:
        print(f"pg2: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `pg2 ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if error.errno not in (28, 122):  # no space left, quota exceeded
            raise
        print(f"pg2: {error}; make room and start again, nothing is lost", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\npg2: stopped; run it again to resume", file=sys.stderr)
        return 130
    return 0


def together(options):
    """Run a command as one of the processes of a launch."""
    from pg2lib.core import distributed

    if options.run not in (data_prepare, train, evaluate):
        raise UserError("torchrun is for data prepare, train and evaluate; start this by itself")
    with distributed.joined(options.device):
        options.run(options)


def option(*names, **settings):
    return names, settings


ENV = os.environ.get
# fmt: off
STUDY = (
    option("--dataset", default=ENV("PG2_DATASET") or "synthetic-market", help="synthetic-market "
           "(default), synthetic-fashion (both drawn), market1501 or deepfashion (real); reproduce "
           "also takes all, which is both drawn ones"),
    option("--profile", default=ENV("PG2_PROFILE") or "quick", help="smoke, quick (default), demo, "
           "lite, paper, released, or a TOML file of your own"),
    option("--set", metavar="FIELD=VALUE", action="append", default=(ENV("PG2_SET") or "").split(),
           help="change any number: --set iterations=500, or for one row --set G1-L1.channels=48; "
           "may be repeated; pg2 describe --json lists the fields"),
    option("--test-pairs", type=int, metavar="N", help="score N pairs (--set test_pairs=N)"),
    option("--seed", type=int, default=0, help="seed of everything (default 0)"),
    option("--data", metavar="FOLDER", help="folder of the real images (default: $PG2_DATA)"),
    option("--keypoint-frame", default=ENV("PG2_KEYPOINT_FRAME") or "detect",
           choices=("detect", "176x256", "256x256"),
           help="frame of DeepFashion's keypoints (default: detected from the joints)"),
    option("--device", default=ENV("PG2_DEVICE"), help="cpu or cuda (default: cuda if available)"),
)
DRY = option("--dry-run", action="store_true", help="only list the steps that would run")
ROW = "a row's or an ablation's name, all (rows of Table 1)"
PHOTO = (
    option("--image", type=Path, required=True, help="photo of the person (I_A), any size"),
    option("--pose", type=Path, help="pose of the person in --image, to crop to: JSON, CSV with a "
           "row of the image's name, or the photo itself (default: detected, if the weights for "
           "that are installed)"),
    option("--fit", choices=("pad", "crop"), default="pad",
           help="pad an image whose pose is unknown (default), or crop it to its middle"),
    option("--padding", choices=("edge", "plain"), default="edge",
           help="pad with the repeated edge (default) or with its colour"),
    option("--target-pose", "--keypoints", type=Path, required=True, metavar="POSE",
           help="target pose (P_B): OpenPose JSON (COCO-18, BODY_25), a keypoint CSV, a photo, or "
           "a sequence: a JSON with a list of frames, or a folder with a JSON per frame"),
    option("--name", help="the row of the keypoint CSV"),
    option("--frame", metavar="WxH", help="size of the picture the target pose belongs to, used "
           "as a whole (default: the person is scaled to fill the frame)"),
    option("--between", type=int, default=0, help="poses to add between two frames"),
    option("--fps", type=float, default=8.0, help="frames a second of the GIF"),
    option("--row", default=None, help="row to generate with (default: the last of Table 1)"),
    option("--weights", type=Path, metavar="FILE", help="generate with a file of `pg2 export` "
           "instead; needs no data and no training"),
    option("--keypoint-rcnn", metavar="FILE", help="weights that detect keypoints (default: "
           "$PG2_KEYPOINT_RCNN, else torchvision's download)"),
    option("--out", type=Path, required=True, help="folder for the PNG files"),
)


def commands():
    """(name, function, help, options) of every command; a name may have two words."""
    return (
        ("reproduce", reproduce, "everything: data, all rows, scores, notebooks", (*STUDY, DRY,
            option("--claims", action="store_true",
                   help="also train the ablations and test the paper's claims (notebook 7)"),
            option("--update-notebooks", action="store_true",
                   help="also write the executed notebooks over those in notebooks/"))),
        ("data prepare", data_prepare, "draw or decode the images into the run store",
            (*STUDY, DRY)),
        ("data verify", data_verify, "check counts, sizes, people, keypoints; print a card", STUDY),
        ("data show", data_show, "write a sheet of pairs with keypoints and masks", (*STUDY,
            option("--out", type=Path, default=Path("data.png"), help="PNG to write"),
            option("--count", type=int, default=8, help="pairs to show (default 8)"))),
        ("train", train, "train one or more rows", (*STUDY, DRY, option("row", nargs="+",
            metavar="ROW", help=f"{ROW}, or keypoints (the network of the pose score)"))),
        ("evaluate", evaluate, "score rows and write Table 1", (*STUDY, DRY,
            option("row", nargs="*", metavar="ROW", help="rows (default: all)"),
            option("--preset", default="pg2", help="SSIM preset (default pg2)"),
            option("--mask-from", choices=("target", "condition"), default="target",
                   help="whose pose mask mask-SSIM uses; the released script took the "
                   "condition's"))),
        ("describe", describe, "parameters, GFLOPs and schedule of every row", (*STUDY,
            option("--json", action="store_true", help="as JSON"))),
        ("generate", generate, "one photo in another pose, or in many", (*PHOTO, *STUDY)),
        ("report", report, "all results on one page, from figures/", (
            option("--out", type=Path, help="folder to write (default: report/)"),)),
        ("export", export, "write a row's weights as one file to publish", (*STUDY,
            option("row", metavar="ROW", help=ROW),
            option("--out", type=Path, required=True, metavar="FILE",
                   help="the .safetensors file to write; for all rows, a folder"),
            option("--small", action="store_true",
                   help="generators alone, with eight bits a weight"))),
    )
# fmt: on


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="pg2",
        description="Pose Guided Person Image Generation (PG2): data, training, Table 1, figures.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    groups = {"": top.add_subparsers(required=True, metavar="COMMAND")}
    for name, function, text, options in commands():
        group, _, last = name.rpartition(" ")
        if group not in groups:
            parent = groups[""].add_parser(group, help="prepare, verify or show a data set")
            groups[group] = parent.add_subparsers(required=True, metavar="ACTION")
        command = groups[group].add_parser(last, help=text, description=f"{text.capitalize()}.")
        command.set_defaults(run=function, dry_run=False)
        for names, settings in options:
            command.add_argument(*names, **settings)
    return top


def study_of(options, dataset=None):
    from pg2lib.core.config import Study
    from pg2lib.workflow import pipeline

    pairs = [] if options.test_pairs is None else [f"test_pairs={options.test_pairs}"]
    profile = options.profile
    if profile.endswith(".toml"):
        profile = str(Path(profile).resolve())  # notebooks run in another folder
    study = Study(
        dataset or options.dataset, profile, options.seed, options.data, options.device,
        options.keypoint_frame, (*options.set, *pairs),
    )  # fmt: skip
    pipeline.check(study)
    return study


def log(line):
    if int(os.environ.get("RANK") or 0) == 0:  # of the processes of a launch one talks
        print(line, flush=True)


def log_plan(steps):
    from pg2lib.workflow.reproduce import plan_text
    from pg2lib.workflow.run_store import state

    log(plan_text([(step, state(step)) for step in steps]))


def reproduce(options):
    from pg2lib.core.config import drawn
    from pg2lib.workflow import notebooks
    from pg2lib.workflow import reproduce as work

    if options.dataset == "all":
        studies = [study_of(options, dataset) for dataset in drawn()]
    else:
        studies = [study_of(options)]
    if options.dry_run:
        return log(
            work.plan_text(
                [entry for study in studies for entry in work.plan(study, options.claims)]
            )
        )
    work.reproduce(studies, options.claims, log)
    if options.update_notebooks:
        notebooks.update_committed(studies[0], log)


def data_prepare(options):
    from pg2lib.data.prepare import card_text
    from pg2lib.workflow import pipeline

    study = study_of(options)
    if options.dry_run:
        return log_plan([pipeline.data_step(study)])
    log(card_text(pipeline.data(study, log).card))


def data_verify(options):
    from pg2lib.data.prepare import card_text, verify
    from pg2lib.workflow import pipeline

    study = study_of(options)
    source = pipeline.source_folder(study)
    if source is None:  # drawn people: check the drawn store
        card = verify(pipeline.data(study, log))
    else:
        card = verify(pipeline.data_config(study), source)
    log(card_text(card))
    if card.get("problems"):
        raise UserError(f"{len(card['problems'])} problems found; see the card above")


def data_show(options):
    from pg2lib.results import figures, provenance
    from pg2lib.workflow import pipeline

    study = study_of(options)
    dataset = pipeline.data(study)
    chosen = figures.select_examples(dataset, options.count, study.seed)
    figure = figures.pair_sheet(dataset, chosen, pipeline.MASK_VARIANT)
    provenance.save(figure, options.out, pipeline.facts(study, "pg2 data show"))
    log(f"wrote {options.out}")


def train(options):
    from pg2lib import models
    from pg2lib.core.config import require_in
    from pg2lib.workflow import pipeline

    study = study_of(options)
    names = [each for row in options.row for each in (models.rows() if row == "all" else [row])]
    for name in names:
        require_in("row", name, [*models.METHODS, pipeline.KEYPOINTS, "all"])
    if options.dry_run:
        rows = [name for name in names if name != pipeline.KEYPOINTS]
        wanted = (*pipeline.chains(rows), *([pipeline.KEYPOINTS] if rows != names else []))
        steps = [pipeline.train_step(study, name) for name in wanted]
        return log_plan([pipeline.data_step(study), *steps])
    pipeline.data(study, log)
    for name in names:
        log(f"{name}: {pipeline.train(study, name, log)}")


def evaluate(options):
    from pg2lib import models
    from pg2lib.core import distributed
    from pg2lib.core.config import require_in
    from pg2lib.results import render
    from pg2lib.workflow import pipeline

    study = study_of(options)
    rows = options.row or list(pipeline.all_rows())
    for row in rows:
        require_in("row", row, [*pipeline.REFERENCE_ROWS, *models.METHODS])
    step = pipeline.score_step
    if options.dry_run:
        return log_plan([step(study, row, options.preset, options.mask_from) for row in rows])
    for row in rows:
        pipeline.evaluate(study, row, options.preset, options.mask_from, log)
    if set(rows) != set(pipeline.all_rows()):
        return log("Table 1 is written when all rows are named, or none")
    table = pipeline.table1(study, options.preset, options.mask_from)
    if distributed.rank() > 0:
        return None
    log("\n" + render.markdown(table))
    usual = (options.preset, options.mask_from) == ("pg2", "target")
    inside = "" if usual else f"/{options.preset}-{options.mask_from}"  # keeps the usual table
    folder = pipeline.named_folder(study.name + inside)
    log("wrote " + ", ".join(str(path) for path in render.write(folder, "table1", table)))


def describe(options):
    from pg2lib.training import describe as work

    study = study_of(options)
    entries = work.describe(study)
    if options.json:
        return log(json.dumps(entries, indent=1))
    log(work.description_text(entries, study))


def generate(options):
    from pg2lib import models
    from pg2lib.apps.photo import detect_keypoints as keypoint_rcnn
    from pg2lib.apps.photo import generate as work
    from pg2lib.apps.photo.photo import read_image
    from pg2lib.apps.photo.sequence import check_count, check_rate, in_between
    from pg2lib.core import devices
    from pg2lib.training import weights
    from pg2lib.workflow import pipeline

    study = study_of(options)
    device = study.device or devices.default_device()
    out = work.check_folder(options.out)
    check_rate(options.fps)
    check_count(options.between)
    frame = parse_frame(options.frame) if options.frame else None
    image = read_image(options.image)
    if options.weights and options.row:
        raise UserError("--weights names the row already; leave out --row")
    if options.weights:
        published, generate_fn = weights.load(options.weights, device)
        size = published.size
        log(f"weights: {weights.about(published)}")
    else:
        options.row = models.find(options.row or models.rows()[-1]).name
        config = pipeline.method_config(study, options.row)
        size, generate_fn = (config.height, config.width), None

    detector = work.keypoint_detector(options.keypoint_rcnn, device)
    poses, about = work.read_poses(options.target_pose, options.name, detector)
    targets, done = work.place(poses, size, frame, options.target_pose)
    log(f"pose: {about}; {done}")
    pose = None
    if options.pose:
        pose, _ = work.read_pose(options.pose, options.image.name, detector)
    elif keypoint_rcnn.find_weights(options.keypoint_rcnn) is None:
        detector = None  # a photo is worth no download, its pose only makes the crop better
    image, pose, done = work.condition_photo(
        image, size, pose, options.fit, options.padding, detector, options.image
    )
    log(f"photo: {done}")
    # Only now, after every mistake was told: a row may have to be trained.
    generate_fn = generate_fn or pipeline.generate_fn(study, options.row, log)
    poses = in_between(targets, options.between)
    for path in work.generate_and_write(generate_fn, image, poses, out, options.fps, device, pose):
        log(f"wrote {path}")


def export(options):
    from pg2lib import models
    from pg2lib.core.config import require_in
    from pg2lib.training import checkpoints, weights
    from pg2lib.workflow import pipeline
    from pg2lib.workflow import run_store as runs

    study = study_of(options)
    if options.row == "all":
        files = {row: options.out / f"{row}{weights.SUFFIX}" for row in models.rows()}
    else:
        row = require_in("row", options.row, [*models.METHODS, "all"])
        files = {row: weights.check_suffix(options.out)}
    for row, out in files.items():
        pipeline.train(study, row, log)
        names = pipeline.chains([row])
        steps = {name: pipeline.train_step(study, name) for name in names}
        trained = {n: runs.checked(step, checkpoints.WEIGHTS) for n, step in steps.items()}
        published = weights.Published(
            row,
            {name: pipeline.method_config(study, name) for name in names},
            study.dataset,
            study.changes,
            study.seed,
            {name: step.key for name, step in steps.items()},
        )
        weights.export(out, trained, published, options.small)
        log(f"wrote {out} ({out.stat().st_size / 1e6:.2f} MB)")


def report(options):
    from pg2lib.results.report import write_report
    from pg2lib.workflow import pipeline
    from pg2lib.workflow.run_store import project

    out = options.out or project() / "report"
    comparison = project() / "docs" / "paper-vs-code.md"
    log(f"wrote {write_report(pipeline.named_folder(''), out, comparison)[0]}")


def parse_frame(text: str) -> tuple[int, int]:
    """'64x128' (width x height) -> (128, 64)."""
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isdecimal() and int(side) for side in sides):
        raise UserError(f"--frame {text} is not WIDTHxHEIGHT; write for example 64x128")
    return int(sides[1]), int(sides[0])
