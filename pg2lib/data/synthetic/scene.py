"""Backgrounds: six cluttered places, drawn once per camera and seed, then cropped with jitter;
and the plain one of a studio."""
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIZE = W, H = (840, 420)    # of a canvas, in pixels


def _tint(rng, colour, spread=12):
    return tuple(int(v) for v in np.clip(np.array(colour) + rng.normal(0, spread)
                                         + rng.normal(0, spread / 3, 3), 0, 255))


def _ground(rng, colour):
    """An image of one colour, and its ImageDraw."""
    image = Image.new("RGB", SIZE, _tint(rng, colour))
    return image, ImageDraw.Draw(image)


def _texture(rng, image, fine=9, coarse=14):
    """Speckle and slow patches of light."""
    out = np.asarray(image, np.float32)
    for step, amount in ((2, fine), (12, .7 * fine), (90, coarse)):
        grain = rng.normal(0, amount, (H // step + 2, W // step + 2)).astype(np.float32)
        out = out + np.asarray(Image.fromarray(grain).resize(SIZE, Image.BICUBIC))[..., None]
    return Image.fromarray(np.clip(out, 0, 255).astype(np.uint8))


def _rows(first, step, grow=1.22):
    """Rows of growing distance, as on receding ground."""
    y = first
    while y < H:
        yield int(y)
        y, step = y + step, step * grow


def _grid(draw, rng, colour, top, width, spread=2.6):
    """Receding tiles."""
    for y in _rows(top, 7):
        draw.line((0, y, W, y), fill=colour, width=width)
    for x in range(-1400, W + 1400, 44):
        draw.line((W / 2 + (x - W / 2) / spread, top, x, H), fill=colour, width=width)


def _bike(draw, rng, x, y, r):
    """A bicycle with its wheels on row y."""
    frame = _tint(rng, [(150, 40, 40), (40, 60, 130), (50, 50, 55), (170, 170, 175),
                        (50, 110, 80)][rng.integers(5)])
    dark, w = (34, 34, 36), max(2, r // 9)
    gap = int(r * rng.uniform(1.5, 2.3))
    a, b = (x, y - r), (x + gap, y - r)
    for cx, cy in (a, b):
        half = int(r * .9 * gap / (2.3 * r)) + 2
        draw.ellipse((cx - half, cy - r, cx + half, cy + r), outline=dark, width=w)
        for k in range(4):
            dx, dy = half * np.cos(k * .8), r * np.sin(k * .8)
            draw.line((cx - dx, cy - dy, cx + dx, cy + dy), fill=(110, 110, 112))
    seat, bar = (x + gap * .3, y - r * 2.1), (x + gap * .85, y - r * 2.25)
    crank = (x + gap * .45, y - r * .8)
    for p, q in ((a, seat), (seat, crank), (crank, bar), (a, crank), (bar, b), (seat, bar)):
        draw.line((*p, *q), fill=frame, width=w)
    draw.line((seat[0] - r * .3, seat[1], seat[0] + r * .3, seat[1]), fill=dark, width=w + 2)
    draw.line((bar[0] - r * .1, bar[1] - r * .3, bar[0] + r * .35, bar[1] - r * .2), fill=dark,
              width=w)
    if rng.random() < .6:       # a basket
        draw.rectangle((b[0] - r * .3, b[1] - r * 1.5, b[0] + r * .5, b[1] - r * .9),
                       outline=(90, 90, 92), fill=_tint(rng, (120, 116, 110)))


def _tree(draw, rng, x, base, width, top):
    bark = _tint(rng, (92, 74, 58), 8)
    draw.polygon([(x - width, base), (x + width, base), (x + width * .6, top),
                  (x - width * .6, top)], fill=bark)
    draw.line((x + width * .3, base, x + width * .3, top), fill=tuple(v - 22 for v in bark),
              width=max(2, width // 3))


def _leaves(draw, rng, box, colour, n, size):
    for _ in range(n):
        x, y = rng.uniform(box[0], box[2]), rng.uniform(box[1], box[3])
        r = rng.uniform(.4, 1) * size
        draw.ellipse((x - r, y - r * .7, x + r, y + r * .7), fill=_tint(rng, colour, 16))


def _car(draw, rng, x, y, length):
    """A parked car from the side, wheels on row y."""
    body = _tint(rng, [(190, 192, 196), (38, 40, 46), (150, 32, 34), (44, 70, 126),
                       (222, 222, 220), (96, 100, 104)][rng.integers(6)], 6)
    h = length * .30
    draw.ellipse((x - 4, y - h * .22, x + length + 4, y + h * .18), fill=(52, 52, 54))
    draw.rounded_rectangle((x, y - h * .68, x + length, y - h * .12), radius=int(h * .2), fill=body)
    roof = [(x + length * .16, y - h * .62), (x + length * .30, y - h * 1.15),
            (x + length * .70, y - h * 1.15), (x + length * .86, y - h * .62)]
    draw.polygon(roof, fill=body)
    glass = _tint(rng, (62, 74, 84), 8)
    draw.polygon([(x + length * .21, y - h * .66), (x + length * .32, y - h * 1.07),
                  (x + length * .48, y - h * 1.07), (x + length * .48, y - h * .66)], fill=glass)
    draw.polygon([(x + length * .51, y - h * .66), (x + length * .51, y - h * 1.07),
                  (x + length * .68, y - h * 1.07), (x + length * .80, y - h * .66)], fill=glass)
    draw.line((x, y - h * .42, x + length, y - h * .42), fill=tuple(max(0, v - 26) for v in body),
              width=2)
    for wheel in (.2, .8):
        c = x + length * wheel
        draw.ellipse((c - h * .28, y - h * .5, c + h * .28, y + h * .06), fill=(24, 24, 26))
        draw.ellipse((c - h * .14, y - h * .36, c + h * .14, y - h * .08), fill=(150, 150, 152))
    lamp = (214, 60, 50) if rng.random() < .5 else (236, 226, 190)
    draw.rectangle((x + 2, y - h * .58, x + length * .05, y - h * .44), fill=lamp)


def _plaza(rng):
    image, draw = _ground(rng, (148, 146, 140))
    draw.rectangle((0, 0, W, 60), fill=_tint(rng, (112, 122, 96)))
    _leaves(draw, rng, (0, 0, W, 74), (78, 98, 62), 400, 15)
    draw.rectangle((0, 74, W, 104), fill=_tint(rng, (120, 118, 114)))
    _grid(draw, rng, _tint(rng, (118, 116, 112), 3), 104, 2)
    for y, r, n in ((118, 21, 16), (150, 27, 13)):
        for x in np.linspace(-30, W, n) + rng.uniform(-16, 16, n):
            if rng.random() < .85:
                _bike(draw, rng, int(x), y + int(rng.integers(-5, 6)), r)
    for x in rng.uniform(0, W, 5):
        draw.ellipse((x, 300, x + 44, 316), fill=_tint(rng, (112, 110, 108)))
    return image, .5


def _lawn(rng):
    image, draw = _ground(rng, (96, 140, 62))
    draw.rectangle((0, 0, W, 52), fill=_tint(rng, (176, 190, 196)))
    _leaves(draw, rng, (0, 12, W, 74), (58, 92, 44), 320, 22)
    for _ in range(2600):       # grass
        x, y = rng.uniform(0, W), rng.uniform(80, 260)
        draw.line((x, y, x + rng.uniform(-2, 2), y - rng.uniform(3, 9)),
                  fill=_tint(rng, (92, 142, 56), 20))
    for x in rng.uniform(0, W, 9):
        base = int(rng.uniform(110, 190))
        _tree(draw, rng, x, base, int(base / 14), 0)
        draw.ellipse((x - 60, base - 6, x + 50, base + 10), fill=_tint(rng, (66, 100, 44), 6))
    for x in rng.uniform(0, W, 8):
        _leaves(draw, rng, (x - 40, 120, x + 40, 150), (52, 88, 46), 40, 13)
    draw.polygon([(0, 250), (W, 214), SIZE, (0, H)], fill=_tint(rng, (192, 178, 150)))
    for dy in (0, 9):
        draw.line((0, 250 + dy, W, 214 + dy), fill=_tint(rng, (210, 204, 190), 4), width=5)
    for _ in range(90):
        x, y = rng.uniform(0, W), rng.uniform(250, H)
        draw.ellipse((x, y, x + 7, y + 3), fill=_tint(rng, (150, 120, 74), 22))
    for x in rng.uniform(0, W, 3):
        draw.rectangle((x, 172, x + 100, 180), fill=(122, 84, 52))      # benches
        draw.rectangle((x, 152, x + 100, 160), fill=(132, 92, 58))
        for leg in (8, 88):
            draw.line((x + leg, 152, x + leg, 206), fill=(52, 52, 54), width=5)
    return image, .6


def _road(rng):
    image, draw = _ground(rng, (104, 106, 110))
    for x in range(0, W, 120):            # houses
        draw.rectangle((x, 0, x + 120, 100), fill=_tint(rng, (140, 134, 128), 24))
        for wx in range(x + 14, x + 110, 36):
            draw.rectangle((wx, 8, wx + 20, 54), fill=_tint(rng, (70, 84, 98), 16))
    draw.rectangle((0, 86, W, 122), fill=_tint(rng, (164, 160, 154), 6))
    draw.line((0, 122, W, 122), fill=(206, 204, 196), width=5)
    x = -60
    while x < W:
        length = rng.uniform(190, 240)
        _car(draw, rng, x, 168 + rng.uniform(-4, 6), length)
        x += length + rng.uniform(8, 50)
    for x in range(-40, W, 150):
        draw.polygon([(x, 232), (x + 84, 232), (x + 80, 244), (x - 6, 244)], fill=(214, 212, 204))
    for x in range(-20, W, 92):           # zebra crossing, close by
        draw.polygon([(x, 330), (x + 46, 330), (x + 36, H), (x - 22, H)],
                     fill=_tint(rng, (190, 190, 184), 6))
    for x in rng.uniform(0, W, 5):
        draw.rectangle((x, 60, x + 9, 200), fill=(84, 88, 92))
        draw.rectangle((x - 16, 40, x + 25, 76), fill=_tint(rng, (60, 110, 180), 40))
    return image, .45


def _shop(rng):
    image, draw = _ground(rng, (206, 190, 164))
    draw.rectangle((0, 0, W, 190), fill=_tint(rng, (84, 70, 58)))
    for x in range(0, W, 168):
        draw.rectangle((x + 8, 26, x + 160, 182), fill=_tint(rng, (236, 220, 184), 8))
        for y in range(46, 180, 34):
            gx = x + 12
            while gx < x + 150:
                w, h = rng.uniform(7, 17), rng.uniform(12, 27)
                draw.rectangle((gx, y + 26 - h, gx + w, y + 26),
                               fill=tuple(int(v) for v in rng.integers(20, 240, 3)))
                gx += w + rng.uniform(1, 5)
            draw.rectangle((x + 8, y + 26, x + 160, y + 31), fill=(112, 84, 60))
    for x in range(0, W, 336):
        draw.rectangle((x, 0, x + 336, 26), fill=_tint(rng, (176, 50, 44), 50))
        for k in range(9):
            draw.rectangle((x + 40 + k * 26, 7, x + 54 + k * 26, 20), fill=(244, 238, 220))
    _grid(draw, rng, _tint(rng, (170, 152, 126), 4), 190, 3)
    for x in rng.uniform(0, W, 7):        # crates of fruit
        draw.rectangle((x, 170, x + 74, 214), fill=_tint(rng, (150, 108, 66), 14))
        _leaves(draw, rng, (x + 4, 160, x + 70, 172),
                [(220, 120, 40), (190, 40, 40), (120, 160, 50)][rng.integers(3)], 34, 8)
    return image, .55


def _brick(rng):
    image, draw = _ground(rng, (150, 142, 132))
    draw.rectangle((0, 0, W, 224), fill=(168, 150, 136))
    for row, y in enumerate(range(0, 220, 14)):
        for x in range(-18 * (row % 2), W, 36):
            draw.rectangle((x, y, x + 33, y + 11), fill=_tint(rng, (146, 78, 60), 13))
    x = rng.uniform(0, 40)
    while x < W:
        w, h, y = rng.uniform(52, 90), rng.uniform(74, 112), rng.uniform(8, 80)
        paper = tuple(int(v) for v in rng.integers(90, 250, 3))
        draw.rectangle((x, y, x + w, y + h), fill=paper)
        ink = tuple(int(v) for v in rng.integers(0, 200, 3))
        draw.ellipse((x + w * .2, y + h * .15, x + w * .8, y + h * .55), fill=ink)
        for k in range(4):
            draw.line((x + w * .12, y + h * (.65 + .08 * k), x + w * rng.uniform(.5, .9),
                       y + h * (.65 + .08 * k)), fill=ink, width=4)
        x += w + rng.uniform(10, 120)
    draw.rectangle((0, 216, W, 232), fill=_tint(rng, (96, 88, 82), 5))
    _grid(draw, rng, _tint(rng, (128, 120, 112), 4), 232, 3, 1.8)
    for x in rng.uniform(0, W, 4):        # bins
        colour = _tint(rng, [(40, 90, 60), (50, 60, 90), (90, 90, 92)][rng.integers(3)])
        draw.polygon([(x, 150), (x + 64, 150), (x + 56, 252), (x + 8, 252)], fill=colour)
        draw.rectangle((x - 4, 140, x + 68, 154), fill=tuple(max(0, v - 24) for v in colour))
    return image, .4


def _steps(rng):
    image, draw = _ground(rng, (172, 174, 178))
    draw.rectangle((0, 0, W, 44), fill=_tint(rng, (88, 104, 116)))
    for x in range(0, W, 70):
        draw.rectangle((x, 0, x + 8, 44), fill=(180, 184, 188))
    step = 10
    for i, y in enumerate(_rows(44, 11, 1.17)):
        if y > 250:
            break
        step = 11 * 1.17 ** i
        draw.rectangle((0, y, W, y + step * .45), fill=_tint(rng, (196, 198, 200), 4))
        draw.rectangle((0, y + step * .45, W, y + step), fill=_tint(rng, (132, 135, 140), 4))
    _grid(draw, rng, _tint(rng, (148, 150, 154), 4), 262, 3, 1.6)
    for x in (110, 390, 660):                   # railings down the stairs
        x = x + int(rng.integers(-40, 40))
        for k in range(9):
            px, py = x + k * 13, 50 + k * 24
            draw.line((px, py, px, py + 52 + 3 * k), fill=(70, 74, 80), width=5)
        for dy in (0, 20):
            draw.line((x, 50 + dy, x + 104, 242 + dy), fill=(64, 68, 74), width=7)
    for x in rng.uniform(0, W, 6):        # flower pots
        y = rng.uniform(150, 270)
        draw.polygon([(x, y), (x + 46, y), (x + 38, y + 42), (x + 8, y + 42)],
                     fill=_tint(rng, (150, 92, 66), 14))
        _leaves(draw, rng, (x - 6, y - 34, x + 52, y), (74, 112, 66), 46, 11)
    return image, .45


_PLACES = (_plaza, _lawn, _road, _shop, _brick, _steps)


@lru_cache(maxsize=24)
def canvas(seed, camera):
    """The wide background of a camera, a PIL image of `SIZE`."""
    rng = np.random.default_rng((seed, camera, 0xBAC6))
    image, soft = _PLACES[camera](rng)
    return _texture(rng, image).filter(ImageFilter.GaussianBlur(1 + soft))


def backdrop(seed, camera, rng, height, width):
    """A jittered crop (H, W, 3) float32 in 0..1 of the camera's background."""
    h = rng.uniform(250, 360)
    w = h * width / height
    x, y = rng.uniform(0, W - w), (H - h) * rng.uniform(.1, 1)
    crop = canvas(seed, camera).resize((width, height), Image.BILINEAR, (x, y, x + w, y + h))
    return np.asarray(crop, np.float32) * np.float32(1 / 255)


_PAPERS = ((252, 252, 252), (252, 252, 252), (240, 240, 241), (229, 229, 231), (236, 232, 226),
           (212, 212, 214))


def paper(rng, height, width):
    """A studio's paper backdrop (H, W, 3) float32 in 0..1, with a soft fall-off of the light."""
    colour = np.float32(_PAPERS[rng.integers(len(_PAPERS))]) / np.float32(255)
    x = (np.arange(width, dtype=np.float32) + np.float32(.5) - width / 2) / height
    y = (np.arange(height, dtype=np.float32)[:, None] + np.float32(.5)) / height
    fall, slope, lit = rng.uniform(.02, .10), rng.uniform(-.05, .03), rng.uniform(-.2, .2)
    light = 1 - np.float32(fall) * ((x - lit) ** 2 + (y - .4) ** 2) + np.float32(slope) * (y - .5)
    return light[..., None] * colour


def add_passer(back, passer, rng):
    """The background with a passer-by (rows, cols, 4: premultiplied colour, coverage) at a side."""
    height, width = back.shape[:2]
    h = int(height * rng.uniform(.45, .75))
    w = int(h * .55)
    small = np.stack([np.asarray(Image.fromarray(np.ascontiguousarray(passer[..., k])).resize(
        (w, h), Image.BILINEAR)) for k in range(4)], -1)
    top = int(height * rng.uniform(.0, .22))
    left = int(rng.uniform(-.5, .05) * w) if rng.random() < .5 else int(
        width - rng.uniform(.4, .95) * w)
    a, b = max(0, left), min(width, left + w)
    small, back = small[:height - top, a - left:b - left], back.copy()
    window = back[top:top + h, a:b]
    window *= 1 - small[..., 3:]
    window += small[..., :3]
    return back


def shadow(shot, feet, light, direct, height, width, depth=1.0):
    """The share (H, W) float32 of light on the ground around a person's `feet` (2, 3); `depth`
    scales the shadow."""
    out = np.ones((height, width), np.float32)
    x, y = (v.astype(np.float32) for v in shot.rays(height, width))
    r, eye = shot.rotation.astype(np.float32), shot.eye.astype(np.float32)
    dy = r[1, 1] * y + r[2, 1]              # world height gained along the ray of each row
    first = int(np.searchsorted(-dy, .05))  # rows that look at the ground
    if first >= height:
        return out
    t = -eye[1] / dy[first:, None]
    gx = eye[0] + t * (r[0, 0] * x + (r[1, 0] * y[first:, None] + r[2, 0]))
    gz = eye[2] + t * (r[0, 2] * x + (r[1, 2] * y[first:, None] + r[2, 2]))
    dark = np.zeros_like(gx)
    for foot in feet:
        dark += np.float32(.5) * np.exp(-((gx - foot[0]) ** 2 + (gz - foot[2]) ** 2) / .025)
    # The body's own shadow falls away from the light; the camera looks along -z.
    away = np.array((-light[0], light[2] * .6)) / light[1]
    length = float(np.sqrt(away @ away)) + 1e-6
    away = away / length
    dx, dz = gx - feet[:, 0].mean(), gz - feet[:, 2].mean()
    along, across = dx * away[0] + dz * away[1], dx * away[1] - dz * away[0]
    along = along - np.clip(along, 0, .9 * length + .15)
    dark += np.float32(.55 * direct) * np.exp(-(along ** 2 + across ** 2) / .07)
    out[first:] = np.maximum(1 - np.float32(depth) * dark, .25)
    return out
