"""The notebooks, run by papermill: which exist, when one is out of date, and its execution.

A notebook's metadata, under "pg2", lists the rows it needs scored and the files it writes into the
figures folder. It is done when its executed copy is in the run store and every file it declares is
in the figures folder, unchanged.
"""

import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat

from pg2lib import models
from pg2lib.core.config import Study
from pg2lib.core.files import UserError, alive, sha256, write_atomically
from pg2lib.data import own_parsing
from pg2lib.results import claims
from pg2lib.workflow import code_keys, pipeline, plan
from pg2lib.workflow import run_store as runs
from pg2lib.workflow import shipped as demo

# name weights by a path, which kernels need in full
WEIGHTS = ("PG2_INCEPTION", "PG2_LPIPS", "PG2_VGG19", "PG2_KEYPOINT_RCNN")


@dataclass(frozen=True)
class Notebook:
    """A notebook, the rows it needs scored, and the files it writes into the figures folder.

    claims: it also reads the ablations, and the other half's data set if scored. seeds: it reports
    over all seeds of a study; the others show one training. answers: it also reads the answers of
    the user study. ships: the project's copy shows the bundled generators. papers: the later papers
    it is about; it also reads the ablations of their claims, and is run by `make successors`, not
    `make reproduce`. drawn: it needs the exact parsing maps of drawn people.
    """

    name: str
    rows: Sequence[str]
    outputs: Sequence[str]
    claims: bool = False
    seeds: bool = False
    answers: bool = False
    ships: bool = False
    papers: Sequence[str] = ()
    drawn: bool = False

    @property
    def path(self) -> Path:
        return notebooks_folder() / f"{self.name}.ipynb"


def notebooks_folder() -> Path:
    return runs.project() / "notebooks"


def notebooks() -> tuple[Notebook, ...]:
    """All notebooks of the project, ordered by number. Raises UserError if there are none."""
    folder, found = notebooks_folder(), []
    for path in sorted(folder.glob("[0-9][0-9]_*.ipynb")):
        about = {"rows": (), "outputs": ()} | read(path).metadata.get("pg2", {})
        if about["rows"] == "all":
            about["rows"] = pipeline.all_rows()
        found.append(Notebook(path.stem, **about))
    if not found:
        raise UserError(f"{folder} holds no notebooks; run from a checkout of the project")
    return tuple(found)


def read(path: Path):
    return nbformat.read(path, as_version=4)


def notebook_step(study: Study, notebook: Notebook) -> runs.Step:
    """The step of a notebook: its source cells, its parameters, the scores it reads, the numbers
    printed in the methods' papers, and the code used by its cells."""
    cells = [[cell.cell_type, cell.source] for cell in read(notebook.path).cells]
    shown = [name for name in notebook.rows if name in models.METHODS]
    config = {
        "cells": cells,
        "parameters": parameters(study),
        "methods": {name: models.find(name).shown for name in shown},
    }
    steps = [step for row in notebook.rows for step in score_steps(study, row)]
    inputs = {"data": pipeline.data_step(study).key}
    if notebook.answers:
        files = (runs.root() / "user_study").rglob("*.jsonl")  # Table 2 shows them all
        inputs["answers"] = {str(path.relative_to(runs.root())): sha256(path) for path in files}
    if notebook.ships and demo.ships(study):
        of = study.dataset
        inputs |= {row: sha256(demo.weights_file(row, of)) for row in demo.rows(of)}
    if notebook.claims:
        other, sibling = plan.ablation_study(study), plan.sibling(study)
        steps += [s for row in claims.rows_of(ablations=True) for s in score_steps(other, row)]
        if sibling:
            steps += [s for row in claims.rows_of(how="halves") for s in score_steps(sibling, row)]
    if notebook.papers:
        rows = claims.rows_of(ablations=True, among=claims.later(notebook.papers))
        steps += [s for row in rows for s in score_steps(plan.ablation_study(study), row)]
    inputs |= {step.name: step.key for step in steps}
    entries = code_keys.notebook_entries([source for kind, source in cells if kind == "code"])
    return runs.Step("notebook", f"{study.name}/{notebook.name}", config, inputs, tuple(entries))


