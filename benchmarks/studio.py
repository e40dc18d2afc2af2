"""How fast the pose studio follows a joint that is dragged: Python's share, without the browser."""

import time

import numpy as np

from benchmarks.common import Line, Size, median
from pg2lib.apps.pose_studio import studio
from pg2lib.workflow import pipeline

FRAMES, TARGET = 60, 10
VIEWS = {"one row, one stage": ("G1-L1", ""), "one row, two stages": ("G1+G2+D", ""),
         "two rows": ("G1+G2+D", "G1-HME-L1")}  # fmt: skip


def measure(size: Size, device: str, say) -> tuple[list[Line], dict]:
    say("pose studio")
    study = pipeline.Study(profile="demo", device=device)
    lines = []
    for name, (row, second) in VIEWS.items():
        shown = studio.of_study(study, row, second)
        took = [seconds(shown, turn) for turn in range(FRAMES if size.repeats > 1 else 3)]
        rate = 1 / median(took[1:])
        note = f"{len(shown.pictures())} pictures of {shown.data.width}x{shown.data.height}"
        lines.append(Line(name, rate, "frames/s", f"at least {TARGET}", rate >= TARGET, note))
    return lines, {}


def seconds(shown, turn: int) -> float:
    """Of one move of the right wrist: the pose drawn, painted and shown as pixels."""
    place = 10 + 8 * np.cos(turn), 24 + 8 * np.sin(turn)
    started = time.perf_counter()
    shown.editor.move(4, *place)
    shown.pictures()
    return time.perf_counter() - started
