"""Sheets of pictures that the notebooks show: each a grid made for one question."""

import matplotlib
import numpy as np
import torch

from pg2lib.data import heatmaps
from pg2lib.data.keypoints import JOINTS
from pg2lib.data.rescale import at_height
from pg2lib.evaluation.difficulty import reasons
from pg2lib.results import figures

BLANK = 225  # grey level where there is no picture


def rows_sheet(dataset, chosen, generated, label="ID"):
    """Test pairs (indices `chosen`) through several rows, laid out as Figure 4, each labelled with
    its person; generated: row -> uint8 (k, H, W, 3) images of all test pairs."""
    columns = figures.figure4_columns(dataset, chosen, generated)
    people = dataset.identities[dataset.test_pairs[chosen, 1]]
    labels = [f"{label} {person}" for person in people]
    rows, titles = zip(*columns.values(), strict=True), [figures.title(name) for name in columns]
    return figures.grid(rows, titles, labels, breaks=(3,))


def cameras_sheet(dataset, people, cameras=range(1, 7)):
    """The first image of each person by each camera, blank where that camera never saw them."""
    blank = np.full_like(dataset.images[0], BLANK)
    rows = []
    for person in people:
        indices = np.flatnonzero(dataset.identities == person)
        first = {dataset.cameras[index]: dataset.images[index] for index in indices[::-1]}
        rows.append([first.get(camera, blank) for camera in cameras])
    titles = [f"camera {camera}" for camera in cameras]
    labels = [f"person {person}" for person in people]
    return figures.grid(rows, titles, labels, scale=max(1, 96 // dataset.width))


def joint_sheet(dataset, pair, joint, radius=4):
    """The target image of a test pair with one joint's channel tinted, that channel alone, and
    all 18 channels in their colours."""
    index = dataset.test_pairs[pair, 1]
    keypoints = torch.from_numpy(dataset.keypoints[[index]])
    maps = heatmaps.heatmaps(keypoints, dataset.height, dataset.width, radius)[0].numpy()
    channel = maps[JOINTS.index(joint)]
    tinted = figures.mask_overlay(dataset.images[index], channel)
    pictures = [tinted, figures.gray_mask(channel), figures.colour_heatmaps(maps)]
    return figures.grid([pictures], ["target", joint, "all 18"])


def masks_sheet(dataset, indices, heights=(128, 256)):
    """Images with every variant of their pose mask, made at several heights, over the image at
    the first of them."""
    lowest, rows = heights[0], []
    for index in indices:
        image = at_height(dataset, index, lowest).image
        rows.append([image])
        for height in heights:
            backdrop = figures.enlarged(image, height // lowest)
            pose = torch.from_numpy(at_height(dataset, index, height).keypoints)[None]
            for variant in heatmaps.VARIANTS:
                mask = heatmaps.pose_mask(pose, *backdrop.shape[:2], variant=variant)
                rows[-1].append(figures.mask_overlay(backdrop, mask[0, 0].numpy()))
    titles = [f"{height} rows\n{variant}" for height in heights for variant in heatmaps.VARIANTS]
    breaks = [1 + k * len(heatmaps.VARIANTS) for k in range(len(heights))]
    return figures.grid(rows, ["target", *titles], scale=max(heights) // lowest, breaks=breaks)


def coloured(values, top, name):
    """Values (H, W) as a picture, uint8 (H, W, 3), in a colour map of matplotlib from 0 to `top`;
    the diverging map "RdBu" is from -top (red) to top (blue)."""
    low = -top if name == "RdBu" else 0
    shade = matplotlib.colormaps[name]((np.clip(values, low, top) - low) / (top - low))
    return (255 * shade[..., :3]).astype(np.uint8)


def errors_sheet(dataset, chosen, masks, generated, errors, top=110, gain=30):
    """Test pairs by two rows, each beside its map of errors, and the gain of the second row. masks:
    bool (k, H, W) of all test pairs, tinted in the third column; generated, errors: two rows ->
    uint8 (k, H, W, 3), and (k, H, W) in grey levels; top, gain: grey levels of the brightest error
    and of the fullest red or blue."""
    (first, second), rows = generated, []
    for index in chosen:
        condition, target = (dataset.images[k] for k in dataset.test_pairs[index])
        row = [condition, target, figures.mask_overlay(target, masks[index])]
        for name in generated:
            row += [generated[name][index], coloured(errors[name][index], top, "inferno")]
        row.append(coloured(errors[first][index] - errors[second][index], gain, "RdBu"))
        rows.append(row)
    names = [figures.title(name).partition("\n(")[0] for name in generated]
    titles = ["condition", "target", "weight 2"]
    titles += [names[0], "its error", names[1], "its error", "gain\n(blue)"]
    return figures.grid(rows, titles, breaks=(3, 5, 7), scale=max(1, 96 // dataset.width))


def shifts_sheet(dataset, pair, moved):
    """A test pair's condition image, and what each row generates when the pose moves sideways:
    row -> {shift in pixels: uint8 (k, H, W, 3) of the first k test pairs}."""
    condition = dataset.images[dataset.test_pairs[pair, 0]]
    shifts = next(iter(moved.values()))
    titles = ["condition", *(f"{pixels:+d} px" if pixels else "as it is" for pixels in shifts)]
    rows = [[condition, *(part[pair] for part in images.values())] for images in moved.values()]
    scale = max(1, 96 // dataset.width)
    return figures.grid(rows, titles, list(moved), breaks=(1,), scale=scale)


def failures_sheet(dataset, generated, causes, lines):
    """Pairs that went wrong, with their causes in words; causes, lines: see `difficulty.causes` and
    `difficulty.worst`; generated: uint8 (k, H, W, 3) of all test pairs."""
    rows, captions, size = [], [], (dataset.height, dataset.width)
    for line in lines.itertuples():
        condition, target = dataset.test_pairs[line.pair]
        pose = figures.fine_skeleton(dataset.keypoints[target], *size)
        rows.append([dataset.images[condition], pose, dataset.images[target], generated[line.pair]])
        place = f"{line.cause.upper()}, {line.rank} of {line.of}, score {line.score:.2f}"
        captions.append(f"{place}: {reasons(causes, line.pair)}")
    return figures.grid(rows, [*figures.TITLES.values(), "Generated"], captions=captions)
