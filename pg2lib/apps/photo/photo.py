"""Checks of photographs and their poses, and poses of smaller copies."""

import numpy as np

from pg2lib.core.files import UserError
from pg2lib.data.framing import around_picture
from pg2lib.data.keypoints import found

CORNER = 0.5  # a pose within this share of the photo, in its top left corner, is doubted
KNOWN_FRAMES = (176, 256), (256, 256), (64, 128)  # (width, height) that keypoints are published in
KNEES, ANKLES = [9, 12], [10, 13]
SMALLEST = 16  # pixels per side; smaller photos show no person


def check_size(image, where):
    """UserError, beginning with `where`, for a photo (H, W, 3) too small to show a person."""
    height, width = image.shape[:2]
    if min(height, width) < SMALLEST:
        raise UserError(
            f"{where or 'the photo'} is {width}x{height} pixels, too small to show a person; "
            f"choose one of at least {SMALLEST}x{SMALLEST}"
        )


def check_belongs(keypoints, picture: tuple[int, int], where):
    """UserError, beginning with `where`, if keypoints (18, 2) can hardly be of a picture (height,
    width): most lie outside it, or all in its top left corner, as those of a smaller copy do."""
    joints = keypoints[found(keypoints)]
    size, far = f"{picture[1]}x{picture[0]}", joints.max(0)
    outside = int((joints >= picture[::-1]).any(-1).sum())
    if 2 * outside > len(joints):
        raise UserError(
            f"{where}: {outside} of {len(joints)} joints are outside the photo of {size}; give the "
            "pose that belongs to it, or with --pose-frame WxH the size of the picture it was made "
            "on"
        )
    if (far < CORNER * np.array(picture[::-1])).all():
        fits = [f"{w}x{h}" for w, h in KNOWN_FRAMES if (far < (w, h)).all()] or ["WxH"]
        raise UserError(
            f"{where}: the pose ends at x={far[0]:.0f}, y={far[1]:.0f}, in the top left corner of "
            f"the photo of {size}; if it was made on a smaller copy, give the size of that with "
            f"--pose-frame, for example {fits[0]}, if not, --pose-frame {size}"
        )


def from_copy(keypoints, copy: tuple[int, int], picture: tuple[int, int], where):
    """Keypoints (18, 2) of a scaled copy of a picture, both (height, width), in the picture; the
    copy shows all of it, in its middle. UserError, beginning with `where`, for a joint outside the
    copy."""
    here = found(keypoints)
    if (keypoints[here] >= copy[::-1]).any():
        x, y = keypoints[here].max(0)
        raise UserError(
            f"{where} has joints up to x={x:g}, y={y:g}, outside --pose-frame "
            f"{copy[1]}x{copy[0]}; give the size of the picture that it was made on"
        )
    window = around_picture(picture, *copy)
    moved = (keypoints + 0.5) * (window.height / copy[0]) + window[:2] - 0.5
    moved = moved.clip(0, np.array(picture[::-1]) - 1)
    return np.where(here[:, None], moved, -1).astype(np.float32)


def missing_legs(keypoints) -> str:
    """A note on a target pose that ends above the feet, or ""."""
    here = found(keypoints)
    if here[ANKLES].any():
        return ""
    part = "ankles" if here[KNEES].any() else "knees and no ankles"
    return f"the target has no {part}: what it shows is enlarged to fill the frame"
