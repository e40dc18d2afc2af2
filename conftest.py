"""What all tests and, through the environment that kernels inherit, all notebooks under nbval run
with: the smoke profile on the CPU, in a store of its own, silently and without downloads."""

import os
from pathlib import Path

STORE = Path(__file__).parent / ".test-runs"
os.environ |= {
    "PG2_PROFILE": "smoke",
    "PG2_DATASET": "synthetic-market",
    "PG2_DEVICE": "cpu",
    "PG2_PROGRESS": "off",
    "PG2_DOWNLOAD": "off",
    "PG2_RUNS": str(STORE),
    "PG2_FIGURES": str(STORE / "figures"),
}
os.environ.setdefault("OMP_NUM_THREADS", "2")  # read when torch is first imported
