"""The claims of PG2's sections 3 and 4, and those of later papers, each with the comparisons of
scores that test it; `effects` measures the comparisons and `verdicts` decides."""

from dataclasses import dataclass

from pg2lib import models
from pg2lib.evaluation.scores import EVERY, SCORES, Score
from pg2lib.evaluation.statistics import EQUAL, LESS, MORE
from pg2lib.results.notes import notes

# How an effect is measured (`effects.EFFECTS`) -> what that adds to the name of a comparison, and
# the phrase that locates the effect in a sentence.
WAYS = dict.fromkeys(("rows", "splits", "curves"), ("", "")) | {
    "clutter": ("; cluttered third − plain third", " on cluttered backgrounds"),
    "rare": ("; rare poses − others", " on rare poses"),
    "halves": ("; street − studio", " on street images"),
    "cost": ("; equal training FLOPs", ""),  # as "rows", of trainings of other lengths
    "size": ("; at the papers' sizes", ""),
}
# What is counted of a row and needs no images, beside the scores.
COUNTS = {"parameters": Score("parameters", "parameter count", "lower", digits=2, unit="million")}
MEASURES = EVERY | COUNTS


@dataclass(frozen=True)
class Comparison:
    """One effect that tests a claim: score of `row` minus score of `against`."""

    score: str  # key of MEASURES
    row: str
    against: str | None  # None: the effect is the score of `row` itself
    direction: str  # expected: MORE than margin, LESS than -margin or EQUAL, within +-margin
    margin: float  # in the unit of the score
    how: str = "rows"  # how the effect is measured, key of WAYS
    half: str | None = None  # of Table 1, the only one where the claim is about this score
    symptom: bool = False  # what the claim says of `row` is that its training fails

    @property
    def measure(self) -> Score:
        return MEASURES[self.score]

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
        known = map(models.METHODS.get, compared(self))
        return any(method and method.row and method.against for method in known)


def compare(names, row, against, direction, margin=None, how="rows", **fields):
    """A Comparison for each of several scores, e.g. "ssim mask_ssim". margin None: the smallest
    effect that counts, `Score.least`; fields: further ones of Comparison."""
    return tuple(
        Comparison(name, row, against, direction, margin or MEASURES[name].least, how, **fields)
        for name in names.split()
    )


def printed(score, row, against, direction):
    """Comparisons by a score of Table 1, "ssim" or "inception", and by its masked one, which the
    paper prints for Market-1501 alone. "About equal" is within ALIKE."""
    how = "splits" if SCORES[score].splits else "rows"
    margins = [ALIKE[name] if direction == EQUAL else None for name in (score, f"mask_{score}")]
    return (
        *compare(score, row, against, direction, margins[0], how),
        *compare(f"mask_{score}", row, against, direction, margins[1], how, half="market1501"),
    )


COARSE, ONE, TWO = "G1-poseMaskLoss", "G1+D", "G1+G2+D"
ADVERSARIAL = (("one", ONE), ("two", TWO))
# lambda of stage II, as a factor of the study's own -> row
LAMBDA = {0.01: "G2-lambda-small+D", 0.1: "G2-lambda-0.1+D", 1: TWO, 10: "G2-lambda-10+D",
          100: "G2-lambda-large+D"}  # fmt: skip

# Margins of "about equal": half of what the paper calls a difference, so that two rows cannot be
# both different and alike. They were not moved to where the paper's own rows pass.
#
# Scores of Table 1: half the gain of the pose mask loss (G1-poseMaskLoss over G1-L1), the smallest
# that the text calls an improvement in every measure; of the two data sets the smaller one. What
# the paper calls similar (HME and concatenation) is 0.010 apart in SSIM, within, but 0.007 in
# mask-SSIM and 0.165 in IS, outside; what it calls comparable (G1+D and G1+G2+D) 0.030, outside.
ALIKE = {"ssim": 0.018, "mask_ssim": 0.004, "inception": 0.12, "mask_inception": 0.11}
# PCKh: the paper has no number. A pose has 14 joints (mean of Market-1501's usable images): one of
# them is 0.07, two are 0.14. "Keeps the pose" is within one joint of a person, "right" within two
# of the real images' score. The one error of pose that the paper names is CE's; it is 0.27 below
# G1-L1 and 0.36 below the real images (drawn street people, profile quick): four joints and five.
SAME_POSE, RIGHT_POSE = 0.07, 0.14
# Sharpness (share of the real images') and colour error (grey levels): the paper sees HME blurrier
# than concatenation and in wrong colours, which was 0.043 and 0.89 on Market-1501, profile lite.
SAME_SHARPNESS, SAME_COLOUR = 0.02, 0.45
# A copy scores 1 and the real target 0. "Directly output I_A" (3.2) is not a trace of it: a third
# of the way at the least.
COPIED = 0.3

