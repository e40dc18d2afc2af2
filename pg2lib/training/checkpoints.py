"""Checkpoints and weights of training runs: plain dicts, checksummed, loaded without running code.

`weights.pt` holds the task's name, seed, configuration and networks; a checkpoint also has the
optimisers and the step. `weights.py` writes the file for publishing.
"""

import os
import textwrap
from pathlib import Path
from pickle import UnpicklingError

import torch

from pg2lib.core import devices
from pg2lib.core.files import UserError, sha256
from pg2lib.models.base import Inputs, bind

WEIGHTS = "weights.pt"


def save(folder: Path, step: int, state: dict):
    """Write checkpoint-STEP-HASH.pt and delete all older ones except one."""
    temporary = write(state | {"step": step}, folder / "checkpoint.tmp")
    digest = sha256(temporary)[:16]
    os.replace(temporary, folder / f"checkpoint-{step:07d}-{digest}.pt")
    for old in sorted(folder.glob("checkpoint-*.pt"))[:-2]:
        old.unlink()


def newest(folder: Path) -> Path | None:
    """The last intact checkpoint (by checksum); damaged ones are skipped."""
    for path in sorted(folder.glob("checkpoint-*.pt"), reverse=True):
        if sha256(path)[:16] == path.stem.split("-")[-1]:
            return path
    return None


def export(folder: Path, state: dict):
    """Write the weights and delete the checkpoints."""
    os.replace(write(state, folder / "weights.tmp"), folder / WEIGHTS)
    for old in folder.glob("checkpoint-*.pt"):
        old.unlink()


def write(state: dict, path: Path) -> Path:
    try:
        torch.save(state, path)
    except (OSError, RuntimeError) as error:
        path.unlink(missing_ok=True)
        raise UserError(
            f"cannot write {path} ({error}); make room on the disk and start again: the checkpoint "
            "before this one is kept"
        ) from error
    return path


def load_state(path, device=None) -> dict:
    """The dict in a weights.pt. Raises UserError if it is missing or not such a file."""
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path} is missing; train the row first (`pg2 train ROW`)")
    device = device or devices.default_device()
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        return state | {"networks": state["networks"], "config": state["config"]}
    except (KeyError, TypeError, RuntimeError, OSError, EOFError, UnpicklingError) as error:
        raise UserError(
            f"{path} holds no weights ({type(error).__name__}); delete its folder and train again"
        ) from None


def load_generators(method, config, states: dict, device=None, where="the file"):
    """The generating networks with parameters {name: state_dict}, frozen and in eval mode.

    Raises UserError, naming `where`, if the parameters do not fit the method.
    """
    try:
        with torch.device("meta"):  # a wrong size in a file must not allocate memory
            built = method.build(config)
        networks = {name: built[name] for name in method.generators}
        for name, network in networks.items():
            # cloned: strides, which files keep, affect the last bits of results
            state = {
                key: tensor.clone(memory_format=torch.contiguous_format)
                for key, tensor in states[name].items()
            }
            for key, own in network.state_dict().items():
                if key in state and state[key].is_floating_point() != own.is_floating_point():
                    raise ValueError(f"{key} is of type {state[key].dtype}")
            network.load_state_dict(state, assign=True)
    except (KeyError, RuntimeError, ValueError, ArithmeticError, UserError) as error:
        why = textwrap.shorten(str(error), 160, placeholder="...")
        raise UserError(
            f"{where} does not hold the parameters of {method.name} ({why}); fetch it again, or "
            "use the version of pg2lib that wrote it"
        ) from None
    device = device or devices.default_device()
    return {
        name: network.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)
        for name, network in networks.items()
    }


def on_device(generate, device=None):
    """A function Inputs -> Output with its inputs moved to the device (default: CUDA where
    available)."""
    device = device or devices.default_device()

    def moved(inputs):
        poses = inputs.condition_keypoints
        poses = None if poses is None else poses.to(device)
        extras = {name: tensor.to(device) for name, tensor in inputs.extras.items()}
        images, targets = inputs.condition.to(device), inputs.target_keypoints.to(device)
        return generate(Inputs(images, poses, targets, extras))

    return moved


def generate_fn(chain, configs, paths, device=None):
    """A row as a function Inputs -> Output, in float32, without gradients, for inputs anywhere.

    chain: the row's methods, those it refines first (`models.chain`); configs and paths of
    weights.pt in the same order.
    """
    start = None
    for method, config, path in zip(chain, configs, paths, strict=True):
        states = load_state(path, device)["networks"]
        networks = load_generators(method, config, states, device, path)
        start = bind(method, networks, config, start)
    return on_device(start, device)
