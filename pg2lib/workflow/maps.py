"""The step that writes parsing maps for a study's data, for methods that need them."""

from dataclasses import replace

from pg2lib.core import distributed
from pg2lib.core.files import UserError
from pg2lib.data import own_parsing, parsing
from pg2lib.workflow import code_keys
from pg2lib.workflow import run_store as runs


def of_labels(labels: str, data: runs.Step, own: str | None = None) -> runs.Step:
    """The maps of a data step. own: "ORDER:FOLDER" of the user's own maps. Raises UserError if it
    is not a folder, or its order lacks these labels."""
    config, write = {"labels": labels}, parsing.write
    if own:
        order, folder = own_parsing.split(own)
        own_parsing.merging(order, labels)  # reports mistakes before the work
        if not folder.is_dir():
            raise UserError(f"{folder} is no folder; name the folder of the parsing maps")
        config |= {"order": order, "folder": runs.fingerprint(folder, maps=True)}
        write = own_parsing.write
    name, inputs = f"{data.name}/{labels}", {"data": data.key}
    return runs.Step("parsing", name, config, inputs, (code_keys.entry(write),))


def added(dataset, step: runs.Step, ensure, own: str | None = None):
    """The Dataset with the maps of a step, written if missing. ensure: function (step, work) ->
    folder, see `pipeline.ensure`; own: as for `of_labels`."""

    def work(folder, progress):
        path, labels = folder / "maps.npy", step.config["labels"]
        if distributed.rank() == 0 and own:
            order, source = own_parsing.split(own)
            own_parsing.write(dataset, path, labels, source, order, progress)
        elif distributed.rank() == 0:
            parsing.write(dataset, path, labels, progress)

    maps = parsing.read(ensure(step, work) / "maps.npy", dataset)
    return replace(dataset, extras=dataset.extras | {"parsing": maps})


def source(dataset_name: str, own: str | None = None) -> str:
    """The source of a study's maps, for tables: "drawn", "pose regions" or the user."""
    if own:
        return f"the user's own, in the order {own_parsing.split(own)[0]}"
    return parsing.source_of(dataset_name)
