"""The log on disk: callers append to a buffer, and a thread writes it.

Whoever writes holds ``_io``; what is appended and counted is guarded by the sequencer's lock, which
is never held while the disk is waited for.
"""

import atexit
import logging
import os
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal, TypeAlias, get_args

from attrs import evolve

from recloser.clock import Clock
from recloser.errors import LogError
from recloser.events import (
    Checkpoint,
    Event,
    LogGap,
    LogSealed,
)
from recloser.log.appender import Appender, Durability
from recloser.log.chunks import Chunk, callers_in, encoded, put
from recloser.log.codec import packed
from recloser.log.health import LogHealth
from recloser.log.housekeeping import Housekeeper, tidy
from recloser.log.lock import FolderLock
from recloser.log.reader import LogReader
from recloser.log.recovery import recover
from recloser.log.seals import SEAL_EVERY
from recloser.log.sequencer import Detail, Log
from recloser.log.tail import Tail
from recloser.logfold import LogFold
from recloser.validation import (
    Seconds,
    checked_bytes,
    checked_flag,
    checked_folder,
    checked_seconds,
    checked_word,
    nanoseconds,
)

OnLogFailure: TypeAlias = Literal["gap", "raise"]

BATCH_SECONDS: Final = 0.05
FULL_BATCH: Final = 16_384
"""As many events as this are written at once: more would take memory that is not in use yet."""

MAX_BUFFERED: Final = 200_000
GIVE_WAY_SECONDS: Final = 0.005
PATIENCE: Final = 4
"""So often callers give way while the thread is at the disk, which has stalled if it takes longer."""

FLUSH_EVERY: Final = 10_000
"""Whoever writes a recording as fast as it can flushes as often as this, to lose none of it."""

