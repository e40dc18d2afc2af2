"""Copy scores: exact at both ends, least squares in between, NaN where there is nothing to tell."""

import numpy as np
import pytest
import torch

from pg2lib.data.heatmaps import pose_mask
from pg2lib.evaluation import copy_score, statistics
from pg2lib.evaluation.scores import SCORES

WEIGHTS = {name: s.weight for name, s in SCORES.items() if name.endswith("_copy")}


@pytest.fixture(scope="module")
def pairs(data):
    """The arguments of `copy_scores` but for the generated images and what is seen in them."""
    old, new = data.test_pairs.T
    return dict(
        condition=data.images[old],
        target=data.images[new],
        old=data.keypoints[old],
        new=data.keypoints[new],
        typical=copy_score.mean_image(data),
    )


def means(generated, estimated, pairs, **more):
    values = copy_score.copy_scores(generated, estimated=estimated, **pairs, **more)
    return {name: statistics.mean(values[name], values[w]) for name, w in WEIGHTS.items()}


def test_the_target_scores_zero_and_the_condition_one(pairs):
    target = means(pairs["target"], pairs["new"], pairs)
    condition = means(pairs["condition"], pairs["old"], pairs)
    for name in WEIGHTS:
        assert target[name] == 0
        assert condition[name] == pytest.approx(1, abs=1e-12)


def test_what_lies_between(pairs):
    """A gray nothing is no copy, a double exposure is half of one."""
    condition, target = (pairs[name].astype(float) for name in ("condition", "target"))
    half = np.round((condition + target) / 2).astype(np.uint8)
    nothing = np.broadcast_to(np.round(pairs["typical"]).astype(np.uint8), half.shape)
    other = np.roll(pairs["target"], len(half) // 2, axis=0)  # of other people
    for images, low, high in ((half, 0.48, 0.52), (nothing, -0.05, 0.05), (other, -0.3, 0.3)):
        found = means(images, pairs["new"], pairs)
        assert low < found["background_copy"] < high and low < found["body_copy"] < high


@pytest.mark.parametrize("variant", ["released", "scaled"])
def test_background_and_body_are_told_apart(pairs, variant):
    old, new = (
        pose_mask(torch.from_numpy(pairs[name]), 64, 32, variant=variant).bool().numpy()[:, 0]
        for name in ("old", "new")
    )
    ghost = np.where((old & ~new)[..., None], pairs["condition"], pairs["target"])
    behind = np.where((~old & ~new)[..., None], pairs["condition"], pairs["target"])
    for images, expected in ((ghost, (0, 1)), (behind, (1, 0))):
        found = means(images, pairs["new"], pairs, variant=variant)
        got = found["background_copy"], found["body_copy"]
        assert got == pytest.approx(expected, abs=1e-12)


def test_against_least_squares():
    rng = np.random.default_rng(0)
    generated, condition, target = rng.integers(0, 256, (3, 5, 8, 6, 3)).astype(np.uint8)
    typical, region = rng.uniform(0, 255, (8, 6, 3)), rng.random((5, 8, 6)) < 0.6
    values, weights = copy_score.copied(generated, condition, target, typical, region)
    for k in range(5):
        g, c, t = (
            (images[k] - typical)[region[k]].ravel() for images in (generated, condition, target)
        )
        solution = np.linalg.lstsq(np.stack([t, c], 1), g, rcond=None)[0]
        assert values[k] == pytest.approx(solution[1])
        unexplained = np.linalg.lstsq(t[:, None], c, rcond=None)[1][0]
        assert weights[k] == pytest.approx(unexplained / c.size)


def test_nothing_to_tell_is_nan_and_has_no_weight():
    images = np.random.default_rng(0).integers(0, 256, (3, 2, 8, 6, 3)).astype(np.uint8)
    typical = np.zeros((8, 6, 3))
    region = np.ones((2, 8, 6), bool)
    region[0] = False
    region[0, 0, :] = True  # 6 pixels are too few
    values, weights = copy_score.copied(*images, typical, region)
    assert np.isnan(values[0]) and weights[0] == 0 and np.isfinite(values[1])
    same = copy_score.copied(images[0], images[1], images[1], typical, region)
    assert np.isnan(same[0]).all() and not same[1].any()


def test_one_squared_grey_level_per_value_is_the_least_that_tells_images_apart():
    """The condition is the target and a pattern orthogonal to it, of energy 1 or one half."""
    target = np.full((2, 8, 6, 3), 100)
    pattern = np.ones_like(target)
    pattern[:, :, ::2] = -1
    pattern[1, ::2] = 0
    generated, condition, target = (
        images.astype(np.uint8) for images in (target + 2 * pattern, target + pattern, target)
    )
    nothing, everywhere = np.zeros((8, 6, 3)), np.ones((2, 8, 6), bool)
    values, weights = copy_score.copied(generated, condition, target, nothing, everywhere)
    np.testing.assert_allclose(values, [2, np.nan])
    np.testing.assert_allclose(weights, [1, 0])


def test_pose_copy_by_hand():
    new = np.full((1, 18, 2), -1.0)
    new[0, [2, 5, 8, 11]] = (10, 10), (20, 10), (10, 34), (20, 34)  # torso 26, alpha 0.4: 10.4
    new[0, [4, 7, 10]] = (5, 30), (25, 30), (15, 60)
    old = new.copy()
    old[0, 4] = (5, 15)  # moved by 15
    old[0, 7] = (25, 15)  # by 15
    old[0, 10] = (15, 50)  # by 10: too little
    old[0, 13] = (18, 60)  # missing in the target
    seen = new.copy()
    seen[0, 4] = (5, 20)  # nearer to the old place
    share, weight = copy_score.pose_copy(seen, old, new)
    assert share.tolist() == [0.5] and weight.tolist() == [2]
    seen[0, 7] = -1  # not seen: does not count
    share, weight = copy_score.pose_copy(seen, old, new)
    assert share.tolist() == [1.0] and weight.tolist() == [1]
    share, weight = copy_score.pose_copy(new, new, new)
    assert np.isnan(share).all() and weight.tolist() == [0]


def test_the_mean_image_is_that_of_the_training_images(data):
    expected = np.asarray(data.images)[data.train].astype(float).mean(0)
    np.testing.assert_allclose(copy_score.mean_image(data), expected, atol=1e-3)
