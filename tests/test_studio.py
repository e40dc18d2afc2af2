"""The studio without a screen: what it shows, and that a mistake changes nothing."""

import io
import json

import numpy as np
import pytest
import smoke
import torch
from PIL import Image
from scipy import ndimage

from pg2lib import models
from pg2lib.apps.photo import sequence
from pg2lib.apps.pose_studio import studio
from pg2lib.core.files import UserError
from pg2lib.data import dataset as datasets
from pg2lib.data import heatmaps
from pg2lib.data.keypoints import found, write_openpose_json
from pg2lib.models.base import Output
from pg2lib.results import provenance
from pg2lib.workflow import pipeline, shipped
from pg2lib.workflow import run_store as runs

ONE, TWO = "G1-L1", "G1+G2+D"


class Generators:
    """Stand-ins for generators, of which one can tell what they were called with."""

    def __init__(self):
        self.loaded, self.calls = [], 0

    def __call__(self, row):
        self.loaded.append(row)

        def paint(inputs):
            condition, keypoints = inputs.condition, inputs.target_keypoints
            self.calls += 1
            assert condition.dtype == keypoints.dtype == torch.float32
            coarse = condition * 0.5
            place = keypoints[0, 3].long()
            coarse[:, :, place[1], place[0]] = 1
            difference = torch.full_like(condition, 0.25)
            if row == ONE:
                return Output(coarse)
            return Output(coarse + difference, {"coarse": coarse, "difference": difference})

        return paint


@pytest.fixture
def generators():
    return Generators()


@pytest.fixture
def made(data, generators):
    return studio.Studio(data, generators, [ONE, TWO, "G1+D"], TWO)


def remembered(made):
    """Everything that a mistake must leave as it was."""
    names = [key.name for key in made.timeline.keys]
    return (made.row, made.second, made.condition, made.frame, made.playing, made.fps, names,
            made.timeline.between, made.image.tolist(), made.pose.tolist(),
            made.editor.can_undo)  # fmt: skip


def by_name(made):
    return {picture.name: picture.image for picture in made.pictures()}


def test_it_opens_with_a_pose_that_has_all_that_can_be_dragged(made, data, generators):
    condition, target = studio.opening(data)
    assert [condition, target] in data.test_pairs.tolist()
    joints = found(data.keypoints).sum(-1)
    assert joints[[condition, target]].sum() == joints[data.test_pairs].sum(-1).max()
    np.testing.assert_array_equal(made.image, data.images[condition])
    np.testing.assert_array_equal(made.pose, data.keypoints[target])
    assert made.choices[made.condition] == condition
    assert len(made.labels) == len(made.choices) and len(set(made.labels)) == len(made.labels)
    assert generators.loaded == [TWO] and generators.calls == 0


def test_the_pictures_and_their_order(made, data):
    made.choose_second(ONE)
    pictures = made.pictures()
    assert [picture.name for picture in pictures] == [
        "condition", "heatmaps", "mask", f"coarse:{TWO}", f"difference:{TWO}", f"refined:{TWO}",
        f"refined:{ONE}",
    ]  # fmt: skip
    for picture in pictures:
        assert picture.image.shape == (data.height, data.width, 3)
        assert picture.image.dtype == np.uint8 and picture.title
    shown = by_name(made)
    pose = torch.from_numpy(made.pose)[None]
    mask = heatmaps.pose_mask(pose, data.height, data.width)[0, 0].numpy()
    np.testing.assert_array_equal(shown["mask"][..., 0] == 255, mask == 1)
    maps = heatmaps.heatmaps(pose, data.height, data.width)[0].numpy()
    np.testing.assert_array_equal(shown["heatmaps"].any(-1), maps.any(0))
    expected = (127.5 * (0.5 * (made.image / 127.5 - 1) + 1.25)).clip(0, 255)
    away = np.abs(np.indices(mask.shape).transpose(1, 2, 0) - made.pose[3, ::-1]).max(-1) > 1
    assert np.abs(shown[f"refined:{TWO}"][away] - expected[away]).max() < 1
    assert (shown[f"difference:{TWO}"] == 143).all()  # 127.5 * (1 + 0.25 / 2), rounded


