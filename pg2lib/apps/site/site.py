"""A folder of pages that any web server or a double click opens; nothing is loaded from outside.

index.html, the pose studio (`studio_page`), the executed notebooks, the pages of docs/ and the
report. A link to a file of the project is kept by copying the file to files/; others lose theirs.
"""

import base64
import io
import os
import re
import shutil
from functools import lru_cache
from html import escape, unescape
from pathlib import Path

import matplotlib
import nbformat
from matplotlib import mathtext
from matplotlib.font_manager import FontProperties
from nbconvert import HTMLExporter
from nbconvert.filters import markdown2html

from pg2lib.apps.site import studio_page
from pg2lib.core.files import read_json, sha256, write_atomically, write_json
from pg2lib.results import own_files
from pg2lib.results.report import write_report
from pg2lib.workflow import run_store as runs

HERE = Path(__file__).parent
LIVE = ("application/vnd.jupyter.widget-view+json", "application/javascript")  # need a kernel
CODE = re.compile(r"(<pre.*?</pre>|<code.*?</code>)", re.DOTALL)
FORMULA = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+?)\$", re.DOTALL)
LINK = re.compile(r'(<a [^>]*?href|<img [^>]*?src)="([^"#]*)(#[^"]*)?"')
HEADING = re.compile(r'(<h\d id="|<a class="anchor-link" href="#)([^"]+)"')
# TeX that matplotlib does not know, and what is drawn instead
SIMPLER = (
    (r"\\[Bb]ig+[lr]?(?![a-z])", ""),
    (r"\\tag\{(\w+)\}", r"\\qquad (\1)"),
    (r"\\(mathcal|mathbb) (\w)", r"\\\1{\2}"),
    (r"\\le(?![a-z])", r"\\leq"),
)


def write_site(study, out, log) -> Path:
    """Write the site of a study (its networks and people in the studio) into a folder, in place of
    an older one; returns its first page. UserError: `own_files.rewritten`, or a part of the site
    cannot be made."""
    with own_files.rewritten(out, "site") as new:
        write_studio(study, new, log)
        log("report, notebooks and documents")
        write_pages(new)
    return Path(out).absolute() / "index.html"


def write_pages(out):
    """All but the studio."""
    project = runs.project()
    comparison = project / "docs" / "paper-vs-code.md"
    write_report(runs.figures(), out / "report", comparison, runs.shipped_figures())
    lead_back(out / "report")
    sources = [*sorted((project / "notebooks").glob("*.ipynb")), project / "README.md"]
    sources += sorted((project / "docs").glob("*.md"))
    places = {path: path.relative_to(project).with_suffix(".html") for path in sources}
    titles = {path: write_source(path, out, places) for path in sources}
    listed = {
        name: "\n".join(
            f'<li><a href="{place.as_posix()}">{escape(titles[path])}</a></li>'
            for path, place in places.items() if (path.suffix == ".ipynb") == (name == "notebooks")
        )
        for name in ("notebooks", "documents")
    }  # fmt: skip
    write_page(out, "index.html", "PG2 companion", filled("index.html", **listed))


def lead_back(report):
    """Give the report a link to the site; its manifest keeps the sum of the page with the link."""
    page, manifest = report / "report.html", report / own_files.MANIFEST
    text = page.read_text(encoding="utf-8")
    back = '<p><a href="../index.html">Notebooks, pose studio, documents</a></p>'
    page.write_text(text.replace("<header>", f"<header>\n{back}", 1), encoding="utf-8")
    written = read_json(manifest)
    written["files"][page.name] = sha256(page)
    write_json(manifest, written)


def write_studio(study, out, log):
    """studio.html and what it loads."""
    (out / "studio").mkdir(parents=True, exist_ok=True)
    studio_page.write(study, out / "studio", log)
    style = (HERE.parent / "pose_studio" / "widget.css").read_text(encoding="utf-8")
    modules = {name: studio_page.module(HERE / f"{name}.js") for name in ("page", "worker")}
    whom, warning = "people that this project draws", ""
    if not study.setting.drawn:
        whom = f"people of {escape(study.data_name)}"
        warning = f'<p role="note"><strong>Shows {whom}: not for redistribution.</strong></p>'
    body = filled("studio.html", whom=whom, warning=warning, **modules)
    write_page(out, "studio.html", "Pose studio", body, style)


