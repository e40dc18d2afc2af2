"""Errors of a matcher of parsing maps in finding random warps."""

import torch

from pg2lib.models import warping


@torch.no_grad()
def warp_errors(affine, spline, maps, seed: int = 0, batch: int = 64) -> dict:
    """The mean distance, in pixels, between the true and the found positions of a map's pixels
    under random warps.

    affine, spline: the networks, functions of two one-hot maps -> theta (B, 6) and (B, 18); maps:
    float32 (n, labels, H, W), each warped once by both kinds, as in training. Returns "identity"
    (no warp found), "affine" (only the first network) and "both".
    """
    height, width = maps.shape[2:]
    half = torch.tensor([(width - 1) / 2, (height - 1) / 2], device=maps.device)
    sums = dict.fromkeys(("identity", "affine", "both"), 0.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        makers = warping.random_affine, warping.random_spline
        true = [make(len(maps), "cpu").to(maps.device) for make in makers]
    for part in torch.arange(len(maps)).split(batch):
        wanted = warping.grid(*(theta[part] for theta in true), height, width)
        target = warping.sample_parsing(maps[part], wanted)
        first = affine(maps[part], target)
        nearer = warping.sample_parsing(maps[part], warping.grid(first, None, height, width))
        found = {"identity": (torch.zeros_like(first), None), "affine": (first, None)}
        found["both"] = first, spline(nearer, target)
        for name, warp in found.items():
            away = (warping.grid(*warp, height, width) - wanted) * half
            sums[name] += float(away.norm(dim=-1).mean((1, 2)).sum())
    return {name: total / len(maps) for name, total in sums.items()}
