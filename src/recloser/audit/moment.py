"""A moment as a person gives it: in UTC, in local time, or from the log's beginning or end."""

import re
from datetime import UTC, datetime, time, timedelta
from typing import Final

from recloser.errors import RecloserError

_UNITS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1, "ms": 0.001}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|[dhms])")
_RELATIVE: Final = re.compile(rf"([+-])((?:{_PART.pattern})+)(?: ago)?")
_FORMS: Final = (
    "2026-11-24T14:48:54Z, 2026-11-24 15:48 (local), 15:48:54 (local, the log's last such), "
    "-5m (before the log's end), +1h30m (after its beginning)"
)
_NS: Final = re.compile(r"(\.\d{6})\d+")


def parse_moment(text: str, begins: datetime, ends: datetime) -> datetime:
    """The moment that ``text`` means, in UTC.

    Args:
        text: A time with its zone; one without, which is local; a time of day, which is the last
            such in the log; or a duration as ``-5m`` before the log's end or ``+1h30m`` after its
            beginning.
        begins: The log's first moment.
        ends: Its last.

    Raises:
        RecloserError: It is none of these.
    """
    text = text.strip()
    relative = _RELATIVE.fullmatch(text)
    if relative:
        away = timedelta(
            seconds=sum(float(n) * _UNITS[unit] for n, unit in _PART.findall(relative[2]))
        )
        return ends - away if relative[1] == "-" else begins + away
    text = _NS.sub(r"\1", text)  # a datetime holds microseconds
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    try:
        of_day = time.fromisoformat(text)
    except ValueError:
        raise RecloserError(f"{text!r} is no moment; give one as {_FORMS}") from None
    zone = of_day.tzinfo
    day = ends.astimezone(zone).date()
    moment = datetime.combine(day, of_day)
    if moment.astimezone(UTC) > ends:
        moment = datetime.combine(day - timedelta(days=1), of_day)
    return moment.astimezone(UTC)
