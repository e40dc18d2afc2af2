"""`python -m benchmarks`: measure everything and write results.json and results.md.

The sections run one after the other and each is written as it ends; a run that was stopped starts
again from the first; only the trainings of `parity` resume.
"""

import argparse
import json
import sys
import time
from pathlib import Path

from benchmarks import data, growth, later, parity, processes, scoring, steps, studio
from benchmarks.common import CHECK, Size
from pg2lib.cli import status_of
from pg2lib.core import devices
from pg2lib.core.files import UserError, write_atomically

GROWTH = "cost as work grows"
SECTIONS = {
    "training and generation": steps,
    "papers after PG2": later,
    "scores": scoring,
    "data": data,
    GROWTH: growth,
    "pose studio": studio,
    "several processes": processes,
    "precision and quality": parity,
}


def main():
    options = parser().parse_args()
    folder, size = options.out, CHECK if options.check else Size()
    device = options.device or devices.default_device()
    chosen = options.only or list(SECTIONS)
    unknown = [name for name in chosen if name not in SECTIONS]
    if unknown:
        raise UserError(f"unknown section {unknown[0]!r}; choose of: {', '.join(SECTIONS)}")
    results = read(folder / "results.json")
    if not options.only:
        results.pop(device, None)  # a whole run: nothing of an older one stays
    entry = results.setdefault(device, {"sections": {}})
    for name in chosen:
        started = time.time()
        lines, details = SECTIONS[name].measure(size, device, log)
        facts = devices.machine() | {"precision": devices.precision_text(device, "auto")}
        entry["sections"][name] = {
            "lines": [line.as_dict() for line in lines],
            "details": details,
            "seconds": round(time.time() - started),
            "made": time.strftime("%Y-%m-%d %H:%M"),
            "machine": facts,
        }
        entry.setdefault("machine", facts)  # of a whole run; a section made later has its own
        entry["command"] = "make bench" if not options.check else "python -m benchmarks --check"
        folder.mkdir(parents=True, exist_ok=True)
        write(folder, results)
    print((folder / "results.md").read_text())


def parser():
    top = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    top.add_argument("--only", action="append", metavar="SECTION", help="one section; repeatable")
    top.add_argument("--device", choices=("cpu", "cuda"), help="default: cuda where available")
    top.add_argument("--check", action="store_true", help="tiny sizes: whether all of it runs")
    top.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder to write to")
    return top


def log(text):
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


def read(path) -> dict:
    return json.loads(path.read_text()) if path.exists() else {}


def write(folder, results):
    """results.json, the page results.md and the plot of each device."""
    with write_atomically(folder / "results.json") as temporary:
        temporary.write_text(json.dumps(results, indent=1) + "\n")
    with write_atomically(folder / "results.md") as temporary:
        temporary.write_text(page(results))
    for device, entry in results.items():
        if GROWTH in entry["sections"]:
            details = entry["sections"][GROWTH]["details"]
            growth.plot(details["points"], details["base"], folder / f"growth-{device}.png")


def page(results) -> str:
    """The results as Markdown, a chapter per device."""
    text = ["# Benchmark", "", "Written by `make bench`; do not edit. Medians of interleaved runs."]
    for device, entry in sorted(results.items()):
        text += ["", *machine_lines(device, entry), ""]
        for name in (name for name in SECTIONS if name in entry["sections"]):
            section = entry["sections"][name]
            if section["lines"]:
                text += [f"### {name}", ""]
                where = place(device, section.get("machine", entry["machine"]))
                if where != place(device, entry["machine"]):
                    text += [f"Measured on {where}.", ""]
                text += [*line_table(section["lines"]), ""]
            if name == GROWTH:
                text += [growth.table(section["details"]["points"]), ""]
                text += [f"![Seconds and memory of a step](growth-{device}.png)", ""]
    return "\n".join(text).rstrip() + "\n"


def machine_lines(device, entry) -> list[str]:
    machine = entry["machine"]
    software = f"Python {machine['python']}, torch {machine['torch']}"
    return [
        f"## {place(device, machine)}",
        "",
        f"{software}; training in {machine['precision']}. `{entry['command']}`.",
    ]


def place(device, machine) -> str:
    """The processors of a machine, in words."""
    if device == "cuda":
        return machine["gpu"]
    return f"{machine['cores']} cores of {machine['processor']}"


def line_table(lines) -> list[str]:
    rows = ["| what | measured | target | met | note |", "|---|---|---|---|---|"]
    for line in lines:
        met = {True: "yes", False: "**no**", None: ""}[line["met"]]
        value = f"{number(line['value'])} {line['unit']}".strip()
        rows.append(f"| {line['what']} | {value} | {line['target']} | {met} | {line['note']} |")
    return rows


def number(value) -> str:
    if value and abs(value) < 0.01:
        return f"{value:.1e}" if abs(value) < 1e-3 else f"{value:.4f}"
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"


if __name__ == "__main__":
    sys.exit(status_of(main))
