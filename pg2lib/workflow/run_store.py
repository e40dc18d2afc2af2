"""The run store: one folder per step, found by a key of what determines its content.

A step's key is a hash of its configuration (differences from the defaults), the keys of the steps
it reads and the code reached by its entry points (`code_keys`). A folder is complete only if it has
`done.json`, which is written last.
"""

import contextlib
import glob
import hashlib
import json
import os
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from filelock import FileLock, Timeout

from pg2lib.core.files import UserError, digest, dumps, read_json, remove_litter, sha256, write_json
from pg2lib.data import folder
from pg2lib.workflow import code_keys
from pg2lib.workflow.code_keys import PACKAGE

RESULTS = (".npy", ".csv", ".json", ".jsonl", ".pt")  # suffixes of step outputs


def project() -> Path:
    """The checkout containing this package, or the current folder if installed elsewhere."""
    return PACKAGE.parent if (PACKAGE.parent / "pyproject.toml").exists() else Path.cwd()


def root() -> Path:
    """The folder of runs: $PG2_RUNS, else `runs/` of the project."""
    return Path(os.environ.get("PG2_RUNS") or project() / "runs")


def figures() -> Path:
    """The folder for figures and tables: $PG2_FIGURES, else `figures/` below `root`."""
    return Path(os.environ.get("PG2_FIGURES") or root() / "figures")


def shipped_figures() -> Path:
    """The figures and tables bundled with the project."""
    return project() / "figures"


def named_folder(name: str, among: Path | None = None) -> Path:
    """The folder of this name in `figures` or `among`; created if missing."""
    folder = Path(among or figures(), name)
    folder.mkdir(parents=True, exist_ok=True)
    remove_litter(folder)
    return folder


