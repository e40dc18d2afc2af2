"""`pg2 generate`: one's own photo in other poses, as a user calls it."""

import json
import re
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import smoke
import torch
from PIL import Image

from pg2lib import cli
from pg2lib.apps.photo import detect_keypoints, generate, photo
from pg2lib.core import downloads
from pg2lib.core.files import UserError
from pg2lib.data import framing
from pg2lib.data import synthetic as people
from pg2lib.data.keypoints import found, write_csv, write_openpose_json
from pg2lib.training import weights
from pg2lib.workflow import pipeline, shipped

SIZE = (64, 32)


def in_copy(keypoints, width, height, copy_width, copy_height):
    """Keypoints of a picture in a copy that holds all of it, between equal margins."""
    scale = min(copy_width / width, copy_height / height)
    margin = (copy_width - scale * width) / 2, (copy_height - scale * height) / 2
    moved = (keypoints + 0.5) * scale + margin - 0.5
    return np.where(found(keypoints)[:, None], moved, -1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A photo with a person somewhere in it, its pose, poses to paint, and weights."""
    folder = tmp_path_factory.mktemp("own")
    me, other = people.draw(7, 2, height=301, width=150), people.draw(11, 4, height=240, width=120)
    canvas = np.full((400, 611, 3), 120, np.uint8)
    canvas[60:361, 330:480] = me.image
    Image.fromarray(canvas).save(folder / "me.png")
    Image.fromarray(canvas).save(folder / "me.jpg")
    Image.fromarray(other.image).save(folder / "other.png")
    mine = np.where(found(me.keypoints)[:, None], me.keypoints + (330, 60), -1)
    write_openpose_json(folder / "me.json", mine)
    write_openpose_json(folder / "pose.json", other.keypoints)
    write_csv(folder / "poses.csv", {"one.jpg": other.keypoints, "two.jpg": other.keypoints})
    write_csv(folder / "single.csv", {"one.jpg": other.keypoints})
    write_csv(folder / "me.csv", {"you.png": other.keypoints, "me.png": mine})
    write_csv(folder / "none.csv", {})
    frames = [json.loads((folder / name).read_text()) for name in ("pose.json", "me.json")]
    (folder / "walk.json").write_text(json.dumps({"frames": frames}))
    (folder / "walk").mkdir()
    for k, frame in enumerate(frames):
        (folder / "walk" / f"{k}.json").write_text(json.dumps(frame))
    nobody = np.full((18, 2), -1.0)
    write_csv(folder / "rows.csv", {"none.jpg": nobody, "whole.jpg": other.keypoints})
    write_csv(folder / "halves.csv", {"one.jpg": nobody, "two.jpg": nobody})
    write_openpose_json(folder / "small.json", in_copy(mine, 611, 400, 176, 256))
    (folder / "empty").mkdir()
    few = np.full((18, 2), -1.0)
    few[:4] = [[9, 9], [9, 20], [5, 20], [13, 20]]
    write_openpose_json(folder / "few.json", few)
    (folder / "pose.txt").write_text("a pose")
    (folder / "broken.json").write_text('{"people": [')
    (folder / "cut.jpg").write_bytes((folder / "me.jpg").read_bytes()[:2000])
    (folder / "damaged.safetensors").write_bytes(b"weights")
    trained = smoke.trained_row(folder, "G1+G2+D")
    weights.export(folder / "row.safetensors", trained, smoke.published("G1+G2+D"))
    trained = smoke.trained_row(folder, "PATN")
    weights.export(folder / "patn.safetensors", trained, smoke.published("PATN"))
    return folder


@pytest.fixture(autouse=True)
def without_keypoint_rcnn(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("PG2_KEYPOINT_RCNN", raising=False)
    monkeypatch.setenv("PG2_DOWNLOAD", "off")


@pytest.fixture
def pg2(folder, monkeypatch, capsys):
    """Run `pg2 generate` in the folder: (status, output, errors)."""
    monkeypatch.chdir(folder)

    def run(*arguments, image="me.png", source=("--weights", "row.safetensors")):
        command = ["generate", "--image", image, *source, *map(str, arguments)]
        return cli.main(command), *capsys.readouterr()

    return run


def images_in(path):
    return {file.stem: np.asarray(Image.open(file)) for file in sorted(path.glob("*.png"))}


def test_weights_alone_paint_a_photo_of_any_size(pg2, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("PG2_RUNS", str(tmp_path / "runs"))
    code, out, _ = pg2("--target-pose", "pose.json", "--pose", "me.json", "--out", tmp_path / "a")
    assert code == 0 and not (tmp_path / "runs").exists()
    images = images_in(tmp_path / "a")
    sheet = images.pop("sheet")  # 5 columns of 256 dots, side by side, below their labels
    assert sheet.shape[0] > 512 and sheet.shape[1] > 5 * 256
    assert out.splitlines()[-1] == f"wrote {tmp_path / 'a' / 'sheet.png'}"
    assert list(images) == ["coarse", "condition", "difference", "pose", "refined"]
    assert all(image.shape == (64, 32, 3) for image in images.values())
    big = np.kron(images["refined"], np.ones((8, 8, 1), np.uint8))
    last = sheet[-512:, -256:]  # as painted, eight times as large
    assert np.abs(last.astype(int) - big).max() == 0
    assert "people drawn by this project at 32x64 pixels; expect the colours" in out
    assert re.search(r"photo: 611x400, cropped to x \d+..\d+, y \d+..\d+, scaled by 0.2", out)
    assert "the person fills 32x64 as in training" in out and "pose given" in out
    # The person, not the grey around her, is in the frame, as large as in training.
    grey = (np.abs(images["condition"].astype(int) - 120).max(-1) <= 2).mean()
    assert grey < 0.2
    # A CSV names its rows after the photos.
    pg2("--target-pose", "pose.json", "--pose", "me.csv", "--out", tmp_path / "b")
    again = images_in(tmp_path / "b")["condition"]
    np.testing.assert_array_equal(again, images["condition"])
    # It is what the library does step by step.
    generate_fn = weights.load(folder / "row.safetensors", "cpu")[1]
    pose = generate.place(generate.read_poses(folder / "pose.json")[0], SIZE)[0][0]
    again = generate.generate(generate_fn, images["condition"], pose)
    np.testing.assert_array_equal(again["refined"], images["refined"])


def test_a_photo_whose_pose_is_not_known_keeps_its_shape(pg2, tmp_path):
    pose = ("--target-pose", "pose.json")
    code, out, _ = pg2(*pose, "--padding", "plain", "--out", tmp_path / "a")
    assert code == 0 and "padded with the colour of its edge (411 above, 411 below)" in out
    assert "pose unknown: give --pose to crop to the person" in out
    condition = images_in(tmp_path / "a")["condition"]
    assert (condition[:20] == 120).all() and (condition[44:] == 120).all()
    code, out, _ = pg2(*pose, "--fit", "crop", "--out", tmp_path / "b")
    assert code == 0 and "cropped to x 206..406, y 0..400" in out
    code, out, _ = pg2(*pose, "--out", tmp_path / "c", image="other.png")  # as twice as high
    assert code == 0 and "photo: 120x240, scaled by 0.267 to 32x64\n" in out


def test_every_kind_of_pose_file_gives_the_same(pg2, tmp_path):
    for name, pose in {
        "json": ["pose.json"],
        "csv": ["poses.csv", "--name", "two.jpg"],
        "single": ["single.csv"],
    }.items():
        code, *_ = pg2("--target-pose", *pose, "--out", tmp_path / name)
        assert code == 0
    first, *rest = (images_in(tmp_path / name)["refined"] for name in ("json", "csv", "single"))
    assert all((image == first).all() for image in rest)


def test_frame_keeps_the_picture_of_the_pose_whole(pg2, tmp_path):
    poses, _ = generate.read_poses("pose.json")
    placed, done = generate.place(poses, SIZE, (240, 120))
    joints = found(poses[0])
    np.testing.assert_array_equal(placed[0][joints], np.floor((poses[0][joints] + 0.5) * 64 / 240))
    assert "scaled by 0.267 from its picture of 120x240" in done
    # A square picture is not squeezed: it stands between equal margins above and below.
    placed, _ = generate.place(poses, SIZE, (240, 240))
    expected = np.floor((poses[0][joints] + 0.5) * 32 / 240 + (0, 16))
    np.testing.assert_array_equal(placed[0][joints], expected)
    code, out, _ = pg2("--target-pose", "pose.json", "--frame", "120x240", "--out", tmp_path / "a")
    assert code == 0 and "its picture of 120x240" in out


@pytest.mark.parametrize("pose", ["walk.json", "walk"])
def test_a_sequence_gives_frames_strip_and_gif(pg2, tmp_path, pose):
    options = ("--pose", "me.json", "--out", tmp_path / "a")
    code, out, _ = pg2("--target-pose", pose, "--between", 3, "--fps", 10, *options)
    assert code == 0 and "pose: 2 frames" in out
    names = sorted(str(p.relative_to(tmp_path / "a")) for p in (tmp_path / "a").rglob("*.*"))
    frames = [f"frames/{k:03}.png" for k in range(5)]
    assert names == ["condition.png", "figure1c.png", *frames, "sequence.gif"]
    assert not (images_in(tmp_path / "a" / "frames")["000"] == 0).all()
    with Image.open(tmp_path / "a" / "sequence.gif") as gif:
        assert gif.n_frames == 5 and gif.info["duration"] == 100
    code, *_ = pg2("--target-pose", pose, *options)  # a shorter one over it
    assert code == 0 and len(list((tmp_path / "a" / "frames").iterdir())) == 2


@pytest.fixture
def eyes(monkeypatch, tmp_path):
    """A Keypoint R-CNN that finds a person of known joints, the photo's size told by the first."""
    k = torch.arange(17.0)

    def network(images):
        height, width = images[0].shape[1:]
        joints = torch.stack([width * (0.4 + 0.005 * k), height * (0.1 + 0.05 * k), k], -1)
        return [
            {
                "labels": torch.tensor([1]),
                "scores": torch.tensor([0.9]),
                "keypoints": joints[None],
                "keypoints_scores": torch.full((1, 17), 9.0),
            }
        ]

    (tmp_path / "weights.pth").touch()
    monkeypatch.setenv("PG2_KEYPOINT_RCNN", str(tmp_path / "weights.pth"))
    monkeypatch.setattr(downloads, "digest", lambda file: detect_keypoints.KEYPOINT_RCNN.sha256)
    monkeypatch.setattr(detect_keypoints, "load_network", lambda path, device: network)
    return network


def test_poses_are_detected_where_none_is_given(pg2, eyes, tmp_path):
    code, out, _ = pg2("--target-pose", "other.png", "--out", tmp_path / "a")
    assert code == 0 and "18 of 18 joints detected by Keypoint R-CNN" in out
    assert "around the person, pose detected" in out
    # Joints from 10 % to 90 % of 400 pixels: 320 of them, and the margins.
    scale = 64 / (320 * (1 + framing.ABOVE + framing.BELOW))
    assert f"scaled by {scale:.3g} to 32x64" in out
    given = pg2("--target-pose", "other.png", "--pose", "me.png", "--out", tmp_path / "b")
    assert given[0] == 0
    np.testing.assert_array_equal(
        images_in(tmp_path / "a")["refined"], images_in(tmp_path / "b")["refined"]
    )


def test_a_folder_with_one_file_of_weights_is_that_file(pg2, folder, tmp_path):
    (tmp_path / "hub").mkdir()
    shutil.copy(folder / "row.safetensors", tmp_path / "hub")
    (tmp_path / "hub" / "README.md").write_text("its card")
    pose = ("--target-pose", "pose.json", "--pose", "me.json")
    found = []
    for weights_at in ("row.safetensors", tmp_path / "hub"):
        out = tmp_path / f"{len(found)}"
        assert pg2(*pose, "--out", out, source=("--weights", str(weights_at)))[0] == 0
        found.append(images_in(out)["refined"])
    np.testing.assert_array_equal(*found)


def test_without_weights_for_keypoints_a_photo_as_pose_is_told(pg2, tmp_path):
    code, _, error = pg2("--target-pose", "other.png", "--out", tmp_path / "a")
    assert code == 2 and error.count("\n") == 1 and "PG2_KEYPOINT_RCNN" in error
    assert not (tmp_path / "a").exists()


MISTAKES = [
    (["--target-pose", "gone.json"], "gone.json does not exist"),
    (["--target-pose", "pose.txt"], "pose.txt is not a pose; name a .json"),
    (["--target-pose", "rows.csv"], "--name, for example --name whole.jpg"),
    (["--target-pose", "rows.csv", "--name", "whole.jpeg"], "'whole.jpeg'; did you mean whole.jpg"),
    (["--target-pose", "halves.csv"], "none of the 2 poses in halves.csv has 6 of 18 joints"),
    (["--target-pose", "pose.json", "--pose", "small.json"], "corner.*--pose-frame, for .*176x256"),
    (
        ["--target-pose", "pose.json", "--pose", "small.json", "--pose-frame", "20x20"],
        "small.json has joints up to .* outside --pose-frame 20x20",
    ),
    (["--target-pose", "pose.json", "--pose-frame", "20"], "--pose-frame 20 is not WIDTHxHEIGHT"),
    (["--target-pose", "broken.json"], "broken.json is not valid JSON"),
    (["--target-pose", "few.json"], "few.json has 4 of 18 joints"),
    (["--target-pose", "poses.csv"], "poses.csv holds 2 poses; pick one with --name"),
    (["--target-pose", "poses.csv", "--name", "x"], "poses.csv has no pose called 'x'.*one.jpg"),
    (["--target-pose", "none.csv"], "none.csv holds no pose"),
    (["--target-pose", "pose.json", "--pose", "poses.csv"], "no pose called 'me.png'"),
    (["--target-pose", "empty"], "empty holds no .json file"),
    (["--target-pose", "cut.jpg"], "cut.jpg is not an intact image"),
    (["--target-pose", "pose.json", "--frame", "20x40"], "outside a picture of 20x40"),
    (["--target-pose", "pose.json", "--frame", "20"], "--frame 20 is not WIDTHxHEIGHT"),
    (["--target-pose", "pose.json", "--frame", "0x40"], "--frame 0x40 is not WIDTHxHEIGHT"),
    (["--target-pose", "pose.json", "--pose", "gone.json"], "gone.json does not exist"),
    (["--target-pose", "pose.json", "--pose", "few.json"], "few.json has 4 of 18 joints"),
    (["--target-pose", "pose.json", "--pose", "walk"], "walk is not a pose"),
    (["--target-pose", "pose.json", "--pose", "walk.json"], "walk.json"),
    (["--target-pose", "pose.json", "--keypoint-rcnn", "gone.pth"], "gone.pth.* does not exist"),
    (["--target-pose", "pose.json", "--keypoint-rcnn", "me.png"], "me.png is not torchvision's"),
    (["--target-pose", "walk.json", "--fps", "0"], "0.1 to 50 frames per second, not 0"),
    (["--target-pose", "walk.json", "--between", "-1"], "--between -1"),
    (["--target-pose", "pose.json", "--between", "2"], "--between is for a sequence"),
    (["--target-pose", "pose.json", "--pose-frame", "20x40"], "give both, or neither"),
    (["--target-pose", "pose.json", "--name", "me.png"], "--name picks a row of a .csv"),
    (["--target-pose", "pose.json", "--seeds", "1,2"], "--seeds 1,2 names several"),
    (["--target-pose", "pose.json", "--weights", "gone.safetensors"], "gone.safetensors does not"),
    (["--target-pose", "pose.json", "--weights", "damaged.safetensors"], "is damaged"),
    (["--target-pose", "pose.json", "--weights", "pose.json"], "does not end in .safetensors"),
    (["--target-pose", "pose.json", "--weights", "walk"], "walk is a folder with 0 .safetensors"),
    (["--target-pose", "pose.json", "--weights", "."], "is a folder with 3 .safetensors files"),
    (["--target-pose", "pose.json", "--image", "gone.jpg"], "gone.jpg does not exist"),
    (["--target-pose", "pose.json", "--image", "cut.jpg"], "cut.jpg is not an intact image"),
    (["--target-pose", "pose.json", "--image", "walk"], "walk is not an intact image"),
]


@pytest.mark.parametrize("arguments, words", MISTAKES)
def test_mistakes_are_told_in_one_sentence_and_leave_nothing(pg2, tmp_path, arguments, words):
    code, _, error = pg2(*arguments, "--out", tmp_path / "a")
    assert code == 2 and error.count("\n") == 1 and re.search(words, error), error
    assert not (tmp_path / "a").exists()


def test_a_pose_far_from_the_photo_is_told(pg2, folder, tmp_path):
    far = np.random.default_rng(0).uniform(2000, 2400, (18, 2))
    write_openpose_json(tmp_path / "far.json", far)
    options = ("--target-pose", "pose.json", "--out", tmp_path / "a")
    code, _, error = pg2("--pose", tmp_path / "far.json", *options)
    assert code == 2 and "outside the photo" in error and not (tmp_path / "a").exists()


@pytest.mark.parametrize("copy", [(176, 256), (256, 256), (64, 128)])
def test_keypoints_of_a_smaller_copy_are_brought_to_the_photo(copy):
    keypoints = np.random.default_rng(0).uniform((200, 60), (540, 1040), (18, 2))
    keypoints[3] = -1
    small = in_copy(keypoints, 750, 1101, *copy)  # DeepFashion's own photo
    back = photo.from_copy(small, copy[::-1], (1101, 750), "it")
    np.testing.assert_allclose(back, keypoints, atol=0.01)
    photo.check_belongs(keypoints.astype(np.float32), (1101, 750), "it")
    with pytest.raises(UserError, match="it: the pose ends at .* photo of 750x1101.*750x1101$"):
        photo.check_belongs(small.astype(np.float32), (1101, 750), "it")


def test_a_pose_of_a_smaller_copy_crops_to_the_same_person(pg2, tmp_path):
    options = ("--target-pose", "pose.json", "--out")
    assert pg2(*options, tmp_path / "a", "--pose", "me.json")[0] == 0
    copy = ("--pose", "small.json", "--pose-frame", "176x256")
    assert pg2(*options, tmp_path / "b", *copy)[0] == 0
    first, again = (images_in(tmp_path / name)["condition"] for name in "ab")
    assert np.abs(first.astype(int) - again).mean() < 1


def test_a_target_without_legs_is_told(pg2, folder, tmp_path):
    pose = generate.read_pose(folder / "pose.json")[0]
    for name, joints in {"knees": [10, 13], "knees and no ankles": [9, 10, 12, 13]}.items():
        pose[joints] = -1
        write_openpose_json(tmp_path / "half.json", pose)
        _, out, _ = pg2("--target-pose", tmp_path / "half.json", "--out", tmp_path / "a")
        part = "ankles" if name == "knees" else name
        assert f"note: the target has no {part}: what it shows is enlarged" in out
    _, out, _ = pg2("--target-pose", "pose.json", "--out", tmp_path / "a")
    assert "note" not in out


def test_an_unknown_row_and_a_folder_that_is_a_file_are_told(pg2, folder, tmp_path):
    pose = ("--target-pose", "pose.json")
    code, _, error = pg2(*pose, "--out", tmp_path / "a", source=("--row", "G1+G3"))
    assert code == 2 and "unknown row 'G1+G3'" in error
    for name, row in {"g1-l1": "G1-L1", "G1+G2D": "G1[+]G2[+]D"}.items():
        code, _, error = pg2(*pose, "--out", tmp_path / "a", source=("--row", name))
        assert code == 2 and re.search(f"did you mean {row}[?] The choices are: G1-CE-L1", error)
    code, _, error = pg2(*pose, "--out", folder / "me.png" / "a")
    assert code == 2 and "me.png is a file; name a folder with --out" in error
    code, _, error = pg2(*pose, "--row", "G1-L1", "--out", tmp_path / "a")
    assert code == 2 and "leave out --row" in error


def test_what_the_disk_refuses_is_told(tmp_path):
    (tmp_path / "a").touch()
    with pytest.raises(UserError, match="cannot write to .*--out"):
        generate.write({"condition.png": np.zeros((4, 4, 3), np.uint8)}, tmp_path / "a")


def test_files_that_generate_did_not_write_stay(pg2, folder, tmp_path):
    for name, target in (("pose.png", "pose.json"), ("frames/0001.png", "walk")):
        mine = tmp_path / Path(target).stem / name
        mine.parent.mkdir(parents=True)
        mine.write_bytes(b"mine")
        out = tmp_path / Path(target).stem
        code, _, error = pg2("--target-pose", target, "--out", out)
        assert code == 2 and f"{mine} is there already" in error
        assert mine.read_bytes() == b"mine" and sum(f.is_file() for f in out.rglob("*")) == 1
    for target in ("pose.json", "walk", "pose.json"):  # its own files are replaced
        assert pg2("--target-pose", target, "--out", tmp_path / "b")[0] == 0


def test_the_row_of_a_photo_in_a_table_is_its_path_or_its_name(tmp_path):
    table = {"0000/me.png": 1, "me.png": 2}
    find = partial(generate.row_name, path=tmp_path / "keypoints.csv")
    assert find(table, photo=tmp_path / "0000" / "me.png") == "0000/me.png"
    assert find(table, photo=tmp_path / "0001" / "me.png") == "me.png"
    assert find(table, photo=tmp_path.parent / "me.png") == "me.png"


def test_what_may_not_be_written_is_told_before_anything_is_painted(pg2, tmp_path, monkeypatch):
    monkeypatch.setattr(generate.os, "access", lambda *_: False)
    monkeypatch.setattr(weights, "load", lambda *_: pytest.fail("it began to work"))
    code, _, error = pg2("--target-pose", "pose.json", "--out", tmp_path / "a")
    assert code == 2 and f"cannot write to {tmp_path}; name another folder with --out" in error


def test_a_row_of_the_run_store_paints_too(pg2, tmp_path):
    source = ("--profile", "smoke", "--row", "G1-L1")
    options = ("--keypoints", "pose.json", "--pose", "me.json")
    code, out, _ = pg2(*options, "--out", tmp_path / "a", source=source)
    images = images_in(tmp_path / "a")
    assert code == 0 and list(images) == ["condition", "pose", "refined", "sheet"]
    generate_fn = pipeline.generate_fn(pipeline.Study(profile="smoke"), "G1-L1")
    pose = generate.place(generate.read_poses("pose.json")[0], SIZE)[0][0]
    again = generate.generate(generate_fn, images["condition"], pose)
    np.testing.assert_array_equal(again["refined"], images["refined"])


OPEN = ("--profile", "")  # as without $PG2_PROFILE, which the tests set


@pytest.mark.parametrize(("source", "row", "shape"), [
    ((), "G1+G2+D", (128, 64, 3)),
    (("--row", "G1-L1"), "G1-L1", (128, 64, 3)),
    (("--dataset", "synthetic-fashion"), "G1+G2+D", (128, 128, 3)),
])  # fmt: skip
def test_where_no_training_is_named_a_bundled_generator_paints(
    pg2, tmp_path, monkeypatch, source, row, shape
):
    monkeypatch.setattr(pipeline, "train", lambda *_: pytest.fail("it began to train"))
    options = ("--target-pose", "pose.json", "--pose", "me.json")
    code, out, _ = pg2(*options, "--out", tmp_path / "a", source=(*OPEN, *source))
    assert code == 0 and f"weights: {row}, " in out and "profile demo" in out
    images = images_in(tmp_path / "a")
    assert images["refined"].shape == shape
    dataset = source[1] if "--dataset" in source else "synthetic-market"
    generate_fn = weights.load(shipped.weights_file(row, dataset), "cpu", row)[1]
    pose = generate.place(generate.read_poses("pose.json")[0], shape[:2])[0][0]
    again = generate.generate(generate_fn, images["condition"], pose)
    np.testing.assert_array_equal(again["refined"], images["refined"])


@pytest.mark.parametrize("source", [
    ("--profile", "quick"), ("--seed", "1"), ("--set", "iterations=5"), ("--row", "PATN"),
])  # fmt: skip
def test_a_training_that_is_named_is_not_replaced_by_a_bundled_one(
    pg2, tmp_path, monkeypatch, source
):
    trained = []

    def train(study, row, log):
        trained.append((study.profile, row))
        raise UserError("enough")

    monkeypatch.setattr(pipeline, "train", train)
    options = ("--target-pose", "pose.json", "--pose", "me.json", "--out", tmp_path / "a")
    assert pg2(*options, source=(*OPEN, *source))[0] == 2
    assert trained == [("quick", "PATN" if "PATN" in source else "G1+G2+D")]


# ---- a row that sees the pose in the photo

PATN = ("--weights", "patn.safetensors")


def test_without_the_pose_in_the_photo_one_sentence_says_how_to_give_it(pg2, folder):
    status, _, errors = pg2("--target-pose", "pose.json", "--out", "none", source=PATN)
    assert status == 2 and errors.count("\n") == 1
    assert "PATN needs the pose of the person in me.png; give it with --pose FILE" in errors
    assert not (folder / "none").exists()


def test_the_pose_in_the_photo_is_an_option(pg2, folder):
    painted = []
    for out, option, pose in (("a", "--pose", "me.json"), ("b", "--photo-pose", "me.csv")):
        status, _, errors = pg2(
            "--target-pose", "pose.json", option, pose, "--out", out, source=PATN
        )
        assert status == 0, errors
        painted.append(np.asarray(Image.open(folder / out / "refined.png")))
    assert np.array_equal(*painted)  # the same pose in two formats


@pytest.mark.parametrize("image", ["me.png", "frame.png"])
def test_the_pose_in_the_photo_is_detected_where_it_can_be(pg2, folder, monkeypatch, image):
    """Also in a photo of the frame's own shape, which no pose is needed to crop."""
    mine, asked = people.draw(7, 2, height=301, width=150), []
    Image.fromarray(people.draw(7, 2, height=256, width=128).image).save(folder / "frame.png")

    def detect(picture, where):
        asked.append(str(where))
        return mine.keypoints * (0.85 if image == "frame.png" else 1)

    monkeypatch.setattr(detect_keypoints, "require_pose", lambda *arguments: None)
    monkeypatch.setattr(detect_keypoints, "detector", lambda *arguments: detect)
    status, out, errors = pg2("--target-pose", "pose.json", "--out", "c", image=image, source=PATN)
    assert status == 0, errors
    assert asked == [image] and "pose detected" in out
