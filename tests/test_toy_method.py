"""A method in one file outside the library goes everywhere without a line changed in it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

HERE = Path(__file__).resolve().parent
TOY = HERE / "toy_method.py"


@pytest.fixture(scope="module")
def pg2(tmp_path_factory):
    """The command line with the toy method, in a store of its own; returns its output."""
    folder = tmp_path_factory.mktemp("toy")
    environment = os.environ | {
        "PG2_METHODS": str(TOY), "PG2_RUNS": str(folder / "runs"), "PG2_PROGRESS": "off",
        "PG2_FIGURES": str(folder / "figures"), "PYTHONPATH": str(HERE.parent),
    }  # fmt: skip

    def run(*arguments, start=False):
        command = [sys.executable, "-m", "pg2lib", *map(str, arguments), "--profile", "smoke"]
        if start:
            return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run.folder = folder
    return run


def weights(pg2, *changes):
    path = pg2("train", "Toy", *changes).splitlines()[-1].removeprefix("Toy: ")
    return torch.load(path, weights_only=True)


def test_the_toy_is_short():
    assert len(TOY.read_text().splitlines()) < 60


def test_it_is_trained_killed_and_resumed_bit_for_bit(pg2):
    long = ("--set", "Toy.iterations=150", "--set", "Toy.channels=9")
    pg2("data", "prepare")
    process = pg2("train", "Toy", *long, start=True)
    deadline = time.time() + 120
    while not list(pg2.folder.glob("runs/train/*/Toy-*/log.jsonl")) and time.time() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    resumed = weights(pg2, *long)
    whole = weights(pg2, *long, "--set", "test_pairs=23")  # the same training, another key
    assert set(resumed["networks"]) == {"generator", "look", "pose"}
    for name, state in resumed["networks"].items():
        assert all(torch.equal(state[k], whole["networks"][name][k]) for k in state)


def test_it_is_scored_tabled_and_described(pg2):
    out = pg2("evaluate")
    assert "Toy" in out
    table = json.loads(next(pg2.folder.glob("figures/*smoke/table1.json")).read_text())
    [row] = [row for row in table["rows"] if row["row"] == "Toy"]
    assert 0 <= row["ours"]["ssim"]["mean"] <= 1
    assert not any(row["paper"].values())  # nothing was printed for it
    described = {entry["row"]: entry for entry in json.loads(pg2("describe", "--json"))}
    assert described["Toy"]["stages"][0]["networks"].keys() == {"generator", "look", "pose"}


def test_it_is_drawn_and_exported(pg2, tmp_path):
    code = f"""if True:
        from pg2lib import models
        from pg2lib.core.config import Study
        from pg2lib.results import figures, sheets
        from pg2lib.workflow import pipeline
        study = Study(profile="smoke")
        data = pipeline.data(study)
        images = {{row: pipeline.generated(study, row) for row in models.rows()}}
        columns = list(figures.figure4_columns(data, [0, 1], images))
        assert columns[-1] == "Toy", columns
        sheets.rows_sheet(data, [0, 1], images).savefig({str(tmp_path / "figure4.png")!r})
    """
    environment = os.environ | {
        "PG2_METHODS": str(TOY), "PG2_RUNS": str(pg2.folder / "runs"), "PG2_PROGRESS": "off",
        "PYTHONPATH": str(HERE.parent),
    }  # fmt: skip
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert Image.open(tmp_path / "figure4.png").width > 800
    out = tmp_path / "toy.safetensors"
    pg2("export", "Toy", "--out", out)
    assert out.stat().st_size > 10_000
    picture = tmp_path / "me.png"
    Image.fromarray(np.full((64, 32, 3), 90, np.uint8)).save(picture)
    pose = tmp_path / "pose.json"
    points = [[10 + k, 3 * k + 4, 0.9] for k in range(18)]
    pose.write_text(json.dumps({"people": [{"pose_keypoints_2d": sum(points, [])}]}))
    arguments = ["--image", picture, "--target-pose", pose, "--weights", out]
    pg2("generate", *arguments, "--pose", pose, "--out", tmp_path / "a")
    assert Image.open(tmp_path / "a" / "refined.png").size == (32, 64)
    with pytest.raises(AssertionError, match="Toy needs the pose of the person"):
        pg2("generate", *arguments, "--out", tmp_path / "b")
