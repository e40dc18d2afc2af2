"""The parser of photographs: train it on drawn people, evaluate it, and apply it."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from pg2lib.core import config as configs
from pg2lib.core.files import UserError, write_atomically
from pg2lib.data import labelled_photos, parsing
from pg2lib.evaluation import segmentation
from pg2lib.results.notes import notes
from pg2lib.training import checkpoints
from pg2lib.training import loop as training
from pg2lib.workflow import code_keys, maps, pipeline, textures
from pg2lib.workflow import run_store as runs

# Columns: the network trained on drawings only, and the one also trained on photographs.
PHOTOGRAPHS = "photographs", "photographs, others learnt from"


def drawn_study(study: configs.Study) -> configs.Study:
    """The study of drawn people to train the network on, with the same half and size."""
    if study.setting.drawn:
        return pipeline.shared(study)
    half = study.setting.half
    [name] = (n for n in configs.drawn() if configs.SETTINGS[n].half == half)
    return pipeline.shared(replace(study, dataset=name, source=None))


def config_of(study: configs.Study, photographs=None) -> segmentation.SegmentConfig:
    """The configuration at the study's size; with photographs, they are half of each batch."""
    setting, profile = configs.sized(study)
    own = profile.keypoint_network if profile.name == "smoke" else {}
    own = own if photographs is None else own | {"photographs": 0.5}
    config = segmentation.SegmentConfig(height=setting.height, width=setting.width, **own)
    return configs.override(config, study.overrides, config.name)


def data(study: configs.Study, log=None):
    """The drawn study's Dataset with exact maps."""
    return textures.parsed(drawn_study(study), log, config_of(study).labels)


def train_step(study: configs.Study, photographs=None) -> runs.Step:
    study = drawn_study(study)
    config, made = config_of(study, photographs), pipeline.data_step(study)
    inputs = {"data": made.key, "parsing": maps.of_labels(config.labels, made).key}
    name = f"{study.runs_name}/{config.name}"
    if photographs is not None:
        content = b"".join(np.ascontiguousarray(part).tobytes() for part in photographs)
        inputs["photographs"] = hashlib.sha256(content).hexdigest()[:12]
        name += "-photographs"
    entries = pipeline.LOOP, code_keys.entry(segmentation.segment_task)
    return runs.Step("train", name, configs.changed_fields(config), inputs, entries)


def steps(study: configs.Study) -> list[runs.Step]:
    """The steps of `train` without photographs, in working order."""
    made = pipeline.data_step(drawn_study(study))
    return [made, maps.of_labels(config_of(study).labels, made), train_step(study)]


def train(study: configs.Study, log=None, photographs=None):
    """The trained network, trained if missing; photographs: images and maps of
    `labelled_photos.read` to learn from as well."""
    config, step = config_of(drawn_study(study), photographs), train_step(study, photographs)

    def work(folder, progress):
        people = data(study, log)
        task = segmentation.segment_task(config, people, photographs)
        return training.train(task, people, folder, config.seed, study.device, progress)

    pipeline.ensure(step, work, log)
    return segmentation.load(runs.checked(step, checkpoints.WEIGHTS), study.device)


def measure(study: configs.Study, labelled=None, log=None) -> dict:
    """Mean intersection over union per label: of the drawn test people and, in a folder of
    `labelled_photos`, of every second photograph, by the same network and by one also trained on
    the rest. Returns {"title", "overlaps": [{"label", and an overlap or None for each column}],
    "counts": images of each column, "facts", "notes"}; the columns are "drawn people" and
    PHOTOGRAPHS."""
    network, people = train(study, log), data(study, log)
    names = parsing.LABELS[config_of(study).labels]
    test = np.flatnonzero(~people.train)
    found = segmentation.segment(network, np.asarray(people.images[test]))
    true = np.asarray(people.extras["parsing"][test])
    columns = {"drawn people": dict(zip(names, segmentation.overlaps(found, true, len(names))))}
    counts = {"drawn people": len(test)}
    if labelled is not None:
        images, street = labelled_photos.read(labelled, *network.size)
        if len(images) < 2:
            raise UserError(f"{labelled} holds one photograph; training and evaluation need two")
        shown = train(study, log, photographs=(images[1::2], street[1::2]))
        for column, judge in zip(PHOTOGRAPHS, (network, shown)):
            columns[column] = photograph_overlaps(judge, images[::2], street[::2])
            counts[column] = len(images[::2])
    every = dict.fromkeys(label for column in columns.values() for label in column)
    lines = [{"label": label} | {c: values.get(label) for c, values in columns.items()}
             for label in every]  # fmt: skip
    means = {c: float(np.nanmean(list(values.values()))) for c, values in columns.items()}
    lines.append({"label": "mean"} | means)
    lines = [{k: None if v != v else v for k, v in line.items()} for line in lines]
    below = notes("parser", people=len(test), photographs=counts.get(PHOTOGRAPHS[0]))
    return {"title": "The small parser: intersection over union", "overlaps": lines,
            "counts": counts, "facts": facts(study, labelled), "notes": below}  # fmt: skip


def photograph_overlaps(network, images, street) -> dict:
    """Merged label -> intersection over union, for images and maps of `labelled_photos.read`."""
    guessed = labelled_photos.merged_people()[segmentation.segment(network, images)]
    judged, count = street != labelled_photos.UNJUDGED, len(labelled_photos.NAMES)
    values = segmentation.overlaps(guessed[judged], street[judged], count)
    return dict(zip(labelled_photos.NAMES, values))


def facts(study, labelled) -> dict:
    about = f"pg2 parser --dataset {study.dataset} --profile {Path(study.profile).name}"
    about += "" if labelled is None else " --labelled <folder>"
    height, width = (getattr(config_of(study), side) for side in ("height", "width"))
    return {"command": about, "dataset": study.dataset, "profile": study.changes,
            "height": height, "width": width}  # fmt: skip


def map_paths(dataset, folder) -> list[Path]:
    return [(Path(folder) / name).with_suffix(".png") for name in map(str, dataset.names)]


def check_free(study: configs.Study, folder, log=None):
    """Raise UserError if `write_maps` would replace files that it did not write: images in the
    study's own folder, or PNG files other than maps."""
    source = None if study.setting.drawn else study.folder
    if source and Path(folder).resolve().is_relative_to(Path(source).resolve()):
        raise UserError(
            f"maps in {folder} could replace images of the data set; name a folder outside {source}"
        )
    dataset = pipeline.data(study, log)
    written = "L", (dataset.width, dataset.height)
    for path in filter(Path.exists, map_paths(dataset, folder)):
        try:
            with Image.open(path) as there:
                found = there.mode, there.size
        except (OSError, ValueError, SyntaxError):  # no image at all
            found = None
        if found != written:
            raise UserError(f"{path} is not a map written before; name another folder")


def write_maps(study: configs.Study, folder, log=None) -> int:
    """Write the network's map of every image of a study's data set as folder/NAME.png, for
    `--parsing people:FOLDER`; returns their number. UserError: see `check_free`."""
    check_free(study, folder, log)
    network, dataset = train(study, log), pipeline.data(study, log)
    found = segmentation.segment(network, dataset.images)
    for path, one in zip(map_paths(dataset, folder), found):
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_atomically(path) as temporary:
            Image.fromarray(one).save(temporary, "PNG")
    return len(found)
