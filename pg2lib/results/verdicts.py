"""Whether each claim of the paper holds, does not hold, or cannot be decided.

`gather` collects the `Evidence` of a study; a function of `EFFECTS` computes the effect of one
comparison with its 95 % interval; `statistics.verdict`, a pure function of the interval, decides.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pg2lib.core.files import without_nan
from pg2lib.evaluation import detail, difficulty, statistics
from pg2lib.evaluation.score_row import pair_masks, read_pairs, read_summary
from pg2lib.evaluation.scores import weights
from pg2lib.evaluation.statistics import CANNOT, EQUAL, FAILS, HOLDS, MORE, verdict
from pg2lib.results.claims import CLAIMS, UNTESTED, WAYS, Claim, Comparison, scores_of
from pg2lib.results.comparisons import interval_text
from pg2lib.results.tables import check_same_pairs

# PCKh is used only where the real images score this much higher than the condition images.
POSE_RANGE = 0.2


@dataclass(frozen=True)
class Evidence:
    """What one study measured."""

    dataset: str
    profile: str
    half: str  # of Table 1: "market1501" or "deepfashion"
    pairs: dict  # row -> DataFrame, a line per test pair: pairs.csv and `detail.measures`
    summaries: dict  # row -> summary.json
    logs: dict  # stage -> list of records with "step" and "l1"
    context: pd.DataFrame  # a line per test pair, see `pair_context`

    @property
    def name(self) -> str:
        return f"{self.dataset}-{self.profile}"


def gather(dataset, folders, logs, profile, half, mask_variant="released", preset="pg2"):
    """The Evidence of a study. folders: row -> folder of `evaluation.evaluate_row`; preset: of
    SSIM, for "blur_gain"; the rest as in `Evidence`. UserError: a folder without pairs.csv or
    summary.json."""
    target = dataset.test_pairs[:, 1]
    masks = pair_masks(dataset, dataset.test_pairs, "target", mask_variant)
    pairs = {}
    for row, folder in folders.items():
        generated = np.load(folder / "generated.npy", mmap_mode="r")
        names = scores_of(row) | {"detail"}  # which is cheap and shown for every row
        columns = detail.measures(generated, dataset.images, target, masks, names, preset)
        pairs[row] = read_pairs(folder).join(columns)
    summaries = {row: read_summary(folder) for row, folder in folders.items()}
    context = pair_context(dataset, mask_variant)
    return Evidence(dataset.name, profile, half, pairs, summaries, logs, context)


def pair_context(dataset, mask_variant="released"):
    """Properties of each test pair that do not depend on generated images, as a DataFrame:
    "clutter", the gradient energy outside the pose mask, mean of condition and target image
    (`detail.gradient_energy`), and "rare pose", bool (`difficulty.causes`)."""
    pairs, energies = np.asarray(dataset.test_pairs), []
    for column, source in enumerate(("condition", "target")):
        for part in np.split(pairs, range(256, len(pairs), 256)):
            outside = ~pair_masks(dataset, part, source, mask_variant)
            energies.append(detail.gradient_energy(dataset.images[part[:, column]], outside))
    clutter = np.concatenate(energies).reshape(2, -1).mean(0)  # of condition and target
    rare = difficulty.causes(dataset, pairs)["rare pose"]
    return pd.DataFrame({"clutter": clutter, "rare pose": rare})


def paired_curves(logs):
    """(steps, curves) of two training logs: int (records,) and float (records, 2), their L1 at the
    steps that both have. logs: two lists of records with "step" and "l1"."""
    columns = [pd.DataFrame(log).set_index("step")["l1"] for log in logs]
    table = pd.concat(columns, axis=1, join="inner")
    return table.index.to_numpy(), table.to_numpy()


def running_mean(values, window=5):
    """Centred mean down each column, over fewer values at the ends: float (n, k) -> (n, k)."""
    return pd.DataFrame(values).rolling(window, center=True, min_periods=1).mean().to_numpy()


def common_level(curves):
    """(level, index (2,) of the record at which the running mean of each curve reaches it), of
    curves (n, 2). The level is 5 % above the higher end, an end being the mean of the last tenth.
    """
    smooth, tenth = running_mean(curves), max(len(curves) // 10, 1)
    level = 1.05 * curves[-tenth:].mean(0).max()
    reached = smooth <= level
    reached[-1] = True
    return level, reached.argmax(0)


def head_start(curves):
    """How much later than the second the first curve reaches the common level, as a share of the
    training; negative if it is earlier."""
    _, (first, second) = common_level(curves)
    return (first - second) / len(curves)


class NotMeasured(Exception):
    """A number that a comparison needs does not exist; the message names it."""


# Effects: (effect, low, high) of a comparison, of the evidence and perhaps of the other half's.


def between_rows(comparison, evidence, sibling=None):
    """Paired difference over people; without `against` the mean of the row itself."""
    change, people, weight = _change(comparison, evidence)
    interval = statistics.bootstrap_interval(change, people, weight)
    return statistics.mean(change, weight), *interval


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
    """Effect on street images minus effect on studio images, two samples of different people.
    Interval (MOVER, Zou and Donner): each bound moves by the root of the sum of squared distances.
    """
    if sibling is None or sibling.half == evidence.half:
        raise NotMeasured("the other data set is not scored")
    street, studio = sorted((evidence, sibling), key=lambda e: e.half != "market1501")
    a, a_low, a_high = between_rows(comparison, street)
    b, b_low, b_high = between_rows(comparison, studio)
    return a - b, a - b - np.hypot(a - a_low, b_high - b), a - b + np.hypot(a_high - a, b - b_low)


def between_splits(comparison, evidence, sibling=None):
    """Difference of two Inception Scores, each known with a standard deviation over splits."""
    scores = (evidence.summaries.get(row, {}).get("scores", {}) for row in comparison.rows)
    sides = [found.get(comparison.score) for found in scores]
    if not all(sides):
        raise NotMeasured("no Inception weights")
    half = 1.96 * np.hypot(*(side["std"] / side["splits"] ** 0.5 for side in sides))
    effect = sides[0]["mean"] - sides[1]["mean"]
    return effect, effect - half, effect + half


def between_curves(comparison, evidence, sibling=None, block=5, resamples=2000, level=0.95):
    """A statistic of two training logs, see `CURVES`; both trainings saw the same batches. The
    interval covers the scatter from batch to batch, not another training: the residuals of both
    curves about their running means are resampled together, in blocks of records."""
    logs = [evidence.logs.get(row) for row in comparison.rows]
    if not all(logs):
        raise NotMeasured("a training log is missing")
    losses = paired_curves(logs)[1]
    statistic, count, trend = CURVES[comparison.score], len(losses), running_mean(losses)
    block = min(block, count)
    blocks = -(-count // block)
    starts = np.random.default_rng(0).integers(0, count - block + 1, (resamples, blocks))
    orders = (starts[..., None] + np.arange(block)).reshape(resamples, -1)[:, :count]
    drawn = [statistic(trend + (losses - trend)[order]) for order in orders]
    return statistic(losses), *np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])


EFFECTS = {"rows": between_rows, "splits": between_splits, "curves": between_curves,
           "clutter": by_clutter, "rare": by_rarity, "halves": between_halves}  # fmt: skip
CURVES = {"l1_gap": lambda curves: (curves[:, 0] - curves[:, 1]).mean(), "head_start": head_start}


def _change(comparison, evidence):
    """(score of row - score of against per pair, identity of each pair, weights or None)."""
    if comparison.score == "pckh" and _pose_range(evidence) < POSE_RANGE:
        raise NotMeasured("PCKh hardly tells real images from the condition images here")
    for row in comparison.rows:
        if row not in evidence.pairs:
            raise NotMeasured(f"{row} is not scored")
        if evidence.pairs[row].get(comparison.score, pd.Series(np.nan)).isna().all():
            raise NotMeasured(f"no {comparison.measure.heading} among the scores of {row}")
    first, last = (evidence.pairs[comparison.rows[end]] for end in (0, -1))
    check_same_pairs(comparison.rows[0], first, comparison.rows[-1], last)
    change = first[comparison.score].to_numpy(float)
    if comparison.against:
        change = change - last[comparison.score].to_numpy(float)
    return change, first["identity"].to_numpy(), weights(first, comparison.score)


def _pose_range(evidence):
    """Mean PCKh of the real images above that of the condition images; infinite if unknown."""
    references = [evidence.pairs.get(row, {}) for row in ("target", "condition")]
    if not all("pckh" in table for table in references):
        return np.inf
    ceiling, floor = (statistics.mean(t["pckh"], weights(t, "pckh")) for t in references)
    return ceiling - floor


def _by_flag(comparison, evidence, flag, chosen=True):
    """The difference between the chosen pairs with a flag, bool (k,), and those without."""
    change, people, _ = _change(comparison, evidence)
    known = ~np.isnan(change) & chosen
    if len(np.unique(flag[known])) < 2:
        raise NotMeasured("too few pairs to split")
    flags = pd.DataFrame({"flag": flag[known]})
    line = difficulty.effects(change[known], flags, people[known]).iloc[0]
    return line.effect, line.low, line.high


@dataclass(frozen=True)
class Finding:
    """A comparison with its effect, the ends of the 95 % interval, the verdict and the reason."""

    comparison: Comparison
    effect: float
    low: float
    high: float
    verdict: str
    why: str

    @property
    def interval(self) -> str:
        form = f"+.{self.comparison.measure.digits}f"
        known = not math.isnan(self.effect)
        return interval_text(self.effect, self.low, self.high, form) if known else "not measured"


@dataclass(frozen=True)
class Result:
    """A claim with its findings and the overall verdict."""

    claim: Claim
    findings: tuple[Finding, ...]
    verdict: str
    why: str
    made_at: str  # names of the studies


def evaluate_claims(main, ablations=None, sibling=None, claims=CLAIMS):
    """The Results of all claims but those that the paper makes for the other half only, in order.
    ablations: Evidence of the study whose ablations are used (None: `main`); sibling: Evidence of
    the other half's data set, or None. UserError: two rows were scored on different pairs."""
    return [
        evaluate_claim(claim, (ablations or main) if claim.needs_ablation else main, sibling)
        for claim in claims
        if claim.half in (None, main.half)
    ]


