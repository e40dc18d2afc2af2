"""Intervals, paired differences and tests: values by hand, and how often they are right."""

import itertools

import numpy as np
import pytest
from scipy.stats import t as student
from scipy.stats import ttest_1samp

from pg2lib.core.files import UserError
from pg2lib.evaluation import statistics
from pg2lib.evaluation.statistics import CANNOT, EQUAL, FAILS, HOLDS, LESS, MORE, SEEN, UNSEEN


def test_bootstrap_of_two_people_by_hand():
    """Person a scores 0 on one pair, b scores 1 on three: a resample is 0, 3/4 or 1."""
    values, identities = [0, 1, 1, 1], ["a", "b", "b", "b"]
    assert statistics.bootstrap_interval(values, identities) == (0, 1)
    low, high = statistics.bootstrap_interval(values, identities, level=0.4)
    assert (low, high) == (0.75, 0.75)  # aa 1/4, ab 1/2, bb 1/4


def test_weighted_bootstrap_by_hand():
    """Person a: 0 with weight 3; b: 1 with weight 1. A resample is 0, 1/4 or 1."""
    values, identities, weights = [0, 1, 0.5], ["a", "b", "c"], [3, 1, 0]
    assert statistics.bootstrap_interval(values, identities, weights) == (0, 1)
    assert statistics.bootstrap_interval(values, identities, weights, level=0.4) == (0.25, 0.25)
    weights = [7, 7, 7]
    plain = statistics.bootstrap_interval(values, identities)
    assert statistics.bootstrap_interval(values, identities, weights) == pytest.approx(plain)


def test_bootstrap_draws_people_not_pairs():
    random = np.random.default_rng(3)
    person = random.normal(size=30)
    identities = np.repeat(np.arange(30), 20)
    values = person[identities]  # pairs of one person are all the same
    low, high = statistics.bootstrap_interval(values, identities)
    one_each = statistics.bootstrap_interval(person, np.arange(30))
    assert (low, high) == pytest.approx(one_each)
    pairs = statistics.bootstrap_interval(values, np.arange(600))
    assert high - low > 3 * (pairs[1] - pairs[0])
    shuffled = random.permutation(600)
    again = statistics.bootstrap_interval(values[shuffled], identities[shuffled])
    assert again == pytest.approx((low, high))


def test_bootstrap_covers_the_true_mean():
    random = np.random.default_rng(4)
    covered = 0
    for _ in range(200):
        identities = random.integers(0, 40, 150)
        values = 5 + random.normal(size=40)[identities] + random.normal(size=150)
        low, high = statistics.bootstrap_interval(values, identities, resamples=400)
        covered += low <= 5 <= high
    assert 0.88 <= covered / 200 <= 0.99


def test_bootstrap_of_many_people_is_the_normal_interval():
    values = np.random.default_rng(8).normal(size=400)
    low, high = statistics.bootstrap_interval(values, np.arange(400), resamples=8000)
    error = values.std() / 20
    assert (low - values.mean()) / error == pytest.approx(-1.96, abs=0.07)
    assert (high - values.mean()) / error == pytest.approx(1.96, abs=0.07)


def test_bootstrap_details():
    values, identities = np.arange(40.0), np.arange(40) // 2
    assert statistics.bootstrap_interval(np.full(40, 0.3), identities) == pytest.approx((0.3, 0.3))
    interval = statistics.bootstrap_interval(values, identities, seed=1)
    assert interval == statistics.bootstrap_interval(values, identities, seed=1)
    assert interval != statistics.bootstrap_interval(values, identities, seed=2)
    wide = statistics.bootstrap_interval(values, identities, level=0.99, seed=1)
    assert wide[0] < interval[0] < values.mean() < interval[1] < wide[1]
    gaps = values.copy()
    gaps[:2] = np.nan  # the first person altogether
    expected = statistics.bootstrap_interval(values[2:], identities[2:])
    assert statistics.bootstrap_interval(gaps, identities) == expected
    assert np.isnan(statistics.bootstrap_interval([1.0, 2.0], [7, 7])).all()
    for wrong in (([1.0], [1, 2], 0.95), ([1.0, 2.0], [1, 2], 1.0)):
        with pytest.raises(UserError):
            statistics.bootstrap_interval(*wrong[:2], level=wrong[2])


def test_paired_difference_is_narrower_than_two_intervals():
    random = np.random.default_rng(5)
    identities = np.arange(200) // 4
    hard = random.normal(size=200)
    a, b = hard + 0.1, hard + 0.05 * random.normal(size=200)
    difference, low, high = statistics.paired_difference(a, b, identities)
    assert difference == pytest.approx((a - b).mean())
    assert 0 < low < difference < high < 0.12
    alone = statistics.bootstrap_interval(a, identities)
    assert alone[1] - alone[0] > 5 * (high - low)
    assert statistics.paired_difference(b, a, identities)[0] == pytest.approx(-difference)
    with pytest.raises(UserError, match="same pairs"):
        statistics.paired_difference(a, b[1:], identities)


