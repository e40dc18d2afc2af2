"""Valid ranges of a configuration's numbers, for any method."""

from dataclasses import fields

import torch

from pg2lib.core.files import UserError

POSITIVE = ("height", "width", "iterations", "batch", "channels", "embedding", "rows", "blocks")
LARGEST = {"height": 4096, "width": 4096, "channels": 4096, "embedding": 65536, "iterations": 1e9}
SEEDS = 1 << 32  # all are below


def check(where: str, config):
    """Raise UserError for a number of a dataclass that is negative, not finite or unreasonably
    large, or 0 where it must be positive."""
    for field in fields(config):
        value = getattr(config, field.name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        low, high = int(field.name in POSITIVE), LARGEST.get(field.name, 1e6)
        high = SEEDS - 1 if field.name == "seed" else high
        if not low <= value <= high:  # also NaN
            raise UserError(f"{where}.{field.name} is {value}; choose from {low} to {high:,.0f}")


def check_device(device: str | None):
    """Raise UserError for a device that torch does not find: "cuda", "cuda:1", or "mps" (Mac)."""
    finds = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}
    if device and not finds.get(device.partition(":")[0], lambda: True)():
        raise UserError(f"device {device} is not available on this machine; choose cpu")


def check_seeds(seeds):
    """Raise UserError for a seed that torch does not accept."""
    if max(seeds) >= SEEDS:
        raise UserError(f"seed {max(seeds)} is too large; choose one below {SEEDS}")
