"""The log on disk: callers append to a buffer, and a thread writes it.

Two locks are used. The sequencer's lock guards the buffer, and is never held while the disk is waited
for. The disk's lock is held by the thread that writes. A thread that needs both takes the disk's lock
first, so the disk's lock is never taken by a thread that holds the sequencer's lock.
"""

import atexit
import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args
from weakref import WeakSet

from recloser.clock import Clock
from recloser.core.events import Event, LogSealed
from recloser.core.log_fold import LogFold
from recloser.core.validation import (
    Seconds,
    checked_bytes,
    checked_flag,
    checked_seconds,
    checked_word,
    nanoseconds,
)
from recloser.errors import LogError
from recloser.live.arguments import checked_folder
from recloser.live.disk_lock import MAX_WAIT_SECONDS, DiskLock
from recloser.live.disk_writer import DiskWriter, do_nothing
from recloser.live.live_log import Log
from recloser.live.log_folder import LogFolder
from recloser.live.log_health import LogHealth, health_of
from recloser.live.pending_calls import Outcomes
from recloser.live.sequencer import Sequencer
from recloser.live.session import Detail
from recloser.live.write_buffer import WriteBuffer
from recloser.live.writer_thread import BATCH_SECONDS, IDLE_SECONDS, WriterThread
from recloser.log.appender import Appender, Durability
from recloser.log.reader import LogReader
from recloser.log.recovery import OnDamage
from recloser.log.retention import Retention
from recloser.log.tail import Tail
from recloser.process import forks, host_logging

OnLogFailure: TypeAlias = Literal["gap", "raise"]

FULL_BATCH: Final = 16_384
"""As many events as this are written at once: more would take memory that is not in use yet."""

FLUSH_EVERY: Final = 10_000
"""A program that writes a recording as fast as it can flushes after this many calls, to lose none."""

_LAST_ATTEMPTS: Final = 3
_open_logs: Final[WeakSet["EventLog"]] = WeakSet()


