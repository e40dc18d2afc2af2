"""Image stores, pairs and batches: everything between a data set and a training step.

`prepare` turns either drawn people or Market-1501 into one folder of plain NumPy files,
`load` opens it, `make_batch` gathers pairs from it on the training device. Every random choice
here is a pure function of a seed.
"""

import csv
import hashlib
import json
import os
import pickle
import re
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from queue import SimpleQueue
from subprocess import PIPE, Popen

import numpy as np
import torch
from PIL import Image

from pg2lib.errors import UserError, write_atomically
from pg2lib.keypoints import JOINTS, flip_keypoints, found, read_csv, torso_found
from pg2lib.people import draw

DATASETS = ("synthetic-market", "market1501")
# (identities, images) of Market-1501's halves (paper, section 4.1); the drawn set copies them.
REAL_SIZE = {"train": (751, 12_936), "test": (750, 19_732)}
# What the usual rule finds in the whole training half (PATN's published pair list).
WHOLE_TRAINING_SET = {"images": 12_936, "identities": 751, "pairs": 263_632}
MARKET_HEIGHT, MARKET_WIDTH = 128, 64
MARKET_NAME = re.compile(r"(-1|\d{4})_c(\d)s\d+_\d+_\d+\.jpg(\.jpg)?")
JUNK = ("-1", "0000")  # false detections and distractors of the test half
CHUNK = 64  # images between two points from which a killed run can resume


@dataclass(frozen=True)
class DataConfig:
    """Which images, people and pairs; the defaults are the whole synthetic set."""

    dataset: str = "synthetic-market"  # or "market1501"
    height: int = 128
    width: int = 64
    train_identities: int | None = None  # None: all (synthetic: 751; Market: all but test)
    test_identities: int = 100  # unused where Market's own test images are there
    images_per_identity: int | None = None  # at most; None: as in Market-1501
    test_pairs: int = 12_000  # drawn without replacement from all ordered test pairs
    seed: int = 0


@dataclass(frozen=True)
class Dataset:
    """An opened store of n images. Keypoints are whole pixels; pairs are (condition, target)."""

    name: str
    height: int
    width: int
    images: np.ndarray  # uint8 (n, H, W, 3), a memory map
    keypoints: np.ndarray  # float32 (n, 18, 2)
    identities: np.ndarray  # int64 (n,)
    cameras: np.ndarray  # int64 (n,), 1 to 6 as in the names
    names: list[str]
    train: np.ndarray  # bool (n,), False for the test images
    train_pairs: np.ndarray  # int64 (m, 2), every ordered pair
    test_pairs: np.ndarray  # int64 (k, 2), a sample in random order
    silhouettes: np.ndarray | None  # bool (n, H, W), drawn people only
    card: dict


