"""Keypoints as a pose detector would report them."""
import numpy as np

from . import body

_TRUNK = [body.NECK, body.R_SHOULDER, body.L_SHOULDER, body.R_HIP, body.L_HIP]
_FACE = [body.NOSE, body.R_EYE, body.L_EYE, body.R_EAR, body.L_EAR]


def visible_joints(pixels, depths, surface, reach):
    """Bool (18,): inside the frame and not behind another volume. `pixels` (18, 2) and `depths`
    (18,) of the true joints, `surface` (H, W) the nearest depth (inf = background), `reach` (18,)
    how deep each joint may be below its own surface."""
    height, width = surface.shape
    inside = ((pixels >= -.5) & (pixels < (width - .5, height - .5))).all(1)
    x, y = np.clip(np.rint(pixels), 0, (width - 1, height - 1)).astype(int).T
    return inside & (depths - surface[y, x] <= reach)


def detect(rng, pixels, visible, height, width):
    """Detected keypoints (18, 2) float32 whole pixels, (-1, -1) missing.

    Visible joints are off by about 1 px at 128 rows and rarely missed.  Hidden limbs are mostly
    missed, else guessed roughly, hidden shoulders and hips mostly guessed from the trunk (in
    Market-1501 all four are found in 93 % of the images), hidden points of the face never found.
    """
    luck = rng.random(18)
    odds = np.where(visible, .972, .33)
    odds[_TRUNK] = np.where(visible[_TRUNK], .994, .945)
    odds[_FACE] *= visible[_FACE]
    spread = np.where(visible, 1.0, 2.5)[:, None] * height / 128
    at = np.rint(pixels + rng.normal(0, 1, (18, 2)) * spread)
    found = (luck < odds) & ((at >= 0) & (at < (width, height))).all(1)
    return np.where(found[:, None], at, -1).astype(np.float32)