def evaluate_claim(claim, evidence, sibling=None):
    """The Result of one claim."""
    findings = tuple(evaluate_comparison(c, evidence, sibling) for c in claim.comparisons)
    both = sibling and any(c.how == "halves" for c in claim.comparisons)
    made_at = evidence.name + (f", {sibling.name}" if both else "")
    overall = combined([finding.verdict for finding in findings])
    why = "; ".join(dict.fromkeys(finding.why for finding in findings))
    return Result(claim, findings, overall, f"{why[:1].upper()}{why[1:]}.", made_at)


def combined(verdicts):
    """The verdict over all comparisons of a claim: one that fails decides, and all must hold."""
    if FAILS in verdicts:
        return FAILS
    return HOLDS if verdicts and set(verdicts) == {HOLDS} else CANNOT


def evaluate_comparison(comparison, evidence, sibling=None):
    """The Finding of one comparison; NaN and CANNOT if a number that it needs does not exist."""
    try:
        effect, low, high = map(float, EFFECTS[comparison.how](comparison, evidence, sibling))
    except NotMeasured as missing:
        return Finding(comparison, *[math.nan] * 3, CANNOT, f"not measured: {missing}")
    seeds = [effect, effect]  # as if a second training had given the same
    decision = verdict(effect, low, high, comparison.direction, comparison.margin, seeds)
    why = _reason(comparison, low, high, decision)
    return Finding(comparison, effect, low, high, decision, why)


