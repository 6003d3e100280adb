"""What a log in a folder has taken in and not written yet; guarded by the sequencer's lock."""

from collections.abc import Sequence
from typing import Final

from recloser.core.events import Event, LogSealed
from recloser.log.seals import SEAL_EVERY
from recloser.log.write_batch import Chunk, callers_in, merges_into

MAX_BUFFERED: Final = 200_000
"""How many events may wait; further ones are counted as lost."""


class WriteBuffer:
    """Chunks of events on their way to the disk.

    Each method changes it by a few statements without a call or a loop between them, which is one
    step: an exception from outside finds all of it done or nothing.

    Args:
        seal_ns: How often a seal is due while events flow, in nanoseconds; None for one per
            ``SEAL_EVERY`` events.
        at: The time of the log when it was opened.

    Attributes:
        chunks: What waits, in the order of the log.
        waiting: How many events these are.
        in_hand: What is being written; it stays here until it is.
        in_hand_events: How many events these are.
        seq: That of the last event taken in.
        unsealed: How many events were taken in since the last seal.
        sync_asks: How often the disk was asked to take all that was taken in by then.
        synced_asks: How many of these it has done.
        sync_due_at: When it was last asked, in nanoseconds of the log.
        lost: Events that could not be taken in or written, and are in no gap yet.
        gap_lost: Events that gaps in the log count as lost.
        gaps: How many gaps these are.
        failure: Why nothing can be written now; None while it can.
        is_closed: Whether no more is taken in.
        refused_seq: The ``seq`` of the last event that came after that; 0 before any.
    """

    def __init__(self, seal_ns: int | None, at: int) -> None:
        self._seal_ns = seal_ns
        self.sync_due_at = at
        self.seq = 0
        self.is_closed = False
        self.refused_seq = 0
        self.gap_lost = self.gaps = 0
        self.clear()

    def clear(self) -> None:
        """Forget what waits: in a forked child it is the parent's to write."""
        self.chunks: list[Chunk] = []
        self.waiting = self.in_hand_events = self.unsealed = self.lost = 0
        self.in_hand: list[Chunk] = []
        self.sync_asks = self.synced_asks = 0
        self.failure: str | None = None

    @property
    def is_overfull(self) -> bool:
        """Whether events are lost rather than taken in: too many wait, or some are lost already."""
        return self.waiting + self.in_hand_events >= MAX_BUFFERED or (
            self.lost > 0 and self.failure is None
        )

    @property
    def is_filling(self) -> bool:
        """Whether callers should give way to the thread that writes."""
        return self.waiting + self.in_hand_events > MAX_BUFFERED // 2

    @property
    def room(self) -> int:
        """How many events there may be before the next seal."""
        return max(1, SEAL_EVERY - self.unsealed)

    def seal_after(self, events: Sequence[Event]) -> LogSealed | None:
        """The seal that is due after the events, which are not taken in yet."""
        if self.is_closed or self.is_overfull:
            return None
        last, unsealed = events[-1], self.unsealed + len(events)
        if (
            last.kind == "state_changed"
            or unsealed >= SEAL_EVERY
            or self._has_waited(last.at, unsealed)
        ):
            return seal_of(last)
        return None

    def _has_waited(self, at: int, unsealed: int) -> bool:
        """Whether what was taken in has waited long enough for a seal, and for the disk."""
        if self._seal_ns is None:
            return unsealed >= SEAL_EVERY
        return at - self.sync_due_at >= self._seal_ns

    def put(self, events: Chunk, seal: LogSealed | None) -> None:
        """Take in events and their seal, unless they were taken in before.

        Where they are too many they are counted as lost, and after the end they are refused.
        """
        last, count = events[-1], len(events)
        seq = last.seq if seal is None else seal.seq
        if seq <= self.seq:
            return
        if self.is_closed:
            self.seq = self.refused_seq = seq
            return
        if self.is_overfull:
            lost = callers_in([events])
            self.lost += lost
            self.seq = seq
            return
        unsealed = 0 if seal is not None else self.unsealed + count
        asks_for_sync = last.kind == "state_changed" or self._has_waited(
            last.at, self.unsealed + count
        )
        chunks: tuple[Chunk, ...] = (events,) if seal is None else (events, (seal,))
        last_chunk = self.chunks[-1:]  # a fork may take them away in between
        merges = bool(last_chunk) and seal is None and merges_into(last_chunk[0], events)
        tail = last_chunk[0] if merges else None
        # One step from here.
        if isinstance(tail, list):
            tail += events
        else:
            self.chunks += chunks
        self.waiting += count
        self.unsealed = unsealed
        self.seq = seq
        if asks_for_sync:
            self.sync_asks += 1
            self.sync_due_at = last.at

    def put_seal(self, seal: LogSealed) -> None:
        """Take in a seal whose events wait, unless it was taken in before.

        Where its events were lost it is left out. That others are lost says nothing of them: what
        the disk refuses now may be written with the next try.
        """
        is_next = bool(self.chunks) and self.chunks[-1][-1].seq == seal.seq - 1
        if is_next and seal.seq > self.seq and not self.is_closed:
            chunk: Chunk = (seal,)
            self.chunks += (chunk,)
            self.unsealed = 0
            self.seq = seal.seq
            self.sync_asks += 1


def seal_of(event: Event) -> LogSealed:
    """The place of the seal after an event; its digest is made when it is written."""
    return LogSealed(event.seq + 1, event.at, 0, "")
