"""DeepFashion's reader on a made-up folder of drawn people, frames and pairs counted by hand."""

import json
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pg2lib.core.files import UserError
from pg2lib.data import dataset as datasets
from pg2lib.data import deepfashion as fashion
from pg2lib.data.dataset import DataConfig
from pg2lib.data.keypoints import found, read_csv, write_csv
from pg2lib.data.prepare import card_text, prepare, verify
from pg2lib.data.synthetic import draw

FASHION = DataConfig(dataset="deepfashion", height=256, width=256)
VIEWS = ("1_front", "2_side", "7_additional")
# Two outfits of one item number are two identities, and so is the number in another category.
ITEMS = {
    "train": {"WOMENTees_Tanksid0000000101": 3, "WOMENTees_Tanksid0000000102": 2},
    "test": {"WOMENDressesid0000000101": 3, "MENPantsid0000000201": 2},
}
TRAIN_PAIRS, TEST_PAIRS = 6 + 2, 6 + 2


def name_of(item, view):
    number, what = view.split("_")
    return f"fashion{item}_{number}{what}.jpg"


def names_of(half):
    return [name_of(item, view) for item, n in ITEMS[half].items() for view in VIEWS[:n]]


@pytest.fixture(scope="module")
def people():
    """name -> (image, keypoints) in the square frame, all usable and in the middle columns."""
    everybody, number = {}, 0
    for half in ITEMS:
        for name in names_of(half):
            view = draw(number, 0, height=256, width=256)
            rng = np.random.default_rng(number)
            keypoints = rng.integers((48, 0), (208, 256), (18, 2)).astype(np.float32)
            keypoints[:9, 0] = 255 - keypoints[9:, 0]  # as many left as right
            keypoints[10] = -1
            everybody[name] = view.image, keypoints
            number += 1
    return everybody


def write_source(
    folder, people, frame="256x256", stored="256x256", index=False, resize="", where="images"
):
    """A folder as the field publishes it."""
    (folder / where).mkdir(parents=True)
    for name, (image, _) in people.items():
        image = Image.fromarray(image)
        if stored == "256x176":
            image = image.crop((40, 0, 216, 256))
        if stored == "1101x750":
            image = image.crop((40, 0, 216, 256)).resize((750, 1101), Image.Resampling.LANCZOS)
        image.save(folder / where / name, "JPEG", quality=100, subsampling=0)
    for half in ITEMS:
        names = names_of(half)
        (folder / f"{half}.lst").write_text("\n".join(names) + "\n")
        shift = np.float32((40 if frame == "176x256" else 0, 0))
        rows = {
            name: np.where(found(people[name][1])[:, None], people[name][1] - shift, -1)
            for name in names
        }
        write_csv(folder / f"fasion{resize}-annotation-{half}.csv", rows)
    pairs = [
        (a, b) for a, b in permutations(names_of("test"), 2) if a.split("_")[0] == b.split("_")[0]
    ]
    lines = [f"{i},{a},{b}" if index else f"{a},{b}" for i, (a, b) in enumerate(pairs[::-1])]
    header = ",from,to" if index else "from,to"
    (folder / f"fasion{resize}-pairs-test.csv").write_text("\n".join([header, *lines]) + "\n")
    return folder


def prepared(config, tmp_path, source):
    return datasets.load(prepare(config, tmp_path / "store", source))


# ---------------------------------------------------------------- names


def test_names_are_flattened_as_the_lists_have_them():
    for path, name in {
        "img/MEN/Pants/id_00001611/01_1_front.jpg": "fashionMENPantsid0000161101_1front.jpg",
        "x/WOMEN/Tees_Tanks/id_00005716/06_3_back.jpg": (
            "fashionWOMENTees_Tanksid0000571606_3back.jpg"
        ),
        "WOMEN/Skirts/id_00000001/02_7_additional_b.jpg": (
            "fashionWOMENSkirtsid0000000102_7additionalb.jpg"
        ),
    }.items():
        assert fashion.flat_name(Path(path)) == name and fashion.NAME.fullmatch(name)


# ---------------------------------------------------------------- frames, sizes and pairs


