"""Prepare a data set: its store of NumPy files, its checks and its data card.

A reader is a module with `plan(config, source)`, which returns a `sources.Plan`, and
`survey(config, source)`, which returns a `sources.Survey`. It is imported when needed.
"""

import hashlib
import importlib
import json
import os
import shutil
import sys
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader

from pg2lib.core import devices
from pg2lib.core.config import require_in
from pg2lib.core.files import UserError, read_json, write_atomically, write_json
from pg2lib.data import dataset as datasets
from pg2lib.data import sources
from pg2lib.data.dataset import Dataset
from pg2lib.data.keypoints import JOINTS, found, torso_found

READERS = {
    "synthetic-market": "pg2lib.data.synthetic.reader",
    "synthetic-fashion": "pg2lib.data.synthetic.reader",
    "market1501": "pg2lib.data.market1501",
    "deepfashion": "pg2lib.data.deepfashion",
    "folder": "pg2lib.data.folder",
}
CHUNK = 64  # most images between two points from which a killed run can resume


def prepare(config, folder, source=None, progress=None):
    """Write the store of a DataConfig into `folder`, returned as a Path; a killed run resumes.

    One process at a time may work on a folder (`run_store.claim`). Once it has a `card.json` it is
    complete and left unchanged. `source` is the folder of a real data set (see its reader);
    progress(done, total) counts images.

    Raises UserError: a bad configuration, a folder with another data set, a missing or damaged
    source file, too little disk space, or a split without pairs. OSError 28: the disk is full.
    """
    check_config(config)
    folder = Path(folder)
    if (folder / "card.json").exists():
        if datasets.read_card(folder)["config"] != config.as_dict():
            raise UserError(f"{folder} holds another data set; give another folder or delete it.")
        return folder
    plan = _reader(config).plan(config, source)
    unfinished, key = folder / "unfinished", json.dumps([config.as_dict(), plan.names])
    write_arrays(plan, config.height, config.width, key, unfinished, progress)
    for name, array in _derived_arrays(plan, config, unfinished).items():
        np.save(unfinished / f"{name}.npy", array)
    for path in unfinished.glob("*.npy"):
        os.replace(path, folder / path.name)
    card = {"config": config.as_dict(), "split": plan.split, "pairs_from": plan.pairs_from}
    card |= {"notes": plan.notes} if plan.notes else {}
    dataset = datasets.open_arrays(folder, card)
    card |= _contents(dataset) | {"fingerprint": fingerprint(dataset)}
    with write_atomically(folder / "card.json") as temporary:
        temporary.write_text(json.dumps(card, indent=1) + "\n")
    shutil.rmtree(unfinished)
    return folder


def check_config(config):
    """Raise UserError, naming it, for an unknown data set or a number out of range."""
    require_in("data set", config.dataset, READERS)
    least = {"height": 16, "width": 16, "train_identities": 1, "test_identities": 1}
    least |= {"images_per_identity": 2, "test_pairs": 1, "seed": 0}
    for field, limit in least.items():
        value = getattr(config, field)
        optional = field in ("train_identities", "images_per_identity")
        if not (value is None and optional) and not (type(value) is int and value >= limit):
            raise UserError(f"{field} must be a whole number of at least {limit}, not {value!r}.")


def _reader(config):
    return importlib.import_module(READERS[config.dataset])


def _derived_arrays(plan, config, folder):
    """The arrays derived from the plan, the keypoints and the cameras."""
    usable = torso_found(np.load(folder / "keypoints.npy"))
    train_pairs = datasets.ordered_pairs(plan.identities, usable & plan.train)
    test_pairs = plan.test_pairs
    if test_pairs is None:
        test_pairs = datasets.ordered_pairs(plan.identities, usable & ~plan.train)
        test_pairs = np.random.default_rng((config.seed, 1)).permutation(test_pairs)
    parts = (("training", train_pairs), ("test", test_pairs))
    empty = [part for part, pairs in parts if not len(pairs)]
    if empty and (plan.complete or len(empty) == 2):
        raise UserError(f"the {empty[0]} split has no pair of usable images; ask for more images.")
    drawn = zip(plan.jobs, np.load(folder / "cameras.npy"), strict=True)
    names = plan.names or [
        f"{person:04d}_c{camera}s1_{view:06d}_00.jpg" for (person, view, *_), camera in drawn
    ]
    return {
        "identities": plan.identities,
        "train": plan.train,
        "train_pairs": train_pairs,
        "test_pairs": test_pairs[: config.test_pairs],
        "names": np.array(names),
    }


