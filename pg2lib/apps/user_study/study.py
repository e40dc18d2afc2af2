"""The paper's user study (section 4.4, Table 2): real or generated, after a look of one second.

A participant is shown 55 real and 55 generated images in random order, each for one second; the
first 10 are practice. Table 2 has R2G, the share of real images that were judged generated, and
G2R, the share of generated images that were judged real.

Answers are kept in $PG2_RUNS/user_study/<study>/<row>/<participant>.csv, a line each, written
through to the disk as they are given. Those of simulated participants, who check the arithmetic,
go through the same code into a folder of their own, user_study_simulated.
"""

import csv
import fcntl
import hashlib
import io
import math
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pg2lib.apps.photo import generate
from pg2lib.core.files import UserError
from pg2lib.models import experiments
from pg2lib.workflow import pipeline
from pg2lib.workflow import run_store as runs
from pg2lib.workflow import shipped as demo

KINDS = REAL, GENERATED = "real", "generated"


@dataclass(frozen=True)
class Protocol:
    """What one participant is shown; the defaults are the paper's."""

    real: int = 55
    generated: int = 55
    practice: int = 10  # of both kinds together, the first ones
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

    @property
    def text(self) -> str:
        """As in the files: real+generated-practice@milliseconds."""
        return f"{self.real}+{self.generated}-{self.practice}@{self.exposure_ms}"

    @property
    def words(self) -> str:
        return (
            f"{self.real} real and {self.generated} generated images for {self.exposure_ms} ms "
            f"each, the first {self.practice} for practice"
        )


PAPER = Protocol()


@dataclass(frozen=True)
class Trial:
    """One image of a participant's plan. index counts images of the data set (real) or its test
    pairs (generated)."""

    number: int  # from 1
    kind: str  # one of KINDS
    index: int
    name: str  # of the image, "TARGET" or "TARGET from CONDITION"
    practice: bool


# ---------------------------------------------------------------- the plan


def plan(test_pairs, names, seed, protocol=PAPER):
    """What a participant sees, in order.

    No target image comes twice, neither as itself nor as what a generated image should look like,
    so that nobody can tell a pair by comparing.

    Args:
        test_pairs: int (k, 2) of (condition, target).
        names: of the images.
        seed: of the choice and of the order.
        protocol: Protocol.

    Returns:
        list of Trial, numbered from 1.

    Raises:
        UserError: too few target images.
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
    order = random.permutation(protocol.total)
    return [
        Trial(number, *shown[place], number <= protocol.practice)
        for number, place in enumerate(order.tolist(), start=1)
    ]


def protocol_for(test_pairs, images=None):
    """The paper's Protocol, or one with fewer images where the test pairs have too few targets.

    images: how many of each kind; None takes the paper's 55, or as many as there are.
    """
    most = len(np.unique(np.asarray(test_pairs)[:, 1])) // 2
    images = images or min(PAPER.real, most)
    return Protocol(images, images, min(PAPER.practice, images // 2))


def participant_seed(study, row, participant) -> int:
    """The seed of a participant's plan: everybody sees other images in another order, and the same
    ones again after an interruption."""
    text = f"{study.name}/{row}/{participant}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def pictures(study, row, data):
    """The function Trial -> uint8 (H, W, 3) that shows a trial of this row's study.

    data: `demo.data(study)`. Generated images are those the row was scored by, or the shipped
    generator paints them.
    """
    if demo.ships(study):
        paint = demo.painter(study, row)

        def generated(pair):
            condition, target = data.test_pairs[pair]
            return generate.generate(paint, data.images[condition], data.keypoints[target])[
                "refined"
            ]
    else:
        generated = pipeline.generated(study, row).__getitem__
    shown = {REAL: data.images.__getitem__, GENERATED: generated}
    return lambda trial: np.array(shown[trial.kind](trial.index))


def generator_key(study, row) -> str:
    """What tells the generator of a row from one that was trained again: it is noted with every
    answer."""
    if demo.ships(study):
        return runs.sha256(demo.weights_file(row))[:12]
    return pipeline.stage_step(study, experiments.stage_names([row])[-1]).key


# ---------------------------------------------------------------- answers on disk

# A line of the file per answer. exposure_ms: from the frame in which the image appeared to that in
# which it was gone; response_ms: from then to the answer; shown: 1, or more where the image was
# shown again because the page was hidden meanwhile.
TYPES = {
    "trial": int,
    "practice": int,
    "image": str,
    "truth": str,
    "answer": str,
    "exposure_ms": float,
    "response_ms": float,
    "shown": int,
    "seed": int,
    "dataset": str,
    "profile": str,
    "row": str,
    "generator": str,
    "protocol": str,
    "time": str,
}
FIELDS = list(TYPES)
STUDY_FIELDS = ("seed", "dataset", "profile", "row", "generator", "protocol")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
REMEDY = "move the file away, or answer under another name"


def folder(study, row, simulated=False) -> Path:
    """Where the answers to a row's study are kept."""
    kind = "user_study_simulated" if simulated else "user_study"
    return runs.root() / kind / study.name / row


