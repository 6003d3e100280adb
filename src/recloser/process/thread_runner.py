"""How to know whether a thread that was started is still there."""

import weakref
from typing import TypeAlias, TypeVar


class ThreadRunner:
    """An object that lives as long as a thread: only the arguments of its function refer to it.

    A flag that the function resets when it ends is not enough. Until a new thread has an identifier of
    its own, ``PyThreadState_SetAsyncExc`` finds it under the identifier of the thread that starts it.
    So an exception that is meant for the starting thread can come up before the first line of the
    function, where no flag can be reset. The arguments of the function are released all the same.
    """

    __slots__ = ("__weakref__",)


R = TypeVar("R", bound=ThreadRunner)
RunnerReference: TypeAlias = weakref.ref[ThreadRunner]


def is_running(runner: weakref.ref[R] | None) -> bool:
    """Return whether the thread that was given a runner is still there.

    Args:
        runner: A weak reference to the runner; None if no thread was started.
    """
    return runner is not None and runner() is not None
