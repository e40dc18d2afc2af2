"""How far long work has come, on standard error: a bar on a terminal, plain lines elsewhere.

PG2_PROGRESS chooses: "bar", "plain", "off", or "auto" (default), which draws a bar on a
terminal, prints a line now and then into a file or pipe, and in a notebook rewrites one line of
the cell's output. Whoever runs notebooks unattended sets "off".
"""

import os
import shutil
import sys
import time
from contextlib import contextmanager

from pg2lib.core.files import UserError

MODES = ("auto", "bar", "plain", "off")
INTERVAL = {"bar": 0.1, "plain": 10.0}  # seconds between two displays


def track(iterable, label, total=None, unit=""):
    """Yield the items of `iterable` and show how many have been worked on.

    Args:
        iterable: anything to loop over.
        label: what the work is, a few words.
        total: number of items; None takes len(iterable), where it has one.
        unit: what an item is, in the plural.

    Raises:
        UserError: PG2_PROGRESS is none of the modes.
    """
    if total is None and hasattr(iterable, "__len__"):
        total = len(iterable)
    with Progress(label, total, unit=unit) as progress:
        for done, item in enumerate(iterable, start=1):
            yield item
            progress.update(done)


@contextmanager
def reporting(label):
    """Yield a function report(done, total, note="") that shows how far the work `label` is.

    What the first call reports is taken for the work of an earlier process.
    """
    shown = None

    def report(done, total, note=""):
        nonlocal shown
        if shown is None:
            shown = Progress(label, total, start=done)
        shown.update(done, note)

    try:
        yield report
    finally:
        if shown is not None:
            shown.close()


class Progress:
    """Shows work that counts itself: `with Progress("G1", 22_000) as p: p.update(1)`.

    Args:
        label: what the work is, a few words.
        total: amount of work, None if unknown (then neither percent nor time left is shown).
        start: amount done by an earlier process. It counts as done, but the time left is
            estimated from this process's own speed.
        unit: what is counted, in the plural.
        stream: where to write; None is standard error.
        clock: function returning seconds.

    Raises:
        UserError: PG2_PROGRESS is none of the modes.
    """

    def __init__(self, label, total=None, start=0, unit="", stream=None, clock=time.monotonic):
        self.label, self.total, self.start, self.unit = label, total, start, unit
        notebook = _in_notebook()
        # in a notebook standard error would be painted red
        self.stream = stream or (sys.stdout if notebook else sys.stderr)
        self.clock = clock
        self.mode = _mode(self.stream, notebook)
        self.done, self.note, self.drawn = start, "", None
        self.began = clock()
        self.bar = None
        if self.mode == "bar" and not notebook:
            self.bar = _tqdm(label, total, start, unit, self.stream)
        self._draw(self.began)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def update(self, done, note=""):
        """Say that `done` of the total, earlier work included, is done; `note` is shown with it."""
        self.done, self.note = done, note
        if self.bar is not None:
            self.bar.set_postfix_str(note, refresh=False)
            self.bar.update(done - self.bar.n)
        elif self.mode != "off":
            now = self.clock()
            ended = done == self.total and self.drawn != done
            if ended or now - self.shown >= INTERVAL[self.mode]:
                self._draw(now)

    def close(self):
        """Show where the work ended, if that has not been shown yet."""
        if self.bar is not None:
            self.bar.close()
        elif self.drawn != self.done:
            self._draw(self.clock())
        if self.mode == "bar" and self.bar is None:
            print(file=self.stream, flush=True)

    def _draw(self, now):
        if self.bar is not None or self.mode == "off":
            return
        self.shown, self.drawn = now, self.done
        line = self._line(now - self.began)
        if self.mode == "bar":  # rewrite one line; a line too long would wrap and pile up
            width = shutil.get_terminal_size().columns - 1
            print("\r" + line[:width].ljust(width), end="", file=self.stream, flush=True)
        else:
            print(line, file=self.stream, flush=True)

    def _line(self, elapsed):
        """Such as "G1:  45% (9,900 of 22,000 steps), 3:12 gone, 3:55 left, L1 0.21"."""
        unit = f" {self.unit}" if self.unit else ""
        if self.total is None:
            parts = [f"{self.label}: {self.done:,}{unit}"]
        else:
            percent = 100 * self.done // self.total if self.total else 100
            parts = [f"{self.label}: {percent:3d}% ({self.done:,} of {self.total:,}{unit})"]
        worked = self.done - self.start
        if worked > 0:
            parts.append(f"{_duration(elapsed)} gone")
            if self.total is not None and self.done < self.total:
                parts.append(f"{_duration(elapsed / worked * (self.total - self.done))} left")
        if self.note:
            parts.append(self.note)
        return ", ".join(parts)


def _mode(stream, notebook):
    mode = os.environ.get("PG2_PROGRESS") or "auto"
    if mode not in MODES:
        raise UserError(f"PG2_PROGRESS must be one of {', '.join(MODES)}, not '{mode}'.")
    if mode != "auto":
        return mode
    return "bar" if notebook or stream.isatty() else "plain"


def _in_notebook():
    """Whether a Jupyter kernel runs this code; never imports IPython to find out."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return type(shell).__name__ == "ZMQInteractiveShell"


def _tqdm(label, total, start, unit, stream):
    """A tqdm bar, or None where tqdm is not installed."""
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(
        desc=label, total=total, initial=start, unit=f" {unit}", file=stream, dynamic_ncols=True
    )


def _duration(seconds):
    """Seconds as m:ss or h:mm:ss."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
