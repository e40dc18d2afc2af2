"""Pages quote the files they name, to the letter."""

import re

import pytest

from pg2lib.core.files import UserError
from pg2lib.workflow import pages
from pg2lib.workflow.run_store import project


def test_a_quote_is_replaced_and_what_surrounds_it_is_kept(tmp_path):
    (tmp_path / "t.md").write_text("| 1 |\n")
    page = "Before.\n<!-- quote t.md -->\nold \\1\n<!-- end -->\nAfter.\n"
    new = pages.quoted(page, tmp_path)
    assert new == "Before.\n<!-- quote t.md -->\n\n| 1 |\n\n<!-- end -->\nAfter.\n"
    assert pages.quoted(new, tmp_path) == new


def test_a_quote_can_select_columns_of_the_first_table(tmp_path):
    table = "|  | a | b | c |\n| --- | ---: | ---: | ---: |\n| row | 1 |  | 3 |\n"
    (tmp_path / "t.md").write_text(f"**Title**\n\n{table}\nNote.\n\n| other | a |\n")
    page = "<!-- quote t.md columns c, b -->\n<!-- end -->"
    new = pages.quoted(page, tmp_path)
    assert new.splitlines()[2:5] == ["|  | c | b |", "| --- | ---: | ---: |", "| row | 3 |  |"]
    assert "Title" not in new and "Note" not in new and "other" not in new
    with pytest.raises(UserError, match="no column 'd'; it has , a, b, c"):
        pages.quoted("<!-- quote t.md columns d -->\n<!-- end -->", tmp_path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="gone.md is missing"):
        pages.quoted("<!-- quote gone.md -->\n<!-- end -->", tmp_path)


@pytest.mark.parametrize("name", pages.PAGES)
def test_the_projects_pages_hold_what_the_files_say(name):
    page = (project() / name).read_text(encoding="utf-8")
    assert pages.quoted(page, project()) == page, "run `make pages`"
    assert page.count("<!-- quote ") == len(pages.QUOTE.findall(page))


def test_the_results_page_quotes_its_tables():
    page = (project() / "docs" / "results.md").read_text(encoding="utf-8")
    names = {path.split("/")[-1] for _, path, *_ in pages.QUOTE.findall(page)}
    assert {"table1.md", "claims.md"} <= names


def test_the_readmes_snippet_runs(capsys):
    text = (project() / "README.md").read_text(encoding="utf-8")
    snippet = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    names = {}
    exec(snippet.replace('"quick"', '"smoke"'), names)
    size = names["data"].images.shape[1:]
    assert {part: image.shape for part, image in names["images"].items()} == dict.fromkeys(
        ("coarse", "difference", "refined"), size
    )