def test_moving_a_joint_paints_again_and_nothing_else_does(made, generators):
    made.pictures()
    made.pictures()
    assert generators.calls == 1
    made.editor.move(3, 7, 9)
    assert by_name(made)[f"coarse:{TWO}"][9, 7].tolist() == [255] * 3
    assert generators.calls == 2
    made.editor.undo()
    made.pictures()
    assert generators.calls == 2  # as it was before
    made.choose_second(ONE)
    made.pictures()
    assert generators.calls == 3 and generators.loaded == [TWO, ONE]
    made.choose_condition(made.condition + 1)
    made.pictures()
    assert generators.calls == 5


def test_only_so_many_pictures_are_remembered(data, generators, monkeypatch):
    monkeypatch.setattr(studio, "CACHED", 2)
    made = studio.Studio(data, generators, [ONE, TWO])
    for x in (1, 2, 3, 3, 1):
        made.editor.move(3, x, 1)
        made.pictures()
    assert generators.calls == 4


def test_rows_are_chosen(made):
    made.choose_second(ONE)
    made.choose_row("G1+D")
    assert made.shown_rows == ("G1+D", ONE)
    made.choose_row(ONE)
    assert made.shown_rows == (ONE,)
    made.choose_second(ONE)
    assert made.second == ""


def test_a_row_that_cannot_be_loaded_is_not_shown(data):
    def painter(row):
        if row == ONE:
            raise UserError("its file is gone")
        return Generators()(row)

    made = studio.Studio(data, painter, [ONE, TWO])
    for act in (made.choose_row, made.choose_second):
        with pytest.raises(UserError, match="its file is gone"):
            act(ONE)
    assert made.shown_rows == (TWO,)


def test_poses_of_other_images_are_taken(made, data):
    index = len(made.choices) - 1
    made.take(index)
    np.testing.assert_array_equal(made.pose, data.keypoints[made.choices[index]])
    made.editor.undo()
    np.testing.assert_array_equal(made.pose, data.keypoints[studio.opening(data)[1]])


def test_choices_are_test_images_with_a_torso(data, monkeypatch):
    every = studio.choices(data)
    assert every == sorted(set(every)) and not data.train[every].any()
    assert set(data.test_pairs.ravel()) >= set(every)
    monkeypatch.setattr(studio, "MOST_CHOICES", 5)
    few = studio.choices(data)
    assert len(few) == 5 and set(studio.opening(data)) <= set(few)


# ---- files


def test_a_photo_of_any_size_becomes_the_condition(made, data):
    stream = io.BytesIO()
    Image.new("RGB", (640, 480), (200, 10, 30)).save(stream, format="PNG")
    made.open_photo(stream.getvalue(), "me.png")
    assert made.condition == -1
    assert made.image.shape == (data.height, data.width, 3)
    assert (made.image == (200, 10, 30)).all()
    assert made.message.startswith("me.png: 640x480, padded") and "--" not in made.message
    made.choose_condition(0)
    np.testing.assert_array_equal(made.image, data.images[made.choices[0]])


def test_a_part_of_a_landscape_photo_is_used(made, data):
    colours = np.zeros((480, 640, 3), np.uint8)
    colours[:, 370:] = (10, 200, 30)  # the person, say
    stream = io.BytesIO()
    Image.fromarray(colours).save(stream, format="PNG")
    made.open_photo(stream.getvalue(), "me.png", (400, 40, 400))
    assert np.abs(made.image - np.int64([10, 200, 30])).max() <= 1 and made.condition == -1
    assert made.message.startswith("me.png: 640x480, cropped to x 400..600, y 40..440, scaled by")
    made.open_photo(stream.getvalue(), "me.png", (270, 40, 400))
    half = data.width // 2
    expected = np.zeros_like(made.image)
    expected[:, half:] = (10, 200, 30)
    apart = np.abs(made.image.astype(int) - expected)
    assert np.delete(apart, np.s_[half - 4 : half + 4], 1).max() <= 1  # Lanczos rings at the edge


