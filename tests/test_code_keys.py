"""Keys of steps: the code that a function reaches, and nothing else."""

import ast
import dataclasses
import shutil
import subprocess
import sys
import types
from contextlib import contextmanager
from pathlib import Path

import pytest

from pg2lib import models
from pg2lib.core.config import Study
from pg2lib.workflow import code_keys, notebooks, pipeline, plan

PROJECT = Path(__file__).resolve().parent.parent
KEYS = """
import json
from pg2lib.core.config import Study
from pg2lib.workflow import notebooks, pipeline, plan
study = Study(profile="smoke")
books = notebooks.notebooks()
steps = [*plan.steps(study), *(notebooks.notebook_step(study, n) for n in books)]
print(json.dumps({f"{s.kind} {s.name}": s.key for s in steps}))
"""


def forget():
    for cached in (code_keys.source, code_keys.reach, code_keys.parse):
        cached.cache_clear()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A function that writes modules of a small package and hashes what its `work` reaches."""

    def hashes(entry=("toy.a", "work"), **modules):
        forget()
        monkeypatch.setattr(code_keys, "PACKAGE", tmp_path)
        monkeypatch.setattr(code_keys, "NAME", "toy")
        for name, text in modules.items():
            (tmp_path / f"{name}.py").write_text(text)
        return code_keys.hashes(entry)

    yield hashes
    forget()


A = "from toy import b\nfrom toy.c import deep as d\n\ndef work(x):\n    return b.use(x) + d(x)\n"
B = "LIMIT = 3\n\ndef use(x):\n    return x + LIMIT\n\ndef other():\n    return 1\n"
C = "def deep(x):\n    return helper(x)\n\ndef helper(x):\n    return x\n"


def test_only_what_is_reached_counts(package):
    first = package(a=A, b=B, c=C)
    assert set(first) == {"toy.a", "toy.b", "toy.c"}
    assert package(b=B.replace("return 1", "return 2")) == first  # nobody calls other()
    assert package(b='"""Doc."""\n' + B.replace("LIMIT = 3", "LIMIT = 3  # three")) == first
    assert package(a=A.replace("def work(x):", 'def work(x: int) -> int:\n    """W."""')) == first
    changed = package(b=B.replace("LIMIT = 3", "LIMIT = 4"))
    assert changed["toy.b"] != first["toy.b"] and changed["toy.a"] == first["toy.a"]
    assert package(b=B, c=C.replace("return x\n", "return -x\n"))["toy.c"] != first["toy.c"]
    assert package(c=C, d="import toy.a\n") == first


def test_imports_inside_functions_and_whole_modules_count(package):
    inside = "def work(x):\n    from toy import b\n    return getattr(b, x)\n"
    first = package(a=inside, b=B)
    assert package(b=B.replace("return 1", "return 2")) != first  # any name of b may be meant


EARLY = """
import sys
LIMITS = [3]
LIMITS.append(4)
if sys.flags.debug:
    def use(x):
        return x
else:
    def use(x):
        return LIMITS[x]
"""


@pytest.mark.parametrize("old, new", [("append(4)", "append(5)"), ("return x\n", "return -x\n")])
def test_what_runs_at_import_and_every_definition_of_a_name_count(package, old, new):
    first = package(a=A, b=EARLY, c=C)
    assert package(b=EARLY.replace(old, new))["toy.b"] != first["toy.b"]


def test_the_text_of_code_is_that_of_every_version_of_python():
    """3.12 has new fields and puts empty texts into f-strings; an empty argument counts."""
    [node] = ast.parse('def f(x, form):\n    return f"{x:{form}}".split("")').body
    plain = code_keys.as_text(node)
    node.type_params = []
    node._fields = (*node._fields, "type_params")
    for inner in ast.walk(node):
        if isinstance(inner, ast.JoinedStr):
            inner.values.append(ast.Constant(""))
    assert code_keys.as_text(node) == plain
    assert "Constant(value='')" in plain and plain.startswith("FunctionDef(name='f'")


def test_a_file_of_methods_of_ones_own_counts(tmp_path, monkeypatch):
    module, found = types.ModuleType("pg2_methods_0123_mine"), []
    module.__file__ = str(tmp_path / "mine.py")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for value in (1, 2):
        (tmp_path / "mine.py").write_text(f"def work():\n    return {value}\n")
        forget()
        found.append(code_keys.hashes((module.__name__, "work")))
    forget()
    assert list(found[0]) == [module.__name__] and found[0] != found[1]


def keys(project, **environment):
    """The keys of all steps of the smoke study, in a process that imports this project."""
    command = [sys.executable, "-c", KEYS]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=project,
        env={**__import__("os").environ, "PYTHONPATH": str(project), **environment},
    )  # fmt: skip
    return __import__("json").loads(done.stdout)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A copy of the library and the notebooks, to change."""
    folder = tmp_path_factory.mktemp("clone")
    ignore = shutil.ignore_patterns("__pycache__", "*.safetensors")
    shutil.copytree(PROJECT / "pg2lib", folder / "pg2lib", ignore=ignore)
    shutil.copytree(PROJECT / "notebooks", folder / "notebooks", ignore=ignore)
    shutil.copy(PROJECT / "pyproject.toml", folder)
    return folder, keys(folder)


