"""SSIM and mask-SSIM, ours against scikit-image's loop, on the same cores."""

import time

import numpy as np
from skimage.color import rgb2gray
from skimage.metrics import structural_similarity

from benchmarks.common import Line, Size, interleaved, median
from pg2lib.evaluation.ssim import mask_ssim, ssim

GAUSSIAN = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
TOLERANCE = 1e-9


def measure(size: Size, device: str, log) -> tuple[list[Line], dict]:
    generated, target, masks = pictures(size.score_pairs)
    few = slice(0, size.reference_pairs)
    lines = []
    for preset in ("pg2", "pg2-trainlog", "patn", "patn-fashion"):
        log(f"SSIM, preset {preset}")

        def ours(preset=preset):
            return timed(both, generated, target, masks, preset)

        def loop(preset=preset):
            return timed(reference, generated[few], target[few], masks[few], preset)

        took = interleaved({"ours": ours, "loop": loop}, size.repeats, warm_up=0)
        seconds = median([s for s, _ in took["ours"]])
        by_loop = median([s for s, _ in took["loop"]]) * len(target) / size.reference_pairs
        difference = np.abs(took["ours"][0][1][:, few] - took["loop"][0][1]).max()
        what = f"SSIM and mask-SSIM of {len(target):,} pairs, {preset}"
        note = f"scikit-image's loop: {by_loop:.0f} s (from {size.reference_pairs} pairs)"
        gain = by_loop / seconds
        lines += [
            Line(what, seconds, "s", note=note),
            Line(f"{what}: speed-up", gain, "x", "at least 5", bool(gain >= 5)),
            Line(
                f"{what}: largest difference", float(difference), "", f"at most {TOLERANCE:g}",
                bool(difference <= TOLERANCE), f"of {2 * size.reference_pairs} values",
            ),
        ]  # fmt: skip
    return lines, {}


def timed(work, *arguments):
    started = time.perf_counter()
    result = work(*arguments)
    return time.perf_counter() - started, result


def both(generated, target, masks, preset):
    return np.stack(
        [
            ssim(generated, target, preset),
            mask_ssim(generated, target, masks, preset),
        ]
    )


def reference(generated, target, masks, preset):
    cover = masks[..., None]
    pairs = ((generated, target), (generated * cover, target * cover))
    return np.array([[by_skimage(*pair, preset) for pair in zip(*images)] for images in pairs])


def by_skimage(generated, target, preset):
    """One score as papers compute it: by scikit-image, nothing else."""
    if preset == "pg2":
        return structural_similarity(target, generated, channel_axis=-1, data_range=255)
    if preset == "pg2-trainlog":
        generated, target = rgb2gray(generated), rgb2gray(target)
        return structural_similarity(target, generated, data_range=np.ptp(target) or 1.0)
    if preset == "patn-fashion":
        left = (target.shape[0] - target.shape[1]) // 2
        sides = ((0, 0), (left, target.shape[0] - target.shape[1] - left), (0, 0))
        generated, target = (np.pad(x, sides, constant_values=255) for x in (generated, target))
    spread = float(np.ptp(generated)) or 255
    return structural_similarity(target, generated, channel_axis=-1, data_range=spread, **GAUSSIAN)


def pictures(count, height=128, width=64, distinct=256):
    """Smooth pictures, the same with noise, and round masks."""
    random = np.random.default_rng(0)
    coarse = random.uniform(0, 255, (min(count, distinct), height // 8, width // 8, 3))
    smooth = np.kron(coarse, np.ones((1, 8, 8, 1)))
    noisy = smooth + random.normal(0, 25, smooth.shape)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    sizes = random.uniform(0.2, 1, len(coarse))
    masks = x**2 + y**2 < sizes[:, None, None]
    which = np.arange(count) % len(coarse)
    generated, target = (np.clip(a, 0, 255).astype(np.uint8)[which] for a in (noisy, smooth))
    return generated, target, masks[which]
