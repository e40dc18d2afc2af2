"""The pose studio in JupyterLab, with hands on it: mouse, finger, keys and files.

With the generators that ship with the project, so that it is used as it comes.
"""

import io
import json

import numpy as np
import pytest
from browsing import (
    KEYS,
    LOAD,
    artefact,
    binding,
    cell_types,
    drop_file,
    evaluate,
    excerpt,
    faults,
    in_kernel,
    open_notebook,
    pixels,
    run_all,
    save,
    settle,
    try_keys,
    until,
    widget_in_view,
)
from PIL import Image

from pg2lib.data.keypoints import JOINTS, read_openpose_json

NECK = JOINTS.index("neck")


class Hands:
    """What a person sees of one view of the studio and does to it."""

    def __init__(self, page, root):
        self.page, self.root = page, root
        self.canvas = root.locator("canvas.pg2-pose")

    def trait(self, name):
        return in_kernel(self.page, f"_widget.{name}", binding("PoseStudio"))

    def press(self, action):
        self.root.locator(f"[data-do='{action}']").first.click()

    def picture(self, name):
        return self.root.locator(f"canvas[data-picture='{name}']")

    @property
    def refined(self):
        return self.picture(f"refined:{self.trait('row')}")

    def message(self):
        return self.root.locator(".pg2-message").inner_text()

    def point(self, place):
        """Where a place in frame pixels lies on the page."""
        box = self.canvas.bounding_box()
        scale = box["width"] / self.trait("width")
        return box["x"] + (place[0] + 0.5) * scale, box["y"] + (place[1] + 0.5) * scale

    def until(self, check, what):
        until(self.page, check, what)

    def reset(self):
        """As at the start: one row, the pose and the condition image of the start, no keys."""
        if self.trait("playing"):
            self.press("stop")
        self.root.locator("[data-choice='second']").select_option("")
        self.root.locator("[data-choice='condition']").select_option("0")
        if self.trait("key_poses"):
            self.press("clear_keys")
        self.press("reset")
        self.until(lambda: not self.trait("key_poses") and not self.trait("second"), "reset")
        self.quiet()

    def quiet(self):
        """Wait until nothing is on its way between page and kernel: no picture changes."""
        seen = None
        for _ in range(100):
            now = self.trait("pose"), self.root.get_attribute("data-serial"), pixels(self.refined)
            if now == seen:
                return
            seen = now
            self.page.wait_for_timeout(150)
        raise AssertionError("the pictures do not come to rest")


@pytest.fixture(scope="module")
def page(context, server):
    """The notebook, run, with the studio in view."""
    name = excerpt(server, "08_pose_studio.ipynb", last="PoseStudio(", profile="demo")
    page = context.new_page()
    open_notebook(page, server.lab(name))
    run_all(page)
    assert faults(page) == []
    first = widget_in_view(page, ".pg2-studio").locator("canvas[data-picture^='refined']").first
    first.wait_for()
    yield page
    page.close()
    server.end_kernels()


@pytest.fixture
def studio(page):
    hands = Hands(page, widget_in_view(page, ".pg2-studio"))
    hands.reset()
    return hands


def arm(studio):
    """An elbow that the pose has."""
    pose = studio.trait("pose")
    return next(k for k, name in enumerate(JOINTS) if name.endswith("elbow") and pose[k])


def somewhere(studio, joint):
    """A place for a joint, eight pixels up and five in from where it is."""
    x, y = studio.trait("pose")[joint]
    towards = 5 if x < studio.trait("width") / 2 else -5
    return x + towards, max(y - 8, 2)


def drag(studio, joint, goal, steps=6):
    """Drag a joint to a place, in frame pixels, with the mouse."""
    mouse = studio.page.mouse
    mouse.move(*studio.point(studio.trait("pose")[joint]))
    mouse.down()
    mouse.move(*studio.point(goal), steps=steps)
    mouse.up()


def same_but(before, after, joint):
    """Whether two poses differ in that joint alone."""
    return [k for k in range(len(JOINTS)) if before[k] != after[k]] == [joint]


