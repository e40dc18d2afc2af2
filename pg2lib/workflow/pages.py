"""`pg2 publish` copies a user's results into the project's figures/; `pg2 pages` updates the tables
that pages quote from there.

A page contains `<!-- quote FILE -->`, a path from the project's root; the text up to `<!-- end -->`
is replaced by the file. `<!-- quote FILE columns SSIM, PCKh -->` takes only the first column and
those named of the file's first table. `<!-- claims STUDY, STUDY -->` puts the verdicts of these
studies' claims.json side by side. So no number on a page is typed by hand.
"""

import re
import shutil
from pathlib import Path

from pg2lib.core.files import UserError, read_record, write_atomically
from pg2lib.core.names import checked
from pg2lib.results import render, verdicts
from pg2lib.workflow.run_store import figures, project, shipped_figures

PAGES = ("README.md", "docs/results.md")
QUOTE = re.compile(
    r"(<!-- (quote|claims) (.+?)(?: columns ([^\n]+))? -->\n)(.*?)(<!-- end -->)", re.DOTALL
)


def quoted(page: str, root: Path) -> str:
    """The page with every quote updated from its file.

    Raises UserError for a missing file, or a column that its first table lacks.
    """

    def existing(path):
        if not path.exists():
            raise UserError(f"{path} is missing; run the command that writes it first")
        return path

    def replace(match):
        marker, kind, names, columns, _, end = match.groups()
        if kind == "claims":
            paths = [root / "figures" / name / "claims.json" for name in names.split(", ")]
            head, rows, summary = verdicts.side_by_side([read_record(existing(p)) for p in paths])
            text = f"{render.markdown_grid(head, rows, len(head))}\n\n{summary}"
        else:
            text = existing(root / names).read_text(encoding="utf-8")
            if columns:
                text = select_columns(text, columns.split(", "), root / names)
        return f"{marker}\n{text.strip()}\n\n{end}"

    return QUOTE.sub(replace, page)


def select_columns(text: str, names: list[str], path: Path) -> str:
    """The first Markdown table of a text, reduced to its first column and those named."""
    table = re.search(r"(^\|.*\n?)+", text, re.MULTILINE)
    lines = table[0].splitlines() if table else []
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]
    heads = rows[0] if rows else []
    if missing := [name for name in names if name not in heads]:
        raise UserError(f"{path} has no column {missing[0]!r}; it has {', '.join(heads)}")
    chosen = [0, *(heads.index(name) for name in names)]
    return "\n".join("| " + " | ".join(row[i] for i in chosen) + " |" for row in rows)


def update_pages() -> list[Path]:
    """Update the quotes of all pages; returns the pages."""
    paths = [project() / name for name in PAGES]
    for path in paths:
        page = quoted(path.read_text(encoding="utf-8"), project())
        with write_atomically(path) as temporary:
            temporary.write_text(page, encoding="utf-8")
    return paths


def publish(names=()) -> list[Path]:
    """Copy the named studies (default: all except profile smoke) from the user's figures to the
    project's, then `update_pages`; returns the folders and the pages. Files there that no run makes
    (a card, a screenshot) are kept.

    Raises UserError if there is nothing to publish, a name is unknown, or the project has no pages.
    """
    own, shipped = figures(), shipped_figures()
    there = sorted(path.name for path in own.glob("[!.]*/"))
    there = [name for name in there if "smoke" not in name.split("-")]
    if not there:
        raise UserError(f"{own} holds no results to publish; run `make reproduce`")
    for name in names:
        checked("study", name, there)
    if not all((project() / page).exists() for page in PAGES):
        raise UserError(f"{project()} is no checkout of the project; run `pg2 publish` in one")
    folders = [shipped / name for name in dict.fromkeys(names or there)]
    for folder in folders if own.resolve() != shipped.resolve() else ():
        for path in filter(Path.is_file, sorted((own / folder.name).rglob("[!.]*"))):
            target = folder / path.relative_to(own / folder.name)
            with write_atomically(target) as temporary:
                shutil.copyfile(path, temporary)
    return [*folders, *update_pages()]
