"""The volumes of a posed person: body, hair, garments, bag."""
import numpy as np

from . import body
from .render import Part

SKIN, HEAD, HAIR, TORSO, SLEEVE, LEG, SKIRT, SHOE, BAG, BOX = range(10)  # zones
IN_FRAME = 0.0  # instead of dv: colours follow the zone's own frame (chest or pelvis)
_DOWN = np.diag((1.0, -1.0, 1.0))


class _Figure:
    """The parts of a person so far, and the measures (metres) that they share."""

    def __init__(self, who, skeleton):
        self.who, self.skeleton, self.parts = who, skeleton, []
        self.frames, self.lengths = skeleton.frames, skeleton.lengths
        self.s, self.g = s, g = who.build.stature / 1.70, who.build.girth
        self.up, self.rise = self.lengths["chest"], self.lengths["spine"]
        loose = who.top.loose
        self.thick = thick = g * (loose if who.top.kind == "jacket" else 0.5 + 0.5 * loose)
        self.width = 0.145 * s * (0.4 + 0.6 * who.build.shoulders) * thick
        self.belly = (0.116 if who.female else 0.13) * s * (1.5 * thick - 0.5)
        self.hips = 0.156 * s * who.build.hips * (0.4 + 0.6 * g)

    def add(self, zone, frame, at, radii, length=0, v0=0.0, dv=1.0, scale=(1, 1, 1), **more):
        """A part whose origin is `at` (metres) in the frame (axes, origin); one radius of two."""
        (axes, origin), (r0, r1) = frame, radii if isinstance(radii, tuple) else (radii, radii)
        self.parts.append(Part(axes, origin + axes @ at, scale, r0, r1, length / scale[1],
                               (zone, v0, dv), **more))

    def down(self, name):
        """The frame of a segment, with y along the bone."""
        return self.frames[name][0] @ _DOWN, self.frames[name][1]


def dress(who, skeleton, box=False):
    """The volumes of a posed person in world space, a list of `Part`; with a box in both hands
    if `box`."""
    fig = _Figure(who, skeleton)
    _trunk(fig)
    _head(fig)
    _hair(fig)
    for side in "rl":
        _arm(fig, side)
        _leg(fig, side)
    if who.bottom.kind in ("skirt", "dress"):
        _skirt(fig)
    _bag(fig)
    if box:
        _box(fig)
    return fig.parts


def _between(a, b, front):
    """The frame at a whose y runs to b, with z near `front`; and the distance.  For y downwards,
    x points to the subject's left, as in the segments' own frames."""
    y = b - a
    length = float(np.sqrt(y @ y))
    y = y / length
    x = _cross(front, y)
    x /= np.sqrt(x @ x)
    return (np.stack([x, y, _cross(y, x)], 1), a), length


def _cross(a, b):
    """np.cross of two vectors, without its overhead."""
    return np.array((a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2],
                     a[0] * b[1] - a[1] * b[0]))


def _trunk(fig):
    """Belly, chest, hips, shoulders and bust; heights v are measured from the waist, upwards."""
    who, add, s, thick = fig.who, fig.add, fig.s, fig.thick
    up, rise, width, belly, hips = fig.up, fig.rise, fig.width, fig.belly, fig.hips
    torso, pelvis = fig.frames["chest"], fig.frames["pelvis"]
    (chest, waist), (pelvis_axes, root) = torso, pelvis
    add(TORSO, torso, (0, -0.02 * s, 0), (belly, width), up * 0.62, -0.02 * s, scale=(1, 1, 0.71))
    add(TORSO, torso, (0, up * 0.80, -0.004), 0.1, 0, up * 0.80,
        scale=(1.66 * s * who.build.shoulders, 1.25 * s, 9.6 * width * 0.71))
    add(TORSO, pelvis, (0, -0.035 * s, -0.008 * s), (hips, belly * 1.02), rise * 1.25,
        -rise - 0.035 * s, scale=(1, 1, 0.72))
    for shoulder, x in ((body.R_SHOULDER, -1), (body.L_SHOULDER, 1)):
        if who.bottom.kind not in ("skirt", "dress"):
            add(TORSO, pelvis, (x * 0.07 * s, -0.05 * s, -0.035 * s), 0.09 * s * fig.g, 0,
                -rise - 0.05 * s)
        neck = waist + chest @ (x * 0.03 * s, up + 0.058 * s, -0.012)
        joint = fig.skeleton.joints[shoulder] + chest @ (-x * 0.012, -0.012 * s, 0)
        frame, length = _between(neck, joint, chest[:, 2])
        add(TORSO, frame, (0, 0, 0), (0.042 * s, 0.056 * s * (0.5 + 0.5 * thick)), length, 0,
            IN_FRAME, scale=(1, 1, 1.15))
    if who.build.bust:
        r = 0.066 * s * (0.75 + 0.3 * who.build.bust)
        for x in (-1, 1):
            add(TORSO, torso, (x * 0.06 * s, up * 0.64, 0.052 * s * thick), r, 0, 0, IN_FRAME,
                scale=(1.1, 1.15, 0.92))
    if who.top.kind != "dress" and (who.bottom.kind != "skirt" or who.top.kind == "jacket"):
        # The top hangs from the chest over the belt.
        high = waist + chest @ (0, up * 0.6, 0)
        frame, _ = _between(high, root - pelvis_axes[:, 1] * 0.06, chest[:, 2] + pelvis_axes[:, 2])
        drop = up * 0.6 - who.top.detail["hem"] * s
        waisted = 0.5 * (belly + width) if who.female and who.top.kind != "jacket" else width
        add(TORSO, frame, (0, 0, 0), (waisted * 1.01, max(hips * 1.06, width)), drop, up * 0.6,
            -1, scale=(1, 1, 0.75), cut=(True, True))


