"""Opened data sets, their pairs and batches, for training and scoring.

Every random choice is a pure function of a seed.
"""

import json
import mmap
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import count, permutations
from pathlib import Path

import numpy as np
import torch

from pg2lib.core.config import DataConfig
from pg2lib.core.files import UserError
from pg2lib.data.keypoints import flip_keypoints

BLOCK = 4 << 20  # bytes of images handled at once
ARRAYS = "images keypoints identities cameras names train train_pairs test_pairs".split()


@dataclass(frozen=True)
class Dataset:
    """An opened store of n images. Keypoints are whole pixels; pairs are (condition, target)."""

    name: str
    height: int
    width: int
    images: np.ndarray  # uint8 (n, H, W, 3), a memory map
    keypoints: np.ndarray  # float32 (n, 18, 2)
    identities: np.ndarray  # int64 (n,)
    cameras: np.ndarray  # int64 (n,), 1 to 6 as in the names; DeepFashion: the view, 1 to 7
    names: list[str]
    train: np.ndarray  # bool (n,), False for the test images
    train_pairs: np.ndarray  # int64 (m, 2), every ordered pair
    test_pairs: np.ndarray  # int64 (k, 2), a published list, or a sample in random order
    card: dict
    extras: dict[str, np.ndarray] = field(default_factory=dict)  # more arrays of n rows

    @property
    def silhouettes(self) -> np.ndarray | None:
        """bool (n, H, W) of drawn people, else None."""
        return self.extras.get("silhouettes")


@dataclass(frozen=True)
class DeviceImages:
    """Images and keypoints to make batches of, on the keypoints' device."""

    images: torch.Tensor  # uint8 (n, 3, H, W), on the same device if they fit, else the CPU
    keypoints: torch.Tensor  # float32 (n, 18, 2)


@dataclass(frozen=True)
class Batch:
    condition: torch.Tensor  # I_A: float32 (B, 3, H, W) in [-1, 1]
    target: torch.Tensor  # I_B
    condition_keypoints: torch.Tensor  # P_A: float32 (B, 18, 2)
    target_keypoints: torch.Tensor  # P_B
    extras: dict = field(default_factory=dict)  # name -> (B, ...), such as parsing maps


# ---------------------------------------------------------------- opening a store


def load(folder):
    """The Dataset in a folder of `prepare.prepare`. Raises UserError if incomplete or damaged."""
    return open_arrays(Path(folder), read_card(Path(folder)))


def read_card(folder):
    """The data card of a complete store. Raises UserError if there is none."""
    try:
        card = json.loads((folder / "card.json").read_text())
        return card | {"config": dict(card["config"])}
    except FileNotFoundError:
        raise UserError(f"{folder} holds no complete data set (no card.json).") from None
    except (ValueError, KeyError, TypeError):  # no text, no JSON or another file's
        raise UserError(f"{folder / 'card.json'} is damaged; delete the folder.") from None


def open_arrays(folder, card):
    """The Dataset of a store's arrays and card."""
    try:
        config = DataConfig(**card["config"])
        size = config.height, config.width
        arrays = {name: np.load(folder / f"{name}.npy") for name in ARRAYS if name != "images"}
        # "c": copy-on-write, because torch wants writable arrays.
        arrays["images"] = np.load(folder / "images.npy", mmap_mode="c")
        others = (path for path in folder.glob("*.npy") if path.stem not in ARRAYS)
        extras = {path.stem: _open_extra(path, size) for path in others}
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{folder} is damaged ({error}); delete it and prepare it again.") from None
    arrays["names"] = arrays["names"].tolist()
    return Dataset(config.dataset, *size, **arrays, card=card, extras=extras)


def renamed(dataset, name):
    """The Dataset, and its card, under another name."""
    return replace(dataset, name=name, card=dataset.card | {"dataset": name})


def _open_extra(path, size):
    """An array with n rows; a 2-D one holds packed masks: bool (n, H, W)."""
    array = np.load(path, mmap_mode="c")
    if array.ndim != 2:
        return array
    return np.unpackbits(array, axis=1, count=size[0] * size[1]).view(bool).reshape(-1, *size)


