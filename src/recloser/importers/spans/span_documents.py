"""Files of spans, cut into JSON values.

The values are yielded as ``LineBatch``, one value per text, whatever the layout of the file. A
document of more than 4 MiB is never held whole: its traces, resources or spans are cut out of it.
"""

import io
import re
from collections.abc import Iterator
from typing import Final

import msgspec

from recloser.importers.import_batches import BATCH_LINES, LineBatch, Unreadable
from recloser.importers.spans.otlp_protobuf import is_protobuf, span_values_of_protobuf
from recloser.importers.spans.span_shapes import MALFORMED, UnreadableSpan, shape_of_text

MAX_VALUE_BYTES: Final = 1 << 24
"""A value of more bytes is not read."""

_WHOLE_BYTES: Final = 1 << 22
"""A document of at most this many bytes is yielded whole; a longer first line is one document."""

_TOO_LONG: Final = f"it is longer than {MAX_VALUE_BYTES:,} bytes"
_PIECE_BYTES: Final = 1 << 19
_SNIFFED_BYTES: Final = 1 << 16
_BATCH_CHARS: Final = 1 << 20

# The text before the next bracket that is not in a string, and the bracket.
_BRACKET: Final = re.compile(rb'((?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+)([{}\[\]])', re.DOTALL)
_KEY: Final = re.compile(rb'"((?:[^"\\]++|\\.)*+)"\s*+:\s*+\Z')
_OPENED_PATHS: Final = {
    (b"data",),
    (b"data", b"trace"),
    (b"data", b"trace", b"spans"),
    (b"data", b"queryTrace"),
    (b"data", b"queryTrace", b"spans"),
    (b"resourceSpans",),
    (b"batches",),
    (b"trace",),
    (b"trace", b"resourceSpans"),
    (b"trace", b"batches"),
    (b"result",),
    (b"result", b"resourceSpans"),
    (b"hits",),
    (b"hits", b"hits"),
    (b"circuitBreakerEvents",),
}
"""The keys of a large document under which values are cut out of it."""


def holds_spans(head: bytes) -> bool:
    """Return whether a file that begins with some bytes holds spans."""
    if is_protobuf(head):
        return True
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return start[:1] in (b"{", b"[") and shape_of_text(head.decode("utf-8", "replace")) is not None


def span_values(name: str, stream: io.BufferedReader) -> Iterator[LineBatch]:
    """Yield the JSON values in a file of spans, in batches.

    Each value has the number of the line that it begins in.

    Args:
        name: The name of the file.
        stream: Its bytes, decompressed.
    """
    if is_protobuf(stream.peek(_SNIFFED_BYTES)):
        yield from span_values_of_protobuf(name, stream)
        return
    window = _Window(stream)
    window.skip(b"\xef\xbb\xbf")
    yield from _lines(name, window) if _are_lines(window) else _elements(name, window)


class _Window:
    """Part of a stream that is held in memory.

    Attributes:
        data: The bytes.
        at: The index in ``data`` of the first byte that is not taken yet.
        line: The number of the line of that byte.
        is_ended: Whether the stream has no more bytes.
    """

    def __init__(self, stream: io.BufferedReader) -> None:
        self._stream = stream
        self.data = b""
        self.at = 0
        self.line = 1
        self.is_ended = False

    def grow(self) -> bool:
        """Read more of the stream, doubling what is held; return False at its end."""
        wanted = max(_PIECE_BYTES, self.size)
        pieces = []
        while wanted > 0 and (piece := self._stream.read1(min(wanted, _PIECE_BYTES))):
            pieces.append(piece)
            wanted -= len(piece)
        self.is_ended = wanted > 0
        self.data = b"".join([self.data, *pieces])
        return bool(pieces)

    def skip(self, start: bytes) -> None:
        self.grow()
        self.data = self.data.removeprefix(start)

    @property
    def size(self) -> int:
        """How many bytes are held and not yet taken."""
        return len(self.data) - self.at

    def take(self, end: int) -> bytes:
        """Return the bytes up to an index, and forget them."""
        taken = self.data[self.at : end]
        self.line += taken.count(b"\n")
        self.at = end
        # What is left is copied only now and then: it may hold thousands of values.
        if self.at > _PIECE_BYTES and self.at > self.size:
            self.data, self.at = self.data[self.at :], 0
        return taken


def _are_lines(window: _Window) -> bool:
    """Return whether a file has one JSON value per line, judging by its first two lines."""
    end = _line_end(window, 0)
    if end > _WHOLE_BYTES:
        return False
    first = window.data[:end]
    if _is_value(first) or not first.strip():
        return True
    second = window.data[end + 1 : _line_end(window, end + 1)]
    return first.strip() not in (b"[", b"{") and _is_value(second)


def _line_end(window: _Window, start: int) -> int:
    while (end := window.data.find(b"\n", start)) < 0:
        if len(window.data) - start > _WHOLE_BYTES or not window.grow():
            return len(window.data)
    return end


def _is_value(line: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(line), list | dict)
    except MALFORMED:
        return False


