"""Everything behind `make reproduce`: data, six rows, scores, then the notebooks by papermill.

The notebooks write the figures and tables; a notebook counts as done when its executed copy is in
the run store and every file it declares is in the figures folder, unchanged.
"""

import contextlib
import copy
import os
import platform
import resource
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from pg2lib.apps.user_study import study as user_study
from pg2lib.core import devices
from pg2lib.core.files import UserError, write_atomically
from pg2lib.core.progress import Progress
from pg2lib.models import experiments
from pg2lib.results import claims, render, tables
from pg2lib.workflow import pipeline
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


ALL_ROWS = pipeline.all_rows()
NOTEBOOKS = (
    Notebook("01_data_and_masks", (), ("data.png", "figure3.png", "masks.png")),
    Notebook(
        "02_pose_embeddings",
        ("G1-CE-L1", "G1-HME-L1", "G1-L1"),
        ("pose_embeddings.png", "pose_embeddings_curves.png", "pose_embeddings_shift.png"),
    ),
    Notebook(
        "03_mask_loss", ("G1-L1", "G1-poseMaskLoss"), ("mask_loss.png", "mask_loss_curves.png")
    ),
    Notebook(
        "04_two_stage_vs_one_stage",
        ("G1-poseMaskLoss", "G1+D", "G1+G2+D"),
        ("two_stage.png", "two_stage_curves.png", "two_stage_scores.png"),
    ),
    Notebook(
        "05_metrics",
        ALL_ROWS,
        (
            *(
                f"{name}.{kind}"
                for name in ("table1", "more_scores")
                for kind in ("md", "csv", "tex", "json")
            ),
            *("presets.md", "presets.csv", "presets.json", "differences.md", "differences.json"),
            *("figure4.png", "scores.png"),
        ),
    ),
    Notebook("06_failure_cases", ("G1+G2+D",), ("failures.png", "failure_effects.png")),
    Notebook(
        "07_claims",
        ALL_ROWS,
        (
            "claims.md",
            "claims.csv",
            "claims.json",
            "claims_effects.png",
            "claims_convergence.png",
            "claims_ablations.png",
        ),
        claims=True,
    ),
    Notebook(
        "08_pose_studio",
        ("G1-CE-L1", "G1-HME-L1", "G1-L1", "G1-poseMaskLoss", "G1+G2+D"),
        ("figure1.png", "figure1c.png", "studio_change.png"),
        ships=True,
    ),
    Notebook("09_user_study", ("G1+G2+D",), ("user_study_check.png",), answers=True, ships=True),
)
NOTEBOOK_CODE = (
    "results.charts",
    "results.claims",
    "workflow.shipped",
    "evaluation.score_row",
    "evaluation.difficulty",
    "results.figures",
    "apps.photo.generate",
    "data.heatmaps",
    "data.keypoints",
    "evaluation.inception",
    "apps.pose_studio.editor",
    "evaluation.scores",
    "evaluation.detail",
    "evaluation.statistics",
    "apps.photo.sequence",
    "apps.user_study.simulated",
    "evaluation.ssim",
    "apps.pose_studio.studio",
    "apps.user_study.rates",
    "apps.user_study.table2",
    "results.provenance",
    "results.render",
    "results.tables",
    "results.verdicts",
    "apps.user_study.study",
    "apps.pose_studio.walking",
)


def notebooks_folder() -> Path:
    return runs.project() / "notebooks"


def read_notebook(name: str):
    import nbformat

    path = notebooks_folder() / f"{name}.ipynb"
    if not path.exists():
        raise UserError(f"{path} is missing; run from a checkout of the project")
    return nbformat.read(path, as_version=4)


