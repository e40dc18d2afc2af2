"""Whether a new training reproduces the committed Table 1: every number of it is held against the
prediction interval of the committed trainings, and the number of those outside against what
trainings like the committed ones leave outside.
"""

import numpy as np
import pandas as pd
from scipy.special import stdtrit  # of Student's t distribution

from pg2lib.core.files import UserError, without_nan
from pg2lib.evaluation.scores import SCORES
from pg2lib.models import METHODS
from pg2lib.results.notes import notes
from pg2lib.results.tables import SHARED

LEVEL, FAR = 0.95, 0.999  # of the prediction intervals: a number inside, a number far outside
HONEST = 0.99  # share of simulated trainings that have no more numbers outside than are allowed
SIMULATED = 2_000  # trainings
NAMED = 6  # numbers in the printed line
FEWEST = 3  # trainings needed to estimate a spread


def check(table, committed, seed=0):
    """Hold Table 1 of one training against that of several.

    A number is inside if it lies in the 95 % prediction interval of the committed trainings,
    mean +- t sqrt(s² (1 + 1/S) + 2 j²) with S - 1 degrees of freedom, made wider by half a unit of
    the last printed digit. s is the standard deviation of the S trainings; j that between
    keypoint networks, for scores that one judges: theirs and the new one differ by two such
    errors. A row without training has s = 0 and must agree to the printed digit.

    The table is reproduced if no number is outside the 99.9 % interval, and if no more are outside
    the 95 % interval than `allowed` says. In simulations 98 % of honest trainings pass. Against
    five committed ones, a single row that is off by ten of its standard deviations fails in 97 %;
    against three in half of all cases, and by forty in 95 %. All rows off by five fail in 98 %
    and more.

    A committed training of the same seed starts from the same weights and sees the same batches,
    and on the machine that made it gives the same numbers. It is left out if FEWEST others remain;
    if not, the notes say that it is among them.

    Args:
        table: `tables.table1` of one training.
        committed: that of several, each score of a trained row with its means "by_seed"; perhaps
            with "judges": row -> {score: standard deviation between keypoint networks}.
        seed: of the simulation.

    Returns:
        JSON values for `render.write`: {"facts", "passed", "line" (to print), "inside", "of",
        "allowed", "seeds", "same" (what became of the committed training of the same seed: "left
        out", "counted", or None where there is none), "left_out" (numbers outside when one
        committed training is held against the others, for each), "reproduction": [{"row", "label",
        "score", "value", "mean", "low", "high", "deviations", "inside", "far"}], "notes"}.

    Raises:
        UserError: tables of different data or profiles, a table without a row, a new table of
            several trainings or a committed one of fewer than FEWEST.
    """
    _comparable(table, committed)
    cells, absent = _cells(table, committed)
    by_seed, same = _others(np.array(cells.pop("by_seed").tolist()).T, table, committed)
    judges, rounding = (cells.pop(key).to_numpy() for key in ("judge", "rounding"))
    centre, error, half = limits(by_seed, judges, rounding)
    furthest = limits(by_seed, judges, rounding, FAR)[2]
    allowed = allowed_outside(by_seed, judges, rounding, cells["row"], cells["score"], seed)
    apart = cells["value"] - centre
    cells = cells.assign(
        mean=centre, low=centre - half, high=centre + half, deviations=apart / error,
        inside=apart.abs() <= half, far=~(apart.abs() <= furthest),  # a value that is NaN is far
    )  # fmt: skip
    cells.loc[error == 0, "deviations"] = np.nan
    inside = int(cells["inside"].sum())
    record = {
        "facts": table["facts"],
        "passed": bool(len(cells) - inside <= allowed and not cells["far"].any()),
        "inside": inside, "of": len(cells), "allowed": allowed, "seeds": len(by_seed),
        "same": same, "left_out": left_out(by_seed, rounding), "absent": absent,
        "reproduction": cells.to_dict("records"),
    }  # fmt: skip
    record = without_nan(record)
    return record | {"line": _line(record), "notes": notes("reproduction", record)}


def limits(by_seed, judges, rounding, level=LEVEL):
    """(centre, standard error of a new number, half width of its prediction interval), each
    (..., N), of the numbers of several trainings (..., S, N); see `check`."""
    count = by_seed.shape[-2]
    variance = by_seed.var(-2, ddof=1)
    error = np.sqrt(variance * (1 + 1 / count) + 2 * judges**2)
    half = stdtrit(count - 1, (1 + level) / 2) * error + rounding
    return by_seed.mean(-2), error, half


