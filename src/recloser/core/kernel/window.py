# cython: language_level=3, annotation_typing=False, freethreading_compatible=True
# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Windows: the last outcomes of a breaker, or those of its last seconds, and their counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from recloser.core.kernel.ring import Ring
from recloser.core.kernel.thresholds import Thresholds

if TYPE_CHECKING:
    import cython  # by this line the compiler knows the name; it is never run
else:
    from recloser.core import interpreted as cython

if not cython.compiled:  # compiled code has these as C, from the .pxd files
    from recloser.core.kernel.codes import BUCKET, GROUP, NEVER, NO_RULE, SECOND
    from recloser.core.kernel.ring import (
        copy_items,
        last_position,
        pop_item,
        position_of,
        push_item,
        set_up_ring,
    )
    from recloser.core.kernel.thresholds import rule_reached


class Window(Ring):
    """Outcomes in a window, and how many of them failed or were slow.

    A window of outcomes stores each as its code, ``seq << 2 | failed << 1 | slow``. Several outcomes
    of one event are a group: their count plus ``GROUP``, followed by their code. A window of seconds
    stores a bucket for each whole second that has outcomes: the second, the ``seq`` of its first and
    last outcome, and how many calls, failures and slow calls there were.

    Attributes:
        thresholds: Its size, and the numbers at which a rule fires.
        calls, failures, slow: How many outcomes are in it, and how many of them failed or were slow.
    """

    __slots__ = ("calls", "failures", "slow", "thresholds")

    def __init__(self, thresholds: Thresholds) -> None:
        if thresholds.is_timed:
            set_up_ring(self, BUCKET, NEVER)
        else:
            set_up_ring(self, 1, thresholds.size)
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
        copy_items(self, other)
        return other

    def span(self) -> tuple[int, int]:
        """The ``seq`` of the first and of the last outcome; the window must not be empty."""
        first = position_of(self, 0)
        last = last_position(self)
        if self.thresholds.is_timed:
            return self.items[first + 1], self.items[last + 2]
        if self.items[first] >= GROUP:
            first = position_of(self, 1)
        return self.items[first] >> 2, self.items[last] >> 2

    def to_data(self) -> list[int | list[int]]:
        """The content of the window as a checkpoint stores it.

        Returns:
            A window of seconds: each bucket. A window of outcomes: the code of each outcome; a group
            is a pair of the code and its count.
        """
        numbers = self.to_list()
        if self.thresholds.is_timed:
            return [numbers[start : start + BUCKET] for start in range(0, len(numbers), BUCKET)]
        rest = iter(numbers)
        return [code if code < GROUP else [next(rest), code - GROUP] for code in rest]

    def restore(self, data: Iterable[int | Sequence[int]]) -> None:
        """Fill an empty window with what ``to_data`` returned.

        Raises:
            ValueError: There are more outcomes than a window of this size holds.
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


def add_outcomes(window: Window, seq: int, at: int, count: int, failed: bool, slow: bool) -> int:
    """Add ``count`` equal outcomes of one event, and drop those that are too old then.

    Args:
        window: The window, which is changed.
        seq: Number of the event in the log.
        at: Time of the event, in nanoseconds of the log.
        count: How many outcomes the event stands for; nothing is added below 1.
        failed: Whether the calls failed.
        slow: Whether the calls were slow.

    Returns:
        The first rule that the outcomes in the window make fire, or ``NO_RULE``.
    """
    if count < 1:
        return NO_RULE
    if window.thresholds.is_timed:
        _add_timed(window, seq, at, count, failed, slow)
    else:
        _add_counted(window, seq, count, failed, slow)
    return rule_reached(window.thresholds, window.calls, window.failures, window.slow)


def _add_counted(window: Window, seq: int, count: int, failed: bool, slow: bool) -> None:
    code = seq << 2 | failed << 1 | slow
    size = window.thresholds.size
    count = min(count, size)
    surplus = window.calls + count - size
    if surplus > 0:
        _drop_oldest(window, surplus)
    window.calls += count
    window.failures += count * failed
    window.slow += count * slow
    # No more numbers are stored than there are outcomes, so they always fit.
    if window.length and window.items[last_position(window)] == code:
        _add_to_newest(window, code, count)
    else:
        if count > 1:
            position = push_item(window)
            window.items[position] = GROUP + count
        position = push_item(window)
        window.items[position] = code


def _add_to_newest(window: Window, code: int, count: int) -> None:
    """Add more outcomes of the newest event, such as several probes that it finds overdue."""
    position = (
        position_of(window, window.length - 2) if window.length > 1 else last_position(window)
    )
    if window.items[position] >= GROUP:
        window.items[position] += count
    else:
        window.items[last_position(window)] = GROUP + 1 + count
        position = push_item(window)
        window.items[position] = code


def _drop_oldest(window: Window, count: int) -> None:
    """Drop the ``count`` oldest outcomes; the window must hold as many."""
    failures = 0
    slow = 0
    window.calls -= count
    while count:
        position = pop_item(window)
        code = window.items[position]
        dropped = 1
        if code >= GROUP:
            in_group = code - GROUP
            dropped = min(count, in_group)
            code = window.items[window.first]
            if in_group - dropped > 1:
                window.items[position] -= dropped
                window.first = position
                window.length += 1
            elif in_group == dropped:
                pop_item(window)  # the code; where one outcome is left, it stays by itself
        count -= dropped
        failures += dropped * (code >> 1 & 1)
        slow += dropped * (code & 1)
    window.failures -= failures
    window.slow -= slow


def _add_timed(window: Window, seq: int, at: int, count: int, failed: bool, slow: bool) -> None:
    if not _is_in_newest_second(window, at):
        _begin_second(window, seq, at // SECOND)
    add_to_second(window, seq, count, count * failed, count * slow)


def add_to_second(window: Window, seq: int, count: int, failures: int, slow: int) -> None:
    """Add outcomes, the last of which has this ``seq``, to the newest second of a window."""
    position = last_position(window)
    items = window.items
    items[position + 2] = seq
    items[position + 3] += count
    items[position + 4] += failures
    items[position + 5] += slow
    window.calls += count
    window.failures += failures
    window.slow += slow


def _is_in_newest_second(window: Window, at: int) -> bool:
    if window.length == 0:
        return False
    since = at - window.items[last_position(window)] * SECOND
    return 0 <= since < SECOND


def _begin_second(window: Window, seq: int, second: int) -> None:
    """Append an empty bucket, and drop the buckets that are too old then."""
    oldest_kept = second - window.thresholds.size + 1
    while window.length and window.items[window.first * BUCKET] < oldest_kept:
        position = pop_item(window)
        window.calls -= window.items[position + 3]
        window.failures -= window.items[position + 4]
        window.slow -= window.items[position + 5]
    position = push_item(window)
    items = window.items
    items[position] = second
    items[position + 1] = seq
    items[position + 3] = 0
    items[position + 4] = 0
    items[position + 5] = 0


def keeps_until(window: Window) -> int:
    """The time of the log before which no outcome gets too old that is not too old now.

    Returns:
        Nanoseconds of the log; ``NEVER`` for a window of outcomes, 0 for an empty one of seconds.
    """
    if not window.thresholds.is_timed:
        return NEVER
    if window.length == 0:
        return 0
    return (window.items[last_position(window)] + 1) * SECOND
