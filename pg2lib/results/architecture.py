"""The paper's Figure 2 drawn from the networks themselves, layer by layer.

`trace` runs a method once on tensors without memory (PyTorch's meta device) and records the layers
of its networks, their output sizes, and where their inputs come from; `architecture_figure` draws
this for a row and all methods that it refines.
"""

from dataclasses import dataclass, field
from functools import partial
from itertools import groupby

import numpy as np
import torch
from matplotlib.patches import Rectangle
from torch import nn
from torch.overrides import TorchFunctionMode

from pg2lib.data.dataset import Batch
from pg2lib.data.keypoints import JOINTS
from pg2lib.models.base import Inputs, Output
from pg2lib.models.layers import parameter_count
from pg2lib.results.figures import colour
from pg2lib.results.provenance import FONT, GREY, INK, STYLE, new_figure

# The inputs of a method -> their symbol.
SYMBOLS = {"condition": "$I_A$", "target": "$I_B$", "condition_keypoints": "$P_A$",
           "target_keypoints": "$P_B$"}  # fmt: skip
BATCH = 2  # images


@dataclass
class Block:
    """Consecutive layers with one output size; a linear layer has its own block."""

    size: tuple[int, int] | None  # height, width; None: a vector
    channels: list[int] = field(default_factory=list)  # that each layer gives
    enters: list[str] = field(default_factory=list)  # inputs from outside the network
    after: int | None = None  # the block that it follows
    skips: set[int] = field(default_factory=set)  # earlier blocks whose output it also sees


@dataclass
class Network:
    """One network of a method as it runs."""

    title: str
    parameters: int
    blocks: list[Block] = field(default_factory=list)
    gives: str = ""  # symbol of its output
    places: list[int] = field(default_factory=list)  # block of each layer


def trace(method, config, number=1):
    """The networks of a method in the order in which they run: name -> Network.

    number: of the stage, from 1; its image is $I_{B1}$ and so on. The generators are traced as they
    generate, the other networks, such as discriminators, as they are trained.
    """
    size, image = (config.height, config.width), f"$I_{{B{number}}}$"
    with torch.device("meta"):
        built = method.build(config)
        pictures = [torch.empty(BATCH, 3, *size) for _ in range(3)]
        poses = [torch.empty(BATCH, len(JOINTS), 2) for _ in range(2)]
    batch = Batch(pictures[0], pictures[1], *poses)
    inputs = Inputs(pictures[0], *poses)
    with _Trace(built) as tracer, torch.no_grad():
        for name, symbol in SYMBOLS.items():
            tracer.mark(getattr(batch, name), symbol)
        tracer.mark(pictures[2], f"$I_{{B{number - 1}}}$")

        def start(_):
            return Output(pictures[2])

        painted = tracer.label(method.generate(built, config, inputs, start).image)
        for name in method.generators:
            title = tracer.networks[name].title
            tracer.networks[name].gives = image if painted == title else f"{painted} = {image}"
        for _ in method.updates(built, config, [batch] * config.batches_per_step, start):
            pass
    for network in tracer.networks.values():
        for block in network.blocks:
            block.enters = [text.replace(painted, image) for text in block.enters]
    return {name: network for name, network in tracer.networks.items() if network.blocks}


