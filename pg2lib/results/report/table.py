"""A table on the page: the Markdown file of a study, with buttons, notes and its other forms."""

import re
from html import escape
from pathlib import Path

from pg2lib.results import claim_verdicts, tables
from pg2lib.results.report.elements import link, slug
from pg2lib.results.report.files import Report
from pg2lib.results.report.markdown import (
    Grid,
    csv_tables,
    latex_row,
    latex_tables,
    parse,
    plain,
    rendered,
)
from pg2lib.results.report.source import source_html
from pg2lib.results.report.studies import Study, read_json

CAPTIONS = {
    "differences": "Differences between rows, pair by pair",
    "presets": "The same images under every preset",
}
# A figure that the same notebook writes: where versions, commit and keys of a table stand.
WRITTEN_WITH = {
    "table1": "figure4",
    "more_scores": "figure4",
    "differences": "scores",
    "presets": "scores",
    "claims": "claims_effects",
}
# The value to come near; of scores that are not here the highest is best.
AIMS = {"sharpness": 1.0} | {
    tables.SCORES[name].heading: 0.0
    for name in ("background_copy", "body_copy", "pose_copy", "lpips", "fid", "kid")
}
BEST = (
    "Bold, on this page alone: the best trained row of a column, as far as the decimals shown "
    "tell; the highest, but for sharpness the nearest to 1, and for copy scores, LPIPS, FID and "
    "KID the nearest to 0."
)
VERDICTS = (claim_verdicts.HOLDS, claim_verdicts.FAILS, claim_verdicts.CANNOT)


def table_html(report: Report, study: Study, name: str) -> str:
    """A table with its caption, buttons and notes; its files are added to the report."""
    path = study.folder / f"{name}.md"
    text = path.read_text(encoding="utf-8")
    title, blocks = parse(text)
    title = title or f"{CAPTIONS.get(path.stem, path.stem)} ({study.heading})"
    anchor = f"{study.anchor}-{slug(name)}"
    made = {".tex": latex_tables(title, blocks), ".md": text, ".csv": csv_tables(blocks)}
    copies = {}
    for suffix, otherwise in made.items():
        written = path.with_suffix(suffix)
        there = written.exists()
        copies[suffix] = written.read_text(encoding="utf-8") if there else otherwise
        source = f"{study.name}/{written.name if there else path.name}"
        report.add(f"tables/{study.name}/{name}{suffix}", copies[suffix], source)
    parts = [tools_html(copies, title, anchor, f"tables/{study.name}/{name}")]
    scored = path.stem in ("table1", "more_scores")
    grids, notes = [block for block in blocks if isinstance(block, Grid)], []
    for number, block in enumerate(blocks):
        if isinstance(block, Grid):
            first = plain(block.header[0])
            caption = title if len(grids) == 1 or not first else f"{title}: {first}"
            bold = best(block) if scored else set()
            parts.append(grid_html(block, caption, f"{anchor}-{number}", bold, rows=True))
        elif not plain(block.get("children", [])).startswith("Made by"):
            notes.append(block)
    if scored:
        notes.append({"type": "paragraph", "children": [{"type": "text", "raw": BEST}]})
    parts += [notes_html(notes), source_html(table_facts(study, path))]
    return f'<div class="table" id="{anchor}">\n' + "\n".join(parts) + "\n</div>"


def tools_html(copies: dict, title: str, anchor: str, base: str) -> str:
    """The buttons that copy a table, and links to its files. copies: suffix -> content."""
    buttons, links = [], []
    for suffix, content in copies.items():
        kind = {".tex": "LaTeX", ".md": "Markdown", ".csv": "CSV"}[suffix]
        hidden = f"{anchor}{suffix.replace('.', '-')}"
        buttons.append(
            f'<button type="button" data-copy-from="{hidden}" data-what="{escape(title)}, as '
            f'{kind}">Copy as {kind}</button><pre id="{hidden}" hidden>{escape(content)}</pre>'
        )
        links.append(link(f"{base}{suffix}", suffix, f"of {title}"))
    return (
        f'<div class="tools"><span class="script">{"".join(buttons)}</span>'
        f'<span class="files">{" ".join(links)}</span></div>'
    )


def notes_html(notes) -> str:
    """The notes of a table; a list among them, claim by claim, folded below the line above it."""
    folded = ""
    for at, block in enumerate(notes):
        if block["type"] == "list":
            line = rendered(notes[at - 1]["children"]).rstrip(":")
            folded = f"<details><summary>{line}</summary>{rendered([block])}</details>\n"
            notes = notes[: at - 1] + notes[at + 1 :]
            break
    return f'{folded}<div class="notes">{rendered(notes)}</div>'


