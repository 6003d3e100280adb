# cython: language_level=3, annotation_typing=False, freethreading_compatible=True
# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The rules of the breaker: the one statement of them, in whole numbers.

This file is compiled by Cython, with the types of ``kernel.pxd``, and runs interpreted where there
is no compiler; ``RECLOSER_PURE=1`` runs it interpreted anywhere. Both decide the same:

- Every number fits into 64 bits. Settings with which one might not are refused when they are made
  (``recloser.core.validation``), and so are such times and numbers when a log is read.
- Divisions round alike, since nothing that is divided here is negative.

Times and durations are in nanoseconds of the log; times never decrease from one event to the next.

Nothing here changes ``State.where``. A function that finds that a rule fires returns the number of
the rule; the caller takes the edge on the one declared machine, which sets ``where``, and calls
``enter``.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from recloser.core.limits import MAX_SEQS

if TYPE_CHECKING:
    import cython  # by this line the compiler knows the name; it is never run
else:
    from recloser.core import interpreted as cython

IS_COMPILED: bool = cython.compiled

Numbers: TypeAlias = "array[int]"
Buffer: TypeAlias = "bytes | bytearray | memoryview | array[int]"
Column: TypeAlias = "Buffer | Sequence[int]"

_CLOSED = 0
_OPEN = 1
_HALF_OPEN = 2
CLOSED, OPEN, HALF_OPEN = _CLOSED, _OPEN, _HALF_OPEN

_SUCCEEDED = 0
_FAILED = 1
_IGNORED = 2
_REJECTED = 3
_ADMITTED = 4
SUCCEEDED, FAILED, IGNORED, REJECTED, ADMITTED = (
    _SUCCEEDED,
    _FAILED,
    _IGNORED,
    _REJECTED,
    _ADMITTED,
)

_NO_RULE = 0
_CONSECUTIVE_FAILURES = 1
_WINDOW_FAILURES = 2
_FAILURE_RATE = 3
_SLOW_CALL_RATE = 4
_COOLDOWN = 5
_PROBE_FAILED = 6
_PROBE_TIMEOUT = 7
_PROBE_SUCCESSES = 8
_PROBE_WINDOW = 9
_HALF_OPEN_TIMEOUT = 10
_FUTURE_EPOCH = -1
_ADMITS_NO_PROBE = -2
_NO_PLACE_FOR_A_PROBE = -3
_WRONG_PROBE_NUMBER = -4
NO_RULE = _NO_RULE
(
    CONSECUTIVE_FAILURES,
    WINDOW_FAILURES,
    FAILURE_RATE,
    SLOW_CALL_RATE,
    COOLDOWN,
    PROBE_FAILED,
    PROBE_TIMEOUT,
    PROBE_SUCCESSES,
    PROBE_WINDOW,
    HALF_OPEN_TIMEOUT,
) = range(1, 11)
FUTURE_EPOCH, ADMITS_NO_PROBE, NO_PLACE_FOR_A_PROBE, WRONG_PROBE_NUMBER = (-1, -2, -3, -4)

_ALLOWED = 0
_PROBE = 1
_COOLING = 2
_FORCED = 3
_EXHAUSTED = 4
_DISABLED = 5
ALLOWED, PROBE, COOLING, FORCED, EXHAUSTED, DISABLED = range(6)

_NEVER = (1 << 63) - 1
NEVER = _NEVER
_SECOND = 1_000_000_000
_BUCKET = 6  # second, first seq, last seq, calls, failures, slow calls
_FIRST_CAPACITY = 8
_RUN = 1 << 62  # a code is below it
_FITS = 1 << 31
_FEWEST_AT_ONCE = 16  # rows are counted at once
_MOST_AT_ONCE = 1024
_MAX_SEQS = MAX_SEQS
_NO_NUMBERS = array("q")  # of each ring before its first item


class Thresholds:
    """Numbers against which a window is held.

    Attributes:
        size: How many outcomes the window holds, or how many seconds if ``is_timed``.
        is_timed: Whether it is a window of seconds.
        needed: How many outcomes must be in it before a rate counts.
        failures: Number of failures at which it trips; 0 for none.
        failure_num, failure_den: Failure rate as a fraction; ``failure_den`` is 0 for none.
        slow_num, slow_den: The same of slow calls.
    """

    __slots__ = (
        "failure_den",
        "failure_num",
        "failures",
        "is_timed",
        "needed",
        "size",
        "slow_den",
        "slow_num",
    )

    def __init__(
        self,
        size: int,
        is_timed: bool,
        needed: int,
        failures: int,
        failure_num: int,
        failure_den: int,
        slow_num: int,
        slow_den: int,
    ) -> None:
        self.size = size
        self.is_timed = is_timed
        self.needed = needed
        self.failures = failures
        self.failure_num = failure_num
        self.failure_den = failure_den
        self.slow_num = slow_num
        self.slow_den = slow_den


class Rules:
    """Settings of a breaker in numbers.

    Attributes:
        failure_threshold: Failures in a row that open it; 0 for none.
        window: Thresholds of its window; None without one.
        slow_ns: A call that took longer is slow; ``NEVER`` if none is.
        success_threshold: Successful probes that close it.
        max_probes: How many probes may be under way.
        probe_window: Thresholds of the window over probes; None without one.
        half_open_timeout_ns: A half-open breaker that takes longer opens again; ``NEVER`` for none.
        probe_timeout_ns: A probe that has not reported after this counts as failed.
    """

    __slots__ = (
        "failure_threshold",
        "half_open_timeout_ns",
        "max_probes",
        "probe_timeout_ns",
        "probe_window",
        "slow_ns",
        "success_threshold",
        "window",
    )

    def __init__(
        self,
        failure_threshold: int,
        window: Thresholds | None,
        slow_ns: int,
        success_threshold: int,
        max_probes: int,
        probe_window: Thresholds | None,
        half_open_timeout_ns: int,
        probe_timeout_ns: int,
    ) -> None:
        self.failure_threshold = failure_threshold
        self.window = window
        self.slow_ns = slow_ns
        self.success_threshold = success_threshold
        self.max_probes = max_probes
        self.probe_window = probe_window
        self.half_open_timeout_ns = half_open_timeout_ns
        self.probe_timeout_ns = probe_timeout_ns


class Ring:
    """A queue of 64-bit numbers that grows with what is put in, ``width`` of them an item.

    Args:
        width: How many numbers an item has.
        most: How many items there are ever room for.

    Attributes:
        first: Place of the oldest item, in items.
        length: How many items there are, with those that were removed from their midst.
        removed: How many were; the last number of each is -1.
        capacity: How many fit before it has to grow.
        items: The numbers, one item after the other.
        numbers: The array that holds them.
    """

    __slots__ = ("capacity", "first", "items", "length", "most", "numbers", "removed", "width")
    items: Numbers
    numbers: Numbers

    def __init__(self, width: int, most: int = _NEVER) -> None:
        self.width = width
        self.most = most
        self.first = 0
        self.length = 0
        self.removed = 0
        self.capacity = 0
        _hold(self, _NO_NUMBERS)

    def copy(self) -> Ring:
        """A ring of the same items that shares nothing with this one."""
        other = Ring(self.width, self.most)
        _copy(self, other)
        return other

    def to_list(self) -> list[int]:
        """All numbers, from the oldest item to the newest."""
        begin = self.first * self.width
        end = begin + self.length * self.width
        numbers = self.numbers[begin:end].tolist()
        numbers += self.numbers[: max(0, end - len(self.numbers))].tolist()
        if not self.removed:
            return numbers
        width = self.width
        whole = [numbers[place : place + width] for place in range(0, len(numbers), width)]
        return [number for item in whole if item[width - 1] >= 0 for number in item]

    def extend(self, numbers: Sequence[int]) -> None:
        """Put items at the end, ``width`` numbers each."""
        for index, number in enumerate(numbers):
            if index % self.width == 0:
                place = _pushed(self)
            self.items[place + index % self.width] = number

    def clear(self) -> None:
        """Drop all items."""
        self.first = 0
        self.length = 0
        self.removed = 0

    def __reduce__(self) -> tuple[object, ...]:
        return _ring, (self.width, self.most, self.to_list())


def _ring(width: int, most: int, numbers: list[int]) -> Ring:
    ring = Ring(width, most)
    ring.extend(numbers)
    return ring


def _hold(ring: Ring, numbers: Numbers) -> None:
    """Have a ring keep its items in these numbers, of which nothing else changes the size."""
    ring.numbers = numbers
    if cython.compiled:
        ring.items = ring.numbers.data.as_longlongs  # type: ignore[attr-defined]
    else:
        ring.items = numbers


