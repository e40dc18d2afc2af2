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

    def add(self, frame, at, radii, length, zone, v0=0.0, dv=1.0, scale=(1, 1, 1), **more):
        """A part whose origin is `at` (metres) in the frame (axes, origin)."""
        (axes, origin), (r0, r1) = frame, radii
        self.parts.append(Part(axes, origin + axes @ at, scale, r0, r1, length / scale[1],
                               (zone, v0, dv), **more))


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
    """Axes (x, y, z) whose y runs from a to b, with z near `front`; and the distance.  For y
    downwards, x points to the subject's left, as in the segments' own frames."""
    y = b - a
    length = float(np.sqrt(y @ y))
    y = y / length
    x = _cross(front, y)
    x /= np.sqrt(x @ x)
    return np.stack([x, y, _cross(y, x)], 1), length


def _cross(a, b):
    """np.cross of two vectors, without its overhead."""
    return np.array((a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2],
                     a[0] * b[1] - a[1] * b[0]))


def _down(frame):
    """A segment's frame with y along the bone."""
    return frame[0] @ _DOWN, frame[1]


def _trunk(fig):
    """Belly, chest, hips, shoulders and bust; heights v are measured from the waist, upwards."""
    who, add, s, g, thick = fig.who, fig.add, fig.s, fig.g, fig.thick
    up, rise, width, belly, hips = fig.up, fig.rise, fig.width, fig.belly, fig.hips
    chest, waist = fig.frames["chest"]
    pelvis, root = fig.frames["pelvis"]
    add((chest, waist), (0, -0.02 * s, 0), (belly, width), up * 0.62, TORSO, -0.02 * s,
        scale=(1, 1, 0.71))
    add((chest, waist), (0, up * 0.80, -0.004), (0.1, 0.1), 0, TORSO, up * 0.80,
        scale=(1.66 * s * who.build.shoulders, 1.25 * s, 9.6 * width * 0.71))
    add((pelvis, root), (0, -0.035 * s, -0.008 * s), (hips, belly * 1.02), rise * 1.25, TORSO,
        -rise - 0.035 * s, scale=(1, 1, 0.72))
    for shoulder, x in ((body.R_SHOULDER, -1), (body.L_SHOULDER, 1)):
        if who.bottom.kind not in ("skirt", "dress"):
            add((pelvis, root), (x * 0.07 * s, -0.05 * s, -0.035 * s), (0.09 * s * g,) * 2, 0,
                TORSO, -rise - 0.05 * s)
        neck = waist + chest @ (x * 0.03 * s, up + 0.058 * s, -0.012)
        joint = fig.skeleton.joints[shoulder]
        axes, length = _between(neck, joint + chest @ (-x * 0.012, -0.012 * s, 0), chest[:, 2])
        add((axes, neck), (0, 0, 0), (0.042 * s, 0.056 * s * (0.5 + 0.5 * thick)), length, TORSO,
            0, IN_FRAME, scale=(1, 1, 1.15))
    if who.build.bust:
        r = 0.066 * s * (0.75 + 0.3 * who.build.bust)
        for x in (-1, 1):
            add((chest, waist), (x * 0.06 * s, up * 0.64, 0.052 * s * thick), (r, r), 0, TORSO,
                0, IN_FRAME, scale=(1.1, 1.15, 0.92))
    if who.top.kind != "dress" and (who.bottom.kind != "skirt" or who.top.kind == "jacket"):
        # The top hangs from the chest over the belt.
        high = waist + chest @ (0, up * 0.6, 0)
        axes, length = _between(high, root - pelvis[:, 1] * 0.06, chest[:, 2] + pelvis[:, 2])
        drop = up * 0.6 - who.top.detail["hem"] * s
        waisted = 0.5 * (belly + width) if who.female and who.top.kind != "jacket" else width
        add((axes, high), (0, 0, 0), (waisted * 1.01, max(hips * 1.06, width)), drop, TORSO,
            up * 0.6, -1, scale=(1, 1, 0.75), cut=(True, True))