# ---------------------------------------------------------------- writing arrays


def write_arrays(plan, height, width, key, folder, progress=None):
    """Run all jobs of a Plan and write images.npy, keypoints.npy, cameras.npy, the extras, and
    progress.json. Resumes from the latter if it has the same `key`."""
    folder.mkdir(parents=True, exist_ok=True)
    key, total = hashlib.sha256(key.encode()).hexdigest(), len(plan.jobs)
    rows = {
        "images": (np.uint8, (height, width, 3)),
        "keypoints": (np.float32, (18, 2)),
        "cameras": (np.int64, ()),
        **plan.extras,
    }
    paths, state = [folder / f"{name}.npy" for name in rows], folder / "progress.json"
    done, kinds = _resume(paths, state, key), list(rows.values())
    if done is None:
        state.unlink(missing_ok=True)
        done = _allocate(paths, [(np.dtype(dtype), (total, *shape)) for dtype, shape in kinds])
    size = max(1, min(CHUNK, datasets.BLOCK // (height * width * 3)))
    chunks = [plan.jobs[start : start + size] for start in range(done, total, size)]
    with closing(_in_parallel(partial(_run_jobs, plan.make), chunks)) as results:
        for values in results:
            for path, part in zip(paths, values, strict=True):
                # mapped anew each time, else written pages stay resident
                np.load(path, mmap_mode="r+")[done : done + len(part)] = part
            done += len(values[0])
            write_json(state, {"key": key, "done": done})
            if progress:
                progress(done, total)


def _resume(paths, state, key):
    """Number of complete rows of an earlier run with the same key, or None."""
    before = read_json(state) or {}
    if before.get("key") != key:
        return None
    try:
        for path in paths:
            np.load(path, mmap_mode="r")  # fails on a short file, which "r+" would extend
        return before["done"]
    except (OSError, ValueError):
        return None


def _allocate(paths, kinds) -> int:
    """Create the arrays; returns 0, their complete rows. A full disk fails here, not midway."""
    folder = paths[0].parent
    needed = sum(dtype.itemsize * int(np.prod(shape)) for dtype, shape in kinds)
    if needed > (room := shutil.disk_usage(folder).free):
        raise UserError(
            f"{folder} needs {needed / 1e6:,.1f} MB, its disk has {room / 1e6:,.1f} MB left; make "
            "room, or ask for fewer or smaller images."
        )
    for path, (dtype, shape) in zip(paths, kinds, strict=True):
        path.unlink(missing_ok=True)
        np.lib.format.open_memmap(path, "w+", dtype, shape)
        if hasattr(os, "posix_fallocate"):  # else a write to a full disk kills the process
            with open(path, "r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return 0


def _run_jobs(make, jobs):
    """The stacked results of jobs, or the UserError of one: if a DataLoader worker raised it, its
    text would include a traceback."""
    try:
        return [np.stack(values) for values in zip(*(make(*job) for job in jobs), strict=True)]
    except UserError as error:
        return error


def _end_with_parent(worker):
    """Without this, workers of a killed parent wait for ever to hand over their results."""
    devices.end_with_parent()


def _in_parallel(work, chunks):
    """map(work, chunks) in order; in forked processes on Linux, which re-run no script."""
    forks = sys.platform == "linux" and len(chunks) > 1
    workers = {"num_workers": min(devices.cpu_count(), len(chunks)) if forks else 0}
    if forks:
        workers |= {"multiprocessing_context": "fork", "worker_init_fn": _end_with_parent}
    own = torch.Generator()  # a loader draws a number; keep the global generator unchanged
    loader = DataLoader(chunks, batch_size=None, collate_fn=work, generator=own, **workers)
    try:
        for values in loader:
            if isinstance(values, UserError):
                raise values
            yield values
    except RuntimeError as error:
        if "DataLoader worker (pid" not in str(error):
            raise
        raise UserError("a worker process died (out of memory?); start again to resume.") from error


# ---------------------------------------------------------------- checks and the data card


def fingerprint(dataset):
    """16 hexadecimal digits of the SHA-256 of all data that training and scoring read."""
    digest = hashlib.sha256()
    for block in datasets.blocks(dataset.images):
        digest.update(block)
    for name in ("keypoints", "identities", "train_pairs", "test_pairs"):
        digest.update(getattr(dataset, name).tobytes())
    return digest.hexdigest()[:16]


def verify(what, source=None):
    """Check and count the arrays of a Dataset, or, for the DataConfig of a real data set, every
    image of the folder `source` against the annotations.

    Returns the card, a dict for `card_text`: "parts" with the counts of each part, "split",
    "expected" (counts of the complete data set), "notes", and "problems", a list of sentences.
    Raises UserError for a missing folder or annotation file, or a folder without images.
    """
    if isinstance(what, Dataset):
        card = what.card | _contents(what)
        if fingerprint(what) != what.card["fingerprint"]:
            card["problems"].append("the files are not the prepared ones (fingerprint).")
        return card
    check_config(what)
    survey = _reader(what).survey(what, source)

    def check(path):
        try:
            return survey.check(path)
        except Image.DecompressionBombError as error:
            raise UserError(f"{path} is too large to decode ({error}); replace it.") from None

    errors, sizes = sources.decode_all(check, survey.paths)
    stored = ", ".join(f"{count:,} of {size}" for size, count in sizes.most_common())
    differences = [
        f"{part}: {survey.parts[part][name]:,} {_words(name)}, the complete set has {count:,}."
        for part, expected in survey.expected.items()
        for name, count in expected.items()
        if survey.parts[part][name] != count
    ]
    return {
        "dataset": what.dataset,
        "size": [what.height, what.width],
        "parts": survey.parts,
        "split": survey.split,
        "expected": survey.expected,
        "notes": [f"stored sizes: {stored or 'none'}", *survey.notes],
        "problems": survey.problems + errors + differences,
    }


def _contents(dataset):
    """The counts of an opened store, and its problems."""
    train, pairs = dataset.train, np.concatenate((dataset.train_pairs, dataset.test_pairs))
    identities, keypoints = dataset.identities, dataset.keypoints
    usable, joints = torso_found(keypoints), found(keypoints)
    of_train = np.arange(len(pairs)) < len(dataset.train_pairs)
    # A published list is kept even where a crop cut off a shoulder.
    ruled = pairs if dataset.card["pairs_from"] == sources.SAMPLED else dataset.train_pairs
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
            half: sources.counts(identities[rows], keypoints[rows])
            for half, rows in (("train", train), ("test", ~train))
        },
        "train_pairs": len(dataset.train_pairs),
        "test_pairs": len(dataset.test_pairs),
        "joints_found": dict(zip(JOINTS, joints.mean(0).round(4).tolist(), strict=True)),
        "problems": [f"{rule}." for rule, kept in rules.items() if not kept],
    }


def card_text(card):
    """The card as plain text."""
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
    for part, expected in card.get("expected", {}).items():
        text = ", ".join(f"{count:,} {_words(name)}" for name, count in expected.items())
        lines.append(f"{part} of the complete set: {text}")
    lines += card.get("notes", [])
    return "\n".join(lines + [f"PROBLEM: {problem}" for problem in card["problems"]])


def _words(name):
    return name.replace("_", " ")
