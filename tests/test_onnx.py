"""ONNX files of rows: what they paint is what PyTorch paints, to a grey level."""

import sys
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import toy_method

from pg2lib import cli, models
from pg2lib.core.files import UserError
from pg2lib.models.base import Inputs, bind
from pg2lib.training import onnx_graph
from pg2lib.workflow import pipeline, shipped

SHIPPED = pipeline.Study(profile="demo", device="cpu")
GREY = 1 / 127.5  # one grey level of images in [-1, 1]


def session(content):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


def painted(content, **tensors):
    """name -> what an ONNX file makes of tensors."""
    run = session(content)
    assert {one.name for one in run.get_inputs()} == set(tensors)
    names = [one.name for one in run.get_outputs()]
    return dict(zip(names, run.run(None, {k: v.numpy() for k, v in tensors.items()})))


def poses(height, width):
    """Poses (4, 18, 2): inside, at fractions of pixels, at the borders, and joints missing."""
    rng = np.random.default_rng(0)
    found = rng.uniform(0, 1, (4, 18, 2)) * (width - 1, height - 1)
    found[1] = found[1].round() - 1e-4
    found[2, :9], found[2, 9:] = 0, (width - 1, height - 1)
    found[3, ::2] = -1
    return torch.from_numpy(found.clip(-1, None)).float()


@pytest.mark.parametrize("row", ["G1-CE-L1", "G1-HME-L1", "G1+G2+D"])
def test_a_graph_paints_what_pytorch_paints(row):
    content, paint = shipped.onnx(SHIPPED, row), shipped.generate_fn(SHIPPED, row)
    height, width = shipped.weights.load(shipped.weights_file(row), "cpu")[0].size
    rng = torch.Generator().manual_seed(0)
    images = set()
    for pose in poses(height, width)[:, None]:
        image = torch.rand(1, 3, height, width, generator=rng) * 2 - 1
        wanted = paint(Inputs(image, None, pose))
        made = painted(content, condition=image, target_keypoints=pose)
        wanted = {"image": wanted.image, **wanted.parts}
        assert list(made) == list(wanted)
        for name, tensor in wanted.items():
            assert np.abs(made[name] - tensor.numpy()).max() < GREY / 10, name
        images.add(made["image"].tobytes())
    assert len(images) == 4


def test_weights_of_eight_bits_are_stored_as_such_and_multiplied_out_at_load(tmp_path):
    content = shipped.onnx(SHIPPED, "G1-L1")
    assert len(content) < 1.02 * shipped.weights_file("G1-L1").stat().st_size
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "loaded.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    loaded = onnx.load(tmp_path / "loaded.onnx").graph
    held = {one.name: one.data_type for one in loaded.initializer}
    filters = [node.input[1] for node in loaded.node if node.op_type.endswith("Conv")]
    assert len(filters) == 30 and {held[name] for name in filters} == {onnx.TensorProto.FLOAT}


def test_other_weights_keep_all_their_bits():
    weight = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))

    def product(x):
        return {"y": x @ weight}

    content, x = onnx_graph.graph(product, {"x": torch.zeros(1, 4)}, {}), torch.randn(1, 4)
    np.testing.assert_allclose(painted(content, x=x)["y"], x @ weight, rtol=1e-6, atol=1e-6)


def test_a_method_that_sees_the_pose_of_the_photo():
    [method], size = toy_method.METHODS, (16, 8)
    config = toy_method.ToyConfig(*size)
    networks = {name: one.requires_grad_(False) for name, one in toy_method.build(config).items()}
    paint = bind(method, networks, config)
    content = onnx_graph.row_graph(method, paint, size, {})
    image, (before, after) = torch.zeros(1, 3, *size), poses(*size)[:2, None]
    given = {"condition": image, "condition_keypoints": before, "target_keypoints": after}
    wanted = paint(Inputs(image, before, after)).image.numpy()
    assert np.abs(painted(content, **given)["image"] - wanted).max() < GREY / 10
    given["condition_keypoints"] = after
    assert np.abs(painted(content, **given)["image"] - wanted).max() > GREY


def test_what_onnx_cannot_express_is_said():
    def solved(a):
        return {"x": torch.linalg.solve(a, a)}

    with pytest.raises(UserError, match=r"^this cannot be written as ONNX \(.*linalg_solve.*\);"):
        onnx_graph.graph(solved, {"a": torch.eye(3)[None]}, {})


def test_the_command_writes_a_file_that_says_what_it_is(tmp_path, capsys):
    file = tmp_path / "g1.onnx"
    assert cli.main(["export", "G1-L1", "--profile", "demo", "--onnx", "--out", str(file)]) == 0
    assert "wrote" in capsys.readouterr().out
    about = session(file.read_bytes()).get_modelmeta().custom_metadata_map
    assert about == {"row": "G1-L1", "dataset": "synthetic-market", "profile": "demo"}
    wrong = ["export", "G1-L1", "--onnx", "--out", str(tmp_path / "g1.safetensors")]
    assert cli.main(wrong) == 2
    assert "does not end in .onnx" in capsys.readouterr().err


def test_a_missing_package_is_said_with_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UserError, match=r"package onnx, .* pip install -e '.\[onnx\]'"):
        shipped.onnx(SHIPPED, "G1-L1")


def test_all_rows_are_written_as_graphs_also_with_small(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "onnx", lambda study, row, log: row.encode())
    options = ["export", "all", "--onnx", "--small", "--profile", "demo", "--out", str(tmp_path)]
    assert cli.main(options) == 0
    assert {file.stem for file in tmp_path.glob("*.onnx")} == set(models.rows())