# fmt: off
CLAIMS = (
    # 3.1 and 4.2, stage I
    Claim("concatenation-scores", "4.3, Table 1",
          "heatmaps concatenated to the image (G1-L1) score higher than coordinates (CE)",
          printed("ssim", "G1-L1", "G1-CE-L1", MORE)),
    Claim("concatenation-inception", "4.3, Table 1", "... in the Inception Scores as well",
          printed("inception", "G1-L1", "G1-CE-L1", MORE)),
    Claim("hme-equal", "4.3, Table 1",
          "an encoder of its own for the heatmaps (HME) scores about like concatenation",
          printed("ssim", "G1-HME-L1", "G1-L1", EQUAL)),
    Claim("hme-equal-inception", "4.3, Table 1", "... in the Inception Scores as well",
          printed("inception", "G1-HME-L1", "G1-L1", EQUAL)),
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
    Claim("skips", "3.1",
          "skip connections carry image information from input to output: with them G1 keeps more "
          "detail, scores higher and takes more of the condition's background over",
          compare("detail ssim background_copy", COARSE, "G1-noSkips", MORE)),
    Claim("mask-loss-scores", "4.3, Table 1", "the pose mask loss improves the scores",
          printed("ssim", COARSE, "G1-L1", MORE)),
    Claim("mask-loss-inception", "4.3, Table 1", "... in the Inception Scores as well",
          printed("inception", COARSE, "G1-L1", MORE)),
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
    Claim("mask-loss-refined", "3.2, equation 4",
          "the masked L1 makes stage II attend to the body: better there than with plain L1",
          compare("mask_ssim body_ssim", TWO, "G2-L1+D", MORE)),
    *(Claim(f"{stages}-stage-ssim", "4.3, Table 1",
            f"{row} scores lower in SSIM (and mask-SSIM, Market-1501) than {COARSE}",
            printed("ssim", row, COARSE, LESS)) for stages, row in ADVERSARIAL),
    *(Claim(f"{stages}-stage-sharp", "4.3, Figure 4, columns 7 to 9",
            f"{row} is sharper than {COARSE}",
            compare("sharpness", row, COARSE, MORE)) for stages, row in ADVERSARIAL),
    Claim("adversarial-inception", "Table 1",
          "both adversarial rows have higher Inception Scores than the coarse image",
          printed("inception", ONE, COARSE, MORE) + printed("inception", TWO, COARSE, MORE)),
    Claim("blur-rewarded", "4.3",
          "SSIM favours blurred images: a slight blur raises that of the adversarial rows",
          compare("blur_gain", ONE, None, MORE) + compare("blur_gain", TWO, None, MORE)),
    Claim("stages-comparable", "4.3, Table 1", "D after one stage or after two: comparable scores",
          printed("ssim", TWO, ONE, EQUAL)),
    Claim("stages-comparable-inception", "4.3, Table 1", "... in the Inception Scores as well",
          printed("inception", TWO, ONE, EQUAL)),
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
          compare("background_copy pose_copy", "G2-unpaired+D", TWO, MORE, COPIED)),
    Claim("lambda-small", "3.2, equation 4", "a small lambda gives artefacts",
          compare("artefacts", LAMBDA[0.01], TWO, MORE, symptom=True)),
    Claim("lambda-large", "3.2, equation 4", "a large lambda blurs",
          compare("sharpness", LAMBDA[100], TWO, LESS, symptom=True)),
    Claim("no-bottleneck", "3.2", "G2 keeps more detail without a fully connected layer",
          compare("detail", TWO, "G2-fc+D", MORE)),
    # 4.1, 4.4 and 4.5
    Claim("background-transfer", "4.4",
          "two stages carry more of the condition's background over than one",
          compare("background_copy", TWO, ONE, MORE), half="market1501"),
    Claim("background-artefacts", "4.4",
          "... and bring extra artefacts on backgrounds, more than one stage or the coarse image",
          compare("background_artefacts", TWO, ONE, MORE)
          + compare("background_artefacts", TWO, COARSE, MORE), half="market1501"),
    Claim("market-harder", "4.1, 4.2", "street images are harder than studio images",
          compare("ssim body_ssim", TWO, None, LESS, how="halves")),
    Claim("rare-poses", "4.5, Figure 6", "poses that are rare in training fail more often",
          compare("body_ssim", TWO, None, LESS, how="rare")),
)
# fmt: on

