"""Causes of difficult pairs (failures in paper 4.5) that keypoints alone reveal.

Four measures per pair, each with a threshold above which it is a named cause. No image is read, so
drawn people and Market-1501 are treated alike.
"""

import numpy as np
import pandas as pd

from pg2lib.data.geometry import BODY, pose_distance, rotation, unseen
from pg2lib.data.keypoints import found
from pg2lib.evaluation.statistics import draws, middle

RARE_SHARE = 0.1
# Cause -> (its measure, the threshold or None for the RARE_SHARE, wording of a caption).
CAUSES = {
    "missing joints": ("missing", 3, "{:.0f} of 13 body joints missing in the target"),
    "rare pose": ("distance", None, "{:.2f} torso lengths from any training pose"),
    "large rotation": ("turned", 120, "turned by about {:.0f} degrees"),
    "occlusion": ("unseen", 3, "{:.0f} joints of the target unseen in the condition"),
}
NONE = "none of these"


def causes(dataset, pairs):
    """Measures and causes of pairs of a Dataset, int (k, 2), (condition, target): a DataFrame of k
    rows with the four measures and a bool column per cause in `CAUSES`.

    missing   number of the 13 body joints (without the face) that the target's keypoints lack
    distance  of the target's pose to the most similar training pose, see `geometry.pose_distance`
    turned    degrees between the directions the two people face, see `geometry.rotation`
    unseen    joints of the target that the condition image does not show, see `geometry.unseen`

    The RARE_SHARE of the targets with the largest distance have rare poses. An unknown measure is
    NaN and no cause.
    """
    condition, target = (dataset.keypoints[column] for column in np.asarray(pairs).T)
    training = dataset.keypoints[np.asarray(dataset.train, bool)]
    table = pd.DataFrame(
        {
            "missing": (~found(target[:, BODY])).sum(1),
            "distance": pose_distance(target, training),
            "turned": rotation(condition, target),
            "unseen": unseen(condition, target),
        }
    )
    for cause, (measure, threshold, _) in CAUSES.items():
        if threshold is None:
            threshold = table[measure].quantile(1 - RARE_SHARE)
        table[cause] = table[measure] >= threshold
    return table


def effects(values, flags, identities, seed=0):
    """How much each cause lowers a score. Alone: mean of the pairs with the cause minus mean of
    those without. Held fixed: its coefficient in a linear regression on all causes, which are
    correlated (turning often hides an arm). Intervals: 95 %, percentile bootstrap over people.

    values: float (k,), a score per pair; NaN values are left out. flags: DataFrame of bool, a
    column per cause and a row per pair. identities: (k,). Returns a DataFrame indexed by cause:
    pairs, with, without (means), effect, low, high, fixed, fixed_low, fixed_high. NaN where all
    pairs or none have the cause.
    """
    values, known = np.asarray(values, float), ~np.isnan(values)
    values, flags = values[known], flags[known].astype(float)
    person = np.unique(np.asarray(identities)[known], return_inverse=True)[1]
    count = person.max() + 1
    drawn = np.vstack([np.ones(count, int), draws(count, 2000, seed)])  # first: the sample
    every = _coefficients(values, flags.to_numpy(), person, drawn)  # (1 + resamples, causes)
    lines = {}
    for cause, held in zip(flags, every.T):
        here = flags[cause].to_numpy()
        alone = _coefficients(values, here[:, None], person, drawn)[:, 0]
        line = [here.sum(), *(pd.Series(values[here == flag]).mean() for flag in (1, 0))]
        for samples in (alone, held):
            line += [samples[0], *middle(samples[1:])]
        lines[cause] = line
    columns = ["pairs", "with", "without", "effect", "low", "high",
               "fixed", "fixed_low", "fixed_high"]  # fmt: skip
    return pd.DataFrame.from_dict(lines, "index", columns=columns).astype({"pairs": int})


def _coefficients(values, flags, person, drawn):
    """Least-squares coefficients of the flags (k, p) for every resample of people: (r, p), NaN
    where a flag is constant among the drawn pairs. Each resample adds up sums per person, formed
    once."""
    design = np.column_stack([np.ones(len(values)), flags])  # (k, 1 + p)
    size, people = design.shape[1], drawn.shape[1]
    squares, products = np.zeros((people, size, size)), np.zeros((people, size))
    np.add.at(squares, person, design[:, :, None] * design[:, None])
    np.add.at(products, person, design * values[:, None])
    squares = np.tensordot(drawn, squares, 1)  # (r, 1 + p, 1 + p)
    fitted = np.linalg.pinv(squares, hermitian=True) @ (drawn @ products)[..., None]
    flagged, all_pairs = squares[:, 0, 1:], squares[:, :1, 0]
    varies = (flagged > 0) & (flagged < all_pairs)
    return np.where(varies, fitted[:, 1:, 0], np.nan)


def worst(scores, table, per_cause=None, by="body_ssim", once=False):
    """The pairs with the lowest score under each cause, in the order of `CAUSES`, then `NONE`: a
    DataFrame of cause, rank (from 1), of (pairs with the cause), pair (its position) and score.

    scores: DataFrame with a row per pair and the column `by`; NaN scores are left out. table: what
    `causes` returns for the same pairs. per_cause: how many; None ranks all. once: list no person
    (column "identity") twice.
    """
    value = scores[by].to_numpy()
    order = np.argsort(value, kind="stable")
    order = order[~np.isnan(value[order])]
    groups = table[list(CAUSES)].assign(**{NONE: ~table[list(CAUSES)].any(axis=1)}).to_numpy()
    lines, shown = [], set()
    for cause, flags in zip((*CAUSES, NONE), groups.T):
        ranked, taken = order[flags[order]], 0
        for rank, pair in enumerate(ranked, start=1):
            person = scores["identity"].iloc[pair] if once else pair
            if taken == per_cause or (once and person in shown):
                continue
            shown.add(person)
            taken += 1
            lines.append((cause, rank, len(ranked), pair, value[pair]))
    return pd.DataFrame(lines, columns=["cause", "rank", "of", "pair", "score"])


def reasons(table, pair):
    """The causes of one pair as text, e.g. "turned by about 150 degrees"."""
    row = table.iloc[pair]
    texts = [words.format(row[name]) for cause, (name, _, words) in CAUSES.items() if row[cause]]
    return "; ".join(texts) or "no cause visible in the keypoints"
