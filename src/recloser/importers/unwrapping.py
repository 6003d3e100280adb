"""What container runtimes and loggers put before or around each line is taken away.

Which wrappings a file has is found by looking at its first lines; a line without any stays as it is.
A new one is an entry of ``WRAPPINGS``.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, TypeAlias

import msgspec
from attrs import frozen

from recloser.errors import ImportTraceError
from recloser.importers.stages import MAX_LINE_CHARS, Lines

_MAX_LAYERS: Final = 3

Unwrap: TypeAlias = Callable[[str], tuple[str, bool] | None]
"""Gives the text within a line, and whether it goes on in the next line; None if it is not wrapped."""


@frozen
class Wrapping:
    """A form in which lines are wrapped.

    Attributes:
        name: What ``--unwrap`` calls it.
        title: What it is, for people.
        unwrap: Takes it away from a line.
    """

    name: str
    title: str
    unwrap: Unwrap


def _prefix(pattern: str) -> Unwrap:
    """What takes away a prefix; the pattern must not be able to match in many ways."""
    match = re.compile(pattern).match

    def unwrap(line: str) -> tuple[str, bool] | None:
        found = match(line)
        return None if found is None else (line[found.end() :], False)

    return unwrap


_CRI: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9}+)?(?:Z|[+-]\d\d:\d\d) (?:stdout|stderr) ([FP])(?::\S++)? "
)


def _cri(line: str) -> tuple[str, bool] | None:
    found = _CRI.match(line)
    return None if found is None else (line[found.end() :], found[1] == "P")


class _DockerLine(msgspec.Struct):
    log: str
    stream: str


_decode_docker: Final = msgspec.json.Decoder(_DockerLine).decode


def _docker_json(line: str) -> tuple[str, bool] | None:
    if not line.startswith('{"log":'):
        return None
    try:
        log = _decode_docker(line).log
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None
    return log.removesuffix("\n").removesuffix("\r"), not log.endswith("\n")


WRAPPINGS: Final = {
    wrapping.name: wrapping
    for wrapping in (
        Wrapping("cri", "the prefix of a container runtime (CRI)", _cri),
        Wrapping("docker-json", "Docker's json-file driver", _docker_json),
        Wrapping(
            "syslog",
            "the prefix of syslog (RFC 3164)",
            _prefix(
                r"(?:<\d{1,3}+>)?(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ \d]\d "
                r"\d\d:\d\d:\d\d \S++ [^\s:\[]++(?:\[\d++\])?: "
            ),
        ),
    )
}
"""All wrappings by their names, in the order in which they are looked for."""


def wrappings_named(names: Iterable[str]) -> list[Wrapping]:
    """The wrappings of these names.

    Raises:
        ImportTraceError: There is none of a name.
    """
    for name in names:
        if name not in WRAPPINGS:
            raise ImportTraceError(
                f"there is no wrapping {name!r}; there are {', '.join(WRAPPINGS)}"
            )
    return [WRAPPINGS[name] for name in names]


def wrappings_in(lines: Sequence[str]) -> list[Wrapping]:
    """The wrappings that are found around the lines, the most frequent one first."""
    found: Counter[str] = Counter()
    for line in lines:
        inner = line
        for _ in range(_MAX_LAYERS):
            for name, wrapping in WRAPPINGS.items():
                within = wrapping.unwrap(inner)
                if within is not None:
                    inner = within[0]
                    found[name] += 1
                    break
            else:
                break
    return [WRAPPINGS[name] for name, _ in found.most_common()]


class Unwrapping:
    """Takes away wrappings from lines, and puts lines together that one was cut into.

    Args:
        wrappings: Those to take away, in the order in which they are tried.

    Attributes:
        counts: How many lines had each of them.
    """

    def __init__(self, wrappings: Sequence[Wrapping]) -> None:
        self._wrappings = wrappings
        self._begun: tuple[str, str] | None = None
        self.counts: Counter[str] = Counter()

    def __call__(self, batches: Iterable[Lines]) -> Iterator[Lines]:
        """The lines without their wrappings; those whose text went on are empty."""
        if not self._wrappings:
            yield from batches
            return
        for batch in batches:
            batch.texts = [
                None if line is None else self._unwrapped(line, batch.source)
                for line in batch.texts
            ]
            yield batch

    def _unwrapped(self, line: str, source: str) -> str | None:
        goes_on = False
        for _ in range(_MAX_LAYERS):
            for wrapping in self._wrappings:
                within = wrapping.unwrap(line)
                if within is not None:
                    line, is_cut = within
                    goes_on = goes_on or is_cut
                    self.counts[wrapping.name] += 1
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
