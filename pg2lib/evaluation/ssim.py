"""SSIM and mask-SSIM of many pairs at once: scikit-image's values, in a fraction of its time.

SSIM compares the means, variances and covariance of two images x and y in a window. With
s = x + y and d = x - y it is
    (m_s^2 - m_d^2 + 2 c1) (v_s - v_d + 2 c2) / ((m_s^2 + m_d^2 + 2 c1) (v_s + v_d + 2 c2)),
so that four filtered images do: s, d and their squares. Uniform windows are summed as integers,
exactly; Gaussian ones need float64, because variances are small differences of large numbers.
"""

from dataclasses import dataclass

import numpy as np
import torch

from pg2lib.core.files import UserError


@dataclass(frozen=True)
class Preset:
    """One way to compute SSIM; scores of different presets must not be compared.

    gaussian: weights with sigma 1.5 (11x11) and population covariance, instead of scikit-image's
      default: a uniform 7x7 window and sample covariance (N - 1).
    data_range: the L of SSIM: 255, or max - min of the "generated" or the "target" image.
    """

    source: str
    gaussian: bool = False
    data_range: int | str = 255
    gray: bool = False
    pad_white: bool = False


_PATN = Preset("Deformable GAN and PATN, Market-1501", gaussian=True, data_range="generated")
PRESETS = {
    "pg2": Preset("released code, scoring script"),
    "pg2-trainlog": Preset("released code, training log", data_range="target", gray=True),
    "patn": _PATN,
    "defgan": _PATN,
    "patn-fashion": Preset(
        "PATN, DeepFashion", gaussian=True, data_range="generated", pad_white=True
    ),
}
DEFAULT_PRESET = "pg2"
C1, C2 = 0.01**2, 0.03**2  # of L^2
LUMA = (2125, 7154, 721)  # of R, G, B in 1/10,000, as scikit-image has them
CHUNK = 300_000  # values of one image array that are worked on at a time: they stay in the cache


def ssim(generated, target, preset=DEFAULT_PRESET, device="cpu"):
    """Structural similarity of each pair, equal to scikit-image's within 1e-6.

    RGB presets average the three channels. "pg2-trainlog" works on luma in [0, 1].
    "patn-fashion" first makes portrait images square with white columns, half on each side, an
    odd one on the right (176x256 gets 40 and 40). Where the preset takes L from an image and
    that image is constant, L is the full range. As in scikit-image only windows that lie within
    the image count.

    Args:
        generated, target: uint8 (n, H, W, 3), H and W at least the window (7 or 11); memory maps
            are read piece by piece.
        preset: a name in `PRESETS` (paper 4.3 names SSIM without settings; the default is what
          the released code computes).
        device: where to compute.

    Returns:
        float64 (n,), at most 1.

    Raises:
        UserError: unknown preset, other dtype or shape, images too small for the window.
    """
    return _ssim(generated, target, None, preset, device)


def mask_ssim(generated, target, mask, preset=DEFAULT_PRESET, device="cpu"):
    """SSIM of the whole images after both were multiplied by the mask (paper 4.3).

    The black background counts and agrees by construction, so values lie far above SSIM's.

    Args:
        generated, target, preset, device: as for `ssim`.
        mask: (n, H, W), bool or 0 and 1.

    Returns:
        float64 (n,).
    """
    check_images(generated, target)
    return _ssim(generated, target, as_bool(mask, generated), preset, device)


def masked(images, mask):
    """Images uint8 (n, H, W, 3) with the pixels outside mask (n, H, W) set to black."""
    check_images(images)
    return images * as_bool(mask, images)[..., None]


def _ssim(generated, target, mask, name, device):
    preset = find_preset(name)
    check_images(generated, target)
    count, height, width, _ = generated.shape
    window = 11 if preset.gaussian else 7
    if min(height, width) < window:
        raise UserError(
            f"SSIM with preset '{name}' needs images of at least {window}x{window} pixels, "
            f"not {height}x{width}."
        )
    if preset.pad_white and width > height:
        raise UserError(
            f"preset '{name}' pads portrait images to squares; {height}x{width} (height x width) "
            "is wider than high."
        )
    score, take = (_gaussian if preset.gaussian else _uniform), _Scratch(device)
    chunk = (
        CHUNK
        * (1 if take.device.type == "cpu" else 64)
        // ((2 if preset.gray else 3) * height * width)
    )
    chunk = max(1, min(chunk, count))
    here = torch.empty(3, chunk, *generated.shape[1:], dtype=torch.uint8)  # pairs and masks
    values = np.empty(count)
    for start in range(0, count, chunk):
        part = slice(start, min(start + chunk, count))
        x, y, inside = here[:, : part.stop - start]
        np.copyto(x.numpy(), generated[part])
        np.copyto(y.numpy(), target[part])
        if mask is not None:
            inside.copy_(torch.from_numpy(mask[part])[..., None])
            x.mul_(inside), y.mul_(inside)
        x, y = x.to(take.device), y.to(take.device)
        values[part] = score(x, y, preset, take).cpu().numpy()
    return values