def _head(fig):
    """Neck, skull, chin and nose."""
    s, head, size = fig.s, fig.frames["head"], fig.lengths["head"]
    fig.add(SKIN, fig.down("chest"), (0, -fig.up - 0.13 * s, 0.012),
            (0.05 * s, 0.058 * s * (.7 + .3 * fig.g)), 0.13 * s)
    for y, z, scale in ((0.12, -0.08, (0.70, 0.92, 0.86)), (-0.48, 0.22, (0.50, 0.56, 0.56)),
                        (-0.2, 0.78, (0.10, 0.17, 0.17))):
        fig.add(HEAD, head, (0, y * size, z * size), size, 0, y * size, scale=scale)


def _arm(fig, side):
    """Upper arm, forearm, sleeve and hand."""
    who, add, s, top = fig.who, fig.add, fig.s, fig.who.top
    arm = 0.043 * s * (0.35 + 0.65 * fig.g) * (0.93 if who.female else 1.05)
    cover = {"jacket": 1.32, "long": 1.16, "tshirt": 1.0}.get(top.kind, 1.05) * top.loose ** 0.5
    sleeved = top.length > 1
    upper, fore = fig.down(side + "_upper_arm"), fig.down(side + "_forearm")
    wide, zone = (cover, SLEEVE) if sleeved else (1.0, SKIN)
    lu, lf = fig.lengths["upper_arm"], fig.lengths["forearm"]
    add(zone, upper, (0, 0, 0), (arm * 1.1 * wide, arm * .95 * wide), lu, fig.up, -1)
    add(zone, fore, (0, 0, 0), (arm * .95 * wide, arm * (.66 if not sleeved else .86) * wide),
        lf * (0.97 if sleeved else 1), fig.up - lu, -1, cut=(False, sleeved))
    if not sleeved:
        ends = arm * 1.15 * top.loose, arm * (1.18 + .1 * top.length) * top.loose
        add(SLEEVE, upper, (0, -0.004, 0), ends, lu * top.length, fig.up, -1, cut=(False, True))
    add(SKIN, fore, (0, lf + 0.055 * s, 0.008), 0.1 * s, scale=(0.28, 0.72, 0.40))


