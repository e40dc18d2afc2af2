"""The course of effects during training, on made-up curves whose course is known."""

import csv
import io
import json

import numpy as np
import pandas as pd
import pytest

from pg2lib.core.files import UserError
from pg2lib.evaluation import statistics
from pg2lib.evaluation.statistics import LESS, MORE
from pg2lib.results import learning, provenance, render
from pg2lib.results.claims import Claim, compare
from pg2lib.results.learning import (
    GROWING,
    NOTHING,
    ONCE,
    OPEN,
    SETTLED,
    SHRINKING,
    TURNED,
    trend,
)

POINTS, PAIRS, PER_PERSON = 10, 120, 2
PEOPLE = np.arange(PAIRS) // PER_PERSON
WAY = np.arange(1, POINTS + 1) / POINTS  # share of the training
FACTS = {"dataset": "synthetic-market", "profile": "quick", "seed": 0, "command": "make reproduce"}


def change(course, seeds=4, noise=0.01, between=0.002, seed=0):
    """(seeds, points, pairs) with a mean course, people that differ and trainings that differ from
    point to point."""
    random = np.random.default_rng(seed)
    people = random.normal(0, noise, PEOPLE.max() + 1)[PEOPLE]
    shaken = random.normal(0, between, (seeds, POINTS, 1))
    return np.asarray(course)[:, None] + shaken + people + random.normal(0, noise / 3, PAIRS)


@pytest.mark.parametrize(
    "course, word",
    [
        (0.1 * WAY, GROWING),
        (-0.1 * WAY, GROWING),  # away from zero, whatever the sign
        (0.1 - 0.06 * WAY, SHRINKING),
        (0.05 + 0.06 * (WAY - 0.8) * (WAY > 0.7), GROWING),
        (np.full(POINTS, 0.05), SETTLED),
        (0.05 * (1 - np.exp(-8 * WAY)), SETTLED),
        (np.zeros(POINTS), NOTHING),
        (0.2 * WAY - 0.1, TURNED),
        (0.1 - 0.2 * WAY, TURNED),
        (0.1 * (1 - WAY) ** 4, NOTHING),  # an effect that vanishes
    ],
)
def test_the_word_of_a_known_course(course, word):
    assert trend(change(course), PEOPLE) == word
    assert trend(-change(course, seed=1), PEOPLE) == word


def test_one_training_says_nothing_of_its_spread():
    assert trend(change(0.1 * WAY, seeds=1), PEOPLE) == ONCE


def test_an_effect_below_the_last_decimal_counts_as_zero():
    tiny = change(np.full(POINTS, 0.0005), noise=1e-5, between=1e-5)
    assert trend(tiny, PEOPLE) == SETTLED
    assert trend(tiny, PEOPLE, least=0.001) == NOTHING
    slow = change(0.05 + 0.002 * WAY, noise=1e-5, between=1e-5)
    assert trend(slow, PEOPLE) == GROWING
    assert trend(slow, PEOPLE, least=0.001) == SETTLED


def test_trainings_that_differ_alone_seldom_grow():
    """Where only chance moves the points, 5 % of the changes seem real."""
    words = [trend(change(np.full(POINTS, 0.05), 3, between=0.01, seed=k), PEOPLE)
             for k in range(300)]  # fmt: skip
    moving = sum(word in (GROWING, SHRINKING) for word in words)
    assert moving <= 27  # 15 expected, standard deviation 3.8


def test_the_spread_of_trainings_hides_what_one_would_show():
    """The same mean course, but trainings that disagree."""
    course = 0.05 + 0.02 * WAY
    assert trend(change(course, 3, between=0.0005), PEOPLE) == GROWING
    assert trend(change(course, 3, between=0.02, seed=2), PEOPLE) in (NOTHING, SETTLED, OPEN)


def test_a_large_move_within_the_spread_is_not_settled():
    """Three trainings that all end high, but one of which was there before."""
    course = np.full((3, POINTS, PAIRS), 0.02)
    course[:, -3:] = 0.05
    course[0, 4:] = 0.05
    noise = np.random.default_rng(0).normal(0, 0.001, (3, 1, PAIRS))
    assert trend(course + noise, PEOPLE) == OPEN
    assert trend(course[1:] + noise[1:], PEOPLE) == GROWING


