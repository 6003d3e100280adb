"""Work at the end of the process, however the process was started."""

import atexit
import sys
from collections.abc import Callable
from typing import Final

_POOLS: Final = ("multiprocessing.util", "billiard.util")
"""Libraries whose child processes end without calling the exit handlers of the interpreter."""


def at_exit(finish: Callable[[], None]) -> None:
    """Call a function when this process ends, also if the process is the child of a process pool.

    Args:
        finish: The function.
    """
    atexit.register(finish)
    for name in _POOLS:
        pool = sys.modules.get(name)
        finalizer = getattr(pool, "Finalize", None)
        if finalizer is not None:
            finalizer(None, finish, exitpriority=0)
