"""What is done when the process ends, however it was started."""

import atexit
import sys
from collections.abc import Callable
from typing import Final

_POOLS: Final = ("multiprocessing.util", "billiard.util")
"""The libraries whose child processes end without the interpreter's exit handlers."""


def at_exit(finish: Callable[[], None]) -> None:
    """Have something done when this process ends, also if it is the child of a process pool."""
    atexit.register(finish)
    for name in _POOLS:
        pool = sys.modules.get(name)
        finalizer = getattr(pool, "Finalize", None)
        if finalizer is not None:
            finalizer(None, finish, exitpriority=0)
