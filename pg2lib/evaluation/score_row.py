"""Generate and score the test pairs of one row of a table, in batches that several processes
(`distributed`) share without changing any number. All rows, including the two reference rows, go
through the same rounding to uint8 and the same scores."""

import contextlib
import json
import math
import os
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch

from pg2lib.core import distributed
from pg2lib.core.files import UserError, stored, without_nan, write_csv, write_json
from pg2lib.data import dataset as datasets
from pg2lib.data.heatmaps import patn_mask, pose_mask
from pg2lib.evaluation import copy_score, detail, health, inception, perceptual, statistics
from pg2lib.evaluation.pck import joint_counts, pck, pckh
from pg2lib.evaluation.scores import names, weights
from pg2lib.evaluation.ssim import DEFAULT_PRESET, find_preset, mask_ssim, parts, ssim
from pg2lib.training import loop

# The reference rows, without network: the column of the pair (condition, target) they copy.
REFERENCES = {"condition": 0, "target": 1}
SPLITS = 10  # of the Inception Score


@dataclass(frozen=True)
class Scoring:
    """How a row is scored; rows of one table share it."""

    preset: str = DEFAULT_PRESET  # of SSIM, see `ssim.PRESETS`
    mask_from: str = "target"  # see `pair_masks`, as for mask_variant
    mask_variant: str = "released"  # where the preset has none of its own, and of the copy scores
    seed: int = 0  # of the bootstrap
    batch: int = 64  # pairs at a time
    device: str = "cpu"  # of the networks
    inception: os.PathLike | None = None  # None: no Inception Score, FID and KID
    lpips: os.PathLike | None = None  # None: no LPIPS

    def masks(self, dataset, part=slice(None)):
        """The pose masks of a part of the test pairs, see `pair_masks`."""
        pairs = np.asarray(dataset.test_pairs)[part]
        return pair_masks(dataset, pairs, self.mask_from, self.mask)

    @property
    def mask(self):
        """The variant of the masks: the preset's own, if any."""
        return find_preset(self.preset).mask or self.mask_variant


def generate_pairs(generate_fn, dataset, pairs, device="cpu", batch=64):
    """The images of a row for pairs of a data set, int (k, 2), (condition, target), `batch` pairs
    at a time. generate_fn: function models.base.Inputs -> Output.

    Returns a dict "generated" uint8 (k, H, W, 3) and the parts of the output by name: images as
    uint8 of the same shape, a "difference" as float16 in units of [-1, 1] images.
    """
    spans, pairs = parts(len(pairs), batch), np.asarray(pairs)
    return _joined([_generate_batch(generate_fn, dataset, pairs[part], device) for part in spans])


def _generate_batch(generate_fn, dataset, pairs, device):
    output = generate_fn(loop.pair_inputs(dataset, pairs, device))
    outputs = {"generated": datasets.to_uint8(output.image)}
    for name, part in output.parts.items():
        outputs[name] = part.half() if name == "difference" else datasets.to_uint8(part)
    return {name: tensor.permute(0, 2, 3, 1).cpu().numpy() for name, tensor in outputs.items()}


def _joined(batches):
    """Dicts of arrays as one dict of arrays."""
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def pair_masks(dataset, pairs, mask_from="target", variant="released", batch=256):
    """The pose masks of mask-SSIM, mask-IS and sharpness: bool (k, H, W).

    mask_from: "target", the natural reading of the paper (4.3), or "condition", as in the released
    scoring script, else UserError; variant: see `heatmaps.pose_mask`, or "patn".
    """
    if mask_from not in REFERENCES:
        raise UserError(f"masks come from 'target' or 'condition', not '{mask_from}'.")
    keypoints = torch.from_numpy(dataset.keypoints[pairs[:, REFERENCES[mask_from]]])
    draw = patn_mask if variant == "patn" else partial(pose_mask, variant=variant)
    masks = [draw(part, dataset.height, dataset.width) for part in keypoints.split(batch)]
    return torch.cat(masks)[:, 0].bool().numpy()


