"""The plan of the two drawn data sets; by default as many people and images as in Market-1501."""

from functools import partial

import numpy as np

from pg2lib.core.files import UserError
from pg2lib.data.market1501 import REAL_SIZE
from pg2lib.data.sources import Plan
from pg2lib.data.synthetic import draw, draw_fashion

DRAW = {"synthetic-market": draw, "synthetic-fashion": draw_fashion}


def plan(config, source=None):
    """The Plan of a DataConfig; there is no source."""
    train = config.train_identities or REAL_SIZE["train"][0]
    jobs, of_train = [], []
    for identity in range(train + config.test_identities):
        half, place = ("train", identity) if identity < train else ("test", identity - train)
        views = config.images_per_identity or _real_count(half, place)
        size = config.height, config.width
        jobs += [(identity, view, config.seed, *size) for view in range(views)]
        of_train += [half == "train"] * views
    return Plan(
        make=partial(_draw, config.dataset),
        jobs=jobs,
        identities=np.array([identity for identity, *_ in jobs]),
        train=np.array(of_train),
        split="identities of train and test are disjoint (seeded; "
        f"{train} train, {config.test_identities} test)",
        extras={"silhouettes": (np.uint8, ((config.height * config.width + 7) // 8,))},
    )


def survey(config, source=None):
    """Raises UserError: there is no source to survey."""
    raise UserError("drawn people have no source; prepare them and verify the loaded Dataset.")


def _real_count(half, place):
    """Number of images of person `place` if Market-1501's are spread evenly."""
    identities, images = REAL_SIZE[half]
    return images // identities + (place % identities < images % identities)


def _draw(dataset, identity, view, seed, height, width):
    drawn = DRAW[dataset](identity, view, seed=seed, height=height, width=width)
    return drawn.image, drawn.keypoints, drawn.camera + 1, np.packbits(drawn.silhouette)
