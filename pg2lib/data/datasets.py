"""Data sets, pairs and batches: everything between a folder of images and a training step.

`prepare` turns drawn people, Market-1501 or DeepFashion into one folder of plain NumPy files,
`load` opens it, `batches` gathers its pairs for the training device. Every random choice here is
a pure function of a seed.
"""

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from itertools import count
from pathlib import Path

import numpy as np
import torch

from pg2lib.core.files import UserError, write_atomically
from pg2lib.data import deepfashion as fashion
from pg2lib.data import market1501 as market
from pg2lib.data import store
from pg2lib.data.keypoints import JOINTS, flip_keypoints, found, torso_found
from pg2lib.data.synthetic import draw, draw_fashion

READERS = {"market1501": market, "deepfashion": fashion}
DRAWN = {"synthetic-market": draw, "synthetic-fashion": draw_fashion}
DATASETS = (*DRAWN, *READERS)
WHOLE_TRAINING_SET = market.WHOLE_TRAINING_SET
AHEAD = 2  # batches that are fetched before they are asked for


@dataclass(frozen=True)
class DataConfig:
    """Which images, people and pairs; the defaults are the whole synthetic set."""

    dataset: str = "synthetic-market"  # one of DATASETS
    height: int = 128
    width: int = 64  # DeepFashion: square as in paper and released code; later papers crop to 176
    train_identities: int | None = None  # None: all (synthetic: 751; Market: all but test)
    test_identities: int = 100  # unused where the official test images are there
    images_per_identity: int | None = None  # at most; None: as in Market-1501
    test_pairs: int = 12_000  # drawn without replacement from all ordered test pairs
    seed: int = 0
    # DeepFashion's annotation: "256x256" as PATN's, "176x256" as its -resize- and other copies;
    # "detect" looks where the joints are. (The released code has keypoints of its own.)
    keypoint_frame: str = "detect"

    def as_dict(self) -> dict:
        """The fields that decide what is in a store."""
        fields = asdict(self)
        if self.dataset != "deepfashion":
            del fields["keypoint_frame"]
        return fields


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
    silhouettes: np.ndarray | None  # bool (n, H, W), drawn people only
    card: dict


@dataclass(frozen=True)
class DeviceImages:
    """What batches are gathered from; they are made on the device of the keypoints."""

    images: torch.Tensor  # uint8 (n, 3, H, W), on that device if they fit, else on the CPU
    keypoints: torch.Tensor  # float32 (n, 18, 2)

    @property
    def resident(self) -> bool:
        """Whether the images are on the device as well."""
        return self.images.device == self.keypoints.device


@dataclass(frozen=True)
class Batch:
    condition: torch.Tensor  # I_A: float32 (B, 3, H, W) in [-1, 1]
    target: torch.Tensor  # I_B
    condition_keypoints: torch.Tensor  # P_A: float32 (B, 18, 2)
    target_keypoints: torch.Tensor  # P_B


# ---------------------------------------------------------------- pairs and batches


def ordered_pairs(identities, usable):
    """Every ordered pair of two different usable images of one person.

    The paper asks for a different pose; like the released code and the standard lists we do not
    test for it. "Usable" is the standard rule, `keypoints.torso_found`.

    Args:
        identities: int (n,).
        usable: bool (n,).

    Returns:
        int64 (m, 2) of indices (condition, target), by person, then in the order of the images.
    """
    pairs = [np.empty((0, 2), np.int64)]
    for identity in np.unique(identities[usable]):
        members = np.flatnonzero(usable & (identities == identity))
        both = np.stack(np.meshgrid(members, members, indexing="ij"), -1).reshape(-1, 2)
        pairs.append(both[both[:, 0] != both[:, 1]])
    return np.concatenate(pairs)


def on_device(dataset, device):
    """The images and keypoints of `dataset` as DeviceImages for `device`.

    On a CPU the images stay a view of the file: only pages that a batch touches are read. A GPU
    takes them if they need less than half of its free memory; else they stay such a view.
    """
    images = torch.from_numpy(dataset.images)
    keypoints = torch.from_numpy(dataset.keypoints).to(device)
    device = keypoints.device
    fits = device.type != "cuda" or images.nbytes < torch.cuda.mem_get_info(device)[0] / 2
    if device.type != "cpu" and fits:
        images, start = torch.empty(images.shape, dtype=torch.uint8, device=device), 0
        for block in store.blocks(dataset.images):
            images[start : start + len(block)] = torch.from_numpy(block)
            start += len(block)
    return DeviceImages(images.permute(0, 3, 1, 2), keypoints)  # (n, 3, H, W)


