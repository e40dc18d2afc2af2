"""Figures: that the right pixels and texts stand in the right places."""

import io
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from pg2lib.core.files import UserError
from pg2lib.data import dataset as datasets
from pg2lib.data.heatmaps import heatmaps, pose_mask
from pg2lib.data.keypoints import JOINTS
from pg2lib.results import charts, figures, provenance, sheets

H, W = 32, 16
ROWS = ("G1-CE-L1", "G1-HME-L1", "G1-L1", "G1-poseMaskLoss", "G1+D", "G1+G2+D")


@pytest.fixture(scope="module")
def dataset():
    """10 people with 4 noise images each, standing poses, all ordered pairs as test pairs."""
    random = np.random.default_rng(0)
    identities = np.arange(40) // 4
    keypoints = random.integers(1, (W - 1, H - 1), (40, 18, 2)).astype(np.float32)
    keypoints[::5, 4:9] = -1
    pairs = datasets.ordered_pairs(identities, np.ones(40, bool))
    return datasets.Dataset(
        name="random", height=H, width=W,
        images=random.integers(0, 256, (40, H, W, 3), dtype=np.uint8), keypoints=keypoints,
        identities=identities, cameras=np.arange(40) % 2 + 1, names=[str(k) for k in range(40)],
        train=np.zeros(40, bool), train_pairs=pairs[:0], test_pairs=pairs,
        card={},
    )  # fmt: skip


def pixels(figure):
    return provenance.rendered(figure)


def texts(figure):
    return [t for axes in figure.axes for t in axes.texts if t.get_text()]


def check_texts(figure):
    """No text leaves the figure or touches another one."""
    pixels(figure)
    boxes = [t.get_window_extent() for t in texts(figure)]
    for k, box in enumerate(boxes):
        assert box.x0 >= -1 and box.x1 <= figure.bbox.x1 + 1, texts(figure)[k].get_text()
        assert box.y0 >= -1 and box.y1 <= figure.bbox.y1 + 1, texts(figure)[k].get_text()
        for other in boxes[k + 1 :]:
            assert not box.overlaps(other), texts(figure)[k].get_text()


def test_a_skeleton_joins_found_joints_only():
    keypoints = np.full((18, 2), -1.0)
    for joint, place in (("neck", (10, 5)), ("right_hip", (10, 25)), ("left_knee", (30, 20))):
        keypoints[JOINTS.index(joint)] = place
    picture = figures.draw_skeleton(keypoints, 40, 40, thickness=2)
    colours = figures.joint_colours()
    assert (picture[25, 10] == colours[JOINTS.index("right_hip")]).all()
    assert (picture[20, 30] == colours[JOINTS.index("left_knee")]).all()
    assert (picture[8:22, 10].max(-1) > 150).all()  # the limb
    assert (picture[8:22, 12:27] == 0).all()  # no limb to the knee: its hip is missing
    assert (picture[:3] == 0).all()
    ground = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    drawn = figures.draw_skeleton(keypoints, 40, 40, ground, thickness=2)
    touched = (drawn != ground).any(-1)
    assert touched[10, 10] and touched.sum() < 200 and not touched[:, 14:27].any()


def test_sides_have_their_own_colours():
    hue = [max(range(3), key=c.__getitem__) for c in figures.joint_colours().tolist()]
    for joint, name in enumerate(JOINTS):
        if name.startswith("right"):
            assert hue[joint] == 0  # red is strongest
        if name.startswith("left"):
            assert hue[joint] > 0
    assert len(np.unique(figures.joint_colours(), axis=0)) == 18


def test_a_finer_skeleton_lies_on_the_enlarged_image():
    keypoints = np.full((18, 2), -1.0)
    keypoints[1] = 5, 7
    fine = figures.fine_skeleton(keypoints, H, W, 4)
    assert fine.shape == (4 * H, 4 * W, 3)
    y, x = np.nonzero(fine.any(-1))
    assert (x.mean() + 0.5) / 4 == pytest.approx(5.5, abs=0.1)  # the middle of pixel 5
    assert (y.mean() + 0.5) / 4 == pytest.approx(7.5, abs=0.1)


