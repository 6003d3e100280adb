"""A log in a stream of a Redis or Valkey server, which several processes share.

One thread of the log sends events and reads entries, both in one round trip. Another thread listens
for messages of members that ask to read at once. Calls wait for neither, except a call that claims a
probe: it waits for ``claim_seconds`` at most.
"""

import atexit
import contextlib
import logging
import threading
import uuid
import weakref
from collections.abc import Iterator, Sequence
from typing import Final, get_args

from recloser.clock import Clock
from recloser.core.events import Event, LogSealed
from recloser.core.log_fold import LogFold
from recloser.core.validation import (
    Seconds,
    checked_seconds,
    checked_text,
    checked_whole,
    checked_word,
)
from recloser.errors import LogError
from recloser.live.live_log import Log
from recloser.live.log_health import LogHealth
from recloser.live.pending_calls import Outcomes
from recloser.live.sequencer import Sequencer
from recloser.log.tail import Tail
from recloser.process import forks, host_logging
from recloser.process.bell import Bell
from recloser.process.exits import at_exit
from recloser.sharing.connection import StreamChangedError, StreamConnection
from recloser.sharing.log_threads import LogThreads
from recloser.sharing.other_settings import OnOtherConfig
from recloser.sharing.outbox import Batch
from recloser.sharing.round_trips import SPACING_SECONDS, RoundTrips
from recloser.sharing.shared_sequencer import StreamSequencer, do_nothing
from recloser.sharing.stream_fold import StreamFold
from recloser.sharing.stream_joining import StreamJoining

BATCH_SECONDS: Final = 0.25
"""Seconds after which events are sent that no edge depends on."""

_IDLE_SECONDS: Final = 1.0
_SHORTEST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0
_STEADY_NS: Final = 5_000_000_000
"""After this many nanoseconds without a failure, the next failure is retried at once."""

_logger: Final = logging.getLogger("recloser")
_open_logs: Final[weakref.WeakSet["RedisLog"]] = weakref.WeakSet()


