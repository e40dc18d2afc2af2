"""Parsing maps: the body part or garment at each pixel, as arrays beside a store.

Drawn people have exact maps. Photographs have pose regions, drawn from the 18 joints: a different
kind of map, and labelled so wherever they are shown.
"""

import numpy as np
import torch

from pg2lib.core.config import require_in
from pg2lib.core.files import UserError
from pg2lib.data.keypoints import found
from pg2lib.data.synthetic import labels as drawn
from pg2lib.data.synthetic.reader import DRAW

# Label sets. "people": the labels of drawn people. "lip": the classes of Look Into Person in their
# order, of which drawn people have some.
LABELS = {
    "people": ("background", "hair", "face", "arms", "legs", "upper", "lower", "shoes", "bag"),
    "lip": (
        "background", "hat", "hair", "glove", "sunglasses", "upper-clothes", "dress", "coat",
        "socks", "pants", "jumpsuits", "scarf", "skirt", "face", "left arm", "right arm",
        "left leg", "right leg", "left shoe", "right shoe",
    ),
}  # fmt: skip
# Names of synthetic.labels.KINDS in each set. A dress is one piece of the upper body; LIP has no
# bag, so it is background there.
MEANING = {
    "people": {
        "hat": "hair", "right arm": "arms", "left arm": "arms", "right leg": "legs",
        "left leg": "legs", "shirt": "upper", "coat": "upper", "dress": "upper",
        "trousers": "lower", "skirt": "lower", "right shoe": "shoes", "left shoe": "shoes",
    },
    "lip": {"shirt": "upper-clothes", "trousers": "pants", "bag": "background"},
}  # fmt: skip
# (label in each set, the capsules between two joints, half their width in pixels at height 128);
# later lines cover earlier ones.
REGIONS = (
    ({"lip": "right leg", "people": "legs"}, ((8, 9), (9, 10)), 5.0),
    ({"lip": "left leg", "people": "legs"}, ((11, 12), (12, 13)), 5.0),
    ({"lip": "upper-clothes", "people": "upper"}, ((2, 5), (2, 8), (5, 11), (8, 11)), 4.0),
    ({"lip": "right arm", "people": "arms"}, ((2, 3), (3, 4)), 3.5),
    ({"lip": "left arm", "people": "arms"}, ((5, 6), (6, 7)), 3.5),
    (
        {"lip": "face", "people": "face"},
        ((0, 0), (0, 14), (0, 15), (14, 16), (15, 17), (16, 17)),
        6.0,
    ),
)
LAYERS = ((0, 1), (2,), (3, 4), (5,))  # lines of REGIONS; in a layer the nearer one wins
TRUNK = (2, ((2, 5, 11), (2, 11, 8), (2, 5, 8), (5, 8, 11)))  # its line, and its triangles


def count(labels: str) -> int:
    """Number of labels in a set of LABELS, including background."""
    return len(LABELS[require_in("set of labels", labels, LABELS)])


def draw_map(dataset, identity, view, seed=0, height=128, width=64, labels="people"):
    """The exact map of a view of a drawn data set: uint8 (H, W), indices of LABELS[labels].

    With "people" it is 0 exactly where the silhouette is False. Arguments and errors: see
    `synthetic.draw`.
    """
    names, meaning = LABELS[labels], MEANING[labels]
    table = np.array([names.index(meaning.get(kind, kind)) for kind in drawn.KINDS], np.uint8)
    return table[drawn.draw_kinds(dataset, identity, view, seed, height, width)]


def pose_regions(keypoints, height, width, labels="people"):
    """Maps drawn from keypoints (B, 18, 2): legs, trunk, arms and head as capsules between found
    joints, and the trunk filled.

    Returns uint8 (B, H, W), indices of LABELS[labels].
    """
    device, names = keypoints.device, LABELS[labels]
    x = torch.arange(width, device=device)
    y = torch.arange(height, device=device)[:, None]
    reach = [_reach(keypoints, x, y, *region[1:], height / 128) for region in REGIONS]
    for corners in TRUNK[1]:
        inside = _triangle(keypoints[:, list(corners)], x, y)
        reach[TRUNK[0]] = reach[TRUNK[0]].masked_fill(inside, -1.0)
    maps = torch.zeros(len(keypoints), height, width, dtype=torch.uint8, device=device)
    for layer in LAYERS:
        distance, nearest = torch.stack([reach[line] for line in layer]).min(0)
        marks = [names.index(REGIONS[line][0][labels]) for line in layer]
        marked = torch.tensor(marks, dtype=torch.uint8, device=device)[nearest]
        maps = torch.where(distance <= 0, marked, maps)
    return maps


