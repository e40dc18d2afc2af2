"""Signs that an adversarial training went wrong, which no likeness score shows.

Pure functions of images, scores and training logs. Our own measures; the paper judges by eye.
"""

from dataclasses import dataclass

import numpy as np
from skimage.color import rgb2gray


def stripes(images):
    """The share of each image's variance that has a period of two pixels.

    From the Fourier transform of the luma without its mean: the energy at the highest frequency
    along x (at any frequency along y), or along y, whichever is larger, over the whole energy.
    Upsampling and strides that do not divide their kernel leave such stripes.

    images: uint8 (n, H, W, 3), H and W even. Returns float64 (n,) in [0, 1], 0 for one colour.
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
    differences: float (n, H, W, 3), I_B2 - I_B1. Returns a float, NaN where all maps are zero.
    """
    maps = np.asarray(differences)
    energy = np.mean([np.square(one, dtype=np.float64).sum() for one in maps])
    mean = maps.mean(0, dtype=np.float64)
    return float(np.square(mean).sum() / energy) if energy else float("nan")


@dataclass(frozen=True)
class Limits:
    """Above these values an adversarial training did not do what its row is meant to show.

    They are far from those of a sound training; a row within all three may still be poor.
    """

    # The picture that ignores the inputs is then a third of all that stage II does.
    fixed_share: float = 0.3
    # D's mean answer to real images minus that to generated ones. At 0.9 D is wrong in fewer than
    # one of ten cases whatever G does, and no longer tells bad from worse, so G cannot learn.
    gap: float = 0.9
    # Period-2 energy over the real images'; blurred ones have less than 1.
    stripes: float = 1.5


LIMITS = Limits()
NUMBERS = "fixed_share", "d_real", "d_fake", "stripes"


def health_line(row, summary, log):
    """How one adversarial training went; None if nothing says that the row is adversarial.

    summary: summary.json, whose "fixed_share" (two stages only) and "stripes" are read; log: of
    the training, or an empty list. Adversarial trainings log an "adversarial" loss, those of PG2
    also "d_real" and "d_fake", D's mean answers to real and generated images, of which the mean
    over the last tenth counts.

    Returns a dict of "row", NUMBERS (None: not known), "healthy", bool, and "why", the limits that
    are passed, as text, or "".
    """
    scores = summary.get("scores", {})
    fixed, striped = ((scores.get(name) or {}).get("mean") for name in ("fixed_share", "stripes"))
    last = [r for r in log if r.get("d_real") is not None][-max(len(log) // 10, 1) :]
    adversarial = any(name.startswith("adversarial") for name in (log[-1] if log else ()))
    if fixed is None and not last and not adversarial:
        return None
    real, fake = (
        float(np.mean([r[name] for r in last])) if last else None for name in ("d_real", "d_fake")
    )
    reasons = []
    if fixed is not None and fixed > LIMITS.fixed_share:
        reasons.append(f"{100 * fixed:.0f} % of its difference maps is one picture")
    if last and real - fake > LIMITS.gap:
        reasons.append(f"D has won, with {real:.2f} for real and {fake:.2f} for generated images")
    if striped is not None and striped > LIMITS.stripes:
        reasons.append(f"its images have {striped:.1f} times the stripes of real ones")
    numbers = dict(zip(NUMBERS, (fixed, real, fake, striped)))
    return {"row": row, **numbers, "healthy": not reasons, "why": ", ".join(reasons)}


def over_trainings(lines):
    """One line for the trainings of a row: the means of NUMBERS, the number of "trainings" and how
    many of them are "sick". The row is healthy unless at least half are: a verdict has to hold in
    each training, so a few sick ones cannot decide it."""
    sick = [line for line in lines if not line["healthy"]]
    mean = {"row": lines[0]["row"]}
    for name in NUMBERS:
        known = [line[name] for line in lines if line[name] is not None]
        mean[name] = float(np.mean(known)) if known else None
    bad = 2 * len(sick) >= len(lines)
    why = sick[0]["why"] if bad else ""
    if bad and len(lines) > 1:
        why = f"{len(sick)} of {len(lines)} trainings; the first: {why}"
    return mean | {"healthy": not bad, "why": why, "trainings": len(lines), "sick": len(sick)}


def health_text(line):
    """A line of `over_trainings`, e.g. "x: D 0.79 / 0.26, period-2 energy 0.32, healthy"."""
    parts = []
    if line["fixed_share"] is not None:
        parts.append(f"one picture {100 * line['fixed_share']:.0f} %")
    if line["d_real"] is not None:
        parts.append(f"D {line['d_real']:.2f} / {line['d_fake']:.2f}")
    if line["stripes"] is not None:
        parts.append(f"period-2 energy {line['stripes']:.2f}")
    sick, count = line["sick"], line["trainings"]
    part = f" ({count - sick} of {count} trainings are)" if sick and count > 1 else ""
    parts.append(f"healthy{part}" if line["healthy"] else f"NOT healthy{part}")
    return f"{line['row']}: {', '.join(parts)}"
