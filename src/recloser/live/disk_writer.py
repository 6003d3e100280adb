"""How buffered events get to the disk, and what happens when the disk fails."""

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Protocol

from attrs import evolve

from recloser.core.events import Event, LogGap, LogSealed
from recloser.core.limits import label
from recloser.errors import LogError
from recloser.live import notices
from recloser.live.last_good import LastGood
from recloser.live.line_encoding import encoded
from recloser.live.log_folder import LogFolder
from recloser.live.own_events import OwnEvents, checkpoints_of
from recloser.live.sequencer import Sequencer
from recloser.live.write_buffer import WriteBuffer
from recloser.live.write_pacing import WritePacing
from recloser.log.appender import Appender
from recloser.log.folder_watch import DisturbedError
from recloser.log.set_aside import Damage
from recloser.log.write_batch import Chunk, callers_in
from recloser.process import forks


class WrittenFolder(Protocol):
    """A log, as its disk writer sees it.

    Attributes:
        is_in_child: Whether the process was forked and the log of the child is not begun.
    """

    is_in_child: bool

    def wake_writer(self) -> None:
        """Have the log's thread look at waiting events and counted calls; called under the lock."""

    def wake_thread(self) -> None:
        """Have the log's thread do another round."""


class DiskWriter:
    """Writes buffered events; all methods are called by a thread that holds the disk's lock.

    A *commit* has three steps. If any exception is raised between them, the next commit goes on from
    there:

    1. Under the sequencer's lock, the buffered events become the *batch in hand*, together with the
       log's own events that are due: a seal, the header of a new segment, a gap.
    2. Without that lock, the batch in hand is encoded and written to the operating system.
    3. Under the sequencer's lock, it is noted that the batch is written.

    A signal handler may fork in the middle of a write, and its child may call the breaker there: the
    log of the child is then begun already when the child returns here, and the parent writes the
    batch that was in hand. So each step compares the count of forks; in the child the commit stops,
    and the next one writes the child's own events.

    Args:
        log: The log.
        folder: The folder to write to.
        buffer: The events that wait.
        appender: Writes to segments.
        segment_bytes: A segment that has grown to this size is followed by a new one.
        segment_ns: A segment that is as old as this, in nanoseconds, is followed by a new one; None
            for no such limit.
        damage: What was damaged when the log was opened; its gap is counted already.

    Attributes:
        folder: The folder to write to.
        appender: Writes to segments; another one in a forked child.
        safe_seq: The ``seq`` of the last event that is written.
        lost_seq: The ``seq`` of the last event that was in the buffer when the disk failed last.
        pacing: How callers give way to a write.
    """

    def __init__(
        self,
        log: WrittenFolder,
        folder: LogFolder,
        buffer: WriteBuffer,
        appender: Appender,
        *,
        segment_bytes: int,
        segment_ns: int | None,
        damage: Damage | None,
    ) -> None:
        self._log = log
        self.folder = folder
        self._buffer = buffer
        self.appender = appender
        self._segment_bytes = segment_bytes
        self._segment_ns = segment_ns
        # The text of the gap for what was damaged at the opening.
        self._opening_error = None if damage is None else damage.short()
        self.safe_seq = self.lost_seq = 0
        self._in_hand_seq = self._in_hand_asks = 0
        self._put = 0  # how many of the chunks in hand the appender has taken
        self._strikes = 0  # failed attempts in a row whose exceptions may have come from outside
        self._failing: Exception | None = None  # the failure that is being dealt with
        self._is_torn = False  # whether a write was interrupted
        self._notes_disturbance = False  # whether what is in hand has a gap for a disturbance
        self.pacing = WritePacing(buffer)

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to write, to seal or to make safe."""
        buffer = self._buffer
        return (
            buffer.failure is None
            and not buffer.unsealed
            and not buffer.in_hand
            and not self._is_torn
            and self.appender.is_safe
        )

    def after_fork(self) -> None:
        """In a forked child: note that no event of the child is written yet."""
        self.safe_seq = self.lost_seq = 0
        self._notes_disturbance = False

    def begin_in_child(
        self, sequencer: Sequencer, appender: Appender, parent: int, forked: int
    ) -> None:
        """In a forked child: begin the child's log; called under the sequencer's lock.

        Its header, and the states that the child was forked with, then wait to be written.

        Args:
            sequencer: The sequencer of the log.
            appender: The child's appender.
            parent: The process number of the parent.
            forked: The count of forks before ``appender`` was made.
        """
        fold, buffer = sequencer.fold, self._buffer
        sequencer.is_whole = False
        self._is_torn = False
        self._failing = None
        buffer.clear()
        self.appender = appender
        own = OwnEvents(fold, 0)
        own.add(self._gap_events(sequencer, f"forked from process {parent}", 0))
        good = LastGood(fold)
        if forked != forks.passed:
            return  # a signal handler has forked meanwhile: this is the child's child, and begins anew
        # One step.
        buffer.chunks = own.chunks
        buffer.unsealed = own.unsealed
        buffer.seq = fold.seq
        sequencer.last_good = fold.keeper = good
        sequencer.is_whole = True
        self._log.is_in_child = False

    def close_buffer(self, sequencer: Sequencer) -> None:
        """Seal the waiting events and close the buffer in one step; called under the sequencer's lock.

        The closed buffer refuses later events, which are folded all the same. So the seal must come
        before them.

        Args:
            sequencer: The sequencer of the log.
        """
        buffer, fold = self._buffer, sequencer.fold
        if not buffer.unsealed or buffer.lost or buffer.failure is not None:
            buffer.is_closed = True
            return
        sequencer.is_whole = False
        seal = LogSealed(fold.seq + 1, fold.at, 0, "")
        fold.apply(seal)
        good, chunk = LastGood(fold), (seal,)
        # One step.
        buffer.chunks += (chunk,)
        buffer.unsealed = 0
        buffer.seq = seal.seq
        buffer.sync_asks += 1
        buffer.is_closed = True
        sequencer.last_good = fold.keeper = good
        sequencer.is_whole = True

    def commit(self, sequencer: Sequencer, *, seal: bool, keep_counting: bool = False) -> None:
        """Write the waiting events.

        Args:
            sequencer: The sequencer of the log.
            seal: Whether a seal is written after them.
            keep_counting: Whether counted calls may wait until their second is over.
        """
        forked = forks.passed
        try:
            # If the sequencer's lock is held for too long, nothing is noted. The next commit then
            # finds out how far the operating system has come.
            if not self._resume(sequencer, forked) or forked != forks.passed:
                return
            take = partial(self._take_in_hand, sequencer, seal=seal, keep_counting=keep_counting)
            sequencer.hold(take, do_nothing)
            if not self._write_in_hand(sequencer, forked) or forked != forks.passed:
                return
            self._is_torn = False
            self._strikes = 0
        except Exception as error:
            if forked != forks.passed:
                return
            if isinstance(error, OSError | LogError):
                is_new = self._buffer.failure is None
                self.fail(sequencer, error)
                if is_new and isinstance(error, DisturbedError):
                    # Only the old segment is lost: the next one can be written at once.
                    self.commit(sequencer, seal=True, keep_counting=keep_counting)
                return
            # The exception may have come from outside. If one comes up a second time, the events
            # themselves can't be written.
            self._strikes += 1
            if self._strikes == 1:
                raise
            self.fail(sequencer, error)
        self.pacing.note_written()

    def _resume(self, sequencer: Sequencer, forked: int) -> bool:
        """Complete an earlier commit that was interrupted; return whether that is done."""
        if self._failing is not None:
            self.fail(sequencer, self._failing)
            if self._failing is not None:
                return False
        if self._is_torn and not self._roll_back(sequencer):
            return False
        self._is_torn = True
        return not self._buffer.in_hand or self._write_in_hand(sequencer, forked)

    def _roll_back(self, sequencer: Sequencer) -> bool:
        """Keep in hand only the events that an interrupted write left unwritten.

        Returns:
            Whether this is noted; False if the sequencer's lock is held for too long.
        """
        self.appender.roll_back(is_failed=False)
        written, buffer = self.appender.written_seq, self._buffer

        def keep_unwritten() -> None:
            buffer.in_hand = [chunk for chunk in buffer.in_hand if chunk[-1].seq > written]

        return _has_held(sequencer, keep_unwritten)

    # Step 1: from the buffer to the batch in hand.

    def _take_in_hand(self, sequencer: Sequencer, *, seal: bool, keep_counting: bool) -> None:
        """Make the batch in hand: the events to write next, in order; called under the lock."""
        self._fold_pending(sequencer, keep_counting=keep_counting)
        buffer, fold, folder = self._buffer, sequencer.fold, self.folder
        batch, lost = list(buffer.chunks), buffer.lost
        if buffer.failure is not None:
            lost += callers_in(batch)
            batch = []
        sequencer.is_whole = False
        own = OwnEvents(fold, buffer.unsealed)
        notes_disturbance = False
        if lost or buffer.failure is not None:
            why = buffer.failure or "the disk is too slow"
            own.add(self._gap_events(sequencer, why, lost))
            seal = True
        elif batch and not buffer.is_closed and self._is_segment_full(fold.at):
            own.add_seal()
            own.add([sequencer.header()])
            own.add(chain.from_iterable(map(partial(checkpoints_of, fold), fold.breakers)))
        elif folder.resumed_after and not buffer.is_closed:
            own.add(self._gap_events(sequencer, folder.resumed_after, 0))
            seal = notes_disturbance = True
        if own.unsealed and seal and (own.chunks or not buffer.is_closed):
            own.add_seal()
        batch += own.chunks
        good, asks, at = LastGood(fold), buffer.sync_asks + seal, fold.at
        lost_seq = buffer.seq if buffer.failure is not None else self.lost_seq
        waiting, unsealed, seq = buffer.waiting, own.unsealed, fold.seq
        # One step.
        buffer.in_hand = batch
        buffer.in_hand_events = waiting
        buffer.chunks = []
        buffer.waiting = 0
        buffer.lost = lost
        buffer.unsealed = unsealed
        buffer.seq = seq
        buffer.sync_asks = asks
        self.lost_seq = lost_seq
        if seal:
            buffer.sync_due_at = at
        if notes_disturbance:
            folder.resumed_after = ""
            self._notes_disturbance = True
        self._in_hand_asks = asks
        self._in_hand_seq = seq
        sequencer.last_good = fold.keeper = good
        sequencer.is_whole = True

    def _is_segment_full(self, at: int) -> bool:
        return self.appender.is_full(at, full_bytes=self._segment_bytes, full_ns=self._segment_ns)

    def _fold_pending(self, sequencer: Sequencer, *, keep_counting: bool) -> None:
        """Fold buffered fast-path calls. If there are none, ask the next call to wake the thread."""
        call_buffer = sequencer.call_buffer
        if not call_buffer:
            call_buffer.limit = 0
        # A call that was recorded before it could see the new limit wakes nobody. It is folded here,
        # as the buffer is looked at again.
        if call_buffer or sequencer.coalescing:
            seq = sequencer.next_seq
            at = sequencer.drain()
            if not keep_counting:
                sequencer.coalescing.record_all(at)
            if sequencer.next_seq != seq:
                sequencer.advance(at)
        if sequencer.coalescing:
            self._log.wake_writer()

    def _gap_events(self, sequencer: Sequencer, why: str, lost: int) -> Iterator[Event]:
        """Yield a log gap, and checkpoints from which folding can start after it."""
        fold = sequencer.fold
        if not self.appender.has_segment:
            # The new segment begins with the number of the first lost event, so that no numbers are
            # missing before it.
            header = evolve(sequencer.header(), seq=self.appender.last_seq + 1)
            fold.use_reading_of(header)
            yield header
        yield LogGap(fold.seq + 1, fold.at, lost, label(why))
        for name in fold.breakers:
            yield from checkpoints_of(fold, name)

    # Step 2: from the batch in hand to the operating system.

    def _write_in_hand(self, sequencer: Sequencer, forked: int) -> bool:
        """Write the batch in hand; return whether that is done and noted."""
        buffer = self._buffer
        batch, is_sync_due = buffer.in_hand, self._in_hand_asks > buffer.synced_asks
        if not batch and (not is_sync_due or self.appender.is_safe):
            return True
        if not self._put_all(batch, forked, is_sync_due=is_sync_due):
            return False
        return self._note_written(sequencer, forked)

    def _put_all(self, batch: Sequence[Chunk], forked: int, *, is_sync_due: bool) -> bool:
        """Write a batch to the operating system; False in a child that was forked meanwhile."""
        self._put = 0
        if forked == forks.passed:
            self.check_folder()
        if self.folder.lock is None and forked == forks.passed:
            self.folder.make_for_child(self)
        appender = self.appender
        for chunk, lines in encoded(batch):
            if forked != forks.passed:
                return False
            appender.append(chunk, lines)
            self._put += 1
        if forked != forks.passed:
            return False
        appender.flush(is_sync_due=is_sync_due)
        return True

    def check_folder(self) -> None:
        """Check that the log's folder is as this writer left it; report a change that does no harm.

        Raises:
            DisturbedError: The waiting events can't be written to the segment meant for them.
            OSError: The folder can't be read or created again.
        """
        what = self.folder.check(self.appender)
        if what is not None:
            message = "%s: %s; the log goes on, and no event is lost"
            notices.defer(logging.WARNING, message, self.folder.path, what)
            self._log.wake_thread()

    def check_idle_folder(self, sequencer: Sequencer) -> None:
        """Check the log's folder while no event waits to be written.

        Args:
            sequencer: The sequencer of the log.
        """
        if self._buffer.in_hand:
            return
        self._put = 0
        try:
            self.check_folder()
        except OSError as error:
            self.fail(sequencer, error)

    # Step 3: noting what was written.

    def _note_written(self, sequencer: Sequencer, forked: int) -> bool:
        """Note that the batch in hand is written, with its gaps; return whether that is noted."""
        buffer = self._buffer
        gaps = [
            chunk[0]
            for chunk in buffer.in_hand
            if isinstance(chunk[0], LogGap) and chunk[0].error != self._opening_error
        ]
        lost = sum(gap.lost for gap in gaps)
        had_failed = lost > 0 or buffer.failure is not None
        new_gaps = len(gaps) if had_failed or self._notes_disturbance else 0

        def note() -> None:
            if forked != forks.passed:
                return
            # One step.
            buffer.in_hand = []
            buffer.in_hand_events = 0
            buffer.synced_asks = self._in_hand_asks
            self.safe_seq = self._in_hand_seq
            self._notes_disturbance = False
            if new_gaps:
                buffer.lost -= lost
                buffer.gap_lost += lost
                buffer.gaps += new_gaps
                buffer.failure = None

        if not _has_held(sequencer, note):
            return False
        if had_failed and new_gaps and forked == forks.passed:
            message = "%s: the log goes on; %d events are missing"
            notices.defer(logging.WARNING, message, self.folder.path, lost)
        return True

    def fail(self, sequencer: Sequencer, error: Exception) -> None:
        """Return to what is known to be safe, and count what is not as lost.

        Args:
            sequencer: The sequencer of the log.
            error: Why the events can't be written.
        """
        buffer, appender = self._buffer, self.appender
        self._failing = error  # if this is interrupted, the next commit does it again
        appender.roll_back()
        lost = callers_in(buffer.in_hand[self._put :]) + appender.dropped
        why = f"{(error.strerror if isinstance(error, OSError) else None) or error}"
        is_new = buffer.failure is None

        def note() -> None:
            # One step.
            buffer.in_hand = []
            buffer.in_hand_events = 0
            buffer.lost += lost
            buffer.failure = why
            appender.dropped = 0
            self._failing = None
            self._is_torn = False

        sequencer.hold(note, do_nothing)
        self._strikes = 0
        if is_new and isinstance(error, DisturbedError):
            message = "%s: %s; the log goes on with a gap"
            notices.defer(logging.WARNING, message, self.folder.path, error)
        elif is_new:
            message = "%s: the log can't be written: %s"
            notices.defer(logging.ERROR, message, self.folder.path, error)


def _has_held(sequencer: Sequencer, change: Callable[[], None]) -> bool:
    """Make a change under the lock; return whether it was made, as the lock may be held for long."""
    is_made = False

    def make() -> None:
        nonlocal is_made
        change()
        is_made = True

    sequencer.hold(make, do_nothing)
    return is_made


def do_nothing() -> None:
    """Stand for a change in a thread that is in the middle of one."""
