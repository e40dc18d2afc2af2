"""The cost of a row before it is run: parameters, GFLOPs and training schedule."""

from dataclasses import asdict, replace
from functools import cache

import torch
from torch.utils.flop_counter import FlopCounterMode

from pg2lib.core.config import override, sized
from pg2lib.data.dataset import Batch
from pg2lib.models import METHODS, chain, rows
from pg2lib.models.base import INPUTS, Inputs, Output
from pg2lib.models.layers import parameter_count


def describe_method(method, config) -> dict:
    """A method's parameters, forward GFLOPs per image (2 per multiply-add) and schedule. Allocates
    nothing: the networks are built on the meta device."""
    size = (config.height, config.width)
    with torch.device("meta"):
        networks = method.build(config)
        image, keypoints = torch.empty(1, 3, *size), torch.empty(1, 18, 2)
        inputs = Inputs(image, keypoints, keypoints, _maps(method, 1, size))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        method.generate(networks, config, inputs, lambda inputs: Output(image))
    counts = {name: parameter_count(network) for name, network in networks.items()}
    generators = sum(counts[name] for name in method.generators)
    return {
        "name": method.name,
        "start": method.start,
        "size": f"{config.height}x{config.width}",
        "networks": counts,
        "parameters": generators,
        "other_parameters": sum(counts.values()) - generators,
        "gflops": round(counter.get_total_flops() / 1e9, 2),
        "rates": {name: adam.learning_rate for name, adam in method.optimizers(config).items()},
        "config": asdict(config),
    }


def training_gflops(method, config) -> float:
    """GFLOPs of a whole training, forward and backward passes of every network, without the frozen
    method that it refines. Allocates nothing."""
    size = (config.height, config.width)
    with torch.device("meta"):
        networks = method.build(config)
        images = [torch.empty(config.batch, 3, *size) for _ in range(3)]
        poses = [torch.empty(config.batch, 18, 2) for _ in range(2)]
        maps = _maps(method, config.batch, size)
    batches = [Batch(*images[:2], *poses, maps)] * config.batches_per_step
    with FlopCounterMode(display=False) as counter:
        for update in method.updates(networks, config, batches, lambda _: Output(images[2])):
            update.loss.backward()
    return config.iterations * counter.get_total_flops() / 1e9


def _maps(method, batch, size) -> dict:
    """The parsing maps that a method needs, empty."""
    return {name: torch.zeros(batch, *size, dtype=torch.uint8) for name in method.needs - INPUTS}


def describe(study, names=None) -> list[dict]:
    """One entry per row (default: those of Table 1): its name, its stages as from
    `describe_method`, and parameters and GFLOPs of the whole row when generating."""
    entries = []
    for name in names or rows():
        stages = [describe_method(m, method_config(study, m)) for m in chain(name)]
        sums = {key: round(sum(s[key] for s in stages), 2) for key in ("parameters", "gflops")}
        entries.append({"row": name, **sums, "stages": stages})
    return entries


def method_config(study, method):
    """The configuration of a method in a study: `configured`, and for a method with the FLOP budget
    of another row the resulting length of training, which takes seconds to find. A length set by
    hand for this method only is kept."""
    config = configured(study, method)
    if not method.budget:
        return config
    named = [text for text in study.overrides if text.startswith(f"{method.name}.")]
    config = replace(config, iterations=iterations_for(study, method.name, config))
    return override(config, named, method.name)


def configured(study, method):
    """A method's configuration from data set and profile, then the overrides."""
    setting, profile = sized(study)
    config = method.configure(setting, profile)
    refined = {other.start for other in METHODS.values()}
    if profile.unrefined and method.start is None and method.name not in refined:
        config = replace(config, iterations=profile.unrefined)
    return override(config, study.overrides, method.name)


@cache
def iterations_for(study, name: str, config) -> int:
    """Iterations for which a method of this configuration costs the FLOPs of `Method.budget`."""
    own = training_gflops(METHODS[name], config)
    return max(1, round(config.iterations * row_gflops(study, METHODS[name].budget) / own))


def row_gflops(study, name: str) -> float:
    """`training_gflops` of a row and the methods it refines."""
    return sum(training_gflops(m, method_config(study, m)) for m in chain(name))


def first_stage_pairs(study, names) -> dict[str, int]:
    """Row -> training pairs seen by its first stage, if these differ between the rows; else {}.
    Scores of such rows differ by the length of their training as well."""
    firsts = {name: method_config(study, chain(name)[0]) for name in names}
    seen = {name: config.iterations * config.batch for name, config in firsts.items()}
    return seen if len(set(seen.values())) > 1 else {}


def costs(study, name: str) -> dict:
    """The cost of a row in a study: parameters and GFLOPs per generated image; iterations, pairs
    seen and PFLOPs of its training, including the methods it refines."""
    stages = [(m, method_config(study, m)) for m in chain(name)]
    [entry] = describe(study, [name])
    return {
        "parameters": entry["parameters"],
        "gflops": entry["gflops"],
        "iterations": sum(c.iterations for _, c in stages),
        "pairs_seen": sum(c.iterations * c.batch for _, c in stages),
        "training_pflops": row_gflops(study, name) / 1e6,
    }


def description_text(entries: list[dict], study) -> str:
    """The entries as a table for a terminal."""
    lines = [("row", "stage", "parameters", "GFLOPs", "D params", "steps", "batch", "lr")]
    for entry in entries:
        for position, s in enumerate(entry["stages"]):
            config, other = s["config"], s["other_parameters"]
            rates = " ".join(f"{rate:g}" for rate in s["rates"].values())
            lines.append((
                "" if position else entry["row"], s["name"], f"{s['parameters']:,}",
                f"{s['gflops']:.2f}", f"{other:,}" if other else "-", f"{config['iterations']:,}",
                str(config["batch"]), f"{rates} {config.get('schedule', '')}",
            ))  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*lines)]
    form = "  ".join(f"{{:{'>' if 2 <= k <= 6 else '<'}{width}}}" for k, width in enumerate(widths))
    aligned = [form.format(*line).rstrip() for line in lines]
    size = entries[0]["stages"][0]["size"]
    about = f"{study.data_name}, profile {study.changes}, images {size} (HxW)"
    return "\n".join([about, "", *aligned])
