"""Hosts merged: one breaker over the calls of all, and what the clocks leave open."""

from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve

from recloser import CircuitBreaker, CircuitBreakerConfig, ManualClock, MemoryLog, replay
from recloser.errors import ConfigError
from recloser.events import CallObserved, LogOpened, Outcome
from recloser.fleet.dataset import urls_of
from recloser.fleet.many import sources_of
from recloser.fleet.merging import merge_many
from recloser.fleet.running import Here
from recloser.log.parquet import write_parquet

MS = 10**6
START = datetime(2026, 11, 24, 12, tzinfo=UTC)
CONFIG = CircuitBreakerConfig(failure_threshold=3, recovery_timeout_seconds=1)


def recorded(host, calls, wall=START, config=CONFIG):
    """The log of a live breaker: each call as milliseconds and its outcome, ``F`` or ``.``."""
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


def test_failures_of_several_hosts_trip_the_breaker_they_share(tmp_path):
    logs = [recorded("a", [(10, "F"), (50, "F")]), recorded("b", [(30, "F"), (70, ".")])]
    assert not any(replay(log).edges for log in logs)
    found = merged(tmp_path, logs)
    assert trips(found) == [timedelta(milliseconds=50)]
    assert found.config == CONFIG
    assert [(share.host, share.calls) for share in found.hosts] == [("a", 2), ("b", 2)]
    assert found.snapshot.totals.rejected == 1


def test_hosts_are_put_in_order_by_wall_time_whenever_their_logs_began(tmp_path):
    """The second log begins a minute later: a success of the first stands between its failures."""
    logs = [
        recorded("a", [(0, "F"), (60_050, ".")]),
        recorded("b", [(10, "F"), (100, "F")], wall=START + timedelta(minutes=1)),
    ]
    assert trips(merged(tmp_path, logs)) == []


def test_one_host_alone_is_driven_as_its_traffic(tmp_path):
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


def test_an_order_within_the_uncertainty_that_changes_an_edge_is_told(tmp_path):
    """Three failures in a row, if the success of the other host came 3 ms later than it seems."""
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
        assert all(change.moved.got == "one edge more" for change in found.changes)


def test_calls_that_a_host_refused_are_left_out_and_counted(tmp_path):
    calls = [(n, "F") for n in range(10, 15)]
    found = merged(tmp_path, [recorded("a", calls), recorded("b", [(1, ".")])])
    assert [(share.calls, share.refused) for share in found.hosts] == [(3, 2), (1, 0)]


def test_hosts_of_different_settings_need_those_of_the_shared_breaker(tmp_path):
    other = CircuitBreakerConfig(failure_threshold=9)
    logs = [recorded("a", [(1, "F")]), recorded("b", [(2, "F"), (3, "F")], config=other)]
    with pytest.raises(ConfigError, match="the hosts a, b have different settings of 'bank'"):
        merged(tmp_path, logs)
    sources = sources_of(urls_of(str(tmp_path)), Here())
    (found,) = merge_many(sources, Here(), config=CONFIG)
    assert trips(found) == [timedelta(milliseconds=3)]
