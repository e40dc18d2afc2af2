"""`python -m benchmarks.replicate A B`: whether a second complete run finds what the first found.

A and B are folders of figures of two runs with several seeds each, on two machines or with another
number of threads. Counts the effects of B that lie inside A's 95 % intervals, in differences.json
and, where both have tested the claims, in claims.json; and what is decided one way in one run and
the other way in the other. Adds the answer to replicate.json.
"""

import argparse
import math
import sys
from pathlib import Path

from pg2lib.core.files import UserError, read_json, write_json
from pg2lib.evaluation.statistics import FAILS, HOLDS
from pg2lib.results.comparisons import outcome

RESULTS = Path(__file__).parent / "replicate.json"
OPPOSITES = {HOLDS, FAILS}, {"as in the paper", "AGAINST the paper"}, {"higher", "lower"}
EFFECT = ("score", "row", "against", "expected")


def main():
    options = parser().parse_args()
    first, second = read(options.first), read(options.second)
    answer = {"first": options.first.name, "second": options.second.name}
    answer |= {"seeds": [first[2], second[2]]} | compare(first, second)
    kept = [a for a in read_json(RESULTS) or [] if (a["first"], a["second"]) !=
            (answer["first"], answer["second"])]  # fmt: skip
    write_json(RESULTS, [*kept, answer])
    for kind in ("claims", "differences"):
        found = answer[kind]
        print(
            f"{kind}: {found['inside']} of {found['of']} effects inside the first run's intervals"
        )
        print("".join(f"  outside: {text}\n" for text in found["outside"]), end="")
    print(f"verdicts: {answer['alike']} of {answer['verdicts']} alike")
    print("".join(f"  {text}\n" for text in answer["changed"]), end="")
    print(f"decided one way here, the other way there: {len(answer['opposed'])}")


def parser():
    top = argparse.ArgumentParser(prog="python -m benchmarks.replicate", description=__doc__)
    top.add_argument("first", type=Path, help="folder of the first run's figures")
    top.add_argument("second", type=Path, help="of the second")
    return top


def read(folder):
    """(claims, differences, seeds) of a folder of figures; without claims.json no claims."""
    names = "claims", "differences", "table1"
    claims, differences, table1 = (read_json(folder / f"{name}.json") for name in names)
    if differences is None or table1 is None:
        raise UserError(
            f"{folder} lacks differences.json or table1.json; run make reproduce for it"
        )
    return claims or {"claims": []}, differences, table1["facts"]["seeds"]


def compare(first, second) -> dict:
    """What the second run found, held against the first: JSON values."""
    effects = [
        {(claim["name"], *(part[key] for key in EFFECT)): part
         for claim in claims["claims"] for part in claim["comparisons"]}
        for claims, *_ in (first, second)
    ]  # fmt: skip
    differences = [
        {(line["row"], line["minus"], line["score"]): line | {"effect": line["difference"]}
         for line in lines}
        for _, lines, *_ in (first, second)
    ]  # fmt: skip
    verdicts = [
        {c["name"]: c["verdict"] for c in claims["claims"]}
        | {" ".join(key): said(line) for key, line in of.items()}
        for (claims, *_), of in zip((first, second), differences)
    ]
    shared = [name for name in verdicts[0] if name in verdicts[1]]
    changed = {
        n: (verdicts[0][n], verdicts[1][n]) for n in shared if verdicts[0][n] != verdicts[1][n]
    }
    texts = [f"{name}: {a} -> {b}" for name, (a, b) in changed.items()]
    opposed = [name for name, pair in changed.items() if set(pair) in OPPOSITES]
    return {
        "claims": inside(*effects), "differences": inside(*differences),
        "verdicts": len(shared), "alike": len(shared) - len(changed), "changed": texts,
        "opposed": opposed,
    }  # fmt: skip


def said(line) -> str:
    """The outcome of a line of differences.json."""
    paper = math.nan if line["paper"] is None else line["paper"]
    return outcome(line["low"], line["high"], paper, by_seed=line["by_seed"])


def inside(first, second) -> dict:
    """How many effects of the second run lie in the intervals of the first; only those that both
    measured with an interval."""
    both = [k for k in first if k in second and None not in (first[k]["low"], second[k]["effect"])]
    texts = [
        f"{' '.join(map(str, k))}: {second[k]['effect']:+.4f}, "
        f"first {first[k]['effect']:+.4f} [{first[k]['low']:+.4f}, {first[k]['high']:+.4f}]"
        for k in both
        if not first[k]["low"] <= second[k]["effect"] <= first[k]["high"]
    ]
    return {"inside": len(both) - len(texts), "of": len(both), "outside": texts}


if __name__ == "__main__":
    from pg2lib.cli import status_of

    sys.exit(status_of(main))
