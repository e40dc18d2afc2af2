"""Everything behind `make reproduce`: data, all rows, scores, then the notebooks by papermill."""

import os
import platform
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import torch

from pg2lib import models
from pg2lib.core import devices
from pg2lib.core.files import UserError, read_json, write_atomically, write_json
from pg2lib.results import render, tables
from pg2lib.workflow import pipeline
from pg2lib.workflow import run_store as runs
from pg2lib.workflow.notebooks import notebook_state, notebook_step, notebooks, run_notebook


def plan(study) -> list[tuple[str, str, runs.State]]:
    """(kind, name, state) of every step, without doing any."""
    entries = [(step.kind, step.name, runs.state(step)) for step in pipeline.steps(study)]
    for notebook in notebooks():
        name = f"{study.name}/{notebook.name}"
        entries.append(("notebook", name, notebook_state(study, notebook)))
    return entries


def reproduce(studies, log=print):
    """Do what is missing of everything, in order, and tell where the results are.

    studies: of one profile, each another data set. All are scored before the first notebook runs,
    because the claims compare them; of several, both halves of Table 1 stand in
    figures/all-<profile>/.
    """
    started, seconds = time.time(), {}
    missing = {study: any(not state.hit for _, _, state in plan(study)) for study in studies}
    for study in studies:
        seconds[study] = timed(score, study, log)
    for study in studies:
        seconds[study] += timed(present, study, log)
        folder = pipeline.figures_folder(study)
        if missing[study]:
            write_json(folder / "run.json", report(study, seconds[study]))
        log(f"\n{(folder / 'table1.md').read_text().strip()}\n")
        log(f"figures and tables: {relative(folder)}")
        log(f"executed notebooks: {relative(runs.root() / 'notebook' / study.name)}")
    if len(studies) > 1:
        folder = both_halves(studies)
        if any(missing.values()):
            facts = {"command": both_command(studies)}
            facts |= {"seconds": round(time.time() - started), "machine": machine()}
            write_json(folder / "run.json", facts)
        log(f"\n{(folder / 'table1.md').read_text().strip()}\n")
        log(f"both halves of Table 1: {relative(folder)}")
    log(f"done in {time.time() - started:.0f} s")


def timed(work, *arguments) -> float:
    """Seconds that work(*arguments) takes."""
    started = time.time()
    work(*arguments)
    return time.time() - started


def score(study, log):
    """Data, training and scores of a study and of the one that its ablations come from."""
    for part, rows in pipeline.wanted(study).items():
        pipeline.data(part, log)
        train_all(part, rows, log)
        for row in rows:
            pipeline.evaluate(part, row, log=log)


def present(study, log):
    """Notebooks, and with them tables and figures, of a study that is scored."""
    for notebook in notebooks():
        run_notebook(study, notebook, log)
    write_logs(study, pipeline.figures_folder(study) / "logs.csv")


def both_halves(studies) -> Path:
    """Write Table 1 with a half for each study; returns its folder."""
    profile = studies[0].name.removeprefix(f"{studies[0].dataset}-")
    folder = pipeline.named_folder(f"all-{profile}")
    halves = [pipeline.table1(study) for study in studies]
    table = tables.both_halves(halves, both_command(studies))
    render.write(folder, "table1", table)
    return folder


def both_command(studies) -> str:
    return studies[0].command.replace(f"DATASET={studies[0].dataset}", "DATASET=all")


def write_logs(study, path: Path):
    """The numbers of the learning curves: a line per method and step of its log, in one CSV."""
    stages = pipeline.chains(pipeline.wanted(study)[study])
    logs = [pd.DataFrame(pipeline.training_log(study, name)).assign(stage=name) for name in stages]
    table = pd.concat(logs).drop(columns="images_per_second")  # the rest is the same at every run
    table.insert(0, "stage", table.pop("stage"))
    with write_atomically(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")


def train_all(study, rows, log):
    """Train what is missing of the methods of rows and of the pose score's network: one after the
    other, or, where each keeps to one CPU thread, several side by side in processes of their
    own."""
    names = pipeline.chains(rows)
    missing = [n for n in names if not runs.state(pipeline.train_step(study, n)).hit]
    on_cpu = (study.device or devices.default_device()) == "cpu"
    first, then = [], []
    for name in missing:  # those that refine another method wait until it is trained
        (then if models.find(name).start in missing else first).append(name)
    if not runs.state(pipeline.keypoint_step(study)).hit:
        first.append(pipeline.KEYPOINTS)
    lanes = min(devices.cpu_count(), MOST_LANES, len(first) + len(then))
    single = all(pipeline.method_config(study, name).threads == 1 for name in names)
    if lanes > 1 and on_cpu and single:
        # The lists do not wait for each other: a process that needs a method in training waits for
        # it at its lock.
        log(f"train    {len(missing)} methods, {lanes} at a time")
        side_by_side([train_command(study, name) for name in first + then], lanes, log)
    for name in names:
        pipeline.train(study, name, log)
    pipeline.keypoint_network(study, log)


MOST_LANES = 4  # each takes about a gigabyte


def train_command(study, row: str) -> list[str]:
    command = [sys.executable, "-m", "pg2lib", "train", row, "--device", "cpu"]
    command += ["--dataset", study.dataset, "--profile", study.profile, "--seed", str(study.seed)]
    command += ["--keypoint-frame", study.keypoint_frame]
    for change in study.overrides:
        command += ["--set", change]
    return command + (["--data", str(study.source)] if study.source else [])


def side_by_side(commands, lanes: int, log):
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
                    log(line.rstrip())
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
    steps = [*pipeline.steps(study), *(notebook_step(study, book) for book in notebooks())]
    peak = {
        who: round(resource.getrusage(code).ru_maxrss / 1000)
        for who, code in (("main", resource.RUSAGE_SELF), ("child", resource.RUSAGE_CHILDREN))
    }
    return {
        "command": study.command,
        "seconds": round(seconds),
        "installation_seconds": read_json(runs.project() / ".venv" / ".installed"),
        "steps": {f"{s.kind} {s.name}": runs.read_done(s)["seconds"] for s in steps},
        "peak_memory_mb": peak,
        "precision": {
            name: runs.read_done(pipeline.train_step(study, name))["facts"]["precision"]
            for name in pipeline.chains(models.rows())
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
