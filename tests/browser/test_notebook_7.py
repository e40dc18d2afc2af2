"""The pose studio in Notebook 7, whose pages are put together in another way than JupyterLab's."""

from browsing import (
    KEYS,
    binding,
    excerpt,
    faults,
    in_kernel,
    open_notebook,
    pixels,
    run_all,
    try_keys,
    until,
    widget_in_view,
)

from pg2lib.data.keypoints import JOINTS

NECK = JOINTS.index("neck")


def test_the_studio_works_in_notebook_7(page, server):
    name = excerpt(server, "08_pose_studio.ipynb", last="PoseStudio(")
    open_notebook(page, server.notebook(name))
    run_all(page)
    assert faults(page) == []
    root = widget_in_view(page, ".pg2-studio")
    picture = root.locator("canvas[data-picture^='refined:']").first
    picture.wait_for()
    before = pixels(picture)
    canvas = root.locator("canvas.pg2-pose")
    x, y = in_kernel(page, f"_widget.pose[{NECK}]", binding("PoseStudio"))
    scale = canvas.bounding_box()["width"] / in_kernel(page, "_widget.width")
    at = {"x": (x + 0.5) * scale, "y": (y + 0.5) * scale}
    canvas.hover(position=at)
    page.mouse.down()
    canvas.hover(position=at | {"x": at["x"] + 6 * scale})
    page.mouse.up()
    until(page, lambda: pixels(picture) != before, "another refined picture")
    until(
        page,
        lambda: abs(in_kernel(page, f"_widget.pose[{NECK}][0]") - (x + 6)) < 0.5,
        "the joint where it was dropped",
    )
    clicked = ("mirror", "reset", "undo", "redo", "checkbox")
    assert len(try_keys(page, root, KEYS, lambda about: about[1] in clicked)) > 35


def test_keys_leave_the_user_study_in_notebook_7(page, server):
    name = excerpt(server, "09_user_study.ipynb", last="UserStudy(", profile="demo")
    open_notebook(page, server.notebook(name))
    run_all(page)
    root = widget_in_view(page, ".pg2-study")
    tried = try_keys(page, root, KEYS, lambda about: False)
    assert ["button", "agree"] in tried
