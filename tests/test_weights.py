"""Published weights: what is written is what is read, and nothing else is let in."""

import json
import os
import pickle

import numpy as np
import pytest
import smoke
import torch
from safetensors.torch import load_file, save_file

from pg2lib import models
from pg2lib.core.files import UserError
from pg2lib.models.base import Inputs
from pg2lib.training import checkpoints, weights
from pg2lib.workflow import pipeline, shipped
from pg2lib.workflow import run_store as runs

KEYS = {"G1-poseMaskLoss": "0123456789ab", "G1+G2+D": "ba9876543210"}
ABOUT = smoke.published("G1+G2+D", 3, KEYS)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return smoke.trained_row(tmp_path_factory.mktemp("row"), "G1+G2+D")


@pytest.fixture
def file(trained, tmp_path):
    return weights.export(tmp_path / "row.safetensors", trained, ABOUT)


def painted(generate_fn, condition=None, keypoints=None):
    condition = torch.zeros(1, 3, 64, 32) if condition is None else condition
    keypoints = torch.full((1, 18, 2), 9.0) if keypoints is None else keypoints
    return generate_fn(smoke.inputs(condition, keypoints))


def test_what_is_exported_paints_the_same(trained, file):
    published, generate_fn = weights.load(file, "cpu")
    rng = torch.Generator().manual_seed(0)
    condition = torch.rand(2, 3, 64, 32, generator=rng) * 2 - 1
    keypoints = torch.rand(2, 18, 2, generator=rng) * 32
    expected = painted(smoke.generate_fn(trained), condition, keypoints)
    output = painted(generate_fn, condition, keypoints)
    assert torch.equal(output.image, expected.image)
    for name, images in output.parts.items():
        assert torch.equal(images, expected.parts[name]), name
    assert published.configs == smoke.row_configs("G1+G2+D")
    assert (published.row, published.dataset) == ("G1+G2+D", "synthetic-market")
    assert (published.profile, published.seed, published.keys) == ("smoke", 3, KEYS)
    assert published.size == (64, 32)
    assert weights.about(published).startswith("G1+G2+D, 32x64, trained on synthetic-market")


def test_every_network_of_the_row_is_in_the_file(trained, file):
    tensors = load_file(file)
    for method, path in trained.items():
        for network, state in torch.load(path, weights_only=True)["networks"].items():
            for name, tensor in state.items():
                assert torch.equal(tensors.pop(f"{method}/{network}/{name}"), tensor)
    assert not tensors
    assert os.stat(file).st_mode & 0o044  # to be published: others may read it


def test_a_small_file_is_right_to_half_a_step(trained, tmp_path):
    small = weights.export(tmp_path / "small.safetensors", trained, ABOUT, small=True)
    whole = weights.export(tmp_path / "whole.safetensors", trained, ABOUT)
    exact, kept = load_file(whole), weights.float_weights(load_file(small))
    assert set(kept) == {name for name in exact if "/generator/" in name}
    for name, tensor in kept.items():
        largest = exact[name].flatten(1).abs().amax(1) if tensor.ndim > 1 else torch.zeros(1)
        wrong = (tensor - exact[name]).abs().reshape(len(tensor), -1).amax(1)
        assert (wrong <= largest / 127 * 0.501).all(), name  # biases are kept as they are
    assert small.stat().st_size < 0.5 * sum(t.nbytes for n, t in exact.items() if n in kept)
    one, other = (painted(weights.load(file, "cpu")[1]).image for file in (small, whole))
    assert torch.allclose(one, other, atol=0.05) and not torch.equal(one, other)


def test_a_weight_of_zeros_stays_zero():
    values, steps = weights.eight_bits(torch.zeros(2, 3))
    assert not values.any() and torch.isfinite(steps).all()


def test_eight_bits_by_hand():
    values, steps = weights.eight_bits(torch.tensor([[127.0, -63.4], [0.5, 0.25]]))
    assert values.tolist() == [[127, -63], [127, 64]]  # 0.25 is 63.5 steps: to even
    assert steps.tolist() == pytest.approx([1.0, 0.5 / 127])


def test_a_small_file_without_its_steps_is_damaged(trained, tmp_path):
    file = weights.export(tmp_path / "small.safetensors", trained, ABOUT, small=True)
    tensors = load_file(file)
    name = next(name for name in tensors if name.endswith(weights.STEP))
    for spoilt in (None, torch.ones(7)):
        changed = {key: tensor for key, tensor in tensors.items() if key != name}
        if spoilt is not None:
            changed[name] = spoilt
        rewritten(file, tensors=changed)
        with pytest.raises(UserError, match="damaged|does not hold the parameters"):
            weights.load(file, "cpu")


@pytest.mark.parametrize("name", models.METHODS)
def test_every_row_and_ablation_goes_through(name, tmp_path):
    paths = smoke.trained_row(tmp_path / "row", name)
    out = weights.export(tmp_path / "x.safetensors", paths, smoke.published(name))
    assert weights.load(out, "cpu")[0].configs == smoke.row_configs(name)


