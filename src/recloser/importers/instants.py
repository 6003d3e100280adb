"""Points in time in every form that traces have them in."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, Final

from recloser.importers.fields import EPOCH
from recloser.importers.memo import Memo
from recloser.importers.quantities import UNITS, nanoseconds_in, nanoseconds_of
from recloser.importers.written_times import (
    MONTHS,
    ZONES,
    DateOrder,
    OnTwice,
    in_zone,
    written_time,
)

_NUMBER: Final = re.compile(r"\d++(?:\.\d++)?+")
_ISO: Final = re.compile(
    r"(\d{4}[-/]\d\d[-/]\d\d)[T ](\d\d:\d\d(?::\d\d)?+)(?:[.,](\d{1,9}+)\d*+)?+"
    # Java names the zone in brackets after the offset, Go its abbreviation.
    r" ?+(Z|[+-]\d\d(?::?\d\d)?+|[A-Z]{2,5}+)?+"
    r"(?:\[[^\]]*+\]|(?<=\d) [A-Z]{1,5}+)?+(?: m=[+-][\d.]++)?+",
)
_CLF: Final = re.compile(
    r"(\d\d/[A-Z][a-z][a-z]/\d{4}):(\d\d:\d\d:\d\d)(?:\.(\d{1,9}+))?+(?: ([+-]\d{4}))?+"
)
# The first number of seconds, milliseconds, microseconds that is read as the next finer unit: a number
# of seconds reaches the year 2286, one of milliseconds begins in 1970 after four months.
_MAGNITUDES: Final = ((10**10, "s"), (10**13, "ms"), (10**16, "us"), (2**63, "ns"))
_S: Final = UNITS["s"]


def unit_by_magnitude(value: Any) -> str:
    """The unit of a number of seconds or less since 1970 that says none, by how large it is.

    Raises:
        ValueError: It is no number, or too large for any.
    """
    whole = nanoseconds_of(value, 1)
    for bound, unit in _MAGNITUDES:
        if whole < bound:
            return unit
    raise ValueError(f"{value!r} is out of range")


def instant_reader(
    unit: str | None,
    zone: tzinfo | None = None,
    *,
    dates: DateOrder | None = None,
    on_twice: OnTwice | None = None,
) -> Callable[[Any], int]:
    """What makes nanoseconds since 1970 of a point in time.

    Args:
        unit: That of numbers; ``auto`` to tell it by magnitude; None where a number can't be read.
        zone: That of texts that name none; None to refuse them.
        dates: Which comes first in ``03/04/2021``; None to refuse those that may be either.
        on_twice: Told of a text that came twice in the zone, as clocks were set back; it is taken
            for the first time.

    Raises:
        ImportTraceError: There is no such unit.
    """
    unit_ns = None if unit in (None, "auto") else nanoseconds_in(unit or "")
    midnights = Memo(_midnight)
    offsets = Memo(_offset)

    def read(value: Any) -> int:
        if not isinstance(value, str) or _NUMBER.fullmatch(value):
            if unit == "auto":
                return nanoseconds_of(value, UNITS[unit_by_magnitude(value)])
            if unit_ns is None:
                raise ValueError(
                    f"the time {value!r} has no unit: give it as FIELD:s, with s, ms, us or ns"
                )
            return nanoseconds_of(value, unit_ns)
        found = _CLF.fullmatch(value) or _ISO.fullmatch(value)
        parts = written_time(value, dates) if found is None else found.groups()
        if parts is None:
            raise ValueError(f"{value!r} is no {'time' if unit is None else 'number and no time'}")
        date, clock, fraction, offset = parts
        ns = int(fraction.ljust(9, "0")) if fraction else 0
        seconds = midnights[date] + _seconds(clock)
        if offset is not None and (ahead := offsets[offset]) is not None:
            return (seconds - ahead) * _S + ns
        if zone is None:
            if offset is None:
                raise ValueError(
                    f"the time {value!r} has no zone: name it with --zone, as Europe/Berlin"
                )
            raise ValueError(
                f"the zone {offset} may be several: name it with --zone, as Europe/Berlin"
            )
        return in_zone(seconds, zone, offset, value, on_twice) * _S + ns

    return read


def _midnight(date: str) -> int:
    """Seconds from 1970 to the beginning of a day, as if it were one in UTC."""
    if date[4] == "/":
        date = date.replace("/", "-")
    if "/" in date:
        day, month, year = date.split("/")
        if month not in MONTHS:
            raise ValueError(f"there is no month {month!r}")
        moment = datetime(int(year), MONTHS.index(month) + 1, int(day), tzinfo=UTC)
    else:
        moment = datetime.fromisoformat(date).replace(tzinfo=UTC)
    return round((moment - EPOCH) / timedelta(seconds=1))


def _seconds(clock: str) -> int:
    hours, minutes, seconds = int(clock[:2]), int(clock[3:5]), int(clock[6:] or 0)
    if hours > 23 or minutes > 59 or seconds > 60:  # noqa: PLR2004  # a leap second is the next one
        raise ValueError(f"there is no time {clock!r}")
    return hours * 3600 + minutes * 60 + seconds


def _offset(text: str) -> int | None:
    """Seconds that a zone is ahead of UTC; None if only its place says how many."""
    if text[0] not in "+-":
        hours = ZONES.get(text)
        return None if hours is None else round(hours * 3600)
    digits = text[1:].replace(":", "").ljust(4, "0")
    ahead = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    # As of datetime: less than a day.
    return round(timezone(-ahead if text[0] == "-" else ahead).utcoffset(None).total_seconds())
