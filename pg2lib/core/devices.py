"""The machine: precision, threads, memory, compilation and child processes.

None of this changes results beyond the last bits.
"""

import contextlib
import ctypes
import importlib.util
import multiprocessing
import os
import threading
from functools import cache
from pathlib import Path

import torch

PRECISIONS = ("auto", "float32", "bfloat16")
COMPILED = ("auto", "yes", "no")
FAST_BFLOAT16 = ("amx_bf16", "avx512_bf16")  # CPU flags, fastest first


def default_device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def fast_precision(device: str) -> str:
    """bfloat16 on CUDA and on CPUs with instructions for it, float32 elsewhere."""
    return "bfloat16" if bfloat16_unit(device) else "float32"


def bfloat16_unit(device: str) -> str | None:
    """The name of the unit that multiplies bfloat16 fast, None if the device has none."""
    if torch.device(device).type == "cuda":
        return "tensor cores" if torch.cuda.is_bf16_supported(False) else None
    try:
        known = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return None
    return next((unit for unit in FAST_BFLOAT16 if unit in known), None)


def precision_text(device: str, precision: str) -> str:
    """The precision of training and the reason for it."""
    if precision != "auto":
        return f"{precision} on {device}, as configured"
    reason = bfloat16_unit(device) or "it has no instructions for bfloat16"
    return f"{fast_precision(device)} on {device} ({reason})"


@contextlib.contextmanager
def tuned(threads: int, device: str):
    """Within the block: a number of CPU threads (0: torch's choice), on which the bits of results
    depend; deterministic cuDNN, no TF32."""
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
    """Make glibc keep freed memory instead of returning it to the system; nothing elsewhere.

    Else it maps the large tensors of every training step anew, and the kernel zeroes every page
    at its first touch; the peak is the same. See docs/performance.md.
    """
    with contextlib.suppress(OSError, AttributeError):  # not glibc
        libc = ctypes.CDLL(None)
        libc.mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD of malloc.h
        libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD


def compiled(network, device: str, choice: str = "auto"):
    """The network through torch.compile: "yes", "no", or "auto" for CUDA with Triton installed.

    The result shares the parameters of the network and is compiled at its first call.
    """
    on_gpu = torch.device(device).type == "cuda" and importlib.util.find_spec("triton")
    if choice == "yes" or (choice == "auto" and on_gpu):
        return torch.compile(network)
    return network


def cpu_count() -> int:
    """How many CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux; respects taskset and containers' CPU sets
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def end_with_parent():
    """End this process of multiprocessing when the one that started it is gone, however that one
    ended. In any other process this does nothing."""
    parent = multiprocessing.parent_process()

    def watch():
        parent.join()
        os._exit(1)

    if parent:
        threading.Thread(target=watch, daemon=True).start()
