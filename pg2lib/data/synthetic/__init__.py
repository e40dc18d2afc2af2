"""Drawn people: a 3-D skeleton with shaded round volumes, and keypoints like a detector's.

`draw` (`synthetic-market`) and `draw_fashion` (`synthetic-fashion`) are pure functions: an identity
depends on (seed, identity), everything else on (seed, identity, view).
"""
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np

from pg2lib.core.files import UserError

from . import body, camera, detector, dress, paint, render, scene, wardrobe

CAMERAS = 6
__all__ = ["CAMERAS", "Drawn", "draw", "draw_fashion"]


@dataclass(frozen=True)
class Kind:
    """A kind of studio view; angles in degrees."""
    number: int     # in `Drawn.camera`
    yaw: float      # mean
    aside: float    # offset of the mean to either side
    spread: float   # standard deviation
    crops: tuple    # probabilities of camera.CROPS


# DeepFashion's names end in 1front, 2side, 3back, 4full and 7additional; `camera` is one less.
VIEWS = {
    "front": Kind(0, 0, 6, 12, (.78, .22, 0)),
    "side": Kind(1, 0, 76, 12, (.78, .22, 0)),
    "back": Kind(2, 180, 8, 12, (.78, .22, 0)),
    "full": Kind(3, 0, 10, 16, (0, 0, 1)),
    "additional": Kind(6, 0, 38, 10, (.45, .15, .4)),
}

_FINE = 2       # sub-pixels per pixel and axis
# How deep (metres) below the surface each joint still counts as visible.
_REACH = np.array([.045, .13, .15, .10, .09, .15, .10, .09, .20, .13, .11, .20, .13, .11,
                   .04, .04, .05, .05])


@dataclass(frozen=True)
class Drawn:
    """One rendered view."""
    image: np.ndarray       # uint8 (H, W, 3)
    keypoints: np.ndarray   # float32 (18, 2) as detected, whole pixels, (-1, -1) missing
    silhouette: np.ndarray  # bool (H, W), the body with hair, garments and bag
    joints: np.ndarray      # float32 (18, 2), the true projections, never missing
    visible: np.ndarray     # bool (18,), in the frame and not hidden
    camera: int             # 0 to 5; in the studio the number of the kind of view
    pose: str               # of body.FAMILIES
    yaw: float              # degrees, 0 faces the camera, +90 the right of the image


@lru_cache(maxsize=64)
def _person(seed, identity):
    """The identity and the order in which its views take cameras, directions and poses."""
    rng = np.random.default_rng((seed, identity, 0x0DE2))
    slots = [body.FAMILIES[i] for i in (0, 0, 0, 0, 1, 1, 2, 3, 4, 5)]
    return (wardrobe.identity(seed, identity), rng.permutation(CAMERAS),
            int(rng.integers(8)), rng.permutation(slots))


@lru_cache(maxsize=64)
def _model(seed, identity):
    """The identity and the order in which its views take kinds and poses."""
    rng = np.random.default_rng((seed, identity, 0xFA53))
    slots = [body.FAMILIES[i] for i in (1, 1, 1, 3, 3, 0, 5)]
    return (wardrobe.identity(seed, 2 * 10 ** 6 + identity, wardrobe.MODELS),
            rng.permutation(list(VIEWS)), rng.permutation(slots))


def draw(identity, view, seed=0, height=128, width=64):
    """View number `view` of a person, as `Drawn`; successive views change camera, yaw and pose.

    Another size renders the same view finer or coarser (framed for twice as high as wide). Raises
    UserError for a negative number or an empty size.
    """
    _check(identity, view, seed, height, width)
    who, cameras, start, poses = _person(seed, identity)
    rng = np.random.default_rng((seed, identity, view, 0xD2A7))
    which = int(cameras[view % CAMERAS])
    look = camera.LOOKS[which]
    family = str(poses[view % len(poses)])
    yaw = (45 * (start + 3 * view) + rng.uniform(-22.5, 22.5) + 180) % 360 - 180
    figure = _figure(who, look, family, yaw, rng, height, width)
    back = scene.backdrop(seed, which, rng, height, width)
    if rng.random() < .2:
        back = scene.add_passer(back, _passer(seed, which, int(rng.integers(4))), rng)
    return _photograph(figure, back, look, rng, which, family, yaw)


def draw_fashion(identity, view, seed=0, height=256, width=256):
    """View number `view` of one outfit, worn by a model in a studio, as `Drawn`.

    Framed like DeepFashion In-shop at 256x256: the model is in the middle 176 columns. Five
    successive views are the five kinds of VIEWS. At other sizes the height sets the scale and the
    width how much of the backdrop is visible. Raises UserError as `draw` does.
    """
    _check(identity, view, seed, height, width)
    who, kinds, poses = _model(seed, identity)
    rng = np.random.default_rng((seed, identity, view, 0xFA54))
    kind = VIEWS[kinds[view % len(kinds)]]
    family = str(poses[view % len(poses)])
    crop = str(rng.choice(list(camera.CROPS), p=kind.crops))
    yaw = (kind.yaw + rng.choice((-1, 1)) * kind.aside + rng.normal(0, kind.spread) + 180
           ) % 360 - 180
    figure = _figure(who, camera.STUDIO, family, yaw, rng, height, width,
                     partial(camera.frame_model, crop))
    back = scene.paper(np.random.default_rng((seed, identity, 0x9A9E)), height, width)
    return _photograph(figure, back, camera.STUDIO, rng, kind.number, family, yaw)


def _check(identity, view, seed, height, width):
    if min(identity, view, seed) < 0 or min(height, width) < 1:
        raise UserError(f"identity={identity}, view={view}, seed={seed}, height={height}, "
                        f"width={width}: use numbers from 0 and a size of at least 1")


