"""From data to scores for one study, each step run only when the run store does not hold it.

A study is a data set, a profile and a seed. The notebooks, the command line and `reproduce` all
stand on these functions, so whoever comes first does the work and the others read it. Under
`torchrun` all processes of a launch walk through them together.
"""

import contextlib
import hashlib
import os
import time
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch

from pg2lib.core import devices, distributed
from pg2lib.core.files import UserError
from pg2lib.core.progress import reporting
from pg2lib.data import dataset as datasets
from pg2lib.data.prepare import prepare
from pg2lib.evaluation import pose_score
from pg2lib.evaluation import score_row as evaluation
from pg2lib.evaluation.inception import inception_weights
from pg2lib.evaluation.perceptual import lpips_weights
from pg2lib.models import experiments
from pg2lib.results import tables
from pg2lib.training import loop as training
from pg2lib.workflow import run_store as runs

REFERENCE_ROWS = ("condition", "target")
KEYPOINTS = "keypoints"  # the name of that network among the stages
DATA_CODE = ("data.dataset", "data.keypoints", "data.prepare", "data.sources")
TRAINING_CODE = (
    "data.dataset",
    "core.devices",
    "data.heatmaps",
    "data.keypoints",
    "models.losses",
    "models.networks",
    "training.loop",
)
KEYPOINT_CODE = (
    "data.dataset",
    "core.devices",
    "data.keypoints",
    "evaluation.pose_score",
    "training.loop",
)
SCORING_CODE = (
    "evaluation.copy_score",
    "data.dataset",
    "evaluation.score_row",
    "data.heatmaps",
    "data.keypoints",
    "evaluation.detail",
    "evaluation.inception",
    "evaluation.perceptual",
    "evaluation.statistics",
    "evaluation.pose_score",
    "evaluation.scores",
    "evaluation.ssim",
)


@dataclass(frozen=True)
class Study:
    """What is studied. source is the folder of the real data (default: $PG2_DATA); device is
    "cpu" or "cuda" (default: CUDA where there is one)."""

    dataset: str = experiments.DEFAULT_DATASET
    profile: str = experiments.DEFAULT_PROFILE
    seed: int = 0
    source: str | None = None
    device: str | None = None
    keypoint_frame: str = "detect"  # of DeepFashion's annotation, see DataConfig

    def __post_init__(self):
        experiments.choose("data set", self.dataset, experiments.DATASETS)
        experiments.choose("profile", self.profile, experiments.PROFILES)
        if self.device and self.device.partition(":")[0] not in ("cpu", "cuda"):
            raise UserError(f"unknown device {self.device!r}; choose cpu or cuda")
        if self.device and self.device != "cpu" and not torch.cuda.is_available():
            raise UserError(f"device {self.device} is not to be had here; choose cpu")

    @property
    def name(self) -> str:
        return f"{self.dataset}-{self.profile}" + (f"-seed{self.seed}" if self.seed else "")


def study_from_environment(dataset=None, profile=None, seed=0) -> Study:
    """A study with what is not given taken from $PG2_DATASET and $PG2_PROFILE, else the default;
    device and keypoint frame from $PG2_DEVICE and $PG2_KEYPOINT_FRAME."""
    return Study(
        dataset or os.environ.get("PG2_DATASET") or experiments.DEFAULT_DATASET,
        profile or os.environ.get("PG2_PROFILE") or experiments.DEFAULT_PROFILE,
        seed,
        device=os.environ.get("PG2_DEVICE") or None,
        keypoint_frame=os.environ.get("PG2_KEYPOINT_FRAME") or "detect",
    )


def figures_folder(study: Study) -> Path:
    """Where a study's figures and tables land: figures/<dataset>-<profile>/ of the project, or
    below $PG2_FIGURES."""
    return named_folder(study.name)


def table_folder(study: Study, preset: str, mask_from: str) -> Path:
    """Where Table 1 lands: the study's folder, or one inside it, so that a table of another recipe
    is not written over the default one."""
    if (preset, mask_from) == ("pg2", "target"):
        return figures_folder(study)
    return named_folder(f"{study.name}/{preset}-{mask_from}")


def named_folder(name: str) -> Path:
    """A folder of that name among the figures, made if it is not there."""
    folder = Path(os.environ.get("PG2_FIGURES") or runs.project() / "figures") / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def command(dataset: str, profile: str) -> str:
    """What makes the figures and tables again."""
    return f"make reproduce DATASET={dataset} PROFILE={profile}"


