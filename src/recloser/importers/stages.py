"""What passes between the stages of an import: batches of lines, of records, and of calls.

Every stage takes an iterator of batches and gives one, so that an import of any size runs in the
memory of a few batches. The values of a batch are columns, plain lists: converting a column at once
and remembering the texts seen before is what makes a line cost microseconds.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from attrs import define, field, frozen

from recloser.core.events import Outcome

BATCH_LINES: Final = 4096
"""At most as many lines, records or calls as this are in a batch."""

MAX_LINE_CHARS: Final = 1 << 20
"""A longer line of text is not read."""


@frozen
class Unreadable:
    """A line or record that could not be read.

    Attributes:
        line: Its number in its file, from 1, or its place in a document.
        why: Why not.
        source: The file, where there are several.
        unit: What its number counts: ``line``, or ``record`` where a line is not one.
    """

    line: int
    why: str
    source: str = ""
    unit: str = "line"


@define
class Lines:
    """Consecutive lines of one file.

    Attributes:
        source: The file's name.
        first: The number of the first line, from 1.
        texts: The lines without their ends; None for one that is longer than ``MAX_LINE_CHARS``.
            A stage that takes a line away leaves an empty one, so that numbers stay.
        unit: What numbers count: ``line``, or ``record`` where a text is a value of a document.
        unreadable: What of the file is no line, as it is cut or too long.
    """

    source: str
    first: int
    texts: list[str | None]
    unit: str = "line"
    unreadable: list[Unreadable] = field(factory=list)


@define
class Records:
    """Records of one file, a column for each field.

    Attributes:
        source: The file's name.
        lines: Where each record stands.
        columns: By the name of a field, its values; None where a record lacks it.
        unreadable: What is no record.
        unit: What ``lines`` counts.
        skipped: How many of what was read are no records on purpose, by what they are.
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
class Calls:
    """Calls, a column for each property.

    Attributes:
        breaker: The name of each call's breaker.
        start: When each started, in nanoseconds since 1970.
        took: How long each took, in nanoseconds.
        outcome: How each ended.
        error: What names each failure; None for a success.
        labels: What else is kept of each; None where that is nothing for any of them.
        lines: Where each stands.
        unreadable: What is no call, though it should be one.
        skipped: How many records are no calls on purpose, by what they are.
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
