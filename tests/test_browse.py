"""The sliders of the notebooks, and what stands in for them where there is no kernel."""

import base64

import IPython.display
import pytest

from pg2lib.results import browse, provenance

WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def shown(monkeypatch):
    """The MIME bundles that were displayed."""
    bundles = []
    monkeypatch.setattr(IPython.display, "display", lambda data, raw: bundles.append(data))
    return bundles


def draw(index, menu="a"):
    figure = provenance.new_figure(1, 1)
    figure.text(0.5, 0.5, f"{menu}{index}")
    return figure


def test_the_first_drawing_stands_in_for_the_slider(shown):
    calls = []
    live = browse.browse(
        lambda **choice: calls.append(choice) or draw(**choice), 9, first=3, menu=("ab", "b")
    )
    (bundle,) = shown  # one output with both: a page shows the one that it can
    assert bundle[WIDGET]["model_id"] == live.model_id
    assert base64.b64decode(bundle["image/png"]) == provenance.show(draw(3, "b")).data
    assert calls == [{"menu": "b", "index": 3}]
    live.children[1].value = 5
    assert calls[1:] == [{"menu": "b", "index": 5}]


def test_a_text_stands_in_where_there_is_nothing_to_draw(shown):
    browse.browse(lambda index: "No test pair has this cause.", 3)
    assert shown[0]["text/markdown"] == "No test pair has this cause."
    assert "image/png" not in shown[0]
