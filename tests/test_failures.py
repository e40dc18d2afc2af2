"""Causes of failures: hand-made poses, plain loops and drawn people of known direction."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pg2lib.data import geometry
from pg2lib.data import synthetic as people
from pg2lib.data.keypoints import JOINTS, SWAP, flip_keypoints, found
from pg2lib.evaluation import difficulty

# Somebody facing the camera, arms down, in a frame 64 wide and 128 high.
STANDING = np.float32(
    [
        (32, 12), (32, 24), (18, 24), (17, 40), (15, 56), (46, 24), (47, 40), (49, 56),
        (26, 60), (26, 84), (26, 108), (38, 60), (38, 84), (38, 108),
        (29, 10), (35, 10), (26, 11), (38, 11),
    ]
)  # fmt: skip
FACE = [0, 14, 15, 16, 17]


def changed(**joints):
    """STANDING with some joints elsewhere; None takes a joint away."""
    pose = STANDING.copy()
    for name, place in joints.items():
        pose[JOINTS.index(name)] = (-1, -1) if place is None else place
    return pose


def without(pose, *joints):
    pose = pose.copy()
    pose[list(joints)] = -1
    return pose


def from_behind():
    """Left and right change sides, and the face but for the ears is hidden."""
    return without(STANDING[list(SWAP)], 0, 14, 15)


def dataset(*poses, training=1):
    keypoints = np.stack(poses)
    return SimpleNamespace(keypoints=keypoints, train=np.arange(len(poses)) < training)


# ---- rare poses


def test_normalised_forgets_place_and_size_and_keeps_missing_joints():
    half = without(STANDING / 2 + (10, 3), 4)
    a, b = geometry.normalised(np.stack([without(STANDING, 4), half]))
    np.testing.assert_allclose(a, b, atol=1e-6)
    assert np.isnan(a[4]).all() and np.isfinite(a[5]).all()
    # The centre of the torso is (32, 42), its longest side from shoulder to opposite hip.
    np.testing.assert_allclose(a[1], (0, -18 / np.hypot(20, 36)), atol=1e-6)


def test_normalised_without_torso_is_nan():
    assert np.isnan(geometry.normalised(without(STANDING, 2, 5, 8)[None])).all()


def slow_distance(pose, training, shared=2 / 3):
    """The nearest of the training poses and their mirror images, joint by joint."""
    best = np.nan
    for other in [*training, *(flip_keypoints(one, 64) for one in training)]:
        both = found(pose) & found(other)
        if both.sum() < max(1, shared * found(pose).sum()):
            continue
        a, b = geometry.normalised(np.stack([pose, other]))
        best = np.fmin(best, np.sqrt(((a - b)[both] ** 2).sum(-1).mean()))
    return best


def test_pose_distance_against_a_plain_loop():
    rng = np.random.default_rng(3)
    poses = (STANDING + rng.normal(0, 4, (12, 18, 2))).clip(0, (63, 127)).astype(np.float32)
    poses[rng.random((12, 18)) < 0.2] = -1
    poses[0, [2, 5, 8, 11]] = -1
    ours = geometry.pose_distance(poses[:7], poses[7:], chunk=3)
    slow = [slow_distance(pose, poses[7:]) for pose in poses[:7]]
    assert np.isnan(ours[0]) and np.isfinite(ours).sum() >= 4
    np.testing.assert_allclose(ours, slow, atol=1e-5)


def test_a_mirrored_training_pose_is_no_distance_away():
    raised = changed(left_wrist=(60, 5))
    training = flip_keypoints(raised, 64)[None]
    assert geometry.pose_distance(raised[None], training)[0] == pytest.approx(0, abs=1e-6)
    assert geometry.pose_distance(raised[None], STANDING[None])[0] > 0.2


def test_a_pose_of_few_joints_is_not_near_to_everything():
    torso_only = without(STANDING, *range(2), *range(3, 5), 6, 7, 9, 10, 12, 13, *FACE)
    assert np.isnan(geometry.pose_distance(STANDING[None], torso_only[None])[0])
    assert geometry.pose_distance(torso_only[None], STANDING[None])[0] == pytest.approx(0)


# ---- rotation


def test_facing_of_hand_made_poses():
    to_the_right = changed(
        right_shoulder=(31, 24), left_shoulder=(33, 24), nose=(38, 12), left_ear=None
    )
    poses = [STANDING, from_behind(), to_the_right, flip_keypoints(to_the_right, 64)]
    yaw, sided = geometry.facing(np.stack([*poses, changed(left_shoulder=None)]))
    # The shoulders are 28 px apart, where 0.8 * 36 px are the full width.
    nearly = np.degrees(np.arccos(28 / 28.8))
    np.testing.assert_allclose(yaw[:2], [nearly, 180 - nearly], atol=1e-4)
    quarter = np.degrees(np.arccos(2 / 28.8))
    np.testing.assert_allclose(yaw[2:4], [quarter, -quarter], atol=1e-4)
    assert np.isnan(yaw[4])
    assert sided[2:4].all() and not sided[0] and not sided[1]


def test_facing_of_drawn_people():
    drawn = [people.draw(identity, view) for identity in range(4) for view in range(8)]
    yaw, sided = geometry.facing(np.stack([one.keypoints for one in drawn]))
    true = np.array([one.yaw for one in drawn])
    error = np.abs(np.abs(yaw) - np.abs(true))
    assert np.nanmedian(error) < 15 and np.nanquantile(error, 0.9) < 40
    sideways = sided & (np.abs(np.sin(np.radians(true))) > 0.5) & (yaw != 0)
    assert (np.sign(yaw) == np.sign(true))[sideways].mean() > 0.8


def test_rotation_takes_the_smaller_angle_where_a_side_is_unknown(monkeypatch):
    facings = [(np.array([100.0, 100, -170]), np.array([True, False, True])),
               (np.array([-100.0, -100, 170]), np.array([True, True, True]))]  # fmt: skip
    monkeypatch.setattr(geometry, "facing", lambda which: facings[which])
    np.testing.assert_allclose(geometry.rotation(0, 1), [160, 0, 20])


# ---- occlusion


def test_unseen_counts_what_only_the_target_shows():
    condition = without(changed(left_wrist=(30, 45)), 3, 4, *FACE)
    target = without(STANDING, 4)
    # The right elbow is missing, the left wrist lies on the torso; the right wrist neither shows.
    assert geometry.unseen(condition[None], target[None]).tolist() == [2]
    assert geometry.unseen(condition[None], condition[None]).tolist() == [0]


@pytest.mark.parametrize("mirrored", [False, True])
def test_crossing_is_inside_the_torso(mirrored):
    pose = changed(right_wrist=(30, 40), left_elbow=(32, 62), left_wrist=(36, 30))
    pose = flip_keypoints(pose, 64) if mirrored else pose
    expected = [7, 4] if mirrored else [4, 7]
    assert np.flatnonzero(geometry.crossing(pose[None])[0]).tolist() == sorted(expected)
    assert not geometry.crossing(without(pose, 8)[None]).any()


# ---- the table


def test_causes_of_hand_made_pairs():
    raised = changed(right_wrist=(5, 2), left_wrist=(60, 2), right_knee=(5, 70))
    training = [STANDING, changed(right_wrist=(16, 55)), from_behind()]
    data = dataset(*training, raised, without(STANDING, 4, 7, 10), training=3)
    table = difficulty.causes(data, np.array([(0, 1), (0, 3), (0, 2), (0, 4), (4, 0)]))
    assert table.missing.tolist() == [0, 0, 0, 3, 0]
    assert table.unseen.tolist() == [0, 0, 0, 0, 3]
    flags = table[list(difficulty.CAUSES)]
    assert flags["missing joints"].tolist() == [False, False, False, True, False]
    assert flags["rare pose"].tolist() == [False, True, False, False, False]
    assert flags["occlusion"].tolist() == [False, False, False, False, True]
    assert flags["large rotation"].tolist() == [False, False, True, False, False]
    # Half a turn, less twice the angle that the width of the shoulders leaves open.
    assert table.turned[2] == pytest.approx(180 - 2 * np.degrees(np.arccos(28 / 28.8)), abs=1e-2)
    assert difficulty.reasons(table, 2) == "turned by about 153 degrees"
    assert difficulty.reasons(table, 3) == "3 of 13 body joints missing in the target"
    assert difficulty.reasons(table, 0) == "no cause visible in the keypoints"


def test_what_cannot_be_measured_names_no_cause():
    lost = np.full((18, 2), -1, np.float32)
    table = difficulty.causes(dataset(STANDING, lost), np.array([(0, 1), (1, 0), (0, 0)]))
    assert np.isnan(table.distance[0]) and np.isnan(table.turned[:2]).all()
    assert table["missing joints"].tolist() == [True, False, False]
    assert not table["large rotation"].any()


# ---- what they cost


def test_effects_recover_what_was_put_in():
    rng = np.random.default_rng(1)
    people_of = np.repeat(np.arange(60), 5)
    a = rng.random(300) < 0.4
    b = np.where(rng.random(300) < 0.7, a, ~a)  # comes mostly with a
    values = 0.5 - 0.2 * a + 0.0 * b + rng.normal(0, 0.02, 300)
    values[7] = np.nan
    flags = pd.DataFrame({"a": a, "b": b, "never": np.zeros(300, bool)})
    table = difficulty.effects(values, flags, people_of)
    known = np.arange(300) != 7
    plain = values[known & b].mean() - values[known & ~b].mean()
    assert table.effect["b"] == pytest.approx(plain, abs=1e-9) and plain < -0.05
    assert table.low["b"] < plain < table.high["b"] < 0
    # With a held fixed nothing is left of b.
    design = np.column_stack([np.ones(300), a, b])[known]
    fitted = np.linalg.lstsq(design, values[known], rcond=None)[0]
    np.testing.assert_allclose(table.fixed[["a", "b"]], fitted[1:], atol=1e-9)
    assert table.fixed_low["b"] < 0 < table.fixed_high["b"]
    assert table.fixed_low["a"] < -0.2 < table.fixed_high["a"]
    assert table.pairs["never"] == 0 and np.isnan(table.effect["never"])


def test_effects_resample_people_not_pairs():
    """Copies of the same pairs add no knowledge: the interval stays as wide."""
    rng = np.random.default_rng(2)
    values, flag, who = rng.normal(size=40), rng.random(40) < 0.5, np.arange(40)
    few, many = (
        difficulty.effects(
            np.tile(values, n), pd.DataFrame({"a": np.tile(flag, n)}), np.tile(who, n)
        )
        for n in (1, 5)
    )
    np.testing.assert_allclose(few.loc["a", "effect":"high"], many.loc["a", "effect":"high"])


def ranked():
    table = pd.DataFrame({cause: [False] * 6 for cause in difficulty.CAUSES})
    table.loc[[0, 1, 2, 4], "missing joints"] = True
    table.loc[[1, 2], "occlusion"] = True
    scores = pd.DataFrame(
        {"body_ssim": [0.3, 0.1, 0.2, 0.0, np.nan, 0.5], "identity": list("aabcdb")}
    )
    return scores, table


def test_worst_ranks_within_each_cause():
    found_pairs = difficulty.worst(*ranked())
    by_cause = found_pairs.groupby("cause")["pair"].agg(list).to_dict()
    assert by_cause == {"missing joints": [1, 2, 0], "occlusion": [1, 2], difficulty.NONE: [3, 5]}
    assert found_pairs["rank"].tolist() == [1, 2, 3, 1, 2, 1, 2]
    assert found_pairs["of"].tolist() == [3, 3, 3, 2, 2, 2, 2]


def test_worst_once_shows_no_pair_and_no_person_again():
    found_pairs = difficulty.worst(*ranked(), per_cause=1, once=True)
    assert found_pairs[["cause", "pair", "rank"]].values.tolist() == [
        ["missing joints", 1, 1], ["occlusion", 2, 2], [difficulty.NONE, 3, 1]
    ]  # fmt: skip
