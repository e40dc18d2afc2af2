"""Generate and score the test pairs of one row of Table 1.

All rows, the two reference rows included, pass through the same rounding to uint8 and the same
scores. The work goes batch by batch, so that memory does not grow with the number of pairs, and
several processes (`distributed`) share the batches without a change of any number.
"""

import io
import json
import math
import os

import numpy as np
import pandas as pd
import torch

from pg2lib import datasets, distributed, scores
from pg2lib.errors import UserError, write_atomically
from pg2lib.heatmaps import pose_mask

# The rows that need no network: column of the pair (condition, target) that they copy.
REFERENCES = {"condition": 0, "target": 1}
# Score -> the column its mean is weighted with, see `scores.sharpness`.
PAIR_SCORES = {"ssim": None, "mask_ssim": None, "sharpness": "target_gradient"}
SPLITS = 10  # of the Inception Score
FILES = ("generated", "coarse", "difference")


def paint(painter, dataset, pairs, device="cpu", batch=64, progress=None):
    """What a row generates for pairs of images.

    Args:
        painter: function (condition (B, 3, H, W) in [-1, 1], target keypoints (B, 18, 2)) ->
            {"coarse": I_B1, "difference": or None, "refined": the result}, each (B, 3, H, W).
        dataset: datasets.Dataset.
        pairs: int (k, 2) of image indices, (condition, target).
        device: where the painter's networks are.
        batch: pairs at a time.
        progress: called with (pairs done, of how many, "") after each batch.

    Returns:
        dict "generated" uint8 (k, H, W, 3) and, if the row has two stages, "coarse" uint8 of the
        same shape and "difference" float16, the map I_B2 - I_B1 in units of [-1, 1] images. In
        memory: 12 H W bytes a pair, or 1.2 GB for 12,000 pairs of Market-1501.
    """
    pairs, parts = np.asarray(pairs), {}
    for start in range(0, len(pairs), batch):
        made = _paint_batch(painter, dataset, pairs[start : start + batch], device)
        for name, images in made.items():
            parts.setdefault(name, []).append(images)
        if progress:
            progress(min(start + batch, len(pairs)), len(pairs), "generate")
    return {name: np.concatenate(images) for name, images in parts.items()}


