"""Calls that are only counted: states and edges are as if each had an event of its own."""

import contextlib
import gc
import random
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from breaker_calls import ServiceDownError, fail, work
from held_locks import held_by_this_thread
from hypothesis import given, settings
from hypothesis import strategies as st

from recloser import (
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitOpenError,
    ConfigError,
    CountWindow,
    EventLog,
    ManualClock,
    MemoryLog,
    PermitError,
    TimeWindow,
    read_events,
    replay,
)
from recloser.core.limits import MAX_AT

SECOND = 10**9


@pytest.fixture
def log(clock):
    return MemoryLog(clock=clock, detail="runs")


def calls_in(log, breaker="b"):
    """The calls in a log: kind without its first word, time in ms, and count."""
    return [
        (event.kind[5:], event.at // 10**6, getattr(event, "count", 1))
        for event in log
        if event.kind.startswith("call_") and event.breaker == breaker
    ]


def test_a_log_says_which_detail_it_has(log, tmp_path):
    log.attach()
    assert next(iter(log)).detail == "runs"
    full = MemoryLog()
    full.attach()
    assert next(iter(full)).detail == "full"
    with pytest.raises(ConfigError, match="detail must be full or runs, not 'some'"):
        EventLog(tmp_path, detail="some")


def test_calls_at_the_end_of_all_time_are_recorded():
    """Where nothing is counted, nothing has to be written before them."""
    clock = ManualClock(monotonic_ns=2**63 - 1 - MAX_AT)
    breaker = CircuitBreaker("b", log=MemoryLog(clock=clock))
    clock.advance(ns=MAX_AT)
    assert breaker._sequencer.coalescing.first_end > MAX_AT
    assert breaker.call(work) == "done"
    assert breaker.snapshot().totals.succeeded == 1


def test_the_successes_of_a_second_are_one_event(log, clock):
    protected = CircuitBreaker("b", log=log)(work)
    for _ in range(2500):
        protected()
        clock.advance(seconds=0.001)
    assert calls_in(log) == [
        ("succeeded", 999, 1000),
        ("succeeded", 1999, 1000),
        ("succeeded", 2500, 500),
    ]


def test_later_successes_of_a_second_are_only_counted(log):
    breaker = CircuitBreaker("b", log=log)
    protected = breaker(work)
    with held_by_this_thread(breaker):
        for _ in range(100):
            protected()
    assert len(breaker.fast_path.call_buffer) == 100
    protected()
    breaker.snapshot()
    with held_by_this_thread(breaker):
        for _ in range(100):
            protected()
    assert not breaker.fast_path.call_buffer
    assert breaker.snapshot().totals.succeeded == 201


def test_run_of_successes_ends_before_any_other_event_of_its_breaker(log, clock):
    breaker, other = CircuitBreaker("b", log=log), CircuitBreaker("other", log=log)
    for _ in range(2):
        for _ in range(3):
            breaker.call(work)
        fail(breaker)
        fail(other)
        clock.advance(seconds=0.1)
    assert calls_in(log) == [
        ("succeeded", 0, 3),
        ("failed", 0, 1),
        ("succeeded", 100, 3),
        ("failed", 100, 1),
    ]
    assert replay(log).snapshots["b"] == breaker.snapshot()


def test_events_of_other_breakers_do_not_end_counting(log):
    breaker, other = CircuitBreaker("b", log=log), CircuitBreaker("other", log=log)
    for _ in range(3):
        breaker.call(work)
        fail(other)
    assert calls_in(log) == [("succeeded", 0, 3)]


def test_run_of_successes_is_written_before_events_of_later_seconds(log, clock):
    breaker, other = CircuitBreaker("b", log=log), CircuitBreaker("other", log=log)
    breaker.call(work)
    clock.advance(seconds=1)
    fail(other)
    assert calls_in(log) == [("succeeded", 999, 1)]


def test_slow_calls_and_failures_are_written_one_by_one_with_their_durations(log, clock):
    breaker = CircuitBreaker("b", CircuitBreakerConfig(slow_call_seconds=0.05), log=log)

    def slow():
        clock.advance(seconds=0.06)

    def broken():
        clock.advance(seconds=0.01)
        raise ServiceDownError

    for function in (work, work, slow, slow, work, work):
        breaker(function)()
    with contextlib.suppress(ServiceDownError):
        breaker(broken)()
    assert calls_in(log) == [
        ("succeeded", 0, 2),
        ("succeeded", 60, 1),
        ("succeeded", 120, 1),
        ("succeeded", 120, 2),
        ("failed", 130, 1),
    ]
    took = [event.took for event in log if event.kind.startswith("call_")]
    assert took == [0, 60 * 10**6, 60 * 10**6, 0, 10**7]


@pytest.mark.parametrize("detail", ["full", "runs"])
def test_protected_function_follows_the_breakers_current_settings(clock, detail):
    log = MemoryLog(clock=clock, detail=detail)
    wait = CircuitBreaker("b", log=log)(lambda seconds: clock.advance(seconds=seconds))
    for _ in range(4):
        wait(0)
    window = CountWindow(2, minimum_calls=2, slow_call_rate=0.5)
    slow = CircuitBreakerConfig(slow_call_seconds=0.25, window=window)
    other = CircuitBreaker("b", slow, log=log, on_other_config="replace")
    for _ in range(4):
        wait(0)
    wait(0.3)
    assert other.snapshot().why_open.rule.value == "slow_call_rate"


def test_run_of_successes_has_its_time_and_the_duration_of_its_first_call(log, clock):
    breaker = CircuitBreaker("b", log=log)
    for tenth in (1, 2, 3):
        breaker.call(lambda tenth=tenth: clock.advance(seconds=tenth / 10))
    clock.advance(seconds=0.1)
    (run,) = [event for event in log if event.kind == "call_succeeded"]
    assert (run.at, run.took, run.count) == (7 * 10**8, 10**8, 3)


@pytest.mark.parametrize(
    "window",
    [
        CountWindow(10, failure_rate=0.9, minimum_calls=2),
        TimeWindow(10, failure_rate=0.9, minimum_calls=2),
    ],
)
def test_a_window_with_failures_in_it_keeps_nobody_from_counting(log, clock, window):
    config = CircuitBreakerConfig(failure_threshold=None, window=window)
    breaker = CircuitBreaker("b", config, log=log)
    breaker.call(work)
    fail(breaker)
    for _ in range(1000):
        breaker.call(work)
    clock.advance(seconds=1)
    for _ in range(1000):
        breaker.call(work)
    assert len(calls_in(log)) <= 6
    assert breaker.snapshot().totals.succeeded == 2001
    assert replay(log).snapshots["b"] == breaker.snapshot()


@pytest.mark.parametrize("tick_seconds", [None, 1])
@pytest.mark.parametrize(
    "settings",
    [
        {"slow_call_seconds": 1},
        {"window": TimeWindow(60, failure_rate=0.9, minimum_calls=2)},
        {"failure_threshold": 2},
    ],
)
def test_run_of_successes_has_the_second_of_its_calls_after_a_pause(clock, settings, tick_seconds):
    log = MemoryLog(clock=clock, detail="runs", tick_seconds=tick_seconds)
    breaker = CircuitBreaker("b", CircuitBreakerConfig(**settings), log=log)
    fail(breaker)
    breaker.call(work)
    clock.advance(seconds=5.2)
    for _ in range(300):
        breaker.call(work)
    clock.advance(seconds=0.3)
    for _ in range(300):
        breaker.call(work)
    clock.advance(seconds=2)
    kind, at_ms, count = calls_in(log)[-1]
    assert (kind, at_ms) == ("succeeded", 5999)
    # The first may have to bring the window up to date, and is then written by itself.
    assert count >= 599


def test_successes_reported_with_permits_are_coalesced(log):
    breaker = CircuitBreaker("b", log=log)
    for _ in range(10):
        breaker.after_success(breaker.before_call().permit)
    assert calls_in(log) == [("succeeded", 0, 10)]


def test_rejections_are_coalesced(log, clock):
    breaker = CircuitBreaker("b", log=log)
    protected = breaker(work)
    fail(breaker, 5)
    for _ in range(3):
        for _ in range(400):
            with pytest.raises(CircuitOpenError):
                protected()
            assert not breaker.before_call().allowed
        clock.advance(seconds=1)
    assert calls_in(log)[5:] == [("rejected", second * 1000 + 999, 800) for second in range(3)]
    assert breaker.snapshot().totals.rejected == 2400


def test_success_of_a_past_epoch_has_an_event_of_its_own(log, clock):
    breaker = CircuitBreaker("b", log=log)
    breaker.call(work)
    breaker.call(lambda: fail(breaker, 5))
    assert calls_in(log)[-1] == ("succeeded", 0, 1)
    assert breaker.snapshot().totals.stale == 1
    assert replay(log).differences == []


def test_stale_success_is_recorded_after_the_rejections_before_it(log):
    breaker = CircuitBreaker("b", log=log)

    def outage():
        fail(breaker, 5)
        for _ in range(2):
            assert not breaker.before_call().allowed

    breaker.call(outage)
    assert calls_in(log)[-2:] == [("rejected", 0, 2), ("succeeded", 0, 1)]


@pytest.mark.parametrize("is_first", [True, False])
def test_counted_call_does_not_overtake_a_deadline_of_another_breaker(log, clock, is_first):
    """Where every outcome is written such a call would have asked, and a tick had been due."""
    timed = CircuitBreaker("timed", CircuitBreakerConfig(slow_call_seconds=1), log=log)(work)
    config = CircuitBreakerConfig(failure_threshold=1, recovery_timeout_seconds=0.3)
    breaker = CircuitBreaker("b", config, log=log)
    if is_first:
        clock.advance(seconds=1)
        fail(breaker)
    timed()
    timed()
    if not is_first:
        fail(breaker)
    clock.advance(seconds=0.5)
    timed()
    assert breaker.current_state().value == "HALF_OPEN"


def test_calls_of_a_breaker_with_a_window_are_not_counted_without_reading_the_clock(log):
    """A breaker that is made again with a window is one with those that were made without."""
    old = CircuitBreaker("b", log=log)
    windowed = CircuitBreakerConfig(window=TimeWindow(2, failure_rate=1))
    new = CircuitBreaker("b", windowed, log=log, on_other_config="replace")
    assert old.fast_path is new.fast_path
    assert not new.fast_path.admit_token.ignores_end_time


def test_call_counted_just_as_its_epoch_ends_is_stale_and_not_lost(log):
    """It had looked at the time, and was about to take its number."""
    breaker = CircuitBreaker("b", log=log)
    breaker.call(work)
    breaker.snapshot()
    token = breaker.fast_path.admit_token
    fail(breaker, 5)
    next(token.counter)
    assert breaker.snapshot().totals.stale == 1
    next(token.counter)
    del token
    gc.collect()
    assert breaker.snapshot().totals.stale == 2
    assert not breaker.fast_path._retired
    assert replay(log).snapshots["b"] == breaker.snapshot()


def test_late_counted_call_is_stale_when_counted_rejections_end_first(log, clock):
    config = CircuitBreakerConfig(recovery_timeout_seconds=0.2)
    breaker = CircuitBreaker("b", config, log=log)
    breaker.call(work)
    breaker.snapshot()
    token = breaker.fast_path.admit_token
    fail(breaker, 5)
    next(token.counter)
    del token
    assert not breaker.before_call().allowed
    clock.advance(seconds=0.3)
    assert breaker.before_call().allowed
    assert breaker.snapshot().totals.stale == 1
    assert replay(log).snapshots["b"] == breaker.snapshot()


def counted_late(breaker, clock):
    """A call that is counted when its run has just been written: it had looked at the time."""
    breaker.call(work)
    breaker.snapshot()
    token = breaker.fast_path.admit_token
    clock.advance(seconds=1.5)
    breaker._sequencer.fold_buffered()
    assert token.count_until_ns == 0
    next(token.counter)


def test_call_counted_late_is_recorded_before_the_next_event(log, clock):
    breaker = CircuitBreaker("b", log=log)
    counted_late(breaker, clock)
    fail(breaker)
    assert [kind for kind, _, _ in calls_in(log)] == ["succeeded", "succeeded", "failed"]


def test_call_counted_late_is_in_the_snapshot(log, clock):
    breaker = CircuitBreaker("b", log=log)
    counted_late(breaker, clock)
    assert breaker.snapshot().totals.succeeded == 2
    counted_late(breaker, clock)
    assert len(calls_in(log)) == 4


def test_call_counted_late_is_in_the_closed_log(tmp_path, clock):
    with EventLog(tmp_path, clock=clock, detail="runs") as log:
        counted_late(CircuitBreaker("b", log=log), clock)
    assert sum(count for _, _, count in calls_in(read_events(tmp_path))) == 2


def test_a_run_on_disk_is_written_when_its_second_is_over_though_nobody_calls(tmp_path):
    with EventLog(tmp_path, detail="runs", seal_seconds=None) as log:
        breaker = CircuitBreaker("b", log=log)
        for _ in range(1000):
            breaker.call(work)
        log.flush()
        breaker.call(work)
        written = tmp_path / "000000000001.jsonl"
        deadline = time.monotonic() + 10
        while written.read_bytes().count(b"call_succeeded") < 2:
            assert time.monotonic() < deadline
            threading.Event().wait(0.01)
    assert [count for _, _, count in calls_in(read_events(tmp_path))][-1] == 1


def test_closing_records_counted_calls_and_stops_counting(tmp_path, clock):
    with EventLog(tmp_path, detail="runs", clock=clock, on_log_failure="raise") as log:
        breaker = CircuitBreaker("b", log=log)
        for _ in range(1000):
            breaker.call(work)
    assert calls_in(read_events(tmp_path)) == [("succeeded", 0, 1000)]
    with pytest.raises(Exception, match="the log is closed"):
        breaker.call(work)


def test_a_million_calls_of_either_kind_write_a_line_a_second(tmp_path, clock):
    with EventLog(tmp_path, detail="runs", clock=clock) as log:
        breaker = CircuitBreaker("b", log=log)
        protected = breaker(work)
        for number in range(200_000):
            if number % 1000 == 0:
                clock.advance(ns=10**7)
            protected()
        fail(breaker, 5)
        for number in range(100_000):
            if number % 1000 == 0:
                clock.advance(ns=10**7)
            with contextlib.suppress(CircuitOpenError):
                protected()
    events = [event for event in calls_in(read_events(tmp_path)) if event[0] != "failed"]
    assert sum(count for kind, _, count in events if kind == "succeeded") == 200_000
    assert sum(count for kind, _, count in events if kind == "rejected") == 100_000
    assert len(events) <= 6
    assert replay(tmp_path).snapshots["b"] == breaker.snapshot()


def works_unless(fails):
    if fails:
        raise ServiceDownError


def hammer(number, breaker, protected):
    """Outcomes of the calls of one thread: some fail, and after some the breaker is reset."""
    chance, ends = random.Random(number), Counter()
    for turn in range(3000):
        try:
            if turn % 2:
                protected(chance.random() < 0.02)
            else:
                with breaker:
                    works_unless(chance.random() < 0.02)
            ends["succeeded"] += 1
        except ServiceDownError:
            ends["failed"] += 1
        except CircuitOpenError:
            ends["rejected"] += 1
        if chance.random() < 0.01:
            breaker.reset()
    return ends


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"slow_call_seconds": 1},
        {"window": CountWindow(20, failure_rate=0.9)},
        {"window": TimeWindow(2, failure_rate=0.9)},
    ],
)
def test_no_call_of_any_thread_is_lost_or_counted_twice(tmp_path, settings):
    """The threads take turns at every few steps, and the breaker trips and is reset among them."""
    config = CircuitBreakerConfig(
        failure_threshold=3,
        recovery_timeout_seconds=0.01,
        half_open_success_threshold=1,
        **settings,
    )
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with (
            EventLog(tmp_path, detail="runs", durability="memory") as log,
            ThreadPoolExecutor(4) as threads,
        ):
            breaker = CircuitBreaker("b", config, log=log)
            protected = breaker(works_unless)
            ends = sum(threads.map(lambda n: hammer(n, breaker, protected), range(4)), Counter())
    finally:
        sys.setswitchinterval(interval)
    recorded = Counter()
    for kind, _, count in calls_in(read_events(tmp_path)):
        recorded[kind] += count
    assert recorded == ends
    history = replay(tmp_path)
    assert history.differences == []
    assert history.snapshots["b"] == breaker.snapshot()


