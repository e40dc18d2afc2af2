"""How the effects behind the paper's claims develop during training: which still grow, have settled
or change sign.

The scores of a few hundred test pairs at ten points of every training (`evaluation.curves`) give
the effect of a comparison, row minus against, at equal shares of both trainings. `trend` describes
its course in a word.
"""

from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import MaxNLocator

from pg2lib.core.files import UserError, without_nan
from pg2lib.evaluation import statistics
from pg2lib.evaluation.scores import weights
from pg2lib.results.claims import CLAIMS, Claim, Comparison
from pg2lib.results.figures import colour
from pg2lib.results.notes import notes
from pg2lib.results.provenance import FONT, GREY, INK, STYLE, new_figure

GROWING, SHRINKING, SETTLED = "still growing", "still shrinking", "settled"
TURNED, NOTHING = "changes sign", "not told apart from zero"
OPEN, ONCE = "may still change", "one training"
END = 3  # points of the training, the last ones, that decide about its end
QUARTER = 0.25  # of itself: an effect that moves more than that at the end has not settled
SHOWN = (10, 50, 100)  # percent of the training in the table


@dataclass(frozen=True)
class Course:
    """The effect of one comparison over the points of the trainings."""

    number: int  # of the claim, from 1
    claim: Claim
    comparison: Comparison
    pairs: int  # test pairs
    seen: dict  # row -> (points,) training pairs that its last stage has seen
    sides: dict  # row -> float (seeds, points), its mean score; (1, points) without training
    effects: np.ndarray  # float (seeds, points)
    end: tuple[float, float]  # 95 % interval of the mean effect over the last `END` points
    trend: str


def courses(main, half, ablations=None, claims=CLAIMS):
    """The Courses of all comparisons whose rows have curves, in the order of the claims, which are
    numbered like those of `verdicts.evaluate_claims`.

    Args:
        main: row -> [a DataFrame of `evaluation.curves.score_curve` for each seed]; of a row that
            is not trained [one of `effects.Evidence.pairs`], the first lines of which are used.
        half: of Table 1.
        ablations: the same of the study whose ablations are used, None: main.

    Raises:
        UserError: no comparison has curves, or curves are of different pairs.
    """
    found, asked = [], [claim for claim in claims if claim.half in (None, half)]
    for number, claim in enumerate(asked, start=1):
        known = (ablations or main) if claim.needs_ablation else main
        for comparison in claim.comparisons:
            if comparison.how != "rows" or comparison.half not in (None, half):
                continue
            tables = {row: known.get(row, []) for row in comparison.rows}
            if all(each and all(comparison.score in one for one in each)
                   for each in tables.values()):  # fmt: skip
                found.append(_course(number, claim, comparison, tables))
    if not found:
        raise UserError("no claim has curves on both sides; train its rows with curves first.")
    return found