def test_a_dragged_joint_changes_the_pose_and_the_picture_and_undo_brings_both_back(studio):
    elbow = arm(studio)
    before, picture = studio.trait("pose"), pixels(studio.refined)
    heatmaps = pixels(studio.picture("heatmaps"))
    goal = somewhere(studio, elbow)
    drag(studio, elbow, goal)
    studio.until(lambda: pixels(studio.refined) != picture, "another refined picture")
    studio.quiet()
    after = studio.trait("pose")
    assert same_but(before, after, elbow)
    # Half a pixel of the frame, several of the screen: nobody aims better.
    assert np.abs(np.subtract(after[elbow], goal)).max() <= 0.5
    assert pixels(studio.picture("heatmaps")) != heatmaps
    moved = pixels(studio.refined)
    studio.press("undo")
    studio.until(lambda: studio.trait("pose") == before, "the pose before")
    studio.until(lambda: pixels(studio.refined) == picture, "the picture before")
    studio.press("redo")
    studio.until(lambda: studio.trait("pose") == after, "the pose after")
    studio.until(lambda: pixels(studio.refined) == moved, "the picture after")


# A hand that moves at every frame of the screen for three seconds, from one place to another and
# back; tells the rate that the studio showed, time and again.
HAND = """([canvas, root, from, to]) => new Promise((resolve) => {
  const start = performance.now(), rates = [];
  const move = (now) => {
    const share = Math.abs((((now - start) / 500) % 2) - 1);
    const [x, y] = [0, 1].map((axis) => share * from[axis] + (1 - share) * to[axis]);
    const where = { pointerId: 1, isPrimary: true, buttons: 1, clientX: x, clientY: y };
    canvas.dispatchEvent(new PointerEvent("pointermove", { bubbles: true, ...where }));
    if (now - start > 1000) rates.push(Number(root.dataset.fps));
    if (now - start < 3000) requestAnimationFrame(move);
    else resolve(rates);
  };
  requestAnimationFrame(move);
})"""


def test_the_picture_follows_while_dragging(studio):
    elbow = arm(studio)
    start = studio.trait("pose")[elbow]
    page, root = studio.page, studio.root
    there, back = studio.point(somewhere(studio, elbow)), studio.point(start)
    page.mouse.move(*back)
    page.mouse.down()
    before = int(root.get_attribute("data-serial"))
    handles = studio.canvas.element_handle(), root.element_handle()
    rates = page.evaluate(HAND, [*handles, back, there])
    after = int(root.get_attribute("data-serial"))
    page.mouse.up()
    studio.quiet()
    assert after - before > 5  # pictures came while the joint was under way
    found = {
        "row": studio.trait("row"),
        "frame": [studio.trait("height"), studio.trait("width")],
        "pictures_per_second": round(float(np.median(rates)), 1),
    }
    path = artefact("pose_studio_speed.json")
    path.write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(found)


def test_a_joint_follows_a_finger(studio):
    elbow = arm(studio)
    before = studio.trait("pose")
    goal = somewhere(studio, elbow)
    start, end = np.array(studio.point(before[elbow])), np.array(studio.point(goal))
    finger = studio.page.context.new_cdp_session(studio.page)

    def touch(kind, *points):
        points = [{"x": float(x), "y": float(y)} for x, y in points]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", start)
    for share in (0.25, 0.5, 0.75, 1):
        touch("touchMove", start + share * (end - start))
    touch("touchEnd")
    studio.until(lambda: studio.trait("pose") != before, "another pose")
    studio.quiet()
    after = studio.trait("pose")
    assert same_but(before, after, elbow)
    assert np.abs(np.subtract(after[elbow], goal)).max() <= 0.5


