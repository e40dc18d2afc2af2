"""Table 2 of the paper from the answers of the user study, beside the paper's numbers."""

from pathlib import Path

import pandas as pd

from pg2lib.apps.user_study.rates import RATES, rates
from pg2lib.apps.user_study.study import PAPER, folder, read_folder
from pg2lib.models import experiments
from pg2lib.results import tables

# Table 2 as printed: row -> half -> rates.
PAPER_TABLE2 = {
    "G1+D": {
        "deepfashion": {"R2G": 0.078, "G2R": 0.093},
        "market1501": {"R2G": 0.171, "G2R": 0.111},
    },
    "G1+G2+D": {
        "deepfashion": {"R2G": 0.092, "G2R": 0.149},
        "market1501": {"R2G": 0.112, "G2R": 0.055},
    },
}
PAPER_PARTICIPANTS = 30
NOTEBOOK = "notebooks/09_user_study.ipynb"


def results(study, row):
    """What came out for one row: a line of `of_studies`, or None if nobody has finished.

    Only who answered all images counts, as in the paper.
    """
    answers = read_folder(folder(study, row))
    asked = answers.protocol.str.extract(r"(\d+)\+(\d+)").astype(float).sum(axis=1)
    done = answers.groupby("participant").trial.transform("max") == asked
    counted = answers[done & (answers.practice == 0)]
    if not len(counted):
        return None
    half, exposure = experiments.SETTINGS[study.dataset].half, counted.exposure_ms
    return {
        "row": row,
        "dataset": study.dataset,
        "profile": study.profile,
        "seed": study.seed,
        "half": half,
        "participants": counted.participant.nunique(),
        "unfinished": answers[~done].participant.nunique(),
        "answers": len(counted),
        "ours": rates(counted),
        "paper": PAPER_TABLE2.get(row, {}).get(half),
        "exposure_ms": dict(zip(("median", "low", "high"), map(
            float, (exposure.median(), exposure.min(), exposure.max())
        ))),
        "shown_again": int((counted.shown > 1).sum()),
        "protocols": sorted(counted.protocol.unique()),
        "generators": sorted(counted.generator.unique()),
    }  # fmt: skip


def of_studies(studies, made_by=NOTEBOOK):
    """Table 2 as a dict of JSON values: every row somebody finished, beside the paper's.

    Args:
        studies: list of pipeline.Study.
        made_by: what makes it again.

    Returns:
        {"title", "facts", "rows": [of `results`], "notes": [sentence]}, or None if nobody has
        finished any.
    """
    order = list(experiments.EVERY_ROW)
    lines = []
    for study in studies:
        rows = {path.name for path in folder(study, "any").parent.glob("*") if path.name in order}
        lines += [results(study, row) for row in sorted(rows, key=order.index)]
    lines = [line for line in lines if line]
    if not lines:
        return None
    return {
        "title": "Table 2 of PG2, our answers beside the paper's",
        "facts": {"command": made_by, "paper_participants": PAPER_PARTICIPANTS},
        "rows": lines,
        "notes": _notes(lines),
    }


def _notes(lines):
    notes = [
        "R2G: share of the real images judged generated; G2R: share of the generated images judged "
        "real; without practice. In brackets: 95 % intervals (Wilson), widened where the answers "
        "of one person, or to one image, go together, and where the people are few."
    ]
    notes += [_told(line) for line in lines]
    if any(line["participants"] == 1 for line in lines):
        notes.append("With one participant an interval speaks of that person alone.")
    if any(len(line["generators"]) > 1 for line in lines):
        notes.append("A generator was trained again between participants: its answers are mixed.")
    if any(experiments.SETTINGS[line["dataset"]].drawn for line in lines):
        notes.append(
            "The people are drawn by this project, real images and all: telling a drawing from a "
            "generated drawing is another task than the paper's, and only rows can be compared."
        )
    notes.append(
        f"The paper: {PAPER.words}, {PAPER_PARTICIPANTS} workers of Amazon Mechanical Turk per "
        "data set."
    )
    return notes


def _told(line):
    """A sentence on how the numbers of a line came about."""
    time_of, people = line["exposure_ms"], line["participants"]
    text = (
        f"{line['dataset']} ({line['profile']}), {line['row']}: {line['answers']} answers of "
        f"{people} participant{'s' * (people > 1)}; exposure as measured {time_of['median']:.0f} "
        f"ms (median; {time_of['low']:.0f} to {time_of['high']:.0f})"
    )
    if line["shown_again"]:
        text += f"; {line['shown_again']} images shown again after an interruption"
    if line["unfinished"]:
        text += f"; {line['unfinished']} more did not finish and do not count"
    if line["protocols"] != [PAPER.text]:
        text += f"; SHORTENED to {' and '.join(line['protocols'])} (real + generated - practice)"
    return text + "."


HEADINGS = ("", "data set", "participants", "R2G", "paper R2G", "G2R", "paper G2R")


def _cells(line):
    texts = [line["row"], line["dataset"], str(line["participants"])]
    for rate in RATES:
        texts += [percent(line["ours"][rate]), percent((line["paper"] or {}).get(rate))]
    return texts


def percent(value):
    """A rate in words: a number, or one of `rates` with its interval; "—" for None."""
    if isinstance(value, dict):
        if value["mean"] is None:
            return "—"
        return f"{percent(value['mean'])} [{100 * value['low']:.1f}, {100 * value['high']:.1f}]"
    return "—" if value is None else f"{100 * value:.1f} %"


def to_markdown(table):
    """`of_studies` in Markdown, with its notes."""
    grid = tables.markdown_grid(HEADINGS, [_cells(line) for line in table["rows"]], left=2)
    made = f"Made by `{table['facts']['command']}`."
    return "\n\n".join([f"**{table['title']}**", grid, *table["notes"], made]) + "\n"


def to_latex(table):
    """`of_studies` as LaTeX, see `tables.latex_table`."""
    escape = tables.escape_latex
    lines = [
        " & ".join(map(escape, cells)) + r" \\" for cells in (HEADINGS, *map(_cells, table["rows"]))
    ]
    made = rf"Made by \texttt{{{escape(table['facts']['command'])}}}."
    notes = [*map(escape, table["notes"]), made]
    columns = "ll" + "r" * (len(HEADINGS) - 2)
    return tables.latex_table(table["title"], columns, lines[0], lines[1:], notes)


def to_csv(table):
    """`of_studies` as CSV: a line per row; rates as shares of 1, empty where there are none."""
    lines = []
    for line in table["rows"]:
        flat = {key: line[key] for key in ("row", "dataset", "profile", "seed", "half",
                                           "participants", "unfinished", "answers")}  # fmt: skip
        for rate in RATES:
            ours = line["ours"][rate]
            flat[rate] = ours["mean"]
            flat |= {f"{rate}_{key}": ours[key] for key in ("low", "high", "wrong", "of")}
            flat[f"{rate}_paper"] = (line["paper"] or {}).get(rate)
        flat |= {f"exposure_ms_{key}": value for key, value in line["exposure_ms"].items()}
        flat |= {"shown_again": line["shown_again"], "protocols": " ".join(line["protocols"])}
        lines.append(flat | table["facts"])
    return pd.DataFrame(lines).to_csv(index=False, float_format="%.6g", lineterminator="\n")


RENDERERS = {".md": to_markdown, ".csv": to_csv, ".tex": to_latex, ".json": tables.to_json}


def write_table2(path, table):
    """Write table2.md, .csv, .tex and .json into the folder `path`; returns their paths."""
    return tables.write_table(Path(path), "table2", table, RENDERERS)
