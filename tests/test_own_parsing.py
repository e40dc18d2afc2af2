"""Parsing maps of a user's own: orders of labels, files, folders, and the map of a photo."""

import re
from dataclasses import replace

import numpy as np
import pytest
import smoke
import torch
from PIL import Image

from pg2lib import cli, models
from pg2lib.apps.photo import detect_keypoints, generate
from pg2lib.apps.photo import maps as photo_maps
from pg2lib.core.files import UserError
from pg2lib.data import own_parsing, parsing
from pg2lib.data import synthetic as people
from pg2lib.data.keypoints import found, write_openpose_json
from pg2lib.models.base import Inputs, Output
from pg2lib.training import weights
from pg2lib.workflow import maps
from pg2lib.workflow import run_store as runs

NAMES, LIP = parsing.LABELS["people"], parsing.LABELS["lip"]


def save(path, numbers, mode="L"):
    picture = Image.fromarray(np.asarray(numbers, np.uint8), "L")
    if mode == "P":
        picture = picture.convert("P")
        picture.putdata(np.asarray(numbers, np.uint8).ravel().tolist())
    picture.save(path)
    return path


def test_every_class_of_every_order_has_a_label():
    """In the order in which the data sets number their classes."""
    limbs = "arms arms legs legs shoes shoes"  # left, right
    wanted = {
        "lip": "background hair hair arms face upper upper upper legs lower upper upper lower face "
        + limbs,
        "cihp": "background hair hair arms face upper upper upper legs lower face upper lower face "
        + limbs,
        "atr": "background hair hair face upper lower lower upper lower shoes shoes face legs legs "
        "arms arms bag upper",
        "people": "background hair face arms legs upper lower shoes bag",
    }
    for order, labels in wanted.items():
        assert [NAMES[n] for n in own_parsing.merging(order, "people")] == labels.split(), order
    # Look Into Person: 1 hat to 13 face, then arms, legs and shoes, the left one first.
    assert LIP[1:14] == (
        "hat", "hair", "glove", "sunglasses", "upper-clothes", "dress", "coat", "socks", "pants",
        "jumpsuits", "scarf", "skirt", "face",
    )  # fmt: skip
    assert LIP[14:] == tuple(f"{a} {b}" for b in ("arm", "leg", "shoe") for a in ("left", "right"))
    assert own_parsing.merging("lip", "lip").tolist() == list(range(20))
    assert own_parsing.merging("cihp", "lip").tolist() == [*range(10), 13, *range(11, 20)]
    assert own_parsing.merging("atr", "lip").tolist() == [
        0, 1, 2, 4, 5, 12, 9, 6, 9, 18, 19, 13, 16, 17, 14, 15, 0, 11,
    ]  # fmt: skip


def test_maps_are_read_from_grey_and_palette_files(tmp_path):
    numbers = [[0, 5, 9], [13, 14, 19]]
    for mode in ("L", "P"):
        path = save(tmp_path / f"{mode}.png", numbers, mode)
        found = own_parsing.read_map(path, "cihp")
        assert [[NAMES[n] for n in row] for row in found] == [
            ["background", "upper", "lower"], ["face", "arms", "shoes"],
        ]  # fmt: skip


def test_a_larger_map_shrinks_by_its_most_frequent_label():
    large = np.array([[1, 1, 2, 2], [1, 0, 3, 2], [4, 4, 0, 5], [5, 5, 5, 0]])
    assert own_parsing.shrunk(large, 2, 2, 9).tolist() == [[1, 2], [4, 0]]  # ties: the first
    same = np.array([[3, 0]], np.uint8)
    assert np.array_equal(own_parsing.shrunk(same, 1, 2, 9), same)
    for shape in ((3, 4), (4, 2), (2, 4), (1, 1)):
        with pytest.raises(UserError, match="has .* pixels, its image has 2x2"):
            own_parsing.shrunk(np.zeros(shape, int), 2, 2, 9)


