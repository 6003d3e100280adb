"""Logging that raises nothing into a protected call, whatever the host's handlers do."""

import logging
import signal
import traceback
from typing import Final

_logger: Final = logging.getLogger("recloser")


def log(
    level: int, message: str, *values: object, exc_info: BaseException | bool | None = None
) -> None:
    """Log a message to the logger ``recloser``.

    An exception of a logging handler or filter goes no further, as the call that the message is
    about must not fail by it. One that a signal handler raised meanwhile, such as a time limit,
    goes on.
    """
    try:
        _logger.log(level, message, *values, exc_info=exc_info, stacklevel=2)
    except Exception as error:
        if is_of_signal_handler(error):
            raise


def is_of_signal_handler(error: BaseException) -> bool:
    """Whether the traceback leads through a signal handler that is written in Python."""
    handlers = map(signal.getsignal, signal.valid_signals())
    codes = [getattr(handler, "__code__", None) for handler in handlers]
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_code in codes for frame, _ in frames)
