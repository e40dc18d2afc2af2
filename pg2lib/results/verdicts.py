"""Whether each claim of the paper holds, does not hold, or cannot be decided.

`effects` measures the comparisons of `claims`; `statistics.verdict`, a pure function of the
interval and of the effect in each training, decides. Two kinds of comparison decide nothing
whatever their effect is: those with an adversarial row whose training failed (`health`), and those
of street and studio images that this project draws itself.
"""

import math
from dataclasses import dataclass
from itertools import groupby, zip_longest
from operator import itemgetter

import numpy as np

from pg2lib.core.files import without_nan
from pg2lib.evaluation import health, statistics
from pg2lib.evaluation.statistics import CANNOT, EQUAL, FAILS, HOLDS, MISSING, MORE, SEEN, UNSEEN
from pg2lib.results.claims import CLAIMS, UNTESTED, WAYS, Claim, Comparison
from pg2lib.results.comparisons import interval_text
from pg2lib.results.effects import EFFECTS, NotMeasured

# The verdict over several comparisons is the first of these words that one of them has.
ORDER = (FAILS, UNSEEN, MISSING, CANNOT, SEEN, HOLDS)


@dataclass(frozen=True)
class Finding:
    """A comparison with its effect, the ends of the 95 % interval, the verdict and the reason."""

    comparison: Comparison
    effect: float
    low: float
    high: float
    verdict: str
    why: str
    by_seed: tuple[float, ...] = ()  # the effect in each training

    @property
    def interval(self) -> str:
        form = f"+.{self.comparison.measure.digits}f"
        if math.isnan(self.effect):
            return MISSING
        counted = self.comparison.how == "size"  # exact, so it has no interval
        return interval_text(self.effect, None if counted else self.low, self.high, form)


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
    main: `effects.Evidence`; ablations: that of the study whose ablations are used (None: `main`);
    sibling: that of the other half's data set, or None. UserError: two rows were scored on
    different pairs."""
    return [
        evaluate_claim(claim, (ablations or main) if claim.needs_ablation else main, sibling)
        for claim in claims
        if claim.half in (None, main.half)
    ]


def evaluate_claim(claim, evidence, sibling=None):
    """The Result of one claim, from the comparisons that concern the half of Table 1."""
    asked = [c for c in claim.comparisons if c.half in (None, evidence.half)]
    findings = tuple(evaluate_comparison(c, evidence, sibling) for c in asked)
    both = sibling and any(c.how == "halves" for c in asked)
    made_at = evidence.name + (f", {sibling.name}" if both else "")
    overall = combined([finding.verdict for finding in findings])
    why = "; ".join(dict.fromkeys(finding.why for finding in findings))
    return Result(claim, findings, overall, f"{why[:1].upper()}{why[1:]}.", made_at)


def combined(verdicts):
    """The verdict over all comparisons of a claim: one that fails decides, and all must hold. What
    is missing leaves the rest open, since the claim is about all of them."""
    return next((word for word in ORDER if word in verdicts), CANNOT)


def evaluate_comparison(comparison, evidence, sibling=None):
    """The Finding of one comparison; NaN and MISSING if a number that it needs does not exist."""
    try:
        effect = EFFECTS[comparison.how](comparison, evidence, sibling)
    except NotMeasured as missing:
        return Finding(comparison, *[math.nan] * 3, MISSING, f"{MISSING}: {missing}")
    found = effect.value, effect.low, effect.high
    expected = comparison.direction, comparison.margin
    if comparison.how == "size":  # counted: no training or choice of people can change it
        decision = statistics.position(*found[1:], *expected)
        return Finding(comparison, *found, decision, _reason(comparison, effect, decision))
    decision = statistics.verdict(*found, *expected, effect.by_seed)
    why = _obstacle(comparison, evidence, sibling)
    if why:
        decision, why = CANNOT, f"{CANNOT}: {why}"
    else:
        # where the interval alone decides, CANNOT means that the trainings disagree
        divided = decision == CANNOT != statistics.verdict(*found, *expected)
        why = _reason(comparison, effect, decision, divided)
    return Finding(comparison, *found, decision, why, effect.by_seed)


def _obstacle(comparison, evidence, sibling):
    """Why a comparison says nothing of the claim, whatever its effect, or None."""
    if comparison.how == "halves" and evidence.drawn:
        return "drawn data measure the painter, who chose both backgrounds"
    seen = {row: evidence.first_stage_pairs[row] for row in comparison.rows
            if row in evidence.first_stage_pairs}  # fmt: skip
    if comparison.how not in ("curves", "cost") and len(set(seen.values())) > 1:
        each = ", ".join(f"{row} {pairs:,}" for row, pairs in seen.items())
        return f"the rows' first stages saw different numbers of training pairs ({each})"
    for row in comparison.rows:
        if row == comparison.row and comparison.symptom:
            continue  # that this training fails is the claim
        for part in (evidence, sibling if comparison.how == "halves" else None):
            line = part and row_health(part, row)
            if line and not line["healthy"]:
                stage = "stage II" if line["fixed_share"] is not None else "the adversarial stage"
                return f"{stage} of {row} did not train ({line['why']})"
    return None


def row_health(evidence, row):
    """The `health.over_trainings` of a row; None where nothing says that it is adversarial."""
    known = evidence.summaries.get(row, []), evidence.logs.get(row, [])
    lines = [health.health_line(row, *each) for each in zip_longest(*known, fillvalue={})]
    lines = [line for line in lines if line]
    return health.over_trainings(lines) if lines else None


def health_lines(*evidences):
    """The `row_health` of every adversarial row of some Evidence, each study once, with "study"."""
    return [
        {"study": name} | line
        for name, evidence in {e.name: e for e in evidences if e}.items()
        for row in {**evidence.pairs, **evidence.logs}
        if (line := row_health(evidence, row))
    ]


def _reason(comparison, effect, decision, divided=False):
    """E.g. "SSIM of G1-L1 is higher, as claimed"."""
    place = WAYS[comparison.how][1]
    gain = "the gain in " if comparison.against and place else ""
    subject = f"{gain}{comparison.measure.heading} of {comparison.row}{place}"
    low, high, margin = effect.low, effect.high, comparison.margin
    decision = {SEEN: HOLDS, UNSEEN: FAILS}.get(decision, decision)
    if divided:
        return f"the {len(effect.by_seed)} trainings disagree on {subject}"
    if not np.isfinite([low, high]).all():
        few = "trainings" if comparison.how == "curves" else "people"
        return f"{subject} has no interval: too few {few}"
    if comparison.direction == EQUAL:
        verb = {HOLDS: "differs by less", FAILS: "differs by more", CANNOT: "may differ by more"}
        return f"{subject} {verb[decision]} than {margin:g}"
    claimed, other = ("higher", "lower")[:: 1 if comparison.direction == MORE else -1]
    by = f" by {margin:g}" if margin > comparison.measure.least else ""
    opposite = high < 0 if comparison.direction == MORE else low > 0
    words = {
        HOLDS: f"is {claimed}{by}, as claimed",
        FAILS: f"is {other}, against the claim" if opposite else f"is not {claimed}{by}",
        CANNOT: f"may be {claimed}{by} or not",
    }
    return f"{subject} {words[decision]}"


TITLE = "The paper's claims (sections 3 and 4), tested on {dataset}"
CLOSING = (
    "Measures that the paper does not have: sharpness, mean squared gradient on the person "
    "over that of the real image; right detail, the share of the real image's fine structure "
    "that is reproduced in place, and artefact energy, that of fine structure which the real "
    "image does not have, on the person or on the background; colour error, of local mean "
    "colours on the person; body-SSIM, SSIM of windows on the person only. Detail a few pixels "
    "out of place counts as an artefact.",
    "Not tested: " + " ".join(UNTESTED),
)


def claims_table(results, facts, lines=(), title=TITLE, closing=CLOSING):
    """The results as JSON values for `render.write`; None for what was not measured. facts: dict
    with "dataset", "profile", "seed" or "seeds", "split" and "command" (`pipeline.facts`), and
    perhaps "drawn", whether this project draws the images; lines: of `health_lines`; title, which
    may name the {dataset}, and closing, the last notes: of claims other than PG2's."""
    claims = [
        {"name": result.claim.name, "place": result.claim.place, "claim": result.claim.statement}
        | {key: getattr(result, key) for key in ("verdict", "why", "made_at")}
        | {"comparisons": [_record(finding) for finding in result.findings]}
        for result in results
    ]
    title = title.format(dataset=facts["dataset"])
    table = {"title": title, "facts": facts, "claims": claims, "health": list(lines)}
    return without_nan(table | {"notes": [*_notes(results, facts, lines), *closing]})


