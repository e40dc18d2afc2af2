"""The parser of photographs: overlaps by hand, batches, learning, labelled photographs, use."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from pg2lib import cli
from pg2lib.core.config import Study
from pg2lib.core.files import UserError
from pg2lib.data import framing, labelled_photos, parsing
from pg2lib.evaluation import segmentation
from pg2lib.evaluation.segmentation import SegmentConfig, SegmentNet
from pg2lib.training import loop
from pg2lib.workflow import pipeline, segmenter

STREET, UNJUDGED = labelled_photos.NAMES, labelled_photos.UNJUDGED


@pytest.fixture(scope="module")
def parsed(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("maps") / "maps.npy"
    parsing.write(data, path)
    return replace(data, extras=data.extras | {"parsing": parsing.read(path, data)})


def test_overlaps_by_hand():
    true = np.array([[[0, 0, 1, 1]], [[0, 2, 2, 2]]])
    found = np.array([[[0, 1, 1, 1]], [[0, 2, 0, 3]]])
    overlaps = segmentation.overlaps(found, true, 5)
    np.testing.assert_allclose(overlaps[:3], [2 / 4, 2 / 3, 1 / 3])
    assert np.isnan(overlaps[3:]).all()  # 3 is found and never true
    assert segmentation.overlaps(true, true, 3).tolist() == [1, 1, 1]


def test_sizes():
    for height, width in ((64, 32), (128, 64), (64, 64)):
        logits = SegmentNet((height, width), 2, 9)(torch.zeros(1, 3, height, width))
        assert logits.shape == (1, 9, height, width)
    for height in (4, 48):
        with pytest.raises(UserError, match=f"power of two .* not {height}"):
            SegmentNet((height, 32), 2, 9)
    with pytest.raises(UserError, match="trained on 64x32 images"):
        segmentation.segment(SegmentNet((64, 32), 2, 9), np.zeros((1, 32, 32, 3), np.uint8))


def test_maps_move_with_their_images(parsed):
    """Images that show their own labels as colours still do so in every batch."""
    lip = np.random.default_rng(0).integers(0, 20, parsed.images.shape[:3], np.uint8)
    known = np.arange(20, dtype=np.uint8) * 12
    dataset = replace(parsed, images=known[lip][..., None].repeat(3, -1), extras={"parsing": lip})
    config = SegmentConfig(64, 32, batch=8, labels="lip", blurred=0.0, tint=0.0)
    stream = segmentation.segment_batches(dataset, config, 1, 5, "cpu")
    images, maps = next(stream)
    shown = ((images[:, 0] + 1) * 127.5 / 12).round().long()
    other = torch.from_numpy(parsing.flip_maps(np.arange(20, dtype=np.uint8), "lip")[::-1].copy())
    mirrored = [not torch.equal(a, b) for a, b in zip(shown, maps)]
    assert 0 < sum(mirrored) < 8  # sides are exchanged
    for a, b, flip in zip(shown, maps, mirrored):
        assert torch.equal(other.long()[a] if flip else a, b)
    again = next(segmentation.segment_batches(dataset, config, 1, 5, "cpu"))
    assert torch.equal(images, again[0]) and torch.equal(maps, again[1])
    assert not torch.equal(images, next(stream)[0])


def test_it_learns_what_drawn_people_wear(parsed, tmp_path):
    config = SegmentConfig(64, 32, channels=4, iterations=120, batch=8, precision="float32")
    task = segmentation.segment_task(config, parsed)
    loop.train(task, parsed, tmp_path)
    network = segmentation.load(tmp_path / "weights.pt", "cpu")
    train = np.flatnonzero(parsed.train)
    found = segmentation.segment(network, np.asarray(parsed.images[train]))
    true = parsed.extras["parsing"][train]
    # a map of nothing but background is right in two thirds of the pixels, and has no garment
    assert (found == true).mean() > (true == 0).mean() + 0.04
    names = parsing.LABELS["people"]
    of_label = dict(zip(names, segmentation.overlaps(found, true, len(names))))
    assert min(of_label["upper"], of_label["lower"]) > 0.3
    with pytest.raises(UserError, match="no training images with parsing maps"):
        segmentation.segment_task(config, replace(parsed, extras={}))


def test_merged_labels_are_as_probable_as_their_parts():
    """By hand, in one pixel: face, arms and legs are skin."""
    probable = torch.tensor([0.1, 0.05, 0.2, 0.1, 0.05, 0.3, 0.1, 0.05, 0.05])
    logits = probable.log()[None, :, None, None].repeat(1, 1, 1, 3)
    maps = torch.tensor([[[STREET.index("skin"), STREET.index("upper"), UNJUDGED]]])
    wanted = -(np.log(0.2 + 0.1 + 0.05) + np.log(0.3)) / 2
    assert segmentation.merged_cross_entropy(logits, maps).item() == pytest.approx(wanted, 1e-5)


def test_photographs_share_the_batches(parsed):
    street = np.random.default_rng(0).integers(0, UNJUDGED + 1, (5, 64, 32), np.uint8)
    images = street[..., None].repeat(3, -1) * 20
    config = SegmentConfig(64, 32, batch=8, photographs=0.25, blurred=0.0, tint=0.0)
    task = segmentation.segment_task(config, parsed, (images, street))
    drawn, maps, photographs, labels = next(task.batches(parsed, config, 1, 5, "cpu"))
    assert (len(drawn), len(maps), len(photographs), len(labels)) == (6, 6, 2, 2)
    shown = ((photographs[:, 0] + 1) * 127.5 / 20).round().long()
    assert torch.equal(shown, labels)  # moved and mirrored together
    again = next(task.batches(parsed, config, 1, 5, "cpu"))
    assert all(map(torch.equal, again, (drawn, maps, photographs, labels)))
    other = next(task.batches(parsed, config, 1, 6, "cpu"))
    assert not torch.equal(photographs, other[2])


# ---- labelled photographs


@pytest.fixture
def photographs(tmp_path):
    """Two photographs in a folder like that of Clothing Co-Parsing."""
    folder, rng = tmp_path / "street", np.random.default_rng(0)
    for name in ("photos", "labels"):
        (folder / name).mkdir(parents=True)
    names = ["null", "skin", "jeans", "ring", "dress", "hat"]
    lines = [f"{number},{name}" for number, name in enumerate(names)]
    (folder / "labels.csv").write_text("\n".join(["value,name", *lines]))
    for name, size in (("0001", (128, 64)), ("0002", (128, 32))):
        image = rng.integers(0, 255, (*size, 3), np.uint8)
        Image.fromarray(image).save(folder / "photos" / f"{name}.jpg")
        numbers = np.repeat(np.arange(128)[:, None] * 6 // 128, size[1], 1).astype(np.uint8)
        Image.fromarray(numbers).save(folder / "labels" / f"{name}.png")
    return folder


def test_labelled_photographs_are_merged_and_framed(photographs):
    images, maps = labelled_photos.read(photographs, 64, 32)
    assert images.shape == (2, 64, 32, 3) and maps.shape == (2, 64, 32)
    seen = [STREET[n] if n < UNJUDGED else "" for n in maps[0, [5, 16, 26, 37, 48, 60], 3]]
    assert seen == ["background", "skin", "lower", "", "upper", "hair"]
    assert (maps[1, :, :8] == UNJUDGED).all() and (maps[1, :, 24:] == UNJUDGED).all()
    assert np.array_equal(maps[1, :, 8:24], maps[0, :, 8:24])
    merged = [STREET[n] for n in labelled_photos.merged_people()]
    assert merged == [
        "background",
        "hair",
        "skin",
        "skin",
        "skin",
        "upper",
        "lower",
        "shoes",
        "bag",
    ]
    # the image of a photograph in the frame's shape is cut alike
    window = framing.around_picture((128, 64), 64, 32)
    assert (window.left, window.top, window.height) == (0, 0, 128)


def test_mistakes_in_a_folder_are_told(photographs):
    (photographs / "labels" / "0002.png").unlink()
    with pytest.raises(UserError, match="cannot read the labels .*0002.png"):
        labelled_photos.read(photographs, 64, 32)
    label = photographs / "labels" / "0002.png"
    Image.new("RGB", (3, 3)).save(label)
    with pytest.raises(UserError, match="0002.png is in colours; write one label number"):
        labelled_photos.read(photographs, 64, 32)
    content = label.read_bytes()
    label.write_bytes(content[:30] + b"x" + content[31:])  # a chunk's checksum
    with pytest.raises(UserError, match="cannot read the labels .*0002.png"):
        labelled_photos.read(photographs, 64, 32)
    Image.new("L", (3, 3)).save(photographs / "labels" / "0002.png")
    with pytest.raises(UserError, match="0002.png and its photograph have different sizes"):
        labelled_photos.read(photographs, 64, 32)
    (photographs / "labels.csv").write_text("number,label\n1,skin\n")
    with pytest.raises(UserError, match="needs columns value and name"):
        labelled_photos.read(photographs, 64, 32)
    with pytest.raises(UserError, match="cannot read"):
        labelled_photos.read(photographs / "photos", 64, 32)


# ---- the command


def test_the_parser_is_trained_measured_and_used(photographs, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PG2_FIGURES", str(tmp_path / "figures"))
    command = ["parser", "--profile", "smoke", "--labelled", str(photographs)]
    assert cli.main([*command, "--write", str(tmp_path / "maps")]) == 0
    said = capsys.readouterr().out
    assert f"use them with --parsing people:{tmp_path / 'maps'}" in said and "photographs" in said
    study = Study(profile="smoke")
    record = segmenter.measure(study, photographs)
    lines = {line["label"]: line for line in record["overlaps"]}
    assert set(parsing.LABELS["people"]) | set(STREET) | {"mean"} == set(lines)
    assert lines["skin"]["drawn people"] is None and lines["arms"]["photographs"] is None
    known = [line["drawn people"] for name, line in lines.items()
             if name != "mean" and line["drawn people"] is not None]  # fmt: skip
    assert lines["mean"]["drawn people"] == pytest.approx(np.mean(known))
    shown = segmenter.PHOTOGRAPHS
    assert record["counts"] == {"drawn people": 16, **dict.fromkeys(shown, 1)}
    [table] = (tmp_path / "figures").rglob("parser.md")
    assert "| mean |" in table.read_text()
    assert len(list(table.parent.glob("parser.*"))) == 4
    # of a street data set the drawn street people train it, and its maps are a user's own
    assert segmenter.drawn_study(Study("market1501", "smoke")) == study
    assert segmenter.config_of(Study(profile="smoke", overrides="iterations=9")).iterations == 9
    assert segmenter.drawn_study(Study("deepfashion", "smoke")).dataset == "synthetic-fashion"
    own = replace(study, parsing=f"people:{tmp_path / 'maps'}")
    found = pipeline.row_data(own, "SoftGated-parser").extras["parsing"]
    network = segmenter.train(study)
    assert np.array_equal(found, segmentation.segment(network, pipeline.data(study).images))


def test_maps_replace_no_file_of_the_user(tmp_path):
    study = Study(profile="smoke")
    names = pipeline.data(study).names
    photo = (tmp_path / str(names[3])).with_suffix(".png")
    photo.parent.mkdir(exist_ok=True, parents=True)
    colours = np.full((64, 32, 3), 7, np.uint8)
    for save in (Image.fromarray(colours).save, Image.fromarray(colours[:9, :, 0]).save,
                 lambda path: path.write_text("notes")):  # fmt: skip
        save(photo)
        before = photo.read_bytes()
        for write in (segmenter.check_free, segmenter.write_maps):
            with pytest.raises(UserError, match="is not a map written before; name another folder"):
                write(study, tmp_path)
    own = replace(study, dataset="folder", source=str(tmp_path))
    with pytest.raises(UserError, match="could replace images of the data set"):
        segmenter.check_free(own, tmp_path / "maps")
    assert photo.read_bytes() == before and len(list(tmp_path.rglob("*.png"))) == 1