class RedisLog(Log):
    """A log in a Redis stream, which shares breakers among processes.

    Breakers of one name are one breaker in all processes.

    Every process reads the whole stream and folds it, so all see the same edges in the same order.
    Calls are decided by what was read last, without asking the server. Only a call that might be a
    probe waits for the stream to grant it. While the server cannot be reached, each process decides
    by its own calls, and ``snapshot().degraded`` is true.

    Args:
        url: The URL of the server: ``redis://user:password@host:6379/0``, ``rediss://`` for TLS,
            ``valkey://`` or ``unix://``. Only its host is ever printed or logged.
        stream: The name of the stream; its Redis key is ``recloser:{stream}``.
        clock: Measures how long calls take, by its monotonic time. The time of the log is that of the server.
        host: Name of this process in reports of offline periods; by default the machine's name.
        timeout_seconds: Seconds without an answer after which the server counts as away.
        claim_seconds: Longest wait of a call for its probe, in seconds; the call is then rejected.
        keep_entries: The least number of entries that stay in the stream when it is trimmed.
        on_other_config: What happens if a breaker is created with settings that differ from those in
            the stream. ``follow``: the stream's are used, and a warning is logged. ``replace``: the
            new ones replace them, in all processes. ``raise``: a ConfigError is raised.

    Raises:
        ConfigError: An argument is not valid.
        MissingLibraryError: redis-py is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        stream: str = "breakers",
        clock: Clock | None = None,
        host: str | None = None,
        timeout_seconds: Seconds = 1,
        claim_seconds: Seconds = 0.1,
        keep_entries: int = 100_000,
        on_other_config: OnOtherConfig = "follow",
    ) -> None:
        super().__init__(clock=clock, tick_seconds=None, host=host)
        url, stream = checked_text("url", url), checked_text("stream", stream)
        on_other_config = checked_word("on_other_config", on_other_config, get_args(OnOtherConfig))
        timeout_seconds = checked_seconds("timeout_seconds", timeout_seconds, above_zero=True)
        claim_seconds = checked_seconds("claim_seconds", claim_seconds, above_zero=True)
        keep_entries = checked_whole("keep_entries", keep_entries, 1)
        self._timeout_seconds = float(timeout_seconds)
        self._claim_seconds = float(claim_seconds)
        self._on_other_config = on_other_config
        # Each thread has its own connection: each closes its own when the server is away.
        self._connection = StreamConnection(url, stream, self._timeout_seconds)
        self._bell_connection = StreamConnection(url, stream, self._timeout_seconds)
        self._failure: str | None = None
        self._offline_periods = 0
        self._round_trips = RoundTrips(
            self,
            self._connection,
            keep_entries=keep_entries,
            now_ns=self._now_ns,
            wait=self._pause,
            wake=self._wake_up,
        )
        self._joining = StreamJoining(
            self, self._connection, self._round_trips, now_ns=self._now_ns, wait=self._pause
        )
        self._closed = False
        self._become_member()
        _open_logs.add(self)

    def __repr__(self) -> str:
        return f"<RedisLog {self._connection.address}, {self._connection.key}>"

    def _become_member(self) -> None:
        """Set up what belongs to this process alone; a forked child calls it again."""
        self._member = uuid.uuid4().hex[:16]
        self._is_changed = False
        self._hurry = False
        self._wake = Bell()
        self._stopping = threading.Event()
        self._joined = Bell()
        self._closes_later = self._ends_at_exit = False
        self._threads = LogThreads({"recloser-stream": self._run, "recloser-bell": self._listen})

    def attach(self, clock: Clock | None = None) -> Sequencer:
        """Return the sequencer; the first call waits to join the stream.

        It waits for ``timeout_seconds`` at most.

        Raises:
            ConfigError: The log is timed by another clock already.
        """
        is_first = self._sequencer is None
        sequencer = super().attach(clock)
        if is_first and not sequencer.is_mine:
            self._start()
            if not self._joined.wait(self._timeout_seconds):
                host_logging.log(
                    logging.WARNING,
                    "%s: not reached yet; until then this process decides by its own calls alone",
                    self,
                )
        return sequencer

    def _make_sequencer(self, clock: Clock) -> Sequencer:
        return StreamSequencer(
            self,
            clock,
            wake=self._wake_up,
            host=self._host,
            on_other_config=self._on_other_config,
            claim_seconds=self._claim_seconds,
            timeout_seconds=self._timeout_seconds,
        )

    def ensure_safe(self, seq: int) -> None:
        """Log waiting messages and restart missing threads, outside the lock."""
        if self._stream.is_mine:
            return
        super().ensure_safe(seq)
        if self._threads.need_start:
            self._start()

    def _start(self) -> None:
        """Start the threads that are not running, unless the log is closed."""
        if self._closed or self._stopping.is_set():
            return
        if not self._ends_at_exit:
            self._ends_at_exit = True
            at_exit(self.close)
        self._threads.start()

    @property
    def _stream(self) -> StreamSequencer:
        assert isinstance(self._sequencer, StreamSequencer)
        return self._sequencer

    def recovered(self) -> tuple[LogFold, Tail]:
        """Return an empty fold: the states are read from the stream."""
        return LogFold(), Tail()

    def write(self, events: Sequence[Event], seal: LogSealed | None) -> None:
        """Do nothing: events folded while offline are not part of the stream."""

    def catch_up(self, recorded: Sequence[Event | Outcomes]) -> None:
        """Do nothing: events folded while offline are not part of the stream."""

    def health(self) -> LogHealth:
        """Return how far sending is behind, and whether the server is reached."""
        if self._sequencer is None:
            return LogHealth(0, 0, 0, 0, None)
        # No lock: each figure is one reference or counter. They may be a few events apart.
        stream, outbox = self._stream, self._stream.outbox
        oldest_ns = outbox.oldest_ns
        return LogHealth(
            waiting=len(outbox) + len(stream.call_buffer),
            lag_ns=0 if oldest_ns is None else self._now_ns() - oldest_ns,
            lost=outbox.lost,
            gaps=self._offline_periods,
            failure=(self._failure if stream.degraded else None) or self._threads.failure,
            missed_by_listeners=stream.notifier.missed,
            passed_over=self._round_trips.passed_over,
        )

    def flush(self) -> None:
        """Send all events and read the stream to its end, for ``timeout_seconds`` at most."""
        if self._sequencer is None or self._closed or self._stream.is_mine:
            return
        self._stream.fold_buffered()
        self._stream.await_synchronized()

    def __iter__(self) -> Iterator[Event]:
        from recloser.sharing.stream_export import events_of

        self.flush()
        return events_of(self._connection)

    def close(self) -> None:
        """Send all events, if the server can be reached, and end the threads.

        In a signal handler that interrupts a change of the sequencer, closing waits until the
        interrupted thread has finished that change.
        """
        if self._closed:
            return
        if self._sequencer is not None and self._stream.is_mine:
            self._closes_later = True
            return
        self._round_trips.check_start_soon()  # the next member must find an entry to start from
        self.flush()
        if self._is_changed and self._sequencer is not None:
            self._stream.await_online()  # commands that the stream has lost may be known here alone
            self.flush()
        self._report_unsent_commands()
        self._closed = True
        self._stopping.set()
        self._wake.ring()
        if self._threads:
            with contextlib.suppress(LogError):
                self._connection.ring()  # the listening thread waits for a message
        self._threads.await_end(2 * self._timeout_seconds)
        if self._sequencer is not None:
            self._stream.hold(self._go_offline_silently, do_nothing)
        self._connection.close()
        self._bell_connection.close()
        atexit.unregister(self.close)

    def _report_unsent_commands(self) -> None:
        """Warn of operators' commands that are lost with this process."""
        if self._sequencer is None:
            return
        unsent = [
            f"{event.kind} of {getattr(event, 'breaker', '')!r}"
            for event in self._stream.outbox.commands()
        ]
        if unsent:
            host_logging.log(
                logging.WARNING,
                "%s: closed before these commands could be sent to the stream; they are lost "
                "unless they are given again: %s",
                self,
                ", ".join(unsent),
            )

    def _go_offline_silently(self) -> None:
        if self._stream.stream_fold is not None:
            self._stream.go_offline()

    def run_deferred(self) -> None:
        """Log the messages that wait, and close if ``close`` was called during a change."""
        super().run_deferred()
        if self._closes_later and not self._stream.is_mine:
            self._closes_later = False
            self.close()

    # The thread that sends and reads.

    def wake_writer(self) -> None:
        """Make the thread start another round trip, which sends what is counted now."""
        self._wake_up(hurry=False)

    def _wake_up(self, *, hurry: bool = True) -> None:
        # Threads only ever set ``_hurry`` here, without reading it, so none can undo another's wish.
        if hurry:
            self._hurry = True
        self._wake.ring()

    def _now_ns(self) -> int:
        assert self._clock is not None
        return self._clock.monotonic_ns()

    def _run(self) -> None:
        failures = failed_ns = 0
        while not self._stopping.is_set():
            try:
                if self._stream.degraded:
                    self._join()
                self._make_round_trip()
                if failures and self._now_ns() - failed_ns > _STEADY_NS:
                    failures = 0
                self._stream.after_unlock()
            except BaseException as error:  # noqa: BLE001  # not even an exit ends it: nobody else sends
                with contextlib.suppress(BaseException):
                    failures, failed_ns = min(failures + 1, 10), self._now_ns()
                    self._recover_from(error)
                    self._stream.after_unlock()
                    self._stopping.wait(min(_SHORTEST_PAUSE * 2 ** (failures - 1), _LONGEST_PAUSE))

    def _recover_from(self, error: BaseException) -> None:
        if not isinstance(error, LogError):
            _logger.error("%s: unexpected error; trying again", self, exc_info=error)
        self._is_changed |= isinstance(error, StreamChangedError)
        self._go_offline(str(error))

    def _go_offline(self, why: str) -> None:
        stream = self._stream

        def go_offline() -> None:
            if not stream.degraded:
                self._offline_periods += 1
            elif self._failure != why:
                self.notice(logging.WARNING, "%s: %s", self, why)
            self._failure = why
            stream.go_offline(why)

        stream.hold(go_offline, do_nothing)

    def _make_round_trip(self) -> None:
        """Wait until there is something to do, or a time limit; then send and read once."""
        is_idle = self._stream.call_buffer.limit == 0
        is_woken = self._wake.wait(_IDLE_SECONDS if is_idle else BATCH_SECONDS)
        if self._stopping.is_set():
            return
        stream_fold = self._stream.stream_fold
        assert stream_fold is not None
        hurry = self._hurry
        if hurry:
            # Reset before the batch is taken: an urgent event that is added before this line is in
            # the outbox already, and one that is added after it sets the flag again.
            self._hurry = False
        batch = self._stream.hold(
            lambda: self._stream.begin_round(
                is_due=lambda oldest_ns: hurry or not is_woken or self._is_old(oldest_ns)
            ),
            lambda: None,
        )
        if self._exchange(stream_fold, batch, ring=hurry):
            self._connection.ring()
        if hurry and len(self._stream.outbox):
            self._wake_up()  # the urgent event may be in the next batch
        self._stopping.wait(SPACING_SECONDS)

    def _is_old(self, added_ns: int | None) -> bool:
        """Return whether an item has waited long enough to be sent."""
        return added_ns is not None and self._now_ns() - added_ns >= BATCH_SECONDS * 1e9

    def _pause(self, seconds: float) -> bool:
        """Wait, and return whether the log is being closed."""
        return self._stopping.wait(seconds)

    def _exchange(self, stream_fold: StreamFold, batch: Batch | None, *, ring: bool) -> bool:
        return self._round_trips.run(
            self._stream, stream_fold, batch, member=self._member, ring=ring
        )

    def _join(self) -> None:
        stream_fold = self._joining.join(self._stream, self._member, is_changed=self._is_changed)
        self._is_changed = False
        self._failure = None
        self._joining.report_lost(stream_fold)
        self._joined.ring()
        self._wake_up()

    # The thread that listens.

    def _listen(self) -> None:
        while not self._stopping.is_set():
            try:
                with self._bell_connection.bell() as subscription:
                    while not self._stopping.is_set():
                        if subscription.get_message(timeout=_IDLE_SECONDS) is not None:
                            self._wake_up(hurry=False)
            except BaseException as error:  # only the end of the log ends the thread
                with contextlib.suppress(BaseException):
                    if not isinstance(error, LogError | ValueError):
                        _logger.exception(
                            "%s: unexpected error while listening; trying again", self
                        )
                    self._stopping.wait(BATCH_SECONDS)
                    self._bell_connection.reconnect()

    # Forks.

    def after_fork(self) -> None:
        """In a forked child, become another member, with its own connections and threads.

        This also happens if no breaker was made before the fork, because the log has a member name
        from the start.
        """
        if self._closed:
            return
        self._become_member()
        self._connection.after_fork()
        self._bell_connection.after_fork()
        if self._sequencer is not None:
            self.is_in_child = True
            self._stream.after_fork()

    def begin_in_child(self) -> None:
        """Plan to read the stream again; called under the lock before the first event."""
        self._is_changed = True
        self._threads.is_incomplete = True
        self._stream.begin_in_child()
        self.is_in_child = False


def _after_fork() -> None:
    for log in list(_open_logs):
        log.after_fork()


forks.after_in_child(_after_fork)
