"""What a study consists of: its steps, its rows, and the studies that it leans on."""

from dataclasses import replace

from pg2lib import models
from pg2lib.core import config as configs
from pg2lib.core.files import UserError
from pg2lib.workflow import pipeline, trainings
from pg2lib.workflow import run_store as runs


def steps(study: pipeline.Study, claims: bool = True) -> list[runs.Step]:
    """Every step of a study in the order of work; claims: with the ablations."""
    found = []
    for part, rows in wanted(study, claims).items():
        found.append(pipeline.data_step(part))
        trained = (*pipeline.chains(rows), pipeline.KEYPOINTS)
        for make, names in (
            (pipeline.train_step, trained),
            (pipeline.score_step, rows),
            (trainings.curve_step, pipeline.trained(rows)),
        ):
            found += [make(one, name) for name in names for one in pipeline.each(part, name)]
    return found


def wanted(study: pipeline.Study, claims: bool = True) -> dict[pipeline.Study, tuple[str, ...]]:
    """The rows to score for what is shown of a study: its own and, where its claims are tested,
    those of the study that its ablations come from."""
    if not claims:
        return {study: pipeline.all_rows()}
    ablations = models.ablations()
    other = ablation_study(study)
    if other == study:
        return {study: (*pipeline.all_rows(), *ablations)}
    baselines = dict.fromkeys(models.find(row).against for row in ablations)
    return {study: pipeline.all_rows(), other: (*pipeline.REFERENCE_ROWS, *baselines, *ablations)}


def ablation_study(study: pipeline.Study) -> pipeline.Study:
    """The study whose ablations serve this one: they are trained at the cost of `quick`."""
    small = study.profile_name in ("smoke", "quick")
    return study if small else replace(study, profile="quick")


def sibling(study: pipeline.Study) -> pipeline.Study | None:
    """The same study of the other half of Table 1, drawn or real like this one, with as many of
    the seeds as are scored there; None without any."""
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
    except UserError:  # real images of the other half are not here
        return None
    return replace(study, dataset=name, seeds=tuple(scored)) if scored else None


def plan_text(entries) -> str:
    lines = [step.line(state) for step, state in entries]
    missing = sum(not state.hit for _, state in entries)
    return "\n".join([*lines, "", f"{missing} of {len(entries)} steps would run"])
