"""A small parser for photographs: a segmentation network trained on drawn people.

Their maps are exact, so it needs no labelled photographs, but can learn from some too. Its maps of
photographs are rough, which `overlaps` measures label by label. Sizes, batches and training follow
`pose_score`.
"""

import math
from dataclasses import dataclass, replace
from functools import partial
from itertools import count

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from pg2lib.core import devices
from pg2lib.core.files import UserError
from pg2lib.data import dataset as datasets
from pg2lib.data import labelled_photos, parsing
from pg2lib.evaluation.pose_score import blur, layer
from pg2lib.evaluation.ssim import channels_first, parts
from pg2lib.models.base import Adam, TrainingConfig, Update, cosine
from pg2lib.training import checkpoints, loop


@dataclass(frozen=True)
class SegmentConfig(TrainingConfig):
    """The network and its training."""

    channels: int = 16  # of the first layer
    labels: str = "people"  # of `data.parsing.LABELS`
    iterations: int = 3_000
    batch: int = 32
    learning_rate: float = 4e-3  # at the start; falls to 0 along half a cosine wave
    shift: float = 1 / 16  # largest random shift in x and y, as a part of the height
    blurred: float = 0.5  # share of the images that are blurred, by a random amount
    tint: float = 0.2  # largest change of a colour channel's contrast, and of its brightness
    photographs: float = 0.0  # share of labelled photographs in a batch and in the loss
    threads: int = 1
    seed: int = 0

    name = "segmenter"  # its name in messages


class SegmentNet(nn.Module):
    """A small U-Net, down to 4 rows and up again to all of them; level k has channels * (k + 1)
    feature maps. UserError: the height is no power of two, or below 8."""

    def __init__(self, size: tuple[int, int], channels: int, labels: int):
        super().__init__()
        self.size = tuple(size)
        levels = int(math.log2(max(size[0], 1))) - 2
        if levels < 1 or 4 << levels != size[0]:
            raise UserError(
                f"the network that finds labels needs a power of two of at least 8 rows, not "
                f"{size[0]}"
            )
        widths = [channels * (k + 1) for k in range(levels + 1)]
        self.first = nn.Sequential(layer(3, channels), layer(channels, channels))
        self.downs = nn.ModuleList(
            nn.Sequential(layer(a, b, stride=2), layer(b, b)) for a, b in zip(widths, widths[1:])
        )
        self.ups = nn.ModuleList(
            layer(a + b, a) for a, b in reversed(list(zip(widths, widths[1:])))
        )
        self.last = nn.Conv2d(channels, labels, 1)

    def forward(self, images):
        """images (B, 3, H, W) in [-1, 1] -> logits (B, labels, H, W)."""
        skips = [self.first(images)]
        for down in self.downs:
            skips.append(down(skips[-1]))
        x = skips.pop()
        for up in self.ups:
            skip = skips.pop()
            x = up(torch.cat([F.interpolate(x, size=skip.shape[2:]), skip], 1))
        return self.last(x)


def segment_task(config: SegmentConfig, dataset, photographs=None) -> loop.Task:
    """The training on the training images of a Dataset with maps, extras["parsing"]; UserError
    without any. photographs: images and maps of `labelled_photos.read`, where config asks for them;
    their labels are merged, so the network's must be "people"."""
    if "parsing" not in dataset.extras or not dataset.train.any():
        raise UserError(f"data set {dataset.name} has no training images with parsing maps")
    batches = partial(mixed_batches, photographs) if config.photographs else segment_batches
    return loop.Task(config.name, config, build, optimizers, updates, batches)


def build(config: SegmentConfig) -> dict[str, nn.Module]:
    size = config.height, config.width
    return {"segmenter": SegmentNet(size, config.channels, parsing.count(config.labels))}


def optimizers(config: SegmentConfig) -> dict[str, Adam]:
    schedule = partial(cosine, iterations=config.iterations)
    return {"segmenter": Adam(config.learning_rate, schedule=schedule)}


def updates(networks, config: SegmentConfig, batch):
    images, maps, *photographs = batch
    logits = networks["segmenter"](torch.cat([images, *photographs[:1]])).float()
    drawn = logits[: len(images)]
    loss, wrong = F.cross_entropy(drawn, maps), (drawn.argmax(1) != maps).float().mean()
    if photographs:
        real = merged_cross_entropy(logits[len(images) :], photographs[1])
        loss = torch.lerp(loss, real, config.photographs)
    yield Update("segmenter", loss, {"wrong": wrong})


