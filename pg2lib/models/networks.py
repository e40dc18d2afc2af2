"""The networks of PG2: generators G1 and G2 and the discriminator D.

Layer tables follow the released code, which fills in what the paper leaves open (paper 3.3);
`channels` is the paper's 128, `embedding` its 64-number bottleneck. Convolutions are padded
symmetrically (the released TensorFlow code pads stride-2 ones on one side: no matter when training
from scratch). G1 and G2 have no normalisation and no dropout.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from pg2lib.core import distributed
from pg2lib.core.files import UserError

JOINT_COUNT = 18
POSE_EMBEDDINGS = ("concatenation", "CE", "HME")


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
    """x + ReLU(conv(ReLU(conv(x)))) at constant width (paper 3.1: two conv-relu, nothing else).

    residual=False leaves the sum out: the ablation of the paper's claim that it helps (3.1).
    """

    def __init__(self, channels: int, residual: bool = True):
        super().__init__()
        self.first, self.second = conv3(channels, channels), conv3(channels, channels)
        self.residual = residual

    def forward(self, x):
        y = F.relu(self.second(F.relu(self.first(x))))
        return x + y if self.residual else y


class Encoder(nn.Module):
    """N residual blocks with a stride-2 convolution between them, then a linear layer to a code.

    Input (B, inputs, H, W); returns the code (B, embedding) and the N skips, full size first:
    (B, c, H, W), (B, 2c, H/2, W/2), ...
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


class G1(nn.Module):
    """Stage I: the coarse image I_B1 from the condition image I_A and the target pose P_B.

    pose: how P_B enters (paper 3.1 and 4.2).
      "concatenation"  18 heatmaps beside the RGB input, 21 channels (the paper's proposal)
      "CE"   coordinates through two linear layers, joined to the image code at the bottleneck
      "HME"  heatmaps through an encoder of their own, joined to the image code at the bottleneck
    CE and HME were never released; their sizes (36-64-64; the same encoder as the image's) are
    this project's choice. Parameters at channels=128: 70,795,075 (128x64), 122,103,235 (256x256).
    residual: see `ResidualBlock`.
    """

    def __init__(
        self,
        height=128,
        width=64,
        channels=128,
        embedding=64,
        pose="concatenation",
        residual=True,
    ):
        super().__init__()
        if pose not in POSE_EMBEDDINGS:
            raise UserError(f"unknown pose embedding {pose!r}; choose one of {POSE_EMBEDDINGS}")
        n = blocks_for(height)
        self.pose, self.size = pose, (height, width)
        self.channels = channels
        self.small = (height >> (n - 1), width >> (n - 1))  # 8x4 at 128x64
        inputs = 3 + (JOINT_COUNT if pose == "concatenation" else 0)
        self.encoder = Encoder(inputs, height, width, channels, embedding, residual)
        if pose == "CE":
            self.pose_encoder = nn.Sequential(
                nn.Linear(2 * JOINT_COUNT, embedding), nn.ReLU(), nn.Linear(embedding, embedding)
            )
        elif pose == "HME":
            self.pose_encoder = Encoder(JOINT_COUNT, height, width, channels, embedding, residual)
        codes = embedding if pose == "concatenation" else 2 * embedding
        self.expand = nn.Linear(codes, channels * self.small[0] * self.small[1])
        # widths coming into each decoder block: c, then what the previous block's 1x1 gave
        incoming = [channels] + [channels * k for k in range(n - 1, 0, -1)]
        skips = [channels * k for k in range(n, 0, -1)]
        self.blocks = nn.ModuleList(ResidualBlock(a + b, residual) for a, b in zip(incoming, skips))
        self.ups = nn.ModuleList(
            nn.Conv2d(a + b, c, 1) for a, b, c in zip(incoming, skips, incoming[1:])
        )
        self.last = conv3(incoming[-1] + skips[-1], 3)
        self.apply(xavier)

    def forward(self, condition, heatmaps=None, keypoints=None):
        """condition I_A (B, 3, H, W); heatmaps P_B (B, 18, H, W), or for CE keypoints
        (B, 18, 2) in pixels. Returns I_B1 (B, 3, H, W), linear (no tanh, released code)."""
        if self.pose == "concatenation":
            code, skips = self.encoder(torch.cat([condition, heatmaps], 1))  # (B, 64), N skips
        else:
            code, skips = self.encoder(condition)
            if self.pose == "CE":
                pose_code = self.pose_encoder(coordinates(keypoints, *self.size))  # (B, 64)
            else:
                pose_code, _ = self.pose_encoder(heatmaps)  # (B, 64)
            code = torch.cat([code, pose_code], 1)  # (B, 128)
        x = self.expand(code).view(-1, self.channels, *self.small)  # (B, c, 8, 4)
        for k, block in enumerate(self.blocks):
            x = block(torch.cat([x, skips[-1 - k]], 1))  # (B, in + skip, h, w)
            if k < len(self.ups):
                # released code: nearest x2, then the 1x1 convolution. A 1x1 commutes with nearest
                # up-sampling, so it runs before it, at a quarter of the cost, with equal result.
                x = F.interpolate(F.relu(self.ups[k](x)), scale_factor=2.0)  # (B, out, 2h, 2w)
        return self.last(x)  # (B, 3, H, W)


