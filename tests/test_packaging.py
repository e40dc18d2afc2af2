"""The project's own promises: requirements, imports, version, and that documents keep up."""

import ast
import dataclasses
import importlib
import inspect
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import pg2lib

PROJECT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))

# Distribution name where it is not the imported one.
DISTRIBUTIONS = {"skimage": "scikit-image", "PIL": "pillow", "yaml": "pyyaml"}
CONDA_NAMES = {"pytorch": "torch"}

CORE = (
    "devices", "distributed", "keypoints", "heatmaps", "people", "store", "market", "fashion",
    "datasets", "networks", "losses", "experiments", "runs", "training", "pose_score", "ssim",
    "scores", "copy_score", "perceptual", "evaluation", "pipeline", "photo", "estimate", "weights",
)  # fmt: skip
NOT_IN_CORE = (
    "papermill", "IPython", "jupyterlab", "ipywidgets", "matplotlib.pyplot", "torchvision",
    "torch_fidelity", "safetensors",
)  # fmt: skip


def split(requirement):
    """ "numpy>=1.26" as ("numpy", ">=1.26"), the name normalised."""
    name, bound = re.fullmatch(r"([\w.-]+)\s*(.*)", requirement).groups()
    return name.lower().replace("_", "-"), bound


def required():
    """The requirements of the project and its tests: dict name -> version bound."""
    project = PYPROJECT["project"]
    return dict(map(split, project["dependencies"] + project["optional-dependencies"]["test"]))


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
    sources = [*PROJECT.glob("pg2lib/**/*.py"), *PROJECT.glob("tests/*.py")]
    assert len(sources) > 10
    imported = set()
    for source in sources:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(node.module.split(".")[0])
    local = {source.stem for source in sources} | {"pg2lib", "benchmarks"}
    foreign = imported - set(sys.stdlib_module_names) - local
    assert {split(DISTRIBUTIONS.get(name, name))[0] for name in foreign} <= set(required())


def test_core_modules_need_no_notebook_or_display_library():
    # In a process of its own: here, other tests have imported all of these.
    code = f"""if True:
        import importlib, sys
        for module in {CORE}:
            importlib.import_module("pg2lib." + module)
            for name in {NOT_IN_CORE}:
                if name in sys.modules:
                    sys.exit(f"importing pg2lib.{{module}} imports {{name}}")
    """
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT)
    assert done.returncode == 0, done.stderr


def test_every_package_is_packed():
    folders = {path.parent for path in PROJECT.glob("pg2lib/**/*.py")}
    packages = {".".join(folder.relative_to(PROJECT).parts) for folder in folders}
    assert packages == set(PYPROJECT["tool"]["setuptools"]["packages"])
    assert all((folder / "__init__.py").exists() for folder in folders)


def test_one_version_everywhere():
    citation = yaml.safe_load((PROJECT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == pg2lib.__version__
    assert citation["license"] == PYPROJECT["project"]["license"] == "MIT"
    assert (PROJECT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_prints_its_targets_and_passes_variables_on(tmp_path):
    def make(*words):
        command = ["make", "-f", PROJECT / "Makefile", *words]  # elsewhere: nothing is built yet
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
        return done.stdout

    (tmp_path / "pyproject.toml").touch()
    targets = re.search(r"^\.PHONY: (.*)$", (PROJECT / "Makefile").read_text(), re.M)[1].split()
    assert all(f"make {target}" in make() for target in targets if target != "help")
    assert "reproduce --dataset synthetic-market --profile quick" in make("-n", "reproduce")
    chosen = make("-n", "reproduce", "DATASET=market1501", "PROFILE=paper")
    assert "reproduce --dataset market1501 --profile paper" in chosen
    assert "--nbval" in make("-n", "test") and "pip install" in make("-n", "test")


def test_ci_runs_the_command_the_readme_names():
    script = (PROJECT / ".ci" / "run").read_text(encoding="utf-8")
    assert script.splitlines()[-1] == "make test"
    assert "make test" in (PROJECT / "README.md").read_text(encoding="utf-8")


# ---- docs/paper-vs-code.md


def comparison():
    """The rows of the page's table: lists of cells."""
    text = (PROJECT / "docs" / "paper-vs-code.md").read_text(encoding="utf-8")
    return [line.strip("| ").split(" | ") for line in text.splitlines() if re.match(r"\| \d", line)]


def known_switches():
    """Every option by name: the set of its defaults, over configurations and functions."""
    switches = {}
    for module in (importlib.import_module(f"pg2lib.{name}") for name in CORE):
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
