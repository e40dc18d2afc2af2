"""DeepFashion In-shop, with the files that Deformable GAN and PATN publish.

The name without the view, fashionWOMENDressesid0000000202, is the identity: one person in one
outfit. In the test half, all ordered pairs by this rule are exactly the published ones. The paper's
and the released code's own split and pairs (12,800 of test) were never published.
"""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pg2lib.core.files import UserError, read_text
from pg2lib.data import sources
from pg2lib.data.keypoints import found, read_csv, torso_found

# Counts of the published files (PATN).
WHOLE = {
    "train": {"images": 48_674, "pairs": 101_966},
    "test": {"images": 4_038, "published_pairs": 8_570},
}
NAME = re.compile(r"fashion(?:WOMEN|MEN)\w+id(\d{8})\d\d_(\d)\w+\.jpg")
SIDE, NARROW = 256, 176  # the square frame, and its columns 40 to 215, without the plain margins
# Frame of the keypoints, width x height -> offset of x in the square one.
FRAMES = {f"{NARROW}x{SIDE}": (SIDE - NARROW) // 2, f"{SIDE}x{SIDE}": 0}


@dataclass(frozen=True)
class _Half:
    """One half of the lists."""

    names: list[str]  # of train.lst or test.lst, flattened
    keypoints: dict  # name -> float32 (18, 2) in the square frame
    note: str  # the file and frame of the keypoints, or what is missing

    def available(self, paths):
        """The names with an image and keypoints, sorted."""
        return sorted(name for name in self.names if name in paths and name in self.keypoints)


def plan(config, source):
    """The Plan of a DataConfig: all listed images in the folder `source`.

    256x256 is the frame of the paper and the released code, 256x176 the crop of the later
    literature. Raises UserError if no list has keypoints, a file has a bad line, or the frame of
    the keypoints cannot be detected.
    """
    source, paths, halves = _read_source(config, source)
    train, test = (halves[half].available(paths) for half in WHOLE)
    if not train + test:
        raise UserError(f"{source} holds no listed image with keypoints; put them into images/.")
    rng = np.random.default_rng((config.seed, 0))
    if config.train_identities is not None:
        usable = [name for name in train if torso_found(halves["train"].keypoints[name])]
        paired = sorted(item for item, views in Counter(map(_item, usable)).items() if views > 1)
        kept = set(rng.permutation(paired)[: config.train_identities].tolist())
        train = [name for name in train if _item(name) in kept]
    train, test = (
        sources.subsample(names, _item, config.images_per_identity, rng) for names in (train, test)
    )
    names, size = train + test, (config.height, config.width)
    joints = halves["train"].keypoints | halves["test"].keypoints
    missing = _missing(halves, paths)
    published, pairs = _published_pairs(source, halves)
    fields = {}
    if published and config.images_per_identity is None:
        places = {name: len(train) + i for i, name in enumerate(test)}
        fields = sources.place_pairs(published, pairs, places)
    return sources.Plan(
        make=_read,
        jobs=[(paths[name], joints[name], int(NAME.fullmatch(name)[2]), *size) for name in names],
        identities=_identities(names, halves),
        train=np.arange(len(names)) < len(train),
        split=f"official split by outfit ({len(set(map(_item, train))):,} train, "
        f"{len(set(map(_item, test))):,} test)",
        names=names,
        notes=_notes(config, halves) + missing,
        complete=not missing,
        **fields,
    )


def survey(config, source):
    """The Survey of the folder `source`; compares lists, keypoints, images and pairs."""
    source, paths, halves = _read_source(config, source)
    parts, problems = {}, _missing(halves, paths)
    for name, half in halves.items():
        available = half.available(paths)
        keypoints = np.array([half.keypoints[name] for name in available]).reshape(-1, 18, 2)
        parts[name] = sources.counts(_identities(available, halves), keypoints)
        what = f"{name}: keypoints of images not in {name}.lst"
        problems += sources.listed(what, half.keypoints, half.names)
    names = {name for half in halves.values() for name in half.names}
    problems += sources.listed("images in no list", paths, names)
    published, pairs = _published_pairs(source, halves)
    if not published:
        problems.append(f"{source} has no fasion-pairs-test.csv with its test.lst.")
    test = set(halves["test"].available(paths))
    parts["test"]["published_pairs"] = sum(test.issuperset(pair) for pair in pairs)
    return sources.Survey(
        parts=parts,
        split="official split by outfit",
        paths=[paths[name] for name in sorted(names & set(paths))],
        check=_check,
        problems=problems,
        expected=WHOLE,
        notes=_notes(config, halves),
    )


# ---------------------------------------------------------------- the folder


def flat_name(path):
    """The flattened name of an image in DeepFashion's original folders."""
    *_, gender, category, item, file = Path(path).parts
    first, rest = file.split("_", 1)
    return f"fashion{gender}{category}{item.replace('_', '')}{first}_{rest.replace('_', '')}"


def _read_source(config, source):
    """(the folder, flattened name -> path of every image, {"train": _Half, "test": _Half})."""
    frames = ("detect", *FRAMES)
    if (frame := config.keypoint_frame) not in frames:
        raise UserError(f"keypoint_frame must be one of {', '.join(frames)}, not '{frame}'.")
    if source is None:
        raise UserError("deepfashion needs the folder that holds train.lst and test.lst.")
    source = Path(source)
    if not source.is_dir():
        raise UserError(f"there is no folder {source}; name the one with train.lst and test.lst.")
    halves = {half: _read_half(config, source, half) for half in WHOLE}
    if not any(half.keypoints for half in halves.values()):
        raise UserError(
            f"{source} has no half with both its list and its keypoints; train.lst needs "
            "fasion-annotation-train.csv next to it, test.lst fasion-annotation-test.csv."
        )
    return source, _find_images(source), halves


def _file(source, kind):
    """The first file fasion-<kind>.csv or fasion-resize-<kind>.csv, or None."""
    spelling = re.compile(rf"fash?ion(-resize)?-{kind}\.csv")
    return next((path for path in sorted(source.iterdir()) if spelling.fullmatch(path.name)), None)


def _published_pairs(source, halves):
    """The file of test pairs and its [(condition, target)] names, or (None, [])."""
    path, names = _file(source, "pairs-test"), set(halves["test"].names)
    return (path, sources.read_pairs(path, names)) if path and names else (None, [])


def _find_images(source):
    """Flattened name -> path of every image, in images/ or DeepFashion's original folders, such as
    img/WOMEN/Dresses/id_00000002/02_1_front.jpg."""
    paths = {flat_name(path): path for path in source.glob("img*/*/*/id_*/*_*.jpg")}
    for folder in (source, source / "train", source / "test", source / "images"):
        if folder.is_dir():
            paths |= {path.name: path for path in folder.iterdir() if path.suffix == ".jpg"}
    return paths


def _read_half(config, source, half):
    file, annotation = source / f"{half}.lst", _file(source, f"annotation-{half}")
    names = _read_names(file) if file.exists() else []
    absent = [f"no {file.name}"] * (not file.exists())
    absent += [f"no fasion-annotation-{half}.csv"] * (annotation is None)
    if absent:
        return _Half(names, {}, f"{half}: there is {' and '.join(absent)}")
    annotated = read_csv(annotation)
    frame, how = _frame(config.keypoint_frame, annotated, annotation)
    for keypoints in annotated.values():
        keypoints[found(keypoints), 0] += FRAMES[frame]
    return _Half(names, annotated, f"{half}: keypoints of {annotation.name}, {frame} frame, {how}")


def _read_names(path):
    """The names of a .lst file."""
    names, known = read_text(path).splitlines(), set()
    for number, name in enumerate(names, start=1):
        if not NAME.fullmatch(name) or name in known:
            reason = "appears twice" if name in known else "is not a flattened In-shop name"
            raise UserError(f"{path}, line {number}: '{name}' {reason}.")
        known.add(name)
    return names


def _frame(named, annotated, path):
    """(the frame of the keypoints, the reason): as configured, or detected.

    People are centred: the median x of all joints is near 88 in the narrow frame and near 128 in
    the square one. File names do not tell: fasion-annotation-*.csv is in the square frame where
    PATN publishes it, and in the narrow one in other copies.
    """
    if named != "detect":
        return named, "as configured"
    if not annotated:
        raise UserError(f"{path} holds no keypoints, only a header.")
    joints = np.concatenate([keypoints[found(keypoints)] for keypoints in annotated.values()])
    middles = {frame: SIDE / 2 - shift for frame, shift in FRAMES.items()}
    median = float(np.median(joints[:, 0])) if len(joints) else -1.0
    frame = min(middles, key=lambda frame: abs(middles[frame] - median))
    if abs(middles[frame] - median) > 12:
        raise UserError(
            f"{path}: the median x of its joints is {median:.0f}, which fits neither the "
            f"{' nor the '.join(FRAMES)} frame; name it with keypoint_frame (--keypoint-frame)."
        )
    middle = f"the median x is {median:.0f}, the frame's middle {middles[frame]:.0f}"
    return frame, f"detected ({middle})"


def _missing(halves, paths):
    """Sentences about lists, images and keypoints that the folder lacks."""
    sentences = []
    for half, lists in halves.items():
        sentences += sources.listed(f"{half}: listed images not in the folder", lists.names, paths)
        if lists.keypoints:
            what = f"{half}: listed images without keypoints"
            sentences += sources.listed(what, lists.names, lists.keypoints)
        else:
            sentences.append(f"{lists.note}.")
    return sentences


def _notes(config, halves):
    """Notes for the card: framing of the images, keypoints, shared items."""
    height, inner = config.height, _narrow(config.height)
    notes = [
        f"images: resized (Lanczos) to a height of {height}, narrow ones (about {SIDE}x{NARROW}) "
        f"to {height}x{inner}; cropped, or padded with white, to {height}x{config.width} around "
        "the middle",
        *(half.note for half in halves.values() if half.keypoints),
    ]
    train, test = (half.names for half in halves.values())
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
    """The outfit on one person: the name without the view."""
    return name.rsplit("_", 1)[0]


def _identities(names, halves):
    """int64 numbers of the outfits, in the order of all listed names."""
    items = sorted({_item(name) for half in halves.values() for name in half.names})
    return np.searchsorted(items, [_item(name) for name in names]).astype(np.int64)


def _narrow(height):
    return round(height * NARROW / SIDE)


def _inner_width(path, image, height):
    """Width of a stored image at this height: square, or narrow (no margins)."""
    ratio = image.width / image.height
    if abs(ratio - 1) < 0.02:
        return height
    if abs(ratio - NARROW / SIDE) < 0.05:
        return _narrow(height)
    known = f"In-shop images are square, or about as {SIDE}x{NARROW}."
    raise UserError(f"{path} is {image.height}x{image.width}; {known}")


def _check(path):
    """Decode an image. Raises UserError if its proportions are not those of In-shop images."""
    image = sources.decode(path)
    _inner_width(path, image, SIDE)
    return image


def _read(path, keypoints, view, height, width):
    """Bring an image and its keypoints (square frame) to (height, width).

    A square image becomes height x height. A narrow one, 256x176 or an original of 1101x750,
    becomes the inner 176/256 of that. Either is then cropped around the middle to `width`, or
    padded with white, as PATN does for its scores. A joint that ends up outside counts as missing.
    """
    image = sources.decode(path)
    inner = _inner_width(path, image, height)
    if image.size != (inner, height):
        image = image.resize((inner, height), Image.Resampling.LANCZOS)
    framed = Image.new("RGB", (width, height), "white")
    framed.paste(image, ((width - inner) // 2, 0))
    # The pixel that contains the old pixel's centre: integers.
    moved = np.floor((keypoints + 0.5) * np.float32(height / SIDE))
    moved[:, 0] += (width - height) // 2
    inside = found(keypoints) & found(moved) & (moved < (width, height)).all(-1)
    return np.asarray(framed), np.where(inside[:, None], moved, np.float32(-1)), view
