"""`make scaling`: score against the width of the networks and the pairs they see.

Trains the coarse row of a study with three widths and four lengths each, and once twice as wide
(what is in the run store is read), scores it, fits how SSIM, mask-SSIM and sharpness grow, and says
what the fits predict for the paper's width and length at this image size. Writes docs/scaling.md,
.png and benchmarks/scaling.json.
"""

import argparse
import itertools
import sys
from dataclasses import replace

import numpy as np
from scipy.optimize import least_squares
from scipy.stats import t as student

from benchmarks.common import PROJECT
from pg2lib.cli import status_of
from pg2lib.core.config import Study
from pg2lib.core.devices import machine
from pg2lib.core.files import read_json, write_json
from pg2lib.evaluation.scores import SCORES
from pg2lib.results.render import markdown_grid
from pg2lib.training import describe
from pg2lib.workflow import pipeline

ROW = "G1-poseMaskLoss"
WIDTHS = 8, 12, 16
STEPS = 700, 1_400, 2_800, 5_600
POINTS = *itertools.product(WIDTHS, STEPS), (32, STEPS[-1])  # this one costs as much as the rest
FITTED = "ssim", "mask_ssim", "sharpness"
RESULTS, PAGE = PROJECT / "benchmarks" / "scaling.json", PROJECT / "docs" / "scaling.md"
PICTURE = PAGE.with_suffix(".png")


def main():
    options = parser().parse_args()
    study = Study(options.dataset, options.profile)
    points = [point(study, *place) for place in POINTS]
    paper = pipeline.method_config(replace(study, profile="paper"), ROW)
    data = pipeline.data(study)
    there = paper.channels, paper.iterations * paper.batch
    record = {
        "command": f"make scaling DATASET={options.dataset} PROFILE={options.profile}",
        "dataset": study.dataset, "profile": study.profile_name, "row": ROW, "seed": study.seed,
        "size": [data.height, data.width], "pairs": len(data.test_pairs),
        "machine": machine(), "points": points, "paper": there,
        "fits": {score: fits(points, score, there) for score in FITTED},
    }  # fmt: skip
    others = [one for one in read_json(RESULTS) or [] if one["command"] != record["command"]]
    write_json(RESULTS, [*others, record])
    draw([*others, record])
    PAGE.write_text(page([*others, record]), encoding="utf-8")
    print(f"wrote {PAGE}")


def parser():
    top = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    top.add_argument("--dataset", default="synthetic-market")
    top.add_argument("--profile", default="quick")
    return top


def point(study, width, steps) -> dict:
    """The scores of the row, trained with a width and a number of steps."""
    plain, wanted = pipeline.method_config(study, ROW), {"channels": width, "iterations": steps}
    own = [f"{key}={value}" for key, value in wanted.items() if getattr(plain, key) != value]
    study = replace(study, overrides=tuple(own))
    pipeline.train(study, ROW)
    [summary] = pipeline.summaries(study, [ROW])[ROW]
    config = pipeline.method_config(study, ROW)
    found = {
        "channels": width,
        "pairs_seen": steps * config.batch,
        "pflops": round(describe.costs(study, ROW)["training_pflops"], 3),
        "scores": {score: summary["scores"][score]["mean"] for score in FITTED},
    }
    print(found, flush=True)
    return found


def fits(points, score, there) -> dict:
    """What two curves make of a score: their predictions for (width, pairs) `there`, and how far
    they miss the longest trainings when fitted to the shorter ones alone."""
    width, pairs, value = columns(points, score)
    shorter = pairs < pairs.max()
    found = {}
    for name, fit in (("line", line), ("power", power)):
        predict, error = fit(width, pairs, value)
        early, _ = fit(width[shorter], pairs[shorter], value[shorter])
        missed = early(width[~shorter], pairs[~shorter]) - value[~shorter]
        [far], spread = predict(*np.array([there]).T), error(*there)
        found[name] = {
            "there": float(far),
            "interval": None if spread is None else [float(far - spread), float(far + spread)],
            "residual": float(np.std(predict(width, pairs) - value)),
            "missed_longest": [float(each) for each in missed],
        }
    return found


def columns(points, score):
    found = [(p["channels"], p["pairs_seen"], p["scores"][score]) for p in points]
    return np.array(found, float).T


