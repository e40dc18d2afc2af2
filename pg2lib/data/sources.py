"""Shared by the readers of data sets: the plan of a store, decoding, pair lists and counts."""

import csv
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from pg2lib.core import devices
from pg2lib.core.files import UserError, read_text
from pg2lib.data.keypoints import found, torso_found

SAMPLED = "sampled without replacement from all ordered test pairs (seeded)"


@dataclass(frozen=True)
class Plan:
    """A data set before its first image is read or drawn."""

    make: Callable  # make(*job): image, keypoints, camera, then a row of every extra array
    jobs: list[tuple]  # one per image
    identities: np.ndarray  # int64 (n,)
    train: np.ndarray  # bool (n,)
    split: str  # the sentence printed with every table
    names: list[str] | None = None  # None: as in Market-1501; jobs begin (identity, view)
    test_pairs: np.ndarray | None = None  # a published list; None: a sample
    pairs_from: str = SAMPLED
    extras: dict[str, tuple] = field(default_factory=dict)  # name -> (dtype, shape of a row)
    complete: bool = True  # False: images are missing; a half may have no pairs
    notes: list[str] = field(default_factory=list)  # for the card


@dataclass(frozen=True)
class Survey:
    """The contents of a source folder, before any image is decoded."""

    parts: dict[str, dict]  # part -> its counts
    split: str
    paths: list[Path]  # the images to decode
    check: Callable  # check(path) decodes one: a PIL image, or UserError
    problems: list[str]
    expected: dict[str, dict] = field(default_factory=dict)  # part -> counts of the complete set
    notes: list[str] = field(default_factory=list)


def decode(path):
    """An image file as RGB PIL image. Raises UserError if missing, truncated or not an image."""
    try:
        with Image.open(path) as file:
            return eight_bits(file).convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{path} cannot be decoded ({error}); fetch it again.") from None


def eight_bits(image):
    """Convert a 16-bit grey PIL image to 8 bits (PIL would make all but the darkest greys white);
    returns others unchanged. Raises ValueError for 32-bit pixels."""
    if image.mode in ("I", "F"):
        raise ValueError("its pixels are not of 8 or 16 bits")
    if not image.mode.startswith("I;16"):
        return image
    return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))


def decode_all(check, paths):
    """Call check(path), which returns a PIL image or raises UserError, for all paths: (error
    messages in order, Counter of sizes as "128x64", height first)."""

    def result(path):
        try:
            image = check(path)
            return None, f"{image.height}x{image.width}"
        except UserError as error:
            return str(error), None

    with ThreadPoolExecutor(devices.cpu_count()) as pool:
        results = list(pool.map(result, paths))
    return [error for error, _ in results if error], Counter(size for _, size in results if size)


def listed(what, names, known=()):
    """[a sentence with the number of unknown names and the first of them], or []."""
    names = sorted(set(names) - set(known))
    return [f"{what}: {len(names):,}, the first is {names[0]}."] if names else []


def subsample(names, person_of, limit, rng):
    """At most `limit` random names of each person_of(name), in the same order; None keeps all."""
    if limit is None:
        return names
    kept, taken = set(), Counter()
    for name in rng.permutation(names).tolist():
        taken[person_of(name)] += 1
        if taken[person_of(name)] <= limit:
            kept.add(name)
    return [name for name in names if name in kept]


def read_pairs(path, names):
    """The [(condition, target)] names of a pairs file with the header `from,to` or `,from,to`.

    Raises UserError for another header, or a line that does not name two of `names`.
    """
    rows = list(csv.reader(read_text(path).splitlines()))
    header = rows[0] if rows else []
    if header not in (["from", "to"], ["", "from", "to"]):
        raise UserError(f"{path}, line 1: the header must be 'from,to' or ',from,to'.")
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header) or row[-2] not in names or row[-1] not in names:
            line = ",".join(row)
            raise UserError(f"{path}, line {number}: {line} does not name two test images.")
    return [tuple(row[-2:]) for row in rows[1:]]


def place_pairs(path, pairs, places):
    """The fields of a Plan for the pairs of names in the file `path`.

    `places` maps names to indices; pairs with an unknown name are left out.
    """
    indices = [[places[a], places[b]] for a, b in pairs if a in places and b in places]
    short = f"; {len(indices):,} of its {len(pairs):,} pairs have both images here"
    text = f"the first of {path.name}" + short * (len(indices) < len(pairs))
    return {"test_pairs": np.array(indices, np.int64).reshape(-1, 2), "pairs_from": text}


def counts(identities, keypoints):
    """Counts of a part of a data set; "pairs" counts `dataset.ordered_pairs`."""
    usable = torso_found(keypoints)
    each = np.unique(identities[usable], return_counts=True)[1]
    return {
        "images": len(identities),
        "identities": len(np.unique(identities)),
        "annotated_images": int(found(keypoints).any(-1).sum()),
        "usable_images": int(usable.sum()),
        "usable_identities": len(each),
        "pairs": int((each * (each - 1)).sum()),
    }