def test_colours_of_heatmaps_and_masks(dataset):
    keypoints = torch.full((1, 18, 2), -1.0)
    keypoints[0, 3], keypoints[0, 12] = torch.tensor([4.0, 6]), torch.tensor([10.0, 25])
    maps = heatmaps(keypoints, H, W)[0]
    colours = figures.joint_colours()
    picture = figures.colour_heatmaps(maps)
    assert (picture[6, 4] == colours[3]).all() and (picture[25, 10] == colours[12]).all()
    assert (picture.any(-1) == maps.any(0).numpy()).all()
    released = heatmaps(keypoints, H, W, values="released")[0]
    assert (figures.colour_heatmaps(released) == picture).all()

    mask = np.zeros((H, W))
    mask[3:9] = 1
    image = dataset.images[0]
    overlay = figures.mask_overlay(image, mask, colour=(200, 0, 0), strength=0.25)
    assert overlay[5, 5].tolist() == np.round(0.75 * image[5, 5] + [50, 0, 0]).tolist()
    assert overlay[20, 5].tolist() == np.round(0.45 * image[20, 5]).tolist()
    assert (figures.gray_mask(mask)[5] == 255).all() and (figures.gray_mask(mask)[20] == 0).all()


def test_a_grid_shows_every_pixel(dataset):
    rows = [list(dataset.images[:3]), list(dataset.images[3:6])]
    shown = pixels(figures.grid(rows, scale=2, breaks=(1,)))
    assert shown.shape == (2 * 64 + 4, 3 * 32 + 2 * 4 + 10, 3)
    for r in range(2):
        for c, left in enumerate((0, 46, 82)):
            cell = shown[68 * r : 68 * r + 64, left : left + 32]
            assert (cell == rows[r][c].repeat(2, 0).repeat(2, 1)).all()
    assert (shown[64:68] == 255).all() and (shown[:, 32:46] == 255).all()


def test_a_grid_mixes_sizes_and_refuses_gaps(dataset):
    fine = dataset.images[1].repeat(4, 0).repeat(4, 1)
    shown = pixels(figures.grid([[dataset.images[0], fine]], scale=4))
    assert (shown[:, 68:] == fine).all()
    for rows in ([], [[]], [list(dataset.images[:2]), list(dataset.images[:1])]):
        with pytest.raises(UserError, match="equal length"):
            figures.grid(rows)


def test_figure4_keeps_the_papers_order_and_its_titles_apart(dataset):
    rows = ("G1+G2+D", "G1-L1", "G1+D", "G1-poseMaskLoss", "G1-HME-L1", "G1-CE-L1")
    assert set(rows) == set(ROWS)
    count = len(dataset.test_pairs)
    generated = {r: np.full((count, H, W, 3), 20 * k, np.uint8) for k, r in enumerate(rows)}
    chosen = np.array([7, 3])
    columns = figures.figure4_columns(dataset, chosen, generated)
    assert list(columns) == ["condition", "pose", "target", *ROWS]
    condition, target = dataset.test_pairs[chosen].T
    assert (columns["condition"] == dataset.images[condition]).all()
    assert (columns["target"] == dataset.images[target]).all()
    pose = figures.fine_skeleton(dataset.keypoints[target[0]], H, W, 8)
    assert (columns["pose"][0] == pose).all()
    assert (columns["G1+G2+D"] == 0).all() and (columns["G1+D"] == 40).all()
    figure = sheets.rows_sheet(dataset, chosen, generated, "person")
    check_texts(figure)
    said = [t.get_text().replace("-\n", "-").replace("\n", " ") for t in texts(figure)]
    assert said == [
        "Condition image", "Target pose", "Target image (GT)", "G1-CE-L1", "G1-HME-L1", "G1-L1",
        "G1-pose-MaskLoss (our coarse)", "G1+D", "G1+G2+D (our refined)", "person 0", "person 0",
    ]  # fmt: skip
    few = {"mine": generated["G1-L1"], "G2-fc+D": generated["G1+D"], "G1+D": generated["G1+D"]}
    few = figures.figure4_columns(dataset, chosen, few)
    assert list(few)[3:] == ["G1+D", "G2-fc+D", "mine"]
    assert figures.colour("mine") in figures.CYCLE and figures.title("mine") == "mine"