def _figure(who, look, family, yaw, rng, height, width, frame=camera.frame):
    """Skeleton, view, hits, premultiplied colour, coverage and depth of a person alone."""
    pose = body.sample_pose(rng, family, who.bag_side if who.bag == "handbag" else "")
    skeleton = body.pose_skeleton(who.build, pose, yaw)
    parts = dress.dress(who, skeleton, body.holds_box(family, pose))
    rotation, eye = camera.place(rng, look, (0, .9, 0))
    low, high = _to_camera(parts, rotation, eye)
    shot = frame(rng, rotation, eye, low, high, height, width)
    hits = render.cast(parts, *shot.rays(height, width, _FINE))
    frames = {zone: (rotation @ axes, rotation @ (origin - eye)) for zone, (axes, origin) in (
        (dress.TORSO, skeleton.frames["chest"]), (dress.SKIRT, skeleton.frames["pelvis"]))}
    albedo = paint.paint(who, parts, hits, frames)
    return skeleton, shot, hits, *_shade(look, hits, albedo, height, width)


def _photograph(figure, back, look, rng, which, family, yaw):
    """`Drawn` of a figure in front of a background (H, W, 3)."""
    skeleton, shot, _, colour, alpha, surface = figure
    height, width = alpha.shape
    feet = skeleton.joints[[body.R_ANKLE, body.L_ANKLE]]
    back *= scene.shadow(shot, feet, look.light, look.direct, height, width,
                         look.shadow)[..., None]
    image = camera.grade(look, rng, colour + (1 - alpha[..., None]) * back, height)
    points = shot.to_camera(skeleton.joints)
    joints = shot.project(points)
    visible = detector.visible_joints(joints, points[:, 2], surface, _REACH)
    return Drawn(image, detector.detect(rng, joints, visible, height, width), alpha > .5,
                 joints.astype(np.float32), visible, which, family, float(yaw))


@lru_cache(maxsize=64)
def _passer(seed, which, number):
    """Premultiplied colour and coverage (128, 64, 4) of a passer-by of the camera."""
    rng = np.random.default_rng((seed, which, number, 0xFA55))
    who = wardrobe.identity(seed, 10 ** 6 + 10 * which + number)
    _, _, _, colour, alpha, _ = _figure(who, camera.LOOKS[which], "walking",
                                        rng.uniform(-180, 180), rng, 128, 64)
    return np.dstack([colour, alpha])


def _to_camera(parts, rotation, eye):
    """Move parts to camera space; return their bounds (low, high) in the image plane."""
    axes = rotation @ np.array([p.axes for p in parts])
    origin = (np.array([p.origin for p in parts]) - eye) @ rotation.T
    scale = np.array([p.scale for p in parts], float)
    reach = np.sqrt(((axes[:, :2] * scale[:, None]) ** 2).sum(2))
    ends = []
    balls = np.array([[(0, p.r0), (p.length, p.r1)] for p in parts])
    for along, radius in balls.transpose(1, 2, 0):
        centre = origin + axes[:, :, 1] * (scale[:, 1] * along)[:, None]
        for edge in (reach * -radius[:, None], reach * radius[:, None]):
            ends.append((centre[:, :2] + edge) / centre[:, 2:])
    for i, part in enumerate(parts):
        part.axes, part.origin = axes[i], origin[i]
    ends = np.concatenate(ends)
    return ends.min(0), ends.max(0)


def _shade(look, hits, albedo, height, width):
    """Premultiplied colour (H, W, 3), coverage (H, W) and nearest depth (H, W)."""
    n = hits.normal
    towards = np.float32(look.light) / np.float32(np.linalg.norm(look.light))
    lambert = np.maximum(n @ towards * np.float32(.8) + np.float32(.2), 0)
    sky = np.float32(.5) + np.float32(.5) * n[:, 1]
    rim = np.float32(.72) - np.float32(.28) * n[:, 2]
    bright = (look.ambient * (np.float32(.55) + np.float32(.45) * sky) + look.direct * lambert)
    shape = (height * _FINE, width * _FINE)
    # Soften the light over the body, so that volumes merge without seams.
    light = np.zeros(shape, np.float32)
    light.ravel()[hits.index] = bright * rim
    solid = np.isfinite(hits.depth)
    alpha = _pool(solid.astype(np.float32))
    share, reach = look.soft
    soft = camera.blur(np.stack([_pool(light), alpha], -1), reach * height / 128)
    soft = np.repeat(np.repeat(soft[..., 0] / (soft[..., 1] + 1e-6), _FINE, 0), _FINE, 1)
    bright = (1 - share) * bright * rim + share * soft.ravel()[hits.index]
    # Less light reaches points between closer parts.
    near = hits.depth.reshape(height, _FINE, width, _FINE).min((1, 3))
    far = np.where(np.isfinite(near), near, near[np.isfinite(near)].max(initial=0) + .1)
    crowd = np.clip(far - camera.blur(far[..., None], 2.0 * height / 128)[..., 0], 0, .2)
    shade = np.repeat(np.repeat(1 - 2.4 * crowd, _FINE, 0), _FINE, 1)
    fine = np.zeros((height * width * _FINE ** 2, 3), np.float32)
    fine[hits.index] = albedo * (1.3 * bright * shade.ravel()[hits.index])[:, None]
    return _pool(fine.reshape(*shape, 3)), alpha, near


def _pool(x):
    """Mean over the sub-pixels of each pixel."""
    return sum(x[i::_FINE, j::_FINE] for i in range(_FINE) for j in range(_FINE)) / _FINE ** 2
