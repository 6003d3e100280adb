"""On small traces, sensitivity finds the same error as trying every error."""

from collections import defaultdict

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from test_proof import OPENED, call

from conftest import ROOT
from recloser import (
    CircuitBreaker,
    CircuitBreakerConfig,
    ConfigError,
    ManualClock,
    MemoryLog,
    Outcome,
    replay,
)
from recloser.core.events import CallObserved
from recloser.core.log_fold import LogFold
from recloser.core.state import probes_of
from recloser.core.state_machine import CLOSED, HALF_OPEN
from recloser.history.engine import read_events
from recloser.history.warping import warped
from recloser.history.warps import drift, host_offset, jitter
from recloser.proof import sensitivity as module
from recloser.proof.sensitivity import sensitivity

MS = 10**6
SECOND = 10**9
CONFIG = CircuitBreakerConfig(
    failure_threshold=2, recovery_timeout_seconds=2, half_open_success_threshold=1
)


def sequence(edges):
    taken = defaultdict(list)
    for edge in edges:
        taken[edge.breaker].append((edge.from_state, edge.to_state, edge.trigger))
    return taken


def is_possible(events):
    """Whether every recorded event is still possible in the fold of a log."""
    fold = LogFold()
    for event in events:
        fold.apply(event)
        if event.kind == "call_rejected":
            state = fold.breakers[event.breaker]
            has_place = len(probes_of(state)) < state.config.half_open_max_probes
            if state.state is CLOSED or (state.state is HALF_OPEN and has_place):
                return False
    return True


def differs(events, config, warp):
    """Whether the warp changes the history, found by replaying all of it."""
    right = replay(events, config=config)
    wrong = replay(events, config=config, warps=[warp])
    if sequence(wrong.edges) != sequence(right.edges) or wrong.differences:
        return True
    return config is None and not is_possible(warped(events, [warp]))


def recorded():
    """An outage of one second; the breaker is called every 100 ms."""
    clock = ManualClock()
    log = MemoryLog(clock=clock)
    breaker = CircuitBreaker("b", CONFIG, log=log)
    for n in range(40):
        clock.advance(ns=100 * MS + n % 3 * 20_000)
        call(breaker, fails=3 <= n < 25)
    return list(log)


def traffic(calls):
    """Observed calls of (start in microseconds, outcome, host), each of 5 ms."""
    return [
        OPENED,
        *(
            CallObserved(
                seq, start * 1000 + 5 * MS, "b", start * 1000, 5 * MS, Outcome(outcome),
                labels={} if host is None else {"host": host},
            )
            for seq, (start, outcome, host) in enumerate(sorted(calls), start=2)
        ),
    ]  # fmt: skip


def of(kind, found):
    return next(one for one in found.found if one.kind == kind)


def test_the_smallest_drift_equals_that_of_brute_force_and_names_the_edge():
    events = recorded()
    found = of("drift", sensitivity(events))
    least = next(
        ppm
        for size in range(1, 100_000)
        for ppm in (size, -size)
        if differs(events, None, drift(ppm))
    )
    assert found.smallest == least
    edge = found.moved.edge
    by_seq = {event.seq: event for event in events}
    assert edge.fields == ["b", "2", edge.fields[2], "OPEN", "HALF_OPEN", "cool"]
    assert int(edge.fields[2]) == by_seq[edge.seq].at
    assert found.moved.seq in by_seq


def test_the_smallest_jitter_equals_that_of_brute_force():
    events = recorded()
    found = of("jitter", sensitivity(events))
    warp = jitter(found.smallest * 1000, int(found.detail))
    assert differs(events, None, warp)
    near = [us for us in range(found.smallest - 200, found.smallest) if us > 0]
    for seed in (0, 1, 2):
        assert not any(differs(events, None, jitter(us * 1000, seed)) for us in near)


