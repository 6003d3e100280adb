"""Settings that ask for much: the log opens again, and its lines stay short."""

import pytest
from attrs import evolve
from log_files import write_segment

from recloser import (
    CircuitBreaker,
    CircuitBreakerConfig,
    CountWindow,
    EventLog,
    ManualClock,
    TimeWindow,
)
from recloser.cli import status_of
from recloser.core.events import Reset
from recloser.core.limits import MAX_LINE_BYTES, USUAL_LINE_BYTES
from recloser.core.log_fold import LogFold
from recloser.core.state import differing_fields
from recloser.history.engine import replay
from recloser.log.follower import LogFollower
from recloser.log.listing import segments_in
from recloser.log.parquet import write_parquet
from recloser.log.reader import LogReader
from recloser.log.segment_reader import open_segment
from recloser.log.verification import verify

MANY = 10_000
NEVER = {"failure_threshold": None}


def lines_in(path):
    for segment in segments_in(path):
        with open_segment(segment) as stream:
            yield from stream


def calls(breaker, clock, count):
    for number in range(count):
        permit = breaker.before_call().permit
        if number % 7:
            breaker.after_success(permit)
        else:
            breaker.after_failure(permit, "OSError")


def failures(breaker, clock, count):
    for _ in range(count):
        breaker.after_failure(breaker.before_call().permit, "OSError")


def a_call_a_second(breaker, clock, count):
    for _ in range(count):
        clock.advance(seconds=1)
        breaker.after_success(breaker.before_call().permit)


