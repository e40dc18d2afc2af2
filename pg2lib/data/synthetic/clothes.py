"""Identities: who a person is and what they wear, as volumes (`dress`) and as paint (`paint`).

Paint depends on points in body coordinates only, so a pattern turns with the body and looks the
same in every view of the identity.
"""
from dataclasses import dataclass, field

import numpy as np

from . import body
from .render import Part

SKIN, HEAD, HAIR, TORSO, SLEEVE, LEG, SKIRT, SHOE, BAG, BOX = range(10)

_SKINS = ((241, 205, 180), (234, 190, 160), (225, 178, 145), (214, 165, 130), (198, 145, 110),
          (168, 116, 84), (128, 86, 62), (94, 64, 48))
_HAIRS = ((22, 19, 20), (28, 23, 22), (38, 28, 24), (52, 36, 28), (78, 52, 36), (112, 78, 48),
          (176, 138, 84), (120, 56, 34), (140, 138, 138), (104, 40, 60))
_HAIR_ODDS = (.2, .16, .14, .14, .11, .08, .07, .04, .04, .02)
_BRIGHT = ((202, 38, 44), (226, 92, 34), (240, 176, 32), (246, 222, 92), (120, 178, 52),
           (34, 124, 66), (24, 150, 140), (52, 158, 214), (34, 82, 176), (42, 46, 110),
           (110, 62, 156), (206, 62, 136), (244, 150, 172), (150, 28, 52), (130, 206, 190))
_PALE = ((240, 240, 238), (226, 220, 206), (206, 210, 214), (190, 214, 232), (242, 214, 214))
_DARK = ((28, 28, 32), (44, 46, 54), (36, 44, 72), (66, 68, 74), (62, 46, 40), (40, 62, 50))
_MUTED = ((118, 122, 128), (146, 128, 104), (104, 112, 84), (150, 100, 84), (96, 120, 148))
_DENIM = ((44, 62, 98), (66, 92, 136), (106, 136, 176), (32, 40, 62))
_EARTH = ((176, 152, 116), (128, 110, 84), (92, 92, 66), (196, 182, 156))


@dataclass(frozen=True)
class Cloth:
    """One garment: `kind`, its pattern and up to three colours (RGB, 0..1)."""
    kind: str
    pattern: str
    colours: np.ndarray
    period: float = 0.09        # metres per repeat
    length: float = 0.0         # sleeve, leg or hem length, as a share of the limb
    loose: float = 1.0          # thickness against the limb
    detail: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Identity:
    """What stays the same in every view of a person; colours are RGB in 0..1."""
    build: body.Build
    female: bool
    skin: np.ndarray
    hair: np.ndarray
    hair_style: str             # shaved, short, tousled, bob, long, ponytail, bun, cap
    cap: np.ndarray
    beard: bool
    glasses: bool
    top: Cloth
    bottom: Cloth
    shoes: np.ndarray
    sole: np.ndarray
    boots: bool
    bag: str                    # none, backpack, shoulder, handbag
    bag_colour: np.ndarray
    bag_side: str               # r or l
    carton: np.ndarray
    close: bool = False         # of a Wardrobe with `close`


@dataclass(frozen=True)
class Wardrobe:
    """How often people of a place are and wear what: women; a woman's tops (tshirt, long, jacket,
    dress, vest) and bottoms (trousers, shorts, skirt); women's and men's bags (none, backpack,
    shoulder, handbag).  `close`: their pictures show fine hair, lips, thin frames, waistbands, and
    no knee comes through a skirt."""
    women: float
    tops: tuple
    bottoms: tuple
    bags: tuple
    close: bool = False


STREET = Wardrobe(.5, (.36, .2, .22, .17, .05), (.56, .22, .22),
                  ((.42, .24, .18, .16), (.5, .32, .12, .06)))
# DeepFashion's In-shop clothes are mostly women's, and no bag hides them.
MODELS = Wardrobe(.8, (.33, .25, .08, .18, .16), (.46, .3, .24), ((1, 0, 0, 0),) * 2,
                  close=True)


def _pick(rng, *palettes):
    """A colour of one of the palettes, slightly varied."""
    palette = palettes[rng.integers(len(palettes))]
    colour = np.array(palette[rng.integers(len(palette))], float)
    return np.clip(colour + rng.normal(0, 7, 3), 8, 248) / 255


def _contrast(rng, colour):
    """A colour that stands out against `colour`."""
    others = [_pick(rng, _BRIGHT, _PALE, _DARK) for _ in range(8)]
    return max(others, key=lambda c: np.abs(c - colour).sum())


