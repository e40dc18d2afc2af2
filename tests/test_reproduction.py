"""Table 1 of one more training against that of several, on made-up numbers."""

import copy
import json

import numpy as np
import pytest
from scipy import stats

from pg2lib.core.files import UserError
from pg2lib.evaluation.score_row import over_seeds
from pg2lib.results import render, reproduction

ROWS = ("G1-CE-L1", "G1-HME-L1", "G1-L1", "G1-poseMaskLoss", "G1+D", "G1+G2+D")
SCORES = ("ssim", "mask_ssim", "sharpness", "pckh")
FACTS = {
    "dataset": "synthetic-market", "height": 64, "width": 32, "pairs": 1200, "identities": 292,
    "preset": "pg2", "mask_from": "target", "mask_variant": "released", "profile": "quick",
    "seed": 0, "command": "make reproduce",
}  # fmt: skip
SPREAD = {"ssim": 0.004, "mask_ssim": 0.006, "sharpness": 0.03, "pckh": 0.02}
JUDGE = {"pckh": 0.01}
REFERENCES = {"condition": 0.2, "target": 1.0}


def trained(random, count=None, shift=None):
    """Numbers of trainings: (row, score) -> array (count,) or a number. Scores of a row move
    together: half of the variance is common."""
    found = {}
    for number, row in enumerate(ROWS):
        common = random.normal(size=count)
        for score in SCORES:
            own = random.normal(size=count)
            moved = SPREAD[score] * (common + own) / np.sqrt(2)
            found[row, score] = 0.3 + number / 20 + moved + (shift or {}).get((row, score), 0.0)
    return found


def table(numbers, judged=0.0, **facts):
    """Table 1 of arrays (several trainings) or numbers (one)."""
    rows = []
    for row in ("condition", *ROWS, "target"):
        ours = {"inception": None}
        for score in SCORES:
            off = judged if score == "pckh" else 0.0
            if row in REFERENCES:
                ours[score] = {"mean": REFERENCES[row] + off}
                continue
            ours[score] = over_seeds(np.atleast_1d(numbers[row, score] + off), 0.0, 1.0)
        rows.append({"row": row, "label": row, "ours": ours, "paper": {}})
    return {"columns": [*SCORES, "inception"], "facts": FACTS | facts, "rows": rows, "notes": []}


def committed(random, seeds=5, judges=True):
    made = table(trained(random, seeds), random.normal() * JUDGE["pckh"])
    if judges:
        made["judges"] = {row: JUDGE for row in (*ROWS, *REFERENCES)}
    return made


def another(random, shift=None):
    return table(trained(random, shift=shift), random.normal() * JUDGE["pckh"])


def half_width(values):
    """Of the prediction interval of one more training."""
    share = stats.t.ppf(0.975, len(values) - 1) * np.sqrt(1 + 1 / len(values))
    return share * np.std(values, ddof=1)


def test_limits_are_the_prediction_interval():
    values = np.array([0.31, 0.35, 0.30, 0.33, 0.34])
    centre, error, half = reproduction.limits(values[:, None], 0.0, 0.0)
    assert (centre, half) == (pytest.approx(values.mean()), pytest.approx(half_width(values)))
    # by hand: t of 4 degrees of freedom is 2.776
    assert half == pytest.approx(2.7764 * values.std(ddof=1) * np.sqrt(6 / 5), rel=1e-4)
    _, wider, _ = reproduction.limits(values[:, None], 0.05, 0.0)
    assert wider**2 == pytest.approx(error**2 + 2 * 0.05**2)
    _, _, rounded = reproduction.limits(values[:, None], 0.0, 0.0005)
    assert rounded == pytest.approx(half + 0.0005)
    _, _, far = reproduction.limits(values[:, None], 0.0, 0.0, 0.999)
    assert far / half == pytest.approx(stats.t.ppf(0.9995, 4) / stats.t.ppf(0.975, 4))


@pytest.mark.parametrize("seeds", [3, 5])
def test_one_more_training_falls_within_the_limits(seeds):
    trained = np.random.default_rng(11).normal(5, 0.3, (1500, seeds + 1, 1))
    centre, _, half = reproduction.limits(trained[:, :-1], 0.0, 0.0)
    inside = np.abs(trained[:, -1] - centre) <= half
    assert inside.mean() == pytest.approx(0.95, abs=0.02)  # 3.5 standard errors


@pytest.mark.parametrize("seeds", [3, 5])
def test_an_honest_training_passes(seeds):
    """Of 150 honest trainings about 97 % pass, whatever machine judged them."""
    random, passed, inside = np.random.default_rng(seeds), 0, []
    for _ in range(150):
        record = reproduction.check(another(random), committed(random, seeds))
        passed += record["passed"]
        inside.append(record["inside"] / record["of"])
    assert passed >= 138
    assert 0.94 < np.mean(inside) < 0.99  # 95 % by design, the reference rows and rounding more


