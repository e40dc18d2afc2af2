"""Several processes: the same curve as one, one writes, resume with another number of them."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import smoke
import torch
from shared_training import shared_stage

from pg2lib.core import distributed
from pg2lib.core.files import UserError
from pg2lib.data import dataset as datasets
from pg2lib.data.prepare import prepare
from pg2lib.models.discriminators import D
from pg2lib.training import loop as training

PROJECT = Path(__file__).resolve().parent.parent


def torchrun(*command, processes=2, runs=None):
    """Run a command in several processes; its (exit status, output)."""
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    environment |= {"PG2_RUNS": str(runs)} if runs else {}
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    start += ["--nproc-per-node", str(processes), *map(str, command)]
    done = subprocess.run(start, capture_output=True, text=True, env=environment, timeout=300)
    return done.returncode, done.stdout + done.stderr


def pg2(*command, runs):
    """One process of the command line; its output."""
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "PG2_RUNS": str(runs)}
    command = [sys.executable, "-m", "pg2lib", *command]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return done.stdout


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    prepare(smoke.data_settings(), folder)
    return folder


@pytest.fixture(scope="module")
def trained(store, tmp_path_factory):
    """A folder in which one process and two have trained the same stage."""
    folder, data, stage = (
        tmp_path_factory.mktemp("runs"),
        datasets.load(store),
        shared_stage("G1+D"),
    )
    training.train(stage, data, folder / "one")
    training.train(stage, data, folder / "from-one", checkpoint_seconds=0, stop_after=5)
    status, output = torchrun(PROJECT / "tests" / "shared_training.py", store, folder)
    assert status == 0, output
    training.train(stage, data, folder / "from-two")  # begun by two processes
    return folder


@pytest.mark.parametrize("name", ["two", "from-two", "from-one"])
def test_the_curve_is_that_of_one_process(trained, name):
    """G1+D, whose D normalises over the whole batch, 12 steps: every logged number to 1e-3."""
    one, other = (training.read_log(trained / folder / "log.jsonl") for folder in ("one", name))
    assert [record["step"] for record in other] == list(range(1, 13))
    for a, b in zip(one, other, strict=True):
        for term in ("l1", "generator", "adversarial", "discriminator", "d_real", "d_fake"):
            assert b[term] == pytest.approx(a[term], rel=1e-3), (a["step"], term)
    assert one[0]["generator"] != pytest.approx(one[-1]["generator"], rel=0.02)  # it moved


def test_the_weights_are_those_of_one_process(trained):
    one, two = (
        torch.load(trained / name / "weights.pt", weights_only=True) for name in ("one", "two")
    )
    assert one.keys() == two.keys() and one["config"] == two["config"]
    for part in ("generator", "discriminator"):
        for name, weight in one["networks"][part].items():
            if part == "discriminator" and re.fullmatch(r"convs\.[1-9]\.bias", name):
                continue  # the normalisation takes it out again: its gradient is rounding noise
            moved = (two["networks"][part][name] - weight).abs().max()
            assert moved < 2e-3, (part, name)  # 12 steps of 1e-3 each could move them by 12e-3


def test_one_process_writes(trained):
    files = {path.name for path in (trained / "two").rglob("*") if path.is_file()}
    assert {"log.jsonl", "weights.pt"} <= files and not any("tmp" in name for name in files)
    assert len(training.read_log(trained / "two" / "log.jsonl")) == 12  # not 24


def test_a_batch_that_cannot_be_shared_is_told(store, monkeypatch, tmp_path):
    monkeypatch.setattr(distributed, "world", lambda: 3)
    with pytest.raises(UserError, match="3 processes cannot share a batch of 4"):
        training.train(shared_stage("G1-L1"), datasets.load(store), tmp_path)


def test_batch_norm_over_processes_is_that_of_the_whole_batch(monkeypatch):
    """The formula for several processes, with one, against PyTorch's own, with its gradient."""
    torch.manual_seed(0)
    discriminator = D(32, 16, channels=4)
    images = torch.randn(6, 6, 32, 16)
    results = []
    for processes in (1, 2):  # two that hold the same images: the statistics are the same
        monkeypatch.setattr(distributed, "world", lambda processes=processes: processes)
        monkeypatch.setattr(distributed, "total", lambda tensor, n=processes: n * tensor)
        x = images.clone().requires_grad_()
        logits = discriminator(x)
        results.append((logits.detach(), torch.autograd.grad(logits.square().sum(), x)[0]))
    for plain, ours in zip(*results, strict=True):
        torch.testing.assert_close(plain, ours, rtol=1e-4, atol=1e-6)


