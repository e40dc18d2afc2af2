"""SSIM and mask-SSIM of many pairs at once: scikit-image's values, in a fraction of its time.

SSIM compares means, variances and covariance of two images x and y in a window. With s = x + y
and d = x - y it is
    (m_s^2 - m_d^2 + 2 c1) (v_s - v_d + 2 c2) / ((m_s^2 + m_d^2 + 2 c1) (v_s + v_d + 2 c2)),
which takes four filtered images: s, d and their squares. All in float64, because variances are
small differences of large numbers.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F

from pg2lib.core.files import UserError


@dataclass(frozen=True)
class Preset:
    """One way to compute SSIM; scores of different presets must not be compared."""

    source: str
    # Weights with sigma 1.5 (11x11) and population covariance, instead of scikit-image's default:
    # a uniform 7x7 window and sample covariance (N - 1).
    gaussian: bool = False
    data_range: int | str = 255  # L of SSIM: 255, or max - min of the "generated" or "target" image
    gray: bool = False
    pad_white: bool = False
    mask: str | None = None  # its own pose mask, see `score_row.pair_masks`; None: the table's


_PATN = Preset(
    "Deformable GAN and PATN, Market-1501", gaussian=True, data_range="generated", mask="patn"
)
PRESETS = {
    "pg2": Preset("released code, scoring script"),
    "pg2-trainlog": Preset("released code, training log", data_range="target", gray=True),
    "patn": _PATN,
    "defgan": _PATN,
    "patn-fashion": replace(_PATN, source="PATN, DeepFashion", pad_white=True),
}
DEFAULT_PRESET = "pg2"
_BELL = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
BELL = tuple(_BELL / _BELL.sum())  # as long as scikit-image's: to 3.5 sigma
CHUNK = 100_000  # values of one image array per step on a CPU: all arrays stay in the cache


def ssim(generated, target, preset=DEFAULT_PRESET, device="cpu"):
    """Structural similarity of each pair, float64 (n,), at most 1: scikit-image's within 1e-9.

    RGB presets average the three channels. "pg2-trainlog" uses luma in [0, 1]. "patn-fashion"
    first makes portrait images square, see `pad_white`. Where the preset takes L from an image and
    that image is constant, L is the full range. As in scikit-image, only windows inside the image
    count. Paper 4.3 names SSIM without settings; the default is what the released code computes.

    generated, target: uint8 (n, H, W, 3), H and W at least the window (7 or 11); memory maps are
    read piece by piece. UserError: unknown preset, other dtype or shape, or images too small.
    """
    return mask_ssim(generated, target, None, preset, device)


def mask_ssim(generated, target, mask, preset=DEFAULT_PRESET, device="cpu"):
    """SSIM, as `ssim`, of the whole images after both were multiplied by the mask (paper 4.3).

    The black background counts and agrees by construction, so values lie far above SSIM's.
    mask: (n, H, W), bool or 0 and 1; None: SSIM itself.
    """
    settings = find_preset(preset)
    check_images(generated, target)
    mask = None if mask is None else as_bool(mask, generated)
    count, height, width, _ = generated.shape
    window = 11 if settings.gaussian else 7
    if min(height, width) < window:
        raise UserError(
            f"SSIM with preset '{preset}' needs images of at least {window}x{window} pixels, "
            f"not {height}x{width}."
        )
    if settings.pad_white and width > height:
        raise UserError(
            f"preset '{preset}' pads portrait images to squares; {height}x{width} (height x width) "
            "is wider than high."
        )
    size = CHUNK * (1 if torch.device(device).type == "cpu" else 256)
    torch.empty(30 << 20, dtype=torch.uint8)  # makes glibc keep the memory freed by chunks
    values = np.empty(count)
    for part in parts(count, max(1, size // (height * width * 3))):
        x, y = (torch.from_numpy(np.array(images[part])).to(device) for images in
                (generated, target))  # fmt: skip
        if mask is not None:
            inside = torch.from_numpy(np.array(mask[part])).to(device)[..., None]
            x, y = x * inside, y * inside
        values[part] = _ssim(x, y, settings).cpu().numpy()
    return values


def _ssim(x, y, preset):
    """SSIM, float64 (n,), of two uint8 (n, H, W, 3)."""
    if preset.pad_white:
        x, y = pad_white(x), pad_white(y)
    if preset.gray:
        x, y = _luma(x), _luma(y)
    else:  # sums of uniform windows are exact as integers, and faster
        x, y = (image.double() if preset.gaussian else image.int() for image in (x, y))
    spread = 255
    if preset.data_range != 255:
        spread = _range(x if preset.data_range == "generated" else y, 1 if preset.gray else 255)
    filtered = _gaussian_means if preset.gaussian else _uniform_means
    sample = 1 if preset.gaussian else 49 / 48  # variances are divided by this instead
    c1, c2 = 2 * (0.01 * spread) ** 2, 2 * (0.03 * spread) ** 2 / sample
    s, d = x + y, x - y
    mean_s, mean_d = filtered(s).square_(), filtered(d).square_()
    variance_s, variance_d = filtered(s * s).sub_(mean_s), filtered(d * d).sub_(mean_d)
    numerator = (mean_s - mean_d).add_(c1).mul_((variance_s - variance_d).add_(c2))
    denominator = mean_s.add_(mean_d).add_(c1).mul_(variance_s.add_(variance_d).add_(c2))
    return numerator.div_(denominator).mean((1, 2, 3))


def _uniform_means(images):
    """Means over 7x7 windows, float64 (n, H - 6, W - 6, C), of (n, H, W, C). Shifted images are
    added: much faster than pooling or convolution in float64."""
    for axis in (1, 2):
        size = images.shape[axis] - 6
        two = images.narrow(axis, 0, size + 5) + images.narrow(axis, 1, size + 5)
        total = two.narrow(axis, 0, size) + two.narrow(axis, 2, size)
        images = total.add_(two.narrow(axis, 4, size)).add_(images.narrow(axis, 6, size))
    return images.double().div_(49)


def _gaussian_means(images):
    """Gaussian means over 11x11 windows, (n, H - 10, W - 10, C), of float64 (n, H, W, C)."""
    for axis in (1, 2):
        size = images.shape[axis] - len(BELL) + 1
        total = images.narrow(axis, 0, size) * BELL[0]
        for shift, weight in enumerate(BELL[1:], start=1):
            total.add_(images.narrow(axis, shift, size), alpha=weight)
        images = total
    return images


def _luma(images):
    """Luma in [0, 1] of uint8 (n, H, W, 3), as scikit-image weights it: float64 (n, H, W, 1)."""
    weights = torch.tensor((0.2125, 0.7154, 0.0721), dtype=torch.float64, device=images.device)
    return (images.reshape(-1, 3).double() @ (weights / 255)).view(*images.shape[:3], 1)


def _range(images, full):
    """max - min of each image (n, H, W, C), or `full` where it is constant: (n, 1, 1, 1)."""
    spread = images.amax((1, 2, 3), keepdim=True) - images.amin((1, 2, 3), keepdim=True)
    return torch.where(spread > 0, spread, full)


def pad_white(images):
    """Portrait images uint8 (n, H, W, 3) as squares (n, H, H, 3): half of the white columns on
    each side, an odd one on the right (176x256 gets 40 and 40)."""
    missing = images.shape[1] - images.shape[2]
    return F.pad(images, (0, 0, missing // 2, missing - missing // 2), value=255)


def find_preset(name):
    """The `Preset` of that name. Raises UserError, listing all, if there is none."""
    if name not in PRESETS:
        raise UserError(f"unknown SSIM preset '{name}': choose one of {', '.join(PRESETS)}.")
    return PRESETS[name]


# ---------------------------------------------------------------- arrays of images


def check_images(images, *others):
    """Raise UserError unless all are uint8 (n, H, W, 3) of one shape."""
    for array in (images, *others):
        if array.dtype != np.uint8 or array.ndim != 4 or array.shape[-1] != 3:
            raise UserError(
                f"scores need uint8 images (n, H, W, 3), not {array.dtype} {array.shape}: "
                "round them first with datasets.to_uint8."
            )
        if array.shape != images.shape:
            raise UserError(f"generated and target differ: {images.shape} and {array.shape}.")


def as_bool(mask, images):
    """The mask of uint8 images (n, H, W, 3) as bool (n, H, W). Raises UserError if invalid."""
    mask = np.asarray(mask)
    if mask.shape != images.shape[:3]:
        raise UserError(f"the mask must be {images.shape[:3]} like the images, not {mask.shape}.")
    return mask.astype(bool, copy=False)


def masked(images, mask):
    """Images uint8 (n, H, W, 3) with the pixels outside mask (n, H, W) set to black."""
    check_images(images)
    return images * as_bool(mask, images)[..., None]


def parts(count, size, progress=None):
    """Slices of at most `size` that cover range(count); progress(done, count) after each."""
    for start in range(0, count, size):
        part = slice(start, min(start + size, count))
        yield part
        if progress:
            progress(part.stop, count)


def channels_first(images, device="cpu"):
    """A copy of images (n, H, W, C) as a tensor (n, C, H, W) on a device."""
    return torch.from_numpy(np.array(images)).to(device).permute(0, 3, 1, 2)
