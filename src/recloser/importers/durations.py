"""Durations in every form that traces have them in."""

import re
from collections.abc import Callable
from typing import Any, Final

from recloser.importers.quantities import UNITS, nanoseconds_in, nanoseconds_of

_NUMBER: Final = r"\d++(?:,\d{3})*+(?:\.\d*+)?+|\.\d++"
_PART: Final = re.compile(rf"({_NUMBER}) ?(ns|µs|μs|us|ms|s|m|h)")
_ISO: Final = re.compile(
    r"P(?:(\d++)D)?+T?+(?:(\d++)H)?+(?:(\d++)M)?+(?:(\d++(?:[.,]\d++)?+)S)?+", re.IGNORECASE
)
_PLAIN: Final = re.compile(rf"(?:{_NUMBER})")
_NO_UNIT: Final = "has no unit: give it as FIELD:ms, with s, ms, us or ns"
_DAY: Final = 24 * UNITS["h"]


def duration_reader(unit: str | None) -> Callable[[Any], int]:
    """What makes nanoseconds of a duration.

    A text that has its own unit needs none: ``12ms``, ``0.027s``, ``1m2.5s``, ``PT1.5S``.

    Args:
        unit: That of plain numbers; None where a number without a unit can't be read.

    Raises:
        ImportTraceError: There is no such unit.
    """
    unit_ns = None if unit is None else nanoseconds_in(unit)

    def read(value: Any) -> int:
        if unit_ns is not None:
            try:
                return nanoseconds_of(value, unit_ns)
            except ValueError:
                if not isinstance(value, str):
                    raise
        if not isinstance(value, str):
            raise ValueError(f"the duration {value!r} {_NO_UNIT}")  # noqa: TRY004
        return _of_text(value.strip(), unit_ns)

    return read


def _of_text(text: str, unit_ns: int | None) -> int:
    if _PLAIN.fullmatch(text):
        if unit_ns is None:
            raise ValueError(f"the duration {text!r} {_NO_UNIT}")
        return nanoseconds_of(text.replace(",", ""), unit_ns)
    if (found := _ISO.fullmatch(text)) and any(found.groups()):
        days, hours, minutes, seconds = found.groups(default="0")
        return (
            int(days) * _DAY
            + int(hours) * UNITS["h"]
            + int(minutes) * UNITS["m"]
            + nanoseconds_of(seconds.replace(",", "."), UNITS["s"])
        )
    total, at = 0, 0
    while part := _PART.match(text, at):
        total += nanoseconds_of(part[1].replace(",", ""), UNITS[part[2]])
        at = part.end()
    if at == 0 or at < len(text):
        raise ValueError(f"{text!r} is no duration")
    return total
