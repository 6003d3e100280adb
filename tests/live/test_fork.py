"""A forked child never writes into its parent's log, and keeps one of its own."""

import errno
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import traceback
from contextlib import contextmanager
from pathlib import Path

import pytest
from breaker_calls import fail, succeed
from held_locks import held_by_another_thread, log_lock_held_elsewhere

from recloser import Breakers, CircuitBreaker, EventLog, ManualClock, MemoryLog
from recloser.history.engine import replay
from recloser.live import disk_writer, writer_thread
from recloser.log import disk
from recloser.log.reader import LogReader
from recloser.process import forks

pytestmark = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)

if not hasattr(os, "fork"):
    pytest.skip("there is no fork on this platform", allow_module_level=True)


def in_child(work):
    """Run ``work`` in a forked child and wait for it; its pid."""
    pid = os.fork()
    if pid == 0:
        status = 1
        signal.alarm(20)  # a child that hangs is killed
        try:
            work()
            status = 0
        except BaseException:  # noqa: BLE001  # the exit status says that there was one
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    return pid


def test_a_child_goes_on_in_a_log_of_its_own(tmp_path, clock):
    log = EventLog(tmp_path / "log", clock=clock, tick_seconds=None)
    breaker = CircuitBreaker("b", log=log)
    fail(breaker, 3)

    def work():
        fail(breaker, 2)
        assert breaker.current_state().value == "OPEN"
        log.close()

    pid = in_child(work)
    assert breaker.snapshot().consecutive_failures == 3
    succeed(breaker)
    log.close()

    parent = replay(tmp_path / "log")
    assert parent.differences == []
    totals = parent.snapshots["b"].totals
    assert (totals.failed, totals.succeeded) == (3, 1)

    child = replay(tmp_path / f"log-{pid}")
    assert child.differences == []
    assert child.snapshots["b"].totals.failed == 5
    assert [edge.trigger.value for edge in child.edges] == ["trip"]
    opened, gap, *_ = LogReader(tmp_path / f"log-{pid}")
    assert opened.pid == pid
    assert (gap.lost, gap.error) == (0, f"forked from process {os.getpid()}")


def test_a_child_that_uses_no_breaker_leaves_nothing(tmp_path, clock):
    with EventLog(tmp_path / "log", clock=clock) as log:
        breaker = CircuitBreaker("b", log=log)
        fail(breaker)
        in_child(log.close)
        fail(breaker)
    assert [path.name for path in tmp_path.iterdir()] == ["log"]
    assert replay(tmp_path / "log").snapshots["b"].totals.failed == 2


def test_calls_buffered_at_a_fork_are_the_parents_and_later_ones_the_childs(tmp_path, clock):
    """Calls that go past the lock wait in a list, which the child has a copy of."""
    log = EventLog(tmp_path / "log", clock=clock, tick_seconds=None)
    breaker = CircuitBreaker("b", log=log)
    call = breaker(lambda: None)
    with log_lock_held_elsewhere(breaker):  # nobody folds them before the fork
        breaker.fast_path.call_buffer.limit = 100
        for _ in range(3):
            call()

        def work():
            call()
            assert not breaker.fast_path.call_buffer  # else no thread would ever come for it
            log.close()

        pid = in_child(work)
    log.close()
    counted = [
        sum(event.kind == "call_succeeded" for event in LogReader(tmp_path / name))
        for name in ("log", f"log-{pid}")
    ]
    assert counted == [3, 1]


def test_calls_counted_before_a_fork_are_recorded_by_the_parent(tmp_path, clock):
    log = EventLog(tmp_path / "log", clock=clock, detail="runs", tick_seconds=None)
    breaker = CircuitBreaker("b", log=log)
    for _ in range(100):
        breaker.call(int)

    def work():
        breaker.call(int)
        log.close()

    pid = in_child(work)
    log.close()
    assert breaker.snapshot().totals.succeeded == 100
    child = LogReader(tmp_path / f"log-{pid}")
    assert sum(event.count for event in child if event.kind == "call_succeeded") == 1


def failed_in(path):
    """The failures in a log of breaker b, which replays without a difference."""
    replayed = replay(path)
    assert replayed.differences == []
    return replayed.snapshots["b"].totals.failed


