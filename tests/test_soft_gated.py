"""The reading of Soft-Gated Warping-GAN: counts, the block by its formula, losses by hand, maps in
batches and scores, and three trainings in sequence."""

import dataclasses
import operator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pg2lib import models
from pg2lib.core.config import PROFILES, SETTINGS, Study
from pg2lib.core.files import UserError
from pg2lib.data import dataset as datasets
from pg2lib.data import own_parsing, parsing
from pg2lib.models import soft_gated, translation, warping
from pg2lib.models.base import Inputs, Output, bind
from pg2lib.models.layers import parameter_count
from pg2lib.training import checkpoints, describe, extras, loop
from pg2lib.workflow import evidence, pipeline, textures
from pg2lib.workflow import maps as own_maps

METHODS = {method.name: method for method in soft_gated.METHODS}
PARSER, MATCHER, FULL = "SoftGated-parser", "SoftGated-matcher", "SoftGated"
ROWS = [name for name in METHODS if name not in (PARSER, MATCHER)]
READING = Path(__file__).parents[1] / "docs" / "soft-gated-reading.md"


def config_of(name, dataset="synthetic-market", profile="smoke", **changes):
    """As `pipeline.method_config`, at the size of the profile."""
    setting, chosen = SETTINGS[dataset], PROFILES[profile]
    height = chosen.height or setting.height
    width = height * setting.width // setting.height
    sized = replace(setting, height=height, width=width)
    return replace(METHODS[name].configure(sized, chosen), **changes)


def tiny(name, **changes):
    changes |= {} if name == MATCHER else {"blocks": 1}
    return config_of(name, channels=2, **changes)


def some_inputs(count=2, seed=0, **extra):
    rng = torch.Generator().manual_seed(seed)
    poses = [torch.randint(0, 32, (count, 18, 2), generator=rng).float() for _ in range(2)]
    maps = {name: torch.randint(0, 9, (count, 64, 32), generator=rng, dtype=torch.uint8)
            for name in ("parsing", "target_parsing")}  # fmt: skip
    return Inputs(torch.rand(count, 3, 64, 32, generator=rng) * 2 - 1, *poses, maps | extra)


def a_batch(**extra):
    inputs = some_inputs(**extra)
    target = some_inputs(seed=9).condition
    poses = inputs.condition_keypoints, inputs.target_keypoints
    return datasets.Batch(inputs.condition, target, *poses, inputs.extras)


def built(name, seed=0, **changes):
    torch.manual_seed(seed)
    config = tiny(name, **changes)
    return METHODS[name].build(config), config


def before(inputs):
    """A stand-in for matcher and parser."""
    affine, spline = torch.full((2, 6), 0.1), torch.full((2, 18), 0.05)
    maps = inputs.extras.get("given_parsing")
    maps = some_inputs(seed=3).extras["parsing"] if maps is None else maps
    return Output(inputs.condition, {"parsing": maps, "affine": affine, "spline": spline})


# ---- networks


def test_sizes_are_those_of_the_public_tree():
    """With 20 labels and full width; the block and the matcher are not in that tree."""
    with torch.device("meta"):
        assert parameter_count(soft_gated.Parser()) == 45_756_436
        assert parameter_count(soft_gated.Painter(warp=False)) == 179_454_787
        assert parameter_count(translation.PatchD(64)) == 2_827_201
        assert parameter_count(translation.PatchD(64, scales=3)) == 3 * 2_827_201
        # R: two 3x3 convolutions; one number a pixel, 512 a channel, from three times 512
        added = parameter_count(soft_gated.Painter()) - 179_454_787
        assert added == 2 * (512 * 512 * 9 + 512) + (1536 + 1) + 512 * (1536 + 1)