def _record(finding):
    comparison = finding.comparison
    record = {"measure": comparison.text, "unit": comparison.measure.unit}
    record |= {key: getattr(comparison, key) for key in ("score", "row", "against", "expected")}
    record |= {key: getattr(finding, key) for key in ("effect", "low", "high", "verdict", "why")}
    return record | {"by_seed": list(finding.by_seed), "shown": finding.interval}


# Verdict -> the same of a number of claims, in the order of `tally`.
TALLY = {HOLDS: "hold", FAILS: "do not hold", SEEN: SEEN, UNSEEN: UNSEEN, CANNOT: "undecided",
         MISSING: MISSING}  # fmt: skip


def tally(results):
    """E.g. "Of 33 claims: 12 hold, 6 do not hold, 10 undecided, 5 not measured."."""
    found = [result.verdict for result in results]
    parts = [f"{found.count(word)} {said}" for word, said in TALLY.items() if word in found]
    return f"Of {len(found)} claims: {', '.join(parts)}."


def _notes(results, facts, lines):
    drawn = [
        "The people are drawn by this project: a verdict is about networks that learn drawings."
    ]
    if any(c.how == "halves" for result in results for c in result.claim.comparisons):
        drawn[0] += (
            " Claims that compare street with studio images stay open, because the project "
            "painted both."
        )
    seeds = ", ".join(map(str, facts.get("seeds") or [facts["seed"]]))
    return [
        tally(results),
        *(drawn if facts.get("drawn") else []),
        "Effect: the first row's score minus the second's on the same test pairs, with its 95 % "
        "interval. A claim holds if the interval of each of its comparisons lies entirely in the "
        "expected range, does not hold if that of one lies entirely outside, and cannot be decided "
        "otherwise. About equal: the interval lies within the margin. Effects below the last "
        "decimal shown count as zero; whether an effect is large enough to matter is not tested. "
        "No correction for the number of comparisons.",
        *_training_notes(results),
        f"{facts['dataset']}, profile {facts['profile']}, seed{'s' * (',' in seeds)} {seeds}. "
        f"Split: {facts['split'].rstrip('.')}.",
        *_health_notes(lines),
    ]