@torch.no_grad()
def _paint_batch(painter, dataset, pairs, device):
    condition, target = pairs.T
    images = torch.from_numpy(dataset.images[condition]).to(device).permute(0, 3, 1, 2)
    keypoints = torch.from_numpy(dataset.keypoints[target]).to(device)
    painted = painter(datasets.to_float(images), keypoints)
    made = {"generated": datasets.to_uint8(painted["refined"])}
    if painted["difference"] is not None:
        made["coarse"] = datasets.to_uint8(painted["coarse"])
        made["difference"] = painted["difference"].half()
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
    painter,
    dataset,
    folder,
    preset=scores.DEFAULT_PRESET,
    mask_from="target",
    mask_variant="released",
    masks=None,
    device="cpu",
    batch=64,
    seed=0,
    inception=None,
    progress=None,
):
    """Generate and score the test pairs of a row; returns the summary.

    Of several processes (`distributed.world`) each takes every other batch; rank 0 writes what
    all found, and every one returns it. Batches are the same whatever the number of processes.

    Writes into `folder`, each file whole or not at all, the summary last:
      generated.npy            uint8 (k, H, W, 3), in the order of dataset.test_pairs
      coarse.npy, difference.npy  of a row with two stages, see `paint`
      pairs.csv                a line per pair: pair, condition and target (names), identity,
                               their cameras, the scores in PAIR_SCORES, and the target's
                               gradient energy, which weights the sharpness
      summary.json             means with 95 % bootstrap intervals over identities, counts and
                               settings; a score that cannot be had is null

    Args:
        name: the row's name; "condition" and "target" are the reference rows: the condition
            image copied, and the real target.
        painter: see `paint`; None for the reference rows.
        dataset: datasets.Dataset; all of its test pairs are used.
        folder: pathlib.Path.
        preset: of SSIM, see `scores.PRESETS`.
        mask_from, mask_variant: see `pair_masks`.
        masks: (k, H, W) to use instead, or None.
        device, batch: for the painter and for the Inception network.
        seed: of the bootstrap.
        inception: path of the Inception weights, or None: no Inception Score.
        progress: called with (done, of how many, what) now and then.

    Raises:
        UserError: unknown preset or mask, a painter missing, or no test pairs.
    """
    scores.find_preset(preset)  # before the work, not after it
    pairs = np.asarray(dataset.test_pairs)
    if not len(pairs):
        raise UserError(f"data set {dataset.name} has no test pairs to evaluate.")
    if (painter is None) != (name in REFERENCES):
        raise UserError(f"row '{name}' {'needs a' if painter is None else 'takes no'} painter.")
    if masks is not None:
        mask_from = mask_variant = "given"
    else:
        pair_masks(dataset, pairs[:1], mask_from, mask_variant)  # finds mistakes before the work

    def masks_of(part):
        if masks is not None:
            return masks[part]
        return pair_masks(dataset, pairs[part], mask_from, mask_variant)

    def files():
        """(where a file is being written, where it belongs), known to all processes."""
        return [(folder / f".{file}.{owner}.npy", folder / f"{file}.npy") for file in FILES]

    folder.mkdir(parents=True, exist_ok=True)
    owner = distributed.broadcast(os.getpid())
    scored = []
    try:
        for start in range(distributed.rank() * batch, len(pairs), distributed.world() * batch):
            part = slice(start, min(start + batch, len(pairs)))
            if painter is None:
                made = {"generated": np.asarray(dataset.images[pairs[part, REFERENCES[name]]])}
            else:
                made = _paint_batch(painter, dataset, pairs[part], device)
            for (temporary, _), file in zip(files(), FILES, strict=True):
                if file in made:
                    write_rows(temporary, start, made[file], len(pairs))
            target = np.asarray(dataset.images[pairs[part, 1]])
            scored.append((part, _score(made, target, masks_of(part), preset)))
            if progress:
                progress(
                    min(start + batch * distributed.world(), len(pairs)), len(pairs), "generate"
                )
        scored = sum(distributed.gather(scored), [])  # also waits until all rows are written
        summary = None
        if distributed.rank() == 0:
            scored = sorted(scored, key=lambda entry: entry[0].start)
            table = pair_table(dataset, pairs).assign(
                **{
                    score: np.concatenate([values[score] for _, values in scored])
                    for score in (*PAIR_SCORES, "target_gradient")
                }
            )
            summary = {
                "row": name,
                "dataset": dataset.name,
                "pairs": len(table),
                "identities": int(table.identity.nunique()),
                "height": dataset.height,
                "width": dataset.width,
                "preset": preset,
                "mask_from": mask_from,
                "mask_variant": mask_variant,
                "seed": seed,
                "scores": {score: _with_interval(table, score, seed) for score in PAIR_SCORES},
            }
            for score, seen in (("inception", None), ("mask_inception", masks_of)):
                summary["scores"][score] = None
                if inception:
                    splits = min(SPLITS, len(pairs))
                    images = np.load(files()[0][0], mmap_mode="r")
                    said = _labelled(progress, "Inception")
                    mean, std = scores.inception_score(
                        images, inception, splits, batch, device, said, seen
                    )
                    summary["scores"][score] = {"mean": mean, "std": std, "splits": splits}
            if "difference" in scored[0][1]:
                # How much stage II changes, in [-1, 1] units: near 0 means that it adds nothing.
                total = math.fsum(values["difference"] for _, values in scored)
                values = len(pairs) * dataset.height * dataset.width * 3
                summary["mean_absolute_difference"] = total / values
            summary = without_nan(summary)
            for temporary, path in files():
                if temporary.exists():
                    os.replace(temporary, path)
            with write_atomically(folder / "pairs.csv") as temporary:
                table.to_csv(temporary, index=False, float_format="%.6g")
            with write_atomically(folder / "summary.json") as temporary:
                temporary.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
        return distributed.broadcast(summary)
    finally:
        for temporary, _ in files():
            temporary.unlink(missing_ok=True)


def _score(made, target, masks, preset):
    """The scores of a batch, a value per pair; of "difference" the sum of its magnitudes."""
    generated = made["generated"]
    energy, real = (scores.gradient_energy(images, masks) for images in (generated, target))
    values = {
        "ssim": scores.ssim(generated, target, preset),
        "mask_ssim": scores.mask_ssim(generated, target, masks, preset),
        "sharpness": scores.energy_ratio(energy, real),
        "target_gradient": real,
    }
    if "difference" in made:
        values["difference"] = float(np.abs(made["difference"], dtype=np.float64).sum())
    return values


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


def without_nan(value):
    """Nested dicts and lists with null for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def score_weights(table, score):
    """The column of a pairs.csv that weights the mean of a score, or None."""
    return table[PAIR_SCORES[score]] if PAIR_SCORES[score] else None


def _with_interval(table, score, seed):
    values, weights = table[score], score_weights(table, score)
    low, high = scores.bootstrap_interval(values, table.identity, weights, seed=seed)
    return {"mean": scores.mean(values, weights), "low": low, "high": high}


def _labelled(progress, label):
    return (lambda done, total: progress(done, total, label)) if progress else None