def test_mistakes_are_told(tmp_path):
    high = save(tmp_path / "high.png", [[0, 18]])
    Image.new("RGB", (3, 3)).save(tmp_path / "colour.png")
    (tmp_path / "text.png").write_text("no picture")
    Image.fromarray(np.array([[-1, 3]], np.int32)).save(tmp_path / "below.tiff")
    Image.fromarray(np.array([[0.6, np.nan]], np.float32)).save(tmp_path / "fraction.tiff")
    for path, order, words in (
        (tmp_path / "below.tiff", "lip", "mode I, no parsing map"),
        (tmp_path / "fraction.tiff", "lip", "mode F, no parsing map"),
        (high, "atr", "holds the label 18; the order atr ends at 17"),
        (tmp_path / "colour.png", "lip", "mode RGB, no parsing map"),
        (tmp_path / "text.png", "lip", "cannot read the parsing map"),
        (tmp_path / "gone.png", "lip", "cannot read the parsing map"),
        (high, "coco", "unknown label order 'coco'"),
    ):
        with pytest.raises(UserError, match=words):
            own_parsing.read_map(path, order)
    with pytest.raises(UserError, match="do not tell the sides"):
        own_parsing.read_map(high, "people", "lip")
    for text in ("maps", "coco:maps", "lip:"):
        with pytest.raises(UserError, match="such as cihp:maps"):
            own_parsing.split(text)


def test_a_folder_of_maps_in_the_order_of_the_images(data, tmp_path):
    exact = tmp_path / "exact.npy"
    parsing.write(data, exact)
    wanted, folder = parsing.read(exact, data), tmp_path / "maps"
    folder.mkdir()
    for name, one in zip(data.names, wanted):
        save((folder / str(name)).with_suffix(".png"), one.repeat(2, 0).repeat(2, 1))
    own_parsing.write(data, tmp_path / "own.npy", "people", folder, "people")
    assert np.array_equal(parsing.read(tmp_path / "own.npy", data), wanted)
    (folder / str(data.names[3])).with_suffix(".png").unlink()
    with pytest.raises(UserError, match=f"map of 1 of {len(data.names)} images is missing"):
        own_parsing.write(data, tmp_path / "own.npy", "people", folder, "people")


def test_new_maps_in_a_folder_within_the_folder_are_another_step(tmp_path):
    deep = tmp_path / "anna" / "shoot" / "morning"
    deep.mkdir(parents=True)
    data, keys = runs.Step("data", "mine", {}, {}, ()), set()
    for numbers in ([[0, 1], [2, 3]], [[0, 1], [2, 5]], np.arange(25).reshape(5, 5)):
        save(deep / "1.png", np.array(numbers))  # the first two are files of one size
        runs.fingerprint.cache_clear()
        keys.add(maps.of_labels("people", data, f"lip:{tmp_path}").key)
    assert len(keys) == 3


# ---- the map of a photo

