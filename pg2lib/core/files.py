"""The error a user can fix, atomic writes, JSON and checksums."""

import hashlib
import json
import math
import os
import re
import shutil
import time
from contextlib import contextmanager
from functools import cache
from pathlib import Path


class UserError(Exception):
    """A user's mistake: one sentence that names the file or value and the remedy.

    The command line prints it without a traceback and exits with status 2.
    """


class OutOfTime(Exception):
    """The time limit has passed; finished work is kept."""


@contextmanager
def write_atomically(path):
    """Yield a temporary path beside `path` with the same suffix, since some writers choose the
    format by it; rename it to `path` if the block succeeds, else remove it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_litter(folder, name: str = "*"):
    """Remove temporary files (see `write_atomically`) and folders, `.NAME.PROCESS.SUFFIX`, left by
    killed processes."""
    for path in Path(folder).glob(f".{name}.*"):
        owner = re.fullmatch(r"\..+?\.(\d+)(\.\w+)?", path.name)
        if owner and not alive(int(owner[1])):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def alive(process: int) -> bool:
    """Whether a process is running on this machine."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # another user's
    return True


def printable(text: str) -> str:
    """The text as one line without control characters, which could affect a terminal."""
    return "".join(c if c.isprintable() else " " for c in str(text).strip())


@contextmanager
def stored(path):
    """Yield the path to a block that reads a file of the run store. Raises UserError if it is
    missing or damaged."""
    try:
        yield Path(path)
    except (OSError, ValueError, EOFError, KeyError, TypeError) as error:
        why = printable(getattr(error, "strerror", None) or error)
        raise UserError(
            f"{path} is missing or damaged ({why}); delete its folder and run again"
        ) from None


def read_text(path) -> str:
    """Text of a UTF-8 file. Raises UserError if it cannot be read."""
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


def digest(path) -> str:
    """`sha256` of a file, cached in this process until the file changes."""
    stat = Path(path).stat()
    if time.time() - stat.st_mtime < 2:  # a change within the clock's resolution would go unnoticed
        return sha256(path)
    return _digest(Path(path), stat.st_size, stat.st_mtime_ns, stat.st_ino)


@cache
def _digest(path, *state) -> str:
    return sha256(path)


def dumps(value) -> str:
    """JSON text with sorted keys; str() of what JSON cannot express."""
    return json.dumps(value, indent=1, sort_keys=True, default=str)


def write_json(path, value):
    """Write `dumps(value)` atomically."""
    with write_atomically(path) as temporary:
        temporary.write_text(dumps(value) + "\n")


def write_csv(path, table):
    """Write a DataFrame atomically, without index, floats with six digits."""
    with write_atomically(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")


def read_json(path):
    """The parsed file, or None if missing or invalid."""
    try:
        return json.loads(Path(path).read_text())
    except (OSError, ValueError):
        return None


def read_record(path):
    """`read_json` of a table or figure record, UTF-8 in any locale."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def without_nan(value):
    """Nested dicts and lists with NaN and infinity replaced by None, for JSON."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
