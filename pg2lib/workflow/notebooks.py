"""The notebooks by papermill: which there are, when one is out of date, and running it.

A notebook says in its own metadata, under "pg2", which rows it needs scored and which files it
writes into the figures folder. It is done when its executed copy is in the run store and every file
that it declares is in the figures folder, unchanged.
"""

import contextlib
import copy
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from pg2lib import models
from pg2lib.core.config import Study
from pg2lib.core.files import UserError, sha256
from pg2lib.results import claims
from pg2lib.workflow import code_keys, pipeline
from pg2lib.workflow import run_store as runs
from pg2lib.workflow import shipped as demo


@dataclass(frozen=True)
class Notebook:
    """A notebook, the rows it needs scored, and the files it writes into the figures folder.

    claims: it also reads the ablations, and the other half's data set where that is scored.
    answers: it also reads the answers of the user study.
    ships: the copy that the project keeps shows the generators that come with it.
    """

    name: str
    rows: tuple[str, ...]
    outputs: tuple[str, ...]
    claims: bool = False
    answers: bool = False
    ships: bool = False


def notebooks_folder() -> Path:
    return runs.project() / "notebooks"


def notebooks() -> tuple[Notebook, ...]:
    """All notebooks of the project, in the order of their numbers."""
    import nbformat

    found = []
    for path in sorted(notebooks_folder().glob("[0-9][0-9]_*.ipynb")):
        about = dict(nbformat.read(path, as_version=4).metadata.get("pg2", {}))
        rows = pipeline.all_rows() if about.get("rows") == "all" else tuple(about.pop("rows", ()))
        about.pop("rows", None)
        outputs = tuple(about.pop("outputs", ()))
        found.append(Notebook(path.stem, rows, outputs, **about))
    return tuple(found)


def read_notebook(name: str):
    import nbformat

    path = notebooks_folder() / f"{name}.ipynb"
    if not path.exists():
        raise UserError(f"{path} is missing; run from a checkout of the project")
    return nbformat.read(path, as_version=4)


def notebook_step(study: Study, notebook: Notebook) -> runs.Step:
    """The step of one notebook: its source cells, its parameters, every score it reads, what the
    methods' papers printed, and the code that its cells use."""
    cells = [[cell.cell_type, cell.source] for cell in read_notebook(notebook.name).cells]
    shown = [name for name in notebook.rows if name in models.METHODS]
    config = {
        "cells": cells,
        "parameters": parameters(study),
        "methods": {name: models.find(name).shown for name in shown},
    }
    inputs = {row: pipeline.score_step(study, row).key for row in notebook.rows}
    inputs["data"] = pipeline.data_step(study).key
    if notebook.answers:
        inputs["answers"] = pipeline.fingerprint(runs.root() / "user_study" / study.name)
    if notebook.ships and demo.ships(study):
        inputs |= {row: sha256(demo.weights_file(row)) for row in demo.rows()}
    if notebook.claims:
        other, sibling = pipeline.ablation_study(study), pipeline.sibling(study)
        steps = [pipeline.score_step(other, row) for row in claims.rows_of(ablations=True)]
        if sibling:
            steps += [pipeline.score_step(sibling, row) for row in claims.rows_of(how="halves")]
        inputs |= {step.name: step.key for step in steps}
    entries = code_keys.notebook_entries([source for kind, source in cells if kind == "code"])
    return runs.Step("notebook", f"{study.name}/{notebook.name}", config, inputs, tuple(entries))


def parameters(study: Study) -> dict:
    given = {"dataset": study.dataset, "profile": study.profile, "seed": study.seed}
    return given | ({"overrides": " ".join(study.overrides)} if study.overrides else {})


def notebook_state(study, notebook: Notebook) -> runs.State:
    """The run store's word, and then the files in the figures folder against what was written."""
    step = notebook_step(study, notebook)
    state = runs.state(step)
    if not state.hit:
        if "cells" in state.reason:
            return runs.State(False, "the notebook's cells changed")
        return state
    folder = pipeline.figures_folder(study)
    for name, digest in runs.read_done(step)["facts"]["figures"].items():
        if not (folder / name).exists():
            return runs.State(False, f"{name} is gone from {folder.name}/")
        if sha256(folder / name) != digest:
            return runs.State(False, f"{name} in {folder.name}/ is not the one it wrote")
    return state


