"""Published weights: what is written is what is read, and nothing else is let in."""

import json
import os
import pickle
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pg2lib.core.files import UserError
from pg2lib.models import experiments
from pg2lib.training import loop as training
from pg2lib.training import weights
from pg2lib.workflow import pipeline
from pg2lib.workflow import run_store as runs

KEYS = {"G1-poseMaskLoss": "0123456789ab", "G2+D": "ba9876543210"}


def row(folder, *stages):
    """Paths of weights.pt of untrained stages."""
    paths = []
    for seed, stage in enumerate(stages):
        (folder / stage.name).mkdir(parents=True)
        training.Run(stage, seed, "cpu").export(folder / stage.name)
        paths.append(folder / stage.name / "weights.pt")
    return paths


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return row(tmp_path_factory.mktemp("row"), *experiments.stages("G1+G2+D", profile="smoke"))


@pytest.fixture
def file(trained, tmp_path):
    out = tmp_path / "row.safetensors"
    return weights.export(out, trained, "G1+G2+D", "synthetic-market", "smoke", 3, KEYS)


def test_what_is_exported_paints_the_same(trained, file):
    published, painter = weights.load(file, "cpu")
    rng = torch.Generator().manual_seed(0)
    condition = torch.rand(2, 3, 64, 32, generator=rng) * 2 - 1
    keypoints = torch.rand(2, 18, 2, generator=rng) * 32
    expected = training.painter(trained, "cpu")(condition, keypoints)
    for name, images in painter(condition, keypoints).items():
        assert torch.equal(images, expected[name]), name
    assert published.stages == experiments.stages("G1+G2+D", profile="smoke")
    assert (published.row, published.dataset) == ("G1+G2+D", "synthetic-market")
    assert (published.profile, published.seed, published.keys) == ("smoke", 3, KEYS)
    assert published.size == (64, 32)
    assert weights.about(published).startswith("G1+G2+D, 32x64, trained on synthetic-market")


def test_every_network_of_the_row_is_in_the_file(trained, file):
    tensors = load_file(file)
    for path in trained:
        state = torch.load(path, weights_only=True)
        for network in {"generator", "discriminator"} & set(state):
            for name, tensor in state[network].items():
                assert torch.equal(
                    tensors.pop(f"{state['stage']['name']}/{network}/{name}"), tensor
                )
    assert not tensors
    assert os.stat(file).st_mode & 0o044  # to be published: others may read it


def test_a_small_file_is_right_to_half_a_step(trained, tmp_path):
    about = "G1+G2+D", "synthetic-market", "smoke", 3, KEYS
    small = weights.export(tmp_path / "small.safetensors", trained, *about, small=True)
    whole = weights.export(tmp_path / "whole.safetensors", trained, *about)
    exact, kept = load_file(whole), weights.float_weights(load_file(small))
    assert set(kept) == {name for name in exact if "/generator/" in name}
    for name, tensor in kept.items():
        largest = exact[name].flatten(1).abs().amax(1) if tensor.ndim > 1 else torch.zeros(1)
        wrong = (tensor - exact[name]).abs().reshape(len(tensor), -1).amax(1)
        assert (wrong <= largest / 127 * 0.501).all(), name  # biases are kept as they are
    assert small.stat().st_size < 0.5 * sum(t.nbytes for n, t in exact.items() if n in kept)
    condition, keypoints = torch.zeros(1, 3, 64, 32), torch.full((1, 18, 2), 12.0)
    one, other = (weights.load(file, "cpu")[1](condition, keypoints) for file in (small, whole))
    assert torch.allclose(one["refined"], other["refined"], atol=0.05)
    assert not torch.equal(one["refined"], other["refined"])


def test_a_weight_of_zeros_stays_zero():
    values, steps = weights.eight_bits(torch.zeros(2, 3))
    assert not values.any() and torch.isfinite(steps).all()


