"""The measurements of a study, and the effects of comparisons with their intervals.

`gather` collects the `Evidence` of a study; a function of `EFFECTS` computes the `Effect` of one
`claims.Comparison`; `verdicts` decides.
"""

from dataclasses import dataclass, field
from itertools import product

import numpy as np
import pandas as pd
from scipy.special import stdtrit  # of Student's t distribution

from pg2lib.core.config import SETTINGS
from pg2lib.evaluation import detail, difficulty, statistics
from pg2lib.evaluation.score_row import REFERENCES, pair_masks, read_pairs, read_summary
from pg2lib.evaluation.scores import weights
from pg2lib.evaluation.ssim import parts
from pg2lib.results.claims import LAMBDA, compare, scores_of
from pg2lib.results.tables import paired

# PCKh is used only where the real images score this much higher than the condition images.
POSE_RANGE = 0.2
WINDOW = 5  # records in the running mean of a learning curve
LAMBDA_SCORES = ("sharpness", "artefacts", "mask_ssim", "stripes")


@dataclass(frozen=True)
class Evidence:
    """The measurements of one study. Every list has an entry per training, in the order of the
    seeds; a reference row, which is not trained, has one entry for all seeds."""

    dataset: str
    profile: str
    half: str  # of Table 1: "market1501" or "deepfashion"
    pairs: dict  # row -> [DataFrame, a line per test pair: pairs.csv and `detail.measures`]
    summaries: dict  # row -> [summary.json]
    logs: dict  # row -> [list of records with "step" and "l1"; adversarial: "d_real", "d_fake"]
    context: pd.DataFrame  # a line per test pair, see `pair_context`
    first_stage_pairs: dict = field(default_factory=dict)  # row -> training pairs, if they differ
    # row -> parameters of the networks that generate, at the paper's size
    parameters: dict = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.dataset}-{self.profile}"

    @property
    def drawn(self) -> bool:
        """Whether this project draws the images."""
        return self.dataset in SETTINGS and SETTINGS[self.dataset].drawn


@dataclass(frozen=True)
class Effect:
    """The mean of the effects of all trainings, its 95 % interval, and the effect of each."""

    value: float
    low: float
    high: float
    by_seed: tuple[float, ...]


class NotMeasured(Exception):
    """A number that a comparison needs does not exist; the message names it."""


def gather(dataset, folders, logs, profile, half, mask_variant="released", first_stage_pairs=None):
    """The Evidence of a study. folders: row -> [folder of `evaluation.evaluate_row` per training];
    the rest as in `Evidence`. UserError: a folder without pairs.csv or summary.json."""
    target = dataset.test_pairs[:, 1]
    masks = pair_masks(dataset, dataset.test_pairs, "target", mask_variant)
    pairs = {row: [] for row in folders}
    for row, trainings in folders.items():
        names = scores_of(row) | {"detail"}  # which is cheap and shown for every row
        for folder in trainings:
            generated = np.load(folder / "generated.npy", mmap_mode="r")
            columns = detail.measures(generated, dataset.images, target, masks, names)
            pairs[row].append(read_pairs(folder).join(columns))
    summaries = {row: [read_summary(folder) for folder in each] for row, each in folders.items()}
    context = pair_context(dataset, mask_variant)
    found = pairs, summaries, logs, context, first_stage_pairs or {}
    return Evidence(dataset.name, profile, half, *found)


def pair_context(dataset, mask_variant="released"):
    """Properties of each test pair that do not depend on generated images, as a DataFrame:
    "clutter", the gradient energy outside the pose mask, mean of condition and target image
    (`detail.gradient_energy`), and "rare pose", bool (`difficulty.causes`)."""
    pairs = np.asarray(dataset.test_pairs)
    clutter = np.zeros(len(pairs))
    for source, column in REFERENCES.items():
        for part in parts(len(pairs), 256):
            outside = ~pair_masks(dataset, pairs[part], source, mask_variant)
            energy = detail.gradient_energy(dataset.images[pairs[part, column]], outside)
            clutter[part] += energy / len(REFERENCES)
    rare = difficulty.causes(dataset, pairs)["rare pose"]
    return pd.DataFrame({"clutter": clutter, "rare pose": rare})


def values(evidence, score, *rows):
    """The scores of rows, pair by pair, for the trainings that all of them have: a list of float
    (seeds, pairs)."""
    return paired(evidence.pairs, score, *rows)[0]


# Effects: of a comparison, of the evidence and perhaps of the other half's.


def between_rows(comparison, evidence, sibling=None):
    """Paired difference; without `against`, the mean of the row itself."""
    change, people, weight = _change(comparison, evidence)
    by_seed = statistics.seed_means(change, weight)
    return _effect(by_seed, *statistics.interval(change, people, weight))


def by_clutter(comparison, evidence, sibling=None):
    """How much larger the difference is in the most cluttered third than in the plainest one."""
    clutter = evidence.context["clutter"].to_numpy()
    low, high = np.nanquantile(clutter, [1 / 3, 2 / 3])
    plain, cluttered = clutter <= low, clutter >= high
    return _by_flag(comparison, evidence, cluttered, plain | cluttered)


