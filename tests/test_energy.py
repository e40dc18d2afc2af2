"""Joules of a block, from a made-up folder of the kernel's energy counters."""

import os
import time

import pytest

from pg2lib.core import energy
from pg2lib.training import loop as training
from pg2lib.workflow import pipeline
from pg2lib.workflow import run_store as runs


@pytest.fixture
def counters(tmp_path):
    """Two processor packages at 1 J, their cores and the whole system; (folder, write): write(zone,
    text) sets a counter in one go, as the kernel does."""

    def write(zone, text, name="energy_uj"):
        (tmp_path / "new").write_text(f"{text}\n")
        os.replace(tmp_path / "new", tmp_path / f"intel-rapl:{zone}" / name)

    for zone, name in (("0", "package-0"), ("1", "package-1"), ("0:0", "core"), ("2", "psys")):
        (tmp_path / f"intel-rapl:{zone}").mkdir()
        write(zone, name, "name")
        write(zone, 10_000_000, "max_energy_range_uj")
        write(zone, 1_000_000)
    return tmp_path, write


def test_joules_add_up_over_packages_alone(counters):
    folder, write = counters
    with energy.metered(folder) as joules:
        assert joules() == 0
        for zone, microjoules in ((0, 3_500_000), (1, 2_000_000), ("0:0", 9), (2, 9_000_000)):
            write(zone, microjoules)
        assert joules() == 2.5 + 1
        assert joules() == 2.5 + 1


def test_a_counter_that_starts_again_is_followed(counters, monkeypatch):
    """From 1 J to 9 J, which nobody asks for, then past the end at 10 J to 4 J, and again: 18 J."""
    folder, write = counters
    read, times = energy._counters, []
    monkeypatch.setattr(energy, "_counters", lambda path: times.append(1) or read(path))
    with energy.metered(folder, every=0.01) as joules:
        for microjoules in (9_000_000, 4_000_000, 9_000_000):
            write(0, microjoules)
            seen, patience = len(times), time.time() + 20
            while len(times) < seen + 3 and time.time() < patience:
                time.sleep(0.01)
        assert joules() == 8 + 5 + 5


@pytest.mark.parametrize("broken", ["no folder", "no package", "not for you"])
def test_none_where_nothing_can_be_read(counters, broken):
    folder, write = counters
    if broken == "no folder":
        folder = folder / "missing"
    elif broken == "no package":
        for zone in (0, 1):
            write(zone, "dram", "name")
    else:
        write(1, "")
    with energy.metered(folder) as joules:
        assert joules() is None


def test_a_counter_that_goes_away_ends_the_count(counters):
    folder, write = counters
    with energy.metered(folder) as joules:
        write(1, "")
        assert joules() is None
        write(1, 2_000_000)
        assert joules() is None


def test_a_training_records_its_joules(tmp_path, monkeypatch):
    monkeypatch.setenv("PG2_RUNS", str(tmp_path))
    study, microjoules = pipeline.Study(profile="smoke"), iter((1_000_000, 3_500_000))
    steps = pipeline.method_config(study, "G1-L1").iterations
    monkeypatch.setattr(training, "train", lambda *args, **options: {"step": steps})
    monkeypatch.setattr(energy, "_counters", lambda path: {"0": (next(microjoules), 10_000_000)})
    pipeline.train(study, "G1-L1")
    facts = runs.read_done(pipeline.train_step(study, "G1-L1"))["facts"]
    assert facts == {"step": steps, "processor_joules": 2.5}
