"""What container runtimes and loggers put before or around each line is taken away.

Which wrappings a file has is found by looking at its first lines; a line without any stays as it is.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from recloser.importers.stages import MAX_LINE_CHARS, Lines, Records
from recloser.importers.wrappings import WRAPPINGS, Around, Wrapping

WRAPPER_TIME: Final = "wrapper_time"
"""The field that holds the time that a wrapping says."""

WRAPPER_HOST: Final = "wrapper_host"
"""The field that holds the host, pod or service that a wrapping says."""

_MAX_LAYERS: Final = 3
_ENOUGH: Final = 0.6
_KEPT: Final = 1 << 15
"""The times and hosts of at most this many lines are kept until their records come."""


def wrappings_in(lines: Sequence[str]) -> list[Wrapping]:
    """The wrappings that are surely around lines, the most frequent one first."""
    sure = [wrapping for wrapping in WRAPPINGS.values() if not wrapping.is_unsure]
    found: Counter[str] = Counter()
    cut: Counter[str] = Counter()
    for line in lines:
        inner, left = line, list(sure)
        for _ in range(_MAX_LAYERS):
            for wrapping in left:
                within = wrapping.unwrap(inner)
                if within is not None:
                    inner = within[0]
                    found[wrapping.name] += 1
                    cut[wrapping.name] += within[1]
                    left.remove(wrapping)
                    break
            else:
                break
    # Lines that all go on would make one line of a file; they were wrapped by something else.
    return [
        WRAPPINGS[name] for name, count in found.most_common() if count == 1 or cut[name] < count
    ]


def is_around(wrapping: Wrapping, lines: Sequence[str]) -> bool:
    """Whether a wrapping is around most lines."""
    count = sum(wrapping.unwrap(line) is not None for line in lines)
    return count > 0 and count >= _ENOUGH * len(lines)


class Unwrapping:
    """Takes away wrappings from lines, and puts lines together that one was cut into.

    Args:
        wrappings: Those to take away, in the order in which they are tried; each once from a line.
        keeps: Whether to keep the time and the host that they say, for ``with_around``.

    Attributes:
        counts: How many lines had each of them.
    """

    def __init__(self, wrappings: Sequence[Wrapping], *, keeps: bool = False) -> None:
        self._wrappings = wrappings
        self._keeps = keeps
        self._around: dict[tuple[str, int], Around] = {}
        self._begun: tuple[str, str] | None = None
        self.counts: Counter[str] = Counter()

    def __call__(self, batches: Iterable[Lines]) -> Iterator[Lines]:
        """The lines without their wrappings; those whose text went on are empty."""
        if not self._wrappings:
            yield from batches
            return
        for batch in batches:
            if self._keeps:
                self._keep(batch)
            batch.texts = [
                None if line is None else self._unwrapped(line, batch.source)
                for line in batch.texts
            ]
            yield batch

    def with_around(self, batches: Iterable[Records]) -> Iterator[Records]:
        """The records of the lines, with what the wrappings say as fields."""
        for records in batches:
            around = [
                self._around.get((records.source, line), (None, None)) for line in records.lines
            ]
            records.columns = {
                **records.columns,
                WRAPPER_TIME: [time for time, _ in around],
                WRAPPER_HOST: [host for _, host in around],
            }
            yield records

    def _keep(self, batch: Lines) -> None:
        if len(self._around) > _KEPT:
            for key in list(islice(self._around, len(self._around) - _KEPT // 2)):
                del self._around[key]
        for number, line in enumerate(batch.texts, batch.first):
            if line is not None:
                self._around[batch.source, number] = self.said_around(line)

    def said_around(self, line: str) -> Around:
        """The time and the host that the wrappings of a line say."""
        time, host = None, None
        for wrapping, inner in self._layers(line):
            said_time, said_host = wrapping.around(inner)
            time, host = time or said_time, host or said_host
        return time, host

    def _layers(self, line: str) -> Iterator[tuple[Wrapping, str]]:
        """The wrappings of a line from the outermost, each with what it is around."""
        left = list(self._wrappings)
        for _ in range(_MAX_LAYERS):
            for wrapping in left:
                within = wrapping.unwrap(line)
                if within is not None:
                    yield wrapping, line
                    line = within[0]
                    left.remove(wrapping)
                    break
            else:
                return

    def _unwrapped(self, line: str, source: str) -> str | None:
        goes_on = False
        left: Sequence[Wrapping] = self._wrappings
        for _ in range(_MAX_LAYERS):
            for wrapping in left:
                within = wrapping.unwrap(line)
                if within is not None:
                    line, is_cut = within
                    goes_on = goes_on or is_cut
                    self.counts[wrapping.name] += 1
                    left = [each for each in left if each is not wrapping]
                    break
            else:
                break
        begun, self._begun = self._begun, None
        if begun is not None and begun[0] == source:
            line = begun[1] + line
        if len(line) > MAX_LINE_CHARS:
            return None
        if goes_on:
            self._begun = (source, line)
            return ""
        return line


def taken_away(wrappings: Sequence[Wrapping], lines: Sequence[str]) -> list[str]:
    """The lines that are left without wrappings, but for empty ones."""
    batches = Unwrapping(wrappings)([Lines("", 1, list(lines))])
    return [text for batch in batches for text in batch.texts if text]


def fields_around(wrappings: Sequence[Wrapping], lines: Sequence[str]) -> list[str]:
    """Which of ``wrapper_time`` and ``wrapper_host`` the wrappings of the first lines say."""
    said = list(map(Unwrapping(wrappings).said_around, lines))
    return [
        name
        for place, name in enumerate((WRAPPER_TIME, WRAPPER_HOST))
        if any(around[place] is not None for around in said)
    ]
