"""Warps against SciPy's thin-plate splines, PyTorch's affine grids and values by hand."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.interpolate import RBFInterpolator
from scipy.ndimage import map_coordinates

from pg2lib.evaluation import warp_error
from pg2lib.models import warping


def thetas(count=3, seed=0):
    torch.manual_seed(seed)
    return warping.random_affine(count, "cpu"), warping.random_spline(count, "cpu")


def pixels(height, width):
    """Places of all pixels, (H * W, 2)."""
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    return np.stack([x.ravel(), y.ravel()], 1)


def test_splines_are_those_of_scipy():
    _, theta = thetas()
    ours = warping.spline_points(theta, 7, 5).numpy()
    control = pixels(3, 3)
    for found, moved in zip(ours, theta.numpy()):
        exact = RBFInterpolator(control, control + moved.reshape(9, 2), kernel="thin_plate_spline")
        assert np.abs(found - exact(pixels(7, 5))).max() < 1e-5
    corner = ours[0].reshape(7, 5, 2)[[0, 0, -1, -1], [0, -1, 0, -1]]
    wanted = (control + theta[0].numpy().reshape(9, 2))[[0, 2, 6, 8]]
    assert np.abs(corner - wanted).max() < 1e-5  # control points go where they are sent


def test_affine_grids_are_those_of_pytorch():
    affine, _ = thetas()
    matrix = affine.view(-1, 2, 3) + torch.eye(2, 3)
    theirs = F.affine_grid(matrix, (3, 1, 6, 9), align_corners=True)
    torch.testing.assert_close(warping.grid(affine, None, 6, 9), theirs, rtol=0, atol=1e-5)


def test_no_warp_is_the_identity():
    still = torch.zeros(2, 6), torch.zeros(2, 18)
    places = warping.grid(*still, 6, 4)
    assert np.abs(places[1].reshape(-1, 2).numpy() - pixels(6, 4)).max() < 1e-6
    maps = torch.rand(2, 3, 6, 4)
    torch.testing.assert_close(warping.sample(maps, places), maps, rtol=0, atol=1e-5)
    assert warping.point_error(places.flatten(1, 2), places.flatten(1, 2)) == 0


def test_one_sampling_does_what_an_affine_warp_and_then_a_spline_do():
    """Against two warps of a smooth picture by SciPy, one after the other."""
    affine, spline = (theta[:1] * 0.5 for theta in thetas())
    height, width = 65, 49
    y, x = np.mgrid[:height, :width]
    image = np.sin(x / 6) * np.cos(y / 8) * np.exp(-(((x - 24) / 12) ** 2 + ((y - 32) / 16) ** 2))

    def look_up(picture, places):
        rows = (places[:, 1] + 1) / 2 * (height - 1)
        columns = (places[:, 0] + 1) / 2 * (width - 1)
        return map_coordinates(picture, [rows, columns], order=3).reshape(height, width)

    matrix = affine[0].numpy().reshape(2, 3) + np.eye(2, 3)
    once = look_up(image, pixels(height, width) @ matrix[:, :2].T + matrix[:, 2])
    control = pixels(3, 3)
    bent = RBFInterpolator(
        control, control + spline[0].numpy().reshape(9, 2), kernel="thin_plate_spline"
    )
    twice = look_up(once, bent(pixels(height, width)))
    places = warping.grid(affine, spline, height, width)
    ours = warping.sample(torch.from_numpy(image)[None, None], places)[0, 0].numpy()
    assert np.abs(ours - twice).max() < 0.03 < np.abs(ours - image).max()


def test_outside_of_the_frame_is_nothing_and_of_a_parsing_map_background():
    right = torch.tensor([[0.0, 0, 1, 0, 0, 0]])  # look half a frame further to the right
    places = warping.grid(right, None, 1, 5)
    row = torch.tensor([1.0, 2, 3, 4, 5]).view(1, 1, 1, 5)
    assert warping.sample(row, places).flatten().tolist() == [3, 4, 5, 0, 0]
    hot = F.one_hot(torch.tensor([1, 1, 2, 1, 2])).float().T.view(1, 3, 1, 5)
    moved = warping.sample_parsing(hot, places)
    assert moved.argmax(1).flatten().tolist() == [2, 1, 2, 0, 0]
    assert torch.allclose(moved.sum(1), torch.ones(1, 1, 5))


def test_correlations_by_loops():
    a, b = torch.randn(2, 4, 3, 2), torch.randn(2, 4, 3, 2)
    found = warping.correlation(a, b)
    assert found.shape == (2, 6, 3, 2)
    for n in range(2):
        for i in range(6):
            v = b[n, :, i // 2, i % 2]
            alike = [
                max(0, float(F.cosine_similarity(a[n, :, j // 2, j % 2], v, 0))) for j in range(6)
            ]
            length = math.hypot(*alike)
            wanted = [one / length if length else 0 for one in alike]
            assert found[n, :, i // 2, i % 2].tolist() == pytest.approx(wanted, abs=1e-5)


def test_random_warps_stay_in_their_ranges():
    affine, spline = thetas(4000)
    assert spline.abs().max() <= warping.BEND and spline.abs().max() > 0.99 * warping.BEND
    matrix = affine.view(-1, 2, 3) + torch.eye(2, 3)
    assert matrix[:, :, 2].abs().max() <= warping.SHIFT
    values = torch.linalg.svdvals(matrix[:, :, :2])
    assert 0.75 <= values.min() and values.max() <= 1.25  # shear turns the axes of the scale
    assert affine.mean(0).abs().max() < 0.02  # about the identity
    errors = warping.point_error(torch.zeros(1, 2, 2), torch.tensor([[[3.0, 4], [0, 0]]]))
    assert errors == 12.5


def test_errors_of_a_matcher_in_pixels():
    """Of one that is told the warp, and one that finds nothing."""
    maps = torch.zeros(5, 2, 16, 8)
    maps[:, 0] = 1
    with torch.random.fork_rng():
        torch.manual_seed(3)
        true = [make(5, "cpu") for make in (warping.random_affine, warping.random_spline)]
    found = iter([true[0][:3], true[0][3:]]), iter([true[1][:3], true[1][3:]])
    told = [lambda source, target, one=one: next(one) for one in found]
    errors = warp_error.warp_errors(*told, maps, seed=3, batch=3)
    assert errors["both"] == pytest.approx(0, abs=1e-5)
    nothing = [lambda source, target, n=n: torch.zeros(len(source), n) for n in (6, 18)]
    still = warp_error.warp_errors(*nothing, maps, seed=3)
    assert still["identity"] == still["affine"] == still["both"]
    assert still["both"] == pytest.approx(errors["identity"], rel=1e-6)
    places = warping.grid(*true, 16, 8).numpy()
    x, y = np.meshgrid(np.linspace(-1, 1, 8), np.linspace(-1, 1, 16))
    away = np.hypot((places[..., 0] - x) * 3.5, (places[..., 1] - y) * 7.5)
    assert errors["identity"] == pytest.approx(away.mean(), rel=1e-4)
    assert 0 < errors["affine"] < errors["identity"]
