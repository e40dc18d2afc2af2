"""What unit tests run under, on top of the conftest above: a store that is thrown away."""

import matplotlib
import pytest

from pg2lib.core import devices

matplotlib.use("agg")


@pytest.fixture(scope="session")
def unit_test_runs(tmp_path_factory):
    """The run store that all unit tests of this session share."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module", autouse=True)
def environment(unit_test_runs):
    """A store of its own, no profile but the one a test names, and the CPU, also on a machine with
    a GPU, for tests that name no device.

    PG2_DATA stays: tests on the real data run where it is set and are skipped where not.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PG2_RUNS", str(unit_test_runs))
        patch.setenv("PG2_FIGURES", str(unit_test_runs / "figures"))
        patch.delenv("PG2_PROFILE", raising=False)
        patch.delenv("PG2_DATASET", raising=False)
        patch.setattr(devices, "default_device", lambda: "cpu")
        yield


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """The drawn people of the profile smoke, as a Dataset."""
    import smoke

    from pg2lib.data import dataset as datasets
    from pg2lib.data.prepare import prepare

    folder = tmp_path_factory.mktemp("data")
    return datasets.load(prepare(smoke.data_settings(), folder))


@pytest.fixture(scope="module")
def images():
    """Two different batches (3, 24, 16, 3) whose value ranges differ from each other."""
    import numpy as np
    from scipy.ndimage import gaussian_filter

    random = np.random.default_rng(0)
    smooth = gaussian_filter(random.random((2, 3, 24, 16, 3)), (0, 0, 1, 1, 0))
    generated = (40 + 100 * smooth[0]).astype(np.uint8)
    target = (255 * smooth[1]).astype(np.uint8)
    return generated, target


@pytest.fixture
def full_disk(monkeypatch):
    """Makes torch.save fail half-way."""
    import torch

    def full(state, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)


@pytest.fixture(scope="module")
def study():
    """A smoke study in the session's run store, all rows scored."""
    from pg2lib.workflow import pipeline

    study = pipeline.Study(profile="smoke")
    for row in pipeline.all_rows():
        pipeline.evaluate(study, row)
    return study
