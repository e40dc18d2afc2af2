"""A walking cycle, the sequence that is at hand without a video: poses of somebody who walks by.

The skeleton and the gait are those of the drawn people (`people.body`: the hip, knee and ankle
angles of normal gait over one stride), seen by a camera at eye level, far enough away that
nothing is foreshortened but what points at it.
"""

import numpy as np

from pg2lib.apps.photo import photo
from pg2lib.data import geometry
from pg2lib.data.keypoints import JOINTS, found
from pg2lib.data.synthetic import body

POSES = 12  # in a cycle, half of them a step
YAW = 55.0  # degrees: three quarters from the front, the view that shows legs and face
ARMS, ELBOWS = (2.0, 24.0), (18.0, 14.0)  # degrees: shoulders and elbows, mean and swing
PELVIS, CHEST = 5.0, -9.0  # degrees by which they turn against one another
STRETCH = 1.15  # boxes of people are squeezed to 1:2; theirs are stretched as much on average
LEGS = (0.85, 1.2)  # legs relative to the trunk, within what people have


def cycle(height: int, width: int, poses: int = POSES, like=None, yaw=None) -> np.ndarray:
    """A walking cycle in a frame, float32 (poses, 18, 2); the last pose leads to the first.

    Args:
        height, width: of the frame in pixels; all joints stay inside.
        poses: how many, evenly spread over two steps.
        like: a pose (18, 2) of the frame whose size, place and share of legs the walker takes, and
            to whose side it walks; None, or one without torso and ankles, fills the frame as people
            do in training.
        yaw: where to, in degrees: 0 towards the camera, 90 to the right of the image. None is
            three quarters from the front, to the side that `like` faces.

    Joints that the body hides at such a yaw are missing: of the face those on the far side.
    """
    like = like if like is not None and measurable(like) else None
    build = body.Build() if like is None else body.Build(legs=share_of_legs(like))
    yaw = direction(like) if yaw is None else yaw
    walker = [body.pose_skeleton(build, gait(100 * k / poses), yaw).joints for k in range(poses)]
    joints = flat(np.array(walker))
    joints[:, hidden(yaw)] = np.nan
    placed = filling(joints, height, width) if like is None else fitted(joints, like)
    placed = inside(placed, height, width)
    return np.where(np.isnan(placed), -1, placed).astype(np.float32)


def standing(height: int, width: int) -> np.ndarray:
    """Somebody who stands and faces the camera, filling the frame: float32 (18, 2)."""
    pose = {"r_shoulder_abd": 8, "l_shoulder_abd": 8, "r_hip_abd": 3, "l_hip_abd": 3}
    joints = flat(body.pose_skeleton(body.Build(), pose).joints[None])
    return inside(filling(joints, height, width), height, width)[0].astype(np.float32)


def gait(phase: float) -> dict:
    """The angles in degrees (`people.body`) at a phase of the right leg's stride, 0 to 100."""
    pose = {}
    for side, shift in (("r", 0), ("l", 50)):
        at = (phase + shift) % 100
        for name, curve in (("hip_flex", body._HIP), ("knee", body._KNEE), ("ankle", body._ANKLE)):
            pose[f"{side}_{name}"] = np.interp(at, body._STRIDE, curve)
    swing = np.cos(2 * np.pi * phase / 100)  # +1: right leg in front, so left arm in front
    for side, sign in (("r", -1), ("l", 1)):
        pose[f"{side}_shoulder_flex"] = ARMS[0] + sign * swing * ARMS[1]
        pose[f"{side}_elbow"] = ELBOWS[0] + sign * swing * ELBOWS[1]
        pose[f"{side}_shoulder_abd"], pose[f"{side}_hip_abd"] = 8.0, 1.0
    return pose | {"pelvis_turn": PELVIS * swing, "spine_twist": CHEST * swing}


