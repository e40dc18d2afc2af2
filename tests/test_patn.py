"""PATN against its official code's counts, a plain second implementation, and values by hand."""

import dataclasses
import json
import math

import pytest
import smoke
import torch
import torch.nn.functional as F
from torch import nn

from pg2lib import cli, models
from pg2lib.apps.user_study import study as user_study
from pg2lib.core import downloads
from pg2lib.core.config import Study
from pg2lib.core.files import UserError
from pg2lib.data import dataset as datasets
from pg2lib.evaluation import statistics
from pg2lib.models import layers, losses, patn
from pg2lib.models.base import Inputs
from pg2lib.models.memory import Memory
from pg2lib.models.patn import PATNConfig
from pg2lib.results import claims, render, tables
from pg2lib.training import describe, loop
from pg2lib.workflow import lanes, notebooks, pipeline, plan, successors

FASHION = dict(height=256, width=176, norm="instance", gan="lsgan")
TINY = dict(height=64, width=32, channels=4, blocks=2, batch=4, iterations=5, threads=1, sigma=3.0,
            norm="batch", perceptual="random", pool=6)  # fmt: skip


def tiny(**changes):
    return PATNConfig(**TINY | changes)


def described(**changes):
    return describe.describe_method(models.find("PATN"), PATNConfig(**changes))


def some_inputs(count=2, seed=0):
    rng = torch.Generator().manual_seed(seed)
    poses = [torch.randint(0, 32, (count, 18, 2), generator=rng).float() for _ in range(2)]
    poses[1][0, 3] = -1  # a joint that was not found
    return Inputs(torch.rand(count, 3, 64, 32, generator=rng) * 2 - 1, *poses)


def a_batch(count=4, seed=0):
    inputs = some_inputs(count, seed)
    target = some_inputs(count, seed + 100).condition
    poses = inputs.condition_keypoints, inputs.target_keypoints
    return datasets.Batch(inputs.condition, target, *poses)


def built(config, seed=0):
    torch.manual_seed(seed)
    return patn.build(config)


# ---- sizes


@pytest.mark.parametrize(
    "changes, generator, appearance, shape, gflops",
    [
        (dict(), 41_365_763, 3_930_368, 3_977_408, 45.0),
        (FASHION, 41_358_019, 3_928_384, 3_975_424, 247.7),
        (FASHION | dict(width=256), 41_358_019, 3_928_384, 3_975_424, 360.3),
        (dict(blocks=5), 22_483_203, 3_930_368, 3_977_408, 25.7),
        (dict(blocks=13), 60_248_323, 3_930_368, 3_977_408, 64.4),
    ],
)
def test_sizes_and_cost_are_those_of_the_official_code(
    changes, generator, appearance, shape, gflops
):
    about = described(**changes)
    assert about["networks"] == {
        "generator": generator, "appearance": appearance, "shape": shape, "memory": 0,
    }  # fmt: skip
    assert about["parameters"] == generator
    assert about["gflops"] == pytest.approx(gflops, abs=0.05)


def test_discriminators_give_256_numbers_a_place():
    with torch.device("meta"):
        image, pair = torch.empty(2, 6, 64, 32), torch.empty(2, 21, 64, 32)
        assert patn.AppearanceD()(image).shape == (2, 256, 16, 8)
        assert patn.build(tiny(gan="softmax"))["shape"](pair).shape == (2, 2, 16, 8)


# ---- the forward pass once more, without the library


def plain_norm(x, state, name, kind):
    if kind == "instance":
        mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), keepdim=True, correction=0)
        return (x - mean) / (variance + 1e-5).sqrt()
    part = {key: state[f"{name}.{key}"].view(1, -1, 1, 1)
            for key in ("running_mean", "running_var", "weight", "bias")}  # fmt: skip
    x = (x - part["running_mean"]) / (part["running_var"] + 1e-5).sqrt()
    return x * part["weight"] + part["bias"]


def plain_conv(x, state, name, stride=1):
    weight, bias = state[f"{name}.weight"], state.get(f"{name}.bias")
    pad = weight.shape[-1] // 2
    if stride == 1:
        return F.conv2d(F.pad(x, (pad,) * 4, mode="reflect"), weight, bias)
    return F.conv2d(x, weight, bias, stride=2, padding=1)


def plain_encoder(x, state, name, kind):
    for conv, stride in ((1, 1), (4, 2), (7, 2)):
        x = plain_conv(x, state, f"{name}.{conv}", stride)
        x = plain_norm(x, state, f"{name}.{conv + 1}", kind).clamp(min=0)
    return x


def plain_path(x, state, name, kind, last=True):
    x = plain_norm(plain_conv(x, state, f"{name}.1"), state, f"{name}.2", kind).clamp(min=0)
    x = plain_conv(x, state, f"{name}.6")
    return plain_norm(x, state, f"{name}.7", kind) if last else x


