"""The images of a data set, made once and in parallel into plain NumPy files.

What is written are rows of .npy files, with ordinary writes a few megabytes at a time, and what
is read back whole is read in blocks: the pages of a memory map would count as memory of this
process. So memory depends on the number of cores, not on the number of images.
"""

import csv
import hashlib
import io
import json
import math
import mmap
import os
import pickle
import shutil
import sys
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from subprocess import PIPE, Popen

import numpy as np
from PIL import Image

from pg2lib.core.files import UserError, write_atomically
from pg2lib.data.keypoints import found, torso_found

CHUNK = 64  # at most so many images between two points from which a killed run can resume
BLOCK = 4 << 20  # bytes of images that are handled at once


@dataclass(frozen=True)
class Plan:
    """All that is known of a data set before its first image is made."""

    make: Callable  # make(*job): image, keypoints, camera and, drawn, the packed silhouette
    jobs: list[tuple]  # one per image
    identities: np.ndarray  # int64 (n,)
    train: np.ndarray  # bool (n,)
    split: str  # the sentence that every table prints
    names: list[str] | None = None  # None: they follow from the cameras
    test_pairs: np.ndarray | None = None  # a published list; None: a sample
    pairs_from: str = "sampled without replacement from all ordered test pairs (seeded)"
    drawn: bool = False  # computed in Python, with silhouettes; else decoded
    whole: bool = True  # False: images are known to be missing; one half may have no pairs
    notes: list[str] = field(default_factory=list)  # what else the card has to say


@dataclass(frozen=True)
class _Rows:
    """A .npy file that is written row by row."""

    path: Path
    dtype: type
    shape: tuple

    @property
    def header(self):
        file = io.BytesIO()
        descr = np.lib.format.dtype_to_descr(np.dtype(self.dtype))
        described = {"descr": descr, "fortran_order": False, "shape": self.shape}
        np.lib.format.write_array_header_1_0(file, described)
        return file.getvalue()

    def place(self, row):
        """Where a row begins in the file."""
        return len(self.header) + row * self.row_bytes

    @property
    def row_bytes(self):
        return math.prod(self.shape[1:]) * np.dtype(self.dtype).itemsize