class _Scratch:
    """Memory for intermediate images, by name, the same for every chunk of pairs.

    Fresh memory would cost more than the arithmetic: the system gives and takes it by the page.
    """

    def __init__(self, device):
        self.device, self.made = torch.device(device), {}

    def __call__(self, name, dtype, *shape):
        tensor = self.made.get((name, dtype))
        if tensor is None or tensor.shape != shape:
            tensor = torch.empty(shape, dtype=dtype, device=self.device)
            self.made[name, dtype] = tensor
        return tensor


def _uniform(x, y, preset, take):
    """SSIM (n,) with 7x7 windows and sample covariance, of uint8 (n, H, W, 3).

    Sums of 49 values and of their squares are whole numbers: exact as int32 for 8-bit values, and
    exact enough as float64 for luma in 1/10,000. An image is one long row, in which the pixel
    below is W values further; sums that run over an edge are left out at the end.
    """
    n, height, width, channels = x.shape
    small, wide, final, spread = torch.int16, torch.int32, torch.float32, 255.0
    if preset.gray:
        x, y, channels = _luma(x, "x", take), _luma(y, "y", take), 1
        small, wide, final = torch.int32, torch.float64, torch.float64
        spread = _range(y, 255 * sum(LUMA))[:, None]  # (n, 1)
    else:
        x, y = x.short(), y.short()
    line = width * channels
    size = n * height * line

    def moments(name, plus_or_minus):
        """Of s or d, times 49^2: the squared mean and minus the variance times 48 / 49."""
        values = take("values", small, size + 6 * line + 6 * channels)  # the tail never counts
        plus_or_minus(x.view(-1), y.view(-1), out=values[:size])
        sums = _sums(values, line, channels, take)
        mean = take(f"mean {name}", wide, size).copy_(sums)
        squares = take("squares", wide, len(values)).copy_(values)
        sums = _sums(squares.mul_(squares), line, channels, take)
        torch.sub(mean.mul_(mean), sums, alpha=49, out=sums)
        return [
            take(f"{what} {name}", final, size).copy_(values).view(n, -1)
            for what, values in (("mean", mean), ("variance", sums))
        ]

    mean_s, variance_s = moments("s", torch.add)
    mean_d, variance_d = moments("d", torch.sub)
    mean_s.add_(2 * C1 * spread**2 * 49**2)
    variance_s.sub_(2 * C2 * spread**2 * 49 * 48)
    loss = _unlikeness(mean_s, mean_d, variance_s, variance_d, take)
    shape = (n, height - 6, (width - 6) * channels)
    loss = loss.as_strided(shape, (height * line, line, 1)).sum(2).double().sum(1)
    return 1 - 2 * loss / (shape[1] * shape[2])


