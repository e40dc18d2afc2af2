"""The list of claims: what each expects, against the sentence it tests and against the paper's
printed numbers."""

import numpy as np
import pytest
import smoke
from test_claims import made_up

from pg2lib import models
from pg2lib.evaluation.scores import SCORES
from pg2lib.evaluation.statistics import EQUAL, LESS, MORE
from pg2lib.results import claims, effects, render, verdicts

# Claim | scores | first row, more (>), less (<) or about equal (=), second row or 0 for the first
# row's score itself | margin | how it is measured, if not row against row. Typed by reading the
# statements, not copied from the list.
EXPECTED = """
concatenation-scores | ssim mask_ssim | G1-L1 > G1-CE-L1 | 0.001
concatenation-inception | inception mask_inception | G1-L1 > G1-CE-L1 | 0.001 | splits
hme-equal | ssim | G1-HME-L1 = G1-L1 | 0.018
hme-equal | mask_ssim | G1-HME-L1 = G1-L1 | 0.004
hme-equal-inception | inception | G1-HME-L1 = G1-L1 | 0.12 | splits
hme-equal-inception | mask_inception | G1-HME-L1 = G1-L1 | 0.11 | splits
ce-pose | pckh | G1-CE-L1 < G1-L1 | 0.001
concatenation-pose | pckh | G1-L1 = target | 0.14
ce-blur-colour | sharpness | G1-CE-L1 < G1-L1 | 0.001
ce-blur-colour | colour | G1-CE-L1 > G1-L1 | 0.01
hme-blur-colour | sharpness | G1-HME-L1 < G1-L1 | 0.001
hme-blur-colour | colour | G1-HME-L1 > G1-L1 | 0.01
residual | ssim mask_ssim | G1-poseMaskLoss > G1-noResidual | 0.001
skips | detail ssim background_copy | G1-poseMaskLoss > G1-noSkips | 0.001
mask-loss-scores | ssim mask_ssim | G1-poseMaskLoss > G1-L1 | 0.001
mask-loss-inception | inception mask_inception | G1-poseMaskLoss > G1-L1 | 0.001 | splits
mask-loss-looks | sharpness | G1-poseMaskLoss > G1-L1 | 0.001
mask-loss-looks | colour | G1-poseMaskLoss < G1-L1 | 0.01
mask-loss-plain | sharpness | G1-poseMaskLoss = G1-L1 | 0.02
mask-loss-plain | colour | G1-poseMaskLoss = G1-L1 | 0.45
mask-loss-clutter | mask_ssim | G1-poseMaskLoss > G1-L1 | 0.001 | clutter
mask-loss-market-fashion | body_ssim | G1-poseMaskLoss > G1-L1 | 0.001 | halves
coarse-structure | pckh | G1-poseMaskLoss > condition | 0.001
coarse-structure | colour | G1-poseMaskLoss < condition | 0.01
coarse-structure | sharpness | G1-poseMaskLoss < target | 0.001
refinement | pckh | G1+G2+D = G1-poseMaskLoss | 0.07
refinement | sharpness detail | G1+G2+D > G1-poseMaskLoss | 0.001
mask-loss-refined | mask_ssim body_ssim | G1+G2+D > G2-L1+D | 0.001
one-stage-ssim | ssim mask_ssim | G1+D < G1-poseMaskLoss | 0.001
two-stage-ssim | ssim mask_ssim | G1+G2+D < G1-poseMaskLoss | 0.001
one-stage-sharp | sharpness | G1+D > G1-poseMaskLoss | 0.001
two-stage-sharp | sharpness | G1+G2+D > G1-poseMaskLoss | 0.001
adversarial-inception | inception mask_inception | G1+D > G1-poseMaskLoss | 0.001 | splits
adversarial-inception | inception mask_inception | G1+G2+D > G1-poseMaskLoss | 0.001 | splits
blur-rewarded | blur_gain | G1+D > 0 | 0.001
blur-rewarded | blur_gain | G1+G2+D > 0 | 0.001
stages-comparable | ssim | G1+G2+D = G1+D | 0.018
stages-comparable | mask_ssim | G1+G2+D = G1+D | 0.004
stages-comparable-inception | inception | G1+G2+D = G1+D | 0.12 | splits
stages-comparable-inception | mask_inception | G1+G2+D = G1+D | 0.11 | splits
two-stage-detail | detail sharpness | G1+G2+D > G1+D | 0.001
difference-map-faster | l1_gap head_start | G1+G2+D < G2-image+D | 0.001 | curves
difference-map-final | ssim mask_ssim | G1+G2+D > G2-image+D | 0.001
pairs-prevent-copying | background_copy pose_copy | G2-unpaired+D > G1+G2+D | 0.3
lambda-small | artefacts | G2-lambda-small+D > G1+G2+D | 0.001
lambda-large | sharpness | G2-lambda-large+D < G1+G2+D | 0.001
no-bottleneck | detail | G1+G2+D > G2-fc+D | 0.001
background-transfer | background_copy | G1+G2+D > G1+D | 0.001
background-artefacts | background_artefacts | G1+G2+D > G1+D | 0.001
background-artefacts | background_artefacts | G1+G2+D > G1-poseMaskLoss | 0.001
market-harder | ssim body_ssim | G1+G2+D < 0 | 0.001 | halves
rare-poses | body_ssim | G1+G2+D < 0 | 0.001 | rare

patn-progressive | ssim pckh | PATN > PATN-noMask | 0.001
patn-appearance-d | detail | PATN > PATN-noAppearanceD | 0.001
patn-shape-d | pckh | PATN > PATN-noShapeD | 0.001
patn-parameters | parameters | PATN < G1+G2+D | 0.01 | size
patn-poses | pckh | PATN > G1+G2+D | 0.001
patn-poses-cost | pckh | PATN-equalFLOPs > G1+G2+D | 0.001 | cost
patn-ssim | ssim mask_ssim | PATN > G1+G2+D | 0.001
patn-ssim-cost | ssim mask_ssim | PATN-equalFLOPs > G1+G2+D | 0.001 | cost
soft-warp | texture | SoftGated > SoftGated-noWarp | 0.001
soft-gate | texture ssim | SoftGated > SoftGated-noGate | 0.001
soft-parsing | ssim | SoftGated = SoftGated-givenParsing | 0.02
soft-parsing | texture | SoftGated = SoftGated-givenParsing | 0.05
soft-texture | texture | SoftGated > G1+G2+D | 0.001
"""
SIGNS = {">": MORE, "<": LESS, "=": EQUAL}
# Claims of Table 1 whose sentence calls two rows alike, whatever their printed difference.
CALLED_ALIKE = {"hme-equal", "hme-equal-inception", "stages-comparable",
                "stages-comparable-inception"}  # fmt: skip


