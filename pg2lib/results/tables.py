"""Tables of scores: Table 1 with the paper's numbers, further scores, differences between rows.

Tables are dicts of JSON values (differences: a DataFrame); `render` writes them as files. A row is
a list of its trainings, in the order of the seeds, each with the summary and the pairs of
`evaluation.evaluate_row`; the one scoring of a row that is not trained stands for every seed. Only
JSON files hold the results of each seed ("by_seed").
"""

import numpy as np
import pandas as pd

from pg2lib.core.config import SETTINGS
from pg2lib.core.files import UserError, without_nan
from pg2lib.evaluation import statistics
from pg2lib.evaluation.score_row import REFERENCES, over_seeds, with_interval
from pg2lib.evaluation.scores import SCORES, names, weighting
from pg2lib.models import METHODS
from pg2lib.models.base import Reported
from pg2lib.models.pg2 import PAPER
from pg2lib.results.claims import differences
from pg2lib.results.notes import notes
from pg2lib.results.render import HALVES, LABELS

# The scores that the paper prints and two that it does not; all others are in a second table.
TABLE1, MORE, COMPARED = names("table1"), names("more"), names(compared=True)

DIFFERENCES = differences()  # first row minus second
SHARED = ("dataset", "height", "width", "pairs", "identities", "preset", "mask_from",
          "mask_variant")  # fmt: skip


def table1(summaries, paper, facts, pairs=None):
    """Table 1: "condition", the registered rows in their order, "target".

    Args:
        summaries: row -> list of summaries, a training each.
        paper: row -> {score: printed value} of one half of the paper's table, or less.
        facts: dict with "half" (whose numbers `paper` holds), "profile", "seeds", "split" (a
            sentence), "command" and "drawn" (whether this project draws the images). Instead of
            "seeds" (a list) there may be "seed"; the table has both.
        pairs: row -> list of DataFrames of `evaluation.read_pairs`, for the intervals of several
            trainings over people; not needed for one.

    Returns:
        {"title", "columns": [score], "facts", "rows": [{"row", "label", "ours": {score:
        `score_row.over_seeds` or None}, "paper": {score: value or None}}], "notes": [sentence]}.

    Raises:
        UserError: no summaries, an unknown row, or rows that were not scored alike.
    """
    order = ["condition", *METHODS, "target"]
    for row in summaries:
        if row not in order:
            raise UserError(f"unknown row {row!r}; choose one of: {', '.join(order)}.")
    ordered = {row: summaries[row] for row in order if row in summaries}
    title = f"Table 1 of PG2: this project ({{dataset}}) and the paper ({HALVES[facts['half']]})"
    table = _table(title, ordered, TABLE1, facts, pairs, paper)
    inception = [row["ours"]["inception"] or {} for row in table["rows"]]
    other = {}  # preset of the printed SSIM -> rows, where it is not this table's
    for row in table["rows"]:
        preset = METHODS[row["row"]].published_preset if row["row"] in METHODS else None
        if preset not in (None, table["facts"]["preset"]) and row["paper"]["ssim"] is not None:
            other.setdefault(preset, []).append(row["row"])
    splits = [value["splits"] for value in inception if "splits" in value]
    about = {"splits": splits, "scores": SCORES, "other": other, "drawn": facts["drawn"],
             "paper_data": HALVES[facts["half"]],
             "lengths": PAPER[facts["half"]]["iterations"]}  # fmt: skip
    table["notes"] += notes("table1", about, own=table["facts"]["dataset"] not in SETTINGS)
    return table


def more_scores(summaries, facts, pairs=None):
    """The scores that the paper does not print, as a table like `table1`'s; rows in the order of
    `summaries`."""
    table = _table("Further scores of the same images ({dataset})", summaries, MORE, facts, pairs)
    table["notes"] += [SCORES[score].note for score in MORE if SCORES[score].note]
    return table


