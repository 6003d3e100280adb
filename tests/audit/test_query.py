"""Answers read from the nearest checkpoint equal those from the whole log."""

from datetime import UTC, datetime

import long_log
import pytest
from attrs import evolve
from breaker_calls import fail, succeed

from recloser import (
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitBreakerState,
    EventLog,
    ManualClock,
    RecloserError,
    replay,
)
from recloser.audit import query
from recloser.audit.explanation import why
from recloser.audit.query import ALL_TRIPS, LogQuery, Question
from recloser.log.reader import LogReader, segments_of


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """A log of many segments, in which every breaker trips more than once."""
    path = tmp_path_factory.mktemp("long") / "log"
    long_log.write(
        path, 9_000, breakers=3, segment_bytes=25_000, trips_every=1_200, flush_every=100
    )
    assert len(segments_of(path)) > 15
    return path


@pytest.fixture
def ask(long):
    return lambda **question: LogQuery(long, "long").ask(Question(**question))


def events_read(monkeypatch, do):
    """How many events are folded while ``do`` runs."""
    read = []
    fold = query.fold_history
    monkeypatch.setattr(query, "fold_history", lambda e: read.append(fold(e)) or read[-1])
    do()
    return sum(history.count for history in read)


def comparable(cause):
    """The parts of a cause that must not depend on where reading began."""
    return evolve(
        cause, trip=None, trips=None, earlier=[], earlier_count=0, unread_openings=0,
        clock=evolve(cause.clock, readings=0, largest_skew_ns=0),
    )  # fmt: skip


def test_the_last_trip_has_the_same_answer_as_from_the_whole_log(long, ask):
    history = replay(long)
    breaker = history.trips()[-1].breaker
    expected = why(history, breaker)
    (cause,) = ask().answer.causes
    assert comparable(cause) == comparable(expected)
    assert cause.trip is None
    assert cause.earlier_count + cause.unread_openings >= expected.earlier_count


def test_each_trip_from_the_last_has_the_same_answer_as_from_the_whole_log(long, ask):
    history = replay(long)
    for breaker in history.snapshots:
        trips = len(history.trips(breaker))
        assert trips >= 2
        for trip in range(-trips, 0):
            (cause,) = ask(breaker=breaker, trips=[trip]).answer.causes
            assert comparable(cause) == comparable(why(history, breaker, trip))
        with pytest.raises(RecloserError, match=f"there is no trip {-trips - 1}"):
            ask(breaker=breaker, trips=[-trips - 1])


def test_the_last_trip_is_found_without_reading_the_whole_log(long, ask, monkeypatch):
    whole = replay(long).count
    assert events_read(monkeypatch, ask) < whole / 4


def test_openings_before_the_part_that_was_read_come_from_the_counters(long, ask):
    history = replay(long)
    for breaker in history.snapshots:
        (cause,) = ask(breaker=breaker).answer.causes
        openings = [e for e in history.edges if e.breaker == breaker and e.to_state.value == "OPEN"]
        assert cause.backoff.opening == len(openings)
        read = ask(breaker=breaker).history
        seen = [e for e in read.edges if e.breaker == breaker and e.to_state.value == "OPEN"]
        assert cause.unread_openings == len(openings) - len(seen)


def test_the_answer_names_the_part_that_was_read(ask):
    assert not ask().answer.read.is_from_beginning
    assert ask(is_whole=True).answer.read.is_from_beginning
    assert ask(is_whole=True).answer.causes[0].trip is not None


def test_several_trips_are_answered_in_the_order_of_the_question(long, ask):
    history = replay(long)
    trips = history.trips("b0001")
    causes = ask(breaker="b0001", trips=[-1, -2]).answer.causes
    assert [cause.seq for cause in causes] == [trips[-1].seq, trips[-2].seq]
    causes = ask(breaker="b0001", trips=[ALL_TRIPS]).answer.causes
    assert [cause.seq for cause in causes] == [trip.seq for trip in trips]
    assert [cause.trip for cause in causes] == list(range(1, len(trips) + 1))
    assert [cause.seq for cause in ask(breaker="b0001", trips=[2, 1]).answer.causes] == [
        trips[1].seq,
        trips[0].seq,
    ]


