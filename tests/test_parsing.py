"""Parsing maps of drawn people against silhouettes, joints and the painter; pose regions."""

import dataclasses

import numpy as np
import pytest
import torch

from pg2lib.core.files import UserError
from pg2lib.data import parsing, synthetic
from pg2lib.data.keypoints import flip_keypoints
from pg2lib.data.synthetic import _person, body, dress, labels, paint, wardrobe

LIP = parsing.LABELS["lip"]
DRAW = {"synthetic-market": synthetic.draw, "synthetic-fashion": synthetic.draw_fashion}
VIEWS = [(name, i, v) for name in DRAW for i in range(8) for v in range(2)]
SIZE = 48, 32


@pytest.fixture(scope="module")
def views():
    """(drawn view, kinds) of VIEWS; the kinds are drawn between two drawings of the image."""
    found = []
    for name, identity, view in VIEWS:
        synthetic._person.cache_clear()
        before = DRAW[name](identity, view, 0, *SIZE)
        kinds = labels.draw_kinds(name, identity, view, 0, *SIZE)
        after = DRAW[name](identity, view, 0, *SIZE)
        assert before.image.tobytes() == after.image.tobytes()  # labels change no image
        assert np.array_equal(before.keypoints, after.keypoints)
        found.append((before, kinds))
    return found


def test_labels_together_are_the_silhouette_in_every_pixel(views):
    for (name, identity, view), (drawn, kinds) in zip(VIEWS, views):
        people, lip = (
            parsing.draw_map(name, identity, view, 0, *SIZE, labels=labels)
            for labels in ("people", "lip")
        )
        assert np.array_equal(people > 0, drawn.silhouette)
        bag = kinds == labels.NUMBER["bag"]
        assert np.array_equal(lip > 0, drawn.silhouette & ~bag)
    seen = set(np.unique([kinds for _, kinds in views]))
    assert len(seen) >= len(labels.KINDS) - 2  # the tests below look at something


def test_each_label_is_where_its_joints_are(views):
    """A joint that the camera sees, and no cloth or bag covers, is on the limb of its own side."""
    right, wrong = 0, 0
    limbs = {3: "right arm", 4: "right arm", 6: "left arm", 7: "left arm", 9: "right leg",
             12: "left leg", 10: "right shoe", 13: "left shoe"}  # fmt: skip
    for drawn, kinds in views:
        for joint, kind in limbs.items():
            x, y = np.floor(drawn.joints[joint] + 0.5).astype(int)
            if drawn.visible[joint] and 0 <= x < SIZE[1] and 0 <= y < SIZE[0]:
                shown = labels.KINDS[kinds[y, x]]
                sided = shown.split()[0] in ("left", "right")
                right += sided and shown.split()[0] == kind.split()[0]
                wrong += sided and shown.split()[0] != kind.split()[0]
    assert right > 40 and wrong / right < 0.1  # limbs cross, and the votes of sub-pixels differ


def test_the_parts_are_those_that_are_drawn():
    for identity in range(12):
        who = wardrobe.identity(0, identity)
        rng = np.random.default_rng(identity)
        skeleton = body.pose_skeleton(who.build, body.sample_pose(rng, "walking", ""), 30.0)
        for box in (False, True):
            ours, owners = labels.dressed(who, skeleton, box)
            theirs = dress.dress(who, skeleton, box)
            assert len(ours) == len(theirs) == len(owners)
            for a, b in zip(ours, theirs):
                assert a.paint == b.paint and np.array_equal(a.origin, b.origin)
                assert np.array_equal(a.axes, b.axes)
        skin = {owner for part, owner in zip(ours, owners) if part.paint[0] == dress.SKIN}
        assert skin <= {"face", "right arm", "left arm", "right leg", "left leg"}


def hits_of(identity, view=0):
    who, look, family, yaw, rng, frame = labels._street(0, identity, view)
    return who, *labels._cast(who, look, family, yaw, rng, *SIZE, frame)


def test_the_trunks_labels_are_what_its_painter_paints():
    """Another colour of a garment changes exactly the hits that carry its label."""
    changed_ever = dict.fromkeys(("bottom", "bag", "skin"), 0)
    for identity in range(9):
        who, parts, owners, hits, frames = hits_of(identity)
        trunk = np.array([p.paint[0] == dress.TORSO for p in parts])[hits.part]
        kinds = labels._kinds(who, parts, owners, hits, frames)[trunk]
        plain = paint.paint(who, parts, hits, frames)[trunk]
        bottom = {"skirt": "skirt", "dress": "dress"}.get(who.bottom.kind, "trousers")
        others = {
            "bottom": ({"bottom": dataclasses.replace(who.bottom, colours=np.full((3, 3), 7.0))},
                       bottom),
            "bag": ({"bag_colour": np.full(3, 7.0)}, "bag"),
            "skin": ({"skin": np.full(3, 7.0)}, "face"),
        }  # fmt: skip
        for what, (change, kind) in others.items():
            other = dataclasses.replace(who, **change)
            changed = (paint.paint(other, parts, hits, frames)[trunk] != plain).any(1)
            if kind != "dress":  # of one cloth with the top
                assert np.array_equal(changed, kinds == labels.NUMBER[kind]), (identity, what)
                changed_ever[what] += changed.sum()
    assert all(changed_ever.values())


