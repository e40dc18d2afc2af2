"""PATN, Progressive Pose Attention Transfer (Zhu et al., CVPR 2019): the row and six ablations.

Two streams run through equal blocks: the code of the condition image I_A, and the code of both
poses. Each block changes the image code a little, where a mask from the pose code says so. Two
discriminators judge the result: D_A beside the condition image, D_S beside the target pose.

Layers and numbers follow the official code (tengteng95/Pose-Transfer) and match its printed
parameter count; where the code has accidents, `released` keeps them and `paper` does not. Each
switch is described in docs/patn-paper-vs-code.md.
"""

from dataclasses import dataclass, fields
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from pg2lib.core.config import with_fields
from pg2lib.core.files import UserError
from pg2lib.data.heatmaps import gaussian_heatmaps
from pg2lib.models.base import (
    INPUTS,
    SCHEDULES,
    Adam,
    Inputs,
    Method,
    Output,
    Reported,
    TrainingConfig,
    Update,
    linear_decay,
    schedule_of,
)  # fmt: skip
from pg2lib.models.layers import Reflect, RunningBatchNorm, evaluating, frozen, normal
from pg2lib.models.losses import bce, least_squares, perceptual_distance
from pg2lib.models.memory import Memory

JOINT_COUNT = 18
CRITICS = {"appearance": 6, "shape": 3 + JOINT_COUNT}  # name -> input channels


@dataclass(frozen=True)
class PATNConfig(TrainingConfig):
    """One training run of PATN; the defaults are those of Market-1501 at full size."""

    iterations: int = 87_500  # 700 "epochs" of 4,000 pairs (released code)
    batch: int = 32
    channels: int = 64  # of the first convolution of every network
    blocks: int = 9  # pose-attentional transfer blocks
    attention: str = "pose"  # M from the pose code; "one": M = 1, a plain residual generator
    norm: str = "batch"  # released code: "batch" for Market, "instance" for DeepFashion
    dropout: float = 0.5  # inside every block, of generator and discriminators, in training
    heatmaps: str = "gaussian"  # "pixel": released code for DeepFashion, truncated to integers
    sigma: float = 6.0  # pixels, deviation of the Gaussians
    gan: str = "bce"  # BCE after a sigmoid (code, Market); "lsgan": squares (code, DeepFashion);
    #                   "softmax": cross-entropy of two classes at each place (notes on the paper)
    appearance: bool = True  # train against D_A; False: an ablation
    shape: bool = True  # train against D_S; False: an ablation
    adversarial_weight: float = 5.0  # lambda_GAN
    halved: bool = True  # two adversarial terms are averaged (released code); False: summed
    l1_weight: float = 10.0  # lambda_A, of the L1 distance of pixels
    perceptual: str = "vgg19"  # "none": an option of the code; "random": untrained, fixed seed
    perceptual_weight: float = 10.0  # lambda_B
    pool: int = 50  # fakes that each D may see again later; 0: only the newest
    init: str = "normal"  # deviation 0.02 in the generator (code); "torch": PyTorch's own
    d_init: str = "torch"  # of the discriminators (the code omits its own); "normal"
    learning_rate: float = 2e-4  # Adam of the generator
    d_learning_rate: float = 2e-4  # Adam of both discriminators
    schedule: str = "late"  # constant, then linear to 0; "epochs": the same in steps (code)
    decay_from: float = 5 / 7  # share of training at which "late" begins to fall
    warmup: float = 0.0  # share of steps with a rising rate; not with "late", "epochs"
    beta1: float = 0.5
    beta2: float = 0.999

    CHOICES = TrainingConfig.CHOICES | {
        "attention": ("pose", "one"), "norm": ("batch", "instance"),
        "heatmaps": ("gaussian", "pixel"),
        "gan": ("bce", "lsgan", "softmax"), "perceptual": ("vgg19", "none", "random"),
        "init": ("normal", "torch"), "d_init": ("normal", "torch"),
        "schedule": ("late", "epochs", *SCHEDULES),
    }  # fmt: skip

    @property
    def critics(self) -> tuple[str, ...]:
        return tuple(name for name in CRITICS if getattr(self, name))


