"""Merged hosts: one breaker over all calls, and the effect of wrong clocks."""

from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from runners import Here

from recloser import CircuitBreaker, CircuitBreakerConfig, ManualClock, MemoryLog, replay
from recloser.cluster.dataset import urls_of
from recloser.cluster.host_clocks import EPOCH
from recloser.cluster.many_logs import sources_of
from recloser.cluster.merging import merge_many
from recloser.core.events import (
    BreakerConfigured,
    CallObserved,
    CallSucceeded,
    Checkpoint,
    LogOpened,
    Outcome,
)
from recloser.core.state import BreakerState, dump
from recloser.errors import ConfigError
from recloser.log.parquet import write_parquet
from recloser.testing import strategies as rst

MS = 10**6
START = datetime(2026, 11, 24, 12, tzinfo=UTC)
CONFIG = CircuitBreakerConfig(failure_threshold=3, recovery_timeout_seconds=1)


def recorded(host, calls, wall=START, config=CONFIG):
    """Record a live breaker; each call is given as milliseconds and an outcome, ``F`` or ``.``."""
    clock = ManualClock(start=wall)
    log = MemoryLog(clock=clock, host=host)
    breaker = CircuitBreaker("bank", config, log=log)
    for at_ms, outcome in calls:
        clock.advance(ns=at_ms * MS - clock.monotonic_ns())
        permit = breaker.before_call().permit
        if permit is not None and outcome == "F":
            breaker.after_failure(permit, "TimeoutError", took_ns=0)
        elif permit is not None:
            breaker.after_success(permit, took_ns=0)
    return list(log)


def merged(folder, logs, **more):
    for number, events in enumerate(logs):
        write_parquet(events, folder / f"{number}.parquet")
    (found,) = merge_many(sources_of(urls_of(str(folder)), Here()), Here(), **more)
    return found


