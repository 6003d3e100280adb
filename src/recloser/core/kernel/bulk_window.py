# cython: language_level=3, annotation_typing=False, freethreading_compatible=True
# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Many single outcomes added to a window at once, as far as they surely make no rule fire.

This is what makes replay fast. The result is the same as that of ``window.add_outcomes`` for each
row in turn; a row at which a rule might fire is left to that function.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from recloser.core.kernel.rows import Rows
from recloser.core.kernel.thresholds import Thresholds
from recloser.core.kernel.window import Window

if TYPE_CHECKING:
    import cython  # by this line the compiler knows the name; it is never run
else:
    from recloser.core import interpreted as cython

if not cython.compiled:  # compiled code has these as C, from the .pxd files
    from recloser.core.kernel.codes import GROUP, NEVER
    from recloser.core.kernel.ring import store_in
    from recloser.core.kernel.rows import count_failures, count_slow
    from recloser.core.kernel.thresholds import rule_reached
    from recloser.core.kernel.window import add_to_second


def add_singles(
    window: Window, rows: Rows, start: int, stop: int, failures: int, slow_ns: int
) -> int:
    """Add single outcomes to a window as far as they surely make no rule fire.

    They make none fire if even all failures, or all slow calls, would not without the other calls.

    Args:
        window: The window, which is changed.
        rows: Rows that each are one success or failure of this epoch; in a window of seconds they
            all fall into the newest one.
        start: The first row; there is at least one.
        stop: One past the last row.
        failures: How many of the rows are failures.
        slow_ns: A call that took longer is slow, in nanoseconds.

    Returns:
        The row after those that were added.
    """
    thresholds = window.thresholds
    size = thresholds.size
    max_calls = NEVER if thresholds.is_timed else size
    slow = count_slow(rows, start, stop, slow_ns)
    max_failures = NEVER
    max_slow = NEVER
    while rule_reached(
        thresholds,
        min(max(window.calls + failures, thresholds.needed), max_calls),
        window.failures + failures,
        0,
    ) or rule_reached(
        thresholds,
        min(max(window.calls + slow, thresholds.needed), max_calls),
        0,
        window.slow + slow,
    ):
        if not thresholds.is_timed:
            calls = max(window.calls, thresholds.needed)
            max_failures = _most_without_rule(thresholds, calls, 1, 0)
            max_slow = _most_without_rule(thresholds, calls, 0, 1)
            break
        stop = start + (stop - start) // 2
        if stop == start:
            return start
        failures = count_failures(rows, start, stop)
        slow = count_slow(rows, start, stop, slow_ns)
    if thresholds.is_timed:
        add_to_second(window, rows.seq[stop - 1], stop - start, failures, slow)
        return stop
    is_short = window.calls < size or window.capacity < size or stop - start <= size
    if slow_ns != NEVER or is_short or not cython.compiled:
        return _add_codes(window, rows, start, stop, slow_ns, max_failures, max_slow)
    # There are more rows than the window holds, so only the last of them have to be stored. The
    # first ones fill the window; the loop then slides it along without storing anything.
    row = _add_codes(window, rows, start, start + size, slow_ns, max_failures, max_slow)
    if row < start + size:
        return row
    failures = window.failures
    while row < stop:
        failures += rows.kind[row] - rows.kind[row - size]
        if failures > max_failures:
            break
        row += 1
    if row - size > start:
        window.clear()
        window.calls = 0
        window.failures = 0
        _add_codes(window, rows, row - size, row, slow_ns, NEVER, NEVER)
    return row


def _most_without_rule(thresholds: Thresholds, calls: int, failed: int, slow: int) -> int:
    """The most of ``calls`` that may have failed, or been slow, without a rule firing.

    Args:
        thresholds: The thresholds.
        calls: How many calls the window holds.
        failed: 1 to count failed calls, else 0.
        slow: 1 to count slow calls, else 0.
    """
    low = -1
    high = calls + 1
    while low + 1 < high:
        middle = (low + high) // 2
        if rule_reached(thresholds, calls, middle * failed, middle * slow):
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
    max_failures: int,
    max_slow: int,
) -> int:
    """Add single outcomes to a window of outcomes until its array is full or a bound is reached.

    Returns:
        The first row that was not added: with it the window would hold more failures or slow calls
        than these bounds, or the array would have to grow, or a group would have to be dropped.
    """
    size = window.thresholds.size
    can_be_slow = slow_ns != NEVER
    is_bounded = max_failures != NEVER or max_slow != NEVER
    if not (cython.compiled or is_bounded) and _add_slices(window, rows, start, stop, slow_ns):
        return stop
    # In local variables, which compiled code keeps in registers.
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
        dropped = 0
        if calls == size:
            dropped = items[first]
        elif length == capacity:
            break
        failed = rows.kind[row]
        is_slow = can_be_slow and rows.took[row] > slow_ns
        next_failures = failures + failed - (dropped >> 1 & 1)
        next_slow = slow + is_slow - (dropped & 1)
        if dropped >= GROUP or next_failures > max_failures or next_slow > max_slow:
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


def _add_slices(window: Window, rows: Rows, start: int, stop: int, slow_ns: int) -> bool:
    """Do what ``_add_codes`` does by slices of lists, which is quicker interpreted.

    Returns:
        Whether it was done; it is not where the window holds a group.
    """
    size = window.thresholds.size
    start = max(start, stop - size)
    codes = window.to_list()
    if codes and max(codes) >= GROUP:
        return False
    columns = zip(rows.kind[start:stop], rows.seq[start:stop], rows.took[start:stop], strict=True)
    codes += [seq << 2 | kind << 1 | (took > slow_ns) for kind, seq, took in columns]
    codes = codes[-size:]
    store_in(window, array("q", codes))
    window.first = 0
    window.length = window.capacity = window.calls = len(codes)
    window.failures = sum([code >> 1 & 1 for code in codes])
    window.slow = sum([code & 1 for code in codes])
    return True