def test_figure3_shows_the_steps_to_the_mask(dataset):
    image, keypoints = dataset.images[3], dataset.keypoints[3]
    figure = figures.figure3(image, keypoints)
    check_texts(figure)
    assert len(texts(figure)) == 5
    shown = pixels(figure)[-8 * H :]  # scale 8 makes 128 dots of 16 pixels
    mask = pose_mask(torch.from_numpy(keypoints)[None], H, W)[0, 0].numpy()
    left = 3 * (8 * W + 26)
    assert (shown[4::8, left + 4 : left + 8 * W : 8] == 255 * mask[..., None]).all()
    left = 4 * (8 * W + 26)
    assert (shown[4::8, left + 4 : left + 8 * W : 8] == image * mask[..., None]).all()


def test_other_panels_keep_their_texts_apart(dataset):
    images = dataset.images
    check_texts(figures.pair_sheet(dataset, [0, 5, 9]))
    one = figures.pair_sheet(dataset, [5])
    check_texts(one)
    assert one.get_figwidth() > one.get_figheight()  # a slider and its pictures are seen at once
    difference = (images[3:6].astype(float) - images[:3]) / 127.5
    check_texts(figures.difference_panel(images[:3], difference, images[3:6], images[6:9], "abc"))
    caption = "Both arms lie over the body and three joints are missing; mask-SSIM 0.61."
    figure = figures.grid([list(images[:4])] * 2, captions=[caption] * 2)
    check_texts(figure)
    assert caption in [t.get_text().replace("\n", " ") for t in texts(figure)]


def test_a_difference_map_is_signed_and_its_gain_stated():
    coarse = np.full((1, H, W, 3), 100, np.uint8)
    difference = np.zeros((1, H, W, 3))
    difference[:, :16], difference[:, 16:] = 0.02, -0.01
    figure = figures.difference_panel(coarse, difference, coarse, coarse)
    shown = pixels(figure)[-8 * H :]
    assert "(x50)" in texts(figure)[1].get_text()
    middle = 8 * W + 4 + 4 * W
    assert (shown[40, middle] == 255).all()  # 127.5 + 127.5 * 50 * 0.02
    assert (shown[200, middle] == 64).all()  # 127.5 - 127.5 * 50 * 0.01


def test_heatmap_overview_names_the_joints(dataset):
    keypoints = dataset.keypoints[:1].copy()
    keypoints[0, 2] = -1
    figure = figures.heatmap_overview(
        dataset.images[0], heatmaps(torch.from_numpy(keypoints), H, W)[0]
    )
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[:4] == ["nose", "neck", "(right shoulder)", "right elbow"] and len(titles) == 18
    shown = [np.asarray(axes.images[0].get_array()) for axes in figure.axes]
    x, y = keypoints[0, 0].astype(int)
    assert (shown[0][y, x] == figures.joint_colours()[0]).all()
    assert (shown[2] == (0.5 * dataset.images[0]).astype(np.uint8)).all()


def test_learning_curves_draw_what_was_logged():
    l1 = [{"step": s, "l1": 1 / s} for s in range(1, 11)]
    more = {"d_real": 0.7, "d_fake": 0.2, "adversarial": 1.0, "discriminator": 0.5}
    both = [record | more for record in l1]
    figure = charts.learning_curves({"G1-L1": l1, "G1+D": both})
    assert len(figure.axes) == 3
    raw, smooth = figure.axes[0].lines[:2]
    assert raw.get_xydata() == pytest.approx(np.array([(s, 1 / s) for s in range(1, 11)]))
    assert smooth.get_ydata()[5] == pytest.approx(np.mean([1 / s for s in range(4, 9)]))
    assert smooth.get_ydata()[0] == pytest.approx(np.mean([1, 1 / 2, 1 / 3]))
    assert [t.get_text() for t in figure.legends[0].texts] == ["G1-L1", "G1+D"]
    assert len(charts.learning_curves({"G1-L1": l1}).axes) == 1
    other = [record | {"perceptual": 3.0, "generator": 4.0} for record in l1]
    figure = charts.learning_curves({"mine": other})
    assert [axes.get_title() for axes in figure.axes][1:] == ["perceptual"]
    assert "mine perceptual from 3.000 to 3.000" in figure.get_label()
    with pytest.raises(UserError, match="the logs are empty"):
        charts.learning_curves({"G1-L1": []})


