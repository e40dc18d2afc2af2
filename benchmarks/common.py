"""What all sections share: sizes, a line of the results, the timed rows, child processes."""

import json
import os
import re
import resource
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from pg2lib import models
from pg2lib.core.config import Study, sized
from pg2lib.data.dataset import Dataset
from pg2lib.data.parsing import LABELS
from pg2lib.models.base import INPUTS
from pg2lib.training.describe import describe_method

PROJECT = Path(__file__).resolve().parent.parent
PARSED = len(LABELS["people"])  # labels of a parsing map
SCRATCH = PROJECT / ".bench"  # for what is too large for a temporary file system in memory
ROW = "G1-poseMaskLoss"  # stands for a row without a discriminator
ADVERSARIAL_ROW = "G1+D"  # a row whose discriminator normalises over the batch


@dataclass(frozen=True)
class Size:
    """How much is measured. The defaults are what `make bench` does."""

    profile: str = "paper"  # of the training steps
    rows: int = 100  # timed at most: the last of those whose steps differ in cost
    repeats: int = 3  # rounds; the table has their medians
    product_side: int = 4_096  # of the matrix product that the steps are compared with
    score_pairs: int = 12_000
    reference_pairs: int = 400  # of those, through scikit-image's loop
    market_images: int = 12_936
    fashion_images: int = 52_712
    distinct: int = 200  # drawn pictures behind the JPEG files; the rest are links to them
    growth_profile: str = "lite"
    growth_channels: tuple = (16, 32, 64, 128)
    growth_batches: tuple = (4, 8, 16, 32)
    growth_sizes: tuple = ((64, 32), (128, 64), (256, 128))
    growth_pairs: tuple = (1_000, 10_000, 100_000, 1_000_000)
    growth_scored: tuple = (1_000, 4_000, 16_000)
    parity_profile: str = "quick"
    parity_seeds: int = 3
    curve_profile: str = "quick"
    curve_steps: int = 100


CHECK = Size(
    profile="smoke",
    rows=1,
    repeats=1,
    product_side=256,
    score_pairs=40,
    reference_pairs=10,
    market_images=64,
    fashion_images=64,
    distinct=8,
    growth_profile="smoke",
    growth_channels=(4, 8),
    growth_batches=(2, 4),
    growth_sizes=((32, 16), (64, 32)),
    growth_pairs=(10, 20),
    growth_scored=(32, 64),
    parity_profile="smoke",
    parity_seeds=2,
    curve_profile="smoke",
    curve_steps=6,
)


@dataclass(frozen=True)
class Line:
    """A measurement. met is None without a target, or with one for other machines only."""

    what: str
    value: float
    unit: str
    target: str = ""
    met: bool | None = None
    note: str = ""

    as_dict = asdict


def median(values) -> float:
    return float(statistics.median(values))


def interleaved(calls: dict, repeats: int, warm_up: int = 1) -> dict:
    """Call functions that return a number in turn; name -> the numbers of the rounds."""
    results = {name: [] for name in calls}
    for turn in range(warm_up + repeats):
        for name, call in calls.items():
            value = call()
            if turn >= warm_up:
                results[name].append(value)
    return results


def row_config(name: str, profile: str, **changes):
    """The configuration of a method at Market-1501's size, on all cores."""
    config = models.find(name).configure(*sized(Study(profile=profile)))
    return replace(config, threads=0, **changes)


def rows_by_cost(profile: str) -> dict[str, tuple[str, ...]]:
    """The methods that Table 1 trains, grouped by what a step costs: the first of each group ->
    its group. Methods that need more than a photo and poses are left out."""
    groups = {}
    for name in models.chains(models.rows()):
        method, config = models.find(name), row_config(name, profile)
        if method.needs <= INPUTS:
            cost = describe_method(method, config)
            key = cost["gflops"], *sorted(cost["networks"].items()), method.start, config.batch
            groups.setdefault(key, []).append(name)
    return {group[0]: tuple(group) for group in groups.values()}


def noise(height: int, width: int, pairs: int = 2_000, images: int = 400):
    """A data set of noise with random joints: time and memory do not depend on the content."""
    random = np.random.default_rng(0)
    joints = random.uniform((0, 0), (width, height), (images, 18, 2)).astype(np.float32)
    return Dataset(
        name="noise",
        height=height,
        width=width,
        images=random.integers(0, 256, (images, height, width, 3), np.uint8),
        keypoints=np.floor(joints),
        identities=np.arange(images) // 4,
        cameras=np.ones(images, np.int64),
        names=[f"{i // 4:04d}_{i}" for i in range(images)],
        train=np.ones(images, bool),
        train_pairs=random.integers(0, images, (pairs, 2)),
        test_pairs=random.integers(0, images, (pairs, 2)),
        card={"split": "noise"},
        extras={"parsing": random.integers(0, PARSED, (images, height, width), np.uint8)},
    )


class Worker:
    """A process that answers requests, so that what is compared shares no allocator, cache or
    setting; see worker.py."""

    def __init__(self, **options):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=PROJECT,
            env=environment(),
        )

    def ask(self, what: str, *arguments) -> float:
        print(json.dumps([what, *arguments]), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the benchmark's worker died at {what!r}; see the lines above")
        return json.loads(answer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()


def run_module(name: str, *arguments, launcher=(), **variables):
    """Run `python -m benchmarks.NAME ARGUMENTS` in a process of its own, with these environment
    variables; returns what it printed last, as JSON."""
    command = [sys.executable, "-m", *launcher, f"benchmarks.{name}", *map(str, arguments)]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, cwd=PROJECT,
        env=environment(**variables),
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def peak_memory() -> float:
    """The most memory this process ever had resident, in MB.

    From /proc where possible: getrusage's number begins with that of the parent.
    """
    try:
        status = Path("/proc/self/status").read_text()
        return int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) / 1e3
    except (OSError, TypeError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def environment(**more) -> dict:
    path = os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": path, "PG2_PROGRESS": "off"} | more
