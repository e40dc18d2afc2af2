"""The generators that ship: which study they stand for, and that they paint unseen people."""

from dataclasses import replace

import numpy as np
import pytest
from skimage.draw import polygon2mask

from pg2lib import models
from pg2lib.apps.photo import generate
from pg2lib.core.config import drawn
from pg2lib.core.files import UserError
from pg2lib.data.keypoints import torso_found
from pg2lib.evaluation import detail
from pg2lib.workflow import pipeline
from pg2lib.workflow import shipped as demo

SHIPPED = pipeline.Study(profile="demo", device="cpu")


def test_nothing_asked_for_is_the_study_that_ships(monkeypatch):
    for name in ("PG2_PROFILE", "PG2_DATASET", "PG2_DEVICE"):
        monkeypatch.delenv(name, raising=False)
    assert demo.ships(demo.study_from_environment())
    assert demo.study_from_environment(profile="smoke").profile == "smoke"
    assert demo.ships(demo.study_from_environment(dataset="synthetic-fashion"))
    assert demo.study_from_environment(dataset="market1501").profile == "quick"
    assert demo.study_from_environment(seeds=2) == pipeline.Study(seeds=(2,))
    changed = demo.study_from_environment(overrides="iterations=5")
    assert changed.profile == "quick" and changed.overrides == ("iterations=5",)
    monkeypatch.setenv("PG2_PROFILE", "lite")
    assert demo.study_from_environment().profile == "lite"


@pytest.mark.parametrize(
    "change",
    [
        dict(profile="quick"),
        dict(seeds=(1,)),
        dict(seeds=(0, 1)),
        dict(overrides=("iterations=5",)),
        dict(dataset="market1501"),
    ],
)
def test_a_study_that_differs_in_anything_does_not_ship(change):
    assert demo.ships(SHIPPED) and not demo.ships(replace(SHIPPED, **change))


def test_every_row_of_table_1_ships_and_is_small():
    assert demo.rows() == models.rows()
    assert demo.rows("synthetic-fashion") == ("G1-poseMaskLoss", "G1+G2+D")
    assert demo.rows("market1501") == demo.rows("synthetic-market")  # to be tried on photographs
    files = list(demo.FOLDER.glob("*/*"))
    assert {demo.weights_file(row) for row in models.rows()} <= set(files)
    assert sum(file.stat().st_size for file in files) < 40e6


def test_the_people_are_none_of_the_training_people():
    data = demo.data(SHIPPED)
    assert (data.height, data.width) == (128, 64)
    assert data.card["config"]["seed"] != pipeline.data_config(SHIPPED).seed
    assert (~data.train).sum() == demo.PEOPLE * demo.VIEWS
    assert demo.data(pipeline.Study(profile="smoke")).train.any()


@pytest.mark.parametrize(
    ("dataset", "row"), [(name, row) for name in drawn() for row in demo.rows(name)]
)
def test_what_ships_has_learnt_to_paint(dataset, row):
    """Nearer to the target than the condition image is, on people it has never seen."""
    study = replace(SHIPPED, dataset=dataset)
    data, generate_fn = demo.data(study), demo.generate_fn(study, row)
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


@pytest.mark.parametrize(
    ("dataset", "low", "high"), [("synthetic-market", 0.5, 0.7), ("synthetic-fashion", 0.75, 0.9)]
)
def test_a_persons_other_images_do_not_tell_the_colour_that_the_card_asks_for(dataset, low, high):
    """The goal, right in 0.95 of the pairs, is about light and sides that no input shows:
    model-card.md."""
    data = demo.data(replace(SHIPPED, dataset=dataset))
    test = np.flatnonzero(~data.train)
    images, poses = data.images[test], data.keypoints[test]
    corners = poses[:, [2, 5, 11, 8], ::-1]
    torsos = np.stack([polygon2mask(images.shape[1:3], corner) for corner in corners])
    known = torso_found(poses) & torsos.any((1, 2))
    colours = (images * torsos[..., None]).sum((1, 2)) / torsos.sum((1, 2)).clip(1)[:, None]
    kept = []
    for index in np.flatnonzero(known):
        others = known & (data.identities[test] == data.identities[test[index]])
        others[index] = False
        if others.any():
            guess = np.full_like(images[:1], colours[others].mean(0).round())
            one = slice(index, index + 1)
            kept += detail.torso_colour_kept(guess, images[one], poses[one]).tolist()
    assert len(kept) > 150 and low < np.mean(kept) < high
