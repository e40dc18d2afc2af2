"""Geometry of poses: normalised shape and distance, facing, hidden joints."""

import numpy as np

from pg2lib.data.keypoints import JOINTS, SWAP, TORSO, found

# Neck, arms, hips and legs, without the face, which is hidden from behind.
BODY = tuple(range(1, 14))
NOSE, NECK, EARS = 0, 1, (16, 17)
# Distance between the shoulders over that from shoulders to hips, seen from the front: the median
# of the drawn people and of Market-1501's keypoints.
SHOULDER_RATIO = 0.8


def normalised(keypoints):
    """Poses independent of position and size: centred on the torso, in torso lengths.

    The centre is the mean of the shoulders and hips that were found, the torso length the largest
    distance between two of them, which stays long for a person bending towards the camera.

    Args:
        keypoints: (n, 18, 2).

    Returns:
        float64 (n, 18, 2); NaN for missing joints, and for all joints of a pose that has fewer
        than two of the four.
    """
    points = np.where(found(keypoints)[..., None], keypoints, np.nan).astype(float)
    corners = points[:, list(TORSO)]  # (n, 4, 2)
    have = found(keypoints)[:, list(TORSO), None]
    count = have.sum(1)  # (n, 1)
    centre = np.where(have, corners, 0).sum(1) / np.where(count >= 2, count, np.nan)
    apart = np.linalg.norm(corners[:, :, None] - corners[:, None], axis=-1)  # (n, 4, 4)
    length = np.nan_to_num(apart).max((1, 2))
    return (points - centre[:, None]) / np.where(length > 0, length, np.nan)[:, None, None]