def test_the_decoder_costs_less_than_the_public_trees_of_the_same_count():
    """As docs/soft-gated-reading.md says: the layer that keeps the size is at the bottleneck here,
    and the last one at full size there. Operations of 3x3 convolutions, counted by hand."""
    with torch.device("meta"):
        painter, code = soft_gated.Painter(warp=False), torch.empty(1, 1024, 16, 8)
        ours = painter.paint[9:]  # behind the residual blocks
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            ours(code)
    widths = (1024, 512, 256, 128, 64)
    last = 2 * 64 * 3 * 49 * 128 * 64
    layers = [2 * a * b * 9 for a, b in zip(widths, widths[1:])]  # at one place
    doubling = [16 * 8, 32 * 16, 64 * 32]  # places that a transposed convolution reads
    here = sum(map(operator.mul, layers, [16 * 8, *doubling])) + last
    there = sum(map(operator.mul, layers, [*doubling, 128 * 64])) + last
    assert counter.get_total_flops() == here
    assert (round(here / 1e9, 2), round(there / 1e9, 2)) == (2.27, 4.99)
    row = next(line for line in READING.read_text().splitlines() if line.startswith("| 18 "))
    assert "2.27 instead of 4.99 GFLOP at 128x64" in row


def test_shapes_of_matcher_and_discriminator():
    for height, width in ((128, 64), (64, 32), (64, 64)):
        maps = torch.zeros(1, 9, height, width)
        assert soft_gated.Matcher(18, 9, height, width, 1)(maps, maps).shape == (1, 18)
    (large, small) = translation.PatchD(6, 1, scales=2)(torch.zeros(2, 6, 128, 64))
    assert [tuple(one.shape[1:]) for one in large] == [
        (1, 65, 33), (2, 33, 17), (4, 17, 9), (8, 18, 10), (1, 19, 11),
    ]  # fmt: skip
    assert small[0].shape == (2, 1, 33, 17)


def test_the_block_by_its_formula():
    torch.manual_seed(0)
    block = soft_gated.WarpingBlock(4).eval()
    features, guide = torch.randn(2, 4, 8, 6), torch.randn(2, 4, 8, 6)
    places = warping.grid(torch.rand(2, 6) / 5, torch.rand(2, 18) / 5, 8, 6)
    with torch.no_grad():
        result, (pixel, channel) = block(features, guide, places)
        residual = nn.Sequential(*block.residual)(features)
        moved = torch.nn.functional.grid_sample(residual, places, align_corners=True)
        seen = torch.cat([features, moved, guide], 1)  # (2, 12, 8, 6)
        weight, bias = block.pixel.weight[0, :, 0, 0], block.pixel.bias
        own = 1 / (1 + torch.exp(-((seen * weight[:, None, None]).sum(1, keepdim=True) + bias)))
        mean = seen.flatten(2).mean(2)
        whole = 1 / (
            1 + torch.exp(-(mean @ block.channel.weight[:, :, 0, 0].T + block.channel.bias))
        )
    assert pixel.shape == (2, 1, 8, 6) and channel.shape == (2, 4, 1, 1)
    wanted = features + own * whole[..., None, None] * moved
    torch.testing.assert_close(result, wanted, rtol=0, atol=1e-5)


