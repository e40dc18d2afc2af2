"""One HTML page with the results of every study, and all figures and tables as files beside it:
the template in report_page/, filled from the JSON files in the figures folder. The page works
offline: style, script and pictures are inside it."""

import base64
import json
import re
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from PIL import Image, UnidentifiedImageError

from pg2lib.core.config import SETTINGS
from pg2lib.core.files import UserError, read_record
from pg2lib.evaluation.scores import SCORES
from pg2lib.evaluation.statistics import FAILS, UNSEEN
from pg2lib.results import provenance, render
from pg2lib.results.columns import without_empty
from pg2lib.results.own_files import MANIFEST, files_in, rewritten

PAGE = "report.html"
PDF_AGE = 60  # seconds: an older PDF was not written together with its PNG
TEMPLATE = Path(__file__).with_name("report_page")
# Heading -> {figure: caption, or table: ""}, in the order of the page; {}: all other figures.
SECTIONS = json.loads((TEMPLATE / "sections.json").read_text(encoding="utf-8"))
CAPTIONS = {name: caption for names in SECTIONS.values() for name, caption in names.items()}
FOLDED = ("Papers after PG2", "Further scores", "Further figures")
CHART = re.compile("curves|scores|effects|convergence|check|shift")  # figures without people


@dataclass
class Study:
    """A folder of results."""

    folder: Path
    dataset: str | None  # None: both halves of Table 1
    profile: str
    seeds: tuple[int, ...]
    command: str
    drawn: bool
    written: str  # "" if unknown
    shipped: bool = False  # bundled with the project
    sections: list = field(default_factory=list)  # (heading, tables, figures), see `fill`

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def anchor(self) -> str:
        return f"shipped--{slug(self.name)}" if self.shipped else slug(self.name)

    @property
    def place(self) -> str:
        """Its folder below the report's tables/ and figures/."""
        return f"shipped--{self.name}" if self.shipped else self.name

    @property
    def heading(self) -> str:
        seeds = f", seed {self.seeds[0]}" if any(self.seeds) else ""
        if len(self.seeds) > 1:
            seeds = f", {len(self.seeds)} trainings"
        return f"{self.dataset or 'Both halves of Table 1'}, profile {self.profile}{seeds}"

    def record(self, name):
        return load(self.folder / f"{name}.json")


def write_report(figures, out, comparison=None, shipped=None) -> list[Path]:
    """Write the report of every study in a figures folder; returns the paths of its files, the
    page first. The files of an older report in `out` are replaced at the end; no other is touched.

    comparison: Markdown file with a table to append (docs/paper-vs-code.md), or None. shipped:
    folder of the figures that come with the project; its studies stand after the others. UserError:
    no results, a damaged file, or `out` holds files but no report."""
    out, studies = Path(out).absolute(), studies_in(figures)
    if shipped and Path(shipped).resolve() != Path(figures).resolve():
        studies += studies_in(shipped, shipped=True)
    if not studies:
        remedy = "run `make reproduce`, or name another folder with PG2_FIGURES"
        raise UserError(f"{figures} holds no results; {remedy}")
    with rewritten(out, "report") as new:
        for study in studies:
            fill(study, new)
        (new / PAGE).write_text(page(studies, comparison), encoding="utf-8")
        names = files_in(new)
    return [out / name for name in (PAGE, *(n for n in names if n != PAGE), MANIFEST)]


def studies_in(figures, shipped=False) -> list[Study]:
    """The studies in a figures folder, newest first, those of pictures alone at the end, without
    those of profile smoke. UserError: a file is not JSON."""
    studies = [study_of(path) for path in sorted(Path(figures).glob("[!.]*/"))]
    studies = [replace(s, shipped=shipped) for s in studies if s and s.profile != "smoke"]

    def rank(study):
        return any(study.record(f"table{number}") for number in (1, 2)), study.written

    return sorted(studies, key=rank, reverse=True)