@st.composite
def configs(draw):
    slow = draw(st.sampled_from([None, None, 0.25]))
    thresholds = {
        "failure_rate": draw(st.sampled_from([0.4, 0.5, 1])),
        "minimum_calls": draw(st.integers(1, 4)),
        "failures": draw(st.sampled_from([None, None, 2])),
        "slow_call_rate": slow and draw(st.sampled_from([None, 0.5])),
    }
    window = draw(st.sampled_from([None, CountWindow, TimeWindow]))
    return CircuitBreakerConfig(
        failure_threshold=draw(st.sampled_from([1, 2, 3, None])),
        window=window and window(draw(st.integers(1, 6)), **thresholds),
        slow_call_seconds=slow,
        recovery_timeout_seconds=draw(st.sampled_from([0.3, 1, 2])),
        half_open_success_threshold=draw(st.integers(0, 2)),
        half_open_max_probes=draw(st.integers(1, 2)),
        half_open_timeout_seconds=draw(st.sampled_from([None, 1.5])),
        probe_timeout_seconds=draw(st.sampled_from([0.7, 60])),
        mode=draw(st.sampled_from(["enforce"] * 4 + ["shadow", "disabled"])),
    )


steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["call"] * 8 + ["ask"] * 2 + ["end", "reset", "open", "look", "mode", "set"]
        ),
        st.sampled_from("ab"),
        st.sampled_from(["success"] * 4 + ["failure", "ignored", "nested"]),
        st.integers(0, 4) | st.integers(0, 14),
    ),
    max_size=60,
)


