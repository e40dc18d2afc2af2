"""Participants of the user study whose answers are known, to check its arithmetic.

They go through the same plans and files as people do, into a folder of their own.
"""

import numpy as np

from pg2lib.apps.user_study.rates import detection
from pg2lib.apps.user_study.study import GENERATED, KINDS, PAPER, REAL, folder, read_folder, sit
from pg2lib.core.files import UserError

# Chances of judging a real image generated, and a generated one real.
SIMULATED = {
    "perfect": (0.0, 0.0),
    "guessing": (0.5, 0.5),
    "always real": (0.0, 1.0),
    "mostly real": (0.2, 0.8),
    "believable": detection(2.5, 0.1),
}


def simulate(sitting, chances, seed=0):
    """Let nobody answer what is left of a sitting, by chance; returns the sitting.

    Args:
        sitting: of `sit` with simulated=True.
        chances: (R2G, G2R), see SIMULATED.
        seed: of the answers, with the sitting's own seed.

    Raises:
        UserError: a sitting of somebody real.
    """
    if "user_study_simulated" not in sitting.path.parts:
        raise UserError(f"{sitting.path} holds answers of people; nothing is simulated there.")
    random = np.random.default_rng((seed, sitting.facts["seed"], 7))
    chance = dict(zip(KINDS, chances))
    exposure = float(sitting.facts["protocol"].partition("@")[2])
    other = {REAL: GENERATED, GENERATED: REAL}
    for trial in sitting.trials:
        errs, response = random.random() < chance[trial.kind], random.lognormal(6.4, 0.4)
        if trial.number > sitting.answered:
            answer = other[trial.kind] if errs else trial.kind
            sitting.keep(trial.number, answer, exposure, response, sync=False)
    return sitting


def simulated_answers(study, row, test_pairs, names, kind, people, protocol=PAPER):
    """Answers of so many simulated participants of one kind, as `read_folder` reads them.

    kind: of SIMULATED. Their files are written anew; the other arguments are those of `sit`.
    """
    who = [f"{kind.replace(' ', '-')}-{number:02}" for number in range(1, people + 1)]
    path = folder(study, row, simulated=True)
    for name in who:
        (path / f"{name}.csv").unlink(missing_ok=True)
        sitting = sit(study, row, test_pairs, names, name, protocol, simulated=True)
        simulate(sitting, SIMULATED[kind])
    answers = read_folder(path)
    return answers[answers.participant.isin(who)].reset_index(drop=True)
