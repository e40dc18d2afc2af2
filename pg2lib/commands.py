"""The commands of `pg2`, each a function of its options, which `cli` defines."""

import contextlib
import json
import shlex

from pg2lib import models
from pg2lib.core import distributed
from pg2lib.core.config import drawn, named_study
from pg2lib.core.files import UserError
from pg2lib.core.names import checked
from pg2lib.core.progress import say
from pg2lib.data import folder as own_data
from pg2lib.data.prepare import card_text, verify
from pg2lib.evaluation.ssim import PRESETS
from pg2lib.results import render, terminal
from pg2lib.training import describe as costs
from pg2lib.workflow import lanes, pack, pipeline, plan, segmenter, slices, trainings
from pg2lib.workflow import matrix as matrices
from pg2lib.workflow import pages as project_pages
from pg2lib.workflow import run_store as runs

MOST_PROBLEMS = 20  # listed in a card


def study_of(options, dataset=None):
    study = named_study(options, dataset)
    if (study.device or "").startswith("mps") and options.command != "generate":
        raise UserError("mps is for pg2 generate alone; choose cpu or cuda")
    pipeline.check(study)
    return study


def log(line):
    if distributed.rank() == 0:  # one process of a launch prints
        say(line)


def log_plan(steps):
    log(plan.plan_text([(step, runs.state(step)) for step in steps]))


def reproduce(options):
    # training and scoring need no notebook packages
    from pg2lib.workflow import notebooks
    from pg2lib.workflow import reproduce as workflow

    names = drawn() if options.dataset == "all" else [options.dataset]
    studies = [study_of(options, name) for name in names]
    check_committed(options, studies[0])
    if options.strict and not all(map(trainings.known, studies)):
        raise UserError(
            "--strict needs bundled trainings of the same data set and profile, and one seed to "
            "hold against them; leave it out, or see figures/ for studies that have some"
        )
    if options.dry_run:
        entries = [entry for study in studies for entry in workflow.plan(study, options.claims)]
        return log(plan.plan_text(entries))
    until = slices.end_after(options.minutes)
    with contextlib.ExitStack() as stack:
        for study in studies:
            rows = plan.wanted(study, options.claims)[study]
            trained = (*pipeline.chains(rows), pipeline.KEYPOINTS)
            stack.enter_context(slices.log_progress(study, trained, log))
        alike = workflow.reproduce(studies, options.claims, log, until)
    if options.update_notebooks:
        notebooks.update_committed(studies[0], workflow.books(studies[0], True), log)
    if options.strict and not alike:
        raise SystemExit(1)


def check_committed(options, study):
    """Raise UserError if the project's notebooks would show photographs."""
    if options.update_notebooks and not study.setting.drawn:
        raise UserError(
            "the project's notebooks show drawn people; leave out --update-notebooks, "
            "and open the executed notebooks in runs/notebook/"
        )


def data_prepare(options):
    study = study_of(options)
    if options.dry_run:
        return log_plan([pipeline.data_step(study)])
    log(card_text(pipeline.data(study, log).card))


def data_verify(options):
    study = study_of(options)
    source = pipeline.source_folder(study)
    if source is None:  # drawn people: check the drawn store
        card = verify(pipeline.data(study, log))
    else:
        card = verify(pipeline.data_config(study), source) | {"dataset": study.data_name}
    problems = card.get("problems", [])
    more = [f"and {len(problems) - MOST_PROBLEMS:,} more."] if len(problems) > MOST_PROBLEMS else []
    log(card_text(card | {"problems": problems[:MOST_PROBLEMS] + more}))
    if problems:
        raise UserError(f"{len(problems):,} problems found; see the card above")
    if source is not None:  # the data that training reads
        log(card_text(pipeline.data(study, log).card))


def data_export(options):
    dataset = pipeline.data(study_of(options), log)
    own_data.export(dataset, options.out)
    log(
        f"wrote {len(dataset.names):,} images to {options.out}; train on them with "
        f"--dataset folder --data {options.out}"
    )


def train(options):
    study = study_of(options)
    names = [each for row in options.row for each in (models.rows() if row == "all" else [row])]
    for name in names:
        checked("row", name, [*models.METHODS, pipeline.KEYPOINTS, "all"])
    if options.dry_run:
        rows = [name for name in names if name != pipeline.KEYPOINTS]
        wanted = (*pipeline.chains(rows), *([pipeline.KEYPOINTS] if rows != names else []))
        return log_plan(plan.training(study, wanted))
    pipeline.data(study, log)
    with slices.log_progress(study, names, log):
        lanes.train_all(study, names, log, slices.end_after(options.minutes))
    for one, name in pipeline.jobs(study, names):
        log(f"{name}: {pipeline.train(one, name)}")


