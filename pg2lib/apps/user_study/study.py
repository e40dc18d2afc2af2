"""The paper's user study (section 4.4, Table 2): real or generated, after a one-second look.

A participant sees 55 real and 55 generated images in random order; the first 10 are practice.
Answers are kept in $PG2_RUNS/user_study/STUDY/ROW/PARTICIPANT.jsonl: a line on the session, then a
line per answer, each synced to the disk when it is given.
"""

import hashlib
import json
import math
import os
import re
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd

from pg2lib import models
from pg2lib.core.config import check_type
from pg2lib.core.files import UserError, sha256
from pg2lib.evaluation.score_row import generate_pairs
from pg2lib.workflow import pipeline, run_store, shipped

KINDS = REAL, GENERATED = "real", "generated"


@dataclass(frozen=True)
class Protocol:
    """What one participant sees; the defaults are the paper's."""

    real: int = 55
    generated: int = 55
    practice: int = 10  # the first images, of both kinds together
    exposure_ms: int = 1000

    def __post_init__(self):
        if min(self.real, self.generated) < 1 or not 0 <= self.practice < self.total:
            raise UserError(
                "a user study needs real and generated images, and more of them than practice: "
                f"not {self.real} and {self.generated} with {self.practice} for practice."
            )

    @property
    def total(self) -> int:
        return self.real + self.generated

    def __str__(self) -> str:
        return (
            f"{self.real} real and {self.generated} generated images for {self.exposure_ms} ms "
            f"each, the first {self.practice} for practice"
        )


PAPER = Protocol()


@dataclass(frozen=True)
class Trial:
    """One image of a participant's plan."""

    number: int  # from 1
    kind: str  # one of KINDS
    index: int  # into the images of the data set (real) or its test pairs (generated)
    name: str  # of the image, "TARGET" or "TARGET from CONDITION"
    practice: bool


def plan(test_pairs, names, seed, protocol=PAPER):
    """The images of one participant, in order: a list of Trial, in which no target appears twice,
    neither real nor generated, so that no pair can be compared. UserError for too few targets.

    test_pairs: int (k, 2) of (condition, target); names: of the images; seed: of choice and order.
    """
    pairs = np.asarray(test_pairs)
    targets = np.unique(pairs[:, 1])
    if len(targets) < protocol.total:
        raise UserError(
            f"{protocol.real} real and {protocol.generated} generated images need "
            f"{protocol.total} different target images; these test pairs have {len(targets)}: ask "
            f"for at most {len(targets) // 2} of each kind."
        )
    random = np.random.default_rng((seed, 6))
    targets = random.permutation(targets)[: protocol.total]
    shown = [(REAL, int(target), names[target]) for target in targets[: protocol.real]]
    for target in targets[protocol.real :]:
        pair = int(random.choice(np.flatnonzero(pairs[:, 1] == target)))
        shown.append((GENERATED, pair, f"{names[target]} from {names[pairs[pair, 0]]}"))
    order = random.permutation(protocol.total).tolist()
    return [Trial(k, *shown[place], k <= protocol.practice) for k, place in enumerate(order, 1)]


