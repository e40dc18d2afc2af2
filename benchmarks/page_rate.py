"""Pictures a second of the pose studio that `make site` writes, while a joint is dragged.

    python -m benchmarks.page_rate runs/site G1-poseMaskLoss G1+G2+D

Opens the page in Chromium, without a network, and counts the changes of the row's picture.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

KNEE = 9  # of COCO-18
FLAGS = "--no-sandbox --disable-gpu --no-first-run --disable-background-networking".split()
# Counts what is drawn on the watched canvas, equal pictures in a row once.
COUNT = """
globalThis.painted = [];
for (const name of ["putImageData", "drawImage"]) {
  const old = CanvasRenderingContext2D.prototype[name];
  CanvasRenderingContext2D.prototype[name] = function (...given) {
    old.apply(this, given);
    if (this.canvas.dataset.picture !== globalThis.watched) return;
    const { width, height } = this.canvas;
    const text = this.getImageData(0, 0, width, height).data.join();
    if (text !== globalThis.last) painted.push(performance.now());
    globalThis.last = text;
  };
}
"""


def drag(page, row: str, seconds: float) -> list[float]:
    """The times, in ms, at which the row painted another picture while the right knee moved."""
    page.locator("[data-choice='row']").select_option(row)
    page.locator(f"canvas[data-picture='refined:{row}']").wait_for(timeout=240_000)
    page.wait_for_timeout(2_000)  # until everything is open and quiet
    page.evaluate(f"globalThis.watched = 'refined:{row}'")
    with page.expect_download() as download:
        page.locator("[data-do='export']").click()
    pose = json.loads(Path(download.value.path()).read_text())["people"][0]["pose_keypoints_2d"]
    canvas = page.locator("canvas.pg2-pose")
    box = canvas.bounding_box()
    width = page.locator("canvas[data-picture='condition']").evaluate("canvas => canvas.width")
    scale = box["width"] / width
    x, y = (box[a] + (at + 0.5) * scale for a, at in zip("xy", pose[3 * KNEE : 3 * KNEE + 2]))
    page.mouse.move(x, y)
    page.mouse.down()
    page.evaluate("painted.length = 0")
    began, moves = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        place = abs((moves * 0.31) % 16 - 8) - 4  # pixels of the frame, to and fro
        page.mouse.move(x + place * scale, y + 0.013 * moves % 3 * scale)
        moves += 1
        page.wait_for_timeout(8)
    times = page.evaluate("painted.slice()")
    page.mouse.up()
    page.evaluate("globalThis.watched = null")
    return times


def main():
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("site", type=Path, help="folder that make site wrote")
    options.add_argument("row", nargs="+")
    options.add_argument("--seconds", type=float, default=10)
    options.add_argument("--browser", default="/usr/bin/chromium")
    given = options.parse_args()
    with sync_playwright() as play, tempfile.TemporaryDirectory() as profile:
        context = play.chromium.launch_persistent_context(
            profile, executable_path=given.browser, args=FLAGS, offline=True,
            viewport={"width": 1280, "height": 900},
        )  # fmt: skip
        page = context.new_page()
        page.add_init_script(COUNT)
        page.goto((given.site / "studio.html").absolute().as_uri())
        page.locator("canvas[data-picture^='refined:']").first.wait_for(timeout=240_000)
        for row in given.row:
            times = drag(page, row, given.seconds)
            gaps = [b - a for a, b in zip(times, times[1:])] or [float("nan")]
            median, rate = statistics.median(gaps), len(times) / given.seconds
            print(f"{row}: {rate:.1f} pictures a second, {median:.0f} ms apart")
        context.close()


if __name__ == "__main__":
    main()