def expected():
    """Claim -> [(score, first row, second row or None, direction, margin, how)], of EXPECTED."""
    found = {}
    for line in filter(None, EXPECTED.splitlines()):
        name, names, relation, margin, *how = line.split(" | ")
        row, sign, against = relation.split()
        about = None if against == "0" else against, SIGNS[sign], float(margin), *(how or ["rows"])
        found.setdefault(name, []).extend((score, row, *about) for score in names.split())
    return found


def test_every_claim_expects_what_its_sentence_says():
    listed = {
        claim.name: [(c.score, c.row, c.against, c.direction, c.margin, c.how)
                     for c in claim.comparisons]
        for claim in (*claims.CLAIMS, *claims.LATER)
    }  # fmt: skip
    wanted = expected()
    assert list(listed) == list(wanted)
    for name, comparisons in listed.items():
        assert comparisons == wanted[name], name


def test_some_claims_are_about_one_half_and_some_about_a_training_that_fails():
    """Street images have backgrounds to copy and to lose a person in, studio images plain ones."""
    assert {claim.name: claim.half for claim in claims.CLAIMS if claim.half} == {
        "mask-loss-looks": "market1501", "mask-loss-plain": "deepfashion",
        "background-transfer": "market1501", "background-artefacts": "market1501",
    }  # fmt: skip
    failing = {claim.name for claim in claims.CLAIMS for c in claim.comparisons if c.symptom}
    assert failing == {"lambda-small", "lambda-large"}


