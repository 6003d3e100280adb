"""Parse a time as people type it: UTC, local, or relative to the log."""

import re
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Final

from attrs import frozen

from recloser.core.validation import NS_PER_SECOND
from recloser.errors import RecloserError

_LONGEST_SEQ: Final = len("seq:") + 19
_UNITS: Final = {
    "d": 86_400 * NS_PER_SECOND,
    "h": 3_600 * NS_PER_SECOND,
    "m": 60 * NS_PER_SECOND,
    "s": NS_PER_SECOND,
    "ms": 1_000_000,
}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|[dhms])")
_RELATIVE: Final = re.compile(rf"([+-])((?:{_PART.pattern})+)(?: ago)?")
_FORMS: Final = (
    "2026-11-24T14:48:54Z, 2026-11-24 15:48 (local), 15:48:54 (local, the last one in the log), "
    "-5m (before the log's end), +1h30m (after its beginning), or seq:106"
)
_NS: Final = re.compile(r"(\.\d{6})(\d{1,3})")


@frozen
class WallTime:
    """A wall time with nanoseconds.

    Attributes:
        utc: The time in UTC, with microseconds.
        ns: The nanoseconds to add to it, 0 to 999.
    """

    utc: datetime
    ns: int


@frozen
class AfterEvent:
    """The time just after an event.

    Attributes:
        seq: The number of the event.
    """

    seq: int


def parse_time(text: str, begins: int, ends: int, last: datetime) -> WallTime | AfterEvent | int:
    """Parse a time in a log.

    Args:
        text: A date and time with a zone, or without one in local time; a local time of day, which
            means its last occurrence in the log; ``-5m`` for a time before the log's end or
            ``+1h30m`` for one after its beginning, by the log's own time; or ``seq:106`` for the
            time just after that event.
        begins: When the log begins, in nanoseconds of its time.
        ends: When the log ends, in nanoseconds of its time.
        last: When the log ends, as wall time.

    Returns:
        A wall time, the time after an event, or nanoseconds of the log's time.

    Raises:
        RecloserError: The text is none of these.
    """
    text = text.strip()
    relative = _RELATIVE.fullmatch(text)
    if relative:
        distance = sum(
            round(Decimal(number) * _UNITS[unit]) for number, unit in _PART.findall(relative[2])
        )
        return max(begins, ends - distance) if relative[1] == "-" else begins + distance
    if text.startswith("seq:") and text[4:].isdecimal() and len(text) <= _LONGEST_SEQ:
        return AfterEvent(int(text[4:]))
    digits = _NS.search(text)
    ns = int(digits[2].ljust(3, "0")) if digits else 0
    text = _NS.sub(r"\1", text)
    with suppress(ValueError, OverflowError):
        return WallTime(datetime.fromisoformat(text).astimezone(UTC), ns)
    try:
        of_day = time.fromisoformat(text)
    except ValueError:
        raise RecloserError(f"cannot read {text!r} as a time; use {_FORMS}") from None
    day = last.astimezone(of_day.tzinfo).date()
    wall = datetime.combine(day, of_day)
    if wall.astimezone(UTC) > last:
        wall = datetime.combine(day - timedelta(days=1), of_day)
    return WallTime(wall.astimezone(UTC), ns)