def _head(fig):
    """Neck, skull, chin and nose."""
    add, s, head, size = fig.add, fig.s, fig.frames["head"], fig.lengths["head"]
    add(_down(fig.frames["chest"]), (0, -fig.up - 0.13 * s, 0.012),
        (0.05 * s, 0.058 * s * (.7 + .3 * fig.g)), 0.13 * s, SKIN)
    add(head, (0, 0.12 * size, -0.08 * size), (size, size), 0, HEAD, 0.12 * size,
        scale=(0.70, 0.92, 0.86))
    add(head, (0, -0.48 * size, 0.22 * size), (size, size), 0, HEAD, -0.48 * size,
        scale=(0.50, 0.56, 0.56))
    add(head, (0, -0.2 * size, 0.78 * size), (size, size), 0, HEAD, -0.2 * size,
        scale=(0.10, 0.17, 0.17))


def _arm(fig, side):
    """Upper arm, forearm, sleeve and hand."""
    who, add, s, top = fig.who, fig.add, fig.s, fig.who.top
    arm = 0.043 * s * (0.35 + 0.65 * fig.g) * (0.93 if who.female else 1.05)
    cover = {"jacket": 1.32, "long": 1.16, "tshirt": 1.0}.get(top.kind, 1.05) * top.loose ** 0.5
    sleeved = top.length > 1
    upper, fore = _down(fig.frames[side + "_upper_arm"]), _down(fig.frames[side + "_forearm"])
    wide, zone = (cover, SLEEVE) if sleeved else (1.0, SKIN)
    lu, lf = fig.lengths["upper_arm"], fig.lengths["forearm"]
    add(upper, (0, 0, 0), (arm * 1.1 * wide, arm * .95 * wide), lu, zone, fig.up, -1)
    add(fore, (0, 0, 0), (arm * .95 * wide, arm * (.66 if not sleeved else .86) * wide),
        lf * (0.97 if sleeved else 1), zone, fig.up - lu, -1, cut=(False, sleeved))
    if not sleeved:
        add(upper, (0, -0.004, 0),
            (arm * 1.15 * top.loose, arm * (1.18 + .1 * top.length) * top.loose),
            lu * top.length, SLEEVE, fig.up, -1, cut=(False, True))
    add(fore, (0, lf + 0.055 * s, 0.008), (0.1 * s, 0.1 * s), 0, SKIN, scale=(0.28, 0.72, 0.40))


def _leg(fig, side):
    """Thigh, shin, trouser leg or shorts, boot, shoe."""
    who, add, s, bottom = fig.who, fig.add, fig.s, fig.who.bottom
    legs = (0.5 + 0.5 * fig.g) * s
    thigh, shin = _down(fig.frames[side + "_thigh"]), _down(fig.frames[side + "_shin"])
    foot, ankle = fig.frames[side + "_foot"]
    lt, ls = fig.lengths["thigh"], fig.lengths["shin"]
    trousers = bottom.kind == "trousers"
    loose, zone = (bottom.loose, LEG) if trousers else (1.0, SKIN)
    add(thigh, (0, 0, 0), (0.083 * legs * loose ** .5, 0.056 * legs * loose), lt, zone, 0, -1)
    add(shin, (0, 0, -0.008 * s),
        (0.056 * legs * loose, (0.036 + (0.016 if trousers else 0)) * legs * loose ** 1.5),
        ls * (bottom.length - 1 if trousers else 1), zone, -lt, -1, cut=(False, trousers))
    if not trousers:
        add(shin, (0, 0.28 * ls, -0.02 * s), (0.1 * legs, 0.1 * legs), 0, SKIN,
            scale=(0.50, 1.05, 0.50))
    else:
        add(shin, (0, 0, 0), (0.037 * s, 0.033 * s), ls, SKIN)
    if bottom.kind == "shorts":
        add(thigh, (0, 0.01, 0), (0.092 * legs, 0.082 * legs * bottom.loose ** .7),
            lt * bottom.length, LEG, 0, -1, cut=(False, True))
    if who.boots and not trousers:
        add(shin, (0, 0.45 * ls, -0.012 * s),
            (0.062 * legs * max(1, loose * .95), 0.048 * legs), ls * 0.55, SHOE, 1, 0)
    low = -fig.lengths["ankle"] + 0.034 * s
    axes = np.stack([foot[:, 0], foot[:, 2], foot[:, 1]], 1)    # y to the toes, z up
    add((axes, ankle), (0, -0.035 * s, low), (0.041 * s, 0.037 * s), fig.lengths["foot"] * 0.78,
        SHOE, 0, 0, scale=(0.95, 1, 0.9))
    add((foot @ _DOWN, ankle), (0, 0, -0.01), (0.036 * s, 0.044 * s), 0.035 * s, SHOE, 1, 0)


