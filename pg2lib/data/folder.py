"""A folder of the user's own photographs: people, poses and split, from names or from tables.

    photos/anna/01.jpg                  the sub-folder names the person,
    photos/anna_01.jpg                  or else the text before the first "_",
    photos/images.csv                   or a table: image,person and optionally camera,split
    photos/anna/01.json                 the pose in an image, written by OpenPose or MMPose,
    photos/keypoints/anna/01.json       or below keypoints/; 01_keypoints.json works too,
    photos/keypoints.csv                or all poses in one table (`keypoints.read_csv`)

See docs/own-data.md.
"""

import csv
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from pg2lib.core.files import UserError, read_text
from pg2lib.data import framing, sources
from pg2lib.data.framing import IMAGE_SUFFIXES
from pg2lib.data.keypoints import (
    found,
    nobody,
    parse_openpose,
    read_csv,
    read_json,
    torso_found,
    write_openpose_json,
)

TABLE, POSES = "images.csv", "keypoints"  # and POSES.csv
COLUMNS = ("image", "person", "camera", "split")  # the last two are optional
HALVES = ("train", "test")
GROUP = 'sort the images into one folder per person, name them PERSON_rest, or list them in "image,'
GROUP += f'person" of {TABLE}'
SHARE = 5  # one person in SHARE is a test person, unless images.csv says otherwise
FRAMING = (
    "images: whole where they have the frame's shape, else cropped around the person (the whole "
    "picture where nobody was found), padded with repeated edge pixels; resized (Lanczos)"
)


@dataclass(frozen=True)
class Photo:
    """An image of the folder; `name` is its path in it."""

    name: str
    person: str
    camera: int = 1
    split: str | None = None  # "train", "test" or unspecified


def plan(config, source):
    """The Plan of a DataConfig and the folder `source`.

    Raises UserError as `read_source` and `divide` do, or for an image without a pose.
    """
    photos, poses, problems = read_source(source)
    if problems:
        raise UserError(problems[0])
    train, test, split = divide(config, photos, poses)
    size = config.height, config.width
    chosen, people = train + test, sorted({photo.person for photo in photos})
    return sources.Plan(
        make=_read,
        jobs=[(Path(source, p.name), poses[p.name], p.camera, *size) for p in chosen],
        identities=np.searchsorted(people, [p.person for p in chosen]).astype(np.int64),
        train=np.arange(len(chosen)) < len(train),
        split=split,
        names=[photo.name for photo in chosen],
        notes=[FRAMING],
    )


def survey(config, source):
    """The Survey of the folder `source`."""
    photos, poses, problems = read_source(source)
    kept = [photo for photo in photos if photo.name in poses]
    try:
        train, test, split = divide(config, kept, poses)
        parts = dict(zip(HALVES, (train, test)))
    except UserError as error:
        parts, split, problems = {"images": kept}, "none", [*problems, str(error)]
    own = {Path(source, name): pose for name, pose in poses.items()}
    return sources.Survey(
        parts={
            part: sources.counts(
                np.unique([photo.person for photo in images], return_inverse=True)[1],
                np.array([poses[photo.name] for photo in images]).reshape(-1, 18, 2),
            )
            for part, images in parts.items()
        },
        split=split,
        paths=[Path(source, photo.name) for photo in photos],
        check=partial(_check, own),
        problems=problems,
        notes=[FRAMING],
    )


# ---------------------------------------------------------------- the folder


def read_source(source):
    """(Photos, name -> pose float32 (18, 2) in pixels of that image, problems as sentences) of a
    folder. Raises UserError if there is no folder, image or pose, a name has no person, or a table
    has a bad line."""
    if source is None or not Path(source).is_dir():
        raise UserError(f"there is no folder {source}; name the one that holds your images.")
    photos = list_photos(source)
    return photos, *_poses(Path(source), photos)


def list_photos(source) -> list[Photo]:
    """The images of a folder: those in images.csv, or else all files."""
    table = Path(source, TABLE)
    photos = _listed(table) if table.exists() else _named(Path(source))
    if not photos:
        kinds = ", ".join(IMAGE_SUFFIXES)
        raise UserError(f"{source} holds no image ({kinds}); name the folder of your images.")
    return photos


def files(source, suffixes):
    """Yield (path, path in the folder) of files with these suffixes, by name; skips hidden ones."""
    for path in sorted(Path(source).rglob("*")):
        inside = path.relative_to(source)
        if path.suffix.lower() in suffixes and path.is_file():
            if not any(part.startswith(".") for part in inside.parts):
                yield path, inside


def inputs(source):
    """`files` that determine the data of a folder: its images, tables and poses; with images.csv
    only those of the images in it."""
    every = files(source, (*IMAGE_SUFFIXES, ".csv", ".json"))
    if not Path(source, TABLE).exists():
        return every
    names = [photo.name for photo in list_photos(source)]
    read = {Path(source, name) for name in (TABLE, f"{POSES}.csv", *names)}
    read |= {file for name in names for file in pose_files(source, name)}
    return (pair for pair in every if pair[0] in read)


