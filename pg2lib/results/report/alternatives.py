"""What is to be seen in a figure, in words, for who cannot see it; numbers come from the files."""

import functools

import pandas as pd

from pg2lib.evaluation import difficulty as failures
from pg2lib.results import claim_verdicts, tables
from pg2lib.results.report.studies import read_json, trained_means
from pg2lib.training import weights


def _rows(facts) -> list[str]:
    """The rows that a figure was made from."""
    names = [name.removesuffix(weights.SUFFIX) for name in facts.get("inputs", {})]
    return [name for name in names if name not in ("data", *tables.LABELS)]


def _frame(study, facts) -> str:
    """E.g. "synthetic-market at 64x32, profile quick"."""
    data = facts.get("config", {}).get("data", {})
    size = f" at {data['height']}x{data['width']}" if {"height", "width"} <= set(data) else ""
    profile = facts.get("profile", study.profile)
    return f"{facts.get('dataset', study.dataset)}{size}, profile {profile}"


def _scores(study, names, rows) -> str:
    """E.g. "SSIM from 0.261 (G1+D) to 0.302 (G1-L1)" for each score, of the rows named."""
    table = read_json(study.folder / "table1.json")
    parts = []
    for name in names if table else ():
        found = {row: mean for row, mean in trained_means(table, name).items() if row in rows}
        if found:
            low, high = min(found, key=found.get), max(found, key=found.get)
            heading = tables.SCORES[name].heading
            parts.append(f"{heading} from {found[low]:.3f} ({low}) to {found[high]:.3f} ({high})")
    return "; ".join(parts)


def _other(study, facts):
    stem = facts.get("figure", "a figure").removesuffix(".png").replace("_", " ")
    rows = f", made from {', '.join(_rows(facts))}" if _rows(facts) else ""
    return f"{stem[:1].upper()}{stem[1:]} of {_frame(study, facts)}{rows}."


def _figure1(study, facts):
    return (
        f"Test pairs of {_frame(study, facts)}, one in each line: condition image, target pose, "
        f"target image, and the coarse and the refined result of {', '.join(_rows(facts))}."
    )


def _figure1c(study, facts):
    return (
        f"A condition image of {_frame(study, facts)}, and below a sequence of target poses the "
        "same person painted in each."
    )


def _studio_change(study, facts):
    return (
        f"A person of {_frame(study, facts)}, the pose, the pose with one elbow moved, and for "
        f"each of {', '.join(_rows(facts))} on black where what it paints changes."
    )


def _user_study_check(study, facts):
    rates = "; ".join(
        f"{kind} {r2g:.0%} and {g2r:.0%}" for kind, (r2g, g2r) in facts.get("simulated", {}).items()
    )
    return (
        f"Check of the user study of {_frame(study, facts)}. Left, for each kind of simulated "
        "participant the rates R2G and G2R as dots with 95 % intervals, and as strokes what is "
        f"expected of it{f' ({rates})' if rates else ''}; right, G2R of the believable ones and "
        "its interval, which shrinks as participants become more."
    )


def _figure3(study, facts):
    return (
        f"Five pictures of one person of {_frame(study, facts)}, an arrow from each to the next: "
        "the image with its keypoints, the heatmaps as coloured discs, the joints connected by "
        "white tubes, the pose mask with its holes closed, and the image inside the mask alone."
    )


def _figure4(study, facts):
    rows = _rows(facts)
    scores = _scores(study, ("ssim", "pckh"), rows)
    return (
        f"Test pairs of {_frame(study, facts)}, one in each line: condition image, target pose, "
        f"target image, and what {', '.join(rows)} made of it."
        + (f" Over all test pairs: {scores}." if scores else "")
    )


def _failures(study, facts):
    causes = [*failures.CAUSES, failures.NONE]
    return (
        f"Failures of {', '.join(_rows(facts))} on {_frame(study, facts)}, a line for each of "
        f"{', '.join(causes)}: condition image, target pose, target image, generated image and "
        "in words the pair's rank, score and causes."
    )