def source_folder(study: Study) -> Path | None:
    """The folder of a real data set; None for drawn ones. UserError when it is not to be had."""
    if experiments.SETTINGS[study.dataset].drawn:
        return None
    source = study.source or os.environ.get("PG2_DATA")
    if not source:
        raise UserError(
            f"{study.dataset} needs the real images; name their folder with PG2_DATA=<folder>"
        )
    if not Path(source).is_dir():
        inside = {"deepfashion": "train.lst and test.lst"}.get(study.dataset, "bounding_box_train/")
        raise UserError(f"PG2_DATA={source} is not a folder; name the one with {inside}")
    return Path(source)


def data_step(study: Study) -> runs.Step:
    config = data_config(study).as_dict()
    source = source_folder(study)
    if source is not None:
        config["source"] = fingerprint(source)
    maker = {"market1501": "data.market1501", "deepfashion": "data.deepfashion"}.get(
        study.dataset, "data.synthetic"
    )
    return runs.Step("data", study.name, config, modules=(*DATA_CODE, maker))


def data_config(study: Study) -> datasets.DataConfig:
    """What is in the study's data."""
    config = experiments.data_config(study.dataset, study.profile, study.seed)
    return replace(config, keypoint_frame=study.keypoint_frame)


@cache  # a folder of 12,000 images is looked through once per process
def fingerprint(source: Path) -> str:
    """Hash of the names and sizes of all files of a data folder, without reading them."""
    listing = sorted(
        f"{path.parent.name}/{path.name} {path.stat().st_size}"
        for pattern in ("*", "*/*", "img*/*/*/*/*")
        for path in source.glob(pattern)
        if path.is_file()
    )
    return hashlib.sha256("\n".join(listing).encode()).hexdigest()[:12]


def stage_step(study: Study, stage_name: str) -> runs.Step:
    stage = experiments.stage(stage_name, study.dataset, study.profile)
    inputs = {"data": data_step(study).key}
    if stage.coarse:
        inputs[stage.coarse] = stage_step(study, stage.coarse).key
    config = stage.as_dict() | {"seed": study.seed}
    return runs.Step("train", f"{study.name}/{stage_name}", config, inputs, TRAINING_CODE)


def keypoint_step(study: Study) -> runs.Step:
    """The training of the network that the pose score reads poses with."""
    config = asdict(keypoint_config(study)) | {"seed": study.seed}
    inputs = {"data": data_step(study).key}
    return runs.Step("train", f"{study.name}/{KEYPOINTS}", config, inputs, KEYPOINT_CODE)


def keypoint_config(study: Study) -> pose_score.KeypointConfig:
    size = experiments.sized(study.profile, experiments.SETTINGS[study.dataset])
    return pose_score.KeypointConfig(**size.keypoint_network)


def score_step(study: Study, row: str, preset: str = "pg2", mask_from: str = "target") -> runs.Step:
    inputs = {"data": data_step(study).key, KEYPOINTS: keypoint_step(study).key}
    for name in stage_names([row]):
        inputs[name] = stage_step(study, name).key
    inception, lpips = scoring_weights(study)
    config = {
        "row": row,
        "preset": preset,
        "mask_from": mask_from,
        "mask_variant": mask_variant(study),
        "inception": inception.name if inception else "no weights",
        "lpips": lpips.name if lpips else "no weights",
        "seed": study.seed,
    }
    return runs.Step("evaluate", f"{study.name}/{row}", config, inputs, SCORING_CODE)


def scoring_weights(study: Study):
    """Paths of the weights for the Inception scores and for LPIPS, each None if not available.

    They are only downloaded for the larger profiles and a GPU: on a CPU the scoring of a whole
    test half takes longer than all the rest.
    """
    on_gpu = (study.device or devices.default_device()) != "cpu"
    download = on_gpu and study.profile not in ("smoke", "quick")
    return inception_weights(download), lpips_weights(download)


def mask_variant(study: Study) -> str:
    """The pose mask that scores look through: the one the stages train with."""
    return experiments.stage("G1-poseMaskLoss", study.dataset, study.profile).mask_variant


def steps(study: Study) -> list[runs.Step]:
    """Every step of a study in the order of work."""
    steps = []
    for part, rows in wanted(study).items():
        steps.append(data_step(part))
        steps += [stage_step(part, name) for name in stage_names(rows)]
        steps.append(keypoint_step(part))
        steps += [score_step(part, row) for row in rows]
    return steps


