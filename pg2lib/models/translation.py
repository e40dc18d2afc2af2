"""Shared by stages that turn maps into maps, as in pix2pixHD: encoder, residual blocks, decoder, a
patch discriminator with its features, and their updates."""

import torch
import torch.nn.functional as F
from torch import nn

from pg2lib.models.base import Update
from pg2lib.models.layers import Reflect, frozen, normal
from pg2lib.models.losses import feature_matching, least_squares


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
    """Convolution, instance norm without scale, ReLU; with reflection padding, or zero padding if
    strided."""
    pad = kernel // 2
    mirror, zeros = ([Reflect(pad)], 0) if stride == 1 else ([], pad)
    layer = nn.Conv2d(inputs, outputs, kernel, stride, zeros)
    return [*mirror, layer, nn.InstanceNorm2d(outputs), nn.ReLU()]


def encoder(inputs: int, channels: int, halvings: int) -> nn.Sequential:
    """(B, inputs, H, W) -> (B, channels 2^halvings, H / 2^halvings, W / 2^halvings)."""
    layers = conv(inputs, channels, 7)
    for k in range(halvings):
        layers += conv(channels << k, channels << (k + 1), stride=2)
    return nn.Sequential(*layers)


def decoder(channels: int, halvings: int, outputs: int) -> list[nn.Module]:
    """From (B, channels 2^halvings, h, w) back to (B, outputs, H, W)."""
    layers = []
    for k in reversed(range(halvings)):
        up = nn.ConvTranspose2d(channels << (k + 1), channels << k, 3, 2, 1, 1)
        layers += [up, nn.InstanceNorm2d(channels << k), nn.ReLU()]
    return [*layers, Reflect(3), nn.Conv2d(channels, outputs, 7)]


class Residual(nn.Sequential):
    """x + norm(conv(ReLU(norm(conv(x)))))."""

    def __init__(self, channels: int):
        super().__init__(*conv(channels, channels), *conv(channels, channels)[:-1])

    def forward(self, x):
        return x + super().forward(x)


class PatchD(nn.Module):
    """The discriminator of pix2pixHD, with least squares; 2,827,201 parameters per scale at full
    width with 64 input channels."""

    def __init__(self, inputs: int, channels: int = 64, scales: int = 1):
        super().__init__()
        self.scales = nn.ModuleList(self.of_one_scale(inputs, channels) for _ in range(scales))

    @staticmethod
    def of_one_scale(inputs, channels):
        layers = [nn.Sequential(nn.Conv2d(inputs, channels, 4, 2, 2), nn.LeakyReLU(0.2))]
        for k, stride in ((0, 2), (1, 2), (2, 1)):
            wide = channels << (k + 1)
            norm = nn.InstanceNorm2d(wide), nn.LeakyReLU(0.2)
            layers.append(nn.Sequential(nn.Conv2d(channels << k, wide, 4, stride, 2), *norm))
        return nn.ModuleList([*layers, nn.Conv2d(channels * 8, 1, 4, 1, 2)])

    def forward(self, x):
        """(B, inputs, H, W) -> for each scale, each half the size of the one before, the outputs
        (B, c, h, w) of its five layers; the last are the answers (B, 1, h, w)."""
        found = []
        for layers in self.scales:
            features = [x]
            for layer in layers:
                features.append(layer(features[-1]))
            found.append(features[1:])
            x = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
        return found


def started(network):
    network.apply(normal)
    return network


def match_features(fake, real):
    """The mean L1 distance of the features of each layer but the last, summed over the layers and
    averaged over the scales (pix2pixHD). Scalar."""
    scales = [len(f[:-1]) * feature_matching(f[:-1], r[:-1]) for f, r in zip(fake, real)]
    return torch.stack(scales).mean()


def judged(answers, real: bool):
    """Least squares of a discriminator's answers against one label, averaged over the scales."""
    return torch.stack([least_squares(f[-1].float(), float(real)) for f in answers]).mean()


def against_critic(critic, config, conditions, fake, real, loss, terms):
    """Update a generator with the loss so far, and the discriminator that sees the conditions (B,
    c, H, W) beside the fake or real candidate (B, k, H, W)."""
    with frozen(critic):
        fakes = critic(torch.cat([conditions, fake], 1))
        terms["adversarial"] = judged(fakes, True)
        loss = loss + config.adversarial_weight * terms["adversarial"]
        if config.matching_weight:
            with torch.no_grad():
                reals = critic(torch.cat([conditions, real], 1))
            terms["matching"] = match_features(fakes, reals)
            loss = loss + config.matching_weight * terms["matching"]
    yield Update("generator", loss, terms)
    seen = (torch.cat([conditions, one], 1) for one in (real, fake.detach()))
    found = [judged(critic(one), label) for one, label in zip(seen, (True, False))]
    yield Update("discriminator", sum(found) / 2, {"discriminator_real": found[0]})
