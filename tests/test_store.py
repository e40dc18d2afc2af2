"""The store: what is written, resuming, and how little memory it takes."""

import hashlib
import json
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pg2lib.core.files import UserError
from pg2lib.data import datasets, store
from pg2lib.data.datasets import DataConfig

TINY = DataConfig(train_identities=3, test_identities=2, images_per_identity=4, height=64, width=32)
TOTAL, HEIGHT, WIDTH = 20, 6, 4


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return datasets.load(datasets.prepare(TINY, tmp_path_factory.mktemp("drawn")))


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


class Killed(BaseException):
    pass


def kill_after(count):
    def progress(done, total):
        if done >= count:
            raise Killed

    return progress


def made(number):
    """A job's image, keypoints and camera."""
    rng = np.random.default_rng(number)
    image = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    return image, rng.normal(size=(18, 2)).astype(np.float32), number % 6


PLAN = store.Plan(
    make=made,
    jobs=[(number,) for number in range(TOTAL)],
    identities=np.arange(TOTAL) // 4,
    train=np.arange(TOTAL) < 12,
    split="by hand",
)


def write(folder, plan=PLAN, progress=None, told="this"):
    return store.make_images(plan, HEIGHT, WIDTH, told, folder, progress)


# ---------------------------------------------------------------- what is written


def test_the_files_are_those_that_numpy_saves(tmp_path):
    digest = write(tmp_path)
    images, keypoints, cameras = (np.stack(kind) for kind in zip(*map(made, range(TOTAL))))
    for name, array in (("images", images), ("keypoints", keypoints), ("cameras", cameras)):
        np.save(tmp_path / "expected.npy", array)
        assert (tmp_path / f"{name}.npy").read_bytes() == (tmp_path / "expected.npy").read_bytes()
    assert digest.hexdigest() == hashlib.sha256(images.tobytes()).hexdigest()


def test_one_fingerprint_of_what_is_written_mapped_and_in_memory(tmp_path, monkeypatch):
    digest = write(tmp_path)
    monkeypatch.setattr(store, "BLOCK", 7 * HEIGHT * WIDTH * 3)  # 20 images in blocks of 7
    mapped = np.load(tmp_path / "images.npy", mmap_mode="c")
    pairs, whole = np.array([[0, 1]]), hashlib.sha256(mapped.tobytes())
    whole.update(np.array([[0, 1]]).tobytes())
    expected = whole.hexdigest()[:16]
    for images in (digest, mapped, np.array(mapped)):
        assert store.fingerprint(images, pairs) == expected
    assert store.fingerprint(mapped[:19], pairs) != expected  # a part is not taken for the file
    assert [len(block) for block in store.blocks(mapped)] == [7, 7, 6]
    assert all(block.flags.writeable for block in store.blocks(mapped))  # torch asks for it
    np.testing.assert_array_equal(np.concatenate(list(store.blocks(mapped[3:]))), mapped[3:])


def test_verify_finds_a_changed_store(drawn):
    assert datasets.verify(drawn)["problems"] == []
    identities = drawn.identities.copy()
    identities[-1] = 0
    problems = datasets.verify(replace(drawn, identities=identities))["problems"]
    assert any("both train and test" in problem for problem in problems)
    assert any("fingerprint" in problem for problem in problems)


