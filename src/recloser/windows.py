"""The counters behind the fold: outcomes in a window, and whether they reach a threshold."""

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from itertools import groupby, islice, repeat
from operator import attrgetter, eq, itemgetter
from typing import Annotated, Final, Protocol, Self, TypeAlias, cast

import msgspec
from attrs import Factory, define

from recloser.config import CountWindow, TimeWindow
from recloser.events import CallSucceeded, FiredRule, Rule
from recloser.limits import MAX_WHOLE
from recloser.validation import NS_PER_SECOND, Rate, exact

WindowData: TypeAlias = Sequence[int | Sequence[int]]

_Whole = Annotated[int, msgspec.Meta(ge=0, le=MAX_WHOLE)]
_Count = Annotated[int, msgspec.Meta(ge=1, le=MAX_WHOLE)]

FOREVER: Final = (1 << 63) - 1
"""Later than any time of a log."""


class OutcomeWindow(Protocol):
    """What a window tells of the outcomes in it.

    Attributes:
        calls: How many there are.
        failures: How many of them failed.
        slow: How many of them were slow.
    """

    calls: int
    failures: int
    slow: int

    @property
    def keeps_until(self) -> int:
        """Before what time no outcome is too old that is not now, in nanoseconds of the log."""

    @property
    def entries(self) -> int:
        """How many entries it takes memory for."""

    def add(self, seq: int, at: int, count: int, *, failed: bool, slow: bool) -> None:
        """Take in ``count`` like outcomes of one event, and let go of those that are too old."""

    def add_successes(self, events: Sequence[CallSucceeded], counts: Sequence[int]) -> None:
        """Take in quick successes, as one after another; ``counts`` are theirs."""

    def span(self) -> tuple[int, int]:
        """The ``seq`` of the first and the last outcome in it."""

    def to_data(self) -> WindowData:
        """What is in it, for a checkpoint."""

    def copy(self) -> Self:
        """A window of the same outcomes that shares nothing with this one."""


@define
class CountedOutcomes:
    """The last ``size`` outcomes, each as its code: its ``seq`` and two bits.

    Outcomes of one code, which one event stands for, are one entry, a pair of their code and of how
    many they are: so memory is taken by events, and not by what they stand for.
    """

    size: int
    calls: int = 0
    failures: int = 0
    slow: int = 0
    _outcomes: deque[int | tuple[int, int]] = Factory(deque)
    _pairs: int = 0

    def add(self, seq: int, at: int, count: int, *, failed: bool, slow: bool) -> None:
        """Take in outcomes; O(1) amortised."""
        del at
        self._put(seq << 2 | failed << 1 | slow, count)

    def _put(self, code: int, count: int) -> None:
        count = min(count, self.size)
        over = self.calls + count - self.size
        if over > 0:
            self._let_go(over)
        outcomes = self._outcomes
        if outcomes and _code_of(outcomes[-1]) == code:
            last = outcomes.pop()
            before = 1 if isinstance(last, int) else last[1]
            outcomes.append((code, before + count))
            self._pairs += before == 1
        elif count == 1:
            outcomes.append(code)
        else:
            outcomes.append((code, count))
            self._pairs += 1
        self.calls += count
        self.failures += count * (code >> 1 & 1)
        self.slow += count * (code & 1)

    def _let_go(self, over: int) -> None:
        """Forget so many of the oldest."""
        outcomes = self._outcomes
        self.calls -= over
        while over:
            oldest = outcomes.popleft()
            code, count = (oldest, 1) if isinstance(oldest, int) else oldest
            gone = min(over, count)
            self.failures -= gone * (code >> 1 & 1)
            self.slow -= gone * (code & 1)
            over -= gone
            self._pairs -= count > 1
            if count > gone:
                left = count - gone
                outcomes.appendleft(code if left == 1 else (code, left))
                self._pairs += left > 1

    def extend(self, codes: Sequence[int]) -> None:
        """Take in outcomes by the code of each."""
        if self._pairs or any(map(eq, codes, islice(codes, 1, None))):
            for code, alike in groupby(codes):
                self._put(code, sum(1 for _ in alike))
            return
        kept = self._outcomes
        kept.extend(codes)
        while len(kept) > self.size:
            kept.popleft()
        self.calls = len(kept)
        bad = [code for code in cast("deque[int]", kept) if code & 3]
        self.failures = sum([code >> 1 & 1 for code in bad])
        self.slow = sum([code & 1 for code in bad])

    def add_successes(self, events: Sequence[CallSucceeded], counts: Sequence[int]) -> None:
        """Take in quick successes as ``add`` would, in a fraction of the time."""
        if self._pairs or counts.count(1) != len(counts):
            for event in events:
                self.add(event.seq, event.at, event.count, failed=False, slow=False)
            return
        last = events[-self.size :] if self.size < len(events) else events
        over = self.calls + len(last) - self.size
        if over > 0:
            self._forget(over)
        self._outcomes.extend([event.seq << 2 for event in last])
        self.calls = len(self._outcomes)

    def _forget(self, over: int) -> None:
        """As ``_let_go``, where there are no pairs."""
        outcomes = cast("deque[int]", self._outcomes)
        if not (self.failures or self.slow):
            for _ in range(over):
                outcomes.popleft()
            return
        for _ in range(over):
            code = outcomes.popleft()
            if code & 3:
                self.failures -= code >> 1 & 1
                self.slow -= code & 1

    @property
    def keeps_until(self) -> int:
        """For ever: time makes none too old."""
        return FOREVER

    @property
    def entries(self) -> int:
        """How many entries it takes memory for."""
        return len(self._outcomes)

    def span(self) -> tuple[int, int]:
        """The ``seq`` of the first and the last outcome in it."""
        return _code_of(self._outcomes[0]) >> 2, _code_of(self._outcomes[-1]) >> 2

    def codes(self) -> list[int]:
        """The code of each outcome."""
        if not self._pairs:
            return list(cast("deque[int]", self._outcomes))
        return [
            code
            for entry in self._outcomes
            for code in ((entry,) if isinstance(entry, int) else repeat(*entry))
        ]

    def to_data(self) -> Sequence[int | Sequence[int]]:
        """Each entry: the code of an outcome, or that of like ones and how many they are."""
        if not self._pairs:
            return list(cast("deque[int]", self._outcomes))
        return [entry if isinstance(entry, int) else list(entry) for entry in self._outcomes]

    def copy(self) -> "CountedOutcomes":
        """A window of the same outcomes that shares nothing with this one."""
        return CountedOutcomes(
            self.size, self.calls, self.failures, self.slow, self._outcomes.copy(), self._pairs
        )