class _Trace(TorchFunctionMode):
    """Follows tensors through functions and networks: each has a label, what it was made from, and
    the layers of the network it is in whose output is part of it."""

    def __init__(self, built):
        super().__init__()
        self.known, self.order, self.networks = {}, {}, {}
        for name, network in built.items():
            own = not type(network).__module__.startswith("torch.")
            title = type(network).__name__ if own else name
            found = self.networks[name] = Network(title, parameter_count(network))
            for module in network.modules():
                if isinstance(module, nn.modules.conv._ConvNd | nn.Linear):
                    module.register_forward_hook(partial(self.after_layer, found))
            network.register_forward_hook(partial(self.after_network, found))

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        seen = [self.known[id(t)] for t in _tensors((args, kwargs)) if id(t) in self.known]
        if seen:
            label = _label(func, args, kwargs or {}, [label for _, label, _ in seen])
            layers = frozenset().union(*(layers for *_, layers in seen))
            for tensor in _tensors(result):
                self.mark(tensor, label, layers)
        return result

    def mark(self, tensor, label, layers=frozenset()):
        self.known[id(tensor)] = tensor, label, layers  # kept, so that no other gets its id

    def label(self, tensor):
        return self.known[id(tensor)][1]

    def after_layer(self, network, module, args, output):
        _, label, layers = self.known.get(id(args[0]), (None, None, frozenset()))
        place = self.order.get(module)
        if place is None:  # seen for the first time
            place = self.order[module] = len(network.places)
            self.add_layer(network, output, layers)
        block = network.blocks[network.places[place]]
        if not layers and label not in block.enters:
            block.enters.append(label)
        self.mark(output, label, frozenset([place]))

    def add_layer(self, network, output, layers):
        size = tuple(output.shape[2:]) if output.ndim == 4 else None
        if not network.blocks or not layers or size is None or network.blocks[-1].size != size:
            after = network.places[max(layers)] if layers else None
            network.blocks.append(Block(size, after=after))
        block, number = network.blocks[-1], len(network.blocks) - 1
        block.channels.append(output.shape[1])
        network.places.append(number)
        block.skips |= {network.places[layer] for layer in layers} - {number, block.after}

    def after_network(self, network, module, args, output):
        for tensor in _tensors(output):
            self.mark(tensor, network.title)
        first = next(_tensors(output))
        count = first.numel() // len(first)
        network.gives = network.gives or f"{count:,} number{'s' * (count != 1)}"


