"""The thread that writes a log survives whatever is raised in it, and calls go on without one."""

import errno
import logging
import threading
import time

import pytest
from breaker_calls import fail

from recloser import CircuitBreaker, CircuitBreakerConfig, EventLog
from recloser.history.engine import replay
from recloser.live import disk_writer, writer_thread
from recloser.live.writer_thread import WriterThread
from recloser.log import disk, retention
from recloser.log.reader import LogReader
from recloser.log.retention import Retention
from recloser.sharing import log_threads
from recloser.sharing.redis_log import RedisLog

PATIENCE_SECONDS = 10


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log"


def until(is_so):
    """Wait until something is so; fail if it does not become so."""
    due = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < due
        time.sleep(0.005)


def refuse_threads(*_args, **_options):
    raise RuntimeError("can't start new thread")


def failures_in(path):
    return sum(event.kind == "call_failed" for event in LogReader(path))


@pytest.mark.parametrize("durability", ["batch", "sync", "memory"])
def test_log_without_a_thread_is_written_by_callers(path, monkeypatch, durability):
    monkeypatch.setattr(writer_thread, "start_new_thread", refuse_threads)
    log = EventLog(path, durability=durability)
    breaker = CircuitBreaker("b", CircuitBreakerConfig(failure_threshold=100), log=log)
    for number in range(1, 6):
        fail(breaker)
        assert failures_in(path) == number
    for _ in range(10):
        breaker.call(int)
    assert sum(event.kind == "call_succeeded" for event in LogReader(path)) >= 9
    assert log.health().failure == "no thread can be started: can't start new thread"
    assert log.health().lost == 0
    monkeypatch.undo()
    fail(breaker)
    until(lambda: log.health().failure is None)
    fail(breaker)
    until(lambda: failures_in(path) == 7)
    log.close()
    assert replay(path).snapshots["b"].totals.succeeded == 10


def test_log_whose_thread_was_ended_is_written_by_callers_until_there_is_another(path, monkeypatch):
    """As where an exception of ``PyThreadState_SetAsyncExc`` strikes between all its safeguards."""
    log = EventLog(path)
    ended = threading.Event()

    def end(self):
        if not ended.is_set():
            ended.set()
            raise SystemExit
        return write_until_closed(self)

    write_until_closed = WriterThread._run_rounds
    monkeypatch.setattr(WriterThread, "_run_rounds", end)
    breaker = CircuitBreaker("b", CircuitBreakerConfig(failure_threshold=100), log=log)
    assert ended.wait(PATIENCE_SECONDS)
    until(lambda: not log._thread.is_running)
    with monkeypatch.context() as patched:
        patched.setattr(writer_thread, "start_new_thread", refuse_threads)
        fail(breaker)
        breaker.snapshot()
        assert failures_in(path) == 1
        assert log.health().failure == "no thread can be started: can't start new thread"
    fail(breaker)
    breaker.snapshot()
    until(lambda: failures_in(path) == 2)
    until(lambda: log.health().failure is None)
    log.close()


def test_thread_that_was_killed_before_its_first_line_is_replaced_and_not_waited_for(
    path, monkeypatch
):
    """``PyThreadState_SetAsyncExc`` finds it under the number of the thread that starts it."""
    start = writer_thread.start_new_thread

    def start_and_kill(_run, arguments):
        monkeypatch.undo()
        return start(lambda _runner: None, arguments)

    monkeypatch.setattr(writer_thread, "start_new_thread", start_and_kill)
    log = EventLog(path)
    breaker = CircuitBreaker("b", CircuitBreakerConfig(failure_threshold=100), log=log)
    until(lambda: not log._thread.is_running)
    fail(breaker)
    breaker.snapshot()
    assert log._thread.is_running
    log.close()
    assert failures_in(path) == 1


def test_log_is_closed_while_its_thread_waits_for_the_logging_handler_of_this_thread(
    path, monkeypatch
):
    """As where a signal handler that closes the log has interrupted a logging handler."""

    class Handler(logging.Handler):
        is_waited_for = False

        def acquire(self):
            if threading.current_thread() is not threading.main_thread():
                self.is_waited_for = True
            super().acquire()

    handler = Handler()
    logger = logging.getLogger("recloser")
    logger.addHandler(handler)
    log = EventLog(path)
    breaker = CircuitBreaker("b", log=log)
    log.flush()
    with monkeypatch.context() as patched:
        patched.setattr(disk, "write", fail_to_write)
        handler.acquire()
        try:
            fail(breaker)
            until(lambda: handler.is_waited_for)
            patched.undo()
            began = time.monotonic()
            log.close()
        finally:
            handler.release()
            logger.removeHandler(handler)
    assert log.is_closed
    assert failures_in(path) + log.health().lost == 1
    assert time.monotonic() - began < PATIENCE_SECONDS


