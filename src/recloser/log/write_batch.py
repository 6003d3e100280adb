"""Chunks: events that are encoded together and written to one segment."""

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from recloser.core.events import Event
from recloser.log.codec import is_lean

Chunk: TypeAlias = Sequence[Event]
"""Events that are encoded together; one of the log's own has only its witnesses behind it."""

_OWN: Final = ("log_opened", "log_sealed", "log_gap", "checkpoint")
Lines: TypeAlias = Iterable[bytes | memoryview]
"""Whole lines, in parts."""


def merges_into(last: Chunk, events: Chunk) -> bool:
    """Whether events can be added to a chunk: a single lean one, to a list of lean ones."""
    return isinstance(last, list) and len(events) == 1 and is_lean(events[0]) and is_lean(last[-1])


def callers_in(chunks: Iterable[Chunk]) -> int:
    """How many events in them are callers', and not the log's own."""
    return sum(len(chunk) - (chunk[0].kind in _OWN) for chunk in chunks)
