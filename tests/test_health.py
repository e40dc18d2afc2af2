"""Stripes and fixed pictures, on made-up images whose values are known by hand; lines of health."""

import numpy as np
import pytest
from skimage.util import img_as_ubyte

from pg2lib.evaluation.health import (
    LIMITS,
    fixed_share,
    health_line,
    health_text,
    over_trainings,
    stripes,
)

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


def scores(fixed=None, striped=None):
    return {"scores": {"fixed_share": fixed and {"mean": fixed}, "stripes": {"mean": striped}}}


def record(real, fake):
    return {"step": 1, "l1": 0.4, "d_real": real, "d_fake": fake}


def test_a_line_of_health_reads_the_last_tenth_of_the_log():
    log = [record(0.5, 0.5)] * 18 + [record(0.8, 0.3), record(0.9, 0.2)]
    line = health_line("two", scores(0.2, 0.4), log)
    assert (line["d_real"], line["d_fake"]) == (pytest.approx(0.85), pytest.approx(0.25))
    assert line["healthy"] and line["why"] == ""
    text = "two: one picture 20 %, D 0.85 / 0.25, period-2 energy 0.40, healthy"
    assert health_text(over_trainings([line])) == text


def test_a_row_without_a_discriminator_has_no_line():
    assert health_line("one", scores(None, 9.0), [{"step": 1, "l1": 0.4}]) is None
    assert health_line("one", {}, []) is None


def test_a_later_papers_adversarial_row_is_judged_by_its_stripes():
    """Its log has no chances of D, as those of PG2 have, but an adversarial loss."""
    for term in ("adversarial", "adversarial_shape"):
        log = [{"step": 1, "l1": 0.4, term: 0.3}]
        line = health_line("PATN", scores(None, 3.5), log)
        assert line["why"] == "its images have 3.5 times the stripes of real ones"
        text = health_text(over_trainings([line]))
        assert text == "PATN: period-2 energy 3.50, NOT healthy"
        assert health_line("PATN", scores(None, 0.5), log)["healthy"]


@pytest.mark.parametrize("part, over", [("fixed", 0.3), ("gap", 0.9), ("stripes", 1.5)])
def test_each_limit_alone_makes_a_training_sick_from_just_above_it(part, over):
    assert getattr(LIMITS, {"fixed": "fixed_share"}.get(part, part)) == over
    for step, healthy in ((-0.01, True), (0.01, False)):
        value = {"fixed": 0.1, "gap": 0.5, "stripes": 1.0} | {part: over + step}
        log = [record(0.97, 0.97 - value["gap"])] * 10
        line = health_line("two", scores(value["fixed"], value["stripes"]), log)
        assert line["healthy"] == healthy == (not line["why"])


def test_one_stage_is_judged_without_a_difference_map():
    line = health_line("one", scores(None, 2.0), [record(0.6, 0.4)])
    assert not line["healthy"] and line["fixed_share"] is None
    text = health_text(over_trainings([line]))
    assert text == "one: D 0.60 / 0.40, period-2 energy 2.00, NOT healthy"


def test_half_of_the_trainings_make_a_row_sick():
    sound, sick = (health_line("two", scores(f, 0.5), [record(0.6, 0.4)]) for f in (0.1, 0.5))
    line = over_trainings([sick, sound, sound])
    assert line["healthy"] and (line["trainings"], line["sick"]) == (3, 1)
    assert health_text(line).endswith(", healthy (2 of 3 trainings are)")
    assert line["fixed_share"] == pytest.approx(0.7 / 3)
    assert not over_trainings([sick, sound])["healthy"] and not over_trainings([sick])["healthy"]
    why = over_trainings([sick, sick, sound])["why"]
    assert why == "2 of 3 trainings; the first: 50 % of its difference maps is one picture"