def _training_notes(results):
    """What the intervals cover, by the number of trainings behind them."""
    counts = sorted({len(f.by_seed) for result in results for f in result.findings if f.by_seed})
    notes = []
    if 1 in counts:
        notes.append(
            f'For this one training of each row, no verdict is stronger than "{SEEN}" or '
            f'"{UNSEEN}": the interval covers the choice of test people alone (bootstrap; training '
            "curves: the scatter from batch to batch), and another training can turn an effect "
            "around."
        )
    if several := [count for count in counts if count > 1]:
        count = f"{several[0]}" + (f" to {several[-1]}" if several[1:] else "")
        notes.append(
            f"Each row was trained {count} times. The interval covers the choice of test people "
            "and the training (crossed random effects, Student's t; training curves: the trainings "
            "alone), and a verdict needs every training on the same side."
        )
    return notes


def _health_notes(lines):
    if not lines:
        return []
    limits, by_study = health.LIMITS, groupby(lines, itemgetter("study"))
    listed = ". ".join(
        f"{study}: {'; '.join(map(health.health_text, own))}" for study, own in by_study
    )
    return [
        "Health of the adversarial trainings (the share of stage II's difference maps that is one "
        "picture for all pairs; D's mean answer to real / generated images at the end; period-2 "
        f"energy over the real images'): {listed}. Beyond {100 * limits.fixed_share:.0f} %, "
        f"{limits.gap:g} between D's answers, or {limits.stripes:g}, a claim about the row cannot "
        "be decided."
    ]
