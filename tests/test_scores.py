"""Scores against slow plain NumPy and hand-computed values."""

import itertools
import time

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from pg2lib.core.files import UserError
from pg2lib.evaluation import detail, statistics
from pg2lib.evaluation.ssim import PRESETS, mask_ssim, masked, pad_white, ssim


@pytest.fixture(scope="module")
def images():
    """Two different batches (3, 24, 16, 3) whose value ranges differ from each other."""
    random = np.random.default_rng(0)
    smooth = gaussian_filter(random.random((2, 3, 24, 16, 3)), (0, 0, 1, 1, 0))
    generated = (40 + 100 * smooth[0]).astype(np.uint8)
    target = (255 * smooth[1]).astype(np.uint8)
    return generated, target


def slow_ssim(x, y, weights, data_range, sample):
    """SSIM of one channel by its formula, window by window, valid positions only."""
    size, n = len(weights), weights.size
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    factor = n / (n - 1) if sample else 1
    values = []
    for i in range(x.shape[0] - size + 1):
        for j in range(x.shape[1] - size + 1):
            a, b = x[i : i + size, j : j + size], y[i : i + size, j : j + size]
            ma, mb = (weights * a).sum(), (weights * b).sum()
            va = factor * ((weights * a * a).sum() - ma**2)
            vb = factor * ((weights * b * b).sum() - mb**2)
            cov = factor * ((weights * a * b).sum() - ma * mb)
            values.append(
                (2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
            )
    return np.mean(values)


UNIFORM = np.full((7, 7), 1 / 49)
BELL = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
GAUSSIAN = np.outer(BELL, BELL) / BELL.sum() ** 2


@pytest.mark.parametrize("preset", PRESETS)
def test_each_preset_is_the_stated_formula(preset, images):
    for generated, target in zip(*images, strict=True):
        got = ssim(generated[None], target[None], preset)
        x, y = generated.astype(float), target.astype(float)
        if preset == "pg2-trainlog":
            luma = np.array([0.2125, 0.7154, 0.0721]) / 255
            y = y @ luma
            expected = slow_ssim(x @ luma, y, UNIFORM, y.max() - y.min(), sample=True)
        elif preset == "pg2":
            expected = np.mean(
                [slow_ssim(x[..., c], y[..., c], UNIFORM, 255, sample=True) for c in range(3)]
            )
        else:
            if preset == "patn-fashion":  # 24x16 becomes 24x24
                x, y = (np.pad(i, ((0, 0), (4, 4), (0, 0)), constant_values=255) for i in (x, y))
            spread = x.max() - x.min()  # of the generated image
            expected = np.mean(
                [slow_ssim(x[..., c], y[..., c], GAUSSIAN, spread, sample=False) for c in range(3)]
            )
        assert got == pytest.approx(expected, abs=1e-6)


def test_presets_differ_and_patn_depends_on_the_order(images):
    values = {name: ssim(*images, name).mean() for name in PRESETS}
    assert values["patn"] == values["defgan"]
    assert len({round(v, 3) for v in values.values()}) == 4
    swapped = images[::-1]
    assert ssim(*swapped, "pg2") == pytest.approx(ssim(*images, "pg2"), abs=1e-12)
    for name in ("patn", "pg2-trainlog"):
        assert abs(ssim(*swapped, name) - ssim(*images, name)).min() > 1e-3


def test_white_padding_of_deepfashion():
    """40 columns each side of 176x256, where both images agree: a fixed share of 1."""
    random = np.random.default_rng(1)
    a, b = random.integers(0, 256, (2, 1, 256, 176, 3), dtype=np.uint8)

    def white(images):
        return pad_white(torch.from_numpy(images)).numpy()

    bare, padded = ssim(a, b, "patn"), ssim(a, b, "patn-fashion")
    assert white(a).shape == (1, 256, 256, 3)
    assert (white(a)[:, :, 40:216] == a).all()
    assert padded == pytest.approx(bare * 176 / 256 + 80 / 256, abs=0.03)


def test_a_constant_image_still_scores():
    flat = np.full((1, 16, 16, 3), 7, np.uint8)
    for preset in PRESETS:
        assert ssim(flat, flat, preset) == pytest.approx(1)


def test_five_hundred_pairs_take_about_a_second():
    random = np.random.default_rng(2)
    a, b = random.integers(0, 256, (2, 100, 128, 64, 3), dtype=np.uint8)
    start = time.perf_counter()
    ssim(a, b)
    assert time.perf_counter() - start < 1  # 0.01 s on an idle core


def test_mask_ssim_sees_the_inside_only(images):
    generated, target = images
    mask = np.zeros(generated.shape[:3])
    mask[:, 6:18, 4:12] = 1
    outside = np.where(mask[..., None] == 1, generated, 255 - generated)
    inside = np.where(mask[..., None] == 0, generated, 255 - generated)
    got = mask_ssim(generated, target, mask)
    assert (mask_ssim(outside, target, mask) == got).all()
    assert (mask_ssim(inside, target, mask) != got).all()
    black = [i * mask[..., None].astype(np.uint8) for i in (generated, target)]
    assert (got == ssim(*black)).all()
    assert (masked(generated, mask) == black[0]).all()
    assert mask_ssim(generated, target, np.ones_like(mask)) == pytest.approx(
        ssim(generated, target)
    )


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


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"preset": "pg3"}, "pg2-trainlog, patn"),
        ({"target": np.zeros((2, 16, 16, 3), np.float32)}, "uint8"),
        ({"target": np.zeros((2, 16, 15, 3), np.uint8)}, "differ"),
        ({"generated": np.zeros((2, 6, 16, 3), np.uint8)}, "7x7"),
    ],
)
def test_mistakes_are_named(arguments, words):
    good = {"generated": np.zeros((2, 16, 16, 3), np.uint8)}
    arguments = good | arguments
    arguments.setdefault("target", np.zeros_like(arguments["generated"]))
    with pytest.raises(UserError, match=words):
        ssim(**arguments)


def test_more_mistakes():
    images = np.zeros((2, 16, 18, 3), np.uint8)
    with pytest.raises(UserError, match="wider"):
        ssim(images, images, "patn-fashion")
    with pytest.raises(UserError, match="mask must be"):
        mask_ssim(images, images, np.ones((2, 16, 16)))


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


def test_body_ssim_against_a_plain_loop():
    rng = np.random.default_rng(0)
    target = rng.integers(0, 255, (2, 24, 16, 3), np.uint8)
    generated = (target * 0.5 + rng.integers(0, 60, target.shape)).astype(np.uint8)
    masks = rng.random((2, 24, 16)) < 0.6
    ours = detail.body_ssim(generated, target, masks, chunk=1)
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
