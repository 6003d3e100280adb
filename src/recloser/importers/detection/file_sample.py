"""First lines of an import's files, by which their format is detected."""

from collections.abc import Iterator
from typing import Final

from recloser.importers.import_batches import LineBatch

_MAX_LINES: Final = 200

_MAX_CHARS: Final = 1 << 20
"""How many characters of lines are looked at: every format tries to read them."""

_MAX_BATCHES: Final = 16
"""How many batches are read; for most files the first one is enough."""


def read_sample(batches: Iterator[LineBatch]) -> tuple[list[LineBatch], list[str]]:
    """Read the first batches of a file, until they are enough to detect its format.

    Returns:
        The batches, and the first lines in them that have text: at most 200 lines or 1 MiB.
    """
    first_batches: list[LineBatch] = []
    sample: list[str] = []
    chars = 0
    for batch in batches:
        first_batches.append(batch)
        for text in filter(None, batch.texts[: _MAX_LINES - len(sample)]):
            chars += len(text)
            if chars < _MAX_CHARS or not sample:
                sample.append(text)
        is_enough = len(sample) >= _MAX_LINES or chars >= _MAX_CHARS
        if is_enough or len(first_batches) == _MAX_BATCHES:
            break
    return first_batches, sample