def allowed_outside(by_seed, judges, rounding, rows, scores, seed=0):
    """How many numbers of an honest training are outside their 95 % intervals at most, in HONEST of
    all simulated cases.

    5 % of the numbers are outside by chance, but not one by one: the scores of a row move together.
    So S committed trainings and a new one are drawn with the spread and, within each row, the
    correlation of the committed ones, normal and independent between rows, and a new judge is
    drawn for each score.
    """
    random, (count, numbers) = np.random.default_rng(seed), by_seed.shape
    residuals = by_seed - by_seed.mean(0)  # (S, N)
    drawn = np.zeros((SIMULATED, count + 1, numbers))
    for row in dict.fromkeys(rows):
        own = np.asarray(rows) == row
        mixed = random.normal(size=(SIMULATED, count + 1, count))
        drawn[..., own] = mixed @ residuals[:, own] / np.sqrt(count - 1)
    codes, names = pd.factorize(np.asarray(scores))
    judged = random.normal(size=(SIMULATED, len(names)))[:, codes]
    new = drawn[:, -1] + judged * np.sqrt(2) * judges
    centre, _, half = limits(drawn[:, :-1], judges, rounding)
    outside = (np.abs(new - centre) > half).sum(-1)
    return int(np.quantile(outside, HONEST, method="higher"))


def left_out(by_seed, rounding):
    """Numbers of each committed training, judged by the same keypoint network, outside the 95 %
    intervals of the others: a list (S,)."""
    outside = []
    for own, value in enumerate(by_seed):
        centre, _, half = limits(np.delete(by_seed, own, 0), 0.0, rounding)
        outside.append(int((np.abs(value - centre) > half).sum()))
    return outside


def _comparable(table, committed):
    """UserError unless both tables are of the same study, the second of several trainings."""
    for key in (*SHARED, "profile"):
        new, old = table["facts"].get(key), committed["facts"].get(key)
        if new != old:
            raise UserError(
                f"these tables cannot be compared: {key} is {new} in the new one and {old} in the "
                "committed one; train with the settings of the committed table."
            )


def _cells(table, committed):
    """(a DataFrame with a line per number that both tables have, labels of those that are not
    compared)."""
    new, cells, absent = {row["row"]: row for row in table["rows"]}, [], []
    judges = committed.get("judges") or {}
    seeds = _seeds(committed)
    for row in committed["rows"]:
        name, trained = row["row"], row["row"] in METHODS
        if name not in new:
            raise UserError(f"the new Table 1 has no row {name}; train and evaluate it first.")
        for score, old in row["ours"].items():
            if not old or old["mean"] is None:
                continue
            value, label = new[name]["ours"].get(score), f"{SCORES[score].heading} of {name}"
            judge = judges.get(name, {}).get(score)
            judged = SCORES[score].weight == "joints"  # by a keypoint network
            if value is None or (judged and judge is None and not trained):
                absent.append(label)
                continue
            if value.get("seeds", 1) > 1:
                raise UserError("the new Table 1 is of several trainings; check one at a time.")
            cells.append({
                "row": name, "label": label, "score": score,
                "value": np.nan if value["mean"] is None else value["mean"],
                "judge": judge or 0.0,
                "by_seed": old["by_seed"][:seeds] if trained else [old["mean"]] * seeds,
                "rounding": 0.5 * 10.0 ** -SCORES[score].digits,
            })  # fmt: skip
    if not cells:
        raise UserError("the two tables have no number in common; evaluate the rows again.")
    return pd.DataFrame(cells), absent


def _others(by_seed, table, committed):
    """(the trainings, (S, N), that the new one is held against, `check`'s "same")."""
    seeds = (committed["facts"].get("seeds") or [])[: len(by_seed)]
    if table["facts"].get("seed") not in seeds:
        return by_seed, None
    if len(by_seed) == FEWEST:
        return by_seed, "counted"
    return np.delete(by_seed, seeds.index(table["facts"]["seed"]), 0), "left out"


def _seeds(committed):
    """How many trainings all numbers of the trained rows have; UserError: too few."""
    known = [
        len(value.get("by_seed", [0]))
        for row in committed["rows"] if row["row"] in METHODS
        for value in row["ours"].values() if value and value["mean"] is not None
    ]  # fmt: skip
    if min(known, default=0) < FEWEST:
        raise UserError(
            f"the committed Table 1 is not of several trainings: a spread needs {FEWEST} at least; "
            "make it with SEEDS=0,1,2."
        )
    return min(known)


def _line(record):
    """The result for the user in one line."""
    outside = [n for n in record["reproduction"] if not n["inside"]]
    outside.sort(key=lambda n: -abs(n["deviations"] or np.inf))
    far, fewest = sum(n["far"] for n in outside), record["of"] - record["allowed"]
    line = "Table 1 reproduced: " if record["passed"] else "Table 1 is not reproduced: "
    line += f"{record['inside']} of {record['of']} numbers within the spread of "
    line += f"{record['seeds']} {'other ' if record['same'] == 'left out' else ''}trainings"
    line += f" (at least {fewest} expected)" if record["inside"] < fewest else ""
    line += f", {far} far outside" if far else ""
    names = [f"{n['label']} ({away(n)})" for n in outside[:NAMED]]
    names += [f"{len(outside) - NAMED} more"] if len(outside) > NAMED else []
    return f"{line}; outside: {', '.join(names)}" if names else line


def away(number):
    """How far a number of `check` is from the mean of the committed trainings, in words."""
    if number["value"] is None:
        return "no number"
    if number["deviations"] is None:  # the committed ones do not differ
        return f"{number['value'] - number['mean']:+.{SCORES[number['score']].digits}f}"
    return f"{number['deviations']:+.1f} sd"
