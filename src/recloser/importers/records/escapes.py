r"""Escapes such as ``\x22`` and ``#22``, replaced by the characters they stand for.

Only printable characters are restored; an escaped control character stays escaped.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

_SLASHED: Final = re.compile(r'((?:\\x[0-9A-Fa-f]{2})++)|\\u([0-9A-Fa-f]{4})|\\(["\\/\]])')
_HASHED: Final = re.compile(r"((?:#[0-9A-F]{2})++)")
Unescape: TypeAlias = Callable[[str], str]


def _of_bytes(written: str, mark: str) -> str:
    text = bytes.fromhex(written.replace(mark, "")).decode(errors="backslashreplace")
    return "".join(map(_shown, text))


def _shown(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape").decode()


def _slashed(found: re.Match[str]) -> str:
    if found[1]:
        return _of_bytes(found[1], "\\x")
    return _shown(chr(int(found[2], 16))) if found[2] else found[3]


def _hashed(found: re.Match[str]) -> str:
    return _of_bytes(found[1], "#")


def escaping_of(language: str, formats: Sequence[str]) -> tuple[str, Unescape] | None:
    """Return how a server escapes values: the first character, and the replacement.

    Args:
        language: The language of the format strings.
        formats: The format strings.

    Returns:
        None where nothing is escaped.
    """
    if language == "apache" or (
        language == "nginx" and not any("escape=none" in text for text in formats)
    ):
        return "\\", lambda value: _SLASHED.sub(_slashed, value)
    if language == "haproxy":
        if any("+E" in text for text in formats):
            return "\\", lambda value: _SLASHED.sub(_slashed, value)
        return "#", lambda value: _HASHED.sub(_hashed, value)
    return None


def unescaped_column(column: Sequence[Any], mark: str, unescape: Unescape) -> Sequence[Any]:
    """Replace the escapes in a column; a column without any is returned as it is."""
    try:
        if mark not in "".join(column):
            return column
    except TypeError:  # None, for a line that lacks the value
        pass
    return [value if value is None or mark not in value else unescape(value) for value in column]
