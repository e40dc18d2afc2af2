"""Photos and poses in the model's frame, against places computed by hand and drawn marks."""

import numpy as np
import pytest
from PIL import Image

from pg2lib.core.files import UserError
from pg2lib.data import framing
from pg2lib.data import synthetic as people
from pg2lib.data.keypoints import found

SIZES = [(128, 64), (256, 256), (64, 32)]


def pose_in(left, top, right, bottom):
    """18 joints that fill a box to its corners."""
    rng = np.random.default_rng(0)
    inside = rng.uniform((left, top), (right, bottom), (18, 2))
    inside[:2] = (left, top), (right, bottom)
    return inside.astype(np.float32)


def test_a_photo_is_turned_as_its_exif_says(tmp_path):
    upright = np.random.default_rng(0).integers(0, 255, (30, 20, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held such that the stored image must turn clockwise
    Image.fromarray(np.rot90(upright)).save(tmp_path / "me.png", exif=exif)
    np.testing.assert_array_equal(framing.read_image(tmp_path / "me.png"), upright)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_any_kind_of_image_is_read_as_rgb(tmp_path, mode):
    Image.new("RGB", (5, 7), (200, 30, 40)).convert(mode).save(tmp_path / "me.tif")
    image = framing.read_image(tmp_path / "me.tif")
    assert image.shape == (7, 5, 3) and image.dtype == np.uint8


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\x89PNG\r\n\x1a\n rest"])
def test_what_is_no_image_is_told(tmp_path, content):
    (tmp_path / "me.png").write_bytes(content)
    with pytest.raises(UserError, match="me.png is not an intact image"):
        framing.read_image(tmp_path / "me.png")


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_truncated_photo_is_told(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    noise = np.random.default_rng(0).integers(0, 255, (128, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(UserError, match=f"a.{suffix} is not an intact image"):
        framing.read_image(path)
    with pytest.raises(UserError, match="b.jpg does not exist"):
        framing.read_image(tmp_path / "b.jpg")


def test_the_window_around_a_person_by_hand():
    # Joint centres from y 100.5 to 300.5: 200 high; margins of 0.10 and 0.125 of that.
    window = framing.around_people([pose_in(40, 100, 60, 300)], 128, 64)[0]
    assert window.top == pytest.approx(100.5 - 20)
    assert window.height == pytest.approx(200 * 1.225)
    assert window.width == pytest.approx(200 * 1.225 / 2)
    assert window.left + window.width / 2 == pytest.approx(50.5)


def test_there_is_room_for_a_head_that_is_not_seen():
    seen = pose_in(40, 100, 60, 300)
    behind = seen.copy()
    behind[[0, 14, 15, 16, 17]] = -1
    behind[[1, 2, 5]] = [[50, 120], [45, 125], [55, 125]]
    behind[3], behind[10] = (40, 150), (60, 300)
    behind[found(behind), 1] = behind[found(behind), 1].clip(120, 300)
    window = framing.around_people([behind], 128, 64)[0]
    # From the neck down 180, the head 0.16 of that above, then the margins of it all.
    assert window.top == pytest.approx(120.5 - 180 * 0.16 - 0.10 * 180 * 1.16, abs=1e-3)
    assert window.height == pytest.approx(180 * 1.16 * 1.225, rel=1e-5)
    behind[4] = (50, 60)  # a hand higher than the head would be
    assert framing.around_people([behind], 128, 64)[0].top == pytest.approx(60.5 - 24, abs=1e-3)


def test_arms_spread_wide_decide_the_size_of_the_window():
    window = framing.around_people([pose_in(0, 100, 180, 300)], 128, 64)[0]
    assert window.width == pytest.approx(180 / 0.9) and window.height == pytest.approx(400)
    # Equally much is left over above and below.
    assert window.top == pytest.approx(80.5 - (400 - 245) / 2)


@pytest.mark.parametrize("size", SIZES)
def test_people_fill_the_frame_as_in_training(size):
    """The drawn people are framed as a detector would: their own windows are their images."""
    heights, shifts = [], []
    for identity in range(12):
        drawn = people.draw(identity, identity % 7, height=211, width=105)
        if found(drawn.keypoints).sum() < 10:
            continue
        window = framing.around_people([drawn.keypoints], *size)[0]
        moved = framing.to_frame(drawn.keypoints, window, *size)
        assert (found(moved) == found(drawn.keypoints)).all()
        assert window.height / window.width == pytest.approx(size[0] / size[1])
        heights.append(window.height / 211)
        shifts.append(window.top / 211)
    assert np.median(heights) == pytest.approx(1, abs=0.08)
    assert np.median(shifts) == pytest.approx(0, abs=0.08)


def test_a_sequence_keeps_one_scale_and_one_height():
    poses = [pose_in(10, 100, 30, 300), pose_in(110, 150, 140, 300)]  # the second crouches
    first, second = framing.around_people(poses, 128, 64)
    assert first.top == second.top and first.height == second.height
    assert [w.left + w.width / 2 for w in (first, second)] == [20.5, 125.5]
    heads = [framing.to_frame(p, w, 128, 64)[0, 1] for p, w in zip(poses, (first, second))]
    assert heads[1] - heads[0] == pytest.approx(50 * 128 / 245, abs=1)


def test_the_window_around_a_picture():
    assert framing.around_picture((100, 200), 128, 64) == framing.Window(0, -150, 200, 400)
    assert framing.around_picture((100, 200), 128, 64, "crop") == framing.Window(75, 0, 50, 100)
    assert framing.around_picture((256, 128), 128, 64) == framing.Window(0, 0, 128, 256)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "window", [(30.5, 20.25, 160), (-40, -70, 300), (10, 90, 220), (-15.3, 3.3, 51)]
)
def test_what_is_cut_out_is_where_it_belongs(size, window):
    """On a picture whose red grows with x and green with y, colours tell places."""
    left, top, tall = window
    window = framing.Window(left, top, tall * size[1] / size[0], tall)
    y, x = np.mgrid[:180, :240]
    picture = np.stack([x, y, 0 * x], -1).astype(np.uint8)
    cut = framing.cut(picture, window, *size).astype(float)
    assert cut.shape == (*size, 3)
    scale = tall / size[0]  # of the picture's pixels in one of the frame's
    rows, columns = np.mgrid[: size[0], : size[1]]
    # Beyond the border the border itself; a picture's edge is moved to the next whole pixel.
    for channel, place, start, last in ((0, columns, left, 239), (1, rows, top, 179)):
        wrong = np.abs(cut[..., channel] - ((place + 0.5) * scale + start - 0.5).clip(0, last))
        assert wrong.max() <= scale + 1 and wrong.mean() <= 0.25 * scale + 0.6


@pytest.mark.parametrize("size", SIZES)
def test_joints_stay_on_what_they_mark(size):
    """A white square about a joint in the photo is brightest where the joint is moved to."""
    rng = np.random.default_rng(1)
    for _ in range(10):
        pose = pose_in(*rng.uniform(20, 60, 2), *rng.uniform(150, 280, 2))
        window = framing.around_people([pose], *size)[0]
        side = max(2, round(window.height / size[0]))
        x, y = pose[5].round().astype(int)
        picture = np.zeros((300, 290, 3), np.uint8)
        picture[y - side : y + side + 1, x - side : x + side + 1] = 255
        bright = framing.cut(picture, window, *size)[..., 0].astype(float)
        rows, columns = np.mgrid[: size[0], : size[1]]
        centre = np.array([(bright * columns).sum(), (bright * rows).sum()]) / bright.sum()
        moved = framing.to_frame(pose.round(), window, *size)[5]
        assert np.abs(moved - centre).max() <= 1.05


def test_padding_repeats_the_edge_or_is_plain():
    picture = np.full((40, 40, 3), 90, np.uint8)
    picture[10:30, 10:30] = (250, 0, 0)
    picture[0, 0] = 255
    window = framing.around_picture((40, 40), 128, 64)
    plain = framing.cut(picture, window, 128, 64, "plain")
    assert (plain[:32] == 90).all() and (plain[96:] == 90).all()
    edge = framing.cut(picture, window, 128, 64, "edge")
    assert (edge[:32] == edge[32]).all() and (edge[96:] == edge[95]).all()
    np.testing.assert_array_equal(edge[32:96], plain[32:96])


def test_a_window_beside_the_photo_is_told():
    picture = np.zeros((50, 50, 3), np.uint8)
    with pytest.raises(UserError, match="outside the photo"):
        framing.cut(picture, framing.Window(60, 0, 20, 40), 128, 64)


def test_joints_outside_the_frame_are_missing():
    pose = pose_in(10, 10, 60, 90)
    pose[3], pose[4] = (200, 50), (-1, -1)
    moved = framing.to_frame(pose, framing.Window(0, 0, 64, 128), 128, 64)
    assert (moved[3:5] == -1).all() and found(moved).sum() == 16
    np.testing.assert_array_equal(moved[5], np.floor(pose[5] + 0.5))


def test_too_few_joints_are_told():
    pose = np.full((18, 2), -1, np.float32)
    pose[:5] = np.arange(10).reshape(5, 2)
    with pytest.raises(UserError, match="^me.json has 5 of 18 joints; .* at least 6"):
        framing.check_pose(pose, "me.json")
    with pytest.raises(UserError, match="in one place"):
        framing.check_pose(np.full((18, 2), 7), "me.json")


def test_the_words_name_box_padding_and_scale():
    window = framing.Window(-10, 100, 200, 400)
    words = framing.describe_cut(window, (1000, 150), 128, 64)
    assert words == (
        "150x1000, cropped to x 0..150, y 100..500, padded with repeated edge pixels (10 left, "
        "40 right), scaled by 0.32 to 64x128"
    )
    whole = framing.around_picture((128, 64), 64, 32)
    assert framing.describe_cut(whole, (128, 64), 64, 32) == "64x128, scaled by 0.5 to 32x64"
