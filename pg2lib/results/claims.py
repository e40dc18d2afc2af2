"""The paper's claims of sections 3 and 4, each with the comparisons of scores that test it;
`verdicts` measures the comparisons and decides."""

from dataclasses import dataclass

from pg2lib import models
from pg2lib.evaluation.scores import SCORES, Score
from pg2lib.evaluation.statistics import EQUAL, LESS, MORE

# How an effect is measured (`verdicts.EFFECTS`) -> what that adds to the name of a comparison, and
# the phrase that locates the effect in a sentence.
WAYS = dict.fromkeys(("rows", "splits", "curves"), ("", "")) | {
    "clutter": ("; cluttered third − plain third", " on cluttered backgrounds"),
    "rare": ("; rare poses − others", " on rare poses"),
    "halves": ("; street − studio", " on street images"),
}


@dataclass(frozen=True)
class Comparison:
    """One effect that tests a claim: score of `row` minus score of `against`."""

    score: str  # key of `evaluation.scores.SCORES`
    row: str
    against: str | None  # None: the effect is the score of `row` itself
    direction: str  # expected: MORE than margin, LESS than -margin or EQUAL, within +-margin
    margin: float  # in the unit of the score
    how: str = "rows"  # how the effect is measured, key of WAYS

    @property
    def measure(self) -> Score:
        return SCORES[self.score]

    @property
    def rows(self) -> tuple[str, ...]:
        return (self.row, self.against) if self.against else (self.row,)

    @property
    def text(self) -> str:
        """E.g. "SSIM, G1-L1 − G1-CE-L1"."""
        return f"{self.measure.heading}, {' − '.join(self.rows)}{WAYS[self.how][0]}"

    @property
    def expected(self) -> str:
        if self.direction == EQUAL:
            return f"within ±{self.margin:g}"
        return f"> {self.margin:g}" if self.direction == MORE else f"< {-self.margin:g}"


@dataclass(frozen=True)
class Claim:
    """A statement of the paper in our words; it holds if all of its comparisons do."""

    name: str
    place: str  # in the paper
    statement: str
    comparisons: tuple[Comparison, ...]
    half: str | None = None  # the paper makes it for "market1501" or "deepfashion"; None: both

    @property
    def needs_ablation(self) -> bool:
        return any(row in models.ablations() for c in self.comparisons for row in c.rows)


def compare(names, row, against, direction, margin=None, how="rows"):
    """A Comparison for each of several scores, e.g. "ssim mask_ssim". margin None: the smallest
    effect that counts, `Score.least`."""
    return tuple(
        Comparison(name, row, against, direction, margin or SCORES[name].least, how)
        for name in names.split()
    )


COARSE, ONE, TWO = "G1-poseMaskLoss", "G1+D", "G1+G2+D"
ADVERSARIAL = (("one", ONE), ("two", TWO))
# Margins of "about equal" in SSIM and mask-SSIM. On Market-1501 (Table 1) G1-HME-L1 and G1-L1,
# which the paper calls similar, differ by 0.010 and 0.007: twice that. G1+D and G1+G2+D, which it
# calls comparable, differ by 0.030 and 0.011: a third more.
SIMILAR = {"ssim": 0.02, "mask_ssim": 0.014}
COMPARABLE = {"ssim": 0.04, "mask_ssim": 0.015}
SAME_POSE, RIGHT_POSE = 0.05, 0.1  # PCKh; RIGHT_POSE: distance from the real images'
SAME_SHARPNESS, SAME_COLOUR = 0.05, 2.0  # share of the real sharpness, grey levels

