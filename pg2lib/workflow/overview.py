"""Progress of a whole run: step N of M, and the time left."""

import contextlib
import statistics
import threading
import time
from collections import defaultdict

from pg2lib.core.files import read_json

SIDE_BY_SIDE = ("train", "notebook")  # kinds of steps that share the cores
POLL = 1.0  # seconds between checks of the run store


def known_seconds(folders) -> dict[str, float]:
    """ "kind name" of a step -> the seconds it took, from the run.json in figures folders."""
    found = {}
    for folder in folders:
        found |= (read_json(folder / "run.json") or {}).get("steps", {})
    return found


def expected(steps, known: dict[str, float]) -> list[float | None]:
    """Expected seconds of each step: its time elsewhere; else that of a step of its kind and last
    part (of another seed or profile), or the mean of its kind. None if nothing of its kind is
    known."""
    alike, kinds = {}, defaultdict(list)
    for name, seconds in known.items():
        kind, _, rest = name.partition(" ")
        alike[kind, rest.rpartition("/")[2]] = seconds
        kinds[kind].append(seconds)
    found = []
    for step in steps:
        guess = alike.get((step.kind, step.name.rpartition("/")[2]))
        if guess is None and kinds[step.kind]:
            guess = statistics.mean(kinds[step.kind])
        found.append(known.get(f"{step.kind} {step.name}", guess))
    return found


def remaining(steps, known: dict[str, float], took: dict, lanes: int = 1) -> float | None:
    """Seconds until the steps missing in `took` (step number -> seconds) are done, or None if
    unknown. known: see `expected`; finished steps set the pace of this machine. lanes: how many
    steps of SIDE_BY_SIDE run at a time."""
    own = {f"{steps[k].kind} {steps[k].name}": seconds for k, seconds in took.items()}
    before = expected(steps, known)
    measured = [(seconds, before[k]) for k, seconds in took.items() if before[k]]
    pace = sum(a for a, _ in measured) / sum(b for _, b in measured) if measured else 1.0
    guesses = expected(steps, {name: s * pace for name, s in known.items()} | own)
    left = 0.0
    for k, step in enumerate(steps):
        if k not in took:
            if guesses[k] is None:
                return None
            left += guesses[k] / (lanes if step.kind in SIDE_BY_SIDE else 1)
    return left


def duration(seconds: float) -> str:
    """Seconds in words: "40 s", "9 min", "2 h 05 min"."""
    if seconds < 90:
        return f"{max(5 * round(seconds / 5), 5)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"


def line(done: int, of: int, seconds: float | None) -> str:
    """One line on the progress of the whole run."""
    left = "" if seconds is None or done == of else f", about {duration(seconds)} left in all"
    return f"-- step {done} of {of} done{left}"


@contextlib.contextmanager
def log_steps(entries, folders, lanes, log):
    """In the block, log a line at the start and after each finished step.

    entries: every (step, State) of the run; folders: figures folders with run.json, for the times
    of steps. log is called from a thread that watches the run store, since steps also run in other
    processes.
    """
    missing = [step for step, state in entries if not state.hit]
    if not missing:
        yield
        return
    there, known, took = len(entries) - len(missing), known_seconds(folders), {}
    records = [step.folder / "done.json" for step in missing]
    began, over = time.time(), threading.Event()

    def check():
        new = False
        for k, path in enumerate(records):
            with contextlib.suppress(OSError, KeyError, TypeError):
                if k not in took and path.stat().st_mtime >= began - 1:
                    took[k], new = read_json(path)["seconds"], True
        if new:
            report()

    def report():
        log(line(there + len(took), len(entries), remaining(missing, known, took, lanes)))

    def watch():
        while not over.wait(POLL):
            check()

    thread = threading.Thread(target=watch, daemon=True)
    report()
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        check()
