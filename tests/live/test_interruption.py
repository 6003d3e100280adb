"""A change that is interrupted at any point leaves a breaker whole, and its log too.

Exceptions of signal handlers and of ``PyThreadState_SetAsyncExc`` come up where CPython looks for
them; each such point of one change is tried here, one after another.
"""

import contextlib
import gc
import threading
from importlib import import_module

import pytest
from bytecode_points import at_each_point
from live_modules import BREAKER, EVENT_LOG, FAST_PATH, SEQUENCER

from recloser import (
    CircuitBreaker,
    CircuitBreakerConfig,
    CountWindow,
    EventLog,
    ManualClock,
    MemoryLog,
    PermitError,
    TimeWindow,
)
from recloser.core import edges, fold, log_fold, rules, state, state_machine, stored_window
from recloser.history.engine import replay
from recloser.live import (
    coalescing,
    last_good,
    memory_log,
    own_events,
    pending_calls,
    reporting,
    write_buffer,
)
from recloser.log import appender, disk, segment
from recloser.process.from_sources import KERNEL

MODULES = [
    *(
        appender,
        pending_calls,
        fold,
        last_good,
        log_fold,
        state_machine,
        memory_log,
        own_events,
    ),
    *BREAKER,
    *FAST_PATH,
    *SEQUENCER,
    *(reporting, coalescing, segment, state, write_buffer, *EVENT_LOG),
    *(edges, stored_window, rules),
    *map(import_module, KERNEL),  # compiled, they can't be interrupted
]


class SoftTimeLimitError(Exception):
    """An exception that a signal handler of the host raises."""


def give_up():
    raise SoftTimeLimitError


CONFIGS = {
    "failures in a row": CircuitBreakerConfig(failure_threshold=3),
    "count window": CircuitBreakerConfig(
        failure_threshold=None, window=CountWindow(4, failure_rate=0.5)
    ),
    "time window": CircuitBreakerConfig(
        failure_threshold=None, window=TimeWindow(10, failures=3), slow_call_seconds=1
    ),
}


@contextlib.contextmanager
def made_log(kind, folder, clock):
    """A log of a kind; the thread that writes one on disk is held up, so as not to be traced."""
    if kind.startswith("memory"):
        yield MemoryLog(clock=clock, detail=kind.partition(" ")[2] or "full")
        return
    log = EventLog(
        folder, clock=clock, durability=kind, segment_bytes=1500, compress=False, host="h"
    )
    yield log
    log.close()


KINDS = ["memory", "memory runs", "batch", "sync"]


def prepared(log, config):
    """A breaker that has counted two failures and a success, so that the next failure trips it."""
    made = CircuitBreaker("b", config, log=log)
    for outcome in (made.after_success, made.after_failure, made.after_failure):
        outcome(made.before_call().permit)
    made.snapshot()  # what waits is folded
    return made


def check(log, made, path):
    """The log folds to the live state, however often it was interrupted."""
    live = made.snapshot()
    if isinstance(log, EventLog):
        log.close()
        replayed = replay(path)
        assert replayed.differences == []
        recorded = replayed.snapshots["b"]
        with EventLog(path, clock=ManualClock()) as again:
            assert CircuitBreaker("b", made.config, log=again).current_state() is live.state
    else:
        recorded = replay(log).snapshots["b"]
    assert (recorded.state, recorded.epoch, recorded.totals) == (
        live.state,
        live.epoch,
        live.totals,
    )
    assert recorded.consecutive_failures == live.consecutive_failures
    assert recorded.window == live.window


@pytest.fixture(autouse=True)
def no_collection():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("kind", KINDS)
def test_interrupted_failure_is_recorded_once_when_it_is_reported_again(kind, config, tmp_path):
    for n, interruption in enumerate(at_each_point(MODULES, give_up)):
        path, clock = tmp_path / str(n), ManualClock()
        with made_log(kind, path, clock) as log:
            made = prepared(log, config)
            permit = made.before_call().permit
            with contextlib.suppress(SoftTimeLimitError), interruption:
                made.after_failure(permit, "OSError")
            with contextlib.suppress(PermitError):
                made.after_failure(permit, "OSError")
            assert made.current_state().value == "OPEN"
            assert made.snapshot().totals.failed == 3
            check(log, made, path)
    assert n > 50


