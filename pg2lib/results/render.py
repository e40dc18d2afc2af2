"""Tables as text: every table of the project as Markdown, CSV, LaTeX and JSON. A table is a record
of JSON values, from `tables`, `verdicts` or `apps.user_study.table2`; its .json file is enough to
write the other files again."""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from pg2lib.core.files import UserError, write_atomically
from pg2lib.evaluation.scores import SCORES
from pg2lib.evaluation.ssim import PRESETS
from pg2lib.models import METHODS
from pg2lib.results.comparisons import interval_text, outcome, spread_text
from pg2lib.results.notes import notes

LABELS = {"condition": "condition image, copied", "target": "real target"}
HALVES = {"market1501": "Market-1501", "deepfashion": "DeepFashion"}
MISSING = "—"
MARKS = "ᵃᵇᶜᵈᵉᶠ"  # of footnotes


@dataclass(frozen=True)
class View:
    """A table ready to print."""

    title: str
    head: list[str]
    rows: list[list[str]]  # a line break in a cell separates several values
    numbers: list[dict]  # lines of the CSV file with the same keys, unrounded
    notes: list[str]  # paragraphs below the table
    left: int = 1  # columns of text; the others hold numbers and are aligned right
    details: tuple = ()  # (summary, sentences) numbered from 1, below the table
    best: frozenset = frozenset()  # (row, column) of the best trained row of each column


def view(record) -> View:
    """The View of a table: scores, presets, differences (also as DataFrame), claims, Table 2, or
    the records of `learning` and `reproduction`. UserError: the record is none of these."""
    if isinstance(record, pd.DataFrame):
        record = json.loads(to_json(record))
    if isinstance(record, list):
        return difference_view(record)
    for key, make in VIEWS.items():
        if isinstance(record, dict) and key in record:
            made, facts = make(record), record.get("facts", {})
            by = [f"Made by `{facts['command']}`."] if "command" in facts else []
            return replace(made, notes=[*made.notes, *by])
    raise UserError("this is not a table of scores, presets, differences, claims or user study.")


def render(record) -> dict[str, str]:
    """Suffix (".md", ".csv", ".tex", ".json") -> the table in that format."""
    table = view(record)
    texts = (markdown(table), csv_text(table), latex(table), to_json(record))
    return dict(zip((".md", ".csv", ".tex", ".json"), texts))


def write(folder, name, record) -> list[Path]:
    """Write <name>.md, .csv, .tex and .json into `folder`; returns their paths."""
    paths = {Path(folder, f"{name}{end}"): text for end, text in render(record).items()}
    for path, text in paths.items():
        with write_atomically(path) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="\n")
    return list(paths)


def to_json(record) -> str:
    if isinstance(record, pd.DataFrame):
        record = json.loads(record.to_json(orient="records", double_precision=15))
    return json.dumps(record, indent=1, ensure_ascii=False) + "\n"


def csv_text(table: View) -> str:
    """A line per dict of `numbers`; floats with six digits, empty where there is no value, lists
    with spaces between their values."""

    def cell(value):
        if isinstance(value, list):
            return " ".join(map(str, map(cell, value)))
        return f"{value:.6g}" if isinstance(value, float) and not np.isnan(value) else value

    lines = pd.DataFrame(table.numbers, dtype=object).map(cell)
    return lines.to_csv(index=False, lineterminator="\n") if table.numbers else ""


def markdown(record) -> str:
    """A table (record or View) in GitHub's Markdown, with its notes."""
    table = record if isinstance(record, View) else view(record)
    rows = [[cell.replace("\n", "<br>") for cell in row] for row in table.rows]
    parts = [f"**{table.title}**", markdown_grid(table.head, rows, table.left)]
    if table.details:
        summary, sentences = table.details
        lines = [f"{number}. {text}" for number, text in enumerate(sentences, start=1)]
        parts += [f"{summary}:", "\n".join(lines)]
    return "\n\n".join([*parts, *table.notes]) + "\n"


def unbroken(text: str) -> str:
    """Markdown with no line break inside an interval: "0.3 [0.2, 0.4]" stays in one line."""
    interval = r"\d(?: %)? \[[-+−\d][-+−\d. %,]*\]"
    return re.sub(interval, lambda found: found[0].replace(" ", "\N{NO-BREAK SPACE}"), text)


def markdown_grid(head, rows, left=1) -> str:
    """A Markdown table of strings, the first `left` columns left and the others right aligned."""
    rule = ["---"] * left + ["---:"] * (len(head) - left)
    return "\n".join(
        "| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |"
        for line in (head, rule, *rows)
    )


