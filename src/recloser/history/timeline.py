"""Wall time for people: what the wall clock showed at a time of the log."""

import bisect
from collections.abc import Iterable
from datetime import datetime
from typing import Final, Self

from recloser.core.events import ClockTicked, Event, LogOpened
from recloser.core.moments import after, nanoseconds_between

_RESOLUTION_NS: Final = 1000


class Timeline:
    """Converts times of one log to wall time, using the clock readings in the log.

    Args:
        events: Events of the log; those with a reading of the clock are added.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._ats: list[int] = []
        self._readings: list[LogOpened | ClockTicked] = []
        for event in events:
            if isinstance(event, LogOpened | ClockTicked):
                self.add(event)

    def add(self, reading: LogOpened | ClockTicked) -> None:
        """Add the next reading of the wall clock and the monotonic clock.

        A wall clock is read to the microsecond. So a tick that agrees with the reading before, to a
        microsecond, adds nothing and would only round the times after it.
        """
        if self._readings and reading.kind == "clock_ticked":
            last = self._readings[-1]
            skew = nanoseconds_between(last.wall, reading.wall) - (reading.at - last.at)
            if abs(skew) < _RESOLUTION_NS:
                return
        self._ats.append(reading.at)
        self._readings.append(reading)

    def join(self, other: Self) -> None:
        """Add the readings of a timeline that begins after this one with a ``log_opened``."""
        self._ats += other._ats
        self._readings += other._readings

    def utc(self, at: int) -> datetime:
        """Return the wall time at ``at`` nanoseconds of the log, to the microsecond."""
        reading, ns = self._dated(at)
        return after(reading.wall, ns)

    def text(self, at: int) -> str:
        """Return the wall time at ``at`` nanoseconds, in ISO 8601 to the nanosecond."""
        reading, ns = self._dated(at)
        return f"{after(reading.wall, ns):%Y-%m-%dT%H:%M:%S.%f}{ns % 1000:03d}Z"

    def at(self, moment: datetime, ns: int = 0) -> int:
        """Return the last time dated ``moment`` or before, in nanoseconds of the log.

        The inverse of ``text``. If the clock was set back and showed a wall time twice, the later
        one counts.

        Args:
            moment: A wall time.
            ns: Nanoseconds beyond its microsecond.
        """
        walls = [reading.wall for reading in self._readings]
        index = max((i for i, wall in enumerate(walls) if wall <= moment), default=0)
        reading = self._readings[index]
        wall_ns = nanoseconds_between(reading.wall, moment) + ns
        if index + 1 == len(self._readings):
            return reading.at + wall_ns
        until = self._ats[index + 1] - 1
        span, walked = self._pace(index)
        return min(until, reading.at + ((wall_ns + 1) * span - 1) // walked)

    def _pace(self, index: int) -> tuple[int, int]:
        """Return the nanoseconds of the log and of the wall clock until the next reading.

        1 and 1 if the wall clock was stepped in between.
        """
        reading, following = self._readings[index : index + 2]
        span = following.at - reading.at
        wall_ns = nanoseconds_between(reading.wall, following.wall)
        # A new session may follow a pause of any length. A clock that differs by more than a tenth
        # was stepped, as no clock drifts that much.
        if following.kind == "log_opened" or abs(wall_ns - span) * 10 > span:
            return 1, 1
        return span, wall_ns

    def _dated(self, at: int) -> tuple[LogOpened | ClockTicked, int]:
        """Return the last reading before ``at``, and the wall nanoseconds since then."""
        index = max(0, bisect.bisect_right(self._ats, at) - 1)
        reading = self._readings[index]
        ns = at - reading.at
        if index + 1 == len(self._readings):
            return reading, ns
        span, walked = self._pace(index)
        return reading, ns * walked // span
