"""`make screenshot`: the pose studio in use in JupyterLab, as a short film for the README.

A leg is dragged, the second row changed, the other leg dragged and a walking cycle shown, with the
generators that ship with the project, whatever their size. The film's time is its own: each frame
is taken when the pictures have come to rest, so that a slow machine makes the same film.
"""

import io
import os
import sys
import tempfile
from pathlib import Path

from browsing import FLAGS, excerpt, find_browser, open_notebook, run_all, start_server, stop
from browsing import widget_in_view as in_view
from PIL import Image, ImageDraw
from playwright.sync_api import sync_playwright
from test_lab_pose_studio import Hands

from pg2lib.core.files import write_atomically
from pg2lib.data.keypoints import JOINTS
from pg2lib.workflow import pipeline
from pg2lib.workflow import shipped as demo
from pg2lib.workflow.run_store import shipped_figures

VIEW = {"width": 1332, "height": 900}  # of which JupyterLab leaves the studio 900
PAIR = 2  # the test pair that it shows
SECOND = "G1-poseMaskLoss"  # the row that takes the place of the second one
STEP, LOOK = 90, 900  # milliseconds: of a frame in a movement, and of one to look at
MOST_BYTES = 2 * 2**20
ARROW = [(0, 0), (0, 17), (4, 13), (7, 20), (10, 19), (7, 12), (12, 12)]  # the pointer, in pixels


class Film:
    """Frames of a studio: what it shows, with a pointer, which the browser leaves out."""

    def __init__(self, studio):
        self.studio, self.pointer = studio, None
        self.frames, self.times = [], []

    def rest(self):
        """Wait until no picture has come for a while."""
        serial = None
        while serial != (serial := self.studio.root.get_attribute("data-serial")):
            self.studio.page.wait_for_timeout(400)

    def take(self, milliseconds=STEP):
        self.rest()
        frame = Image.open(io.BytesIO(self.studio.root.screenshot())).convert("RGB")
        if self.pointer:
            box = self.studio.root.bounding_box()
            x, y = self.pointer[0] - box["x"], self.pointer[1] - box["y"]
            outline = [(x + dx, y + dy) for dx, dy in ARROW]
            ImageDraw.Draw(frame).polygon(outline, fill="black", outline="white")
        self.frames.append(frame)
        self.times.append(milliseconds)

    def point(self, place):
        self.pointer = place
        self.studio.page.mouse.move(*place)

    def middle(self, control):
        box = control.bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def drag(self, joint, by, steps=12):
        """Drag a joint by (dx, dy), shares of the frame's width and height."""
        studio = self.studio
        start, size = studio.trait("pose")[joint], (studio.trait("width"), studio.trait("height"))
        goal = [a + share * length for a, share, length in zip(start, by, size)]
        self.point(studio.point(start))
        self.take(LOOK // 2)
        studio.page.mouse.down()
        for step in range(1, steps + 1):
            share = step / steps
            share *= share * (3 - 2 * share)  # starts and ends slowly, as a hand does
            self.point(studio.point([a + share * (b - a) for a, b in zip(start, goal)]))
            self.take()
        studio.page.mouse.up()
        self.take(LOOK // 2)

    def choose(self, what, value):
        control = self.studio.root.locator(f"[data-choice='{what}']")
        self.point(self.middle(control))
        self.take(LOOK // 2)
        control.select_option(value)
        self.take(LOOK)

    def write(self, path):
        """An animated WebP, as fine as `MOST_BYTES` allow."""
        first, *others = self.frames
        for quality in range(90, 20, -10):
            stream = io.BytesIO()
            first.save(stream, "WEBP", save_all=True, append_images=others, duration=self.times,
                       loop=0, quality=quality, method=6)  # fmt: skip
            if stream.tell() <= MOST_BYTES:
                break
        with write_atomically(path) as temporary:
            temporary.write_bytes(stream.getvalue())
        seconds, size = sum(self.times) / 1000, stream.tell() / 2**20
        print(f"wrote {path}: {seconds:.1f} s, {len(self.frames)} frames, quality {quality}, "
              f"{size:.2f} MiB, {first.width}x{first.height}")  # fmt: skip


def opened(server, page) -> Hands:
    """The studio with the test pair `PAIR`, and no second row."""
    name = excerpt(server, "08_pose_studio.ipynb", last="PoseStudio(", profile=demo.PROFILE)
    open_notebook(page, server.lab(name))
    run_all(page)
    root = in_view(page, ".pg2-studio")
    root.locator("canvas[data-picture^='refined']").first.wait_for()
    studio = Hands(page, root)
    for what, which in (("condition", 0), ("pose", 1)):
        index = studio.trait(
            f"studio.choices.index(_widget.studio.data.test_pairs[{PAIR}][{which}])"
        )
        root.locator(f"[data-choice='{what}']").select_option(str(index))
    studio.press("take")
    studio.quiet()
    return studio


def shoot(studio) -> Film:
    film = Film(studio)
    film.drag(JOINTS.index("left_ankle"), (-0.3, -0.04))
    film.choose("second", SECOND)
    film.drag(JOINTS.index("right_ankle"), (0.22, -0.06))
    walk = studio.root.locator("[data-do='walk']")
    film.point(film.middle(walk))
    walk.click()
    studio.until(lambda: studio.trait("key_poses"), "the walking cycle")
    slider = studio.root.locator("[data-choice='frame']")
    for frame in range(studio.trait("frames")):
        slider.evaluate(
            "(one, value) => { one.value = value; one.dispatchEvent(new Event('input')); }", frame
        )
        film.pointer = None
        film.take(STEP + 30)
    return film


def main():
    chromium = find_browser()
    if chromium is None:
        print("pg2: no Chromium found; install it or name one with PG2_CHROMIUM", file=sys.stderr)
        sys.exit(2)
    out = shipped_figures() / pipeline.Study(profile=demo.PROFILE).name / "pose_studio.webp"
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server, process = start_server(Path(folder), os.environ)
        try:
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            shoot(opened(server, browser.new_page(viewport=VIEW))).write(out)
        finally:
            stop(process)


if __name__ == "__main__":
    main()
