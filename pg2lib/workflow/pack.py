"""Finished steps of the run store as one file, for machines without a shared disk.

The file is a plain tar: first `pack.json`, {"format": 1, "steps": {folder: {file: SHA-256}}}, then
the files it lists and nothing else. A step contains what `run_store.finish` recorded.
"""

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import tarfile
from pathlib import Path

from filelock import FileLock, Timeout

from pg2lib.core.files import (
    UserError,
    printable,
    read_json,
    remove_litter,
    sha256,
    write_atomically,
)
from pg2lib.models import NAME
from pg2lib.workflow import run_store as runs

FORMAT, LIST = 1, "pack.json"
MOST_LIST = 64 << 20  # bytes of pack.json
STEP = re.compile(rf"[a-z]+(/{NAME}){{1,2}}-([0-9a-f]{{12}})")  # kind/[study/]name-key
FILE = re.compile(r"[\w+-][\w.+-]*", re.ASCII)


def write(names, out: Path) -> int:
    """Write the finished steps with these names (default: all) into `out`; returns their number.

    A name is a study's ("synthetic-market-quick": with all its seeds), a step's with or without its
    key ("train/synthetic-market-quick/G1-L1"), or a key.

    Raises:
        UserError: a name without a finished step, or an output that has changed.
    """
    done = sorted(path.parent for path in runs.root().glob("*/**/done.json"))
    folders = {path.relative_to(runs.root()).as_posix(): path for path in done}
    folders = {name: path for name, path in folders.items() if STEP.fullmatch(name)}
    for name in names:
        if not any(belongs(folder, name) for folder in folders):
            raise UserError(f"no finished step in {runs.root()} matches {name!r}; see pg2 matrix")
    chosen = [f for f in folders if not names or any(belongs(f, name) for name in names)]
    if not chosen:
        raise UserError(f"{runs.root()} holds no finished step; run `pg2 reproduce` first")
    steps = {folder: sums(folders[folder]) for folder in chosen}
    for folder in chosen:
        if steps[folder] is None:
            where = folders[folder]
            raise UserError(f"{where} is incomplete or damaged; delete it and run again")
    listing = json.dumps({"format": FORMAT, "steps": steps}).encode()
    with write_atomically(out) as temporary, tarfile.open(temporary, "w") as tar:
        tar.addfile(member(LIST, len(listing)), io.BytesIO(listing))
        for folder, files in steps.items():
            for name in files:
                path = folders[folder] / name
                with open(path, "rb") as file:
                    tar.addfile(member(f"{folder}/{name}", path.stat().st_size), file)
    return len(steps)


def belongs(folder: str, name: str) -> bool:
    """Whether a step's folder (see `STEP`) matches a name."""
    plain, key = folder[:-13], folder[-12:]
    study = plain.split("/")[1]
    return name in (folder, plain, key) or re.fullmatch(re.escape(name) + r"(-seed\d+)?", study)


def sums(folder: Path) -> dict[str, str] | None:
    """File -> SHA-256 of a finished step: its record and its outputs. None if these have
    changed."""
    try:
        outputs = read_json(folder / "done.json")["outputs"]
        found = {name: sha256(folder / name) for name in outputs}
        same = all(found[name] == fact["sha256"] for name, fact in outputs.items())
        return found | {n: sha256(folder / n) for n in ("step.json", "done.json")} if same else None
    except (OSError, KeyError, TypeError, AttributeError):
        return None


def member(name: str, size: int) -> tarfile.TarInfo:
    """The tar header of a file; independent of the time of packing."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info


def merge(path: Path) -> tuple[int, int]:
    """Add the steps in a file of `write` to the run store; returns (number added, number of equal
    ones already present). All or nothing: every file is checked before any is moved.

    Raises:
        UserError: a file that is no pack, leaves the folder, is damaged or incomplete; a step that
            does not match its key, exists with other outputs, or is in use.
    """
    staging = runs.root() / f".merge.{os.getpid()}"
    staging.mkdir(parents=True, exist_ok=True)
    remove_litter(runs.root(), "merge")
    try:
        with tarfile.open(path, "r|") as tar:  # read sequentially
            steps = listed(tar, path)
            unpack(tar, steps, staging, path)
        new = [folder for folder in steps if not present(folder, staging, path)]
        with contextlib.ExitStack() as stack:
            for folder in new:
                stack.enter_context(held(runs.root() / folder))
            new = [folder for folder in new if not present(folder, staging, path)]
            for folder in new:
                files = (staging / folder).iterdir()
                # done.json last: it marks the step complete
                for file in sorted(files, key=lambda file: file.name == "done.json"):
                    os.replace(file, runs.root() / folder / file.name)
    except tarfile.TarError as error:
        why = printable(error)
        raise UserError(f"{path} is damaged or no pack of runs ({why}); copy it again") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return len(new), len(steps) - len(new)


def listed(tar, path: Path) -> dict[str, dict]:
    """The steps in pack.json, with checked names."""
    try:
        first = tar.next()
        if first.name != LIST or first.size > MOST_LIST:
            raise ValueError
        listing = json.loads(tar.extractfile(first).read())
        steps = {folder: dict(files) for folder, files in listing["steps"].items()}
        known = listing["format"] == FORMAT
        known &= all({"step.json", "done.json"} <= set(files) for files in steps.values())
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        known = False
    if not known:
        raise UserError(f"{path} is no pack of runs; write one with `pg2 runs pack`")
    for folder, files in steps.items():
        inside = STEP.fullmatch(folder) and ".." not in folder.split("/")
        if not inside or not all(map(FILE.fullmatch, files)):
            raise UserError(f"{path} holds a name that is not of a run store; nothing was added")
    return steps


def unpack(tar, steps, staging: Path, path: Path):
    """Write the files of all steps below `staging`, checking each SHA-256."""
    wanted = {f"{folder}/{name}": files[name] for folder, files in steps.items() for name in files}
    while entry := tar.next():
        known = wanted.pop(entry.name, None) if entry.isreg() else None
        if known is None:
            raise UserError(f"{path} holds {printable(entry.name)!r}, which it does not list")
        target, digest = staging / entry.name, hashlib.sha256()
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target, "wb") as out:
            source = tar.extractfile(entry)
            while part := source.read(1 << 20):
                digest.update(part)
                out.write(part)
        if digest.hexdigest() != known:
            raise UserError(f"{entry.name} in {path} is damaged; copy the file again")
    if wanted:
        raise UserError(f"{path} breaks off before {min(wanted)}; copy the file again")
    for folder, files in steps.items():
        identity, own = read_json(staging / folder / "step.json"), sums(staging / folder)
        key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
        if key != folder[-12:] or own != files:
            raise UserError(f"{folder} in {path} does not match its name; copy it again")


def present(folder: str, staging: Path, path: Path) -> bool:
    """Whether the run store has this step with the same outputs. Raises UserError if with
    others."""
    ours, theirs = (read_json(base / folder / "done.json") for base in (runs.root(), staging))
    if ours is None:
        return False
    if not isinstance(ours, dict) or ours.get("outputs") != theirs["outputs"]:
        raise UserError(
            f"{folder} in {path} has other results than the one in {runs.root()}; keep one of "
            "them: delete the folder there, or pack without this step"
        )
    return True


@contextlib.contextmanager
def held(target: Path):
    """Lock a step's folder. Raises UserError if another process holds it."""
    target.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(target / ".lock").acquire(blocking=False):
            yield
    except Timeout:
        why = "is being worked on by another process; merge again later"
        raise UserError(f"{target} {why}") from None
