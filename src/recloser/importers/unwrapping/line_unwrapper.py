"""Removal of wrappers from lines.

Wrappers are what container runtimes, loggers and collectors put around each line. The first lines
of a file show which wrappers it has. A line without any stays as it is.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from recloser.importers.import_batches import MAX_LINE_CHARS, LineBatch, RecordBatch
from recloser.importers.unwrapping.line_wrappers import WRAPPERS, Wrapper, WrapperFields

WRAPPER_TIME: Final = "wrapper_time"
"""The field that holds the time of a line's wrapper."""

WRAPPER_HOST: Final = "wrapper_host"
"""The field that holds the host, pod or service of a line's wrapper."""

_MAX_LAYERS: Final = 3
_MIN_SHARE: Final = 0.6
_MAX_HELD_LINES: Final = 1 << 15
"""Times and hosts of wrappers are held for at most this many lines, until the records are read."""


def certain_wrappers(lines: Sequence[str]) -> list[Wrapper]:
    """Find the wrappers that cannot be a part of the line.

    The most frequent one is the first.
    """
    certain = [wrapper for wrapper in WRAPPERS.values() if not wrapper.is_uncertain]
    counts: Counter[str] = Counter()
    cut: Counter[str] = Counter()
    for line in lines:
        inner, remaining = line, list(certain)
        for _ in range(_MAX_LAYERS):
            for wrapper in remaining:
                found = wrapper.unwrap(inner)
                if found is not None:
                    inner = found[0]
                    counts[wrapper.name] += 1
                    cut[wrapper.name] += found[1]
                    remaining.remove(wrapper)
                    break
            else:
                break
    # If every line of a wrapper is continued, the file would be one line: it is another wrapper.
    return [
        WRAPPERS[name] for name, count in counts.most_common() if count == 1 or cut[name] < count
    ]


def wraps_most_lines(wrapper: Wrapper, lines: Sequence[str]) -> bool:
    """Return whether a wrapper is around at least 60 % of the lines."""
    count = sum(wrapper.unwrap(line) is not None for line in lines)
    return count > 0 and count >= _MIN_SHARE * len(lines)


class LineUnwrapper:
    """Removes wrappers from lines, and joins lines that a wrapper cut into parts.

    Args:
        wrappers: The wrappers to remove, in the order in which they are tried. Each is removed at most
            once from a line.
        keeps_fields: Whether to keep the time and host of each wrapper, for ``add_wrapper_fields``.

    Attributes:
        counts: How many lines had each wrapper, by its name.
    """

    def __init__(self, wrappers: Sequence[Wrapper], *, keeps_fields: bool = False) -> None:
        self._wrappers = wrappers
        self._keeps_fields = keeps_fields
        self._held_fields: dict[tuple[str, int], WrapperFields] = {}
        self._unfinished: tuple[str, str] | None = None
        self.counts: Counter[str] = Counter()

    def __call__(self, batches: Iterable[LineBatch]) -> Iterator[LineBatch]:
        """Yield the lines without wrappers.

        Of a line that was cut into parts, the last part has the whole text and the others are
        empty.
        """
        if not self._wrappers:
            yield from batches
            return
        for batch in batches:
            if self._keeps_fields:
                self._hold_fields(batch)
            batch.texts = [
                None if line is None else self._unwrapped(line, batch.source)
                for line in batch.texts
            ]
            yield batch

    def add_wrapper_fields(self, batches: Iterable[RecordBatch]) -> Iterator[RecordBatch]:
        """Add the fields ``wrapper_time`` and ``wrapper_host`` to records."""
        for records in batches:
            fields = [
                self._held_fields.get((records.source, line), (None, None))
                for line in records.lines
            ]
            records.columns = {
                **records.columns,
                WRAPPER_TIME: [time for time, _ in fields],
                WRAPPER_HOST: [host for _, host in fields],
            }
            yield records

    def _hold_fields(self, batch: LineBatch) -> None:
        if len(self._held_fields) > _MAX_HELD_LINES:
            for key in list(
                islice(self._held_fields, len(self._held_fields) - _MAX_HELD_LINES // 2)
            ):
                del self._held_fields[key]
        for number, line in enumerate(batch.texts, batch.first):
            if line is not None:
                self._held_fields[batch.source, number] = self.wrapper_fields(line)

    def wrapper_fields(self, line: str) -> WrapperFields:
        """Return the time and the host that the wrappers of a line contain."""
        time, host = None, None
        for wrapper, inner in self._layers(line):
            own_time, own_host = wrapper.fields_of(inner)
            time, host = time or own_time, host or own_host
        return time, host

    def _layers(self, line: str) -> Iterator[tuple[Wrapper, str]]:
        """Yield the wrappers of a line, the outermost first.

        Each is yielded with the text that begins with it.
        """
        remaining = list(self._wrappers)
        for _ in range(_MAX_LAYERS):
            for wrapper in remaining:
                found = wrapper.unwrap(line)
                if found is not None:
                    yield wrapper, line
                    line = found[0]
                    remaining.remove(wrapper)
                    break
            else:
                return

    def _unwrapped(self, line: str, source: str) -> str | None:
        is_continued = False
        remaining: Sequence[Wrapper] = self._wrappers
        for _ in range(_MAX_LAYERS):
            for wrapper in remaining:
                found = wrapper.unwrap(line)
                if found is not None:
                    line, is_cut = found
                    is_continued = is_continued or is_cut
                    self.counts[wrapper.name] += 1
                    remaining = [each for each in remaining if each is not wrapper]
                    break
            else:
                break
        unfinished, self._unfinished = self._unfinished, None
        if unfinished is not None and unfinished[0] == source:
            line = unfinished[1] + line
        if len(line) > MAX_LINE_CHARS:
            return None
        if is_continued:
            self._unfinished = (source, line)
            return ""
        return line


def unwrapped_lines(wrappers: Sequence[Wrapper], lines: Sequence[str]) -> list[str]:
    """Return the lines without wrappers, and without empty lines."""
    batches = LineUnwrapper(wrappers)([LineBatch("", 1, list(lines))])
    return [text for batch in batches for text in batch.texts if text]


def wrapper_fields_in(wrappers: Sequence[Wrapper], lines: Sequence[str]) -> list[str]:
    """Return which of the two wrapper fields the wrappers of some lines contain."""
    fields = list(map(LineUnwrapper(wrappers).wrapper_fields, lines))
    return [
        name
        for index, name in enumerate((WRAPPER_TIME, WRAPPER_HOST))
        if any(each[index] is not None for each in fields)
    ]
