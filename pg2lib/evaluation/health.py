"""Signs that an adversarial training went wrong, which no likeness score shows.

Pure functions of images. Our own measures; the paper judges by eye.
"""

import numpy as np
from skimage.color import rgb2gray


def stripes(images):
    """The share of each image's variance that has a period of two pixels.

    From the Fourier transform of the luma without its mean: the energy at the highest frequency
    along x (at any frequency along y), or along y, whichever is larger, over the whole energy.
    Upsampling and strides that do not divide their kernel leave such stripes.

    Args:
        images: uint8 (n, H, W, 3), H and W even.

    Returns:
        float64 (n,) in [0, 1]; 0 where an image is of one colour.
    """
    luma = rgb2gray(images)  # (n, H, W)
    energy = np.abs(np.fft.fft2(luma - luma.mean((1, 2), keepdims=True))) ** 2
    whole = energy.sum((1, 2))
    height, width = luma.shape[1:]
    across = np.maximum(energy[:, :, width // 2].sum(1), energy[:, height // 2].sum(1))
    return across / np.where(whole > 1e-9, whole, np.inf)


def fixed_share(differences):
    """The share of the difference maps' energy that is one picture, the same for all pairs.

    A stage II that ignores its inputs has 1, one whose maps have nothing in common about 1 / n.

    Args:
        differences: float (n, H, W, 3), I_B2 - I_B1.

    Returns:
        float; NaN where all maps are zero.
    """
    maps = np.asarray(differences)
    energy = np.mean([np.square(one, dtype=np.float64).sum() for one in maps])
    mean = maps.mean(0, dtype=np.float64)
    return float(np.square(mean).sum() / energy) if energy else float("nan")