def notebook_step(study: pipeline.Study, notebook: Notebook) -> runs.Step:
    """The step of one notebook: its source cells, its parameters, and every score it reads."""
    book = read_notebook(notebook.name)
    config = {
        "cells": [[cell.cell_type, cell.source] for cell in book.cells],
        "parameters": parameters(study),
    }
    inputs = {row: pipeline.score_step(study, row).key for row in notebook.rows}
    inputs["data"] = pipeline.data_step(study).key
    if notebook.answers:
        inputs["answers"] = pipeline.fingerprint(user_study.folder(study, notebook.rows[0]).parent)
    if notebook.ships and demo.ships(study):
        inputs |= {row: runs.sha256(demo.weights_file(row)) for row in demo.rows()}
    if notebook.claims:
        other, sibling = pipeline.ablation_study(study), pipeline.sibling(study)
        steps = [pipeline.score_step(other, row) for row in claims.rows_of(ablations=True)]
        if sibling:
            steps += [pipeline.score_step(sibling, row) for row in claims.rows_of(how="halves")]
        inputs |= {step.name: step.key for step in steps}
    return runs.Step("notebook", f"{study.name}/{notebook.name}", config, inputs, NOTEBOOK_CODE)


def parameters(study: pipeline.Study) -> dict:
    return {"dataset": study.dataset, "profile": study.profile, "seed": study.seed}


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
        if runs.sha256(folder / name) != digest:
            return runs.State(False, f"{name} in {folder.name}/ is not the one it wrote")
    return state


def run_notebook(study, notebook: Notebook, say) -> Path:
    """Execute one notebook if it is not done; the path of its executed copy."""
    step, state = notebook_step(study, notebook), notebook_state(study, notebook)
    say(f"{'notebook':8} {step.name:44} {state}")
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
            name: runs.sha256(figures / name)
            for output in notebook.outputs
            for name in (output, Path(output).with_suffix(".json").name)
            if (figures / name).exists()
        }
        runs.finish(step, [path.name], time.time() - started, {"figures": digests})
    return path


