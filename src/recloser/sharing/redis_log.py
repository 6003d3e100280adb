"""A log that a fleet of processes shares: a stream of a Redis or Valkey server.

One thread sends what waits and reads what has come, in one round trip; another listens for the bell
that is rung when something should be read at once. No call waits for either, but one that claims a
probe, for as long as ``claim_seconds`` at most.
"""

import atexit
import contextlib
import logging
import threading
import uuid
import weakref
from _thread import start_new_thread
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final, get_args

from recloser.clock import Clock
from recloser.core.events import FORMAT_VERSION, RULES_VERSION, Event, LogSealed
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
from recloser.process.thread_runner import RunnerReference, ThreadRunner, is_running
from recloser.sharing.connection import Server, StreamChangedError
from recloser.sharing.outbox import Batch
from recloser.sharing.round_trips import SPACING_SECONDS, STANDS_NS, Rounds
from recloser.sharing.shared_sequencer import OnOtherConfig, StreamSequencer, do_nothing
from recloser.sharing.stream_entry import (
    Begin,
)
from recloser.sharing.stream_fold import Course
from recloser.sharing.stream_start import begun_anew, found_start
from recloser.version import __version__

BATCH_SECONDS: Final = 0.25
"""What no edge hangs on is sent this often."""

_IDLE_SECONDS: Final = 1.0
_SHORTEST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0
_STEADY_NS: Final = 5_000_000_000
"""A server that has not failed for so long is tried at once when it fails again."""


_ANEW_SECONDS: Final = 2.5
"""A stream without a start begins anew when no process has given it one for so long."""

_logger: Final = logging.getLogger("recloser")
_open_logs: Final[weakref.WeakSet["RedisLog"]] = weakref.WeakSet()


