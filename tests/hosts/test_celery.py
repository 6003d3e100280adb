"""Processes of Celery's prefork pool, through an outage and a restart.

The broker is a folder. The parent imports the service, and with it opens the log; its children are
forked.
"""

import json
from collections import Counter

import pytest
from celery_settings import settings
from host_servers import (
    assert_calm,
    by_worker,
    calls_noted,
    count_of_workers_with,
    served,
    wait_until_all_is_recorded,
)
from redis_servers import wait_for

celery = pytest.importorskip("celery", reason="celery is not installed")

WORKERS = 2
THRESHOLD = 3
AT_ONCE = 4 * WORKERS
COMMAND = ["celery", "-A", "celery_app", "worker", "--pool", "prefork", "-c"]
QUIETLY = ["--loglevel", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat"]


@pytest.fixture(params=["early", "late"])
def made(request):
    """Whether breakers are created on import, or by the first call of a process."""
    return request.param


@pytest.fixture
def send(tmp_path):
    """A function that sends tasks of a name and counts them in ``sent``."""
    with celery.Celery("sender", broker="filesystem://") as app:
        app.conf.update(settings(tmp_path))

        def send(name, times=AT_ONCE):
            send.sent[name] += times
            for _ in range(times):
                app.send_task(name)

        send.sent = Counter()
        yield send


def worked(folder, made, log="shared", workers=WORKERS):
    command = [*COMMAND, str(workers), *QUIETLY]
    (folder / "calls").touch()
    (folder / "views").touch()
    return served(command, folder, listens=False, HOST_BREAKER=made, HOST_LOG=log)


def send_until(holds, send, name):
    """Send tasks in groups until a condition holds."""

    def holds_after_more_tasks():
        send(name)
        try:
            wait_for(holds, 0.5)
        except TimeoutError:
            return False
        return True

    # Celery gives no limit for the time until each process has had a task.
    wait_for(holds_after_more_tasks, 40)


def stop(server, send):
    server.stop(meanwhile=lambda: send("wake up", 1))


def go_through_an_outage(folder, send):
    """All processes succeed, fail and reject; each breaker trips by its own failures."""
    before = len(calls_noted(folder))

    def pay_until_all_have(outcome):
        def have_all():
            calls = calls_noted(folder)
            # All tasks are done, so none is running when the worker is stopped.
            is_done = len(calls) == send.sent["pay"]
            return is_done and count_of_workers_with(outcome, calls[before:]) == WORKERS

        send_until(have_all, send, "pay")

    pay_until_all_have("succeeded")
    (folder / "down").touch()
    pay_until_all_have("rejected")
    (folder / "down").unlink()
    counts = by_worker(calls_noted(folder)[before:])
    assert len(counts) == WORKERS
    assert {count["failed"] for count in counts.values()} == {THRESHOLD}
    return set(counts)


def test_forked_celery_processes_record_every_outcome_across_a_restart(tmp_path, send, made):
    with worked(tmp_path, made) as server:
        earlier = go_through_an_outage(tmp_path, send)
        wait_until_all_is_recorded(tmp_path)
        stop(server, send)
        wait_until_all_is_recorded(tmp_path)
        server.start()
        assert not go_through_an_outage(tmp_path, send) & earlier
        wait_until_all_is_recorded(tmp_path)
        stop(server, send)
        assert_calm(server)
    wait_until_all_is_recorded(tmp_path)


def test_forked_celery_processes_share_one_breaker_through_redis(tmp_path, send, own_redis, made):
    """Two failures in each of four processes open the breaker; all processes see one trip."""
    workers = 4

    def views():
        lines = (tmp_path / "views").read_text().splitlines()
        return {view["pid"]: view for view in map(json.loads, lines)}

    def have_two_failures_each():
        counts = by_worker(calls_noted(tmp_path))
        return len(counts) == workers and all(count["failed"] == 2 for count in counts.values())

    def are_all_open():
        return len(views()) == workers and all(v["state"] == "OPEN" for v in views().values())

    (tmp_path / "down").touch()
    with worked(tmp_path, made, own_redis.url, workers) as server:
        send_until(have_two_failures_each, send, "pay twice at most")
        send_until(are_all_open, send, "view")
        stop(server, send)
        assert_calm(server)
    last = list(views().values())
    assert len({view["member"] for view in last}) == workers
    assert {view["failed"] for view in last} == {2 * workers}
    assert [trigger for _, trigger in last[0]["edges"]] == ["trip"]
    assert all(view["edges"] == last[0]["edges"] for view in last)
