"""The texture score on hand-made garments, and on drawn people."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import uniform_filter

from pg2lib.core.files import UserError
from pg2lib.data import parsing
from pg2lib.evaluation import scores, statistics, texture
from pg2lib.workflow import textures

UPPER, LOWER = (parsing.LABELS["people"].index(name) for name in ("upper", "lower"))
HEIGHT, WIDTH = 64, 32


def person(upper, lower=None):
    """A grey image with an upper garment (20, 20) of grey levels and a lower one (20, 14)."""
    image = np.full((1, HEIGHT, WIDTH, 3), 60, np.uint8)
    image[0, 12:32, 6:26] = np.asarray(upper, float).round()[..., None]
    image[0, 34:54, 9:23] = 90 if lower is None else np.asarray(lower, float).round()[..., None]
    return image


def maps():
    found = np.zeros((1, HEIGHT, WIDTH), np.uint8)
    found[0, 12:32, 6:26], found[0, 34:54, 9:23] = UPPER, LOWER
    return found


def grid():
    return np.indices((20, 20))


def stripes(contrast=1.0, shift=0):
    return 120 + contrast * 50 * np.where((grid()[0] + shift) % 4 < 2, 1, -1)


def bars():
    return 120 + 50 * np.where(grid()[1] % 4 < 2, 1, -1)


GARMENTS = texture.shown_garments(maps(), maps(), np.zeros(1))
TRUE = person(stripes())


def score(upper, lower=None, target=TRUE):
    return texture.texture(person(upper, lower), target, GARMENTS)["texture"][0]


def test_the_true_texture_scores_1_its_mean_0_and_others_about_0():
    assert score(stripes()) == pytest.approx(1, abs=1e-12)
    assert score(np.full((20, 20), 120)) == pytest.approx(0, abs=1e-12)
    assert score(uniform_filter(stripes(), 8, mode="wrap")) == pytest.approx(0, abs=0.02)
    assert score(bars()) == pytest.approx(0, abs=0.03)
    noise = np.random.default_rng(0).integers(40, 200, (20, 20))
    assert score(noise) == pytest.approx(0, abs=0.15)
    assert score(stripes(0.5)) == pytest.approx(0.5, abs=0.01)
    assert score(stripes(shift=2)) == pytest.approx(-1, abs=0.02)  # light where it is dark
    assert score(stripes() + 30 + grid()[1]) == pytest.approx(1, abs=0.1)  # brighter, shaded


def test_what_surrounds_a_garment_does_not_count():
    other = person(stripes())
    other[maps()[..., None].repeat(3, -1) == 0] = 255
    found = texture.texture(other, TRUE, GARMENTS)
    assert found["texture"][0] == pytest.approx(1, abs=1e-12)


def test_garments_add_by_the_energy_of_their_textures():
    lower = 90 + 25 * np.where(np.indices((20, 14))[0] % 4 < 2, 1, -1)
    both = person(stripes(), lower)
    parts = [texture.texture(both, both, GARMENTS[[k]])["target_texture"][0] for k in (0, 1)]
    assert parts[0] > 4 * parts[1] > 0
    found = texture.texture(person(stripes()), both, GARMENTS)  # the lower one is plain
    assert found["target_texture"][0] == pytest.approx(sum(parts))
    assert found["texture"][0] == pytest.approx(parts[0] / sum(parts))
    plain = texture.texture(TRUE, person(np.full((20, 20), 99)), GARMENTS)
    assert np.isnan(plain["texture"][0]) and plain["target_texture"][0] == 0


def test_only_garments_that_the_condition_shows_count():
    hidden, small = maps(), maps()
    hidden[hidden == LOWER] = 0
    small[small == LOWER] = 0
    small[0, 34:38, 9:15] = LOWER  # 24 pixels; a window has 25
    for before in (hidden, small):
        garments = texture.shown_garments(before, maps(), np.zeros(1))
        assert [plane.any() for plane in garments] == [True, False]
    for turned, counts in ((60.0, True), (60.1, False), (np.nan, False)):
        garments = texture.shown_garments(maps(), maps(), np.array([turned]))
        assert garments.any() == counts
    nothing = texture.texture(TRUE, TRUE, np.zeros_like(GARMENTS))
    assert np.isnan(nothing["texture"][0]) and nothing["target_texture"][0] == 0


def test_the_real_targets_of_drawn_people_score_1(data, tmp_path):
    parsing.write(data, tmp_path / "maps.npy")
    parsed = replace(data, extras={"parsing": parsing.read(tmp_path / "maps.npy", data)})
    pairs = np.asarray(data.test_pairs)
    true = texture.of_pairs(data.images[pairs[:, 1]], parsed)
    counted = true.texture.notna()
    assert 0 < counted.sum() < len(pairs) and np.allclose(true.texture[counted], 1)
    grey = texture.of_pairs(np.full((len(pairs), 64, 32, 3), 128, np.uint8), parsed)
    assert np.allclose(grey.texture[counted], 0)
    weight = scores.weighting(true, "texture")
    mean = statistics.seed_means(true.texture.to_numpy()[None], weight.to_numpy())
    assert mean == pytest.approx([1])
    with pytest.raises(UserError, match="needs the parsing maps"):
        texture.of_pairs(data.images[pairs[:, 1]], data)


def test_a_difference_of_rows_is_the_difference_of_their_weighted_means():
    """Two trainings of each row on three people; the weights are the target's energies."""
    people, energy = [1, 2, 3], [1.0, 2.0, 5.0]

    def table(values):
        columns = {"texture": values, "target_texture": energy, "identity": people}
        columns |= {"condition": "a", "target": "b"}
        return pd.DataFrame(columns, index=range(3))

    tables = {
        "a": [table([0.5, 0.5, 0.1]), table([0.7, 0.5, 0.3])],
        "b": [table([0.1, 0.5, 0.1]), table([0.1, 0.3, 0.1])],
    }
    middle, low, high, by_seed = textures.differences(tables, {"a - b": ("a", "b")})["a - b"]
    # first training (0.4 x 1) / 8, second (0.6 x 1 + 0.2 x 2 + 0.2 x 5) / 8
    assert middle == pytest.approx((0.4 / 8 + 2.0 / 8) / 2)
    assert low < middle < high and by_seed == pytest.approx([0.4 / 8, 2.0 / 8])


def test_it_is_registered_apart_from_the_scores_of_every_row():
    assert scores.EVERY["texture"].aim == "target" and "texture" not in scores.SCORES
    assert set(scores.EVERY) == {*scores.SCORES, *scores.LABELLED}
    assert len({score.heading for score in scores.EVERY.values()}) == len(scores.EVERY)
