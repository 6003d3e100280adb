"""The fold of a whole log: its order, its time, and breakers that do not meet."""

from datetime import UTC, datetime

import pytest
from breaker_calls import fail

from recloser import CircuitBreaker, CircuitBreakerConfig, DamagedLogError, FoldError, MemoryLog
from recloser.core.events import (
    BreakerConfigured,
    CallFailed,
    Checkpoint,
    ClockTicked,
    LogOpened,
    Reset,
)
from recloser.core.fold import apply
from recloser.core.log_fold import LogFold
from recloser.core.state import dump

WALL = datetime(2026, 1, 1, tzinfo=UTC)
OPENED = LogOpened(1, 0, 1, 1, 1, WALL, 0, "", "", 1, "0")


def folded(*events):
    fold = LogFold()
    for event in events:
        fold.apply(event)
    return fold


def test_a_log_begins_with_log_opened():
    with pytest.raises(DamagedLogError, match=r"event 1 \(reset\): a log begins with log_opened"):
        folded(Reset(1, 0, "b"))


@pytest.mark.parametrize("seq", [1, 3, 4])
def test_a_missing_or_repeated_seq_is_damage(seq):
    with pytest.raises(
        DamagedLogError, match=rf"event {seq} \(clock_ticked\): seq 2 must follow seq 1"
    ):
        folded(OPENED, ClockTicked(seq, 0, WALL, 0))


def test_decreasing_time_is_damage():
    with pytest.raises(DamagedLogError, match="timed 4, before the 5 of seq 2"):
        folded(OPENED, ClockTicked(2, 5, WALL, 5), ClockTicked(3, 4, WALL, 4))


def test_event_about_an_unconfigured_breaker_is_refused():
    with pytest.raises(FoldError, match=r"event 2 \(reset\): its breaker was never configured"):
        folded(OPENED, Reset(2, 0, "b"))


def test_a_breaker_may_begin_with_a_checkpoint():
    known = folded(OPENED, BreakerConfigured(2, 0, "b", {"failure_threshold": 7})).breakers["b"]
    assert folded(OPENED, Checkpoint(2, 0, "b", dump(known))).breakers["b"] == known


def test_a_breaker_that_begins_with_a_checkpoint_keeps_its_deadline(clock):
    """A tick takes the edge that is due, as it would have without the checkpoint."""
    log = MemoryLog(clock=clock, tick_seconds=None)
    fail(CircuitBreaker("b", log=log), 5)
    *_, trip = log
    checkpoint = Checkpoint(2, trip.at, "b", dump(folded(*log).breakers["b"]))
    fold = folded(OPENED, checkpoint)
    (edge,) = fold.apply(ClockTicked(3, trip.at + 30 * 10**9, WALL, 0))
    assert edge.trigger.value == "cool"


def test_tick_notices_the_deadline_of_a_breaker_tripped_outside_of_the_fold():
    fold = folded(OPENED, BreakerConfigured(2, 0, "b", {"failure_threshold": 1}))
    (trip,) = apply(fold.breakers["b"], CallFailed(3, 0, "b", 0, 0))
    fold.move_to(3, 0, ())
    fold.apply(trip)
    (edge,) = fold.apply(ClockTicked(5, 30 * 10**9, WALL, 0))
    assert (trip.trigger.value, edge.trigger.value) == ("trip", "cool")


def test_clock_readings_from_another_fold_date_later_events():
    fold = folded(OPENED, BreakerConfigured(2, 0, "b", {}))
    opened = LogOpened(4, 10, 1, 1, 2, WALL, 0, "", "", 1, "0")
    fold.move_to(5, 20, [ClockTicked(3, 5, WALL, 0), opened])
    assert (fold.seq, fold.at, fold.opened, fold.ticked_at) == (5, 20, opened, 10)


def test_first_event_may_have_any_seq():
    opened = LogOpened(70, 5, 1, 1, 3, WALL, 0, "", "", 1, "0")
    assert folded(opened, BreakerConfigured(71, 6, "b", {})).seq == 71


def test_a_tick_takes_all_edges_that_are_due_in_the_order_of_their_deadlines(clock):
    """Breakers with equal deadlines are in order of name; edges are numbered after the tick."""
    log = MemoryLog(clock=clock, tick_seconds=None)
    for name, seconds in (("late", 40), ("d", 20), ("c", 20), ("first", 10), ("never", 50)):
        config = CircuitBreakerConfig(failure_threshold=1, recovery_timeout_seconds=seconds)
        fail(CircuitBreaker(name, config, log=log))
    clock.advance(seconds=45)
    CircuitBreaker("other", log=log)
    *_, tick, first, c, d, late, _configured = log
    assert tick.kind == "clock_ticked"
    assert [edge.breaker for edge in (first, c, d, late)] == ["first", "c", "d", "late"]
    assert [edge.seq for edge in (first, c, d, late)] == [tick.seq + n for n in (1, 2, 3, 4)]


def test_breakers_do_not_influence_one_another(clock):
    """One breaker's own events, with those about the whole log, lead to the same state."""
    log = MemoryLog(clock=clock)
    breakers = [CircuitBreaker(name, log=log) for name in "abc"]
    for step in range(300):
        clock.advance(seconds=1.7)
        breaker = breakers[step % 3]
        decision = breaker.before_call()
        if decision.allowed and step % 100 < 60:
            breaker.after_failure(decision.permit)
        elif decision.allowed:
            breaker.after_success(decision.permit)
    together = folded(*log)
    for name in "abc":
        alone = LogFold()
        about_b = [e for e in log if getattr(e, "breaker", name) == name]
        edges = 0
        for seq, event in enumerate(about_b, start=1):
            edges += len(alone.apply(type(event)(seq, *_fields(event)[1:])))
        assert edges
        state, expected = dump(alone.breakers[name]), dump(together.breakers[name])
        for numbered in ("why_open", "failure_seqs", "probe_seqs"):
            state.pop(numbered), expected.pop(numbered)
        assert state == expected


def _fields(event):
    return [getattr(event, field.name) for field in type(event).__attrs_attrs__]
