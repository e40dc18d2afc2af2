"""Tables of scores: Table 1 with the paper's numbers, further scores, differences between rows.

Tables are dicts of JSON values (differences: a DataFrame); `render` writes them as files.
"""

import numpy as np
import pandas as pd

from pg2lib.core.files import UserError
from pg2lib.evaluation import statistics
from pg2lib.evaluation.scores import SCORES, names, weights
from pg2lib.models import METHODS
from pg2lib.results.claims import differences
from pg2lib.results.render import HALVES, LABELS

# The scores that the paper prints and two that it does not; all others are in a second table.
TABLE1, MORE, COMPARED = names("table1"), names("more"), names(compared=True)

DIFFERENCES = differences()  # first row minus second
SHARED = ("dataset", "height", "width", "pairs", "identities", "preset", "mask_from",
          "mask_variant")  # fmt: skip


def table1(summaries, paper, facts):
    """Table 1: "condition", the registered rows in their order, "target".

    Args:
        summaries: row -> summary of `evaluation.evaluate_row`.
        paper: row -> {score: printed value} of one half of the paper's table, or less.
        facts: dict with "half" (whose numbers `paper` holds), "profile", "seed", "split" (a
            sentence), "command" and "drawn" (whether this project draws the images).

    Returns:
        {"title", "columns": [score], "facts", "rows": [{"row", "label", "ours": {score: {...} or
        None}, "paper": {score: value or None}}], "notes": [sentence]}.

    Raises:
        UserError: no summaries, an unknown row, or rows that were not scored alike.
    """
    order = ["condition", *METHODS, "target"]
    for row in summaries:
        if row not in order:
            raise UserError(f"unknown row {row!r}; choose one of: {', '.join(order)}.")
    ordered = {row: summaries[row] for row in order if row in summaries}
    title = f"Table 1 of PG2: this project ({{dataset}}) and the paper ({HALVES[facts['half']]})"
    table = _table(title, ordered, TABLE1, facts, paper)
    table["notes"] += _table1_notes(table)
    return table


def more_scores(summaries, facts):
    """The scores that the paper does not print, as a table like `table1`'s; rows in the order of
    `summaries`."""
    table = _table("Further scores of the same images ({dataset})", summaries, MORE, facts)
    table["notes"].append("In brackets: 95 % bootstrap interval over identities.")
    table["notes"] += [SCORES[score].note for score in MORE if SCORES[score].note]
    return table


def both_halves(tables, command):
    """The paper's whole Table 1: tables of `table1` for different halves, side by side, with the
    scores that the paper prints and the rows that all tables have. Columns are called
    "<half>:<score>", facts "<half>:<fact>"; command makes the table again. UserError: two tables of
    the same half."""
    by_half = {table["facts"]["half"]: table for table in tables}
    if len(by_half) != len(tables):
        raise UserError("Table 1 has one half per data set; two tables are of the same half.")
    shared = set.intersection(*({row["row"] for row in table["rows"]} for table in tables))
    facts, columns, notes = {"command": command}, [], []
    rows = {
        row["row"]: {"row": row["row"], "label": row["label"], "ours": {}, "paper": {}}
        for row in tables[0]["rows"]
        if row["row"] in shared
    }
    for half, table in by_half.items():
        facts |= {f"{half}:{key}": value for key, value in table["facts"].items()}
        printed = [score for score in table["columns"]
                   if any(r["paper"].get(score) is not None for r in table["rows"])]  # fmt: skip
        columns += [f"{half}:{score}" for score in printed]
        for row in table["rows"]:
            for source in ("ours", "paper") if row["row"] in shared else ():
                values = {f"{half}:{score}": row[source][score] for score in printed}
                rows[row["row"]][source] |= values
        size, split, *general = table["notes"]
        notes += [f"{HALVES[half]}: {size} {split}"]
    title = "Table 1 of PG2: this project and the paper"
    return {"title": title, "columns": columns, "facts": facts, "rows": list(rows.values()),
            "notes": notes + general[-1:]}  # fmt: skip


