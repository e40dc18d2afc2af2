"""State that a training step passes to the next one, besides parameters.

A method's `updates` gets neither seed nor step. A method that trains with noise or earlier images
adds a `Memory` to its networks, so that checkpoints include it.
"""

import contextlib

import numpy as np
import torch
from torch import nn

from pg2lib.core import distributed
from pg2lib.core.files import UserError


class Memory(nn.Module):
    """The seed and step count, from which noise is drawn, and pools of earlier fakes.

    batch: fakes that a step offers to each pool; pools: name -> (count, channels, height, width).
    When created in a method's `build`, its seed comes from the training seed.
    """

    def __init__(self, batch: int = 1, pools: dict | None = None):
        super().__init__()
        self.seed, self.steps = int(torch.randint(2**31, (), device="cpu")), 0
        self.batch, self.pools = batch, tuple(pools or ())
        for name, shape in (pools or {}).items():
            self.register_buffer(name, torch.zeros(shape))

    def get_extra_state(self):
        return torch.tensor([self.seed, self.steps])

    def set_extra_state(self, state):
        self.seed, self.steps = state.tolist()

    def next_step(self):
        """Call once at the start of every step."""
        self.steps += 1

    def _rng(self, *numbers):
        return np.random.default_rng((self.seed, self.steps, *numbers))

    @contextlib.contextmanager
    def noise(self, number: int, device):
        """Within the block torch's random numbers depend only on the seed, the step, the process
        and `number`, which distinguishes the blocks of a step. device: where they are drawn."""
        device = torch.device(device)
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(int(self._rng(0, distributed.rank(), number).integers(2**62)))
            yield

    @torch.no_grad()
    def exchange(self, name: str, fakes):
        """The images that a discriminator sees instead of the fakes (B, C, H, W): they fill the
        pool `name` first; then each is swapped for an older one with probability 1/2 (Shrivastava
        et al. 2017). Without such a pool, the fakes.

        Raises UserError with several processes, since each would have its own pool.
        """
        if name not in self.pools:
            return fakes
        if distributed.world() > 1:
            raise UserError("an image pool needs a single process; start one, or --set pool=0")
        pool, rng = getattr(self, name), self._rng(1, self.pools.index(name))
        filled, given = min((self.steps - 1) * self.batch, len(pool)), []
        for image in fakes:
            if filled < len(pool):
                pool[filled] = image
                filled += 1
            elif rng.random() < 0.5:
                place = int(rng.integers(len(pool)))
                image, older = pool[place].clone(), image
                pool[place] = older
            given.append(image)
        return torch.stack(given)