def _gaussian(x, y, preset, take):
    """SSIM (n,) with Gaussian 11x11 windows and population covariance, of uint8 (n, H, W, 3).

    The images lie across, pixel by pixel the same place of all of them, so that filtering along y
    and x both mean adding rows: a product with a small band matrix, which goes at the speed of
    matrix products and not of memory.
    """
    if preset.pad_white:  # only what a window with a part of the image sees; beyond, SSIM is 1
        full = x.shape[1]
        x, y = (_pad_white(image, 10) for image in (x, y))
    spread = _range(x, 255)
    n, height, width, channels = x.shape
    planes = channels * n
    high, count = height - 10, (height - 10) * width - 10  # valid lines, valid rows
    lines, rows = (-(-a // BLOCK) * BLOCK for a in (high, count))
    shape, double = (height, width, channels, n), torch.float64
    x, y = (
        take(name, torch.int16, *shape).copy_(image.permute(1, 2, 3, 0))
        for name, image in (("x", x), ("y", y))
    )
    image = take("image", double, lines + 10, width * planes)
    tall = take("tall", double, lines * width + 8, planes)

    def blurred(name):
        _bell(image, tall[: lines * width].view(lines, -1))
        tall[lines * width :] = 0
        return _bell(tall, take(name, double, rows, planes))[:count]

    def moments(name, plus_or_minus):
        """Of s or d: the squared mean and the mean square, each (count, planes)."""
        image[:height].view(shape).copy_(plus_or_minus(x, y, out=take("s", torch.int16, *shape)))
        image[height:] = 0
        mean = blurred(f"mean {name}")
        image.mul_(image)
        return mean.mul_(mean), blurred(f"variance {name}")

    (mean_s, variance_s), (mean_d, variance_d) = moments("s", torch.add), moments("d", torch.sub)
    scale = 2 * (spread**2).repeat(channels)  # (planes,)
    variance_s.sub_(mean_s).add_(C2 * scale)
    variance_d.sub_(mean_d)
    mean_s.add_(C1 * scale)
    loss = _unlikeness(mean_s, mean_d, variance_s, variance_d, take)
    loss = loss.as_strided((high, width - 10, planes), (width * planes, planes, 1))
    loss = loss.sum(0).sum(0).view(channels, n).mean(0)
    return 1 - 2 * loss / (high * ((full if preset.pad_white else width) - 10))


def _unlikeness(mean_s, mean_d, variance_s, variance_d, take):
    """r of SSIM = 1 - 2 r, from m_s^2 + 2 c1, m_d^2, v_s + 2 c2, v_d; overwrites them."""
    r = torch.mul(mean_s, variance_d, out=take("r", mean_s.dtype, *mean_s.shape))
    r.addcmul_(mean_d, variance_s)
    mean_s.add_(mean_d).mul_(variance_s.add_(variance_d))
    return r.div_(mean_s)


def _sums(values, line, step, take):
    """Sums of seven values `line` apart, and of seven of those `step` apart."""
    dtype, size = values.dtype, len(values) - 6 * line
    down = take("down", dtype, size)
    torch.sum(values.as_strided((7, size), (line, 1)), 0, dtype=dtype, out=down)
    size -= 6 * step
    out = take("sums", dtype, size)
    if step > 1:
        return torch.sum(down.as_strided((7, size), (step, 1)), 0, dtype=dtype, out=out)
    # Neighbours that touch: torch.sum would go window by window.
    two = torch.add(down[:-1], down[1:], out=take("two", dtype, size + 5))
    return torch.add(two[:-5], two[2:-3], out=out).add_(two[4:-1]).add_(down[6:])


BLOCK = 8
BELL = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
# (BLOCK, BLOCK + 10): every row holds the weights, one place further to the right.
BAND = np.stack([np.pad(BELL / BELL.sum(), (i, BLOCK - 1 - i)) for i in range(BLOCK)])


def _bell(rows, out):
    """Gaussian means of 11 rows each: (at least m + 10, k) to `out` (m, k), m of whole blocks."""
    m, k = out.shape
    blocks = rows.as_strided((m // BLOCK, BLOCK + 10, k), (BLOCK * k, k, 1))  # they overlap
    band = torch.from_numpy(BAND).to(rows.device).expand(len(blocks), -1, -1)
    torch.bmm(band, blocks, out=out.view(len(blocks), BLOCK, k))
    return out


def _luma(images, name, take):
    """uint8 (n, H, W, 3) to int32 (n, H, W): luma in [0, 1] times 2,550,000."""
    red, green, blue = (
        take(name, torch.int32, *images.shape[:-1]).copy_(images[..., channel])
        for channel, name in enumerate((name, "green", "blue"))
    )
    return red.mul_(LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])


def _range(images, full):
    """max - min of each image, or `full` where it is constant: float64 (n,)."""
    values = images.flatten(1)
    spread = (values.amax(1).int() - values.amin(1).int()).double()
    return torch.where(spread > 0, spread, full)


def _pad_white(images, most):
    """Images (n, H, W, 3) with white columns until they are square, but at most `most` a side."""
    missing = images.shape[1] - images.shape[2]
    left = missing // 2
    sides = (0, 0, min(left, most), min(missing - left, most))
    return torch.nn.functional.pad(images, sides, value=255)


# --- checks ------------------------------------------------------------------------------------


def find_preset(name):
    """The `Preset` of that name, or a UserError that lists them."""
    if name not in PRESETS:
        raise UserError(f"unknown SSIM preset '{name}': choose one of {', '.join(PRESETS)}.")
    return PRESETS[name]


def check_images(images, *others):
    for array in (images, *others):
        if array.dtype != np.uint8 or array.ndim != 4 or array.shape[-1] != 3:
            raise UserError(
                f"scores need uint8 images (n, H, W, 3), not {array.dtype} {array.shape}: "
                "round them first with datasets.to_uint8."
            )
        if array.shape != images.shape:
            raise UserError(f"generated and target differ: {images.shape} and {array.shape}.")


def as_bool(mask, images):
    mask = np.asarray(mask)
    if mask.shape != images.shape[:3]:
        raise UserError(f"the mask must be {images.shape[:3]} like the images, not {mask.shape}.")
    return mask.astype(bool, copy=False)
