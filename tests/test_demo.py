"""The generators that ship: which study they stand for, and that they paint unseen people."""

import numpy as np
import pytest

from pg2lib import models
from pg2lib.apps.photo import generate
from pg2lib.core.files import UserError
from pg2lib.workflow import pipeline
from pg2lib.workflow import shipped as demo

SHIPPED = pipeline.Study(profile="demo", device="cpu")


def test_nothing_asked_for_is_the_study_that_ships(monkeypatch):
    for name in ("PG2_PROFILE", "PG2_DATASET", "PG2_DEVICE"):
        monkeypatch.delenv(name, raising=False)
    assert demo.ships(demo.study_from_environment())
    assert demo.study_from_environment(profile="smoke").profile == "smoke"
    assert demo.study_from_environment(dataset="synthetic-fashion").profile == "quick"
    assert demo.study_from_environment(seeds=2) == pipeline.Study(seeds=(2,))
    changed = demo.study_from_environment(overrides="iterations=5")
    assert changed.profile == "quick" and changed.overrides == ("iterations=5",)
    monkeypatch.setenv("PG2_PROFILE", "lite")
    assert demo.study_from_environment().profile == "lite"


def test_every_row_of_table_1_ships_and_is_small():
    assert demo.rows() == models.rows()
    files = list(demo.FOLDER.iterdir())
    assert len(files) == len(models.rows())
    assert sum(file.stat().st_size for file in files) < 40e6


def test_the_people_are_none_of_the_training_people():
    data = demo.data(SHIPPED)
    assert (data.height, data.width) == (128, 64)
    assert data.card["config"]["seed"] != pipeline.data_config(SHIPPED).seed
    assert (~data.train).sum() == demo.PEOPLE * demo.VIEWS
    assert demo.data(pipeline.Study(profile="smoke")).train.any()


@pytest.mark.parametrize("row", models.rows())
def test_what_ships_has_learnt_to_paint(row):
    """Nearer to the target than the condition image is, on people it has never seen."""
    data, generate_fn = demo.data(SHIPPED), demo.generate_fn(SHIPPED, row)
    errors = []
    for condition, target in data.test_pairs[:12]:
        image = data.images[condition].astype(float)
        painted = generate.generate(generate_fn, data.images[condition], data.keypoints[target])
        real = data.images[target].astype(float)
        errors.append([abs(painted["refined"] - real).mean(), abs(image - real).mean()])
    painted, copied = np.mean(errors, 0)
    assert painted < 0.8 * copied


def test_an_unknown_row_is_said():
    with pytest.raises(UserError, match="choose one of"):
        demo.generate_fn(SHIPPED, "G3")


def test_other_studies_are_trained_as_everywhere(monkeypatch):
    monkeypatch.setattr(pipeline, "generate_fn", lambda study, row, log: (study.profile, row))
    assert demo.generate_fn(pipeline.Study(profile="smoke"), "G1-L1") == ("smoke", "G1-L1")
