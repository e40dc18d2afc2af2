"""What every unit test runs under. Notebook cells, collected by nbval, keep the caller's."""

import os

import matplotlib
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "2")  # read when torch is first imported
matplotlib.use("agg")


@pytest.fixture(scope="session")
def unit_test_runs(tmp_path_factory):
    """The run store that all unit tests of this session share."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module", autouse=True)
def environment(unit_test_runs):
    """No progress display, no downloads, a store of its own, no profile from the caller.

    PG2_DATA stays: tests on the real data run where it is set and are skipped where not.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PG2_PROGRESS", "off")
        patch.setenv("PG2_DOWNLOAD", "off")
        patch.setenv("PG2_RUNS", str(unit_test_runs))
        patch.setenv("PG2_FIGURES", str(unit_test_runs / "figures"))
        patch.delenv("PG2_PROFILE", raising=False)
        patch.delenv("PG2_DATASET", raising=False)
        yield
