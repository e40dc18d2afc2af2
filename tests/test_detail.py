"""Sharpness, body-SSIM, colour and followed shifts: plain loops and images made by hand."""

import tracemalloc

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from pg2lib.evaluation import detail, statistics
from pg2lib.evaluation.ssim import mask_ssim, ssim

rng = np.random.default_rng(0)


@pytest.fixture
def person():
    """Two images of a coloured rectangle on noise, and its mask."""
    images = rng.integers(0, 256, (2, 32, 24, 3), dtype=np.uint8)
    masks = np.zeros((2, 32, 24), bool)
    masks[:, 8:24, 8:16] = True
    images[masks] = rng.integers(60, 120, (masks.sum(), 3), dtype=np.uint8)
    return images, masks


def test_mean_colour_error_compares_mean_colours_inside_the_mask(person):
    images, masks = person
    lighter = images.copy()
    lighter[masks] += np.array([9, 0, 3], np.uint8)
    lighter[~masks] = 0  # outside, where nothing counts
    assert detail.mean_colour_error(lighter, images, masks) == pytest.approx(4)
    shuffled = images.copy()
    shuffled[0, masks[0]] = shuffled[0, masks[0]][::-1]  # another pattern of the same colours
    assert detail.mean_colour_error(shuffled, images, masks) == pytest.approx(0)
    assert detail.mean_colour_error(lighter, images, masks & False).tolist() == [0, 0]


def test_masked_error_is_the_mean_absolute_error_inside_the_mask(person):
    images, masks = person
    other = images.copy()
    other[masks] = 255 - other[masks]
    expected = [abs(other[k].astype(float) - images[k])[masks[k]].mean() for k in (0, 1)]
    assert detail.masked_error(other, images, masks) == pytest.approx(expected)
    assert detail.masked_error(other, images, masks & False).tolist() == [0, 0]


