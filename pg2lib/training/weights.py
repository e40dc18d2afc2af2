"""Published weights: a row of Table 1 in one .safetensors file that is safe to load.

The file holds every network of the row as "STAGE/generator/PARAMETER" (and ".../discriminator/..."
where there is one), float32, and in its metadata, next to what it was trained on, each stage's
whole configuration. Loading it runs no code of the file's and needs no data and no run store.

A small file holds the generators alone, with eight bits a weight: of a matrix or a filter bank, for
each output, whole numbers from -127 to 127 and their step as "PARAMETER.step".
"""

import dataclasses
import json
from pathlib import Path

import torch

import pg2lib
from pg2lib.core import devices
from pg2lib.core.files import UserError, write_atomically
from pg2lib.models import experiments
from pg2lib.training import loop as training

FORMAT = "pg2lib weights 1"
SUFFIX = ".safetensors"
STEP = ".step"


@dataclasses.dataclass(frozen=True)
class Published:
    """What a file of weights says of itself; keys are those of the stages' training runs."""

    row: str
    stages: tuple[experiments.Stage, ...]  # in training order
    dataset: str
    profile: str
    seed: int
    keys: dict[str, str]
    made_by: str

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the images."""
        return self.stages[0].height, self.stages[0].width


def about(published: Published) -> str:
    """One line for people."""
    height, width = published.size
    return (
        f"{published.row}, {width}x{height}, trained on {published.dataset} "
        f"(profile {published.profile}, seed {published.seed}; {published.made_by})"
    )


def safetensors_library():
    """The package, imported only where it is needed; UserError if it is not installed."""
    try:
        import safetensors.torch
    except ImportError:
        raise UserError(
            "published weights need the package safetensors: pip install safetensors"
        ) from None
    return safetensors


def check_suffix(path) -> Path:
    """The path, if it ends as published weights do; else UserError."""
    if Path(path).suffix != SUFFIX:
        raise UserError(f"{path} does not end in {SUFFIX}; published weights do")
    return Path(path)


def export(
    out, trained, row: str, dataset: str, profile: str, seed: int, keys: dict, small: bool = False
) -> Path:
    """Write the networks of a row into one file.

    trained: paths of weights.pt in the row's order; keys: stage -> key of its training run; small:
    generators alone, with eight bits a weight. UserError for another suffix, or where `out` cannot
    be written.
    """
    library, out = safetensors_library(), check_suffix(out)
    tensors, stages = {}, []
    for path in trained:
        state = torch.load(path, map_location="cpu", weights_only=True)
        stage = state["stage"]
        stages.append(stage)
        for network in ("generator",) if small else ("generator", "discriminator"):
            for name, tensor in state.get(network, {}).items():
                name, tensor = f"{stage['name']}/{network}/{name}", tensor.float().contiguous()
                if small and tensor.ndim > 1:
                    tensors[name], tensors[name + STEP] = eight_bits(tensor)
                else:
                    tensors[name] = tensor
    metadata = {
        "format": FORMAT,
        "row": row,
        "stages": json.dumps(stages),
        "dataset": dataset,
        "profile": profile,
        "seed": str(seed),
        "keys": json.dumps(keys),
        "made_by": f"pg2lib {pg2lib.__version__}",
    }
    try:
        with write_atomically(out) as temporary:
            temporary.write_bytes(library.torch.save(tensors, metadata))
    except OSError as error:
        raise UserError(f"cannot write {out} ({error}); name another file, --out") from None
    return out


def eight_bits(tensor):
    """(int8 of the same shape, float32 (outputs,) steps): a weight (outputs, ...) is about its
    whole number times its output's step, to half a step."""
    steps = tensor.flatten(1).abs().amax(1).clamp(min=torch.finfo(torch.float32).tiny) / 127
    return (tensor / along_outputs(steps, tensor)).round().to(torch.int8), steps


def along_outputs(steps, tensor):
    """steps (outputs,) as (outputs, 1, ...), to be multiplied with a weight (outputs, ...)."""
    return steps.view(-1, *[1] * (tensor.ndim - 1))


