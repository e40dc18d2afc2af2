"""The project's own promises: requirements, imports, version, and that documents keep up."""

import ast
import dataclasses
import importlib
import inspect
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import pg2lib
from pg2lib.workflow import run_store

PROJECT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))

# Distribution name where it is not the imported one.
DISTRIBUTIONS = {"skimage": "scikit-image", "PIL": "pillow", "yaml": "pyyaml"}
CONDA_NAMES = {"pytorch": "torch"}

# From high to low, as import-linter checks them.
ROOMS = PYPROJECT["tool"]["importlinter"]["contracts"][0]["layers"]
TRAINING_AND_SCORING = ROOMS[ROOMS.index("evaluation") :]
# What these need, with what torch and scikit-image need themselves.
LIGHT = {"torch", "numpy", "pandas", "scikit-image", "pillow", "tqdm", "safetensors", "scipy"}
NOTEBOOKS = (
    "papermill", "IPython", "jupyterlab", "ipywidgets", "anywidget", "matplotlib.pyplot",
    "torchvision", "torch_fidelity", "lpips",
)  # fmt: skip

FILE_LINES, FUNCTION_LINES = 450, 60  # at most


def run_make(folder, *words, check=True, **environment):
    """Run the project's Makefile in another folder, where nothing is built yet.

    It sees nothing of the `make test` around it.
    """
    outer = ("PIP_FLAGS", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    inherited = {name: value for name, value in os.environ.items() if name not in outer}
    return subprocess.run(
        ["make", "-f", PROJECT / "Makefile", *words],
        capture_output=True, text=True, cwd=folder, check=check, env=inherited | environment,
    )  # fmt: skip


def modules(rooms=ROOMS):
    """The names below pg2lib of all modules of these rooms: "core.config"."""
    files = {path.relative_to(PROJECT / "pg2lib") for path in PROJECT.glob("pg2lib/**/*.py")}
    names = {".".join(file.with_suffix("").parts).removesuffix(".__init__") for file in files}
    chosen = sorted(name for name in names if name.split(".")[0] in rooms)
    assert chosen
    return chosen


def split(requirement):
    """ "numpy>=1.26" as ("numpy", ">=1.26"), the name normalised."""
    name, bound = re.fullmatch(r"([\w.-]+)\s*(.*)", requirement).groups()
    return name.lower().replace("_", "-"), bound


def required(test=True):
    """The requirements of the project, and of its tests: dict name -> version bound."""
    project = PYPROJECT["project"]
    more = project["optional-dependencies"]["test"] if test else []
    return dict(map(split, project["dependencies"] + more))


def test_environment_yml_asks_for_what_pyproject_asks_for():
    entries = yaml.safe_load((PROJECT / "environment.yml").read_text(encoding="utf-8"))
    entries = entries["dependencies"]
    [from_pip] = [entry["pip"] for entry in entries if isinstance(entry, dict)]
    assert "-e ." in from_pip
    names = [entry for entry in entries + from_pip if isinstance(entry, str) and entry != "-e ."]
    listed = dict(map(split, names))
    assert listed.pop("python") == PYPROJECT["project"]["requires-python"]
    listed.pop("pip")
    assert {CONDA_NAMES.get(name, name): bound for name, bound in listed.items()} == required()


def test_every_imported_package_is_required():
    library, tests = ([*PROJECT.glob(f"{name}/**/*.py")] for name in ("pg2lib", "tests"))
    assert len(library) > 10 and len(tests) > 10
    local = {source.stem for source in library + tests} | {"pg2lib", "benchmarks"}
    extras = PYPROJECT["project"]["optional-dependencies"]
    optional = {split(each)[0] for name in extras.keys() - {"test"} for each in extras[name]}
    assert distributions(library, local) - optional <= set(required(test=False))
    assert distributions(tests, local) | optional <= set(required())


def distributions(sources, local):
    """The packages of others that these files import, under the names they are installed by."""
    imported = set()
    for source in sources:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(node.module.split(".")[0])
    foreign = imported - set(sys.stdlib_module_names) - local
    return {split(DISTRIBUTIONS.get(name, name))[0] for name in foreign}


def import_without(blocked, names):
    """Import modules of pg2lib in a process of its own, in which some packages do not import."""
    code = """if True:
        import importlib, json, sys
        blocked, names = json.loads(sys.argv[1])
        class Finder:
            def find_spec(name, path=None, target=None):
                if name in blocked:
                    raise ImportError(f"{name} is not wanted here")
        sys.meta_path.insert(0, Finder)
        for name in names:
            importlib.import_module("pg2lib." + name)
    """
    command = [sys.executable, "-c", code, json.dumps([list(blocked), names])]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT)
    assert done.returncode == 0, done.stderr