def test_a_pose_goes_to_a_file_and_comes_back(made):
    pose = made.pose
    text = made.pose_file().decode()
    assert len(json.loads(text)["people"][0]["pose_keypoints_2d"]) == 54
    made.editor.mirror()
    made.read_pose(text, "pose.json")
    np.testing.assert_array_equal(made.pose, pose)
    assert made.message == f"pose.json: {found(pose).sum()} of 18 joints, unchanged."


def test_a_pose_of_another_size_is_made_to_fit(made, data, tmp_path):
    large = np.where(found(made.pose)[:, None], made.pose * 9 + 100, -1)
    write_openpose_json(tmp_path / "pose.json", large)
    made.read_pose((tmp_path / "pose.json").read_text(), "large.json")
    here = found(made.pose)
    np.testing.assert_array_equal(here, found(large))
    assert (made.pose[here] <= (data.width - 1, data.height - 1)).all()
    apart = made.pose[here] - made.pose[here].mean(0)
    expected = large[here] - large[here].mean(0)
    scale = np.ptp(apart[:, 1]) / np.ptp(expected[:, 1])
    np.testing.assert_allclose(apart, expected * scale, atol=2.1)  # whole pixels
    assert "large.json" in made.message and "scaled by" in made.message


# ---- the timeline


def test_a_sequence_is_played(made):
    first = made.pose
    made.add_key()
    made.editor.drop(3, 8, 8)
    made.add_key("raised")
    assert made.frame == len(made.timeline) - 1 == 4
    made.play()
    made.seek(made.frame + 1)
    assert made.frame == 0 and made.playing
    np.testing.assert_array_equal(made.pose, first)
    made.seek(2)
    expected = sequence.in_between([first, made.timeline.key(1).pose], 3)[2]
    np.testing.assert_allclose(made.pose, expected)
    made.editor.undo()  # what was only looked at is no step
    assert made.pose[3].tolist() == [8, 8]
    made.load_key(0)
    np.testing.assert_array_equal(made.pose, first)
    assert not made.playing and made.editor.can_undo
    made.load_key(1)
    assert made.frame == 4 and made.pose[3].tolist() == [8, 8]


def test_the_timeline_is_edited(made):
    for _ in range(3):
        made.add_key()
    made.shift_key(2, -2)
    assert [key.name for key in made.timeline.keys] == ["pose 3", "pose 1", "pose 2"]
    made.set_between(0)
    assert made.frame == 2 and len(made.timeline) == 3
    made.remove_key(0)
    assert made.frame == 1
    made.clear_keys()
    assert made.frame == len(made.timeline) == 0


def test_the_walking_cycle_fills_the_timeline(made, data):
    made.set_between(5)
    made.add_walk()
    poses = made.timeline.frames()
    assert len(poses) == 12
    assert (poses[found(poses)] <= (data.width - 1, data.height - 1)).all()


def test_gif_and_strip_show_the_first_row(made, generators):
    made.add_key()
    made.editor.drop(3, 8, 8)
    made.add_key()
    made.set_between(1)
    made.hold_background(False)
    made.set_fps(10)
    with Image.open(io.BytesIO(made.gif())) as gif:
        assert gif.n_frames == 3 and gif.info["duration"] == 100
    calls = generators.calls
    poses = made.timeline.frames()
    results = [made.generated(TWO, pose)["refined"] for pose in poses]
    np.testing.assert_array_equal(made.strip(), sequence.figure1c(made.image, poses, results))
    assert generators.calls == calls  # generated once for both
    assert made.pose[3].tolist() == [8, 8]


