"""From data to scores for one study; each step runs only if the run store lacks it.

The notebooks, the command line and `reproduce` all use these functions: the first caller does the
work, the others read it. Under `torchrun` all processes of a launch call them together.
"""

import contextlib
import time
from dataclasses import asdict, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from pg2lib import models
from pg2lib.core import config as configs
from pg2lib.core import devices, distributed, energy
from pg2lib.core.config import Study
from pg2lib.core.files import OutOfTime, UserError, stored
from pg2lib.core.progress import reporting
from pg2lib.data import dataset as datasets
from pg2lib.data.prepare import READERS, prepare
from pg2lib.evaluation import pose_score
from pg2lib.evaluation import score_row as evaluation
from pg2lib.evaluation.inception import INCEPTION
from pg2lib.evaluation.perceptual import VGG16
from pg2lib.results import tables
from pg2lib.training import checkpoints, describe, extras, ranges
from pg2lib.training import loop as training
from pg2lib.workflow import code_keys, leftovers, maps
from pg2lib.workflow import run_store as runs

REFERENCE_ROWS = ("condition", "target")
KEYPOINTS = "keypoints"  # the network of the pose score, as a name to train
LOOP = code_keys.entry(training.train)
PAINTED_BYTES = 1 << 30  # of float32 images painted by a first stage before the second trains
MASK_VARIANT = "released"  # of the pose mask of masked scores
ABLATION_SEEDS = 3  # ablations are trained with at most this many seeds, the first
study_from_environment = configs.study_from_environment


def check(study: Study):
    """Raise UserError for an unavailable device, a number out of range in an override or in a
    profile of the user's own, or an override that is invalid or has no effect."""
    ranges.check_seeds(study.seeds)
    ranges.check_device(study.device)
    if study.overrides or study.profile_name not in configs.PROFILES:
        every = {name: describe.configured(study, m) for name, m in models.METHODS.items()}
        every["data"] = data_config(study)
        named_only = {KEYPOINTS: method_config(study, KEYPOINTS)}
        configs.check_overrides(study.overrides, every, named_only, study.setting)
        for name, config in (every | named_only).items():
            ranges.check(name, config)


def shared(study: Study) -> Study:
    """The study whose data, keypoint network and reference rows are used for every seed."""
    return replace(study, seeds=(0,))


def each(study: Study, name: str) -> list[Study]:
    """The single-seed studies in which a row, a method or KEYPOINTS is trained and scored."""
    if name == KEYPOINTS or name in REFERENCE_ROWS:
        return [shared(study)]
    return study.each()[: ABLATION_SEEDS if models.find(name).against else None]


def jobs(study: Study, names) -> list[tuple[Study, str]]:
    """(single-seed study, name) of every training or scoring of `names`, by name, then by seed."""
    return [(one, name) for name in names for one in each(study, name)]


def device_of(study: Study) -> str:
    return study.device or devices.default_device()


@lru_cache
def method_config(study: Study, name: str):
    """The configuration of a method (or KEYPOINTS) in a study."""
    if name == KEYPOINTS:  # an override names it
        setting, profile = configs.sized(study)
        own = [text for text in study.overrides if text.startswith(f"{KEYPOINTS}.")]
        config = pose_score.KeypointConfig(height=setting.height, width=setting.width)
        where = f"profile {profile.name}: keypoint_network"
        config = configs.with_fields(config, profile.keypoint_network, where)
        return configs.override(config, own, KEYPOINTS)
    return describe.method_config(study, models.find(name))


def figures_folder(study: Study) -> Path:
    """Folder of a study's figures and tables: <dataset>-<profile>/ below `runs.figures`."""
    return runs.named_folder(study.name)


def source_folder(study: Study) -> Path | None:
    """The folder of a real data set; None for drawn ones. Raises UserError if it is missing."""
    if study.setting.drawn:
        return None
    if not study.folder:
        raise UserError(
            f"{study.dataset} needs the real images; name their folder with PG2_DATA=<folder>"
        )
    if not Path(study.folder).is_dir():
        inside = {"market1501": "bounding_box_train/", "deepfashion": "train.lst and test.lst"}
        inside = inside.get(study.dataset, "your images")
        raise UserError(f"PG2_DATA={study.folder} is not a folder; name the one with {inside}")
    return Path(study.folder)


def data_step(study: Study) -> runs.Step:
    config = configs.changed_fields(data_config(study))
    source = source_folder(study)
    if source is not None:
        config["source"] = runs.fingerprint(source, study.setting.own)
    entries = (code_keys.entry(prepare), (READERS[study.dataset], "*"))
    return runs.Step("data", shared(study).runs_name, config, entries=entries)


def data_config(study: Study) -> configs.DataConfig:
    """The configuration of the study's data."""
    config = configs.data_config(study)
    return config if study.dataset == "deepfashion" else replace(config, keypoint_frame="detect")