def _hair(fig):
    """Hair of the person's style, or a cap's peak."""
    add, s, up, size, style = fig.add, fig.s, fig.up, fig.lengths["head"], fig.who.hair_style
    (head, skull), (chest, waist) = fig.frames["head"], fig.frames["chest"]
    if style == "shaved":
        return
    fringe = 0.42 * size
    nape = {"short": -.3, "tousled": -.4, "cap": -.1, "bob": -.75, "long": -.8}.get(style, -.5)
    low, side = nape * size, (0.05 if style in ("bob", "long") else -0.12) * size
    puff = {"tousled": 1.2, "short": 1.08, "shaved": 1.0}.get(style, 1.13)

    def shell(x, y, z):
        y = y + 0.14 * size
        return (y > low) & ((y > fringe - 2 * x * x / size) | (z < side + 0.35 * y))

    add((head, skull), (0, 0.14 * size, -0.13 * size), (size, size), 0, HAIR, 0.14 * size,
        scale=(0.70 * puff, 0.92 * puff, 0.86 * puff), keep=shell)
    if style == "cap":
        flat = np.stack([head[:, 0], head[:, 2], head[:, 1]], 1)
        add((flat, skull), (0, 0.55 * size, 0.40 * size), (size, size), 0.3 * size, HAIR, 1, 0,
            scale=(0.62, 0.62, 0.07))
    if style == "bun":
        add((head, skull), (0, 0.62 * size, -0.95 * size), (0.4 * size,) * 2, 0, HAIR)
    if style == "bob":
        add((head @ _DOWN, skull), (0, 0.1 * size, -0.25 * size), (0.8 * size, 0.86 * size),
            0.5 * size, HAIR, scale=(0.98, 1, 0.75), cut=(False, False),
            keep=lambda x, y, z: (z < 0.28 * size) & (y < 1.1 * size))
    if style in ("long", "ponytail"):
        tip = waist + chest @ (0, up * (0.62 if style == "long" else 0.8), -0.135 * s)
        root = skull + head @ (np.array((0, 0.1 if style == "long" else 0.35, -0.55)) * size)
        if style == "ponytail":
            root = root + head @ np.array((0, 0, -0.45 * size))
        axes, length = _between(root, tip, chest[:, 2])
        r = (0.74 * size, 0.66 * size) if style == "long" else (0.3 * size, 0.2 * size)
        add((axes, root), (0, 0, 0), r, length, HAIR,
            scale=(1.0, 1, 0.55) if style == "long" else (1, 1, 1))
    if style == "long":
        for x in (-1, 1):
            a = skull + head @ (np.array((x * 0.58, 0.2, 0.02)) * size)
            b = waist + chest @ (x * 0.085 * s, up * 0.86, 0.045 * s)
            axes, length = _between(a, b, chest[:, 2])
            add((axes, a), (0, 0, 0), (0.24 * size, 0.26 * size), length, HAIR)


def _skirt(fig):
    """Cones from the waist and the hips to the hem."""
    who, add, skeleton, s, hips, rise = fig.who, fig.add, fig.skeleton, fig.s, fig.hips, fig.rise
    pelvis, root = skeleton.frames["pelvis"]
    thigh_length = skeleton.lengths["thigh"]
    length = who.bottom.length * thigh_length
    ends = []                               # where each leg crosses the hem
    for side in "rl":
        thigh, hip = skeleton.frames[side + "_thigh"]
        shin = skeleton.frames[side + "_shin"][0]
        ends.append(hip - thigh[:, 1] * min(length, thigh_length)
                    - shin[:, 1] * max(0.0, length - thigh_length) * 0.7)
    top = root + pelvis[:, 1] * rise
    axes, reach = _between(top, (ends[0] + ends[1]) / 2, pelvis[:, 2])
    stride = np.abs((ends[1] - ends[0]) @ axes[:, 2])
    flare = hips * (0.98 + 0.14 * (who.bottom.loose - 0.9) * min(3.0, 2 * who.bottom.length))
    deep = 0.80 + 0.5 * min(1.0, stride / 0.6)
    belt = -rise * (who.bottom.kind == "dress")     # a dress continues the pattern of its top
    paint = (SKIRT, belt, IN_FRAME)
    low = rise + 0.07 * s                   # the widest part of the hips
    add((axes, top), (0, 0.0, 0), (hips * 0.80, hips * 1.04), low, *paint, scale=(1, 1, 0.80),
        cut=(True, False))
    add((axes, top), (0, low, 0), (hips * 1.03, max(flare, hips * 0.9)), reach - low, *paint,
        scale=(1, 1, deep), cut=(False, True))
    for side, end in zip("rl", ends):
        hip = skeleton.frames[side + "_thigh"][1]
        cone, far = _between(hip, end, pelvis[:, 2])
        add((cone, hip), (0, 0, 0), (0.10 * s, flare * 0.55), far, *paint, cut=(False, True))
        if who.close and length > 1.1 * thigh_length:   # a bent knee lifts the cloth
            knee = skeleton.frames[side + "_shin"][1]
            for a, b, radii in ((hip, knee, (0.10 * s, 0.08 * s)),
                                (knee, end, (0.08 * s, flare * 0.5))):
                cone, far = _between(a, b, pelvis[:, 2])
                add((cone, a), (0, 0, 0), radii, far, *paint, cut=(False, b is end))


