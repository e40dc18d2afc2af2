"""The pose studio as a page, opened as by a double click: it paints what PyTorch paints."""

import base64
import io

import numpy as np
import pytest
import torch
from browsing import LOAD, drop_file, pixels, until
from PIL import Image

from pg2lib.apps.photo.generate import generate
from pg2lib.apps.pose_studio.studio import opening
from pg2lib.apps.site import site, studio_page
from pg2lib.data.heatmaps import heatmaps
from pg2lib.data.keypoints import JOINTS, read_openpose_json
from pg2lib.results import figures
from pg2lib.workflow import pipeline, shipped

STUDY = pipeline.Study(profile="demo", device="cpu")
ROWS = ("G1-L1", "G1+G2+D")
HIP = JOINTS.index("right_hip")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(studio_page, "painted", lambda study: ROWS)
        site.write_studio(STUDY, out, lambda line: None)
    return out


@pytest.fixture(scope="module")
def page(context, written):
    page = context.new_page()
    page.goto((written / "studio.html").as_uri())
    page.locator(f"canvas[data-picture='refined:{ROWS[-1]}']").wait_for(timeout=LOAD)
    yield page
    page.close()


@pytest.fixture
def press(page):
    return lambda action: page.locator(f"[data-do='{action}']").first.click()


def saved(page, action):
    """The content of the file that a button saves."""
    with page.expect_download() as download:
        page.locator(f"[data-do='{action}']").click()
    return download.value.path()


def shown(page, name):
    """uint8 (H, W, 3) of a picture."""
    text = pixels(page.locator(f"canvas[data-picture='{name}']"))
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text.partition(",")[2]))))[..., :3]


def pose_of(page):
    return read_openpose_json(saved(page, "export"))


def differs(one, other):
    return int(np.abs(one.astype(int) - other).max())


def test_a_dragged_joint_is_painted_as_pytorch_paints_it(page, press, journal):
    data = shipped.data(STUDY)
    condition, target = opening(data)
    before, picture = pose_of(page), shown(page, f"refined:{ROWS[-1]}")
    np.testing.assert_allclose(before, data.keypoints[target], atol=0.01)
    assert (shown(page, "condition") == data.images[condition]).all()
    canvas = page.locator("canvas.pg2-pose")
    box = canvas.bounding_box()
    scale = box["width"] / data.width
    x, y = (float(box[axis] + (at + 0.5) * scale) for axis, at in zip("xy", before[HIP]))
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 5 * scale, y - 4 * scale, steps=4)
    page.mouse.up()
    until(page, lambda: differs(shown(page, f"refined:{ROWS[-1]}"), picture), "another picture")
    moved = np.flatnonzero((before != pose_of(page)).any(-1))
    assert moved.tolist() == [HIP]
    for row in ROWS:
        page.locator("[data-choice='row']").select_option(row)
        page.locator(f"canvas[data-picture='refined:{row}']").wait_for(timeout=LOAD)
        pose = pose_of(page)
        wanted = generate(shipped.generate_fn(STUDY, row), data.images[condition], pose)
        for part, image in wanted.items():
            if part == "refined" or "difference" in wanted:
                assert differs(shown(page, f"{part}:{row}"), image) <= 1, (row, part)
    maps = heatmaps(torch.from_numpy(pose)[None], data.height, data.width)[0].numpy()
    assert (shown(page, "heatmaps") == figures.colour_heatmaps(maps)).all()
    press("undo")
    painted = f"refined:{ROWS[-1]}"
    until(page, lambda: not differs(shown(page, painted), picture), "the first picture")
    assert {address.partition(":")[0] for address in journal.addresses} <= {"file", "blob", "data"}


def test_a_walk_plays_and_becomes_a_gif(page, press):
    page.locator("[data-choice='row']").select_option(ROWS[0])
    press("walk")
    until(page, lambda: page.locator(".pg2-keys li canvas").count() == 12, "twelve poses")
    press("play")
    until(page, lambda: "frame 1 of" not in page.inner_text(".pg2-counter"), "another frame")
    press("stop")
    film = Image.open(saved(page, "gif"))
    assert film.n_frames == 12 and film.info["duration"] == pytest.approx(125, abs=5)
    cells = np.asarray(film.convert("RGB"))
    height, width = shown(page, "condition").shape[:2]
    factor = 128 // width
    inside = cells[6 : 6 + height * factor, 6 : 6 + width * factor][::factor, ::factor]
    assert np.abs(inside.astype(int) - shown(page, "condition")).mean() < 6
    strip = Image.open(saved(page, "strip"))
    assert strip.size == (9 * (128 + 6) + 6, 2 * (128 * height // width + 6) + 6)


def test_a_photo_is_dropped_cropped_and_painted(page):
    before = shown(page, f"refined:{ROWS[0]}")
    photo = np.zeros((300, 400, 3), np.uint8)
    photo[:, 100:300] = 200, 30, 30
    stream = io.BytesIO()
    Image.fromarray(photo).save(stream, "PNG")
    drop_file(page.locator("canvas.pg2-pose"), "me.png", "image/png", stream.getvalue())
    page.locator("canvas.pg2-photo").wait_for()
    page.locator("canvas.pg2-photo").press("Enter")
    until(page, lambda: np.abs(shown(page, "condition") - [200, 30, 30]).max() < 3, "the middle")
    until(page, lambda: differs(shown(page, f"refined:{ROWS[0]}"), before) > 10, "its picture")
    drop_file(page.locator("canvas.pg2-pose"), "pose.json", "application/json", b"{}")
    until(page, lambda: "no OpenPose file" in page.inner_text(".pg2-message"), "a sentence")