def identity(seed, number, wardrobe=STREET):
    """The identity of that number; depends on the arguments only."""
    rng = np.random.default_rng((seed, number, 0xC0A7))
    female = bool(rng.random() < wardrobe.women)
    build = body.Build(
        stature=rng.normal(1.62, 0.055) if female else rng.normal(1.74, 0.06),
        girth=float(np.clip(rng.normal(0.97 if female else 1.03, 0.11), 0.8, 1.35)),
        shoulders=rng.normal(0.93 if female else 1.03, 0.03),
        hips=rng.normal(1.06 if female else 0.96, 0.04),
        bust=rng.uniform(0.35, 1) if female else 0.0, legs=rng.normal(1.0, 0.025))
    tone = int(rng.choice(len(_SKINS), p=(.2, .22, .2, .14, .1, .06, .05, .03)))
    skin = np.array(_SKINS[tone]) / 255
    hair = np.array(_HAIRS[rng.choice(3 if tone > 5 else 10,
                                      p=None if tone > 5 else _HAIR_ODDS)]) / 255
    style = str(rng.choice(("long", "ponytail", "bob", "bun", "short", "cap"),
                           p=(.34, .24, .18, .1, .08, .06)) if female else
                rng.choice(("short", "tousled", "shaved", "cap", "bun"),
                           p=(.52, .2, .14, .12, .02)))
    top, bottom = _outfit(rng, female, wardrobe)
    bag = str(rng.choice(("none", "backpack", "shoulder", "handbag"),
                         p=wardrobe.bags[0 if female else 1]))
    shoes = _pick(rng, _DARK, _DARK, _PALE, _BRIGHT)
    return Identity(
        build, female, skin, hair, style, _pick(rng, _BRIGHT, _DARK, _PALE),
        beard=bool(not female and rng.random() < 0.22), glasses=bool(rng.random() < 0.2),
        top=top, bottom=bottom, shoes=shoes,
        sole=np.array((.9, .9, .88)) if rng.random() < 0.5 else shoes * 0.5,
        boots=bool(rng.random() < (.16 if female else .05)), bag=bag,
        bag_colour=_pick(rng, _DARK, _BRIGHT, _MUTED, _EARTH), bag_side=str(rng.choice(("r", "l"))),
        carton=_pick(rng, _EARTH, _EARTH, _BRIGHT), close=wardrobe.close)


def _outfit(rng, female, wardrobe):
    kind = str(rng.choice(("tshirt", "long", "jacket", "dress", "vest"),
                          p=wardrobe.tops if female else (.42, .26, .3, 0, .02)))
    base = _pick(rng, _BRIGHT, _BRIGHT, _PALE, _MUTED, _DARK)
    pattern = str(rng.choice(
        ("plain", "stripes", "bars", "checks", "two-tone", "print", "dots"),
        p=(.32, .13, .07, .12, .12, .16, .08) if kind != "jacket" else
        (.62, .05, 0, .1, .2, 0, .03)))
    other = _contrast(rng, base)
    detail = {"neck": str(rng.choice(("round", "v", "collar"))), "open": bool(rng.random() < .55),
              "motif": int(rng.integers(5)), "raglan": bool(rng.random() < .3),
              "split": rng.uniform(.1, .24), "hem": rng.uniform(-.13, -.02),
              "knit": rng.uniform(0, 6, 2)}
    third = _pick(rng, _PALE, _BRIGHT, _DARK) if kind == "jacket" else _contrast(rng, other)
    sleeve = {"tshirt": rng.uniform(.45, .75), "dress": rng.choice((.12, .5, 2.0), p=(.4, .4, .2)),
              "vest": .1}.get(kind, 2.0)
    top = Cloth(kind, pattern, np.array((base, other, third)), rng.uniform(.075, .13), sleeve,
                rng.uniform(1.1, 1.3) if kind == "jacket" else rng.uniform(1.0, 1.14), detail)
    if kind == "dress":
        return top, Cloth("dress", pattern, top.colours, top.period, rng.uniform(.75, 1.35),
                          rng.uniform(1.0, 1.3), detail)
    kind = str(rng.choice(("trousers", "shorts", "skirt"),
                          p=wardrobe.bottoms if female else (.74, .26, 0)))
    if kind == "skirt":
        if wardrobe.close:
            detail["hem"] = 0.0             # tucked in
        base = _pick(rng, _BRIGHT, _DARK, _PALE, _MUTED, _DENIM)
        pattern = str(rng.choice(("plain", "checks", "stripes", "dots"), p=(.64, .14, .12, .1)))
        long = rng.uniform(.55, .95) if rng.random() < .75 else rng.uniform(1.2, 1.6)
        return top, Cloth(kind, pattern, np.array((base, _contrast(rng, base), base * .7)),
                          rng.uniform(.08, .13), long, rng.uniform(.95, 1.35), detail)
    base = _pick(rng, _DENIM, _DARK, _DARK, _EARTH, _BRIGHT if kind == "shorts" else _DENIM,
                 _BRIGHT if rng.random() < .4 else _PALE)
    pattern = str(rng.choice(("plain", "side", "checks"), p=(.8, .15, .05)))
    loose = rng.uniform(1.02, 1.16) if female else rng.uniform(1.08, 1.3)
    return top, Cloth(kind, pattern, np.array((base, _contrast(rng, base), base * .7)), .1,
                      rng.uniform(.5, .85) if kind == "shorts" else rng.uniform(1.85, 1.97),
                      loose, detail)


