"""Notebooks with controls, one of each kind, opened and run in JupyterLab as a reader does."""

import pytest
from browsing import NOTEBOOKS, evaluate, faults, open_notebook, run_all

# One notebook for each kind of control; nbval runs all of them, without a front end.
NAMES = ["01_data_and_masks.ipynb", "08_pose_studio.ipynb", "09_user_study.ipynb"]
CONTROLS = ("results.browse import", "pose_studio.widget import", "user_study.widget import")


def test_no_notebook_has_another_kind_of_control():
    for path in NOTEBOOKS:
        text = path.read_text("utf-8")
        assert "ipywidgets" not in text and "interact(" not in text, path.name
    shown = [(NOTEBOOKS[0].parent / name).read_text("utf-8") for name in NAMES]
    assert [control in text for control, text in zip(CONTROLS, shown)] == [True] * 3


@pytest.mark.parametrize("name", NAMES)
def test_notebook_runs_in_jupyterlab(name, page, server):
    open_notebook(page, server.lab(name))
    assert evaluate(page, "cells.every(cell => cell.executionCount === null)")
    run_all(page)
    assert faults(page) == []
    count = evaluate(page, "cells.length")
    assert evaluate(page, "cells.map(cell => cell.executionCount)") == list(range(1, count + 1))
    assert page.get_by_text("Error displaying widget").count() == 0
