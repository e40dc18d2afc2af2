"""What there is to report: the folders of results, and what their files agree on."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from pg2lib.core.files import UserError
from pg2lib.models import experiments
from pg2lib.results import tables
from pg2lib.results.report.elements import slug
from pg2lib.results.report.sections import SECTIONS, Section
from pg2lib.workflow import pipeline, reproduce
from pg2lib.workflow import run_store as runs
from pg2lib.workflow import shipped as demo

# How pipeline.Study names its folder.
NAME = re.compile(
    rf"(?P<dataset>{'|'.join(experiments.DATASETS)})-(?P<profile>{'|'.join(experiments.PROFILES)})"
    r"(?:-seed(?P<seed>\d+))?"
)


@dataclass(frozen=True)
class Study:
    """A folder of results: its anchor on the page and the facts that its files agree on.

    dataset is None for the folder that holds both halves of Table 1; recorded is the command in
    the files, if there is one.
    """

    folder: Path
    anchor: str
    dataset: str | None
    profile: str
    seed: int
    drawn: bool
    recorded: str | None

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def shipped(self) -> bool:
        """Whether the generators that ship with the project painted all of it: none is scored."""
        return demo.ships(self) and not (self.folder / "table1.json").exists()

    @property
    def heading(self) -> str:
        of = self.dataset or "Both halves of Table 1"
        seed = f", seed {self.seed}" if self.seed else ""
        text = f"{of}, profile {self.profile}{seed}"
        return f"The generators that ship with the project ({text})" if self.shipped else text

    @property
    def sections(self) -> tuple[Section, ...]:
        """Table 1 alone of both halves."""
        return SECTIONS if self.dataset else SECTIONS[:1]

    @property
    def command(self) -> str:
        """What makes all of it again."""
        if self.shipped:
            books = [f"notebooks/{book.name}.ipynb" for book in reproduce.NOTEBOOKS if book.ships]
            return f".venv/bin/jupyter execute {' '.join(books)}"
        command = self.recorded or pipeline.command(self.dataset, self.profile)
        return with_source(command, self.drawn)

    @property
    def facts(self) -> dict:
        """What is known of every file of the study."""
        about = {"dataset": self.dataset, "profile": self.profile, "seed": self.seed}
        return about | {"command": self.command}


def studies_in(folder) -> list[Study]:
    """The studies whose results lie in a figures folder: both halves first, then real images.

    Raises:
        UserError: there are none, or a file is not JSON.
    """
    folder = Path(folder)
    studies, anchors = [], Counter()
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        facts = facts_of(path) if path.is_dir() and path.name[0] != "." else None
        if facts:
            anchor = slug(path.name)
            anchors[anchor] += 1
            anchor += f"-{anchors[anchor]}" if anchors[anchor] > 1 else ""
            studies.append(Study(path, anchor, **facts))
    if not studies:
        raise UserError(
            f"{folder} holds no results; `make reproduce` makes some, or name another folder with "
            "PG2_FIGURES"
        )
    return sorted(studies, key=_order)


def facts_of(folder: Path) -> dict | None:
    """Data set, profile, seed, command and whether the images are drawn, of a results folder.

    Some file says so, Table 1 first; else, if there are any, the folder's name. None if neither.
    """
    paths = sorted(folder.glob("*.json"), key=lambda path: (path.stem != "table1", path))
    for path in paths:
        record = read_json(path)
        facts = record.get("facts", record) if isinstance(record, dict) else None
        if not isinstance(facts, dict) or not {"command", "made_by"} & set(facts):
            continue
        seed, command = facts.get("seed", 0), facts.get("command")
        if {"dataset", "profile"} <= set(facts):
            return _facts(facts["dataset"], facts["profile"], seed, command)
        halves = [key.removesuffix(":dataset") for key in facts if key.endswith(":dataset")]
        if halves:
            profile, seed = (facts.get(f"{halves[0]}:{key}") for key in ("profile", "seed"))
            drawn = all(is_drawn(facts[f"{half}:dataset"]) for half in halves)
            return _facts(None, profile, seed, command) | {"drawn": drawn}
    named = NAME.fullmatch(folder.name) if paths else None
    return _facts(named["dataset"], named["profile"], int(named["seed"] or 0)) if named else None


def _facts(dataset, profile, seed, command=None) -> dict:
    about = {"dataset": dataset, "profile": profile, "seed": seed, "recorded": command}
    return about | {"drawn": is_drawn(dataset)}


def read_json(path: Path):
    """`runs.read_json`, but what is there and no JSON is an error."""
    record = runs.read_json(path)
    if record is None and path.exists():
        raise UserError(f"{path} is not JSON; delete it and run `make reproduce` again")
    return record


def is_drawn(dataset) -> bool:
    """Whether the project draws the images itself; what it does not know is taken for real."""
    setting = experiments.SETTINGS.get(dataset)
    return setting is not None and setting.drawn


def with_source(command: str, drawn: bool) -> str:
    """The command, with the folder to name for real images."""
    return command + ("" if drawn or "PG2_DATA" in command else " PG2_DATA=<folder>")


def trained_means(table, score) -> dict:
    """row -> mean of a score, of the trained rows of a table."""
    rows = {row["row"]: row["ours"].get(score) for row in table["rows"]}
    return {
        row: value["mean"]
        for row, value in rows.items()
        if row not in tables.LABELS and value and value["mean"] is not None
    }


def _order(study):
    datasets, profiles = list(experiments.SETTINGS), ["paper", "released", "lite", "quick", "smoke"]

    def place(value, among):
        return among.index(value) if value in among else len(among)

    return (
        study.dataset is not None,
        study.drawn,
        place(study.profile, profiles),
        place(study.dataset, datasets),
        study.name,
    )
