"""The limits of a log, for its writer and its reader.

The first part says what a reader accepts. The second part bounds what callers may pass in, so that
every line made of accepted values can be read again. ``tests/core/test_limits.py`` checks the sums.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

# What a reader accepts.

MAX_LINE_BYTES: Final = 1 << 20
"""Lines are shorter than this, with their newline; a longer one is refused before it is read whole."""

MAX_WHOLE: Final = 2**63 - 1
"""The largest whole number that JSON lines, Parquet and the kernel all hold."""

MAX_AT: Final = 2**63 - 2**61 - 1
"""The last time of a log in nanoseconds, 219 years after its first.

The time of a log never goes past it, whatever its clock shows. Added to the longest duration of a
setting it still fits into 64 bits."""

MAX_SEQ: Final = 2**60 - 1
"""The last ``seq``; shifted left by two bits for its outcome, it still fits into 64 bits."""

MAX_COUNT: Final = 2**31 - 1
"""The most calls that one event may stand for; it stands for at least 1."""

MAX_ZSTD_WINDOW: Final = 8 << 20
"""The most bytes of memory that compressed data may ask for; recloser itself never asks for more."""

# What callers may pass in.

USUAL_LINE_BYTES: Final = 16 << 10
"""Lines are shorter than this, except where a setting needs more, such as a long ``record``."""

LAST_OPENED_SEQ: Final = MAX_SEQ // 2
"""No session begins in a log whose ``seq`` is past this, so none can reach the last ``seq``."""

LAST_SESSION: Final = MAX_COUNT
"""The most sessions of one log."""

LAST_COUNTER: Final = MAX_WHOLE // 2
"""The highest counter in a state that is read; from there none can grow out of range."""

NAME_BYTES: Final = 1024
"""The most bytes of a breaker's name, as JSON; a longer name is refused."""

LABEL_CHARS: Final = 1000
LABEL_BYTES: Final = 2048
"""Texts that only label an event, such as an exception's type, an actor or a host, are cut to their
first 1,000 characters, or to fewer if these take more than 2,048 bytes as JSON."""

LABELS: Final = 64
"""The most labels of an imported call; further ones are left out."""

MAX_SETTING: Final = 2**31 - 1
"""The most calls, failures, probes or seconds of a window that a setting may ask for.

Products of two such numbers, by which rates are compared, fit into 64 bits."""

MAX_TERM: Final = 10**60
"""Numerator and denominator of a rate that a setting gives as a fraction are below this."""

SETTINGS_BYTES: Final = 128 << 10
"""The most bytes of a breaker's settings, as JSON; larger settings are refused."""

MAX_SEQS: Final = 512
"""The most outcomes that an edge lists as evidence; of more it names the first and the last."""

ROWS_IN_LINE: Final = 256
"""The most numbers of a state in one checkpoint; a longer one is written in parts."""

PART_BYTES: Final = 12 << 10
"""The most bytes of the numbers in one part of a checkpoint, as JSON."""

_encoded: Final = msgspec.json.Encoder().encode


def wire_bytes(text: str) -> int:
    """How many bytes a text takes as JSON, without its quotation marks."""
    return len(_encoded(text)) - 2


def label(text: str) -> str:
    """A text cut to the limits of a label; what UTF-8 can't encode is escaped."""
    cut = str.__str__(text)[:LABEL_CHARS]
    if not cut.isascii():
        cut = cut.encode("utf-8", "backslashreplace").decode()
    if len(cut) * 6 > LABEL_BYTES:  # JSON takes at most six bytes per character
        while wire_bytes(cut) > LABEL_BYTES:
            # Each round drops at least one character per six bytes too many.
            cut = cut[: len(cut) - max(1, (wire_bytes(cut) - LABEL_BYTES) // 6)]
    return cut


def are_in_range(data: object) -> bool:
    """Whether all numbers in data from JSON are at most ``MAX_WHOLE`` from 0."""
    if isinstance(data, int | float):
        return -MAX_WHOLE <= data <= MAX_WHOLE
    if isinstance(data, list | tuple):
        if set(map(type, data)) == {int}:  # most long lists are of integers only
            return bool(min(data) >= -MAX_WHOLE and max(data) <= MAX_WHOLE)
        return all(map(are_in_range, data))
    if isinstance(data, Mapping):
        return all(map(are_in_range, data.values()))
    return True
