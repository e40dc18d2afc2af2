"""The command `pg2`: thin sub-commands over the library.

Heavy imports happen inside the command that needs them, so that `pg2 --help` is instant.
"""

import argparse
import errno
import os
import sys
from pathlib import Path

import pg2lib
from pg2lib.core.config import drawn, named_study
from pg2lib.core.files import OutOfTime, UserError, printable

EPILOG = """examples:
  pg2 reproduce                                everything, on drawn people, in minutes
  pg2 reproduce --dataset all                  the same for both halves of Table 1
  pg2 reproduce --dataset market1501 --data D  the same on real images
  pg2 reproduce --dataset folder --data D      the same on your own photographs
  pg2 train G1-L1 --profile lite               one row of Table 1
  pg2 describe --profile paper                 parameters, GFLOPs, schedule
  pg2 report                                   all results on one page
  pg2 generate --image me.jpg --target-pose walk.json --out me
                                               your own photo in other poses
runs are kept in runs/ ($PG2_RUNS), figures and tables in runs/figures/ ($PG2_FIGURES)"""


def main(arguments=None) -> int:
    """Run one command. Returns 0, or 2 after a user's mistake (one sentence on stderr)."""
    if not (sys.argv[1:] if arguments is None else arguments):
        parser().print_help(sys.stderr)
        return 2
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal may lack a character of a table
            stream.reconfigure(errors="replace")
    options = parser().parse_args(arguments)
    status = status_of(run, options)
    if os.environ.get("WORLD_SIZE", "").isdecimal():  # set by a launcher
        from pg2lib.core import distributed

        if distributed.launched():
            distributed.leave(status)
    return status


def status_of(work, *arguments) -> int:
    """Call work(*arguments); returns the exit status: 2, with one sentence on stderr, after a
    user's mistake, 3 when --minutes have passed."""
    try:
        work(*arguments)
    except UserError as error:
        return report_mistake(error)
    except OutOfTime:
        print("pg2: time limit reached; run the same command again to resume", file=sys.stderr)
        return 3
    except BrokenPipeError:  # `pg2 ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except ModuleNotFoundError as error:
        if str(error.name).startswith("pg2lib"):
            raise
        return report_mistake(f"{error.name} is not installed; install it (`pip install -e .`)")
    except OSError as error:
        return report_mistake(system_error(error))
    except KeyboardInterrupt:
        print("\npg2: stopped; run it again to resume", file=sys.stderr)
        return 130
    return 0


def report_mistake(sentence) -> int:
    """Print a user's mistake on stderr; returns its exit status."""
    print(f"pg2: {printable(sentence)}", file=sys.stderr)
    return 2


def system_error(error: OSError) -> str:
    """An error of the operating system as a sentence."""
    reason = error.strerror or (str(error).strip() or type(error).__name__).splitlines()[-1]
    where = f" ({error.filename})" if error.filename else ""
    remedy = "check that the path exists and may be written, and start again"
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        remedy = "make room and start again, nothing is lost"
    return f"{reason}{where}; {remedy}"


def run(options):
    """Run the command in the options, also as one process of a launch."""
    if "profile" in options:  # report a wrong name before importing torch, which takes seconds
        both = (options.command, options.dataset) == ("reproduce", "all")
        named_study(options, drawn()[0] if both else None)
    from pg2lib import commands
    from pg2lib.core import distributed

    if distributed.launched() and options.command not in ("data prepare", "train", "evaluate"):
        raise UserError("torchrun is for data prepare, train and evaluate; start this by itself")
    with distributed.joined(vars(options).get("device")):
        name = options.command.replace(" ", "_")
        if not hasattr(commands, name):
            from pg2lib import picture_commands as commands
        getattr(commands, name)(options)


def option(*names, **settings):
    return names, settings


