"""The walking cycle: closed, in the frame, of the right size, with limbs that keep their length."""

import numpy as np
import pytest

from pg2lib.apps.pose_studio import walking
from pg2lib.data import framing
from pg2lib.data.keypoints import JOINTS, found

SIZES = [(128, 64), (64, 32), (256, 256), (128, 40)]
R_ANKLE, L_ANKLE = JOINTS.index("right_ankle"), JOINTS.index("left_ankle")
R_WRIST, L_WRIST = JOINTS.index("right_wrist"), JOINTS.index("left_wrist")
MIDDLE = [JOINTS.index("right_hip"), JOINTS.index("left_hip")]


def person():
    """Somebody who stands, smaller than the frame and aside."""
    return walking.standing(128, 64) * np.float32(0.8) + np.float32((9, 14))


def reach(cycle, joint):
    """How far a joint is before the hips, as it walks to the right."""
    return cycle[:, joint, 0] - cycle[:, MIDDLE, 0].mean(1)


@pytest.mark.parametrize("height, width", SIZES)
@pytest.mark.parametrize("yaw", [None, 0, 90, -130, 180])
def test_all_joints_are_in_the_frame(height, width, yaw):
    cycle = walking.cycle(height, width, 8, yaw=yaw)
    assert cycle.shape == (8, 18, 2) and cycle.dtype == np.float32
    here = found(cycle)
    assert here[:, :14].sum() >= 8 * 13  # from behind the nose is not seen
    assert (here == here[0]).all()
    assert (cycle[here] <= (width - 1, height - 1)).all()
    assert (cycle[~here] == -1).all()


def test_the_last_pose_leads_to_the_first():
    """No step around the cycle, that from last to first among them, is much longer than others."""
    cycle = walking.cycle(256, 128, 24)
    steps = np.abs(np.roll(cycle, -1, 0) - cycle).max((1, 2))
    assert steps[-1] <= 1.01 * steps[:-1].max()
    finer = walking.cycle(256, 128, 48)
    np.testing.assert_allclose(finer[::2], cycle, atol=0.6)  # but for the box of the whole cycle


def test_half_a_cycle_later_left_is_where_right_was():
    """From the side, with arms and legs at the same depth, nothing tells the two sides apart."""
    cycle = walking.cycle(256, 256, 12, yaw=90)
    right, left = reach(cycle, R_ANKLE), reach(cycle, L_ANKLE)
    np.testing.assert_allclose(np.roll(right, 6), left, atol=1e-3)


def test_arms_swing_against_the_legs():
    cycle = walking.cycle(256, 256, 24, yaw=90)
    for wrist, same, other in ((R_WRIST, R_ANKLE, L_ANKLE), (L_WRIST, L_ANKLE, R_ANKLE)):
        assert np.corrcoef(reach(cycle, wrist), reach(cycle, same))[0, 1] < -0.7
        assert np.corrcoef(reach(cycle, wrist), reach(cycle, other))[0, 1] > 0.7


def test_limbs_keep_their_length():
    """From the side thighs and shins are as long in all poses, and from elsewhere never longer,
    once the stretch of the frame is taken out and the upright trunk gives the size."""
    longest = {}
    for yaw in (90, 40):
        cycle = walking.cycle(1280, 640, 24, yaw=yaw) / (walking.STRETCH, 1)
        trunk = (cycle[:, MIDDLE, 1].mean(1) - cycle[:, 1, 1]).mean()
        for start, end in ((8, 9), (9, 10), (11, 12), (12, 13)):
            lengths = np.linalg.norm(cycle[:, start] - cycle[:, end], axis=1) / trunk
            longest[yaw, start, end] = lengths.max()
            if yaw == 90:
                assert np.ptp(lengths) < 0.02 * lengths.mean()
            else:
                assert lengths.max() < 1.01 * longest[90, start, end]


def test_it_fills_the_frame_as_people_do_in_training():
    cycle = walking.cycle(128, 64)
    low = cycle[found(cycle)].min(0)
    high = cycle[found(cycle)].max(0)
    tall = (high - low)[1]
    assert (128 - tall) / tall == pytest.approx(framing.ABOVE + framing.BELOW, abs=0.02)
    assert low[1] == pytest.approx(framing.ABOVE * tall, abs=1.5)
    assert (low + high)[0] / 2 == pytest.approx(31.5, abs=1)


def test_it_takes_size_and_place_of_a_person():
    like = person()
    cycle = walking.cycle(128, 64, like=like)
    assert cycle[:, 1, 1].mean() == pytest.approx(like[1, 1], abs=1)
    ankles = [R_ANKLE, L_ANKLE]
    assert cycle[:, ankles, 1].max() == pytest.approx(like[ankles, 1].max(), abs=1)
    assert cycle[:, MIDDLE, 0].mean() == pytest.approx(like[MIDDLE, 0].mean(), abs=4)
    shorter = like.copy()  # legs end earlier
    shorter[[9, 10, 12, 13], 1] -= 0.15 * (shorter[[9, 10, 12, 13], 1] - like[MIDDLE, 1].mean())
    levels = walking.levels(walking.cycle(128, 64, like=shorter)[0])
    usual = walking.levels(cycle[0])
    share = [(ankle - hip) / (hip - neck) for neck, hip, ankle in (levels, usual)]
    assert share[0] < 0.97 * share[1]


def test_it_walks_to_the_side_that_the_person_faces():
    like = walking.standing(128, 64)
    for side in (-1, 1):
        turned = like * (0.7, 1)  # the shoulders come together and the nose goes aside
        turned[[0, 14, 15], 0] += 5 * side
        cycle = walking.cycle(128, 64, like=turned)
        assert np.sign((cycle[:, 0, 0] - cycle[:, 1, 0]).mean()) == side


def test_a_pose_that_tells_no_size_gives_the_usual_cycle():
    for missing in ([1], [8, 11], [10, 13]):
        like = person()
        like[missing] = -1
        np.testing.assert_array_equal(walking.cycle(128, 64, like=like), walking.cycle(128, 64))
    upside_down = person()
    upside_down[:, 1] = 127 - upside_down[:, 1]
    assert not walking.measurable(upside_down)


def test_who_stands_faces_the_camera():
    pose = walking.standing(128, 64)
    assert found(pose).all()
    assert pose[2, 0] < pose[5, 0]  # the right shoulder on the left of the image
    assert pose[0, 1] < pose[1, 1] < pose[8, 1] < pose[9, 1] < pose[10, 1]