def grid_html(grid, caption, anchor, bold=frozenset(), rows=False, hidden=False) -> str:
    """A table in a box of its own that scrolls where it is too wide.

    Args:
        grid: Grid.
        caption: text.
        anchor: id of the caption, unique on the page.
        bold: (row, column) of the cells to set in bold.
        rows: whether each row gets a button that copies it as LaTeX.
        hidden: whether the caption is for screen readers only.
    """
    columns = [[plain(row[c]) for row in grid.rows] for c in range(len(grid.header))]
    right = [
        "num" if x else "text long" if max(map(len, column), default=0) > 60 else "text"
        for x, column in zip(grid.right, columns)
    ]
    head = [
        f'<th scope="col" class="{kind}">{rendered(cell) or "<span class=unseen>row</span>"}</th>'
        for kind, cell in zip(right, grid.header)
    ]
    if rows:
        head.append('<th scope="col" class="tool"><span class="unseen">copy</span></th>')
    lines = []
    for r, row in enumerate(grid.rows):
        cells = []
        for c, (kind, cell) in enumerate(zip(right, row)):
            inside, text = with_intervals(rendered(cell)), plain(cell)
            if (r, c) in bold:
                inside = re.sub(r"^[^ <]+", r"<strong>\g<0></strong>", inside)
            if "<br>" in inside:
                kind = "text lines"
            if text in VERDICTS:
                kind += f" verdict {slug(text)}"
            elif kind == "num" and not re.search(r"\d", text):
                kind += " none"
            tag = 'th scope="row"' if c == 0 else "td"
            cells.append(f'<{tag} class="{kind}">{inside}</{tag[:2]}>')
        if rows:
            name = " ".join(filter(None, map(plain, row[:1])))
            cells.append(
                f'<td class="tool"><button type="button" data-copy="{escape(latex_row(row))}" '
                f'data-what="the row {escape(name)}, as LaTeX" title="Copy the row as LaTeX">'
                f'copy<span class="unseen"> row {escape(name)} as LaTeX</span></button></td>'
            )
        lines.append(f"<tr>{''.join(cells)}</tr>")
    unseen = ' class="unseen"' if hidden else ""
    label = escape(anchor)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-labelledby="{label}"><table>'
        f'<caption id="{label}"><span{unseen}>{escape(caption)}</span></caption>\n'
        f"<thead><tr>{''.join(head)}</tr></thead>\n<tbody>\n" + "\n".join(lines) + "\n</tbody>"
        "</table></div>"
    )


def with_intervals(html: str) -> str:
    """A cell's HTML with the intervals marked, so that they can be set smaller."""
    number = r"[+-]?\d+(?:\.\d+)?"
    return re.sub(rf" (\[{number}, {number}\])", r' <span class="interval">\1</span>', html)


def best(grid) -> set:
    """(row, column) of the best trained rows of a table of scores, see BEST; ties all count."""
    trained = [r for r, row in enumerate(grid.rows) if plain(row[0]) not in tables.LABELS.values()]
    marked = set()
    for c, cell in enumerate(grid.header[1:], start=1):
        score = plain(cell).removeprefix("paper ")
        for half in tables.HALVES.values():
            score = score.removeprefix(f"{half}: ")
        found = {r: re.match(r"-?\d+(?:\.\d+)?", plain(grid.rows[r][c])) for r in trained}
        worth = {r: float(match[0]) for r, match in found.items() if match}
        if score in AIMS:
            worth = {r: -abs(value - AIMS[score]) for r, value in worth.items()}
        if len(set(worth.values())) > 1:
            marked |= {(r, c) for r, value in worth.items() if value == max(worth.values())}
    return marked


def table_facts(study: Study, path: Path) -> dict:
    """What a table was made from: its own facts, and those of a figure written with it."""
    record = read_json(path.with_suffix(".json"))
    facts = record.get("facts", {}) if isinstance(record, dict) else {}
    other = WRITTEN_WITH.get(path.stem)
    beside = (read_json(path.with_name(f"{other}.json")) if other else None) or {}
    same = ("dataset", "profile", "seed", "command")
    if any(facts.get(key, beside.get(key)) != beside.get(key) for key in same):
        beside = {}
    return study.facts | beside | facts | {"as_of": other if beside else None}
