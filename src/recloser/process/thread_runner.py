"""Whether a thread that was started is still there."""

import weakref
from typing import TypeAlias, TypeVar


class ThreadRunner:
    """The sign that a thread runs: only the arguments of its function refer to it.

    A flag that the function takes back is not enough. ``PyThreadState_SetAsyncExc`` finds a new
    thread under the number of the one that starts it, until it has a number of its own. So an
    exception that is meant for the starting thread can come up before the first line of the
    function, where nothing can be taken back. What the arguments hold is gone all the same.
    """

    __slots__ = ("__weakref__",)


R = TypeVar("R", bound=ThreadRunner)
RunnerReference: TypeAlias = weakref.ref[ThreadRunner]


def is_running(runner: weakref.ref[R] | None) -> bool:
    """Whether the thread is there that was given the runner."""
    return runner is not None and runner() is not None
