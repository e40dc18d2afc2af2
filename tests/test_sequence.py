"""Sequences of poses: reading them, gaps, strip and GIF."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from pg2lib.apps.photo import generate, sequence
from pg2lib.core.files import UserError
from pg2lib.data.keypoints import found, write_openpose_json
from pg2lib.models.base import Output

WALK = np.stack([np.random.default_rng(0).integers(1, 60, (18, 2)) + k for k in range(6)])
WALK = WALK.astype(np.float32)


def openpose(pose, count=18):
    triples = np.concatenate([np.where(found(pose)[:, None], pose, 0), found(pose)[:, None]], 1)
    triples = np.concatenate([triples, np.zeros((count - 18, 3))]) if count == 25 else triples
    return {"people": [{"pose_keypoints_2d": triples.ravel().tolist()}]}


def write(path, content):
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("wrap", [lambda f: {"frames": f}, lambda f: f])
def test_a_file_of_frames_is_read_in_order(tmp_path, wrap):
    path = write(tmp_path / "walk.json", wrap([openpose(pose) for pose in WALK]))
    assert sequence.is_sequence(path)
    poses, done = sequence.read_sequence(path)
    np.testing.assert_array_equal(poses, WALK)
    assert done == "6 frames"


def test_a_folder_is_read_in_the_order_of_names(tmp_path):
    for k in (3, 0, 2, 5, 1, 4):
        write_openpose_json(tmp_path / f"walk_{k:012}_keypoints.json", WALK[k])
    (tmp_path / "notes.txt").touch()
    assert sequence.is_sequence(tmp_path)
    np.testing.assert_array_equal(sequence.read_sequence(tmp_path)[0], WALK)


def test_body_25_frames_are_read(tmp_path):
    body = openpose(WALK[0], 25)
    poses, _ = sequence.read_sequence(write(tmp_path / "walk.json", [body, body]))
    np.testing.assert_array_equal(poses[0, :8], WALK[0, :8])
    np.testing.assert_array_equal(poses[0, 8], WALK[0, 9])  # mid-hip is left out


def test_a_single_pose_is_no_sequence(tmp_path):
    assert not sequence.is_sequence(write(tmp_path / "pose.json", openpose(WALK[0])))
    assert not sequence.is_sequence(write(tmp_path / "number.json", 7))
    assert not sequence.is_sequence(tmp_path / "gone.json")
    (tmp_path / "me.jpg").write_bytes(b"\xff\xd8\xff")
    assert not sequence.is_sequence(tmp_path / "me.jpg")


def test_frames_without_a_person_are_left_out_and_lost_joints_guessed(tmp_path):
    walk = WALK.copy()
    walk[2, 4] = -1  # of frame 2 a wrist
    frames = [openpose(pose) for pose in walk]
    few = np.full((18, 2), -1, np.float32)
    few[0] = 5
    path = write(tmp_path / "walk.json", [{"people": []}, *frames, openpose(few)])
    poses, done = sequence.read_sequence(path)
    np.testing.assert_allclose(poses, WALK, atol=1e-5)  # the walk is linear in time
    assert done == ("8 frames, missing joints interpolated: 1, frames without a person left out: 2")


@pytest.mark.parametrize(
    "content, words",
    [
        ({"frames": []}, "walk.json holds 0 frames"),
        ([openpose(WALK[0])], "walk.json holds 1 frames"),
        ({"frames": {"0": 1}}, "walk.json is not a sequence"),
        ([openpose(WALK[0]), {"persons": []}], "walk.json, frame 1 is not an OpenPose file"),
        ([openpose(WALK[0]), 7], "walk.json, frame 1 is not an OpenPose file"),
        (
            [{"people": [{"pose_keypoints_2d": [1, 2, 3]}]}, openpose(WALK[0])],
            "walk.json, frame 0, person 0: .* found 3",
        ),
    ],
)
def test_mistakes_in_a_file_are_told(tmp_path, content, words):
    with pytest.raises(UserError, match=words):
        sequence.read_sequence(write(tmp_path / "walk.json", content))


def test_a_frame_on_one_spot_is_told(tmp_path):
    path = write(tmp_path / "walk.json", [openpose(np.full((18, 2), 7.0))] * 2)
    with pytest.raises(UserError, match="walk.json has all its joints in one place"):
        sequence.read_sequence(path)


def test_mistakes_in_a_folder_are_told(tmp_path):
    with pytest.raises(UserError, match="holds no .json file"):
        sequence.read_sequence(tmp_path)
    write(tmp_path / "a.json", openpose(WALK[0]))
    (tmp_path / "b.json").write_text("{")
    with pytest.raises(UserError, match="b.json is not valid JSON"):
        sequence.read_sequence(tmp_path)


def test_gaps_are_filled_up_to_a_length_and_not_at_the_ends():
    poses = np.repeat(np.arange(12, dtype=np.float32)[:, None], 2, 1)[:, None].repeat(18, 1)
    poses += 1
    lost = poses.copy()
    lost[0, 0] = lost[11, 0] = -1  # the ends
    lost[3:6, 1] = -1  # three frames
    lost[2:6, 2] = -1  # four, one more than allowed here
    filled = sequence.fill_gaps(lost, longest=3)
    np.testing.assert_allclose(filled[3:6, 1], poses[3:6, 1])
    for joint, frames in ((0, [0, 11]), (2, range(2, 6))):
        assert (filled[list(frames), joint] == -1).all()
    expected = lost.copy()
    expected[3:6, 1] = poses[3:6, 1]
    np.testing.assert_allclose(filled, expected)


def test_poses_in_between_lie_on_the_line():
    start, end = np.full((18, 2), 10.0), np.full((18, 2), 40.0)
    start[3] = end[4] = -1
    poses = sequence.in_between([start, end], 2)
    assert poses.shape == (4, 18, 2) and poses.dtype == np.float32
    assert poses[:, 0, 0].tolist() == [10, 20, 30, 40]
    assert (poses[1:3, 3:5] == -1).all() and (poses[3, 3] == 40).all()
    np.testing.assert_array_equal(sequence.in_between(WALK, 0), WALK)
    for count in (-1, 101):
        with pytest.raises(UserError, match=f"--between {count}"):
            sequence.check_count(count)


def painted(count):
    """Condition, poses and results in one colour each."""
    condition = np.full((64, 32, 3), 77, np.uint8)
    results = [np.full((64, 32, 3), (5 * k, 200, 30), np.uint8) for k in range(count)]
    return condition, np.repeat(WALK[:1], count, 0).clip(0, 30), results


def test_figure_1c_has_poses_above_results():
    sheet = sequence.figure1c(*painted(20))
    high, wide = 4 * 64 + sequence.GAP, 4 * 32 + sequence.GAP  # four dots a pixel
    assert sheet.shape == (2 * high + 6, 9 * wide + 6, 3)
    places = [sheet[high + 20, c * wide + 20] for c in range(9)]
    assert (places[0] == 77).all() and (sheet[20, 20] == 255).all()  # nothing above the condition
    chosen = [int(place[0]) // 5 for place in places[1:]]
    assert chosen == [0, 3, 5, 8, 11, 14, 16, 19]  # spread over all, first and last among them
    pose = sheet[6 : 6 + 256, wide + 6 : wide + 134]
    assert (pose == 0).any() and (pose > 200).any()
    assert sequence.figure1c(*painted(3)).shape[1] == 4 * wide + 6


def test_the_gif_has_a_frame_for_each_pose():
    condition, poses, results = painted(5)
    content = sequence.gif(condition, poses, results, fps=10)
    with Image.open(io.BytesIO(content)) as gif:
        assert gif.n_frames == 5 and gif.info["loop"] == 0
        width = gif.size[0]
        for k in range(5):
            gif.seek(k)
            assert gif.info["duration"] == 100
            colours = np.asarray(gif.convert("RGB"))[130]
            assert np.abs(colours[width - 60].astype(int) - (5 * k, 200, 30)).max() <= 4
            assert np.abs(colours[60].astype(int) - 77).max() <= 4
    for fps in (0, -1, 1000, float("nan")):
        with pytest.raises(UserError, match="0.1 to 50 frames per second"):
            sequence.check_rate(fps)


def test_every_frame_is_painted_from_its_own_pose_and_the_one_of_the_photo(tmp_path):
    def paint(inputs):
        grey = inputs.target_keypoints[0, 0, 0] + inputs.condition_keypoints[0, 0, 0]
        return Output((grey / 127.5 - 1).expand(1, 3, 64, 32))

    poses = np.stack([np.full((18, 2), place) for place in (3, 20, 11)])
    image, mine = np.zeros((64, 32, 3), np.uint8), np.full((18, 2), 100)
    generate.generate_and_write(paint, image, poses, tmp_path, pose=mine)
    frames = [np.asarray(Image.open(tmp_path / "frames" / f"00{k}.png")) for k in range(3)]
    assert [np.unique(frame).tolist() for frame in frames] == [[103], [120], [111]]
