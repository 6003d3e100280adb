"""The clock of one host, corrected: where the moments of its log stand in the time of all hosts.

Elapsed time is that of the monotonic hand, which is right, and the wall hand says where it stands.
Between two readings of both hands the wall hand is taken to have drifted evenly; but where it jumped,
by more than a tenth of the time between, it was set. It is right from then on, and what it showed
before, back to the opening of the session, is moved by as much. So no two moments of one host change
their order, and no jump makes a call longer.
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
    """Dates the moments of one host's log.

    Args:
        readings: The readings of both hands, in their order; at least one.
        uncertainty_ns: How wrong its wall hand may be at any time, as is known from elsewhere.

    Attributes:
        uncertainty_ns: The larger of that and the greatest skew between two readings of a session:
            the difference between what the wall hand and the monotonic hand say has elapsed.
    """

    def __init__(self, readings: Sequence[LogOpened | ClockTicked], uncertainty_ns: int) -> None:
        skews = [_skew(*both) for both in pairwise(readings)]
        self.uncertainty_ns = max(uncertainty_ns, *(abs(skew or 0) for skew in skews), 0)
        self._ats = [reading.at for reading in readings]
        walls = [nanoseconds_between(EPOCH, reading.wall) for reading in readings]
        correction = 0
        for place in reversed(range(len(skews))):
            skew, span = skews[place], self._ats[place + 1] - self._ats[place]
            if skew is None:
                correction = 0
            elif abs(skew) * _STEPPED > span:
                correction += skew
            walls[place] += correction
        self._walls = walls
        self._even = [skew is not None for skew in skews]
        for place in range(1, len(walls)):  # a session may begin with a clock that was set back
            walls[place] = max(walls[place - 1], walls[place])

    def unix_ns(self, at: int) -> int:
        """The wall time of a moment of the log, in nanoseconds since 1970 in UTC."""
        place = max(0, bisect.bisect_right(self._ats, at) - 1)
        begun, wall = self._ats[place], self._walls[place]
        if place + 1 == len(self._ats) or at < begun:
            return wall + at - begun
        walked, span = self._walls[place + 1] - wall, self._ats[place + 1] - begun
        if self._even[place]:
            return wall + (at - begun) * walked // span
        return wall + min(at - begun, walked)


def _skew(reading: LogOpened | ClockTicked, following: LogOpened | ClockTicked) -> int | None:
    """What the wall hand gained between two readings; None where a session ended between them."""
    if isinstance(following, LogOpened) and (
        not isinstance(reading, LogOpened) or following.session != reading.session
    ):
        return None
    return nanoseconds_between(reading.wall, following.wall) - (following.at - reading.at)