def latex(table: View) -> str:
    """The table for LaTeX with booktabs and graphicx, as wide as the text, with its notes."""
    lines = [
        [escape_latex(cell.replace("\n", "; ")) for cell in line]
        for line in (table.head, *table.rows)
    ]
    columns = "l" * table.left + "r" * (len(table.head) - table.left)
    grid = pd.DataFrame(lines[1:], columns=lines[0])
    tabular = grid.to_latex(index=False, escape=False, column_format=columns).rstrip()
    below = "\n".join(escape_latex(note) + r"\par" for note in table.notes)
    return rf"""% needs \usepackage{{booktabs,graphicx}}
\begin{{table}}
\caption{{{escape_latex(table.title)}.}}
\resizebox{{\textwidth}}{{!}}{{%
{tabular}}}
\par\smallskip\footnotesize
{below}
\end{{table}}
"""


LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$",
    "#": r"\#", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "±": r"$\pm$", "−": "$-$", "λ": r"$\lambda$", "—": "---",
    "<": r"\textless{}", ">": r"\textgreater{}",
} | {mark: rf"\textsuperscript{{{letter}}}" for mark, letter in zip(MARKS, "abcdef")}  # fmt: skip


def escape_latex(text: str) -> str:
    """The text with every character escaped that LaTeX would read as a command; `code` is set in
    typewriter."""
    text = text.translate(str.maketrans(LATEX))
    return re.sub("`([^`]*)`", r"\\texttt{\1}", text)


def score_text(value, score) -> str:
    """A score, {"mean", "low", "high"} or None, with its interval; after ± the "std" over splits of
    a summary, or at the end the "spread" between trainings."""
    if value is None:
        return score.missing
    if value["mean"] is None:
        return MISSING
    digits = f".{score.digits}f"
    mean = f"{value['mean']:{digits}}" + spread_text(value.get("std"), digits)
    interval = interval_text(mean, value.get("low"), value.get("high"), digits)
    return interval + spread_text(value.get("spread"), digits)


def percent(value) -> str:
    """A rate in percent: a number, or {"mean", "low", "high"}; "—" for None."""
    if isinstance(value, dict):
        mean, low, high = percent(value["mean"]), value["low"], value["high"]
        return mean if mean == MISSING else interval_text(mean, 100 * low, 100 * high, ".1f")
    return MISSING if value is None else f"{100 * value:.1f} %"


def score_view(table) -> View:
    """Table 1, the further scores, or both halves of Table 1 (see `tables`)."""
    facts, rows, marks = table["facts"], table["rows"], {}
    shown = [(column, whose) for column in table["columns"] for whose in ("ours", "paper")
             if column in rows[0][whose]]  # fmt: skip

    def cell(row, column, whose):
        value, (half, score) = row[whose][column], half_and_score(column)
        if whose == "ours":
            return score_text(value, score)
        if value is None:
            return MISSING
        doubts = METHODS[row["row"]].doubts if row["row"] in METHODS else {}
        doubt = doubts.get((half or facts.get("half"), score.name))
        return f"{value:.3f}" + (marks.setdefault(doubt, MARKS[len(marks)]) if doubt else "")

    cells = [[row["label"], *(cell(row, *place) for place in shown)] for row in rows]
    below = table["notes"] + [f"{mark} {text}" for text, mark in marks.items()]
    head = ["", *(_heading(*place, facts) for place in shown)]
    several = any("spread" in (value or {}) for row in rows for value in row["ours"].values())
    numbers = [_score_numbers(row, shown, several) | facts for row in rows]
    return View(table["title"], head, cells, numbers, below, best=_best(rows, shown))


def half_and_score(column):
    """(half or "", Score) of a column, "<score>" or "<half>:<score>"."""
    half, _, name = column.rpartition(":")
    return half, SCORES[name]


def _heading(column, whose, facts):
    half, score = half_and_score(column)
    if whose == "paper":
        return f"paper {score.heading}"
    dataset = facts.get(f"{half}:dataset", half)  # drawn people are not those of the paper's half
    return f"{HALVES.get(dataset, dataset)}: {score.heading}" if half else score.heading


def _score_numbers(row, shown, several):
    line, always = {"row": row["row"]}, ("low", "high", *(["spread"] if several else []))
    for column, whose in shown:
        score, value = half_and_score(column)[1], row[whose][column]
        if whose == "paper":
            line[f"{column}_paper"] = value
            continue
        line[column] = value["mean"] if value else score.missing
        for part in ("std", *always) if score.splits else always:
            line[f"{column}_{part}"] = value.get(part) if value else None
    return line


def _best(rows, shown):
    """(row, column) of the best trained rows, by the decimals shown; ties all count."""
    marked = set()
    for place, (column, whose) in enumerate(shown, start=1):
        score, ranks = half_and_score(column)[1], {}
        for number, row in enumerate(rows):
            value = row[whose][column]
            value = value["mean"] if isinstance(value, dict) else value
            if row["row"] not in LABELS and value is not None:
                ranks[number] = score.rank(round(value, score.digits))
        if len(set(ranks.values())) > 1:
            marked |= {(n, place) for n, rank in ranks.items() if rank == max(ranks.values())}
    return frozenset(marked)