def train_step(study: Study, name: str) -> runs.Step:
    """Training of a method's own networks with the first seed, or of KEYPOINTS."""
    study = each(study, name)[0]
    inputs, functions = {"data": data_step(study).key}, (pose_score.keypoint_task,)
    if name != KEYPOINTS:
        functions = (training.method_task, *models.find(name).trained_by)
        if start := models.find(name).start:
            inputs[start] = train_step(study, start).key
        if parsed := maps_step(study, name):
            inputs["parsing"], functions = parsed.key, (*functions, extras.parsed_task)
    config = configs.changed_fields(method_config(study, name)) | {"seed": seed_of(study, name)}
    entries = (LOOP, *map(code_keys.entry, functions))
    return runs.Step("train", f"{study.runs_name}/{name}", config, inputs, entries)


def maps_step(study: Study, name: str) -> runs.Step | None:
    """The parsing maps of a method, if it needs any."""
    if not extras.names(models.find(name)):
        return None
    return maps.of_labels(method_config(study, name).labels, data_step(study), study.parsing)


def seed_of(study: Study, name: str) -> int:
    """The training seed of a method in a single-seed study, or of KEYPOINTS."""
    return method_config(study, name).seed if name == KEYPOINTS else study.seed


def score_step(study: Study, row: str, preset: str = "pg2", mask_from: str = "target") -> runs.Step:
    """Scoring of a row with the first seed."""
    study = each(study, row)[0]
    inputs = {"data": data_step(study).key}
    inputs |= {name: train_step(study, name).key for name in (*chains([row]), KEYPOINTS)}
    methods = [models.find(name) for name in chains([row])]
    functions = (evaluation.evaluate_row, pose_score.estimate, *(m.generate for m in methods))
    functions += (extras.by_poses,) if any(map(extras.names, methods)) else ()
    how = scoring(study, preset, mask_from)
    config = {
        "row": row,
        "preset": preset,
        "mask_from": mask_from,
        "mask_variant": MASK_VARIANT,
        "inception": how.inception.name if how.inception else "no weights",
        "lpips": how.lpips.name if how.lpips else "no weights",
    }
    entries = tuple(map(code_keys.entry, functions))
    return runs.Step("evaluate", f"{study.runs_name}/{row}", config, inputs, entries)


def scoring(study: Study, preset: str, mask_from: str) -> evaluation.Scoring:
    """How to score the rows of a study.

    Weights for the Inception scores and LPIPS are downloaded only for the larger profiles and a
    GPU: on a CPU these scores of a whole test half take longer than everything else.
    """
    device = device_of(study)
    download = device != "cpu" and study.profile_name not in ("smoke", "quick")
    return evaluation.Scoring(
        preset, mask_from, MASK_VARIANT, device=device,
        batch=16 if device == "cpu" else 64,  # a processor's caches do not hold 64
        inception=INCEPTION.find(download), lpips=VGG16.find(download),
    )  # fmt: skip


def trained(rows) -> tuple[str, ...]:
    """The rows without the reference rows."""
    return tuple(row for row in rows if row not in REFERENCE_ROWS)


def chains(rows) -> tuple[str, ...]:
    """The methods needed for rows (which may include reference rows), in training order."""
    return models.chains(trained(rows))


def all_rows() -> tuple[str, ...]:
    """The rows of the table: copied condition image, the methods, the real target."""
    return (REFERENCE_ROWS[0], *models.rows(), REFERENCE_ROWS[1])


def ensure(step: runs.Step, work, log=None, until=None) -> Path:
    """The step's folder, complete: if it is not, work(folder, progress) fills it and returns facts
    to record. log gets a line with HIT or MISS and the reason. Raises UserError for an output that
    has changed, OutOfTime if `until`, a `time.time()`, has passed before the work begins.

    All processes of a launch call work if rank 0 finds the step missing; rank 0 locks the folder,
    shows progress and finishes.
    """
    first = distributed.rank() == 0
    log = (log if first else None) or (lambda line: None)
    state = distributed.broadcast(runs.state(step))
    log(step.line(state))
    if state.hit:
        if first:
            runs.verify(step)
        return step.folder
    if until is not None and time.time() >= until:
        raise OutOfTime(step.name)
    with contextlib.ExitStack() as stack:
        if first:
            waiting = f"{'':8} {step.name:44} another process works on it"
            stack.enter_context(runs.claim(step, lambda: log(waiting)))
        # another process may have finished it
        if not distributed.broadcast(first and runs.state(step).hit):
            if first:
                runs.begin_anew(step)
            label, started = f"{step.kind} {step.name.split('/')[-1]}", time.time()
            with reporting(label) if first else contextlib.nullcontext() as progress:
                facts = work(step.folder, progress)
            distributed.barrier()
            if first:
                runs.finish(step, runs.results(step), time.time() - started, facts)
            distributed.barrier()
    return step.folder