def test_a_joint_moves_by_keys(studio):
    before, picture = studio.trait("pose"), pixels(studio.refined)
    studio.canvas.click(position={"x": 3, "y": 3})  # on no joint: the canvas has the focus
    for _ in range(NECK + 1):
        studio.canvas.press("n")
    studio.canvas.press("ArrowDown")
    studio.canvas.press("Shift+ArrowLeft")
    x, y = before[NECK]
    studio.until(
        lambda: np.allclose(studio.trait("pose")[NECK], [x - 5, y + 1], atol=0.011), "keys"
    )
    assert same_but(before, studio.trait("pose"), NECK)
    studio.until(lambda: pixels(studio.refined) != picture, "another refined picture")
    for _ in range(2):
        studio.canvas.press("Control+z")
    studio.until(lambda: studio.trait("pose") == before, "the pose before")


def test_a_joint_is_hidden_and_shown(studio):
    elbow = arm(studio)
    before, picture = studio.trait("pose"), pixels(studio.picture("heatmaps"))
    box = studio.root.locator(f"input[data-joint='{elbow}']")
    box.uncheck()
    studio.until(lambda: studio.trait("pose")[elbow] is None, "a hidden joint")
    assert same_but(before, studio.trait("pose"), elbow)
    studio.until(lambda: pixels(studio.picture("heatmaps")) != picture, "other heatmaps")
    box.check()
    studio.until(lambda: studio.trait("pose")[elbow] is not None, "the joint again")


def test_a_pose_goes_out_as_openpose_json_and_comes_in_again(studio, tmp_path):
    elbow = arm(studio)
    drag(studio, elbow, somewhere(studio, elbow))
    studio.quiet()
    pose = studio.trait("pose")
    with studio.page.expect_download() as download:
        studio.press("export")
    path = tmp_path / "pose.json"
    download.value.save_as(path)
    written = read_openpose_json(path)
    there = [place is not None for place in pose]
    assert np.allclose(written[there], [place for place in pose if place], atol=1e-3)
    assert (written[~np.array(there)] == -1).all()

    studio.press("reset")
    studio.until(lambda: studio.trait("pose") != pose, "the pose of the start")
    studio.root.locator("input[type='file'][accept*='json']").set_input_files(path)
    studio.until(lambda: np.allclose(as_array(studio), written, atol=1e-3), "the imported pose")

    studio.press("reset")
    studio.quiet()
    drop_file(studio.canvas, "pose.json", "application/json", path.read_bytes())
    studio.until(lambda: np.allclose(as_array(studio), written, atol=1e-3), "the dropped pose")


def as_array(studio):
    return np.array([place or (-1, -1) for place in studio.trait("pose")])


def test_a_file_that_is_no_pose_is_refused_in_a_sentence(studio):
    before = studio.trait("pose")
    drop_file(studio.canvas, "notes.json", "application/json", b"no JSON")
    studio.until(lambda: "notes.json" in studio.message(), "a sentence")
    assert studio.trait("kind") == "error"
    assert studio.trait("pose") == before


def test_a_second_row_stands_beside_the_first(studio):
    elbow = arm(studio)
    first = studio.trait("row")
    second = next(row for row in studio.trait("rows") if row != first)
    studio.root.locator("[data-choice='second']").select_option(second)
    picture = studio.picture(f"refined:{second}")
    picture.wait_for()
    assert studio.picture(f"refined:{first}").count() == 1
    studio.until(lambda: pixels(picture) != pixels(studio.refined), "two different pictures")
    before = pixels(picture)
    drag(studio, elbow, somewhere(studio, elbow))
    studio.until(lambda: pixels(picture) != before, "the same pose in the second row")
    studio.root.locator("[data-choice='second']").select_option("")
    picture.wait_for(state="detached")


def test_the_walking_cycle_plays_and_is_saved_as_a_gif(studio):
    studio.press("walk")
    studio.until(lambda: studio.trait("frames") > 4, "a walking cycle")
    assert studio.root.locator("[data-choice='still']").is_checked()
    studio.press("play")
    frames, pictures = set(), set()

    def walks():
        frames.add(studio.trait("frame"))
        pictures.add(pixels(studio.refined))
        return len(frames) > 2 and len(pictures) > 2

    studio.until(walks, "three frames")
    studio.press("stop")
    studio.until(lambda: not studio.trait("playing"), "a stop")
    studio.quiet()
    with studio.page.expect_download() as download:
        studio.press("gif")
    content = download.value.path().read_bytes()
    assert content.startswith(b"GIF89a")
    with Image.open(io.BytesIO(content)) as gif:
        assert gif.n_frames == studio.trait("frames")
    with studio.page.expect_download() as download:
        studio.press("strip")
    assert download.value.path().read_bytes().startswith(b"\x89PNG")


