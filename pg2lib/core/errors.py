"""The error a user can repair, and writing files whole or not at all."""

import os
from contextlib import contextmanager
from pathlib import Path


class UserError(Exception):
    """A user's mistake: one clear sentence that names the file or value and the remedy.

    The command line prints the sentence without a traceback and exits with status 2.
    """


@contextmanager
def write_atomically(path):
    """Yield a temporary path beside `path`; move it to `path` when the block ends well.

    The temporary name keeps the suffix of `path`, because some writers choose the format by
    it. After an error nothing is left behind and an older file at `path` stays as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
