"""What a step of training leaves to the next one besides parameters.

`updates` of a method is told neither seed nor step. A method with noise or with earlier images in
its training puts a `Memory` among its networks: a checkpoint then holds it as it holds those.
"""

import contextlib

import numpy as np
import torch
from torch import nn

from pg2lib.core import distributed
from pg2lib.core.files import UserError


class Memory(nn.Module):
    """The seed and the number of steps, from which noise is drawn, and pools of earlier fakes.

    batch: fakes that a step offers to each pool; pools: name -> (count, channels, height, width).
    Made inside a method's `build`, it takes its seed from that of the training.
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
        """To be called once at the start of every step."""
        self.steps += 1

    def _rng(self, *numbers):
        return np.random.default_rng((self.seed, self.steps, *numbers))

    @contextlib.contextmanager
    def noise(self, number: int, device):
        """Within the block torch's random numbers depend on the seed, the step, the process and
        `number` alone, which tells the blocks of a step apart. device: where they are drawn."""
        device = torch.device(device)
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(int(self._rng(0, distributed.rank(), number).integers(2**62)))
            yield

    @torch.no_grad()
    def exchange(self, name: str, fakes):
        """What a discriminator sees instead of fakes (B, C, H, W): until the pool `name` is full
        they fill it; then each is swapped for an older one with a chance of a half (Shrivastava et
        al. 2017). Without such a pool: the fakes.

        UserError: several processes, each of which would have a pool of its own.
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
