"""A session: the headers that one process writes to a log, and where the log's time goes on."""

import os
from collections.abc import Callable
from datetime import datetime
from typing import Literal, TypeAlias

from attrs import asdict, evolve

from recloser.clock import Clock, boot_id_of, read_monotonic, read_wall
from recloser.core.events import FORMAT_VERSION, RULES_VERSION, LogOpened
from recloser.core.limits import MAX_AT
from recloser.core.log_fold import LogFold
from recloser.core.moments import after, nanoseconds_between
from recloser.log.tail import Tail
from recloser.version import __version__

Detail: TypeAlias = Literal["full", "runs"]
"""Whether a log has an event for each outcome, or one for the successes of a breaker and second."""


class Session:
    """Makes the headers of one session of a log.

    Args:
        clock: The clock of the log.
        monotonic_ns: Reads the clock's monotonic time, in nanoseconds.
        fold: The fold of the earlier sessions.
        tail: How the earlier sessions ended.
        host: The name of the machine.
        detail: How much detail the log has.

    Attributes:
        opened_ns: The monotonic time at which the session was opened, in nanoseconds.
    """

    __slots__ = ("_clock", "_detail", "_host", "_number", "_opened_wall", "_tail", "opened_ns")

    def __init__(
        self,
        clock: Clock,
        monotonic_ns: Callable[[], int],
        fold: LogFold,
        tail: Tail,
        host: str,
        *,
        detail: Detail,
    ) -> None:
        self._clock = clock
        self._tail = tail
        self._host = host
        self._detail: Detail = detail
        self._number = 1 if fold.opened is None else fold.opened.session + 1
        self.opened_ns = read_monotonic(clock)
        self._opened_wall = self.wall_at(self.opened_ns, monotonic_ns)

    @property
    def host(self) -> str:
        """The name of the machine."""
        return self._host

    def wall_at(self, at_ns: int, monotonic_ns: Callable[[], int]) -> datetime:
        """Return the wall time at a monotonic time, which is a moment ago.

        Args:
            at_ns: The monotonic time in nanoseconds.
            monotonic_ns: Reads the monotonic time now, in nanoseconds.
        """
        return after(read_wall(self._clock), at_ns - monotonic_ns())

    def first_header(
        self, fold: LogFold, origin: int, monotonic_ns: Callable[[], int]
    ) -> LogOpened:
        """Return the header that begins the session.

        Args:
            fold: The fold of the log so far.
            origin: The monotonic time in nanoseconds at which the log's time is 0.
            monotonic_ns: Reads the monotonic time now, in nanoseconds.
        """
        header = self._header(fold, self.opened_ns - origin, self.opened_ns, monotonic_ns)
        return evolve(header, wall=self._opened_wall, **asdict(self._tail))

    def header(self, fold: LogFold, origin: int, monotonic_ns: Callable[[], int]) -> LogOpened:
        """Return the header that begins a further segment of the session.

        Args:
            fold: The fold of the log so far.
            origin: The monotonic time in nanoseconds at which the log's time is 0.
            monotonic_ns: Reads the monotonic time now, in nanoseconds.
        """
        return self._header(fold, fold.at, fold.at + origin, monotonic_ns)

    def _header(
        self, fold: LogFold, at: int, at_ns: int, monotonic_ns: Callable[[], int]
    ) -> LogOpened:
        return LogOpened(
            seq=fold.seq + 1,
            at=at,
            format=FORMAT_VERSION,
            rules=RULES_VERSION,
            session=self._number,
            wall=self.wall_at(at_ns, monotonic_ns),
            monotonic=at_ns,
            boot_id=boot_id_of(self._clock),
            host=self._host,
            pid=os.getpid(),
            library=__version__,
            checkpoints=len(fold.breakers),
            detail=self._detail,
        )


def resumed_at(fold: LogFold, clock: Clock, opened_ns: int) -> int:
    """Return the time of the log, in nanoseconds, at which it goes on when it is opened again.

    Within one boot of the machine, the monotonic time has gone on and shows how long the pause was.
    After a reboot only the wall clock can show this. It may be wrong, so the pause is taken to be at
    most as long as any breaker still has to wait.

    Args:
        fold: The fold of the earlier sessions.
        clock: The clock of the log.
        opened_ns: The monotonic time at which the log was opened again, in nanoseconds.
    """
    opened = fold.opened
    if opened is None:
        return 0
    if opened.boot_id and opened.boot_id == boot_id_of(clock):
        at = opened.at + opened_ns - opened.monotonic
        if at >= fold.at:
            return min(at, MAX_AT)
    gap = nanoseconds_between(fold.utc(fold.at), read_wall(clock))
    return min(fold.at + max(0, min(gap, fold.longest_wait_ns)), MAX_AT)
