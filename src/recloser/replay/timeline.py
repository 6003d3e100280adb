"""Wall time for people: what the clock's wall hand showed at a moment of the log."""

import bisect
from datetime import datetime
from typing import Final

from recloser.clock import after, nanoseconds_between
from recloser.events import ClockTicked, LogOpened

_RESOLUTION_NS: Final = 1000


class Timeline:
    """Dates the moments of one log, between the readings of both hands that it holds."""

    def __init__(self) -> None:
        self._ats: list[int] = []
        self._readings: list[LogOpened | ClockTicked] = []

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

    def utc(self, at: int) -> datetime:
        """The wall time at ``at`` nanoseconds, to the microsecond."""
        reading, ns = self._dated(at)
        return after(reading.wall, ns)

    def text(self, at: int) -> str:
        """The wall time at ``at`` nanoseconds, in ISO 8601 to the nanosecond."""
        reading, ns = self._dated(at)
        return f"{after(reading.wall, ns):%Y-%m-%dT%H:%M:%S.%f}{ns % 1000:03d}Z"

    def _dated(self, at: int) -> tuple[LogOpened | ClockTicked, int]:
        """The last reading before ``at``, and the wall's nanoseconds from then on."""
        index = max(0, bisect.bisect_right(self._ats, at) - 1)
        reading = self._readings[index]
        ns = at - reading.at
        if index + 1 == len(self._readings):
            return reading, ns
        following = self._readings[index + 1]
        span = following.at - reading.at
        wall_ns = nanoseconds_between(reading.wall, following.wall)
        # A new session may follow any gap, and no clock drifts by a tenth: that one was stepped.
        if following.kind == "log_opened" or abs(wall_ns - span) * 10 > span:
            return reading, ns
        return reading, ns * wall_ns // span
