"""Rows of Table 1 compared in words: every notebook uses the same rule, `statistics.verdict`."""

import math

from pg2lib.evaluation import scores, statistics

UNDECIDED = "undecided: the interval contains zero"


def interval_text(value, low, high, form="+.3f"):
    """E.g. "+0.010 [+0.005, +0.015]"; value: a number, or a text; alone if low is None."""
    text = value if isinstance(value, str) else f"{value:{form}}"
    return text if low is None else f"{text} [{low:{form}}, {high:{form}}]"


def outcome(low, high, published=math.nan, below="lower", above="higher"):
    """What the interval of a difference says, in words: "as in the paper" or "AGAINST the paper" by
    the sign of the published difference; `below` or `above` zero if the paper has none (NaN)."""
    direction = statistics.LESS if published <= 0 else statistics.MORE
    verdict = statistics.verdict((low + high) / 2, low, high, direction)
    agrees, differs = "as in the paper", "AGAINST the paper"
    if math.isnan(published):
        agrees, differs = above, below
    return {statistics.HOLDS: agrees, statistics.FAILS: differs}.get(verdict, UNDECIDED)


def difference_lines(differences):
    """A line of text per line of a table of differences (`tables.differences_table`)."""
    lines = []
    for line in differences.itertuples():
        interval = interval_text(line.difference, line.low, line.high)
        paper = "" if math.isnan(line.paper) else f" (paper {line.paper:+.3f})"
        words = outcome(line.low, line.high, line.paper)
        heading = scores.SCORES[line.score].heading
        lines.append(f"{line.row} - {line.minus}, {heading}: {interval}{paper}: {words}")
    return lines


def mean_lines(values, identities, against, unit, seed=0):
    """A line of text per row: its mean score with the 95 % interval over people, and its paired
    difference from the row `against`; values: row -> float (n,), one score per pair."""
    lines = []
    for row, ours in values.items():
        interval = statistics.bootstrap_interval(ours, identities, seed=seed)
        line = interval_text(f"{row:10} {statistics.mean(ours):6.2f} {unit}", *interval, ".2f")
        if row != against:
            gap = statistics.paired_difference(ours, values[against], identities, seed=seed)
            line += f"; minus {against}: {interval_text(*gap, '+.2f')}"
        lines.append(line)
    return lines
