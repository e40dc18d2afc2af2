"""The bundled generators, and people to try them on: no training, no download.

`make demo` trains them on drawn people (profile `demo`): all rows of Table 1 on street people, the
two main ones on studio people. A row that another refines lies in the other's file (see
`training.weights`). Studies of other profiles come from the run store as usual.
"""

import os
from dataclasses import asdict, replace
from pathlib import Path

from pg2lib import models
from pg2lib.core import config as configs
from pg2lib.core.config import Study
from pg2lib.core.files import sha256
from pg2lib.data import dataset as datasets
from pg2lib.training import onnx_graph, weights
from pg2lib.workflow import pipeline

PROFILE = "demo"
DRAWN = tuple(configs.drawn())
FOLDER = Path(__file__).parent.parent / "demo_weights"
PEOPLE, VIEWS = 60, 4  # drawn in seconds; twice what a user-study participant sees
OTHER_PEOPLE = 1_000  # their seed: people not used in training


def study_from_environment(dataset=None, profile=None, seeds=0, overrides=()) -> Study:
    """`config.study_from_environment`, but of drawn people by default the bundled study."""
    asked = profile or configs.parse_seeds(seeds) != (0,) or overrides
    asked = asked or any(os.environ.get(f"PG2_{name}") for name in ("PROFILE", "SET"))
    asked = asked or (dataset or os.environ.get("PG2_DATASET") or DRAWN[0]) not in DRAWN
    return configs.study_from_environment(dataset, profile if asked else PROFILE, seeds, overrides)


def ships(study: Study) -> bool:
    """Whether the generators of a study are bundled."""
    mine = study.profile, study.seeds, study.overrides
    return mine == (PROFILE, (0,), ()) and study.dataset in DRAWN


def rows(dataset: str = configs.DEFAULT_DATASET) -> tuple[str, ...]:
    """The rows of Table 1 with bundled generators of a data set, in the table's order."""
    return tuple(row for row in models.rows() if weights_file(row, dataset).exists())


def weights_file(row: str, dataset: str = configs.DEFAULT_DATASET) -> Path:
    """The bundled file that holds a row: its own, or that of a row that refines it. Data sets that
    are not drawn have the files of street people."""
    own = FOLDER / (dataset if dataset in DRAWN else DRAWN[0]) / f"{row}{weights.SUFFIX}"
    refined = (own.with_stem(name) for name in models.rows() if models.find(name).start == row)
    return next((file for file in (own, *refined) if file.exists()), own)


def generate_fn(study: Study, row: str, log=None):
    """The row as a function Inputs -> Output, from the bundled generators or those of the study,
    trained if missing.

    Raises:
        UserError: an unknown row, or one whose bundled file is missing or damaged.
    """
    if not ships(study):
        return pipeline.generate_fn(study, row, log)
    models.find(row)
    return weights.load(weights_file(row, study.dataset), study.device, row)[1]


def onnx(study: Study, row: str, log=None) -> bytes:
    """The row as an ONNX file (`onnx_graph`), with the generators of `generate_fn`.

    Raises:
        UserError: as `generate_fn`, or if the package onnx is missing.
    """
    onnx_graph.require()
    method, about = models.find(row), {"dataset": study.data_name, "profile": study.changes}
    if ships(study):
        published, paint = weights.load(weights_file(row, study.dataset), "cpu", row)
        size = published.size
    else:
        pipeline.train(study, row, log)
        paint = pipeline.generate_fn(replace(study, device="cpu"), row, log)
        config = pipeline.method_config(study, row)
        size = config.height, config.width
    return onnx_graph.row_graph(method, paint, size, about)


def data(study: Study, log=None) -> datasets.Dataset:
    """People to paint: for the bundled generators a few unseen in training, else the study's
    data."""
    if not ships(study):
        return pipeline.data(study, log)
    config = replace(
        pipeline.data_config(study),
        seed=OTHER_PEOPLE,
        train_identities=1,
        test_identities=PEOPLE,
        images_per_identity=VIEWS,
    )
    own = configs.changed_fields(config)
    step = replace(pipeline.data_step(study), name=f"{study.name}-people", config=own)
    return pipeline.prepared(step, config, log=log)


def facts(study: Study, made_by: str, rows) -> dict:
    """The provenance of a figure (see `pipeline.facts`), also for the bundled generators."""
    if not ships(study):
        return pipeline.facts(study, made_by, rows)
    named = {"made_by": made_by, "dataset": study.data_name, "profile": study.profile}
    methods = pipeline.chains(rows)
    files = {weights_file(row, study.dataset) for row in rows}
    return named | {
        "seed": study.seed,
        "config": {name: asdict(pipeline.method_config(study, name)) for name in methods},
        "inputs": {file.name: sha256(file) for file in sorted(files)},
    }
