"""The work of `make reproduce`: data, all rows, scores, then the notebooks by papermill."""

import resource
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path

import pandas as pd

from pg2lib import models
from pg2lib.core import devices
from pg2lib.core.files import OutOfTime, read_record, write_csv, write_json
from pg2lib.results import claims as claim_list
from pg2lib.results import render, tables, terminal, verdicts
from pg2lib.workflow import evidence, lanes, overview, pipeline, trainings
from pg2lib.workflow import plan as plans
from pg2lib.workflow import run_store as runs
from pg2lib.workflow.notebooks import notebook_state, notebook_step, notebooks, run_notebook


def books(study, claims: bool):
    """The notebooks to execute; claims: include those that need the ablations. For several seeds
    only those that report over all of them."""
    every = [book for book in notebooks() if (claims or not book.claims) and not book.papers]
    return [notebook for notebook in every if notebook.seeds or len(study.seeds) == 1]


def plan(study, claims: bool) -> list[tuple[runs.Step, runs.State]]:
    """Every step and its state; runs nothing."""
    entries = [(step, runs.state(step)) for step in plans.steps(study, claims)]
    return entries + [
        (notebook_step(study, n), notebook_state(study, n)) for n in books(study, claims)
    ]


def reproduce(studies, claims=False, log=print, until=None) -> bool:
    """Do all missing work, in order, and log where the results are.

    studies: of one profile, with different data sets. claims: also train the ablations and test the
    paper's claims (`make claims`). All studies are scored before the first notebook runs, because
    the claims compare them; for several, both halves of Table 1 are written to all-<profile>/.
    Returns whether Table 1 agrees with the committed trainings (`trainings.check`). Raises
    OutOfTime after `until`, a `time.time()`.
    """
    started, seconds = time.time(), Counter()
    entries = {study: plan(study, claims) for study in studies}
    missing = {study: any(not state.hit for _, state in entries[study]) for study in studies}
    with logged_steps(entries, log):
        for work in (score, present):
            for study in studies:
                began = time.time()
                work(study, claims, log, until)
                seconds[study] += time.time() - began
    for study in (study for study in studies if missing[study]):
        facts = report(study, claims, seconds[study])
        write_json(pipeline.figures_folder(study) / "run.json", facts)
    if len(studies) > 1:
        folder = both_halves(studies)
        if any(missing.values()):
            facts = {"command": both_command(studies)}
            facts |= {"seconds": round(time.time() - started), "machine": devices.machine()}
            write_json(folder / "run.json", facts)
        log_table(folder, log)
        log(f"both halves of Table 1: {relative(folder)}")
    alike = all([trainings.check(study, log) for study in studies])
    log(f"done in {time.time() - started:.0f} s\n\n{what_next(studies[0], claims)}")
    return alike


def logged_steps(entries: dict, log):
    """Log the progress of all steps (study -> its plan) in the block, unless all are done."""
    alone = any(pipeline.device_of(study) != "cpu" for study in entries)
    count = 1 if alone else min(devices.cpu_count(), lanes.MOST_LANES)
    names = {pipeline.shared(study).name for study in entries} | {one.name for one in entries}
    folders = [place / name for place in (runs.shipped_figures(), runs.figures())
               for name in sorted(names)]  # fmt: skip
    every = {step.folder: (step, state) for plan in entries.values() for step, state in plan}
    return overview.log_steps(list(every.values()), folders, count, log)


def log_table(folder: Path, log):
    """Log Table 1 of a folder, fitted to the terminal; its file has intervals and notes."""
    log(f"\n{terminal.text(read_record(folder / 'table1.json'), terminal.columns())}\n")
    log(f"with intervals and notes: {relative(folder)}table1.md")


def what_next(study, claims: bool) -> str:
    """Suggested commands after `make reproduce`."""
    steps = {"make report": "all results on one page, with the files for a paper",
             "make lab": "the notebooks; 08_pose_studio has joints to drag"}  # fmt: skip
    if not claims:
        command = study.command.replace("make reproduce", "make claims")
        steps[command] = "also the ablations, and a verdict on each claim of the paper"
    return "\n".join(["next:", *(f"  {command}\n      {text}" for command, text in steps.items())])


def score(study, claims, log, until=None):
    """Data, training and scores of a study and, for the claims, of the one that provides its
    ablations."""
    for part, rows in plans.wanted(study, claims).items():
        pipeline.data(part, log)
        lanes.score_all(part, rows, log, until)
        for job in pipeline.jobs(part, pipeline.trained(rows)):
            trainings.curve(*job, log)
    if len(study.seeds) > 1:
        judges = trainings.judges(study, log)
        write_json(pipeline.figures_folder(study) / "judges.json", judges)


