"""What a window holds, as data for a checkpoint and back."""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
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
    data = window.to_data()
    if window.thresholds.is_timed:
        return data
    # Several may be of one event: those it stands for, or probes that it found overdue.
    pairs = [(entry, 1) if isinstance(entry, int) else entry for entry in data]
    counts = [(code, sum([n for _, n in alike])) for code, alike in groupby(pairs, itemgetter(0))]
    return [code if count == 1 else [code, count] for code, count in counts]


def entries_of(window: Window) -> int:
    """How many entries a window takes memory for."""
    return window.length


def restored_window(thresholds: Thresholds, data: object) -> Window:
    """The window that ``window_data`` was made of.

    Raises:
        msgspec.ValidationError: It was made of no such window.
    """
    window = Window(thresholds)
    if thresholds.is_timed:
        window.restore(msgspec.convert(data, list[_Bucket]))
        return window
    entries = msgspec.convert(data, list[object])
    # msgspec 0.23 crashes on a union of a number and a pair that both have bounds.
    pairs = [(entry, 1) if type(entry) is int else entry for entry in entries]
    try:
        window.restore(msgspec.convert(pairs, list[tuple[_Whole, _Count]]))
    except ValueError as error:
        raise msgspec.ValidationError(str(error)) from error
    return window
