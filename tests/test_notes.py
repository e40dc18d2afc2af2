"""The notes below tables: texts that are used, paragraphs in one line, no gap left silently."""

from pathlib import Path

import jinja2
import pytest

from pg2lib.results.notes import notes

LIBRARY = Path(__file__).resolve().parent.parent / "pg2lib"


def test_every_text_is_used():
    names = [path.stem for path in (LIBRARY / "results" / "note_texts").iterdir()]
    source = "\n".join(path.read_text(encoding="utf-8") for path in LIBRARY.glob("**/*.py"))
    assert names and [name for name in names if f'"{name}"' not in source] == []


def test_a_paragraph_is_a_line_and_a_choice_leaves_no_trace():
    one = notes("differences", several=False)
    assert len(one) == 1 and "\n" not in one[0] and one[0].endswith("alone, seen once.")
    [several] = notes("differences", several=True, counts=[3, 5], of=12)
    assert "mean of 3 or 5 trainings; in brackets" in several and "for the 12 lines of" in several
    [*_, last] = notes("claims_closing", untested=["First.", "Second."])
    assert last == "Not tested: First. Second."


def test_a_value_that_is_not_given_is_an_error():
    with pytest.raises(jinja2.UndefinedError, match="counts"):
        notes("differences", several=True)