def plain_patn(state, condition, poses, blocks, kind):
    image = plain_encoder(condition, state, "image", kind)
    pose = plain_encoder(poses, state, "pose", kind)
    for k in range(blocks):
        code = plain_path(pose, state, f"blocks.{k}.pose", kind, last=False)
        moved = plain_path(image, state, f"blocks.{k}.image", kind)
        image = image + moved / (1 + torch.exp(-code))
        pose = torch.cat([code, image], 1)
    for layer in (0, 3):
        weight, bias = state[f"decoder.{layer}.weight"], state.get(f"decoder.{layer}.bias")
        image = F.conv_transpose2d(image, weight, bias, 2, padding=1, output_padding=1)
        image = plain_norm(image, state, f"decoder.{layer + 1}", kind).clamp(min=0)
    return torch.tanh(plain_conv(image, state, "decoder.7"))


def plain_maps(keypoints, height=64, width=32, sigma=3.0):
    maps = torch.zeros(len(keypoints), 18, height, width)
    for b, person in enumerate(keypoints.tolist()):
        for j, (x, y) in enumerate(person):
            if x >= 0 and y >= 0:
                rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width),
                                               indexing="ij")  # fmt: skip
                square = (rows - y) ** 2 + (columns - x) ** 2
                maps[b, j] = torch.exp(-square / (2 * sigma**2))
    return maps


@pytest.mark.parametrize("kind", ["batch", "instance"])
def test_the_forward_pass_equals_a_plain_implementation(kind):
    config, inputs = tiny(norm=kind, blocks=3), some_inputs()
    generator = built(config)["generator"]
    for parameter in generator.parameters():
        if parameter.ndim == 4:
            nn.init.normal_(parameter, std=0.1)  # so that the image is not all grey
    for module in generator.modules():
        if isinstance(module, layers.RunningBatchNorm):
            nn.init.normal_(module.bias)
            module.momentum = 1.0  # the running averages are those of the next pass
    with torch.no_grad():
        patn.painted({"generator": generator}, config, inputs)
        ours = patn.generate({"generator": generator}, config, inputs).image
        keypoints = inputs.condition_keypoints, inputs.target_keypoints
        poses = torch.cat([plain_maps(k) for k in keypoints], 1)
        theirs = plain_patn(generator.state_dict(), inputs.condition, poses, 3, kind)
    assert ours.std() > 0.1
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_padding_by_slices_is_reflection_with_its_gradient():
    x = torch.randn(2, 3, 8, 5, dtype=torch.double, requires_grad=True)
    for pad in (1, 3):
        ours, theirs = layers.mirrored(x, pad), F.pad(x, (pad,) * 4, mode="reflect")
        assert torch.equal(ours, theirs) and torch.equal(layers.Reflect(pad)(x), theirs)
        weight = torch.randn_like(ours)
        gradients = [torch.autograd.grad((y * weight).sum(), x)[0] for y in (ours, theirs)]
        torch.testing.assert_close(*gradients)


def test_a_reflecting_convolution_is_pytorchs_with_its_gradients():
    ours = layers.ReflectConv(3, 4, 4, 2, 1)
    theirs = torch.nn.Conv2d(3, 4, 4, 2, 1, padding_mode="reflect")
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 3, 8, 6, requires_grad=True)
    found, expected = ours(x), theirs(x)
    assert torch.equal(found, expected)
    gradients = [
        torch.autograd.grad(y.square().sum(), (x, *layer.parameters()))
        for y, layer in ((found, ours), (expected, theirs))
    ]
    torch.testing.assert_close(*gradients)


def test_norms_by_formula_and_by_pytorch():
    x = torch.randn(4, 6, 5, 3) * 3 + 1
    plain = plain_norm(x, {}, "", "instance")
    torch.testing.assert_close(patn.norm("instance", 6)(x), plain, rtol=0, atol=1e-5)
    ours, theirs = patn.norm("batch", 6), nn.BatchNorm2d(6)
    for _ in range(3):
        assert torch.equal(ours(x), theirs(x))
    assert torch.equal(ours.running_var, theirs.running_var)
    assert torch.equal(ours.eval()(x), theirs.eval()(x))


def test_masks_lie_between_0_and_1_and_follow_the_pose():
    config, inputs = tiny(norm="instance"), some_inputs()
    networks = built(config)
    masks = patn.attention_masks(networks, config, inputs)
    assert [mask.shape for mask in masks] == [(2, 16, 16, 8)] * 2
    assert all(0 < mask.min() and mask.max() < 1 and mask.std() > 0 for mask in masks)
    moved = dataclasses.replace(inputs, target_keypoints=inputs.target_keypoints.flip(0))
    assert not torch.equal(masks[0], patn.attention_masks(networks, config, moved)[0])


