"""Claims on made-up scores with known effects; the pixel measures on made-up images."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom
from scipy.stats import t as student

from pg2lib.core.files import UserError
from pg2lib.evaluation import detail, statistics
from pg2lib.evaluation import difficulty as failures
from pg2lib.evaluation import score_row as evaluation
from pg2lib.evaluation.scores import SCORES
from pg2lib.evaluation.statistics import (
    CANNOT,
    EQUAL,
    FAILS,
    HOLDS,
    LESS,
    MISSING,
    MORE,
    SEEN,
    UNSEEN,
    verdict,
)
from pg2lib.results import charts, claims, effects, render, verdicts
from pg2lib.results.claims import Claim, compare

PEOPLE, PER_PERSON = 60, 4
FACTS = {"dataset": "synthetic-market", "profile": "quick", "seed": 3, "split": "by person.",
         "command": "make reproduce"}  # fmt: skip


# --- verdicts


@pytest.mark.parametrize(
    "effect, low, high, direction, margin, expected",
    [
        (0.02, 0.01, 0.03, MORE, 0, HOLDS),
        (0.02, -0.01, 0.05, MORE, 0, CANNOT),
        (0.02, 0.0, 0.05, MORE, 0, CANNOT),  # touching is not above
        (-0.02, -0.03, -0.01, MORE, 0, FAILS),
        (-0.02, -0.03, -0.01, LESS, 0, HOLDS),
        (0.02, 0.01, 0.03, LESS, 0, FAILS),
        (-0.02, -0.05, 0.01, LESS, 0, CANNOT),
        (0.02, 0.01, 0.03, MORE, 0.02, CANNOT),
        (0.02, 0.01, 0.03, MORE, 0.05, FAILS),
        (-0.09, -0.10, -0.08, LESS, 0.05, HOLDS),
        (-0.02, -0.03, -0.01, LESS, 0.05, FAILS),
        (0.01, -0.01, 0.02, EQUAL, 0.02, HOLDS),  # the margin itself is within
        (0.01, -0.01, 0.03, EQUAL, 0.02, CANNOT),
        (0.04, 0.03, 0.05, EQUAL, 0.02, FAILS),
        (-0.04, -0.05, -0.03, EQUAL, 0.02, FAILS),
        (0.0, -0.5, 0.5, EQUAL, 0.02, CANNOT),  # no evidence is not evidence of none
        (0.0, 0.0, 0.0, EQUAL, 0.0, CANNOT),  # an interval of width zero measured nothing
        (0.02, 0.02, 0.02, MORE, 0, CANNOT),
        (0.02, float("nan"), float("nan"), MORE, 0, CANNOT),
        (float("nan"), float("nan"), float("nan"), EQUAL, 1, CANNOT),
    ],
)
def test_a_verdict_is_where_the_interval_lies(effect, low, high, direction, margin, expected):
    assert verdict(effect, low, high, direction, margin, [effect, effect]) == expected


def test_less_mirrors_more():
    random = np.random.default_rng(0)
    for _ in range(200):
        low, effect, high = np.sort(random.normal(0, 1, 3))
        margin = abs(random.normal())
        mirrored = verdict(-effect, -high, -low, LESS, margin)
        assert verdict(effect, low, high, MORE, margin) == mirrored


def test_an_unknown_direction_is_refused():
    with pytest.raises(ValueError, match="sideways"):
        verdict(0, 0, 0, "sideways")


@pytest.mark.parametrize(
    "parts, whole",
    [
        ([HOLDS, HOLDS], HOLDS),
        ([HOLDS, CANNOT], CANNOT),
        ([MISSING, HOLDS, CANNOT, FAILS], FAILS),  # one that fails decides
        ([HOLDS, MISSING, CANNOT], MISSING),
        ([SEEN, HOLDS], SEEN),  # no stronger than its weakest part
        ([SEEN, UNSEEN, MISSING], UNSEEN),
        ([SEEN, CANNOT], CANNOT),
        ([], CANNOT),
    ],
)
def test_all_parts_of_a_claim_must_hold_and_one_can_refute_it(parts, whole):
    assert verdicts.combined(parts) == verdicts.combined(parts[::-1]) == whole


# --- effects on made-up scores


def made_up(seed=0, half="market1501", **shifts):
    """Evidence of rows whose mask-SSIM is 0.5 + shift, with much scatter per pair in common; a
    shift per training, or one number for one training."""
    random = np.random.default_rng(seed)
    count = PEOPLE * PER_PERSON
    base = pd.DataFrame(
        {
            "condition": [f"a{k}" for k in range(count)],
            "target": [f"b{k}" for k in range(count)],
            "identity": np.repeat([f"{k:04}" for k in range(PEOPLE)], PER_PERSON),
            "mask_ssim": 0.5 + random.normal(0, 0.1, count),
            "target_gradient": random.uniform(1, 2, count),
        }
    )
    pairs = {
        row.replace("_", "-"): [
            base.assign(mask_ssim=base.mask_ssim + one + random.normal(0, 0.01, count))
            for one in np.atleast_1d(shift)
        ]
        for row, shift in shifts.items()
    }
    context = pd.DataFrame(
        {"clutter": random.permutation(count) / count, "rare pose": random.random(count) < 0.1}
    )
    return effects.Evidence("made-up", "quick", half, pairs, {}, {}, context)


def change(evidence, row, **columns):
    """Replace columns of a row's only table; a function gets the table."""
    [table] = evidence.pairs[row]
    evidence.pairs[row] = [table.assign(**columns)]


def one(*comparisons, **others):
    return Claim("name", "4.2", "it is so", comparisons, **others)


def ask(evidence, names, direction, margin=None, how="rows", sibling=None, row="a", against="b"):
    claim = one(*compare(names, row, against, direction, margin, how))
    return verdicts.evaluate_claim(claim, evidence, sibling)


