"""How certain a mean score is: intervals, paired differences, tests and verdicts.

Pure functions of numbers. People, not pairs, are the independent units: the pairs of one person
are alike. So are trainings: a second one, with another seed, gives other numbers for all pairs.
Values of one training are float (pairs,), those of several float (seeds, pairs); weights have the
same shape, or (pairs,) for all seeds.
"""

import numpy as np
from scipy.special import stdtr, stdtrit  # of Student's t distribution

from pg2lib.core.files import UserError

MORE, LESS, EQUAL = "more", "less", "equal"  # directions of an expected effect
HOLDS, FAILS, CANNOT = "holds", "does not hold", "cannot tell"  # of several trainings
SEEN, UNSEEN = "seen once", "contradicted once"  # of one training, instead of HOLDS and FAILS
MISSING = "not measured"  # never returned by `verdict`: a number does not exist
UNKNOWN = float("nan"), float("nan")  # an interval


def verdict(effect, low, high, direction, margin=0.0, by_seed=None):
    """One of HOLDS, FAILS, SEEN, UNSEEN and CANNOT, by the position of an interval.

    MORE holds if the whole interval is above margin and fails if it is below; LESS mirrors that.
    EQUAL is a test of equivalence: it holds if the interval lies within +-margin, ends included,
    and fails if it lies outside; a wide interval decides nothing, nor does one of width zero.

    by_seed: the effect in each training. If there are several, those must lie where the interval
    lies, else CANNOT. Of one training, or None, it says SEEN for HOLDS and UNSEEN for FAILS.
    ValueError: another direction.
    """
    if direction not in (MORE, LESS, EQUAL):
        raise ValueError(f"no direction {direction!r}")
    if not np.isfinite([effect, low, high]).all() or low == high:
        return CANNOT
    said = position(low, high, direction, margin)
    if by_seed is None or len(by_seed) < 2:
        return {HOLDS: SEEN, FAILS: UNSEEN, CANNOT: CANNOT}[said]
    return said if said == position(*np.quantile(by_seed, [0, 1]), direction, margin) else CANNOT


def position(low, high, direction, margin=0.0):
    """HOLDS, FAILS or CANNOT by the position of any interval."""
    if direction == LESS:
        low, high = -high, -low
    holds, fails = low > margin, high < margin
    if direction == EQUAL:
        holds, fails = -margin <= low and high <= margin, low > margin or high < -margin
    if holds:
        return HOLDS
    return FAILS if fails else CANNOT


def mean(values, weights=None):
    """Mean over seeds of the `seed_means`, NaN if one of them is."""
    return float(seed_means(values, weights).mean())


def seed_means(values, weights=None):
    """The mean of each training, weighted if weights are given, of the values that are not NaN:
    float (seeds,), NaN where no value is known; (1,) for values of one training."""
    both = _values_and_weights(np.atleast_2d(np.asarray(values, float)), weights)
    return np.array([v @ w / w.sum() if w.sum() else np.nan for v, w in zip(*both)])


def interval(values, identities, weights=None, level=0.95, seed=0):
    """Interval of the `mean`: (low, high), NaN with fewer than two people. Of one training it
    covers the choice of test people alone, see `bootstrap_interval`; of several also the
    training."""
    values = np.asarray(values, float)
    if values.ndim < 2 or len(values) == 1:
        weights = None if weights is None else np.ravel(weights)
        return bootstrap_interval(np.ravel(values), identities, weights, level, seed=seed)
    return _around(mean(values, weights), *_crossed(values, identities, weights), level)


def bootstrap_interval(values, identities, weights=None, level=0.95, resamples=2000, seed=0):
    """Percentile bootstrap interval of the (weighted) mean of `values`, over identities: (low,
    high), NaN with fewer than two people.

    Whole people are drawn with replacement, each with all pairs: drawing pairs would make the
    interval too narrow. values: float (n,), one per pair, NaN left out; identities: (n,), the
    person of each pair; weights: (n,), at least 0, or None; level: in (0, 1), else UserError.
    """
    identities, shape = np.asarray(identities), np.shape(values)
    if len(shape) != 1 or shape != identities.shape or not 0 < level < 1:
        raise UserError(
            f"a bootstrap needs one identity per value and a level between 0 and 1, not {shape} "
            f"values, {identities.shape} identities and level {level}."
        )
    total, weight = _per_person(*_values_and_weights(np.asarray(values)[None], weights), identities)
    if total.size < 2:
        return UNKNOWN
    drawn = draws(total.size, resamples, seed)
    return middle((drawn @ total[0]) / (drawn @ weight[0]), level)


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


