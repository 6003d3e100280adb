"""Events that a log in a folder has accepted and not written yet."""

from collections.abc import Sequence
from typing import Final

from recloser.core.events import Event, LogSealed
from recloser.log.seals import SEAL_EVERY
from recloser.log.write_batch import Chunk, callers_in, merges_into

MAX_BUFFERED: Final = 200_000
"""How many events may wait; further events are counted as lost."""


class WriteBuffer:
    """Chunks of events that wait to be written to the disk.

    It is changed under the sequencer's lock only. Each method changes it by a few statements without a
    call or a loop between them, which is one step: an exception from a signal handler or another
    thread finds either all of the change done or nothing. ``DiskWriter`` changes it in the same way.

    Args:
        seal_ns: How often a seal is due while events flow, in nanoseconds; None for one seal per
            ``SEAL_EVERY`` events.
        at: The time of the log when it was opened, in nanoseconds.

    Attributes:
        chunks: The chunks that wait, in the order of the log.
        waiting: How many events are in ``chunks``.
        in_hand: The chunks that are being written; they stay here until they are written.
        in_hand_events: How many events are in ``in_hand``.
        seq: The ``seq`` of the last event that was accepted.
        unsealed: How many events were accepted since the last seal.
        sync_asks: How many times a sync of everything accepted so far was asked for.
        synced_asks: How many of these syncs are done.
        sync_due_at: When a sync was asked for last, in nanoseconds of the log.
        lost: Events that could not be accepted or written, and that no gap counts yet.
        gap_lost: Events that gaps in the log count as lost.
        gaps: How many such gaps there are.
        failure: Why nothing can be written now; None while it can.
        is_closed: Whether no more events are accepted.
        refused_seq: The ``seq`` of the last event that came after the buffer was closed; 0 before any.
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
        """Drop all waiting events; in a forked child, the parent writes them."""
        self.chunks: list[Chunk] = []
        self.waiting = self.in_hand_events = self.unsealed = self.lost = 0
        self.in_hand: list[Chunk] = []
        self.sync_asks = self.synced_asks = 0
        self.failure: str | None = None

    @property
    def is_overfull(self) -> bool:
        """Whether events are lost instead of accepted: too many wait, or some are lost already."""
        return self.waiting + self.in_hand_events >= MAX_BUFFERED or (
            self.lost > 0 and self.failure is None
        )

    @property
    def is_filling(self) -> bool:
        """Whether callers should give way to the thread that writes, as many events wait."""
        return self.waiting + self.in_hand_events > MAX_BUFFERED // 2

    @property
    def room(self) -> int:
        """How many events can be accepted before the next seal."""
        return max(1, SEAL_EVERY - self.unsealed)

    def seal_after(self, events: Sequence[Event]) -> LogSealed | None:
        """Return the seal that is due after events that are not accepted yet; None if none is.

        Args:
            events: The events.
        """
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
        """Return whether accepted events have waited long enough for a seal and a sync."""
        if self._seal_ns is None:
            return unsealed >= SEAL_EVERY
        return at - self.sync_due_at >= self._seal_ns

    def put(self, events: Chunk, seal: LogSealed | None) -> None:
        """Accept events and their seal, unless they were accepted before.

        If too many events wait, they are counted as lost. If the buffer is closed, they are refused.

        Args:
            events: The events.
            seal: Their seal; None if none is due.
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
        last_chunk = self.chunks[-1:]  # a slice, as a fork may have cleared the list since
        merges = bool(last_chunk) and seal is None and merges_into(last_chunk[0], events)
        tail = last_chunk[0] if merges else None
        # One step, from here to the end.
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
        """Accept a seal whose events wait, unless it was accepted before.

        If its events were lost, the seal is left out. Whether other events were lost makes no
        difference: events that the disk refuses now may be written at the next attempt.

        Args:
            seal: The seal.
        """
        is_next = bool(self.chunks) and self.chunks[-1][-1].seq == seal.seq - 1
        if is_next and seal.seq > self.seq and not self.is_closed:
            chunk: Chunk = (seal,)
            self.chunks += (chunk,)
            self.unsealed = 0
            self.seq = seal.seq
            self.sync_asks += 1


def seal_of(event: Event) -> LogSealed:
    """Return the seal after an event, without its digest, which is made when the seal is written.

    Args:
        event: The event.
    """
    return LogSealed(event.seq + 1, event.at, 0, "")