def _copy(ring: Ring, other: Ring) -> None:
    other.first = ring.first
    other.length = ring.length
    other.removed = ring.removed
    other.capacity = ring.capacity
    _hold(other, ring.numbers[:])


def _grow(ring: Ring) -> int:
    """Double the room of a ring that is full, its oldest item first; returns its new capacity."""
    capacity = min(ring.most, ring.capacity * 2 if ring.capacity else _FIRST_CAPACITY)
    if capacity <= ring.capacity:
        # More is put in than there should ever be: never write past the end of the room.
        capacity = ring.capacity + _FIRST_CAPACITY
    begin = ring.first * ring.width
    numbers = array("q", (0,)) * (capacity * ring.width)
    kept = len(ring.numbers) - begin
    numbers[:kept] = ring.numbers[begin:]
    numbers[kept : kept + begin] = ring.numbers[:begin]
    _hold(ring, numbers)
    ring.first = 0
    ring.capacity = capacity
    return capacity


def _pushed(ring: Ring) -> int:
    """Make room for a new item at the end, and return its place, in numbers."""
    if ring.length == ring.capacity:
        _grow(ring)
    ring.length += 1
    return _last(ring)


def _popped(ring: Ring) -> int:
    """Drop the oldest item, and return its place, in numbers."""
    place = ring.first
    ring.first = place + 1 if place + 1 < ring.capacity else 0
    ring.length -= 1
    return place * ring.width


def _last(ring: Ring) -> int:
    """Place of the newest item, in numbers."""
    return _place(ring, ring.length - 1)


def _place(ring: Ring, index: int) -> int:
    """Place of an item, in numbers; the oldest has index 0."""
    place = ring.first + index
    if place >= ring.capacity:
        place -= ring.capacity
    return place * ring.width


class Window(Ring):
    """Outcomes in a window, and how many of them failed or were slow.

    A window of outcomes keeps each as its code, ``seq << 2 | failed << 1 | slow``; of several that
    one event stands for it keeps how many they are, plus ``_RUN``, and their code once. A window of
    seconds keeps a bucket for each whole second that has any: the second, the ``seq`` of
    its first and last outcome, and how many calls, failures and slow calls there were.

    Attributes:
        thresholds: Its thresholds.
        calls, failures, slow: How many outcomes are in it, and how many of them failed or were slow.
    """

    __slots__ = ("calls", "failures", "slow", "thresholds")

    def __init__(self, thresholds: Thresholds) -> None:
        if thresholds.is_timed:
            Ring.__init__(self, _BUCKET)
        else:
            Ring.__init__(self, 1, thresholds.size)
        self.thresholds = thresholds
        self.calls = 0
        self.failures = 0
        self.slow = 0

    def copy(self) -> Window:
        """A window of the same outcomes that shares nothing with this one."""
        other = Window(self.thresholds)
        other.calls = self.calls
        other.failures = self.failures
        other.slow = self.slow
        _copy(self, other)
        return other

    def span(self) -> tuple[int, int]:
        """The ``seq`` of the first and the last outcome in it, of which there is at least one."""
        first = _place(self, 0)
        last = _last(self)
        if self.thresholds.is_timed:
            return self.items[first + 1], self.items[last + 2]
        if self.items[first] >= _RUN:
            first = _place(self, 1)
        return self.items[first] >> 2, self.items[last] >> 2

    def to_data(self) -> list[int | list[int]]:
        """What is in it, for a checkpoint.

        Returns:
            Each bucket; or each outcome as its code, and those that one event stands for as a pair
            of their code and how many they are.
        """
        numbers = self.to_list()
        if self.thresholds.is_timed:
            return [numbers[place : place + _BUCKET] for place in range(0, len(numbers), _BUCKET)]
        rest = iter(numbers)
        return [code if code < _RUN else [next(rest), code - _RUN] for code in rest]

    def restore(self, data: Iterable[int | Sequence[int]]) -> None:
        """Take in what ``to_data`` has told, into an empty window.

        Raises:
            ValueError: It told of more outcomes than a window of this size holds.
        """
        if self.thresholds.is_timed:
            for bucket in data:
                assert not isinstance(bucket, int)
                self.extend(bucket)
                self.calls += bucket[3]
                self.failures += bucket[4]
                self.slow += bucket[5]
            return
        pairs = [(entry, 1) if isinstance(entry, int) else entry for entry in data]
        calls = sum([count for _, count in pairs])
        if calls > self.thresholds.size:
            raise ValueError(f"{calls} outcomes in a window of {self.thresholds.size}")
        for code, count in pairs:
            _add_counted(self, code >> 2, count, bool(code & 2), bool(code & 1))

    def __reduce__(self) -> tuple[object, ...]:
        return _window, (self.thresholds, self.to_data())


def _window(thresholds: Thresholds, data: list[int | list[int]]) -> Window:
    window = Window(thresholds)
    window.restore(data)
    return window


class Rows:
    """Events about one breaker, as columns of equal length.

    Args:
        kind: ``SUCCEEDED`` and so on, of 8 bits; the others are of 64. Interpreted, sequences of
            Python's integers do.
        seq, at, took, epoch, probe, count: As in ``step``.
    """

    __slots__ = ("at", "count", "epoch", "kind", "probe", "seq", "took")

    def __init__(
        self,
        kind: Column,
        seq: Column,
        at: Column,
        took: Column,
        epoch: Column,
        probe: Column,
        count: Column,
    ) -> None:
        self.kind = kind
        self.seq = seq
        self.at = at
        self.took = took
        self.epoch = epoch
        self.probe = probe
        self.count = count


class Reclosing:
    """The part of a state that only a breaker has which is not closed.

    Most breakers are closed, and do not have the room for it.

    Attributes:
        is_forced: Held open by an operator.
        opened_at, half_open_at: Since when it is open, or half-open; -1 unless it is.
        waited: How long what a timed rule is about had lasted when it fired.
        probes_admitted: Probes let through in this epoch.
        probes: Number and time of each that has not reported, in their order. None without any.
        probe_seqs: The ``seq`` of each probe of this epoch that succeeded. None without any.
        probe_window: Their outcomes; None without a window, or unless it is half-open.
    """

    __slots__ = (
        "half_open_at",
        "is_forced",
        "opened_at",
        "probe_seqs",
        "probe_window",
        "probes",
        "probes_admitted",
        "waited",
    )

    def __init__(self, opened_at: int = -1, half_open_at: int = -1) -> None:
        self.opened_at = opened_at
        self.half_open_at = half_open_at
        self.is_forced = False
        self.waited = 0
        self.probes_admitted = 0
        self.probes: Ring | None = None
        self.probe_seqs: Ring | None = None
        self.probe_window: Window | None = None

    def copy(self) -> Reclosing:
        """The same, to go on apart from this."""
        other = Reclosing(self.opened_at, self.half_open_at)
        other.is_forced = self.is_forced
        other.waited = self.waited
        other.probes_admitted = self.probes_admitted
        other.probes = None if self.probes is None else self.probes.copy()
        other.probe_seqs = None if self.probe_seqs is None else self.probe_seqs.copy()
        other.probe_window = None if self.probe_window is None else self.probe_window.copy()
        return other