def seeds_interval(by_seed, level=0.95):
    """Student's interval of the mean of several trainings, by their spread alone: (low, high), for
    scores that have no people. NaN with fewer than two trainings."""
    count = len(by_seed)
    if count < 2:
        return UNKNOWN
    return _around(np.mean(by_seed), spread(by_seed) ** 2 / count, count - 1, level)


def spread(by_seed):
    """Standard deviation between trainings (S - 1 degrees of freedom); NaN with fewer than two."""
    return float(np.std(by_seed, ddof=1)) if len(by_seed) > 1 else float("nan")


def paired_difference(a, b, identities, weights=None, seed=0):
    """(Weighted) mean of a - b of two rows on the same pairs in the same order, and trainings of
    the same seeds, with its `interval`: (difference, low, high).

    Far narrower than two separate intervals. Pairs with a NaN in either are left out. UserError:
    `a` and `b` of different shape.
    """
    change = _change(a, b)
    return mean(change, weights), *interval(change, identities, weights, seed=seed)


def paired_p_value(a, b, identities, weights=None):
    """Two-sided p-value of a `paired_difference` of several trainings, float (seeds, pairs), from
    the t distribution of its interval; NaN with one training, which cannot tell, with fewer than
    two people, or where nothing varies."""
    change = np.atleast_2d(_change(a, b))
    if len(change) < 2:
        return float("nan")
    square, freedom = _crossed(change, identities, weights)
    if not square > 0:
        return float("nan")
    return float(2 * stdtr(freedom, -abs(mean(change, weights)) / np.sqrt(square)))


def holm(p_values):
    """p-values corrected for multiple tests after Holm (1979); NaN stay NaN and do not count.

    The k-th smallest of m becomes (m - k + 1) p, at least the corrected value before it, at most 1.
    """
    p_values = np.asarray(p_values, float)
    order = np.argsort(p_values, kind="stable")[: (~np.isnan(p_values)).sum()]  # NaN come last
    corrected = np.full(p_values.shape, np.nan)
    steps = p_values[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected


def _crossed(values, identities, weights):
    """(squared standard error, degrees of freedom) of the `mean` of float (seeds, pairs), people
    and seeds being random effects that cross; NaN with fewer than two people.

    The sum of two parts, B / S + A: B is the variance of the S seed means, with S - 1 degrees of
    freedom; A the variance that the choice of n people gives to the mean over seeds, with n - 1,
    linearised, as a weighted mean is a ratio of sums over people. What is peculiar to a person in
    one training is in both parts, which errs on the wide side. Degrees of freedom after
    Satterthwaite (1946): a nominal 95 % cover 92 to 96 % with three trainings, 94 to 96 % with
    five, but down to 88 % with two.
    """
    identities = np.asarray(identities)
    if values.shape[1:] != identities.shape:
        raise UserError(f"{values.shape} values need one identity each, not {identities.shape}.")
    means = seed_means(values, weights)
    totals, sizes = _per_person(*_values_and_weights(values, weights), identities)  # (seeds, n)
    (seeds, people), whole = totals.shape, sizes.sum(1, keepdims=True)
    if people < 2 or not whole.all():
        return UNKNOWN
    influence = ((totals - means[:, None] * sizes) / whole).mean(0)  # of each person; sums to 0
    of_people = people / (people - 1) * (influence**2).sum()
    of_seeds = means.var(ddof=1) / seeds
    square = of_people + of_seeds
    if not square > 0:
        return 0.0, 1.0
    return square, square**2 / (of_seeds**2 / (seeds - 1) + of_people**2 / (people - 1))


def _around(center, square, freedom, level):
    half = stdtrit(freedom, (1 + level) / 2) * np.sqrt(square)
    return float(center - half), float(center + half)


def _change(a, b):
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.shape != b.shape:
        raise UserError(
            f"the two rows have {a.shape} and {b.shape} scores, not those of the same pairs and "
            "trainings."
        )
    return a - b


def _values_and_weights(values, weights):
    """Both as float arrays, with 0 for value and weight where a value is NaN."""
    values = np.asarray(values, float)
    weights = np.ones_like(values) if weights is None else np.asarray(weights, float)
    known = ~np.isnan(values)
    return np.where(known, values, 0), np.where(known, weights, 0)


def _per_person(values, weights, identities):
    """Sums of weighted values and of weights, float (seeds, pairs), of each person with a weight
    above 0 in some seed: two arrays (seeds, people)."""
    known = (weights > 0).any(0)
    person = np.unique(identities[known], return_inverse=True)[1]
    sums = [[np.bincount(person, line[known]) for line in part]
            for part in (values * weights, weights)]  # fmt: skip
    return np.array(sums)