@pytest.mark.parametrize("kind", KINDS)
def test_interrupted_success_is_recorded_once_when_it_is_reported_again(kind, tmp_path):
    config = CONFIGS["time window"]
    for n, interruption in enumerate(at_each_point(MODULES, give_up)):
        path, clock = tmp_path / str(n), ManualClock()
        with made_log(kind, path, clock) as log:
            made = prepared(log, config)
            permit = made.before_call().permit
            clock.advance(seconds=1.5)
            with contextlib.suppress(SoftTimeLimitError), interruption:
                made.after_success(permit)
            with contextlib.suppress(PermitError):
                made.after_success(permit)
            assert made.snapshot().totals.succeeded == 2
            check(log, made, path)
    assert n > 20


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", ["force_open", "reset"])
def test_interrupted_command_is_carried_out_or_can_be_given_again(kind, command, tmp_path):
    for n, interruption in enumerate(at_each_point(MODULES, give_up)):
        path, clock = tmp_path / str(n), ManualClock()
        with made_log(kind, path, clock) as log:
            made = prepared(log, CONFIGS["failures in a row"])
            with contextlib.suppress(SoftTimeLimitError), interruption:
                getattr(made, command)(actor="ops")
            getattr(made, command)(actor="ops")
            assert made.current_state().value == ("OPEN" if command == "force_open" else "CLOSED")
            check(log, made, path)


@pytest.mark.parametrize("kind", KINDS)
def test_interrupted_admission_of_a_probe_leaves_the_others(kind, tmp_path):
    config = CircuitBreakerConfig(
        failure_threshold=3,
        recovery_timeout_seconds=1,
        half_open_max_probes=2,
        half_open_success_threshold=1,
    )
    for n, interruption in enumerate(at_each_point(MODULES, give_up)):
        path, clock = tmp_path / str(n), ManualClock()
        with made_log(kind, path, clock) as log:
            made = prepared(log, config)
            made.after_failure(made.before_call().permit)
            clock.advance(seconds=2)
            with contextlib.suppress(SoftTimeLimitError), interruption:
                made.before_call()
            made.after_success(made.before_call().permit)
            assert made.current_state().value == "CLOSED"
            check(log, made, path)


@pytest.mark.parametrize("kind", ["memory runs", "batch"])
def test_interrupted_fold_of_waiting_successes_counts_each_once(kind, tmp_path):
    for n, interruption in enumerate(at_each_point(MODULES, give_up)):
        path, clock = tmp_path / str(n), ManualClock()
        with made_log(kind, path, clock) as log:
            made = CircuitBreaker("b", CONFIGS["count window"], log=log)
            call = made(int)
            for _ in range(5):
                call()
                clock.advance(seconds=0.4)
            with contextlib.suppress(SoftTimeLimitError), interruption:
                made.snapshot()
            assert made.snapshot().totals.succeeded == 5
            check(log, made, path)


@pytest.mark.parametrize("durability", ["batch", "sync"])
def test_interrupted_write_loses_nothing(durability, tmp_path):
    """Also where it begins a new segment."""
    for n, interruption in enumerate(at_each_point(MODULES, give_up)):
        path, clock = tmp_path / str(n), ManualClock()
        with made_log(durability, path, clock) as log:
            made = CircuitBreaker("b", CircuitBreakerConfig(failure_threshold=100), log=log)
            with log._disk_lock._io:  # the thread that writes is not traced, and waits
                for _ in range(12):
                    made.after_failure(made.before_call().permit, "OSError")
            with contextlib.suppress(SoftTimeLimitError), interruption:
                log.flush()
            for _ in range(3):
                made.after_failure(made.before_call().permit, "OSError")
            log.flush()
            assert made.snapshot().totals.failed == 15
            assert log.health().lost == 0
            check(log, made, path)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, SoftTimeLimitError, MemoryError])
@pytest.mark.parametrize("name", ["create", "sync", "write"])
def test_call_interrupted_while_it_waits_for_the_disk_loses_nothing(
    name, error, tmp_path, clock, monkeypatch
):
    path = tmp_path / "log"
    log = EventLog(path, clock=clock, durability="sync", segment_bytes=1500, compress=False)
    made = CircuitBreaker("b", CircuitBreakerConfig(failure_threshold=None), log=log)
    real = getattr(disk, name)
    interruptions = []

    def interrupt(*arguments):
        if threading.current_thread() is threading.main_thread():
            monkeypatch.setattr(disk, name, real)
            interruptions.append(name)
            raise error
        return real(*arguments)

    for number in range(1, 31):
        if number % 5 == 0:
            monkeypatch.setattr(disk, name, interrupt)
        with contextlib.suppress(error):
            made.after_failure(made.before_call().permit, "OSError")
        assert made.snapshot().totals.failed == number
        assert log.health().lost == 0
    assert interruptions
    monkeypatch.setattr(disk, name, real)
    log.flush()
    assert log.health().failure is None
    check(log, made, path)


