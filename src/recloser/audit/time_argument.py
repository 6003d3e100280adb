"""A moment as a person gives it: in UTC, in local time, or from the log's beginning or end."""

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
    "2026-11-24T14:48:54Z, 2026-11-24 15:48 (local), 15:48:54 (local, the log's last such), "
    "-5m (before the log's end), +1h30m (after its beginning), or seq:106"
)
_NS: Final = re.compile(r"(\.\d{6})(\d{1,3})")


@frozen
class WallTime:
    """A moment of wall time.

    Attributes:
        utc: The moment, to the microsecond.
        ns: The nanoseconds beyond it.
    """

    utc: datetime
    ns: int


@frozen
class AfterEvent:
    """The moment behind an event.

    Attributes:
        seq: The event.
    """

    seq: int


def parse_time(text: str, begins: int, ends: int, last: datetime) -> WallTime | AfterEvent | int:
    """The moment that ``text`` means: of wall time, behind an event, or in nanoseconds of the log.

    Args:
        text: A time with its zone; one without, which is local; a time of day, which is the last
            such in the log; or a duration as ``-5m`` before the log's end or ``+1h30m`` after its
            beginning, which no wall clock has a say in; or ``seq:106``.
        begins: The log's first moment, in nanoseconds.
        ends: Its last.
        last: The wall time of that.

    Raises:
        RecloserError: It is none of these.
    """
    text = text.strip()
    relative = _RELATIVE.fullmatch(text)
    if relative:
        away = sum(
            round(Decimal(number) * _UNITS[unit]) for number, unit in _PART.findall(relative[2])
        )
        return max(begins, ends - away) if relative[1] == "-" else begins + away
    if text.startswith("seq:") and text[4:].isdecimal() and len(text) <= _LONGEST_SEQ:
        return AfterEvent(int(text[4:]))
    below = _NS.search(text)
    ns = int(below[2].ljust(3, "0")) if below else 0
    text = _NS.sub(r"\1", text)
    with suppress(ValueError, OverflowError):
        return WallTime(datetime.fromisoformat(text).astimezone(UTC), ns)
    try:
        of_day = time.fromisoformat(text)
    except ValueError:
        raise RecloserError(f"{text!r} is no moment; give one as {_FORMS}") from None
    day = last.astimezone(of_day.tzinfo).date()
    moment = datetime.combine(day, of_day)
    if moment.astimezone(UTC) > last:
        moment = datetime.combine(day - timedelta(days=1), of_day)
    return WallTime(moment.astimezone(UTC), ns)
