"""Adapters for recloser: without a log, with a log in memory, and with a log on disk."""

import inspect
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from bench.adapters import OPEN_SECONDS, Adapter, AsyncCall, Call, Protection
from recloser import (
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitOpenError,
    EventLog,
    MemoryLog,
)
from recloser.live.live_log import Log

C = TypeVar("C", Call, AsyncCall)
Detail = Literal["full", "runs"]

WRITER_STRETCH: Final = 4
"""A turn of 50 ms could end before the log's thread has written once."""

_IDLE_SECONDS: Final = 1.1
"""Seconds after which a counted run of calls is surely written, because its second is over."""

NO_LOG: Final = "recloser, no log"
MEMORY: Final = "recloser, MemoryLog"
DISK: Final = "recloser, EventLog"
RUNS: Final = 'recloser, EventLog(detail="runs")'


def has_runs() -> bool:
    """Whether the recloser that is installed can write runs."""
    return "detail" in inspect.signature(EventLog).parameters


def log_in(folder: Path, detail: Detail = "full") -> EventLog:
    """A log on disk with the given detail and otherwise default settings."""
    options: dict[str, Any] = {"detail": detail} if has_runs() else {}
    return EventLog(folder, **options)


def _that_opens_at(failures: int) -> CircuitBreakerConfig:
    return CircuitBreakerConfig(failure_threshold=failures, recovery_timeout_seconds=OPEN_SECONDS)


def _protection(
    config: CircuitBreakerConfig, log: Log | None, close: Callable[[], object] = lambda: None
) -> Protection[C]:
    breaker = CircuitBreaker("payments", config, log=log)
    return Protection(breaker, breaker, CircuitOpenError, close)


def _without_log(failures: int) -> Protection[C]:
    return _protection(_that_opens_at(failures), None)


def _in_memory(failures: int) -> Protection[C]:
    return _protection(_that_opens_at(failures), MemoryLog())


class _OnDisk:
    """Breakers on logs on disk, one log each.

    Attributes:
        lost: How many events the logs have lost: a loop of calls with nothing in them can outrun
            any disk.
    """

    def __init__(self, detail: Detail) -> None:
        self.detail: Detail = detail
        self.lost = 0

    def protection(self, failures: int) -> Protection[C]:
        """A breaker on a new log."""
        return self.with_config(_that_opens_at(failures))

    def with_config(self, config: CircuitBreakerConfig) -> Protection[C]:
        """A breaker with these settings on a new log."""
        folder = tempfile.TemporaryDirectory(prefix="recloser-bench-")
        log = log_in(Path(folder.name), self.detail)

        def close() -> None:
            log.close()
            self.lost += log.health().lost
            folder.cleanup()

        protection: Protection[C] = _protection(config, log, close)
        log.flush()  # creates the first segment before the turn, as no call does it
        return protection

    def many(self, count: int) -> object:
        """``count`` breakers on one log, each idle after a call; returned with the log."""
        folder = tempfile.TemporaryDirectory(prefix="recloser-bench-")
        log = log_in(Path(folder.name), self.detail)
        breakers = [CircuitBreaker(f"payments-{number}", log=log) for number in range(count)]
        for breaker in breakers:
            breaker.after_success(breaker.before_call().permit)
        time.sleep(_IDLE_SECONDS)
        log.flush()
        return folder, log, breakers

    def adapter(self, name: str) -> Adapter:
        """The adapter that uses these breakers."""
        make = self.protection
        return Adapter(
            name,
            "recloser",
            make,
            make,
            many=self.many,
            stretch=WRITER_STRETCH,
            lost=lambda: self.lost,
            with_config=self.with_config,
        )


WAYS: Final = (
    Adapter(
        NO_LOG,
        "recloser",
        _without_log,
        _without_log,
        with_config=lambda config: _protection(config, None),
    ),
    Adapter(MEMORY, "recloser", _in_memory, _in_memory),
    _OnDisk("full").adapter(DISK),
    _OnDisk("runs").adapter(RUNS),
)
