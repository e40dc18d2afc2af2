"""Analytic ray casting of round cones, ellipsoids and boxes, with a z-buffer.

Camera axes: x right, y up, z away from the camera; a ray is t * (X, Y, 1), so that t is depth.
In its own affine frame a part is a round cone (the hull of a sphere of radius r0 at the origin and
one of radius r1 at (0, length, 0)), a sphere (length 0), or the cube [-1, 1]^3; there every
coefficient of an intersection is a linear or quadratic form in (X, Y).
"""
from dataclasses import dataclass

import numpy as np


@dataclass
class Part:
    """One volume.  `axes` columns are the frame's axes in world (then camera) space, unit length;
    `scale` stretches them.  A `cut` end is open instead of a spherical cap.  `keep(x, y, z)` of
    points in metres along the axes carves away part of the surface.  `paint` is
    (zone, v0, dv): the zone of its colours and the height coordinate v = v0 + dv * y."""
    axes: np.ndarray
    origin: np.ndarray
    scale: tuple
    r0: float
    r1: float
    length: float
    paint: tuple
    cut: tuple = (False, False)
    keep: object = None
    box: bool = False


@dataclass
class Hits:
    """Nearest hits of rays."""
    index: np.ndarray   # (n,), flat
    depth: np.ndarray   # (rows, cols), inf = none
    part: np.ndarray    # (n,)
    point: np.ndarray   # (n, 3), metres along the part's axes
    place: np.ndarray   # (3, n), in camera space
    normal: np.ndarray  # (n, 3), in camera space


def _linear(v, x, y):
    return v[0] * x + (v[1] * y + v[2])


def _quadratic(g, x, y):
    """(X, Y, 1) G (X, Y, 1)^T for symmetric G."""
    return ((2 * g[0, 1] * y + 2 * g[0, 2]) * x + g[0, 0] * x * x
            + (g[1, 1] * y * y + 2 * g[1, 2] * y + g[2, 2]))


def _entry(a, b, c):
    """Smaller root of a t^2 + 2 b t + c: where a ray enters (nan: it misses)."""
    return -((np.sqrt(b * b - c * a) + b) / a)


def round_cone_depth(m, o, r0, r1, length, x, y, cut=(False, False)):
    """Depth of entry (rows, cols; inf or nan = missed) of the rays (x, y, 1), x (1, cols) and
    y (rows, 1); `m` (3, 3) takes camera vectors into the part's frame, where the eye is at `o`."""
    along, dot = m[1], m.T @ o
    square = _quadratic(m.T @ m, x, y)
    if length == 0:
        return _entry(square, _linear(dot, x, y), o @ o - r0 * r0)
    sine = (r0 - r1) / length
    cosine = max(1 - sine * sine, 1e-6) ** 0.5
    slope, radius = -sine / cosine, r0 / cosine     # radius(y) = radius + slope y on the side
    low, high = r0 * sine, length + r1 * sine
    at_eye, dy = radius + slope * o[1], _linear(along, x, y)
    a = square - (1 + slope * slope) * dy * dy
    b = _linear(dot - (o[1] + slope * at_eye) * along, x, y)
    t = _entry(a, b, o[0] ** 2 + o[2] ** 2 - at_eye ** 2)
    height = t * dy + o[1]
    # A cut end keeps the height of its sphere's centre, so that hems lie at `length`.
    low, high = (0 if cut[0] else low), (length if cut[1] else high)
    t[~((height >= low) & (height <= high))] = np.inf
    for end, radius, centre, is_cut in ((-1, r0, 0, cut[0]), (1, r1, length, cut[1])):
        if is_cut:
            continue
        eye = np.array([o[0], o[1] - centre, o[2]])
        ball = _entry(square, _linear(m.T @ eye, x, y), eye @ eye - radius * radius)
        height = ball * dy + o[1]
        inside = height < low if end < 0 else height > high
        np.copyto(t, ball, where=inside)
    return t


def _box_depth(m, o, x, y):
    near, far = -np.inf, np.inf
    for i in range(3):
        d = _linear(m[i], x, y)
        d[np.abs(d) < 1e-6] = 1e-6
        a, b = (-1 - o[i]) / d, (1 - o[i]) / d
        near, far = np.maximum(near, np.minimum(a, b)), np.minimum(far, np.maximum(a, b))
    near[near > far] = np.inf
    return near


