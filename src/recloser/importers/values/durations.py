"""Durations in every form that traces have them in."""

import re
from collections.abc import Callable
from typing import Any, Final

from recloser.importers.values.quantities import UNITS, nanoseconds_of, unit_nanoseconds

_NUMBER: Final = r"\d++(?:,\d{3})*+(?:\.\d*+)?+|\.\d++"
_PART: Final = re.compile(rf"({_NUMBER}) ?(ns|µs|μs|us|ms|s|m|h)")
_ISO: Final = re.compile(
    r"P(?:(\d++)D)?+T?+(?:(\d++)H)?+(?:(\d++)M)?+(?:(\d++(?:[.,]\d++)?+)S)?+", re.IGNORECASE
)
_PLAIN: Final = re.compile(rf"(?:{_NUMBER})")
_NO_UNIT: Final = "has no unit: give it as FIELD:ms, with s, ms, us or ns"
_DAY: Final = 24 * UNITS["h"]


def duration_parser(unit: str | None) -> Callable[[Any], int]:
    """Return a function that converts a duration to nanoseconds.

    The function raises ``ValueError`` for what is not a duration. Text with its own unit needs no
    ``unit``: ``12ms``, ``0.027s``, ``1m2.5s``, ``PT1.5S``.

    Args:
        unit: The unit of plain numbers; None to refuse a number without a unit.

    Raises:
        ImportTraceError: There is no such unit.
    """
    unit_ns = None if unit is None else unit_nanoseconds(unit)

    def parse(value: Any) -> int:
        if unit_ns is not None:
            try:
                return nanoseconds_of(value, unit_ns)
            except ValueError:
                if not isinstance(value, str):
                    raise
        if not isinstance(value, str):
            raise ValueError(f"the duration {value!r} {_NO_UNIT}")  # noqa: TRY004
        return _parse_text(value.strip(), unit_ns)

    return parse


def _parse_text(text: str, unit_ns: int | None) -> int:
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
        raise ValueError(f"{text!r} is not a duration")
    return total
