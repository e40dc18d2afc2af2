"""Progress bars on standard error, drawn by tqdm.

PG2_PROGRESS is "bar", "plain" (a line every ten seconds), "off", or "auto" (default): a bar on a
terminal or in a notebook, plain lines in a file or pipe.
"""

import os
import sys
from contextlib import contextmanager

from tqdm import tqdm

from pg2lib.core.files import UserError

SECONDS = {"auto": None, "bar": 0.1, "plain": 10.0, "off": None}  # mode -> between updates


def say(line):
    """Print a line on standard output at once, without breaking a progress bar."""
    tqdm.write(line, file=sys.stdout)
    sys.stdout.flush()


@contextmanager
def reporting(label):
    """Yield report(done, total=None, note=""), which updates the progress display.

    The first call sets how much was done before. Raises UserError if PG2_PROGRESS is unknown.
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
    # A Jupyter kernel, recognised without importing IPython; it shows standard error in red.
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
    """Whether a terminal reports no rows or columns, as in `script` and some containers; tqdm would
    show nothing."""
    try:
        return 0 in os.get_terminal_size(stream.fileno())
    except OSError:  # not a terminal
        return False


class _Lines:
    """A stream for tqdm that prints each redrawn bar as a new line."""

    def __init__(self, stream):
        self.stream = stream

    def write(self, text):
        if text := text.strip():
            self.stream.write(text + "\n")

    def flush(self):
        self.stream.flush()
