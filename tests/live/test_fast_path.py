"""The lock-free fast path: it changes only how long a call takes."""

import contextlib
import copy
import threading
import time

import pytest
from breaker_calls import ServiceDownError, fail, work
from bytecode_points import at_each_point
from held_locks import log_lock_held_elsewhere
from hypothesis import given
from hypothesis import strategies as st

from recloser import (
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitOpenError,
    CountWindow,
    EventLog,
    Listener,
    LoggingListener,
    ManualClock,
    MemoryLog,
    PermitError,
    TimeWindow,
    read_events,
    replay,
)
from recloser.live import call_counter, call_tokens, fast_path
from recloser.live.call_buffer import CallBuffer


def broken():
    raise ServiceDownError


class HearsAll(Listener):
    def on_event(self, event):
        pass


@pytest.fixture
def log():
    return MemoryLog(clock=ManualClock())


def kinds(log):
    return [event.kind for event in log]


def test_a_call_of_a_steady_breaker_takes_no_lock(log):
    breaker = CircuitBreaker("b", log=log)
    protected = breaker(work)
    with log_lock_held_elsewhere(breaker):
        assert protected() == "done"
        assert breaker.call(work) == "done"
    assert breaker.snapshot().totals.succeeded == 2
    assert kinds(log)[-2:] == ["call_succeeded", "call_succeeded"]


def test_before_call_and_report_of_a_steady_breaker_take_no_lock(log):
    breaker = CircuitBreaker("b", log=log)
    with log_lock_held_elsewhere(breaker):
        decision = breaker.before_call()
        assert (decision.allowed, decision.reason.value) == (True, "closed")
        breaker.after_success(decision.permit)
        breaker.after_success(breaker.before_call().permit, took_ns=7)
        breaker.classify_and_report(breaker.admit())
        with breaker:
            work()
    assert breaker.snapshot().totals.succeeded == 4
    assert [event.took for event in log if event.kind == "call_succeeded"] == [0, 7, 0, 0]


def test_a_permit_taken_past_the_lock_says_when_and_is_for_one_report(log):
    breaker = CircuitBreaker("b", log=log)
    clock = log.attach()._clock
    clock.advance(seconds=0.5)
    permit = breaker.before_call().permit
    assert (permit.epoch, permit.started_at, permit.spent) == (0, 500_000_000, False)
    clock.advance(seconds=0.25)
    breaker.after_success(permit)
    assert permit.spent
    with pytest.raises(PermitError, match="reported before"):
        breaker.after_success(permit)
    assert [event.took for event in log if event.kind == "call_succeeded"] == [250_000_000]