def test_with_masks_of_1_the_poses_still_reach_the_image():
    config, inputs = tiny(attention="one", norm="instance"), some_inputs()
    networks = built(config)
    assert not hasattr(networks["generator"], "pose")
    assert patn.attention_masks(networks, config, inputs) == []
    for name in ("condition_keypoints", "target_keypoints"):
        moved = dataclasses.replace(inputs, **{name: getattr(inputs, name).flip(0)})
        images = [patn.generate(networks, config, one).image for one in (inputs, moved)]
        assert not torch.equal(*images), name


# ---- training


def final(folder):
    return torch.load(folder / "weights.pt", weights_only=True)["networks"]


def equal(one, other):
    names = {(part, key) for part in one for key in one[part]}
    assert names == {(part, key) for part in other for key in other[part]}
    return all(torch.equal(one[part][key], other[part][key]) for part, key in names)


def test_with_dropout_pool_and_running_averages_a_killed_run_ends_with_the_same_bits(
    data, tmp_path
):
    task = loop.method_task(models.find("PATN"), tiny(average=0.5, iterations=6))
    loop.train(task, data, tmp_path / "whole")
    torch.manual_seed(99)  # what else draws random numbers makes no difference
    loop.train(task, data, tmp_path / "cut", checkpoint_seconds=0, stop_after=2)
    torch.rand(7)
    loop.train(task, data, tmp_path / "cut", checkpoint_seconds=0, stop_after=3)
    loop.train(task, data, tmp_path / "cut")
    whole, cut = (final(tmp_path / folder) for folder in ("whole", "cut"))
    assert equal(whole, cut)
    assert whole["memory"]["_extra_state"].tolist()[1] == 6
    assert (whole["memory"]["appearance"].flatten(1).std(1) > 0).all()  # six fakes
    averages = [value for key, value in whole["generator"].items() if key.endswith("running_var")]
    assert averages and not any((value == 1).all() for value in averages)
    loop.train(task, data, tmp_path / "other", seed=1)
    assert not equal(whole, final(tmp_path / "other"))


def losses_of(config, steps=0, seed=0):
    networks, batch = built(config, seed), a_batch()
    networks["memory"].steps = steps
    return {update.networks: update for update in patn.updates(networks, config, [batch])}


def test_noise_depends_on_seed_and_step_alone():
    def loss(**changes):
        return losses_of(tiny(norm="instance"), **changes)["generator"].loss.item()

    first = loss()
    torch.rand(5)
    assert loss() == first
    assert loss(steps=1) != first
    memory = Memory()
    before = torch.get_rng_state()
    with memory.noise(0, "cpu"):
        one = torch.rand(3)
    with memory.noise(1, "cpu"):
        other = torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before) and not torch.equal(one, other)


def test_generating_in_the_middle_of_training_uses_and_changes_no_training_state():
    config, inputs = tiny(), some_inputs()
    networks = built(config)
    state = {key: value.clone() for key, value in networks["generator"].state_dict().items()}
    with torch.no_grad():
        first, second = (patn.generate(networks, config, inputs).image for _ in range(2))
    assert torch.equal(first, second) and networks["generator"].training
    assert all(torch.equal(value, state[key])
               for key, value in networks["generator"].state_dict().items())  # fmt: skip


def test_the_pool_hands_back_older_fakes_half_of_the_time():
    torch.manual_seed(0)
    memory, count = Memory(4, {"a": (6, 1, 2, 2)}), 0
    seen = []
    for step in range(200):
        memory.next_step()
        fakes = torch.arange(4.0).add(4 * step).view(4, 1, 1, 1).expand(4, 1, 2, 2)
        given = memory.exchange("a", fakes)[:, 0, 0, 0].tolist()
        if step == 0:
            assert given == [0, 1, 2, 3]
        if step == 1:
            assert given[:2] == [4, 5]  # the pool is full after the sixth
        late = zip(given, fakes[:, 0, 0, 0].tolist())
        count += sum(old != new for old, new in late) if step > 1 else 0
        seen += given
    assert count / (198 * 4) == pytest.approx(0.5, abs=0.06)  # three standard deviations
    again = sorted(seen + memory.a[:, 0, 0, 0].tolist())
    # while the pool filled, fakes were shown and kept; from then on each is in one place
    assert len(again) == len(set(again)) + 6 and set(again) == set(map(float, range(800)))
    assert torch.equal(memory.exchange("b", fakes), fakes)


# ---- losses by hand


