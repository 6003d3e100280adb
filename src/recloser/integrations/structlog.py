"""What ``LoggingListener`` tells ``logging``, told to structlog: an event with its fields."""

import logging
from typing import Any, Final

from recloser.integrations import needs
from recloser.live.listeners import LoggingListener

with needs("structlog", extra="structlog"):
    import structlog

__all__ = ["StructlogListener"]

_METHODS: Final = {logging.WARNING: "warning", logging.INFO: "info"}


class StructlogListener(LoggingListener):
    """Logs each edge with its cause, a warning where it opens, and refusals at most once a second.

    It is called in a thread of the log's own, where the caller's ``structlog.contextvars`` are not
    bound; set ``inline = True`` on an instance to log in the caller's thread with them.

    Args:
        logger: Where to; by default ``structlog.get_logger("recloser")``.
    """

    def __init__(self, logger: Any = None) -> None:
        super().__init__()
        self._structured = structlog.get_logger("recloser") if logger is None else logger

    def _write(self, level: int, **fields: object) -> None:
        told = {name: value for name, value in fields.items() if value is not None}
        getattr(self._structured, _METHODS[level])(told.pop("event"), **told)