def evaluate_row(
    name, generate_fn, dataset, folder, scoring=Scoring(), estimator=None, progress=None
):
    """Generate and score the test pairs of a row; returns the summary.

    Of several processes (`distributed.world`) each takes every world-th batch; rank 0 writes the
    scores of all.

    Writes into `folder`, each file whole or not at all, the summary last:
      generated.npy   uint8 (k, H, W, 3), in the order of dataset.test_pairs, and one file for each
                      part of the output, such as coarse.npy and difference.npy
      pairs.csv       a line per pair: `pair_table`, the available scores of pairs and weights
      summary.json    means with 95 % bootstrap intervals over identities, counts and settings; a
                      score that is not available is null

    Args:
        name: of the row; those of the reference rows, "condition" and "target", copy an image.
        generate_fn: see `generate_pairs`; None for the reference rows.
        estimator: function uint8 (b, H, W, 3) -> keypoints (b, 18, 2), see `pose_score.estimate`,
            or None: no pose scores and copy scores.
        progress: called with (done, of how many, what) now and then, or None.

    Raises:
        UserError: unknown preset or mask, a missing or needless generator, or no test pairs.
    """
    find_preset(scoring.preset)
    pairs = np.asarray(dataset.test_pairs)
    if not len(pairs):
        raise UserError(f"data set {dataset.name} has no test pairs to evaluate.")
    if (generate_fn is None) != (name in REFERENCES):
        needs = "needs a" if generate_fn is None else "takes no"
        raise UserError(f"row '{name}' {needs} generator.")
    scoring.masks(dataset, slice(1))  # reports mistakes before the work

    def generate(part):
        if generate_fn is None:
            return {"generated": np.asarray(dataset.images[pairs[part, REFERENCES[name]]])}
        return _generate_batch(generate_fn, dataset, pairs[part], scoring.device)

    with _part_files(folder, generate, len(pairs)) as files:
        score = pair_scorer(dataset, scoring, estimator)
        columns, difference = _score_batches(generate, score, dataset, scoring, files, progress)
        summary = None
        if distributed.rank() == 0:
            table = pair_table(dataset, pairs).assign(**columns)
            summary = _summary(name, dataset, table, scoring, difference)
            parts = {part: np.load(path, mmap_mode="r") for part, path in files.items()}
            summary["scores"] |= _set_scores(parts, dataset, scoring, progress)
            summary = without_nan(summary)
            for part, temporary in files.items():
                os.replace(temporary, folder / f"{part}.npy")
            write_csv(folder / "pairs.csv", table)
            write_json(folder / "summary.json", summary)
        return distributed.broadcast(summary)


