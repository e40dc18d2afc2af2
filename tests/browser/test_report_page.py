"""The report in a browser: it asks for nothing but itself, and fits a desk, a phone and paper."""

import pytest
from browsing import PROJECT

from pg2lib.results import report


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The report on the results that come with the project."""
    out = tmp_path_factory.mktemp("report") / "report"
    report.write_report(PROJECT / "figures", out)
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
