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
from pg2lib.results.notes import notes

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
    for part in (evidence, sibling) if comparison.how == "halves" else (evidence,):
        where = f" on {part.name}" if comparison.how == "halves" else ""
        seen = {row: part.first_stage_pairs[row] for row in comparison.rows
                if row in part.first_stage_pairs}  # fmt: skip
        if comparison.how not in ("curves", "cost") and len(set(seen.values())) > 1:
            each = ", ".join(f"{row} {pairs:,}" for row, pairs in seen.items())
            return f"the rows' first stages saw different numbers of training pairs{where} ({each})"
        for row in comparison.rows:
            if row == comparison.row and comparison.symptom:
                continue  # the claim is that this training fails
            line = row_health(part, row)
            if line and not line["healthy"]:
                stage = "stage II" if line["fixed_share"] is not None else "the adversarial stage"
                return f"{stage} of {row} did not train{where} ({line['why']})"
    return None


def row_health(evidence, row):
    """The `health.over_trainings` of a row; None unless it is known to be adversarial."""
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
    least = comparison.measure.least  # what is smaller counts as zero
    opposite = high < -least if comparison.direction == MORE else low > least
    words = {
        HOLDS: f"is {claimed}{by}, as claimed",
        FAILS: f"is {other}, against the claim" if opposite else f"is not {claimed}{by}",
        CANNOT: f"may be {claimed}{by} or not",
    }
    return f"{subject} {words[decision]}"


TITLE = "The paper's claims (sections 3 and 4), tested on {dataset}"


def claims_table(results, facts, lines=(), title=TITLE, closing="claims_closing"):
    """The results as JSON values for `render.write`; None for what was not measured. facts: dict
    with "dataset", "profile", "seed" or "seeds", "split" and "command" (`pipeline.facts`), and
    perhaps "drawn", whether this project draws the images; lines: of `health_lines`; title, which
    may name the {dataset}, and closing, the last `notes`: of claims other than PG2's."""
    claims = [
        {"name": result.claim.name, "place": result.claim.place, "claim": result.claim.statement}
        | {key: getattr(result, key) for key in ("verdict", "why", "made_at")}
        | {"comparisons": [_record(finding) for finding in result.findings]}
        for result in results
    ]
    title = title.format(dataset=facts["dataset"])
    table = {"title": title, "facts": facts, "claims": claims, "health": list(lines)}
    closing = notes(closing, untested=UNTESTED)
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
    said = TALLY | {one: one for one in (HOLDS, FAILS) if found.count(one) == 1}
    parts = [f"{found.count(word)} {said[word]}" for word in TALLY if word in found]
    return f"Of {len(found)} claims: {', '.join(parts)}."


def side_by_side(tables):
    """The verdicts of several `claims_table` records in one table, and how far they agree.

    Returns (head, rows, sentence): column names; per claim, of all tables, its statement, place and
    the verdict of each table (a dash if the table lacks it); and the claims counted."""
    head = ["claim", "place"]
    for table in tables:
        count = len(table["facts"].get("seeds") or [table["facts"]["seed"]])
        head.append(f"{table['facts']['dataset']}, {count} training{'s' * (count > 1)}")
    verdicts = [{claim["name"]: claim["verdict"] for claim in table["claims"]} for table in tables]
    every, rows, kinds = {}, [], []
    for claim in (claim for table in tables for claim in table["claims"]):
        every.setdefault(claim["name"], claim)
    for name, claim in every.items():
        found = [own.get(name, "—") for own in verdicts]
        rows.append([claim["claim"], claim["place"], *found])
        kinds.append(frozenset(found) - {"—", MISSING})
    counts = {
        "hold wherever they were measured": kinds.count({HOLDS}),
        "fail wherever they were measured": kinds.count({FAILS}),
        "hold on one data set and fail on another": sum({HOLDS, FAILS} <= kind for kind in kinds),
        MISSING: kinds.count(frozenset()),
    }
    counts["open on at least one data set"] = len(kinds) - sum(counts.values())
    parts = ", ".join(f"{count} {words}" for words, count in counts.items() if count)
    return head, rows, f"Of {len(rows)} claims: {parts}."


def _notes(results, facts, lines):
    compared = [comparison for result in results for comparison in result.claim.comparisons]
    findings = [finding for result in results for finding in result.findings]
    trainings = {len(f.by_seed) for f in findings if f.comparison.how != "halves"}
    studies = groupby(lines, itemgetter("study"))
    listed = [f"{study}: {'; '.join(map(health.health_text, own))}" for study, own in studies]
    return notes(
        "claims",
        facts,
        tally=tally(results),
        drawn=facts.get("drawn"),
        halves=any(comparison.how == "halves" for comparison in compared),
        halves_once=any(f.comparison.how == "halves" and len(f.by_seed) == 1 for f in findings),
        failing=list(dict.fromkeys(c.row for c in compared if c.symptom)),
        once=1 in trainings,
        several=sorted(count for count in trainings if count > 1),
        seen=SEEN,
        unseen=UNSEEN,
        seeds=", ".join(map(str, facts.get("seeds") or [facts["seed"]])),
        split=facts["split"].rstrip("."),
        health=". ".join(listed),
        limits=health.LIMITS,
    )
