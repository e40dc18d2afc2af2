"""`python -m pg2lib` is the command `pg2`."""

import os
import sys

from pg2lib.cli import main

if __name__ == "__main__":
    if "PG2_CHILD" in os.environ:  # torch is not loaded for anything less
        from pg2lib.core import devices

        devices.end_with_parent()
    sys.exit(main())