# Claims of papers after PG2, as public reading notes quote them; a row stands for its paper.
PATN, SHORT, SOFT = "PATN", "PATN-equalFLOPs", "SoftGated"
# fmt: off
LATER = (
    Claim("patn-progressive", "PATN, the blocks",
          "a chain of small steps led by the poses beats one chain of residual blocks: with all "
          "masks M = 1 (and so without a pose path) it is worse",
          compare("ssim pckh", PATN, "PATN-noMask", MORE)),
    Claim("patn-appearance-d", "PATN, the discriminators",
          "both discriminators matter: without D_A less of the person's look is kept",
          compare("detail", PATN, "PATN-noAppearanceD", MORE)),
    Claim("patn-shape-d", "PATN, the discriminators",
          "... and without D_S the pose is worse",
          compare("pckh", PATN, "PATN-noShapeD", MORE)),
    Claim("patn-parameters", "PATN, comparison with PG2", "fewer parameters than PG2",
          compare("parameters", PATN, TWO, LESS, how="size")),
    Claim("patn-poses", "PATN, comparison with PG2", "better poses than PG2",
          compare("pckh", PATN, TWO, MORE)),
    Claim("patn-poses-cost", "ours: at equal cost", "... also when trained for as many FLOPs",
          compare("pckh", SHORT, TWO, MORE, how="cost")),
    Claim("patn-ssim", "PATN, comparison with PG2", "higher SSIM than PG2",
          printed("ssim", PATN, TWO, MORE)),
    Claim("patn-ssim-cost", "ours: at equal cost", "... also when trained for as many FLOPs",
          compare("ssim", SHORT, TWO, MORE, how="cost")
          + compare("mask_ssim", SHORT, TWO, MORE, how="cost", half="market1501")),
    Claim("soft-warp", "Soft-Gated Warping-GAN, the block",
          "warped features carry textures: without the block less of a garment's texture arrives",
          compare("texture", SOFT, "SoftGated-noWarp", MORE)),
    Claim("soft-gate", "Soft-Gated Warping-GAN, the block",
          "the gate helps: without it, all that is warped counts",
          compare("texture ssim", SOFT, "SoftGated-noGate", MORE)),
    Claim("soft-parsing", "ours: the bound of the parser",
          "painted parsing maps come close to true ones",
          compare("ssim", SOFT, "SoftGated-givenParsing", EQUAL, 0.02)
          + compare("texture", SOFT, "SoftGated-givenParsing", EQUAL, 0.05)),
    Claim("soft-texture", "Soft-Gated Warping-GAN, comparison with PG2",
          "more of a garment's texture than PG2",
          compare("texture", SOFT, TWO, MORE)),
)
# fmt: on

UNTESTED = tuple(notes("untested"))  # claims that this project cannot decide, and why


def later(papers=None) -> tuple[Claim, ...]:
    """The claims that need no rows of later papers other than these; None: all."""
    known = {*(papers or models.later_papers()), "PG2"}
    papers_of = {name: method.paper for name, method in models.METHODS.items()}
    return tuple(
        claim for claim in LATER if {papers_of.get(row, "PG2") for row in compared(claim)} <= known
    )


def compared(claim) -> tuple[str, ...]:
    """The rows that a claim compares."""
    return tuple(dict.fromkeys(row for c in claim.comparisons for row in c.rows))


def rows_of(ablations=False, how=None, among=CLAIMS) -> tuple[str, ...]:
    """The rows that claims compare: of those that need an ablation, LAMBDA among them, or of all
    others; how: only of comparisons measured in this way."""
    wanted = [c for claim in among if claim.needs_ablation == ablations for c in claim.comparisons]
    rows = [row for c in wanted if how in (None, c.how) for row in c.rows]
    dial = [*LAMBDA.values()] if ablations and how is None and among is CLAIMS else []
    return tuple(dict.fromkeys(rows + dial))


def scores_of(row) -> set[str]:
    """The scores by which claims compare a row."""
    every = (c for claim in (*CLAIMS, *LATER) for c in claim.comparisons)
    return {c.score for c in every if row in c.rows}


def differences() -> tuple[tuple[str, str, str], ...]:
    """(row, row it is compared with, statement) of every two trained rows that claims compare pair
    by pair, ablations aside; each two rows once, with the first claim about them."""
    found = {}
    for claim in CLAIMS:
        for c in claim.comparisons if not claim.needs_ablation else ():
            if c.how == "rows" and c.against and not {"condition", "target"} & set(c.rows):
                found.setdefault(frozenset(c.rows), (*c.rows, claim.statement))
    return tuple(found.values())
