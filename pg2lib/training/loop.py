"""The training loop: a pure function of (task, seed, data) that survives a kill.

The batches and noise of step s depend only on (seed, s), and a checkpoint holds networks,
optimisers and the step. So a resumed run ends, on the same machine, with the same bits as an
uninterrupted one.

Under `torchrun` every process takes its share of the same batch and gradients are averaged; only
rank 0 writes.
"""

import contextlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from pg2lib.core import devices, distributed
from pg2lib.core.files import UserError, write_atomically
from pg2lib.data import dataset as datasets
from pg2lib.models.base import Inputs, Method, Output, TrainingConfig, bind
from pg2lib.training import checkpoints

SAMPLE_PAIRS = 8  # in the sheets of samples
CURVE_PAIRS, CURVE_POINTS = 200, 10  # of the images kept while training


@dataclass(frozen=True)
class Task:
    """What to train: a method (`method_task`), or another network on other batches."""

    name: str
    config: TrainingConfig
    build: Callable  # config -> {name: network}
    optimizers: Callable  # config -> {name: models.base.Adam}
    updates: Callable  # (networks, config, batches) -> iterator of models.base.Update
    # (dataset, config, seed, step, device) -> iterator of the batches of step, step + 1, ...
    batches: Callable
    generators: tuple[str, ...] = ()  # the networks that config.average averages
    # (networks, config, dataset, pairs, device) -> uint8 (k, H, W, 3): its current images
    paint: Callable | None = None


def method_task(method: Method, config, start=None, painted=None) -> Task:
    """The training of a method. start: Inputs -> Output of the frozen method that it refines;
    painted: output of `paint` for this length, batch and seed."""
    if method.start and start is None:
        raise UserError(f"{method.name} refines {method.start}; train that row first")
    return Task(
        method.name,
        config,
        method.build,
        method.optimizers,
        partial(_with_start, method.updates, start),
        partial(pair_batches, painted=painted),
        method.generators,
        partial(paint_pairs, method, start),
    )


def _with_start(updates, start, networks, config, batches):
    def ready(inputs):
        return Output(inputs.extras["start"]) if "start" in inputs.extras else start(inputs)

    return updates(networks, config, batches, ready)


def paint(start, dataset, config, seed, device, path, progress=None):
    """Paint the output of `start` for every batch of a training once, for all that refine it.

    Writes `path`, (iterations, B, 3, H, W): float32, or bfloat16 as int16 if training is in
    bfloat16, like the last layer's output. The bits are the same as when painted in training, if
    `start` has a single stage: a sum of two is float32 even then.
    """
    precision = precision_of(config, device)
    low = precision == "bfloat16"
    shape = (config.iterations, config.batch, 3, config.height, config.width)
    with write_atomically(path) as temporary:
        images = np.lib.format.open_memmap(temporary, "w+", np.int16 if low else np.float32, shape)
        batches = pair_batches(dataset, config, seed, 0, device)
        with devices.tuned(config.threads, device), contextlib.closing(batches):
            for step in range(config.iterations):
                with autocast(device, precision):
                    image = start(next(batches)[0]).image.cpu()
                images[step] = image.bfloat16().view(torch.int16) if low else image
                if progress:
                    progress(step + 1, config.iterations)
        images.flush()


def pair_batches(dataset, config, seed, step, device, painted=None):
    """Yield this process's part of the batches of step, step + 1, ...: a tuple of
    config.batches_per_step, the k-th drawn with seed + k. painted: from `paint`; the first batch
    then carries it as extras["start"]."""
    data = datasets.on_device(dataset, device)
    pairs = torch.from_numpy(np.asarray(dataset.train_pairs)).to(device)
    share = slice(distributed.rank(), None, distributed.world())
    with contextlib.ExitStack() as stack:
        streams = [
            stack.enter_context(
                contextlib.closing(
                    datasets.batches(data, pairs, config.batch, seed + k, step, share)
                )
            )
            for k in range(config.batches_per_step)
        ]
        for number, drawn in enumerate(zip(*streams), step):
            if painted is not None:
                drawn = _with_painted(drawn[0], painted[number][share]), *drawn[1:]
            yield drawn


