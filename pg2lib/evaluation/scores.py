"""The scores of Table 1 that need no network (SSIM, mask-SSIM, sharpness), and how sure they are:
intervals, paired differences and their tests. Pure functions of uint8 images and of numbers.
"""

import numpy as np
import torch
import torch.nn.functional as F
from skimage.color import rgb2gray

from pg2lib.core.files import UserError
from pg2lib.evaluation.ssim import (  # noqa: F401,E501
    DEFAULT_PRESET,
    PRESETS,
    Preset,
    as_bool,
    check_images,
    find_preset,
    mask_ssim,
    masked,
    ssim,
)


def body_ssim(generated, target, masks, window=7, chunk=64):
    """SSIM of the person alone: over the mask, from windows that look only at the mask.

    In mask-SSIM black agrees with black, in whole windows and in parts of those at the border, so
    that small and thin masks score high: missing joints would look like a help. Here means,
    variances and covariance of a window come from its pixels inside the mask, and the map is
    averaged over the mask. Where a window lies within the mask it is the one of preset "pg2"
    (7x7, uniform, sample covariance, L = 255). Ours, not in the paper.

    Args:
        generated, target: uint8 (n, H, W, 3).
        masks: bool (n, H, W).
        window: its side in pixels, odd.
        chunk: pairs at a time.

    Returns:
        float64 (n,), at most 1; NaN where a mask is empty.
    """
    parts = [slice(k, k + chunk) for k in range(0, len(masks), chunk)]
    return np.concatenate(
        [_body_ssim(generated[part], target[part], masks[part], window) for part in parts]
    )


