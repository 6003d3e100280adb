"""Logging to the host that raises nothing into a protected call."""

import logging
import signal
import traceback
from typing import Final

_logger: Final = logging.getLogger("recloser")


def log(
    level: int, message: str, *values: object, exc_info: BaseException | bool | None = None
) -> None:
    """Log a message to the logger ``recloser``.

    An exception of a logging handler or filter goes no further, because the call that the message is
    about must not fail by it. An exception that a signal handler has raised meanwhile, such as a time
    limit, goes on.

    Args:
        level: The level, such as ``logging.WARNING``.
        message: The message, with a ``%s`` for each value.
        values: The values.
        exc_info: The exception to show, or True for the one that is being handled.
    """
    try:
        _logger.log(level, message, *values, exc_info=exc_info, stacklevel=2)
    except Exception as error:
        if is_of_signal_handler(error):
            raise


def is_of_signal_handler(error: BaseException) -> bool:
    """Return whether a signal handler that is written in Python has raised an exception.

    Args:
        error: The exception; its traceback is searched for the handler.
    """
    handlers = map(signal.getsignal, signal.valid_signals())
    codes = [getattr(handler, "__code__", None) for handler in handlers]
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_code in codes for frame, _ in frames)
