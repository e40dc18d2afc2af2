"""Evidence for the paper's claims, from the run store; missing steps are run first."""

from dataclasses import replace

from pg2lib import models
from pg2lib.results import claims, effects
from pg2lib.training import describe, extras
from pg2lib.workflow import pipeline, plan, textures


def measured(study: pipeline.Study, rows) -> effects.Evidence:
    """A study's measurements for some rows with all seeds, and the logs of the trained ones."""
    logs = {
        row: [pipeline.training_log(one, row) for one in pipeline.each(study, row)]
        for row in rows
        if row not in pipeline.REFERENCE_ROWS
    }
    seen = describe.first_stage_pairs(study, logs)
    about = study.profile_name, study.setting.half, pipeline.MASK_VARIANT, seen
    found = effects.gather(pipeline.data(study), pipeline.scored(study, rows), logs, *about)
    parsed = any(extras.names(models.find(row)) for row in logs)
    if not (parsed and study.setting.drawn):  # textures are claims of rows that see parsing maps
        return found
    own, columns = textures.pairs(study, rows), ["texture", "target_texture"]
    joined = {row: [one.join(other[columns]) for one, other in zip(found.pairs[row], own[row])]
              for row in rows}  # fmt: skip
    return replace(found, pairs=joined)


def of_study(study: pipeline.Study):
    """(main, ablations, sibling): Evidence of a study, of the study that provides its ablations,
    and of its sibling data set, None unless already scored (see `plan.sibling`)."""
    rows, ablation_rows = claims.rows_of(), claims.rows_of(ablations=True)
    ablations, sibling = plan.ablation_study(study), plan.sibling(study)
    both = measured(sibling, claims.rows_of(how="halves")) if sibling else None
    if ablations == study:
        main = measured(study, tuple(dict.fromkeys(rows + ablation_rows)))
        return main, main, both
    return measured(study, rows), measured(ablations, ablation_rows), both
