"""Checks of settings: each names the field, its range and the value that is out of it.

Also where seconds become nanoseconds and rates fractions: a float is taken for the decimal number
that it prints as.
"""

import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final, TypeAlias

import attrs

from recloser.errors import ConfigError

Seconds: TypeAlias = int | float
Rate: TypeAlias = int | float | Fraction

MAX_SECONDS: Final = 1_000_000_000
NS_PER_SECOND: Final = 1_000_000_000

Validator: TypeAlias = Callable[[object, "attrs.Attribute[Any]", object], None]


def nanoseconds(seconds: Seconds) -> int:
    """The whole nanoseconds in ``seconds``, exact for every decimal of up to nine places."""
    return round(Decimal(repr(seconds)) * NS_PER_SECOND)


@lru_cache(maxsize=256, typed=True)
def exact(number: Rate) -> Fraction:
    """The number as a fraction, a float being the decimal that it prints as."""
    return number if isinstance(number, Fraction) else Fraction(repr(number))


def whole(least: int, *, optional: bool = False) -> Validator:
    """Accepts whole numbers from ``least`` up."""
    wanted = f"a whole number from {least} up{_or_none(optional=optional)}"

    def check(_config: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
        if value is None and optional:
            return
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ConfigError(f"{attribute.name} must be {wanted}, not {value!r}")

    return check


def seconds(*, above_zero: bool = False, optional: bool = False) -> Validator:
    """Accepts numbers of seconds."""
    bounds = f"a number of seconds {'above' if above_zero else 'from'} 0"
    wanted = f"{bounds}, at most {MAX_SECONDS}{_or_none(optional=optional)}"

    def check(_config: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
        if value is None and optional:
            return
        if not _is_number(value, int | float) or not 0 <= value <= MAX_SECONDS:
            raise ConfigError(f"{attribute.name} must be {wanted}, not {value!r}")
        if above_zero and nanoseconds(value) == 0:
            raise ConfigError(f"{attribute.name} must be {wanted}, not {value!r}")

    return check


def rate(_config: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    """Accepts rates above 0 and up to 1, and None."""
    if value is not None and not (_is_number(value, int | float | Fraction) and 0 < value <= 1):
        wanted = f"a rate above 0, at most 1{_or_none(optional=True)}"
        raise ConfigError(f"{attribute.name} must be {wanted}, not {value!r}")


def factor(_config: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    """Accepts what a wait can be multiplied by."""
    if not (_is_number(value, int | float | Fraction) and 1 <= value <= MAX_SECONDS):
        raise ConfigError(
            f"{attribute.name} must be a number from 1 to {MAX_SECONDS}, not {value!r}"
        )


def one_of(*choices: str) -> Validator:
    """Accepts the words given."""

    def check(_config: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
        if value not in choices:
            raise ConfigError(
                f"{attribute.name} must be one of {', '.join(choices)}, not {value!r}"
            )

    return check


def either(*types: type, optional: bool = False) -> Validator:
    """Accepts instances of the types given."""
    wanted = f"a {' or a '.join(kind.__name__ for kind in types)}{_or_none(optional=optional)}"

    def check(_config: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
        if not isinstance(value, types) and not (optional and value is None):
            raise ConfigError(f"{attribute.name} must be {wanted}, not {value!r}")

    return check


def as_number(value: Any) -> Any:
    """A fraction comes as text such as ``1/3`` where it has been through JSON or TOML."""
    if isinstance(value, str) and "/" in value:
        try:
            return Fraction(value)
        except (ValueError, ZeroDivisionError):
            return value
    return value


def _or_none(*, optional: bool) -> str:
    return ', or "none"' if optional else ""


def _is_number(value: Any, kinds: Any) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)
