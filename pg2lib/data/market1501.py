"""Market-1501: names, folders and split.

A folder holds bounding_box_train/ and market-annotation-train.csv and, for the official test
half, bounding_box_test/ and market-annotation-test.csv; its pairs are in market-pairs-test.csv,
which is optional.
"""

import re
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

import numpy as np
from PIL import Image

from pg2lib.core.files import UserError
from pg2lib.data import sources
from pg2lib.data.keypoints import found, read_csv

HEIGHT, WIDTH = 128, 64
# (identities, images) of the halves (paper, section 4.1).
REAL_SIZE = {"train": (751, 12_936), "test": (750, 19_732)}
# Result of the standard pair rule for the whole training half (PATN's published pair list).
WHOLE_TRAINING_SET = {"images": 12_936, "identities": 751, "pairs": 263_632}
NAME = re.compile(r"(-1|\d{4})_c(\d)s\d+_\d+_\d+\.jpg(\.jpg)?")
JUNK = ("-1", "0000")  # false detections and distractors of the test half


@dataclass(frozen=True)
class _Half:
    """One half of a folder: `keypoints` maps the sorted names to (18, 2), missing or not."""

    folder: Path
    keypoints: dict
    problems: list[str]

    @property
    def names(self):
        return [name for name in self.keypoints if not name.startswith(JUNK)]


def plan(config, source):
    """The Plan of a DataConfig and the folder `source`.

    Raises UserError for a missing folder, an image without annotation or vice versa, an unknown
    kind of name, too few people, or a bad list of pairs.
    """
    halves = _halves(source)
    for half in halves.values():
        if half.problems:
            raise UserError(half.problems[0])
    train, test, split = _split(config, halves)
    names, size = train + test, (config.height, config.width)
    half_of = {name: half for half in halves.values() for name in half.keypoints}
    published, fields = Path(source) / "market-pairs-test.csv", {}
    if "test" in halves and config.images_per_identity is None and published.exists():
        places = {name: len(train) + i for i, name in enumerate(test)}
        fields = sources.place_pairs(published, sources.read_pairs(published, places), places)
    return sources.Plan(
        make=_read,
        jobs=[
            (half.folder / name, half.keypoints[name], int(name[6]), *size)
            for name, half in ((name, half_of[name]) for name in names)
        ],
        identities=np.array([int(name[:4]) for name in names]),
        train=np.arange(len(names)) < len(train),
        split=split,
        names=names,
        **fields,
    )


def survey(config, source):
    """The Survey of the folder `source`."""
    halves, parts, expected, problems = _halves(source), {}, {}, []
    for name, half in halves.items():
        identities = np.array([int(name[:4]) for name in half.names], np.int64)
        keypoints = np.array([half.keypoints[name] for name in half.names]).reshape(-1, 18, 2)
        part = sources.counts(identities, keypoints)
        parts[half.folder.name] = part | {"junk_images": len(half.keypoints) - len(half.names)}
        problems += half.problems
        if name == "train" and part["images"] == WHOLE_TRAINING_SET["images"]:
            expected[half.folder.name] = WHOLE_TRAINING_SET
    try:
        split = _split(config, halves)[2]
    except UserError as error:
        split, problems = "none", [*problems, str(error)]
    paths = [half.folder / name for half in halves.values() for name in half.keypoints]
    return sources.Survey(parts, split, paths, _decode, problems, expected)


def _halves(source):
    """{"train": _Half[, "test": _Half]} of a folder."""
    if source is None:
        raise UserError("market1501 needs the folder that holds bounding_box_train/.")
    names = ("train", "test") if (Path(source) / "bounding_box_test").is_dir() else ("train",)
    return {half: _read_half(Path(source), half) for half in names}


def _read_half(source, half):
    folder, annotation = source / f"bounding_box_{half}", source / f"market-annotation-{half}.csv"
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; name the one that holds it as the source.")
    annotated = read_csv(annotation)
    images = sorted(path.name for path in folder.iterdir() if path.suffix == ".jpg")
    if not images:
        raise UserError(f"{folder} holds no .jpg image.")
    names = [name for name in images if NAME.fullmatch(name)]
    nobody = np.full((18, 2), -1, np.float32)
    problems = [
        *sources.listed(f"{folder}, images not named as in Market-1501", images, names),
        *sources.listed(f"{folder}, images without a row in {annotation.name}", names, annotated),
        *sources.listed(f"{annotation}, rows without an image in {folder.name}", annotated, images),
    ]
    return _Half(folder, {name: annotated.get(name, nobody) for name in names}, problems)


def _split(config, halves):
    """(training names, test names, a sentence on the split), reduced as configured."""
    rng = np.random.default_rng((config.seed, 0))
    train = halves["train"].names
    people = rng.permutation(sorted({name[:4] for name in train})).tolist()
    if "test" in halves:
        test, kind = halves["test"].names, "official split"
    else:
        count = config.test_identities
        if count >= len(people):
            left = f"leaves none of {len(people)} people for training; ask for fewer."
            raise UserError(f"test_identities={count} {left}")
        held_out, people = set(people[:count]), people[count:]
        test = [name for name in train if name[:4] in held_out]
        kind = "seeded split by identity of the training images"
    kept = set(people[: config.train_identities])
    train = [name for name in train if name[:4] in kept]
    person, limit = itemgetter(slice(4)), config.images_per_identity
    train, test = (sources.subsample(names, person, limit, rng) for names in (train, test))
    people = [len(set(map(person, names))) for names in (train, test)]
    return train, test, f"{kind} ({people[0]} train, {people[1]} test)"


def _decode(path):
    image = sources.decode(path)
    if image.size != (WIDTH, HEIGHT):
        raise UserError(f"{path} is {image.height}x{image.width}, not {HEIGHT}x{WIDTH}.")
    return image


def _read(path, keypoints, camera, height, width):
    """An image and its keypoints, resized (Lanczos) unless (height, width) is Market-1501's."""
    image = _decode(path)
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.LANCZOS)
        # The pixel that contains the old pixel's centre: integers inside the frame.
        scale = np.float32((width / WIDTH, height / HEIGHT))
        scaled = np.floor((keypoints + 0.5) * scale)
        keypoints = np.where(found(keypoints)[:, None], scaled, np.float32(-1))
    return np.asarray(image), keypoints, camera
