"""A photograph and a pose of any size, brought into the frame of a model.

A `Window` is the part of a picture that fills the frame. It has the frame's shape, so that nobody
is squeezed, and may reach beyond the picture: what lies outside is padded.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from pg2lib.core.files import UserError
from pg2lib.data.keypoints import found

# How people stand in the training images: the margins above and below the box of the joints, in
# parts of its height, and the share of the frame's width that the box takes at most. Medians over
# whole people in Market-1501 (8,921 images): 0.10 and 0.12; DeepFashion: 0.10 and 0.14; drawn
# people: 0.13 and 0.13. The width is the 90th percentile in Market-1501.
ABOVE, BELOW, WIDEST = 0.10, 0.125, 0.9
# From behind no joint of the head is seen: how far it rises over neck and shoulders, in parts of
# what is below. Medians: 0.17 in Market-1501 and DeepFashion, 0.14 for drawn people.
HEAD = 0.16
HEAD_JOINTS, SHOULDERS = [0, 14, 15, 16, 17], [1, 2, 5]
FEWEST_JOINTS = 6  # fewer do not tell how large a person is
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Window:
    """A part of a picture, in its pixels; may reach beyond it."""

    left: float
    top: float
    width: float
    height: float

    @property
    def bottom(self) -> float:
        return self.top + self.height


def read_image(path) -> np.ndarray:
    """uint8 (H, W, 3), turned upright as its EXIF orientation says. UserError if unreadable."""
    try:
        with Image.open(path) as image:
            image.load()
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; name an image file") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{path} is no intact image ({error}); use a JPEG or PNG") from None


def check_pose(keypoints, where) -> np.ndarray:
    """The keypoints as float32 (18, 2) if they tell where the person is and how large, else a
    UserError that begins with `where`."""
    keypoints = np.asarray(keypoints, np.float32)
    count = int(found(keypoints).sum())
    if count < FEWEST_JOINTS:
        raise UserError(
            f"{where} has {count} of 18 joints; choose a pose with at least {FEWEST_JOINTS} "
            "joints, best of a whole person"
        )
    if np.ptp(keypoints[found(keypoints)], axis=0).max() < 1:
        raise UserError(f"{where} has all its joints on one spot; choose another pose")
    return keypoints


def box(keypoints):
    """(x, y) of the top left and the bottom right corner about the joints (18, 2) that were found,
    to the pixels' centres, with room for a head of which no joint was found."""
    here = found(keypoints)
    low, high = keypoints[here].min(0) + 0.5, keypoints[here].max(0) + 0.5
    shoulders = keypoints[SHOULDERS][here[SHOULDERS], 1]
    if not here[HEAD_JOINTS].any() and len(shoulders):
        top = shoulders.min() + 0.5
        low[1] = min(low[1], top - HEAD * (high[1] - top))
    return low, high


def around_person(keypoints, height: int, width: int) -> Window:
    """The window, of the shape height x width, in which a person fills the frame as in training.

    Like the boxes of a person detector, from which Market-1501 is made: the `box` of the joints
    with the margins above; keypoints (18, 2).
    """
    return around_people([keypoints], height, width)[0]


def around_people(poses, height: int, width: int) -> list[Window]:
    """A window for each pose of a sequence: all of one size and at one height in the picture, so
    that crouching and jumping stay visible, each around the middle of its own person."""
    low, high = np.array([box(pose) for pose in poses], float).swapaxes(0, 1)  # (k, 2) each
    top, bottom = low[:, 1].min(), high[:, 1].max()
    high_enough = (bottom - top) * (1 + ABOVE + BELOW)
    tall = max(high_enough, (high - low)[:, 0].max() / WIDEST * height / width)
    # Where the width decides, what is left over goes above and below alike.
    top = top - ABOVE * (bottom - top) - (tall - high_enough) / 2
    wide = tall * width / height
    centres = (low + high)[:, 0] / 2
    return [Window(float(x - wide / 2), float(top), float(wide), float(tall)) for x in centres]