def test_training_and_scoring_need_few_packages():
    imported = {distribution: name for name, distribution in DISTRIBUTIONS.items()}
    others = set(required()) | {"torch-fidelity", "lpips", "matplotlib", "ipython"}
    blocked = [imported.get(name, name).replace("-", "_") for name in sorted(others - LIGHT)]
    import_without([*blocked, "IPython"], modules(TRAINING_AND_SCORING))


def test_pg2_train_needs_no_notebook_package():
    import_without(["nbformat", "nbclient", "matplotlib", *NOTEBOOKS], ["commands"])


def test_only_widgets_need_notebook_or_display_libraries():
    lazy = ".widget", ".kernels", ".site", ".studio_page"  # imported where they are used
    import_without(NOTEBOOKS, [name for name in modules() if not name.endswith(lazy)])


def test_rooms_import_downwards_and_methods_not_each_other():
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "NO_COLOR": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, env=environment)
    assert done.returncode == 0, done.stdout[done.stdout.find("Contracts") :] + done.stderr


def test_files_and_functions_are_short():
    too_long = set()
    for path in PROJECT.glob("pg2lib/**/*.py"):
        file, text = path.relative_to(PROJECT / "pg2lib"), path.read_text(encoding="utf-8")
        if text.count("\n") > FILE_LINES:
            too_long.add(file.as_posix())
        for node in ast.walk(ast.parse(text)):
            if (
                isinstance(node, ast.FunctionDef)
                and node.end_lineno - node.lineno >= FUNCTION_LINES
            ):
                too_long.add(".".join([*file.with_suffix("").parts, node.name]))
    assert too_long == set()


def test_every_package_is_packed():
    folders = {path.parent for path in PROJECT.glob("pg2lib/**/*.py")}
    assert PYPROJECT["tool"]["setuptools"]["packages"]["find"]["include"] == ["pg2lib*"]
    assert all((folder / "__init__.py").exists() for folder in folders)


def test_what_the_packages_read_is_packed():
    packed = {
        path
        for package, patterns in PYPROJECT["tool"]["setuptools"]["package-data"].items()
        for pattern in patterns
        for path in PROJECT.joinpath(*package.split(".")).glob(pattern)
    }
    files = {path for path in PROJECT.glob("pg2lib/**/*") if path.is_file()}
    assert {path for path in files if path.suffix not in (".py", ".pyc")} == packed


