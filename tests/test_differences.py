"""Paired differences between rows, of one training and of several, from made-up scores."""

import csv
import io
import json

import numpy as np
import pandas as pd
import pytest
from test_tables import MARKET, ROWS, alone

from pg2lib.core.files import UserError
from pg2lib.evaluation import statistics
from pg2lib.results import render, tables


@pytest.fixture
def pairs():
    random = np.random.default_rng(0)
    hard = random.normal(size=60)
    frame = pd.DataFrame(
        {"condition": [f"c{k}" for k in range(60)], "target": "t", "identity": np.arange(60) // 3}
    )
    return {
        row: frame.assign(
            ssim=hard + k / 10 + random.normal(size=60) / 100,
            mask_ssim=hard,
            sharpness=k * np.array([1, 0] * 30),
            target_gradient=[3, 1] * 30,
        )
        for k, row in enumerate(ROWS)
    }


def test_differences_are_paired(pairs):
    made = tables.differences_table(alone(pairs), MARKET)
    assert list(zip(made.row, made.minus, strict=True))[::3] == [
        ("G1-L1", "G1-CE-L1"), ("G1-HME-L1", "G1-L1"), ("G1-poseMaskLoss", "G1-L1"),
        ("G1+G2+D", "G1-poseMaskLoss"), ("G1+D", "G1-poseMaskLoss"), ("G1+G2+D", "G1+D"),
    ]  # fmt: skip
    first = made.iloc[0]
    left, right = pairs["G1-L1"], pairs["G1-CE-L1"]
    assert first.difference == pytest.approx((left.ssim - right.ssim).mean())
    expected = statistics.paired_difference(left.ssim, right.ssim, left.identity)
    assert (first.difference, first.low, first.high) == expected
    assert 0.19 < first.low < first.high < 0.21
    assert first.paper == pytest.approx(0.02)
    sharp = made[made.score == "sharpness"]
    assert sharp.paper.isna().all()
    assert sharp.iloc[0].difference == pytest.approx(2 * 3 / 4)  # weighted
    text = render.markdown(made)
    assert "| G1-L1 − G1-CE-L1 | heatmaps concatenated to the image (G1-L1) score" in text
    lines = text.splitlines()
    assert len(lines) == 2 + 2 + 18 + 2 and "for this one training" in lines[-1]
    assert lines[2] == "|  | claim | score | ours | paper | outcome |"
    assert "| +0.020 | as in the paper (seen once) |" in text
    assert made.p.isna().all() and made.spread.isna().all() and made.seeds_agree.any()
    (line, *_) = csv.DictReader(io.StringIO(render.render(made)[".csv"]))
    assert "low" in line and not {"p", "holm", "by_seed"} & set(line)
    assert len(tables.differences_table({r: [pairs[r]] for r in ("G1-L1", "G1-CE-L1")})) == 3


@pytest.fixture
def trainings(pairs):
    """Three trainings of each row but the target's, which is not trained; G1+D has but two."""
    random = np.random.default_rng(1)
    rows = {
        row: [frame.assign(ssim=frame.ssim + move + random.normal(size=60) / 100)
              for move in (0, 0.02, 0.01 + k / 50)]
        for k, (row, frame) in enumerate(pairs.items())
    }  # fmt: skip
    return rows | {"target": [pairs["G1-L1"].assign(ssim=1.0)], "G1+D": rows["G1+D"][:2]}


def test_differences_of_several_trainings(trainings):
    made = tables.differences_table(trainings, MARKET)
    line = made[(made.row == "G1-L1") & (made.minus == "G1-CE-L1") & (made.score == "ssim")].iloc[0]
    ours, other = (np.stack([frame.ssim for frame in trainings[row]])
                   for row in ("G1-L1", "G1-CE-L1"))  # fmt: skip
    people = trainings["G1-L1"][0].identity
    assert (line.seeds, line.seeds_agree) == (3, True)
    assert line.by_seed == pytest.approx((ours - other).mean(1))
    assert line.spread == pytest.approx(np.std(line.by_seed, ddof=1))
    expected = statistics.paired_difference(ours, other, people)
    assert (line.difference, line.low, line.high) == expected
    assert line.p == statistics.paired_p_value(ours, other, people)
    assert made.holm.tolist() == pytest.approx(statistics.holm(made.p), nan_ok=True)
    sharp = made[(made.row == "G1-L1") & (made.score == "sharpness")].iloc[0]
    assert sharp.difference == pytest.approx(2 * 3 / 4)  # weighted
    assert sharp.spread == pytest.approx(0, abs=1e-12)
    short = made[(made.row == "G1+D") & (made.score == "ssim")].iloc[0]
    assert short.seeds == len(short.by_seed) == 2  # those that both rows have
    text = render.markdown(made)
    assert "| p | p (Holm) | paper | outcome |" in text and "mean of 2 or 3 trainings" in text
    assert "the 18 lines of this table" in text and " ± 0.0" in text and "seen once" not in text
    read = json.loads(render.to_json(made))
    assert read[0]["by_seed"] == pytest.approx(made.by_seed[0]) and read[0]["seeds_agree"] is True
    assert render.markdown(read) == text


def test_a_difference_that_one_training_contradicts_has_no_outcome(trainings):
    """Means 0.1, 0.1 and -0.01: the interval may leave out zero, the trainings do not agree."""
    base = trainings["G1-CE-L1"][0]
    moved = [base.assign(ssim=base.ssim + by) for by in (0.10, 0.11, 0.10, 0.12, 0.11, -0.001)]
    rows = {"G1-CE-L1": [base] * 6, "G1-L1": moved}
    (line,) = json.loads(render.to_json(tables.differences_table(rows, MARKET, ("ssim",))))
    assert line["low"] > 0 and line["seeds_agree"] is False
    assert "| undecided |" in render.markdown([line])


def test_a_row_that_is_not_trained_stands_for_every_seed(trainings):
    comparison = (("target", "G1-L1", "ceiling"), ("G1+D", "target", "below"))
    made = tables.differences_table(trainings, None, ("ssim",), comparisons=comparison)
    expected = [1 - frame.ssim.mean() for frame in trainings["G1-L1"]]
    assert made.by_seed[0] == pytest.approx(expected) and made.seeds.tolist() == [3, 2]
    real = trainings["target"]
    references = {"target": real, "condition": real}
    (both, other), *_ = tables.paired(references, "ssim", *references)
    assert both.shape == other.shape == (1, 60)


def test_trainings_scored_on_different_pairs_are_refused(trainings):
    trainings["G1-L1"][1] = trainings["G1-L1"][1].iloc[::-1].reset_index(drop=True)
    with pytest.raises(UserError, match="trainings of G1-L1 were scored on different pairs"):
        tables.differences_table(trainings)


def test_old_records_of_differences_are_shown_without_p_values():
    old = {"claim": "c", "row": "G1-L1", "minus": "G1-CE-L1", "score": "ssim", "difference": 0.03,
           "low": 0.02, "high": 0.04, "p": 0.0001, "holm": 0.003, "paper": 0.085}  # fmt: skip
    texts = render.render([old])
    assert "| +0.030 [+0.020, +0.040] | +0.085 | as in the paper (seen once) |" in texts[".md"]
    assert not any("holm" in text.lower() for text in (texts[".md"], texts[".csv"], texts[".tex"]))


def test_other_comparisons_and_scores(pairs):
    for frame in pairs.values():
        frame["pckh"], frame["joints"] = np.arange(60) % 2, 18
    del pairs["G1+D"]["pckh"]
    comparisons = (("G1+D", "G1-L1", "one"), ("G1-L1", "G1-CE-L1", "two"), ("G1-L1", "no", "-"))
    made = tables.differences_table(alone(pairs), names=("pckh", "ssim"), comparisons=comparisons)
    assert made[["claim", "score"]].to_numpy().tolist() == [
        ["one", "ssim"], ["two", "pckh"], ["two", "ssim"],
    ]  # fmt: skip
    nothing = tables.differences_table({}, comparisons=comparisons)
    assert render.markdown(nothing).count("\n|") == 2  # the head alone
    one = {row: frame.assign(identity="a") for row, frame in pairs.items()}
    text = render.markdown(tables.differences_table(alone(one), names=("ssim",)))
    assert "nan" not in text and "| +0.2" in text


def test_differences_need_the_same_pairs(pairs):
    pairs["G1-L1"] = pairs["G1-L1"].iloc[::-1].reset_index(drop=True)
    with pytest.raises(UserError, match="different pairs"):
        tables.differences_table(alone(pairs))