def test_eight_bits_by_hand():
    values, steps = weights.eight_bits(torch.tensor([[127.0, -63.4], [0.5, 0.25]]))
    assert values.tolist() == [[127, -63], [127, 64]]  # 0.25 is 63.5 steps: to even
    assert steps.tolist() == pytest.approx([1.0, 0.5 / 127])


def test_a_small_file_without_its_steps_is_damaged(trained, tmp_path):
    about = "G1+G2+D", "synthetic-market", "smoke", 3, KEYS
    file = weights.export(tmp_path / "small.safetensors", trained, *about, small=True)
    tensors = load_file(file)
    name = next(name for name in tensors if name.endswith(weights.STEP))
    for spoilt in (None, torch.ones(7)):
        changed = {key: tensor for key, tensor in tensors.items() if key != name}
        if spoilt is not None:
            changed[name] = spoilt
        rewritten(file, tensors=changed)
        with pytest.raises(UserError, match="damaged|does not hold the parameters"):
            weights.load(file, "cpu")


def test_every_row_and_ablation_goes_through(tmp_path):
    for name in experiments.EVERY_ROW:
        stages = experiments.stages(name, profile="smoke")
        paths = row(tmp_path / name, *stages)
        out = tmp_path / f"{name}.safetensors"
        weights.export(out, paths, name, "synthetic-market", "smoke", 0, {})
        assert weights.load(out, "cpu")[0].stages == stages


def rewritten(file, change=None, tensors=None, **metadata):
    """The file with other metadata; change() edits the list of stages."""
    from safetensors import safe_open

    with safe_open(file, framework="pt") as opened:
        told = opened.metadata()
    stages = json.loads(told["stages"])
    if change:
        change(stages)
    told = {**told, "stages": json.dumps(stages), **metadata}
    told = {name: text for name, text in told.items() if text is not None}
    save_file(load_file(file) if tensors is None else tensors, file, told)


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda s: s[0].update(dilation=2), "unknown field dilation of a stage"),
        (lambda s: s[0].update(height="64"), "field height of a stage is '64'"),
        (lambda s: s[0].update(channels=True), "field channels of a stage is True"),
        (lambda s: s[0].update(residual=1), "field residual of a stage is 1"),
        (lambda s: s.reverse(), r"\['G2', 'G1'\]"),
        (lambda s: s.clear(), "its stages are"),
        (lambda s: s[0].update(network="G3"), "'G3'"),
        (lambda s: s[1].update(height=128, width=64), "different image sizes"),
        (lambda s: s.__setitem__(0, "G1"), "a stage is 'G1'"),
        (lambda s: s[0].pop("name"), "name"),
        (lambda s: s[0].update(channels=8), "does not hold the parameters of its stage G1-pose"),
        (lambda s: s[0].update(channels=10**12), "does not hold the parameters"),
        (lambda s: s[0].update(channels=-4), "does not hold the parameters"),
        (lambda s: [x.update(height=100) for x in s], "100 is not a power of two"),
        (lambda s: s[0].update(pose="CE"), "does not hold the parameters"),
        (lambda s: s[0].update(name="G1-L1"), "does not hold the parameters of its stage G1-L1"),
    ],
)
def test_a_wrong_configuration_is_told_in_one_sentence(file, change, words):
    rewritten(file, change)
    with pytest.raises(UserError, match=words) as told:
        weights.load(file, "cpu")
    assert str(told.value).startswith(str(file)) and "\n" not in str(told.value)
    assert len(str(told.value)) < 500


@pytest.mark.parametrize(
    "metadata, words",
    [
        (dict(format="pt"), "no weights of pg2lib"),
        (dict(format=None), "no weights of pg2lib"),
        (dict(seed=None), "lacks 'seed'"),
        (dict(seed="zero"), "describes no row"),
        (dict(keys="{"), "describes no row"),
        (dict(stages="none"), "describes no row"),
        (dict(stages="7"), "describes no row"),
    ],
)
def test_wrong_metadata_are_told(file, metadata, words):
    rewritten(file, **metadata)
    with pytest.raises(UserError, match=words):
        weights.load(file, "cpu")


