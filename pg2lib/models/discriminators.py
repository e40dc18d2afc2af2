"""Discriminators shared by the methods."""

import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from pg2lib.models.layers import BatchNorm, ReflectConv, blocks_for


class D(nn.Module):
    """The DCGAN discriminator: stride-2 convolutions down to 8 rows, then one logit per image.

    inputs=6 takes pairs (I_A, candidate) as in the paper, inputs=3 single images as in the released
    code. It normalises by `BatchNorm`, so logits depend on the composition of the batch. Parameters
    at 128x64: 4,329,537 (6), 4,324,737 (3).

    kernel: 5 (released code); with 4, which the stride divides, gradients have no checkerboard.
    output: "image", or "patch" for one logit per cell of the last 8 rows (pix2pix). norm: "batch"
    (released code), or "spectral": spectral normalisation of every layer instead. padding: "zeros"
    (released code) or "reflect", which shows D no frame that G could paint.
    """

    def __init__(
        self, height=128, width=64, channels=64, inputs=6, kernel=5, output="image", norm="batch",
        padding="zeros",
    ):  # fmt: skip
        super().__init__()
        count = blocks_for(height) - 1  # 4 at 128, 5 at 256
        widths = [inputs] + [channels * min(2**k, 8) for k in range(count)]
        pad = (kernel - 1) // 2
        convolution = ReflectConv if padding == "reflect" else nn.Conv2d
        self.convs = nn.ModuleList(
            convolution(a, b, kernel, 2, pad) for a, b in zip(widths, widths[1:])
        )
        normalise = BatchNorm if norm == "batch" else nn.Identity
        self.norms = nn.ModuleList(normalise(w) for w in widths[2:])
        if output == "patch":
            self.logit = convolution(widths[-1], 1, 3, padding=1)
        else:
            self.logit = nn.Linear(widths[-1] * (height >> count) * (width >> count), 1)
        for layer in (*self.convs, self.logit):
            nn.init.uniform_(layer.weight, -0.02 * 3**0.5, 0.02 * 3**0.5)  # released code
            nn.init.zeros_(layer.bias)
            if norm == "spectral":
                spectral_norm(layer)

    def forward(self, images, features=False):
        """images (B, 3 or 6, H, W) in [-1, 1] -> logits (B,), or (B, 8 W/H * 8) for patches.

        features=True returns (logits, [output of each convolution, (B, c, h, w)]).
        """
        layers = [F.leaky_relu(self.convs[0](images), 0.2)]  # (B, 64, H/2, W/2)
        for conv, norm in zip(self.convs[1:], self.norms):
            # halves each time, doubles the width to 512
            layers.append(F.leaky_relu(norm(conv(layers[-1])), 0.2))
        x = layers[-1]
        if isinstance(self.logit, nn.Linear):
            logits = self.logit(x.flatten(1)).squeeze(1)  # (B,)
        else:
            logits = self.logit(x).flatten(1)  # (B, h * w)
        return (logits, layers) if features else logits
