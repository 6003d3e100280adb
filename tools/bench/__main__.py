"""Runs the benchmark; ``python tools/bench --help``."""

import sys
from pathlib import Path

if __name__ == "__main__":
    # A folder that is run stands first in the path: its parent is meant, where the package is.
    sys.path[0] = str(Path(__file__).parent.parent)
    from bench.command import main

    sys.exit(main())