@dataclass(frozen=True)
class Step:
    """A unit of work and what determines its result."""

    kind: str  # "data", "parsing", "paint", "train", "evaluate", "curve", "notebook"; a folder
    name: str  # for people, may contain "/"
    config: dict  # plain JSON values
    inputs: dict = field(default_factory=dict)  # name -> key of each step this one reads
    entries: tuple = ()  # (module, name) of functions that determine the result, see `code_keys`

    @property
    def identity(self) -> dict:
        return {
            "kind": self.kind,
            "config": self.config,
            "inputs": self.inputs,
            "code": code_keys.hashes(*self.entries),
        }

    @property
    def key(self) -> str:
        text = json.dumps(self.identity, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def folder(self) -> Path:
        return root() / self.kind / f"{self.name}-{self.key}"

    def line(self, state) -> str:
        """A log line with the step and its State."""
        return f"{self.kind:8} {self.name:44} {state}"


@dataclass(frozen=True)
class State:
    hit: bool
    reason: str

    def __str__(self):
        return f"{'HIT ' if self.hit else 'MISS'} {self.reason}"


@cache  # a folder of 12,000 images is listed once per process
def fingerprint(source: Path, own: bool = False, maps: bool = False) -> str:
    """Hash of the names and sizes of all files in a data folder, without reading them. For a user's
    own folder: of its images (`folder.inputs`), and of the content of its tables and poses, which
    may be corrected. maps: of the content of every PNG in a folder of the user's own labels."""
    if maps:
        files = folder.files(source, (".png",))
        listing = [f"{inside} {digest(path)}" for path, inside in files]
    elif own:
        texts = (".csv", ".json")
        listing = [
            f"{inside} {digest(path) if path.suffix in texts else path.stat().st_size}"
            for path, inside in folder.inputs(source)
        ]
    else:
        listing = sorted(
            f"{path.parent.name}/{path.name} {path.stat().st_size}"
            for pattern in ("*", "*/*", "img*/*/*/*/*")
            for path in source.glob(pattern)
            if path.is_file()
        )
    return hashlib.sha256("\n".join(listing).encode(errors="surrogateescape")).hexdigest()[:12]


def state(step: Step) -> State:
    """HIT if the step's folder is complete, else MISS and the reason. Reads only small files."""
    if done := recorded(step):
        for name, fact in done["outputs"].items():
            path = step.folder / name
            if not path.exists() or path.stat().st_size != fact["bytes"]:
                return State(False, f"its output {name} is gone or changed since it was written")
        return State(True, f"made {done['finished']} in {done['seconds']:.0f} s")
    if (step.folder / "step.json").exists():
        return State(False, "it was interrupted and will resume")
    siblings = step.folder.parent.glob(f"{glob.escape(step.folder.name[:-12])}{'?' * 12}/step.json")
    newest = max(siblings, key=lambda path: path.stat().st_mtime, default=None)
    if newest is None:
        return State(False, "it has not been made yet")
    before = read_json(newest)
    before = before if isinstance(before, dict) else {}
    changes = differences(before, json.loads(dumps(step.identity)))
    return State(False, "; ".join(changes[:3]) or "an older format of the run store")


def differences(old: dict, new: dict, where: str = "") -> list[str]:
    """Differences between two nested dicts as text: 'config.batch: 8 -> 16'."""
    found = []
    for name in sorted(set(old) | set(new)):
        a, b, path = old.get(name), new.get(name), f"{where}{name}"
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(a, b, f"{path}.")
        elif a != b and path.startswith("code."):
            found.append(f"{name.removeprefix('pg2lib.').replace('.', '/')}.py changed")
        elif a != b and path.startswith("inputs."):
            found.append(f"its input {name} changed")
        elif a != b:
            a, b = ("default" if value is None else value for value in (a, b))
            found.append(f"{path.removeprefix('config.')}: {a} -> {b}")
    return found


@contextlib.contextmanager
def claim(step: Step, waiting=None):
    """Lock the step's folder; a second process waits for the first.

    waiting() is called once if another process holds the lock.
    """
    step.folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(step.folder / ".lock")
    try:
        held = lock.acquire(blocking=False)
    except Timeout:
        if waiting:
            waiting()
        held = lock.acquire()
    except NotImplementedError:
        raise UserError(
            f"the file system of {step.folder} has no locks, which runs need; name a folder "
            "on another one with PG2_RUNS"
        ) from None
    with held:
        remove_litter(step.folder)
        if not (step.folder / "step.json").exists():
            write_json(step.folder / "step.json", step.identity)
        yield step.folder


def results(step: Step) -> list[str]:
    """Names of the output files in a step's folder, without those of the run store."""
    found = [path.name for path in sorted(step.folder.glob("[!.]*.*")) if path.suffix in RESULTS]
    return [name for name in found if name not in ("step.json", "done.json")]


def finish(step: Step, outputs, seconds: float, facts: dict | None = None):
    """Mark the step complete: write done.json with size and SHA-256 of every output file. The time
    is that of the call, or the "seconds" among the facts: those of a resumed training in all."""
    facts = dict(facts or {})
    seconds = facts.pop("seconds", seconds)
    paths = {name: step.folder / name for name in outputs}
    sums = {n: {"bytes": p.stat().st_size, "sha256": sha256(p)} for n, p in paths.items()}
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    record = {"outputs": sums, "finished": now, "seconds": round(seconds, 2), "facts": facts}
    write_json(step.folder / "done.json", record)


def recorded(step: Step) -> dict | None:
    """The content of done.json; None if it is missing or damaged."""
    done = read_json(step.folder / "done.json")
    try:
        known = [fact["bytes"] and fact["sha256"] for fact in done["outputs"].values()]
        read = known, done["finished"], float(done["seconds"]), done["facts"].items()
    except (TypeError, KeyError, AttributeError, ValueError):
        return None
    return done if read else None


def read_done(step: Step) -> dict:
    """The content of done.json. Raises UserError if the step is not complete."""
    done = recorded(step)
    if not done:
        raise UserError(f"{step.kind} {step.name} is not finished; run `pg2 reproduce` first")
    return done


def checked(step: Step, name: str) -> Path:
    """The path of an output. Raises UserError if its SHA-256 differs from done.json."""
    path = step.folder / name
    wanted = read_done(step)["outputs"].get(name)
    if not wanted or not path.exists() or digest(path) != wanted["sha256"]:
        raise UserError(f"{path} is missing or damaged; delete its folder and run again")
    return path


def verify(step: Step):
    """`checked` for every output of a complete step; each file is read once per process."""
    for name in read_done(step)["outputs"]:
        checked(step, name)


def begin_anew(step: Step):
    """Remove the mark of completion, and every output that has changed."""
    for name, fact in (recorded(step) or {"outputs": {}})["outputs"].items():
        path = step.folder / name
        if path.exists() and sha256(path) != fact["sha256"]:
            path.unlink()
    (step.folder / "done.json").unlink(missing_ok=True)
