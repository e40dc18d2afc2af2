"""What a study measured, and the effects that claims are judged by, each with its interval.

`gather` collects an `Evidence`; a function of `EFFECTS` makes of it, for one comparison of a claim,
an effect and the two ends of its 95 % interval.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pg2lib.core.files import UserError
from pg2lib.evaluation import detail, statistics
from pg2lib.evaluation import difficulty as failures
from pg2lib.evaluation.score_row import pair_masks, read_pairs, read_summary
from pg2lib.evaluation.ssim import ssim
from pg2lib.models import experiments
from pg2lib.results import convergence as curves
from pg2lib.results.claims import WEIGHTS, scores_of

LEVEL, RESAMPLES = 0.95, 2000  # of the intervals
# Of PCKh. It measures poses only where the real images are this far above the condition images.
POSE_RANGE = 0.2


@dataclass(frozen=True)
class Evidence:
    """What one study measured.

    half       the half of Table 1 that its data set stands for
    pairs      row -> DataFrame, a line per test pair: pairs.csv and the columns of `measure`
    summaries  row -> summary.json
    logs       stage -> list of records with "step" and "l1"
    context    DataFrame, a line per test pair: "clutter" and "rare pose", see `context`
    """

    dataset: str
    profile: str
    half: str
    pairs: dict
    summaries: dict
    logs: dict
    context: pd.DataFrame

    @property
    def name(self) -> str:
        return f"{self.dataset}-{self.profile}"


def gather(dataset, folders, logs, profile, half, mask_variant="released", preset="pg2"):
    """The Evidence of a study.

    Args:
        dataset: datasets.Dataset.
        folders: row -> folder of `evaluation.evaluate_row`.
        logs: stage -> records of `training.read_log`.
        profile: its name.
        half: "market1501" or "deepfashion".
        mask_variant: of the pose mask, see `heatmaps.pose_mask`.
        preset: of SSIM, for what blurring gains, see `ssim.PRESETS`.

    Raises:
        UserError: a folder without pairs.csv or summary.json.
    """
    target = dataset.test_pairs[:, 1]
    masks = pair_masks(dataset, dataset.test_pairs, "target", mask_variant)
    pairs = {}
    for row, folder in folders.items():
        generated = np.load(folder / "generated.npy", mmap_mode="r")
        wanted = scores_of(row) | {"detail"}  # cheap, and worth showing of every row
        columns = measure(generated, dataset.images, target, masks, wanted, preset)
        pairs[row] = read_pairs(folder).join(columns)
    summaries = {row: read_summary(folder) for row, folder in folders.items()}
    table = context(dataset, mask_variant)
    return Evidence(dataset.name, profile, half, pairs, summaries, logs, table)


def context(dataset, mask_variant="released"):
    """What is known of every test pair before anything is generated.

    Args:
        dataset: datasets.Dataset.
        mask_variant: of the pose mask, see `heatmaps.pose_mask`.

    Returns:
        DataFrame: "clutter", the gradient energy outside the pose mask, mean of condition and
        target image (`detail.gradient_energy`); "rare pose", bool (`failures.causes`).
    """
    pairs, energies = np.asarray(dataset.test_pairs), []
    for column, source in enumerate(("condition", "target")):
        for start in range(0, len(pairs), 256):
            part = pairs[start : start + 256]
            outside = ~pair_masks(dataset, part, source, mask_variant)
            energies.append(detail.gradient_energy(dataset.images[part[:, column]], outside))
    both = np.concatenate(energies).reshape(2, -1)  # (condition or target, pairs)
    rare = failures.causes(dataset, pairs)["rare pose"]
    return pd.DataFrame({"clutter": both.mean(0), "rare pose": rare})


def measure(generated, images, target, masks, names, preset="pg2", chunk=64):
    """Measures of each generated image that Table 1 does not have. Ours, not in the paper.

    detail, artefacts, target_detail  see `detail.structure`
    colour                            see `detail.local_colour_error`
    body_ssim                         see `detail.body_ssim`
    blur_gain                         SSIM that the image gains by `detail.blurred`

    Args:
        generated: uint8 (k, H, W, 3).
        images: uint8 (n, H, W, 3), of which target (k,) are the real ones.
        masks: bool (k, H, W).
        names: of the measures that are wanted; others are ignored.
        preset: of SSIM, see `ssim.PRESETS`.
        chunk: pairs at a time.

    Returns:
        DataFrame of k rows, a column per measure; NaN where a mask is empty.
    """
    parts = []
    for start in range(0, len(generated), chunk):
        part = slice(start, start + chunk)
        made, real, mask = np.asarray(generated[part]), images[target[part]], masks[part]
        columns = {}
        if {"detail", "artefacts"} & set(names):
            columns |= detail.structure(made, real, mask)
        if "colour" in names:
            columns["colour"] = detail.local_colour_error(made, real, mask)
        if "body_ssim" in names:
            columns["body_ssim"] = detail.body_ssim(made, real, mask)
        if "blur_gain" in names:
            sharp, soft = (ssim(x, real, preset) for x in (made, detail.blurred(made)))
            columns["blur_gain"] = soft - sharp
        parts.append(pd.DataFrame(columns, index=range(start, start + len(made))))
    return pd.concat(parts)


# --- effects -----------------------------------------------------------------------------------


class NotMeasured(Exception):
    """A number that a comparison needs is not there; says which."""


def between_rows(comparison, evidence, sibling=None):
    """Paired difference over people; without `against` the mean of the row itself."""
    change, people, weights = _change(comparison, evidence)
    return statistics.mean(change, weights), *statistics.bootstrap_interval(change, people, weights)


def by_clutter(comparison, evidence, sibling=None):
    """How much larger the difference is in the most cluttered third than in the plainest one."""
    change, people, _ = _change(comparison, evidence)
    clutter = evidence.context["clutter"].to_numpy()
    low, high = np.nanquantile(clutter, [1 / 3, 2 / 3])
    plain, cluttered = clutter <= low, clutter >= high
    return _with_minus_without(change, cluttered, people, plain | cluttered)


def by_rarity(comparison, evidence, sibling=None):
    """The difference between pairs whose target pose is rare in training and the others."""
    change, people, _ = _change(comparison, evidence)
    return _with_minus_without(change, evidence.context["rare pose"].to_numpy(bool), people)


def between_halves(comparison, evidence, sibling=None):
    """Effect on street images minus effect on studio images, two samples of different people.

    The interval is put together from the two (Zou and Donner's MOVER): each bound moves by the
    root of the sum of the squared distances.
    """
    if sibling is None or sibling.half == evidence.half:
        raise NotMeasured("the other data set is not scored")
    street, studio = sorted((evidence, sibling), key=lambda e: e.half != "market1501")
    a, a_low, a_high = between_rows(comparison, street)
    b, b_low, b_high = between_rows(comparison, studio)
    return a - b, a - b - np.hypot(a - a_low, b_high - b), a - b + np.hypot(a_high - a, b - b_low)


def between_splits(comparison, evidence, sibling=None):
    """Difference of two Inception Scores, which are known with a standard deviation over splits."""
    sides = []
    for row in comparison.rows:
        side = evidence.summaries.get(row, {}).get("scores", {}).get(comparison.score)
        if not side:
            raise NotMeasured("no Inception weights")
        sides.append(side)
    half = 1.96 * np.hypot(*(side["std"] / side["splits"] ** 0.5 for side in sides))
    effect = sides[0]["mean"] - sides[1]["mean"]
    return effect, effect - half, effect + half


def between_curves(comparison, evidence, sibling=None, block=5, seed=0):
    """What two training logs say of speed, see `CURVES`; both trainings saw the same batches.

    The interval covers the scatter from batch to batch: residuals of both curves about their
    running means are drawn anew, in blocks of records and for both alike. It does not cover
    another training.
    """
    stages = [experiments.EVERY_ROW[row].stages[-1] for row in comparison.rows]
    logs = [evidence.logs.get(stage) for stage in stages]
    if not all(logs):
        raise NotMeasured("a training log is missing")
    losses = curves.paired(logs)[1]
    statistic, count = CURVES[comparison.score], len(losses)
    trend = curves.running_mean(losses)
    rest, block = losses - trend, min(block, count)
    blocks = -(-count // block)
    starts = np.random.default_rng(seed).integers(0, count - block + 1, (RESAMPLES, blocks))
    orders = (starts[..., None] + np.arange(block)).reshape(RESAMPLES, -1)[:, :count]
    drawn = [statistic(trend + rest[order]) for order in orders]
    return statistic(losses), *np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])


EFFECTS = {
    "rows": between_rows,
    "splits": between_splits,
    "curves": between_curves,
    "clutter": by_clutter,
    "rare": by_rarity,
    "halves": between_halves,
}
CURVES = {"l1_gap": curves.l1_gap, "head_start": curves.head_start}


def _change(comparison, evidence):
    """(score of row - score of against per pair, whose pair it is, weights or None)."""
    if comparison.score == "pckh" and _pose_range(evidence) < POSE_RANGE:
        raise NotMeasured("PCKh hardly tells real images from the condition images here")
    for row in comparison.rows:
        if row not in evidence.pairs:
            raise NotMeasured(f"{row} is not scored")
        if evidence.pairs[row].get(comparison.score, pd.Series(np.nan)).isna().all():
            raise NotMeasured(f"no {comparison.measure.name} among the scores of {row}")
    made = [evidence.pairs[row] for row in comparison.rows]
    first, last = made[0], made[-1]
    if not first[["condition", "target"]].equals(last[["condition", "target"]]):
        both = " and ".join(comparison.rows)
        raise UserError(f"rows {both} were scored on different pairs: score them again.")
    values = [table[comparison.score].to_numpy(float) for table in made]
    weights = WEIGHTS.get(comparison.score)
    change = values[0] - values[1] if comparison.against else values[0]
    return change, first["identity"].to_numpy(), first[weights].to_numpy() if weights else None


def _pose_range(evidence):
    """Mean PCKh of the real images above that of the condition images; infinite if unknown."""
    references = [evidence.pairs.get(row) for row in ("target", "condition")]
    if any(table is None or "pckh" not in table for table in references):
        return np.inf
    ceiling, floor = (statistics.mean(t["pckh"], t[WEIGHTS["pckh"]]) for t in references)
    return ceiling - floor


def _with_minus_without(values, flag, people, chosen=True):
    """(effect, low, high) of a flag (k,) on values (k,), among the chosen pairs."""
    known = ~np.isnan(values) & chosen
    if len(np.unique(flag[known])) < 2:
        raise NotMeasured("too few pairs to split")
    flags = pd.DataFrame({"flag": flag[known]})
    line = failures.effects(values[known], flags, people[known]).iloc[0]
    return line.effect, line.low, line.high
