"""Encoding of chunks of events as lines, many at once if the compiled encoder is there."""

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
"""Whether compiled code encodes the lines of outcomes."""

_AT_ONCE: Final = 65_536
"""How many events are encoded before the first of them is written."""


def encoded(chunks: Iterable[Chunk]) -> Iterator[tuple[Chunk, Lines]]:
    """Yield each chunk with its lines; a header has none, as its segment writes its line itself.

    Args:
        chunks: The chunks, in the order of the log.
    """
    for group in _groups(chunks):
        made = _made_at_once(group) if IS_COMPILED else {}
        for index, chunk in enumerate(group):
            if index in made:
                yield chunk, [made[index]]
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
    """Return the lines of a group's outcomes by the chunk's index, encoded while other threads go on.

    All chunks are encoded by one call that releases the interpreter's lock. To get the lock back may
    take 5 ms each time, as long as another thread may keep it.
    """
    blocks = {}
    for index, chunk in enumerate(group):
        block = chunk.block() if isinstance(chunk, Outcomes) else None
        if block is not None:
            blocks[index] = block
    try:
        made = outcome_lines.outcome_lines(list(blocks.values()))
    except OverflowError:  # a clock that ran backwards
        return {}
    return dict(zip(blocks, made, strict=True))
