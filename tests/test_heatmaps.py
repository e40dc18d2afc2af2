"""Heatmaps and pose masks against slow NumPy versions written from the text, and scikit-image."""

import numpy as np
import pytest
import torch
from skimage.draw import disk, polygon
from skimage.measure import label
from skimage.morphology import closing

from pg2lib.core.files import UserError
from pg2lib.data.heatmaps import (
    MASK_LIMBS,
    gaussian_heatmaps,
    heatmaps,
    patn_mask,
    pose_mask,
    pose_skeleton,
)  # fmt: skip
from pg2lib.data.keypoints import JOINTS

SIZES = [(128, 64), (256, 256)]

# The limbs of the released code's mask, written down a second time and by name.
LIMBS = """
neck right_shoulder, neck left_shoulder, right_shoulder right_elbow, right_elbow right_wrist,
left_shoulder left_elbow, left_elbow left_wrist, neck right_hip, right_hip right_knee,
right_knee right_ankle, neck left_hip, left_hip left_knee, left_knee left_ankle, neck nose,
nose right_eye, right_eye right_ear, nose left_eye, left_eye left_ear, neck right_ear,
neck left_ear, right_hip left_hip, left_hip left_shoulder, right_hip right_shoulder,
right_ear left_ear
"""
LIMBS = [[JOINTS.index(joint) for joint in limb.split()] for limb in LIMBS.split(",")]

# A frontal person of 256x256, like one of the In-shop images.
FRONTAL = np.array(
    [(128, 40), (128, 70), (100, 72), (92, 110), (88, 145), (156, 72), (164, 110), (168, 145),
     (110, 140), (108, 190), (107, 235), (146, 140), (148, 190), (149, 235),
     (122, 34), (134, 34), (114, 38), (142, 38)],
    np.float32,
)  # fmt: skip


def random_keypoints(count, height, width, seed, whole):
    """Some joints missing, on the border, out of the frame, or people without any joint."""
    rng = np.random.default_rng(seed)
    keypoints = rng.uniform(0, 1, (count, 18, 2)) * (1.15 * width, 1.15 * height)
    keypoints = np.floor(keypoints) if whole else keypoints
    keypoints[rng.random((count, 18)) < 0.15] = -1
    keypoints[:, 3] = (0, 0)
    keypoints[:, 10] = (width - 1, height - 1)
    keypoints[-1] = -1
    return keypoints.astype(np.float32)


def slow_disc(canvas, x, y, radius=4):
    x, y = int(x), int(y)
    for row in range(canvas.shape[0]):
        for column in range(canvas.shape[1]):
            if (row - y) ** 2 + (column - x) ** 2 <= radius**2:
                canvas[row, column] = 1


def slow_heatmaps(person, height, width):
    maps = np.zeros((18, height, width), np.float32)
    for joint, (x, y) in enumerate(person):
        if x >= 0 and y >= 0:
            slow_disc(maps[joint], x, y)
    return maps


def slow_skeleton(person, height, width, radius=4):
    canvas = np.zeros((height, width), np.float32)
    person = person.astype(np.float64)
    for first, second in LIMBS:
        (x0, y0), (x1, y1) = person[first], person[second]
        if min(x0, y0, x1, y1) < 0:
            continue
        n = max(int(np.sqrt((x1 - x0) ** 2 + (y1 - y0) ** 2) / radius), 1)
        stops = {(int(x0), int(y0)), (int(x1), int(y1))}
        stops |= {(int(x0 + (x1 - x0) * i / n), int(y0 + (y1 - y0) * i / n)) for i in range(1, n)}
        for x, y in stops:
            corner = slice(max(y - 9, 0), y + 10), slice(max(x - 9, 0), x + 10)  # for speed only
            slow_disc(canvas[corner], min(x, 9), min(y, 9), radius)
    return canvas


def test_limbs_are_the_released_codes():
    assert len(LIMBS) == 23
    assert sorted(map(sorted, MASK_LIMBS)) == sorted(map(sorted, LIMBS))


@pytest.mark.parametrize("height, width", SIZES)
def test_heatmaps_equal_the_slow_version(height, width):
    keypoints = random_keypoints(2, height, width, 0, whole=False)
    slow = np.stack([slow_heatmaps(person, height, width) for person in keypoints])
    maps = heatmaps(torch.from_numpy(keypoints), height, width)
    assert maps.dtype == torch.float32 and maps.shape == (2, 18, height, width)
    np.testing.assert_array_equal(maps.numpy(), slow)
    released = heatmaps(torch.from_numpy(keypoints), height, width, values="released")
    np.testing.assert_array_equal(released.numpy(), 2 * slow - 1)


