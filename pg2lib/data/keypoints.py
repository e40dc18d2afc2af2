"""The 18 joints of a person: names, mirroring and file formats.

Everywhere in the library keypoints are float32 (..., 18, 2), (x, y) in pixels, x right and
y down, in the joint order of OpenPose's COCO model. A missing joint is (-1, -1).
"""

import json

import numpy as np
import torch

from pg2lib.core.files import UserError, read_text, write_atomically

# Left and right are the person's own. The released code's comments swap the sides of the eyes
# and ears; its data, like every public annotation file, follow OpenPose and this list.
JOINTS = (
    "nose", "neck",
    "right_shoulder", "right_elbow", "right_wrist",
    "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle",
    "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip

# SWAP[i] is the joint that joint i becomes in a mirror.
SWAP = (0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16)

# The 19 limbs OpenPose draws (the pose mask uses another list, `heatmaps.MASK_LIMBS`).
LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7),
    (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13),
    (1, 0), (0, 14), (14, 16), (0, 15), (15, 17), (2, 16), (5, 17),
)  # fmt: skip

TORSO = (2, 5, 8, 11)  # both shoulders, both hips

# The index of each of our joints in OpenPose's BODY_25, which adds mid-hip (8) and feet.
BODY_25 = (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18)
# The same for COCO-17, which has no neck: None stands for the mean of the shoulders.
COCO_17 = (0, None, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
MMPOSE_SCORE = 0.3  # MMPose writes all joints but draws only those with this score

CSV_HEADER = "name:keypoints_y:keypoints_x"


def found(keypoints):
    """Which joints were found: bool (..., 18) from NumPy or torch keypoints (..., 18, 2)."""
    return (keypoints >= 0).all(-1)


def shift_keypoints(keypoints, pixels, width):
    """Keypoints (..., 18, 2) moved sideways; joints that leave the frame become missing."""
    moved = keypoints + np.float32([pixels, 0])
    inside = found(keypoints) & found(moved) & (moved[..., 0] < width)
    return np.where(inside[..., None], moved, np.float32(-1))


def torso_found(keypoints):
    """Whether both shoulders and both hips were found: bool (...).

    The rule of the standard pair lists (Deformable GAN, PATN); the paper's was not published.
    """
    return found(keypoints)[..., list(TORSO)].all(-1)


def flip_keypoints(keypoints, width):
    """The keypoints of the mirrored image: x becomes width - 1 - x, left becomes right.

    NumPy or torch (..., 18, 2) to the same; a joint right of the frame becomes missing. The paper
    (section 4.1) mirrors its training images; the released code re-runs the detector on them.
    """
    library = torch if isinstance(keypoints, torch.Tensor) else np
    x, y = keypoints[..., 0], keypoints[..., 1]
    kept = found(keypoints) & (x <= width - 1)
    mirrored = [library.where(kept, axis, -1) for axis in (width - 1 - x, y)]
    mirrored = library.stack(mirrored, -1)
    # A stack of views, not an index list: on a GPU an index list is a copy that blocks.
    return library.stack([mirrored[..., joint, :] for joint in SWAP], -2)


def read_csv(path):
    """Read the annotation format of Deformable GAN and PATN: dict name -> float32 (18, 2).

    One image per line, `name: [18 y]: [18 x]` under a header. A joint with a negative coordinate is
    missing. Names are kept: some of Market-1501's test names really end in `.jpg.jpg`. Raises
    UserError if the file is missing, or with the number of a line that cannot be read.
    """
    lines = read_text(path).rstrip("\n").split("\n")
    if lines[0].strip() != CSV_HEADER:
        raise UserError(f"{path}, line 1: the header must be '{CSV_HEADER}', not '{lines[0]}'.")
    people = {}
    for number, line in enumerate(lines[1:], start=2):
        where = f"{path}, line {number}"
        try:
            name, ys, xs = line.rsplit(":", 2)
        except ValueError:
            raise UserError(f"{where}: expected name:[y]:[x], not '{line}'.") from None
        if not name or name in people:
            reason = f"'{name}' appears twice" if name else "the name is empty"
            raise UserError(f"{where}: {reason}.")
        lists = zip("xy", (xs, ys), strict=True)
        xs, ys = (parse_json(text, f"{where}: the {axis} list") for axis, text in lists)
        axes = _numbers(xs, (18,), "18 x values", where), _numbers(ys, (18,), "18 y values", where)
        people[name] = np.stack(axes, -1)
        people[name][~found(people[name])] = -1
    return people


def write_csv(path, people):
    """Write the format of `read_csv`. Raises UserError for a wrong shape or a multi-line name."""
    lines = [CSV_HEADER]
    for name, keypoints in people.items():
        keypoints = np.asarray(keypoints, np.float32)
        if keypoints.shape != (18, 2) or "\n" in name:
            raise UserError(f"{path}: cannot write '{name}' with keypoints {keypoints.shape}.")
        xs, ys = ([int(v) if v == int(v) else float(str(v)) for v in axis] for axis in keypoints.T)
        lines.append(f"{name}: {ys}: {xs}")
    with write_atomically(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_openpose_json(path, person=None):
    """Read one person from an OpenPose output file: `read_json`, then `parse_openpose`."""
    return parse_openpose(read_json(path), path, person)


def read_json(path):
    """Parse a JSON file. Raises UserError if it cannot be read or is not JSON."""
    return parse_json(read_text(path), path)


def parse_json(text, where):
    """Parse a JSON text. Raises UserError, beginning with `where`, if it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where} is not valid JSON: {error}.") from None


def parse_openpose(content, where, person=None):
    """float32 (18, 2) of one person in parsed JSON of OpenPose (COCO-18 or BODY_25) or MMPose,
    whose first 17 keypoints are COCO's.

    A joint of confidence zero (MMPose: below `MMPOSE_SCORE`) is missing. `person` is an index in
    the list of people; None takes the highest total confidence. Raises UserError, beginning with
    `where`, for no people, no such person, a wrong count, or coordinates in [0, 1], not pixels.
    """
    content = _from_mmpose(content, where)
    try:
        people = content["people"]
        numbers = [p.get("pose_keypoints_2d", p.get("pose_keypoints")) for p in people]
    except (KeyError, TypeError, AttributeError):
        raise UserError(f"{where} is not an OpenPose file: it has no list 'people'.") from None
    if not people:
        raise UserError(f"{where} holds no people: no person was detected in that image.")
    if person is not None and not 0 <= person < len(people):
        raise UserError(f"{where} has no person {person}; it holds 0 to {len(people) - 1}.")
    expected = "54 (COCO-18) or 75 (BODY_25) values in 'pose_keypoints_2d'"
    joints = [
        _numbers(values, (54, 75), expected, f"{where}, person {i}").reshape(-1, 3)
        for i, values in enumerate(numbers)
    ]
    best = max(range(len(joints)), key=lambda i: joints[i][:, 2].sum())
    chosen = joints[best if person is None else person]
    keypoints = np.where(chosen[:, 2:] > 0, chosen[:, :2], -1).astype(np.float32)
    if found(keypoints).any() and keypoints.max() <= 1:
        raise UserError(f"{where} has coordinates in [0, 1]; run OpenPose with --keypoint_scale 0.")
    return keypoints[list(BODY_25)] if len(keypoints) == 25 else keypoints


def nobody(content) -> bool:
    """Whether parsed JSON of OpenPose or MMPose reports no person."""
    lists = [content.get(n) for n in ("people", "instances")] if isinstance(content, dict) else []
    return content == [] or [] in lists


def _from_mmpose(content, where):
    """MMPose's instances in an image or video frame as OpenPose content; other content as is."""
    instances = content.get("instances") if isinstance(content, dict) else content
    if not isinstance(instances, list):
        return content
    people = []
    for number, one in enumerate(instances):
        try:
            joints, scores = (np.array(one[k], float) for k in ("keypoints", "keypoint_scores"))
            shown = np.where(scores[:17, None] >= MMPOSE_SCORE, joints[:17, :2], -1)
            pose = from_coco17(shown.reshape(17, 2))
        except (TypeError, KeyError, ValueError, IndexError):
            raise UserError(
                f"{where}, person {number}: expected MMPose's 'keypoints', 17 or more pairs in the "
                "order of COCO, and as many 'keypoint_scores'."
            ) from None
        sure = found(pose)[:, None] * scores[:17].mean()
        people.append({"pose_keypoints_2d": np.concatenate((pose, sure), -1).ravel().tolist()})
    return {"people": people}


def openpose_json(keypoints) -> str:
    """OpenPose COCO-18 JSON of one person (18, 2); confidence 0 if missing, else 1."""
    keypoints = np.asarray(keypoints, np.float32)
    if keypoints.shape != (18, 2):
        raise UserError(f"one person's keypoints are (18, 2), not {keypoints.shape}.")
    valid = found(keypoints)[:, None]
    triples = np.concatenate((np.where(valid, keypoints, 0), valid), -1)
    return json.dumps({"version": 1.2, "people": [{"pose_keypoints_2d": triples.ravel().tolist()}]})


def write_openpose_json(path, keypoints):
    """Write one person (18, 2) to an OpenPose COCO-18 file."""
    with write_atomically(path) as temporary:
        temporary.write_text(openpose_json(keypoints), encoding="utf-8")


def from_coco17(keypoints):
    """COCO-17 (..., 17, 2), missing = (-1, -1), to our 18 joints (..., 18, 2).

    The neck is the mean of both shoulders where both are found, as OpenPose defines it.
    """
    library = torch if isinstance(keypoints, torch.Tensor) else np
    shoulders = keypoints[..., [5, 6], :]
    both = found(shoulders).all(-1)[..., None]
    neck = library.where(both, (shoulders[..., 0, :] + shoulders[..., 1, :]) / 2, -1)
    return library.stack([neck if i is None else keypoints[..., i, :] for i in COCO_17], -2)


def _numbers(values, counts, expected, where):
    """A list as float32. Raises UserError for a length not in `counts` or a value not a number."""
    count = len(values) if isinstance(values, list) else "none"
    if count not in counts:
        raise UserError(f"{where}: expected {expected}, found {count}.")
    for value in values:
        if type(value) not in (int, float) or not abs(value) < 3e38:  # fits into float32
            raise UserError(f"{where}: one of {expected} is not a number: {value!r}.")
    return np.array(values, np.float32)
