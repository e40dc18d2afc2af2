"""How long a command takes before it does anything."""

import subprocess
import sys
import time

from benchmarks.common import PROJECT, Line, Size, environment, interleaved, median

COMMANDS = {
    "pg2 --help": (["-m", "pg2lib", "--help"], 0.5),
    "import pg2lib": (["-c", "import pg2lib"], 2.5),
    "import pg2lib.workflow.pipeline (all of training and scoring)": (
        ["-c", "import pg2lib.workflow.pipeline"],
        2.5,
    ),
}
UNWANTED = ("matplotlib.pyplot", "papermill", "IPython", "ipywidgets", "nbformat", "torchvision")


def measure(size: Size, device: str, say) -> tuple[list[Line], dict]:
    say("start-up")
    calls = {name: lambda words=words: seconds(words) for name, (words, _) in COMMANDS.items()}
    took = interleaved(calls, max(5, size.repeats) if size.repeats > 1 else 1)
    lines = [
        Line(name, median(took[name]), "s", f"under {limit}", median(took[name]) < limit)
        for name, (_, limit) in COMMANDS.items()
    ]
    code = (
        f"import sys, pg2lib.workflow.pipeline; print(*[m for m in {UNWANTED} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT, check=True
    )
    found = done.stdout.split()
    what = "notebook and plotting packages on the training path"
    return [*lines, Line(what, len(found), "", "none", not found, ", ".join(found))], {}


def seconds(words) -> float:
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, *words], check=True, stdout=subprocess.DEVNULL, cwd=PROJECT,
        env=environment(),
    )  # fmt: skip
    return time.perf_counter() - started
