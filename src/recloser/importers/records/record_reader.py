"""What every reader of records does."""

from collections.abc import Collection, Iterable, Iterator
from typing import Protocol

from recloser.importers.stages import MAX_LINE_CHARS, Lines, Records


class Reader(Protocol):
    """Makes records of lines.

    Attributes:
        fields: The names of the fields that records have; None where any name may be asked for.
    """

    @property
    def fields(self) -> Collection[str] | None:
        """The fields, where they are known before reading."""

    def read(self, batches: Iterable[Lines], wanted: Collection[str]) -> Iterator[Records]:
        """The records, with the fields that are wanted; what can't be read is told of."""


TOO_LONG = f"it is longer than {MAX_LINE_CHARS:,} characters"
"""Why a line beyond the limit is not read."""
