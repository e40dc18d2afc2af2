"""Parsing maps of drawn people against silhouettes, joints and the painter; pose regions."""

import dataclasses

import numpy as np
import pytest
import torch

from pg2lib.core.files import UserError
from pg2lib.data import labelled_photos, parsing, synthetic
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


def recolourings(who):
    """name -> (properties in a colour that nothing has, the labels of all that shows them)."""
    loud = np.full(3, 7.0)

    def cloth(part, *which):
        colours = getattr(who, part).colours.copy()
        colours[list(which)] = loud
        return {part: dataclasses.replace(getattr(who, part), colours=colours)}

    top, bottom = cloth("top", 0, 1, 2), cloth("bottom", 0, 1, 2)
    found = {
        "bag": ({"bag_colour": loud, "carton": loud}, ["bag"]),
        "shoes": ({"shoes": loud, "sole": loud}, ["left shoe", "right shoe"]),
    }
    if who.hair_style == "cap":
        found["cap"] = {"cap": loud}, ["hat"]
    if who.top.kind == "dress":
        return found | {"dress": (top | bottom, ["dress"])}
    found["bottom"] = bottom, ["skirt" if who.bottom.kind == "skirt" else "trousers"]
    if who.top.kind == "jacket":
        return found | {
            "coat": (cloth("top", 0, 1), ["coat"]),
            "under": (cloth("top", 2), ["shirt"]),
        }
    return found | {"shirt": (top, ["shirt"])}


def test_labels_are_what_the_painter_paints():
    """Another colour of a garment changes exactly the hits that carry its label."""
    changed_ever = dict.fromkeys("bag shoes cap dress bottom coat under shirt skin".split(), 0)
    boxes = 0
    for identity, view in [*((i, 0) for i in range(16)), (17, 3)]:  # the last carries a box
        who, parts, owners, hits, frames = hits_of(identity, view)
        zones = np.array([part.paint[0] for part in parts])[hits.part]
        kinds = labels._kinds(who, parts, owners, hits, frames)
        plain = paint.paint(who, parts, hits, frames)
        skin = {"skin": ({"skin": np.full(3, 7.0)}, ["face"])}
        for what, (change, names) in (recolourings(who) | skin).items():
            where = zones == dress.TORSO if what == "skin" else zones >= 0
            other = paint.paint(dataclasses.replace(who, **change), parts, hits, frames)
            changed = (other != plain).any(1)[where]
            wanted = np.isin(kinds, [labels.NUMBER[name] for name in names])[where]
            assert np.array_equal(changed, wanted), (identity, what)
            changed_ever[what] += changed.sum()
        boxes += (zones == dress.BOX).sum()
    assert all(changed_ever.values()) and boxes


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


def test_every_kind_of_a_drawn_person_has_its_label(monkeypatch):
    kinds = (
        "background hat hair face right-arm left-arm right-leg left-leg shirt coat dress trousers "
        "skirt right-shoe left-shoe bag"
    )
    assert [kind.replace(" ", "-") for kind in labels.KINDS] == kinds.split()
    monkeypatch.setattr(labels, "draw_kinds", lambda *view: np.arange(16)[None])
    names = parsing.LABELS["people"]
    wanted = (
        "background hair hair face arms arms legs legs upper upper upper lower lower shoes shoes"
    )
    found = parsing.draw_map("synthetic-market", 0, 0)[0]
    assert [names[n] for n in found] == [*wanted.split(), "bag"]
    assert parsing.draw_map("synthetic-market", 0, 0, labels="lip").tolist() == [
        [0, 1, 2, 13, 15, 14, 17, 16, 5, 7, 6, 9, 12, 19, 18, 0]
    ]


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
    points[1, 3], points[1, 4] = torch.tensor([60.0, 60.0]), torch.tensor([60.0, 75.0])
    points[1, 0] = torch.tensor([60.0, 42.0])  # a bowed head
    front = parsing.pose_regions(points[1:], 128, 128, "lip")[0]
    assert front[70, 60] == LIP.index("right arm") and front[42, 66] == LIP.index("face")
    assert front[42, 67] == front[70, 64] == LIP.index("upper-clothes")
    small = parsing.pose_regions(points[:1] / 2, 64, 64, "lip")[0]
    assert (small[10] > 0).nonzero().flatten().tolist() == [4, 5, 6]  # within 1.75 of 5
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


# ---- labels of photographs

# The 59 of Clothing Co-Parsing.
STREET = """null accessories bag belt blazer blouse bodysuit boots bra bracelet cape cardigan clogs
coat dress earrings flats glasses gloves hair hat heels hoodie intimate jacket jeans jumper leggings
loafers necklace panties pants pumps purse ring romper sandals scarf shirt shoes shorts skin skirt
sneakers socks stockings suit sunglasses sweater sweatshirt swimwear t-shirt tie tights top vest
wallet watch wedges""".split()


def test_every_garment_of_photographs_is_judged_by_the_part_that_it_covers(tmp_path):
    lines = [f"{number},{name}" for number, name in enumerate(STREET)]
    (tmp_path / "labels.csv").write_text("\n".join(["value,name", *lines]))
    table = labelled_photos.read_table(tmp_path / "labels.csv")
    names = [*labelled_photos.NAMES, ""]
    of_label = {name: [s for s, n in zip(STREET, table) if names[n] == name] for name in names}
    assert {name: len(garments) for name, garments in of_label.items()} == {
        "background": 1, "hair": 2, "skin": 1, "upper": 22, "lower": 9, "shoes": 10, "bag": 3,
        "": 11,
    }  # fmt: skip
    assert " ".join(of_label["lower"]) == (
        "belt jeans leggings panties pants shorts skirt stockings tights"
    )
    assert " ".join(of_label[""]) == (
        "accessories bracelet earrings glasses gloves intimate necklace ring socks sunglasses watch"
    )
    assert (table[len(STREET) :] == labelled_photos.UNJUDGED).all()


# ---- beside a store


def test_maps_of_a_store_are_written_once_in_its_order(data, tmp_path):
    path = tmp_path / "maps.npy"
    parsing.write(data, path)
    maps = parsing.read(path, data)
    assert maps.dtype == np.uint8 and np.array_equal(maps > 0, data.silhouettes)
    many = {name: np.concatenate([getattr(data, name)] * 2) for name in ("images", "keypoints")}
    photographs = dataclasses.replace(data, name="market1501", extras={}, **many)  # 80
    assert parsing.source_of("market1501") == "pose regions"
    parsing.write(photographs, path, "lip")
    regions = parsing.read(path, photographs)
    wanted = parsing.pose_regions(torch.from_numpy(many["keypoints"]), 64, 32, "lip")
    assert np.array_equal(regions, wanted.numpy())
    with pytest.raises(UserError, match="delete its folder"):
        parsing.read(path, dataclasses.replace(data, height=32))