# ---- networks


def norm(kind: str, channels: int) -> nn.Module:
    """Batch normalisation with learnt scale, or instance normalisation without."""
    # not GroupNorm with one channel per group, ten times slower on a CPU
    return RunningBatchNorm(channels) if kind == "batch" else nn.InstanceNorm2d(channels)


def conv(inputs: int, outputs: int, kernel: int, kind: str, stride: int = 1) -> list[nn.Module]:
    """Convolution and normalisation, with reflection padding, or zero padding if strided."""
    bias, pad = kind == "instance", kernel // 2  # a batch norm has a bias of its own
    if stride == 1:
        return [Reflect(pad), nn.Conv2d(inputs, outputs, kernel, bias=bias), norm(kind, outputs)]
    return [nn.Conv2d(inputs, outputs, kernel, stride, pad, bias=bias), norm(kind, outputs)]


def encoder(inputs: int, channels: int, kind: str) -> list[nn.Module]:
    """(B, inputs, H, W) -> (B, 4 channels, H/4, W/4)."""
    return [
        *conv(inputs, channels, 7, kind), nn.ReLU(),
        *conv(channels, 2 * channels, 3, kind, stride=2), nn.ReLU(),
        *conv(2 * channels, 4 * channels, 3, kind, stride=2), nn.ReLU(),
    ]  # fmt: skip


def path(inputs: int, outputs: int, kind: str, dropout: float, normed: bool = True):
    """Two convolutions of a block; the second is normalised if `normed`."""
    second = conv(inputs, outputs, 3, kind)[: 3 if normed else 2]
    return nn.Sequential(*conv(inputs, inputs, 3, kind), nn.ReLU(), nn.Dropout(dropout), *second)


class Block(nn.Module):
    """A pose-attentional transfer block: one small step of the image code towards the target.

    pose_channels: of the incoming pose code, or None for the residual block with M = 1.
    """

    def __init__(self, channels: int, pose_channels: int | None, kind: str, dropout: float):
        super().__init__()
        self.image = path(channels, channels, kind, dropout)
        if pose_channels:
            self.pose = path(pose_channels, channels, kind, dropout, normed=False)

    def forward(self, image, pose=None):
        """image code (B, c, h, w), pose code (B, c or 2c, h, w) -> the next ones, (B, c, h, w) and
        (B, 2c, h, w), and the mask M (B, c, h, w) in (0, 1)."""
        if pose is None:
            return image + self.image(image), None, None
        pose = self.pose(pose)
        mask = pose.sigmoid()
        image = image + mask * self.image(image)
        return image, torch.cat([pose, image], 1), mask  # the pose before the sigmoid


