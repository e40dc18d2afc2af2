"""Precision, threads, memory, compilation and child processes.

None of this changes results beyond the last bits, except that a compiled network draws other
dropout masks than one that is not.
"""

import contextlib
import ctypes
import importlib.util
import multiprocessing
import os
import platform
import re
import threading
from functools import cache
from pathlib import Path

import torch

# Read when torch's compiler is first imported: it then chooses the same kernels on every machine,
# so that a run on CUDA resumes with the same bits.
os.environ.setdefault("TORCHINDUCTOR_DETERMINISTIC", "1")

PRECISIONS = ("auto", "float32", "bfloat16")
COMPILED = ("auto", "yes", "no")
FAST_BFLOAT16 = ("amx_bf16", "avx512_bf16")  # CPU flags, fastest first


def default_device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def fast_precision(device: str) -> str:
    """bfloat16 on CUDA and on CPUs that support it, else float32."""
    return "bfloat16" if bfloat16_unit(device) else "float32"


def bfloat16_unit(device: str) -> str | None:
    """Name of the hardware unit for fast bfloat16, or None."""
    if torch.device(device).type == "cuda":
        return "tensor cores" if torch.cuda.is_bf16_supported(False) else None
    try:
        known = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return None
    return next((unit for unit in FAST_BFLOAT16 if unit in known), None)


def precision_text(device: str, precision: str) -> str:
    """The training precision and the reason for it."""
    if precision != "auto":
        return f"{precision} on {device}, as configured"
    reason = bfloat16_unit(device) or "it has no instructions for bfloat16"
    return f"{fast_precision(device)} on {device} ({reason})"


@contextlib.contextmanager
def tuned(threads: int, device: str):
    """Set the number of CPU threads in the block (0: torch's choice), which affects the last bits
    of results; cuDNN is deterministic, TF32 off."""
    before = torch.get_num_threads()
    if torch.device(device).type == "cpu":
        keep_memory()
    torch.set_num_threads(threads or before)
    exact = {"benchmark": False, "deterministic": True, "allow_tf32": False}
    try:
        with torch.backends.cudnn.flags(enabled=True, **exact):
            yield
    finally:
        torch.set_num_threads(before)


@cache
def keep_memory():
    """Make glibc keep freed memory instead of returning it to the system; no effect elsewhere.

    Otherwise every training step maps its large tensors anew and the kernel zeroes each page at
    first touch. Peak memory is the same. See docs/performance.md.
    """
    with contextlib.suppress(OSError, AttributeError):  # not glibc
        libc = ctypes.CDLL(None)
        libc.mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD of malloc.h
        libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD


def compiled(network, device: str, choice: str = "auto"):
    """The network through torch.compile: "yes", "no", or "auto" for CUDA with Triton installed.

    The result shares the network's parameters and is compiled on its first call.
    """
    on_gpu = torch.device(device).type == "cuda" and importlib.util.find_spec("triton")
    if choice == "yes" or (choice == "auto" and on_gpu):
        return torch.compile(network)
    return network


def cpu_count() -> int:
    """Number of CPU cores available to this process."""
    if hasattr(os, "sched_getaffinity"):  # Linux; respects taskset and containers' CPU sets
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def machine() -> dict:
    """The facts about the machine needed to judge timings."""
    try:
        named = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        named = None
    return {
        "processor": named[1] if named else platform.processor() or platform.machine(),
        "cores": cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def end_with_parent():
    """End this multiprocessing child when its parent exits, however that happens. Does nothing in
    other processes."""
    parent = multiprocessing.parent_process()

    def watch():
        parent.join()
        os._exit(1)

    if parent:
        threading.Thread(target=watch, daemon=True).start()
