"""Runs the command line: ``python -m recloser`` does the same as ``recloser``."""

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:
        # -m puts the current folder first on the import path. A file there must not replace a library.
        del sys.path[0]
    from recloser.cli import run

    run()
