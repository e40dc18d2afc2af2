"""Energy use of the processor, from Linux's powercap counters where they are readable."""

import contextlib
import threading
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")


@contextlib.contextmanager
def metered(powercap: Path = POWERCAP, every: float = 60.0):
    """Count energy in the block; yields a function that returns the joules so far, or None.

    Counts whole processor packages (RAPL; Intel and AMD), so also other programs, but not memory or
    a GPU. None without readable counters, as in most virtual machines or if only root may read
    them. Counters wrap around, on a busy server after some 20 minutes, so they are also read every
    `every` seconds.
    """
    last, spent, over, one = _counters(powercap), 0, threading.Event(), threading.Lock()

    def joules() -> float | None:
        nonlocal last, spent
        with one:
            now = _counters(powercap)
            last = last if now.keys() == last.keys() else {}  # a counter is gone: None from now on
            spent += sum((now[zone][0] - last[zone][0]) % now[zone][1] for zone in last)
            last = last and now
            return spent / 1e6 if last else None

    def watch():
        while not over.wait(every):
            joules()

    if last:
        threading.Thread(target=watch, daemon=True).start()
    try:
        yield joules
    finally:
        over.set()


def _counters(powercap: Path) -> dict:
    """Processor package folder -> (microjoules, wrap-around value); {} if unreadable."""
    try:
        every = list(powercap.glob("intel-rapl:*"))
        packages = [z for z in every if (z / "name").read_text().startswith("package")]
        names = "energy_uj", "max_energy_range_uj"
        return {z: tuple(int((z / name).read_text()) for name in names) for z in packages}
    except (OSError, ValueError):
        return {}
