"""Editing a pose: what each step does, undo and redo, joints put back, and the timeline."""

import numpy as np
import pytest

from pg2lib.apps.pose_studio import editor as pose_editor
from pg2lib.apps.pose_studio import walking
from pg2lib.apps.pose_studio.editor import PoseEditor, Timeline
from pg2lib.core.files import UserError
from pg2lib.data.keypoints import JOINTS, SWAP, found

HEIGHT, WIDTH = 128, 64
POSE = np.stack([np.arange(10, 46, 2), np.arange(20, 110, 5)], 1).astype(np.float32)
ELBOW, WRIST, ANKLE = (JOINTS.index(f"right_{name}") for name in ("elbow", "wrist", "ankle"))


@pytest.fixture
def editor():
    pose = POSE.copy()
    pose[WRIST] = -1
    return PoseEditor(pose, HEIGHT, WIDTH)


def test_a_drag_is_one_step(editor):
    before = editor.pose
    for x in range(5):
        editor.move(ELBOW, 30 + x, 40.5)
    assert editor.pose[ELBOW].tolist() == [34, 40.5]
    editor.drop(ELBOW, 36, 41)
    others = np.arange(18) != ELBOW
    np.testing.assert_array_equal(editor.pose[others], before[others])
    editor.undo()
    np.testing.assert_array_equal(editor.pose, before)
    assert not editor.can_undo and editor.can_redo
    editor.redo()
    assert editor.pose[ELBOW].tolist() == [36, 41] and not editor.can_redo


def test_undo_in_the_middle_of_a_drag_takes_the_drag_back(editor):
    before = editor.pose
    editor.hide(ELBOW)
    hidden = editor.pose
    editor.move(0, 1, 1)
    editor.undo()
    np.testing.assert_array_equal(editor.pose, hidden)
    editor.undo()
    np.testing.assert_array_equal(editor.pose, before)


def test_joints_stay_in_the_frame(editor):
    editor.drop(0, -8, 500)
    assert editor.pose[0].tolist() == [0, HEIGHT - 1]
    editor.move(0, 1e9, -3)
    assert editor.pose[0].tolist() == [WIDTH - 1, 0]
    outside = np.float32([[-5, 3], [70, 200], *POSE[2:]])  # the first is missing, the second not
    clipped = PoseEditor(outside, HEIGHT, WIDTH).pose
    assert clipped[:2].tolist() == [[-1, -1], [WIDTH - 1, HEIGHT - 1]]


def test_a_hidden_joint_comes_back_where_it_was(editor):
    editor.drop(ELBOW, 33, 44)
    editor.hide(ELBOW)
    assert editor.pose[ELBOW].tolist() == [-1, -1]
    editor.drop(0, 9, 9)
    editor.show(ELBOW)
    assert editor.pose[ELBOW].tolist() == [33, 44]
    editor.show(ELBOW)  # it is there: no step
    editor.undo()
    assert editor.pose[ELBOW].tolist() == [-1, -1]


def test_a_joint_that_never_was_there_hangs_from_its_neighbour():
    standing = walking.standing(HEIGHT, WIDTH)
    pose = standing.copy()
    pose[[WRIST, ANKLE]] = -1
    editor = PoseEditor(pose, HEIGHT, WIDTH)
    editor.show(WRIST)
    editor.show(ANKLE)
    np.testing.assert_allclose(editor.pose, standing, atol=1e-3)


def test_a_guess_has_the_size_and_side_of_the_person():
    """Half as large and from behind: right and left change sides, what hangs keeps hanging."""
    standing = walking.standing(HEIGHT, WIDTH)
    pose = standing * (-0.5, 0.5) + (60, 10)
    wrist = pose[WRIST].copy()
    pose[WRIST] = -1
    np.testing.assert_allclose(pose_editor.guess(pose, WRIST, HEIGHT, WIDTH), wrist, atol=1e-3)
    nobody = np.full((18, 2), -1.0)
    np.testing.assert_array_equal(pose_editor.guess(nobody, 3, HEIGHT, WIDTH), standing[3])
    nobody[ELBOW] = 20, 30  # a single joint tells neither: as large as who fills the frame
    offset = standing[WRIST] - standing[ELBOW]
    np.testing.assert_allclose(
        pose_editor.guess(nobody, WRIST, HEIGHT, WIDTH), offset + (20, 30), atol=1e-4
    )


def test_neighbours_come_by_the_number_of_limbs_between():
    wrist = pose_editor.neighbours(WRIST)
    assert wrist[:2] == [ELBOW, JOINTS.index("right_shoulder")]
    assert sorted([*wrist, WRIST]) == list(range(18))


def test_a_mirrored_pose_changes_sides(editor):
    before = editor.pose
    editor.mirror()
    expected = np.where(found(before)[:, None], before * (-1, 1) + (WIDTH - 1, 0), -1)[list(SWAP)]
    np.testing.assert_array_equal(editor.pose, expected)
    assert editor.pose[SWAP[WRIST]].tolist() == [-1, -1]
    editor.mirror()
    np.testing.assert_array_equal(editor.pose, before)