def _bag(fig):
    """The backpack, shoulder bag or handbag."""
    who, add, skeleton, s, up, width = fig.who, fig.add, fig.skeleton, fig.s, fig.up, fig.width
    chest, waist = skeleton.frames["chest"]
    side, x = who.bag_side, -1 if who.bag_side == "r" else 1
    deep = width * 0.70
    if who.bag == "backpack":
        add((chest, waist), (0, 0.06 * s, -deep - 0.075 * s), (0.15 * s, 0.13 * s), up * 0.62, BAG,
            scale=(0.95, 1, 0.62))
        add((chest, waist), (0, 0.06 * s, -deep - 0.165 * s), (0.09 * s, 0.09 * s), 0, BAG, 1, 0,
            scale=(1.1, 0.8, 0.4))
    if who.bag == "shoulder":
        pelvis, root = skeleton.frames["pelvis"]
        flat = np.stack([pelvis[:, 2], pelvis[:, 1], pelvis[:, 0]], 1)
        add((flat, root), (0, -0.06 * s, x * 0.225 * s), (1, 1), 0, BAG,
            scale=(0.15 * s, 0.105 * s, 0.05 * s), box=True)
        add((flat, root), (0, -0.02 * s, x * 0.225 * s), (0.155 * s,) * 2, 0, BAG, 1, 0,
            scale=(1, 0.48, 0.38))
    if who.bag == "handbag":
        fore, elbow = skeleton.frames[side + "_forearm"]
        grip = elbow - fore[:, 1] * (skeleton.lengths["forearm"] + 0.09 * s)
        front = np.array((fore[0, 2], 0, fore[2, 2]))
        axes, _ = _between(grip, grip - (0, 1, 0), front / np.sqrt(front @ front))
        flat = np.stack([axes[:, 2], axes[:, 1], axes[:, 0]], 1)
        add((flat, grip), (0, 0.2 * s, 0), (1, 1), 0, BAG, scale=(0.14 * s, 0.1 * s, 0.05 * s),
            box=True)
        for z in (-0.05, 0.05):
            a = grip + flat @ (0.0, -0.02, 0)
            b = grip + flat @ (z * s * 1.5, 0.1 * s, 0)
            strap, length = _between(a, b, axes[:, 2] + 0.1)
            add((strap, a), (0, 0, 0), (0.012 * s,) * 2, length, BAG, 1, 0)


def _box(fig):
    """A box in both hands."""
    add, skeleton, s = fig.add, fig.skeleton, fig.s
    chest, _ = skeleton.frames["chest"]
    hands = [elbow - fore[:, 1] * (skeleton.lengths["forearm"] + 0.05 * s) for fore, elbow in (
        skeleton.frames["r_forearm"], skeleton.frames["l_forearm"])]
    axes, _ = _between(np.zeros(3), np.array((0, 1.0, 0)), chest[:, 2])
    middle = (hands[0] + hands[1]) / 2 + 0.02 * chest[:, 2]
    add((axes, middle), (0, 0.06 * s, 0), (1, 1), 0, BOX,
        scale=(0.17 * s, 0.10 * s, 0.13 * s), box=True)