def test_bars_are_as_long_as_the_scores():
    value = {"mean": 0.3, "low": 0.2, "high": 0.45}
    summaries = {
        row: {"scores": {"ssim": value | {"mean": 0.3 + k / 10}, "inception": None}}
        for k, row in enumerate(("condition", "G1-L1"))
    }
    figure = charts.bars_with_intervals(
        summaries, ("ssim", "inception"), {"G1-L1": {"ssim": 0.304}}
    )
    ssim, inception = figure.axes
    assert [bar.get_width() for bar in ssim.patches] == pytest.approx([0.3, 0.4])
    assert list(ssim.lines[0].get_xdata()) == [0.2, 0.45]
    assert list(ssim.lines[-1].get_xydata()[0]) == [0.304, 1]
    assert [t.get_text().strip() for t in inception.texts] == ["no weights"] * 2
    assert ssim.yaxis_inverted() and ssim.get_title() == "SSIM"
    assert [t.get_text() for t in ssim.get_yticklabels()] == ["condition", "G1-L1"]


def test_save_writes_a_png_and_what_made_it(dataset, tmp_path):
    figure = figures.grid([list(dataset.images[:2])], ["a", "b"])
    facts = {"seed": 3, "config": {"profile": "smoke"}, "inputs": {"data": "ab12"},
             "command": "pg2 reproduce", "missing": float("nan")}  # fmt: skip
    path = provenance.save(figure, tmp_path / "new" / "f.png", facts)
    assert sorted(p.name for p in path.parent.iterdir()) == ["f.json", "f.pdf", "f.png"]
    printed = path.with_suffix(".pdf").read_bytes()
    assert printed.startswith(b"%PDF") and b"/Count 1" in printed
    assert b"/FontFile2" in printed  # TrueType
    assert (np.asarray(Image.open(path)) == pixels(figure)).all()
    record = json.loads(path.with_suffix(".json").read_text())
    assert record["seed"] == 3 and record["missing"] is None
    assert record["figure"] == "f.png" and record["inputs"] == {"data": "ab12"}
    assert (record["height"], record["width"]) == pixels(figure).shape[:2]
    assert record["versions"]["torch"].startswith(torch.__version__.split("+")[0])
    assert {"python", "numpy", "scikit-image", "matplotlib", "pg2lib"} <= set(record["versions"])
    assert "commit" in record and "written" in record
    assert record["alt"] == "Grid of images, 1 x 2 (rows x columns). Columns: a; b."
    assert record["people"]
    assert str(tmp_path) not in path.with_suffix(".json").read_text()
    with pytest.raises(UserError, match="end .*f.jpg in .png"):
        provenance.save(figure, tmp_path / "f.jpg", facts)


def test_the_same_picture_keeps_its_record_and_another_gets_one(dataset, tmp_path, monkeypatch):
    images, path = dataset.images[:2], tmp_path / "f.png"
    figure = figures.grid([list(images)], ["a", "b"])
    facts = {"seed": 3, "inputs": {"data": "ab12"}, "pair": (1, 2), "missing": float("nan")}
    provenance.save(figure, path, facts)
    first = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    when = iter(("2030-01-01 00:00:00", "2030-01-02 00:00:00", "2030-01-03 00:00:00"))
    later = {"versions": {"python": "4"}, "commit": "else"}
    monkeypatch.setattr(provenance, "stamp", lambda: later | {"written": next(when)})

    def written():
        return json.loads(path.with_suffix(".json").read_text())["written"]

    path.with_suffix(".pdf").unlink()
    provenance.save(figure, path, facts)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == first
    provenance.save(figure, path, facts | {"inputs": {"data": "cd34"}})
    assert written() == "2030-01-01 00:00:00" and path.read_bytes() == first["f.png"]
    provenance.save(figures.grid([list(images[::-1])], ["a", "b"]), path, facts)
    assert written() == "2030-01-02 00:00:00" and path.read_bytes() != first["f.png"]
    path.write_bytes(b"damaged")
    provenance.save(figure, path, facts)
    assert written() == "2030-01-03 00:00:00" and path.read_bytes() == first["f.png"]