def data(study: Study, log=None) -> datasets.Dataset:
    """The study's images, keypoints and pairs; prepared if missing."""
    found = prepared(data_step(study), data_config(study), source_folder(study), log)
    return datasets.renamed(found, study.data_name)


def row_data(study: Study, name: str, log=None) -> datasets.Dataset:
    """The study's data as needed by a method, a reference row or KEYPOINTS."""
    step = maps_step(study, name) if name in models.METHODS else None
    found = data(study, log)
    return maps.added(found, step, partial(ensure, log=log), study.parsing) if step else found


def prepared(step: runs.Step, config: datasets.DataConfig, source=None, log=None):
    """The Dataset of a step for this config, prepared if missing. Raises UserError for invalid
    data, such as joints outside their image."""

    def work(folder, progress):
        if distributed.rank() == 0:
            leftovers.prepared(config, folder, source, progress)

    dataset = datasets.load(ensure(step, work, log))
    if problems := [*dataset.card["problems"], *leftovers.suspects(dataset)]:
        where = source or step.folder
        raise UserError(f"{where} holds unusable data: {' '.join(problems)} Fix or replace them")
    return dataset


def train(study: Study, name: str, log=None, until=None) -> Path:
    """The weights.pt of a method with the first seed, or of KEYPOINTS, trained if missing (after
    the method it refines). Raises OutOfTime, with a checkpoint, after `until`."""
    study = each(study, name)[0]
    config, start = method_config(study, name), None
    if name != KEYPOINTS and (start := models.find(name).start):
        ready = runs.state(train_step(study, start)).hit  # then there is nothing to log
        train(study, start, None if ready else log, until)

    def work(folder, progress):
        if log and distributed.rank() == 0:
            text = devices.precision_text(device_of(study), config.precision)
            log(f"{'':8} {study.name}/{name}: {text}")
        resumed = any(folder.glob("checkpoint-*.pt"))
        leftovers.check_training(folder, config)
        what, seed = task(study, name, log), seed_of(study, name)
        images = row_data(study, name, log)
        with energy.metered() as joules:
            facts = training.train(what, images, folder, seed, study.device, progress, until=until)
        if facts["step"] < config.iterations:
            raise OutOfTime(name)
        return facts | {"processor_joules": None if resumed else joules()}

    return ensure(train_step(study, name), work, log, until) / checkpoints.WEIGHTS


def task(study: Study, name: str, log=None) -> training.Task:
    """The training task of a method with the first seed, or of KEYPOINTS."""
    config = method_config(study, name)
    if name == KEYPOINTS:
        return pose_score.keypoint_task(config, data(study))
    method = models.find(name)
    if extras.names(method):
        start = generate_fn(study, method.start) if method.start else None
        return extras.parsed_task(training.method_task(method, config, start), method, start)
    if not method.start:
        return training.method_task(method, config)
    images = painted(study, name, method.start, log)
    return training.method_task(method, config, generate_fn(study, method.start), images)


def painted(study: Study, name: str, start: str, log=None):
    """The output of `start` for every batch that trains `name`, painted once for all methods
    trained on the same batches; None if it is painted during training: on a GPU, with several
    processes, and above PAINTED_BYTES."""
    config = method_config(study, name)
    count = config.iterations * config.batch * 3 * config.height * config.width
    if device_of(study) != "cpu" or distributed.world() > 1 or 4 * count > PAINTED_BYTES:
        return None
    shared = {key: getattr(config, key) for key in ("iterations", "batch", "precision", "threads")}
    inputs = {"data": data_step(study).key, start: train_step(study, start).key}
    entries = (code_keys.entry(training.paint),)
    label = f"{study.runs_name}/{start}"
    step = runs.Step("paint", label, shared | {"seed": study.seed}, inputs, entries)

    def work(folder, progress):
        refined = generate_fn(study, start)
        path = folder / "painted.npy"
        leftovers.require_room(folder, 4 * count)
        training.paint(refined, data(study), config, study.seed, "cpu", path, progress)

    return np.load(ensure(step, work, log) / "painted.npy", mmap_mode="r")


def estimator(study: Study, log=None):
    """KEYPOINTS as a function: uint8 images (k, H, W, 3) -> keypoints (k, 18, 2)."""
    train(study, KEYPOINTS, log)
    path = runs.checked(train_step(study, KEYPOINTS), checkpoints.WEIGHTS)
    network = pose_score.load_keypoints(path, study.device)
    return lambda images: pose_score.estimate(network, images)


