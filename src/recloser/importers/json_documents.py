"""JSON values of a text, whatever the white space: one after another, in arrays, or under a path.

A text of one value a line needs none of this; here are the others, such as an array of a gigabyte on
one line. The values come out one at a time, as text, so that a file of any size needs little memory.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias

from recloser.errors import ImportTraceError
from recloser.importers.records.json_lines import value_at
from recloser.importers.stages import MAX_LINE_CHARS

_MOST_SKIPPED: Final = 16 * MAX_LINE_CHARS
"""A value that is too long is skipped; one beyond this many characters ends the reading of its file."""

_raw_decode: Final = json.JSONDecoder().raw_decode
_BETWEEN: Final = re.compile(r"[\s,\x1e\ufeff]*+")
_KEY: Final = re.compile(r'[\s,]*+"([^"\\]*+(?:\\.[^"\\]*+)*+)"\s*+:\s*+(?=\S)', re.DOTALL)
_IN_STRING: Final = re.compile(r'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_BRACKET: Final = re.compile(r"[{}\[\]]")
_SCALAR: Final = re.compile(r"[^\s,\]}]++")
_SHOWN: Final = 200
_CUT: Final = 10
"""A word or an escape that is cut shows as an error at most so far before the end."""

_TOO_SHORT: Final = "the JSON ends before its end"

KeyPath: TypeAlias = Sequence[str]


def is_document(head: str) -> bool:
    """Whether a text is JSON, but not one value a line.

    Args:
        head: Its beginning.
    """
    start = head.lstrip("\ufeff \t\r\n\x1e")
    if start.startswith("["):
        # A line of a log may begin with a time or a level in brackets.
        return start[1:].lstrip()[:1] in ("{", "]")
    if not start.startswith("{"):
        return False
    line, has_ended, _ = start.partition("\n")
    line = line.rstrip()
    try:
        _, end = _raw_decode(line)
    except RecursionError:
        return not has_ended
    except ValueError as error:
        # Where it is right up to the end of the line, it goes on in the next one.
        return not has_ended or getattr(error, "pos", 0) >= len(line)
    return line[end:].lstrip()[:1] in ("{", "[", ",")


def has_path(head: str, path: KeyPath, keys: Sequence[KeyPath] = ()) -> bool:
    """Whether the first value of a text has an array of records under a path.

    Args:
        head: The beginning of the text.
        path: The keys that lead to the array.
        keys: The paths that every record has, by which the first is told from other objects.
    """
    start = head.lstrip("\ufeff \t\r\n\x1e")
    if not start.startswith("{"):
        return False
    text = _Text(iter([start]))
    try:
        if text.mark() != "{" or not text.enter(path) or text.text[text.at] != "[":
            return False
    except _Ended:
        return False
    start = text.text[text.at + 1 :].lstrip()
    try:
        record, _ = _raw_decode(start)
    except (ValueError, RecursionError):  # it is longer than the beginning
        return all(f'"{key[-1]}"' in start for key in keys)
    return all(value_at(record, key) is not None for key in keys)


def values_in(
    pieces: Iterator[str], path: KeyPath, on_cut: Callable[[str], None]
) -> Iterator[str | None]:
    """The values of a text: those that stand in it, or in its arrays, or in the array under a path.

    Args:
        pieces: The text.
        path: The keys that lead to the array; empty for the values themselves.
        on_cut: Told why the text ends before its end.

    Yields:
        The text of each value; for one that is malformed its beginning, which is malformed too, and
        None for one of more than ``MAX_LINE_CHARS`` characters.

    Raises:
        ImportTraceError: No value has anything under the path.
    """
    text = _Text(pieces)
    was_found = not path
    try:
        while (mark := text.mark()) is not None:
            if mark in "[]":
                text.at += 1
                text.depth = max(0, text.depth + (1 if mark == "[" else -1))
            elif not path:
                yield text.value()
            elif mark != "{":
                text.skip()
            elif text.enter(path):
                was_found = True
                yield from _elements(text)
                text.skip(len(path))
        if text.depth:
            on_cut(_TOO_SHORT)
    except _Ended as ended:
        on_cut(str(ended))
    if not was_found:
        raise ImportTraceError(
            f"there is nothing under {'.'.join(path)}, where its records should be"
        )


def _elements(text: "_Text") -> Iterator[str | None]:
    """The elements of the array that stands here; the value itself if it is none."""
    if text.text[text.at] != "[":
        yield text.value()
        return
    text.at += 1
    while (mark := text.mark()) != "]":
        if mark is None:
            raise _Ended(_TOO_SHORT)
        yield text.value()
    text.at += 1


class _Ended(Exception):  # noqa: N818  # it may be no error
    """The text ends within a value."""


class _Text:
    """Text that comes in pieces, and a place in it.

    Attributes:
        text: What is kept of it.
        at: The place.
        depth: How many arrays are open around values.
    """

    def __init__(self, pieces: Iterator[str]) -> None:
        self._pieces = pieces
        self.text = ""
        self.at = 0
        self.depth = 0
        self._indent = ""

    def _more(self) -> bool:
        # As much again as there is, so that a long value in short pieces is not begun too often.
        missing = min(max(1, len(self.text) - self.at), MAX_LINE_CHARS)
        pieces = []
        while missing > 0 and (piece := next(self._pieces, None)) is not None:
            pieces.append(piece)
            missing -= len(piece)
        self.text = self.text[self.at :] + "".join(pieces)
        self.at = 0
        return len(pieces) > 0

    def mark(self) -> str | None:
        """The character that the next value begins with; None at the end."""
        self._indent = ""
        while True:
            found = _BETWEEN.match(self.text, self.at)
            assert found is not None
            _, is_new_line, tail = found[0].rpartition("\n")
            self._indent = (tail if is_new_line else self._indent + tail)[:_SHOWN]
            self.at = found.end()
            if self.at < len(self.text):
                return self.text[self.at]
            if not self._more():
                return None

    def value(self) -> str | None:
        """The text of the value that begins here; the place is after it then."""
        while True:
            try:
                _, end = _raw_decode(self.text, self.at)
            except (ValueError, RecursionError) as error:
                place = _place_in(error, self.text) - self.at
                is_all = len(self.text) - self.at > MAX_LINE_CHARS or not self._more()
                if not is_all:
                    continue
                if place < len(self.text) - self.at:
                    return self._after_malformed(place)
                if len(self.text) - self.at > MAX_LINE_CHARS:
                    self.skip()
                    return None
                raise _Ended(_TOO_SHORT) from error
            found = self.text[self.at : end]
            if end == len(self.text) and found[-1] not in '}]"' and self._more():
                continue  # a number that may go on
            self.at += len(found)
            return found if len(found) <= MAX_LINE_CHARS else None

    def _after_malformed(self, place: int) -> str:
        """Go on after a value that is malformed so far behind its beginning, and give that."""
        shown = self.text[self.at : self.at + min(place + 1, _SHOWN)]
        # Only what stands as far to the right as it can be its neighbour, and not part of it.
        following = re.compile(r"\n" + re.escape(self._indent) + r"(?=\{)")
        place += self.at
        skipped = 0
        while (found := following.search(self.text, place)) is None:
            skipped += len(self.text) - self.at
            self.at = max(self.at, len(self.text) - len(self._indent) - 1)
            if skipped > _MOST_SKIPPED or not self._more():
                raise _Ended(f"it is no JSON after {shown!r}")
            place = 0
        self.at = found.end()
        return shown

    def enter(self, path: KeyPath) -> bool:
        """Go into the object that begins here, to the value under a path.

        Returns:
            Whether there is one; the place is after the object where there is none.
        """
        self.at += 1
        for depth, key in enumerate(path):
            if depth and self.mark() != "{":
                self.skip(depth)
                return False
            self.at += bool(depth)
            if not self._go_to(key):
                self.skip(depth)
                return False
        return True

    def _go_to(self, key: str) -> bool:
        """Go to the value of a key in the object here; to the object's end where there is none."""
        while self.mark() != "}":
            found = _KEY.match(self.text, self.at)
            while found is None:
                if len(self.text) - self.at > MAX_LINE_CHARS or not self._more():
                    raise _Ended("the JSON ends before its end, or is malformed")
                found = _KEY.match(self.text, self.at)
            self.at = found.end()
            if found[1] == key or ("\\" in found[1] and _unescaped(found[1]) == key):
                return True
            self.skip()
        self.at += 1
        return False

    def skip(self, depth: int | None = None) -> None:
        """Go past the value that begins here, or out of so many objects that are open."""
        if depth is None and self.mark() not in ("{", "[", '"'):
            self._skip_scalar()
            return
        if depth == 0:
            return
        open_now, skipped = depth or 0, 0
        while True:
            quote = self.text.find('"', self.at)
            end = len(self.text) if quote < 0 else quote
            skipped += end - self.at
            stretch = self.text[self.at : end]
            closed = stretch.count("}") + stretch.count("]")
            if closed >= open_now and (closed or open_now):
                for found in _BRACKET.finditer(stretch):
                    open_now += 1 if found[0] in "{[" else -1
                    if open_now <= 0:
                        self.at += found.end()
                        return
            else:
                open_now += stretch.count("{") + stretch.count("[") - closed
            self.at = end
            if quote >= 0:
                skipped += self._skip_string()
                if open_now <= 0:
                    return
            else:
                self._more_to_skip(skipped)

    def _more_to_skip(self, skipped: int) -> None:
        if skipped > _MOST_SKIPPED:
            raise _Ended(f"a value is longer than {_MOST_SKIPPED:,} characters")
        if not self._more():
            raise _Ended(_TOO_SHORT)

    def _skip_string(self) -> int:
        self.at += 1
        skipped = 0
        while True:
            found = _IN_STRING.match(self.text, self.at)
            assert found is not None
            skipped += found.end() - self.at
            self.at = found.end()
            if self.text[self.at : self.at + 1] == '"':
                self.at += 1
                return skipped
            self._more_to_skip(skipped)

    def _skip_scalar(self) -> None:
        while True:
            found = _SCALAR.match(self.text, self.at)
            self.at = self.at if found is None else found.end()
            if self.at < len(self.text):
                # Something that can't begin a value is passed over too.
                self.at += found is None
                return
            if not self._more():
                return


def _place_in(error: Exception, text: str) -> int:
    """Where a text is malformed; its end where it may be that it only goes on."""
    if not isinstance(error, json.JSONDecodeError) or error.msg.startswith("Unterminated"):
        return len(text)
    return error.pos if error.pos + _CUT < len(text) else len(text)


def _unescaped(key: str) -> str:
    try:
        return str(json.loads(f'"{key}"'))
    except ValueError:
        return key