class Driven:
    """Two breakers on one log, after a sequence of overlapping calls, commands and time."""

    def __init__(self, detail, configs, steps, tick_seconds):
        self.clock = ManualClock()
        self.log = MemoryLog(clock=self.clock, tick_seconds=tick_seconds, detail=detail)
        self.configs = configs
        self.breakers = {n: CircuitBreaker(n, c, log=self.log) for n, c in configs.items()}
        self.protected = {name: b(self.work) for name, b in self.breakers.items()}
        self.permits = []
        self.answers = []
        self.steps = iter(steps)
        for step in self.steps:
            self.take(step)
        self.snapshots = {name: b.snapshot() for name, b in self.breakers.items()}
        self.history = replay(self.log)

    def take(self, step):
        action, name, outcome, tenths = step
        breaker = self.breakers[name]
        if action == "call":
            try:
                self.protected[name](outcome, tenths)
            except (ServiceDownError, GeneratorExit, CircuitOpenError) as error:
                self.answers.append(type(error))
        elif action == "ask":
            self.clock.advance(seconds=tenths / 10)
            decision = breaker.before_call()
            self.answers.append((decision.allowed, decision.reason, decision.retry_after))
            if decision.permit:
                self.permits.append((breaker, decision.permit, outcome))
        elif action == "end" and self.permits:
            breaker, permit, outcome = self.permits.pop(tenths % len(self.permits))
            report = breaker.after_failure if outcome == "failure" else breaker.after_success
            with contextlib.suppress(PermitError):
                report(permit)
        else:
            self.command(action, name, tenths)

    def command(self, action, name, tenths):
        breaker = self.breakers[name]
        if action == "reset":
            breaker.reset()
        elif action == "open" and tenths == 0:
            breaker.force_open()
        elif action == "look":
            self.answers.append(shown(breaker.snapshot()))
        elif action == "mode" and tenths < 3:
            breaker.set_mode(("enforce", "shadow", "disabled")[tenths])
        elif action == "set":
            other = self.configs["ab"[tenths % 2]]
            self.breakers[name] = CircuitBreaker(
                name, other, log=self.log, on_other_config="replace"
            )
            self.protected[name] = self.breakers[name](self.work)

    def work(self, outcome, tenths):
        self.clock.advance(seconds=tenths / 10)
        if outcome == "nested":
            step = next(self.steps, None)
            if step:
                self.take(step)
        elif outcome == "failure":
            raise ServiceDownError
        elif outcome == "ignored":
            raise GeneratorExit


