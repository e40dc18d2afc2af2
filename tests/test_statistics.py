"""Intervals, paired differences and tests: values by hand, and how often they are right."""

import itertools

import numpy as np
import pytest

from pg2lib.core.files import UserError
from pg2lib.evaluation import statistics


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


def test_p_value_by_hand():
    """Three people with differences 3, 2 and -1: of the eight sign patterns those with a total of
    at least 4 in size are +++ 6, ++- 4 and their opposites... counted by brute force."""
    people, change, weights = [7, 7, 3, 5], np.array([1.0, 1.0, 2.0, -0.5]), [2, 1, 1, 2]
    totals = np.array([3, 2, -1])
    flips = [abs(totals @ signs) >= 4 for signs in itertools.product((-1, 1), repeat=3)]
    p = statistics.paired_p_value(change, np.zeros(4), people, weights, flips=40_000)
    assert p == pytest.approx(np.mean(flips), abs=0.01)  # 4 standard errors
    assert p == statistics.paired_p_value(np.zeros(4), change, people, weights, flips=40_000)
    with pytest.raises(UserError, match="same pairs"):
        statistics.paired_p_value(change, np.zeros(3), people)


def test_p_value_details():
    change, people = np.full(80, 0.1), np.arange(80) // 2
    zero = np.zeros(80)
    assert statistics.paired_p_value(change, zero, people, flips=999) == 1 / 1000
    assert statistics.paired_p_value(zero, zero, people) == 1
    assert np.isnan(statistics.paired_p_value(change, zero, zero))
    gaps = np.where(people < 5, np.nan, change)
    assert statistics.paired_p_value(gaps, zero, people, flips=99) == 0.01


def test_p_values_of_rows_that_do_not_differ_are_uniform():
    """Pairs of one person move together: counted as independent, they would be sure too often."""
    random, people = np.random.default_rng(9), np.arange(120) // 6
    found = np.array([
        statistics.paired_p_value(
            random.normal(size=20)[people] + random.normal(size=120), np.zeros(120), people,
            flips=199, seed=seed,
        )
        for seed in range(300)
    ])  # fmt: skip
    for level in (0.05, 0.2, 0.5):
        error = np.sqrt(level * (1 - level) / 300)
        assert abs((found <= level).mean() - level) < 3.5 * error


def test_holm_by_hand():
    """0.01, 0.02, 0.03 and 0.3: times 4, 3, 2, 1, and never below the one before."""
    corrected = statistics.holm([0.03, np.nan, 0.3, 0.01, 0.02])
    assert corrected == pytest.approx([0.06, np.nan, 0.3, 0.04, 0.06], nan_ok=True)
    assert statistics.holm([0.9, 0.6]) == pytest.approx([1, 1])
    assert len(statistics.holm([])) == 0
