"""The charts that one notebook each draws, in the style of all figures."""

import numpy as np
import pandas as pd

from pg2lib.evaluation.scores import SCORES
from pg2lib.results.charts import chart
from pg2lib.results.comparisons import interval_text
from pg2lib.results.figures import colour
from pg2lib.results.provenance import GREY, STYLE

FIRST, SECOND = "#0072b2", "#d55e00"  # two series side by side


@STYLE
def joints_found_chart(rates):
    """Bars of the share of images in which each joint was found; rates: Series by joint."""
    figure, axes = chart(6.4, 2.9)
    axes.bar(rates.index.str.replace("_", " "), rates, color=FIRST)
    axes.set(ylim=(0, 1), ylabel="found in share of images")
    axes.tick_params(axis="x", rotation=60)
    return figure


@STYLE
def shift_chart(shifts, followed):
    """How far each row's people moved (row -> mean pixels) over how far the pose did."""
    figure, axes = chart(4.2, 3.0)
    axes.plot(shifts, shifts, "--", color=GREY, label="follows exactly")
    for row, means in followed.items():
        axes.plot(shifts, means, "o-", color=colour(row), label=row)
    axes.set(xlabel="pose moved by, pixels", ylabel="person moved by, pixels")
    listed = (f"{row} {', '.join(f'{m:.1f}' for m in means)}" for row, means in followed.items())
    alt = f"Pixels the person moved when the pose moved by {', '.join(f'{s:+d}' for s in shifts)}: "
    figure.set_label(f"{alt}{'; '.join(listed)}.")
    axes.legend(fontsize=7, frameon=False)
    return figure


@STYLE
def interval_chart(groups, labels, xlabel):
    """Points with intervals around zero, a line per label, top to bottom; groups: at most two
    series -> (middle, low, high), each with one value per label."""
    figure, axes = chart(5.6, 0.8 + 0.32 * len(labels))
    draw_intervals(axes, groups, labels, xlabel)
    axes.axvline(0, color=GREY, linestyle="--", linewidth=0.9)
    listed = [f"{label} {name} {interval_text(*interval)}" for name, values in groups.items()
              for label, *interval in zip(labels, *values, strict=True)]  # fmt: skip
    figure.set_label(f"Intervals, {xlabel}: {'; '.join(listed)}.")
    if len(groups) > 1:
        axes.legend(frameon=False, bbox_to_anchor=(1, 1))
    return figure


def draw_intervals(axes, groups, labels, xlabel) -> list:
    """The points and intervals of an `interval_chart`; returns the heights of each series."""
    place, drawn = np.arange(len(labels)), []
    for number, (name, values) in enumerate(groups.items()):
        middle, low, high = (np.asarray(part, float) for part in values)
        heights = place + 0.26 * (number - (len(groups) - 1) / 2)
        shade = (FIRST, SECOND)[number]
        axes.hlines(heights, low, high, color=shade, linewidth=1.4)
        axes.plot(middle, heights, "o", color=shade, markersize=4, label=name)
        drawn.append(heights)
    axes.set_yticks(place, labels)
    axes.set(ylim=(len(labels) - 0.5, -0.5), xlabel=xlabel)
    return drawn


@STYLE
def cost_chart(costs, scores, names=("ssim", "mask_ssim", "pckh")):
    """Scores with their 95 % intervals against the cost of training, a panel per score.

    costs: row -> PFLOP; scores: row -> {score: value with "mean", perhaps "low" and "high", or
    None, which is left out}.
    """
    figure, spots = chart(1.2 + 2.4 * len(names), 2.6, len(names), squeeze=False)
    alt = "Scores against the cost of training in PFLOP."
    for axes, score in zip(spots[0], map(SCORES.get, names)):
        for row, cost in costs.items():
            value = scores[row].get(score.name) or {"mean": None}
            if value["mean"] is None:
                continue
            if value.get("low") is not None:
                axes.vlines(cost, value["low"], value["high"], color=colour(row), linewidth=1.4)
            axes.plot(cost, value["mean"], "o", color=colour(row), markersize=5, label=row)
            alt += f" {score.heading}, {row}: {value['mean']:.3f} at {cost:.3g}."
        axes.set(title=score.heading, xlabel="training, PFLOP", xlim=(0, 1.1 * max(costs.values())))
    figure.set_label(alt)
    spots[0][-1].legend(frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


@STYLE
def spread_chart(groups, xlabel):
    """One dot per value and the median, a line per group; groups: name -> float (k,)."""
    figure, axes = chart(5.6, 2.1)
    random = np.random.default_rng(0)
    for place, values in enumerate(groups.values()):
        values = pd.Series(values, dtype=float).dropna()
        spread = place + random.uniform(-0.3, 0.3, len(values))
        axes.plot(values, spread, ".", color="#999999", markersize=2)
        axes.vlines(values.median(), place - 0.4, place + 0.4, color=SECOND)
    axes.set_yticks(range(len(groups)), groups)
    axes.set(ylim=(len(groups) - 0.5, -0.5), xlabel=xlabel)
    return figure
