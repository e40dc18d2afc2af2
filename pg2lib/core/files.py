"""The error a user can fix, atomic writing, JSON and checksums."""

import hashlib
import json
import math
import os
from contextlib import contextmanager
from pathlib import Path


class UserError(Exception):
    """A user's mistake: one clear sentence that names the file or value and the remedy.

    The command line prints the sentence without a traceback and exits with status 2.
    """


class OutOfTime(Exception):
    """The time that was given to a piece of work is over; what is done is kept."""


@contextmanager
def write_atomically(path):
    """Yield a temporary path beside `path`, with its suffix, by which some writers choose the
    format; rename it to `path` if the block succeeds, else remove it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_text(path) -> str:
    """The text of a file, UTF-8; UserError if it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not a text file (UTF-8).") from None


def sha256(path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def dumps(value) -> str:
    """JSON text with sorted keys; what JSON cannot express is written as its str()."""
    return json.dumps(value, indent=1, sort_keys=True, default=str)


def write_json(path, value):
    """Write `dumps(value)` atomically."""
    with write_atomically(path) as temporary:
        temporary.write_text(dumps(value) + "\n")


def write_csv(path, table):
    """Write a DataFrame atomically, without its index, floats with six digits."""
    with write_atomically(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")


def read_json(path):
    """The parsed file, or None if it is missing or not JSON."""
    try:
        return json.loads(Path(path).read_text())
    except (OSError, ValueError):
        return None


def without_nan(value):
    """Nested dicts and lists with None in place of NaN and infinity, which JSON does not have."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