def make_images(plan, height, width, told, folder, progress=None):
    """Run all jobs of `plan` and write what they make into `folder`, resuming there.

    Args:
        plan: Plan.
        height, width: of the images its jobs make.
        told: str; what a run that was told something else has left is written anew.
        folder: Path; gets images.npy, keypoints.npy, cameras.npy, for drawn people
            silhouettes.npy, and progress.json.
        progress: called as progress(done, total) with numbers of images, or None.

    Returns:
        The SHA-256 object of the images, for `fingerprint`.

    Raises:
        UserError: the disk has no room for the rest; or what a job raises.
        OSError: the disk became full (28). What was written stays to be resumed from.
    """
    folder.mkdir(parents=True, exist_ok=True)
    layout, total = _layout(plan, height, width, folder), len(plan.jobs)
    key, state = hashlib.sha256(told.encode()).hexdigest(), folder / "progress.json"
    done = _rows_done(state, key, layout)
    wanted = (total - done) * sum(rows.row_bytes for rows in layout)
    room = shutil.disk_usage(folder).free
    if wanted > room:
        raise UserError(
            f"{folder} needs {wanted / 1e9:.2f} GB more, its disk has {room / 1e9:.2f} GB left; "
            "make room, or ask for fewer or smaller images."
        )
    size = max(1, min(CHUNK, BLOCK // layout[0].row_bytes))
    chunks = [plan.jobs[start : start + size] for start in range(done, total, size)]
    with ExitStack() as stack:
        files = [stack.enter_context(open(rows.path, "r+b" if done else "w+b")) for rows in layout]
        for file, rows in zip(files, layout, strict=True):
            file.write(rows.header)
            file.truncate(rows.place(done))
        digest = hashlib.sha256()
        for block in _read(files[0], done * layout[0].row_bytes, BLOCK):
            digest.update(block)
        for file, rows in zip(files, layout, strict=True):
            file.seek(rows.place(done))
        for made in _in_parallel(partial(_run_jobs, plan.make), chunks, plan.drawn):
            for file, rows, values in zip(files, layout, made, strict=True):
                file.write(np.ascontiguousarray(values, rows.dtype))
                file.flush()
            digest.update(made[0])
            done += len(made[0])
            with write_atomically(state) as temporary:
                temporary.write_text(json.dumps({"key": key, "done": done}))
            if progress:
                progress(done, total)
    return digest


def _layout(plan, height, width, folder):
    """The files of what the jobs yield, in its order."""
    total = len(plan.jobs)
    kinds = {
        "images": (np.uint8, (total, height, width, 3)),
        "keypoints": (np.float32, (total, 18, 2)),
        "cameras": (np.int64, (total,)),
    }
    if plan.drawn:
        kinds["silhouettes"] = (np.uint8, (total, (height * width + 7) // 8))
    return [_Rows(folder / f"{name}.npy", *kind) for name, kind in kinds.items()]


def _rows_done(state, key, layout):
    """How many rows an earlier run, told the same, has left in all files."""
    try:
        before = json.loads(state.read_text())
        whole = all(rows.path.stat().st_size >= rows.place(before["done"]) for rows in layout)
    except FileNotFoundError:
        return 0
    return before["done"] if whole and before["key"] == key else 0


def _run_jobs(make, jobs):
    return [np.stack(values) for values in zip(*(make(*job) for job in jobs), strict=True)]


# ---------------------------------------------------------------- reading it back


def blocks(images):
    """The images (n, ...) in arrays of a few megabytes.

    A memory map is read from its file, as ordinary reads leave nothing in this process.
    """
    row = images[0].nbytes
    rows = max(1, BLOCK // row)
    if isinstance(images.base, mmap.mmap):  # the whole map: a part of one is based on the whole
        with open(images.filename, "rb") as file:
            file.seek(images.offset)
            for block in _read(file, len(images) * row, rows * row):
                yield block.view(images.dtype).reshape(-1, *images.shape[1:])
    else:
        for start in range(0, len(images), rows):
            yield np.ascontiguousarray(images[start : start + rows])


def _read(file, length, step):
    """The next `length` bytes of an open file, `step` at a time."""
    for start in range(0, length, step):
        block = np.empty(min(step, length - start), np.uint8)
        file.readinto(block)
        yield block


def fingerprint(images, *arrays):
    """SHA-256 of all that a training run can see, 16 hexadecimal digits.

    Args:
        images: the array, or what `make_images` returned.
        arrays: keypoints, identities, training pairs and test pairs.
    """
    if isinstance(images, np.ndarray):
        digest = hashlib.sha256()
        for block in blocks(images):
            digest.update(block)
    else:
        digest = images.copy()
    for array in arrays:
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]


# ---------------------------------------------------------------- all cores


def in_order(pool, work, items, ahead):
    """map(work, items) by a pool that is never more than `ahead` results before its reader."""
    waiting = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _in_parallel(work, chunks, processes):
    """map(work, chunks) on all cores, in order; threads where the work releases Python's lock."""
    if not processes:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            yield from in_order(pool, work, chunks, 2 * os.cpu_count())
    elif len(chunks) < 8:  # starting processes would take longer than they save
        yield from map(work, chunks)
    else:
        yield from _in_processes(work, chunks)


def _in_processes(work, chunks):
    """map(work, chunks) in fresh interpreters that hear from us by pipe.

    Not `multiprocessing`, whose new processes first run the caller's script once more: without
    `if __name__ == "__main__"` they would prepare the same folder.
    """
    command = [sys.executable, "-c", "from pg2lib import store; store._serve()"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    environment["OMP_NUM_THREADS"] = "1"
    workers, idle = [], SimpleQueue()

    def ask(chunk):
        worker = idle.get()
        try:
            pickle.dump((work, chunk), worker.stdin)
            worker.stdin.flush()
            return pickle.load(worker.stdout)
        except (OSError, EOFError):
            return work(chunk)  # the worker died: do it here, or meet its error here
        finally:
            idle.put(worker)

    try:
        for _ in range(os.cpu_count()):
            # A session of its own: Ctrl-C ends us, and the end of our pipe ends the worker.
            workers.append(Popen(command, stdin=PIPE, stdout=PIPE, env=environment,
                                 start_new_session=True))  # fmt: skip
            idle.put(workers[-1])
        with ThreadPoolExecutor(len(workers)) as pool:
            yield from in_order(pool, ask, chunks, 2 * len(workers))
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()


def _serve():
    """The life of a worker of `_in_processes`."""
    try:
        while True:
            work, chunk = pickle.load(sys.stdin.buffer)
            pickle.dump(work(chunk), sys.stdout.buffer)
            sys.stdout.flush()
    except (EOFError, BrokenPipeError):
        os._exit(0)  # nobody listens any more


# ---------------------------------------------------------------- what readers share


def decode(path):
    """An image file as a PIL image, RGB. UserError when it is missing, truncated or none."""
    try:
        with Image.open(path) as file:
            return file.convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{path} cannot be decoded ({error}); fetch it again.") from None


def faults(read, paths):
    """What `read` complains about, one sentence for each bad image, by all cores."""

    def fault(path):
        try:
            read(path)
        except UserError as error:
            return str(error)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return [sentence for sentence in pool.map(fault, paths) if sentence]


def thin_out(names, person, limit, rng):
    """At most `limit` random names of each person(name), in the same order."""
    if limit is None:
        return names
    kept, people = set(), {}
    for name in rng.permutation(names).tolist():
        people[person(name)] = people.get(person(name), 0) + 1
        if people[person(name)] <= limit:
            kept.add(name)
    return [name for name in names if name in kept]


def read_pairs(path, names):
    """The [(condition, target)] names of a pairs file: header `from,to`, in some copies after an
    index column.

    Raises:
        UserError: another header, or a line that does not name two of `names`.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
    except UnicodeDecodeError:
        raise UserError(f"{path} is not a text file (UTF-8).") from None
    header = rows[0] if rows else []
    if header not in (["from", "to"], ["", "from", "to"]):
        raise UserError(f"{path}, line 1: the header must be 'from,to' or ',from,to'.")
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header) or row[-2] not in names or row[-1] not in names:
            raise UserError(f"{path}, line {number}: {','.join(row)} are no two test images.")
    return [tuple(row[-2:]) for row in rows[1:]]


def counts(identities, keypoints):
    """What a part of a data set holds, for its card; "pairs" counts `datasets.ordered_pairs`."""
    usable = torso_found(keypoints)
    each = np.unique(identities[usable], return_counts=True)[1]
    return {
        "images": len(identities),
        "identities": len(np.unique(identities)),
        "annotated_images": int(found(keypoints).any(-1).sum()),
        "usable_images": int(usable.sum()),
        "usable_identities": len(each),
        "pairs": int((each * (each - 1)).sum()),
    }
