"""Identities: a person's looks and clothes."""
from dataclasses import dataclass, field

import numpy as np

from . import body

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
    """A person's properties in every view; colours are RGB in 0..1."""
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
    close: bool = False         # see Wardrobe


@dataclass(frozen=True)
class Wardrobe:
    """Probabilities at a place: of women; of a woman's tops (tshirt, long, jacket, dress, vest) and
    bottoms (trousers, shorts, skirt); of women's and men's bags (none, backpack, shoulder,
    handbag).  `close`: close-ups, with fine hair, lips, thin frames, waistbands, and no knee that
    pierces a skirt."""
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


def _choice(rng, words, odds=None):
    return str(rng.choice(words.split(), p=odds))


def _pick(rng, *palettes):
    """A colour of one of the palettes, slightly varied."""
    palette = palettes[rng.integers(len(palettes))]
    colour = np.array(palette[rng.integers(len(palette))], float)
    return np.clip(colour + rng.normal(0, 7, 3), 8, 248) / 255


def _contrast(rng, colour):
    """A colour in contrast to `colour`."""
    others = [_pick(rng, _BRIGHT, _PALE, _DARK) for _ in range(8)]
    return max(others, key=lambda c: np.abs(c - colour).sum())


def identity(seed, number, wardrobe=STREET):
    """The Identity of a number, a pure function."""
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
    styles = (("long ponytail bob bun short cap", (.34, .24, .18, .1, .08, .06)) if female else
              ("short tousled shaved cap bun", (.52, .2, .14, .12, .02)))
    style = _choice(rng, *styles)
    top, bottom = _outfit(rng, female, wardrobe)
    bag = _choice(rng, "none backpack shoulder handbag", wardrobe.bags[0 if female else 1])
    shoes = _pick(rng, _DARK, _DARK, _PALE, _BRIGHT)
    return Identity(
        build, female, skin, hair, style, _pick(rng, _BRIGHT, _DARK, _PALE),
        beard=bool(not female and rng.random() < 0.22), glasses=bool(rng.random() < 0.2),
        top=top, bottom=bottom, shoes=shoes,
        sole=np.array((.9, .9, .88)) if rng.random() < 0.5 else shoes * 0.5,
        boots=bool(rng.random() < (.16 if female else .05)), bag=bag,
        bag_colour=_pick(rng, _DARK, _BRIGHT, _MUTED, _EARTH), bag_side=_choice(rng, "r l"),
        carton=_pick(rng, _EARTH, _EARTH, _BRIGHT), close=wardrobe.close)


def _outfit(rng, female, wardrobe):
    kind = _choice(rng, "tshirt long jacket dress vest",
                   wardrobe.tops if female else (.42, .26, .3, 0, .02))
    base = _pick(rng, _BRIGHT, _BRIGHT, _PALE, _MUTED, _DARK)
    pattern = _choice(rng, "plain stripes bars checks two-tone print dots",
                      (.32, .13, .07, .12, .12, .16, .08) if kind != "jacket" else
                      (.62, .05, 0, .1, .2, 0, .03))
    other = _contrast(rng, base)
    detail = {"neck": _choice(rng, "round v collar"), "open": bool(rng.random() < .55),
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
    kind = _choice(rng, "trousers shorts skirt", wardrobe.bottoms if female else (.74, .26, 0))
    if kind == "skirt":
        if wardrobe.close:
            detail["hem"] = 0.0             # tucked in
        base = _pick(rng, _BRIGHT, _DARK, _PALE, _MUTED, _DENIM)
        pattern = _choice(rng, "plain checks stripes dots", (.64, .14, .12, .1))
        long = rng.uniform(.55, .95) if rng.random() < .75 else rng.uniform(1.2, 1.6)
        return top, Cloth(kind, pattern, np.array((base, _contrast(rng, base), base * .7)),
                          rng.uniform(.08, .13), long, rng.uniform(.95, 1.35), detail)
    base = _pick(rng, _DENIM, _DARK, _DARK, _EARTH, _BRIGHT if kind == "shorts" else _DENIM,
                 _BRIGHT if rng.random() < .4 else _PALE)
    pattern = _choice(rng, "plain side checks", (.8, .15, .05))
    loose = rng.uniform(1.02, 1.16) if female else rng.uniform(1.08, 1.3)
    return top, Cloth(kind, pattern, np.array((base, _contrast(rng, base), base * .7)), .1,
                      rng.uniform(.5, .85) if kind == "shorts" else rng.uniform(1.85, 1.97),
                      loose, detail)