def pose_distance(keypoints, training, shared=2 / 3, chunk=1024):
    """Distance of each pose to its nearest training pose, mirrored ones included.

    The root mean square over the joints that both have, after `normalised`. A training pose with
    fewer than `shared` of the pose's joints does not count: nearly empty poses would be near to
    everything.

    Args:
        keypoints: (n, 18, 2).
        training: (m, 18, 2); training mirrors images (paper 4.1), and so their poses.
        shared: share of the pose's joints that a neighbour must have.
        chunk: poses at a time; a chunk takes chunk * m * 32 bytes.

    Returns:
        float64 (n,) in torso lengths; NaN for a pose without torso or without any neighbour.
    """
    known = normalised(training)
    # A mirrored pose: x changes sign about the torso's centre, left becomes right.
    known = np.concatenate([known, known[:, SWAP] * (-1, 1)])
    known = known[~np.isnan(known).all((1, 2))]
    return np.concatenate(
        [
            _nearest(part, known, shared)
            for part in np.array_split(normalised(keypoints), -(-len(keypoints) // chunk) or 1)
        ]
    )


def _nearest(poses, known, shared):
    """Distances (n,) of (n, 18, 2) to the nearest of (m, 18, 2); NaN marks missing joints."""
    (has, a), (had, b) = ((~np.isnan(x[..., 0]) * 1.0, np.nan_to_num(x)) for x in (poses, known))
    both = has @ had.T  # (n, m) joints in common
    square = (a**2).sum(-1) @ had.T + has @ (b**2).sum(-1).T
    square = square - 2 * a.reshape(len(a), -1) @ b.reshape(len(b), -1).T
    allowed = (both > 0) & (both >= shared * has.sum(1, keepdims=True))
    square = np.where(allowed, square.clip(min=0) / both.clip(min=1), np.inf)
    distance = np.sqrt(square.min(1, initial=np.inf))
    return np.where(np.isfinite(distance), distance, np.nan)


def facing(keypoints):
    """The direction people face, from the order and distance of the shoulders and from the face.

    Seen from the front the person's right shoulder is on the left of the image and both are
    `SHOULDER_RATIO` torso lengths apart. Their distance falls with the cosine of the rotation and
    changes sign at a quarter turn. The side follows from the nose relative to the neck, or from
    behind from the one visible ear.

    Args:
        keypoints: (n, 18, 2).

    Returns:
        (yaw, sided): yaw float64 (n,) in degrees: 0 faces the camera, +90 the right of the
        image, 180 away from it; NaN without both shoulders and a hip. sided bool (n,): whether
        the sign of yaw is known; if not, yaw is positive.
    """
    points = np.where(found(keypoints)[..., None], keypoints, np.nan).astype(float)
    right, left = points[:, TORSO[0]], points[:, TORSO[1]]
    hips, have = points[:, list(TORSO[2:])], found(keypoints)[:, list(TORSO[2:]), None]
    count = have.sum(1)
    hip = np.where(have, hips, 0).sum(1) / np.where(count, count, np.nan)  # (n, 2)
    torso = np.linalg.norm((right + left) / 2 - hip, axis=1)
    cosine = (left - right)[:, 0] / (SHOULDER_RATIO * np.where(torso > 0, torso, np.nan))
    yaw = np.degrees(np.arccos(cosine.clip(-1, 1)))

    side = np.nan_to_num(np.sign(points[:, NOSE, 0] - points[:, NECK, 0]))
    right_ear, left_ear = (found(keypoints)[:, ear] for ear in EARS)
    side = np.where(side == 0, right_ear.astype(int) - left_ear, side)
    return np.where(side < 0, -yaw, yaw) + 0.0, side != 0  # no -0


def rotation(condition, target):
    """Degrees (n,), 0 to 180, between the directions two poses (n, 18, 2) face.

    Where a side is unknown, the smaller of the two possible angles; NaN where a direction is NaN.
    """
    (a, a_sided), (b, b_sided) = facing(condition), facing(target)
    apart = np.abs((a - b + 180) % 360 - 180)
    return np.where(a_sided & b_sided, apart, np.abs(np.abs(a) - np.abs(b)))


def unseen(condition, target):
    """Number of body joints of the target that the condition image does not show: int (n,).

    A joint counts when the target has it and the condition either lacks it or has it across its
    own torso, where the target does not (see `crossing`): there arm and torso hide each other.
    """
    has, had = found(target), found(condition)
    hidden = has & (~had | (crossing(condition) & ~crossing(target)))
    return hidden[:, BODY].sum(1)


def crossing(keypoints):
    """Elbows, wrists, knees and ankles inside the person's own torso: bool (n, 18).

    The torso is the quadrangle of shoulders and hips, all four needed. From the side it is thin;
    the hidden far arm is then mostly not found at all.
    """
    points = np.asarray(keypoints, float)
    corners = points[:, [TORSO[0], TORSO[1], TORSO[3], TORSO[2]]]  # (n, 4, 2), around
    edges = np.roll(corners, -1, 1) - corners
    offset = points[:, :, None] - corners[:, None]  # (n, 18, 4, 2)
    turn = edges[:, None, :, 0] * offset[..., 1] - edges[:, None, :, 1] * offset[..., 0]
    inside = (turn > 0).all(-1) | (turn < 0).all(-1)
    limb = np.isin(np.arange(len(JOINTS)), (3, 4, 6, 7, 9, 10, 12, 13))
    return inside & limb & found(keypoints) & found(corners).all(1, keepdims=True)


def torso(keypoints):
    """Torso size: the mean length of the diagonals from a shoulder to the opposite hip.

    keypoints: float (..., 18, 2). Returns float64 (...) in pixels; the length of one diagonal
    where the other lacks an end, NaN where both do.
    """
    keypoints = np.asarray(keypoints, np.float64)
    known, ends = found(keypoints), []
    for shoulder, hip in ((2, 11), (5, 8)):
        length = np.linalg.norm(keypoints[..., shoulder, :] - keypoints[..., hip, :], axis=-1)
        ends.append(np.where(known[..., shoulder] & known[..., hip], length, np.nan))
    count = (~np.isnan(ends)).sum(0)
    return np.nansum(ends, 0) / np.where(count, count, np.nan)


def body_size(keypoints):
    """The unit of pose errors: `torso`, or half the longer side of the box around all joints where
    there is no torso diagonal (close-ups of DeepFashion).

    keypoints: float (..., 18, 2). Returns float64 (...) in pixels, at least 1; NaN without joints.
    """
    size = torso(keypoints)
    box = span(keypoints).max(-1) / 2
    return np.fmax(np.where(np.isnan(size), box, size), np.where(np.isnan(box), np.nan, 1))


def span(keypoints):
    """Width and height of the box around the found joints (..., j, 2): float64 (..., 2), NaN
    without any."""
    keypoints = np.asarray(keypoints, np.float64)
    known = found(keypoints)[..., None]
    high = np.where(known, keypoints, -np.inf).max(-2)
    low = np.where(known, keypoints, np.inf).min(-2)
    return np.where(known.any(-2), high - low, np.nan)
