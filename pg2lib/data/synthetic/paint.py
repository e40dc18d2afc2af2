"""The colours of a dressed person.

They depend on points in body coordinates only, so a pattern turns with the body and looks the
same in every view of the identity.
"""
import numpy as np

from . import body
from .dress import BAG, BOX, HAIR, HEAD, IN_FRAME, LEG, SHOE, SKIN, SKIRT, SLEEVE, TORSO


def _pattern(cloth, u, v, angle):
    """Colours (n, 3) of a garment at breadth u, height v (metres) and angle around the body."""
    a, b = cloth.colours[0].astype(np.float32), cloth.colours[1].astype(np.float32)
    pitch = cloth.period
    if cloth.pattern == "stripes":
        mix = (v / pitch) % 1 < 0.45
    elif cloth.pattern == "bars":
        mix = (angle * (round(0.95 / pitch) / 6.2832)) % 1 < 0.45
    elif cloth.pattern == "checks":
        around = round(0.9 / pitch) / 6.2832
        mix = 0.5 * (((v / pitch) % 1 < 0.42) + 1.0 * ((angle * around) % 1 < 0.42))
    elif cloth.pattern == "two-tone":
        mix = v > cloth.detail["split"]
    elif cloth.pattern == "dots":
        around = angle * (round(0.9 / pitch) / 6.2832)
        row = np.floor(v / pitch)
        mix = ((around + 0.5 * (row % 2)) % 1 - 0.5) ** 2 + ((v / pitch) % 1 - 0.5) ** 2 < 0.085
    else:
        return np.broadcast_to(a, (len(v), 3)).copy()
    return a + mix.astype(np.float32)[:, None] * (b - a)


def _print(motif, x, y):
    """Truth mask of a front print of unit half size."""
    if motif == 0:
        return x * x + y * y < 1
    if motif == 1:
        return (np.abs(x) < 1) & (np.abs(y) < 0.8) & ~((np.abs(x) < .55) & (np.abs(y) < .38))
    if motif == 2:
        return np.abs(x) + np.abs(y) < 1.15
    if motif == 3:
        return (np.abs(x) < 1.1) & (np.abs(y) < 0.85) & ((y * 1.8) % 1 < 0.55)
    return (np.abs(x) < 0.28) | (np.abs(y) < 0.28)


def paint(who, parts, hits, frames):
    """Albedo (n, 3) float32 in 0..1 of the hits on the parts of a dressed person.

    `frames` maps TORSO and SKIRT to the (axes, origin) of chest and pelvis in camera space."""
    zones = np.array([p.paint[0] for p in parts])[hits.part]
    bases = np.array([p.paint[1] for p in parts], np.float32)[hits.part]
    rises = np.array([p.paint[2] for p in parts], np.float32)[hits.part]
    out = np.empty((len(zones), 3), np.float32)
    colour_of = {SKIN: _skin, HEAD: _head, HAIR: _hair, TORSO: _torso, SLEEVE: _sleeve,
                 LEG: _leg, SKIRT: _skirt, SHOE: _shoe, BAG: _bag, BOX: _carton}
    for zone, colour in colour_of.items():
        at = np.flatnonzero(zones == zone)
        if len(at):
            x, y, z = hits.point[at].T.copy()
            if zone in frames:
                axes, origin = (v.astype(np.float32) for v in frames[zone])
                own = np.flatnonzero(rises[at] == np.float32(IN_FRAME))
                x[own], y[own], z[own] = axes.T @ (hits.place[:, at[own]] - origin[:, None])
            out[at] = colour(who, x, y, z, bases[at], rises[at])
            if zone in (TORSO, SLEEVE, LEG, SKIRT):     # creases, in body coordinates too
                a, b = who.top.detail["knit"]
                crease = np.sin(31 * y + 14 * x + a) * np.sin(23 * x - 9 * y + 7 * z + b)
                crease += np.sin(41 * y + 36 * x - 25 * z + 2 * b) * .5
                out[at] *= (1 + np.float32(.06) * crease)[:, None]
    return out


def _skin(who, x, y, z, v0, dv):
    return np.broadcast_to(who.skin, (len(x), 3))


