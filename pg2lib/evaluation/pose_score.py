"""Pose score: the joints that a small network finds in a generated image, compared with P_B.

The paper judges poses by eye. Later work (PATN, calPCKH) runs OpenPose on the generated images;
here a small keypoint network is trained on the real training images and their keypoints, in a
minute or two. Its score on real test images, the row "target", is the ceiling for other rows; the
row "condition", where no joint moves, is the floor. `pck` has the scores.
"""

import math
from dataclasses import dataclass
from functools import partial
from itertools import count

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from pg2lib.core import devices
from pg2lib.core.files import UserError
from pg2lib.data import dataset as datasets
from pg2lib.data.keypoints import JOINTS, found
from pg2lib.evaluation.ssim import channels_first, parts
from pg2lib.models.base import Adam, TrainingConfig, Update, cosine
from pg2lib.training import checkpoints, loop


@dataclass(frozen=True)
class KeypointConfig(TrainingConfig):
    """The keypoint network and its training; the defaults take 50 s of one CPU core at 64x32, 85 s
    at 64x64 (with bfloat16)."""

    channels: int = 32  # of the first layer
    rows: int = 16  # of the output map
    iterations: int = 1_400
    batch: int = 32
    learning_rate: float = 4e-3  # at the start; falls to 0 along half a cosine wave
    shift: float = 1 / 16  # largest random shift in x and y, as a part of the height
    blurred: float = 0.5  # share of the images that are blurred, by a random amount
    threads: int = 1
    seed: int = 0  # of its training, independent of the rows' seeds

    name = "keypoints"  # its name in messages


