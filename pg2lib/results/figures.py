"""Images in grids: the paper's Figures 1, 3, 4 and 6, and the sheets of the notebooks. Functions on
images (`draw_skeleton`, `mask_overlay`, ...) return uint8 arrays to put into a `grid`; the others
return a matplotlib Figure for `provenance.publish`."""

import colorsys
import textwrap
from itertools import product

import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageDraw

from pg2lib.core.files import UserError
from pg2lib.data.heatmaps import heatmaps as joint_heatmaps
from pg2lib.data.heatmaps import pose_mask, pose_skeleton
from pg2lib.data.keypoints import JOINTS, LIMBS, found
from pg2lib.models import METHODS
from pg2lib.results.provenance import DPI, FONT, GREY, INK, PICTURES, STYLE, new_figure

CELL = 128  # approximate width of an image in a grid, in dots
# Colours and titles other than those of methods, which are in the registry.
COLOURS = {"condition": "#999999", "target": "#444444"}
TITLES = {"condition": "Condition image", "pose": "Target pose", "target": "Target image (GT)"}
CYCLE = ("#cc79a7", "#b8860b", "#117733", "#882255", "#44aa99", "#332288")  # unknown rows


def colour(row):
    """The colour of a row wherever it is drawn; unknown rows get one of CYCLE."""
    own = METHODS[row].colour if row in METHODS else COLOURS.get(row)
    return own or CYCLE[sum(map(ord, row)) % len(CYCLE)]


def title(name):
    """A column's title: of a row, "condition", "pose" or "target"; other names unchanged."""
    return (METHODS[name].title if name in METHODS else TITLES.get(name)) or name


def joint_colours():
    """An RGB colour per joint, uint8 (18, 3): the right side warm, the left side cool."""
    hues = np.empty(18)
    hues[[0, 1]] = 0.14, 0.17
    hues[[2, 3, 4, 8, 9, 10, 14, 16]] = np.linspace(0.11, -0.10, 8)  # right: yellow to magenta
    hues[[5, 6, 7, 11, 12, 13, 15, 17]] = np.linspace(0.28, 0.74, 8)  # left: green to violet
    rgb = [colorsys.hsv_to_rgb(hue % 1, 0.75, 1.0) for hue in hues]
    return np.round(np.array(rgb) * 255).astype(np.uint8)


def draw_skeleton(keypoints, height, width, image=None, thickness=None):
    """The pose as a stick figure, uint8 (H, W, 3): limbs between joints that were both found, a
    dot per joint, on `image` (None: black). keypoints (18, 2) in its pixels; thickness of a limb
    in pixels, None: height / 40."""
    keypoints, fine = np.asarray(keypoints, float), 4
    ground = Image.new("RGB", (width, height)) if image is None else Image.fromarray(image)
    canvas = ground.resize((width * fine, height * fine), Image.Resampling.NEAREST)
    brush, colours, known = ImageDraw.Draw(canvas), joint_colours(), found(keypoints)
    points = (keypoints + 0.5) * fine - 0.5
    thick = (thickness or height / 40) * fine
    for start, end in LIMBS:
        if known[start] and known[end]:
            shade = tuple((colours[end] * 0.7).astype(int).tolist())  # of the outer joint
            brush.line([*points[start], *points[end]], fill=shade, width=max(1, round(thick)))
    for joint in np.flatnonzero(known):
        (x, y), r = points[joint], 0.75 * thick
        brush.ellipse((x - r, y - r, x + r, y + r), fill=tuple(colours[joint].tolist()))
    return np.asarray(canvas.resize((width, height), Image.Resampling.BOX))


def cell_scale(width):
    """The whole factor that makes an image about `CELL` dots wide."""
    return max(1, round(CELL / width))


def colour_heatmaps(heatmaps):
    """18 heatmaps (18, H, W) in one picture, uint8 (H, W, 3): each joint in its colour."""
    maps = np.asarray(heatmaps, float).clip(0, 1)
    return (maps[..., None] * joint_colours()[:, None, None]).max(0).astype(np.uint8)