@pytest.mark.parametrize("durability", ["batch", "sync"])
def test_children_that_use_a_log_first_have_a_log_each(tmp_path, durability):
    log = EventLog(tmp_path / "log", durability=durability)
    breakers = Breakers(log=log)

    def work():
        fail(breakers["b"], 5)
        assert breakers["b"].current_state().value == "OPEN"
        assert log.health().failure is None
        log.close()

    pids = [in_child(work) for _ in range(2)]
    log.close()
    assert [failed_in(tmp_path / f"log-{pid}") for pid in pids] == [5, 5]
    assert not list((tmp_path / "log").glob("*.jsonl"))


@pytest.mark.parametrize("durability", ["batch", "sync"])
def test_children_of_multiprocessing_that_close_nothing_lose_nothing(tmp_path, durability):
    log = EventLog(tmp_path / "log", durability=durability)
    breakers = Breakers(log=log)
    children = [
        multiprocessing.get_context("fork").Process(target=lambda: fail(breakers["b"], 5))
        for _ in range(2)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join(20)
        assert child.exitcode == 0
    log.close()
    assert [failed_in(tmp_path / f"log-{child.pid}") for child in children] == [5, 5]


@contextmanager
def no_folder_can_be_made():
    def refuse(self, *_args, **_options):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Path, "mkdir", refuse)
        yield


@pytest.mark.parametrize("durability", ["batch", "sync"])
def test_child_that_can_make_no_folder_breaks_no_call_and_goes_on_when_it_can(tmp_path, durability):
    log = EventLog(tmp_path / "log", durability=durability)
    breaker = CircuitBreaker("b", log=log)
    fail(breaker)

    def work():
        logging.disable()
        with no_folder_can_be_made():
            fail(breaker, 2)
            assert breaker.call(int) == 0
            log.flush()
            health = log.health()
            assert health.failure == "Permission denied"
            assert health.lost == 4 - 1  # all that this process has recorded
        fail(breaker)
        log.flush()
        assert log.health().failure is None
        log.close()

    pid = in_child(work)
    log.close()
    assert failed_in(tmp_path / "log") == 1
    assert failed_in(tmp_path / f"log-{pid}") == 4
    assert sum(
        event.lost for event in LogReader(tmp_path / f"log-{pid}") if event.kind == "log_gap"
    )


def test_child_leaves_the_folder_of_an_earlier_process_of_its_number_alone(tmp_path):
    log = EventLog(tmp_path / "log")
    breaker = CircuitBreaker("b", log=log)

    def work():
        with EventLog(tmp_path / f"log-{os.getpid()}") as left:
            CircuitBreaker("b", log=left).force_open()
        (tmp_path / f"log-{os.getpid()}-2").mkdir()
        fail(breaker, 2)
        log.close()

    pid = in_child(work)
    log.close()
    assert failed_in(tmp_path / f"log-{pid}") == 0
    assert failed_in(tmp_path / f"log-{pid}-3") == 2


def test_child_that_changes_its_working_directory_writes_beside_the_log(tmp_path, monkeypatch):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    log = EventLog(".")
    breaker = CircuitBreaker("b", log=log)
    fail(breaker)

    def work():
        os.chdir("/")
        fail(breaker)
        log.close()

    pid = in_child(work)
    log.close()
    assert failed_in(folder) == 1
    assert failed_in(tmp_path / f"here-{pid}") == 2


class InterruptedClock(ManualClock):
    """A clock at whose reading a signal handler calls, where it has one."""

    handler = None

    def now(self):
        handler, self.handler = self.handler, None
        if handler is not None:
            handler()
        return super().now()


def test_report_of_a_handler_while_a_child_begins_its_log_is_in_that_log(tmp_path):
    clock = InterruptedClock()
    log = EventLog(tmp_path / "log", clock=clock)

    def work():
        log.attach()  # reads the clock too

        def report_a_failure():
            with pytest.raises(RuntimeError):
                CircuitBreaker("b", log=log).call(raising)

        clock.handler = report_a_failure
        fail(CircuitBreaker("a", log=log), 2)
        log.close()

    pid = in_child(work)
    log.close()
    child = tmp_path / f"log-{pid}"
    assert failed_in(child) == 1
    reported = [event.breaker for event in LogReader(child) if event.kind == "call_failed"]
    assert sorted(reported) == ["a", "a", "b"]


def raising():
    raise RuntimeError


