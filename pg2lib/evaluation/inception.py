"""The scores that rest on networks others trained: Inception Score, FID, KID and LPIPS.

Only `require_inception` and `require_lpips` touch the disk or the network; what stands below them
are pure functions of uint8 images or of features. Without weights everything else goes on.
"""

import math
import os

import numpy as np
import torch

from pg2lib.core import downloads
from pg2lib.core.downloads import NoWeights
from pg2lib.core.files import UserError
from pg2lib.evaluation.ssim import check_images, masked
from pg2lib.evaluation.statistics import draws

# --- weights -----------------------------------------------------------------------------------


FIDELITY = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
# The 2015 TensorFlow weights that the paper's score rests on, converted; 95.6 MB.
INCEPTION = downloads.Weights(
    "torch-fidelity's Inception network",
    "weights-inception-2015-12-05-6726825d.pth",
    "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    FIDELITY + "weights-inception-2015-12-05-6726825d.pth",
    "PG2_INCEPTION",
)
# LPIPS v0.1 (Zhang et al. 2018): VGG16 as torchvision has it, 553 MB, and its linear heads, 7 KB.
VGG16 = downloads.Weights(
    "torchvision's VGG16",
    "vgg16-397923af.pth",
    "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
    "https://download.pytorch.org/models/vgg16-397923af.pth",
    "PG2_LPIPS",
)
LPIPS_HEADS = downloads.Weights(
    "the LPIPS heads for VGG16",
    "weights-vgg16-lpips.pth",
    "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
    FIDELITY + "weights-vgg16-lpips.pth",
    "PG2_LPIPS",
)


def inception_weights(download=True):
    """Path of the Inception weights, or None; `require_inception` says why None.

    Raises:
        NoWeights: $PG2_INCEPTION is set, but not to that file: a mistake, not a lack.
    """
    return _or_none(require_inception, download, INCEPTION)


def lpips_weights(download=True):
    """Paths of VGG16 and the LPIPS heads, or None; `require_lpips` says why None.

    Raises:
        NoWeights: $PG2_LPIPS is set, but not to a folder that holds both: a mistake, not a lack.
    """
    return _or_none(require_lpips, download, VGG16)


def _or_none(require, download, weights):
    try:
        return require(download)
    except NoWeights:
        if os.environ.get(weights.variable):
            raise
        return None


def require_inception(download=True):
    """Path of torch-fidelity's Inception weights, checked by SHA-256.

    Looked for in the file or folder $PG2_INCEPTION, then among torch hub's checkpoints; then
    downloaded to there, tried once per process.

    Args:
        download: whether to try; PG2_DOWNLOAD=off in the environment forbids it as well.

    Returns:
        pathlib.Path.

    Raises:
        NoWeights: no torch-fidelity, no file, no network, or a wrong checksum; says which.
    """
    _inception_class()
    return downloads.require(INCEPTION, download=download)


def require_lpips(download=True):
    """(path of VGG16, path of the LPIPS heads), checked by SHA-256.

    Looked for in the folder $PG2_LPIPS, then as `require_inception` does.

    Raises:
        NoWeights: no file, no network, or a wrong checksum; says which.
    """
    # The heads first: small, and of no use to anybody else.
    heads = downloads.require(LPIPS_HEADS, download=download)
    return downloads.require(VGG16, download=download), heads


# --- what the Inception network sees -----------------------------------------------------------


