"""How much of a garment's texture arrives in the images of rows, from the run store."""

from functools import partial

import numpy as np

from pg2lib.evaluation import texture
from pg2lib.evaluation.score_row import read_pairs, with_interval
from pg2lib.evaluation.scores import weighting
from pg2lib.workflow import maps, pipeline

LABELS = "people"


def parsed(study: pipeline.Study, log=None, labels=LABELS):
    """The Dataset of a study of drawn people with its exact maps."""
    step = maps.of_labels(labels, pipeline.data_step(study))
    return maps.added(pipeline.data(study, log), step, partial(pipeline.ensure, log=log))


def pairs(study: pipeline.Study, rows, log=None) -> dict:
    """row -> the tables of scored pairs with the columns of `texture.of_pairs`, one for each seed;
    scored if they are not there."""
    dataset, found = parsed(study, log), {}
    for row in rows:
        found[row] = []
        for one in pipeline.each(study, row):
            own = texture.of_pairs(pipeline.generated(one, row), dataset, LABELS)
            found[row].append(read_pairs(pipeline.evaluate(one, row)).join(own))
    return found


def scores(tables: dict) -> dict:
    """row -> the score of its trainings as `score_row.over_seeds` gives it, of `pairs`."""
    return {
        row: with_interval(
            np.stack([table["texture"] for table in trainings]),
            trainings[0]["identity"].to_numpy(),
            weighting(trainings[0], "texture").to_numpy(),
        )
        for row, trainings in tables.items()
    }
