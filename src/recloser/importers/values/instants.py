"""Points in time in every form that traces have them in."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, Final

from recloser.importers.values.conversion_cache import ConversionCache
from recloser.importers.values.quantities import UNITS, nanoseconds_of, unit_nanoseconds
from recloser.importers.values.written_times import (
    MONTHS,
    ZONES,
    DateOrder,
    OnAmbiguousTime,
    parse_written_time,
    seconds_in_zone,
)

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

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
# A number below each bound is in the unit beside it. Numbers of seconds reach the year 2286, and numbers
# of milliseconds begin four months after the beginning of 1970.
_MAGNITUDES: Final = ((10**10, "s"), (10**13, "ms"), (10**16, "us"), (2**63, "ns"))
_S: Final = UNITS["s"]


def unit_by_magnitude(value: Any) -> str:
    """Guess from its size whether a number counts seconds, ms, us or ns since 1970.

    Raises:
        ValueError: It is not a number, or too large for any unit.
    """
    whole = nanoseconds_of(value, 1)
    for bound, unit in _MAGNITUDES:
        if whole < bound:
            return unit
    raise ValueError(f"{value!r} is out of range")


def instant_parser(
    unit: str | None,
    zone: tzinfo | None = None,
    *,
    dates: DateOrder | None = None,
    on_ambiguous: OnAmbiguousTime | None = None,
) -> Callable[[Any], int]:
    """Return a function that converts a point in time to nanoseconds since 1970.

    The function raises ``ValueError`` for text that is not a time, or that it would have to guess.

    Args:
        unit: The unit of numbers; ``auto`` to detect it by their size; None to refuse numbers.
        zone: The zone of times that name none; None to refuse such times.
        dates: The order of day and month in ``03/04/2021``; None to refuse ambiguous dates.
        on_ambiguous: Called with a time that occurred twice in the zone, when clocks were set back; the
            first of the two is returned.

    Raises:
        ImportTraceError: There is no such unit.
    """
    unit_ns = None if unit in (None, "auto") else unit_nanoseconds(unit or "")
    midnights = ConversionCache(_midnight)
    offsets = ConversionCache(_offset)

    def parse(value: Any) -> int:
        if not isinstance(value, str) or _NUMBER.fullmatch(value):
            if unit == "auto":
                return nanoseconds_of(value, UNITS[unit_by_magnitude(value)])
            if unit_ns is None:
                raise ValueError(
                    f"the time {value!r} has no unit: give it as FIELD:s, with s, ms, us or ns"
                )
            return nanoseconds_of(value, unit_ns)
        found = _CLF.fullmatch(value) or _ISO.fullmatch(value)
        parts = parse_written_time(value, dates) if found is None else found.groups()
        if parts is None:
            raise ValueError(f"{value!r} is not a {'time' if unit is None else 'number or a time'}")
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
                f"several zones are called {offset}: name yours with --zone, as Europe/Berlin"
            )
        return seconds_in_zone(seconds, zone, offset, value, on_ambiguous) * _S + ns

    return parse


def _midnight(date: str) -> int:
    """Return the seconds from 1970 to the beginning of a day in UTC."""
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
    if hours > 23 or minutes > 59 or seconds > 60:  # noqa: PLR2004  # a leap second, 60, is the next second
        raise ValueError(f"there is no time {clock!r}")
    return hours * 3600 + minutes * 60 + seconds


def _offset(text: str) -> int | None:
    """Return how many seconds a zone is ahead of UTC.

    If several places use its name, None is returned.
    """
    if text[0] not in "+-":
        hours = ZONES.get(text)
        return None if hours is None else round(hours * 3600)
    digits = text[1:].replace(":", "").ljust(4, "0")
    ahead = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    # timezone() refuses offsets of a day and more.
    return round(timezone(-ahead if text[0] == "-" else ahead).utcoffset(None).total_seconds())
