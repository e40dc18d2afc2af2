"""The card of published weights: their training data, cost and scores.

Scores are computed from the files themselves, with eight bits per weight if small, on people unseen
in training. Weights for a model hub also get a page with what is known of them.
"""

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader

from pg2lib import models
from pg2lib.core.files import UserError, read_record, write_atomically, write_csv, write_json
from pg2lib.evaluation import detail, score_row
from pg2lib.evaluation.pck import ARMS, joint_counts, pckh
from pg2lib.evaluation.scores import SCORES, names
from pg2lib.results import figures, provenance, sheets
from pg2lib.results.render import markdown_grid, score_text
from pg2lib.training import describe, loop, weights
from pg2lib.workflow import pipeline, shipped
from pg2lib.workflow import run_store as runs

# Measure -> (heading, goal, whether the goal is relative to the real target's value), for images to
# look at; values must reach the goal, or stay below it if lower is better.
GOALS = {
    "pckh": ("PCKh", 0.95, True),
    "arms": ("PCKh of elbows and wrists", 0.9, True),
    "ssim": ("SSIM", None, False),
    "mask_ssim": ("mask-SSIM", None, False),
    "sharpness": ("sharpness", 0.6, False),
    "stripes": ("period-2 energy", 1.5, False),
    "fixed_share": ("one picture", 0.1, False),
    "colour_kept": ("clothes' colour right", 0.95, False),
}
MEASURES = {"arms": "pckh", "colour_kept": "pckh"}  # printed as that score is
EXAMPLES = 6  # pairs in Figure 4
PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("pages_of_weights")),
    trim_blocks=True,
    keep_trailing_newline=True,
)


def write_card(study, files: dict, folder: Path, log) -> list[Path]:
    """Score published weights (row -> path) on the test pairs of a study. Writes card.md, card.json
    and logs.csv, the training logs, into `folder` and returns their paths.

    Raises UserError for a file that is missing, damaged or of another image size than the study's,
    and for one that does not come from the study's training in the run store.
    """
    data = pipeline.data(study, log)
    loaded = painters(study, files, data)
    for row, path in files.items():
        step = pipeline.train_step(study, row)
        if weights.load(path, "cpu", row)[0].keys[row] != step.key or not runs.state(step).hit:
            raise UserError(
                f"{path} is not of the training {step.folder}, whose cost and log a card tells; "
                "run `make demo`, or for another profile `pg2 train` and `pg2 export`"
            )
    rows = {row: None for row in score_row.REFERENCES} | loaded
    scores = {row: measured(study, data, row, fn, log) for row, fn in rows.items()}
    record = {
        "dataset": study.dataset,
        "profile": study.changes,
        "seed": study.seed,
        "command": "make demo",
        "pairs": len(data.test_pairs),
        "people": len(np.unique(data.identities[data.test_pairs[:, 1]])),
        "training_people": len(np.unique(data.identities[data.train])),
        "size": [data.height, data.width],
        "trainings": [training(study, row, files[row]) for row in loaded],
        "scores": scores,
    }
    paths = [folder / name for name in ("card.md", "card.json", "logs.csv")]
    with write_atomically(paths[0]) as temporary:
        temporary.write_text(text(record), encoding="utf-8")
    write_json(paths[1], record)
    logs = [pd.DataFrame(pipeline.training_log(study, row)).assign(row=row) for row in loaded]
    write_csv(paths[2], pd.concat(logs))
    return paths


def painters(study, files: dict, data) -> dict:
    """row -> its generator as a function, from published weights (row -> path). Raises UserError
    for a file of another image size than the data's."""
    loaded = {row: weights.load(path, study.device, row) for row, path in files.items()}
    for row, (published, _) in loaded.items():
        if published.size != (data.height, data.width):
            raise UserError(f"{files[row]} paints {published.size}, not {data.height, data.width}")
    return {row: generate_fn for row, (_, generate_fn) in loaded.items()}


def write_figure4(study, files: dict, folder: Path) -> Path:
    """Write figure4.png into `folder`: Figure 4 of the paper from published weights (row -> path),
    on the people of `shipped.data`. Returns its path."""
    data = shipped.data(study)
    chosen = figures.select_examples(data, EXAMPLES, study.seed)
    data = replace(data, test_pairs=data.test_pairs[chosen])
    painted = {
        row: score_row.generate_pairs(generate_fn, data, data.test_pairs)["generated"]
        for row, generate_fn in painters(study, files, data).items()
    }
    sheet = sheets.rows_sheet(data, np.arange(EXAMPLES), painted)
    return provenance.save(sheet, folder / "figure4.png", shipped.facts(study, "pg2 card", files))


def measured(study, data, row, generate_fn, log) -> dict:
    """measure -> {"mean", "low", "high"} of GOALS on the test pairs, or None."""
    how, estimator = pipeline.scoring(study, "pg2", "target"), pipeline.estimator(study)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        summary = score_row.evaluate_row(row, generate_fn, data, folder, how, estimator)
        images, target = np.load(folder / "generated.npy"), data.test_pairs[:, 1]
    log(f"scored   {row}")
    people, poses = np.asarray(data.identities)[target], data.keypoints[target]
    arms = pckh(
        np.concatenate([estimator(part) for part in np.array_split(images, 20)]), poses, ARMS
    )
    kept = detail.torso_colour_kept(images, data.images[target], poses)
    own = {
        "arms": score_row.with_interval(arms, people, joint_counts(poses[:, ARMS])),
        "colour_kept": score_row.with_interval(kept, people),
    }
    return {name: (summary["scores"] | own).get(name) for name in GOALS}


