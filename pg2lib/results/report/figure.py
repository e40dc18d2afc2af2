"""A figure on the page: the PNG of a study, with a text in its place, and its files."""

import base64
import io
from html import escape

import numpy as np
from matplotlib.figure import Figure
from PIL import Image, UnidentifiedImageError

from pg2lib.core.files import UserError
from pg2lib.models import experiments
from pg2lib.results import figures, tables
from pg2lib.results.report.alternatives import alternative
from pg2lib.results.report.elements import link, slug
from pg2lib.results.report.files import Report
from pg2lib.results.report.sections import Picture
from pg2lib.results.report.source import source_html
from pg2lib.results.report.studies import Study, is_drawn, read_json

RUN = 60  # seconds: a PDF may be that much older than its PNG, since one run wrote both


def picture_html(report: Report, study: Study, picture: Picture) -> str:
    """A figure with what it shows and where it is from; its files are added to the report."""
    path = study.folder / picture.file
    facts = read_json(path.with_suffix(".json")) or {}
    dataset = facts.get("dataset", study.dataset)
    if picture.people and not is_drawn(dataset):
        half = experiments.SETTINGS[dataset].half if dataset in experiments.SETTINGS else None
        report.people.append(tables.HALVES.get(half, dataset))
    try:
        image = Image.open(path).convert("RGB")
    except (OSError, UnidentifiedImageError):
        raise UserError(f"{path} is no picture; delete it and run `{study.command}`") from None
    data = small_png(image) if report.few_colours else path.read_bytes()
    base = f"figures/{study.name}/{picture.name}"
    report.add(f"{base}.png", path, f"{study.name}/{path.name}")
    vector = path.with_suffix(".pdf")
    if vector.exists() and vector.stat().st_mtime >= path.stat().st_mtime - RUN:
        report.add(f"{base}.pdf", vector, f"{study.name}/{vector.name}, vector")
    else:
        report.add(f"{base}.pdf", pdf_page(image), f"{study.name}/{path.name} on a page")
    anchor = f"{study.anchor}-{slug(picture.name)}"
    files = f"{link(f'{base}.png', 'PNG', f'of {picture.name}, {study.name}')} " + link(
        f"{base}.pdf", "PDF", f"of {picture.name}, {study.name}"
    )
    text = alternative(picture.name, study, facts)
    width, height = (round(side * 2 / 3) for side in image.size)
    source = base64.b64encode(data).decode()
    return f"""<figure id="{anchor}">
<img src="data:image/png;base64,{source}" width="{width}" height="{height}" alt="{escape(text)}">
<figcaption><p>{escape(picture.caption)} <span class="files">{files}</span></p>
{source_html(study.facts | facts)}</figcaption>
</figure>"""


def small_png(image) -> bytes:
    stream = io.BytesIO()
    image.quantize(256, dither=Image.Dither.NONE).save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def pdf_page(image) -> bytes:
    """A picture on one page of its size, pixel for pixel. (Pillow's own PDF would compress it as
    JPEG, which blurs lines and letters.)"""
    sides = [side / figures.DPI for side in image.size]
    sheet, stream = Figure(sides, dpi=figures.DPI), io.BytesIO()
    sheet.figimage(np.asarray(image))
    sheet.savefig(stream, format="pdf", dpi=figures.DPI, metadata={"CreationDate": None})
    return stream.getvalue()
