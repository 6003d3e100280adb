"""Clocks: the only module that reads the time.

A clock shows two times. Decisions depend only on the monotonic time. The wall time dates what is
shown to people.
"""

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

from recloser.core.limits import MAX_WHOLE, label
from recloser.core.moments import EARLIEST, LATEST, after
from recloser.core.validation import Seconds, as_whole, nanoseconds
from recloser.errors import ConfigError, RecloserError

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")

_LONG_NS: Final = 70 * 365 * 86_400 * 10**9
_REAL: Final = (datetime,)
"""``datetime`` in a tuple, where libraries that freeze the time in tests do not replace it."""


class Clock(Protocol):
    """A source of time for breakers and logs.

    A clock may also have a text attribute ``boot_id``, which names the origin of its
    monotonic time. Sessions of a log with the same ``boot_id`` are on the same time scale. Without
    it, a restart of the process counts as a reboot of the machine.
    """

    def monotonic_ns(self) -> int:
        """Nanoseconds since any fixed origin; they never decrease."""
        ...

    def now(self) -> datetime:
        """The wall time, as an aware ``datetime`` in UTC."""
        ...


def boot_id_of(clock: Clock) -> str:
    """The ``boot_id`` of a clock, cut to what a log can hold; empty if it has none."""
    return label(str(getattr(clock, "boot_id", "")))


def read_wall(clock: Clock) -> datetime:
    """The wall time of a clock, in UTC, as an exact ``datetime``: a log can't hold a subclass.

    Raises:
        ConfigError: The clock shows a time without a zone.
    """
    wall = clock.now()
    offset = wall.utcoffset()
    if offset is None:
        raise ConfigError("clock: now() must give an aware time, in UTC; give it a tzinfo")
    shown = _REAL[0](
        wall.year,
        wall.month,
        wall.day,
        wall.hour,
        wall.minute,
        wall.second,
        wall.microsecond,
        tzinfo=UTC,
    )
    try:
        return shown - offset
    except OverflowError:
        return LATEST if offset < timedelta(0) else EARLIEST


def read_monotonic(clock: Clock) -> int:
    """The monotonic time of a clock, in nanoseconds.

    Raises:
        ConfigError: The clock does not show a whole number from 0 up.
    """
    shown = clock.monotonic_ns()
    ns = as_whole(shown)
    if type(ns) is not int or ns < 0:
        raise ConfigError(
            f"clock: monotonic_ns() must give a whole number from 0 up, not {shown!r}"
        )
    return min(ns, MAX_WHOLE)


def monotonic_reader(clock: Clock, most: int = MAX_WHOLE) -> Callable[[], int]:
    """A function that reads the monotonic time of a clock and never returns less than before.

    For the system clock it is ``time.monotonic_ns`` itself, which never decreases and does not reach
    ``most`` in this century.

    Args:
        clock: The clock.
        most: The highest number of nanoseconds that the function returns.
    """
    if type(clock) is SystemClock and most - clock.monotonic_ns() > _LONG_NS:
        return clock.monotonic_ns
    last = 0

    def read() -> int:
        nonlocal last
        shown = clock.monotonic_ns()
        if type(shown) is not int:
            shown = int(shown)  # such as numpy.int64, which no log can hold
        shown = min(shown, most)
        # Several threads may be here. No lock: a user's clock would run under it, and a signal handler
        # or a fork could find it taken. The interpreter's own lock is enough, since it switches threads
        # only at calls and jumps backwards, and neither is between the comparison and the assignment.
        if shown > last:  # noqa: PLR1730  # max() is a call, after which another thread may run
            last = shown
        return last

    return read


class SystemClock:
    """The clocks of this machine."""

    # The function itself, since a method around it would double the time of each reading.
    monotonic_ns = staticmethod(time.monotonic_ns)

    def now(self) -> datetime:
        """The time of the machine's wall clock, in UTC."""
        return datetime.now(UTC)

    # Not a cached_property, which holds a lock up to Python 3.11 that a fork may find taken.
    _boot_id: str | None = None

    @property
    def boot_id(self) -> str:
        """The operating system's name for this boot; empty where it has none."""
        if self._boot_id is None:
            try:
                # Bytes, since opening text may import a codec. In a forked child that import could
                # wait for ever for one that another thread of the parent had begun.
                self._boot_id = _BOOT_ID.read_bytes().decode("ascii").strip()
            except OSError:
                self._boot_id = ""
        return self._boot_id


