"""Training: bit-exact resume, what learns and what stays, NaN and disk, painter."""

import copy
import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
import smoke
import torch
import torch.nn.functional as F

from pg2lib import models
from pg2lib.core.files import UserError
from pg2lib.data import parsing
from pg2lib.models import losses, pg2
from pg2lib.models.base import Output, cosine, linear_decay, schedule_of
from pg2lib.training import checkpoints, extras
from pg2lib.training import loop as training


def weights(folder):
    return torch.load(folder / "weights.pt", weights_only=True)


@pytest.fixture(scope="module")
def coarse(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("G1")
    training.train(smoke.task("G1-poseMaskLoss"), data, folder)
    return smoke.generate_fn({"G1-poseMaskLoss": folder / "weights.pt"})


@pytest.fixture(scope="module")
def parsed(data, tmp_path_factory):
    """The data set with parsing maps."""
    path = tmp_path_factory.mktemp("maps") / "maps.npy"
    parsing.write(data, path)
    return dataclasses.replace(data, extras=data.extras | {"parsing": parsing.read(path, data)})


# a row with a budget is another one for fewer steps: one of them, at this size
@pytest.mark.parametrize("name", [n for n, m in models.METHODS.items() if not m.budget])
def test_a_killed_run_ends_bit_for_bit_like_one_that_was_not(name, parsed, coarse, tmp_path):
    task, data, method = smoke.task(name, coarse), parsed, models.find(name)
    task = extras.parsed_task(task, method, coarse) if extras.names(method) else task
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    training.train(task, data, whole)
    stopped = dict(checkpoint_seconds=0, stop_after=2)
    assert training.train(task, data, cut, **stopped) == {"step": 2}
    training.train(task, data, cut)
    ends = [weights(folder)["networks"] for folder in (whole, cut)]
    assert ends[0].keys() == ends[1].keys() >= set(method.generators)
    for part in ends[0]:
        a, b = (networks[part] for networks in ends)
        assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
    logs = [training.read_log(folder / "log.jsonl") for folder in (whole, cut)]
    losses = [[(r["step"], r[method.generators[0]]) for r in log] for log in logs]
    assert losses[0] == losses[1] and losses[0]
    assert not list(cut.glob("checkpoint-*")) and len(list((cut / "samples").glob("*.png"))) > 1


def test_the_curve_holds_what_the_averaged_network_paints_at_every_tenth(data, tmp_path):
    assert training.curve_steps(2_800) == list(range(280, 2_801, 280))
    assert training.curve_steps(3) == [1, 2, 3]
    task = smoke.task("G1-L1", average=0.5)
    training.train(task, data, tmp_path, checkpoint_seconds=0, stop_after=3)
    training.train(task, data, tmp_path)
    curve = np.load(tmp_path / "curve.npy")
    points = training.curve_steps(task.config.iterations)
    assert curve.shape == (len(points), len(data.test_pairs), data.height, data.width, 3)
    networks = task.build(task.config)
    networks["generator"].load_state_dict(weights(tmp_path)["networks"]["generator"])
    inputs = training.pair_inputs(data, np.asarray(data.test_pairs), "cpu")
    with torch.no_grad():
        images = models.find("G1-L1").generate(networks, task.config, inputs).image
    final = ((images.permute(0, 2, 3, 1).numpy() + 1) * 127.5).clip(0, 255)
    assert np.abs(curve[-1] - final).max() < 3  # painted in bfloat16 where that is faster
    assert len({picture.tobytes() for picture in curve}) == len(points)


def test_averaged_weights_are_the_running_mean_and_survive_a_kill(data, tmp_path):
    task = smoke.task("G1-L1", average=0.5)
    run, batches = training.Run(task, 0, "cpu"), task.batches(data, task.config, 0, 0, "cpu")
    mean = None
    for step in range(task.config.iterations):
        run.step(next(batches), step)
        now = {k: v.clone() for k, v in run.networks["generator"].state_dict().items()}
        mean = now if mean is None else {k: 0.5 * mean[k] + 0.5 * now[k] for k in now}
    training.train(task, data, tmp_path / "cut", checkpoint_seconds=0, stop_after=2)
    training.train(task, data, tmp_path / "cut")
    kept = weights(tmp_path / "cut")["networks"]["generator"]
    assert kept.keys() == mean.keys()
    for name, value in mean.items():
        torch.testing.assert_close(kept[name], value, rtol=1e-5, atol=1e-7)
    assert not torch.equal(kept["last.weight"], now["last.weight"])


def test_the_time_of_a_resumed_training_is_that_of_all_its_steps(data, tmp_path, monkeypatch):
    """Not of the last call alone, nor of the steps that a kill undid, nor of the pause."""
    clock, step = [0.0], training.Run.step

    def slow(*arguments):
        clock[0] += 10
        return step(*arguments)

    monkeypatch.setattr(training.Run, "step", slow)
    monkeypatch.setattr(training, "time", SimpleNamespace(time=lambda: clock[0]))
    task = smoke.task("G1-L1", iterations=5)
    training.train(task, data, tmp_path, checkpoint_seconds=0, stop_after=2)
    training.train(task, data, tmp_path, checkpoint_seconds=1e6, stop_after=1)  # no checkpoint
    clock[0] += 1000
    assert training.train(task, data, tmp_path)["seconds"] == 50
    assert "seconds" not in weights(tmp_path)  # the same bits, however long it took


@pytest.mark.parametrize("name", ["G1+D", "G1+G2+D"])
def test_every_switch_against_a_strong_discriminator_trains_and_resumes(name, data, tmp_path):
    switches = dict(d_kernel=4, d_output="patch", d_norm="spectral", feature_matching=3.0)
    switches |= dict(d_padding="reflect")
    task = smoke.task(name, **switches, g2_init="zero", warmup=0.5, average=0.9)
    training.train(task, data, tmp_path / "whole")
    training.train(task, data, tmp_path / "cut", checkpoint_seconds=0, stop_after=2)
    training.train(task, data, tmp_path / "cut")
    both = [weights(tmp_path / folder)["networks"] for folder in ("whole", "cut")]
    for part, tensors in both[0].items():
        assert all(torch.equal(value, both[1][part][key]) for key, value in tensors.items())
    assert "features" in training.read_log(tmp_path / "cut" / "log.jsonl")[-1]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_first_stage_painted_beforehand_trains_the_same_second_stage(
    precision, data, coarse, tmp_path
):
    method, config = models.find("G1+G2+D"), smoke.config("G1+G2+D", precision=precision)
    training.paint(coarse, data, config, 0, "cpu", tmp_path / "painted.npy")
    painted = np.load(tmp_path / "painted.npy", mmap_mode="r")
    assert painted.dtype == (np.float32 if precision == "float32" else np.int16)

    def forbidden(inputs):
        raise AssertionError("the first stage ran in training")

    for name, start, images in (("usual", coarse, None), ("painted", forbidden, painted)):
        task = dataclasses.replace(training.method_task(method, config, start, images), paint=None)
        training.train(task, data, tmp_path / name)
    a, b = (weights(tmp_path / name)["networks"] for name in ("usual", "painted"))
    for part, tensors in a.items():
        assert all(torch.equal(value, b[part][key]) for key, value in tensors.items())


def test_g2_may_paint_the_whole_image_and_the_difference_follows(data, coarse):
    size = (2, 3, 64, 32)
    inputs = smoke.inputs(torch.rand(size), torch.from_numpy(data.keypoints[:2]))
    fixed = torch.full(size, 0.25)
    networks = {"generator": lambda *_: fixed}
    outputs = {
        paints: pg2.generate(networks, smoke.config("G1+G2+D", g2_paints=paints), inputs, coarse)
        for paints in ("difference", "image")
    }
    assert torch.equal(outputs["image"].image, fixed)
    assert torch.equal(outputs["difference"].parts["difference"], fixed)
    for output in outputs.values():
        torch.testing.assert_close(
            output.parts["coarse"] + output.parts["difference"], output.image
        )


def test_another_seed_gives_other_weights(data, tmp_path):
    for seed in (0, 1):
        training.train(smoke.task("G1-L1"), data, tmp_path / str(seed), seed)
    a, b = (weights(tmp_path / seed)["networks"]["generator"]["last.weight"] for seed in "01")
    assert not torch.equal(a, b)


def test_a_damaged_checkpoint_falls_back_to_the_one_before(data, tmp_path):
    training.train(smoke.task("G1-L1"), data, tmp_path, checkpoint_seconds=0, stop_after=3)
    newest = sorted(tmp_path.glob("checkpoint-*.pt"))[-1]
    newest.write_bytes(newest.read_bytes()[:-100])
    assert training.Run(smoke.task("G1-L1"), 0, "cpu").resume(tmp_path) == 2


def test_a_kill_after_the_last_checkpoint_leaves_every_step_once_in_the_log(data, tmp_path):
    task = smoke.task("G1-L1")
    training.train(task, data, tmp_path, checkpoint_seconds=0, stop_after=2)
    training.train(task, data, tmp_path, checkpoint_seconds=1e6, stop_after=2)
    log = tmp_path / "log.jsonl"
    assert [record["step"] for record in training.read_log(log)] == [1, 2, 3, 4]
    assert training.Run(task, 0, "cpu").resume(tmp_path) == 2  # so steps 3 and 4 are repeated
    with open(log, "a") as file:
        file.write('{"step": 5, "gener')  # cut short by the kill
    training.train(task, data, tmp_path)
    assert [record["step"] for record in training.read_log(log)] == [1, 2, 3, 4, 5, 6]


def test_the_loss_falls(data, tmp_path):
    longer = smoke.task("G1-L1", iterations=60, channels=8, learning_rate=2e-3)
    training.train(longer, data, tmp_path)
    record = [r["generator"] for r in training.read_log(tmp_path / "log.jsonl")]
    assert np.mean(record[-10:]) < 0.9 * np.mean(record[:5])


def first_batches(task, data, seed=0, step=0):
    return next(training.pair_batches(data, task.config, seed, step, "cpu"))


def test_steps_are_those_of_plain_adam_at_the_rates_of_the_schedule(data):
    """Three steps of each player against a loop of PyTorch's own."""
    task = smoke.task("G1+D", schedule="linear", warmup=0.5, iterations=6, precision="float32",
        learning_rate=1e-3, d_learning_rate=4e-3, d_norm="spectral")  # fmt: skip
    run = training.Run(task, 0, "cpu")
    plain, full = copy.deepcopy(run.networks), {"generator": 1e-3, "discriminator": 4e-3}
    optimizers = {
        name: torch.optim.Adam(network.parameters(), betas=(0.5, 0.999))
        for name, network in plain.items()
    }
    batches = training.pair_batches(data, task.config, 0, 0, "cpu")
    # a third of the rate, two thirds, all of it, while the schedule falls by a sixth a step
    for step, share in enumerate((1 / 3 * 6 / 6, 2 / 3 * 5 / 6, 3 / 3 * 4 / 6)):
        drawn = next(batches)
        run.step(drawn, step)
        for update in task.updates(plain, task.config, drawn):
            optimizer = optimizers[update.networks]
            optimizer.param_groups[0]["lr"] = share * full[update.networks]
            optimizer.zero_grad()
            update.loss.backward()
            optimizer.step()
    for name, network in run.networks.items():
        pairs = zip(network.parameters(), plain[name].parameters())
        assert all(torch.allclose(ours, theirs, rtol=0, atol=2e-6) for ours, theirs in pairs), name


def test_each_player_moves_only_itself_and_g1_is_frozen_in_stage_two(data, coarse):
    task = smoke.task("G1+G2+D", coarse)
    run = training.Run(task, 0, "cpu")
    batches = first_batches(task, data)
    output = pg2.generate(run.networks, task.config, batches[0], coarse)
    assert not output.parts["coarse"].requires_grad
    updates = task.updates(run.networks, task.config, batches)
    for name, other in (("generator", "discriminator"), ("discriminator", "generator")):
        for network in run.networks.values():
            network.zero_grad(set_to_none=True)
        update = next(updates)
        assert update.networks == name
        update.loss.backward()
        assert all(p.grad is not None for p in run.networks[name].parameters())
        assert all(p.grad is None for p in run.networks[other].parameters())
    assert next(updates, None) is None


def test_the_generators_loss_is_adversarial_plus_lambda_times_masked_l1(data):
    """Eq. 4 put together by hand from losses that test_losses.py checks on their own."""
    task = smoke.task("G1+D", l1_weight=7.0)
    run = training.Run(task, 0, "cpu")
    [batch] = first_batches(task, data)
    update = next(task.updates(run.networks, task.config, (batch,)))
    image = pg2.generate(run.networks, task.config, batch).image
    pairs = [torch.cat([batch.condition, other], 1) for other in (batch.target, image)]
    logits, layers = run.networks["discriminator"](torch.cat(pairs), features=True)
    adversarial, error = F.softplus(-logits[4:]).mean(), (image - batch.target).abs()
    masks = {
        variant: pg2.pose_mask(batch.target_keypoints, 64, 32, variant=variant)
        for variant in ("released", "scaled")
    }
    by_hand = {v: adversarial + 7 * (error * (1 + mask)).mean() for v, mask in masks.items()}
    torch.testing.assert_close(update.loss, by_hand["released"])
    features = torch.stack([(layer[4:] - layer[:4]).abs().mean() for layer in layers]).mean()
    more = {"structural": losses.structural(image, batch.target), "feature_matching": features}
    switches = [({term: 3.0}, by_hand["released"] + 3 * value) for term, value in more.items()]
    for switch, expected in [*switches, (dict(mask_variant="scaled"), by_hand["scaled"])]:
        config = dataclasses.replace(task.config, **switch)
        update = next(task.updates(run.networks, config, (batch,)))
        torch.testing.assert_close(update.loss, expected)


@pytest.mark.parametrize("batch, sees_coarse", [("own", True), ("same", False)])
def test_the_discriminators_loss_is_that_of_the_last_batch_in_one_pass(batch, sees_coarse, data):
    """The released code's triplets put together by hand."""
    switches = dict(d_mode="triplet", d_batch=batch, d_sees_coarse=sees_coarse)
    task = smoke.task("G1+G2+D", **switches)
    networks = training.Run(task, 0, "cpu").networks
    batches = first_batches(task, data)
    _, update = task.updates(networks, task.config, batches)
    *_, last = batches
    coarse = smoke.plain(last).image
    shown = [last.target, last.condition, coarse + networks["generator"](coarse, last.condition)]
    logits = networks["discriminator"](torch.cat([*shown, coarse] if sees_coarse else shown))
    real, condition, fake = logits.split(4)[:3]
    negatives = F.softplus(condition).mean() / 4 + F.softplus(fake).mean() / 4
    torch.testing.assert_close(update.loss, F.softplus(-real).mean() / 2 + negatives)
    chances = {name: (1 / (1 + (-x).exp())).mean() for name, x in (("real", real), ("fake", fake))}
    for name, chance in chances.items():
        torch.testing.assert_close(update.terms[f"d_{name}"], chance)


@pytest.mark.parametrize("values, outside", [("paper", 0.0), ("released", -1.0)])
def test_g1_sees_discs_of_the_configured_radius_and_values(values, outside):
    keypoints, seen = torch.full((1, 18, 2), -1.0), []
    keypoints[0, 3] = torch.tensor([12.0, 30.0])

    def generator(condition, pose, _):
        seen.extend(pose[0])
        return condition

    config = smoke.config("G1-L1", heatmap_radius=2.0, heatmap_values=values)
    pg2.generate(
        {"generator": generator}, config, smoke.inputs(torch.zeros(1, 3, 64, 32), keypoints)
    )
    disc = seen.pop(3)
    assert disc[30, 10:15].tolist() == [1.0] * 5 and (disc == 1).sum() == 13
    assert (disc == outside).sum() == 64 * 32 - 13 and (torch.stack(seen) == outside).all()


@pytest.mark.parametrize("switch", [dict(d_mode="triplet", d_batch="own", d_sees_coarse=True)])
def test_the_released_switches_run(switch, data, coarse, tmp_path):
    training.train(smoke.task("G1+G2+D", coarse, **switch), data, tmp_path)
    discriminator = weights(tmp_path)["networks"]["discriminator"]
    assert discriminator["convs.0.weight"].shape[1] == 3


def test_d_gets_a_batch_of_its_own_in_the_released_code_only(data):
    same, own = (smoke.task("G1+D", d_batch=d) for d in ("same", "own"))
    assert len(first_batches(same, data, step=3)) == 1
    for_g, for_d = first_batches(own, data, step=3)
    [expected] = first_batches(same, data, seed=1, step=3)  # seed + 1
    assert torch.equal(for_d.target, expected.target) and not torch.equal(
        for_g.target, for_d.target
    )


def test_batches_resume_at_any_step(data):
    config = smoke.config("G1-L1")
    from_start = training.pair_batches(data, config, 0, 0, "cpu")
    [fourth] = [next(from_start) for _ in range(4)][-1]
    assert torch.equal(first_batches(smoke.task("G1-L1"), data, step=3)[0].condition,
                       fourth.condition)  # fmt: skip


def test_nan_stops_with_a_sentence_and_keeps_the_checkpoint(data, tmp_path, monkeypatch):
    training.train(smoke.task("G1-L1"), data, tmp_path, checkpoint_seconds=0, stop_after=2)
    original = losses.masked_l1
    monkeypatch.setattr(pg2, "masked_l1", lambda *a: original(*a) * float("nan"))
    with pytest.raises(UserError, match="nan at step 3.*learning rate"):
        training.train(smoke.task("G1-L1"), data, tmp_path)
    assert training.Run(smoke.task("G1-L1"), 0, "cpu").resume(tmp_path) == 2


def test_a_full_disk_ends_in_a_sentence_and_leaves_no_half_file(data, tmp_path, full_disk):
    with pytest.raises(UserError, match="No space left"):
        training.train(smoke.task("G1-L1"), data, tmp_path)
    assert not list(tmp_path.glob("*.tmp")) and not list(tmp_path.glob("*.pt"))


def test_wrong_size_and_missing_weights_are_told(data, tmp_path):
    with pytest.raises(UserError, match="64x32.*128x64"):
        training.train(smoke.task("G1-L1", height=128, width=64), data, tmp_path)
    with pytest.raises(UserError, match="pg2 train"):
        smoke.generate_fn({"G1-L1": tmp_path / "weights.pt"})
    with pytest.raises(UserError, match="G1[+]G2[+]D refines G1-poseMaskLoss"):
        training.method_task(models.find("G1+G2+D"), smoke.config("G1+G2+D"))


def test_learning_rate_schedules():
    assert cosine(0, 100) == 1 and cosine(50, 100) == pytest.approx(0.5)
    assert cosine(99, 100) < 0.001
    assert [linear_decay(step, 100, 60) for step in (0, 59, 60, 80, 100)] == [1, 1, 1, 0.5, 0]
    warm = schedule_of("linear", 100, warmup=0.1)
    assert [warm(step) for step in (0, 4, 9)] == pytest.approx([0.1, 0.5 * 0.96, 0.91])
    assert schedule_of("constant", 100) is None and schedule_of("linear", 100)(75) == 0.25
    rates = pg2.optimizers(smoke.config("G1+D", schedule="cosine", iterations=100))
    assert rates["generator"].rate(50) == pytest.approx(0.5e-3)
    assert pg2.optimizers(smoke.config("G1-L1"))["generator"].rate(5) == 1e-3


def test_weights_hold_plain_values_only(data, tmp_path):
    training.train(smoke.task("G1-L1"), data, tmp_path)
    state = weights(tmp_path)
    assert json.loads(json.dumps(state["config"])) == state["config"]
    assert state["config"] == dataclasses.asdict(smoke.config("G1-L1"))
    method = models.find("G1-L1")
    networks = checkpoints.load_generators(method, smoke.config("G1-L1"), state["networks"], "cpu")
    assert not any(p.requires_grad for p in networks["generator"].parameters())


def test_a_method_says_which_input_it_lacks():
    method = dataclasses.replace(
        models.find("G1-L1"), needs=frozenset({"condition", "target_pose", "condition_pose"})
    )
    from pg2lib.models.base import bind

    paint = bind(method, {}, smoke.config("G1-L1"))
    with pytest.raises(UserError, match="G1-L1 needs the condition pose"):
        paint(smoke.inputs(torch.zeros(1, 3, 64, 32), torch.zeros(1, 18, 2)))
    assert isinstance(smoke.plain(smoke.inputs(torch.zeros(1, 3, 8, 4), None)), Output)
