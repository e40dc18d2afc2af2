"""Geometry of poses: normalised shape and distance, facing, hidden joints."""

import numpy as np

from pg2lib.data.keypoints import JOINTS, SWAP, TORSO, found

# Neck, arms, hips and legs; not the face, which is hidden from behind.
BODY = tuple(range(1, 14))
NOSE, NECK, EARS = 0, 1, (16, 17)
# Shoulder distance over shoulder-to-hip distance, from the front: the median of drawn people and
# of Market-1501's keypoints.
SHOULDER_RATIO = 0.8


def _points(keypoints):
    """float64 (..., 18, 2), NaN for missing joints."""
    return np.where(found(keypoints)[..., None], keypoints, np.nan).astype(float)


def _mean(values, axis, least=1):
    """Mean of the values that are not NaN; NaN if fewer than `least`."""
    count = (~np.isnan(values)).sum(axis)
    return np.nansum(values, axis) / np.where(count >= least, count, np.nan)


def normalised(keypoints):
    """Poses (n, 18, 2) independent of position and size: centred on the torso, in torso lengths.

    The centre is the mean of the shoulders and hips found. The torso length is the largest distance
    between two of them, which stays long for a person bending towards the camera.

    Returns float64 (n, 18, 2); NaN for missing joints, and for all joints of a pose with fewer than
    two of the four.
    """
    points = _points(keypoints)
    corners = points[:, TORSO]  # (n, 4, 2)
    centre = _mean(corners, 1, least=2)
    apart = np.linalg.norm(corners[:, :, None] - corners[:, None], axis=-1)  # (n, 4, 4)
    length = np.nan_to_num(apart).max((1, 2))
    return (points - centre[:, None]) / np.where(length > 0, length, np.nan)[:, None, None]


def pose_distance(keypoints, training, shared=2 / 3, chunk=1024):
    """Distance of each pose (n, 18, 2) to its nearest training pose (m, 18, 2), mirrored ones
    included, as training mirrors images (paper 4.1).

    It is the root mean square over the joints found in both, after `normalised`. A training pose
    must have the share `shared` of the pose's joints, else nearly empty ones would be near to
    everything. `chunk` poses at a time take chunk * m * 70 bytes.

    Returns float64 (n,) in torso lengths; NaN for a pose without torso or neighbour.
    """
    known = normalised(training)
    # A mirrored pose: x changes sign about the torso's centre, left becomes right.
    known = np.concatenate([known, known[:, SWAP] * (-1, 1)])
    known = known[~np.isnan(known).all((1, 2))]
    parts = np.array_split(normalised(keypoints), -(-len(keypoints) // chunk) or 1)
    return np.concatenate([_nearest(part, known, shared) for part in parts])


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
    """The direction people (n, 18, 2) face, from shoulders and face.

    From the front, the person's right shoulder is on the left of the image and the shoulders are
    `SHOULDER_RATIO` torso lengths apart. The distance falls with the cosine of the rotation and
    changes sign at a quarter turn. The side follows from the nose relative to the neck, or from
    behind from the one visible ear.

    Returns (yaw, sided): yaw float64 (n,) in degrees, 0 towards the camera, +90 to the right of the
    image, 180 away, NaN without both shoulders and a hip; sided bool (n,), whether the sign of yaw
    is known (if not, it is positive).
    """
    points = _points(keypoints)
    right, left = points[:, TORSO[0]], points[:, TORSO[1]]
    torso = np.linalg.norm((right + left) / 2 - _mean(points[:, TORSO[2:]], 1), axis=1)
    cosine = (left - right)[:, 0] / (SHOULDER_RATIO * np.where(torso > 0, torso, np.nan))
    yaw = np.degrees(np.arccos(cosine.clip(-1, 1)))
    side = np.nan_to_num(np.sign(points[:, NOSE, 0] - points[:, NECK, 0]))
    right_ear, left_ear = (found(keypoints)[:, ear] for ear in EARS)
    side = np.where(side == 0, right_ear.astype(int) - left_ear, side)
    return np.where(side < 0, -yaw, yaw) + 0.0, side != 0  # no -0


def rotation(condition, target):
    """Degrees (n,), 0 to 180, between the directions that two poses (n, 18, 2) face.

    If a side is unknown, the smaller of the two possible angles; NaN if a direction is NaN.
    """
    (a, a_sided), (b, b_sided) = facing(condition), facing(target)
    apart = np.abs((a - b + 180) % 360 - 180)
    return np.where(a_sided & b_sided, apart, np.abs(np.abs(a) - np.abs(b)))


def unseen(condition, target):
    """Number of body joints of the target that the condition image does not show: int (n,).

    Such a joint is missing in the condition, or lies across its torso but not the target's (see
    `crossing`): there arm and torso hide each other.
    """
    has, had = found(target), found(condition)
    hidden = has & (~had | (crossing(condition) & ~crossing(target)))
    return hidden[:, BODY].sum(1)


def crossing(keypoints):
    """Elbows, wrists, knees and ankles inside the person's own torso: bool (n, 18).

    The torso is the quadrangle of shoulders and hips; all four are needed. From the side it is
    thin, and the hidden far arm is mostly not found at all.
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
    """Torso size (...) in pixels of (..., 18, 2): the mean length of the diagonals from a shoulder
    to the opposite hip, or of the only complete one; NaN without any."""
    points = _points(keypoints)
    return _mean(np.linalg.norm(points[..., (2, 5), :] - points[..., (11, 8), :], axis=-1), -1)


def body_size(keypoints):
    """The unit of pose errors: `torso`, or without a torso diagonal half the longer side of the box
    around all joints (close-ups of DeepFashion).

    (..., 18, 2) to float64 (...) in pixels, at least 1; NaN without joints.
    """
    size, box = torso(keypoints), span(keypoints).max(-1) / 2
    return np.maximum(np.where(np.isnan(size), box, size), 1)


def span(keypoints):
    """Width and height of the box around the found joints (..., j, 2): float64 (..., 2), or NaN."""
    points = _points(keypoints)
    return np.fmax.reduce(points, axis=-2) - np.fmin.reduce(points, axis=-2)
