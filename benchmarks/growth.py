"""Time and memory as the work grows: batch, resolution, width, number of pairs."""

import json
import subprocess
import sys

from benchmarks.common import PROJECT, Line, Size, Worker, environment, median, stage_for

AXES = ("batch", "height", "channels", "pairs")
FLAT = 1.15  # memory may grow by so much over all numbers of pairs to count as flat


def measure(size: Size, device: str, say) -> tuple[list[Line], dict]:
    base = stage_for("G1-poseMaskLoss", size.growth_profile)
    changes = {
        "batch": [dict(batch=n) for n in size.growth_batches],
        "height": [dict(height=h, width=w) for h, w in size.growth_sizes],
        "channels": [dict(channels=n) for n in size.growth_channels],
    }
    points = []
    for axis, choices in changes.items():
        for change in choices:
            say(f"cost as {axis} grows: {change}")
            stage = stage_for("G1-poseMaskLoss", size.growth_profile, **change)
            points.append({"axis": axis, "at": change[axis]} | point(stage, device, size))
    for pairs in size.growth_pairs:
        say(f"cost as the number of pairs grows: {pairs:,}")
        points.append({"axis": "pairs", "at": pairs} | point(base, device, size, pairs=pairs))
    for pairs in size.growth_scored:
        say(f"memory of an evaluation of {pairs:,} pairs")
        points.append({"axis": "scored", "at": pairs} | evaluation(pairs, device))
    lines = []
    for axis, what in (("pairs", "training"), ("scored", "evaluation")):
        values = [p["memory_mb"] for p in points if p["axis"] == axis]
        counts = [p["at"] for p in points if p["axis"] == axis]
        lines.append(
            Line(
                f"memory of {what}, {counts[-1]:,} pairs against {counts[0]:,}",
                values[-1] / values[0], "x", "flat (at most 1.15)", values[-1] <= FLAT * values[0],
                f"{values[0]:,.0f} and {values[-1]:,.0f} MB",
            )
        )  # fmt: skip
    base = {name: getattr(base, name) for name in ("batch", "height", "width", "channels")}
    return lines, {"base": base, "points": points, "profile": size.growth_profile}


def point(stage, device, size, **options):
    with Worker(stage=stage.as_dict(), device=device, **options) as worker:
        worker.ask("step")
        seconds = median([worker.ask("step") for _ in range(size.repeats)])
        return {"seconds": seconds, "memory_mb": worker.ask("memory")}


def evaluation(pairs: int, device: str) -> dict:
    code = f"from benchmarks.growth import evaluate; evaluate({pairs}, {device!r})"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=PROJECT,
        env=environment(),
    )  # fmt: skip
    return json.loads(done.stdout)


def evaluate(pairs: int, device: str):
    """Score the copied condition image of so many pairs of noise; prints seconds and peak."""
    import tempfile
    import time
    from pathlib import Path

    from benchmarks.common import noise, peak_memory
    from pg2lib.evaluation.score_row import Scoring, evaluate_row
    from pg2lib.models.base import Output

    def copy(inputs):
        image = inputs.condition
        return Output(image, {"coarse": image, "difference": image})

    dataset, started = noise(128, 64, pairs), time.perf_counter()
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
    from matplotlib.figure import Figure

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