def _table(title, summaries, columns, facts, paper=None):
    """What all tables of scores share; the title names the {dataset}."""
    if not summaries:
        raise UserError("Table 1 needs at least one evaluated row.")
    first = next(iter(summaries.values()))
    for row, summary in summaries.items():
        for key in SHARED:
            if summary[key] != first[key]:
                raise UserError(
                    f"rows {first['row']} and {row} were not scored alike ({key}: {first[key]} "
                    f"and {summary[key]}); evaluate them again."
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
    facts = {key: first[key] for key in SHARED} | facts
    notes = [
        f"{facts['pairs']:,} test pairs of {facts['identities']:,} people, {facts['dataset']} at "
        f"{facts['height']}x{facts['width']}, profile {facts['profile']}, seed {facts['seed']}; "
        f"SSIM preset {facts['preset']}, pose mask of the {facts['mask_from']} image "
        f"({facts['mask_variant']}).",
        f"Split: {facts['split'].rstrip('.')}.",
    ]
    title = title.format(dataset=facts["dataset"])
    return {"title": title, "columns": list(columns), "facts": facts, "rows": rows, "notes": notes}


def _table1_notes(table):
    """The notes of Table 1 alone, the one on comparing with the paper last."""
    inception = [row["ours"]["inception"] for row in table["rows"] if row["ours"]["inception"]]
    notes = [
        "In brackets: 95 % bootstrap interval over identities; after ±: standard deviation over "
        f"{inception[0]['splits'] if inception else 10} splits. Not in the paper: sharpness and "
        f"PCKh. {SCORES['sharpness'].note} {SCORES['pckh'].note}"
    ]
    other = {}  # preset of the printed SSIM -> rows, where it is not this table's
    for row in table["rows"]:
        preset = METHODS[row["row"]].published_preset if row["row"] in METHODS else None
        if preset not in (None, table["facts"]["preset"]) and row["paper"]["ssim"] is not None:
            other.setdefault(preset, []).append(row["row"])
    for preset, rows in other.items():
        notes.append(f"Printed SSIM of {', '.join(rows)}: by preset {preset}, not comparable.")
    drawn = (
        "The people are drawn by this project: compare the differences between rows with the "
        "paper's, not the numbers themselves."
    )
    real = (
        "The paper tests on 12,800 pairs of Market-1501's test half and trains for 22,000 and "
        "14,000 iterations: mind split, sample count and profile when comparing. "
        f"{SCORES['inception'].note}"
    )
    return [*notes, drawn if table["facts"]["drawn"] else real]


def differences_table(pairs, paper=None, names=COMPARED, seed=0, comparisons=DIFFERENCES):
    """The paired differences that the paper's claims rest on; comparisons with a row that is not in
    `pairs`, and scores that a row lacks, are left out.

    Args:
        pairs: row -> DataFrame of `evaluation.read_pairs`.
        paper: row -> {score: printed value}, or None.
        names: the scores of pairs to compare by.
        comparisons: (row, row it is compared with, what that tests), ...

    Returns:
        DataFrame: claim, row, minus, score, difference, low, high (`statistics.paired_difference`),
        p (`statistics.paired_p_value`), holm (p corrected for all lines), paper (difference of the
        printed values or NaN). UserError: two rows were scored on different pairs."""
    lines, paper = [], paper or {}
    for a, b, claim in (c for c in comparisons if c[0] in pairs and c[1] in pairs):
        left, right = pairs[a], pairs[b]
        check_same_pairs(a, left, b, right)
        for score in (name for name in names if name in left and name in right):
            both = (left[score], right[score], left["identity"], weights(left, score))
            interval = statistics.paired_difference(*both, seed=seed)
            p = statistics.paired_p_value(*both, seed=seed)
            printed = np.subtract(*(paper.get(row, {}).get(score, np.nan) for row in (a, b)))
            lines.append((claim, a, b, score, *interval, p, np.nan, printed))
    columns = ["claim", "row", "minus", "score", "difference", "low", "high", "p", "holm", "paper"]
    table = pd.DataFrame(lines, columns=columns)
    return table.assign(holm=statistics.holm(table["p"]))


def check_same_pairs(a, left, b, right):
    """UserError unless the tables of pairs of rows a and b list the same pairs in one order."""
    if not left[["condition", "target"]].equals(right[["condition", "target"]]):
        raise UserError(f"rows {a} and {b} were scored on different pairs; score them again.")
