"""Attention masks of a chain of blocks: where they look, in pictures and in numbers."""

import numpy as np
import pandas as pd
from PIL import Image

from pg2lib.data import dataset as datasets
from pg2lib.results import figures
from pg2lib.results.sheets import coloured


def mean_masks(masks) -> np.ndarray:
    """The mean over channels of the mask of every block: float (k, blocks, h, w).

    masks: a tensor (k, channels, h, w) per block, in (0, 1).
    """
    return np.stack([mask.mean(1).cpu().numpy() for mask in masks], 1)


def on_bodies(masks, condition, target) -> pd.DataFrame:
    """The mean of each block's mask on parts of the image, a line per block counted from 1.

    Columns: "old place", the body in the condition image alone; "new place", the body in the
    target alone; "both"; "elsewhere". NaN for a part that no image has.

    masks: float (k, blocks, h, w); condition, target: bool (k, H, W), where the two bodies are. H
    and W are whole multiples of h and w.
    """
    high, wide = (condition.shape[n] // masks.shape[n + 1] for n in (1, 2))
    fine = np.asarray(masks, float).repeat(high, 2).repeat(wide, 3)  # (k, blocks, H, W)
    parts = {"old place": condition & ~target, "new place": target & ~condition,
             "both": condition & target, "elsewhere": ~condition & ~target}  # fmt: skip
    blocks = fine.swapaxes(0, 1)  # (blocks, k, H, W)
    means = {
        name: [block[part].mean() if part.any() else np.nan for block in blocks]
        for name, part in parts.items()
    }
    return pd.DataFrame(means, index=pd.RangeIndex(1, len(blocks) + 1, name="block"))


def flow_sheet(dataset, chosen, masks, images):
    """Test pairs on their way through the blocks, two lines each: the image after every block, and
    below it the block's mask, dark where the image code stays as it is. All masks share one scale,
    from the lowest to the highest value.

    chosen: int (k,), indices of test pairs; masks: as of `mean_masks`, of these pairs; images: a
    tensor (k, 3, H, W) in [-1, 1] before the first block and one after each.
    """
    size, low, top = (dataset.height, dataset.width), masks.min(), np.ptp(masks) or 1.0
    painted = [datasets.pictures(image) for image in images]
    blank, rows, labels = np.full((*size, 3), 255, np.uint8), [], []
    for place, (condition, target) in enumerate(dataset.test_pairs[chosen]):
        pose = figures.fine_skeleton(dataset.keypoints[target], *size)
        shown = [coloured(mask - low, top, "inferno") for mask in masks[place]]
        shown = [np.asarray(Image.fromarray(one).resize(size[::-1], Image.Resampling.NEAREST))
                 for one in shown]  # fmt: skip
        rows.append([dataset.images[condition], *(image[place] for image in painted),
                     dataset.images[target]])  # fmt: skip
        rows.append([pose, blank, *shown, blank])
        labels += [f"ID {dataset.identities[target]}", "masks"]
    titles = [
        "Condition,\npose",
        "before",
        *(f"block {k}" for k in range(1, len(images))),
        "Target",
    ]
    return figures.grid(rows, titles, labels, breaks=(1, len(images) + 1))