def protocol_for(test_pairs, images=None):
    """A Protocol with so many images of each kind; None: the paper's, or fewer if the test pairs
    have too few targets."""
    check_type("images", images, int | None)
    if images is None:
        images = min(PAPER.real, len(np.unique(np.asarray(test_pairs)[:, 1])) // 2)
    return Protocol(images, images, min(PAPER.practice, images // 2))


def participant_seed(study, row, participant) -> int:
    """The seed of a participant's plan, which is the same after an interruption."""
    text = f"{study.name}/{row}/{participant}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def pictures(study, row, data):
    """The function trials -> their images, a list of uint8 (H, W, 3): of `data`, which is
    `shipped.data(study)`, or generated, by the bundled generator or as the row was scored."""
    check_type("row", row, str)
    bundled = shipped.ships(study)
    made = shipped.generate_fn(study, row) if bundled else pipeline.generated(study, row)

    def images(trials):
        indices = [trial.index for trial in trials if trial.kind == GENERATED]
        if bundled and indices:  # all together: much faster than one by one
            painted = generate_pairs(made, data, data.test_pairs[indices])["generated"]
        else:
            painted = np.array(made[indices] if indices else [])
        rest = iter(painted)
        return [
            next(rest) if trial.kind == GENERATED else np.array(data.images[trial.index])
            for trial in trials
        ]

    return images


def generator_key(study, row) -> str:
    """An identifier of a row's trained generator, recorded with each session."""
    if shipped.ships(study):
        return sha256(shipped.weights_file(row, study.dataset))[:12]
    return pipeline.train_step(study, row).key


# --- answers on disk ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """The answer to a trial, a line of the file. ValueError or TypeError for impossible values."""

    trial: int  # from 1
    practice: bool
    image: str
    truth: str
    answer: str
    exposure_ms: float  # from the frame in which the image appeared to that in which it was gone
    response_ms: float  # from then to the answer
    shown: int  # 1, or more if the image was shown again because the page was hidden meanwhile
    time: str

    def __post_init__(self):
        if self.truth not in KINDS or self.answer not in KINDS:
            raise ValueError(f"{self.answer!r} for {self.truth!r}, neither real nor generated")
        if not (0 <= self.exposure_ms < math.inf and 0 <= self.response_ms < math.inf):
            raise ValueError(f"exposure_ms {self.exposure_ms}, response_ms {self.response_ms}")
        if self.practice not in (True, False) or self.shown < 1:
            raise ValueError(f"practice {self.practice}, shown {self.shown}")


# The fields of the first line, the same for the whole session.
FACTS = ("participant", "seed", "dataset", "profile", "row", "generator", "protocol", "simulated")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
REMEDY = "move the file away, or answer under another name"


def folder(study, row, simulated=False) -> Path:
    """The folder of the answers to a row's study; simulated ones (`simulated`) are kept apart."""
    kind = "user_study_simulated" if simulated else "user_study"
    return run_store.root() / kind / study.name / row


@dataclass
class Session:
    """One participant's pass through the plan: `answers` are those on disk, `record` adds one."""

    path: Path
    facts: dict  # the first line of the file, see FACTS
    trials: list
    answers: list
    size: int  # of the file in bytes

    @property
    def answered(self) -> int:
        return len(self.answers)

    @property
    def finished(self) -> bool:
        return self.answered == len(self.trials)

    def record(self, number, answer, exposure_ms, response_ms, shown=1):
        """Append the answer to the trial `number` (see Answer); on return it is on the disk.

        UserError, and an unchanged file, if it is not the next trial, the answer is impossible, or
        the disk fails.
        """
        if self.finished:
            raise UserError(f"{self.path.stem} has answered all {len(self.trials)} images.")
        trial = self.trials[self.answered]
        if number != trial.number:
            raise UserError(f"the next answer of {self.path.stem} is to image {trial.number}.")
        planned, now = (trial.practice, trial.name, trial.kind), time.strftime("%Y-%m-%d %H:%M:%S")
        try:
            measured = round(exposure_ms, 1), round(response_ms, 1), shown
            line = Answer(number, *planned, answer, *measured, now)
        except (ValueError, TypeError) as error:
            raise UserError(f"the answer to image {number} is invalid: {error}.") from None
        lines = [line] if self.size else [self.facts, line]
        self._append("".join(json.dumps(one, default=asdict) + "\n" for one in lines).encode())
        self.answers.append(line)

    def _append(self, data: bytes):
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "ab", buffering=0) as file:
                if file.tell() != self.size:
                    raise UserError(
                        f"{self.path} was changed by another window of {self.path.stem}; close "
                        "that one and run the cells again."
                    )
                try:
                    if file.write(data) != len(data):
                        raise OSError(28, "No space left on device")
                    if not self.facts["simulated"]:
                        os.fsync(file.fileno())
                except OSError:
                    file.truncate(self.size)
                    raise
        except OSError as error:
            raise UserError(
                f"the answer could not be written to {self.path} ({error.strerror}); earlier "
                "answers are safe. Free some space; the answer is sent again."
            ) from None
        self.size += len(data)


def start_session(
    study,
    row,
    test_pairs,
    names,
    participant,
    protocol=PAPER,
    generator="",
    simulated=False,
    among=None,
):
    """The Session of a participant, at the first image without an answer.

    test_pairs, names, protocol: see `plan`; participant: letters, digits, - and _; generator: see
    `generator_key`; simulated: whether `simulated` makes up the answers; among: a folder for the
    file other than `folder`. UserError for an invalid name, too few images, or a file of the
    participant that is damaged or of another study.
    """
    models.find(row)
    check_type("participant", participant, str)
    if not NAME.fullmatch(participant):
        raise UserError(
            f"{participant!r} is not a valid name: use up to 40 letters, digits, - and _."
        )
    seed = participant_seed(study, row, participant)
    profile = study.profile_name
    values = participant, seed, study.dataset, profile, row, generator, protocol, simulated
    facts = dict(zip(FACTS, values, strict=True))
    trials = plan(test_pairs, names, seed, protocol)
    path = (among or folder(study, row, simulated)) / f"{participant}.jsonl"
    if not path.exists():
        return Session(path, facts, trials, [], 0)
    stored, answers, size = read(path)
    planned = [{"image": t.name, "truth": t.kind, "practice": t.practice} for t in trials]
    lines = zip([stored or facts, *map(asdict, answers)], [facts, *planned])
    for number, (line, expected) in enumerate(lines, start=1):
        for field, value in expected.items():
            if line[field] != value:
                raise UserError(
                    f"{path}, line {number}: {field} is {line[field]}, not {value}: the data, the "
                    f"generator or the protocol has changed; {REMEDY}."
                )
    if len(answers) > len(trials):
        raise UserError(f"{path}, line {len(trials) + 2}: one answer too many; {REMEDY}.")
    os.truncate(path, size)  # drops an incomplete last line
    return Session(path, facts, trials, answers, size)


def read(path):
    """(facts or None, [Answer], bytes of complete lines) of a participant's file; for the facts,
    with a Protocol, see FACTS. An incomplete last line, left by a process that was killed while
    writing, is ignored. UserError, with the line, for a damaged file."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from None
    size = data.rfind(b"\n") + 1
    facts, answers = None, []
    for number, line in enumerate(data[:size].splitlines()):
        try:
            content = json.loads(line)
            if number:
                answers.append(Answer(**content))
                if answers[-1].trial != number:
                    raise ValueError(f"trial {answers[-1].trial} instead of {number}")
            else:
                facts = content | {"protocol": Protocol(**content["protocol"])}
                if set(facts) != set(FACTS):
                    raise ValueError(f"its fields are not {', '.join(FACTS)}")
        except (ValueError, TypeError, KeyError, RecursionError, UserError) as error:
            where = f"{path}, line {number + 1}"
            raise UserError(f"{where}: invalid line ({error}); {REMEDY}.") from None
    return facts, answers, size


def read_folder(path):
    """All answers in a folder: a DataFrame with the columns FACTS (protocol: Protocol) and the
    fields of Answer. UserError for a damaged file, or files of different studies."""
    lines, first = [], None
    for file in sorted(Path(path).glob("*.jsonl")):
        facts, answers, _ = read(file)
        first = first or facts
        for field in ("dataset", "profile", "row", "simulated"):
            if facts and facts[field] != first[field]:
                raise UserError(
                    f"{file}: answers to {field} {facts[field]} among those to {first[field]}; "
                    "move the file to its own folder."
                )
        lines += [facts | asdict(answer) for answer in answers]
    return pd.DataFrame(lines, columns=[*FACTS, *(field.name for field in fields(Answer))])
