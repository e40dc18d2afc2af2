"""Published weights: a row in one .safetensors file that is safe to load.

The file holds every network of the row's methods as "METHOD/NETWORK/PARAMETER", float32, with the
training data and each method's configuration in its metadata. So it also holds the rows that its
row refines. Loading it runs no code from the file and needs no data or run store.

A small file holds only the generators, with eight bits per weight: for each output of a matrix or
filter bank, integers from -127 to 127 and their step as "PARAMETER.step".
"""

import dataclasses
import json
from pathlib import Path

import safetensors.torch
import torch

import pg2lib
from pg2lib.core.config import check_type
from pg2lib.core.files import UserError, printable, write_atomically
from pg2lib.models import METHODS, chain
from pg2lib.models.base import bind
from pg2lib.training import checkpoints, ranges

FORMAT = "pg2lib weights 2"
SUFFIX = ".safetensors"
JSON = ("configs", "seed", "keys")  # in the metadata; other values are plain text
STEP = ".step"


@dataclasses.dataclass(frozen=True)
class Published:
    """The metadata of a file of weights; keys are those of the training runs."""

    row: str
    configs: dict  # method -> its configuration, those it refines first
    dataset: str
    profile: str
    seed: int
    keys: dict[str, str]
    made_by: str = f"pg2lib {pg2lib.__version__}"

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the images."""
        config = self.configs[self.row]
        return config.height, config.width


def about(published: Published) -> str:
    """One line of description."""
    height, width = published.size
    return printable(
        f"{published.row}, {width}x{height}, trained on {published.dataset} "
        f"(profile {published.profile}, seed {published.seed}; {published.made_by})"
    )


def check_suffix(path, suffix: str = SUFFIX) -> Path:
    """Return the path. Raises UserError for another suffix than published weights or `suffix`."""
    if Path(path).suffix != suffix:
        raise UserError(f"{path} does not end in {suffix}; name a file that does")
    return Path(path)


def export(out, trained: dict, published: Published, small: bool = False) -> Path:
    """Write the networks of a row to one file.

    trained: method -> path of its weights.pt, in training order; small: only generators, with eight
    bits per weight. Raises UserError for another suffix, or if `out` cannot be written.
    """
    out, tensors = check_suffix(out), {}
    for method, path in trained.items():
        states = checkpoints.load_state(path, "cpu")["networks"]
        for network in METHODS[method].generators if small else states:
            for parameter, tensor in states[network].items():
                name = f"{method}/{network}/{parameter}"
                if tensor.is_floating_point():
                    tensor = tensor.float()
                tensors[name] = tensor.contiguous()
                if small and tensor.ndim > 1:
                    tensors[name], tensors[name + STEP] = eight_bits(tensors[name])
    texts = dataclasses.asdict(published)
    texts |= {name: json.dumps(texts[name]) for name in JSON}
    try:
        with write_atomically(out) as temporary:
            temporary.write_bytes(safetensors.torch.save(tensors, {"format": FORMAT} | texts))
    except OSError as error:
        raise UserError(f"cannot write {out} ({error}); name another file, --out") from None
    return out


def eight_bits(tensor):
    """(int8 of the same shape, float32 (outputs,) steps): each weight (outputs, ...) is about its
    integer times its output's step, to within half a step."""
    steps = tensor.flatten(1).abs().amax(1).clamp(min=torch.finfo(torch.float32).tiny) / 127
    return (tensor / along_outputs(steps, tensor)).round().to(torch.int8), steps


def along_outputs(steps, tensor):
    """steps (outputs,) as (outputs, 1, ...), to be multiplied with a weight (outputs, ...)."""
    return steps.view(-1, *[1] * (tensor.ndim - 1))


def float_weights(tensors: dict) -> dict:
    """All weights of a file as float32, eight-bit ones multiplied by their steps. Raises ValueError
    or KeyError for steps that do not fit, another type, or non-finite values."""
    found = {name: tensor for name, tensor in tensors.items() if not name.endswith(STEP)}
    for name, tensor in found.items():
        if tensor.dtype == torch.int8:
            steps = tensors[name + STEP]
            if steps.shape != tensor.shape[:1] or not steps.is_floating_point():
                raise ValueError(f"{name} has steps of another shape or type")
            found[name] = tensor.float() * along_outputs(steps.float(), tensor)
        elif tensor.is_floating_point():
            found[name] = tensor.float()
        if not torch.isfinite(found[name]).all():
            raise ValueError(f"{name} holds NaN or infinity")
    return found


