"""Copy scores: how much of the condition image is left where the target looks different.

A generator that copies I_A gets a realistic image for free. The paper shows D pairs with I_A to
prevent this (section 3.2); these scores, which are ours, measure how much was copied. Each is 0
for the real target I_B and 1 for the condition image itself.

Colours: every image is taken as its difference from the mean training image, so that a grey or
blurred image is no copy. Let c' be the part of I_A's difference that is orthogonal to I_B's, within
a region. The score is how much of c' the generated image has, a least-squares coefficient:

    generated = a * target + b * condition + rest,    b = <c', generated> / <c', c'>

The mean over pairs is weighted with <c', c'> per pixel: where both images look alike, b is noise.
"""

import numpy as np
import torch

from pg2lib.data.dataset import blocks
from pg2lib.data.geometry import body_size
from pg2lib.data.heatmaps import pose_mask
from pg2lib.data.keypoints import found
from pg2lib.evaluation.pck import share

LEAST_PIXELS = 8  # of a region
LEAST_ENERGY = 1.0  # <c', c'> per value, squared grey levels; below it both images are the same


def mean_image(dataset):
    """The mean training image, float32 (H, W, 3) in grey levels from 0 to 255."""
    total, start = np.zeros(dataset.images.shape[1:]), 0
    for block in blocks(dataset.images):
        total += block[dataset.train[start : start + len(block)]].sum(0, dtype=np.float64)
        start += len(block)
    return (total / max(dataset.train.sum(), 1)).astype(np.float32)


def copy_scores(generated, condition, target, old, new, estimated, typical, variant="released"):
    """All copy scores of pairs, with their weights.

    Args:
        generated, condition, target: uint8 (k, H, W, 3).
        old, new: float (k, 18, 2), the keypoints P_A and P_B.
        estimated: float (k, 18, 2), joints that `pose_score.estimate` finds in `generated`.
        typical: (H, W, 3), from `mean_image`.
        variant: of the pose masks, see `heatmaps.pose_mask`.

    Returns:
        dict of float64 (k,): "background_copy", outside both bodies, and "body_copy", where the
        condition's body is and the target's is not (ghost limbs), see `copied`; `pose_copy`; and
        "background_weight" and so on. NaN, weight 0, where a pair has no such region or joint.
    """
    poses = (torch.from_numpy(np.array(k)) for k in (old, new))
    masks = (pose_mask(pose, *typical.shape[:2], variant=variant) for pose in poses)
    before, after = (mask[:, 0].bool().numpy() for mask in masks)
    images, scores = (generated, condition, target), {}
    for part, (score, weight) in {
        "background": copied(*images, typical, ~before & ~after),
        "body": copied(*images, typical, before & ~after),
        "pose": pose_copy(estimated, old, new),
    }.items():
        scores |= {f"{part}_copy": score, f"{part}_weight": weight}
    return scores


def copied(generated, condition, target, typical, region):
    """How much of the condition image is left in a region, bool (k, H, W): (b as in the module
    docstring, its weight), float64 (k,). Other arguments: see `copy_scores`.

    b is exactly 0 for the target and 1 for the condition image, in between for a faded or blurred
    copy, below 0 for a negative. The weight is <c', c'> per value in squared grey levels. NaN and 0
    if the region is below LEAST_PIXELS or condition and target look the same there.
    """
    inside = region[..., None]
    g, c, t = (
        np.where(inside, images - np.asarray(typical, np.float64), 0).reshape(len(region), -1)
        for images in (generated, condition, target)
    )
    tt, ct = (np.einsum("kp,kp->k", x, t) for x in (t, c))
    own = c - (ct / np.where(tt > 0, tt, 1))[:, None] * t  # c'
    energy = np.einsum("kp,kp->k", own, own)
    pixels = region.sum((1, 2))
    weight = energy / np.maximum(3 * pixels, 1)
    known = (pixels >= LEAST_PIXELS) & (weight >= LEAST_ENERGY)
    # c' is orthogonal to t: subtracting t changes nothing but makes b exactly 0 for the target
    b = np.einsum("kp,kp->k", own, g - t) / np.where(known, energy, np.nan)
    return b, np.where(known, weight, 0.0)


def pose_copy(estimated, old, new):
    """Share of the joints that had to move but are found nearer to their old place: (share, number
    of such joints), float64 (k,), 1 for the condition's pose, 0 for the target's, NaN without any.

    Counts joints found in both poses, more than 0.4 `body_size` of the target pose apart (twice the
    threshold of PCK). Other arguments: see `copy_scores`; joints not in `estimated` are left out.
    """
    estimated, old, new = (np.asarray(k, np.float64) for k in (estimated, old, new))
    moved = np.linalg.norm(old - new, axis=-1) > 0.4 * body_size(new)[:, None]
    counted = moved & found(estimated) & found(old) & found(new)  # (k, 18)
    nearer = np.linalg.norm(estimated - old, axis=-1) < np.linalg.norm(estimated - new, axis=-1)
    return share(nearer, counted), counted.sum(-1).astype(np.float64)
