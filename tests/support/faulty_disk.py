"""A disk that fails: counts the calls of log writers to the disk, and makes chosen calls fail."""

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
    """Replaces the calls of log writers to the disk by calls that may fail.

    Args:
        fails: Takes the number of a call, from 1, and its name; returns the errno to raise, or None.
    """

    def __init__(self, fails: Callable[[int, str], int | None]) -> None:
        self.calls = 0
        self.failed = 0
        self._fails = fails
        self._counting = threading.Lock()

    @contextmanager
    def installed(self) -> Iterator["FaultyDisk"]:
        """Let all log writers of this process use this disk."""
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
    """The result of a scenario: events of callers appended, found in the log, and counted as lost."""

    appended: int
    found: int
    lost: int
    disk_calls: int
    failed_calls: int


def scenario(folder: Path, faulty: FaultyDisk, *, calls: int, durability: str = "sync") -> Outcome:
    """Make protected calls on a disk that fails, and check the log.

    Raises:
        AssertionError: A protected call did not return, or the log differs from the live state.
    """
    clock = ManualClock()
    config = CircuitBreakerConfig(failure_threshold=3, recovery_timeout_seconds=1)
    appended = 0
    with faulty.installed():
        log = EventLog(folder, clock=clock, durability=durability, segment_bytes=4000)  # type: ignore[arg-type]  # a word of the caller's
        real_write = log.write

        def counted_write(events: Any, seal: Any) -> None:
            nonlocal appended
            appended += sum(not isinstance(event, _OWN) for event in events)
            real_write(events, seal)

        log.write = counted_write  # type: ignore[method-assign]  # to count what goes in
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
    """Run the scenario with the N-th call to the disk failing, for each error and every N."""
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
