"""Inception Score, FID and KID, with the Inception network of torch-fidelity.

Pure functions of uint8 images, logits or features, except for finding the weights.
"""

import math

import numpy as np
import torch
from scipy.special import log_softmax, xlogy

from pg2lib.core.files import UserError
from pg2lib.evaluation.perceptual import PackageWeights
from pg2lib.evaluation.ssim import channels_first, check_images, masked, parts
from pg2lib.evaluation.statistics import UNKNOWN, draws, middle

# The 2015 TensorFlow weights that the paper's score is based on, converted; 95.6 MB.
INCEPTION = PackageWeights(
    "torch-fidelity's Inception network",
    "weights-inception-2015-12-05-6726825d.pth",
    "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth",
    "PG2_INCEPTION",
    "torch_fidelity.feature_extractor_inceptionv3",
    "Inception Score, FID and KID need torch-fidelity",
)


def inception_features(
    images, weights, batch=50, device="cpu", progress=None, masks=None, index=None
):
    """Features and logits of each image: (float32 (n, 2048), pooled, for FID and KID; float32
    (n, 1008) for the Inception Score), as in the released code: bilinear resize to 299x299 as in
    TensorFlow 1, logits without the bias.

    Args:
        images: uint8 (n, H, W, 3), read a batch at a time.
        weights: path from `INCEPTION.find`.
        progress: called with (images done, of how many) after each batch.
        masks: function slice -> bool (b, H, W), outside which images are made black, or None.
        index: int (n,), the images to take, in this order, or None for all.
    """
    check_images(images)
    Network = INCEPTION.package().FeatureExtractorInceptionV3
    layers = ["2048", "logits_unbiased"]
    network = Network("inception", layers, feature_extractor_weights_path=str(weights)).to(device)
    found = []
    with torch.inference_mode():
        for part in parts(len(images) if index is None else len(index), batch, progress):
            x = images[part if index is None else index[part]]
            x = channels_first(masked(x, masks(part)) if masks else x, device)
            found.append([values.cpu().numpy() for values in network(x)])
    features, logits = (np.concatenate(values) for values in zip(*found))
    return features, logits


def score_from_logits(logits, splits=10):
    """The Inception Score, exp of the mean KL divergence of p(y|x) from p(y): (mean, std).

    As in the released code: mean and standard deviation (ddof 0) over `splits` runs of consecutive
    images. It grows with the number of images in a split, so scores on different sample counts
    cannot be compared. logits: (n, classes); UserError with n < splits.
    """
    ones = np.ones((1, len(logits)))
    scores = [_inception_scores(*part, ones[:, where]) for where, part in _splits(logits, splits)]
    return float(np.mean(scores)), float(np.std(scores))


def score_interval(logits, identities, splits=10, resamples=200, seed=0):
    """95 % bootstrap interval over identities of the mean of `score_from_logits`: (low, high), NaN
    with fewer than two people.

    People are drawn as in `statistics.bootstrap_interval`, each with their images in every split.
    A sample with repetitions is less diverse and scores lower than the original, so the resampled
    scores are shifted until their mean is the score.
    """
    people, person = np.unique(identities, return_inverse=True)
    if len(people) < 2:
        return UNKNOWN
    drawn = draws(len(people), resamples, seed).astype(float)  # (resamples, people)
    with np.errstate(invalid="ignore"):  # a split without any drawn image
        found = _splits(logits, splits)
        scores = [_inception_scores(*part, drawn[:, person[where]]) for where, part in found]
        scores = np.nanmean(scores, 0)
    shift = score_from_logits(logits, splits)[0] - scores.mean()
    low, high = middle(scores)
    return low + float(shift), high + float(shift)