def line(width, pairs, value):
    """The least-squares plane over the logarithms of both: (predict, half of its 95 % prediction
    interval at a point)."""

    def design(width, pairs):
        return np.stack([np.ones_like(pairs), np.log2(width), np.log2(pairs)], -1)

    known = design(width, pairs)
    weights, *_ = np.linalg.lstsq(known, value, rcond=None)
    free = len(value) - known.shape[1]
    variance = ((known @ weights - value) ** 2).sum() / free

    def half_interval(width, pairs):
        at = design(np.float64(width), np.float64(pairs))
        spread = variance * (1 + at @ np.linalg.inv(known.T @ known) @ at)
        return student.ppf(0.975, free) * np.sqrt(spread)

    return lambda width, pairs: design(width, pairs) @ weights, half_interval


def power(width, pairs, value):
    """A limit below 1 minus a power of each: what a score does that stops growing. No interval:
    the limit is hardly held by trainings this short."""

    def curve(p, width, pairs):
        limit, b, beta, c, gamma = p
        return limit - b * (width / 16) ** -beta - c * (pairs / 16_000) ** -gamma

    start = [min(value.max() + 0.05, 0.99), 0.02, 0.5, 0.05, 0.5]
    bounds = [[0, 0, 0.05, 0, 0.05], [1, 1, 4, 1, 4]]
    found = least_squares(lambda p: curve(p, width, pairs) - value, start, bounds=bounds).x
    return lambda width, pairs: curve(found, width, pairs), lambda *there: None


def draw(records):
    """A panel a score: score against pairs seen, a line a width, of the last record."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(FITTED), figsize=(11, 3.4), layout="constrained")
    for axis, score in zip(axes, FITTED):
        points = records[-1]["points"]
        widths = sorted({p["channels"] for p in points}, reverse=True)
        for shade, channels in zip((0.0, 0.3, 0.55, 0.75), widths):
            own = [p for p in points if p["channels"] == channels]
            seen, values = [p["pairs_seen"] for p in own], [p["scores"][score] for p in own]
            axis.plot(seen, values, "o-", color=plt.cm.viridis(shade), label=f"{channels} channels")
        axis.set(xscale="log", xlabel="pairs seen", ylabel=SCORES[score].heading)
        seen = sorted({p["pairs_seen"] for p in points})
        axis.set_xticks(seen, [f"{count:,}" for count in seen])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[0].legend(frameon=False)
    figure.savefig(PICTURE, dpi=110, metadata={"Software": None})
    plt.close(figure)


def page(records) -> str:
    """docs/scaling.md."""
    return TEXT.format(row=ROW, sections="\n\n".join(map(section, records)))


def section(record) -> str:
    """What one study found."""
    head = ["channels", "pairs seen", "TFLOP", *(SCORES[s].heading for s in FITTED)]
    rows = [
        [str(p["channels"]), f"{p['pairs_seen']:,}", f"{1_000 * p['pflops']:,.0f}",
         *(f"{p['scores'][s]:.3f}" for s in FITTED)]
        for p in record["points"]
    ]  # fmt: skip
    guesses = []
    for score, both in record["fits"].items():
        low, high = both["line"]["interval"]
        missed = [max(map(abs, both[name]["missed_longest"])) for name in ("line", "power")]
        guesses.append([
            SCORES[score].heading, f"{both['line']['there']:.3f} [{low:.3f}, {high:.3f}]",
            f"{both['power']['there']:.3f}", f"{missed[0]:.3f}", f"{missed[1]:.3f}",
        ])  # fmt: skip
    columns = ["score", "logarithms", "powers", "logarithms miss by", "powers miss by"]
    return SECTION.format(
        **record, height=record["size"][0], width=record["size"][1],
        channels=record["paper"][0], seen=record["paper"][1],
        measured=markdown_grid(head, rows), guesses=markdown_grid(columns, guesses),
    )  # fmt: skip


TEXT = """# How scores grow with width and training

{row}, one training each, scored on people not trained on. Every length is a training of its own
whose rate falls to 0 at its end. Written by `make scaling`, which trains what the run store lacks;
the numbers are in [benchmarks/scaling.json](../benchmarks/scaling.json).

![Score against pairs seen, one line per width](scaling.png)

{sections}
"""
SECTION = """## {dataset}, {height}x{width}, {pairs:,} test pairs

Made by `{command}` with seed {seed}.

{measured}

What two fits predict for the paper's width and length, {channels} channels and {seen:,} pairs, at
this image size. "Logarithms" is a plane over the logarithms of width and pairs, with its 95 %
prediction interval; it has no upper limit, and its interval does not cover another seed. "Powers"
is a limit minus a power of each, without an interval. The paper's point lies far outside the range
of these trainings, so the distance between the two shows how uncertain it is. "Miss by" is the
largest error at the longest trainings when the fit sees only the shorter ones.

{guesses}"""


if __name__ == "__main__":
    sys.exit(status_of(main))
