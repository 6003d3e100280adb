"""What a window holds, as data for a checkpoint and back."""

from collections.abc import Sequence
from itertools import groupby
from typing import Annotated, TypeAlias

import msgspec

from recloser.core.kernel import Thresholds, Window
from recloser.limits import MAX_WHOLE

WindowData: TypeAlias = Sequence[int | Sequence[int]]

_Whole = Annotated[int, msgspec.Meta(ge=0, le=MAX_WHOLE)]
_Count = Annotated[int, msgspec.Meta(ge=1, le=MAX_WHOLE)]
_Bucket = tuple[_Whole, _Whole, _Whole, _Whole, _Whole, _Whole]


def window_data(window: Window) -> WindowData:
    """What a window holds: each bucket, or the code of each outcome; of like ones once, with how many."""
    numbers = window.ring.to_list()
    if window.thresholds.is_timed:
        return [numbers[first : first + 6] for first in range(0, len(numbers), 6)]
    data: list[int | list[int]] = []
    for code, alike in groupby(numbers):
        count = sum(1 for _ in alike)
        data.append(code if count == 1 else [code, count])
    return data


def entries_of(window: Window) -> int:
    """How many entries a window takes memory for."""
    return window.ring.length


def restored_window(thresholds: Thresholds, data: object) -> Window:
    """The window that ``window_data`` was made of.

    Raises:
        msgspec.ValidationError: It was made of no such window.
    """
    window = Window(thresholds)
    if thresholds.is_timed:
        buckets = msgspec.convert(data, list[_Bucket])
        window.ring.extend([number for bucket in buckets for number in bucket])
        window.calls = sum(bucket[3] for bucket in buckets)
        window.failures = sum(bucket[4] for bucket in buckets)
        window.slow = sum(bucket[5] for bucket in buckets)
        return window
    entries = msgspec.convert(data, list[object])
    # msgspec 0.23 crashes on a union of a number and a pair that both have bounds.
    pairs = [(entry, 1) if type(entry) is int else entry for entry in entries]
    outcomes = msgspec.convert(pairs, list[tuple[_Whole, _Count]])
    calls = sum(count for _, count in outcomes)
    if calls > thresholds.size:
        raise msgspec.ValidationError(f"{calls} outcomes in a window of {thresholds.size}")
    codes = [code for code, count in outcomes for _ in range(count)]
    window.ring.extend(codes)
    window.calls = len(codes)
    window.failures = sum(code >> 1 & 1 for code in codes)
    window.slow = sum(code & 1 for code in codes)
    return window
