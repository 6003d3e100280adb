"""Trips: where a closed breaker opens, given where it was closed, all outcomes being known.

Behind a recovery there are outcomes of calls that it did not let through in this epoch, and a
window that is not full yet. What they come to is worked out at the few outcomes that are not good;
from where nothing but this epoch counts, the lookout knows the trips.
"""

import bisect
import heapq
from collections.abc import Iterable, Iterator, Sequence

from recloser.config import CircuitBreakerConfig, CountWindow, TimeWindow
from recloser.replay.calls import SUCCEEDED
from recloser.replay.limits import Limits
from recloser.replay.lookout import Lookout


class Trips:
    """Where a breaker of these rules trips.

    Args:
        lookout: Knows the calls.
        config: The rules.
    """

    def __init__(self, lookout: Lookout, config: CircuitBreakerConfig) -> None:
        self._lookout, self._calls = lookout, lookout.calls
        self._threshold = config.failure_threshold
        self._runs: Sequence[int] = ()
        if self._threshold is not None:
            self._runs = lookout.run_trips(self._threshold)
        window = config.window
        self._young = None
        self._full: Sequence[int] = ()
        if window is not None:
            self._young = YoungWindow(lookout, window, config.slow_call_ns)
            self._full = lookout.full_trips(window, config.slow_call_ns)
        self._found: dict[tuple[int, int], int] = {}

    @property
    def kept(self) -> int:
        """How many trips are kept."""
        return len(self._found)

    def after(self, since: int, place: int) -> int:
        """The place of the first trip of an epoch; the number of calls if there is none.

        Args:
            since: The first call that it lets through.
            place: The place of the first end that may be one of those calls'.
        """
        found = self._found.get((since, place))
        if found is None:
            found = self._found[since, place] = self._after(since, place)
        return found

    def _after(self, since: int, place: int) -> int:
        calls = self._calls
        stale: Sequence[int] = calls.under_way(since, place)
        clear = stale[-1] + 1 if stale else place
        trip = len(calls)
        if self._threshold is not None:
            trip = self._run(self._threshold, place, stale, clear)
        if self._young is not None:
            young, full_from = self._young.trip(place, stale)
            if young is not None:
                return min(trip, young)
            trip = min(trip, self._lookout.first(self._full, full_from))
        return trip

    def _run(self, threshold: int, place: int, stale: Sequence[int], clear: int) -> int:
        """Where a run of failures is long enough, of which the stale are no part."""
        failures, lengths = self._lookout.failures, self._lookout.lengths
        index = bisect.bisect_left(failures, place)
        if index == len(failures):
            return len(self._calls)
        if failures[index] < clear:
            return self._run_among(threshold, index, place, stale, clear)
        last = index + threshold - 1
        if last < len(failures) and lengths[last] - lengths[index] == threshold - 1:
            return failures[last]
        behind = failures[index]
        if 1 < lengths[index] <= threshold:
            # It began before this epoch, so that where it is that long is no trip of it.
            behind = failures[min(last - lengths[index] + 1, len(failures) - 1)] + 1
        return self._lookout.first(self._runs, behind)

    def _run_among(
        self, threshold: int, index: int, place: int, stale: Sequence[int], clear: int
    ) -> int:
        calls, failures, lengths = self._calls, self._lookout.failures, self._lookout.lengths
        outcomes, counted = calls.outcome_at, calls.counted_before
        good = [place for place in stale if outcomes[place] == SUCCEEDED]
        left_out = set(stale)
        run, behind, before = 0, place, index
        for at in range(index, len(failures)):
            failure = failures[at]
            if failure in left_out:
                continue
            successes = counted[failure] - counted[behind] - (at - before)
            successes -= bisect.bisect_left(good, failure) - bisect.bisect_left(good, behind)
            run = 1 if successes else run + 1
            if run >= threshold:
                return failure
            if failure >= clear and run == lengths[at]:
                return self._lookout.first(self._runs, failure)
            behind, before = failure + 1, at + 1
        return len(calls)


