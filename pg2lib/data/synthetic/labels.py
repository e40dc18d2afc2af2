"""Exact label maps of drawn people: the body part or garment at each pixel of a view.

Repeats the steps of `draw` and `draw_fashion` up to the cast rays with the same random numbers, so
that no image changes by a byte; random draws for colours alone are skipped.
"""
from dataclasses import replace
from functools import partial

import numpy as np

from . import (
    _FINE,
    VIEWS,
    _check,
    _model,
    _person,
    _to_camera,
    body,
    camera,
    dress,
    paint,
    render,
)

# Labels of a sub-pixel, finer than any label map; sides are the person's own.
KINDS = ("background", "hat", "hair", "face", "right arm", "left arm", "right leg", "left leg",
         "shirt", "coat", "dress", "trousers", "skirt", "right shoe", "left shoe", "bag")
NUMBER = {kind: number for number, kind in enumerate(KINDS)}
# Codes for what is painted on the trunk; shades of a colour keep its channels.
_CODES = {"outer": (1, 0, 0), "bottom": (0, 1, 0), "skin": (0, 0, 1), "bag": (0, 1, 1),
          "inner": (1, 1, 0)}
_SIDES = {"r": "right", "l": "left"}


def draw_kinds(dataset, identity, view, seed=0, height=128, width=64):
    """The kinds of a view of a drawn data set: uint8 (H, W), indices of KINDS.

    0 exactly where `Drawn.silhouette` is False; elsewhere the most frequent kind of the pixel's
    sub-pixels, the first of KINDS if tied. Arguments and errors as for `draw`.
    """
    _check(identity, view, seed, height, width)
    figure = _street if dataset == "synthetic-market" else _studio
    who, look, family, yaw, rng, frame = figure(seed, identity, view)
    parts, owners, hits, frames = _cast(who, look, family, yaw, rng, height, width, frame)
    kinds = np.zeros(height * width * _FINE ** 2, np.uint8)
    kinds[hits.index] = _kinds(who, parts, owners, hits, frames)
    return _vote(kinds.reshape(height * _FINE, width * _FINE))


def _street(seed, identity, view):
    """Person, camera, pose, yaw, random numbers and framing, as in `draw`."""
    who, cameras, start, poses = _person(seed, identity)
    rng = np.random.default_rng((seed, identity, view, 0xD2A7))
    yaw = (45 * (start + 3 * view) + rng.uniform(-22.5, 22.5) + 180) % 360 - 180
    look = camera.LOOKS[int(cameras[view % len(cameras)])]
    return who, look, str(poses[view % len(poses)]), yaw, rng, camera.frame


def _studio(seed, identity, view):
    """The same as in `draw_fashion`."""
    who, kinds, poses = _model(seed, identity)
    rng = np.random.default_rng((seed, identity, view, 0xFA54))
    kind = VIEWS[kinds[view % len(kinds)]]
    crop = str(rng.choice(list(camera.CROPS), p=kind.crops))
    yaw = (kind.yaw + rng.choice((-1, 1)) * kind.aside + rng.normal(0, kind.spread) + 180
           ) % 360 - 180
    frame = partial(camera.frame_model, crop)
    return who, camera.STUDIO, str(poses[view % len(poses)]), yaw, rng, frame


def _cast(who, look, family, yaw, rng, height, width, frame):
    """Parts, the limb of each, hits, and the frames needed for painting, as in `_figure`."""
    pose = body.sample_pose(rng, family, who.bag_side if who.bag == "handbag" else "")
    skeleton = body.pose_skeleton(who.build, pose, yaw)
    parts, owners = dressed(who, skeleton, body.holds_box(family, pose))
    rotation, eye = camera.place(rng, look, (0, .9, 0))
    low, high = _to_camera(parts, rotation, eye)
    shot = frame(rng, rotation, eye, low, high, height, width)
    hits = render.cast(parts, *shot.rays(height, width, _FINE))
    frames = {zone: (rotation @ axes, rotation @ (origin - eye)) for zone, (axes, origin) in (
        (dress.TORSO, skeleton.frames["chest"]), (dress.SKIRT, skeleton.frames["pelvis"]))}
    return parts, owners, hits, frames


def dressed(who, skeleton, box=False):
    """`dress.dress`, and the limb that each of its parts belongs to, such as "right leg"."""
    fig, owners = dress._Figure(who, skeleton), []

    def build(name, make, *args):
        make(fig, *args)
        owners.extend([name] * (len(fig.parts) - len(owners)))

    build("trunk", dress._trunk)
    build("face", dress._head)
    build("hair", dress._hair)
    for side in "rl":
        build(f"{_SIDES[side]} arm", dress._arm, side)
        build(f"{_SIDES[side]} leg", dress._leg, side)
    if who.bottom.kind in ("skirt", "dress"):
        build("skirt", dress._skirt)
    build("bag", dress._bag)
    if box:
        build("box", dress._box)
    return fig.parts, owners


def _kinds(who, parts, owners, hits, frames):
    """The kind of every hit: uint8 (n,)."""
    top = {"jacket": "coat", "dress": "dress"}.get(who.top.kind, "shirt")
    bottom = {"skirt": "skirt", "dress": "dress"}.get(who.bottom.kind, "trousers")
    of_zone = {
        dress.HEAD: "face", dress.HAIR: "hat" if who.hair_style == "cap" else "hair",
        dress.TORSO: top, dress.SLEEVE: top, dress.LEG: bottom, dress.SKIRT: bottom,
        dress.BAG: "bag", dress.BOX: "bag",
    }
    of_part = []
    for part, owner in zip(parts, owners):
        zone = part.paint[0]
        kind = of_zone.get(zone, owner)         # of SKIN: the limb
        if zone == dress.SHOE:
            kind = owner.replace("leg", "shoe")
        of_part.append(NUMBER[kind])
    kinds = np.array(of_part, np.uint8)[hits.part]
    trunk = np.array([part.paint[0] == dress.TORSO for part in parts])[hits.part]
    # Necklines, straps, belts and open jackets are painted on the trunk: see the paint.
    lit = paint.paint(_coded(who), parts, hits, frames)[trunk] > .1
    own = kinds[trunk]
    meaning = {"outer": top, "bottom": bottom, "skin": "face", "bag": "bag", "inner": "shirt"}
    for code, kind in meaning.items():
        own[(lit == np.array(_CODES[code], bool)).all(1)] = NUMBER[kind]
    kinds[trunk] = own
    return kinds


def _coded(who):
    """The person in colours of _CODES."""
    outer, bottom, skin, bag, inner = (
        np.array(_CODES[name], float) for name in ("outer", "bottom", "skin", "bag", "inner"))
    inner = inner if who.top.kind == "jacket" else outer
    return replace(who, skin=skin, bag_colour=bag,
                   top=replace(who.top, colours=np.array((outer, outer, inner))),
                   bottom=replace(who.bottom, colours=np.array((bottom,) * 3)))


def _vote(fine):
    """Kinds of sub-pixels (H * _FINE, W * _FINE) to those of pixels (H, W)."""
    parts = [fine[i::_FINE, j::_FINE] for i in range(_FINE) for j in range(_FINE)]
    votes = np.stack([sum(part == kind for part in parts) for kind in range(1, len(KINDS))])
    inside = votes.sum(0) > len(parts) / 2      # as the coverage of a silhouette
    return np.where(inside, votes.argmax(0) + 1, 0).astype(np.uint8)