class State:
    """What the rules know of one breaker.

    Attributes:
        rules: Its settings.
        is_disabled: Whether it decides nothing.
        is_shadow: Whether calls are let through that it would refuse; no rule asks for it.
        where: ``CLOSED``, ``OPEN`` or ``HALF_OPEN``.
        epoch: How many edges it has taken.
        deadline: When the next timed edge is due; ``NEVER`` where only a call can move it.
        consecutive_failures: Length of the current run of failures in CLOSED.
        failure_seqs: The ``seq`` of each of them, while that rule is on; where its threshold is
            above ``limits.MAX_SEQS``, of the first and the last. None without any.
        window: Outcomes in its window; None without one, or unless it is closed.
        reclosing: What its rules know of its way back to closed; None while it is closed.
        fired: The rule at which ``run`` has stopped.
        is_timed: Whether that was a timed one, before the row.
        succeeded, failed, ignored, rejected, stale: Outcomes since the log began.
    """

    __slots__ = (
        "consecutive_failures",
        "deadline",
        "epoch",
        "failed",
        "failure_seqs",
        "fired",
        "ignored",
        "is_disabled",
        "is_shadow",
        "is_timed",
        "reclosing",
        "rejected",
        "rules",
        "stale",
        "succeeded",
        "where",
        "window",
    )

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.is_disabled = False
        self.where: int = _CLOSED
        self.epoch = 0
        self.is_shadow = False
        self.deadline: int = _NEVER
        self.consecutive_failures = 0
        self.failure_seqs: Ring | None = None
        self.window: Window | None = None
        self.reclosing: Reclosing | None = None
        self.fired: int = _NO_RULE
        self.is_timed = False
        self.succeeded = 0
        self.failed = 0
        self.ignored = 0
        self.rejected = 0
        self.stale = 0
        start_windows(self)

    @property
    def is_forced(self) -> bool:
        """Whether it is held open by an operator."""
        return self.reclosing is not None and self.reclosing.is_forced

    @is_forced.setter
    def is_forced(self, is_forced: bool) -> None:
        if self.reclosing is not None:
            self.reclosing.is_forced = is_forced

    @property
    def opened_at(self) -> int:
        """Since when it is open; -1 unless it is."""
        return -1 if self.reclosing is None else self.reclosing.opened_at

    @opened_at.setter
    def opened_at(self, at: int) -> None:
        if self.reclosing is None:
            self.reclosing = Reclosing()
        self.reclosing.opened_at = at

    @property
    def half_open_at(self) -> int:
        """Since when it is half-open; -1 unless it is."""
        return -1 if self.reclosing is None else self.reclosing.half_open_at

    @half_open_at.setter
    def half_open_at(self, at: int) -> None:
        if self.reclosing is None:
            self.reclosing = Reclosing()
        self.reclosing.half_open_at = at

    @property
    def waited(self) -> int:
        """How long what a timed rule is about had lasted when it fired."""
        return 0 if self.reclosing is None else self.reclosing.waited

    @property
    def probes_admitted(self) -> int:
        """Probes let through in this epoch."""
        return 0 if self.reclosing is None else self.reclosing.probes_admitted

    @property
    def probes(self) -> Ring | None:
        """Number and time of each that has not reported, in their order. None without any."""
        return None if self.reclosing is None else self.reclosing.probes

    @property
    def probe_seqs(self) -> Ring | None:
        """The ``seq`` of each probe of this epoch that succeeded. None without any."""
        return None if self.reclosing is None else self.reclosing.probe_seqs

    @property
    def probe_window(self) -> Window | None:
        """Outcomes of probes in its window; None without one, or unless it is half-open."""
        return None if self.reclosing is None else self.reclosing.probe_window


# Windows.


def _add(window: Window, seq: int, at: int, count: int, failed: bool, slow: bool) -> int:
    """Take in like outcomes of one event, and let go of those that are too old.

    Returns:
        The first threshold that the outcomes in the window reach then; ``NO_RULE`` if none.
    """
    if count < 1:
        return _NO_RULE
    if window.thresholds.is_timed:
        _add_timed(window, seq, at, count, failed, slow)
    else:
        _add_counted(window, seq, count, failed, slow)
    return _reached(window.thresholds, window.calls, window.failures, window.slow)


def _add_counted(window: Window, seq: int, count: int, failed: bool, slow: bool) -> None:
    code = seq << 2 | failed << 1 | slow
    size = window.thresholds.size
    count = min(count, size)
    over = window.calls + count - size
    if over > 0:
        _forget(window, over)
    window.calls += count
    window.failures += count * failed
    window.slow += count * slow
    # No more numbers are put in than outcomes, so that they always fit.
    if window.length and window.items[_last(window)] == code:
        _add_to_newest(window, code, count)
    else:
        if count > 1:
            place = _pushed(window)
            window.items[place] = _RUN + count
        place = _pushed(window)
        window.items[place] = code


def _add_to_newest(window: Window, code: int, count: int) -> None:
    """Take in more outcomes of the newest event, such as several probes that it finds overdue."""
    place = _place(window, window.length - 2) if window.length > 1 else _last(window)
    if window.items[place] >= _RUN:
        window.items[place] += count
    else:
        window.items[_last(window)] = _RUN + 1 + count
        place = _pushed(window)
        window.items[place] = code


def _forget(window: Window, count: int) -> None:
    """Let go of so many of the oldest outcomes of a window that has as many."""
    failures = 0
    slow = 0
    window.calls -= count
    while count:
        place = _popped(window)
        code = window.items[place]
        gone = 1
        if code >= _RUN:
            alike = code - _RUN
            gone = min(count, alike)
            code = window.items[window.first]
            if alike - gone > 1:
                window.items[place] -= gone
                window.first = place
                window.length += 1
            elif alike == gone:
                _popped(window)  # of one that is left, the code stays by itself
        count -= gone
        failures += gone * (code >> 1 & 1)
        slow += gone * (code & 1)
    window.failures -= failures
    window.slow -= slow


