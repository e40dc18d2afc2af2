"""Long work in slices of a few minutes: stop in time and report the progress."""

import contextlib
import time
from dataclasses import replace

import numpy as np
import pandas as pd

from pg2lib.core import distributed
from pg2lib.core.files import OutOfTime, UserError, write_atomically, write_csv
from pg2lib.evaluation import curves, statistics
from pg2lib.evaluation.scores import SCORES, weights
from pg2lib.results.render import markdown_grid
from pg2lib.training import loop as training
from pg2lib.workflow import pipeline
from pg2lib.workflow import run_store as runs

SHOWN = ("ssim", "mask_ssim", "sharpness")


def end_after(minutes: float | None) -> float | None:
    """The `time.time()` after so many minutes; None without a limit. Raises UserError if not
    positive, or under torchrun, whose processes must stop at the same step."""
    if minutes is None:
        return None
    if not minutes > 0:
        raise UserError(f"--minutes {minutes:g} is not positive; write for example --minutes 9")
    if distributed.launched():
        raise UserError("--minutes does not work with torchrun; leave it out, or start one process")
    return time.time() + 60 * minutes


@contextlib.contextmanager
def log_progress(study, names, log):
    """On OutOfTime in the block, log the progress of the methods with every seed and write it to
    progress.csv and progress.md in the study's figures."""
    try:
        yield
    except OutOfTime:
        lines = [line(*job) for job in pipeline.jobs(study, names)]
        head = ["trained", "seed", "steps", "of", "pairs seen", *(SCORES[s].heading for s in SHOWN)]
        rows = [[cell(value) for value in one] for one in lines]
        text = markdown_grid(head, rows)
        folder = pipeline.figures_folder(study)
        write_csv(folder / "progress.csv", pd.DataFrame(lines, columns=head))
        with write_atomically(folder / "progress.md") as temporary:
            temporary.write_text(f"{text}\n", encoding="utf-8")
        log(f"\n{text}\nscores: means over the pairs of the learning curves\n")
        raise


def line(study, name) -> list:
    """Progress of a training, and the mean scores of its current images."""
    config = pipeline.method_config(study, name)
    step, images = so_far(study, name)
    done = [name, pipeline.seed_of(study, name), step, config.iterations, step * config.batch]
    if images is None:
        return done + [None] * len(SHOWN)
    how = replace(pipeline.scoring(study, "pg2", "target"), inception=None, lpips=None)
    data = pipeline.data(study)
    table = curves.score_curve(images[None], data, [step], config.batch, how)
    return done + [statistics.mean(table[s], weights(table, s)) for s in SHOWN]


def so_far(study, name):
    """(steps done, the network's current images of the pairs of curves, or None)."""
    config, step = pipeline.method_config(study, name), pipeline.train_step(study, name)
    if runs.state(step).hit:
        path = step.folder / "curve.npy"
        return config.iterations, np.load(path, mmap_mode="r")[-1] if path.exists() else None
    if not any(step.folder.glob("checkpoint-*.pt")):
        return 0, None
    task, seed = pipeline.task(study, name), pipeline.seed_of(study, name)
    data, device = pipeline.row_data(study, name), pipeline.device_of(study)
    return training.paint_so_far(task, data, step.folder, seed, device) or (0, None)


def cell(value) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else value or ""
