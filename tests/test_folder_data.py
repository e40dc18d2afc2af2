"""A folder of one's own photographs, against drawn people written as one and counts by hand."""

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pg2lib import cli
from pg2lib.apps.photo import detect_keypoints, sequence
from pg2lib.core.config import Study, data_config
from pg2lib.core.files import UserError
from pg2lib.data import dataset as datasets
from pg2lib.data import folder as own
from pg2lib.data.dataset import DataConfig
from pg2lib.data.keypoints import found, read_openpose_json, write_csv, write_openpose_json
from pg2lib.data.prepare import card_text, prepare, verify
from pg2lib.results import render, tables
from pg2lib.workflow import pipeline, plan
from pg2lib.workflow import run_store as runs

TUTORIAL = Path(__file__).resolve().parent.parent / "docs" / "own-data.md"
OWN = DataConfig(dataset="folder")
# A standing person in a photo of 300x400 (width x height), every joint found.
BODY = np.float32([
    (150, 80), (150, 110), (130, 110), (120, 150), (115, 190), (170, 110), (180, 150), (185, 190),
    (135, 200), (133, 260), (130, 320), (165, 200), (167, 260), (170, 320), (145, 75), (155, 75),
    (140, 80), (160, 80),
])  # fmt: skip


def photo(path, size=(300, 400), pose=BODY, where=None):
    """A photo of noise at a path and the OpenPose file of its pose, beside it or at `where`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(str(path.name)))
    coarse = Image.fromarray(rng.integers(0, 256, (8, 6, 3), dtype=np.uint8))
    coarse.resize(size, Image.Resampling.BILINEAR).save(path)
    if pose is not None:
        write_openpose_json(where or path.with_suffix(".json"), pose)
    return path


@pytest.fixture
def photos(tmp_path):
    """Six people in three images each, one sub-folder per person, in several formats."""
    for person in ("anna", "bo", "cem", "dora", "eli", "fay"):
        for number, suffix in enumerate((".jpg", ".png", ".webp")):
            photo(tmp_path / "photos" / person / f"{number}{suffix}")
    return tmp_path / "photos"


def opened(tmp_path, source, config=OWN, name="store"):
    return datasets.load(prepare(config, tmp_path / name, source))


# ---------------------------------------------------------------- what is read


def test_drawn_people_written_and_read_again_are_the_same(data, tmp_path):
    own.export(data, tmp_path / "people")
    config = replace(OWN, height=data.height, width=data.width, test_pairs=len(data.test_pairs))
    again = opened(tmp_path, tmp_path / "people", config)
    for array in ("images", "keypoints", "identities", "cameras", "train", "train_pairs"):
        np.testing.assert_array_equal(getattr(again, array), getattr(data, array), array)
    np.testing.assert_array_equal(again.test_pairs, data.test_pairs)
    assert again.card["split"] == "split of images.csv (6 train, 4 test)"
    assert again.card["problems"] == []
    (tmp_path / "notes").write_text("mine")
    for taken in ("people", "notes"):
        with pytest.raises(UserError, match=f"{taken} is there already; name a new folder"):
            own.export(data, tmp_path / taken)
    assert (tmp_path / "notes").read_text() == "mine"


def test_people_from_sub_folders_and_names(photos, tmp_path):
    data = opened(tmp_path, photos)
    person_of = dict(zip(data.names, data.identities))
    assert len(data.names) == 18 and person_of["anna/0.jpg"] == person_of["anna/2.webp"] == 0
    assert person_of["fay/1.png"] == 5
    assert len(set(data.identities[~data.train])) == 1  # a fifth of six
    assert not set(data.identities[~data.train]) & set(data.identities[data.train])
    assert len(data.train_pairs) == 5 * 6 and len(data.test_pairs) == 6
    assert data.card["split"] == "seeded split by person (5 train, 1 test)"

    flat = tmp_path / "flat"
    for path in photos.rglob("*.*"):
        flat.mkdir(exist_ok=True)
        end = "_keypoints.json" if path.suffix == ".json" else path.suffix  # OpenPose's own name
        (flat / f"{path.parent.name}_{path.stem}{end}").write_bytes(path.read_bytes())
    same = opened(tmp_path, flat, name="flat-store")
    assert [name.replace("_", "/") for name in same.names] == data.names
    for array in ("images", "keypoints", "identities", "train", "train_pairs", "test_pairs"):
        np.testing.assert_array_equal(getattr(same, array), getattr(data, array))


def test_any_case_of_a_suffix_counts_and_the_first_sub_folder_and_nothing_hidden(tmp_path):
    shown = {"anna/DSC_1.JPG": "anna", "anna/day 2/hat_x.Jpeg": "anna", "bo_1.TIFF": "bo"}
    for name in (*shown, "anna/._DSC_1.JPG", ".trash/cem_1.png", "keypoints/dora.png", "eli.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert {photo.name: photo.person for photo in own.list_photos(tmp_path)} == shown


def test_a_table_of_images_decides_people_cameras_and_split(photos, tmp_path):
    rows = ["person,image,split,camera"]
    rows += [f"{who},{who}/{k}{end},{'test' if who in 'bo,eli' else 'train'},{k + 1}"
             for who in ("bo", "eli", "anna", "fay")
             for k, end in enumerate((".jpg", ".png", ".webp"))]  # fmt: skip
    # as Excel saves "CSV UTF-8", with a blank line
    (photos / "images.csv").write_text(
        "\r\n".join([*rows, "", ""]), encoding="utf-8-sig", newline=""
    )
    data = opened(tmp_path, photos)
    people = sorted({name.partition("/")[0] for name in data.names})
    assert people == ["anna", "bo", "eli", "fay"]  # only who is listed
    assert {name.partition("/")[0] for name in np.array(data.names)[~data.train]} == {"bo", "eli"}
    assert data.cameras.tolist() == [1, 2, 3] * 4
    assert data.card["split"] == "split of images.csv (2 train, 2 test)"
    for line, text, wrong in (
        (1, "image,person,kamera", "header must be image,person"),
        (2, "bo,bo/9.jpg,test,1", "no image 'bo/9.jpg'"),
        (2, "bo,../bo.jpg,test,1", "no image"),
        (2, f"bo,{photos}/bo/0.jpg,test,1", "no image"),
        (2, "bo,bo/0.jpg,,1", "'' is neither train nor test"),
        (2, ",bo/0.jpg,test,1", "person is empty"),
        (2, "bo,bo/0.jpg,val,1", "'val' is neither train nor test"),
        (2, "bo,bo/0.jpg,test,x", "camera 'x'"),
        (2, "bo,bo/0.jpg,test", "3 values for 4 columns"),
        (3, rows[1], "listed twice"),
        (2, "bo,bo/0.jpg,train,1", "bo is in train and test"),
    ):
        damaged = list(rows)
        damaged[line - 1] = text
        (photos / "images.csv").write_text("\n".join(damaged))
        with pytest.raises(UserError, match=wrong) as error:
            prepare(OWN, tmp_path / "bad", photos)
        assert "images.csv" in str(error.value)


def test_poses_from_a_folder_or_a_table(photos, tmp_path):
    data = opened(tmp_path, photos)
    moved = photos / "keypoints"
    for path in sorted(photos.rglob("*.json")):
        target = moved / path.relative_to(photos)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    below = opened(tmp_path, photos, name="below")
    np.testing.assert_array_equal(below.keypoints, data.keypoints)
    write_csv(photos / "keypoints.csv", {name: BODY for name in data.names})
    table = opened(tmp_path, photos, name="table")
    np.testing.assert_array_equal(table.keypoints, data.keypoints)
    write_csv(photos / "keypoints.csv", {name: BODY for name in data.names if "bo" not in name})
    with pytest.raises(UserError, match=r"images without a row .*: 3, the first is bo/0\.jpg"):
        prepare(OWN, tmp_path / "bad", photos)


def test_mmpose_is_read_as_openpose_is(tmp_path):
    # COCO's 17 joints: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles, left first
    order = [0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10]
    joints, scores = BODY[order].tolist(), [0.9] * 17
    scores[-1] = 0.1  # the right ankle, which MMPose would not draw
    other = {"keypoints": [[1, 1]] * 17, "keypoint_scores": [0.31] * 17}
    file = tmp_path / "a.json"
    file.write_text(json.dumps([other, {"keypoints": joints, "keypoint_scores": scores}]))
    expected = BODY.copy()
    expected[10] = -1
    expected[1] = (BODY[2] + BODY[5]) / 2  # the neck is between the shoulders
    np.testing.assert_array_equal(read_openpose_json(file), expected)
    assert not sequence.is_sequence(file)  # two people of one image
    frames = [[{"keypoints": joints, "keypoint_scores": scores}], []]  # nobody in the second
    video = [{"frame_id": k, "instances": people} for k, people in enumerate(frames + frames[:1])]
    file.write_text(json.dumps(video))
    assert sequence.is_sequence(file)
    poses, done = sequence.read_sequence(file)
    np.testing.assert_allclose(poses, [expected] * 3, atol=1e-4)
    assert done == "3 frames, missing joints interpolated: 17"
    file.write_text(json.dumps([{"keypoints": joints[:9], "keypoint_scores": scores}]))
    with pytest.raises(UserError, match="17 or more pairs"):
        read_openpose_json(file)


# ---------------------------------------------------------------- images in the frame


def test_a_photo_is_cropped_around_the_person(photos, tmp_path):
    data = opened(tmp_path, photos)
    # Joints from y = 75 to 320: with the margins of 0.10 and 0.125 the frame shows
    # 245 * 1.225 = 300.1 rows from 75.5 - 24.5 = 51 on, around the middle x = 150.5.
    scale = 128 / (245 * 1.225)
    expected = (BODY + 0.5 - (150.5 - 32 / scale, 51)) * scale
    np.testing.assert_allclose(data.keypoints[0], np.floor(expected), atol=1e-3)
    assert data.images.shape[1:] == (128, 64, 3)


def test_a_picture_of_the_frames_shape_stays_whole(tmp_path):
    half = np.where(found(BODY)[:, None], BODY / 4, -1)  # of a picture of 64x128
    for person in "abc":
        for number in range(2):
            photo(tmp_path / "crops" / f"{person}_{number}.png", (64, 128), half)
    data = opened(tmp_path, tmp_path / "crops")
    with Image.open(tmp_path / "crops" / data.names[0]) as file:
        np.testing.assert_array_equal(data.images[0], np.asarray(file))
    np.testing.assert_array_equal(data.keypoints[0], np.floor(half + 0.5))


def test_an_image_where_nobody_was_found_makes_no_pair(photos, tmp_path):
    (photos / "bo" / "0.json").write_text('{"people": []}')
    (photos / "bo" / "1.json").write_text("[]")  # of MMPose
    data = opened(tmp_path, photos)
    missing = [data.names.index(name) for name in ("bo/0.jpg", "bo/1.png")]
    assert not found(data.keypoints[missing]).any()
    few = np.where(np.arange(18)[:, None] < 5, BODY, -1)  # too few to tell a person's size
    moved = own._read(photos / "bo" / "0.jpg", few, 1, 128, 64)[1][:5]
    # The whole picture: 300 columns and 600 rows, of which 100 are above it.
    np.testing.assert_array_equal(moved, np.floor((BODY[:5] + 0.5 + (0, 100)) * 128 / 600))
    assert not np.isin(missing, np.concatenate((data.train_pairs, data.test_pairs))).any()
    # Five people with pairs are left, one of them for the test; bo's last image has no partner.
    assert len(data.train_pairs) == 4 * 6 and len(data.test_pairs) == 6


def test_the_frame_is_told_by_height_and_width():
    def size(*overrides, dataset="folder"):
        study = Study(dataset, "lite", source="x", overrides=overrides)
        config, row = data_config(study), pipeline.method_config(study, "G1-L1")
        assert (row.height, row.width) == (config.height, config.width)
        return config.height, config.width

    assert size() == (128, 64) and size("height=64") == (64, 32)
    assert size("height=256", "width=192") == (256, 192) and size("width=96") == (128, 96)
    pipeline.check(Study("folder", "smoke", source="x", overrides=("width=40",)))
    with pytest.raises(UserError, match="a multiple of 16, for example 96"):
        size("width=100")
    with pytest.raises(UserError, match="--set width: no such field"):
        pipeline.check(Study("market1501", "smoke", source="x", overrides=("width=40",)))


# ---------------------------------------------------------------- mistakes


def unreadable(source):
    (source / "bo" / "1.png").write_bytes(b"no image")
    return r"bo/1\.png is not an intact image"


def malformed(source):
    (source / "cem" / "0.json").write_text("{")
    return r"cem/0\.json is not valid JSON"


def wrong_count(source):
    (source / "cem" / "0.json").write_text('{"people": [{"pose_keypoints_2d": [1, 2, 3]}]}')
    return r"cem/0\.json, person 0: expected 54"


def without_pose(source):
    (source / "eli" / "2.json").unlink()
    return r"images without keypoints \(add .*: 1, the first is eli/2\.webp"


def of_another_size(source):
    write_openpose_json(source / "bo" / "0.json", BODY * 3)
    return r"bo/0\.jpg is 300x400 .* find the keypoints on this very image"


@pytest.mark.parametrize(
    "damage", [unreadable, malformed, wrong_count, without_pose, of_another_size]
)
def test_a_damaged_folder_is_named_by_both(damage, photos, tmp_path):
    clean = verify(OWN, photos)
    assert clean["problems"] == [] and clean["parts"]["train"]["pairs"] == 30
    expected = damage(photos)
    with pytest.raises(UserError, match=expected) as error:
        prepare(OWN, tmp_path / "store", photos)
    card = verify(OWN, photos)
    assert card["problems"] == [str(error.value)]
    assert f"PROBLEM: {error.value}" in card_text(card)


def test_what_cannot_be_trained_on_ends_in_a_sentence(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("PG2_DATA", raising=False)

    def told(source, command=("data", "prepare")):
        options = ["--dataset", "folder", "--profile", "smoke"]
        options += ["--data", str(source)] if source else []
        assert cli.main([*command, *options]) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1 and lines[0].startswith("pg2: ")
        return lines[0]

    assert "PG2_DATA=<folder>" in told(None)
    assert "is not a folder; name the one with your images" in told(tmp_path / "nowhere")
    source = tmp_path / "mine"
    source.mkdir()
    assert "holds no image (.jpg" in told(source)
    photo(source / "portrait.jpg", pose=None)
    assert "portrait.jpg names no person; sort the images" in told(source)
    (source / "portrait.jpg").rename(source / "IMG_1.jpg")
    assert "neither keypoints.csv nor a JSON file" in told(source)
    photo(source / "IMG_1.jpg")
    assert "all images show one person, 'IMG'" in told(source)
    for name in ("anna_1.jpg", "bo_1.jpg"):
        photo(source / name)
    assert "0 of 3 people have two images" in told(source)
    photo(source / "bo_2.jpg")
    assert "1 of 3 people have two images" in told(source)
    assert "1 problems found" in told(source, ("data", "verify"))
    photo(source / "anna_2.jpg")
    (source / "images.csv").write_text(
        "image,person,split\nanna_1.jpg,anna,train\nanna_2.jpg,anna,train\nbo_1.jpg,bo,train\n"
        "bo_2.jpg,bo,train\n"
    )
    assert "images.csv: nobody in test has two images" in told(source)


# ---------------------------------------------------------------- studies


def test_the_split_is_the_same_each_time_and_bounded(tmp_path):
    for number in range(15):
        for view in range(3):
            photo(tmp_path / "many" / f"p{number:02d}_{view}.jpg", (30, 40), BODY / 10)
    held_out = []
    for changes in ({}, {}, {"seed": 1}, {"test_identities": 2}):
        photos, poses, _ = own.read_source(tmp_path / "many")
        train, test, _ = own.divide(replace(OWN, **changes), photos, poses)
        people = {photo.person for photo in test}
        assert not people & {photo.person for photo in train} and len(train + test) == 45
        held_out.append(people)
    assert held_out[0] == held_out[1] != held_out[2]
    assert [len(people) for people in held_out] == [3, 3, 3, 2]  # a fifth of 15
    some = replace(OWN, train_identities=4, images_per_identity=2)
    train, test, split = own.divide(some, photos, poses)
    assert (len(train), len(test)) == (8, 6) and split == "seeded split by person (4 train, 3 test)"


def test_a_study_is_named_by_its_folder(photos, monkeypatch):
    study = Study("folder", "smoke", source=str(photos))
    assert study.data_name == "folder: photos" and study.name == "folder-photos-smoke"
    monkeypatch.setenv("PG2_DATA", f"{photos}/")
    assert Study("folder", "smoke").name == "folder-photos-smoke"
    assert Study("market1501", "smoke").name == "market1501-smoke"
    data = pipeline.data(study)
    assert data.name == "folder: photos"
    assert card_text(data.card).startswith("folder: photos, 64x32 (height x width)")
    assert plan.sibling(study) is None


def test_corrected_keypoints_are_read_again(photos):
    study = Study("folder", "smoke", source=str(photos))
    runs.fingerprint.cache_clear()
    before = pipeline.data_step(study).key
    text = (photos / "bo" / "0.json").read_text()
    (photos / "bo" / "0.json").write_text(text.replace("150.0", "151.0"))  # of the same size
    runs.fingerprint.cache_clear()
    assert pipeline.data_step(study).key != before


def test_only_what_images_csv_lists_determines_the_data(photos):
    study, keys = Study("folder", "smoke", source=str(photos)), []

    def change(name, text="{}"):
        Path(photos, name).write_text(text)
        runs.fingerprint.cache_clear()
        keys.append(pipeline.data_step(study).key)

    lines = [f"{p}/{k}.{s},{p}" for p in ("anna", "bo") for k, s in enumerate(("jpg", "png"))]
    change("images.csv", "\n".join(["image,person", *lines]))
    change("data.json")  # beside a picture that `pg2 data show` writes
    change("cem/0.json")  # the pose of an image that is not listed
    assert len(set(keys)) == 1
    change("bo/1.json")
    assert len(set(keys)) == 2


def test_two_images_do_not_share_a_pose_file(photos):
    photo(photos / "bo" / "0.png", (300, 400), None)
    for read in (own.read_source, own.without_poses):
        with pytest.raises(UserError, match="bo/0.jpg and bo/0.png would share one JSON file"):
            read(photos)


def test_keypoints_are_detected_where_there_are_none(photos):
    class Network:
        """As torchvision's: finds BODY's joints in pictures of 400 rows alone."""

        def __call__(self, pictures):
            import torch

            order = [0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10]
            joints = torch.from_numpy(np.c_[BODY[order], np.ones(17, np.float32)])[None]
            found_one = {"labels": torch.ones(1), "keypoints": joints}
            found_one["scores"] = torch.tensor([0.99 if pictures[0].shape[1] == 400 else 0.1])
            return [found_one | {"keypoints_scores": torch.full((1, 17), 9.0)}]

    for name in ("0", "1"):
        (photos / "bo" / f"{name}.json").unlink()
    photo(photos / "bo" / "1.png", (300, 399), None)  # where the network finds nobody
    counted = []
    places = own.without_poses(photos)
    told = detect_keypoints.detect_folder(
        photos, places, Network(), "cpu", lambda *at: counted.append(at)
    )
    assert told.startswith("wrote the keypoints of 2 images")
    assert told.endswith("no person in 1, such as bo/1.png") and counted == [(1, 2), (2, 2)]
    expected = BODY.copy()
    expected[1] = (BODY[2] + BODY[5]) / 2
    poses, problems = own.read_source(photos)[1:]
    np.testing.assert_array_equal(poses["bo/0.jpg"], expected)
    assert not problems and not found(poses["bo/1.png"]).any()
    assert (photos / "keypoints" / "bo" / "0.json").is_file()
    assert own.without_poses(photos) == {}
    write_csv(photos / "keypoints.csv", poses)
    with pytest.raises(UserError, match="remove it to have them detected"):
        own.without_poses(photos)


# ---------------------------------------------------------------- from the folder to the table


def test_the_example_of_the_tutorial(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    block = re.search("<!-- tested -->\n```\n(.*?)```", TUTORIAL.read_text(), re.DOTALL)[1]
    *lines, last = block.strip().splitlines()
    assert len(lines) == 5 and last == "pg2 evaluate --dataset folder --data people --profile smoke"
    for line in lines:
        program, *arguments = shlex.split(line)
        assert (program, cli.main(arguments)) == ("pg2", 0), line
    told = capsys.readouterr().out
    assert "wrote 40 images to people" in told
    assert "generator: knows people of folder: people at 32x64 pixels" in told
    for path, size in (("people.png", None), ("picture/refined.png", (32, 64))):
        with Image.open(path) as image:
            assert size in (None, image.size)

    # The last line, for the one row that is trained by now.
    study, rows = Study("folder", "smoke", source="people"), ("condition", "G1-L1", "target")
    scores = pipeline.summaries(study, rows), pipeline.pairs(study, rows)
    printed, facts = pipeline.paper_rows(study), pipeline.table_facts(study)
    table = render.render(tables.table1(scores[0], printed, facts, scores[1]))[".md"]
    assert "24 test pairs of 4 people, folder: people at 64x32, profile smoke" in table
    assert "Split: split of images.csv (6 train, 4 test)." in table
    assert "The photographs are the user's own, the paper's numbers those of Market-1501" in table