def test_the_interval_of_one_training_is_the_bootstrap_over_people():
    values = np.random.default_rng(6).normal(size=60)
    values[:3], people = np.nan, np.arange(60) // 3
    weights = np.linspace(0, 1, 60)
    expected = statistics.bootstrap_interval(values, people, weights, seed=2)
    for shape in ((60,), (1, 60)):
        one = values.reshape(shape)
        assert statistics.interval(one, people, weights, seed=2) == expected
        assert statistics.interval(one, people, weights.reshape(shape), seed=2) == expected
        assert statistics.mean(one, weights) == statistics.mean(values, weights)
    zero = np.zeros((1, 60))
    assert statistics.paired_difference(one, zero, people, weights, seed=2)[1:] == expected
    assert np.isnan(statistics.paired_p_value(one, zero, people))  # one training tests nothing


def test_where_only_people_or_only_trainings_vary_the_interval_is_students():
    random = np.random.default_rng(7)
    people, person = np.arange(60) // 3, random.normal(size=20)
    values = np.tile(person[people], (4, 1))  # four trainings that do not differ
    expected = ttest_1samp(person, 0).confidence_interval()
    assert statistics.interval(values, people) == pytest.approx(tuple(expected))
    trained = random.normal(size=4)
    values = np.tile(trained[:, None], 60)
    test = ttest_1samp(trained, 0)
    for level in (0.95, 0.5):
        expected = tuple(test.confidence_interval(level))
        assert statistics.interval(values, people, level=level) == pytest.approx(expected)
        assert statistics.seeds_interval(trained, level) == pytest.approx(expected)
    p = statistics.paired_p_value(values, np.zeros((4, 60)), people)
    assert p == pytest.approx(test.pvalue)


def test_people_and_trainings_add_up_with_weights_and_gaps():
    """Against derivatives of the mean by each person's weight, found by finite differences."""
    random = np.random.default_rng(8)
    people = np.array(list("aabcccdeeee"))
    values, weights = random.normal(size=(3, 11)), random.uniform(0.5, 2, (3, 11))
    values[0, 4] = values[2, 3] = values[:, 10] = np.nan

    def by_seed(weights):
        known = ~np.isnan(values)
        return [np.average(v[k], weights=w[k]) for v, k, w in zip(values, known, weights)]

    slopes = [
        np.mean(by_seed(weights * (1 + 1e-6 * (people == who)))) - np.mean(by_seed(weights))
        for who in "abcde"
    ]
    of_people = 5 / 4 * np.sum((np.array(slopes) / 1e-6) ** 2)
    of_seeds = np.var(by_seed(weights), ddof=1) / 3
    freedom = (of_people + of_seeds) ** 2 / (of_people**2 / 4 + of_seeds**2 / 2)
    half = student.ppf(0.975, freedom) * np.sqrt(of_people + of_seeds)
    center = np.mean(by_seed(weights))
    found = statistics.interval(values, people, weights)
    assert found == pytest.approx((center - half, center + half), rel=1e-4)
    assert statistics.seed_means(values, weights) == pytest.approx(by_seed(weights))
    assert statistics.mean(values, weights) == pytest.approx(center)
    p = statistics.paired_p_value(values, np.zeros_like(values), people, weights)
    touching = statistics.interval(values, people, weights, level=1 - p)
    assert min(np.abs(touching)) == pytest.approx(0, abs=1e-9)  # p belongs to the interval


def test_details_of_several_trainings():
    values, people = np.random.default_rng(9).normal(size=(3, 8)), np.arange(8) // 2
    nobody = np.where(np.arange(3)[:, None] == 1, np.nan, values)  # one training without a score
    for unknown in (statistics.interval(values, np.zeros(8)), statistics.interval(nobody, people)):
        assert np.isnan(unknown).all()
    same = np.full((3, 8), 0.25)
    assert statistics.interval(same, people) == (0.25, 0.25)
    assert np.isnan(statistics.paired_p_value(same, same, people))  # nothing varies
    assert statistics.paired_difference(same, same, people) == (0, 0, 0)
    with pytest.raises(UserError, match="identity"):
        statistics.interval(values, people[1:])
    with pytest.raises(UserError, match="trainings"):
        statistics.paired_difference(values, values[:2], people)
    assert np.isnan(statistics.spread([1.0])) and statistics.spread([1, 3]) == 2**0.5