def _code_of(entry: int | tuple[int, int]) -> int:
    return entry if isinstance(entry, int) else entry[0]


@define
class TimedOutcomes:
    """The outcomes of the last ``seconds`` whole seconds, a bucket for each that has any."""

    seconds: int
    calls: int = 0
    failures: int = 0
    slow: int = 0
    _buckets: deque[list[int]] = Factory(deque)

    def add(self, seq: int, at: int, count: int, *, failed: bool, slow: bool) -> None:
        """Take in outcomes; O(1) amortised."""
        second = at // NS_PER_SECOND
        self._let_go(second - self.seconds)
        buckets = self._buckets
        if not buckets or buckets[-1][0] != second:
            buckets.append([second, seq, seq, 0, 0, 0])
        bucket = buckets[-1]
        bucket[2] = seq
        bucket[3] += count
        bucket[4] += count * failed
        bucket[5] += count * slow
        self.calls += count
        self.failures += count * failed
        self.slow += count * slow

    def extend(self, buckets: Sequence[Sequence[int]]) -> None:
        """Take in outcomes by buckets, as ``to_data`` tells them."""
        kept = self._buckets
        for new in buckets:
            second, _, last, calls, failures, slow = new
            self._let_go(second - self.seconds)
            if kept and kept[-1][0] == second:
                bucket = kept[-1]
                bucket[2] = last
                bucket[3] += calls
                bucket[4] += failures
                bucket[5] += slow
            else:
                kept.append(list(new))
            self.calls += calls
            self.failures += failures
            self.slow += slow

    def add_successes(self, events: Sequence[CallSucceeded], counts: Sequence[int]) -> None:
        """Take in quick successes, in the order of time, as ``add`` would, in less time."""
        first = 0
        while first < len(events):
            begin = events[first]
            last = end_of_second(events, first)
            further = sum(counts[first + 1 : last])
            self.add(begin.seq, begin.at, counts[first], failed=False, slow=False)
            self.add(events[last - 1].seq, begin.at, further, failed=False, slow=False)
            first = last

    @property
    def second(self) -> int | None:
        """The whole second of the last outcome; None if there is none."""
        return self._buckets[-1][0] if self._buckets else None

    @property
    def keeps_until(self) -> int:
        """The end of the second of the last outcome."""
        return (self._buckets[-1][0] + 1) * NS_PER_SECOND if self._buckets else 0

    @property
    def entries(self) -> int:
        """How many entries it takes memory for."""
        return len(self._buckets)

    def _let_go(self, last: int) -> None:
        """Forget the buckets up to second ``last``."""
        while self._buckets and self._buckets[0][0] <= last:
            _, _, _, calls, failures, slow = self._buckets.popleft()
            self.calls -= calls
            self.failures -= failures
            self.slow -= slow

    def span(self) -> tuple[int, int]:
        """The ``seq`` of the first and the last outcome in it."""
        return self._buckets[0][1], self._buckets[-1][2]

    def to_data(self) -> Sequence[Sequence[int]]:
        """Each bucket as its second, first and last ``seq``, calls, failures and slow calls."""
        return [list(bucket) for bucket in self._buckets]

    def copy(self) -> "TimedOutcomes":
        """A window of the same outcomes that shares nothing with this one."""
        return TimedOutcomes(
            self.seconds, self.calls, self.failures, self.slow, deque(map(list, self._buckets))
        )