def coordinates(keypoints, height, width):
    """CE's input: (B, 18, 2) pixels -> (B, 36) in [-1, 1]; a missing joint is (0, 0)."""
    scale = keypoints.new_tensor([2.0 / (width - 1), 2.0 / (height - 1)])
    found = (keypoints >= 0).all(-1, keepdim=True)
    return ((keypoints * scale - 1) * found).flatten(1)


class G2(nn.Module):
    """Stage II: the difference map that turns I_B1 into I_B2 = I_B1 + G2(I_B1, I_A).

    N - 2 blocks, no fully connected layer (paper 3.2-3.3). skip_full_res keeps the skip at full
    resolution: the released code drops it for Market-1501 and keeps it for DeepFashion.
    Parameters at channels=128: 6,058,883 (128x64, False), 12,696,067 (256x256, True).
    fully_connected puts two linear layers at the bottleneck as G1 has them: the ablation of the
    paper's claim that G2 is better without (3.2).
    """

    def __init__(
        self,
        height=128,
        width=64,
        channels=128,
        skip_full_res=False,
        fully_connected=False,
        embedding=64,
    ):
        super().__init__()
        n = blocks_for(height) - 2
        if n < 1:
            raise UserError(f"G2 needs a height of at least 32 (N - 2 blocks), not {height}")
        c = channels
        self.skip_full_res = skip_full_res
        self.first = conv3(6, c)
        self.encoder = nn.ModuleList(
            nn.ModuleList([conv3(c * max(k, 1), c * (k + 1)), conv3(c * (k + 1), c * (k + 1))])
            for k in range(n)
        )
        self.downs = nn.ModuleList(conv3(c * (k + 1), c * (k + 1), stride=2) for k in range(n - 1))
        self.bottleneck = None
        if fully_connected:
            numbers = c * n * (height >> (n - 1)) * (width >> (n - 1))
            self.bottleneck = nn.Sequential(
                nn.Linear(numbers, embedding), nn.Linear(embedding, numbers)
            )
        # decoder block k sees what came up (the bottleneck itself first) and skip n-1-k
        joined = [2 * c * n] + [c + c * (n - k) for k in range(1, n)]
        if not skip_full_res and n > 1:
            joined[-1] = c
        self.decoder = nn.ModuleList(nn.ModuleList([conv3(j, c), conv3(c, c)]) for j in joined)
        self.last = conv3(c, 3)
        self.apply(xavier)

    def forward(self, coarse, condition):
        """coarse I_B1 and condition I_A, both (B, 3, H, W) -> difference map (B, 3, H, W)."""
        x = F.relu(self.first(torch.cat([coarse, condition], 1)))  # (B, c, H, W)
        skips = []
        for k, block in enumerate(self.encoder):
            for conv in block:
                x = F.relu(conv(x))  # (B, c(k+1), H/2^k, W/2^k)
            skips.append(x)
            if k < len(self.downs):
                x = F.relu(self.downs[k](x))
        if self.bottleneck is not None:
            x = self.bottleneck(x.flatten(1)).view_as(x)  # (B, c n, h, w) through (B, 64)
        for k, block in enumerate(self.decoder):
            if k == 0 or k < len(self.decoder) - 1 or self.skip_full_res:
                x = torch.cat([x, skips[-1 - k]], 1)  # k = 0: the bottleneck with itself
            for conv in block:
                x = F.relu(conv(x))  # (B, c, h, w)
            if k < len(self.decoder) - 1:
                x = F.interpolate(x, scale_factor=2.0)  # (B, c, 2h, 2w)
        return self.last(x)  # (B, 3, H, W)


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation that always uses the statistics of the batch at hand (released code).

    Where several processes share a batch (`distributed`), these are the statistics of the whole
    batch, so that D sees what it would see in one process. PyTorch's SyncBatchNorm does the same
    on GPUs only.
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


def xavier(module):
    """Xavier-uniform weights and zero biases, the released code's initialisation of G1 and G2."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)


def parameter_count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())