def run_notebook(study, notebook: Notebook, log) -> Path:
    """Execute one notebook if it is not done; the path of its executed copy."""
    step, state = notebook_step(study, notebook), notebook_state(study, notebook)
    log(step.line(state))
    path = step.folder / f"{notebook.name}.ipynb"
    if state.hit:
        return path
    with runs.claim(step):
        (step.folder / "done.json").unlink(missing_ok=True)
        started = time.time()
        temporary = step.folder / f"{notebook.name}.running.ipynb"
        figures = pipeline.figures_folder(study)
        execute(study, notebook, temporary)
        missing = [name for name in notebook.outputs if not (figures / name).exists()]
        if missing:
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
    """papermill on one notebook, with its own progress bar. A failed cell, a dead kernel or an
    unknown parameter ends in a UserError that names notebook and cell."""
    import nbformat
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from traitlets.config import Config

    book = read_notebook(notebook.name)
    known = papermill.inspect_notebook(notebooks_folder() / f"{notebook.name}.ipynb")
    unknown = sorted(set(parameters(study)) - set(known))
    if unknown:
        raise UserError(
            f"notebook {notebook.name} has no parameter {', '.join(unknown)}; its parameters cell "
            f"knows {', '.join(sorted(known)) or 'none'}"
        )
    environment = kernel_environment(study)
    wanted = os.environ.get("PG2_PROGRESS", "auto")
    on_terminal = wanted == "bar" or (wanted == "auto" and sys.stderr.isatty())
    bar = {"desc": f"notebook {notebook.name}", "leave": False} if on_terminal else False
    with kernel_address() as address:
        previous = {name: os.environ.get(name) for name in environment}
        os.environ.update(environment)
        try:
            papermill.execute_notebook(
                copy.deepcopy(book),
                str(output),
                parameters=parameters(study),
                kernel_name="python3",
                progress_bar=bar,
                cwd=str(notebooks_folder()),
                start_timeout=300,
                # sockets in the file system: no port is opened, and ipykernel has no warning
                config=Config(KernelManager={"transport": "ipc", "ip": address}),
            )
        except papermill.exceptions.PapermillExecutionError as error:
            raise UserError(
                f"notebook {notebook.name} failed in cell {error.cell_index}: {error.ename}: "
                f"{first_line(error.evalue)}; the executed copy is {output}"
            ) from None
        except CellTimeoutError as error:
            reason = first_line(error)
            raise UserError(f"notebook {notebook.name} ran out of time: {reason}") from None
        except DeadKernelError:
            done = nbformat.read(output, as_version=4) if output.exists() else book
            raise UserError(
                f"the kernel of notebook {notebook.name} died in cell {last_cell(done)} (out of "
                "memory?); run it again to resume"
            ) from None
        finally:
            for name, value in previous.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


@contextlib.contextmanager
def kernel_address():
    """The start of the paths of a kernel's sockets, in a private folder that is removed afterwards.

    Jupyter's default, `kernel-ipc` in the working folder, is the same for every process there.
    """
    folder = tempfile.gettempdir()
    if len(os.fsencode(folder)) > 60:  # a socket's path has at most 107 bytes
        folder = "/tmp"
    with tempfile.TemporaryDirectory("", "pg2-", folder, ignore_cleanup_errors=True) as private:
        yield str(Path(private) / "kernel")


def kernel_environment(study) -> dict:
    """What a notebook's kernel inherits besides its parameters."""
    environment = {"PG2_PROGRESS": "off", "PG2_RUNS": str(runs.root().resolve())}
    environment["PG2_KEYPOINT_FRAME"] = study.keypoint_frame
    source = pipeline.source_folder(study)
    if source:
        environment["PG2_DATA"] = str(source.resolve())
    if study.device:
        environment["PG2_DEVICE"] = study.device
    return environment


def last_cell(book) -> int:
    """Index of the last cell that began to run, for the message about a dead kernel."""
    begun = [
        index
        for index, cell in enumerate(book.cells)
        if cell.get("metadata", {}).get("papermill", {}).get("start_time")
    ]
    return begun[-1] if begun else 0


def first_line(text) -> str:
    return (str(text).strip().splitlines() or [""])[0]


def committed_copy(executed: Path):
    """The executed notebook as the project keeps it: no papermill traces, no widget state, no
    injected cell, counted 1..n."""
    import nbformat

    book = nbformat.read(executed, as_version=4)
    book.cells = [
        cell for cell in book.cells if "injected-parameters" not in cell.metadata.get("tags", [])
    ]
    count = 0
    for cell in book.cells:
        for name in ("papermill", "execution"):
            cell.metadata.pop(name, None)
        if cell.cell_type == "code":
            count += 1
            cell.execution_count = count
            for output in cell.outputs:
                if output.output_type == "execute_result":
                    output.execution_count = count
    language = book.metadata.get("language_info", {})
    own = {"pg2": book.metadata["pg2"]} if "pg2" in book.metadata else {}
    book.metadata = nbformat.from_dict(
        own
        | {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": language.get("name", "python")},
        }
    )
    nbformat.validate(book)
    return book


def update_committed(study, log):
    """Write the executed notebooks of a study over those of the project."""
    import nbformat

    shipped = Study(profile=demo.PROFILE, device=study.device)
    for notebook in notebooks():
        executed = run_notebook(shipped if notebook.ships else study, notebook, log)
        path = notebooks_folder() / f"{notebook.name}.ipynb"
        temporary = path.with_suffix(".tmp")
        nbformat.write(committed_copy(executed), temporary)
        os.replace(temporary, path)
        log(f"{'wrote':8} notebooks/{path.name} ({path.stat().st_size // 1000} KB)")
