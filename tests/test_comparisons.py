"""Differences in words: one rule for all notebooks."""

import math

import numpy as np
import pandas as pd
import pytest

from pg2lib.evaluation import statistics
from pg2lib.results import comparisons


@pytest.mark.parametrize(
    "low, high, published, words",
    [
        (0.1, 0.2, 0.3, "as in the paper"),
        (0.1, 0.2, -0.3, "AGAINST the paper"),
        (-0.2, -0.1, -0.3, "as in the paper"),
        (-0.2, -0.1, 0.3, "AGAINST the paper"),
        (0, 0, 0.3, comparisons.UNDECIDED),
        (-0.1, 0.2, 0.3, comparisons.UNDECIDED),
        (0.1, 0.2, math.nan, "higher"),
        (-0.2, -0.1, math.nan, "lower"),
        (-0.1, 0.2, math.nan, comparisons.UNDECIDED),
        (0.1, 0.2, 0.0, "higher"),  # the paper prints equal scores
        (-0.2, -0.1, 0.0, "lower"),
        (math.nan, math.nan, math.nan, comparisons.UNDECIDED),
    ],
)
def test_the_words_follow_the_interval_and_the_papers_sign(low, high, published, words):
    several = [low, high]
    assert comparisons.outcome(low, high, published, by_seed=several) == words
    once = words if words == comparisons.UNDECIDED else f"{words} (seen once)"
    for by_seed in (None, [low]):
        assert comparisons.outcome(low, high, published, by_seed=by_seed) == once


def test_trainings_that_disagree_decide_nothing():
    assert comparisons.outcome(0.1, 0.2, 0.3, by_seed=[0.4, -0.1]) == comparisons.DISAGREE
    assert comparisons.outcome(-0.1, 0.2, 0.3, by_seed=[0.4, -0.1]) == comparisons.UNDECIDED


def test_without_a_published_difference_the_words_can_be_chosen():
    words = {"below": "better", "above": "worse"}
    assert comparisons.outcome(-2, -1, **words) == "better (seen once)"
    assert comparisons.outcome(-2, -1, **words, by_seed=[-1, -2]) == "better"


def test_every_line_of_a_table_of_differences_gets_its_outcome():
    table = pd.DataFrame(
        {"row": "b", "minus": "a", "score": ["ssim", "pckh"], "difference": [0.01, -0.2],
         "low": [0.005, -0.3], "high": [0.015, -0.1], "paper": [0.02, math.nan],
         "spread": [0.004, math.nan], "by_seed": [[0.007, 0.013], [-0.2]]}
    )  # fmt: skip
    assert comparisons.difference_lines(table) == [
        "b - a, SSIM: +0.010 [+0.005, +0.015] ± 0.004 (paper +0.020): as in the paper",
        "b - a, PCKh: -0.200 [-0.300, -0.100]: lower (seen once)",
    ]


def test_means_are_stated_with_intervals_and_paired_differences():
    people = np.repeat(np.arange(20), 3)
    base = np.random.default_rng(0).normal(5, 1, 60)
    first, second = comparisons.mean_lines({"a": base + 1, "b": base}, people, "b", "points")
    assert first.endswith("; minus b: +1.00 [+1.00, +1.00]") and first.startswith("a ")
    assert "minus" not in second and " points [" in second


def test_an_unknown_interval_is_not_printed():
    for unknown in (None, math.nan):
        assert comparisons.interval_text(0.01, unknown, unknown) == "+0.010"
    (line,) = comparisons.mean_lines({"b": np.ones(4)}, ["one"] * 4, "b", "points")
    assert "nan" not in line


def test_means_of_several_trainings_have_a_spread():
    people = np.repeat(np.arange(20), 3)
    base = np.random.default_rng(0).normal(5, 1, (3, 60))
    base += np.array([[0.0], [1.0], [2.0]]) - base.mean(1, keepdims=True)
    (line,) = comparisons.mean_lines({"b": base}, people, "b", "points")
    low, high = statistics.interval(base, people)
    assert line.strip() == f"b            1.00 points [{low:.2f}, {high:.2f}] ± 1.00"