SYSTEM_CLOCK: Final = SystemClock()
"""The default clock; it is shared, so that the operating system is asked only once for its boot."""


class ManualClock:
    """A clock for tests, which moves only when a method moves it.

    Threads may share it. It takes no lock, so signal handlers may read and move it, and a process may
    fork at any moment.

    Args:
        start: The wall time at first, with a time zone.
        monotonic_ns: The monotonic time at first, in nanoseconds.
        boot_id: The first ``boot_id``.

    Attributes:
        boot_id: Names the origin of the monotonic time; ``reboot`` changes it.

    Raises:
        RecloserError: ``start`` has no time zone.
    """

    def __init__(
        self,
        start: datetime = datetime(2000, 1, 1, tzinfo=UTC),
        monotonic_ns: int = 0,
        boot_id: str = "manual-0",
    ) -> None:
        if start.tzinfo is None:
            raise RecloserError("a ManualClock starts at an aware time: give start a tzinfo")
        self.boot_id = boot_id
        self._wall = start.astimezone(UTC)
        self._wall_ns = 0
        self._monotonic_ns = monotonic_ns
        self._boots = 0

    def monotonic_ns(self) -> int:
        """The monotonic time, in nanoseconds."""
        return self._monotonic_ns

    def now(self) -> datetime:
        """The wall time, in UTC."""
        return after(self._wall, self._wall_ns)

    def advance(self, *, seconds: Seconds = 0, ns: int = 0) -> None:
        """Move the monotonic time and the wall time forward."""
        step_ns = _step_ns(seconds, ns)
        self.advance_monotonic(ns=step_ns)
        self.advance_wall(ns=step_ns)

    def advance_wall(self, *, seconds: Seconds = 0, ns: int = 0) -> None:
        """Move only the wall time, backwards if the step is negative."""
        step_ns = _step_ns(seconds, ns)
        # Without a call between reading and writing, no other thread runs in between.
        self._wall_ns += step_ns

    def advance_monotonic(self, *, seconds: Seconds = 0, ns: int = 0) -> None:
        """Move only the monotonic time.

        Raises:
            RecloserError: The step is negative.
        """
        step_ns = _step_ns(seconds, ns)
        if step_ns < 0:
            raise RecloserError("monotonic time never runs backwards; give a step of 0 or more")
        self._monotonic_ns += step_ns  # a single step, as in advance_wall

    def reboot(self) -> None:
        """Set the monotonic time to 0, and change ``boot_id``."""
        self._boots += 1
        self.boot_id = f"manual-{self._boots}"
        self._monotonic_ns = 0


def _step_ns(seconds: Seconds, ns: int) -> int:
    """The step in nanoseconds, as an exact ``int`` whatever types it was given in."""
    step: int = as_whole(ns)
    return nanoseconds(seconds) + step if seconds else step


class SkewedClock:
    """A clock whose wall time is wrong: shifted, drifting, or stepped at given times.

    Args:
        clock: The clock that is right.
        shift_seconds: How far the wall time is ahead from the start.
        drift_ppm: How many microseconds per second it gains.
        steps: Pairs ``(after_seconds, by_seconds)``: at ``after_seconds`` after the start the wall
            time jumps by ``by_seconds``.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        shift_seconds: Seconds = 0,
        drift_ppm: int = 0,
        steps: Iterable[tuple[Seconds, Seconds]] = (),
    ) -> None:
        self._clock = clock
        self._shift_ns = nanoseconds(shift_seconds)
        self._drift_ppm = drift_ppm
        self._steps = [(nanoseconds(due), nanoseconds(by)) for due, by in steps]
        self._started_ns = clock.monotonic_ns()

    @property
    def boot_id(self) -> str:
        """The ``boot_id`` of the clock that is right."""
        return boot_id_of(self._clock)

    def monotonic_ns(self) -> int:
        """The monotonic time of the clock that is right, in nanoseconds."""
        return self._clock.monotonic_ns()

    def now(self) -> datetime:
        """The wall time of the clock that is right, with the error added."""
        elapsed = self._clock.monotonic_ns() - self._started_ns
        skew = self._shift_ns + elapsed * self._drift_ppm // 1_000_000
        skew += sum(by for due, by in self._steps if elapsed >= due)
        return after(self._clock.now(), skew)
