"""Tables of the scores, Table 1 beside the paper's first: plain structures, many ways to write.

`table1` and the like make a dict of JSON values; the renderers are pure functions of that dict, so
that table1.md, .csv and .tex can be made again, to the letter, from table1.json.
"""

import csv
import io
import json
import re

import numpy as np
import pandas as pd

from pg2lib.core.files import UserError, write_atomically
from pg2lib.evaluation import statistics
from pg2lib.evaluation.score_row import PRESET_MEASURES
from pg2lib.evaluation.scores import SCORES, names, weights
from pg2lib.evaluation.ssim import PRESETS

# What the reader of the paper looks for, and the two things that the paper has no number for;
# everything else is in a table of its own.
TABLE1, MORE, COMPARED = names("table1"), names("more"), names(compared=True)
LABELS = {"condition": "condition image, copied", "target": "real target"}
HALVES = {"market1501": "Market-1501", "deepfashion": "DeepFashion"}

# Cells of the published table that may be misprints: (half, row, score) -> footnote.
DOUBTS = {
    ("market1501", row, "mask_inception"): "printed for G1-CE-L1 and for G1-L1 alike, in the "
    "proceedings and on the poster, although the text has G1-L1 ahead in every measure."
    for row in ("G1-CE-L1", "G1-L1")
} | {
    ("deepfashion", row, score): "the pair 0.735 and 2.427 stands in the rows G1-HME-L1 and G1-L1 "
    "of the poster alike; one of them may be a copy."
    for row in ("G1-HME-L1", "G1-L1")
    for score in ("ssim", "inception")
}

# The comparisons behind the paper's claims (4.2, 4.3): first row minus second.
DIFFERENCES = (
    ("G1-L1", "G1-CE-L1", "heatmaps beside the image, against coordinates"),
    ("G1-L1", "G1-HME-L1", "heatmaps beside the image, against an encoder of their own"),
    ("G1-poseMaskLoss", "G1-L1", "the body weighs more in the loss"),
    ("G1+G2+D", "G1-poseMaskLoss", "the second stage"),
    ("G1+G2+D", "G1+D", "two stages against one"),
)


def table1(summaries, paper, facts):
    """Table 1 as a dict of JSON values.

    Args:
        summaries: row -> summary of `evaluation.evaluate_row`. Rows come in the order
            "condition", the paper's rows, "target"; rows without a summary are left out.
        paper: row -> {score: printed value} of one half of the paper's table, in its order.
        facts: dict with "half" ("market1501" or "deepfashion", whose numbers `paper` holds),
            "profile", "seed", "split" (a sentence), "command" (makes the table again) and
            "drawn" (whether the project drew the images).

    Returns:
        {"title", "columns": [score], "facts", "rows": [{"row", "label", "ours": {score: {...} or
        None}, "paper": {score: value or None}}], "notes": [sentence]}.

    Raises:
        UserError: no summaries, an unknown row, or rows that were not scored alike.
    """
    order = ["condition", *paper, "target"]
    unknown = [row for row in summaries if row not in order]
    if unknown:
        raise UserError(f"Table 1 has no row '{unknown[0]}'; its rows are {', '.join(order)}.")
    ordered = {row: summaries[row] for row in order if row in summaries}
    table = _table(ordered, TABLE1, facts, paper)
    table["title"] = (
        f"Table 1 of PG2, our numbers ({table['facts']['dataset']}) beside the paper's "
        f"({HALVES[facts['half']]})"
    )
    table["notes"] += _notes(table)
    return table


def more_scores(summaries, facts):
    """The scores that the paper has not, as a table like `table1`'s.

    Args:
        summaries: row -> summary, in the order of the rows; any rows, ablations too.
        facts: as for `table1`.
    """
    table = _table(summaries, MORE, facts)
    table["title"] = f"More scores of the same images ({table['facts']['dataset']})"
    table["notes"] += [
        "In brackets: 95 % bootstrap interval over identities. FID has none: a sample with "
        "repetitions scores worse than the one it is drawn from, and a thousand of them would take "
        "days.",
        "PCK: share of the target pose's joints that a keypoint network, trained by this project "
        "on the real training images, sees within a fifth of the torso. It errs on real images "
        "too: the row of the real target is the ceiling, that of the condition image what one "
        "gets without moving anybody.",
        "Copy: how much of the condition image's own look is left outside both bodies (background) "
        "and where the body was (body), and the share of moved joints seen nearer to where they "
        "were (pose); 0 for the real target, 1 for the condition image, about 0 is best.",
        "LPIPS (VGG16, version 0.1), FID and KID: the lower the better; FID and KID against the "
        "real targets of the same pairs, with the Inception network of 2015.",
    ]
    return table


