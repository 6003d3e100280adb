"""Checks and conversions of settings and arguments.

The error of a check names the setting, its range and the value. Seconds become nanoseconds here, and
rates become fractions; a float is read as the decimal number that it prints as. Numbers and texts of
other types, such as ``numpy.float64``, ``timedelta`` or a subclass of ``str``, become exact ``int``,
``float`` and ``str``: a log can hold no others, and no code of a user's class may run under a lock.
"""

import inspect
import operator
from collections.abc import Callable, Collection
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache, partial
from numbers import Real
from typing import Any, Final, TypeAlias

import attrs

from recloser.core.limits import MAX_SETTING, MAX_TERM, MAX_WHOLE
from recloser.errors import ConfigError

Seconds: TypeAlias = int | float
Rate: TypeAlias = int | float | Fraction

MAX_SECONDS: Final = 1_000_000_000
NS_PER_SECOND: Final = 1_000_000_000

_SHOWN: Final = 500
"""The most characters of a value in an error message."""

Validator: TypeAlias = Callable[[object, "attrs.Attribute[Any]", object], None]


def nanoseconds(seconds: Seconds) -> int:
    """Convert seconds to whole nanoseconds, exactly for decimals of up to nine places."""
    return round(exact(as_seconds(seconds)) * NS_PER_SECOND)


@lru_cache(maxsize=256, typed=True)
def exact(number: Rate) -> Fraction:
    """The number as a fraction; a float is read as the decimal number that it prints as."""
    return number if isinstance(number, Fraction) else Fraction(repr(number))


def as_whole(value: Any) -> Any:
    """Convert an integer of any type to ``int``, and return anything else as it is."""
    if type(value) is int or value is None or isinstance(value, bool | str):
        return value
    try:
        return operator.index(value)
    except TypeError:
        return value


