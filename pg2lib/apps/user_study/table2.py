"""Table 2 of the paper from the answers of the user study, with the paper's numbers."""

from pg2lib import models
from pg2lib.apps.user_study.rates import rates
from pg2lib.apps.user_study.study import (
    GENERATED,
    KINDS,
    PAPER,
    folder,
    participant_seed,
    read_folder,
)
from pg2lib.core.config import drawn
from pg2lib.core.files import UserError
from pg2lib.results.notes import notes

# Table 2 as printed: row -> half -> rates.
PAPER_TABLE2 = {
    "G1+D": {"deepfashion": {"R2G": 0.078, "G2R": 0.093},
             "market1501": {"R2G": 0.171, "G2R": 0.111}},
    "G1+G2+D": {"deepfashion": {"R2G": 0.092, "G2R": 0.149},
                "market1501": {"R2G": 0.112, "G2R": 0.055}},
}  # fmt: skip
PAPER_PARTICIPANTS = 30
NOTEBOOK = "notebooks/09_user_study.ipynb"


def results(study, row):
    """A line of `of_studies`; None if no participant has finished. Only participants who answered
    all images count; the paper does not say how it treated the others."""
    answers = read_folder(folder(study, row))
    answers = answers[~answers.simulated.astype(bool)]
    check_plan(study, row, answers)
    asked = answers.protocol.map(lambda protocol: protocol.total)
    done = answers.groupby("participant").trial.transform("max") == asked
    counted = answers[done & ~answers.practice.astype(bool)]
    if not len(counted):
        return None
    half, exposure = study.setting.half, counted.exposure_ms.astype(float)
    return {
        "row": row,
        "dataset": study.data_name,
        "profile": study.profile_name,
        "seed": study.seed,
        "half": half,
        "participants": counted.participant.nunique(),
        "unfinished": answers[~done].participant.nunique(),
        "answers": len(counted),
        "ours": rates(counted),
        "paper": PAPER_TABLE2.get(row, {}).get(half),
        "exposure_ms": exposure.agg(median="median", low="min", high="max").to_dict(),
        "shown_again": int((counted.shown > 1).sum()),
        "protocols": sorted({str(protocol) for protocol in counted.protocol}),
        "generators": sorted(counted.generator.unique()),
    }


def check_plan(study, row, answers):
    """UserError for answers that were not given to the plan of their participant."""
    for name, own in answers.groupby("participant"):
        first, kinds = own.iloc[0], own.truth.value_counts()
        asked = {kind: getattr(first.protocol, kind) for kind in KINDS}
        made = own.image.str.contains(" from ")
        planned = {
            "seed": (own.seed == participant_seed(study, row, name)).all(),
            "dataset": (own.dataset == study.dataset).all(),
            "row": (own.row == row).all(),
            "practice": (own.practice == (own.trial <= first.protocol.practice)).all(),
            "truth": all(kinds.get(kind, 0) <= count for kind, count in asked.items()),
            # the user's own photographs may have such names, too
            "image": ((made == (own.truth == GENERATED)) | (made & study.setting.own)).all(),
        }
        if wrong := [field for field, kept in planned.items() if not kept]:
            raise UserError(
                f"{folder(study, row) / name}.jsonl: {wrong[0]} is not as planned for {name}; "
                "move the file away"
            )


def of_studies(studies):
    """Table 2 of some studies, with the paper's numbers, as JSON values: {"title", "facts", "rows":
    [of `results`], "notes": [sentence]}; None if no participant has finished."""
    lines = []
    for study in studies:
        there = {path.name for path in folder(study, "any").parent.glob("*")}
        lines += [results(study, row) for row in models.METHODS if row in there]
    lines = [line for line in lines if line]
    if not lines:
        return None
    facts = {"command": NOTEBOOK, "paper_participants": PAPER_PARTICIPANTS}
    title = "Table 2 of PG2: this project and the paper"
    below = notes(
        "user_study",
        lines=lines,
        one_person=any(line["participants"] == 1 for line in lines),
        trained_again=any(len(line["generators"]) > 1 for line in lines),
        drawn=any(line["dataset"] in drawn() for line in lines),
        paper=str(PAPER),
        paper_participants=PAPER_PARTICIPANTS,
    )
    return {"title": title, "facts": facts, "rows": lines, "notes": below}