def both_halves(tables, command):
    """The paper's whole Table 1: several tables of `table1`, of different halves, side by side.

    Only what the paper prints, ours and theirs; the rest stands in each half's own table. A
    column is called "<half>:<score>", and so are the facts "<half>:<fact>".

    Args:
        tables: from `table1`; a row that one of them lacks is left out.
        command: makes all of it again.

    Raises:
        UserError: two tables of the same half.
    """
    by_half = {table["facts"]["half"]: table for table in tables}
    if len(by_half) != len(tables):
        raise UserError("the halves of Table 1 are Market-1501's and DeepFashion's: one of each.")
    rows = {half: {row["row"]: row for row in table["rows"]} for half, table in by_half.items()}
    facts, columns, notes = {"command": command}, [], []
    for half, table in by_half.items():
        facts |= {f"{half}:{key}": value for key, value in table["facts"].items()}
        columns += [
            f"{half}:{score}"
            for score in table["columns"]
            if any(row["paper"].get(score) is not None for row in table["rows"])
        ]
        mine, split, *general = table["notes"]
        notes += [f"{HALVES[half]}: {mine} {split}"]

    def side_by_side(whose, row):
        return {column: rows[half][row][whose][score] for column in columns
                for half, score in [column.split(":")]}  # fmt: skip

    shared = [
        row for row in tables[0]["rows"] if all(row["row"] in found for found in rows.values())
    ]
    return {
        "title": "Table 1 of PG2, our numbers beside the paper's",
        "columns": columns,
        "facts": facts,
        "rows": [
            {"row": row["row"], "label": row["label"]}
            | {whose: side_by_side(whose, row["row"]) for whose in ("ours", "paper")}
            for row in shared
        ],
        "notes": notes + general[-1:],
    }


def _table(summaries, columns, facts, paper=None):
    """What all tables of scores share; without title."""
    if not summaries:
        raise UserError("Table 1 needs at least one evaluated row.")
    shared = ("dataset", "height", "width", "pairs", "identities", "preset", "mask_from",
              "mask_variant")  # fmt: skip
    first = next(iter(summaries.values()))
    for row, summary in summaries.items():
        for key in shared:
            if summary[key] != first[key]:
                raise UserError(
                    f"rows {first['row']} and {row} were not scored alike ({key}: {first[key]} "
                    f"and {summary[key]}): evaluate them again."
                )
    printed = [score for score in columns if paper and SCORES[score].printed]
    rows = [
        {
            "row": row,
            "label": LABELS.get(row, row),
            "ours": {score: summary["scores"].get(score) for score in columns},
            "paper": {score: paper.get(row, {}).get(score) for score in printed},
        }
        for row, summary in summaries.items()
    ]
    facts = {key: first[key] for key in shared} | facts
    notes = [
        f"{facts['pairs']:,} test pairs of {facts['identities']:,} people, {facts['dataset']} at "
        f"{facts['height']}x{facts['width']}, profile {facts['profile']}, seed {facts['seed']}; "
        f"SSIM preset {facts['preset']}, pose mask of the {facts['mask_from']} image "
        f"({facts['mask_variant']}).",
        f"Split: {facts['split'].rstrip('.')}.",
    ]
    return {"title": None, "columns": list(columns), "facts": facts, "rows": rows, "notes": notes}


def _notes(table):
    """The sentences below Table 1, without those of all tables and the footnotes on cells."""
    notes = [
        "In brackets: 95 % bootstrap interval over identities; after ±: standard deviation over "
        f"{_splits(table['rows'])} splits. Not in the paper: sharpness, the mean squared gradient "
        "inside the mask over that of the real targets; and PCKh, the share of joints that a "
        "keypoint network of this project sees within half a head of the target pose, for which "
        "the row of the real target is the ceiling.",
    ]
    if table["facts"]["drawn"]:
        notes.append(
            "The people are drawn by this project: only the differences between rows can be set "
            "beside the paper's, the numbers themselves cannot."
        )
    else:
        notes.append(
            "The paper tests on 12,800 pairs of Market-1501's test half and trains for 22,000 and "
            "14,000 iterations: compare with split, sample count and profile in mind; the "
            "Inception Score grows with the number of images."
        )
    return notes