def test_claims_of_table_1_go_the_way_its_printed_numbers_go():
    signs = []
    for claim in claims.CLAIMS:
        for c in claim.comparisons if "Table 1" in claim.place else ():
            assert (c.direction == EQUAL) == (claim.name in CALLED_ALIKE)
            row, against = (models.find(name).published for name in c.rows)
            for half in [c.half] if c.half else render.HALVES:
                sign = int(np.sign(row[half][c.score] - against[half][c.score]))
                if c.direction != EQUAL:
                    signs.append(sign)
                    # one pair is printed alike, where the text has G1-L1 ahead in every measure
                    alike = (claim.name, c.score) == ("concatenation-inception", "mask_inception")
                    assert sign == (0 if alike else {MORE: 1, LESS: -1}[c.direction]), claim.name
    # of the rows, three SSIM and three Inception Scores: G1-L1, the mask loss, one stage and two
    assert len(signs) == 4 * 6 and signs.count(0) == 1 and signs.count(-1) == 2 * 3


@pytest.mark.parametrize("dataset, profile, own", [
    ("market1501", "paper", 10), ("deepfashion", "paper", 50), ("synthetic-market", "quick", 100),
])  # fmt: skip
def test_the_rows_of_lambda_are_trained_with_its_factors(dataset, profile, own):
    weights = {k: smoke.config(row, dataset, profile).l1_weight for k, row in claims.LAMBDA.items()}
    assert claims.LAMBDA[1] == "G1+G2+D" and list(weights) == [0.01, 0.1, 1, 10, 100]
    assert weights == pytest.approx({factor: factor * own for factor in weights})


def test_every_claim_can_be_asked():
    names = [claim.name for claim in claims.CLAIMS]
    assert len(set(names)) == len(names) >= 20
    rows = {*models.METHODS, "condition", "target"}
    for claim in claims.CLAIMS:
        assert claim.comparisons and claim.half in (None, *render.HALVES)
        for c in claim.comparisons:
            assert c.score in SCORES and set(c.rows) <= rows
            assert c.how in claims.WAYS
            assert c.direction in (MORE, LESS, EQUAL)
            assert c.margin >= c.measure.least  # what a table cannot show is no effect


def test_every_way_has_an_effect():
    assert set(claims.WAYS) == set(effects.EFFECTS)


def test_about_equal_is_narrower_than_what_the_paper_calls_a_difference():
    """Half the gain of the pose mask loss, the smaller one of the two data sets."""
    for score, margin in claims.ALIKE.items():
        rows = [models.find(row).published for row in ("G1-poseMaskLoss", "G1-L1")]
        halves = ("market1501",) if "mask" in score else ("market1501", "deepfashion")
        gains = [rows[0][half][score] - rows[1][half][score] for half in halves]
        assert margin == pytest.approx(min(gains) / 2, abs=0.005) and margin < min(gains)
    assert claims.SAME_POSE < claims.RIGHT_POSE < 0.27  # CE's error of pose


def test_masked_scores_are_the_papers_for_market_alone():
    """Table 1 prints them for Market-1501 only."""
    for claim in claims.CLAIMS:
        if "Table 1" in claim.place:
            for c in claim.comparisons:
                assert c.half == ("market1501" if c.score.startswith("mask_") else None)
    studio = made_up(half="deepfashion")
    asked = {f.comparison.score for r in verdicts.evaluate_claims(studio) for f in r.findings
             if "Table 1" in r.claim.place}  # fmt: skip
    assert asked and not {"mask_ssim", "mask_inception"} & asked


def test_every_ablation_is_asked_about_and_compared_with_its_own_row():
    asked = {
        frozenset(c.rows)
        for claim in claims.CLAIMS
        if claim.needs_ablation
        for c in claim.comparisons
    }
    asked |= {frozenset((row, claims.LAMBDA[1])) for row in claims.LAMBDA.values()}
    for row in map(models.find, models.ablations()):
        assert frozenset((row.name, row.against)) in asked


def test_rows_of_main_and_ablations():
    assert set(models.rows()) <= set(claims.rows_of())
    assert not set(models.ablations()) & set(claims.rows_of())
    assert set(models.ablations()) < set(claims.rows_of(ablations=True))
    assert "G1-CE-L1" not in claims.rows_of(ablations=True)
    assert claims.scores_of("G2-lambda-small+D") == {"artefacts"}


def test_the_rows_of_later_papers_are_not_among_pg2s():
    later = {*claims.rows_of(among=claims.LATER), *claims.rows_of(True, among=claims.LATER)}
    assert {"PATN", "PATN-equalFLOPs", "PATN-noMask"} <= later
    assert not any("PATN" in row for row in (*claims.rows_of(), *claims.rows_of(True)))
    assert "PATN-equalFLOPs" in claims.rows_of(among=claims.LATER)  # of the study itself