def test_answers_of_a_discriminator_by_hand():
    zeros = torch.zeros(2, 3, 4, 4)
    assert patn.judged("bce", zeros, True).item() == pytest.approx(math.log(2))
    assert patn.judged("bce", zeros + 2, False).item() == pytest.approx(math.log(1 + math.e**2))
    assert patn.judged("lsgan", zeros + 3, True).item() == 4.0
    assert patn.judged("lsgan", zeros + 3, False).item() == 9.0
    classes = torch.tensor([0.0, math.log(3)]).view(1, 2, 1, 1).expand(2, 2, 4, 4)
    assert patn.judged("softmax", classes, True).item() == pytest.approx(math.log(4 / 3))
    assert patn.judged("softmax", classes, False).item() == pytest.approx(math.log(4))


def test_two_adversarial_terms_are_averaged_and_one_counts_whole():
    terms = [torch.tensor(2.0), torch.tensor(4.0)]
    assert patn.adversarial(tiny(), terms) == 15.0
    assert patn.adversarial(tiny(halved=False), terms) == 30.0
    assert patn.adversarial(tiny(), terms[:1]) == 10.0


def test_the_generators_loss_is_the_weighted_sum_of_its_terms():
    update = losses_of(tiny(l1_weight=7.0, perceptual_weight=3.0))["generator"]
    terms = {name: value.item() for name, value in update.terms.items()}
    fooled = (terms["adversarial_appearance"] + terms["adversarial_shape"]) / 2
    whole = 7 * terms["l1"] + 3 * terms["perceptual"] + 5 * fooled
    assert update.loss.item() == pytest.approx(whole, rel=1e-5)
    assert "perceptual" not in losses_of(tiny(perceptual="none"))["generator"].terms


def test_discriminators_learn_from_the_fakes_before_the_generators_update():
    config = tiny(norm="instance", dropout=0.0, pool=0, gan="lsgan")
    networks, batch = built(config), a_batch()
    fake = patn.generate(networks, config, batch).image.detach()
    updates = patn.updates(networks, config, [batch])
    next(updates)
    for parameter in networks["generator"].parameters():
        parameter.data.zero_()  # an update
    appearance, shape = updates
    pose = plain_maps(batch.target_keypoints)
    for update, beside in ((appearance, batch.condition), (shape, pose)):
        critic = networks[update.networks]
        real, wrong = (critic(torch.cat([x, beside], 1)) for x in (batch.target, fake))
        wanted = 5 / 2 * (((real - 1) ** 2).mean() + (wrong**2).mean())
        assert update.loss.item() == pytest.approx(wanted.item(), rel=1e-4)


def test_the_perceptual_distance_by_hand():
    a, b = (some_inputs(seed=seed).condition for seed in (1, 2))
    found = losses.perceptual_distance("random", a, b)
    first, _, second, _ = losses.vgg_start("random", a.device)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    features = []
    for image in (a, b):
        x = ((image.permute(0, 2, 3, 1) + 1) / 2 - mean) / deviation
        x = first(x.permute(0, 3, 1, 2)).clamp(min=0)
        features.append(second(x).clamp(min=0))
    wanted = (features[0] - features[1]).abs().mean().item()
    assert found.item() == pytest.approx(wanted, rel=1e-5)
    assert losses.perceptual_distance("random", a, a) == 0
    assert not any(p.requires_grad for p in first.parameters())


def test_vgg19_is_read_or_its_absence_is_said(tmp_path, monkeypatch):
    image = some_inputs().condition
    losses.vgg_start.cache_clear()
    monkeypatch.setenv("PG2_VGG19", str(tmp_path / "vgg19-dcbb9e9d.pth"))
    with pytest.raises(downloads.NoWeights, match="perceptual=none"):
        losses.perceptual_distance("vgg19", image, image)
    state = {f"features.{k}.{part}": torch.full(shape, 0.1) for k, inputs in ((0, 3), (2, 64))
             for part, shape in (("weight", (64, inputs, 3, 3)), ("bias", (64,)))}  # fmt: skip
    torch.save(state | {"classifier.0.bias": torch.zeros(1)}, tmp_path / "vgg19-dcbb9e9d.pth")
    monkeypatch.setattr(losses, "VGG19", dataclasses.replace(losses.VGG19, sha256=""))
    network = losses.vgg_start("vgg19", image.device)
    assert torch.equal(network[2].weight, torch.full((64, 64, 3, 3), 0.1))
    losses.vgg_start.cache_clear()


# ---- schedule and switches


def test_the_rate_is_constant_and_then_falls_to_zero():
    adam = patn.optimizers(PATNConfig())["generator"]
    assert adam.rate(0) == adam.rate(62_499) == 2e-4
    assert adam.rate(75_000) == pytest.approx(1e-4)
    assert 0 < adam.rate(87_499) < 1e-8
    epochs = patn.optimizers(PATNConfig(schedule="epochs"))["shape"]
    assert epochs.rate(499 * 125 - 1) == 2e-4 > epochs.rate(499 * 125)
    assert epochs.rate(698 * 125) == pytest.approx(2e-4 / 201)
    assert epochs.rate(699 * 125) == epochs.rate(87_499) == 0
    assert patn.optimizers(PATNConfig(schedule="constant"))["generator"].rate(87_499) == 2e-4


