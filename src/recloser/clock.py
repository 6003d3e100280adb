"""Time: the one place where a clock is read.

A clock has two hands. The monotonic one decides; the wall one only dates what is shown to people.
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
"""The class itself: a test's frozen time puts its own in the place of each name that refers to it."""


class Clock(Protocol):
    """What is asked of a clock.

    A clock may also have a text attribute ``boot_id``, which names the origin that its monotonic
    hand counts from. Two sessions of a log that have the same one are on the same time scale;
    without it, a restarted process takes its restart for a reboot.
    """

    def monotonic_ns(self) -> int:
        """Nanoseconds that never run backwards, from any origin."""
        ...

    def now(self) -> datetime:
        """The wall clock, as an aware time in UTC."""
        ...


def boot_id_of(clock: Clock) -> str:
    """The name of the origin of the clock's monotonic hand; empty where it has none."""
    return label(str(getattr(clock, "boot_id", "")))


def read_wall(clock: Clock) -> datetime:
    """The wall hand of a clock, in UTC, as an exact ``datetime``: a log can hold no subclass of it.

    Raises:
        ConfigError: It shows a time without a zone.
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
    """The monotonic hand of a clock.

    Raises:
        ConfigError: It is no whole number of nanoseconds.
    """
    shown = clock.monotonic_ns()
    ns = as_whole(shown)
    if type(ns) is not int or ns < 0:
        raise ConfigError(
            f"clock: monotonic_ns() must give a whole number from 0 up, not {shown!r}"
        )
    return min(ns, MAX_WHOLE)


def hand_of(clock: Clock, most: int = MAX_WHOLE) -> Callable[[], int]:
    """What reads the monotonic hand of a clock, and stands still where that would fall.

    The system's own hand does not fall, nor does it reach ``most`` in this century, so there it is
    the function itself.

    Args:
        clock: The clock.
        most: Where the hand stands still for good.
    """
    if type(clock) is SystemClock and most - clock.monotonic_ns() > _LONG_NS:
        return clock.monotonic_ns
    last = 0

    def hand() -> int:
        nonlocal last
        shown = clock.monotonic_ns()
        if type(shown) is not int:
            shown = int(shown)  # such as numpy.int64, which no log can hold
        shown = min(shown, most)
        # No lock, under which a user's clock would be read and which a signal handler or a fork
        # could find taken: no other thread runs between the comparison and the assignment.
        if shown > last:  # noqa: PLR1730  # max() is a call, after which another thread may run
            last = shown
        return last

    return hand


class SystemClock:
    """The clocks of this machine."""

    # The function itself: a method around it would cost every call as much again.
    monotonic_ns = staticmethod(time.monotonic_ns)

    def now(self) -> datetime:
        """The machine's idea of the time, in UTC."""
        return datetime.now(UTC)

    # Not a cached_property, which holds a lock up to Python 3.11 that a fork may find taken.
    _boot_id: str | None = None

    @property
    def boot_id(self) -> str:
        """The kernel's name for this boot; empty where the platform tells none."""
        if self._boot_id is None:
            try:
                # Bytes: to open text may import its codec, and in a forked child wait for ever for
                # an import that another thread of the parent was in.
                self._boot_id = _BOOT_ID.read_bytes().decode("ascii").strip()
            except OSError:
                self._boot_id = ""
        return self._boot_id


SYSTEM_CLOCK: Final = SystemClock()
"""What times whatever is given no clock: one for all, as the kernel is asked of the boot but once."""


class ManualClock:
    """A clock that moves when told, each hand on its own where that is wanted; threads may share it.

    It takes no lock, so signal handlers may read and move it, and forks may come at any moment.

    Attributes:
        boot_id: Names the origin of the monotonic hand; ``reboot`` changes it.
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
        """Where the monotonic hand stands."""
        return self._monotonic_ns

    def now(self) -> datetime:
        """Where the wall hand stands."""
        return after(self._wall, self._wall_ns)

    def advance(self, *, seconds: Seconds = 0, ns: int = 0) -> None:
        """Move both hands forward."""
        step_ns = _step_ns(seconds, ns)
        self.advance_monotonic(ns=step_ns)
        self.advance_wall(ns=step_ns)

    def advance_wall(self, *, seconds: Seconds = 0, ns: int = 0) -> None:
        """Move the wall hand alone, backwards if negative."""
        step_ns = _step_ns(seconds, ns)
        self._wall_ns += step_ns  # no other thread runs between reading and writing it

    def advance_monotonic(self, *, seconds: Seconds = 0, ns: int = 0) -> None:
        """Move the monotonic hand alone.

        Raises:
            RecloserError: It would run backwards.
        """
        step_ns = _step_ns(seconds, ns)
        if step_ns < 0:
            raise RecloserError("a monotonic hand never runs backwards")
        self._monotonic_ns += step_ns  # no other thread runs between reading and writing it

    def reboot(self) -> None:
        """Start the monotonic hand again from nought, under another ``boot_id``."""
        self._boots += 1
        self.boot_id = f"manual-{self._boots}"
        self._monotonic_ns = 0


def _step_ns(seconds: Seconds, ns: int) -> int:
    """A step in nanoseconds, as an exact ``int`` of whatever types it is given in."""
    step: int = as_whole(ns)
    return nanoseconds(seconds) + step if seconds else step


class SkewedClock:
    """A clock whose wall hand is wrong: shifted, drifting, and stepped at given moments.

    Args:
        clock: The clock that is right.
        shift_seconds: How far the wall hand is ahead from the start.
        drift_ppm: How many microseconds a second it gains.
        steps: Pairs of ``(after_seconds, by_seconds)``: so long after the start, the wall hand
            jumps by so much.
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
        """That of the clock inside."""
        return boot_id_of(self._clock)

    def monotonic_ns(self) -> int:
        """That of the clock inside."""
        return self._clock.monotonic_ns()

    def now(self) -> datetime:
        """The wall clock inside, with the skew added."""
        elapsed = self._clock.monotonic_ns() - self._started_ns
        skew = self._shift_ns + elapsed * self._drift_ppm // 1_000_000
        skew += sum(by for due, by in self._steps if elapsed >= due)
        return after(self._clock.now(), skew)
