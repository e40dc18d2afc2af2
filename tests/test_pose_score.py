"""Pose score: what the network learns, bit-exact resume, PCK and PCKh by hand and by loops."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter

from pg2lib.core.files import UserError
from pg2lib.data import dataset as datasets
from pg2lib.data import geometry
from pg2lib.evaluation import pose_score, statistics
from pg2lib.evaluation.pck import joint_counts, pck, pckh
from pg2lib.evaluation.pose_score import KeypointConfig
from pg2lib.training import loop

HEIGHT, WIDTH = 32, 16
SIZE = dict(height=HEIGHT, width=WIDTH)
TINY = KeypointConfig(channels=4, rows=8, iterations=6, batch=4, **SIZE)


def train(dataset, folder, config=TINY, seed=0, **options):
    task = pose_score.keypoint_task(config, dataset)
    return loop.train(task, dataset, folder, seed, "cpu", **options)


def dots(count, seed=0):
    """Images of coloured dots, a colour per joint, and where they are; a tenth are missing."""
    rng = np.random.default_rng(seed)
    colours = np.random.default_rng(7).integers(0, 256, (18, 3))
    images = rng.integers(100, 140, (count, HEIGHT, WIDTH, 3)).astype(np.uint8)
    keypoints = np.full((count, 18, 2), -1, np.float32)
    for image, joints in zip(images, keypoints):
        for joint in range(18):
            x, y = rng.integers((WIDTH, HEIGHT))
            if rng.random() < 0.9:
                image[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2] = colours[joint]
                joints[joint] = x, y
    return images, keypoints


def dataset(images, keypoints, train=None):
    count = len(images)
    return datasets.Dataset(
        "dots", *images.shape[1:3], images, keypoints,
        identities=np.arange(count), cameras=np.ones(count, int), names=[""] * count,
        train=np.ones(count, bool) if train is None else train,
        train_pairs=np.zeros((0, 2), int), test_pairs=np.zeros((0, 2), int),
        card={},
    )  # fmt: skip


@pytest.fixture(scope="module")
def data():
    return dataset(*dots(48))


def state(folder):
    return torch.load(folder / "weights.pt", weights_only=True)["networks"]["keypoints"]


def stopped(data, folder, steps, **more):
    return train(data, folder, checkpoint_seconds=0, stop_after=steps, **more)


# ---------------------------------------------------------------- training


def test_it_finds_what_it_was_trained_on_far_better_than_chance(tmp_path):
    """One joint in a fixed colour, anywhere; the others absent."""
    images, keypoints = dots(300)
    keypoints[:, 1:] = -1
    images[:] = 120
    keypoints[:, 0] = np.random.default_rng(1).integers((WIDTH, HEIGHT), size=(300, 2))
    for image, (x, y) in zip(images, keypoints[:, 0].astype(int)):
        image[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2] = (255, 40, 40)
    chosen = np.arange(300) < 250
    config = KeypointConfig(channels=6, rows=8, iterations=80, batch=16, blurred=0, **SIZE)
    train(dataset(images, keypoints, chosen), tmp_path, config)
    network = pose_score.load_keypoints(tmp_path / "weights.pt", "cpu")
    seen = pose_score.estimate(network, images[~chosen], batch=32)
    pixels = torch.from_numpy(images[~chosen]).permute(0, 3, 1, 2)
    confidence = network(datasets.to_float(pixels))[1].sigmoid()
    away = np.linalg.norm(seen[:, 0] - keypoints[~chosen, 0], axis=-1)
    chance = np.linalg.norm(keypoints[chosen, 0].mean(0) - keypoints[~chosen, 0], axis=-1)
    assert np.median(away) < 2 < 6 < np.median(chance)
    assert confidence[:, 0].min() > 0.5 > confidence[:, 1:].max()


def test_a_killed_run_ends_bit_for_bit_like_one_that_was_not(data, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    facts = train(data, whole)
    assert facts["step"] == 6
    assert stopped(data, cut, 2) == {"step": 2}
    assert len(list(cut.glob("checkpoint-*.pt"))) == 2 and not (cut / "weights.pt").exists()
    calls = []
    train(data, cut, progress=lambda *a: calls.append(a))
    assert calls[0] == (2, 6) and calls[-1][:2] == (6, 6)
    a, b = (state(folder) for folder in (whole, cut))
    assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
    logs = [loop.read_log(folder / "log.jsonl") for folder in (whole, cut)]
    assert [r["where"] for r in logs[0]] == [r["where"] for r in logs[1]]
    assert sorted(p.name for p in cut.iterdir()) == ["log.jsonl", "weights.pt"]


def test_a_damaged_checkpoint_falls_back_to_the_one_before(data, tmp_path):
    stopped(data, tmp_path, 3)
    newest = sorted(tmp_path.glob("checkpoint-*.pt"))[-1]
    newest.write_bytes(newest.read_bytes()[:-100])
    assert loop.Run(pose_score.keypoint_task(TINY, data), 0, "cpu").resume(tmp_path) == 2


def test_another_configuration_or_seed_does_not_go_on(data, tmp_path):
    stopped(data, tmp_path, 1)
    with pytest.raises(UserError, match="another configuration"):
        stopped(data, tmp_path, 1, seed=1)


def test_the_seed_decides_everything(data, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(data, tmp_path / name, seed=seed)
    a, b, c = (state(tmp_path / name)["where.weight"] for name in "abc")
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_nan_stops_with_a_sentence_and_keeps_the_checkpoint(data, tmp_path, monkeypatch):
    stopped(data, tmp_path, 2)
    right = pose_score.keypoint_losses
    monkeypatch.setattr(
        pose_score, "keypoint_losses", lambda *a: {k: v * math.nan for k, v in right(*a).items()}
    )
    with pytest.raises(UserError, match="nan at step 3.*learning rate"):
        train(data, tmp_path)
    assert loop.Run(pose_score.keypoint_task(TINY, data), 0, "cpu").resume(tmp_path) == 2


def test_a_full_disk_ends_in_a_sentence_and_leaves_no_half_file(data, tmp_path, full_disk):
    with pytest.raises(UserError, match="No space left"):
        train(data, tmp_path)
    assert not list(tmp_path.glob("*.tmp")) and not list(tmp_path.glob("*.pt"))


def test_only_annotated_training_images_are_learnt_from(tmp_path):
    images, keypoints = dots(6)
    keypoints[0] = -1
    some = dataset(images, keypoints, np.arange(6) < 4)
    assert pose_score.annotated(some).tolist() == [1, 2, 3]
    with pytest.raises(UserError, match="no training image with keypoints"):
        pose_score.keypoint_task(TINY, dataset(images, keypoints, np.arange(6) < 1))


def test_batches_move_and_mirror_images_and_joints_together():
    """A dot stays under its joint, or both leave the frame."""
    images = np.zeros((40, HEIGHT, WIDTH, 3), np.uint8)
    keypoints = np.full((40, 18, 2), -1, np.float32)
    places = np.random.default_rng(0).integers((1, 1), (WIDTH - 1, HEIGHT - 1), (40, 2))
    for image, joints, (x, y) in zip(images, keypoints, places):
        image[y, x], joints[4] = 255, (x, y)
    config = KeypointConfig(rows=8, batch=80, blurred=0, shift=1 / 4, **SIZE)
    people = dataset(images, keypoints)
    moved, joints = next(pose_score.keypoint_batches(people, config, 0, 0, "cpu"))
    known = pose_score.found(joints)
    assert known[:, [4, 7]].sum(0).min() > 10 and known.sum() < 80  # both sides; some left
    for image, place in zip(moved[known.any(1)], joints[known]):
        x, y = place.int()
        assert (image[:, y, x] == 1).all()
    again = next(pose_score.keypoint_batches(people, config, 0, 0, "cpu"))
    assert torch.equal(again[0], moved) and torch.equal(again[1], joints)


@pytest.mark.parametrize("blurred", [0.5, 1])
def test_batches_are_blurred_by_random_amounts(blurred):
    """Else the network would miss joints of soft images and PCKh would reward sharpness. A blurred
    image lies between the sharp one and its means over windows of 5 of its 64 rows."""
    random = np.random.default_rng(0)
    people = dataset(
        random.integers(0, 256, (8, 64, 32, 3), dtype=np.uint8),
        random.integers(0, 32, (8, 18, 2)).astype(np.float32),
    )
    (sharp, places), (seen, again) = (
        next(pose_score.keypoint_batches(people, config, 0, 0, "cpu"))
        for config in (
            KeypointConfig(height=64, width=32, batch=200, blurred=share) for share in (0, blurred)
        )
    )
    assert torch.equal(places, again)
    sharp, seen = (images.double().flatten(1).numpy() for images in (sharp, seen))
    soft = uniform_filter(sharp.reshape(200, 3, 64, 32), (1, 1, 5, 5), mode="nearest")
    change = soft.reshape(200, -1) - sharp
    amounts = ((seen - sharp) * change).sum(1) / (change**2).sum(1)  # by least squares
    np.testing.assert_allclose(seen, sharp + amounts[:, None] * change, atol=1e-5)
    share = (amounts != 0).mean()
    assert share == pytest.approx(blurred, abs=0.1)
    assert amounts.min() >= 0 and amounts.max() < 1
    assert amounts.mean() == pytest.approx(share / 2, abs=0.05) and amounts.std() > 0.2


# ---------------------------------------------------------------- network and map


@pytest.mark.parametrize("size, rows", [((64, 32), 16), ((128, 64), 16), ((64, 64), 32)])
def test_the_map_has_the_rows_it_should(size, rows):
    where, there = pose_score.KeypointNet(size, 4, rows).eval()(torch.zeros(2, 3, *size))
    assert where.shape == (2, 18, rows, rows * size[1] // size[0]) and there.shape == (2, 18)


@pytest.mark.parametrize("size, rows", [((60, 32), 16), ((64, 32), 64), ((64, 32), 10)])
def test_sizes_that_do_not_fit_are_told(size, rows):
    with pytest.raises(UserError, match="powers of two"):
        pose_score.KeypointNet(size, 4, rows)


def test_decoding_inverts_the_map_between_its_outer_centres():
    generator = torch.Generator().manual_seed(0)
    keypoints = torch.rand(5, 18, 2, generator=generator) * torch.tensor([28.0, 60.0]) + 1.5
    weights = pose_score.cells(keypoints, (16, 8), (64, 32))
    torch.testing.assert_close(weights.sum((2, 3)), torch.ones(5, 18))
    found = pose_score.decode(weights.clamp(min=1e-12).log(), (64, 32))
    torch.testing.assert_close(found, keypoints, atol=1e-3, rtol=0)


def test_missing_joints_have_no_place_to_learn():
    generator = torch.Generator().manual_seed(0)
    where, there = torch.randn(2, 18, 8, 4, generator=generator), torch.randn(2, 18)
    keypoints = torch.full((2, 18, 2), -1.0)
    keypoints[0, 3] = torch.tensor([1.5, 5.5])  # the centre of cell (1, 0)
    terms = pose_score.keypoint_losses(where, there, keypoints, (32, 16))
    by_hand = -where[0, 3].flatten().log_softmax(0)[4]
    torch.testing.assert_close(terms["where"], by_hand)
    nothing = pose_score.keypoint_losses(where, there, torch.full((2, 18, 2), -1.0), (32, 16))
    assert nothing["where"] == 0


def test_bad_files_and_sizes_are_told(data, tmp_path):
    with pytest.raises(UserError, match="missing"):
        pose_score.load_keypoints(tmp_path / "weights.pt")
    (tmp_path / "weights.pt").write_bytes(b"nothing")
    with pytest.raises(UserError, match="holds no weights"):
        pose_score.load_keypoints(tmp_path / "weights.pt")
    train(data, tmp_path)
    network = pose_score.load_keypoints(tmp_path / "weights.pt", "cpu")
    with pytest.raises(UserError, match="32x16.*64"):
        pose_score.estimate(network, np.zeros((1, 64, 32, 3), np.uint8))
    whole = pose_score.estimate(network, data.images)
    parts = pose_score.estimate(network, data.images, batch=7)
    np.testing.assert_allclose(whole, parts, atol=1e-3)


# ---------------------------------------------------------------- PCK and PCKh


def person(**joints):
    keypoints = np.full((18, 2), -1.0)
    for name, place in joints.items():
        keypoints[int(name[1:])] = place
    return keypoints


def test_pck_by_hand():
    # torso: both diagonals from (10, 10) / (20, 10) to (20, 34) / (10, 34) are 26 long
    reference = person(j2=(10, 10), j5=(20, 10), j8=(10, 34), j11=(20, 34), j0=(15, 2))
    assert geometry.torso(reference) == pytest.approx(26)
    seen = reference.copy()
    seen[2] += (3, 4)  # 5 away: within 0.2 * 26 = 5.2
    seen[5] += (0, 5.3)  # not
    seen[8] = -1  # missing: wrong
    seen[17] = (3, 3)  # the reference has none: does not count
    assert pck(seen[None], reference[None]).tolist() == [3 / 5]
    assert pck(seen[None], reference[None], alpha=0.19).tolist() == [2 / 5]
    assert joint_counts(reference[None]).tolist() == [5]
    assert np.isnan(pck(seen[None], person()[None]))


def test_without_a_torso_the_box_about_the_joints_counts():
    one_diagonal = person(j2=(10, 10), j11=(13, 14), j0=(10, 0))
    assert geometry.body_size(one_diagonal) == 5
    assert geometry.body_size(person(j0=(4, 2), j2=(10, 30))) == 14
    assert geometry.body_size(person(j0=(4, 2))) == 1 and np.isnan(geometry.body_size(person()))


def test_pckh_by_hand():
    # the head's box: x from 16 to 24, y from 10 to the neck's 26; half of it is 4 and 8
    reference = person(
        j0=(20, 14), j1=(20, 26), j14=(18, 10), j15=(22, 10), j16=(16, 12), j17=(24, 12), j9=(5, 50)
    )
    seen = reference.copy()
    seen[0] += (3.9, 7.9)
    seen[1] += (-3.9, 0)
    seen[14] += (4, 0)  # not less than half the width
    seen[15] += (0, -8)  # not less than half the height
    seen[16] += (0, 2.5)  # half the height of nose, eyes and ears alone is 2
    seen[17] += (0, 7)
    seen[9] = -1  # missing: wrong
    seen[10] = (1, 1)  # the reference has none: does not count
    assert pckh(seen[None], reference[None]).tolist() == [4 / 7]


def test_the_neck_is_a_head_joint_of_pckh_and_one_is_not_enough():
    one = person(j0=(20, 14), j9=(5, 50))
    assert np.isnan(pckh(one[None], one[None])[0])
    two = person(j0=(20, 14), j1=(22, 24), j9=(5, 50))
    near, far = two.copy(), two.copy()
    near[9] += (0.9, 4.9)
    far[9] += (1, 0)
    assert pckh(np.stack([near, far]), np.stack([two, two])).tolist() == [1, 2 / 3]
    thin = person(j0=(20, 14), j1=(20, 24), j9=(5, 50))  # PATN sets no least size
    assert pckh(thin[None], thin[None]).tolist() == [0]


def patn_pckh(estimated, reference):
    """(right, counted) of one pose, in steps written after PATN's description; counted is 0 for a
    pose that is skipped. Joints are lists, a missing one is [-1, -1]."""
    head = [reference[j] for j in (0, 1, 14, 15, 16, 17) if reference[j] != [-1, -1]]
    if len(head) < 2:
        return 0, 0
    xs, ys = zip(*head)
    half_width, half_height = (max(xs) - min(xs)) * 0.5, (max(ys) - min(ys)) * 0.5
    right = counted = 0
    for (px, py), (tx, ty) in zip(estimated, reference):
        counted += ty != -1
        if -1 not in (px, py, tx, ty):
            right += abs(px - tx) < half_width and abs(py - ty) < half_height
    return right, counted


def test_pckh_is_patns_share_over_all_images():
    rng = np.random.default_rng(1)
    reference = rng.integers(0, 40, (80, 18, 2)).astype(np.float64)
    estimated = reference + rng.integers(-25, 26, reference.shape)
    estimated[(estimated < 0).any(-1)] = -1
    reference[rng.random((80, 18)) < 0.6] = -1
    parts = [patn_pckh(*pair) for pair in zip(estimated.tolist(), reference.tolist())]
    right, counted = np.array(parts).T
    assert 3 < (counted == 0).sum() < 40  # some are skipped, most are not
    found = pckh(estimated, reference)
    assert found == pytest.approx(right / np.where(counted, counted, np.nan), nan_ok=True)
    pooled = statistics.mean(found, joint_counts(reference))
    assert pooled == pytest.approx(right.sum() / counted.sum())


def test_pck_against_slow_loops():
    rng = np.random.default_rng(0)
    reference = rng.integers(0, 40, (60, 18, 2)).astype(np.float64)
    estimated = reference + rng.normal(0, 5, reference.shape)
    reference[rng.random((60, 18)) < 0.4] = -1
    estimated[rng.random((60, 18)) < 0.1] = -1
    estimated[(estimated < 0).any(-1)] = -1
    for k in range(60):
        known = [j for j in range(18) if reference[k, j, 0] >= 0]
        lengths = [math.dist(reference[k, a], reference[k, b])
                   for a, b in ((2, 11), (5, 8)) if a in known and b in known]  # fmt: skip
        box = [max(reference[k, j, i] for j in known) - min(reference[k, j, i] for j in known)
               for i in (0, 1)]  # fmt: skip
        size = max(sum(lengths) / len(lengths) if lengths else max(box) / 2, 1)
        seen = [j for j in known if estimated[k, j, 0] >= 0]
        right = sum(math.dist(estimated[k, j], reference[k, j]) <= 0.2 * size for j in seen)
        assert pck(estimated, reference)[k] == pytest.approx(right / len(known))