def evaluate(options):
    study = study_of(options)
    rows = options.row or list(pipeline.all_rows())
    for row in rows:
        checked("row", row, [*pipeline.REFERENCE_ROWS, *models.painted()])
    checked("preset", options.preset, PRESETS)
    how = options.preset, options.mask_from
    if options.dry_run:
        return log_plan(plan.scoring(study, rows, *how))
    with slices.log_progress(study, (*pipeline.chains(rows), pipeline.KEYPOINTS), log):
        lanes.score_all(study, rows, log, slices.end_after(options.minutes), *how)
    if set(rows) != set(pipeline.all_rows()):
        return log("Table 1 is written when all rows are named, or none")
    table = pipeline.table1(study, *how)
    if distributed.rank() > 0:
        return None
    log(f"\n{terminal.text(table, terminal.columns())}\n")
    inside = "" if how == ("pg2", "target") else f"/{'-'.join(how)}"  # keep the usual table
    folder = runs.named_folder(study.name + inside)
    log("wrote " + ", ".join(str(path) for path in render.write(folder, "table1", table)))


def successors(options):
    # training and scoring need no notebook packages
    from pg2lib.workflow import notebooks
    from pg2lib.workflow import successors as workflow

    study, papers = study_of(options), workflow.papers_of(options.method)
    check_committed(options, study)
    ablations = workflow.ablations_of(options.method, options.ablations)
    if options.update_notebooks and ablations == ():
        raise UserError("--update-notebooks needs the ablations; leave it or --no-ablations out")
    if options.dry_run:
        return log(plan.plan_text(workflow.plan(study, papers, ablations)))
    workflow.make(study, papers, log, ablations)
    if options.update_notebooks:
        notebooks.update_committed(study, workflow.books(study, papers, ablations), log)


def matrix(options):
    names = (options.datasets or options.dataset).split(",")
    studies = [study_of(options, name) for name in names]
    given = [("--profile", options.profile), *(("--set", text) for text in options.set)]
    given += [("--test-pairs", options.test_pairs), ("--data", options.data)]
    given += [("--device", options.device), ("--parsing", options.parsing)]
    if "deepfashion" in names:
        given += [("--keypoint-frame", options.keypoint_frame)]
    words = "".join(f" {name} {shlex.quote(str(value))}" for name, value in given if value)
    found = matrices.jobs(studies, matrices.rows_of(options.rows), words)
    entries = matrices.lines(found, options.wave)
    if options.json:
        log(json.dumps(entries, indent=1))
    elif entries:
        log(matrices.text(entries))


def runs_pack(options):
    packed = pack.write(options.names, options.out)
    log(f"wrote {options.out}: {packed} steps ({options.out.stat().st_size / 1e6:.1f} MB)")


def runs_merge(options):
    taken, there = pack.merge(options.file)
    log(f"{taken} steps added, {there} already present")


def parser(options):
    study = study_of(options)
    if options.dry_run:
        return log_plan(segmenter.steps(study))
    if options.write:
        segmenter.check_free(study, options.write, log)
    record = segmenter.measure(study, options.labelled, log)
    log(f"\n{terminal.text(record, terminal.columns())}\n")
    written = render.write(pipeline.figures_folder(study), "parser", record)
    log("wrote " + ", ".join(map(str, written)))
    if options.write:
        count = segmenter.write_maps(study, options.write, log)
        log(f"wrote {count:,} maps; use them with --parsing people:{options.write}")


def describe(options):
    study = study_of(options)
    names = dict.fromkeys((*models.rows(), *models.successors()))
    entries = costs.describe(study, names)
    log(json.dumps(entries, indent=1) if options.json else costs.description_text(entries, study))


def site(options):
    # other commands need no notebook packages
    from pg2lib.apps.site.site import write_site

    study = study_of(options)
    first = write_site(study, options.out or runs.root() / "site", log)
    log(f"wrote {first}; double-click to open it")


def pages(options):
    for path in project_pages.update_pages():
        log(f"wrote {path}")


def publish(options):
    for path in project_pages.publish(options.study):
        log(f"wrote {path}")