PRESET_MEASURES = {"ssim": "SSIM", "mask_ssim": "mask-SSIM, target's mask",
                   "mask_ssim_condition": "mask-SSIM, condition's mask"}  # fmt: skip


def preset_view(table) -> View:
    """`presets.score_presets`: each row's SSIM and mask-SSIM, a column per preset."""
    presets, rows = table["presets"], table["rows"]
    every = [
        ({"row": row, "measure": measure, "preset": preset}, value)
        for row, measures in rows.items()
        for measure, by_preset in measures.items()
        for preset, value in by_preset.items()
    ]
    several = any("spread" in value for _, value in every)
    parts = ("mean", "low", "high", *["spread"] * several)
    numbers = [about | {part: value.get(part) for part in parts} for about, value in every]

    def cell(value):
        return f"{value['mean']:.3f}{spread_text(value.get('spread'))}"

    cells = [
        [heading, LABELS.get(row, row), *(cell(found[measure][p]) for p in presets)]
        for measure, heading in PRESET_MEASURES.items()
        for row, found in rows.items()
    ]
    models = [row for row in rows if row not in LABELS] or list(rows)
    ssim = np.array([[rows[row]["ssim"][p]["mean"] for p in presets] for row in models])
    bare = [not PRESETS[preset].pad_white for preset in presets]
    spans = {"by_preset": np.ptp(ssim, axis=1).max(), "by_model": np.ptp(ssim, axis=0).max(),
             "unpadded": np.ptp(ssim[:, bare], axis=1).max()}  # fmt: skip
    own_mask = [preset for preset in presets if PRESETS[preset].mask]
    below = notes("presets", table | spans, own_mask=own_mask, several=several)
    head = ["measure", "row", *presets]
    return View("The same images under every preset", head, cells, numbers, below, left=2)


def difference_view(lines) -> View:
    """`tables.differences_table` as a list of dicts: a line per comparison and score. p-values are
    shown where there are several trainings."""
    several = any(line.get("seeds", 1) > 1 for line in lines)

    def cells(line):
        low, high, paper, by_seed = line["low"], line["high"], line["paper"], line.get("by_seed")
        found = (low, high, np.nan if paper is None else paper)
        words = MISSING if low is None else outcome(*found, by_seed=by_seed).partition(":")[0]
        tests = [_probability(line["p"]), _probability(line["holm"])] if several else []
        return [
            f"{line['row']} − {line['minus']}", line["claim"], SCORES[line["score"]].heading,
            _number(line["difference"], low, high) + spread_text(line.get("spread")), *tests,
            _number(paper), words,
        ]  # fmt: skip

    head = ["", "claim", "score", "ours", *["p", "p (Holm)"] * several, "paper", "outcome"]
    title = "Differences between rows, pair by pair"
    hidden = {"by_seed"} if several else {"by_seed", "p", "holm"}
    numbers = [{k: v for k, v in line.items() if k not in hidden} for line in lines]
    counts = sorted({line.get("seeds", 1) for line in lines})
    below = notes("differences", several=several, counts=counts, of=len(lines))
    return View(title, head, [cells(line) for line in lines], numbers, below, left=3)


def _number(value, low=None, high=None, form="+.3f"):
    return MISSING if value is None else interval_text(value, low, high, form)


def _probability(p):
    return MISSING if p is None else f"{p:.3f}" if p >= 0.001 else "< 0.001"


def claim_view(table) -> View:
    """`verdicts.claims_table`: a line per claim, with the reasons in `details`."""
    cells, numbers = [], []
    for number, claim in enumerate(table["claims"], start=1):
        parts = claim["comparisons"]
        measures = "\n".join(f"{part['measure']}: {part['expected']}" for part in parts)
        effects = "\n".join(part["shown"] for part in parts)
        cells.append([str(number), claim["claim"], claim["place"], measures, effects,
                      claim["verdict"], claim["made_at"]])  # fmt: skip
        numbers += [
            {key: claim[key] for key in ("name", "place", "claim", "made_at")}
            | {key: part.get(key) for key in COMPARISON}
            | {"claim_verdict": claim["verdict"], "why": part.get("why")}
            for part in parts
        ]
    head = ["", "claim", "place", "measure: expected", "effect", "verdict", "measured on"]
    why = ("Why, claim by claim", [claim["why"] for claim in table["claims"]])
    return View(table["title"], head, cells, numbers, table["notes"], left=len(head), details=why)