def test_one_version_everywhere():
    citation = yaml.safe_load((PROJECT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == pg2lib.__version__
    assert citation["license"] == PYPROJECT["project"]["license"] == "MIT"
    assert (PROJECT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_prints_its_targets_and_passes_variables_on(tmp_path):
    def make(*words):
        return run_make(tmp_path, *words).stdout

    (tmp_path / "pyproject.toml").touch()
    targets = re.search(r"^\.PHONY: (.*)$", (PROJECT / "Makefile").read_text(), re.M)[1].split()
    assert all(f"make {target}" in make() for target in targets if target != "help")
    assert "reproduce --dataset synthetic-market --profile quick" in make("-n", "reproduce")
    chosen = make("-n", "reproduce", "DATASET=market1501", "PROFILE=paper")
    assert "reproduce --dataset market1501 --profile paper" in chosen
    assert make("-n", "successors", "ABLATIONS=no", "METHODS=PATN").split()[-2:] == [
        "--no-ablations", "PATN"
    ]  # fmt: skip
    assert "--no-ablations" not in make("-n", "successors")
    with pytest.raises(subprocess.CalledProcessError) as failed:
        make("-n", "successors", "ABLATIONS=maybe")
    assert "write ABLATIONS=no or leave it out" in failed.value.stderr
    assert "--nbval" in make("-n", "test") and "pip install" in make("-n", "test")


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize("user, flag", [("0", "--allow-root "), ("1000", "")])
def test_make_lab_opens_the_notebooks_for_root_too(tmp_path, user, flag):
    """Jupyter refuses root unless told, and root is the user of many containers."""
    programs = {".venv/bin/python": 'echo "$@"', "bin/id": f"echo {user}"}
    for name, text in programs.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / ".venv" / ".installed").touch()
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = run_make(tmp_path, "lab", check=False, PATH=path)
    assert done.stdout.splitlines()[-1] == f"-m jupyterlab {flag}notebooks", done


@pytest.fixture
def installing(tmp_path):
    """Install in a folder whose python and nvidia-smi only write down how they are called."""
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "pyproject.toml").touch()
    calls = tmp_path / "calls"

    def make(*words, gpu=False, index=True, seconds=0):
        programs = {
            ".venv/bin/python": f'echo "$@" >> {calls}\n[ "$2" = pip ] && [ "$3" = install ] && '
            f'sleep {seconds}\n[ "$1" != -c ] || exit {int(not index)}',
            "bin/nvidia-smi": f"exit {int(not gpu)}",
            "bin/uname": "echo Linux",
        }
        for name, text in programs.items():
            (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
            (tmp_path / name).chmod(0o755)
        (tmp_path / ".venv" / ".installed").unlink(missing_ok=True)
        calls.unlink(missing_ok=True)
        path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
        done = run_make(tmp_path, ".venv/.installed", "EVERY=1", *words, PATH=path)
        found = [line for line in calls.read_text().splitlines() if "pip install" in line]
        return "\n".join(found), done.stdout

    return make


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_the_installation_says_its_size_and_shows_that_it_lives(installing, tmp_path):
    call, out = installing(seconds=1.5)
    assert "whl/cpu" in call and "-e .[test]" in call
    first, *_, last = out.splitlines()
    assert "about 2 GB" in first and "no NVIDIA GPU" in first
    assert re.search(r"^  \d+ s, .venv has \d+ MB so far$", out, re.MULTILINE)
    seconds = (tmp_path / ".venv" / ".installed").read_text().strip()
    assert last == f"Installed in {seconds} s." and int(seconds) in (1, 2, 3)


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_torch_for_the_cpu_is_taken_only_where_that_helps(installing):
    assert "whl/cpu" not in installing(gpu=True)[0]
    call, out = installing(index=False)
    assert "whl/cpu" not in call and "does not answer" in out and "about 6 GB" in out
    assert "--pre" in (call := installing("PIP_FLAGS=--pre")[0]) and "whl/cpu" not in call
    assert "whl/cpu" not in installing("PIP_FLAGS=")[0]


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_installs_what_the_lock_holds(installing, tmp_path):
    (tmp_path / "requirements.lock").touch()
    hashed = "-m pip install -qq --no-deps --require-hashes -r"
    own = "-m pip install -qq --no-deps -e ."
    assert installing(gpu=True)[0].splitlines() == [f"{hashed} requirements.lock", own]
    assert "tools/lock.py" not in (tmp_path / "calls").read_text()
    first, torch, last = installing()[0].splitlines()
    assert (first, last) == (f"{hashed} .venv/locked.txt", own)
    assert "--no-deps --index-url https://download.pytorch.org/whl/cpu" in torch
    assert "tools/lock.py cpu requirements.lock\n" in (tmp_path / "calls").read_text()
    assert "--require-hashes" not in (call := installing("LOCK=")[0]) and "-e .[test]" in call
    assert installing("PIP_FLAGS=--pre", index=False)[0].count("--pre") == 2


def locked():
    """(line for pip, {name of a file: its hash}) of each package of the lock."""
    files, found = [], []
    for line in (PROJECT / "requirements.lock").read_text(encoding="utf-8").splitlines()[1:]:
        if line.startswith("# "):
            files.append(line.removeprefix("# "))
        else:
            hashes = re.findall(r" --hash=sha256:([0-9a-f]{64})(?= |$)", line)
            assert len(files) == len(hashes) == line.count("--hash"), line
            found.append((line, dict(zip(files, hashes))))
            files = []
    return found


def test_the_lock_holds_what_is_required():
    """Every file has a SHA-256; no file has an address, whatever index answered."""
    versions = {line.split("==")[0]: re.split("[= ]+", line)[1] for line, _ in locked()}
    for name, bound in required().items():
        have, least = (re.findall(r"\d+", text) for text in (versions[name], bound))
        assert list(map(int, have)) >= list(map(int, least)), name
    assert all(files for _, files in locked())
    assert "/" not in (PROJECT / "requirements.lock").read_text(encoding="utf-8")


def test_the_lock_has_wheels_for_linux_with_and_without_a_gpu():
    """On x86_64 with Python 3.11, pip needs no compiler for anything that is not of Windows."""
    fits = re.compile(r".*-(py3|py2\.py3|cp311|cp3\d*(?=-abi3))-\w+-(any|.*manylinux.*x86_64)\.whl")
    fitting, other = set(), set()
    for line, files in locked():
        (fitting if any(map(fits.fullmatch, files)) else other).add(line.split("==")[0])
    assert set(required()) | {"nvidia-cublas", "nvidia-nccl-cu13", "triton"} <= fitting
    assert other - fitting <= {"appnope", "pywinpty"}  # of macOS and of Windows


def test_the_lock_is_written_without_addresses_and_read_for_the_cpu(tmp_path):
    def lines(what, *path):
        command = [sys.executable, PROJECT / "tools" / "lock.py", what, *path]
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
        return done.stdout

    def file(name, hash):
        return {"url": f"https://mirror.invalid/a/b/{name}", "hashes": {"sha256": hash}}

    wheels = ["six-1.0-py3-none-any.whl", "six-1.0-cp311-cp311-win_amd64.whl"]
    text = runpy.run_path(str(PROJECT / "tools" / "lock.py"))["text"]
    packages = [
        {"name": "six", "version": "1.0", "marker": "os_name == 'nt'",
         "wheels": [file(*each) for each in zip(wheels, "ab")], "sdist": file("six.tar.gz", "s")},
        {"name": "torch", "version": "2.9", "sdist": file("torch-2.9.tar.gz", "c")},
        {"name": "windows", "version": "3", "wheels": [file("windows-3-py3-none-win32.whl", "d")]},
        {"name": "nvidia-nccl", "version": "3", "sdist": file("nvidia-nccl-3.tar.gz", "e")},
    ]  # fmt: skip
    six = "six==1.0 ; os_name == 'nt' --hash=sha256:a\n"
    lock = tmp_path / "requirements.lock"
    lock.write_text(text(packages))
    _, *rest = lock.read_text().splitlines(keepends=True)
    assert "".join(rest) == (
        f"# {wheels[0]}\n{six}# torch-2.9.tar.gz\ntorch==2.9 --hash=sha256:c\n"
        "# nvidia-nccl-3.tar.gz\nnvidia-nccl==3 --hash=sha256:e\n"
    )
    assert lines("cpu", lock) == six and lines("torch", lock) == "torch==2.9\n"
    assert re.fullmatch(r"torch==[\d.]+\ntorchvision==[\d.]+\n", lines("torch"))
    assert "nvidia" not in (cpu := lines("cpu")) and "triton" not in cpu and "\nlpips==" in cpu
    markers = [line for line in cpu.splitlines() if line.startswith("numpy==")]
    assert len(markers) == cpu.count("\nnumpy==") > 1  # a version for each Python


def test_ci_runs_the_command_the_readme_names():
    script = (PROJECT / ".ci" / "run").read_text(encoding="utf-8")
    assert script.splitlines()[-1] == "make test"
    assert "make test" in (PROJECT / "README.md").read_text(encoding="utf-8")


@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")
@pytest.mark.parametrize("there", [True, False])
def test_ci_requires_a_browser_and_installs_one_that_is_missing(there, tmp_path):
    for tool in ("bash", "dirname"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    programs = {"make": 'echo "make $* PG2_BROWSER=$PG2_BROWSER"', "timeout": 'shift; "$@"'}
    programs["apt-get"] = f'echo "$*" >> {tmp_path}/asked; [ "$2" = update ]'
    programs |= {"chromium": "", "node": ""} if there else {}
    for name, text in programs.items():
        (tmp_path / name).write_text(f"#!{tmp_path}/bash\n{text}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": str(tmp_path), "PG2_DATA": "elsewhere"}
    command = [tmp_path / "bash", PROJECT / ".ci" / "run"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("make test PG2_BROWSER=required\n")
    assert ("could not be installed" in done.stdout) != there
    asked = tmp_path / "asked"
    asked = asked.read_text(encoding="utf-8").splitlines() if asked.exists() else []
    install = "-qq install -y --no-install-recommends chromium fonts-dejavu-core nodejs"
    assert asked == ([] if there else ["-qq update", install] * 2)


# ---- docs/paper-vs-code.md


def comparison():
    """The rows of the page's table: lists of cells."""
    text = (PROJECT / "docs" / "paper-vs-code.md").read_text(encoding="utf-8")
    return [line.strip("| ").split(" | ") for line in text.splitlines() if re.match(r"\| \d", line)]


def known_switches():
    """Every option by name: the set of its defaults, over configurations and functions."""
    switches = {}
    for module in (importlib.import_module(f"pg2lib.{name}") for name in modules()):
        for thing in vars(module).values():
            if dataclasses.is_dataclass(thing):
                options = [(field.name, field.default) for field in dataclasses.fields(thing)]
            elif inspect.isfunction(thing) and thing.__module__.startswith("pg2lib"):
                parameters = inspect.signature(thing).parameters.values()
                options = [(parameter.name, parameter.default) for parameter in parameters]
            else:
                continue
            for name, default in options:
                switches.setdefault(name, []).append(default)
    return switches


def test_the_comparison_has_thirty_complete_rows():
    rows = comparison()
    assert [row[0] for row in rows] == [str(number) for number in range(1, 31)]
    assert {len(row) for row in rows} == {6}
    assert all(row[5] != "-" or "*Decision" in row[4] for row in rows)


def test_the_comparison_names_switches_and_defaults_that_exist():
    switches = known_switches()
    for number, *_, cell in comparison():
        for name in re.findall(r"`(\w+)`", cell):
            assert name in switches, f"row {number}: no option is called {name}"
        for name, value in re.findall(r"`(\w+)` = (\"[\w-]+\"|[\d,]*\d|\w+)", cell):
            default = ast.literal_eval(value.replace(",", ""))
            assert default in switches[name], f"row {number}: {name} defaults to {switches[name]}"


PLOTS = ("_curves.png", "/scores.png", "/claims_effects.png", "/claims_convergence.png",
         "/claims_learning.png", "/patn_cost.png")  # fmt: skip
REAL = ("market1501-", "deepfashion-")


@pytest.mark.skipif(not (PROJECT / ".git").exists(), reason="not a git checkout")
def test_git_holds_no_photographs_of_a_real_data_set():
    """Market-1501 and DeepFashion must not be redistributed; plots show no person."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "figures"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    files = [file for file in listed.stdout.split("\0") if file.startswith(
        tuple(f"figures/{name}" for name in REAL)
    )]  # fmt: skip
    pictures = [file for file in files if not file.endswith((".json", ".md", ".csv", ".tex"))]
    assert pictures, "the plots are there"
    assert [file for file in pictures if not file.endswith(PLOTS)] == []


@pytest.mark.skipif(not (PROJECT / ".git").exists(), reason="not a git checkout")
@pytest.mark.parametrize("name", ["figure4.png", "data.png", "failures.png", "figure1c.pdf"])
def test_git_ignores_pictures_that_can_hold_photographs(name):
    for folder in ("market1501-lite", "deepfashion-quick", "folder-photos-quick"):
        path = f"figures/{folder}/{name}"
        done = subprocess.run(["git", "check-ignore", "-q", path], cwd=PROJECT, check=False)
        assert done.returncode == 0, f"git would add {path}"


@pytest.mark.skipif(not (PROJECT / ".git").exists(), reason="not a git checkout")
def test_a_run_leaves_the_checkout_clean(monkeypatch):
    for name in ("PG2_FIGURES", "PG2_RUNS"):
        monkeypatch.delenv(name)
    path = run_store.figures() / "synthetic-market-quick" / "table1.md"
    assert path.is_relative_to(PROJECT)
    command = ["git", "check-ignore", "-q", path]
    assert subprocess.run(command, cwd=PROJECT, check=False).returncode == 0
