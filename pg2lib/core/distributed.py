"""The processes of one `torchrun` launch.

Without `torchrun` there is one process, rank 0 of 1, and these functions do nothing or return
their argument. Values travel over Gloo, gradients over NCCL on GPUs and Gloo on CPUs.
"""

import contextlib
import os
import sys
from datetime import timedelta

import torch
import torch.distributed as dist

from pg2lib.core.files import UserError

TIMEOUT = timedelta(hours=12)  # other processes wait while one prepares data


def launched() -> bool:
    """Whether `torchrun` (or another launcher with its environment) started several processes."""
    size = os.environ.get("WORLD_SIZE") or "1"
    if not size.isdecimal():
        raise UserError(f"WORLD_SIZE={size} is no number; start with torchrun, or unset it")
    return int(size) > 1


@contextlib.contextmanager
def joined(device: str | None = None):
    """Join the launch's process group within the block; end the process with `leave`.

    "cuda" then means the GPU of the local rank, unless `device` is "cpu". Raises UserError if the
    launcher started more processes on this machine than it has GPUs.
    """
    if not launched() or dist.is_initialized():
        yield
        return
    given = {"LOCAL_RANK": "0", "RANK": "", "MASTER_PORT": ""} | os.environ
    if wrong := [n for n in ("RANK", "LOCAL_RANK", "MASTER_PORT") if not given[n].isdecimal()]:
        raise UserError(
            f"WORLD_SIZE={given['WORLD_SIZE']} is set, but {wrong[0]} is no number; start "
            "with torchrun, or unset WORLD_SIZE"
        )
    if not os.environ.get("MASTER_ADDR"):
        raise UserError(
            "WORLD_SIZE is set, but MASTER_ADDR is not; start with torchrun, or unset WORLD_SIZE"
        )
    backend = "gloo"
    if torch.cuda.is_available() and device != "cpu":
        local = int(given["LOCAL_RANK"])
        if local >= torch.cuda.device_count():
            raise UserError(
                f"process {local} of this machine has no GPU; it has {torch.cuda.device_count()}: "
                "start as many processes with --nproc-per-node, or use --device cpu"
            )
        torch.cuda.set_device(local)
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, timeout=TIMEOUT)
    yield
    # Not after an error: the others may be inside a collective call.
    barrier()
    dist.destroy_process_group()


def leave(status: int = 0):
    """Flush the output and exit without the interpreter's shutdown, which sometimes aborts because
    Gloo's threads still hold tensors."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    """The number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def barrier():
    """Wait until all processes call this."""
    gather(None)  # objects travel over Gloo, whatever the device


def broadcast(value):
    """Rank 0's value (any picklable object) in every process."""
    box = [value]
    if world() > 1:
        dist.broadcast_object_list(box, device=torch.device("cpu"))
    return box[0]


def gather(value) -> list:
    """The values of all processes in the order of their ranks, in every process."""
    values = [value] * world()
    if world() > 1:
        dist.all_gather_object(values, value)
    return values


def mean(tensor):
    """The mean of a tensor over the processes, without gradient."""
    return _sum(tensor) / world() if world() > 1 else tensor


def total(tensor):
    """Sum of a tensor over the processes, with the gradient of the sum of all losses."""
    if world() == 1:
        return tensor
    summed = tensor - tensor.detach() + _sum(tensor)  # zero, for the gradient, and the sum
    if summed.requires_grad:
        summed.register_hook(_sum)  # every process's loss depends on every process's summand
    return summed


def _sum(tensor):
    tensor = tensor.detach().clone(memory_format=torch.contiguous_format)
    dist.all_reduce(tensor)
    return tensor


def average_gradients(network):
    """Replace a network's gradients by their means over the processes."""
    if world() == 1:
        return
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    means = mean(torch.cat([gradient.flatten() for gradient in gradients]))
    for gradient, part in zip(gradients, means.split([g.numel() for g in gradients])):
        gradient.copy_(part.view_as(gradient))
