"""The run store: keys, HIT and MISS with reasons, locks and damage."""

import multiprocessing
import time

import pytest

from pg2lib.core.files import UserError
from pg2lib.workflow import pipeline
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


def test_the_time_of_a_step_is_that_of_the_call_unless_its_facts_say_otherwise():
    done = runs.Step("train", "x", {})
    with runs.claim(done):
        runs.finish(done, [], 2.0, {"device": "cpu"})
    assert runs.read_done(done)["seconds"] == 2.0
    facts = {"device": "cpu", "seconds": 50.0}
    with runs.claim(done):
        runs.finish(done, [], 2.0, facts)  # a training resumed after 48 seconds
    assert runs.read_done(done)["seconds"] == 50.0
    assert runs.read_done(done)["facts"] == {"device": "cpu"} and "seconds" in facts


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


def test_every_kind_of_result_is_an_output_and_nothing_else_is():
    step = runs.Step("train", "x", {})
    names = ["card.json", "curve.npy", "log.jsonl", "pairs.csv", "weights.pt"]
    with runs.claim(step) as folder:
        for name in (*names, "done.json", "weights.tmp", ".curve.7.npy", "x.ipynb"):
            (folder / name).write_text("")
    assert runs.results(step) == names


def test_a_step_begun_anew_keeps_only_what_is_as_it_was_written():
    step = runs.Step("train", "x", {})
    with runs.claim(step) as folder:
        for name in ("curve.npy", "log.jsonl", "weights.pt"):
            (folder / name).write_text("result")
    runs.finish(step, runs.results(step), 1.5)
    (folder / "weights.pt").unlink()  # why it is begun anew
    (folder / "curve.npy").write_text("resulx")  # same size: no state tells
    runs.begin_anew(step)
    assert {path.name for path in folder.glob("[!.]*")} == {"step.json", "log.jsonl"}


def test_a_step_that_another_process_finished_meanwhile_is_not_made_again(monkeypatch):
    step = runs.Step("train", "x", {})
    make(step)
    before = runs.read_done(step)
    states = iter([runs.State(False, "it has not been made yet"), runs.state(step)])
    monkeypatch.setattr(runs, "state", lambda step: next(states))
    folder = pipeline.ensure(step, lambda *_: pytest.fail("it was made again"))
    assert folder == step.folder and runs.read_done(step) == before


@pytest.mark.parametrize(
    "place", ["test.lst", "bounding_box_test/0001.jpg", "img/WOMEN/Dresses/id_02/02_1_front.jpg"]
)
def test_another_size_or_name_of_any_file_of_a_data_set_is_another_fingerprint(store, place):
    path, found = store / "data" / place, set()
    path.parent.mkdir(parents=True)
    for change in (
        lambda: path.write_bytes(b"one"),
        lambda: path.write_bytes(b"three"),
        lambda: path.rename(path.with_name("other.jpg")),
    ):
        change()
        runs.fingerprint.cache_clear()  # a process takes a folder to stay as it is
        found.add(runs.fingerprint(store / "data"))
    assert len(found) == 3
