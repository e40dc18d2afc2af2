"""Whether each claim of the paper holds, does not hold, or cannot be told, and the table of that.

A verdict is a pure function of an interval, `verdict`, so that nobody has to trust an adjective.
"""

from dataclasses import dataclass

import numpy as np

from pg2lib.core.files import without_nan
from pg2lib.evaluation.statistics import CANNOT, FAILS, HOLDS, verdict
from pg2lib.results import render
from pg2lib.results.claim_evidence import EFFECTS, NotMeasured
from pg2lib.results.claims import CLAIMS, EQUAL, MORE, UNTESTED, WAYS, Claim, Comparison


def combined(verdicts):
    """Of all comparisons of a claim: one that fails decides, and all must hold."""
    if FAILS in verdicts:
        return FAILS
    return HOLDS if verdicts and set(verdicts) == {HOLDS} else CANNOT


@dataclass(frozen=True)
class Finding:
    """A comparison with its effect, the 95 % interval, the verdict and a phrase that says why."""

    comparison: Comparison
    effect: float
    low: float
    high: float
    verdict: str
    why: str

    @property
    def interval(self) -> str:
        if np.isnan(self.effect):
            return "not measured"
        digits = f"+.{self.comparison.measure.decimals}f"
        return f"{self.effect:{digits}} [{self.low:{digits}}, {self.high:{digits}}]"


@dataclass(frozen=True)
class Result:
    """A claim with its findings, the verdict over all of them, why, and where it was measured."""

    claim: Claim
    findings: tuple[Finding, ...]
    verdict: str
    why: str
    made_at: str


def judge(main, ablations=None, sibling=None, claims=CLAIMS):
    """Every claim against what was measured.

    Args:
        main: claim_evidence.Evidence of the study.
        ablations: Evidence of the study whose ablations are used; None: of the same one.
        sibling: Evidence of the other half's data set, or None.
        claims: see `claims.CLAIMS`.

    Returns:
        list of Result, in the order of the claims, without those that the paper makes for the
        other half only.

    Raises:
        UserError: two rows were scored on different pairs.
    """
    return [
        judge_one(claim, (ablations or main) if claim.needs_ablation else main, sibling)
        for claim in claims
        if claim.half in (None, main.half)
    ]


def judge_one(claim, evidence, sibling=None):
    """The Result of one claim."""
    findings = tuple(find(c, evidence, sibling) for c in claim.comparisons)
    both = sibling and any(c.how == "halves" for c in claim.comparisons)
    made_at = evidence.name + (f", {sibling.name}" if both else "")
    said = combined([finding.verdict for finding in findings])
    # "not measured: ..." once for all that lack the same
    why = "; ".join(dict.fromkeys(finding.why for finding in findings))
    return Result(claim, findings, said, f"{why[:1].upper()}{why[1:]}.", made_at)


def find(comparison, evidence, sibling=None):
    """The Finding of one comparison; a number that is not there makes it NaN and CANNOT."""
    try:
        effect, low, high = map(float, EFFECTS[comparison.how](comparison, evidence, sibling))
    except NotMeasured as missing:
        nan = float("nan")
        return Finding(comparison, nan, nan, nan, CANNOT, f"not measured: {missing}")
    said = verdict(effect, low, high, comparison.direction, comparison.margin)
    why = _phrase(comparison, effect, low, high, said)
    return Finding(comparison, effect, low, high, said, why)


def _phrase(comparison, effect, low, high, said):
    """E.g. "SSIM of G1-L1 is higher, as claimed"."""
    place = WAYS[comparison.how][1]
    gain = "the gain in " if comparison.against and place else ""
    what = f"{gain}{comparison.measure.name} of {comparison.row}{place}"
    if not np.isfinite([low, high]).all():
        return f"{what} has no interval, for want of people"
    if comparison.direction == EQUAL:
        verb = {HOLDS: "differs by less", FAILS: "differs by more", CANNOT: "may differ by more"}
        return f"{what} {verb[said]} than {comparison.margin:g}"
    claimed, other = ("higher", "lower")[:: 1 if comparison.direction == MORE else -1]
    opposite = high < 0 if comparison.direction == MORE else low > 0
    words = {
        HOLDS: f"is {claimed}, as claimed",
        FAILS: f"is {other}, against the claim" if opposite else f"is not {claimed}",
        CANNOT: f"may be {claimed} or not",
    }
    return f"{what} {words[said]}"


