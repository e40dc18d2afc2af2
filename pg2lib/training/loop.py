"""The training loop: a pure function of (stage, seed, data) that a kill cannot hurt.

The batch of step s depends on (seed, s) only, there is no other randomness after initialisation,
and a checkpoint holds networks, optimisers and the step: a resumed run ends, on the same machine,
with the same bits as one that was never stopped.

Under `torchrun` every process takes its share of the same batch and DistributedDataParallel
averages the gradients; the process of rank 0 alone writes.
"""

import contextlib
import json
import math
import os
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn.parallel import DistributedDataParallel

from pg2lib.core import devices, distributed
from pg2lib.core.files import UserError, sha256, write_atomically
from pg2lib.data import dataset as datasets
from pg2lib.data.heatmaps import heatmaps, pose_mask
from pg2lib.models import losses
from pg2lib.models.experiments import Stage
from pg2lib.models.networks import G1, G2, D

SAMPLE_PAIRS = 8


def build_generator(stage: Stage):
    """The untrained G1 or G2 of a stage."""
    if stage.network == "G1":
        return G1(
            stage.height,
            stage.width,
            stage.channels,
            stage.embedding,
            stage.pose,
            stage.residual,
        )
    return G2(
        stage.height,
        stage.width,
        stage.channels,
        stage.skip_full_res,
        stage.fully_connected,
        stage.embedding,
    )