def study_of(folder: Path) -> Study | None:
    """The study whose results a folder holds; None if no JSON file names data set and profile."""
    paths = sorted(folder.glob("*.json"), key=lambda path: (path.stem != "table1", path))
    records = [record for record in map(load, paths) if isinstance(record, dict)]
    facts = next(filter(None, (study_facts(record, folder.name) for record in records)), None)
    if not facts:
        return None
    dataset, setting = facts["dataset"], SETTINGS.get(facts["dataset"])
    drawn = facts.get("drawn", setting is not None and setting.drawn)
    books = {record["made_by"] for record in records if "made_by" in record}
    command = facts.get("command") or ""
    if not command or command.endswith(".ipynb"):
        command = f".venv/bin/jupyter execute {' '.join(sorted(books | {command} - {''}))}"
    command += "" if drawn else " PG2_DATA=<folder>"
    seeds = tuple(facts.get("seeds") or [facts.get("seed") or 0])
    written = max(record.get("written", "") for record in records)
    return Study(folder, dataset, facts["profile"], seeds, command, drawn, written)


def study_facts(record: dict, name: str) -> dict | None:
    """Data set, profile and more of a table or of the JSON file of a figure in the folder of this
    name, if it names them."""
    facts, rows = record.get("facts", record), record.get("rows")
    half = next((key.partition(":")[0] for key in facts if key.endswith(":dataset")), None)
    if half:  # both halves of Table 1
        own = {key: facts.get(f"{half}:{key}") for key in ("profile", "seed", "seeds", "drawn")}
        return own | {"dataset": None, "command": facts["command"]}
    if isinstance(rows, list) and rows:  # Table 2
        own = [row for row in rows if name == f"{row.get('dataset')}-{row.get('profile')}"]
        facts = (own or rows)[0] | facts
    return facts if {"dataset", "profile"} <= set(facts) else None


def load(path: Path):
    """The parsed JSON file; None if it is missing."""
    record = read_record(path)
    if record is None and path.exists():
        raise UserError(f"{path} is not JSON; delete it and run `make reproduce` again")
    return record


def fill(study: Study, out: Path):
    """Write the tables and figures of a study below `out` and list them in study.sections."""
    pictures = {path.stem: path for path in sorted(study.folder.glob("*.png"))}
    other = [name for name, path in pictures.items()
             if name not in CAPTIONS and path.with_suffix(".json").exists()]  # fmt: skip
    for heading, names in SECTIONS.items():
        tables = [study.folder / f"{name}.json" for name in names if not names[name]]
        if "table1" in names:  # and those of other SSIM recipes, in folders of their own
            tables += sorted(study.folder.glob("*/table1.json"))
        tables = [table_entry(study, path, out) for path in tables if path.exists()]
        figures = [pictures[name] for name in names or other if name in pictures]
        figures = [figure_entry(study, path, out) for path in figures]
        if tables or figures:
            study.sections.append((heading, tables, figures))


def table_entry(study: Study, path: Path, out: Path) -> dict:
    """A table for the template; its files are written below tables/."""
    record, name = load(path), str(path.relative_to(study.folder).with_suffix(""))
    try:
        files, view = render.render(record), without_empty(render.view(record))
    except (KeyError, TypeError):
        raise UserError(f"{path} is not a table; delete it and run `{study.command}`") from None
    links = {}
    for kind, suffix in (("LaTeX", ".tex"), ("CSV", ".csv"), ("Markdown", ".md")):
        links[kind] = f"tables/{study.place}/{name}{suffix}", files[suffix]
        target = out / links[kind][0]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(files[suffix], encoding="utf-8", newline="\n")
    facts = record.get("facts", {}) if isinstance(record, dict) else {}
    return {"name": name, "anchor": f"{study.anchor}-{slug(name)}", "view": view, "files": links,
            "facts": facts | {"command": study.command}}  # fmt: skip