def float_weights(tensors: dict) -> dict:
    """All weights of a file as float32, those of eight bits multiplied by their steps."""
    return {
        name: tensor.float() * along_outputs(tensors[name + STEP], tensor)
        if tensor.dtype == torch.int8
        else tensor.float()
        for name, tensor in tensors.items()
        if not name.endswith(STEP)
    }


def load(path, device: str | None = None):
    """(Published, painter) of a file of weights; see `training.painter` for the painter.

    Every generator comes frozen and in eval mode, on `device` (default: CUDA where there is one).

    Raises:
        UserError: no such file, a damaged one, or one whose configuration or parameters are not
            those of a row that this version of pg2lib can build.
    """
    library, path = safetensors_library(), Path(path)
    device = device or devices.default_device()
    if not path.is_file():
        raise UserError(f"{path} does not exist; name a file that `pg2 export` wrote")
    check_suffix(path)
    try:
        with library.safe_open(path, framework="pt", device="cpu") as file:
            published = read_metadata(file.metadata() or {}, path)
            tensors = float_weights({name: file.get_tensor(name) for name in file.keys()})
    except (library.SafetensorError, OSError, KeyError, RuntimeError) as error:
        raise UserError(f"{path} is damaged ({error}); fetch it again") from None
    painter = None
    for stage in published.stages:
        prefix = f"{stage.name}/generator/"
        state = {
            name.removeprefix(prefix): tensor
            for name, tensor in tensors.items()
            if name.startswith(prefix)
        }
        generator = generator_with(stage, state, path)
        generator.to(device, memory_format=torch.channels_last)
        painter = training.one_painter(stage, generator, painter)
    return published, painter


def generator_with(stage, state: dict, path):
    """The stage's generator with these parameters, frozen and in eval mode; UserError, which names
    the file `path`, if they are not the stage's."""
    try:
        # Without memory of its own: a wrong size in a file must not take the machine's.
        with torch.device("meta"):
            generator = training.build_generator(stage)
        generator.load_state_dict(state, assign=True)
    except (RuntimeError, ValueError, UserError) as error:
        why = " ".join(str(error).split())
        why = why if len(why) < 160 else f"{why[:160]}..."
        raise UserError(
            f"{path} does not hold the parameters of its stage {stage.name} ({why}); fetch it "
            "again, or the version of pg2lib that wrote it"
        ) from None
    return generator.eval().requires_grad_(False)


def read_metadata(metadata: dict, path) -> Published:
    """What the file says of itself, checked; UserError that names what is wrong."""
    if metadata.get("format") != FORMAT:
        raise UserError(
            f"{path} holds no weights of pg2lib (its metadata name the format "
            f"{metadata.get('format')!r}, not {FORMAT!r}); name a file that `pg2 export` wrote"
        )
    try:
        stages = tuple(read_stage(fields) for fields in json.loads(metadata["stages"]))
        published = Published(
            row=metadata["row"],
            stages=stages,
            dataset=metadata["dataset"],
            profile=metadata["profile"],
            seed=int(metadata["seed"]),
            keys=dict(json.loads(metadata["keys"])),
            made_by=metadata["made_by"],
        )
        networks = [stage.network for stage in stages]
        if networks not in (["G1"], ["G1", "G2"]):
            raise ValueError(f"its stages are {networks}, not a G1 or a G1 and a G2")
        if len({(stage.height, stage.width) for stage in stages}) > 1:
            raise ValueError("its stages are of different image sizes")
    except KeyError as error:
        raise UserError(f"{path} lacks {error} in its metadata; export it again") from None
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{path} describes no row of this version of pg2lib ({error}); export it again, or "
            "use the version that wrote it"
        ) from None
    return published


def read_stage(fields: dict) -> experiments.Stage:
    """A Stage from plain values; ValueError for an unknown field or a value of another type.

    A field that the file lacks is younger than it: its default is what was done before.
    """
    known = {field.name: field for field in dataclasses.fields(experiments.Stage)}
    if not isinstance(fields, dict):
        raise ValueError(f"a stage is {fields!r}")
    if unknown := fields.keys() - known:
        raise ValueError(f"unknown field {', '.join(sorted(unknown))} of a stage")
    for name, value in fields.items():
        kind = known[name].type
        allowed = int | float if kind is float else kind
        if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
            raise ValueError(f"field {name} of a stage is {value!r}")
    return experiments.Stage(**fields)
