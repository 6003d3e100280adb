"""First stage of an import: the lines of files and of standard input."""

import codecs
import io
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from attrs import define, field

from recloser.errors import ImportTraceError
from recloser.importers.import_batches import BATCH_LINES, MAX_LINE_CHARS, LineBatch
from recloser.importers.input.json_documents import has_path, is_json_document, json_values
from recloser.importers.input.unpacking import unpacked_files
from recloser.importers.values.json_paths import KeyPath
from recloser.log.counting_reader import CountingFile, OnRead

SplitFile: TypeAlias = Callable[[str, io.BufferedReader], Iterator[LineBatch] | None]
"""Splits a file into batches, given its name and bytes; returns None for files it does not handle."""

_PIECE_BYTES: Final = 1 << 19
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SNIFFED_BYTES: Final = 64
"""UTF-16 without a byte order mark is recognised by the zero bytes among the first ones."""


@define
class Inputs:
    """The files to import, in the order in which they are read.

    The path ``-`` is standard input.

    Attributes:
        paths: The paths of the files.
        on_read: Called with the number of bytes as the files are read, for a progress bar.
        cuts: Why a file is cut, by its name; filled as the files are read.
        records: The path to the array of records in JSON that the user names; empty to detect it.
        known: The paths to such arrays in known formats, each with the keys that all records have.
        split: Splits files of spans, which are not read as lines.
    """

    paths: Sequence[str]
    on_read: OnRead | None = None
    cuts: dict[str, str] = field(factory=dict)
    records: KeyPath = ()
    known: Sequence[tuple[KeyPath, Sequence[KeyPath]]] = ()
    split: "SplitFile | None" = None

    def lines(self) -> Iterator[LineBatch]:
        """Yield all lines, in batches.

        Raises:
            ImportTraceError: A file cannot be opened, or nothing of it can be unpacked.
        """
        for path in self.paths:
            try:
                with _opened(path, self.on_read) as raw:
                    for name, stream in unpacked_files(path, raw, self.cuts.__setitem__):
                        yield from self._read(name, stream)
            except OSError as error:
                raise ImportTraceError(f"{path}: {error.strerror or error}") from error

    def _read(self, name: str, stream: io.BufferedReader) -> Iterator[LineBatch]:
        """Yield the lines of a file, or its values if it is a JSON document."""
        lines = None if self.records or self.split is None else self.split(name, stream)
        if lines is not None:
            yield from lines
            return
        head = stream.peek(_PIECE_BYTES)
        encoding, bom = _encoding_of(head[:_SNIFFED_BYTES])
        start = head[bom:].decode(encoding, errors="ignore")
        is_json = start.lstrip()[:1] in ("{", "[")
        if self.records and not is_json and start.strip():
            raise ImportTraceError(
                f"{name}: --records names an array in JSON, and this file is not JSON; leave --records out"
            )
        path = self.records if is_json else ()
        if is_json and not path:
            path = next((each for each, keys in self.known if has_path(start, each, keys)), ())
        if not path and not is_json_document(start):
            yield from text_lines_of(name, stream)
            return
        stream.read(bom)
        decode = codecs.getincrementaldecoder(encoding)(errors="backslashreplace").decode
        pieces = (decode(piece) for piece in iter(lambda: stream.read1(_PIECE_BYTES), b""))
        try:
            values = json_values(pieces, path, lambda why: self._cut(name, why))
            yield from _batches_of(name, values)
        except ImportTraceError as error:
            raise ImportTraceError(f"{name}: {error}") from error

    def _cut(self, name: str, why: str) -> None:
        # A reason from decompression is the cause; that the JSON ends early only follows from it.
        self.cuts.setdefault(name, why)


def _batches_of(name: str, values: Iterable[str | None]) -> Iterator[LineBatch]:
    batch = LineBatch(name, 1, [], "record")
    chars = 0
    for value in values:
        batch.texts.append(value)
        chars += len(value or "")
        if len(batch.texts) == BATCH_LINES or chars >= MAX_LINE_CHARS:
            yield batch
            batch, chars = LineBatch(name, batch.first + len(batch.texts), [], "record"), 0
    if batch.texts:
        yield batch


def text_lines_of(name: str, stream: io.BufferedReader) -> Iterator[LineBatch]:
    """Yield the lines of one file, in batches.

    Bytes that are not text are shown escaped.

    Args:
        name: The name of the file.
        stream: Its bytes, decompressed.
    """
    encoding, bom = _encoding_of(stream.peek(_SNIFFED_BYTES)[:_SNIFFED_BYTES])
    stream.read(bom)
    decode = codecs.getincrementaldecoder(encoding)(errors="backslashreplace").decode
    number, rest, is_too_long = 1, "", False
    while True:
        piece = stream.read1(_PIECE_BYTES)
        # An empty piece is the end of the file: what is left over is its last line.
        text = rest + decode(piece, final=not piece)
        texts: list[str | None] = list(text.split("\n"))
        if "\r" in text:
            texts = [line.removesuffix("\r") for line in text.split("\n")]
        rest = (texts.pop() or "") if piece else ""
        if not piece and not texts[-1] and not is_too_long:
            texts.pop()
        if is_too_long and texts:
            texts[0], is_too_long = None, False
        if is_too_long or len(rest) > MAX_LINE_CHARS:
            rest, is_too_long = "", True
        if len(text) > MAX_LINE_CHARS:
            texts = [None if t is None or len(t) > MAX_LINE_CHARS else t for t in texts]
        for start in range(0, len(texts), BATCH_LINES):
            batch = texts[start : start + BATCH_LINES]
            yield LineBatch(name, number, batch)
            number += len(batch)
        if not piece:
            return


def _encoding_of(start: bytes) -> tuple[str, int]:
    """Return the encoding of a text, and how many bytes its byte order mark has."""
    for bom, encoding in _BOMS:
        if start.startswith(bom):
            return encoding, len(bom)
    even, odd = start[::2], start[1::2]
    if odd and not any(odd) and all(even):
        return "utf-16-le", 0
    if odd and not any(even) and all(odd):
        return "utf-16-be", 0
    return "utf-8", 0


def _opened(path: str, on_read: OnRead | None) -> io.BufferedReader:
    raw = io.FileIO(sys.stdin.fileno(), closefd=False) if path == "-" else io.FileIO(Path(path))
    return io.BufferedReader(raw if on_read is None else CountingFile(raw, on_read), _PIECE_BYTES)
