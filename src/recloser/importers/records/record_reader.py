"""What every reader of records provides."""

from collections.abc import Collection, Iterable, Iterator
from typing import Protocol

from recloser.importers.import_batches import MAX_LINE_CHARS, LineBatch, RecordBatch


class RecordReader(Protocol):
    """Makes records from lines.

    Attributes:
        fields: The names of the fields that records have; None where any name is possible.
    """

    @property
    def fields(self) -> Collection[str] | None:
        """The names of the fields, where they are known before reading."""

    def read(self, batches: Iterable[LineBatch], wanted: Collection[str]) -> Iterator[RecordBatch]:
        """Read lines as records that have the wanted fields.

        Each batch also has the lines that cannot be read.
        """


TOO_LONG = f"it is longer than {MAX_LINE_CHARS:,} characters"
"""Why a line of more characters than the limit is not read."""
