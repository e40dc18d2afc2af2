"""Tables as aligned text for a terminal: no intervals, no empty columns, never wider than asked."""

import re
import shutil

from pg2lib.results.columns import without_empty
from pg2lib.results.render import View, view

ASIDE = re.compile(r" (\[[^\]]*\]|± [\d.]+)|[ᵃᵇᶜᵈᵉᶠ]")  # intervals, spreads and footnotes
GAP = "  "


def columns() -> int:
    """The width of the terminal; 100 where there is none."""
    return shutil.get_terminal_size((100, 24)).columns


def text(record, width: int = 100) -> str:
    """A table (record or View) as aligned lines of at most `width` characters; of a wider one the
    columns continue below, each time beside those that name the row. No line of it is longer,
    unless these and a single column are."""
    table = without_empty(record if isinstance(record, View) else view(record))
    cells = [[ASIDE.sub("", cell).strip() for cell in row] for row in table.rows]
    columns = [column_lines(head, column, k < table.left)
               for k, (head, column) in enumerate(zip(table.head, zip(*cells)))]  # fmt: skip
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
