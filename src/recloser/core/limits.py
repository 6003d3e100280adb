"""Every limit of what a log holds, for who writes it and for who reads it.

A value that is accepted can be written, and what is written can be read: the first part says what
the reader takes, and the second bounds what is accepted, so that a line of accepted values keeps
within the first. ``tests/test_limits.py`` adds the figures up.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

# What the reader takes.

MAX_LINE_BYTES: Final = 1 << 20
"""No line is as long as this, with its newline; a longer one is refused before it is read whole."""

MAX_WHOLE: Final = 2**63 - 1
"""The largest whole number that every form of a log holds."""

MAX_AT: Final = 2**63 - 2**61 - 1
"""The last time of a log in nanoseconds, 219 years after its first; each wait still fits behind.

There the time of a log stands still, whatever its clock shows."""

MAX_SEQ: Final = 2**60 - 1
"""The last ``seq``; with two bits of its outcome behind it, it still is a whole number of 64 bits."""

MAX_COUNT: Final = 2**31 - 1
"""The most calls that one event stands for; the fewest are 1."""

MAX_ZSTD_WINDOW: Final = 8 << 20
"""The most memory in bytes that compressed data may ask for; no compression of ours asks for more."""

# What is accepted.

USUAL_LINE_BYTES: Final = 16 << 10
"""Lines stay under this wherever no setting takes up more, such as a long list in ``record``."""

LAST_OPENED_SEQ: Final = MAX_SEQ // 2
"""A log whose ``seq`` is past this is not written on, so that a session can't come to the last one."""

LAST_SESSION: Final = MAX_COUNT
"""Nor is a log that was opened this often."""

LAST_COUNTER: Final = MAX_WHOLE // 2
"""No counter of a state that is read is past this, so that none can grow out of range."""

NAME_BYTES: Final = 1024
"""A breaker's name, as a line has it, may take this; a longer one is refused."""

LABEL_CHARS: Final = 1000
LABEL_BYTES: Final = 2048
"""Texts that only label an event, such as an exception's type, an actor or a host, are cut to their
first 1,000 characters, or to fewer where a line would need more than 2,048 bytes for these."""

LABELS: Final = 64
"""An imported call has at most as many labels as this; further ones are left out."""

MAX_SETTING: Final = 2**31 - 1
"""The most calls, failures, probes or seconds of a window that a setting asks for.

With the next one it keeps each product by which a rate is compared within 64 bits."""

MAX_TERM: Final = 10**60
"""The numerator and the denominator of a fraction are below this."""

SETTINGS_BYTES: Final = 128 << 10
"""The settings of a breaker, as a line has them, may take this; larger ones are refused."""

MAX_SEQS: Final = 512
"""An edge names each outcome that it rests on up to this many; of more it names the first and last."""

ROWS_IN_LINE: Final = 256
"""A state that lists more numbers than this is written in parts."""

PART_BYTES: Final = 12 << 10
"""The numbers in one part of a checkpoint take at most this."""

_encoded: Final = msgspec.json.Encoder().encode


def wire_bytes(text: str) -> int:
    """How many bytes a text takes in a line, without its quotation marks."""
    return len(_encoded(text)) - 2


def label(text: str) -> str:
    """A text as a label of an event: cut to its limits, what UTF-8 can't encode shown escaped."""
    cut = str.__str__(text)[:LABEL_CHARS]
    if not cut.isascii():
        cut = cut.encode("utf-8", "backslashreplace").decode()
    if len(cut) * 6 > LABEL_BYTES:  # six bytes at most stand for one character
        while wire_bytes(cut) > LABEL_BYTES:
            # Each round takes away at least what is too much at six bytes a character.
            cut = cut[: len(cut) - max(1, (wire_bytes(cut) - LABEL_BYTES) // 6)]
    return cut


def are_in_range(told: object) -> bool:
    """Whether each number in data from JSON is one that every form of a log holds."""
    if isinstance(told, int | float):
        return -MAX_WHOLE <= told <= MAX_WHOLE
    if isinstance(told, list | tuple):
        if set(map(type, told)) == {int}:  # as most are that are long
            return bool(min(told) >= -MAX_WHOLE and max(told) <= MAX_WHOLE)
        return all(map(are_in_range, told))
    if isinstance(told, Mapping):
        return all(map(are_in_range, told.values()))
    return True