# fmt: off
CLAIMS = (
    # 3.1 and 4.2, stage I
    Claim("concatenation-scores", "4.3, Table 1",
          "heatmaps concatenated to the image (G1-L1) score higher than coordinates (CE)",
          compare("ssim mask_ssim", "G1-L1", "G1-CE-L1", MORE)),
    Claim("concatenation-inception", "4.3, Table 1", "... in the Inception Scores as well",
          compare("inception mask_inception", "G1-L1", "G1-CE-L1", MORE, how="splits")),
    Claim("hme-equal", "4.3, Table 1",
          "an encoder of its own for the heatmaps (HME) scores about like concatenation",
          sum((compare(s, "G1-HME-L1", "G1-L1", EQUAL, m) for s, m in SIMILAR.items()), ())),
    Claim("ce-pose", "4.2, Figure 4, columns 4 and 6", "CE gets the poses wrong",
          compare("pckh", "G1-CE-L1", "G1-L1", LESS)),
    Claim("concatenation-pose", "4.2, Figure 4, column 6",
          "concatenated heatmaps lead to right poses",
          compare("pckh", "G1-L1", "target", EQUAL, RIGHT_POSE)),
    *(Claim(f"{kind.lower()}-blur-colour", "4.2, Figure 4, columns 4 to 6",
            f"{kind} is blurrier than concatenation and has wrong colours",
            compare("sharpness", f"G1-{kind}-L1", "G1-L1", LESS)
            + compare("colour", f"G1-{kind}-L1", "G1-L1", MORE)) for kind in ("CE", "HME")),
    Claim("residual", "3.1", "residual blocks improve what G1 generates",
          compare("ssim mask_ssim", COARSE, "G1-noResidual", MORE)),
    Claim("mask-loss-scores", "4.3, Table 1", "the pose mask loss improves the scores",
          compare("ssim mask_ssim", COARSE, "G1-L1", MORE)),
    Claim("mask-loss-inception", "4.3, Table 1", "... in the Inception Scores as well",
          compare("inception mask_inception", COARSE, "G1-L1", MORE, how="splits")),
    Claim("mask-loss-looks", "4.2, Figure 4, columns 6 and 7",
          "the pose mask loss gives sharper people in better colours",
          compare("sharpness", COARSE, "G1-L1", MORE)
          + compare("colour", COARSE, "G1-L1", LESS), half="market1501"),
    Claim("mask-loss-plain", "4.2, Figure 4, columns 6 and 7",
          "on plain backgrounds both losses give similar images",
          compare("sharpness", COARSE, "G1-L1", EQUAL, SAME_SHARPNESS)
          + compare("colour", COARSE, "G1-L1", EQUAL, SAME_COLOUR), half="deepfashion"),
    Claim("mask-loss-clutter", "3.1, 4.2",
          "the pose mask loss helps most where backgrounds are cluttered: in the most cluttered "
          "third of the pairs more than in the plainest",
          compare("mask_ssim", COARSE, "G1-L1", MORE, how="clutter")),
    Claim("mask-loss-market-fashion", "4.2", "... and on street images more than on studio images",
          # not mask-SSIM: its share of black against black depends on the size of the mask
          compare("body_ssim", COARSE, "G1-L1", MORE, how="halves")),
    Claim("coarse-structure", "3.1, Figure 2",
          "stage I gets the target's pose and broad colours, but is blurry",
          compare("pckh", COARSE, "condition", MORE)
          + compare("colour", COARSE, "condition", LESS)
          + compare("sharpness", COARSE, "target", LESS)),
    # 3.2, 4.2 and 4.3, stage II
    Claim("refinement", "3.2, Figures 1 and 2",
          "stage II keeps the pose of the coarse image and adds detail",
          compare("pckh", TWO, COARSE, EQUAL, SAME_POSE)
          + compare("sharpness detail", TWO, COARSE, MORE)),
    *(Claim(f"{stages}-stage-ssim", "4.3, Table 1",
            f"{row} scores lower in SSIM and mask-SSIM than {COARSE}",
            compare("ssim mask_ssim", row, COARSE, LESS)) for stages, row in ADVERSARIAL),
    *(Claim(f"{stages}-stage-sharp", "4.3, Figure 4, columns 7 to 9",
            f"{row} is sharper than {COARSE}",
            compare("sharpness", row, COARSE, MORE)) for stages, row in ADVERSARIAL),
    Claim("adversarial-inception", "Table 1",
          "both adversarial rows have higher Inception Scores than the coarse image",
          compare("inception mask_inception", ONE, COARSE, MORE, how="splits")
          + compare("inception mask_inception", TWO, COARSE, MORE, how="splits")),
    Claim("blur-rewarded", "4.3",
          "SSIM favours blurred images: a slight blur raises that of the adversarial rows",
          compare("blur_gain", ONE, None, MORE) + compare("blur_gain", TWO, None, MORE)),
    Claim("stages-comparable", "4.3, Table 1", "D after one stage or after two: comparable scores",
          sum((compare(s, TWO, ONE, EQUAL, m) for s, m in COMPARABLE.items()), ())),
    Claim("two-stage-detail", "4.2, Figure 4, columns 8 and 9",
          "two stages keep more detail than one",
          compare("detail sharpness", TWO, ONE, MORE)),
    Claim("difference-map-faster", "1, 3.2",
          "learning a difference map converges faster than generating the image from scratch",
          compare("l1_gap head_start", TWO, "G2-image+D", LESS, how="curves")),
    Claim("difference-map-final", "3.2 (implied: the benefit of a head start)",
          "... and after the same training gives better images",
          compare("ssim mask_ssim", TWO, "G2-image+D", MORE)),
    Claim("pairs-prevent-copying", "3.2, equations 2 and 3",
          "without pairs that include the condition image, D lets G2 copy that image",
          compare("background_copy pose_copy", "G2-unpaired+D", TWO, MORE)),
    Claim("lambda-small", "3.2, equation 4", "a small lambda gives artefacts",
          compare("artefacts", "G2-lambda-small+D", TWO, MORE)),
    Claim("lambda-large", "3.2, equation 4", "a large lambda blurs",
          compare("sharpness", "G2-lambda-large+D", TWO, LESS)),
    Claim("no-bottleneck", "3.2", "G2 keeps more detail without a fully connected layer",
          compare("detail", TWO, "G2-fc+D", MORE)),
    # 4.1, 4.4 and 4.5
    Claim("background-transfer", "4.4",
          "two stages carry more of the condition's background over than one",
          compare("background_copy", TWO, ONE, MORE), half="market1501"),
    Claim("market-harder", "4.1, 4.2", "street images are harder than studio images",
          compare("ssim body_ssim", TWO, None, LESS, how="halves")),
    Claim("rare-poses", "4.5, Figure 6", "poses that are rare in training fail more often",
          compare("body_ssim", TWO, None, LESS, how="rare")),
)
# fmt: on