def wanted(study: Study) -> dict[Study, tuple[str, ...]]:
    """The rows to score for everything that is shown of a study: its own, and those of the study
    that its ablations come from."""
    ablations = tuple(experiments.ABLATIONS)
    other = ablation_study(study)
    if other == study:
        return {study: (*all_rows(), *ablations)}
    baselines = dict.fromkeys(row.against for row in experiments.ABLATIONS.values())
    return {study: all_rows(), other: (*REFERENCE_ROWS, *baselines, *ablations)}


def ablation_study(study: Study) -> Study:
    """The study whose ablations stand for this one's: they are trained at the cost of `quick`."""
    small = study.profile in ("smoke", "quick")
    return study if small else replace(study, profile="quick")


def sibling(study: Study) -> Study | None:
    """The same study of the other half of Table 1, drawn or real like this one, if it is scored."""
    mine = experiments.SETTINGS[study.dataset]
    for name, other in experiments.SETTINGS.items():
        if other.drawn == mine.drawn and other.half != mine.half:
            found = replace(study, dataset=name)
            try:
                steps = [score_step(found, row) for row in all_rows()]
            except UserError:  # real images of the other half are not here
                return None
            return found if all(runs.state(step).hit for step in steps) else None
    return None


def stage_names(rows) -> list[str]:
    """The stages of rows, reference rows among them, in an order in which they can be trained."""
    return experiments.stage_names(row for row in rows if row not in REFERENCE_ROWS)


def all_rows() -> tuple[str, ...]:
    """The rows of the table: the condition image copied, the paper's six, the real target."""
    return (REFERENCE_ROWS[0], *experiments.ROWS, REFERENCE_ROWS[1])


def ensure(step: runs.Step, work, say=None) -> Path:
    """The step's folder, complete: work(folder, progress) is called if it is not, and returns
    (names of the output files, facts). say gets a line that tells HIT or MISS and why.

    Of several processes that work together (`distributed`) all call work, where the step is not
    there in the eyes of the first; that one holds the folder, shows progress and finishes.
    """
    first = distributed.rank() == 0
    say = (say if first else None) or (lambda line: None)
    state = distributed.broadcast(runs.state(step))
    say(f"{step.kind:8} {step.name:44} {state}")
    if state.hit:
        return step.folder
    with contextlib.ExitStack() as stack:
        if first:
            waiting = f"{'':8} {step.name:44} another process works on it"
            stack.enter_context(runs.claim(step, lambda: say(waiting)))
        # somebody may have finished it meanwhile
        if not distributed.broadcast(first and runs.state(step).hit):
            label, started = f"{step.kind} {step.name.split('/')[-1]}", time.time()
            with reporting(label) if first else contextlib.nullcontext() as progress:
                outputs, facts = work(step.folder, progress)
            distributed.barrier()
            if first:
                runs.finish(step, outputs, time.time() - started, facts)
            distributed.barrier()
    return step.folder


def data(study: Study, say=None) -> datasets.Dataset:
    """The study's images, keypoints and pairs; prepared if they are not there."""
    return prepared(data_step(study), data_config(study), source_folder(study), say)


def prepared(step: runs.Step, config: datasets.DataConfig, source=None, say=None):
    """The Dataset of a step that holds what config asks for; prepared if it is not there."""

    def work(folder, progress):
        if distributed.rank() == 0:
            prepare(config, folder, source, progress)
        return [path.name for path in sorted(folder.iterdir()) if path.suffix in DATA_FILES], {}

    return datasets.load(ensure(step, work, say))


DATA_FILES = (".npy", ".csv", ".json")


def train_stage(study: Study, stage_name: str, say=None) -> Path:
    """The weights.pt of a stage, trained (and the stage it stands on) if it is not there."""
    stage = experiments.stage(stage_name, study.dataset, study.profile)
    coarse_weights = None
    if stage.coarse:
        ready = runs.state(stage_step(study, stage.coarse)).hit  # then there is nothing to say
        coarse_weights = train_stage(study, stage.coarse, None if ready else say)

    def work(folder, progress):
        if say and distributed.rank() == 0:
            text = devices.precision_text(study.device or devices.default_device(), stage.precision)
            say(f"{'':8} {study.name}/{stage_name}: {text}")
        coarse = training.painter([coarse_weights], study.device) if coarse_weights else None
        facts = training.train(
            stage, data(study), folder, study.seed, study.device, coarse, progress
        )
        return ["weights.pt", "log.jsonl"], facts

    step = stage_step(study, stage_name)
    ensure(step, work, say)
    return step.folder / "weights.pt"