def test_switches_change_what_they_name():
    assert set(built(tiny(appearance=False))) == {"generator", "shape", "memory"}
    assert set(losses_of(tiny(shape=False))) == {"generator", "appearance"}
    assert set(losses_of(tiny(shape=False, appearance=False))) == {"generator"}
    assert not built(tiny(pool=0))["memory"].pools
    points = some_inputs().target_keypoints
    pixels = patn.pose_maps(tiny(heatmaps="pixel"), points)
    assert set(pixels.unique().tolist()) == {0.0, 1.0}
    assert pixels.sum((2, 3)).flatten().tolist() == (points >= 0).all(-1).float().flatten().tolist()
    generator = built(tiny(channels=16, norm="instance"))["generator"]
    assert generator.decoder[-2].weight.std().item() == pytest.approx(0.02, rel=0.1)
    plain = built(tiny(channels=16, d_init="torch"))["shape"]
    normal = built(tiny(channels=16, d_init="normal"))["shape"]
    assert normal[4].weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert plain[4].weight.abs().max() <= (16 * 9) ** -0.5  # PyTorch's uniform start
    assert built(tiny(norm="batch"))["generator"].decoder[0].bias is None
    with pytest.raises(UserError, match="no multiple of 4"):
        patn.build(tiny(height=66))


# ---- rows


def config_of(row, dataset="market1501", profile="paper"):
    return smoke.config(row, dataset, profile)


def test_profiles():
    market, fashion = config_of("PATN"), config_of("PATN", "deepfashion")
    assert market == PATNConfig(precision="float32", height=128, width=64)
    assert (fashion.batch, fashion.iterations, fashion.pool) == (7, 400_400, 0)
    assert (fashion.norm, fashion.gan, fashion.l1_weight) == ("instance", "lsgan", 1.0)
    assert (fashion.sigma, fashion.heatmaps) == (6.0, "gaussian")
    released = config_of("PATN", "deepfashion", "released")
    assert (released.schedule, released.heatmaps) == ("epochs", "pixel")
    quick = config_of("PATN", "synthetic-market", "quick")
    assert (quick.blocks, quick.sigma, quick.perceptual, quick.pool) == (5, 3.0, "none", 0)
    assert (quick.batch, quick.channels, quick.norm) == (8, 16, "instance")
    assert quick.learning_rate == 1e-3 and quick.l1_weight == 10.0
    # 1 is the weight of L1 beside a perceptual loss, which short trainings do not have
    studio = config_of("PATN", "synthetic-fashion", "quick")
    assert (studio.gan, studio.perceptual, studio.l1_weight) == ("lsgan", "none", 10.0)


def test_ablations_change_one_thing():
    for profile in ("paper", "quick"):
        main = dataclasses.asdict(config_of("PATN", profile=profile))
        changed = {
            row: [key for key, value in dataclasses.asdict(config_of(row, profile=profile)).items()
                  if value != main[key]]
            for row in models.ablations("PATN")
        }  # fmt: skip
        one = {"PATN-noMask": "attention", "PATN-noAppearanceD": "appearance",
               "PATN-noShapeD": "shape"}  # fmt: skip
        assert {row: changed[row] for row in one} == {row: [key] for row, key in one.items()}
        depths = [changed[f"PATN-{blocks}"] for blocks in (5, 9, 13)]
        assert sorted(depths) == [[], ["blocks"], ["blocks"]]


def test_successors_are_no_rows_of_table_1():
    beside, own = ("G1-poseMaskLoss", "G1+G2+D"), ("PATN", "PATN-equalFLOPs")
    assert models.successors() == (*beside, *own, "SoftGated")
    assert models.rows("PATN") == own
    assert set(models.METHODS) - set(models.painted()) == {"SoftGated-parser", "SoftGated-matcher"}
    study = pipeline.Study(profile="smoke")
    steps = [step.name for step in plan.steps(study, claims=True)]
    assert steps and not any("PATN" in name for name in steps)
    assert set(models.rows()) | set(models.ablations()) < set(models.METHODS)


def test_numbers_from_memory_are_not_printed():
    """Reported are the scores with a public source: 0.311 and 3.773 of the paper's Market row."""
    method = models.find("PATN")
    paper = {one.half: one for one in method.reported if one.by == "paper"}
    assert paper["market1501"].scores == {"ssim": 0.311, "mask_inception": 3.773, "pckh": 0.94}
    assert paper["deepfashion"].preset == "patn-fashion"
    assert not method.published  # nothing of it stands in Table 1


