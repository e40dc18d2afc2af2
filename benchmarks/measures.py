"""What each measure gives by itself: a step of G1 with one more of them at a time."""

import shutil
from contextlib import ExitStack
from dataclasses import replace

from benchmarks.common import Line, Size, Worker, interleaved, median, stage_for

# name -> options of the worker, fields of the stage; each adds to the one before
STEPS = {
    "plain: float32, eager, default layout": (
        dict(layout="contiguous_format", tuned=False),
        dict(precision="float32", compiled="no"),
    ),
    "and channels last": (dict(tuned=False), dict(precision="float32", compiled="no")),
    "and the fast precision": (dict(tuned=False), dict(compiled="no")),
    "and freed memory kept (CPU), reproducible cuDNN (GPU)": (dict(), dict(compiled="no")),
    "and torch.compile": (dict(), dict(compiled="yes")),
}


def measure(size: Size, device: str, say) -> tuple[list[Line], dict]:
    stage = stage_for("G1-poseMaskLoss", size.growth_profile)
    steps = dict(STEPS)
    if device == "cpu" and shutil.which("g++") is None:
        del steps["and torch.compile"]
    with ExitStack() as stack:
        workers = {}
        for name, (options, fields) in steps.items():
            say(f"a step of G1 {name}")
            told = replace(stage, **fields).as_dict()
            workers[name] = stack.enter_context(Worker(stage=told, device=device, **options))
            workers[name].ask("step")
        calls = {name: lambda w=worker: w.ask("step") for name, worker in workers.items()}
        took = interleaved(calls, 3 * size.repeats)
    shape = f"{stage.height}x{stage.width}, width {stage.channels}, batch {stage.batch}"
    default = "" if device == "cpu" else ", the default on a GPU"
    lines, first = [], median(took[next(iter(steps))])
    for name, values in took.items():
        note = f"{first / median(values):.2f} times as fast as plain"
        note += ("; not the default on a CPU" if device == "cpu" else default) * ("compile" in name)
        lines.append(Line(f"G1 step, {name}", 1e3 * median(values), "ms", note=note))
    return lines, {"shape": shape, "profile": size.growth_profile}
