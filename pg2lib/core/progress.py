"""Progress bars on standard error, drawn by tqdm.

PG2_PROGRESS: "bar", "plain" (a line every ten seconds), "off", or "auto" (default), which is a bar
on a terminal and in a notebook, and plain lines in a file or pipe.
"""

import os
import sys
from contextlib import contextmanager

from tqdm import tqdm

from pg2lib.core.files import UserError

SECONDS = {"auto": None, "bar": 0.1, "plain": 10.0, "off": None}  # mode -> between two displays


def say(line):
    """Print a line on standard output at once, above a bar that is drawn there or beside it."""
    tqdm.write(line, file=sys.stdout)
    sys.stdout.flush()


@contextmanager
def reporting(label):
    """Yield a function report(done, total=None, note="") that shows how far the work is.

    The first call sets how much an earlier process did. UserError if PG2_PROGRESS is unknown.
    """
    bar = None

    def report(done, total=None, note=""):
        nonlocal bar
        if bar is None:
            bar = _bar(label, total, done)
        bar.set_postfix_str(note, refresh=False)
        bar.update(done - bar.n)

    try:
        yield report
    finally:
        if bar is not None:
            bar.close()


def _bar(label, total, start):
    mode = os.environ.get("PG2_PROGRESS") or "auto"
    if mode not in SECONDS:
        raise UserError(f"PG2_PROGRESS must be one of {', '.join(SECONDS)}, not '{mode}'.")
    # A Jupyter kernel, recognised without importing IPython; it prints standard error on red.
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    notebook = type(shell).__name__ == "ZMQInteractiveShell"
    stream = sys.stdout if notebook else sys.stderr
    if mode == "auto":
        mode = "bar" if notebook or stream.isatty() else "plain"
    options = {"desc": label, "total": total, "initial": start, "unit": " it", "position": 0}
    options |= {"mininterval": SECONDS[mode], "miniters": 1, "disable": mode == "off"}
    if mode == "plain":
        return tqdm(file=_Lines(stream), ncols=0, **options)
    if not notebook and unknown_size(stream):
        return tqdm(file=stream, ncols=80, nrows=24, **options)
    return tqdm(file=stream, dynamic_ncols=not notebook, **options)


def unknown_size(stream) -> bool:
    """Whether a terminal says that it has no rows or no columns, as in `script` and in some
    containers; tqdm would show nothing there."""
    try:
        return 0 in os.get_terminal_size(stream.fileno())
    except OSError:  # no terminal
        return False


class _Lines:
    """A stream for tqdm that turns every redrawn bar into a line of its own."""

    def __init__(self, stream):
        self.stream = stream

    def write(self, text):
        if text := text.strip():
            self.stream.write(text + "\n")

    def flush(self):
        self.stream.flush()
