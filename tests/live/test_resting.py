"""A breaker without a log keeps a count until something other than a success happens to it."""

import gc
import os
import signal
import subprocess
import sys
import threading
import traceback
import tracemalloc
import weakref
from contextlib import suppress

import pytest
from attrs import evolve
from breaker_calls import ServiceDownError, fail, succeed, work
from bytecode_points import at_each_point
from live_modules import BREAKER, FAST_PATH, SEQUENCER

from recloser import (
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitBreakerState,
    CircuitOpenError,
    ConfigError,
    CountWindow,
    Listener,
    ManualClock,
    MemoryLog,
    PermitError,
    Totals,
)
from recloser.core import kernel
from recloser.live import coalescing, resting, sequencer

MODULES = [*BREAKER, *FAST_PATH, resting, coalescing, *SEQUENCER]
BREAKERS = 500
MOST_BYTES = 600 if kernel.IS_COMPILED else 632


def down():
    raise ServiceDownError


def broken_once(protected):
    with pytest.raises(ServiceDownError):
        protected()


def bytes_each(make):
    """The bytes that each of some breakers takes, which are made while that is measured."""
    warm = [make(f"warm-{number}") for number in range(10)]
    breakers = [None] * BREAKERS
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(BREAKERS):
        breakers[number] = make(f"payments-{number}")
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del warm, breakers  # not before
    return (after - before) / BREAKERS


@pytest.mark.parametrize("calls", [0, 1, 1000])
def test_idle_breaker_takes_at_most_600_bytes(calls):
    """With its name, and with settings that each is given anew."""

    def make(name):
        config = CircuitBreakerConfig(failure_threshold=3, recovery_timeout_seconds=5)
        breaker = CircuitBreaker(name, config)
        protected = breaker(work)
        for _ in range(calls):
            protected()
        return breaker

    assert bytes_each(make) <= MOST_BYTES


def test_breaker_that_is_called_in_every_way_takes_at_most_600_bytes():
    async def work_awaited():
        return work()

    async def enter(breaker):
        async with breaker:
            await breaker.call(work_awaited)
            await breaker(work_awaited)()

    def make(name):
        breaker = CircuitBreaker(name)
        succeed(breaker)
        breaker.call(work)
        with breaker:
            pass
        with suppress(StopIteration):  # an event loop would take memory of its own
            enter(breaker).send(None)
        assert breaker.flush()
        assert breaker.snapshot().totals == Totals(6, 0, 0, 0, 0)
        assert breaker.current_state() is CircuitBreakerState.CLOSED
        return breaker

    assert bytes_each(make) <= MOST_BYTES


def test_snapshot_counts_the_calls_and_is_that_of_a_breaker_with_a_log():
    resting, logged = CircuitBreaker("b"), CircuitBreaker("b", log=MemoryLog())
    for _ in range(3):
        succeed(resting), succeed(logged)
        assert resting.snapshot() == logged.snapshot()


SETTINGS = [
    CircuitBreakerConfig(failure_threshold=2),
    CircuitBreakerConfig(failure_threshold=2, half_open_success_threshold=0),
    CircuitBreakerConfig(failure_threshold=None, window=CountWindow(4, failures=2)),
    CircuitBreakerConfig(slow_call_seconds=1),
    CircuitBreakerConfig(failure_result=lambda result: result == "done"),
    CircuitBreakerConfig(failure_threshold=2, mode="shadow"),
    CircuitBreakerConfig(mode="disabled"),
]


def reported(report):
    def step(breaker):
        decision = breaker.before_call()
        if decision.allowed:
            report(breaker, decision.permit)
        return decision.allowed, decision.reason, decision.retry_after

    return step


def shown(breaker):
    """A snapshot without the numbers of events, which are others without a log."""
    snapshot = breaker.snapshot()
    why = snapshot.why_open
    return evolve(snapshot, why_open=why and evolve(why, seqs=(), span=()))


def call(breaker):
    try:
        breaker.call(work)
    except CircuitOpenError as error:
        return error.decision
    return None


STEPS = [
    call,
    reported(CircuitBreaker.after_success),
    reported(CircuitBreaker.after_failure),
    reported(CircuitBreaker.after_ignored),
    CircuitBreaker.force_open,
    CircuitBreaker.force_closed,
    CircuitBreaker.reset,
    lambda breaker: breaker.set_mode("shadow"),
    shown,
]


