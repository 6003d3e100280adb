"""Batches of lines, records and calls that the stages of an import pass on.

Every stage takes an iterator of batches and returns one, so that an import of any size needs the
memory of a few batches. The values of a batch are columns: plain lists, which are converted as a
whole and through a cache. This is what keeps the cost of a line at a few microseconds.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from attrs import define, field, frozen

from recloser.core.events import Outcome

BATCH_LINES: Final = 4096
"""The largest number of lines, records or calls in a batch."""

MAX_LINE_CHARS: Final = 1 << 20
"""A line of more characters than this is not read."""


@frozen
class Unreadable:
    """A line or record that cannot be read.

    Attributes:
        line: Its number in its file, from 1, or its position in a document.
        why: The reason, for the user.
        source: The file; empty if there is one file only.
        unit: What ``line`` counts: ``line``, or ``record`` for values of a document.
    """

    line: int
    why: str
    source: str = ""
    unit: str = "line"


@define
class LineBatch:
    """Consecutive lines of one file.

    Attributes:
        source: The name of the file.
        first: The number of the first line, from 1.
        texts: The lines without their line ends; None for a line of more than ``MAX_LINE_CHARS``
            characters. A stage that removes a line leaves an empty one, so that numbers stay right.
        unit: What numbers count: ``line``, or ``record`` if the texts are values of a document.
        unreadable: The parts of the file that are no line, since they are cut or too long.
    """

    source: str
    first: int
    texts: list[str | None]
    unit: str = "line"
    unreadable: list[Unreadable] = field(factory=list)


@define
class RecordBatch:
    """Records of one file, with one column per field.

    Attributes:
        source: The name of the file.
        lines: The number of the line of each record.
        columns: The values by the name of their field; None for a record that lacks the field.
        unreadable: The lines that could not be read as records.
        unit: What ``lines`` counts: ``line`` or ``record``.
        skipped: How many lines or records were left out on purpose, by reason.
    """

    source: str
    lines: Sequence[int]
    columns: Mapping[str, Sequence[Any]]
    unreadable: list[Unreadable] = field(factory=list)
    unit: str = "line"
    skipped: dict[str, int] = field(factory=dict)

    def __len__(self) -> int:
        return len(self.lines)


@define
class CallBatch:
    """Calls, with one column per property.

    Attributes:
        breaker: The name of each call's breaker.
        start: When each call started, in nanoseconds since 1970.
        took: How long each call took, in nanoseconds.
        outcome: The outcome of each call.
        error: What names each failure; None for a success.
        labels: The labels of each call; None if no call has any.
        lines: The number of the line of each call.
        unreadable: The records that should be calls and could not be read.
        skipped: How many records are no calls on purpose, by reason.
    """

    breaker: Sequence[str]
    start: Sequence[int]
    took: Sequence[int]
    outcome: Sequence[Outcome]
    error: Sequence[str | None]
    labels: Sequence[Mapping[str, str]] | None
    lines: Sequence[int]
    unreadable: list[Unreadable] = field(factory=list)
    skipped: dict[str, int] = field(factory=dict)

    def __len__(self) -> int:
        return len(self.start)
