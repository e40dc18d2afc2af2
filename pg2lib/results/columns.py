"""Tables without uninformative columns, for people; their files keep every column."""

from dataclasses import replace

from pg2lib.results.render import MISSING, View

EMPTY = (MISSING, "no weights", "not estimated", "not scored", "")
EVERYWHERE = "measured on"  # a column of text that becomes a note where all its cells are the same


def without_empty(table: View) -> View:
    """The table without columns that are empty or, for facts of the study, constant, and without a
    paper's column that has no counterpart of this project. Its notes list what is left out."""
    kept, same = [], []
    for k, head in enumerate(table.head):
        alone = head.startswith("paper ") and (
            k - 1 not in kept or table.head[k - 1].rpartition(": ")[2] != head[len("paper ") :]
        )
        if head == EVERYWHERE and len(places := {row[k] for row in table.rows}) == 1:
            same = [f"All measured on {places.pop()}."]
        elif k < table.left or (not alone and any(row[k] not in EMPTY for row in table.rows)):
            kept.append(k)
    left_out = [h for k, h in enumerate(table.head) if k not in kept and h != EVERYWHERE]
    own = [head for head in left_out if f"paper {head}" in left_out or head[:6] != "paper "]
    note = [f"Without a value and not shown here: {', '.join(own)}."] if own else []
    return replace(
        table,
        head=[table.head[k] for k in kept],
        rows=[[row[k] for k in kept] for row in table.rows],
        notes=[*table.notes, *same, *note],
        best=frozenset((row, kept.index(k)) for row, k in table.best if k in kept),
    )
