"""The report in a browser: it asks for nothing but itself, and fits a desk, a phone and paper."""

import re

import pytest
from browsing import PROJECT

from pg2lib.results import report


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The report on the results that come with the project."""
    out = tmp_path_factory.mktemp("report") / "report"
    report.write_report(PROJECT / "figures", out, PROJECT / "docs" / "paper-vs-code.md")
    return out / "report.html"


@pytest.fixture
def page(context, written):
    page = context.new_page()
    page.goto(written.as_uri())
    yield page
    page.close()


def test_the_report_is_one_file(page, written, journal):
    addresses = {address for address in journal.addresses if not address.startswith("data:")}
    assert addresses == {written.as_uri()}
    widths = page.evaluate("[...document.images].map(image => image.naturalWidth)")
    assert widths and min(widths) > 0


@pytest.mark.parametrize("media, width", [("screen", 390), ("screen", 1280), ("print", 718)])
def test_nothing_is_wider_than_phone_desk_or_paper(media, width, page):
    page.emulate_media(media=media)
    page.set_viewport_size({"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_page_begins_with_a_picture_and_is_ten_screens_or_twenty_sheets_long(page):
    page.set_viewport_size({"width": 1280, "height": 800})
    assert page.evaluate("document.documentElement.scrollHeight") <= 10 * 800
    picture = page.locator("figure img").first.bounding_box()
    assert picture["y"] + picture["height"] <= 800
    sheets = re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4"))
    assert 1 < len(sheets) <= 20


def test_only_charts_are_dark_where_the_page_is(page):
    look = "e => [e.classList.contains('chart'), getComputedStyle(e).filter != 'none']"
    found = {}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found[scheme] = page.evaluate(f"[...document.images].map({look})")
    assert [True, True] in found["dark"] and [False, False] in found["dark"]
    assert all(chart == dark for chart, dark in found["dark"])
    assert not any(dark for _, dark in found["light"])


def test_a_link_into_a_folded_part_unfolds_it(page):
    part = page.locator("#comparison-table-caption")
    assert not part.is_visible()
    page.locator("nav a[href='#comparison']").click()
    part.wait_for()
    table = page.locator(".study details.fold table").first
    assert not table.is_visible()
    page.get_by_role("button", name="Unfold everything").click()
    table.wait_for()
