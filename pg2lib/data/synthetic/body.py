"""The articulated skeleton: bones, joint limits, forward kinematics, pose families.

Axes: y up, z the way the body faces, x the subject's left; lengths in metres, angles in degrees.
A pose is a dict angle name -> degrees; angles left out are 0.  Side angles carry "r_" or "l_".
"""
from dataclasses import dataclass
from functools import partial

import numpy as np

NOSE, NECK = 0, 1
R_SHOULDER, R_ELBOW, R_WRIST, L_SHOULDER, L_ELBOW, L_WRIST = range(2, 8)
R_HIP, R_KNEE, R_ANKLE, L_HIP, L_KNEE, L_ANKLE = range(8, 14)
R_EYE, L_EYE, R_EAR, L_EAR = range(14, 18)

_SIDE_LIMITS = {
    "shoulder_flex": (-45, 175), "shoulder_abd": (-12, 170), "shoulder_turn": (-85, 70),
    "elbow": (2, 145), "hip_flex": (-25, 100), "hip_abd": (-12, 40), "hip_turn": (-30, 35),
    "knee": (0, 130), "ankle": (-20, 40),
}
LIMITS = {
    "pelvis_tilt": (-10, 20), "pelvis_roll": (-8, 8), "pelvis_turn": (-12, 12),
    "spine_bend": (-12, 35), "spine_side": (-18, 18), "spine_twist": (-38, 38),
    "head_nod": (-25, 35), "head_tilt": (-18, 18), "head_turn": (-65, 65),
    **{f"{side}_{name}": span for side in "rl" for name, span in _SIDE_LIMITS.items()},
}
# Joints of the face about the skull's middle, in head sizes: x, y, z.
_FACE = ((NOSE, 0, -0.22, 0.86), (R_EYE, -0.27, 0.08, 0.62), (L_EYE, 0.27, 0.08, 0.62),
         (R_EAR, -0.62, -0.04, -0.05), (L_EAR, 0.62, -0.04, -0.05))
FAMILIES = ("walking", "standing", "arms_raised", "hand_on_hip", "carrying", "turning")


@dataclass(frozen=True)
class Build:
    """Proportions of one person; every bone length follows from these alone."""
    stature: float = 1.70   # metres
    girth: float = 1.0      # thickness of limbs and trunk
    shoulders: float = 1.0  # relative breadth
    hips: float = 1.0
    bust: float = 0.0       # 0..1
    legs: float = 1.0       # relative leg length


@dataclass(frozen=True)
class Skeleton:
    """Posed skeleton in world axes: `joints` (18, 3), and (rotation, origin) of the segments."""
    joints: np.ndarray
    frames: dict
    lengths: dict


def clamp(pose):
    """The pose with every angle inside its joint limit."""
    return {name: float(np.clip(angle, *LIMITS[name])) for name, angle in pose.items()}


def bones(build):
    """Bone lengths in metres of one build."""
    h = build.stature
    return {
        "thigh": 0.240 * h * build.legs, "shin": 0.238 * h * build.legs, "ankle": 0.045 * h,
        "hip": 0.054 * h * build.hips, "spine": 0.062 * h, "chest": 0.222 * h,
        "shoulder": 0.101 * h * build.shoulders, "upper_arm": 0.168 * h, "forearm": 0.145 * h,
        "neck": 0.106 * h, "head": 0.070 * h, "foot": 0.135 * h,
    }