def _with_painted(batch, images):
    image = torch.from_numpy(np.array(images))  # (b, 3, H, W)
    image = image.view(torch.bfloat16).float() if image.dtype == torch.int16 else image
    return replace(batch, extras=batch.extras | {"start": image.to(batch.target.device)})


def precision_of(config, device) -> str:
    """The training precision: "float32" or "bfloat16"."""
    return devices.fast_precision(device) if config.precision == "auto" else config.precision


def autocast(device, precision):
    low = precision == "bfloat16"
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=low)


def train(
    task: Task,
    dataset,
    folder,
    seed: int = 0,
    device: str | None = None,
    progress=None,
    checkpoint_seconds: float = 20.0,
    stop_after: int | None = None,
    until: float | None = None,
) -> dict:
    """Train into `folder` and return facts about the run, its seconds those of all calls.

    dataset   data.dataset.Dataset of the configured size
    progress  called with (step, iterations, note) at the start and after every step
    checkpoint_seconds  checkpoint interval, longer if writing is slow; 0: after every step
    stop_after  stop after this many steps of this call, as if killed (for tests)
    until     stop with a checkpoint after the first step that ends later than this `time.time()`

    Writes `log.jsonl`, checkpoints until the end, then `weights.pt`; at the steps of `curve_steps`
    also `samples/*.png` (condition, target, result of a few test pairs), and in `curve.npy`, uint8
    (points, k, H, W, 3), the current images of the first k test pairs.

    Raises:
        UserError: images of another size, a batch that the processes cannot share equally, a loss
            that is not finite (the last good checkpoint is kept), or a full disk.
    """
    config, device = task.config, device or devices.default_device()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if (dataset.height, dataset.width) != (config.height, config.width):
        raise UserError(
            f"the data are {dataset.height}x{dataset.width} but {task.name} needs "
            f"{config.height}x{config.width}; prepare the data with the same profile"
        )
    if config.batch % distributed.world():
        raise UserError(
            f"{distributed.world()} processes cannot share a batch of {config.batch} equally; "
            f"start a number of processes that divides {config.batch}"
        )
    with devices.tuned(config.threads, device):
        run = Run(task, seed, device)
        step = run.resume(folder)
        limits = checkpoint_seconds, stop_after, until
        finished = _steps(run, dataset, folder, step, progress, *limits)
        if finished < config.iterations:
            return {"step": finished}
        if distributed.rank() == 0:
            checkpoints.export(folder, run.state())
        distributed.barrier()  # the weights are written before any process continues
    return {
        "step": finished,
        "seconds": run.seconds,
        "precision": run.precision,
        "device": device,
        "processes": distributed.world(),
        "torch": torch.__version__,
    }