def test_a_gate_of_0_leaves_the_network_without_a_block_and_of_1_the_one_without_a_gate():
    inputs = some_inputs()
    (full, config), (plain, no_warp) = built(FULL), built("SoftGated-noWarp")
    (ungated, no_gate) = built("SoftGated-noGate")
    state = full["generator"].state_dict()
    for network in (plain["generator"], ungated["generator"]):
        network.load_state_dict({k: state[k] for k in network.state_dict()})
    images = {}
    with torch.no_grad():
        images["gated"] = soft_gated.paint(full, config, inputs, before).image
        images["plain"] = soft_gated.paint(plain, no_warp, inputs, before).image
        images["ungated"] = soft_gated.paint(ungated, no_gate, inputs, before).image
        for value in (0.0, 1.0):
            for layer in (full["generator"].warp.pixel, full["generator"].warp.channel):
                nn.init.zeros_(layer.weight)
                nn.init.constant_(layer.bias, 200 * value - 100)
            images[value] = soft_gated.paint(full, config, inputs, before).image
    torch.testing.assert_close(images[0.0], images["plain"], rtol=0, atol=1e-6)
    torch.testing.assert_close(images[1.0], images["ungated"], rtol=0, atol=1e-6)
    assert not torch.allclose(images["plain"], images["ungated"], atol=1e-4)
    assert not torch.allclose(images["gated"], images["plain"], atol=1e-5)
    pixel, channel = soft_gated.gates(full, config, inputs, before)
    assert pixel.shape == (2, 1, 16, 8) and channel.shape == (2, 8, 1, 1)
    assert soft_gated.gates(ungated, no_gate, inputs, before) is None


def test_the_matcher_starts_from_the_identity_and_feels_its_input():
    networks, config = built(MATCHER)
    output = soft_gated.match(networks, config, some_inputs(), before)
    assert not output.parts["affine"].any() and not output.parts["spline"].any()
    torch.testing.assert_close(output.image, some_inputs().condition, rtol=0, atol=1e-4)
    for name in ("affine", "spline"):
        nn.init.normal_(networks[name].theta.weight)
    one, other = (soft_gated.match(networks, config, some_inputs(seed=s), before) for s in (0, 1))
    assert not torch.equal(one.parts["affine"], other.parts["affine"])
    with pytest.raises(UserError, match="too narrow"):
        soft_gated.build_matcher(replace(config, width=16))
    with pytest.raises(UserError, match="no multiple of 4"):
        soft_gated.build_parser(tiny(PARSER, height=66))


# ---- losses


def test_feature_matching_and_answers_by_hand():
    fake = [[torch.zeros(1, 1, 2, 2), torch.zeros(1, 2, 1, 1), torch.full((1, 1, 1, 1), 3.0)]]
    real = [[torch.full((1, 1, 2, 2), 2.0), torch.full((1, 2, 1, 1), 5.0), torch.zeros(1, 1, 1, 1)]]
    assert translation.match_features(fake, real) == 7  # the answers are no features
    assert translation.judged(fake, True) == 4 and translation.judged(fake, False) == 9
    assert translation.judged(fake + real, False) == 4.5  # two scales


def losses_of(name, start=before, batch=None, **changes):
    networks, config = built(name, **changes)
    batch = a_batch() if batch is None else batch
    return {one.networks: one for one in METHODS[name].updates(networks, config, [batch], start)}


def test_losses_are_the_weighted_sums_of_their_terms():
    weights = {"l1": 7.0, "adversarial": 1.5, "matching": 3.0, "perceptual": 2.0}
    changes = {f"{name}_weight": weight for name, weight in weights.items()}
    update = losses_of(FULL, perceptual="random", **changes)["generator"]
    whole = sum(weights[name] * term.item() for name, term in update.terms.items())
    assert set(update.terms) == set(weights)
    assert update.loss.item() == pytest.approx(whole, rel=1e-4)
    update = losses_of(PARSER, entropy_weight=4.0)["generator"]
    terms = {name: term.item() for name, term in update.terms.items()}
    whole = 4 * terms["entropy"] + terms["adversarial"] + 10 * terms["matching"]
    assert update.loss.item() == pytest.approx(whole, rel=1e-4)
    assert terms["entropy"] == pytest.approx(np.log(9), rel=0.3) and 0 < terms["wrong"] <= 1
    assert "matching" not in losses_of("SoftGated-noMatching")["generator"].terms


def test_an_untrained_matcher_is_as_wrong_as_the_identity():
    found = losses_of(MATCHER)
    error = found["affine"].terms["identity"].item()
    assert error > 0.001
    assert found["affine"].loss.item() == found["spline"].loss.item() == pytest.approx(error)


