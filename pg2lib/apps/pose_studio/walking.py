"""A walking cycle: the skeleton and gait of the drawn people (`data.synthetic.body`), seen by a
distant camera at eye level, so without perspective."""

import numpy as np

from pg2lib.data import framing, geometry
from pg2lib.data.keypoints import JOINTS, found
from pg2lib.data.synthetic import body

POSES = 12  # in a cycle of two steps
YAW = 55.0  # degrees: three-quarter view, which shows both the legs and the face
ARMS, ELBOWS = (2.0, 24.0), (18.0, 14.0)  # degrees: shoulders and elbows, mean and swing
PELVIS, CHEST = 5.0, -9.0  # degrees by which they turn against each other
STRETCH = 1.15  # person crops are squeezed to 1:2, which widens people by this much on average
LEGS = (0.85, 1.2)  # plausible range of leg length relative to the default


def cycle(height: int, width: int, poses: int = POSES, like=None, yaw=None) -> np.ndarray:
    """A walking cycle of so many poses over two steps, float32 (poses, 18, 2), inside a frame; the
    last pose leads to the first. Joints of the face that the head hides are missing.

    like: pose (18, 2) in the frame that sets the walker's size, position, leg length and direction;
    None, or a pose that is not `measurable`: a walker who fills the frame as in training images.
    yaw: degrees, 0 towards the camera, 90 to the right of the image; None takes the three-quarter
    view, to the side that `like` faces.
    """
    like = like if like is not None and measurable(like) else None
    build = body.Build() if like is None else body.Build(legs=leg_ratio(like))
    if yaw is None:
        yaw = -YAW if like is not None and geometry.facing(like[None])[0][0] < 0 else YAW
    walker = [body.pose_skeleton(build, gait(100 * k / poses), yaw).joints for k in range(poses)]
    joints = project(np.array(walker))
    joints[:, hidden_joints(yaw)] = np.nan
    placed = fill_frame(joints, height, width) if like is None else fit_to(joints, like)
    placed = shrink_into(placed, height, width)
    return np.where(np.isnan(placed), -1, placed).astype(np.float32)


def standing(height: int, width: int) -> np.ndarray:
    """A person standing upright, facing the camera and filling the frame: float32 (18, 2)."""
    pose = {"r_shoulder_abd": 8, "l_shoulder_abd": 8, "r_hip_abd": 3, "l_hip_abd": 3}
    joints = project(body.pose_skeleton(body.Build(), pose).joints[None])
    return shrink_into(fill_frame(joints, height, width), height, width)[0].astype(np.float32)


def gait(phase: float) -> dict:
    """Joint angles in degrees (see `body`) at a phase of the right leg's stride, 0 to 100."""
    pose = body.leg_angles(phase)
    swing = np.cos(2 * np.pi * phase / 100)  # +1: right leg and left arm in front
    for side, sign in (("r", -1), ("l", 1)):
        pose[f"{side}_shoulder_flex"] = ARMS[0] + sign * swing * ARMS[1]
        pose[f"{side}_elbow"] = ELBOWS[0] + sign * swing * ELBOWS[1]
        pose[f"{side}_shoulder_abd"], pose[f"{side}_hip_abd"] = 8.0, 1.0
    return pose | {"pelvis_turn": PELVIS * swing, "spine_twist": CHEST * swing}


def project(joints) -> np.ndarray:
    """Joints (k, 18, 3) in metres as a distant camera on +z sees them: (k, 18, 2), y down."""
    return np.stack([STRETCH * joints[..., 0], -joints[..., 1]], -1)


def hidden_joints(yaw: float) -> list[int]:
    """The joints of the face that the head hides."""
    frontal, far = np.cos(np.radians(yaw)), "right" if np.sin(np.radians(yaw)) > 0 else "left"
    limits = {f"{far}_ear": 0.9, "nose": -0.3, "right_eye": -0.3, "left_eye": -0.3}
    limits[f"{far}_eye"] = 0.3
    return [JOINTS.index(name) for name, limit in limits.items() if frontal < limit]


def measurable(pose) -> bool:
    """Whether a pose shows a person's size: neck above hips above ankles, all found."""
    neck, hips, ankles = levels(pose)
    return bool(neck < hips < ankles)


def levels(pose):
    """The heights (y) of the neck, the hips and the lower ankle of a pose (18, 2); NaN without."""
    y = np.where(found(pose), pose[:, 1], np.nan)
    return y[1], (np.fmin(y[8], y[11]) + np.fmax(y[8], y[11])) / 2, np.fmax(y[10], y[13])


def leg_ratio(pose) -> float:
    """Leg length relative to the trunk, as a multiple of that of `standing`, within LEGS."""
    both = map(levels, (pose, standing(1280, 640)))
    own, default = ((ankles - hips) / (hips - neck) for neck, hips, ankles in both)
    return float(np.clip(own / default, *LEGS))


def bounds(joints):
    """The lowest and highest (x, y) over joints (k, 18, 2), NaN where missing."""
    return np.nanmin(joints, (0, 1)), np.nanmax(joints, (0, 1))


def fill_frame(joints, height, width) -> np.ndarray:
    """Joints (k, 18, 2) as large as people are in training images, see `framing.around_people`."""
    low, high = bounds(joints)
    size, margins = high - low, framing.ABOVE + framing.BELOW
    scale = min(height / (size[1] * (1 + margins)), framing.WIDEST * width / size[0])
    top = (height - scale * size[1]) * framing.ABOVE / margins
    return (joints - low) * scale + ((width - scale * size[0]) / 2, top)


def fit_to(joints, like) -> np.ndarray:
    """Joints (k, 18, 2) with neck, feet and hips where a pose (18, 2) has them."""
    neck, _, ankles = levels(like)
    own_neck, own_ankles = joints[:, 1, 1].mean(), joints[:, [10, 13], 1].max()
    scale, hips = (ankles - neck) / (own_ankles - own_neck), [k for k in (8, 11) if found(like)[k]]
    middle = like[hips, 0].mean() - scale * joints[:, [8, 11], 0].mean()
    return joints * scale + (middle, ankles - scale * own_ankles)


def shrink_into(joints, height, width) -> np.ndarray:
    """Joints (k, 18, 2) shrunk and shifted together until the frame holds them all."""
    low, high = bounds(joints)
    room = np.array((width - 1, height - 1))
    middle = (low + high) / 2
    joints = middle + min(1, *(room / (high - low))) * (joints - middle)
    low, high = bounds(joints)
    return (joints + np.maximum(0, -low) - np.maximum(0, high - room)).clip(0, room)
