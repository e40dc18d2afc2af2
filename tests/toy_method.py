"""A method of one's own in under 60 lines: docs/adding-a-method.md walks through it."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from pg2lib.data.heatmaps import heatmaps
from pg2lib.models.base import Adam, Method, Output, TrainingConfig, Update, linear_decay
from pg2lib.models.layers import conv3, frozen
from pg2lib.models.losses import bce, masked_l1


@dataclass(frozen=True)
class ToyConfig(TrainingConfig):
    channels: int = 8


def configure(setting, profile):
    steps, batch = profile.iterations or (1_000,), profile.batch or 8
    return ToyConfig(setting.height, setting.width, steps[0], batch, profile.threads)


def build(config):
    c, widths = config.channels, {"generator": (39, 3), "look": (6, 1), "pose": (21, 1)}
    return {name: nn.Sequential(conv3(inputs, c), nn.ReLU(), conv3(c, outputs))
            for name, (inputs, outputs) in widths.items()}  # fmt: skip


def generate(networks, config, inputs, start=None):
    maps = [heatmaps(pose, config.height, config.width)
            for pose in (inputs.condition_keypoints, inputs.target_keypoints)]  # fmt: skip
    return Output(networks["generator"](torch.cat([inputs.condition, *maps], 1)).float())


def updates(networks, config, batches, start=None):
    batch, image = batches[0], generate(networks, config, batches[0]).image
    pose = heatmaps(batch.target_keypoints, config.height, config.width)
    beside = {"look": batch.condition, "pose": pose}  # what each critic sees beside an image
    loss = 10 * masked_l1(image, batch.target)
    for name, other in beside.items():
        with frozen(networks[name]) as critic:
            loss = loss + bce(critic(torch.cat([other, image], 1)).float(), 1.0)
    yield Update("generator", loss)
    for name, other in beside.items():
        pairs = [torch.cat([other, shown], 1) for shown in (batch.target, image.detach())]
        real, fake = (networks[name](pair).float() for pair in pairs)
        yield Update(name, bce(real, 1.0) + bce(fake, 0.0))


def optimizers(config):
    decay = partial(linear_decay, iterations=config.iterations, begin=config.iterations // 2)
    return dict.fromkeys(("generator", "look", "pose"), Adam(1e-3, 0.5, schedule=decay))


METHODS = (Method("Toy", ToyConfig, configure, build, generate, updates, optimizers,
                  frozenset({"condition", "condition_pose", "target_pose"}), title="A toy",
                  colour="#cc79a7", claim="two discriminators"),)  # fmt: skip
