"""How far a whole run is, and how it ends: its table in the terminal and what to do next."""

import json
import os
import time

import pytest

from pg2lib.results import render, terminal
from pg2lib.workflow import overview, pipeline, reproduce
from pg2lib.workflow import run_store as runs


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("PG2_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PG2_FIGURES", str(tmp_path / "figures"))
    monkeypatch.setattr(overview, "POLL", 0.01)
    return tmp_path


def step(name, kind="train"):
    return runs.Step(kind, f"drawn-quick/{name}", {"name": name})


def make(step, seconds):
    with runs.claim(step):
        pass
    runs.finish(step, [], seconds)


def test_what_is_left_follows_from_known_times_and_the_pace_of_this_machine():
    steps = [step("a"), step("b"), step("c", "evaluate"), step("new")]
    known = {"train drawn-quick/a": 40.0, "train drawn-quick/b": 60.0, "evaluate x/c": 5.0}
    # a step that was never timed takes the mean of its kind: 50; lanes share the trainings
    assert overview.remaining(steps, known, {}) == 40 + 60 + 5 + 50
    assert overview.remaining(steps, known, {}, lanes=2) == 20 + 30 + 5 + 25
    # `a` took twice as long: 120 and 10, and `new` the mean of its kind, (80 + 120) / 2
    assert overview.remaining(steps, known, {0: 80.0}) == pytest.approx(120 + 10 + 100)
    assert overview.remaining(steps, {}, {}) is None
    assert overview.remaining(steps[:2], {}, {0: 30.0}) == 30


@pytest.mark.parametrize(
    "seconds, words",
    [(2, "5 s"), (42, "40 s"), (100, "2 min"), (540, "9 min"), (7510, "2 h 05 min")],
)
def test_durations_are_round(seconds, words):
    assert overview.duration(seconds) == words


def test_a_line_counts_every_step_that_gets_done(store):
    steps, lines = [step(name) for name in "abc"], []
    make(steps[0], 10.0)
    folder = store / "figures" / "drawn-quick"
    folder.mkdir(parents=True)
    known = {f"train drawn-quick/{name}": 600.0 for name in "abc"}
    (folder / "run.json").write_text(json.dumps({"steps": known}))
    entries = [(one, runs.state(one)) for one in steps]
    with overview.log_steps(entries, [folder], 1, lines.append):
        make(steps[1], 300.0)
        while len(lines) < 2:
            time.sleep(0.01)
        make(steps[2], 300.0)
    assert lines == [
        "-- step 1 of 3 done, about 20 min left in all",
        "-- step 2 of 3 done, about 5 min left in all",
        "-- step 3 of 3 done",
    ]
    lines.clear()
    with overview.log_steps([(one, runs.state(one)) for one in steps], [folder], 1, lines.append):
        pass
    assert lines == []


def test_a_record_from_before_the_run_is_no_progress():
    one, lines = step("a"), []
    make(one, 10.0)
    os.utime(one.folder / "done.json", (1, 1))
    entries = [(one, runs.State(False, "its output weights.pt is gone"))]
    with overview.log_steps(entries, [], 1, lines.append):
        pass
    assert lines == ["-- step 0 of 1 done"]


def value(mean, spread=""):
    return f"{mean:.3f} [{mean - 0.01:.3f}, {mean + 0.01:.3f}]{spread}"


WIDE = render.View(
    "A table",
    ["", "SSIM", "paper SSIM", "IS", "paper IS", "mask-SSIM"],
    [
        ["copied", value(0.1), "—", "no weights", "—", value(0.5)],
        ["G1-L1", value(0.295, " ± 0.002"), "0.304", "no weights", "3.006ᵃ", value(0.674)],
    ],
    [],
    ["a note"],
)


def test_a_table_in_the_terminal_is_aligned_and_without_empty_columns():
    assert terminal.text(WIDE, 80).splitlines() == [
        "A table",
        "",
        "               paper",
        "         SSIM   SSIM  mask-SSIM",
        "------  -----  -----  ---------",
        "copied  0.100      —      0.500",
        "G1-L1   0.295  0.304      0.674",
    ]


@pytest.mark.parametrize("width", [16, 25, 40])
def test_a_wide_table_continues_below_beside_its_rows(width):
    lines = terminal.text(WIDE, width).splitlines()
    assert max(map(len, lines)) <= max(width, len("copied  mask-SSIM"))
    blocks = sum(line.startswith("copied") for line in lines)
    assert blocks == {16: 3, 25: 2, 40: 1}[width] and sum("0.674" in line for line in lines) == 1


def test_a_run_ends_with_its_table_and_what_to_do_next(store, monkeypatch):
    study = pipeline.Study(profile="smoke")
    steps, lines = [step(name) for name in "ab"], []

    def score(study, claims, log, until):
        for one in steps:
            make(one, 1.0)

    def present(study, claims, log, until):
        record = {"columns": ["ssim"], "facts": {"command": study.command}, "title": "Table 1",
                  "rows": [{"row": "G1-L1", "label": "G1-L1", "ours": {"ssim": {"mean": 0.25}},
                            "paper": {}}], "notes": []}  # fmt: skip
        render.write(pipeline.figures_folder(study), "table1", record)
        reproduce.log_table(pipeline.figures_folder(study), log)

    monkeypatch.setattr(reproduce, "plan", lambda *_: [(one, runs.state(one)) for one in steps])
    monkeypatch.setattr(reproduce, "score", score)
    monkeypatch.setattr(reproduce, "present", present)
    monkeypatch.setattr(reproduce, "report", lambda *_: {})
    monkeypatch.setattr(reproduce.trainings, "check", lambda *_: True)
    monkeypatch.chdir(store)
    assert reproduce.reproduce([study], log=lines.append)
    assert lines[0] == "-- step 0 of 2 done" and "-- step 2 of 2 done" in lines
    text = "\n".join(lines)
    assert "G1-L1  0.250" in text and "| G1-L1 |" not in text
    after = text.partition("\nnext:\n")[2]
    assert "make report" in after and "make lab" in after and "make claims DATASET=" in after
