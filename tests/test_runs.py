"""The run store: keys, HIT and MISS with reasons, locks and damage."""

import multiprocessing
import time

import pytest

from pg2lib.core.files import UserError
from pg2lib.workflow import run_store as runs


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("PG2_RUNS", str(tmp_path))
    return tmp_path


def make(step, text="result"):
    with runs.claim(step) as folder:
        (folder / "out.txt").write_text(text)
    runs.finish(step, ["out.txt"], 1.5)


def test_a_finished_step_is_a_hit_and_a_changed_one_tells_what_changed():
    step = runs.Step("train", "x", {"batch": 8, "rate": 0.1}, {"data": "abc"})
    assert "not been made" in runs.state(step).reason
    make(step)
    assert runs.state(step).hit
    other = runs.Step("train", "x", {"batch": 16, "rate": 0.1}, {"data": "abc"})
    assert runs.state(other) == runs.State(False, "batch: 8 -> 16")
    moved = runs.Step("train", "x", {"batch": 8, "rate": 0.1}, {"data": "xyz"})
    assert runs.state(moved).reason == "its input data changed"


def test_a_stopped_step_and_a_lost_output_are_misses():
    step = runs.Step("train", "x", {})
    with runs.claim(step):
        pass
    assert "interrupted" in runs.state(step).reason
    make(step)
    (step.folder / "out.txt").unlink()
    assert "out.txt is gone" in runs.state(step).reason


def test_a_damaged_output_is_noticed_before_use():
    step = runs.Step("train", "x", {})
    make(step)
    assert runs.checked(step, "out.txt").read_text() == "result"
    (step.folder / "out.txt").write_text("resulx")  # same size
    with pytest.raises(UserError, match="damaged"):
        runs.checked(step, "out.txt")


def hold(step, seconds, ready):
    with runs.claim(step):
        ready.set()
        time.sleep(seconds)


def test_a_second_process_waits_for_the_first():
    step = runs.Step("train", "x", {})
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=hold, args=(step, 0.5, ready))
    process.start()
    assert ready.wait(10)
    waited = []
    with runs.claim(step, lambda: waited.append(True)):
        assert waited == [True]
    process.join()


def test_a_users_figures_are_kept_beside_the_runs_and_not_in_the_project(store, monkeypatch):
    monkeypatch.setenv("PG2_FIGURES", str(store / "mine"))
    assert runs.named_folder("a") == store / "mine" / "a" and (store / "mine" / "a").is_dir()
    monkeypatch.delenv("PG2_FIGURES")
    assert runs.named_folder("a") == store / "figures" / "a"
    monkeypatch.delenv("PG2_RUNS")
    assert runs.figures() == runs.project() / "runs" / "figures"
    assert runs.shipped_figures() == runs.project() / "figures"
