"""JSON that is not one value per line, cut into values.

The values may be in arrays or documents, in any layout. An array of a gigabyte on one line is one
example. The values come out one at a time, as text, so that a file of any size needs little memory.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from recloser.errors import ImportTraceError
from recloser.importers.input.json_scanner import TOO_SHORT, JsonScanner, UnfinishedJson, raw_decode
from recloser.importers.values.json_paths import KeyPath, value_at

_LEADING: Final = "\ufeff \t\r\n\x1e"


def is_json_document(head: str) -> bool:
    """Return whether a text is JSON other than one value per line.

    Args:
        head: The beginning of the text.
    """
    start = head.lstrip(_LEADING)
    if start.startswith("["):
        # A line of a log may also begin with a bracket, around a time or a level.
        return start[1:].lstrip()[:1] in ("{", "]")
    if not start.startswith("{"):
        return False
    line, has_ended, _ = start.partition("\n")
    line = line.rstrip()
    try:
        _, end = raw_decode(line)
    except RecursionError:
        return not has_ended
    except ValueError as error:
        # A line without an error before its end is continued by the next one.
        return not has_ended or getattr(error, "pos", 0) >= len(line)
    return line[end:].lstrip()[:1] in ("{", "[", ",")


def has_path(head: str, path: KeyPath, keys: Sequence[KeyPath] = ()) -> bool:
    """Return whether a text begins with an object that has records under a path.

    Args:
        head: The beginning of the text.
        path: The keys that lead to the array.
        keys: The paths that every record has; the first element of the array must have them.
    """
    start = head.lstrip(_LEADING)
    if not start.startswith("{"):
        return False
    scanner = JsonScanner(iter([start]))
    try:
        if scanner.peek() != "{" or not scanner.enter(path) or scanner.text[scanner.at] != "[":
            return False
    except UnfinishedJson:
        return False
    start = scanner.text[scanner.at + 1 :].lstrip()
    try:
        record, _ = raw_decode(start)
    except (ValueError, RecursionError):  # the record is longer than the beginning of the text
        return all(f'"{key[-1]}"' in start for key in keys)
    return all(value_at(record, key) is not None for key in keys)


def json_values(
    pieces: Iterator[str], path: KeyPath, on_cut: Callable[[str], None]
) -> Iterator[str | None]:
    """Yield the values of a text.

    They are at its top, in arrays there, or in the array under a path.

    Args:
        pieces: The text.
        path: The keys that lead to the array; empty for values at the top and in arrays there.
        on_cut: Called with the reason if the text ends within a value.

    Yields:
        The text of each value. For a malformed value, its beginning, which is malformed too. None for
        a value of more than ``MAX_LINE_CHARS`` characters.

    Raises:
        ImportTraceError: No object has anything under the path.
    """
    scanner = JsonScanner(pieces)
    was_found = not path
    try:
        while (mark := scanner.peek()) is not None:
            if mark in "[]":
                scanner.at += 1
                scanner.depth = max(0, scanner.depth + (1 if mark == "[" else -1))
            elif not path:
                yield scanner.read_value()
            elif mark != "{":
                scanner.skip()
            elif scanner.enter(path):
                was_found = True
                yield from _elements(scanner)
                scanner.skip(len(path))
        if scanner.depth:
            on_cut(TOO_SHORT)
    except UnfinishedJson as reason:
        on_cut(str(reason))
    if not was_found:
        raise ImportTraceError(
            f"there is nothing under {'.'.join(path)}; give --records the path of the array of records"
        )


def _elements(scanner: JsonScanner) -> Iterator[str | None]:
    """Yield the elements of the array at the position.

    If another value is there, that one is yielded.
    """
    if scanner.text[scanner.at] != "[":
        yield scanner.read_value()
        return
    scanner.at += 1
    while (mark := scanner.peek()) != "]":
        if mark is None:
            raise UnfinishedJson(TOO_SHORT)
        yield scanner.read_value()
    scanner.at += 1