def _lines(name: str, window: _Window) -> Iterator[LineBatch]:
    batch = LineBatch(name, 1, [])
    chars = 0
    is_too_long = False
    while True:
        start = 0
        while (end := window.data.find(b"\n", start)) >= 0:
            _add(batch, window.data[start:end], is_too_long=is_too_long)
            is_too_long = False
            chars += end - start
            start = end + 1
            if chars > _BATCH_CHARS or len(batch.texts) == BATCH_LINES:
                yield batch
                batch, chars = LineBatch(name, batch.first + len(batch.texts), []), 0
        window.data = window.data[start:]
        if len(window.data) > MAX_VALUE_BYTES:
            window.data, is_too_long = b"", True
        if not window.grow():
            break
    if window.data or is_too_long:
        _add(batch, window.data, is_too_long=is_too_long)
    if batch.texts:
        yield batch


def _add(batch: LineBatch, line: bytes, *, is_too_long: bool) -> None:
    if is_too_long or len(line) > MAX_VALUE_BYTES:
        number = batch.first + len(batch.texts)
        batch.unreadable.append(Unreadable(number, _TOO_LONG, batch.source))
        line = b""
    batch.texts.append(_text(line))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def _elements(name: str, window: _Window) -> Iterator[LineBatch]:
    """Yield the JSON values of a file whose documents are not one per line."""
    cutter = _Cutter(window)
    for line, value in cutter.values():
        if isinstance(value, UnreadableSpan):
            yield LineBatch(name, line, [], unreadable=[Unreadable(line, value.why, name)])
        else:
            yield LineBatch(name, line, [value])


class _Cutter:
    """Cuts values out of documents.

    Args:
        window: The documents.
    """

    def __init__(self, window: _Window) -> None:
        self._window = window
        self._opened: list[tuple[bytes, bytes]] = []
        """The open brackets in which values are looked for, each with its key."""

    def values(self) -> Iterator[tuple[int, str | UnreadableSpan]]:
        """Yield the values, and the reasons for unreadable ones.

        Each has the number of the line that it begins in.
        """
        window = self._window
        while (found := _next_bracket(window)) is not None:
            before, bracket = found.group(1), found.group(2)
            if not self._opened and before.strip(b" \t\r\n,"):
                yield window.line, UnreadableSpan("it is not JSON: " + _text(before.strip()[:40]))
            window.take(found.end() - 1)
            key = _key_of(before) if self._opened else b""
            if bracket in b"}]":
                self._opened = self._opened[:-1]
                window.take(window.at + 1)
            elif self._has_values(bracket, key):
                self._opened.append((bracket, key))
                window.take(window.at + 1)
            else:
                line = window.line
                end = _end_of(window, MAX_VALUE_BYTES)
                if end is None:
                    is_cut = window.is_ended and window.size <= MAX_VALUE_BYTES
                    yield line, _cut(line) if is_cut else UnreadableSpan(_TOO_LONG)
                    return
                value = window.take(end)
                if not self._opened or self._opened[-1][0] == b"[":
                    yield line, _text(value)
        if self._opened or window.data[window.at :].strip():
            yield window.line, _cut(window.line)

    def _has_values(self, bracket: bytes, key: bytes) -> bool:
        """Return whether values are cut out of the object or array at the position."""
        if self._opened:
            path = (*(under for _, under in self._opened if under), key)
            return bool(key) and path in _OPENED_PATHS
        if bracket == b"[":
            return True
        # It is too large to be yielded whole, or cut: then the values before the cut are yielded.
        return _end_of(self._window, _WHOLE_BYTES) is None and _has_opened(self._window)


def _cut(line: int) -> UnreadableSpan:
    return UnreadableSpan(f"the document is cut in the value that begins in line {line}")


def _key_of(before: bytes) -> bytes:
    found = _KEY.search(before[-256:])
    return found[1] if found else b""


def _next_bracket(window: _Window) -> "re.Match[bytes] | None":
    while (found := _BRACKET.match(window.data, window.at)) is None:
        if window.size > MAX_VALUE_BYTES or not window.grow():
            return None
    return found


def _end_of(window: _Window, limit: int) -> int | None:
    """Return the index of the end of the value at the position, within a limit."""
    depth, at = 0, window.at
    while True:
        while (found := _BRACKET.match(window.data, at)) is not None:
            at = found.end()
            depth += 1 if found[2] in b"{[" else -1
            if depth == 0:
                return at if at - window.at <= limit else None
        if at - window.at > limit or window.size > limit or not window.grow():
            return None


def _has_opened(window: _Window) -> bool:
    """Return whether a document is to be cut into values.

    It is if it has, before any spans, a key whose value holds them.
    """
    depth, at = 0, window.at
    while (found := _BRACKET.match(window.data, at)) is not None:
        at = found.end()
        if found[2] in b"}]":
            depth -= 1
            continue
        depth += 1
        key = _key_of(found[1])
        if depth == 2 and (key,) in _OPENED_PATHS:  # noqa: PLR2004  # within the document
            return True
        if depth == 2 and key in (b"spans", b"scopeSpans"):  # noqa: PLR2004
            return False
    return False
