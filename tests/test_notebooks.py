"""The committed notebooks as documents: head, order, outputs, size. nbval runs their code."""

import ast
import copy
import json
import re
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
NAMES = (
    "01_data_and_masks",
    "02_pose_embeddings",
    "03_mask_loss",
    "04_two_stage_vs_one_stage",
    "05_metrics",
    "06_failure_cases",
    "07_claims",
    "08_pose_studio",
    "09_user_study",
    "10_patn",
    "11_soft_gated",
)
HEAD = ("Paper claim", "Goal", "Inputs", "Outputs", "Time")
MAX_BYTES, MAX_CELL, MAX_FUNCTION, MIN_COMPARED = 400_000, 30, 15, 4
MAX_FUNCTIONS = 2  # logic belongs in the library, with a test
NOT_COMPARED_TAGS = {"nbval-ignore-output", "nbval-skip"}
NOT_COMPARED_COMMENTS = re.compile(r"#\s*(NBVAL_(IGNORE_OUTPUT|SKIP)|PYTEST_VALIDATE_IGNORE)")
ABSOLUTE_PATH = re.compile(r"(?<![\w.~<-])/(home|root|work|tmp|Users)\b|\bC:\\")


# ---- what is wrong with a notebook: each check yields sentences


def check_kernel(notebook):
    if notebook.metadata.get("kernelspec", {}).get("name") != "python3":
        yield "its kernel is not python3"


def check_head_and_tail(notebook):
    prose = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    if not prose or notebook.cells[0] is not prose[0]:
        yield "the first cell is not its head"
        return
    for word in HEAD:
        if word not in prose[0].source:
            yield f"its head does not name '{word}'"
    if "Conclusion" not in prose[-1].source:
        yield "its last text cell is no conclusion"


def check_parameters(notebook):
    count = sum("parameters" in tags(cell) for cell in notebook.cells)
    if count != 1:
        yield f"{count} cells are tagged 'parameters', not one"


def check_order(notebook):
    counts = [cell.execution_count for cell in code_cells(notebook)]
    if counts != list(range(1, len(counts) + 1)):
        yield f"not executed once from top to bottom: {counts}"


def check_outputs(notebook):
    for number, cell in enumerate(code_cells(notebook), start=1):
        for output in cell.outputs:
            if output.output_type == "error":
                yield f"code cell {number} ended in an error"
            if output.get("name") == "stderr":
                yield f"code cell {number} wrote to stderr"


def check_shown(notebook):
    for number, cell in enumerate(code_cells(notebook), start=1):
        for output in cell.outputs:
            for text in texts_of(output):
                if match := re.search(r"\{:[^{}\s]*\}", text):
                    yield f"code cell {number} shows a format string: {match[0]}"
            data = output.get("data", {})
            if set(data) == {"text/plain"} and re.fullmatch(r"(['\"]).* .*\1", data["text/plain"]):
                yield f"code cell {number} shows a sentence in quotes"


def check_metadata(notebook):
    for key in ("widgets", "papermill"):
        if key in notebook.metadata:
            yield f"its metadata hold '{key}'"
    for cell in notebook.cells:
        for key in ("papermill", "execution"):
            if key in cell.metadata:
                yield f"a cell's metadata hold '{key}'"


def check_paths(notebook):
    for cell in notebook.cells:
        outputs = [text for output in cell.get("outputs", []) for text in texts_of(output)]
        for text in [cell.source, *outputs]:
            if match := ABSOLUTE_PATH.search(text):
                yield f"an absolute path: {text[match.start() : match.start() + 40]}"


def check_length(notebook):
    functions = 0
    for number, cell in enumerate(code_cells(notebook), start=1):
        lines = cell.source.splitlines()
        if len(lines) > MAX_CELL:
            yield f"code cell {number} has {len(lines)} lines"
        code = "\n".join(re.sub(r"[%!].*", "pass", s) if s[:1] in "%!" else s for s in lines)
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                functions += 1
                length = node.end_lineno - node.lineno + 1
                if length > MAX_FUNCTION:
                    yield f"its function {node.name} has {length} lines"
    if functions > MAX_FUNCTIONS:
        yield f"it defines {functions} functions, more than {MAX_FUNCTIONS}"


def check_compared(notebook):
    count = sum(is_compared(cell) for cell in code_cells(notebook))
    if count < MIN_COMPARED:
        yield f"nbval compares the text of {count} cells, fewer than {MIN_COMPARED}"


CHECKS = {name[6:]: check for name, check in list(globals().items()) if name.startswith("check_")}


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tags(cell):
    return cell.metadata.get("tags", [])


def texts_of(output):
    """The texts of one output; images and other data are left out."""
    if output.output_type == "stream":
        return [output.text]
    data = output.get("data", {})
    return [str(value) for kind, value in data.items() if not kind.startswith("image/")]


def is_compared(cell):
    """Whether nbval compares words or numbers here: pictures and widgets it does not look at."""
    if NOT_COMPARED_TAGS & set(tags(cell)) or NOT_COMPARED_COMMENTS.search(cell.source):
        return False
    seen = [
        output
        for output in cell.outputs
        if not any(k.startswith(("image/", "application/vnd.")) for k in output.get("data", {}))
    ]
    return any(text.strip() for output in seen for text in texts_of(output))


