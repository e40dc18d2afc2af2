"""Keypoints as tensors: the pose heatmaps P_B and the pose mask M_B (paper, section 3.1).

Everything is batched and stays on the keypoints' device, without host synchronisation.
"""

import math
from functools import reduce
from itertools import combinations

import torch
import torch.nn.functional as F

from pg2lib.core.files import UserError
from pg2lib.data.keypoints import TORSO, found

# The limbs of the released code's pose mask: `keypoints.LIMBS` without the ear-shoulder limbs, plus
# neck-ear, hip-hip, hip-shoulder and ear-ear, which frame the torso and head.
MASK_LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7),
    (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13),
    (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
    (1, 16), (1, 17), (8, 11), (11, 5), (8, 2), (16, 17),
)  # fmt: skip

VALUES = {"paper": (0.0, 1.0), "released": (-1.0, 1.0)}
VARIANTS = ("released", "scaled")


def heatmaps(keypoints, height, width, radius=4, values="paper"):
    """One map per joint of (B, 18, 2): a filled disc; empty for a missing joint.

    The disc holds the pixels with sqrt(dx² + dy²) <= radius about the joint's pixel (its
    coordinates truncated), clipped at the border: 49 pixels at the paper's radius 4. The radius
    does not grow with the size (the released code uses 4 at 256x256 too). `values`: "paper" for 1
    inside and 0 outside (section 3.1), "released" for +1 and -1.

    Returns float32 (B, 18, H, W). Raises UserError: unknown `values`, bad size, radius or shape.
    """
    if values not in VALUES:
        raise UserError(f"heatmap values must be one of {', '.join(VALUES)}, not '{values}'.")
    _check(keypoints, height, width, radius)
    outside, inside = VALUES[values]
    centre = torch.where(found(keypoints)[..., None], keypoints.floor(), torch.inf)  # (B, 18, 2)
    dx = torch.arange(width, device=keypoints.device) - centre[..., :1]  # (B, 18, W)
    dy = torch.arange(height, device=keypoints.device) - centre[..., 1:]  # (B, 18, H)
    disc = dx.square()[..., None, :] <= (radius**2 - dy.square())[..., None]  # (B, 18, H, W)
    return disc.float().mul_(inside - outside).add_(outside)


def gaussian_heatmaps(keypoints, height, width, sigma=6.0):
    """One map per joint of (B, 18, 2): a Gaussian of peak 1, never cut off; empty for a missing
    joint (PATN, tool/generate_pose_map_market.py).

    sigma: standard deviation in pixels. Coordinates are truncated to pixels. Returns float32 (B,
    18, H, W) in [0, 1]. Raises UserError for a bad size, deviation or shape.
    """
    _check(keypoints, height, width, 1)
    if sigma <= 0:
        raise UserError(f"the deviation of a heatmap must be above 0, not {sigma}.")
    centre = torch.where(found(keypoints)[..., None], keypoints.floor(), torch.inf)  # (B, 18, 2)
    dx = torch.arange(width, device=keypoints.device) - centre[..., :1]  # (B, 18, W)
    dy = torch.arange(height, device=keypoints.device) - centre[..., 1:]  # (B, 18, H)
    across, down = ((d.square() / (-2 * sigma**2)).exp() for d in (dx, dy))
    return down[..., None] * across[..., None, :]