def as_seconds(value: Any) -> Any:
    """Convert seconds of any number type, or a ``timedelta``, to an equal ``int`` or ``float``.

    A value that equals neither, such as ``Fraction(1, 3)``, is returned as it is.
    """
    if isinstance(value, timedelta):
        return _as_float(Fraction(value // timedelta(microseconds=1), 1_000_000), value)
    number = _as_exact(value)
    return _as_float(number, value) if isinstance(number, Fraction) else number


def as_rate(value: Any) -> Any:
    """Convert a rate of any number type to an equal ``int``, ``float`` or ``Fraction``.

    JSON and TOML hold a fraction as text, such as ``1/3``; it becomes a ``Fraction`` again.
    """
    if isinstance(value, str) and "/" in value:
        try:
            return Fraction(value)
        except (ValueError, ZeroDivisionError):
            return value
    number = _as_exact(value)
    if isinstance(value, Decimal) and isinstance(number, Fraction):
        return _as_float(number, number)
    return number


def as_text(value: Any) -> Any:
    """Convert a text of a subclass of ``str`` to ``str``, and return anything else as it is."""
    return str.__str__(value) if isinstance(value, str) else value


def _as_exact(value: Any) -> Any:
    """Convert a number to ``int``, ``float`` or ``Fraction``, and return anything else as it is."""
    if type(value) in _EXACT or isinstance(value, bool | str):
        return value
    whole_number = as_whole(value)
    if type(whole_number) is int:
        return whole_number
    if isinstance(value, float):
        return float.__float__(value)
    try:
        if isinstance(value, Decimal | Fraction):
            return Fraction(*value.as_integer_ratio())
        # The decimal number that it prints as, which is 0.1 for numpy.float32(0.1).
        return float(str(value)) if isinstance(value, Real) else value
    except (ValueError, OverflowError):  # infinite, or not a number
        return value


def _as_float(number: Fraction, otherwise: Any) -> Any:
    """The ``int`` or ``float`` that prints as this number, or ``otherwise`` if there is none."""
    if number.denominator == 1:
        return number.numerator
    try:
        nearest = float(number)
    except OverflowError:
        return otherwise
    return nearest if Fraction(repr(nearest)) == number else otherwise


_EXACT: Final = frozenset({int, float, Fraction, type(None)})


def count(least: int, *, optional: bool = False) -> Validator:
    """A validator for counts, such as of calls or probes, from ``least`` to ``MAX_SETTING``."""
    return whole(least, most=MAX_SETTING, optional=optional)


def whole(least: int, *, most: int = MAX_WHOLE, optional: bool = False) -> Validator:
    """A validator for integers from ``least`` to ``most``, which is one less than a power of 2."""
    wanted = f"a whole number from {least} up{_or_none(optional=optional)}"

    def check(_config: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
        if value is None and optional:
            return
        if not _is_number(value, int) or value < least:
            raise ConfigError(f"{attribute.name} must be {wanted}, not {shown(value)}")
        if value > most:
            bound = f"2**{most.bit_length()}"
            raise ConfigError(f"{attribute.name} must be less than {bound}, not {shown(value)}")

    return check


def seconds(*, above_zero: bool = False, optional: bool = False) -> Validator:
    """A validator for seconds, from 0 or above 0, up to ``MAX_SECONDS``."""
    or_none = _or_none(optional=optional)

    def check(_config: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
        if value is None and optional:
            return
        if not _are_seconds(value, above_zero=above_zero):
            wanted = _wanted_seconds(above_zero=above_zero) + or_none
            raise ConfigError(f"{attribute.name} must be {wanted}, not {shown(value)}")

    return check


def _are_seconds(value: Any, *, above_zero: bool) -> bool:
    if not _is_number(value, int | float) or not 0 <= value <= MAX_SECONDS:
        return False
    return not above_zero or nanoseconds(value) > 0


def _wanted_seconds(*, above_zero: bool) -> str:
    return f"a number of seconds {'above' if above_zero else 'from'} 0, at most {MAX_SECONDS}"


def rate(_config: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    """Check that a rate is above 0 and at most 1, or None."""
    if value is not None and not (_is_rational(value) and 0 < value <= 1):
        wanted = f"a rate above 0, at most 1{_or_none(optional=True)}"
        raise ConfigError(f"{attribute.name} must be {wanted}, not {shown(value)}")


def factor(_config: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    """Check that a factor of a cooldown is from 1 to ``MAX_SECONDS``."""
    if not (_is_rational(value) and 1 <= value <= MAX_SECONDS):
        raise ConfigError(
            f"{attribute.name} must be a number from 1 to {MAX_SECONDS}, not {shown(value)}"
        )


def _is_rational(value: Any) -> bool:
    """Whether the value is a number; a fraction with too many digits for a line of a log is not."""
    if isinstance(value, Fraction):
        return max(abs(value.numerator), value.denominator) < MAX_TERM
    return _is_number(value, int | float)


def one_of(*choices: str) -> Validator:
    """A validator for one of some words."""

    def check(_config: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
        if value not in choices:
            raise ConfigError(
                f"{attribute.name} must be one of {', '.join(choices)}, not {shown(value)}"
            )

    return check


def either(*types: type, optional: bool = False) -> Validator:
    """A validator for instances of some types, or also None if ``optional``."""
    wanted = f"a {' or a '.join(kind.__name__ for kind in types)}{_or_none(optional=optional)}"

    def check(_config: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
        if not isinstance(value, types) and not (optional and value is None):
            raise ConfigError(f"{attribute.name} must be {wanted}, not {shown(value)}")

    return check


def _or_none(*, optional: bool) -> str:
    return ', or "none"' if optional else ""


def _is_number(value: Any, kinds: Any) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)


def shown(value: object) -> str:
    """The ``repr`` of a value for an error message: cut if it is long, replaced if it raises."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001  # the message is about something else
        return f"an object of {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def takes(function: Callable[..., object], count: int) -> bool:
    """Whether a function accepts ``count`` positional arguments; True if it has no signature."""
    try:
        signature = inspect.signature(function)
    except Exception:  # noqa: BLE001  # builtin functions may have none, and lazy objects raise
        return True
    try:
        signature.bind(*(None,) * count)
    except TypeError:
        return False
    return True


def refuse_lazy_predicate(setting: str, predicate: object) -> None:
    """Check that a predicate is no coroutine or generator function.

    Such a function returns an object that is always true, and runs only when that is awaited or
    iterated.

    Raises:
        ConfigError: The predicate is one, or wraps one in ``partial`` or a callable object.
    """
    function = predicate
    while isinstance(function, partial):
        function = function.func
    called = getattr(type(function), "__call__", None)  # noqa: B004  # it is inspected below
    while isinstance(called, partial):
        called = called.func
    if _is_lazy(function) or _is_lazy(called):
        raise ConfigError(
            f"{setting} must be a plain predicate, not the coroutine function or generator "
            f"{shown(predicate)}: what it returns counts as true, so every call would match"
        )


def _is_lazy(function: object) -> bool:
    return (
        inspect.iscoroutinefunction(function)
        or inspect.isasyncgenfunction(function)
        or inspect.isgeneratorfunction(function)
    )


# Checks of arguments; each returns the argument in its exact type.


def checked_whole(name: str, value: Any, least: int, *, optional: bool = False) -> Any:
    """Check an integer argument of at least ``least``.

    Returns:
        The argument as an ``int``, or None if it is None and ``optional``.

    Raises:
        ConfigError: The argument is not an integer, or is out of its range.
    """
    number = as_whole(value)
    if number is None and optional:
        return None
    if not _is_number(number, int) or not least <= number <= MAX_WHOLE:
        raise ConfigError(
            f"{name} must be a whole number from {least} up{_or_nothing(optional=optional)}, "
            f"not {shown(value)}"
        )
    return number


def checked_bytes(name: str, value: Any, *, optional: bool = False) -> Any:
    """Check an argument that is a number of bytes, from 1.

    Returns:
        The argument as an ``int``, or None if it is None and ``optional``.

    Raises:
        ConfigError: The argument is not an integer from 1 up; a text such as ``1GB`` is not.
    """
    try:
        return checked_whole(name, value, 1, optional=optional)
    except ConfigError as error:
        if isinstance(value, str):
            raise ConfigError(f"{error}; write 1 GB as 1_000_000_000") from None
        raise


def checked_seconds(
    name: str, value: Any, *, above_zero: bool = False, optional: bool = False
) -> Any:
    """Check an argument that is a number of seconds or a ``timedelta``.

    Returns:
        The argument as an ``int`` or ``float``, or None if it is None and ``optional``.

    Raises:
        ConfigError: The argument is not a number of seconds, or is out of its range.
    """
    number = as_seconds(value)
    if number is None and optional:
        return None
    if not _are_seconds(number, above_zero=above_zero):
        wanted = _wanted_seconds(above_zero=above_zero) + _or_nothing(optional=optional)
        raise ConfigError(f"{name} must be {wanted}, not {shown(value)}")
    return number


def checked_word(name: str, value: Any, choices: Collection[str]) -> Any:
    """Check an argument that must be one of some words, and return it as a ``str``.

    Raises:
        ConfigError: The argument is a different word, or not a text.
    """
    word = as_text(value)
    if not isinstance(word, str) or word not in choices:
        *first, last = choices
        raise ConfigError(f"{name} must be {', '.join(first)} or {last}, not {shown(value)}")
    return word


def checked_flag(name: str, value: Any) -> bool:
    """Check an argument that must be True or False.

    Raises:
        ConfigError: The argument is neither.
    """
    if not isinstance(value, bool):
        raise ConfigError(f"{name} must be True or False, not {shown(value)}")
    return value


def checked_text(
    name: str, value: Any, *, optional: bool = False, may_be_empty: bool = False
) -> Any:
    """Check an argument that must be a text which UTF-8 can encode.

    Returns:
        The argument as a ``str``, or None if it is None and ``optional``.

    Raises:
        ConfigError: The argument is no such text, or is empty and not ``may_be_empty``.
    """
    if value is None and optional:
        return None
    text = as_text(value)
    try:
        if isinstance(text, str) and (text.encode() or may_be_empty):
            return text
    except UnicodeEncodeError:
        pass
    wanted = "a text that UTF-8 can encode" + ("" if may_be_empty else ", and not empty")
    raise ConfigError(
        f"{name} must be {wanted}{_or_nothing(optional=optional)}, not {shown(value)}"
    )


def checked_took_ns(value: Any) -> int:
    """Check the argument ``took_ns``, the duration of a call in nanoseconds.

    Raises:
        ConfigError: The argument is not an integer, is negative, or is more than a log can hold.
    """
    number = as_whole(value)
    if not _is_number(number, int) or not 0 <= number <= MAX_WHOLE:
        raise ConfigError(
            f"took_ns must be a whole number from 0 up to 2**63 - 1, not {shown(value)}"
        )
    return int(number)


def _or_nothing(*, optional: bool) -> str:
    return ", or None" if optional else ""
