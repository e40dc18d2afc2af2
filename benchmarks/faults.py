"""`make faults`: kill pg2, starve it, damage its files, feed it nonsense; count what comes of it.
Writes benchmarks/faults.json and, from that, docs/reliability.md.

Every case runs in a forked process with a folder of its own, at profile smoke on one core, and is
drawn from a seed. `--share 10` runs every tenth case, `--only kills` one part; a part that was not
run keeps the counts it has. Every outcome is written at once: `--more` goes on with a campaign that
was stopped.
"""

import argparse
import hashlib
import json
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path

import torch

from benchmarks import fault_cases as on
from benchmarks import nonsense
from benchmarks.common import PROJECT
from pg2lib import cli
from pg2lib.core.devices import machine
from pg2lib.core.files import UserError, write_atomically, write_json

PAGE = PROJECT / "docs" / "reliability.md"


def cases(whole_folder: Path, half: Path) -> dict:
    """Part -> [(name, function of folder, dice, whole, seconds)]."""
    files = [
        (source, str(path.relative_to(source)))
        for source in (whole_folder, half)
        for path in sorted((source / "runs").rglob("*.*"))
        if path.is_file() and path.name != ".lock" and path.suffix != ".png"
    ]
    stores = ("HERE/file", "HERE/file/x", "/proc/x", "/dev/null", "HERE/" + "x" * 300, "/sys/x")
    signals = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGSTOP)
    return {
        "kills": [(f"round {k}", on.killed) for k in range(34)],
        "signals": [(s.name, partial(on.killed, how=s)) for s in signals for _ in range(3)],
        "writers": [
            (f"{n} writers{', one killed' * k}", partial(on.together, count=n, kill=k))
            for n in (2, 4) for k in (False, True) for _ in range(2)
        ],
        "reproduce": [(f"round {k}", on.reproduced) for k in range(2)],
        "full disk": [(f"round {k}", on.full) for k in range(16)],
        "full output": [
            (command[0], partial(on.too_small, source=whole_folder, command=command))
            for command in nonsense.outputs(whole_folder) for _ in range(6)
        ],
        "file size": [(f"round {k}", on.limited) for k in range(8)],
        "folders": [(store[:40], partial(on.refused, store=store)) for store in stores]
        + [(f"vanished {k}", on.vanished) for k in range(6)]
        + [(f"read-only {k}", on.read_only) for k in range(4)],
        "network": [(f"round {k}", on.offline) for k in range(2)],
        "damage": [
            (f"{unkeyed(name)}, {how}", partial(on.damaged, source=source, name=name, damage=how))
            for source, name in files for how in on.DAMAGES
        ],
        "files": [(name, partial(nonsense.fuzzed, name=name))
                  for name in nonsense.FILES for _ in range(4)],
        "options": [(f"round {k}", partial(nonsense.confused, source=whole_folder))
                    for k in range(100)],
        "parameters": [(f"round {k}", partial(nonsense.asked, source=whole_folder))
                       for k in range(24)],
        "messages": [(f"round {k}", nonsense.messages) for k in range(4)],
    }  # fmt: skip


def unkeyed(name: str) -> str:
    """The name of a file without the keys of its folders, which change with the code."""
    return re.sub(r"-[0-9a-f]{12}(?=/)", "", name)