def test_an_effect_is_the_paired_difference_over_people():
    evidence = made_up(a=0.02, b=0.0)
    result = ask(evidence, "mask_ssim", MORE)
    (finding,) = result.findings
    [a], [b] = evidence.pairs["a"], evidence.pairs["b"]
    expected = statistics.paired_difference(a.mask_ssim, b.mask_ssim, a.identity)
    assert (finding.effect, finding.low, finding.high) == pytest.approx(expected)
    assert finding.effect == pytest.approx(0.02, abs=0.003)
    assert finding.by_seed == pytest.approx((finding.effect,))
    assert result.verdict == SEEN and result.made_at == "made-up-quick"
    assert result.why == "Mask-SSIM of a is higher, as claimed."
    assert ask(evidence, "mask_ssim", LESS).verdict == UNSEEN
    assert ask(evidence, "mask_ssim", LESS).why.endswith("is higher, against the claim.")
    assert ask(evidence, "mask_ssim", EQUAL, 0.03).verdict == SEEN
    assert ask(evidence, "mask_ssim", EQUAL, 0.01).verdict == UNSEEN
    assert ask(made_up(a=0.0, b=0.0), "mask_ssim", MORE).verdict == CANNOT
    far = ask(evidence, "mask_ssim", MORE, 0.3)
    assert far.verdict == UNSEEN and far.why == "Mask-SSIM of a is not higher by 0.3."


SHIFTS = (0.02, 0.022, 0.018)


def test_several_trainings_are_one_effect_with_each_of_them_beside_it():
    evidence = made_up(a=SHIFTS, b=(0.0, 0.0, 0.0), condition=0.0)
    result = ask(evidence, "mask_ssim", MORE)
    (finding,) = result.findings
    both = [[t.mask_ssim for t in evidence.pairs[row]] for row in "ab"]
    gaps = np.array(both[0]) - np.array(both[1])  # (seeds, pairs)
    assert finding.by_seed == pytest.approx(tuple(gaps.mean(1)))
    assert finding.effect == pytest.approx(gaps.mean())
    # by hand: people and trainings as crossed random effects
    identity = evidence.pairs["a"][0].identity
    people = pd.Series(gaps.mean(0)).groupby(identity.to_numpy()).mean()
    square = gaps.mean(1).var(ddof=1) / 3 + people.var(ddof=1) / PEOPLE
    freedom = square**2 / ((gaps.mean(1).var(ddof=1) / 3) ** 2 / 2
                           + (people.var(ddof=1) / PEOPLE) ** 2 / (PEOPLE - 1))  # fmt: skip
    half = student.ppf(0.975, freedom) * square**0.5
    assert finding.high - finding.low == pytest.approx(2 * half, rel=0.01)
    assert result.verdict == HOLDS
    assert ask(evidence, "mask_ssim", LESS).verdict == FAILS
    # one table of a reference row stands for every training
    against = ask(evidence, "mask_ssim", MORE, against="condition")
    assert len(against.findings[0].by_seed) == 3 and against.verdict == HOLDS


def test_rows_are_compared_by_the_trainings_that_both_have():
    evidence = made_up(a=(*SHIFTS, 0.5, 0.5), b=(0.0, 0.0, 0.0))
    (finding,) = ask(evidence, "mask_ssim", MORE).findings
    assert len(finding.by_seed) == 3 and finding.effect == pytest.approx(0.02, abs=0.003)


def test_a_training_on_the_other_side_leaves_a_claim_open():
    shifts = (0.02, 0.021, 0.022, 0.023, 0.0195, 0.0205, 0.0215, 0.0225, -0.002)
    evidence = made_up(a=shifts, b=[0.0] * len(shifts))
    result = ask(evidence, "mask_ssim", MORE)
    (finding,) = result.findings
    assert finding.low > 0.001  # the interval alone would decide
    assert result.verdict == CANNOT
    assert result.why == "The 9 trainings disagree on mask-SSIM of a."


def test_rows_that_are_alike_refute_a_claim_of_more():
    evidence, noise = made_up(a=0.0), np.random.default_rng(1).normal(0, 1e-5, 240)
    evidence.pairs["b"] = evidence.pairs["a"]
    change(evidence, "b", mask_ssim=lambda t: t.mask_ssim - 1e-5 + noise)
    result = ask(evidence, "mask_ssim", MORE)
    assert result.verdict == UNSEEN and result.why == "Mask-SSIM of a is not higher."
    assert ask(evidence, "mask_ssim", EQUAL, 0.02).verdict == SEEN


def test_an_interval_without_width_decides_nothing():
    evidence = made_up(a=0.0)
    evidence.pairs["b"] = evidence.pairs["a"]
    for direction in (MORE, LESS, EQUAL):
        assert ask(evidence, "mask_ssim", direction, 0.02).verdict == CANNOT


def test_the_pose_score_counts_only_where_it_tells_poses_apart():
    evidence = made_up(a=0.0, b=0.0, condition=0.0, target=0.0)
    for row, score in {"a": 0.8, "b": 0.6, "condition": 0.69, "target": 0.9}.items():
        change(evidence, row, pckh=lambda t, score=score: t.mask_ssim + score, joints=12)
    assert ask(evidence, "pckh", MORE).verdict == SEEN  # real images are 0.21 ahead
    change(evidence, "condition", pckh=lambda t: t.mask_ssim + 0.71)
    result = ask(evidence, "pckh", MORE)
    assert result.verdict == MISSING and "hardly tells" in result.why


def test_a_score_by_itself():
    (finding,) = ask(made_up(a=0.02), "mask_ssim", MORE, against=None).findings
    assert finding.effect == pytest.approx(0.52, abs=0.02)


def test_sharpness_is_weighted_as_in_table_1():
    evidence = made_up(a=0.0, b=0.0)
    for row, values in (("a", 0.4), ("b", 0.2)):
        change(evidence, row, sharpness=values * np.where(np.arange(240) < 40, 3.0, 1.0))
    weights = evidence.pairs["a"][0].target_gradient
    gain = np.where(np.arange(len(weights)) < 40, 0.6, 0.2)
    (finding,) = ask(evidence, "sharpness", MORE).findings
    assert finding.effect == pytest.approx((gain * weights).sum() / weights.sum())


def test_what_is_not_there_is_not_measured():
    evidence = made_up(a=0.02, b=0.0)
    for names, row, how, words in (
        ("pckh", "a", "rows", "no PCKh among the scores of a"),
        ("mask_ssim", "c", "rows", "c is not scored"),
        ("inception", "a", "splits", "no Inception weights"),
    ):
        result = ask(evidence, names, MORE, how=how, row=row)
        assert result.verdict == MISSING and words in result.why
        assert result.findings[0].interval == "not measured"
    change(evidence, "a", pckh=np.nan)  # measured in name only
    change(evidence, "b", pckh=0.5)
    assert ask(evidence, "pckh", MORE).findings[0].interval == "not measured"
    # what is measured can still refute, but not prove
    assert ask(evidence, "mask_ssim pckh", MORE).verdict == MISSING
    assert ask(evidence, "mask_ssim pckh", LESS).verdict == UNSEEN