def test_hand_made_votes():
    fine = np.array([[0, 3, 5, 5], [3, 4, 4, 4], [0, 0, 2, 2], [7, 7, 2, 2]], np.uint8)
    assert labels._vote(fine).tolist() == [[3, 4], [0, 2]]  # of two and two: the first kind


def test_a_cap_is_a_hat_and_a_dress_one_piece():
    caps = [i for i in range(60) if _person(0, i)[0].hair_style == "cap"]
    dresses = [i for i in range(60) if _person(0, i)[0].top.kind == "dress"]
    lip = parsing.draw_map("synthetic-market", caps[0], 0, 0, 64, 32, "lip")
    assert LIP.index("hat") in lip and LIP.index("hair") not in lip
    lip = parsing.draw_map("synthetic-market", dresses[0], 0, 0, 64, 32, "lip")
    assert LIP.index("dress") in lip and not {5, 9, 12} & set(np.unique(lip))
    people = parsing.draw_map("synthetic-market", dresses[0], 0, 0, 64, 32)
    assert parsing.LABELS["people"].index("lower") not in people


# ---- label sets, flips


def test_a_flip_mirrors_and_swaps_sides():
    maps = np.array([[[14, 0, 17], [18, 5, 19]]], np.uint8)
    flipped = parsing.flip_maps(maps, "lip")
    assert flipped.tolist() == [[[16, 0, 15], [18, 5, 19]]]
    assert np.array_equal(parsing.flip_maps(torch.from_numpy(maps), "lip").numpy(), flipped)
    assert np.array_equal(parsing.flip_maps(flipped, "lip"), maps)
    assert parsing.flip_maps(np.array([[1, 8, 0]]), "people").tolist() == [[0, 8, 1]]


def test_one_hot_channels():
    maps = torch.randint(0, 9, (2, 5, 4), dtype=torch.uint8)
    channels = parsing.one_hot(maps)
    assert channels.shape == (2, 9, 5, 4) and channels.dtype == torch.float32
    assert torch.equal(channels.sum(1), torch.ones(2, 5, 4))
    assert torch.equal(channels.argmax(1), maps.long())
    assert parsing.count("lip") == 20
    with pytest.raises(UserError, match="people, lip"):
        parsing.count("atr")


# ---- pose regions


def test_pose_regions_by_hand():
    points = torch.full((2, 18, 2), -1.0)
    points[0, 6], points[0, 7] = torch.tensor([10.0, 10.0]), torch.tensor([10.0, 30.0])
    for joint, (x, y) in {2: (40, 40), 5: (80, 40), 8: (40, 90), 11: (80, 90)}.items():
        points[1, joint] = torch.tensor([float(x), float(y)])
    arm, trunk = parsing.pose_regions(points, 128, 128, "lip")
    assert set(arm.unique().tolist()) == {0, LIP.index("left arm")}
    # pixels within 3.5 of the segment, counted one by one
    count = sum(
        np.hypot(x - 10, y - min(max(y, 10), 30)) <= 3.5 for x in range(128) for y in range(128)
    )
    assert int((arm > 0).sum()) == count
    assert trunk[65, 60] == trunk[41, 41] == LIP.index("upper-clothes") and trunk[65, 30] == 0
    assert (trunk[40:91, 40:81] > 0).all()
    half = parsing.pose_regions(torch.full((1, 18, 2), -1.0), 64, 32)
    assert half.shape == (1, 64, 32) and not half.any() and half.dtype == torch.uint8


def test_pose_regions_flip_with_their_joints():
    points = torch.from_numpy(
        np.stack([synthetic.draw(i, v, 0, 64, 32).keypoints for i in range(5) for v in range(3)])
    )
    maps = parsing.pose_regions(points, 64, 32, "lip")
    flipped = parsing.pose_regions(flip_keypoints(points, 32), 64, 32, "lip")
    same = (parsing.flip_maps(maps, "lip") == flipped).float().mean()
    assert same > 0.999  # ties of two limbs


# ---- beside a store


def test_maps_of_a_store_are_written_once_in_its_order(data, tmp_path):
    path = tmp_path / "maps.npy"
    parsing.write(data, path)
    maps = parsing.read(path, data)
    assert maps.dtype == np.uint8 and np.array_equal(maps > 0, data.silhouettes)
    photographs = dataclasses.replace(data, name="market1501", extras={})
    assert parsing.source_of("market1501") == "pose regions"
    parsing.write(photographs, path, "lip")
    regions = parsing.read(path, photographs)
    wanted = parsing.pose_regions(torch.from_numpy(data.keypoints[[3]]), 64, 32, "lip")
    assert np.array_equal(regions[3], wanted[0].numpy())
    with pytest.raises(UserError, match="delete its folder"):
        parsing.read(path, dataclasses.replace(data, height=32))
