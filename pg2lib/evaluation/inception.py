"""Inception Score, FID and KID, from the Inception network that torch-fidelity provides.

Only `require_inception` touches disk or network; everything else is a pure function of uint8
images, logits or features.
"""

import math

import numpy as np
import torch

from pg2lib.core import downloads
from pg2lib.core.downloads import NoWeights
from pg2lib.core.files import UserError
from pg2lib.evaluation.ssim import check_images, masked
from pg2lib.evaluation.statistics import draws

# The 2015 TensorFlow weights that the paper's score is based on, converted; 95.6 MB.
INCEPTION = downloads.Weights(
    "torch-fidelity's Inception network",
    "weights-inception-2015-12-05-6726825d.pth",
    "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth",
    "PG2_INCEPTION",
)


def inception_weights(download=True):
    """Path of the Inception weights, or None; `require_inception` says why None.

    Raises:
        NoWeights: $PG2_INCEPTION is set, but not to that file.
    """
    return downloads.or_none(require_inception, INCEPTION, download)


def require_inception(download=True):
    """Path of torch-fidelity's Inception weights, checked by SHA-256.

    Looked for in the file or folder $PG2_INCEPTION, then among torch hub's checkpoints, then
    downloaded to there, tried once per process.

    Args:
        download: whether to try; PG2_DOWNLOAD=off in the environment forbids it as well.

    Raises:
        NoWeights: no torch-fidelity, no file, no network, or a wrong checksum; says which.
    """
    _network_class()
    return downloads.require(INCEPTION, download=download)


def _network_class():
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError:
        raise NoWeights(
            "Inception Score, FID and KID need torch-fidelity: pip install .[scores]."
        ) from None
    return FeatureExtractorInceptionV3


def inception_features(
    images, weights, batch=50, device="cpu", progress=None, masks=None, index=None
):
    """Features and logits of each image, from the 2015 Inception network.

    torch-fidelity's network follows the TensorFlow graph of the released code: bilinear resize
    to 299x299 as in TensorFlow 1, logits without the bias.

    Args:
        images: uint8 (n, H, W, 3), read a batch at a time.
        weights: path from `inception_weights`.
        batch: images at a time.
        progress: called with (images done, of how many) after each batch.
        masks: function slice -> bool (b, H, W), outside which images are made black, or None.
        index: int (n,), the images to take, in this order, or None for all.

    Returns:
        (float32 (n, 2048) pooled features for FID and KID, float32 (n, 1008) logits for the
        Inception Score).

    Raises:
        NoWeights: torch-fidelity is not installed.
        UserError: images of another dtype or shape.
    """
    check_images(images)
    network = _network_class()(
        "inception", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(weights)
    ).to(device)
    count = len(images) if index is None else len(index)
    features, logits = [], []
    with torch.inference_mode():
        for start in range(0, count, batch):
            part = slice(start, min(start + batch, count))
            x = np.array(images[part if index is None else index[part]])
            x = torch.from_numpy(masked(x, masks(part)) if masks else x)
            pool, y = network(x.to(device).permute(0, 3, 1, 2))  # (b, 2048), (b, 1008)
            features.append(pool.cpu().numpy())
            logits.append(y.cpu().numpy())
            if progress:
                progress(part.stop, count)
    return np.concatenate(features), np.concatenate(logits)


def score_from_logits(logits, splits=10):
    """The Inception Score: exp of the mean KL divergence of p(y|x) from p(y), over splits.

    As in the released code: `splits` runs of consecutive images, mean and standard deviation
    (ddof 0) over them. exp(KL) grows with the number of images in a split, so scores on different
    sample counts cannot be compared.

    Args:
        logits: (n, classes), n >= splits.

    Returns:
        (mean, std).

    Raises:
        UserError: fewer images than splits.
    """
    ones = np.ones((1, len(logits)))
    scores = [_inception_scores(*part, ones[:, where]) for where, part in _splits(logits, splits)]
    return float(np.mean(scores)), float(np.std(scores))


def score_interval(logits, identities, splits=10, level=0.95, resamples=200, seed=0):
    """Bootstrap interval over identities of the mean of `score_from_logits`.

    People are drawn as in `statistics.bootstrap_interval`, each with their images in every split.
    A sample with repetitions is less diverse and scores lower than the original, so the resampled
    scores are shifted until their mean is the score.

    Returns:
        (low, high); (nan, nan) with fewer than two people.
    """
    people, person = np.unique(identities, return_inverse=True)
    if len(people) < 2:
        return float("nan"), float("nan")
    drawn = draws(len(people), resamples, seed).astype(float)  # (resamples, people)
    with np.errstate(invalid="ignore"):  # a split without any drawn image
        scores = np.nanmean(
            [_inception_scores(*part, drawn[:, person[where]]) for where, part in
             _splits(logits, splits)], 0)  # fmt: skip
    shift = score_from_logits(logits, splits)[0] - scores.mean()
    low, high = np.quantile(scores, [(1 - level) / 2, (1 + level) / 2]) + shift
    return float(low), float(high)


