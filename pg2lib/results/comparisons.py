"""Rows of Table 1 compared in words: every notebook uses the same rule, `statistics.verdict`."""

import math

from pg2lib.evaluation import scores, statistics

UNDECIDED = "undecided: the interval contains zero"


def outcome(low, high, published=math.nan, below="lower", above="higher"):
    """What the interval of a difference says, in words: "as in the paper" or "AGAINST the paper" by
    the sign of the published difference; `below` or `above` zero if the paper has none (NaN)."""
    middle = (low + high) / 2
    if math.isnan(published):
        verdict = statistics.verdict(middle, low, high, statistics.MORE)
        words = {statistics.HOLDS: above, statistics.FAILS: below}
    else:
        direction = statistics.MORE if published > 0 else statistics.LESS
        verdict = statistics.verdict(middle, low, high, direction)
        words = {statistics.HOLDS: "as in the paper", statistics.FAILS: "AGAINST the paper"}
    return words.get(verdict, UNDECIDED)


def difference_lines(differences):
    """A line of text per line of a table of differences (`tables.differences_table`)."""
    lines = []
    for line in differences.itertuples():
        interval = f"{line.difference:+.3f} [{line.low:+.3f}, {line.high:+.3f}]"
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
        low, high = statistics.bootstrap_interval(ours, identities, seed=seed)
        line = f"{row:10} {statistics.mean(ours):6.2f} {unit} [{low:.2f}, {high:.2f}]"
        if row != against:
            gap = statistics.paired_difference(ours, values[against], identities, seed=seed)
            line += "; minus {}: {:+.2f} [{:+.2f}, {:+.2f}]".format(against, *gap)
        lines.append(line)
    return lines