def _named(source):
    photos = []
    for path, inside in files(source, IMAGE_SUFFIXES):
        if inside.parts[0] == POSES:
            continue
        person, dash, _ = path.stem.partition("_")
        if inside.parts[1:]:
            person = dash = inside.parts[0]
        if not (person and dash):
            raise UserError(f"{path} names no person; {GROUP}.")
        photos.append(Photo(inside.as_posix(), person))
    return photos


def _listed(table):
    """The Photos of images.csv."""
    rows = csv.reader(read_text(table).splitlines())
    head = [name.strip() for name in next(rows, [])]
    once = len(set(head)) == len(head)
    if not once or not {"image", "person"} <= set(head) <= set(COLUMNS):
        raise UserError(
            f"{table}, line 1: the header must be image,person and perhaps camera,split, separated "
            f"by commas, not '{','.join(head)}'."
        )
    photos, known = [], set()
    for number, row in enumerate(rows, start=2):
        where = f"{table}, line {number}"
        if not row:  # a blank line
            continue
        if len(row) != len(head):
            raise UserError(f"{where}: {len(row)} values for {len(head)} columns; mend the line.")
        photo = _photo(dict(zip(head, map(str.strip, row))), table.parent, where)
        if photo.name in known:
            raise UserError(f"{where}: {photo.name} is listed twice; remove one line.")
        known.add(photo.name)
        photos.append(photo)
    return photos


def _photo(row, source, where):
    """Check a row of images.csv and return its Photo."""
    path, camera, split = Path(row["image"]), row.get("camera", "1"), row.get("split")
    if path.is_absolute() or ".." in path.parts or not (source / path).is_file():
        raise UserError(
            f"{where}: there is no image {row['image']!r} in {source}; write its path there."
        )
    if not row["person"]:
        raise UserError(f"{where}: the person is empty; name whom the image shows.")
    if not (camera.isdecimal() and len(camera) < 10):
        raise UserError(f"{where}: camera {camera!r} is not a whole number; write for example 1.")
    if split is not None and split not in HALVES:
        raise UserError(f"{where}: split {split!r} is neither train nor test; write one of them.")
    return Photo(path.as_posix(), row["person"], int(camera), split)


def _poses(source, photos):
    """(name -> pose, problems) of the Photos."""
    names, table = [photo.name for photo in photos], source / f"{POSES}.csv"
    if table.exists():
        poses = read_csv(table)
        missing = sources.listed(
            f"{table}, images without a row (add it, or remove them)", names, poses
        )
        return {name: poses[name] for name in names if name in poses}, missing
    _check_pose_names(source, names)
    found_at = {name: next(filter(Path.is_file, pose_files(source, name)), None) for name in names}
    if not any(found_at.values()):
        raise UserError(
            f"{source} holds no keypoints, neither {POSES}.csv nor a JSON file for an image; run "
            f"OpenPose on them, or detect them by: pg2 data keypoints --data {source}"
        )
    without = [name for name, file in found_at.items() if not file]
    what = f"{source}, images without keypoints (add their JSON files or remove the images)"
    poses, problems = {}, sources.listed(what, without)
    for name, file in found_at.items():
        try:
            if file:
                poses[name] = _pose(file)
        except UserError as error:
            problems.append(str(error))
    return poses, problems


def pose_files(source, name) -> list[Path]:
    """Possible pose files of an image, the usual one first."""
    places = (Path(source, folder, name).with_suffix("") for folder in ("", POSES))
    return [Path(f"{place}{end}.json") for place in places for end in ("", "_keypoints")]


def _check_pose_names(source, names):
    """Raise UserError for two images that would share a pose file."""
    taken = {}
    for name in names:
        other = taken.setdefault(Path(name).with_suffix(""), name)
        if other != name:
            raise UserError(
                f"{source}: {other} and {name} would share one JSON file of keypoints; rename one "
                f"image, or write all keypoints in {POSES}.csv"
            )


def without_poses(source) -> dict[str, Path]:
    """Image -> path for its pose file, for the images that have none. Raises UserError for a folder
    without images, or with keypoints.csv, which excludes other pose files."""
    names = [photo.name for photo in list_photos(source)]
    if (table := Path(source, f"{POSES}.csv")).exists():
        raise UserError(f"{table} holds the keypoints; remove it to have them detected.")
    _check_pose_names(source, names)
    places = {name: pose_files(source, name) for name in names}
    return {name: p[2] for name, p in places.items() if not any(map(Path.is_file, p))}


def _pose(file):
    content = read_json(file)
    if nobody(content):
        return np.full((18, 2), -1, np.float32)
    return parse_openpose(content, file)


