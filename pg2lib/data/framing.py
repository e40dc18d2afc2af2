"""Bring photographs and poses of any size into the frame of a model."""

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from pg2lib.core.files import UserError
from pg2lib.data.keypoints import found
from pg2lib.data.sources import eight_bits

# How people fill the training images: margins above and below the joints' bounding box, relative
# to its height, and the largest share of the frame's width that the box takes. Medians over whole
# people in Market-1501 (8,921 images): 0.10 and 0.12; DeepFashion: 0.10 and 0.14; drawn people:
# 0.13 and 0.13. The width is the 90th percentile in Market-1501.
ABOVE, BELOW, WIDEST = 0.10, 0.125, 0.9
# Height of the head above neck and shoulders, for people seen from behind without head joints,
# relative to the body below. Medians: 0.17 in Market-1501 and DeepFashion, 0.14 for drawn people.
HEAD = 0.16
HEAD_JOINTS, SHOULDERS = [0, 14, 15, 16, 17], [1, 2, 5]
FEWEST_JOINTS = 6  # fewer do not determine a person's size
FARTHEST = 1e5  # pixels; no photo is larger
SIDES = "left", "right", "above", "below"
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp")
SAME_SHAPE = 0.02  # relative difference up to which two aspect ratios count as equal


class Window(NamedTuple):
    """The part of a picture, in its pixels, that fills the frame. It has the frame's aspect ratio,
    to avoid distortion, and may extend beyond the picture; the area outside is padded."""

    left: float
    top: float
    width: float
    height: float


def read_image(file, name=None) -> np.ndarray:
    """Read a path or binary stream as uint8 (H, W, 3), upright by its EXIF data. Raises UserError,
    with `name` or the path, if unreadable."""
    name = name or file
    try:
        with Image.open(file) as image:
            image.load()
            return np.asarray(eight_bits(ImageOps.exif_transpose(image)).convert("RGB"))
    except FileNotFoundError:
        raise UserError(f"{name} does not exist; name an image file") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{name} is not an intact image ({error}); use a JPEG or PNG") from None


def same_shape(picture: tuple[int, int], frame: tuple[int, int]) -> bool:
    """Whether a picture has a frame's aspect ratio, both (height, width), to `SAME_SHAPE`."""
    return abs(picture[0] / picture[1] * frame[1] / frame[0] - 1) < SAME_SHAPE


def check_pose(keypoints, where) -> np.ndarray:
    """The keypoints as float32 (18, 2). Raises UserError, beginning with `where`, if they do not
    determine the person's position and size."""
    keypoints = np.asarray(keypoints, np.float32)
    here = found(keypoints)
    if (count := here.sum()) < FEWEST_JOINTS:
        raise UserError(
            f"{where} has {count} of 18 joints; choose a pose with at least {FEWEST_JOINTS} "
            "joints, preferably of a whole person"
        )
    if keypoints.max() > FARTHEST:
        raise UserError(f"{where} has a joint at {keypoints.max():g}; coordinates are pixels")
    if np.ptp(keypoints[here], axis=0).max() < 1:
        raise UserError(f"{where} has all its joints in one place; choose another pose")
    return keypoints


def bounding_box(keypoints):
    """(x, y) of the top left and bottom right corners around the found joints of (18, 2), at pixel
    centres, with room for the head if none of its joints was found."""
    here = found(keypoints)
    low, high = keypoints[here].min(0) + 0.5, keypoints[here].max(0) + 0.5
    shoulders = keypoints[SHOULDERS][here[SHOULDERS], 1]
    if not here[HEAD_JOINTS].any() and len(shoulders):
        top = shoulders.min() + 0.5
        low[1] = min(low[1], top - HEAD * (high[1] - top))
    return low, high


