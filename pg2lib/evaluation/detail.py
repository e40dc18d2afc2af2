"""Fine structure of generated people: body-SSIM and sharpness, inside the pose mask.

Pure functions of uint8 images. Our own scores; the paper judges these things by eye.
"""

import numpy as np
import torch
import torch.nn.functional as F
from skimage.color import rgb2gray

from pg2lib.evaluation.ssim import as_bool, check_images


def body_ssim(generated, target, masks, window=7, chunk=64):
    """SSIM of the person alone: over the mask, from windows that look only at the mask.

    In mask-SSIM black agrees with black, in whole windows and in parts of those at the border, so
    that small and thin masks score high: missing joints would look like a help. Here means,
    variances and covariance of a window come from its pixels inside the mask, and the map is
    averaged over the mask. Where a window lies within the mask it is the one of preset "pg2"
    (7x7, uniform, sample covariance, L = 255). Ours, not in the paper.

    Args:
        generated, target: uint8 (n, H, W, 3).
        masks: bool (n, H, W).
        window: its side in pixels, odd.
        chunk: pairs at a time.

    Returns:
        float64 (n,), at most 1; NaN where a mask is empty.
    """
    parts = [slice(k, k + chunk) for k in range(0, len(masks), chunk)]
    return np.concatenate(
        [_body_ssim(generated[part], target[part], masks[part], window) for part in parts]
    )


def _body_ssim(generated, target, masks, window):
    inside = torch.from_numpy(np.array(masks, bool))[:, None].double()  # (n, 1, H, W)
    x, y = (torch.from_numpy(np.array(part)).permute(0, 3, 1, 2) for part in (generated, target))

    def near(values):  # mean over the window's cells, those outside the mask as zeros
        return F.avg_pool2d(values * inside, window, 1, window // 2)

    share = near(torch.ones_like(inside)).clamp(min=1 / window**2)  # of the window in the mask
    count = share * window**2
    sample = count / (count - 1).clamp(min=1)
    x, y = x.double(), y.double()
    mx, my = near(x) / share, near(y) / share  # (n, 3, H, W)
    vx, vy, vxy = (
        sample * (near(a * b) / share - c * d)
        for a, b, c, d in ((x, x, mx, mx), (y, y, my, my), (x, y, mx, my))
    )
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    local = (2 * mx * my + c1) * (2 * vxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return ((local.mean(1, keepdim=True) * inside).sum((1, 2, 3)) / inside.sum((1, 2, 3))).numpy()


def sharpness(generated, target, mask):
    """How sharp each generated person is, against the real image: 1 is equally sharp.

    The ratio of the two `gradient_energy`, generated over target. Blur lowers it, noise raises
    it: it says nothing about the likeness. Ours, not in the paper, which judges by eye.

    A few smooth targets have very large ratios, so the plain mean over pairs misleads (Market-1501
    images against others of the same person average 1.5). Weighted with the targets' energy the
    mean becomes the ratio of the two average energies: that is what a table states.

    Args:
        generated, target: uint8 (n, H, W, 3).
        mask: (n, H, W), bool or 0 and 1.

    Returns:
        float64 (n,), at least 0; NaN where the mask has no interior or the target no gradient.
    """
    check_images(generated, target)
    return energy_ratio(gradient_energy(generated, mask), gradient_energy(target, mask))


def energy_ratio(energy, real):
    """energy / real, NaN where real is 0: the sharpness, from the two gradient energies."""
    return energy / np.where(real > 0, real, np.nan)


def gradient_energy(images, mask):
    """Mean squared gradient of the luma inside the mask.

    The gradient is the central difference over one pixel to each side, in x and y, of the luma
    in [0, 1]. The mean runs over the pixels whose four neighbours lie in the mask as well, so
    that neither the mask's border nor the image's enters.

    Args:
        images: uint8 (n, H, W, 3).
        mask: (n, H, W), bool or 0 and 1.

    Returns:
        float64 (n,) in squared luma per squared pixel; NaN where the mask has no interior.
    """
    check_images(images)
    mask = as_bool(mask, images)
    parts = [slice(k, k + 16) for k in range(0, len(images), 16)]  # luma takes 8 bytes a pixel
    return np.concatenate(
        [np.empty(0), *(_gradient_energy(images[part], mask[part]) for part in parts)]
    )


def _gradient_energy(images, mask):
    gray = rgb2gray(images)  # (n, H, W)
    gx = (gray[:, 1:-1, 2:] - gray[:, 1:-1, :-2]) / 2  # (n, H-2, W-2)
    gy = (gray[:, 2:, 1:-1] - gray[:, :-2, 1:-1]) / 2
    beside = mask[:, 1:-1, 2:] & mask[:, 1:-1, :-2] & mask[:, 2:, 1:-1] & mask[:, :-2, 1:-1]
    interior = mask[:, 1:-1, 1:-1] & beside
    count = interior.sum((1, 2))
    return ((gx**2 + gy**2) * interior).sum((1, 2)) / np.where(count, count, np.nan)