def test_one_row_that_is_twenty_standard_deviations_off_fails():
    """Three made-up scores of one row are lower, all other numbers those of an honest training."""
    random, failed = np.random.default_rng(1), 0
    shift = {("G1+D", "ssim"): -0.08, ("G1+D", "mask_ssim"): -0.12, ("G1+D", "pckh"): -0.4}
    for _ in range(40):
        record = reproduction.check(another(random, shift), committed(random))
        failed += not record["passed"]
        outside = {n["row"] for n in record["reproduction"] if not n["inside"]}
        assert "G1+D" in outside
    assert failed >= 38
    assert "not reproduced" in record["line"] and "of G1+D" in record["line"]
    assert "far outside" in record["line"]


def test_rows_that_are_all_five_standard_deviations_off_fail_by_their_number():
    """Every made-up score is lower: few are far outside, but too many outside."""
    random, many = np.random.default_rng(2), 0
    shift = {(row, score): -5.0 * SPREAD[score] for row in ROWS for score in SCORES}
    for _ in range(40):
        record = reproduction.check(another(random, shift), committed(random))
        many += record["of"] - record["inside"] > record["allowed"]
        assert record["passed"] <= (record["of"] - record["inside"] <= record["allowed"])
    assert many >= 38
    assert "expected" in record["line"]


def test_reference_rows_must_agree_to_the_digit():
    random = np.random.default_rng(3)
    old, new = committed(random), another(random)
    for row in new["rows"]:
        if row["row"] == "condition":
            row["ours"]["ssim"] = {"mean": 0.2004}
    assert reproduction.check(new, old)["passed"]
    for row in new["rows"]:
        if row["row"] == "condition":
            row["ours"]["ssim"] = {"mean": 0.2006}
    record = reproduction.check(new, old)
    assert not record["passed"] and "SSIM of condition (+0.001)" in record["line"]


def test_numbers_of_other_judges_differ_in_reference_rows():
    random = np.random.default_rng(4)
    old, new = committed(random), another(random)
    record = reproduction.check(new, old)
    labels = [n["label"] for n in record["reproduction"]]
    assert "PCKh of target" in labels and record["of"] == len(labels) == 8 * 4
    assert record["absent"] == []
    del old["judges"]  # then nobody knows by how much
    record = reproduction.check(new, old)
    labels = [n["label"] for n in record["reproduction"]]
    assert "PCKh of target" not in labels and "PCKh of G1+D" in labels
    assert record["absent"] == ["PCKh of condition", "PCKh of target"] and record["of"] == 30


def test_a_number_that_is_none_is_far_off():
    random = np.random.default_rng(5)
    old, new = committed(random), another(random)
    new["rows"][3]["ours"]["ssim"]["mean"] = None
    record = reproduction.check(new, old)
    assert not record["passed"] and "SSIM of G1-L1 (no number)" in record["line"]
    new["rows"][3]["ours"]["ssim"] = None  # not computed on this machine
    assert "SSIM of G1-L1" in reproduction.check(new, old)["absent"]


def test_the_line_counts_and_names():
    random = np.random.default_rng(7)
    old, new = committed(random), another(random)
    for row in new["rows"]:
        if row["row"] in ROWS:
            for score in SCORES:
                row["ours"][score]["mean"] = np.mean(
                    next(r for r in old["rows"] if r["row"] == row["row"])["ours"][score]["mean"]
                )
    line = reproduction.check(new, old)["line"]
    assert line.startswith("Table 1 reproduced: 32 of 32 numbers within the spread of 5 trainings")
    row = next(r for r in old["rows"] if r["row"] == "G1-L1")["ours"]["ssim"]
    half = half_width(row["by_seed"])
    here = next(r for r in new["rows"] if r["row"] == "G1-L1")["ours"]["ssim"]
    here["mean"] = row["mean"] + 1.05 * half + 0.0005
    record = reproduction.check(new, old)
    error = row["spread"] * np.sqrt(6 / 5)
    assert record["passed"] and record["line"] == (
        "Table 1 reproduced: 31 of 32 numbers within the spread of 5 trainings; outside: SSIM of "
        f"G1-L1 ({(here['mean'] - row['mean']) / error:+.1f} sd)"
    )


def test_correlated_numbers_allow_more_outside():
    """If all scores of a row are one number, a whole row is outside at once."""
    random = np.random.default_rng(8)
    rows, scores = np.repeat(ROWS, 4), np.tile(SCORES, 6)
    apart = random.normal(size=(5, 24))
    together = np.repeat(random.normal(size=(5, 6)), 4, axis=1)
    none, no_rounding = np.zeros(24), np.zeros(24)
    # as many rows as numbers: all independent
    single = [f"{row} {score}" for row, score in zip(rows, scores)]
    few = reproduction.allowed_outside(apart, none, no_rounding, single, scores)
    many = reproduction.allowed_outside(together, none, no_rounding, rows, scores)
    assert few == stats.binom.ppf(0.99, 24, 0.05)  # normal numbers, 5 % outside each
    assert many == 4 * stats.binom.ppf(0.99, 6, 0.05)


