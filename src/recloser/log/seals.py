"""Seals: SHA-256 chained over every byte of a log."""

import hashlib
import re
from typing import Final, NamedTuple

from recloser.core.events import GENESIS, LogSealed

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
# A number of 19 digits may be out of range. No log has such; it would be checked all the same.
_match: Final = re.compile(
    rb'\{"event":"log_sealed","seq":(?:0|[1-9]\d{0,17}),"at":(?:0|[1-9]\d{0,17}),'
    rb'"count":(0|[1-9]\d{0,8}),"digest":"([0-9a-f]{64})"\}\n'
).match


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


class ClosedBlocks(NamedTuple):
    """Blocks that end with their own seals, and what comes next.

    Attributes:
        end: Where they end. The block that begins there was not taken in.
        lines: How many lines they have.
        seals: How many of these are seals.
        following: How many lines stand before the next seal.
        seal: Where that begins; the end of all lines if there is none.
    """

    end: int
    lines: int
    seals: int
    following: int
    seal: int


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

    def close_blocks(self, lines: bytes, start: int, end: int) -> "ClosedBlocks":
        """Take in all blocks that end with their own seals, as nearly all do.

        Args:
            lines: Whole lines.
            start: Where they go on with what was taken in before.
            end: Where they end.
        """
        view = memoryview(lines)
        total = seals = 0
        while True:
            count, seal = lines_before_seal(lines, start, end)
            match = _match(lines, seal, end)
            if (
                match is None
                or int(match[1]) != self.count + count
                or self.count + count > SEAL_EVERY
            ):
                break
            hashed = self._hash if seals else self._hash.copy()
            hashed.update(view[start : match.start(2)])
            digest = match[2].decode()
            if hashed.hexdigest() != digest:
                if seals:
                    self._start(self._previous)
                break
            self._start(digest)
            start = match.end()
            total += count + 1
            seals += 1
        return ClosedBlocks(start, total, seals, count, seal)

    def seal(self, seq: int, at: int) -> tuple[LogSealed, bytes]:
        """Close the block: the seal and its line, to which the next block is then chained."""
        count = self.count
        unsigned = (_UNSIGNED % (seq, at, count)).encode()
        self._hash.update(unsigned)
        digest = self._hash.hexdigest()
        self._start(digest)
        sealed = LogSealed(seq=seq, at=at, count=count, digest=digest)
        return sealed, unsigned + digest.encode() + _BEHIND_DIGEST
