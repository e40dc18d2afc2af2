"""What damage, kills, full disks and nonsense end in: made again, or one sentence."""

import errno
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors.torch
import smoke
import test_market as market
import torch
from PIL import Image

from benchmarks import faults as campaign
from pg2lib import cli
from pg2lib.apps.user_study import study as user_study
from pg2lib.core import files
from pg2lib.core.files import UserError
from pg2lib.data import deepfashion, framing, keypoints, sources
from pg2lib.data import prepare as preparation
from pg2lib.evaluation import curves, score_row
from pg2lib.results import own_files, provenance
from pg2lib.training import checkpoints, weights
from pg2lib.workflow import leftovers, notebooks, pipeline, shipped
from pg2lib.workflow import run_store as runs

STUDY = pipeline.Study(profile="smoke")
DEAD = 2**22 + 1  # no process of Linux has this number


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A store with the data and the scores of one row."""
    monkeypatch.setenv("PG2_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PG2_FIGURES", str(tmp_path / "figures"))
    pipeline.data(STUDY)
    return tmp_path / "runs"


def flip(path, place=-1):
    """Change one byte of a file, and neither its size nor its time."""
    content, stat = bytearray(path.read_bytes()), path.stat()
    content[place] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


# ---------------------------------------------------------------- damage in the run store


def test_damage_of_the_same_size_is_found_when_a_step_is_read(store):
    step = pipeline.data_step(STUDY)
    flip(step.folder / "images.npy")
    assert runs.state(step).hit  # a plan looks at sizes alone
    with pytest.raises(UserError, match=r"images\.npy is missing or damaged; delete its folder"):
        pipeline.data(STUDY)


def test_an_edited_score_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("PG2_RUNS", str(tmp_path))
    step = runs.Step("evaluate", "x", {})

    def work(folder, progress):
        (folder / "summary.json").write_text('{"mean": 0.1}')

    pipeline.ensure(step, work)
    (step.folder / "summary.json").write_text('{"mean": 0.9}')
    with pytest.raises(UserError, match=r"summary\.json is missing or damaged"):
        pipeline.ensure(step, work)


@pytest.mark.parametrize("name", ["images.npy", "names.npy", "card.json", "done.json"])
@pytest.mark.parametrize("damage", ["deleted", "emptied", "cut"])
def test_what_is_lost_of_a_data_set_is_made_again(store, name, damage):
    step = pipeline.data_step(STUDY)
    before = {path.name: path.read_bytes() for path in step.folder.glob("*.npy")}
    path = step.folder / name
    content = path.read_bytes()
    path.unlink() if damage == "deleted" else path.write_bytes(
        b"" if damage == "emptied" else content[: len(content) // 2]
    )
    if name == "done.json":  # then nothing tells what the arrays were
        flip(step.folder / "images.npy")
    pipeline.data(STUDY)
    assert {path.name: path.read_bytes() for path in step.folder.glob("*.npy")} == before


@pytest.mark.parametrize("content", ["", "{", "[]", "[1]", "{}", '{"outputs": []}', "\udcff"])
def test_a_damaged_record_is_no_record(tmp_path, monkeypatch, content):
    monkeypatch.setenv("PG2_RUNS", str(tmp_path))
    step = runs.Step("train", "x", {})
    with runs.claim(step):
        pass
    for name in ("done.json", "step.json"):
        (step.folder / name).write_bytes(content.encode(errors="surrogateescape"))
    assert "interrupted" in runs.state(step).reason
    assert not runs.state(runs.Step("train", "x", {"other": 1})).hit
    with pytest.raises(UserError, match="not finished"):
        runs.read_done(step)


@pytest.mark.parametrize("read", [score_row.read_pairs, score_row.read_summary, curves.read_curve])
@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe", b'{"a": 1', b"[]\n"])
def test_a_table_that_is_gone_or_torn_is_told(tmp_path, read, content):
    if content is not None:
        for name in ("pairs.csv", "summary.json", "curve.csv"):
            (tmp_path / name).write_bytes(content)
    if content in (b'{"a": 1', b"[]\n") and read is not score_row.read_summary:
        return  # a CSV of one column
    with pytest.raises(UserError, match="is missing or damaged .*delete its folder"):
        read(tmp_path)


def test_a_file_is_hashed_once_until_it_changes(tmp_path, monkeypatch):
    path, read = tmp_path / "x", []
    path.write_bytes(b"one")
    os.utime(path, (1, 1))
    monkeypatch.setattr(files, "sha256", lambda path: read.append(path) or path.read_bytes())
    assert files.digest(path) == files.digest(path) == b"one" and len(read) == 1
    path.write_bytes(b"two")
    assert files.digest(path) == b"two"
    path.write_bytes(b"six")  # perhaps within one step of the clock
    assert files.digest(path) == b"six"


# ---------------------------------------------------------------- what a kill leaves


class Killed(BaseException):
    pass


def prepared_until(folder, count):
    """A preparation in `folder`, killed after so many images."""

    def progress(done, total):
        if done >= count:
            raise Killed

    with pytest.raises(Killed):
        leftovers.prepared(smoke.data_settings(), folder, progress=progress)


@pytest.fixture
def chunks(monkeypatch):
    monkeypatch.setattr(preparation, "CHUNK", 8)
    monkeypatch.setattr(preparation.devices, "cpu_count", lambda: 1)


@pytest.mark.parametrize("damaged", [None, "images.npy", "keypoints.npy", "cameras.npy"])
def test_an_interrupted_preparation_resumes_only_from_intact_rows(chunks, tmp_path, damaged):
    config, seen = smoke.data_settings(), []
    leftovers.prepared(config, tmp_path / "whole")
    prepared_until(tmp_path / "killed", 16)
    if damaged:
        flip(tmp_path / "killed" / "unfinished" / damaged, 130)  # behind the header
    leftovers.prepared(config, tmp_path / "killed", progress=lambda done, _: seen.append(done))
    assert seen[0] == (8 if damaged else 24)
    for path in (tmp_path / "whole").iterdir():
        assert (tmp_path / "killed" / path.name).read_bytes() == path.read_bytes()


def test_rows_that_were_written_but_not_noted_are_made_again(chunks, tmp_path):
    prepared_until(tmp_path, 16)
    state = tmp_path / "unfinished" / "progress.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | {"done": 32}))
    assert leftovers.kept(tmp_path / "unfinished")[0] == 16
    assert json.loads(state.read_text())["done"] == 16


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"done": "x", "sums": {"images": ""}}'])
def test_a_damaged_note_begins_the_preparation_again(chunks, tmp_path, content):
    for name in ("sums.json", "progress.json"):
        prepared_until(tmp_path / name, 16)
        (tmp_path / name / "unfinished" / name).write_text(content)
        assert leftovers.kept(tmp_path / name / "unfinished") == (0, {})
        assert not (tmp_path / name / "unfinished").exists()


@pytest.mark.parametrize("name", ["curve.npy", "log.jsonl"])
@pytest.mark.parametrize("content", [b"\xff\xff", b"", b"[1]\n"])
def test_a_training_does_not_go_on_beside_a_damaged_file(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    if name == "log.jsonl" and not content:
        return leftovers.check_training(tmp_path, smoke.config("G1-L1"))
    with pytest.raises(UserError, match=f"{name} is missing or damaged"):
        leftovers.check_training(tmp_path, smoke.config("G1-L1"))


def test_the_files_of_a_dead_process_are_swept_and_no_other(tmp_path):
    own = [f".figure.{DEAD}.pdf", f".generated.{DEAD}.npy", f".report.{DEAD}.abc"]
    kept = [".lock", f".figure.{os.getpid()}.pdf", "figure.1.pdf", ".gitignore", ".venv"]
    for name in own[:2] + kept:
        (tmp_path / name).write_text("")
    (tmp_path / own[2]).mkdir()
    files.remove_litter(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_the_sockets_of_a_dead_process_are_swept(tmp_path, monkeypatch):
    monkeypatch.setattr(notebooks.tempfile, "gettempdir", lambda: "/tmp")
    left = Path(f"/tmp/pg2-{DEAD}-x")
    left.mkdir(exist_ok=True)
    with notebooks.kernel_address() as address:
        assert not left.exists() and Path(address).parent.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_a_forked_worker_does_not_outlive_a_killed_parent():
    read, write = os.pipe()
    if not (parent := os.fork()):
        with leftovers.forks_end_with_us():
            if worker := os.fork():
                os.write(write, str(worker).encode())
            time.sleep(60)
        os._exit(0)
    worker = int(os.read(read, 20))
    time.sleep(0.1)  # for prctl
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    until = time.time() + 10
    while running(worker) and time.time() < until:
        time.sleep(0.05)
    assert not running(worker)


def running(pid) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_report_that_is_stopped_half_way_loses_nothing(tmp_path, monkeypatch):
    new, out, names = tmp_path / "new", tmp_path / "out", ["a/x", "a/y"]

    def write(text):
        for name in names:
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            (new / name).write_text(text)

    write("old")
    own_files.replace_files(out, new, "report", {})
    (out / "a" / "notes.txt").write_text("mine")
    write("new")
    replace, done = os.replace, []

    def stop(source, target):
        if Path(target).name == "y" and done:
            raise OSError(errno.ENOSPC, "No space left on device")
        done.append(target)
        replace(source, target)

    monkeypatch.setattr(own_files.os, "replace", stop)
    with pytest.raises(OSError, match="No space"):
        own_files.replace_files(out, new, "report", own_files.own_files(out))
    monkeypatch.undo()
    assert [(out / name).read_text() for name in names] == ["new", "old"]
    assert own_files.user_files(out, "report") == ["a/notes.txt"]  # the rest is replaced next time
    write("third")
    (new / "a" / "y").unlink()
    own_files.replace_files(out, new, "report", own_files.own_files(out))
    assert sorted(path.name for path in (out / "a").iterdir()) == ["notes.txt", "x"]


# ---------------------------------------------------------------- what the system refuses


@pytest.mark.parametrize(
    "error, words",
    [
        (OSError(errno.ENOSPC, "No space left on device", "runs/x"), r"runs/x\); make room"),
        (PermissionError(errno.EACCES, "Permission denied", "a\x1b[2J\nb"), r"\(a \[2J b\); check"),
        (
            IsADirectoryError("Caught it in a worker\nTraceback\nIsADirectoryError: x"),
            "Error: x; c",
        ),
        (ModuleNotFoundError("No module named 'anywidget'", name="anywidget"), "anywidget is not"),
        (UserError("two\nlines"), "pg2: two lines"),
    ],
)
def test_what_the_system_refuses_is_one_sentence(capsys, error, words):
    def work():
        raise error

    assert cli.status_of(work) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "\x1b" not in told
    assert re.search(words, told)


def test_a_fault_of_the_library_is_not_hidden():
    def work():
        raise ModuleNotFoundError("No module named 'pg2lib.x'", name="pg2lib.x")

    with pytest.raises(ModuleNotFoundError):
        cli.status_of(work)


@pytest.mark.parametrize(
    "environment, words",
    [
        ({"PG2_RUNS": "/dev/null/x"}, "Not a directory"),
        ({"PG2_RUNS": "/proc/x"}, "pg2: "),
        ({"WORLD_SIZE": "abc"}, "WORLD_SIZE=abc is no number"),
        ({"WORLD_SIZE": "2"}, "RANK is no number"),
        ({"WORLD_SIZE": "2", "RANK": "0", "MASTER_PORT": "x"}, "MASTER_PORT is no number"),
        ({"WORLD_SIZE": "2", "RANK": "0", "MASTER_PORT": "1"}, "MASTER_ADDR is not"),
    ],
)
def test_a_wrong_environment_is_told(monkeypatch, capsys, environment, words):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    options = cli.parser().parse_args(["train", "G1-L1", "--profile", "smoke"])
    assert cli.status_of(cli.run, options) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and words in told


def test_a_full_disk_is_the_error_also_of_a_figure(tmp_path):
    """Matplotlib's writer of PDF files has an error of its own, which says nothing of the disk."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(OSError) as error:
            provenance.save(provenance.new_figure(1, 1), tmp_path / "x.png", {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert error.value.errno == errno.EFBIG and not list(tmp_path.iterdir())


def run_python(code, *arguments, **environment):
    """Run a program of the project by itself; its subprocess.Popen, output in pipes."""
    environment = os.environ | {"PYTHONPATH": str(runs.project())} | environment
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", code, *arguments], env=environment, **pipes)


def test_a_reader_that_leaves_ends_a_command_without_a_word():
    """`pg2 describe | head -1`"""
    process = run_python("from pg2lib import cli\n"
                         "def work():\n    for _ in range(100_000):\n        print('a line')\n"
                         "raise SystemExit(cli.status_of(work))")  # fmt: skip
    assert process.stdout.readline() == b"a line\n"
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait() == 0


def test_a_terminal_without_a_sign_gets_another():
    code = "from pg2lib import cli\ncli.run = lambda _: print('0.1 \u2014 \u2713')\n"
    code += "raise SystemExit(cli.main(['describe']))"
    process = run_python(code, PYTHONIOENCODING="ascii")
    assert process.communicate() == (b"0.1 ? ?\n", b"") and process.returncode == 0


def test_a_table_is_read_whatever_the_locale(tmp_path):
    """A locale of ASCII alone needs two switches besides: Python itself avoids it."""
    path = tmp_path / "table1.json"
    path.write_text('{"title": "\u2014"}', encoding="utf-8")
    code = "import sys; from pathlib import Path; from pg2lib.results import report\n"
    code += "print(ascii(report.load(Path(sys.argv[1]))))"
    posix = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    out, error = run_python(code, path, **posix).communicate()
    assert out.decode().strip() == r"{'title': '\u2014'}", error.decode()


def test_a_disk_without_the_room_is_told_before_it_is_mapped(tmp_path):
    with pytest.raises(UserError, match="make room and start again"):
        leftovers.require_room(tmp_path, 1 << 60)
    leftovers.require_room(tmp_path, 1)


def test_a_disk_without_locks_is_told(tmp_path, monkeypatch):
    def no_locks(*arguments, **options):
        raise NotImplementedError("no flock")

    monkeypatch.setenv("PG2_RUNS", str(tmp_path))
    monkeypatch.setattr(runs.FileLock, "acquire", no_locks)
    with pytest.raises(UserError, match="has no locks"), runs.claim(runs.Step("train", "x", {})):
        pass


# ---------------------------------------------------------------- nonsense


def test_data_that_break_a_rule_are_refused(store, monkeypatch):
    load = pipeline.datasets.load

    def swapped(folder):
        found = load(folder)
        found.card["problems"].append("a joint lies outside its image.")
        return found

    monkeypatch.setattr(pipeline.datasets, "load", swapped)
    with pytest.raises(UserError, match="a joint lies outside its image"):
        pipeline.data(STUDY)


ORDER = ("data", "prepare"), ("data", "verify"), ("train", "G1-L1")


@pytest.fixture
def pg2(tmp_path, monkeypatch, capsys):
    """Run a command on a made-up folder of Market-1501: (status, output, errors)."""
    monkeypatch.setenv("PG2_RUNS", str(tmp_path / "runs"))

    def run(*words, profile="smoke"):
        study = "--dataset", "market1501", "--profile", profile, "--data", str(tmp_path / "source")
        return cli.main([*words, *study]), *capsys.readouterr()

    return run


@pytest.fixture
def source(tmp_path):
    """12 people in two images each."""
    people = {f"{number:04d}": [1, 1] for number in range(1, 13)}
    return market.market(tmp_path / "source", people=people)


@pytest.mark.parametrize(
    "spoil, words",
    [
        (lambda pose: pose[:, ::-1], "a joint lies outside its image"),
        (lambda pose: np.where(pose < 0, pose, 5000), "a joint lies outside its image"),
        (lambda pose: np.where(pose < 0, pose, pose / (64, 128)), "most people have all joints"),
        (lambda pose: np.where(pose < 0, pose, 20), "most people have all joints"),
    ],
    ids=["x and y swapped", "far outside", "in [0, 1]", "on one spot"],
)
def test_unusable_keypoints_are_refused_by_every_command(pg2, source, spoil, words):
    path = source / "market-annotation-train.csv"
    people = keypoints.read_csv(path)
    keypoints.write_csv(path, {name: spoil(pose) for name, pose in people.items()})
    for command in ORDER:
        status, _, error = pg2(*command)
        assert status == 2 and error.count("\n") == 1 and words in error, command


@pytest.mark.parametrize(
    "text, words",
    [
        ("a,b\n", "market-pairs-test.csv, line 1: the header must be"),
        ("from,to\nx.jpg,y.jpg\n", "line 2: x.jpg,y.jpg does not name two test images"),
        (f"from,to\n{'x' * 200_000},y\n", "is too large"),
    ],
)
def test_the_list_of_pairs_is_verified_too(pg2, source, text, words):
    market.market(source, "test", people={"0101": [1, 1], "0102": [1, 1]})
    assert pg2("data", "verify", profile="lite")[0] == 0
    (source / "market-pairs-test.csv").write_text(text)
    runs.fingerprint.cache_clear()  # a process takes a folder to stay as it is
    status, _, error = pg2("data", "verify", profile="lite")
    assert status == 2 and error.count("\n") == 1 and words in error


def test_a_card_lists_the_first_problems_and_counts_them_all(pg2, source):
    for path in (source / "bounding_box_train").iterdir():
        path.write_bytes(b"no image")
    status, out, error = pg2("data", "verify")
    assert status == 2 and "24 problems found" in error
    told = [line for line in out.splitlines() if line.startswith("PROBLEM: ")]
    assert len(told) == 21 and told[-1] == "PROBLEM: and 4 more."


def test_a_folder_in_the_place_of_a_list_is_told(tmp_path):
    (tmp_path / "test.lst").mkdir()
    with pytest.raises(UserError, match=r"test\.lst cannot be read: Is a directory"):
        deepfashion._read_names(tmp_path / "test.lst")


class Opens:
    """What a pickle of it would do: make a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("kind", ["empty", "text", "cut", "pickle", "torch"])
def test_weights_of_the_run_store_that_are_none_are_told_and_never_run(tmp_path, kind):
    path, opened = tmp_path / "weights.pt", tmp_path / "PWNED"
    torch.save(Opens(opened) if kind == "torch" else {"networks": {}, "config": {}}, path)
    if kind != "torch":
        contents = {"empty": b"", "text": b"weights", "cut": path.read_bytes()[:200]}
        path.write_bytes(contents.get(kind) or pickle.dumps(Opens(opened), 2) * (kind == "pickle"))
    with pytest.raises(UserError, match=r"weights\.pt holds no weights .*; delete its folder"):
        checkpoints.load_state(path, "cpu")
    assert not opened.exists()


def test_a_picture_too_large_to_decode_is_told(tmp_path, monkeypatch):
    market.market(tmp_path / "source")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    monkeypatch.setattr(preparation.devices, "cpu_count", lambda: 1)
    with pytest.raises(UserError, match="a file in .* is too large"):
        leftovers.prepared(market.MARKET, tmp_path / "store", tmp_path / "source")
    problems = preparation.verify(market.MARKET, tmp_path / "source")["problems"]
    assert len(problems) == 9 and "is too large to decode" in problems[0]


def test_any_name_of_a_file_goes_into_the_fingerprint(tmp_path):
    (tmp_path / os.fsdecode(b"\xff.jpg")).write_text("")
    assert len(runs.fingerprint(tmp_path)) == 12


def test_a_table_of_poses_that_is_only_a_header_is_told(tmp_path):
    with pytest.raises(UserError, match="only a header"):
        deepfashion._frame("detect", {}, tmp_path / "x.csv")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The tensors and metadata of a small file of weights."""
    folder = tmp_path_factory.mktemp("small")
    paths = smoke.trained_row(folder / "row", "G1-L1")
    out = weights.export(folder / "x.safetensors", paths, smoke.published("G1-L1"), small=True)
    with safetensors.safe_open(out, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()


def broken(tensors, kind):
    name = next(name for name, tensor in tensors.items() if tensor.dtype == torch.int8)
    tensors, steps = dict(tensors), tensors[name + weights.STEP]
    match kind:
        case "one filter":
            tensors[name] = tensors[name][:1]
        case "one step":
            tensors[name + weights.STEP] = steps[:1]
        case "steps of whole numbers":
            tensors[name + weights.STEP] = steps.long()
        case "NaN":
            tensors[name + weights.STEP] = steps * torch.nan
        case "infinity":
            tensors[name + weights.STEP] = steps * torch.inf
        case "whole numbers":
            del tensors[name + weights.STEP]
            tensors[name] = tensors[name].long()
        case "a name without a network":
            tensors["x"] = steps.clone()
    return tensors


@pytest.mark.parametrize(
    "kind",
    ["one filter", "one step", "steps of whole numbers", "NaN", "infinity", "whole numbers",
     "a name without a network"],
)  # fmt: skip
def test_weights_that_are_none_are_refused(small, tmp_path, kind):
    path = tmp_path / "x.safetensors"
    safetensors.torch.save_file(broken(small[0], kind), path, small[1])
    with pytest.raises(UserError, match="damaged|does not hold the parameters"):
        weights.load(path, "cpu")


@pytest.mark.parametrize(
    "field, value",
    [("heatmap_radius", float("nan")), ("heatmap_radius", 1e30), ("channels", 0),
     ("height", 10**9), ("embedding", -1)],
)  # fmt: skip
def test_a_configuration_out_of_range_is_refused(small, tmp_path, field, value):
    configs = json.loads(small[1]["configs"])
    configs["G1-L1"][field] = value
    path = tmp_path / "x.safetensors"
    safetensors.torch.save_file(small[0], path, small[1] | {"configs": json.dumps(configs)})
    with pytest.raises(UserError):
        weights.load(path, "cpu")


def test_what_a_file_says_of_itself_does_not_reach_the_terminal():
    published = smoke.published("G1-L1")
    hostile = weights.dataclasses.replace(published, made_by="x\x1b[2J\nPWNED")
    assert weights.about(hostile).endswith("x [2J PWNED)")


def test_grey_of_16_bits_keeps_its_shades(tmp_path):
    ramp = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    found = framing.read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(found, np.repeat((ramp // 256)[..., None], 3, axis=2))
    np.testing.assert_array_equal(np.asarray(sources.decode(tmp_path / "a.png")), found)
    Image.fromarray(ramp.astype(np.float32)).save(tmp_path / "b.tif")
    with pytest.raises(UserError, match=r"b\.tif is not an intact image"):
        framing.read_image(tmp_path / "b.tif")


def test_a_joint_far_from_any_photo_is_refused():
    pose = np.linspace(0, 1e30, 36, dtype=np.float32).reshape(18, 2)
    with pytest.raises(UserError, match="coordinates are pixels"):
        framing.check_pose(pose, "x.json")


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["data", "show", "--count", "0"], "--count 0 is out of range"),
        (["data", "show", "--count", str(10**30)], "out of range"),
        (["train", "G1-L1", "--seed", str(2**64)], "is too large"),
        (["describe", "--device", "tpu"], "unknown device"),
        (["report", "--out", "/proc/x"], "check that the path exists and may be written"),
        (["report", "--out", "/"], "/ holds files but no report"),
        (
            ["generate", "--image", "x", "--target-pose", "x", "--out", "x" * 300],
            "File name too long",
        ),
    ],
)
def test_options_out_of_range_are_told(capsys, arguments, words):
    smoke = [] if arguments[0] == "report" else ["--profile", "smoke"]
    assert cli.main([*arguments, *smoke]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and words in told


@pytest.mark.parametrize("frame", ["", "x", "0x9", "9" * 5000 + "x1", "64x-1", "٣x٣"])
def test_a_frame_that_is_none_is_told(frame):
    from pg2lib import picture_commands

    with pytest.raises(UserError, match="is not WIDTHxHEIGHT"):
        picture_commands.parse_frame(frame)


@pytest.mark.parametrize(
    "parameters, words",
    [
        ({"dataset": 5}, "dataset is 5; it must be of type str"),
        ({"profile": ["smoke"]}, "profile is .* must be of type str"),
        ({"seeds": 1.5}, "seeds 1.5 are not different whole numbers"),
        ({"seeds": {"a": 1}}, "are not different whole numbers"),
        ({"overrides": {"channels": 8}}, "overrides is .* must be of type list or tuple"),
        ({"overrides": [1]}, "one of the overrides is 1; it must be of type str"),
    ],
)
def test_parameters_of_a_notebook_that_are_no_texts_are_told(parameters, words):
    with pytest.raises(UserError, match=words):
        shipped.study_from_environment(**parameters)


def test_parameters_of_the_user_study_are_checked():
    pairs = np.arange(40).reshape(20, 2)
    for images in ("5", 1.5, float("inf"), [5], True):
        with pytest.raises(UserError, match="images is .*; it must be of type int"):
            user_study.protocol_for(pairs, images)
    with pytest.raises(UserError, match="participant is 5; it must be of type str"):
        user_study.start_session(STUDY, "G1+G2+D", pairs, list("x" * 40), participant=5)
    with pytest.raises(UserError, match="row is .*; it must be of type str"):
        user_study.pictures(STUDY, ["G1-L1"], None)


# ---------------------------------------------------------------- the campaign's page


def test_the_page_says_what_was_not_run_and_what_failed():
    ends = {"0 x": "same", "1 y": "traceback: ValueError", "2 z": "sentence: pg2: no"}
    machine = {"processor": "P", "python": "3", "torch": "2", "cores": 9}
    kills = {"of": 30, "cases": ends, "machines": [machine]}
    text = campaign.page({"parts": {"kills": kills}, "seed": 0, "hashing": 0.5})
    lines = {line.split(":")[0]: line for line in text.splitlines() if line.startswith("| ")}
    assert lines["| kills"].endswith("| 3 of 30 | 2 | 1 |")
    assert lines["| damage"].endswith("| not run | – | – |")
    assert "- kills, 1 y: traceback: ValueError" in text
    assert "P, Python 3, torch 2, CPU cores: 9" in text


def test_a_case_of_damage_keeps_its_name_when_a_key_changes():
    name = "runs/train/a-b/G1+G2+D-0123456789ab/done.json"
    assert campaign.unkeyed(name) == "runs/train/a-b/G1+G2+D/done.json"


def test_a_stopped_campaign_keeps_what_it_found_and_goes_on(tmp_path, monkeypatch):
    tried = []

    def work(place, dice, whole, seconds, name):
        tried.append(name)
        if len(tried) == 2:
            raise KeyboardInterrupt
        return "same"

    every = {"kills": [(name, partial(work, name=name)) for name in "abc"]}
    monkeypatch.setattr(campaign, "cases", lambda *_: every)
    monkeypatch.setattr(campaign.on, "start", lambda *_: SimpleNamespace(end=lambda: "done"))
    for name in ("results", "half_prepared"):
        monkeypatch.setattr(campaign.on, name, lambda _: {})
    monkeypatch.setattr(campaign, "hashing_seconds", lambda _: 1.0)
    monkeypatch.setattr(campaign, "PAGE", tmp_path / "page.md")

    def run(folder, more):
        folder.mkdir()
        options = SimpleNamespace(seed=0, only=None, more=more, share=1, minutes=None)
        campaign.campaign(options, folder, tmp_path / "faults.json")

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "first", more=False)
    assert "| 1 of 3 | 1 | 0 |" in campaign.PAGE.read_text()
    run(tmp_path / "second", more=True)
    assert "| 3 | 3 | 0 |" in campaign.PAGE.read_text()
    assert len(tried) == 4 and set(tried) == set("abc") and tried.count(tried[0]) == 1
    every["kills"][2] = "d", every["kills"][2][1]  # c is no case any more
    run(tmp_path / "third", more=True)
    assert "| 3 | 3 | 0 |" in campaign.PAGE.read_text() and len(tried) == 5


def test_the_committed_page_is_that_of_its_record():
    record = json.loads((runs.project() / "benchmarks" / "faults.json").read_text())
    assert campaign.PAGE.read_text(encoding="utf-8") == campaign.page(record)


@pytest.mark.parametrize(
    "options",
    [["--dataset", "market"], ["--profile", "quik"], ["--seeds", "0,x"], ["--set", "iterations"]],
)
def test_a_wrong_name_is_told_before_torch_is_imported(options):
    code = "import sys; from pg2lib import cli; status = cli.main(sys.argv[1:]); "
    code += "sys.exit(status if 'torch' not in sys.modules else 1)"
    words = [sys.executable, "-c", code, "describe", *options]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
