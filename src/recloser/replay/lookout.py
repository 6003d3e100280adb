"""The lookout: where, in calls that all count, a rule would fire next.

While a breaker is closed and all that its rules look at are outcomes of this epoch, the next trip
is the next place at which the outcomes themselves reach the threshold. These places are found once
for each threshold, so that a walk over the calls need not count each of them.
"""

import bisect
from array import array
from collections.abc import Iterator, Sequence
from itertools import pairwise

from recloser.config import CountWindow, TimeWindow
from recloser.replay.traffic import FAILED, IGNORED, SUCCEEDED, UNKNOWN, Calls
from recloser.validation import Rate, exact


class Lookout:
    """Finds trips ahead in the calls of one breaker; keeps what it has found."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self._failures, self._lengths, self.runs_before_unknown = _runs(calls)
        self._run_trips: dict[int, Sequence[int]] = {}
        self._window_trips: dict[tuple[object, int | None], Sequence[int]] = {}
        self._bad: dict[int | None, Sequence[int]] = {}
        self._slow: dict[int, Sequence[int]] = {}
        self._groups: Sequence[tuple[int, int, int]] | None = None

    def next_run(self, threshold: int, place: int) -> int:
        """The first place from ``place`` on where a run of failures is so long; else beyond all."""
        trips = self._run_trips.get(threshold)
        if trips is None:
            found = zip(self._failures, self._lengths, strict=True)
            trips = array("q", (at for at, length in found if length == threshold))
            self._run_trips[threshold] = trips
        return self._first(trips, place)

    def next_full(self, window: CountWindow | TimeWindow, slow_ns: int | None, place: int) -> int:
        """The first place from ``place`` on where a full window reaches a threshold."""
        trips = self._window_trips.get((window, slow_ns))
        if trips is None:
            counted = self.calls.counted
            trips = array("q", (counted[index] for index in self._reaching(window, slow_ns)))
            self._window_trips[window, slow_ns] = trips
        return self._first(trips, place)

    def next_bad(self, slow_ns: int | None, place: int) -> int:
        """The first outcome from ``place`` on that is no success, or was slow if that matters."""
        bad = self._bad.get(slow_ns)
        if bad is None:
            slow = () if slow_ns is None else self._slow_places(slow_ns)
            bad = array("q", sorted({*self._failures, *self.calls.unknown, *slow}))
            self._bad[slow_ns] = bad
        return self._first(bad, place)

    def next_unknown(self, place: int) -> int:
        """The first unknown outcome from ``place`` on."""
        return self._first(self.calls.unknown, place)

    def _first(self, places: Sequence[int], place: int) -> int:
        index = bisect.bisect_left(places, place)
        return places[index] if index < len(places) else len(self.calls)

    def _reaching(self, window: CountWindow | TimeWindow, slow_ns: int | None) -> Sequence[int]:
        """Which of the outcomes that count, by their index, complete a window that trips."""
        failures = self._indexes_of(self._failures)
        slow: Sequence[int] = ()
        if window.slow_call_rate is not None and slow_ns is not None:
            slow = self._indexes_of(self._slow_places(slow_ns))
        if isinstance(window, CountWindow):
            found = set(_dense(failures, window.size, _needed(window, failures=True)))
            found.update(_dense(slow, window.size, _needed(window, failures=False)))
            return sorted(found)
        return list(self._timed(window, failures, slow))

    def _indexes_of(self, places: Sequence[int]) -> Sequence[int]:
        before = self.calls.counted_before
        return [before[place] for place in places]

    def _slow_places(self, slow_ns: int) -> Sequence[int]:
        places = self._slow.get(slow_ns)
        if places is None:
            tooks, by_end = self.calls.tooks, self.calls.by_end
            places = [place for place in self.calls.counted if tooks[by_end[place]] > slow_ns]
            self._slow[slow_ns] = places
        return places

    def _second_groups(self) -> Sequence[tuple[int, int, int]]:
        """Each whole second with outcomes, and the first and last-but-one of their indexes."""
        if self._groups is None:
            seconds = self.calls.seconds
            firsts = [n for n in range(len(seconds)) if n == 0 or seconds[n] != seconds[n - 1]]
            self._groups = [
                (seconds[first], first, behind)
                for first, behind in pairwise([*firsts, len(seconds)])
            ]
        return self._groups

    def _timed(
        self, window: TimeWindow, failures: Sequence[int], slow: Sequence[int]
    ) -> Iterator[int]:
        """The outcomes at which a window of seconds reaches a threshold.

        Within a second a rate can rise only at a failure, at the first outcome, or where the
        minimum is met.
        """
        groups = self._second_groups()
        oldest = 0
        for second, first, behind in groups:
            while groups[oldest][0] <= second - window.seconds:
                oldest += 1
            start = groups[oldest][1]
            failed = failures[
                bisect.bisect_left(failures, first) : bisect.bisect_left(failures, behind)
            ]
            slowed = slow[bisect.bisect_left(slow, first) : bisect.bisect_left(slow, behind)]
            failed_before = bisect.bisect_left(failures, first) - bisect.bisect_left(
                failures, start
            )
            slowed_before = bisect.bisect_left(slow, first) - bisect.bisect_left(slow, start)
            if not (failed or slowed or failed_before or slowed_before):
                continue
            met = start + window.needed - 1
            candidates = {first, *failed, *slowed}
            if first <= met < behind:
                candidates.add(met)
            for index in sorted(candidates):
                verdict = reaches(
                    window,
                    index - start + 1,
                    failed_before + bisect.bisect_right(failed, index),
                    slowed_before + bisect.bisect_right(slowed, index),
                )
                if verdict:
                    yield index


def reaches(window: CountWindow | TimeWindow, calls: int, failures: int, slow: int) -> bool:
    """Whether these counts reach a threshold of the window."""
    if window.failures is not None and failures >= window.failures:
        return True
    if calls < window.needed:
        return False
    return _at_rate(failures, calls, window.failure_rate) or _at_rate(
        slow, calls, window.slow_call_rate
    )


def _at_rate(count: int, calls: int, rate: Rate | None) -> bool:
    if rate is None:
        return False
    threshold = exact(rate)
    return count * threshold.denominator >= threshold.numerator * calls


def _runs(calls: Calls) -> tuple[Sequence[int], Sequence[int], dict[int, int]]:
    """Each failure's place and its number in its run; the run that each unknown ends."""
    failures, lengths, before = array("q"), array("q"), {}
    run = 0
    for place, outcome in enumerate(calls.outcome_at):
        if outcome == FAILED:
            run += 1
            failures.append(place)
            lengths.append(run)
        elif outcome == UNKNOWN:
            before[place] = run
            run = 0
        elif outcome == SUCCEEDED:
            run = 0
        else:
            assert outcome == IGNORED
    return failures, lengths, before


def _needed(window: CountWindow, *, failures: bool) -> int | None:
    """So many failures, or slow calls, trip a full window; None if none do."""
    rate = window.failure_rate if failures else window.slow_call_rate
    needed = [window.failures] if failures and window.failures is not None else []
    if rate is not None:
        share = exact(rate)
        needed.append(-(-share.numerator * window.size // share.denominator))
    return min(needed, default=None)


def _dense(indexes: Sequence[int], size: int, needed: int | None) -> Iterator[int]:
    """The indexes that are, within ``size``, at least the ``needed``-th."""
    if needed is not None:
        for last, index in enumerate(indexes[needed - 1 :]):
            if indexes[last] > index - size:
                yield index