def test_rows_scored_on_other_pairs_are_refused():
    evidence = made_up(a=0.02, b=(0.0, 0.0))
    evidence.pairs["b"][1] = evidence.pairs["b"][1].iloc[::-1].reset_index(drop=True)
    with pytest.raises(UserError, match="a and b were scored on different pairs"):
        ask(evidence, "mask_ssim", MORE)


def test_one_person_leaves_no_interval():
    evidence = made_up(a=0.02, b=0.0)
    for row in "ab":
        change(evidence, row, identity="0001")
    result = ask(evidence, "mask_ssim", MORE)
    assert result.verdict == CANNOT and "no interval" in result.why


def test_the_gain_on_cluttered_against_plain_backgrounds():
    evidence = made_up(a=0.0, b=0.0)
    clutter = evidence.context.clutter.to_numpy()
    change(evidence, "a", mask_ssim=lambda t: t.mask_ssim + 0.05 * (clutter > 0.6))
    result = ask(evidence, "mask_ssim", MORE, how="clutter")
    gain = (evidence.pairs["a"][0].mask_ssim - evidence.pairs["b"][0].mask_ssim).to_numpy()
    low, high = np.quantile(clutter, [1 / 3, 2 / 3])
    by_hand = gain[clutter >= high].mean() - gain[clutter <= low].mean()
    assert result.findings[0].effect == pytest.approx(by_hand)
    assert result.verdict == SEEN and "on cluttered backgrounds is higher" in result.why
    # the interval of a difference of two means, which the bootstrap of whole people gives too
    flags = pd.DataFrame({"flag": clutter >= high})[(clutter <= low) | (clutter >= high)]
    people = evidence.pairs["a"][0].identity[flags.index]
    line = failures.effects(gain[flags.index], flags, people).iloc[0]
    (finding,) = result.findings
    assert finding.high - finding.low == pytest.approx(line.high - line.low, rel=0.05)
    flat = ask(made_up(a=0.05, b=0.0), "mask_ssim", MORE, how="clutter")
    assert flat.verdict == CANNOT  # it helps everywhere alike


def test_rare_poses_against_the_others():
    evidence = made_up(a=0.0)
    rare = evidence.context["rare pose"]
    change(evidence, "a", mask_ssim=lambda t: t.mask_ssim - 0.2 * rare)
    result = ask(evidence, "mask_ssim", LESS, how="rare", against=None)
    values = evidence.pairs["a"][0].mask_ssim
    by_hand = values[rare].mean() - values[~rare].mean()
    assert result.findings[0].effect == pytest.approx(by_hand) and result.verdict == SEEN
    evidence.context["rare pose"] = False
    assert "too few pairs" in ask(evidence, "mask_ssim", LESS, how="rare", against=None).why


def test_a_split_of_the_pairs_over_several_trainings():
    evidence = made_up(a=(0.0, 0.01, -0.01))
    rare = evidence.context["rare pose"].to_numpy()
    for k, table in enumerate(evidence.pairs["a"]):
        evidence.pairs["a"][k] = table.assign(mask_ssim=table.mask_ssim - (0.2 + 0.02 * k) * rare)
    (finding,) = ask(evidence, "mask_ssim", LESS, how="rare", against=None).findings
    values = np.array([table.mask_ssim for table in evidence.pairs["a"]])

    def gap(kept):
        return values[:, kept & rare].mean(1) - values[:, kept & ~rare].mean(1)

    by_seed, identity = gap(rare | True), evidence.pairs["a"][0].identity.to_numpy()
    assert finding.by_seed == pytest.approx(tuple(by_seed))
    # the part of the people by a jackknife, that of the trainings by their variance
    without = np.array([gap(identity != one).mean() for one in np.unique(identity)])
    people = (PEOPLE - 1) / PEOPLE * ((without - without.mean()) ** 2).sum()
    trainings = by_seed.var(ddof=1) / 3
    square = people + trainings
    freedom = square**2 / (trainings**2 / 2 + people**2 / (PEOPLE - 1))
    half = student.ppf(0.975, freedom) * square**0.5
    assert finding.high - finding.low == pytest.approx(2 * half, rel=0.1)
    assert finding.verdict == HOLDS


def test_an_effect_below_the_last_decimal_is_not_against_the_claim():
    """Verdict and reason count the same effects as zero."""
    evidence, random = made_up(a=[0.0] * 3, b=[0.0] * 3), np.random.default_rng(0)
    for a, b in zip(evidence.pairs["a"], evidence.pairs["b"]):
        a["mask_ssim"] = b.mask_ssim - random.uniform(0.0003, 0.0007, len(b))
    assert SCORES["mask_ssim"].least == 0.001
    result = ask(evidence, "mask_ssim", MORE)
    (finding,) = result.findings
    assert -0.001 < finding.low < finding.high < 0
    assert result.verdict == FAILS and result.why == "Mask-SSIM of a is not higher."
    assert ask(made_up(a=[-0.02] * 3, b=[0.0] * 3), "mask_ssim", MORE).why.endswith("the claim.")


def test_two_data_sets_are_two_samples():
    street, studio = made_up(a=0.05, b=0.0), made_up(5, "deepfashion", a=0.01, b=0.0)
    result = ask(street, "mask_ssim", MORE, how="halves", sibling=studio)
    (finding,) = result.findings
    assert finding.effect == pytest.approx(0.04, abs=0.005) and result.verdict == SEEN
    assert result.made_at == "made-up-quick, made-up-quick"
    # the variances add up, whichever of the two is the study at hand
    widths = [
        np.subtract(*statistics.paired_difference(
            e.pairs["a"][0].mask_ssim, e.pairs["b"][0].mask_ssim, e.pairs["a"][0].identity)[:0:-1])
        for e in (street, studio)
    ]  # fmt: skip
    assert finding.high - finding.low == pytest.approx(np.hypot(*widths), rel=0.02)
    other = ask(studio, "mask_ssim", MORE, how="halves", sibling=street)
    assert other.findings[0].effect == finding.effect
    for nobody in (None, street):
        assert "the other data set" in ask(street, "mask_ssim", MORE, how="halves",
                                           sibling=nobody).why  # fmt: skip