def successors(summaries, pairs, presets, costs, changes, facts):
    """The rows of papers after PG2 beside rows of PG2, on the same pairs: our scores, our
    SSIM under every preset that others used, and what papers and others printed.

    Args:
        summaries, pairs: as for `table1`; presets: a record of `presets.score_presets`.
        costs: row -> `training.describe.costs`; changes: training of a later paper's row ->
            {field: [value, that of profile paper]} where they differ; facts: as for `table1`, and
            "parsing", where parsing maps come from, if rows see any.

    Returns:
        {"title", "successors": [{"row", "label", "by", "preset", "scores": {score: value}} with the
        costs in lines of ours], "columns": [score], "facts", "notes"}.
    """
    table = _table("PG2 and its successors ({dataset})", summaries, TABLE1, facts, pairs)
    others = [one.preset for name in summaries for one in reported(name, facts["half"])]
    lines = []
    for row in table["rows"]:
        name, own = row["row"], presets["rows"].get(row["row"], {})
        line = {"row": name, "label": row["label"], "by": "this project"}
        lines.append(line | {"preset": table["facts"]["preset"], "scores": row["ours"]}
                     | costs.get(name, {}))  # fmt: skip
        for preset in presets["presets"]:
            scores = {score: own[score][preset] for score in ("ssim", "mask_ssim") if own}
            if own and preset != table["facts"]["preset"] and preset in others:
                lines.append(line | {"preset": preset, "scores": scores})
        for one in reported(name, facts["half"]):
            scores = {score: {"mean": value} for score, value in one.scores.items()}
            lines.append(line | {"by": one.by, "preset": one.preset, "scores": scores})
    equal = {}  # iterations -> rows
    for row in (row for row in costs if not METHODS[row].budget):
        equal.setdefault(costs[row]["iterations"], []).append(row)
    parsed = [n for n in summaries if n in METHODS and "parsing" in METHODS[n].needs]
    about = {"costs": costs, "methods": METHODS, "equal": equal, "changes": changes}
    below = notes("successors", about, parsed=parsed, parsing=facts.get("parsing"))
    return {"title": table["title"], "successors": lines, "columns": list(TABLE1),
            "facts": table["facts"], "notes": table["notes"] + below}  # fmt: skip


def reported(row, half):
    """Scores of a row printed by its paper (`models.base.Method.published`) and by others."""
    method = METHODS.get(row)
    printed = method.published.get(half) if method else None
    own = [Reported(half, "paper", method.published_preset, printed)] if printed else []
    return own + [one for one in (method.reported if method else ()) if one.half == half]


def both_halves(tables, command):
    """The paper's whole Table 1: tables of `table1` for different halves, side by side, with the
    scores that the paper prints and the rows that all tables have. Columns are called
    "<half>:<score>", facts "<half>:<fact>"; command makes the table again. UserError: two tables of
    the same half."""
    by_half = {table["facts"]["half"]: table for table in tables}
    if len(by_half) != len(tables):
        raise UserError("Table 1 has one half per data set; two tables are of the same half.")
    shared = set.intersection(*({row["row"] for row in table["rows"]} for table in tables))
    facts, columns, below = {"command": command}, [], []
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
        size, split, certain, *general = table["notes"]
        below += [f"Beside the paper's {HALVES[half]}: {size} {split} {certain}"]
    title = "Table 1 of PG2: this project and the paper"
    return {"title": title, "columns": columns, "facts": facts, "rows": list(rows.values()),
            "notes": below + general[-1:]}  # fmt: skip


def _table(title, summaries, columns, facts, pairs=None, paper=None):
    """Common parts of all tables of scores; the title names the {dataset}."""
    if not summaries:
        raise UserError("Table 1 needs at least one evaluated row.")
    every = [(row, summary) for row, trainings in summaries.items() for summary in trainings]
    first = every[0][1]
    for row, summary in every:
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
            "ours": {score: value_of(row, trainings, pairs or {}, score) for score in columns},
            "paper": {score: paper.get(row, {}).get(score) for score in printed},
        }
        for row, trainings in summaries.items()
    ]
    seeds = facts.get("seeds") or [facts["seed"]]
    facts = {key: first[key] for key in SHARED} | facts | {"seed": seeds[0], "seeds": seeds}
    trained = {row: len(trainings) for row, trainings in summaries.items()
               if row not in REFERENCES}  # fmt: skip
    seen, lengths = facts.pop("first_stage_pairs", {}), {}  # pairs that a first stage saw -> rows
    for row in trained:
        lengths.setdefault(seen.get(row), []).append(row)
    about = facts | {"split": facts["split"].rstrip("."), "trained": trained, "lengths": lengths}
    below = notes("scores", about, most=max(trained.values(), default=1))
    title = title.format(dataset=facts["dataset"])
    return {"title": title, "columns": list(columns), "facts": facts, "rows": rows, "notes": below}