class PATN(nn.Module):
    """The generator. 41,365,763 parameters for Market-1501, 41,358,019 for DeepFashion.

    With attention="one" no pose code would reach the image, so there is none: the heatmaps enter
    beside the condition image.
    """

    def __init__(self, channels=64, blocks=9, kind="batch", dropout=0.5, attention="pose"):
        super().__init__()
        c, poses = channels, 2 * JOINT_COUNT
        self.streams = attention == "pose"
        self.image = nn.Sequential(*encoder(3 if self.streams else 3 + poses, c, kind))
        if self.streams:
            self.pose = nn.Sequential(*encoder(poses, c, kind))
        incoming = [4 * c, *[8 * c] * (blocks - 1)] if self.streams else [None] * blocks
        self.blocks = nn.ModuleList(Block(4 * c, width, kind, dropout) for width in incoming)
        ups = []
        for width in (4 * c, 2 * c):
            up = nn.ConvTranspose2d(width, width // 2, 3, 2, 1, 1, bias=kind == "instance")
            ups += [up, norm(kind, width // 2), nn.ReLU()]
        self.decoder = nn.Sequential(*ups, Reflect(3), nn.Conv2d(c, 3, 7), nn.Tanh())

    def forward(self, condition, poses, masks: list | None = None):
        """condition I_A (B, 3, H, W), poses (P_A, P_B) (B, 36, H, W) -> I_B (B, 3, H, W) in
        [-1, 1]. masks: a list that takes the mask of every block, (B, 4 channels, H/4, W/4)."""
        if self.streams:
            image, pose = self.image(condition), self.pose(poses)
        else:
            image, pose = self.image(torch.cat([condition, poses], 1)), None
        for block in self.blocks:
            image, pose, mask = block(image, pose)
            if masks is not None and mask is not None:
                masks.append(mask)
        return self.decoder(image)


class Residual(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


class Critic(nn.Sequential):
    """A discriminator that judges each of its last outputs, without a layer to summarise them.

    Input (B, inputs, H, W), the candidate first; returns (B, 4 channels, H/4, W/4), or two classes
    (B, 2, H/4, W/4).
    """

    def __init__(self, inputs=6, channels=64, kind="batch", dropout=0.5, classes=False):
        width = 4 * channels
        blocks = [Residual(*path(width, width, kind, dropout)) for _ in range(3)]
        head = [nn.Conv2d(width, 2, 1)] if classes else []
        super().__init__(*encoder(inputs, channels, kind), *blocks, *head)


class AppearanceD(Critic):
    """D_A: does the candidate show the person of I_A? 3,930,368 parameters for Market-1501."""


class ShapeD(Critic):
    """D_S: is the candidate in the pose P_B? 3,977,408 parameters for Market-1501."""


def build(config: PATNConfig) -> dict[str, nn.Module]:
    """Generator, discriminators and training memory. Raises UserError for an image size that is not
    a multiple of 4."""
    c = config
    if c.height % 4 or c.width % 4:
        raise UserError(f"PATN halves images twice; {c.height}x{c.width} is no multiple of 4")
    networks = {"generator": PATN(c.channels, c.blocks, c.norm, c.dropout, c.attention)}
    kinds = {"appearance": AppearanceD, "shape": ShapeD}
    for name in c.critics:
        how = CRITICS[name], c.channels, c.norm, c.dropout, c.gan == "softmax"
        networks[name] = kinds[name](*how)
    for name, network in networks.items():
        if (c.init if name == "generator" else c.d_init) == "normal":
            network.apply(normal)
    size = c.height, c.width
    pools = {name: (c.pool, CRITICS[name], *size) for name in c.critics if c.pool}
    return networks | {"memory": Memory(c.batch, pools)}


# ---- generation


def pose_maps(config: PATNConfig, keypoints):
    """Heatmaps (B, 18, H, W) of keypoints (B, 18, 2)."""
    maps = gaussian_heatmaps(keypoints, config.height, config.width, config.sigma)
    # released code for DeepFashion: written as bytes, so only the peak is not 0
    return maps.floor() if config.heatmaps == "pixel" else maps


def painted(networks, config, inputs, masks=None):
    """I_B (B, 3, H, W) float32 in [-1, 1], in the generator's current mode."""
    pair = inputs.condition_keypoints, inputs.target_keypoints
    poses = torch.cat([pose_maps(config, keypoints) for keypoints in pair], 1)
    return networks["generator"](inputs.condition, poses, masks).float()


def generate(networks, config: PATNConfig, inputs: Inputs, start=None) -> Output:
    with evaluating(networks["generator"]):
        return Output(painted(networks, config, inputs))


@torch.no_grad()
def attention_masks(networks, config: PATNConfig, inputs: Inputs) -> list:
    """M of every block, each float32 (B, 4 channels, H/4, W/4) in (0, 1): where the image code
    changes."""
    masks = []
    with evaluating(networks["generator"]):
        painted(networks, config, inputs, masks)
    return [mask.float() for mask in masks]


@torch.no_grad()
def images_on_the_way(networks, config: PATNConfig, inputs: Inputs) -> list:
    """The decoder's output for the image code before the first block and after each one, each
    float32 (B, 3, H, W) in [-1, 1]. It was trained on the last code only."""
    codes = []

    def keep(module, given, made):
        codes.append(made[0] if isinstance(made, tuple) else made)

    with evaluating(networks["generator"]) as generator:
        hooks = [part.register_forward_hook(keep) for part in (generator.image, *generator.blocks)]
        try:
            painted(networks, config, inputs)
        finally:
            for hook in hooks:
                hook.remove()
        return [generator.decoder(code).float() for code in codes]


# ---- losses


def judged(gan: str, numbers, real: bool):
    """The loss of a discriminator's outputs against one label, averaged. Scalar."""
    numbers = numbers.float()
    if gan == "lsgan":
        return least_squares(numbers, float(real))
    if gan == "softmax":
        answers = torch.full_like(numbers[:, 0], int(real), dtype=torch.long)  # (B, h, w)
        return F.cross_entropy(numbers, answers)
    return bce(numbers, float(real))


def adversarial(config, losses):
    """The generator's adversarial loss from that of each discriminator, weighted. Scalar."""
    total = torch.stack(losses).sum()
    return config.adversarial_weight * (total / len(losses) if config.halved else total)


def updates(networks, config: PATNConfig, batches, start=None):
    """One step: the generator, then D_A and D_S on its output from before the update."""
    c, batch, memory = config, batches[0], networks["memory"]
    memory.next_step()
    device, numbers = batch.target.device, iter(range(1, 100))
    beside = {"appearance": batch.condition, "shape": pose_maps(c, batch.target_keypoints)}

    def seen(name, image):
        return torch.cat([image, beside[name]], 1)

    def answers(name, shown):
        with memory.noise(next(numbers), device):
            return networks[name](shown)

    with memory.noise(0, device):
        image = painted(networks, c, batch)
    terms = {"l1": F.l1_loss(image, batch.target)}
    loss = c.l1_weight * terms["l1"]
    if c.perceptual != "none":
        terms["perceptual"] = perceptual_distance(c.perceptual, image, batch.target)
        loss = loss + c.perceptual_weight * terms["perceptual"]
    fooled = []
    for name in c.critics:
        with frozen(networks[name]):
            fooled.append(judged(c.gan, answers(name, seen(name, image)), True))
            terms[f"adversarial_{name}"] = fooled[-1]
    yield Update("generator", loss + adversarial(c, fooled) if fooled else loss, terms)
    for name in c.critics:
        fakes = memory.exchange(name, seen(name, image.detach()))
        # two passes, as in the released code: each has its own batch statistics
        real = judged(c.gan, answers(name, seen(name, batch.target)), True)
        fake = judged(c.gan, answers(name, fakes), False)
        yield Update(name, c.adversarial_weight * (real + fake) / 2, {f"{name}_real": real})


def by_epochs(step: int, iterations: int) -> float:
    """The released code's rate: 700 "epochs", falling from the 500th on, 0 in the last one."""
    epoch = step * 700 // iterations + 1
    return 1 - max(0, epoch - 499) / 201


def optimizers(config: PATNConfig) -> dict[str, Adam]:
    c = config
    named = {
        "late": partial(
            linear_decay, iterations=c.iterations, begin=round(c.decay_from * c.iterations)
        ),
        "epochs": partial(by_epochs, iterations=c.iterations),
    }
    schedule = named.get(c.schedule) or schedule_of(c.schedule, c.iterations, c.warmup)
    rates = {"generator": c.learning_rate} | dict.fromkeys(c.critics, c.d_learning_rate)
    return {name: Adam(rate, c.beta1, c.beta2, schedule) for name, rate in rates.items()}


# ---- rows

# The published commands (README of the released code); DeepFashion's sigma is the authors' answer
# in issue 26.
PAPER = {
    "market1501": dict(batch=32, iterations=87_500, height=128, norm="batch", gan="bce",
                       l1_weight=10.0, perceptual_weight=10.0, pool=50),
    "deepfashion": dict(batch=7, iterations=400_400, height=256, norm="instance", gan="lsgan",
                        l1_weight=1.0, perceptual_weight=1.0, pool=0),
}  # fmt: skip
# Profiles with short trainings: at batches of 4 or 8 batch statistics are noisy, and an average of
# the weights has no running averages of its own. Without the perceptual loss, DeepFashion's weight
# of L1 leaves nearly all to the discriminators, and the images are stripes.
SHORT = dict(blocks=5, norm="instance", perceptual="none", l1_weight=10.0, pool=0)


def configure(setting, profile, **own) -> PATNConfig:
    """The configuration of a row with its own fields `own`, for a data set (config.Setting at the
    study's image size) and a config.Profile. Profiles of short trainings have no perceptual loss,
    whatever is installed."""
    paper = dict(PAPER[setting.half])
    paper["sigma"] = 6.0 * setting.height / paper.pop("height")
    if profile.iterations:
        paper |= SHORT | {"iterations": profile.iterations[0]}
    if profile.batch:
        paper["batch"] = profile.batch
    known = {field.name for field in fields(PATNConfig)} - {"l1_weight"}
    rates = {key: value for key, value in profile.adversarial.items() if key == "d_learning_rate"}
    chosen = {key: value for key, value in (profile.training | rates).items() if key in known}
    if profile.released:
        pixel = {"heatmaps": "pixel"} if setting.half == "deepfashion" else {}
        chosen |= {"schedule": "epochs"} | pixel
    size = dict(height=setting.height, width=setting.width, threads=profile.threads)
    c = PATNConfig(**size, channels=min(profile.channels, 64), **paper)
    return with_fields(c, chosen | own, f"profile {profile.name}")


# Scores measured by others. The paper's Table 1 as quoted by a public reading note (Market, PCKh)
# and a user of ADGAN (its issue 13); then by users of the released code, in its issues.
FOUR = ("ssim", "inception", "mask_ssim", "mask_inception")
ISSUE = "a user, issue"
REPORTED = (
    Reported("market1501", "paper", "patn", {"ssim": 0.311, "mask_inception": 3.773, "pckh": 0.94}),
    *(Reported("market1501", f"{weights} weights, {ISSUE} {issue}", "patn", dict(zip(FOUR, found)))
      for weights, issue, found in (
          ("released", 51, (0.311, 3.329, 0.811, 3.778)),
          ("released", 31, (0.2815, 3.162, 0.7994, 3.736)),
          ("released", 27, (0.281, 3.16)),
          ("own", 51, (0.268, 3.652, 0.792, 3.733)),
      )),
    Reported("deepfashion", "paper", "patn-fashion", {"ssim": 0.773, "inception": 3.209,
                                                      "pckh": 0.96}),
)  # fmt: skip


def row(name, claim, colour="#b0b0b0", title="", against="PATN", budget=None, **own) -> Method:
    """A Method of this file; `own` are fields of its configuration."""
    return Method(
        name, PATNConfig, partial(configure, **own), build, generate, updates, optimizers, INPUTS,
        claim=claim, title=title or name, colour=colour, against=against, paper="PATN",
        beside=("G1-poseMaskLoss", "G1+G2+D"), reported=REPORTED if name == "PATN" else (),
        budget=budget,
    )  # fmt: skip


METHODS = (
    row("PATN", "a chain of small steps, each led by the poses", "#117733", against=None),
    row("PATN-equalFLOPs", "PATN, trained for as many FLOPs as PG2's two stages", "#66a182",
        "PATN,\nFLOPs of\nG1+G2+D", against=None, budget="G1+G2+D"),
    row("PATN-noMask", "the masks lead the transfer: with M = 1 it is worse", attention="one"),
    row("PATN-noAppearanceD", "D_A keeps the person's look", appearance=False),
    row("PATN-noShapeD", "D_S keeps the pose", shape=False),
    row("PATN-5", "five blocks", blocks=5),
    row("PATN-9", "nine blocks", blocks=9),
    row("PATN-13", "thirteen blocks", blocks=13),
)  # fmt: skip