def by_rarity(comparison, evidence, sibling=None):
    """The difference between pairs whose target pose is rare in training and the others."""
    return _by_flag(comparison, evidence, evidence.context["rare pose"].to_numpy(bool))


def between_halves(comparison, evidence, sibling=None):
    """Effect on street images minus effect on studio images, two samples of different people and
    different trainings. The squared distances of the interval's ends add up (MOVER, Zou and Donner
    2008). Every training on street images is compared with every one on studio images; if either
    kind was trained once, so is the difference seen once."""
    if sibling is None or sibling.half == evidence.half:
        raise NotMeasured("the other data set is not scored")
    street, studio = (
        between_rows(comparison, e)
        for e in sorted((evidence, sibling), key=lambda e: e.half != "market1501")
    )
    value = street.value - studio.value
    low = value - np.hypot(street.value - street.low, studio.high - studio.value)
    high = value + np.hypot(street.high - street.value, studio.value - studio.low)
    by_seed = [a - b for a, b in product(street.by_seed, studio.by_seed)]
    once = 1 in (len(street.by_seed), len(studio.by_seed))
    return Effect(value, low, high, (value,) if once else tuple(by_seed))


def between_splits(comparison, evidence, sibling=None):
    """Difference of two Inception Scores. Each has an interval over people (`score_interval`), or
    only a standard deviation over splits, whose t has splits - 1 degrees of freedom. The squared
    distances to the ends add up, over the two rows as if they were independent, which is too wide
    for rows on the same pairs, and with the spread between trainings."""
    trainings = [evidence.summaries.get(row, []) for row in comparison.rows]
    trainings = [[s.get("scores", {}).get(comparison.score) for s in each] for each in trainings]
    sides = list(zip(*trainings))  # of the trainings that both rows have
    if not sides or not all(map(all, sides)):
        raise NotMeasured("no Inception weights")
    by_seed = [a["mean"] - b["mean"] for a, b in sides]
    reach = np.array([[_reach(a), _reach(b)[::-1]] for a, b in sides])  # (seeds, 2, 2)
    down, up = np.hypot(reach[:, 0], reach[:, 1]).mean(0)
    spread = np.ptp(statistics.seeds_interval(by_seed)) / 2 if len(by_seed) > 1 else 0.0
    value = np.mean(by_seed)
    return _effect(by_seed, value - np.hypot(down, spread), value + np.hypot(up, spread))


def _reach(score):
    """Distances from an Inception Score to the ends of its interval, down and up."""
    if score.get("low") is not None:
        return score["mean"] - score["low"], score["high"] - score["mean"]
    half = stdtrit(score["splits"] - 1, 0.975) * score["std"] / (score["splits"] - 1) ** 0.5
    return half, half


def between_curves(comparison, evidence, sibling=None):
    """A statistic of two training logs, see `CURVES`; both trainings of a seed saw the same
    batches. Several seeds: Student's interval of their statistics. One: the scatter from batch to
    batch, see `_resampled`, which is not that of another training."""
    logs = [evidence.logs.get(row, []) for row in comparison.rows]
    curves = [paired_curves(both)[1] for both in zip(*logs) if all(both)]
    if not curves:
        raise NotMeasured("a training log is missing")
    by_seed = [CURVES[comparison.score](losses) for losses in curves]
    if len(curves) > 1:
        return _effect(by_seed, *statistics.seeds_interval(by_seed))
    return _effect(by_seed, *_resampled(comparison.score, curves[0]))


def between_sizes(comparison, evidence, sibling=None):
    """Difference of two rows' parameters in millions, which is known exactly."""
    counts = [evidence.parameters.get(row) for row in comparison.rows]
    if None in counts:
        raise NotMeasured("parameters are not counted")
    value = (counts[0] - counts[1]) / 1e6
    return Effect(value, value, value, ())


