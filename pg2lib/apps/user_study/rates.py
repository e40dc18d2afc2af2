"""Rates of the user study (paper, section 4.4): R2G, the share of real images judged generated,
and G2R, the share of generated images judged real, with confidence intervals."""

import math
from statistics import NormalDist

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from pg2lib.apps.user_study.study import GENERATED, REAL
from pg2lib.core.files import without_nan

RATES = {"R2G": REAL, "G2R": GENERATED}  # what is shown; the share of it judged to be the other
NORMAL = NormalDist()
Z = NORMAL.inv_cdf(0.975)  # of intervals of 95 %


def wilson(rate, answers):
    """Wilson's interval, (low, high), of a rate over so many independent answers. Unlike rate ±
    1.96 standard errors it stays within 0 and 1 and has a width at both ends."""
    whole = 1 + Z * Z / answers
    middle = (rate + Z * Z / (2 * answers)) / whole
    reach = Z * math.sqrt(rate * (1 - rate) / answers + (Z / (2 * answers)) ** 2) / whole
    # The exact ends, which floating point misses by about 1e-17.
    return (0.0 if rate == 0 else middle - reach), (1.0 if rate == 1 else middle + reach)


def interval(wrong, people, images):
    """The 95 % interval, (low, high), of a rate whose answers are not independent: Wilson's with n
    divided by Kish's design effect, clustered by people and by images,

        deff = max(1, deff_people) + max(1, deff_images) - 1,

    and Student's quantile by the number of people, as Korn and Graubard (1998) do for Clopper and
    Pearson's. For one person it describes that person only. A bootstrap over people fails for few
    people and at rates near 0 or 1.

    wrong: bool (n,); people, images: labels (n,) of each answer. (nan, nan) without answers.
    """
    wrong = np.asarray(wrong, float)
    if not len(wrong):
        return math.nan, math.nan
    effect = design_effect(wrong, people) + design_effect(wrong, images) - 1
    persons = len(np.unique(people))
    if persons > 1:
        effect *= (stdtrit(persons - 1, 0.975) / Z) ** 2
    return wilson(float(wrong.mean()), len(wrong) / effect)


def design_effect(wrong, groups):
    """The variance of a rate relative to independent answers, at least 1; 1 for a single group,
    where it cannot be estimated."""
    wrong = np.asarray(wrong, float)
    _, group = np.unique(groups, return_inverse=True)
    count, residual = group.max() + 1, wrong - wrong.mean()
    alone, together = (residual**2).sum(), (np.bincount(group, residual) ** 2).sum()
    if count == 1 or alone == 0:
        return 1.0
    groups_lost, answers_lost = count / (count - 1), len(wrong) / (len(wrong) - 1)
    return max(1.0, float(together * groups_lost / (alone * answers_lost)))


def rates(answers):
    """R2G and G2R, without practice, of a DataFrame of `read_folder` or one person's answers:
    {"R2G": {"mean", "low", "high", "wrong", "of"}, "G2R": likewise}; mean, low and high are None
    without answers."""
    columns = ["participant", "practice", "image", "truth", "answer"]
    answers = pd.DataFrame(answers, columns=columns)
    counted, found = answers[~answers.practice.astype(bool)], {}
    for rate, truth in RATES.items():
        part = counted[counted.truth == truth]
        wrong = (part.answer != truth).to_numpy()
        ends = interval(wrong, part.participant.astype(str), part.image)
        values = map(float, (wrong.mean() if len(wrong) else math.nan, *ends))
        found[rate] = without_nan(dict(zip(("mean", "low", "high"), values)))
        found[rate] |= {"wrong": int(wrong.sum()), "of": len(wrong)}
    return found


def sensitivity(r2g, g2r):
    """(d', c) of two rates strictly between 0 and 1, from signal detection theory: d' is 0 for
    guessing with any bias, which the rates do not show; c > 0 is a bias towards "generated"."""
    hit, false = NORMAL.inv_cdf(1 - r2g), NORMAL.inv_cdf(g2r)
    return hit - false, 0.0 - (hit + false) / 2


def detection(d_prime, bias=0.0):
    """(R2G, G2R) for a d' and c: the inverse of `sensitivity`."""
    return NORMAL.cdf(bias - d_prime / 2), NORMAL.cdf(-bias - d_prime / 2)
