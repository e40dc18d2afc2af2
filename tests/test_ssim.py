"""Our SSIM of many pairs against scikit-image's, pair by pair."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.color import rgb2gray
from skimage.metrics import structural_similarity

from pg2lib.evaluation import ssim

SIZES = [(11, 11), (37, 23), (64, 32), (128, 64), (256, 176)]


def by_scikit_image(generated, target, name):
    """The loop that `ssim.ssim` stands for."""
    preset, values = ssim.PRESETS[name], []
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
@pytest.mark.parametrize("preset", ssim.PRESETS)
def test_equal_to_scikit_image(preset, size):
    """Within 1e-9 per pair, on chunks that are whole and one that is not."""
    for kind, pair in pairs_of_all_kinds(*size, 11 if size == (128, 64) else 2).items():
        difference = np.abs(ssim.ssim(*pair, preset) - by_scikit_image(*pair, preset))
        assert difference.max() < 1e-9, kind


@pytest.mark.parametrize("preset", ssim.PRESETS)
def test_masks_and_memory_maps(preset, tmp_path):
    generated, target = pairs_of_all_kinds(64, 32, 40)["smooth"]
    mask = np.zeros(generated.shape[:3], bool)
    mask[:, 10:50, 8:20] = True
    np.save(tmp_path / "generated.npy", generated)
    mapped = np.load(tmp_path / "generated.npy", mmap_mode="r")
    expected = by_scikit_image(generated * mask[..., None], target * mask[..., None], preset)
    np.testing.assert_allclose(ssim.mask_ssim(mapped, target, mask, preset), expected, atol=1e-9)


@pytest.mark.parametrize("preset", ssim.PRESETS)
def test_neither_chunks_nor_neighbours_matter(preset, monkeypatch):
    pair = pairs_of_all_kinds(37, 23, 7)["nearly equal"]
    whole = ssim.ssim(*pair, preset)
    monkeypatch.setattr(ssim, "CHUNK", 1)  # one by one
    np.testing.assert_allclose(ssim.ssim(*pair, preset), whole, atol=1e-12)
    assert ssim.ssim(pair[0][:0], pair[1][:0], preset).shape == (0,)
