"""Delivery to listeners: in order, once, bounded, counted, whatever interrupts it."""

import ctypes
import gc
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
import weakref
from contextlib import suppress
from functools import partial

import pytest
from breaker_calls import fail, succeed
from bytecode_points import at_each_point

from recloser import CircuitBreaker, CircuitBreakerConfig, EventLog, Listener, MemoryLog
from recloser.core.events import Reset
from recloser.live import listener_queue
from recloser.live import listeners as listeners_module
from recloser.live import notifier as notifier_module
from recloser.live.listener_queue import CAPACITY, EDGE_RESERVE
from recloser.live.listeners import subscriptions
from recloser.live.notifier import OWN_EVENTS, Notifier

MODULES = [notifier_module, listener_queue, listeners_module]
NEVER_TRIPS = CircuitBreakerConfig(failure_threshold=None)


class Interrupted(BaseException):
    """An exception that a signal handler raises."""


class Recorder(Listener):
    def __init__(self):
        self.seqs = []
        self.edges = []
        self.threads = set()

    def on_event(self, event):
        self.seqs.append(event.seq)
        self.threads.add(threading.get_ident())

    def on_transition(self, edge):
        self.edges.append(edge.trigger.value)


class InlineRecorder(Recorder):
    inline = True


class Stuck(Recorder):
    def __init__(self):
        super().__init__()
        self.entered, self.released = threading.Event(), threading.Event()

    def on_event(self, event):
        self.entered.set()
        self.released.wait(60)
        super().on_event(event)


class StuckInline(Stuck):
    inline = True


@pytest.fixture
def no_threads(monkeypatch):
    def refuse(*_arguments):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(notifier_module, "start_new_thread", refuse)


def event(seq):
    return Reset(seq, 0, "b", None, None)


def notifier_of(*listeners):
    notifier = Notifier()
    for subscription in subscriptions(listeners):
        notifier.add("b", subscription)
    return notifier


def three_recorders():
    return [InlineRecorder(), Recorder(), InlineRecorder()]