@dataclass(frozen=True)
class DeviceImages:
    images: torch.Tensor  # uint8 (n, 3, H, W)
    keypoints: torch.Tensor  # float32 (n, 18, 2)


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
    """The images and keypoints of `dataset` as tensors on `device`.

    On a CPU the images stay a view of the file: only pages that a batch touches are read.
    """
    images = torch.from_numpy(dataset.images).permute(0, 3, 1, 2)  # (n, 3, H, W)
    if torch.device(device).type != "cpu":
        images = images.to(device)
    return DeviceImages(images, torch.from_numpy(dataset.keypoints).to(device))


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
        flip: bool (B,); both images of a marked pair are mirrored, joints change sides.
    """
    pairs, flip = (t.to(data.keypoints.device, non_blocking=True) for t in (pairs, flip))
    both = pairs.T.flatten()  # (2B,): all conditions, then all targets
    # Gathered as they lie in memory, (2B, H, W, 3): on a CPU ten times as fast.
    images = data.images.permute(0, 2, 3, 1).index_select(0, both).permute(0, 3, 1, 2)
    images, keypoints = flip_batch(images, data.keypoints.index_select(0, both), flip.repeat(2))
    return Batch(*to_float(images.contiguous()).chunk(2), *keypoints.chunk(2))


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
        source: for "market1501" a folder with bounding_box_train/ and
            market-annotation-train.csv and, for the official test half, bounding_box_test/ and
            market-annotation-test.csv, whose pairs market-pairs-test.csv may name. Images are
            resized (Lanczos) where the configured size is not theirs.
        progress: called as progress(done, total) with numbers of images, or None.

    Returns:
        Path of the folder.

    Raises:
        UserError: a bad configuration, a folder that holds another data set, a missing or
            damaged file of the source (the first one is named), or a split without pairs.
    """
    _check(config)
    folder = Path(folder)
    if (folder / "card.json").exists():
        if _read_card(folder)["config"] != asdict(config):
            raise UserError(f"{folder} holds another data set; give another folder or delete it.")
        return folder
    drawn = config.dataset == "synthetic-market"
    plan = _plan_people(config) if drawn else _plan_market(config, source)
    unfinished = folder / "unfinished"
    arrays = _make_images(plan, config, unfinished, progress)

    usable = torso_found(arrays["keypoints"])
    train_pairs = ordered_pairs(plan.identities, usable & plan.train)
    test_pairs = ordered_pairs(plan.identities, usable & ~plan.train)
    for part, pairs in (("training", train_pairs), ("test", test_pairs)):
        if len(pairs) == 0:
            raise UserError(f"the {part} split has no pair of usable images; ask for more images.")
    if plan.test_pairs is not None:
        test_pairs = plan.test_pairs
    else:
        test_pairs = np.random.default_rng((config.seed, 1)).permutation(test_pairs)
    names = plan.names or [
        f"{identity:04d}_c{camera}s1_{view:06d}_00.jpg"
        for (identity, view, *_), camera in zip(plan.jobs, arrays["cameras"], strict=True)
    ]
    arrays |= {
        "identities": plan.identities,
        "train": plan.train,
        "train_pairs": train_pairs,
        "test_pairs": test_pairs[: config.test_pairs],
        "names": np.array(names),
    }
    for name in set(arrays) - set(_shapes(plan, config)):
        np.save(unfinished / f"{name}.npy", arrays[name])
    del arrays  # some systems move no open file
    for path in unfinished.glob("*.npy"):
        os.replace(path, folder / path.name)
    card = {"config": asdict(config), "split": plan.split, "pairs_from": plan.pairs_from}
    dataset = _open(folder, card)
    card |= _contents(dataset) | {"fingerprint": _fingerprint(dataset)}
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
        if config.dataset == "synthetic-market":
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


# ---------------------------------------------------------------- making the images


@dataclass(frozen=True)
class _Plan:
    """All that is known before the first image is made."""

    make: Callable  # make(*job): image, keypoints, camera and, drawn, the packed silhouette
    jobs: list[tuple]  # one per image
    identities: np.ndarray
    train: np.ndarray
    split: str  # the sentence that every table prints
    names: list[str] | None = None  # None: they follow from the cameras
    test_pairs: np.ndarray | None = None  # a published list; None: a sample
    pairs_from: str = "sampled without replacement from all ordered test pairs (seeded)"


