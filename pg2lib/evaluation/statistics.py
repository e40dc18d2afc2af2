"""How certain a mean score is: bootstrap intervals, paired differences, tests and verdicts.

Pure functions of numbers. People, not pairs, are the independent units: the pairs of one person
are alike.
"""

import numpy as np

from pg2lib.core.files import UserError

MORE, LESS, EQUAL = "more", "less", "equal"  # directions of an expected effect
HOLDS, FAILS, CANNOT = "holds", "does not hold", "cannot tell"


def verdict(effect, low, high, direction, margin=0.0):
    """One of HOLDS, FAILS and CANNOT, decided by the position of the interval alone.

    MORE holds if the whole interval is above margin and fails if it is below; LESS mirrors that.
    EQUAL is a test of equivalence: it holds if the interval lies within +-margin, ends included,
    and fails if it lies outside; a wide interval decides nothing.

    Raises:
        ValueError: another direction.
    """
    if direction not in (MORE, LESS, EQUAL):
        raise ValueError(f"no direction {direction!r}")
    if not np.isfinite([effect, low, high]).all():
        return CANNOT
    if direction == LESS:
        low, high = -high, -low
    if direction == EQUAL:
        if -margin <= low and high <= margin:
            return HOLDS
        return FAILS if low > margin or high < -margin else CANNOT
    if low > margin:
        return HOLDS
    return FAILS if high < margin else CANNOT


def mean(values, weights=None):
    """Mean, weighted if weights are given, of the values that are not NaN; NaN if none is."""
    values, weights = _values_and_weights(values, weights)
    return float(values @ weights / weights.sum()) if weights.sum() else float("nan")


def bootstrap_interval(values, identities, weights=None, level=0.95, resamples=2000, seed=0):
    """Percentile bootstrap interval of the (weighted) mean of `values`, over identities.

    Whole people are drawn with replacement, each with all pairs: pairs of one person are alike,
    and drawing pairs would make the interval too narrow.

    Args:
        values: float (n,), one per pair; NaN values are left out.
        identities: (n,), whose pair it is.
        weights: (n,), at least 0, or None.
        level: confidence level.
        resamples, seed: size and seed of the bootstrap.

    Returns:
        (low, high); (nan, nan) with fewer than two people.

    Raises:
        UserError: values and identities of different length, or a level outside (0, 1).
    """
    identities, shape = np.asarray(identities), np.shape(values)
    if len(shape) != 1 or shape != identities.shape or not 0 < level < 1:
        raise UserError(
            f"a bootstrap needs one identity per value and a level between 0 and 1, not {shape} "
            f"values, {identities.shape} identities and level {level}."
        )
    values, weights = _values_and_weights(values, weights)
    people, person = np.unique(identities[weights > 0], return_inverse=True)
    if len(people) < 2:
        return float("nan"), float("nan")
    values, weights = values[weights > 0], weights[weights > 0]
    total = np.bincount(person, values * weights)  # (people,)
    weight = np.bincount(person, weights)
    drawn = draws(len(people), resamples, seed)
    means = (drawn @ total) / (drawn @ weight)  # (resamples,)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def draws(people, resamples, seed=0):
    """How often each of `people` people is drawn in each bootstrap sample: (resamples, people)."""
    random = np.random.default_rng(seed)
    return random.multinomial(people, np.full(people, 1 / people), resamples)


def paired_difference(a, b, identities, weights=None, level=0.95, resamples=2000, seed=0):
    """(Weighted) mean of a - b over the same pairs, with its bootstrap interval over identities.

    Far narrower than two separate intervals, since a difficult pair is difficult for both rows.
    Pairs with a NaN in `a` or `b` are left out.

    Args:
        a, b: float (n,), the scores of two rows on the same pairs, in the same order.
        identities, weights, level, resamples, seed: as for `bootstrap_interval`.

    Returns:
        (difference, low, high).

    Raises:
        UserError: as `bootstrap_interval`, or `a` and `b` of different length.
    """
    change = _change(a, b)
    interval = bootstrap_interval(change, identities, weights, level, resamples, seed)
    return mean(change, weights), *interval


def paired_p_value(a, b, identities, weights=None, flips=10_000, seed=0):
    """Two-sided p-value of a (weighted) mean of a - b, by flipping signs of whole people.

    If two rows do not differ, the sum of a - b over a person is as likely as its negative. p is
    the share of random flips, including the observed signs, whose total is at least as far from
    zero as the observed one.

    Args:
        a, b, identities, weights: as for `paired_difference`.
        flips, seed: their number and seed; p is at least 1 / (flips + 1).

    Returns:
        float in (0, 1]; NaN with fewer than two people.

    Raises:
        UserError: `a` and `b` of different length.
    """
    change, weights = _values_and_weights(_change(a, b), weights)
    people, person = np.unique(np.asarray(identities)[weights > 0], return_inverse=True)
    if len(people) < 2:
        return float("nan")
    total = np.bincount(person, (change * weights)[weights > 0])  # (people,)
    signs = np.random.default_rng(seed).integers(0, 2, (flips, len(people)), np.int8) * 2 - 1
    as_far = np.abs(signs @ total) >= np.abs(total.sum()) * (1 - 1e-9)  # sums differ by rounding
    return float((1 + as_far.sum()) / (1 + flips))


def holm(p_values):
    """p-values corrected for multiple tests after Holm (1979); NaN stay NaN and do not count.

    With at most 5 % probability any corrected value below 0.05 is a false alarm. The k-th smallest
    of m becomes (m - k + 1) p, at least the corrected value before it, at most 1.
    """
    p_values = np.asarray(p_values, float)
    known = np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
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