def test_each_matcher_learns_what_is_left_for_it(monkeypatch):
    """With warps that are affine alone, and found, nothing is left to the spline."""
    warp = torch.tensor([[0.1, 0.05, 0.2, -0.05, 0.1, -0.1]]).expand(2, 6)
    bent = torch.zeros(2, 18)
    monkeypatch.setattr(warping, "random_affine", lambda count, device: warp)
    monkeypatch.setattr(warping, "random_spline", lambda count, device: bent)
    networks, config = built(MATCHER)
    with torch.no_grad():
        networks["affine"].theta.bias.copy_(warp[0])
    affine, spline = METHODS[MATCHER].updates(networks, config, [a_batch()], None)
    assert affine.loss.item() == spline.loss.item() == pytest.approx(0, abs=1e-10)
    x = np.linspace(-1, 1, soft_gated.POINTS)
    points = np.stack([axis.ravel() for axis in np.meshgrid(x, x)])
    moved = warp[0].numpy().reshape(2, 3) @ np.vstack([points, np.ones(points.shape[1])])
    wanted = (moved**2).sum(0).mean()
    assert affine.terms["identity"].item() == pytest.approx(wanted, rel=1e-4)


def test_only_the_row_with_given_maps_sees_the_true_ones():
    other = some_inputs(seed=5).extras["target_parsing"]
    for name in (FULL, "SoftGated-givenParsing"):
        losses = [losses_of(name, batch=one)["generator"].terms["l1"].item()
                  for one in (a_batch(), a_batch(target_parsing=other))]  # fmt: skip
        assert (losses[0] == losses[1]) == (name == FULL), name


# ---- rows


def test_rows_change_one_thing():
    main = dataclasses.asdict(config_of(FULL, profile="paper"))
    changed = {
        name: {k: v for k, v in dataclasses.asdict(config_of(name, profile="paper")).items()
               if v != main[k]}
        for name in ROWS
    }  # fmt: skip
    assert changed == {
        FULL: {}, "SoftGated-noGate": {"gate": False}, "SoftGated-noWarp": {"warp": False},
        "SoftGated-givenParsing": {"given": True},
        "SoftGated-noMatching": {"matching_weight": 0.0},
    }  # fmt: skip
    assert (main["halvings"], main["channels"], main["batch"]) == (3, 64, 12)
    quick = config_of(FULL, profile="quick")
    assert (quick.halvings, quick.batch, quick.channels, quick.l1_weight) == (2, 8, 16, 10.0)
    assert quick.learning_rate == 1e-3 and quick.d_learning_rate == 1e-4
    assert config_of(MATCHER, profile="quick").iterations == PROFILES["quick"].iterations[0]
    assert config_of(FULL, "synthetic-fashion", "paper").width == 256


def test_without_maps_it_says_what_is_missing():
    networks, config = built(FULL)
    paint = bind(METHODS[FULL], networks, config, before)
    bare = replace(some_inputs(), extras={})
    with pytest.raises(UserError, match="SoftGated needs the parsing of the photo"):
        paint(bare)


@pytest.mark.parametrize("name", (PARSER, MATCHER, FULL))
def test_costs_are_counted_before_anything_is_trained(name):
    method, config = METHODS[name], tiny(name)
    assert describe.describe_method(method, config)["gflops"] > 0
    assert describe.training_gflops(method, config) > 0