def test_papers_are_named_by_their_rows():
    assert successors.papers_of([]) is None
    assert successors.papers_of(["SoftGated", "PATN"]) == models.later_papers()
    assert successors.papers_of(["PATN-equalFLOPs"]) == ("PATN",)
    assert successors.papers_of(["PATN-9", "SoftGated"]) == models.later_papers()
    with pytest.raises(UserError, match="PATN"):
        successors.papers_of(["G1-L1"])


def test_ablations_that_are_named_are_trained_alone_and_join_the_table():
    some = successors.ablations_of(["PATN", "PATN-noMask", "PATN-9"])
    assert some == ("PATN-noMask", "PATN-9")
    assert successors.ablations_of(["PATN"]) is None and successors.ablations_of([], False) == ()
    with pytest.raises(UserError, match="leaves out PATN-9; drop the option"):
        successors.ablations_of(["PATN", "PATN-9"], wanted=False)
    [rows] = successors.wanted(Study(), ("PATN",), some).values()
    assert rows[-3:] == ("PATN-noMask", "PATN-9", "target")
    assert set(rows) == {*successors.all_rows(("PATN",)), *some}
    small, large = successors.wanted(Study(profile="lite"), ("PATN",), some).values()
    assert {*some} < {*small} and "PATN-9" not in large and {"PATN", "PATN-noMask"} < {*large}
    [left] = successors.wanted(Study(profile="lite"), ("PATN",), ("PATN-9",)).values()
    assert "PATN-9" in left and "PATN-noMask" not in left
    command = successors.command(Study(), ("PATN",), some)
    assert command.endswith("PROFILE=quick METHODS='PATN PATN-noMask PATN-9'")
    # notebook 10 shows three ablations
    assert successors.books(Study(), ("PATN",), some) == []
    three = ("PATN-noMask", "PATN-noAppearanceD", "PATN-noShapeD")
    assert [book.name for book in successors.books(Study(), None, three)] == ["10_patn"]


def test_every_notebook_on_later_papers_is_run():
    """One whose metadata named no such paper would be left out without a word."""
    drawn, real = Study(), Study("market1501")
    every = [book for book in notebooks.notebooks() if book.papers]
    assert successors.books(drawn) == every and {p for b in every for p in b.papers} == {
        *models.later_papers()
    }
    assert [book.name for book in successors.books(drawn, ("PATN",))] == ["10_patn"]
    # the other reads exact parsing maps, which photographs do not have
    assert [book.name for book in successors.books(real)] == ["10_patn"]


def test_one_paper_alone_needs_no_row_of_another():
    """Neither for its table nor for its claims; PG2's rows stand beside all."""
    rows = {row for found in successors.wanted(Study(), ("PATN",)).values() for row in found}
    papers = {models.find(row).paper for row in rows if row in models.METHODS}
    assert papers == {"PG2", "PATN"}
    everything = {row for found in successors.wanted(Study()).values() for row in found}
    assert rows < everything and any(row.startswith("SoftGated") for row in everything)


# ---- the table of successors


def summary(row, ssim):
    shared = dict(dataset="synthetic-market", height=64, width=32, pairs=4, identities=2,
                  preset="pg2", mask_from="target", mask_variant="released")  # fmt: skip
    value = {"mean": ssim, "low": ssim - 0.1, "high": ssim + 0.1}
    return shared | {"row": row, "scores": {"ssim": value, "inception": None}}