def test_verify_finds_a_changed_pixel(tmp_path):
    data = datasets.load(datasets.prepare(TINY, tmp_path))
    with open(tmp_path / "images.npy", "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(bytes([255 - data.images[-1, -1, -1, -1]]))
    assert "fingerprint" in datasets.verify(datasets.load(tmp_path))["problems"][0]


# ---------------------------------------------------------------- stopping and resuming


def test_a_killed_run_resumes_to_the_same_bytes(drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "CHUNK", 6)
    seen = []
    with pytest.raises(Killed):
        datasets.prepare(TINY, tmp_path / "a", progress=kill_after(12))
    with pytest.raises(UserError, match="no complete data set"):
        datasets.load(tmp_path / "a")
    datasets.prepare(TINY, tmp_path / "a", progress=lambda *state: seen.append(state))
    assert seen == [(18, 20), (20, 20)]
    datasets.prepare(TINY, tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert datasets.load(tmp_path / "a").card == drawn.card


@pytest.mark.parametrize("rest", [b"", b"half a chunk that a kill cut off"])
def test_what_is_after_the_last_whole_chunk_is_written_again(tmp_path, monkeypatch, rest):
    monkeypatch.setattr(store, "CHUNK", 6)
    whole = write(tmp_path / "whole").hexdigest()
    with pytest.raises(Killed):
        write(tmp_path / "killed", progress=kill_after(12))
    with open(tmp_path / "killed" / "images.npy", "ab") as file:
        file.write(rest)
    seen = []
    digest = write(tmp_path / "killed", progress=lambda *state: seen.append(state[0]))
    assert seen == [18, 20] and digest.hexdigest() == whole
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


@pytest.mark.parametrize("damage", ["another run", "no file", "short file"])
def test_what_cannot_be_resumed_is_begun_again(tmp_path, monkeypatch, damage):
    monkeypatch.setattr(store, "CHUNK", 6)
    whole = write(tmp_path / "whole").hexdigest()
    folder, told = tmp_path / "killed", "that" if damage == "another run" else "this"
    with pytest.raises(Killed):
        write(folder, progress=kill_after(12), told=told)
    if damage == "no file":
        (folder / "keypoints.npy").unlink()
    if damage == "short file":
        os.truncate(folder / "images.npy", 200)
    assert write(folder).hexdigest() == whole
    assert contents(folder) == contents(tmp_path / "whole")


def test_another_configuration_does_not_resume_from_it(drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "CHUNK", 6)
    with pytest.raises(Killed):
        datasets.prepare(replace(TINY, seed=1), tmp_path, progress=kill_after(12))
    assert datasets.load(datasets.prepare(TINY, tmp_path)).card == drawn.card


def test_worker_processes_change_nothing(drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "CHUNK", 2)  # enough chunks for two processes
    assert datasets.load(datasets.prepare(TINY, tmp_path)).card == drawn.card


def test_a_bad_job_ends_the_run_where_it_can_be_resumed(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "CHUNK", 6)

    def spoiled(number):
        if number == 14:
            raise UserError("image 14 is bad")
        return made(number)

    with pytest.raises(UserError, match="image 14 is bad"):
        write(tmp_path, replace(PLAN, make=spoiled))
    assert json.loads((tmp_path / "progress.json").read_text())["done"] == 12


def test_a_disk_without_the_room_is_told_before_the_work(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(store.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(UserError, match="GB more, its disk has 0.00 GB left"):
        write(tmp_path)


# ---------------------------------------------------------------- memory


def test_results_are_in_order_and_never_far_ahead():
    begun, ahead, consumed = [], 3, 0
    with ThreadPoolExecutor(2) as pool:
        for result in store.in_order(pool, lambda i: begun.append(i) or i * i, range(50), ahead):
            assert result == consumed**2
            consumed += 1
            assert len(begun) <= consumed + ahead
    assert consumed == 50


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_reading_a_store_leaves_its_pages_alone(tmp_path):
    def resident():
        lines = Path("/proc/self/status").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) * 1024

    size = 64 << 20
    np.save(tmp_path / "images.npy", np.zeros((size // 4096, 4096), np.uint8))
    mapped = np.load(tmp_path / "images.npy", mmap_mode="c")
    store.fingerprint(mapped)
    before = resident()
    store.fingerprint(mapped)
    assert resident() - before < size / 4
    assert mapped.sum() == 0 and resident() - before > size / 2  # a map that is looked at stays


def test_chunks_are_small_whatever_the_images(tmp_path):
    seen = []
    jobs = [(number,) for number in range(3)]

    def large(number):
        return np.zeros((1024, 1024, 3), np.uint8), np.zeros((18, 2), np.float32), 1

    store.make_images(
        replace(PLAN, make=large, jobs=jobs), 1024, 1024, "", tmp_path, lambda *s: seen.append(s)
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]