def faults(path):
    """Everything that is wrong with the notebook at path."""
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    try:
        nbformat.validate(notebook)
    except nbformat.ValidationError as error:
        return [f"no valid notebook: {error.message}"]
    found = [fault for check in CHECKS.values() for fault in check(notebook)]
    if path.stat().st_size > MAX_BYTES:
        found.append(f"{path.stat().st_size // 1000} KB, more than {MAX_BYTES // 1000}")
    return found


# ---- the notebooks


def test_the_notebooks_are_there():
    assert set(NAMES) <= {path.stem for path in NOTEBOOKS.glob("*.ipynb")}


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebook(path):
    assert faults(path) == []


# ---- the checks, on notebooks spoilt on purpose


@pytest.fixture
def good():
    cells = [new_markdown_cell(" ".join(HEAD)), new_code_cell("profile = None")]
    cells[1].metadata["tags"] = ["parameters"]
    for number in range(4):
        printed = new_output("stream", name="stdout", text=f"{number}\n")
        cells.append(new_code_cell(f"print({number})", outputs=[printed]))
    for count, cell in enumerate(cells[1:], start=1):
        cell.execution_count = count
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells.append(new_markdown_cell("## Conclusion"))
    return new_notebook(cells=cells, metadata={"kernelspec": kernel})


def write(notebook, folder):
    path = folder / "notebook.ipynb"
    # Not nbformat.write: it mends what is to be found.
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path


def test_a_good_notebook_has_no_faults(good, tmp_path):
    assert faults(write(good, tmp_path)) == []


def code(notebook, source):
    notebook.cells[2].source = source


def long_function(lines):
    return "def long():\n" + "    pass\n" * (lines - 1)


def show(notebook, **data):
    shown = new_output("display_data", data={"text/plain": "seen", **data})
    notebook.cells[2].outputs = [shown]


SPOILT = {
    "its kernel is not python3": lambda n: n.metadata.kernelspec.update(name="ir"),
    "no valid notebook": lambda n: n.cells[2].pop("outputs"),
    "the first cell is not its head": lambda n: n.cells.insert(0, n.cells.pop(2)),
    "its head does not name 'Goal'": lambda n: n.cells[0].update(source=" ".join(HEAD[2:])),
    "its last text cell is no conclusion": lambda n: n.cells[-1].update(source="The end"),
    "0 cells are tagged": lambda n: n.cells[1].metadata.clear(),
    "2 cells are tagged": lambda n: n.cells[2].metadata.update(tags=["parameters"]),
    "[1, 2, 4, 3, 5]": lambda n: n.cells.insert(3, n.cells.pop(4)),
    "[1, 2, None, 4, 5]": lambda n: n.cells[3].update(execution_count=None),
    "[2, 3, 4, 5, 6]": lambda n: [
        cell.update(execution_count=count) for count, cell in enumerate(n.cells[1:6], start=2)
    ],
    "code cell 2 wrote to stderr": lambda n: n.cells[2].outputs.append(
        new_output("stream", name="stderr", text="a warning")
    ),
    "code cell 2 ended in an error": lambda n: n.cells[2].outputs.append(
        new_output("error", ename="ValueError", evalue="no", traceback=[])
    ),
    "code cell 2 shows a format string: {:.0f}": lambda n: (
        n.cells[2].outputs[0].update(text="{:.0f} of 13 joints")
    ),
    "code cell 2 shows a sentence in quotes": lambda n: show(n, **{"text/plain": "'Nobody yet'"}),
    "its metadata hold 'widgets'": lambda n: n.metadata.update(widgets={}),
    "its metadata hold 'papermill'": lambda n: n.metadata.update(papermill={}),
    "a cell's metadata hold 'papermill'": lambda n: n.cells[0].metadata.update(papermill={}),
    "a cell's metadata hold 'execution'": lambda n: n.cells[1].metadata.update(execution={}),
    "an absolute path: /home/me": lambda n: code(n, "open('/home/me/data.csv')"),
    "an absolute path: /tmp/x": lambda n: n.cells[2].outputs[0].update(text="saved in /tmp/x"),
    "an absolute path: C:": lambda n: n.cells[0].update(source=n.cells[0].source + r" C:\data"),
    "an absolute path: /root": lambda n: show(n, **{"text/html": "<b>/root</b>"}),
    "code cell 2 has 31 lines": lambda n: code(n, "x = 1\n" * 31),
    "its function long has 16 lines": lambda n: code(n, "%matplotlib inline\n" + long_function(16)),
    "it defines 3 functions": lambda n: code(n, long_function(2) * 3),
    "compares the text of 3 cells": lambda n: n.cells[2].outputs.clear(),
    "text of 3 cells": lambda n: n.cells[2].metadata.update(tags=["nbval-ignore-output"]),
    "text of 3 cells,": lambda n: code(n, "# NBVAL_IGNORE_OUTPUT\nprint(0)"),
    "of 3 cells": lambda n: show(n, **{"image/png": "aGk="}),
    "401 KB": lambda n: n.cells[0].update(source=n.cells[0].source + "x" * 400_000),
}


@pytest.mark.parametrize("expected", SPOILT)
def test_each_fault_is_found(expected, good, tmp_path):
    spoilt = copy.deepcopy(good)
    SPOILT[expected](spoilt)
    assert any(expected in fault for fault in faults(write(spoilt, tmp_path)))


def test_what_only_looks_like_a_fault_passes(good, tmp_path):
    show(good, **{"text/html": "<div>his/home/x, ./tmp/x and runs/work</div>"})
    code(good, long_function(15))
    assert faults(write(good, tmp_path)) == []