def crossed_data(random, seeds, of_seeds, of_people, people):
    """Values of pairs with random effects of training, person, both together and pair."""
    count = people.max() + 1
    return (
        random.normal(0, of_seeds, (seeds, 1))
        + random.normal(0, of_people, count)[people]
        + random.normal(0, 0.2, (seeds, count))[:, people]
        + random.normal(0, 0.5, (seeds, len(people)))
    )


PEOPLE = np.repeat(np.arange(40), np.random.default_rng(1).integers(1, 12, 40))  # unequal shares


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("of_seeds, of_people", [(0, 1), (0.1, 1), (0.2, 1), (1, 1), (1, 0)])
def test_the_interval_covers_the_truth_of_people_and_trainings(seeds, of_seeds, of_people):
    """Both the people and the trainings are drawn anew; the truth is 0. Nominally 95 %; with three
    trainings that matter more than the people Satterthwaite's approximation gives 92 to 93 %, and
    1,000 rounds have a standard error of 0.8 %. The bootstrap over people, of one training, misses
    most of what the trainings do."""
    random, covered, once, rounds = np.random.default_rng(seeds), 0, 0, 1000
    weights = random.uniform(0.5, 1.5, len(PEOPLE))
    for k in range(rounds):
        values = crossed_data(random, seeds, of_seeds, of_people, PEOPLE)
        low, high = statistics.interval(values, PEOPLE, weights)
        covered += low <= 0 <= high
        if k < 100 and of_seeds == 1:
            low, high = statistics.bootstrap_interval(values[0], PEOPLE, weights, resamples=200)
            once += low <= 0 <= high
    assert 0.91 <= covered / rounds <= 0.98
    if of_seeds == 1:
        assert once / 100 < 0.7


def test_differences_of_rows_that_do_not_differ_are_seldom_sure():
    random = np.random.default_rng(10)
    found = np.array([
        statistics.paired_p_value(
            crossed_data(random, 3, 0.3, 0.3, PEOPLE), crossed_data(random, 3, 0.3, 0.3, PEOPLE),
            PEOPLE,
        )
        for _ in range(400)
    ])  # fmt: skip
    assert 0.01 <= (found < 0.05).mean() <= 0.08 and (found < 0.5).mean() > 0.35


def test_an_interval_of_the_mean_is_no_prediction_of_one_more_training():
    for few in ([], [1.0]):
        assert np.isnan(statistics.seeds_interval(few)).all()
    random, rounds = np.random.default_rng(11), 1500
    for seeds in (3, 5):
        trained = random.normal(5, 0.3, (rounds, seeds + 1))
        narrow = [low <= new <= high for (*old, new) in trained
                  for low, high in [statistics.seeds_interval(old)]]  # fmt: skip
        assert np.mean(narrow) < 0.9


@pytest.mark.parametrize(
    "by_seed, direction, margin, expected",
    [
        (None, MORE, 0, SEEN),
        ([0.02], MORE, 0, SEEN),
        (None, LESS, 0, UNSEEN),
        (None, MORE, 0.015, CANNOT),
        ([0.01, 0.03], MORE, 0, HOLDS),
        ([0.01, 0.03], LESS, 0, FAILS),
        ([0.05, -0.01], MORE, 0, CANNOT),  # one training on the other side
        ([0.05, -0.01], LESS, 0, CANNOT),
        ([0.02, 0.0], MORE, 0, CANNOT),
        ([0.01, 0.03], MORE, 0.04, FAILS),
        ([0.01, 0.05], MORE, 0.04, CANNOT),
        ([0.01, 0.03], EQUAL, 0.04, HOLDS),
        ([-0.01, 0.05], EQUAL, 0.04, CANNOT),
        ([0.011, 0.03], EQUAL, 0.005, FAILS),
        ([0.06, -0.02], EQUAL, 0.005, CANNOT),  # apart in both, but not on one side
        ([0.02, float("nan")], MORE, 0, CANNOT),
    ],
)
def test_a_verdict_needs_every_training_on_one_side(by_seed, direction, margin, expected):
    assert statistics.verdict(0.02, 0.01, 0.03, direction, margin, by_seed) == expected


def test_an_interval_of_width_zero_decides_nothing():
    for effect, direction in itertools.product((0.0, 0.1), (MORE, LESS, EQUAL)):
        for by_seed in (None, [effect] * 3):
            assert statistics.verdict(effect, effect, effect, direction, 0, by_seed) == CANNOT


def test_holm_by_hand():
    """0.01, 0.02, 0.03 and 0.3: times 4, 3, 2, 1, and never below the one before."""
    corrected = statistics.holm([0.03, np.nan, 0.3, 0.01, 0.02])
    assert corrected == pytest.approx([0.06, np.nan, 0.3, 0.04, 0.06], nan_ok=True)
    assert statistics.holm([0.9, 0.6]) == pytest.approx([1, 1])
    assert len(statistics.holm([])) == 0