def around_picture(picture: tuple[int, int], height: int, width: int, fit: str = "pad") -> Window:
    """The window about the middle of a picture (height, width): all of it with room to pad, or,
    fit="crop", the largest part of the frame's shape."""
    tall = (max if fit == "pad" else min)(picture[0], picture[1] * height / width)
    wide = tall * width / height
    return Window((picture[1] - wide) / 2, (picture[0] - tall) / 2, wide, tall)


def cut(image, window: Window, height: int, width: int, padding: str = "edge") -> np.ndarray:
    """The window of an image (H, W, 3) as uint8 (height, width, 3).

    Resampled by Lanczos. Outside the image its border pixels are repeated, or, padding="plain", it
    is the median colour of its border. UserError where the window misses the image.
    """
    scale = height / window.height
    edges = []  # of the part that is in the picture: in the frame, and back in the picture
    for start, size, length in (
        (window.left, image.shape[1], width),
        (window.top, image.shape[0], height),
    ):
        # To a thousandth of a pixel: a part that just touches the border is not padded.
        inside = np.clip(np.round((np.array([0, size]) - start) * scale, 3), 0, length)
        frame = np.array([np.floor(inside[0] + 0.5), np.floor(inside[1] + 0.5)], int)
        edges.append((frame, np.clip(frame / scale + start, 0, size)))
    (columns, xs), (rows, ys) = edges
    if columns[0] >= columns[1] or rows[0] >= rows[1]:
        raise UserError("the person lies outside the photo; give the pose that belongs to it")
    part = Image.fromarray(np.ascontiguousarray(image)).resize(
        (int(columns[1] - columns[0]), int(rows[1] - rows[0])),
        Image.Resampling.LANCZOS,
        box=(xs[0], ys[0], xs[1], ys[1]),
    )
    part = np.asarray(part)
    margins = ((rows[0], height - rows[1]), (columns[0], width - columns[1]), (0, 0))
    if padding == "edge":
        return np.pad(part, margins, mode="edge")
    framed = np.empty((height, width, 3), np.uint8)
    border = np.concatenate([part[0], part[-1], part[:, 0], part[:, -1]])
    framed[:] = np.median(border, axis=0).round()
    framed[rows[0] : rows[1], columns[0] : columns[1]] = part
    return framed


def moved(keypoints, window: Window, height: int, width: int) -> np.ndarray:
    """Keypoints (18, 2) of a picture in the frame of its window: whole pixels, as in training.

    The pixel that holds the old pixel's centre; a joint outside the frame becomes missing.
    """
    keypoints = np.asarray(keypoints, np.float32)
    start = np.array([window.left, window.top])
    there = np.floor((keypoints + 0.5 - start) * (height / window.height) + 1e-6)
    inside = found(keypoints) & found(there) & (there < (width, height)).all(-1)
    return np.where(inside[:, None], there, -1).astype(np.float32)


def words(window: Window, picture: tuple[int, int], height: int, width: int, padding="edge") -> str:
    """What `cut` does to a picture (height, width), in one line."""
    left, top = max(window.left, 0), max(window.top, 0)
    right = min(window.left + window.width, picture[1])
    bottom = min(window.bottom, picture[0])
    scale = height / window.height
    done = [f"{picture[1]}x{picture[0]}"]
    if right - left < picture[1] - 0.5 or bottom - top < picture[0] - 0.5:
        done.append(f"cropped to x {left:.0f}..{right:.0f}, y {top:.0f}..{bottom:.0f}")
    margins = {
        "left": -window.left,
        "right": window.left + window.width - picture[1],
        "above": -window.top,
        "below": window.bottom - picture[0],
    }
    padded = [f"{size:.0f} {side}" for side, size in margins.items() if size * scale >= 0.5]
    if padded:
        kind = "repeated edge" if padding == "edge" else "its edge's colour"
        done.append(f"padded with {kind} ({', '.join(padded)} pixels)")
    done.append(f"scaled by {scale:.3g} to {width}x{height}")
    return ", ".join(done)
