"""Chunks: events that are encoded together, on their way to a segment."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeAlias

from recloser.events import Event, LogOpened
from recloser.log.calls import Outcomes
from recloser.log.codec import encode_all, is_lean

try:
    from recloser.log import outcome_lines
except ImportError:
    outcome_lines = None  # type: ignore[assignment]  # pip had no compiler

Chunk: TypeAlias = Sequence[Event]
"""Events that are encoded together; one of the log's own has only its witnesses behind it."""

IS_COMPILED: Final = outcome_lines is not None
"""Whether the lines of outcomes are made by compiled code."""

_OWN: Final = ("log_opened", "log_sealed", "log_gap", "checkpoint")
_AT_ONCE: Final = 65_536
"""The lines of so many events are made before the first of them is written."""

Lines: TypeAlias = Iterable[bytes | memoryview]
"""Whole lines, in parts."""


def merges_into(last: Chunk, events: Chunk) -> bool:
    """Whether events can be added to a chunk: a single lean one, to a list of lean ones."""
    return isinstance(last, list) and len(events) == 1 and is_lean(events[0]) and is_lean(last[-1])


def callers_in(chunks: Iterable[Chunk]) -> int:
    """How many events in them are callers', and not the log's own."""
    return sum(len(chunk) - (chunk[0].kind in _OWN) for chunk in chunks)


def encoded(chunks: Iterable[Chunk]) -> Iterator[tuple[Chunk, Lines]]:
    """Each chunk with its lines; but that of a header is its segment's to make."""
    for group in _groups(chunks):
        made = _made_at_once(group) if IS_COMPILED else {}
        for place, chunk in enumerate(group):
            if place in made:
                yield chunk, [made[place]]
            else:
                yield chunk, encode_all(chunk[1:] if isinstance(chunk[0], LogOpened) else chunk)


def _groups(chunks: Iterable[Chunk]) -> Iterator[list[Chunk]]:
    group: list[Chunk] = []
    events = 0
    for chunk in chunks:
        group.append(chunk)
        events += len(chunk)
        if events >= _AT_ONCE:
            yield group
            group, events = [], 0
    yield group


def _made_at_once(group: Sequence[Chunk]) -> dict[int, memoryview]:
    """The lines of its outcomes, by their places in it, made while other threads go on.

    All in one step: to come back from it may take as long as another thread may keep the
    interpreter's lock, which is 5 ms.
    """
    blocks = {}
    for place, chunk in enumerate(group):
        block = chunk.block() if isinstance(chunk, Outcomes) else None
        if block is not None:
            blocks[place] = block
    try:
        made = outcome_lines.outcome_lines(list(blocks.values()))
    except OverflowError:  # a clock that ran backwards
        return {}
    return dict(zip(blocks, made, strict=True))