ENV = os.environ.get
# fmt: off
STUDY = (
    option("--dataset", default=ENV("PG2_DATASET") or "synthetic-market", help="synthetic-market "
           "(default), synthetic-fashion (both drawn), market1501, deepfashion (real) or folder "
           "(your own photographs)"),
    option("--profile", default=ENV("PG2_PROFILE") or "quick", help="smoke, quick (default), demo, "
           "lite, paper, released, or a TOML file of your own"),
    option("--set", metavar="FIELD=VALUE", action="append", default=(ENV("PG2_SET") or "").split(),
           help="change any number: --set iterations=500, or for one row --set G1-L1.channels=48; "
           "may be repeated; pg2 describe --json lists the fields"),
    option("--test-pairs", type=int, metavar="N",
           help="at most N test pairs, as --set test_pairs=N"),
    option("--seeds", "--seed", default="0", metavar="N,N,...",
           help="training seeds: each row is trained once per seed and scored over all "
           "(default 0); 0-4 means five"),
    option("--data", metavar="FOLDER",
           help="folder of the real images (default: $PG2_DATA)"),
    option("--keypoint-frame", default=ENV("PG2_KEYPOINT_FRAME") or "detect",
           choices=("detect", "176x256", "256x256"),
           help="frame of DeepFashion's keypoints (default: detected from the joints)"),
    option("--parsing", metavar="ORDER:FOLDER", default=ENV("PG2_PARSING"), help="parsing maps of "
           "your own for rows that need them: FOLDER/NAME.png for every image NAME, label numbers "
           "in the order lip, cihp, atr or people (default: drawn people have exact ones, "
           "photographs pose regions)"),
    option("--device", default=ENV("PG2_DEVICE"), help="cpu or cuda (default: cuda if available)"),
)
DATA = ("--dataset", "--profile", "--set", "--test-pairs", "--data", "--keypoint-frame")


def study(*names, profile=None, **helps):
    """The options of STUDY. The help shows only those in `names` and those given a text of their
    own (device="..."); the command ignores the others, but they determine its study. profile: an
    option in place of its --profile."""
    texts = {f"--{name}": text for name, text in helps.items()}
    return tuple(
        profile if profile and own == ("--profile",) else
        (own, settings if own[0] in names else
         settings | {"help": texts.get(own[0], argparse.SUPPRESS)})
        for own, settings in STUDY
    )


SHIPPED = option("--profile", default=ENV("PG2_PROFILE") or "demo", help="profile of the "
                 "studio's networks: demo (default, bundled) or another, trained if missing")
SCORED = option("--profile", default=ENV("PG2_PROFILE") or "demo", help="profile whose data set "
                "the bundled generators are scored on (default: demo, their own)")
OPEN = option("--profile", default=ENV("PG2_PROFILE"), help="profile of the training to generate "
              "with, trained if missing: smoke, quick, demo, lite, paper, released, or a TOML file "
              "of your own (default: a bundled generator if there is one of the row, else quick)")
MINUTES = option("--minutes", type=float, metavar="N", help="stop after N minutes, with "
                 "checkpoints, a progress table and exit status 3; the same command resumes")
DRY = option("--dry-run", action="store_true", help="only list the steps that would run")
RCNN = option("--keypoint-rcnn", metavar="FILE", help="keypoint detector weights (default: "
              "$PG2_KEYPOINT_RCNN, else torchvision's download)")
UPDATE = option("--update-notebooks", action="store_true",
                help="also replace those in notebooks/ by the executed notebooks")