@contextmanager
def changed_files(clone, *changes):
    """The clone while texts in its files are replaced: (file, old, new), ..."""
    texts = {}
    try:
        for file, old, new in changes:
            path = clone[0] / file
            texts.setdefault(path, path.read_text())
            assert old in path.read_text()
            path.write_text(path.read_text().replace(old, new, 1))
        yield
    finally:
        for path, text in texts.items():
            path.write_text(text)


def with_changes(clone, *changes):
    """The steps whose key differs after changes that count when the library is imported."""
    folder, before = clone
    with changed_files(clone, *changes):
        after = keys(folder)
    return {name for name in before if before[name] != after[name]}


def read_again(clone):
    """The keys of all steps, from the clone's source code and this process's library: faster than
    `keys`, for changes inside functions and texts."""
    study = Study(profile="smoke")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(code_keys, "PACKAGE", clone[0] / "pg2lib")
        forget()
        books = (notebooks.notebook_step(study, each) for each in notebooks.notebooks())
        found = {f"{step.kind} {step.name}": step.key for step in (*plan.steps(study), *books)}
    forget()
    return found


def with_code(clone, *change):
    before = read_again(clone)
    with changed_files(clone, change):
        after = read_again(clone)
    return {name for name in before if before[name] != after[name]}


def test_new_methods_readers_and_functions_leave_all_other_keys_alone(clone):
    folder, _ = clone
    (folder / "pg2lib" / "models" / "new.py").write_text("METHODS = ()\n")
    last, first = '"soft_gated")', '    "synthetic-market": "pg2lib'
    more = "\n\ndef perceptual(a, b):\n    return (a - b).square().mean()\n"
    assert not with_changes(
        clone,
        ("pg2lib/models/__init__.py", last, last[:-1] + ', "new")'),
        ("pg2lib/models/losses.py", "def bce", more + "\n\ndef bce"),
        ("pg2lib/data/prepare.py", first, '    "mine": "mine.reader",\n' + first),
    )


def test_a_corrected_number_of_the_printed_table_runs_notebook_05_again_and_trains_nothing(clone):
    changed = with_changes(clone, ("pg2lib/models/pg2.py", "0.253", "0.254"))
    assert any("05_metrics" in name for name in changed)
    assert all(name.startswith("notebook") for name in changed)


def test_another_word_below_a_table_runs_notebook_05_again_and_trains_nothing(clone):
    note = "pg2lib/results/note_texts/scores.txt"
    changed = with_code(clone, note, "Split:", "The split:")
    assert any("05_metrics" in name for name in changed)
    assert all(name.startswith("notebook") for name in changed)


@pytest.mark.parametrize("change", [
    ("pg2lib/models/layers.py", "return x + y if", "return y + x if"),
    ("pg2lib/training/loop.py", "SAMPLE_PAIRS = 8", "SAMPLE_PAIRS = 9"),
])  # fmt: skip
def test_a_layer_and_the_loop_train_rows_again_and_draw_no_data(clone, change):
    changed = with_code(clone, *change)
    assert "train synthetic-market-smoke/G1-L1" in changed
    assert not any(name.startswith("data") for name in changed)
    network = any(name.endswith("keypoints") for name in changed)
    assert network == ("loop" in change[0])  # it has layers of its own


def test_a_field_with_a_default_changes_no_key(clone):
    old = "    beta2: float = 0.999\n"
    new = old + "    dilation: int = 1\n"
    changed = with_changes(clone, ("pg2lib/models/pg2.py", old, new))
    assert not any(name.startswith(("train", "evaluate")) for name in changed)


def test_what_is_only_shown_is_in_the_key_of_a_notebook(monkeypatch):
    study = Study(profile="smoke")
    [five] = [n for n in notebooks.notebooks() if n.name.startswith("05")]
    before = notebooks.notebook_step(study, five).key
    row = models.find("G1-L1")
    monkeypatch.setitem(models.METHODS, "G1-L1", dataclasses.replace(row, title="other"))
    assert notebooks.notebook_step(study, five).key != before
    assert pipeline.train_step(study, "G1-L1").key == pipeline.train_step(study, "G1-L1").key