def test_colour_is_compared_over_cells_of_a_sixteenth_of_the_height():
    """4 of 64 rows: blocks of 2x2 pixels cancel within each cell, blocks of 4x4 do not."""
    y, x = np.indices((64, 32))
    masks = np.ones((5, 64, 32), bool)
    target = np.full((5, 64, 32, 3), 100, np.uint8)
    generated = target.copy()
    for k, side in enumerate((2, 4, 2)):  # 3 in the mean over the channels
        generated[k] += ((-1) ** (y // side + x // side)[..., None] * (6, 0, 3)).astype(np.uint8)
    masks[2] = (x % 4 < 2) & (y % 4 < 2)  # one block of each cell, so that nothing cancels
    masks[3:] = False
    masks[3, 8:12, 8:14] = True  # a wrong cell and, with half the weight, half of a right one
    generated[3, :, 14:] = 250  # outside, where nothing counts
    generated[3, 8:12, 8:12] += np.array([6, 0, 3], np.uint8)
    errors = detail.local_colour_error(generated, target, masks)
    np.testing.assert_allclose(errors, [0, 3, 3, 2, np.nan])
    cut, whole = np.full((1, 64, 30, 3), 100, np.uint8), np.ones((1, 64, 30), bool)
    wrong = cut.copy()
    wrong[:, :, 28:] += 30  # the last cells are half as wide and count half
    assert detail.local_colour_error(wrong, cut, whole)[0] == pytest.approx(30 * 2 / 30)


def test_region_mean_is_nan_for_an_empty_region():
    values = np.arange(8.0).reshape(2, 2, 2)
    region = np.zeros((2, 2, 2), bool)
    region[0, 0] = True
    assert np.array_equal(detail.region_mean(values, region), [0.5, np.nan], equal_nan=True)


def test_mask_overlap_counts_body_in_mask_and_mask_on_body():
    body, mask = np.zeros((2, 4, 4), bool)
    body[:2], mask[1:, :2] = True, True  # 8 and 6 pixels, 2 in common
    assert detail.mask_overlap(mask, body) == pytest.approx((2 / 8, 2 / 6, 2 / 12))
    assert detail.mask_overlap(mask & False, body) == (0, 0, 0)


@pytest.mark.parametrize("pixels", (-3, 0, 2))
def test_shift_followed_finds_by_how_much_a_person_moved(person, pixels):
    images, masks = person
    moved, body = np.roll(images, pixels, 2), np.roll(masks, pixels, 2)
    assert detail.shift_followed(images, moved, body, 4).tolist() == [pixels, pixels]
    assert detail.shift_followed(images, images, body, 4).tolist() == [0, 0]


# ---- sharpness


def test_sharpness_by_hand():
    """A ramp of slope 20 a pixel against one of slope 10: four times the energy."""
    x = np.arange(8)
    gentle, steep = (np.zeros((1, 6, 8, 3), np.uint8) + (s * x)[:, None].astype(np.uint8)
                     for s in (10, 20))  # fmt: skip
    mask = np.ones((1, 6, 8))
    assert detail.gradient_energy(gentle, mask) == pytest.approx((10 / 255) ** 2)
    assert detail.sharpness(steep, gentle, mask) == pytest.approx(4)
    assert detail.sharpness(gentle, steep, mask) == pytest.approx(1 / 4)
    turned = steep.transpose(0, 2, 1, 3)
    assert detail.sharpness(turned, turned // 2, mask.transpose(0, 2, 1)) == pytest.approx(4)


def test_sharpness_ignores_the_outside_and_the_border_of_the_mask(images):
    generated, target = images
    mask = np.zeros(generated.shape[:3])
    mask[:, 6:18, 4:12] = 1
    got = detail.sharpness(generated, target, mask)
    painted = np.where(mask[..., None] == 1, generated, 255)  # a hard edge along the mask
    assert (detail.sharpness(painted, target, mask) == got).all()
    # The centre of a plus is the only pixel of it whose four neighbours are in the mask.
    plus = np.zeros_like(mask)
    plus[:, 9:12, 8] = plus[:, 10, 7:10] = 1
    luma = np.array([0.2125, 0.7154, 0.0721]) / 255
    for batch in images:
        gray = batch @ luma
        energy = (gray[:, 10, 9] - gray[:, 10, 7]) ** 2 + (gray[:, 11, 8] - gray[:, 9, 8]) ** 2
        assert detail.gradient_energy(batch, plus) == pytest.approx(energy / 4, rel=1e-9)


def test_sharpness_of_targets_blur_and_nothing(images):
    _, target = images
    mask = np.ones(target.shape[:3])
    assert (detail.sharpness(target, target, mask) == 1).all()
    assert (detail.sharpness(gaussian_filter(target, (0, 1, 1, 0)), target, mask) < 0.7).all()
    mask[1] = 0
    assert np.isnan(detail.sharpness(target, target, mask)).tolist() == [False, True, False]
    assert np.isnan(detail.sharpness(target, np.full_like(target, 9), mask)).all()


def test_weighted_with_the_targets_energy_sharpness_is_a_ratio_of_means(images):
    mask = np.ones(images[0].shape[:3])
    energy, real = (detail.gradient_energy(i, mask) for i in images)
    ratio = detail.sharpness(*images, mask)
    assert statistics.mean(ratio, real) == pytest.approx(energy.mean() / real.mean())
    assert statistics.mean(ratio) != pytest.approx(energy.mean() / real.mean(), rel=1e-3)
    assert statistics.mean([1, np.nan, 4], [2, 5, 1]) == pytest.approx(2)
    assert np.isnan(statistics.mean([np.nan]))


# ---- SSIM of the body alone


def slow_body_ssim(x, y, mask):
    """Window by window and channel by channel, with NumPy's covariance of the pixels inside."""
    values = []
    for row, column in np.argwhere(mask):
        place = np.s_[max(row - 3, 0) : row + 4, max(column - 3, 0) : column + 4]
        for channel in range(3):
            a, b = (image[place][..., channel][mask[place]].astype(float) for image in (x, y))
            (va, vab), (_, vb) = np.cov(a, b)
            ma, mb = a.mean(), b.mean()
            light = (2 * ma * mb + 6.5025) / (ma**2 + mb**2 + 6.5025)
            values.append(light * (2 * vab + 58.5225) / (va + vb + 58.5225))
    return np.mean(values)


def test_body_ssim_against_a_plain_loop(monkeypatch):
    rng = np.random.default_rng(0)
    target = rng.integers(0, 255, (2, 24, 16, 3), np.uint8)
    generated = (target * 0.5 + rng.integers(0, 60, target.shape)).astype(np.uint8)
    masks = rng.random((2, 24, 16)) < 0.6
    monkeypatch.setattr(detail, "CHUNK", 1)  # one by one
    ours = detail.body_ssim(generated, target, masks)
    slow = [slow_body_ssim(*three) for three in zip(generated, target, masks, strict=True)]
    np.testing.assert_allclose(ours, slow, atol=1e-10)
    np.testing.assert_allclose(detail.body_ssim(target, target, masks), 1, atol=1e-10)
    assert np.isnan(detail.body_ssim(generated, target, masks & False)).all()


def test_body_ssim_is_the_usual_one_where_windows_lie_within_the_mask():
    rng = np.random.default_rng(0)
    target = rng.integers(0, 255, (1, 200, 200, 3), np.uint8)
    generated = (target * 0.5).astype(np.uint8)
    usual = ssim(generated, target)[0]  # leaves out the border that a window overhangs
    everywhere = detail.body_ssim(generated, target, np.ones((1, 200, 200), bool))[0]
    assert everywhere == pytest.approx(usual, abs=2e-3)


def test_body_ssim_does_not_reward_thin_masks():
    rng = np.random.default_rng(0)
    target, noise = rng.integers(0, 255, (2, 1, 128, 64, 3), np.uint8)
    thin = np.zeros((1, 128, 64), bool)
    thin[:, :, ::8] = thin[:, :, 1::8] = True
    wide = np.ones_like(thin)
    ours = [detail.body_ssim(noise, target, mask)[0] for mask in (thin, wide)]
    assert np.abs(ours).max() < 0.03
    assert mask_ssim(noise, target, thin)[0] > mask_ssim(noise, target, wide)[0] + 0.1


@pytest.mark.parametrize("score", [detail.mean_colour_error, detail.masked_error])
def test_errors_inside_the_mask_need_no_copy_of_all_images(score):
    images, masks = np.zeros((600, 64, 32, 3), np.uint8), np.ones((600, 64, 32), bool)
    tracemalloc.start()
    try:
        score(images, images, masks)
        assert tracemalloc.get_traced_memory()[1] < images.nbytes  # a copy as float64: 8 times
    finally:
        tracemalloc.stop()


def test_torso_colour_kept_looks_at_the_torso_alone():
    target = np.full((4, 32, 16, 3), 100, np.uint8)
    generated = np.full((4, 32, 16, 3), 250, np.uint8)  # wrong all around
    generated[0, 8:20, 4:12] = (110, 120, 130)  # 10, 20 and 30 away: 20 in the mean
    generated[1, 8:20, 4:12] = (110, 120, 134)
    generated[2:, 8:20, 4:12] = 100
    poses = np.full((4, 18, 2), -1.0, np.float32)
    poses[:, [2, 5, 11, 8]] = (4, 8), (11, 8), (11, 19), (4, 19)  # shoulders, hips
    poses[3, 5] = -1  # a torso that is not known
    kept = detail.torso_colour_kept(generated, target, poses)
    np.testing.assert_array_equal(kept, [1, 0, 1, np.nan])
