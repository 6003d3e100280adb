"""Folding a whole log by columns gives the same result as event by event."""

import os
import subprocess
import sys
from unittest import mock

import pytest
from adversarial import AdversarialLog
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from lives import Life

from recloser import CircuitBreakerConfig, CountWindow, EventLog, ManualClock, TimeWindow
from recloser.history import engine
from recloser.history.columnar.columnar_fold import NeedsEventsError, fold_columns
from recloser.history.engine import _fold_singly, replay
from recloser.log import parquet
from recloser.log.codec import encode
from recloser.log.parquet import ParquetLog, write_parquet
from recloser.log.reader import LogReader
from recloser.testing import strategies as rst

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
            for _ in range(15):
                life.live(100)
                log.flush()  # so that a segment is full when it is, however late the writer's thread
    return folder / "log"


def columns_of(events, folder):
    write_parquet(events, folder / "log.parquet")
    return fold_columns(ParquetLog(folder / "log.parquet"))


def test_columns_give_the_edges_states_and_witnesses_of_the_log(recorded, tmp_path):
    by_event = _fold_singly(LogReader(recorded), ())
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


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**9),
    configs=st.lists(rst.configurations(), min_size=1, max_size=4),
    breakers=st.integers(1, 4),
    row_group=st.sampled_from([1, 7, 100, 1 << 20]),
)
def test_adversarial_log_has_one_history_in_both_formats(
    tmp_path_factory, seed, configs, breakers, row_group
):
    folder = tmp_path_factory.mktemp("adversarial")
    lines, columns = written(AdversarialLog(seed, configs, breakers).grow(200), folder, row_group)
    by_event = _fold_singly(LogReader(lines), ())
    with mock.patch.object(engine, "_fold_singly", None):
        by_line, by_column = replay(lines), replay(columns)
    assert by_column.engine == "columns"
    assert by_column.engine_reason is None
    for by_rows in (by_line, by_column):
        assert by_rows.edges == by_event.edges
        assert by_rows.snapshots == by_event.snapshots
        assert by_rows.witnesses == by_event.witnesses
        assert list(by_rows.differences) == []


def written(log, folder, row_group=1 << 20):
    """A log as JSONL and as Parquet."""
    lines, columns = folder / "log.jsonl", folder / "log.parquet"
    lines.write_bytes(b"".join(map(encode, log.events)))
    with mock.patch.object(parquet, "ROW_GROUP", row_group):
        write_parquet(log.events, columns)
    return lines, columns


@pytest.mark.parametrize("pure", ["0", "1"])
def test_history_is_the_same_compiled_and_interpreted(tmp_path, pure):
    expected, paths = [], []
    for seed in range(8):
        folder = tmp_path / str(seed)
        folder.mkdir()
        log = AdversarialLog(seed, CONFIGS, 3).grow(1_000)
        paths += map(str, written(log, folder))
        expected += [replay(log.events).digest] * 2
    program = "import sys, recloser\nfor path in sys.argv[1:]: print(recloser.replay(path).digest)"
    done = subprocess.run(
        [sys.executable, "-c", program, *paths],
        env={**os.environ, "RECLOSER_PURE": pure},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == expected


def test_log_with_a_differing_checkpoint_is_folded_event_by_event(recorded, tmp_path):
    events = list(LogReader(recorded))
    index = max(n for n, event in enumerate(events) if event.kind == "checkpoint")
    state = dict(events[index].state)
    events[index] = evolve(events[index], state={**state, "succeeded": state["succeeded"] + 1})
    with pytest.raises(NeedsEventsError, match="edges or states differ"):
        columns_of(events, tmp_path)


def test_log_with_a_gap_is_folded_event_by_event(recorded, tmp_path):
    from recloser.core.events import LogGap

    events = list(LogReader(recorded))
    last = events[-1]
    events.append(LogGap(last.seq + 9, last.at, lost=8))
    with pytest.raises(NeedsEventsError, match="events are missing"):
        columns_of(events, tmp_path)
