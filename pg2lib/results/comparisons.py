"""Rows of Table 1 compared in words: every notebook uses the same rule, `statistics.verdict`."""

import math

from pg2lib.evaluation import scores, statistics

UNDECIDED = "undecided: the interval contains zero"
DISAGREE = "undecided: the trainings disagree"


def interval_text(value, low, high, form="+.3f"):
    """E.g. "+0.010 [+0.005, +0.015]"; value: a number, or a text; alone if low is None or NaN."""
    text = value if isinstance(value, str) else f"{value:{form}}"
    known = low is not None and not math.isnan(low)
    return f"{text} [{low:{form}}, {high:{form}}]" if known else text


def spread_text(spread, form=".3f"):
    """E.g. " ± 0.002", the standard deviation between trainings; "" for None and NaN."""
    return "" if spread is None or math.isnan(spread) else f" ± {spread:{form}}"


def outcome(low, high, published=math.nan, below="lower", above="higher", by_seed=None):
    """The interval of a difference in words: "as in the paper" or "AGAINST the paper" by the sign
    of the published difference; `below` or `above` zero if the paper has none (NaN), or prints
    equal scores (0). by_seed: the difference in each training; for one, or None, the words end in
    "(seen once)"."""
    direction = statistics.LESS if published <= 0 else statistics.MORE
    verdict = statistics.verdict((low + high) / 2, low, high, direction, by_seed=by_seed)
    agrees, differs = "as in the paper", "AGAINST the paper"
    if math.isnan(published) or published == 0:
        agrees, differs = (below, above) if published == 0 else (above, below)
    if verdict == statistics.CANNOT:
        several = by_seed is not None and len(by_seed) > 1
        return DISAGREE if several and (low > 0 or high < 0) else UNDECIDED
    words = agrees if verdict in (statistics.HOLDS, statistics.SEEN) else differs
    return words if verdict in (statistics.HOLDS, statistics.FAILS) else f"{words} (seen once)"


def difference_lines(differences):
    """A line of text per line of a table of differences (`tables.differences_table`)."""
    lines = []
    for line in differences.itertuples():
        interval = interval_text(line.difference, line.low, line.high)
        interval += spread_text(line.spread)
        paper = "" if math.isnan(line.paper) else f" (paper {line.paper:+.3f})"
        words = outcome(line.low, line.high, line.paper, by_seed=line.by_seed)
        heading = scores.SCORES[line.score].heading
        lines.append(f"{line.row} - {line.minus}, {heading}: {interval}{paper}: {words}")
    return lines


def mean_lines(values, identities, against, unit, seed=0):
    """A line of text per row: its mean score with the 95 % `statistics.interval`, and its paired
    difference from the row `against`; values: row -> one score per pair, float (n,) of one
    training or (seeds, n); after ± the standard deviation between trainings."""
    lines = []
    for row, ours in values.items():
        interval = statistics.interval(ours, identities, seed=seed)
        line = interval_text(f"{row:10} {statistics.mean(ours):6.2f} {unit}", *interval, ".2f")
        line += spread_text(statistics.spread(statistics.seed_means(ours)), ".2f")
        if row != against:
            gap = statistics.paired_difference(ours, values[against], identities, seed=seed)
            line += f"; minus {against}: {interval_text(*gap, '+.2f')}"
        lines.append(line)
    return lines
