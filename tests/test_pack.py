"""Steps of the run store on their way between machines: all of it, unchanged, or nothing."""

import io
import json
import os
import tarfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock

from pg2lib import cli
from pg2lib.core.files import UserError
from pg2lib.workflow import pack
from pg2lib.workflow import run_store as runs

DATA = runs.Step("data", "synthetic-market-smoke", {"height": 64})
ROW = runs.Step("train", "synthetic-market-smoke/G1+D", {"rate": 1e-3, "seeds": (0,)})
SEED = runs.Step("train", "synthetic-market-smoke-seed1/G1+D", {"seed": 1})
OWN = runs.Step("data", "folder-köln-smoke", {"height": 64})  # a folder's name may be any word
OTHER = runs.Step("train", "synthetic-market-smoke-wide/G1+D", {"seed": 0})


@pytest.fixture
def at(tmp_path, monkeypatch):
    """A function that goes to a machine of that name."""

    def go(name):
        monkeypatch.setenv("PG2_RUNS", str(tmp_path / name))
        return tmp_path / name

    go("here")
    return go


def make(step, text="weights", done=True):
    with runs.claim(step) as folder:
        (folder / "weights.pt").write_bytes(text.encode() * 1000)
        (folder / "checkpoint-9.pt").write_text("not an output")
    if done:
        runs.finish(step, ["weights.pt"], 2.0, {"device": "cpu"})
    return step.folder


def packed(path, *names):
    pack.write(names, path)
    return path


def members(path):
    with tarfile.open(path) as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar}


def write_tar(path, files, link=None):
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            if name == link:
                info.type, info.linkname, info.size = tarfile.SYMTYPE, "/etc/passwd", 0
            tar.addfile(info, io.BytesIO(content))
    return path


def everything(folder):
    return {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def test_a_store_arrives_as_it_left(at, tmp_path):
    folders = [make(step).relative_to(at("here")) for step in (DATA, ROW)]
    make(OTHER, done=False)
    file = packed(tmp_path / "all.tar")
    there = at("there")
    assert pack.merge(file) == (2, 0)
    for folder in folders:
        names = sorted(path.name for path in (there / folder).glob("[!.]*"))
        assert names == ["done.json", "step.json", "weights.pt"]
        for name in names:
            ours = tmp_path / "here" / folder / name
            assert (there / folder / name).read_bytes() == ours.read_bytes()
    assert runs.state(ROW).hit and runs.checked(ROW, "weights.pt")
    assert not OTHER.folder.exists() and sorted(path.name for path in there.iterdir()) == [
        "data", "train",
    ]  # fmt: skip
    before = everything(there)
    assert pack.merge(file) == (0, 2) and everything(there) == before


def test_the_same_steps_make_the_same_file(at, tmp_path):
    make(ROW)
    one, two = (packed(tmp_path / name).read_bytes() for name in ("one.tar", "two.tar"))
    assert one == two


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["synthetic-market-smoke"], [DATA, ROW, SEED]),
        (["train/synthetic-market-smoke/G1+D"], [ROW]),
        ([SEED.key, "data/synthetic-market-smoke"], [SEED, DATA]),
        (["folder-köln-smoke"], [OWN]),
        ([], [DATA, ROW, SEED, OTHER, OWN]),
    ],
)
def test_names_choose_what_is_packed(at, tmp_path, names, wanted):
    for step in (DATA, ROW, SEED, OTHER, OWN):
        make(step)
    listing = json.loads(members(packed(tmp_path / "some.tar", *names))["pack.json"])
    kept = {f"{step.kind}/{step.name}-{step.key}" for step in wanted}
    assert set(listing["steps"]) == kept


def test_what_is_not_finished_or_damaged_is_not_packed(at, tmp_path):
    file = tmp_path / "no.tar"
    with pytest.raises(UserError, match="holds no finished step"):
        pack.write([], file)
    make(ROW, done=False)
    with pytest.raises(UserError, match="no finished step in .* matches 'G1[+]D'"):
        pack.write(["G1+D"], file)
    runs.finish(ROW, ["weights.pt"], 1.0)
    (ROW.folder / "weights.pt").write_text("bad")
    with pytest.raises(UserError, match="incomplete or damaged"):
        pack.write([], file)
    assert not file.exists()


FOLDER = f"{ROW.kind}/{ROW.name}-{ROW.key}"


