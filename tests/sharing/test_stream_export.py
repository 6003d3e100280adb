"""Exported streams: a log on disk that folds to the state of every process."""

import pytest
from breaker_calls import fail, succeed
from redis_servers import wait_for

from recloser import CircuitBreaker, CircuitBreakerConfig, LogError, replay, why
from recloser.core.log_fold import LogFold
from recloser.core.state import dump
from recloser.log.reader import LogReader
from recloser.log.verification import verify
from recloser.proof.proof import prove
from recloser.sharing import stream_fold as course_module
from recloser.sharing.stream_export import events_of, export_stream

CONFIG = CircuitBreakerConfig(
    failure_threshold=3, recovery_timeout_seconds=0.1, half_open_success_threshold=1
)


@pytest.fixture
def pair(redis_server, stream, make_log):
    return [CircuitBreaker("b", CONFIG, log=make_log(redis_server, stream)) for _ in range(2)]


def synchronize(*breakers):
    for _ in range(2):
        for breaker in breakers:
            breaker._sequencer._log.flush()


def run_outage(here, there):
    succeed(here, 4)
    fail(there, 3)
    wait_for(lambda: here.before_call().allowed and here.current_state().value != "CLOSED")
    here.after_success()
    synchronize(here, there)
    succeed(there, 2)
    synchronize(here, there)


def fold_of(path):
    fold = LogFold()
    for event in LogReader(path):
        fold.apply(event)
    return fold


def test_fold_of_the_exported_log_equals_the_state_of_every_process(
    redis_server, stream, pair, tmp_path
):
    run_outage(*pair)
    exported = export_stream(redis_server.url, stream, tmp_path / "log")
    fold = fold_of(tmp_path / "log")
    for breaker in pair:
        assert dump(fold.breakers["b"]) == dump(breaker._state)
        assert fold.snapshot("b") == breaker.snapshot()
    assert exported.is_whole
    assert exported.seq == fold.seq == pair[0]._sequencer.fold.seq + 1
    assert (exported.breakers, exported.edges) == (1, 3)


def test_exported_log_verifies_and_replays(redis_server, stream, pair, tmp_path):
    run_outage(*pair)
    path = tmp_path / "log"
    export_stream(redis_server.url, stream, path)
    history = replay(path)
    assert history.differences == []
    assert history.witnesses == 3
    assert [edge.trigger.value for edge in history.edges] == ["trip", "cool", "recover"]
    assert why(history, "b").rule.rule.value == "consecutive_failures"
    assert prove(path).holds
    assert history.tail.unsealed == history.tail.torn == 0
    assert verify(path).damages == []


def test_trimmed_stream_is_exported_from_its_first_checkpoint(
    redis_server, stream, make_log, tmp_path, monkeypatch
):
    monkeypatch.setattr(course_module, "CHECKPOINT_EVERY", 10)
    log = make_log(redis_server, stream, keep_entries=15)
    breaker = CircuitBreaker("b", CircuitBreakerConfig(failure_threshold=1000), log=log)
    for _ in range(60):
        fail(breaker)
        log.flush()
    synchronize(breaker)
    path = tmp_path / "log"
    exported = export_stream(redis_server.url, stream, path)
    assert not exported.is_whole
    assert len(list(path.iterdir())) >= 2, "a segment begins with each checkpoint"
    assert replay(path).differences == []
    assert dump(fold_of(path).breakers["b"]) == dump(breaker._state)
    assert breaker._state.failed == 60
    assert list(log) == list(events_of(log._connection))


def test_existing_folder_is_not_overwritten(redis_server, stream, pair, tmp_path):
    (tmp_path / "log").mkdir()
    with pytest.raises(LogError, match="exists already"):
        export_stream(redis_server.url, stream, tmp_path / "log")


def test_missing_stream_is_refused_and_leaves_no_file(redis_server, tmp_path):
    with pytest.raises(LogError, match=r"has no stream recloser:\{none\}"):
        export_stream(redis_server.url, "none", tmp_path / "log")
    assert list(tmp_path.iterdir()) == []


def test_stream_trimmed_by_something_else_is_refused(redis_server, stream, pair, tmp_path):
    run_outage(*pair)
    with redis_server.client() as client:
        client.xtrim(f"recloser:{{{stream}}}", maxlen=1, approximate=False)
    with pytest.raises(LogError, match="something else has trimmed"):
        export_stream(redis_server.url, stream, tmp_path / "log")


def test_key_of_another_type_is_refused(redis_server, stream, tmp_path):
    with redis_server.client() as client:
        client.set(f"recloser:{{{stream}}}", "x")
    with pytest.raises(LogError, match="WRONGTYPE"):
        export_stream(redis_server.url, stream, tmp_path / "log")
