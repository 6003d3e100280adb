"""The log on disk: callers append to a buffer, and a thread writes it.

Whoever writes holds ``_io``. The buffer is guarded by the sequencer's lock, which is never held
while the disk is waited for. ``_io`` is taken first where both are needed, and so never by a thread
that holds the sequencer's lock.
"""

import atexit
import contextlib
import errno
import logging
import os
import threading
from _thread import start_new_thread
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args
from weakref import WeakSet, ref

from attrs import evolve

from recloser.clock import Clock
from recloser.core.events import Event, LogGap, LogSealed
from recloser.core.limits import label
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
from recloser.live.last_good import LastGood
from recloser.live.line_encoding import encoded
from recloser.live.live_log import Log
from recloser.live.log_health import LogHealth
from recloser.live.own_events import OwnEvents, checkpoints_of
from recloser.live.pending_calls import Outcomes
from recloser.live.sequencer import Sequencer
from recloser.live.session import Detail
from recloser.live.write_buffer import WriteBuffer
from recloser.log import disk
from recloser.log.appender import Appender, Durability
from recloser.log.folder_lock import FolderLock
from recloser.log.folder_watch import DisturbedError, disturbance_of
from recloser.log.listing import last_number
from recloser.log.open_errors import open_failure
from recloser.log.reader import LogReader
from recloser.log.recovery import OnDamage, Recovered, recover
from recloser.log.retention import Retention, tidy
from recloser.log.tail import Tail
from recloser.log.write_batch import Chunk, callers_in
from recloser.process import forks, host_logging
from recloser.process.bell import Bell
from recloser.process.exits import at_exit
from recloser.process.thread_runner import RunnerReference, ThreadRunner, is_running
from recloser.process.timed_lock import TimedLock

OnLogFailure: TypeAlias = Literal["gap", "raise"]

BATCH_SECONDS: Final = 0.05
FULL_BATCH: Final = 16_384
"""As many events as this are written at once: more would take memory that is not in use yet."""

PATIENCE: Final = 4
"""How often callers give way while the thread is at the disk, which has stalled if it takes longer."""

FLUSH_EVERY: Final = 10_000
"""Whoever writes a recording as fast as it can flushes as often as this, to lose none of it."""

GIVE_WAY_SECONDS: Final = 0.005
_IDLE_SECONDS: Final = 1.0
_LONGEST_WAIT: Final = 5.0
_MOST_FOLDERS: Final = 1000
_LAST_TRIES: Final = 3
_logger: Final = logging.getLogger("recloser")
_open_logs: Final[WeakSet["EventLog"]] = WeakSet()


