"""Cases of `make faults` in which pg2 reads nonsense: files, options, variables, messages."""

import dataclasses
import json
import os
import re
import shutil
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.fault_cases import Child, flipped, pg2, start
from pg2lib import cli, models
from pg2lib.apps.photo import generate, sequence
from pg2lib.apps.user_study import study as user_study
from pg2lib.core import config
from pg2lib.core.files import UserError
from pg2lib.data import deepfashion, framing, keypoints, sources
from pg2lib.training import weights
from pg2lib.workflow import notebooks, pipeline, shipped

FILES = ("pose.json", "walk.json", "poses.csv", "a.png", "a.jpg", "pairs.csv", "test.lst",
         "own.toml", "ann.jsonl", "G1-L1.safetensors")  # fmt: skip
TOKENS = (
    "", "NaN", "-1", "1e999", "9" * 400, "9" * 5000, "[" * 3000, "null", "true", "{}", "\x00", "٣",
    "\x1b[2J", "\n", "\r", ",", ":", '"', "../../x", "<script>", "-0.0", "1e38", "0x10", "é" * 99,
)  # fmt: skip


def mutated(content: bytes, dice) -> bytes:
    """A few random changes of bytes, tokens and length."""
    for _ in range(dice.choice((1, 1, 2, 4))):
        a, b = sorted(dice.choices(range(len(content) + 1), k=2))
        token = dice.choice(TOKENS).encode()
        content = dice.choice((
            content[:a], content[a:], content[:a] + token + content[a:],
            content[:a] + token + content[min(b, a + 8) :], content[:b] + content[a:],
            flipped(content, dice, 8), content[:a] + content[min(b, a + 40) :],
            token.join(re.split(rb"\d+", content, maxsplit=dice.randrange(1, 9))),
        ))  # fmt: skip
    return content


TRAIN = ("train", "G1-L1", "--profile", "smoke")
OPTIONS = ("--profile", "--dataset", "--set", "--seeds", "--device", "--test-pairs", "--data")
VARIABLES = ("PROFILE", "DATASET", "SET", "DEVICE", "KEYPOINT_FRAME", "METHODS", "DATA", "PROGRESS")


def finite(poses, largest=1e6):
    assert np.isfinite(poses).all() and np.max(poses, initial=0) <= largest, "nonsense accepted"


def readers(folder: Path) -> dict:
    """Name -> (a good file, what reads it and checks what it accepts)."""
    pose = np.random.default_rng(0).integers(1, 60, (18, 2)).astype(np.float32)
    keypoints.write_openpose_json(folder / "pose.json", pose)
    people = {f"{k:04d}_c1s1_{v:06d}_00.jpg": pose for k in range(1, 5) for v in range(2)}
    keypoints.write_csv(folder / "poses.csv", people)
    frame = json.loads((folder / "pose.json").read_text())
    (folder / "walk.json").write_text(json.dumps({"frames": [frame] * 3}))
    Image.fromarray(np.full((8, 8, 3), 9, np.uint8)).save(folder / "a.png")
    Image.fromarray(np.full((8, 8, 3), 9, np.uint8)).save(folder / "a.jpg")
    names = list(people)
    (folder / "pairs.csv").write_text("from,to\n" + f"{names[0]},{names[1]}\n" * 3)
    (folder / "test.lst").write_text("fashionWOMENDressesid0000000202_1front.jpg\n")
    (folder / "own.toml").write_text('base = "smoke"\nchannels = 8\niterations = [6, 4]\n')
    session = user_study.Protocol(2, 2, 1)
    facts = dict.fromkeys(user_study.FACTS, "x") | {"protocol": vars(session)}
    answer = user_study.Answer(1, True, "a", "real", "real", 1000.0, 500.0, 1, "now")
    lines = "".join(json.dumps(line) + "\n" for line in (facts, vars(answer)))
    (folder / "ann.jsonl").write_text(lines)
    small = weights.Published("G1-L1", {}, "d", "p", 0, {})
    shutil.copyfile(shipped.weights_file("G1-L1"), folder / f"{small.row}.safetensors")
    images = framing.read_image
    return {
        "pose.json": lambda path: finite(generate.read_pose(path)[0]),
        "walk.json": lambda path: finite(sequence.read_sequence(path)[0]),
        "poses.csv": lambda path: finite(list(keypoints.read_csv(path).values()) or 0, 3.5e38),
        "a.png": lambda path: finite(images(path), 255),
        "a.jpg": lambda path: finite(images(path), 255),
        "pairs.csv": lambda path: sources.read_pairs(path, set(names)),
        "test.lst": deepfashion._read_names,
        "own.toml": lambda path: pipeline.method_config(config.Study(profile=str(path)), "G1-L1"),
        "ann.jsonl": lambda path: user_study.read(path),
        "G1-L1.safetensors": lambda path: weights.load(path, "cpu"),
    }