HOW = {
    "kills": "`pg2 evaluate` killed (SIGKILL) at three random moments, with a checkpoint at every "
    "step, then run to its end",
    "signals": "the same with SIGTERM, SIGINT, SIGHUP, and SIGSTOP followed by SIGCONT",
    "writers": "two or four `pg2 evaluate` at once on one store, in half of the cases one killed",
    "reproduce": "`pg2 reproduce` with its notebooks, killed three times, then run to its end",
    "full disk": "`pg2 evaluate` on a disk (tmpfs) that is too small, then with room",
    "full output": "`pg2 report`, `pg2 export` and `pg2 generate` on a disk that is too small for "
    "what they write, then with room",
    "file size": "`pg2 evaluate` under a limit on the size of a file, then without it",
    "folders": "a store that is a file, below a file, in /proc, is deleted while it is written, or "
    "is on a disk that becomes read-only",
    "network": "`pg2 evaluate` without a network interface, downloads allowed",
    "damage": "each file of a finished store, and of a preparation that was killed half-way: cut, "
    "zeroed, one bit changed, replaced, emptied, deleted; then every step is read",
    "files": "25 broken copies a case of a pose, a sequence, tables of poses and pairs, a list, "
    "photos, a profile, answers of the user study and a file of weights",
    "options": "`pg2 describe` with one random option or variable, `pg2 train` with one odd number",
    "parameters": "notebooks 1 and 9 as `pg2 reproduce` runs them, with one nonsensical parameter",
    "messages": "50 random messages a case to the widget of the user study",
}
INPUTS = {"files": 25, "options": 1, "parameters": 1, "messages": 50}  # of one case
TEXT = """# Reliability

What pg2 promises about faults, how it was tried, and what came of it. `make faults` tries it and
writes this page; the cases and their seed are in [benchmarks/faults.py](../benchmarks/faults.py),
every outcome is in [benchmarks/faults.json](../benchmarks/faults.json).

## What is promised

- **An interruption costs time only.** A run that was killed goes on where it was and ends with the
  same bits: images, weights, scores. It leaves no process, no lock and no temporary file.
- **No number comes from damaged files.** Whatever the run store holds was recorded with its
  SHA-256, which is compared before a file is used, once per process. A file that is lost or of
  another size is made again; one of the right size with other content is refused, and the sentence
  says which folder to delete. Rows of an interrupted preparation and checkpoints are compared in
  the same way before they are taken up.
- **A mistake or a fault of the machine ends in one sentence**, exit status 2, which names the thing
  and the remedy.
- **Files from elsewhere run no code**, cannot leave their folder and cannot write to the terminal.
- **The report and the site touch no file that they did not write.**

Not promised: protection from someone who edits a file and its record; the curve and the log of a
training that was interrupted are read, but their content is not compared; a disk that fills up
through another program while a file is mapped into memory ends the process without a sentence
(it resumes); temporary files in a folder that was named with `--out` stay there if the process is
killed, since such a folder is the user's.

Not in these counts: kills of a launch by torchrun; damage to the store of an executed notebook.
Unit tests cover a disk without locks (NFS), files that would run code, names that would leave their
folder, and what the report escapes.

The first runs found a worker that outlived a killed preparation and tracebacks for
`--set channels=0` and for parameters of a notebook that are not strings (`dataset = 5`); all are
mended and have tests in tests/test_faults.py.

## How it was tried
"""


def page(record: dict) -> str:
    lines = ["", "| What was done | cases | held | failed |", "|---|---|---|---|"]
    failures = []
    for part, how in HOW.items():
        entry = record["parts"].get(part)
        if not entry:
            lines.append(f"| {part}: {how} | not run | – | – |")
            continue
        cases, held = entry["cases"], sum(good(end) for end in entry["cases"].values())
        every = "" if len(cases) == entry["of"] else f" of {entry['of']}"
        lines.append(f"| {part}: {how} | {len(cases)}{every} | {held} | {len(cases) - held} |")
        failures += [f"- {part}, {n}: {end}" for n, end in cases.items() if not good(end)]
    lines += [
        "",
        f"Seed {record['seed']}. Machine: {'; '.join(machines(record))}; each pg2 but reproduce "
        'runs on one of them. Cases "N of M": only N were run.',
    ]
    count = {part: len(entry["cases"]) for part, entry in record["parts"].items()}
    inputs = sum(size * count.get(part, 0) for part, size in INPUTS.items())
    kills = 3 * count.get("kills", 0)
    lines += ["", f"In all, {kills} SIGKILLs in the first row and {inputs:,} nonsensical inputs."]
    lines += ["", f"Comparing checksums: {record['hashing']:.2f} s a gigabyte, once per process."]
    return TEXT + "\n".join(
        lines + ["", "Failed:" if failures else "Nothing failed.", *failures, ""]
    )


