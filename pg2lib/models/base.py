"""The interface of a method: its inputs, its output, and one frozen `Method`.

A method is one file in this folder. It holds its networks, its configuration, its losses and the
numbers its paper printed, and lists its rows in `METHODS`. Training, evaluation, tables, figures
and applications use methods only through this interface.
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
    """Possible inputs of a method. Images are float32 in [-1, 1], keypoints in pixels. A training
    Batch has these fields too and serves as Inputs."""

    condition: torch.Tensor  # I_A (B, 3, H, W)
    condition_keypoints: torch.Tensor | None  # P_A (B, 18, 2), None where unknown
    target_keypoints: torch.Tensor  # P_B (B, 18, 2)
    extras: dict = field(default_factory=dict)  # name -> (B, ...), such as parsing maps


@dataclass(frozen=True)
class Output:
    """A method's output: the image and, by name, parts worth showing or keeping."""

    image: torch.Tensor  # float32 (B, 3, H, W), about [-1, 1]
    parts: dict = field(default_factory=dict)  # such as "coarse" and "difference"


@dataclass(frozen=True)
class TrainingConfig:
    """The fields that the training loop needs of any network; methods add their own.

    The key of a finished run contains the fields that differ from their defaults, so a default
    never changes: set other values in `configure`. Raises UserError for a value not in CHOICES.
    """

    height: int = 128
    width: int = 64
    iterations: int = 22_000
    batch: int = 16
    threads: int = 0  # CPU threads in training; 0: all cores. Affects the last bits
    precision: str = "auto"  # "float32", "bfloat16", or bfloat16 if fast on the device
    compiled: str = "auto"  # "yes", "no", or torch.compile on CUDA only
    average: float = 0.0  # decay of the generators' moving average; 0: the last weights

    # field -> its allowed values; methods add theirs. No annotation, so not a field.
    CHOICES = {"precision": devices.PRECISIONS, "compiled": devices.COMPILED}

    def __post_init__(self):
        for name, choices in self.CHOICES.items():
            require_in(name, getattr(self, name), choices)

    @property
    def batches_per_step(self) -> int:
        """Number of independent batches drawn per step."""
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
    """Scores of a method's images measured by others."""

    half: str  # of Table 1: the data set
    by: str  # "paper", or who else, with which weights
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
    # (networks, config, batches, start) -> iterator of Updates; the loop performs each before it
    # takes the next. batches: data.dataset.Batch, config.batches_per_step of them
    updates: Callable[..., Iterator[Update]]
    # config -> {network: Adam}
    optimizers: Callable[[TrainingConfig], dict[str, Adam]]
    needs: frozenset = frozenset({"condition", "target_pose"})  # of INPUTS or names of extras
    generators: tuple[str, ...] = ("generator",)  # networks that generate; others only train
    start: str | None = None  # the frozen method whose output this one refines
    against: str | None = None  # of an ablation: the row to compare it with
    row: bool = True  # False: a training that rows start from, in no table
    paper: str = "PG2"  # whose table it is a row of: Table 1, or that of successors
    beside: tuple[str, ...] = ()  # rows of other papers shown beside it
    reported: tuple[Reported, ...] = ()  # its scores measured by others
    budget: str | None = None  # a row: trained for as many FLOPs as that row
    # Only shown; changes here cause no retraining.
    claim: str = ""  # the paper's claim about it
    title: str = ""  # above its column in a figure; may hold line breaks
    colour: str = ""  # of its marks, "#rrggbb"
    published: dict = field(default_factory=dict)  # half of Table 1 -> {score: printed value}
    published_preset: str = "pg2"  # of SSIM, under which these were measured
    doubts: dict = field(default_factory=dict)  # (half, score) -> footnote on a printed cell

    @property
    def shown(self) -> dict:
        """The display-only fields, as JSON values."""
        doubts = {" ".join(cell): text for cell, text in self.doubts.items()}
        names = ("claim", "title", "colour", "published", "published_preset", "against")
        return {name: getattr(self, name) for name in names} | {"doubts": doubts}

    @property
    def trained_by(self) -> tuple[Callable, ...]:
        """The functions that determine the result of training."""
        return self.build, self.generate, self.updates, self.optimizers


def bind(method: Method, networks, config, start=None):
    """Bind a method to a function Inputs -> Output that tracks no gradients.

    start: such a function of the method it refines.

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
    """1 until `begin`, then linear down to 0 at `iterations`."""
    return 1.0 if step < begin else (iterations - step) / max(iterations - begin, 1)


def _warm(schedule, steps: int, step: int) -> float:
    return min((step + 1) / steps, 1.0) * (schedule(step) if schedule else 1.0)


def schedule_of(name: str, iterations: int, warmup: float = 0.0) -> Callable | None:
    """The schedule for `Adam` with this name in SCHEDULES; the rate rises linearly over the share
    `warmup` of the steps."""
    falling = {"cosine": cosine, "linear": linear_decay}.get(name)
    schedule = partial(falling, iterations=iterations) if falling else None
    steps = round(warmup * iterations)
    return partial(_warm, schedule, steps) if steps else schedule