@pytest.mark.parametrize("index", [False, True])
@pytest.mark.parametrize(
    "frame, resize", [("256x256", ""), ("176x256", "-resize"), ("176x256", "")]
)
def test_both_frames_and_both_forms_of_the_pairs(people, tmp_path, frame, resize, index):
    source = write_source(tmp_path / "source", people, frame, "256x256", index, resize)
    data = prepared(FASHION, tmp_path, source)
    assert data.images.shape == (10, 256, 256, 3)
    for place, name in enumerate(data.names):
        np.testing.assert_array_equal(data.keypoints[place], people[name][1])
        assert np.abs(np.float32(data.images[place]) - people[name][0]).mean() < 3
        assert data.cameras[place] == int(name.split("_")[-1][0])
    assert data.names == sorted(names_of("train")) + sorted(names_of("test"))
    assert len(data.train_pairs) == TRAIN_PAIRS and len(data.test_pairs) == TEST_PAIRS
    listed = (source / f"fasion{resize}-pairs-test.csv").read_text().split("\n")[1:-1]
    assert [[data.names[i] for i in pair] for pair in data.test_pairs] == [
        line.split(",")[-2:] for line in listed
    ]
    assert len(set(data.identities)) == 4
    assert data.card["split"] == "official split by outfit (2 train, 2 test)"
    assert data.card["problems"] == [] and verify(data)["problems"] == []
    text = card_text(data.card)
    assert (
        f"train: keypoints of fasion{resize}-annotation-train.csv, {frame} frame, detected" in text
    )
    assert "no outfits are in both halves; of the 2 item numbers (id_...) of test 1 are in" in text
    assert json.loads((tmp_path / "store" / "card.json").read_text()) == data.card


def test_a_named_frame_is_believed(people, tmp_path):
    source = write_source(tmp_path / "source", people, "176x256")
    data = prepared(replace(FASHION, keypoint_frame="256x256"), tmp_path, source)
    here = data.keypoints[0][found(data.keypoints[0])]
    expected = people[data.names[0]][1]
    np.testing.assert_array_equal(here, expected[found(expected)] - (40, 0))
    assert any("256x256 frame, as configured" in note for note in data.card["notes"])


@pytest.mark.parametrize("stored", ["256x176", "1101x750"])
def test_narrow_images_get_white_margins(people, tmp_path, stored):
    data = prepared(FASHION, tmp_path, write_source(tmp_path / "source", people, stored=stored))
    for place, name in enumerate(data.names):
        image = data.images[place]
        assert (image[:, :40] == 255).all() and (image[:, 216:] == 255).all()
        inner = np.abs(np.float32(image[:, 40:216]) - people[name][0][:, 40:216])
        assert inner.mean() < 4
        np.testing.assert_array_equal(data.keypoints[place], people[name][1])


@pytest.mark.parametrize("stored", ["256x256", "256x176"])
def test_the_crop_of_the_later_literature(people, tmp_path, stored):
    source = write_source(tmp_path / "source", people, stored=stored)
    data = prepared(replace(FASHION, width=176), tmp_path, source)
    for place, name in enumerate(data.names):
        image, keypoints = people[name]
        assert np.abs(np.float32(data.images[place]) - image[:, 40:216]).mean() < 3
        here = found(keypoints) & (keypoints[:, 0] >= 40) & (keypoints[:, 0] < 216)
        np.testing.assert_array_equal(data.keypoints[place][here], keypoints[here] - (40, 0))
        assert (data.keypoints[place][~here] == -1).all()