def test_log_that_a_handler_uses_first_while_it_is_attached_survives_an_interruption(
    tmp_path, monkeypatch
):
    """Two sequencers are made of one fold then; what the kept one undoes is the kept one's."""
    log = EventLog(tmp_path / "log", clock=ManualClock(), tick_seconds=None)
    recovered = log.recovered
    breakers = []

    def recovered_by_a_handler_first():
        monkeypatch.undo()
        breakers.append(CircuitBreaker("a", log=log))
        return recovered()

    monkeypatch.setattr(log, "recovered", recovered_by_a_handler_first)
    log.attach()
    (breaker,) = breakers

    def interrupt(_events):
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(log, "seal_after", interrupt)  # the failure is folded, and not recorded
    fail(breaker)
    with pytest.raises(KeyboardInterrupt):
        breaker.snapshot()
    live = breaker.snapshot()
    log.close()
    assert live.totals.failed == 1
    assert replay(log.path).snapshots["a"].totals.failed == 1


class HandlerAtReading(ManualClock):
    """A clock that calls a signal handler, if there is one, when its monotonic time is read."""

    handler = None
    skipped = 0

    def monotonic_ns(self):
        if self.handler is not None:
            self.skipped -= 1
            if self.skipped < 0:
                handler, self.handler = self.handler, None
                handler()
        return super().monotonic_ns()


@pytest.mark.parametrize("skipped", range(3))
@pytest.mark.parametrize("detail", ["full", "runs"])
def test_calls_of_a_child_forked_in_the_middle_of_a_change_are_in_its_log(
    tmp_path, detail, skipped
):
    clock = HandlerAtReading()
    log = EventLog(tmp_path / "log", clock=clock, tick_seconds=None, detail=detail)
    breaker = CircuitBreaker("b", log=log)
    call = breaker(lambda: None)
    for _ in range(3):
        call()
    children = []

    def fork_and_call():
        children.append(os.fork())
        if children == [0]:
            signal.alarm(20)
            call()
            call()

    clock.handler, clock.skipped = fork_and_call, skipped
    fail(breaker)
    breaker.snapshot()
    assert len(children) == 1
    if children == [0]:
        log.close()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0
    log.close()

    def succeeded_in(path):
        events = [event for event in LogReader(path) if event.kind == "call_succeeded"]
        return sum(event.count for event in events)

    assert succeeded_in(tmp_path / "log") == 3
    assert succeeded_in(tmp_path / f"log-{children[0]}") == 2


@pytest.mark.parametrize("durability", ["batch", "sync"])
def test_child_that_can_start_no_thread_writes_all_the_same(tmp_path, durability):
    log = EventLog(tmp_path / "log", durability=durability)
    breakers = Breakers(log=log)
    fail(breakers["b"])

    def refuse(*_):
        raise RuntimeError("can't start new thread")

    def work():
        writer_thread.start_new_thread = refuse
        fail(breakers["b"], 3)
        assert log.health().failure == "no thread can be started: can't start new thread"
        assert log.health().waiting == 0
        os._exit(0)  # nothing is closed or flushed

    pid = in_child(work)
    log.close()
    assert failed_in(tmp_path / f"log-{pid}") == 4


def test_child_forked_in_mid_write_leaves_what_was_in_hand_to_the_parent(tmp_path, monkeypatch):
    """As by a signal handler, in which the child calls the breaker before it goes on."""
    log = EventLog(tmp_path / "log", durability="sync")  # this thread writes
    encoded, pids = disk_writer.encoded, []

    def encoded_with_a_fork(batch):
        for chunk, lines in encoded(batch):
            if not pids:
                pids.append(os.fork())
                if pids == [0]:
                    signal.alarm(20)
                    fail(CircuitBreaker("of the handler", log=log))
                else:  # the child writes first
                    assert os.waitstatus_to_exitcode(os.waitpid(pids[0], 0)[1]) == 0
            yield chunk, lines

    monkeypatch.setattr(disk_writer, "encoded", encoded_with_a_fork)
    try:
        breaker = CircuitBreaker("b", log=log)  # the log begins with it
        fail(breaker)
        if pids == [0]:
            log.close()
            os._exit(0)
    finally:
        if pids == [0]:
            traceback.print_exc()
            os._exit(1)
    log.close()
    assert failed_in(tmp_path / "log") == 1
    assert failed_in(tmp_path / f"log-{pids[0]}") == 1


LOGS = {
    "none": lambda _: None,
    "memory": lambda _: MemoryLog(),
    "batch": EventLog,
    "sync": lambda path: EventLog(path, durability="sync"),
}