def execute(study, notebook: Notebook, output: Path):
    """papermill on one notebook, with a live line per cell. A failed cell, a dead kernel or an
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
    cells = 1 + sum(cell.cell_type == "code" for cell in book.cells)  # and the injected one
    environment = kernel_environment(study)
    with (
        Progress(f"notebook {notebook.name}", cells, unit="cells") as progress,
        kernel_address() as address,
    ):
        watch = watched_engine(progress)
        previous = {name: os.environ.get(name) for name in environment}
        os.environ.update(environment)
        try:
            papermill.execute_notebook(
                copy.deepcopy(book),
                str(output),
                parameters=parameters(study),
                engine_name=watch,
                kernel_name="python3",
                progress_bar=False,
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
                "memory?); start again and it goes on where it was"
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


def watched_engine(progress: Progress) -> str:
    """Register a papermill engine that reports every finished cell; returns its name."""
    from papermill.engines import NBClientEngine, papermill_engines

    class Watched(NBClientEngine):
        @classmethod
        def execute_managed_notebook(cls, manager, kernel_name, **options):
            complete, count = manager.cell_complete, 0

            def cell_complete(cell, *args, **kwargs):
                nonlocal count
                complete(cell, *args, **kwargs)
                if cell.cell_type == "code":
                    count += 1
                    progress.update(count)

            manager.cell_complete = cell_complete
            return super().execute_managed_notebook(manager, kernel_name, **options)

    papermill_engines.register("pg2", Watched)
    return "pg2"


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
    book.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": language.get("name", "python")},
        }
    )
    nbformat.validate(book)
    return book


def update_committed(study, say):
    """Write the executed notebooks of a study over those of the project."""
    import nbformat

    shipped = pipeline.Study(profile=demo.PROFILE, device=study.device)
    for notebook in NOTEBOOKS:
        executed = run_notebook(shipped if notebook.ships else study, notebook, say)
        path = notebooks_folder() / f"{notebook.name}.ipynb"
        temporary = path.with_suffix(".tmp")
        nbformat.write(committed_copy(executed), temporary)
        os.replace(temporary, path)
        say(f"{'wrote':8} notebooks/{path.name} ({path.stat().st_size // 1000} KB)")


def plan(study) -> list[tuple[str, str, runs.State]]:
    """(kind, name, state) of every step, without doing any."""
    entries = [(step.kind, step.name, runs.state(step)) for step in pipeline.steps(study)]
    for notebook in NOTEBOOKS:
        name = f"{study.name}/{notebook.name}"
        entries.append(("notebook", name, notebook_state(study, notebook)))
    return entries


def reproduce(studies, say=print):
    """Do what is missing of everything, in order, and tell where the results are.

    studies: of one profile, each another data set. All are scored before the first notebook runs,
    because the claims compare them; of several, both halves of Table 1 stand in
    figures/all-<profile>/.
    """
    started, seconds = time.time(), {}
    missing = {study: any(not state.hit for _, _, state in plan(study)) for study in studies}
    for study in studies:
        seconds[study] = timed(score, study, say)
    for study in studies:
        seconds[study] += timed(present, study, say)
        folder = pipeline.figures_folder(study)
        if missing[study]:
            runs.write_json(folder / "run.json", report(study, seconds[study]))
        say(f"\n{(folder / 'table1.md').read_text().strip()}\n")
        say(f"figures and tables: {relative(folder)}")
        say(f"executed notebooks: {relative(runs.root() / 'notebook' / study.name)}")
    if len(studies) > 1:
        folder = both_halves(studies)
        if any(missing.values()):
            facts = {"command": pipeline.command("all", studies[0].profile)}
            facts |= {"seconds": round(time.time() - started), "machine": machine()}
            runs.write_json(folder / "run.json", facts)
        say(f"\n{(folder / 'table1.md').read_text().strip()}\n")
        say(f"both halves of Table 1: {relative(folder)}")
    say(f"done in {time.time() - started:.0f} s")


def timed(work, *arguments) -> float:
    """Seconds that work(*arguments) takes."""
    started = time.time()
    work(*arguments)
    return time.time() - started


def score(study, say):
    """Data, training and scores of a study and of the one that its ablations come from."""
    for part, rows in pipeline.wanted(study).items():
        pipeline.data(part, say)
        train_all(part, rows, say)
        for row in rows:
            pipeline.evaluate(part, row, say=say)


def present(study, say):
    """Notebooks, and with them tables and figures, of a study that is scored."""
    for notebook in NOTEBOOKS:
        run_notebook(study, notebook, say)
    write_logs(study, pipeline.figures_folder(study) / "logs.csv")


def both_halves(studies) -> Path:
    """Write Table 1 with a half for each study; returns its folder."""
    profile = studies[0].name.removeprefix(f"{studies[0].dataset}-")
    folder = pipeline.named_folder(f"all-{profile}")
    halves = [pipeline.table1(study) for study in studies]
    table = tables.both_halves(halves, pipeline.command("all", studies[0].profile))
    render.write(folder, "table1", table)
    return folder


def write_logs(study, path: Path):
    """The numbers of the learning curves: a line per stage and step of its log, in one CSV."""
    stages = pipeline.stage_names(pipeline.wanted(study)[study])
    logs = [pd.DataFrame(pipeline.log(study, name)).assign(stage=name) for name in stages]
    table = pd.concat(logs).drop(columns="images_per_second")  # the rest is the same at every run
    table.insert(0, "stage", table.pop("stage"))
    with write_atomically(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")


def train_all(study, rows, say):
    """Train what is missing of the stages of rows and of the pose score's network: one after the
    other, or, where a stage keeps to one CPU thread, several side by side in processes of their
    own."""
    names = pipeline.stage_names(rows)
    stages = [experiments.stage(name, study.dataset, study.profile) for name in names]
    missing = [s.name for s in stages if not runs.state(pipeline.stage_step(study, s.name)).hit]
    on_cpu = (study.device or devices.default_device()) == "cpu"
    commands = []
    if not runs.state(pipeline.keypoint_step(study)).hit:
        commands.append(train_command(study, pipeline.KEYPOINTS))
    lanes = min(devices.cpu_count(), MOST_LANES, len(missing) + len(commands))
    if lanes > 1 and on_cpu and all(stage.threads == 1 for stage in stages):
        # long ones first, and a second stage when its first one has had the time to end
        every = experiments.EVERY_ROW
        order = [every[row] for row in reversed(rows) if row in every]
        covered = set()
        for row in sorted(order, key=lambda row: len(row.stages)):
            new = set(row.stages) & set(missing)
            if not new <= covered:
                commands.append(train_command(study, row.name))
                covered |= new
        say(f"train    {len(missing)} stages, {lanes} at a time")
        side_by_side(commands, lanes, say)
    for stage in stages:
        pipeline.train_stage(study, stage.name, say)
    pipeline.keypoint_network(study, say)


MOST_LANES = 4  # each takes about a gigabyte


def train_command(study, row: str) -> list[str]:
    command = [sys.executable, "-m", "pg2lib", "train", row, "--device", "cpu"]
    command += ["--dataset", study.dataset, "--profile", study.profile, "--seed", str(study.seed)]
    command += ["--keypoint-frame", study.keypoint_frame]
    return command + (["--data", str(study.source)] if study.source else [])


def side_by_side(commands, lanes: int, say):
    """Run commands, `lanes` at a time, and pass on what they print, line by line. When one fails
    the others are stopped; they go on where they were at the next start."""
    mode = os.environ.get("PG2_PROGRESS", "auto")
    environment = os.environ | {"PG2_PROGRESS": "off" if mode == "off" else "plain"}
    running, waiting, failed = [], list(reversed(commands)), []

    def work():
        while waiting and not failed:
            process = devices.start_child(
                waiting.pop(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env=environment,
            )
            running.append(process)
            if failed:  # another one failed while this one was being started
                process.terminate()
            lines = []
            for line in process.stdout:
                lines.append(line.rstrip())
                if " HIT " not in line and not line.rstrip().endswith(".pt"):
                    say(line.rstrip())
            if process.wait() and not failed:
                last = lines[-1].removeprefix("pg2: ") if lines else "nothing"
                if process.returncode != 2:  # not a mistake that it explained itself
                    last = f"a training process ended with status {process.returncode}: {last}"
                failed.append(last)
                for other in running:
                    other.terminate()

    workers = [threading.Thread(target=work) for _ in range(lanes)]
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    except KeyboardInterrupt:
        failed.append("stopped")
        for process in running:
            process.terminate()
        raise
    if failed:
        raise UserError(failed[0])


def report(study, seconds: float) -> dict:
    """Where the time went: seconds of this call, of every step when it was made, and of the
    installation; peak memory of this process and of its largest child in MB; the machine."""
    steps = [*pipeline.steps(study), *(notebook_step(study, book) for book in NOTEBOOKS)]
    peak = {
        who: round(resource.getrusage(code).ru_maxrss / 1000)
        for who, code in (("main", resource.RUSAGE_SELF), ("child", resource.RUSAGE_CHILDREN))
    }
    return {
        "command": pipeline.command(study.dataset, study.profile),
        "seconds": round(seconds),
        "installation_seconds": runs.read_json(runs.project() / ".venv" / ".installed"),
        "steps": {f"{s.kind} {s.name}": runs.read_done(s)["seconds"] for s in steps},
        "peak_memory_mb": peak,
        "precision": {
            name: runs.read_done(pipeline.stage_step(study, name))["facts"]["precision"]
            for name in experiments.stage_names(experiments.ROWS)
        },
        "machine": machine(),
    }


def machine() -> dict:
    """What a stranger needs to know to judge a time."""
    processor = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next(line.split(":")[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        pass
    return {
        "processor": processor,
        "cores": devices.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def relative(path: Path) -> str:
    """The path as seen from where the user stands, if it is below."""
    try:
        return str(Path(path).resolve().relative_to(Path.cwd().resolve())) + "/"
    except ValueError:
        return str(path)


def plan_text(entries) -> str:
    lines = [f"{kind:8} {name:44} {state}" for kind, name, state in entries]
    missing = sum(not state.hit for _, _, state in entries)
    return "\n".join([*lines, "", f"{missing} of {len(entries)} steps would run"])