def training(study, row, path) -> dict:
    """Training cost of a row's own networks, and the size of its file."""
    step, config = pipeline.train_step(study, row), pipeline.method_config(study, row)
    done, log = runs.read_done(step)["facts"], loop.read_log(step.folder / "log.jsonl")
    return {
        "row": row,
        "start": models.find(row).start,
        "channels": config.channels,
        "iterations": config.iterations,
        "pairs_seen": config.iterations * config.batch,
        "pairs_per_second": log[-1]["images_per_second"],
        "pflops": describe.training_gflops(models.find(row), config) / 1e6,
        "precision": done.get("precision"),
        "megabytes": round(path.stat().st_size / 1e6, 2),
    }


def met(name, value, real) -> bool | None:
    """Whether a mean reaches its goal; None where there is none, or nothing to hold it against."""
    goal, of_real = GOALS[name][1:]
    if goal is None or value is None:
        return None
    if of_real and not real:
        return None
    value = value / real if of_real else value
    lower = name in SCORES and SCORES[name].aim == "lower"
    return value <= goal if lower else value >= goal


def text(record) -> str:
    """The card in Markdown."""
    scores, trainings = record["scores"], record["trainings"]
    lines = [
        [heading, *(cell(name, own[name]) for own in scores.values()), goal_text(name)]
        for name, (heading, *_) in GOALS.items()
    ]
    faults = [
        f"{row}: {heading} {cell(name, scores[row][name])}"
        for row in (each["row"] for each in trainings)
        for name, (heading, *_) in GOALS.items()
        if met(name, mean(scores[row][name]), mean(scores["target"][name])) is False
    ]
    table = markdown_grid(["", *scores, "goal"], lines)
    return page("card.md", record, costs=costs(trainings), table=table, faults=faults)


def costs(trainings) -> str:
    """The `training` of each row as a Markdown table."""
    lines = [
        [each["row"], each["start"] or "-", str(each["channels"]), f"{each['iterations']:,}",
         f"{each['pairs_seen']:,}", f"{each['pflops']:.2f}", f"{each['pairs_per_second']:.0f}",
         each["precision"], f"{each['megabytes']:.1f}"]
        for each in trainings
    ]  # fmt: skip
    head = ["row", "refines", "channels", "iterations", "pairs seen", "PFLOP", "pairs a second",
            "precision", "file, MB"]  # fmt: skip
    return markdown_grid(head, lines, 2)


def page(template: str, *values, **more) -> str:
    return PAGES.get_template(template).render(*values, **more)


def mean(value):
    return value and value["mean"]


def cell(name, value) -> str:
    score = SCORES[MEASURES.get(name, name)]
    return "-" if mean(value) is None else score_text(value, score)


def goal_text(name) -> str:
    _, goal, of_real = GOALS[name]
    if goal is None:
        return "-"
    lower = name in SCORES and SCORES[name].aim == "lower"
    return f"{'at most' if lower else 'at least'} {goal:g}{' of real' if of_real else ''}"


# ---- for a model hub


def write_hub_page(study, files: dict, folder: Path) -> Path:
    """Write README.md beside published weights (row -> path), with the header for model hubs.
    Scores come from `known_scores`."""
    published = {row: weights.load(path, "cpu", row)[0] for row, path in files.items()}
    found = {row: s for row in files if (s := known_scores(study, row, published[row].keys))}
    head = ["", *(SCORES[name].heading for name in names("table1"))]
    lines = [[row, *(cell(n, s.get(n)) for n in names("table1"))] for row, s in found.items()]
    text = page(
        "hub.md",
        header=hub_header(study, found),
        files={files[row].name: weights.about(published[row]) for row in files},
        rows=list(files),
        costs=costs([training(study, row, path) for row, path in files.items()]),
        table=lines and markdown_grid(head, lines),
        drawn=study.setting.drawn,
    )
    with write_atomically(folder / "README.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    return folder / "README.md"


def known_scores(study, row, keys) -> dict:
    """A row's scores from the run store, else from card.json if the bundled generators come from
    the trainings `keys`; else {}."""
    step = pipeline.score_step(study, row)
    if runs.state(step).hit:
        runs.verify(step)
        return score_row.read_summary(step.folder)["scores"]
    if not (shipped.ships(study) and row in shipped.rows(study.dataset)):
        return {}
    same = weights.load(shipped.weights_file(row, study.dataset), "cpu", row)[0].keys == keys
    record = read_record(runs.shipped_figures() / study.name / "card.json")
    return record["scores"].get(row, {}) if same and record else {}


def hub_header(study, found: dict) -> str:
    """The header for model hubs: YAML between ---, its values as JSON. found: row -> scores."""
    task, known = "image-to-image", []
    dataset = {"type": study.dataset, "name": f"{study.data_name}, profile {study.changes}"}
    for row, scores in found.items():
        means = {name: mean(scores.get(name)) for name in names("table1")}
        metrics = [{"type": name, "name": SCORES[name].heading, "value": round(value, 4)}
                   for name, value in means.items() if value is not None]  # fmt: skip
        result = {"task": {"type": task}, "dataset": dataset, "metrics": metrics}
        known.append({"name": row, "results": [result]})
    header = {
        "license": "mit" if study.setting.drawn else "other",
        "library_name": "pg2lib",
        "pipeline_tag": task,
        "tags": ["pose-guided-person-image-generation", "pytorch", "safetensors"],
        "datasets": [study.dataset],
    } | ({"model-index": known} if known else {})
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in header.items()]
    return "\n".join(["---", *lines, "---"])
