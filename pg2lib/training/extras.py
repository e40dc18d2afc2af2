"""Parsing maps for methods that need them, in training batches and when generating.

The data set holds them as `extras["parsing"]`, uint8 (n, H, W). A batch carries those of both
images, as extras "parsing" (the condition's) and "target_parsing"; for generating, a method gets
those named in its `needs`.
"""

import contextlib
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from pg2lib.core import distributed
from pg2lib.core.files import UserError
from pg2lib.data import dataset as datasets
from pg2lib.data import parsing
from pg2lib.models.base import bind
from pg2lib.training import loop

COLUMNS = {"parsing": 0, "target_parsing": 1}  # of a pair (condition, target)


def names(method) -> tuple[str, ...]:
    """The names in COLUMNS that a method needs."""
    return tuple(name for name in COLUMNS if name in method.needs)


def parsed_task(task: loop.Task, method, start=None) -> loop.Task:
    """The training of a method on a Dataset with parsing maps; start as in `loop.method_task`."""
    paint = partial(paint_pairs, method, start)
    return replace(task, batches=partial(parsed_batches, task.batches), paint=paint)


def parsed_batches(batches, dataset, config, seed, step, device):
    """The batches of a training, each with its maps: uint8 (B, H, W), mirrored like the batch.

    batches: as of `loop.Task`; the k-th of a step is drawn with seed + k.
    """
    count = len(dataset.train_pairs)
    share = slice(distributed.rank(), None, distributed.world())
    with contextlib.closing(batches(dataset, config, seed, step, device)) as stream:
        for number, drawn in enumerate(stream, step):
            parsed = []
            for k, batch in enumerate(drawn):
                index, flip = datasets.pair_order(count, config.batch, seed + k, number)
                pairs = np.asarray(dataset.train_pairs)[index[share].numpy()]
                maps = pair_maps(dataset, pairs, device, tuple(COLUMNS))
                maps = {name: flipped(one, flip[share], config) for name, one in maps.items()}
                parsed.append(replace(batch, extras=batch.extras | maps))
            yield tuple(parsed)


def flipped(maps, flip, config):
    """Maps (B, H, W), mirrored with left and right exchanged where flip, bool (B,), is True."""
    flip = flip.to(maps.device)[:, None, None]
    return torch.where(flip, parsing.flip_maps(maps, config.labels), maps)


def pair_maps(dataset, pairs, device, wanted):
    """name -> the maps of pairs (k, 2), uint8 (k, H, W)."""
    maps = dataset.extras["parsing"]
    columns = {name: pairs[:, COLUMNS[name]] for name in wanted}
    return {name: torch.from_numpy(maps[rows]).to(device) for name, rows in columns.items()}


def paint_pairs(method, start, networks, config, dataset, pairs, device, batch=16):
    """`loop.paint_pairs` for a method that needs maps."""
    paint, images = bind(method, networks, config, start), []
    for part in np.split(pairs, range(batch, len(pairs), batch)):
        inputs = loop.pair_inputs(dataset, part, device)
        inputs = replace(inputs, extras=pair_maps(dataset, part, device, names(method)))
        images.append(datasets.pictures(paint(inputs).image))
    return np.concatenate(images)


def by_poses(generate_fn, dataset, wanted):
    """A row as a function Inputs -> Output that looks up the maps of the test pair with the same
    two poses, so that scoring, which passes images and poses, need not handle maps.

    Raises UserError for inputs that are no test pair, or two pairs with equal poses but other maps.
    """
    known = {}
    for pair in np.asarray(dataset.test_pairs):
        key = b"".join(dataset.keypoints[image].tobytes() for image in pair)
        other = known.setdefault(key, pair)
        maps = dataset.extras["parsing"]
        if any((maps[a] != maps[b]).any() for a, b in zip(pair, other) if a != b):
            raise UserError(f"two test pairs of {dataset.name} have the same poses; leave one out")

    def generate(inputs):
        poses = (inputs.condition_keypoints.cpu().numpy(), inputs.target_keypoints.cpu().numpy())
        keys = [a.tobytes() + b.tobytes() for a, b in zip(*poses)]
        if missing := [key for key in keys if key not in known]:
            raise UserError(
                f"{len(missing)} inputs are no test pairs, so they have no parsing maps"
            )
        pairs = np.array([known[key] for key in keys])
        maps = pair_maps(dataset, pairs, inputs.condition.device, wanted)
        return generate_fn(replace(inputs, extras=inputs.extras | maps))

    return generate
