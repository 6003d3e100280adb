"""The lookout: where, in calls that all count, a rule would fire next.

While a breaker is closed and all that its rules look at are outcomes of this epoch, the next trip
is the next place at which the outcomes themselves reach the threshold. These places are found once
for each threshold, whatever else the settings say, so that a walk over the calls need not count
each of them.
"""

import bisect
from collections.abc import Sequence
from functools import cached_property

from recloser.config import CountWindow, TimeWindow
from recloser.replay import scans
from recloser.replay.calls import FAILED, IGNORED, Calls
from recloser.replay.limits import Limits


class Lookout:
    """Finds trips ahead in the calls of one breaker; keeps what it has found.

    Attributes:
        calls: The calls.
    """

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self.forget()

    @property
    def kept(self) -> int:
        """How many places are kept for thresholds that have been asked for."""
        kept = (self._run_trips, self._window_trips, self._bad, self._slow)
        return sum(len(places) for each in kept for places in each.values())

    def forget(self) -> None:
        """Keep nothing that can be found again."""
        self._run_trips: dict[int, Sequence[int]] = {}
        self._window_trips: dict[tuple[object, int | None], Sequence[int]] = {}
        self._bad: dict[int | None, Sequence[int]] = {}
        self._slow: dict[int | None, Sequence[int]] = {None: ()}
        self.calls.forget()

    @cached_property
    def failures(self) -> Sequence[int]:
        """The place of each failure."""
        return scans.places_of(self.calls.outcome_at, bytes((FAILED,)))

    @cached_property
    def lengths(self) -> Sequence[int]:
        """The number of each failure in its run, which only the ignored do not end."""
        return scans.run_lengths(self.calls.outcome_at, FAILED, IGNORED)

    @cached_property
    def failed(self) -> Sequence[int]:
        """The index of each failure among the outcomes that count."""
        return self._indexes_of(self.failures)

    def slow(self, slow_ns: int | None) -> Sequence[int]:
        """The index of each slow call among the outcomes that count; none where nothing is slow."""
        found = self._slow.get(slow_ns)
        if found is None:
            assert slow_ns is not None
            counted = scans.taken(self.calls.by_end, self.calls.counted)
            found = scans.longer_than(self.calls.tooks, counted, slow_ns)
            self._slow[slow_ns] = found
        return found

    def run_trips(self, threshold: int) -> Sequence[int]:
        """The places where a run of failures comes to be so long."""
        trips = self._run_trips.get(threshold)
        if trips is None:
            trips = scans.where_equal(self.failures, self.lengths, threshold)
            self._run_trips[threshold] = trips
        return trips

    def run_before(self, place: int) -> int:
        """How many failures there are in the run that stands before a place."""
        last = bisect.bisect_left(self.failures, place) - 1
        if last < 0:
            return 0
        codes = self.calls.outcome_at[self.failures[last] + 1 : place]
        return self.lengths[last] if codes.count(IGNORED) == len(codes) else 0

    def full_trips(self, window: CountWindow | TimeWindow, slow_ns: int | None) -> Sequence[int]:
        """The places at which a full window reaches a threshold."""
        trips = self._window_trips.get((window, slow_ns))
        if trips is None:
            trips = self._places_of(self._reaching(window, slow_ns))
            self._window_trips[window, slow_ns] = trips
        return trips

    def next_bad(self, slow_ns: int | None, place: int) -> int:
        """The first outcome from ``place`` on that is no success, or was slow if that matters."""
        bad = self._bad.get(slow_ns)
        if bad is None:
            slow = self._places_of(self.slow(slow_ns))
            bad = scans.union((self.failures, self.calls.unknown, slow))
            self._bad[slow_ns] = bad
        return self.first(bad, place)

    def next_unknown(self, place: int) -> int:
        """The first unknown outcome from ``place`` on."""
        return self.first(self.calls.unknown, place)

    def first(self, places: Sequence[int], place: int) -> int:
        """The first of some places from ``place`` on; else beyond all."""
        index = bisect.bisect_left(places, place)
        return places[index] if index < len(places) else len(self.calls)

    def _reaching(self, window: CountWindow | TimeWindow, slow_ns: int | None) -> Sequence[int]:
        """Which of the outcomes that count, by their index, complete a window that trips."""
        limits = Limits.of(window)
        slow = self.slow(None if limits.slow is None else slow_ns)
        if isinstance(window, CountWindow):
            fewest = (
                (self.failed, limits.failures_in(window.size)),
                (slow, limits.slow_in(window.size)),
            )
            dense = [
                scans.dense(indexes, window.size, needed)
                for indexes, needed in fewest
                if needed is not None
            ]
            return scans.union(dense)
        counted = len(self.calls.counted)
        if not counted:
            return ()
        return scans.reaching_by_second(
            limits, window.seconds, self._occupied, (self.failed, slow), counted
        )

    @cached_property
    def _occupied(self) -> tuple[Sequence[int], Sequence[int]]:
        """Each whole second with outcomes, and the index of the first of them."""
        firsts = scans.firsts_of(self.calls.seconds)
        return scans.taken(self.calls.seconds, firsts), firsts

    def _indexes_of(self, places: Sequence[int]) -> Sequence[int]:
        before = self.calls.counted_before
        return places if isinstance(before, range) else scans.taken(before, places)

    def _places_of(self, indexes: Sequence[int]) -> Sequence[int]:
        counted = self.calls.counted
        return indexes if isinstance(counted, range) else scans.taken(counted, indexes)
