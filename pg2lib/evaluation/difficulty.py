"""Why a pair went wrong: causes that can be read off the keypoints alone.

Four measures per pair, each with a threshold that makes it a named cause. Nothing here looks at
an image, so that drawn people and Market-1501 are treated alike.
"""

import numpy as np
import pandas as pd

from pg2lib.data.keypoints import JOINTS, SWAP, TORSO, found

# Neck, arms, hips and legs. The face is left out: from behind nobody has one.
BODY = tuple(range(1, 14))
NOSE, NECK, EARS = 0, 1, (16, 17)
# Between the shoulders over from shoulders to hips, seen from the front: what drawn people and the
# keypoints of Market-1501 have in the median.
SHOULDER_RATIO = 0.8
RARE_SHARE = 0.1
# Cause -> (the measure it comes from, from which value on, how a caption words it).
CAUSES = {
    "missing joints": ("missing", 3, "{:.0f} of 13 body joints missing in the target"),
    "rare pose": ("distance", None, "{:.2f} torso lengths from any training pose"),
    "large rotation": ("turned", 120, "turned by about {:.0f} degrees"),
    "occlusion": ("unseen", 3, "{:.0f} joints of the target unseen in the condition"),
}
NONE = "none of these"


def causes(dataset, pairs):
    """Measures and causes of every pair.

    missing   body joints (13, without the face) that the target's keypoints lack: the pose map
              does not say where that part goes
    distance  of the target's pose to the most similar training pose, see `pose_distance`
    turned    degrees between the directions the two people face, see `rotation`
    unseen    joints of the target that the condition image does not show, see `unseen`

    Args:
        dataset: Dataset; only its keypoints and `train` are read.
        pairs: int (k, 2), (condition, target).

    Returns:
        DataFrame of k rows: the four measures, and for each cause in `CAUSES` a bool column. The
        rare tenth of the targets counts as rare poses; the other thresholds are in `CAUSES`. A
        measure that cannot be had is NaN and names no cause.
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


# --- rare poses --------------------------------------------------------------------------------


def normalised(keypoints):
    """Poses without place and size: centred on the torso, in torso lengths.

    The centre is the mean of those shoulders and hips that were found, the torso length the
    largest distance between two of them: at least as long as the spine, and never near zero as
    the spine of somebody bending towards the camera.

    Args:
        keypoints: (n, 18, 2).

    Returns:
        float64 (n, 18, 2); NaN for missing joints, and for all joints of a pose that has fewer
        than two of the four.
    """
    points = np.where(found(keypoints)[..., None], keypoints, np.nan).astype(float)
    corners = points[:, list(TORSO)]  # (n, 4, 2)
    here = found(keypoints)[:, list(TORSO), None]
    count = here.sum(1)  # (n, 1)
    centre = np.where(here, corners, 0).sum(1) / np.where(count >= 2, count, np.nan)
    apart = np.linalg.norm(corners[:, :, None] - corners[:, None], axis=-1)  # (n, 4, 4)
    length = np.nan_to_num(apart).max((1, 2))
    return (points - centre[:, None]) / np.where(length > 0, length, np.nan)[:, None, None]


def pose_distance(keypoints, training, shared=2 / 3, chunk=1024):
    """Distance of each pose to its nearest training pose, mirrored ones included.

    The root mean square over the joints that both have, after `normalised`. A training pose that
    shares fewer than `shared` of the pose's own joints is no neighbour, or poses of which hardly
    anything was found would be near to everything.

    Args:
        keypoints: (n, 18, 2).
        training: (m, 18, 2); training mirrors images (paper 4.1), and so their poses.
        shared: share of joints that a neighbour must have.
        chunk: poses at a time; a chunk takes chunk * m * 32 bytes.

    Returns:
        float64 (n,) in torso lengths; NaN for a pose without torso or without any neighbour.
    """
    known = normalised(training)
    # A mirrored pose: x changes sign about the torso's centre, left becomes right.
    known = np.concatenate([known, known[:, SWAP] * (-1, 1)])
    known = known[~np.isnan(known).all((1, 2))]
    return np.concatenate(
        [
            _nearest(part, known, shared)
            for part in np.array_split(normalised(keypoints), -(-len(keypoints) // chunk) or 1)
        ]
    )


def _nearest(poses, known, shared):
    """(n, 18, 2) and (m, 18, 2), NaN where missing -> (n,), by three matrix products."""
    (here, a), (there, b) = ((~np.isnan(x[..., 0]) * 1.0, np.nan_to_num(x)) for x in (poses, known))
    both = here @ there.T  # (n, m) joints in common
    square = (a**2).sum(-1) @ there.T + here @ (b**2).sum(-1).T
    square = square - 2 * a.reshape(len(a), -1) @ b.reshape(len(b), -1).T
    allowed = (both > 0) & (both >= shared * here.sum(1, keepdims=True))
    square = np.where(allowed, square.clip(min=0) / both.clip(min=1), np.inf)
    distance = np.sqrt(square.min(1, initial=np.inf))
    return np.where(np.isfinite(distance), distance, np.nan)


# --- rotation ----------------------------------------------------------------------------------


def facing(keypoints):
    """Which way people face, from the order and width of the shoulders and from the face.

    Seen from the front the person's right shoulder is on the left of the image and both are
    `SHOULDER_RATIO` torso lengths apart; they close in with the cosine of the rotation and change
    order behind a quarter turn. To which side is told by the nose beside the neck, or from behind
    by the one ear that shows.

    Args:
        keypoints: (n, 18, 2).

    Returns:
        (yaw, sided): yaw float64 (n,) in degrees: 0 faces the camera, +90 the right of the
        image, 180 away from it; NaN without both shoulders and a hip. sided bool (n,): whether
        the sign of yaw is known; where not, yaw is the positive of the two.
    """
    points = np.where(found(keypoints)[..., None], keypoints, np.nan).astype(float)
    right, left = points[:, TORSO[0]], points[:, TORSO[1]]
    hips, have = points[:, list(TORSO[2:])], found(keypoints)[:, list(TORSO[2:]), None]
    count = have.sum(1)
    hip = np.where(have, hips, 0).sum(1) / np.where(count, count, np.nan)  # (n, 2)
    torso = np.linalg.norm((right + left) / 2 - hip, axis=1)
    cosine = (left - right)[:, 0] / (SHOULDER_RATIO * np.where(torso > 0, torso, np.nan))
    yaw = np.degrees(np.arccos(cosine.clip(-1, 1)))

    side = np.nan_to_num(np.sign(points[:, NOSE, 0] - points[:, NECK, 0]))
    right_ear, left_ear = (found(keypoints)[:, ear] for ear in EARS)
    side = np.where(side == 0, right_ear.astype(int) - left_ear, side)
    return np.where(side < 0, -yaw, yaw) + 0.0, side != 0  # no -0


def rotation(condition, target):
    """Degrees (n,), 0 to 180, between the facing of two poses (n, 18, 2) each.

    Where one side is unknown, the smaller of the two possible angles. NaN where either facing is.
    """
    (a, a_sided), (b, b_sided) = facing(condition), facing(target)
    apart = np.abs((a - b + 180) % 360 - 180)
    return np.where(a_sided & b_sided, apart, np.abs(np.abs(a) - np.abs(b)))


# --- occlusion ---------------------------------------------------------------------------------


def unseen(condition, target):
    """How many body joints of the target the condition image does not show: int (n,).

    A joint counts when the target has it and the condition either lacks it, hidden by the person
    or something else or out of the frame, or has it across its own torso (see `crossing`), where
    arm and torso hide one another, and the target does not.
    """
    has, had = found(target), found(condition)
    hidden = has & (~had | (crossing(condition) & ~crossing(target)))
    return hidden[:, BODY].sum(1)


def crossing(keypoints):
    """Elbows, wrists, knees and ankles that lie on the person's own torso: bool (n, 18).

    The torso is the quadrangle of shoulders and hips, all four needed. Seen from the side it is a
    sliver: there the far arm is hidden, but then mostly not found at all.
    """
    points = np.asarray(keypoints, float)
    corners = points[:, [TORSO[0], TORSO[1], TORSO[3], TORSO[2]]]  # (n, 4, 2), around
    edges = np.roll(corners, -1, 1) - corners
    offset = points[:, :, None] - corners[:, None]  # (n, 18, 4, 2)
    turn = edges[:, None, :, 0] * offset[..., 1] - edges[:, None, :, 1] * offset[..., 0]
    inside = (turn > 0).all(-1) | (turn < 0).all(-1)
    limb = np.isin(np.arange(len(JOINTS)), (3, 4, 6, 7, 9, 10, 12, 13))
    return inside & limb & found(keypoints) & found(corners).all(1, keepdims=True)


# --- what they cost ----------------------------------------------------------------------------


def effects(values, flags, identities, level=0.95, resamples=2000, seed=0):
    """How much each cause lowers a score, alone and with the others held fixed.

    Alone: mean of the pairs with the cause minus mean of those without. Held fixed: the
    coefficient of the cause in a linear regression on all causes at once, since they come
    together: who turned round often hides an arm. Intervals: percentile bootstrap over people.

    Args:
        values: float (k,), a score per pair; NaN values are left out.
        flags: DataFrame of bool, a column per cause and a row per pair.
        identities: (k,).
        level, resamples, seed: of the intervals.

    Returns:
        DataFrame indexed by cause: pairs, with, without (means), effect, low, high,
        fixed, fixed_low, fixed_high. NaN where all pairs or none have the cause.
    """
    values, known = np.asarray(values, float), ~np.isnan(values)
    values, people = values[known], np.asarray(identities)[known]
    flags = flags[known].astype(float)
    person = np.unique(people, return_inverse=True)[1]
    count = person.max() + 1
    random = np.random.default_rng(seed)
    drawn = random.multinomial(count, np.full(count, 1 / count), resamples)
    drawn = np.vstack([np.ones(count, int), drawn])  # the first row is the sample itself
    every = _coefficients(values, flags.to_numpy(), person, drawn)  # (1 + resamples, causes)
    tails = [(1 - level) / 2, (1 + level) / 2]
    lines = {}
    for column, cause in enumerate(flags):
        here = flags[cause].to_numpy()
        alone = _coefficients(values, here[:, None], person, drawn)[:, 0]
        with_, without = (values[here == flag] for flag in (1, 0))
        line = [len(with_)] + [part.mean() if len(part) else np.nan for part in (with_, without)]
        for samples in (alone, every[:, column]):
            bounds = samples[1:][~np.isnan(samples[1:])]
            line += [samples[0], *(np.quantile(bounds, tails) if len(bounds) else [np.nan] * 2)]
        lines[cause] = line
    columns = ["pairs", "with", "without", "effect", "low", "high",
               "fixed", "fixed_low", "fixed_high"]  # fmt: skip
    return pd.DataFrame.from_dict(lines, "index", columns=columns).astype({"pairs": int})


def _coefficients(values, flags, person, drawn):
    """Least-squares coefficients of the flags (k, p) for every resample of people: (r, p).

    Sums per person are formed once; a resample adds them up as often as it drew the person. NaN
    where a flag is constant among the pairs drawn.
    """
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
    """The pairs with the lowest score under each cause, and under none.

    Args:
        scores: DataFrame with a row per pair and the column `by`.
        table: what `causes` returns for the same pairs.
        per_cause: how many; None ranks all.
        by: the score; NaN scores are left out.
        once: show no pair and no person (column "identity") twice.

    Returns:
        DataFrame with columns cause, rank (from 1), of (pairs with the cause), pair (its
        position) and score, by cause in the order of `CAUSES`, then `NONE`.
    """
    value = scores[by].to_numpy()
    order = np.argsort(value, kind="stable")
    order = order[~np.isnan(value[order])]
    groups = {cause: table[cause].to_numpy() for cause in CAUSES}
    groups[NONE] = ~np.any(list(groups.values()), axis=0)
    lines, shown = [], set()
    for cause, flags in groups.items():
        ranked = order[flags[order]]
        taken = 0
        for rank, pair in enumerate(ranked, start=1):
            marks = {("pair", pair), ("person", scores["identity"].iloc[pair])} if once else set()
            if taken == per_cause or marks & shown:
                continue
            shown |= marks
            taken += 1
            lines.append((cause, rank, len(ranked), pair, value[pair]))
    return pd.DataFrame(lines, columns=["cause", "rank", "of", "pair", "score"])


def reasons(table, pair):
    """The causes of one pair in words, e.g. "turned by about 150 degrees"."""
    row = table.iloc[pair]
    said = [words.format(row[name]) for cause, (name, _, words) in CAUSES.items() if row[cause]]
    return "; ".join(said) or "nothing the keypoints tell"
