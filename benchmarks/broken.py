"""`python -m benchmarks.broken`: whether the reproduction check notices a mistake in the code.

Scores the default study of one seed, as trained in the run store, three times more with one thing
broken: a limb missing from the pose mask, two joints of the target pose swapped, the difference map
subtracted. Each Table 1 is held against the committed trainings; writes broken.json.
"""

import sys
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest import mock

import torch

from pg2lib.core.config import Study
from pg2lib.core.files import UserError, write_json
from pg2lib.data import heatmaps
from pg2lib.data.keypoints import JOINTS
from pg2lib.evaluation import score_row
from pg2lib.models.base import Output
from pg2lib.results import reproduction, tables
from pg2lib.workflow import pipeline, trainings

RESULTS = Path(__file__).parent / "broken.json"


def main():
    study = Study()
    known = trainings.committed(study)
    if known is None:
        raise UserError(
            "no trainings of this study are committed; run make reproduce SEEDS=0,1,2,3,4"
        )
    answers = {}
    for name, broken in BROKEN.items():
        with broken() as change:
            record = reproduction.check(table(study, change), known)
        answers[name] = {key: record[key] for key in ("passed", "line", "inside", "of", "allowed")}
        print(f"{name}: {record['line']}", flush=True)
    write_json(RESULTS, answers)


def table(study, change) -> dict:
    """Table 1 of the study, its generators changed: (row, function) -> function."""
    data, estimator, summaries = pipeline.data(study), pipeline.estimator(study), {}
    for row in pipeline.all_rows():
        generator = None
        if row not in pipeline.REFERENCE_ROWS:
            generator = change(row, pipeline.generate_fn(study, row))
        how = pipeline.scoring(study, "pg2", "target")
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            found = score_row.evaluate_row(row, generator, data, folder, how, estimator)
        summaries[row] = [found]
    return tables.table1(summaries, pipeline.paper_rows(study), pipeline.table_facts(study))


def as_it_is(row, generator):
    return generator


@contextmanager
def nothing():
    yield as_it_is


@contextmanager
def limb_missing():
    """The mask without the right shank, in the scores of every row."""
    shank = {JOINTS.index("right_knee"), JOINTS.index("right_ankle")}
    limbs = tuple(limb for limb in heatmaps.MASK_LIMBS if set(limb) != shank)
    assert len(limbs) < len(heatmaps.MASK_LIMBS)
    with mock.patch.object(heatmaps, "MASK_LIMBS", limbs):
        yield as_it_is


@contextmanager
def joints_swapped():
    """Wrist and ankle of the target pose swapped on their way into the networks."""
    pair = [JOINTS.index("right_wrist"), JOINTS.index("right_ankle")]
    order = torch.arange(len(JOINTS))
    order[pair] = order[pair[::-1]]

    def change(row, generator):
        return lambda inputs: generator(
            replace(inputs, target_keypoints=inputs.target_keypoints[:, order])
        )

    yield change


@contextmanager
def sign_wrong():
    """I_B1 - G2(I_B1, I_A) instead of the sum."""

    def change(row, generator):
        def generate(inputs):
            output = generator(inputs)
            if "difference" not in output.parts:
                return output
            return Output(output.image - 2 * output.parts["difference"], output.parts)

        return generate

    yield change


BROKEN = {
    "nothing broken": nothing, "a limb missing from the mask": limb_missing,
    "a wrist and an ankle swapped": joints_swapped, "difference map subtracted": sign_wrong,
}  # fmt: skip


if __name__ == "__main__":
    from pg2lib.cli import status_of

    sys.exit(status_of(main))
