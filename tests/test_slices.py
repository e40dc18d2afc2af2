"""Work in slices of a few minutes: --minutes."""

import csv
import os
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import smoke
import torch

from pg2lib import cli, models
from pg2lib.core.files import OutOfTime, UserError
from pg2lib.training import checkpoints
from pg2lib.training import loop as training
from pg2lib.workflow import lanes, pipeline, slices
from pg2lib.workflow import run_store as runs

ROW = "G1+D"
COMMAND = ["train", ROW, "keypoints", "--profile", "smoke"]


@pytest.fixture
def apart(tmp_path, monkeypatch):
    """A study in a run store of its own."""
    monkeypatch.setenv("PG2_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PG2_FIGURES", str(tmp_path / "figures"))
    return pipeline.Study(profile="smoke")


def test_slices_of_one_step_end_with_the_weights_of_one_run(data, tmp_path):
    task = smoke.task(ROW, average=0.5)
    training.train(task, data, tmp_path / "whole")
    for step in range(1, task.config.iterations + 1):
        assert training.train(task, data, tmp_path / "cut", until=0.0)["step"] == step
    whole, cut = (
        checkpoints.load_state(tmp_path / name / "weights.pt", "cpu")["networks"]
        for name in ("whole", "cut")
    )
    for name, parameters in whole.items():
        assert all(torch.equal(value, cut[name][key]) for key, value in parameters.items())


def test_nothing_begins_when_the_time_is_over(apart):
    pipeline.data(apart)
    with pytest.raises(OutOfTime):
        pipeline.train(apart, ROW, until=time.time())
    assert slices.so_far(apart, ROW) == (0, None)
    assert not pipeline.train_step(apart, ROW).folder.exists()


def test_neither_a_first_stage_nor_a_score_begins_when_the_time_is_over(apart):
    with pytest.raises(OutOfTime):
        pipeline.train(apart, "G1+G2+D", until=time.time())
    with pytest.raises(OutOfTime):
        pipeline.evaluate(apart, "condition", until=time.time())
    assert not list(runs.root().glob("*/*/*"))


def test_every_training_and_score_of_a_command_ends_at_its_time(apart, monkeypatch):
    asked = []

    def train(study, name, log=None, until=None):
        asked.append(("train", name, until))

    def evaluate(study, row, preset, mask_from, log=None, until=None):
        asked.append(("evaluate", row, until))

    monkeypatch.setattr(pipeline, "train", train)
    monkeypatch.setattr(pipeline, "evaluate", evaluate)
    monkeypatch.setattr(pipeline, "device_of", lambda study: "cpu")
    monkeypatch.setattr(lanes.devices, "cpu_count", lambda: 2)
    monkeypatch.setattr(lanes, "side_by_side", lambda work, jobs, count: list(map(work, jobs)))
    lanes.score_all(apart, (ROW, "target"), lambda line: None, 7.0)
    trained = [("train", ROW, 7.0), ("train", "keypoints", 7.0)]
    assert sorted(asked[:2]) == trained and asked[2:] == [
        *trained, ("evaluate", ROW, 7.0), ("evaluate", "target", 7.0),
    ]  # fmt: skip


def test_a_training_that_ran_out_of_time_is_not_finished(apart, monkeypatch):
    step = pipeline.train_step(apart, ROW)
    monkeypatch.setattr(pipeline, "row_data", lambda *_: None)
    monkeypatch.setattr(training, "train", lambda *_, **__: {"step": 5})  # of 6
    with pytest.raises(OutOfTime):
        pipeline.train(apart, ROW)
    assert "interrupted" in runs.state(step).reason
    monkeypatch.setattr(training, "train", lambda *_, **__: {"step": 6})
    pipeline.train(apart, ROW)
    assert runs.state(step).hit


def test_a_finished_training_shows_its_last_images(apart):
    step = pipeline.train_step(apart, ROW)
    with runs.claim(step) as folder:
        np.save(folder / "curve.npy", np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1, 1))
    runs.finish(step, ["curve.npy"], 1.0)
    done, images = slices.so_far(apart, ROW)
    assert (done, images.tolist()) == (6, [[[[2]]]])


def test_the_command_says_how_far_it_is_and_goes_on(apart, capsys):
    step, data = pipeline.train_step(apart, ROW), pipeline.data(apart)
    with runs.claim(step) as folder:
        for _ in range(2):
            training.train(pipeline.task(apart, ROW), data, folder, 0, "cpu", until=0.0)
    assert cli.main([*COMMAND, "--minutes", "1e-9"]) == 3
    assert "run the same command again" in capsys.readouterr().err
    path = pipeline.figures_folder(apart) / "progress.csv"
    trained, keypoints = csv.reader(path.read_text().splitlines()[1:])
    assert trained[:5] == [ROW, "0", "2", "6", "8"] and 0 < float(trained[6]) < 1
    assert keypoints[:5] == ["keypoints", "0", "0", "6", "0"] and not any(keypoints[5:])


def test_a_training_with_parsing_maps_says_how_far_it_is(apart):
    row = "SoftGated-parser"
    data = pipeline.row_data(apart, row)
    with runs.claim(pipeline.train_step(apart, row)) as folder:
        training.train(pipeline.task(apart, row), data, folder, 0, "cpu", until=0.0)
    assert slices.so_far(apart, row)[0] == 1


def test_nine_minutes_are_540_seconds():
    before = time.time()
    assert 540 <= slices.end_after(9) - before < 541 and slices.end_after(None) is None


@pytest.mark.parametrize("minutes", [0, -1, float("nan")])
def test_minutes_are_positive(minutes):
    with pytest.raises(UserError, match="positive"):
        slices.end_after(minutes)


def test_the_script_for_one_gpu_goes_on_until_all_is_done(tmp_path):
    calls = tmp_path / "calls"
    command = tmp_path / "pg2"  # its second call ends because the minutes are over
    command.write_text(f'#!/bin/sh\necho "$@" >> {calls}\n[ $(wc -l < {calls}) != 2 ] || exit 3\n')
    command.chmod(0o755)
    script = [str(Path(__file__).parent.parent / "docs" / "one-gpu.sh"), "market1501"]
    settings = os.environ | {"PG2": str(command), "MINUTES": "5"}
    done = subprocess.run(["bash", *script], env=settings)
    lines = calls.read_text().splitlines()
    assert done.returncode == 0 and len(lines) == 5 and lines[1] == lines[2]
    assert lines[0] == "evaluate G1-poseMaskLoss condition target --minutes 5"
    named = {word for line in lines[1:] for word in line.split()[1:-2]}
    assert named == set(models.rows()) - {"G1-poseMaskLoss"} and lines[4] == "evaluate --minutes 5"
    calls.write_text("evaluate\n")
    done = subprocess.run(["bash", *script], env=settings | {"ONCE": "1"})
    assert done.returncode == 3 and len(calls.read_text().splitlines()) == 2
    calls.write_text("evaluate\n" * 2)
    command.write_text(f'#!/bin/sh\necho "$@" >> {calls}\nsleep 1\n')  # all done at once
    done = subprocess.run(["bash", *script], env=settings | {"ONCE": "1", "MINUTES": "0.11"})
    lines = calls.read_text().splitlines()[2:]
    assert done.returncode == 3 and len(lines) == 1  # no time is left for the others
    assert 0.1 <= float(lines[0].split()[-1]) <= 0.11
