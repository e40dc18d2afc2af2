"""A process that makes training steps, or generates, when it is asked to.

By itself it does what the library does; `common.PLAIN` are the options of the plain step: float32
(TF32 off), eager, PyTorch's default memory layout, the allocator as it comes.
"""

import contextlib
import json
import sys
import time
from dataclasses import replace

import torch
from pg2lib.models.experiments import Stage
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.common import noise, peak_memory
from pg2lib.core import devices
from pg2lib.data import dataset as datasets
from pg2lib.data.heatmaps import heatmaps, pose_mask
from pg2lib.training import loop as training


def main(stage: dict, device: str, layout="channels_last", tuned=True, pairs: int = 2_000):
    stage, dataset = Stage(**stage), noise(stage["height"], stage["width"], pairs)
    torch.backends.cudnn.allow_tf32 = False
    with devices.tuned(stage.threads, device) if tuned else contextlib.nullcontext():
        serve(Bench(stage, dataset, device, getattr(torch, layout)))


def serve(bench):
    for line in sys.stdin:
        what, *arguments = json.loads(line)
        print(json.dumps(getattr(bench, what)(*arguments)), flush=True)


class Bench:
    def __init__(self, stage, dataset, device, layout):
        self.stage, self.device, self.count = stage, device, 0
        self.coarse = None
        if stage.network == "G2":
            first = replace(stage, network="G1", adversarial=False)
            generator = training.build_generator(first).to(device, memory_format=layout)
            self.coarse = training.one_painter(first, generator.requires_grad_(False), None)
        self.run = training.Run(stage, 0, device)
        for network in self.run.networks.values():
            network.to(memory_format=layout)
        self.batches = self.run.batches(dataset, 0)
        self.paint = training.one_painter(stage, self.run.generator, self.coarse)

    def timed(self, work) -> float:
        self.wait()
        started = time.perf_counter()
        work()
        self.wait()
        return time.perf_counter() - started

    def wait(self):
        if self.device != "cpu":
            torch.cuda.synchronize()

    def step(self) -> float:
        """Seconds of one training step with everything that belongs to it."""
        self.count += 1
        return self.timed(lambda: self.run.step(next(self.batches), self.count, self.coarse))

    def flops(self) -> float:
        """Floating point operations of a step as it is computed."""
        with FlopCounterMode(display=False) as counter:
            self.step()
        return counter.get_total_flops()

    def assembly(self) -> float:
        """Seconds for the batch, its flips, heatmaps and masks; median of ten."""
        size = self.stage.height, self.stage.width

        def work():
            batch, _ = next(self.batches)
            heatmaps(batch.target_keypoints, *size)
            pose_mask(batch.target_keypoints, *size, variant=self.stage.mask_variant)

        return sorted(self.timed(work) for _ in range(11))[5]

    def product(self, precision: str, side: int) -> float:
        """Operations per second of a square matrix product: the best of three sizes and rounds."""
        best = 0.0
        for n in (side // 4, side // 2, side):
            a, b = (
                torch.randn(n, n, device=self.device).to(getattr(torch, precision))
                for _ in range(2)
            )
            a @ b
            best = max(best, 2 * n**3 / min(self.timed(lambda a=a, b=b: a @ b) for _ in range(3)))
        return best

    def generation(self, batch: int) -> float:
        """Seconds to generate a batch, as evaluation and `pg2 generate` do, in float32."""
        size = self.stage.height, self.stage.width
        images = torch.rand(batch, 3, *size, device=self.device) * 2 - 1
        joints = torch.rand(batch, 18, 2, device=self.device) * size[1]
        return self.timed(lambda: datasets.to_uint8(self.paint(images, joints)["refined"]).cpu())

    def precision(self) -> str:
        return self.run.precision

    def parameters(self) -> int:
        return sum(p.numel() for n in self.run.networks.values() for p in n.parameters())

    def memory(self) -> float:
        """Peak of this process (CPU), or of tensors on the GPU, in MB."""
        if self.device != "cpu":
            return torch.cuda.max_memory_allocated() / 1e6
        return peak_memory()


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
