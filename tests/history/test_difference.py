"""Differences between two histories: the first edge per breaker, and the first event."""

import pytest
from attrs import evolve
from breaker_calls import fail, succeed

from recloser import CircuitBreaker, CircuitBreakerConfig, MemoryLog
from recloser.core.events import CircuitBreakerState, FiredRule, Rule, StateChanged, Trigger
from recloser.history.difference import Change, compare
from recloser.history.engine import replay
from recloser.history.summary import summarize

SECOND = 10**9


def outage(clock, *, failures=5, wait=30, name="b", before=0, **settings):
    """A trip, a cooldown and a recovery."""
    log = MemoryLog(clock=clock, tick_seconds=None)
    breaker = CircuitBreaker(
        name, CircuitBreakerConfig(**{"failure_threshold": 5, **settings}), log=log
    )
    succeed(breaker, before)
    clock.advance(seconds=1)
    fail(breaker, failures)
    clock.advance(seconds=wait)
    succeed(breaker, 2)
    return replay(log)


def compared(old, new, *, same_log=True):
    return compare(
        summarize(old),
        summarize(new),
        same_log=same_log,
        old_events=old.events,
        new_events=new.events,
    )


def edited(history, change):
    """A summary of the history with changed edges, such as a golden file could hold."""
    summary = summarize(history)
    return evolve(summary, edges=change(list(summary.edges)), digest="0" * 64)


def held(history, change):
    return compare(
        edited(history, change), summarize(history), same_log=True, new_events=history.events
    )


def edge(epoch, trigger, old, new, at):
    states = CircuitBreakerState
    cause = FiredRule(Rule.COMMAND)
    return StateChanged(1, at, "b", epoch, states[old], states[new], Trigger[trigger], cause)


def test_equal_histories_do_not_differ(clock):
    history = outage(clock)
    assert not compared(history, history)
    assert compared(history, history).event is None


@pytest.mark.parametrize("by", [-7, 7])
def test_moved_edge_is_reported_with_its_distance(clock, by):
    history = outage(clock)

    def move(edges):
        edges[1] = evolve(edges[1], at=edges[1].at - by)
        return edges

    (difference,) = held(history, move).edges
    assert (difference.change, difference.number, difference.moved_ns) == (Change.MOVED, 2, by)
    assert difference.new == history.edges[1]
    assert difference.further == 0


def test_diverging_event_is_the_one_that_fired_the_edge(clock):
    history = outage(clock)

    def move(edges):
        edges[0] = evolve(edges[0], at=edges[0].at + 10 * SECOND)
        return edges

    event = held(history, move).event.event
    assert (event.kind, event.seq) == ("call_failed", history.edges[0].seq - 1)


def test_added_edge_is_distinguished_from_a_moved_one(clock):
    history = outage(clock)
    (difference,) = held(history, lambda edges: edges[1:]).edges
    assert (difference.change, difference.old, difference.new) == (
        Change.ADDED, None, history.edges[0],
    )  # fmt: skip
    assert difference.further == 0
    (last,) = held(history, lambda edges: edges[:-1]).edges
    assert (last.change, last.number, last.new) == (Change.ADDED, 3, history.edges[-1])


def test_removed_edge_is_distinguished_from_a_moved_one(clock):
    history = outage(clock)
    extra = edge(1, "FORCE_CLOSED", "CLOSED", "CLOSED", 5)
    for change in (lambda edges: [extra, *edges], lambda edges: [*edges, extra]):
        (difference,) = held(history, change).edges
        assert (difference.change, difference.old, difference.new) == (Change.GONE, extra, None)
        assert difference.further == 0


def test_replaced_edge_is_reported_as_replaced(clock):
    history = outage(clock)

    def change(edges):
        edges[2] = evolve(edges[2], trigger=Trigger.RELAPSE, to_state=CircuitBreakerState.OPEN)
        return edges

    (difference,) = held(history, change).edges
    assert difference.change is Change.REPLACED


def test_same_edge_with_another_cause_differs(clock):
    history = outage(clock)

    def change(edges):
        edges[0] = evolve(edges[0], cause=evolve(edges[0].cause, threshold=4))
        return edges

    (difference,) = held(history, change).edges
    assert difference.change is Change.OTHER_CAUSE
    assert difference.moved_ns == 0


def test_seq_numbers_count_within_one_log_only(clock):
    """Another log has other numbers for the same events; the history is the same."""
    history = outage(clock)

    def renumber(edges):
        cause = edges[0].cause
        moved = evolve(cause, seqs=tuple(seq + 3 for seq in cause.seqs))
        return [evolve(edges[0], seq=edges[0].seq + 3, cause=moved), *edges[1:]]

    old, new = evolve(edited(history, renumber), digest=history.digest), summarize(history)
    assert not compare(old, new, same_log=False)
    (difference,) = compare(old, new, same_log=True).edges
    assert difference.change is Change.RENUMBERED


def test_further_differing_edges_are_counted(clock):
    history = outage(clock)
    later = [evolve(e, at=e.at + 1) for e in history.edges]
    (difference,) = held(history, lambda _edges: later).edges
    assert (difference.number, difference.further) == (1, 2)


def test_first_differing_event_of_two_logs_is_shown_on_both_sides(clock):
    """A fifth failure that only one log has is shown as missing, not as one that fired."""
    old = outage(clock, failures=5)
    new = outage(clock, failures=4)
    comparison = compared(old, new, same_log=False)
    assert comparison.event.old.kind == "call_failed"
    assert comparison.event.new.kind == "call_succeeded"
    assert comparison.event.old.seq == old.edges[0].seq - 1
    assert [d.change for d in comparison.edges] == [Change.GONE]


def test_histories_with_two_configurations_diverge_at_the_event_that_fired(clock):
    old = outage(clock, failures=5)
    new = outage(clock, failures=5, failure_threshold=6)
    comparison = compared(old, new, same_log=False)
    assert comparison.event.old == comparison.event.new
    assert comparison.event.event.seq == old.edges[0].seq - 1
    assert [(s.name, s.old, s.new) for s in comparison.settings] == [("failure_threshold", 5, 6)]


def test_breakers_missing_from_one_history_are_listed_with_their_calls(clock):
    comparison = compared(outage(clock, name="a"), outage(clock, name="b"))
    assert [(t.breaker, t.old is None, t.new is None) for t in comparison.totals] == [
        ("a", False, True),
        ("b", True, False),
    ]
    assert [d.change for d in comparison.edges] == [Change.GONE, Change.ADDED]
    assert comparison.settings == []


def test_setting_that_differs_for_every_breaker_is_listed_once(clock):
    def two(threshold):
        log = MemoryLog(clock=clock)
        for name in "ab":
            CircuitBreaker(name, CircuitBreakerConfig(failure_threshold=threshold), log=log)
        return replay(log)

    (setting,) = compared(two(5), two(6)).settings
    assert (setting.breaker, setting.old, setting.new) == ("", 5, 6)


def test_differing_breakers_are_in_the_order_of_time(clock):
    def three(*order):
        log = MemoryLog(clock=clock)
        for name in order:
            breaker = CircuitBreaker(name, log=log)
            clock.advance(seconds=1)
            fail(breaker, 5)
        return replay(log)

    comparison = compared(three("c", "a", "b"), three("d"))
    assert [d.breaker for d in comparison.edges if d.breaker != "d"] == ["c", "a", "b"]