def pair_order(pairs_count, batch, seed, step):
    """Which pairs form the batch of a step: a pure function, so that a resumed run goes on as is.

    The paper adds the mirror image of every pair (its 439,420 training pairs include them): an
    epoch is one shuffle of all 2 * pairs_count entries, and batches run across its end. The
    released code reads all mirrored pairs before the first original one; we do not.

    Returns:
        (indices, flip): int64 (batch,) in [0, pairs_count) and bool (batch,), CPU tensors.

    Raises:
        UserError: there are no pairs.
    """
    if pairs_count < 1:
        raise UserError("there are no training pairs to draw from.")
    epochs, places = np.divmod(np.arange(step * batch, (step + 1) * batch), 2 * pairs_count)
    entries = np.empty(batch, np.int64)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        entries[here] = _shuffled(2 * pairs_count, seed, int(epoch))[places[here]]
    return torch.from_numpy(entries % pairs_count), torch.from_numpy(entries >= pairs_count)


@lru_cache(maxsize=4)
def _shuffled(count, seed, epoch):
    return np.random.default_rng((seed, epoch)).permutation(count)


def make_batch(data, pairs, flip):
    """Gather pairs as network inputs.

    Args:
        data: DeviceImages.
        pairs: int64 (B, 2) of (condition, target), any device.
        flip: bool (B,), any device; both images of a marked pair are mirrored, joints change
            sides.

    Returns:
        Batch, on the device of the keypoints.
    """
    pairs, flip = (t.to(data.keypoints.device, non_blocking=True) for t in (pairs, flip))
    both = pairs.T.flatten()  # (2B,): all conditions, then all targets
    images = _gather(data.images, both.to(data.images.device))
    return _finish(images.to(both.device), data.keypoints, both, flip)


def _gather(images, both, out=None):
    """Rows of the images as they lie in memory, (2B, H, W, 3): on a CPU ten times as fast."""
    return torch.index_select(images.permute(0, 2, 3, 1), 0, both, out=out)


def _finish(images, keypoints, both, flip):
    """The Batch of gathered images (2B, H, W, 3) and of all keypoints, one device."""
    images, keypoints = flip_batch(
        images.permute(0, 3, 1, 2), keypoints.index_select(0, both), flip.repeat(2)
    )
    return Batch(*to_float(images.contiguous()).chunk(2), *keypoints.chunk(2))


def batches(data, pairs, batch, seed, step, share=slice(None), prefetch=None):
    """Yield the Batch of `step`, of `step` + 1 and so on for ever (see `pair_order`).

    Where the images are not on the device, a thread gathers and sends the next batches while this
    one is worked with; it ends with the generator, and its errors are raised here. On a CPU there
    is no thread: gathering takes all cores at once anyway.

    Args:
        data: DeviceImages.
        pairs: int64 (m, 2), all training pairs, any device.
        batch: pairs in a step of all processes together.
        seed, step: see `pair_order`.
        share: slice of every batch that this process takes, as slice(rank, None, world).
        prefetch: whether to use the thread, for images on the CPU. None: as said.

    Raises:
        UserError: there are no pairs.
    """
    pairs, device = pairs.cpu(), data.keypoints.device  # a few MB, read row by row
    if prefetch is None:
        prefetch = not data.resident

    def chosen(step):
        index, flip = pair_order(len(pairs), batch, seed, step)
        return pairs[index[share]], flip[share]

    if not prefetch:
        for number in count(step):
            yield make_batch(data, *chosen(number))

    stream = torch.cuda.Stream(device) if device.type == "cuda" else None
    shape = data.images.permute(0, 2, 3, 1).shape[1:]  # H, W, 3

    def fetch(number):
        """In the thread: the images of a step, on the device or on their way there."""
        with torch.cuda.stream(stream):  # and on its device; None changes nothing
            wanted, flip = chosen(number)
            both = wanted.T.flatten()
            pinned = torch.empty(len(both), *shape, dtype=torch.uint8, pin_memory=bool(stream))
            images = _gather(data.images, both, out=pinned).to(device, non_blocking=True)
            return images, both, flip, stream and stream.record_event()

    with ThreadPoolExecutor(1, "batches") as pool:
        for images, *choice, sent in store.in_order(pool, fetch, count(step), AHEAD):
            if sent:
                now = torch.cuda.current_stream(device)
                now.wait_event(sent)
                images.record_stream(now)  # keeps its memory until this stream has used it
            both, flip = (t.to(device, non_blocking=True) for t in choice)
            yield _finish(images, data.keypoints, both, flip)


