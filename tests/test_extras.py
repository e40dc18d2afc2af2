"""Parsing maps in batches: each batch carries those of its own images."""

from dataclasses import dataclass, replace

import numpy as np

from pg2lib.data import dataset as datasets
from pg2lib.training import extras, loop


@dataclass(frozen=True)
class TwoBatches:
    labels: str = "people"
    batch: int = 16
    batches_per_step: int = 2  # of which the second is drawn with another seed


def test_a_second_batch_of_a_step_has_maps_of_its_own(data):
    numbers = np.arange(len(data.images), dtype=np.uint8) % 9
    maps = np.broadcast_to(numbers[:, None, None], data.images.shape[:3]).copy()
    parsed = replace(data, extras={"parsing": maps})
    rows = {image.tobytes(): k for k, image in enumerate(data.images)}
    rows |= {image[:, ::-1].tobytes(): k for k, image in enumerate(data.images)}
    stream = extras.parsed_batches(loop.pair_batches, parsed, TwoBatches(), 0, 3, "cpu")
    drawn = next(stream)
    assert not np.array_equal(*(batch.target.numpy() for batch in drawn))
    for batch in drawn:
        for images, name in ((batch.condition, "parsing"), (batch.target, "target_parsing")):
            own = [rows[image.tobytes()] % 9 for image in datasets.pictures(images)]
            assert batch.extras[name][:, 5, 5].tolist() == own