def test_the_state_at_any_time_equals_that_of_the_fold(long, ask):
    """Asks at each edge, a nanosecond before it, and by its event number."""
    history = replay(long)
    for edge in history.edges[:: max(1, len(history.edges) // 12)]:
        text = history.timeline.text(edge.at)
        standing = ask(breaker=edge.breaker, at=text).answer.standing
        assert standing.at_ns == edge.at
        last = [e for e in history.edges if e.breaker == edge.breaker and e.at <= edge.at][-1]
        assert (standing.state, standing.since_seq) == (last.to_state, last.seq)
        before = ask(breaker=edge.breaker, at=history.timeline.text(edge.at - 1)).answer.standing
        assert before.state is edge.from_state
        by_seq = ask(breaker=edge.breaker, at=f"seq:{edge.seq}").answer.standing
        assert by_seq.epoch == edge.epoch


def test_the_answer_for_a_time_in_an_open_period_has_the_trip(long, ask):
    history = replay(long)
    for trip in history.trips():
        answer = ask(breaker=trip.breaker, at=f"seq:{trip.seq}").answer
        assert answer.standing.state is CircuitBreakerState.OPEN
        assert [cause.seq for cause in answer.causes] == [trip.seq]
        assert ask(at=f"seq:{trip.seq}").answer.standing.breaker == trip.breaker
        closed = ask(breaker=trip.breaker, at=f"seq:{trip.seq - 2}").answer
        assert (closed.standing.state, closed.causes) == (CircuitBreakerState.CLOSED, [])


def test_evidence_in_earlier_segments_is_read(tmp_path):
    """The outcomes in the window are in earlier segments, among many of another breaker."""
    clock = ManualClock()
    config = CircuitBreakerConfig(failure_threshold=3)
    with EventLog(tmp_path / "log", clock=clock, segment_bytes=20_000, compress=False) as log:
        rare, busy = CircuitBreaker("rare", config, log=log), CircuitBreaker("busy", log=log)
        for _ in range(3):
            fail(rare)
            for _ in range(300):
                clock.advance(seconds=0.01)
                succeed(busy)
            log.flush()
    (cause,) = LogQuery(tmp_path / "log", "log").ask(Question()).answer.causes
    assert len(cause.evidence) == 3
    assert comparable(cause) == comparable(why(replay(tmp_path / "log"), "rare"))


def test_a_log_without_its_first_segments_is_answered_from_its_checkpoints(long, tmp_path):
    """Only the checkpoints hold the settings, including the limit for slow calls."""
    kept = tmp_path / "kept"
    kept.mkdir()
    for segment in segments_of(long)[-4:]:
        (kept / segment.name).write_bytes(segment.read_bytes())
    history = replay(kept)
    assert not history.differences
    assert history.trips()
    (cause,) = LogQuery(kept, "kept").ask(Question()).answer.causes
    assert comparable(cause) == comparable(why(replay(long), cause.breaker))
    (whole,) = LogQuery(kept, "kept").ask(Question(is_whole=True)).answer.causes
    assert whole.trip is None
    assert whole.evidence == cause.evidence


def test_the_answer_for_a_closed_breaker_says_what_closed_it_and_its_counters(tmp_path):
    clock = ManualClock()
    with EventLog(tmp_path / "log", clock=clock, tick_seconds=None) as log:
        breaker = CircuitBreaker("b", CircuitBreakerConfig(failure_threshold=3), log=log)
        fail(breaker, 2)
        log.flush()
        clock.advance(seconds=1)
        breaker.force_closed(actor="ann", reason="known")
        fail(breaker, 1)
    query_of_log = LogQuery(tmp_path / "log", "log")
    first = query_of_log.ask(Question(at="+500ms")).answer.standing
    assert first.headline == ("b was CLOSED at 2000-01-01T00:00:00.500000000Z: it had never opened")
    assert first.figures == ["consecutive failures: 2 of 3"]
    last = query_of_log.ask(Question(at="2000-01-01T00:01:00Z")).answer.standing
    assert "an operator had closed it (ann)" in last.headline
    assert (last.actor, last.reason) == ("ann", "known")
    assert last.figures == ["consecutive failures: 1 of 3"]
    with pytest.raises(RecloserError, match="there is no breaker 'c'"):
        query_of_log.ask(Question("c", at="+1s"))


def test_a_time_before_the_log_and_an_unknown_breaker_are_errors(ask):
    with pytest.raises(RecloserError, match="the log begins after that time"):
        ask(at="1999-01-01T00:00:00Z")
    for question in ({}, {"is_whole": True}, {"trips": [1]}):
        with pytest.raises(RecloserError, match="there is no breaker 'absent' in this log"):
            ask(breaker="absent", **question)


def test_a_time_in_an_answer_converts_back_to_the_same_log_time(long):
    """Wall times are interpolated; converting one back gives the exact log time."""
    history = replay(long)
    for event in list(LogReader(long))[::997]:
        text = history.timeline.text(event.at)
        utc = datetime.fromisoformat(text[:26]).replace(tzinfo=UTC)
        assert history.timeline.at(utc, int(text[26:29])) == event.at