def value_of(row, summaries, pairs, score):
    """A score of a row, None if a training lacks it; summaries: of its trainings."""
    values = [summary["scores"].get(score) for summary in summaries]
    if len(values) == 1 or None in values:
        return values[0] if len(values) == 1 else None
    if row in pairs and all(score in table for table in pairs[row]):
        (found,), people, weight = paired(pairs, score, row)
        value = with_interval(found, people, weight)
    else:
        means = [np.nan if value["mean"] is None else value["mean"] for value in values]
        # a mean over people needs more than an interval over trainings
        ends = statistics.seeds_interval(means) if SCORES[score].set_score else (None, None)
        value = over_seeds(means, *ends)
    return without_nan(value)


def differences_table(pairs, paper=None, names=COMPARED, seed=0, comparisons=DIFFERENCES):
    """The paired differences that the paper's claims rest on; comparisons with a row that is not in
    `pairs`, and scores that a row lacks, are left out.

    Args:
        pairs: row -> list of DataFrames of `evaluation.read_pairs`, a training each.
        paper: row -> {score: printed value}, or None.
        names: the scores of pairs to compare by; seed: of the bootstrap.
        comparisons: (row, row it is compared with, what that tests), ...

    Returns:
        DataFrame: claim, row, minus, score, difference, low, high (`statistics.paired_difference`),
        spread (standard deviation between trainings), seeds (how many), seeds_agree (whether the
        difference has one sign in all), by_seed (the difference in each), p
        (`statistics.paired_p_value`), holm (p corrected for all lines), paper (difference of the
        printed values or NaN). With one training spread, p and holm are NaN. UserError: two rows
        were scored on different pairs."""
    lines, paper = [], paper or {}
    for a, b, claim in (c for c in comparisons if c[0] in pairs and c[1] in pairs):
        every = [*pairs[a], *pairs[b]]
        for score in (name for name in names if all(name in table for table in every)):
            (ours, other), people, weight = paired(pairs, score, a, b)
            both = ours, other, people, weight
            interval = statistics.paired_difference(*both, seed=seed)
            change = statistics.seed_means(ours - other, weight)
            agree = abs(np.sign(change).sum()) == len(change)
            seeds = (statistics.spread(change), len(change), bool(agree), change.tolist())
            p = statistics.paired_p_value(*both)
            printed = np.subtract(*(paper.get(row, {}).get(score, np.nan) for row in (a, b)))
            lines.append((claim, a, b, score, *interval, *seeds, p, np.nan, printed))
    columns = ["claim", "row", "minus", "score", "difference", "low", "high", "spread", "seeds",
               "seeds_agree", "by_seed", "p", "holm", "paper"]  # fmt: skip
    table = pd.DataFrame(lines, columns=columns)
    return table.assign(holm=statistics.holm(table["p"]))


def paired(trainings, score, *rows):
    """A score of rows on the same pairs: ([float (seeds, pairs) of each row], the person of each
    pair, the weights of the pairs or None), for the trainings that all rows have, the first ones.

    trainings: row -> list of tables of pairs, in the order of the seeds; the one table of a row
    that is not trained stands for every seed. UserError: the tables list different pairs."""
    count = min((len(trainings[row]) for row in rows if row not in REFERENCES), default=1)
    first, found = trainings[rows[0]][0], []
    for row in rows:
        for table in trainings[row]:
            if not table[["condition", "target"]].equals(first[["condition", "target"]]):
                who = f"rows {rows[0]} and {row}" if row != rows[0] else f"trainings of {row}"
                raise UserError(f"{who} were scored on different pairs; score them again.")
        columns = [table[score].to_numpy(float) for table in trainings[row][:count]]
        found.append(np.stack(columns if len(columns) == count else columns * count))
    return found, first["identity"].to_numpy(), weighting(first, score)
