"""Generate and score the test pairs of one row of Table 1.

All rows, the two reference rows included, pass through the same rounding to uint8 and the same
scores. The work goes batch by batch, so that memory does not grow with the number of pairs, and
several processes (`distributed`) share the batches without a change of any number.
"""

import contextlib
import io
import json
import math
import os

import numpy as np
import pandas as pd
import torch

from pg2lib.core import distributed
from pg2lib.core.files import UserError, without_nan, write_atomically
from pg2lib.data import dataset as datasets
from pg2lib.data.heatmaps import pose_mask
from pg2lib.evaluation import copy_score, detail, perceptual, pose_score, scores, statistics
from pg2lib.evaluation import inception as inception_scores
from pg2lib.evaluation.ssim import DEFAULT_PRESET, find_preset, mask_ssim, ssim
from pg2lib.training import loop

# The rows that need no network: column of the pair (condition, target) that they copy.
REFERENCES = {"condition": 0, "target": 1}
# Score of a pair -> the column its mean is weighted with; scores of all images together.
PAIR_SCORES = {name: scores.SCORES[name].weight for name in scores.names(set_score=False)}
SET_SCORES = scores.names(set_score=True)
SPLITS = 10  # of the Inception Score
# The presets that differ, and what `score_presets` computes: measure -> where its mask is from.
PRESET_NAMES = ("pg2", "pg2-trainlog", "patn", "patn-fashion")
PRESET_MEASURES = {"ssim": None, "mask_ssim": "target", "mask_ssim_condition": "condition"}


def paint(generate_fn, dataset, pairs, device="cpu", batch=64, progress=None):
    """What a row generates for pairs of images.

    Args:
        generate_fn: function models.base.Inputs -> Output, see `training.checkpoints.generate_fn`.
        dataset: data.dataset.Dataset.
        pairs: int (k, 2) of image indices, (condition, target).
        device: where the networks are.
        batch: pairs at a time.
        progress: called with (pairs done, of how many, "") after each batch.

    Returns:
        dict "generated" uint8 (k, H, W, 3) and the parts of the output by name: images as uint8 of
        the same shape, a "difference" as float16 in units of [-1, 1] images. In memory: 12 H W
        bytes a pair for two stages, or 1.2 GB for 12,000 pairs of Market-1501.
    """
    pairs, parts = np.asarray(pairs), {}
    for start in range(0, len(pairs), batch):
        made = _paint_batch(generate_fn, dataset, pairs[start : start + batch], device)
        for name, images in made.items():
            parts.setdefault(name, []).append(images)
        if progress:
            progress(min(start + batch, len(pairs)), len(pairs), "generate")
    return {name: np.concatenate(images) for name, images in parts.items()}


def _paint_batch(generate_fn, dataset, pairs, device):
    output = generate_fn(loop.pair_inputs(dataset, pairs, device))
    made = {"generated": datasets.to_uint8(output.image)}
    for name, part in output.parts.items():
        made[name] = part.half() if name == "difference" else datasets.to_uint8(part)
    return {name: tensor.permute(0, 2, 3, 1).cpu().numpy() for name, tensor in made.items()}


def pair_masks(dataset, pairs, mask_from="target", variant="released", batch=256):
    """The pose masks mask-SSIM, mask-IS and sharpness look through: bool (k, H, W).

    Args:
        mask_from: "target", the natural reading of the paper (4.3), as in later work, or
            "condition", which the released scoring script uses.
        variant: see `heatmaps.pose_mask`.

    Raises:
        UserError: another `mask_from` or `variant`.
    """
    if mask_from not in REFERENCES:
        raise UserError(f"masks come from 'target' or 'condition', not '{mask_from}'.")
    keypoints = torch.from_numpy(dataset.keypoints[pairs[:, REFERENCES[mask_from]]])
    masks = [
        pose_mask(part, dataset.height, dataset.width, variant=variant)[:, 0].bool().numpy()
        for part in keypoints.split(batch)
    ]
    return np.concatenate(masks)


