"""A disk that fails: counts the disk operations of log writers, and makes chosen ones fail."""

import errno
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final
from unittest import mock

import attrs

from recloser import CircuitBreaker, CircuitBreakerConfig, EventLog, ManualClock
from recloser.core.events import Checkpoint, LogGap, LogOpened, LogSealed
from recloser.history.engine import replay
from recloser.log import disk
from recloser.log.reader import LogReader

ERRORS: Final = (errno.EIO, errno.ENOSPC, errno.EINTR, errno.EDQUOT, errno.EROFS)
_CALLS: Final = ("create", "write", "sync", "cut", "sync_folder")
_OWN: Final = (LogOpened, LogSealed, LogGap, Checkpoint)


class FaultyDisk:
    """Forwards disk operations to the real disk, or makes them fail.

    Args:
        fails: Gets the number of each operation, from 1, and its name; returns the ``errno`` of the
            error to raise, or None.

    Attributes:
        calls: How many operations there were.
        failed: How many of them failed.
    """

    def __init__(self, fails: Callable[[int, str], int | None]) -> None:
        self.calls = 0
        self.failed = 0
        self._fails = fails
        self._counting = threading.Lock()

    @contextmanager
    def installed(self) -> Iterator["FaultyDisk"]:
        """Let all writers of this process use this disk during the block."""
        wrapped = {name: self._wrap(name, getattr(disk, name)) for name in _CALLS}
        with ExitStack() as stack:
            for name, call in wrapped.items():
                stack.enter_context(mock.patch.object(disk, name, call))
            yield self

    def _wrap(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            with self._counting:
                self.calls += 1
                number = self.calls
            error = self._fails(number, name)
            if error is None:
                return real(*arguments)
            with self._counting:
                self.failed += 1
            if name == "write" and len(arguments[1]) > 1:
                real(arguments[0], arguments[1][: len(arguments[1]) // 2])  # a torn write
            raise OSError(error, os.strerror(error))

        return call


@attrs.frozen
class Outcome:
    """Result of a scenario.

    Attributes:
        appended: How many events of breakers were appended.
        found: How many of them are in the log.
        lost: How many the log counts as lost.
        disk_calls: How many disk operations there were.
        failed_calls: How many of them failed.
    """

    appended: int
    found: int
    lost: int
    disk_calls: int
    failed_calls: int


def scenario(folder: Path, faulty: FaultyDisk, *, calls: int, durability: str = "sync") -> Outcome:
    """Make protected calls on a failing disk; check that the log replays to the live state.

    Raises:
        AssertionError: The replay differs from the live state, or from its witnesses.
    """
    clock = ManualClock()
    config = CircuitBreakerConfig(failure_threshold=3, recovery_timeout_seconds=1)
    appended = 0
    with faulty.installed():
        log = EventLog(folder, clock=clock, durability=durability, segment_bytes=4000)  # type: ignore[arg-type]  # any string is passed on
        real_write = log.write

        def counted_write(events: Any, seal: Any) -> None:
            nonlocal appended
            appended += sum(not isinstance(event, _OWN) for event in events)
            real_write(events, seal)

        log.write = counted_write  # type: ignore[method-assign]  # counts the events
        breaker = CircuitBreaker("b", config, log=log)
        for n in range(calls):
            clock.advance(seconds=0.3)
            decision = breaker.before_call()
            if decision.permit is not None:
                (breaker.after_failure if n % 9 < 5 else breaker.after_success)(decision.permit)
            if n % 4 == 0:
                log.flush()
        for _ in range(3):
            log.flush()
        live = breaker.snapshot()
        log.close()
    history = replay(folder)
    assert history.differences == [], history.differences
    assert history.snapshots["b"] == live
    events = list(LogReader(folder))
    return Outcome(
        appended=appended,
        found=sum(not isinstance(event, _OWN) for event in events),
        lost=sum(event.lost for event in events if isinstance(event, LogGap)),
        disk_calls=faulty.calls,
        failed_calls=faulty.failed,
    )


def fail_each_call(calls: int) -> Iterator[tuple[int, int, Outcome]]:
    """Run the scenario for each error and every N, with the N-th disk operation failing."""
    for error in ERRORS:
        number = 0
        while True:
            number += 1
            nth = number
            faulty = FaultyDisk(lambda n, _name, nth=nth, error=error: error if n == nth else None)  # type: ignore[misc]  # bound now
            with tempfile.TemporaryDirectory() as folder:
                outcome = scenario(Path(folder) / "log", faulty, calls=calls)
            if outcome.failed_calls == 0:
                break
            yield error, number, outcome