def layer(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


class KeypointNet(nn.Module):
    """A small U-Net: down to 4 rows and up again to `rows`. Level k has channels * (k + 1) feature
    maps, as in the encoder of G1. UserError: no powers of two, or too many or too few rows."""

    def __init__(self, size: tuple[int, int], channels: int, rows: int):
        super().__init__()
        self.size, height = tuple(size), size[0]
        levels = int(math.log2(height)) - 2
        finer = int(math.log2(height / rows)) - 1  # levels finer than the map
        if not (4 << levels == height and rows << (finer + 1) == height and 4 <= rows < height):
            raise UserError(
                f"a keypoint network cannot map {height} rows to {rows}; both must be powers of "
                "two, the map at least 4 and at most half of the image"
            )
        widths = [channels * (k + 1) for k in range(levels)]
        self.downs = nn.ModuleList(
            nn.Sequential(layer(a, b, stride=2), layer(b, b)) for a, b in zip([3, *widths], widths)
        )
        self.ups = nn.ModuleList(
            layer(widths[k] + widths[k + 1], widths[k]) for k in reversed(range(finer, levels - 1))
        )
        self.where = nn.Conv2d(widths[finer], len(JOINTS), 1)
        self.there = nn.Linear(widths[-1], len(JOINTS))

    def forward(self, images):
        """images (B, 3, H, W) in [-1, 1]. Returns logits of the place of each joint, (B, 18, rows,
        columns), and of its presence, (B, 18)."""
        x, skips = images, []
        for down in self.downs:
            x = down(x)  # (B, c(k+1), H/2^(k+1), W/2^(k+1))
            skips.append(x)
        there = self.there(x.mean((2, 3)))  # (B, 18)
        for up, skip in zip(self.ups, skips[-2::-1]):
            x = up(torch.cat([F.interpolate(x, size=skip.shape[2:]), skip], 1))
        return self.where(x), there


def cells(keypoints, shape, size):
    """Joint positions (B, 18, 2) in pixels as bilinear weights of a map's cells, with sum 1 per
    joint: float32 (B, 18, rows, columns).

    shape: (rows, columns) of the map; size: (height, width) of the image.
    """
    hats = []
    for axis, (cells_along, pixels) in enumerate(zip(shape[::-1], size[::-1])):  # x, then y
        place = (keypoints[..., axis] + 0.5) * cells_along / pixels - 0.5  # (B, 18)
        centres = torch.arange(cells_along, device=place.device)
        away = place.clamp(0, cells_along - 1)[..., None] - centres
        hats.append((1 - away.abs()).clamp(min=0))
    return hats[1][..., :, None] * hats[0][..., None, :]


def decode(where, size):
    """The inverse of `cells`, of logits: the mean place of the 3x3 cells around the strongest one,
    float32 (B, 18, 2) in pixels."""
    rows, columns = where.shape[2:]
    best = where.flatten(2).argmax(2)  # (B, 18)
    y, x = (torch.arange(n, device=where.device) for n in (rows, columns))
    beside_y = (y - (best // columns)[..., None]).abs() <= 1
    beside_x = (x - (best % columns)[..., None]).abs() <= 1
    near = beside_y[..., :, None] & beside_x[..., None, :]  # (B, 18, rows, columns)
    weight = where.float().masked_fill(~near, -torch.inf).flatten(2).softmax(2).view(where.shape)
    places = [(weight.sum(2) * x).sum(2), (weight.sum(3) * y).sum(2)]
    scale = [size[1] / columns, size[0] / rows]
    return torch.stack([(p + 0.5) * s - 0.5 for p, s in zip(places, scale)], -1)


def blur(images, reach):
    """Images (B, C, H, W), each pixel the mean of a square of side 2 reach + 1."""
    images = F.pad(images, 4 * [reach], mode="replicate")
    return F.avg_pool2d(F.avg_pool2d(images, (2 * reach + 1, 1), 1), (1, 2 * reach + 1), 1)


def keypoint_losses(where, there, keypoints, size):
    """{"where": cross-entropy of the places of the found joints, "there": binary cross-entropy of
    the presence of all joints, "loss": their sum}."""
    known = found(keypoints).float()  # (B, 18)
    wanted = cells(keypoints, where.shape[2:], size)
    entropy = -(wanted * where.float().flatten(2).log_softmax(2).view(where.shape)).sum((2, 3))
    terms = {
        "where": (entropy * known).sum() / known.sum().clamp(min=1),
        "there": F.binary_cross_entropy_with_logits(there.float(), known),
    }
    return terms | {"loss": terms["where"] + terms["there"]}


def keypoint_task(config: KeypointConfig, dataset) -> loop.Task:
    """The training of the keypoint network on the real training images of a Dataset; UserError if
    none of them is annotated."""
    if not len(annotated(dataset)):
        raise UserError(
            f"data set {dataset.name} has no training image with keypoints, which the pose score "
            "needs"
        )
    return loop.Task(config.name, config, build, optimizers, updates, keypoint_batches)


def build(config: KeypointConfig) -> dict[str, nn.Module]:
    size = config.height, config.width
    return {"keypoints": KeypointNet(size, config.channels, config.rows)}


def optimizers(config: KeypointConfig) -> dict[str, Adam]:
    schedule = partial(cosine, iterations=config.iterations)
    return {"keypoints": Adam(config.learning_rate, schedule=schedule)}


def updates(networks, config: KeypointConfig, batch):
    images, keypoints = batch
    where, there = networks["keypoints"](images)
    terms = keypoint_losses(where, there, keypoints, images.shape[2:])
    yield Update("keypoints", terms.pop("loss"), terms)


def annotated(dataset):
    """The training images with at least one joint: int64 indices."""
    return np.flatnonzero(dataset.train & found(dataset.keypoints).any(-1))


def keypoint_batches(dataset, config: KeypointConfig, seed, step, device):
    """Yield images (B, 3, H, W) and keypoints (B, 18, 2) of step, step + 1, ...: a function of
    (seed, step).

    Images are mirrored and shifted, with the edge repeated. Many are blurred, so that the score of
    a generated image depends on its pose and not on its sharpness. Every process draws the same
    whole batch."""
    chosen, data = torch.from_numpy(annotated(dataset)), datasets.on_device(dataset, device)
    size, home = (config.width, config.height), data.images.device
    reach = int(config.shift * config.height)
    for number in count(step):
        order, flip = datasets.pair_order(len(chosen), config.batch, seed, number)
        index = chosen[order]
        rng = np.random.default_rng((seed, number, 1))
        move = torch.from_numpy(rng.integers(-reach, reach + 1, (config.batch, 2)))
        columns, rows = (
            (torch.arange(n) - move[:, axis, None]).clamp(0, n - 1).to(home)
            for axis, n in enumerate(size)
        )
        images = data.images.permute(0, 2, 3, 1)[
            index.to(home)[:, None, None], rows[:, :, None], columns[:, None, :]
        ]
        images = images.to(device).permute(0, 3, 1, 2)  # (B, 3, H, W)
        index, flip, move = (t.to(device) for t in (index, flip, move))
        keypoints = data.keypoints[index]
        moved = keypoints + move[:, None]
        inside = found(keypoints) & found(moved) & (moved < moved.new_tensor(size)).all(-1)
        keypoints = torch.where(inside[..., None], moved, -1.0)
        images, keypoints = datasets.flip_batch(images, keypoints, flip)
        images = datasets.to_float(images)
        share = rng.random(config.batch) * (rng.random(config.batch) < config.blurred)
        share = torch.from_numpy(share.astype(np.float32)).to(device).view(-1, 1, 1, 1)
        yield torch.lerp(images, blur(images, config.height // 32), share), keypoints


def load_keypoints(path, device: str | None = None) -> KeypointNet:
    """The trained network of a weights.pt, frozen and in eval mode, on `device` (default: CUDA if
    available). Raises UserError if the file is missing or holds no keypoint network."""
    device = device or devices.default_device()
    state = checkpoints.load_state(path, device)
    try:
        network = build(KeypointConfig(**state["config"]))["keypoints"]
        network.load_state_dict(state["networks"]["keypoints"])
    except (KeyError, TypeError, RuntimeError) as error:
        sentence = f"{path} holds no keypoint network ({type(error).__name__}); delete it"
        raise UserError(sentence) from None
    return network.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)


@torch.no_grad()
def estimate(network, images, batch=256):
    """The joints that a network of `load_keypoints` finds in images, uint8 (k, H, W, 3): float32
    (k, 18, 2) in pixels, a best guess for every joint. UserError: not the size it was trained with.
    """
    if tuple(images.shape[1:]) != (*network.size, 3):
        raise UserError(
            f"the keypoint network was trained on {network.size[0]}x{network.size[1]} images, "
            f"these are {tuple(images.shape[1:])}"
        )
    device = next(network.parameters()).device
    keypoints = np.empty((len(images), len(JOINTS), 2), np.float32)
    for part in parts(len(images), batch):
        where, _ = network(datasets.to_float(channels_first(images[part], device)))
        keypoints[part] = decode(where, network.size).cpu().numpy()
    return keypoints
