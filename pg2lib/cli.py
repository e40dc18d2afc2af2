"""The command `pg2`: thin sub-commands over the library.

Everything heavy is imported inside the command that needs it, so that `pg2 --help` is instant.
"""

import argparse
import json
import os
import sys
from pathlib import Path

from pg2lib.errors import UserError

EPILOG = """examples:
  pg2 reproduce                                everything, on drawn people, in minutes
  pg2 reproduce --dataset market1501 --data D  the same on real images
  pg2 train G1-L1 --profile lite               one row of Table 1
  pg2 describe --profile paper                 parameters, GFLOPs, schedule
runs are kept in runs/ ($PG2_RUNS), figures and tables in figures/ ($PG2_FIGURES)"""


def main(arguments=None) -> int:
    """Run one command; 0 when done, 2 after a user's mistake (one sentence on stderr)."""
    options = parser().parse_args(arguments)
    if "WORLD_SIZE" in os.environ:  # of a launcher; torch is not loaded for anything less
        from pg2lib import distributed

        if distributed.launched():
            distributed.leave(status_of(together, options))
    return status_of(options.run, options)


def status_of(work, options) -> int:
    try:
        work(options)
    except UserError as error:
        print(f"pg2: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in (28, 122):  # no space left, quota exceeded
            raise
        print(f"pg2: {error}; make room and start again, nothing is lost", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\npg2: stopped; start again and it goes on where it was", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `pg2 ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def together(options):
    """Run a command as one of the processes of a launch."""
    from pg2lib import distributed

    if options.run not in (data_prepare, train, evaluate):
        raise UserError("torchrun is for data prepare, train and evaluate; start this by itself")
    with distributed.joined(options.device):
        options.run(options)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="pg2",
        description="Pose Guided Person Image Generation (PG2): data, training, Table 1, figures.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    command = add(commands, "reproduce", reproduce, "everything: data, six rows, scores, notebooks")
    add_dry_run(command)
    command.add_argument(
        "--update-notebooks",
        action="store_true",
        help="also write the executed notebooks over those in notebooks/ (for committing)",
    )

    data = commands.add_parser("data", help="prepare, verify or show a data set")
    actions = data.add_subparsers(required=True, metavar="ACTION")
    command = add(actions, "prepare", data_prepare, "draw or decode the images into the run store")
    add_dry_run(command)
    add(actions, "verify", data_verify, "check counts, sizes, people, keypoints; print a card")
    command = add(actions, "show", data_show, "write a sheet of pairs with keypoints and masks")
    command.add_argument("--out", type=Path, default=Path("data.png"), help="PNG to write")
    command.add_argument("--count", type=int, default=8, help="pairs to show (default 8)")

    command = add(commands, "train", train, "train one or more rows of Table 1")
    command.add_argument("row", nargs="+", metavar="ROW", help="a row's name, or all")
    add_dry_run(command)

    command = add(commands, "evaluate", evaluate, "score rows and write Table 1")
    command.add_argument("row", nargs="*", metavar="ROW", help="rows (default: all)")
    command.add_argument("--preset", default="pg2", help="SSIM preset (default pg2)")
    command.add_argument(
        "--mask-from",
        choices=("target", "condition"),
        default="target",
        help="whose pose mask mask-SSIM uses; the released script took the condition's",
    )
    add_dry_run(command)

    command = add(commands, "describe", describe, "parameters, GFLOPs and schedule of every row")
    command.add_argument("--json", action="store_true", help="as JSON")

    command = add(commands, "generate", generate, "paint one photo in another pose")
    command.add_argument("--image", type=Path, required=True, help="photo of the person (I_A)")
    command.add_argument(
        "--keypoints",
        type=Path,
        required=True,
        help="target pose (P_B): OpenPose JSON (COCO-18, BODY_25) or a keypoint CSV",
    )
    command.add_argument("--name", help="the row of the keypoint CSV")
    command.add_argument(
        "--frame",
        metavar="WxH",
        help="size of the picture the keypoints belong to (default: the data set's, 64x128)",
    )
    command.add_argument("--row", default="G1+G2+D", help="row to paint with (default G1+G2+D)")
    command.add_argument("--out", type=Path, required=True, help="folder for the PNG files")
    return top


def add(commands, name, function, text):
    """A sub-command with the options that all share."""
    command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    command.set_defaults(run=function, dry_run=False)
    environment = os.environ.get
    command.add_argument(
        "--dataset",
        default=environment("PG2_DATASET") or "synthetic-market",
        help="synthetic-market (drawn, default), market1501 or deepfashion (real)",
    )
    command.add_argument(
        "--profile",
        default=environment("PG2_PROFILE") or "quick",
        help="smoke, quick (default), lite, paper or released",
    )
    command.add_argument("--seed", type=int, default=0, help="seed of everything (default 0)")
    command.add_argument(
        "--data", metavar="FOLDER", help="folder of the real images (default: $PG2_DATA)"
    )
    command.add_argument(
        "--keypoint-frame",
        default=environment("PG2_KEYPOINT_FRAME") or "detect",
        choices=("detect", "176x256", "256x256"),
        help="frame of DeepFashion's keypoints (default: told from where the joints are)",
    )
    command.add_argument(
        "--device",
        default=environment("PG2_DEVICE"),
        help="cpu or cuda (default: cuda where there is one)",
    )
    return command


def add_dry_run(command):
    command.add_argument("--dry-run", action="store_true", help="only say what would be done")


def study_of(options):
    from pg2lib.pipeline import Study

    return Study(
        options.dataset,
        options.profile,
        options.seed,
        options.data,
        options.device,
        options.keypoint_frame,
    )


def say(line):
    if int(os.environ.get("RANK") or 0) == 0:  # of the processes of a launch one talks
        print(line, flush=True)


def say_plan(steps):
    from pg2lib.reproduce import plan_text
    from pg2lib.runs import state

    say(plan_text([(step.kind, step.name, state(step)) for step in steps]))


def reproduce(options):
    from pg2lib import reproduce as work

    study = study_of(options)
    if options.dry_run:
        return say(work.plan_text(work.plan(study)))
    work.reproduce(study, say)
    if options.update_notebooks:
        work.update_committed(study, say)


def data_prepare(options):
    from pg2lib import pipeline
    from pg2lib.datasets import card_text

    study = study_of(options)
    if options.dry_run:
        return say_plan([pipeline.data_step(study)])
    say(card_text(pipeline.data(study, say).card))


def data_verify(options):
    from pg2lib import datasets, pipeline

    study = study_of(options)
    source = pipeline.source_folder(study)
    if source is None:  # drawn people: check the drawn store
        card = datasets.verify(pipeline.data(study, say))
    else:
        card = datasets.verify(pipeline.data_config(study), source)
    say(datasets.card_text(card))
    if card.get("problems"):
        raise UserError(f"{len(card['problems'])} problems found; see the card above")


def data_show(options):
    from pg2lib import figures, pipeline

    study = study_of(options)
    dataset = pipeline.data(study)
    chosen = figures.select_examples(dataset, options.count, study.seed)
    variant = pipeline.mask_variant(study)
    figure = figures.pair_sheet(dataset, chosen, variant)
    figures.save(figure, options.out, pipeline.facts(study, "pg2 data show"))
    say(f"wrote {options.out}")


def train(options):
    from pg2lib import experiments, pipeline

    study = study_of(options)
    rows = list(experiments.ROWS) if options.row == ["all"] else options.row
    for row in rows:
        experiments.choose("row", row, [*experiments.ROWS, "all"])
    names = dict.fromkeys(name for row in rows for name in experiments.ROWS[row].stages)
    if options.dry_run:
        stages = [pipeline.stage_step(study, name) for name in names]
        return say_plan([pipeline.data_step(study), *stages])
    pipeline.data(study, say)
    for row in rows:
        for path in pipeline.train(study, row, say):
            say(f"{row}: {path}")


def evaluate(options):
    from pg2lib import distributed, experiments, pipeline, tables

    study = study_of(options)
    rows = options.row or list(pipeline.all_rows())
    for row in rows:
        experiments.choose("row", row, pipeline.all_rows())
    step = pipeline.score_step
    if options.dry_run:
        return say_plan([step(study, row, options.preset, options.mask_from) for row in rows])
    for row in rows:
        pipeline.evaluate(study, row, options.preset, options.mask_from, say)
    if set(rows) != set(pipeline.all_rows()):
        return say("Table 1 is written when all rows are named, or none")
    table = pipeline.table1(study, options.preset, options.mask_from)
    if distributed.rank() > 0:
        return None
    say("\n" + tables.to_markdown(table))
    folder = pipeline.figures_folder(study)
    if options.preset != "pg2" or options.mask_from != "target":
        folder = folder / f"{options.preset}-{options.mask_from}"  # not over the default table
        folder.mkdir(exist_ok=True)
    say("wrote " + ", ".join(str(path) for path in tables.write_table1(folder, table)))


def describe(options):
    from pg2lib import describe as work
    from pg2lib import experiments

    experiments.choose("data set", options.dataset, experiments.SETTINGS)
    entries = work.describe(options.dataset, options.profile)
    if options.json:
        return say(json.dumps(entries, indent=1))
    say(work.description_text(entries, options.dataset, options.profile))


def generate(options):
    from pg2lib import devices, experiments, pipeline
    from pg2lib import generate as work

    study = study_of(options)
    stage = experiments.stages(
        experiments.choose("row", options.row, experiments.ROWS), study.dataset, study.profile
    )[-1]
    paper = experiments.SETTINGS[study.dataset]
    frame = parse_frame(options.frame) if options.frame else (paper.height, paper.width)
    size = (stage.height, stage.width)
    image, done = work.read_image(options.image, *size)
    keypoints = work.read_target_pose(options.keypoints, frame, size, options.name)
    painter = pipeline.painter(study, options.row, say)
    device = study.device or devices.default_device()
    images = work.generate(painter, image, keypoints, device)
    say(f"photo: {done}")
    for path in work.write_images({"condition": image, **images}, options.out):
        say(f"wrote {path}")


def parse_frame(text: str) -> tuple[int, int]:
    """'64x128' (width x height) -> (128, 64)."""
    try:
        width, height = (int(number) for number in text.lower().split("x"))
    except ValueError:
        raise UserError(f"--frame {text} is not WIDTHxHEIGHT; write for example 64x128") from None
    return height, width
