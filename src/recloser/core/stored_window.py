"""Restores a window from the data of a checkpoint, which is checked first."""

from typing import Annotated

import msgspec

from recloser.core.kernel import Thresholds, Window
from recloser.core.limits import LAST_COUNTER, MAX_AT, MAX_COUNT, MAX_SEQ

_NS_PER_SECOND = 1_000_000_000
_Code = Annotated[int, msgspec.Meta(ge=0, le=MAX_SEQ << 2 | 3)]
_Seq = Annotated[int, msgspec.Meta(ge=0, le=MAX_SEQ)]
_Second = Annotated[int, msgspec.Meta(ge=0, le=MAX_AT // _NS_PER_SECOND)]
_Count = Annotated[int, msgspec.Meta(ge=1, le=MAX_COUNT)]
_Calls = Annotated[int, msgspec.Meta(ge=0, le=LAST_COUNTER)]
_Bucket = tuple[_Second, _Seq, _Seq, _Calls, _Calls, _Calls]


def restored_window(thresholds: Thresholds, data: object) -> Window:
    """Make a window from data that ``Window.to_data`` returned.

    Args:
        thresholds: Thresholds of the window.
        data: The data, as it was read from a checkpoint.

    Raises:
        ValueError: The data does not fit a window of these thresholds.
    """
    window = Window(thresholds)
    if thresholds.is_timed:
        buckets = msgspec.convert(data, list[_Bucket])
        if sum(bucket[3] for bucket in buckets) > LAST_COUNTER:
            raise ValueError("more outcomes in a window than a log can have")
        if any(max(failures, slow) > calls for _, _, _, calls, failures, slow in buckets):
            raise ValueError("a second of a window has more failures or slow calls than calls")
        window.restore(buckets)
        return window
    entries = msgspec.convert(data, list[object])
    if set(map(type, entries)) <= {int}:
        window.restore(msgspec.convert(data, list[_Code]))
        return window
    # Not as list[_Code | tuple[_Code, _Count]]: msgspec 0.23 crashes on such a union with bounds.
    pairs = [(entry, 1) if type(entry) is int else entry for entry in entries]
    window.restore(msgspec.convert(pairs, list[tuple[_Code, _Count]]))
    return window
