"""What a method is to the rest of the library: its inputs, its output, and one frozen `Method`.

A method is one file of this folder. It holds its networks, its configuration, its losses and the
numbers its paper printed, and lists its rows in `METHODS`. Training, evaluation, tables, figures
and applications know methods by this interface only.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import torch
from torch import nn

from pg2lib.core import devices
from pg2lib.core.config import require_in
from pg2lib.core.files import UserError

SCHEDULES = ("constant", "cosine", "linear")
INPUTS = frozenset({"condition", "condition_pose", "target_pose"})  # and any name in extras


@dataclass(frozen=True)
class Inputs:
    """What a method may paint from. Images are float32 in [-1, 1], keypoints in pixels.

    A training Batch has these fields too and serves as Inputs in training."""

    condition: torch.Tensor  # I_A (B, 3, H, W)
    condition_keypoints: torch.Tensor | None  # P_A (B, 18, 2), None where unknown
    target_keypoints: torch.Tensor  # P_B (B, 18, 2)
    extras: dict = field(default_factory=dict)  # name -> (B, ...), such as parsing maps


@dataclass(frozen=True)
class Output:
    """What a method paints: the image and, by name, the parts worth showing or keeping."""

    image: torch.Tensor  # float32 (B, 3, H, W), about [-1, 1]
    parts: dict = field(default_factory=dict)  # such as "coarse" and "difference"


@dataclass(frozen=True)
class TrainingConfig:
    """What the training loop needs to know of any network; methods add fields of their own.

    A finished run is keyed by the fields that differ from their defaults, so a default never
    changes: another value belongs into `configure`. Raises UserError for a value not in CHOICES.
    """

    height: int = 128
    width: int = 64
    iterations: int = 22_000
    batch: int = 16
    threads: int = 0  # CPU threads while training; 0: all cores. The bits depend on it
    precision: str = "auto"  # "float32", "bfloat16", or bfloat16 where the device is fast at it
    compiled: str = "auto"  # "yes", "no", or through torch.compile on CUDA alone
    average: float = 0.0  # decay of the moving average of what generates; 0: the last weights

    # field -> the values it may have; methods add theirs. No annotation: this is no field.
    CHOICES = {"precision": devices.PRECISIONS, "compiled": devices.COMPILED}

    def __post_init__(self):
        for name, choices in self.CHOICES.items():
            require_in(name, getattr(self, name), choices)

    @property
    def batches_per_step(self) -> int:
        """Independent batches that one step draws."""
        return 1


class Update(NamedTuple):
    """One update of a step: the networks to train, their loss, and terms to log."""

    networks: str | tuple[str, ...]
    loss: torch.Tensor  # scalar
    terms: dict[str, torch.Tensor] = {}  # scalars


@dataclass(frozen=True)
class Adam:
    """The optimiser of one network: PyTorch's Adam; schedule(step) multiplies the rate."""

    learning_rate: float
    beta1: float = 0.9
    beta2: float = 0.999
    schedule: Callable[[int], float] | None = None  # None: constant

    def rate(self, step: int) -> float:
        return self.learning_rate * (self.schedule(step) if self.schedule else 1.0)


class Reported(NamedTuple):
    """Scores of a method's images that others measured."""

    half: str  # of Table 1: the data set
    by: str  # "paper", or who else and with which weights
    preset: str  # of SSIM
    scores: dict  # score -> value


@dataclass(frozen=True)
class Method:
    """One row of the tables. The callables are module-level functions of the method's file."""

    name: str  # as in the paper's table
    config: type[TrainingConfig]  # the method's own frozen dataclass
    # (config.Setting at the study's size, config.Profile) -> an instance of it
    configure: Callable
    # config -> {"generator": Module, ...}, in the order in which they are initialised
    build: Callable[[TrainingConfig], dict[str, nn.Module]]
    # (networks, config, Inputs, start) -> Output; start: Inputs -> Output of the frozen method
    # that this one refines, or None
    generate: Callable[..., Output]
    # (networks, config, batches, start) -> one Update after the other; the loop carries out each
    # before it asks for the next. batches: as many data.dataset.Batch as config asks for
    updates: Callable[..., Iterator[Update]]
    # config -> {network: Adam}
    optimizers: Callable[[TrainingConfig], dict[str, Adam]]
    needs: frozenset = frozenset({"condition", "target_pose"})  # of INPUTS or names of extras
    generators: tuple[str, ...] = ("generator",)  # networks that generate; the rest only trains
    start: str | None = None  # the frozen method whose output this one refines
    against: str | None = None  # an ablation: the row it is compared with
    row: bool = True  # False: a training that rows start from, in no table of its own
    paper: str = "PG2"  # whose table it is a row of: Table 1, or that of successors
    beside: tuple[str, ...] = ()  # rows of other papers that stand beside it there
    reported: tuple[Reported, ...] = ()  # and scores of it that others measured
    budget: str | None = None  # a row: trained for as many FLOPs as that one costs
    # What is only shown; a change here trains nothing again.
    claim: str = ""  # what the paper says of it
    title: str = ""  # above its column in a figure; may hold line breaks
    colour: str = ""  # of its marks, "#rrggbb"
    published: dict = field(default_factory=dict)  # half of Table 1 -> {score: printed value}
    published_preset: str = "pg2"  # of SSIM, under which these were measured
    doubts: dict = field(default_factory=dict)  # (half, score) -> footnote on a printed cell

    @property
    def shown(self) -> dict:
        """The fields that are only shown, as JSON values."""
        doubts = {" ".join(cell): text for cell, text in self.doubts.items()}
        names = ("claim", "title", "colour", "published", "published_preset", "against")
        return {name: getattr(self, name) for name in names} | {"doubts": doubts}

    @property
    def trained_by(self) -> tuple[Callable, ...]:
        """The functions that decide what training ends with."""
        return self.build, self.generate, self.updates, self.optimizers


def bind(method: Method, networks, config, start=None):
    """The method as a function Inputs -> Output that tracks no gradients.

    start: such a function of the method that it refines.

    Raises:
        UserError: when called without an input that the method needs.
    """
    return partial(_generate, method, networks, config, start)


@torch.no_grad()
def _generate(method, networks, config, start, inputs: Inputs) -> Output:
    known = set(inputs.extras) | {"condition", "target_pose"}
    known |= {"condition_pose"} if inputs.condition_keypoints is not None else set()
    if missing := sorted(method.needs - known):
        what = missing[0].replace("_", " ")
        raise UserError(
            f"{method.name} needs the {what} of the photo; give it, or choose another row"
        )
    return method.generate(networks, config, inputs, start)


def cosine(step: int, iterations: int) -> float:
    """Half a cosine wave from 1 to 0."""
    return (1 + math.cos(math.pi * step / iterations)) / 2


def linear_decay(step: int, iterations: int, begin: int = 0) -> float:
    """1 until `begin`, then a straight line to 0 at `iterations`."""
    return 1.0 if step < begin else (iterations - step) / max(iterations - begin, 1)


def _warm(schedule, steps: int, step: int) -> float:
    return min((step + 1) / steps, 1.0) * (schedule(step) if schedule else 1.0)


def schedule_of(name: str, iterations: int, warmup: float = 0.0) -> Callable | None:
    """A schedule for `Adam` by its name in SCHEDULES; the rate rises on a straight line through a
    share `warmup` of the steps."""
    falling = {"cosine": cosine, "linear": linear_decay}.get(name)
    schedule = partial(falling, iterations=iterations) if falling else None
    steps = round(warmup * iterations)
    return partial(_warm, schedule, steps) if steps else schedule
