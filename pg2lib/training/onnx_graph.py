"""A row as an ONNX graph, which runs without PyTorch: one image in one pose at a time.

The graph's inputs are those of the method, batch 1:
  condition            float32 (1, 3, H, W), I_A in [-1, 1]
  target_keypoints     float32 (1, 18, 2), P_B in pixels; a missing joint is (-1, -1)
  condition_keypoints  the same of I_A, where the method needs it
  parsing              uint8 (1, H, W), labels of I_A, where the method needs it
Heatmaps are drawn inside. The outputs are "image", float32 (1, 3, H, W) in about [-1, 1], and the
parts of `Output` by name ("coarse", "difference"). Eight-bit weights, as in a small file
(`training.weights`), are kept: a quarter of the size, multiplied out when the file is loaded.

Of PyTorch's two exporters, the one used here needs only the package onnx; the newer one also needs
onnxscript. It does not support thin-plate warps, which solve linear equations.
"""

import io
import warnings
from pathlib import Path

import torch
from torch import nn

from pg2lib.core.files import UserError, write_atomically
from pg2lib.models.base import Inputs
from pg2lib.training import extras, weights

SUFFIX = ".onnx"
OPSET = 17  # ONNX 1.12, of 2022
REMEDY = "install it: pip install -e '.[onnx]'"


def require():
    """Import the package onnx. Raises UserError if it is missing."""
    try:
        import onnx
    except ImportError:
        raise UserError(f"ONNX files need the package onnx, which is missing; {REMEDY}") from None
    return onnx


class Graph(nn.Module):
    """A function from tensors by name to tensors by name, in the exporter's form."""

    def __init__(self, function, inputs):
        super().__init__()
        self.function, self.inputs, self.outputs = function, tuple(inputs), ()

    def forward(self, *tensors):
        made = self.function(**dict(zip(self.inputs, tensors)))
        self.outputs = tuple(made)
        return tuple(made.values())


def graph(function, example: dict, about: dict) -> bytes:
    """An ONNX file of function(name=tensor, ...) -> {name: tensor}, traced on the CPU with example
    inputs; about: texts for its metadata. Raises UserError for what ONNX cannot express."""
    onnx, module, stream = require(), Graph(function, example), io.BytesIO()
    tensors = tuple(example.values())
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # about the newer exporter and shape checks
            module(*tensors)  # names the outputs
            torch.onnx.export(
                module, tensors, stream, dynamo=False, opset_version=OPSET,
                input_names=list(module.inputs), output_names=list(module.outputs),
            )  # fmt: skip
    except torch.onnx.errors.OnnxExporterError as error:
        why = str(error).strip().partition("\n")[0]
        raise UserError(f"this cannot be written as ONNX ({why}); choose another row") from None
    model = onnx.load_model_from_string(stream.getvalue())
    keep_eight_bits(model, onnx)
    onnx.helper.set_model_props(model, about)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def keep_eight_bits(model, onnx):
    """Store weights that are integers times a step (`weights.eight_bits`) as eight bits. Uses Cast
    and Mul rather than DequantizeLinear, which ONNX Runtime does not fold at load by default:
    painting would take half as long again."""
    nodes = []
    for node in model.graph.node:
        tensor = node.attribute[0].t if node.op_type == "Constant" else None
        if tensor is None or tensor.data_type != onnx.TensorProto.FLOAT or len(tensor.dims) < 2:
            nodes.append(node)
            continue
        [name], values = node.output, torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy())
        whole, steps = weights.eight_bits(values)
        steps = weights.along_outputs(steps, whole)
        if not torch.allclose(whole * steps, values, rtol=1e-6, atol=0):
            nodes.append(node)
            continue
        for part, stored in (("whole", whole), ("step", steps)):
            array = onnx.numpy_helper.from_array(stored.numpy(), f"{name}.{part}")
            model.graph.initializer.append(array)
        to = {"to": onnx.TensorProto.FLOAT}
        nodes.append(onnx.helper.make_node("Cast", [f"{name}.whole"], [f"{name}.float"], **to))
        nodes.append(onnx.helper.make_node("Mul", [f"{name}.float", f"{name}.step"], [name]))
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def row_graph(method, generate_fn, size: tuple[int, int], about: dict) -> bytes:
    """The ONNX file of a row: a function Inputs -> Output on the CPU, of images (height, width)."""
    height, width = size
    pose = torch.arange(36.0).view(1, 18, 2) % width
    example = {"condition": torch.zeros(1, 3, height, width), "target_keypoints": pose}
    if "condition_pose" in method.needs:
        example["condition_keypoints"] = pose / 2
    maps = extras.names(method)
    example |= {name: torch.zeros(1, height, width, dtype=torch.uint8) for name in maps}

    def paint(condition, target_keypoints, condition_keypoints=None, **given):
        output = generate_fn(Inputs(condition, condition_keypoints, target_keypoints, given))
        return {"image": output.image, **output.parts}

    return graph(paint, example, {"row": method.name} | about)


def write(content: bytes, out) -> Path:
    """Write an ONNX file. Raises UserError if `out` cannot be written."""
    try:
        with write_atomically(out) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise UserError(f"cannot write {out} ({error}); name another file, --out") from None
    return Path(out)
