"""Numbers with a unit, exactly: decimal text to whole nanoseconds."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from recloser.errors import ImportTraceError

UNITS: Final[Mapping[str, int]] = {
    "ns": 1,
    "nano": 1,
    "nanos": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "micros": 1_000,
    "ms": 1_000_000,
    "millis": 1_000_000,
    "s": 1_000_000_000,
    "sec": 1_000_000_000,
    "seconds": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
"""Nanoseconds in each unit, by the names that columns end in and options use."""

_DIGITS: Final = {1: 0, 1_000: 3, 1_000_000: 6, 1_000_000_000: 9}
"""How many digits after the point there are down to a nanosecond."""


def nanoseconds_in(unit: str) -> int:
    """Nanoseconds in a unit.

    Raises:
        ImportTraceError: There is no such unit.
    """
    if unit not in UNITS:
        raise ImportTraceError(f"there is no unit {unit!r}; there are ns, us, ms, s, m and h")
    return UNITS[unit]


def unit_in_name(name: str) -> str | None:
    """The unit that a field's name ends in, as ``duration_ms``; None if it ends in none."""
    head, separator, unit = name.rpartition("_")
    return unit if separator and head and unit in UNITS and len(unit) > 1 or unit == "s" else None


def nanoseconds_of(value: Any, unit_ns: int) -> int:
    """The nanoseconds in a number of units, as a number or as text.

    Raises:
        ValueError: It is no number, or out of range.
    """
    text = value if isinstance(value, str) else _text_of(value)
    whole, point, fraction = text.partition(".")
    digits = _DIGITS.get(unit_ns, -1)
    if whole.isdecimal() and whole.isascii() and len(whole) <= 19:  # noqa: PLR2004  # of 64 bits
        if not point:
            return _in_range(int(whole) * unit_ns, text)
        if len(fraction) <= digits and fraction.isdecimal() and fraction.isascii():
            return _in_range(
                int(whole) * unit_ns + int(fraction) * 10 ** (digits - len(fraction)), text
            )
    try:
        return _in_range(round(Decimal(text) * unit_ns), text)
    except (InvalidOperation, OverflowError) as error:
        raise ValueError(f"{text!r} is no number") from error
    except ValueError as error:
        if "range" in str(error):
            raise
        raise ValueError(f"{text!r} is no number") from error


def _text_of(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is no number")  # noqa: TRY004  # one error for all bad values
    return repr(value)


def _in_range(ns: int, text: str) -> int:
    if not 0 <= ns < 2**63:
        raise ValueError(f"{text!r} is out of range")
    return ns