def _shapes(plan, config):
    """Type and shape of what the jobs yield, in their order."""
    total, height, width = len(plan.jobs), config.height, config.width
    shapes = {
        "images": (np.uint8, (total, height, width, 3)),
        "keypoints": (np.float32, (total, 18, 2)),
        "cameras": (np.int64, (total,)),
        "silhouettes": (np.uint8, (total, (height * width + 7) // 8)),
    }
    if plan.make is not _draw:
        del shapes["silhouettes"]
    return shapes


def _make_images(plan, config, folder, progress):
    """Run all jobs into memory maps in `folder`, resuming there: dict of arrays."""
    told = json.dumps([asdict(config), plan.names])
    key, done = hashlib.sha256(told.encode()).hexdigest(), 0
    state, shapes = folder / "progress.json", _shapes(plan, config)
    if state.exists() and all((folder / f"{name}.npy").exists() for name in shapes):
        before = json.loads(state.read_text())
        done = before["done"] if before["key"] == key else 0
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {
        name: np.lib.format.open_memmap(
            folder / f"{name}.npy", "r+" if done else "w+", dtype=dtype, shape=shape
        )
        for name, (dtype, shape) in shapes.items()
    }
    total = len(plan.jobs)
    chunks = [plan.jobs[start : start + CHUNK] for start in range(done, total, CHUNK)]
    for made in _in_parallel(partial(_run_jobs, plan.make), chunks, plan.make is _draw):
        for array, values in zip(arrays.values(), made, strict=True):
            array[done : done + len(values)] = values
            array.flush()
        done += len(made[0])
        with write_atomically(state) as temporary:
            temporary.write_text(json.dumps({"key": key, "done": done}))
        if progress:
            progress(done, total)
    return arrays


def _run_jobs(make, jobs):
    return [np.stack(values) for values in zip(*(make(*job) for job in jobs), strict=True)]


def _in_parallel(work, chunks, processes):
    """map(work, chunks) on all cores, in order; threads where the work releases Python's lock."""
    if not processes:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            yield from pool.map(work, chunks)
    elif len(chunks) < 8:  # starting processes would take longer than they save
        yield from map(work, chunks)
    else:
        yield from _in_processes(work, chunks)


def _in_processes(work, chunks):
    """map(work, chunks) in fresh interpreters that hear from us by pipe.

    Not `multiprocessing`, whose new processes first run the caller's script once more: without
    `if __name__ == "__main__"` they would prepare the same folder.
    """
    command = [sys.executable, "-c", "from pg2lib import datasets; datasets._serve()"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    environment["OMP_NUM_THREADS"] = "1"
    workers, idle = [], SimpleQueue()

    def ask(chunk):
        worker = idle.get()
        try:
            pickle.dump((work, chunk), worker.stdin)
            worker.stdin.flush()
            return pickle.load(worker.stdout)
        except (OSError, EOFError):
            return work(chunk)  # the worker died: do it here, or meet its error here
        finally:
            idle.put(worker)

    try:
        for _ in range(os.cpu_count()):
            # A session of its own: Ctrl-C ends us, and the end of our pipe ends the worker.
            workers.append(Popen(command, stdin=PIPE, stdout=PIPE, env=environment,
                                 start_new_session=True))  # fmt: skip
            idle.put(workers[-1])
        with ThreadPoolExecutor(len(workers)) as pool:
            yield from pool.map(ask, chunks)
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()


def _serve():
    """The life of a worker of `_in_processes`."""
    try:
        while True:
            work, chunk = pickle.load(sys.stdin.buffer)
            pickle.dump(work(chunk), sys.stdout.buffer)
            sys.stdout.flush()
    except (EOFError, BrokenPipeError):
        os._exit(0)  # nobody listens any more


# ---------------------------------------------------------------- drawn people


def _plan_people(config):
    train = config.train_identities or REAL_SIZE["train"][0]
    jobs, of_train = [], []
    for identity in range(train + config.test_identities):
        half, place = ("train", identity) if identity < train else ("test", identity - train)
        views = config.images_per_identity or _real_count(half, place)
        size = config.height, config.width
        jobs += [(identity, view, config.seed, *size) for view in range(views)]
        of_train += [half == "train"] * views
    return _Plan(
        make=_draw,
        jobs=jobs,
        identities=np.array([identity for identity, *_ in jobs]),
        train=np.array(of_train),
        split="identities of train and test are disjoint (seeded; "
        f"{train} train, {config.test_identities} test)",
    )


def _real_count(half, place):
    """How many images person number `place` gets if Market-1501's are spread evenly."""
    identities, images = REAL_SIZE[half]
    return images // identities + (place % identities < images % identities)


def _draw(identity, view, seed, height, width):
    drawn = draw(identity, view, seed=seed, height=height, width=width)
    return drawn.image, drawn.keypoints, drawn.camera + 1, np.packbits(drawn.silhouette)


# ---------------------------------------------------------------- Market-1501


def _plan_market(config, source):
    halves = _market_halves(source)
    for _, problems in halves.values():
        if problems:
            raise UserError(problems[0])
    train, test, split = _split_market(config, halves)
    names = train + test
    annotated = {name: joints for people, _ in halves.values() for name, joints in people.items()}
    test_half = "test" if "test" in halves else "train"
    folders = [Path(source) / f"bounding_box_{half}" for half in ("train", test_half)]
    size = config.height, config.width
    plan = _Plan(
        make=_read,
        jobs=[
            (folders[i >= len(train)] / name, annotated[name], int(name[6]), *size)
            for i, name in enumerate(names)
        ],
        identities=np.array([int(name[:4]) for name in names]),
        train=np.arange(len(names)) < len(train),
        split=split,
        names=names,
    )
    published = Path(source) / "market-pairs-test.csv"
    if "test" in halves and config.images_per_identity is None and published.exists():
        pairs = _read_pairs(published, {name: len(train) + i for i, name in enumerate(test)})
        plan = replace(plan, test_pairs=pairs, pairs_from=f"the first of {published.name}")
    return plan


def _market_halves(source):
    """{"train": (annotations, problems)[, "test": ...]} of a Market-1501 folder."""
    if source is None:
        raise UserError("market1501 needs the folder that holds bounding_box_train/.")
    names = ("train", "test") if (Path(source) / "bounding_box_test").is_dir() else ("train",)
    return {half: _list_half(Path(source), half) for half in names}


def _list_half(source, half):
    """Names of one half and their keypoints, all missing where there is no annotation, in the
    order of the names; and what is wrong, one sentence each."""
    folder, annotation = source / f"bounding_box_{half}", source / f"market-annotation-{half}.csv"
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; name the one that holds it as the source.")
    annotated = read_csv(annotation)
    names = sorted(path.name for path in folder.iterdir() if path.suffix == ".jpg")
    if not names:
        raise UserError(f"{folder} holds no .jpg image.")
    wrong = [name for name in names if not MARKET_NAME.fullmatch(name)]
    problems = [f"{folder / name} is not named like a Market-1501 image." for name in wrong]
    names = [name for name in names if MARKET_NAME.fullmatch(name)]
    problems += [
        f"{folder / name} has no row in {annotation.name}."
        for name in names
        if name not in annotated
    ]
    problems += [
        f"{annotation} has a row for {name}, which is not in {folder.name}."
        for name in sorted(set(annotated) - set(names) - set(wrong))
    ]
    nobody = np.full((18, 2), -1, np.float32)
    return {name: annotated.get(name, nobody) for name in names}, problems


def _split_market(config, halves):
    """(training names, test names, the sentence about it), reduced as configured."""
    rng = np.random.default_rng((config.seed, 0))
    train = [name for name in halves["train"][0] if not name.startswith(JUNK)]
    people = rng.permutation(sorted({name[:4] for name in train})).tolist()
    if "test" in halves:
        test = [name for name in halves["test"][0] if not name.startswith(JUNK)]
        kind = "official split"
    else:
        if config.test_identities >= len(people):
            raise UserError(
                f"test_identities={config.test_identities} leaves none of {len(people)} people "
                "for training; ask for fewer."
            )
        held_out, people = people[: config.test_identities], people[config.test_identities :]
        test = [name for name in train if name[:4] in set(held_out)]
        kind = "seeded split by identity of the training images"
    kept = set(people[: config.train_identities])
    train = [name for name in train if name[:4] in kept]
    train, test = (_thin_out(names, config.images_per_identity, rng) for names in (train, test))
    counts = [len({name[:4] for name in names}) for names in (train, test)]
    return train, test, f"{kind} ({counts[0]} train, {counts[1]} test)"


def _thin_out(names, limit, rng):
    """At most `limit` random names of each person, in the same order."""
    if limit is None:
        return names
    kept, people = set(), {}
    for name in rng.permutation(names).tolist():
        people[name[:4]] = people.get(name[:4], 0) + 1
        if people[name[:4]] <= limit:
            kept.add(name)
    return [name for name in names if name in kept]


def _read(path, keypoints, camera, height, width):
    """Decode an image; resize it and its keypoints if (height, width) is not Market-1501's."""
    try:
        with Image.open(path) as file:
            image = file.convert("RGB")
    except OSError as error:
        raise UserError(f"{path} cannot be decoded ({error}); fetch it again.") from None
    if image.size != (MARKET_WIDTH, MARKET_HEIGHT):
        found_size = f"{image.height}x{image.width}"
        raise UserError(f"{path} is {found_size}, not {MARKET_HEIGHT}x{MARKET_WIDTH}.")
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.LANCZOS)
        # The pixel that holds the old pixel's centre: whole numbers inside the frame.
        scale = np.float32((width / MARKET_WIDTH, height / MARKET_HEIGHT))
        scaled = np.floor((keypoints + 0.5) * scale)
        keypoints = np.where(found(keypoints)[:, None], scaled, np.float32(-1))
    return np.asarray(image), keypoints, camera


def _read_pairs(path, places):
    """A pairs file, header `from,to`, as int64 (k, 2); `places` maps names to indices."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = list(csv.reader(file))
    if not rows or rows[0] != ["from", "to"]:
        raise UserError(f"{path}, line 1: the header must be 'from,to'.")
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != 2 or not set(row) <= set(places):
            raise UserError(f"{path}, line {number}: {','.join(row)} are no two test images.")
    return np.array([[places[name] for name in row] for row in rows[1:]], np.int64).reshape(-1, 2)


# ---------------------------------------------------------------- the data card


def verify(what, source=None):
    """Look at everything once and count it.

    Args:
        what: a Dataset, whose arrays are checked; or a DataConfig of "market1501", for which
            every image of `source` is decoded and held against the annotations.
        source: the folder `prepare` would read, for a DataConfig.

    Returns:
        The card, a dict for `card_text`: "parts" with the counts of each part, "split",
        "expected" (the known counts, if the whole training half is there) and "problems", a
        list of sentences, empty if all is well.

    Raises:
        UserError: a missing folder or annotation file, or a folder without images.
    """
    if isinstance(what, Dataset):
        card = what.card | _contents(what)
        if _fingerprint(what) != what.card["fingerprint"]:
            card["problems"].append("the files are not those that were prepared (fingerprint).")
        return card
    if what.dataset != "market1501":
        raise UserError("drawn people have no source; prepare them and verify the loaded Dataset.")
    halves = _market_halves(source)
    card = {"dataset": what.dataset, "size": [MARKET_HEIGHT, MARKET_WIDTH], "parts": {}}
    card |= {"expected": None, "problems": []}
    for half, (people, problems) in halves.items():
        folder = Path(source) / f"bounding_box_{half}"
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            faults = pool.map(_fault, [folder / name for name in people], chunksize=CHUNK)
            card["problems"] += problems + [fault for fault in faults if fault]
        junk = [name for name in people if name.startswith(JUNK)]
        names = [name for name in people if not name.startswith(JUNK)]
        identities = np.array([int(name[:4]) for name in names], np.int64)
        keypoints = np.array([people[name] for name in names]).reshape(-1, 18, 2)
        counts = _counts(identities, keypoints) | {"junk_images": len(junk)}
        card["parts"][folder.name] = counts
        if half == "train" and counts["images"] == WHOLE_TRAINING_SET["images"]:
            card["expected"] = WHOLE_TRAINING_SET
            card["problems"] += [
                f"the whole training set has {expected:,} {what}, here are {counts[what]:,}."
                for what, expected in WHOLE_TRAINING_SET.items()
                if counts[what] != expected
            ]
    try:
        card["split"] = _split_market(what, halves)[2]
    except UserError as error:
        card["split"] = "none"
        card["problems"].append(str(error))
    return card


def card_text(card):
    """The card as text for people."""
    height, width = card["size"]
    lines = [f"{card['dataset']}, {height}x{width} (height x width)", f"split: {card['split']}"]
    for name, part in card["parts"].items():
        lines.append(
            f"{name}: {part['images']:,} images of {part['identities']:,} people, joints found "
            f"in {part['annotated_images']:,}; usable: {part['usable_images']:,} images of "
            f"{part['usable_identities']:,} people, {part['pairs']:,} ordered pairs"
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
    return "\n".join(lines + [f"PROBLEM: {problem}" for problem in card["problems"]])


def _contents(dataset):
    """What a store holds and whether it obeys its own rules."""
    train, pairs = dataset.train, np.concatenate((dataset.train_pairs, dataset.test_pairs))
    identities, keypoints = dataset.identities, dataset.keypoints
    usable = torso_found(keypoints)
    of_train = np.arange(len(pairs)) < len(dataset.train_pairs)
    joints = found(keypoints)
    inside = (keypoints < (dataset.width, dataset.height)).all(-1)
    rules = {
        "a person is in both train and test": not set(identities[train]) & set(identities[~train]),
        "a pair joins two people": (identities[pairs[:, 0]] == identities[pairs[:, 1]]).all(),
        "a pair joins an image with itself": (pairs[:, 0] != pairs[:, 1]).all(),
        "a pair uses an image without shoulders or hips": usable[pairs].all(),
        "a pair crosses from train to test": (train[pairs] == of_train[:, None]).all(),
        "a pair is listed twice": len(np.unique(pairs, axis=0)) == len(pairs),
        "a joint lies outside its image": inside[joints].all(),
    }
    return {
        "dataset": dataset.name,
        "size": [dataset.height, dataset.width],
        "parts": {
            "train": _counts(identities[train], keypoints[train]),
            "test": _counts(identities[~train], keypoints[~train]),
        },
        "train_pairs": len(dataset.train_pairs),
        "test_pairs": len(dataset.test_pairs),
        "joints_found": dict(zip(JOINTS, joints.mean(0).round(4).tolist(), strict=True)),
        "problems": [f"{rule}." for rule, kept in rules.items() if not kept],
    }


def _counts(identities, keypoints):
    usable = torso_found(keypoints)
    return {
        "images": len(identities),
        "identities": len(np.unique(identities)),
        "annotated_images": int(found(keypoints).any(-1).sum()),
        "usable_images": int(usable.sum()),
        "usable_identities": len(np.unique(identities[usable])),
        "pairs": len(ordered_pairs(identities, usable)),
    }


def _fault(path):
    """What is wrong with an image file, or None."""
    try:
        _read(path, None, None, MARKET_HEIGHT, MARKET_WIDTH)
    except UserError as error:
        return str(error)


def _fingerprint(dataset):
    """SHA-256 of all that a training run can see, 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for start in range(0, len(dataset.images), 1024):
        digest.update(np.ascontiguousarray(dataset.images[start : start + 1024]))
    for array in (dataset.keypoints, dataset.identities, dataset.train_pairs, dataset.test_pairs):
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]