def test_two_data_sets_of_several_trainings_are_compared_each_with_each():
    street, studio = made_up(a=SHIFTS, b=[0.0] * 3), made_up(5, "deepfashion", a=[0.01] * 2,
                                                             b=[0.0] * 2)  # fmt: skip
    (finding,) = ask(street, "mask_ssim", MORE, how="halves", sibling=studio).findings
    (a,), (b,) = (ask(e, "mask_ssim", MORE).findings for e in (street, studio))
    assert len(finding.by_seed) == 3 * 2
    assert finding.by_seed == pytest.approx(tuple(x - y for x in a.by_seed for y in b.by_seed))
    assert finding.effect == pytest.approx(a.effect - b.effect)
    assert finding.effect == pytest.approx(np.mean(finding.by_seed))


def test_two_data_sets_of_which_one_was_trained_once():
    """The difference is seen once, and the notes count the trainings of the rows apart from it."""
    street, studio = made_up(a=SHIFTS, b=[0.0] * 3), made_up(5, "deepfashion", a=0.0, b=0.0)
    result = ask(street, "mask_ssim", MORE, how="halves", sibling=studio)
    assert result.verdict == SEEN and len(result.findings[0].by_seed) == 1
    table = verdicts.claims_table([ask(street, "mask_ssim", MORE), result], FACTS)
    below = "\n".join(table["notes"])
    assert "Each row was trained 3 times" in below and "one of the two was trained once" in below
    assert "For this one training of each row" not in below


def test_drawn_street_and_studio_images_measure_the_painter():
    street, studio = made_up(a=SHIFTS, b=[0.0] * 3), made_up(5, "deepfashion", a=[0.0] * 3,
                                                             b=[0.0] * 3)  # fmt: skip
    assert ask(street, "mask_ssim", MORE, how="halves", sibling=studio).verdict == HOLDS
    drawn = replace(street, dataset="synthetic-market")
    result = ask(drawn, "mask_ssim", MORE, how="halves", sibling=studio)
    assert result.verdict == CANNOT and "measure the painter" in result.why
    assert ask(drawn, "mask_ssim", MORE).verdict == HOLDS  # of networks alone


def inception_score(mean, **fields):
    return {"scores": {"inception": {"mean": mean, "std": 0.3, "splits": 9} | fields,
                       "mask_inception": None}}  # fmt: skip


def test_inception_scores_without_people_are_compared_by_their_spread_over_splits():
    evidence = made_up(a=0.0, b=0.0)
    evidence.summaries.update(a=[inception_score(3.4)], b=[inception_score(3.0)])
    (finding,) = ask(evidence, "inception", MORE, how="splits").findings
    half = 2.306 * (2 * 0.3**2 / 8) ** 0.5  # t of 8 degrees of freedom, from a table
    expected = (0.4, 0.4 - half, 0.4 + half)
    assert (finding.effect, finding.low, finding.high) == pytest.approx(expected, rel=1e-3)
    assert ask(evidence, "mask_inception", MORE, how="splits").verdict == MISSING


def test_inception_scores_of_several_trainings():
    evidence = made_up(a=0.0, b=0.0)
    means = {"a": (3.4, 3.5, 3.6), "b": (3.0, 3.0, 3.0)}
    for row, each in means.items():
        reaches = zip(each, (1, 2, 3))  # both rows' together: 0.05, 0.10, 0.15
        evidence.summaries[row] = [
            inception_score(m, low=m - 0.03 * k, high=m + 0.04 * k) for m, k in reaches
        ]
    (finding,) = ask(evidence, "inception", MORE, how="splits").findings
    assert finding.by_seed == pytest.approx((0.4, 0.5, 0.6))
    trainings = 4.303 * 0.1 / 3**0.5  # t of 2 degrees of freedom, from a table
    assert finding.low == pytest.approx(0.5 - np.hypot(trainings, 0.10), rel=1e-3)
    assert finding.high == pytest.approx(0.5 + np.hypot(trainings, 0.10), rel=1e-3)
    assert finding.verdict == HOLDS


def made_up_logs(first, second, noise=0.01, count=100):
    """Logs of two stages that fall exponentially from a start to an end."""
    random, steps = np.random.default_rng(0), np.arange(1, count + 1)
    common = random.normal(0, noise, count)
    logs = {}
    for stage, (start, end, pace) in {"G1+G2+D": first, "G2-image+D": second}.items():
        values = end + (start - end) * np.exp(-steps / pace) + common
        logs[stage] = [[{"step": int(s), "l1": float(v)} for s, v in zip(steps, values)]]
    return logs


def converges(logs, names="l1_gap head_start"):
    evidence = made_up()
    evidence.logs.update(logs)
    return ask(evidence, names, LESS, how="curves", row="G1+G2+D", against="G2-image+D")


def test_a_head_start_shows_in_both_measures_of_speed():
    result = converges(made_up_logs((0.3, 0.25, 10), (0.8, 0.25, 20), noise=0.001))
    gap, start = result.findings
    assert result.verdict == SEEN
    steps = np.arange(1, 101)
    by_hand = (0.05 * np.exp(-steps / 10) - 0.55 * np.exp(-steps / 20)).mean()
    assert gap.effect == pytest.approx(by_hand)  # the noise is the same in both and cancels
    # 0.25 + 0.55 exp(-t / 20) = 1.05 * 0.25 at t = 20 ln(0.55 / 0.0125), the other at 10 ln 4
    by_hand = (20 * np.log(0.55 / 0.0125) - 10 * np.log(4)) / 100
    assert start.effect == pytest.approx(-by_hand, abs=0.05)


def test_records_are_resampled_in_blocks_because_neighbours_depend_on_each_other():
    """A gap of 0.3 that alternates by 0.1; its running mean over five records alternates by 0.02
    and what is left by 0.08. Of five records in a row all but one cancel: a resampled mean of 100
    is off by 20 random signs, one per block, times 0.08 / 100. Records drawn one by one would
    bring 100 signs."""
    logs = {
        row: [[{"step": k, "l1": value + turn * (-1) ** k} for k in range(100)]]
        for row, value, turn in (("G1+G2+D", 0.5, 0.1), ("G2-image+D", 0.2, 0.0))
    }
    (finding,) = converges(logs, "l1_gap").findings
    assert finding.effect == pytest.approx(0.3)
    signs = 2 * binom.ppf([0.025, 0.975], 20, 0.5) - 20  # their sum: from -8 to 8
    assert [finding.low, finding.high] == pytest.approx(0.3 + 0.0008 * signs, abs=0.001)


