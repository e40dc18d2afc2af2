"""Whether the fast precision costs quality: the same row trained in float32 and in bfloat16.

The runs lie in `.bench/parity`, each in a folder named by its key, and resume.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from benchmarks.common import ROW, SCRATCH, Line, Size, run_module
from pg2lib import models
from pg2lib.core import devices
from pg2lib.core.config import Study
from pg2lib.evaluation import score_row
from pg2lib.evaluation.ssim import ssim
from pg2lib.training import checkpoints, loop
from pg2lib.workflow import pipeline


def measure(size: Size, device: str, log) -> tuple[list[Line], dict]:
    if devices.fast_precision(device) == "float32":
        return [], {"skipped": "float32 is the fast precision of this machine"}
    pipeline.data(Study(profile=size.parity_profile, device=device))  # once, not in every process
    wanted = [(p, seed) for seed in range(size.parity_seeds) for p in ("float32", "bfloat16")]
    lanes = devices.cpu_count() if device == "cpu" else 1

    def result(run):
        log(f"parity: {run[0]}, seed {run[1]}")
        return run_module("parity", size.parity_profile, device, *run)

    with ThreadPoolExecutor(lanes) as pool:
        results = [
            {"precision": p, "seed": seed} | answer
            for (p, seed), answer in zip(wanted, pool.map(result, wanted))
        ]
    lines = [compare(results, "ssim", "SSIM"), compare(results, "loss", "training loss")]
    return lines, {"row": ROW, "profile": size.parity_profile, "runs": results}


def compare(results, score, name) -> Line:
    """The difference of the means against the spread between seeds."""
    low, full = (
        np.array([r[score] for r in results if r["precision"] == precision])
        for precision in ("bfloat16", "float32")
    )
    difference, spread = low.mean() - full.mean(), max(np.ptp(full), np.ptp(low))
    listed = (", ".join(f"{value:.4f}" for value in values) for values in (full, low))
    return Line(
        f"{name} of {ROW}, bfloat16 minus float32", float(difference), "",
        f"within the spread of the seeds, {spread:.4f}", bool(abs(difference) <= spread),
        "float32 {}; bfloat16 {}".format(*listed),
    )  # fmt: skip


def train(profile, device, precision, seed):
    """Train and score one run; prints its SSIM and the mean loss of its last tenth."""
    data = pipeline.data(Study(profile=profile, device=device))
    study = Study(profile=profile, device=device, overrides=(f"{ROW}.precision={precision}",))
    method, config = models.find(ROW), pipeline.method_config(study, ROW)
    # a change of the training code starts anew, as in the run store
    key = pipeline.train_step(study, ROW).key
    folder = SCRATCH / "parity" / f"{precision}-seed{seed}-{key}"
    weights = folder / checkpoints.WEIGHTS
    if not weights.exists():
        loop.train(loop.method_task(method, config), data, folder, int(seed), device)
    with devices.tuned(config.threads, device):
        generate_fn = checkpoints.generate_fn([method], [config], [weights], device)
        made = score_row.generate_pairs(generate_fn, data, data.test_pairs, device)
    likeness = ssim(made["generated"], np.asarray(data.images[data.test_pairs[:, 1]])).mean()
    records = loop.read_log(folder / "log.jsonl")
    loss = np.mean([r["generator"] for r in records[-max(len(records) // 10, 1) :]])
    print(json.dumps({"ssim": float(likeness), "loss": float(loss)}))


if __name__ == "__main__":
    train(*sys.argv[1:])
