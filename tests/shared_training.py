"""What test_distributed.py starts under torchrun: train stages in two processes.

Usage: shared_training.py DATA_STORE FOLDER
"""

import sys
from pathlib import Path

import smoke

from pg2lib.core import distributed
from pg2lib.data import dataset as datasets
from pg2lib.training import loop as training


def shared_stage(name):
    """A stage in float32, so that sums in another order are the only difference, with a batch
    that two processes can share and enough steps for the curve to move."""
    return smoke.task(name, precision="float32", iterations=12, d_batch="own")


def main(store, folder):
    data = datasets.load(Path(store))
    with distributed.joined("cpu"):
        stage = shared_stage("G1+D")
        training.train(stage, data, folder / "two")
        training.train(stage, data, folder / "from-two", checkpoint_seconds=0, stop_after=5)
        training.train(stage, data, folder / "from-one")  # begun by one process
    distributed.leave()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
