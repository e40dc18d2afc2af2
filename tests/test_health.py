"""Stripes and fixed pictures, on made-up images whose values are known by hand."""

import numpy as np
import pytest
from skimage.util import img_as_ubyte

from pg2lib.evaluation.health import fixed_share, stripes

HEIGHT, WIDTH = 16, 8
Y, X = np.mgrid[:HEIGHT, :WIDTH]


def grey(values):
    """Values in [-1, 1] as a grey uint8 image."""
    return img_as_ubyte(np.repeat((values[..., None] + 1) / 2, 3, axis=2))


@pytest.mark.parametrize("axis", [X, Y])
def test_an_image_of_stripes_two_pixels_wide_and_nothing_else_has_one(axis):
    assert stripes(grey(0.5 * (-1.0) ** axis)[None]) == pytest.approx(1, abs=1e-9)


def test_a_slow_wave_and_one_colour_have_none():
    wave, flat = grey(0.5 * np.sin(2 * np.pi * X / WIDTH)), grey(np.full((HEIGHT, WIDTH), 0.3))
    np.testing.assert_allclose(stripes(np.stack([wave, flat])), 0, atol=1e-4)


def test_stripes_of_a_third_of_the_amplitude_are_a_tenth_of_the_variance():
    # variances 0.3^2 and 0.1^2, and a square wave of period 4 holds nothing at period 2
    square = 0.3 * np.sign(np.sin(2 * np.pi * (X + 0.5) / 4))
    assert stripes(grey(square + 0.1 * (-1.0) ** X)[None]) == pytest.approx(0.1, rel=0.03)


def test_the_worse_direction_counts():
    both = grey(0.3 * (-1.0) ** X + 0.1 * (-1.0) ** Y)
    assert stripes(both[None]) == pytest.approx(0.9, rel=0.03)


def test_maps_that_are_one_picture_have_a_fixed_share_of_one_and_opposite_ones_none():
    one = np.random.default_rng(0).normal(size=(1, HEIGHT, WIDTH, 3)).astype(np.float16)
    assert fixed_share(np.repeat(one, 5, 0)) == pytest.approx(1)
    assert fixed_share(np.concatenate([one, -one])) == 0
    assert np.isnan(fixed_share(0 * one))


def test_independent_maps_share_one_part_in_n_and_an_added_picture_its_energy():
    rng = np.random.default_rng(1)
    maps, picture = rng.normal(size=(50, 32, 32, 3)), rng.normal(size=(32, 32, 3))
    assert fixed_share(maps) == pytest.approx(1 / 50, rel=0.1)
    assert fixed_share(maps + picture) == pytest.approx(0.5, abs=0.03)
