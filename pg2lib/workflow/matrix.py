"""The work of many studies as commands for many machines, with dependencies and costs."""

import re
import shlex
from dataclasses import dataclass
from functools import cache

from pg2lib import models
from pg2lib.core import devices
from pg2lib.core.files import UserError, read_json
from pg2lib.core.names import checked
from pg2lib.workflow import pipeline
from pg2lib.workflow import run_store as runs

GROUPS = {"all": pipeline.all_rows, "ablations": models.ablations, "successors": models.successors}


@dataclass(frozen=True)
class Job:
    """One step that a machine can do alone once its needs are in the run store."""

    study: pipeline.Study  # of one seed
    step: runs.Step
    command: str
    needs: tuple[str, ...] = ()  # keys of steps, each a separate job
    wave: int = 1  # one more than the last of its needs
    name: str | None = None  # of the network if it is trained, else None


def rows_of(text: str) -> tuple[str, ...]:
    """The rows of "G1-L1,G1+D"; names in GROUPS stand for several. Raises UserError for others."""
    choices = [*GROUPS, *pipeline.REFERENCE_ROWS, *models.painted()]
    names = [checked("row", name, choices) for name in text.split(",")]
    found = [row for name in names for row in (GROUPS[name]() if name in GROUPS else (name,))]
    return tuple(dict.fromkeys(found))


def jobs(studies, rows, options: str = "") -> list[Job]:
    """Jobs for the scores of rows in all studies, in working order: wave by wave, and in each wave
    training before scoring. options: of the commands, besides data set and seed.

    Jobs of a wave are independent: first data, then keypoint networks and first stages, then stages
    that refine others. Scores come one wave after the networks they judge.
    """
    found = {}

    def add(study, step, words, name=None):
        needs = tuple(key for key in step.inputs.values() if key in found)
        wave = 1 + max((found[key].wave for key in needs), default=0)
        seed = f" --seeds {study.seed}" if needs else ""
        command = f"pg2 {words} --dataset {study.dataset}{options}{seed}"
        found.setdefault(step.key, Job(study, step, command, needs, wave, name))

    for study in studies:
        add(study, pipeline.data_step(study), "data prepare")
        for one, name in pipeline.jobs(study, (pipeline.KEYPOINTS, *pipeline.chains(rows))):
            add(one, pipeline.train_step(one, name), f"train {shlex.quote(name)}", name)
        for one, row in pipeline.jobs(study, rows):
            add(one, pipeline.score_step(one, row), f"evaluate {shlex.quote(row)}")
    order = ("data", "train", "evaluate")
    return sorted(found.values(), key=lambda job: (job.wave, order.index(job.step.kind)))


def lines(found, wave: int | None = None) -> list[dict]:
    """The jobs missing in the run store as plain values: step, key, wave, needs (the missing ones),
    command, core_hours and gpu_hours (None: not measured, or not used) and measured, the source of
    these. wave: only this one; a launcher counts upwards without knowing the last, so later waves
    are empty. Raises UserError for a wave below 1."""
    if wave is not None and wave < 1:
        raise UserError(f"--wave {wave} is out of range; the first is 1")
    missing = {job.step.key: job for job in found if not runs.state(job.step).hit}
    return [
        {
            "step": f"{job.step.kind}/{job.step.name}",
            "key": key,
            "wave": job.wave,
            "needs": [need for need in job.needs if need in missing],
            "command": job.command,
            **cost(job),
        }
        for key, job in missing.items()
        if wave in (None, job.wave)
    ]


def text(entries) -> str:
    """The commands of `lines`, each with wave and cost as a shell comment."""
    width = max((len(entry["command"]) for entry in entries), default=0)
    return "\n".join(f"{e['command']:{width}}  # wave {e['wave']}, {hours(e)}" for e in entries)


def hours(entry) -> str:
    for field, unit in (("gpu_hours", "GPU-hours"), ("core_hours", "core-hours")):
        if entry[field] is not None:
            return f"{entry[field]:.2g} {unit} ({entry['measured']})"
    return "cost unknown"


def cost(job: Job) -> dict:
    """Estimated cost of a step, from where it was measured: the same training with another seed in
    this run store, the run of a bundled study, or the benchmarks."""
    for measure in (in_the_store, in_the_figures, in_the_benchmarks):
        if found := measure(job):
            seconds, units, on_gpu = found
            own, other = ("gpu_hours", "core_hours") if on_gpu else ("core_hours", "gpu_hours")
            source = measure.__name__.replace("_", " ")
            return {own: round(seconds * units / 3600, 6), other: None, "measured": source}
    return {"core_hours": None, "gpu_hours": None, "measured": None}


def in_the_store(job: Job) -> tuple[float, int, bool] | None:
    """(seconds, number of cores or GPUs, whether GPUs) of a finished training that differs only in
    the seed."""
    if job.name is None:
        return None
    plain, row = pipeline.shared(job.study).runs_name, job.step.name.split("/")[1]
    for folder in (runs.root() / "train").glob("*/*"):
        own = rf"{re.escape(plain)}(-seed\d+)?/{re.escape(row)}-\w{{12}}"
        before, done = read_json(folder / "step.json"), read_json(folder / "done.json")
        if not re.fullmatch(own, f"{folder.parent.name}/{folder.name}") or not before or not done:
            continue
        if before["config"] | {"seed": None} == job.step.config | {"seed": None}:
            facts, config = done["facts"], pipeline.method_config(job.study, job.name)
            on_gpu = facts["device"] != "cpu"
            cores = config.threads or devices.cpu_count()
            return done["seconds"], facts["processes"] * (1 if on_gpu else cores), on_gpu
    return None


def in_the_figures(job: Job) -> tuple[float, int, bool] | None:
    """Likewise, from the run.json of a study without overrides, of any seeds."""
    plain = pipeline.shared(job.study).runs_name
    own = f"{job.step.kind} {job.step.name.replace(job.study.runs_name, plain, 1)}"
    for took, machine in () if job.study.overrides else recorded_runs():
        if own in took:
            on_gpu = machine["gpu"] is not None and job.step.kind != "data"
            alone = job.name and pipeline.method_config(job.study, job.name).threads
            return took[own], 1 if on_gpu else alone or machine["cores"], on_gpu
    return None


@cache
def recorded_runs() -> list[tuple[dict, dict]]:
    """(seconds of steps, machine) of the studies in the figures."""
    found = map(read_json, sorted(runs.shipped_figures().glob("*/run.json")))
    return [(run["steps"], run["machine"]) for run in found if run and "steps" in run]


def in_the_benchmarks(job: Job) -> tuple[float, int, bool] | None:
    """Likewise, from the seconds per step at the paper's size in benchmarks/results.json."""
    if job.name in (None, pipeline.KEYPOINTS) or job.study.profile_name != "paper":
        return None
    config = pipeline.method_config(job.study, job.name)
    shape = f"{config.height}x{config.width}, batch {config.batch},"
    found = read_json(runs.project() / "benchmarks" / "results.json") or {}
    for device, part in () if job.study.overrides else found.items():
        lines = [line for own in part["sections"].values() for line in own["lines"]]
        for line in lines:
            if line["what"] == f"{job.name} step, plain float32" and shape in line["note"]:
                units = 1 if device != "cpu" else part["machine"]["cores"]
                return config.iterations * line["value"], units, device != "cpu"
    return None