def around_people(poses, height: int, width: int) -> list[Window]:
    """The windows in which the people of a sequence fill a frame as in training: like a detector's
    crop, the `bounding_box` with the margins ABOVE and BELOW. All have one size and one top, so
    that crouching and jumping stay visible; each is centred on its person horizontally."""
    low, high = np.array([bounding_box(pose) for pose in poses], float).swapaxes(0, 1)  # (k, 2)
    top, bottom = low[:, 1].min(), high[:, 1].max()
    needed = (bottom - top) * (1 + ABOVE + BELOW)
    tall = max(needed, (high - low)[:, 0].max() / WIDEST * height / width)
    # Where the width decides, the surplus height goes above and below equally.
    top = top - ABOVE * (bottom - top) - (tall - needed) / 2
    wide, centres = tall * width / height, (low + high)[:, 0] / 2
    return [Window(float(x - wide / 2), float(top), float(wide), float(tall)) for x in centres]


def around_picture(picture: tuple[int, int], height: int, width: int, fit: str = "pad") -> Window:
    """The window centred on a picture (height, width): the whole picture and padding, or, with
    fit="crop", its largest part of the frame's aspect ratio."""
    tall = (max if fit == "pad" else min)(picture[0], picture[1] * height / width)
    wide = tall * width / height
    return Window((picture[1] - wide) / 2, (picture[0] - tall) / 2, wide, tall)


def cut(image, window: Window, height: int, width: int, padding: str = "edge") -> np.ndarray:
    """The window of an image (H, W, 3) as uint8 (height, width, 3), resampled by Lanczos. Outside
    the image the border is repeated or, with padding="plain", its median colour used. Raises
    UserError if the window misses the image."""
    scale = height / window.height
    spans = []  # of the part inside the picture: in the frame, and in the picture
    for start, whole, length in zip(window[:2], image.shape[1::-1], (width, height)):
        # Rounded to a thousandth of a pixel: no padding if it only touches the border.
        inside = np.clip(np.round((np.array([0, whole]) - start) * scale, 3), 0, length)
        frame = np.floor(inside + 0.5).astype(int)
        spans.append((frame, np.clip(frame / scale + start, 0, whole)))
    ((left, right), xs), ((top, bottom), ys) = spans
    if left >= right or top >= bottom:
        raise UserError("the person is outside the photo; give the pose that belongs to it")
    size, box = (int(right - left), int(bottom - top)), (xs[0], ys[0], xs[1], ys[1])
    part = Image.fromarray(np.ascontiguousarray(image)).resize(size, Image.Resampling.LANCZOS, box)
    framed = np.pad(part, ((top, height - bottom), (left, width - right), (0, 0)), mode="edge")
    if padding != "edge":
        inner = framed[top:bottom, left:right].copy()
        border = np.concatenate([inner[0], inner[-1], inner[:, 0], inner[:, -1]])
        framed[:] = np.median(border, axis=0).round()
        framed[top:bottom, left:right] = inner
    return framed


def to_frame(keypoints, window: Window, height: int, width: int) -> np.ndarray:
    """Map keypoints (18, 2) of a picture into the frame of its window: the pixels that contain the
    old pixels' centres, as in training. A joint outside the frame becomes missing."""
    keypoints, start = np.asarray(keypoints, np.float32), np.array(window[:2])
    places = np.floor((keypoints + 0.5 - start) * (height / window.height) + 1e-6)
    inside = found(keypoints) & found(places) & (places < (width, height)).all(-1)
    return np.where(inside[:, None], places, -1).astype(np.float32)


def describe_cut(window: Window, picture: tuple[int, int], height: int, width: int, padding="edge"):
    """One line on the effect of `cut` on a picture (height, width)."""
    (rows, columns), scale = picture, height / window.height
    right, bottom = window.left + window.width, window.top + window.height
    x, y = (max(window.left, 0), min(right, columns)), (max(window.top, 0), min(bottom, rows))
    steps = [f"{columns}x{rows}"]
    if x[1] - x[0] < columns - 0.5 or y[1] - y[0] < rows - 0.5:
        steps.append(f"cropped to x {x[0]:.0f}..{x[1]:.0f}, y {y[0]:.0f}..{y[1]:.0f}")
    margins = zip((-window.left, right - columns, -window.top, bottom - rows), SIDES)
    padded = [f"{size:.0f} {side}" for size, side in margins if size * scale >= 0.5]
    if padded:
        kind = "repeated edge pixels" if padding == "edge" else "the colour of its edge"
        steps.append(f"padded with {kind} ({', '.join(padded)})")
    return ", ".join([*steps, f"scaled by {scale:.3g} to {width}x{height}"])