# --- the table ---------------------------------------------------------------------------------


def claims_table(results, facts):
    """The results as a dict of JSON values, from which the files are rendered.

    Args:
        results: list of Result.
        facts: dict with "dataset", "profile", "seed", "split" and "command", as of
            `pipeline.facts`.

    Returns:
        {"title", "facts", "claims": [{"name", "place", "claim", "verdict", "why", "made_at",
        "comparisons": [{...}]}], "notes": [sentence]}; null for what was not measured.
    """
    claims = [
        {
            "name": result.claim.name,
            "place": result.claim.place,
            "claim": result.claim.says,
            "verdict": result.verdict,
            "why": result.why,
            "made_at": result.made_at,
            "comparisons": [
                {
                    "measure": finding.comparison.text,
                    "score": finding.comparison.score,
                    "row": finding.comparison.row,
                    "against": finding.comparison.against,
                    "unit": finding.comparison.measure.unit,
                    "expected": finding.comparison.expected,
                    "effect": finding.effect,
                    "low": finding.low,
                    "high": finding.high,
                    "shown": finding.interval,
                    "verdict": finding.verdict,
                    "why": finding.why,
                }
                for finding in result.findings
            ],
        }
        for result in results
    ]
    title = f"The paper's claims (sections 3 and 4), tested on {facts['dataset']}"
    table = {"title": title, "facts": facts, "claims": claims, "notes": _notes(results, facts)}
    return without_nan(table)


def tally(results):
    """E.g. "Of 33 claims 12 hold, 6 do not hold and 15 cannot be told."."""
    verdicts = [result.verdict for result in results]
    holds, fails, cannot = map(verdicts.count, (HOLDS, FAILS, CANNOT))
    return (
        f"Of {len(results)} claims {holds} hold, {fails} do not hold and {cannot} cannot be told."
    )


def _notes(results, facts):
    return [
        tally(results),
        "Effect: the first row's score minus the second's on the same test pairs, with its 95 % "
        "bootstrap interval over people. A claim holds if the whole interval of each of its "
        "measures lies where the claim wants it, does not hold if that of one lies on the other "
        "side, and cannot be told otherwise. About equal means that the interval lies within the "
        "margin. An effect below the last decimal shown is none; how large an effect is worth "
        "having is not asked. Nothing corrects for the number of comparisons.",
        "The intervals cover the choice of test people, not that of the training seed: a second "
        "training could move a small effect to the other side. Of the two training curves they "
        "cover the scatter from batch to batch.",
        f"{facts['dataset']}, profile {facts['profile']}, seed {facts['seed']}. "
        f"Split: {facts['split'].rstrip('.')}.",
        "Measures that the paper does not have: sharpness, mean squared gradient on the person "
        "over that of the real image; right detail, the share of the real image's fine structure "
        "that is there in its place, and artefacts, the energy of fine structure that is not the "
        "real image's; colour error, of local mean colours on the person; body-SSIM, SSIM from "
        "windows that look at the person only. Detail a few pixels out of place counts as an "
        "artefact.",
        "Not tested: " + " ".join(UNTESTED),
    ]


def write_claims(folder, results, facts):
    """Write claims.md, .csv, .tex and .json into `folder`; returns their paths.

    Args:
        folder: pathlib.Path.
        results: what `judge` returns.
        facts: see `claims_table`.
    """
    return render.write(folder, "claims", claims_table(results, facts))