def machines(record: dict) -> list[str]:
    """Where the parts ran, without repeats."""
    return sorted({
        f"{m['processor']}, Python {m['python']}, torch {m['torch']}, CPU cores: {m['cores']}"
        for entry in record["parts"].values() for m in entry["machines"]
    })  # fmt: skip


def good(outcome: str) -> bool:
    return outcome.startswith(on.GOOD)


def hashing_seconds(folder: Path) -> float:
    """Seconds to hash a gigabyte from memory."""
    path = folder / "large"
    path.write_bytes(bytes(1 << 27))
    began = time.process_time()
    with open(path, "rb") as file:
        hashlib.file_digest(file, "sha256")
    return (time.process_time() - began) * 1e9 / (1 << 27)


def campaign(options, folder: Path, out: Path):
    whole_folder, half = folder / "whole", folder / "half"
    for place in (whole_folder, half):
        place.mkdir()
    began = time.time()
    if (ended := on.start(on.pg2(), whole_folder).end()) != "done":
        raise UserError(f"the undisturbed run failed: {ended}")
    seconds, whole = time.time() - began, on.results(whole_folder)
    on.half_prepared(half)
    record = json.loads(out.read_text()) if out.exists() else {"parts": {}}
    record |= {"seed": options.seed, "hashing": hashing_seconds(folder)}
    for part, every in cases(whole_folder, half).items():
        if options.only and part not in options.only:
            continue
        before = record["parts"].get(part, {}) if options.more else {}
        machines = [m for m in before.get("machines", []) if m != machine()] + [machine()]
        names = {f"{number} {name}" for number, (name, _) in enumerate(every)}
        known, began = before.get("cases", {}), time.time()
        found = {name: known[name] for name in known.keys() & names}
        order = list(enumerate(every))[:: options.share]
        random.Random(f"{options.seed}/{part}").shuffle(order)  # what --minutes leaves is a sample
        for number, (name, work) in order:
            if options.minutes and time.time() - began > 60 * options.minutes:
                break
            if f"{number} {name}" in found:
                continue
            place = folder / "case"
            place.mkdir()
            dice = random.Random(f"{options.seed}/{part}/{number}")
            outcome = work(place, dice, whole, seconds)
            found[f"{number} {name}"] = outcome.replace(str(folder), "STORE")
            print(f"{part} {number} {name}: {outcome}", flush=True)
            shutil.rmtree(place, ignore_errors=True)
            entry = {"of": len(every), "cases": found, "machines": machines}
            record["parts"][part] = entry | {"made": time.strftime("%Y-%m-%d")}
            keep(record, out)
        print(part, dict(Counter(end.partition(":")[0] for end in found.values())), flush=True)


def keep(record: dict, out: Path):
    """Write the record and the page that is made from it."""
    write_json(out, record)
    with write_atomically(PAGE) as temporary:
        temporary.write_text(page(record), encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", type=int, default=1, help="run every SHARE-th case")
    parser.add_argument("--minutes", type=float, help="begin no case of a part after so many")
    parser.add_argument("--more", action="store_true", help="keep the outcomes that are there")
    parser.add_argument("--only", action="append", choices=HOW, help="a part; may be repeated")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="pg2-faults-", ignore_cleanup_errors=True) as folder:
        try:
            campaign(options, Path(folder), Path(__file__).with_suffix(".json"))
        except KeyboardInterrupt:
            raise UserError("stopped; what was found is kept, go on with --more") from None


if __name__ == "__main__":
    sys.exit(cli.status_of(main))
