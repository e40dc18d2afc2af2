"""The parts of a study: its steps, its rows, and the studies it depends on."""

from dataclasses import replace

from pg2lib import models
from pg2lib.core import config as configs
from pg2lib.core.files import UserError
from pg2lib.workflow import pipeline, trainings
from pg2lib.workflow import run_store as runs


def steps(study: pipeline.Study, claims: bool = True) -> list[runs.Step]:
    """Every step of a study in working order; claims: include the ablations."""
    found = []
    for part, rows in wanted(study, claims).items():
        curves = pipeline.jobs(part, pipeline.trained(rows))
        found += [*scoring(part, rows), *(trainings.curve_step(*job) for job in curves)]
    return found


def training(study: pipeline.Study, names) -> list[runs.Step]:
    """The steps to train methods, or KEYPOINTS, in working order."""
    maps = [pipeline.maps_step(study, name) for name in names if name in models.METHODS]
    maps = {step.key: step for step in maps if step}.values()  # once each
    trainings = [pipeline.train_step(*job) for job in pipeline.jobs(study, names)]
    return [pipeline.data_step(study), *maps, *trainings]


def scoring(study: pipeline.Study, rows, *how) -> list[runs.Step]:
    """The steps to train and score rows, in working order; how: of `pipeline.score_step`."""
    scores = [pipeline.score_step(*job, *how) for job in pipeline.jobs(study, rows)]
    return [*training(study, (*pipeline.chains(rows), pipeline.KEYPOINTS)), *scores]


def wanted(study: pipeline.Study, claims: bool = True) -> dict[pipeline.Study, tuple[str, ...]]:
    """The rows to score for a study: its own and, if its claims are tested, those of the study that
    provides its ablations."""
    if not claims:
        return {study: pipeline.all_rows()}
    ablations = models.ablations()
    other = ablation_study(study)
    if other == study:
        return {study: (*pipeline.all_rows(), *ablations)}
    baselines = dict.fromkeys(models.find(row).against for row in ablations)
    return {study: pipeline.all_rows(), other: (*pipeline.REFERENCE_ROWS, *baselines, *ablations)}


def ablation_study(study: pipeline.Study) -> pipeline.Study:
    """The study that provides this one's ablations: they are trained at the cost of `quick`."""
    small = study.profile_name in ("smoke", "quick")
    return study if small else replace(study, profile="quick")


def sibling(study: pipeline.Study) -> pipeline.Study | None:
    """The same study of the other half of Table 1, drawn or real like this one, with the seeds that
    are scored there; None if there are none."""
    mine = study.setting
    if mine.own:
        return None
    [name] = (
        name
        for name, other in configs.SETTINGS.items()
        if other.drawn == mine.drawn and other.half != mine.half and not other.own
    )
    scored, rows = [], pipeline.all_rows()
    try:
        for one in replace(study, dataset=name).each():
            if not all(runs.state(pipeline.score_step(one, row)).hit for row in rows):
                break
            scored.append(one.seed)
    except UserError:  # the other half's real images are missing
        return None
    return replace(study, dataset=name, seeds=tuple(scored)) if scored else None


def plan_text(entries) -> str:
    lines = [step.line(state) for step, state in entries]
    missing = sum(not state.hit for _, state in entries)
    return "\n".join([*lines, "", f"{missing} of {len(entries)} steps would run"])