def _head(who, x, y, z, v0, dv):
    size = body.bones(who.build)["head"]
    x, y = np.abs(x) / size, (y + v0) / size
    out = np.tile(who.skin.astype(np.float32), (len(x), 1))
    front = z > 0
    dark = np.float32((0.12, 0.08, 0.07))
    cheek = np.exp(-((x - .35) ** 2 + (y + .35) ** 2) * 18)[:, None]
    out *= 1 - cheek * np.float32((0, .09, .09))
    if who.hair_style == "shaved":
        out[(y > 0.45) | (~front & (y > -0.4))] *= 0.3 * who.hair + 0.45
    if who.beard:
        out[front & (y < -.42) & (y > -1.1) & ~((np.abs(y + .58) < .06) & (x < .2))] *= (
            0.35 + 0.6 * who.hair)
    out[front & (np.abs(y - .07) < .085) & (np.abs(x - .28) < .14)] *= 0.55
    out[front & (np.abs(y - .06) < .055) & (np.abs(x - .28) < .085)] = dark
    out[front & (np.abs(y - .25) < .05) & (np.abs(x - .29) < .17)] *= 0.25 + 0.5 * who.hair
    smile, lips = (.9 * x * x, .045) if who.close else (0, .055)
    out[front & (np.abs(y + .58 - smile) < lips) & (x < .2)] = (
        who.skin * (.72, .42, .42) if who.female else who.skin * (.7, .5, .5))
    out[front & (np.abs(y + .3) < .03) & (x < .09)] *= 0.72
    if who.glasses:
        ring = np.maximum(np.abs(x - .3) / .24, np.abs(y - .06) / .17)
        out[front & (ring < 1.0) & (ring > (.8 if who.close else .68))] = dark
    return out


def _hair(who, x, y, z, v0, dv):
    colour = who.cap if who.hair_style == "cap" else who.hair
    if who.close:
        strands = 1 + .07 * np.sin(x * 900 + 2 * np.sin(y * 31)) + .05 * np.sin(x * 390 - y * 60)
    else:
        strands = 1 + 0.16 * np.sin(x * 260 + 3 * np.sin(y * 40))
    return (colour * strands[:, None]).astype(np.float32)


def _torso(who, x, y, z, v0, dv):
    top, s = who.top, who.build.stature / 1.70
    v = np.where(dv == np.float32(IN_FRAME), y, v0 + dv * y) / np.float32(s)
    x, front = x / np.float32(s), z > 0
    angle = np.arctan2(x, z)
    out = _pattern(top, x, v, angle)
    up = body.bones(who.build)["chest"] / s
    if top.pattern == "print":
        out[front & _print(top.detail["motif"], x / .085, (v - up * .55) / .085)] = (
            top.colours[1])
    if top.kind == "jacket":
        if top.detail["open"]:
            inner = front & (np.abs(x) < .028 + .10 * np.clip(v - .02, 0, 1))
            out[inner] = top.colours[2]
        else:
            out[front & (np.abs(x) < .008)] = top.colours[0] * .35
    depth = up * (.86 if top.detail["neck"] == "v" else .93)
    slope = 1.0 if top.detail["neck"] == "v" else 14 * np.abs(x)
    neckline = front & (v > depth + slope * np.abs(x))
    out[neckline] = who.skin
    if top.kind != "dress":
        below = (v < top.detail["hem"])
        out[below] = _pattern(who.bottom, x[below], v[below], angle[below])
        out[(np.abs(v - top.detail["hem"]) < .006)] *= .7
    if who.bag == "backpack":
        out[front & (np.abs(np.abs(x) - .105) < .022) & (v > .04)] = who.bag_colour * .8
    if who.bag == "shoulder":
        way = -1 if who.bag_side == "r" else 1
        strap = np.abs(v - (up * .45 - 1.25 * way * x)) < .028
        out[strap] = who.bag_colour * .75
    return out


def _sleeve(who, x, y, z, v0, dv):
    top, s = who.top, who.build.stature / 1.70
    v = (v0 + dv * y) / s
    if top.detail["raglan"] and top.pattern in ("two-tone", "plain", "print"):
        return np.broadcast_to(top.colours[1], (len(x), 3))
    return _pattern(top, x, v, np.arctan2(x, z) * 0.45)


def _leg(who, x, y, z, v0, dv):
    cloth, v = who.bottom, v0 + dv * y
    out = _pattern(cloth, x, v, np.arctan2(x, z) * .6)
    if cloth.pattern == "side":
        out[np.abs(x) > .85 * np.hypot(x, z)] = cloth.colours[1]
    return out


def _skirt(who, x, y, z, v0, dv):
    s = who.build.stature / 1.70
    angle = np.arctan2(x, z)
    out = _pattern(who.bottom, x, y / s + v0, angle)
    return out * (1 + 0.07 * np.sin(angle * 14))[:, None].astype(np.float32)


def _shoe(who, x, y, z, v0, dv):
    sole = (v0 == 0) & (z < -.018)
    return np.where(sole[:, None], who.sole, who.shoes).astype(np.float32)


def _bag(who, x, y, z, v0, dv):
    out = np.tile(who.bag_colour.astype(np.float32), (len(x), 1))
    out[(v0 == 0) & (np.abs(y - .06) < .008)] *= .55
    out[v0 == 1] *= .8
    return out


def _carton(who, x, y, z, v0, dv):
    out = np.tile(who.carton.astype(np.float32), (len(x), 1))
    out[np.abs(x) < .02] *= .75
    return out
