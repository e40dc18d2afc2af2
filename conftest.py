"""What all tests and, through the environment that kernels inherit, all notebooks under nbval run
with: the smoke profile on the CPU, in a store of its own, silently and without downloads."""

import os
from pathlib import Path

import pytest

STORE = Path(__file__).parent / ".test-runs"
os.environ |= {
    "PG2_PROFILE": "smoke",
    "PG2_DATASET": "synthetic-market",
    "PG2_DEVICE": "cpu",
    "PG2_PROGRESS": "off",
    "PG2_DOWNLOAD": "off",
    "PG2_RUNS": str(STORE),
    "PG2_FIGURES": str(STORE / "figures"),
}
# Read when torch is first imported. Two processes with two threads each fight over two cores.
os.environ.setdefault("OMP_NUM_THREADS", "1" if "PYTEST_XDIST_WORKER" in os.environ else "2")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """`-n 2` keeps a file of tests in one process, notebooks 1 to 7 in one, and in one those that
    answer people and after them the browser tests, which share the store above."""
    from xdist.scheduler import LoadScopeScheduling

    class ByStore(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file = nodeid.partition("::")[0]
            if file.startswith(("notebooks/08", "notebooks/09", "tests/browser/")):
                return "apps"
            return "notebooks" if file.startswith("notebooks/") else file

    return ByStore(config, log)
