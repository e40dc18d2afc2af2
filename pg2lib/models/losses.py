"""Losses that the methods share, as plain functions on tensors."""

import torch
import torch.nn.functional as F


def masked_l1(generated, target, pose_mask=None, mask_weight=1.0):
    """mean |(generated - target) * (1 + w M_B)| (PG2 eq. 1 and the second term of eq. 4).

    generated, target (B, 3, H, W); pose_mask M_B (B, 1, H, W) in {0, 1}, or None for plain L1.
    The paper writes a norm, which reads as a sum; like the released code this is the mean over
    batch, pixels and channels, the mask term divided by the whole pixel count too. Scalar.
    """
    error = (generated - target).abs()
    if pose_mask is not None and mask_weight:
        error = error * (1 + mask_weight * pose_mask)
    return error.mean()


def bce(logits, label):
    """Binary cross-entropy of logits (B, ...) against one label for all, mean over the batch."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


def feature_matching(generated, target):
    """Mean L1 distance of two lists of features (B, c, h, w), averaged over the layers.

    A perceptual loss on the discriminator's own layers, as in pix2pixHD; no gradient flows into
    the target's. Scalar.
    """
    distances = [F.l1_loss(a, b.detach()) for a, b in zip(generated, target)]
    return torch.stack(distances).mean()
