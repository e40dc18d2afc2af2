"""The scores of generated images: one entry per score, read by everything that computes, weights,
prints or compares them. A new score is one entry here and one function that computes it.
"""

from dataclasses import dataclass

AIMS = ("higher", "lower", "zero", "target")


@dataclass(frozen=True)
class Score:
    """How a score is named, averaged, shown and compared.

    name       key of a summary and, for scores of pairs, column of pairs.csv
    heading    as printed in tables and charts
    aim        the best value: "higher", "lower", "zero" (nearest to 0) or "target" (nearest to the
               value of the real images, which is 1)
    digits     decimals shown
    unit       of the value
    weight     column of pairs.csv that weights the mean over pairs, or None
    set_score  computed from all images of a row together, not pair by pair
    splits     a mean over splits with a standard deviation (Inception Score)
    missing    what a table's cell reads where the score was not computed
    printed    whether the paper's Table 1 prints it
    table      "table1", "more", or None: computed only to test claims (`results.verdicts`)
    compared   whether `results.tables.differences_table` compares rows by it: one score of each
               kind, since every further line weakens the correction for multiple tests
    note       sentence for the reader of a table, or ""
    """

    name: str
    heading: str
    aim: str = "higher"
    digits: int = 3
    unit: str = ""
    weight: str | None = None
    set_score: bool = False
    splits: bool = False
    missing: str = "no weights"
    printed: bool = False
    table: str | None = None
    compared: bool = False
    note: str = ""

    @property
    def least(self) -> float:
        """The smallest effect that counts as one: a unit of the last decimal shown."""
        return 10.0**-self.digits

    def rank(self, value: float) -> float:
        """A number that is larger the better the value is."""
        if self.aim == "higher":
            return value
        return -value if self.aim == "lower" else -abs(value - (self.aim == "target"))


NO_KEYPOINTS = "not estimated"
LIKENESS, REAL, SHARE, GREY_LEVELS = "SSIM", "of the real images'", "share", "grey levels"
_COPY = (
    "Copied: how much of the condition image's own look is left outside both bodies (background) "
    "and where the body was (body), and the share of moved joints found nearer to where they were "
    "(pose); 0 for the real target, 1 for the condition image."
)
_FEATURES = "against the real targets of the same pairs, with the Inception network of 2015."

SCORES = {
    score.name: score
    for score in (
        Score("ssim", "SSIM", unit=LIKENESS, printed=True, table="table1", compared=True),
        Score("mask_ssim", "mask-SSIM", unit=LIKENESS, printed=True, table="table1", compared=True),
        Score(
            "inception",
            "IS",
            unit="Inception Score",
            set_score=True,
            splits=True,
            printed=True,
            table="table1",
            note="The Inception Score grows with the number of images.",
        ),
        Score(
            "mask_inception",
            "mask-IS",
            unit="Inception Score",
            set_score=True,
            splits=True,
            printed=True,
            table="table1",
        ),
        Score(
            "sharpness",
            "sharpness",
            "target",
            unit=REAL,
            weight="target_gradient",
            table="table1",
            compared=True,
            note="Sharpness: mean squared gradient inside the mask over that of the real targets.",
        ),
        Score(
            "pckh",
            "PCKh",
            unit=SHARE,
            weight="joints",
            missing=NO_KEYPOINTS,
            table="table1",
            compared=True,
            note="PCKh: share of joints that a keypoint network of this project finds within half "
            "a head of the target pose; the row of the real target is the ceiling.",
        ),
        Score(
            "pck",
            "PCK",
            unit=SHARE,
            weight="joints",
            missing=NO_KEYPOINTS,
            table="more",
            note="PCK: share of the target pose's joints that a keypoint network, trained by this "
            "project on the real training images, finds within a fifth of the torso. It errs on "
            "real images too: the row of the real target is the ceiling, the row of the condition "
            "image the value without moving anybody.",
        ),
        *(
            Score(
                f"{part}_copy",
                f"copied {part}",
                "zero",
                unit=SHARE,
                weight=f"{part}_weight",
                missing=NO_KEYPOINTS,
                table="more",
                compared=part != "body",
                note=_COPY if part == "background" else "",
            )
            for part in ("background", "body", "pose")
        ),
        Score(
            "lpips",
            "LPIPS",
            "lower",
            table="more",
            compared=True,
            note="LPIPS: VGG16, version 0.1; lower is better.",
        ),
        Score(
            "fid",
            "FID",
            "lower",
            digits=1,
            set_score=True,
            table="more",
            note=f"FID: lower is better; {_FEATURES} It has no interval: a sample with repetitions "
            "scores worse than the one it is drawn from.",
        ),
        Score(  # unbiased, so that equal distributions may score slightly below 0
            "kid",
            "KID",
            "zero",
            digits=4,
            set_score=True,
            table="more",
            note=f"KID: lower is better; {_FEATURES}",
        ),
        # computed for claims alone, see `detail` and, of training curves, `results.verdicts`
        Score("body_ssim", "body-SSIM", unit=LIKENESS),
        Score("blur_gain", "SSIM gained by blurring", "zero", unit=LIKENESS),
        Score("detail", "right detail", unit=REAL, weight="target_detail"),
        Score("artefacts", "artefact energy", "zero", unit=REAL, weight="target_detail"),
        Score("colour", "colour error", "lower", digits=2, unit=GREY_LEVELS),
        Score("l1_gap", "mean L1 while training", "lower", unit="masked L1"),
        Score("head_start", "time to the common level", "lower", unit="share of the training"),
    )
}


def names(table=None, set_score=None, **flags):
    """Names of the scores whose fields have the given values, in the order of the tables.

    Args:
        table: "table1" or "more"; None: both, without the scores computed for claims alone.
        set_score: True or False; None: both.
        flags: further fields with the value they must have, e.g. compared=True.

    Returns:
        tuple of str.
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