@pytest.mark.parametrize("stored", ["256x256", "256x176"])
def test_smaller_sizes_scale_everything(people, tmp_path, stored):
    source = write_source(tmp_path / "source", people, stored=stored)
    data = prepared(replace(FASHION, height=64, width=64), tmp_path, source)
    for place, name in enumerate(data.names):
        image, keypoints = people[name]
        if stored == "256x176":  # a quarter of 40 columns
            assert (data.images[place][:, :10] == 255).all()
            assert (data.images[place][:, 54:] == 255).all()
        averaged = np.float32(image).reshape(64, 4, 64, 4, 3).mean((1, 3))[:, 10:54]
        assert np.abs(averaged - data.images[place][:, 10:54]).mean() < 4
        here = found(keypoints)
        np.testing.assert_array_equal(data.keypoints[place][here], keypoints[here] // 4)


def test_images_where_users_have_them(people, tmp_path):
    plain = prepared(FASHION, tmp_path, write_source(tmp_path / "plain", people))
    for where in (".", "train", "test"):
        source = write_source(tmp_path / f"in-{where}", people, where=where)
        data = datasets.load(prepare(FASHION, tmp_path / f"store-{where}", source))
        assert data.card == plain.card
    source = write_source(tmp_path / "own", people)
    for name in people:  # DeepFashion's own folders
        kind, rest = name.removeprefix("fashion").removesuffix(".jpg").split("id0", 1)
        gender = "WOMEN" if kind.startswith("WOMEN") else "MEN"
        number, view = rest[:9], rest[10:]
        folder = source / "img" / gender / kind.removeprefix(gender) / f"id_0{number[:7]}"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{number[7:]}_{view[0]}_{view[1:]}.jpg"
        (source / "images" / name).rename(path)
    assert datasets.load(prepare(FASHION, tmp_path / "s", source)).card == plain.card


def test_reduced_by_seed(people, tmp_path):
    source = write_source(tmp_path / "source", people)
    few = replace(FASHION, train_identities=1, images_per_identity=2, height=64, width=64)
    data = prepared(few, tmp_path, source)
    assert len(data.train_pairs) == 2 and len(data.test_pairs) == 4
    assert "sampled" in data.card["pairs_from"]  # the published pairs may name what is left out
    assert len(data.images) == 2 + 4


def test_an_outfit_without_a_pair_is_not_drawn_for_training(people, tmp_path):
    source = write_source(tmp_path / "source", people)
    path, lone = source / "fasion-annotation-train.csv", list(ITEMS["train"])[1]
    rows = read_csv(path)
    rows[name_of(lone, VIEWS[0])][8] = -1  # of its two images one is left
    write_csv(path, rows)
    for seed in range(5):
        plan = fashion.plan(replace(FASHION, train_identities=1, seed=seed), source)
        train = [name for name, trained in zip(plan.names, plan.train) if trained]
        assert train == sorted(name_of(list(ITEMS["train"])[0], view) for view in VIEWS)


def test_the_published_counts():
    assert fashion.WHOLE == {
        "train": {"images": 48_674, "pairs": 101_966},
        "test": {"images": 4_038, "published_pairs": 8_570},
    }


# ---------------------------------------------------------------- what is missing or wrong


def test_an_incomplete_folder_gives_what_it_has(people, tmp_path):
    source = write_source(tmp_path / "source", people)
    gone = names_of("test")[0]
    (source / "images" / gone).unlink()
    (source / "fasion-annotation-train.csv").unlink()
    data = prepared(FASHION, tmp_path, source)
    assert len(data.images) == 4 and len(data.train_pairs) == 0
    assert len(data.test_pairs) == TEST_PAIRS - 4
    text = card_text(data.card)
    assert "train: there is no fasion-annotation-train.csv" in text
    assert f"test: listed images not in the folder: 1, the first is {gone}." in text
    assert "4 of its 8 pairs have both images here" in text
    assert verify(data)["problems"] == []

    problems = verify(FASHION, source)["problems"]
    assert f"test: listed images not in the folder: 1, the first is {gone}." in problems
    assert "train: there is no fasion-annotation-train.csv." in problems
    assert "test: 4 published pairs, the complete set has 8,570." in problems

    for name in names_of("test"):
        (source / "images" / name).unlink(missing_ok=True)
    with pytest.raises(UserError, match="holds no listed image with keypoints"):
        prepare(FASHION, tmp_path / "nothing", source)


def test_verify_counts(people, tmp_path, monkeypatch):
    source = write_source(tmp_path / "source", people, "176x256", "256x176")
    whole = {"train": {"images": 5, "pairs": 8}, "test": {"images": 5, "published_pairs": 8}}
    monkeypatch.setattr(fashion, "WHOLE", whole)
    card = verify(FASHION, source)
    assert card["problems"] == []
    assert card["parts"]["train"]["images"] == 5 and card["parts"]["test"]["pairs"] == 8
    text = card_text(card)
    assert "stored sizes: 10 of 256x176" in text
    assert "train of the complete set: 5 images, 8 pairs" in text
    assert "2 outfits, 8 ordered pairs" in text

    rows = (source / "fasion-annotation-test.csv").read_text().splitlines()
    bare = rows.pop().split(":")[0]
    rows.append(rows[-1].replace("_1front", "_4full").replace("_2side", "_4full"))
    (source / "fasion-annotation-test.csv").write_text("\n".join(rows) + "\n")
    Image.new("RGB", (9, 9)).save(source / "images" / "me.jpg")
    (source / "fasion-pairs-test.csv").unlink()
    problems = verify(FASHION, source)["problems"]
    assert problems[0] == f"test: listed images without keypoints: 1, the first is {bare}."
    assert "test: keypoints of images not in test.lst: 1" in problems[1]
    assert problems[2] == "images in no list: 1, the first is me.jpg."
    assert "has no fasion-pairs-test.csv" in problems[3]


def test_one_half_alone_will_do(people, tmp_path):
    source = write_source(tmp_path / "source", people)
    (source / "test.lst").unlink()
    data = prepared(FASHION, tmp_path, source)
    assert len(data.train_pairs) == TRAIN_PAIRS and len(data.test_pairs) == 0
    assert "test: there is no test.lst" in card_text(data.card)
    assert "test: there is no test.lst." in verify(FASHION, source)["problems"]


def test_a_bad_image_is_named(people, tmp_path):
    source = write_source(tmp_path / "source", people)
    whole = verify(FASHION, source)["problems"]
    path = source / "images" / names_of("train")[1]
    content = path.read_bytes()
    for spoil, sentence in (
        (lambda: path.write_bytes(content[:900]), "cannot be decoded"),
        (lambda: Image.new("RGB", (300, 100)).save(path), "is 100x300; In-shop images are square"),
    ):
        spoil()
        with pytest.raises(UserError, match=f"{path.name} {sentence}") as error:
            prepare(FASHION, tmp_path / "store", source)
        assert set(verify(FASHION, source)["problems"]) - set(whole) == {str(error.value)}


def replace_line(path, number, text):
    lines = path.read_text().splitlines()
    lines[number - 1] = text
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    "file, number, text, sentence",
    [
        ("train.lst", 2, "0002_c1s1_000451_03.jpg", "'0002_c1s1_000451_03.jpg' is not a flattened"),
        ("train.lst", 2, name_of("WOMENTees_Tanksid0000000101", "1_front"), "appears twice"),
        ("fasion-annotation-test.csv", 1, "name,x,y", "the header must be"),
        ("fasion-annotation-test.csv", 3, "a.jpg: [1]: [2]", "expected 18 x values, found 1"),
        ("fasion-pairs-test.csv", 1, "a,b", "the header must be 'from,to' or ',from,to'"),
        (
            "fasion-pairs-test.csv",
            3,
            "one.jpg,two.jpg",
            "one.jpg,two.jpg does not name two test images",
        ),
        ("fasion-pairs-test.csv", 4, "7,one.jpg,two.jpg", "does not name two test images"),
    ],
)
def test_a_bad_line_is_named(people, tmp_path, file, number, text, sentence):
    source = write_source(tmp_path / "source", people)
    replace_line(source / file, number, text)
    for use in (
        lambda: verify(FASHION, source),
        lambda: prepare(FASHION, tmp_path / "store", source),
    ):
        with pytest.raises(UserError) as error:
            use()
        assert f"{file}, line {number}: " in str(error.value) and sentence in str(error.value)


def test_a_frame_that_cannot_be_told_must_be_named(people, tmp_path):
    source = write_source(tmp_path / "source", people)
    joints = {name: np.full((18, 2), 108, np.float32) for name in names_of("train")}
    write_csv(source / "fasion-annotation-train.csv", joints)
    with pytest.raises(UserError, match="train.csv.* median x .*108.* keypoint_frame"):
        verify(FASHION, source)
    verify(replace(FASHION, keypoint_frame="176x256"), source)
    with pytest.raises(UserError, match="keypoint_frame must be one of detect, 176x256"):
        prepare(replace(FASHION, keypoint_frame="176"), tmp_path / "store", source)


def test_a_missing_source_is_named(tmp_path):
    with pytest.raises(UserError, match="train.lst"):
        prepare(FASHION, tmp_path / "store")
    with pytest.raises(UserError, match="no folder .*nowhere"):
        verify(FASHION, tmp_path / "nowhere")
    with pytest.raises(UserError, match="no half with both its list and its keypoints"):
        prepare(FASHION, tmp_path / "store", tmp_path)


def test_the_configuration_of_others_is_not_longer():
    assert "keypoint_frame" not in DataConfig().as_dict()
    assert FASHION.as_dict()["keypoint_frame"] == "detect"
