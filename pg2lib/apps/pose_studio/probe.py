"""The effect of one edit of a pose, measured by program."""

import numpy as np
import torch

from pg2lib.apps.pose_studio.editor import PoseEditor
from pg2lib.data import heatmaps

NECK, SHOULDER, ELBOW, WRIST = range(1, 5)  # the right arm in JOINTS


def elbow_out(pose, height, width, pixels=10):
    """The pose with its right elbow further from the neck, by pixels of a frame of 128 rows."""
    editor, (x, y) = PoseEditor(pose, height, width), pose[ELBOW]
    away = pixels * height / 128
    editor.drop(ELBOW, x + away if x > pose[NECK, 0] else x - away, y)
    return editor.pose


def arm_up(pose, height, width):
    """The pose with its right arm straight up."""
    editor, unit, (x, y) = PoseEditor(pose, height, width), height / 128, pose[SHOULDER]
    for joint, high in ((ELBOW, 18), (WRIST, 33)):
        editor.drop(joint, x - 4 * unit, y - high * unit)
    return editor.pose


def regions(old, new, height, width, joint=ELBOW):
    """Where a change of pose (18, 2) may change the image: (body, near), bool (H, W), the pose mask
    of either pose, and what is within height / 8 of the joint's old or new place."""
    poses = torch.from_numpy(np.stack([old, new]))
    masks = heatmaps.pose_mask(poses, height, width)
    y, x = np.mgrid[:height, :width]
    near = [np.hypot(x - a, y - b) <= height / 8 for a, b in (old[joint], new[joint])]
    return masks.any(0)[0].numpy(), near[0] | near[1]


def share(change, region):
    """The share of a change (..., H, W) that is inside a region of the same shape."""
    return change[region].sum() / max(change.sum(), 1e-9)