def _splits(logits, splits):
    """For each split: (slice, (probabilities p (n, classes), sum of p log p per image))."""
    if len(logits) < splits:
        raise UserError(f"{len(logits)} images cannot be split in {splits}: lower the splits.")
    log_p = log_softmax(np.asarray(logits, float), 1)
    for k in range(splits):
        where = slice(k * len(log_p) // splits, (k + 1) * len(log_p) // splits)
        p = np.exp(log_p[where])
        yield where, (p, (p * log_p[where]).sum(1))


def _inception_scores(p, negative_entropy, counts):
    """exp(mean KL), (k,), of samples in which image i occurs counts[k, i] times."""
    total = counts.sum(1)
    marginal = counts @ p / total[:, None]
    # A class with p = 0 everywhere adds nothing: 0 log 0 = 0.
    return np.exp(counts @ negative_entropy / total - xlogy(marginal, marginal).sum(1))


def fid(generated, target):
    """Frechet Inception Distance of two sets of features (n, d) and (m, d), n and m at least 2:

    |mu_1 - mu_2|^2 + Tr(S_1 + S_2 - 2 (S_1 S_2)^(1/2)) with sample covariances S (Heusel et al.
    2017). It falls as the number of images grows: scores on different counts cannot be compared.
    With centred features X = Q_x R_x and Y = Q_y R_y the trace of the root is the sum of the
    singular values of R_x R_y^T over sqrt((n - 1)(m - 1)).
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


def kid(generated, real, target, identities, resamples=2000, seed=0):
    """Kernel Inception Distance, squared MMD with the kernel (x.y / d + 1)^3, and its 95 %
    bootstrap interval: (distance, low, high), the last two NaN with fewer than two people.

    The unbiased estimate over all images (Binkowski et al. 2018, there averaged over subsets of
    1,000); it may be slightly negative and does not depend on the number of images. A real image
    weighs as often as it is a target, but is never compared with itself, which would count as
    likeness; nor are copies of one person compared with each other in the bootstrap.

    Args:
        generated: float (n, d); real: float (m, d), the features of different images.
        target: int (n,), the index in `real` of each generated image's target.
        identities: (n,), the person of each generated image; a real image shows one person.
    """
    people, person = np.unique(identities, return_inverse=True)
    x, y = (torch.as_tensor(a, dtype=torch.float64) for a in (generated, real))
    of_x = torch.nn.functional.one_hot(torch.from_numpy(person)).double()  # (n, people)
    of_y = torch.zeros(len(y), len(people), dtype=torch.float64)  # (m, people), how often a target
    of_y.index_add_(0, torch.as_tensor(target), of_x)
    sides = ((x, of_x, x, of_x), (y, of_y, y, of_y), (x, of_x, y, of_y))
    sums = [(_kernel_sums(*side), _pair_counts(*side)) for side in sides]

    def distances(drawn):
        drawn = torch.as_tensor(drawn, dtype=torch.float64)
        xx, yy, xy = (_of_people(kernel, drawn) / _of_people(each, drawn) for kernel, each in sums)
        return (xx + yy - 2 * xy).numpy()

    [estimate] = distances(np.ones((1, len(people))))
    if len(people) < 2:
        return float(estimate), *UNKNOWN
    return float(estimate), *middle(distances(draws(len(people), resamples, seed)))


def _kernel_sums(a, of_a, b, of_b, chunk=1000):
    """Sums of the kernel over the images (n, d) and (m, d) of each two people, (people, people); of
    one set with itself (a is b), no image is compared with itself. of_a: float (n, people), how
    often an image counts for a person."""
    total = 0
    for rows, owners in zip(a.split(chunk), of_a.split(chunk)):
        total = total + owners.T @ ((rows @ b.T / a.shape[1] + 1) ** 3 @ of_b)
    if a is b:
        total -= torch.diag(of_a.square().T @ (a.square().mean(1) + 1) ** 3)
    return total


def _pair_counts(a, of_a, b, of_b):
    """How many pairs of images `_kernel_sums` adds up: float64 (people, people)."""
    count = torch.outer(of_a.sum(0), of_b.sum(0))
    return count - torch.diag(of_a.square().sum(0)) if a is b else count


def _of_people(sums, drawn):
    """Sums over all pairs of people, (k,), each drawn (k, people) times; copies of one person are
    not paired with each other."""
    within = torch.diagonal(sums)
    return ((drawn @ sums) * drawn).sum(1) - (drawn.square() - drawn) @ within
