"""Scanner for JSON text that arrives in pieces and is never held whole."""

import json
import re
from collections.abc import Iterator
from typing import Final

from recloser.importers.import_batches import MAX_LINE_CHARS
from recloser.importers.values.json_paths import KeyPath

TOO_SHORT: Final = "the JSON is cut before its end"

raw_decode: Final = json.JSONDecoder().raw_decode
"""Decodes the value at a position of a text; returns it and the index of its end."""

_MAX_SKIPPED: Final = 16 * MAX_LINE_CHARS
"""A value that is too long is skipped; one of more characters than this ends the reading."""

_BETWEEN: Final = re.compile(r"[\s,\x1e\ufeff]*+")
_KEY: Final = re.compile(r'[\s,]*+"([^"\\]*+(?:\\.[^"\\]*+)*+)"\s*+:\s*+(?=\S)', re.DOTALL)
_IN_STRING: Final = re.compile(r'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_BRACKET: Final = re.compile(r"[{}\[\]]")
_SCALAR: Final = re.compile(r"[^\s,\]}]++")
_SHOWN_CHARS: Final = 200
_CUT_CHARS: Final = 10
"""A literal or an escape that is cut shows as an error at most this far before the end."""


class UnfinishedJson(Exception):  # noqa: N818  # a cut file is not an error
    """The text ends, or cannot be read further, within a value; the message says why."""


class JsonScanner:
    """Position in a JSON text.

    The text before the position is forgotten, and more is read as needed.

    Args:
        pieces: The text.

    Attributes:
        text: The part that is held.
        at: The position, as an index into ``text``.
        depth: How many arrays are open around the position.
    """

    def __init__(self, pieces: Iterator[str]) -> None:
        self._pieces = pieces
        self.text = ""
        self.at = 0
        self.depth = 0
        self._indent = ""

    def _read_more(self) -> bool:
        # Doubling what is held keeps the cost linear: a long value is decoded again after each read.
        missing = min(max(1, len(self.text) - self.at), MAX_LINE_CHARS)
        pieces = []
        while missing > 0 and (piece := next(self._pieces, None)) is not None:
            pieces.append(piece)
            missing -= len(piece)
        self.text = self.text[self.at :] + "".join(pieces)
        self.at = 0
        return len(pieces) > 0

    def peek(self) -> str | None:
        """Go to the next value and return its first character.

        At the end of the text, None is returned.
        """
        self._indent = ""
        while True:
            found = _BETWEEN.match(self.text, self.at)
            assert found is not None
            _, is_new_line, tail = found[0].rpartition("\n")
            self._indent = (tail if is_new_line else self._indent + tail)[:_SHOWN_CHARS]
            self.at = found.end()
            if self.at < len(self.text):
                return self.text[self.at]
            if not self._read_more():
                return None

    def read_value(self) -> str | None:
        """Return the text of the value at the position and go past it.

        Returns:
            The text. For a malformed value, its beginning, which is malformed too. None for a value
            of more than ``MAX_LINE_CHARS`` characters.

        Raises:
            UnfinishedJson: The text ends within the value.
        """
        while True:
            try:
                _, end = raw_decode(self.text, self.at)
            except (ValueError, RecursionError) as error:
                offset = _error_position(error, self.text) - self.at
                is_all = len(self.text) - self.at > MAX_LINE_CHARS or not self._read_more()
                if not is_all:
                    continue
                if offset < len(self.text) - self.at:
                    return self._skip_malformed(offset)
                if len(self.text) - self.at > MAX_LINE_CHARS:
                    self.skip()
                    return None
                raise UnfinishedJson(TOO_SHORT) from error
            found = self.text[self.at : end]
            if end == len(self.text) and found[-1] not in '}]"' and self._read_more():
                continue  # a number may continue in the next piece
            self.at += len(found)
            return found if len(found) <= MAX_LINE_CHARS else None

    def _skip_malformed(self, offset: int) -> str:
        """Go past a malformed value, and return the beginning of it.

        Args:
            offset: Where the value is malformed, in characters from its beginning.
        """
        shown = self.text[self.at : self.at + min(offset + 1, _SHOWN_CHARS)]
        # Where the malformed value ends is unknown. An object that is indented as far as it is can
        # only be its neighbour; one that is indented further may be a part of it.
        neighbour = re.compile(r"\n" + re.escape(self._indent) + r"(?=\{)")
        start = self.at + offset
        skipped = 0
        while (found := neighbour.search(self.text, start)) is None:
            skipped += len(self.text) - self.at
            self.at = max(self.at, len(self.text) - len(self._indent) - 1)
            if skipped > _MAX_SKIPPED or not self._read_more():
                raise UnfinishedJson(f"it is not JSON after {shown!r}")
            start = 0
        self.at = found.end()
        return shown

    def enter(self, path: KeyPath) -> bool:
        """Go from the beginning of an object to the value under a path of keys.

        Returns:
            Whether there is such a value. If there is none, the position is after the object.

        Raises:
            UnfinishedJson: The text ends within the object.
        """
        self.at += 1
        for depth, key in enumerate(path):
            if depth and self.peek() != "{":
                self.skip(depth)
                return False
            self.at += bool(depth)
            if not self._go_to(key):
                self.skip(depth)
                return False
        return True

    def _go_to(self, key: str) -> bool:
        """Go to the value of a key in an object, or past the object if it has no such key."""
        while self.peek() != "}":
            found = _KEY.match(self.text, self.at)
            while found is None:
                if len(self.text) - self.at > MAX_LINE_CHARS or not self._read_more():
                    raise UnfinishedJson("the JSON is cut before its end, or malformed")
                found = _KEY.match(self.text, self.at)
            self.at = found.end()
            if found[1] == key or ("\\" in found[1] and _unescaped(found[1]) == key):
                return True
            self.skip()
        self.at += 1
        return False

    def skip(self, depth: int | None = None) -> None:
        """Go past the value at the position, or out of some open objects.

        Args:
            depth: How many objects to leave; None to go past one value.

        Raises:
            UnfinishedJson: The text ends before, or the value is longer than 16 MiB.
        """
        if depth is None and self.peek() not in ("{", "[", '"'):
            self._skip_scalar()
            return
        if depth == 0:
            return
        open_brackets, skipped = depth or 0, 0
        while True:
            quote = self.text.find('"', self.at)
            end = len(self.text) if quote < 0 else quote
            skipped += end - self.at
            stretch = self.text[self.at : end]
            closed = stretch.count("}") + stretch.count("]")
            if closed >= open_brackets and (closed or open_brackets):
                for found in _BRACKET.finditer(stretch):
                    open_brackets += 1 if found[0] in "{[" else -1
                    if open_brackets <= 0:
                        self.at += found.end()
                        return
            else:
                open_brackets += stretch.count("{") + stretch.count("[") - closed
            self.at = end
            if quote >= 0:
                skipped += self._skip_string()
                if open_brackets <= 0:
                    return
            else:
                self._read_more_to_skip(skipped)

    def _read_more_to_skip(self, skipped: int) -> None:
        if skipped > _MAX_SKIPPED:
            raise UnfinishedJson(f"a value is longer than {_MAX_SKIPPED:,} characters")
        if not self._read_more():
            raise UnfinishedJson(TOO_SHORT)

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
            self._read_more_to_skip(skipped)

    def _skip_scalar(self) -> None:
        while True:
            found = _SCALAR.match(self.text, self.at)
            self.at = self.at if found is None else found.end()
            if self.at < len(self.text):
                # A character that cannot begin a value is passed over too.
                self.at += found is None
                return
            if not self._read_more():
                return


def _error_position(error: Exception, text: str) -> int:
    """Return where a text is malformed; its length if the text may only be incomplete."""
    if not isinstance(error, json.JSONDecodeError) or error.msg.startswith("Unterminated"):
        return len(text)
    return error.pos if error.pos + _CUT_CHARS < len(text) else len(text)


def _unescaped(key: str) -> str:
    try:
        return str(json.loads(f'"{key}"'))
    except ValueError:
        return key
