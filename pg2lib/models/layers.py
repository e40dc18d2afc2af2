"""Layers and helpers shared by the methods."""

import contextlib
import math

import torch
import torch.nn.functional as F
from torch import nn

from pg2lib.core import distributed
from pg2lib.core.files import UserError


def blocks_for(height: int) -> int:
    """N, the number of blocks of G1: 5 at 128x64, 6 at 256x256 (paper 4.1), log2(height) - 2."""
    if height < 16 or height & (height - 1):
        raise UserError(
            f"height {height} is not a power of two of at least 16; the networks halve the image "
            "until 8 rows are left, so choose 32, 64, 128 or 256"
        )
    return int(math.log2(height)) - 2


def conv3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1)


class ResidualBlock(nn.Module):
    """x + ReLU(conv(ReLU(conv(x)))) at constant width (PG2 3.1: two conv-relu, nothing else).

    residual=False omits the sum: the ablation for the paper's claim that it helps (3.1).
    """

    def __init__(self, channels: int, residual: bool = True):
        super().__init__()
        self.first, self.second = conv3(channels, channels), conv3(channels, channels)
        self.residual = residual

    def forward(self, x):
        y = F.relu(self.second(F.relu(self.first(x))))
        return x + y if self.residual else y


class Encoder(nn.Module):
    """N residual blocks with stride-2 convolutions in between, then a linear layer to a code.

    Input (B, inputs, H, W); returns the code (B, embedding) and the N skips, full size first: (B,
    c, H, W), (B, 2c, H/2, W/2), ...
    """

    def __init__(self, inputs, height, width, channels, embedding, residual=True):
        super().__init__()
        n = blocks_for(height)
        self.first = conv3(inputs, channels)
        self.blocks = nn.ModuleList(ResidualBlock(channels * (k + 1), residual) for k in range(n))
        self.downs = nn.ModuleList(
            conv3(channels * (k + 1), channels * (k + 2), stride=2) for k in range(n - 1)
        )
        self.code = nn.Linear(channels * n * (height >> (n - 1)) * (width >> (n - 1)), embedding)

    def forward(self, x):
        x = F.relu(self.first(x))  # (B, c, H, W)
        skips = []
        for k, block in enumerate(self.blocks):
            x = block(x)  # (B, c(k+1), H/2^k, W/2^k)
            skips.append(x)
            if k < len(self.downs):
                x = F.relu(self.downs[k](x))  # (B, c(k+2), H/2^(k+1), W/2^(k+1))
        return self.code(x.flatten(1)), skips


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation that always uses the statistics of the current batch (released code).

    If several processes share a batch (`distributed`), the statistics are those of the whole batch,
    so that D sees the same as in one process. PyTorch's SyncBatchNorm does this only on GPUs.
    """

    def __init__(self, channels: int):
        super().__init__(channels, track_running_stats=False)

    def forward(self, x):
        if distributed.world() == 1:
            return super().forward(x)
        count = x.numel() // x.shape[1] * distributed.world()
        wide = x.float()  # (b, C, h, w), this process's part
        mean = distributed.total(wide.sum((0, 2, 3), keepdim=True)) / count  # (1, C, 1, 1)
        centred = wide - mean
        variance = distributed.total(centred.square().sum((0, 2, 3), keepdim=True)) / count
        weight, bias = (p.view(1, -1, 1, 1) for p in (self.weight, self.bias))
        return (centred * (variance + self.eps).rsqrt() * weight + bias).to(x.dtype)


def mirrored(x, pad: int):
    """Same as F.pad(..., mode="reflect"), by slicing: slower, but summed in a fixed order."""
    x = torch.cat([x[:, :, 1 : pad + 1].flip(2), x, x[:, :, -pad - 1 : -1].flip(2)], 2)
    return torch.cat([x[..., 1 : pad + 1].flip(3), x, x[..., -pad - 1 : -1].flip(3)], 3)


class Reflect(nn.Module):
    """Mirrors maps (B, C, H, W) about their border, `pad` pixels on each side."""

    def __init__(self, pad: int):
        super().__init__()
        self.pad = pad

    def forward(self, x):
        if x.device.type == "cuda":  # where F.pad's backward pass has no fixed order
            return mirrored(x, self.pad)
        return F.pad(x, (self.pad,) * 4, mode="reflect")


class ReflectConv(nn.Conv2d):
    """A convolution that mirrors its input about the border instead of padding it with zeros."""

    def forward(self, x):
        return F.conv2d(Reflect(self.padding[0])(x), self.weight, self.bias, self.stride)


class RunningBatchNorm(BatchNorm):
    """Batch normalisation with running averages, which a network in eval mode uses.

    With several processes, each averages over its part of the batches; the first one's are kept.
    """

    def __init__(self, channels: int):
        super().__init__(channels)
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x):
        how = self.running_mean, self.running_var, self.weight, self.bias, self.training
        normalised = F.batch_norm(x, *how, self.momentum, self.eps)
        if self.training and distributed.world() > 1:
            return super().forward(x)
        return normalised


def xavier(module, gain=1.0):
    """Xavier-uniform weights times a gain, and zero biases; as in the released code for G1 and G2,
    which has no gain."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.xavier_uniform_(module.weight, gain)
        nn.init.zeros_(module.bias)


def he(module):
    """He-normal weights and zero biases: signals keep their scale through ReLU layers."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        nn.init.zeros_(module.bias)


def normal(module):
    """N(0, 0.02) weights of convolutions and N(1, 0.02) scales of batch norms, as in a DCGAN;
    PyTorch's own biases."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)


@contextlib.contextmanager
def frozen(network: nn.Module):
    """Let gradients flow through a network but not to its parameters."""
    network.requires_grad_(False)
    try:
        yield network
    finally:
        network.requires_grad_(True)


@contextlib.contextmanager
def evaluating(network: nn.Module):
    """The network without dropout and with running averages, even during training."""
    before = network.training
    network.eval()
    try:
        yield network
    finally:
        network.train(before)


def parameter_count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())