def _splits(rows):
    counts = [r["ours"]["inception"]["splits"] for r in rows if r["ours"]["inception"]]
    return counts[0] if counts else 10


def write_table1(folder, table):
    """Write table1.md, .csv, .tex and .json into `folder`; returns their paths."""
    return write_table(folder, "table1", table)


def write_table(folder, name, table, renderers=None):
    """Write <name>.md, .csv, .tex and .json into `folder`; returns their paths.

    The .json is the table itself, the others are rendered from it. renderers: suffix -> function
    of the table, RENDERERS when not given.
    """
    paths = []
    for suffix, render in (renderers or RENDERERS).items():
        with write_atomically(folder / f"{name}{suffix}") as temporary:
            temporary.write_text(render(table), encoding="utf-8", newline="\n")
        paths.append(folder / f"{name}{suffix}")
    return paths


def to_json(table):
    """The table as JSON text."""
    return json.dumps(table, indent=1, ensure_ascii=False) + "\n"


def to_markdown(table):
    """The table in GitHub's Markdown, with its notes."""
    header = ["", *_headings(table)]
    lines = [
        [row["label"], *(text + (f"<sup>{mark}</sup>" if mark else "") for text, mark in cells)]
        for row, cells in _cells(table)
    ]
    notes = [*table["notes"], *(f"<sup>{mark}</sup> {text}" for mark, text in _footnotes(table))]
    notes.append(f"Made by `{table['facts']['command']}`.")
    return "\n\n".join([f"**{table['title']}**", markdown_grid(header, lines), *notes]) + "\n"


def to_latex(table):
    """The table as LaTeX for the booktabs package, with its notes below."""
    headings = " & ".join(["", *map(escape_latex, _headings(table))])
    lines = []
    for row, cells in _cells(table):
        texts = [
            escape_latex(text) + (rf"\textsuperscript{{{mark}}}" if mark else "")
            for text, mark in cells
        ]
        lines.append(" & ".join([escape_latex(row["label"]), *texts]) + r" \\")
        if row["row"] == "condition":
            lines.append(r"\midrule")
    if table["rows"][-1]["row"] == "target" and len(lines) > 1:
        lines.insert(-1, r"\midrule")
    notes = [escape_latex(note) for note in table["notes"]]
    for mark, text in _footnotes(table):
        notes.append(rf"\textsuperscript{{{mark}}} {escape_latex(text)}")
    notes.append(rf"Made by \texttt{{{escape_latex(table['facts']['command'])}}}.")
    columns = "l" * (len(_headings(table)) + 1)
    return latex_table(table["title"], columns, headings + r" \\", lines, notes)


def latex_table(title: str, columns: str, headings: str, lines, notes) -> str:
    """A LaTeX table for the booktabs package, as wide as the text, with its notes below.

    columns: of the tabular, such as "lrr"; headings, lines and notes are LaTeX already.
    """
    return "\n".join(
        [
            r"% needs \usepackage{booktabs,graphicx}",
            r"\begin{table}",
            rf"\caption{{{escape_latex(title)}.}}",
            r"\resizebox{\textwidth}{!}{%",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            headings,
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}}",
            r"\par\smallskip\footnotesize",
            *(note + r"\par" for note in notes),
            r"\end{table}",
            "",
        ]
    )