@pytest.mark.parametrize("config", SETTINGS)
@pytest.mark.parametrize("first", STEPS)
def test_breaker_does_the_same_as_one_with_a_log_whatever_happens(config, first):
    def all_seen(log, second):
        clock = ManualClock()
        log = None if log is None else log(clock=clock)
        breaker = CircuitBreaker("b", config, log=log, clock=clock)
        for step in (call, call, first, second, call, second, STEPS[2], call, call):
            clock.advance(seconds=0.5)
            yield step(breaker)
            yield breaker.current_state()
        clock.advance(seconds=60)
        yield call(breaker)
        yield shown(breaker)

    for second in STEPS:
        assert list(all_seen(None, second)) == list(all_seen(MemoryLog, second))


def test_success_of_a_call_that_began_before_a_failure_is_counted():
    breaker = CircuitBreaker("b")
    may_end = threading.Event()
    is_under_way = threading.Event()

    def wait():
        is_under_way.set()
        may_end.wait()

    waiting = threading.Thread(target=breaker(wait))
    waiting.start()
    is_under_way.wait()
    fail(breaker)
    may_end.set()
    waiting.join()
    snapshot = breaker.snapshot()
    assert (snapshot.totals, snapshot.consecutive_failures) == (Totals(1, 1, 0, 0, 0), 0)


def test_failure_after_successes_is_the_first_in_a_row():
    breaker = CircuitBreaker("b", CircuitBreakerConfig(failure_threshold=2))
    succeed(breaker, 5)
    fail(breaker)
    succeed(breaker)
    fail(breaker)
    assert breaker.snapshot().consecutive_failures == 1
    fail(breaker)
    assert breaker.snapshot().why_open.observed == 2
    assert breaker.snapshot().totals == Totals(6, 3, 0, 0, 0)


def is_inside(breaker):
    """Whether this thread holds the lock of a breaker, if that has any yet."""
    return isinstance(breaker._order, sequencer.Sequencer) and breaker._order.is_mine


def woken_at_each_point(action):
    """Breakers whose first failure follows a success, with an action at another point of it each."""
    made = []
    for n, interruption in enumerate(at_each_point(MODULES, lambda: action(made[-1]))):
        made.append(CircuitBreaker("b"))
        made[-1].call(work)
        yield made[-1], interruption
        if not interruption.is_reached:
            assert n > 50


def test_calls_of_another_thread_at_each_point_of_the_first_failure_are_counted():
    threads = []

    def call_elsewhere(breaker):
        threads.append(threading.Thread(target=breaker.call, args=(work,)))
        threads[-1].start()
        if not is_inside(breaker):  # else it may have to wait for this thread
            threads[-1].join()

    for breaker, interruption in woken_at_each_point(call_elsewhere):
        with interruption:
            broken_once(breaker(down))
        while threads:
            threads.pop().join()
        calls = 1 + interruption.is_reached
        assert breaker.snapshot().totals == Totals(calls, 1, 0, 0, 0)
        succeed(breaker)
        assert breaker.snapshot().totals == Totals(calls + 1, 1, 0, 0, 0)


@pytest.mark.parametrize("protected", [work, down])
def test_calls_of_a_handler_at_each_point_of_the_first_failure_wait_for_nothing(protected):
    def call_inside(breaker):
        with suppress(ServiceDownError):
            breaker.call(protected)
        breaker.snapshot()

    for breaker, interruption in woken_at_each_point(call_inside):
        with interruption:
            broken_once(breaker(down))
        totals = breaker.snapshot().totals
        more = int(interruption.is_reached)
        assert totals == (
            Totals(1 + more, 1, 0, 0, 0) if protected is work else Totals(1, 1 + more, 0, 0, 0)
        )


class SoftTimeLimitError(Exception):
    """An exception that a signal handler of the host raises."""


