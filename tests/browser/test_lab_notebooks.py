"""Every notebook, opened and run in JupyterLab as a reader does."""

import pytest
from browsing import NOTEBOOKS, evaluate, faults, open_notebook, run_all


@pytest.mark.parametrize("name", [path.name for path in NOTEBOOKS])
def test_notebook_runs_in_jupyterlab(name, page, server):
    open_notebook(page, server.lab(name))
    assert evaluate(page, "cells.every(cell => cell.executionCount === null)")
    run_all(page)
    assert faults(page) == []
    count = evaluate(page, "cells.length")
    assert evaluate(page, "cells.map(cell => cell.executionCount)") == list(range(1, count + 1))
    assert page.get_by_text("Error displaying widget").count() == 0
