"""Messages for the host's logging that wait until their thread holds no lock.

Logging runs code of the host, such as handlers, and such code may call a breaker. It must therefore
never run while a lock of this package is held.
"""

import contextlib
from typing import Final

from recloser.process import host_logging

_MAX_ATTEMPTS: Final = 3


class _Notice:
    """A message that waits to be logged.

    Attributes:
        is_at_work: Whether a thread is logging it now.
        attempts: How many times logging it was begun.
    """

    __slots__ = ("attempts", "is_at_work", "level", "message", "values")

    def __init__(self, level: int, message: str, values: tuple[object, ...]) -> None:
        self.level = level
        self.message = message
        self.values = values
        self.is_at_work = False
        self.attempts = 0


_notices: Final[list[_Notice]] = []
"""The messages of all logs of this process."""


def defer(level: int, message: str, *values: object) -> None:
    """Log a message as soon as this thread, or another one, holds no lock.

    Args:
        level: The level, such as ``logging.WARNING``.
        message: The message, with a ``%s`` for each value.
        values: The values.
    """
    _notices.append(_Notice(level, message, values))


def log_deferred() -> None:
    """Log the messages that wait; called where this thread holds no lock."""
    for notice in tuple(_notices):
        # The check and the assignment are one step for this thread: a logging handler that calls a
        # breaker comes here again, and must not log the same message. Two threads that come here at
        # once may both log it, which is harmless.
        if notice.is_at_work:
            continue
        notice.is_at_work = True
        try:
            _log(notice)
        finally:
            notice.is_at_work = False


def _log(notice: _Notice) -> None:
    # The message is removed once it is logged, or after several attempts that were interrupted by an
    # exception of a signal handler or another thread. So no such exception loses a message, and none
    # has it logged for ever.
    notice.attempts += 1
    if notice.attempts >= _MAX_ATTEMPTS:
        _remove(notice)
    host_logging.log(notice.level, notice.message, *notice.values)
    _remove(notice)


def _remove(notice: _Notice) -> None:
    with contextlib.suppress(ValueError):  # another thread has logged it meanwhile
        _notices.remove(notice)
