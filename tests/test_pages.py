"""Pages quote the files they name, to the letter."""

import json
import re

import pytest

from pg2lib import cli
from pg2lib.core.files import UserError
from pg2lib.workflow import pages
from pg2lib.workflow import run_store as runs
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


def claims_of(dataset, seeds, **verdicts):
    claims = [{"name": name, "claim": f"{name}!", "place": "3.1", "verdict": verdict}
              for name, verdict in verdicts.items()]  # fmt: skip
    return json.dumps({"facts": {"dataset": dataset, "seeds": seeds}, "claims": claims})


def test_the_verdicts_of_studies_stand_side_by_side(tmp_path):
    drawn = claims_of("drawn", [0, 1], a="holds", b="does not hold", c="holds", d="not measured")
    real = claims_of("real", [0], c="does not hold", a="holds", e="cannot tell", b="not measured")
    write(tmp_path / "figures" / "one" / "claims.json", drawn)
    write(tmp_path / "figures" / "two" / "claims.json", real)
    page = "<!-- claims one, two -->\n<!-- end -->\n"
    new = pages.quoted(page, tmp_path)
    assert new.splitlines()[2:10] == [
        "| claim | place | drawn, 2 trainings | real, 1 training |",
        "| --- | --- | --- | --- |",
        "| a! | 3.1 | holds | holds |",
        "| b! | 3.1 | does not hold | not measured |",
        "| c! | 3.1 | holds | does not hold |",
        "| d! | 3.1 | not measured | — |",
        "| e! | 3.1 | — | cannot tell |",
        "",
    ]
    assert new.splitlines()[10] == (
        "Of 5 claims: 1 hold wherever they were measured, 1 fail wherever they were measured, 1 "
        "hold on one data set and fail on another, 1 not measured, 1 open on at least one data set."
    )
    assert pages.quoted(new, tmp_path) == new
    with pytest.raises(UserError, match="three/claims.json is missing"):
        pages.quoted(page.replace("two", "three"), tmp_path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="gone.md is missing"):
        pages.quoted("<!-- quote gone.md -->\n<!-- end -->", tmp_path)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A project with a page that quotes a table, and a user's results of two studies."""
    for module in (runs, pages):
        monkeypatch.setattr(module, "project", lambda: tmp_path)
    monkeypatch.delenv("PG2_FIGURES")
    monkeypatch.setenv("PG2_RUNS", str(tmp_path / "runs"))
    write(tmp_path / "README.md", "<!-- quote figures/drawn-quick/table1.md -->\n<!-- end -->\n")
    write(tmp_path / "docs" / "results.md", "nothing quoted\n")
    write(tmp_path / "figures" / "drawn-quick" / "table1.md", "| shipped |\n")
    write(tmp_path / "figures" / "drawn-quick" / "card.md", "of the generators\n")
    for name in ("drawn-quick", "real-lite", "drawn-smoke", "drawn-smoke-seeds0-2", ".litter"):
        write(tmp_path / "runs" / "figures" / name / "table1.md", f"| mine, {name} |\n")
    write(tmp_path / "runs" / "figures" / "real-lite" / "patn-target" / "table1.md", "| inside |\n")
    return tmp_path


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_what_is_published_is_copied_and_then_quoted(checkout, capsys):
    assert cli.main(["publish"]) == 0
    figures = checkout / "figures"
    found = {str(path.relative_to(figures)): path.read_text() for path in figures.glob("**/*.*")}
    assert found == {
        "drawn-quick/table1.md": "| mine, drawn-quick |\n",
        "drawn-quick/card.md": "of the generators\n",  # no run makes it
        "real-lite/table1.md": "| mine, real-lite |\n",
        "real-lite/patn-target/table1.md": "| inside |\n",
    }
    assert "| mine, drawn-quick |" in (checkout / "README.md").read_text()
    told = capsys.readouterr().out
    assert str(figures / "real-lite") in told and "README.md" in told


def test_one_study_can_be_published_alone(checkout):
    assert [path.name for path in pages.publish(["real-lite"])][0] == "real-lite"
    assert "| shipped |" in (checkout / "README.md").read_text()
    assert (checkout / "figures" / "real-lite" / "table1.md").exists()


@pytest.mark.parametrize("name", ["real-light", "drawn-smoke", "../figures"])
def test_what_cannot_be_published_is_refused_with_the_nearest_name(checkout, name, capsys):
    assert cli.main(["publish", "drawn-quick", name]) == 2
    said = capsys.readouterr().err
    assert "The choices are: drawn-quick, real-lite" in said or "choose one of" in said
    assert name != "real-light" or "did you mean real-lite" in said
    assert "| shipped |" in (checkout / "figures" / "drawn-quick" / "table1.md").read_text()


def test_without_results_or_a_checkout_nothing_is_published(checkout, monkeypatch):
    (checkout / "docs" / "results.md").unlink()
    with pytest.raises(UserError, match="is no checkout of the project"):
        pages.publish()
    assert not (checkout / "figures" / "real-lite").exists()
    monkeypatch.setenv("PG2_FIGURES", str(checkout / "none"))
    with pytest.raises(UserError, match="holds no results to publish; run `make reproduce`"):
        pages.publish(["drawn-quick"])


def test_figures_that_are_the_projects_own_are_not_copied(checkout, monkeypatch):
    monkeypatch.setenv("PG2_FIGURES", str(checkout / "figures"))
    pages.publish()
    assert "| shipped |" in (checkout / "README.md").read_text()


@pytest.mark.parametrize("name", pages.PAGES)
def test_the_projects_pages_hold_what_the_files_say(name):
    page = (project() / name).read_text(encoding="utf-8")
    assert pages.quoted(page, project()) == page, "run `make pages`"
    assert len(re.findall("<!-- (?:quote|claims) ", page)) == len(pages.QUOTE.findall(page))


def test_the_results_page_quotes_its_tables():
    page = (project() / "docs" / "results.md").read_text(encoding="utf-8")
    names = {path.split("/")[-1] for _, _, path, *_ in pages.QUOTE.findall(page)}
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