def shown(snapshot):
    """A snapshot, without the numbers that events have in their log."""
    why = snapshot.why_open
    cause = why and (why.rule, why.observed, why.threshold, why.calls, why.rate, len(why.seqs) > 0)
    return (
        snapshot.state,
        snapshot.epoch,
        snapshot.totals,
        snapshot.retry_after,
        snapshot.opened_at,
        cause,
    )


def described(edges, name):
    return [
        (
            e.at,
            e.epoch,
            e.from_state,
            e.to_state,
            e.trigger,
            e.cause.rule,
            e.cause.observed,
            e.cause.calls,
        )
        for e in edges
        if e.breaker == name
    ]


@settings(max_examples=400)
@given(
    st.fixed_dictionaries({"a": configs(), "b": configs()}), steps, st.sampled_from([None, 1, 0.2])
)
def test_coalesced_log_replays_to_the_same_history_as_a_full_log(configs, steps, tick_seconds):
    full, runs = (Driven(detail, configs, steps, tick_seconds) for detail in ("full", "runs"))
    assert runs.answers == full.answers
    assert runs.history.digest == full.history.digest
    for name in configs:
        assert described(runs.history.edges, name) == described(full.history.edges, name)
        assert shown(runs.snapshots[name]) == shown(full.snapshots[name])
        assert runs.history.snapshots[name] == runs.snapshots[name]
    assert runs.history.differences == full.history.differences == []
    assert sum(e.count for e in runs.log if e.kind == "call_succeeded") == sum(
        e.kind == "call_succeeded" for e in full.log
    )
    limits = {}
    for event in runs.log:
        if event.kind == "breaker_configured":
            slow = event.config["slow_call_seconds"]
            limits[event.breaker] = float("inf") if slow is None else float(slow) * SECOND
        elif event.kind == "call_succeeded" and event.count > 1:
            assert event.took <= limits[event.breaker]