def flip_batch(images, keypoints, flip):
    """Mirror the marked entries.

    Args:
        images: (B, ..., H, W), any dtype.
        keypoints: (B, ..., 18, 2).
        flip: bool (B,).

    Returns:
        (images, keypoints) of the same shapes.
    """
    mirrored = flip_keypoints(keypoints, images.shape[-1])
    return (
        torch.where(flip.view(-1, *[1] * (images.ndim - 1)), images.flip(-1), images),
        torch.where(flip.view(-1, *[1] * (keypoints.ndim - 1)), mirrored, keypoints),
    )


def to_float(images):
    """uint8 images to float32 in [-1, 1]: x / 127.5 - 1, as in the released code."""
    return (images / 127.5).sub_(1)


def to_uint8(images):
    """Images in [-1, 1] (what lies outside is clamped) to uint8, the same shape and device.

    The only place where images are rounded for scores and files. The released code truncates,
    which darkens by half a grey level; we round to the nearest.
    """
    return ((images.detach().float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def pictures(images):
    """Images (B, 3, H, W) in [-1, 1] to NumPy uint8 (B, H, W, 3), by way of `to_uint8`."""
    return to_uint8(images).permute(0, 2, 3, 1).cpu().numpy()


# ---------------------------------------------------------------- the store on disk


def prepare(config, folder, source=None, progress=None):
    """Write the store of `config` into `folder`; a killed run resumes where it was.

    One process at a time may work on a folder; `pipeline` sees to that.

    Args:
        config: DataConfig.
        folder: complete once `card.json` is there; a complete one is left as it is.
        source: the folder of a real data set, as `market` or `fashion` describe it.
        progress: called as progress(done, total) with numbers of images, or None.

    Returns:
        Path of the folder.

    Raises:
        UserError: a bad configuration, a folder that holds another data set, a missing or
            damaged file of the source (the first one is named), a disk without the room, or a
            split without pairs.
        OSError: the disk became full meanwhile (28); the next call goes on there.
    """
    _check(config)
    folder = Path(folder)
    if (folder / "card.json").exists():
        if _read_card(folder)["config"] != config.as_dict():
            raise UserError(f"{folder} holds another data set; give another folder or delete it.")
        return folder
    reader = READERS.get(config.dataset)
    plan = reader.plan(config, source) if reader else _plan_people(config)
    unfinished, told = folder / "unfinished", json.dumps([config.as_dict(), plan.names])
    pixels = store.make_images(plan, config.height, config.width, told, unfinished, progress)

    keypoints = np.load(unfinished / "keypoints.npy")
    usable = torso_found(keypoints)
    train_pairs = ordered_pairs(plan.identities, usable & plan.train)
    test_pairs = plan.test_pairs
    if test_pairs is None:
        test_pairs = ordered_pairs(plan.identities, usable & ~plan.train)
        test_pairs = np.random.default_rng((config.seed, 1)).permutation(test_pairs)
    parts = (("training", train_pairs), ("test", test_pairs))
    empty = [part for part, pairs in parts if not len(pairs)]
    if empty and (plan.whole or len(empty) == 2):
        raise UserError(f"the {empty[0]} split has no pair of usable images; ask for more images.")
    names = plan.names or [
        f"{identity:04d}_c{camera}s1_{view:06d}_00.jpg"
        for (identity, view, *_), camera in zip(
            plan.jobs, np.load(unfinished / "cameras.npy"), strict=True
        )
    ]
    small = {
        "identities": plan.identities,
        "train": plan.train,
        "train_pairs": train_pairs,
        "test_pairs": test_pairs[: config.test_pairs],
        "names": np.array(names),
    }
    for name, array in small.items():
        np.save(unfinished / f"{name}.npy", array)
    for path in unfinished.glob("*.npy"):
        os.replace(path, folder / path.name)
    card = {"config": config.as_dict(), "split": plan.split, "pairs_from": plan.pairs_from}
    if plan.notes:
        card["notes"] = plan.notes
    dataset = _open(folder, card)
    card |= _contents(dataset) | {"fingerprint": store.fingerprint(pixels, *_seen(dataset))}
    with write_atomically(folder / "card.json") as temporary:
        temporary.write_text(json.dumps(card, indent=1) + "\n")
    shutil.rmtree(unfinished)
    return folder


def load(folder):
    """Open a store written by `prepare`.

    Raises:
        UserError: `folder` is no complete store.
    """
    return _open(Path(folder), _read_card(Path(folder)))


def _read_card(folder):
    try:
        return json.loads((folder / "card.json").read_text())
    except FileNotFoundError:
        raise UserError(f"{folder} holds no complete data set (no card.json).") from None
    except json.JSONDecodeError:
        raise UserError(f"{folder / 'card.json'} is damaged; delete the folder.") from None


def _open(folder, card):
    config = DataConfig(**card["config"])
    fields = ("keypoints", "identities", "cameras", "train", "train_pairs", "test_pairs", "names")
    try:
        arrays = {name: np.load(folder / f"{name}.npy") for name in fields}
        # "c": changes stay in memory; torch wants arrays it may write to.
        arrays["images"] = np.load(folder / "images.npy", mmap_mode="c")
        silhouettes = None
        if config.dataset in DRAWN:
            bits = np.load(folder / "silhouettes.npy")
            bits = np.unpackbits(bits, axis=1, count=config.height * config.width)
            silhouettes = bits.view(bool).reshape(-1, config.height, config.width)
    except (OSError, ValueError) as error:
        raise UserError(f"{folder} is damaged ({error}); delete it and prepare it again.") from None
    arrays["names"] = arrays["names"].tolist()
    return Dataset(
        name=config.dataset,
        height=config.height,
        width=config.width,
        silhouettes=silhouettes,
        card=card,
        **arrays,
    )


def _check(config):
    if config.dataset not in DATASETS:
        raise UserError(f"dataset must be one of {', '.join(DATASETS)}, not '{config.dataset}'.")
    least = {"height": 16, "width": 16, "train_identities": 1, "test_identities": 1}
    least |= {"images_per_identity": 2, "test_pairs": 1, "seed": 0}
    for field, limit in least.items():
        value = getattr(config, field)
        optional = field in ("train_identities", "images_per_identity")
        if not (value is None and optional) and not (type(value) is int and value >= limit):
            raise UserError(f"{field} must be a whole number of at least {limit}, not {value!r}.")
    frames = ("detect", *fashion.FRAMES)
    if config.keypoint_frame not in frames:
        raise UserError(
            f"keypoint_frame must be one of {', '.join(frames)}, not '{config.keypoint_frame}'."
        )


# ---------------------------------------------------------------- drawn people


def _plan_people(config):
    train = config.train_identities or market.REAL_SIZE["train"][0]
    jobs, of_train = [], []
    for identity in range(train + config.test_identities):
        half, place = ("train", identity) if identity < train else ("test", identity - train)
        views = config.images_per_identity or _real_count(half, place)
        size = config.height, config.width
        jobs += [(identity, view, config.seed, *size) for view in range(views)]
        of_train += [half == "train"] * views
    return store.Plan(
        make=partial(_draw, config.dataset),
        jobs=jobs,
        identities=np.array([identity for identity, *_ in jobs]),
        train=np.array(of_train),
        split="identities of train and test are disjoint (seeded; "
        f"{train} train, {config.test_identities} test)",
        drawn=True,
    )


def _real_count(half, place):
    """How many images person number `place` gets if Market-1501's are spread evenly."""
    identities, images = market.REAL_SIZE[half]
    return images // identities + (place % identities < images % identities)


def _draw(dataset, identity, view, seed, height, width):
    drawn = DRAWN[dataset](identity, view, seed=seed, height=height, width=width)
    return drawn.image, drawn.keypoints, drawn.camera + 1, np.packbits(drawn.silhouette)


# ---------------------------------------------------------------- the data card


def verify(what, source=None):
    """Look at everything once and count it.

    Args:
        what: a Dataset, whose arrays are checked; or a DataConfig of a real data set, for which
            every image of `source` is decoded and held against the annotations.
        source: the folder `prepare` would read, for a DataConfig.

    Returns:
        The card, a dict for `card_text`: "parts" with the counts of each part, "split",
        "expected" (known counts of Market-1501, if the whole training half is there), "notes",
        and "problems", a list of sentences, empty if all is well.

    Raises:
        UserError: a missing folder or annotation file, or a folder without images.
    """
    if isinstance(what, Dataset):
        card = what.card | _contents(what)
        if store.fingerprint(what.images, *_seen(what)) != what.card["fingerprint"]:
            card["problems"].append("the files are not those that were prepared (fingerprint).")
        return card
    _check(what)
    if what.dataset not in READERS:
        raise UserError("drawn people have no source; prepare them and verify the loaded Dataset.")
    return READERS[what.dataset].verify(what, source)


def card_text(card):
    """The card as text for people."""
    height, width = card["size"]
    people = "outfits" if card["dataset"].endswith("fashion") else "people"
    lines = [f"{card['dataset']}, {height}x{width} (height x width)", f"split: {card['split']}"]
    for name, part in card["parts"].items():
        lines.append(
            f"{name}: {part['images']:,} images of {part['identities']:,} {people}, joints found "
            f"in {part['annotated_images']:,}; usable: {part['usable_images']:,} images of "
            f"{part['usable_identities']:,} {people}, {part['pairs']:,} ordered pairs"
        )
        if part.get("junk_images"):
            lines.append(f"{name}: {part['junk_images']:,} junk images left out")
    if "test_pairs" in card:
        lines.append(f"test pairs: {card['test_pairs']:,}, {card['pairs_from']}")
    if "joints_found" in card:
        least = sorted(card["joints_found"].items(), key=lambda item: item[1])[:3]
        lines.append("rarest joints: " + ", ".join(f"{name} {part:.0%}" for name, part in least))
    if card.get("expected"):
        expected = ", ".join(f"{count:,} {what}" for what, count in card["expected"].items())
        lines.append(f"expected for the whole training set: {expected}")
    lines += card.get("notes", [])
    return "\n".join(lines + [f"PROBLEM: {problem}" for problem in card["problems"]])


def _contents(dataset):
    """What a store holds and whether it obeys its own rules."""
    train, pairs = dataset.train, np.concatenate((dataset.train_pairs, dataset.test_pairs))
    identities, keypoints = dataset.identities, dataset.keypoints
    usable = torso_found(keypoints)
    of_train = np.arange(len(pairs)) < len(dataset.train_pairs)
    # A published list stays as it is where a crop has cut off a shoulder.
    sampled = dataset.card["pairs_from"] == store.Plan.pairs_from
    ruled = pairs if sampled else dataset.train_pairs
    joints = found(keypoints)
    inside = (keypoints < (dataset.width, dataset.height)).all(-1)
    rules = {
        "a person is in both train and test": not set(identities[train]) & set(identities[~train]),
        "a pair joins two people": (identities[pairs[:, 0]] == identities[pairs[:, 1]]).all(),
        "a pair joins an image with itself": (pairs[:, 0] != pairs[:, 1]).all(),
        "a pair uses an image without shoulders or hips": usable[ruled].all(),
        "a pair crosses from train to test": (train[pairs] == of_train[:, None]).all(),
        "a pair is listed twice": len(np.unique(pairs, axis=0)) == len(pairs),
        "a joint lies outside its image": inside[joints].all(),
    }
    return {
        "dataset": dataset.name,
        "size": [dataset.height, dataset.width],
        "parts": {
            "train": store.counts(identities[train], keypoints[train]),
            "test": store.counts(identities[~train], keypoints[~train]),
        },
        "train_pairs": len(dataset.train_pairs),
        "test_pairs": len(dataset.test_pairs),
        "joints_found": dict(zip(JOINTS, joints.mean(0).round(4).tolist(), strict=True)),
        "problems": [f"{rule}." for rule, kept in rules.items() if not kept],
    }


def _seen(dataset):
    """What a training run sees beside the images, for the fingerprint."""
    return dataset.keypoints, dataset.identities, dataset.train_pairs, dataset.test_pairs
