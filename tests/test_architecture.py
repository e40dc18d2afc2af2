"""Figure 2 from the networks: sizes, channels and skips against the paper and the layer tables."""

from functools import partial

import numpy as np
import pytest
import smoke
import torch
import toy_method

from pg2lib import models
from pg2lib.models.base import Inputs
from pg2lib.results import architecture, provenance
from pg2lib.training.describe import describe_method


def stages(row, profile="paper"):
    return [(method, smoke.config(method.name, profile=profile)) for method in models.chain(row)]


def networks(row, profile="paper"):
    return [architecture.trace(method, config, number)
            for number, (method, config) in enumerate(stages(row, profile), start=1)]  # fmt: skip


def test_the_papers_two_stages():
    """Sections 3.1 to 3.3 and 4.1 at 128x64: five blocks in G1, three in G2, a code of 64."""
    first, second = networks("G1+G2+D")
    g1, g2, d = first["generator"], second["generator"], second["discriminator"]
    assert [n.title for n in (g1, g2, d)] == ["G1", "G2", "D"]
    encoder = [(128 >> k, 64 >> k) for k in range(5)]
    assert [b.size for b in g1.blocks] == [*encoder, None, None, *reversed(encoder)]
    assert [b.channels[0] for b in g1.blocks[:7]] == [128, 256, 384, 512, 640, 64, 128 * 8 * 4]
    assert g1.blocks[-1].channels[-1] == 3
    # every decoder block sees the encoder block of its size
    assert [b.skips for b in g1.blocks] == [set()] * 7 + [{4}, {3}, {2}, {1}, {0}]
    assert [b.size for b in g2.blocks] == [(128, 64), (64, 32), (32, 16), (64, 32), (128, 64)]
    assert [b.skips for b in g2.blocks] == [set()] * 3 + [{1}, set()]  # none at full size
    assert [b.size for b in d.blocks] == [(64, 32), (32, 16), (16, 8), (8, 4), None]
    assert [b.channels for b in d.blocks] == [[64], [128], [256], [512], [1]]
    assert (g1.parameters, g2.parameters, d.parameters) == (70_795_075, 6_058_883, 4_329_537)


def test_what_goes_in_and_comes_out():
    first, second = networks("G1+G2+D")
    assert first["generator"].blocks[0].enters == ["($I_A$, $P_B$)"]
    assert first["generator"].gives == "$I_{B1}$"
    assert second["generator"].blocks[0].enters == ["($I_{B1}$, $I_A$)"]
    assert second["generator"].gives == "$I_{B1}$ + G2 = $I_{B2}$"
    critic = second["discriminator"]
    assert critic.blocks[0].enters == ["($I_A$, $I_B$) or ($I_A$, $I_{B2}$)"]
    assert critic.gives == "1 number"
    assert not any(block.enters for block in critic.blocks[1:])


def test_variants_show_what_they_change():
    [ce], [hme] = networks("G1-CE-L1"), networks("G1-HME-L1")
    assert [b.enters for b in ce["generator"].blocks if b.enters] == [["$I_A$"], ["$P_B$"]]
    enters = {k: b.enters for k, b in enumerate(hme["generator"].blocks) if b.enters}
    assert enters == {0: ["$I_A$"], 6: ["$P_B$"]}
    expand = next(b for b in hme["generator"].blocks if b.channels == [4096])
    assert expand.skips == {5}  # the image's code beside the pose's
    image = networks("G2-image+D")[1]["generator"]
    assert image.gives == "$I_{B2}$"
    single = networks("G2-unpaired+D")[1]["discriminator"]
    assert single.blocks[0].enters == ["$I_B$ or $I_{B2}$"]
    narrow = networks("G2-fc+D")[1]["generator"]
    assert [b.channels for b in narrow.blocks if b.size is None][0] == [64]
    released = networks("G1+D", "released")[0]["discriminator"]
    assert released.blocks[0].enters == ["$I_B$ or $I_A$ or $I_{B1}$"]


def note(outputs, module, args, output):
    outputs.setdefault(module, tuple(output.shape[1:]))  # a layer that runs twice is drawn once


@pytest.mark.parametrize("row", models.METHODS)
def test_every_row_is_drawn_as_it_is_built(row):
    for (method, config), found in zip(stages(row, "smoke"), networks(row, "smoke")):
        counts = describe_method(method, config)["networks"]
        counts = {name: count for name, count in counts.items() if count}  # not of a memory
        assert {name: network.parameters for name, network in found.items()} == counts
        # the same layers as in a real pass of what generates
        built, outputs = method.build(config), {name: {} for name in method.generators}
        for name in outputs:
            for module in built[name].modules():
                kinds = torch.nn.Conv2d | torch.nn.ConvTranspose2d | torch.nn.Linear
                if isinstance(module, kinds):
                    module.register_forward_hook(partial(note, outputs[name]))
        image = torch.zeros(1, 3, config.height, config.width)
        pose = torch.full((1, 18, 2), 4.0)
        method.generate(built, config, Inputs(image, pose, pose), smoke.plain)
        traced = {
            name: [(c, *(b.size or ())) for b in found[name].blocks for c in b.channels]
            for name in outputs
        }
        ran = {name: list(layers.values()) for name, layers in outputs.items()}
        assert all(ran.values()) and traced == ran


def test_a_method_of_ones_own():
    [method] = toy_method.METHODS
    found = architecture.trace(method, toy_method.ToyConfig(iterations=10, batch=2))
    assert list(found) == ["generator", "look", "pose"]
    assert found["generator"].title == "generator"  # its class has no name of its own
    assert found["generator"].blocks[0].enters == ["($I_A$, $P_A$, $P_B$)"]
    assert found["generator"].blocks[0].channels == [8, 3]
    assert found["pose"].blocks[0].enters == ["($P_B$, $I_{B1}$)", "($P_B$, $I_B$)"]
    figure = architecture.architecture_figure([(method, toy_method.ToyConfig())])
    assert len(figure.axes[0].texts) > 3


def test_the_figure_is_small_and_white():
    figure = architecture.architecture_figure(stages("G1+G2+D"))
    picture = provenance.rendered(figure)
    assert len(provenance.to_png_bytes(picture)) < 150_000
    assert (picture[0] == 255).all() and (picture == 255).mean() > 0.6
    assert 1200 <= picture.shape[1] <= 1800
    texts = [text.get_text() for text in figure.axes[0].texts]
    for text in ("128×64", "8×4", "$I_{B1}$ + G2 = $I_{B2}$", "640", "4,096"):
        assert text in texts
    assert any("70.80 million" in text for text in texts)
    assert "D: stage 2, G1+G2+D" in figure.get_label() and "128 at 128×64" in figure.get_label()
    boxes = [np.array(patch.get_bbox()) for patch in figure.axes[0].patches]
    assert min(box[0, 0] for box in boxes) > 1 and max(box[1, 0] for box in boxes) < 9