@pytest.mark.parametrize("kind", KINDS)
def test_calls_from_the_middle_of_a_change_wait_for_nothing_and_are_recorded(kind, tmp_path):
    """As a signal handler makes them, or the ``__del__`` of something that is collected then."""
    made = None

    def call_again():
        assert made.current_state() is not None
        assert made.snapshot().breaker == "b"
        decision = made.before_call()
        if decision.permit is not None:
            made.after_failure(decision.permit, "Nested")
        made.set_mode("shadow")
        CircuitBreaker("other", log=log).after_ignored(
            CircuitBreaker("other", log=log).before_call().permit
        )
        log.flush()

    for n, interruption in enumerate(at_each_point(MODULES, call_again)):
        path, clock = tmp_path / str(n), ManualClock()
        with made_log(kind, path, clock) as log:
            made = prepared(log, CircuitBreakerConfig(failure_threshold=100))
            permit = made.before_call().permit
            with interruption:
                made.after_failure(permit, "OSError")
            snapshot = made.snapshot()
            assert snapshot.totals.failed == 3 + interruption.is_reached
            assert snapshot.mode == ("shadow" if interruption.is_reached else "enforce")
            if interruption.is_reached:
                other = CircuitBreaker("other", log=log)
                assert other.snapshot().totals.ignored == 1
            check(log, made, path)


@pytest.mark.parametrize("durability", ["batch", "sync"])
def test_log_closed_in_the_middle_of_a_change_keeps_earlier_events(durability, tmp_path):
    logs = []

    def close():
        logs[-1].close()

    for n, interruption in enumerate(at_each_point(MODULES, close)):
        path, clock = tmp_path / str(n), ManualClock()
        with made_log(durability, path, clock) as log:
            logs.append(log)
            made = prepared(log, CircuitBreakerConfig(failure_threshold=100))
            permit = made.before_call().permit
            with interruption:
                made.after_failure(permit, "OSError")
            log.close()
        assert replay(path).snapshots["b"].totals.failed in {2, 3}


@pytest.mark.parametrize("durability", ["batch", "sync"])
def test_log_closed_by_a_signal_handler_that_exits_keeps_earlier_events(durability, tmp_path):
    """The usual handler of SIGTERM; what it could not close in the middle of a change ends later."""
    logs = []

    def close_and_exit():
        logs[-1].close()
        raise SystemExit

    for n, interruption in enumerate(at_each_point(MODULES, close_and_exit)):
        path, clock = tmp_path / str(n), ManualClock()
        with made_log(durability, path, clock) as log:
            logs.append(log)
            made = prepared(log, CircuitBreakerConfig(failure_threshold=100))
            permit = made.admit()  # kept in no context, as it may never be reported
            with contextlib.suppress(SystemExit), interruption:
                made.after_failure(permit, "OSError")
            log.close()  # as at the exit of the interpreter
        replayed = replay(path)
        assert replayed.differences == []
        assert replayed.snapshots["b"].totals.failed in {2, 3}


def test_interrupted_thread_does_not_keep_another_from_the_lock():
    config = CircuitBreakerConfig(failure_threshold=None)
    made = CircuitBreaker("b", config, log=MemoryLog(clock=ManualClock()))
    for interruption in at_each_point(MODULES, give_up):
        with contextlib.suppress(SoftTimeLimitError), interruption:
            made.after_failure(made.before_call().permit)
        thread = threading.Thread(target=made.snapshot, daemon=True)
        thread.start()
        thread.join(10)
        assert not thread.is_alive()


def test_probe_of_an_interrupted_call_is_given_back(tmp_path, monkeypatch):
    """Its admission waits for the disk, where a time limit of the host ends the call."""
    clock = ManualClock()
    config = CircuitBreakerConfig(
        failure_threshold=1, recovery_timeout_seconds=1, half_open_success_threshold=1
    )
    with EventLog(tmp_path / "log", clock=clock, durability="sync") as log:
        made = CircuitBreaker("b", config, log=log)
        made.after_failure(made.before_call().permit)
        clock.advance(seconds=2)
        limits, sync = iter([SoftTimeLimitError]), disk.sync

        def sync_until_the_limit(descriptor):
            if threading.current_thread() is threading.main_thread():
                for limit in limits:
                    raise limit
            sync(descriptor)

        monkeypatch.setattr(disk, "sync", sync_until_the_limit)
        with pytest.raises(SoftTimeLimitError):
            made.call(int)
        assert made.call(int) == 0
        assert made.current_state().value == "CLOSED"
