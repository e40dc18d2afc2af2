"""How certain a mean score is: bootstrap intervals, paired differences, tests and verdicts.

Pure functions of numbers. People, not pairs, are the independent units: the pairs of one person
are alike.
"""

import numpy as np

from pg2lib.core.files import UserError

MORE, LESS, EQUAL = "more", "less", "equal"  # directions of an expected effect
HOLDS, FAILS, CANNOT = "holds", "does not hold", "cannot tell"
UNKNOWN = float("nan"), float("nan")  # an interval


def verdict(effect, low, high, direction, margin=0.0):
    """One of HOLDS, FAILS and CANNOT, decided by the position of the interval alone.

    MORE holds if the whole interval is above margin and fails if it is below; LESS mirrors that.
    EQUAL is a test of equivalence: it holds if the interval lies within +-margin, ends included,
    and fails if it lies outside; a wide interval decides nothing. ValueError: another direction.
    """
    if direction not in (MORE, LESS, EQUAL):
        raise ValueError(f"no direction {direction!r}")
    if not np.isfinite([effect, low, high]).all():
        return CANNOT
    if direction == LESS:
        low, high = -high, -low
    holds, fails = low > margin, high < margin
    if direction == EQUAL:
        holds, fails = -margin <= low and high <= margin, low > margin or high < -margin
    if holds:
        return HOLDS
    return FAILS if fails else CANNOT


def mean(values, weights=None):
    """Mean, weighted if weights are given, of the values that are not NaN; NaN if none is."""
    values, weights = _values_and_weights(values, weights)
    return float(values @ weights / weights.sum()) if weights.sum() else float("nan")


def bootstrap_interval(values, identities, weights=None, level=0.95, resamples=2000, seed=0):
    """Percentile bootstrap interval of the (weighted) mean of `values`, over identities: (low,
    high), NaN with fewer than two people.

    Whole people are drawn with replacement, each with all pairs: pairs of one person are alike,
    and drawing pairs would make the interval too narrow.

    Args:
        values: float (n,), one per pair; NaN values are left out.
        identities: (n,), whose pair it is; weights: (n,), at least 0, or None.
        level: of confidence, within (0, 1), else UserError.
    """
    identities, shape = np.asarray(identities), np.shape(values)
    if len(shape) != 1 or shape != identities.shape or not 0 < level < 1:
        raise UserError(
            f"a bootstrap needs one identity per value and a level between 0 and 1, not {shape} "
            f"values, {identities.shape} identities and level {level}."
        )
    total, weight = _per_person(*_values_and_weights(values, weights), identities)
    if len(total) < 2:
        return UNKNOWN
    drawn = draws(len(total), resamples, seed)
    return middle((drawn @ total) / (drawn @ weight), level)


def draws(people, resamples, seed=0):
    """How often each of `people` people is drawn in each bootstrap sample: (resamples, people)."""
    random = np.random.default_rng(seed)
    return random.multinomial(people, np.full(people, 1 / people), resamples)


def middle(samples, level=0.95):
    """(low, high) of the middle `level` of bootstrap samples that are not NaN; NaN without any."""
    samples = samples[~np.isnan(samples)]
    if not len(samples):
        return UNKNOWN
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_difference(a, b, identities, weights=None, seed=0):
    """(Weighted) mean of a - b, float (n,) of two rows on the same pairs in the same order, with
    its `bootstrap_interval`: (difference, low, high).

    Far narrower than two separate intervals, since a difficult pair is difficult for both rows.
    Pairs with a NaN in either are left out. UserError: `a` and `b` of different length.
    """
    change = _change(a, b)
    return mean(change, weights), *bootstrap_interval(change, identities, weights, seed=seed)


def paired_p_value(a, b, identities, weights=None, flips=10_000, seed=0):
    """Two-sided p-value of a `paired_difference`, by flipping signs of whole people: in (0, 1], at
    least 1 / (flips + 1); NaN with fewer than two people.

    If two rows do not differ, the sum of a - b over a person is as likely as its negative. p is
    the share of random flips, including the observed signs, whose total is at least as far from
    zero as the observed one.
    """
    change, weights = _values_and_weights(_change(a, b), weights)
    total, _ = _per_person(change, weights, np.asarray(identities))
    if len(total) < 2:
        return float("nan")
    signs = np.random.default_rng(seed).integers(0, 2, (flips, len(total)), np.int8) * 2 - 1
    as_far = np.abs(signs @ total) >= np.abs(total.sum()) * (1 - 1e-9)  # sums differ by rounding
    return float((1 + as_far.sum()) / (1 + flips))


def holm(p_values):
    """p-values corrected for multiple tests after Holm (1979); NaN stay NaN and do not count.

    With at most 5 % probability any corrected value below 0.05 is a false alarm. The k-th smallest
    of m becomes (m - k + 1) p, at least the corrected value before it, at most 1.
    """
    p_values = np.asarray(p_values, float)
    order = np.argsort(p_values, kind="stable")[: (~np.isnan(p_values)).sum()]  # NaN come last
    corrected = np.full(p_values.shape, np.nan)
    steps = p_values[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected


def _change(a, b):
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.shape != b.shape:
        raise UserError(f"the two rows have {a.shape} and {b.shape} scores, not the same pairs.")
    return a - b


def _values_and_weights(values, weights):
    """Both as float arrays, with 0 for value and weight where a value is NaN."""
    values = np.asarray(values, float)
    weights = np.ones_like(values) if weights is None else np.asarray(weights, float)
    known = ~np.isnan(values)
    return np.where(known, values, 0), np.where(known, weights, 0)


def _per_person(values, weights, identities):
    """Sums of weighted values and of weights of each person with a weight above 0: (people,)."""
    known = weights > 0
    person = np.unique(identities[known], return_inverse=True)[1]
    return np.bincount(person, (values * weights)[known]), np.bincount(person, weights[known])