ROW = "row or ablation, or all (the rows of Table 1)"
PHOTO = (
    option("--image", type=Path, required=True, help="photo of the person (I_A), any size"),
    option("--pose", "--photo-pose", type=Path, help="pose of the person in --image, to "
           "crop the photo and as input of rows such as PATN: JSON, a CSV with a line for the "
           "image, or the photo itself (default: detected, if the weights are available)"),
    option("--pose-frame", metavar="WxH", help="size of the picture that --pose refers to, if it "
           "is a smaller copy of the photo; DeepFashion's is 176x256"),
    option("--photo-parsing", metavar="ORDER:FILE", help="parsing map of the photo, for rows that "
           "need one: a PNG of label numbers in the order lip, cihp, atr or people (default: pose "
           "regions, drawn from the photo's pose)"),
    option("--fit", choices=("pad", "crop"), default="pad",
           help="pad an image whose pose is unknown (default), or crop it to its middle"),
    option("--padding", choices=("edge", "plain"), default="edge",
           help="pad with the repeated edge (default) or with one colour, the edge's median"),
    option("--target-pose", "--keypoints", type=Path, required=True, metavar="POSE",
           help="target pose (P_B): OpenPose JSON (COCO-18, BODY_25), a keypoint CSV, a photo, or "
           "a sequence: a JSON with a list of frames, or a folder with a JSON per frame"),
    option("--name", help="image in the keypoint CSV whose pose to use"),
    option("--frame", metavar="WxH", help="size of the target pose's picture, kept whole "
           "(default: the person is scaled to fill the frame)"),
    option("--between", type=int, default=0, metavar="N",
           help="poses to add between two frames of a sequence (default 0)"),
    option("--fps", type=float, default=8.0, metavar="N",
           help="frames per second of the GIF (default 8)"),
    option("--row", default=None,
           help="row to generate with, bundled or trained (default: the last of Table 1)"),
    option("--weights", type=Path, metavar="FILE", help="use a file or folder of pg2 export "
           "instead, or a bundled generator, by its row (G1+G2+D); needs no data or training"),
    RCNN,
    option("--out", type=Path, required=True, help="folder for the pictures; sheet.png shows all"),
)


