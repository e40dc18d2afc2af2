"""`make record`: what training to a fixed quality costs, as one more line of docs/records.md.

Trains the coarse and the refined row of a profile on one core, with three seeds, and scores both.
The cost is the CPU time of the training times the core's own rate in a matrix product of the same
precision, so that machines compare. benchmarks/records.json holds every line; records.md is
written from it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.common import PROJECT
from pg2lib import models
from pg2lib.core.config import Study, changed_fields
from pg2lib.core.files import write_json
from pg2lib.evaluation import score_row
from pg2lib.training import checkpoints, loop
from pg2lib.workflow import pipeline
from pg2lib.workflow.reproduce import machine

RECORDS = PROJECT / "benchmarks" / "records.json"
PAGE = PROJECT / "docs" / "records.md"
ROWS = "G1-poseMaskLoss", "G1+G2+D"
SCORES = ("ssim", "mask_ssim", "pckh", "sharpness", "stripes", "fixed_share")
# What commit a32e4de scores on drawn street people, 1,200 pairs: the quality to reach.
GOALS = {ROWS[0]: {"ssim": 0.300, "mask_ssim": 0.676, "pckh": 0.89}}
SIDE = 2_048  # of the matrix product


def main():
    options = parser().parse_args()
    study = Study("synthetic-market", options.profile, overrides=tuple(options.set or ()))
    pipeline.check(study)
    runs = [run(study, seed) for seed in range(options.seeds)]
    line = {
        "commit": commit(),
        "change": options.change,
        "profile": study.changes,
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        "configs": {row: changed_fields(pipeline.method_config(study, row)) for row in ROWS},
        "runs": runs,
    }
    lines = [*(json.loads(RECORDS.read_text()) if RECORDS.exists() else []), line]
    write_json(RECORDS, lines)
    PAGE.write_text(page(lines), encoding="utf-8")
    print(page(lines))


def parser():
    top = argparse.ArgumentParser(prog="python -m benchmarks.record", description=__doc__)
    top.add_argument("change", help="what is new in this line, in a few words")
    top.add_argument("--profile", default="quick", help="default: %(default)s")
    top.add_argument("--set", action="append", metavar="FIELD=VALUE", help="as of pg2 train")
    top.add_argument("--seeds", type=int, default=3, help="trainings of each row")
    return top


def commit() -> str:
    """The commit that is measured, with a + where files differ from it."""
    command = ["git", "describe", "--always", "--dirty=+"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def run(study, seed) -> dict:
    """Train and score ROWS with one seed, on the data of the study."""
    data, estimator = pipeline.data(study), pipeline.estimator(study)
    start, found, chain = None, {"seed": seed, "rows": {}}, []
    with tempfile.TemporaryDirectory() as temporary:
        for name in ROWS:
            method, config = models.find(name), pipeline.method_config(study, name)
            folder = Path(temporary) / name
            rates, begun = [matrix_rate(config, study)], time.process_time()
            loop.train(loop.method_task(method, config, start), data, folder, seed, "cpu")
            seconds = time.process_time() - begun
            rates.append(matrix_rate(config, study))
            chain.append((method, config, folder / checkpoints.WEIGHTS))
            start = checkpoints.generate_fn(*map(list, zip(*chain)), "cpu")
            scores = score(name, start, data, folder / "scores", estimator)
            log = loop.read_log(folder / "log.jsonl")
            found["rows"][name] = {
                "cpu_seconds": round(seconds, 1),
                "matrix_gflops": round(min(rates) / 1e9, 1),
                "cost_tflop": round(seconds * min(rates) / 1e12, 2),
                "scores": scores,
                "d": {key: round(mean_of_last(log, key), 3) for key in log[-1] if key[:2] == "d_"},
                "log": [[record["step"], round(record["l1"], 4)] for record in log[::10]],
            }
            print(f"seed {seed} {name}: {found['rows'][name]}", file=sys.stderr, flush=True)
    return found


def matrix_rate(config, study) -> float:
    """Operations per second of a matrix product on one core, in the precision of training."""
    a = torch.randn(SIDE, SIDE).to(getattr(torch, loop.precision_of(config, "cpu")))
    took, threads = [], torch.get_num_threads()
    torch.set_num_threads(1)
    for _ in range(4):
        begun = time.process_time()
        a @ a
        took.append(time.process_time() - begun)
    torch.set_num_threads(threads)
    return 2 * SIDE**3 / min(took)


def score(name, generate_fn, data, folder, estimator) -> dict:
    summary = score_row.evaluate_row(name, generate_fn, data, folder, estimator=estimator)
    scores = {k: v["mean"] for k, v in summary["scores"].items() if k in SCORES and v}
    return {key: round(value, 4) for key, value in scores.items()}


def mean_of_last(log, key) -> float:
    """The mean of a logged term over the last tenth of a training."""
    return float(np.mean([record[key] for record in log[-max(len(log) // 10, 1) :]]))


SCORES_SHOWN = {"stripes": "period-2 energy", "fixed_share": "one picture"}
TEXT = """# Records

What it costs to train the coarse row (G1-poseMaskLoss) and the refined row (G1+G2+D) of the
profile `quick` on drawn street people, on one core. The cost is the CPU time of the two trainings
times what the same core does in a matrix product of the same precision, so that machines compare:
a TFLOP here is what the core could have multiplied in that time. Scores are means over the seeds,
the range of the seeds in brackets, on 1,200 pairs of people not trained on. "Met" asks of
G1-poseMaskLoss what commit a32e4de reached: {goals}.

Written by `make record CHANGE="..."`, which trains and adds a line; the logs, machines and
configurations are in [benchmarks/records.json](../benchmarks/records.json).

{table}
"""


def page(lines) -> str:
    """docs/records.md."""
    head = [f"{row}: {SCORES_SHOWN.get(score, score)}" for row in ROWS for score in SCORES]
    table = [["commit", "change", "cost, TFLOP", *head, "met"]]
    for line in lines:
        runs = line["runs"]
        cost = sum(spread(runs, row, "cost_tflop")[0] for row in ROWS)
        values = [text(runs, row, score) for row in ROWS for score in SCORES]
        answer = "yes" if met(runs) else "no"
        table.append([line["commit"], line["change"], f"{cost:.1f}", *values, answer])
    table.insert(1, ["---"] * len(table[0]))
    goals = ", ".join(f"{key} {value}" for key, value in GOALS[ROWS[0]].items())
    return TEXT.format(goals=goals, table="\n".join(f"| {' | '.join(row)} |" for row in table))


def spread(runs, row, key):
    """(mean, least, most) over the seeds of a number of a row or of a score of it, or None."""
    found = [run["rows"][row] for run in runs]
    values = [one[key] if key in one else one["scores"].get(key) for one in found]
    return None if None in values else (float(np.mean(values)), min(values), max(values))


def text(runs, row, score) -> str:
    values = spread(runs, row, score)
    return "–" if values is None else "{:.3f} [{:.3f}, {:.3f}]".format(*values)


def met(runs) -> bool:
    goals = [(row, score, value) for row, of in GOALS.items() for score, value in of.items()]
    return all(spread(runs, row, score)[0] >= value for row, score, value in goals)


if __name__ == "__main__":
    main()
