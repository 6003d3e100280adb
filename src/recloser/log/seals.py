"""Seals: SHA-256 digests chained over every byte of a log."""

import hashlib
import re
from typing import Final, NamedTuple

from recloser.core.events import GENESIS, LogSealed

try:
    from recloser.log import seal_search
except ImportError:
    seal_search = None  # type: ignore[assignment]  # pip had no compiler

SEAL_EVERY: Final = 4096
"""A seal follows at most this many events, so that a reader can hold one block in memory."""

_SEAL_START: Final = b'{"event":"log_sealed",'
_NEXT_SEAL: Final = b"\n" + _SEAL_START
# For more bytes than this, hashlib releases the interpreter's lock. In a busy process it may take
# 5 ms to get the lock back, and hashing takes only a tenth of a millisecond.
_PIECE: Final = 2047
_UNSIGNED: Final = '{"event":"log_sealed","seq":%d,"at":%d,"count":%d,"digest":"'
_AFTER_DIGEST: Final = b'"}\n'
# Numbers of up to 18 digits are always in range. A seal with a longer one does not match here and
# is decoded in full instead.
_match: Final = re.compile(
    rb'\{"event":"log_sealed","seq":(?:0|[1-9]\d{0,17}),"at":(?:0|[1-9]\d{0,17}),'
    rb'"count":(0|[1-9]\d{0,8}),"digest":"([0-9a-f]{64})"\}\n'
).match


def is_seal(line: bytes) -> bool:
    """Whether a line is a seal, judging by its first bytes."""
    return line.startswith(_SEAL_START)


def lines_before_seal(lines: bytes, start: int, end: int) -> tuple[int, int]:
    """Count the whole lines before the next seal, and find where the seal begins.

    Args:
        lines: Whole lines.
        start: Byte at which a line begins.
        end: Byte at which a line ends.

    Returns:
        The number of lines, and the byte at which the seal begins; ``end`` if there is no seal.
    """
    if seal_search is not None:
        return seal_search.lines_before(_SEAL_START, lines, start, end)
    seal = start
    if not lines.startswith(_SEAL_START, start, end):
        newline = lines.find(_NEXT_SEAL, start, end)
        seal = end if newline < 0 else newline + 1
    return lines.count(b"\n", start, seal), seal


class ClosedBlocks(NamedTuple):
    """Blocks that end with matching seals, and what follows them.

    Attributes:
        end: Byte just after the last of these blocks. The next block, which begins there, was not
            added to the chain.
        lines: Number of lines in the blocks, seals included.
        seals: Number of seals among them.
        following: Number of lines from ``end`` to the next seal.
        seal: Byte at which the next seal begins; the end of the lines if there is none.
    """

    end: int
    lines: int
    seals: int
    following: int
    seal: int


class SealChain:
    """The digest of a log's bytes, block by block.

    Args:
        previous: The digest that the first block is chained to, as lower-case hex.

    Attributes:
        count: Number of lines since the last seal.
    """

    def __init__(self, previous: str = GENESIS) -> None:
        self._start(previous)

    def _start(self, previous: str) -> None:
        self.count = 0
        self._previous = previous
        self._hash = hashlib.sha256(previous.encode())

    def copy(self) -> "SealChain":
        """Return a copy of the chain, to return to later."""
        other = SealChain(self._previous)
        other.count = self.count
        other._hash = self._hash.copy()
        return other

    def add_at_once(self, lines: bytes | memoryview, count: int) -> None:
        """Add lines in one step, which is fastest but releases the interpreter's lock."""
        self._hash.update(lines)
        self.count += count

    def add(self, lines: bytes | memoryview, count: int = 1) -> None:
        """Add ``count`` lines without releasing the interpreter's lock."""
        view = memoryview(lines)
        for start in range(0, len(view), _PIECE):
            self._hash.update(view[start : start + _PIECE])
        self.count += count

    def carried(self) -> str:
        """Return the digest, as hex, that a next segment would be chained to."""
        return self._hash.hexdigest() if self.count else self._previous

    def close_blocks(self, lines: bytes, start: int, end: int) -> "ClosedBlocks":
        """Add the blocks whose seals match, and stop before the first other one.

        Nearly all blocks match, so this is the fast path of reading.

        Args:
            lines: Whole lines.
            start: Byte at which the lines begin that were not added yet.
            end: Byte at which they end.
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
        """Close the block, and return its seal and the seal's line.

        The next block is chained to it.

        Args:
            seq: The seal's ``seq``.
            at: The seal's time, in nanoseconds of the log.
        """
        count = self.count
        unsigned = (_UNSIGNED % (seq, at, count)).encode()
        self._hash.update(unsigned)
        digest = self._hash.hexdigest()
        self._start(digest)
        sealed = LogSealed(seq=seq, at=at, count=count, digest=digest)
        return sealed, unsigned + digest.encode() + _AFTER_DIGEST