def rewritten(file, change=None, tensors=None, **metadata):
    """The file with other metadata; change(first, second) edits the two configurations."""
    from safetensors import safe_open

    with safe_open(file, framework="pt") as opened:
        texts = opened.metadata()
    configs = json.loads(texts["configs"])
    if change:
        configs = change(configs) or configs
    texts = {**texts, "configs": json.dumps(configs), **metadata}
    texts = {name: text for name, text in texts.items() if text is not None}
    save_file(load_file(file) if tensors is None else tensors, file, texts)


ONE, TWO = "G1-poseMaskLoss", "G1+G2+D"


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda c: c[ONE].update(dilation=2), "unknown field dilation of G1-poseMaskLoss"),
        (lambda c: c[ONE].update(height="64"), "field height of G1-poseMaskLoss is '64'"),
        (lambda c: c[ONE].update(channels=True), "field channels of G1-poseMaskLoss is True"),
        (lambda c: c[ONE].update(residual=1), "field residual of G1-poseMaskLoss is 1"),
        (lambda c: c.pop(ONE) and None, r"holds G1\+G2\+D instead of G1-poseMaskLoss, G1"),
        (lambda c: {TWO: c[TWO], ONE: c[ONE]}, "instead of"),
        (lambda c: c.clear(), "instead of"),
        (lambda c: c[TWO].update(height=128, width=64), "different image sizes"),
        (lambda c: c | {ONE: "G1"}, "configuration of G1-poseMaskLoss is 'G1'"),
        (lambda c: c[ONE].update(channels=8), "does not hold the parameters of G1-pose"),
        (lambda c: c[ONE].update(channels=10**12), "G1-poseMaskLoss.channels is 1000000000000"),
        (lambda c: c[ONE].update(channels=-4), "G1-poseMaskLoss.channels is -4"),
        (lambda c: [x.update(height=100) for x in c.values()] and None, "100 is not a power of"),
        (lambda c: c[ONE].update(pose="CE"), "does not hold the parameters"),
        (lambda c: c[ONE].update(network="G3"), "unknown network 'G3'"),
    ],
)
def test_a_wrong_configuration_is_told_in_one_sentence(file, change, words):
    rewritten(file, change)
    with pytest.raises(UserError, match=words) as raised:
        weights.load(file, "cpu")
    assert str(raised.value).startswith(str(file)) and "\n" not in str(raised.value)
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize(
    "metadata, words",
    [
        (dict(format="pt"), "no weights of this version of pg2lib"),
        (dict(row="G3"), "unknown row"),
        (dict(format=None), "no weights of this version"),
        (dict(seed=None), "lacks 'seed'"),
        (dict(seed="zero"), "describes no row"),
        (dict(keys="{"), "describes no row"),
        (dict(configs="none"), "describes no row"),
        (dict(configs="7"), "describes no row"),
    ],
)
def test_wrong_metadata_are_told(file, metadata, words):
    rewritten(file, **metadata)
    with pytest.raises(UserError, match=words):
        weights.load(file, "cpu")


def test_a_field_newer_than_the_file_takes_its_default(file):
    rewritten(file, lambda configs: [c.pop("residual") for c in configs.values()] and None)
    assert all(c.residual for c in weights.load(file, "cpu")[0].configs.values())


def test_damaged_files_are_told(file, tmp_path):
    whole = file.read_bytes()
    for damaged in (b"", whole[:5], whole[:-1], b"\xff" * 200, whole[:40] + whole[60:]):
        file.write_bytes(damaged)
        with pytest.raises(UserError, match="row.safetensors is damaged"):
            weights.load(file, "cpu")
    with pytest.raises(UserError, match="gone.safetensors does not exist"):
        weights.load(tmp_path / "gone.safetensors", "cpu")


def test_a_pickle_is_not_even_opened(trained, tmp_path):
    with pytest.raises(UserError, match="does not end in .safetensors"):
        weights.load(trained[ONE], "cpu")

    class Harm:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harm"),)

    disguised = tmp_path / "x.safetensors"
    disguised.write_bytes(pickle.dumps(Harm()))
    with pytest.raises(UserError, match="damaged"):
        weights.load(disguised, "cpu")
    torch.save({"stage": Harm()}, disguised)
    with pytest.raises(UserError, match="damaged"):
        weights.load(disguised, "cpu")
    assert not (tmp_path / "harm").exists()


def test_half_precision_files_are_painted_with(file):
    tensors = {name: tensor.half() for name, tensor in load_file(file).items()}
    rewritten(file, tensors=tensors)
    assert painted(weights.load(file, "cpu")[1]).image.dtype == torch.float32


def test_export_says_what_stops_it(trained, tmp_path):
    with pytest.raises(UserError, match="row.pt does not end in .safetensors"):
        weights.export(tmp_path / "row.pt", trained, ABOUT)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write .* --out"):
        weights.export(tmp_path / "file" / "row.safetensors", trained, ABOUT)
    assert not list(tmp_path.glob("*row*"))