def test_a_disc_has_49_pixels_and_a_missing_joint_none():
    keypoints = torch.full((1, 18, 2), -1.0)
    keypoints[0, 5] = torch.tensor((30.9, 60.2))
    maps = heatmaps(keypoints, 128, 64)
    assert maps.sum((2, 3))[0].tolist() == [49.0 if joint == 5 else 0.0 for joint in range(18)]
    assert maps[0, 5, 60, 26:35].all() and maps[0, 5, 60].sum() == 9
    assert heatmaps(keypoints, 128, 64, radius=8).sum() == 197


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("height, width", SIZES)
def test_mask_equals_the_slow_version_and_scikit_image(height, width, whole):
    keypoints = random_keypoints(4, height, width, 1, whole)
    skeleton = pose_skeleton(torch.from_numpy(keypoints), height, width)
    mask = pose_mask(torch.from_numpy(keypoints), height, width)
    assert mask.dtype == torch.float32 and mask.shape == (4, 1, height, width)
    for index, person in enumerate(keypoints):
        slow = slow_skeleton(person, height, width)
        np.testing.assert_array_equal(skeleton[index, 0].numpy(), slow)
        np.testing.assert_array_equal(mask[index, 0].numpy(), closing(slow, np.ones((5, 5))))
    assert not mask[-1].any() and mask[:-1].flatten(1).any(1).all()


def test_one_person_does_not_depend_on_the_others():
    keypoints = torch.from_numpy(random_keypoints(5, 128, 64, 2, whole=True))
    together = pose_mask(keypoints, 128, 64)
    alone = torch.cat([pose_mask(person[None], 128, 64) for person in keypoints])
    assert torch.equal(together, alone)


def test_a_joint_without_a_neighbour_is_not_drawn():
    keypoints = torch.full((1, 18, 2), -1.0)
    keypoints[0, 4] = torch.tensor((30.0, 60.0))  # a wrist without its elbow
    assert not pose_mask(keypoints, 128, 64).any()


def holes(mask):
    """Pieces of background that do not reach the border."""
    pieces = label(mask == 0, connectivity=1)
    rim = {*pieces[0], *pieces[-1], *pieces[:, 0], *pieces[:, -1]}
    return set(np.unique(pieces)) - rim - {0}


def test_only_the_scaled_mask_fills_a_large_torso():
    person = torch.from_numpy(FRONTAL)[None]
    torso = np.zeros((256, 256), bool)
    torso[75:140, 112:145] = True  # inside the shoulders and hips
    released = pose_mask(person, 256, 256)[0, 0].numpy()
    scaled = pose_mask(person, 256, 256, variant="scaled")[0, 0].numpy()
    assert holes(released) and not released[torso].all()
    assert scaled[torso].all() and not holes(scaled)
    assert (scaled >= released).all() and scaled.mean() < 0.25
    for missing in (2, 5, 8, 11):
        incomplete = person.clone()
        incomplete[0, missing] = -1
        assert not holes(pose_mask(incomplete, 256, 256, variant="scaled")[0, 0].numpy())


