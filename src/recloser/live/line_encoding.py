"""Encode chunks of events as lines, many chunks in one step where the compiled encoder is there."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from recloser.core.events import LogOpened
from recloser.live.pending_calls import Outcomes
from recloser.log.codec import encode_all
from recloser.log.write_batch import Chunk, Lines

try:
    from recloser.live import outcome_lines
except ImportError:
    outcome_lines = None  # type: ignore[assignment]  # pip had no compiler

IS_COMPILED: Final = outcome_lines is not None
"""Whether compiled code makes the lines of outcomes."""

_AT_ONCE: Final = 65_536
"""The most events whose lines are made before the first of them is written."""


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