def score_steps(study: Study, row: str) -> list[runs.Step]:
    """The scores of a row, one step per seed."""
    return [pipeline.score_step(one, row) for one in pipeline.each(study, row)]


def parameters(study: Study) -> dict:
    own = {"overrides": " ".join(study.overrides)} if study.overrides else {}
    return {
        "dataset": study.dataset,
        "profile": study.profile,
        "seeds": ",".join(map(str, study.seeds)),
    } | own


def notebook_state(study, notebook: Notebook) -> runs.State:
    """The state in the run store; then whether its files in the figures folder are unchanged."""
    step = notebook_step(study, notebook)
    state = runs.state(step)
    if not state.hit:
        return runs.State(False, "its cells changed") if "cells" in state.reason else state
    folder = pipeline.figures_folder(study)
    for name, digest in runs.read_done(step)["facts"]["figures"].items():
        if not (folder / name).exists():
            return runs.State(False, f"{name} is gone from {folder.name}/")
        if sha256(folder / name) != digest:
            return runs.State(False, f"{name} in {folder.name}/ changed since it was written")
    return state


def run_notebook(study, notebook: Notebook, log=None) -> Path:
    """Execute a notebook unless it is done; returns the path of its executed copy."""
    log = log or (lambda line: None)
    step, state = notebook_step(study, notebook), notebook_state(study, notebook)
    path, figures = step.folder / f"{notebook.name}.ipynb", pipeline.figures_folder(study)
    log(step.line(state))
    if state.hit:
        return path
    waiting = f"{'':8} {step.name:44} another process works on it"
    with runs.claim(step, lambda: log(waiting)):
        if notebook_state(study, notebook).hit:  # another process has run it by now
            return path
        (step.folder / "done.json").unlink(missing_ok=True)
        started, temporary = time.time(), path.with_suffix(".running.ipynb")
        execute(study, notebook, temporary)
        if missing := [name for name in notebook.outputs if not (figures / name).exists()]:
            raise UserError(f"notebook {notebook.name} ran but did not write {', '.join(missing)}")
        os.replace(temporary, path)
        digests = {
            name: sha256(figures / name)
            for output in notebook.outputs
            for name in (output, Path(output).with_suffix(".json").name)
            if (figures / name).exists()
        }
        runs.finish(step, [path.name], time.time() - started, {"figures": digests})
    return path


def execute(study, notebook: Notebook, output: Path):
    """Run papermill on one notebook, with a progress bar. Raises UserError, naming notebook and
    cell, for a failed cell, a dead or silent kernel, or an unknown parameter."""
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from traitlets.config import Config

    from pg2lib.workflow import kernels

    known = papermill.inspect_notebook(str(notebook.path))
    if unknown := sorted(set(parameters(study)) - set(known)):
        raise UserError(
            f"notebook {notebook.name} has no parameter {', '.join(unknown)}; its parameters cell "
            f"knows {', '.join(sorted(known)) or 'none'}"
        )
    mode = os.environ.get("PG2_PROGRESS", "auto")
    bar = mode == "bar" or (mode == "auto" and sys.stderr.isatty())
    with kernel_address() as address:
        manager = {"transport": "ipc", "ip": address, "connection_file": f"{address}.json"}
        try:
            papermill.execute_notebook(
                str(notebook.path),
                str(output),
                parameters=parameters(study),
                engine_name=kernels.ENGINE,
                kernel_name="python3",
                progress_bar=bar and {"desc": f"notebook {notebook.name}", "leave": False},
                cwd=str(notebooks_folder()),
                start_timeout=300,
                # file-system sockets, unreachable from other machines
                config=Config(KernelManager=manager),
                env=os.environ | kernel_environment(study),
            )
        except papermill.exceptions.PapermillExecutionError as error:
            reason = str(error.evalue).strip().partition("\n")[0]
            raise UserError(
                f"notebook {notebook.name} failed in cell {error.cell_index}: {error.ename}: "
                f"{reason}; the executed copy is {output}"
            ) from None
        except (RuntimeError, CellTimeoutError) as error:  # from jupyter_client and nbclient
            died = type(error) is DeadKernelError
            raise UserError(
                f"the kernel of notebook {notebook.name} "
                f"{'died' if died else 'stopped answering'} in cell {last_cell(output)} "
                f"({'out of memory?' if died else 'a full machine?'}); run it again to resume"
            ) from None


