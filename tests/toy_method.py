"""A method of one's own in under 60 lines: docs/adding-a-method.md walks through it."""

from dataclasses import dataclass

import torch
from torch import nn

from pg2lib.data.heatmaps import heatmaps
from pg2lib.models.base import Adam, Method, Output, TrainingConfig, Update, linear_decay
from pg2lib.models.layers import conv3, frozen
from pg2lib.models.losses import bce, masked_l1


@dataclass(frozen=True)
class ToyConfig(TrainingConfig):
    channels: int = 8
    learning_rate: float = 1e-3
    l1_weight: float = 10.0


def configure(setting, profile):
    iterations = profile.iterations[0] if profile.iterations else 1_000
    return ToyConfig(setting.height, setting.width, iterations, profile.batch or 8, profile.threads)


def stack(inputs, channels, outputs):
    return nn.Sequential(conv3(inputs, channels), nn.ReLU(), conv3(channels, outputs))


def build(config):
    c = config.channels
    return {"generator": stack(3 + 18 + 18, c, 3), "look": stack(6, c, 1), "pose": stack(21, c, 1)}


def both_poses(config, inputs):
    poses = inputs.condition_keypoints, inputs.target_keypoints
    return [heatmaps(pose, config.height, config.width) for pose in poses]  # P_A, P_B


def generate(networks, config, inputs, start=None):
    images = torch.cat([inputs.condition, *both_poses(config, inputs)], 1)  # (B, 39, H, W)
    return Output(networks["generator"](images).float())


def updates(networks, config, batches, start=None):
    [batch] = batches
    image, pose = generate(networks, config, batch).image, both_poses(config, batch)[1]
    beside = {"look": batch.condition, "pose": pose}  # what each discriminator sees beside an image
    loss = config.l1_weight * masked_l1(image, batch.target)
    for name, other in beside.items():
        with frozen(networks[name]) as critic:
            loss = loss + bce(critic(torch.cat([other, image], 1)).float(), 1.0)
    yield Update("generator", loss)
    for name, other in beside.items():
        pairs = [torch.cat([other, shown], 1) for shown in (batch.target, image.detach())]
        real, fake = (networks[name](pair).float() for pair in pairs)
        yield Update(name, bce(real, 1.0) + bce(fake, 0.0))


def optimizers(config):
    def decay(step):
        return linear_decay(step, config.iterations, config.iterations // 2)

    adam = Adam(config.learning_rate, 0.5, schedule=decay)
    return dict.fromkeys(("generator", "look", "pose"), adam)


NEEDS = frozenset({"condition", "condition_pose", "target_pose"})
METHODS = (Method("Toy", ToyConfig, configure, build, generate, updates, optimizers, NEEDS,
                  title="A toy", colour="#cc79a7", claim="two discriminators"),)  # fmt: skip
