"""Pairs, batches and drawn people, against hand-counted pairs and plain indexing."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch

from pg2lib.core.files import UserError
from pg2lib.data import dataset as datasets
from pg2lib.data.dataset import DataConfig
from pg2lib.data.heatmaps import heatmaps
from pg2lib.data.keypoints import SWAP
from pg2lib.data.prepare import prepare
from pg2lib.data.synthetic import draw, reader

TINY = DataConfig(train_identities=3, test_identities=2, images_per_identity=4, height=64, width=32)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return datasets.load(prepare(TINY, tmp_path_factory.mktemp("drawn")))


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


TENSORS = ("condition", "target", "condition_keypoints", "target_keypoints")
PAIRS = torch.tensor([[3, 1], [0, 4], [1, 3], [4, 0], [2, 3], [3, 2], [1, 2]])


@pytest.mark.parametrize("share", [slice(None), slice(1, None, 2)])
def test_batches_are_those_of_the_steps(share):
    data = device_images()
    running = datasets.batches(data, PAIRS, 4, 7, 5, share)
    for step, batch in zip(range(5, 13), running):  # across the end of an epoch of 14
        index, flip = datasets.pair_order(len(PAIRS), 4, 7, step)
        expected = datasets.make_batch(data, PAIRS[index][share], flip[share])
        for part in TENSORS:
            tensor = getattr(expected, part)
            assert torch.equal(getattr(batch, part), tensor), part
            assert getattr(batch, part).stride() == tensor.stride()


def test_the_shares_of_all_processes_make_the_whole_batch():
    data = device_images()
    [whole] = islice(datasets.batches(data, PAIRS, 6, 0, 2), 1)
    shares = [
        next(datasets.batches(data, PAIRS, 6, 0, 2, slice(rank, None, 3))) for rank in range(3)
    ]
    for part in ("condition", "target_keypoints"):
        joined = torch.stack([getattr(share, part) for share in shares], 1).flatten(0, 1)
        assert torch.equal(joined, getattr(whole, part))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("free", [0, 1 << 40])
def test_on_a_gpu_images_stay_where_they_fit(drawn, monkeypatch, free):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, free))
    data, host = (datasets.on_device(drawn, device) for device in ("cuda", "cpu"))
    assert data.images.is_cuda == (free > 0) and data.keypoints.is_cuda
    pairs = torch.from_numpy(drawn.train_pairs)
    here, there = (
        datasets.batches(where, pairs.to(where.keypoints.device), 5, 0, 0) for where in (data, host)
    )
    for _, ours, theirs in zip(range(20), here, there):
        for part in TENSORS:
            assert getattr(ours, part).is_cuda
            tensor = getattr(theirs, part)
            torch.testing.assert_close(getattr(ours, part).cpu(), tensor, rtol=0, atol=1e-6)


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
    plan = reader.plan(DataConfig(test_identities=750))
    assert (plan.train.sum(), (~plan.train).sum()) == (12_936, 19_732)


def test_test_pairs_are_a_seeded_sample(drawn, tmp_path):
    few = datasets.load(prepare(replace(TINY, test_pairs=3), tmp_path))
    assert few.test_pairs.tolist() == drawn.test_pairs[:3].tolist()
    usable = [i for i in range(12, 20) if (drawn.keypoints[i, [2, 5, 8, 11]] >= 0).all()]
    ordered = [(a, b) for a in usable for b in usable if a != b and a // 4 == b // 4]
    expected = np.random.default_rng((0, 1)).permutation(ordered)
    np.testing.assert_array_equal(drawn.test_pairs, expected)


def test_a_complete_folder_is_left_alone_and_belongs_to_one_configuration(drawn, tmp_path):
    prepare(TINY, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    prepare(TINY, tmp_path)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    with pytest.raises(UserError, match="another data set"):
        prepare(replace(TINY, seed=1), tmp_path)


def test_on_a_cpu_nothing_is_copied(drawn):
    data = datasets.on_device(drawn, "cpu")
    assert data.images.shape == (20, 3, 64, 32)
    assert np.shares_memory(data.images.numpy(), drawn.images)
    np.testing.assert_array_equal(data.images[4].permute(1, 2, 0), drawn.images[4])


@pytest.mark.parametrize(
    "wrong",
    [
        {"height": 0},
        {"images_per_identity": 1},
        {"test_pairs": "all"},
        {"test_pairs": 0},
        {"train_identities": 0},
        {"seed": -1},
    ],
)
def test_a_bad_configuration_is_named(wrong, tmp_path):
    with pytest.raises(UserError, match=next(iter(wrong))):
        prepare(replace(TINY, **wrong), tmp_path)


def test_an_unknown_data_set_is_named(tmp_path):
    with pytest.raises(UserError, match="unknown data set 'imagenet'"):
        prepare(replace(TINY, dataset="imagenet"), tmp_path)