def pose_mask(keypoints, height, width, radius=4, variant="released"):
    """The pose mask M_B: 1 on the body, 0 on the background.

    `variant="released"` is that of the released code: `pose_skeleton`, then one closing (dilation,
    then erosion) with a 5x5 square, with the same constants at every size. Both steps ignore what
    is outside the image, as scikit-image does, so the border is not background. At 128x64 this
    fills the body; at 256x256 the torso stays hollow.

    `variant="scaled"` is ours: the radius, the spacing of the discs and the square grow with height
    / 128, and the convex hull of shoulders and hips (the triangle, if one of the four is missing)
    is filled, so that the torso has no hole at any size.

    `keypoints` (B, 18, 2); `radius` is half a limb's thickness in pixels, for "scaled" at height
    128. Returns float32 (B, 1, H, W) of 0 and 1. Raises UserError for an unknown `variant`, a bad
    size, radius or shape.
    """
    if variant not in VARIANTS:
        raise UserError(f"the mask variant must be one of {', '.join(VARIANTS)}, not '{variant}'.")
    _check(keypoints, height, width, radius)
    scale = height / 128 if variant == "scaled" else 1
    mask = pose_skeleton(keypoints, height, width, max(1, radius * scale))
    if variant == "scaled":
        mask = torch.maximum(mask, _torso(keypoints, height, width))
    reach = max(1, round(2 * scale))
    return -_dilate(-_dilate(mask, reach), reach)