def evaluate_row(
    name,
    generate_fn,
    dataset,
    folder,
    preset=DEFAULT_PRESET,
    mask_from="target",
    mask_variant="released",
    masks=None,
    device="cpu",
    batch=64,
    seed=0,
    inception=None,
    progress=None,
    estimator=None,
    lpips=None,
):
    """Generate and score the test pairs of a row; returns the summary.

    Of several processes (`distributed.world`) each takes every other batch; rank 0 writes what
    all found, and every one returns it. Batches are the same whatever the number of processes.

    Writes into `folder`, each file whole or not at all, the summary last:
      generated.npy            uint8 (k, H, W, 3), in the order of dataset.test_pairs
      coarse.npy, difference.npy  of a row with two stages, see `paint`
      pairs.csv                a line per pair: pair, condition and target (names), identity,
                               their cameras, those of PAIR_SCORES that can be had, and the
                               columns their means are weighted with
      summary.json             means with 95 % bootstrap intervals over identities, counts and
                               settings; a score that cannot be had is null

    Args:
        name: the row's name; "condition" and "target" are the reference rows: the condition
            image copied, and the real target.
        generate_fn: see `paint`; None for the reference rows.
        dataset: datasets.Dataset; all of its test pairs are used.
        folder: pathlib.Path.
        preset: of SSIM, see `ssim.PRESETS`.
        mask_from, mask_variant: see `pair_masks`.
        masks: (k, H, W) to use instead, or None.
        device, batch: where the networks are, and how many pairs they see at a time.
        seed: of the bootstrap.
        inception: path of the Inception weights, or None: no Inception Score, FID and KID.
        progress: called with (done, of how many, what) now and then.
        estimator: function uint8 (b, H, W, 3) -> (keypoints (b, 18, 2), confidence), see
            `pose_score.estimate`, or None: no pose scores and copy scores.
        lpips: path of `perceptual.lpips_weights`, or None: no LPIPS.

    Raises:
        UserError: unknown preset or mask, a generator missing, or no test pairs.
    """
    find_preset(preset)  # before the work, not after it
    pairs = np.asarray(dataset.test_pairs)
    if not len(pairs):
        raise UserError(f"data set {dataset.name} has no test pairs to evaluate.")
    if (generate_fn is None) != (name in REFERENCES):
        needs = "needs a" if generate_fn is None else "takes no"
        raise UserError(f"row '{name}' {needs} generator.")
    pair_masks(dataset, pairs[:1], mask_from, mask_variant)  # finds mistakes before the work

    def masks_of(part):
        if masks is not None:
            return masks[part]
        return pair_masks(dataset, pairs[part], mask_from, mask_variant)

    def make(part):
        if generate_fn is None:
            return {"generated": np.asarray(dataset.images[pairs[part, REFERENCES[name]]])}
        return _paint_batch(generate_fn, dataset, pairs[part], device)

    score = _scorer(dataset, preset, mask_variant, estimator, lpips, device)
    with _row_files(folder) as files:
        scored = []
        for start in range(distributed.rank() * batch, len(pairs), distributed.world() * batch):
            part = slice(start, min(start + batch, len(pairs)))
            made = make(part)
            for file, images in made.items():
                write_rows(files[file], start, images, len(pairs))
            columns = score(made["generated"], pairs[part], masks_of(part))
            scored.append((start, columns, _magnitude(made)))
            if progress:
                done = min(start + batch * distributed.world(), len(pairs))
                progress(done, len(pairs), "generate")
        scored = sum(distributed.gather(scored), [])  # also waits until all rows are written
        summary = None
        if distributed.rank() == 0:
            _, columns, magnitudes = zip(*sorted(scored, key=lambda entry: entry[0]))
            table = pair_table(dataset, pairs).assign(
                **{
                    column: np.concatenate([part[column] for part in columns])
                    for column in columns[0]
                }
            )
            settings = {
                "preset": preset,
                "mask_from": mask_from if masks is None else "given",
                "mask_variant": mask_variant if masks is None else "given",
                "seed": seed,
            }
            summary = _summary(name, dataset, table, settings, magnitudes)
            if inception:
                images = np.load(files["generated"], mmap_mode="r")
                summary["scores"] |= _set_scores(
                    images, dataset, inception, masks_of, batch, device, seed, progress
                )
            summary = without_nan(summary)
            _publish(folder, files, table, summary)
        return distributed.broadcast(summary)


@contextlib.contextmanager
def _row_files(folder):
    """Yield a dict that names, for a part such as "generated", the file it is written to, the same
    for all processes; what is still there at the end is removed."""
    folder.mkdir(parents=True, exist_ok=True)
    owner = distributed.broadcast(os.getpid())

    class Files(dict):
        def __missing__(self, name):
            self[name] = folder / f".{name}.{owner}.npy"
            return self[name]

    files = Files()
    try:
        yield files
    finally:
        for temporary in files.values():
            temporary.unlink(missing_ok=True)


