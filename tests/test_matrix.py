"""`pg2 matrix`: the lines that many machines share, in order, and what they cost."""

import json
import re
import shlex

import pytest

from pg2lib import cli, commands
from pg2lib.core.config import Study
from pg2lib.core.files import UserError, write_json
from pg2lib.workflow import matrix, pipeline
from pg2lib.workflow import run_store as runs

STUDY = Study(profile="smoke")


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("PG2_RUNS", str(tmp_path))
    return tmp_path


def finish(step, facts=None):
    with runs.claim(step) as folder:
        (folder / "log.jsonl").touch()
    runs.finish(step, ["log.jsonl"], 1.0, facts)


def commands_of(entries):
    return [entry["command"].split(" --")[0] for entry in entries]


def test_seeds_may_be_ranges():
    assert Study(seeds="0-4").seeds == (0, 1, 2, 3, 4)
    assert Study(seeds="7,0-1").seeds == (7, 0, 1)
    assert Study(seeds="3-3").seeds == (3,)
    for wrong in ("4-0", "0-1,1", "-1", "0-1000", "0-", "-", "0-10000000000000000000000"):
        with pytest.raises(UserError, match="whole numbers"):
            Study(seeds=wrong)


def test_lines_come_in_the_order_in_which_they_can_be_done():
    studies = [Study(profile="smoke", seeds=(0, 1))]
    entries = matrix.lines(matrix.jobs(studies, ("condition", "G1-L1", "G1+G2+D")))
    assert [(entry["wave"], *entry["command"].split()[1:3]) for entry in entries] == [
        (1, "data", "prepare"),
        (2, "train", "keypoints"),
        (2, "train", "G1-L1"), (2, "train", "G1-L1"),
        (2, "train", "G1-poseMaskLoss"), (2, "train", "G1-poseMaskLoss"),
        (3, "train", "G1+G2+D"), (3, "train", "G1+G2+D"),
        (3, "evaluate", "condition"),
        (3, "evaluate", "G1-L1"), (3, "evaluate", "G1-L1"),
        (4, "evaluate", "G1+G2+D"), (4, "evaluate", "G1+G2+D"),
    ]  # fmt: skip
    wave = {entry["key"]: entry["wave"] for entry in entries}
    assert all(wave[need] < entry["wave"] for entry in entries for need in entry["needs"])
    by_key = {entry["key"]: entry for entry in entries}
    refining = next(e for e in entries if e["command"].startswith("pg2 train G1+G2+D"))
    assert sorted(by_key[need]["step"] for need in refining["needs"]) == [
        "data/synthetic-market-smoke",
        "train/synthetic-market-smoke/G1-poseMaskLoss",
    ]


def test_every_data_set_has_lines_of_its_own():
    studies = [Study(name, "smoke") for name in ("synthetic-market", "synthetic-fashion")]
    entries = matrix.lines(matrix.jobs(studies, ("G1-L1",)), wave=2)
    assert [entry["step"] for entry in entries] == [
        f"train/{study.dataset}-smoke/{name}"
        for study in studies
        for name in ("keypoints", "G1-L1")
    ]


def test_what_the_run_store_holds_is_left_out():
    found = matrix.jobs([STUDY], ("G1+G2+D",))
    finish(pipeline.data_step(STUDY))
    finish(pipeline.train_step(STUDY, "G1-poseMaskLoss"))
    entries = matrix.lines(found)
    assert commands_of(entries) == [
        "pg2 train keypoints", "pg2 train G1+G2+D", "pg2 evaluate G1+G2+D",
    ]  # fmt: skip
    assert entries[1]["needs"] == [] and entries[1]["wave"] == 3  # waves keep their numbers
    assert set(entries[2]["needs"]) == {entries[0]["key"], entries[1]["key"]}
    assert matrix.lines(found, wave=1) == []
    assert matrix.lines(found, wave=4) and matrix.lines(found, wave=5) == []  # after the last
    with pytest.raises(UserError, match="the first is 1"):
        matrix.lines(found, wave=0)


def test_launchers_hand_out_every_wave_that_any_row_has():
    every = matrix.jobs([STUDY], matrix.rows_of("all,ablations,successors"))
    launchers = runs.project() / "docs" / "launchers"
    counted = {"xargs.sh": r"for wave in ([\d ]+);", "slurm.py": r'for wave in "(\d+)"'}
    for name, pattern in counted.items():
        [waves] = re.findall(pattern, (launchers / name).read_text())
        assert [int(n) for n in waves.replace(" ", "")] == sorted({job.wave for job in every}), name