def test_a_judge_of_its_own_moves_all_rows_of_a_score_together():
    """Trainings that do not differ, so that only the judges do. The new number is sqrt(2) j z from
    the others, with one normal z per score, and the limit is t sqrt(2) j. One of four |z| is above
    the t of four degrees of freedom in 2.2 % of all cases, two are in 0.02 %: in 99 % of all cases
    at most one score is outside, in all six rows."""
    t = stats.t.ppf(0.975, 4)
    outside = stats.binom.sf([0, 1], 4, 2 * stats.norm.sf(t))  # one score at least, two at least
    assert outside[0] == pytest.approx(0.022, abs=0.001) and outside[1] < 0.001
    rows, scores, none = np.repeat(ROWS, 4), np.tile(SCORES, 6), np.zeros(24)
    same = np.full((5, 24), 0.3)
    assert reproduction.allowed_outside(same, np.full(24, 0.01), none, rows, scores) == 6
    assert reproduction.allowed_outside(same, none, none + 0.0005, rows, scores) == 0


def test_each_committed_training_is_held_against_the_others():
    values = np.array([[1.0], [1.1], [0.9], [1.0], [9.0]])
    assert reproduction.left_out(values, 0.0) == [0, 0, 0, 0, 1]
    assert abs(9.0 - 1.0) > half_width([1.0, 1.1, 0.9, 1.0])


def test_the_page_has_every_number(tmp_path):
    random = np.random.default_rng(9)
    record = reproduction.check(another(random), committed(random))
    paths = render.write(tmp_path, "reproduction", record)
    text = paths[0].read_text(encoding="utf-8")
    assert record["line"] in text and "1,200 test pairs" in text
    for number in record["reproduction"]:
        shown = f"{number['mean']:.3f} [{number['low']:.3f}, {number['high']:.3f}]"
        word = "inside" if number["inside"] else "far outside" if number["far"] else "outside"
        assert f"| {number['label']} | {word} | {number['value']:.3f} | {shown} |" in text
    assert json.loads((tmp_path / "reproduction.json").read_text(encoding="utf-8")) == record


def test_mistakes():
    random = np.random.default_rng(10)
    old, new = committed(random), another(random)
    others = {
        "dataset": "synthetic-fashion", "profile": "lite", "pairs": 30, "identities": 7,
        "height": 128, "width": 64, "preset": "patn", "mask_from": "condition",
        "mask_variant": "scaled",
    }  # fmt: skip
    for key, value in others.items():
        other = copy.deepcopy(new)
        other["facts"][key] = value
        with pytest.raises(UserError, match=f"{key} is {value} in the new one"):
            reproduction.check(other, old)
    without = copy.deepcopy(new)
    without["rows"] = [row for row in new["rows"] if row["row"] != "G1-L1"]
    with pytest.raises(UserError, match="no row G1-L1; train"):
        reproduction.check(without, old)
    with pytest.raises(UserError, match="one at a time"):
        reproduction.check(old, old)
    with pytest.raises(UserError, match="a spread needs 3"):
        reproduction.check(new, committed(random, 2))
    with pytest.raises(UserError, match="a spread needs 3"):
        reproduction.check(new, new)


def test_a_training_is_not_held_against_its_own_seed():
    """A member of the sample is inside by construction: at most (S - 1) / sqrt(S) standard
    deviations from the mean, where the limit is t sqrt(1 + 1/S), larger for any S."""
    random = np.random.default_rng(3)
    far = trained(random, 5)
    far["G1-L1", "ssim"][2] += 1000 * SPREAD["ssim"]  # seed 0 alone, as trained elsewhere
    old = table(far, seeds=[3, 1, 0, 4, 2])
    new = table({key: values[2] for key, values in far.items()}, seed=0)
    record = reproduction.check(new, old)
    assert (record["seeds"], record["same"], record["passed"]) == (4, "left out", False)
    assert "SSIM of G1-L1" in record["line"] and "4 other trainings" in record["line"]
    assert any("seed 0 is not among the 4" in note for note in record["notes"])
    assert reproduction.check(table(trained(random), seed=7), old)["seeds"] == 5


def test_too_few_trainings_to_leave_one_out_are_named():
    random = np.random.default_rng(4)
    old = table(trained(random, 3), seeds=[0, 1, 2])
    record = reproduction.check(table(trained(random), seed=1), old)
    assert (record["seeds"], record["same"]) == (3, "counted")
    assert any("passes by construction" in note for note in record["notes"])
    record = reproduction.check(table(trained(random), seed=5), old)
    assert record["same"] is None and not any("construction" in n for n in record["notes"])
