"""Parallel trainings: on a CPU, such small networks train faster on one core each."""

import contextlib
import os
import signal
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import active_children, get_context

from pg2lib import models
from pg2lib.core import devices, distributed
from pg2lib.core.files import OutOfTime, UserError
from pg2lib.evaluation import pose_score
from pg2lib.models.layers import parameter_count
from pg2lib.workflow import pipeline
from pg2lib.workflow import run_store as runs

MOST_LANES = 4  # each takes about a gigabyte


def train_all(study, names, log, until=None):
    """Train the missing networks of methods and pipeline.KEYPOINTS with every seed: one after the
    other, or, if each uses one CPU thread, in parallel processes, which log for themselves. Raises
    OutOfTime, with checkpoints, after `until`."""
    jobs = pipeline.jobs(study, names)
    missing = [job for job in jobs if not runs.state(pipeline.train_step(*job)).hit]
    lanes, logged = min(devices.cpu_count(), MOST_LANES, len(missing)), []
    single = all(pipeline.method_config(study, name).threads == 1 for name in names)
    alone = pipeline.device_of(study) == "cpu" and distributed.world() == 1
    if lanes > 1 and alone and single:
        log(f"train    {len(missing)} networks, {lanes} at a time")
        side_by_side(partial(train_alone, until=until), training_order(missing, lanes), lanes)
        logged = missing
    for job in jobs:
        pipeline.train(*job, None if job in logged else log, until)


def score_all(study, rows, log, until=None, preset="pg2", mask_from="target"):
    """Train rows (see `train_all`) and score them (see `pipeline.evaluate`) with every seed."""
    train_all(study, (*pipeline.chains(rows), pipeline.KEYPOINTS), log, until)
    for job in pipeline.jobs(study, rows):
        pipeline.evaluate(*job, preset, mask_from, log, until)


def training_order(jobs, lanes: int) -> list[tuple]:
    """Order jobs, (study of one seed, name), so that no core idles at the end: seed by seed, first
    the networks that others refine, then those others as soon as possible (each waits at the
    other's lock), then the rest, largest first."""
    by_seed = {}
    for study, name in jobs:
        by_seed.setdefault(study, []).append(name)
    return [(study, name) for study in by_seed for name in in_order(study, by_seed[study], lanes)]


def in_order(study, names, lanes: int) -> list[str]:
    starts = {name: models.find(name).start for name in names if name in models.METHODS}

    def place(name):
        task = models.find(name) if name in models.METHODS else pose_score
        config = pipeline.method_config(study, name)
        weights = sum(map(parameter_count, task.build(config).values()))
        return name not in starts.values(), -weights * config.iterations

    waiting = [name for name in names if starts.get(name) in names]
    first = sorted((name for name in names if name not in waiting), key=place)
    return first[: lanes + 1] + waiting + first[lanes + 1 :]


def train_alone(job, until=None):
    with contextlib.suppress(OutOfTime):  # `train_all` sees what is missing
        pipeline.train(*job, partial(print, flush=True), until)


def side_by_side(work, items, lanes: int):
    """work(item) for all items in separate processes, `lanes` at a time. If one fails the others
    are stopped; they resume at the next start."""
    mode = "off" if os.environ.get("PG2_PROGRESS") == "off" else "plain"
    with ProcessPoolExecutor(lanes, get_context("spawn"), begin_lane, (mode, lanes)) as pool:
        try:
            for job in as_completed([pool.submit(work, item) for item in items]):
                job.result()
        except BaseException as error:  # including Ctrl-C
            for process in active_children():
                process.terminate()
            if isinstance(error, BrokenProcessPool):
                words = "one of the processes died (out of memory?); start again to resume"
                raise UserError(words) from None
            raise


def begin_lane(progress: str, lanes: int):
    os.environ["PG2_PROGRESS"] = progress
    # kernels that all use every core are several times slower
    os.environ["OMP_NUM_THREADS"] = str(max(devices.cpu_count() // lanes, 1))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the parent, which ends us
    devices.end_with_parent()
