"""Time and memory as the work grows: batch, resolution, width, number of pairs."""

import json
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common import (
    ROW,
    Line,
    Size,
    Worker,
    median,
    noise,
    peak_memory,
    row_config,
    run_module,
)
from pg2lib.evaluation.score_row import Scoring, evaluate_row
from pg2lib.models.base import Output

AXES = ("batch", "height", "channels", "pairs")
FLAT = 1.15  # memory may grow by so much over all numbers of pairs to count as flat


def measure(size: Size, device: str, log) -> tuple[list[Line], dict]:
    changes = {
        "batch": [dict(batch=n) for n in size.growth_batches],
        "height": [dict(height=h, width=w) for h, w in size.growth_sizes],
        "channels": [dict(channels=n) for n in size.growth_channels],
    }
    options, points = dict(row=ROW, profile=size.growth_profile, device=device), []
    for axis, choices in changes.items():
        for change in choices:
            log(f"cost as {axis} grows: {change}")
            cost = training_cost(size.repeats, changes=change, **options)
            points.append({"axis": axis, "at": change[axis]} | cost)
    for pairs in size.growth_pairs:
        log(f"cost as the number of pairs grows: {pairs:,}")
        cost = training_cost(size.repeats, pairs=pairs, **options)
        points.append({"axis": "pairs", "at": pairs} | cost)
    for pairs in size.growth_scored:
        log(f"memory of an evaluation of {pairs:,} pairs")
        points.append({"axis": "scored", "at": pairs} | run_module("growth", pairs, device))
    lines = [memory_line(points, "pairs", "training"), memory_line(points, "scored", "evaluation")]
    config = row_config(ROW, size.growth_profile)
    base = {name: getattr(config, name) for name in ("batch", "height", "width", "channels")}
    return lines, {"base": base, "points": points, "profile": size.growth_profile}


def memory_line(points, axis, what) -> Line:
    """The memory of the most pairs against that of the fewest."""
    chosen = [p for p in points if p["axis"] == axis]
    low, high = (chosen[k]["memory_mb"] for k in (0, -1))
    return Line(
        f"memory of {what}, {chosen[-1]['at']:,} pairs against {chosen[0]['at']:,}",
        high / low, "x", f"flat (at most {FLAT})", high <= FLAT * low,
        f"{low:,.0f} and {high:,.0f} MB",
    )  # fmt: skip


def training_cost(repeats, **options) -> dict:
    """Seconds of a step and peak memory; options: of the worker."""
    with Worker(**options) as worker:
        worker.ask("step")
        seconds = median([worker.ask("step") for _ in range(repeats)])
        return {"seconds": seconds, "memory_mb": worker.ask("memory")}


def evaluate(pairs, device):
    """Score the copied condition image of so many pairs of noise; prints seconds and peak."""

    def copy(inputs):
        return Output(inputs.condition, {"coarse": inputs.condition})

    dataset, started = noise(128, 64, int(pairs)), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        evaluate_row("copy", copy, dataset, Path(folder), Scoring(device=device))
    print(json.dumps({"seconds": time.perf_counter() - started, "memory_mb": peak_memory()}))


def table(points) -> str:
    """The points as Markdown, one row each."""
    rows = ["| what grows | at | seconds | peak memory, MB |", "|---|---|---|---|"]
    names = {"pairs": "pairs to train on", "scored": "pairs to evaluate", "channels": "width"}
    for p in points:
        name = names.get(p["axis"], p["axis"])
        rows.append(f"| {name} | {p['at']:,} | {p['seconds']:.3g} | {p['memory_mb']:,.0f} |")
    return "\n".join(rows)


def plot(points, base, path):
    """Seconds (doubly logarithmic) and memory of a step along each axis."""
    from matplotlib.figure import Figure  # not part of the memory that is measured

    figure = Figure(figsize=(10, 4.6), layout="constrained")
    titles = ("batch", "height of the image, pixels", "width, channels", "pairs to train on")
    for place, (axis, title) in enumerate(zip(AXES, titles), start=1):
        here = [p for p in points if p["axis"] == axis]
        for row, (key, unit) in enumerate((("seconds", "seconds a step"), ("memory_mb", "MB"))):
            axes = figure.add_subplot(2, 4, place + 4 * row)
            axes.plot([p["at"] for p in here], [p[key] for p in here], "o-", color="#1f5a94")
            axes.set(xscale="log", title=title if row == 0 else None)
            low, high = (f([p[key] for p in points if p["axis"] in AXES]) for f in (min, max))
            if row == 0:
                axes.set(yscale="log", ylim=(low / 1.5, high * 1.5))
            else:
                axes.set_ylim(0, 1.1 * high)
            axes.set_xticks([p["at"] for p in here], [f"{p['at']:,}" for p in here], fontsize=8)
            axes.minorticks_off()
            axes.grid(True, color="#dddddd")
            if place == 1:
                axes.set_ylabel(unit)
    shape = f"{base['height']}x{base['width']}, width {base['channels']}, batch {base['batch']}"
    figure.suptitle(f"A training step of G1; what is not varied: {shape}")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    evaluate(*sys.argv[1:])
