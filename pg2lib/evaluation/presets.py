"""SSIM of the same images under every preset: published values of different presets cannot be
compared, and this table shows by how much they differ.
"""

from itertools import product

import numpy as np

from pg2lib.core.files import UserError, without_nan
from pg2lib.evaluation.score_row import facts, pair_masks, with_interval
from pg2lib.evaluation.ssim import PRESETS, mask_ssim, parts

PRESET_NAMES = ("pg2", "pg2-trainlog", "patn", "patn-fashion")  # those that differ
# Measure -> the image of the pair that its mask is from.
PRESET_MEASURES = {"ssim": None, "mask_ssim": "target", "mask_ssim_condition": "condition"}


def score_presets(generated, dataset, mask_variant="released", seed=0, batch=256):
    """SSIM and mask-SSIM of the same images under every preset and with the mask of either pose; a
    preset that has a mask of its own (`ssim.Preset.mask`) draws that one.

    generated: row -> list, a training each, of uint8 (k, H, W, 3) such as generated.npy, of the
    first k test pairs, the same k in every row, else UserError. mask_variant: see `pair_masks`, for
    presets without a mask of their own; seed: of the bootstrap.

    Returns a dict of JSON values: `facts`, "mask_variant", "presets" (names) and "rows": row ->
    {measure of PRESET_MEASURES: {preset: `with_interval`}}, with None for NaN.
    """
    counts = {len(images) for trainings in generated.values() for images in trainings}
    if len(counts) != 1 or not min(counts) or max(counts) > len(dataset.test_pairs):
        raise UserError(
            f"presets need the images of the same test pairs in every row, not {sorted(counts)} of "
            f"{len(dataset.test_pairs)}."
        )
    pairs, values = np.asarray(dataset.test_pairs)[: min(counts)], {}
    for part in parts(len(pairs), batch):
        target = np.asarray(dataset.images[pairs[part, 1]])
        for measure, mask_from in PRESET_MEASURES.items():
            drawn = {
                variant: mask_from and pair_masks(dataset, pairs[part], mask_from, variant)
                for variant in {PRESETS[preset].mask or mask_variant for preset in PRESET_NAMES}
            }
            for row, preset in product(generated, PRESET_NAMES):
                masks = drawn[PRESETS[preset].mask or mask_variant]
                found = [mask_ssim(images[part], target, masks, preset)
                         for images in generated[row]]  # fmt: skip
                values.setdefault((row, measure, preset), []).append(found)
    people, rows = np.asarray(dataset.identities)[pairs[:, 1]], {}
    for (row, measure, preset), found in values.items():
        interval = with_interval(np.concatenate(found, axis=1), people, seed=seed)
        rows.setdefault(row, {}).setdefault(measure, {})[preset] = interval
    table = {"mask_variant": mask_variant, "presets": list(PRESET_NAMES), "rows": rows}
    return without_nan(facts(dataset, people) | table)
