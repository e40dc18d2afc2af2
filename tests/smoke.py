"""Methods, configurations and untrained rows at the size of the profile smoke, for the tests."""

import dataclasses

from pg2lib import models
from pg2lib.core.config import Study, data_config
from pg2lib.models.base import Inputs, Output
from pg2lib.training import checkpoints, loop, weights
from pg2lib.workflow import pipeline


def config(name, dataset="synthetic-market", profile="smoke", **changes):
    """The configuration of a method."""
    return dataclasses.replace(pipeline.method_config(Study(dataset, profile), name), **changes)


def task(name, start=None, **changes):
    """The training of a method at this size; start: what it refines, a stand-in if not given."""
    method = models.find(name)
    if method.start and start is None:
        start = plain
    return loop.method_task(method, config(name, **changes), start)


def plain(inputs):
    """A stand-in for a trained method: it darkens the condition image."""
    return Output(0.5 * inputs.condition)


def inputs(condition, keypoints):
    return Inputs(condition, None, keypoints)


def data_settings():
    return data_config(Study(profile="smoke"))


def trained_row(folder, name, seed=0):
    """method -> path of a weights.pt of untrained networks, in the order of training."""
    paths = {}
    for number, method in enumerate(models.chain(name)):
        (folder / method.name).mkdir(parents=True)
        run = loop.Run(task(method.name), seed + number, "cpu")
        checkpoints.export(folder / method.name, run.state())
        paths[method.name] = folder / method.name / checkpoints.WEIGHTS
    return paths


def row_configs(name):
    return {method.name: config(method.name) for method in models.chain(name)}


def generate_fn(paths):
    """The row whose weights.pt are `paths` (see `trained_row`), on the CPU."""
    chain = [models.find(name) for name in paths]
    return checkpoints.generate_fn(chain, [config(n) for n in paths], paths.values(), "cpu")


def published(name, seed=0, keys=None):
    return weights.Published(name, row_configs(name), "synthetic-market", "smoke", seed, keys or {})