def cast(parts, xs, ys):
    """`Hits` of the rays (xs[j], ys[i], 1), xs (cols,) rising and ys (rows,) falling, on `parts`
    in camera space."""
    x, y = xs.astype(np.float32)[None], ys.astype(np.float32)[:, None]
    axes = np.array([p.axes for p in parts])
    origin = np.array([p.origin for p in parts])
    scale = np.array([p.scale for p in parts], float)
    m = axes.transpose(0, 2, 1) / scale[:, :, None]
    o = -np.einsum("pij,pj->pi", m, origin)
    radii = np.array([(p.r0, p.r1, p.length) for p in parts])
    boxes = np.array([p.box for p in parts])
    windows = _windows(axes, origin, scale, radii, boxes, xs, ys)
    m, o = m.astype(np.float32), o.astype(np.float32)
    depth, owner = _nearest(parts, windows, m, o, radii, x, y)
    index = np.flatnonzero(owner >= 0)
    part = owner.ravel()[index]
    t = depth.ravel()[index]
    px, py = t * x[0][index % len(xs)], t * y[:, 0][index // len(xs)]
    local = [m[:, k, 0][part] * px + m[:, k, 1][part] * py + m[:, k, 2][part] * t + o[:, k][part]
             for k in range(3)]
    normal = _normals(local, part, radii, boxes, m)
    point = np.stack([local[k] * scale[:, k].astype(np.float32)[part] for k in range(3)], 1)
    return Hits(index, depth, part, point, np.stack([px, py, t]), normal)


def _windows(axes, origin, scale, radii, boxes, xs, ys):
    """The (rows, columns) slices that each part can cover: from the half extents of its two end
    ellipsoids along the camera axes, divided by depth."""
    spread = np.sqrt(((axes * scale[:, None]) ** 2).sum(2))
    spread[boxes] *= 3 ** 0.5
    tip = origin + axes[:, :, 1] * (scale[:, 1] * radii[:, 2])[:, None]
    lo, hi = np.full((len(axes), 2), np.inf), np.full((len(axes), 2), -np.inf)
    for centre, r in ((origin, radii[:, 0]), (tip, radii[:, 1])):
        e = spread * r[:, None]
        for z in (centre[:, 2] - e[:, 2], centre[:, 2] + e[:, 2]):
            z = np.maximum(z, 0.1)[:, None]
            lo = np.minimum(lo, (centre[:, :2] - e[:, :2]) / z)
            hi = np.maximum(hi, (centre[:, :2] + e[:, :2]) / z)
    x0, x1 = np.searchsorted(xs, lo[:, 0]), np.searchsorted(xs, hi[:, 0])
    y0, y1 = np.searchsorted(-ys, -hi[:, 1]), np.searchsorted(-ys, -lo[:, 1])
    return [(slice(*y), slice(*x)) for y, x in zip(zip(y0, y1), zip(x0, x1))]


def _nearest(parts, windows, m, o, radii, x, y):
    """The depth of the nearest surface, inf for none, and its part, -1 for none: (rows, cols)."""
    depth = np.full((len(y), x.shape[1]), np.inf, np.float32)
    owner = np.full(depth.shape, -1, np.int16)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        for i, (part, window) in enumerate(zip(parts, windows)):
            if not depth[window].size:
                continue
            bx, by = x[:, window[1]], y[window[0]]
            if part.box:
                t = _box_depth(m[i], o[i], bx, by)
            else:
                t = round_cone_depth(m[i], o[i], *radii[i].tolist(), bx, by, part.cut)
            nearer = t < depth[window]
            if part.keep is not None:
                px, py, pz = ((_linear(m[i, k], bx, by) * t + o[i, k]) * part.scale[k]
                              for k in range(3))
                nearer &= part.keep(px, py, pz)
            np.copyto(depth[window], t, where=nearer)
            np.copyto(owner[window], i, where=nearer)
    return depth, owner


def _normals(local, part, radii, boxes, m):
    """Unit normals in camera space: from the centre of the sphere that touches the point."""
    sine = (radii[:, 0] - radii[:, 1]) / np.maximum(radii[:, 2], 1e-6)
    tangent = np.where(radii[:, 2] > 0, sine / np.sqrt(np.maximum(1 - sine ** 2, 1e-6)), 0)
    x, y, z = local
    centre = y - np.hypot(x, z) * tangent.astype(np.float32)[part]
    y = y - np.clip(centre, 0, radii[:, 2].astype(np.float32)[part])
    if boxes.any():
        flat = boxes[part]
        faces = np.stack([x, local[1], z])[:, flat]
        side = np.abs(faces).argmax(0)
        for k, values in enumerate((x, y, z)):
            values[flat] = np.where(side == k, np.sign(faces[k]), 0)
    n = np.stack([m[:, 0, k][part] * x + m[:, 1, k][part] * y + m[:, 2, k][part] * z
                  for k in range(3)], 1)
    n /= np.sqrt((n * n).sum(1, keepdims=True)) + 1e-9
    return n
