"""Scoring a row on a handful of people drawn from random numbers."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_erosion
from skimage.metrics import structural_similarity

from pg2lib.core import distributed
from pg2lib.core.files import UserError
from pg2lib.data import dataset as datasets
from pg2lib.data.heatmaps import patn_mask, pose_mask
from pg2lib.evaluation import copy_score, inception, perceptual, statistics
from pg2lib.evaluation import score_row as evaluation
from pg2lib.evaluation.pck import joint_counts, pck, pckh
from pg2lib.evaluation.presets import PRESET_NAMES, score_presets
from pg2lib.evaluation.score_row import Scoring
from pg2lib.evaluation.ssim import mask_ssim, masked, ssim
from pg2lib.models.base import Output

H, W = 32, 16


@pytest.fixture(scope="module")
def dataset():
    return people()


def people():
    """12 smooth random images of 4 people with random poses, and 14 test pairs. A little noise
    gives them stripes: blocks of four equal pixels hold nothing at a period of two."""
    random = np.random.default_rng(0)
    images = random.integers(0, 241, (12, H // 4, W // 4, 3), dtype=np.uint8)
    images = images.repeat(4, 1).repeat(4, 2)
    images += np.random.default_rng(1).integers(0, 16, images.shape, dtype=np.uint8)
    identities = np.arange(12) // 3
    pairs = datasets.ordered_pairs(identities, np.ones(12, bool))
    return datasets.Dataset(
        name="random", height=H, width=W, images=images,
        keypoints=random.integers(2, (W - 2, H - 2), (12, 18, 2)).astype(np.float32),
        identities=identities, cameras=np.arange(12) % 6 + 1,
        names=[f"{i // 3:04d}_c{i % 6 + 1}.jpg" for i in range(12)],
        train=np.zeros(12, bool), train_pairs=pairs[:0],
        test_pairs=random.permutation(pairs)[:14], card={},
    )  # fmt: skip


def one_stage(inputs):
    """Half the contrast, brighter where the first joint lies further right."""
    place = inputs.target_keypoints[:, 0, 0].view(-1, 1, 1, 1)
    return Output(inputs.condition / 2 + place / W - 0.5)


def two_stages(inputs):
    coarse = one_stage(inputs).image
    return Output(0.75 * coarse, {"coarse": coarse, "difference": -0.25 * coarse})


def luma_of(image):
    return image @ (0.2125, 0.7154, 0.0721) / 255


def gradient_energy_of(image, mask):
    """The mean where a pixel and its four neighbours lie in the mask."""
    return sum(slope**2 for slope in np.gradient(luma_of(image)))[binary_erosion(mask)].mean()


def stripes_of(image):
    """Without a Fourier transform: by Parseval's theorem the energy at the highest frequency along
    an axis is that of the alternating sums along it."""
    luma = luma_of(image) - luma_of(image).mean()
    alternating = [(luma * (-1.0) ** place).sum(axis)
                   for axis, place in enumerate(np.indices(luma.shape))]  # fmt: skip
    energies = [(sums**2).sum() / size for sums, size in zip(alternating, luma.shape)]
    return max(energies) / (luma**2).sum()


def test_a_row_is_generated_and_scored(dataset, tmp_path):
    summary = evaluation.evaluate_row("G1-L1", one_stage, dataset, tmp_path, Scoring(batch=4))
    generated, pairs = np.load(tmp_path / "generated.npy"), evaluation.read_pairs(tmp_path)
    assert summary == json.loads((tmp_path / "summary.json").read_text())
    assert evaluation.read_summary(tmp_path) == summary
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "generated.npy", "pairs.csv", "summary.json",
    ]  # fmt: skip
    condition, target = dataset.test_pairs.T
    for k in range(14):  # one by one, in plain NumPy, rounded to the nearest
        x = dataset.images[condition[k]] / 127.5 - 1
        x = x / 2 + dataset.keypoints[target[k], 0, 0] / W - 0.5
        expected = np.clip(np.round((x + 1) * 127.5), 0, 255)
        assert abs(generated[k] - expected).max() <= 1
        assert (generated[k] == expected).mean() > 0.99
        row, real = pairs.iloc[k], dataset.images[target[k]]
        assert row["condition"] == dataset.names[condition[k]]
        assert row["target"] == dataset.names[target[k]]
        assert row["target_camera"] == dataset.cameras[target[k]]
        assert row["condition_camera"] == dataset.cameras[condition[k]]
        assert row["identity"] == str(dataset.identities[target[k]])
        # A file holds six digits.
        ssim = structural_similarity(real, generated[k], channel_axis=2, data_range=255)
        assert row["ssim"] == pytest.approx(ssim, abs=1e-6)
        mask = pose_mask(torch.from_numpy(dataset.keypoints[target[k]][None]), H, W)
        mask = mask[0, 0].numpy().astype(np.uint8)[..., None]
        ssim = structural_similarity(
            real * mask, generated[k] * mask, channel_axis=2, data_range=255
        )
        assert row["mask_ssim"] == pytest.approx(ssim, abs=1e-6)
        ours, true = (gradient_energy_of(image, mask[..., 0]) for image in (generated[k], real))
        expected = {"sharpness": ours / true, "target_gradient": true}
        ours, true = stripes_of(generated[k]), stripes_of(real)
        expected |= {"stripes": ours / true, "target_stripes": true}
        assert dict(row[list(expected)]) == pytest.approx(expected, rel=1e-5)
    weighted = {"sharpness": "target_gradient", "stripes": "target_stripes"}
    for name in ("ssim", "mask_ssim", *weighted):
        weights = pairs[weighted[name]] if name in weighted else None
        mean = np.average(pairs[name], weights=weights)
        assert summary["scores"][name]["mean"] == pytest.approx(mean, abs=1e-5)
        low, high = statistics.bootstrap_interval(pairs[name], pairs["identity"], weights)
        assert summary["scores"][name]["low"] == pytest.approx(low, abs=1e-5)
        assert summary["scores"][name]["high"] == pytest.approx(high, abs=1e-5)
    assert (summary["pairs"], summary["identities"]) == (14, len(set(pairs["identity"])))
    for name in ("pck", "pckh", "pose_copy", "lpips", "inception", "mask_inception", "fid", "kid",
                 "fixed_share"):  # fmt: skip
        assert summary["scores"][name] is None and name not in pairs


def test_the_result_does_not_depend_on_the_batch(dataset):
    whole = evaluation.generate_pairs(two_stages, dataset, dataset.test_pairs)
    parts = evaluation.generate_pairs(two_stages, dataset, dataset.test_pairs, batch=3)
    assert all((whole[name] == parts[name]).all() for name in whole)


def test_two_stages_keep_coarse_and_difference(dataset, tmp_path):
    summary = evaluation.evaluate_row("G1+G2+D", two_stages, dataset, tmp_path)
    coarse, difference, generated = (
        np.load(tmp_path / f"{name}.npy") for name in ("coarse", "difference", "generated")
    )
    assert (coarse.dtype, difference.dtype) == (np.uint8, np.float16)
    together = coarse / 127.5 - 1 + difference.astype(float)
    assert abs(together - (generated / 127.5 - 1)).max() < 2.5 / 127.5
    assert summary["mean_absolute_difference"] == pytest.approx(
        abs(difference.astype(float)).mean(), rel=1e-3
    )
    maps = difference.astype(float).reshape(14, -1)
    products = maps @ maps.T  # of every map with every map, on the diagonal with itself
    share = {"mean": pytest.approx(products.mean() / np.trace(products) * 14)}
    assert summary["scores"]["fixed_share"] == share | {"low": None, "high": None}


def test_reference_rows(dataset, tmp_path):
    target = evaluation.evaluate_row("target", None, dataset, tmp_path)
    assert (np.load(tmp_path / "generated.npy") == dataset.images[dataset.test_pairs[:, 1]]).all()
    for name in ("ssim", "mask_ssim", "sharpness"):
        assert list(target["scores"][name].values()) == pytest.approx([1, 1, 1], abs=1e-9)
    condition = evaluation.evaluate_row("condition", None, dataset, tmp_path)
    assert (np.load(tmp_path / "generated.npy") == dataset.images[dataset.test_pairs[:, 0]]).all()
    assert condition["scores"]["ssim"]["mean"] < 0.5
    assert condition["scores"]["mask_ssim"]["mean"] != condition["scores"]["ssim"]["mean"]


def test_where_the_mask_comes_from(dataset, tmp_path):
    pairs = dataset.test_pairs
    target, condition = (evaluation.pair_masks(dataset, pairs, who) for who in
                         ("target", "condition"))  # fmt: skip
    keypoints = torch.from_numpy(dataset.keypoints)
    assert (target == pose_mask(keypoints[pairs[:, 1]], H, W)[:, 0].bool().numpy()).all()
    assert (condition == pose_mask(keypoints[pairs[:, 0]], H, W)[:, 0].bool().numpy()).all()
    scaled = evaluation.pair_masks(dataset, pairs, variant="scaled", batch=5)
    expected = pose_mask(keypoints[pairs[:, 1]], H, W, variant="scaled")[:, 0].bool().numpy()
    assert (scaled == expected).all()

    def scored(**options):
        summary = evaluation.evaluate_row("condition", None, dataset, tmp_path, Scoring(**options))
        return summary["scores"]["mask_ssim"]["mean"], summary["mask_from"]

    def expected(masks):
        seen = [dataset.images[column] * masks[..., None] for column in pairs.T]
        return np.mean(
            [structural_similarity(*two, channel_axis=2, data_range=255) for two in zip(*seen)]
        )

    assert scored() == scored(mask_from="target") == (pytest.approx(expected(target)), "target")
    assert scored(mask_from="condition") == (pytest.approx(expected(condition)), "condition")
    assert abs(expected(target) - expected(condition)) > 0.001


def test_presets_of_patn_look_through_patns_mask(dataset, tmp_path):
    pairs = dataset.test_pairs
    keypoints = torch.from_numpy(dataset.keypoints[pairs[:, 1]])
    masks = patn_mask(keypoints, H, W)[:, 0].bool().numpy()
    assert (evaluation.pair_masks(dataset, pairs, variant="patn") == masks).all()
    assert (evaluation.pair_masks(dataset, pairs) != masks).any()
    images = (dataset.images[column] for column in pairs.T)
    expected = mask_ssim(*images, masks, "patn").mean()
    summary = evaluation.evaluate_row("condition", None, dataset, tmp_path, Scoring("patn"))
    assert summary["scores"]["mask_ssim"]["mean"] == pytest.approx(expected, abs=1e-7)
    assert summary["mask_variant"] == "patn"


def test_inception_scores_whole_and_masked_images(dataset, tmp_path, monkeypatch):
    """With a network that sees the colours of ten pixels; FID and KID are against the targets."""
    places = np.random.default_rng(1).integers(0, (H, W), (10, 2)).T
    calls = []

    def features(images, weights, batch, device, progress, masks, index):
        images = images if index is None else images[index]
        calls.append(masked(images, masks(slice(None))) if masks else np.array(images))
        seen = calls[-1][:, *places].reshape(len(images), -1) / 100
        return seen, seen[:, :7]

    monkeypatch.setattr(inception, "inception_features", features)
    summary = evaluation.evaluate_row(
        "condition", None, dataset, tmp_path, Scoring(inception="weights")
    )
    pairs = dataset.test_pairs
    condition, real = (dataset.images[column] for column in pairs.T)
    mask = evaluation.pair_masks(dataset, pairs)
    targets = dataset.images[np.unique(pairs[:, 1])]
    for got, expected in zip(calls, (targets, condition, condition * mask[..., None])):
        assert (got == expected).all()
    x, y = (images[:, *places].reshape(14, -1) / 100 for images in (condition, real))
    people = dataset.identities[pairs[:, 1]]
    found = summary["scores"]
    hidden = (condition * mask[..., None])[:, *places].reshape(14, -1) / 100
    for name, seen in (("inception", x), ("mask_inception", hidden)):
        mean, std = inception.score_from_logits(seen[:, :7])
        low, high = inception.score_interval(seen[:, :7], people)
        assert found[name] == {"mean": mean, "std": std, "splits": 10, "low": low, "high": high}
    assert found["mask_inception"] != found["inception"]
    assert found["fid"] == {"mean": pytest.approx(inception.fid(x, y)), "low": None, "high": None}
    different, where = np.unique(pairs[:, 1], return_inverse=True)
    y = dataset.images[different][:, *places].reshape(len(different), -1) / 100
    assert len(y) < len(x)  # some targets are shared
    assert list(found["kid"].values()) == pytest.approx(inception.kid(x, y, where, people))


def test_an_estimator_gives_pose_and_copy_scores(dataset, tmp_path):
    """An estimator that knows the real images of the data set, and sees other ones wrongly."""
    keypoints = dataset.keypoints.copy()
    keypoints[::3, 3:12] = -1  # so that pairs weigh differently
    dataset = replace(dataset, keypoints=keypoints)
    known = {image.tobytes(): k for k, image in enumerate(dataset.images)}

    def estimator(images):
        return np.array([dataset.keypoints[known[image.tobytes()]] for image in images])

    found, pairs = {}, {}
    for row in ("condition", "target"):
        summary = evaluation.evaluate_row(
            row, None, dataset, tmp_path / row, Scoring(batch=4), estimator
        )
        found[row] = {score: value for score, value in summary["scores"].items() if value}
        pairs[row] = evaluation.read_pairs(tmp_path / row)
    target = found["target"]
    assert target["pck"]["mean"] == target["pckh"]["mean"] == 1  # the ceiling
    for score in ("background_copy", "body_copy", "pose_copy"):
        assert target[score]["mean"] == pytest.approx(0, abs=1e-9)
        assert found["condition"][score]["mean"] == pytest.approx(1, abs=1e-9)
    old, new = (dataset.keypoints[index] for index in dataset.test_pairs.T)
    frame, table = pairs["condition"], found["condition"]
    assert frame["pck"].to_numpy() == pytest.approx(pck(old, new), abs=1e-6)
    assert frame["pckh"].to_numpy() == pytest.approx(pckh(old, new), abs=1e-6)
    assert frame["joints"].to_numpy() == pytest.approx(joint_counts(new))
    mean = np.average(pck(old, new), weights=joint_counts(new))
    assert table["pck"]["mean"] == pytest.approx(mean) and 0 < mean < 1
    assert mean != pytest.approx(np.mean(pck(old, new)))
    assert table["pck"]["low"] <= mean <= table["pck"]["high"]
    assert {"background_weight", "body_weight", "pose_weight"} <= set(frame)
    condition, target = (dataset.images[column] for column in dataset.test_pairs.T)
    poses, weights = (old, new, old, copy_score.mean_image(dataset)), {}
    for variant in ("released", "scaled"):  # copy scores look through the masks of the scoring
        scoring = Scoring(mask_variant=variant)
        scored = evaluation.pair_scorer(dataset, scoring, estimator)(condition, slice(None))
        expected = copy_score.copy_scores(condition, condition, target, *poses, variant)
        assert scored["body_weight"] == pytest.approx(expected["body_weight"])
        weights[variant] = expected["body_weight"]
    assert (weights["released"] != weights["scaled"]).any()


def test_lpips_is_scored_per_pair(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(perceptual, "lpips_network", lambda paths, device: paths)
    monkeypatch.setattr(
        perceptual, "lpips", lambda a, b, network: abs(a.astype(float) - b).mean((1, 2, 3))
    )
    summary = evaluation.evaluate_row("condition", None, dataset, tmp_path, Scoring(lpips="vgg"))
    condition, real = (dataset.images[column].astype(float) for column in dataset.test_pairs.T)
    expected, pairs = abs(condition - real).mean((1, 2, 3)), evaluation.read_pairs(tmp_path)
    assert pairs["lpips"].to_numpy() == pytest.approx(expected, rel=1e-5)
    low, high = statistics.bootstrap_interval(
        expected, dataset.identities[dataset.test_pairs[:, 1]]
    )
    mean = {"mean": expected.mean(), "low": low, "high": high}
    assert summary["scores"]["lpips"] == pytest.approx(mean)


def test_every_preset_and_either_mask_on_the_same_images(dataset):
    condition, target = dataset.test_pairs.T
    generated = {"copy": dataset.images[condition], "dark": dataset.images[target] // 2}
    made = score_presets({row: [images] for row, images in generated.items()}, dataset, batch=5)
    assert json.loads(json.dumps(made)) == made
    assert (made["pairs"], made["presets"]) == (14, list(PRESET_NAMES))
    real, people = dataset.images[target], dataset.identities[target]
    for row, images in generated.items():
        for preset in PRESET_NAMES:
            ours = {measure: made["rows"][row][measure][preset] for measure in made["rows"][row]}
            whole = ssim(images, real, preset)
            low, high = statistics.bootstrap_interval(whole, people)
            expected = {"mean": whole.mean(), "low": low, "high": high}
            assert ours["ssim"] == pytest.approx(expected, abs=1e-7)
            for measure, who in (("mask_ssim", "target"), ("mask_ssim_condition", "condition")):
                variant = "patn" if preset.startswith("patn") else "released"
                masks = evaluation.pair_masks(dataset, dataset.test_pairs, who, variant)
                expected = mask_ssim(images, real, masks, preset).mean()
                assert ours[measure]["mean"] == pytest.approx(expected, abs=1e-7)
    few = score_presets({"copy": [generated["copy"][:6]]}, dataset)
    first = ssim(generated["copy"][:6], real[:6]).mean()
    assert few["rows"]["copy"]["ssim"]["pg2"]["mean"] == pytest.approx(first, abs=1e-7)
    for wrong in ({}, {"copy": [generated["copy"], real[:3]]}):
        with pytest.raises(UserError, match="same test pairs"):
            score_presets(wrong, dataset)


def test_presets_of_several_trainings(dataset):
    condition, target = dataset.test_pairs.T
    real, people = dataset.images[target], dataset.identities[target]
    trainings = [dataset.images[condition], real // 2, real // 3]
    made = score_presets({"row": trainings, "copy": trainings[:1]}, dataset, batch=5)
    values = np.stack([ssim(images, real, "patn") for images in trainings])
    found = made["rows"]["row"]["ssim"]["patn"]
    assert found["by_seed"] == pytest.approx(values.mean(1), abs=1e-7)
    assert found["mean"] == pytest.approx(values.mean(), abs=1e-7) and found["seeds"] == 3
    assert found["spread"] == pytest.approx(np.std(values.mean(1), ddof=1), abs=1e-7)
    ends = statistics.interval(values, people)
    assert (found["low"], found["high"]) == pytest.approx(ends, abs=1e-6)
    assert set(made["rows"]["copy"]["ssim"]["patn"]) == {"mean", "low", "high"}


def test_one_person_has_no_interval(dataset, tmp_path):
    alone = replace(dataset, test_pairs=np.array([[0, 1], [1, 2]]))
    summary = evaluation.evaluate_row("condition", None, alone, tmp_path)
    assert summary["identities"] == 1
    assert summary["scores"]["ssim"]["low"] is None
    assert "NaN" not in (tmp_path / "summary.json").read_text()


def test_mistakes(dataset, tmp_path):
    empty = replace(dataset, test_pairs=dataset.test_pairs[:0])
    for words, arguments, options in (
        ("patn", ("G1-L1", one_stage, dataset, tmp_path), {"preset": "best"}),
        ("'middle'", ("G1-L1", one_stage, dataset, tmp_path), {"mask_from": "middle"}),
        ("needs a generator", ("G1-L1", None, dataset, tmp_path), {}),
        ("takes no generator", ("target", one_stage, dataset, tmp_path), {}),
        ("no test pairs", ("target", None, empty, tmp_path), {}),
    ):
        with pytest.raises(UserError, match=words):
            evaluation.evaluate_row(*arguments, Scoring(**options))
    assert not list(tmp_path.iterdir())


def one_of_several(folder):
    """What each process of the next test runs."""
    torch.set_num_threads(1)
    with distributed.joined():
        summary = evaluation.evaluate_row(
            "G1+G2+D", two_stages, people(), Path(folder), Scoring(batch=4)
        )
        print(json.dumps(summary))


def test_two_processes_give_what_one_gives(dataset, tmp_path):
    """Byte for byte: 14 pairs in batches of 4, the last one smaller."""
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    summary = evaluation.evaluate_row("G1+G2+D", two_stages, dataset, alone, Scoring(batch=4))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    here = Path(__file__).parent
    code = f"import test_evaluation as t; t.one_of_several({str(shared)!r})"
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join((str(here), str(here.parent))),
        "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
    }  # fmt: skip
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code], env=environment | {"RANK": rank}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for rank in "01"
    ]  # fmt: skip
    for process in processes:
        out, error = process.communicate(timeout=120)
        assert process.returncode == 0, error
        assert json.loads(out.splitlines()[-1]) == summary
    names = ["coarse.npy", "difference.npy", "generated.npy", "pairs.csv", "summary.json"]
    assert sorted(path.name for path in shared.iterdir()) == names
    for name in names:
        assert (shared / name).read_bytes() == (alone / name).read_bytes(), name


def test_scores_and_files_do_not_depend_on_the_batch(dataset, tmp_path):
    one, other = (
        evaluation.evaluate_row(
            "G1+G2+D", two_stages, dataset, tmp_path / str(batch), Scoring(batch=batch)
        )
        for batch in (3, 64)
    )
    assert one["scores"]["ssim"]["mean"] == pytest.approx(other["scores"]["ssim"]["mean"], abs=1e-7)
    assert one["mean_absolute_difference"] == pytest.approx(other["mean_absolute_difference"])
    outputs = evaluation.generate_pairs(two_stages, dataset, dataset.test_pairs)
    for name, images in outputs.items():
        for batch in ("3", "64"):
            assert (np.load(tmp_path / batch / f"{name}.npy") == images).all()


def test_nothing_is_left_of_a_row_that_fails(dataset, tmp_path):
    calls = []

    def failing(inputs):
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("out of memory")
        return two_stages(inputs)

    with pytest.raises(RuntimeError):
        evaluation.evaluate_row("G1+G2+D", failing, dataset, tmp_path, Scoring(batch=4))
    assert not list(tmp_path.iterdir())