def pose_skeleton(keypoints, height, width, radius=4):
    """The pose mask before its closing: discs along the 23 limbs whose two joints are found.

    Discs are centred at both ends and, with n = int(length / radius), at i/n of the way for
    0 < i < n; centres are truncated to pixels (released code). A joint without a complete limb is
    not drawn. Limbs are cut off at a length of 2 (H + W).

    Args and errors as for `pose_mask`; returns float32 (B, 1, H, W) of 0 and 1.
    """
    _check(keypoints, height, width, radius)
    # Double precision if available: truncation must agree with the released code.
    precise = keypoints.float() if keypoints.device.type == "mps" else keypoints.double()
    start, end = (torch.stack([precise[:, limb[i]] for limb in MASK_LIMBS], 1) for i in (0, 1))
    drawn = found(start) & found(end)  # (B, 23)
    pieces = ((end - start).square().sum(-1).sqrt() / radius).floor().clamp(min=1)  # (B, 23)

    # A fixed number of steps, for the longest possible limb, needs no host synchronisation.
    i = torch.arange(int(2 * (height + width) / radius) + 1, device=keypoints.device)  # (S,)
    centre = start[:, :, None] + (end - start)[:, :, None] * i[:, None] / pieces[..., None, None]
    centre = centre.floor()  # (B, 23, S, 2)

    # Mark the centres on a canvas with a margin, as wide as discs reach into the frame, and all
    # others on one spare cell at the end.
    margin = int(radius)
    rows, columns = height + 2 * margin, width + 2 * margin
    x, y = (centre + margin).unbind(-1)  # (B, 23, S)
    drawn = drawn[..., None] & (i <= pieces[..., None])
    drawn = drawn & (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
    cell = torch.where(drawn, y * columns + x, rows * columns).long().flatten(1)  # (B, 23 S)
    canvas = torch.zeros(len(keypoints), rows * columns + 1, device=keypoints.device)
    canvas = canvas.scatter_(1, cell, 1.0)[:, :-1].view(-1, 1, rows, columns)
    return _stamp(canvas, radius)


def patn_mask(keypoints, height, width, radius=4):
    """The pose mask of PATN's and Deformable GAN's mask-SSIM and mask-IS (tool/pose_utils.py):
    rectangles that reach `radius` to both sides of the 23 limbs whose joints are found, discs of
    less than `radius` about every found joint, and `pose_mask`'s closing with a 5x5 square.

    Unlike `pose_mask`, joints without a limb are drawn, and nothing is truncated to pixels. All
    constants are the same at every size. A pixel on a rectangle's edge belongs to it, one on a
    disc's edge does not, as in scikit-image.

    Args and errors as for `pose_mask`; returns float32 (B, 1, H, W) of 0 and 1.
    """
    _check(keypoints, height, width, radius)
    joints, drawn = keypoints.double()[..., None, None, :], found(keypoints)[..., None, None]
    x = torch.arange(width, device=keypoints.device)  # (W,)
    y = torch.arange(height, device=keypoints.device)[:, None]  # (H, 1)
    mask = torch.zeros(len(keypoints), height, width, dtype=torch.bool, device=keypoints.device)
    for start, end in MASK_LIMBS:  # one by one: all at once take gigabytes
        (xa, ya), (xb, yb) = (joints[:, joint].unbind(-1) for joint in (start, end))
        dx, dy = xb - xa, yb - ya
        square = dx**2 + dy**2  # (B, 1, 1)
        there = drawn[:, start] & drawn[:, end] & (square > 0)
        reach = torch.where(there, radius * square.sqrt(), -1)
        # Distances from the limb's line and, along it, from its middle, times its length.
        aside = (dx * (y - ya) - dy * (x - xa)).abs_()  # (B, H, W)
        along = (dy * (y - ya) + (dx * (x - xa) - square / 2)).abs_()
        mask |= (aside <= reach).logical_and_(along <= square / 2)
    for joint in range(joints.shape[1]):
        xa, ya = joints[:, joint].unbind(-1)
        mask |= ((x - xa) ** 2 + (y - ya) ** 2 < radius**2) & drawn[:, joint]
    return -_dilate(-_dilate(mask[:, None].float(), 2), 2)


def _stamp(points, radius):
    """Discs about the marked cells: (B, 1, H + 2 margin, W + 2 margin) -> (B, 1, H, W)."""
    margin = int(radius)
    height, width = (size - 2 * margin for size in points.shape[2:])
    wide = [points[..., margin : margin + width]]  # k: every row widened by k cells to both sides
    for k in range(1, margin + 1):
        left, right = (points.narrow(3, margin + side, width) for side in (-k, k))
        wide.append(torch.maximum(wide[-1], torch.maximum(left, right)))
    rows = (
        wide[math.isqrt(int(radius**2 - dy**2))].narrow(2, margin + dy, height)
        for dy in range(-margin, margin + 1)
    )
    return reduce(torch.maximum, rows)


def _dilate(images, reach):
    """Largest value in a square of side 2 reach + 1, ignoring pixels outside the image.

    Maxima of shifted views are far faster on a CPU than max_pool2d.
    """
    for axis, padding in ((2, (0, 0, reach, reach)), (3, (reach, reach))):
        wide, length = F.pad(images, padding, value=-torch.inf), images.shape[axis]
        images = reduce(torch.maximum, (wide.narrow(axis, i, length) for i in range(2 * reach + 1)))
    return images


def _torso(keypoints, height, width):
    """Convex hull of shoulders and hips (at least three): float32 (B, 1, H, W)."""
    corners = keypoints[:, list(TORSO)]  # (B, 4, 2)
    drawn = found(corners).sum(-1, keepdim=True) >= 3  # (B, 1)
    y = torch.arange(height, device=keypoints.device)
    left = torch.full((len(keypoints), height), torch.inf, device=keypoints.device)  # (B, H)
    right = -left
    # In every row the hull reaches from the leftmost to the rightmost line between two corners.
    for a, b in combinations(range(len(TORSO)), 2):
        (xa, ya), (xb, yb) = (corners[:, i, :, None].floor().unbind(1) for i in (a, b))  # (B, 1)
        both = found(corners[:, a]) & found(corners[:, b])
        crossed = drawn & both[:, None] & (ya != yb)
        crossed = crossed & (torch.minimum(ya, yb) <= y) & (y <= torch.maximum(ya, yb))  # (B, H)
        x = xa + (xb - xa) * (y - ya) / (yb - ya)
        left = torch.where(crossed, torch.minimum(left, x), left)
        right = torch.where(crossed, torch.maximum(right, x), right)
    x = torch.arange(width, device=keypoints.device)
    return ((left[..., None] <= x) & (x <= right[..., None]))[:, None].float()


def _check(keypoints, height, width, radius):
    if keypoints.ndim != 3 or keypoints.shape[1:] != (18, 2):
        raise UserError(f"keypoints must be (B, 18, 2), not {tuple(keypoints.shape)}.")
    if min(height, width) < 1 or radius < 1:
        raise UserError(f"cannot draw at {height}x{width} with radius {radius}.")
