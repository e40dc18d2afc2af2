"""Training: bit-exact resume, what learns and what stays, NaN and disk, painter."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from pg2lib.core.files import UserError
from pg2lib.models import experiments
from pg2lib.training import loop as training


def stage(name, **changes):
    return dataclasses.replace(experiments.stage(name, profile="smoke"), **changes)


def weights(folder):
    return torch.load(folder / "weights.pt", weights_only=True)


@pytest.fixture(scope="module")
def coarse(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("G1")
    training.train(stage("G1-poseMaskLoss"), data, folder)
    return folder / "weights.pt"


@pytest.mark.parametrize("name", list(experiments.STAGES))
def test_a_killed_run_ends_bit_for_bit_like_one_that_was_not(name, data, coarse, tmp_path):
    first = training.painter([coarse])
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    training.train(stage(name), data, whole, coarse=first)
    stopped = dict(checkpoint_seconds=0, stop_after=2)
    assert training.train(stage(name), data, cut, coarse=first, **stopped) == {"step": 2}
    training.train(stage(name), data, cut, coarse=first)
    for part in ("generator", "discriminator"):
        a, b = (weights(folder).get(part, {}) for folder in (whole, cut))
        assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
    losses = [
        [(r["step"], r["generator"]) for r in training.read_log(folder / "log.jsonl")]
        for folder in (whole, cut)
    ]
    assert losses[0] == losses[1]
    assert not list(cut.glob("checkpoint-*")) and len(list((cut / "samples").glob("*.png"))) > 1


def test_g2_may_paint_the_whole_image_and_the_difference_follows(data, coarse):
    size = (2, 3, 64, 32)
    condition, keypoints = torch.rand(size), torch.from_numpy(data.keypoints[:2])
    fixed = torch.full(size, 0.25)
    first = training.painter([coarse])
    made = {
        paints: training.paint(
            lambda *_: fixed, stage("G2+D", g2_paints=paints), condition, keypoints, first
        )
        for paints in ("difference", "image")
    }
    assert torch.equal(made["image"]["refined"], fixed)
    assert torch.equal(made["difference"]["difference"], fixed)
    for painted in made.values():
        torch.testing.assert_close(painted["coarse"] + painted["difference"], painted["refined"])


def test_another_seed_gives_other_weights(data, tmp_path):
    for seed in (0, 1):
        training.train(stage("G1-L1"), data, tmp_path / str(seed), seed)
    a, b = (weights(tmp_path / str(seed))["generator"]["last.weight"] for seed in (0, 1))
    assert not torch.equal(a, b)


def test_a_damaged_checkpoint_falls_back_to_the_one_before(data, tmp_path):
    training.train(stage("G1-L1"), data, tmp_path, checkpoint_seconds=0, stop_after=3)
    newest = sorted(tmp_path.glob("checkpoint-*.pt"))[-1]
    newest.write_bytes(newest.read_bytes()[:-100])
    assert training.Run(stage("G1-L1"), 0, "cpu").resume(tmp_path) == 2


def test_the_loss_falls(data, tmp_path):
    longer = stage("G1-L1", iterations=60, channels=8, learning_rate=2e-3)
    training.train(longer, data, tmp_path)
    record = [r["generator"] for r in training.read_log(tmp_path / "log.jsonl")]
    assert np.mean(record[-10:]) < 0.9 * np.mean(record[:5])


def test_each_player_moves_only_itself_and_g1_is_frozen_in_stage_two(data, coarse):
    run = training.Run(stage("G2+D"), 0, "cpu")
    first = training.painter([coarse])
    batch, _ = next(run.batches(data, 0))
    painted = training.paint(
        run.generator, run.stage, batch.condition, batch.target_keypoints, first
    )
    assert not painted["coarse"].requires_grad
    torch.testing.assert_close(painted["refined"], painted["coarse"] + painted["difference"])
    logits = training.judged(
        run.discriminator, painted, batch.condition, batch.target, run.stage, detach=True
    )
    sum(value.sum() for value in logits.values()).backward()
    assert all(p.grad is None for p in run.generator.parameters())
    assert all(p.grad is not None for p in run.discriminator.parameters())


def test_the_generators_loss_is_adversarial_plus_lambda_times_masked_l1(data):
    """Eq. 4 put together by hand from losses that test_losses.py checks on their own."""
    run = training.Run(stage("G1+D", l1_weight=7.0), 0, "cpu")
    batch, _ = next(run.batches(data, 0))
    painted = training.paint(run.generator, run.stage, batch.condition, batch.target_keypoints)
    mask = torch.rand(len(batch.target), 1, 64, 32)
    terms = training.generator_losses(
        painted, batch.condition, batch.target, mask, run.stage, run.discriminator
    )
    fake = run.discriminator(
        torch.cat(
            [
                torch.cat([batch.condition, batch.target], 1),
                torch.cat([batch.condition, painted["refined"]], 1),
            ]
        )
    )[4:]
    error = (painted["refined"] - batch.target).abs() * (1 + mask)
    by_hand = torch.nn.functional.softplus(-fake).mean() + 7 * error.mean()
    torch.testing.assert_close(terms["generator"], by_hand)


@pytest.mark.parametrize("switch", [dict(d_mode="triplet", d_batch="own", d_sees_coarse=True)])
def test_the_released_switches_run(switch, data, coarse, tmp_path):
    released = stage("G2+D", **switch)
    training.train(released, data, tmp_path, coarse=training.painter([coarse]))
    assert weights(tmp_path)["discriminator"]["convs.0.weight"].shape[1] == 3


def test_d_gets_a_batch_of_its_own_in_the_released_code_only(data):
    same, own = (training.Run(stage("G1+D", d_batch=d), 0, "cpu") for d in ("same", "own"))
    for_g, for_d = next(same.batches(data, 3))
    assert for_g is for_d
    for_g, for_d = next(own.batches(data, 3))
    expected = next(training.Run(stage("G1+D"), 1, "cpu").batches(data, 3))[0]  # seed + 1
    assert torch.equal(for_d.target, expected.target) and not torch.equal(
        for_g.target, for_d.target
    )


def test_batches_resume_at_any_step(data):
    run = training.Run(stage("G1-L1"), 0, "cpu")
    from_start = run.batches(data, 0)
    fourth = [next(from_start)[0] for _ in range(4)][-1]
    assert torch.equal(next(run.batches(data, 3))[0].condition, fourth.condition)


def test_nan_stops_with_a_sentence_and_keeps_the_checkpoint(data, tmp_path, monkeypatch):
    training.train(stage("G1-L1"), data, tmp_path, checkpoint_seconds=0, stop_after=2)
    original = training.losses.masked_l1
    monkeypatch.setattr(training.losses, "masked_l1", lambda *a: original(*a) * float("nan"))
    with pytest.raises(UserError, match="nan at step 3.*learning rate"):
        training.train(stage("G1-L1"), data, tmp_path)
    assert training.Run(stage("G1-L1"), 0, "cpu").resume(tmp_path) == 2


def test_a_full_disk_ends_in_a_sentence_and_leaves_no_half_file(data, tmp_path, full_disk):
    with pytest.raises(UserError, match="No space left"):
        training.train(stage("G1-L1"), data, tmp_path)
    assert not list(tmp_path.glob("*.tmp")) and not list(tmp_path.glob("*.pt"))


def test_wrong_size_and_missing_weights_are_told(data, tmp_path):
    with pytest.raises(UserError, match="64x32.*128x64"):
        training.train(stage("G1-L1", height=128, width=64), data, tmp_path)
    with pytest.raises(UserError, match="pg2 train"):
        training.painter([tmp_path / "weights.pt"])


def test_learning_rate_schedules():
    constant = stage("G1-L1", iterations=100)
    cosine = dataclasses.replace(constant, schedule="cosine")
    assert [training.schedule(constant, s) for s in (0, 50, 99)] == [1, 1, 1]
    assert training.schedule(cosine, 0) == 1
    assert training.schedule(cosine, 50) == pytest.approx(0.5)
    assert training.schedule(cosine, 99) < 0.001


def test_weights_hold_plain_values_only(coarse):
    state = weights(coarse.parent)
    assert json.loads(json.dumps(state["stage"])) == state["stage"]
    loaded, generator = training.load_weights(coarse)
    assert loaded == stage("G1-poseMaskLoss") and not any(
        p.requires_grad for p in generator.parameters()
    )
