"""The columns of a whole log: several breakers, sessions and checkpoints, as event by event."""

import pytest
from attrs import evolve
from lives import Life

from recloser import CircuitBreakerConfig, CountWindow, EventLog, ManualClock, TimeWindow
from recloser.columns.folding import NeedsEventsError, fold_columns
from recloser.log.parquet import ParquetLog, write_parquet
from recloser.log.reader import LogReader
from recloser.replay.engine import fold_history

CONFIGS = [
    CircuitBreakerConfig(failure_threshold=3, recovery_timeout_seconds=1),
    CircuitBreakerConfig(
        failure_threshold=None,
        window=CountWindow(20, slow_call_rate=0.6),
        slow_call_seconds=1,
        recovery_timeout_seconds=1,
    ),
    CircuitBreakerConfig(
        failure_threshold=None,
        window=TimeWindow(5, failure_rate=0.4, slow_call_rate=0.7),
        slow_call_seconds=1,
        recovery_timeout_seconds=1,
        half_open_max_probes=3,
    ),
]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Three breakers through two restarts, in small segments that begin with checkpoints."""
    folder = tmp_path_factory.mktemp("recorded")
    for session in range(3):
        clock = ManualClock(monotonic_ns=session * 10**13)
        with EventLog(folder / "log", clock=clock, segment_bytes=50_000, host="") as log:
            life = Life(40 + session, CONFIGS, log, clock)
            life.slow = 0.4
            life.live(1_500)
    return folder / "log"


def columns_of(events, folder):
    write_parquet(events, folder / "log.parquet")
    return fold_columns(ParquetLog(folder / "log.parquet"))


def test_it_has_the_edges_states_and_witnesses_of_the_log(recorded, tmp_path):
    by_event = fold_history(LogReader(recorded))
    by_column = columns_of(LogReader(recorded), tmp_path)
    events = list(LogReader(recorded))
    assert sum(event.kind == "checkpoint" for event in events) > 10
    assert sum(event.kind == "log_opened" and event.session > 1 for event in events) > 1
    assert {edge.breaker for edge in by_event.edges} == {"b0", "b1", "b2"}
    assert {"failure_rate", "slow_call_rate", "consecutive_failures"} <= {
        edge.cause.rule.value for edge in by_event.edges
    }
    assert by_event.differences == []
    assert by_column.edges == by_event.edges
    assert by_column.snapshots == by_event.snapshots
    assert by_column.witnesses == by_event.witnesses


def test_a_checkpoint_that_differs_is_folded_event_by_event(recorded, tmp_path):
    events = list(LogReader(recorded))
    index = max(n for n, event in enumerate(events) if event.kind == "checkpoint")
    state = dict(events[index].state)
    events[index] = evolve(events[index], state={**state, "succeeded": state["succeeded"] + 1})
    with pytest.raises(NeedsEventsError, match="witnessed differs"):
        columns_of(events, tmp_path)


def test_a_log_with_a_gap_is_folded_event_by_event(recorded, tmp_path):
    from recloser.events import LogGap

    events = list(LogReader(recorded))
    last = events[-1]
    events.append(LogGap(last.seq + 9, last.at, lost=8))
    with pytest.raises(NeedsEventsError, match="events are missing"):
        columns_of(events, tmp_path)