@pytest.mark.parametrize("make", LOGS.values(), ids=LOGS)
@pytest.mark.parametrize("lock", ["of the sequencer", "of the writer", "of renewing"])
def test_fork_while_another_thread_holds_a_lock_leaves_the_child_free(tmp_path, make, lock):
    log = make(tmp_path / "log")
    breakers = Breakers(log=log)
    breaker = breakers["b"]
    fail(breaker)
    held = {
        "of the sequencer": breaker._sequencer._entry._lock,
        "of the writer": getattr(log, "_io", None),
        "of renewing": forks.renewing,
    }[lock]
    if held is None:
        pytest.skip("it has no such lock")

    def work():
        fail(breaker)
        assert breaker.call(int) == 0
        assert breaker.snapshot().totals.failed == 2
        fail(breakers["of the child"])
        CircuitBreaker("another", log=log).force_open(actor="ops")
        breaker.flush()
        if isinstance(log, EventLog):
            assert log.health().failure is None
            log.flush()
            log.close()

    with held_by_another_thread(held):
        pid = in_child(work)
    fail(breaker)
    assert breaker.snapshot().totals.failed == 2
    if isinstance(log, EventLog):
        log.close()
        assert failed_in(tmp_path / f"log-{pid}") == 2


FORKED_IN_MID_IMPORT = """
import importlib._bootstrap, os, signal, sys, threading
from recloser import CircuitBreaker, EventLog, MemoryLog

log = MemoryLog() if sys.argv[1] == "memory" else EventLog(sys.argv[1])
held = threading.Event()

def import_for_ever():
    locks = []
    for codec in ("ascii", "latin_1", "cp437", "idna"):
        if "encodings." + codec not in sys.modules:
            locks.append(importlib._bootstrap._ModuleLockManager("encodings." + codec))
            locks[-1].__enter__()
    held.set()
    signal.pause()

threading.Thread(target=import_for_ever, daemon=True).start()
held.wait()
pid = os.fork()
if pid == 0:
    signal.alarm(10)
    CircuitBreaker("b", log=log).call(int)
    log.close()
    os._exit(0)
os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0)
"""


@pytest.mark.parametrize("kind", ["memory", "files"])
def test_child_waits_for_no_codec_that_a_thread_of_the_parent_was_importing(tmp_path, kind):
    where = "memory" if kind == "memory" else str(tmp_path / "log")
    script = [sys.executable, "-W", "ignore", "-c", FORKED_IN_MID_IMPORT, where]
    assert subprocess.run(script, timeout=60, check=False).returncode == 0


@contextmanager
def stalled_in(monkeypatch, name):
    """Have the thread that writes stall at the disk, in the named function; gives how to let it go."""
    is_there, may_go = threading.Event(), threading.Event()
    real = getattr(disk, name)

    def stall(*args):
        if threading.current_thread() is not threading.main_thread():
            is_there.set()
            may_go.wait(20)
        return real(*args)

    monkeypatch.setattr(disk, name, stall)
    yield is_there, may_go
    may_go.set()


@pytest.mark.parametrize("use", ["flush", "close"])
def test_child_forked_while_a_segment_is_begun_leaves_it_to_the_parent(tmp_path, monkeypatch, use):
    log = EventLog(tmp_path / "log", clock=ManualClock())
    with stalled_in(monkeypatch, "write") as (is_there, may_go):
        breaker = CircuitBreaker("b", log=log)
        fail(breaker)
        assert is_there.wait(20)

        def work():
            getattr(log, use)()
            health = log.health()
            assert (health.lost, health.failure, health.gaps) == (0, None, 0)

        in_child(work)
        may_go.set()
    fail(breaker)
    log.close()
    assert log.health().disturbance is None
    assert sum(event.kind == "call_failed" for event in LogReader(tmp_path / "log")) == 2


def test_child_forked_while_the_log_is_closed_writes_nothing_to_it(tmp_path, monkeypatch):
    def refuse(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(
        writer_thread, "start_new_thread", refuse
    )  # callers write, and close() seals
    log = EventLog(tmp_path / "log", clock=ManualClock())
    fail(CircuitBreaker("b", log=log), 2)
    with stalled_in(monkeypatch, "write") as (is_there, may_go):
        closing = threading.Thread(target=log.close)
        closing.start()
        assert is_there.wait(20)
        in_child(log.close)
        may_go.set()
        closing.join()
    assert failed_in(tmp_path / "log") == 2