def test_alike_curves_have_no_head_start_and_noisy_ones_decide_nothing():
    same = converges(made_up_logs((0.5, 0.2, 10), (0.5, 0.2, 10)))
    assert same.verdict == CANNOT and same.findings[1].effect == 0  # an interval without width
    noisy, random = made_up_logs((0.5, 0.2, 10), (0.5, 0.2, 10)), np.random.default_rng(1)
    for record in noisy["G1+G2+D"][0]:
        record["l1"] += random.normal(0, 0.1)
    assert converges(noisy, "l1_gap").verdict == CANNOT
    worse = converges(made_up_logs((0.9, 0.4, 30), (0.5, 0.2, 10)))
    assert worse.verdict == UNSEEN
    missing = converges({})
    assert missing.verdict == MISSING and "a training log is missing" in missing.why


def test_curves_of_several_trainings_have_the_interval_of_their_statistic():
    starts, logs = (0.8, 0.9, 1.0), {}
    for start in starts:
        for row, [log] in made_up_logs((0.3, 0.25, 10), (start, 0.25, 20)).items():
            logs.setdefault(row, []).append(log)
    (finding,) = converges(logs, "l1_gap").findings
    steps = np.arange(1, 101)
    gaps = [(0.05 * np.exp(-steps / 10) - (s - 0.25) * np.exp(-steps / 20)).mean() for s in starts]
    assert finding.by_seed == pytest.approx(tuple(gaps))
    half = 4.303 * np.std(gaps, ddof=1) / 3**0.5  # t of 2 degrees of freedom, from a table
    assert finding.low == pytest.approx(np.mean(gaps) - half, rel=1e-3)
    assert finding.verdict == HOLDS


def test_the_level_is_the_better_curves_end():
    steps = np.linspace(0, 1, 101)
    falling = np.stack([1 - 0.8 * steps, 1 - 0.9 * steps], 1)
    # the lower end: 0.1405 on average over the last tenth, 5 % above it 0.1475, which the second
    # curve crosses at 0.947 of the way and the first, which ends at 0.2, never
    assert effects.common_level(falling)[0] == pytest.approx(1.05 * (1 - 0.9 * 0.955), rel=0.01)
    assert effects.head_start(falling) == pytest.approx(1 - 0.947, abs=0.02)


def test_curves_that_are_there_from_the_start_have_no_measurable_head_start():
    """A stage II that starts from a trained coarse image: both curves lie below the level, 5 %
    above the end, at every record, and the head start would be 0 with an interval from 0 to 0."""
    flat = made_up_logs((0.463, 0.462, 10), (0.482, 0.462, 10), noise=0.002)
    _, curves = effects.paired_curves([log for [log] in flat.values()])
    level, reached = effects.common_level(curves)
    assert level == pytest.approx(1.05 * 0.462, rel=0.01) and not reached.any()
    result = converges(flat)
    gap, start = result.findings
    assert start.verdict == MISSING and start.interval == "not measured"
    assert "both curves are below the common level from the first record" in start.why
    assert gap.verdict == SEEN  # which is measurable
    assert result.verdict == MISSING


# --- trainings that failed


def with_health(evidence, row, fixed=0.02, d_real=0.7, d_fake=0.3, stripes=0.4):
    """Evidence in which a row is adversarial; a list of values has one per training."""
    fixed, d_real, d_fake, stripes = np.broadcast_arrays(fixed, d_real, d_fake, stripes)
    for one in zip(*map(np.atleast_1d, (fixed, d_real, d_fake, stripes))):
        f, real, fake, s = map(float, one)
        scores = {"fixed_share": {"mean": f}, "stripes": {"mean": s}}
        evidence.summaries.setdefault(row, []).append({"scores": scores})
        log = [{"step": k, "l1": 0.4, "d_real": real, "d_fake": fake} for k in range(20)]
        evidence.logs.setdefault(row, []).append(log)
    return evidence


@pytest.mark.parametrize(
    "sickness, words",
    [
        ({"fixed": 0.55}, "stage II of a did not train (55 % of its difference maps is one pic"),
        ({"d_real": 0.97, "d_fake": 0.04}, "did not train (D has won, with 0.97 for real and 0.04"),
        ({"stripes": 2.0}, "did not train (its images have 2.0 times the stripes of real ones)"),
    ],
)
def test_a_training_that_failed_supports_no_claim(sickness, words):
    evidence = made_up(a=SHIFTS, b=[0.0] * 3)
    assert ask(with_health(evidence, "a"), "mask_ssim", MORE).verdict == HOLDS
    for row, against, direction in (("a", "b", MORE), ("b", "a", LESS)):
        evidence = with_health(made_up(a=SHIFTS, b=[0.0] * 3), "a", **sickness)
        result = ask(evidence, "mask_ssim", direction, row=row, against=against)
        assert result.verdict == CANNOT and words in result.why
        assert result.why.startswith("Cannot tell: ")
        assert abs(result.findings[0].effect) == pytest.approx(0.02, abs=0.003)  # still shown


def test_a_claim_about_the_failure_itself_can_be_decided():
    evidence = with_health(made_up(a=SHIFTS, b=[0.0] * 3), "a", stripes=2.0)
    claim = one(*compare("mask_ssim", "a", "b", MORE, symptom=True))
    assert verdicts.evaluate_claim(claim, evidence).verdict == HOLDS
    with_health(evidence, "b", fixed=0.9)  # but not against a row that failed
    assert verdicts.evaluate_claim(claim, evidence).verdict == CANNOT


@pytest.mark.parametrize("row", ["a", "b"])
def test_a_training_that_failed_on_the_other_data_set_supports_no_comparison_with_it(row):
    street, studio = made_up(a=SHIFTS, b=[0.0] * 3), made_up(5, "deepfashion", a=[0.0] * 3,
                                                             b=[0.0] * 3)  # fmt: skip
    with_health(street, row)
    with_health(studio, row, fixed=[0.55] * 3)
    result = ask(street, "mask_ssim", MORE, how="halves", sibling=studio)
    assert result.verdict == CANNOT
    assert f"stage II of {row} did not train on {studio.name} (3 of 3" in result.why
    assert ask(street, "mask_ssim", MORE, sibling=studio).verdict == HOLDS  # it is not asked
    with_health(studio, row, fixed=[0.02] * 4)  # most are well
    assert ask(street, "mask_ssim", MORE, how="halves", sibling=studio).verdict == HOLDS


