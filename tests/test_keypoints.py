"""Joint order, mirroring and file formats, against values written down by hand."""

import json

import numpy as np
import pytest
import torch

from pg2lib.core.files import UserError
from pg2lib.data import keypoints as kp

MISSING = (-1.0, -1.0)


def numbered():
    """Joint i at (i + 1, 100 + i), the left elbow missing."""
    keypoints = np.stack((np.arange(18) + 1, np.arange(18) + 100), -1).astype(np.float32)
    keypoints[6] = MISSING
    return keypoints


def test_swap_exchanges_left_and_right_names():
    assert len(kp.JOINTS) == len(set(kp.JOINTS)) == 18 and len(kp.LIMBS) == 19
    for joint, other in enumerate(kp.SWAP):
        name = kp.JOINTS[joint]
        side = {"left": "right", "right": "left"}.get(name.split("_")[0])
        expected = f"{side}_{name.split('_')[1]}" if side else name
        assert kp.JOINTS[other] == expected and kp.SWAP[other] == joint


def test_eyes_and_ears_have_openpose_sides():
    assert kp.JOINTS[14:] == ("right_eye", "left_eye", "right_ear", "left_ear")


def test_flip_by_hand():
    flipped = kp.flip_keypoints(numbered(), 64)
    assert flipped[0].tolist() == [62, 100]  # nose: 64 - 1 - 1
    assert flipped[2].tolist() == [57, 105]  # right shoulder: the left one stood at (6, 105)
    assert flipped[3].tolist() == list(MISSING)  # right elbow: the left one was missing
    assert flipped[6].tolist() == [59, 103]


@pytest.mark.parametrize("shape", [(18, 2), (3, 18, 2), (2, 2, 18, 2)])
def test_flip_twice_is_the_identity_in_numpy_and_torch(shape):
    keypoints = np.random.default_rng(0).integers(0, 64, shape).astype(np.float32)
    keypoints[..., 4, :] = -1
    before = keypoints.copy()
    once = kp.flip_keypoints(keypoints, 64)
    as_tensor = kp.flip_keypoints(torch.from_numpy(keypoints), 64)
    assert isinstance(once, np.ndarray) and once.dtype == np.float32
    assert as_tensor.dtype == torch.float32
    np.testing.assert_array_equal(as_tensor.numpy(), once)
    np.testing.assert_array_equal(kp.flip_keypoints(once, 64), keypoints)
    np.testing.assert_array_equal(keypoints, before)
    assert not np.array_equal(once, keypoints)


def test_a_joint_mirrored_out_of_the_frame_is_missing():
    keypoints = np.full((18, 2), 5, np.float32)
    keypoints[:2] = (70, 20), (63.5, 20)  # beyond the last pixel, which becomes the first
    assert kp.flip_keypoints(keypoints, 64)[:2].tolist() == [list(MISSING)] * 2


def test_found_and_torso():
    keypoints = np.stack([numbered(), numbered()])
    keypoints[1, 11, 0] = -1
    assert kp.found(keypoints).sum(-1).tolist() == [17, 16]
    assert kp.torso_found(keypoints).tolist() == [True, False]
    assert kp.torso_found(torch.from_numpy(keypoints)).tolist() == [True, False]


def test_csv_by_hand(tmp_path):
    path = tmp_path / "annotation.csv"
    ys, xs = [-1] + list(range(101, 118)), [-1] + list(range(2, 19))
    ys[5] = -1  # missing, although it has an x
    path.write_text(f"{kp.CSV_HEADER}\n1488_c5s3_071862_01.jpg.jpg: {ys}: {xs}\n")
    people = kp.read_csv(path)
    assert list(people) == ["1488_c5s3_071862_01.jpg.jpg"]
    keypoints = people["1488_c5s3_071862_01.jpg.jpg"]
    assert keypoints.shape == (18, 2) and keypoints.dtype == np.float32
    assert keypoints[[0, 5]].tolist() == [list(MISSING)] * 2 and keypoints[3].tolist() == [4, 103]


def test_csv_round_trip(tmp_path):
    people = {"b.jpg": numbered(), "a:b.jpg.jpg": numbered() / 3, "none": numbered() * 0 - 1}
    people["a:b.jpg.jpg"][6] = MISSING
    kp.write_csv(tmp_path / "out.csv", people)
    again = kp.read_csv(tmp_path / "out.csv")
    assert list(again) == list(people)
    for name in people:
        np.testing.assert_array_equal(again[name], people[name])
    assert "b.jpg: [100, 101, " in (tmp_path / "out.csv").read_text()


LIST = str(list(range(18)))


@pytest.mark.parametrize(
    "line, fault",
    [
        (f"b.jpg: {LIST}", "name:"),
        (f"b.jpg: {LIST}: [1, 2]", "18 x values, found 2"),
        (f"b.jpg: [1]: {LIST}", "18 y values, found 1"),
        (f"b.jpg: {LIST}: [1, 2", "x list is not valid JSON"),
        (f"b.jpg: {LIST}: {LIST.replace('3', 'NaN', 1)}", "not a number: nan"),
        (f"b.jpg: {LIST}: {LIST.replace('3', '[3]', 1)}", "not a number"),
        (f"a.jpg: {LIST}: {LIST}", "'a.jpg' appears twice"),
        (f": {LIST}: {LIST}", "name is empty"),
        ("", "name:"),
    ],
)
def test_a_bad_row_is_named(tmp_path, line, fault):
    path = tmp_path / "bad.csv"
    good = f"a.jpg: {LIST}: {LIST}"
    path.write_text("\n".join([kp.CSV_HEADER, good, line, good.replace("a", "c")]) + "\n")
    with pytest.raises(UserError, match=r"bad\.csv, line 3.*" + fault.replace("[", r"\[")):
        kp.read_csv(path)