def flat(joints) -> np.ndarray:
    """Joints in metres (k, 18, 3), seen from +z by a camera far away: (k, 18, 2), y down."""
    return np.stack([STRETCH * joints[..., 0], -joints[..., 1]], -1)


def hidden(yaw: float) -> list[int]:
    """The joints of the face that the head hides."""
    turned, names = np.cos(np.radians(yaw)), []
    far = "right" if np.sin(np.radians(yaw)) > 0 else "left"
    if turned < 0.9:
        names += [f"{far}_ear"]
    if turned < 0.3:
        names += [f"{far}_eye"]
    if turned < -0.3:
        names += ["nose", "right_eye", "left_eye"]
    return [JOINTS.index(name) for name in dict.fromkeys(names)]


# ---------------------------------------------------------------- size and place


def measurable(pose) -> bool:
    """Whether a pose tells how large and where a person is: neck, a hip and an ankle below."""
    here = found(pose)
    if not (here[1] and here[[8, 11]].any() and here[[10, 13]].any()):
        return False
    neck, hips, ankles = levels(pose)
    return neck < hips < ankles


def levels(pose):
    """The heights (y) of the neck, the hips and the lower ankle of a pose (18, 2)."""
    here = found(pose)
    hips, ankles = ([k for k in pair if here[k]] for pair in ((8, 11), (10, 13)))
    return pose[1, 1], pose[hips, 1].mean(), pose[ankles, 1].max()


def share_of_legs(pose) -> float:
    """How long the legs of a pose are relative to its trunk, against those of `standing`."""
    shares = []
    for one in (pose, standing(1280, 640)):
        neck, hips, ankles = levels(one)
        shares.append((ankles - hips) / (hips - neck))
    return float(np.clip(shares[0] / shares[1], *LEGS))


def direction(like=None) -> float:
    """The yaw of the cycle: `YAW` to the side that a pose faces (`geometry.facing`), else right."""
    yaw = geometry.facing(like[None])[0][0] if like is not None else YAW
    return -YAW if yaw < 0 else YAW


def filling(joints, height, width) -> np.ndarray:
    """Joints (k, 18, 2) as large as people are in training, see `photo.around_people`."""
    lifted = joints - np.nanmin(joints, (0, 1)) + 1  # all are found: positive
    low, high = np.nanmin(lifted, (0, 1)), np.nanmax(lifted, (0, 1))
    tall = (high - low)[1] * (1 + photo.ABOVE + photo.BELOW)
    scale = min(height / tall, photo.WIDEST * width / (high - low)[0])
    top = (height - scale * (high - low)[1]) * photo.ABOVE / (photo.ABOVE + photo.BELOW)
    left = (width - scale * (high - low)[0]) / 2
    return (lifted - low) * scale + (left, top)


def fitted(joints, like) -> np.ndarray:
    """Joints (k, 18, 2) with neck and feet at the heights of a pose, about the same middle."""
    neck, _, ankles = levels(like)
    own_neck, own_ankles = joints[:, 1, 1].mean(), joints[:, [10, 13], 1].max()
    scale = (ankles - neck) / (own_ankles - own_neck)
    hips = [k for k in (8, 11) if found(like)[k]]
    middle = like[hips, 0].mean() - scale * joints[:, [8, 11], 0].mean()
    return joints * scale + (middle, ankles - scale * own_ankles)


def inside(joints, height, width) -> np.ndarray:
    """Joints (k, 18, 2) shrunk and shifted, all alike, until the frame holds them all."""
    low, high = np.nanmin(joints, (0, 1)), np.nanmax(joints, (0, 1))
    room = np.array((width - 1, height - 1))
    scale = min(1, *(room / (high - low)))
    middle = (low + high) / 2
    joints = middle + scale * (joints - middle)
    low, high = np.nanmin(joints, (0, 1)), np.nanmax(joints, (0, 1))
    return (joints + np.maximum(0, -low) - np.maximum(0, high - room)).clip(0, room)
