"""What `make reproduce` costs at several commits, one after the other on one machine.

`python -m benchmarks.versions a32e4de HEAD` clones each commit, runs `pg2 reproduce` in it with
the packages of this environment and an empty run store, and counts the processor time of all of
its processes. `--float32` hides the processor's instructions for bfloat16 from both.
benchmarks/versions.json holds what was measured; docs/records.md is written from it.
"""

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

from benchmarks import record
from benchmarks.common import PROJECT
from pg2lib.core.devices import machine
from pg2lib.core.files import read_json, write_json

PROFILE = "quick"


def main():
    top = argparse.ArgumentParser(prog="python -m benchmarks.versions", description=__doc__)
    top.add_argument("commit", nargs="+", help="the first is what the others are compared with")
    top.add_argument("--float32", action="store_true", help="as on a processor without bfloat16")
    options = top.parse_args()
    precision = "float32" if options.float32 else "auto"
    names = {commit: short_name(commit) for commit in options.commit}
    if unknown := [commit for commit, name in names.items() if not name]:
        top.error(f"no commit {unknown[0]} here; name one that `git log` lists")
    runs = [measure(name, precision) for name in names.values()]
    line = {
        "profile": PROFILE, "precision": precision, "date": time.strftime("%Y-%m-%d"),
        "machine": machine(), "runs": runs,
    }  # fmt: skip
    write_json(record.VERSIONS, [*(read_json(record.VERSIONS) or []), line])
    record.write_page()
    print(record.versions_table([line]))


def short_name(commit: str) -> str:
    """The abbreviated hash of a commit; empty where there is none."""
    git = ["git", "-C", str(PROJECT), "rev-parse", "--short", f"{commit}^{{commit}}"]
    return subprocess.run(git, capture_output=True, text=True).stdout.strip()


def measure(name: str, precision: str) -> dict:
    """Seconds of wall clock and of processor time of `pg2 reproduce` at a commit."""
    with tempfile.TemporaryDirectory() as temporary:
        clone = Path(temporary) / "pg2"
        for command in (["clone", "-q", str(PROJECT), str(clone)],
                        ["-C", str(clone), "checkout", "-q", name]):  # fmt: skip
            subprocess.run(["git", *command], check=True)
        if precision == "float32":
            without_bfloat16(clone)
        env = os.environ | {"PYTHONPATH": str(clone), "PG2_RUNS": str(Path(temporary) / "runs")}
        before, begun = processor_seconds(), time.monotonic()
        command = [sys.executable, "-m", "pg2lib", "reproduce", "--profile", PROFILE]
        subprocess.run(command, cwd=clone, env=env, check=True)
        wall, used = time.monotonic() - begun, processor_seconds() - before
    config = SimpleNamespace(precision=precision)
    return {
        "commit": name, "wall_seconds": round(wall, 1), "cpu_seconds": round(used, 1),
        "matrix_gflops": round(record.matrix_rate(config) / 1e9, 1),
    }  # fmt: skip


def without_bfloat16(clone: Path):
    """Empty the clone's list of the processor instructions that make bfloat16 fast."""
    [file] = (clone / "pg2lib").rglob("devices.py")
    pattern = re.compile(r"^FAST_BFLOAT16 = \(.*?\)", re.MULTILINE)
    text, count = pattern.subn("FAST_BFLOAT16 = ()", file.read_text())
    if count != 1:
        sys.exit(f"{file} has no FAST_BFLOAT16; --float32 needs a commit that has it")
    file.write_text(text)


def processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
