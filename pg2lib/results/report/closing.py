"""What stands below the studies: the claims that do not hold, docs/paper-vs-code.md, commands."""

from html import escape

from pg2lib.results import claim_verdicts, tables
from pg2lib.results.report.elements import heading
from pg2lib.results.report.markdown import Grid, parse, plain, rendered
from pg2lib.results.report.studies import read_json
from pg2lib.results.report.table import grid_html
from pg2lib.workflow import run_store as runs


def differs_html(studies) -> str:
    """The claims that do not hold, study by study."""
    parts = [heading(2, "measured-differences", "What did not come out as in the paper")]
    for study in studies:
        table = read_json(study.folder / "claims.json")
        if not table:
            continue
        fails = [claim for claim in table["claims"] if claim["verdict"] == claim_verdicts.FAILS]
        parts.append(heading(3, f"{study.anchor}-differs", study.heading))
        parts.append(f"<p>{escape(table['notes'][0])}</p>")
        items = [
            f"<li>{escape(claim['claim'])} ({escape(claim['place'])}). <em>{escape(claim['why'])}"
            "</em></li>"
            for claim in fails
        ]
        parts.append(f"<ul>{''.join(items)}</ul>" if items else "<p>None.</p>")
    if len(parts) == 1:
        parts.append('<p class="missing">No study here has claims.json: '
                     "<code>make reproduce</code> writes it.</p>")  # fmt: skip
    return "<section>\n" + "\n".join(parts) + "\n</section>"


def documented_html() -> str:
    """docs/paper-vs-code.md."""
    path = runs.project() / "docs" / "paper-vs-code.md"
    anchor = "paper-and-code"
    if not path.exists():
        return (
            f'<section>{heading(2, anchor, "The paper and the released code")}\n<p class="missing">'
            "docs/paper-vs-code.md is not here; it comes with a checkout of the project.</p>"
            "</section>"
        )
    title, blocks = parse(path.read_text(encoding="utf-8"))
    parts, last = [heading(2, anchor, title)], title
    for number, block in enumerate(blocks):
        if isinstance(block, Grid):
            parts.append(grid_html(block, last, f"{anchor}-{number}", hidden=True))
        else:
            last = plain(block["children"]) if block["type"] == "heading" else last
            parts.append(rendered([block]))
    return "<section>\n" + "\n".join(parts) + "\n</section>"


def again_html(studies) -> str:
    """A table: what makes each study again, how long that took, and where."""
    lines = []
    for study in studies:
        run = read_json(study.folder / "run.json") or {}
        machine = run.get("machine", {})
        cores = f"{machine['cores']} cores" if machine.get("cores") else ""
        on = ", ".join(filter(None, [machine.get("gpu") or machine.get("processor"), cores]))
        seconds = f"{run['seconds']:,.0f} s" if run.get("seconds") else "—"
        lines.append([study.name, f"`{study.command}`", seconds, on or "—"])
    header = ["study", "command", "time", "machine"]
    _, (grid,) = parse(tables.markdown_grid(header, lines, left=2))
    return "\n".join(
        [
            "<section>",
            heading(2, "again", "How to make everything again"),
            "<p>In a checkout of the project, in this order; each command goes on where it stopped "
            "and skips what is there. Then <code>make report</code> writes this page.</p>",
            grid_html(grid, "Commands", "again-commands", hidden=True),
            "</section>",
        ]
    )