ROW = "SoftGated"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A photo with a person somewhere in it, its pose and map, and an untrained row."""
    folder = tmp_path_factory.mktemp("photo")
    me, other = people.draw(7, 2, height=301, width=150), people.draw(11, 4, height=240, width=120)
    canvas, numbers = np.full((400, 611, 3), 120, np.uint8), np.zeros((400, 611), np.uint8)
    canvas[60:361, 330:480] = me.image
    numbers[60:361, 330:480] = parsing.draw_map("synthetic-market", 7, 2, 0, 301, 150)
    Image.fromarray(canvas).save(folder / "me.png")
    save(folder / "map.png", numbers)
    save(folder / "small.png", numbers[::2])
    write_openpose_json(
        folder / "me.json", np.where(found(me.keypoints)[:, None], me.keypoints + (330, 60), -1)
    )
    write_openpose_json(folder / "pose.json", other.keypoints)
    for row in (ROW, "SoftGated-givenParsing", "G1-L1"):
        paths = smoke.trained_row(folder / f"of {row}", row)
        weights.export(folder / f"{row}.safetensors", paths, smoke.published(row))
    return folder


@pytest.fixture
def pg2(folder, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("PG2_KEYPOINT_RCNN", raising=False)
    monkeypatch.setenv("PG2_DOWNLOAD", "off")

    def run(*arguments, row=ROW):
        command = ["generate", "--image", "me.png", "--target-pose", "pose.json"]
        command += ["--weights", f"{row}.safetensors", "--out", str(tmp_path / "out")]
        return cli.main([*command, *arguments]), *capsys.readouterr()

    return run


def test_a_photo_is_painted_from_its_own_map_or_from_pose_regions(pg2, folder, tmp_path):
    results = {}
    for name, own in (("regions", ()), ("own", ("--photo-parsing", "people:map.png"))):
        code, out, error = pg2("--pose", "me.json", *own)
        assert code == 0, error
        results[name] = np.asarray(Image.open(tmp_path / "out" / "refined.png"))
        said = re.search("parsing map: (.*)", out)[1]
        assert said.startswith("pose regions, drawn" if name == "regions" else "the given file")
    assert (results["regions"] != results["own"]).any()
    # the same by hand: the map cut like the photo
    pose, _ = generate.read_pose(folder / "me.json")
    how = (64, 32), pose
    numbers = own_parsing.read_map(folder / "map.png", "people")
    image = np.asarray(Image.open(folder / "me.png"))
    photo, framed_pose, _ = generate.condition_photo(image, *how)
    cut = photo_maps.framed(numbers, "people", *how)
    mask = generate.condition_photo(np.stack([255 * (numbers > 0)] * 3, -1).astype("u1"), *how)[0]
    assert ((cut > 0) == (mask[..., 0] > 127)).mean() > 0.99 and len(np.unique(cut)) > 5
    target = generate.place(generate.read_poses(folder / "pose.json")[0], (64, 32))[0][0]
    paint = photo_maps.with_map(weights.load(folder / f"{ROW}.safetensors", "cpu")[1], cut)
    again = generate.generate(paint, photo, target, "cpu", framed_pose)["refined"]
    np.testing.assert_array_equal(again, results["own"])


@pytest.mark.parametrize(
    "arguments, row, words",
    [
        ((), ROW, "SoftGated needs the parsing map of the photo: give it with --photo-parsing"),
        (("--photo-parsing", "people:small.png"), ROW, "has 611x200 pixels, the photo has 611x400"),
        (("--photo-parsing", "map.png"), ROW, "such as cihp:maps"),
        (("--photo-parsing", "people:map.png"), "G1-L1", "G1-L1 needs no parsing map"),
        (("--pose", "me.json"), "SoftGated-givenParsing", "which is not there yet; choose another"),
    ],
)
def test_what_a_photo_lacks_is_told_in_one_sentence(pg2, tmp_path, arguments, row, words):
    code, _, error = pg2(*arguments, row=row)
    assert code == 2 and error.count("\n") == 1 and re.search(words, error), error
    assert not (tmp_path / "out").exists()


def test_trainings_that_rows_start_from_paint_nothing(pg2, capsys):
    for command in (["generate", "--image", "me.png", "--target-pose", "pose.json", "--out", "x",
                     "--row"], ["export", "--out", "x.safetensors"], ["evaluate"]):  # fmt: skip
        assert cli.main([*command, "SoftGated-matcher"]) == 2
        assert "unknown row 'SoftGated-matcher'" in capsys.readouterr().err


def test_a_detector_looks_at_a_file_once(monkeypatch):
    looked = []
    monkeypatch.setattr(detect_keypoints, "require_weights", lambda given: given)
    monkeypatch.setattr(detect_keypoints, "load_network", lambda *given: given)

    def detect(image, network, device, where):
        assert network == ("file", "cpu")
        return looked.append(where) or len(looked)

    monkeypatch.setattr(detect_keypoints, "detect", detect)
    look = detect_keypoints.detector("file", "cpu")
    assert [look(None, "a"), look(None, "b"), look(None, "a")] == [1, 2, 1]
    assert looked == ["a", "b"]


def test_the_studio_knows_the_maps_of_its_images(data):
    maps = np.arange(len(data.images), dtype=np.uint8)[:, None, None] % 9
    maps = np.broadcast_to(maps, (len(data.images), 64, 32)).copy()
    parsed, method = replace(data, extras={"parsing": maps}), models.find(ROW)
    paint = photo_maps.with_known_maps(lambda i: Output(i.extras["parsing"]), method, "people",
                                       parsed)  # fmt: skip
    poses = torch.from_numpy(data.keypoints[[5]])
    image = torch.zeros(1, 3, 64, 32)
    assert (paint(Inputs(image, poses, poses)).image == 5).all()
    other = poses + 1
    regions = parsing.pose_regions(other, 64, 32)
    assert torch.equal(paint(Inputs(image, other, poses)).image, regions)
    with pytest.raises(UserError, match="SoftGated needs the parsing map of the photo"):
        paint(Inputs(image, None, poses))
