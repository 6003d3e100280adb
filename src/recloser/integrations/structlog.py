"""A listener that logs changes of state and rejected calls to structlog."""

import logging
from typing import Any, Final

from recloser.integrations import needs
from recloser.live.listeners import LoggingListener

with needs("structlog", extra="structlog"):
    import structlog

__all__ = ["StructlogListener"]

_METHODS: Final = {logging.WARNING: "warning", logging.INFO: "info"}


class StructlogListener(LoggingListener):
    """Logs changes of state, and rejected calls at most once per second.

    A trip is logged as a warning. The listener runs in a thread of the log, where the caller's
    ``structlog.contextvars`` are not bound. Set ``inline = True`` on an instance to log in the caller's
    thread, with them.

    Args:
        logger: The logger to use; by default ``structlog.get_logger("recloser")``.
    """

    def __init__(self, logger: Any = None) -> None:
        super().__init__()
        self._structured = structlog.get_logger("recloser") if logger is None else logger

    def _write(self, level: int, **fields: object) -> None:
        known = {name: value for name, value in fields.items() if value is not None}
        getattr(self._structured, _METHODS[level])(known.pop("event"), **known)
