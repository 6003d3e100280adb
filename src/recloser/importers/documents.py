"""JSON as traces come in it: one value a line, or one document around an array of many values."""

from collections.abc import Iterator
from typing import IO, Any, Final

import msgspec

from recloser.errors import ImportTraceError
from recloser.importers.source import lines_of, too_long
from recloser.importers.trace import Unreadable

MAX_VALUE_CHARS: Final = 1 << 24
"""A longer line or element is not read."""

MALFORMED: Final = (ValueError, TypeError, LookupError, AttributeError, OverflowError)
"""What comes of reading JSON that has not the shape that it should."""

_PIECE: Final = 1 << 16


def values_of(text: IO[str], key: str) -> Iterator[tuple[int, Any] | Unreadable]:
    """The values in the text, each with the number of its line, or of its place in the document.

    Of a document that is no JSON Lines, those are the elements of its array, or of the array
    under ``key``.
    """
    beginning = [text.readline(MAX_VALUE_CHARS), text.readline(MAX_VALUE_CHARS)]
    are_lines = not beginning[0] or any(map(_is_json, beginning))
    prefix = "item" if beginning[0].lstrip()[:1] == "[" else f"{key}.item"
    rest = _Prefixed([line for line in beginning if line], text)
    del beginning
    yield from _lines(rest) if are_lines else _elements(rest, prefix)


def _is_json(line: str) -> bool:
    try:
        msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return False
    return True


def _lines(text: "_Prefixed") -> Iterator[tuple[int, Any] | Unreadable]:
    for number, line in lines_of(text, MAX_VALUE_CHARS):  # type: ignore[arg-type]  # readline is all it needs
        if line is None:
            yield Unreadable(number, too_long(MAX_VALUE_CHARS))
        elif line.strip():
            try:
                yield number, msgspec.json.decode(line)
            except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
                yield Unreadable(number, f"it is no JSON: {error}")


def _elements(text: "_Prefixed", prefix: str) -> Iterator[tuple[int, Any] | Unreadable]:
    try:
        import ijson
    except ImportError as error:
        raise ImportTraceError(
            "a JSON document that is not one value a line needs ijson: "
            "pip install 'recloser[traces]'"
        ) from error
    number = 0
    try:
        for value in ijson.items(text, prefix, use_float=True):
            number += 1
            text.restart()
            yield number, value
    except (ijson.JSONError, ValueError, RecursionError) as error:
        yield Unreadable(number + 1, f"the document is broken behind its element {number}: {error}")


class _Prefixed:
    """A text whose first two lines were read already; ``read`` gives bytes, as a parser wants them."""

    def __init__(self, beginning: list[str], rest: IO[str]) -> None:
        self._beginning = beginning
        self._rest = rest
        self._since = 0

    def readline(self, limit: int) -> str:
        return self._beginning.pop(0) if self._beginning else self._rest.readline(limit)

    def read(self, size: int = _PIECE) -> bytes:
        if size == 0:
            return b""
        piece = self._beginning.pop(0) if self._beginning else self._rest.read(_PIECE)
        self._since += len(piece)
        if self._since > 2 * MAX_VALUE_CHARS:
            raise ValueError(too_long(2 * MAX_VALUE_CHARS))
        return piece.encode("utf-8", "backslashreplace")

    def restart(self) -> None:
        self._since = 0