def _reason(comparison, low, high, decision):
    """E.g. "SSIM of G1-L1 is higher, as claimed"."""
    place = WAYS[comparison.how][1]
    gain = "the gain in " if comparison.against and place else ""
    subject = f"{gain}{comparison.measure.heading} of {comparison.row}{place}"
    if not np.isfinite([low, high]).all():
        return f"{subject} has no interval: too few people"
    if comparison.direction == EQUAL:
        verb = {HOLDS: "differs by less", FAILS: "differs by more", CANNOT: "may differ by more"}
        return f"{subject} {verb[decision]} than {comparison.margin:g}"
    claimed, other = ("higher", "lower")[:: 1 if comparison.direction == MORE else -1]
    opposite = high < 0 if comparison.direction == MORE else low > 0
    words = {
        HOLDS: f"is {claimed}, as claimed",
        FAILS: f"is {other}, against the claim" if opposite else f"is not {claimed}",
        CANNOT: f"may be {claimed} or not",
    }
    return f"{subject} {words[decision]}"


def claims_table(results, facts):
    """The results as JSON values for `render.write`; None for what was not measured. facts: dict
    with "dataset", "profile", "seed", "split" and "command" (`pipeline.facts`)."""
    claims = [
        {"name": result.claim.name, "place": result.claim.place, "claim": result.claim.statement}
        | {key: getattr(result, key) for key in ("verdict", "why", "made_at")}
        | {"comparisons": [_record(finding) for finding in result.findings]}
        for result in results
    ]
    title = f"The paper's claims (sections 3 and 4), tested on {facts['dataset']}"
    table = {"title": title, "facts": facts, "claims": claims, "notes": _notes(results, facts)}
    return without_nan(table)