@pytest.mark.parametrize("seed", range(8))
def test_long_sequences_of_calls_behave_as_with_the_lock(seed):
    chance = random.Random(seed)
    for _ in range(15):
        drawn = {name: drawn_config(chance) for name in "ab"}
        failing, still = chance.choice([0.02, 0.1, 0.3]), chance.choice([0.3, 0.7, 0.9])
        steps = [drawn_step(chance, failing, still) for _ in range(chance.choice([30, 80, 200]))]
        tick_seconds = chance.choice([None, 1, 0.2])
        full, runs = (Driven(detail, drawn, steps, tick_seconds) for detail in ("full", "runs"))
        assert runs.answers == full.answers
        assert runs.history.digest == full.history.digest
        assert runs.history.differences == []
        for name in drawn:
            assert shown(runs.snapshots[name]) == shown(full.snapshots[name])
            assert runs.history.snapshots[name] == runs.snapshots[name]


def drawn_config(chance):
    slow = chance.choice([None, None, 0.25])
    thresholds = {
        "failure_rate": chance.choice([0.4, 0.5, 1]),
        "minimum_calls": chance.randint(1, 4),
        "failures": chance.choice([None, None, 2]),
        "slow_call_rate": slow and chance.choice([None, 0.5]),
    }
    window = chance.choice([None, CountWindow, TimeWindow])
    return CircuitBreakerConfig(
        failure_threshold=chance.choice([1, 2, 3, None]),
        window=window and window(chance.randint(1, 6), **thresholds),
        slow_call_seconds=slow,
        recovery_timeout_seconds=chance.choice([0.3, 1, 2]),
        half_open_success_threshold=chance.randint(0, 2),
        half_open_timeout_seconds=chance.choice([None, 1.5]),
        probe_timeout_seconds=chance.choice([0.7, 60]),
        mode=chance.choice(["enforce"] * 6 + ["shadow", "disabled"]),
    )