def test_a_method_of_ones_own_is_counted_with_maps_of_the_right_shape():
    """Counting operations gives every method that names maps some, in `generate` and `updates`."""
    usual, shapes = models.find("G1-L1"), []

    def generate(networks, config, inputs, start=None):
        shapes.append((inputs.extras["parsing"].shape, inputs.extras["parsing"].dtype))
        return usual.generate(networks, config, inputs, start)

    def updates(networks, config, batches, start=None):
        generate(networks, config, batches[0])
        yield from usual.updates(networks, config, batches, start)

    own = replace(usual, needs=usual.needs | {"parsing"}, generate=generate, updates=updates)
    config = usual.configure(SETTINGS["synthetic-market"], PROFILES["smoke"])
    counts = [describe.describe_method(method, config) for method in (usual, own)]
    assert counts[0] == counts[1]
    assert describe.training_gflops(own, config) > describe.training_gflops(usual, config) > 0
    size = config.height, config.width
    assert shapes == [((1, *size), torch.uint8), ((config.batch, *size), torch.uint8)]


# ---- maps in batches and where pairs are painted


@pytest.fixture(scope="module")
def parsed(data, tmp_path_factory):
    """The data set with its maps, of LIP so that sides matter."""
    path = tmp_path_factory.mktemp("maps") / "maps.npy"
    parsing.write(data, path, "lip")
    return replace(data, extras=data.extras | {"parsing": parsing.read(path, data)})


def test_batches_carry_the_maps_of_their_images(parsed):
    config = tiny(PARSER, labels="lip", batch=16)
    stream = extras.parsed_batches(loop.pair_batches, parsed, config, 0, 3, "cpu")
    mirrored, found = 0, [batch for (batch,), _ in zip(stream, range(2))]
    pictures = {image.tobytes(): (k, False) for k, image in enumerate(parsed.images)}
    pictures |= {image[:, ::-1].tobytes(): (k, True) for k, image in enumerate(parsed.images)}
    for batch in found:
        for images, name in ((batch.condition, "parsing"), (batch.target, "target_parsing")):
            for image, maps in zip(datasets.pictures(images), batch.extras[name].numpy()):
                row, flip = pictures[image.tobytes()]
                own = parsed.extras["parsing"][row]
                assert np.array_equal(maps, parsing.flip_maps(own, "lip") if flip else own)
                mirrored += flip
    assert 0 < mirrored < 4 * 16
    again = next(extras.parsed_batches(loop.pair_batches, parsed, config, 0, 4, "cpu"))[0]
    assert torch.equal(again.extras["parsing"], found[1].extras["parsing"])  # from any step on


def test_pairs_find_their_maps_by_their_poses(parsed):
    generate = extras.by_poses(lambda inputs: inputs.extras, parsed, ("parsing", "target_parsing"))
    pairs = np.asarray(parsed.test_pairs)[[5, 0, 3]]
    inputs = loop.pair_inputs(parsed, pairs, "cpu")
    found, maps = generate(inputs), parsed.extras["parsing"]
    assert np.array_equal(found["parsing"].numpy(), maps[pairs[:, 0]])
    assert np.array_equal(found["target_parsing"].numpy(), maps[pairs[:, 1]])
    assert list(extras.by_poses(lambda i: i.extras, parsed, ("parsing",))(inputs)) == ["parsing"]
    with pytest.raises(UserError, match="no test pairs"):
        generate(replace(inputs, target_keypoints=inputs.target_keypoints + 1))
    doubled = parsed.keypoints.copy()
    doubled[:] = doubled[0]
    with pytest.raises(UserError, match="the same poses"):
        extras.by_poses(None, replace(parsed, keypoints=doubled), ("parsing",))


# ---- training


def trained(folder):
    return torch.load(folder / "weights.pt", weights_only=True)["networks"]