def test_most_trainings_of_a_row_must_have_failed():
    for fixed, verdict_then in (((0.5, 0.1, 0.1), HOLDS), ((0.5, 0.5, 0.1), CANNOT)):
        evidence = with_health(made_up(a=SHIFTS, b=[0.0] * 3), "a", fixed=fixed)
        assert ask(evidence, "mask_ssim", MORE).verdict == verdict_then


def test_the_table_has_a_line_of_health_per_adversarial_row(results):
    evidence = with_health(made_up(a=0.02, b=0.0), "a", fixed=0.55)
    lines = verdicts.health_lines(evidence, evidence, None)
    [line] = verdicts.claims_table(results, FACTS, lines)["health"]
    assert (line["study"], line["row"], line["healthy"]) == ("made-up-quick", "a", False)
    [note] = [n for n in verdicts.claims_table(results, FACTS, lines)["notes"] if "Health" in n]
    assert "a: one picture 55 %, D 0.70 / 0.30, period-2 energy 0.40, NOT healthy" in note
    assert not any("Health" in n for n in verdicts.claims_table(results, FACTS)["notes"])


# --- judging and writing


def test_claims_of_the_other_half_are_left_out_and_ablations_are_looked_up_where_they_are():
    main, small = made_up(a=0.02, b=0.0), made_up(1, **{"G1_poseMaskLoss": 0.02,
                                                        "G1_noResidual": 0.0})  # fmt: skip
    listed = (
        one(*compare("mask_ssim", "a", "b", MORE)),
        one(*compare("mask_ssim", "a", "b", MORE), half="deepfashion"),
        one(*compare("mask_ssim", "G1-poseMaskLoss", "G1-noResidual", MORE)),
    )
    assert [r.verdict for r in verdicts.evaluate_claims(main, small, claims=listed)] == [SEEN, SEEN]
    assert [r.verdict for r in verdicts.evaluate_claims(main, claims=listed)] == [SEEN, MISSING]
    studio = made_up(half="deepfashion", a=0.02, b=0.0)
    assert len(verdicts.evaluate_claims(studio, claims=listed)) == 3


def test_without_any_evidence_every_claim_is_open(tmp_path):
    results = verdicts.evaluate_claims(made_up())
    assert len(results) > 20 and {r.verdict for r in results} == {MISSING}
    render.write(tmp_path, "claims", verdicts.claims_table(results, FACTS))
    assert f"Of {len(results)} claims: {len(results)} not measured." in (
        tmp_path / "claims.md"
    ).read_text(encoding="utf-8")


@pytest.fixture
def results():
    evidence = made_up(a=0.02, b=0.0)
    names = ("mask_ssim pckh", "mask_ssim", "mask_ssim")
    directions = (MORE, LESS, MORE)
    listed = [one(*compare(n, "a", "b", d)) for n, d in zip(names, directions)]
    return verdicts.evaluate_claims(evidence, claims=listed)


def test_every_claim_is_a_line_of_the_markdown(results, tmp_path):
    render.write(tmp_path, "claims", verdicts.claims_table(results, FACTS))
    text = (tmp_path / "claims.md").read_text(encoding="utf-8")
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line[:3] in
             ("| 1", "| 2", "| 3")]  # fmt: skip
    assert [line[5] for line in lines] == [MISSING, UNSEEN, SEEN]
    assert lines[0][1:4] == ["it is so", "4.2", "mask-SSIM, a − b: > 0.001<br>PCKh, a − b: > 0.001"]
    shown = results[0].findings[0].interval
    assert lines[0][4] == f"{shown}<br>not measured" and lines[0][6] == "made-up-quick"
    for words in ("Of 3 claims: 1 seen once, 1 contradicted once, 1 not measured.",
                  "seed 3", "Split: by person.", "`make reproduce`", "user study",
                  "For this one training of each row"):  # fmt: skip
        assert words in text
    assert "drawn by this project" not in text and "was trained" not in text


def test_the_notes_say_what_was_drawn_and_how_often_it_was_trained():
    evidence = made_up(a=SHIFTS, b=[0.0] * 3)
    listed = [one(*compare("mask_ssim", "a", "b", MORE))]
    results = verdicts.evaluate_claims(evidence, claims=listed)
    table = verdicts.claims_table(results, FACTS | {"drawn": True, "seeds": (0, 1, 2)})
    notes = " ".join(table["notes"])
    assert table["notes"][0] == "Of 1 claims: 1 holds."
    assert "drawn by this project" in notes and "seeds 0, 1, 2. Split" in notes
    assert "trained 3 times" in notes and "one training" not in notes
    [record] = table["claims"][0]["comparisons"]
    assert record["by_seed"] == pytest.approx(list(results[0].findings[0].by_seed))


def test_the_files_say_the_same(results, tmp_path):
    paths = render.write(tmp_path, "claims", verdicts.claims_table(results, FACTS))
    assert sorted(p.name for p in paths) == [f"claims.{x}" for x in ("csv", "json", "md", "tex")]
    table = json.loads((tmp_path / "claims.json").read_text(encoding="utf-8"))
    assert render.markdown(table) == (tmp_path / "claims.md").read_text(encoding="utf-8")
    lines = list(csv.DictReader(io.StringIO((tmp_path / "claims.csv").read_text("utf-8"))))
    assert [line["score"] for line in lines] == ["mask_ssim", "pckh", "mask_ssim", "mask_ssim"]
    assert float(lines[0]["effect"]) == pytest.approx(results[0].findings[0].effect, rel=1e-5)
    assert lines[1]["effect"] == "" and table["claims"][0]["comparisons"][1]["effect"] is None


def test_nothing_is_written_when_something_cannot_be(results, tmp_path):
    (tmp_path / "claims.md").write_text("old")
    with pytest.raises(KeyError):
        render.write(tmp_path, "claims", verdicts.claims_table(results, {"dataset": "d"}))
    assert [p.name for p in tmp_path.iterdir()] == ["claims.md"]
    assert (tmp_path / "claims.md").read_text() == "old"


