"""Losses shared by the methods, as plain functions on tensors."""

from functools import cache, partial

import torch
import torch.nn.functional as F
from torch import nn

from pg2lib.core import downloads


def masked_l1(generated, target, pose_mask=None, mask_weight=1.0):
    """mean |(generated - target) * (1 + w M_B)| (PG2 eq. 1 and the second term of eq. 4).

    generated, target (B, 3, H, W); pose_mask M_B (B, 1, H, W) in {0, 1}, or None for plain L1. The
    paper's norm reads as a sum; like the released code, this is the mean over batch, pixels and
    channels, with the mask term divided by the whole pixel count too. Scalar.
    """
    error = (generated - target).abs()
    if pose_mask is not None and mask_weight:
        error = error * (1 + mask_weight * pose_mask)
    return error.mean()


def structural(generated, target, window=7):
    """1 - SSIM of two images (B, 3, H, W) in [-1, 1]; window x window means, as in scikit-image.

    Rises where contrast or edges are lost, which L1 pardons (Zhao et al. 2017). Table 1 scores
    SSIM, so a row trained with it is trained on its score. Scalar.
    """
    mean = partial(F.avg_pool2d, kernel_size=window, stride=1)
    a, b = generated, target
    mean_a, mean_b = mean(a), mean(b)  # (B, 3, H - window + 1, W - window + 1)
    var_a, var_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2  # Wang et al. 2004, for a range of 2
    likeness = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return 1 - (likeness / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean()


def bce(logits, label):
    """Binary cross-entropy of logits (B, ...) against one label for all, mean over the batch."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


def feature_matching(generated, target):
    """Mean L1 distance of two lists of features (B, c, h, w), averaged over the layers.

    A perceptual loss on the discriminator's own layers, as in pix2pixHD; no gradient flows into the
    target's features. Scalar.
    """
    distances = [F.l1_loss(a, b.detach()) for a, b in zip(generated, target)]
    return torch.stack(distances).mean()


def least_squares(numbers, label):
    """Mean squared distance of numbers (B, ...) from one label for all (LSGAN, Mao et al.)."""
    return F.mse_loss(numbers, torch.full_like(numbers, label))


VGG19 = downloads.Weights(  # 548 MB
    "torchvision's VGG19", "vgg19-dcbb9e9d.pth", "dcbb9e9d",
    "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth", "PG2_VGG19",
)  # fmt: skip
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's colours


@cache
def vgg_start(kind: str, device: torch.device) -> nn.Module:
    """VGG-19 up to the ReLU after conv1_2, frozen: "vgg19" as trained on ImageNet, "random" with
    He's weights of a fixed seed. Raises NoWeights if the file is neither here nor downloadable."""
    with torch.random.fork_rng([]), torch.device("cpu"):
        torch.manual_seed(0)
        first, second = nn.Conv2d(3, 64, 3, padding=1), nn.Conv2d(64, 64, 3, padding=1)
        for conv in (first, second):
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            nn.init.zeros_(conv.bias)
        network = nn.Sequential(first, nn.ReLU(), second, nn.ReLU())
    if kind == "vgg19" and device.type != "meta":
        try:
            weights = torch.load(downloads.require(VGG19), map_location="cpu", weights_only=True)
        except downloads.NoWeights as error:
            hint = "or train without the perceptual loss, --set PATN.perceptual=none"
            raise downloads.NoWeights(f"{error}; {hint}") from None
        network.load_state_dict({k: weights[f"features.{k}"] for k in network.state_dict()})
    return network.to(device).requires_grad_(False)


def perceptual_distance(kind: str, generated, target):
    """Mean L1 distance of VGG's features of two images (B, 3, H, W) in [-1, 1]. Scalar."""
    network = vgg_start(kind, generated.device)
    colours = torch.tensor([MEAN, DEVIATION], device=generated.device)[..., None, None]
    mean, deviation = colours
    images = [(((image + 1) / 2) - mean) / deviation for image in (generated, target)]
    a, b = (network(image).float() for image in images)
    return F.l1_loss(a, b)