def test_one_of_two_threads_that_report_a_permit_at_once_gets_an_error(log):
    """Whichever comes first: it is spent in one step."""
    breaker = CircuitBreaker("b", log=log)
    raised = []

    def report(permit):
        try:
            breaker.after_success(permit)
        except PermitError as error:
            raised.append(error)

    for _ in range(200):
        permit = breaker.before_call().permit
        threads = [threading.Thread(target=report, args=(permit,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(raised) == 200
    assert breaker.snapshot().totals.succeeded == 200


def test_call_that_takes_the_lock_records_a_tick_that_is_due(log):
    breaker = CircuitBreaker("b", log=log)
    clock = log.attach()._clock
    for tenth in range(1, 26):
        clock.advance(seconds=0.1)
        breaker.before_call()
        if tenth % 10 == 5:
            breaker.after_success()
    assert [event.at for event in log._events if event.kind == "clock_ticked"] == [
        1_000_000_000,
        2_000_000_000,
    ]


@pytest.mark.parametrize("is_asked", [True, False])
def test_or_a_deadline_of_any_breaker(clock, is_asked):
    log = MemoryLog(clock=clock, tick_seconds=None)
    breaker, other = (CircuitBreaker(name, log=log) for name in ("b", "other"))
    permit = breaker.before_call().permit
    fail(other, 5)
    clock.advance(seconds=30)
    assert other.current_state().value == "OPEN"
    if is_asked:
        breaker.before_call()
    else:
        breaker.after_success(permit)
    assert other.current_state().value == "HALF_OPEN"


def test_with_fast_paths_disabled_each_call_is_folded_when_it_is_reported(clock):
    log = MemoryLog(clock=clock)
    log.attach().disable_fast_paths()
    breaker = CircuitBreaker("b", log=log)
    breaker.after_success(breaker.before_call().permit)
    assert breaker.fast_path.admit_token is None
    assert log._events[-1].kind == "call_succeeded"


@pytest.mark.parametrize(
    ("settings", "is_open"),
    [
        ({}, True),
        ({"mode": "shadow"}, True),
        ({"mode": "disabled"}, True),
        ({"failure_result": lambda result: result is None}, False),
        ({"window": CountWindow(10, failure_rate=0.5)}, True),
        ({"window": CountWindow(10, slow_call_rate=0.5), "slow_call_seconds": 1}, True),
    ],
)
def test_fast_path_has_a_token_while_a_success_can_fire_no_edge(log, settings, is_open):
    breaker = CircuitBreaker("b", CircuitBreakerConfig(**settings), log=log)
    assert (breaker.fast_path.admit_token is not None) == is_open


def test_failures_take_no_lock_while_there_are_failures_to_spare(log):
    """Of ten calls of a window nine may fail."""
    window = CountWindow(10, failure_rate=1, minimum_calls=10)
    config = CircuitBreakerConfig(failure_threshold=None, window=window)
    breaker = CircuitBreaker("b", config, log=log)
    with log_lock_held_elsewhere(breaker):
        fail(breaker, 9)
    token = breaker.fast_path.admit_token
    assert (token.bad_recorded, token.bad_limit) == (9, 9)
    assert breaker.snapshot().window.failures == 9
    fail(breaker)
    assert breaker.current_state().value == "OPEN"


def test_admit_token_expires_when_calls_leave_a_time_window(log):
    """Two failures of ten calls are few; of the four that count at least they are too many."""
    window = TimeWindow(10, failure_rate=0.5, minimum_calls=4)
    breaker = CircuitBreaker(
        "b", CircuitBreakerConfig(failure_threshold=None, window=window), log=log
    )
    for _ in range(8):
        breaker.call(work)
    fail(breaker, 2)
    breaker.snapshot()
    token = breaker.fast_path.admit_token
    assert token.expires_ns == 1_000_000_000


def test_every_call_takes_the_lock_while_a_success_could_fire_an_edge(log):
    """One failure of the five calls that count at least is as many as may be."""
    window = CountWindow(10, failure_rate=0.2, minimum_calls=5)
    config = CircuitBreakerConfig(failure_threshold=None, window=window)
    breaker = CircuitBreaker("b", config, log=log)
    fail(breaker)
    breaker.snapshot()
    assert breaker.fast_path.admit_token.expires_ns == 0
    for _ in range(4):
        breaker(work)()
    assert breaker.current_state().value == "OPEN"


def test_opening_the_breaker_drops_the_admit_token(log):
    breaker = CircuitBreaker("b", log=log)
    fail(breaker, 5)
    assert breaker.fast_path.admit_token is None
    with pytest.raises(CircuitOpenError):
        breaker.call(work)
    breaker.reset()
    assert breaker.fast_path.admit_token.epoch == 2


def test_success_of_a_past_epoch_is_stale_and_recorded_in_order(log):
    breaker = CircuitBreaker("b", log=log)
    breaker.call(lambda: fail(breaker, 5))
    assert breaker.snapshot().totals.stale == 1
    assert kinds(log)[-2:] == ["state_changed", "call_succeeded"]
    assert replay(log).differences == []


def test_stale_success_after_the_cooldown_fires_the_edge_that_is_due(log):
    breaker = CircuitBreaker("b", log=log)

    def slow():
        fail(breaker, 5)
        log.attach()._clock.advance(seconds=31)

    breaker.call(slow)
    assert breaker.snapshot().state.value == "HALF_OPEN"
    assert kinds(log)[-3:] == ["clock_ticked", "state_changed", "call_succeeded"]
    assert replay(log).differences == []


def test_time_never_falls_if_threads_record_in_another_order_than_they_read_the_clock(log):
    breaker = CircuitBreaker("b", log=log)
    for at in (50, 40, 70, 80):
        breaker.fast_path.call_buffer.record(at, 10, breaker.fast_path.admit_token)
    recorded = [event for event in log if event.kind == "call_succeeded"]
    assert [event.at for event in recorded] == [50, 50, 70, 80]
    assert [event.seq for event in recorded] == [3, 4, 5, 6]


def test_no_call_took_less_than_no_time_whatever_the_clock_does():
    class FallingClock(ManualClock):
        shown = 200

        def monotonic_ns(self):
            return self.shown

    def fall():
        clock.shown = 50

    clock = FallingClock()
    log = MemoryLog(clock=clock, tick_seconds=None)
    CircuitBreaker("b", log=log)(fall)()
    assert [event.took for event in log if event.kind == "call_succeeded"] == [0]


def test_only_a_listener_of_each_success_disables_the_fast_path(log):
    quiet = CircuitBreaker("quiet", log=log, listeners=[LoggingListener()])
    assert quiet.fast_path.admit_token is not None
    heard = []

    class Hears(Listener):
        def on_event(self, event):
            heard.append(event)

    loud = CircuitBreaker("loud", log=log, listeners=[Hears()])
    loud.call(work)
    assert loud.flush()
    assert [(event.kind, type(event).__name__) for event in heard[-1:]] == [
        ("call_succeeded", "CallSucceeded")
    ]


def test_more_than_a_few_thousand_are_folded_by_their_callers(log):
    protected = CircuitBreaker("b", log=log)(work)
    for _ in range(10_000):
        protected()
    assert len(log.attach().call_buffer) < 5000
    assert kinds(log).count("call_succeeded") == 10_000


def test_a_breaker_without_a_log_lets_only_a_few_wait():
    """There may be thousands of them, each with a list of its own."""
    breaker = CircuitBreaker("b")
    for _ in range(1000):
        breaker.call(work)
    assert len(breaker.fast_path.call_buffer) <= 64
    assert breaker.snapshot().totals.succeeded == 1000


def test_a_success_after_the_writer_fell_asleep_wakes_it(tmp_path):
    with EventLog(tmp_path, seal_seconds=None) as log:
        breaker = CircuitBreaker("b", log=log)
        log.flush()
        log.flush()
        assert breaker.fast_path.call_buffer.limit == 0
        breaker.call(work)
        deadline = time.monotonic() + 10
        while b"call_succeeded" not in (tmp_path / "000000000001.jsonl").read_bytes():
            assert time.monotonic() < deadline
            threading.Event().wait(0.01)


def test_with_sync_every_success_is_on_disk_before_the_call_returns(tmp_path):
    with EventLog(tmp_path, durability="sync") as log:
        breaker = CircuitBreaker("b", log=log)
        assert (
            breaker.fast_path.admit_token is None
        )  # another thread's success may have opened the way
        for number in range(1, 4):
            breaker.call(work)
            recorded = [event.kind for event in read_events(tmp_path)]
            assert recorded.count("call_succeeded") == number
            assert recorded[-1] == "log_sealed"


def test_each_success_in_a_window_is_evidence_by_its_own_number(log):
    config = CircuitBreakerConfig(
        failure_threshold=None, window=CountWindow(6, failure_rate=0.5, minimum_calls=2)
    )
    breaker = CircuitBreaker("b", config, log=log)
    for _ in range(3):
        breaker.call(work)
    fail(breaker, 3)
    (edge,) = replay(log).edges
    assert edge.cause.span == (3, 8)
    assert replay(log).differences == []


configs = st.builds(
    CircuitBreakerConfig,
    failure_threshold=st.integers(1, 4) | st.none(),
    window=st.builds(CountWindow, st.integers(1, 6), st.just(0.5), minimum_calls=st.just(2))
    | st.builds(TimeWindow, st.integers(1, 3), st.just(0.5), minimum_calls=st.just(2)),
    slow_call_seconds=st.none() | st.just(0.5),
    recovery_timeout_seconds=st.just(2),
    half_open_success_threshold=st.integers(0, 2),
)
steps = st.lists(
    st.tuples(st.sampled_from(["success"] * 3 + ["failure", "reset"]), st.integers(0, 12)),
    max_size=60,
)


def in_a_call(breaker, work):
    breaker.call(work)


def in_a_block(breaker, work):
    with breaker:
        work()


def by_permit(breaker, work):
    decision = breaker.before_call()
    if not decision.allowed:
        raise CircuitOpenError("b", decision)
    try:
        work()
    except ServiceDownError as error:
        breaker.after_failure(decision.permit, error)
        raise
    breaker.after_success(decision.permit)


@given(configs, steps, st.sampled_from([in_a_call, in_a_block, by_permit]))
def test_the_history_is_the_same_as_under_the_lock(config, steps, way):
    with_fast_path, without = (
        history_of(config, steps, way, listeners) for listeners in ([], [HearsAll()])
    )
    assert with_fast_path.edges_heard == without.edges_heard
    assert with_fast_path.snapshot == without.snapshot
    assert with_fast_path.history.differences == []
    assert with_fast_path.history.snapshots["b"] == with_fast_path.snapshot


class history_of:  # noqa: N801  # it is used as a function
    def __init__(self, config, steps, way, listeners):
        clock = ManualClock()
        log = MemoryLog(clock=clock, tick_seconds=None)
        breaker = CircuitBreaker("b", config, log=log, listeners=listeners)
        for step, tenths in steps:

            def call(step=step, tenths=tenths):
                clock.advance_monotonic(seconds=tenths / 10)
                if step == "failure":
                    raise ServiceDownError

            try:
                breaker.reset() if step == "reset" else way(breaker, call)
            except (ServiceDownError, CircuitOpenError):
                clock.advance_monotonic(seconds=tenths / 10)
        self.snapshot = breaker.snapshot()
        self.history = replay(log)
        self.edges_heard = [
            (edge.at, edge.epoch, edge.trigger, edge.cause) for edge in self.history.edges
        ]


def tripped(log, **settings):
    breaker = CircuitBreaker("b", CircuitBreakerConfig(**settings), log=log)
    fail(breaker, 5)
    return breaker


def refused(breaker, times):
    for _ in range(times):
        with pytest.raises(CircuitOpenError) as caught:
            breaker.call(work)
    return caught.value.decision


def test_rejection_takes_no_lock_and_has_retry_after(log):
    breaker = tripped(log)
    log.attach()._clock.advance(seconds=12)
    with log_lock_held_elsewhere(breaker):
        decision = refused(breaker, 2)
    assert (decision.reason.value, decision.retry_after) == ("cooldown_active", 18.0)
    assert [(e.reason.value, e.retry_after) for e in log if e.kind == "call_rejected"] == [
        ("cooldown_active", 18 * 10**9)
    ] * 2
    assert replay(log).snapshots["b"] == breaker.snapshot()


def test_call_is_admitted_after_the_cooldown(log):
    breaker = tripped(log)
    clock = log.attach()._clock
    clock.advance(ns=30 * 10**9 - 1)
    refused(breaker, 1)
    clock.advance(ns=1)
    assert breaker.call(work) == "done"
    assert breaker.current_state().value == "HALF_OPEN"


def test_half_open_breaker_rejects_without_the_lock_while_probes_are_in_flight(log):
    breaker = tripped(log)
    log.attach()._clock.advance(seconds=30)
    permit = breaker.before_call().permit
    with log_lock_held_elsewhere(breaker):
        decision = refused(breaker, 1)
    assert (decision.reason.value, decision.retry_after) == ("probes_exhausted", None)
    breaker.after_success(permit)
    assert breaker.call(work) == "done"


@pytest.mark.parametrize("settings", [{"mode": "shadow"}, {"mode": "disabled"}])
def test_call_admitted_in_another_mode_is_never_rejected(log, settings):
    breaker = tripped(log, **settings)
    assert breaker.fast_path.reject_token is None
    assert breaker.call(work) == "done"


def test_first_100_rejections_of_a_second_have_an_event_each_and_the_rest_one(log):
    breaker = tripped(log)
    clock = log.attach()._clock
    refused(breaker, 250)
    clock.advance(seconds=1.5)
    refused(breaker, 3)
    counts = [event.count for event in log if event.kind == "call_rejected"]
    assert counts == [1] * 100 + [150] + [1] * 3
    assert breaker.snapshot().totals.rejected == 253
    assert replay(log).snapshots["b"] == breaker.snapshot()


def test_a_million_rejections_in_a_second_write_at_most_102_lines(tmp_path):
    clock = ManualClock()
    with EventLog(tmp_path, clock=clock) as log:
        breaker = tripped(log)
        call = breaker(work)
        for number in range(1_000_000):
            if number % 1000 == 0:
                clock.advance(ns=999_000)
            with contextlib.suppress(CircuitOpenError):
                call()
    events = [event for event in read_events(tmp_path) if event.kind == "call_rejected"]
    assert sum(event.count for event in events) == 1_000_000
    assert len(events) <= 102
    assert replay(tmp_path).snapshots["b"] == breaker.snapshot()


def test_counted_rejections_are_recorded_before_the_next_event_of_their_breaker(log):
    breaker = tripped(log)
    refused(breaker, 130)
    breaker.reset()
    assert kinds(log)[-3:] == ["call_rejected", "reset", "state_changed"]
    assert replay(log).differences == []


def test_no_block_grows_beyond_its_seal_however_refusals_and_successes_mix(tmp_path):
    clock = ManualClock()
    with EventLog(tmp_path, clock=clock, seal_seconds=None, tick_seconds=None) as log:
        open_one = tripped(log)
        closed_one = CircuitBreaker("closed", log=log)
        for number in range(12_000):
            closed_one.call(work)
            if number % 1000 < 120:
                refused(open_one, 1)
            if number % 1000 == 999:
                clock.advance(seconds=1)
    history = replay(tmp_path)
    assert history.differences == []
    assert history.snapshots["closed"].totals.succeeded == 12_000
    assert history.snapshots["b"].totals.rejected == 12 * 120


def test_counted_rejection_survives_an_exception_while_tokens_change(log):
    breaker = CircuitBreaker("b", log=log)
    closed = copy.copy(log.attach().fold.breakers["b"])
    breaker.force_open()
    opened = log.attach().fold.breakers["b"]

    may = {"may_admit": True, "may_record_bad": True, "may_reject": True, "is_all_folded": True}

    def interrupt():
        raise KeyboardInterrupt

    for interruption in at_each_point([fast_path, call_tokens], interrupt):
        past = fast_path.FastPath("b", CallBuffer(), lambda: 0)
        past.update(opened, **may)
        next(past.reject_token.ensure_counter())
        with contextlib.suppress(KeyboardInterrupt), interruption:
            past.update(closed, **may)
        past.update(closed, **may)
        counted = {id(run): run.read() for run in past.counters()}  # one may be there twice
        assert sum(counted.values()) == 1


def test_a_reading_in_the_middle_of_another_disturbs_no_count():
    """As in a child that a signal handler forks there."""
    runs = []

    def read_again():
        runs[-1].read()

    for interruption in at_each_point([call_counter], read_again):
        run = call_counter.CallCounter(1)
        runs.append(run)
        next(run)
        with interruption:
            assert run.read() == 1
        assert run.read() == 1