# --- volumes -----------------------------------------------------------------------------------

_DOWN = np.diag((1.0, -1.0, 1.0))
IN_FRAME = 0.0  # instead of dv: painted in the frame of the zone (chest or pelvis) itself


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


def dress(who, skeleton, box=False):
    """The volumes of a posed person in world space, a list of `Part`; with a box in both hands
    if `box`."""
    s, g, f = who.build.stature / 1.70, who.build.girth, skeleton.frames
    top, bottom, n = who.top, who.bottom, skeleton.lengths
    parts = []

    def add(axes, origin, at, radii, length, zone, v0=0.0, dv=1.0, scale=(1, 1, 1), **more):
        """A part whose origin is `at` (metres) in the frame (axes, origin)."""
        r0, r1 = radii
        parts.append(Part(axes, origin + axes @ at, scale, r0, r1, length / scale[1],
                          (zone, v0, dv), **more))

    pelvis, root = f["pelvis"]
    chest, waist = f["chest"]
    head, skull = f["head"]
    thick = g * (top.loose if top.kind == "jacket" else 0.5 + 0.5 * top.loose)
    # Trunk: heights v are measured from the waist, upwards.
    up, rise = n["chest"], n["spine"]
    width = 0.145 * s * (0.4 + 0.6 * who.build.shoulders) * thick
    belly = (0.116 if who.female else 0.13) * s * (1.5 * thick - 0.5)
    hips = 0.156 * s * who.build.hips * (0.4 + 0.6 * g)
    add(chest, waist, (0, -0.02 * s, 0), (belly, width), up * 0.62, TORSO, -0.02 * s,
        scale=(1, 1, 0.71))
    add(chest, waist, (0, up * 0.80, -0.004), (0.1, 0.1), 0, TORSO, up * 0.80,
        scale=(1.66 * s * who.build.shoulders, 1.25 * s, 9.6 * width * 0.71))
    add(pelvis, root, (0, -0.035 * s, -0.008 * s), (hips, belly * 1.02), rise * 1.25, TORSO,
        -rise - 0.035 * s, scale=(1, 1, 0.72))
    for side, x in (("r", -1), ("l", 1)):
        if bottom.kind not in ("skirt", "dress"):
            add(pelvis, root, (x * 0.07 * s, -0.05 * s, -0.035 * s), (0.09 * s * g,) * 2, 0,
                TORSO, -rise - 0.05 * s)
        shoulder = skeleton.joints[body.R_SHOULDER if side == "r" else body.L_SHOULDER]
        neck = waist + chest @ (x * 0.03 * s, up + 0.058 * s, -0.012)
        axes, length = _between(neck, shoulder + chest @ (-x * 0.012, -0.012 * s, 0), chest[:, 2])
        add(axes, neck, (0, 0, 0), (0.042 * s, 0.056 * s * (0.5 + 0.5 * thick)), length, TORSO,
            0, IN_FRAME, scale=(1, 1, 1.15))
    if who.build.bust:
        r = 0.066 * s * (0.75 + 0.3 * who.build.bust)
        for x in (-1, 1):
            add(chest, waist, (x * 0.06 * s, up * 0.64, 0.052 * s * thick), (r, r), 0, TORSO,
                0, IN_FRAME, scale=(1.1, 1.15, 0.92))
    if top.kind != "dress" and (bottom.kind != "skirt" or top.kind == "jacket"):
        # The top hangs from the chest over the belt.
        high = waist + chest @ (0, up * 0.6, 0)
        axes, length = _between(high, root - pelvis[:, 1] * 0.06, chest[:, 2] + pelvis[:, 2])
        drop = up * 0.6 - top.detail["hem"] * s
        waisted = 0.5 * (belly + width) if who.female and top.kind != "jacket" else width
        add(axes, high, (0, 0, 0), (waisted * 1.01, max(hips * 1.06, width)), drop, TORSO,
            up * 0.6, -1, scale=(1, 1, 0.75), cut=(True, True))
    # Head, neck and hair.
    add(chest @ _DOWN, waist, (0, -up - 0.13 * s, 0.012), (0.05 * s, 0.058 * s * (.7 + .3 * g)),
        0.13 * s, SKIN)
    size = n["head"]
    add(head, skull, (0, 0.12 * size, -0.08 * size), (size, size), 0, HEAD, 0.12 * size,
        scale=(0.70, 0.92, 0.86))
    add(head, skull, (0, -0.48 * size, 0.22 * size), (size, size), 0, HEAD, -0.48 * size,
        scale=(0.50, 0.56, 0.56))
    add(head, skull, (0, -0.2 * size, 0.78 * size), (size, size), 0, HEAD, -0.2 * size,
        scale=(0.10, 0.17, 0.17))
    _hair(who, add, head, skull, size, chest, waist, up, s)
    # Limbs.
    arm = 0.043 * s * (0.35 + 0.65 * g) * (0.93 if who.female else 1.05)
    cover = {"jacket": 1.32, "long": 1.16, "tshirt": 1.0}.get(top.kind, 1.05) * top.loose ** 0.5
    sleeved = top.length > 1
    legs = (0.5 + 0.5 * g) * s
    for side in "rl":
        upper, shoulder = f[side + "_upper_arm"]
        fore, elbow = f[side + "_forearm"]
        wide = cover if sleeved else 1.0
        lu, lf = n["upper_arm"], n["forearm"]
        add(upper @ _DOWN, shoulder, (0, 0, 0), (arm * 1.1 * wide, arm * .95 * wide), lu,
            SLEEVE if sleeved else SKIN, up, -1)
        add(fore @ _DOWN, elbow, (0, 0, 0), (arm * .95 * wide, arm * (.66 if not sleeved else .86)
            * wide), lf * (0.97 if sleeved else 1), SLEEVE if sleeved else SKIN, up - lu, -1,
            cut=(False, sleeved))
        if not sleeved:
            add(upper @ _DOWN, shoulder, (0, -0.004, 0),
                (arm * 1.15 * top.loose, arm * (1.18 + .1 * top.length) * top.loose),
                lu * top.length, SLEEVE, up, -1, cut=(False, True))
        add(fore @ _DOWN, elbow, (0, lf + 0.055 * s, 0.008), (0.1 * s, 0.1 * s), 0, SKIN,
            scale=(0.28, 0.72, 0.40))
        thigh, hip = f[side + "_thigh"]
        shin, knee = f[side + "_shin"]
        foot, ankle = f[side + "_foot"]
        lt, ls = n["thigh"], n["shin"]
        trousers = bottom.kind == "trousers"
        loose = bottom.loose if trousers else 1.0
        zone = LEG if trousers else SKIN
        add(thigh @ _DOWN, hip, (0, 0, 0), (0.083 * legs * loose ** .5, 0.056 * legs * loose), lt,
            zone, 0, -1)
        add(shin @ _DOWN, knee, (0, 0, -0.008 * s),
            (0.056 * legs * loose, (0.036 + (0.016 if trousers else 0)) * legs * loose ** 1.5),
            ls * (bottom.length - 1 if trousers else 1), zone, -lt, -1, cut=(False, trousers))
        if not trousers:
            add(shin @ _DOWN, knee, (0, 0.28 * ls, -0.02 * s), (0.1 * legs, 0.1 * legs), 0, SKIN,
                scale=(0.50, 1.05, 0.50))
        else:
            add(shin @ _DOWN, knee, (0, 0, 0), (0.037 * s, 0.033 * s), ls, SKIN)
        if bottom.kind == "shorts":
            add(thigh @ _DOWN, hip, (0, 0.01, 0), (0.092 * legs, 0.082 * legs * bottom.loose ** .7),
                lt * bottom.length, LEG, 0, -1, cut=(False, True))
        if who.boots and not trousers:
            add(shin @ _DOWN, knee, (0, 0.45 * ls, -0.012 * s),
                (0.062 * legs * max(1, loose * .95), 0.048 * legs), ls * 0.55, SHOE, 1, 0)
        low = -n["ankle"] + 0.034 * s
        axes = np.stack([foot[:, 0], foot[:, 2], foot[:, 1]], 1)    # y to the toes, z up
        add(axes, ankle, (0, -0.035 * s, low), (0.041 * s, 0.037 * s), n["foot"] * 0.78, SHOE,
            0, 0, scale=(0.95, 1, 0.9))
        add(foot @ _DOWN, ankle, (0, 0, -0.01), (0.036 * s, 0.044 * s), 0.035 * s, SHOE, 1, 0)
    if bottom.kind in ("skirt", "dress"):
        _skirt(who, add, skeleton, s, hips, rise)
    _bags(who, add, skeleton, s, up, width)
    if box:
        _box(add, skeleton, s)
    return parts


