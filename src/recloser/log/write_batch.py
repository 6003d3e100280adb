"""Chunks: events that are encoded together and written to one segment."""

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from recloser.core.events import Event
from recloser.log.codec import is_lean

Chunk: TypeAlias = Sequence[Event]
"""Events that are encoded together: outcomes of calls, or one other event and its state changes."""

_WRITTEN_BY_LOG: Final = ("log_opened", "log_sealed", "log_gap", "checkpoint")
Lines: TypeAlias = Iterable[bytes | memoryview]
"""Whole lines, in pieces of any length."""


def merges_into(last: Chunk, events: Chunk) -> bool:
    """Whether a chunk of one lean event can be appended to the chunk before it."""
    return isinstance(last, list) and len(events) == 1 and is_lean(events[0]) and is_lean(last[-1])


def callers_in(chunks: Iterable[Chunk]) -> int:
    """Count the events in chunks, without headers, seals, gaps and checkpoints."""
    return sum(len(chunk) - (chunk[0].kind in _WRITTEN_BY_LOG) for chunk in chunks)
