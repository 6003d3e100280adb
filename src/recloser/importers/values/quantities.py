"""Numbers with a unit of time, converted exactly to whole nanoseconds."""

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from operator import sub
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
"""Nanoseconds per unit, by the names that columns end in and options use."""

_THOUSANDS: Final = re.compile(r"[1-9]\d{0,2}(?:,\d{3})++")
_DECIMAL_COMMA: Final = re.compile(r"(\d{1,3}(?:\.\d{3})++|\d++),(\d++)([ a-zµμ]*+)")

_LIMIT: Final = 2**63
_MICROS: Final = 1_000_000
_MAX_EXACT: Final = 2**50
_MAX_DISTINCT: Final = 2**51

_DIGITS: Final = {1: 0, 1_000: 3, 1_000_000: 6, 1_000_000_000: 9}
"""How many digits after the point reach down to a nanosecond."""


def unit_nanoseconds(unit: str) -> int:
    """Return the nanoseconds in a unit.

    Raises:
        ImportTraceError: There is no such unit.
    """
    if unit not in UNITS:
        raise ImportTraceError(f"there is no unit {unit!r}; use ns, us, ms, s, m or h")
    return UNITS[unit]


def has_decimal_comma(value: Any) -> bool:
    """Return whether a comma can only be a decimal mark, as in ``0,5``."""
    return (
        isinstance(value, str)
        and _DECIMAL_COMMA.fullmatch(value.strip()) is not None
        and _THOUSANDS.fullmatch(value.strip()) is None
    )


def with_decimal_mark(parse: Callable[[Any], int], decimal: str) -> Callable[[Any], int]:
    """Extend a parser of numbers to a decimal comma.

    Args:
        parse: The parser of numbers with a decimal point.
        decimal: ``.`` or ``,``; ``?`` if either is possible, so that ``1,234`` is refused.
    """
    if decimal == ".":
        return parse

    def parse_either(value: Any) -> int:
        if isinstance(value, str) and "," in value:
            text = value.strip()
            if decimal == "?" and _THOUSANDS.fullmatch(text):
                raise ValueError(
                    f"{text!r} may be either of two numbers: name the decimal mark with --decimal , or "
                    "--decimal ."
                )
            if found := _DECIMAL_COMMA.fullmatch(text):
                return parse(f"{found[1].replace('.', '')}.{found[2]}{found[3]}")
        return parse(value)

    return parse_either


def unit_in_name(name: str) -> str | None:
    """Return the unit that a field's name ends in, as ``duration_ms``, or None."""
    head, separator, unit = name.rpartition("_")
    is_unit = unit in UNITS and unit not in ("m", "h")
    return unit if separator and head and is_unit else None


def nanoseconds_of(value: Any, unit_ns: int) -> int:
    """Convert a number of units, given as a number or text, to nanoseconds.

    Raises:
        ValueError: It is not a number, or out of range.
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
        raise ValueError(f"{text!r} is not a number") from error
    except ValueError as error:
        if "range" in str(error):
            raise
        raise ValueError(f"{text!r} is not a number") from error


def nanosecond_column(values: Sequence[Any], unit_ns: int) -> list[int] | None:
    """Convert a column of numbers at once.

    This takes a tenth of the time that single values take.

    Returns:
        Exactly what ``nanoseconds_of`` returns for each; None if a value needs ``nanoseconds_of``.
    """
    types = set(map(type, values))
    if types == {float}:
        return _of_floats(values, unit_ns)
    if types == {int}:
        ns = [value * unit_ns for value in values]
        return ns if min(ns) >= 0 and max(ns) < _LIMIT else None
    if types != {str}:
        return None
    digits = "".join(values)
    if digits.isdecimal() and digits.isascii() and "" not in values:
        ns = [int(value) * unit_ns for value in values]
        return ns if max(ns) < _LIMIT else None
    try:
        products = [float(value) * unit_ns for value in values]
        ns = list(map(round, products))
    except (ValueError, OverflowError):
        return None
    # Below 2**50 a product of floats is off by less than a quarter. So if it is nearer than that to a
    # whole number, the exact product is that number.
    is_exact = max(ns) < _MAX_EXACT and max(map(abs, map(sub, products, ns))) < 0.25  # noqa: PLR2004
    return ns if is_exact and min(products) >= 0 else None


def _of_floats(values: Sequence[float], unit_ns: int) -> list[int] | None:
    """Convert floats by the shortest decimal number of each.

    Where that cannot be done at once, None is returned. A float is converted if it equals a whole
    number of nanoseconds or of millionths of the unit.
    """
    for steps in (unit_ns, _MICROS):  # steps per unit
        try:
            numbers = [round(value * steps) for value in values]
        except (ValueError, OverflowError):
            return None
        # Below 2**51 steps are farther apart than floats, so only one number of steps is this float.
        if (
            steps <= unit_ns
            and min(numbers) >= 0
            and max(numbers) < _MAX_DISTINCT
            and [number / steps for number in numbers] == list(values)
        ):
            ns = [number * (unit_ns // steps) for number in numbers]
            return ns if max(ns) < _LIMIT else None
    return None


def _text_of(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is not a number")  # noqa: TRY004  # one error for all bad values
    return repr(value)


def _in_range(ns: int, text: str) -> int:
    if not 0 <= ns < _LIMIT:
        raise ValueError(f"{text!r} is out of range")
    return ns