class EventLog(Log):
    """A log in a folder of segments.

    Opening it folds what earlier sessions left, so that every breaker goes on where it stood. A
    thread writes what is appended every 50 ms, and at once on an edge. A disk that fails or stalls
    costs events, never a protected call: what could not be written is counted in a ``log_gap``,
    with the state after it.

    Args:
        path: The folder; it is made if absent.
        durability: When events are safe. ``batch``: with the operating system within 50 ms, which
            the death of the process does not undo, and on disk with a seal at least once a second,
            at once with an edge, and with each where ``seal_seconds`` is None. ``sync``: on disk
            before the call returns; calls that come together share one wait. ``memory``: as
            ``batch``, but the disk is not waited for.
        clock: What times the log; by default that of the first breaker on it.
        tick_seconds: While events flow, both hands of the clock are recorded as often as this;
            None records them only where a deadline has passed.
        host: What the log names as its machine; by default the machine's own name.
        detail: ``full`` for an event an outcome, ``runs`` for one event a run: the successes of a
            breaker within a whole second, none of them slow and with nothing in between, or its
            refusals. All states and edges are the same; what single calls took is given up, and a
            run is safe when its second is over.
        seal_seconds: How often a seal is written while events flow, besides that of each 4,096; None
            for the sake of size.
        segment_bytes: A segment that has grown to this is followed by a new one, unless most of it
            are the checkpoints that it began with.
        segment_seconds: One that is as old as this likewise, with the next event.
        compress: Whether full segments are compressed.
        keep_bytes: So large may the log be; its oldest segments are removed, never the last two.
        keep_seconds: So old may its events be, likewise.
        on_damage: What becomes of a log that is damaged when it is opened. ``set_aside``: all that is
            whole is kept, and the state goes on from the last checkpoint that is; a file of which
            something can't be read gets ``.damaged`` after its name, and a ``log_gap``, a warning and
            ``health()`` tell of it. ``raise``: nothing is changed, and it is a LogError.
        on_log_failure: ``raise`` has a call raise a LogError whose event could not be made safe,
            which is known in time with ``sync`` only, or came after the log was closed.

    Attributes:
        tail: How the log ended when it was opened: what was kept unsealed, and what was dropped.
        damage: What was damaged when it was opened, and is set aside; None if nothing was.

    Raises:
        ConfigError: An argument has a value that it can't have.
        LogError: Another writer has the folder, or it can't be read or written, or what is in it was
            written by a later version, or is not whole and ``on_damage`` is ``raise``.
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
        folder = checked_folder("path", path)
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
        self.path = _absolute(folder)
        self._durability: Durability = durability
        self._raises = on_log_failure == "raise"
        self._segment_bytes = segment_bytes
        self._segment_ns = None if segment_seconds is None else nanoseconds(segment_seconds)
        self._retention = Retention(
            compress_bytes=segment_bytes if compress else None,
            keep_bytes=keep_bytes,
            keep_ns=None if keep_seconds is None else nanoseconds(keep_seconds),
        )
        seal_ns = None if seal_seconds is None else nanoseconds(seal_seconds)
        self._lock: FolderLock | None = None
        recovered = self._open_folder(on_damage)
        self._fold, self.tail, self.damage = recovered.fold, recovered.tail, recovered.damage
        self._buffer = WriteBuffer(seal_ns, self._fold.at)
        if self.damage is not None:
            self._buffer.gaps, self._buffer.gap_lost = 1, self.damage.lost
            host_logging.log(logging.WARNING, "%s: the log was damaged: %s", self.path, self.damage)
        self._appender = self._appender_after(self.tail, self._fold.seq, self._number)
        self._appender.unsynced_folders = self._new_names
        self._safe_seq = self._in_hand_seq = self._in_hand_asks = self._put = 0
        self._raised_seq = self._lost_seq = self._strikes = 0
        self._failing: Exception | None = None
        self._is_torn = self._closes_later = self._is_ended = self._has_refused = False
        self._has_awaited = False
        self._disturbance: str | None = None
        self._mended = ""
        self._has_told = False
        self._patience = PATIENCE
        self._parent = 0
        self._make_thread_parts()
        _open_logs.add(self)

    def _open_folder(self, on_damage: OnDamage) -> Recovered:
        """What earlier sessions left in the folder, which is locked then."""
        try:
            self._new_names = disk.make_folder(self.path)
            self._lock = FolderLock(self.path)
            tidy(self.path)
            recovered = recover(self.path, on_damage)
            self._number = last_number(self.path)
        except BaseException as error:
            if self._lock is not None:
                self._lock.release()
            if isinstance(error, OSError):
                raise LogError(open_failure(self.path, error)) from error
            raise
        return recovered

    def _appender_after(self, tail: Tail, seq: int, number: int = 0) -> Appender:
        return Appender(
            self.path,
            tail,
            seq,
            number=number,
            durability=self._durability,
            on_begun=self._retention.set_due,
        )

    def _make_thread_parts(self) -> None:
        # It can be taken again by its own thread: a signal handler may flush in mid-write.
        self._io = TimedLock(_LONGEST_WAIT)
        self._wake = Bell()
        self._hurry = Bell()
        self._has_written = Bell()
        self._ended = Bell()
        self._is_writing = threading.Lock()
        self._is_stuck = False
        self._is_stopping = self._needs_thread = self._ends_at_exit = False
        self._runner: RunnerReference | None = None
        self._writer_ident = 0
        self._thread_failure: str | None = None

    # Forks.

    def after_fork(self) -> None:
        """In a forked child: leave the parent's segment, buffer and lock to the parent.

        The child's log is a folder of its own beside the parent's, made when its first events are
        written, and begins with the states that the child was forked with. No file is opened here
        and no thread started, as the child may never use the log.
        """
        io, is_writing = self._io, self._is_at_io()
        self._make_thread_parts()
        if is_writing:
            self._io = io  # a signal handler has forked in mid-write
        if self._is_ended:
            return
        self._appender.abandon()
        self._retention.after_fork()
        if self._lock is not None:
            self._lock.release()
            self._lock = None
        if self._buffer.is_closed:
            # The parent was about to end the session: what is left to write is its own.
            self._buffer.clear()
            self._is_ended = True
            return
        self._safe_seq = self._lost_seq = 0
        self._mended = ""
        self._has_told = False
        self._parent = os.getppid()
        self.tail = Tail()
        self.is_in_child = True
        if self._sequencer is None:
            self._buffer.clear()
            self._appender = self._appender_after(Tail(), self._fold.seq)
        else:
            self._sequencer.after_fork()

    def begin_in_child(self) -> None:
        """Begin the log of a forked child, before its first event; called under the lock.

        Its header, and the states that the child was forked with, then wait to be written.
        """
        sequencer, buffer, forked = self._attached, self._buffer, forks.passed
        fold = sequencer.fold
        sequencer.is_whole = False
        self._is_torn = False
        self._failing = None
        buffer.clear()
        self._appender = self._appender_after(Tail(), 0)
        own = OwnEvents(fold, 0)
        own.add(self._after_a_loss(f"forked from process {self._parent}", 0))
        good = LastGood(fold)
        if forked != forks.passed:
            return  # a signal handler has forked meanwhile: this is the child's child, and begins anew
        # One step.
        buffer.chunks = own.chunks
        buffer.unsealed = own.unsealed
        buffer.seq = fold.seq
        sequencer.last_good = fold.keeper = good
        sequencer.is_whole = True
        self.is_in_child = False

    def _make_folder(self) -> None:
        """Make and lock a folder beside the one that another process has, as in a forked child.

        Raises:
            OSError: That can't be done; it is tried again with what is written next.
        """
        forked = forks.passed
        for attempt in range(1, _MOST_FOLDERS):
            # A process of an earlier container may have had the same number.
            suffix = f"-{os.getpid()}" if attempt == 1 else f"-{os.getpid()}-{attempt}"
            folder = self.path.with_name(f"{self.path.name or 'log'}{suffix}")
            try:
                new_names = disk.make_folder(folder, like=self.path, may_exist=False)
            except FileExistsError:
                continue
            try:
                lock = FolderLock(folder)
            except LogError as error:
                raise OSError(errno.ENOLCK, str(error)) from error
            if forked != forks.passed:
                lock.release()  # a signal handler has forked meanwhile: the folder is the parent's
                return
            # One step.
            self._lock = lock
            self._appender.number = 0
            self._appender.folder = folder
            self._appender.unsynced_folders = new_names
            self.path = folder
            return
        raise FileExistsError(errno.EEXIST, "too many folders have the name of this process")

    # What the sequencer asks for.

    @property
    def _attached(self) -> Sequencer:
        assert self._sequencer is not None
        return self._sequencer

    def recovered(self) -> tuple[LogFold, Tail]:
        """The fold of the earlier sessions, and how the last of them ended."""
        return self._fold, self.tail

    @property
    def allows_buffering(self) -> bool:
        """Whether a success may be reported before it is in the log's hands: not with ``sync``."""
        return self._durability != "sync"

    def room(self) -> int:
        """How many events there may be before the next seal."""
        return self._buffer.room

    def seal_after(self, events: Sequence[Event]) -> LogSealed | None:
        """The seal that is due after the events; called under the lock, and changes nothing."""
        return self._buffer.seal_after(events)

    def write(self, events: Sequence[Event], seal: LogSealed | None) -> None:
        """Take in events and their seal, to be written; called under the lock."""
        buffer = self._buffer
        buffer.put(events, seal)
        if buffer.is_closed:
            if not self._has_refused and not self._raises:
                self.notice(
                    logging.WARNING,
                    "%s: the log is closed; calls go on, and are not recorded",
                    self.path,
                )
                self._has_refused = True  # last: an exception from outside may come up before
            return
        if events[-1].kind == "state_changed" or buffer.waiting >= FULL_BATCH:
            self._hurry.ring()
        self.wake_writer()

    def catch_up(self, recorded: Sequence[Event | Outcomes]) -> None:
        """Take in what was recorded, and may not be taken in; called under the lock."""
        for each in recorded:
            if isinstance(each, LogSealed):
                self._buffer.put_seal(each)
            else:
                self.write(each if isinstance(each, Outcomes) else [each], None)

    def wake_writer(self) -> None:
        """Have the thread look at what waits or is counted; called under the lock."""
        if self._sequencer is not None:
            self._sequencer.call_buffer.limit = self._calls_at_once()
        self._needs_thread = True
        self._wake.ring()

    def ensure_safe(self, seq: int) -> None:
        """With ``sync``, wait until all up to ``seq`` is on disk.

        Else wait for nothing, except that callers who append faster than the thread gets to write
        give way to it for a moment; not where the disk has stalled.

        Raises:
            LogError: An event could not be made safe, or came after the log was closed, and
                ``on_log_failure`` is ``raise``.
        """
        if self._is_inside():
            return
        self.run_deferred()
        buffer = self._buffer
        if self._needs_thread and not is_running(self._runner):
            self._start_thread()
        if buffer.is_filling and not self._has_stalled():
            self._give_way()
        if self._durability == "sync" and buffer.failure is None and self._safe_seq < seq:
            self._with_io(partial(self._commit_up_to, seq))
        if self._raises:
            self._raise_failure(seq)

    def _raise_failure(self, seq: int) -> None:
        buffer = self._buffer
        if buffer.refused_seq > self._raised_seq:
            self._raised_seq = buffer.refused_seq
            raise LogError(f"{self.path}: the log is closed; nothing more can be recorded in it")
        if self._durability == "sync" and (buffer.failure is not None or seq <= self._lost_seq):
            why = buffer.failure or self._disturbance
            raise LogError(f"{self.path}: the event could not be made safe: {why}")

    def _give_way(self) -> None:
        if not self._has_written.wait(GIVE_WAY_SECONDS):
            self._patience -= 1

    def _calls_at_once(self) -> int:
        """How many calls may wait: where the buffer fills, callers come by more often.

        They give way then to the thread that writes. Where the disk has stalled, which may be for
        long, they are held up by no more than having to come by.
        """
        if not self._buffer.is_filling:
            return self.buffer_limit
        return 0 if self._has_stalled() else self.buffer_limit // 8

    def _has_stalled(self) -> bool:
        return self._appender.is_waiting_for_disk and self._patience <= 0

    # What users ask for.

    @property
    def is_closed(self) -> bool:
        """Whether the log takes nothing more.

        After ``close`` in a signal handler that may be a moment later.
        """
        return self._buffer.is_closed

    def flush(self) -> None:
        """Hand all that was appended to the operating system."""
        if not self._buffer.is_closed:
            self._with_io(partial(self._commit, seal=False))

    def health(self) -> LogHealth:
        """How well the log is written now."""
        sequencer, buffer = self._sequencer, self._buffer
        damage = None if self.damage is None else str(self.damage)
        if sequencer is None:
            lost, gaps = buffer.gap_lost, buffer.gaps
            return LogHealth(0, 0, lost, gaps, self._thread_failure, damage=damage)
        # No lock: each figure is read in one step, and they may be a few events apart.
        chunks, at = buffer.chunks, sequencer.fold.at
        return LogHealth(
            waiting=buffer.waiting + buffer.in_hand_events + len(sequencer.call_buffer),
            lag_ns=max(0, at - chunks[0][0].at) if chunks else 0,
            lost=buffer.lost + buffer.gap_lost,
            gaps=buffer.gaps,
            failure=buffer.failure or self._thread_failure or self._retention.failure,
            missed_by_listeners=sequencer.notifier.missed,
            damage=damage,
            disturbance=self._disturbance,
        )

    def __iter__(self) -> Iterator[Event]:
        self.flush()
        return iter(LogReader(self.path))

    def close(self) -> None:
        """Write and seal what is not yet, and end the session; closing twice does nothing.

        Where a signal handler calls this while its thread is in the middle of a change or a write,
        it is done as soon as that is over.
        """
        if self._is_inside():
            self._closes_later = True
            return
        if self._is_ended:
            return
        self._with_io(self._write_the_rest)
        if not self._has_awaited:
            self._has_awaited = True  # once, however often a signal handler closes the log
            self._wait_for_listeners()
        self._end()

    def _write_the_rest(self) -> None:
        sequencer = self._sequencer
        if sequencer is None or (self.is_in_child and not sequencer.has_waiting):
            self._buffer.is_closed = True  # a child that used no breaker leaves no folder
            return
        self._commit(seal=False)  # which may begin a segment, as is not done in a closed log
        sequencer.hold(partial(self._take_no_more, sequencer), _do_nothing)
        for _ in range(_LAST_TRIES):
            self._commit(seal=True)
            if self._buffer.failure is None:
                break  # else what was lost may still be recorded, and the state after it

    def _take_no_more(self, sequencer: Sequencer) -> None:
        buffer = self._buffer
        if buffer.is_closed:
            return
        sequencer.coalescing.record_all(sequencer.drain())
        sequencer.coalescing.stop()
        sequencer.call_buffer.limit = 0
        if not buffer.unsealed or buffer.lost or buffer.failure is not None:
            buffer.is_closed = True
            return
        # Events that come later are refused, and folded all the same: the seal comes before them.
        fold = sequencer.fold
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

    def _end(self) -> None:
        self._is_stopping = True
        self._hurry.ring()
        self._wake.ring()
        if is_running(self._runner) and self._writer_ident != threading.get_ident():
            # No longer: the thread may be logging, and wait for a logging handler that is at work
            # in this very thread. All is written, so it has nothing to do but to end.
            self._ended.wait(_IDLE_SECONDS)
        if self._lock is not None and self._has_folder(self._lock):
            self._retention.run_to_end(self.path, self._fold.at, self._appender.number)
        self._with_io(self._let_go)

    def _let_go(self) -> None:
        self._appender.close()
        atexit.unregister(self.close)
        if self._lock is not None:
            self._lock.release()
        self._is_ended = True

    # What others do to the folder.

    def _look_at_folder(self) -> None:
        """Go on where something was done to the folder, or another writer has it.

        Raises:
            DisturbedError: What waits can't be written where it was to be.
            OSError: The folder can't be looked at, or not be made again.
        """
        if self._lock is None:
            return
        found = disturbance_of(self.path, self._lock, self._appender)
        if found is None:
            return
        # One step.
        self._lock = found.lock
        self._disturbance = found.what
        self._mended = "" if found.has_lost else found.what
        if found.has_lost:
            raise DisturbedError(found.what)
        self.notice(
            logging.WARNING, "%s: %s; the log goes on, and no event is lost", self.path, found.what
        )
        self._wake.ring()

    def _look_while_idle(self) -> None:
        sequencer = self._sequencer
        if sequencer is None or self._is_ended or self._buffer.in_hand:
            return
        self._put = 0
        try:
            self._look_at_folder()
        except OSError as error:
            self._fail(sequencer, error)

    @staticmethod
    def _has_folder(lock: FolderLock) -> bool:
        try:
            return lock.is_held
        except OSError:
            return False

    # Who writes.

    @property
    def _thread(self) -> "_WriterThread":
        return _WriterThread(is_running=is_running(self._runner))

    def _is_inside(self) -> bool:
        """Whether this thread is in the middle of writing, or holds the sequencer's lock.

        A signal handler, a ``__del__`` or a logging handler may come here then. It must wait for
        nothing: another thread that writes may itself wait for the sequencer's lock.
        """
        if self._is_at_io() or (forks.forking and forks.is_forking()):
            return True
        return self._sequencer is not None and self._sequencer.is_mine

    def _is_at_io(self) -> bool:
        return self._io.is_mine

    def _with_io(self, work: Callable[[], None]) -> None:
        """Do something while nobody else writes; nothing, if this thread is inside already."""
        if self._is_inside():
            return
        if self._is_stuck and self._is_writing.locked():
            return
        is_taken = True
        try:
            with self._io as is_taken:
                if is_taken:
                    self._is_stuck = False
                    with self._is_writing:
                        work()
        except RuntimeError:
            if is_taken:
                raise
            # The disk has stalled, or who writes was interrupted by a handler that waits for this
            # thread. What waits stays in the buffer, and ``health()`` shows it.
            self._is_stuck = True
            self._thread_failure = f"nothing could be written for {_LONGEST_WAIT} s"
        finally:
            self.run_deferred()

    def run_deferred(self) -> None:
        """Log the messages that wait, and close if that was asked for in the middle of a step."""
        if self._is_inside():
            return
        super().run_deferred()
        if self._closes_later:
            self._closes_later = False
            self._has_awaited = True  # the call that was interrupted waits for no listener
            self.close()

    def _start_thread(self) -> None:
        if self._is_stopping:
            return
        if not self._ends_at_exit:
            self._ends_at_exit = True
            at_exit(self.close)
        try:
            # ``Thread.start`` would wait for the thread to run, and never end in a child that is
            # forked meanwhile.
            start_new_thread(self._run, (self._new_runner(),))
        except RuntimeError as error:
            # There are too many threads, or the interpreter is ending: callers write then.
            self._runner = None
            self._thread_failure = f"no thread can be started: {error}"
            self._with_io(partial(self._commit, seal=False, keep=True))

    def _new_runner(self) -> ThreadRunner:
        runner = ThreadRunner()
        self._runner = ref(runner)
        return runner

    def _run(self, runner: ThreadRunner) -> None:
        try:
            self._writer_ident = threading.get_ident()
            threading.current_thread().name = f"recloser-log-{self.path.name}"
            self._write_until_closed()
        finally:
            # Where an exception from outside has ended it, the next call starts another one.
            if self._runner is not None and self._runner() is runner:
                self._runner = None
            self._ended.ring()

    def _write_until_closed(self) -> None:
        """Write in batches until the log is closed, whatever is raised in between."""
        troubles = 0
        while not self._is_stopping:
            try:
                self._go_round()
                troubles, self._thread_failure = 0, None
            except BaseException as error:  # not even an exit ends it: nobody else writes
                with contextlib.suppress(BaseException):
                    troubles += 1
                    self._thread_failure = f"{type(error).__name__}: {error}"
                    _logger.exception("%s: while writing; it is tried again", self.path)
                    self._hurry.wait(min(BATCH_SECONDS * 2**troubles, _IDLE_SECONDS))

    def _go_round(self) -> None:
        buffer = self._buffer
        is_done = (
            buffer.failure is None
            and not buffer.unsealed
            and not buffer.in_hand
            and not self._is_torn
            and self._appender.is_safe
        )
        woken = self._wake.wait(_IDLE_SECONDS)
        if self._is_stopping:
            return
        if is_done and not woken:
            self._with_io(self._look_while_idle)
            return
        if woken or buffer.failure is not None:
            self._hurry.wait(BATCH_SECONDS)
        self._with_io(partial(self._commit, seal=not woken, keep=True))
        if self._sequencer is not None:
            self._sequencer.after_unlock()
        if buffer.failure is None:
            self._retention.start_if_due(self.path, self._fold.at, self._appender.number)
        elif self._lock is not None and self._has_folder(self._lock):
            self._retention.make_room(self.path, self._fold.at, self._appender.number)

    def _commit_up_to(self, seq: int) -> None:
        if self._buffer.failure is None and self._safe_seq < seq:
            self._commit(seal=True)

    def _commit(self, *, seal: bool, keep: bool = False) -> None:
        """Write what waits; whoever calls this holds ``_io``.

        What is taken from the buffer stays in hand until it is written. So whatever is raised in
        between, from outside too, the next one to come here goes on from there.

        A signal handler may fork in mid-write, and its child may call the breaker there: the log
        of the child is then begun already when it comes back here. What was in hand is the
        parent's to write, so the child leaves, and writes its own at the next commit.
        """
        sequencer = self._sequencer
        if sequencer is None or self._is_ended:
            return
        forked = forks.passed
        try:
            # The lock may be held for too long: then nothing is taken note of, and it is looked up at
            # the next commit how far the operating system has come.
            if not self._pick_up(sequencer, forked) or forked != forks.passed:
                return
            sequencer.hold(partial(self._take, sequencer, seal=seal, keep=keep), _do_nothing)
            if not self._write_in_hand(sequencer, forked) or forked != forks.passed:
                return
            self._is_torn = False
            self._strikes = 0
        except Exception as error:
            if forked != forks.passed:
                return
            if isinstance(error, OSError | LogError):
                is_new = self._buffer.failure is None
                self._fail(sequencer, error)
                if is_new and isinstance(error, DisturbedError):
                    self._commit(seal=True, keep=keep)  # nothing keeps the next segment waiting
                return
            # It may have come from outside. Where it comes again, something can't be written.
            self._strikes += 1
            if self._strikes == 1:
                raise
            self._fail(sequencer, error)
        self._patience = PATIENCE
        self._has_written.ring()

    def _pick_up(self, sequencer: Sequencer, forked: int) -> bool:
        """Finish what an earlier commit was interrupted in; whether that is done."""
        if self._failing is not None:
            self._fail(sequencer, self._failing)
            if self._failing is not None:
                return False
        if self._is_torn and not self._mend(sequencer):
            return False
        self._is_torn = True
        return not self._buffer.in_hand or self._write_in_hand(sequencer, forked)

    def _mend(self, sequencer: Sequencer) -> bool:
        """Come back to what the operating system has, after an exception in mid-write.

        Returns:
            Whether it is taken note of.
        """
        self._appender.roll_back(is_failed=False)
        written, buffer = self._appender.written_seq, self._buffer

        def keep_unwritten() -> None:
            buffer.in_hand = [chunk for chunk in buffer.in_hand if chunk[-1].seq > written]

        return _has_held(sequencer, keep_unwritten)

    def _write_in_hand(self, sequencer: Sequencer, forked: int) -> bool:
        """Write what is in hand; whether that is done, and taken note of."""
        buffer = self._buffer
        batch, is_sync_due = buffer.in_hand, self._in_hand_asks > buffer.synced_asks
        if not batch and (not is_sync_due or self._appender.is_safe):
            return True
        if not self._put_all(batch, forked, is_sync_due=is_sync_due):
            return False
        return self._note_written(sequencer, forked)

    def _note_written(self, sequencer: Sequencer, forked: int) -> bool:
        """What is in hand is written now, and so are the gaps in it; whether that is noted."""
        buffer = self._buffer
        at_opening = None if self.damage is None else self.damage.short()  # it is counted already
        gaps = [
            chunk[0]
            for chunk in buffer.in_hand
            if isinstance(chunk[0], LogGap) and chunk[0].error != at_opening
        ]
        lost = sum(gap.lost for gap in gaps)
        had_failed = lost > 0 or buffer.failure is not None
        number = len(gaps) if had_failed or self._has_told else 0

        def go_on() -> None:
            if forked != forks.passed:
                return
            # One step.
            buffer.in_hand = []
            buffer.in_hand_events = 0
            buffer.synced_asks = self._in_hand_asks
            self._safe_seq = self._in_hand_seq
            self._has_told = False
            if number:
                buffer.lost -= lost
                buffer.gap_lost += lost
                buffer.gaps += number
                buffer.failure = None

        if not _has_held(sequencer, go_on):
            return False
        if had_failed and number and forked == forks.passed:
            self.notice(
                logging.WARNING, "%s: the log goes on; %d events are missing", self.path, lost
            )
        return True

    def _put_all(self, batch: Sequence[Chunk], forked: int, *, is_sync_due: bool) -> bool:
        """Hand a batch to the operating system; False in a child that was forked meanwhile."""
        self._put = 0
        if forked == forks.passed:
            self._look_at_folder()
        if self._lock is None and forked == forks.passed:
            self._make_folder()
        appender = self._appender
        for chunk, lines in encoded(batch):
            if forked != forks.passed:
                return False
            appender.append(chunk, lines)
            self._put += 1
        if forked != forks.passed:
            return False
        appender.flush(is_sync_due=is_sync_due)
        return True

    def _take(self, sequencer: Sequencer, *, seal: bool, keep: bool) -> None:
        """Take in hand what is to be written next, in order; called under the lock."""
        self._collect(sequencer, keep=keep)
        buffer, fold = self._buffer, sequencer.fold
        batch, lost = list(buffer.chunks), buffer.lost
        if buffer.failure is not None:
            lost += callers_in(batch)
            batch = []
        sequencer.is_whole = False
        own = OwnEvents(fold, buffer.unsealed)
        tells = False
        if lost or buffer.failure is not None:
            own.add(self._after_a_loss(buffer.failure or "the disk is too slow", lost))
            seal = True
        elif (
            batch
            and not buffer.is_closed
            and self._appender.is_full(
                fold.at, full_bytes=self._segment_bytes, full_ns=self._segment_ns
            )
        ):
            own.add_seal()
            own.add([sequencer.header()])
            own.add(chain.from_iterable(map(partial(checkpoints_of, fold), fold.breakers)))
        elif self._mended and not buffer.is_closed:
            own.add(self._after_a_loss(self._mended, 0))
            seal = tells = True
        if own.unsealed and seal and (own.chunks or not buffer.is_closed):
            own.add_seal()
        batch += own.chunks
        good, asks, at = LastGood(fold), buffer.sync_asks + seal, fold.at
        lost_seq = buffer.seq if buffer.failure is not None else self._lost_seq
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
        self._lost_seq = lost_seq
        if seal:
            buffer.sync_due_at = at
        if tells:
            self._mended = ""
            self._has_told = True
        self._in_hand_asks = asks
        self._in_hand_seq = seq
        sequencer.last_good = fold.keeper = good
        sequencer.is_whole = True

    def _collect(self, sequencer: Sequencer, *, keep: bool) -> None:
        """Fold what was let past the lock; if that is nothing, have the next call say so."""
        call_buffer = sequencer.call_buffer
        if not call_buffer:
            call_buffer.limit = 0
        if call_buffer or sequencer.coalescing:  # also what came before the limit was seen
            seq = sequencer.next_seq
            at = sequencer.drain()
            if not keep:
                sequencer.coalescing.record_all(at)
            if sequencer.next_seq != seq:
                sequencer.advance(at)
        if sequencer.coalescing:
            self.wake_writer()

    def _after_a_loss(self, why: str, lost: int) -> Iterator[Event]:
        sequencer = self._attached
        fold = sequencer.fold
        if not self._appender.has_segment:
            # It takes the number of the first event that was lost: no hole stands before it.
            header = evolve(sequencer.header(), seq=self._appender.last_seq + 1)
            fold.reanchor(header)
            yield header
        yield LogGap(fold.seq + 1, fold.at, lost, label(why))
        for name in fold.breakers:
            yield from checkpoints_of(fold, name)

    def _fail(self, sequencer: Sequencer, error: Exception) -> None:
        """Come back to what is known to be safe, and count what is not."""
        buffer, appender = self._buffer, self._appender
        self._failing = error  # where this is interrupted it is done again
        appender.roll_back()
        lost = callers_in(buffer.in_hand[self._put :]) + appender.dropped
        why = f"{(error.strerror if isinstance(error, OSError) else None) or error}"
        is_new = buffer.failure is None

        def count() -> None:
            # One step.
            buffer.in_hand = []
            buffer.in_hand_events = 0
            buffer.lost += lost
            buffer.failure = why
            appender.dropped = 0
            self._failing = None
            self._is_torn = False

        sequencer.hold(count, _do_nothing)
        self._strikes = 0
        if is_new and isinstance(error, DisturbedError):
            self.notice(logging.WARNING, "%s: %s; the log goes on with a gap", self.path, error)
        elif is_new:
            self.notice(logging.ERROR, "%s: the log can't be written: %s", self.path, error)