def _add_timed(window: Window, seq: int, at: int, count: int, failed: bool, slow: bool) -> None:
    if not _is_in_newest_second(window, at):
        _begin_second(window, seq, at // _SECOND)
    _add_to_second(window, seq, count, count * failed, count * slow)


def _add_to_second(window: Window, seq: int, count: int, failures: int, slow: int) -> None:
    """Take outcomes, the last of which has this ``seq``, into the newest second."""
    place = _last(window)
    items = window.items
    items[place + 2] = seq
    items[place + 3] += count
    items[place + 4] += failures
    items[place + 5] += slow
    window.calls += count
    window.failures += failures
    window.slow += slow


def _is_in_newest_second(window: Window, at: int) -> bool:
    if window.length == 0:
        return False
    since = at - window.items[_last(window)] * _SECOND
    return 0 <= since < _SECOND


def _begin_second(window: Window, seq: int, second: int) -> None:
    """Begin a bucket, and let go of those that are too old then."""
    while window.length and window.items[window.first * _BUCKET] <= second - window.thresholds.size:
        place = _popped(window)
        window.calls -= window.items[place + 3]
        window.failures -= window.items[place + 4]
        window.slow -= window.items[place + 5]
    place = _pushed(window)
    items = window.items
    items[place] = second
    items[place + 1] = seq
    items[place + 3] = 0
    items[place + 4] = 0
    items[place + 5] = 0


def _reached(limits: Thresholds, calls: int, failures: int, slow: int) -> int:
    """The first threshold that a window with these counts reaches; ``NO_RULE`` if none."""
    if limits.failures and failures >= limits.failures:
        return _WINDOW_FAILURES
    if calls < limits.needed:
        return _NO_RULE
    if limits.failure_den and _is_rate_reached(
        failures, calls, limits.failure_num, limits.failure_den
    ):
        return _FAILURE_RATE
    if limits.slow_den and _is_rate_reached(slow, calls, limits.slow_num, limits.slow_den):
        return _SLOW_CALL_RATE
    return _NO_RULE


def needs_failures(rules: Rules) -> bool:
    """Whether only failures trip a closed breaker of these settings."""
    return rules.window is None or rules.window.slow_den == 0


def _is_rate_reached(part: int, whole: int, num: int, den: int) -> bool:
    """Whether ``part / whole >= num / den``, where ``num`` and ``den`` are below 2^31."""
    if whole < _FITS:
        return part * den >= num * whole
    # The seconds of a window may have more calls than a window of outcomes, where products of 64
    # bits would not do: num * whole = num * (whole // den) * den + num * (whole % den).
    left = part - num * (whole // den)
    return left >= den or (left >= 0 and left * den >= num * (whole % den))


# Entry points.


def may_probe(state: State, asked: int = 0) -> bool:
    """Whether a half-open breaker has a place for one probe more than were asked for already."""
    reclosing = state.reclosing
    if reclosing is None:
        return False
    under_way = asked
    if reclosing.probes is not None:
        under_way += reclosing.probes.length - reclosing.probes.removed
    if reclosing.probe_window is None:
        return under_way < state.rules.max_probes
    return under_way + reclosing.probe_window.calls < reclosing.probe_window.thresholds.size


def decide(state: State) -> int:
    """What the breaker answers as long as no event comes and no deadline passes.

    Returns:
        ``ALLOWED``, ``PROBE`` or ``DISABLED`` where it lets a call through; ``COOLING``, ``FORCED``
        or ``EXHAUSTED`` where it refuses one.
    """
    if state.is_disabled:
        return _DISABLED
    if state.where == _CLOSED:
        return _ALLOWED
    if state.where == _OPEN:
        reclosing = state.reclosing
        return _FORCED if reclosing is not None and reclosing.is_forced else _COOLING
    return _PROBE if may_probe(state) else _EXHAUSTED


def keeps_until(window: Window) -> int:
    """Before what time of the log no outcome of the window is too old that is not now."""
    if not window.thresholds.is_timed:
        return _NEVER
    if window.length == 0:
        return 0
    return (window.items[_last(window)] + 1) * _SECOND


def to_spare(state: State, is_for_ever: bool) -> int:
    """How many calls that fail or are slow can come without any rule firing.

    Any number of other calls may come before, between and after them.

    Args:
        state: The state, which is not changed.
        is_for_ever: Whether that is to hold whatever the time; else before ``keeps_until``.

    Returns:
        Their number; below 0 where even a call that goes well could fire a rule.
    """
    if state.is_disabled:
        return _FITS
    if state.where != _CLOSED:
        return -1
    spare = _FITS
    if state.rules.failure_threshold:
        spare = state.rules.failure_threshold - 1 - state.consecutive_failures
    window = state.window
    if window is None:
        return spare
    limits = window.thresholds
    # A window with fewer calls compares no rate. A call leaves a window of outcomes only to make room
    # for another one, and a window of seconds only when another second begins.
    calls = limits.needed
    if window.calls > calls and not (is_for_ever and limits.is_timed):
        calls = min(window.calls, _FITS)
    if limits.failures:
        spare = min(spare, limits.failures - 1 - window.failures)
    if limits.failure_den:
        spare = min(
            spare, _most_below(limits.failure_num, limits.failure_den, calls) - window.failures
        )
    if limits.slow_den:
        spare = min(spare, _most_below(limits.slow_num, limits.slow_den, calls) - window.slow)
    return spare


def _most_below(num: int, den: int, calls: int) -> int:
    """The most of ``calls`` that are below ``num / den`` of them; of no more than 2^31 calls."""
    return (num * calls - 1) // den if num else -1


def advance(state: State, seq: int, at: int) -> int:
    """Let it be ``at``: take what is due by then that fires nothing, up to the first rule that does.

    Args:
        state: The state, which is changed.
        seq: Number of the event at which that is noticed.
        at: Its time.

    Returns:
        The rule that fired, or ``NO_RULE``. After the edge it has to be called again.
    """
    while at >= state.deadline:
        reclosing = state.reclosing
        assert reclosing is not None  # a closed breaker has no deadline
        if state.where == _OPEN:
            reclosing.waited = at - reclosing.opened_at
            return _COOLDOWN
        if _is_probe_overdue(state):
            rule = _expire_probe(state, seq, at)
            if rule:
                return rule
        else:
            reclosing.waited = at - reclosing.half_open_at
            return _HALF_OPEN_TIMEOUT
    return _NO_RULE


def step(
    state: State, kind: int, seq: int, at: int, took: int, epoch: int, probe: int, count: int
) -> int:
    """Apply one event about the breaker, after all that is due at ``at``.

    Args:
        state: The state, which is changed.
        kind: ``SUCCEEDED``, ``FAILED``, ``IGNORED``, ``REJECTED`` or ``ADMITTED``.
        seq: Its number in the log.
        at: Its time.
        took: How long the call took.
        epoch: In which epoch the call was let through.
        probe: Which probe it is; 0 for none.
        count: How many like calls it stands for; 1 unless they succeeded or were rejected.

    Returns:
        The rule that fired, ``NO_RULE``, or a negative number where the event can't have happened.
    """
    if kind == _REJECTED:
        state.rejected += count
        return _NO_RULE
    if kind == _ADMITTED:
        return _admit(state, at, epoch, probe)
    if epoch > state.epoch:
        return _FUTURE_EPOCH
    if state.is_disabled:
        _count(state, kind, count)
        return _NO_RULE
    if epoch < state.epoch or state.where == _OPEN:
        state.stale += count
        return _NO_RULE
    if state.where == _CLOSED:
        return _step_closed(state, state.window, kind, seq, at, took, count)
    return _step_half_open(state, kind, seq, at, took, probe, count)


def enter(state: State, at: int, wait_ns: int) -> int:
    """Begin an epoch, after the machine has set ``where``.

    Args:
        state: The state, which is changed.
        at: When the edge was taken.
        wait_ns: How long an open breaker cools; -1 where it is forced open.

    Returns:
        The rule that fires at once, or ``NO_RULE``.
    """
    state.epoch += 1
    state.deadline = _NEVER
    state.consecutive_failures = 0
    state.failure_seqs = None
    state.reclosing = None
    if state.where == _OPEN:
        state.reclosing = Reclosing(opened_at=at)
        state.reclosing.is_forced = wait_ns < 0
        if wait_ns >= 0:
            state.deadline = at + wait_ns
    elif state.where == _HALF_OPEN:
        state.reclosing = Reclosing(half_open_at=at)
    start_windows(state)
    if state.where == _HALF_OPEN:
        _set_half_open_deadline(state)
        if state.rules.probe_window is None and state.rules.success_threshold == 0:
            return _PROBE_SUCCESSES
    return _NO_RULE


def start_windows(state: State) -> None:
    """Begin empty windows for where the breaker is."""
    reclosing = state.reclosing
    state.window = None
    if state.where == _CLOSED and state.rules.window is not None:
        state.window = Window(state.rules.window)
    if reclosing is not None:
        reclosing.probe_window = None
        if state.where == _HALF_OPEN and state.rules.probe_window is not None:
            reclosing.probe_window = Window(state.rules.probe_window)


def reconfigure(state: State, rules: Rules, is_disabled: bool) -> None:
    """Go on under other settings: what was counted under the old ones is no evidence under these."""
    state.rules = rules
    state.is_disabled = is_disabled
    state.consecutive_failures = 0
    state.failure_seqs = None
    start_windows(state)
    if state.where == _HALF_OPEN:
        forget_probes(state)


def judge_by(state: State, rules: Rules) -> None:
    """Go on under other thresholds, with all that was counted, in a window of the same size."""
    state.rules = rules
    state.is_disabled = False
    if rules.window is None:
        state.window = None
    elif state.window is not None:
        state.window.thresholds = rules.window


def forget_probes(state: State) -> None:
    """Wait for no probe that is under way: its permit is void."""
    if state.reclosing is not None:
        state.reclosing.probes = None
    if state.where == _HALF_OPEN:
        _set_half_open_deadline(state)


def retime(state: State, moved: Callable[[int], int]) -> None:
    """Have all that a state remembers happened at the times that ``moved`` makes of its times."""
    if state.opened_at >= 0:
        wait_ns = state.deadline - state.opened_at
        state.opened_at = moved(state.opened_at)
        if state.deadline != _NEVER:
            state.deadline = state.opened_at + min(wait_ns, _NEVER - state.opened_at)
    if state.half_open_at >= 0:
        state.half_open_at = moved(state.half_open_at)
        probes = state.probes
        if probes is not None:
            for index in range(probes.length):
                place = _place(probes, index) + 1
                if probes.items[place] >= 0:
                    probes.items[place] = moved(probes.items[place])
        _set_half_open_deadline(state)
    if state.window is not None and state.window.thresholds.is_timed:
        _retime_window(state.window, moved)


def _retime_window(window: Window, moved: Callable[[int], int]) -> None:
    """Keep each bucket in the second that it falls in now."""
    numbers = window.to_list()
    window.clear()
    for begin in range(0, len(numbers), _BUCKET):
        second = moved(numbers[begin] * _SECOND) // _SECOND
        if window.length and window.items[_last(window)] == second:
            place = _last(window)
            window.items[place + 2] = numbers[begin + 2]
            for index in range(3, _BUCKET):
                window.items[place + index] += numbers[begin + index]
        else:
            window.extend((second, *numbers[begin + 1 : begin + _BUCKET]))


def run(state: State, rows: Rows, start: int, stop: int) -> int:
    """Apply rows of one breaker until a rule fires.

    Args:
        state: The state, which is changed; ``state.is_timed`` says whether the rule that fired is a
            timed one, before the row that is returned, which is not applied then.
        rows: The rows, in their order; those of other kinds than ``step`` takes are passed over.
        start: The first to apply.
        stop: One past the last.

    Returns:
        The row at which a rule fired, which is in ``state.fired``; ``stop`` if none did.
    """
    state.fired = _NO_RULE
    state.is_timed = False
    row = start
    while row < stop:
        if state.where == _CLOSED and not state.is_disabled:
            row = _run_closed(state, rows, row, stop)
            if state.fired or row == stop:
                return row
        if rows.kind[row] > _ADMITTED:
            row += 1
            continue
        if rows.at[row] >= state.deadline:
            state.fired = advance(state, rows.seq[row], rows.at[row])
            if state.fired:
                state.is_timed = True
                return row
        state.fired = step(
            state,
            rows.kind[row],
            rows.seq[row],
            rows.at[row],
            rows.took[row],
            rows.epoch[row],
            rows.probe[row],
            rows.count[row],
        )
        if state.fired:
            return row
        row += 1
    return stop


# Where the breaker is closed.


def _run_closed(state: State, rows: Rows, start: int, stop: int) -> int:
    """Apply outcomes of this epoch to a closed breaker, up to the first row that is none.

    Returns:
        That row; or the one at which a rule fired, which is in ``state.fired`` then.
    """
    epoch = state.epoch
    ahead = _FEWEST_AT_ONCE if cython.compiled else stop - start
    row = start
    while row < stop:
        passed = _pass_outcomes(state, rows, row, min(stop, row + ahead))
        if passed > row:
            ahead = min(max(2 * (passed - row), _FEWEST_AT_ONCE), _MOST_AT_ONCE)
            row = passed
            continue
        # Where one may fire a rule, those after it often may, too.
        singly = min(stop, row + _FEWEST_AT_ONCE)
        while row < singly:
            kind = rows.kind[row]
            if kind > _IGNORED or rows.epoch[row] != epoch:
                return row
            rule = _step_closed(
                state,
                state.window,
                kind,
                rows.seq[row],
                rows.at[row],
                rows.took[row],
                rows.count[row],
            )
            if rule:
                state.fired = rule
                return row
            row += 1
    return row


def _pass_outcomes(state: State, rows: Rows, start: int, stop: int) -> int:
    """Count single outcomes that can fire no rule at once, with the same result as one by one.

    Returns:
        The row after them.
    """
    window = state.window
    if window is not None:
        until = keeps_until(window)
        if rows.at[stop - 1] >= until:
            stop = _first_from(rows.at, start, stop, until)
    stop = _alike_until(state, rows, start, stop)
    failures = _failures_in(rows, start, stop)
    if window is not None and start < stop:
        passed = _add_singles(window, rows, start, stop, failures, state.rules.slow_ns)
        if passed < stop:
            stop = passed
            failures = _failures_in(rows, start, stop)
    state.failed += failures
    state.succeeded += stop - start - failures
    run = 0
    while run < stop - start and rows.kind[stop - 1 - run] == _FAILED:
        run += 1
    if run < stop - start:
        state.consecutive_failures = 0
        if state.failure_seqs is not None:
            state.failure_seqs.length = 0
    state.consecutive_failures += run
    if state.rules.failure_threshold:
        for row in range(stop - run, stop):
            _note_failure(state, rows.seq[row])
    return stop


def _alike_until(state: State, rows: Rows, start: int, stop: int) -> int:
    """The first row that is no single outcome of this epoch, or completes a run of failures."""
    epoch = state.epoch
    if _others_in(rows, start, stop, epoch):
        row = start
        while rows.kind[row] <= _FAILED and rows.epoch[row] == epoch and rows.count[row] == 1:
            row += 1
        stop = row
    threshold = state.rules.failure_threshold
    if not threshold:
        return stop
    # A run is complete at a row where it and the rows before it, back to the run's first, are all
    # failures. A row that is none rules out the next rows, up to one less than the threshold.
    first = start - state.consecutive_failures
    row = first + threshold - 1
    while row < stop:
        before = row
        while before >= start and rows.kind[before] == _FAILED:
            before -= 1
        if before < first or before < start:
            return row
        first = before + 1
        row = before + threshold
    return stop


def _others_in(rows: Rows, start: int, stop: int, epoch: int) -> int:
    """0 if each of these rows is a single outcome of this epoch; else another number."""
    others = 0
    if cython.compiled:
        # Loops without branches are compiled so that they look at several rows at a time.
        for row in range(start, stop):
            others |= rows.kind[row] >> 1
        for row in range(start, stop):
            others |= rows.epoch[row] ^ epoch
        for row in range(start, stop):
            others |= rows.count[row] ^ 1
    elif start < stop:
        is_alike = set(rows.epoch[start:stop]) == {epoch} and set(rows.count[start:stop]) == {1}
        others = max(rows.kind[start:stop]) >> 1 if is_alike else 1
    return others


def _failures_in(rows: Rows, start: int, stop: int) -> int:
    if not cython.compiled:
        return sum(rows.kind[start:stop])
    failures = 0
    for row in range(start, stop):
        failures += rows.kind[row]
    return failures


def _slow_in(rows: Rows, start: int, stop: int, slow_ns: int) -> int:
    slow = 0
    if slow_ns != _NEVER:
        for row in range(start, stop):
            slow += rows.took[row] > slow_ns
    return slow


def _add_singles(
    window: Window, rows: Rows, start: int, stop: int, failures: int, slow_ns: int
) -> int:
    """Take single outcomes into a window as far as they surely reach no threshold.

    None does if not even all that failed, or were slow, would without the others among them.

    Returns:
        The row after them.
    """
    limits = window.thresholds
    size = limits.size
    most_calls = _NEVER if limits.is_timed else size
    slow = _slow_in(rows, start, stop, slow_ns)
    most_failures = _NEVER
    most_slow = _NEVER
    while _reached(
        limits,
        min(max(window.calls + failures, limits.needed), most_calls),
        window.failures + failures,
        0,
    ) or _reached(
        limits, min(max(window.calls + slow, limits.needed), most_calls), 0, window.slow + slow
    ):
        if not limits.is_timed:
            calls = max(window.calls, limits.needed)
            most_failures = _most(limits, calls, 1, 0)
            most_slow = _most(limits, calls, 0, 1)
            break
        stop = start + (stop - start) // 2
        if stop == start:
            return start
        failures = _failures_in(rows, start, stop)
        slow = _slow_in(rows, start, stop, slow_ns)
    if limits.is_timed:
        _add_to_second(window, rows.seq[stop - 1], stop - start, failures, slow)
        return stop
    is_short = window.calls < size or window.capacity < size or stop - start <= size
    if slow_ns != _NEVER or is_short or not cython.compiled:
        return _add_codes(window, rows, start, stop, slow_ns, most_failures, most_slow)
    # Of more outcomes than a window holds, only the last have to be taken in.
    row = _add_codes(window, rows, start, start + size, slow_ns, most_failures, most_slow)
    if row < start + size:
        return row
    failures = window.failures
    while row < stop:
        failures += rows.kind[row] - rows.kind[row - size]
        if failures > most_failures:
            break
        row += 1
    if row - size > start:
        window.clear()
        window.calls = 0
        window.failures = 0
        _add_codes(window, rows, row - size, row, slow_ns, _NEVER, _NEVER)
    return row


def _most(limits: Thresholds, calls: int, failed: int, slow: int) -> int:
    """The most outcomes that may have failed, or been slow, while ``calls`` reach no threshold."""
    low = -1
    high = calls + 1
    while low + 1 < high:
        middle = (low + high) // 2
        if _reached(limits, calls, middle * failed, middle * slow):
            high = middle
        else:
            low = middle
    return low


def _add_codes(
    window: Window,
    rows: Rows,
    start: int,
    stop: int,
    slow_ns: int,
    most_failures: int,
    most_slow: int,
) -> int:
    """Take single outcomes into a window of outcomes as far as it has room; the row after them.

    It is left with no more failures and slow calls than these, except where it has had them before.
    """
    size = window.thresholds.size
    can_be_slow = slow_ns != _NEVER
    is_bounded = most_failures != _NEVER or most_slow != _NEVER
    if not (cython.compiled or is_bounded) and _add_at_once(window, rows, start, stop, slow_ns):
        return stop
    items = window.items
    capacity = window.capacity
    first = window.first
    length = window.length
    calls = window.calls
    failures = window.failures
    slow = window.slow
    free = first + length
    if free >= capacity:
        free -= capacity
    row = start
    while row < stop:
        gone = 0
        if calls == size:
            gone = items[first]
        elif length == capacity:
            break
        failed = rows.kind[row]
        is_slow = can_be_slow and rows.took[row] > slow_ns
        next_failures = failures + failed - (gone >> 1 & 1)
        next_slow = slow + is_slow - (gone & 1)
        if gone >= _RUN or next_failures > most_failures or next_slow > most_slow:
            break
        failures = next_failures
        slow = next_slow
        if calls == size:
            first += 1
            if first == capacity:
                first = 0
        else:
            calls += 1
            length += 1
        items[free] = rows.seq[row] << 2 | failed << 1 | is_slow
        free += 1
        if free == capacity:
            free = 0
        row += 1
    window.first = first
    window.length = length
    window.calls = calls
    window.failures = failures
    window.slow = slow
    return row


def _add_at_once(window: Window, rows: Rows, start: int, stop: int, slow_ns: int) -> bool:
    """As ``_add_codes`` without a loop; whether that is done, as no event stands for several.

    For where it is interpreted.
    """
    size = window.thresholds.size
    start = max(start, stop - size)
    codes = window.to_list()
    if codes and max(codes) >= _RUN:
        return False
    columns = zip(rows.kind[start:stop], rows.seq[start:stop], rows.took[start:stop], strict=True)
    codes += [seq << 2 | kind << 1 | (took > slow_ns) for kind, seq, took in columns]
    codes = codes[-size:]
    _hold(window, array("q", codes))
    window.first = 0
    window.length = window.capacity = window.calls = len(codes)
    window.failures = sum([code >> 1 & 1 for code in codes])
    window.slow = sum([code & 1 for code in codes])
    return True


def _step_closed(
    state: State, window: Window | None, kind: int, seq: int, at: int, took: int, count: int
) -> int:
    if kind == _IGNORED:
        state.ignored += count
        return _NO_RULE
    # Products instead of branches, of which a processor guesses many wrong in an outage.
    failed = kind == _FAILED
    state.failed += count * failed
    state.succeeded += count * (not failed)
    state.consecutive_failures = (state.consecutive_failures + 1) * failed
    threshold = state.rules.failure_threshold
    if threshold:
        if failed:
            _note_failure(state, seq)
            if state.consecutive_failures >= threshold:
                return _CONSECUTIVE_FAILURES
        elif state.failure_seqs is not None:
            state.failure_seqs.length = 0
    if window is None:
        return _NO_RULE
    return _add(window, seq, at, count, failed, took > state.rules.slow_ns)


def _note_failure(state: State, seq: int) -> None:
    if state.failure_seqs is None:
        state.failure_seqs = Ring(1)
    seqs = state.failure_seqs
    # Of so many, the first and the last are enough.
    if seqs.length > 1 and state.rules.failure_threshold > _MAX_SEQS:
        place = _last(seqs)
    else:
        place = _pushed(seqs)
    seqs.items[place] = seq


def _count(state: State, kind: int, count: int) -> None:
    if kind == _SUCCEEDED:
        state.succeeded += count
    elif kind == _FAILED:
        state.failed += count
    else:
        state.ignored += count


# Where it is half-open.


def _admit(state: State, at: int, epoch: int, probe: int) -> int:
    if state.where != _HALF_OPEN or epoch != state.epoch:
        return _ADMITS_NO_PROBE
    if not may_probe(state):
        return _NO_PLACE_FOR_A_PROBE
    reclosing = state.reclosing
    assert reclosing is not None  # as there is a place in it
    if probe != reclosing.probes_admitted + 1:
        return _WRONG_PROBE_NUMBER
    reclosing.probes_admitted += 1
    if reclosing.probes is None:
        reclosing.probes = Ring(2)
    probes = reclosing.probes
    place = _pushed(probes)
    probes.items[place] = probe
    probes.items[place + 1] = at
    _set_half_open_deadline(state)
    return _NO_RULE


def _index_of(state: State, probe: int) -> int:
    """Which item is that of a probe under way, from the oldest on; -1 if it is none of them."""
    reclosing = state.reclosing
    if reclosing is None:
        return -1
    probes = reclosing.probes
    if probes is None:
        return -1
    low = 0
    high = probes.length
    while low < high:
        middle = (low + high) // 2
        if probes.items[_place(probes, middle)] < probe:
            low = middle + 1
        else:
            high = middle
    if low == probes.length:
        return -1
    place = _place(probes, low)
    if probes.items[place] != probe or probes.items[place + 1] < 0:
        return -1
    return low


def _remove(probes: Ring, index: int) -> None:
    """Take a probe off those under way; O(1) amortised."""
    place = _place(probes, index)
    probes.items[place + 1] = -1
    probes.removed += 1
    _drop_removed(probes)


def _drop_removed(probes: Ring) -> None:
    """Have the oldest probe be one under way, and most of the others too."""
    while probes.length and probes.items[probes.first * 2 + 1] < 0:
        _popped(probes)
        probes.removed -= 1
    if probes.removed * 2 <= probes.length:
        return
    kept = 0
    for index in range(probes.length):
        place = _place(probes, index)
        if probes.items[place + 1] >= 0:
            to = _place(probes, kept)
            probes.items[to] = probes.items[place]
            probes.items[to + 1] = probes.items[place + 1]
            kept += 1
    probes.length = kept
    probes.removed = 0


def _step_half_open(
    state: State, kind: int, seq: int, at: int, took: int, probe: int, count: int
) -> int:
    index = _index_of(state, probe)
    if index < 0:
        state.stale += count
        return _NO_RULE
    reclosing = state.reclosing
    assert reclosing is not None
    assert reclosing.probes is not None
    _remove(reclosing.probes, index)
    _count(state, kind, count)
    rule = _NO_RULE
    if kind == _SUCCEEDED:
        if reclosing.probe_seqs is None:
            reclosing.probe_seqs = Ring(1)
        place = _pushed(reclosing.probe_seqs)
        reclosing.probe_seqs.items[place] = seq
    if kind != _IGNORED:
        rule = _judge(state, kind, seq, at, took)
    if not rule:
        _set_half_open_deadline(state)
    return rule


def _judge(state: State, kind: int, seq: int, at: int, took: int) -> int:
    """What a probe that has ended leads to."""
    reclosing = state.reclosing
    assert reclosing is not None
    window = reclosing.probe_window
    if window is not None:
        rule = _add(window, seq, at, 1, kind == _FAILED, took > state.rules.slow_ns)
        if rule == _NO_RULE and window.calls >= window.thresholds.needed:
            return _PROBE_WINDOW
        return rule
    if kind == _FAILED:
        return _PROBE_FAILED
    assert reclosing.probe_seqs is not None
    if reclosing.probe_seqs.length >= state.rules.success_threshold:
        return _PROBE_SUCCESSES
    return _NO_RULE


def _is_probe_overdue(state: State) -> bool:
    """Whether it is the oldest probe that is due at the deadline, and not the half-open time-out."""
    reclosing = state.reclosing
    if reclosing is None:
        return False
    probes = reclosing.probes
    if probes is None or probes.length == 0:
        return False
    began_at = probes.items[probes.first * 2 + 1]
    return began_at + state.rules.probe_timeout_ns == state.deadline


def _expire_probe(state: State, seq: int, at: int) -> int:
    """Count the oldest probe as failed, as it has not reported in time."""
    reclosing = state.reclosing
    assert reclosing is not None
    probes = reclosing.probes
    assert probes is not None
    place = _popped(probes)
    reclosing.waited = at - probes.items[place + 1]
    _drop_removed(probes)
    if reclosing.probe_window is None:
        return _PROBE_TIMEOUT
    rule = _judge(state, _FAILED, seq, at, state.rules.probe_timeout_ns)
    if not rule:
        _set_half_open_deadline(state)
    return rule


def _set_half_open_deadline(state: State) -> None:
    """When the first probe under way, or the half-open state itself, takes too long."""
    reclosing = state.reclosing
    assert reclosing is not None
    state.deadline = _NEVER
    if state.rules.half_open_timeout_ns != _NEVER:
        state.deadline = reclosing.half_open_at + state.rules.half_open_timeout_ns
    probes = reclosing.probes
    if probes is not None and probes.length:
        overdue_at = probes.items[probes.first * 2 + 1] + state.rules.probe_timeout_ns
        state.deadline = min(state.deadline, overdue_at)


# Calls whose starts and ends are known, as those of imported traffic are.

_UNKNOWN = 3
UNKNOWN = _UNKNOWN
_ASKS_OUTCOME = -5
_ASKS_WINDOW = -6
_IS_DUE = -7
_ASKS_ALL = -8
ASKS_OUTCOME, ASKS_WINDOW, IS_DUE, ASKS_ALL = (_ASKS_OUTCOME, _ASKS_WINDOW, _IS_DUE, _ASKS_ALL)
_BLOCK = 2048  # so many calls at a time, that the columns beside theirs stay in the nearest cache
_FEW = 64
_NUMBERS = array("q", range(_BLOCK))
_ZEROS = array("q", (0,)) * _BLOCK
_ONES = array("q", (1,)) * _BLOCK


class CallColumns:
    """The calls of one breaker, as columns of equal length.

    A call has a number in the order of the starts, and a place in the order of the ends.

    Args:
        starts: When each started, by its number.
        ended_before: How many have ended before each starts, by its number.
        by_end: The number of each, by its place.
        ends, tooks: When it ended and how long it took, by its place.
        outcomes: How it ended, by its place: ``SUCCEEDED``, ``FAILED``, ``IGNORED`` or
            ``UNKNOWN``, of 8 bits; all others are of 64.
    """

    __slots__ = ("by_end", "ended_before", "ends", "outcomes", "size", "starts", "tooks")

    def __init__(
        self,
        starts: Buffer,
        ended_before: Buffer,
        by_end: Buffer,
        ends: Buffer,
        tooks: Buffer,
        outcomes: Buffer,
    ) -> None:
        self.starts = memoryview(starts)
        self.ended_before = memoryview(ended_before)
        self.by_end = memoryview(by_end)
        self.ends = memoryview(ends)
        self.tooks = memoryview(tooks)
        self.outcomes = memoryview(outcomes)
        self.size = len(starts)


class Progress:
    """How far a breaker has come in its calls.

    Args:
        calls: The calls.
        is_shadow: Whether rejected calls are made all the same, so that their ends are noticed.
        is_shared: Whether to stop where a deadline is due, since others may notice that before.

    Attributes:
        number, place: The next start and the next end to be looked at; of a closed breaker ``number``
            is right where a rule has fired.
        at: When the rule fired, or when the start or end is at which ``simulate`` has stopped.
        epoch: The epoch of the state when it was last looked at.
        since: The number of the first call that starts in this epoch.
        before: How many calls that started before that have not been passed by ``place``.
        rejected: Each range of calls that were rejected: its first number, and the one after its last.
        probes: The number of each call of this epoch that was let through as a probe.
        lower, upper: The window of a closed breaker while it holds unknown outcomes: as if each
            had been a quick success, and as if each had been a slow failure; else None.
    """

    __slots__ = (
        "at",
        "before",
        "calls",
        "dated",
        "epoch",
        "epochs",
        "is_shadow",
        "is_shared",
        "lower",
        "number",
        "place",
        "probes",
        "rejected",
        "rows",
        "since",
        "upper",
    )
    epochs: memoryview  # of ``rows``

    def __init__(
        self, calls: CallColumns, is_shadow: bool = False, is_shared: bool = False
    ) -> None:
        self.calls = calls
        self.is_shadow = is_shadow
        self.is_shared = is_shared
        self.number = 0
        self.place = 0
        self.at = 0
        self.epoch = -1
        self.since = 0
        self.before = 0
        self.rejected = Ring(2)
        self.probes = Ring(1)
        self.lower: Window | None = None
        self.upper: Window | None = None
        self.rows: Rows | None = None
        self.dated = 0

    def copy(self) -> Progress:
        """The same progress, to go on apart from this one."""
        other = Progress(self.calls, self.is_shadow, self.is_shared)
        other.number = self.number
        other.place = self.place
        other.at = self.at
        other.epoch = self.epoch
        other.since = self.since
        other.before = self.before
        other.rejected = self.rejected.copy()
        other.probes = self.probes.copy()
        other.lower = None if self.lower is None else self.lower.copy()
        other.upper = None if self.upper is None else self.upper.copy()
        return other


def simulate(state: State, progress: Progress) -> int:
    """Ask at each call's start and report at its end, until a rule fires.

    Calls go in the order of time: at one instant ends before starts, except that a call without
    duration ends right after its own start.

    Args:
        state: The state, which is changed.
        progress: How far it has come, which is changed.

    Returns:
        The rule that fired, at ``progress.at``; after its edge it goes on where it has stopped.
        ``NO_RULE`` where the calls are at their end. ``ASKS_OUTCOME`` where it counts whether a call
        of unknown outcome failed, ``ASKS_ALL`` where it counts too whether it was slow, and
        ``ASKS_WINDOW`` where unknown outcomes in the window decide; then ``suppose`` says how it
        was. ``IS_DUE`` at a start or end that finds the deadline passed, where the breaker
        ``is_shared``.
    """
    if progress.epoch != state.epoch:
        progress.epoch = state.epoch
        progress.since = progress.number
        progress.before = progress.number - progress.place
        progress.probes.clear()
        progress.lower = None
        progress.upper = None
        progress.dated = 0
    state.fired = _NO_RULE
    if state.where == _CLOSED:
        return _simulate_closed(state, progress)
    return _simulate_not_closed(state, progress)


def suppose(state: State, progress: Progress, failed: bool, slow: bool) -> int:
    """Take the unknown outcome at which ``simulate`` has stopped to be so.

    Args:
        state: The state, which is changed.
        progress: How far it has come, which is changed.
        failed: Whether the call failed.
        slow: Whether it was slow; in the window of a closed breaker that stays unknown.

    Returns:
        The rule that fires then, ``NO_RULE`` or ``ASKS_WINDOW``.
    """
    calls = progress.calls
    place = progress.place
    kind = _FAILED if failed else _SUCCEEDED
    progress.at = calls.ends[place]
    progress.place = place + 1
    if state.where == _HALF_OPEN:
        took = _NEVER if slow else 0
        probe = _probe_of(progress, calls.by_end[place])
        return step(state, kind, place, progress.at, took, state.epoch, probe, 1)
    if progress.lower is None and state.window is not None:
        progress.lower = state.window
        progress.upper = state.window.copy()
        state.window = None
    rule = _step_closed(state, None, kind, place, progress.at, 0, 1)
    if rule == _NO_RULE and progress.lower is not None and progress.upper is not None:
        rule = _add(progress.lower, place, progress.at, 1, False, False)
        if _add(progress.upper, place, progress.at, 1, True, True) and not rule:
            rule = _ASKS_WINDOW
    if rule:
        progress.number = _started_before(calls, place)
    return rule


def is_let_through(progress: Progress, call: int) -> bool:
    """Whether a call that has started, in this epoch or one before, was let through."""
    if progress.is_shadow:
        return True
    ranges = progress.rejected
    low = 0
    high = ranges.length
    while low < high:
        middle = (low + high) // 2
        if ranges.items[_place(ranges, middle) + 1] <= call:
            low = middle + 1
        else:
            high = middle
    return low == ranges.length or call < ranges.items[_place(ranges, low)]


def forget_rejected(progress: Progress, number: int) -> None:
    """Drop the ranges of rejected calls before ``number``, all of which have ended."""
    ranges = progress.rejected
    while ranges.length and ranges.items[_place(ranges, 0) + 1] <= number:
        _popped(ranges)


def _probe_of(progress: Progress, call: int) -> int:
    """Which probe of this epoch a call is; 0 if it is none."""
    probes = progress.probes
    low = 0
    high = probes.length
    while low < high:
        middle = (low + high) // 2
        if probes.items[_place(probes, middle)] < call:
            low = middle + 1
        else:
            high = middle
    if low == probes.length or probes.items[_place(probes, low)] != call:
        return 0
    return low + 1


def _reject_until(progress: Progress, number: int) -> None:
    """Reject the calls from the next one up to ``number``."""
    ranges = progress.rejected
    if ranges.length and ranges.items[_last(ranges) + 1] == progress.number:
        ranges.items[_last(ranges) + 1] = number
    elif number > progress.number:
        place = _pushed(ranges)
        ranges.items[place] = progress.number
        ranges.items[place + 1] = number
    progress.number = number


def _first_from(times: Column, start: int, size: int, at: int) -> int:
    """The first of ``size`` ascending times, from ``start`` on, that is ``at`` or later.

    The nearer it is, the sooner it is found.
    """
    width = 1
    low = start
    while low + width <= size and times[low + width - 1] < at:
        low += width
        width *= 2
    high = min(size, low + width - 1)
    while low < high:
        middle = (low + high) // 2
        if times[middle] < at:
            low = middle + 1
        else:
            high = middle
    return low


def _started_before(calls: CallColumns, place: int) -> int:
    """How many calls have started before the one at ``place`` ends."""
    return _first_from(calls.ended_before, place + 1, calls.size, place + 1)


def _simulate_closed(state: State, progress: Progress) -> int:
    calls = progress.calls
    while progress.place < calls.size:
        stop = _end_of_stretch(progress)
        place = progress.place
        if place == stop:
            continue
        if progress.lower is not None or state.is_disabled:
            place = _report_singly(state, progress, stop)
        else:
            place += _run_closed(state, _rows_of(progress, stop), 0, stop - place)
        progress.place = place
        if state.fired:
            progress.at = calls.ends[place]
            progress.number = _started_before(calls, place)
            progress.place = place + 1
            return state.fired
        if place < stop and calls.outcomes[place] == _UNKNOWN:
            if state.rules.failure_threshold:
                progress.rows = None  # it may wait among many others
                progress.dated = 0
                return _ASKS_OUTCOME
            state.fired = suppose(state, progress, False, False)
            if state.fired:
                return state.fired
    progress.number = calls.size
    return _NO_RULE


def _end_of_stretch(progress: Progress) -> int:
    """The place up to which the next ends are all of calls of this epoch.

    Calls that started before it were rejected, or it is too late for their outcome: such ends are
    passed.
    """
    calls = progress.calls
    place = progress.place
    stop = min(calls.size, place + max(_FEW, min(_BLOCK, 2 * progress.dated)))
    if progress.before == 0:
        return stop
    while place < stop and calls.by_end[place] < progress.since:
        place += 1
    progress.before -= place - progress.place
    progress.place = place
    while place < stop and calls.by_end[place] >= progress.since:
        place += 1
    return place


def _rows_of(progress: Progress, stop: int) -> Rows:
    """The ends from the next one up to ``stop``, as events of this epoch."""
    calls = progress.calls
    place = progress.place
    rows = progress.rows
    if rows is None:
        progress.epochs = memoryview(array("q", (0,)) * _BLOCK)
        rows = Rows(b"", _NUMBERS, _ZEROS, _ZEROS, progress.epochs, _ZEROS, _ONES)
        progress.rows = rows
    while progress.dated < stop - place:
        progress.epochs[progress.dated] = progress.epoch
        progress.dated += 1
    rows.kind = calls.outcomes[place:stop]
    rows.at = calls.ends[place:stop]
    rows.took = calls.tooks[place:stop]
    return rows


def _report_singly(state: State, progress: Progress, stop: int) -> int:
    """Report the next outcomes, which are of this epoch, one by one.

    Returns:
        The place up to ``stop`` at which a rule fires, an outcome is unknown, or from which the
        window holds no unknown outcome any more.
    """
    calls = progress.calls
    for place in range(progress.place, stop):
        kind = calls.outcomes[place]
        at = calls.ends[place]
        took = calls.tooks[place]
        if state.is_disabled:
            step(state, kind, place, at, took, state.epoch, 0, 1)
            continue
        if kind == _UNKNOWN:
            return place
        state.fired = _step_closed(state, None, kind, place, at, took, 1)
        if state.fired == _NO_RULE and kind != _IGNORED:
            state.fired = _add_to_both(
                state, progress.lower, progress.upper, at, kind == _FAILED, took
            )
            if state.window is not None:
                progress.lower = None
                progress.upper = None
        if state.fired:
            return place
        if progress.lower is None:
            return place + 1
    return stop


def _add_to_both(
    state: State, lower: Window | None, upper: Window | None, at: int, failed: bool, took: int
) -> int:
    """Take a known outcome into a window that holds unknown ones; the rule, or ``ASKS_WINDOW``.

    ``state.window`` is set where it holds none any more.
    """
    if lower is None or upper is None:
        return _NO_RULE
    limits = lower.thresholds
    slow = took > state.rules.slow_ns
    before = lower.calls
    rule = _add(lower, 0, at, 1, failed, slow)
    is_possible = _add(upper, 0, at, 1, failed, slow) != _NO_RULE
    if rule:
        return rule
    if lower.failures == upper.failures and lower.slow == upper.slow:
        state.window = lower
        return _NO_RULE
    if not is_possible:
        return _NO_RULE
    # The outcome before has not tripped it, however the unknown ones were. After that a number has
    # risen only if this one is bad, and a share only if it completes the minimum as well, or lets
    # older ones go.
    is_bad = failed or (slow and limits.slow_den != 0)
    lets_go = limits.is_timed and lower.calls != before + 1
    if is_bad or (lower.calls >= limits.needed and (before < limits.needed or lets_go)):
        return _ASKS_WINDOW
    return _NO_RULE


def _simulate_not_closed(state: State, progress: Progress) -> int:
    calls = progress.calls
    while True:
        if state.where == _OPEN:
            _pass_cooldown(state, progress)
        if progress.place == calls.size and progress.number == calls.size:
            return _NO_RULE
        is_end = _is_end_next(progress)
        if is_end:
            progress.at = calls.ends[progress.place]
            if not _is_noticed(state, progress):
                progress.place += 1
                continue
        else:
            progress.at = calls.starts[progress.number]
        if progress.at >= state.deadline:
            state.fired = _IS_DUE
            if not progress.is_shared:
                state.fired = advance(state, progress.place, progress.at)
            if state.fired:
                return state.fired
        state.fired = _end(state, progress) if is_end else _start(state, progress)
        if state.fired:
            return state.fired


def _is_end_next(progress: Progress) -> bool:
    """Whether the next end comes before the next start; there is one of either."""
    calls = progress.calls
    if progress.number == calls.size:
        return True
    return progress.place < calls.size and progress.place < calls.ended_before[progress.number]


def _is_noticed(state: State, progress: Progress) -> bool:
    """Whether the next end can change anything: a probe's, or one that finds a deadline passed."""
    call = progress.calls.by_end[progress.place]
    if call < progress.since and progress.at < state.deadline:
        return False
    return is_let_through(progress, call)


def _pass_cooldown(state: State, progress: Progress) -> None:
    """Go on to the first start and the first end that find the cooldown passed."""
    calls = progress.calls
    number = _first_from(calls.starts, progress.number, calls.size, state.deadline)
    place = _first_from(calls.ends, progress.place, calls.size, state.deadline)
    if number < calls.size:
        place = min(place, calls.ended_before[number])
    _reject_until(progress, number)
    progress.place = place


def _start(state: State, progress: Progress) -> int:
    """Ask for the next call, after all that is due."""
    calls = progress.calls
    number = progress.number
    if decide(state) == _PROBE:
        probe = state.probes_admitted + 1
        step(state, _ADMITTED, number, progress.at, 0, state.epoch, probe, 1)
        place = _pushed(progress.probes)
        progress.probes.items[place] = number
        progress.number = number + 1
    else:
        # Until the next end or the deadline every start is answered alike.
        number += 1
        while (
            number < calls.size
            and calls.ended_before[number] <= progress.place
            and calls.starts[number] < state.deadline
        ):
            number += 1
        _reject_until(progress, number)
    return _NO_RULE


def _end(state: State, progress: Progress) -> int:
    """Report the next call, which was let through, after all that is due."""
    calls = progress.calls
    place = progress.place
    call = calls.by_end[place]
    kind = calls.outcomes[place]
    if call >= progress.since:
        probe = _probe_of(progress, call)
        if kind != _UNKNOWN:
            progress.place += 1
            took = calls.tooks[place]
            return step(state, kind, place, progress.at, took, state.epoch, probe, 1)
        if _index_of(state, probe) >= 0:
            window = state.probe_window
            can_be_slow = window is not None and window.thresholds.slow_den != 0
            return _ASKS_ALL if can_be_slow else _ASKS_OUTCOME
    progress.place += 1
    return _NO_RULE


# States that branch.


def assume(state: State, other: State) -> None:
    """Make a state the same as another, with which it shares nothing that changes."""
    state.rules = other.rules
    state.is_disabled = other.is_disabled
    state.where = other.where
    state.epoch = other.epoch
    state.is_shadow = other.is_shadow
    state.deadline = other.deadline
    state.consecutive_failures = other.consecutive_failures
    state.failure_seqs = None if other.failure_seqs is None else other.failure_seqs.copy()
    state.window = None if other.window is None else other.window.copy()
    state.reclosing = None if other.reclosing is None else other.reclosing.copy()
    state.fired = other.fired
    state.is_timed = other.is_timed
    state.succeeded = other.succeeded
    state.failed = other.failed
    state.ignored = other.ignored
    state.rejected = other.rejected
    state.stale = other.stale


def key_of(state: State) -> tuple[object, ...]:
    """What two states of the same rules must agree in, to decide alike from here on."""
    return (
        state.where,
        state.deadline,
        state.consecutive_failures if state.rules.failure_threshold else 0,
        window_key_of(state.window),
        None if state.reclosing is None else _reclosing_key(state.reclosing, state.rules),
    )


def _reclosing_key(reclosing: Reclosing, rules: Rules) -> tuple[object, ...]:
    probes = reclosing.probes
    has_timeout = rules.half_open_timeout_ns != _NEVER
    return (
        reclosing.is_forced,
        reclosing.half_open_at if has_timeout else -1,
        () if probes is None else tuple(probes.to_list()[1::2]),
        0 if reclosing.probe_seqs is None else reclosing.probe_seqs.length,
        window_key_of(reclosing.probe_window),
    )


def window_key_of(window: Window | None) -> tuple[object, ...] | None:
    """What two windows of the same thresholds must agree in, to decide alike from here on."""
    if window is None:
        return None
    if window.thresholds.is_timed:
        numbers = window.to_list()
        ends = range(_BUCKET, len(numbers) + 1, _BUCKET)
        return tuple([(numbers[end - _BUCKET], *numbers[end - 3 : end]) for end in ends])
    codes: list[int] = []
    for entry in window.to_data():
        code, count = (entry, 1) if isinstance(entry, int) else entry
        codes += [code & 3] * count
    return tuple(codes)
