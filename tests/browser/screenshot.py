"""`make screenshot`: the pose studio as JupyterLab shows it, for the README.

The walking cycle is on the timeline, and an ankle has been dragged aside.
"""

import io
import os
import sys
import tempfile
from pathlib import Path

from browsing import FLAGS, excerpt, find_browser, open_notebook, run_all, start_server, stop
from browsing import widget_in_view as in_view
from PIL import Image
from playwright.sync_api import sync_playwright
from test_lab_pose_studio import Hands, drag

from pg2lib.core.files import write_atomically
from pg2lib.data.keypoints import JOINTS
from pg2lib.workflow import pipeline
from pg2lib.workflow import shipped as demo
from pg2lib.workflow.run_store import shipped_figures

VIEW = {"width": 1500, "height": 1300}
PAIR = 2  # the test pair that it shows
KNEE, ANKLE = JOINTS.index("left_knee"), JOINTS.index("left_ankle")


def shot(server, page) -> bytes:
    """A PNG of the studio in use."""
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
    studio.press("walk")
    studio.until(lambda: studio.trait("key_poses"), "the walking cycle")
    pose = studio.trait("pose")
    for joint, aside in ((KNEE, 3), (ANKLE, 7)):
        drag(studio, joint, (pose[joint][0] - aside, pose[joint][1]))
    studio.quiet()
    page.mouse.move(0, 0)
    return root.screenshot()


def main():
    chromium = find_browser()
    if chromium is None:
        print("pg2: no Chromium found; install it or name one with PG2_CHROMIUM", file=sys.stderr)
        sys.exit(2)
    out = shipped_figures() / pipeline.Study(profile=demo.PROFILE).name / "pose_studio.png"
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server, process = start_server(Path(folder), os.environ)
        try:
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            picture = Image.open(io.BytesIO(shot(server, browser.new_page(viewport=VIEW))))
            with write_atomically(out) as temporary:
                picture.convert("RGB").quantize(256, dither=0).save(temporary, optimize=True)
        finally:
            stop(process)
    print(f"wrote {out}")


if __name__ == "__main__":
    main()
