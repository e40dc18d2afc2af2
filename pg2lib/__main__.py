"""`python -m pg2lib` is the command `pg2`."""

import sys

from pg2lib.cli import main

if __name__ == "__main__":
    sys.exit(main())
