"""The user's own parsing maps, PNGs of label numbers, merged to this project's labels.

A map is a grey or palette PNG whose values are class numbers, in the order of the data set that its
parser was trained on. Left and right are the person's own, as everywhere in the library.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from pg2lib.core.config import require_in
from pg2lib.core.files import UserError
from pg2lib.data.parsing import LABELS

# The classes of a map in their order: Look Into Person, Crowd Instance-level Human Parsing, ATR,
# and the labels of this project.
ORDERS = {
    "lip": LABELS["lip"],
    "cihp": (
        "background", "hat", "hair", "glove", "sunglasses", "upper-clothes", "dress", "coat",
        "socks", "pants", "torso-skin", "scarf", "skirt", "face", "left arm", "right arm",
        "left leg", "right leg", "left shoe", "right shoe",
    ),
    "atr": (
        "background", "hat", "hair", "sunglasses", "upper-clothes", "skirt", "pants", "dress",
        "belt", "left shoe", "right shoe", "face", "left leg", "right leg", "left arm",
        "right arm", "bag", "scarf",
    ),
    "people": LABELS["people"],
}  # fmt: skip
# Names of a class in each of LABELS, if they differ. As for drawn people, the trunk's skin counts
# as face, a dress as one piece of the upper body, and LIP has no bag.
MERGED = {
    "people": {
        "hat": "hair", "sunglasses": "face", "torso-skin": "face", "glove": "arms",
        "upper-clothes": "upper", "dress": "upper", "coat": "upper", "jumpsuits": "upper",
        "scarf": "upper", "pants": "lower", "skirt": "lower", "belt": "lower", "socks": "legs",
    } | {f"{side} {one}": many for side in ("left", "right")
         for one, many in (("arm", "arms"), ("leg", "legs"), ("shoe", "shoes"))},
    "lip": {"torso-skin": "face", "belt": "pants", "bag": "background"},
}  # fmt: skip


def merging(order: str, labels: str) -> np.ndarray:
    """The index in LABELS[labels] of every class of an order: uint8 (classes,). Raises UserError
    for an unknown name, or if LIP's labels are needed but the maps have this project's nine."""
    classes, names = ORDERS[require_in("label order", order, ORDERS)], LABELS[labels]
    if order == "people" and labels != "people":
        raise UserError(
            f"maps with the labels people do not tell the sides that the labels {labels} have; "
            "train with labels=people"
        )
    return np.array([names.index(MERGED[labels].get(name, name)) for name in classes], np.uint8)


def read_map(path, order: str, labels: str = "people") -> np.ndarray:
    """One map with this project's labels: uint8 (H, W). Raises UserError for a file that is
    missing, not a map, or has a number outside the order."""
    table, path = merging(order, labels), Path(path)
    try:
        with Image.open(path) as picture:
            mode, numbers = picture.mode, np.array(picture)
    except (OSError, ValueError, SyntaxError) as error:
        raise UserError(f"cannot read the parsing map {path}: {error}") from None
    if numbers.ndim != 2 or numbers.dtype.kind not in "bui" or numbers.min() < 0:
        raise UserError(
            f"{path} is a picture of mode {mode}, no parsing map; save the numbers of the labels "
            "as a grey or palette PNG"
        )
    if (highest := int(numbers.max())) >= len(table):
        raise UserError(
            f"{path} holds the label {highest}; the order {order} ends at {len(table) - 1}"
        )
    return table[numbers.astype(np.int64)]


def shrunk(numbers, height: int, width: int, count: int, where="the map") -> np.ndarray:
    """A map (k H, k W) of `count` labels at its image's size, uint8 (H, W): each pixel takes the
    most frequent label of its k x k block, the first if tied. Raises UserError, beginning with
    `where`, for another size."""
    factor = max(numbers.shape[0] // height, 1)
    if numbers.shape != (factor * height, factor * width):
        raise UserError(
            f"{where} has {numbers.shape[1]}x{numbers.shape[0]} pixels, its image has "
            f"{width}x{height}; give maps of that size, or of a whole multiple of it"
        )
    votes = np.eye(count, dtype=np.int32)[numbers]
    return votes.reshape(height, factor, width, factor, count).sum((1, 3)).argmax(-1).astype("u1")


def write(dataset, path, labels, folder, order, progress=None):
    """Write the maps of all images of a Dataset like `parsing.write`, reading folder/NAME.png for
    image NAME.jpg. Raises UserError for a mistake in any of them."""
    folder = Path(folder)
    files = [folder / Path(name).with_suffix(".png") for name in map(str, dataset.names)]
    if missing := [file for file in files if not file.is_file()]:
        raise UserError(
            f"{missing[0]} does not exist, a parsing map of {len(missing)} of {len(files)} images "
            "is missing; every image needs one"
        )
    size, count = (dataset.height, dataset.width), len(LABELS[labels])
    maps = np.lib.format.open_memmap(path, "w+", np.uint8, (len(files), *size))
    for row, file in enumerate(files):
        maps[row] = shrunk(read_map(file, order, labels), *size, count, file)
        if progress and (row + 1) % 64 == 0:
            progress(row + 1, len(files))
    maps.flush()


def split(text: str) -> tuple[str, Path]:
    """(order, absolute path of the folder or file) of a text like "cihp:maps". Raises UserError if
    malformed."""
    order, colon, path = text.partition(":")
    if not colon or order not in ORDERS or not path:
        raise UserError(
            f"{text} does not name parsing maps; write the order of the labels, a colon and the "
            f"place, such as cihp:maps, with one of {', '.join(ORDERS)}"
        )
    return order, Path(path).resolve()
