"""Warps of maps: affine, thin-plate spline, both combined; and the correlation to find them from.

A warp is backward: for every place of the result a grid gives the place in the source. Places are
(x, y), with -1 and 1 at the centres of the first and last pixel (align_corners=True); outside the
frame is 0. Parameters are offsets from the identity, so 0 warps nothing.
"""

import contextlib
import math
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F

AFFINE, SPLINE = 6, 18  # parameters of a warp
# The 3x3 control points of the spline, row by row.
CONTROL = np.array([(x, y) for y in (-1, 0, 1) for x in (-1, 0, 1)], float)
# Uniform ranges of random warps (GEO's synthetic pairs): turn and shear in radians, scale and shift
# of an affine one, and the shift of a spline's control points along x and y.
TURN, SHEAR, SCALE, SHIFT, BEND = math.pi / 12, math.pi / 6, 0.25, 0.25, 0.4


def _kernel(distance):
    """r^2 log r of distances r; 0 at 0."""
    return distance**2 * np.log(np.where(distance > 0, distance, 1))


@cache
def spline_basis(height: int, width: int) -> torch.Tensor:
    """The weights of the control points at every pixel: float32 (H * W, 9), for a spline without
    regularisation, of which every row sums to 1 (Bookstein 1989)."""

    def system(points):
        distance = np.linalg.norm(points[:, None] - CONTROL, axis=-1)
        return np.hstack([_kernel(distance), np.ones((len(points), 1)), points])

    places = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in (width, height))), -1)
    top = system(CONTROL)  # (9, 12)
    bottom = np.hstack([top[:, 9:].T, np.zeros((3, 3))])
    basis = system(places.reshape(-1, 2)) @ np.linalg.inv(np.vstack([top, bottom]))[:, :9]
    return torch.from_numpy(basis.astype(np.float32))


def _exact(device):
    """Use float32 regardless of autocast: pixel positions need more than 8 bits."""
    counted = device.type == "meta"  # which has no autocast
    return contextlib.nullcontext() if counted else torch.autocast(device.type, enabled=False)


def spline_points(theta, height, width):
    """theta (B, 18), the offsets (x, y) of the control points -> places (B, H * W, 2)."""
    control = torch.from_numpy(CONTROL.astype(np.float32)).to(theta.device)
    basis = spline_basis(height, width).to(theta.device)
    with _exact(theta.device):
        return basis @ (control + theta.float().view(-1, 9, 2))


def affine_points(theta, points):
    """theta (B, 6), a 2x3 matrix by rows minus the identity; points (B, n, 2) -> the same."""
    identity = torch.eye(2, 3, device=theta.device)
    with _exact(theta.device):
        matrix = theta.float().view(-1, 2, 3) + identity
        return points @ matrix[:, :, :2].mT + matrix[:, None, :, 2]


def grid(affine, spline, height: int, width: int):
    """One sampling grid (B, H, W, 2) for an affine warp followed by a spline.

    affine (B, 6), spline (B, 18) or None. The spline warps the result of the affine warp, so a
    place is looked up in the spline first.
    """
    still = torch.zeros(len(affine), SPLINE, device=affine.device) if spline is None else spline
    points = affine_points(affine, spline_points(still, height, width))
    return points.view(-1, height, width, 2)


def sample(maps, places):
    """Maps (B, C, h, w) at the places (B, H, W, 2): float32 (B, C, H, W), bilinear."""
    return F.grid_sample(maps.float(), places, "bilinear", "zeros", align_corners=True)


def sample_parsing(maps, places):
    """Sample one-hot parsing maps (B, L, h, w) likewise; outside is background."""
    moved = sample(maps, places)
    return torch.cat([moved[:, :1] + 1 - moved.sum(1, keepdim=True), moved[:, 1:]], 1)


def correlation(source, target):
    """Similarity of the features (B, C, h, w) of two maps: (B, h * w, h, w), for each place of the
    target the places of the source; negative values are set to 0, each place has norm 1."""
    source, target = (F.normalize(features.float(), dim=1) for features in (source, target))
    alike = torch.einsum("bci,bcj->bij", source.flatten(2), target.flatten(2))
    return F.normalize(F.relu(alike), dim=1).view(len(source), -1, *target.shape[2:])


def point_error(found, true):
    """Mean squared distance of two sets of places (B, n, 2). Scalar."""
    return (found - true).square().sum(-1).mean()


def random_affine(count: int, device):
    """theta (count, 6): a turn, a shear along a random direction, and a shift."""

    def within(limit):
        return (2 * torch.rand(count, device=device) - 1) * limit

    def turning(angle):
        cos, sin = angle.cos(), angle.sin()
        return torch.stack([cos, -sin, sin, cos], 1).view(-1, 2, 2)

    shear, scales = within(SHEAR), 1 + torch.stack([within(SCALE), within(SCALE)], 1)
    sheared = turning(-shear) @ torch.diag_embed(scales) @ turning(shear)
    matrix = turning(within(TURN)) @ sheared - torch.eye(2, device=device)
    shift = torch.stack([within(SHIFT), within(SHIFT)], 1)[..., None]
    return torch.cat([matrix, shift], 2).flatten(1)


def random_spline(count: int, device):
    """theta (count, 18): every control point moves along both axes."""
    return (2 * torch.rand(count, SPLINE, device=device) - 1) * BEND
