"""How much garment texture is kept in the images of rows, from the run store."""

from dataclasses import replace
from functools import partial

from pg2lib.evaluation import statistics, texture
from pg2lib.evaluation.score_row import read_pairs, with_interval
from pg2lib.results.tables import paired
from pg2lib.training import extras, loop
from pg2lib.workflow import maps, pipeline

LABELS = "people"


def parsed(study: pipeline.Study, log=None, labels=LABELS):
    """The Dataset of a study of drawn people with its exact maps."""
    step = maps.of_labels(labels, pipeline.data_step(study))
    return maps.added(pipeline.data(study, log), step, partial(pipeline.ensure, log=log))


def pairs(study: pipeline.Study, rows, log=None) -> dict:
    """row -> the tables of scored pairs with the columns of `texture.of_pairs`, one per seed;
    scored if missing."""
    dataset, found = parsed(study, log), {}
    for row in rows:
        found[row] = []
        for one in pipeline.each(study, row):
            own = texture.of_pairs(pipeline.generated(one, row), dataset, LABELS)
            found[row].append(read_pairs(pipeline.evaluate(one, row)).join(own))
    return found


def scores(tables: dict) -> dict:
    """row -> the score over its trainings, as from `score_row.over_seeds`, of `pairs`."""
    found = {}
    for row in tables:
        (values,), *about = paired(tables, "texture", row)
        found[row] = with_interval(values, *about)
    return found


def differences(tables: dict, compared: dict) -> dict:
    """name -> the weighted mean of row a's score minus row b's, the ends of its 95 % interval, and
    the same mean in each training; compared: name -> (a, b), rows of `pairs`."""
    found = {}
    for name, rows in compared.items():
        (ours, other), people, weights = paired(tables, "texture", *rows)
        by_seed = statistics.seed_means(ours - other, weights)
        found[name] = *statistics.paired_difference(ours, other, people, weights), by_seed
    return found


def inputs(dataset, chosen, device):
    """Inputs for the pairs (k, 2) of a method that reads parsing maps; dataset: from `parsed`."""
    maps = extras.pair_maps(dataset, chosen, device, ("parsing", "target_parsing"))
    return replace(loop.pair_inputs(dataset, chosen, device), extras=maps)
