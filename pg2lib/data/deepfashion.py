"""DeepFashion In-shop: its names, lists, keypoint frames and image sizes.

A folder holds what Deformable GAN and PATN publish beside the images:
  train.lst, test.lst           the split, one flattened name per line
  fasion-annotation-<half>.csv  keypoints, in one of two frames; or fasion-resize-annotation-...
  fasion-pairs-test.csv         the 8,570 test pairs, with or without an index column
The images lie under their flattened names in images/, in train/ and test/ or beside the lists, or
in DeepFashion's own folders, img/WOMEN/Dresses/id_00000002/02_1_front.jpg. What is not there is
left out, and the card says so.

The name without the view, fashionWOMENDressesid0000000202, is the identity: one person in one
outfit. All ordered pairs by this rule are, in the test half, exactly the published ones. The
paper's and the released code's own split and pairs (12,800 of test) were never published.
"""

import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from pg2lib.core.files import UserError
from pg2lib.data import store
from pg2lib.data.keypoints import found, read_csv, torso_found

# Images of the lists and pairs of the published files (PATN).
WHOLE = {
    "train": {"images": 48_674, "pairs": 101_966},
    "test": {"images": 4_038, "pairs": 8_570},
}
NAME = re.compile(r"fashion(?:WOMEN|MEN)\w+id(\d{8})\d\d_(\d)\w+\.jpg")
SIDE, NARROW = 256, 176  # the square frame, and its columns 40 to 215, without the plain margins
# Frame of the keypoints, width x height -> what to add to x for the square one.
FRAMES = {f"{NARROW}x{SIDE}": (SIDE - NARROW) // 2, f"{SIDE}x{SIDE}": 0}


@dataclass(frozen=True)
class _Half:
    """What the lists tell of one half."""

    listed: list[str]
    annotated: dict  # name -> float32 (18, 2) in the square frame
    about: str  # where the keypoints are from, or that there are none

    def at_hand(self, paths):
        """The names with an image and a row, sorted."""
        return sorted(name for name in self.listed if name in paths and name in self.annotated)


def plan(config, source):
    """The store.Plan of a DataConfig and the folder `source`: all listed images that are there.

    Images are brought to (height, width) as `_read` says: 256x256 is the frame of the paper and
    the released code, 256x176 the crop of the later literature.

    Raises:
        UserError: no list with its keypoints, a bad line in one of the files, or keypoints whose
            frame cannot be told.
    """
    source = _folder(source)
    paths, halves = _find_images(source), _read_halves(config, source)
    train, test = (halves[half].at_hand(paths) for half in WHOLE)
    if not train + test:
        raise UserError(f"{source} holds no listed image with keypoints; put them into images/.")
    rng = np.random.default_rng((config.seed, 0))
    if config.train_identities is not None:
        usable = [name for name in train if torso_found(halves["train"].annotated[name])]
        paired = sorted(item for item, views in Counter(map(_item, usable)).items() if views > 1)
        kept = set(rng.permutation(paired)[: config.train_identities].tolist())
        train = [name for name in train if _item(name) in kept]
    train, test = (
        store.thin_out(names, _item, config.images_per_identity, rng) for names in (train, test)
    )
    names, size = train + test, (config.height, config.width)
    joints = halves["train"].annotated | halves["test"].annotated
    lacking = [lack for half in WHOLE for lack in _lacking(half, halves[half], paths)]
    planned = store.Plan(
        make=_read,
        jobs=[(paths[name], joints[name], int(NAME.fullmatch(name)[2]), *size) for name in names],
        identities=_identities(names, halves),
        train=np.arange(len(names)) < len(train),
        split=f"official split by outfit ({len(set(map(_item, train))):,} train, "
        f"{len(set(map(_item, test))):,} test)",
        names=names,
        notes=_about(config, halves) + lacking,
        whole=not lacking,
    )
    published, listed = _published_pairs(source, halves)
    if published and config.images_per_identity is None:
        places = {name: len(train) + i for i, name in enumerate(test)}
        pairs = [[places[a], places[b]] for a, b in listed if a in places and b in places]
        short = f"; {len(pairs):,} of its {len(listed):,} pairs have both images here"
        planned = replace(
            planned,
            test_pairs=np.array(pairs, np.int64).reshape(-1, 2),
            pairs_from=f"the first of {published.name}" + short * (len(pairs) < len(listed)),
        )
    return planned


def verify(config, source):
    """Decode every image of `source`, hold lists, rows, images and pairs against each other and
    against the official counts: a card, see `datasets.verify`."""
    source = _folder(source)
    paths, halves = _find_images(source), _read_halves(config, source)
    parts, problems, sizes = {}, [], []

    def look(path):
        image = store.decode(path)
        _inner_width(path, image, SIDE)
        sizes.append(f"{image.height}x{image.width}")

    for half, told in halves.items():
        names, whole = told.at_hand(paths), WHOLE[half]["images"]
        keypoints = np.array([told.annotated[name] for name in names]).reshape(-1, 18, 2)
        parts[half] = store.counts(_identities(names, halves), keypoints)
        problems += [f"{lack}." for lack in _lacking(half, told, paths)]
        if told.listed and len(told.listed) != whole:
            problems.append(f"{half}.lst has {len(told.listed):,} names, not {whole:,}.")
        problems += _first("keypoint rows", told.annotated, told.listed, f"not in {half}.lst")
    listed = {name for told in halves.values() for name in told.listed}
    problems += _first("images", paths, listed, "in no list")
    published, pairs = _published_pairs(source, halves)
    if not published:
        problems.append(f"{source} has no fasion-pairs-test.csv with its test.lst.")
    here = set(halves["test"].at_hand(paths))
    pairs_here = {
        "train": parts["train"]["pairs"],
        "test": sum(a in here and b in here for a, b in pairs),
    }
    problems += [
        f"{half}: {count:,} pairs have both images here, of {WHOLE[half]['pairs']:,} of the whole "
        "set."
        for half, count in pairs_here.items()
        if count != WHOLE[half]["pairs"]
    ]
    problems += store.faults(look, [paths[name] for name in sorted(listed & set(paths))])
    stored = [f"{count:,} of {size}" for size, count in Counter(sizes).most_common()]
    whole = [
        f"{counts['images']:,} {half} images with {counts['pairs']:,} pairs"
        for half, counts in WHOLE.items()
    ]
    notes = [f"the whole set: {', '.join(whole)}", f"stored sizes: {', '.join(stored) or 'none'}"]
    return {
        "dataset": config.dataset,
        "size": [config.height, config.width],
        "parts": parts,
        "split": "official split by outfit",
        "problems": problems,
        "notes": notes + _about(config, halves),
    }


# ---------------------------------------------------------------- the folder


def flat_name(path):
    """The flattened name of an image in DeepFashion's own folders."""
    *_, gender, category, item, file = Path(path).parts
    first, rest = file.split("_", 1)
    return f"fashion{gender}{category}{item.replace('_', '')}{first}_{rest.replace('_', '')}"


def _folder(source):
    if source is None:
        raise UserError("deepfashion needs the folder that holds train.lst and test.lst.")
    if not Path(source).is_dir():
        raise UserError(f"there is no folder {source}; name the one with train.lst and test.lst.")
    return Path(source)


def _file(source, kind):
    """The first file fasion-<kind>.csv, in whichever of its spellings, or None."""
    spelling = re.compile(rf"fash?ion(-resize)?-{kind}\.csv")
    return next((path for path in sorted(source.iterdir()) if spelling.fullmatch(path.name)), None)


def _published_pairs(source, halves):
    """The file of the test pairs and the [(condition, target)] names in it; or (None, [])."""
    path, listed = _file(source, "pairs-test"), set(halves["test"].listed)
    return (path, store.read_pairs(path, listed)) if path and listed else (None, [])


def _find_images(source):
    """Flattened name -> path of every image."""
    paths = {flat_name(path): path for path in source.glob("img*/*/*/id_*/*_*.jpg")}
    for folder in (source, source / "train", source / "test", source / "images"):
        if folder.is_dir():
            paths |= {path.name: path for path in folder.iterdir() if path.suffix == ".jpg"}
    return paths


def _read_halves(config, source):
    halves = {half: _read_half(config, source, half) for half in WHOLE}
    if not any(told.annotated for told in halves.values()):
        raise UserError(
            f"{source} has no half with both its list and its keypoints; train.lst needs "
            "fasion-annotation-train.csv beside it, test.lst fasion-annotation-test.csv."
        )
    return halves


def _read_half(config, source, half):
    file, annotation = source / f"{half}.lst", _file(source, f"annotation-{half}")
    listed = _read_names(file) if file.exists() else []
    absent = [f"no {file.name}"] * (not file.exists())
    absent += [f"no fasion-annotation-{half}.csv"] * (annotation is None)
    if absent:
        return _Half(listed, {}, f"{half}: there is {' and '.join(absent)}")
    annotated = read_csv(annotation)
    frame, how = _frame(config.keypoint_frame, annotated, annotation)
    for keypoints in annotated.values():
        keypoints[found(keypoints), 0] += FRAMES[frame]
    return _Half(listed, annotated, f"{half}: keypoints of {annotation.name}, {frame} frame, {how}")


def _read_names(path):
    """The names of a .lst file."""
    try:
        names = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{path} is not a text file (UTF-8).") from None
    seen = set()
    for number, name in enumerate(names, start=1):
        if not NAME.fullmatch(name) or name in seen:
            fault = "appears twice" if name in seen else "is no flattened In-shop name"
            raise UserError(f"{path}, line {number}: '{name}' {fault}.")
        seen.add(name)
    return names


def _frame(named, annotated, path):
    """Which frame the keypoints are in, and how that is known.

    People stand in the middle: the median x of all joints is near 88 in the narrow frame and
    near 128 in the square one. The name of the file does not tell: fasion-annotation-*.csv is
    in the square frame where PATN publishes it, and in the narrow one in other copies. (In the
    narrow frame `read_csv` drops the few joints left of it.)
    """
    if named != "detect":
        return named, "as configured"
    joints = np.concatenate([keypoints[found(keypoints)] for keypoints in annotated.values()])
    middles = {frame: SIDE / 2 - shift for frame, shift in FRAMES.items()}
    median = float(np.median(joints[:, 0])) if len(joints) else -1.0
    frame = min(middles, key=lambda frame: abs(middles[frame] - median))
    if abs(middles[frame] - median) > 12:
        raise UserError(
            f"{path}: the median x of its joints is {median:.0f}, which tells neither the "
            f"{' nor the '.join(FRAMES)} frame; name it: keypoint_frame, --keypoint-frame."
        )
    how = f"detected (the median x is {median:.0f}, the frame's middle {middles[frame]:.0f})"
    return frame, how


def _lacking(half, told, paths):
    """What a half lacks, a sentence each."""
    lacks = [] if told.annotated else [told.about]
    absent = [name for name in told.listed if name not in paths]
    bare = [name for name in told.listed if name not in told.annotated] if told.annotated else []
    for what, names in (("are not here", absent), ("have no row of keypoints", bare)):
        if names:
            lacks.append(
                f"{half}: {len(names):,} of the {len(told.listed):,} listed images {what}, the "
                f"first is {names[0]}"
            )
    return lacks


def _first(what, names, known, where):
    """The sentence about names that are not among the known ones, if there are any."""
    others = sorted(set(names) - set(known))
    return [f"{len(others):,} {what} are {where}, the first is {others[0]}."] if others else []


def _about(config, halves):
    """What the card says of a folder: how images are framed, what joints and items are."""
    height, inner = config.height, _narrow(config.height)
    notes = [
        f"images: resized (Lanczos) to a height of {height}, narrow ones (about {SIDE}x{NARROW}) "
        f"to {height}x{inner}; cropped, or padded with white, to {height}x{config.width} around "
        "the middle",
        *(told.about for told in halves.values() if told.annotated),
    ]
    train, test = (told.listed for told in halves.values())
    if train and test:
        outfits = set(map(_item, train)) & set(map(_item, test))
        items, others = ({NAME.fullmatch(name)[1] for name in names} for names in (test, train))
        notes.append(
            f"{len(outfits) or 'no'} outfits are in both halves; of the {len(items):,} item "
            f"numbers (id_...) of test {len(items & others):,} are in train too, as other variants"
        )
    return notes


# ---------------------------------------------------------------- names and images


def _item(name):
    """Who wears what: the name without the view."""
    return name.rsplit("_", 1)[0]


def _identities(names, halves):
    """Numbers of the outfits, in the order of their names among all listed."""
    items = sorted({_item(name) for told in halves.values() for name in told.listed})
    return np.searchsorted(items, [_item(name) for name in names]).astype(np.int64)


def _narrow(height):
    return round(height * NARROW / SIDE)


def _inner_width(path, image, height):
    """How wide a stored image is at this height: a square one, or one without margins."""
    ratio = image.width / image.height
    if abs(ratio - 1) < 0.02:
        return height
    if abs(ratio - NARROW / SIDE) < 0.05:
        return _narrow(height)
    raise UserError(
        f"{path} is {image.height}x{image.width}; In-shop images are square, or about as "
        f"{SIDE}x{NARROW}."
    )


def _read(path, keypoints, view, height, width):
    """Decode an image and bring it and its keypoints (square frame) to (height, width).

    A square image becomes height x height. A narrow one, 256x176 or an original of 1101x750,
    becomes the inner 176/256 of that. Either is then cropped around the middle to `width`, or
    padded with white, as PATN does for its scores. A joint that comes to lie outside is missing.
    """
    image = store.decode(path)
    inner = _inner_width(path, image, height)
    if image.size != (inner, height):
        image = image.resize((inner, height), Image.Resampling.LANCZOS)
    framed = Image.new("RGB", (width, height), "white")
    framed.paste(image, ((width - inner) // 2, 0))
    # The pixel that holds the old pixel's centre: whole numbers.
    moved = np.floor((keypoints + 0.5) * np.float32(height / SIDE))
    moved[:, 0] += (width - height) // 2
    inside = found(keypoints) & found(moved) & (moved < (width, height)).all(-1)
    return np.asarray(framed), np.where(inside[:, None], moved, np.float32(-1)), view
