"""Whether the fast precision costs quality: the same row trained in float32 and in bfloat16.

The runs lie in `.bench/parity`, each in a folder named by its configuration, and resume.
"""

import hashlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.common import PROJECT, Line, Size, environment
from pg2lib.core import devices
from pg2lib.evaluation import score_row as evaluation
from pg2lib.evaluation.ssim import ssim
from pg2lib.models import experiments
from pg2lib.training import loop as training
from pg2lib.workflow import pipeline
from pg2lib.workflow import run_store as runs

ROW = "G1-poseMaskLoss"


def measure(size: Size, device: str, say) -> tuple[list[Line], dict]:
    if devices.fast_precision(device) == "float32":
        return [], {"skipped": "float32 is the fast precision of this machine"}
    pipeline.data(study(size.parity_profile, device))  # once, not in every process
    wanted = [(p, seed) for seed in range(size.parity_seeds) for p in ("float32", "bfloat16")]
    lanes = devices.cpu_count() if device == "cpu" else 1

    def result(which):
        say(f"parity: {which[0]}, seed {which[1]}")
        code = "import sys; from benchmarks.parity import train; train(*sys.argv[1:])"
        done = subprocess.run(
            [sys.executable, "-c", code, size.parity_profile, device, *map(str, which)],
            check=True, capture_output=True, text=True, cwd=PROJECT, env=environment(),
        )  # fmt: skip
        return json.loads(done.stdout.splitlines()[-1])

    with ThreadPoolExecutor(lanes) as pool:
        results = [
            {"precision": p, "seed": seed} | answer
            for (p, seed), answer in zip(wanted, pool.map(result, wanted))
        ]
    return [line for score in ("ssim", "loss") for line in compare(results, score)], {
        "row": ROW,
        "profile": size.parity_profile,
        "runs": results,
    }


def compare(results, score):
    """A line that holds the difference of the means against the spread between seeds."""
    low, full = (
        np.array([r[score] for r in results if r["precision"] == precision])
        for precision in ("bfloat16", "float32")
    )
    difference, spread = low.mean() - full.mean(), max(np.ptp(full), np.ptp(low))
    names = {"ssim": "SSIM", "loss": "training loss"}
    note = f"float32 {spell(full)}; bfloat16 {spell(low)}"
    yield Line(
        f"{names[score]} of {ROW}, bfloat16 minus float32", float(difference), "",
        f"within the spread of the seeds, {spread:.4f}", bool(abs(difference) <= spread), note,
    )  # fmt: skip


def spell(values):
    return ", ".join(f"{value:.4f}" for value in values)


def study(profile, device):
    return pipeline.Study("synthetic-market", profile, device=device)


def train(profile, device, precision, seed):
    """Train and score one run; prints its SSIM and the mean loss of its last tenth."""
    stage = experiments.stage(ROW, "synthetic-market", profile)
    stage, data = replace(stage, precision=precision), pipeline.data(study(profile, device))
    # a change of the training code starts anew, as in the run store
    code = [runs.code_hash(module) for module in pipeline.TRAINING_CODE]
    told = json.dumps([stage.as_dict(), data.card["fingerprint"], code])
    key = hashlib.sha256(told.encode()).hexdigest()[:12]
    folder = Path(PROJECT / ".bench" / "parity" / f"{precision}-seed{seed}-{key}")
    if not (folder / "weights.pt").exists():
        training.train(stage, data, folder, int(seed), device)
    with devices.tuned(stage.threads, device):
        painter = training.painter([folder / "weights.pt"], device)
        made = evaluation.generate_pairs(painter, data, data.test_pairs, device)["generated"]
    likeness = ssim(made, np.asarray(data.images[data.test_pairs[:, 1]])).mean()
    records = training.read_log(folder / "log.jsonl")
    loss = np.mean([r["generator"] for r in records[-max(len(records) // 10, 1) :]])
    print(json.dumps({"ssim": float(likeness), "loss": float(loss)}))
