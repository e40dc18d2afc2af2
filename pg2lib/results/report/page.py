"""The page: title, summary, contents, and a part for each study with its tables and figures."""

import re
import time
from html import escape
from pathlib import Path

from pg2lib.results import figures, tables
from pg2lib.results.report.closing import again_html, differs_html, documented_html
from pg2lib.results.report.elements import heading, slug
from pg2lib.results.report.figure import picture_html
from pg2lib.results.report.files import MANIFEST, Report
from pg2lib.results.report.sections import SECTIONS, Section
from pg2lib.results.report.studies import Study, read_json, trained_means
from pg2lib.results.report.table import table_html
from pg2lib.workflow import pipeline

TITLE = "PG2: what was measured"
PAPER = (
    "L. Ma, X. Jia, Q. Sun, B. Schiele, T. Tuytelaars, L. Van Gool: Pose Guided Person Image "
    "Generation. Advances in Neural Information Processing Systems 30 (NIPS), 2017."
)


def page_html(report: Report) -> str:
    """The whole page as HTML; the files it links to are added to the report."""
    parts = [study_html(report, study) for study in report.studies]
    parts += [differs_html(report.studies), documented_html(), again_html(report.studies)]
    body = "\n".join(parts)
    real = " and ".join(dict.fromkeys(report.people))
    warning = (
        f'<p class="warning" role="note"><strong>Contains images of {escape(real)}: not for '
        "redistribution.</strong></p>"
        if real
        else ""
    )
    colours = (
        " The pictures on this page have 256 colours; the files beside it have all."
        if report.few_colours
        else ""
    )
    versions = ", ".join(f"{name} {value}" for name, value in figures.versions().items() if value)
    made = f"{time.strftime('%Y-%m-%d %H:%M')}, {versions}, commit {figures.commit() or 'unknown'}"
    style, script = (
        Path(__file__).with_name(f"report.{kind}").read_text(encoding="utf-8")
        for kind in ("css", "js")
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{TITLE}</title>
<style>
{style}</style>
<script>document.documentElement.classList.add("script");</script>
</head>
<body>
<a class="skip" href="#main">Skip to the results</a>
<header>
<h1>{TITLE}</h1>
<p class="paper">{escape(PAPER)}</p>
{warning}
{summary_html(report.studies)}
</header>
{contents(body)}
<main id="main" tabindex="-1">
{body}
</main>
<footer>
<p>Written by <code>pg2 report</code>, {escape(made)}.{colours} Where each file came from is in
<a href="{MANIFEST}">{MANIFEST}</a>.</p>
</footer>
<p id="copied" class="copied" role="status"></p>
<script>
{script}</script>
</body>
</html>
"""


def contents(body: str) -> str:
    """The contents of a page from its headings of the second and third level."""
    lines, inside = [], False
    for level, anchor, text in re.findall(r'<h([23]) id="([^"]+)">(.*?)</h\d>', body):
        if level == "2":
            lines += ["</ul></li>"] * inside + [f'<li><a href="#{anchor}">{text}</a><ul>']
            inside = True
        else:
            lines.append(f'<li><a href="#{anchor}">{text}</a></li>')
    items = "\n".join(lines).replace("<ul></ul>", "")
    return f'<nav aria-label="Contents"><ol>\n{items}</ul></li></ol></nav>'


def summary_html(studies) -> str:
    """What the report holds and what came out, all of it from the files."""
    own = [study for study in studies if study.dataset and not study.shipped]
    if not own:
        return '<p class="summary">Pictures of generators, none of which is scored yet.</p>'
    datasets = ", ".join(dict.fromkeys(study.dataset for study in own))
    number = "1 study" if len(own) == 1 else f"{len(own)} studies"
    said = f"The paper's tables and figures from {number} of {datasets}."
    if not any(study.profile in ("paper", "released") for study in own):
        said += (
            " None has the paper's width and number of iterations: rows can be compared with each "
            "other, and their differences with the paper's, but no number here is a reproduction "
            "of one there."
        )
    items = "".join(f"<li>{escape(outcome(study))}</li>" for study in own)
    return f'<p class="summary">{escape(said)}</p>\n<ul>{items}</ul>'


def outcome(study: Study) -> str:
    """A study's line of the summary."""
    table, claims = (read_json(study.folder / f"{name}.json") for name in ("table1", "claims"))
    of = "drawn people" if study.drawn else "real images"
    found = []
    if table:
        facts = table["facts"]
        found.append(f"{facts['pairs']:,} test pairs of {facts['identities']:,} people")
        for score in ("ssim", "sharpness"):
            means = trained_means(table, score)
            if means:
                best = max(means, key=means.get)
                found.append(f"the highest {tables.SCORES[score].heading} is {best}'s, "
                             f"{means[best]:.3f}")  # fmt: skip
    said = f"{study.dataset} ({of}, profile {study.profile}): {'; '.join(found) or 'no table yet'}."
    return f"{said} {claims['notes'][0]}" if claims else said


def study_html(report: Report, study: Study) -> str:
    """A study's part of the page."""
    parts = [heading(2, study.anchor, study.heading)]
    parts += filter(None, [section_html(report, study, section) for section in study.sections])
    if study.shipped:
        names = [name for section in SECTIONS if not section.missing for name in section.tables]
        command = pipeline.command(study.dataset, study.profile)
        remedy = f"`{command}` trains generators of that size again and scores them."
        parts.append(missing_html(study, [f"{name}.md" for name in names], remedy))
    body = "\n".join(parts)
    return f'<section class="study" aria-labelledby="{study.anchor}">\n{body}\n</section>'


def section_html(report: Report, study: Study, section: Section) -> str:
    """A section of a study: tables, figures, and what is missing. Of the generators that ship
    nothing is missed, and a section without anything is empty."""
    written = [name for name in section.tables if (study.folder / f"{name}.md").exists()]
    lacking = [f"{name}.md" for name in section.tables if name not in written]
    if section.tables == ("table1",):  # and the same of other recipes, see pipeline.table_folder
        written += sorted(f"{p.parent.name}/table1" for p in study.folder.glob("*/table1.md"))
    shown = [picture for picture in section.pictures if (study.folder / picture.file).exists()]
    parts = [table_html(report, study, name) for name in written]
    parts += [picture_html(report, study, picture) for picture in shown]
    if not study.shipped:
        if section.missing and lacking:
            parts.append(missing_html(study, lacking, section.missing))
            lacking = []
        lacking += [picture.file for picture in section.pictures if picture not in shown]
        it = "it" if len(lacking) == 1 else "them"
        if lacking:
            parts.append(missing_html(study, lacking, f"`{study.command}` writes {it}."))
    if not parts:
        return ""
    anchor = f"{study.anchor}-{slug(section.heading)}"
    return "\n".join([heading(3, anchor, section.heading), *parts])


def missing_html(study: Study, names: list[str], remedy: str) -> str:
    """A sentence: what is not there, and what makes it, with `commands`."""
    *others, last = names
    there = f"{', '.join(others)} and {last} are" if others else f"{last} is"
    text = escape(f"{there} not in {study.name}: {remedy}")
    text = re.sub(r"`([^`]*)`", r"<code>\1</code>", text)
    return f'<p class="missing">{text}</p>'