def test_the_claims_of_later_papers_are_judged_by_the_same_rule():
    """Parameters are counted; the rest is seen once. Equal cost needs no equal number of pairs."""
    evidence = made_up(**{"PATN": 0.10, "PATN-equalFLOPs": -0.10, "G1+G2+D": 0.0})
    for row in evidence.pairs:
        change(evidence, row, ssim=lambda table: table.mask_ssim)
    seen = {"PATN": 9, "PATN-equalFLOPs": 3, "G1+G2+D": 9}
    counts = {"PATN": 41_365_763, "G1+G2+D": 76_853_958}
    evidence = replace(evidence, first_stage_pairs=seen, parameters=counts)
    results = {r.claim.name: r for r in verdicts.evaluate_claims(evidence, claims=claims.LATER)}
    assert results["patn-ssim"].verdict == SEEN
    assert results["patn-ssim-cost"].verdict == UNSEEN
    assert results["patn-progressive"].verdict == MISSING
    [finding] = results["patn-parameters"].findings
    assert finding.effect == finding.low == finding.high == pytest.approx(-35.488195)
    assert finding.verdict == HOLDS and finding.interval == "-35.49"
    assert "lower, as claimed" in finding.why
    results = verdicts.evaluate_claims(replace(evidence, parameters={}), claims=claims.LATER)
    assert {r.claim.name: r.verdict for r in results}["patn-parameters"] == MISSING
    more = replace(evidence, parameters={"PATN": 2, "G1+G2+D": 1})
    results = verdicts.evaluate_claims(more, claims=claims.LATER)
    assert {r.claim.name: r.verdict for r in results}["patn-parameters"] == FAILS


def test_rows_of_unequal_first_stages_decide_nothing():
    found = made_up(a=0.1, b=0.0)
    unequal = replace(found, first_stage_pairs={"a": 100_000, "b": 60_000})
    equal = replace(found, first_stage_pairs={"a": 60_000, "b": 60_000, "c": 100_000})
    assert ask(equal, "mask_ssim", MORE).verdict == verdicts.SEEN
    [refused] = ask(unequal, "mask_ssim", MORE).findings
    assert refused.verdict == CANNOT
    assert "different numbers of training pairs (a 100,000, b 60,000)" in refused.why
    studio = replace(made_up(5, "deepfashion", a=0.0, b=0.0), dataset="studio",
                     first_stage_pairs={"a": 9, "b": 8})  # fmt: skip
    other = ask(equal, "mask_ssim", MORE, how="halves", sibling=studio)
    assert other.verdict == CANNOT and "pairs on studio-quick (a 9, b 8)" in other.why


# --- what is gathered


def test_a_study_is_gathered_from_its_folders(data, tmp_path):
    folders = {}
    for row in ("condition", "target"):
        folders[row] = [tmp_path / row]
        evaluation.evaluate_row(row, None, data, tmp_path / row)
    logs = {"G2+D": [[{"step": 1, "l1": 0.5}]]}
    found = effects.gather(data, folders, logs, "smoke", "market1501")
    assert found.name == f"{data.name}-smoke" and found.logs == logs and found.drawn
    assert found.summaries["target"][0]["scores"]["ssim"]["mean"] == 1
    [target], [condition] = found.pairs["target"], found.pairs["condition"]
    assert target.detail.to_numpy() == pytest.approx(1)
    # on the body of the target image, which the copy is held against; `coarse-structure` asks
    # for the colour
    copied, real = (data.images[data.test_pairs[:, column]] for column in (0, 1))
    masks = evaluation.pair_masks(data, data.test_pairs, "target")
    by_hand = detail.measures(copied, real, np.arange(len(real)), masks, ["detail", "colour"])
    for name in ("detail", "colour"):
        np.testing.assert_allclose(condition[name], by_hand[name])
    assert (condition.detail < 0.9).mean() > 0.5
    first = target.iloc[0]
    assert (first.condition, first.target) == tuple(data.names[k] for k in data.test_pairs[0])
    # clutter by hand: both images of the first pair, each outside its own pose mask
    outside = [
        detail.gradient_energy(
            data.images[index][None],
            ~evaluation.pair_masks(data, np.array([[index, index]])),
        )
        for index in data.test_pairs[0]
    ]
    assert found.context.clutter[0] == pytest.approx(np.mean(outside))
    rare = failures.causes(data, data.test_pairs)["rare pose"]
    assert found.context["rare pose"].tolist() == rare.tolist()


# --- measures of images


@pytest.fixture
def images():
    """Real images with fine and coarse structure, and the masks of people in them."""
    random = np.random.default_rng(0)
    coarse = random.integers(60, 190, (6, 4, 2, 3)).repeat(16, 1).repeat(16, 2)
    real = (coarse + random.normal(0, 20, (6, 64, 32, 1))).clip(0, 255).astype(np.uint8)
    masks = np.zeros((6, 64, 32), bool)
    masks[:, 10:55, 6:26] = True
    return real, masks


ALL = ("detail", "artefacts", "colour", "body_ssim", "blur_gain", "background_artefacts")


def measured(made, real, masks, names=ALL):
    return detail.measures(made, real, np.arange(len(real)), masks, names, chunk=4)


def test_the_real_image_has_all_detail_and_no_artefacts(images):
    real, masks = images
    table = measured(real, *images)
    assert list(table.index) == list(range(6)) and table.detail.to_numpy() == pytest.approx(1)
    for name in ("artefacts", "colour", "background_artefacts"):
        assert table[name].to_numpy() == pytest.approx(0, abs=1e-9)
    assert (table.blur_gain < -0.1).all()


def test_blur_loses_detail_and_noise_gains_artefacts(images):
    real, masks = images
    random = np.random.default_rng(1)
    noise = real + random.normal(0, 30, real.shape[:3])[..., None]
    noisy = noise.clip(0, 255).astype(np.uint8)
    plain, soft, rough = (measured(x, *images) for x in (real, detail.blurred(real), noisy))
    assert (soft.detail < 0.6).all() and (soft.artefacts < 0.2).all()
    assert (rough.artefacts > 0.5).all()
    assert rough.detail.mean() == pytest.approx(1, abs=0.2)
    assert rough.blur_gain.mean() > plain.blur_gain.mean()