def _record(finding):
    comparison = finding.comparison
    record = {"measure": comparison.text, "unit": comparison.measure.unit}
    record |= {key: getattr(comparison, key) for key in ("score", "row", "against", "expected")}
    record |= {key: getattr(finding, key) for key in ("effect", "low", "high", "verdict", "why")}
    return record | {"shown": finding.interval}


def tally(results):
    """E.g. "Of 33 claims 12 hold, 6 do not hold and 15 cannot be decided."."""
    found = [result.verdict for result in results]
    holds, fails, cannot = map(found.count, (HOLDS, FAILS, CANNOT))
    total = len(found)
    return f"Of {total} claims {holds} hold, {fails} do not hold and {cannot} cannot be decided."


def _notes(results, facts):
    return [
        tally(results),
        "Effect: the first row's score minus the second's on the same test pairs, with its 95 % "
        "bootstrap interval over people. A claim holds if the interval of each of its comparisons "
        "lies entirely in the expected range, does not hold if that of one lies entirely outside, "
        "and cannot be decided otherwise. About equal: the interval lies within the margin. "
        "Effects below the last decimal shown count as zero; whether an effect is large enough to "
        "matter is not tested. No correction for the number of comparisons.",
        "The intervals cover the choice of test people, not the training seed: a second training "
        "could turn a small effect around. For training curves they cover the scatter from batch "
        "to batch.",
        f"{facts['dataset']}, profile {facts['profile']}, seed {facts['seed']}. "
        f"Split: {facts['split'].rstrip('.')}.",
        "Measures that the paper does not have: sharpness, mean squared gradient on the person "
        "over that of the real image; right detail, the share of the real image's fine structure "
        "that is reproduced in place, and artefact energy, that of fine structure which the real "
        "image does not have; colour error, of local mean colours on the person; body-SSIM, SSIM "
        "of windows on the person only. Detail a few pixels out of place counts as an artefact.",
        "Not tested: " + " ".join(UNTESTED),
    ]