def test_three_trainings_in_sequence_each_killed_and_resumed_bit_for_bit(parsed, tmp_path):
    start, chain, configs = None, [], []
    for name in (PARSER, MATCHER, FULL):
        method, config = METHODS[name], tiny(name, labels="lip", iterations=3, precision="float32")
        task = extras.parsed_task(loop.method_task(method, config, start), method, start)
        whole, cut = tmp_path / name / "whole", tmp_path / name / "cut"
        loop.train(task, parsed, whole)
        torch.rand(7)
        loop.train(task, parsed, cut, checkpoint_seconds=0, stop_after=2)
        loop.train(task, parsed, cut)
        a, b = trained(whole), trained(cut)
        names = [(part, key) for part in a for key in a[part]]
        assert all(torch.equal(a[part][key], b[part][key]) for part, key in names)
        torch.manual_seed(0)
        untrained = METHODS[name].build(config)
        assert not all(torch.equal(untrained[part].state_dict()[key], a[part][key])
                       for part, key in names)  # fmt: skip
        curve = np.load(whole / "curve.npy")
        assert curve.shape == (3, len(parsed.test_pairs), 64, 32, 3)
        chain, configs = [*chain, method], [*configs, config]
        paths = [tmp_path / one.name / "whole" / "weights.pt" for one in chain]
        start = checkpoints.generate_fn(chain, configs, paths, "cpu")
    image = extras.by_poses(start, parsed, ("parsing",))(
        loop.pair_inputs(parsed, np.asarray(parsed.test_pairs)[:16], "cpu")
    ).image
    final = ((image.permute(0, 2, 3, 1).numpy() + 1) * 127.5).clip(0, 255)
    assert np.abs(curve[-1][:16] - final).max() < 0.51


def test_the_pipeline_makes_maps_for_these_rows_alone():
    study = Study(profile="smoke")
    assert set(pipeline.train_step(study, "PATN").inputs) == {"data"}
    row = "SoftGated-givenParsing"
    assert set(pipeline.train_step(study, row).inputs) == {"data", MATCHER, "parsing"}
    assert models.rows(soft_gated.PAPER) == (FULL,)
    assert row in models.ablations(soft_gated.PAPER)
    folder = pipeline.evaluate(study, row)
    images = np.load(folder / "generated.npy")
    assert images.shape == (24, 64, 32, 3) and images.std() > 1
    maps = pipeline.maps_step(study, row).folder / "maps.npy"
    assert np.load(maps).shape == (40, 64, 32)
    rows = ("condition", "target", row)
    found = evidence.measured(study, rows).pairs
    assert all({"texture", "target_texture"} <= set(found[one][0]) for one in rows)
    scores = textures.scores(textures.pairs(study, rows))
    assert scores["target"]["mean"] == pytest.approx(1) and scores[row]["mean"] < 0.9
    assert scores["condition"]["low"] < scores["condition"]["mean"] < 0.9
    changed = Study(profile="smoke", overrides=(f"{row}.labels=lip",))
    assert pipeline.maps_step(changed, row).key != pipeline.maps_step(study, row).key


def test_a_study_takes_the_maps_of_a_folder(data, tmp_path):
    study, row = Study(profile="smoke"), "SoftGated-parser"
    own = replace(study, parsing=f"lip:{tmp_path / 'maps'}")
    with pytest.raises(UserError, match="maps is no folder"):
        pipeline.maps_step(own, row)
    (tmp_path / "maps").mkdir()
    names = pipeline.data(study).names
    for number, name in enumerate(map(str, names)):
        picture = Image.fromarray(np.full((64, 32), number % 20, np.uint8))
        picture.save((tmp_path / "maps" / name).with_suffix(".png"))
    found = pipeline.row_data(own, row).extras["parsing"]
    wanted = own_parsing.merging("lip", "people")
    assert (found[:, 5, 5] == wanted[np.arange(len(names)) % 20]).all()
    assert pipeline.maps_step(own, row).key != pipeline.maps_step(study, row).key
    assert pipeline.train_step(own, row).key != pipeline.train_step(study, row).key
    for name in ("PATN", "keypoints"):
        assert pipeline.train_step(own, name).key == pipeline.train_step(study, name).key
    assert own_maps.source("market1501", own.parsing) == "the user's own, in the order lip"
    assert [own_maps.source(name) for name in ("market1501", study.dataset)] == ["pose regions",
                                                                            "drawn"]  # fmt: skip
