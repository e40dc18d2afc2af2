"""Progress on captured streams; no real time passes."""

import os
import struct
import sys

import pytest

from pg2lib.core import progress
from pg2lib.core.files import UserError
from pg2lib.core.progress import reporting


@pytest.fixture
def mode(monkeypatch):
    return lambda name: monkeypatch.setenv("PG2_PROGRESS", name)


@pytest.fixture
def written(capsys):
    """Do the work from `start` to `total` at once; return what is on standard error."""

    def run(total, start=0, note=""):
        with reporting("G1") as report:
            for done in range(start, total + 1):
                report(done, total, note)
        return capsys.readouterr().err

    return run


def test_plain_lines_are_whole_lines_and_show_start_and_end(mode, written):
    mode("plain")
    text = written(25, note="L1 0.20")
    first, last = text.splitlines()
    assert "\r" not in text
    assert first.startswith("G1:   0% 0/25")
    assert last.startswith("G1: 100% 25/25") and "L1 0.20" in last


def test_plain_lines_come_every_ten_seconds(mode, written, monkeypatch):
    mode("plain")
    assert progress.SECONDS["plain"] == 10
    monkeypatch.setitem(progress.SECONDS, "plain", 0)  # every update is due
    assert len(written(5).splitlines()) == 7


def test_interrupted_work_shows_where_it_stopped(mode, capsys):
    mode("plain")
    with pytest.raises(ValueError), reporting("G1") as report:
        report(0, 50)
        report(7, 50, "L1 0.20")
        raise ValueError
    assert capsys.readouterr().err.splitlines()[-1].startswith("G1:  14% 7/50")


def test_an_unknown_total_shows_a_count(mode, capsys):
    mode("plain")
    with reporting("G1") as report:
        report(0)
        report(3)
    assert capsys.readouterr().err.splitlines()[-1].startswith("G1: 3 it")


def test_the_bar_counts_earlier_work_on_one_line(mode, written):
    mode("bar")
    text = written(100, start=70, note="L1 0.20")
    last = text.rstrip("\n").split("\r")[-1]
    assert "100/100" in last and "L1 0.20" in last
    assert " 70%" in text and "  0%" not in text
    assert text.count("\n") == 1


def test_auto_draws_a_bar_on_a_terminal_and_lines_elsewhere(mode, written, monkeypatch):
    mode("auto")
    assert "\r" not in written(2) != ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert "\r" in written(2)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal of Unix")
@pytest.mark.parametrize("rows, columns", [(24, 80), (0, 0), (0, 80), (24, 0)])
def test_a_terminal_that_tells_no_size_shows_a_bar_too(mode, monkeypatch, rows, columns):
    import fcntl
    import pty
    import termios

    mode("auto")
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    with open(follower, "w", encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with reporting("G1") as report:
            report(0, 29)
            report(29, 29)
        shown = b""
        while b"\n" not in shown:
            shown += os.read(leader, 4096)
    os.close(leader)
    shown = shown.decode()
    assert "G1: 100%|███" in shown and " 29/29 " in shown and "it/s]" in shown


def test_a_notebook_gets_one_line_that_is_rewritten(mode, monkeypatch, capsys):
    shell = type("ZMQInteractiveShell", (), {})()
    fake = type("IPython", (), {"get_ipython": staticmethod(lambda: shell)})
    monkeypatch.setitem(sys.modules, "IPython", fake)
    mode("auto")
    with reporting("G1") as report:
        report(0, 2)
        report(2, 2)
    text = capsys.readouterr()
    assert text.err == "" and text.out.count("\n") == 1
    assert text.out.count("\r") > 1 and "100%" in text.out


def test_off_is_silent(mode, written):
    mode("off")
    assert written(5, note="L1 0.20") == ""


def test_an_unknown_mode_is_a_users_mistake(mode):
    mode("loud")
    with pytest.raises(UserError, match="PG2_PROGRESS.*'loud'"), reporting("G1") as report:
        report(1, 3)


def test_work_without_a_report_shows_nothing(mode, capsys):
    mode("plain")
    with reporting("G1"):
        pass
    assert capsys.readouterr().err == ""
