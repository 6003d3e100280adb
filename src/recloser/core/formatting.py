"""Text for people: names that are safe on a terminal, durations, and numbers with their nouns."""

import unicodedata
from typing import Final

# Control and format characters (which include those that turn the reading order), surrogates,
# and the separators of lines and paragraphs.
_UNSAFE_CATEGORIES: Final = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))

_NS_PER_S: Final = 1_000_000_000
_NS_PER_MINUTE: Final = 60 * _NS_PER_S
_SMALLER_UNITS: Final = (("s", _NS_PER_S), ("ms", 1_000_000), ("us", 1_000))


def printable(text: str) -> str:
    """Escape every character that could steer a terminal or change the reading order."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode("ascii")
        if unicodedata.category(char) in _UNSAFE_CATEGORIES
        else char
        for char in text
    )


def duration(ns: int) -> str:
    """Format a duration of nanoseconds: ``12 ns``, ``1.500 ms``, ``21 min 51 s``.

    Below a minute three decimals are shown; from a minute on, whole seconds, rounded down.
    """
    if ns >= _NS_PER_MINUTE:
        minutes, seconds = divmod(ns // _NS_PER_S, 60)
        hours, minutes = divmod(minutes, 60)
        if hours:
            return f"{hours} h {minutes:02} min {seconds:02} s"
        return f"{minutes} min {seconds:02} s"
    for unit, size in _SMALLER_UNITS:
        if ns >= size:
            return f"{ns / size:.3f} {unit}"
    return f"{ns} ns"


def quantity(count: int, noun: str, plural: str | None = None) -> str:
    """Format a number with its noun: ``1 call``, ``1,024 calls``.

    Args:
        count: The number.
        noun: The noun for one.
        plural: The noun for any other number; by default ``noun`` with an ``s``.
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
