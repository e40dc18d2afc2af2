"""The scores of Table 1: SSIM, mask-SSIM, sharpness, Inception Score, and their intervals.

Pure functions on uint8 images; only `inception_weights` touches the disk or the network.
"""

import hashlib
import os
import threading
import time
import urllib.request
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from skimage.color import rgb2gray

from pg2lib.errors import UserError, write_atomically
from pg2lib.ssim import (  # noqa: F401  (what others find here)
    DEFAULT_PRESET,
    PRESETS,
    Preset,
    as_bool,
    check_images,
    find_preset,
    mask_ssim,
    masked,
    ssim,
)


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


def mean(values, weights=None):
    """Mean, weighted if weights are given, of the values that are not NaN; NaN if none is."""
    values, weights = _values_and_weights(values, weights)
    return float(values @ weights / weights.sum()) if weights.sum() else float("nan")


def bootstrap_interval(values, identities, weights=None, level=0.95, resamples=2000, seed=0):
    """Percentile bootstrap interval of the (weighted) mean of `values`, over identities.

    Whole people are drawn with replacement, each with all pairs, because pairs of one person
    are alike: drawing pairs would make the interval too narrow.

    Args:
        values: float (n,), one per pair; NaN values are left out.
        identities: (n,), whose pair it is.
        weights: (n,), at least 0, or None.
        level: confidence level.
        resamples, seed: size and seed of the bootstrap.

    Returns:
        (low, high); (nan, nan) with fewer than two people, who leave nothing to resample.

    Raises:
        UserError: values and identities of different length, or a level outside (0, 1).
    """
    identities, shape = np.asarray(identities), np.shape(values)
    if len(shape) != 1 or shape != identities.shape or not 0 < level < 1:
        raise UserError(
            f"a bootstrap needs one identity per value and a level between 0 and 1, not {shape} "
            f"values, {identities.shape} identities and level {level}."
        )
    values, weights = _values_and_weights(values, weights)
    people, person = np.unique(identities[weights > 0], return_inverse=True)
    if len(people) < 2:
        return float("nan"), float("nan")
    values, weights = values[weights > 0], weights[weights > 0]
    total = np.bincount(person, values * weights)  # (people,)
    weight = np.bincount(person, weights)
    # How often each person is drawn, a row per resample.
    random = np.random.default_rng(seed)
    drawn = random.multinomial(len(people), np.full(len(people), 1 / len(people)), resamples)
    means = (drawn @ total) / (drawn @ weight)  # (resamples,)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_difference(a, b, identities, weights=None, level=0.95, resamples=2000, seed=0):
    """(Weighted) mean of a - b over the same pairs, with its bootstrap interval over identities.

    Far narrower than two separate intervals suggest, since what makes a pair hard is hard for
    both rows. Pairs with a NaN in `a` or `b` are left out.

    Args:
        a, b: float (n,), the scores of two rows on the same pairs, in the same order.
        identities, weights, level, resamples, seed: as for `bootstrap_interval`.

    Returns:
        (difference, low, high).

    Raises:
        UserError: as `bootstrap_interval`, or `a` and `b` of different length.
    """
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.shape != b.shape:
        raise UserError(f"the two rows have {a.shape} and {b.shape} scores, not the same pairs.")
    interval = bootstrap_interval(a - b, identities, weights, level, resamples, seed)
    return mean(a - b, weights), *interval


def _values_and_weights(values, weights):
    """Both as float arrays, with 0 for value and weight where a value is NaN."""
    values = np.asarray(values, float)
    weights = np.ones_like(values) if weights is None else np.asarray(weights, float)
    known = ~np.isnan(values)
    return np.where(known, values, 0), np.where(known, weights, 0)


# --- Inception Score ---------------------------------------------------------------------------

INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"
INCEPTION_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
CONNECT_SECONDS = 8  # what being offline may cost, once per process
STALL_SECONDS = 10
DOWNLOAD_SECONDS = 600


class NoWeights(UserError):
    """The Inception network's weights cannot be had; everything but the Inception Score goes on."""


def inception_weights(download=True):
    """Path of torch-fidelity's Inception weights, or None; `require_inception` says why None.

    Raises:
        NoWeights: $PG2_INCEPTION is set, but not to that file: a mistake, not a lack.
    """
    try:
        return require_inception(download)
    except NoWeights:
        if os.environ.get("PG2_INCEPTION"):
            raise
        return None


def require_inception(download=True):
    """Path of torch-fidelity's Inception weights, checked by SHA-256.

    They are the 2015 TensorFlow weights the paper's score rests on, converted. Looked for in
    the file or folder $PG2_INCEPTION, then among torch hub's checkpoints; then downloaded to
    there (95.6 MB), tried once per process.

    Args:
        download: whether to try; PG2_DOWNLOAD=off in the environment forbids it as well.

    Returns:
        pathlib.Path.

    Raises:
        NoWeights: no torch-fidelity, no file, no network, or a wrong checksum; says which.
    """
    try:
        import torch_fidelity  # noqa: F401  (an optional dependency)
    except ImportError:
        raise NoWeights(
            "the Inception Score needs torch-fidelity: pip install torch-fidelity."
        ) from None
    if given := os.environ.get("PG2_INCEPTION"):
        path = Path(given).expanduser()
        path = path / INCEPTION_FILE if path.is_dir() else path
        if not path.is_file():
            raise NoWeights(f"PG2_INCEPTION names {path}, but there is no such file.")
        return _checked(path)
    path = Path(torch.hub.get_dir()) / "checkpoints" / INCEPTION_FILE
    if path.is_file():
        return _checked(path)
    if not download or os.environ.get("PG2_DOWNLOAD", "").lower() == "off":
        failure = "downloads are off"
    elif (failure := _download(path)) is None:
        return path
    raise NoWeights(
        f"no {INCEPTION_FILE} in {path.parent} ({failure}): set PG2_INCEPTION to the file."
    )


