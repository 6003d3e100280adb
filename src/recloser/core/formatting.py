"""Formatting for people: text that is safe to print, durations, counts with their nouns."""

import unicodedata
from typing import Final

_UNSAFE: Final = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))


def printable(text: str) -> str:
    """The text with characters escaped that control a terminal or the reading order."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode("ascii")
        if unicodedata.category(char) in _UNSAFE
        else char
        for char in text
    )


def duration(ns: int) -> str:
    """A duration in nanoseconds for people, in the unit that fits it: ``1.250 ms``."""
    if ns >= 60_000_000_000:  # noqa: PLR2004  # a minute
        minutes, rest = divmod(ns // 1_000_000_000, 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours} h {minutes:02} min {rest:02} s" if hours else f"{minutes} min {rest:02} s"
    for unit, size in (("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)):
        if ns >= size:
            return f"{ns / size:.3f} {unit}"
    return f"{ns} ns"


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """A count with its noun: ``1 call``, ``1,024 calls``."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