def _body_ssim(generated, target, masks, window):
    inside = torch.from_numpy(np.array(masks, bool))[:, None].double()  # (n, 1, H, W)
    x, y = (torch.from_numpy(np.array(part)).permute(0, 3, 1, 2) for part in (generated, target))

    def near(values):  # mean over the window's cells, those outside the mask as zeros
        return F.avg_pool2d(values * inside, window, 1, window // 2)

    share = near(torch.ones_like(inside)).clamp(min=1 / window**2)  # of the window in the mask
    count = share * window**2
    sample = count / (count - 1).clamp(min=1)
    x, y = x.double(), y.double()
    mx, my = near(x) / share, near(y) / share  # (n, 3, H, W)
    vx, vy, vxy = (
        sample * (near(a * b) / share - c * d)
        for a, b, c, d in ((x, x, mx, mx), (y, y, my, my), (x, y, mx, my))
    )
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    local = (2 * mx * my + c1) * (2 * vxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return ((local.mean(1, keepdim=True) * inside).sum((1, 2, 3)) / inside.sum((1, 2, 3))).numpy()


def sharpness(generated, target, mask):
    """How sharp each generated person is, against the real image: 1 is equally sharp.

    The ratio of the two `gradient_energy`, generated over target. Blur lowers it, noise raises
    it: it says nothing about the likeness. Ours, not in the paper, which judges by eye.

    A few smooth targets have very large ratios, so the plain mean over pairs misleads (Market-1501
    images against others of the same person average 1.5). Weighted with the targets' energy the
    mean becomes the ratio of the two average energies: that is what a table states.

    Args:
        generated, target: uint8 (n, H, W, 3).
        mask: (n, H, W), bool or 0 and 1.

    Returns:
        float64 (n,), at least 0; NaN where the mask has no interior or the target no gradient.
    """
    check_images(generated, target)
    return energy_ratio(gradient_energy(generated, mask), gradient_energy(target, mask))


def energy_ratio(energy, real):
    """energy / real, NaN where real is 0: the sharpness, from the two gradient energies."""
    return energy / np.where(real > 0, real, np.nan)


def gradient_energy(images, mask):
    """Mean squared gradient of the luma inside the mask.

    The gradient is the central difference over one pixel to each side, in x and y, of the luma
    in [0, 1]. The mean runs over the pixels whose four neighbours lie in the mask as well, so
    that neither the mask's border nor the image's enters.

    Args:
        images: uint8 (n, H, W, 3).
        mask: (n, H, W), bool or 0 and 1.

    Returns:
        float64 (n,) in squared luma per squared pixel; NaN where the mask has no interior.
    """
    check_images(images)
    mask = as_bool(mask, images)
    parts = [slice(k, k + 16) for k in range(0, len(images), 16)]  # luma takes 8 bytes a pixel
    return np.concatenate(
        [np.empty(0), *(_gradient_energy(images[part], mask[part]) for part in parts)]
    )


def _gradient_energy(images, mask):
    gray = rgb2gray(images)  # (n, H, W)
    gx = (gray[:, 1:-1, 2:] - gray[:, 1:-1, :-2]) / 2  # (n, H-2, W-2)
    gy = (gray[:, 2:, 1:-1] - gray[:, :-2, 1:-1]) / 2
    beside = mask[:, 1:-1, 2:] & mask[:, 1:-1, :-2] & mask[:, 2:, 1:-1] & mask[:, :-2, 1:-1]
    interior = mask[:, 1:-1, 1:-1] & beside
    count = interior.sum((1, 2))
    return ((gx**2 + gy**2) * interior).sum((1, 2)) / np.where(count, count, np.nan)


def mean(values, weights=None):
    """Mean, weighted if weights are given, of the values that are not NaN; NaN if none is."""
    values, weights = _values_and_weights(values, weights)
    return float(values @ weights / weights.sum()) if weights.sum() else float("nan")


def bootstrap_interval(values, identities, weights=None, level=0.95, resamples=2000, seed=0):
    """Percentile bootstrap interval of the (weighted) mean of `values`, over identities.

    Whole people are drawn with replacement, each with all pairs, because pairs of one person
    are alike: drawing pairs would make the interval too narrow.

    Args:
        values: float (n,), one per pair; NaN values are left out.
        identities: (n,), whose pair it is.
        weights: (n,), at least 0, or None.
        level: confidence level.
        resamples, seed: size and seed of the bootstrap.

    Returns:
        (low, high); (nan, nan) with fewer than two people, who leave nothing to resample.

    Raises:
        UserError: values and identities of different length, or a level outside (0, 1).
    """
    identities, shape = np.asarray(identities), np.shape(values)
    if len(shape) != 1 or shape != identities.shape or not 0 < level < 1:
        raise UserError(
            f"a bootstrap needs one identity per value and a level between 0 and 1, not {shape} "
            f"values, {identities.shape} identities and level {level}."
        )
    values, weights = _values_and_weights(values, weights)
    people, person = np.unique(identities[weights > 0], return_inverse=True)
    if len(people) < 2:
        return float("nan"), float("nan")
    values, weights = values[weights > 0], weights[weights > 0]
    total = np.bincount(person, values * weights)  # (people,)
    weight = np.bincount(person, weights)
    drawn = draws(len(people), resamples, seed)
    means = (drawn @ total) / (drawn @ weight)  # (resamples,)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def draws(people, resamples, seed=0):
    """How often a bootstrap draws each of so many people: int (resamples, people)."""
    random = np.random.default_rng(seed)
    return random.multinomial(people, np.full(people, 1 / people), resamples)


def paired_difference(a, b, identities, weights=None, level=0.95, resamples=2000, seed=0):
    """(Weighted) mean of a - b over the same pairs, with its bootstrap interval over identities.

    Far narrower than two separate intervals suggest, since what makes a pair hard is hard for
    both rows. Pairs with a NaN in `a` or `b` are left out.

    Args:
        a, b: float (n,), the scores of two rows on the same pairs, in the same order.
        identities, weights, level, resamples, seed: as for `bootstrap_interval`.

    Returns:
        (difference, low, high).

    Raises:
        UserError: as `bootstrap_interval`, or `a` and `b` of different length.
    """
    change = _change(a, b)
    interval = bootstrap_interval(change, identities, weights, level, resamples, seed)
    return mean(change, weights), *interval


def paired_p_value(a, b, identities, weights=None, flips=10_000, seed=0):
    """Two-sided p-value of a (weighted) mean of a - b, by flipping signs of whole people.

    If two rows were alike, it would be chance which of them a person favours: the sum of a - b
    over each person is as likely as its negative. p is the share of random flips, the one at hand
    among them, whose total is at least as far from zero.

    Args:
        a, b, identities, weights: as for `paired_difference`.
        flips, seed: how many, and their seed; p is at least 1 / (flips + 1).

    Returns:
        float in (0, 1]; NaN with fewer than two people.

    Raises:
        UserError: `a` and `b` of different length.
    """
    change, weights = _values_and_weights(_change(a, b), weights)
    people, person = np.unique(np.asarray(identities)[weights > 0], return_inverse=True)
    if len(people) < 2:
        return float("nan")
    total = np.bincount(person, (change * weights)[weights > 0])  # (people,)
    signs = np.random.default_rng(seed).integers(0, 2, (flips, len(people)), np.int8) * 2 - 1
    as_far = np.abs(signs @ total) >= np.abs(total.sum()) * (1 - 1e-9)  # sums differ by rounding
    return float((1 + as_far.sum()) / (1 + flips))


def holm(p_values):
    """p-values corrected for their number after Holm (1979): of those that stay below 0.05, the
    probability that any one is a false alarm is at most 0.05. NaN stay NaN and do not count.

    The k-th smallest of m becomes (m - k + 1) p, at least what the one before it became, at most 1.
    """
    p_values = np.asarray(p_values, float)
    known = np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    corrected = np.full(p_values.shape, np.nan)
    steps = p_values[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected


def _change(a, b):
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.shape != b.shape:
        raise UserError(f"the two rows have {a.shape} and {b.shape} scores, not the same pairs.")
    return a - b


def _values_and_weights(values, weights):
    """Both as float arrays, with 0 for value and weight where a value is NaN."""
    values = np.asarray(values, float)
    weights = np.ones_like(values) if weights is None else np.asarray(weights, float)
    known = ~np.isnan(values)
    return np.where(known, values, 0), np.where(known, weights, 0)