def end_of_second(events: Sequence[CallSucceeded], first: int) -> int:
    """Behind the last event, from ``first`` on, that is in the same whole second."""
    end = (events[first].at // NS_PER_SECOND + 1) * NS_PER_SECOND
    if events[-1].at < end:
        return len(events)
    return bisect_left(events, end, first, key=_at)


_at: Final = attrgetter("at")


def new_window(config: CountWindow | TimeWindow) -> CountedOutcomes | TimedOutcomes:
    """An empty window of this configuration."""
    if isinstance(config, CountWindow):
        return CountedOutcomes(config.size)
    return TimedOutcomes(config.seconds)


def restored_window(
    config: CountWindow | TimeWindow, data: object
) -> CountedOutcomes | TimedOutcomes:
    """The window that ``to_data`` told of.

    Raises:
        msgspec.ValidationError: It told of no such window.
    """
    if isinstance(config, CountWindow):
        return restored_count(config.size, data)
    buckets = msgspec.convert(data, list[tuple[_Whole, _Whole, _Whole, _Whole, _Whole, _Whole]])
    return TimedOutcomes(
        config.seconds,
        calls=sum(bucket[3] for bucket in buckets),
        failures=sum(bucket[4] for bucket in buckets),
        slow=sum(bucket[5] for bucket in buckets),
        buckets=deque(list(bucket) for bucket in buckets),
    )


def restored_count(size: int, data: object) -> CountedOutcomes:
    """The counted window that ``to_data`` told of.

    Raises:
        msgspec.ValidationError: It told of no such window.
    """
    window = CountedOutcomes(size)
    entries = msgspec.convert(data, list[object])
    if set(map(type, entries)) <= {int}:
        window.extend(msgspec.convert(data, list[_Whole]))
        calls = len(entries)
    else:
        # msgspec 0.23 crashes on a union of a number and a pair that both have bounds.
        told = [(entry, 1) if type(entry) is int else entry for entry in entries]
        whole = msgspec.convert(told, list[tuple[_Whole, _Count]])
        calls = sum(count for _, count in whole)
        for code, alike in groupby(whole, key=itemgetter(0)):
            window._put(code, sum(count for _, count in alike))  # noqa: SLF001  # of this module
    if calls > size:
        raise msgspec.ValidationError(f"{calls} outcomes in a window of {size}")
    return window


def reached(config: CountWindow | TimeWindow, window: OutcomeWindow) -> FiredRule | None:
    """The first threshold of ``config`` that the outcomes in the window reach, if any."""
    if config.failures is not None and window.failures >= config.failures:
        return _fired(Rule.WINDOW_FAILURES, window, window.failures, config.failures)
    if window.calls < config.needed:
        return None
    if _at_rate(window.failures, window.calls, config.failure_rate):
        return _fired(Rule.FAILURE_RATE, window, window.failures, 0, config.failure_rate)
    if _at_rate(window.slow, window.calls, config.slow_call_rate):
        return _fired(Rule.SLOW_CALL_RATE, window, window.slow, 0, config.slow_call_rate)
    return None


def _at_rate(count: int, calls: int, rate: Rate | None) -> bool:
    if rate is None:
        return False
    threshold = exact(rate)
    return count * threshold.denominator >= threshold.numerator * calls


def _fired(
    rule: Rule, window: OutcomeWindow, observed: int, threshold: int, rate: Rate | None = None
) -> FiredRule:
    return FiredRule(
        rule,
        observed=observed,
        threshold=threshold,
        calls=window.calls,
        rate=None if rate is None else str(rate),
        span=window.span(),
    )