def test_a_dropped_photo_becomes_the_condition_image(studio):
    condition, picture = pixels(studio.picture("condition")), pixels(studio.refined)
    ramp = np.linspace(0, 255, 90, dtype=np.uint8)
    photo = np.stack([np.tile(ramp, (160, 1)), np.full((160, 90), 60), np.full((160, 90), 200)], -1)
    drop_file(studio.canvas, "me.png", "image/png", png(photo.astype(np.uint8)))
    studio.press("crop_use")
    studio.until(lambda: studio.trait("condition") == -1, "one's own photo")
    studio.until(lambda: pixels(studio.picture("condition")) != condition, "another condition")
    studio.until(lambda: pixels(studio.refined) != picture, "another refined picture")
    assert "me.png" in studio.message()
    drop_file(studio.canvas, "me.txt", "text/plain", b"no photo")
    studio.until(lambda: "me.txt is neither a photo nor a pose" in studio.message(), "why not")
    drop_file(studio.canvas, "dot.png", "image/png", png(np.zeros((1, 1, 3), np.uint8)))
    studio.until(lambda: "dot.png is 1x1 pixels, too small" in studio.message(), "why not")
    assert studio.trait("kind") == "error" and studio.trait("condition") == -1


def test_a_landscape_photo_is_moved_and_zoomed_before_it_is_taken(studio):
    pixels_of_photo = np.full((600, 900, 3), (20, 40, 200), np.uint8)
    pixels_of_photo[150:450, 650:800] = (200, 30, 30)  # somebody, far from the middle
    drop_file(studio.canvas, "wide.png", "image/png", png(pixels_of_photo))
    view, photo = studio.root.locator(".pg2-crop"), studio.root.locator(".pg2-photo")
    view.wait_for()
    assert studio.trait("condition") == 0  # nothing is taken yet
    box, mouse = photo.bounding_box(), studio.page.mouse
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    scale = 0.9 * box["height"] / 600
    mouse.move(*middle)
    mouse.down()
    mouse.move(middle[0] - 275 * scale, middle[1], steps=4)
    mouse.up()
    mouse.move(*middle)  # the wheel zooms about the pointer
    mouse.wheel(0, -200)
    types = cell_types(studio.page)
    for _ in range(4):
        photo.press("+")
    photo.press("m")  # means nothing here, and nothing to JupyterLab either
    assert cell_types(studio.page) == types
    photo.press("Enter")
    studio.until(lambda: studio.trait("condition") == -1, "the photo")
    studio.quiet()
    assert view.is_hidden()
    crop = studio.trait("studio.image.tolist()")
    colours = np.reshape(crop, (-1, 3))
    assert (np.abs(colours - (200, 30, 30)).max(1) < 8).mean() > 0.95  # the person fills the frame


def test_the_studio_is_seen_at_once_on_a_laptop(studio):
    page, root = studio.page, studio.root
    before = page.viewport_size
    page.set_viewport_size({"width": 1440, "height": 900})
    try:
        widget_in_view(page, ".pg2-studio")
        studio.until(lambda: root.bounding_box()["height"] < 720, "the layout for this window")
        above = root.evaluate("one => one.closest('.jp-WindowedPanel-outer').clientHeight")
        assert root.bounding_box()["height"] < above - 40  # the cell's source is seen as well
        skeleton, result = studio.canvas.bounding_box(), studio.refined.bounding_box()
        assert result["height"] >= skeleton["height"] - 1
        height = root.bounding_box()["height"]
        drop_file(studio.canvas, "me.txt", "text/plain", b"no photo")  # a message moves nothing
        studio.press("walk")
        studio.until(lambda: studio.trait("key_poses"), "a walking cycle")
        studio.root.locator("[data-choice='second']").select_option(studio.trait("rows[0]"))
        studio.quiet()
        assert root.bounding_box()["height"] == height
    finally:
        page.set_viewport_size(before)


