"""The machine: precision, threads, memory, compilation and child processes.

None of this changes results beyond the last bits.
"""

import contextlib
import ctypes
import importlib.util
import multiprocessing
import os
import re
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
        flags = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        return None
    known = flags[1].split() if flags else ()
    return next((unit for unit in FAST_BFLOAT16 if unit in known), None)


def precision_text(device: str, precision: str) -> str:
    """The precision of training and the reason for it, as text."""
    if precision != "auto":
        return f"{precision} on {device}, as configured"
    unit = bfloat16_unit(device)
    if unit:
        return f"bfloat16 on {device} ({unit})"
    return f"float32 on {device} (it has no instructions for bfloat16)"


@contextlib.contextmanager
def tuned(threads: int, device: str):
    """Within the block: a number of CPU threads (0: torch's choice), deterministic cuDNN, no TF32.

    The bits of a result depend on the number of threads: fix it to get the same ones on machines
    of any size.
    """
    before = torch.get_num_threads()
    if torch.device(device).type == "cpu":
        keep_memory()
    torch.set_num_threads(threads or before)
    try:
        with torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        ):
            yield
    finally:
        torch.set_num_threads(before)


@cache
def keep_memory():
    """Make glibc keep freed memory instead of returning it to the system; nothing elsewhere.

    A training step allocates and frees tensors of tens of megabytes hundreds of times. glibc maps
    such blocks anew each time, and the kernel zeroes every page at its first touch. The peak stays
    the same; memory between two peaks is not returned. See docs/performance.md.
    """
    trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
    with contextlib.suppress(OSError, AttributeError):  # not glibc
        libc = ctypes.CDLL(None)
        libc.mallopt(mmap_threshold, 1 << 30)
        libc.mallopt(trim_threshold, 2**31 - 1)


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
