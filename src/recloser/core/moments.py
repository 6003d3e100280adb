"""Arithmetic on wall times, in nanoseconds."""

from datetime import UTC, datetime, timedelta
from typing import Final

EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
LATEST: Final = datetime.max.replace(tzinfo=UTC)


def after(moment: datetime, ns: int) -> datetime:
    """The time ``ns`` nanoseconds after ``moment``, to the microsecond that holds it.

    What no calendar holds is the last or first moment that one does.
    """
    try:
        return moment + timedelta(microseconds=ns // 1000)
    except OverflowError:
        return LATEST if ns > 0 else EARLIEST


def nanoseconds_between(earlier: datetime, later: datetime) -> int:
    """Nanoseconds from one moment to another; negative where ``later`` is the earlier one."""
    return (later - earlier) // timedelta(microseconds=1) * 1000