def test_another_seed_is_another_file(tmp_path):
    """A method with other weights paints otherwise: the file is really read."""
    images = []
    for seed in (0, 5):
        paths = smoke.trained_row(tmp_path / str(seed), ONE, seed)
        out = weights.export(tmp_path / f"{seed}.safetensors", paths, smoke.published(ONE))
        images.append(painted(weights.load(out, "cpu")[1]).image)
    assert not np.allclose(*images)


def test_the_study_is_in_the_file(tmp_path, capsys):
    """`pg2 export` from a run store."""
    from pg2lib import cli

    out = tmp_path / "row.safetensors"
    assert cli.main(["export", "G1-L1", "--profile", "smoke", "--out", str(out)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"wrote {out} (")
    published, generate_fn = weights.load(out, "cpu")
    study = pipeline.Study(profile="smoke")
    assert published.keys == {"G1-L1": pipeline.train_step(study, "G1-L1").key}
    condition, keypoints = torch.rand(1, 3, 64, 32), torch.rand(1, 18, 2) * 30
    expected = painted(pipeline.generate_fn(study, "G1-L1"), condition, keypoints).image
    assert torch.equal(painted(generate_fn, condition, keypoints).image, expected)
    for arguments, words in (
        (["G1-L2"], "unknown row 'G1-L2'"),
        (["G1-L1", "--out", "row.pt"], "row.pt does not end in"),
    ):
        assert cli.main(["export", "--profile", "smoke", "--out", str(out), *arguments]) == 2
        error = capsys.readouterr().err
        assert words in error and error.count("\n") == 1


def test_all_rows_are_written_into_a_folder(tmp_path, monkeypatch):
    from pg2lib import cli

    trained = {name: smoke.trained_row(tmp_path / name, name) for name in models.rows()}
    paths = {method: path for row in trained.values() for method, path in row.items()}
    monkeypatch.setattr(pipeline, "train", lambda study, name, log=None: paths[name])
    monkeypatch.setattr(runs, "checked", lambda step, name: paths[step.name.split("/")[-1]])
    out = tmp_path / "out"
    assert cli.main(["export", "all", "--profile", "smoke", "--out", str(out)]) == 0
    assert {path.stem for path in out.iterdir()} == set(models.rows())
    for name in models.rows():
        assert weights.load(out / f"{name}.safetensors", "cpu")[0].row == name


def test_small_files_hold_a_row_that_another_refines_only_once(tmp_path, monkeypatch):
    from pg2lib import cli

    trained = {name: smoke.trained_row(tmp_path / name, name) for name in models.rows()}
    paths = {method: path for row in trained.values() for method, path in row.items()}
    monkeypatch.setattr(pipeline, "train", lambda study, name, log=None: paths[name])
    monkeypatch.setattr(runs, "checked", lambda step, name: paths[step.name.split("/")[-1]])
    out, alone = tmp_path / "out", tmp_path / "alone.safetensors"
    assert cli.main(["export", "all", "--small", "--profile", "smoke", "--out", str(out)]) == 0
    [held] = set(models.rows()) - {path.stem for path in out.iterdir()}
    assert held == models.find("G1+G2+D").start
    options = ["--small", "--profile", "smoke", "--out", str(alone)]
    assert cli.main(["export", held, *options]) == 0
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    out.rename(tmp_path / "synthetic-market")
    own, other = weights.load(alone, "cpu"), weights.load(shipped.weights_file(held), "cpu", held)
    assert own[0] == other[0]
    assert torch.equal(painted(own[1]).image, painted(other[1]).image)
    assert shipped.rows() == models.rows() and shipped.rows("synthetic-fashion") == ()
    with pytest.raises(UserError, match=f"holds no G1-L1, only {held}, G1\\+G2\\+D"):
        weights.load(shipped.weights_file("G1+G2+D"), "cpu", "G1-L1")


def test_networks_that_paint_are_not_trained_any_more(trained):
    method, config = models.find(ONE), smoke.config(ONE)
    states = checkpoints.load_state(trained[ONE], "cpu")["networks"]
    [network] = checkpoints.load_generators(method, config, states, "cpu").values()
    assert not any(part.training for part in network.modules())
    assert not any(parameter.requires_grad for parameter in network.parameters())
    whole = {key: tensor.to(torch.int8) for key, tensor in states["generator"].items()}
    with pytest.raises(UserError, match=f"the file does not hold .* {ONE} .*of type torch.int8"):
        checkpoints.load_generators(method, config, {"generator": whole}, "cpu")


def test_inputs_are_moved_to_the_device_of_the_network():
    poses = torch.zeros(1, 18, 2)
    inputs = Inputs(torch.zeros(1, 3, 8, 4), poses, poses, {"parsing": torch.zeros(1, 9, 8, 4)})
    moved = checkpoints.on_device(lambda inputs: inputs, "meta")(inputs)
    for one in (moved.condition, moved.condition_keypoints, moved.target_keypoints,
                moved.extras["parsing"]):  # fmt: skip
        assert one.device.type == "meta"