def test_the_scaled_mask_grows_with_the_image():
    small = torch.from_numpy(FRONTAL / 2)[None]
    small_mask = pose_mask(small, 128, 128, variant="scaled")
    large_mask = pose_mask(2 * small, 256, 256, variant="scaled")
    assert abs(small_mask.mean() - large_mask.mean()) < 0.01
    for height, thick in ((64, 5), (128, 9), (256, 17)):  # a limb of radius 4 at height 128
        leg = torch.full((1, 18, 2), -1.0)
        leg[0, 9], leg[0, 10] = (torch.tensor((32.0, y)) * height / 128 for y in (40, 100))
        mask = pose_mask(leg, height, height // 2, variant="scaled")[0, 0]
        assert mask[height * 70 // 128].sum() == thick


# ---- PATN's mask


def slow_patn_mask(person, height, width, radius=4):
    """Limb by limb and joint by joint with scikit-image, in the order PATN does it; (x, y) joints.
    The pixels that lie on an edge to within rounding are returned too."""
    canvas = np.zeros((height, width), bool)
    people = person[:, ::-1].astype(np.float64)  # (row, column)
    rows, columns = np.mgrid[:height, :width]
    edge = np.zeros_like(canvas)
    for first, second in LIMBS:
        a, b = people[first], people[second]
        if min(*a, *b) < 0 or (a == b).all():
            continue
        along = (b - a) / np.hypot(*(b - a))
        side = radius * along[::-1] * (-1, 1)
        corners = np.stack([a + side, a - side, b - side, b + side])
        canvas[polygon(*corners.T, shape=canvas.shape)] = True
        offset = np.stack([rows - a[0], columns - a[1]])
        far, wide = np.tensordot(along, offset, 1), np.tensordot(side / radius, offset, 1)
        length = np.hypot(*(b - a))
        gaps = abs(np.stack([abs(wide) - radius, far, far - length])) < 1e-9
        edge |= gaps.any(0) & (abs(wide) < radius + 1) & (-1 < far) & (far < length + 1)
    for joint in people:
        if min(joint) >= 0:
            canvas[disk(joint, radius, shape=canvas.shape)] = True
    return canvas, edge


def test_patns_mask_equals_the_slow_version_and_scikit_image():
    for whole in (True, False):
        for height, width in SIZES:
            keypoints = random_keypoints(6, height, width, 5, whole)
            keypoints[0, 5:7] = (20, 30)  # a limb without length
            masks = patn_mask(torch.from_numpy(keypoints), height, width)
            assert masks.dtype == torch.float32 and masks.shape == (6, 1, height, width)
            for person, mask in zip(keypoints, masks[:, 0].numpy()):
                slow, edge = slow_patn_mask(person, height, width)
                most, least = slow | edge, slow & ~edge  # rounding decides on an edge
                most, least = (closing(x.astype(float), np.ones((5, 5))) for x in (most, least))
                assert (least <= mask).all() and (mask <= most).all()
                assert whole or (least == most).all()
            assert not masks[-1].any()


def test_patns_mask_by_hand():
    keypoints = torch.full((3, 18, 2), -1.0)
    keypoints[0, 4] = keypoints[1, 3] = torch.tensor((30.0, 60.0))  # a wrist; an elbow
    keypoints[1, 4] = torch.tensor((30.0, 80.0))
    keypoints[2, 3], keypoints[2, 4] = torch.tensor((20.0, 50.0)), torch.tensor((32.0, 66.0))
    alone, upright, slanted = patn_mask(keypoints, 128, 64)[:, 0].bool()
    assert alone.sum() == 45 and alone[60, 27:34].all() and not alone[60, [26, 34]].any()
    assert upright[60:81, 26:35].all() and not upright[60:81, [25, 35]].any()
    assert upright[57, 30] and not upright[56, 30]  # discs end before their radius
    # beside the middle of a limb with the direction (3, 4): 4 away is (3.2, -2.4)
    assert slanted[56, 29] and not slanted[55, 30]
    assert not pose_mask(keypoints, 128, 64)[0].any()


def test_mistakes_are_named():
    keypoints = torch.full((1, 18, 2), -1.0)
    with pytest.raises(UserError, match="released"):
        heatmaps(keypoints, 128, 64, values="gauss")
    with pytest.raises(UserError, match="scaled"):
        pose_mask(keypoints, 128, 64, variant="big")
    with pytest.raises(UserError, match=r"\(B, 18, 2\)"):
        heatmaps(keypoints[0], 128, 64)
    with pytest.raises(UserError, match="radius 0"):
        pose_mask(keypoints, 128, 64, radius=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("variant", ["released", "scaled"])
def test_a_gpu_draws_the_same(variant):
    keypoints = torch.from_numpy(random_keypoints(8, 128, 64, 3, whole=False))
    there = keypoints.cuda()
    assert torch.equal(heatmaps(there, 128, 64).cpu(), heatmaps(keypoints, 128, 64))
    mask = pose_mask(there, 128, 64, variant=variant).cpu()
    assert torch.equal(mask, pose_mask(keypoints, 128, 64, variant=variant))


# ---- PATN's heatmaps


def test_gaussian_heatmaps_by_hand():
    keypoints = torch.full((2, 18, 2), -1.0)
    keypoints[0, 3] = torch.tensor([10.7, 20.2])  # pixel (10, 20)
    keypoints[1, 0] = torch.tensor([0.0, 0.0])
    maps = gaussian_heatmaps(keypoints, 64, 32, sigma=3.0)
    assert maps.shape == (2, 18, 64, 32) and maps.dtype == torch.float32
    assert maps[0, 3, 20, 10] == 1 == maps[1, 0, 0, 0]
    assert maps[0, 3, 20, 13].item() == pytest.approx(np.exp(-0.5))
    assert maps[0, 3, 26, 7].item() == pytest.approx(np.exp(-(36 + 9) / 18))
    assert maps[0, 3, 45, 10] > 0  # eight deviations away: never cut off
    assert maps.amax((2, 3)).count_nonzero() == 2  # missing joints leave nothing
    other = gaussian_heatmaps(keypoints, 64, 32)
    assert other[0, 3, 20, 16].item() == pytest.approx(np.exp(-0.5))  # the paper's 6 pixels


@pytest.mark.parametrize(
    "shape, sigma, words", [((2, 17, 2), 6, "keypoints"), ((2, 18, 2), 0, "deviation")]
)
def test_gaussian_heatmaps_name_mistakes(shape, sigma, words):
    with pytest.raises(UserError, match=words):
        gaussian_heatmaps(torch.zeros(shape), 64, 32, sigma)
