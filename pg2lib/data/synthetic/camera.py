"""Six street cameras and a studio camera: position, framing and picture."""
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Look:
    """A camera's position and picture; pairs are ranges, pixels are at 128 rows."""
    height: tuple       # metres
    distance: tuple     # metres
    light: tuple        # towards the light in camera axes (x right, y up, z away)
    direct: float
    ambient: float
    gain: tuple         # per RGB channel
    contrast: float
    saturation: float
    blur: tuple         # pixels
    noise: float        # grey levels
    exposure: tuple = (.86, 1.14)
    aside: float = 1.0  # metres to either side
    soft: tuple = (.55, 2.0)    # share and blur (pixels) of light evened out over the body
    shadow: float = 1.0         # below a person, relative to the street


LOOKS = (
    Look((2.4, 3.0), (6.0, 9.0), (-.5, .8, -.45), .55, .52, (1.02, 1.00, .97), 1.0, 1.0,
         (.3, .6), 3.0),
    Look((2.6, 3.4), (7.0, 10.), (.6, .7, -.3), .75, .45, (1.05, 1.02, .92), 1.08, 1.08,
         (.3, .6), 2.5),
    Look((2.0, 2.6), (5.0, 8.0), (-.2, .95, -.3), .50, .60, (.96, 1.00, 1.07), 1.0, 1.0,
         (.4, .8), 4.0),
    Look((2.3, 2.8), (4.5, 6.5), (.3, .9, -.6), .50, .55, (1.06, 1.00, .88), 1.0, 1.05,
         (.4, .8), 4.5),
    Look((1.6, 2.2), (6.0, 9.0), (-.8, .5, -.3), .80, .36, (1.03, .98, .95), 1.12, .95,
         (.3, .7), 3.0),
    Look((3.0, 3.8), (8.0, 12.), (.2, .9, -.1), .52, .58, (.96, 1.01, 1.03), .94, .90,
         (.5, .95), 3.5),
)
STUDIO = Look((1.2, 1.5), (4.2, 5.2), (-.35, .7, -.75), .34, .62, (1.01, 1.00, .99), 1.0, 1.0,
              (.25, .4), .7, (.97, 1.03), .25, (.72, 3.0), .55)
# Share of a person's height that a studio picture shows, from the head down: to the hips or
# thighs, to the shins, and with room below the feet.
CROPS = {"upper": (.56, .72), "long": (.76, .86), "full": (1.06, 1.16)}


@dataclass(frozen=True)
class View:
    """A perspective camera, from world axes by `rotation` and `eye`, and a crop of its picture: the
    ray of pixel (column, row) is ((column + .5 - cx) / fx, (cy - row - .5) / fy, 1)."""
    rotation: np.ndarray
    eye: np.ndarray
    fx: float
    fy: float
    cx: float
    cy: float

    def to_camera(self, points):
        """World points (..., 3) in camera axes."""
        return (points - self.eye) @ self.rotation.T

    def project(self, points):
        """Camera points (..., 3) to pixels (..., 2): x right, y down."""
        z = points[..., 2]
        return np.stack([self.cx + self.fx * points[..., 0] / z - .5,
                         self.cy - self.fy * points[..., 1] / z - .5], -1)

    def rays(self, height, width, fine=1):
        """Ray coordinates xs (width * fine,), ys (height * fine,) of sub-pixel centres."""
        x = (np.arange(width * fine) + .5) / fine
        y = (np.arange(height * fine) + .5) / fine
        return (x - self.cx) / self.fx, (self.cy - y) / self.fy


def place(rng, look, target):
    """Rotation (3, 3) to camera axes and eye (3,) of a camera on the +z side facing `target`."""
    eye = np.array([rng.uniform(-look.aside, look.aside), rng.uniform(*look.height),
                    rng.uniform(*look.distance)])
    ahead = np.asarray(target, float) - eye
    ahead /= np.sqrt(ahead @ ahead)
    right = np.cross(ahead, (0, 1, 0))
    right /= np.sqrt(right @ right)
    return np.stack([right, np.cross(right, ahead), ahead]), eye


def frame(rng, rotation, eye, low, high, height, width):
    """The `View` of a pedestrian detector's crop: the box (low, high) of the person in the image
    plane (X/Z, Y/Z) fills most of the height; in 15 % of the crops feet or head are cut."""
    fill = rng.uniform(.84, .97) if rng.random() < .85 else rng.uniform(1.0, 1.12)
    fy = fill * height / (high[1] - low[1])
    stretch = rng.uniform(1.08, 1.32)        # boxes of another shape are squeezed to 1:2
    fx = min(fy * stretch, max(fy * .78, .98 * width / (high[0] - low[0])))
    centre = (low + high) / 2
    slack = abs(1 - fill) * height / 2
    cx = width * (.5 + rng.normal(0, .035)) - fx * centre[0]
    cy = height * .5 + rng.uniform(-1, 1) * slack + fy * centre[1]
    return View(rotation, eye, fx, fy, cx, cy)


def frame_model(crop, rng, rotation, eye, low, high, height, width):
    """The `View` of a fashion picture: `crop` of CROPS, with nothing of the person outside the
    middle 11/16 of a square picture (DeepFashion: 176 of 256 columns).

    The height alone decides the scale; a narrower picture is the middle of the square one."""
    top, share, aside = rng.uniform(.02, .06), rng.uniform(*CROPS[crop]), rng.uniform(-.5, .5)
    span, room = high - low, .67 * height               # 11/16 less the softened edges
    scale = min((1 - top) * height / (share * span[1]), room / span[0])
    cx = width / 2 + aside * min(room - scale * span[0], .1 * height)
    return View(rotation, eye, scale, scale, cx - scale * (low[0] + high[0]) / 2,
                top * height + scale * high[1])


def grade(look, rng, image, height):
    """The camera's picture of a clean image (H, W, 3) float32 in 0..1: cast, contrast, blur,
    noise; uint8."""
    grey = image @ np.float32((.299, .587, .114))
    image = grey[..., None] + np.float32(look.saturation) * (image - grey[..., None])
    gain = np.float32(look.gain) * np.float32(rng.uniform(*look.exposure))
    image = (image * gain - .5) * np.float32(look.contrast) + np.float32(.5)
    image = blur(image, rng.uniform(*look.blur) * height / 128)
    noise = rng.standard_normal(image.shape, dtype=np.float32) * np.float32(look.noise)
    return np.clip(image * 255 + noise, 0, 255).astype(np.uint8)


def blur(image, sigma):
    """Separable Gaussian blur of (H, W, C), edges repeated."""
    reach = max(1, int(2.5 * sigma + .5))
    taps = np.exp(-.5 * (np.arange(-reach, reach + 1) / max(sigma, 1e-3)) ** 2)
    taps = (taps / taps.sum()).astype(np.float32)
    for axis in (0, 1):
        pad = [(0, 0)] * image.ndim
        pad[axis] = (reach, reach)
        wide = np.pad(image, pad, "edge")
        n = image.shape[axis]
        image = sum(w * (wide[k:k + n] if axis == 0 else wide[:, k:k + n])
                    for k, w in enumerate(taps))
    return image