def write_source(path, out, places) -> str:
    """Write the page of a notebook or document; returns its title."""
    body, style = (notebook if path.suffix == ".ipynb" else document)(path)
    body = linked(with_formulas(body), path, out, places)
    write_page(out, places[path], title := heading(body), body, style)
    return title


def filled(template: str, **texts) -> str:
    """A template of this folder with texts in place of its comments."""
    page = (HERE / "pages" / template).read_text(encoding="utf-8")
    for name, text in texts.items():
        page = page.replace(f"<!--{name}-->", text)
    return page


def write_page(out, place, title: str, body: str, style: str = ""):
    top = "../" * (len(Path(place).parts) - 1)
    path = Path(out, place)
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as temporary:
        text = filled("page.html", title=escape(title), style=style, top=top, body=body)
        temporary.write_text(text, encoding="utf-8")


def notebook(path):
    """(HTML, CSS) of an executed notebook, pictures in place of what needs a kernel."""
    content = nbformat.read(path, 4)
    for cell in content.cells:
        for output in cell.get("outputs", ()):
            for kind in LIVE:
                output.get("data", {}).pop(kind, None)
    exporter = HTMLExporter(
        template_name="basic", exclude_input_prompt=True, exclude_output_prompt=True
    )
    body, resources = exporter.from_notebook_node(content)
    return body, "\n".join(resources.get("inlining", {}).get("css", ()))


def document(path):
    """(HTML, CSS) of a page in Markdown."""
    body = markdown2html(path.read_text(encoding="utf-8"))
    return f"<article>{HEADING.sub(as_on_github, body)}</article>", ""


def as_on_github(match) -> str:
    """A heading's id, or the link to it, as GitHub writes it, and so the links in our pages."""
    name = re.sub(r"[^\w-]", "", unescape(match[2]).lower())
    return f'{match[1]}{name}"'


def heading(body: str) -> str:
    """The first heading of a page, as text."""
    found = re.search(r"<h1[^>]*>(.*?)(<a class=.anchor-link.*?)?</h1>", body, re.DOTALL)
    return unescape(re.sub("<[^>]+>", "", found[1])).strip() if found else "PG2"


def linked(body: str, source, out, places) -> str:
    """The page of a source file with its links to files of the project leading into the site."""

    def replace(match):
        kind, address, part = match[1], match[2], match[3] or ""
        if not address or re.match(r"[a-z]+:", address):
            return match[0]
        target = Path(os.path.normpath(source.parent / address))
        if target in places:
            place = places[target]
        elif target.is_file() and target.is_relative_to(runs.project()):
            place = Path("files", target.relative_to(runs.project()))
            (out / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(target, out / place)
        else:
            return kind.removesuffix("href").removesuffix("src")  # no link
        return f'{kind}="{Path(os.path.relpath(place, places[source].parent)).as_posix()}{part}"'

    return LINK.sub(replace, body)


def with_formulas(body: str) -> str:
    """A page whose formulas are drawings, outside code."""
    parts = CODE.split(body)
    return "".join(part if CODE.match(part) else FORMULA.sub(drawn, part) for part in parts)


def drawn(match) -> str:
    """A formula as a picture; one that matplotlib cannot draw as its source."""
    text = " ".join(unescape(match[1] or match[2]).split())
    try:
        picture, depth = formula(text)
    except ValueError:
        return f"<code>{escape(text)}</code>"
    style = f"vertical-align: {-depth:.1f}pt"
    image = f'<img class="formula" alt="{escape(text)}" style="{style}" src="{picture}">'
    return f'<span class="display">{image}</span>' if match[1] else image


@lru_cache(1000)
def formula(text: str) -> tuple[str, float]:
    """(SVG as an address, its depth below the line in points) of TeX. ValueError if that fails."""
    for pattern, simpler in SIMPLER:
        text = re.sub(pattern, simpler, text)
    stream, style = io.BytesIO(), {"savefig.facecolor": "none", "mathtext.fontset": "cm"}
    with matplotlib.rc_context(style):
        depth = mathtext.math_to_image(f"${text}$", stream, FontProperties(size=13), format="svg")
    return f"data:image/svg+xml;base64,{base64.b64encode(stream.getvalue()).decode()}", depth
