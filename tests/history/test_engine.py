"""Replay rebuilds what happened, and finds where the log contradicts itself."""

import hashlib

import pytest
from breaker_calls import fail, succeed
from log_files import read_lines, resealed, write_segment

from recloser import (
    CircuitBreaker,
    CircuitBreakerConfig,
    ConfigError,
    EventLog,
    MemoryLog,
    NotALogError,
)
from recloser.core.events import Checkpoint
from recloser.core.state import BreakerState, dump
from recloser.history.engine import read_events, replay
from recloser.log.codec import encode

SEGMENT = "000000000001.jsonl"


@pytest.fixture
def path(tmp_path, clock):
    """A log of an outage: a trip, a relapse and a recovery."""
    path = tmp_path / "log"
    with EventLog(path, clock=clock, tick_seconds=None) as log:
        breaker = CircuitBreaker("b", CircuitBreakerConfig(failure_threshold=3), log=log)
        succeed(breaker, 2)
        fail(breaker, 3)
        breaker.before_call()
        clock.advance(seconds=30)
        fail(breaker)
        clock.advance(seconds=30)
        succeed(breaker, 4)
    return path


def edit(path, change):
    """Change the lines of a log and make all seals match, so that only a replay finds the change."""
    segment = path / SEGMENT
    segment.write_bytes(resealed(change(read_lines(segment))))


def index_of(lines, text, nth=0):
    return [i for i, line in enumerate(lines) if text in line][nth]


def test_replayed_edges_equal_the_recorded_ones(path):
    history = replay(path)
    witnesses = [event for event in read_events(path) if event.kind == "state_changed"]
    assert history.edges == witnesses
    assert [edge.trigger.value for edge in history.edges] == [
        "trip",
        "cool",
        "relapse",
        "cool",
        "recover",
    ]
    assert history.witnesses == 5
    assert history.differences == []
    assert history.count == len(list(read_events(path)))


def test_memory_log_or_any_events_can_be_replayed(path, clock):
    expected = replay(path)
    for source in (list(read_events(path)), read_events(path), str(path), path / SEGMENT):
        history = replay(source)
        assert history.edges == expected.edges
        assert list(history.events) == list(read_events(path))
    with MemoryLog(clock=clock) as log:
        fail(CircuitBreaker("b", log=log), 5)
        assert len(replay(log).edges) == 1


def test_digest_follows_the_design(path):
    lines = "".join(
        "\x1f".join(
            (
                edge.breaker,
                str(edge.epoch),
                str(edge.at),
                edge.from_state.value,
                edge.to_state.value,
                edge.trigger.value,
            )
        )
        + "\n"
        for edge in replay(path).edges
    )
    assert lines.startswith("b\x1f1\x1f0\x1fCLOSED\x1fOPEN\x1ftrip\n")
    assert replay(path).digest == hashlib.sha256(lines.encode()).hexdigest()


def test_digest_of_no_edges_is_that_of_no_bytes(clock):
    with MemoryLog(clock=clock) as log:
        CircuitBreaker("b", log=log)
        assert replay(log).digest == hashlib.sha256().hexdigest()


def test_digest_sorts_breakers_by_name(clock):
    digests = []
    for names in ("äbZ", "Zäb"):
        log = MemoryLog(clock=clock)
        for name in names:
            fail(CircuitBreaker(name, log=log), 5)
        digests.append(replay(log).digest)
    assert digests[0] == digests[1]


def test_failure_changed_into_a_success_is_found(path):
    """The recorded trip should not have happened."""

    def change(lines):
        i = index_of(lines, b"call_failed", 1)
        lines[i] = b'{"event":"call_succeeded","seq":0,"at":0,"breaker":"b","epoch":0,"took":0}\n'
        return lines

    trip = index_of(read_lines(path / SEGMENT), b'"trigger":"trip"') + 1
    edit(path, change)
    first = replay(path).differences[0]
    assert first.seq == trip
    assert first.breaker == "b"
    assert first.expected == "no edge"
    assert first.got.startswith("trip of 'b' from CLOSED to OPEN (epoch 1)")


def test_success_changed_into_a_failure_is_found(path):
    def change(lines):
        i = index_of(lines, b"call_succeeded", 1)
        lines[i] = lines[i].replace(b"call_succeeded", b"call_failed")
        return lines

    second_failure = index_of(read_lines(path / SEGMENT), b"call_failed", 1) + 1
    edit(path, change)
    first = replay(path).differences[0]
    assert first.seq == second_failure + 1
    assert first.expected.startswith("trip of 'b' from CLOSED to OPEN (epoch 1) at 0 ns")
    assert first.got == "call_failed"


def test_removed_witness_is_found_at_its_position(path):
    lines = read_lines(path / SEGMENT)
    i = index_of(lines, b"state_changed", 2)
    edit(path, lambda lines: lines[:i] + lines[i + 1 :])
    first = replay(path).differences[0]
    assert first.seq == i + 1
    assert first.expected.startswith("relapse of 'b' from HALF_OPEN to OPEN (epoch 3)")
    assert first.got == "log_sealed"


def test_removed_witness_at_the_end_of_a_log_is_found(clock):
    with MemoryLog(clock=clock) as log:
        fail(CircuitBreaker("b", log=log), 5)
        *events, witness = log
    (difference,) = replay(events).differences
    assert (difference.seq, difference.got) == (witness.seq, "the end of the log")


def test_witness_with_other_evidence_differs(path):
    edit(path, lambda lines: [line.replace(b'"observed":3,', b'"observed":4,') for line in lines])
    (difference,) = replay(path).differences
    assert "3 of 3, on seq" in difference.expected
    assert "4 of 3, on seq" in difference.got


def test_impossible_event_ends_the_history_and_is_named(path):
    def change(lines):
        i = index_of(lines, b"probe_admitted")
        return [*lines[:i], lines[i], *lines[i:]]

    edit(path, change)
    (difference,) = replay(path).differences
    assert difference.expected == "an event that can happen in this state"
    assert (
        f"event {difference.seq} (probe_admitted): 1 probes are in flight already" in difference.got
    )


def test_open_checkpoint_without_an_opening_time_is_an_error(path, tmp_path):
    events = list(read_events(path))
    state = dump(BreakerState("b", CircuitBreakerConfig())) | {"state": "OPEN", "epoch": 1}
    checkpoint = encode(Checkpoint(3, 0, "b", state))
    segment = write_segment(tmp_path / "made", events[:2])
    segment.write_bytes(resealed([encode(events[0]), encode(events[1]), checkpoint]))
    (difference,) = replay(segment).differences
    assert difference.seq == 3
    assert difference.got == ("event 3 (checkpoint): 'b' is OPEN without an opening time")


def test_settings_are_refused_for_a_log_that_breakers_wrote(path):
    """The log holds its configuration; other settings would give another history."""
    with pytest.raises(ConfigError, match="written by breakers, whose configuration is in it"):
        replay(path, config=CircuitBreakerConfig())


def test_log_without_events_is_an_error():
    with pytest.raises(NotALogError, match="no events"):
        replay([])