class Flickers:
    """A generator that paints the person red, and behind it another grey for every pose."""

    def __call__(self, row):
        def paint(inputs):
            pose = inputs.target_keypoints
            mask = heatmaps.pose_mask(pose, *inputs.condition.shape[2:])
            grey = (pose[0, 3, 0] / 16 - 1).expand(mask.shape)
            red = torch.cat([mask * 2 - 1, -mask, -mask], 1)
            return Output(torch.where(mask > 0, red, grey))

        return paint


def test_the_background_of_a_sequence_is_held_still(data):
    made = studio.Studio(data, Flickers(), [ONE])
    for x in (6, 18, 26):
        made.editor.drop(3, x, 30)
        made.add_key()
    made.set_between(0)
    alone = made.pictures()[-1].image
    assert made.still  # but this pose is being edited, so its image is as it was made
    np.testing.assert_array_equal(alone, made.generated(ONE)["refined"])
    poses, images = made.generated_sequence()
    masks = heatmaps.pose_mask(torch.from_numpy(poses), *made.size)[:, 0].numpy() > 0
    raw = np.stack([made.generated(ONE, pose)["refined"] for pose in poses])
    corner = np.s_[:, :2, :2]  # nobody is there
    assert np.ptp(raw[corner].astype(int), axis=0).min() > 100
    assert np.ptp(images[corner].astype(int), axis=0).max() == 0
    expected = raw[corner].astype(float).mean(0)
    assert np.abs(images[corner][0] - expected).max() < 1
    for image, before, mask in zip(images, raw, masks):
        np.testing.assert_array_equal(image[inner(mask)], before[inner(mask)])
    made.seek(1)
    np.testing.assert_array_equal(made.pictures()[-1].image, images[1])
    made.hold_background(False)
    np.testing.assert_array_equal(made.pictures()[-1].image, raw[1])
    np.testing.assert_array_equal(made.generated_sequence()[1], raw)


def inner(mask):
    """The pixels of a mask (H, W) whose neighbours within 4 pixels belong to it, too."""
    return ndimage.binary_erosion(mask, np.ones((9, 9)))


def test_a_snapshot_has_a_line_for_each_row(made):
    one = made.snapshot()
    made.choose_second(ONE)
    two = made.snapshot()
    assert two.get_figheight() > 1.7 * one.get_figheight()
    assert two.get_figwidth() == pytest.approx(one.get_figwidth(), rel=0.15)
    made.choose_row(ONE)  # no stage two: no coarse picture and no difference map
    assert made.snapshot().get_figwidth() < one.get_figwidth() - 2 * 128 / provenance.DPI
    assert provenance.to_png_bytes(two)


# ---- mistakes


def png(width, height):
    stream = io.BytesIO()
    Image.new("RGB", (width, height)).save(stream, format="PNG")
    return stream.getvalue()


