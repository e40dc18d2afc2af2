"""Scores of a training on its way, on images whose scores are known."""

import numpy as np
import pytest

from pg2lib.core.files import UserError, write_csv
from pg2lib.evaluation import curves, detail
from pg2lib.evaluation import score_row as evaluation
from pg2lib.evaluation.score_row import Scoring

COUNT = 7  # test pairs


@pytest.fixture(scope="module")
def painted(data):
    """A training that first paints the condition images and then the real ones."""
    condition, target = np.asarray(data.test_pairs)[:COUNT].T
    return np.stack([data.images[condition], data.images[target]])


def middle(images):
    """An estimator that finds all joints in the middle."""
    size = np.array(images.shape[2:0:-1]) / 2
    return np.broadcast_to(size, (len(images), 18, 2)).astype(np.float32)


def test_every_point_is_scored_like_a_row(data, painted, tmp_path):
    how = Scoring(batch=3)
    table = curves.score_curve(painted, data, [10, 25], 8, how, middle)
    assert list(table["step"]) == [10] * COUNT + [25] * COUNT
    assert list(table["pairs_seen"]) == [80] * COUNT + [200] * COUNT
    assert list(table["pair"]) == [*range(COUNT)] * 2
    for point, row in enumerate(("condition", "target")):
        evaluation.evaluate_row(row, None, data, tmp_path / row, how, middle)
        scored = evaluation.read_pairs(tmp_path / row)[:COUNT]
        ours = table[point * COUNT : (point + 1) * COUNT].reset_index(drop=True)
        assert list(ours["identity"].astype(str)) == list(scored["identity"])
        columns = set(scored) - {"condition", "target", "condition_camera", "target_camera"}
        assert {"ssim", "pckh", "joints", "background_copy", "pose_weight"} < columns
        for name in columns - {"pair", "identity"}:
            np.testing.assert_allclose(ours[name], scored[name], rtol=1e-5, atol=1e-9)
    assert table["ssim"][COUNT:].to_numpy() == pytest.approx(1)  # of the real images
    assert table["colour"][COUNT:].to_numpy() == pytest.approx(0)


def test_the_measures_of_claims_are_there(data, painted):
    table = curves.score_curve(painted, data, [1, 2], 8, Scoring())
    pairs = np.asarray(data.test_pairs)[:COUNT]
    masks = evaluation.pair_masks(data, pairs)
    whole = detail.measures(painted[0], data.images, pairs[:, 1], masks, curves.MEASURES)
    for name in ("detail", "artefacts", "target_detail", "colour", "blur_gain"):
        assert list(table[name][:COUNT]) == list(whole[name])
    assert "body_ssim" not in table and "pckh" not in table


def test_a_file_holds_the_curve(data, painted, tmp_path):
    told = []
    table = curves.score_curve(
        painted, data, [1, 2], 8, Scoring(), progress=lambda *report: told.append(report)
    )
    assert [report[:2] for report in told] == [(1, 2), (2, 2)]
    path = tmp_path / "new" / curves.FILE
    write_csv(path, table)
    assert path == tmp_path / "new" / "curve.csv" and len([*path.parent.iterdir()]) == 1
    read = curves.read_curve(tmp_path / "new")
    assert list(read) == list(table) and len(read) == 2 * COUNT
    assert isinstance(read["identity"][0], str)
    np.testing.assert_allclose(read["ssim"], table["ssim"], rtol=1e-5)


def test_mistakes(data, painted):
    with pytest.raises(UserError, match="not 3 points"):
        curves.score_curve(painted, data, [1, 2, 3], 8, Scoring())
    with pytest.raises(UserError, match="at 64x32; train the row again"):
        curves.score_curve(painted[:, :, ::2], data, [1, 2], 8, Scoring())
    many = np.zeros((2, len(data.test_pairs) + 1, *painted.shape[2:]), np.uint8)
    with pytest.raises(UserError, match="test pairs"):
        curves.score_curve(many, data, [1, 2], 8, Scoring())
