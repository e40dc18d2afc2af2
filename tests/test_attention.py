"""Attention masks by block: numbers by hand, and what the pictures show."""

import numpy as np
import pytest
import smoke
import torch

from pg2lib import models
from pg2lib.models import patn
from pg2lib.results import attention, notebook_charts
from pg2lib.training import loop


def test_the_mean_mask_is_over_channels():
    masks = [
        torch.full((2, 3, 4, 2), 0.25),
        torch.linspace(0, 1, 3).view(1, 3, 1, 1).expand(2, 3, 4, 2),
    ]
    means = attention.mean_masks(masks)
    assert means.shape == (2, 2, 4, 2)
    assert (means[:, 0] == 0.25).all() and means[:, 1] == pytest.approx(0.5)


def test_masks_are_measured_where_the_bodies_are():
    """One image of 4x2 pixels, masks of 2x1: rows 0 and 1 see 0.2, rows 2 and 3 see 0.8."""
    masks = np.array([[[[0.2], [0.8]], [[0.5], [0.5]]]])  # (1, 2 blocks, 2, 1)
    condition, target = np.zeros((2, 1, 4, 2), bool)
    condition[0, :2, 0] = target[0, 1:3, 0] = True
    table = attention.on_bodies(masks, condition, target)
    assert table.loc[1].to_dict() == pytest.approx(
        # row 0; row 2; row 1; row 3 and the right column
        {"old place": 0.2, "new place": 0.8, "both": 0.2, "elsewhere": (0.8 + 0.4 + 1.6) / 5}
    )
    assert table.loc[2].tolist() == pytest.approx([0.5] * 4)
    apart = attention.on_bodies(masks, condition, condition)
    assert np.isnan(apart["old place"]).all() and apart["both"][1] == pytest.approx(0.2)


def test_a_pair_on_its_way_through_the_blocks(data):
    """The last picture on the way is the image that the method generates."""
    config = smoke.config("PATN")
    torch.manual_seed(0)
    networks = models.find("PATN").build(config)
    chosen = np.array([0, 1])
    inputs = loop.pair_inputs(data, data.test_pairs[chosen], "cpu")
    masks = patn.attention_masks(networks, config, inputs)
    images = patn.images_on_the_way(networks, config, inputs)
    assert len(masks) == config.blocks and len(images) == config.blocks + 1
    painted = patn.generate(networks, config, inputs).image
    assert torch.equal(images[-1], painted) and not torch.equal(images[0], painted)
    assert not networks["generator"].image._forward_hooks
    sheet = attention.flow_sheet(data, chosen, attention.mean_masks(masks), images)
    text = sheet.get_label()
    assert f"4 x {config.blocks + 3}" in text and f"block {config.blocks}; Target" in text


def test_scores_are_drawn_against_their_cost():
    scores = {"PATN": {"ssim": {"mean": 0.3, "low": 0.2, "high": 0.4}, "pckh": None},
              "G1+G2+D": {"ssim": {"mean": 0.25}, "pckh": {"mean": 0.5}}}  # fmt: skip
    costs = {"PATN": 0.07, "G1+G2+D": 0.02}
    figure = notebook_charts.cost_chart(costs, scores, ("ssim", "pckh"))
    ssim, pckh = figure.axes
    assert [line.get_xdata()[0] for line in ssim.lines] == [0.07, 0.02]
    assert [line.get_ydata()[0] for line in ssim.lines] == [0.3, 0.25]
    assert len(ssim.collections) == 1 and len(pckh.lines) == 1
    assert "SSIM, PATN: 0.300 at 0.07." in figure.get_label()