def _resampled(score, losses, resamples=2000):
    """Interval of a statistic of two curves (records, 2): the residuals of both about their running
    means are resampled together, in blocks of WINDOW records."""
    statistic = _lead if score == "head_start" else CURVES[score]
    count, trend = len(losses), running_mean(losses)
    block = min(WINDOW, count)
    blocks = -(-count // block)
    starts = np.random.default_rng(0).integers(0, count - block + 1, (resamples, blocks))
    orders = (starts[..., None] + np.arange(block)).reshape(resamples, -1)[:, :count]
    drawn = [statistic(trend + (losses - trend)[order]) for order in orders]
    return statistics.middle(np.array(drawn))


EFFECTS = {"rows": between_rows, "splits": between_splits, "curves": between_curves,
           "clutter": by_clutter, "rare": by_rarity, "halves": between_halves,
           "cost": between_rows, "size": between_sizes}  # fmt: skip


def _effect(by_seed, low, high):
    return Effect(float(np.mean(by_seed)), float(low), float(high), tuple(map(float, by_seed)))


def _change(comparison, evidence):
    """(score of row - score of against, (seeds, pairs); identity of each pair; weights or None)."""
    if comparison.score == "pckh" and _pose_range(evidence) < POSE_RANGE:
        raise NotMeasured("PCKh hardly tells real images from the condition images here")
    for row in comparison.rows:
        if not evidence.pairs.get(row):
            raise NotMeasured(f"{row} is not scored")
        for table in evidence.pairs[row]:
            if table.get(comparison.score, pd.Series(np.nan)).isna().all():
                raise NotMeasured(f"no {comparison.measure.heading} among the scores of {row}")
    (change, *other), *about = paired(evidence.pairs, comparison.score, *comparison.rows)
    return change - other[0] if other else change, *about


def _pose_range(evidence):
    """Mean PCKh of the real images above that of the condition images; infinite if unknown."""
    references = [evidence.pairs.get(row, [{}])[0] for row in ("target", "condition")]
    if not all("pckh" in table for table in references):
        return np.inf
    ceiling, floor = (statistics.mean(t["pckh"], weights(t, "pckh")) for t in references)
    return ceiling - floor


def _by_flag(comparison, evidence, flag, chosen=True):
    """The difference between the chosen pairs with a flag, bool (k,), and those without.

    Each pair's deviation from the mean of its group is weighted with the inverse of the group's
    share; the mean of these values plus the effect is the effect, and people enter its interval
    with their influence on the difference of the two means.
    """
    change, people, _ = _change(comparison, evidence)
    known = ~np.isnan(change).any(0) & chosen
    change, people, flag = change[:, known], people[known], flag[known]
    if len(np.unique(flag)) < 2:
        raise NotMeasured("too few pairs to split")
    inside, outside = (change[:, flag == side].mean(1, keepdims=True) for side in (True, False))
    share, by_seed = flag.mean(), inside - outside  # (seeds, 1)
    moved = np.where(flag, (change - inside) / share, (outside - change) / (1 - share))
    return _effect(by_seed[:, 0], *statistics.interval(moved + by_seed, people))


# Learning curves


def paired_curves(logs):
    """(steps, curves) of two training logs: int (records,) and float (records, 2), their L1 at the
    steps that both have. logs: two lists of records with "step" and "l1"."""
    columns = [pd.DataFrame(log).set_index("step")["l1"] for log in logs]
    table = pd.concat(columns, axis=1, join="inner")
    return table.index.to_numpy(), table.to_numpy()


def running_mean(curves, window=WINDOW):
    """Centred mean down each column, over fewer records at the ends: float (n, k) -> (n, k)."""
    return pd.DataFrame(curves).rolling(window, center=True, min_periods=1).mean().to_numpy()


def common_level(curves):
    """(level, index (2,) of the record at which the running mean of each curve reaches it), of
    curves (n, 2).

    The level is 5 % above the end of the better curve, an end being the mean of the last tenth: the
    loss that the training can reach, give or take the scatter of batches. The end of the worse
    curve would be a level that both reach for sure, but one that a curve with a good start is below
    before it is trained. A curve that never reaches the level counts as there at the last record.
    """
    smooth, tenth = running_mean(curves), max(len(curves) // 10, 1)
    level = 1.05 * curves[-tenth:].mean(0).min()
    reached = smooth <= level
    reached[-1] = True
    return level, reached.argmax(0)


def head_start(curves):
    """How much later than the second the first curve reaches the common level, as a share of the
    training; negative if it is earlier.

    NotMeasured: both are there within the first WINDOW records, whose running mean has no order in
    time. Such a start is zero whatever the speed, and its interval has no width.
    """
    if common_level(curves)[1].max() < WINDOW:
        raise NotMeasured("both curves are below the common level from the first record")
    return _lead(curves)


def _lead(curves):
    _, (first, second) = common_level(curves)
    return (first - second) / len(curves)


CURVES = {"l1_gap": lambda curves: (curves[:, 0] - curves[:, 1]).mean(), "head_start": head_start}


# The weight of L1


def lambda_study(evidence):
    """What lambda does to stage II: a DataFrame with a line per factor of `claims.LAMBDA` and score
    of LAMBDA_SCORES, "factor", "row", "score", "mean", "low", "high" (as in `between_rows`, of the
    row itself) and "by_seed" (a list). Rows that are not in the evidence are left out."""
    lines = []
    for factor, row in LAMBDA.items():
        own = compare(" ".join(LAMBDA_SCORES), row, None, statistics.MORE)
        for comparison in own if evidence.pairs.get(row) else ():
            effect = between_rows(comparison, evidence)
            found = effect.value, effect.low, effect.high, list(effect.by_seed)
            lines.append((factor, row, comparison.score, *found))
    columns = ["factor", "row", "score", "mean", "low", "high", "by_seed"]
    return pd.DataFrame(lines, columns=columns)