def _inception_class():
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
    """What the 2015 Inception network sees in each image.

    torch-fidelity's network follows the TensorFlow graph of the released code: bilinear resize
    to 299x299 as TensorFlow 1 did it, logits without the bias.

    Args:
        images: uint8 (n, H, W, 3), read a batch at a time; as they are, never through JPEG.
        weights: path from `inception_weights`.
        batch: images at a time.
        progress: called with (images done, of how many) after each batch.
        masks: function slice -> bool (b, H, W): what the network sees of those images, or None.
        index: int (n,), which of the images, in which order; None: all.

    Returns:
        (float32 (n, 2048) pooled features for FID and KID, float32 (n, 1008) logits for the
        Inception Score).

    Raises:
        NoWeights: torch-fidelity is not installed.
        UserError: images of another dtype or shape.
    """
    check_images(images)
    network = _inception_class()(
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


# --- Inception Score ---------------------------------------------------------------------------


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
    ones = np.ones((1, len(logits)))
    scores = [_inception_scores(*part, ones[:, where]) for where, part in _splits(logits, splits)]
    return float(np.mean(scores)), float(np.std(scores))


def score_interval(logits, identities, splits=10, level=0.95, resamples=200, seed=0):
    """Bootstrap interval over identities of the mean that `score_from_logits` gives.

    People are drawn as in `statistics.bootstrap_interval`, each with the images they have in every
    split. A sample with repetitions is less diverse than the one it is drawn from and scores
    lower, so the resamples are moved up until their mean is the score.

    Returns:
        (low, high); (nan, nan) with fewer than two people.
    """
    people, person = np.unique(identities, return_inverse=True)
    if len(people) < 2:
        return float("nan"), float("nan")
    drawn = draws(len(people), resamples, seed).astype(float)  # (resamples, people)
    with np.errstate(invalid="ignore"):  # a split of which nobody was drawn
        scores = np.nanmean(
            [_inception_scores(*part, drawn[:, person[where]]) for where, part in
             _splits(logits, splits)], 0)  # fmt: skip
    shift = score_from_logits(logits, splits)[0] - scores.mean()
    low, high = np.quantile(scores, [(1 - level) / 2, (1 + level) / 2]) + shift
    return float(low), float(high)


def _splits(logits, splits):
    """Each split's slice, its probabilities p (n, classes), and sum p log p of each image."""
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
    """exp(mean KL) of each row of counts (k, n), how often every image is there: (k,)."""
    total = counts.sum(1)
    marginal = counts @ p / total[:, None]
    # A class no image of the split can have (p = 0) adds nothing: 0 log 0 = 0.
    logs = np.log(marginal.clip(min=np.finfo(float).tiny))
    return np.exp(counts @ negative_entropy / total - (marginal * logs).sum(1))


# --- FID and KID -------------------------------------------------------------------------------


def fid(generated, target):
    """Frechet Inception Distance: how far apart two normal distributions of features lie.

    |mu_1 - mu_2|^2 + Tr(S_1 + S_2 - 2 (S_1 S_2)^(1/2)) with sample covariances S (Heusel et al.
    2017). It falls as the number of images grows: scores on different counts cannot be compared.

    With centred features X = Q_x R_x and Y = Q_y R_y the trace of the root is the sum of the
    singular values of R_x R_y^T over sqrt((n - 1)(m - 1)): no matrix root, no complex numbers.

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

    The unbiased estimate over all images, which subsets of 1,000 approach on average (Binkowski
    et al. 2018); it may be slightly negative and does not depend on the number of images. In the
    bootstrap over identities, copies of one person are not compared with each other, which would
    bring back the bias.

    Args:
        generated, target: float (n, d), image i of both belongs to identities[i]; n >= 2.
        level, resamples, seed: of the interval.

    Returns:
        (distance, low, high); low and high are NaN with fewer than two people.
    """
    people, person = np.unique(identities, return_inverse=True)
    member = torch.nn.functional.one_hot(torch.from_numpy(person)).double()  # (n, people)
    x, y = (torch.as_tensor(a, dtype=torch.float64) for a in (generated, target))
    each = member.sum(0)  # images of a person
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
    """The kernel summed over the images of each two people, (people, people); of one set with
    itself (a is b) without the images compared with themselves."""
    total = 0
    for rows, owners in zip(a.split(chunk), member.split(chunk)):
        total = total + owners.T @ ((rows @ b.T / a.shape[1] + 1) ** 3 @ member)
    if a is b:
        total -= torch.diag(member.T @ (a.square().mean(1) + 1) ** 3)
    return total


def _of_people(sums, drawn):
    """Sum over all pairs of drawn people, drawn (k, people) being how often: (k,). Within a person
    every copy counts once."""
    within = torch.diagonal(sums)
    return ((drawn @ sums) * drawn).sum(1) - (drawn.square() - drawn) @ within


# --- LPIPS -------------------------------------------------------------------------------------


class LPIPS(torch.nn.Module):
    """Learned perceptual distance of two images, version 0.1 with VGG16 (Zhang et al. 2018).

    After each of VGG16's five blocks the features of every place are scaled to unit length;
    their squared differences, weighted by a learnt weight per channel, are averaged over the
    places and added up. Equal to torch-fidelity's LPIPS, which takes no local file.

    forward: two uint8 (B, 3, H, W), H and W at least 16 -> float32 (B,), at least 0.
    """

    BLOCKS = (4, 9, 16, 23, 30)  # where VGG16's blocks end: after a ReLU, before the pooling

    def __init__(self, vgg, heads):
        """vgg: state dict of torchvision's VGG16; heads: "lin<k>.model.1.weight" (1, C, 1, 1)."""
        from torchvision.models import vgg16

        super().__init__()
        with torch.device("meta"):  # without numbers, which come with the state
            network = vgg16()
        network.load_state_dict(vgg, assign=True)
        self.layers = network.features[: self.BLOCKS[-1]]
        for k in range(len(self.BLOCKS)):
            self.register_buffer(f"head{k}", heads[f"lin{k}.model.1.weight"].float())
        # The authors' normalisation of images in [-1, 1].
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188]).view(3, 1, 1))
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450]).view(3, 1, 1))
        self.eval().requires_grad_(False)

    def forward(self, a, b):
        x = (torch.cat([a, b]).float() / 127.5 - 1 - self.shift) / self.scale  # (2B, 3, H, W)
        distance = 0
        for place, layer in enumerate(self.layers, start=1):
            x = layer(x)
            if place in self.BLOCKS:
                unit = x / (x.norm(dim=1, keepdim=True) + 1e-10)
                first, second = unit.chunk(2)
                head = getattr(self, f"head{self.BLOCKS.index(place)}")
                distance = distance + ((first - second) ** 2 * head).sum(1).mean((1, 2))
        return distance


def lpips_network(weights, device="cpu"):
    """The network of `lpips` from the two paths of `lpips_weights`."""
    vgg, heads = (torch.load(path, map_location="cpu", weights_only=True) for path in weights)
    return LPIPS(vgg, heads).to(device)


@torch.inference_mode()
def lpips(generated, target, network, batch=32):
    """LPIPS of each pair, at the images' own size: 0 for equal images, the lower the closer.

    Args:
        generated, target: uint8 (n, H, W, 3).
        network: from `lpips_network`.
        batch: pairs at a time.

    Returns:
        float64 (n,).
    """
    check_images(generated, target)
    device, values = network.shift.device, [np.empty(0)]
    for start in range(0, len(generated), batch):
        a, b = (
            torch.from_numpy(np.array(images[start : start + batch])).to(device).permute(0, 3, 1, 2)
            for images in (generated, target)
        )
        values.append(network(a, b).double().cpu().numpy())
    return np.concatenate(values)
