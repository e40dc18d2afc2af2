"""One process against two on the same cores: the same curve, and what it costs.

`python -m benchmarks.processes PROFILE STEPS FOLDER`, alone or under torchrun, trains one row
whose D normalises over the whole batch, in float32.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common import ADVERSARIAL_ROW, Line, Size, row_config, run_module
from pg2lib import models
from pg2lib.core import devices, distributed
from pg2lib.core.config import Study
from pg2lib.training import loop
from pg2lib.workflow import pipeline

TERMS = ("l1", "adversarial", "generator", "discriminator")
SAME = 20  # steps in which rounding has not yet grown: training against D is chaotic
TWO = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")


def measure(size: Size, device: str, log) -> tuple[list[Line], dict]:
    if device != "cpu":
        return [], {"skipped": "measured on CPUs: a machine with one GPU runs one process"}
    pipeline.data(Study(profile=size.curve_profile, device="cpu"))
    cores = devices.cpu_count()
    half, steps = max(cores // 2, 1), size.curve_steps
    logs, seconds = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for name, launcher, threads in (
            ("one", (), cores), ("fewer threads", (), half), ("two", TWO, half)
        ):  # fmt: skip
            log(f"{steps} steps: {name}")
            place = Path(folder) / name.replace(" ", "-")
            seconds[name] = run_module(
                "processes", size.curve_profile, steps, place,
                launcher=launcher, OMP_NUM_THREADS=str(threads),
            )  # fmt: skip
            logs[name] = loop.read_log(place / "log.jsonl")
    curve = [{name: logs[name][k]["generator"] for name in logs} for k in range(steps)]
    return lines(logs, seconds, steps, f"{half} instead of {cores}"), {"curve": curve}


def lines(logs, seconds, steps, fewer) -> list[Line]:
    def worst(name, count):
        """Largest relative difference of any term from one process, over the first steps."""
        pairs = list(zip(logs["one"], logs[name], strict=True))[:count]
        return max(abs(a[term] - b[term]) / abs(a[term]) for a, b in pairs for term in TERMS)

    first = min(SAME, steps)
    what = f"largest relative difference of a loss of {ADVERSARIAL_ROW}, 2 processes against 1"
    control = f"one process with {fewer} threads: "
    return [
        Line(
            f"{what}, {first} steps", worst("two", first), "", "the same curve (at most 0.01)",
            worst("two", first) <= 0.01, f"{control}{worst('fewer threads', first):.1e}",
        ),
        Line(
            f"{what}, {steps} steps", worst("two", steps), "",
            note=f"{control}{worst('fewer threads', steps):.1e}: rounding grows",
        ),
        Line(f"{steps} steps, one process, all cores", seconds["one"], "s"),
        Line(f"{steps} steps, two processes, half the cores each", seconds["two"], "s"),
    ]  # fmt: skip


def main(profile, steps, folder):
    """Train into the folder; rank 0 prints the seconds."""
    config = row_config(ADVERSARIAL_ROW, profile, precision="float32", iterations=int(steps))
    with distributed.joined("cpu"):
        task = loop.method_task(models.find(ADVERSARIAL_ROW), config)
        data, started = pipeline.data(Study(profile=profile, device="cpu")), time.time()
        loop.train(task, data, folder, device="cpu")
        if distributed.rank() == 0:
            print(json.dumps(time.time() - started), flush=True)
    distributed.leave()


if __name__ == "__main__":
    main(*sys.argv[1:])
