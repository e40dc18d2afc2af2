"""Table 1, our numbers beside the paper's: one plain structure and four ways to write it.

`table1` makes a dict of JSON values; the renderers are pure functions of that dict, so that
table1.md, .csv and .tex can be made again, to the letter, from table1.json.
"""

import csv
import io
import json
import re

import numpy as np
import pandas as pd

from pg2lib import scores
from pg2lib.errors import UserError, write_atomically
from pg2lib.evaluation import PAIR_SCORES, score_weights

# Score -> its heading, what stands behind its mean, and whether the paper prints it.
SCORES = {
    "ssim": ("SSIM", "interval", True),
    "mask_ssim": ("mask-SSIM", "interval", True),
    "sharpness": ("sharpness", "interval", False),
    "inception": ("IS", "std", True),
    "mask_inception": ("mask-IS", "std", True),
}
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
        {"title", "facts", "rows": [{"row", "label", "ours": {score: {...} or None},
        "paper": {score: value or None}}], "notes": [sentence]}.

    Raises:
        UserError: no summaries, an unknown row, or rows that were not scored alike.
    """
    order = ["condition", *paper, "target"]
    unknown = [row for row in summaries if row not in order]
    if unknown or not summaries:
        raise UserError(
            f"Table 1 has no row '{unknown[0]}'; its rows are {', '.join(order)}."
            if unknown
            else "Table 1 needs at least one evaluated row."
        )
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
    facts = {key: first[key] for key in shared} | facts
    rows = [
        {
            "row": row,
            "label": LABELS.get(row, row),
            "ours": {score: summaries[row]["scores"][score] for score in SCORES},
            "paper": {
                score: paper.get(row, {}).get(score)
                for score, (_, _, printed) in SCORES.items()
                if printed
            },
        }
        for row in order
        if row in summaries
    ]
    half = HALVES[facts["half"]]
    title = f"Table 1 of PG2, our numbers ({facts['dataset']}) beside the paper's ({half})"
    return {"title": title, "facts": facts, "rows": rows, "notes": _notes(facts, rows)}


def _notes(facts, rows):
    """The sentences below the table, without the command and the footnotes on single cells."""
    notes = [
        f"{facts['pairs']:,} test pairs of {facts['identities']:,} people, {facts['dataset']} at "
        f"{facts['height']}x{facts['width']}, profile {facts['profile']}, seed {facts['seed']}; "
        f"SSIM preset {facts['preset']}, pose mask of the {facts['mask_from']} image "
        f"({facts['mask_variant']}).",
        f"Split: {facts['split'].rstrip('.')}.",
        "In brackets: 95 % bootstrap interval over identities; after ±: standard deviation over "
        f"{_splits(rows)} splits. Sharpness (not in the paper): mean squared gradient inside the "
        "mask, over that of the real targets.",
    ]
    if facts["drawn"]:
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
    """Write table1.md, .csv, .tex and .json into `folder`; returns their paths.

    The .json is the table itself, the others are rendered from it.
    """
    paths = []
    for suffix, render in RENDERERS.items():
        with write_atomically(folder / f"table1{suffix}") as temporary:
            temporary.write_text(render(table), encoding="utf-8", newline="\n")
        paths.append(folder / f"table1{suffix}")
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
    return "\n".join(
        [
            r"% needs \usepackage{booktabs,graphicx}",
            r"\begin{table}",
            rf"\caption{{{escape_latex(table['title'])}.}}",
            r"\resizebox{\textwidth}{!}{%",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            headings + r" \\",
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

    A score that could not be had reads "no weights"; what the paper does not print is empty.
    """
    facts = table["facts"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    header = ["row"]
    for score, (_, spread, printed) in SCORES.items():
        header += [score, *(f"{score}_{part}" for part in PARTS[spread])]
        header += [f"{score}_paper"] if printed else []
    writer.writerow(header + list(facts))
    for row in table["rows"]:
        line = [row["row"]]
        for score, (_, spread, printed) in SCORES.items():
            ours = row["ours"][score]
            line += [_number(ours["mean"]) if ours else MISSING]
            line += [_number(ours[part]) if ours else "" for part in PARTS[spread]]
            line += [_number(row["paper"][score])] if printed else []
        writer.writerow(line + list(facts.values()))
    return text.getvalue()


RENDERERS = {".md": to_markdown, ".csv": to_csv, ".tex": to_latex, ".json": to_json}
PARTS = {"interval": ("low", "high"), "std": ("std",)}
MISSING = "no weights"


def _headings(table):
    headings = []
    for name, _, printed in SCORES.values():
        headings += [name, f"paper {name}"] if printed else [name]
    return headings


def _cells(table):
    """For each row: (row, [(text, footnote mark or None)] in the order of the headings)."""
    marks = {text: mark for mark, text in _footnotes(table)}
    for row in table["rows"]:
        cells = []
        for score, (_, spread, printed) in SCORES.items():
            cells.append((_ours(row["ours"][score], spread), None))
            if printed:
                value = row["paper"][score]
                doubt = DOUBTS.get((table["facts"]["half"], row["row"], score))
                known = value is not None
                cells.append((f"{value:.3f}", marks.get(doubt)) if known else ("—", None))
        yield row, cells


def _ours(value, spread):
    if value is None:
        return MISSING
    if value["mean"] is None:
        return "—"
    if spread == "std":
        return f"{value['mean']:.3f} ± {value['std']:.3f}"
    if value["low"] is None:
        return f"{value['mean']:.3f}"
    return f"{value['mean']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"


def _footnotes(table):
    """[(mark, text)] for the doubtful cells that this table shows, marked a, b, ..."""
    texts = []
    for row in table["rows"]:
        for score, value in row["paper"].items():
            text = DOUBTS.get((table["facts"]["half"], row["row"], score))
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
    "±": r"$\pm$", "—": "---", "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip


def escape_latex(text):
    """Text with everything escaped that LaTeX would take as a command."""
    return re.sub("|".join(map(re.escape, LATEX)), lambda match: LATEX[match[0]], text)


def differences_table(pairs, paper=None, names=tuple(PAIR_SCORES), seed=0):
    """The paired differences that the paper's claims rest on.

    Args:
        pairs: row -> DataFrame of `evaluation.read_pairs`; comparisons with a row that is not
            there are left out.
        paper: row -> {score: printed value}, or None.
        names: the scores to compare.
        seed: of the bootstrap.

    Returns:
        DataFrame with columns claim, row, minus, score, difference, low, high (95 % bootstrap
        interval over identities, see `scores.paired_difference`) and paper, the difference of
        the printed values (NaN where there are none).

    Raises:
        UserError: two rows were scored on different pairs.
    """
    lines = []
    for a, b, claim in DIFFERENCES:
        if a not in pairs or b not in pairs:
            continue
        left, right = pairs[a], pairs[b]
        if not left[["condition", "target"]].equals(right[["condition", "target"]]):
            raise UserError(f"rows {a} and {b} were scored on different pairs: score them again.")
        for score in names:
            weights = score_weights(left, score)
            interval = scores.paired_difference(
                left[score], right[score], left["identity"], weights, seed=seed
            )
            printed = [(paper or {}).get(row, {}).get(score, np.nan) for row in (a, b)]
            lines.append((claim, a, b, score, *interval, printed[0] - printed[1]))
    columns = ["claim", "row", "minus", "score", "difference", "low", "high", "paper"]
    return pd.DataFrame(lines, columns=columns)


def differences_markdown(differences):
    """`differences_table` in Markdown, a line per comparison and score."""
    lines = [
        [
            f"{line.row} − {line.minus}",
            line.claim,
            SCORES[line.score][0],
            f"{line.difference:+.3f} [{line.low:+.3f}, {line.high:+.3f}]",
            "—" if np.isnan(line.paper) else f"{line.paper:+.3f}",
        ]
        for line in differences.itertuples()
    ]
    return markdown_grid(["", "what it tests", "score", "ours", "paper"], lines, left=3) + "\n"
