"""A reading of Soft-Gated Warping-GAN (Dong et al., NIPS 2018): three trainings, and ablations.

Stage I paints the parsing map of the target pose. A matcher finds the warp, affine and then a thin-
plate spline, from the parsing map of I_A to it. Stage II paints the image: a block warps features
of I_A, T = Phi + gate * warp(R(Phi)), as far as a gate lets it.

The authors published no code, and the notes on the paper leave much open; the choices made are
listed in docs/soft-gated-reading.md. Rows of this file are a reading, not the paper's network.
"""

from dataclasses import dataclass, fields, replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from pg2lib.core.config import with_fields
from pg2lib.core.files import UserError
from pg2lib.data import parsing
from pg2lib.data.heatmaps import heatmaps
from pg2lib.models import translation, warping
from pg2lib.models.base import (
    SCHEDULES,
    Adam,
    Inputs,
    Method,
    Output,
    TrainingConfig,
    Update,
    linear_decay,
    schedule_of,
)  # fmt: skip
from pg2lib.models.layers import Reflect
from pg2lib.models.losses import perceptual_distance
from pg2lib.models.memory import Memory
from pg2lib.models.translation import PatchD, Residual, conv, decoder, encoder, started

JOINTS = 18
ROWS = 16  # of the maps that the matcher correlates
POINTS = 20  # points per axis at which two warps are compared (GEO)
PALETTE = (
    (0, 0, 0), (200, 110, 30), (250, 200, 160), (230, 60, 60), (70, 90, 230), (40, 170, 80),
    (130, 130, 200), (240, 210, 50), (60, 190, 200),
)  # fmt: skip


@dataclass(frozen=True)
class ReadingConfig(TrainingConfig):
    """Fields shared by the three trainings; the defaults are those of full size."""

    channels: int = 64  # of the first convolution of every network
    labels: str = "people"  # label set in data.parsing.LABELS
    learning_rate: float = 2e-4
    d_learning_rate: float = 2e-4  # of the discriminator
    schedule: str = "late"  # constant, then linear to 0
    decay_from: float = 0.5  # share of training at which "late" begins to fall
    warmup: float = 0.0  # share of steps with a rising rate; not with "late"
    beta1: float = 0.5
    beta2: float = 0.999

    CHOICES = TrainingConfig.CHOICES | {
        "labels": tuple(parsing.LABELS), "schedule": ("late", *SCHEDULES),
    }  # fmt: skip

    @property
    def label_count(self) -> int:
        return parsing.count(self.labels)


@dataclass(frozen=True)
class MatcherConfig(ReadingConfig):
    """The training of the matcher."""

    iterations: int = 50_000
    batch: int = 16
    learning_rate: float = 1e-3
    beta1: float = 0.9


@dataclass(frozen=True)
class PaintingConfig(ReadingConfig):
    """Fields shared by the stages that paint."""

    iterations: int = 200_000
    batch: int = 12
    halvings: int = 3  # of height and width, before the residual blocks
    blocks: int = 9  # residual blocks
    radius: int = 4  # pixels, of the discs of the pose
    scales: int = 1  # at which the discriminator looks
    adversarial_weight: float = 1.0
    matching_weight: float = 10.0  # of the features of the discriminator; 0: an ablation


@dataclass(frozen=True)
class ParserConfig(PaintingConfig):
    """The training of stage I."""

    iterations: int = 100_000
    batch: int = 50
    entropy_weight: float = 10.0  # of the cross-entropy of the labels


@dataclass(frozen=True)
class PainterConfig(PaintingConfig):
    """The training of stage II."""

    warp: bool = True  # the warping block; False: an ablation
    gate: bool = True  # its gate; False: an ablation, warped features are added whole
    given: bool = False  # the true parsing map of the target instead of stage I's: an upper bound
    l1_weight: float = 10.0
    perceptual: str = "none"  # "vgg19", or "random" weights of a fixed seed
    perceptual_weight: float = 10.0

    CHOICES = ReadingConfig.CHOICES | {"perceptual": ("none", "vgg19", "random")}