def drawn_step(chance, failing, still):
    rare = ["ask", "ask", "end", "look", "reset", "open", "mode", "set"]
    action = chance.choice(["call"] * 16 + rare)
    drawn = chance.random()
    outcome = "failure" if drawn < failing else "nested" if drawn < failing + 0.1 else "success"
    tenths = 0 if chance.random() < still else chance.randint(0, 14)
    return action, chance.choice("aab"), outcome, tenths


_PLAIN = {"failure_threshold": 1, "half_open_success_threshold": 1}


@pytest.mark.parametrize(
    ("a", "b", "steps"),
    [
        (  # a run that ends with its second, of a gate that was to be looked at before
            {**_PLAIN, "slow_call_seconds": 0.25, "recovery_timeout_seconds": 2},
            {**_PLAIN, "slow_call_seconds": 0.25, "recovery_timeout_seconds": 0.3}
            | {"half_open_timeout_seconds": 1.5, "probe_timeout_seconds": 0.7},
            "bf0 as0 as8 bs13 as0 bi0 af0 as0 aq12",
        ),
        (  # refusals that must be written before the end of the cooldown, and not by others' time
            {"failure_threshold": 3, "window": CountWindow(6, 1, minimum_calls=3)},
            {"failure_threshold": 2, "recovery_timeout_seconds": 0.3}
            | {"window": TimeWindow(2, 1, minimum_calls=1, failures=2)},
            "as0 bf0 bs0 as5 as6",
        ),
        (  # successes of a disabled breaker, counted up to a deadline and then for their second
            {"failure_threshold": 3, "recovery_timeout_seconds": 2, "mode": "disabled"},
            {**_PLAIN, "recovery_timeout_seconds": 0.3, "half_open_timeout_seconds": 1.5}
            | {"window": TimeWindow(6, 1, minimum_calls=2), "probe_timeout_seconds": 0.7},
            "bs3 bf11 an7 af4 bf0 as0 am0 ar0 as0 bs0 af7",
        ),
        (  # a slow call of a breaker whose calls were never slow, before it was set otherwise
            {"failure_threshold": None},
            {"slow_call_seconds": 0.25}
            | {"window": CountWindow(2, minimum_calls=2, slow_call_rate=0.5)},
            "as0 as0 ac1 as0 as0 as0 as0 as3",
        ),
        (  # a call that is slow by the settings of its end, not by those that it began under
            {"slow_call_seconds": 0.25}
            | {"window": TimeWindow(4, minimum_calls=1, slow_call_rate=0.5)},
            {"failure_threshold": None, "window": CountWindow(2, 0.5, minimum_calls=4)},
            "bn3 bc0 bs0",
        ),
    ],
)
def test_sequence_that_once_differed_behaves_as_with_the_lock(a, b, steps):
    outcomes = {"s": "success", "f": "failure", "i": "ignored", "n": "nested"}
    actions = {"q": "ask", "m": "mode", "r": "reset", "c": "set"}
    taken = [
        (actions.get(step[1], "call"), step[0], outcomes.get(step[1], "success"), int(step[2:]))
        for step in steps.split()
    ]
    configs = {"a": CircuitBreakerConfig(**a), "b": CircuitBreakerConfig(**b)}
    full, runs = (Driven(detail, configs, taken, 1) for detail in ("full", "runs"))
    assert runs.history.digest == full.history.digest
    assert runs.answers == full.answers
    assert runs.history.differences == []
