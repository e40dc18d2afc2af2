"""Pieces of HTML that several parts of the page are made of."""

import re
from html import escape
from urllib.parse import quote


def heading(level: int, anchor: str, text: str) -> str:
    return f'<h{level} id="{escape(anchor)}">{escape(text)}</h{level}>'


def link(path: str, text: str, about: str) -> str:
    return f'<a href="{quote(path)}">{text}<span class="unseen"> {escape(about)}</span></a>'


def slug(text: str) -> str:
    """Text as an id: letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"