def test_a_hidden_joint_is_mirrored_as_well(editor):
    place = editor.pose[ELBOW]
    editor.hide(ELBOW)
    editor.mirror()
    editor.show(SWAP[ELBOW])
    assert editor.pose[SWAP[ELBOW]].tolist() == [WIDTH - 1 - place[0], place[1]]


def test_reset_goes_back_to_the_pose_taken_last(editor):
    first = editor.pose
    editor.drop(0, 1, 1)
    editor.reset()
    np.testing.assert_array_equal(editor.pose, first)
    editor.take(POSE[::-1])
    editor.mirror()
    editor.reset()
    np.testing.assert_array_equal(editor.pose, POSE[::-1])
    for _ in range(4):  # reset, mirror, take, reset
        editor.undo()
    assert editor.pose[0].tolist() == [1, 1]
    editor.reset()
    np.testing.assert_array_equal(editor.pose, first)


def test_a_new_step_forgets_what_was_undone(editor):
    editor.drop(0, 1, 1)
    editor.undo()
    editor.drop(0, 2, 2)
    assert not editor.can_redo
    editor.redo()
    assert editor.pose[0].tolist() == [2, 2]


def test_only_so_many_steps_are_kept(editor, monkeypatch):
    monkeypatch.setattr(pose_editor, "STEPS", 3)
    for x in range(1, 7):
        editor.drop(0, x, 0)
    for _ in range(9):
        editor.undo()
    assert editor.pose[0].tolist() == [3, 0] and not editor.can_undo


def test_a_preview_is_no_step(editor):
    before = editor.pose
    editor.preview(POSE[::-1])
    np.testing.assert_array_equal(editor.pose, POSE[::-1])
    editor.undo()
    np.testing.assert_array_equal(editor.pose, before)
    assert not editor.can_redo


def test_nothing_done_is_no_step(editor):
    editor.drop(0, *editor.pose[0])
    editor.hide(WRIST)
    editor.reset()
    editor.take(editor.pose)
    assert not editor.can_undo
    editor.undo()
    editor.redo()


def test_what_the_editor_gives_away_cannot_change_it(editor):
    editor.pose[:] = 0
    assert editor.pose[1].tolist() == POSE[1].tolist()


@pytest.mark.parametrize("joint", [-1, 18, None, "0"])
@pytest.mark.parametrize("act", [lambda e, j: e.drop(j, 1, 1), PoseEditor.hide, PoseEditor.show])
def test_joints_that_do_not_exist_are_told(editor, act, joint):
    before = editor.pose
    with pytest.raises(UserError, match="there is no joint"):
        act(editor, joint)
    np.testing.assert_array_equal(editor.pose, before)
    assert not editor.can_undo


def test_places_that_are_no_numbers_are_told(editor):
    for place in ((float("nan"), 1), (1, float("inf"))):
        with pytest.raises(UserError, match="cannot move"):
            editor.move(0, *place)


# ---- the timeline


def line(*xs, between=0):
    timeline = Timeline(between=between)
    for x in xs:
        timeline = timeline.add(np.full((18, 2), x))
    return timeline


def names(timeline):
    return [key.name for key in timeline.keys]


def test_frames_lie_between_the_key_poses():
    timeline = line(0, 30, 60, between=2)
    assert len(timeline) == 7
    assert timeline.frames()[:, 0, 0].tolist() == [0, 10, 20, 30, 40, 50, 60]
    assert timeline.frames().dtype == np.float32
    assert line(5, between=9).frames().shape == (1, 18, 2)


def test_key_poses_are_added_moved_and_removed():
    timeline = line(1, 2, 3)
    assert names(timeline) == ["pose 1", "pose 2", "pose 3"]
    assert names(timeline.shift(2, -1)) == ["pose 1", "pose 3", "pose 2"]
    assert names(timeline.shift(0, -1)) == names(timeline) == names(timeline.shift(2, 1))
    shorter = timeline.remove(1)
    assert shorter.frames()[:, 0, 0].tolist() == [1, 3]
    assert names(shorter.add(POSE)) == ["pose 1", "pose 3", "pose 2"]  # the free number
    assert names(timeline) == ["pose 1", "pose 2", "pose 3"]


def test_a_key_pose_does_not_follow_the_array_it_came_from():
    pose = POSE.copy()
    timeline = Timeline().add(pose)
    pose[:] = 0
    np.testing.assert_array_equal(timeline.key(0).pose, POSE)


def test_mistakes_in_a_timeline_are_told():
    with pytest.raises(UserError, match="timeline is empty"):
        Timeline().frames()
    for index in (-1, 2):
        with pytest.raises(UserError, match=f"no key pose {index}; it has 2"):
            line(1, 2).remove(index)
    for between in (-1, 101, 2.5):
        with pytest.raises(UserError, match="choose from 0 to 100"):
            Timeline(between=between)
    with pytest.raises(UserError, match="7 key poses with 100 in between are 607 poses"):
        line(*range(8), between=100)