def _hair(who, add, head, skull, size, chest, waist, up, s):
    style = who.hair_style
    if style == "shaved":
        return
    fringe = 0.42 * size
    nape = {"short": -.3, "tousled": -.4, "cap": -.1, "bob": -.75, "long": -.8}.get(style, -.5)
    low, side = nape * size, (0.05 if style in ("bob", "long") else -0.12) * size
    puff = {"tousled": 1.2, "short": 1.08, "shaved": 1.0}.get(style, 1.13)

    def shell(x, y, z):
        y = y + 0.14 * size
        return (y > low) & ((y > fringe - 2 * x * x / size) | (z < side + 0.35 * y))

    add(head, skull, (0, 0.14 * size, -0.13 * size), (size, size), 0, HAIR, 0.14 * size,
        scale=(0.70 * puff, 0.92 * puff, 0.86 * puff), keep=shell)
    if style == "cap":
        flat = np.stack([head[:, 0], head[:, 2], head[:, 1]], 1)
        add(flat, skull, (0, 0.55 * size, 0.40 * size), (size, size), 0.3 * size, HAIR, 1, 0,
            scale=(0.62, 0.62, 0.07))
    if style == "bun":
        add(head, skull, (0, 0.62 * size, -0.95 * size), (0.4 * size,) * 2, 0, HAIR)
    if style == "bob":
        add(head @ _DOWN, skull, (0, 0.1 * size, -0.25 * size), (0.8 * size, 0.86 * size),
            0.5 * size, HAIR, scale=(0.98, 1, 0.75), cut=(False, False),
            keep=lambda x, y, z: (z < 0.28 * size) & (y < 1.1 * size))
    if style in ("long", "ponytail"):
        tip = waist + chest @ (0, up * (0.62 if style == "long" else 0.8), -0.135 * s)
        root = skull + head @ (np.array((0, 0.1 if style == "long" else 0.35, -0.55)) * size)
        if style == "ponytail":
            root = root + head @ np.array((0, 0, -0.45 * size))
        axes, length = _between(root, tip, chest[:, 2])
        r = (0.74 * size, 0.66 * size) if style == "long" else (0.3 * size, 0.2 * size)
        add(axes, root, (0, 0, 0), r, length, HAIR,
            scale=(1.0, 1, 0.55) if style == "long" else (1, 1, 1))
    if style == "long":
        for x in (-1, 1):
            a = skull + head @ (np.array((x * 0.58, 0.2, 0.02)) * size)
            b = waist + chest @ (x * 0.085 * s, up * 0.86, 0.045 * s)
            axes, length = _between(a, b, chest[:, 2])
            add(axes, a, (0, 0, 0), (0.24 * size, 0.26 * size), length, HAIR)


