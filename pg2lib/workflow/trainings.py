"""Results that need several trainings: how scores develop, how much the keypoint network matters,
and whether a new training reproduces the committed ones."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from pg2lib import models
from pg2lib.core import devices
from pg2lib.core.files import read_record, stored, write_csv
from pg2lib.evaluation import curves, pose_score, statistics
from pg2lib.evaluation.scores import SCORES, weights
from pg2lib.results import render, reproduction
from pg2lib.training import loop as training
from pg2lib.workflow import code_keys, pipeline
from pg2lib.workflow import run_store as runs

JUDGES = 3  # keypoint networks, seeds 0, 1, ...
SHOWN = ("ssim", "mask_ssim", "sharpness", "pckh")


def curve_step(study: pipeline.Study, row: str) -> runs.Step:
    """The scores of a row with the first seed during its training."""
    study = pipeline.each(study, row)[0]
    inputs = {name: pipeline.train_step(study, name).key for name in (row, pipeline.KEYPOINTS)}
    inputs["data"] = pipeline.data_step(study).key
    entries = (code_keys.entry(curves.score_curve), code_keys.entry(pose_score.estimate))
    return runs.Step("curve", f"{study.runs_name}/{row}", {"row": row}, inputs, entries)


def curve(study: pipeline.Study, row: str, log=None):
    """The result of `curves.score_curve` for a row's training with the first seed, trained and
    scored if missing."""

    def work(folder, progress):
        config, trained = pipeline.method_config(study, row), pipeline.train(study, row)
        with stored(trained.parent / "curve.npy") as path:
            images = np.load(path, mmap_mode="r")
        when = training.curve_steps(config.iterations), config.batch
        how = replace(pipeline.scoring(study, "pg2", "target"), inception=None, lpips=None)
        how = how, pipeline.estimator(study)
        with devices.tuned(0, how[0].device):
            found = curves.score_curve(images, pipeline.data(study), *when, *how, progress=progress)
        write_csv(folder / curves.FILE, found)

    return curves.read_curve(pipeline.ensure(curve_step(study, row), work, log))


def every_curve(study: pipeline.Study, evidence) -> dict:
    """row -> [`evaluation.curves.score_curve`, one per seed] for the rows of an `effects.Evidence`;
    for a reference row its table of pairs."""
    return {
        row: [curve(one, row) for one in pipeline.each(study, row)]
        if row in models.METHODS
        else evidence.pairs[row]
        for row in evidence.pairs
    }


def write_curves(study: pipeline.Study, rows, path: Path):
    """Write the mean scores of all trainings at their points as CSV: a line per row, seed, step."""
    lines = []
    for one, row in pipeline.jobs(study, pipeline.trained(rows)):
        for (step, seen), part in curve(one, row).groupby(["step", "pairs_seen"]):
            shown = [name for name in SHOWN if name in part]
            means = {n: statistics.mean(part[n], weights(part, n)) for n in shown}
            about = {"row": row, "seed": one.seed, "step": step, "pairs_seen": seen}
            lines.append(about | means)
    write_csv(path, pd.DataFrame(lines))


def judges(study: pipeline.Study, log) -> dict:
    """row -> {score: standard deviation between JUDGES keypoint networks} of the scores that such
    networks compute, for the first seed's images."""
    judged = [name for name, score in SCORES.items() if score.weight == "joints"]
    one = replace(study, seeds=study.seeds[:1])
    networks = [(), *((f"{pipeline.KEYPOINTS}.seed={k}",) for k in range(1, JUDGES))]
    studies = [replace(one, overrides=(*one.overrides, *own)) for own in networks]
    found = {}
    for row in pipeline.all_rows():
        for other in studies:
            pipeline.evaluate(other, row, log=log)
        scores = [pipeline.summaries(other, [row])[row][0]["scores"] for other in studies]
        found[row] = {
            name: statistics.spread([each[name]["mean"] for each in scores])
            for name in judged
            if all(each.get(name) for each in scores)
        }
    return found


def committed(study: pipeline.Study) -> dict | None:
    """Table 1 of the largest bundled set of trainings of this study, with their judges; None if too
    few to estimate their spread."""
    folders = runs.shipped_figures().glob(f"{pipeline.shared(study).runs_name}-seeds*")
    tables = {folder: read_record(folder / "table1.json") for folder in folders}
    counts = {
        folder: len(table["facts"]["seeds"])
        for folder, table in tables.items()
        if table and table["facts"]["profile"] == study.changes
    }
    if max(counts.values(), default=0) < reproduction.FEWEST:
        return None
    folder = max(counts, key=counts.get)
    return tables[folder] | {"judges": read_record(folder / "judges.json") or {}}


def known(study: pipeline.Study) -> dict | None:
    """What Table 1 of a study is held against: `committed`, None for one of several trainings."""
    return committed(study) if len(study.seeds) == 1 else None


def check(study: pipeline.Study, log) -> bool:
    """Compare Table 1 of a single-seed study with the committed trainings, write `reproduction.*`
    beside it and log the answer. Returns whether it is reproduced; True if nothing is committed."""
    others = known(study)
    if others is None:
        return True
    folder = pipeline.figures_folder(study)
    record = reproduction.check(read_record(folder / "table1.json"), others)
    render.write(folder, "reproduction", record)
    log(f"{record['line']}\n({folder.name}/reproduction.md has every number)")
    return record["passed"]
