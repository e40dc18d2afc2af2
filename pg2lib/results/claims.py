"""What the paper claims in sections 3 and 4, each claim with measures that can decide it.

`CLAIMS` is the list. `claim_evidence` measures, `claim_verdicts` judges.
"""

from dataclasses import dataclass

from pg2lib.evaluation.scores import SCORES
from pg2lib.evaluation.statistics import EQUAL, LESS, MORE
from pg2lib.models import experiments


@dataclass(frozen=True)
class Measure:
    """How a score is called, in which unit it comes and how many decimals are shown."""

    name: str
    unit: str
    decimals: int = 3

    @property
    def least(self) -> float:
        """The smallest effect that counts as one: what the last decimal can show."""
        return 10.0**-self.decimals


LIKENESS, FINE, SHARE, GREY_LEVELS = "SSIM", "of the real images'", "share", "grey levels"
MEASURES = {
    "ssim": Measure("SSIM", LIKENESS),
    "mask_ssim": Measure("mask-SSIM", LIKENESS),
    "body_ssim": Measure("body-SSIM", LIKENESS),
    "blur_gain": Measure("SSIM gained by blurring", LIKENESS),
    "sharpness": Measure("sharpness", FINE),
    "detail": Measure("right detail", FINE),
    "artefacts": Measure("artefact energy", FINE),
    "colour": Measure("colour error", GREY_LEVELS, 2),
    "pckh": Measure("PCKh", SHARE),
    "background_copy": Measure("copied background", SHARE),
    "pose_copy": Measure("copied pose", SHARE),
    "body_copy": Measure("copied body", SHARE),
    "inception": Measure("IS", "Inception Score"),
    "mask_inception": Measure("mask-IS", "Inception Score"),
    "l1_gap": Measure("mean L1 while training", "masked L1"),
    "head_start": Measure("time to the common level", "share of the training"),
}
# The column that weights the mean of a score over pairs.
WEIGHTS = {name: score.weight for name, score in SCORES.items()}
# How an effect is measured (`claim_evidence.EFFECTS`) -> what that adds to the name of the
# comparison, and where in a sentence the effect is.
WAYS = {
    "rows": ("", ""),
    "splits": ("", ""),
    "curves": ("", ""),
    "clutter": ("; cluttered third − plain third", " on cluttered backgrounds"),
    "rare": ("; rare poses − others", " on rare poses"),
    "halves": ("; street − studio", " on street images"),
}


@dataclass(frozen=True)
class Comparison:
    """One number that speaks for or against a claim: score of `row` minus score of `against`.

    score      a key of MEASURES
    against    None: the score of `row` by itself
    direction  what the claim expects of the effect: to be "more" than margin, "less" than -margin,
               or "equal", within +-margin
    margin     in the unit of the score
    how        a key of WAYS: how the effect is measured
    """

    score: str
    row: str
    against: str | None
    direction: str
    margin: float
    how: str = "rows"

    @property
    def measure(self) -> Measure:
        return MEASURES[self.score]

    @property
    def rows(self) -> tuple[str, ...]:
        return (self.row, self.against) if self.against else (self.row,)

    @property
    def text(self) -> str:
        """E.g. "SSIM, G1-L1 − G1-CE-L1"."""
        return f"{self.measure.name}, {' − '.join(self.rows)}{WAYS[self.how][0]}"

    @property
    def expected(self) -> str:
        if self.direction == EQUAL:
            return f"within ±{self.margin:g}"
        return f"> {self.margin:g}" if self.direction == MORE else f"< {-self.margin:g}"


@dataclass(frozen=True)
class Claim:
    """What the paper says, in our words, where it says it, and what has to be true for it.

    A claim holds if all of its comparisons do. half: the data set that the paper says it of,
    "market1501" or "deepfashion"; None is both.
    """

    name: str
    place: str
    says: str
    comparisons: tuple[Comparison, ...]
    half: str | None = None

    @property
    def needs_ablation(self) -> bool:
        return any(row in experiments.ABLATIONS for c in self.comparisons for row in c.rows)


def compare(names, row, against, direction, margin=None, how="rows"):
    """A Comparison for each of several scores, e.g. "ssim mask_ssim"; without a margin it is the
    least effect that counts."""
    return tuple(
        Comparison(name, row, against, direction, margin or MEASURES[name].least, how)
        for name in names.split()
    )