def fail_to_write(*_arguments):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_stream_without_threads_breaks_no_call(monkeypatch, caplog):
    monkeypatch.setattr(log_threads, "start_new_thread", refuse_threads)
    log = RedisLog("redis://127.0.0.1:1/0", timeout_seconds=0.05)
    breaker = CircuitBreaker("b", log=log)
    fail(breaker, 5)
    assert breaker.current_state().value == "OPEN"
    assert log.health().failure
    log.close()


def test_threads_of_a_stream_that_were_killed_before_their_first_line_are_replaced(monkeypatch):
    start, killed = log_threads.start_new_thread, []

    def start_and_kill(run, arguments):
        if len(killed) < 2:
            killed.append(run)
            return start(lambda *_: None, arguments)
        return start(run, arguments)

    monkeypatch.setattr(log_threads, "start_new_thread", start_and_kill)
    log = RedisLog("redis://127.0.0.1:1/0", timeout_seconds=0.05)
    breaker = CircuitBreaker("b", log=log)

    def is_replaced():
        fail(breaker)
        names = ("recloser-stream", "recloser-bell")
        return len(killed) == 2 and all(map(log._threads.is_running, names))

    until(is_replaced)
    log.close()


class Faulty:
    """Stands for a function of the package, and raises as long as ``error`` is set."""

    def __init__(self, function, error):
        self.function = function
        self.error = error
        self.raised = 0

    def __call__(self, *arguments, **options):
        if self.error is not None:
            self.raised += 1
            raise self.error
        return self.function(*arguments, **options)


PLACES = {
    "disk.write": (disk, "write"),
    "disk.sync": (disk, "sync"),
    "encoded": (disk_writer, "encoded"),
    "housekeeping": (Retention, "start_if_due"),
}


@pytest.mark.parametrize(
    "error",
    [SystemExit(), KeyboardInterrupt(), GeneratorExit(), MemoryError("no memory"), ValueError("x")],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize(("owner", "name"), PLACES.values(), ids=PLACES)
def test_writer_thread_survives_whatever_is_raised(path, monkeypatch, owner, name, error):
    log = EventLog(path)
    breaker = CircuitBreaker("b", CircuitBreakerConfig(failure_threshold=2), log=log)
    until(lambda: path.joinpath("000000000001.jsonl").exists())
    faulty = Faulty(getattr(owner, name), error)

    def call(*given, **named):  # a function, as one of the places is a method
        return faulty(*given, **named)

    monkeypatch.setattr(owner, name, call)
    ident = log._thread._ident
    fail(breaker, 2)  # it trips, which is written at once
    until(lambda: faulty.raised and log.health().failure is not None)
    assert breaker.before_call().allowed is False
    faulty.error = None
    until(lambda: log.health().failure is None)
    breaker.reset()
    fail(breaker)
    until(lambda: list(LogReader(path))[-2:] and log.health().waiting == 0)
    assert log._thread._ident == ident
    lost = log.health().lost
    log.close()
    replayed = replay(path)
    assert replayed.differences == []
    assert replayed.snapshots["b"].totals.failed == 3
    found = sum(event.kind in {"call_failed", "reset"} for event in LogReader(path))
    assert found + lost >= 4
    if not isinstance(error, Exception) or name == "start_if_due":
        assert lost == 0


def full_segments(path, log):
    """Report failures until the log has a second segment."""
    breaker = CircuitBreaker("b", CircuitBreakerConfig(failure_threshold=None), log=log)
    count = len(list(path.glob("*.jsonl*")))
    while len(list(path.glob("*.jsonl*"))) <= count:
        fail(breaker, 20)
        log.flush()


def test_rotation_goes_on_where_no_thread_can_be_started(path, monkeypatch):
    """Full segments stay uncompressed until one can be."""
    log = EventLog(path, segment_bytes=2000)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse_threads)
        full_segments(path, log)
        full_segments(path, log)
        until(lambda: log.health().failure is not None)
        assert "no thread can be started" in log.health().failure
        assert log._thread.is_running
    breaker = CircuitBreaker("b", log=log)
    fail(breaker)
    until(lambda: list(path.glob("*.zst")))
    until(lambda: log.health().failure is None)
    log.close()
    assert replay(path).differences == []


@pytest.mark.parametrize("error", [ValueError("odd"), SystemExit(), OSError(5, "I/O error")])
def test_failing_housekeeping_is_shown_and_tried_again(path, monkeypatch, caplog, error):
    faulty = Faulty(retention.compress_full, error)
    monkeypatch.setattr(retention, "compress_full", faulty)
    caplog.set_level(logging.WARNING)
    log = EventLog(path, segment_bytes=2000)
    full_segments(path, log)
    until(lambda: log.health().failure is not None)
    assert "full segments stay as they are" in log.health().failure
    until(lambda: any("full segments stay as they are" in each.message for each in caplog.records))
    faulty.error = None
    full_segments(path, log)
    until(lambda: list(path.glob("*.zst")))
    until(lambda: log.health().failure is None)
    log.close()
    assert replay(path).differences == []