def mask_overlay(image, mask, colour=(0, 190, 160), strength=0.5):
    """The image (H, W, 3) uint8 with the mask (H, W) tinted and the rest darkened."""
    inside = np.asarray(mask, bool)[..., None]
    tinted = (1 - strength) * image + strength * np.array(colour)
    return np.where(inside, tinted, 0.45 * image).round().astype(np.uint8)


def gray_mask(mask):
    """A mask (H, W) of 0 and 1 as a white-on-black picture, uint8 (H, W, 3)."""
    return np.repeat(np.asarray(mask, bool)[..., None] * np.uint8(255), 3, -1)


@STYLE
def grid(rows, titles=(), row_labels=(), captions=(), scale=None, breaks=(), arrows=False):
    """Images in rows and columns with thin gaps.

    Args:
        rows: rows of uint8 images (H, W, 3); all of one size, or whole multiples of it, drawn
            finer. UserError: different lengths, or nothing to draw.
        titles, row_labels, captions: above the columns, left and right of the rows; titles and
            captions are wrapped unless they have line breaks.
        scale: dots per pixel of the smallest image; None makes a column about `CELL` dots wide.
        breaks: columns before which the gap is wider.
        arrows: draw an arrow from each column to the next.
    """
    rows = [list(row) for row in rows]
    if not rows or not rows[0] or any(len(row) != len(rows[0]) for row in rows):
        raise UserError(f"a grid needs rows of equal length, not {[len(row) for row in rows]}.")
    canvas, lefts, middles, gap = _paste(rows, scale, breaks, arrows)
    wide, dot, per_line = canvas.shape[1] - lefts[-1], 72 / DPI, 34  # dot: in points
    line = 1.25 * FONT / dot  # height of a line of text in dots
    room = int(wide * dot / (0.56 * FONT))  # characters that fit above a column
    headings = [_wrapped(text, room, hyphens=True) for text in titles]
    top = line * max((text.count("\n") + 1.4 for text in headings), default=0)
    left_margin = max((len(part) for label in row_labels for part in label.split("\n")), default=0)
    left_margin = (left_margin * 0.66 * FONT + 9) / dot if left_margin else 0
    right_margin = (per_line * 0.56 * FONT + 8) / dot if captions else 0
    full_width = left_margin + canvas.shape[1] + right_margin
    full_height = top + canvas.shape[0]

    figure = new_figure(full_width / DPI, full_height / DPI)
    share = canvas.shape[1] / full_width, canvas.shape[0] / full_height
    axes = figure.add_axes((left_margin / full_width, 0, *share))
    axes.imshow(canvas, aspect="auto")
    axes.set_axis_off()
    for text, left in zip(headings, lefts, strict=False):
        axes.text(left + wide / 2, -0.35 * line, text, ha="center", va="bottom", linespacing=1.1)
    for label, middle in zip(row_labels, middles, strict=False):
        axes.text(-6 / dot, middle, label, ha="right", va="center")
    for caption, middle in zip(captions, middles, strict=False):
        axes.text(canvas.shape[1] + 6 / dot, middle, _wrapped(caption, per_line), va="center")
    for left, middle in product(lefts[1:], middles) if arrows else ():
        tips = {"xy": (left - 4, middle), "xytext": (left - gap + 4, middle)}
        axes.annotate("", **tips, arrowprops={"arrowstyle": "->", "color": INK})
    figure.set_gid(PICTURES)
    figure.set_label(_grid_text(rows, titles, row_labels, captions))
    return figure


