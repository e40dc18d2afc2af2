"""Edits of a pose made by program, and where their effect is looked for."""

import numpy as np
import pytest

from pg2lib.apps.pose_studio import probe, walking

HEIGHT, WIDTH = 128, 64


@pytest.fixture
def pose():
    return walking.standing(HEIGHT, WIDTH)


def test_an_elbow_moves_away_from_the_neck_and_nothing_else_moves(pose):
    moved = probe.elbow_out(pose, HEIGHT, WIDTH)
    assert np.flatnonzero((moved != pose).any(1)).tolist() == [probe.ELBOW]
    before, after = (abs(p[probe.ELBOW, 0] - p[probe.NECK, 0]) for p in (pose, moved))
    assert after - before == pytest.approx(10)


def test_a_raised_arm_is_above_its_shoulder(pose):
    raised = probe.arm_up(pose, HEIGHT, WIDTH)
    heights = raised[[probe.SHOULDER, probe.ELBOW, probe.WRIST], 1]
    assert heights[0] > heights[1] > heights[2]


def test_regions_hold_both_places_and_shares_add_up(pose):
    moved = probe.elbow_out(pose, HEIGHT, WIDTH)
    body, near = probe.regions(pose, moved, HEIGHT, WIDTH)
    for place in (pose, moved):
        x, y = place[probe.ELBOW].round().astype(int)
        assert body[y, x] and near[y, x]
    assert near.mean() < body.mean() < 1
    change = np.ones((HEIGHT, WIDTH))
    assert probe.share(change, body) + probe.share(change, ~body) == pytest.approx(1)
    assert probe.share(0 * change, body) == 0