# ---- networks


class Parser(nn.Sequential):
    """Stage I: parsing map of I_A and pose P_B (B, labels + 18, H, W) -> logits (B, labels, H, W).

    45,756,436 parameters at full width with 20 labels."""

    def __init__(self, labels=20, channels=64, halvings=3, blocks=9):
        middle = [Residual(channels << halvings) for _ in range(blocks)]
        ends = decoder(channels, halvings, labels)
        super().__init__(encoder(labels + JOINTS, channels, halvings), *middle, *ends)


class Matcher(nn.Module):
    """Two one-hot parsing maps (B, labels, H, W) -> parameters (B, 6 or 18) of the warp from the
    first to the second, 0 before training."""

    def __init__(self, numbers, labels, height, width, channels=64):
        super().__init__()
        halvings = max(0, (height // ROWS).bit_length() - 1)
        rows, columns = height >> halvings, width >> halvings
        if rows < 8 or columns < 8:
            raise UserError(
                f"the matcher needs maps of 8x8 at least; {height}x{width} is too narrow"
            )
        widths = [min(channels << k, 512) for k in range(halvings + 1)]
        layers = conv(labels, widths[0])
        for a, b in zip(widths, widths[1:]):
            layers += conv(a, b, stride=2)
        # no ReLU after the last layer: features may point anywhere
        self.features = nn.Sequential(*layers, Reflect(1), nn.Conv2d(widths[-1], widths[-1], 3))
        self.head = nn.Sequential(
            nn.Conv2d(rows * columns, 2 * channels, 5), nn.ReLU(),
            nn.Conv2d(2 * channels, channels, 3), nn.ReLU(), nn.Flatten(),
        )  # fmt: skip
        self.theta = nn.Linear(channels * (rows - 6) * (columns - 6), numbers)
        nn.init.zeros_(self.theta.weight)
        nn.init.zeros_(self.theta.bias)

    def forward(self, source, target):
        alike = warping.correlation(self.features(source), self.features(target))
        return self.theta(self.head(alike)).float()


class WarpingBlock(nn.Module):
    """T = Phi + gate * warp(R(Phi)): one gate per pixel times one per channel ("attention"), both
    from Phi, the warped features and the target's features. gate=False: T = Phi + warp(R(Phi))."""

    def __init__(self, channels: int, gate: bool = True):
        super().__init__()
        self.residual = nn.Sequential(*conv(channels, channels), *conv(channels, channels)[:-1])
        self.pixel = nn.Conv2d(3 * channels, 1, 1) if gate else None
        self.channel = nn.Conv2d(3 * channels, channels, 1) if gate else None

    def forward(self, features, guide, places):
        """features Phi and guide (B, C, h, w), places (B, h, w, 2) -> T (B, C, h, w), and the gates
        (B, 1, h, w) and (B, C, 1, 1), each in (0, 1), or None."""
        moved = warping.sample(self.residual(features), places)
        if self.pixel is None:
            return features + moved, None
        seen = torch.cat([features, moved, guide], 1)
        pixel = self.pixel(seen).sigmoid()
        channel = self.channel(seen.mean((2, 3), keepdim=True)).sigmoid()
        return features + pixel * channel * moved, (pixel, channel)


class Painter(nn.Module):
    """Stage II. 179,454,787 parameters at full width with 20 labels, without the warping block."""

    def __init__(self, labels=20, channels=64, halvings=3, blocks=9, warp=True, gate=True):
        super().__init__()
        width = channels << halvings
        self.look = encoder(3 + labels, channels, halvings)
        self.shape = encoder(labels + JOINTS, channels, halvings)
        self.warp = WarpingBlock(width, gate) if warp else None
        middle = [Residual(2 * width) for _ in range(blocks)]
        ends = [*conv(2 * width, width), *decoder(channels, halvings, 3), nn.Tanh()]
        self.paint = nn.Sequential(*middle, *ends)

    def forward(self, look, shape, warps, gates: list | None = None):
        """look (B, 3 + labels, H, W): I_A and its parsing map; shape (B, labels + 18, H, W): the
        target's map, and P_B; warps: theta (B, 6) and (B, 18). Returns I_B (B, 3, H, W) in [-1, 1].
        gates: a list to which those of the block are added."""
        look, shape = self.look(look), self.shape(shape)
        if self.warp is not None:
            look, gate = self.warp(look, shape, warping.grid(*warps, *look.shape[2:]))
            if gates is not None:
                gates.append(gate)
        return self.paint(torch.cat([look, shape], 1))


# ---- the three trainings: what they share


def maps_of(config, inputs, which="parsing"):
    """One-hot parsing maps (B, labels, H, W) of the condition ("parsing") or the target, from the
    extras of inputs. When counting operations there are none, and pose regions stand in."""
    found = inputs.extras.get(which)
    if found is None:
        own = inputs.condition_keypoints, inputs.target_keypoints
        points = own[which != "parsing" or own[0] is None]
        found = parsing.pose_regions(points, config.height, config.width, config.labels)
    return parsing.one_hot(found, config.labels)


def pose_of(config, inputs):
    return heatmaps(inputs.target_keypoints, config.height, config.width, config.radius)


def optimizers(config) -> dict[str, Adam]:
    """The optimisers of all networks of the training."""
    c = config
    begin = round(c.decay_from * c.iterations)
    late = partial(linear_decay, iterations=c.iterations, begin=begin)
    schedule = late if c.schedule == "late" else schedule_of(c.schedule, c.iterations, c.warmup)
    rates = {"affine": c.learning_rate, "spline": c.learning_rate}
    if not isinstance(c, MatcherConfig):
        rates = {"generator": c.learning_rate, "discriminator": c.d_learning_rate}
    return {name: Adam(rate, c.beta1, c.beta2, schedule) for name, rate in rates.items()}


def check_size(config):
    step = 1 << config.halvings
    if config.height % step or config.width % step:
        size = f"{config.height}x{config.width}"
        raise UserError(
            f"images are halved {config.halvings} times; {size} is no multiple of {step}"
        )


# ---- stage I: the parser


def build_parser(config: ParserConfig) -> dict[str, nn.Module]:
    check_size(config)
    c, labels = config, config.label_count
    critic = PatchD(2 * labels + JOINTS, c.channels, c.scales)
    parser = Parser(labels, c.channels, c.halvings, c.blocks)
    return {"generator": started(parser), "discriminator": started(critic)}


def parse(networks, config: ParserConfig, inputs: Inputs, start=None) -> Output:
    """The map of the target pose, as a picture and in parts["parsing"], uint8 (B, H, W)."""
    before = torch.cat([maps_of(config, inputs), pose_of(config, inputs)], 1)
    found = networks["generator"](before).argmax(1).to(torch.uint8)
    return Output(picture(found), {"parsing": found})


def picture(maps):
    """Parsing maps (B, H, W) as images (B, 3, H, W) in [-1, 1], one colour per label."""
    colours = torch.tensor(PALETTE, device=maps.device) / 127.5 - 1
    return colours[maps.long() % len(PALETTE)].permute(0, 3, 1, 2)


def parser_updates(networks, config: ParserConfig, batches, start=None):
    c, batch = config, batches[0]
    conditions = torch.cat([maps_of(c, batch), pose_of(c, batch)], 1)
    target = maps_of(c, batch, "target_parsing")
    logits = networks["generator"](conditions).float()
    terms = {"entropy": F.cross_entropy(logits, target.argmax(1))}
    terms["wrong"] = (logits.argmax(1) != target.argmax(1)).float().mean()
    loss = c.entropy_weight * terms["entropy"]
    fake = logits.softmax(1)
    yield from translation.against_critic(
        networks["discriminator"], c, conditions, fake, target, loss, terms
    )


# ---- the matcher


def build_matcher(config: MatcherConfig) -> dict[str, nn.Module]:
    c = config
    size = c.label_count, c.height, c.width, c.channels
    matchers = {"affine": warping.AFFINE, "spline": warping.SPLINE}
    networks = {name: Matcher(numbers, *size) for name, numbers in matchers.items()}
    return networks | {"memory": Memory(c.batch)}


def match(networks, config: MatcherConfig, inputs: Inputs, start=None) -> Output:
    """Warp I_A; parts hold the parameters "affine" (B, 6) and "spline" (B, 18) of the warp, and the
    target's map "parsing" (B, H, W): extras["given_parsing"] or the output of `start`."""
    target = inputs.extras.get("given_parsing")
    target = start(inputs).parts.get("parsing") if target is None else target
    with_target = replace(inputs, extras=inputs.extras | {"target_parsing": target})
    source, wanted = maps_of(config, inputs), maps_of(config, with_target, "target_parsing")
    size = config.height, config.width
    affine = networks["affine"](source, wanted)
    nearer = warping.sample_parsing(source, warping.grid(affine, None, *size))
    spline = networks["spline"](nearer, wanted)
    image = warping.sample(inputs.condition, warping.grid(affine, spline, *size))
    found = wanted.argmax(1).to(torch.uint8) if target is None else target
    return Output(image, {"parsing": found, "affine": affine, "spline": spline})


def matcher_updates(networks, config: MatcherConfig, batches, start=None):
    """Train each matcher on a map and the same map under a random warp of both kinds; the spline
    finds what the affine warp leaves."""
    c, memory = config, networks["memory"]
    memory.next_step()
    source = maps_of(c, batches[0])
    with memory.noise(0, source.device):
        makers = warping.random_affine, warping.random_spline
        true = [make(len(source), source.device) for make in makers]
    size, points = (c.height, c.width), (POINTS, POINTS)

    def error(affine, spline):
        pair = (warping.grid(*warp, *points).flatten(1, 2) for warp in ((affine, spline), true))
        return warping.point_error(*pair)

    target = warping.sample_parsing(source, warping.grid(*true, *size))
    affine = networks["affine"](source, target)
    identity = error(torch.zeros_like(affine), None)
    yield Update("affine", error(affine, None), {"identity": identity})
    affine = affine.detach()
    nearer = warping.sample_parsing(source, warping.grid(affine, None, *size))
    yield Update("spline", error(affine, networks["spline"](nearer, target)))


# ---- stage II: the painter


def build_painter(config: PainterConfig) -> dict[str, nn.Module]:
    check_size(config)
    c, labels = config, config.label_count
    painter = Painter(labels, c.channels, c.halvings, c.blocks, c.warp, c.gate)
    critic = PatchD(3 + 2 * labels + JOINTS + 3, c.channels, c.scales)
    return {"generator": started(painter), "discriminator": started(critic)}


def conditions_of(config: PainterConfig, inputs, start):
    """Inputs of the painter: (I_A and its parsing map, the target's and P_B, the warps)."""
    if config.given:
        truth = inputs.extras.get("target_parsing")
        inputs = replace(inputs, extras=inputs.extras | {"given_parsing": truth})
    before = start(inputs).parts
    with_target = replace(inputs, extras=inputs.extras | {"target_parsing": before.get("parsing")})
    look = torch.cat([inputs.condition, maps_of(config, inputs)], 1)
    wanted = maps_of(config, with_target, "target_parsing")
    shape = torch.cat([wanted, pose_of(config, inputs)], 1)
    counts = {"affine": warping.AFFINE, "spline": warping.SPLINE}
    still = {name: look.new_zeros(len(look), count) for name, count in counts.items()}
    return look, shape, [before.get(name, zero) for name, zero in still.items()]


def paint(networks, config: PainterConfig, inputs: Inputs, start=None) -> Output:
    return Output(networks["generator"](*conditions_of(config, inputs, start)).float())


@torch.no_grad()
def gates(networks, config: PainterConfig, inputs: Inputs, start):
    """What the block lets through: float32 (B, 1, h, w) per pixel, (B, C, 1, 1) per channel, in (0,
    1); None without a gate."""
    found = []
    networks["generator"](*conditions_of(config, inputs, start), found)
    return found[0] if found else None


def painter_updates(networks, config: PainterConfig, batches, start=None):
    c, batch = config, batches[0]
    look, shape, warps = conditions_of(c, batch, start)
    image = networks["generator"](look, shape, warps).float()
    terms = {"l1": F.l1_loss(image, batch.target)}
    loss = c.l1_weight * terms["l1"]
    if c.perceptual != "none":
        terms["perceptual"] = perceptual_distance(c.perceptual, image, batch.target)
        loss = loss + c.perceptual_weight * terms["perceptual"]
    seen = torch.cat([look, shape], 1)
    critic = networks["discriminator"]
    yield from translation.against_critic(critic, c, seen, image, batch.target, loss, terms)


# ---- rows

PAPER, FULL = "Soft-Gated Warping-GAN (a reading)", "SoftGated"


def configure(setting, profile, kind, **own) -> ReadingConfig:
    """The configuration of a training of class `kind` with its own fields `own`, for a data set
    (config.Setting at the study's image size) and a config.Profile."""
    size = dict(height=setting.height, width=setting.width, threads=profile.threads)
    chosen, known = {}, {field.name for field in fields(kind)} - {"l1_weight"}
    if profile.iterations:
        chosen["iterations"] = profile.iterations[kind is PainterConfig]
    if profile.batch:
        chosen["batch"] = profile.batch
    if setting.height < 128 and "halvings" in known:
        chosen["halvings"] = 2  # three leave 8 rows at height 64
    rates = {key: value for key, value in profile.adversarial.items() if key == "d_learning_rate"}
    chosen |= {key: value for key, value in (profile.training | rates).items() if key in known}
    c = kind(**size, channels=min(profile.channels, 64))
    return with_fields(c, chosen | own, f"profile {profile.name}")


PARSED = frozenset({"condition", "target_pose", "parsing"})


def row(name, claim, colour="#b0b0b0", title="", against=FULL, start="SoftGated-matcher", **own):
    """A Method of stage II; `own` are fields of its configuration."""
    needs = PARSED | ({"target_parsing"} if own.get("given") else frozenset())
    return Method(
        name, PainterConfig, partial(configure, kind=PainterConfig, **own), build_painter, paint,
        painter_updates, optimizers, needs, start=start, claim=claim, title=title or name,
        colour=colour, against=against, paper=PAPER, beside=("G1-poseMaskLoss", "G1+G2+D"),
    )  # fmt: skip


# Trainings that rows start from; not rows themselves.
PARSER = Method(
    "SoftGated-parser", ParserConfig, partial(configure, kind=ParserConfig), build_parser, parse,
    parser_updates, optimizers, PARSED, row=False, paper=PAPER,
    claim="parsing maps of a target pose",
)  # fmt: skip
MATCHER = Method(
    "SoftGated-matcher", MatcherConfig, partial(configure, kind=MatcherConfig), build_matcher,
    match, matcher_updates, optimizers, PARSED, ("affine", "spline"), PARSER.name, row=False,
    paper=PAPER, claim="warps between parsing maps",
)  # fmt: skip
METHODS = (
    PARSER,
    MATCHER,
    row(FULL, "a gate warps features of the condition image", "#882255", against=None,
        title="Soft-gated\n(a reading)"),
    row("SoftGated-noGate", "the gate helps: without it, all that is warped counts", gate=False),
    row("SoftGated-noWarp", "warped features carry textures", start=PARSER.name, warp=False),
    row("SoftGated-givenParsing", "stage I comes close to the true maps", given=True),
    row("SoftGated-noMatching", "features of the discriminator sharpen", matching_weight=0.0),
)  # fmt: skip