def load(path, device: str | None = None, row: str | None = None):
    """(Published, generate_fn) of a file of weights; see `checkpoints.generate_fn`.

    row: the file's own (default) or one that it refines. Every generator is frozen and in eval
    mode, on `device` (default: CUDA where available), and takes inputs from anywhere.

    Raises:
        UserError: no such file, a damaged one, one without the row, or one whose row, configuration
            or parameters this version of pg2lib cannot build.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} does not exist; name a file that `pg2 export` wrote")
    check_suffix(path)
    try:
        with safetensors.safe_open(path, framework="pt", device="cpu") as file:
            published = read_metadata(file.metadata() or {}, path)
            tensors = float_weights({name: file.get_tensor(name) for name in file.keys()})
        states, generate = {}, None
        for name, tensor in tensors.items():
            method, network, parameter = name.split("/", 2)
            states.setdefault(method, {}).setdefault(network, {})[parameter] = tensor
    except (safetensors.SafetensorError, OSError, KeyError, RuntimeError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error}); fetch it again") from None
    if row and row not in published.configs:
        raise UserError(f"{path} holds no {row}, only {', '.join(published.configs)}")
    published = published if row is None else part(published, row)
    for method in chain(published.row):
        config, own = published.configs[method.name], states.get(method.name, {})
        networks = checkpoints.load_generators(method, config, own, device, path)
        generate = bind(method, networks, config, generate)
    return published, checkpoints.on_device(generate, device)


def part(published: Published, row: str) -> Published:
    """The metadata of a row that the file's row refines, or of that row itself."""
    names = [method.name for method in chain(row)]
    configs, keys = ({name: of.get(name) for name in names}
                     for of in (published.configs, published.keys))  # fmt: skip
    return dataclasses.replace(published, row=row, configs=configs, keys=keys)


def read_metadata(metadata: dict, path) -> Published:
    """The metadata of a file, checked. Raises UserError that names the mistake."""
    if metadata.get("format") != FORMAT:
        raise UserError(
            f"{path} holds no weights of this version of pg2lib (its metadata name the format "
            f"{metadata.get('format')!r}, not {FORMAT!r}); name a file that `pg2 export` wrote"
        )
    try:
        values = {field.name: metadata[field.name] for field in dataclasses.fields(Published)}
        values |= {name: json.loads(values[name]) for name in JSON}
        published = Published(**values)
        check_type("its seed", published.seed, int)
        methods, held = [method.name for method in chain(published.row)], list(published.configs)
        if held != methods:
            raise ValueError(f"it holds {', '.join(held)} instead of {', '.join(methods)}")
        for name, fields in published.configs.items():
            published.configs[name] = read_config(name, fields)
        if len({(c.height, c.width) for c in published.configs.values()}) > 1:
            raise ValueError("its methods have different image sizes")
    except KeyError as error:
        raise UserError(f"{path} lacks {error} in its metadata; export it again") from None
    except (ValueError, TypeError, UserError) as error:
        raise UserError(
            f"{path} describes no row of this version of pg2lib ({error}); export it again, or "
            "use the version that wrote it"
        ) from None
    return published


def read_config(name: str, fields: dict):
    """A method's configuration from plain values. Raises ValueError or UserError for a bad one.

    A field missing in the file is newer than the file: its default is the earlier behaviour.
    """
    kind = METHODS[name].config
    known = {field.name: field.type for field in dataclasses.fields(kind)}
    if not isinstance(fields, dict):
        raise ValueError(f"the configuration of {name} is {fields!r}")
    if unknown := fields.keys() - known:
        raise ValueError(f"unknown field {', '.join(sorted(unknown))} of {name}")
    for field, value in fields.items():
        check_type(f"field {field} of {name}", value, known[field])
    config = kind(**fields)
    ranges.check(name, config)
    return config