COARSE, ONE, TWO = "G1-poseMaskLoss", "G1+D", "G1+G2+D"
# "About equal" in SSIM and mask-SSIM. The paper calls G1-HME-L1 and G1-L1 similar, which on
# Market-1501 are 0.010 and 0.007 apart (Table 1), and G1+D and G1+G2+D comparable: 0.030 and
# 0.011. Twice the first gap, and a third more than the second.
SIMILAR = {"ssim": 0.02, "mask_ssim": 0.014}
COMPARABLE = {"ssim": 0.04, "mask_ssim": 0.015}
SAME_POSE, RIGHT_POSE = 0.05, 0.1  # PCKh; the second is how far it may be from the real images'
SAME_SHARPNESS, SAME_COLOUR = 0.05, 2.0  # share of the real sharpness, grey levels

CLAIMS = (
    # 3.1 and 4.2, stage I
    Claim(
        "concatenation-scores",
        "4.3, Table 1",
        "heatmaps concatenated to the image (G1-L1) score higher than coordinates (CE)",
        compare("ssim mask_ssim", "G1-L1", "G1-CE-L1", MORE),
    ),
    Claim(
        "concatenation-inception",
        "4.3, Table 1",
        "... in the Inception Scores as well",
        compare("inception mask_inception", "G1-L1", "G1-CE-L1", MORE, how="splits"),
    ),
    Claim(
        "hme-equal",
        "4.3, Table 1",
        "an encoder of its own for the heatmaps (HME) scores about like concatenation",
        sum((compare(s, "G1-HME-L1", "G1-L1", EQUAL, m) for s, m in SIMILAR.items()), ()),
    ),
    Claim(
        "ce-pose",
        "4.2, Figure 4, columns 4 and 6",
        "CE gets the poses wrong",
        compare("pckh", "G1-CE-L1", "G1-L1", LESS),
    ),
    Claim(
        "concatenation-pose",
        "4.2, Figure 4, column 6",
        "concatenated heatmaps lead to right poses",
        compare("pckh", "G1-L1", "target", EQUAL, RIGHT_POSE),
    ),
    *(
        Claim(
            f"{kind.lower()}-blur-colour",
            "4.2, Figure 4, columns 4 to 6",
            f"{kind} is blurrier than concatenation and has wrong colours",
            compare("sharpness", f"G1-{kind}-L1", "G1-L1", LESS)
            + compare("colour", f"G1-{kind}-L1", "G1-L1", MORE),
        )
        for kind in ("CE", "HME")
    ),
    Claim(
        "residual",
        "3.1",
        "residual blocks improve what G1 generates",
        compare("ssim mask_ssim", COARSE, "G1-noResidual", MORE),
    ),
    Claim(
        "mask-loss-scores",
        "4.3, Table 1",
        "the pose mask loss improves the scores",
        compare("ssim mask_ssim", COARSE, "G1-L1", MORE),
    ),
    Claim(
        "mask-loss-inception",
        "4.3, Table 1",
        "... in the Inception Scores as well",
        compare("inception mask_inception", COARSE, "G1-L1", MORE, how="splits"),
    ),
    Claim(
        "mask-loss-looks",
        "4.2, Figure 4, columns 6 and 7",
        "the pose mask loss gives sharper people in better colours",
        compare("sharpness", COARSE, "G1-L1", MORE) + compare("colour", COARSE, "G1-L1", LESS),
        half="market1501",
    ),
    Claim(
        "mask-loss-plain",
        "4.2, Figure 4, columns 6 and 7",
        "on plain backgrounds both losses give similar images",
        compare("sharpness", COARSE, "G1-L1", EQUAL, SAME_SHARPNESS)
        + compare("colour", COARSE, "G1-L1", EQUAL, SAME_COLOUR),
        half="deepfashion",
    ),
    Claim(
        "mask-loss-clutter",
        "3.1, 4.2",
        "the pose mask loss helps most where backgrounds are cluttered: in the most cluttered "
        "third of the pairs more than in the plainest",
        compare("mask_ssim", COARSE, "G1-L1", MORE, how="clutter"),
    ),
    Claim(
        "mask-loss-market-fashion",
        "4.2",
        "... and on street images more than on studio images",
        # not mask-SSIM, of which black against black is a share that depends on the mask's size
        compare("body_ssim", COARSE, "G1-L1", MORE, how="halves"),
    ),
    Claim(
        "coarse-structure",
        "3.1, Figure 2",
        "stage I gets the target's pose and broad colours, but is blurry",
        compare("pckh", COARSE, "condition", MORE)
        + compare("colour", COARSE, "condition", LESS)
        + compare("sharpness", COARSE, "target", LESS),
    ),
    # 3.2, 4.2 and 4.3, stage II
    Claim(
        "refinement",
        "3.2, Figures 1 and 2",
        "stage II keeps the pose of the coarse image and adds detail",
        compare("pckh", TWO, COARSE, EQUAL, SAME_POSE)
        + compare("sharpness detail", TWO, COARSE, MORE),
    ),
    *(
        Claim(
            name,
            "4.3, Table 1",
            f"{row} scores lower in SSIM and mask-SSIM than {COARSE}",
            compare("ssim mask_ssim", row, COARSE, LESS),
        )
        for name, row in (("one-stage-ssim", ONE), ("two-stage-ssim", TWO))
    ),
    *(
        Claim(
            name,
            "4.3, Figure 4, columns 7 to 9",
            f"{row} is sharper than {COARSE}",
            compare("sharpness", row, COARSE, MORE),
        )
        for name, row in (("one-stage-sharp", ONE), ("two-stage-sharp", TWO))
    ),
    Claim(
        "adversarial-inception",
        "Table 1",
        "both adversarial rows have higher Inception Scores than the coarse image",
        compare("inception mask_inception", ONE, COARSE, MORE, how="splits")
        + compare("inception mask_inception", TWO, COARSE, MORE, how="splits"),
    ),
    Claim(
        "blur-rewarded",
        "4.3",
        "SSIM favours blurred images: a slight blur raises that of the adversarial rows",
        compare("blur_gain", ONE, None, MORE) + compare("blur_gain", TWO, None, MORE),
    ),
    Claim(
        "stages-comparable",
        "4.3, Table 1",
        "D after one stage or after two: comparable scores",
        sum((compare(s, TWO, ONE, EQUAL, m) for s, m in COMPARABLE.items()), ()),
    ),
    Claim(
        "two-stage-detail",
        "4.2, Figure 4, columns 8 and 9",
        "two stages keep more detail than one",
        compare("detail sharpness", TWO, ONE, MORE),
    ),
    Claim(
        "difference-map-faster",
        "1, 3.2",
        "learning a difference map converges faster than painting the image from scratch",
        compare("l1_gap head_start", TWO, "G2-image+D", LESS, how="curves"),
    ),
    Claim(
        "difference-map-final",
        "3.2 (not said, but what a head start would be good for)",
        "... and after the same training gives better images",
        compare("ssim mask_ssim", TWO, "G2-image+D", MORE),
    ),
    Claim(
        "pairs-prevent-copying",
        "3.2, equations 2 and 3",
        "without the condition image beside its candidates, D lets G2 copy that image",
        compare("background_copy pose_copy", "G2-unpaired+D", TWO, MORE),
    ),
    Claim(
        "lambda-small",
        "3.2, equation 4",
        "a small lambda gives artefacts",
        compare("artefacts", "G2-lambda-small+D", TWO, MORE),
    ),
    Claim(
        "lambda-large",
        "3.2, equation 4",
        "a large lambda blurs",
        compare("sharpness", "G2-lambda-large+D", TWO, LESS),
    ),
    Claim(
        "no-bottleneck",
        "3.2",
        "G2 keeps more detail without a fully connected layer",
        compare("detail", TWO, "G2-fc+D", MORE),
    ),
    # 4.1, 4.4 and 4.5
    Claim(
        "background-transfer",
        "4.4",
        "two stages carry more of the condition's background over than one",
        compare("background_copy", TWO, ONE, MORE),
        half="market1501",
    ),
    Claim(
        "market-harder",
        "4.1, 4.2",
        "street images are harder than studio images",
        compare("ssim body_ssim", TWO, None, LESS, how="halves"),
    ),
    Claim(
        "rare-poses",
        "4.5, Figure 6",
        "poses that are rare in training fail more often",
        compare("body_ssim", TWO, None, LESS, how="rare"),
    ),
)

# What no run of ours can decide, and why.
UNTESTED = (
    "The user study (4.4, Table 2): it needs people, not a measure.",
    "Better results than VariGAN (4.5, Figure 5): its images are not public.",
    "G1's fully connected layer lets distant body parts exchange information (3.1): no row is "
    "trained without it.",
    "Wrong gender from unbalanced training data (4.5, Figure 6): no data set here is labelled.",
)


def rows_of(claims=CLAIMS, ablations=False, how=None) -> tuple[str, ...]:
    """The rows that claims compare: those of Table 1 with the references, or with ablations the
    rows of the claims that need one; of comparisons made in one way alone if how is given."""
    wanted = [c for claim in claims if claim.needs_ablation == ablations for c in claim.comparisons]
    rows = [row for c in wanted if how in (None, c.how) for row in c.rows]
    return tuple(dict.fromkeys(rows))


def scores_of(row, claims=CLAIMS) -> set[str]:
    """The scores that claims compare a row by."""
    return {c.score for claim in claims for c in claim.comparisons if row in c.rows}
