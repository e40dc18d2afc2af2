"""How fast the pose studio follows a joint that is dragged: Python's share, without the browser."""

import time

import numpy as np

from benchmarks.common import Line, Size, median
from pg2lib import models
from pg2lib.apps.pose_studio import studio
from pg2lib.core.config import Study

FRAMES, TARGET = 60, 10


def measure(size: Size, device: str, log) -> tuple[list[Line], dict]:
    log("pose studio")
    study = Study(profile="demo", device=device)
    lines = []
    for name, (row, second) in views().items():
        shown = studio.of_study(study, row, second)
        took = [seconds(shown, turn) for turn in range(FRAMES if size.repeats > 1 else 3)]
        rate = 1 / median(took[1:])
        note = f"{len(shown.pictures())} pictures of {shown.data.width}x{shown.data.height}"
        lines.append(Line(name, rate, "frames/s", f"at least {TARGET}", rate >= TARGET, note))
    return lines, {}


def views() -> dict:
    """What is shown -> (row, second row)."""
    one = next(name for name in models.rows() if not models.find(name).start)
    two = next((name for name in models.rows() if models.find(name).start), one)
    return {
        "one row, one stage": (one, ""),
        "one row, two stages": (two, ""),
        "two rows": (two, one),
    }


def seconds(shown, turn: int) -> float:
    """Of one move of the right wrist: the pose drawn, the image generated and shown as pixels."""
    place = 10 + 8 * np.cos(turn), 24 + 8 * np.sin(turn)
    started = time.perf_counter()
    shown.editor.move(4, *place)
    shown.pictures()
    return time.perf_counter() - started
