"""Scores during a training: its images of the first test pairs at several points (`curve.npy` of a
training folder), scored pair by pair like a row of a table."""

import numpy as np
import pandas as pd

from pg2lib.core.files import UserError, stored
from pg2lib.evaluation import detail
from pg2lib.evaluation.score_row import pair_masks, pair_scorer, pair_table
from pg2lib.evaluation.ssim import parts

FILE = "curve.csv"
MEASURES = ("detail", "artefacts", "colour", "blur_gain")  # of `detail.measures`


def score_curve(images, dataset, steps, batch, scoring, estimator=None, progress=None):
    """The scores of every point and pair of a training, with `detail.measures` of MEASURES.

    Args:
        images: uint8 (points, k, H, W, 3), what the network painted of the first k test pairs.
        steps: (points,), after how many steps of the training.
        batch: training pairs per step.
        scoring, estimator: as of `score_row.evaluate_row`.
        progress: called with (done, of how many, what) after every point, or None.

    Returns:
        DataFrame, point by point a line per pair: step, pairs_seen (step times batch), pair
        (index of the test pair), identity, the scores of pairs and the columns that weight them.

    Raises:
        UserError: the images are not of this data set, or not as many points as steps.
    """
    points, count = np.shape(images)[:2]
    shape = (len(steps), count, dataset.height, dataset.width, 3)
    if np.shape(images) != shape or not 0 < count <= len(dataset.test_pairs):
        raise UserError(
            f"the curve holds images {np.shape(images)}, not {len(steps)} points of the first test "
            f"pairs of {dataset.name} at {dataset.height}x{dataset.width}; train the row again."
        )
    pairs = np.asarray(dataset.test_pairs)[:count]
    masks = pair_masks(dataset, pairs, "target", scoring.mask_variant)
    score = pair_scorer(dataset, scoring, estimator)
    who, frames = pair_table(dataset, pairs)[["pair", "identity"]], []
    for number, (step, painted) in enumerate(zip(steps, images), start=1):
        painted = np.asarray(painted)
        columns = [pd.DataFrame(score(painted[part], part)) for part in parts(count, scoring.batch)]
        given = painted, dataset.images, pairs[:, 1], masks, MEASURES, scoring.preset
        scores = pd.concat(columns, ignore_index=True).join(detail.measures(*given))
        when = {"step": int(step), "pairs_seen": int(step) * batch}
        frames.append(pd.concat([pd.DataFrame(when, who.index), who, scores], axis=1))
        if progress:
            progress(number, points, "score the curve")
    return pd.concat(frames, ignore_index=True)


def read_curve(folder):
    """The curve.csv of a folder as a DataFrame, identities as text. Raises UserError if missing or
    damaged."""
    with stored(folder / FILE) as path:
        return pd.read_csv(path, dtype={"identity": str})
