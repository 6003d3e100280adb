"""Wall times plus and minus nanoseconds."""

from datetime import UTC, datetime, timedelta
from typing import Final

EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
LATEST: Final = datetime.max.replace(tzinfo=UTC)


def after(moment: datetime, ns: int) -> datetime:
    """The time ``ns`` nanoseconds after ``moment``, rounded down to a microsecond.

    A time before year 1 or after year 9999 becomes the first or last ``datetime`` in UTC.
    """
    try:
        return moment + timedelta(microseconds=ns // 1000)
    except OverflowError:
        return LATEST if ns > 0 else EARLIEST


def nanoseconds_between(earlier: datetime, later: datetime) -> int:
    """Nanoseconds from one time to another, negative if ``later`` is the earlier one."""
    return (later - earlier) // timedelta(microseconds=1) * 1000