PEOPLE = '{"people": [{"pose_keypoints_2d": %s}]}'
MISTAKES = {
    "unknown row 'G9'": lambda s: s.choose_row("G9"),
    "unknown row 'none'": lambda s: s.choose_second("none"),
    "there is no image -1": lambda s: s.choose_condition(-1),
    "there is no image 999": lambda s: s.take(999),
    "notes.txt is not an intact image": lambda s: s.open_photo(b"hello", "notes.txt"),
    "empty.png is not an intact image": lambda s: s.open_photo(b"", "empty.png"),
    "dot.png is 1x1 pixels, too small": lambda s: s.open_photo(png(1, 1), "dot.png"),
    "thin.png is 400x15 pixels": lambda s: s.open_photo(png(400, 15), "thin.png"),
    "a crop of 8 pixels": lambda s: s.open_photo(png(99, 99), "me.png", (0, 0, 8)),
    "outside the photo": lambda s: s.open_photo(png(99, 99), "me.png", (500, 0, 40)),
    "me.json is not valid JSON": lambda s: s.read_pose("{", "me.json"),
    "me.json is not an OpenPose file": lambda s: s.read_pose("7", "me.json"),
    "me.json holds no people": lambda s: s.read_pose('{"people": []}', "me.json"),
    "me.json has 0 of 18 joints": lambda s: s.read_pose(PEOPLE % ([0] * 54), "me.json"),
    "me.json, person 0": lambda s: s.read_pose(PEOPLE % "[1, 2, 3]", "me.json"),
    "the timeline is empty": lambda s: s.seek(1),
    "timeline is empty;": lambda s: s.play(),
    "is empty; add a key pose": lambda s: s.gif(),
    "is empty; add a key pose or": lambda s: s.strip(),
    "no key pose 3": lambda s: s.load_key(3),
    "choose from 0 to 100": lambda s: s.set_between(101),
    "GIF supports 0.1 to 50": lambda s: s.set_fps(0),
    "there is no joint 18": lambda s: s.editor.drop(18, 1, 1),
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_told_and_changes_nothing(words, made):
    before = remembered(made)
    with pytest.raises(UserError) as error:
        MISTAKES[words](made)
    assert words in str(error.value) and "/" not in str(error.value)
    assert remembered(made) == before


def test_one_pose_does_not_play(made):
    made.add_key()
    with pytest.raises(UserError, match="one key pose does not move"):
        made.play()
    assert not made.playing


# ---- trained rows


def test_a_study_opens_with_its_own_rows():
    study = pipeline.Study(profile="smoke", device="cpu")
    made = studio.of_study(study, "G1-CE-L1")
    assert (made.data.height, made.data.width) == (64, 32)
    assert made.rows[: len(models.rows())] == models.rows()
    assert set(made.rows) == {*models.rows(), *models.successors()}
    assert studio.of_study(study).row == TWO
    shown = by_name(made)
    image = torch.from_numpy(made.image).permute(2, 0, 1)[None]
    output = pipeline.generate_fn(study, "G1-CE-L1")(
        smoke.inputs(datasets.to_float(image), torch.from_numpy(made.pose)[None])
    )
    expected = datasets.pictures(output.image)[0]
    np.testing.assert_array_equal(shown["refined:G1-CE-L1"], expected)


def test_the_generators_that_ship_are_named_beside_a_figure(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    shipped.weights_file(TWO).parent.mkdir()
    shipped.weights_file(TWO).write_bytes(b"weights")
    told = studio.facts(pipeline.Study(profile="demo"), "a notebook", [TWO])
    assert told["inputs"] == {f"{TWO}.safetensors": runs.sha256(shipped.weights_file(TWO))}
    assert list(told["config"]) == ["G1-poseMaskLoss", "G1+G2+D"]
    study = pipeline.Study(profile="smoke")
    assert studio.facts(study, "x", [ONE]) == pipeline.facts(study, "x", [ONE])


def test_a_second_row_that_is_not_bundled_gives_way_to_one_that_is():
    study = pipeline.Study("synthetic-fashion", "demo", device="cpu")
    made = studio.of_study(study, TWO, "G1-CE-L1")
    assert (made.row, made.second) == (TWO, "G1-poseMaskLoss")
    with pytest.raises(UserError, match="G3"):
        studio.of_study(study, TWO, "G3")


def test_missing_generators_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    with pytest.raises(UserError, match="make demo"):
        studio.of_study(pipeline.Study(profile="demo"))


def test_a_row_that_needs_the_pose_in_a_photo_is_refused_without_it(data, generators):
    made = studio.Studio(data, generators, [TWO, "PATN"], TWO)
    picture = io.BytesIO()
    Image.fromarray(data.images[0]).save(picture, "png")
    made.open_photo(picture.getvalue(), "me.png")
    before = remembered(made)
    for choose in (made.choose_row, made.choose_second):
        with pytest.raises(UserError, match="PATN needs the pose of the person in the photo"):
            choose("PATN")
    assert remembered(made) == before and generators.loaded == [TWO]
    made.choose_condition(0)
    made.choose_row("PATN")
    assert "refined:PATN" in by_name(made)
    with pytest.raises(UserError, match="choose an image of the data set, or another row"):
        made.open_photo(picture.getvalue(), "me.png")
    assert made.condition == 0 and made.condition_pose is not None
