"""The scores of generated images: one entry per score, used wherever scores are computed, weighted,
printed or compared. A new score is one entry here and one function that computes it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Score:
    """How a score is named, averaged, shown and compared."""

    name: str  # key of a summary and, for scores of pairs, column of pairs.csv
    heading: str  # as printed in tables and charts
    # The best value: "higher", "lower", "zero" (nearest to 0) or "target" (nearest to the value of
    # the real images, which is 1).
    aim: str = "higher"
    digits: int = 3  # decimals shown
    unit: str = ""
    weight: str | None = None  # column of pairs.csv that weights the mean over pairs
    set_score: bool = False  # computed from all images of a row together, not pair by pair
    splits: bool = False  # a mean over splits with a standard deviation (Inception Score)
    missing: str = "no weights"  # in a table's cell where the score was not computed
    printed: bool = False  # in the paper's Table 1
    table: str | None = None  # "table1", "more", or None: only to test claims (`results.verdicts`)
    # Whether `results.tables.differences_table` compares rows by it: one score of each kind, since
    # every further line weakens the correction for multiple tests.
    compared: bool = False
    note: str = ""  # sentence for the reader of a table

    @property
    def least(self) -> float:
        """The smallest effect that counts as one: a unit of the last decimal shown."""
        return 10.0**-self.digits

    def rank(self, value: float) -> float:
        """A number that is larger the better the value is."""
        if self.aim == "higher":
            return value
        return -value if self.aim == "lower" else -abs(value - (self.aim == "target"))


LIKENESS, REAL, SHARE, GREY_LEVELS = "SSIM", "of the real images'", "share", "grey levels"
_TABLE1, _MORE = {"table": "table1"}, {"table": "more"}
_PRINTED = _TABLE1 | {"printed": True}
_INCEPTION = {"unit": "Inception Score", "set_score": True, "splits": True}
_JOINTS = {"unit": SHARE, "weight": "joints", "missing": "not estimated"}
_NOTES = {
    "inception": "The Inception Score grows with the number of images.",
    "sharpness": "Sharpness: mean squared gradient inside the mask over that of the real targets.",
    "pckh": "PCKh: share of joints that a keypoint network of this project finds within half the "
    "width and half the height of the head, the box around nose, neck, eyes and ears of the target "
    "pose, as PATN counts; pairs with fewer than two of these are left out. The row of the real "
    "target is the ceiling. PATN's numbers rest on another detector and do not compare.",
    "pck": "PCK: share of the target pose's joints that a keypoint network, trained by this "
    "project on the real training images, finds within a fifth of the torso. It errs on real "
    "images too: the row of the real target is the ceiling, the row of the condition image the "
    "value without moving anybody.",
    "background_copy": "Copied: how much of the condition image's own look is left outside both "
    "bodies (background) and where the body was (body), and the share of moved joints found "
    "nearer to where they were (pose); 0 for the real target, 1 for the condition image.",
    "lpips": "LPIPS: VGG16, version 0.1; lower is better.",
    "fid": "FID: lower is better; against the real targets of the same pairs, with the Inception "
    "network of 2015. Of one training it has no interval: a sample with repetitions scores worse "
    "than the one it is drawn from.",
    "stripes": "Period-2 energy: share of an image's variance in stripes two pixels wide, over the "
    "real targets' share; above 1, a network paints stripes.",
    "fixed_share": "One picture: share of the energy of stage II's difference maps that is common "
    "to all pairs; a stage II that looks at its inputs is near 0.",
    "kid": "KID: lower is better; against the real targets of the same pairs, with the Inception "
    "network of 2015.",
}


def _score(name, heading, aim="higher", **fields):
    return Score(name, heading, aim, note=_NOTES.get(name, ""), **fields)


def _copy(part, **fields):
    fields |= _JOINTS | {"weight": f"{part}_weight"}
    return _score(f"{part}_copy", f"copied {part}", "zero", **fields)


_ALL = (
    _score("ssim", "SSIM", unit=LIKENESS, compared=True, **_PRINTED),
    _score("mask_ssim", "mask-SSIM", unit=LIKENESS, compared=True, **_PRINTED),
    _score("inception", "IS", **_INCEPTION, **_PRINTED),
    _score("mask_inception", "mask-IS", **_INCEPTION, **_PRINTED),
    _score(
        "sharpness", "sharpness", "target", unit=REAL, weight="target_gradient", compared=True,
        **_TABLE1,
    ),
    _score("pckh", "PCKh", compared=True, **_JOINTS, **_TABLE1),
    _score("pck", "PCK", **_JOINTS, **_MORE),
    _copy("background", compared=True, **_MORE),
    _copy("body", **_MORE),
    _copy("pose", compared=True, **_MORE),
    _score("lpips", "LPIPS", "lower", compared=True, **_MORE),
    _score("fid", "FID", "lower", digits=1, set_score=True, **_MORE),
    # unbiased, so that equal distributions may score slightly below 0
    _score("kid", "KID", "zero", digits=4, set_score=True, **_MORE),
    _score(
        "stripes", "period-2 energy", "lower", unit=REAL, weight="target_stripes",
        missing="not scored", **_MORE,
    ),
    _score("fixed_share", "one picture", "lower", set_score=True, missing="one stage", **_MORE),
    # computed for claims alone, see `detail` and, of training curves, `results.effects`
    _score("body_ssim", "body-SSIM", unit=LIKENESS),
    _score("blur_gain", "SSIM gained by blurring", "zero", unit=LIKENESS),
    _score("detail", "right detail", unit=REAL, weight="target_detail"),
    _score("artefacts", "artefact energy", "zero", unit=REAL, weight="target_detail"),
    _score(
        "background_artefacts", "artefact energy of the background", "zero", unit=REAL,
        weight="background_detail",
    ),
    _score("colour", "colour error", "lower", digits=2, unit=GREY_LEVELS),
    _score("l1_gap", "mean L1 while training", "lower", unit="masked L1"),
    _score("head_start", "time to the common level", "lower", unit="share of the training"),
)  # fmt: skip
SCORES = {score.name: score for score in _ALL}
# Scores that need exact parsing maps, and so are no part of what is computed for every row.
LABELLED = {
    "texture": Score(
        "texture", "garment texture", "target", unit=REAL, weight="target_texture",
        missing="no exact maps",
        note="Garment texture: share of the real garments' fine structure that is painted at its "
        "place, of pairs whose condition image shows the same side of the garment; 0 for a plain "
        "garment. Luma, within the garment by exact parsing maps.",
    )
}  # fmt: skip
EVERY = SCORES | LABELLED


def names(table=None, set_score=None, **flags):
    """Names of the scores, in the order of the tables, whose fields have the given values.

    table: "table1" or "more"; None: both, without the scores computed for claims alone.
    set_score: True, False, or None: both. flags: further fields, e.g. compared=True.
    """
    wanted = flags if set_score is None else flags | {"set_score": set_score}
    return tuple(
        name
        for name, score in SCORES.items()
        if (score.table is not None if table is None else score.table == table)
        and all(getattr(score, field) == value for field, value in wanted.items())
    )


def weights(table, name):
    """The column of a table of pairs that weights the mean of a score, or None (plain mean)."""
    column = SCORES[name].weight
    return table[column] if column else None


def weighting(table, name):
    """`weights`, also of a score of LABELLED."""
    column = EVERY[name].weight
    return table[column] if column else None