def test_ours_and_theirs_stand_side_by_side_with_their_presets():
    rows = ("condition", *models.successors(), "target")
    summaries = {row: [summary(row, k / 10)] for k, row in enumerate(rows, start=1)}
    by_preset = {
        row: {
            name: {"pg2": {"mean": 0.5}, "patn": {"mean": 0.625}} for name in ("ssim", "mask_ssim")
        }
        for row in models.successors()
    }
    costs = {"PATN": {"parameters": 2_000_000, "gflops": 0.5, "iterations": 100}}
    facts = {"half": "market1501", "profile": "quick", "seed": 0, "split": "made up",
             "drawn": True, "command": "make successors", "parsing": "drawn"}  # fmt: skip
    presets = {"presets": ["pg2", "patn"], "rows": by_preset}
    costs |= {"G1-poseMaskLoss": {"iterations": 100}, "PATN-equalFLOPs": {"iterations": 37}}
    changes = {"PATN": {"blocks": [5, 9], "perceptual": ["none", "vgg19"]}}
    table = tables.successors(summaries, {}, presets, costs, changes, facts)
    lines = [(line["row"], line["by"], line["preset"]) for line in table["successors"]]
    assert lines[:2] == [("condition", "this project", "pg2"),
                         ("G1-poseMaskLoss", "this project", "pg2")]  # fmt: skip
    assert lines.count(("G1+G2+D", "paper", "pg2")) == 1  # PG2's Table 1
    assert "Parsing maps of SoftGated: drawn." in table["notes"]
    assert [line[1:] for line in lines if line[0] == "PATN"][:3] == [
        ("this project", "pg2"), ("this project", "patn"), ("paper", "patn"),
    ]  # fmt: skip
    text = render.render(table)[".md"]
    assert "PATN is not trained as in profile paper, whose values are in brackets: blocks 5 (9), " \
           "perceptual none (vgg19)." in text  # fmt: skip
    assert "At equal iterations, 100: PATN, G1-poseMaskLoss." in text
    assert "PATN-equalFLOPs is an extra training: as many FLOPs as G1+G2+D" in text
    [paper] = [line for line in text.splitlines() if "PATN | paper" in line]
    cells = [cell.strip() for cell in paper.strip("| ").split("|")]
    assert cells[3:] == ["0.311", "—", "—", "3.773", "—", "0.940", *["—"] * 5]
    [ours] = [line for line in text.splitlines() if "PATN | this project | pg2" in line]
    assert "0.400 [0.300, 0.500]" in ours and "| 2 | 0.5 | 0.1 |" in ours


