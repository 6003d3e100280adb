"""The first stage of an import: the lines of files and of standard input, whatever packs them."""

import codecs
import io
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from attrs import define, field

from recloser.errors import ImportTraceError
from recloser.importers.json_documents import KeyPath, has_path, is_document, values_in
from recloser.importers.stages import BATCH_LINES, MAX_LINE_CHARS, Lines
from recloser.importers.unpacking import unpacked
from recloser.log.counting_reader import CountingFile, OnRead

Split: TypeAlias = Callable[[str, io.BufferedReader], Iterator[Lines] | None]
"""Makes lines of a file of a name; None where it is not for that file."""

_PIECE: Final = 1 << 19
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_GUESSED: Final = 64
"""UTF-16 without a BOM is recognised by the zero bytes among this many first ones."""


@define
class Inputs:
    """Files to import, in the order that they are read in; ``-`` is standard input.

    Attributes:
        paths: The files.
        on_read: Told of the bytes of the files as they are read.
        cuts: By the name of a file that ends before its end, why; filled as files are read.
        records: The keys that lead to the array of records in JSON, as the user says; empty to look.
        known: Such paths of formats, which are looked for, each with what all its records have.
        split: Makes lines of files of spans.
    """

    paths: Sequence[str]
    on_read: OnRead | None = None
    cuts: dict[str, str] = field(factory=dict)
    records: KeyPath = ()
    known: Sequence[tuple[KeyPath, Sequence[KeyPath]]] = ()
    split: "Split | None" = None

    def lines(self) -> Iterator[Lines]:
        """All lines, in batches.

        Raises:
            ImportTraceError: A file can't be opened, or nothing of it can be unpacked.
        """
        for path in self.paths:
            try:
                with _opened(path, self.on_read) as raw:
                    for name, stream in unpacked(path, raw, self.cuts.__setitem__):
                        yield from self._read(name, stream)
            except OSError as error:
                raise ImportTraceError(f"{path}: {error.strerror or error}") from error

    def _read(self, name: str, stream: io.BufferedReader) -> Iterator[Lines]:
        """The lines of one file, or the values of it if it is a JSON document."""
        lines = None if self.records or self.split is None else self.split(name, stream)
        if lines is not None:
            yield from lines
            return
        head = stream.peek(_PIECE)
        encoding, bom = _encoding_of(head[:_GUESSED])
        start = head[bom:].decode(encoding, errors="ignore")
        is_json = start.lstrip()[:1] in ("{", "[")
        if self.records and not is_json and start.strip():
            raise ImportTraceError(f"{name}: it is no JSON, in which --records could name an array")
        path = self.records if is_json else ()
        if is_json and not path:
            path = next((each for each, keys in self.known if has_path(start, each, keys)), ())
        if not path and not is_document(start):
            yield from lines_of(name, stream)
            return
        stream.read(bom)
        decode = codecs.getincrementaldecoder(encoding)(errors="backslashreplace").decode
        pieces = (decode(piece) for piece in iter(lambda: stream.read1(_PIECE), b""))
        try:
            values = values_in(pieces, path, lambda why: self._cut(name, why))
            yield from _batches_of(name, values)
        except ImportTraceError as error:
            raise ImportTraceError(f"{name}: {error}") from error

    def _cut(self, name: str, why: str) -> None:
        # Why its bytes end is known better than that they do.
        self.cuts.setdefault(name, why)


def _batches_of(name: str, values: Iterable[str | None]) -> Iterator[Lines]:
    batch = Lines(name, 1, [], "record")
    chars = 0
    for value in values:
        batch.texts.append(value)
        chars += len(value or "")
        if len(batch.texts) == BATCH_LINES or chars >= MAX_LINE_CHARS:
            yield batch
            batch, chars = Lines(name, batch.first + len(batch.texts), [], "record"), 0
    if batch.texts:
        yield batch


def lines_of(name: str, stream: io.BufferedReader) -> Iterator[Lines]:
    """The lines of one file, in batches; bytes that are no text are shown escaped.

    Args:
        name: The file's name.
        stream: Its bytes, decompressed.
    """
    encoding, bom = _encoding_of(stream.peek(_GUESSED)[:_GUESSED])
    stream.read(bom)
    decode = codecs.getincrementaldecoder(encoding)(errors="backslashreplace").decode
    number, rest, is_too_long = 1, "", False
    while True:
        piece = stream.read1(_PIECE)
        # A piece after the last one ends what is left, and is made of it.
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
            yield Lines(name, number, batch)
            number += len(batch)
        if not piece:
            return


def _encoding_of(start: bytes) -> tuple[str, int]:
    """The encoding of a text by its first bytes, and how many of them are its byte order mark."""
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
    return io.BufferedReader(raw if on_read is None else CountingFile(raw, on_read), _PIECE)