def spoilt(how, good, path):
    """A pack that somebody or something has changed."""
    raw, files = good.read_bytes(), members(good)
    listing = json.loads(files["pack.json"])
    steps = listing["steps"]
    if how == "a byte":
        place = raw.rindex(b"weights" * 3)
        path.write_bytes(raw[:place] + b"X" + raw[place + 1 :])
        return path
    if how in ("cut", "cut between files", "no tar"):
        end = {
            "cut": len(raw) // 2,
            "cut between files": raw.rindex(b"weightsweights") // 512 * 512,
        }
        path.write_bytes(raw[: end[how]] if how in end else b"hello" * 999)
        return path
    if how == "a file outside":
        files["train/../../evil.pt"] = b"evil"
    elif how == "a listed file outside":
        steps[FOLDER]["../../../evil.pt"] = "0" * 64
    elif how == "a listed folder outside":
        steps[f"train/../../evil-{ROW.key}"] = steps.pop(FOLDER)
    elif how == "an absolute folder":
        steps[f"/tmp/evil/evil-{ROW.key}"] = steps.pop(FOLDER)
    elif how == "a folder of dots":
        steps[f"train/../evil-{ROW.key}"] = steps.pop(FOLDER)
    elif how == "another key":
        wrong = FOLDER[:-12] + "0" * 12
        steps[wrong] = steps.pop(FOLDER)
        files = {name.replace(FOLDER, wrong): content for name, content in files.items()}
    elif how == "an output too many":
        content = b"more"
        files[f"{FOLDER}/more.pt"] = content
        steps[FOLDER]["more.pt"] = pack.hashlib.sha256(content).hexdigest()
    elif how == "a list that is none":
        listing = {"format": 1, "steps": [FOLDER]}
    elif how == "another format":
        listing["format"] = 99
    files["pack.json"] = json.dumps(listing).encode()
    link = f"{FOLDER}/weights.pt" if how == "a link" else None
    return write_tar(path, files, link)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("a byte", "weights.pt in .* is damaged"),
        ("cut", "damaged or no pack|breaks off"),
        ("cut between files", "damaged or no pack|breaks off"),
        ("no tar", "damaged or no pack"),
        ("a file outside", "which it does not list"),
        ("a listed file outside", "not of a run store"),
        ("a listed folder outside", "not of a run store"),
        ("an absolute folder", "not of a run store"),
        ("a folder of dots", "not of a run store"),
        ("a link", "which it does not list"),
        ("another key", "does not match its name"),
        ("an output too many", "does not match its name"),
        ("a list that is none", "is no pack of runs"),
        ("another format", "is no pack of runs"),
    ],
)
def test_a_spoilt_pack_changes_nothing(at, tmp_path, how, told):
    make(DATA), make(ROW)
    good = packed(tmp_path / "good.tar")
    bad = spoilt(how, good, tmp_path / "bad.tar")
    there = at("there")
    with pytest.raises(UserError, match=told):
        pack.merge(bad)
    assert everything(there) == {} and not list(tmp_path.rglob("evil*"))
    assert pack.merge(good) == (2, 0)


def test_a_step_with_other_results_is_refused_and_nothing_is_taken(at, tmp_path):
    make(ROW), make(DATA)
    file = packed(tmp_path / "ours.tar")
    there = at("there")
    make(ROW, "others!")
    before = everything(there)
    with pytest.raises(UserError, match="other results than the one in"):
        pack.merge(file)
    assert everything(there) == before


def test_a_step_that_is_worked_on_is_refused_and_an_interrupted_one_completed(at, tmp_path):
    make(ROW), make(DATA)
    file = packed(tmp_path / "ours.tar")
    at("there")
    folder = make(ROW, "half", done=False)
    with FileLock(folder / ".lock"), pytest.raises(UserError, match="worked on by another"):
        pack.merge(file)
    assert not runs.state(DATA).hit and not runs.state(ROW).hit
    assert pack.merge(file) == (2, 0) and runs.state(ROW).hit
    assert (folder / "weights.pt").read_bytes() == b"weights" * 1000


def test_a_step_that_another_process_finished_meanwhile_is_not_replaced(at, tmp_path, monkeypatch):
    make(ROW)
    file, held = packed(tmp_path / "ours.tar"), pack.held
    at("there")

    @contextmanager
    def finished_first(target):  # between the look at the store and the lock
        make(ROW, "others!")
        with held(target):
            yield

    monkeypatch.setattr(pack, "held", finished_first)
    with pytest.raises(UserError, match="other results than the one in"):
        pack.merge(file)
    assert runs.checked(ROW, "weights.pt").read_bytes() == b"others!" * 1000


def test_the_mark_of_a_complete_step_arrives_after_its_outputs(at, tmp_path, monkeypatch):
    make(ROW)
    file, replace, moved = packed(tmp_path / "ours.tar"), os.replace, []
    at("there")

    def note(source, target):
        moved.append(Path(target).name)
        replace(source, target)

    monkeypatch.setattr(os, "replace", note)
    pack.merge(file)
    assert sorted(moved) == ["done.json", "step.json", "weights.pt"] and moved[-1] == "done.json"


def test_what_a_killed_merge_left_is_removed(at, tmp_path):
    make(ROW)
    file = packed(tmp_path / "ours.tar")
    there = at("there")
    (there / ".merge.4194999" / "train").mkdir(parents=True)
    pack.merge(file)
    assert [path.name for path in there.iterdir()] == ["train"]


def test_the_commands(at, tmp_path, capsys):
    make(ROW), make(SEED)
    file = tmp_path / "runs.tar"
    assert cli.main(["runs", "pack", "synthetic-market-smoke", "-o", str(file)]) == 0
    at("there")
    assert cli.main(["runs", "merge", str(file)]) == 0
    out = capsys.readouterr().out
    assert "2 steps (0.0 MB)" in out and "2 steps added, 0 already present" in out
    assert cli.main(["runs", "merge", str(tmp_path / "none.tar")]) == 2
    assert "none.tar" in capsys.readouterr().err