def blocks(images):
    """Yield the images (n, ...) as contiguous arrays of a few megabytes."""
    rows = max(1, BLOCK // images[0].nbytes)
    whole = isinstance(images, np.memmap) and isinstance(images.base, mmap.mmap)
    for start in range(0, len(images), rows):
        if whole:  # mapped anew each time, else pages already read stay resident
            how = images.filename, images.dtype, "c", images.offset, images.shape
            images = np.memmap(*how)
        yield np.ascontiguousarray(images[start : start + rows])


# ---------------------------------------------------------------- pairs and batches


def ordered_pairs(identities, usable):
    """Every ordered pair of two different usable images of one person.

    The paper asks for a different pose; like the released code and the standard lists, this does
    not test for it. "Usable" is the standard rule, `keypoints.torso_found`.

    int (n,) and bool (n,) to int64 (m, 2), indices (condition, target), grouped by person.
    """
    people = (np.flatnonzero(usable & (identities == i)) for i in np.unique(identities[usable]))
    pairs = [pair for images in people for pair in permutations(images.tolist(), 2)]
    return np.array(pairs, np.int64).reshape(-1, 2)


def on_device(dataset, device):
    """The DeviceImages of a Dataset.

    On a CPU the images are a view of the file; only pages that a batch touches are read. A GPU gets
    a copy if they need less than half of its free memory, else such a view.
    """
    images = torch.from_numpy(dataset.images)
    keypoints = torch.from_numpy(dataset.keypoints).to(device)
    device = keypoints.device
    fits = device.type != "cuda" or images.nbytes < torch.cuda.mem_get_info(device)[0] / 2
    images = images.to(device) if fits else images
    return DeviceImages(images.permute(0, 3, 1, 2), keypoints)  # (n, 3, H, W)


def pair_order(pairs_count, batch, seed, step):
    """The pairs in the batch of a step: a pure function, so that a resumed run continues exactly.

    The paper adds the mirror image of every pair (its 439,420 training pairs include them): an
    epoch is one shuffle of all 2 * pairs_count entries, and batches cross epoch ends. The released
    code reads all mirrored pairs before the first original one; this does not.

    Returns CPU tensors: indices int64 (batch,) below pairs_count, and flip, bool (batch,). Raises
    UserError if there are no pairs.
    """
    if pairs_count < 1:
        raise UserError("there are no training pairs to draw from.")
    epochs, places = np.divmod(np.arange(step * batch, (step + 1) * batch), 2 * pairs_count)
    entries = np.empty(batch, np.int64)
    for epoch in np.unique(epochs):
        inside = epochs == epoch
        entries[inside] = _shuffled(2 * pairs_count, seed, int(epoch))[places[inside]]
    return torch.from_numpy(entries % pairs_count), torch.from_numpy(entries >= pairs_count)


@lru_cache(maxsize=4)
def _shuffled(count, seed, epoch):
    return np.random.default_rng((seed, epoch)).permutation(count)


def make_batch(data, pairs, flip):
    """The Batch of pairs int64 (B, 2), (condition, target), of DeviceImages, on the device of the
    keypoints. Both images of a pair marked in `flip`, bool (B,), are mirrored with their joints."""
    device = data.keypoints.device
    pairs, flip = (t.to(device, non_blocking=True) for t in (pairs, flip))
    both = pairs.T.flatten()  # (2B,): all conditions, then all targets
    # In memory order, (2B, H, W, 3): ten times as fast as (2B, 3, H, W) on a CPU.
    rows = data.images.permute(0, 2, 3, 1).index_select(0, both.to(data.images.device))
    images, keypoints = rows.to(device).permute(0, 3, 1, 2), data.keypoints.index_select(0, both)
    images, keypoints = flip_batch(images, keypoints, flip.repeat(2))
    return Batch(*to_float(images.contiguous()).chunk(2), *keypoints.chunk(2))


def batches(data, pairs, batch, seed, step, share=slice(None)):
    """Yield the batches of `step`, `step` + 1, ... without end (see `pair_order`).

    Args:
        data: DeviceImages.
        pairs: int64 (m, 2), all training pairs, any device. UserError if there are none.
        batch: pairs per step, over all processes.
        share: slice of each batch for this process, as slice(rank, None, world).
    """
    pairs = pairs.cpu()  # a few MB, read row by row
    for number in count(step):
        index, flip = pair_order(len(pairs), batch, seed, number)
        yield make_batch(data, pairs[index[share]], flip[share])


def flip_batch(images, keypoints, flip):
    """Mirror images (B, C, H, W) and keypoints (B, 18, 2) where flip, bool (B,), is True."""
    mirrored = flip_keypoints(keypoints, images.shape[-1])
    images = torch.where(flip[:, None, None, None], images.flip(-1), images)
    return images, torch.where(flip[:, None, None], mirrored, keypoints)


def to_float(images):
    """uint8 images to float32 in [-1, 1]: x / 127.5 - 1, as in the released code."""
    return (images / 127.5).sub_(1)


def to_uint8(images):
    """Images in [-1, 1] (clamped) to uint8; images are rounded only here.

    The released code truncates, which darkens by half a grey level; this rounds to nearest.
    """
    return ((images.detach().float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def pictures(images):
    """Images (B, 3, H, W) in [-1, 1] to NumPy uint8 (B, H, W, 3), through `to_uint8`."""
    return to_uint8(images).permute(0, 2, 3, 1).cpu().numpy()