def _leg(fig, side):
    """Thigh, shin, trouser leg or shorts, boot, shoe."""
    who, add, s, bottom = fig.who, fig.add, fig.s, fig.who.bottom
    legs = (0.5 + 0.5 * fig.g) * s
    thigh, shin = fig.down(side + "_thigh"), fig.down(side + "_shin")
    foot, ankle = fig.frames[side + "_foot"]
    lt, ls = fig.lengths["thigh"], fig.lengths["shin"]
    trousers = bottom.kind == "trousers"
    loose, zone = (bottom.loose, LEG) if trousers else (1.0, SKIN)
    add(zone, thigh, (0, 0, 0), (0.083 * legs * loose ** .5, 0.056 * legs * loose), lt, 0, -1)
    add(zone, shin, (0, 0, -0.008 * s),
        (0.056 * legs * loose, (0.036 + (0.016 if trousers else 0)) * legs * loose ** 1.5),
        ls * (bottom.length - 1 if trousers else 1), -lt, -1, cut=(False, trousers))
    if not trousers:
        add(SKIN, shin, (0, 0.28 * ls, -0.02 * s), 0.1 * legs, scale=(0.50, 1.05, 0.50))
    else:
        add(SKIN, shin, (0, 0, 0), (0.037 * s, 0.033 * s), ls)
    if bottom.kind == "shorts":
        add(LEG, thigh, (0, 0.01, 0), (0.092 * legs, 0.082 * legs * bottom.loose ** .7),
            lt * bottom.length, 0, -1, cut=(False, True))
    if who.boots and not trousers:
        add(SHOE, shin, (0, 0.45 * ls, -0.012 * s),
            (0.062 * legs * max(1, loose * .95), 0.048 * legs), ls * 0.55, 1, 0)
    sole = foot[:, [0, 2, 1]], ankle        # y to the toes, z up
    add(SHOE, sole, (0, -0.035 * s, -fig.lengths["ankle"] + 0.034 * s), (0.041 * s, 0.037 * s),
        fig.lengths["foot"] * 0.78, 0, 0, scale=(0.95, 1, 0.9))
    add(SHOE, (foot @ _DOWN, ankle), (0, 0, -0.01), (0.036 * s, 0.044 * s), 0.035 * s, 1, 0)


def _hair(fig):
    """Hair of the person's style, or a cap's peak."""
    add, s, up, size, style = fig.add, fig.s, fig.up, fig.lengths["head"], fig.who.hair_style
    skull, (chest, waist) = fig.frames["head"], fig.frames["chest"]
    axes, at = skull
    if style == "shaved":
        return
    fringe = 0.42 * size
    nape = {"short": -.3, "tousled": -.4, "cap": -.1, "bob": -.75, "long": -.8}.get(style, -.5)
    low, side = nape * size, (0.05 if style in ("bob", "long") else -0.12) * size
    puff = {"tousled": 1.2, "short": 1.08}.get(style, 1.13)

    def shell(x, y, z):
        y = y + 0.14 * size
        return (y > low) & ((y > fringe - 2 * x * x / size) | (z < side + 0.35 * y))

    add(HAIR, skull, (0, 0.14 * size, -0.13 * size), size, 0, 0.14 * size,
        scale=(0.70 * puff, 0.92 * puff, 0.86 * puff), keep=shell)
    if style == "cap":
        add(HAIR, (axes[:, [0, 2, 1]], at), (0, 0.55 * size, 0.40 * size), size, 0.3 * size, 1, 0,
            scale=(0.62, 0.62, 0.07))
    if style == "bun":
        add(HAIR, skull, (0, 0.62 * size, -0.95 * size), 0.4 * size)
    if style == "bob":
        add(HAIR, fig.down("head"), (0, 0.1 * size, -0.25 * size), (0.8 * size, 0.86 * size),
            0.5 * size, scale=(0.98, 1, 0.75),
            keep=lambda x, y, z: (z < 0.28 * size) & (y < 1.1 * size))
    if style == "ponytail":
        tip = waist + chest @ (0, up * 0.8, -0.135 * s)
        root = at + axes @ (np.array((0, 0.35, -0.55)) * size)
        root = root + axes @ np.array((0, 0, -0.45 * size))
        add(HAIR, *_strand(root, tip, chest[:, 2], (0.3 * size, 0.2 * size)))
    if style == "long":
        tip = waist + chest @ (0, up * 0.62, -0.135 * s)
        root = at + axes @ (np.array((0, 0.1, -0.55)) * size)
        back = _strand(root, tip, chest[:, 2], (0.74 * size, 0.66 * size))
        add(HAIR, *back, scale=(1.0, 1, 0.55))
        for x in (-1, 1):
            root = at + axes @ (np.array((x * 0.58, 0.2, 0.02)) * size)
            tip = waist + chest @ (x * 0.085 * s, up * 0.86, 0.045 * s)
            add(HAIR, *_strand(root, tip, chest[:, 2], (0.24 * size, 0.26 * size)))


def _strand(a, b, front, radii):
    """Frame, place, radii and length of a cone from a to b."""
    frame, length = _between(a, b, front)
    return frame, (0, 0, 0), radii, length