def test_a_field_younger_than_the_file_takes_its_default(file):
    rewritten(file, lambda stages: [stage.pop("residual") for stage in stages])
    assert all(stage.residual for stage in weights.load(file, "cpu")[0].stages)


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
        weights.load(trained[0], "cpu")

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
    _, painter = weights.load(file, "cpu")
    painted = painter(torch.zeros(1, 3, 64, 32), torch.full((1, 18, 2), 9.0))
    assert painted["refined"].dtype == torch.float32


def test_export_says_what_stops_it(trained, tmp_path, monkeypatch):
    facts = ("G1+G2+D", "synthetic-market", "smoke", 0, KEYS)
    with pytest.raises(UserError, match="row.pt does not end in .safetensors"):
        weights.export(tmp_path / "row.pt", trained, *facts)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write .* --out"):
        weights.export(tmp_path / "file" / "row.safetensors", trained, *facts)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(UserError, match="pip install safetensors"):
        weights.export(tmp_path / "row.safetensors", trained, *facts)
    assert not list(tmp_path.glob("*row*"))


def test_another_seed_is_another_file(trained, tmp_path):
    """A stage of the row with other weights paints otherwise: the file is really read."""
    stage = replace(experiments.stage("G1-poseMaskLoss", profile="smoke"))
    training.Run(stage, 5, "cpu").export(tmp_path)
    images = []
    for number, first in enumerate((trained[0], tmp_path / "weights.pt")):
        out = tmp_path / f"{number}.safetensors"
        weights.export(out, [first], "G1-poseMaskLoss", "synthetic-market", "smoke", 0, {})
        painter = weights.load(out, "cpu")[1]
        images.append(painter(torch.zeros(1, 3, 64, 32), torch.full((1, 18, 2), 9.0))["refined"])
    assert not np.allclose(*images)


def test_the_study_is_in_the_file(tmp_path, capsys):
    """`pg2 export` from a run store."""
    from pg2lib import cli

    out = tmp_path / "row.safetensors"
    assert cli.main(["export", "G1-L1", "--profile", "smoke", "--out", str(out)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"wrote {out} (")
    published, painter = weights.load(out, "cpu")
    study = pipeline.Study(profile="smoke")
    assert published.keys == {"G1-L1": pipeline.stage_step(study, "G1-L1").key}
    condition, keypoints = torch.rand(1, 3, 64, 32), torch.rand(1, 18, 2) * 30
    expected = pipeline.painter(study, "G1-L1")(condition, keypoints)["refined"]
    assert torch.equal(painter(condition, keypoints)["refined"], expected)
    for arguments, words in (
        (["G1-L2"], "unknown row 'G1-L2'"),
        (["G1-L1", "--out", "row.pt"], "row.pt does not end in"),
    ):
        assert cli.main(["export", "--profile", "smoke", "--out", str(out), *arguments]) == 2
        error = capsys.readouterr().err
        assert words in error and error.count("\n") == 1


def test_all_rows_are_written_into_a_folder(tmp_path, monkeypatch):
    from pg2lib import cli

    row_of = {
        name: row(tmp_path / name, *experiments.stages(name, profile="smoke"))
        for name in experiments.ROWS
    }
    monkeypatch.setattr(pipeline, "train", lambda study, name, say=None: row_of[name])
    by_stage = {path.parent.name: path for paths in row_of.values() for path in paths}
    monkeypatch.setattr(runs, "checked", lambda step, name: by_stage[step.name.split("/")[-1]])
    out = tmp_path / "out"
    assert cli.main(["export", "all", "--small", "--profile", "smoke", "--out", str(out)]) == 0
    assert {path.stem for path in out.iterdir()} == set(experiments.ROWS)
    for name in experiments.ROWS:
        assert weights.load(out / f"{name}.safetensors", "cpu")[0].row == name
