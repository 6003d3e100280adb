"""Imported calls drive live breakers, in the order of time."""

from datetime import UTC, datetime

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recloser import CircuitBreakerConfig, EventLog, MemoryLog, NotALogError, Outcome
from recloser.core.events import (
    CallFailed,
    CallIgnored,
    CallObserved,
    CallSucceeded,
    LogOpened,
    LogSealed,
)
from recloser.history import live_driver as drive_module
from recloser.history.engine import is_traffic, replay
from recloser.history.live_driver import DrivenEvents, drive
from recloser.log.codec import encode
from recloser.testing import strategies as rst

MS = 10**6
OPENED = LogOpened(1, 0, 1, 1, 1, datetime(2026, 1, 1, tzinfo=UTC), 0, "", "", 1, "0")


def trace(*calls):
    """Calls as (start, took, outcome) in milliseconds, sorted by their ends."""
    ends = sorted(calls, key=lambda call: call[0] + call[1])
    events = [OPENED]
    for seq, (start, took, outcome) in enumerate(ends, start=2):
        error = "503" if outcome == "failed" else None
        events.append(
            CallObserved(
                seq, (start + took) * MS, "b", start * MS, took * MS, Outcome(outcome), error
            )
        )
    return events


def driven(*calls, **settings):
    log = MemoryLog(tick_seconds=None)
    drive(trace(*calls), CircuitBreakerConfig(**settings), log)
    return list(log)


def test_call_reports_at_its_end_with_its_own_duration():
    events = driven((0, 30, "succeeded"), (10, 5, "failed"), (40, 2, "ignored"))
    assert [(type(e), e.at, e.took) for e in events if hasattr(e, "took")] == [
        (CallFailed, 15 * MS, 5 * MS),
        (CallSucceeded, 30 * MS, 30 * MS),
        (CallIgnored, 42 * MS, 2 * MS),
    ]
    assert next(e for e in events if isinstance(e, CallFailed)).error == "503"


def test_ends_come_before_starts_at_equal_times():
    """The failure that trips ends exactly when the next call starts, which is then rejected."""
    events = driven((0, 10, "failed"), (10, 5, "succeeded"), failure_threshold=1)
    assert [e.kind for e in events if e.seq > 2] == [
        "call_failed",
        "state_changed",
        "call_rejected",
    ]


def test_call_without_duration_ends_before_the_next_starts():
    events = driven((5, 0, "failed"), (5, 0, "failed"), failure_threshold=1)
    assert [e.kind for e in events if e.seq > 2] == [
        "call_failed",
        "state_changed",
        "call_rejected",
    ]


def test_call_that_began_before_the_trip_is_stale():
    events = driven((0, 1000, "failed"), (1, 1, "failed"), failure_threshold=1)
    history = replay(events)
    assert history.snapshots["b"].totals.stale == 1
    assert len(history.edges) == 1


def test_rejected_call_reports_nothing():
    history = replay(
        trace((0, 1, "failed"), (5, 1, "failed")), config=CircuitBreakerConfig(failure_threshold=1)
    )
    totals = history.snapshots["b"].totals
    assert (totals.failed, totals.rejected) == (1, 1)


def test_driven_log_has_the_times_of_the_trace():
    history = replay(trace((500, 250, "failed")), config=CircuitBreakerConfig(failure_threshold=1))
    (edge,) = history.edges
    assert edge.at == 750 * MS
    assert history.timeline.text(edge.at) == "2026-01-01T00:00:00.750000000Z"


def test_driven_log_can_be_kept_and_replayed(tmp_path):
    calls = [(n * 10, 1, "failed" if n < 20 else "succeeded") for n in range(60)]
    config = CircuitBreakerConfig(failure_threshold=3, recovery_timeout_seconds=0.1)
    with EventLog(tmp_path / "driven", tick_seconds=None, seal_seconds=None) as log:
        history = replay(trace(*calls), config=config, into=log)
    kept = replay(tmp_path / "driven")
    assert kept.edges == history.edges
    assert kept.digest == replay(trace(*calls), config=config).digest
    assert kept.differences == []
    assert kept.witnesses == len(kept.edges) > 3


def line_of(event):
    """The line of an event, without the fields that only writing sets."""
    if isinstance(event, LogSealed):
        event = attrs.evolve(event, count=0, digest="")
    if isinstance(event, LogOpened):
        event = attrs.evolve(event, pid=0, host="")
    return encode(event)


@given(
    rst.traces(max_calls=80),
    rst.configurations(),
    st.sampled_from([1, 7, 10_000]),
    st.sampled_from([2, 20_000]),
)
@settings(max_examples=30)
def test_events_driven_anew_equal_those_of_a_kept_log(
    tmp_path_factory, trace, config, every, in_memory
):
    """However often the log is flushed, and whether calls are sorted in memory or on disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drive_module, "FLUSH_EVERY", every)
        patch.setattr(drive_module, "_SORTED_IN_MEMORY", in_memory)
        with EventLog(
            tmp_path_factory.mktemp("driven") / "log",
            durability="memory",
            tick_seconds=None,
            seal_seconds=None,
            host="",
        ) as log:
            drive(trace, config, log)
        *written, last = map(line_of, log)
        events = DrivenEvents(trace, config)
        for _ in range(2):
            # As no log is closed, there may be no last seal.
            assert list(map(line_of, events)) in (written, [*written, last])
        assert replay(trace, config=config).edges == replay(list(log)).edges


def test_progress_is_reported_while_driving():
    reported = []
    calls = trace(*((n, 1, "succeeded") for n in range(1200)))
    replay(calls, on_driven=lambda done, total: reported.append((done, total)))
    assert reported == [(0, 1201), (500, 1201), (1000, 1201)]


def test_imported_calls_are_distinguished_from_events_of_breakers():
    assert is_traffic(trace((0, 1, "failed")))
    assert not is_traffic(driven((0, 1, "failed")))
    assert not is_traffic([OPENED])


def test_trace_without_a_header_is_an_error():
    with pytest.raises(NotALogError, match="begins with a log_opened"):
        drive(trace((0, 1, "failed"))[1:], CircuitBreakerConfig(), MemoryLog())