def _course(number, claim, comparison, tables):
    trained = {row: each for row, each in tables.items() if "step" in each[0]}
    first = next(iter(trained.values()))[0]
    pairs, seeds = first["pair"].nunique(), min(map(len, trained.values()))
    points = min(len(each[0]) // pairs for each in trained.values())
    lines = first.iloc[:pairs]
    about = lines["identity"].to_numpy(), weights(lines, comparison.score)
    values = {row: _values(row, each[:seeds], comparison.score, points, lines["pair"])
              for row, each in tables.items()}  # fmt: skip
    seen = {row: at_shares(each[0]["pairs_seen"].to_numpy()[::pairs], points)
            for row, each in trained.items()}  # fmt: skip
    change = values[comparison.row] - (values[comparison.against] if comparison.against else 0.0)
    sides = {row: _means(value, about[1]) for row, value in values.items()}
    end = statistics.interval(change[:, -END:].mean(1), *about)
    word = trend(change, *about, least=comparison.measure.least)
    effects = _means(change, about[1])
    return Course(number, claim, comparison, pairs, seen, sides, effects, end, word)


def _values(row, tables, score, points, pairs):
    """float (seeds, points, pairs); a row without training has the same values everywhere."""
    if "step" not in tables[0]:
        line = tables[0][score].to_numpy(float)[: len(pairs)]
        return np.broadcast_to(line, (1, points, len(pairs)))
    for table in tables:
        if not np.array_equal(table["pair"], np.tile(pairs, len(table) // len(pairs))):
            raise UserError(f"the curve of {row} is of other test pairs; score it again.")
    values = [table[score].to_numpy(float).reshape(-1, len(pairs)) for table in tables]
    return np.stack([at_shares(value, points) for value in values])


def at_shares(values, points):
    """Of values (n, ...) at equal steps of a training those at 1/points of it, 2/points, ..."""
    shares = np.arange(1, points + 1) / points
    return values[np.maximum(np.round(len(values) * shares).astype(int), 1) - 1]


def _means(values, weight):
    """Mean over pairs: (seeds, points, pairs) -> (seeds, points)."""
    return np.stack([statistics.seed_means(training, weight) for training in values])


def trend(change, people, weight=None, least=0.0):
    """The word for the course of an effect, float (seeds, points, pairs), of several trainings.

    All intervals are 95 %, over test people and trainings (`statistics.interval`), and effects up
    to `least` count as zero:
      NOTHING    the mean over the last END points is not told apart from zero
      TURNED     it is, and at some point the effect was told apart with the other sign
      GROWING, SHRINKING   from the END points before to these it moved, told apart from no
                 change, away from zero or towards it
      SETTLED    it moved by less than a QUARTER of itself, within the spread of the trainings
      OPEN       it moved by more, but trainings and people could explain that
    Of one training, whose spread is unknown, it says ONCE.
    """
    if len(change) < 2:
        return ONCE

    def sign(values):
        low, high = statistics.interval(values, people, weight)
        return int(low > least) - int(high < -least)

    end = change[:, -END:].mean(1)
    if not sign(end):
        return NOTHING
    if any(sign(at) == -sign(end) for at in change.swapaxes(0, 1)):
        return TURNED
    before = change[:, -2 * END : -END]
    if not before.size:  # a very short training
        return OPEN
    moved = end - before.mean(1)
    if sign(moved):
        return GROWING if sign(moved) == sign(end) else SHRINKING
    small = abs(statistics.mean(moved, weight)) <= QUARTER * abs(statistics.mean(end, weight))
    return SETTLED if small else OPEN


def learning_table(found, facts):
    """The Courses as JSON values for `render.write`; facts: as of `verdicts.claims_table`."""
    title = f"How the effects develop during training ({facts['dataset']})"
    record = {"title": title, "facts": facts, "trends": [_record(course) for course in found]}
    words = {"nothing": NOTHING, "turned": TURNED, "growing": GROWING, "shrinking": SHRINKING,
             "settled": SETTLED, "open": OPEN, "once": ONCE}  # fmt: skip
    below = notes("learning", words, pairs=found[0].pairs, end=END)
    return without_nan(record | {"notes": below})


def _record(course):
    comparison, means = course.comparison, course.effects.mean(0)
    record = {"number": course.number, "name": course.claim.name, "claim": course.claim.statement}
    record |= {"measure": comparison.text}
    record |= {key: getattr(comparison, key) for key in ("score", "row", "against", "expected")}
    record |= {"seeds": len(course.effects), "test_pairs": course.pairs}
    record |= {"training_pairs": {row: int(seen[-1]) for row, seen in course.seen.items()}}
    at = [max(round(len(means) * share / 100), 1) - 1 for share in SHOWN]
    record |= {f"effect_{share}": float(means[k]) for share, k in zip(SHOWN, at)}
    record |= {"low": course.end[0], "high": course.end[1], "trend": course.trend}
    return record | {"effects": means.tolist()}


PALETTE = 64  # colours of the page's PNG, which keep it small
# Of `learning_page`, in inches: width and heights of a picture, space left of it, above and below.
COLUMNS, CELL, SPACE = 5, (1.42, 0.95, 0.45), (0.43, 0.5, 0.35)
SEEN = "thousand training pairs that the last stage of a row has seen"
BETWEEN, BAND = 0.05, 0.2  # inches between the two parts of a picture; opacity


@STYLE
def learning_page(found):
    """One picture per Course on one page: above, the scores of both rows against the training pairs
    that they have seen, the mean of the trainings in a band from the lowest to the highest; below,
    their difference, at equal shares of both trainings. UserError: there are none."""
    columns = min(COLUMNS, len(found))
    lines, (wide, high, low), (beside, above, below) = -(-len(found) // columns), CELL, SPACE
    pitch = beside + wide, above + high + BETWEEN + low + below
    width, height = columns * pitch[0] + 0.1, lines * pitch[1] + 0.2
    figure = new_figure(width, height)
    for place, course in enumerate(found):
        left = beside + place % columns * pitch[0]
        top = height - above - place // columns * pitch[1]
        boxes = ((left, top - high, wide, high), (left, top - high - low - BETWEEN, wide, low))
        upper, lower = (figure.add_axes(np.divide(b, (width, height) * 2)) for b in boxes)
        lower.sharex(upper)
        _draw_sides(upper, course)
        _draw_effect(lower, course)
    figure.text(0.5, 0.06 / height, SEEN, ha="center", color=GREY)
    words = [f"{course.number} {course.comparison.text}: {course.trend}" for course in found]
    figure.set_label(f"Effects during training, a picture each. {'; '.join(words)}.")
    return figure


def _draw_sides(axes, course):
    comparison = course.comparison
    for place, row in enumerate(comparison.rows):
        shade, dash = colour(row), ("-", (0, (3, 1.5)))[place]
        values = course.sides[row]
        seen = course.seen.get(row, next(iter(course.seen.values()))) / 1000
        _banded(axes, seen, values, shade, dash)
        at, line = {"transform": axes.transAxes}, len(comparison.rows) - 1 - place
        small = {"fontsize": 0.85 * FONT, "va": "bottom"}
        axes.text(0, 1.03 + 0.14 * line, row, color=shade, **small, **at)
        look = {"color": shade, "linestyle": dash, "clip_on": False}
        axes.plot([0.86, 1.0], [1.09 + 0.14 * line] * 2, **look, **at)
    title = f"{course.number}  {comparison.measure.heading}"
    size = FONT * min(1, 20 / len(title))  # a long one must not run into the next picture
    axes.text(0, 1.33, title, transform=axes.transAxes, va="bottom", weight="bold", fontsize=size)
    axes.tick_params(axis="x", labelbottom=False, length=2)
    _tidy(axes, 3)


def _draw_effect(axes, course):
    seen = course.seen.get(course.comparison.row, next(iter(course.seen.values()))) / 1000
    axes.axhline(0, color=GREY, linewidth=0.7)
    _banded(axes, seen, course.effects, INK, "-")
    axes.set_xlabel(course.trend, fontsize=0.9 * FONT, labelpad=1)
    axes.set_xlim(0, None)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    _tidy(axes, 2)


def _banded(axes, seen, values, shade, dash):
    """The mean over trainings, float (seeds, points), in the band of all of them."""
    axes.plot(seen, values.mean(0), linestyle=dash, color=shade, linewidth=1.2)
    if len(values) > 1:
        axes.fill_between(seen, values.min(0), values.max(0), color=shade, alpha=BAND, linewidth=0)


def _tidy(axes, ticks):
    axes.spines[["top", "right"]].set_visible(False)
    axes.yaxis.set_major_locator(MaxNLocator(ticks))
    axes.tick_params(labelsize=0.75 * FONT, length=2, pad=1.5)
