"""The registry of scores: what tables, weights and comparisons read from it."""

import numpy as np
import pandas as pd
import pytest

from pg2lib.evaluation import scores
from pg2lib.evaluation.scores import SCORES, Score


def test_names_select_by_table_and_field():
    table1, more = scores.names("table1"), scores.names("more")
    assert table1[:4] == ("ssim", "mask_ssim", "inception", "mask_inception")
    assert scores.names() == table1 + more
    assert set(scores.names(set_score=True)) == {
        "inception",
        "mask_inception",
        "fid",
        "kid",
        "fixed_share",
    }
    assert set(scores.names(printed=True)) <= set(table1)
    assert set(scores.names(compared=True)) <= set(scores.names(set_score=False))
    assert not {"detail", "colour"} & set(scores.names())  # computed for claims alone
    assert scores.names("more", splits=True) == ()


def test_every_score_is_complete():
    assert all(name == score.name for name, score in SCORES.items())
    assert all(score.aim in ("higher", "lower", "zero", "target") for score in SCORES.values())
    assert len({score.heading for score in SCORES.values()}) == len(SCORES)
    assert SCORES["fid"].least == pytest.approx(0.1)


@pytest.mark.parametrize(
    "aim, best", [("higher", 1.5), ("lower", -0.5), ("zero", 0.1), ("target", 0.9)]
)
def test_rank_is_highest_for_the_best_value(aim, best):
    score = Score("x", "X", aim)
    assert max((1.5, -0.5, 0.1, 0.9), key=score.rank) == best


def test_weights_are_a_column_of_the_pairs():
    table = pd.DataFrame({"ssim": [1.0, 2.0], "pck": [0.0, 1.0], "joints": [3, 4]})
    assert scores.weights(table, "ssim") is None
    np.testing.assert_array_equal(scores.weights(table, "pck"), [3, 4])
    # of what the targets hold, the mean over pairs is a ratio of means; of joints, a share of all
    assert {name: score.weight for name, score in scores.EVERY.items() if score.weight} == {
        "sharpness": "target_gradient",
        "stripes": "target_stripes",
        "pck": "joints",
        "pckh": "joints",
        "background_copy": "background_weight",
        "body_copy": "body_weight",
        "pose_copy": "pose_weight",
        "detail": "target_detail",
        "artefacts": "target_detail",
        "background_artefacts": "background_detail",
        "texture": "target_texture",
    }