def check_name(participant) -> str:
    """The name of a participant, which becomes a file's; else UserError."""
    if not NAME.fullmatch(participant):
        raise UserError(
            f"{participant!r} is no name for a participant: take up to 40 letters, digits, - and _."
        )
    return participant


@dataclass
class Sitting:
    """One participant's way through the plan: `answers` has those on disk, `keep` adds one."""

    participant: str
    path: Path
    trials: list
    facts: dict  # what stands in every line, see STUDY_FIELDS
    answers: list
    good: int  # bytes of the file that hold whole lines
    bytes: int  # of the file as it was left

    @property
    def answered(self) -> int:
        return len(self.answers)

    @property
    def finished(self) -> bool:
        return self.answered == len(self.trials)

    def keep(self, number, answer, exposure_ms, response_ms, shown=1, sync=True):
        """Write the answer to the next trial to the disk; when this returns, it is there.

        Args:
            number: of the trial, to be sure.
            answer: one of KINDS.
            exposure_ms, response_ms, shown: as measured, see TYPES.
            sync: wait for the disk.

        Raises:
            UserError: not the next trial, an impossible answer, or the disk refused; then the
                file is as it was.
        """
        if self.finished:
            raise UserError(
                f"{self.participant} has answered all {len(self.trials)} images; nobody answers "
                "twice."
            )
        trial = self.trials[self.answered]
        if number != trial.number:
            raise UserError(f"the next answer of {self.participant} is to image {trial.number}.")
        line = {
            "trial": trial.number,
            "practice": int(trial.practice),
            "image": trial.name,
            "truth": trial.kind,
            "answer": answer,
            "exposure_ms": round(exposure_ms, 1),
            "response_ms": round(response_ms, 1),
            "shown": shown,
            **self.facts,
            "time": time.strftime("%Y-%m-%d %H:%M:%S"),
        }
        if fault := _fault(line, trial.number):
            raise UserError(f"the answer to image {trial.number} cannot be kept: {fault}.")
        self._append(([] if self.good else [FIELDS]) + [[line[field] for field in FIELDS]], sync)
        self.answers.append(line)

    def _append(self, lines, sync):
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(lines)
        data = text.getvalue().encode()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644), "r+b", 0) as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                if file.seek(0, os.SEEK_END) != self.bytes:
                    raise UserError(
                        f"{self.path} was changed by somebody else: {self.participant} answers in "
                        "another window too. Close that one and run the cells again."
                    )
                try:
                    file.truncate(self.good)  # a torn line goes
                    file.seek(self.good)
                    if file.write(data) != len(data):
                        raise OSError(28, "No space left on device")
                    if sync:
                        os.fsync(file.fileno())
                except OSError:
                    file.truncate(self.good)
                    self.bytes = self.good
                    raise
        except OSError as error:
            raise UserError(
                f"the answer could not be written to {self.path} ({error.strerror}); the ones "
                "before it are safe. Make room, and it is tried again."
            ) from None
        self.good = self.bytes = self.good + len(data)