class EventLog(Log):
    """A log in a folder of segments.

    Opening it folds the events of earlier sessions, so that every breaker goes on in the state in
    which it was. A thread writes what is appended every 50 ms, and at once after an edge. A disk that
    fails or stalls costs events, never a protected call: what could not be written is counted in a
    ``log_gap``, with the state after it.

    Args:
        path: The folder; it is made if absent.
        durability: When events are safe. ``batch``: with the operating system within 50 ms, which
            the death of the process does not undo, and on disk with a seal at least once a second,
            at once with an edge, and with each seal if ``seal_seconds`` is None. ``sync``: on disk
            before the call returns; calls at the same time share one wait. ``memory``: as ``batch``,
            but the disk is not waited for.
        clock: The clock that times the log; by default that of the first breaker on it.
        tick_seconds: How often, in seconds, the monotonic and wall time are recorded while events
            flow; None to record them only where a deadline has passed.
        host: The name of the machine in the log; by default the machine's own name.
        detail: ``full`` for one event per outcome; ``runs`` for one event per run, which is the
            successes of a breaker within a whole second, none of them slow and with nothing in
            between, or its rejections. All states and edges are the same, but the log does not have
            the durations of single calls, and a run is safe only when its second is over.
        seal_seconds: How often, in seconds, a seal is written while events flow, besides one per 4,096
            events; None for no further seals, which makes the log smaller.
        segment_bytes: A segment that has grown to this size is followed by a new one, unless most of
            it is the checkpoints with which it began.
        segment_seconds: A segment that is as old as this is followed by a new one at the next event.
        compress: Whether full segments are compressed.
        keep_bytes: The largest size of the log; its oldest segments are removed beyond that, but
            never the last two.
        keep_seconds: The greatest age of its events; segments with older events only are removed, but
            never the last two.
        on_damage: What happens to a log that is damaged when it is opened. ``set_aside``: everything
            whole is kept, and the state goes on from the last whole checkpoint; a file that can't be
            read in part gets ``.damaged`` after its name, and the damage is reported by a
            ``log_gap``, a warning and ``health()``. ``raise``: nothing is changed, and a LogError is
            raised.
        on_log_failure: ``gap`` counts events that can't be made safe; ``raise`` raises a LogError in
            the call as well, if the failure is known in time, which it is with ``sync`` only, or if
            the log is closed.

    Attributes:
        tail: How the log ended when it was opened: what was kept unsealed, and what was dropped.
        damage: What was damaged when it was opened, and is set aside; None if nothing was.

    Raises:
        ConfigError: An argument is invalid.
        LogError: Another writer has the folder, or it can't be read or written, or what is in it was
            written by a later version, or is damaged and ``on_damage`` is ``raise``.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        durability: Durability = "batch",
        clock: Clock | None = None,
        tick_seconds: Seconds | None = 1,
        host: str | None = None,
        detail: Detail = "full",
        seal_seconds: Seconds | None = 1,
        segment_bytes: int = 8 << 20,
        segment_seconds: Seconds | None = None,
        compress: bool = True,
        keep_bytes: int | None = None,
        keep_seconds: Seconds | None = None,
        on_damage: OnDamage = "set_aside",
        on_log_failure: OnLogFailure = "gap",
    ) -> None:
        super().__init__(clock=clock, tick_seconds=tick_seconds, host=host, detail=detail)
        folder_path = checked_folder("path", path)
        durability = checked_word("durability", durability, get_args(Durability))
        on_damage = checked_word("on_damage", on_damage, get_args(OnDamage))
        on_log_failure = checked_word("on_log_failure", on_log_failure, get_args(OnLogFailure))
        seal_seconds = checked_seconds("seal_seconds", seal_seconds, optional=True)
        segment_bytes = checked_bytes("segment_bytes", segment_bytes)
        segment_seconds = checked_seconds(
            "segment_seconds", segment_seconds, above_zero=True, optional=True
        )
        compress = checked_flag("compress", compress)
        keep_bytes = checked_bytes("keep_bytes", keep_bytes, optional=True)
        keep_seconds = checked_seconds("keep_seconds", keep_seconds, optional=True)
        self._folder = LogFolder(folder_path)
        self._durability: Durability = durability
        self._raises = on_log_failure == "raise"
        self._retention = Retention(
            compress_bytes=segment_bytes if compress else None,
            keep_bytes=keep_bytes,
            keep_ns=None if keep_seconds is None else nanoseconds(keep_seconds),
        )
        seal_ns = None if seal_seconds is None else nanoseconds(seal_seconds)
        recovered = self._folder.open(on_damage)
        self._fold, self.tail, self.damage = recovered.fold, recovered.tail, recovered.damage
        self._buffer = WriteBuffer(seal_ns, self._fold.at)
        if self.damage is not None:
            self._buffer.gaps, self._buffer.gap_lost = 1, self.damage.lost
            host_logging.log(logging.WARNING, "%s: the log was damaged: %s", self.path, self.damage)
        appender = self._appender_after(self.tail, self._fold.seq, self._folder.number)
        appender.unsynced_folders = self._folder.unsynced
        self._disk_lock = DiskLock()
        self._writer = DiskWriter(
            self,
            self._folder,
            self._buffer,
            appender,
            segment_bytes=segment_bytes,
            segment_ns=None if segment_seconds is None else nanoseconds(segment_seconds),
            damage=self.damage,
        )
        self._thread = WriterThread(self)
        self._raised_seq = 0  # of the last event that was refused, for which a LogError was raised
        self._closes_later = self._is_ended = self._has_warned = self._has_awaited = False
        self._parent = 0
        _open_logs.add(self)

    def _appender_after(self, tail: Tail, seq: int, number: int = 0) -> Appender:
        return Appender(
            self.path,
            tail,
            seq,
            number=number,
            durability=self._durability,
            on_begun=self._retention.set_due,
        )

    @property
    def path(self) -> Path:
        """The folder of the log; in a forked child another one once the child has written."""
        return self._folder.path

    # Forks.

    def after_fork(self) -> None:
        """In a forked child: leave the parent's segment, buffer and lock to the parent.

        The child's log is a folder of its own beside the parent's. It is made when its first events
        are written, and begins with the states that the child was forked with. No file is opened here
        and no thread is started, as the child may never use the log.
        """
        self._thread = WriterThread(self)
        self._disk_lock.after_fork()
        self._writer.pacing.after_fork()
        if self._is_ended:
            return
        self._writer.appender.abandon()
        self._retention.after_fork()
        self._folder.after_fork()
        if self._buffer.is_closed:
            # The parent was about to end the session: what is left to write is its own.
            self._buffer.clear()
            self._is_ended = True
            return
        self._writer.after_fork()
        self._parent = os.getppid()
        self.tail = Tail()
        self.is_in_child = True
        if self._sequencer is None:
            self._buffer.clear()
            self._writer.appender = self._appender_after(Tail(), self._fold.seq)
        else:
            self._sequencer.after_fork()

    def begin_in_child(self) -> None:
        """Begin the log of a forked child, before its first event; called under the lock."""
        sequencer, forked = self._sequencer, forks.passed
        assert sequencer is not None
        appender = self._appender_after(Tail(), 0)
        self._writer.begin_in_child(sequencer, appender, self._parent, forked)

    # What the sequencer asks for.

    def recovered(self) -> tuple[LogFold, Tail]:
        """Return the fold of the earlier sessions, and how the last of them ended."""
        return self._fold, self.tail

    @property
    def allows_buffering(self) -> bool:
        """Whether an outcome may be reported before the log has it, which ``sync`` does not allow."""
        return self._durability != "sync"

    def room(self) -> int:
        """Return how many events can be appended before the next seal; called under the lock."""
        return self._buffer.room

    def seal_after(self, events: Sequence[Event]) -> LogSealed | None:
        """Return the seal that is due after events; called under the lock, and changes nothing."""
        return self._buffer.seal_after(events)

    def write(self, events: Sequence[Event], seal: LogSealed | None) -> None:
        """Buffer events and their seal, to be written; called under the lock.

        Args:
            events: An event and its witnesses, or several outcomes.
            seal: Their seal, if one is due.
        """
        buffer = self._buffer
        buffer.put(events, seal)
        if buffer.is_closed:
            if not self._has_warned and not self._raises:
                self.notice(
                    logging.WARNING,
                    "%s: the log is closed; calls go on, and are not recorded",
                    self.path,
                )
                self._has_warned = True  # last: an exception from outside may come up before
            return
        if events[-1].kind == "state_changed" or buffer.waiting >= FULL_BATCH:
            self._thread.hurry.ring()
        self.wake_writer()

    def catch_up(self, recorded: Sequence[Event | Outcomes]) -> None:
        """Buffer recorded events that may not be buffered yet; called under the lock."""
        for each in recorded:
            if isinstance(each, LogSealed):
                self._buffer.put_seal(each)
            else:
                self.write(each if isinstance(each, Outcomes) else [each], None)

    def wake_writer(self) -> None:
        """Wake the thread for waiting events and counted calls; called under the lock."""
        if self._sequencer is not None:
            self._sequencer.call_buffer.limit = self._writer.pacing.call_buffer_limit(
                self.buffer_limit, self._writer.appender
            )
        self._thread.is_needed = True
        self._thread.wake.ring()

    def wake_thread(self) -> None:
        """Have the thread do another round."""
        self._thread.wake.ring()

    def ensure_safe(self, seq: int) -> None:
        """With ``sync``, return when all events up to ``seq`` are on disk; called outside the lock.

        Without ``sync`` this waits for nothing, except that callers who append faster than the thread
        can write give way to it for a moment; they do not if the disk has stalled.

        Args:
            seq: The ``seq`` of the last event of the call.

        Raises:
            LogError: An event could not be made safe, or came after the log was closed, and
                ``on_log_failure`` is ``raise``.
        """
        if self._is_inside():
            return
        self.run_deferred()
        buffer, writer = self._buffer, self._writer
        if self._thread.is_needed and not self._thread.is_running:
            self._start_thread()
        writer.pacing.give_way(writer.appender)
        if self._durability == "sync" and buffer.failure is None and writer.safe_seq < seq:
            self._with_disk(partial(self._commit_up_to, seq))
        if self._raises:
            self._raise_failure(seq)

    def _start_thread(self) -> None:
        if not self._thread.start(self.close):
            self._with_disk(partial(self._commit, seal=False, keep_counting=True))

    def _raise_failure(self, seq: int) -> None:
        buffer = self._buffer
        if buffer.refused_seq > self._raised_seq:
            self._raised_seq = buffer.refused_seq
            raise LogError(f"{self.path}: the log is closed; nothing more can be recorded in it")
        if self._durability == "sync" and (
            buffer.failure is not None or seq <= self._writer.lost_seq
        ):
            why = buffer.failure or self._folder.disturbance
            raise LogError(f"{self.path}: the event could not be made safe: {why}")

    # What users ask for.

    @property
    def is_closed(self) -> bool:
        """Whether the log records nothing more.

        If a signal handler closes the log in the middle of a write, it is closed a moment later.
        """
        return self._buffer.is_closed

    def flush(self) -> None:
        """Write everything that was appended to the operating system."""
        if not self._buffer.is_closed:
            self._with_disk(partial(self._commit, seal=False))

    def health(self) -> LogHealth:
        """Return how well the log is written now."""
        return health_of(
            self._sequencer,
            self._buffer,
            failure=self._thread.failure,
            retention_failure=self._retention.failure,
            damage=self.damage,
            disturbance=self._folder.disturbance,
        )

    def __iter__(self) -> Iterator[Event]:
        self.flush()
        return iter(LogReader(self.path))

    # The end of a session.

    def close(self) -> None:
        """Write and seal everything, and end the session; closing twice does nothing.

        If a signal handler calls this while its thread is in the middle of a change or a write, the
        log is closed as soon as that is over.
        """
        if self._is_inside():
            self._closes_later = True
            return
        if self._is_ended:
            return
        self._with_disk(self._write_the_rest)
        if not self._has_awaited:
            self._has_awaited = True  # once, however often a signal handler closes the log
            self._wait_for_listeners()
        self._end()

    def _write_the_rest(self) -> None:
        sequencer = self._sequencer
        if sequencer is None or (self.is_in_child and not sequencer.has_waiting):
            self._buffer.is_closed = True  # a child that used no breaker leaves no folder
            return
        self._commit(seal=False)  # may begin a segment, which is not done once the log is closed
        sequencer.hold(partial(self._close_buffer, sequencer), do_nothing)
        for _ in range(_LAST_ATTEMPTS):
            self._commit(seal=True)
            if self._buffer.failure is None:
                break  # or else a later attempt may record what was lost, and the state after it

    def _close_buffer(self, sequencer: Sequencer) -> None:
        """Record no further events, which are still folded; called under the lock."""
        if self._buffer.is_closed:
            return
        sequencer.coalescing.record_all(sequencer.drain())
        sequencer.coalescing.stop()
        sequencer.call_buffer.limit = 0
        self._writer.close_buffer(sequencer)

    def _end(self) -> None:
        self._thread.stop()
        if self._folder.is_held:
            self._retention.run_to_end(self.path, self._fold.at, self._writer.appender.number)
        self._with_disk(self._let_go)

    def _let_go(self) -> None:
        self._writer.appender.close()
        atexit.unregister(self.close)
        self._folder.release()
        self._is_ended = True

    # How the disk is written.

    def _is_inside(self) -> bool:
        """Return whether this thread is writing, or holds the sequencer's lock.

        A signal handler, a ``__del__`` or a logging handler may come here then. It must wait for
        nothing: another thread that writes may itself wait for the sequencer's lock.
        """
        if self._disk_lock.is_mine or (forks.forking and forks.is_forking()):
            return True
        return self._sequencer is not None and self._sequencer.is_mine

    def _with_disk(self, work: Callable[[], None]) -> None:
        """Run ``work`` while no other thread writes; do nothing in a nested entry of this thread."""
        if self._is_inside() or self._disk_lock.is_blocked:
            return
        try:
            if not self._disk_lock.hold(work):
                # What waits stays in the buffer, and ``health()`` shows the failure.
                self._thread.failure = f"nothing could be written for {MAX_WAIT_SECONDS} s"
        finally:
            self.run_deferred()

    def run_deferred(self) -> None:
        """Log the messages that wait, and close if a nested entry of this thread asked for it."""
        if self._is_inside():
            return
        super().run_deferred()
        if self._closes_later:
            self._closes_later = False
            self._has_awaited = True  # the call that was interrupted waits for no listener
            self.close()

    def write_round(self) -> None:
        """Wait for events, and write them; called by the log's thread, again and again."""
        buffer, writer, thread = self._buffer, self._writer, self._thread
        is_idle = writer.is_idle
        is_woken = thread.wake.wait(IDLE_SECONDS)
        if thread.is_stopping:
            return
        if is_idle and not is_woken:
            self._with_disk(self._check_idle_folder)
            return
        if is_woken or buffer.failure is not None:
            thread.hurry.wait(BATCH_SECONDS)
        self._with_disk(partial(self._commit, seal=not is_woken, keep_counting=True))
        if self._sequencer is not None:
            self._sequencer.after_unlock()
        if buffer.failure is None:
            self._retention.start_if_due(self.path, self._fold.at, writer.appender.number)
        elif self._folder.is_held:
            self._retention.make_room(self.path, self._fold.at, writer.appender.number)

    def _check_idle_folder(self) -> None:
        if self._sequencer is not None and not self._is_ended:
            self._writer.check_idle_folder(self._sequencer)

    def _commit_up_to(self, seq: int) -> None:
        if self._buffer.failure is None and self._writer.safe_seq < seq:
            self._commit(seal=True)

    def _commit(self, *, seal: bool, keep_counting: bool = False) -> None:
        """Write the waiting events; called by the thread that holds the disk's lock."""
        if self._sequencer is not None and not self._is_ended:
            self._writer.commit(self._sequencer, seal=seal, keep_counting=keep_counting)


def _after_fork() -> None:
    for log in list(_open_logs):
        log.after_fork()


def _at_exit() -> None:
    """Close logs that were used for the first time by an exit handler of the host.

    This is registered when this module is imported, so it is called after the handlers that the host
    registers later. Handlers that those register are not called any more.
    """
    for log in list(_open_logs):
        with contextlib.suppress(LogError):  # of a call that is over
            log.close()


atexit.register(_at_exit)
forks.after_in_child(_after_fork)