def _skirt(fig):
    """Cones from the waist and the hips to the hem."""
    who, add, frames, s, hips, rise = fig.who, fig.add, fig.frames, fig.s, fig.hips, fig.rise
    pelvis, root = frames["pelvis"]
    thigh_length = fig.lengths["thigh"]
    length = who.bottom.length * thigh_length
    ends = []                               # where each leg crosses the hem
    for side in "rl":
        (thigh, hip), (shin, _) = frames[side + "_thigh"], frames[side + "_shin"]
        ends.append(hip - thigh[:, 1] * min(length, thigh_length)
                    - shin[:, 1] * max(0.0, length - thigh_length) * 0.7)
    waist, reach = _between(root + pelvis[:, 1] * rise, (ends[0] + ends[1]) / 2, pelvis[:, 2])
    stride = np.abs((ends[1] - ends[0]) @ waist[0][:, 2])
    flare = hips * (0.98 + 0.14 * (who.bottom.loose - 0.9) * min(3.0, 2 * who.bottom.length))
    deep = 0.80 + 0.5 * min(1.0, stride / 0.6)
    paint = -rise * (who.bottom.kind == "dress"), IN_FRAME  # a dress continues its top's pattern
    low = rise + 0.07 * s                   # the widest part of the hips
    add(SKIRT, waist, (0, 0.0, 0), (hips * 0.80, hips * 1.04), low, *paint, scale=(1, 1, 0.80),
        cut=(True, False))
    add(SKIRT, waist, (0, low, 0), (hips * 1.03, max(flare, hips * 0.9)), reach - low, *paint,
        scale=(1, 1, deep), cut=(False, True))
    for side, end in zip("rl", ends):
        hip, knee = frames[side + "_thigh"][1], frames[side + "_shin"][1]
        cones = [(hip, end, (0.10 * s, flare * 0.55))]
        if who.close and length > 1.1 * thigh_length:   # a bent knee lifts the cloth
            cones += [(hip, knee, (0.10 * s, 0.08 * s)), (knee, end, (0.08 * s, flare * 0.5))]
        for a, b, radii in cones:
            add(SKIRT, *_strand(a, b, pelvis[:, 2], radii), *paint, cut=(False, b is end))


def _bag(fig):
    """The backpack, shoulder bag or handbag."""
    who, add, s, torso = fig.who, fig.add, fig.s, fig.frames["chest"]
    side, x = who.bag_side, -1 if who.bag_side == "r" else 1
    deep = fig.width * 0.70
    if who.bag == "backpack":
        add(BAG, torso, (0, 0.06 * s, -deep - 0.075 * s), (0.15 * s, 0.13 * s), fig.up * 0.62,
            scale=(0.95, 1, 0.62))
        add(BAG, torso, (0, 0.06 * s, -deep - 0.165 * s), 0.09 * s, 0, 1, 0, scale=(1.1, 0.8, 0.4))
    if who.bag == "shoulder":
        pelvis, root = fig.frames["pelvis"]
        flat = pelvis[:, ::-1], root
        add(BAG, flat, (0, -0.06 * s, x * 0.225 * s), 1, scale=(0.15 * s, 0.105 * s, 0.05 * s),
            box=True)
        add(BAG, flat, (0, -0.02 * s, x * 0.225 * s), 0.155 * s, 0, 1, 0, scale=(1, 0.48, 0.38))
    if who.bag == "handbag":
        fore, elbow = fig.frames[side + "_forearm"]
        grip = elbow - fore[:, 1] * (fig.lengths["forearm"] + 0.09 * s)
        front = np.array((fore[0, 2], 0, fore[2, 2]))
        (axes, _), _ = _between(grip, grip - (0, 1, 0), front / np.sqrt(front @ front))
        flat = axes[:, ::-1]
        add(BAG, (flat, grip), (0, 0.2 * s, 0), 1, scale=(0.14 * s, 0.1 * s, 0.05 * s), box=True)
        for z in (-0.05, 0.05):
            ends = grip + flat @ (0.0, -0.02, 0), grip + flat @ (z * s * 1.5, 0.1 * s, 0)
            add(BAG, *_strand(*ends, axes[:, 2] + 0.1, 0.012 * s), 1, 0)


def _box(fig):
    """A box in both hands."""
    s, (chest, _) = fig.s, fig.frames["chest"]
    hands = [elbow - fore[:, 1] * (fig.lengths["forearm"] + 0.05 * s) for fore, elbow in (
        fig.frames["r_forearm"], fig.frames["l_forearm"])]
    (axes, _), _ = _between(np.zeros(3), np.array((0, 1.0, 0)), chest[:, 2])
    middle = (hands[0] + hands[1]) / 2 + 0.02 * chest[:, 2]
    fig.add(BOX, (axes, middle), (0, 0.06 * s, 0), 1, scale=(0.17 * s, 0.10 * s, 0.13 * s),
            box=True)
