"""Cases of `make faults` in which pg2 is killed, starved or damaged.

A case is a function of a folder, a random generator, the results of an undisturbed run and the
seconds that took; it says what came of it in a few words (see GOOD).
"""

import ctypes
import hashlib
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from benchmarks.common import PROJECT
from pg2lib import cli
from pg2lib.core import config
from pg2lib.data import prepare
from pg2lib.training import loop
from pg2lib.workflow import pipeline

LIMIT = 900  # seconds after which a case counts as a hang
COMMAND = ("evaluate", "condition", "G1+G2+D", "--profile", "smoke")
GOOD = ("same", "sentence", "accepted", "not read")  # how an outcome that is promised begins


# ---------------------------------------------------------------- one case


@dataclass
class Child:
    """A forked process that works in `folder`."""

    pid: int
    error: object  # its standard error, a file
    began: float

    def end(self, limit: float = LIMIT) -> str:
        """Wait for it; what came of it in a few words."""
        while not (done := os.waitpid(self.pid, os.WNOHANG))[0]:
            if time.time() - self.began > limit:
                os.killpg(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                return "hang"
            time.sleep(0.01)
        self.error.seek(0)
        text, status = self.error.read().decode(errors="replace"), done[1]
        if "Traceback (most recent" in text:
            return f"traceback: {text.strip().splitlines()[-1][:160]}"
        if os.WIFSIGNALED(status):
            return f"ended by {signal.Signals(os.WTERMSIG(status)).name}"
        if code := os.WEXITSTATUS(status):
            told = code in (2, 130) and "pg2" in text
            return f"sentence: {text.strip()[-300:]}" if told else f"status {code} without a word"
        return "done"


def start(work, folder: Path, **environment) -> Child:
    """work() in a forked process, whose run store and figures are below `folder`."""
    sys.stdout.flush()
    sys.stderr.flush()
    error = tempfile.TemporaryFile()
    if pid := os.fork():
        return Child(pid, error, time.time())
    status = 99
    try:
        os.setsid()
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: a stopped campaign ends us
        null = os.open(os.devnull, os.O_RDWR)
        for target, source in enumerate((null, null, error.fileno())):
            os.dup2(source, target)
        os.sched_setaffinity(0, {random.choice(sorted(os.sched_getaffinity(0)))})
        quiet = {"PG2_DOWNLOAD": "off", "PG2_PROGRESS": "off", "PG2_DEVICE": "cpu"}
        own = {"PG2_RUNS": str(folder / "runs"), "PG2_FIGURES": str(folder / "figures")}
        os.environ.update(quiet | own | environment)
        loop.train.__defaults__ = (0, None, None, 0.0, None, None)  # a checkpoint at every step
        prepare.CHUNK = 8
        torch.set_num_threads(1)
        status = work() or 0
    except SystemExit as end:
        status = end.code
    except BaseException:
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(status)


def pg2(*arguments):
    return partial(cli.main, list(arguments or COMMAND))


def results(folder: Path) -> dict:
    """Name -> SHA-256 of everything that a run of COMMAND leaves, weights tensor by tensor."""
    found = {}
    for path in sorted((folder / "runs").rglob("*.*")):
        name, content = str(path.relative_to(folder)), hashlib.sha256()
        if path.name == "weights.pt":
            for network in torch.load(path, weights_only=True)["networks"].values():
                for tensor in network.values():
                    content.update(tensor.numpy().tobytes())
        elif path.suffix in (".npy", ".csv") or path.name in ("summary.json", "card.json"):
            content.update(path.read_bytes())
        else:
            continue
        found[name] = content.hexdigest()
    return found


def read_all():
    """Read every step that COMMAND makes, as notebooks do; what is missing is made."""
    study, names = config.Study(profile="smoke"), ("G1-poseMaskLoss", "G1+G2+D", "keypoints")
    pipeline.data(study)
    for name in names:
        pipeline.train(study, name)
    pipeline.painted(study, names[1], names[0])
    for row in COMMAND[1:3]:
        pipeline.generated(study, row)


def finish(folder: Path, whole: dict, work=None) -> str:
    """Run COMMAND, or other work, to its end, do what a sentence advises, and hold the results
    against those of an undisturbed run."""
    ended = start(work or pg2(), folder).end()
    if advice := re.search(r"(/\S+)/[^/\s]+ is missing or damaged.*delete its folder", ended):
        shutil.rmtree(advice[1])
        again = finish(folder, whole, work)
        return "sentence, then same" if again == "same" else again
    if ended != "done":
        return ended
    mine = results(folder)
    if wrong := sorted(name for name in mine | whole if mine.get(name) != whole.get(name)):
        return f"WRONG: {wrong[0]}"
    for path in [*(folder / "runs").rglob("*"), *(folder / "figures").rglob("*")]:
        if re.search(r"^\..+\.\d+\.|\.tmp$|^unfinished$", path.name):
            return f"litter: {path.relative_to(folder)}"
    return held_locks(folder) or "same"


def held_locks(folder: Path) -> str:
    for path in folder.rglob(".lock"):
        try:
            FileLock(path).acquire(blocking=False).lock.release()
        except Timeout:
            return f"lock: {path.relative_to(folder)}"
    return ""


# ---------------------------------------------------------------- kills, signals, writers


def killed(folder, dice, whole, seconds, how=signal.SIGKILL):
    """COMMAND, stopped at random moments until it has met three, then run to its end."""
    sessions = set()
    for _ in range(3):
        child = start(pg2(), folder)
        sessions.add(child.pid)
        time.sleep(dice.uniform(0, seconds))
        if how == signal.SIGSTOP:
            os.kill(child.pid, how)
            time.sleep(1)
            os.kill(child.pid, signal.SIGCONT)
        else:
            os.kill(child.pid, how)
        ended = child.end()
        if not ended.startswith(("ended", "done", "sentence: pg2: stopped")):
            return ended
    ended = finish(folder, whole)
    return "orphan" if ended == "same" and orphans(sessions) else ended


def orphans(sessions: set, patience: float = 20) -> bool:
    """Whether a process of these sessions still runs after so many seconds."""
    until = time.time() + patience
    while any(session_of(path) in sessions for path in Path("/proc").glob("[0-9]*/stat")):
        if time.time() > until:
            return True
        time.sleep(0.2)
    return False


def session_of(path: Path) -> int:
    try:
        return int(path.read_text().rpartition(")")[2].split()[3])
    except (OSError, IndexError):
        return 0


def together(folder, dice, whole, seconds, count, kill=False):
    """COMMAND so many times at once on one store; kill: the first one dies on its way."""
    children = [start(pg2(), folder) for _ in range(count)]
    if kill:
        time.sleep(dice.uniform(0, seconds))
        os.kill(children[0].pid, signal.SIGKILL)
    ended = [child.end() for child in children][kill:]
    failed = [each for each in ended if each != "done"]
    return failed[0] if failed else finish(folder, whole)


def reproduced(folder, dice, whole, seconds):
    """`pg2 reproduce`, notebooks among it, killed three times with its children left alone, then
    run to its end; the tables against those of a run in another folder."""

    def run(place, wait=None):
        own = {"PG2_RUNS": str(place / "runs"), "PG2_FIGURES": str(place / "figures")}
        command = [sys.executable, "-m", "pg2lib", "reproduce", "--profile", "smoke"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(command, cwd=PROJECT, env=os.environ | own, **quiet)
        try:
            return process.wait(wait)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    began = time.time()
    if run(folder / "whole"):
        return "the undisturbed run failed"
    seconds = time.time() - began
    for _ in range(3):
        run(folder / "killed", dice.uniform(0, seconds))
    if run(folder / "killed"):
        return "a run after the kills failed"
    wanted, found = (
        {p.name: p.read_bytes() for p in sorted((folder / n).glob("figures/*/*.csv"))}
        for n in ("whole", "killed")
    )
    time.sleep(5)
    orphans = [p for p in Path("/proc").glob("[0-9]*/environ") if str(folder) in environment_of(p)]
    return "orphan" if orphans else "same" if wanted and wanted == found else "WRONG tables"


def environment_of(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


# ---------------------------------------------------------------- disks and folders


def mount(folder, options):
    """A file system in memory at a folder, or with "remount" changed; needs root."""
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    subprocess.run(command, check=True, capture_output=True)


def full(folder, dice, whole, seconds):
    """COMMAND on a disk that is too small, then on the same disk with room."""
    mount(folder, f"size={int(dice.uniform(0.05, 1.2) * 4_000)}k")  # a run needs about 4 MB
    try:
        ended = start(pg2(), folder).end()
        if not ended.startswith(("sentence", "done")):
            return ended
        mount(folder, "remount,size=1g")
        return finish(folder, whole)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def too_small(folder, dice, whole, seconds, source, command):
    """`pg2 report`, `export` or `generate` into a disk that is too small, then with room; the files
    against those that it writes elsewhere."""
    shutil.copytree(source / "runs", folder / "runs")
    disk, name = folder / "disk", "out.safetensors" if command[0] == "export" else "out"

    def write(place):
        return start(pg2(*command, "--out", str(place / name)), folder).end()

    if (ended := write(folder / "roomy")) != "done":
        return f"a disk with room: {ended}"
    wanted = files_below(folder / "roomy")
    disk.mkdir()
    mount(disk, f"size={int(dice.uniform(0.1, 0.9) * sum(map(len, wanted.values())))}")
    try:
        if not (ended := write(disk)).startswith("sentence"):
            return f"a full disk: {ended}"
        mount(disk, "remount,size=1g")
        if (ended := write(disk)) != "done":
            return ended
        found = files_below(disk)
        wrong = [name for name in found.keys() | wanted if found.get(name) != wanted.get(name)]
        return f"WRONG: {wrong[0]}" if wrong else "same"
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def files_below(folder: Path) -> dict:
    """Name -> content of the files below a folder, without the time and the sums of those that
    hold it."""
    found = {str(path.relative_to(folder)): path.read_bytes()
             for path in folder.rglob("*") if path.is_file()}  # fmt: skip
    timed = rb"\d\d:\d\d:\d\d|[0-9a-f]{64}"
    return {name: re.sub(timed, b"", text) if name.endswith((".html", ".json")) else text
            for name, text in found.items()}  # fmt: skip


def read_only(folder, dice, whole, seconds):
    """COMMAND, killed on its way, on a disk that is then read-only, and then is not."""
    mount(folder, "size=1g")
    try:
        child = start(pg2(), folder)
        time.sleep(dice.uniform(0, seconds))
        os.kill(child.pid, signal.SIGKILL)
        child.end()
        mount(folder, "remount,ro")
        ended = start(pg2(), folder).end()
        mount(folder, "remount,rw")
        return ended if not ended.startswith(("sentence", "done")) else finish(folder, whole)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def offline(folder, dice, whole, seconds):
    """COMMAND without a network interface, and with downloads allowed."""

    def work():
        if ctypes.CDLL(None).unshare(0x40000000):  # CLONE_NEWNET
            raise OSError("no network namespace; run as root")
        del os.environ["PG2_DOWNLOAD"]
        return cli.main(list(COMMAND))

    return finish(folder, whole, work)


def limited(folder, dice, whole, seconds):
    """COMMAND where no file may grow beyond a limit, then without it."""

    def work():
        size = int(dice.uniform(1e3, 3e5))
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        return cli.main(list(COMMAND))

    ended = start(work, folder).end()
    return ended if not ended.startswith(("sentence", "done")) else finish(folder, whole)


def refused(folder, dice, whole, seconds, store):
    """A store that is no folder, or may not be made."""
    (folder / "file").write_text("")
    place = store.replace("HERE", str(folder))
    return start(pg2(), folder, PG2_RUNS=place, PG2_FIGURES=place).end()


def vanished(folder, dice, whole, seconds):
    """The store is deleted while COMMAND works in it."""
    child = start(pg2(), folder)
    time.sleep(dice.uniform(0, seconds))
    (folder / "runs").exists() and shutil.move(folder / "runs", folder / "elsewhere")
    ended = child.end()
    return ended if not ended.startswith(("sentence", "done")) else finish(folder, whole)


# ---------------------------------------------------------------- damage

DAMAGES = {
    "cut": lambda content, dice: content[: len(content) // 2],
    "zeroed": lambda content, dice: bytes(len(content)),
    "one bit": lambda content, dice: flipped(content, dice, 1),
    "replaced": lambda content, dice: dice.randbytes(len(content)),
    "emptied": lambda content, dice: b"",
    "deleted": None,
}


def flipped(content: bytes, dice, count: int) -> bytes:
    content = bytearray(content)
    for _ in range(count if content else 0):
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    return bytes(content)


def damaged(folder, dice, whole, seconds, source, name, damage):
    """A store in which one file is damaged, and everything is read: it must be the same."""
    shutil.copytree(source, folder, dirs_exist_ok=True)
    path = folder / name
    if DAMAGES[damage]:
        path.write_bytes(DAMAGES[damage](path.read_bytes(), dice))
    else:
        path.unlink()
    return finish(folder, whole, partial(cli.status_of, read_all))


def half_prepared(folder: Path):
    """A store whose preparation was killed half-way."""

    def work():
        write = prepare.write_json

        def dying(path, value):
            write(path, value)
            if value.get("done") == 24:
                os.kill(os.getpid(), signal.SIGKILL)

        prepare.write_json = dying
        return cli.main(["data", "prepare", "--profile", "smoke"])

    start(work, folder).end()