def _skirt(who, add, skeleton, s, hips, rise):
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
    belt = -rise * (who.bottom.kind == "dress")     # a dress goes on with the pattern of its top
    paint = (SKIRT, belt, IN_FRAME)
    low = rise + 0.07 * s                   # the widest part of the hips
    add(axes, top, (0, 0.0, 0), (hips * 0.80, hips * 1.04), low, *paint, scale=(1, 1, 0.80),
        cut=(True, False))
    add(axes, top, (0, low, 0), (hips * 1.03, max(flare, hips * 0.9)), reach - low, *paint,
        scale=(1, 1, deep), cut=(False, True))
    for side, end in zip("rl", ends):
        hip = skeleton.frames[side + "_thigh"][1]
        cone, far = _between(hip, end, pelvis[:, 2])
        add(cone, hip, (0, 0, 0), (0.10 * s, flare * 0.55), far, *paint, cut=(False, True))
        if who.close and length > 1.1 * thigh_length:   # a bent knee lifts the cloth
            knee = skeleton.frames[side + "_shin"][1]
            for a, b, radii in ((hip, knee, (0.10 * s, 0.08 * s)),
                                (knee, end, (0.08 * s, flare * 0.5))):
                cone, far = _between(a, b, pelvis[:, 2])
                add(cone, a, (0, 0, 0), radii, far, *paint, cut=(False, b is end))