@contextlib.contextmanager
def _part_files(folder, generate, count):
    """Temporary .npy files for a row's output for `count` pairs: name -> path, the same in all
    processes. Files left at the end are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    owner, files = distributed.broadcast(os.getpid()), {}
    try:
        if distributed.rank() == 0:
            for name, images in generate(slice(1)).items():  # one pair determines shapes and dtypes
                files[name] = folder / f".{name}.{owner}.npy"
                shape = (count, *images.shape[1:])
                np.lib.format.open_memmap(files[name], "w+", images.dtype, shape)
        files = distributed.broadcast(files)
        yield files
    finally:
        for temporary in files.values():
            temporary.unlink(missing_ok=True)


def _score_batches(generate, score, dataset, scoring, files, progress):
    """Generate and score all test pairs in batches, shared by all processes: (columns of pairs.csv,
    each (k,); the sum of |I_B2 - I_B1|, or None with one stage)."""
    count, size, results = len(dataset.test_pairs), scoring.batch, []
    for start in range(distributed.rank() * size, count, distributed.world() * size):
        part = slice(start, min(start + size, count))
        outputs = generate(part)
        for name, images in outputs.items():
            # mapped anew each time, else written pages count as this process's memory
            np.load(files[name], mmap_mode="r+")[part] = images
        change = float(np.abs(outputs.get("difference", 0), dtype=np.float64).sum())
        results.append((start, score(outputs["generated"], part), change))
        if progress:
            progress(min(start + size * distributed.world(), count), count, "generate")
    results = sum(distributed.gather(results), [])  # also waits until all is written
    _, columns, changes = zip(*sorted(results, key=lambda result: result[0]))
    return _joined(columns), math.fsum(changes) if "difference" in files else None


def pair_scorer(dataset, scoring, estimator=None):
    """Function (generated uint8 (b, H, W, 3), slice of the test pairs) -> {column of pairs.csv:
    (b,)}: the available scores of pairs, and their weights. estimator: see `evaluate_row`."""
    typical = copy_score.mean_image(dataset) if estimator else None
    network = perceptual.lpips_network(scoring.lpips, scoring.device) if scoring.lpips else None

    def score(generated, part):
        indices = np.asarray(dataset.test_pairs)[part].T
        condition, target = (np.asarray(dataset.images[index]) for index in indices)
        masks = scoring.masks(dataset, part)
        energy, real = (detail.gradient_energy(images, masks) for images in (generated, target))
        striped, usual = (health.stripes(images) for images in (generated, target))
        columns = {
            "ssim": ssim(generated, target, scoring.preset),
            "mask_ssim": mask_ssim(generated, target, masks, scoring.preset),
            "sharpness": detail.energy_ratio(energy, real),
            "target_gradient": real,
            "stripes": detail.energy_ratio(striped, usual),
            "target_stripes": usual,
        }
        if estimator:
            estimated = estimator(generated)
            old, new = (dataset.keypoints[index] for index in indices)
            columns["pck"] = pck(estimated, new)
            columns["pckh"] = pckh(estimated, new)
            columns["joints"] = joint_counts(new)
            columns |= copy_score.copy_scores(
                generated, condition, target, old, new, estimated, typical, scoring.mask_variant
            )
        if network:
            columns["lpips"] = perceptual.lpips(generated, target, network)
        return columns

    return score


def _summary(name, dataset, table, scoring, difference):
    """The content of summary.json, without the scores that need the Inception network."""
    values = {
        score: with_interval(table[score], table.identity, weights(table, score), scoring.seed)
        for score in names(set_score=False)
        if score in table
    }
    settings = ("preset", "mask_from", "mask_variant", "seed")
    summary = {"row": name, **facts(dataset, table.identity)}
    summary |= {setting: getattr(scoring, setting) for setting in settings}
    summary["mask_variant"] = scoring.mask
    every = dict.fromkeys((*names(set_score=False), *names(set_score=True)))
    summary["scores"] = every | values
    if difference is not None:
        # How much stage II changes, in [-1, 1] units: near 0 means that it adds nothing.
        pixels = len(table) * dataset.height * dataset.width
        summary["mean_absolute_difference"] = difference / (3 * pixels)
    return summary


def _set_scores(parts, dataset, scoring, progress):
    """The available set scores of what a row generates, see `evaluate_row`."""
    scores = {}
    if "difference" in parts:
        share = health.fixed_share(parts["difference"])
        scores["fixed_share"] = {"mean": share, "low": None, "high": None}
    if scoring.inception:
        scores |= _inception_scores(parts["generated"], dataset, scoring, progress)
    return scores


def _inception_scores(images, dataset, scoring, progress):
    """The Inception Scores of generated images (k, H, W, 3), FID and KID against real targets."""

    def features_of(images, label, masks=None, index=None):
        report = (lambda done, total: progress(done, total, label)) if progress else None
        return inception.inception_features(
            images, scoring.inception, scoring.batch, scoring.device, report, masks, index
        )

    target = np.asarray(dataset.test_pairs)[:, 1]
    targets, where = np.unique(target, return_inverse=True)  # an image is the target of many pairs
    real = features_of(dataset.images, "Inception, real", index=targets)[0]
    features, logits = features_of(images, "Inception")
    masked_logits = features_of(images, "Inception, masked", partial(scoring.masks, dataset))[1]
    people = np.asarray(dataset.identities)[target]
    splits = min(SPLITS, len(target))
    kid = inception.kid(features, real, where, people, seed=scoring.seed)

    def inception_score(logits):
        mean, std = inception.score_from_logits(logits, splits)
        low, high = inception.score_interval(logits, people, splits, seed=scoring.seed)
        return {"mean": mean, "std": std, "splits": splits, "low": low, "high": high}

    return {
        "inception": inception_score(logits),
        "mask_inception": inception_score(masked_logits),
        # Without interval: resampling with repetition makes it larger, and takes hours.
        "fid": {"mean": inception.fid(features, real[where]), "low": None, "high": None},
        "kid": dict(zip(("mean", "low", "high"), kid)),
    }


def with_interval(values, people, weights=None, seed=0):
    """The (weighted) mean with its `statistics.interval`, see `over_seeds`. values: float (pairs,)
    of one training or (seeds, pairs); seed: of the bootstrap."""
    low, high = statistics.interval(values, people, weights, seed=seed)
    return over_seeds(statistics.seed_means(values, weights), low, high)


def over_seeds(by_seed, low, high):
    """{"mean", "low", "high"} of the results of one training; for several also "spread", their
    standard deviation, "seeds", their number, and "by_seed", the results themselves."""
    value = {"mean": float(np.mean(by_seed)), "low": low, "high": high}
    if len(by_seed) > 1:
        spread = statistics.spread(by_seed)
        value |= {"spread": spread, "seeds": len(by_seed), "by_seed": list(map(float, by_seed))}
    return value


def facts(dataset, people):
    """A table's facts about its test pairs; people: (k,), the person of each."""
    return {
        "dataset": dataset.name,
        "pairs": len(people),
        "identities": len(np.unique(people)),
        "height": dataset.height,
        "width": dataset.width,
    }


def pair_table(dataset, pairs):
    """A DataFrame with the names of the pairs, one per row, without scores."""
    condition, target = np.asarray(pairs).T
    files, cameras = np.asarray(dataset.names), np.asarray(dataset.cameras)
    columns = {
        "pair": np.arange(len(pairs)),
        "condition": files[condition],
        "target": files[target],
        "identity": np.asarray(dataset.identities)[target],
        "condition_camera": cameras[condition],
        "target_camera": cameras[target],
    }
    return pd.DataFrame(columns)


def read_pairs(folder):
    """The pairs.csv of an evaluated row as a DataFrame, identities as text. Raises UserError if
    missing or damaged."""
    text = {"condition": str, "target": str, "identity": str}
    with stored(folder / "pairs.csv") as path:
        return pd.read_csv(path, dtype=text)


def read_summary(folder):
    """The summary.json of an evaluated row. Raises UserError if missing or damaged."""
    with stored(folder / "summary.json") as path:
        return json.loads(path.read_text(encoding="utf-8")) | {}
