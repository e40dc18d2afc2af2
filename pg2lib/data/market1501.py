"""Market-1501: its names, its folders, its split.

A folder holds bounding_box_train/ and market-annotation-train.csv and, for the official test
half, bounding_box_test/ and market-annotation-test.csv, whose pairs market-pairs-test.csv may
name.
"""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from pg2lib.core.files import UserError
from pg2lib.data import store
from pg2lib.data.keypoints import found, read_csv

HEIGHT, WIDTH = 128, 64
# (identities, images) of the halves (paper, section 4.1).
REAL_SIZE = {"train": (751, 12_936), "test": (750, 19_732)}
# What the usual rule finds in the whole training half (PATN's published pair list).
WHOLE_TRAINING_SET = {"images": 12_936, "identities": 751, "pairs": 263_632}
NAME = re.compile(r"(-1|\d{4})_c(\d)s\d+_\d+_\d+\.jpg(\.jpg)?")
JUNK = ("-1", "0000")  # false detections and distractors of the test half


def plan(config, source):
    """The store.Plan of a DataConfig and the folder `source`. Images are resized (Lanczos) where
    the configured size is not theirs.

    Raises:
        UserError: a missing folder, an image without annotation or the other way round, a name
            of another kind, too few people, a bad list of pairs.
    """
    halves = _halves(source)
    for _, problems in halves.values():
        if problems:
            raise UserError(problems[0])
    train, test, split = _split(config, halves)
    names = train + test
    annotated = {name: joints for people, _ in halves.values() for name, joints in people.items()}
    test_half = "test" if "test" in halves else "train"
    folders = [Path(source) / f"bounding_box_{half}" for half in ("train", test_half)]
    size = config.height, config.width
    planned = store.Plan(
        make=_read,
        jobs=[
            (folders[i >= len(train)] / name, annotated[name], int(name[6]), *size)
            for i, name in enumerate(names)
        ],
        identities=np.array([int(name[:4]) for name in names]),
        train=np.arange(len(names)) < len(train),
        split=split,
        names=names,
    )
    published = Path(source) / "market-pairs-test.csv"
    if "test" in halves and config.images_per_identity is None and published.exists():
        places = {name: len(train) + i for i, name in enumerate(test)}
        pairs = [[places[a], places[b]] for a, b in store.read_pairs(published, places)]
        planned = replace(
            planned,
            test_pairs=np.array(pairs, np.int64).reshape(-1, 2),
            pairs_from=f"the first of {published.name}",
        )
    return planned


def verify(config, source):
    """Decode every image of `source` and hold it against the annotations: a card, see
    `datasets.verify`."""
    halves = _halves(source)
    card = {"dataset": config.dataset, "size": [HEIGHT, WIDTH], "parts": {}}
    card |= {"expected": None, "problems": []}
    for half, (people, problems) in halves.items():
        folder = Path(source) / f"bounding_box_{half}"
        card["problems"] += problems + store.faults(_decode, [folder / name for name in people])
        junk = [name for name in people if name.startswith(JUNK)]
        names = [name for name in people if not name.startswith(JUNK)]
        identities = np.array([int(name[:4]) for name in names], np.int64)
        keypoints = np.array([people[name] for name in names]).reshape(-1, 18, 2)
        counts = store.counts(identities, keypoints) | {"junk_images": len(junk)}
        card["parts"][folder.name] = counts
        if half == "train" and counts["images"] == WHOLE_TRAINING_SET["images"]:
            card["expected"] = WHOLE_TRAINING_SET
            card["problems"] += [
                f"the whole training set has {expected:,} {what}, here are {counts[what]:,}."
                for what, expected in WHOLE_TRAINING_SET.items()
                if counts[what] != expected
            ]
    try:
        card["split"] = _split(config, halves)[2]
    except UserError as error:
        card["split"] = "none"
        card["problems"].append(str(error))
    return card


def _halves(source):
    """{"train": (annotations, problems)[, "test": ...]} of a folder."""
    if source is None:
        raise UserError("market1501 needs the folder that holds bounding_box_train/.")
    names = ("train", "test") if (Path(source) / "bounding_box_test").is_dir() else ("train",)
    return {half: _list_half(Path(source), half) for half in names}


def _list_half(source, half):
    """Names of one half and their keypoints, all missing where there is no annotation, in the
    order of the names; and what is wrong, one sentence each."""
    folder, annotation = source / f"bounding_box_{half}", source / f"market-annotation-{half}.csv"
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; name the one that holds it as the source.")
    annotated = read_csv(annotation)
    names = sorted(path.name for path in folder.iterdir() if path.suffix == ".jpg")
    if not names:
        raise UserError(f"{folder} holds no .jpg image.")
    wrong = [name for name in names if not NAME.fullmatch(name)]
    problems = [f"{folder / name} is not named like a Market-1501 image." for name in wrong]
    names = [name for name in names if NAME.fullmatch(name)]
    problems += [
        f"{folder / name} has no row in {annotation.name}."
        for name in names
        if name not in annotated
    ]
    problems += [
        f"{annotation} has a row for {name}, which is not in {folder.name}."
        for name in sorted(set(annotated) - set(names) - set(wrong))
    ]
    nobody = np.full((18, 2), -1, np.float32)
    return {name: annotated.get(name, nobody) for name in names}, problems


def _split(config, halves):
    """(training names, test names, the sentence about it), reduced as configured."""
    rng = np.random.default_rng((config.seed, 0))
    train = [name for name in halves["train"][0] if not name.startswith(JUNK)]
    people = rng.permutation(sorted({name[:4] for name in train})).tolist()
    if "test" in halves:
        test = [name for name in halves["test"][0] if not name.startswith(JUNK)]
        kind = "official split"
    else:
        if config.test_identities >= len(people):
            raise UserError(
                f"test_identities={config.test_identities} leaves none of {len(people)} people "
                "for training; ask for fewer."
            )
        held_out, people = people[: config.test_identities], people[config.test_identities :]
        test = [name for name in train if name[:4] in set(held_out)]
        kind = "seeded split by identity of the training images"
    kept = set(people[: config.train_identities])
    train = [name for name in train if name[:4] in kept]
    train, test = (
        store.thin_out(names, _person, config.images_per_identity, rng) for names in (train, test)
    )
    counts = [len(set(map(_person, names))) for names in (train, test)]
    return train, test, f"{kind} ({counts[0]} train, {counts[1]} test)"


def _person(name):
    return name[:4]


def _decode(path):
    image = store.decode(path)
    if image.size != (WIDTH, HEIGHT):
        raise UserError(f"{path} is {image.height}x{image.width}, not {HEIGHT}x{WIDTH}.")
    return image


def _read(path, keypoints, camera, height, width):
    """Decode an image; resize it and its keypoints if (height, width) is not Market-1501's."""
    image = _decode(path)
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.LANCZOS)
        # The pixel that holds the old pixel's centre: whole numbers inside the frame.
        scale = np.float32((width / WIDTH, height / HEIGHT))
        scaled = np.floor((keypoints + 0.5) * scale)
        keypoints = np.where(found(keypoints)[:, None], scaled, np.float32(-1))
    return np.asarray(image), keypoints, camera
