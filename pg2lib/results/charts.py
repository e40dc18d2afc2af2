"""Charts: learning curves, bars, effects of the claims, convergence; each a matplotlib Figure for
`provenance.publish`, labelled with its alternative text."""

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from pg2lib.core.files import UserError
from pg2lib.evaluation.scores import SCORES
from pg2lib.evaluation.statistics import CANNOT, EQUAL, FAILS, HOLDS, LESS, MORE, SEEN, UNSEEN
from pg2lib.results import effects
from pg2lib.results.figures import colour
from pg2lib.results.provenance import FONT, GREY, INK, PALE, STYLE, new_figure
from pg2lib.results.render import score_text

# Verdict -> colour and marker, distinct for colour-blind readers; the word is printed as well.
LOOKS = {HOLDS: ("#0072b2", "o"), FAILS: ("#d55e00", "X"), CANNOT: ("#777777", "D"),
         SEEN: ("#56b4e9", "o"), UNSEEN: ("#e69f00", "X")}  # fmt: skip
# Panels of the learning curves: title -> term of the log -> line style.
PANELS = {
    "L1 to the target, as weighted in the loss": {"l1": "-"},
    "adversarial loss of G, of D (dashed)": {"adversarial": "-", "discriminator": "--"},
    "D's mean answer to real, to generated (dashed)": {"d_real": "-", "d_fake": "--"},
}


@STYLE
def chart(width, height, panels=1, **options):
    """(Figure, axes), size in inches, in the style of all charts. Several panels are side by side
    and their axes an array; options are those of `Figure.subplots`."""
    figure = new_figure(width, height, layout="constrained")
    axes = figure.subplots(1, panels, **options)
    for one in np.ravel(axes):
        one.spines[["top", "right"]].set_visible(False)
        one.set_axisbelow(True)
    return figure, axes


@STYLE
def learning_curves(logs):
    """Losses over the iterations: a panel for each of `PANELS` that the logs fill, and for each
    other term; a running mean over the pale raw values. logs: name -> list of records ({"step",
    "l1", ...}, `training.read_log`)."""
    logs = {stage: pd.DataFrame(log).set_index("step") for stage, log in logs.items() if log}
    logged = dict.fromkeys(term for log in logs.values() for term in log)
    panels = {title: terms for title, terms in PANELS.items() if set(logged) & set(terms)}
    known = {"images_per_second"}.union(*PANELS.values())
    known |= {"generator"} if "l1" in logged else set()  # the weighted sum of known terms
    panels |= {term: {term: "-"} for term in logged if term not in known}
    if not panels:
        raise UserError("no learning curve to draw: the logs are empty; train the stages first.")
    figure, spots = chart(0.6 + 3.2 * len(panels), 2.8, len(panels), squeeze=False)
    lines, alt = {}, "Learning curves, first and last tenth of the iterations."
    for axes, (title, terms) in zip(spots[0], panels.items()):
        alt += f" {title}:"
        for stage, log in logs.items():
            for term in (term for term in terms if term in log):
                values = log[term].dropna()
                axes.plot(values, color=colour(stage), alpha=0.25, linewidth=0.7)
                smoothed = values.rolling(effects.WINDOW, center=True, min_periods=1).mean()
                (line,) = axes.plot(smoothed, terms[term], color=colour(stage))
                lines.setdefault(stage, line)
                tenth = max(len(values) // 10, 1)
                first, last = values.head(tenth).mean(), values.tail(tenth).mean()
                alt += f" {stage} {term} from {first:.3f} to {last:.3f};"
        axes.set(xlabel="iteration")
        axes.set_title(title, fontsize=FONT)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    _legend_below(figure, lines)
    figure.set_label(alt.rstrip(";") + ".")
    return figure


@STYLE
def bars_with_intervals(summaries, names=("ssim", "mask_ssim", "sharpness"), paper=None):
    """Scores with their 95 % intervals, a panel per score. summaries: row -> summary of
    `evaluation.evaluate_row`, or {"scores": "ours" of a table's row}; paper: row -> {score: printed
    value}, drawn as diamonds, or None."""
    paper, legend, alt = paper or {}, {}, "Bars with 95 % intervals."
    width, height = 1.2 + 2.3 * len(names), 1.0 + 0.27 * len(summaries)
    figure, spots = chart(width, height, len(names), sharey=True, squeeze=False)
    for axes, score in zip(spots[0], map(SCORES.get, names)):
        values = {row: summary["scores"][score.name] for row, summary in summaries.items()}
        legend |= _bars(axes, score, values)
        printed = [(paper.get(row, {}).get(score.name), place) for place, row in enumerate(values)]
        printed = [point for point in printed if point[0] is not None]
        if printed:
            diamonds = {"markersize": 4, "mfc": "white", "mec": INK, "linestyle": "none"}
            (legend["printed in the paper"],) = axes.plot(*zip(*printed), "D", **diamonds)
        if score.aim == "target":
            legend["the real images"] = axes.axvline(1, color=GREY, linestyle="--", linewidth=0.9)
        listed = (f"{row} {score_text(value, score)}" for row, value in values.items())
        alt += f" {score.heading}: {'; '.join(listed)}."
    figure.axes[0].invert_yaxis()
    _legend_below(figure, legend)
    figure.set_label(alt)
    return figure


def _bars(axes, score, values):
    """Draw one panel of `bars_with_intervals`; returns its part of the legend."""
    legend = {}
    for place, (row, value) in enumerate(values.items()):
        if not value or value["mean"] is None:
            axes.text(0, place, f" {score.missing}", va="center", color=GREY)
            continue
        axes.barh(place, value["mean"], 0.7, color=colour(row), alpha=0.85)
        if value.get("low") is not None:
            ends = [value["low"], value["high"]]
            (line,) = axes.plot(ends, [place] * 2, color=INK, linewidth=1.4)
            legend["95 % interval"] = line
    axes.set(title=score.heading)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.set_yticks(range(len(values)), values)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=PALE, linewidth=0.6)
    return legend