def test_csv_without_header_or_file(tmp_path):
    with pytest.raises(UserError, match=r"none\.csv cannot be read"):
        kp.read_csv(tmp_path / "none.csv")
    (tmp_path / "pairs.csv").write_text("from,to\n")
    with pytest.raises(UserError, match=r"line 1: the header"):
        kp.read_csv(tmp_path / "pairs.csv")


def person(count, confidence, missing=()):
    return {
        "pose_keypoints_2d": [
            value
            for joint in range(count)
            for value in ((0, 0, 0) if joint in missing else (joint + 10, joint + 50, confidence))
        ]
    }


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_openpose_coco18_takes_the_most_confident(tmp_path):
    part = person(18, 1.0, missing=range(9, 18))  # surer of nine joints, not of all
    people = [person(18, 0.2), person(18, 0.9, missing=[4]), part]
    path = write(tmp_path / "p.json", {"people": people})
    keypoints = kp.read_openpose_json(path)
    assert keypoints.dtype == np.float32 and keypoints.shape == (18, 2)
    assert keypoints[4].tolist() == list(MISSING) and keypoints[17].tolist() == [27, 67]
    assert kp.read_openpose_json(path, person=0)[4].tolist() == [14, 54]


def test_openpose_body25(tmp_path):
    path = write(tmp_path / "p.json", {"people": [person(25, 0.5, missing=[14])]})
    keypoints = kp.read_openpose_json(path)
    where = dict(zip(kp.JOINTS, keypoints[:, 0] - 10, strict=True))
    # BODY_25's own numbers: 8 mid-hip, 9 right hip, 12 left hip, 15 right eye, 18 left ear.
    assert where["left_wrist"] == 7 and where["right_hip"] == 9 and where["left_hip"] == 12
    assert where["right_eye"] == 15 and where["left_eye"] == 16 and where["left_ear"] == 18
    assert keypoints[kp.JOINTS.index("left_ankle")].tolist() == list(MISSING)


def test_mmposes_most_confident_is_told_by_the_body_and_not_by_hands_and_face(tmp_path):
    """133 points of the whole body, of which COCO's 17 are ours."""
    people = [
        {"keypoints": [[at, at]] * 133, "keypoint_scores": [body] * 17 + [rest] * 116}
        for at, body, rest in ((30, 0.9, 0.1), (50, 0.5, 0.9))
    ]
    path = write(tmp_path / "p.json", people)
    assert (kp.read_openpose_json(path) == 30).all()


def test_openpose_round_trip(tmp_path):
    kp.write_openpose_json(tmp_path / "p.json", numbered())
    np.testing.assert_array_equal(kp.read_openpose_json(tmp_path / "p.json"), numbered())


@pytest.mark.parametrize(
    "content, fault",
    [
        ("{", "not valid JSON"),
        ({"humans": []}, "no list 'people'"),
        ([], "no people"),
        ([1], "person 0: expected MMPose's 'keypoints'"),
        ({"people": []}, "no people"),
        ({"people": [{"pose_keypoints_2d": [0] * 51}]}, "54 .* or 75 .* found 51"),
        ({"people": [{}]}, "found none"),
        ({"people": [{"pose_keypoints_2d": ["a"] * 54}]}, "not a number"),
        ({"people": [{"pose_keypoints_2d": [0.5] * 54}]}, r"keypoint_scale 0"),
        ({"people": [{"pose_keypoints_2d": [1e39, *[0] * 53]}]}, "not a number: 1e.39"),
        ({"people": [{"pose_keypoints_2d": [10**400, *[0] * 53]}]}, "not a number: 1000"),
        ('{"people": [{"pose_keypoints_2d": [' + "9" * 5000 + "]}]}", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
    ],
)
def test_a_bad_openpose_file_is_named(tmp_path, content, fault):
    with pytest.raises(UserError, match=r"p\.json.*" + fault):
        kp.read_openpose_json(write(tmp_path / "p.json", content))


def test_openpose_without_file_or_person(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        kp.read_openpose_json(tmp_path / "none.json")
    path = write(tmp_path / "p.json", {"people": [person(18, 0.2)]})
    with pytest.raises(UserError, match="no person 1"):
        kp.read_openpose_json(path, person=1)


@pytest.mark.parametrize("wrap", [np.asarray, torch.as_tensor])
def test_coco17(wrap):
    names = (
        "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow "
        "right_elbow left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle "
        "right_ankle"
    ).split()
    coco = np.stack((np.arange(17) * 3, np.arange(17) + 100), -1).astype(np.float32)
    ours = np.asarray(kp.from_coco17(wrap(coco)))
    assert ours.dtype == np.float32
    for index, name in enumerate(names):
        assert ours[kp.JOINTS.index(name)].tolist() == coco[index].tolist()
    assert ours[1].tolist() == [16.5, 105.5]  # between (15, 105) and (18, 106)
    coco[5] = MISSING
    assert np.asarray(kp.from_coco17(wrap(coco)))[1].tolist() == list(MISSING)


def test_shifted_joints_that_leave_the_frame_are_missing():
    keypoints = numbered()  # joint i at x = i + 1
    moved = kp.shift_keypoints(keypoints, 3, 18)
    assert np.array_equal(moved[:6], keypoints[:6] + (3, 0))
    assert (moved[6] == -1).all() and (moved[14:] == -1).all() and moved[13, 0] == 17
    assert (kp.shift_keypoints(keypoints, -2, 18)[0] == -1).all()
    assert moved.dtype == np.float32
