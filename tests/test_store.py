"""The store: what is written, resuming, and checks of it."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pg2lib.core.files import UserError
from pg2lib.data import prepare as preparation
from pg2lib.data.dataset import BLOCK, DataConfig, _open_extra, blocks, load
from pg2lib.data.prepare import fingerprint, prepare, verify
from pg2lib.data.sources import Plan

TINY = DataConfig(train_identities=3, test_identities=2, images_per_identity=4, height=64, width=32)
TOTAL, HEIGHT, WIDTH = 20, 6, 4


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return load(prepare(TINY, tmp_path_factory.mktemp("drawn")))


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


PLAN = Plan(
    make=made,
    jobs=[(number,) for number in range(TOTAL)],
    identities=np.arange(TOTAL) // 4,
    train=np.arange(TOTAL) < 12,
    split="by hand",
)


def write(folder, plan=PLAN, progress=None, key="this"):
    preparation.write_arrays(plan, HEIGHT, WIDTH, key, folder, progress)


# ---------------------------------------------------------------- what is written


def test_the_files_are_those_that_numpy_saves(tmp_path):
    write(tmp_path)
    kinds = (np.stack(kind) for kind in zip(*map(made, range(TOTAL))))
    for name, array in zip(("images", "keypoints", "cameras"), kinds):
        np.save(tmp_path / "expected.npy", array)
        assert (tmp_path / f"{name}.npy").read_bytes() == (tmp_path / "expected.npy").read_bytes()


def test_an_extra_array_has_a_row_per_image(tmp_path):
    def labelled(number):
        return *made(number), np.full((HEIGHT, WIDTH), number, np.uint8)

    write(tmp_path, replace(PLAN, make=labelled, extras={"parsing": (np.uint8, (HEIGHT, WIDTH))}))
    parsing = np.load(tmp_path / "parsing.npy")
    assert parsing.shape == (TOTAL, HEIGHT, WIDTH) and parsing[7].tolist() == [[7] * WIDTH] * HEIGHT


def test_a_store_with_an_extra_array_opens_with_it(drawn, tmp_path):
    prepare(TINY, tmp_path)
    np.save(tmp_path / "parsing.npy", np.arange(20 * 64 * 32, dtype=np.uint8).reshape(20, 64, 32))
    extras = load(tmp_path).extras
    assert sorted(extras) == ["parsing", "silhouettes"] and extras["parsing"][0, 0, 5] == 5
    np.testing.assert_array_equal(extras["silhouettes"], drawn.silhouettes)


def test_masks_of_any_number_of_pixels_are_unpacked(tmp_path):
    masks = np.random.default_rng(0).random((3, 5, 7)) < 0.5  # 35 bits in 5 bytes
    np.save(tmp_path / "masks.npy", np.packbits(masks.reshape(3, 35), axis=1))
    np.testing.assert_array_equal(_open_extra(tmp_path / "masks.npy", (5, 7)), masks)


def test_blocks_are_small_and_hold_everything(drawn):
    images = (
        np.zeros((5, 1024, 1024, 3), np.uint8) + np.arange(5, dtype=np.uint8)[:, None, None, None]
    )
    parts = list(blocks(images))
    assert all(part.nbytes <= BLOCK and part.flags.c_contiguous for part in parts)
    np.testing.assert_array_equal(np.concatenate(parts), images)
    assert all(part.flags.writeable for part in blocks(drawn.images))  # torch asks for it


def resident_files() -> int:
    """Bytes of mapped files that are in this process's memory (Linux)."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("RssFile:")[1].split()[0])


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
def test_writing_and_reading_a_store_keep_little_of_it_in_memory(tmp_path, monkeypatch):
    def large(number):
        return np.full((256, 256, 3), number % 251, np.uint8), *made(number)[1:]

    monkeypatch.setattr(preparation.devices, "cpu_count", lambda: 1)
    count, before, most = 400, resident_files(), []  # 79 MB
    plan = replace(PLAN, make=large, jobs=[(number,) for number in range(count)])

    def progress(done, total):
        most.append(resident_files() - before)

    preparation.write_arrays(plan, 256, 256, "this", tmp_path, progress)
    for block in blocks(np.load(tmp_path / "images.npy", mmap_mode="c")):
        block.sum()
        progress(0, 0)
    assert max(most) < 5 * BLOCK  # 21 MB


