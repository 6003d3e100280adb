"""A log folded by several processes gives the same result as folded by one."""

import shutil
from itertools import pairwise

import pytest

from recloser import (
    CircuitBreaker,
    CircuitBreakerConfig,
    CountWindow,
    EventLog,
    ManualClock,
    RecloserError,
    TimeWindow,
)
from recloser.cli import status_of
from recloser.history import engine
from recloser.history.engine import replay
from recloser.history.parallel import SegmentRange, fold_range, split_log
from recloser.log.reader import segments_of
from recloser.log.retention import compress_full

CONFIGS = (
    CircuitBreakerConfig(failure_threshold=3, recovery_timeout_seconds=1),
    CircuitBreakerConfig(failure_threshold=None, window=CountWindow(20, 0.5)),
    CircuitBreakerConfig(window=TimeWindow(5, 0.4), half_open_success_threshold=3),
)


def write(path, calls=3000, segment_bytes=20_000):
    """Write many segments, with breakers in every state where they meet."""
    clock = ManualClock()
    with EventLog(
        path, clock=clock, durability="memory", segment_bytes=segment_bytes, compress=False, host=""
    ) as log:
        breakers = [CircuitBreaker(f"b{n}", config, log=log) for n, config in enumerate(CONFIGS)]
        for call in range(calls):
            clock.advance(ns=20_000_000)
            permit = breakers[call % 3].before_call().permit
            if permit is not None and call % 200 < 40:
                breakers[call % 3].after_failure(permit, "TimeoutError")
            elif permit is not None:
                breakers[call % 3].after_success(permit)
            if call % 50 == 0:
                log.flush()
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write(tmp_path_factory.mktemp("whole") / "log")


@pytest.fixture
def log(tmp_path, whole):
    shutil.copytree(whole, tmp_path / "log")
    return tmp_path / "log"


def history_values(history):
    """Return every value of a history, for comparison."""
    return (
        history.digest,
        history.edges,
        history.snapshots,
        history.witnesses,
        history.differences,
        history.count,
        history.tail,
        [history.timeline.text(edge.at) for edge in history.edges],
    )


def result_of(path, jobs):
    try:
        return history_values(replay(path, jobs=jobs))
    except RecloserError as error:
        return type(error), str(error)


@pytest.mark.parametrize("jobs", [2, 3])
def test_several_processes_give_the_same_history(whole, jobs, monkeypatch):
    expected = history_values(replay(whole))
    monkeypatch.setattr(engine, "_fold_in_batches", None)
    assert history_values(replay(whole, jobs=jobs)) == expected
    assert len(expected[1]) > 50


def test_compressed_segments_are_folded_in_parallel(log, monkeypatch):
    expected = history_values(replay(log))
    compress_full(log, 1000)
    monkeypatch.setattr(engine, "_fold_in_batches", None)
    assert history_values(replay(log, jobs=2)) == expected


@pytest.mark.parametrize("jobs", range(1, 30))
def test_log_may_be_split_at_any_segment(whole, jobs):
    expected = history_values(replay(whole))
    parts = split_log(segments_of(whole), jobs)
    assert [segment for part in parts for segment in part.segments] == segments_of(whole)
    assert min(jobs, len(segments_of(whole))) - 1 <= len(parts) <= jobs
    folded = [fold_range(part, is_first=part is parts[0]) for part in parts]
    for before, after in pairwise(folded):
        assert before.is_followed_by(after)
    assert [edge for part in folded for edge in part.edges] == expected[1]


def test_short_log_is_folded_by_one_process(whole):
    (part,) = split_log(segments_of(whole), None)
    assert part.following is None


def test_range_begins_only_within_a_session(tmp_path):
    """The effect of opening a session is not in the checkpoints before it."""
    for _ in range(4):
        write(tmp_path / "log", calls=30)
    parts = split_log(segments_of(tmp_path / "log"), 4)
    assert len(parts) == 1
    assert result_of(tmp_path / "log", 4) == result_of(tmp_path / "log", 1)


@pytest.mark.parametrize("index", [0, 3, 8, -1])
def test_damage_in_any_segment_is_reported_as_by_one_process(log, index):
    segment = segments_of(log)[index]
    data = segment.read_bytes()
    segment.write_bytes(data.replace(b'"at":', b'"aT":', 1))
    kind, message = result_of(log, 1)
    assert segment.name in message
    assert result_of(log, 2) == (kind, message)


def test_segment_missing_between_two_ranges_is_reported(log):
    segments = segments_of(log)
    parts = split_log(segments, 2)
    parts[1].segments[0].unlink()
    kind, message = result_of(log, 1)
    assert "not the one written after" in message
    assert result_of(log, 2) == (kind, message)


def test_ranges_of_two_logs_do_not_fit_together(tmp_path, whole):
    """Each is intact in itself; only where they meet can the difference be seen."""
    other = write(tmp_path / "other", calls=2990)
    (first, *_), (*_, last) = split_log(segments_of(whole), 4), split_log(segments_of(other), 4)
    foreign = fold_range(last)
    assert fold_range(SegmentRange(first.segments, last.segments[0]), is_first=True) is not None
    assert not fold_range(first, is_first=True).is_followed_by(foreign)


def test_changed_checkpoint_where_two_ranges_meet_is_a_difference(log):
    """All seals match, so only folding the events before it can find the change."""
    (_, second) = split_log(segments_of(log), 2)
    folded = fold_range(second)
    first = fold_range(split_log(segments_of(log), 2)[0], is_first=True)
    assert first.is_followed_by(folded)
    folded.first_states["b0"].succeeded += 1
    assert not first.is_followed_by(folded)


def test_torn_last_line_is_reported_as_by_one_process(log, capsys):
    last = segments_of(log)[-1]
    last.write_bytes(last.read_bytes() + b'{"event":"call_fai')
    assert result_of(log, 2) == result_of(log, 1)
    printed = []
    for jobs in ("1", "2"):
        assert status_of(["replay", str(log), "--json", "--jobs", jobs]) == 4
        printed.append(capsys.readouterr())
    assert printed[0] == printed[1]


def test_work_of_a_process_that_dies_is_done_here(whole, monkeypatch):
    expected = history_values(replay(whole))
    monkeypatch.setattr("sys.executable", "/bin/false")
    assert history_values(replay(whole, jobs=2)) == expected
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    assert history_values(replay(whole, jobs=2)) == expected