def _checked(path):
    stat = path.stat()
    digest = _digest(path, stat.st_size, stat.st_mtime_ns)
    if digest != INCEPTION_SHA256:
        raise NoWeights(
            f"{path} is not torch-fidelity's Inception network (SHA-256 {digest[:8]}..., "
            f"expected {INCEPTION_SHA256[:8]}...): fetch it again."
        )
    return path


@cache
def _digest(path, size, changed):
    """SHA-256 of a file, read again only if its size or date changed."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def _download(path):
    """Fetch the weights to `path`; None, or why that failed. Cached: one attempt per process."""
    answer = []

    def connect():
        from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

        try:
            answer.append(urllib.request.urlopen(URL_INCEPTION_V3, timeout=STALL_SECONDS))
        except (OSError, ValueError) as error:
            answer.append(error)

    # In a thread of its own, because a name server that is silent heeds no timeout.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(CONNECT_SECONDS)
    if not answer:
        return f"no answer within {CONNECT_SECONDS} s"
    if isinstance(answer[0], Exception):
        return str(getattr(answer[0], "reason", answer[0]))
    deadline = time.monotonic() + DOWNLOAD_SECONDS
    try:
        with answer[0] as response, write_atomically(path) as temporary:
            with open(temporary, "wb") as file:
                while block := response.read(1 << 20):
                    file.write(block)
                    if time.monotonic() > deadline:
                        return f"not done within {DOWNLOAD_SECONDS} s"
            _checked(temporary)
    except (OSError, NoWeights) as error:
        return str(error)
    return None


def inception_logits(images, weights, batch=50, device="cpu", progress=None, masks=None):
    """What the 2015 Inception network sees in each image.

    torch-fidelity's network follows the TensorFlow graph of the released code: bilinear resize
    to 299x299 as TensorFlow 1 did it, logits without the bias.

    Args:
        images: uint8 (n, H, W, 3), read a batch at a time.
        weights: path from `inception_weights`.
        batch: images at a time.
        progress: called with (images done, of how many) after each batch.
        masks: function slice -> bool (b, H, W): what the network sees of those images, or None.

    Returns:
        float32 (n, 1008) NumPy array.

    Raises:
        NoWeights: torch-fidelity is not installed.
        UserError: images of another dtype or shape.
    """
    check_images(images)
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError:
        raise NoWeights(
            "the Inception Score needs torch-fidelity: pip install torch-fidelity."
        ) from None
    network = FeatureExtractorInceptionV3(
        "inception", ["logits_unbiased"], feature_extractor_weights_path=str(weights)
    ).to(device)
    logits = []
    with torch.inference_mode():
        for start in range(0, len(images), batch):
            part = slice(start, min(start + batch, len(images)))
            x = np.array(images[part])
            x = torch.from_numpy(masked(x, masks(part)) if masks else x)
            (y,) = network(x.to(device).permute(0, 3, 1, 2))  # (batch, 3, H, W) -> (batch, 1008)
            logits.append(y.cpu().numpy())
            if progress:
                progress(start + len(x), len(images))
    return np.concatenate(logits)


def score_from_logits(logits, splits=10):
    """The Inception Score: exp of the mean KL divergence of p(y|x) from p(y), over splits.

    The released protocol: images in the order given, `splits` runs of consecutive images, mean
    and standard deviation (ddof 0) over them. exp(KL) grows with the number of images in a
    split, so scores on different sample counts cannot be compared.

    Args:
        logits: (n, classes), n >= splits.

    Returns:
        (mean, std).

    Raises:
        UserError: fewer images than splits.
    """
    if len(logits) < splits:
        raise UserError(f"{len(logits)} images cannot be split in {splits}: lower the splits.")
    logits = np.asarray(logits, float)
    log_p = logits - logits.max(1, keepdims=True)
    log_p -= np.log(np.exp(log_p).sum(1, keepdims=True))  # (n, classes)
    scores = []
    for k in range(splits):
        part = log_p[k * len(log_p) // splits : (k + 1) * len(log_p) // splits]
        p = np.exp(part)
        # A class no image of the split can have (p = 0) adds nothing: 0 log 0 = 0.
        marginal = np.log(p.mean(0).clip(min=np.finfo(float).tiny))
        scores.append(np.exp((p * (part - marginal)).sum(1).mean()))
    return float(np.mean(scores)), float(np.std(scores))


def inception_score(images, weights, splits=10, batch=50, device="cpu", progress=None, masks=None):
    """(mean, std) of the Inception Score of uint8 images (n, H, W, 3): the two steps above."""
    logits = inception_logits(images, weights, batch, device, progress, masks)
    return score_from_logits(logits, splits)
