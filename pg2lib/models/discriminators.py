"""Discriminators that the methods share."""

import torch.nn.functional as F
from torch import nn

from pg2lib.models.layers import BatchNorm, blocks_for


class D(nn.Module):
    """The DCGAN discriminator: 5x5 stride-2 convolutions down to 8 rows, then one logit per image.

    inputs=6 takes pairs (I_A, candidate) as the paper says, inputs=3 single images as the released
    code does. Normalises by `BatchNorm`, so a call on another batch composition gives other
    logits. Parameters at 128x64: 4,329,537 (6), 4,324,737 (3).
    """

    def __init__(self, height=128, width=64, channels=64, inputs=6):
        super().__init__()
        count = blocks_for(height) - 1  # 4 at 128, 5 at 256
        widths = [inputs] + [channels * min(2**k, 8) for k in range(count)]
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, 5, 2, padding=2) for a, b in zip(widths, widths[1:])
        )
        self.norms = nn.ModuleList(BatchNorm(w) for w in widths[2:])
        self.logit = nn.Linear(widths[-1] * (height >> count) * (width >> count), 1)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.uniform_(module.weight, -0.02 * 3**0.5, 0.02 * 3**0.5)  # released code
                nn.init.zeros_(module.bias)

    def forward(self, images):
        """images (B, 3 or 6, H, W) in [-1, 1] -> logits (B,)."""
        x = F.leaky_relu(self.convs[0](images), 0.2)  # (B, 64, H/2, W/2)
        for conv, norm in zip(self.convs[1:], self.norms):
            x = F.leaky_relu(norm(conv(x)), 0.2)  # halves each time, doubles the width to 512
        return self.logit(x.flatten(1)).squeeze(1)  # (B,)
