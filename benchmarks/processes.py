"""One process against two on the same cores: the same curve, and what it costs.

`python -m benchmarks.processes PROFILE STEPS FOLDER`, alone or under torchrun, trains one stage
whose D normalises over the whole batch, in float32.
"""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.common import PROJECT, Line, Size, environment, stage_for
from pg2lib import distributed, training
from pg2lib.pipeline import Study, data

TERMS = ("l1", "adversarial", "generator", "discriminator")


def measure(size: Size, device: str, say) -> tuple[list[Line], dict]:
    if device != "cpu":
        return [], {"skipped": "measured on CPUs: a machine with one GPU runs one process"}
    data(Study(profile=size.curve_profile, device="cpu"))
    cores = len(os.sched_getaffinity(0))
    two = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    logs, seconds = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for name, launcher, threads in (("one", [], cores), ("two", two, max(cores // 2, 1))):
            say(f"{name} process{'es' if launcher else ''}")
            command = [sys.executable, "-m", *launcher, "benchmarks.processes"]
            command += [size.curve_profile, str(size.curve_steps), f"{folder}/{name}"]
            subprocess.run(
                command, check=True, capture_output=True, cwd=PROJECT,
                env=environment(OMP_NUM_THREADS=str(threads)),
            )  # fmt: skip
            logs[name] = training.read_log(Path(folder) / name / "log.jsonl")
            seconds[name] = logs[name][0]["seconds"]
    worst = {
        term: max(abs(a[term] - b[term]) / abs(a[term]) for a, b in zip(logs["one"], logs["two"]))
        for term in TERMS
    }
    curve = [{name: logs[name][k]["generator"] for name in logs} for k in range(len(logs["one"]))]
    note = ", ".join(f"{term} {value:.1e}" for term, value in worst.items())
    lines = [
        Line(
            f"largest relative difference of a loss, 2 processes against 1, {size.curve_steps} "
            "steps of G1+D", max(worst.values()), "", "the same curve (at most 0.01)",
            max(worst.values()) <= 0.01, note,
        ),
        Line("the same steps, one process, all cores", seconds["one"], "s"),
        Line("the same steps, two processes, half the cores each", seconds["two"], "s"),
    ]  # fmt: skip
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
