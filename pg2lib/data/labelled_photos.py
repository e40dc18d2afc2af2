"""Photographs with pixel labels, like Clothing Co-Parsing, to evaluate a parser on.

A folder holds photos/NAME.jpg, labels/NAME.png of the same size with a label number per pixel, and
labels.csv with the columns value and name.
"""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from pg2lib.core.files import UserError
from pg2lib.data.framing import around_picture, cut, read_image
from pg2lib.data.parsing import LABELS

# Garments by the body part they cover; others, such as jewellery, are not judged.
STREET = {
    "background": "null",
    "hair": "hair hat",
    "skin": "skin",
    "upper": "blazer blouse bodysuit bra cape cardigan coat dress hoodie jacket jumper romper "
    "scarf shirt suit sweater sweatshirt swimwear t-shirt tie top vest",
    "lower": "jeans leggings pants shorts skirt stockings tights panties belt",
    "shoes": "boots clogs flats heels loafers pumps sandals shoes sneakers wedges",
    "bag": "bag purse wallet",
}
NAMES = tuple(STREET)
UNJUDGED = len(NAMES)
# The same for this project's labels: photographs have one skin class.
OF_PEOPLE = {"face": "skin", "arms": "skin", "legs": "skin"}


def merged_people() -> np.ndarray:
    """The index in NAMES of each of LABELS["people"]: uint8 (9,)."""
    return np.array([NAMES.index(OF_PEOPLE.get(n, n)) for n in LABELS["people"]], np.uint8)


def read_table(path) -> np.ndarray:
    """The index in NAMES of every number in labels.csv, else UNJUDGED: uint8 (256,). Raises
    UserError if the file is missing or has other columns."""
    try:
        lines = list(csv.DictReader(Path(path).read_text(encoding="utf-8-sig").splitlines()))
        numbers = {int(line["value"]): line["name"].strip() for line in lines}
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"cannot read {path} ({error}); it needs columns value and name") from None
    table = np.full(256, UNJUDGED, np.uint8)
    for label, garments in STREET.items():
        for number, name in numbers.items():
            if 0 <= number < 256 and name in garments.split():
                table[number] = NAMES.index(label)
    return table


def read(folder, height: int, width: int):
    """(images uint8 (k, height, width, 3), maps uint8 (k, height, width)) of all photographs, each
    whole and padded to the frame. A pixel has the label at its centre, UNJUDGED in the padding.
    Raises UserError for no photographs, or a map that is missing or of another size."""
    folder = Path(folder)
    table, photos = read_table(folder / "labels.csv"), sorted((folder / "photos").glob("*.jpg"))
    if not photos:
        raise UserError(f"{folder / 'photos'} holds no .jpg")
    images = np.empty((len(photos), height, width, 3), np.uint8)
    maps = np.empty((len(photos), height, width), np.uint8)
    for row, path in enumerate(photos):
        image, label = read_image(path), folder / "labels" / f"{path.stem}.png"
        try:
            with Image.open(label) as picture:
                numbers = table[np.array(picture.convert("L") if picture.mode == "1" else picture)]
        except (OSError, ValueError, SyntaxError, IndexError) as error:
            raise UserError(f"cannot read the labels {label}: {error}") from None
        if numbers.ndim != 2:
            raise UserError(f"{label} is in colours; write one label number per pixel")
        if numbers.shape != image.shape[:2]:
            raise UserError(f"{label} and its photograph have different sizes")
        window = around_picture(image.shape[:2], height, width)
        images[row] = cut(image, window, height, width)
        maps[row] = centres(numbers, window, height, width)
    return images, maps


def centres(numbers, window, height: int, width: int):
    """The numbers (H, W) at the centres of a frame's pixels; UNJUDGED outside the picture."""
    scale = window.height / height
    places = [
        np.floor((np.arange(n) + 0.5) * scale + start).astype(int)
        for n, start in ((height, window.top), (width, window.left))
    ]
    inside = [(at >= 0) & (at < n) for at, n in zip(places, numbers.shape)]
    rows, columns = (at.clip(0, n - 1) for at, n in zip(places, numbers.shape))
    found = numbers[rows[:, None], columns]
    return np.where(inside[0][:, None] & inside[1], found, UNJUDGED).astype(np.uint8)
