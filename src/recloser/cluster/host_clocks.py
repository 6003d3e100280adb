"""Correct the clock of a host: convert times of its log to common time.

The monotonic clock, which is right, measures elapsed time; the wall clock gives the date. Between two
readings of both clocks, the wall clock is assumed to drift evenly. If it jumped by more than a tenth of
the time between the readings, somebody has set it: it is right from then on, and the earlier readings
of the session are moved by the same amount. So the order of events of one host never changes, and a
jump makes no call longer.
"""

import bisect
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final

from recloser.core.events import ClockTicked, LogOpened
from recloser.core.moments import nanoseconds_between

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_STEPPED: Final = 10


class HostClock:
    """Converts times of one host's log to wall time.

    Args:
        readings: The readings of both clocks, in their order; at least one.
        uncertainty_ns: The smallest error of the wall clock to assume, in nanoseconds.

    Attributes:
        uncertainty_ns: The assumed error of the wall clock in nanoseconds: the argument, or the
            greatest skew between two readings of a session if that is larger. Skew is the
            difference between the times elapsed on the two clocks.
    """

    def __init__(self, readings: Sequence[LogOpened | ClockTicked], uncertainty_ns: int) -> None:
        skews = [_skew(*both) for both in pairwise(readings)]
        self.uncertainty_ns = max(uncertainty_ns, *(abs(skew or 0) for skew in skews), 0)
        self._ats = [reading.at for reading in readings]
        walls = [nanoseconds_between(EPOCH, reading.wall) for reading in readings]
        correction = 0
        for index in reversed(range(len(skews))):
            skew, span = skews[index], self._ats[index + 1] - self._ats[index]
            if skew is None:
                correction = 0
            elif abs(skew) * _STEPPED > span:
                correction += skew
            walls[index] += correction
        self._walls = walls
        self._even = [skew is not None for skew in skews]
        for index in range(1, len(walls)):  # a session may begin with a clock that was set back
            walls[index] = max(walls[index - 1], walls[index])

    def unix_ns(self, at: int) -> int:
        """Return the wall time of a time of the log, in nanoseconds since 1970 in UTC."""
        index = max(0, bisect.bisect_right(self._ats, at) - 1)
        start_at, wall = self._ats[index], self._walls[index]
        if index + 1 == len(self._ats) or at < start_at:
            return wall + at - start_at
        wall_gain, span = self._walls[index + 1] - wall, self._ats[index + 1] - start_at
        if self._even[index]:
            return wall + (at - start_at) * wall_gain // span
        return wall + min(at - start_at, wall_gain)


def _skew(reading: LogOpened | ClockTicked, following: LogOpened | ClockTicked) -> int | None:
    """Return the skew between two readings, in nanoseconds.

    None if a session ended between them.
    """
    if isinstance(following, LogOpened) and (
        not isinstance(reading, LogOpened) or following.session != reading.session
    ):
        return None
    return nanoseconds_between(reading.wall, following.wall) - (following.at - reading.at)