def curve(course, seed, score="ssim", batch=8, steps=100):
    """A made-up curve.csv."""
    random = np.random.default_rng(seed)
    values = np.asarray(course)[:, None] + random.normal(0, 0.002, (POINTS, PAIRS))
    step = np.repeat(np.arange(1, POINTS + 1) * steps, PAIRS)
    table = pd.DataFrame({"step": step, "pairs_seen": step * batch})
    table["pair"] = np.tile(np.arange(PAIRS), POINTS)
    table["identity"] = np.tile(PEOPLE.astype(str), POINTS)
    return table.assign(**{score: values.ravel(), "joints": np.tile(1.0 + PEOPLE % 3, POINTS)})


@pytest.fixture(scope="module")
def found():
    curves = {
        "G1-L1": [curve(0.3 + 0.1 * WAY, seed) for seed in range(3)],
        "G1-CE-L1": [curve(0.3 + 0.02 * WAY, 10 + seed, steps=50) for seed in range(5)],
        "G1+D": [curve(0.4 * WAY, 20 + seed, "pckh") for seed in range(3)],
    }
    real = pd.DataFrame({"pckh": np.linspace(0.8, 1, 2 * PAIRS), "joints": 1.0,
                         "identity": "1"})  # fmt: skip
    claims = (
        Claim("one", "4.3", "higher", compare("ssim mask_ssim", "G1-L1", "G1-CE-L1", MORE)),
        Claim("two", "4.2", "not kept", compare("ssim", "G1+G2+D", "G1+D", MORE)),
        Claim("three", "4.2", "as real", compare("pckh", "G1+D", "target", LESS)),
        Claim("four", "4.2", "split", compare("ssim", "G1-L1", "G1-CE-L1", MORE, how="clutter")),
        Claim("five", "4.2", "alone", compare("ssim", "G1-CE-L1", None, MORE)),
    )  # fmt: skip
    return learning.courses(curves | {"target": [real]}, "market1501", None, claims)


def test_comparisons_of_rows_with_curves_have_a_course(found):
    assert [(c.number, c.claim.name, c.comparison.score) for c in found] == [
        (1, "one", "ssim"), (3, "three", "pckh"), (5, "five", "ssim"),
    ]  # fmt: skip
    first, second, third = found
    assert first.effects.shape == (3, POINTS)  # the seeds that both sides have
    assert first.effects.mean(0) == pytest.approx(0.08 * WAY, abs=0.001)
    assert first.trend == GROWING and third.trend == GROWING and third.effects.shape[0] == 5
    assert {row: seen[-1] for row, seen in first.seen.items()} == {"G1-L1": 8000, "G1-CE-L1": 4000}
    weight = 1.0 + PEOPLE % 3  # joints of the row, not of the reference
    real = np.average(np.linspace(0.8, 1, 2 * PAIRS)[:PAIRS], weights=weight)
    assert second.sides["target"] == pytest.approx(np.full((1, POINTS), real))
    assert second.effects.mean(0) == pytest.approx(0.4 * WAY - real, abs=0.001)


def test_the_table_has_the_effects_on_the_way(found, tmp_path):
    record = learning.learning_table(found, FACTS)
    line = record["trends"][0]
    for share in (10, 50, 100):
        assert line[f"effect_{share}"] == pytest.approx(0.08 * share / 100, abs=0.001)
    assert line["effects"] == pytest.approx((0.08 * WAY).tolist(), abs=0.001)
    last = found[0].effects[:, -3:].mean()
    assert line["low"] < last < line["high"]
    paths = render.write(tmp_path, "learning", record)
    text = paths[0].read_text(encoding="utf-8")
    assert "| 1 | higher | SSIM, G1-L1 − G1-CE-L1: > 0.001 | still growing | +0.00" in text
    assert "first 120 test pairs" in text and "synthetic-market" in text
    assert json.loads((tmp_path / "learning.json").read_text(encoding="utf-8")) == record
    lines = list(csv.DictReader(io.StringIO((tmp_path / "learning.csv").read_text("utf-8"))))
    assert [line["trend"] for line in lines] == [c.trend for c in found]
    assert float(lines[0]["effect_50"]) == pytest.approx(line["effect_50"], rel=1e-5)


def test_trainings_meet_at_equal_shares():
    steps = np.arange(1, 11)
    assert list(learning.at_shares(steps, 10)) == list(steps)
    assert list(learning.at_shares(steps, 5)) == [2, 4, 6, 8, 10]
    assert list(learning.at_shares(np.arange(1, 7), 4)) == [2, 3, 4, 6]
    assert list(learning.at_shares(np.arange(1, 4), 3)) == [1, 2, 3]


