"""The losses of PG2 as plain functions on tensors: masked L1 and the two adversarial terms."""

import torch
import torch.nn.functional as F


def masked_l1(generated, target, pose_mask=None, mask_weight=1.0):
    """mean |(generated - target) * (1 + w M_B)| (paper eq. 1 and the second term of eq. 4).

    generated, target (B, 3, H, W); pose_mask M_B (B, 1, H, W) in {0, 1}, or None for plain L1.
    The paper writes a norm, which reads as a sum; like the released code this is the mean over
    batch, pixels and channels, the mask term divided by the whole pixel count too. Scalar.
    """
    error = (generated - target).abs()
    if pose_mask is not None and mask_weight:
        error = error * (1 + mask_weight * pose_mask)
    return error.mean()


def judge(discriminator, condition, target, fake, d_mode="pair", coarse=None):
    """Logits of D for the real and the fake candidates, from one pass over all of them.

    One pass means shared batch statistics, as in the released code. d_mode:
      "pair"     (paper eq. 2-3) D sees (I_A, I_B) and (I_A, fake): 6 channels
      "single"   D sees I_B and the fake alone, 3 channels: the paper's counter-example (3.2)
      "triplet"  (released code) D sees single images, and I_A itself is a second negative;
                 coarse I_B1, when given, joins the batch and so its statistics, but no loss
    Images (B, 3, H, W). Returns {"real", "fake"} and, for triplets, {"condition"}: (B,) each.
    """
    candidates = {"real": target, "fake": fake}
    if d_mode == "pair":
        batch = [torch.cat([condition, image], 1) for image in candidates.values()]
    elif d_mode == "single":
        batch = list(candidates.values())
    else:
        candidates = {"real": target, "condition": condition, "fake": fake}
        batch = list(candidates.values()) + ([] if coarse is None else [coarse])
    logits = discriminator(torch.cat(batch)).float().split(len(target))
    return dict(zip(candidates, logits))


def discriminator_loss(logits):
    """BCE(real, 1) + BCE(fake, 0) for pairs (paper eq. 2); with the released code's triplets
    1/2 BCE(real, 1) + 1/4 BCE(condition, 0) + 1/4 BCE(fake, 0). Takes what `judge` returns."""
    real, fake = bce(logits["real"], 1.0), bce(logits["fake"], 0.0)
    if "condition" in logits:
        return real / 2 + bce(logits["condition"], 0.0) / 4 + fake / 4
    return real + fake


def adversarial_loss(logits):
    """BCE(fake, 1), the generator's share (paper eq. 3). Takes what `judge` returns."""
    return bce(logits["fake"], 1.0)


def bce(logits, label):
    """Binary cross-entropy of logits (B,) against one label for all, mean over the batch."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))