def test_publish_writes_the_figure_and_shows_it(tmp_path):
    summaries = {"G1-L1": {"scores": {"ssim": {"mean": 0.3, "low": 0.2, "high": 0.4}}}}
    figure = charts.bars_with_intervals(summaries, ("ssim",))
    shown = provenance.publish(figure, tmp_path / "bars.png", {"seed": 0})
    assert shown.data.startswith(b"\x89PNG")
    record = json.loads((tmp_path / "bars.json").read_text())
    assert record["alt"].endswith("SSIM: G1-L1 0.300 [0.200, 0.400].") and not record["people"]


def test_a_picture_can_be_saved_in_few_colours(tmp_path):
    figure = charts.learning_curves({"G1-L1": [{"step": k, "l1": 1 / k} for k in range(1, 9)]})
    path = provenance.save(figure, tmp_path / "few.png", {}, colours=8)
    assert len(np.unique(np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3), axis=0)) <= 8
    whole = provenance.save(figure, tmp_path / "all.png", {})
    assert path.stat().st_size < whole.stat().st_size


def test_a_chart_has_tidy_axes():
    figure, axes = charts.chart(4, 2, panels=2)
    assert len(axes) == 2 and not axes[1].spines["top"].get_visible()
    assert list(figure.get_size_inches()) == [4, 2]


def test_png_bytes_for_widgets(dataset):
    data = provenance.to_png_bytes(dataset.images[0])
    assert (np.asarray(Image.open(io.BytesIO(data))) == dataset.images[0]).all()
    figure = figures.grid([list(dataset.images[:1])])
    shown = np.asarray(Image.open(io.BytesIO(provenance.to_png_bytes(figure))))
    assert (shown == pixels(figure)).all()


def test_examples_vary_and_are_complete(dataset):
    chosen = figures.select_examples(dataset, 10, seed=1)
    assert (chosen == figures.select_examples(dataset, 10, seed=1)).all()
    assert (chosen[:4] == figures.select_examples(dataset, 4, seed=1)).all()
    assert (chosen != figures.select_examples(dataset, 10, seed=2)).any()
    condition, target = dataset.test_pairs[chosen].T
    assert len(set(dataset.identities[target])) == 10
    assert (dataset.cameras[condition] != dataset.cameras[target]).mean() > 0.8
    assert (dataset.keypoints[[condition, target]] >= 0).all()
    everything = figures.select_examples(dataset, 10_000)
    assert sorted(everything) == list(range(len(dataset.test_pairs)))


def test_examples_prefer_another_pose(dataset):
    """A pose that is only shifted counts as the same."""
    keypoints = np.random.default_rng(1).integers(5, 9, (40, 18, 2)).astype(np.float32)
    keypoints[1::4] = keypoints[::4] + 3  # the first two images of everyone share a pose
    moved = replace(dataset, keypoints=keypoints, cameras=np.arange(40))
    for seed in range(5):
        pairs = dataset.test_pairs[figures.select_examples(moved, 10, seed)]
        assert not (pairs % 4 < 2).all(1).any()


def test_training_does_not_load_matplotlib():
    code = (
        "import sys, pg2lib.evaluation.score_row, pg2lib.training.loop;"
        "assert 'matplotlib' not in sys.modules;"
        "import pg2lib.results.figures; assert 'matplotlib.pyplot' not in sys.modules;"
        "assert not {'IPython', 'papermill'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
