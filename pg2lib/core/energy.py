"""Energy, where the machine lets one read it: the processor's counters in Linux's powercap."""

import contextlib
import threading
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")


@contextlib.contextmanager
def metered(powercap: Path = POWERCAP, every: float = 60.0):
    """Count energy in the block; yields a function that returns the joules so far, or None.

    Joules of whole processor packages (RAPL, of Intel and AMD), so of everything that they did
    meanwhile; not of memory or a GPU. None where there are no such counters, as in most virtual
    machines, or where root alone may read them. A counter starts again at zero, on a busy server
    after some 20 minutes, so all are also read every so many seconds.
    """
    last, spent, over, one = _counters(powercap), 0, threading.Event(), threading.Lock()

    def joules() -> float | None:
        nonlocal last, spent
        with one:
            now = _counters(powercap)
            last = last if now.keys() == last.keys() else {}  # never again whole: None from now on
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
    """Folder of a processor package -> (microjoules, where they start again); {} if unreadable."""
    try:
        every = list(powercap.glob("intel-rapl:*"))
        packages = [z for z in every if (z / "name").read_text().startswith("package")]
        names = "energy_uj", "max_energy_range_uj"
        return {z: tuple(int((z / name).read_text()) for name in names) for z in packages}
    except (OSError, ValueError):
        return {}
