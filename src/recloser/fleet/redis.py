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

from recloser import forks, host_logging
from recloser.clock import Clock
from recloser.errors import LogError
from recloser.events import FORMAT_VERSION, RULES_VERSION, Event, LogSealed
from recloser.fleet.connection import (
    PAGE,
    Exchange,
    Server,
    StreamChangedError,
)
from recloser.fleet.course import Course
from recloser.fleet.entry import Begin, Checkpointed, Entry, fields_of, parse_id
from recloser.fleet.outbox import Batch
from recloser.fleet.sequencer import OnOtherConfig, StreamSequencer
from recloser.log.bell import Bell
from recloser.log.calls import Successes
from recloser.log.exits import at_exit
from recloser.log.health import LogHealth
from recloser.log.sequencer import Log, Sequencer
from recloser.log.tail import Tail
from recloser.logfold import LogFold
from recloser.validation import Seconds, checked_seconds, checked_text, checked_whole, checked_word
from recloser.version import __version__

BATCH_SECONDS: Final = 0.25
"""What no edge hangs on is sent this often."""

_SPACING_SECONDS: Final = 0.002
_IDLE_SECONDS: Final = 1.0
_SHORTEST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0
_NS_PER_MS: Final = 1_000_000

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
        self._keep_entries = keep_entries
        self._on_other_config = on_other_config
        # Each thread has a connection of its own: one gives up its own when the server is away.
        self._server = Server(url, stream, self._timeout_seconds)
        self._bell_server = Server(url, stream, self._timeout_seconds)
        self._failure: str | None = None
        self._absences = 0
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
        self._running: dict[str, Bell] = {}  # by the names of threads; each is rung when one ends
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

    def settle(self, seq: int) -> None:
        """Log what waits to be logged, and see to the threads; called outside the lock."""
        if self._stream.is_mine:
            return
        super().settle(seq)
        if self._needs_threads:
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
            if name in self._running:
                continue
            try:
                # ``Thread.start`` would wait for the thread to run, and never end in a child that
                # is forked meanwhile. Nothing comes between the next two steps.
                self._running[name] = Bell()
                start_new_thread(self._run_as, (name, run))
            except RuntimeError as error:
                # There are too many threads, or the interpreter is ending: calls go on alone.
                self._running.pop(name, None)
                self._needs_threads = True
                self._thread_failure = f"no thread can be started: {error}"
                return
        self._thread_failure = None

    def _run_as(self, name: str, run: Callable[[], None]) -> None:
        ended = self._running[name]
        try:
            threading.current_thread().name = name
            run()
        finally:
            # Where an exception from outside has ended it, the next call starts another one.
            if self._running.get(name) is ended:
                del self._running[name]
            self._needs_threads = True
            ended.ring()

    @property
    def _stream(self) -> StreamSequencer:
        assert isinstance(self._sequencer, StreamSequencer)
        return self._sequencer

    def recovered(self) -> tuple[LogFold, Tail]:
        """Nothing: what there is has to be read from the stream."""
        return LogFold(), Tail()

    def write(self, events: Sequence[Event], seal: LogSealed | None) -> None:
        """Do nothing: what was decided alone is not the log's."""

    def catch_up(self, recorded: Sequence[Event | Successes]) -> None:
        """Do nothing, as ``write``."""

    def health(self) -> LogHealth:
        """How well the stream is reached now."""
        if self._sequencer is None:
            return LogHealth(0, 0, 0, 0, None)
        # No lock: each figure is read in one step, and they may be a few events apart.
        stream, outbox = self._stream, self._stream.outbox
        since = outbox.since_ns
        return LogHealth(
            waiting=len(outbox) + stream.pending.calls,
            lag_ns=0 if since is None else self._now_ns() - since,
            lost=outbox.lost,
            gaps=self._absences,
            failure=(self._failure if stream.degraded else None) or self._thread_failure,
            missed_by_listeners=stream.audience.missed,
        )

    def flush(self) -> None:
        """Send what waits, and read all that there is; it takes ``timeout_seconds`` at most."""
        if self._sequencer is None or self._closed or self._stream.is_mine:
            return
        self._stream.relieve()
        self._stream.await_level()

    def __iter__(self) -> Iterator[Event]:
        from recloser.fleet.export import events_of

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
        self.flush()
        self._closed = True
        self._stopping.set()
        self._wake.ring()
        running = dict(self._running)
        if running:
            with contextlib.suppress(LogError):
                self._server.ring()
        running.pop(threading.current_thread().name, None)
        for ended in running.values():
            ended.wait(2 * self._timeout_seconds)
        if self._sequencer is not None:
            self._stream.hold(self._go_on_alone, _do_nothing)
        self._server.close()
        self._bell_server.close()
        atexit.unregister(self.close)

    def _go_on_alone(self) -> None:
        if self._stream.course is not None:
            self._stream.leave()

    def look_after(self) -> None:
        """Log the messages that wait, and close if that was asked for in the middle of a change."""
        super().look_after()
        if self._closes_later and not self._stream.is_mine:
            self._closes_later = False
            self.close()

    # The thread that sends and reads.

    def stay_awake(self) -> None:
        """Have the thread come by again: something is counted, and has to be sent in time."""
        self._wake_up(hurry=False)

    def _wake_up(self, *, hurry: bool = True) -> None:
        self._hurry |= hurry
        self._wake.ring()

    def _now_ns(self) -> int:
        assert self._clock is not None
        return self._clock.monotonic_ns()

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                if self._stream.degraded:
                    self._join()
                    failures = 0
                self._go_round()
                self._stream.leave_entry()
            except BaseException as error:  # noqa: BLE001  # not even an exit ends it: nobody else sends
                with contextlib.suppress(BaseException):
                    failures = min(failures + 1, 10)
                    self._get_over(error)
                    self._stopping.wait(min(_SHORTEST_PAUSE * 2 ** (failures - 1), _LONGEST_PAUSE))
                    self._stream.leave_entry()

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

        stream.hold(leave, _do_nothing)

    def _go_round(self) -> None:
        """Wait for a reason, then send and read once."""
        is_idle = self._stream.pending.limit == 0
        woken = self._wake.wait(_IDLE_SECONDS if is_idle else BATCH_SECONDS)
        if self._stopping.is_set():
            return
        course = self._stream.course
        assert course is not None
        hurry, self._hurry = self._hurry, False
        batch = self._stream.hold(
            lambda: self._stream.begin_round(
                is_due=lambda since_ns: hurry or not woken or self._is_old(since_ns)
            ),
            lambda: None,
        )
        if self._round(course, batch, ring=hurry):
            self._server.ring()
        self._stopping.wait(_SPACING_SECONDS)

    def _is_old(self, since_ns: int | None) -> bool:
        """Whether what came then has waited for company for long enough."""
        return since_ns is not None and self._now_ns() - since_ns >= BATCH_SECONDS * 1e9

    def _round(self, course: Course, batch: Batch | None, *, ring: bool) -> bool:
        """Send an entry, and read until there is nothing more; whether others should read too."""
        say = None
        trim_to = None
        if batch is not None:
            say = fields_of(self._member, batch.number, batch.body, replaces=batch.replaces)
            if isinstance(batch.body, Checkpointed):
                trim_to = course.trims_to(self._keep_entries)
        is_news = False
        while True:
            before_ns = self._now_ns()
            got = self._server.exchange(
                course.position, say=say, ring=ring and say is not None, trim_to=trim_to
            )
            after_ns = self._now_ns()
            taken = partial(self._take, course, got, before_ns, after_ns)
            is_news |= self._stream.hold(taken, lambda: False)
            if len(got.entries) < PAGE - 1:
                return is_news and not ring
            say = trim_to = None

    def _take(self, course: Course, got: Exchange, before_ns: int, after_ns: int) -> bool:
        """Fold what was read; whether others should read something of it at once."""
        stream = self._stream
        is_news = stream.take(course, got.entries, self._member)
        if len(got.entries) < PAGE - 1:
            earliest = None
            if got.sent is not None:
                earliest = before_ns - course.at_of_us(got.sent[0] * 1000) - _NS_PER_MS
            stream.end_round(latest_ns=after_ns - course.fold.at, earliest_ns=earliest)
        return is_news

    # Finding the stream again.

    def _join(self) -> None:
        """Come level with the stream, and go by it."""
        self._server.reconnect()
        stream = self._stream
        course = None if self._is_changed or stream.must_read_again else stream.course
        if course is None:
            course = self._found()
        is_back = False
        while not is_back:
            batch = stream.hold(partial(stream.word_to, course), lambda: None)
            self._round(course, batch, ring=False)
            if batch is None:
                at = course.at_of_us(self._server.now_us())
                is_back = stream.hold(partial(stream.rejoin, course, at), lambda: False)
        self._is_changed = False
        self._failure = None
        self._joined.ring()
        self._wake_up()

    def _found(self) -> Course:
        """The course of the stream as it is now; where there is none, one is begun."""
        while True:
            course = self._found_course()
            if course is not None:
                return course
            self._server.begin(self._member, 0, self._beginning())

    def _found_course(self) -> Course | None:
        """The course from the newest checkpoint on, or from the beginning."""
        oldest: Entry | None = None
        while page := self._server.page_back(None if oldest is None else oldest.id):
            for entry in page:
                oldest = entry
                if isinstance(entry.body, Checkpointed) and self._is_there(entry.body):
                    return Course.restored(entry.body)
        if oldest is None:
            return None
        if not isinstance(oldest.body, Begin):
            raise LogError(
                f"{self}: its first entries are gone, and no checkpoint is left to start from; "
                "something else has trimmed it. It is waited for the next checkpoint"
            )
        return Course.begun(oldest)[0]

    def _is_there(self, kept: Checkpointed) -> bool:
        return self._server.entry_at(parse_id(kept.of)) is not None

    def _beginning(self) -> Begin:
        generation = uuid.uuid4().hex
        course = self._stream.course
        if course is None:
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


def _do_nothing() -> None:
    """Stand for a change in a thread that is in the middle of one."""


def _after_fork() -> None:
    for log in list(_open_logs):
        log.after_fork()


forks.after_in_child(_after_fork)