def figure_entry(study: Study, path: Path, out: Path) -> dict:
    """A figure for the template; its files are copied below figures/."""
    facts = load(path.with_suffix(".json")) or {}
    try:
        with Image.open(path) as image:
            width, height = (round(side * 2 / 3) for side in image.size)
    except (OSError, UnidentifiedImageError):
        raise UserError(f"{path} is not an image; delete it and run `{study.command}`") from None
    files, vector = {"PNG": path}, path.with_suffix(".pdf")
    if vector.exists() and vector.stat().st_mtime >= path.stat().st_mtime - PDF_AGE:
        files["PDF"] = vector
    folder = Path("figures") / study.place
    (out / folder).mkdir(parents=True, exist_ok=True)
    for file in files.values():
        shutil.copyfile(file, out / folder / file.name)
    caption = CAPTIONS.get(path.stem) or path.stem.replace("_", " ").capitalize() + "."
    return {
        "name": path.stem,
        "anchor": f"{study.anchor}-{slug(path.stem)}",
        "caption": caption,
        "alt": facts.get("alt") or f"{caption} {study.heading}.",
        "data": base64.b64encode(path.read_bytes()).decode(),
        "width": width,
        "height": height,
        "files": {kind: str(folder / file.name) for kind, file in files.items()},
        "people": facts.get("people", not CHART.search(path.stem)),
        "facts": facts | {"command": study.command},
    }


def page(studies, comparison=None) -> str:
    """The page as HTML. Arguments as for `write_report`; the studies are filled."""
    loader = FileSystemLoader(TEMPLATE)
    environment = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"slug": slug, "inline": inline}
    shown = [study.dataset for study in studies if not study.drawn
             and any(f["people"] for _, _, figures in study.sections for f in figures)]  # fmt: skip
    halves = {name: render.HALVES[setting.half] for name, setting in SETTINGS.items()}
    claims, against = [(study, study.record("claims")) for study in studies], (FAILS, UNSEEN)
    return environment.get_template("page.html").render(
        studies=studies,
        own=[study for study in studies if not study.shipped],
        shipped=[study for study in studies if study.shipped],
        lead=take_lead(studies),
        folded=FOLDED,
        people=list(dict.fromkeys(halves.get(name, name) for name in shown)),
        small=not any(study.profile in ("paper", "released") for study in studies),
        failed=[(study, table["notes"][0], [c for c in table["claims"] if c["verdict"] in against])
                for study, table in claims if table],
        comparison=comparison_table(Path(comparison)) if comparison else None,
        stamp=provenance.stamp(),
        manifest=MANIFEST,
        references=list(render.LABELS),
        scores=[SCORES[name] for name in ("ssim", "sharpness")],
    )  # fmt: skip


def take_lead(studies) -> tuple[Study, dict] | None:
    """The figure that the page begins with and its study, taken out of the study's sections: the
    user's own before those that come with the project, Figure 4 before other pictures of people and
    charts, and of the project's the generators that ship; None if there is no figure."""
    every = [(study, figure, figures) for study in studies for _, _, figures in study.sections
             for figure in figures]  # fmt: skip
    ranks = [(s.shipped, f["name"] != "figure4", not f["people"], s.shipped and s.profile != "demo")
             for s, f, _ in every]  # fmt: skip
    if not every:
        return None
    study, lead, figures = every[ranks.index(min(ranks))]
    figures.remove(lead)
    study.sections[:] = [section for section in study.sections if any(section[1:])]
    return study, lead


def comparison_table(path: Path):
    """(head, rows) of the first table in a Markdown file; None if the file or table is missing."""
    text = path.read_text("utf-8") if path.exists() else ""
    table = re.search(r"(^\|.*\n)+", text, re.MULTILINE)
    if not table:
        return None
    lines = [line.strip("|").split(" | ") for line in table[0].splitlines()]
    head, _, *rows = [[cell.strip() for cell in line] for line in lines]
    return head, rows


MARKED = re.compile(
    r"`(?P<code>[^`]+)`|\*(?P<em>[^*\s][^*]*)\*| (?P<small>\[[+-]?\d[\d.]*, [+-]?\d[\d.]*\])"
)
TAGS = {"code": "<code>{}</code>", "em": "<em>{}</em>",
        "small": ' <span class="interval">{}</span>'}  # fmt: skip


def inline(text: str) -> str:
    """Escaped text as HTML: `code`, *emphasis* and [intervals] in tags of their own."""
    return MARKED.sub(lambda match: TAGS[match.lastgroup].format(match[match.lastgroup]), text)


def slug(text: str) -> str:
    """Text as an id: letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"
