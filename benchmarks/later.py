"""Training steps of the papers after PG2 at their own width, plain against fast."""

from benchmarks import steps
from benchmarks.common import Line, Size, median, row_config
from pg2lib import models

SHARE = 0.85  # of the matrix product, on a CPU


def measure(size: Size, device: str, log) -> tuple[list[Line], dict]:
    lines, seconds = [], {}
    for name in timed_rows()[: size.rows]:
        log(f"training steps of {name}")
        found = steps.observe(name, size, device, **without_weights(name, size.profile))
        seconds[name] = median(found["rounds"]["fast"])
        wanted = SHARE if device == "cpu" else steps.GPU_SHARE
        lines += steps.step_lines(name, found, size, device, wanted)
        lines += steps.generation_lines(name, found)
    return lines, {"seconds_per_step": seconds, "profile": size.profile}


def timed_rows() -> list[str]:
    """The main row of each later paper. Of several trainings in sequence it is the last, whose
    step includes the output of those before it."""
    return [models.rows(paper)[0] for paper in models.later_papers()]


def without_weights(name: str, profile: str) -> dict:
    """The changes by which a method trains without a network that has to be downloaded."""
    return {"perceptual": "none"} if hasattr(row_config(name, profile), "perceptual") else {}