def test_the_fingerprint_covers_pixels_and_pairs(drawn):
    images, keypoints = np.array(drawn.images), drawn.keypoints.copy()
    assert fingerprint(replace(drawn, images=images)) == drawn.card["fingerprint"]
    images[-1, -1, -1, -1] += 1
    keypoints[-1, -1, -1] += 1
    changes = [{"images": images}, {"keypoints": keypoints}]
    for name in ("train_pairs", "test_pairs", "identities"):
        changes.append({name: np.roll(getattr(drawn, name), 1, 0)})
    for change in changes:
        assert fingerprint(replace(drawn, **change)) != drawn.card["fingerprint"]


def test_verify_finds_a_changed_store(drawn):
    assert verify(drawn)["problems"] == []
    identities = drawn.identities.copy()
    identities[-1] = 0
    problems = verify(replace(drawn, identities=identities))["problems"]
    assert any("both train and test" in problem for problem in problems)
    assert any("fingerprint" in problem for problem in problems)


def test_verify_names_every_rule_that_pairs_and_joints_break(drawn):
    pairs, train, test = drawn.train_pairs, drawn.keypoints.copy(), drawn.keypoints.copy()
    outside, (a, b) = drawn.keypoints.copy(), pairs[0]
    train[a, 8] = test[drawn.test_pairs[0, 1], 5] = -1
    outside[a, 3] = (drawn.width, 5)
    stranger = next(i for i in pairs[:, 0] if drawn.identities[i] != drawn.identities[a])

    def more(*pair):
        return {"train_pairs": np.concatenate((pairs, [pair]))}

    moved = {"train_pairs": pairs[1:], "test_pairs": np.concatenate((drawn.test_pairs, pairs[:1]))}
    torso = "a pair uses an image without shoulders or hips."
    for rule, change in (
        ("a pair joins two people.", more(a, stranger)),
        ("a pair joins an image with itself.", more(a, a)),
        ("a pair is listed twice.", more(a, b)),
        ("a pair crosses from train to test.", moved),
        (torso, {"keypoints": train}),
        (torso, {"keypoints": test}),
        ("a joint lies outside its image.", {"keypoints": outside}),
    ):
        problems = verify(replace(drawn, **change))["problems"]
        assert problems == [rule, "the files are not the prepared ones (fingerprint)."]
    # The test pairs of a published list stay, whatever a crop has cut off.
    published = replace(drawn, card=drawn.card | {"pairs_from": "the first of pairs.csv"})
    assert torso not in verify(replace(published, keypoints=test))["problems"]
    assert torso in verify(replace(published, keypoints=train))["problems"]


def test_verify_finds_a_changed_pixel(tmp_path):
    data = load(prepare(TINY, tmp_path))
    with open(tmp_path / "images.npy", "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(bytes([255 - data.images[-1, -1, -1, -1]]))
    assert "fingerprint" in verify(load(tmp_path))["problems"][0]


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'"card"', b'{"config": 1}', b'{"config": {"no": 1}}', b"\xff{"]
)
def test_a_damaged_card_is_named(drawn, tmp_path, content):
    """Not a traceback, whatever stands in the file."""
    prepare(TINY, tmp_path)
    (tmp_path / "card.json").write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        load(tmp_path)


# ---------------------------------------------------------------- stopping and resuming


