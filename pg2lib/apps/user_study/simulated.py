"""Simulated participants with known error rates, to check the study's arithmetic: the plans and
files of people, in a temporary folder."""

import tempfile
from pathlib import Path

import numpy as np

from pg2lib.apps.user_study import study as user_study
from pg2lib.apps.user_study.rates import detection
from pg2lib.apps.user_study.study import GENERATED, KINDS, REAL
from pg2lib.core.files import UserError

# Probabilities of judging a real image generated, and a generated image real.
SIMULATED = {
    "perfect": (0.0, 0.0),
    "guessing": (0.5, 0.5),
    "always real": (0.0, 1.0),
    "mostly real": (0.2, 0.8),
    "believable": detection(2.5, 0.1),
}


def simulate(session, probabilities, seed=0):
    """Answer the remaining trials of a session at random; returns the session.

    probabilities: (R2G, G2R); seed: combined with the session's own. UserError for a session that
    was not started with simulated=True.
    """
    if not session.facts["simulated"]:
        raise UserError(f"{session.path} is for a real participant; answers cannot be simulated.")
    random = np.random.default_rng((seed, session.facts["seed"], 7))
    error, exposure = dict(zip(KINDS, probabilities)), session.facts["protocol"].exposure_ms
    for trial in session.trials:
        errs, response = random.random() < error[trial.kind], random.lognormal(6.4, 0.4)
        if trial.number > session.answered:
            other = GENERATED if trial.kind == REAL else REAL
            session.record(trial.number, other if errs else trial.kind, exposure, response)
    return session


def simulated_answers(study, row, test_pairs, names, kind, people, protocol=user_study.PAPER):
    """The answers of `people` simulated participants of one kind in SIMULATED, in the form of
    `read_folder`. Other arguments: see `start_session`."""
    who = [f"{kind.replace(' ', '-')}-{number:02}" for number in range(1, people + 1)]
    with tempfile.TemporaryDirectory() as folder:  # two notebooks may do this at once
        for name in who:
            given = study, row, test_pairs, names, name, protocol
            session = user_study.start_session(*given, simulated=True, among=Path(folder))
            simulate(session, SIMULATED[kind])
        return user_study.read_folder(folder)
