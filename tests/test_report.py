"""The report of small made-up studies: the page as a parser sees it, and the files beside it."""

import base64
import json
import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from pg2lib import cli, picture_commands
from pg2lib.core.files import UserError
from pg2lib.evaluation.statistics import CANNOT, FAILS, HOLDS
from pg2lib.results import own_files, render, report, tables
from pg2lib.results.columns import without_empty
from pg2lib.workflow.notebooks import notebooks
from pg2lib.workflow.run_store import project

VERDICTS = (HOLDS, FAILS, CANNOT)
ROWS = ("G1-CE-L1", "G1-HME-L1", "G1-L1", "G1-poseMaskLoss", "G1+D", "G1+G2+D")
PAPER = {
    row: {"ssim": 0.2 + k / 100, "mask_ssim": 0.8, "inception": 3.0, "mask_inception": 2.455}
    for k, row in enumerate(ROWS)
}
SIDECAR = {
    "made_by": "notebooks/05_metrics.ipynb",
    "seed": 0,
    "split": "held-out people",
    "config": {"data": {"height": 64, "width": 32}},
    "inputs": {"data": "00aa", "condition": "01bb"} | {row: f"{k}cc" for k, row in enumerate(ROWS)},
    "written": "2026-01-02 03:04:05",
    "versions": {"python": "3.11.7", "torch": "2.9"},
    "commit": "abc123def456",
}
VOID = {"meta", "img", "br", "link", "input"}


