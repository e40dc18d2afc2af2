"""Market-1501 on a made-up folder, with pairs counted by hand."""

import json
import os
from dataclasses import replace
from operator import itemgetter

import numpy as np
import pytest
from PIL import Image

from pg2lib.core.files import UserError
from pg2lib.data import dataset as datasets
from pg2lib.data import market1501, sources
from pg2lib.data.dataset import DataConfig
from pg2lib.data.keypoints import read_csv, write_csv
from pg2lib.data.prepare import card_text, prepare, verify

MARKET = DataConfig(dataset="market1501", test_identities=1)


def market(folder, half="train", people=None, size=(64, 128), ending=".jpg"):
    """A folder like Market-1501; `people` maps the identity to the usability of its images."""
    people = people or {"0002": [1, 1, 0, 1], "0007": [1, 1], "0011": [0, 1, 1]}
    rng = np.random.default_rng(0)
    images, annotated = folder / f"bounding_box_{half}", {}
    images.mkdir(parents=True)
    for identity, flags in people.items():
        for number, usable in enumerate(flags):
            name = f"{identity}_c{number % 6 + 1}s1_{number:06d}_01{ending}"
            coarse = Image.fromarray(rng.integers(0, 256, (8, 4, 3), dtype=np.uint8))
            coarse.resize(size, Image.Resampling.BILINEAR).save(images / name, "JPEG", quality=95)
            annotated[name] = rng.integers(0, (64, 128), (18, 2)).astype(np.float32)
            annotated[name][3] = -1
            if not usable:
                annotated[name][8] = -1
    write_csv(folder / f"market-annotation-{half}.csv", annotated)
    return folder


def first_image(source):
    return sorted((source / "bounding_box_train").iterdir())[0]


def test_counts_by_hand():
    keypoints = np.ones((7, 18, 2), np.float32)
    keypoints[4, 11], keypoints[5], keypoints[6, 0] = -1, -1, -1  # a hip, everything, a nose
    assert sources.counts(np.array([7, 7, 3, 7, 3, 5, 3]), keypoints) == {
        "images": 7, "identities": 3, "annotated_images": 6,
        "usable_images": 5, "usable_identities": 2, "pairs": 3 * 2 + 2 * 1,
    }  # fmt: skip
    # PATN's list of training pairs, and the paper's section 4.1
    assert market1501.WHOLE_TRAINING_SET == {
        "images": 12_936, "identities": 751, "pairs": 263_632,
    }  # fmt: skip


def test_of_too_many_images_random_ones_are_kept_in_order():
    names = [f"{person}{number:02d}" for person in "ba" for number in range(20)] + ["c00"]
    kept = [sources.subsample(names, itemgetter(0), 3, np.random.default_rng(k)) for k in (0, 0, 1)]
    for some in kept:
        assert some == [name for name in names if name in some]
        assert "".join(name[0] for name in some) == "bbbaaac"
    assert kept[0] == kept[1] != kept[2]
    assert len({name[1:] for some in kept for name in some} - {"00", "01", "02"}) > 2
    assert sources.subsample(names, itemgetter(0), None, None) == names


def test_market_split_by_identity_and_pairs_by_hand(tmp_path):
    source = market(tmp_path / "source")
    data = datasets.load(prepare(MARKET, tmp_path / "store", source))
    assert data.card["split"] == (
        "seeded split by identity of the training images (2 train, 1 test)"
    )
    pairs_of = {2: 6, 7: 2, 11: 2}  # 3, 2 and 2 usable images
    held_out = set(data.identities[~data.train])
    assert len(held_out) == 1 and not held_out & set(data.identities[data.train])
    assert len(data.test_pairs) == pairs_of[held_out.pop()]
    assert len(data.train_pairs) + len(data.test_pairs) == 10
    annotated = read_csv(source / "market-annotation-train.csv")
    for index, name in enumerate(data.names):
        with Image.open(source / "bounding_box_train" / name) as file:
            np.testing.assert_array_equal(data.images[index], np.asarray(file))
        np.testing.assert_array_equal(data.keypoints[index], annotated[name])
        assert data.identities[index] == int(name[:4])
        assert data.cameras[index] == int(name[6])
    assert data.silhouettes is None


def test_market_reduced_by_seed(tmp_path):
    source = market(tmp_path / "source", people={f"{i:04d}": [1] * 5 for i in range(1, 7)})
    config = replace(MARKET, train_identities=2, test_identities=2, images_per_identity=3)
    held_out = set()
    for seed in range(3):
        folder = tmp_path / str(seed)
        data = datasets.load(prepare(replace(config, seed=seed), folder, source))
        assert len(data.images) == 12 and len(data.train_pairs) == 12
        assert data.names[:6] == sorted(data.names[:6])
        held_out.add(tuple(data.names[6:]))
    assert len(held_out) > 1
    with pytest.raises(UserError, match="test_identities=6"):
        prepare(replace(MARKET, test_identities=6), tmp_path / "none", source)