@STYLE
def forest(results):
    """Every measured effect of `verdicts.Result`s with its 95 % interval and verdict, a panel per
    unit and range; grey: the expected range. UserError: nothing was measured."""
    panels = {}
    for number, result in enumerate(results, start=1):
        for finding in result.findings:
            if np.isfinite(finding.effect):
                panels.setdefault(_panel(finding.comparison), []).append((number, finding))
    if not panels:
        raise UserError("no claim has a measured effect to draw: evaluate the rows first.")
    sizes = [len(lines) for lines in panels.values()]
    height = 0.2 * sum(sizes) + 0.55 * len(sizes)  # lines, and axes of panels, in inches
    figure = new_figure(8.6, height, layout="constrained")
    spots = figure.subplots(len(panels), 1, squeeze=False, height_ratios=sizes)[:, 0]
    for axes, (title, lines) in zip(spots, panels.items()):
        _draw_panel(axes, title, lines)
    against = [str(n) for n, r in enumerate(results, start=1) if r.verdict in (FAILS, UNSEEN)]
    figure.set_label(
        f"{sum(sizes)} comparisons, a line each: the effect, its 95 % interval and the verdict in "
        f"words. Claims that the results contradict: {', '.join(against) or 'none'}."
    )
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
        comparison, (shade, marker) = finding.comparison, LOOKS[finding.verdict]
        margin = comparison.margin
        bands = {MORE: (margin, right), LESS: (left, -margin), EQUAL: (-margin, margin)}
        low, high = np.clip(bands[comparison.direction], left, right)
        axes.barh(place, high - low, 0.8, low, color=PALE, alpha=0.55, zorder=0)
        if np.isfinite([finding.low, finding.high]).all():
            axes.plot([finding.low, finding.high], [place] * 2, color=shade, linewidth=1.6)
        face = "white" if finding.verdict == CANNOT else shade
        axes.plot(finding.effect, place, marker, color=shade, mfc=face, markersize=5.5)
        look = {"va": "center", "color": shade, "transform": axes.get_yaxis_transform()}
        axes.text(1.01, place, finding.verdict, **look)
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
    """L1 over the training of two rows, mean of their trainings, their common level, and when each
    reaches it. logs: row -> [list of records with "step" and "l1" per training]; names: of the two
    in the legend."""
    curves = [effects.paired_curves(both) for both in zip(*logs.values())]
    steps, losses = curves[0][0], np.mean([losses for _, losses in curves], axis=0)
    smooth, (level, reached) = effects.running_mean(losses), effects.common_level(losses)
    figure, axes = chart(5.8, 3.2)
    for k, (stage, name) in enumerate(zip(logs, names)):
        look, dash = {"color": colour(stage)}, ("-", "--")[k]
        axes.plot(steps, losses[:, k], alpha=0.25, linewidth=0.7, **look)
        there = smooth[reached[k], k] <= level
        when = f"reached after {steps[reached[k]]:,} iterations" if there else "not reached"
        axes.plot(steps, smooth[:, k], dash, label=f"{name}: {when}", **look)
        if there:
            axes.plot(steps[reached[k]], smooth[reached[k], k], "o", markersize=5, **look)
    axes.axhline(level, color=GREY, linewidth=0.8, linestyle=":")
    axes.text(steps[-1], level, "common level ", color=GREY, ha="right", va="bottom")
    axes.set(xlabel="iteration", ylabel="masked L1 to the target")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    legend = axes.legend(frameon=False, loc="upper right")
    texts = "; ".join(text.get_text() for text in legend.get_texts())
    count = f", mean of {len(curves)} trainings each" if curves[1:] else ""
    figure.set_label(f"Masked L1 of two rows over the iterations{count}. Common level: {texts}.")
    return figure


def _legend_below(figure, lines):
    """One legend for all panels, a dict label -> line."""
    if lines:
        place = {"loc": "outside lower center", "ncols": len(lines), "frameon": False}
        figure.legend(lines.values(), lines.keys(), **place)