def _summary(name, dataset, table, settings, magnitudes):
    """What summary.json says, without the scores that need the Inception network."""
    summary = {
        "row": name,
        "dataset": dataset.name,
        "pairs": len(table),
        "identities": int(table.identity.nunique()),
        "height": dataset.height,
        "width": dataset.width,
        **settings,
        "scores": {score: _with_interval(table, score, settings["seed"]) for score in PAIR_SCORES}
        | dict.fromkeys(SET_SCORES),
    }
    if magnitudes[0] is not None:
        # How much stage II changes, in [-1, 1] units: near 0 means that it adds nothing.
        values = len(table) * dataset.height * dataset.width * 3
        summary["mean_absolute_difference"] = math.fsum(magnitudes) / values
    return summary


def _publish(folder, files, table, summary):
    """Give the files their names and write pairs.csv and summary.json, the summary last."""
    for file, temporary in files.items():
        if temporary.exists():
            os.replace(temporary, folder / f"{file}.npy")
    with write_atomically(folder / "pairs.csv") as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
    with write_atomically(folder / "summary.json") as temporary:
        temporary.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")


def _scorer(dataset, preset, mask_variant, estimator, lpips, device):
    """Function (generated uint8 (b, H, W, 3), pairs (b, 2), masks) -> {column of pairs.csv: (b,)}:
    the PAIR_SCORES that can be had, and their weights."""
    typical = copy_score.mean_image(dataset) if estimator else None
    network = perceptual.lpips_network(lpips, device) if lpips else None

    def score(generated, pairs, masks):
        condition, target = (np.asarray(dataset.images[index]) for index in pairs.T)
        energy, real = (detail.gradient_energy(images, masks) for images in (generated, target))
        columns = {
            "ssim": ssim(generated, target, preset),
            "mask_ssim": mask_ssim(generated, target, masks, preset),
            "sharpness": detail.energy_ratio(energy, real),
            "target_gradient": real,
        }
        if estimator:
            seen, _ = estimator(generated)
            old, new = (dataset.keypoints[index] for index in pairs.T)
            columns["pck"] = pose_score.pck(seen, new)
            columns["pckh"] = pose_score.pckh(seen, new, dataset.height)
            columns["joints"] = pose_score.joint_counts(new)
            columns |= copy_score.copy_scores(
                generated, condition, target, old, new, seen, typical, mask_variant
            )
        if network:
            columns["lpips"] = perceptual.lpips(generated, target, network)
        return columns

    return score


def _magnitude(made):
    """Sum of |I_B2 - I_B1| over a batch; None with one stage."""
    if "difference" not in made:
        return None
    return float(np.abs(made["difference"], dtype=np.float64).sum())


def _set_scores(images, dataset, weights, masks_of, batch, device, seed, progress):
    """The SET_SCORES of generated images (k, H, W, 3), FID and KID against their real targets."""

    def seen(images, label, masks=None, index=None):
        said = (lambda done, total: progress(done, total, label)) if progress else None
        return inception_scores.inception_features(
            images, weights, batch, device, said, masks, index
        )

    pairs = np.asarray(dataset.test_pairs)
    # An image is the target of many pairs.
    targets, where = np.unique(pairs[:, 1], return_inverse=True)
    real = seen(dataset.images, "Inception, real", index=targets)[0][where]
    features, logits = seen(images, "Inception")
    masked_logits = seen(images, "Inception, masked", masks_of)[1]
    people = np.asarray(dataset.identities)[pairs[:, 1]]
    splits = min(SPLITS, len(pairs))

    def inception_score(logits):
        mean, std = inception_scores.score_from_logits(logits, splits)
        low, high = inception_scores.score_interval(logits, people, splits, seed=seed)
        return {"mean": mean, "std": std, "splits": splits, "low": low, "high": high}

    distance = inception_scores.kid(features, real, people, seed=seed)
    return {
        "inception": inception_score(logits),
        "mask_inception": inception_score(masked_logits),
        # Without interval: resampling with repetition makes it larger, and takes hours.
        "fid": {"mean": inception_scores.fid(features, real), "low": None, "high": None},
        "kid": dict(zip(("mean", "low", "high"), distance)),
    }