def _reach(keypoints, x, y, capsules, radius, scale):
    """Distance of each pixel from the capsules, (B, H, W): below 0 inside, inf if no capsule has
    both joints."""
    distance = torch.full((len(keypoints), len(y), len(x)), torch.inf, device=keypoints.device)
    there = found(keypoints)
    for a, b in capsules:
        start, end = keypoints[:, a, :, None, None], keypoints[:, b, :, None, None]  # (B, 2, 1, 1)
        along = end - start
        square = along.square().sum(1).clamp(min=1e-6)  # (B, 1, 1)
        dx, dy = x - start[:, 0], y - start[:, 1]  # (B, 1, W), (B, H, 1)
        share = ((dx * along[:, 0] + dy * along[:, 1]) / square).clamp(0, 1)  # (B, H, W)
        away = torch.hypot(dx - share * along[:, 0], dy - share * along[:, 1])
        both = (there[:, a] & there[:, b])[:, None, None]
        distance = torch.where(both, torch.minimum(distance, away), distance)
    return distance - radius * scale


def _triangle(corners, x, y):
    """Whether pixels are in triangles (B, 3, 2) whose corners were all found: bool (B, H, W)."""
    sides = []
    for k in range(3):
        (xa, ya), (xb, yb) = (corners[:, j % 3, :, None, None].unbind(1) for j in (k, k + 1))
        sides.append((xb - xa) * (y - ya) - (yb - ya) * (x - xa))  # (B, H, W)
    sides = torch.stack(sides)
    inside = (sides >= 0).all(0) | (sides <= 0).all(0)
    return inside & found(corners).all(1)[:, None, None]


def flip_maps(maps, labels="people"):
    """Maps (..., H, W) of mirrored images, NumPy or torch; left labels become right ones."""
    names = LABELS[labels]
    swapped = [_other_side(name) for name in names]
    table = [names.index(name) for name in swapped]
    if isinstance(maps, np.ndarray):
        return np.array(table, maps.dtype)[maps[..., ::-1]]
    return torch.tensor(table, dtype=maps.dtype, device=maps.device)[maps.flip(-1).long()]


def _other_side(name):
    for a, b in (("left ", "right "), ("right ", "left ")):
        if name.startswith(a):
            return b + name.removeprefix(a)
    return name


def one_hot(maps, labels="people"):
    """Integer maps (B, H, W) as float32 (B, labels, H, W) of 0 and 1."""
    numbers = torch.arange(count(labels), device=maps.device)[:, None, None]
    return (maps[:, None] == numbers).float()


def source_of(dataset_name: str) -> str:
    """The source of a data set's maps, for tables: "drawn" or "pose regions"."""
    return "drawn" if dataset_name in DRAW else "pose regions"


def write(dataset, path, labels="people", progress=None):
    """Write the maps of all images of a Dataset as an .npy file, uint8 (n, H, W)."""
    size = dataset.height, dataset.width
    maps = np.lib.format.open_memmap(path, "w+", np.uint8, (len(dataset.images), *size))
    for start in range(0, len(maps), 64):
        rows = range(start, min(start + 64, len(maps)))
        if source_of(dataset.name) == "drawn":
            maps[rows] = [_drawn_again(dataset, row, labels) for row in rows]
        else:
            poses = torch.from_numpy(dataset.keypoints[rows])
            maps[rows] = pose_regions(poses, *size, labels).numpy()
        if progress:
            progress(rows.stop, len(maps))
    maps.flush()


def _drawn_again(dataset, row, labels):
    view = int(dataset.names[row].split("_")[2])  # 0007_c1s1_000003_00.jpg: view 3 of person 7
    seed = dataset.card["config"]["seed"]
    size = dataset.height, dataset.width
    return draw_map(dataset.name, int(dataset.identities[row]), view, seed, *size, labels)


def read(path, dataset):
    """Read the maps that `write` wrote for a Dataset. Raises UserError if they do not match it."""
    maps = np.load(path, mmap_mode="c")  # torch wants arrays it may write to
    if maps.shape != (len(dataset.images), dataset.height, dataset.width):
        raise UserError(f"{path} holds no parsing maps of these images; delete its folder")
    return maps
