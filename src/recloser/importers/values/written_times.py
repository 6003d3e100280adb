"""Times as people write them.

These are RFC 2822, asctime, dates with slashes or points, and names of zones.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, Literal, TypeAlias

DateOrder: TypeAlias = Literal["month-first", "day-first"]
"""The order of day and month in a date such as ``03/04/2021``."""

OnAmbiguousTime: TypeAlias = Callable[[str], None]
"""Called with a time that occurred twice, when clocks were set back."""

Parts: TypeAlias = tuple[str, str, str | None, str | None]
"""A date as ``2021-09-15``, a time of day, a fraction of a second, and a zone."""

MONTHS: Final = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

ZONES: Final[Mapping[str, float]] = {
    "Z": 0, "UTC": 0, "GMT": 0, "UT": 0, "WET": 0, "WEST": 1, "CET": 1, "CEST": 2, "EET": 2, "EEST": 3,
    "MSK": 3, "JST": 9, "KST": 9, "AWST": 8, "ACST": 9.5, "ACDT": 10.5, "AEST": 10, "AEDT": 11,
    "NZST": 12, "NZDT": 13, "HST": -10, "AKST": -9, "AKDT": -8, "PDT": -7, "MST": -7, "MDT": -6,
    "EST": -5, "EDT": -4,
}  # fmt: skip
"""Hours that zones are ahead of UTC, without names that several places use: CST, IST, BST, PST."""

_MAIL_ZONES: Final[Mapping[str, str]] = {"CST": "-0600", "CDT": "-0500", "PST": "-0800"}
"""What RFC 2822 says of names of zones that have several meanings elsewhere."""

_CLOCK: Final = r"(\d\d?:\d\d(?::\d\d)?+)(?:[.,](\d{1,9}+)\d*+)?+"
_ZONE: Final = r"(?: ?(Z|[+-]\d\d:?\d\d|[A-Z]{2,5}))?+"
_DAY: Final = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*+"
_MAIL: Final = re.compile(
    rf"(?:{_DAY},? )?+(\d\d?)[ -]([A-Z][a-z][a-z])[a-z]*+[ -](\d{{4}}) {_CLOCK}{_ZONE}(?: \([^)]*+\))?+"
)
_ASCTIME: Final = re.compile(
    rf"{_DAY} ([A-Z][a-z][a-z]) ++(\d\d?) {_CLOCK}(?: (?!\d{{4}})([A-Z]{{1,5}}|[+-]\d{{4}}))?+ (\d{{4}})"
)
_SLASHES: Final = re.compile(
    rf"(\d\d?)([/.-])(\d\d?)\2(\d{{4}}),?+ {_CLOCK}(?: ?([AaPp])\.?[Mm]\.?)?+{_ZONE}"
)
_COMPACT: Final = re.compile(
    r"(\d{4})(\d\d)(\d\d)[T ](\d\d)(\d\d)(\d\d)(?:\.(\d{1,9}+))?+(Z|[+-]\d{4})?+"
)
_TWELVE: Final = 12


def parse_written_time(text: str, dates: DateOrder | None) -> Parts | None:
    """Split a time into its parts; return None if it is in none of the forms.

    Args:
        text: The time.
        dates: The order of day and month in a date with slashes; None to refuse ambiguous dates.

    Raises:
        ValueError: There is no such month or hour, or the date is ambiguous.
    """
    text = text.strip().removeprefix("[").removesuffix("]")
    if found := _MAIL.fullmatch(text):
        day, month, year, clock, fraction, zone = found.groups()
        return (
            _date(year, _month(month), day),
            _padded(clock),
            fraction,
            _MAIL_ZONES.get(zone, zone),
        )
    if found := _ASCTIME.fullmatch(text):
        month, day, clock, fraction, zone, year = found.groups()
        return _date(year, _month(month), day), _padded(clock), fraction, zone
    if found := _SLASHES.fullmatch(text):
        one, mark, other, year, clock, fraction, half, zone = found.groups()
        order = "day-first" if mark == "." else dates or _shown_order(text, int(one), int(other))
        month, day = (one, other) if order == "month-first" else (other, one)
        return (
            _date(year, int(month), day),
            _twenty_four_hours(_padded(clock), half),
            fraction,
            zone,
        )
    if found := _COMPACT.fullmatch(text):
        year, month, day, hours, minutes, seconds, fraction, zone = found.groups()
        return f"{year}-{month}-{day}", f"{hours}:{minutes}:{seconds}", fraction, zone
    # A CSV of an access log may hold the log's time with its brackets.
    return _clf_in_brackets(text)


def seconds_in_zone(
    seconds: int, zone: tzinfo, name: str | None, text: str, on_ambiguous: OnAmbiguousTime | None
) -> int:
    """Return the seconds since 1970 of a time in a zone.

    Of a time that occurred twice, when clocks were set back, the one whose zone has the given name
    is meant, or the first if no name is given. A time that was left out, when clocks were set
    forward, is refused.

    Args:
        seconds: The seconds since 1970 if the time were in UTC.
        zone: The zone.
        name: The name of the zone in the text, as CEST; None if it has none.
        text: The text of the time, for error messages.
        on_ambiguous: Called with a time that occurred twice if nothing says which is meant.

    Raises:
        ValueError: There is no such time, or the zone has another name then.
    """
    local = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=zone)
    found: list[tuple[timedelta, str | None]] = []
    for each in (local, local.replace(fold=1)):
        ahead = each.utcoffset() or timedelta(0)
        exists = (each.astimezone(UTC).astimezone(zone)).replace(tzinfo=None) == local.replace(
            tzinfo=None
        )
        if exists and ahead not in (known for known, _ in found):
            found.append((ahead, each.tzname()))
    if not found:
        raise ValueError(f"there was no {text!r} in {zone}: clocks were set forward; check --zone")
    if name is not None:
        found = [(ahead, called) for ahead, called in found if called == name]
        if not found:
            raise ValueError(
                f"{zone} is not called {name} at {text!r}; name another zone with --zone"
            )
    elif len(found) > 1 and on_ambiguous is not None:
        on_ambiguous(text)
    return seconds - round(found[0][0].total_seconds())


def _clf_in_brackets(text: str) -> Parts | None:
    found = re.fullmatch(
        r"(\d\d)/([A-Z][a-z][a-z])/(\d{4}):(\d\d:\d\d:\d\d)(?:\.(\d{1,9}+))?+(?: ([+-]\d{4}))?+",
        text,
    )
    if found is None:
        return None
    day, month, year, clock, fraction, zone = found.groups()
    return _date(year, _month(month), day), clock, fraction, zone


def _month(name: str) -> int:
    if name not in MONTHS:
        raise ValueError(f"there is no month {name!r}")
    return MONTHS.index(name) + 1


def _date(year: str, month: int, day: str) -> str:
    return f"{year}-{month:02d}-{int(day):02d}"


def _padded(clock: str) -> str:
    return clock if clock[2] == ":" else f"0{clock}"


def _shown_order(text: str, one: int, other: int) -> DateOrder:
    if one > _TWELVE or one == other:
        return "day-first"
    if other > _TWELVE:
        return "month-first"
    raise ValueError(
        f"{text!r} may be either of two dates: say which comes first with --dates month-first or "
        "--dates day-first"
    )


def _twenty_four_hours(clock: str, half: str | None) -> str:
    """Convert a time of day with AM or PM; ``half`` is None for a time without."""
    if half is None:
        return clock
    hours = int(clock[:2])
    if not 1 <= hours <= _TWELVE:
        raise ValueError(f"there is no time {clock!r} with AM or PM")
    return f"{hours % _TWELVE + (_TWELVE if half in 'pP' else 0):02d}{clock[2:]}"
