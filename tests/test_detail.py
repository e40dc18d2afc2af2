"""Colour, error and followed shifts of generated people, checked on images made by hand."""

import numpy as np
import pytest

from pg2lib.evaluation import detail

rng = np.random.default_rng(0)


@pytest.fixture
def person():
    """Two images of a coloured rectangle on noise, and its mask."""
    images = rng.integers(0, 256, (2, 32, 24, 3), dtype=np.uint8)
    masks = np.zeros((2, 32, 24), bool)
    masks[:, 8:24, 8:16] = True
    images[masks] = rng.integers(60, 120, (masks.sum(), 3), dtype=np.uint8)
    return images, masks


def test_mean_colour_error_compares_mean_colours_inside_the_mask(person):
    images, masks = person
    lighter = images.copy()
    lighter[masks] += np.array([9, 0, 3], np.uint8)
    lighter[~masks] = 0  # outside, where nothing counts
    assert detail.mean_colour_error(lighter, images, masks) == pytest.approx(4)
    shuffled = images.copy()
    shuffled[0, masks[0]] = shuffled[0, masks[0]][::-1]  # another pattern of the same colours
    assert detail.mean_colour_error(shuffled, images, masks) == pytest.approx(0)
    assert detail.mean_colour_error(lighter, images, masks & False).tolist() == [0, 0]


def test_masked_error_is_the_mean_absolute_error_inside_the_mask(person):
    images, masks = person
    other = images.copy()
    other[masks] = 255 - other[masks]
    expected = [abs(other[k].astype(float) - images[k])[masks[k]].mean() for k in (0, 1)]
    assert detail.masked_error(other, images, masks) == pytest.approx(expected)
    assert detail.masked_error(other, images, masks & False).tolist() == [0, 0]


def test_region_mean_is_nan_for_an_empty_region():
    values = np.arange(8.0).reshape(2, 2, 2)
    region = np.zeros((2, 2, 2), bool)
    region[0, 0] = True
    assert np.array_equal(detail.region_mean(values, region), [0.5, np.nan], equal_nan=True)


def test_mask_overlap_counts_body_in_mask_and_mask_on_body():
    body, mask = np.zeros((2, 4, 4), bool)
    body[:2], mask[1:, :2] = True, True  # 8 and 6 pixels, 2 in common
    assert detail.mask_overlap(mask, body) == pytest.approx((2 / 8, 2 / 6, 2 / 12))
    assert detail.mask_overlap(mask & False, body) == (0, 0, 0)


@pytest.mark.parametrize("pixels", (-3, 0, 2))
def test_shift_followed_finds_by_how_much_a_person_moved(person, pixels):
    images, masks = person
    moved, body = np.roll(images, pixels, 2), np.roll(masks, pixels, 2)
    assert detail.shift_followed(images, moved, body, 4).tolist() == [pixels, pixels]
    assert detail.shift_followed(images, images, body, 4).tolist() == [0, 0]