def test_detail_by_hand(images):
    """Against plain NumPy loops over the windows of one image."""
    real, masks = images
    made = np.random.default_rng(2).integers(0, 256, real.shape, np.uint8)
    luma = lambda x: x @ np.array([0.2125, 0.7154, 0.0721]) / 255  # noqa: E731
    fine, inside = [], masks[0]
    for image in (made[0], real[0]):
        y, out = luma(image), np.zeros((64, 32))
        for r, c in np.argwhere(inside):
            window = slice(max(r - 2, 0), r + 3), slice(max(c - 2, 0), c + 3)
            out[r, c] = y[r, c] - y[window][inside[window]].mean()
        fine.append(out[inside])
    h, true = fine
    detail = h @ true / (true @ true)
    table = measured(made, *images).iloc[0]
    assert table.detail == pytest.approx(detail)
    rest = h - detail * true
    assert table.artefacts == pytest.approx(rest @ rest / (true @ true))
    assert table.target_detail == pytest.approx(true @ true)


def test_colour_error_sees_the_colour_and_not_the_pattern(images):
    real, masks = images
    base = real.astype(int).clip(40, 200)
    checks = 20 * (np.indices((64, 32)).sum(0) % 2 * 2 - 1)[..., None]
    real = base.astype(np.uint8)
    everywhere = np.ones_like(masks)
    pattern = measured((base + checks).astype(np.uint8), real, everywhere)
    tint = measured((base + [20, 0, 0]).astype(np.uint8), real, everywhere)
    assert pattern.colour.to_numpy() == pytest.approx(0, abs=1e-9)
    assert tint.colour.to_numpy() == pytest.approx(20 / 3)


def test_only_what_is_asked_for_and_only_inside_the_mask(images):
    real, masks = images
    assert list(measured(real, *images, ["colour", "ssim"])) == ["colour"]
    outside = np.where(masks[..., None], real, 255 - real)
    for name, value in measured(outside, *images, ALL[:4]).mean().items():
        same = measured(real, *images, ALL[:4])[name].mean()
        assert value == pytest.approx(same, abs=1e-9), name
    table = measured(real, real, np.zeros_like(masks), ["detail", "colour"])
    assert table[["detail", "colour"]].isna().to_numpy().all()


def test_artefacts_of_the_background_are_those_outside_the_mask(images):
    real, masks = images
    noise = np.random.default_rng(3).normal(0, 30, real.shape[:3])[..., None]
    behind = np.where(masks[..., None], real, (real + noise).clip(0, 255)).astype(np.uint8)
    table = measured(behind, *images)
    assert table.artefacts.to_numpy() == pytest.approx(0, abs=1e-9)
    assert (table.background_artefacts > 0.5).all()
    # the same as those on the person, once the mask is turned inside out
    person = measured(behind, real, ~masks)
    assert table.background_artefacts.to_numpy() == pytest.approx(person.artefacts.to_numpy())
    assert table.background_detail.to_numpy() == pytest.approx(person.target_detail.to_numpy())


# --- figures


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_the_forest_has_a_line_and_a_word_per_measured_effect(results):
    figure = charts.forest(results)
    (axes,) = figure.axes  # one unit
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == [f"mask-SSIM, a − b  ({k})" for k in (1, 2, 3)]  # PCKh was not measured
    assert texts(axes) == [SEEN, UNSEEN, SEEN]
    assert figure.get_label().endswith("Claims that the results contradict: 2.")
    low, high = axes.get_xlim()
    finding = results[0].findings[0]
    assert low < 0 < finding.low < finding.high < high
    assert len({look for look in charts.LOOKS.values()}) == 5


def test_units_and_ranges_have_their_own_panels():
    evidence = made_up(a=0.02, b=0.0, target=0.5)
    for row, [table] in evidence.pairs.items():
        change(evidence, row, colour=20 + table.mask_ssim)
    listed = [
        one(*compare("mask_ssim colour", "a", "b", EQUAL, 2.0)),
        one(*compare("mask_ssim", "a", "target", LESS)),
        one(*compare("mask_ssim", "a", "b", MORE)),
    ]
    figure = charts.forest(verdicts.evaluate_claims(evidence, claims=listed))
    titles = [axes.get_xlabel() for axes in figure.axes]
    assert titles == ["SSIM", "grey levels", "SSIM, against a reference row"]
    assert [len(texts(axes)) for axes in figure.axes] == [2, 1, 1]


def test_nothing_measured_is_nothing_to_draw():
    with pytest.raises(UserError, match="no claim has a measured effect"):
        charts.forest(verdicts.evaluate_claims(made_up()))


def test_the_convergence_figure_says_when_each_curve_is_there():
    logs = made_up_logs((0.35, 0.25, 10), (0.85, 0.25, 20), noise=0)
    figure = charts.convergence(logs, ("map", "image"))
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    # by hand: 0.25 + 0.1 exp(-t / 10) and 0.25 + 0.6 exp(-t / 20) against 1.05 * 0.25
    assert labels == ["map: reached after 21 iterations", "image: reached after 78 iterations"]
    assert len(figure.axes[0].lines) == 7  # of each: raw, smooth, the point; and the level
    logs = made_up_logs((0.35, 0.25, 10), (0.85, 0.5, 20), noise=0)  # the second ends at 0.5
    figure = charts.convergence(logs, ("map", "image"))
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels[1] == "image: not reached" and len(figure.axes[0].lines) == 6


def test_the_lambda_study_is_a_line_per_factor_and_score():
    evidence = made_up()
    random = np.random.default_rng(4)
    rows = {factor: row for factor, row in claims.LAMBDA.items()}
    base = made_up(x=0.0).pairs["x"][0]
    columns = ("sharpness", "artefacts", "mask_ssim", "stripes")
    for factor, row in rows.items():
        evidence.pairs[row] = [
            base.assign(target_detail=1.0, target_stripes=1.0,
                        **{c: factor + random.normal(0, 0.1, len(base)) for c in columns})
            for _ in range(3)
        ]  # fmt: skip
    table = effects.lambda_study(evidence)
    assert table.factor.unique().tolist() == list(rows) and set(table.score) == set(columns)
    line = table[(table.factor == 100) & (table.score == "stripes")].iloc[0]
    assert line["mean"] == pytest.approx(100, abs=0.1) == np.mean(line.by_seed)
    assert line.low < line["mean"] < line.high and len(line.by_seed) == 3
    assert effects.lambda_study(made_up()).empty
