"""Markdown as the project's files hold it, read once, and as HTML, text, LaTeX and CSV."""

import csv
import functools
import io
import math
import re
from dataclasses import dataclass
from html import escape

import mistune
from mistune.core import BlockState

from pg2lib.results import tables
from pg2lib.results.report.elements import slug


@dataclass(frozen=True)
class Grid:
    """A table of a Markdown file: cells are mistune's inline tokens, right tells the alignment."""

    header: list
    rows: list
    right: list


def parse(text: str) -> tuple[str | None, list]:
    """(title, blocks) of a page of this project. The title is a first line all in bold, or the
    first heading; a block is a Grid or a token of mistune."""
    blocks = [block for block in _markdown()(text) if block["type"] != "blank_line"]
    title, first = None, blocks[0] if blocks else {}
    inline = first.get("children", [])
    if first.get("type") == "heading" or [token["type"] for token in inline] == ["strong"]:
        title, blocks = plain(inline), blocks[1:]
    return title, [_grid(block) if block["type"] == "table" else block for block in blocks]


@functools.cache
def _markdown():
    return mistune.create_markdown(renderer=None, plugins=["table"])


def _grid(table) -> Grid:
    head, *body = table["children"]
    rows = [row["children"] for part in body for row in part["children"]]
    return Grid(
        [cell["children"] for cell in head["children"]],
        [[cell["children"] for cell in row] for row in rows],
        [cell["attrs"]["align"] == "right" for cell in head["children"]],
    )


class Html(mistune.HTMLRenderer):
    """mistune's HTML, headings a level lower, with links to other pages as text, no pictures, and
    of HTML inside Markdown only what the tables of this project use."""

    def heading(self, text, level, **attributes):
        anchor = slug(re.sub(r"<[^>]*>", "", text))
        return f'<h{level + 1} id="{anchor}">{text}</h{level + 1}>\n'

    def inline_html(self, html):
        return html if html in ("<sup>", "</sup>", "<br>") else escape(html)

    def block_html(self, html):
        return "" if html.startswith("<!--") else f"<p>{escape(html)}</p>\n"

    def link(self, text, url, title=None):
        return super().link(text, url) if re.match("https?://", url) else text

    def image(self, text, url, title=None):
        return ""


def rendered(tokens) -> str:
    """Blocks or inline tokens of mistune as HTML."""
    return Html().render_tokens(tokens, BlockState())


def plain(tokens) -> str:
    """Inline tokens as text."""
    parts = []
    for token in tokens:
        raw = token.get("raw", "")
        if token["type"] == "inline_html":
            raw = {"<br>": "; ", "<sup>": "", "</sup>": ""}.get(raw, raw)
        parts.append(raw + plain(token.get("children", [])))
    return "".join(parts)


def latex(tokens) -> str:
    """Inline tokens as LaTeX."""
    parts = []
    for token in tokens:
        inside = latex(token.get("children", [])) or escape_latex(token.get("raw", ""))
        if token["type"] == "inline_html":
            marks = {"<br>": "; ", "<sup>": r"\textsuperscript{", "</sup>": "}"}
            inside = marks.get(token["raw"], inside)
        command = {"strong": r"\textbf", "emphasis": r"\emph", "codespan": r"\texttt"}
        command = command.get(token["type"])
        parts.append(f"{command}{{{inside}}}" if command else inside)
    return "".join(parts)


def escape_latex(text: str) -> str:
    return tables.escape_latex(text)


def latex_row(cells) -> str:
    return " & ".join(map(latex, cells)) + r" \\"


def latex_tables(title, blocks) -> str:
    """LaTeX of a page whose command writes none: its tables over as many pages as they need,
    columns of long text broken into lines, and the paragraphs below as notes."""
    parts = [r"% needs \usepackage{booktabs,longtable}"]
    for block in blocks:
        if not isinstance(block, Grid):
            continue
        columns = list(zip(*([plain(cell) for cell in row] for row in [block.header, *block.rows])))
        lengths = [max(map(len, column)) for column in columns]
        long = [math.sqrt(n) if n > 26 else 0 for n in lengths]
        kinds = [
            rf"p{{{0.75 * weight / sum(long):.2f}\linewidth}}" if weight else "lr"[right]
            for weight, right in zip(long, block.right)
        ]
        first = plain(block.header[0])
        caption = f"{title}: {first}" if first else title
        parts += [
            rf"\begin{{longtable}}{{{''.join(kinds)}}}",
            rf"\caption{{{escape_latex(caption)}.}} \\",
            r"\toprule",
            latex_row(block.header),
            r"\midrule",
            r"\endhead",
            *map(latex_row, block.rows),
            r"\bottomrule",
            r"\end{longtable}",
        ]
    notes = [latex(block["children"]) for block in blocks if is_paragraph(block)]
    notes = [note for note in notes if not note.endswith(":")]  # what leads to a list
    return "\n".join([*parts, r"{\footnotesize", *(rf"{note}\par" for note in notes), "}", ""])


def csv_tables(blocks) -> str:
    """CSV of a page whose command writes none: its cells as they read, a line between tables."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for number, grid in enumerate(block for block in blocks if isinstance(block, Grid)):
        writer.writerows(([],) * bool(number))
        writer.writerows([plain(cell) for cell in row] for row in [grid.header, *grid.rows])
    return text.getvalue()


def is_paragraph(block) -> bool:
    return isinstance(block, dict) and block["type"] == "paragraph"
