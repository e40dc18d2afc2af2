"""The notes below tables: paragraphs of text, templates of Jinja2 in note_texts/."""

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEXTS = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("note_texts")),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEXTS.filters["form"] = format  # {{ pairs | form(",") }}


def notes(template: str, *facts, **more) -> list[str]:
    """The paragraphs of note_texts/TEMPLATE.txt, one line each. facts, more: the values it uses, as
    for a dict."""
    text = TEXTS.get_template(f"{template}.txt").render(*facts, **more)
    paragraphs = re.split(r"\n\s*\n", text)
    return [re.sub(r"\s*\n\s*", " ", part.strip()) for part in paragraphs if part.strip()]