def _bags(who, add, skeleton, s, up, width):
    chest, waist = skeleton.frames["chest"]
    side, x = who.bag_side, -1 if who.bag_side == "r" else 1
    deep = width * 0.70
    if who.bag == "backpack":
        add(chest, waist, (0, 0.06 * s, -deep - 0.075 * s), (0.15 * s, 0.13 * s), up * 0.62, BAG,
            scale=(0.95, 1, 0.62))
        add(chest, waist, (0, 0.06 * s, -deep - 0.165 * s), (0.09 * s, 0.09 * s), 0, BAG, 1, 0,
            scale=(1.1, 0.8, 0.4))
    if who.bag == "shoulder":
        pelvis, root = skeleton.frames["pelvis"]
        flat = np.stack([pelvis[:, 2], pelvis[:, 1], pelvis[:, 0]], 1)
        add(flat, root, (0, -0.06 * s, x * 0.225 * s), (1, 1), 0, BAG,
            scale=(0.15 * s, 0.105 * s, 0.05 * s), box=True)
        add(flat, root, (0, -0.02 * s, x * 0.225 * s), (0.155 * s,) * 2, 0, BAG, 1, 0,
            scale=(1, 0.48, 0.38))
    if who.bag == "handbag":
        fore, elbow = skeleton.frames[side + "_forearm"]
        grip = elbow - fore[:, 1] * (skeleton.lengths["forearm"] + 0.09 * s)
        front = np.array((fore[0, 2], 0, fore[2, 2]))
        axes, _ = _between(grip, grip - (0, 1, 0), front / np.sqrt(front @ front))
        flat = np.stack([axes[:, 2], axes[:, 1], axes[:, 0]], 1)
        add(flat, grip, (0, 0.2 * s, 0), (1, 1), 0, BAG, scale=(0.14 * s, 0.1 * s, 0.05 * s),
            box=True)
        for z in (-0.05, 0.05):
            a = grip + flat @ (0.0, -0.02, 0)
            b = grip + flat @ (z * s * 1.5, 0.1 * s, 0)
            strap, length = _between(a, b, axes[:, 2] + 0.1)
            add(strap, a, (0, 0, 0), (0.012 * s,) * 2, length, BAG, 1, 0)


def _box(add, skeleton, s):
    chest, _ = skeleton.frames["chest"]
    hands = [elbow - fore[:, 1] * (skeleton.lengths["forearm"] + 0.05 * s) for fore, elbow in (
        skeleton.frames["r_forearm"], skeleton.frames["l_forearm"])]
    axes, _ = _between(np.zeros(3), np.array((0, 1.0, 0)), chest[:, 2])
    add(axes, (hands[0] + hands[1]) / 2 + 0.02 * chest[:, 2], (0, 0.06 * s, 0), (1, 1), 0, BOX,
        scale=(0.17 * s, 0.10 * s, 0.13 * s), box=True)


# --- paint -------------------------------------------------------------------------------------

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
    painters = {SKIN: _skin, HEAD: _head, HAIR: _hair_paint, TORSO: _torso, SLEEVE: _sleeve,
                LEG: _leg, SKIRT: _skirt_paint, SHOE: _shoe, BAG: _bag, BOX: _carton}
    for zone, painter in painters.items():
        at = np.flatnonzero(zones == zone)
        if len(at):
            x, y, z = hits.point[at].T.copy()
            if zone in frames:
                axes, origin = (v.astype(np.float32) for v in frames[zone])
                own = np.flatnonzero(rises[at] == np.float32(IN_FRAME))
                x[own], y[own], z[own] = axes.T @ (hits.place[:, at[own]] - origin[:, None])
            out[at] = painter(who, x, y, z, bases[at], rises[at])
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


def _hair_paint(who, x, y, z, v0, dv):
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


def _skirt_paint(who, x, y, z, v0, dv):
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