@contextlib.contextmanager
def kernel_address():
    """Yield a path prefix for a kernel's sockets, in a private folder that is removed afterwards.

    Jupyter's default, `kernel-ipc` in the working folder, is the same for all processes there.
    """
    folder = tempfile.gettempdir()
    if len(os.fsencode(folder)) > 60:  # a socket's path has at most 107 bytes
        folder = "/tmp"
    for left in Path(folder).glob("pg2-*-*"):  # left by a killed process
        owner = left.name.split("-")[1]
        if owner.isdecimal() and not alive(int(owner)):
            shutil.rmtree(left, ignore_errors=True)
    prefix = f"pg2-{os.getpid()}-"
    with tempfile.TemporaryDirectory("", prefix, folder, ignore_cleanup_errors=True) as private:
        yield str(Path(private) / "kernel")


def kernel_environment(study) -> dict:
    """Environment of a notebook's kernel, besides its parameters."""
    source = pipeline.source_folder(study)
    weights = {name: os.environ.get(name) for name in WEIGHTS}
    weights = {
        name: str(Path(file).expanduser().resolve()) for name, file in weights.items() if file
    }
    environment = weights | {
        "PG2_PROGRESS": "off",
        "PG2_RUNS": str(runs.root().resolve()),
        "PG2_FIGURES": str(runs.figures().resolve()),
        "PG2_KEYPOINT_FRAME": study.keypoint_frame,
        "PG2_DATA": source and str(source.resolve()),
        "PG2_DEVICE": study.device,
        "PG2_PARSING": study.parsing and "{}:{}".format(*own_parsing.split(study.parsing)),
        "PG2_METHODS": os.pathsep.join(str(file.resolve()) for file in models.own_files()),
    }
    # a study that ships has no changes, whatever $PG2_SET says
    changes = {"PG2_SET": " ".join(study.overrides)}
    return {name: value for name, value in environment.items() if value} | changes


def last_cell(path: Path) -> int:
    """Index of the last started cell in an unfinished copy."""
    cells = read(path).cells if path.exists() else []
    begun = (k for k, c in enumerate(cells) if c.metadata.get("papermill", {}).get("start_time"))
    return max(begun, default=0)


def committed_copy(executed: Path):
    """The executed notebook as committed: without papermill traces, widget state and injected
    cells, with each text in one piece, counted 1..n."""
    book = read(executed)
    book.cells = [c for c in book.cells if "injected-parameters" not in c.metadata.get("tags", [])]
    for cell in book.cells:
        for name in ("papermill", "execution"):
            cell.metadata.pop(name, None)
    from nbconvert.preprocessors import CoalesceStreamsPreprocessor  # takes a second to import

    # on a busy machine one text arrives in several pieces
    book, _ = CoalesceStreamsPreprocessor().preprocess(book, {})
    for count, cell in enumerate((c for c in book.cells if c.cell_type == "code"), 1):
        cell.execution_count = count
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = count
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    own = {name: value for name, value in book.metadata.items() if name == "pg2"}
    own |= {"kernelspec": kernel, "language_info": {"name": "python"}}
    book.metadata = nbformat.from_dict(own)
    nbformat.validate(book)
    return book


def update_committed(study, books, log):
    """Replace the project's notebooks by the executed ones of a study."""
    shipped = Study(profile=demo.PROFILE, device=study.device)
    for notebook in books:
        executed = run_notebook(shipped if notebook.ships else study, notebook, log)
        with write_atomically(notebook.path) as temporary:
            nbformat.write(committed_copy(executed), temporary)
        kilobytes = notebook.path.stat().st_size // 1000
        log(f"{'wrote':8} notebooks/{notebook.path.name} ({kilobytes} KB)")
