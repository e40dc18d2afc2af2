"""The benchmark runs, its pages say what its numbers say, and the plan adds up."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import __main__ as bench
from benchmarks import common, plan
from pg2lib.models import experiments
from pg2lib.training import describe

PROJECT = Path(__file__).resolve().parent.parent
RESULTS = PROJECT / "benchmarks" / "results.json"


def test_sections_run_and_write_their_lines(tmp_path):
    sections = ("start-up", "training and generation", "scores", "data", "pose studio")
    command = [sys.executable, "-m", "benchmarks", "--check", "--device", "cpu", "--out", tmp_path]
    command += [word for name in sections for word in ("--only", name)]
    done = subprocess.run(
        command, cwd=PROJECT, env=common.environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "results.json").read_text())["cpu"]
    assert set(written["sections"]) == set(sections) and written["machine"]["cores"] >= 1
    lines = [line for section in written["sections"].values() for line in section["lines"]]
    assert all(line["value"] >= 0 for line in lines) and len(lines) > 20
    equal = [line for line in lines if "largest difference" in line["what"]]
    assert len(equal) == 4 and all(line["met"] for line in equal)  # SSIM is scikit-image's
    page = (tmp_path / "results.md").read_text()
    assert all(line["what"] in page for line in lines)


def test_a_section_that_is_not_there_is_told():
    command = [sys.executable, "-m", "benchmarks", "--only", "speed"]
    done = subprocess.run(
        command, cwd=PROJECT, env=common.environment(), capture_output=True, text=True
    )
    assert done.returncode == 2 and "unknown section 'speed'" in done.stderr


def test_the_committed_page_is_that_of_the_committed_numbers():
    results = json.loads(RESULTS.read_text())
    assert (PROJECT / "benchmarks" / "results.md").read_text() == bench.page(results)
    entry = results["cpu"]
    assert entry["command"] == "make bench" and set(entry["sections"]) == set(bench.SECTIONS)


def test_medians_leave_the_warm_up_out_and_rounds_alternate():
    order = []

    def call(name, values=(9, 1, 3, 2)):
        order.append(name)
        return values[order.count(name) - 1]

    took = common.interleaved({"a": lambda: call("a"), "b": lambda: call("b")}, repeats=3)
    assert took == {"a": [1, 3, 2], "b": [1, 3, 2]} and common.median(took["a"]) == 2
    assert order == ["a", "b"] * 4


def test_the_plan_counts_the_operations_that_describe_counts():
    """G1 alone: three times its forward pass, for a batch; G2 pays for the frozen G1 once."""
    told = {s["stage"]: s for e in describe.describe("deepfashion", "paper") for s in e["stages"]}
    hours = {row["stage"]: row for row in plan.plan(1e12)}
    batch = experiments.SETTINGS["deepfashion"].batch
    step = 3 * told["G1-L1"]["gflops"] * batch / 1e3
    assert hours["G1-L1"]["tflop_per_step"] == pytest.approx(step, rel=1e-3)
    assert hours["G1-L1"]["gpu_hours"] == pytest.approx(step * 30_000 / 3600, rel=1e-3)
    alone = (3 * told["G2+D"]["gflops"] + told["G1-L1"]["gflops"]) * batch / 1e3
    assert alone < hours["G2+D"]["tflop_per_step"] < 1.1 * alone  # the rest is D


def test_the_plan_hands_out_stages_by_hand():
    hours = {"G1-poseMaskLoss": 3.0, "G1-L1": 1.0, "G2+D": 2.0}  # times three seeds
    assert plan.makespan(hours, 1) == pytest.approx(18)
    assert plan.makespan(hours, 9) == pytest.approx(5)  # G2+D waits for its G1
    assert plan.makespan(hours, 18) == pytest.approx(5 / (2 * plan.PARALLEL))  # two share a batch


def test_numbers_are_short_and_units_keep_their_sense():
    told = {0: "0", 0.00012: "1.2e-04", 0.0042: "0.0042", 3.14159: "3.14", 1234.5: "1,234"}
    assert {value: bench.number(value) for value in told} == told