class _WriterThread:
    """The thread that writes a log, to be looked at."""

    def __init__(self, *, is_running: bool) -> None:
        self._is_running = is_running

    def is_alive(self) -> bool:
        """Whether the thread was running when it was looked at."""
        return self._is_running


def _absolute(folder: Path) -> Path:
    try:
        return Path(os.path.abspath(folder))  # noqa: PTH100  # links stay as they were given
    except OSError as error:
        raise LogError(
            f"{folder}: the current folder is gone, so this says nothing; give a path from the root"
        ) from error


def _has_held(sequencer: Sequencer, change: Callable[[], None]) -> bool:
    """Make a change under the lock; whether it was made, as the lock may be held for too long."""
    is_made = False

    def make() -> None:
        nonlocal is_made
        change()
        is_made = True

    sequencer.hold(make, _do_nothing)
    return is_made


def _do_nothing() -> None:
    """Stand for a change in a thread that is in the middle of one."""


def _after_fork() -> None:
    for log in list(_open_logs):
        log.after_fork()


def _at_exit() -> None:
    """Close logs that were used for the first time by an exit handler of the host.

    Registered with the import of this module, it is called after those handlers; what they register
    is not called any more.
    """
    for log in list(_open_logs):
        with contextlib.suppress(LogError):  # of a call that is over
            log.close()


atexit.register(_at_exit)
forks.after_in_child(_after_fork)
forks.note_lock(EventLog._with_io, 0, "_io")  # noqa: SLF001  # of this module
