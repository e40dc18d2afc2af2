"""Stores, pairs and batches, on drawn people, a made-up Market folder and hand-counted pairs."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pg2lib import datasets
from pg2lib.datasets import DataConfig
from pg2lib.errors import UserError
from pg2lib.heatmaps import heatmaps
from pg2lib.keypoints import SWAP, read_csv, write_csv
from pg2lib.people import draw

TINY = DataConfig(train_identities=3, test_identities=2, images_per_identity=4, height=64, width=32)
MARKET = DataConfig(dataset="market1501", test_identities=1)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return datasets.load(datasets.prepare(TINY, tmp_path_factory.mktemp("drawn")))


# ---------------------------------------------------------------- pairs and batches


def test_pairs_by_hand():
    # Person 7: images 0, 2, 5 and one unusable; person 3: images 1, 4.
    identities = np.array([7, 3, 7, 7, 3, 7])
    usable = np.array([True, True, True, False, True, True])
    assert datasets.ordered_pairs(identities, usable).tolist() == [
        [1, 4], [4, 1], [0, 2], [0, 5], [2, 0], [2, 5], [5, 0], [5, 2],
    ]  # fmt: skip
    assert datasets.ordered_pairs(identities, ~usable).shape == (0, 2)


def device_images(count=5, height=64, width=32):
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (count, 3, height, width), dtype=np.uint8))
    keypoints = rng.integers(0, (width, height), (count, 18, 2)).astype(np.float32)
    keypoints[:, 7] = -1
    return datasets.DeviceImages(images, torch.from_numpy(keypoints))


def test_a_batch_is_condition_then_target():
    data = device_images()
    batch = datasets.make_batch(data, torch.tensor([[3, 1], [0, 4]]), torch.tensor([False, False]))
    assert batch.condition.dtype == torch.float32 and batch.condition.shape == (2, 3, 64, 32)
    torch.testing.assert_close(batch.condition, data.images[[3, 0]] / 127.5 - 1)
    torch.testing.assert_close(batch.target, data.images[[1, 4]] / 127.5 - 1)
    assert torch.equal(batch.condition_keypoints, data.keypoints[[3, 0]])
    assert torch.equal(batch.target_keypoints, data.keypoints[[1, 4]])


def test_a_flipped_batch_is_the_mirrored_one():
    data, pairs = device_images(), torch.tensor([[3, 1], [0, 4]])
    plain = datasets.make_batch(data, pairs, torch.tensor([False, False]))
    mixed = datasets.make_batch(data, pairs, torch.tensor([True, False]))
    for part in ("condition", "target"):
        before, after = getattr(plain, part), getattr(mixed, part)
        assert torch.equal(after[0], before[0].flip(-1)) and torch.equal(after[1], before[1])
        maps, mirrored = (
            heatmaps(getattr(batch, f"{part}_keypoints"), 64, 32) for batch in (plain, mixed)
        )
        assert torch.equal(mirrored[0], maps[0].flip(-1)[list(SWAP)])
        assert torch.equal(mirrored[1], maps[1])


def test_flipping_twice_changes_nothing():
    data, flip = device_images(), torch.tensor([True, False, True, True, False])
    once = datasets.flip_batch(data.images, data.keypoints, flip)
    twice = datasets.flip_batch(*once, flip)
    assert not torch.equal(once[0], data.images)
    assert torch.equal(twice[0], data.images) and torch.equal(twice[1], data.keypoints)


def test_rounding_and_range():
    grey = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    images = datasets.to_float(grey)
    assert images.min() == -1 and images.max() == 1
    assert torch.equal(datasets.to_uint8(images), grey)
    just = torch.tensor([-1.5, -1 + 0.6 / 127.5, -1 + 0.4 / 127.5, 1.2])
    assert datasets.to_uint8(just).tolist() == [0, 1, 0, 255]
    picture = datasets.pictures(images)
    assert picture.shape == (1, 16, 16, 3) and picture.dtype == np.uint8
    assert picture[0, 1, 2].tolist() == [18, 18, 18]


def entries(pairs_count, batch, seed, steps):
    order = [datasets.pair_order(pairs_count, batch, seed, step) for step in steps]
    indices, flips = (torch.cat(parts) for parts in zip(*order, strict=True))
    return list(zip(indices.tolist(), flips.tolist(), strict=True))


def test_an_epoch_holds_each_pair_once_and_once_mirrored():
    everything = {(index, flip) for index in range(12) for flip in (False, True)}
    sequence = entries(12, 5, 0, range(10))[:48]  # two epochs, with a batch across their border
    first, second = sequence[:24], sequence[24:]
    assert set(first) == set(second) == everything and first != second
    assert [flip for _, flip in first] != sorted(flip for _, flip in first)
    assert entries(12, 50, 0, [0])[:48] == sequence  # a batch longer than an epoch


def test_the_order_depends_on_seed_and_step_alone():
    whole = entries(11, 4, 0, range(9))
    datasets._shuffled.cache_clear()
    assert entries(11, 4, 0, range(5, 9)) == whole[20:]
    assert entries(11, 4, 1, range(9)) != whole
    with pytest.raises(UserError, match="no training pairs"):
        datasets.pair_order(0, 4, 0, 0)


# ---------------------------------------------------------------- drawn people


def test_the_store_holds_what_was_drawn(drawn):
    assert drawn.images.shape == (20, 64, 32, 3) and drawn.images.dtype == np.uint8
    assert drawn.identities.tolist() == [i // 4 for i in range(20)]
    for index in (0, 6, 19):
        view = draw(index // 4, index % 4, seed=0, height=64, width=32)
        np.testing.assert_array_equal(drawn.images[index], view.image)
        np.testing.assert_array_equal(drawn.keypoints[index], view.keypoints)
        np.testing.assert_array_equal(drawn.silhouettes[index], view.silhouette)
        assert drawn.names[index] == (
            f"{index // 4:04d}_c{view.camera + 1}s1_{index % 4:06d}_00.jpg"
        )
        assert drawn.cameras[index] == view.camera + 1
    assert drawn.keypoints.dtype == np.float32 and drawn.silhouettes.dtype == bool
    assert isinstance(drawn.images, np.memmap)


def test_no_person_is_in_train_and_test(drawn):
    train, test = (set(drawn.identities[part]) for part in (drawn.train, ~drawn.train))
    assert (train, test) == ({0, 1, 2}, {3, 4})
    assert set(drawn.identities[drawn.train_pairs].flatten()) <= train
    assert set(drawn.identities[drawn.test_pairs].flatten()) <= test
    assert "disjoint" in drawn.card["split"] and drawn.card["problems"] == []


def test_the_default_counts_are_market_1501s():
    plan = datasets._plan_people(DataConfig(test_identities=750))
    assert (plan.train.sum(), (~plan.train).sum()) == (12_936, 19_732)


def test_test_pairs_are_a_seeded_sample(drawn, tmp_path):
    few = datasets.load(datasets.prepare(replace(TINY, test_pairs=3), tmp_path))
    assert few.test_pairs.tolist() == drawn.test_pairs[:3].tolist()
    assert len(np.unique(drawn.test_pairs, axis=0)) == len(drawn.test_pairs)


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


class Killed(BaseException):
    pass


def kill_after(count):
    def progress(done, total):
        if done >= count:
            raise Killed

    return progress


def test_a_killed_run_resumes_to_the_same_bytes(drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "CHUNK", 6)
    seen = []
    with pytest.raises(Killed):
        datasets.prepare(TINY, tmp_path / "a", progress=kill_after(12))
    with pytest.raises(UserError, match="no complete data set"):
        datasets.load(tmp_path / "a")
    datasets.prepare(TINY, tmp_path / "a", progress=lambda *state: seen.append(state))
    assert seen == [(18, 20), (20, 20)]
    datasets.prepare(TINY, tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert datasets.load(tmp_path / "a").card == drawn.card


def test_another_configuration_does_not_resume_from_it(drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "CHUNK", 6)
    with pytest.raises(Killed):
        datasets.prepare(replace(TINY, seed=1), tmp_path, progress=kill_after(12))
    assert datasets.load(datasets.prepare(TINY, tmp_path)).card == drawn.card


def test_worker_processes_change_nothing(drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "CHUNK", 2)  # enough chunks for two processes
    assert datasets.load(datasets.prepare(TINY, tmp_path)).card == drawn.card


def test_a_complete_folder_is_left_alone_and_belongs_to_one_configuration(drawn, tmp_path):
    datasets.prepare(TINY, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    datasets.prepare(TINY, tmp_path)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    with pytest.raises(UserError, match="another data set"):
        datasets.prepare(replace(TINY, seed=1), tmp_path)


def test_verify_finds_a_changed_store(drawn):
    assert datasets.verify(drawn)["problems"] == []
    identities = drawn.identities.copy()
    identities[-1] = 0
    problems = datasets.verify(replace(drawn, identities=identities))["problems"]
    assert any("both train and test" in problem for problem in problems)
    assert any("fingerprint" in problem for problem in problems)


def test_on_a_cpu_nothing_is_copied(drawn):
    data = datasets.on_device(drawn, "cpu")
    assert data.images.shape == (20, 3, 64, 32)
    assert np.shares_memory(data.images.numpy(), drawn.images)
    np.testing.assert_array_equal(data.images[4].permute(1, 2, 0), drawn.images[4])


@pytest.mark.parametrize(
    "wrong",
    [{"dataset": "imagenet"}, {"height": 0}, {"images_per_identity": 1}, {"test_pairs": "all"}],
)
def test_a_bad_configuration_is_named(wrong, tmp_path):
    with pytest.raises(UserError, match=next(iter(wrong))):
        datasets.prepare(replace(TINY, **wrong), tmp_path)


# ---------------------------------------------------------------- Market-1501


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


def test_market_split_by_identity_and_pairs_by_hand(tmp_path):
    source = market(tmp_path / "source")
    data = datasets.load(datasets.prepare(MARKET, tmp_path / "store", source))
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
        data = datasets.load(datasets.prepare(replace(config, seed=seed), folder, source))
        assert len(data.images) == 12 and len(data.train_pairs) == 12
        assert data.names[:6] == sorted(data.names[:6])
        held_out.add(tuple(data.names[6:]))
    assert len(held_out) > 1
    with pytest.raises(UserError, match="test_identities=6"):
        datasets.prepare(replace(MARKET, test_identities=6), tmp_path / "none", source)


def test_market_official_split(tmp_path):
    source = market(tmp_path / "source")
    people = {"-1": [1, 1], "0000": [1, 1], "0001": [1, 1, 1], "0004": [1, 0]}
    market(source, "test", people, ending=".jpg.jpg")
    data = datasets.load(datasets.prepare(MARKET, tmp_path / "store", source))
    assert data.card["split"] == "official split (3 train, 2 test)"
    assert set(data.identities[~data.train]) == {1, 4}  # junk is left out
    assert len(data.train_pairs) == 10 and len(data.test_pairs) == 6
    assert data.names[-1] == "0004_c2s1_000001_01.jpg.jpg"

    name = "0001_c{}s1_{:06d}_01.jpg.jpg".format
    rows = f"from,to\n{name(3, 2)},{name(1, 0)}\n{name(1, 0)},{name(2, 1)}\n"
    (source / "market-pairs-test.csv").write_text(rows)
    data = datasets.load(datasets.prepare(MARKET, tmp_path / "published", source))
    pairs = [[data.names[i] for i in pair] for pair in data.test_pairs]
    assert pairs == [[name(3, 2), name(1, 0)], [name(1, 0), name(2, 1)]]
    (source / "market-pairs-test.csv").write_text(rows + f"{name(1, 0)},0099.jpg\n")
    with pytest.raises(UserError, match=r"market-pairs-test\.csv, line 4.*0099"):
        datasets.prepare(MARKET, tmp_path / "bad", source)


def test_market_resized(tmp_path):
    source = market(tmp_path / "source")
    small = replace(MARKET, height=64, width=32)
    whole = datasets.load(datasets.prepare(MARKET, tmp_path / "whole", source))
    half = datasets.load(datasets.prepare(small, tmp_path / "half", source))
    # Half the size: pixel (x, y) lies in pixel (x // 2, y // 2), a missing joint stays missing.
    here = whole.keypoints >= 0
    np.testing.assert_array_equal(half.keypoints[here], whole.keypoints[here] // 2)
    assert (half.keypoints[~here] == -1).all()
    averaged = np.float32(whole.images).reshape(-1, 64, 2, 32, 2, 3).mean((2, 4))
    assert np.abs(averaged - half.images).mean() < 3


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
    return path.name + r", which is not in bounding_box_train"


def add(source):
    path = source / "bounding_box_train" / "0002_c1s1_009999_01.jpg"
    path.write_bytes(first_image(source).read_bytes())
    return path.name + " has no row"


def misname(source):
    (source / "bounding_box_train" / "me.jpg").write_bytes(first_image(source).read_bytes())
    return "me.jpg is not named"


@pytest.mark.parametrize("damage", [truncate, enlarge, remove, add, misname])
def test_a_damaged_source_is_named(damage, tmp_path):
    source = market(tmp_path / "source")
    clean = datasets.verify(MARKET, source)
    assert clean["problems"] == [] and clean["parts"]["bounding_box_train"]["pairs"] == 10
    expected = damage(source)
    card = datasets.verify(MARKET, source)
    assert len(card["problems"]) == 1
    with pytest.raises(UserError, match=expected) as error:
        datasets.prepare(MARKET, tmp_path / "store", source)
    assert card["problems"][0] == str(error.value)
    assert f"PROBLEM: {error.value}" in datasets.card_text(card)


def test_a_missing_source_is_named(tmp_path):
    with pytest.raises(UserError, match="bounding_box_train"):
        datasets.prepare(MARKET, tmp_path / "store")
    with pytest.raises(UserError, match="no folder .*bounding_box_train"):
        datasets.prepare(MARKET, tmp_path / "store", tmp_path)
    source = market(tmp_path / "source")
    (source / "market-annotation-train.csv").unlink()
    with pytest.raises(UserError, match="market-annotation-train.csv cannot be read"):
        datasets.verify(MARKET, source)
    (tmp_path / "empty" / "bounding_box_train").mkdir(parents=True)
    write_csv(tmp_path / "empty" / "market-annotation-train.csv", {})
    with pytest.raises(UserError, match="holds no .jpg image"):
        datasets.verify(MARKET, tmp_path / "empty")


def test_a_card_is_readable_and_json(tmp_path):
    source = market(tmp_path / "source")
    text = datasets.card_text(datasets.verify(MARKET, source))
    assert "9 images of 3 people" in text and "10 ordered pairs" in text
    data = datasets.load(datasets.prepare(MARKET, tmp_path / "store", source))
    assert json.loads((tmp_path / "store" / "card.json").read_text()) == data.card
    assert data.card["split"] in datasets.card_text(data.card)
    assert str(tmp_path) not in json.dumps(data.card)


@pytest.mark.skipif("PG2_DATA" not in os.environ, reason="PG2_DATA names no Market-1501 folder")
def test_the_real_counts():
    card = datasets.verify(DataConfig(dataset="market1501"), os.environ["PG2_DATA"])
    counts = card["parts"]["bounding_box_train"]
    assert card["problems"] == []
    if counts["images"] == 12_040:  # the part of 700 people
        assert counts["identities"] == 700 and counts["usable_images"] == 11_256
        assert counts["usable_identities"] == 694 and counts["pairs"] == 243_566
    else:  # verify itself compares with the published 263,632 pairs
        assert card["expected"]