def test_rows_are_chosen_by_keys(studio):
    rows, select = studio.trait("rows"), studio.root.locator("[data-choice='row']")
    types, row = cell_types(studio.page), studio.trait("row")
    select.focus()
    key, next_row = ("ArrowUp", -1) if row == rows[-1] else ("ArrowDown", 1)
    studio.page.keyboard.press(key)
    wanted = rows[rows.index(row) + next_row]
    studio.until(lambda: studio.trait("row") == wanted, "the row beside")
    assert select.evaluate("one => document.activeElement === one")
    studio.canvas.press("r" if next_row < 0 else "Shift+r")
    studio.until(lambda: studio.trait("row") == row, "the first row again")
    assert cell_types(studio.page) == types


def png(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def test_two_views_show_one_studio(studio):
    page = studio.page
    kind = "application/vnd.jupyter.widget-view+json"
    view = page.evaluate(
        """async kind => {
          const shell = window.jupyterapp.shell;
          const panel = shell.currentWidget;
          const cells = [...panel.content.model.cells];
          panel.content.activeCellIndex = cells.findIndex(
            cell => cell.outputs?.toJSON().some(output => output.data?.[kind]));
          await window.jupyterapp.commands.execute('notebook:create-output-view');
          return shell.currentWidget.id;
        }""",
        kind,
    )
    try:
        page.wait_for_function("document.querySelectorAll('.pg2-studio').length === 2")
        other = Hands(page, page.locator(f"[id='{view}'] .pg2-studio"))
        name = f"refined:{studio.trait('row')}"
        other.picture(name).wait_for()
        before = pixels(other.picture(name))
        assert before == pixels(studio.picture(name))
        studio.press("mirror")
        other.until(lambda: pixels(other.picture(name)) != before, "another picture in this view")
        other.until(lambda: pixels(other.picture(name)) == pixels(studio.picture(name)), "the same")
    finally:
        page.evaluate(
            """id => [...window.jupyterapp.shell.widgets('main')]
                 .find(widget => widget.id === id).close()""",
            view,
        )


def test_the_studio_comes_back_after_a_reload(studio):
    elbow = arm(studio)
    page = studio.page
    drag(studio, elbow, somewhere(studio, elbow))
    studio.quiet()
    pose, picture = studio.trait("pose"), pixels(studio.refined)
    save(page)
    page.reload(timeout=LOAD)
    settle(page)
    again = Hands(page, widget_in_view(page, ".pg2-studio"))
    again.until(lambda: again.refined.count() == 1, "the pictures again")
    again.until(lambda: pixels(again.refined) == picture, "the same picture")
    assert again.trait("pose") == pose
    drag(again, elbow, somewhere(again, elbow))
    again.until(lambda: pixels(again.refined) != picture, "another refined picture")


def test_keys_on_a_control_leave_the_notebook_alone(studio):
    studio.press("key_add")
    studio.until(lambda: studio.trait("key_poses"), "a key pose")
    clicked = ("mirror", "reset", "undo", "redo", "take", "previous", "next", "checkbox")
    keys = (*"nph[]", *KEYS)  # those of the help text, and JupyterLab's own
    tried = try_keys(studio.page, studio.root, keys, lambda about: about[1] in clicked)
    assert {tag for tag, _ in tried} == {"button", "input", "select", "canvas"}
    assert len(tried) > 35
    assert {"mirror", "reset", "key_remove", "checkbox"} <= {what for _, what in tried}


def test_a_studio_whose_kernel_is_gone_says_so(studio):
    evaluate(studio.page, "kernel.restart().then(() => null)")
    settle(studio.page)
    studio.press("mirror")
    studio.until(lambda: "run the cell again" in studio.message(), "a sentence")
