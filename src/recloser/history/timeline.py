"""Wall time for people: what the clock's wall hand showed at a moment of the log."""

import bisect
from collections.abc import Iterable
from datetime import datetime
from typing import Final, Self

from recloser.core.events import ClockTicked, Event, LogOpened
from recloser.core.moments import after, nanoseconds_between

_RESOLUTION_NS: Final = 1000


class Timeline:
    """Dates the moments of one log, between the readings of both hands that it holds.

    Args:
        events: Events of the log, of which the readings are taken in.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._ats: list[int] = []
        self._readings: list[LogOpened | ClockTicked] = []
        for event in events:
            if isinstance(event, LogOpened | ClockTicked):
                self.add(event)

    def add(self, reading: LogOpened | ClockTicked) -> None:
        """Take in the next reading of both hands.

        A wall clock is read to the microsecond, so a tick that agrees with the reading before to
        that much says nothing new, and would only round the times behind it.
        """
        if self._readings and reading.kind == "clock_ticked":
            last = self._readings[-1]
            skew = nanoseconds_between(last.wall, reading.wall) - (reading.at - last.at)
            if abs(skew) < _RESOLUTION_NS:
                return
        self._ats.append(reading.at)
        self._readings.append(reading)

    def join(self, other: Self) -> None:
        """Take in the readings of a timeline that begins behind this one, with a ``log_opened``."""
        self._ats += other._ats
        self._readings += other._readings

    def utc(self, at: int) -> datetime:
        """The wall time at ``at`` nanoseconds, to the microsecond."""
        reading, ns = self._dated(at)
        return after(reading.wall, ns)

    def text(self, at: int) -> str:
        """The wall time at ``at`` nanoseconds, in ISO 8601 to the nanosecond."""
        reading, ns = self._dated(at)
        return f"{after(reading.wall, ns):%Y-%m-%dT%H:%M:%S.%f}{ns % 1000:03d}Z"

    def at(self, moment: datetime, ns: int = 0) -> int:
        """The last moment of the log that is dated ``moment`` or before, in nanoseconds.

        The inverse of ``text``; a wall time that came twice, because the clock was set back, is the
        later one.

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
        """Nanoseconds of the log, and of the wall, from one reading to the next; 1 to 1 if stepped."""
        reading, following = self._readings[index : index + 2]
        span = following.at - reading.at
        wall_ns = nanoseconds_between(reading.wall, following.wall)
        # A new session may follow any gap, and no clock drifts by a tenth: that one was stepped.
        if following.kind == "log_opened" or abs(wall_ns - span) * 10 > span:
            return 1, 1
        return span, wall_ns

    def _dated(self, at: int) -> tuple[LogOpened | ClockTicked, int]:
        """The last reading before ``at``, and the wall's nanoseconds from then on."""
        index = max(0, bisect.bisect_right(self._ats, at) - 1)
        reading = self._readings[index]
        ns = at - reading.at
        if index + 1 == len(self._readings):
            return reading, ns
        span, walked = self._pace(index)
        return reading, ns * walked // span