def probes(breaker, clock, count):
    if breaker.current_state().value == "CLOSED":
        failures(breaker, clock, 1)
    clock.advance(seconds=31)
    for number in range(count // 10):
        permit = breaker.before_call().permit
        if number % 2:
            breaker.after_success(permit)


LARGE = {
    "count window": (CountWindow(MANY, failure_rate=0.9), {}, calls),
    "time window": (TimeWindow(MANY, failure_rate=0.9), {}, a_call_a_second),
    "failures in a row": (None, {"failure_threshold": 10 * MANY}, failures),
    "failures without a rule": (None, {}, failures),
    "probes in flight": (
        None,
        {
            "failure_threshold": 1,
            "half_open_max_probes": MANY,
            "half_open_success_threshold": MANY,
            "probe_timeout_seconds": 10**6,
        },
        probes,
    ),
}


@pytest.fixture(params=LARGE)
def large(request):
    window, settings, use = LARGE[request.param]
    return CircuitBreakerConfig(**{**NEVER, "window": window, **settings}), use


def written(path, config, use, many=MANY, segment_bytes=1 << 16):
    """Four sessions; the last snapshot. Each must begin with the state that the one before left."""
    clock, left = ManualClock(), None
    for session in range(4):
        with EventLog(path, clock=clock, durability="memory", segment_bytes=segment_bytes) as log:
            breaker = CircuitBreaker("b", config, log=log)
            state = log.attach().fold.breakers["b"]
            if left is not None:  # a restart forgets the probes that were in flight
                assert set(differing_fields(left, state)) <= {"probes", "deadline"}
            use(breaker, clock, many if session < 2 else 100)
            log.flush()
            use(breaker, clock, 10)
            log.flush()  # into a segment of its own, if the one before is full
            snapshot, left = breaker.snapshot(), state.copy()
    return snapshot


def test_three_restarts_and_rotations_fold_to_the_live_state(tmp_path, large):
    path = tmp_path / "log"
    snapshot = written(path, *large)
    assert len(segments_in(path)) > 4
    assert max(map(len, lines_in(path))) < USUAL_LINE_BYTES
    assert verify(path).damages == []
    history = replay(path)
    assert history.differences == []
    assert history.snapshots == {"b": snapshot}


def test_every_way_of_reading_understands_checkpoints_in_parts(tmp_path, capsys):
    path, exported = tmp_path / "log", tmp_path / "log.parquet"
    config = CircuitBreakerConfig(
        failure_threshold=None, window=CountWindow(1_000, failure_rate=0.9)
    )
    snapshot = written(path, config, calls, 1_500, 1 << 15)
    for first in segments_in(path)[:3]:
        first.unlink()  # it begins with a checkpoint, as where retention has removed what was before
    assert any(b'"parts":' in line for line in lines_in(path))

    followed = LogFold()
    for event in LogFollower(path).poll():
        followed.apply(event)
    assert followed.snapshot("b") == snapshot

    reader = LogReader(path)
    write_parquet(reader, exported, lambda: reader.tail)
    for log in (path, exported):
        for arguments in (
            ["replay"],
            ["replay", "--jobs", "2"],
            ["why", "--at", "-1s"],
            ["whatif"],
        ):
            assert status_of([*arguments, str(log)]) == 0
        assert replay(log).snapshots == {"b": snapshot}
    assert status_of(["replay", "--prove", str(path)]) == 0
    assert status_of(["watch", "--once", str(path)]) == 0
    assert status_of(["report", str(path), "-o", str(tmp_path / "page.html")]) == 0
    capsys.readouterr()


def test_a_crash_in_the_middle_of_the_parts_leaves_the_state_of_the_segment_before(tmp_path):
    path = tmp_path / "log"
    config = CircuitBreakerConfig(
        failure_threshold=None, window=CountWindow(MANY, failure_rate=0.9)
    )
    snapshot = written(path, config, calls)
    last = segments_in(path)[-1]
    lines = last.read_bytes().splitlines(keepends=True)
    parts = [number for number, line in enumerate(lines) if b'"event":"checkpoint"' in line]
    assert len(parts) > 2
    last.write_bytes(b"".join(lines[: parts[1] + 1]))
    with EventLog(path, clock=ManualClock()) as log:
        window = CircuitBreaker("b", config, log=log).snapshot().window
    assert window.calls == snapshot.window.calls == MANY
    assert replay(path).differences == []


def test_a_trip_on_many_failures_names_the_first_and_the_last(tmp_path):
    path = tmp_path / "log"
    config = CircuitBreakerConfig(failure_threshold=2_000)
    with EventLog(path, clock=ManualClock()) as log:
        breaker = CircuitBreaker("b", config, log=log)
        failures(breaker, None, 2_000)
        cause = breaker.snapshot().why_open
    first = 3  # after the header and the settings
    assert (cause.observed, cause.calls, cause.seqs) == (2_000, 2_000, ())
    assert cause.span[0] == first
    assert cause.span[1] >= first + 1_999
    assert replay(path).differences == []


def test_a_trip_of_format_1_that_names_every_failure_is_still_reproduced(tmp_path):
    path = tmp_path / "log"
    with EventLog(path, clock=ManualClock(), seal_seconds=None, tick_seconds=None) as log:
        breaker = CircuitBreaker("b", CircuitBreakerConfig(failure_threshold=600), log=log)
        failures(breaker, None, 600)
    events = list(LogReader(path))
    trip = next(event for event in events if event.kind == "state_changed")
    seqs = tuple(event.seq for event in events if event.kind == "call_failed")
    old = evolve(trip, cause=evolve(trip.cause, seqs=seqs, calls=0, span=()))
    opened = evolve(events[0], format=1)
    old_events = [opened, *(old if event is trip else event for event in events[1:])]
    write_segment(
        tmp_path / "old",
        [event for event in old_events if event.kind != "log_sealed"],
    )
    history = replay(tmp_path / "old")
    assert (history.witnesses, history.differences) == (1, [])


def test_line_that_is_too_long_is_counted_as_lost_and_not_written(tmp_path):
    """No accepted argument makes such a line, so the test bypasses the checks."""
    path = tmp_path / "log"
    with EventLog(path, clock=ManualClock()) as log:
        breaker = CircuitBreaker("b", log=log)
        sequencer = log.attach()
        sequencer.hold(
            lambda: sequencer.append(Reset(sequencer.next_seq, 0, "b", "x" * MAX_LINE_BYTES)),
            list,
        )
        log.flush()
        log.flush()
        breaker.force_open(actor="me")
    assert log.health().lost >= 1
    assert max(map(len, lines_in(path))) < USUAL_LINE_BYTES
    assert [event.kind for event in LogReader(path)].count("log_gap") == 1
    assert replay(path).differences == []