def test_train_and_evaluate_under_torchrun_give_the_numbers_of_one_process(tmp_path):
    """The commands themselves: two processes evaluate, one evaluates: the same bytes."""
    smoke = ("G1-L1", "--profile", "smoke", "--device", "cpu")
    two, one = tmp_path / "two", tmp_path / "one"
    status, output = torchrun("-m", "pg2lib", "train", *smoke, runs=two)
    assert status == 0, output
    assert output.count("train    synthetic-market-smoke/G1-L1") == 1  # one process talks
    shutil.copytree(two, one)
    status, output = torchrun("-m", "pg2lib", "evaluate", *smoke, runs=two)
    assert status == 0, output
    pg2("evaluate", *smoke, runs=one)
    folders = [next(runs.glob("evaluate/*/G1-L1-*")) for runs in (one, two)]
    assert folders[0].name == folders[1].name
    for name in ("generated.npy", "pairs.csv", "summary.json"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes(), name
    facts = json.loads((next(two.glob("train/*/G1-L1-*")) / "done.json").read_text())["facts"]
    assert facts["processes"] == 2


def test_what_is_not_for_several_processes_says_so(tmp_path):
    status, output = torchrun("-m", "pg2lib", "describe", runs=tmp_path)
    assert status != 0 and "pg2: torchrun is for" in output


@pytest.mark.skipif(shutil.which("sh") is None, reason="needs a POSIX shell")
def test_two_rows_train_at_once_into_one_store(tmp_path):
    """Two jobs, as a scheduler starts them: they share data and a stage, neither harms the other,
    and they end as one after the other would."""
    command = '"$PYTHON" -m pg2lib {} "$ROW" --profile smoke --device cpu'
    line = f"{command.format('train')} && {command.format('evaluate')}"
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    environment |= {"PYTHON": sys.executable, "PG2_RUNS": str(tmp_path / "both")}
    jobs = [
        subprocess.Popen(
            ["sh", "-c", line],
            cwd=PROJECT,
            env=environment | {"ROW": row},
            stdout=subprocess.PIPE,
            text=True,
        )
        for row in ("G1-poseMaskLoss", "G1+G2+D")
    ]
    outputs = [job.communicate(timeout=300)[0] for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0], outputs
    done = sorted(path.parent for path in (tmp_path / "both").glob("*/*/*/done.json"))
    names = [f"{path.parts[-3]} {path.name.rsplit('-', 1)[0]}" for path in done]
    scored = ["evaluate G1+G2+D", "evaluate G1-poseMaskLoss"]
    trained = ["train G1+G2+D", "train G1-poseMaskLoss", "train keypoints"]
    assert names == [*scored, "paint G1-poseMaskLoss", *trained]
    assert any("another process works on it" in output for output in outputs)
    pg2("evaluate", "G1+G2+D", "--profile", "smoke", "--device", "cpu", runs=tmp_path / "alone")
    for path in [path for path in done if path.parts[-3] == "train"]:
        a, b = (
            torch.load(tmp_path / runs / path.relative_to(tmp_path / "both") / "weights.pt",
                       weights_only=True)["networks"]
            for runs in ("both", "alone")
        )  # fmt: skip
        for name, network in a.items():
            assert all(torch.equal(tensor, b[name][key]) for key, tensor in network.items())