def score_presets(generated, dataset, mask_variant="released", seed=0, batch=256, device="cpu"):
    """SSIM and mask-SSIM of the same images under every preset and with either mask.

    Args:
        generated: row -> uint8 (k, H, W, 3), as in generated.npy, a memory map for instance: of
            the first k test pairs, the same k in every row. Read a batch at a time.
        dataset: datasets.Dataset.
        mask_variant: see `pair_masks`.
        seed: of the bootstrap.
        batch: pairs at a time.
        device: where to compute.

    Returns:
        dict of JSON values: "dataset", "height", "width", "pairs", "identities", "mask_variant",
        "presets" (names) and "rows": row -> {measure: {preset: {"mean", "low", "high"}}}, the
        measures being those of PRESET_MEASURES; low and high are a 95 % bootstrap interval over
        identities, or None.

    Raises:
        UserError: no rows, or rows of different length.
    """
    counts = {len(images) for images in generated.values()}
    if len(counts) != 1 or not min(counts) or max(counts) > len(dataset.test_pairs):
        raise UserError(
            f"presets need the images of the same test pairs in every row, not {sorted(counts)} of "
            f"{len(dataset.test_pairs)}."
        )
    pairs = np.asarray(dataset.test_pairs)[: min(counts)]
    values = {
        (row, measure, preset): []
        for row in generated
        for measure in PRESET_MEASURES
        for preset in PRESET_NAMES
    }
    for start in range(0, len(pairs), batch):
        part = slice(start, min(start + batch, len(pairs)))
        target = np.asarray(dataset.images[pairs[part, 1]])
        masks = {
            measure: pair_masks(dataset, pairs[part], mask_from, mask_variant)
            for measure, mask_from in PRESET_MEASURES.items()
            if mask_from
        }
        rows = {row: np.asarray(images[part]) for row, images in generated.items()}
        for (row, measure, preset), found in values.items():
            if measure in masks:
                found.append(mask_ssim(rows[row], target, masks[measure], preset, device))
            else:
                found.append(ssim(rows[row], target, preset, device))
    people = np.asarray(dataset.identities)[pairs[:, 1]]
    rows = {}
    for (row, measure, preset), found in values.items():
        mean = _mean_with_interval(np.concatenate(found), people, None, seed)
        rows.setdefault(row, {}).setdefault(measure, {})[preset] = mean
    return without_nan(
        {
            "dataset": dataset.name,
            "height": dataset.height,
            "width": dataset.width,
            "pairs": len(pairs),
            "identities": len(np.unique(people)),
            "mask_variant": mask_variant,
            "presets": list(PRESET_NAMES),
            "rows": rows,
        }
    )


def write_rows(path, start, rows, count):
    """Write rows[0], rows[1], ... into the .npy file `path` from its row `start` on.

    The file is made when missing and will hold `count` rows. Several processes may write
    different rows at a time; nothing of the file stays in memory.
    """
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, np.lib.format.header_data_from_array_1_0(rows) | {"shape": (count, *rows.shape[1:])}
    )
    rows = np.ascontiguousarray(rows)
    with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b") as file:
        file.write(head.getvalue())
        file.seek(len(head.getvalue()) + start * rows[0].nbytes)
        file.write(rows.data)


def pair_table(dataset, pairs):
    """A DataFrame that names the pairs, a row per pair, without scores."""
    condition, target = np.asarray(pairs).T
    names, cameras = np.asarray(dataset.names), np.asarray(dataset.cameras)
    return pd.DataFrame(
        {
            "pair": np.arange(len(pairs)),
            "condition": names[condition],
            "target": names[target],
            "identity": np.asarray(dataset.identities)[target],
            "condition_camera": cameras[condition],
            "target_camera": cameras[target],
        }
    )


def read_pairs(folder):
    """The pairs.csv of an evaluated row as a DataFrame; identities stay text.

    Raises:
        UserError: there is none.
    """
    path = folder / "pairs.csv"
    if not path.exists():
        raise UserError(f"{path} is missing: evaluate the row first (pg2 evaluate).")
    return pd.read_csv(path, dtype={"condition": str, "target": str, "identity": str})


def read_summary(folder):
    """The summary.json of an evaluated row; UserError when there is none."""
    path = folder / "summary.json"
    if not path.exists():
        raise UserError(f"{path} is missing: evaluate the row first (pg2 evaluate).")
    return json.loads(path.read_text(encoding="utf-8"))


def _with_interval(table, score, seed):
    if score not in table:
        return None
    return _mean_with_interval(table[score], table.identity, scores.weights(table, score), seed)


def _mean_with_interval(values, people, weights, seed):
    low, high = statistics.bootstrap_interval(values, people, weights, seed=seed)
    return {"mean": statistics.mean(values, weights), "low": low, "high": high}