class YoungWindow:
    """A window that is not yet full of what came in since the breaker was closed.

    Outcomes are counted by their index among those that count, and in this epoch by their number
    from 0 on, in which the stale have none.

    Args:
        lookout: Knows the calls.
        window: The settings of the window.
        slow_ns: What took longer is slow.
    """

    def __init__(
        self, lookout: Lookout, window: CountWindow | TimeWindow, slow_ns: int | None
    ) -> None:
        self._lookout, self._calls, self._window = lookout, lookout.calls, window
        self._limits = Limits.of(window)
        self._failed = lookout.failed
        self._slow = lookout.slow(None if self._limits.slow is None else slow_ns)

    def trip(self, place: int, stale: Sequence[int]) -> tuple[int | None, int]:
        """Where it trips before it is full, if it does; and from where on it is full.

        Args:
            place: Where the epoch begins.
            stale: The places from there on of calls that it has not let through.
        """
        before, counted = self._calls.counted_before, self._calls.counted
        first = before[place]
        left_out = [before[at] for at in stale if before[at] < before[at + 1]]
        full = min(self._full_from(left_out[-1] + 1 if left_out else first), len(counted))
        full_place = counted[full] if full < len(counted) else len(self._calls)
        failed = _within(self._failed, first, full)
        slow = _within(self._slow, first, full)
        if not len(failed) and not len(slow):
            return None, full_place
        if not left_out and not len(slow):
            index = self._first_failed(failed, first, full)
        else:
            index = self._first_of(_Epoch(first, full, left_out), failed, slow)
        return None if index is None else counted[index], full_place

    def _first_failed(self, failed: Sequence[int], first: int, full: int) -> int | None:
        """The first index with which all that has come in since ``first`` reaches a limit."""
        limits = self._limits
        met = first + limits.needed - 1
        failures = 0
        for index in failed:
            if index > met:
                if limits.reached(limits.needed, failures, 0):
                    return met
                met = full
            failures += 1
            if limits.reached(index - first + 1, failures, 0):
                return index
        if met < full and limits.reached(limits.needed, failures, 0):
            return met
        return None

    def _first_of(self, epoch: "_Epoch", failed: Sequence[int], slow: Sequence[int]) -> int | None:
        limits, size = self._limits, None
        spans: Iterable[tuple[int, int, int]] = [(0, epoch.size, 0)]
        if isinstance(self._window, CountWindow):
            size = self._window.size
        elif epoch.left_out:
            spans = self._seconds(epoch, self._window.seconds)
        failures, slowed = epoch.numbers(failed), epoch.numbers(slow)
        for first, behind, start in spans:
            bad = (_within(numbers, first, behind) for numbers in (failures, slowed))
            for number in heapq.merge([first], *bad, [start + limits.needed - 1]):
                if not first <= number < behind:
                    continue
                oldest = start if size is None else max(0, number - size + 1)
                counts = (
                    len(_within(numbers, oldest, number + 1)) for numbers in (failures, slowed)
                )
                if limits.reached(number - oldest + 1, *counts):
                    return epoch.index(number)
        return None

    def _seconds(self, epoch: "_Epoch", seconds: int) -> Iterator[tuple[int, int, int]]:
        """For each whole second its first number, the one behind, and the window's oldest."""
        whole = self._calls.seconds
        index = epoch.first
        while index < epoch.full:
            second = whole[index]
            behind = min(bisect.bisect_right(whole, second, index), epoch.full)
            oldest = bisect.bisect_right(whole, second - seconds, epoch.first, index)
            yield epoch.number(index), epoch.number(behind), epoch.number(oldest)
            index = behind

    def _full_from(self, clear: int) -> int:
        """The index from which on it holds all that it can, and nothing before ``clear``."""
        window = self._window
        if isinstance(window, CountWindow):
            return clear + window.size  # the minimum may be met by the last of them
        seconds = self._calls.seconds
        if clear == 0:
            return 0
        return bisect.bisect_left(seconds, seconds[clear - 1] + window.seconds, clear)


class _Epoch:
    """The outcomes from one index to before another, in which some have no number.

    Attributes:
        first: The index that they begin at.
        full: The one that they end before.
        left_out: The indexes among them that are not of this epoch.
        size: How many are.
    """

    def __init__(self, first: int, full: int, left_out: Sequence[int]) -> None:
        self.first, self.full, self.left_out = first, full, left_out
        self.size = self.number(full)

    def number(self, index: int) -> int:
        """How many of the epoch stand before an index."""
        return index - self.first - bisect.bisect_left(self.left_out, index)

    def numbers(self, indexes: Sequence[int]) -> Sequence[int]:
        """The numbers of those that have one."""
        left_out = set(self.left_out)
        return [self.number(index) for index in indexes if index not in left_out]

    def index(self, number: int) -> int:
        """The index of the one that has this number."""
        index = self.first + number
        for other in self.left_out:
            if other > index:
                break
            index += 1
        return index


def _within(numbers: Sequence[int], first: int, behind: int) -> Sequence[int]:
    begin = bisect.bisect_left(numbers, first)
    return numbers[begin : bisect.bisect_left(numbers, behind, begin)]