def fuzzed(folder, dice, whole, seconds, name, count=25):
    """A reader on so many broken copies of a good file, in one process."""

    def work():
        os.chdir(folder)
        read, good = readers(folder)[name], (folder / name).read_bytes()
        head = 8 + int.from_bytes(good[:8], "little") if name.endswith("safetensors") else None
        for number in range(count):
            path = folder / f"try{number}" / name
            path.parent.mkdir()
            path.write_bytes(mutated(good[:head], dice) + (good[head:] if head else b""))
            try:
                read(path)
            except UserError as error:
                assert "\n" not in str(error).strip() or name == "own.toml", "several lines"
        return 0

    ended = start(work, folder).end()
    return "sentence" if ended == "done" else ended


def confused(folder, dice, whole, seconds, source):
    """The command line with one random option, variable or number, and data to train on."""
    word = dice.choice((*TOKENS, "smoke", "G1-L1", "cuda", "1", "0")).replace("\x00", "")
    kind = dice.choice(("option", "variable", "number", "number"))
    if kind == "option":
        return sentence(start(pg2("describe", dice.choice(OPTIONS), word), folder))
    if kind == "variable":
        return sentence(start(pg2("describe"), folder, **{f"PG2_{dice.choice(VARIABLES)}": word}))
    shutil.copytree(source / "runs" / "data", folder / "runs" / "data")
    field = dice.choice([f.name for f in dataclasses.fields(models.find("G1-L1").config)])
    value = dice.choice(("-1", "0", "1", "3", "1e999", "1e-30", "None", "True", "x", "[]", "7.5"))
    return sentence(start(pg2(*TRAIN, "--set", f"{field}={value}"), folder))


def outputs(folder: Path) -> tuple:
    """Commands that write where `--out` says, with the files that they read in a folder."""
    readers(folder)
    Image.fromarray(np.full((128, 64, 3), 9, np.uint8)).save(folder / "photo.png")
    photo, poses = str(folder / "photo.png"), str(folder / "walk.json")
    return (
        ("report",),
        ("export", "G1+G2+D", "--profile", "smoke"),
        ("generate", "--weights", "G1-L1", "--image", photo, "--target-pose", poses),
    )


NOTEBOOKS = ("01_data_and_masks", "09_user_study")  # those that need least
ODD = (*TOKENS, 5, -1, 1.5, 1e999, True, [], ["x"], [1], {}, {"a": 1}, [[0]], "0-9", "smoke", "x=1")


def asked(folder, dice, whole, seconds, source):
    """A notebook as `pg2 reproduce` runs it, with nonsense as one of its parameters."""
    study, every = config.Study(profile="smoke"), notebooks.notebooks()
    book = dice.choice([book for book in every if book.name in NOTEBOOKS])
    known = ["dataset", "profile", "seeds", "overrides"]
    known += ["row", "participant", "images"] * (book.name == "09_user_study")
    odd = {dice.choice(known): dice.choice(ODD)}
    shutil.copytree(source / "runs", folder / "runs")

    def work():
        notebooks.parameters = lambda study: {"profile": "smoke"} | odd
        return cli.status_of(notebooks.execute, study, book, folder / "executed.ipynb")

    ended = start(work, folder).end()
    if error := re.search(r"failed in cell \d+: (?!UserError)(.*)", ended):
        return f"traceback: {book.name}, {odd}: {error[1]}"
    return "accepted" if ended == "done" else ended


def sentence(child: Child) -> str:
    ended = child.end(120)
    return "accepted" if ended == "done" else ended


def messages(folder, dice, whole, seconds):
    """The user study's widget on random messages, in one process."""

    def work():
        from pg2lib.apps.user_study.widget import UserStudy

        pairs, names = np.array([(k, 20 + k) for k in range(20)]), [f"{k}.jpg" for k in range(40)]
        few, study = user_study.Protocol(3, 3, 1), config.Study(profile="smoke")
        begin = partial(user_study.start_session, study, "G1+D", pairs, names, protocol=few)
        widget = UserStudy(begin, lambda trial: np.zeros((8, 4, 3), np.uint8), few)
        said = []
        widget.send = lambda content, buffers=None: said.append(content)
        widget.receive({"do": "start", "participant": "ann"})
        odd = ("real", "generated", 1, 0, -1, True, None, "1", 1e999, [], {}, "x", 1000.0, "ann")
        fields = ("do", "participant", "trial", "answer", "exposure_ms", "response_ms", "shown")
        for _ in range(50):
            message = {field: dice.choice(odd) for field in fields if dice.random() < 0.9}
            message["do"] = dice.choice(("start", "answer", "answer", "image", "leave", 7))
            widget.receive(dice.choice((message, message, message, None, [message])))
        for path in Path(os.environ["PG2_RUNS"]).rglob("*.jsonl"):
            user_study.read(path)
        return 0

    ended = start(work, folder).end()
    return "sentence" if ended == "done" else ended