def to_csv(table):
    """The table as CSV: a line per row, a column per number, the facts repeated in each line.

    A score that could not be had reads "no weights" or the like; what the paper does not print is
    empty.
    """
    facts = table["facts"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    header = ["row"]
    for score, beside in _columns(table):
        header += [score, *(f"{score}_{part}" for part in _parts(score))]
        header += [f"{score}_paper"] if beside else []
    writer.writerow(header + list(facts))
    for row in table["rows"]:
        line = [row["row"]]
        for score, beside in _columns(table):
            ours = row["ours"][score]
            line += [_number(ours["mean"]) if ours else _score(score).missing]
            line += [_number(ours.get(part)) if ours else "" for part in _parts(score)]
            line += [_number(row["paper"][score])] if beside else []
        writer.writerow(line + list(facts.values()))
    return text.getvalue()


RENDERERS = {".md": to_markdown, ".csv": to_csv, ".tex": to_latex, ".json": to_json}


def _parts(score):
    return ("std", "low", "high") if _score(score).splits else ("low", "high")


def _score(column):
    """The `Score` of a column: a score's name, or "<half>:<score>" (see `both_halves`)."""
    return SCORES[column.rpartition(":")[2]]


def _doubt(table, row, column):
    """The footnote on a cell of the paper's, or None."""
    half, _, score = column.rpartition(":")
    return DOUBTS.get((half or table["facts"]["half"], row["row"], score))


def _columns(table):
    """(score, whether the paper's value stands beside ours) of each column."""
    return [(score, score in table["rows"][0]["paper"]) for score in table["columns"]]


def _headings(table):
    headings = []
    for column, beside in _columns(table):
        name, half = _score(column).heading, column.rpartition(":")[0]
        headings += [f"{HALVES[half]}: {name}" if half else name]
        headings += [f"paper {name}"] if beside else []
    return headings


def _cells(table):
    """For each row: (row, [(text, footnote mark or None)] in the order of the headings)."""
    marks = {text: mark for mark, text in _footnotes(table)}
    for row in table["rows"]:
        cells = []
        for score, beside in _columns(table):
            cells.append((_ours(row["ours"][score], _score(score)), None))
            if beside:
                value = row["paper"][score]
                known = value is not None
                mark = marks.get(_doubt(table, row, score))
                cells.append((f"{value:.3f}", mark) if known else ("—", None))
        yield row, cells


def _ours(value, score):
    if value is None:
        return score.missing
    if value["mean"] is None:
        return "—"
    mean, std, low, high = (
        None if value.get(part) is None else f"{value[part]:.{score.digits}f}"
        for part in ("mean", "std", "low", "high")
    )
    return mean + (f" ± {std}" if std else "") + (f" [{low}, {high}]" if low else "")


def _footnotes(table):
    """[(mark, text)] for the doubtful cells that this table shows, marked a, b, ..."""
    texts = []
    for row in table["rows"]:
        for score, value in row["paper"].items():
            text = _doubt(table, row, score)
            if text and value is not None and text not in texts:
                texts.append(text)
    return list(zip("abcdef", texts, strict=False))


def _number(value):
    return "" if value is None else f"{value:.6g}"


def markdown_grid(header, lines, left=1):
    """A Markdown table of strings, the first `left` columns left and the others right aligned."""
    rule = ["---"] * left + ["---:"] * (len(header) - left)
    return "\n".join(
        "| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |"
        for line in (header, rule, *lines)
    )


LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$",
    "#": r"\#", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "±": r"$\pm$", "−": "$-$", "λ": r"$\lambda$", "—": "---",
    "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip


def escape_latex(text):
    """Text with everything escaped that LaTeX would take as a command."""
    return re.sub("|".join(map(re.escape, LATEX)), lambda match: LATEX[match[0]], text)


# --- differences between rows ------------------------------------------------------------------


def differences_table(pairs, paper=None, names=COMPARED, seed=0, comparisons=DIFFERENCES):
    """The paired differences that the paper's claims rest on.

    Args:
        pairs: row -> DataFrame of `evaluation.read_pairs`; comparisons with a row that is not
            there are left out.
        paper: row -> {score: printed value}, or None.
        names: the scores to compare by, of PAIR_SCORES; those that a row lacks are left out.
        seed: of bootstrap and test.
        comparisons: (row, the row it is compared with, what that tests), ...

    Returns:
        DataFrame with columns claim, row, minus, score, difference, low, high (95 % bootstrap
        interval over identities, see `statistics.paired_difference`), p (two-sided, see
        `statistics.paired_p_value`), holm (p corrected for all lines of the table) and paper, the
        difference of the printed values (NaN where there are none).

    Raises:
        UserError: two rows were scored on different pairs.
    """
    lines = []
    for a, b, claim in comparisons:
        if a not in pairs or b not in pairs:
            continue
        left, right = pairs[a], pairs[b]
        if not left[["condition", "target"]].equals(right[["condition", "target"]]):
            raise UserError(f"rows {a} and {b} were scored on different pairs: score them again.")
        for score in (name for name in names if name in left and name in right):
            both = (left[score], right[score], left["identity"], weights(left, score))
            interval = statistics.paired_difference(*both, seed=seed)
            p = statistics.paired_p_value(*both, seed=seed)
            printed = [(paper or {}).get(row, {}).get(score, np.nan) for row in (a, b)]
            lines.append((claim, a, b, score, *interval, p, printed[0] - printed[1]))
    columns = ["claim", "row", "minus", "score", "difference", "low", "high", "p", "paper"]
    table = pd.DataFrame(lines, columns=columns)
    table.insert(columns.index("p") + 1, "holm", statistics.holm(table["p"]))
    return table


def differences_markdown(differences):
    """`differences_table` in Markdown, a line per comparison and score, with a note."""
    lines = [
        [
            f"{line.row} − {line.minus}",
            line.claim,
            SCORES[line.score].heading,
            _signed(line.difference, line.low, line.high),
            _probability(line.p),
            _probability(line.holm),
            "—" if np.isnan(line.paper) else f"{line.paper:+.3f}",
        ]
        for line in differences.itertuples()
    ]
    header = ["", "what it tests", "score", "ours", "p", "p (Holm)", "paper"]
    note = (
        "Differences pair by pair; in brackets a 95 % bootstrap interval over identities. p: "
        "two-sided, signs of whole people flipped at random; p (Holm): corrected for the "
        f"{len(differences)} lines of this table. Neither knows how much another training seed "
        "would change."
    )
    return f"{markdown_grid(header, lines, left=3)}\n\n{note}\n"


def differences_json(differences):
    """`differences_table` as JSON text: a list of objects, null for what is not known."""
    rows = json.loads(differences.to_json(orient="records", double_precision=15))
    return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"


DIFFERENCES_RENDERERS = {".md": differences_markdown, ".json": differences_json}


def _signed(value, low, high):
    if np.isnan(value):
        return "—"
    return f"{value:+.3f}" + ("" if np.isnan(low) else f" [{low:+.3f}, {high:+.3f}]")


def _probability(p):
    if np.isnan(p):
        return "—"
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


# --- the same images under every preset --------------------------------------------------------

MEASURES = {
    "ssim": "SSIM",
    "mask_ssim": "mask-SSIM, target's mask",
    "mask_ssim_condition": "mask-SSIM, condition's mask",
}


def presets_markdown(made):
    """`evaluation.score_presets` in Markdown: for each measure a table, a column per preset."""
    parts = [
        "**The same images under every preset**: down a column the rows differ and the recipe is "
        "the same; along a line the images are the same and only the recipe differs."
    ]
    for measure in PRESET_MEASURES:
        header = [MEASURES[measure], *made["presets"]]
        lines = [
            [
                LABELS.get(row, row),
                *(f"{found[measure][preset]['mean']:.3f}" for preset in made["presets"]),
            ]
            for row, found in made["rows"].items()
        ]
        parts.append(markdown_grid(header, lines))
    models = [row for row in made["rows"] if row not in LABELS] or list(made["rows"])
    bare = [preset for preset in made["presets"] if not PRESETS[preset].pad_white]

    def ssim(presets):
        rows = (made["rows"][row]["ssim"] for row in models)
        return np.array([[found[preset]["mean"] for preset in presets] for found in rows])

    by_preset, by_bare_preset = (np.ptp(ssim(x), axis=1).max() for x in (made["presets"], bare))
    parts.append(
        f"The SSIM of one row differs by up to {by_preset:.3f} from preset to preset "
        f"({by_bare_preset:.3f} without white padding), that of one preset by up to "
        f"{np.ptp(ssim(made['presets']), axis=0).max():.3f} from model to model. A published SSIM "
        "cannot be compared without its preset."
    )
    parts.append(
        f"{made['pairs']:,} test pairs of {made['identities']:,} people, {made['dataset']} at "
        f"{made['height']}x{made['width']}, pose mask {made['mask_variant']}. 95 % intervals: see "
        "the .csv and .json beside this file."
    )
    return "\n\n".join(parts) + "\n"


def presets_csv(made):
    """`evaluation.score_presets` as CSV: a line per row, measure and preset."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", "measure", "preset", "mean", "low", "high"])
    for row, measures in made["rows"].items():
        for measure, presets in measures.items():
            for preset, value in presets.items():
                numbers = [_number(value[part]) for part in ("mean", "low", "high")]
                writer.writerow([row, measure, preset, *numbers])
    return text.getvalue()


PRESETS_RENDERERS = {".md": presets_markdown, ".csv": presets_csv, ".json": to_json}