def test_market_official_split(tmp_path):
    source = market(tmp_path / "source")
    people = {"-1": [1, 1], "0000": [1, 1], "0001": [1, 1, 1], "0004": [1, 0]}
    market(source, "test", people, ending=".jpg.jpg")
    data = datasets.load(prepare(MARKET, tmp_path / "store", source))
    assert data.card["split"] == "official split (3 train, 2 test)"
    assert set(data.identities[~data.train]) == {1, 4}  # junk is left out
    assert len(data.train_pairs) == 10 and len(data.test_pairs) == 6
    assert data.names[-1] == "0004_c2s1_000001_01.jpg.jpg"
    part = verify(MARKET, source)["parts"]["bounding_box_test"]
    assert (part["images"], part["junk_images"], part["pairs"]) == (5, 4, 6)

    name = "0001_c{}s1_{:06d}_01.jpg.jpg".format
    rows = f"from,to\n{name(3, 2)},{name(1, 0)}\n{name(1, 0)},{name(2, 1)}\n"
    (source / "market-pairs-test.csv").write_text(rows)
    data = datasets.load(prepare(MARKET, tmp_path / "published", source))
    pairs = [[data.names[i] for i in pair] for pair in data.test_pairs]
    assert pairs == [[name(3, 2), name(1, 0)], [name(1, 0), name(2, 1)]]
    few = replace(MARKET, images_per_identity=2)  # the list may name what is left out
    data = datasets.load(prepare(few, tmp_path / "few", source))
    assert data.card["pairs_from"] == sources.SAMPLED and len(data.test_pairs) == 2
    for line in (f"{name(1, 0)},0099.jpg\n", f"0099.jpg,{name(1, 0)}\n"):
        (source / "market-pairs-test.csv").write_text(rows + line)
        with pytest.raises(UserError, match=r"market-pairs-test\.csv, line 4.*0099"):
            prepare(MARKET, tmp_path / "bad", source)


def test_market_resized(tmp_path):
    source = market(tmp_path / "source")
    small = replace(MARKET, height=64, width=32)
    whole = datasets.load(prepare(MARKET, tmp_path / "whole", source))
    half = datasets.load(prepare(small, tmp_path / "half", source))
    # Half the size: pixel (x, y) lies in pixel (x // 2, y // 2), a missing joint stays missing.
    here = whole.keypoints >= 0
    np.testing.assert_array_equal(half.keypoints[here], whole.keypoints[here] // 2)
    assert (half.keypoints[~here] == -1).all()
    averaged = np.float32(whole.images).reshape(-1, 64, 2, 32, 2, 3).mean((2, 4))
    assert np.abs(averaged - half.images).mean() < 3
    # Twice the size: the centre of pixel x, at x + 1/2, comes to 2 x + 1.
    twice = replace(MARKET, height=256, width=128)
    twice = datasets.load(prepare(twice, tmp_path / "twice", source))
    np.testing.assert_array_equal(twice.keypoints[here], 2 * whole.keypoints[here] + 1)


def truncate(source):
    path = first_image(source)
    path.write_bytes(path.read_bytes()[:400])
    return path.name


def enlarge(source):
    Image.new("RGB", (64, 64)).save(first_image(source))
    return first_image(source).name + r" is 64x64, not 128x64"


def remove(source):
    path = first_image(source)
    path.unlink()
    return "rows without an image in bounding_box_train: 1, the first is " + path.name


def add(source):
    path = source / "bounding_box_train" / "0002_c1s1_009999_01.jpg"
    path.write_bytes(first_image(source).read_bytes())
    return "without a row in market-annotation-train.csv: 1, the first is " + path.name


def misname(source):
    (source / "bounding_box_train" / "me.jpg").write_bytes(first_image(source).read_bytes())
    return "not named as in Market-1501: 1, the first is me.jpg"


@pytest.mark.parametrize("damage", [truncate, enlarge, remove, add, misname])
def test_a_damaged_source_is_named(damage, tmp_path):
    source = market(tmp_path / "source")
    clean = verify(MARKET, source)
    assert clean["problems"] == [] and clean["parts"]["bounding_box_train"]["pairs"] == 10
    expected = damage(source)
    card = verify(MARKET, source)
    assert len(card["problems"]) == 1
    with pytest.raises(UserError, match=expected) as error:
        prepare(MARKET, tmp_path / "store", source)
    assert card["problems"][0] == str(error.value)
    assert f"PROBLEM: {error.value}" in card_text(card)


def test_a_missing_source_is_named(tmp_path):
    with pytest.raises(UserError, match="bounding_box_train"):
        prepare(MARKET, tmp_path / "store")
    with pytest.raises(UserError, match="no folder .*bounding_box_train"):
        prepare(MARKET, tmp_path / "store", tmp_path)
    source = market(tmp_path / "source")
    (source / "market-annotation-train.csv").unlink()
    with pytest.raises(UserError, match="market-annotation-train.csv cannot be read"):
        verify(MARKET, source)
    (tmp_path / "empty" / "bounding_box_train").mkdir(parents=True)
    write_csv(tmp_path / "empty" / "market-annotation-train.csv", {})
    with pytest.raises(UserError, match="holds no .jpg image"):
        verify(MARKET, tmp_path / "empty")


def test_a_card_is_readable_and_json(tmp_path):
    source = market(tmp_path / "source")
    text = card_text(verify(MARKET, source))
    assert "9 images of 3 people" in text and "10 ordered pairs" in text
    data = datasets.load(prepare(MARKET, tmp_path / "store", source))
    assert json.loads((tmp_path / "store" / "card.json").read_text()) == data.card
    assert data.card["split"] in card_text(data.card)
    assert str(tmp_path) not in json.dumps(data.card)


@pytest.mark.skipif("PG2_DATA" not in os.environ, reason="PG2_DATA names no Market-1501 folder")
def test_the_real_counts():
    card = verify(DataConfig(dataset="market1501"), os.environ["PG2_DATA"])
    counts = card["parts"]["bounding_box_train"]
    assert card["problems"] == []
    if counts["images"] == 12_040:  # the part of 700 people
        assert counts["identities"] == 700 and counts["usable_images"] == 11_256
        assert counts["usable_identities"] == 694 and counts["pairs"] == 243_566
    else:  # verify itself compares with the published 263,632 pairs
        assert card["expected"]