class RedisLog(Log):
    """A log in a stream, by which breakers of one name are one breaker in all processes.

    Every process reads the whole stream and folds it, so all see the same edges at the same places
    in it. Calls are decided by what was read last, without asking the server; only a call that
    might be a probe waits for the stream to say whose it is. While the server can't be reached each
    process goes on by its own calls, and ``snapshot().degraded`` is true.

    Args:
        url: Where the server is: ``redis://user:password@host:6379/0``, ``rediss://`` for TLS,
            ``valkey://`` or ``unix://``. It is never told or logged but for the host.
        stream: The name of the stream, which is under the key ``recloser:{stream}``.
        clock: Whose monotonic hand tells how long a call took. The time of the log is the server's.
        host: What this process is called where it tells of an absence; by default the machine.
        timeout_seconds: The server is away once it has not answered for so long.
        claim_seconds: So long a call waits for its probe at most, and is refused then.
        keep_entries: So many entries of history are kept at least.
        on_other_config: What becomes of a breaker that has other settings in the stream than it is
            made with here. ``follow``: those of the stream hold, and a warning is logged;
            ``replace``: those given here are put in their place, for all; ``raise``: a ConfigError.

    Raises:
        ConfigError: An argument has a value that it can't have.
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
        # Each thread has a connection of its own: one gives up its own when the server is away.
        self._server = Server(url, stream, self._timeout_seconds)
        self._bell_server = Server(url, stream, self._timeout_seconds)
        self._failure: str | None = None
        self._absences = 0
        self._rounds = Rounds(
            self,
            self._server,
            keep_entries=keep_entries,
            now_ns=self._now_ns,
            wait=self._pause,
            wake=self._wake_up,
        )
        self._told_lost = ""
        self._closed = False
        self._make_threads()
        _open_logs.add(self)

    def __repr__(self) -> str:
        return f"<RedisLog {self._server.place}, {self._server.key}>"

    def _make_threads(self) -> None:
        self._member = uuid.uuid4().hex[:16]
        self._is_changed = False
        self._hurry = False
        self._wake = Bell()
        self._stopping = threading.Event()
        self._joined = Bell()
        self._needs_threads = self._closes_later = self._ends_at_exit = False
        # By the names of threads: what says that one is there, and what is rung when it ends.
        self._running: dict[str, tuple[RunnerReference, Bell]] = {}
        self._thread_failure: str | None = None

    def attach(self, clock: Clock | None = None) -> Sequencer:
        """The sequencer of the stream; the first call waits a moment for it to be read.

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
                    "%s: not reached yet; calls go on by those of this process",
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
        """Log what waits to be logged, and see to the threads; called outside the lock."""
        if self._stream.is_mine:
            return
        super().ensure_safe(seq)
        if self._needs_threads or not all(
            is_running(one) for one, _ in tuple(self._running.values())
        ):
            self._start()

    def _start(self) -> None:
        """Start the threads that do not run, where threads can be started."""
        if self._closed or self._stopping.is_set():
            return
        self._needs_threads = False
        if not self._ends_at_exit:
            self._ends_at_exit = True
            at_exit(self.close)
        for name, run in (("recloser-stream", self._run), ("recloser-bell", self._listen)):
            running = self._running.get(name)
            if running is not None and is_running(running[0]):
                continue
            try:
                # ``Thread.start`` would wait for the thread to run, and never end in a child that
                # is forked meanwhile.
                start_new_thread(self._run_as, (self._new_runner(name), name, run))
            except RuntimeError as error:
                # There are too many threads, or the interpreter is ending: calls go on alone.
                self._running.pop(name, None)
                self._needs_threads = True
                self._thread_failure = f"no thread can be started: {error}"
                return
        self._thread_failure = None

    def _new_runner(self, name: str) -> ThreadRunner:
        runner = ThreadRunner()
        self._running[name] = weakref.ref(runner), Bell()
        return runner

    def _run_as(self, _runner: ThreadRunner, name: str, run: Callable[[], None]) -> None:
        entry = self._running[name]
        try:
            threading.current_thread().name = name
            run()
        finally:
            # Where an exception from outside has ended it, the next call starts another one.
            if self._running.get(name) is entry:
                del self._running[name]
            self._needs_threads = True
            entry[1].ring()

    @property
    def _stream(self) -> StreamSequencer:
        assert isinstance(self._sequencer, StreamSequencer)
        return self._sequencer

    def recovered(self) -> tuple[LogFold, Tail]:
        """Nothing: what there is has to be read from the stream."""
        return LogFold(), Tail()

    def write(self, events: Sequence[Event], seal: LogSealed | None) -> None:
        """Do nothing: what was decided alone is not the log's."""

    def catch_up(self, recorded: Sequence[Event | Outcomes]) -> None:
        """Do nothing, as ``write``."""

    def health(self) -> LogHealth:
        """How well the stream is reached now."""
        if self._sequencer is None:
            return LogHealth(0, 0, 0, 0, None)
        # No lock: each figure is read in one step, and they may be a few events apart.
        stream, outbox = self._stream, self._stream.outbox
        since = outbox.since_ns
        return LogHealth(
            waiting=len(outbox) + len(stream.call_buffer),
            lag_ns=0 if since is None else self._now_ns() - since,
            lost=outbox.lost,
            gaps=self._absences,
            failure=(self._failure if stream.degraded else None) or self._thread_failure,
            missed_by_listeners=stream.notifier.missed,
            passed_over=self._rounds.passed_over,
        )

    def flush(self) -> None:
        """Send what waits, and read all that there is; it takes ``timeout_seconds`` at most."""
        if self._sequencer is None or self._closed or self._stream.is_mine:
            return
        self._stream.fold_buffered()
        self._stream.await_level()

    def __iter__(self) -> Iterator[Event]:
        from recloser.sharing.stream_export import events_of

        self.flush()
        return events_of(self._server)

    def close(self) -> None:
        """Send what waits, if the server can be reached, and end the threads.

        Where a signal handler calls this while its thread is in the middle of a change, it is done
        as soon as that is over.
        """
        if self._closed:
            return
        if self._sequencer is not None and self._stream.is_mine:
            self._closes_later = True
            return
        self._rounds.look_soon()  # the next process must find an entry to start from
        self.flush()
        if self._is_changed and self._sequencer is not None:
            self._stream.await_joined()  # what it has lost may be known here alone
            self.flush()
        self._tell_unsent()
        self._closed = True
        self._stopping.set()
        self._wake.ring()
        running = dict(self._running)
        if running:
            with contextlib.suppress(LogError):
                self._server.ring()
        running.pop(threading.current_thread().name, None)
        for runner, ended in running.values():
            if is_running(runner):
                ended.wait(2 * self._timeout_seconds)
        if self._sequencer is not None:
            self._stream.hold(self._go_on_alone, do_nothing)
        self._server.close()
        self._bell_server.close()
        atexit.unregister(self.close)

    def _tell_unsent(self) -> None:
        """Leave no doubt about the commands of operators that are lost with this process."""
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

    def _go_on_alone(self) -> None:
        if self._stream.course is not None:
            self._stream.leave()

    def run_deferred(self) -> None:
        """Log the messages that wait, and close if that was asked for in the middle of a change."""
        super().run_deferred()
        if self._closes_later and not self._stream.is_mine:
            self._closes_later = False
            self.close()

    # The thread that sends and reads.

    def wake_writer(self) -> None:
        """Have the thread come by again: something is counted, and has to be sent in time."""
        self._wake_up(hurry=False)

    def _wake_up(self, *, hurry: bool = True) -> None:
        if hurry:  # nothing is read before it is written: another thread may hurry at this moment
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
                self._go_round()
                if failures and self._now_ns() - failed_ns > _STEADY_NS:
                    failures = 0
                self._stream.after_unlock()
            except BaseException as error:  # noqa: BLE001  # not even an exit ends it: nobody else sends
                with contextlib.suppress(BaseException):
                    failures, failed_ns = min(failures + 1, 10), self._now_ns()
                    self._get_over(error)
                    self._stream.after_unlock()
                    self._stopping.wait(min(_SHORTEST_PAUSE * 2 ** (failures - 1), _LONGEST_PAUSE))

    def _get_over(self, error: BaseException) -> None:
        if not isinstance(error, LogError):
            _logger.error("%s: it is tried again", self, exc_info=error)
        self._is_changed |= isinstance(error, StreamChangedError)
        self._leave(str(error))

    def _leave(self, why: str) -> None:
        stream = self._stream

        def leave() -> None:
            if not stream.degraded:
                self._absences += 1
            elif self._failure != why:
                self.notice(logging.WARNING, "%s: %s", self, why)
            self._failure = why
            stream.leave(why)

        stream.hold(leave, do_nothing)

    def _go_round(self) -> None:
        """Wait for a reason, then send and read once."""
        is_idle = self._stream.call_buffer.limit == 0
        woken = self._wake.wait(_IDLE_SECONDS if is_idle else BATCH_SECONDS)
        if self._stopping.is_set():
            return
        course = self._stream.course
        assert course is not None
        hurry = self._hurry
        if hurry:
            self._hurry = False  # what is put into the outbox before this is sent in this round
        batch = self._stream.hold(
            lambda: self._stream.begin_round(
                is_due=lambda since_ns: hurry or not woken or self._is_old(since_ns)
            ),
            lambda: None,
        )
        if self._round(course, batch, ring=hurry):
            self._server.ring()
        if hurry and len(self._stream.outbox):
            self._wake_up()  # what is in a hurry may be in the next entry
        self._stopping.wait(SPACING_SECONDS)

    def _is_old(self, since_ns: int | None) -> bool:
        """Whether what came then has waited for company for long enough."""
        return since_ns is not None and self._now_ns() - since_ns >= BATCH_SECONDS * 1e9

    def _pause(self, seconds: float) -> None:
        """Wait, unless the log is closed; in a forked child that is another event."""
        self._stopping.wait(seconds)

    def _round(self, course: Course, batch: Batch | None, *, ring: bool) -> bool:
        return self._rounds.go(self._stream, course, batch, member=self._member, ring=ring)

    # Finding the stream again.

    def _join(self) -> None:
        """Come level with the stream, and go by it."""
        self._server.reconnect()
        stream = self._stream
        old = stream.course
        if not stream.notified.has_begun:
            stream.notified.begin((self._server.now_us() // 1000, 0))
        stream.hold(stream.begin_joining, do_nothing)
        course = None if self._is_changed or stream.must_read_again else old
        if course is None:
            course = self._found()
            if old is not None and old.begin.generation != course.begin.generation:
                stream.notified.begin(course.start)
        self._rounds.look_soon()
        self._round(course, None, ring=False)
        is_back = False
        while not is_back:
            batch = stream.hold(partial(stream.word_to, course), lambda: None)
            self._round(course, batch, ring=batch is not None)
            if batch is None:
                at = self._time_of(course)
                is_back = stream.hold(partial(stream.rejoin, course, at), lambda: False)
        self._is_changed = False
        self._failure = None
        self._tell_lost(course)
        self._joined.ring()
        self._wake_up()

    def _time_of(self, course: Course) -> int:
        """The present time of a stream: by the server's clock, unless that is earlier than the ids."""
        at = course.at_of_us(self._server.now_us())
        self._rounds.stands_still = at + STANDS_NS < course.at_by_id
        if self._rounds.stands_still and course is self._stream.course:
            at = self._stream.read_at()
        return max(at, course.fold.at)

    def _tell_lost(self, course: Course) -> None:
        """Report once what is not known any more of a stream that began anew."""
        if course.begin.lost and course.begin.generation != self._told_lost:
            self._told_lost = course.begin.generation
            self.notice(logging.WARNING, "%s: %s", self, course.begin.lost)

    def _found(self) -> Course:
        """The course of the stream as it is now; where there is none, one is begun.

        Raises:
            LogError: The server can't be reached, or the log is closed meanwhile.
        """
        old = self._stream.course
        before = None if old is None else old.position
        since_ns = self._now_ns()
        while True:
            start = found_start(self._server, before)
            if start.course is not None:
                return start.course
            generation = uuid.uuid4().hex
            if not start.left:
                self._server.begin(self._member, 0, self._beginning(generation))
            elif self._now_ns() - since_ns >= _ANEW_SECONDS * 1e9:
                own = self._stream.own_settings()
                self._server.begin(self._member, 0, begun_anew(start.left, own, generation, old))
            elif self._stopping.wait(BATCH_SECONDS):
                raise LogError("it is closed")

    def _beginning(self, generation: str) -> Begin:
        course = self._stream.course
        if course is None:
            self.notice(
                logging.WARNING,
                "%s: there is no such stream; it is begun with every breaker CLOSED. If there was "
                "one before, what operators had commanded in it is not known any more",
                self,
            )
            return Begin(generation, FORMAT_VERSION, RULES_VERSION, __version__)
        return self._stream.reading(
            lambda _fold, at: course.next_generation(generation, __version__, at)
        )

    # The thread that listens.

    def _listen(self) -> None:
        while not self._stopping.is_set():
            try:
                with self._bell_server.bell() as heard:
                    while not self._stopping.is_set():
                        if heard.get_message(timeout=_IDLE_SECONDS) is not None:
                            self._wake_up(hurry=False)
            except BaseException as error:  # nothing ends it but the end of the log
                with contextlib.suppress(BaseException):
                    if not isinstance(error, LogError | ValueError):
                        _logger.exception("%s: it is listened to again", self)
                    self._stopping.wait(BATCH_SECONDS)
                    self._bell_server.reconnect()

    # Forks.

    def after_fork(self) -> None:
        """In a forked child: be another member, with a connection and threads of its own.

        This is also done where no breaker was made before the fork, as the name of a member is
        given to the log and not to its first breaker.
        """
        if self._closed:
            return
        self._make_threads()
        self._server.after_fork()
        self._bell_server.after_fork()
        if self._sequencer is not None:
            self.is_in_child = True
            self._stream.after_fork()

    def begin_in_child(self) -> None:
        """Read the stream from a checkpoint, before the first event; called under the lock."""
        self._is_changed = True
        self._needs_threads = True
        self._stream.begin_in_child()
        self.is_in_child = False


def _after_fork() -> None:
    for log in list(_open_logs):
        log.after_fork()


forks.after_in_child(_after_fork)