COMPARISON = ("score", "row", "against", "measure", "unit", "expected", "effect", "low", "high",
              "verdict")  # fmt: skip


def user_study_view(table) -> View:
    """`apps.user_study.table2.of_studies`: a line per row with answers."""
    cells, numbers = [], []
    for line in table["rows"]:
        paper, texts = line["paper"] or {}, []
        flat = {key: line[key] for key in ("row", "dataset", "profile", "seed", "half",
                                           "participants", "unfinished", "answers")}  # fmt: skip
        for rate, ours in line["ours"].items():
            texts += [percent(ours), percent(paper.get(rate))]
            flat |= {rate: ours["mean"]}
            flat |= {f"{rate}_{key}": ours[key] for key in ("low", "high", "wrong", "of")}
            flat |= {f"{rate}_paper": paper.get(rate)}
        flat |= {f"exposure_ms_{key}": value for key, value in line["exposure_ms"].items()}
        flat |= {"shown_again": line["shown_again"], "protocols": "; ".join(line["protocols"])}
        numbers.append(flat | table["facts"])
        cells.append([line["row"], line["dataset"], str(line["participants"]), *texts])
    rates = [name for rate in table["rows"][0]["ours"] for name in (rate, f"paper {rate}")]
    head = ["", "data set", "participants", *rates]
    return View(table["title"], head, cells, numbers, table["notes"], left=2)


def learning_view(table) -> View:
    """`learning.learning_table`: a line per comparison with its effect on the way and its trend."""
    cells, numbers, lines = [], [], table["trends"]
    shares = [key for key in lines[0] if key.startswith("effect_")]
    for line in lines:
        form = f"+.{SCORES[line['score']].digits}f"
        texts = [_number(line[share], form=form) for share in shares]
        end = _number("", line["low"], line["high"], form).strip() or MISSING
        cells.append([str(line["number"]), line["claim"], f"{line['measure']}: {line['expected']}",
                      line["trend"], *texts, end])  # fmt: skip
        numbers.append({k: v for k, v in line.items() if not isinstance(v, list | dict)})
    percents = (share.replace("effect_", "") + " %" for share in shares)
    head = ["", "claim", "measure: expected", "trend", *percents, "end"]
    return View(table["title"], head, cells, numbers, table["notes"], left=4)


def reproduction_view(table) -> View:
    """`reproduction.check`: a line per number of Table 1."""
    cells, lines = [], table["reproduction"]
    for line in lines:
        form = f".{SCORES[line['score']].digits}f"
        where = "inside" if line["inside"] else "far outside" if line["far"] else "outside"
        committed = _number(line["mean"], line["low"], line["high"], form)
        new, apart = _number(line["value"], form=form), _number(line["deviations"], form="+.1f")
        cells.append([line["label"], where, new, committed, apart])
    head = ["", "", "this training", f"{table['seeds']} committed trainings", "sd"]
    return View(table["line"], head, cells, lines, table["notes"], left=2)


COSTS = {"parameters": (1e6, "parameters, M"), "gflops": (1, "GFLOP an image"),
         "iterations": (1e3, "iterations, 1,000"), "pairs_seen": (1e3, "pairs seen, 1,000"),
         "training_pflops": (1, "training, PFLOP")}  # fmt: skip


def successors_view(table) -> View:
    """`tables.successors`: a line per row, measurement and preset."""
    cells, numbers = [], []
    for line in table["successors"]:
        scores = {SCORES[name]: line["scores"].get(name, {"mean": None})
                  for name in table["columns"]}  # fmt: skip
        cost = [f"{line[c] / by:.3g}" if c in line else MISSING for c, (by, _) in COSTS.items()]
        texts = [score_text(value, score) for score, value in scores.items()]
        cells.append([line["label"], line["by"], line["preset"], *texts, *cost])
        means = {score.name: value and value["mean"] for score, value in scores.items()}
        numbers.append({key: value for key, value in line.items() if key != "scores"} | means)
    head = ["", "measured by", "preset", *(SCORES[name].heading for name in table["columns"])]
    head += [text for _, text in COSTS.values()]
    return View(table["title"], head, cells, numbers, table["notes"], left=3)


def overlap_view(table) -> View:
    """`workflow.segmenter.measure`: a line per label, a column per kind of images."""
    columns, lines = list(table["counts"]), table["overlaps"]
    rows = [[line["label"], *(_number(line[c], form=".3f") for c in columns)] for line in lines]
    return View(table["title"], ["label", *columns], rows, lines, table["notes"])


VIEWS = {"successors": successors_view, "claims": claim_view, "presets": preset_view,
         "trends": learning_view, "reproduction": reproduction_view, "columns": score_view,
         "overlaps": overlap_view, "rows": user_study_view}  # fmt: skip
