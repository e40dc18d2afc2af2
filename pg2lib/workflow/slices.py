"""Long work in slices of a few minutes: how far it is when the time is over."""

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
    """The `time.time()` at which so many minutes are over; None without a limit. UserError for a
    number that is not positive, or under torchrun, whose processes must stop at the same step."""
    if minutes is None:
        return None
    if not minutes > 0:
        raise UserError(f"--minutes {minutes:g} is not positive; write for example --minutes 9")
    if distributed.launched():
        raise UserError("--minutes does not go with torchrun; leave it out, or start one process")
    return time.time() + 60 * minutes


@contextlib.contextmanager
def told(study, names, log):
    """On OutOfTime in the block, log how far the methods are with every seed and write it as
    progress.csv and progress.md among the figures of the study."""
    try:
        yield
    except OutOfTime:
        lines = [line(one, n) for n in names for one in pipeline.each(study, n)]
        head = ["trained", "seed", "steps", "of", "pairs seen", *(SCORES[s].heading for s in SHOWN)]
        rows = [[cell(value) for value in one] for one in lines]
        text = markdown_grid(head, rows)
        folder = pipeline.figures_folder(study)
        write_csv(folder / "progress.csv", pd.DataFrame(lines, columns=head))
        with write_atomically(folder / "progress.md") as temporary:
            temporary.write_text(f"{text}\n", encoding="utf-8")
        log(f"\n{text}\nscores: mean over the pairs that learning curves show\n")
        raise


def line(study, name) -> list:
    """How far a training is, and the mean scores of what it paints by now."""
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
    """(steps that are done, what the network then paints of the pairs of curves, or None)."""
    config, step = pipeline.method_config(study, name), pipeline.train_step(study, name)
    if runs.state(step).hit:
        path = step.folder / "curve.npy"
        return config.iterations, np.load(path, mmap_mode="r")[-1] if path.exists() else None
    if not any(step.folder.glob("checkpoint-*.pt")):
        return 0, None
    task, seed = pipeline.task(study, name), pipeline.seed_of(study, name)
    device = pipeline.device_of(study)
    return training.paint_so_far(task, pipeline.data(study), step.folder, seed, device) or (0, None)


def cell(value) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else value or ""