def _paste(rows, scale, breaks, arrows):
    """The canvas of a grid (H, W, 3), left ends of its columns, middles of its rows, the gap."""
    sizes = [image.shape[:2] for row in rows for image in row]
    high, wide = map(min, zip(*sizes))
    scale = scale or cell_scale(wide)
    high, wide = scale * high, scale * wide
    gap, wider = (26, 0) if arrows else (4, 10)
    lefts = [k * (wide + gap) + wider * sum(k >= b for b in breaks) for k in range(len(rows[0]))]
    canvas = np.full((len(rows) * (high + gap) - gap, lefts[-1] + wide, 3), 255, np.uint8)
    for r, row in enumerate(rows):
        for image, left in zip(row, lefts, strict=True):
            cell = enlarged(image, high // image.shape[0])
            canvas[r * (high + gap) :, left:][:high, :wide] = cell
    return canvas, lefts, [r * (high + gap) + high / 2 for r in range(len(rows))], gap


def _grid_text(rows, titles, row_labels, captions):
    """The alternative text of a grid."""
    text = f"Grid of images, {len(rows)} x {len(rows[0])} (rows x columns)."
    for name, texts in (("Columns", titles), ("Rows", row_labels), ("Captions", captions)):
        listed = "; ".join(texts).replace("-\n", "-").replace("\n", " ")
        text += f" {name}: {listed}." if any(texts) else ""
    return text


def figure4_columns(dataset, chosen, generated):
    """The columns of Figure 4 for the test pairs `chosen`, name -> images: condition image, target
    pose, target image, the registered rows in the order of the tables, then any other rows.
    generated: row -> uint8 (k, H, W, 3) of all test pairs."""
    condition, target = dataset.test_pairs[chosen].T
    poses = [fine_skeleton(dataset.keypoints[k], dataset.height, dataset.width) for k in target]
    columns = {"condition": dataset.images[condition], "pose": poses,
               "target": dataset.images[target]}  # fmt: skip
    order = [row for row in METHODS if row in generated]
    order += [row for row in generated if row not in order and row not in columns]
    return columns | {row: generated[row][chosen] for row in order}


def fine_skeleton(keypoints, height, width, scale=None, image=None):
    """`draw_skeleton` at `scale` times the size of the keypoints' picture; None: as in a grid."""
    scale = scale or cell_scale(width)
    keypoints = np.where(found(keypoints)[:, None], (keypoints + 0.5) * scale - 0.5, -1)
    image = None if image is None else enlarged(image, scale)
    return draw_skeleton(keypoints, height * scale, width * scale, image)


def figure3(image, keypoints, radius=4):
    """Figure 3 of the paper, from keypoints (18, 2) to the pose mask as released, step by step;
    radius in pixels."""
    height, width = image.shape[:2]
    batch = torch.as_tensor(np.asarray(keypoints, np.float32))[None]
    maps = joint_heatmaps(batch, height, width, radius)[0].numpy()  # (18, H, W)
    tubes = pose_skeleton(batch, height, width, radius)[0, 0].numpy()
    mask = pose_mask(batch, height, width, radius)[0, 0].numpy()
    pictures = {
        "Keypoints": fine_skeleton(keypoints, height, width, image=image),
        f"Heatmaps $P_B$\n(radius {radius})": colour_heatmaps(maps),
        "Joints connected": gray_mask(tubes),
        "Pose mask $M_B$\n(holes closed)": gray_mask(mask),
        "Image times mask": (image * mask[..., None]).astype(np.uint8),
    }
    return grid([list(pictures.values())], list(pictures), arrows=True)


@STYLE
def heatmap_overview(image, heatmaps, columns=9):
    """The 18 heatmaps (18, H, W), each over its darkened image, with the joints' names."""
    maps, (height, width) = np.asarray(heatmaps, float).clip(0, 1), image.shape[:2]
    scale, rows = max(1, round(0.75 * CELL / width)), -(-len(maps) // columns)
    wide, high = columns * (width * scale + 10), rows * (height * scale + 40)  # in dots
    figure = new_figure(wide / DPI, high / DPI)
    figure.subplots_adjust(0.005, 0.005, 0.995, 1 - 36 / high, 0.06, 0.16)
    spots = figure.subplots(rows, columns, squeeze=False).flat
    for spot, joint, one, shade in zip(spots, JOINTS, maps, joint_colours()):
        weight, present, name = one[..., None], one.max() > 0, joint.replace("_", " ")
        spot.imshow((0.5 * image * (1 - weight) + shade * weight).astype(np.uint8))
        look = {"fontsize": 0.85 * FONT, "color": INK if present else GREY, "pad": 2}
        spot.set_title(name if present else f"({name})", **look)
    for spot in figure.axes:
        spot.set_axis_off()
    figure.set_gid(PICTURES)
    figure.set_label("The 18 heatmaps, each over the darkened image; joints not found in brackets.")
    return figure


def pair_sheet(dataset, chosen, variant="released"):
    """Test pairs, one per column, a single one in a row: condition, its keypoints, target, its
    keypoints, pose mask of the given variant."""
    size, images, keypoints = (dataset.height, dataset.width), dataset.images, dataset.keypoints
    condition, target = dataset.test_pairs[chosen].T

    def posed(indices):
        dark = [(images[k] * 0.45).astype(np.uint8) for k in indices]
        return [fine_skeleton(keypoints[k], *size, image=d) for k, d in zip(indices, dark)]

    masks = pose_mask(torch.from_numpy(keypoints[target]), *size, variant=variant)[:, 0]
    masked = [mask_overlay(image, mask) for image, mask in zip(images[target], masks, strict=True)]
    rows = [images[condition], posed(condition), images[target], posed(target), masked]
    labels = ["condition", "its keypoints", "target", "its keypoints", "pose mask"]
    people = [f"person {dataset.identities[k]}" for k in target]
    if len(people) == 1:
        return grid([[row[0] for row in rows]], labels, people)
    return grid(rows, people, labels)


def difference_panel(coarse, difference, refined, target, row_labels=()):
    """I_B1, the difference map (n, H, W, 3) in units of [-1, 1] images, I_B2 and the real image,
    pair by pair. The map is drawn around mid-grey and amplified; its title says by how much."""
    difference = np.asarray(difference, float)
    strong = np.quantile(np.abs(difference), 0.995) or 1.0
    gain = next(g for g in (1, 2, 5, 10, 20, 50, 100) if g * 2 * strong > 1 or g == 100)
    drawn = (127.5 + 127.5 * gain * difference).clip(0, 255).round().astype(np.uint8)
    title = "Difference\nmap" + (f" (x{gain})" if gain > 1 else "")
    titles = ["Coarse\n$I_{B1}$", title, "Refined\n$I_{B2}$", "Target\n(GT)"]
    return grid(zip(coarse, drawn, refined, target, strict=True), titles, row_labels)


def select_examples(dataset, count, seed=0):
    """Indices int64 (count,) of informative test pairs, chosen without any generated image.

    A pair gets a point each for different cameras, for at most two missing joints on either side,
    and for poses that differ by more than in a quarter of the pairs. Pairs with more points come
    first, in seeded random order, and every person once before anyone twice."""
    condition, target = np.asarray(dataset.test_pairs).T
    known = found(dataset.keypoints)
    both = (known[condition] & known[target])[..., None]  # (k, 18, 1)
    shift = np.where(both, dataset.keypoints[target] - dataset.keypoints[condition], 0)
    joints = both.sum(1).clip(min=1)  # (k, 1)
    shift = np.where(both, shift - (shift.sum(1) / joints)[:, None], 0)  # minus the mean shift
    moved = np.sqrt((shift**2).sum((1, 2)) / joints[:, 0])  # (k,) in pixels
    whole = np.minimum(known[condition].sum(1), known[target].sum(1)) >= 16
    cameras = np.asarray(dataset.cameras)
    good = (cameras[condition] != cameras[target]) + whole.astype(int)
    good += moved > np.quantile(moved, 0.25)

    pairs = pd.DataFrame({"good": good, "person": np.asarray(dataset.identities)[target]})
    pairs = pairs.iloc[np.random.default_rng((seed, 4)).permutation(len(target))]
    pairs = pairs.sort_values("good", ascending=False, kind="stable")
    turn = pairs.groupby("person").cumcount()  # index of the pair within its person
    return turn.sort_values(kind="stable").index.to_numpy()[:count]


def enlarged(image, factor):
    """The image (H, W, 3) with every pixel repeated factor x factor times."""
    return np.asarray(image).repeat(factor, 0).repeat(factor, 1)


def _wrapped(text, width, hyphens=False):
    """Text in lines of at most `width` characters; unchanged if it has line breaks already."""
    if "\n" in text:
        return text
    return "\n".join(textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=hyphens))
