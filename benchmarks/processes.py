"""One process against two on the same cores: the same curve, and what it costs.

`python -m benchmarks.processes PROFILE STEPS FOLDER`, alone or under torchrun, trains one stage
whose D normalises over the whole batch, in float32.
"""

import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.common import PROJECT, Line, Size, environment, stage_for
from pg2lib.core import devices, distributed
from pg2lib.training import loop as training
from pg2lib.workflow.pipeline import Study, data

TERMS = ("l1", "adversarial", "generator", "discriminator")


SAME = 20  # steps in which rounding has not yet grown: training against D is chaotic


def measure(size: Size, device: str, say) -> tuple[list[Line], dict]:
    if device != "cpu":
        return [], {"skipped": "measured on CPUs: a machine with one GPU runs one process"}
    data(Study(profile=size.curve_profile, device="cpu"))
    cores = devices.cpu_count()
    half = max(cores // 2, 1)
    two = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    logs, seconds = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for name, launcher, threads in (
            ("one", [], cores), ("fewer threads", [], half), ("two", two, half)
        ):  # fmt: skip
            say(f"{size.curve_steps} steps: {name}")
            place = Path(folder) / name.replace(" ", "-")
            command = [sys.executable, "-m", *launcher, "benchmarks.processes"]
            command += [size.curve_profile, str(size.curve_steps), str(place)]
            subprocess.run(
                command, check=True, capture_output=True, cwd=PROJECT,
                env=environment(OMP_NUM_THREADS=str(threads)),
            )  # fmt: skip
            logs[name] = training.read_log(place / "log.jsonl")
            seconds[name] = logs[name][0]["seconds"]

    def worst(name, steps):
        """Largest relative difference of any term from one process, over the first steps."""
        pairs = list(zip(logs["one"], logs[name], strict=True))[:steps]
        return max(abs(a[term] - b[term]) / abs(a[term]) for a, b in pairs for term in TERMS)

    steps, first = size.curve_steps, min(SAME, size.curve_steps)
    what = "largest relative difference of a loss of G1+D, 2 processes against 1"
    control = f"one process with {half} instead of {cores} threads: "
    lines = [
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
    curve = [{name: logs[name][k]["generator"] for name in logs} for k in range(steps)]
    return lines, {"curve": curve}


def main(profile, steps, folder):
    import json

    with distributed.joined("cpu"):
        stage = replace(stage_for("G1+D", profile), precision="float32", iterations=int(steps))
        started = time.time()
        training.train(stage, data(Study(profile=profile, device="cpu")), folder)
        took = time.time() - started
        if distributed.rank() == 0:
            log = Path(folder) / "log.jsonl"
            records = [r | {"seconds": took} for r in training.read_log(log)]
            log.write_text("".join(json.dumps(record) + "\n" for record in records))
    distributed.leave()


if __name__ == "__main__":
    main(*sys.argv[1:])
