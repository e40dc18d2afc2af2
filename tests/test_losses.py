"""Losses against numbers worked out by hand."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage.metrics import structural_similarity

from pg2lib.models import losses, pg2
from pg2lib.models.discriminators import D


def test_masked_l1_by_hand():
    generated = torch.zeros(1, 3, 1, 2)
    target = torch.tensor([1.0, 3.0]).expand(1, 3, 1, 2)
    mask = torch.tensor([1.0, 0.0]).view(1, 1, 1, 2)
    assert losses.masked_l1(generated, target) == 2.0  # (1 + 3) / 2
    assert losses.masked_l1(generated, target, mask) == 2.5  # (2 * 1 + 3) / 2
    assert losses.masked_l1(generated, target, mask, mask_weight=0.0) == 2.0
    assert losses.masked_l1(target, generated, mask, mask_weight=2.0) == 3.0


def test_bce_by_hand():
    logits = torch.tensor([2.0, -1.0])
    one = (math.log1p(math.exp(-2)) + math.log1p(math.exp(1))) / 2
    zero = (math.log1p(math.exp(2)) + math.log1p(math.exp(-1))) / 2
    assert losses.bce(logits, 1.0).item() == pytest.approx(one, abs=1e-6)
    assert losses.bce(logits, 0.0).item() == pytest.approx(zero, abs=1e-6)


def test_d_loss_weights_of_paper_and_released_code():
    pair = {"real": torch.tensor([2.0]), "fake": torch.tensor([-3.0])}
    real, fake = math.log1p(math.exp(-2)), math.log1p(math.exp(-3))
    assert pg2.discriminator_loss(pair).item() == pytest.approx(real + fake, abs=1e-6)
    triplet = pair | {"condition": torch.tensor([0.0])}
    expected = real / 2 + math.log(2) / 4 + fake / 4
    assert pg2.discriminator_loss(triplet).item() == pytest.approx(expected, abs=1e-6)


def test_the_two_players_pull_in_opposite_directions():
    fake = torch.zeros(1, requires_grad=True)
    pg2.adversarial_loss({"fake": fake}).backward()
    up = fake.grad.clone()
    fake.grad = None
    pg2.discriminator_loss({"real": torch.zeros(1), "fake": fake}).backward()
    assert up < 0 < fake.grad  # G wants the logit to rise, D wants it to fall


class Recorder(torch.nn.Module):
    """A stand-in D that keeps what it was shown and answers with the mean of each image."""

    def forward(self, images):
        self.seen = images
        return images.mean((1, 2, 3))


def images():
    return [torch.full((2, 3, 4, 4), value) for value in (0.1, 0.2, 0.3)]


def test_pairs_put_the_condition_before_each_candidate():
    d, (condition, target, fake) = Recorder(), images()
    logits, _ = pg2.discriminate(d, condition, target, fake)
    assert d.seen.shape == (4, 6, 4, 4)  # one pass, channels of both images
    torch.testing.assert_close(d.seen[:2], torch.cat([condition, target], 1))
    torch.testing.assert_close(d.seen[2:], torch.cat([condition, fake], 1))
    torch.testing.assert_close(logits["real"], torch.full((2,), 0.15))
    torch.testing.assert_close(logits["fake"], torch.full((2,), 0.2))


def test_triplets_show_single_images_and_the_coarse_one_enters_no_loss():
    d, (condition, target, fake) = Recorder(), images()
    logits, _ = pg2.discriminate(
        d, condition, target, fake, "triplet", coarse=torch.ones(2, 3, 4, 4)
    )
    assert d.seen.shape == (8, 3, 4, 4)
    assert {k: round(v[0].item(), 3) for k, v in logits.items()} == {
        "real": 0.2,
        "condition": 0.1,
        "fake": 0.3,
    }


def test_single_images_are_judged_without_the_condition():
    d, (condition, target, fake) = Recorder(), images()
    assert set(pg2.discriminate(d, condition, target, fake, "single")[0]) == {"real", "fake"}
    assert torch.equal(d.seen, torch.cat([target, fake]))


def test_structural_is_one_minus_scikit_images_ssim():
    random = torch.Generator().manual_seed(0)
    generated, target = torch.rand(2, 2, 3, 20, 14, generator=random) * 2 - 1
    options = dict(win_size=7, data_range=2, use_sample_covariance=False, channel_axis=0)
    expected = [
        structural_similarity(a.double().numpy(), b.double().numpy(), **options)
        for a, b in zip(generated, target)
    ]
    found = losses.structural(generated, target)
    assert found == pytest.approx(1 - np.mean(expected), abs=1e-5)
    assert losses.structural(target, target) == pytest.approx(0, abs=1e-6)


def test_feature_matching_is_the_mean_distance_of_the_layers_and_moves_only_the_generated():
    generated = [torch.ones(2, 3, 4, 4, requires_grad=True), torch.zeros(2, 5, 2, 2)]
    target = [torch.zeros(2, 3, 4, 4, requires_grad=True), torch.full((2, 5, 2, 2), 3.0)]
    loss = losses.feature_matching(generated, target)
    assert loss.item() == 2.0  # (1 + 3) / 2: a layer counts the same whatever its size
    loss.backward()
    assert target[0].grad is None and generated[0].grad.sum() == 0.5


def test_features_of_d_come_with_the_logits_of_the_same_pass():
    torch.manual_seed(0)
    net, (condition, target, fake) = D(32, 16, channels=4), torch.rand(3, 2, 3, 32, 16)
    logits, features = pg2.discriminate(net, condition, target, fake, wanted=True)
    plain, none = pg2.discriminate(net, condition, target, fake)
    assert torch.equal(logits["fake"], plain["fake"]) and none["fake"] == []
    assert [part.shape[1:] for part in features["real"]] == [(4, 16, 8), (8, 8, 4)]
    first = net.convs[0](torch.cat([condition, target], 1))
    torch.testing.assert_close(features["real"][0], F.leaky_relu(first, 0.2))