def build_discriminator(stage: Stage):
    """D at half the generator's width (64 for the paper's 128), 6 channels in for pairs."""
    inputs = 6 if stage.d_mode == "pair" else 3
    return D(stage.height, stage.width, max(stage.channels // 2, 4), inputs)


def paint(generator, stage: Stage, condition, keypoints, coarse=None):
    """What a stage makes of condition images (B, 3, H, W) and target keypoints (B, 18, 2).

    coarse: the painter of stage I that a G2 stage refines. Returns {"coarse", "difference",
    "refined"}, each (B, 3, H, W) float32; a one-stage row has difference None and coarse the same
    as refined.
    """
    if stage.network == "G1":
        pose = heatmaps(
            keypoints, stage.height, stage.width, stage.heatmap_radius, stage.heatmap_values
        )
        image = generator(condition, pose, keypoints).float()  # I_B1
        return {"coarse": image, "difference": None, "refined": image}
    with torch.no_grad():  # G1 is frozen in stage II
        first = coarse(condition, keypoints)["refined"]
    output = generator(first, condition).float()
    if stage.g2_paints == "image":
        return {"coarse": first, "difference": output - first, "refined": output}
    return {"coarse": first, "difference": output, "refined": first + output}


def generator_losses(painted, condition, target, mask, stage: Stage, discriminator=None):
    """Scalar terms of the generator's loss; "generator" is their weighted sum (eq. 1 or 4)."""
    terms = {"l1": losses.masked_l1(painted["refined"], target, mask, stage.mask_weight)}
    terms["generator"] = stage.l1_weight * terms["l1"]
    if discriminator is not None:
        logits = judged(discriminator, painted, condition, target, stage)
        terms["adversarial"] = losses.adversarial_loss(logits)
        terms["generator"] = terms["generator"] + terms["adversarial"]
    return terms


def judged(discriminator, painted, condition, target, stage, detach=False):
    """Logits of D for this batch; detach keeps D's step out of the generator."""
    fake = painted["refined"].detach() if detach else painted["refined"]
    coarse = painted["coarse"].detach() if stage.d_sees_coarse else None
    return losses.judge(discriminator, condition, target, fake, stage.d_mode, coarse)


def schedule(stage: Stage, step: int) -> float:
    """The factor on the learning rates at a step: 1, or half a cosine wave from 1 to 0."""
    if stage.schedule == "cosine":
        return (1 + math.cos(math.pi * step / stage.iterations)) / 2
    return 1.0


def train(
    stage: Stage,
    dataset,
    folder,
    seed: int = 0,
    device: str | None = None,
    coarse=None,
    progress=None,
    checkpoint_seconds: float = 20.0,
    stop_after: int | None = None,
) -> dict:
    """Train one stage into `folder` and return facts about the run.

    dataset   datasets.Dataset of the stage's size
    coarse    painter of stage I, for a G2 stage (see `painter`)
    progress  called with (step, iterations, note) at the start and after every step
    checkpoint_seconds  write a checkpoint so often, or rarer if writing takes long; 0: every step
    stop_after  leave after so many steps of this call, as a kill would (for tests)

    Writes `log.jsonl`, `samples/*.png` (condition, target, result of fixed test pairs),
    checkpoints, which are read again by the next call, and at the end `weights.pt`. Raises
    UserError when a loss is not finite, the disk is full, or the batch cannot be shared equally by
    the processes; the last good checkpoint stays.
    """
    folder, device = Path(folder), device or devices.default_device()
    folder.mkdir(parents=True, exist_ok=True)
    if (dataset.height, dataset.width) != (stage.height, stage.width):
        raise UserError(
            f"the data are {dataset.height}x{dataset.width} but stage {stage.name} wants "
            f"{stage.height}x{stage.width}; prepare the data with the same profile"
        )
    if stage.network == "G2" and coarse is None:
        raise UserError(f"stage {stage.name} refines {stage.coarse}; train that stage first")
    if stage.batch % distributed.world():
        raise UserError(
            f"{distributed.world()} processes cannot share a batch of {stage.batch} equally; "
            f"start a number of processes that divides {stage.batch}"
        )
    with devices.tuned(stage.threads, device):
        return run_stage(stage, dataset, folder, seed, device, coarse, progress,
                         checkpoint_seconds, stop_after)  # fmt: skip


def run_stage(
    stage, dataset, folder, seed, device, coarse, progress, checkpoint_seconds, stop_after
):
    """The loop itself; arguments as for `train`."""
    run, writes = Run(stage, seed, device), distributed.rank() == 0
    step = run.resume(folder)
    batches = run.batches(dataset, step)
    log = open_log(folder / "log.jsonl", step) if writes else None
    started, last_saved, pause = time.time(), time.time(), checkpoint_seconds
    first, note = step, ""
    if progress:
        progress(step, stage.iterations)
    with log or contextlib.nullcontext(), contextlib.closing(batches):
        while step < stage.iterations:
            if stop_after is not None and step - first >= stop_after:
                return {"step": step}
            terms = run.step(next(batches), step, coarse)
            step += 1
            report = step % max(stage.iterations // 100, 1) == 0 or step == stage.iterations
            # a GPU is only asked for numbers when they are wanted: at a report or a checkpoint
            save = time.time() - last_saved >= pause or step == stage.iterations
            if report or save or device == "cpu":
                numbers = {name: float(value) for name, value in terms.items()}
                complain_if_not_finite(numbers, stage, step, folder)
            if report and writes:
                rate = (step - first) * stage.batch / (time.time() - started)
                record = {"step": step, **numbers, "images_per_second": round(rate, 2)}
                log.write(json.dumps(record) + "\n")
                log.flush()
            if writes and (step % max(stage.iterations // 5, 1) == 0 or step == stage.iterations):
                draw_samples(run, dataset, coarse, folder / "samples" / f"{step:06d}.png")
            if save and writes:
                begun = time.time()
                run.save(folder, step)
                last_saved = time.time()
                if checkpoint_seconds:  # checkpoints take at most 5 % of the time
                    pause = max(checkpoint_seconds, 20 * (last_saved - begun))
            if progress:
                note = f"loss {numbers['generator']:.3f}" if report else note
                progress(step, stage.iterations, note)
    if writes:
        run.export(folder)
        for old in folder.glob("checkpoint-*.pt"):
            old.unlink()
    distributed.barrier()  # the weights are there when any process goes on
    return {
        "step": step,
        "precision": run.precision,
        "device": device,
        "processes": distributed.world(),
        "torch": torch.__version__,
    }


class Run:
    """The mutable state of a training run: networks, optimisers, precision.

    `generator` and `discriminator` hold the parameters. `fast` computes with the same parameters:
    compiled where that pays, and, "generator" and "critic" (D in its own step), averaging their
    gradients over the processes.
    """

    def __init__(self, stage: Stage, seed: int, device: str):
        self.stage, self.seed, self.device = stage, seed, device
        chosen = devices.fast_precision(device) if stage.precision == "auto" else stage.precision
        self.precision = distributed.broadcast(chosen)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.generator = self.placed(build_generator(stage))
            self.discriminator = None
            if stage.adversarial:
                self.discriminator = self.placed(build_discriminator(stage))
        self.optimizers = {
            name: torch.optim.Adam(
                network.parameters(), betas=(stage.beta1, stage.beta2), eps=1e-8, fused=True
            )
            for name, network in self.networks.items()
        }
        self.fast = {"generator": self.compiled(self.shared(self.generator))}
        if stage.adversarial:
            self.fast["discriminator"] = self.fast["critic"] = self.discriminator
            if distributed.world() > 1:  # its statistics travel in the middle of a pass: not
                self.fast["critic"] = self.shared(self.discriminator)  # for the compiler
            else:
                self.fast["discriminator"] = self.compiled(self.discriminator)
                self.fast["critic"] = self.fast["discriminator"]

    def placed(self, network):
        return network.to(self.device, memory_format=torch.channels_last)

    def shared(self, network):
        if distributed.world() == 1:
            return network
        return DistributedDataParallel(network, gradient_as_bucket_view=True)

    def compiled(self, network):
        return devices.compiled(network, self.device, self.stage.compiled)

    @property
    def networks(self):
        both = {"generator": self.generator, "discriminator": self.discriminator}
        return {name: network for name, network in both.items() if network is not None}

    def autocast(self):
        low = self.precision == "bfloat16"
        return torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=low)

    def batches(self, dataset, step):
        """Yield this process's part of the batches of step, step + 1, ...: (the generator's, D's);
        they are the same one unless stage.d_batch is "own"."""
        data = datasets.on_device(dataset, self.device)
        pairs = torch.from_numpy(np.asarray(dataset.train_pairs)).to(self.device)
        share = slice(distributed.rank(), None, distributed.world())

        def stream(seed):
            return datasets.batches(data, pairs, self.stage.batch, seed, step, share)

        with contextlib.closing(stream(self.seed)) as generators:
            if self.stage.adversarial and self.stage.d_batch == "own":
                with contextlib.closing(stream(self.seed + 1)) as critics:
                    yield from zip(generators, critics)
            for batch in generators:
                yield batch, batch

    def step(self, batches, step, coarse):
        """One update of the generator and, in adversarial stages, one of D. Returns loss terms,
        averaged over the processes."""
        stage, (batch, d_batch) = self.stage, batches
        size = (stage.height, stage.width)
        mask = pose_mask(batch.target_keypoints, *size, variant=stage.mask_variant)
        rates = {"generator": stage.learning_rate, "discriminator": stage.d_learning_rate}
        for name, optimizer in self.optimizers.items():
            optimizer.param_groups[0]["lr"] = rates[name] * schedule(stage, step)
        with self.autocast():
            painted = self.paint(batch, coarse)
            if self.discriminator is not None:
                self.discriminator.requires_grad_(False)
            terms = generator_losses(
                painted, batch.condition, batch.target, mask, stage, self.fast.get("discriminator")
            )
        self.update("generator", terms["generator"])
        if self.discriminator is not None:
            if d_batch is not batch:  # released code: D's step takes a batch of its own
                with torch.no_grad(), self.autocast():
                    painted = self.paint(d_batch, coarse)
            self.discriminator.requires_grad_(True)
            with self.autocast():
                logits = judged(
                    self.fast["critic"], painted, d_batch.condition, d_batch.target, stage, True
                )
            terms["discriminator"] = losses.discriminator_loss(logits)
            terms["d_real"] = logits["real"].sigmoid().mean()
            terms["d_fake"] = logits["fake"].sigmoid().mean()
            self.update("discriminator", terms["discriminator"])
        means = distributed.mean(torch.stack([value.detach() for value in terms.values()]))
        return dict(zip(terms, means))

    def paint(self, batch, coarse):
        return paint(
            self.fast["generator"], self.stage, batch.condition, batch.target_keypoints, coarse
        )

    def update(self, name, loss):
        self.optimizers[name].zero_grad(set_to_none=True)
        loss.backward()
        self.optimizers[name].step()

    def save(self, folder: Path, step: int):
        """Write checkpoint-STEP-HASH.pt; the older ones but one go."""
        state = {
            "step": step,
            "seed": self.seed,
            "stage": self.stage.as_dict(),
            "precision": self.precision,
            "networks": {name: network.state_dict() for name, network in self.networks.items()},
            "optimizers": {name: o.state_dict() for name, o in self.optimizers.items()},
        }
        temporary = write_torch(state, folder / "checkpoint.tmp")
        digest = sha256(temporary)[:16]
        os.replace(temporary, folder / f"checkpoint-{step:07d}-{digest}.pt")
        for old in sorted(folder.glob("checkpoint-*.pt"))[:-2]:
            old.unlink()

    def resume(self, folder: Path) -> int:
        """Load the newest intact checkpoint of this stage and seed; returns its step, 0 if none.

        It knows nothing of processes: any number of them may go on with it.
        """
        path = distributed.broadcast(newest_checkpoint(folder) if distributed.rank() == 0 else None)
        if path is None:
            return 0
        state = torch.load(path, map_location=self.device, weights_only=True)
        if state["stage"] != self.stage.as_dict() or state["seed"] != self.seed:
            raise UserError(
                f"{path} was made with another configuration; use another folder or delete it"
            )
        for name, network in self.networks.items():
            network.load_state_dict(state["networks"][name])
            self.optimizers[name].load_state_dict(state["optimizers"][name])
        self.precision = state["precision"]
        return state["step"]

    def export(self, folder: Path):
        """weights.pt: the stage's configuration and its networks, without optimisers."""
        state = {
            "stage": self.stage.as_dict(),
            "seed": self.seed,
            **{name: network.state_dict() for name, network in self.networks.items()},
        }
        os.replace(write_torch(state, folder / "weights.tmp"), folder / "weights.pt")


def newest_checkpoint(folder: Path) -> Path | None:
    """The last checkpoint whose bytes are those that were written; a damaged one is passed over."""
    for path in sorted(folder.glob("checkpoint-*.pt"), reverse=True):
        if sha256(path)[:16] == path.stem.split("-")[-1]:
            return path
    return None


def write_torch(state: dict, path: Path) -> Path:
    try:
        torch.save(state, path)
    except (OSError, RuntimeError) as error:
        path.unlink(missing_ok=True)
        raise UserError(
            f"cannot write {path} ({error}); make room on the disk and start again: the checkpoint "
            "before this one is kept"
        ) from error
    return path


def complain_if_not_finite(numbers, stage, step, folder):
    bad = [name for name, value in numbers.items() if not math.isfinite(value)]
    if bad:
        raise UserError(
            f"the {bad[0]} loss of {stage.name} is {numbers[bad[0]]} at step {step}; lower its "
            f"learning rate ({stage.learning_rate:g}) or train in float32; the last good "
            f"checkpoint stays in {folder}"
        )


def open_log(path: Path, step: int):
    """The log for appending, without what a killed run wrote after its last checkpoint."""
    if path.exists():
        kept = [r for r in read_log(path) if r["step"] <= step]
        with write_atomically(path) as temporary:
            temporary.write_text("".join(json.dumps(record) + "\n" for record in kept))
    return open(path, "a")


def read_log(path) -> list[dict]:
    """The records of a log.jsonl; a last line cut short by a kill is left out."""
    records = []
    for line in Path(path).read_text().splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            break
    return records


@torch.no_grad()
def draw_samples(run: Run, dataset, coarse, path: Path):
    """PNG of fixed test pairs in columns: condition, target, result."""
    pairs = dataset.test_pairs[:: max(len(dataset.test_pairs) // SAMPLE_PAIRS, 1)][:SAMPLE_PAIRS]
    condition, target = (np.asarray(dataset.images[column]) for column in pairs.T)
    keypoints = torch.from_numpy(dataset.keypoints[pairs[:, 1]]).to(run.device)
    images = datasets.to_float(torch.from_numpy(condition).permute(0, 3, 1, 2).to(run.device))
    with run.autocast():
        result = paint(run.generator, run.stage, images, keypoints, coarse)["refined"]
    rows = [condition, target, datasets.pictures(result)]
    sheet = np.concatenate([np.concatenate(list(row), axis=1) for row in rows])
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(sheet).save(path)


def load_weights(path, device: str | None = None):
    """(stage, generator) from a weights.pt; the generator is frozen and in eval mode."""
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path} is missing; train the row first (`pg2 train ROW`)")
    state = torch.load(path, map_location=device or devices.default_device(), weights_only=True)
    stage = Stage(**state["stage"])
    generator = build_generator(stage)
    generator.load_state_dict(state["generator"])
    generator.to(device or devices.default_device(), memory_format=torch.channels_last)
    return stage, generator.eval().requires_grad_(False)


def painter(weights, device: str | None = None):
    """A function (condition, keypoints) -> {"coarse", "difference", "refined"} in float32.

    weights: paths of weights.pt in the row's order, stage I first. Condition (B, 3, H, W) in
    [-1, 1], keypoints (B, 18, 2); see `paint`. Generation is always float32.
    """
    paint_coarse = None
    for path in weights:
        stage, generator = load_weights(path, device)
        paint_coarse = one_painter(stage, generator, paint_coarse)
    return paint_coarse


def one_painter(stage, generator, coarse):
    @torch.no_grad()
    def paint_images(condition, keypoints):
        return paint(generator, stage, condition, keypoints, coarse)

    return paint_images
