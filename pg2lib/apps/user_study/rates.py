"""What answers of the user study amount to: R2G, G2R, their intervals, and signal detection.

R2G is the share of real images that were judged generated, G2R the share of generated images that
were judged real (paper, section 4.4).
"""

import math
from statistics import NormalDist

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from pg2lib.apps.user_study.study import FIELDS, GENERATED, REAL

# Which images a rate is about; the rate is the share of them that were judged the other kind.
RATES = {"R2G": REAL, "G2R": GENERATED}
NORMAL = NormalDist()
LEVEL = 0.95
Z = NORMAL.inv_cdf((1 + LEVEL) / 2)


def wilson(rate, answers, z=Z):
    """Wilson's interval of a rate measured by so many independent answers: (low, high).

    Unlike rate ± 1.96 standard errors it stays inside 0 and 1 and has a width at 0 and 1.
    """
    middle = (rate + z * z / (2 * answers)) / (1 + z * z / answers)
    reach = z * math.sqrt(rate * (1 - rate) / answers + (z / (2 * answers)) ** 2)
    reach /= 1 + z * z / answers
    # Floating point leaves some 1e-17 beside the ends that are exact.
    return (0.0 if rate == 0 else middle - reach), (1.0 if rate == 1 else middle + reach)


def interval(wrong, people, images):
    """The 95 % interval of a rate whose answers are not independent: (low, high).

    Some people err more than others and some images fool more people than others, so that n
    answers tell less than n coins would. Wilson's interval is taken with n divided by Kish's
    design effect, the variance of the rate over that of independent answers. It is estimated from
    the residuals summed within people, and within images:

        deff = max(1, deff_people) + max(1, deff_images) - 1,

    the two-way clustered variance, except that neither part is let below independence. The
    quantile is Student's, by the number of people, since the variance between few of them is
    hardly known (Korn and Graubard 1998 did the same for Clopper and Pearson's interval). It is
    wide for two people, as it should be. One person has no variance between people: the interval
    then speaks of that person alone. A bootstrap over people would end at 0 or 1 too early, and
    cannot do with few of them.

    Args:
        wrong: bool (n,), whether the answer was.
        people, images: (n,) labels, whose answer to what.

    Returns:
        (nan, nan) without answers.
    """
    wrong = np.asarray(wrong, float)
    if not len(wrong):
        return math.nan, math.nan
    effect = design_effect(wrong, people) + design_effect(wrong, images) - 1
    persons = len(np.unique(people))
    if persons > 1:
        effect *= (stdtrit(persons - 1, (1 + LEVEL) / 2) / Z) ** 2
    return wilson(float(wrong.mean()), len(wrong) / effect)


def design_effect(wrong, groups):
    """How many times larger the variance of a rate is than if the answers of a group were
    independent: at least 1, and 1 for a single group, which cannot tell."""
    wrong = np.asarray(wrong, float)
    _, group = np.unique(groups, return_inverse=True)
    count = group.max() + 1
    residual = wrong - wrong.mean()
    alone = (residual**2).sum()
    if count == 1 or alone == 0:
        return 1.0
    together = (np.bincount(group, residual) ** 2).sum()
    groups_lost, answers_lost = count / (count - 1), len(wrong) / (len(wrong) - 1)
    return max(1.0, float(together * groups_lost / (alone * answers_lost)))


def rates(answers):
    """R2G and G2R of answers, those for practice left out.

    Args:
        answers: DataFrame of `read_folder`, of any number of participants, or a list of dicts of
            one of them.

    Returns:
        {"R2G": {"mean", "low", "high", "wrong", "of"}, "G2R": likewise}; mean, low and high are
        None without answers.
    """
    answers = pd.DataFrame(answers, columns=["participant", *FIELDS])
    counted, found = answers[answers.practice == 0], {}
    for rate, truth in RATES.items():
        part = counted[counted.truth == truth]
        wrong = (part.answer != truth).to_numpy()
        ends = interval(wrong, part.participant.astype(str), part.image)
        values = (wrong.mean(), *ends) if len(wrong) else (None, None, None)
        found[rate] = dict(zip(("mean", "low", "high"), map(_plain, values)))
        found[rate] |= {"wrong": int(wrong.sum()), "of": len(wrong)}
    return found


def _plain(value):
    return None if value is None else float(value)


def sensitivity(r2g, g2r):
    """(d', c) of two rates strictly between 0 and 1: how well the kinds are told apart, and the
    leaning to one answer (above 0: to "generated"), from signal detection theory.

    d' is 0 for whoever guesses, leaning or not; the rates alone do not show that.
    """
    hit, false = NORMAL.inv_cdf(1 - r2g), NORMAL.inv_cdf(g2r)
    return hit - false, 0.0 - (hit + false) / 2


def detection(d_prime, leaning=0.0):
    """(R2G, G2R) of somebody with this d' and c: the inverse of `sensitivity`."""
    return NORMAL.cdf(leaning - d_prime / 2), NORMAL.cdf(-leaning - d_prime / 2)