def _splits(logits, splits):
    """For each split: (slice, (probabilities p (n, classes), sum of p log p per image))."""
    if len(logits) < splits:
        raise UserError(f"{len(logits)} images cannot be split in {splits}: lower the splits.")
    logits = np.asarray(logits, float)
    log_p = logits - logits.max(1, keepdims=True)
    log_p -= np.log(np.exp(log_p).sum(1, keepdims=True))
    for k in range(splits):
        where = slice(k * len(log_p) // splits, (k + 1) * len(log_p) // splits)
        p = np.exp(log_p[where])
        yield where, (p, (p * log_p[where]).sum(1))


def _inception_scores(p, negative_entropy, counts):
    """exp(mean KL), (k,), of samples in which image i occurs counts[k, i] times."""
    total = counts.sum(1)
    marginal = counts @ p / total[:, None]
    # A class with p = 0 everywhere adds nothing: 0 log 0 = 0.
    logs = np.log(marginal.clip(min=np.finfo(float).tiny))
    return np.exp(counts @ negative_entropy / total - (marginal * logs).sum(1))


def fid(generated, target):
    """Frechet Inception Distance between two sets of features, taken as normal distributions:

    |mu_1 - mu_2|^2 + Tr(S_1 + S_2 - 2 (S_1 S_2)^(1/2)) with sample covariances S (Heusel et al.
    2017). It falls as the number of images grows: scores on different counts cannot be compared.
    With centred features X = Q_x R_x and Y = Q_y R_y the trace of the root is the sum of the
    singular values of R_x R_y^T over sqrt((n - 1)(m - 1)).

    Args:
        generated, target: float (n, d) and (m, d), at least 2 images each.

    Returns:
        float, at least 0 up to rounding.
    """
    means, spreads, roots = [], [], []
    for features in (generated, target):
        features = torch.as_tensor(features, dtype=torch.float64)
        means.append(features.mean(0))
        centred = (features - means[-1]) / math.sqrt(len(features) - 1)
        spreads.append(centred.square().sum())
        roots.append(torch.linalg.qr(centred, mode="r").R)  # (min(n, d), d)
    shared = torch.linalg.svdvals(roots[0] @ roots[1].T).sum()
    return float((means[0] - means[1]).square().sum() + sum(spreads) - 2 * shared)


def kid(generated, target, identities, level=0.95, resamples=2000, seed=0):
    """Kernel Inception Distance: squared MMD with the kernel (x.y / d + 1)^3, and its interval.

    The unbiased estimate over all images (Binkowski et al. 2018, there averaged over subsets of
    1,000); it may be slightly negative and does not depend on the number of images. In the
    bootstrap over identities, copies of one person are not compared with each other, which would
    bias it.

    Args:
        generated, target: float (n, d), image i of both belongs to identities[i]; n >= 2.
        level, resamples, seed: of the interval.

    Returns:
        (distance, low, high); low and high are NaN with fewer than two people.
    """
    people, person = np.unique(identities, return_inverse=True)
    member = torch.nn.functional.one_hot(torch.from_numpy(person)).double()  # (n, people)
    x, y = (torch.as_tensor(a, dtype=torch.float64) for a in (generated, target))
    each = member.sum(0)  # images per person
    every, others = torch.outer(each, each), torch.outer(each, each) - torch.diag(each)
    sums = [(_kernel_sums(x, x, member), others), (_kernel_sums(y, y, member), others)]
    sums.append((_kernel_sums(x, y, member), every))

    def distances(drawn):
        xx, yy, xy = (
            _of_people(kernel, drawn) / _of_people(pairs, drawn) for kernel, pairs in sums
        )
        return xx + yy - 2 * xy

    estimate = float(distances(torch.ones(1, len(people), dtype=torch.float64)))
    if len(people) < 2:
        return estimate, float("nan"), float("nan")
    found = distances(torch.from_numpy(draws(len(people), resamples, seed)).double()).numpy()
    low, high = np.nanquantile(found, [(1 - level) / 2, (1 + level) / 2])
    return estimate, float(low), float(high)


def _kernel_sums(a, b, member, chunk=1000):
    """Sums of the kernel over the images of each two people, (people, people).

    Of one set with itself (a is b), no image is compared with itself.
    """
    total = 0
    for rows, owners in zip(a.split(chunk), member.split(chunk)):
        total = total + owners.T @ ((rows @ b.T / a.shape[1] + 1) ** 3 @ member)
    if a is b:
        total -= torch.diag(member.T @ (a.square().mean(1) + 1) ** 3)
    return total


def _of_people(sums, drawn):
    """Sums over all pairs of drawn people, (k,), if each is drawn (k, people) times.

    Copies of one person are not paired with each other.
    """
    within = torch.diagonal(sums)
    return ((drawn @ sums) * drawn).sum(1) - (drawn.square() - drawn) @ within