def test_a_short_training_has_fewer_points():
    """Fewer steps than points: the other row is read at the same shares."""
    whole, rows = curve(0.3 + 0.1 * WAY, 0), ("G1-L1", "G1-CE-L1")
    short = whole[(whole["step"] % 500) == 0]  # at a half and at the end
    claims = (Claim("one", "4.3", "so", compare("ssim", *rows, MORE)),)
    for first, second in ((whole, short), (short, whole)):
        tables = {rows[0]: [first] * 3, rows[1]: [second] * 3}
        [course] = learning.courses(tables, "market1501", None, claims)
        assert (course.effects == 0).all() and course.effects.shape == (3, 2)
        assert list(course.seen[rows[0]]) == list(course.seen[rows[1]]) == [4000, 8000]
        learning.learning_page([course])
    few = change(np.full(POINTS, 0.05))[:, :3]
    assert trend(few, PEOPLE) == OPEN  # too few points to see it move


def test_claims_are_chosen_and_numbered_as_for_the_verdicts():
    curves = {row: [curve(WAY, k)] for k, row in enumerate(("G1-L1", "G1-CE-L1", "G1+G2+D"))}
    ablations = {row: [curve(0 * WAY, k)] for k, row in enumerate(("G2-fc+D", "G1+G2+D"))}
    both = compare("ssim", "G1-L1", "G1-CE-L1", MORE)
    claims = (
        Claim("street", "4", "so", both, half="market1501"),
        Claim("studio", "4", "so", both, half="deepfashion"),
        Claim("masked", "4", "so", compare("ssim", "G1-L1", "G1-CE-L1", MORE, half="market1501")),
        Claim("part", "4", "so", compare("ssim", "G1+G2+D", "G2-fc+D", MORE)),
    )
    found = learning.courses(curves, "deepfashion", ablations, claims)
    assert [(c.number, c.claim.name) for c in found] == [(1, "studio"), (3, "part")]
    assert abs(found[1].effects).max() < 0.01  # of the ablations' own study
    assert [c.claim.name for c in learning.courses(curves, "market1501", {}, claims)] == [
        "street", "masked",
    ]  # fmt: skip


def test_the_page_draws_scores_and_differences(found):
    page = learning.learning_page(found)
    assert len(page.axes) == 2 * len(found)
    upper, lower = page.axes[:2]
    values = found[0].sides["G1-L1"].mean(0)
    drawn = upper.lines[0].get_xydata()
    assert drawn[:, 0] == pytest.approx(found[0].seen["G1-L1"] / 1000)
    assert drawn[:, 1] == pytest.approx(values)
    assert any(line.get_ydata() == pytest.approx(found[0].effects.mean(0)) for line in lower.lines
               if len(line.get_ydata()) == POINTS)  # fmt: skip
    band = lower.collections[0].get_paths()[0].vertices[:, 1]
    assert band.max() == pytest.approx(found[0].effects.max())
    assert "1 SSIM, G1-L1 − G1-CE-L1: still growing" in page.get_label()
    assert lower.get_xlabel() == GROWING


def test_a_whole_page_is_small():
    """As many pictures as the paper's claims need: legible size, under 200 KB."""
    rows = ("G1-L1", "G1-CE-L1")
    curves = {row: [curve(0.3 + 0.1 * WAY + np.sin(7 * WAY + k) / 50, 5 * k + s) for s in range(4)]
              for k, row in enumerate(rows)}  # fmt: skip
    claims = [Claim(str(k), "4", "so", compare("ssim", *rows, MORE)) for k in range(42)]
    page = learning.learning_page(learning.courses(curves, "market1501", None, claims))
    assert len(provenance.to_png_bytes(page, colours=learning.PALETTE)) < 200_000
    assert page.get_figwidth() <= 10  # legible at the width of a notebook


def test_mistakes(found):
    with pytest.raises(UserError, match="no claim has curves"):
        learning.courses({}, "market1501")
    other = {"G1-L1": [curve(WAY, 0)], "G1-CE-L1": [curve(WAY, 1)]}
    other["G1-CE-L1"][0] = other["G1-CE-L1"][0].query("pair > 1")
    claims = (Claim("one", "4.3", "so", compare("ssim", "G1-L1", "G1-CE-L1", MORE)),)
    with pytest.raises(UserError, match="curve of G1-CE-L1 is of other test pairs"):
        learning.courses(other, "market1501", None, claims)


def test_intervals_are_those_of_the_verdicts(found):
    """The end of a course is the crossed interval of the mean over its last three points."""
    assert np.isfinite(found[0].end).all()
    values = change(0.1 * WAY)
    low, high = statistics.interval(values[:, -3:].mean(1), PEOPLE)
    assert (low > 0) == (trend(values, PEOPLE) != NOTHING) and high > low
