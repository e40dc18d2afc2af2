"""The figures of the claims notebook: effects with intervals, and how fast two trainings learn."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pg2lib.core.files import UserError
from pg2lib.evaluation.statistics import CANNOT, EQUAL, FAILS, HOLDS, MORE
from pg2lib.results import verdicts
from pg2lib.results.figures import COLOURS, DPI, FONT, GREY, INK, PALE, STYLE

# Verdict -> colour and marker; apart for the colour-blind, and the word stands beside them.
LOOKS = {HOLDS: ("#0072b2", "o"), FAILS: ("#d55e00", "X"), CANNOT: ("#777777", "D")}
LINE, HEAD = 0.2, 0.55  # inches: per comparison, and per panel for its axis


@STYLE
def forest(results):
    """Every measured effect with its 95 % interval, a panel per unit and range.

    The numbers are those of the claims in claims.md. The grey band is where the claim wants the
    effect; the verdict on each comparison stands beside it in words.

    Args:
        results: list of `verdicts.Result`.

    Raises:
        UserError: nothing was measured.
    """
    panels = {}
    for number, result in enumerate(results, start=1):
        for finding in result.findings:
            if np.isfinite(finding.effect):
                panels.setdefault(_panel(finding.comparison), []).append((number, finding))
    if not panels:
        raise UserError("no claim has a measured effect to draw: evaluate the rows first.")
    sizes = [len(lines) for lines in panels.values()]
    height = LINE * sum(sizes) + HEAD * len(sizes)
    figure = Figure((8.6, height), dpi=DPI, layout="constrained")
    spots = figure.subplots(len(panels), 1, squeeze=False, height_ratios=sizes)[:, 0]
    for axes, (title, lines) in zip(spots, panels.items()):
        _draw_panel(axes, title, lines)
    return figure


def _panel(comparison):
    """Comparisons that share an axis: one unit, and large effects apart from small ones."""
    if comparison.how == "halves":
        return f"{comparison.measure.unit}, between data sets"
    if {"condition", "target"} & set(comparison.rows):
        return f"{comparison.measure.unit}, against a reference row"
    return comparison.measure.unit


def _draw_panel(axes, title, lines):
    ends = [v for _, f in lines for v in (f.low, f.effect, f.high, 0) if np.isfinite(v)]
    room = 0.06 * (max(ends) - min(ends) or 1)
    left, right = min(ends) - room, max(ends) + room
    for place, (_, finding) in enumerate(lines):
        comparison, (colour, marker) = finding.comparison, LOOKS[finding.verdict]
        margin = comparison.margin
        band = (-margin, margin) if comparison.direction == EQUAL else (margin, right)
        if comparison.direction not in (EQUAL, MORE):
            band = (left, -margin)
        low, high = np.clip(band, left, right)
        axes.barh(place, high - low, 0.8, low, color=PALE, alpha=0.55, zorder=0)
        if np.isfinite([finding.low, finding.high]).all():
            axes.plot([finding.low, finding.high], [place] * 2, color=colour, linewidth=1.6)
        face = "white" if finding.verdict == CANNOT else colour
        axes.plot(finding.effect, place, marker, color=colour, mfc=face, markersize=5.5)
        beside = {"va": "center", "color": colour, "transform": axes.get_yaxis_transform()}
        axes.text(1.01, place, finding.verdict, **beside)
    axes.axvline(0, color=INK, linewidth=0.8)
    labels = [f"{finding.comparison.text}  ({number})" for number, finding in lines]
    axes.set_yticks(range(len(lines)), labels)
    axes.set(xlim=(left, right), ylim=(len(lines) - 0.5, -0.5))
    axes.set_xlabel(title, fontsize=FONT, labelpad=1)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)


@STYLE
def convergence(logs, names):
    """L1 over the training of two stages, the level that both reach, and when each does.

    Args:
        logs: stage -> list of records with "step" and "l1"; two stages.
        names: what each is called in the legend.
    """
    steps, losses = verdicts.paired_curves(logs.values())
    smooth, (level, reached) = verdicts.running_mean(losses), verdicts.common_level(losses)
    figure = Figure((5.8, 3.2), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    for k, (stage, name) in enumerate(zip(logs, names)):
        colour, dash = COLOURS.get(stage, "#56b4e9"), ("-", "--")[k]
        axes.plot(steps, losses[:, k], color=colour, alpha=0.25, linewidth=0.7)
        label = f"{name}: there after {steps[reached[k]]:,} iterations"
        axes.plot(steps, smooth[:, k], dash, color=colour, label=label)
        axes.plot(steps[reached[k]], smooth[reached[k], k], "o", color=colour, markersize=5)
    axes.axhline(level, color=GREY, linewidth=0.8, linestyle=":")
    axes.text(steps[-1], level, "level that both reach ", color=GREY, ha="right", va="bottom")
    axes.set(xlabel="iteration", ylabel="masked L1 to the target")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper right")
    return figure