class Page(HTMLParser):
    """What tests ask of a page: elements with their attributes, and texts by element."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.errors = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        element = {"tag": tag, "text": ""} | dict(attributes)
        for link in [e for e in self.open if e["tag"] == "a"]:
            link["text"] += element.get("alt", "")  # what names a link around a picture
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop()["tag"] != tag:
            self.errors.append(tag)

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def all(self, *tags):
        return [element for element in self.elements if element["tag"] in tags]


def table_of(dataset, profile="quick"):
    def summary(row, mean):
        value = {"mean": mean, "low": mean - 0.0123, "high": mean + 0.0456}
        return {
            "row": row, "dataset": dataset, "height": 64, "width": 32, "pairs": 1234,
            "identities": 60, "preset": "pg2", "mask_from": "target", "mask_variant": "released",
            "scores": {"ssim": value, "mask_ssim": value, "sharpness": value, "inception": None,
                       "mask_inception": None},
        }  # fmt: skip

    every = {"condition": summary("condition", 0.1)}
    every |= {row: summary(row, 0.3 + (k * 7 % 5) / 50) for k, row in enumerate(ROWS)}
    every |= {"target": summary("target", 1.0)}
    command = f"make reproduce DATASET={dataset} PROFILE={profile}"
    facts = {"half": "market1501", "profile": profile, "seed": 0, "split": "held-out people",
             "command": command, "drawn": dataset.startswith("synthetic")}  # fmt: skip
    return tables.table1({row: [found] for row, found in every.items()}, PAPER, facts)


def add_picture(folder, name, dataset, **changes):
    pixels = np.random.default_rng(len(name)).integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(pixels).save(folder / f"{name}.png")
    command = f"make reproduce DATASET={dataset} PROFILE=quick"
    record = SIDECAR | {"figure": f"{name}.png", "dataset": dataset, "profile": "quick"}
    text = json.dumps(record | {"command": command} | changes)
    (folder / f"{name}.json").write_text(text)


def add_study(root, dataset="synthetic-market", name=None):
    folder = root / (name or f"{dataset}-quick")
    folder.mkdir(parents=True)
    render.write(folder, "table1", table_of(dataset))
    claims = {
        "title": "The paper's claims, tested",
        "facts": table_of(dataset)["facts"],
        "claims": [
            {
                "name": f"claim-{k}", "place": "4.3", "claim": f"row {k} is better", "why": "So.",
                "verdict": verdict, "made_at": "here",
                "comparisons": [{"measure": "SSIM, a − b", "expected": "> 0.001",
                                 "shown": "+0.034 [+0.031, +0.036]"}] * 2,
            }
            for k, verdict in enumerate(VERDICTS)
        ],
        "notes": ["Of 3 claims 1 hold.", "Effect: a minus b."],
    }  # fmt: skip
    render.write(folder, "claims", claims)
    for picture in ("figure4", "scores", "claims_effects", "mask_loss_curves"):
        add_picture(folder, picture, dataset)
    lines = [f"{stage},{step},{2.0 - step / 100}" for stage in ("G1-L1", "G1-poseMaskLoss")
             for step in range(1, 101)]  # fmt: skip
    (folder / "logs.csv").write_text("\n".join(["stage,step,l1", *lines]) + "\n")
    return folder


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """(figures folder, report folder, its paths) of two drawn studies."""
    root = tmp_path_factory.mktemp("report")
    add_study(root / "figures")
    add_study(root / "figures", "synthetic-fashion")
    return root / "figures", root / "out", report.write_report(root / "figures", root / "out")


@pytest.fixture(scope="module")
def text(written):
    return written[2][0].read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_the_page_is_whole_and_asks_nobody_for_anything(page, text):
    assert page.errors == [] and page.open == []
    assert not page.all("link", "iframe", "object", "video", "audio", "embed", "base")
    sources = [e["src"] for e in page.elements if "src" in e]
    assert len(sources) == 8 and all(s.startswith("data:image/png;base64,") for s in sources)
    assert not any("src" in script for script in page.all("script"))
    style = page.all("style")[0]["text"]
    assert "url(" not in style and "@import" not in style
    script = "".join(element["text"] for element in page.all("script"))
    assert not re.search(r"fetch|XMLHttp|import\(|https?:", script)


def test_headings_are_in_order_without_gaps(page):
    levels = [int(e["tag"][1]) for e in page.all("h1", "h2", "h3", "h4", "h5", "h6")]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b <= a + 1 for a, b in zip(levels, levels[1:]))


def test_ids_are_unique_and_links_lead_somewhere(page, written):
    ids = [e["id"] for e in page.elements if "id" in e]
    assert len(set(ids)) == len(ids)
    links = [e["href"] for e in page.all("a")]
    inside = [href[1:] for href in links if href.startswith("#")]
    assert len(inside) > 8 and set(inside) <= set(ids)
    files = [href for href in links if not href.startswith(("#", "http"))]
    assert len(files) > 18 and all((written[1] / unquote(href)).is_file() for href in files)
    named = " ".join(e.get("aria-labelledby", "") for e in page.elements).split()
    assert set(named) <= set(ids)
    copied = [e["data-copy-from"] for e in page.all("button") if "data-copy-from" in e]
    assert copied and set(copied) <= set(ids)


def test_what_assistive_technology_needs_is_there(page):
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("main")) == len(page.all("header")) == len(page.all("footer")) == 1
    assert page.all("nav")[0]["aria-label"] and page.all("a")[0]["href"] == "#main"
    assert all(e["text"].strip() for e in page.all("a", "button", "th", "caption"))
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(e["scope"] in ("row", "col") for e in page.all("th"))
    boxes = [e for e in page.elements if e.get("class") == "scroll"]
    assert len(boxes) == len(page.all("table")) and all(e["tabindex"] == "0" for e in boxes)


def test_the_html_table_has_the_numbers_of_table1_json(text, written):
    table = json.loads((written[0] / "synthetic-market-quick" / "table1.json").read_text())
    part = text[text.index('id="synthetic-market-quick-table1"') :]
    found = Page(part[part.index("<table>") : part.index("</table>") + 8])
    cells = [e for e in found.elements if e["tag"] in ("td", "th")]
    lines = {e["text"]: k for k, e in enumerate(cells) if e.get("scope") == "row"}
    assert list(lines) == [row["label"] for row in table["rows"]]
    for row in table["rows"]:
        at, expected = lines[row["label"]] + 1, []
        for score in ("ssim", "mask_ssim", "sharpness"):  # the others have no value
            ours = row["ours"][score]
            expected += [ours and [f"{ours[k]:.3f}" for k in ("mean", "low", "high")]]
            if score in row["paper"]:
                value = row["paper"][score]
                expected += [None if value is None else [f"{value:.3f}"]]
        for want, cell in zip(expected, cells[at:], strict=False):
            assert re.findall(r"\d\.\d{3}", cell["text"]) == (want or [])
    heads = [e["text"] for e in cells if e.get("scope") == "col"][1:]
    assert heads == ["SSIM", "paper SSIM", "mask-SSIM", "paper mask-SSIM", "sharpness"]
    notes = part[: part.index('class="source"')]
    assert "Without a value and not shown here: IS, mask-IS, PCKh." in notes
    files = [path for path in written[2] if path.name == "table1.csv"]
    assert all("inception_paper" in path.read_text() for path in files) and len(files) == 2
    bold = [e["text"] for e in found.all("strong")]
    # ours in three columns, and the one of the paper's in which rows differ
    assert bold.count("0.380") == 3 and bold.count("0.250") == 1 and len(bold) == 4


def test_verdicts_are_words(page):
    cells = [e["text"] for e in page.all("td") if "verdict" in (e.get("class") or "")]
    assert cells == [*VERDICTS] * 2
    assert "row 1 is better (4.3). So." in page.all("main")[0]["text"]


def test_pictures_of_real_people_carry_a_warning(page, tmp_path):
    warning = "Contains images of Market-1501: not for redistribution."
    assert warning not in page.all("body")[0]["text"]
    folder = add_study(tmp_path / "figures", "market1501")
    new = Page(report.write_report(tmp_path / "figures", tmp_path / "out")[0].read_text())
    assert [e["text"] for e in new.all("p") if e.get("class") == "warning"] == [warning]
    assert "PG2_DATA=<folder>" in new.all("main")[0]["text"]
    (folder / "figure4.png").unlink()  # what is left are charts
    new = Page(report.write_report(tmp_path / "figures", tmp_path / "out")[0].read_text())
    assert not [e for e in new.all("p") if e.get("class") == "warning"]


def test_hostile_names_are_text(tmp_path):
    name = '"><script>alert(1)</script>&'
    folder = add_study(tmp_path / "figures", name="x'\"><b>&")
    for path in folder.glob("*.json"):
        path.write_text(path.read_text().replace("held-out people", json.dumps(name)[1:-1]))
    table = table_of("synthetic-market")
    table["rows"][1]["label"] = name
    table["title"] = f"Table {name}"
    render.write(folder, "table1", table)
    path = report.write_report(tmp_path / "figures", tmp_path / "out")[0]
    new = Page(path.read_text())
    assert new.errors == [] and len(new.all("script")) == 2 and not new.all("b")
    assert name in [e["text"].strip() for e in new.all("th")]
    assert "<script>alert" not in path.read_text()


def luminance(colour):
    """Relative luminance of WCAG 2.2."""
    channels = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return np.dot((0.2126, 0.7152, 0.0722), linear)


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_formula_against_known_values():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.005)


def test_colours_have_the_contrast_of_wcag_aa(page):
    style = re.sub(r"/\*.*?\*/", "", page.all("style")[0]["text"], flags=re.DOTALL)
    schemes = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    assert len(schemes) == 3  # light, dark, print
    for scheme in schemes:
        colours = dict(re.findall(r"--(\w+): (#\w{6})", scheme))
        for ink in ("ink", "quiet", "link", "holds", "fails", "cannot"):
            for ground in ("ground", "panel"):
                assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground, colours)
        assert contrast(colours["ink"], colours["warning"]) >= 4.5
    named = re.sub(r":root \{.*?\}", "", style, flags=re.DOTALL)
    assert not re.search(r"#[0-9a-f]{3,6}\b", named), "colours stand in :root alone"


def test_pictures_in_the_page_are_the_files_unchanged(page, written):
    found = [base64.b64decode(image["src"].partition(",")[2]) for image in page.all("img")]
    files = [path.read_bytes() for path in written[0].glob("*/*.png")]
    assert sorted(found) == sorted(files)
    for path in written[0].glob("*/*.png"):
        copy = written[1] / "figures" / path.parent.name / path.name
        assert copy.read_bytes() == path.read_bytes()


def test_figures_without_people_are_charts(page):
    charts = [e["alt"] for e in page.all("img") if e.get("class") == "chart"]
    pictures = [e["alt"] for e in page.all("img") if e.get("class") != "chart"]
    assert len(charts) == 6 and [alt[:9] for alt in pictures] == ["Figure 4:"] * 2


def test_alternative_texts_are_stored_or_derived(page, tmp_path):
    texts = [e["alt"] for e in page.all("img")]
    assert len(set(texts)) == len(texts) == 8 and all(len(t) > 60 for t in texts)
    figure4 = next(t for t in texts if t.startswith("Figure 4") and "synthetic-market" in t)
    assert figure4.endswith("rows of Table 1. synthetic-market, profile quick.")
    folder = add_study(tmp_path / "figures")
    add_picture(folder, "scores", "synthetic-market", alt="Bars: SSIM 0.3 & more")
    new = Page(report.write_report(tmp_path / "figures", tmp_path / "out")[0].read_text())
    assert "Bars: SSIM 0.3 & more" in [e["alt"] for e in new.all("img")]


def test_tables_are_files_in_three_formats_and_can_be_copied(page, written):
    for name in ("table1", "claims"):
        record = json.loads((written[0] / "synthetic-market-quick" / f"{name}.json").read_text())
        for kind, suffix in (("LaTeX", ".tex"), ("CSV", ".csv"), ("Markdown", ".md")):
            text = render.render(record)[suffix]
            path = written[1] / "tables" / "synthetic-market-quick" / f"{name}{suffix}"
            assert path.read_text(encoding="utf-8") == text
            shown = next(
                e for e in page.all("pre") if e["id"] == f"synthetic-market-quick-{name}-{kind}"
            )
            assert shown["text"].lstrip("\n") == text
    latex = (written[1] / "tables" / "synthetic-market-quick" / "claims.tex").read_text()
    assert "1 & row 0 is better & 4.3 & SSIM, a $-$ b: \\textgreater{} 0.001; SSIM, a" in latex
    for left, right in (("{", "}"), (r"\begin{", r"\end{")):
        assert latex.count(left) == latex.count(right)
    assert latex.isascii()


def test_figures_and_tables_name_their_source(page):
    text = next(e["text"] for e in page.all("figure") if e["id"].startswith("synthetic-market"))
    for words in ("make reproduce DATASET=synthetic-market PROFILE=quick", "profile quick, seed 0",
                  "2026-01-02 03:04:05", "abc123def456", "torch 2.9", "data 00aa"):  # fmt: skip
        assert words in text
    notes = page.all("main")[0]["text"]
    assert "held-out people" in notes and "1,234 test pairs of 60 people" in notes


def test_what_another_command_makes_is_named_with_it(page, tmp_path):
    missing = [e["text"] for e in page.all("p") if e.get("class") == "missing"]
    assert missing == ["Table 2 needs answers: open notebooks/09_user_study.ipynb."] * 2
    folder = add_study(tmp_path)
    (folder / "claims.json").unlink()
    [study] = report.studies_in(tmp_path)
    command = "<code>make claims DATASET=synthetic-market PROFILE=quick</code>"
    assert f"The paper's claims are tested by {command}." in report.page([study])


def test_the_page_begins_with_people_of_the_users_own_study_or_else_of_the_demo(tmp_path):
    own, shipped, out = tmp_path / "own", tmp_path / "shipped", tmp_path / "out"
    charts = add_study(shipped, "market1501")  # as in a clone: no photograph, and the newest
    (charts / "figure4.png").unlink()
    add_study(shipped)
    demo = shipped / "synthetic-fashion-demo"
    demo.mkdir()
    add_picture(demo, "figure4", "synthetic-fashion", profile="demo")

    def first():
        page = report.write_report(own, out, shipped=shipped)[0].read_text(encoding="utf-8")
        return Page(page).all("figure")[0]["id"]

    assert first() == "shipped--synthetic-fashion-demo-figure4"
    add_study(own)
    assert first() == "synthetic-market-quick-figure4"


def test_studies_of_other_seeds_have_other_headings(tmp_path):
    folders = {
        seeds: add_study(tmp_path, name=f"study{seeds[-1]}") for seeds in ((0,), (3,), (0, 1, 2))
    }
    for seeds, folder in folders.items():
        table = table_of("synthetic-market")
        table["facts"] |= {"seed": seeds[0], "seeds": seeds}
        render.write(folder, "table1", table)
    headings = {study.name: study.heading for study in report.studies_in(tmp_path)}
    assert headings == {
        "study0": "synthetic-market, profile quick",
        "study3": "synthetic-market, profile quick, seed 3",
        "study2": "synthetic-market, profile quick, 3 trainings",
    }


def rates(mean):
    return {"mean": mean, "low": 0.085, "high": 0.161, "wrong": 3, "of": 25}


def test_a_folder_with_answers_alone_is_a_study(tmp_path):
    folder = tmp_path / "figures" / "synthetic-market-demo"
    row = {"row": "G1-L1", "dataset": "synthetic-market", "profile": "demo", "seed": 0,
           "half": "market1501", "participants": 2, "unfinished": 0, "answers": 50,
           "ours": {"R2G": rates(0.12), "G2R": rates(0.13)}, "paper": None, "shown_again": 0,
           "exposure_ms": {"median": 1000}, "protocols": ["25+25"]}  # fmt: skip
    facts = {"command": "notebooks/09_user_study.ipynb"}
    render.write(folder, "table2", {"title": "Table 2", "facts": facts, "rows": [row], "notes": []})
    new = Page(report.write_report(tmp_path / "figures", tmp_path / "out")[0].read_text())
    heads = [e["text"] for e in new.all("h2", "h3")][:3]
    assert heads == ["synthetic-market, profile demo", "Table 2, the user study", "Commands"]
    assert not new.all("figure")
    assert any(e.get("class") == "interval" and e["text"] == "[8.5, 16.1]" for e in new.elements)


def test_a_folder_with_table_2_alone_is_that_of_its_own_line(tmp_path):
    folder = tmp_path / "synthetic-fashion-quick"
    folder.mkdir()
    names = ("synthetic-market", "synthetic-fashion")
    rows = [{"dataset": name, "profile": "quick", "seed": 0} for name in names]
    record = {"facts": {"command": "notebooks/09_user_study.ipynb"}, "rows": rows}
    (folder / "table2.json").write_text(json.dumps(record))
    found = report.study_of(folder)
    assert found.dataset == "synthetic-fashion"
    assert found.command == ".venv/bin/jupyter execute notebooks/09_user_study.ipynb"


def test_every_figure_with_a_record_is_shown(tmp_path):
    folder = add_study(tmp_path / "figures")
    add_picture(folder, "patn_attention", "synthetic-market")
    Image.new("RGB", (4, 4)).save(folder / "screenshot.png")
    new = Page(report.write_report(tmp_path / "figures", tmp_path / "out")[0].read_text())
    assert "Further figures" in [e["text"] for e in new.all("h3")]
    assert any(e["alt"].startswith("Patn attention.") for e in new.all("img"))
    assert not any("screenshot" in e["href"] for e in new.all("a"))


def test_the_newest_study_is_first_and_smoke_is_left_out(tmp_path):
    for dataset, when in (("synthetic-market", "2026-01-02"), ("market1501", "2026-03-01")):
        folder = add_study(tmp_path, dataset)
        add_picture(folder, "figure4", dataset, written=f"{when} 00:00:00")
    smoke = add_study(tmp_path, "synthetic-fashion", "synthetic-fashion-smoke")
    for path in smoke.glob("*.json"):
        path.write_text(path.read_text().replace("quick", "smoke"))
    halves = table_of("synthetic-market"), table_of("synthetic-fashion")
    halves[1]["facts"]["half"] = "deepfashion"
    both = tables.both_halves(halves, "make reproduce DATASET=all PROFILE=quick")
    render.write(tmp_path / "all-quick", "table1", both)
    (tmp_path / "synthetic-market-demo").mkdir()  # of a later hour with the pose studio
    changes = {"profile": "demo", "written": "2026-04-01 00:00:00"}
    add_picture(tmp_path / "synthetic-market-demo", "figure1", "synthetic-market", **changes)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "x.json").write_text('{"mine": 1}')
    studies = report.studies_in(tmp_path)
    assert [s.name for s in studies] == [
        "market1501-quick", "synthetic-market-quick", "all-quick", "synthetic-market-demo"
    ]  # fmt: skip
    assert studies[2].heading == "Both halves of Table 1, profile quick"
    assert studies[0].command.endswith("PG2_DATA=<folder>") and studies[1].drawn
    page = Page(report.write_report(tmp_path, tmp_path / "out")[0].read_text(encoding="utf-8"))
    made = [e["text"] for e in page.all("span") if e.get("class") == "made"]
    assert made == ["Made on 2026-03-01.", "Made on 2026-01-02.", "Made on 2026-04-01."]
    whole = [
        e for e in page.all("details") if e["text"].startswith(tuple(s.heading for s in studies))
    ]
    assert ["open" in e for e in whole[:3]] == [True, False, False], "the newest is unfolded"


def test_own_studies_come_before_those_of_the_project(tmp_path):
    own, shipped = tmp_path / "own", tmp_path / "shipped"
    add_picture(add_study(own), "figure4", "synthetic-market", written="2026-01-02 00:00:00")
    for dataset in ("synthetic-market", "synthetic-fashion"):
        folder = add_study(shipped, dataset)
        add_picture(folder, "figure4", dataset, written="2026-03-01 00:00:00")
    out = tmp_path / "out"
    page = Page(report.write_report(own, out, shipped=shipped)[0].read_text(encoding="utf-8"))
    ids = [e["id"] for e in page.elements if "id" in e]
    assert len(set(ids)) == len(ids)
    heads = [
        e["id"] for e in page.all("h2", "h3") if e["text"].startswith(("synthetic", "Shipped"))
    ]
    assert heads[:3] == ["synthetic-market-quick", "shipped", "shipped--synthetic-fashion-quick"]
    folded = {e.get("class"): "open" in e for e in page.all("details")}
    assert folded["shipped"] is False
    assert ["synthetic-market-quick, shipped"] == [
        e["text"] for e in page.all("th") if e["text"].startswith("synthetic-market-quick, ")
    ]
    assert "1 study of your own and 2 that come with the project" in page.all("header")[0]["text"]
    for place, folder in (("", own), ("shipped--", shipped)):
        name = "synthetic-market-quick/figure4.png"
        assert (out / "figures" / f"{place}{name}").read_bytes() == (folder / name).read_bytes()
        assert (out / "tables" / f"{place}synthetic-market-quick" / "table1.tex").exists()
    alone = Page(report.write_report(own, out, shipped=own)[0].read_text(encoding="utf-8"))
    assert not [e for e in alone.elements if e.get("id", "").startswith("shipped")]
    left = [path.name for path in (out / "figures").iterdir()]
    assert left == ["synthetic-market-quick"], "what only the older report held is gone"
    first = report.write_report(tmp_path / "none", tmp_path / "first", shipped=shipped)[0]
    page = Page(first.read_text(encoding="utf-8"))
    [whole] = [e for e in page.all("details") if e.get("class") == "shipped"]
    assert "open" in whole and "make reproduce makes your own" in page.all("header")[0]["text"]


def test_the_page_begins_with_a_picture_and_folds_long_tables(tmp_path):
    folder = add_study(tmp_path)
    lines = [{"row": "G1-L1", "minus": "G1+D", "claim": "4.3", "score": "ssim", "difference": 0.01,
              "low": 0.001, "high": 0.02, "paper": None, "p": None, "holm": None}] * 11  # fmt: skip
    render.write(folder, "differences", lines)
    page = Page(report.write_report(tmp_path, tmp_path / "out")[0].read_text(encoding="utf-8"))
    first = page.elements.index(page.all("main")[0])
    assert [e["id"] for e in page.elements[:first] if e["tag"] == "figure"] == [
        "synthetic-market-quick-figure4"
    ]
    assert len(page.all("figure")) == 4, "it is shown once"
    long = [e for e in page.all("details") if e.get("class") == "fold"]
    assert len(long) == 1 and "open" not in long[0] and "(11 rows)" in long[0]["text"]
    assert [e["text"] for e in page.all("h3")][:2] == ["Table 1", "Learning curves"]
    (folder / "figure4.png").unlink()
    page = Page(report.write_report(tmp_path, tmp_path / "out")[0].read_text(encoding="utf-8"))
    assert page.all("figure")[0]["id"].startswith("synthetic-market-quick-")


def test_every_table_has_a_place_and_no_figure_has_its_name():
    """A figure keeps its record in a .json file, as a table does."""
    outputs = {Path(name) for notebook in notebooks() for name in notebook.outputs}
    stems = {
        kind: {path.stem for path in outputs if path.suffix == kind} for kind in (".md", ".png")
    }
    assert stems[".md"] | {"reproduction"} <= set(report.CAPTIONS)
    assert not stems[".md"] & stems[".png"]


def test_a_pdf_is_copied_unless_it_is_old(tmp_path):
    folder = add_study(tmp_path / "figures")
    for name, age in (("figure4", 0), ("scores", 3600)):
        path = folder / f"{name}.pdf"
        path.write_bytes(b"%PDF-1.4 vector")
        when = (folder / f"{name}.png").stat().st_mtime - age
        os.utime(path, (when, when))
    out = tmp_path / "out"
    report.write_report(tmp_path / "figures", out)
    base = out / "figures" / "synthetic-market-quick"
    assert (base / "figure4.pdf").read_bytes() == b"%PDF-1.4 vector"
    assert not (base / "scores.pdf").exists()


def test_errors_name_the_remedy(tmp_path, written):
    with pytest.raises(UserError, match="make reproduce"):
        report.write_report(tmp_path / "none", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="is a file"):
        report.write_report(written[0], tmp_path / "file")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(UserError, match="no report"):
        report.write_report(written[0], tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]
    folder = add_study(tmp_path / "figures")
    (folder / "figure4.png").write_bytes(b"half")
    with pytest.raises(UserError, match=r"figure4\.png is not an image"):
        report.write_report(tmp_path / "figures", tmp_path / "out")
    (folder / "table1.json").write_text("{")
    with pytest.raises(UserError, match=r"table1\.json is not JSON"):
        report.write_report(tmp_path / "figures", tmp_path / "out")
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["figures", "file", "mine"], "nothing half-written"


def test_a_folder_that_is_no_report_is_refused_before_it_is_searched(tmp_path, monkeypatch):
    (tmp_path / "thesis.tex").write_text("x")
    monkeypatch.setattr(own_files, "files_in", lambda _: pytest.fail("it could be the whole disk"))
    with pytest.raises(UserError, match="holds files but no report"):
        own_files.user_files(tmp_path, "report")


def test_the_command_says_what_it_reads_before_it_works(monkeypatch, capsys):
    monkeypatch.setattr(
        picture_commands, "write_report", lambda *_: print("working") or [Path("page")]
    )
    assert cli.main(["report"]) == 0
    first, second, last = capsys.readouterr().out.splitlines()
    assert first.startswith("reading the results in ") and (second, last) == (
        "working",
        "wrote page",
    )


def test_a_place_that_all_claims_share_is_a_note():
    rows = [["1", "a", "x"], ["2", "b", "x"]]
    table = render.View("t", ["", "claim", "measured on"], rows, [], [], left=3)
    short = without_empty(table)
    assert short.head == ["", "claim"] and short.notes == ["All measured on x."]
    table.rows[1][2] = "y"
    assert without_empty(table).head == table.head


def test_a_second_report_replaces_the_first_and_keeps_what_is_not_its_own(tmp_path):
    folder, out = add_study(tmp_path / "figures"), tmp_path / "out"
    report.write_report(tmp_path / "figures", out)
    (out / "my-notes.txt").write_text("keep")
    (folder / "scores.png").unlink()
    report.write_report(tmp_path / "figures", out)
    assert not (out / "figures/synthetic-market-quick/scores.png").exists()
    edited = out / "tables" / "synthetic-market-quick" / "table1.tex"
    text = edited.read_text()
    edited.write_text(text + "% mine")
    with pytest.raises(UserError, match=r"table1\.tex was not written by the report"):
        report.write_report(tmp_path / "figures", out)
    assert edited.read_text().endswith("% mine")
    edited.write_text(text)
    assert (out / "my-notes.txt").read_text() == "keep"
    files = {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()}
    listed = set(json.loads((out / "manifest.json").read_text())["files"])
    assert files == listed | {"manifest.json", "my-notes.txt"}


def test_the_time_shown_is_that_of_all_steps_not_of_the_last_call(tmp_path):
    folder = add_study(tmp_path / "figures")
    steps = {"train a": 20_000.4, "evaluate a": 230.2}
    machine = {"processor": "P", "cores": 2, "gpu": None}
    text = json.dumps({"seconds": 127, "steps": steps, "machine": machine})
    (folder / "run.json").write_text(text)
    report.write_report(tmp_path / "figures", tmp_path / "out")
    page = Page((tmp_path / "out" / report.PAGE).read_text(encoding="utf-8"))
    heads, cells = ([e["text"] for e in page.all(tag)] for tag in ("th", "td"))
    assert "seconds of all steps when they were made" in heads
    assert cells[cells.index("20,231") + 1] == "P, 2 cores"


def test_a_broken_run_leaves_the_old_report(tmp_path):
    folder, out = add_study(tmp_path / "figures"), tmp_path / "out"
    before = report.write_report(tmp_path / "figures", out)[0].read_text()
    (folder / "figure4.png").write_bytes(b"half")
    with pytest.raises(UserError):
        report.write_report(tmp_path / "figures", out)
    assert (out / "report.html").read_text() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["figures", "out"]


def test_the_committed_results_make_a_report(tmp_path):
    """Tables and charts of the project's own figures folder; pictures are left out for speed."""
    for path in (project() / "figures").glob("*-*/*"):
        keep = path.suffix in (".md", ".json", ".csv", ".tex") or path.stem == "scores"
        if keep and path.suffix != ".pdf":
            (tmp_path / path.parent.name).mkdir(exist_ok=True)
            shutil.copyfile(path, tmp_path / path.parent.name / path.name)
    source = project() / "docs" / "paper-vs-code.md"
    path = report.write_report(tmp_path, tmp_path / "report", source)[0]
    new = Page(path.read_text(encoding="utf-8"))
    assert new.errors == []
    ids = [e["id"] for e in new.elements if "id" in e]
    assert len(set(ids)) == len(ids)
    words = new.all("main")[0]["text"]
    assert "The paper and the released code" in words and "G1-poseMaskLoss" in words
    source = source.read_text(encoding="utf-8")
    rows = [e["text"] for e in new.all("th") if e.get("scope") == "row"]
    numbers = re.findall(r"^\| (\d+) \|", source, re.MULTILINE)
    at = rows.index(numbers[0])
    assert len(numbers) == 30 and rows[at : at + 30] == numbers
    assert "---" not in rows  # only the first table of that file
