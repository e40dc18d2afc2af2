"""A process that makes training steps, or generates, when it is asked to.

By default it does what the library does. PLAIN are the options of the step that this is compared
with: float32 (no TF32), eager, PyTorch's default memory layout and allocator.
"""

import contextlib
import json
import sys
import time
from dataclasses import fields, replace

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.common import PARSED, noise, peak_memory, row_config
from pg2lib import models
from pg2lib.core import devices
from pg2lib.data.dataset import to_uint8
from pg2lib.data.heatmaps import heatmaps, pose_mask
from pg2lib.models.base import Inputs, bind
from pg2lib.training import extras, loop

PLAIN = {
    "layout": "contiguous_format",
    "tuned": False,
    "changes": {"precision": "float32", "compiled": "no"},
}


def main(row, profile, device, changes=None, layout="channels_last", tuned=True, pairs=2_000):
    """Serve requests for one method; changes: fields of its configuration."""
    chain, changes = models.chain(row), changes or {}
    configs = [changed(row_config(method.name, profile), changes) for method in chain]
    torch.backends.cudnn.allow_tf32 = False
    with devices.tuned(0, device) if tuned else contextlib.nullcontext():
        serve(Bench(chain, configs, device, getattr(torch, layout), pairs))


def changed(config, changes):
    """The configuration with those of the changes whose field it has."""
    known = {field.name for field in fields(config)}
    return replace(config, **{name: value for name, value in changes.items() if name in known})


def serve(bench):
    for line in sys.stdin:
        what, *arguments = json.loads(line)
        print(json.dumps(getattr(bench, what)(*arguments)), flush=True)


class Bench:
    def __init__(self, chain, configs, device, layout, pairs):
        self.config, self.device, self.count = configs[-1], device, 0
        start = None
        for method, config in zip(chain[:-1], configs):  # untrained costs what trained does
            networks = method.build(config)
            for network in networks.values():
                network.to(device, memory_format=layout).requires_grad_(False)
            start = bind(method, networks, config, start)
        task = loop.method_task(chain[-1], self.config, start)
        self.maps = extras.names(chain[-1])  # of the parsing maps that the method needs
        if self.maps:
            task = extras.parsed_task(task, chain[-1], start)
        self.run = loop.Run(task, 0, device)
        for network in self.run.networks.values():
            network.to(memory_format=layout)
        dataset = noise(self.config.height, self.config.width, pairs)
        self.batches = task.batches(dataset, self.config, 0, 0, device)
        self.generate_fn = bind(chain[-1], self.run.networks, self.config, start)

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
        return self.timed(lambda: self.run.step(next(self.batches), self.count))

    def flops(self) -> float:
        """Floating point operations of a step as it is computed."""
        with FlopCounterMode(display=False) as counter:
            self.step()
        return counter.get_total_flops()

    def assembly(self) -> float:
        """Seconds for the batch, its flips, heatmaps and masks; median of eleven."""
        size = self.config.height, self.config.width

        def work():
            batch = next(self.batches)[0]
            heatmaps(batch.target_keypoints, *size)
            pose_mask(batch.target_keypoints, *size)

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
        size = self.config.height, self.config.width
        images = torch.rand(batch, 3, *size, device=self.device) * 2 - 1
        joints = torch.rand(batch, 18, 2, device=self.device) * size[1]
        maps = torch.randint(PARSED, (batch, *size), dtype=torch.uint8, device=self.device)
        inputs = Inputs(images, joints, joints, extras=dict.fromkeys(self.maps, maps))
        return self.timed(lambda: to_uint8(self.generate_fn(inputs).image).cpu())

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