# Claims that no run of this project can decide, and why.
UNTESTED = (
    "The user study (4.4, Table 2): it needs people, not a score.",
    "Better results than VariGAN (4.5, Figure 5): its images are not public.",
    "G1's fully connected layer lets distant body parts exchange information (3.1): no row is "
    "trained without it.",
    "Wrong gender from unbalanced training data (4.5, Figure 6): no data set is labelled.",
)


def rows_of(ablations=False, how=None) -> tuple[str, ...]:
    """The rows that claims compare: of those that need an ablation, or of all others; how: only of
    comparisons measured in this way."""
    wanted = [c for claim in CLAIMS if claim.needs_ablation == ablations for c in claim.comparisons]
    return tuple(dict.fromkeys(row for c in wanted if how in (None, c.how) for row in c.rows))


def scores_of(row) -> set[str]:
    """The scores that claims compare a row by."""
    return {c.score for claim in CLAIMS for c in claim.comparisons if row in c.rows}


def differences() -> tuple[tuple[str, str, str], ...]:
    """(row, row it is compared with, statement) of every two trained rows that claims compare pair
    by pair, ablations aside; each two rows once, with the first claim about them."""
    found = {}
    for claim in CLAIMS:
        for c in claim.comparisons if not claim.needs_ablation else ():
            if c.how == "rows" and c.against and not {"condition", "target"} & set(c.rows):
                found.setdefault(frozenset(c.rows), (*c.rows, claim.statement))
    return tuple(found.values())