# ---------------------------------------------------------------- train and test


def divide(config, photos, poses):
    """(training Photos, test Photos, a sentence on the split), reduced as configured.

    Test people are those in images.csv; without a split, one in five of the people with a pair of
    images, at most `test_identities`, drawn by the data seed. Raises UserError for fewer than two
    people with a pair, or a person in both halves.
    """
    usable = [p.person for p in photos if torso_found(poses[p.name])]
    people, counts = np.unique(usable, return_counts=True)
    paired, everybody = people[counts > 1].tolist(), {photo.person for photo in photos}
    _check_people(paired, everybody)
    rng = np.random.default_rng((config.seed, 0))
    order = rng.permutation(paired).tolist()
    if any(photo.split for photo in photos):
        held_out = {photo.person for photo in photos if photo.split == "test"}
        kind = f"split of {TABLE}"
        if both := sorted(held_out & {p.person for p in photos if p.split == "train"}):
            raise UserError(f"{TABLE}: {both[0]} is in train and test; give a person one split.")
    else:
        held_out = set(order[: max(1, min(config.test_identities, len(paired) // SHARE))])
        kind = "seeded split by person"
    kept = everybody - held_out
    if config.train_identities is not None:
        kept = set([name for name in order if name in kept][: config.train_identities])
    for half, who in zip(HALVES, (kept, held_out)):
        if not who & set(paired):
            raise UserError(
                f"{TABLE}: nobody in {half} has two images with both shoulders and hips; move "
                "a person who has."
            )
    halves = ([p for p in photos if p.person in who] for who in (kept, held_out))
    train, test = (_reduced(half, config.images_per_identity, rng) for half in halves)
    count = [len({photo.person for photo in half}) for half in (train, test)]
    return train, test, f"{kind} ({count[0]} train, {count[1]} test)"


def _check_people(paired, everybody):
    """Raise UserError unless two people have pairs. paired: their names."""
    if len(everybody) == 1:
        who = next(iter(everybody))
        raise UserError(
            f"all images show one person, {who!r}, but training and test need one each; {GROUP}."
        )
    if len(paired) < 2:
        raise UserError(
            f"{len(paired)} of {len(everybody)} people have two images with both shoulders "
            "and hips found, which make a pair, but training and test need one each; add images "
            f"of them, or, if the people are more than there are, {GROUP}."
        )


def _reduced(photos, limit, rng):
    """At most `limit` random Photos of each person."""
    person_of = {photo.name: photo.person for photo in photos}
    kept = set(sources.subsample(list(person_of), person_of.get, limit, rng))
    return [photo for photo in photos if photo.name in kept]


# ---------------------------------------------------------------- images


def _check(poses, path):
    """Load the image at a path; check that its pose, if any, can belong to it."""
    image = framing.read_image(path)
    if path in poses:
        _belongs(poses[path], image.shape[:2], path)
    return Image.fromarray(image)


def _belongs(pose, picture, path):
    """Raise UserError if a pose hardly fits the picture (height, width) at a path."""
    here = found(pose)
    outside = int((here & (pose >= picture[::-1]).any(-1)).sum())
    if 2 * outside > here.sum():
        raise UserError(
            f"{path} is {picture[1]}x{picture[0]} (width x height), but {outside} of its "
            f"{here.sum()} joints lie outside; find the keypoints on this very image."
        )
    if here.sum() >= framing.FEWEST_JOINTS:
        framing.check_pose(pose, f"the pose of {path}")


def _read(path, pose, camera, height, width):
    """Bring an image of any size and its pose to (height, width), as FRAMING says."""
    image = framing.read_image(path)
    picture, size = image.shape[:2], (height, width)
    _belongs(pose, picture, path)
    if framing.same_shape(picture, size) or found(pose).sum() < framing.FEWEST_JOINTS:
        window = framing.around_picture(picture, *size)
    else:
        [window] = framing.around_people([pose], *size)
    return framing.cut(image, window, *size), framing.to_frame(pose, window, *size), camera


# ---------------------------------------------------------------- writing such a folder


def export(dataset, folder):
    """Write a Dataset as such a folder: PNG images by person, a pose beside each, and images.csv
    with cameras and split. Raises UserError if the folder is not empty."""
    folder, lines = Path(folder), [",".join(COLUMNS)]
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is there already; name a new folder.")
    for index, image in enumerate(dataset.images):
        person, half = f"{dataset.identities[index]:04d}", HALVES[int(not dataset.train[index])]
        path = folder / person / f"{index:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(image)).save(path)
        write_openpose_json(path.with_suffix(".json"), dataset.keypoints[index])
        lines.append(f"{person}/{path.name},{person},{dataset.cameras[index]},{half}")
    (folder / TABLE).write_text("\n".join(lines) + "\n", encoding="utf-8")