def trips(found):
    return [
        timedelta(microseconds=edge.at // 1000) + datetime(1970, 1, 1, tzinfo=UTC) - START
        for edge in found.edges
        if edge.trigger.value == "trip"
    ]


def test_failures_of_several_hosts_trip_the_shared_breaker(tmp_path):
    logs = [recorded("a", [(10, "F"), (50, "F")]), recorded("b", [(30, "F"), (70, ".")])]
    assert not any(replay(log).edges for log in logs)
    found = merged(tmp_path, logs)
    assert trips(found) == [timedelta(milliseconds=50)]
    assert found.config == CONFIG
    assert [(share.host, share.calls) for share in found.hosts] == [("a", 2), ("b", 2)]
    assert found.snapshot.totals.rejected == 1


def test_calls_of_hosts_are_ordered_by_wall_time(tmp_path):
    """The second log begins a minute later, so a success of the first is between its failures."""
    logs = [
        recorded("a", [(0, "F"), (60_050, ".")]),
        recorded("b", [(10, "F"), (100, "F")], wall=START + timedelta(minutes=1)),
    ]
    assert trips(merged(tmp_path, logs)) == []


def test_single_host_is_driven_like_its_imported_calls(tmp_path):
    config = CircuitBreakerConfig(failure_threshold=2, recovery_timeout_seconds=1)
    opening = LogOpened(1, 0, 1, 1, 1, START, 0, "", "", 1, "")
    outcomes = [Outcome.FAILED] * 3 + [Outcome.SUCCEEDED] * 5
    trace = [opening]
    for number, outcome in enumerate(outcomes):
        at = number * 400 * MS + 5 * MS
        trace.append(CallObserved(number + 2, at, "bank", at - 5 * MS, 5 * MS, outcome))
    found = merged(tmp_path, [trace], config=config)
    alone = replay(trace, config=config)
    shift = found.edges[0].at - alone.edges[0].at
    assert [evolve(edge, at=edge.at - shift) for edge in found.edges] == list(alone.edges)
    assert len(alone.edges) > 2
    assert found.changes == []


def test_order_within_the_uncertainty_that_changes_an_edge_is_reported(tmp_path):
    """Three consecutive failures, if the success of the other host was 3 ms later than recorded."""
    logs = [
        recorded("a", [(10, "F"), (20, "F"), (30, "F")]),
        recorded("b", [(28, "."), (500, ".")]),
    ]
    certain = merged(tmp_path, logs)
    assert trips(certain) == []
    assert certain.changes == []
    sources = sources_of(urls_of(str(tmp_path)), Here())
    for uncertainty_ms, changed in ((1, False), (4, True)):
        (found,) = merge_many(sources, Here(), uncertainty_ns=uncertainty_ms * MS)
        assert trips(found) == []
        assert {(change.host, change.ahead_ns) for change in found.changes} == (
            {("a", -4 * MS), ("b", 4 * MS)} if changed else set()
        )
        assert all(change.moved.got == "an additional edge" for change in found.changes)


def test_calls_rejected_by_a_host_are_left_out_and_counted(tmp_path):
    calls = [(n, "F") for n in range(10, 15)]
    found = merged(tmp_path, [recorded("a", calls), recorded("b", [(1, ".")])])
    assert [(share.calls, share.refused) for share in found.hosts] == [(3, 2), (1, 0)]


def test_hosts_with_different_settings_need_config(tmp_path):
    other = CircuitBreakerConfig(failure_threshold=9)
    logs = [recorded("a", [(1, "F")]), recorded("b", [(2, "F"), (3, "F")], config=other)]
    with pytest.raises(ConfigError, match="the hosts a, b have different settings of 'bank'"):
        merged(tmp_path, logs)
    sources = sources_of(urls_of(str(tmp_path)), Here())
    (found,) = merge_many(sources, Here(), config=CONFIG)
    assert trips(found) == [timedelta(milliseconds=3)]


def written(host, *events, checkpoint=None):
    """Write a log of these events, renumbered."""
    checkpoints = int(checkpoint is not None)
    opening = LogOpened(1, 0, 1, 1, 1, START, 0, "", host, 1, "", checkpoints=checkpoints)
    first = [] if checkpoint is None else [Checkpoint(0, 0, "bank", dict(dump(checkpoint)))]
    return [evolve(e, seq=n) for n, e in enumerate([opening, *first, *events], start=1)]


def configured(config=CONFIG):
    return BreakerConfigured(0, 0, "bank", config.to_mapping())


def test_merged_successes_count_as_single_calls(tmp_path):
    several = CallSucceeded(0, 5 * MS, "bank", 0, MS, count=3)
    found = merged(tmp_path, [written("a", configured(), several)])
    assert [share.calls for share in found.hosts] == [3]
    assert found.snapshot.totals.succeeded == 3


def test_call_rejected_in_shadow_mode_was_made(tmp_path):
    shadow = evolve(CONFIG, mode="shadow")
    found = merged(tmp_path, [recorded("a", [(n, "F") for n in range(1, 9)], config=shadow)])
    assert [(share.calls, share.refused) for share in found.hosts] == [(8, 0)]


def test_last_settings_in_the_log_are_used(tmp_path):
    last = evolve(CONFIG, failure_threshold=7)
    call = CallSucceeded(0, 5 * MS, "bank", 0, MS)
    for number, events in enumerate(
        (
            written("a", configured(), configured(last), call),
            written("a", call, checkpoint=BreakerState("bank", last)),
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert merged(folder, [events]).config == last


def test_clocks_may_differ_by_the_sum_of_their_uncertainties(tmp_path):
    """With 2 ms of uncertainty each, calls 3 ms apart may have been in the other order."""
    calls = [(10, "F"), (20, "F"), (30, "F")]
    found = merged(
        tmp_path,
        [recorded("a", calls), recorded("b", [(27, "."), (500, ".")])],
        uncertainty_ns=2 * MS,
    )
    assert {(change.host, change.ahead_ns) for change in found.changes} == {
        ("a", -4 * MS),
        ("b", 4 * MS),
    }


def test_snapshot_is_taken_when_the_last_call_ended(tmp_path):
    """The call that started first ends last."""
    calls = [(500, 495, Outcome.SUCCEEDED), *((at, 1, Outcome.FAILED) for at in (11, 21, 31))]
    observed = [
        CallObserved(0, at * MS, "bank", (at - took) * MS, took * MS, outcome)
        for at, took, outcome in sorted(calls)
    ]
    found = merged(tmp_path, [written("a", *observed)], config=CONFIG)
    assert found.snapshot.retry_after == pytest.approx(1 - 0.469, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(
    trace=rst.traces(breakers=("bank",)),
    config=rst.configurations(),
    hosts=st.lists(st.sampled_from("abc"), min_size=40, max_size=40),
    sooner=st.lists(st.integers(0, 10**9), min_size=3, max_size=3),
)
def test_calls_split_over_hosts_are_driven_like_one_trace(
    tmp_path_factory, trace, config, hosts, sooner
):
    """Each host's log began at another time by its own clock, and all clocks are right."""
    opening, *calls = trace
    # A log does not show which of two calls at the same instant was first.
    calls = list({call.start: call for call in calls}.values())
    calls = list({call.at: call for call in calls}.values())
    calls.sort(key=lambda call: call.at)
    began = dict(zip("abc", sooner, strict=True))
    logs = []
    for host in sorted(set(hosts[: len(calls)])):
        own = [call for call, of in zip(calls, hosts, strict=False) if of == host]
        wall = opening.wall - timedelta(microseconds=began[host])
        events = [
            evolve(c, at=c.at + began[host] * 1000, start=c.start + began[host] * 1000) for c in own
        ]
        logs.append(
            [
                evolve(e, seq=n)
                for n, e in enumerate([evolve(opening, wall=wall, host=host), *events], 1)
            ]
        )
    found = merged(tmp_path_factory.mktemp("hosts"), logs, config=config)
    alone = replay([evolve(e, seq=n) for n, e in enumerate([opening, *calls], 1)], config=config)
    shift = (opening.wall - EPOCH) // timedelta(microseconds=1) * 1000
    assert [told_of(edge, shift) for edge in found.edges] == [told_of(e, 0) for e in alone.edges]
    assert sum(share.calls for share in found.hosts) == len(calls)
    last = alone.snapshots["bank"]  # read at another time, so its window may differ
    assert found.snapshot.totals == last.totals
    assert found.snapshot.state is last.state


def told_of(edge, shift):
    cause = edge.cause
    return (
        *(edge.epoch, edge.at - shift, edge.from_state, edge.to_state, edge.trigger),
        *(cause.rule, cause.observed, cause.threshold, cause.calls, cause.rate),
    )