def test_the_smallest_host_offset_equals_that_of_brute_force():
    """One host makes the failures that trip the breaker, another the success between them."""
    calls = [(0, "succeeded", "b"), (9_000, "failed", "a"), (9_700, "succeeded", "b")]
    calls += [(10_400, "failed", "a"), (50_000, "succeeded", "b")]
    events = traffic(calls)
    config = CircuitBreakerConfig(failure_threshold=2)
    assert replay(events, config=config).edges == []
    found = of("host offset", sensitivity(events, config=config))
    least = next(
        (host, us)
        for size in range(1, 2000)
        for host in "ab"
        for us in (size, -size)
        if differs(events, config, host_offset(host, us * 1000))
    )
    assert (found.detail, found.smallest) == least
    assert abs(found.smallest) == pytest.approx(700, abs=1)
    assert found.moved.got == "an additional edge"


def test_a_log_of_one_host_has_no_host_offset():
    assert [one.kind for one in sensitivity(recorded()).found] == ["drift", "jitter"]


def test_no_error_changes_the_history_of_a_log_without_edges():
    (calm, *_) = sensitivity(traffic([(0, "succeeded", None)]), config=CONFIG).found
    assert (calm.smallest, calm.moved, calm.most) == (None, None, 500_000)


def test_an_edge_that_an_error_removes_is_named():
    """The edge comes with the last call, which finds the cooldown over."""
    calls = [(0, "failed", None), (1000, "failed", None), (2_006_100, "succeeded", None)]
    found = of("drift", sensitivity(traffic(calls), config=CONFIG))
    assert found.smallest < 0
    assert found.moved.edge.names == ["OPEN", "HALF_OPEN", "cool"]
    assert found.moved.got == "this edge never happens"
    assert found.moved.seq == 4


@pytest.mark.parametrize("name", ["redis-killed", "process-killed"])
def test_the_error_found_changes_a_recording_and_the_next_smaller_does_not(name):
    events = list(read_events(ROOT / "fixtures" / name))
    for found in sensitivity(events).found:
        sign = 1 if found.smallest > 0 else -1
        for size, is_another in ((abs(found.smallest), True), (abs(found.smallest) - 1, False)):
            warp = (
                drift(sign * size)
                if found.kind == "drift"
                else jitter(size * 1000, int(found.detail))
            )
            assert differs(events, None, warp) is is_another


near_deadlines = st.tuples(
    st.builds(lambda half, us: half * 500_000 + us, st.integers(1, 24), st.integers(-2000, 2000)),
    st.sampled_from(["failed", "failed", "succeeded"]),
    st.sampled_from(["x", "y"]),
)


@settings(max_examples=12)
@given(st.lists(near_deadlines, min_size=4, max_size=20))
def test_the_sensitivity_of_any_trace_equals_that_of_brute_force(calls):
    """The result holds even if a larger error undoes a change that a smaller one makes."""
    events = traffic(calls)
    most = 128
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_MAX_PPM", most)
        found = of("drift", sensitivity(events, config=CONFIG)).smallest
    different = {
        sign: [ppm for ppm in range(1, most + 1) if differs(events, CONFIG, drift(sign * ppm))]
        for sign in (1, -1)
    }
    doublings = {1 << power for power in range(8)}
    tried = doublings.intersection(different[1] + different[-1])
    assert (found is None) == (not tried)
    if found is None:
        return
    size, sign = abs(found), 1 if found > 0 else -1
    assert size in different[sign]
    assert size - 1 not in different[sign]
    assert size <= min(tried)
    if all(sizes == list(range(sizes[0], most + 1)) for sizes in different.values() if sizes):
        assert size == min(different[1] + different[-1])


def test_settings_for_a_log_that_breakers_wrote_are_an_error():
    with pytest.raises(ConfigError, match="written by breakers"):
        sensitivity(recorded(), config=CONFIG)


def test_a_log_that_contradicts_itself_has_a_smallest_error_of_zero():
    events = recorded()
    index = next(n for n, event in enumerate(events) if event.kind == "probe_admitted")
    events[index] = evolve(events[index], probe=7)
    assert of("drift", sensitivity(events)).smallest == 0
