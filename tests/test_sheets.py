"""Sheets of pictures for the notebooks, and images at another size."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from pg2lib.core.config import Study, data_config
from pg2lib.data.dataset import load
from pg2lib.data.keypoints import found
from pg2lib.data.prepare import prepare
from pg2lib.data.rescale import at_height
from pg2lib.evaluation import difficulty
from pg2lib.results import browse, figures, sheets
from pg2lib.results import notebook_charts as charts


def test_drawn_people_are_drawn_again_with_the_same_pose_and_body(data):
    view = at_height(data, 3, 2 * data.height)
    assert view.image.shape == (2 * data.height, 2 * data.width, 3)
    assert view.silhouette.shape == view.image.shape[:2]
    small = view.silhouette[::2, ::2]
    assert (small == data.silhouettes[3]).mean() > 0.95
    here = found(data.keypoints[3])
    assert np.array_equal(view.keypoints[here], (data.keypoints[3][here] + 0.5) * 2 - 0.5)
    assert (view.keypoints[~here] == -1).all()
    same = at_height(data, 3, data.height)
    assert np.array_equal(same.image, data.images[3])


def test_studio_people_keep_their_studio(tmp_path):
    config = data_config(Study("synthetic-fashion", "smoke"))
    fashion = load(prepare(config, tmp_path))
    assert np.array_equal(at_height(fashion, 0, fashion.height).image, fashion.images[0])
    assert sheets.masks_sheet(fashion, [0]).get_figwidth() > 5  # 256 rows fit beside 128


def test_photographs_are_enlarged_and_have_no_silhouette(data):
    photos = replace(data, name="market1501", extras={})
    view = at_height(photos, 3, 2 * data.height)
    assert np.array_equal(view.image, data.images[3].repeat(2, 0).repeat(2, 1))
    assert view.silhouette is None


@pytest.mark.parametrize(
    "top, name, value, colour",
    [(1, "gray", 1, 255), (1, "gray", 5, 255), (2, "gray", 0, 0)],
)
def test_values_become_colours_and_are_clipped(top, name, value, colour):
    assert (sheets.coloured(np.full((2, 2), value), top, name) == colour).all()


def test_gains_are_blue_and_losses_red():
    loss, gain = sheets.coloured(np.array([[-1.0, 1.0]]), 1, "RdBu")[0]
    assert loss[0] > loss[2] and gain[2] > gain[0]


def test_every_sheet_is_drawn(data):
    images = {row: np.zeros((4, data.height, data.width, 3), np.uint8) for row in ("a", "b")}
    maps = {row: np.zeros((4, data.height, data.width)) for row in images}
    masks = np.ones((4, data.height, data.width), bool)
    moved = {row: {k: images[row] for k in (-2, 0, 2)} for row in images}
    drawn = (
        sheets.rows_sheet(data, [0, 1], {"G1-L1": images["a"], "G1+G2+D": images["b"]}),
        sheets.cameras_sheet(data, np.unique(data.identities)[:2]),
        sheets.joint_sheet(data, 0, "right_wrist"),
        sheets.masks_sheet(data, [0, 1]),
        sheets.errors_sheet(data, [0, 1], masks, images, maps),
        sheets.shifts_sheet(data, 1, moved),
    )
    assert all(isinstance(figure, Figure) for figure in drawn)


def test_failures_are_captioned_with_cause_rank_score_and_reasons(data):
    pairs = pd.DataFrame({"identity": data.identities[data.test_pairs[:, 1]]})
    pairs["body_ssim"] = np.linspace(0, 1, len(pairs))
    causes = difficulty.causes(data, data.test_pairs)
    lines = difficulty.worst(pairs, causes, per_cause=1)
    generated = data.images[data.test_pairs[:, 1]]
    figure = sheets.failures_sheet(data, generated, causes, lines)
    captions = " ".join(text.get_text().replace("\n", " ") for text in figure.axes[0].texts)
    assert all(f"{line.cause.upper()}, {line.rank} of {line.of}" in captions
               for line in lines.itertuples())  # fmt: skip


def test_every_chart_is_drawn():
    rates = pd.Series({"right_ear": 0.4, "neck": 1.0})
    assert charts.joints_found_chart(rates).axes[0].get_xticklabels()[0].get_text() == "right ear"
    followed = charts.shift_chart([-2, 0, 2], {"G1-L1": [-1, 0, 1]})
    assert len(followed.axes[0].lines) == 2
    groups = {"alone": ([0.1, np.nan], [0.0, np.nan], [0.2, np.nan]), "fixed": ([0, 0],) * 3}
    forest = charts.interval_chart(groups, ["one", "two"], "change")
    assert [label.get_text() for label in forest.axes[0].get_yticklabels()] == ["one", "two"]
    spread = charts.spread_chart({"all": [0.1, np.nan, 0.3], "none": []}, "score")
    assert spread.axes[0].get_xlabel() == "score"


def test_browsing_draws_the_first_choice_and_every_other(data):
    drawn = []

    def draw(**choice):
        drawn.append(choice)
        return "nothing" if choice["pair"] else figures.grid([[data.images[0]]])

    shown = browse.browse(draw, 9, first=3, name="pair", row=(["a", "b"], "b"), part=[1, 2])
    slider = next(control for control in shown.children if control.description == "pair")
    assert (slider.min, slider.max, slider.value) == (0, 9, 3)
    slider.value = 0
    assert drawn == [{"row": "b", "part": 1, "pair": 3}, {"row": "b", "part": 1, "pair": 0}]