def train(study: Study, row: str, say=None) -> list[Path]:
    """The weights of a row's stages in order, trained if they are not there."""
    return [train_stage(study, name, say) for name in experiments.stage_names([row])]


def keypoint_network(study: Study, say=None) -> Path:
    """The weights of the pose score's network, trained if they are not there."""

    def work(folder, progress):
        facts = pose_score.train_keypoints(
            data(study), folder, keypoint_config(study), study.seed, study.device, progress
        )
        return ["keypoints.pt", "log.jsonl"], facts

    return ensure(keypoint_step(study), work, say) / "keypoints.pt"


def estimator(study: Study, say=None):
    """That network as a function: uint8 images (k, H, W, 3) -> (keypoints, confidence)."""
    path = keypoint_network(study, say)
    runs.checked(keypoint_step(study), path.name)
    network = pose_score.load_keypoints(path, study.device)
    return lambda images: pose_score.estimate(network, images)


def painter(study: Study, row: str, say=None):
    """The row as a function of images and keypoints (see training.painter)."""
    weights = train(study, row, say)
    for name in experiments.stage_names([row]):
        runs.checked(stage_step(study, name), "weights.pt")
    return training.painter(weights, study.device)


def evaluate(study: Study, row: str, preset="pg2", mask_from="target", say=None) -> Path:
    """The folder with generated.npy, pairs.csv and summary.json of a row, made if not there."""

    def work(folder, progress):
        reference, device = row in REFERENCE_ROWS, study.device or devices.default_device()
        inception, lpips = scoring_weights(study)
        with devices.tuned(0, device):
            evaluation.evaluate_row(
                row,
                None if reference else painter(study, row),
                data(study),
                folder,
                preset=preset,
                mask_from=mask_from,
                mask_variant=mask_variant(study),
                device=device,
                seed=study.seed,
                inception=inception,
                estimator=estimator(study),
                lpips=lpips,
                progress=progress,
            )
        names = ("generated.npy", "coarse.npy", "difference.npy", "pairs.csv", "summary.json")
        return [name for name in names if (folder / name).exists()], {}

    if row not in REFERENCE_ROWS:
        experiments.choose("row", row, experiments.EVERY_ROW)
    return ensure(score_step(study, row, preset, mask_from), work, say)


def generated(study: Study, row: str, what: str = "generated") -> np.ndarray:
    """What a row made of the test pairs: uint8 (k, H, W, 3), in their order. what: "generated",
    or for a two-stage row "coarse" or "difference" (float16)."""
    return np.load(evaluate(study, row) / f"{what}.npy", mmap_mode="r")


def log(study: Study, stage_name: str) -> list[dict]:
    """The training log of a stage, trained if it is not there."""
    return training.read_log(train_stage(study, stage_name).parent / "log.jsonl")


def table1(study: Study, preset="pg2", mask_from="target") -> dict:
    """Table 1 as `tables.table1` makes it, of every row."""
    folders = {row: evaluate(study, row, preset, mask_from) for row in all_rows()}
    return tables.table1(
        {row: evaluation.read_summary(folder) for row, folder in folders.items()},
        paper_rows(study),
        {
            "half": experiments.SETTINGS[study.dataset].half,
            "profile": study.profile,
            "seed": study.seed,
            "split": data(study).card["split"],
            "drawn": experiments.SETTINGS[study.dataset].drawn,
            "command": command(study.dataset, study.profile),
        },
    )


def paper_rows(study: Study) -> dict:
    """What the paper prints in the half of Table 1 that the study belongs to: row -> scores."""
    half = experiments.SETTINGS[study.dataset].half
    return {row: cells[half] for row, cells in experiments.PAPER_TABLE1.items()}


def facts(study: Study, made_by: str, rows=()) -> dict:
    """What goes beside a figure: the configuration and the keys of the steps it was made from."""
    steps = {"data": data_step(study)} | {row: score_step(study, row) for row in rows}
    return {
        "made_by": made_by,
        "command": command(study.dataset, study.profile),
        "dataset": study.dataset,
        "profile": study.profile,
        "seed": study.seed,
        "split": data(study).card["split"],
        "config": {
            "data": data_config(study).as_dict(),
            "stages": {
                name: experiments.stage(name, study.dataset, study.profile).as_dict()
                for name in stage_names(rows)
            },
        },
        "inputs": {name: step.key for name, step in steps.items()},
    }