def in_threads(number, work):
    threads = [threading.Thread(target=work) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_an_exception_at_any_point_loses_no_event_uncounted_and_repeats_none(no_threads):
    def interrupt():
        raise Interrupted

    points = 0
    for interruption in at_each_point(MODULES, interrupt):
        recorders = three_recorders()
        notifier = notifier_of(*recorders)
        notifier.inbox.extend(map(event, range(1, 4)))
        try:
            with interruption:
                notifier.notify()
        except Interrupted:
            points += 1
        for seq in (4, 5):
            notifier.inbox.append(event(seq))
            notifier.notify()
        assert notifier.wait_until_delivered()
        assert all(each.seqs == sorted(set(each.seqs)) for each in recorders)
        lost = sum(5 - len(each.seqs) for each in recorders)
        assert lost <= notifier.missed <= 1
    assert points > 100


def test_a_thread_that_is_interrupted_at_any_point_loses_no_event_uncounted(monkeypatch):
    """The code of the thread runs in this one, so that it can be interrupted."""

    def interrupt():
        raise Interrupted

    start = notifier_module.start_new_thread
    interruptions = at_each_point(MODULES, interrupt)

    def run_here(run, arguments, interruption):
        monkeypatch.setattr(notifier_module, "start_new_thread", start)
        with suppress(Interrupted), interruption:
            run(*arguments)

    monkeypatch.setattr(notifier_module, "_IDLE_SECONDS", 0.001)
    for interruption in interruptions:
        begin = partial(run_here, interruption=interruption)
        monkeypatch.setattr(notifier_module, "start_new_thread", begin)
        recorder = Recorder()
        notifier = notifier_of(recorder)
        notifier.inbox.extend(map(event, range(1, 4)))
        notifier.notify()
        assert notifier.wait_until_delivered(60)
        assert recorder.seqs == sorted(set(recorder.seqs))
        assert 3 - len(recorder.seqs) <= notifier.missed <= 1


def test_a_nested_entry_at_any_point_loses_repeats_and_swaps_nothing(no_threads):
    points = 0
    recorders, notifier = [], None

    def enter_again():
        notifier.inbox.append(event(4))
        notifier.notify()
        assert notifier.wait_until_delivered(60) or notifier._is_in_this_thread()

    for interruption in at_each_point(MODULES, enter_again):
        recorders = three_recorders()
        notifier = notifier_of(*recorders)
        notifier.inbox.extend(map(event, range(1, 4)))
        with interruption:
            notifier.notify()
        points += interruption.is_reached
        assert notifier.wait_until_delivered()
        heard = [1, 2, 3, 4] if interruption.is_reached else [1, 2, 3]
        assert [each.seqs for each in recorders] == [heard] * 3
        assert notifier.missed == 0
    assert points > 100


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_at_any_point_leaves_the_parents_events_to_the_parent(no_threads):
    pids, heard = [], []

    def fork():
        heard[:] = [len(each.seqs) for each in recorders]
        pids.append(os.fork())

    for interruption in at_each_point(MODULES, fork):
        recorders = three_recorders()
        notifier = notifier_of(*recorders)
        notifier.inbox.extend(map(event, range(1, 4)))
        with interruption:
            notifier.notify()
        if interruption.is_reached and pids[-1] == 0:
            os._exit(is_wrong_in_child(notifier, recorders, heard))
        assert notifier.wait_until_delivered()
        assert [each.seqs for each in recorders] == [[1, 2, 3]] * 3
    assert len(pids) > 100
    assert {os.waitpid(pid, 0)[1] for pid in pids} == {0}


def is_wrong_in_child(notifier, recorders, heard):
    """Whether a forked child delivers other events than its own.

    A listener that was called, or about to be, when the process forked is so in both processes.
    """
    before = [list(each.seqs) for each in recorders]
    notifier.inbox.append(event(7))
    notifier.notify()
    is_told = notifier.wait_until_delivered()
    return not (
        sum(map(len, before)) - sum(heard) <= 1
        and is_told
        and [each.seqs for each in recorders] == [[*seqs, 7] for seqs in before]
        and notifier.missed == 0
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_has_a_thread_of_its_own():
    recorder = Recorder()
    notifier = notifier_of(recorder)
    notifier.inbox.append(event(1))
    notifier.notify()
    assert notifier.wait_until_delivered()
    pid = os.fork()
    if pid == 0:
        notifier.inbox.append(event(2))
        notifier.notify()
        os._exit(not (notifier.wait_until_delivered(60) and recorder.seqs == [1, 2]))
    assert os.waitpid(pid, 0)[1] == 0
    assert recorder.seqs == [1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_while_a_listener_is_stuck_frees_the_child():
    stuck = Stuck()
    log = MemoryLog()
    breaker = CircuitBreaker("b", NEVER_TRIPS, log=log, listeners=stuck)
    assert stuck.entered.wait(60)
    stuck.released.set()
    pid = os.fork()
    if pid == 0:
        fail(breaker)
        os._exit(not breaker.flush(10) or len(stuck.seqs) < 1)
    assert os.waitpid(pid, 0)[1] == 0


def test_eight_threads_are_heard_in_the_order_of_the_log():
    recorders = three_recorders()
    log = MemoryLog()
    breaker = CircuitBreaker("b", NEVER_TRIPS, log=log, listeners=recorders)
    in_threads(8, lambda: fail(breaker, 100))
    assert breaker.flush(60)
    seqs = [each.seq for each in log if getattr(each, "breaker", "") == "b"]
    assert [each.seqs for each in recorders] == [seqs] * 3
    assert breaker._sequencer.notifier.missed == 0


def test_stuck_listener_delays_no_call_and_missed_events_are_counted(tmp_path):
    stuck = Stuck()
    with EventLog(tmp_path, tick_seconds=None) as log:
        breaker = CircuitBreaker("b", NEVER_TRIPS, log=log, listeners=stuck)
        assert stuck.entered.wait(60)
        in_threads(8, lambda: fail(breaker, 1500))
        assert log.health().missed_by_listeners == 1 + 12_000 - (CAPACITY - EDGE_RESERVE)
        assert not breaker.flush(0)
        stuck.released.set()
        assert breaker.flush(60)
        assert len(stuck.seqs) == CAPACITY - EDGE_RESERVE


def test_a_stuck_listener_costs_bounded_memory():
    notifier = notifier_of(Stuck())
    notifier.inbox.append(event(0))
    notifier.notify()
    tracemalloc.start()
    for seq in range(1, 3 * CAPACITY):
        notifier.inbox.append(event(seq))
        notifier.notify()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 5_000_000
    assert notifier.missed > CAPACITY


def test_changes_of_state_have_places_of_their_own():
    stuck = Stuck()
    breaker = CircuitBreaker("b", CircuitBreakerConfig(failure_threshold=1), listeners=stuck)
    assert stuck.entered.wait(60)
    fail(breaker)
    while breaker._sequencer.notifier.missed == 0:
        breaker.before_call()
    breaker.force_closed()
    breaker.force_open()
    stuck.released.set()
    assert breaker.flush(60)
    assert stuck.edges == ["trip", "force_closed", "force_open"]


def test_a_listener_of_changes_of_state_is_called_for_nothing_else():
    class Transitions(Listener):
        def __init__(self):
            self.entered, self.released = threading.Event(), threading.Event()

        def on_transition(self, edge):
            self.entered.set()
            self.released.wait(60)

    stuck = Transitions()
    breaker = CircuitBreaker("b", NEVER_TRIPS, listeners=stuck)
    breaker.force_open()
    assert stuck.entered.wait(60)
    breaker.set_mode("shadow")
    fail(breaker, CAPACITY)
    assert breaker._sequencer.notifier.missed == 0
    stuck.released.set()
    assert breaker.flush(60)


def test_an_inbox_that_nobody_can_sort_is_bounded_and_counted():
    """As in a signal handler that interrupted the sorting and takes long."""
    recorder = Recorder()
    notifier = notifier_of(recorder)
    notifier._sorting["held"] = (0,)
    for seq in range(CAPACITY + 100):
        notifier.inbox.append(event(seq))
        notifier.notify()
    assert (len(notifier.inbox), notifier.missed) == (CAPACITY, 100)
    notifier._sorting.clear()
    assert notifier.wait_until_delivered(60)
    assert len(recorder.seqs) == CAPACITY - notifier.missed + 100


def test_an_inline_listener_is_called_in_the_thread_that_caused_the_event():
    inline, other = InlineRecorder(), Recorder()
    breaker = CircuitBreaker("b", listeners=[inline, other])
    fail(breaker)
    assert len(inline.seqs) == 2
    assert inline.threads == {threading.get_ident()}
    assert breaker.flush()
    assert other.threads.isdisjoint(inline.threads)


def test_a_caller_waits_for_no_inline_listener_of_another_call():
    stuck = StuckInline()
    log = MemoryLog()
    breaker = CircuitBreaker("b", NEVER_TRIPS, log=log)
    holder = threading.Thread(
        target=lambda: fail(CircuitBreaker("b", NEVER_TRIPS, log=log, listeners=stuck))
    )
    holder.start()
    assert stuck.entered.wait(60)
    fail(breaker, 100)
    assert stuck.seqs == []
    stuck.released.set()
    holder.join()
    assert breaker.flush(60)
    assert len(stuck.seqs) == 101


def test_caller_delivers_a_few_events_and_the_thread_delivers_the_rest():
    recorder = InlineRecorder()
    notifier = notifier_of(recorder)
    notifier.inbox.extend(map(event, range(100)))
    notifier.notify()
    at_once = len(recorder.seqs)
    assert notifier.wait_until_delivered(60)
    assert recorder.seqs == list(range(100))
    assert at_once >= OWN_EVENTS
    assert len(recorder.threads) == 2


def test_without_threads_the_callers_deliver(no_threads):
    recorder = Recorder()
    breaker = CircuitBreaker("b", listeners=recorder)
    fail(breaker, 5)
    assert recorder.edges == ["trip"]
    assert recorder.threads == {threading.get_ident()}
    assert breaker.flush()


def test_a_thread_is_tried_again_a_second_after_none_could_be_started(no_threads, monkeypatch):
    recorder = Recorder()
    notifier = notifier_of(recorder)
    notifier.inbox.append(event(1))
    notifier.notify()
    monkeypatch.undo()
    notifier._may_start_ns = 0
    notifier.inbox.append(event(2))
    notifier.notify()
    assert notifier.wait_until_delivered(60)
    assert (recorder.seqs, len(recorder.threads)) == ([1, 2], 2)


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("kind", [SystemExit, GeneratorExit, Interrupted, ZeroDivisionError])
def test_whatever_a_listener_raises_is_logged_and_goes_no_further(kind, inline, caplog):
    class Broken(Recorder):
        def on_event(self, event):
            super().on_event(event)
            raise kind

    broken = Broken()
    broken.inline = inline
    breaker = CircuitBreaker("b", listeners=[broken])
    fail(breaker, 3)
    assert breaker.flush()
    assert len(broken.seqs) == 4
    assert "a listener raised on call_failed" in caplog.text


def test_a_keyboard_interrupt_of_a_listener_in_the_thread_is_logged(caplog):
    class Broken(Recorder):
        def on_event(self, event):
            super().on_event(event)
            raise KeyboardInterrupt

    broken = Broken()
    breaker = CircuitBreaker("b", listeners=broken)
    fail(breaker)
    assert breaker.flush()
    assert len(broken.seqs) == 2
    assert caplog.text.count("a listener raised on") == 2


def test_ctrl_c_in_an_inline_listener_reaches_the_caller_and_is_counted():
    class Interrupts(InlineRecorder):
        def on_event(self, event):
            super().on_event(event)
            if len(self.seqs) == 2:
                signal.raise_signal(signal.SIGINT)

    interrupts, recorder = Interrupts(), InlineRecorder()
    breaker = CircuitBreaker("b", listeners=[interrupts, recorder])
    with pytest.raises(KeyboardInterrupt):
        fail(breaker)
    fail(breaker)
    assert breaker.snapshot().totals.failed == 2
    assert len(interrupts.seqs) == len(recorder.seqs) == 3
    assert breaker._sequencer.notifier.missed == 1


@pytest.mark.parametrize("kind", [SystemExit, TimeoutError])
def test_exception_of_a_signal_handler_in_an_inline_listener_reaches_the_caller(kind, request):
    class Interrupts(InlineRecorder):
        def on_event(self, event):
            super().on_event(event)
            if len(self.seqs) == 2:
                signal.raise_signal(signal.SIGTERM)

    def end(_number, _frame):
        raise kind

    request.addfinalizer(partial(signal.signal, signal.SIGTERM, signal.getsignal(signal.SIGTERM)))
    signal.signal(signal.SIGTERM, end)
    interrupts = Interrupts()
    breaker = CircuitBreaker("b", listeners=interrupts)
    with pytest.raises(kind):
        fail(breaker)
    fail(breaker)
    assert len(interrupts.seqs) == 3
    assert breaker._sequencer.notifier.missed == 1


def test_an_exception_thrown_into_the_thread_does_not_end_the_delivery():
    recorder = Recorder()
    notifier = notifier_of(recorder)
    notifier.inbox.append(event(1))
    notifier.notify()
    assert notifier.wait_until_delivered(60)
    for thread in recorder.threads:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread), ctypes.py_object(Interrupted)
        )
    for seq in range(2, 100):
        notifier.inbox.append(event(seq))
        notifier.notify()
    assert notifier.wait_until_delivered(60)
    assert 99 - len(recorder.seqs) <= notifier.missed <= 1


def test_a_logging_handler_that_calls_the_breaker_causes_no_endless_round(caplog):
    class Broken(Listener):
        def on_event(self, event):
            raise ZeroDivisionError

    class Shipping(logging.Handler):
        calls = 0

        def emit(self, record):
            Shipping.calls += 1
            succeed(breaker)

    breaker = CircuitBreaker("b", listeners=[Broken()])
    handler = Shipping()
    logging.getLogger("recloser").addHandler(handler)
    try:
        fail(breaker)
        while not breaker.flush():
            pass
        assert 10 <= Shipping.calls <= 20
    finally:
        logging.getLogger("recloser").removeHandler(handler)


def test_a_listener_that_flushes_does_not_wait_for_itself():
    class Flushes(Recorder):
        def on_event(self, event):
            super().on_event(event)
            flushed.append(breaker.flush(60))

    flushed = []
    log = MemoryLog()
    breaker = CircuitBreaker("b", log=log)
    breaker = CircuitBreaker("b", log=log, listeners=Flushes())
    fail(breaker)
    assert breaker.flush()
    assert flushed == [False]


def test_thread_ends_when_idle_and_nothing_refers_to_the_notifier(monkeypatch):
    monkeypatch.setattr(notifier_module, "_IDLE_SECONDS", 0.01)
    notifier = notifier_of(Recorder())
    notifier.inbox.append(event(1))
    notifier.notify()
    assert notifier.wait_until_delivered(60)
    reference = weakref.ref(notifier)
    del notifier
    due = time.monotonic() + 60
    while reference() is not None and time.monotonic() < due:
        gc.collect()
        time.sleep(0.001)
    assert reference() is None


def test_listeners_receive_the_last_events_when_the_process_exits():
    program = (
        "from recloser import *\n"
        "breaker = CircuitBreaker('b', listeners=LoggingListener())\n"
        "breaker.force_open()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert '"event": "state_changed"' in done.stderr
