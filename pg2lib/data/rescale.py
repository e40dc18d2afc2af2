"""Images of a data set at another size: drawn people are redrawn, photographs enlarged."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from pg2lib.data.keypoints import found
from pg2lib.data.synthetic.reader import DRAW


@dataclass(frozen=True)
class View:
    """One image: uint8 (H, W, 3), keypoints float32 (18, 2), silhouette bool (H, W) or None."""

    image: np.ndarray
    keypoints: np.ndarray
    silhouette: np.ndarray | None


def at_height(dataset, index, height) -> View:
    """Image `index` of a Dataset with `height` rows and the same aspect ratio, and its keypoints,
    scaled by pixel centres. Photographs have no silhouette."""
    factor = height / dataset.height
    width = round(dataset.width * factor)
    keypoints = dataset.keypoints[index]
    scaled = np.where(found(keypoints)[:, None], (keypoints + 0.5) * factor - 0.5, -1)
    keypoints = scaled.astype(np.float32)
    if dataset.name not in DRAW:
        image = Image.fromarray(dataset.images[index])
        return View(np.asarray(image.resize((width, height), Image.NEAREST)), keypoints, None)
    view = int(dataset.names[index].split("_")[2])  # 0007_c1s1_000003_00.jpg: view 3 of person 7
    seed = dataset.card["config"]["seed"]
    drawn = DRAW[dataset.name](int(dataset.identities[index]), view, seed, height, width)
    return View(drawn.image, keypoints, drawn.silhouette)