def test_failure_that_is_interrupted_at_any_point_leaves_a_breaker_whole():
    def give_up(_):
        raise SoftTimeLimitError

    for breaker, interruption in woken_at_each_point(give_up):
        permit = breaker.before_call().permit
        with suppress(SoftTimeLimitError), interruption:
            breaker.after_failure(permit)
        with suppress(PermitError):
            breaker.after_failure(permit)
        assert breaker.snapshot().totals == Totals(1, 1, 0, 0, 0)
        breaker.call(work)
        assert breaker.snapshot().totals == Totals(2, 1, 0, 0, 0)
        fail(breaker, 5)
        assert breaker.current_state() is CircuitBreakerState.OPEN


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this platform")
def test_child_that_is_forked_at_any_point_of_the_first_failure_goes_on():
    children = []

    def fork(breaker):
        children.append(os.fork())
        if children[-1] == 0:
            signal.alarm(20)
            fail(breaker)

    for breaker, interruption in woken_at_each_point(fork):
        try:
            with interruption:
                broken_once(breaker(down))
            breaker.call(work)
            totals = breaker.snapshot().totals
            if children[-1:] == [0]:
                os._exit(0 if totals == Totals(2, 2, 0, 0, 0) else 1)
        finally:
            if children[-1:] == [0]:  # it is not to go on with the tests
                traceback.print_exc()
                os._exit(1)
        assert totals == Totals(2, 1, 0, 0, 0)
    for child in children:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_snapshot_of_a_breaker_that_fails_at_any_point_of_it_is_one_from_before_or_after():
    made = []
    for interruption in at_each_point(MODULES, lambda: fail(made[-1])):
        made.append(CircuitBreaker("b"))
        made[-1].call(work)
        with interruption:
            totals = made[-1].snapshot().totals
        assert totals in {Totals(1, 0, 0, 0, 0), Totals(1, 1, 0, 0, 0)}
        failures = int(interruption.is_reached)
        assert made[-1].snapshot().totals == Totals(1, failures, 0, 0, 0)


IN_A_FORK = """
import os, sys

def use():
    breakers = [old, recloser.CircuitBreaker("new")] if old else [recloser.CircuitBreaker("new")]
    for breaker in breakers:
        breaker.call(int)
        try:
            breaker.call(int, "no number")
        except ValueError:
            pass
        breaker.call(int)
    made.extend(breakers)

# Before those of the package: so it runs while the fork is not over.
os.register_at_fork(after_in_child=use)
import recloser
made, old = [], None
if "old" in sys.argv:
    old = recloser.CircuitBreaker("old")
    old.call(int)
child = os.fork()
if child == 0:
    for breaker in made:
        totals = breaker.snapshot().totals
        assert (totals.succeeded, totals.failed) == (2 + (breaker is old), 1), totals
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this platform")
@pytest.mark.parametrize("arguments", [(), ("old",)])
def test_breakers_can_be_made_and_used_in_the_middle_of_a_fork(arguments):
    command = [sys.executable, "-c", IN_A_FORK, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_breaker_made_after_the_clock_was_set_back_is_timed_from_there():
    clock = ManualClock()
    clock.advance(seconds=100)
    CircuitBreaker("b", clock=clock)
    clock._monotonic_ns -= 50 * 10**9
    breaker = CircuitBreaker("b", CircuitBreakerConfig(failure_threshold=1), clock=clock)
    fail(breaker)
    clock.advance(seconds=30)
    assert breaker.call(work) == "done"


def test_clock_that_shows_no_time_is_refused():
    class Broken(ManualClock):
        def monotonic_ns(self):
            return "noon"

    with pytest.raises(ConfigError, match="monotonic_ns"):
        CircuitBreaker("b", clock=Broken())


def test_listener_receives_events_from_the_first_call_on():
    class Heard(Listener):
        inline = True

        def __init__(self):
            self.kinds = []

        def on_event(self, event):
            self.kinds.append(event.kind)

    heard = Heard()
    breaker = CircuitBreaker("b", listeners=heard)
    succeed(breaker)
    fail(breaker)
    assert heard.kinds == ["breaker_configured", "call_succeeded", "call_failed"]


@pytest.mark.parametrize("use", [succeed, fail])
def test_breaker_that_nobody_holds_any_more_is_freed(use):
    breaker = CircuitBreaker("b", CircuitBreakerConfig(failure_threshold=3))
    use(breaker)
    held = weakref.ref(breaker), weakref.ref(breaker.fast_path.admit_token)
    del breaker
    gc.collect()
    assert [each() for each in held] == [None, None]


def test_many_successes_and_failures_leave_memory_bounded():
    breaker = CircuitBreaker("b", CircuitBreakerConfig(failure_threshold=3))
    protected, failing = breaker(work), breaker(down)
    broken_once(failing)
    tracemalloc.start()
    for number in range(50_000):
        protected()
        if number % 10 == 0:
            broken_once(failing)
    gc.collect()  # tracebacks, each of which refers to itself
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 40_000
