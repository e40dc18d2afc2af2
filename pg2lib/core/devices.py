"""What the machine at hand can do, and how torch is told to use it.

Nothing here changes what is computed but for the last bits: precision, threads, compilation.
"""

import contextlib
import ctypes
import importlib.util
import re
from functools import cache
from pathlib import Path

import torch

PRECISIONS = ("auto", "float32", "bfloat16")
COMPILED = ("auto", "yes", "no")
FAST_BFLOAT16 = ("amx_bf16", "avx512_bf16")  # instructions, the faster ones first


def default_device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def fast_precision(device: str) -> str:
    """bfloat16 on CUDA and on CPUs with instructions for it, float32 elsewhere."""
    return "bfloat16" if bfloat16_unit(device) else "float32"


def bfloat16_unit(device: str) -> str | None:
    """What multiplies bfloat16 fast on a device, in a word; None where nothing does."""
    if torch.device(device).type == "cuda":
        return "tensor cores" if torch.cuda.is_bf16_supported(False) else None
    try:
        flags = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        return None
    known = flags[1].split() if flags else ()
    return next((unit for unit in FAST_BFLOAT16 if unit in known), None)


def precision_text(device: str, precision: str) -> str:
    """Which precision training takes and why, for people."""
    if precision != "auto":
        return f"{precision} on {device}, as configured"
    unit = bfloat16_unit(device)
    if unit:
        return f"bfloat16 on {device} ({unit})"
    return f"float32 on {device} (it has no instructions for bfloat16)"


@contextlib.contextmanager
def tuned(threads: int, device: str):
    """Let torch use so many CPU threads for a while, 0 for its own choice, and cuDNN only what
    gives the same bits every time, with float32 being float32 (not TF32).

    The bits of a result depend on the number of threads, so a stage that fixes it is the same on
    machines of any size.
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
    """Let the C library keep what is freed, where it is glibc, instead of giving it back.

    A training step allocates and frees tensors of tens of megabytes hundreds of times. glibc maps
    such blocks anew each time, and the kernel then zeroes every page at its first touch. The peak
    stays the same, the memory between two peaks does not go back. See docs/performance.md.
    """
    trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
    with contextlib.suppress(OSError, AttributeError):  # no glibc: nothing is lost
        libc = ctypes.CDLL(None)
        libc.mallopt(mmap_threshold, 1 << 30)
        libc.mallopt(trim_threshold, 2**31 - 1)


def compiled(network, device: str, choice: str = "auto"):
    """The network through torch.compile: "yes", "no", or on CUDA where Triton is installed.

    The result has the same parameters; it stays eager code until its first call.
    """
    on_gpu = torch.device(device).type == "cuda" and importlib.util.find_spec("triton")
    if choice == "yes" or (choice == "auto" and on_gpu):
        return torch.compile(network)
    return network
