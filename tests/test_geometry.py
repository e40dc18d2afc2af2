"""Geometry of poses with few joints, by hand."""

import numpy as np

from pg2lib.data import geometry
from pg2lib.data.keypoints import JOINTS


def pose(**joints):
    keypoints = np.full((1, 18, 2), -1, np.float32)
    for name, place in joints.items():
        keypoints[0, JOINTS.index(name)] = place
    return keypoints


def test_two_joints_of_the_torso_tell_its_place_and_size():
    seen = pose(right_shoulder=(10, 20), right_hip=(10, 60), neck=(20, 20))
    scaled = geometry.normalised(seen)[0]
    np.testing.assert_allclose(scaled[1], (0.25, -0.5))  # from (10, 40), in units of 40
    assert np.isnan(geometry.normalised(pose(right_hip=(10, 60), neck=(20, 20)))).all()


def test_what_is_unseen_is_counted_from_the_neck_to_the_ankles_without_the_face():
    everything = np.arange(36, dtype=np.float32).reshape(1, 18, 2)
    nobody = pose()
    assert geometry.unseen(nobody, everything).tolist() == [13]
    assert geometry.unseen(nobody, pose(neck=(5, 5), nose=(5, 2))).tolist() == [1]
    assert geometry.unseen(everything, nobody).tolist() == [0]
