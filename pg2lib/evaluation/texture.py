"""How much garment texture a generated image keeps, measured with exact parsing maps.

Our own measure, for the claim of Soft-Gated Warping-GAN that warped features carry textures. It
needs maps that label each pixel's garment, so it works only for drawn people.
"""

import numpy as np
import pandas as pd

from pg2lib.core.files import UserError
from pg2lib.data.geometry import rotation
from pg2lib.data.parsing import LABELS
from pg2lib.evaluation.detail import structure
from pg2lib.evaluation.ssim import parts

GARMENTS = {
    "people": ("upper", "lower"),
    "lip": ("upper-clothes", "dress", "coat", "pants", "skirt"),
}
ROUNDING = 1e-9  # energy of a plain garment's float errors; one grey level at one pixel has 1e-5
TURNED = 60.0  # degrees between two views that still show the same side of a garment


def shown_garments(before, after, turned, labels="people"):
    """The garments of target images whose side the condition images show: bool (g, n, H, W), a
    plane for each of GARMENTS[labels].

    before, after: parsing maps uint8 (n, H, W) of condition and target; turned: float (n,), degrees
    between the two views (`geometry.rotation`). A garment counts where the views are at most TURNED
    apart and both show at least a window of its pixels (a sixteenth of the height, squared).
    """
    least = (after.shape[1] // 16 | 1) ** 2
    found = []
    for name in GARMENTS[labels]:
        number = LABELS[labels].index(name)
        areas = [(maps == number).sum((1, 2)) for maps in (before, after)]
        counts = (np.minimum(*areas) >= least) & (turned <= TURNED)  # not where it is NaN
        found.append((after == number) & counts[:, None, None])
    return np.stack(found)


def texture(generated, target, garments):
    """How much of the texture of the target's garments a generated image has, at its place.

    Texture is the luma minus its local mean within the garment, as `detail.structure` takes it, so
    that neither the outline of a garment nor its shading counts. With h that of the generated and
    h* that of the true garment, <h, h*> / <h*, h*>, summed over the garments: 1 for the true
    texture, 0 for a garment of its mean colour or blurred beyond the window, about 0 for another
    texture, 0 on average over displacements of the true one, 0.5 at half the contrast.

    generated, target: uint8 (n, H, W, 3); garments: bool (g, n, H, W). Returns a dict of float64
    (n,): "texture", NaN where no garment counts or none has a texture, and "target_texture", the
    energy <h*, h*>, which weights its mean.
    """
    both, energy = np.zeros(len(generated)), np.zeros(len(generated))
    for region in garments:
        found = structure(generated, target, region)
        own = np.where(found["target_detail"] > ROUNDING, found["target_detail"], 0)
        energy += own
        both += np.nan_to_num(found["detail"]) * own
    return {"texture": both / np.where(energy > 0, energy, np.nan), "target_texture": energy}


def of_pairs(generated, dataset, labels="people", chunk=64):
    """`texture` of the generated images (k, H, W, 3) of a Dataset's test pairs: a DataFrame of k
    rows. UserError: the data set has no exact maps, `extras["parsing"]`."""
    if "parsing" not in dataset.extras:
        raise UserError(f"the texture of garments needs the parsing maps of {dataset.name}")
    maps, pairs = dataset.extras["parsing"], np.asarray(dataset.test_pairs)
    frames = []
    for part in parts(len(pairs), chunk):
        a, b = pairs[part].T
        turned = rotation(dataset.keypoints[a], dataset.keypoints[b])
        garments = shown_garments(maps[a], maps[b], turned, labels)
        found = texture(np.asarray(generated[part]), np.asarray(dataset.images[b]), garments)
        frames.append(pd.DataFrame(found, index=range(part.start, part.stop)))
    return pd.concat(frames)
