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


def pytest_collection_modifyitems(items):
    """`-n 2 --dist loadgroup` keeps a file in one process, and in another one the notebooks and
    the browser tests, which share the store above."""
    for item in items:
        own = item.path.is_relative_to(STORE.parent / "tests") and "browser" not in item.path.parts
        item.add_marker(pytest.mark.xdist_group(item.path.name if own else "notebooks"))