def test_a_killed_run_resumes_to_the_same_bytes(drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(preparation, "CHUNK", 6)
    seen = []
    with pytest.raises(Killed):
        prepare(TINY, tmp_path / "a", progress=kill_after(12))
    with pytest.raises(UserError, match="no complete data set"):
        load(tmp_path / "a")
    prepare(TINY, tmp_path / "a", progress=lambda *state: seen.append(state))
    assert seen == [(18, 20), (20, 20)]
    prepare(TINY, tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert load(tmp_path / "a").card == drawn.card


def test_rows_after_the_last_complete_chunk_are_written_again(tmp_path, monkeypatch):
    monkeypatch.setattr(preparation, "CHUNK", 6)
    write(tmp_path / "whole")
    with pytest.raises(Killed):
        write(tmp_path / "killed", progress=kill_after(12))
    with open(tmp_path / "killed" / "images.npy", "r+b") as file:
        file.seek(-5 * HEIGHT * WIDTH * 3, os.SEEK_END)
        file.write(b"a chunk that a kill cut off")
    seen = []
    write(tmp_path / "killed", progress=lambda *state: seen.append(state[0]))
    assert seen == [18, 20]
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


@pytest.mark.parametrize("damage", ["another run", "no file", "short file"])
def test_what_cannot_be_resumed_is_begun_again(tmp_path, monkeypatch, damage):
    monkeypatch.setattr(preparation, "CHUNK", 6)
    write(tmp_path / "whole")
    folder, key = tmp_path / "killed", "that" if damage == "another run" else "this"
    with pytest.raises(Killed):
        write(folder, progress=kill_after(12), key=key)
    if damage == "no file":
        (folder / "keypoints.npy").unlink()
    if damage == "short file":
        os.truncate(folder / "images.npy", 200)
    write(folder)
    assert contents(folder) == contents(tmp_path / "whole")


def test_progress_of_overwritten_arrays_is_forgotten(tmp_path, monkeypatch):
    """A run is killed, another starts over and is killed at once: the first has nothing left."""
    monkeypatch.setattr(preparation, "CHUNK", 6)
    write(tmp_path / "whole")
    with pytest.raises(Killed):
        write(tmp_path / "a", progress=kill_after(12))
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(preparation, "write_json", lambda *_: kill_after(0)(1, 1))
        write(tmp_path / "a", key="that")
    write(tmp_path / "a")
    assert contents(tmp_path / "a") == contents(tmp_path / "whole")


def test_another_configuration_does_not_resume_from_it(drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(preparation, "CHUNK", 6)
    with pytest.raises(Killed):
        prepare(replace(TINY, seed=1), tmp_path, progress=kill_after(12))
    assert load(prepare(TINY, tmp_path)).card == drawn.card


def test_worker_processes_change_nothing(drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(preparation, "CHUNK", 2)  # enough chunks for two processes
    assert load(prepare(TINY, tmp_path)).card == drawn.card


def test_a_bad_job_ends_the_run_where_it_can_be_resumed(tmp_path, monkeypatch):
    monkeypatch.setattr(preparation, "CHUNK", 6)

    def spoiled(number):
        if number == 14:
            raise UserError("image 14 is bad")
        return made(number)

    with pytest.raises(UserError, match="image 14 is bad"):
        write(tmp_path, replace(PLAN, make=spoiled))
    assert json.loads((tmp_path / "progress.json").read_text())["done"] == 12


def test_a_disk_without_the_room_is_an_error_before_the_work(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(preparation.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(UserError, match=r"needs \d[\d.,]+ MB, its disk has 0\.0 MB left"):
        write(tmp_path)


def test_a_killed_preparation_leaves_no_process(tmp_path):
    code = """if True:
        import sys, time
        from pg2lib.core.config import DataConfig
        from pg2lib.data.prepare import prepare
        config = DataConfig(height=128, width=64, train_identities=80, test_identities=40)
        prepare(config, sys.argv[1], progress=lambda *_: (print("up", flush=True), time.sleep(60)))
    """
    command = [sys.executable, "-c", code, tmp_path / "store"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert process.stdout.readline() == b"up\n"
        time.sleep(3)  # the workers go on until nobody takes what they send
        process.kill()
        ended = threading.Timer(20, os.killpg, (process.pid, signal.SIGKILL))
        ended.start()
        assert process.stdout.read() == b""  # ends with the last process that could write
        assert ended.is_alive()
        ended.cancel()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


# ---------------------------------------------------------------- memory


def test_chunks_are_small_whatever_the_images(tmp_path):
    seen = []
    jobs = [(number,) for number in range(3)]

    def large(number):
        return np.zeros((1024, 1024, 3), np.uint8), np.zeros((18, 2), np.float32), 1

    plan = replace(PLAN, make=large, jobs=jobs)
    preparation.write_arrays(plan, 1024, 1024, "", tmp_path, lambda *state: seen.append(state))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_script_without_a_main_guard_prepares_data(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from pg2lib.core.config import DataConfig\nfrom pg2lib.data.prepare import prepare\n"
        "import sys\nconfig = DataConfig(height=32, width=16, train_identities=140,\n"
        "    test_identities=20, images_per_identity=4)\n"
        "print(prepare(config, sys.argv[1]))\n"
    )
    command = [sys.executable, script, tmp_path / "store"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout.count("store") == 1, done.stderr