def present(study, claims, log, until=None):
    """Notebooks, and with them tables and figures, of a scored study; on a CPU several in parallel,
    since they are independent."""
    missing = [book for book in books(study, claims) if not notebook_state(study, book).hit]
    if missing and until is not None and time.time() >= until:
        raise OutOfTime("notebooks")
    count, logged = min(devices.cpu_count(), lanes.MOST_LANES, len(missing)), []
    if count > 1 and pipeline.device_of(study) == "cpu":
        work = partial(run_notebook, study, log=partial(print, flush=True))
        lanes.side_by_side(work, missing, count)
        logged = missing
    for notebook in books(study, claims):
        run_notebook(study, notebook, None if notebook in logged else log)
    folder = pipeline.figures_folder(study)
    if len(study.seeds) > 1 and not claims and not tested(folder):
        write_row_claims(study, folder)
    write_logs(study, claims, folder / "logs.csv")
    trainings.write_curves(study, plans.wanted(study, claims)[study], folder / "curves.csv")
    log_table(folder, log)
    log(f"figures and tables: {relative(folder)}")
    if not claims and tested(folder):
        command = study.command.replace("make reproduce", "make claims")
        log(f"the paper's claims: {relative(folder)}claims.md, of an earlier {command}")
    log(f"executed notebooks: {relative(runs.root() / 'notebook' / study.name)}")


def tested(folder) -> bool:
    """Whether a folder of figures has the claims of a `make claims`."""
    known = read_record(folder / "claims.json")
    return bool(known) and known["facts"]["command"].startswith("make claims")


def write_row_claims(study, folder):
    """The paper's claims as far as the rows of Table 1 decide them; those that need an ablation are
    "not measured"."""
    rows, other = claim_list.rows_of(), plans.sibling(study)
    main = evidence.measured(study, rows)
    both = evidence.measured(other, claim_list.rows_of(how="halves")) if other else None
    facts = pipeline.facts(study, "pg2 reproduce", rows) | {"drawn": study.setting.drawn}
    results = verdicts.evaluate_claims(main, sibling=both)
    table = verdicts.claims_table(results, facts, verdicts.health_lines(main, both))
    render.write(folder, "claims", table)


def both_halves(studies) -> Path:
    """Write Table 1 with a half for each study; returns its folder."""
    profile = studies[0].name.removeprefix(f"{studies[0].dataset}-")
    folder = runs.named_folder(f"all-{profile}")
    halves = [pipeline.table1(study) for study in studies]
    table = tables.both_halves(halves, both_command(studies))
    render.write(folder, "table1", table)
    return folder


def both_command(studies) -> str:
    return studies[0].command.replace(f"DATASET={studies[0].dataset}", "DATASET=all")


def write_logs(study, claims, path: Path):
    """The numbers of the learning curves in one CSV: a line per method and logged step."""
    stages = pipeline.chains(plans.wanted(study, claims)[study])
    logs = [
        pd.DataFrame(pipeline.training_log(one, name)).assign(stage=name, seed=one.seed)
        for one, name in pipeline.jobs(study, stages)
    ]
    table = pd.concat(logs).drop(columns="images_per_second")  # all else is reproducible
    for name in ("seed", "stage"):
        table.insert(0, name, table.pop(name))
    write_csv(path, table)


def report(study, claims, seconds: float) -> dict:
    """Timings: seconds of this call, of every step when it was run, and of the installation; peak
    memory of this process and of its largest child in MB; the machine."""
    steps = plans.steps(study, claims) + [notebook_step(study, n) for n in books(study, claims)]
    goal = "claims" if claims else "reproduce"
    unit = 1e6 if sys.platform == "darwin" else 1e3  # bytes on macOS, kilobytes on Linux
    peak = {
        who: round(resource.getrusage(code).ru_maxrss / unit)
        for who, code in (("main", resource.RUSAGE_SELF), ("child", resource.RUSAGE_CHILDREN))
    }
    return {
        "command": study.command.replace("make reproduce", f"make {goal}"),
        "seconds": round(seconds),
        "installation_seconds": read_record(runs.project() / ".venv" / ".installed"),
        "steps": {f"{s.kind} {s.name}": runs.read_done(s)["seconds"] for s in steps},
        "peak_memory_mb": peak,
        "precision": {
            name: runs.read_done(pipeline.train_step(study, name))["facts"]["precision"]
            for name in pipeline.chains(models.rows())
        },
        "seeds": list(study.seeds),
        "machine": devices.machine(),
    }


def relative(path: Path) -> str:
    """The path of a folder with a closing /, relative to the current one if it is below."""
    path, here = path.resolve(), Path.cwd()
    return f"{path.relative_to(here) if path.is_relative_to(here) else path}/"