def _steps(run, dataset, folder, step, progress, checkpoint_seconds, stop_after, until) -> int:
    """Train from `step` on; returns the step reached."""
    task, config, writes = run.task, run.task.config, distributed.rank() == 0
    first, last = step, config.iterations
    batches = task.batches(dataset, config, run.seed, step, run.device)
    log = open_log(folder / "log.jsonl", step) if writes else contextlib.nullcontext()
    started, last_saved, pause, note = time.time(), time.time(), checkpoint_seconds, ""
    spent = run.seconds  # before this call
    points, shown = curve_steps(last), np.asarray(dataset.test_pairs)[:CURVE_PAIRS]
    if progress:
        progress(step, last)
    with log, contextlib.closing(batches):
        while step < last:
            if stop_after is not None and step - first >= stop_after:
                break
            terms = run.step(next(batches), step)
            step += 1
            report = step % max(last // 100, 1) == 0 or step == last
            late = until is not None and time.time() >= until
            save = time.time() - last_saved >= pause or step == last or late
            # numbers are fetched from a GPU only when used: at a report or a checkpoint
            if report or save or run.device == "cpu":
                numbers = {name: float(value) for name, value in terms.items()}
                check_finite(numbers, task, step, folder)
            if report and writes:
                rate = (step - first) * config.batch / (time.time() - started)
                record = {"step": step, **numbers, "images_per_second": round(rate, 2)}
                log.write(json.dumps(record) + "\n")
                log.flush()
            if writes and task.paint and step in points:
                with run.autocast():
                    images = task.paint(run.averaged(), config, dataset, shown, run.device)
                keep_images(folder, dataset, shown, images, points, step)
            if save:
                run.seconds = spent + time.time() - started
            if save and writes:
                begun = time.time()
                checkpoints.save(folder, step, run.state(optimizers=True))
                last_saved = time.time()
                if checkpoint_seconds:  # checkpoints take at most 5 % of the time
                    pause = max(checkpoint_seconds, 20 * (last_saved - begun))
            if progress:
                note = f"loss {next(iter(numbers.values())):.3f}" if report else note
                progress(step, last, note)
            if late:
                break
    return step


class Run:
    """The mutable state of a training run: networks, optimisers, precision.

    `networks` holds the parameters; `fast` computes with the same ones, compiled if that pays.
    """

    def __init__(self, task: Task, seed: int, device: str):
        self.task, self.seed, self.device = task, seed, device
        self.seconds = 0.0  # of the steps up to the last checkpoint
        config = task.config
        self.precision = distributed.broadcast(precision_of(config, device))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            built = task.build(config)
        self.networks = {
            name: network.to(device, memory_format=torch.channels_last)
            for name, network in built.items()
        }
        self.rates = task.optimizers(config)
        self.optimizers = {
            name: torch.optim.Adam(
                self.networks[name].parameters(), betas=(r.beta1, r.beta2), eps=1e-8, fused=True
            )
            for name, r in self.rates.items()
        }
        averaged = task.generators if config.average else ()
        self.averages = {
            name: AveragedModel(
                self.networks[name], multi_avg_fn=get_ema_multi_avg_fn(config.average)
            )
            for name in averaged
        }
        # Statistics exchanged between processes during a pass cannot be compiled.
        choice = config.compiled if distributed.world() == 1 else "no"
        self.fast = {
            name: devices.compiled(network, device, choice)
            for name, network in self.networks.items()
        }

    def autocast(self):
        return autocast(self.device, self.precision)

    def step(self, batches, step) -> dict:
        """The updates of one step; returns their losses and terms, averaged over the processes."""
        for name, optimizer in self.optimizers.items():
            optimizer.param_groups[0]["lr"] = self.rates[name].rate(step)
        updates, values = self.task.updates(self.fast, self.task.config, batches), {}
        while True:
            with self.autocast():
                update = next(updates, None)
            if update is None:
                break
            names = update.networks
            names = (names,) if isinstance(names, str) else names
            self.update(names, update.loss)
            values |= {names[0]: update.loss.detach()}
            values |= {name: value.detach() for name, value in update.terms.items()}
        means = distributed.mean(torch.stack(list(values.values())))
        return dict(zip(values, means))

    def update(self, names, loss):
        for name in names:
            self.optimizers[name].zero_grad(set_to_none=True)
        loss.backward()
        for name in names:
            distributed.average_gradients(self.networks[name])
            self.optimizers[name].step()
            if name in self.averages:
                self.averages[name].update_parameters(self.networks[name])

    def averaged(self) -> dict:
        """The networks to use after training."""
        return self.networks | {name: average.module for name, average in self.averages.items()}

    def state(self, optimizers=False) -> dict:
        """The content of the weights file or a checkpoint: plain values and tensors."""
        state = {
            "name": self.task.name,
            "seed": self.seed,
            "config": asdict(self.task.config),
            "precision": self.precision,
            "networks": {name: network.state_dict() for name, network in self.averaged().items()},
        }
        if optimizers:
            state["networks"] = {name: n.state_dict() for name, n in self.networks.items()}
            state["averages"] = {name: n.state_dict() for name, n in self.averages.items()}
            state["optimizers"] = {name: o.state_dict() for name, o in self.optimizers.items()}
            state["seconds"] = self.seconds
        return state

    def resume(self, folder: Path) -> int:
        """Load the newest intact checkpoint of this task and seed; returns its step, 0 if none.

        Checkpoints are independent of the number of processes.
        """
        path = checkpoints.newest(folder) if distributed.rank() == 0 else None
        path = distributed.broadcast(path)
        if path is None:
            return 0
        state = torch.load(path, map_location=self.device, weights_only=True)
        if state["config"] != asdict(self.task.config) or state["seed"] != self.seed:
            raise UserError(
                f"{path} was made with another configuration; use another folder or delete it"
            )
        for name, network in self.networks.items():
            network.load_state_dict(state["networks"][name])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        for name, average in self.averages.items():
            average.load_state_dict(state["averages"][name])
        self.precision, self.seconds = state["precision"], state["seconds"]
        return state["step"]


def check_finite(numbers, task, step, folder):
    """Raise UserError for a loss that is NaN or infinite."""
    bad = [name for name, value in numbers.items() if not math.isfinite(value)]
    if bad:
        raise UserError(
            f"the {bad[0]} loss of {task.name} is {numbers[bad[0]]} at step {step}; lower its "
            f"learning rate or train in float32 (--set precision=float32); the last good "
            f"checkpoint stays in {folder}"
        )


def open_log(path: Path, step: int):
    """Open the log for appending, dropping lines after the last checkpoint."""
    if path.exists():
        kept = [r for r in read_log(path) if r["step"] <= step]
        with write_atomically(path) as temporary:
            temporary.write_text("".join(json.dumps(record) + "\n" for record in kept))
    return open(path, "a")


def read_log(path) -> list[dict]:
    """The records of a log.jsonl, without a last line cut short by a kill."""
    records = []
    for line in Path(path).read_text().splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            break
    return records


def curve_steps(iterations: int) -> list[int]:
    """The steps after which a training saves its images: ten, evenly spaced, including the last."""
    steps = (round(iterations * k / CURVE_POINTS) for k in range(1, CURVE_POINTS + 1))
    return [step for step in dict.fromkeys(steps) if step]


def paint_pairs(method, start, networks, config, dataset, pairs, device, batch=16):
    """Paint pairs (k, 2) with the networks: uint8 (k, H, W, 3)."""
    paint = bind(method, networks, config, start)
    parts = np.split(pairs, range(batch, len(pairs), batch))
    inputs = (pair_inputs(dataset, part, device) for part in parts)
    return np.concatenate([datasets.pictures(paint(one).image) for one in inputs])


def keep_images(folder, dataset, pairs, images, points, step):
    """Write the images of a step into curve.npy, and a sheet of a few of them."""
    path, shape = folder / "curve.npy", (len(points), *images.shape)
    if not path.exists():
        with write_atomically(path) as temporary:
            np.lib.format.open_memmap(temporary, "w+", np.uint8, shape).flush()
    kept = np.load(path, mmap_mode="r+")
    kept[points.index(step)] = images
    kept.flush()
    condition, target = (np.asarray(dataset.images[c]) for c in pairs[:SAMPLE_PAIRS].T)
    rows = [condition, target, images[:SAMPLE_PAIRS]]
    sheet = np.concatenate([np.concatenate(list(row), axis=1) for row in rows])
    (folder / "samples").mkdir(exist_ok=True)
    Image.fromarray(sheet).save(folder / "samples" / f"{step:06d}.png")


def paint_so_far(task: Task, dataset, folder, seed: int, device: str):
    """(step, images uint8 (k, H, W, 3)) painted by a folder's newest checkpoint for the pairs of
    curves; None without a checkpoint."""
    with devices.tuned(task.config.threads, device):
        run = Run(task, seed, device)
        if not (step := run.resume(Path(folder))):
            return None
        if not task.paint:
            return step, None
        shown = np.asarray(dataset.test_pairs)[:CURVE_PAIRS]
        with run.autocast():
            return step, task.paint(run.averaged(), task.config, dataset, shown, device)


def pair_inputs(dataset, pairs, device) -> Inputs:
    """Inputs of methods for pairs (k, 2) of image indices, (condition, target)."""
    images = torch.from_numpy(np.asarray(dataset.images[pairs[:, 0]])).to(device)
    before, after = (torch.from_numpy(dataset.keypoints[column]).to(device) for column in pairs.T)
    return Inputs(datasets.to_float(images.permute(0, 3, 1, 2)), before, after)