def generate_fn(study: Study, row: str, log=None):
    """The row as a function Inputs -> Output, trained if missing."""
    train(study, row, log)
    chain = models.chain(row)
    paths = [runs.checked(train_step(study, m.name), checkpoints.WEIGHTS) for m in chain]
    wanted = [method_config(study, m.name) for m in chain]
    return checkpoints.generate_fn(chain, wanted, paths, study.device)


def networks(study: Study, name: str, log=None) -> tuple:
    """(method, config, generating networks) of one method, without those it starts from; trained if
    missing."""
    train(study, name, log)
    method, config, device = models.find(name), method_config(study, name), device_of(study)
    path = runs.checked(train_step(study, name), checkpoints.WEIGHTS)
    states = checkpoints.load_state(path, device)["networks"]
    return method, config, checkpoints.load_generators(method, config, states, device, path)


def evaluate(study, row: str, preset="pg2", mask_from="target", log=None, until=None) -> Path:
    """The folder with generated.npy, pairs.csv and summary.json of a row with the first seed,
    scored if missing. Raises OutOfTime if `until` has passed before it begins."""

    def work(folder, progress):
        how, size = scoring(study, preset, mask_from), data(study).images[0].nbytes
        leftovers.require_room(folder, 4 * size * len(data(study).test_pairs))
        generator = None if row in REFERENCE_ROWS else generate_fn(study, row)
        if row in models.METHODS and (names := extras.names(models.find(row))):
            generator = extras.by_poses(generator, row_data(study, row, log), names)
        with devices.tuned(0, how.device):
            evaluation.evaluate_row(
                row, generator, data(study), folder, how, estimator(study), progress
            )

    return ensure(score_step(study, row, preset, mask_from), work, log, until)


def generated(study: Study, row: str, what: str = "generated") -> np.ndarray:
    """A row's images of the test pairs: uint8 (k, H, W, 3), in their order. what: "generated", or
    for a two-stage row "coarse" or "difference" (float16)."""
    with stored(evaluate(study, row) / f"{what}.npy") as path:
        return np.load(path, mmap_mode="r")


def training_log(study: Study, name: str) -> list[dict]:
    """The training log of a method's own networks with the first seed, trained if missing."""
    with stored(train(study, name).parent / "log.jsonl") as path:
        return training.read_log(path)


def scored(study: Study, rows, preset="pg2", mask_from="target") -> dict:
    """row -> the folders of `evaluate`, one per seed; scored if missing."""
    how = preset, mask_from
    return {row: [evaluate(one, row, *how) for one in each(study, row)] for row in rows}


def pairs(study: Study, rows, preset="pg2", mask_from="target") -> dict:
    """row -> the tables of scored pairs (`evaluation.read_pairs`), one per seed."""
    found = scored(study, rows, preset, mask_from)
    return {row: [evaluation.read_pairs(one) for one in found[row]] for row in rows}


def summaries(study: Study, rows, preset="pg2", mask_from="target") -> dict:
    """row -> the summaries of its scores (`evaluation.read_summary`), one per seed."""
    found = scored(study, rows, preset, mask_from)
    return {row: [evaluation.read_summary(one) for one in found[row]] for row in rows}


def table1(study: Study, preset="pg2", mask_from="target") -> dict:
    """Table 1 of every row, from `tables.table1`."""
    scores = summaries(study, all_rows(), preset, mask_from)
    scored = pairs(study, all_rows(), preset, mask_from)
    return tables.table1(scores, paper_rows(study), table_facts(study), scored)


def table_facts(study: Study) -> dict:
    """The facts about a study in Table 1."""
    return {
        "half": study.setting.half,
        "profile": study.changes,
        "seeds": list(study.seeds),
        "split": data(study).card["split"],
        "drawn": study.setting.drawn,
        "first_stage_pairs": describe.first_stage_pairs(study, models.rows()),
        "command": study.command,
    }


def paper_rows(study: Study) -> dict:
    """The paper's printed scores for the study's half of Table 1: row -> scores."""
    return {row: models.find(row).published.get(study.setting.half, {}) for row in models.rows()}


def facts(study: Study, made_by: str, rows=(), goal="reproduce") -> dict:
    """The record beside a figure: the configuration, the keys of the steps it was made from, and
    the command, `make` and a goal."""
    steps = {"data": data_step(study)} | {row: score_step(study, row) for row in rows}
    return {
        "made_by": made_by,
        "command": study.command.replace("make reproduce", f"make {goal}"),
        "dataset": study.data_name,
        "profile": study.profile_name,
        "overrides": list(study.overrides),
        "seed": study.seed,
        "seeds": list(study.seeds),
        "split": data(study).card["split"],
        "config": {
            "data": data_config(study).as_dict(),
            "methods": {name: asdict(method_config(study, name)) for name in chains(rows)},
        },
        "inputs": {name: step.key for name, step in steps.items()},
    }
