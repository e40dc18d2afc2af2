"""Measures of generated people that SSIM misses: detail, sharpness, colour, followed poses.

Pure functions of images, uint8 (n, H, W, 3), and pose masks, bool (n, H, W). Our own measures; the
paper judges by eye.
"""

from functools import wraps

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from skimage.color import rgb2gray
from skimage.draw import polygon2mask

from pg2lib.data.keypoints import torso_found
from pg2lib.evaluation.ssim import as_bool, channels_first, check_images, parts, ssim

CHUNK = 16  # images at a time, at 8 bytes per value
WINDOW = 7  # side of a window of `body_ssim` in pixels


def _in_chunks(score):
    """Check the arguments of a score of (*images, mask) and compute it CHUNK images at a time."""

    @wraps(score)
    def checked(*arrays):
        *images, mask = arrays
        check_images(*images)
        arrays = (*images, as_bool(mask, images[0]))
        values = [score(*(array[part] for array in arrays)) for part in parts(len(mask), CHUNK)]
        return np.concatenate([np.empty(0), *values])

    return checked


def _local_means(inside, window):
    """For a mask (n, 1, H, W): (function values (n, c, H, W) -> their means over those pixels of a
    square window that are in the mask, share of the window that is)."""

    def near(values):
        return F.avg_pool2d(values * inside, window, 1, window // 2)

    share = near(torch.ones_like(inside)).clamp(min=1 / window**2)
    return lambda values: near(values) / share, share


def _inside(masks):
    return torch.from_numpy(np.array(masks, bool))[:, None].double()  # (n, 1, H, W)


@_in_chunks
def body_ssim(generated, target, masks):
    """SSIM inside the mask, from windows that see nothing outside it: float64 (n,), at most 1; NaN
    where a mask is empty.

    In mask-SSIM black agrees with black: small masks score high, and missing joints would seem to
    help. Here a window's means, variances and covariance come from its pixels inside the mask, and
    the map is averaged over the mask. Where a window lies within the mask this is SSIM of preset
    "pg2" (7x7, uniform, sample covariance, L = 255).
    """
    inside = _inside(masks)
    x, y = (channels_first(images).double() for images in (generated, target))
    mean, share = _local_means(inside, WINDOW)
    count = share * WINDOW**2
    sample = count / (count - 1).clamp(min=1)
    mx, my = mean(x), mean(y)  # (n, 3, H, W)
    vx, vy, vxy = (
        sample * (mean(a * b) - c * d)
        for a, b, c, d in ((x, x, mx, mx), (y, y, my, my), (x, y, mx, my))
    )
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    local = (2 * mx * my + c1) * (2 * vxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return ((local.mean(1, keepdim=True) * inside).sum((1, 2, 3)) / inside.sum((1, 2, 3))).numpy()


def sharpness(generated, target, mask):
    """Sharpness of each generated person relative to the real image, the ratio of the two
    `gradient_energy`: float64 (n,), 1 is equally sharp; NaN where the mask has no interior or the
    target no gradient.

    Blur lowers it and noise raises it; it does not measure likeness. A few smooth targets have
    very large ratios, so the plain mean over pairs misleads (1.5 for other images of the person in
    Market-1501); tables weight it with the targets' energy.
    """
    check_images(generated, target)
    return energy_ratio(gradient_energy(generated, mask), gradient_energy(target, mask))


def energy_ratio(energy, real):
    """Sharpness from the two gradient energies; NaN where `real` is 0."""
    return energy / np.where(real > 0, real, np.nan)


@_in_chunks
def gradient_energy(images, mask):
    """Mean squared gradient of the luma in [0, 1] inside the mask: float64 (n,) in squared luma per
    squared pixel; NaN where the mask has no interior.

    The gradient is the central difference over one pixel to each side, in x and y. The mean covers
    pixels whose four neighbours lie in the mask too: the borders of mask and image do not count.
    """
    gray = rgb2gray(images)  # (n, H, W)
    gx = (gray[:, 1:-1, 2:] - gray[:, 1:-1, :-2]) / 2  # (n, H-2, W-2)
    gy = (gray[:, 2:, 1:-1] - gray[:, :-2, 1:-1]) / 2
    neighbours = mask[:, 1:-1, 2:] & mask[:, 1:-1, :-2] & mask[:, 2:, 1:-1] & mask[:, :-2, 1:-1]
    return region_mean(gx**2 + gy**2, mask[:, 1:-1, 1:-1] & neighbours)


def structure(generated, target, masks):
    """How much of the target's fine structure a generated image has, and how much of its own.

    With h the luma minus its local mean (window: a sixteenth of the height, inside the mask) and
    h* that of the target, a dict of float64 (n,), NaN where the target has no structure:
      detail         <h, h*> / <h*, h*>: 1 if all of the target's structure is there, 0 if none
      artefacts      |h - detail h*|^2 / |h*|^2: structure that the target does not have there;
                     blur lowers both, noise raises this one alone
      target_detail  |h*|^2, which weights the mean of the two
    """
    inside, fine = _inside(masks), []
    mean, _ = _local_means(inside, masks.shape[1] // 16 | 1)
    for images in (generated, target):
        luma = torch.from_numpy(rgb2gray(images)).double()[:, None]
        fine.append(((luma - mean(luma)) * inside).flatten(1).numpy())  # (n, H W)
    h, true = fine
    both, own, energy = (h * true).sum(1), (h * h).sum(1), (true * true).sum(1)
    safe = np.where(energy > 0, energy, np.nan)
    return {
        "detail": both / safe,
        "artefacts": (own - both**2 / safe) / safe,
        "target_detail": energy,
    }


def local_colour_error(generated, target, masks):
    """Mean absolute difference of local mean colours, the clothes' colour and not their pattern:
    float64 (n,) in grey levels; NaN where a mask is empty.

    Means are taken inside the mask over square cells of a sixteenth of the height.
    """
    cell, inside = max(masks.shape[1] // 16, 1), _inside(masks)
    change = channels_first(generated.astype(np.float64) - target) * inside
    # a cell cut off by the border counts by its pixels, hence the same divisor for all
    pool = dict(ceil_mode=True, divisor_override=cell**2)
    change, inside = (F.avg_pool2d(x, cell, **pool) for x in (change, inside))
    total = inside.sum((1, 2, 3)).numpy()
    return change.abs().mean(1).sum((1, 2)).numpy() / np.where(total > 0, total, np.nan)


@_in_chunks
def mean_colour_error(generated, target, masks):
    """Mean over R, G, B of the absolute difference of the mean colours inside the mask: float64
    (n,) in grey levels; 0 where a mask is empty."""
    area = masks.sum((1, 2))[:, None].clip(min=1)
    change = ((generated - target.astype(float)) * masks[..., None]).sum((1, 2)) / area
    return np.abs(change).mean(1)


def torso_colour_kept(generated, target, keypoints, limit=20.0):
    """Whether the clothes have the right colour: 1 where `mean_colour_error` inside the torso of
    the pose is at most `limit` grey levels, else 0; float64 (n,), NaN where no torso is known.

    keypoints: float (n, 18, 2), the target's; the torso is the polygon of shoulders and hips.
    """
    corners = np.asarray(keypoints)[:, [2, 5, 11, 8], ::-1]  # (n, 4, 2) as (y, x)
    masks = np.stack([polygon2mask(target.shape[1:3], corner) for corner in corners])
    known = torso_found(np.asarray(keypoints)) & masks.any((1, 2))
    return np.where(known, mean_colour_error(generated, target, masks) <= limit, np.nan)


@_in_chunks
def masked_error(generated, target, masks):
    """Mean absolute error inside the mask: float64 (n,) in grey levels; 0 where a mask is empty."""
    error = np.abs(generated - target.astype(float)).mean(-1)
    return (error * masks).sum((1, 2)) / masks.sum((1, 2)).clip(min=1)


def region_mean(values, region):
    """Mean of values (n, H, W) in a region, bool (n, H, W): float64 (n,), NaN where it is empty."""
    area = region.sum((1, 2))
    return (values * region).sum((1, 2)) / np.where(area, area, np.nan)


def mask_overlap(mask, body):
    """How well a pose mask covers a body, both bool (H, W): (coverage, purity, IoU), the share of
    the body in the mask, of the mask on the body, and intersection over union."""
    both = (mask & body).sum()
    return both / body.sum(), both / max(mask.sum(), 1), both / (mask | body).sum()


def shift_followed(still, moved, masks, reach):
    """Pixels by which each generated person moved sideways: int (n,), positive to the right.

    It is the shift of `still` closest to `moved`, which was generated for the shifted pose, by mean
    absolute difference inside the shifted pose's mask; at most `reach` to either side.
    """
    still, moved = (images.astype(np.float32) for images in (still, moved))
    shifts = np.arange(-reach, reach + 1)
    misfit = [(np.abs(np.roll(still, d, 2) - moved).mean(-1) * masks).sum((1, 2)) for d in shifts]
    return shifts[np.argmin(misfit, 0)]


def blurred(images):
    """uint8 (n, H, W, 3), each pixel the mean over a window of a thirtieth of the height."""
    window = images.shape[1] // 30 | 1
    x = channels_first(images).float()
    x = F.avg_pool2d(x, window, 1, window // 2, count_include_pad=False)
    return x.round().byte().permute(0, 2, 3, 1).numpy()


def measures(generated, images, target, masks, names, preset="pg2", chunk=64):
    """The measures that claims are tested by: a DataFrame of k rows, a column per measure.

    detail, artefacts, target_detail: `structure`. background_artefacts: artefacts outside the mask,
    and background_detail, its weight. colour: `local_colour_error`. body_ssim: `body_ssim`.
    blur_gain: gain in SSIM, of a preset of `ssim.PRESETS`, by `blurred`.

    generated: uint8 (k, H, W, 3), memory maps are read `chunk` images at a time; images: uint8
    (n, H, W, 3); target: int (k,), indices of the real images among them; masks: bool (k, H, W);
    names: measures to compute, of which others are ignored.
    """
    frames = []
    for part in parts(len(generated), chunk):
        outputs, real, mask = np.asarray(generated[part]), images[target[part]], masks[part]
        columns = {}
        if {"detail", "artefacts"} & set(names):
            columns |= structure(outputs, real, mask)
        if "background_artefacts" in names:
            around = structure(outputs, real, ~mask)
            columns["background_artefacts"] = around["artefacts"]
            columns["background_detail"] = around["target_detail"]
        if "colour" in names:
            columns["colour"] = local_colour_error(outputs, real, mask)
        if "body_ssim" in names:
            columns["body_ssim"] = body_ssim(outputs, real, mask)
        if "blur_gain" in names:
            sharp, soft = (ssim(x, real, preset) for x in (outputs, blurred(outputs)))
            columns["blur_gain"] = soft - sharp
        frames.append(pd.DataFrame(columns, index=range(part.start, part.stop)))
    return pd.concat(frames)