ALL = tuple(own[0] for own, _ in STUDY[1:])
COMMANDS = (  # (name of one or two words, help, options); each is a function of `commands`
    ("reproduce", "everything: data, rows, scores, notebooks", (
        *study(*ALL, dataset=f"{STUDY[0][1]['help']}; or all: both drawn ones"), DRY, MINUTES,
        option("--claims", action="store_true",
               help="also train the ablations and test the paper's claims (notebook 7)"),
        option("--strict", action="store_true", help="exit with status 1 unless Table 1 is "
               "within the spread of the bundled trainings"),
        UPDATE)),
    ("data prepare", "draw or decode the images into the run store", (*study(*DATA), DRY)),
    ("data verify", "check counts, sizes, people, keypoints; print a card", study(*DATA)),
    ("data keypoints", "detect the keypoints of your own photographs (Keypoint R-CNN)", (
        *study("--data", "--device"), RCNN)),
    ("data export", "write a data set as a folder of images, people and poses", (*study(*DATA),
        option("--out", type=Path, required=True, help="folder to write"))),
    ("data show", "write a sheet of pairs with keypoints and masks", (
        *study(*DATA, seeds="seed that chooses the pairs (default 0)"),
        option("--out", type=Path, default=Path("data.png"), help="PNG to write"),
        option("--count", type=int, default=8, help="pairs to show (default 8)"))),
    ("train", "train one or more rows", (*STUDY, DRY, MINUTES, option("row", nargs="+",
        metavar="ROW", help=f"{ROW}, or keypoints (the network of the pose score)"))),
    ("evaluate", "score rows and write Table 1", (*STUDY, DRY, MINUTES,
        option("row", nargs="*", metavar="ROW", help="rows or ablations, condition or "
               "target (default: all of Table 1, which is then written)"),
        option("--preset", default="pg2", help="SSIM settings: pg2 (default), pg2-trainlog, patn, "
               "defgan or patn-fashion"),
        option("--mask-from", choices=("target", "condition"), default="target",
               help="image whose pose mask mask-SSIM uses; the released script used condition"))),
    ("successors", "the rows of later papers beside PG2's: table, claims, Figure 4, notebooks",
        (*STUDY, DRY, UPDATE, option("--no-ablations", dest="ablations", action="store_false",
        help="train only the rows of the table; claims about ablations are not measured, and no "
             "notebook is run"),
        option("method", nargs="*", metavar="METHOD",
        help="rows of the papers to show, such as PATN (default: all later papers); if "
             "ablations are named as well, such as PATN-9, they join the table and no others are "
             "trained"))),
    ("matrix", "print the commands that score rows of many studies, for many machines", (
        *STUDY,
        option("--datasets", metavar="NAME,NAME,...", help="data sets (default: --dataset)"),
        option("--rows", default="all", metavar="ROW,ROW,...", help="rows to score: names, all "
               "(those of Table 1; default), ablations or successors"),
        option("--wave", type=int, metavar="N", help="only wave N, which needs the waves before "
               "it: 1 data, 2 keypoint networks and first stages, 3 onwards what refines or scores "
               "them"),
        option("--json", action="store_true", help="as JSON, with the dependencies of each line"))),
    ("runs pack", "write finished steps of the run store into one file", (
        option("names", nargs="*", metavar="NAME", help="a study (synthetic-market-quick), a "
               "step (train/synthetic-market-quick/G1-L1) or a step's key (default: all)"),
        option("-o", "--out", type=Path, required=True, metavar="FILE", help="the .tar to write"))),
    ("runs merge", "add the steps in a file of pg2 runs pack to the run store", (
        option("file", type=Path, metavar="FILE", help="file of pg2 runs pack"),)),
    ("parser", "train a parsing network on drawn people and score it per label",
        (*study(*DATA, "--device"), DRY, option("--labelled", type=Path, metavar="FOLDER",
        help="also score it on half of these labelled photographs, and a second network trained on "
        "the other half: photos/NAME.jpg, labels/NAME.png and labels.csv, as in "
        "Clothing Co-Parsing"), option("--write", type=Path,
        metavar="FOLDER", help="write its maps of the images of --dataset, for "
        "--parsing people:FOLDER"))),
    ("describe", "parameters, GFLOPs and schedule of every row", (*study(*DATA[:3]),
        option("--json", action="store_true", help="as JSON"))),
    ("generate", "one photo in another pose, or in many", (*PHOTO, *study(
        *DATA[:3], "--data", profile=OPEN,
        seeds="seed of the training to generate with (default 0)",
        device="cpu, cuda (default: if available) or mps, the GPU of a Mac"))),
    ("card", "score the bundled generators, write their card and Figure 4", (
        *study(*DATA, "--seeds", "--device", profile=SCORED),
        option("--figure", action="store_true", help="Figure 4 alone, in seconds"))),
    ("report", "all results on one page: your own, then the bundled ones", (
        option("--out", type=Path, help="folder to write (default: report/)"),)),
    ("site", "notebooks, documents, report and pose studio as pages that open without a server", (
        *(SHIPPED if names == ("--profile",) else (names, more) for names, more in STUDY),
        option("--out", type=Path, help="folder to write (default: runs/site)"))),
    ("pages", "update the tables that README.md and docs/results.md quote from figures/", ()),
    ("publish", "copy your results into the project's figures/, then update its pages", (
        option("study", nargs="*", metavar="STUDY", help="folders below runs/figures/ (default: "
               "all except those of profile smoke)"),)),
    ("export", "write a row's weights as one file to publish", (*STUDY,
        option("row", metavar="ROW", help=ROW),
        option("--out", type=Path, required=True, metavar="FILE",
               help="the .safetensors or .onnx file to write; for all rows or --card, a folder"),
        option("--card", action="store_true", help="for a model hub: also write a README.md that "
               "describes the weights, with the known scores"),
        option("--onnx", action="store_true", help="write an ONNX graph, for use without PyTorch; "
               "--profile demo uses the bundled generators, without training"),
        option("--small", action="store_true",
               help="only the generators, with eight bits per weight; of all rows, those that no "
               "other row refines: its file holds them too"))),
)
# fmt: on


def actions(group) -> str:
    """The second words of a group's commands, for its help."""
    return ", ".join(name.split()[1] for name, *_ in COMMANDS if name.startswith(f"{group} "))


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="pg2",
        description="Pose Guided Person Image Generation (PG2): data, training, Table 1, figures.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("-V", "--version", action="version", version=f"pg2 {pg2lib.__version__}")
    groups = {"": top.add_subparsers(required=True, metavar="COMMAND")}
    for name, text, options in COMMANDS:
        group, _, last = name.rpartition(" ")
        if group not in groups:
            parent = groups[""].add_parser(group, help=actions(group))
            groups[group] = parent.add_subparsers(required=True, metavar="ACTION")
        command = groups[group].add_parser(
            last, help=text, description=f"{text[0].upper()}{text[1:]}."
        )
        command.set_defaults(command=name, dry_run=False)
        for names, settings in options:
            command.add_argument(*names, **settings)
    return top
