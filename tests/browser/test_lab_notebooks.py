"""Notebooks with controls, opened and run in JupyterLab as a reader does."""

import pytest
from browsing import NOTEBOOKS, evaluate, faults, open_notebook, run_all

INTERACTIVE = ("browse", "widget import")  # what needs a front end; nbval runs the others
NAMES = [p.name for p in NOTEBOOKS if any(word in p.read_text("utf-8") for word in INTERACTIVE)]


def test_the_notebooks_with_controls_are_found():
    assert len(NAMES) >= 5 and {"08_pose_studio.ipynb", "09_user_study.ipynb"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_notebook_runs_in_jupyterlab(name, page, server):
    open_notebook(page, server.lab(name))
    assert evaluate(page, "cells.every(cell => cell.executionCount === null)")
    run_all(page)
    assert faults(page) == []
    count = evaluate(page, "cells.length")
    assert evaluate(page, "cells.map(cell => cell.executionCount)") == list(range(1, count + 1))
    assert page.get_by_text("Error displaying widget").count() == 0