def sit(study, row, test_pairs, names, participant, protocol=PAPER, generator="", simulated=False):
    """The Sitting of a participant, at the first image that is not answered yet.

    Args:
        study, row: what is studied.
        test_pairs, names, protocol: see `plan`.
        participant: letters, digits, - and _.
        generator: see `generator_key`.
        simulated: whether nobody sits there.

    Raises:
        UserError: a bad name, too few images, or a damaged file or one of another study where the
            participant's answers are kept.
    """
    experiments.choose("row", row, experiments.EVERY_ROW)
    seed = participant_seed(study, row, check_name(participant))
    facts = dict(zip(
        STUDY_FIELDS, (seed, study.dataset, study.profile, row, generator, protocol.text)
    ))  # fmt: skip
    trials = plan(test_pairs, names, seed, protocol)
    path = folder(study, row, simulated) / f"{participant}.csv"
    answers, good, size = read(path) if path.exists() else ([], 0, 0)
    for line, (answer, trial) in enumerate(zip(answers, trials), start=2):
        planned = {"image": trial.name, "truth": trial.kind, "practice": int(trial.practice)}
        for field, value in (facts | planned).items():
            if answer[field] != value:
                raise UserError(
                    f"{path}, line {line}: {field} is {answer[field]}, not {value}: the data, the "
                    f"generator or the protocol changed since; {REMEDY}."
                )
    if len(answers) > len(trials):
        raise UserError(f"{path}, line {len(trials) + 2}: one answer too many; {REMEDY}.")
    return Sitting(participant, path, trials, facts, answers, good, size)


def read(path):
    """(answers, bytes of whole lines, bytes of the file) of a participant's file.

    The answers are dicts, see TYPES. A last line without its end, left by a process that was
    killed while writing, does not count.

    Raises:
        UserError: the file is damaged or none of ours; names the line.
    """
    try:
        data = Path(path).read_bytes()
        good = data.rfind(b"\n") + 1
        lines = list(csv.reader(data[:good].decode().splitlines(), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as answers of the study ({error}).") from None
    whole_header = ",".join(FIELDS).encode()
    if lines[:1] != [FIELDS] and (lines or not whole_header.startswith(data)):
        raise UserError(f"{path}, line 1: this is not the header of a file of answers; {REMEDY}.")
    answers = [_parsed(path, number, line) for number, line in enumerate(lines[1:], start=2)]
    return answers, good, len(data)


def _parsed(path, number, line):
    """The answer in a line of a file as a dict."""
    try:
        answer = {
            field: kind(text) for (field, kind), text in zip(TYPES.items(), line, strict=True)
        }
        fault = _fault(answer, number - 1)
    except ValueError:
        fault = f"not {len(FIELDS)} values as the header says"
    if fault:
        raise UserError(f"{path}, line {number}: {fault}; {REMEDY}.")
    return answer


def _fault(answer, number):
    """What is wrong with an answer, or None."""
    for field in ("truth", "answer"):
        if answer[field] not in KINDS:
            return f"{field} is {answer[field]!r}, neither real nor generated"
    for field in ("exposure_ms", "response_ms"):
        if not 0 <= answer[field] < math.inf:
            return f"{field} is {answer[field]}, no time"
    if answer["trial"] != number or answer["shown"] < 1 or answer["practice"] not in (0, 1):
        return f"trial {answer['trial']}, practice {answer['practice']}, shown {answer['shown']}"


def read_folder(path):
    """All answers in a folder, as a DataFrame with a column "participant" before those of TYPES.

    Raises:
        UserError: a damaged file, or files of different studies.
    """
    found = {file: read(file)[0] for file in sorted(Path(path).glob("*.csv"))}
    first = None
    for file, answers in found.items():
        for number, answer in enumerate(answers, start=2):
            first = first or answer
            for field in ("dataset", "profile", "row"):
                if answer[field] != first[field]:
                    raise UserError(
                        f"{file}, line {number}: answers to {field} {answer[field]} among those "
                        f"to {first[field]}; move the file to its own folder."
                    )
    lines = [{"participant": f.stem} | answer for f, answers in found.items() for answer in answers]
    return pd.DataFrame(lines, columns=["participant", *FIELDS])
