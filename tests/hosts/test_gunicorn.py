"""Four workers of gunicorn, through an outage and a restart."""

import os
import signal

import pytest
from host_servers import (
    assert_calm,
    by_worker,
    calls_noted,
    count_of_workers_with,
    served,
    wait_until_all_is_recorded,
)
from redis_servers import wait_for

from recloser import replay

pytest.importorskip("gunicorn", reason="gunicorn is not installed")

WORKERS = 4
THRESHOLD = 3
COMMAND = ["gunicorn", "--bind", "fd://{fd}", "-w", str(WORKERS), "--graceful-timeout", "5"]


@pytest.fixture(params=["early", "late"])
def made(request):
    """Whether breakers are created on import, or by the first call of a worker."""
    return request.param


def preloaded(folder, made, log="shared"):
    command = [*COMMAND, "--preload", "service_app:wsgi"]
    return served(command, folder, HOST_BREAKER=made, HOST_LOG=log)


def go_through_an_outage(server, earlier=()):
    """All workers succeed, fail and reject; each breaker trips by its own failures."""
    answers = server.get_until(lambda so_far: count_of_workers_with("succeeded", so_far) >= WORKERS)
    server.begin_outage()
    answers += server.get_until(lambda so_far: count_of_workers_with("rejected", so_far) >= WORKERS)
    server.end_outage()
    counts = by_worker(answers)
    assert len(counts) == WORKERS
    assert not counts.keys() & set(earlier)
    assert {count["failed"] for count in counts.values()} == {THRESHOLD}
    return set(counts)


def test_preloaded_gunicorn_workers_record_every_outcome(tmp_path, made):
    """Each worker has its own log, in addition to that of the parent."""
    with preloaded(tmp_path, made) as server:
        go_through_an_outage(server)
        wait_until_all_is_recorded(tmp_path)
        server.stop()
        assert_calm(server)
    wait_until_all_is_recorded(tmp_path)


def test_replaced_gunicorn_workers_record_every_outcome(tmp_path, made):
    with preloaded(tmp_path, made) as server:
        earlier = go_through_an_outage(server)
        server.signal(signal.SIGHUP)
        server.get_until(lambda so_far: len(by_worker(so_far).keys() - earlier) == WORKERS)
        wait_for(lambda: not any(map(is_alive, earlier)))
        go_through_an_outage(server, earlier)
        wait_until_all_is_recorded(tmp_path)
        server.stop()
        assert_calm(server)
    wait_until_all_is_recorded(tmp_path)


def test_gunicorn_workers_with_free_slots_recover_their_state_after_a_restart(tmp_path, made):
    """Each worker imports the service and opens the first log that is not in use."""
    command = [*COMMAND, "service_app:wsgi"]
    with served(command, tmp_path, HOST_BREAKER=made, HOST_LOG="own") as server:
        go_through_an_outage(server)
        server.stop()
        wait_until_all_is_recorded(tmp_path)
        before = len(calls_noted(tmp_path))
        server.start()
        answers = server.get_until(lambda so_far: len(by_worker(so_far)) == WORKERS)
        assert {answer["outcome"] for answer in answers} == {"rejected"}
        server.stop()
        assert_calm(server)
    assert len(calls_noted(tmp_path)) == before + len(answers)
    wait_until_all_is_recorded(tmp_path)
    for number in range(1, WORKERS + 1):
        history = replay(tmp_path / f"log-{number}")
        assert history.differences == []
        assert [edge.trigger.value for edge in history.edges] == ["trip"]


def test_preloaded_gunicorn_workers_share_one_breaker_through_redis(tmp_path, own_redis, made):
    """Two failures in each of four workers open the breaker; all workers see one trip."""
    with preloaded(tmp_path, made, own_redis.url) as server:
        server.get_until(lambda so_far: len(by_view(so_far)) == WORKERS, "/view")
        server.begin_outage()
        answers = server.get_until(has_two_failures_each, "/twice")
        views = server.get_until(is_open_in_all, "/view")
        server.stop()
        assert_calm(server)
    last = by_view(views)
    assert len({view["member"] for view in last.values()}) == WORKERS
    assert {view["failed"] for view in last.values()} == {2 * WORKERS}
    edges = [view["edges"] for view in last.values()]
    assert [trigger for _, trigger in edges[0]] == ["trip"]
    assert all(seen == edges[0] for seen in edges)
    assert by_worker(answers).keys() == last.keys()


def has_two_failures_each(answers):
    counts = by_worker(answers)
    return len(counts) == WORKERS and all(count["failed"] == 2 for count in counts.values())


def by_view(views):
    return {view["pid"]: view for view in views}


def is_open_in_all(views):
    last = by_view(views)
    return len(last) == WORKERS and all(view["state"] == "OPEN" for view in last.values())


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