def _rotation(axis, degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix, a, b = np.eye(3), (axis + 1) % 3, (axis + 2) % 3
    matrix[a, a], matrix[a, b], matrix[b, a], matrix[b, b] = c, -s, s, c
    return matrix


_rx, _ry, _rz = (partial(_rotation, axis) for axis in range(3))


def pose_skeleton(build, pose, yaw=0.0):
    """The `Skeleton` of a pose; yaw 0 faces +z, +90 faces +x, and the lowest foot is at y = 0.

    In the frame of a limb segment -y runs along the bone; in that of a foot +z runs to the toes.
    """
    length, p = bones(build), {**dict.fromkeys(LIMITS, 0.0), **clamp(pose)}
    joints = np.zeros((18, 3))
    pelvis = _ry(yaw + p["pelvis_turn"]) @ _rz(p["pelvis_roll"]) @ _rx(p["pelvis_tilt"])
    chest = pelvis @ _ry(p["spine_twist"]) @ _rz(p["spine_side"]) @ _rx(p["spine_bend"])
    head = chest @ _ry(p["head_turn"]) @ _rz(p["head_tilt"]) @ _rx(p["head_nod"] - 4)
    origin = np.zeros(3)
    waist = origin + pelvis[:, 1] * length["spine"]
    joints[NECK] = neck = waist + chest @ (0, length["chest"], -0.01)
    skull = neck + 0.55 * length["neck"] * chest[:, 1] + head @ (
        0, 0.45 * length["neck"], 0.012 * build.stature)
    frames = {"pelvis": (pelvis, origin), "chest": (chest, waist), "head": (head, skull)}
    for joint, *at in _FACE:
        joints[joint] = skull + head @ (np.array(at) * length["head"])
    for side, sign, arm, leg in (("r", -1, R_SHOULDER, R_HIP), ("l", 1, L_SHOULDER, L_HIP)):
        shoulder = neck + chest @ (sign * length["shoulder"], 0, 0)
        upper = (chest @ _rz(sign * p[side + "_shoulder_abd"]) @ _rx(-p[side + "_shoulder_flex"])
                 @ _ry(sign * p[side + "_shoulder_turn"]))
        elbow = shoulder - upper[:, 1] * length["upper_arm"]
        fore = upper @ _rx(-p[side + "_elbow"])
        wrist = elbow - fore[:, 1] * length["forearm"]
        hip = origin + pelvis @ (sign * length["hip"], 0, 0)
        thigh = (pelvis @ _rz(sign * p[side + "_hip_abd"]) @ _rx(-p[side + "_hip_flex"])
                 @ _ry(sign * p[side + "_hip_turn"]))
        knee = hip - thigh[:, 1] * length["thigh"]
        shin = thigh @ _rx(p[side + "_knee"])
        ankle = knee - shin[:, 1] * length["shin"]
        foot = shin @ _ry(sign * 6) @ _rx(p[side + "_ankle"])
        joints[arm:arm + 3] = shoulder, elbow, wrist
        joints[leg:leg + 3] = hip, knee, ankle
        segments = {"upper_arm": (upper, shoulder), "forearm": (fore, elbow), "thigh": (thigh, hip),
                    "shin": (shin, knee), "foot": (foot, ankle)}
        frames |= {f"{side}_{name}": frame for name, frame in segments.items()}
    soles = [at + f @ (0, -length["ankle"], z * length["foot"])
             for f, at in (frames["r_foot"], frames["l_foot"]) for z in (-0.25, 0.75)]
    lift = np.array([0, -min(s[1] for s in soles), 0])
    frames = {name: (frame, at + lift) for name, (frame, at) in frames.items()}
    return Skeleton(joints + lift, frames, length)


# Sagittal angles of normal gait over one stride of a leg, from heel strike (percent of stride).
_STRIDE = (0, 12, 30, 50, 60, 72, 85, 96, 100)
_HIP = (29, 23, 4, -15, -7, 16, 31, 30, 29)
_KNEE = (6, 17, 9, 10, 38, 62, 32, 4, 6)
_ANKLE = (0, 5, -8, -8, 18, 6, 0, -3, 0)


def leg_angles(phase, reach=1.0):
    """The pose of both legs in normal gait at a phase of the right leg's stride, 0 to 100; reach
    scales the angles of hips and knees."""
    return {f"{side}_{name}": share * np.interp((phase + shift) % 100, _STRIDE, angles)
            for side, shift in (("r", 0), ("l", 50))
            for name, share, angles in (("hip_flex", reach, _HIP), ("knee", reach, _KNEE),
                                        ("ankle", 1, _ANKLE))}


def _side(rng, pose, side, **angles):
    """Set angles of one side; a pair (low, high) is drawn between the two."""
    for name, angle in angles.items():
        pose[f"{side}_{name}"] = rng.uniform(*angle) if isinstance(angle, tuple) else angle


def _walk(rng, pose):
    phase, reach = rng.uniform(0, 100), rng.uniform(0.8, 1.2)
    pose.update(leg_angles(phase, reach))
    for side in "rl":
        _side(rng, pose, side, hip_abd=(-1, 3))
    swing = np.cos(2 * np.pi * phase / 100)     # +1: right leg in front, so left arm in front
    amount = rng.uniform(12, 30)
    for side, sign in (("r", -1), ("l", 1)):
        _side(rng, pose, side, shoulder_flex=2 + sign * swing * amount,
              elbow=16 + 14 * max(0, sign * swing) + rng.uniform(0, 25),
              shoulder_abd=(6, 13), shoulder_turn=(-25, 0))
    pose["pelvis_turn"], pose["spine_twist"] = 5 * swing, -9 * swing
    pose["spine_bend"] = rng.uniform(0, 6)


def _stand(rng, pose):
    lean = rng.choice((-1, 0, 1))               # contrapposto: hips shift over one leg
    pose["pelvis_roll"], pose["spine_side"] = 5 * lean, -6 * lean
    for side, sign in (("r", -1), ("l", 1)):
        free = max(0, sign * lean)
        _side(rng, pose, side, hip_abd=rng.uniform(2, 7) + 3 * sign * lean,
              hip_flex=12 * free + rng.uniform(-3, 5), knee=22 * free + rng.uniform(0, 5),
              ankle=-6 * free, hip_turn=(0, 16), shoulder_abd=(6, 15), shoulder_flex=(-6, 12),
              shoulder_turn=(-30, 5), elbow=(6, 35))


def sample_pose(rng, family, busy=""):
    """A random pose dict of one family; the side in `busy` ("r", "l") holds a bag: arm down."""
    pose = {"head_turn": rng.normal(0, 14), "head_nod": rng.normal(3, 7),
            "head_tilt": rng.normal(0, 4)}
    walks = family == "walking" or (family in ("carrying", "turning") and rng.random() < 0.5)
    (_walk if walks else _stand)(rng, pose)
    free = [side for side in "rl" if side != busy]
    first = free[rng.integers(len(free))]
    both = len(free) == 2 and rng.random() < 0.45
    for side in free if both else [first]:
        if family == "arms_raised" and rng.random() < 0.5:  # up, hand over the head or pointing
            _side(rng, pose, side, shoulder_flex=(95, 168), shoulder_abd=(-4, 22), elbow=(5, 70))
        elif family == "arms_raised":           # sideways, waving
            _side(rng, pose, side, shoulder_abd=(85, 155), shoulder_flex=(0, 20), elbow=(5, 75),
                  shoulder_turn=(30, 70))
        elif family == "hand_on_hip":
            _side(rng, pose, side, shoulder_abd=(46, 54), shoulder_flex=(-30, -20),
                  shoulder_turn=(-72, -60), elbow=(92, 104))
    if family == "carrying" and both:           # a box held at the belly
        bend, flex = rng.uniform(72, 92), rng.uniform(8, 22)
        for side in "rl":
            _side(rng, pose, side, shoulder_flex=flex, shoulder_abd=8, shoulder_turn=-14,
                  elbow=bend)
    elif family == "carrying" and rng.random() < 0.5:   # a phone at the ear
        _side(rng, pose, first, shoulder_flex=(42, 56), shoulder_abd=(22, 36),
              shoulder_turn=(-22, -10), elbow=141)
    elif family == "carrying":                  # something held at the chest
        _side(rng, pose, first, shoulder_flex=(15, 35), shoulder_abd=(6, 14),
              shoulder_turn=(-45, -25), elbow=(95, 118))
    elif family == "turning":
        way = rng.choice((-1, 1))
        pose["spine_twist"] = way * rng.uniform(14, 36)
        pose["head_turn"] = way * rng.uniform(25, 60)
    return clamp(pose)


def holds_box(family, pose):
    """True for the carrying pose with both forearms level in front of the body."""
    return family == "carrying" and all(pose.get(s + "_elbow", 0) > 68 for s in "rl")
