"""SSIM against its formula in plain NumPy and against scikit-image, pair by pair."""

import time

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.color import rgb2gray
from skimage.metrics import structural_similarity

from pg2lib.core.files import UserError
from pg2lib.evaluation.ssim import PRESETS, mask_ssim, masked, pad_white, ssim

SIZES = [(11, 11), (37, 23), (64, 32), (128, 64), (256, 176)]


def by_scikit_image(generated, target, name):
    """The loop that `ssim` stands for."""
    preset, values = PRESETS[name], []
    for x, y in zip(generated, target, strict=True):
        if preset.pad_white:
            left, more = divmod(x.shape[0] - x.shape[1], 2)
            sides = ((0, 0), (left, left + more), (0, 0))
            x, y = (np.pad(image, sides, constant_values=255) for image in (x, y))
        if preset.gray:
            x, y = rgb2gray(x), rgb2gray(y)
        full = 1 if preset.gray else 255
        ranges = {"generated": np.ptp(x), "target": np.ptp(y)}
        spread = float(ranges.get(preset.data_range, 255)) or full
        options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        axis = None if preset.gray else -1
        options = options if preset.gaussian else {}
        values.append(structural_similarity(y, x, data_range=spread, channel_axis=axis, **options))
    return np.array(values)


def pairs_of_all_kinds(height, width, count):
    """Name -> (generated, target), each uint8 (count, H, W, 3)."""
    random = np.random.default_rng(0)
    shape = (count, height, width, 3)
    noise, other = random.integers(0, 256, (2, *shape), dtype=np.uint8)
    smooth = (255 * gaussian_filter(random.random(shape), (0, 3, 3, 0))).astype(np.uint8)
    near = np.clip(smooth + random.integers(-1, 2, shape), 0, 255).astype(np.uint8)
    saturated = np.where(smooth > 127, 255, 0).astype(np.uint8)
    bright = np.full(shape, 254, np.uint8)
    bright[:, ::3] = 255
    flat = np.full(shape, 7, np.uint8)
    dot = flat.copy()
    dot[:, height // 2, width // 2] = 8  # the smallest L there is
    half = np.zeros(shape, np.uint8)
    half[:, :, : width // 2] = 255
    inside = smooth > 127
    return {
        "noise": (noise, other),
        "smooth": (smooth, noise),
        "nearly equal": (near, smooth),
        "saturated": (saturated, noise),
        "bright": (bright, np.roll(bright, 1, 1)),
        "bright and dark": (bright, 255 - bright),
        "constant": (flat, flat),
        "small range": (dot, half),
        "small range of the target": (half, dot),
        "masked": (noise * inside, other * inside),
    }


@pytest.mark.parametrize("size", SIZES, ids="{0[0]}x{0[1]}".format)
@pytest.mark.parametrize("preset", PRESETS)
def test_equal_to_scikit_image(preset, size):
    """Within 1e-9 per pair, on chunks that are whole and one that is not."""
    for kind, pair in pairs_of_all_kinds(*size, 11 if size == (128, 64) else 2).items():
        difference = np.abs(ssim(*pair, preset) - by_scikit_image(*pair, preset))
        assert difference.max() < 1e-9, kind


@pytest.mark.parametrize("preset", PRESETS)
def test_masks_and_memory_maps(preset, tmp_path):
    generated, target = pairs_of_all_kinds(64, 32, 40)["smooth"]
    mask = np.zeros(generated.shape[:3], bool)
    mask[:, 10:50, 8:20] = True
    np.save(tmp_path / "generated.npy", generated)
    mapped = np.load(tmp_path / "generated.npy", mmap_mode="r")
    expected = by_scikit_image(generated * mask[..., None], target * mask[..., None], preset)
    np.testing.assert_allclose(mask_ssim(mapped, target, mask, preset), expected, atol=1e-9)


@pytest.mark.parametrize("preset", PRESETS)
def test_neither_chunks_nor_neighbours_matter(preset, monkeypatch):
    pair = pairs_of_all_kinds(37, 23, 7)["nearly equal"]
    whole = ssim(*pair, preset)
    monkeypatch.setattr("pg2lib.evaluation.ssim.CHUNK", 1)  # one by one
    np.testing.assert_allclose(ssim(*pair, preset), whole, atol=1e-12)
    assert ssim(pair[0][:0], pair[1][:0], preset).shape == (0,)


# ---- the formula, window by window


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
