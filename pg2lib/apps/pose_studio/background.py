"""One background for all images of a sequence. The networks generate each image separately, so the
background varies."""

import numpy as np
import torch
import torch.nn.functional as F

from pg2lib.data import heatmaps

GROW, SOFT = 1 / 32, 1 / 16  # of the frame's height: the mask's margin, and how wide its edge is


def person(poses, height: int, width: int) -> np.ndarray:
    """`shares` of poses (k, 18, 2): float32 (k, height, width, 1)."""
    poses = torch.from_numpy(np.asarray(poses, np.float32))
    return shares(poses, height, width).permute(0, 2, 3, 1).numpy()


def shares(poses, height: int, width: int):
    """Where the person of each pose (k, 18, 2) is: the pose mask with a margin for hair and clothes
    and a soft edge, float32 (k, 1, height, width) from 0 to 1."""
    grow, soft = round(GROW * height), round(SOFT * height)
    masks = heatmaps.pose_mask(poses, height, width)
    masks = F.max_pool2d(masks, 2 * grow + 1, 1, grow)
    masks = F.pad(masks, (soft,) * 4, mode="replicate")
    for _ in range(2):
        masks = F.avg_pool2d(masks, soft + 1, 1)
    return masks


def behind(images, poses) -> np.ndarray:
    """The background that images uint8 (k, H, W, 3) share, float (H, W, 3): their mean where the
    person of their pose (k, 18, 2) is not."""
    weights = 1.001 - person(poses, *images.shape[1:3])  # where the person always is: of all
    return (weights * images).sum(0) / weights.sum(0)


def put(images, poses, background) -> np.ndarray:
    """The people of images uint8 (k, H, W, 3), cut out by their poses (k, 18, 2), in front of a
    background (H, W, 3): uint8 (k, H, W, 3)."""
    share = person(poses, *images.shape[1:3])
    return (share * images + (1 - share) * background).round().astype(np.uint8)
