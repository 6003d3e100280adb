"""``python -m recloser``: the same as the command ``recloser``."""

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:
        # The current folder, where -m looks first: no library is to be taken from there.
        del sys.path[0]
    from recloser.cli import run

    run()
