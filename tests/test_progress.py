"""Progress on fake streams; no real time passes."""

import io
import sys

import pytest

from pg2lib.core import progress
from pg2lib.core.files import UserError
from pg2lib.core.progress import Progress, reporting


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def mode(monkeypatch):
    return lambda name: monkeypatch.setenv("PG2_PROGRESS", name)


def run(stream, total, start=0, note=""):
    """Do the work from `start` to `total` at once; return what was written."""
    with Progress("G1", total, start, "steps", stream) as bar:
        for done in range(start + 1, total + 1):
            bar.update(done, note)
    return stream.getvalue()


def test_plain_lines_are_whole_lines_and_show_start_and_end(mode):
    mode("plain")
    written = run(Terminal(), 25, note="L1 0.20")
    first, last = written.splitlines()
    assert "\r" not in written
    assert first.startswith("G1:   0% 0/25")
    assert last.startswith("G1: 100% 25/25") and "L1 0.20" in last


def test_plain_lines_come_every_ten_seconds(mode, monkeypatch):
    mode("plain")
    assert progress.SECONDS["plain"] == 10
    monkeypatch.setitem(progress.SECONDS, "plain", 0)  # every update is due
    assert len(run(io.StringIO(), 5).splitlines()) == 7


def test_interrupted_work_shows_where_it_stopped(mode):
    mode("plain")
    stream = io.StringIO()
    with pytest.raises(ValueError), Progress("G1", 50, stream=stream) as bar:
        bar.update(7, "L1 0.20")
        raise ValueError
    assert stream.getvalue().splitlines()[-1].startswith("G1:  14% 7/50")


def test_an_unknown_total_shows_a_count(mode):
    mode("plain")
    stream = io.StringIO()
    with Progress("G1", unit="steps", stream=stream) as bar:
        bar.update(3)
    assert stream.getvalue().splitlines()[-1].startswith("G1: 3 steps")


def test_the_bar_counts_earlier_work(mode):
    mode("bar")
    written = run(io.StringIO(), 100, start=70, note="L1 0.20")
    last = written.rstrip("\n").split("\r")[-1]
    assert "100/100" in last and "L1 0.20" in last
    assert " 70%" in written and "  0%" not in written
    assert written.count("\n") == 1


def test_auto_draws_a_bar_on_a_terminal_and_lines_elsewhere(mode):
    mode("auto")
    assert "\r" in run(Terminal(), 2)
    assert "\r" not in run(io.StringIO(), 2) != ""


def test_a_notebook_gets_one_line_that_is_rewritten_or_nothing(mode, monkeypatch, capsys):
    shell = type("ZMQInteractiveShell", (), {})()
    fake = type("IPython", (), {"get_ipython": staticmethod(lambda: shell)})
    monkeypatch.setitem(sys.modules, "IPython", fake)
    mode("auto")
    with Progress("G1", 2) as bar:
        bar.update(2)
    written = capsys.readouterr()
    assert written.err == "" and written.out.count("\n") == 1
    assert written.out.count("\r") > 1 and "100%" in written.out
    mode("off")
    assert run(Terminal(), 2) == ""


def test_off_is_silent(mode, capsys):
    mode("off")
    with reporting("G1") as report:
        report(1, 5)
        report(2, 5, "L1 0.20")
    assert capsys.readouterr() == ("", "")


def test_an_unknown_mode_is_a_users_mistake(mode):
    mode("loud")
    with pytest.raises(UserError, match="PG2_PROGRESS.*'loud'"):
        Progress("G1", 3)


def test_reporting_starts_where_an_earlier_process_stopped(mode, capsys):
    mode("plain")
    with reporting("G1") as report:
        report(70, 100)
        report(80, 100, "L1 0.20")
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("G1:  70%") and last.startswith("G1:  80%") and "L1 0.20" in last


def test_reporting_without_a_report_shows_nothing(mode, capsys):
    mode("plain")
    with reporting("G1"):
        pass
    assert capsys.readouterr().err == ""
