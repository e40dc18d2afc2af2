"""Tables as aligned text for a terminal: no intervals, no empty columns, never wider than asked."""

import re
import shutil

from pg2lib.results.render import MISSING, View, view

EMPTY = (MISSING, "no weights", "not estimated", "not scored", "")
ASIDE = re.compile(r" (\[[^\]]*\]|± [\d.]+)|[ᵃᵇᶜᵈᵉᶠ]")  # intervals, spreads and footnotes
GAP = "  "


def columns() -> int:
    """The width of the terminal; 100 where there is none."""
    return shutil.get_terminal_size((100, 24)).columns


def text(record, width: int = 100) -> str:
    """A table (record or View) as aligned lines of at most `width` characters; of a wider one the
    columns continue below, each time beside those that name the row. No line of it is longer,
    unless these and a single column are."""
    table = record if isinstance(record, View) else view(record)
    kept = filled_columns(table)
    cells = [[ASIDE.sub("", row[k]).strip() for k in kept] for row in table.rows]
    columns = [column_lines(table.head[k], column, k < table.left)
               for k, column in zip(kept, zip(*cells))]  # fmt: skip
    names, blocks = columns[: table.left], [[]]
    start = used = sum(len(column[-1]) + len(GAP) for column in names) - len(GAP)
    for column in columns[table.left :]:
        wide = len(GAP) + len(column[-1])
        if blocks[-1] and used + wide > width:
            blocks.append([])
            used = start
        blocks[-1].append(column)
        used += wide
    return "\n\n".join([table.title.strip(), *(joined([*names, *block]) for block in blocks)])


def filled_columns(table: View) -> list[int]:
    """The columns that say something, the paper's only beside one of this project."""
    kept = []
    for k, head in enumerate(table.head):
        alone = head.startswith("paper ") and (
            k - 1 not in kept or table.head[k - 1].rpartition(": ")[2] != head[len("paper ") :]
        )
        if k < table.left or not alone and any(row[k] not in EMPTY for row in table.rows):
            kept.append(k)
    return kept


def column_lines(head: str, cells, left: bool) -> list[str]:
    """The lines of a column, all of one width: its heading broken at spaces, a rule, its cells."""
    words = head.split(" ") if head else [""]
    wide = max(map(len, (*words, *cells)))
    lines = [*words, "-" * wide, *cells]
    return [line.ljust(wide) if left else line.rjust(wide) for line in lines]


def joined(columns) -> str:
    tall = max(map(len, columns))
    padded = [[" " * len(column[-1])] * (tall - len(column)) + column for column in columns]
    return "\n".join(GAP.join(line).rstrip() for line in zip(*padded))
