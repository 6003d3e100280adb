"""Seals: SHA-256 chained over every byte of a log."""

import hashlib
import re
from typing import Final

from recloser.events import GENESIS, LogSealed
from recloser.limits import MAX_AT, MAX_SEQ

try:
    from recloser.log import seal_search
except ImportError:
    seal_search = None  # type: ignore[assignment]  # pip had no compiler

SEAL_EVERY: Final = 4096
"""A block has at most so many events before its seal, so a reader can hold one block in memory."""

_SEAL_START: Final = b'{"event":"log_sealed",'
_NEXT_SEAL: Final = b"\n" + _SEAL_START
# More than this at once has hashlib let go of the interpreter's lock, and a busy process may take
# 5 ms to give it back, for a tenth of a millisecond of work.
_PIECE: Final = 2047
_UNSIGNED: Final = '{"event":"log_sealed","seq":%d,"at":%d,"count":%d,"digest":"'
_BEHIND_DIGEST: Final = b'"}\n'
_match: Final = re.compile(
    rb'(\{"event":"log_sealed","seq":(0|[1-9]\d{0,18}),"at":(0|[1-9]\d{0,18}),"count":(0|[1-9]\d{0,9}),'
    rb'"digest":")([0-9a-f]{64})"\}\n'
).fullmatch


def is_seal(line: bytes) -> bool:
    """Whether the line is, or claims to be, a seal."""
    return line.startswith(_SEAL_START)


def lines_before_seal(lines: bytes, start: int, end: int) -> tuple[int, int]:
    """How many whole lines stand before the next seal, and where that begins.

    Args:
        lines: Whole lines.
        start: Where a line begins.
        end: Where one ends; that is where the seal begins if there is none.
    """
    if seal_search is not None:
        return seal_search.lines_before(_SEAL_START, lines, start, end)
    seal = start
    if not lines.startswith(_SEAL_START, start, end):
        newline = lines.find(_NEXT_SEAL, start, end)
        seal = end if newline < 0 else newline + 1
    return lines.count(b"\n", start, seal), seal


class SealChain:
    """The digest so far of a log's bytes, block by block.

    Args:
        previous: The digest that the first block is chained to.

    Attributes:
        count: How many lines stand since the last seal.
    """

    def __init__(self, previous: str = GENESIS) -> None:
        self._start(previous)

    def _start(self, previous: str) -> None:
        self.count = 0
        self._previous = previous
        self._hash = hashlib.sha256(previous.encode())

    def copy(self) -> "SealChain":
        """The chain as it stands, to come back to."""
        other = SealChain(self._previous)
        other.count = self.count
        other._hash = self._hash.copy()
        return other

    def add_at_once(self, lines: bytes | memoryview, count: int) -> None:
        """As ``add``, for who reads: as fast as can be, but other threads may go on meanwhile."""
        self._hash.update(lines)
        self.count += count

    def add(self, lines: bytes | memoryview, count: int = 1) -> None:
        """Take in the next lines, as many as ``count`` says."""
        view = memoryview(lines)
        for start in range(0, len(view), _PIECE):
            self._hash.update(view[start : start + _PIECE])
        self.count += count

    def carried(self) -> str:
        """What the next segment is chained to, if this one ends here."""
        return self._hash.hexdigest() if self.count else self._previous

    def is_closed_by(self, line: bytes) -> bool:
        """Whether a line is the seal of the block, which it then closes.

        If it is not, the chain can be used no longer, unless the line is not even the form of one.
        """
        match = _match(line)
        if match is None:
            return False
        unsigned, seq, at, count, digest = match.groups()
        if int(count) != self.count or int(seq) > MAX_SEQ or int(at) > MAX_AT:
            return False
        self._hash.update(unsigned)
        told = digest.decode()
        if self._hash.hexdigest() != told:
            return False
        self._start(told)
        return True

    def seal(self, seq: int, at: int) -> tuple[LogSealed, bytes]:
        """Close the block: the seal and its line, to which the next block is then chained."""
        count = self.count
        unsigned = (_UNSIGNED % (seq, at, count)).encode()
        self._hash.update(unsigned)
        digest = self._hash.hexdigest()
        self._start(digest)
        sealed = LogSealed(seq=seq, at=at, count=count, digest=digest)
        return sealed, unsigned + digest.encode() + _BEHIND_DIGEST
