"""PCK and PCKh: shares of correctly placed joints. Pure functions of keypoints."""

import numpy as np

from pg2lib.data.geometry import body_size, span
from pg2lib.data.keypoints import found

HEAD = (0, 1, 14, 15, 16, 17)  # nose, neck, eyes, ears, as PATN has it
ARMS = (3, 4, 6, 7)  # elbows and wrists


def pck(estimated, reference, alpha=0.2):
    """PCK: the share of a person's joints within alpha torsos (`body_size`) of their reference,
    float64 (k,) in [0, 1], NaN where the reference has no joint.

    The usual measure of pose estimation (Yang and Ramanan 2013, with the box around the person as
    unit), here with the torso's diagonal and alpha 0.2, as usual for FLIC and LSP (Toshev and
    Szegedy 2014). Not in the paper. The mean weighted with `joint_counts` is the share over all
    joints.

    estimated: float (k, 18, 2), joints of the generated images, of which a missing one is wrong;
    reference: float (k, 18, 2), P_B, of which missing ones do not count.
    """
    reach = alpha * body_size(reference)[:, None]  # (k, 1)
    away = np.linalg.norm(np.asarray(estimated, np.float64) - reference, axis=-1)  # (k, 18)
    return share(found(np.asarray(estimated)) & (away <= reach), found(np.asarray(reference)))


def pckh(estimated, reference, joints=slice(None)):
    """PCKh as PATN computes it: share of the joints off by less than half a head, in x and in y;
    arguments and result as for `pck`. joints: indices of those that count (default: all).

    The head is the box around those of nose, neck, eyes and ears that the reference has. A joint is
    right if |dx| is less than half the box's width and |dy| less than half its height (not the
    distance and head segment of MPII); in a box without width nothing is right. A missing estimate
    is wrong; a pair whose reference has fewer than two head joints is left out, NaN (PATN,
    tool/calPCKH_market.py). PATN pools joints over all images, as the mean weighted with
    `joint_counts` does; its poses come from OpenPose, so that its numbers cannot be compared.
    """
    estimated, reference = (np.asarray(k, np.float64) for k in (estimated, reference))
    heads = reference[:, HEAD, :]
    known = found(heads).sum(1) >= 2
    near = np.abs(estimated - reference) < span(heads)[:, None] / 2  # (k, 18, 2)
    right, counted = found(estimated) & near.all(-1), found(reference) & known[:, None]  # (k, 18)
    return share(right[:, joints], counted[:, joints])


def joint_counts(reference):
    """Number of joints of each pose, int64 (k,): the weights of PCK and PCKh."""
    return found(np.asarray(reference)).sum(-1)


def share(right, counted):
    """Share of `right` among `counted` per row, NaN where nothing counts."""
    total = counted.sum(-1)
    return (right & counted).sum(-1) / np.where(total, total, np.nan)