_IDLE_SECONDS: Final = 1.0
_LAST_TRIES: Final = 3
_logger: Final = logging.getLogger("recloser")
_open_logs: Final[weakref.WeakSet["EventLog"]] = weakref.WeakSet()


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
        on_log_failure: ``raise`` has a call raise a LogError whose event could not be made safe,
            which is known in time with ``sync`` only, or came after the log was closed.

    Attributes:
        tail: How the log ended when it was opened: what was kept unsealed, and what was dropped.

    Raises:
        ConfigError: An argument has a value that it can't have.
        LogError: Another writer has the folder, or what is in it can't be read or is not whole.
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
        on_log_failure: OnLogFailure = "gap",
    ) -> None:
        super().__init__(clock=clock, tick_seconds=tick_seconds, host=host, detail=detail)
        folder = checked_folder("path", path)
        durability = checked_word("durability", durability, get_args(Durability))
        on_log_failure = checked_word("on_log_failure", on_log_failure, get_args(OnLogFailure))
        seal_seconds = checked_seconds("seal_seconds", seal_seconds, optional=True)
        segment_bytes = checked_bytes("segment_bytes", segment_bytes)
        segment_seconds = checked_seconds(
            "segment_seconds", segment_seconds, above_zero=True, optional=True
        )
        compress = checked_flag("compress", compress)
        keep_bytes = checked_bytes("keep_bytes", keep_bytes, optional=True)
        keep_seconds = checked_seconds("keep_seconds", keep_seconds, optional=True)
        self.path = folder
        self._durability = durability
        self._raises = on_log_failure == "raise"
        self._seal_ns = None if seal_seconds is None else nanoseconds(seal_seconds)
        self._segment_bytes = segment_bytes
        self._segment_ns = None if segment_seconds is None else nanoseconds(segment_seconds)
        self._housekeeper = Housekeeper(
            compress_bytes=segment_bytes if compress else None,
            keep_bytes=keep_bytes,
            keep_ns=None if keep_seconds is None else nanoseconds(keep_seconds),
        )
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = FolderLock(self.path)
        try:
            tidy(self.path)
            self._fold, self.tail = recover(self.path)
        except BaseException:
            self._lock.release()
            raise

        self._buffer: list[Chunk] = []
        self._buffered = self._in_hand = 0
        self._unsealed = 0
        self._is_sync_due = False
        self._sync_due_at = self._fold.at
        self._lost = self._told_lost = self._gaps = 0
        self._closed = self._has_refused = False
        self._patience = PATIENCE

        self._appender = self._appender_behind(self.tail, self._fold.seq)
        self._failure: str | None = None
        self._safe_seq = 0
        self._is_forked = False
        self._make_thread()
        _open_logs.add(self)

    def _appender_behind(self, tail: Tail, seq: int) -> Appender:
        return Appender(
            self.path,
            tail,
            seq,
            durability=self._durability,
            on_begun=self._housekeeper.have_due,
        )

    def _make_thread(self) -> None:
        self._io = threading.Lock()
        self._writer: int | None = None
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._has_written = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name=f"recloser-log-{self.path.name}", daemon=True
        )

    def after_fork(self) -> None:
        """In a forked child: leave the parent's segment, buffer and lock to the parent.

        The child's log is a folder of its own beside the parent's, made with its first event, and
        begins with the state that it was forked with.
        """
        if self._closed:
            return
        self._is_forked = True
        self._buffer = []
        self._buffered = self._in_hand = self._unsealed = self._lost = self._safe_seq = 0
        self._appender.close()
        self._housekeeper.after_fork()
        self._failure = None
        self._lock.release()
        self._make_thread()
        if self._sequencer is not None:
            self._sequencer.after_fork()

    def begin_in_child(self) -> None:
        """Begin the log of a forked child, before its first event; called under the lock."""
        if not self._is_forked:
            return
        self._is_forked = False
        self.path = self.path.with_name(f"{self.path.name}-{os.getpid()}")
        self.path.mkdir(parents=True)
        self._lock = FolderLock(self.path)
        self._appender = self._appender_behind(Tail(), 0)
        parent = f"forked from process {os.getppid()}"
        self._number(self._buffer, self._after_a_loss(parent))

    def recovered(self) -> tuple[LogFold, Tail]:
        """The fold of the earlier sessions, and how the last of them ended."""
        return self._fold, self.tail

    @property
    def can_wait(self) -> bool:
        """Whether a success may be reported before it is in the log's hands: not with ``sync``."""
        return self._durability != "sync"

    def room(self) -> int:
        """How many events there may be before the next seal."""
        return max(1, SEAL_EVERY - self._unsealed)

    def write(self, events: Sequence[Event]) -> LogSealed | None:
        """Append events, and a seal if one is due; called under the sequencer's lock."""
        if self._closed:
            self._refuse()
            return None
        if self._buffered + self._in_hand >= MAX_BUFFERED or (self._lost and self._failure is None):
            self._lost += callers_in([events])
            return None
        put(self._buffer, events)
        self._buffered += len(events)
        self._unsealed += len(events)
        last = events[-1]
        takes_edge = last.kind == "state_changed"
        if takes_edge or self._buffered >= FULL_BATCH:
            self._hurry.set()
        if self._is_filling():
            self._has_written.clear()
        if takes_edge or self._has_waited(last.at):
            self._ask_for_sync(last.at)
        elif self._unsealed < SEAL_EVERY:
            self._wake_thread()
            return None
        seal = self._seal_behind(last)
        self._buffer.append((seal,))
        self._wake_thread()
        return seal

    def _refuse(self) -> None:
        if self._raises:
            raise LogError(f"{self.path}: the log is closed; nothing more can be recorded in it")
        if not self._has_refused:
            self._has_refused = True
            _logger.warning("%s: the log is closed; calls go on, and are not recorded", self.path)

    def _has_waited(self, at: int) -> bool:
        """Whether what was appended has waited long enough for a seal, and for the disk."""
        if self._seal_ns is None:
            return self._unsealed >= SEAL_EVERY
        return at - self._sync_due_at >= self._seal_ns

    def _ask_for_sync(self, at: int) -> None:
        self._is_sync_due = True
        self._sync_due_at = at

    def stay_awake(self) -> None:
        """Have the thread look at what is counted; called under the sequencer's lock."""
        self._wake_thread()

    def settle(self, seq: int) -> None:
        """With ``sync``, wait until all up to ``seq`` is on disk.

        Else wait for nothing, but that callers who append faster than the thread gets to write give
        way to it for a moment; not where the disk has stalled.
        """
        if self._is_filling() and not self._has_stalled() and not self._is_mine():
            self._patience -= not self._has_written.wait(GIVE_WAY_SECONDS)
        if self._durability != "sync" or self._sequencer is None or self._is_mine():
            return
        if self._failure is None and self._safe_seq < seq:
            with self._io:
                if self._failure is None and self._safe_seq < seq:
                    self._commit(seal=True)
        if self._raises and self._failure is not None:
            raise LogError(f"{self.path}: the event could not be made safe: {self._failure}")

    def _calls_at_once(self) -> int:
        """How many calls may wait: where the buffer fills, callers come by more often.

        They give way then to the thread that writes. Where the disk has stalled, which may be for
        long, they are held up by no more than having to come by.
        """
        if not self._is_filling():
            return self.pending_limit
        return 0 if self._has_stalled() else self.pending_limit // 8

    def _has_stalled(self) -> bool:
        return self._appender.is_at_disk and self._patience <= 0

    def _is_filling(self) -> bool:
        return self._buffered + self._in_hand > MAX_BUFFERED // 2

    def flush(self) -> None:
        """Hand all that was appended to the operating system."""
        if self._is_mine():
            return
        with self._io:
            if self._sequencer is not None and not self._closed:
                self._commit(seal=False)

    def health(self) -> LogHealth:
        """How well the log is written now."""
        if self._sequencer is None:
            return LogHealth(0, 0, 0, 0, None)
        with self._sequencer.held():
            since = self._buffer[0][0].at if self._buffer else self._fold.at
            return LogHealth(
                waiting=self._buffered + self._in_hand + self._sequencer.pending.calls,
                lag_ns=self._fold.at - since,
                lost=self._lost + self._told_lost,
                gaps=self._gaps,
                failure=self._failure,
            )

    def __iter__(self) -> Iterator[Event]:
        self.flush()
        return iter(LogReader(self.path))

    def close(self) -> None:
        """Write and seal what is not yet, and end the session; closing twice does nothing."""
        sequencer = self._sequencer
        with self._io:
            if self._closed:
                return
            if sequencer is not None:
                with sequencer.held():
                    sequencer.runs.end_all(sequencer.drain())
                    sequencer.runs.stop()
                    sequencer.pending.let_wait(0)
                    self._closed = True
                for _ in range(_LAST_TRIES):
                    self._commit(seal=True)
                    if self._failure is None:
                        break  # else what was lost may still be told of, and the state after it
            self._closed = True
        self._end()

    def _end(self) -> None:
        self._stopping.set()
        self._hurry.set()
        self._wake.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()
        if not self._is_forked:
            self._housekeeper.finish(self.path, self._fold.at)
        self._appender.close()
        atexit.unregister(self.close)
        self._lock.release()

    def _wake_thread(self) -> None:
        if self._sequencer is not None:
            self._sequencer.pending.let_wait(self._calls_at_once())
        if not self._wake.is_set():
            if self._thread.ident is None:
                self._thread.start()
                atexit.register(self.close)
            self._wake.set()

    def _run(self) -> None:
        """Write in batches until the log is closed."""
        while not self._stopping.is_set():
            is_done = self._failure is None and not self._unsealed and self._appender.is_safe
            woken = self._wake.wait(None if is_done else _IDLE_SECONDS)
            if self._failure is not None:
                self._stopping.wait(BATCH_SECONDS)
            elif woken:
                self._hurry.wait(BATCH_SECONDS)
            self._wake.clear()
            with self._io:
                if self._sequencer is None:
                    self._wake.set()  # the session is still being opened
                elif not self._closed:
                    self._commit(seal=not woken, keep=True)
            if self._sequencer is not None:
                self._sequencer.do_what_waited()
            if self._failure is None:
                self._housekeeper.come_by(self.path, self._fold.at)

    def _is_mine(self) -> bool:
        """Whether this thread writes already: garbage may be collected, and report, in mid-write."""
        return self._writer == threading.get_ident()

    def _commit(self, *, seal: bool, keep: bool = False) -> None:
        """Write what is buffered; whoever calls this holds ``_io``."""
        self._writer = threading.get_ident()
        try:
            self._write_batch(seal=seal, keep=keep)
        finally:
            self._writer = None
            self._in_hand = 0
            self._patience = PATIENCE
            self._has_written.set()

    def _write_batch(self, *, seal: bool, keep: bool) -> None:
        batch, seq, is_sync_due = self._take(seal=seal, keep=keep)
        if not batch and (not is_sync_due or self._appender.is_safe):
            return
        done = 0
        try:
            for chunk, lines in encoded(batch):
                self._appender.put(chunk, lines)
                done += 1
            self._appender.make_safe(is_sync_due=is_sync_due)
        except OSError as error:
            self._fail(error, batch[done:])
            return
        self._safe_seq = seq
        for chunk in batch:
            if isinstance(chunk[0], LogGap):
                self._go_on(chunk[0])

    def _go_on(self, gap: LogGap) -> None:
        """The gap is in the log, so what it tells of is told."""
        assert self._sequencer is not None
        with self._sequencer.held():
            self._lost -= gap.lost
            self._told_lost += gap.lost
            self._gaps += 1
            self._failure = None
        _logger.warning("%s: the log goes on; %d events are missing", self.path, gap.lost)

    def _take(self, *, seal: bool, keep: bool) -> tuple[list[Chunk], int, bool]:
        """What is to be written next, in order; the ``seq`` that it reaches; and if it can't wait."""
        assert self._sequencer is not None
        if self._is_forked:
            return [], 0, False
        with self._sequencer.held():
            self._collect(keep=keep)
            fold = self._sequencer.fold
            batch = self._buffer
            self._buffer = []
            self._in_hand, self._buffered = self._buffered, 0
            if self._failure is not None:
                self._lost += callers_in(batch)
                batch = []
            if self._lost or self._failure is not None:
                self._number(batch, self._after_a_loss(self._failure or "the disk is too slow"))
                seal = True
            elif batch and self._appender.is_full(
                fold.at, full_bytes=self._segment_bytes, full_ns=self._segment_ns
            ):
                self._number(batch, [self._seal_behind(batch[-1][-1])])
                self._number(batch, [self._sequencer.header()])
                self._number(batch, map(self._sequencer.checkpoint, fold.breakers))
            if self._unsealed and seal:
                last = batch[-1][-1] if batch else LogSealed(fold.seq, fold.at, 0, "")
                self._number(batch, [self._seal_behind(last)])
            if seal:
                self._ask_for_sync(fold.at)
            is_sync_due, self._is_sync_due = self._is_sync_due, False
            self._hurry.clear()
            return batch, fold.seq, is_sync_due

    def _collect(self, *, keep: bool) -> None:
        """Have folded what was let past the lock; if that is nothing, have the next one say so."""
        assert self._sequencer is not None
        pending = self._sequencer.pending
        if not pending:
            pending.let_wait(0)
        if pending or self._sequencer.runs:  # also what came before the limit was seen
            seq = self._sequencer.next_seq
            at = self._sequencer.drain()
            if not keep:
                self._sequencer.runs.end_all(at)
            if self._sequencer.next_seq != seq:
                self._sequencer.advance(at)
        if self._sequencer.runs:
            self._wake_thread()

    def _after_a_loss(self, why: str) -> Iterator[Event]:
        sequencer = self._sequencer
        assert sequencer is not None
        fold = sequencer.fold
        if not self._appender.has_segment:
            # It takes the number of the first event that was lost: no hole stands before it.
            header = evolve(sequencer.header(), seq=self._appender.last_seq + 1)
            fold.reanchor(header)
            yield header
        yield LogGap(fold.seq + 1, fold.at, self._lost, why)
        for name in fold.breakers:
            yield sequencer.checkpoint(name)

    def _number(self, batch: list[Chunk], events: Iterable[Event]) -> None:
        """Put events of the log's own behind the batch, each folded before the next is made."""
        assert self._sequencer is not None
        fold = self._sequencer.fold
        for event in events:
            if event.seq > fold.seq:
                fold.apply(event)
            batch.append((packed(event) if isinstance(event, Checkpoint) else event,))
            self._unsealed += not isinstance(event, LogSealed)
            if self._unsealed >= SEAL_EVERY:
                seal = self._seal_behind(event)
                fold.apply(seal)
                batch.append((seal,))

    def _seal_behind(self, event: Event) -> LogSealed:
        self._unsealed = 0
        return LogSealed(event.seq + 1, event.at, 0, "")

    def _fail(self, error: OSError, unput: Sequence[Chunk]) -> None:
        """Come back to what is known to be safe, and count what is not."""
        assert self._sequencer is not None
        lost = callers_in(unput) + self._appender.fall_back()
        with self._sequencer.held():
            if self._failure is None:
                _logger.error("%s: the log can't be written: %s", self.path, error)
            self._failure = f"{error.strerror or error}"
            self._lost += lost


def _after_fork() -> None:
    for log in list(_open_logs):
        log.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