def test_the_command_trains_scores_and_writes_the_table(capsys, monkeypatch):
    monkeypatch.setattr(lanes.devices, "cpu_count", lambda: 1)  # no processes of their own
    monkeypatch.setattr(successors, "books", lambda *_: [])  # nbval runs them
    command = ["successors", "--profile", "smoke", "--device", "cpu"]
    assert cli.main(command) == 0
    folder = pipeline.figures_folder(pipeline.Study(profile="smoke"))
    table = json.loads((folder / "table_successors.json").read_text(encoding="utf-8"))
    ours = [line for line in table["successors"] if line["by"] == "this project"]
    assert [line["preset"] for line in ours if line["row"] == "PATN"] == ["pg2", "patn"]
    assert all(0 < line["scores"]["ssim"]["mean"] <= 1 for line in ours)
    costs = {line["row"]: line["training_pflops"] for line in ours if "training_pflops" in line}
    assert costs.keys() == set(models.successors()) and min(costs.values()) > 0
    assert table["facts"]["command"] == "make successors DATASET=synthetic-market PROFILE=smoke"
    assert "perceptual none" in capsys.readouterr().out
    assert {p.name for p in folder.glob("*successors*")} == {
        f"{name}.{kind}" for name, kinds in (("table_successors", ("md", "csv", "tex", "json")),
                                             ("successors_claims", ("md", "csv", "tex", "json")),
                                             ("figure4_successors", ("png", "pdf", "json")))
        for kind in kinds
    }  # fmt: skip
    page = (folder / "successors_claims.md").read_text(encoding="utf-8")
    assert "papers after PG2" in page and "Not tested" not in page
    assert "no verdict is stronger" in page  # one training
    claims_page = json.loads((folder / "successors_claims.json").read_text(encoding="utf-8"))
    judged = {line["row"] for line in claims_page["health"]}
    assert {"G1+G2+D", "PATN", "PATN-noMask", "SoftGated"} <= judged
    verdicts = {claim["name"]: claim["verdict"] for claim in claims_page["claims"]}
    assert verdicts.pop("patn-parameters") == statistics.HOLDS  # 41.4 and 76.9 million
    assert not set(verdicts.values()) & {statistics.HOLDS, statistics.FAILS}
    alt = json.loads((folder / "figure4_successors.json").read_text(encoding="utf-8"))["alt"]
    assert "PATN; PATN, FLOPs of G1+G2+D" in alt
    assert cli.main([*command, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "MISS" not in out and "HIT" in out and "PATN" in out


def test_without_ablations_only_rows_of_the_table_are_trained(capsys, monkeypatch, tmp_path):
    """After the test above: the rows of the table are scored, and so nothing is trained."""
    monkeypatch.setenv("PG2_FIGURES", str(tmp_path))
    command = ["successors", "--profile", "smoke", "--device", "cpu", "--no-ablations"]
    assert cli.main([*command, "--dry-run"]) == 0
    steps = {line.split()[1].split("/")[-1] for line in capsys.readouterr().out.splitlines()
             if line.startswith(("train", "notebook"))}  # fmt: skip
    assert {"PATN", "PATN-equalFLOPs", "SoftGated"} < steps
    known = {row for paper in models.later_papers() for row in models.ablations(paper)}
    assert not steps & {"10_patn", "11_soft_gated", *known}
    assert cli.main(command) == 0
    assert "no notebook is run" in capsys.readouterr().out
    [folder] = tmp_path.iterdir()
    table = json.loads((folder / "table_successors.json").read_text(encoding="utf-8"))
    made = "make successors DATASET=synthetic-market PROFILE=smoke ABLATIONS=no"
    assert table["facts"]["command"] == made
    page = json.loads((folder / "successors_claims.json").read_text(encoding="utf-8"))
    missing = {c["name"] for c in page["claims"] if c["verdict"] == statistics.MISSING}
    assert {claim.name for claim in claims.LATER if claim.needs_ablation} <= missing
    assert not missing & {"patn-ssim", "patn-parameters", "soft-texture"}
    assert "PATN-noMask is not scored" in str(page["claims"][0]["why"])
    code = cli.main([*command, "--update-notebooks"])
    assert code == 2 and "leave it or --no-ablations out" in capsys.readouterr().err


def test_a_named_ablation_joins_the_table_and_its_claim_is_measured(capsys, monkeypatch, tmp_path):
    """After the tests above: nothing is trained."""
    monkeypatch.setenv("PG2_FIGURES", str(tmp_path))
    command = ["successors", "--profile", "smoke", "--device", "cpu", "PATN", "PATN-noMask"]
    assert cli.main(command) == 0
    assert "notebooks that need them are not run" in capsys.readouterr().out
    [folder] = tmp_path.iterdir()
    table = json.loads((folder / "table_successors.json").read_text(encoding="utf-8"))
    ours = [line["row"] for line in table["successors"] if line["by"] == "this project"]
    assert list(dict.fromkeys(ours)) == [
        *successors.all_rows(("PATN",))[:-1], "PATN-noMask", "target"
    ]  # fmt: skip
    assert table["facts"]["command"].endswith("METHODS='PATN PATN-noMask'")
    page = json.loads((folder / "successors_claims.json").read_text(encoding="utf-8"))
    found = {claim["name"]: claim for claim in page["claims"]}
    assert found["patn-progressive"]["comparisons"][0]["effect"] is not None  # of SSIM
    assert "PATN-noAppearanceD is not scored" in found["patn-appearance-d"]["why"]


def test_people_judge_the_images_that_were_scored():
    """After the test above: the row is trained and scored."""
    study = Study(profile="smoke", device="cpu")
    data = pipeline.data(study)
    trials = user_study.plan(data.test_pairs, data.names, 0, user_study.Protocol(2, 2, 1))
    pictures, scored = user_study.pictures(study, "PATN", data), pipeline.generated(study, "PATN")
    [first, *_] = [trial for trial in trials if trial.kind == user_study.GENERATED]
    assert (pictures([first])[0] == scored[first.index]).all()


def test_describe_lists_the_rows_of_later_papers(capsys):
    assert cli.main(["describe", "--profile", "quick"]) == 0
    lines = capsys.readouterr().out.splitlines()
    [short] = [line.split() for line in lines if line.startswith("PATN-equalFLOPs")]
    assert short[2] == "1,430,963" and short[5] == "1,020"  # parameters, steps


def test_a_row_of_equal_cost_has_the_flops_of_the_other():
    study = Study(profile="quick")
    long, short = (pipeline.method_config(study, row) for row in ("PATN", "PATN-equalFLOPs"))
    assert short == dataclasses.replace(long, iterations=short.iterations)
    wanted = describe.costs(study, "G1+G2+D")["training_pflops"]
    spent = describe.costs(study, "PATN-equalFLOPs")["training_pflops"]
    assert abs(spent - wanted) <= wanted * 0.51 / short.iterations  # whole iterations


def test_a_row_of_equal_cost_follows_what_is_changed_by_hand():
    def iterations(*overrides):
        study = Study(profile="quick", overrides=overrides)
        return pipeline.method_config(study, "PATN-equalFLOPs").iterations

    usual = iterations()
    assert iterations("PATN-equalFLOPs.iterations=7") == 7
    # twice the blocks: fewer steps
    assert iterations("PATN-equalFLOPs.blocks=10") < 0.8 * usual


def test_a_trainings_cost_is_two_to_three_forward_passes_of_every_image():
    """A backward pass takes as many operations for the weights as forward, and as many again for
    every layer but the first."""
    config = tiny(appearance=False, shape=False, perceptual="none", pool=0)
    method = models.find("PATN")
    forward = describe.describe_method(method, dataclasses.replace(config, channels=64))
    config = dataclasses.replace(config, channels=64, iterations=7, batch=3)
    cost = describe.training_gflops(method, config) / (7 * 3 * forward["gflops"])
    assert 2.8 < cost < 3.0
    against = dataclasses.replace(config, appearance=True, shape=True)
    assert describe.training_gflops(method, against) > 1.2 * describe.training_gflops(
        method, config
    )
