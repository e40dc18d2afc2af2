"""Check what an interruption left in a folder before resuming."""

import contextlib
import csv
import ctypes
import hashlib
import os
import shutil
import signal
import sys
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from pg2lib.core.files import UserError, printable, read_json, stored, write_json
from pg2lib.data.keypoints import found
from pg2lib.data.prepare import prepare
from pg2lib.training import loop as training

SUMS = "sums.json"  # in the folder of an interrupted preparation, beside its progress.json
SPOT = 2  # pixels; people with joints closer together are invisible
FORKING = {}  # "by": the process whose forks end with it


def prepared(config, folder: Path, source=None, progress=None):
    """`prepare` in an incomplete folder; it resumes only from rows that are unchanged. Raises
    UserError as `prepare` does, and for an image or a table field that is too large."""
    if (folder / "card.json").exists():  # once complete, but not as recorded
        for path in (folder / "card.json", *folder.glob("*.npy")):
            path.unlink()
    try:
        with forks_end_with_us():
            prepare(config, folder, source, noting(folder / "unfinished", progress))
    except (Image.DecompressionBombError, csv.Error) as error:
        reason = printable(str(error).splitlines()[-1])
        raise UserError(f"a file in {source} is too large ({reason}); replace it") from None


def suspects(dataset) -> list[str]:
    """Problems that break no rule of a data set (`prepare.verify`) but show no people."""
    joints = dataset.keypoints
    here = found(joints)[..., None]
    extent = np.where(here, joints, -np.inf).max(1) - np.where(here, joints, np.inf).min(1)
    if np.median(extent.max(-1)) < SPOT:  # -inf where no joint was found
        return [f"most people have all joints within {SPOT} pixels; keypoints are pixels."]
    return []


def noting(folder: Path, progress=None):
    """A progress(done, total) that also stores the checksums of finished rows."""
    before, digests = kept(folder)

    def report(done, total):
        nonlocal before, digests
        if done <= before or not digests:  # restarted
            arrays = sorted(path.stem for path in folder.glob("*.npy"))
            before, digests = 0, {name: hashlib.sha256() for name in arrays}
        for name, digest in digests.items():
            digest.update(rows(folder, name, before, done))
        before = done
        sums = {name: digest.hexdigest() for name, digest in digests.items()}
        write_json(folder / SUMS, {"done": done, "sums": sums})
        if progress:
            progress(done, total)

    return report


def kept(folder: Path) -> tuple[int, dict]:
    """(number of rows, array -> SHA-256 object of these) noted by an interrupted preparation, if
    they are unchanged; else (0, {}), and the folder is removed."""
    try:
        noted, state = read_json(folder / SUMS), read_json(folder / "progress.json")
        done, digests = noted["done"], {name: hashlib.sha256() for name in noted["sums"]}
        for name, digest in digests.items():
            digest.update(rows(folder, name, 0, done))
        sums = {name: digest.hexdigest() for name, digest in digests.items()}
        if not digests or sums != noted["sums"] or state["done"] < done:
            raise ValueError("changed since it was written")
        for path in folder.glob("*.npy"):
            if path.stem not in digests:  # derived from these; written again
                path.unlink()
        # rows that were written but not noted are made again
        write_json(folder / "progress.json", {"key": state["key"], "done": done})
        return done, digests
    except (OSError, ValueError, EOFError, KeyError, TypeError):
        shutil.rmtree(folder, ignore_errors=True)
        return 0, {}


def rows(folder: Path, name: str, start: int, stop: int) -> bytes:
    """Some rows of an array, as many as exist."""
    return np.load(folder / f"{name}.npy", mmap_mode="r")[start:stop].tobytes()


def check_training(folder: Path, config):
    """Raise UserError if a training cannot continue in a folder: the disk lacks space for its
    curve, or a file that it extends is damaged."""
    curve, log = folder / "curve.npy", folder / "log.jsonl"
    if not curve.exists():
        points = training.CURVE_POINTS * training.CURVE_PAIRS
        require_room(folder, points * config.height * config.width * 3)
    if curve.exists():
        with stored(curve):
            np.load(curve, mmap_mode="r")
    if log.exists():
        with stored(log):
            [record["step"] + 1 for record in training.read_log(log)]


def require_room(folder: Path, needed: int):
    """Raise UserError if the disk lacks this space: a memory-mapped file on a full disk kills the
    process silently."""
    if needed > (room := shutil.disk_usage(folder).free):
        raise UserError(
            f"{folder} needs {needed / 1e6:.0f} MB more, its disk has {room / 1e6:.0f} MB left; "
            "make room and start again, nothing is lost"
        )


@contextlib.contextmanager
def forks_end_with_us():
    """Within the block, forks of this process are killed when it ends, however it ends (Linux).
    Otherwise a DataLoader worker may wait forever to write to a pipe that nothing reads."""
    if sys.platform == "linux":
        _follow_forks()
        FORKING["by"] = os.getpid()
    try:
        yield
    finally:
        FORKING.clear()


@cache
def _follow_forks():
    def follow():
        if parent := FORKING.pop("by", None):
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
            if os.getppid() != parent:  # already ended
                os._exit(1)

    os.register_at_fork(after_in_child=follow)