def test_the_cost_is_that_of_the_same_training_with_another_seed():
    """Two seconds on one thread of a CPU; on two GPUs, twice the GPU time."""
    other, changed = (
        Study(profile="smoke", seeds=(3,), overrides=o) for o in ((), ("channels=8",))
    )
    on_cpu = {"device": "cpu", "processes": 1, "seconds": 2.0}  # of all calls
    on_gpus = on_cpu | {"device": "cuda", "processes": 2}
    finish(pipeline.train_step(other, "G1-L1"), on_cpu)
    finish(pipeline.train_step(other, "G1+D"), on_gpus)
    finish(pipeline.train_step(changed, "G1-CE-L1"), on_cpu)
    entries = matrix.lines(matrix.jobs([STUDY], ("G1-L1", "G1+D", "G1-CE-L1")))
    cost = {e["step"].split("/")[-1]: e for e in entries if e["step"].startswith("train")}
    assert cost["G1-L1"]["core_hours"] == pytest.approx(2 / 3600, abs=1e-6)
    assert cost["G1-L1"]["measured"] == "in the store" and cost["G1-L1"]["gpu_hours"] is None
    assert cost["G1+D"]["gpu_hours"] == pytest.approx(4 / 3600, abs=1e-6)
    assert cost["G1-CE-L1"]["core_hours"] is cost["G1-CE-L1"]["gpu_hours"] is None
    assert "# wave 2, 0.0011 GPU-hours (in the store)" in matrix.text(entries)
    assert "cost unknown" in matrix.text(entries)


def test_the_cost_of_a_study_that_comes_with_the_project_is_that_of_its_run(monkeypatch):
    took = {"data synthetic-market-quick": 36.0, "train synthetic-market-quick/G1-L1": 72.0}
    machine = {"cores": 2, "gpu": None}
    monkeypatch.setattr(matrix, "recorded_runs", lambda: [(took, machine)])
    found = {e["step"]: e for e in matrix.lines(matrix.jobs([Study(seeds=(2,))], ("G1-L1",)))}
    assert found["data/synthetic-market-quick"]["core_hours"] == pytest.approx(0.02)
    trained = found["train/synthetic-market-quick-seed2/G1-L1"]
    assert trained["core_hours"] == pytest.approx(0.02)  # it keeps to one thread
    assert found["train/synthetic-market-quick/keypoints"]["measured"] is None
    changed = matrix.lines(matrix.jobs([Study(overrides=("iterations=9",))], ("G1-L1",)), 2)
    assert [entry["measured"] for entry in changed] == [None, None]


def test_the_cost_at_the_papers_size_is_that_of_the_benchmarks(store, monkeypatch):
    line = {"what": "G1-L1 step, plain float32", "value": 3.6, "note": "128x64, batch 16, 70"}
    part = {"sections": {"training": {"lines": [line]}}, "machine": {"cores": 2}}
    write_json(store / "benchmarks" / "results.json", {"cpu": part})
    monkeypatch.setattr(runs, "project", lambda: store)
    monkeypatch.setattr(matrix, "recorded_runs", lambda: [])
    study = Study(profile="paper")
    [_, trained] = matrix.lines(matrix.jobs([study], ("G1-L1",)), 2)
    iterations = pipeline.method_config(study, "G1-L1").iterations
    assert trained["core_hours"] == pytest.approx(iterations * 3.6 * 2 / 3600)
    assert trained["measured"] == "in the benchmarks"


def test_every_line_is_a_command_of_the_same_study(capsys):
    given = ["--datasets", "synthetic-market,synthetic-fashion", "--profile", "smoke",
             "--seeds", "0-1", "--set", "iterations=9", "--set", "G1-L1.schedule=linear",
             "--test-pairs", "20", "--device", "cpu"]  # fmt: skip
    assert cli.main(["matrix", "--rows", "G1-L1,condition", *given]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 * (1 + 3 + 3) and all("  # wave " in line for line in lines)
    studies = {(name, seed): Study(name, "smoke", seed, device="cpu", overrides=(
        "iterations=9", "G1-L1.schedule=linear", "test_pairs=20")) for seed in (0, 1)
        for name in ("synthetic-market", "synthetic-fashion")}  # fmt: skip
    found = set()
    for line in lines:
        name, *words = shlex.split(line, comments=True)  # as a shell reads it
        options = cli.parser().parse_args(words)
        study = commands.study_of(options)
        assert name == "pg2" and study == studies[study.dataset, study.seed]
        found.add((study.dataset, study.seed, *words[:2]))
    assert len(found) == len(lines)


def test_matrix_as_json(capsys):
    assert cli.main(["matrix", "--rows", "G1-L1", "--profile", "smoke", "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert commands_of(entries)[-1] == "pg2 evaluate G1-L1"
    assert set(entries[0]) == {
        "step", "key", "wave", "needs", "command", "core_hours", "gpu_hours", "measured",
    }  # fmt: skip


def test_a_row_that_is_not_there_is_told(capsys):
    assert cli.main(["matrix", "--rows", "G1-L2", "--profile", "smoke"]) == 2
    assert "unknown row 'G1-L2'; did you mean G1-L1?" in capsys.readouterr().err
    assert matrix.rows_of("all,G1-L1") == pipeline.all_rows()