def _tensors(value):
    """All tensors in nested tuples, lists and dicts."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict | tuple | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _tensors(item)


def _label(func, args, kwargs, labels):
    """The origin of a function's result: "(a, b)" if channels are joined, "a or b" if batches are,
    "a + b" for a sum; otherwise the label of its first argument."""
    labels = list(dict.fromkeys(label for label in labels if label))
    name = func.__name__.strip("_")
    if len(labels) < 2:
        return labels[0] if labels else None
    if name in ("add", "radd", "iadd"):
        return " + ".join(labels)
    if name in ("cat", "concat"):
        along = kwargs.get("dim", args[1] if len(args) > 1 else 0)
        return f"({', '.join(labels)})" if along else " or ".join(labels)
    return labels[0]


WIDTH, SIDE, TALL = 10.0, 1.35, 0.95  # inches: the figure, its sides, the tallest box
HEAD, STEP, FOOT = 0.38, 0.07, 0.32  # above the brackets, between two, below the boxes


@STYLE
def architecture_figure(stages):
    """The networks of a row, one below the other, each from left to right.

    stages: (method, config) of every method of `models.chain`, the refined ones first. A box holds
    the layers of one size, as tall as the logarithm of their height, with their channels; brackets
    are skip connections.
    """
    lanes = []
    for number, (method, config) in enumerate(stages, start=1):
        for name, network in trace(method, config, number).items():
            lanes.append((method, number, name in method.generators, network))
    rooms = [_room(network) for *_, network in lanes]
    height, alt = sum(map(sum, rooms)) + TALL * len(lanes) + 0.25, []
    most = max(_height(block) for *_, network in lanes for block in network.blocks)
    figure = new_figure(WIDTH, height)
    axes, top = figure.add_axes((0, 0, 1, 1)), height
    axes.set(xlim=(0, WIDTH), ylim=(0, height))
    axes.set_axis_off()
    for (method, number, generates, network), (above, below) in zip(lanes, rooms):
        use = "" if generates else ", only for training"
        size = f"{network.parameters / 1e6:,.2f} million parameters{use}"
        heading = f"{network.title}: stage {number}, {method.name}, {size}"
        alt.append(f"{heading}; {_in_words(network)}")
        axes.text(0.12, top - 0.1, heading, va="top", color=INK)
        shade = colour(method.name) if generates else GREY
        _draw_network(axes, network, top - above - TALL / 2, most, shade)
        top -= above + TALL + below
    legend = "Box: convolutions at one height × width, channels inside. White: a fully connected "
    axes.text(0.12, 0.1, f"{legend}layer. Brackets: skip connections.", color=GREY)
    plain = str.maketrans("", "", "${}")  # no mathematics
    figure.set_label(f"Architecture, network by network. {' '.join(alt)}".translate(plain))
    return figure


def _room(network):
    """Inches that a network needs above and below its boxes."""
    brackets = sum(len(block.skips) for block in network.blocks)
    enters_below = any(block.enters for block in network.blocks[1:])
    return HEAD + STEP * brackets, FOOT + (0.3 if enters_below else 0)


def _height(block):
    return block.size[0] if block.size else 1


def _in_words(network):
    steps = [f"{_channels(block)} at {_size(block)}" for block in network.blocks]
    enters = " or ".join(network.blocks[0].enters)
    return f"from {enters}: {', '.join(steps)}; gives {network.gives}."


def _channels(block):
    return "→".join(f"{count:,}" for count, _ in groupby(block.channels))


def _size(block):
    return "×".join(map(str, block.size)) if block.size else "1"


def _draw_network(axes, network, middle, most, shade):
    """The boxes of one network about a horizontal line, in inches; most: the largest height of an
    image, which makes the tallest box."""
    pitch = min(0.66, (WIDTH - 2 * SIDE) / len(network.blocks))
    wide, heights = 0.8 * pitch, np.array([_height(block) for block in network.blocks])
    tall = 0.3 + (TALL - 0.3) * np.log2(heights) / max(np.log2(most), 1)
    left = SIDE + pitch * np.arange(len(heights))
    small = {"ha": "center", "va": "center", "fontsize": 0.78 * FONT}
    for k, block in enumerate(network.blocks):
        y = middle - tall[k] / 2
        look = {"facecolor": shade, "alpha": 0.3} if block.size else {"facecolor": "white"}
        axes.add_patch(Rectangle((left[k], y), wide, tall[k], linewidth=0, **look))
        edge = {"edgecolor": shade, "fill": False, "linewidth": 1.0}
        axes.add_patch(Rectangle((left[k], y), wide, tall[k], **edge))
        axes.text(left[k] + wide / 2, middle, _channels(block).replace("→", "\n→"), **small)
        if block.size:
            axes.text(left[k] + wide / 2, y - 0.09, _size(block), **small, color=GREY)
        if block.after is not None:
            _arrow(axes, (left[block.after] + wide, middle), (left[k], middle))
    ends = {"va": "center", "fontsize": 1.1 * FONT}
    for k, block in enumerate(network.blocks):
        text = " or ".join(block.enters).replace(" or ", "\nor ")
        if text and not k:
            axes.text(left[0] - 0.25, middle, text, ha="right", **ends)
            _arrow(axes, (left[0] - 0.2, middle), (left[0], middle))
        elif text:
            foot, centre = middle - tall[k] / 2 - 0.18, left[k] + wide / 2
            _arrow(axes, (centre, foot - 0.15), (centre, foot))
            axes.text(centre + 0.08, foot - 0.08, text, ha="left", **ends)
    right = left[-1] + wide
    _arrow(axes, (right, middle), (right + 0.2, middle))
    axes.text(right + 0.25, middle, network.gives, ha="left", **ends)
    _draw_skips(axes, network, left + wide / 2, middle + tall / 2)


def _draw_skips(axes, network, centres, tops):
    """Brackets from block to block, the longer the higher."""
    skips = [(k, old) for k, block in enumerate(network.blocks) for old in block.skips]
    skips.sort(key=lambda skip: skip[0] - skip[1])
    for level, (new, old) in enumerate(skips):
        over = max(tops) + STEP * (level + 1)
        path = [(centres[old] + 0.05, tops[old]), (centres[old] + 0.05, over)]
        path += [(centres[new] - 0.05, over), (centres[new] - 0.05, tops[new] + 0.05)]
        axes.plot(*zip(*path), color=GREY, linewidth=0.8)
        _arrow(axes, path[-1], (path[-1][0], tops[new]))


def _arrow(axes, start, end):
    look = {"arrowstyle": "-|>", "color": GREY, "linewidth": 0.8, "mutation_scale": 7}
    axes.annotate("", end, start, arrowprops=look | {"shrinkA": 0, "shrinkB": 0})