def merged_cross_entropy(logits, maps):
    """The cross-entropy of logits of "people" (B, 9, H, W) against maps of the merged labels of
    photographs, int64 (B, H, W): a merged label is as probable as its parts together. Mean over the
    pixels that are judged. Scalar."""
    parts_of = torch.from_numpy(labelled_photos.merged_people()).to(logits.device)
    found, numbers = logits.log_softmax(1), range(len(labelled_photos.NAMES))
    merged = torch.stack([found[:, parts_of == n].logsumexp(1) for n in numbers], 1)
    return F.nll_loss(merged, maps, ignore_index=labelled_photos.UNJUDGED)


def mixed_batches(photographs, dataset, config: SegmentConfig, seed, step, device):
    """`segment_batches` of the Dataset and of photographs, (images uint8 (k, H, W, 3), maps uint8
    (k, H, W)), side by side: images, maps, images of photographs and their maps."""
    images, maps = photographs
    every = np.ones(len(images), bool)
    real = replace(dataset, images=images, train=every, extras={"parsing": maps})
    share = round(config.photographs * config.batch)
    drawn, real = (
        segment_batches(source, replace(config, batch=size), number, step, device)
        for source, size, number in ((dataset, config.batch - share, seed), (real, share, seed + 1))
    )
    yield from ((*a, *b) for a, b in zip(drawn, real))


def segment_batches(dataset, config: SegmentConfig, seed, step, device):
    """Yield images (B, 3, H, W) and maps int64 (B, H, W) of step, step + 1, ...: a function of
    (seed, step).

    Both are mirrored and shifted, with the edge repeated. Many images are blurred and all change
    their colours a little, since photographs are less sharp and less clean than drawings."""
    train = torch.from_numpy(np.flatnonzero(dataset.train))
    maps = dataset.extras["parsing"]
    reach = int(config.shift * config.height)
    for number in count(step):
        order, flip = datasets.pair_order(len(train), config.batch, seed, number)
        rows = train[order].numpy()
        rng = np.random.default_rng((seed, number, 2))
        move = rng.integers(-reach, reach + 1, (config.batch, 2))
        ys, xs = (
            np.clip(np.arange(n) - move[:, [axis]], 0, n - 1)
            for axis, n in enumerate((config.height, config.width))
        )
        at = rows[:, None, None], ys[:, :, None], xs[:, None, :]
        images = torch.from_numpy(dataset.images[at]).to(device).permute(0, 3, 1, 2)
        found = torch.from_numpy(np.ascontiguousarray(maps[at])).to(device)
        flip = flip.to(device)[:, None, None]
        images = torch.where(flip[:, None], images.flip(-1), images)
        found = torch.where(flip, parsing.flip_maps(found, config.labels), found)
        images = datasets.to_float(images)
        share = rng.random(config.batch) * (rng.random(config.batch) < config.blurred)
        tint = config.tint * rng.uniform(-1, 1, (2, config.batch, 3))
        share, gain, bias = (
            torch.from_numpy(values.astype(np.float32)).to(device).view(config.batch, -1, 1, 1)
            for values in (share, 1 + tint[0], tint[1])
        )
        images = torch.lerp(images, blur(images, max(config.height // 32, 1)), share)
        yield (images * gain + bias).clamp(-1, 1), found.long()


def load(path, device: str | None = None) -> SegmentNet:
    """The trained network of a weights.pt, frozen and in eval mode. Raises UserError if the file is
    missing or holds another network."""
    device = device or devices.default_device()
    state = checkpoints.load_state(path, device)
    try:
        network = build(SegmentConfig(**state["config"]))["segmenter"]
        network.load_state_dict(state["networks"]["segmenter"])
    except (KeyError, TypeError, RuntimeError) as error:
        sentence = f"{path} holds no segmentation network ({type(error).__name__}); delete it"
        raise UserError(sentence) from None
    return network.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)


@torch.no_grad()
def segment(network, images, batch=64):
    """The labels that a network of `load` finds in images uint8 (k, H, W, 3): uint8 (k, H, W).
    UserError: not the size it was trained with."""
    if tuple(images.shape[1:]) != (*network.size, 3):
        raise UserError(
            f"the segmentation network was trained on {network.size[0]}x{network.size[1]} images, "
            f"these are {tuple(images.shape[1:])}"
        )
    device = next(network.parameters()).device
    maps = np.empty(images.shape[:3], np.uint8)
    for part in parts(len(images), batch):
        logits = network(datasets.to_float(channels_first(images[part], device)))
        maps[part] = logits.argmax(1).cpu().numpy()
    return maps


def overlaps(found, true, count: int):
    """Agreement of maps, label by label: the intersection of the pixels of all maps (k, H, W) over
    their union, float64 (count,); NaN for a label missing in the true maps."""
    both = np.bincount(true[found == true].ravel(), minlength=count)
    either = sum(np.bincount(maps.ravel(), minlength=count) for maps in (found, true)) - both
    shown = np.bincount(true.ravel(), minlength=count) > 0
    return np.where(shown, both / np.maximum(either, 1), np.nan)
