"""The step that makes parsing maps beside a study's data, for methods that need them."""

from dataclasses import replace

from pg2lib.core import distributed
from pg2lib.data import parsing
from pg2lib.training import extras
from pg2lib.workflow import code_keys
from pg2lib.workflow import run_store as runs


def step(method, config, data: runs.Step) -> runs.Step | None:
    """The maps with the labels of a method's configuration, for a data step; None if the method
    needs none."""
    if not extras.names(method):
        return None
    entries, inputs = (code_keys.entry(parsing.write),), {"data": data.key}
    name, config = f"{data.name}/{config.labels}", {"labels": config.labels}
    return runs.Step("parsing", name, config, inputs, entries)


def added(dataset, step: runs.Step, ensure):
    """The Dataset with the maps of a step, written if they are not there. ensure: function
    (step, work) -> folder, see `pipeline.ensure`."""

    def work(folder, progress):
        if distributed.rank() == 0:
            parsing.write(dataset, folder / "maps.npy", step.config["labels"], progress)

    maps = parsing.read(ensure(step, work) / "maps.npy", dataset)
    return replace(dataset, extras=dataset.extras | {"parsing": maps})
