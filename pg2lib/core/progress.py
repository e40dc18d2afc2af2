"""Progress bars on standard error, drawn by tqdm.

PG2_PROGRESS chooses: "bar", "plain" (a line every ten seconds), "off", or "auto" (default): a bar
on a terminal and in a notebook, where it rewrites one line of the cell's output, plain lines in a
file or pipe.
"""

import os
import sys
from contextlib import contextmanager

from tqdm import tqdm

from pg2lib.core.files import UserError

MODES = ("auto", "bar", "plain", "off")
SECONDS = {"bar": 0.1, "plain": 10.0}  # between two displays


class Progress:
    """Shows how far some work is: `with Progress("G1", 22_000) as progress: progress.update(1)`.

    Args:
        label: what the work is, a few words.
        total: amount of work, None if unknown (then neither percent nor time left is shown).
        start: amount done by an earlier process; the time left ignores how long that took.
        unit: what is counted, in the plural.
        stream: where to write; None is standard error, in a notebook standard output, because
            Jupyter prints standard error on red.

    Raises:
        UserError: PG2_PROGRESS is none of the modes.
    """

    def __init__(self, label, total=None, start=0, unit="it", stream=None):
        notebook = _in_notebook()
        stream = stream or (sys.stdout if notebook else sys.stderr)
        mode = os.environ.get("PG2_PROGRESS") or "auto"
        if mode not in MODES:
            raise UserError(f"PG2_PROGRESS must be one of {', '.join(MODES)}, not '{mode}'.")
        if mode == "auto":
            mode = "bar" if notebook or stream.isatty() else "plain"
        self.bar = tqdm(
            desc=label, total=total, initial=start, unit=f" {unit}", disable=mode == "off",
            file=_Lines(stream) if mode == "plain" else stream,
            mininterval=SECONDS.get(mode, 0), miniters=1, position=0,
            ncols=0 if mode == "plain" else None, dynamic_ncols=mode == "bar" and not notebook,
        )  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def update(self, done, note=""):
        """Report that `done` of the total, earlier work included, is done; `note` is appended."""
        self.bar.set_postfix_str(note, refresh=False)
        self.bar.update(done - self.bar.n)

    def close(self):
        self.bar.close()


@contextmanager
def reporting(label):
    """Yield a function report(done, total, note="") that shows how far the work `label` is.

    The first call sets how much an earlier process did.
    """
    progress = None

    def report(done, total, note=""):
        nonlocal progress
        if progress is None:
            progress = Progress(label, total, start=done)
        progress.update(done, note)

    try:
        yield report
    finally:
        if progress is not None:
            progress.close()


class _Lines:
    """A stream for tqdm that turns every redrawn bar into a line of its own."""

    def __init__(self, stream):
        self.stream = stream

    def write(self, text):
        if text := text.strip():
            self.stream.write(text + "\n")

    def flush(self):
        self.stream.flush()


def _in_notebook():
    """Whether a Jupyter kernel runs this code; does not import IPython to find out."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return type(shell).__name__ == "ZMQInteractiveShell"
