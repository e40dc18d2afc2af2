"""Progress with a fake clock and a fake stream; no real time passes."""

import io
import subprocess
import sys

import pytest

from pg2lib.core.files import UserError
from pg2lib.core.progress import Progress, track


class Clock:
    """Seconds that pass only when told to."""

    now = 100.0

    def __call__(self):
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def mode(monkeypatch):
    return lambda name: monkeypatch.setenv("PG2_PROGRESS", name)


@pytest.fixture
def no_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)  # makes `from tqdm import` fail


def run(clock, stream, ticks, seconds, total, start=0, note=""):
    """Do `ticks` units of work, each lasting `seconds`; return what was written."""
    with Progress("G1", total, start, "steps", stream, clock) as progress:
        for done in range(start + 1, start + ticks + 1):
            clock.now += seconds
            progress.update(done, note)
    return stream.getvalue()


def test_plain_lines_come_every_ten_seconds_and_first_and_last(mode):
    mode("plain")
    lines = run(Clock(), io.StringIO(), 25, 1.0, 25).splitlines()
    assert lines == [
        "G1:   0% (0 of 25 steps)",
        "G1:  40% (10 of 25 steps), 0:10 gone, 0:15 left",
        "G1:  80% (20 of 25 steps), 0:20 gone, 0:05 left",
        "G1: 100% (25 of 25 steps), 0:25 gone",
    ]


def test_resumed_work_estimates_from_its_own_speed(mode):
    mode("plain")
    lines = run(Clock(), io.StringIO(), 1, 30.0, 200, start=100).splitlines()
    assert lines == [
        "G1:  50% (100 of 200 steps)",
        # 99 steps left at 30 s each; counting the 100 old steps as free would give 0:29
        "G1:  50% (101 of 200 steps), 0:30 gone, 49:30 left",
    ]


def test_interrupted_work_says_where_it_stopped(mode):
    mode("plain")
    stream, clock = io.StringIO(), Clock()
    with pytest.raises(ValueError), Progress("G1", 50, stream=stream, clock=clock) as progress:
        clock.now += 7
        progress.update(7, "L1 0.20")
        raise ValueError
    last = stream.getvalue().splitlines()[-1]
    assert last == "G1:  14% (7 of 50), 0:07 gone, 0:43 left, L1 0.20"


def test_unknown_and_empty_totals(mode):
    mode("plain")
    assert run(Clock(), io.StringIO(), 1, 3700.0, None).splitlines() == [
        "G1: 0 steps",
        "G1: 1 steps, 1:01:40 gone",
    ]
    assert run(Clock(), io.StringIO(), 0, 1.0, 0) == "G1: 100% (0 of 0 steps)\n"


def test_own_bar_is_one_line_of_the_terminal_width(mode, no_tqdm, monkeypatch):
    mode("bar")
    monkeypatch.setenv("COLUMNS", "40")
    written = run(Clock(), io.StringIO(), 25, 1.0, 25, note="a note too long for the line")
    assert written.endswith("\n") and written.count("\n") == 1
    drawings = written[:-1].split("\r")[1:]
    assert len(drawings) == 26 and {len(drawing) for drawing in drawings} == {39}
    assert drawings[10].startswith("G1:  40% (10 of 25 steps)")


def test_own_bar_does_not_flood_the_terminal(mode, no_tqdm):
    mode("bar")
    written = run(Clock(), io.StringIO(), 1000, 0.01, 1000)
    assert 90 <= written.count("\r") <= 110  # 10 s of work, every 0.1 s


def test_tqdm_bar_counts_earlier_work(mode):
    pytest.importorskip("tqdm")
    mode("bar")
    written = run(Clock(), io.StringIO(), 30, 0.0, 100, start=70, note="L1 0.20")
    last = written.rstrip("\n").split("\r")[-1]
    assert "100/100" in last and "L1 0.20" in last
    assert " 70%" in written and "  0%" not in written


def test_auto_draws_a_bar_on_a_terminal_and_lines_elsewhere(mode, no_tqdm):
    mode("auto")
    assert "\r" in run(Clock(), Terminal(), 2, 1.0, 2)
    assert "\r" not in run(Clock(), io.StringIO(), 2, 1.0, 2) != ""


def test_a_notebook_gets_one_line_that_is_rewritten_or_nothing(mode, monkeypatch):
    shell = type("ZMQInteractiveShell", (), {})()
    fake = type("IPython", (), {"get_ipython": staticmethod(lambda: shell)})
    monkeypatch.setitem(sys.modules, "IPython", fake)
    mode("auto")
    shown = run(Clock(), Terminal(), 2, 1.0, 2)
    assert shown.count("\n") == 1 and shown.count("\r") > 1 and "100%" in shown
    mode("off")
    assert run(Clock(), Terminal(), 2, 1.0, 2) == ""


def test_off_is_silent(mode):
    mode("off")
    assert run(Clock(), Terminal(), 25, 1.0, 25) == ""


def test_an_unknown_mode_is_a_users_mistake(mode):
    mode("loud")
    with pytest.raises(UserError, match="PG2_PROGRESS.*'loud'"):
        Progress("G1", 3)


def test_track_yields_everything_and_counts_finished_items(mode, capsys):
    mode("plain")
    assert list(track("abc", "letters")) == list("abc")
    assert list(track(iter("ab"), "letters", unit="items")) == list("ab")
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(", ")[0] for line in lines] == [
        "letters:   0% (0 of 3)",
        "letters: 100% (3 of 3)",
        "letters: 0 items",
        "letters: 2 items",
    ]


def test_leaving_a_tracked_loop_early_shows_what_was_finished(mode, capsys):
    mode("plain")
    items = track("abcd", "letters")
    for item in items:
        if item == "c":
            break
    items.close()
    assert capsys.readouterr().err.splitlines()[-1].startswith("letters:  50% (2 of 4)")


def test_importing_progress_imports_no_display_library():
    code = "import sys, pg2lib.core.progress; print({'tqdm', 'IPython'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
