"""What steps depend on: a result is read again only where nothing that made it has changed."""

from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
from PIL import Image

from pg2lib.core.config import Study
from pg2lib.core.files import UserError
from pg2lib.workflow import maps, notebooks, pipeline, plan, segmenter
from pg2lib.workflow import run_store as runs

STUDY = Study(profile="smoke", device="cpu")


def test_a_score_depends_on_how_and_with_which_weights_it_is_made(monkeypatch):
    hows = [("pg2", "target"), ("pg2", "condition"), ("patn", "target")]
    keys = [pipeline.score_step(STUDY, "G1-L1", *how).key for how in hows]
    for name in ("INCEPTION", "VGG16"):
        weights = SimpleNamespace(find=lambda download: Path("some") / "weights.pth")
        with monkeypatch.context() as patch:
            patch.setattr(pipeline, name, weights)
            keys.append(pipeline.score_step(STUDY, "G1-L1").key)
    assert len(set(keys)) == 5
    assert pipeline.score_step(STUDY, "G1-L1").key == keys[0]


def test_a_first_stage_painted_beforehand_is_that_of_the_same_batches(monkeypatch, tmp_path):
    asked = []

    def ensure(step, *_):
        asked.append(step.key)
        np.save(tmp_path / "painted.npy", np.zeros(1))
        return tmp_path

    monkeypatch.setattr(pipeline, "ensure", ensure)
    two, one = "G1+G2+D", "G1-poseMaskLoss"
    changes = [f"{two}.iterations=5", f"{two}.batch=3", f"{two}.precision=bfloat16",
               f"{two}.threads=2", f"{one}.iterations=5", "data.seed=1"]  # fmt: skip
    for change in ((), *((text,) for text in changes)):
        study = Study(profile="smoke", device="cpu", overrides=change)
        pipeline.painted(study, two, one)
    pipeline.painted(Study(profile="smoke", device="cpu", seeds=1), two, one)
    assert len(set(asked)) == len(changes) + 2
    pipeline.painted(Study(profile="smoke", device="cpu", overrides=f"{two}.d_batch=own"), two, one)
    assert asked[-1] == asked[0]  # every method that is trained on these batches shares them


def test_maps_of_ones_own_depend_on_the_order_of_their_labels_and_on_the_images(tmp_path):
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / "1.png")
    studies = [runs.Step("data", "mine", {"seed": seed}) for seed in (0, 1)]
    owns = (None, f"lip:{tmp_path}", f"cihp:{tmp_path}")
    keys = {maps.of_labels("people", data, own).key for data in studies for own in owns}
    assert len(keys) == 6


def test_the_parser_depends_on_every_photograph_and_its_map():
    photographs = np.zeros((2, 4, 4, 3), np.uint8), np.zeros((2, 4, 4), np.uint8)
    keys = {segmenter.train_step(STUDY).key, segmenter.train_step(STUDY, photographs).key}
    for part in photographs:
        part[1, 2, 3] = 1
        keys.add(segmenter.train_step(STUDY, photographs).key)
    assert len(keys) == 4


def test_the_parser_is_tested_on_photographs_that_it_has_not_learnt_from(monkeypatch):
    """Five photographs and maps, told by their value."""
    images = np.arange(5, dtype=np.uint8)[:, None, None].repeat(4, 1).repeat(4, 2)
    people = SimpleNamespace(train=np.array([True, False]), images=images[..., None].repeat(3, 3),
                             extras={"parsing": images})  # fmt: skip
    learnt, judged = [], []

    def train(study, log=None, photographs=None):
        learnt.extend(part[:, 0, 0].tolist() for part in photographs or ())
        return SimpleNamespace(size=(4, 4), shown=photographs is not None)

    def overlaps(network, images, street):
        judged.append((network.shown, images[:, 0, 0].tolist(), street[:, 0, 0].tolist()))
        return {"sky": 0.5}

    monkeypatch.setattr(segmenter, "train", train)
    monkeypatch.setattr(segmenter, "data", lambda *_: people)
    monkeypatch.setattr(segmenter.labelled_photos, "read", lambda *_: (images, images + 10))
    monkeypatch.setattr(segmenter.segmentation, "segment", lambda network, images: images[..., 0])
    monkeypatch.setattr(segmenter, "photograph_overlaps", overlaps)
    record = segmenter.measure(STUDY, "photos")
    assert learnt == [[1, 3], [11, 13]]
    assert judged == [(shown, [0, 2, 4], [10, 12, 14]) for shown in (False, True)]
    assert list(record["counts"].values()) == [1, 3, 3]


def test_the_other_half_takes_part_with_the_seeds_that_are_scored_in_every_row(monkeypatch):
    left_out = "synthetic-fashion-smoke-seed1/G1-L1"
    monkeypatch.setattr(plan.runs, "state", lambda step: runs.State(step.name != left_out, ""))
    study = Study(profile="smoke", seeds=(0, 1, 2))
    assert plan.sibling(study) == Study("synthetic-fashion", "smoke", seeds=0)
    left_out = "synthetic-fashion-smoke/G1-L1"
    assert plan.sibling(study) is None


# ---------------------------------------------------------------- notebooks


def test_a_notebook_is_told_all_that_names_its_study(tmp_path):
    study = Study("deepfashion", "smoke", (0, 2), str(tmp_path), "cpu", "original", "iterations=5")
    assert notebooks.parameters(study) == {
        "dataset": "deepfashion", "profile": "smoke", "seeds": "0,2", "overrides": "iterations=5",
    }  # fmt: skip
    found = notebooks.kernel_environment(study)
    assert {name: found[f"PG2_{name}"] for name in ("KEYPOINT_FRAME", "DATA", "DEVICE", "SET")} == {
        "KEYPOINT_FRAME": "original", "DATA": str(tmp_path), "DEVICE": "cpu", "SET": "iterations=5",
    }  # fmt: skip


def test_a_notebook_that_does_not_write_all_its_figures_is_not_done(tmp_path, monkeypatch):
    monkeypatch.setenv("PG2_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PG2_FIGURES", str(tmp_path / "figures"))
    monkeypatch.setattr(notebooks, "notebooks_folder", lambda: tmp_path)
    nbformat.write(nbformat.v4.new_notebook(), tmp_path / "x.ipynb")
    notebook = notebooks.Notebook("x", (), ("x.json", "y.png"))

    def execute(study, notebook, output):
        output.write_text("{}")
        (pipeline.figures_folder(study) / "x.json").write_text("{}")

    monkeypatch.setattr(notebooks, "execute", execute)
    with pytest.raises(UserError, match="notebook x ran but did not write y.png"):
        notebooks.run_notebook(STUDY, notebook)
    assert not notebooks.notebook_state(STUDY, notebook).hit