def _failure_effects(study, facts):
    return (
        f"Change of body-SSIM of {', '.join(_rows(facts))} on {_frame(study, facts)} with its 95 % "
        f"interval for each cause: {', '.join(failures.CAUSES)} and another camera; two dots each, "
        "alone and with the others held fixed."
    )


def _curves(stages, study, facts):
    path = study.folder / "logs.csv"
    parts = []
    logs = pd.read_csv(path) if path.exists() else pd.DataFrame({"stage": []})
    for stage in stages:
        log = logs[logs["stage"] == stage]
        tenth = max(len(log) // 10, 1)
        if len(log):
            first, last = log["l1"].head(tenth).mean(), log["l1"].tail(tenth).mean()
            steps = int(log["step"].max())
            parts.append(f"{stage} from {first:.3f} to {last:.3f} in {steps:,} iterations")
    said = f" L1, mean of the first and of the last tenth: {'; '.join(parts)}." if parts else ""
    return f"Losses over the iterations of {', '.join(stages)} on {_frame(study, facts)}.{said}"


def _claims_effects(study, facts):
    claims = (read_json(study.folder / "claims.json") or {}).get("claims", [])
    fails = [str(k) for k, c in enumerate(claims, 1) if c["verdict"] == claim_verdicts.FAILS]
    not_held = f" Claims that do not hold: {', '.join(fails)}." if fails else ""
    count = sum(len(claim["comparisons"]) for claim in claims)
    return (
        f"{count} comparisons of {_frame(study, facts)}, a line each: a dot for the effect, a bar "
        f"for its interval and the verdict in words; the numbers are in the table.{not_held}"
    )


def _claims_convergence(study, facts):
    claims = (read_json(study.folder / "claims.json") or {}).get("claims", [])
    found = [c for claim in claims if claim["name"] == "difference-map-faster"
             for c in claim["comparisons"]]  # fmt: skip
    said = "; ".join(f"{c['measure']}: {c['shown']}" for c in found)
    return (
        f"Masked L1 over the iterations of two second stages on {_frame(study, facts)}, one that "
        f"paints a difference map and one that paints the image.{f' {said}.' if said else ''}"
    )


def _claims_ablations(study, facts):
    return (
        f"Test pairs of {_frame(study, facts)}, one in each line: condition image, target image, "
        f"and what {', '.join(_rows(facts))} made of it."
    )


def _bars(names, study, facts):
    scores = _scores(study, names, _rows(facts))
    return (
        f"Bars with 95 % intervals for {', '.join(_rows(facts))} on {_frame(study, facts)}, the "
        f"paper's values as diamonds. {scores}."
    )


def _shift(study, facts):
    return (
        f"Lines for {', '.join(_rows(facts))} on {_frame(study, facts)}: by how many pixels the "
        "painted person moves when the pose is moved; a dashed line for following exactly."
    )


ALTERNATIVES = {
    "user_study_check": _user_study_check,
    "figure1": _figure1,
    "figure1c": _figure1c,
    "studio_change": _studio_change,
    "figure3": _figure3,
    "figure4": _figure4,
    "failures": _failures,
    "failure_effects": _failure_effects,
    "claims_effects": _claims_effects,
    "claims_convergence": _claims_convergence,
    "claims_ablations": _claims_ablations,
    "scores": functools.partial(_bars, ("ssim", "mask_ssim", "sharpness", "pckh")),
    "two_stage_scores": functools.partial(_bars, ("ssim", "mask_ssim", "sharpness")),
    "pose_embeddings_shift": _shift,
    "pose_embeddings_curves": functools.partial(_curves, ("G1-CE-L1", "G1-HME-L1", "G1-L1")),
    "mask_loss_curves": functools.partial(_curves, ("G1-L1", "G1-poseMaskLoss")),
    "two_stage_curves": functools.partial(_curves, ("G1-poseMaskLoss", "G1+D", "G2+D")),
}


def alternative(name: str, study, facts) -> str:
    """The text for a figure of that name, by the facts beside it (see `pipeline.facts`)."""
    return ALTERNATIVES.get(name, _other)(study, facts)
