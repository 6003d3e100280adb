"""Replay on real dask workers: same results, though workers die and memory is small."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import large_dataset
import pyarrow.parquet as pq
import pytest
from dask_processes import dask_scheduler, dask_worker
from distributed import Client
from runners import Here

from conftest import RECORDED_LOGS
from recloser import CircuitBreakerConfig, replay
from recloser.cluster.dataset import urls_of
from recloser.cluster.dataset_tuning import tune_many
from recloser.cluster.executor import DaskRunner, cluster, local_cluster
from recloser.cluster.many_logs import replay_many, sources_of
from recloser.cluster.merging import merge_many
from recloser.errors import NotALogError, RecloserError
from recloser.log.parquet import write_parquet
from recloser.log.reader import LogReader

FIXTURES = RECORDED_LOGS
LIMIT = 300_000_000
COPIES = 8


@pytest.fixture(scope="module")
def client():
    with (
        local_cluster(2, memory_limit=LIMIT) as workers,
        Client(workers, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A dataset larger than the memory of both workers: copies of one log."""
    folder = tmp_path_factory.mktemp("large")
    large_dataset.write(folder / "0.parquet", "host", breakers=3, calls=400_000)
    for number in range(1, COPIES):
        shutil.copy(folder / "0.parquet", folder / f"{number}.parquet")
    return folder


def found_on(runner, folder, **more):
    return replay_many(sources_of(urls_of(str(folder)), runner), runner, **more)


def test_two_workers_compute_the_digests_of_one_machine(client, tmp_path):
    for number, path in enumerate(FIXTURES):
        write_parquet(LogReader(path), tmp_path / f"{number}.parquet")
    runner = DaskRunner(client)
    found = found_on(runner, tmp_path)
    assert [history.digest for history in found.histories] == [
        replay(path).digest for path in FIXTURES
    ]
    sources = found.sources
    config = CircuitBreakerConfig(failure_threshold=4)
    grid = [{"failure_threshold": threshold} for threshold in range(2, 9)]
    for work in (
        lambda runner: merge_many(sources, runner, config=config, uncertainty_ns=10**9),
        lambda runner: tune_many(sources, runner, {}, grid),
    ):
        assert work(runner) == work(Here())


def test_dataset_larger_than_worker_memory_is_replayed_though_one_worker_is_killed(client, large):
    assert COPIES * pq.read_table(large / "0.parquet").nbytes > 2 * LIMIT
    pids = client.run(os.getpid)
    killed = []

    def kill_one(_done, _total):
        at_work = [worker for worker, tasks in client.processing().items() if tasks]
        if not killed:
            os.kill(pids[at_work[0]], signal.SIGKILL)
            killed.append(at_work[0])

    found = found_on(DaskRunner(client), large, on_done=kill_one)
    alone = replay(large / "0.parquet")
    assert len(alone.edges) > 30
    assert [history.digest for history in found.histories] == [alone.digest] * COPIES
    assert found.histories[0].edges == alone.edges
    client.wait_for_workers(2, timeout=30)
    dead = pids.pop(killed[0])
    (survivor,) = pids.values()
    now = set(client.run(os.getpid).values())
    assert survivor in now  # dask kills a worker that exceeds its limit too
    assert dead not in now
    if sys.platform == "linux":
        assert most_memory(survivor) < LIMIT


def most_memory(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])


def test_unreadable_file_raises_the_same_error_as_locally(client):
    with pytest.raises(NotALogError, match=r"^/nothing\.parquet: there is no such file$"):
        sources_of(["/nothing.parquet"], DaskRunner(client))


def test_workers_that_die_repeatedly_are_reported(client):
    with pytest.raises(RecloserError, match="may need more memory than their limit"):
        DaskRunner(client).run(os._exit, [(1,)])
    client.wait_for_workers(2, timeout=30)


def test_progress_is_reported_for_each_job(client):
    progress = []
    DaskRunner(client).run(len, [("a",)] * 3, on_done=lambda *done: progress.append(done))
    assert progress == [(1, 3), (2, 3), (3, 3)]


def test_remaining_jobs_are_cancelled_when_one_fails(client):
    with pytest.raises(TypeError, match="str") as raised:
        DaskRunner(client).run(time.sleep, [("soon",), *[(0.05,)] * 50])
    waited = time.monotonic() + 30
    while client.run_on_scheduler(tasks_of) > 25:  # jobs that were done by then may stay
        assert time.monotonic() < waited
        time.sleep(0.01)
    assert raised.tb is not None  # its traceback keeps the futures alive, but not the jobs


def tasks_of(dask_scheduler):
    return len(dask_scheduler.tasks)


KILLING = """
import os, signal, sys, time
from recloser.errors import RecloserError
from recloser.cluster.executor import cluster

try:
    with cluster(sys.argv[1]) as runner:
        runner.run(time.sleep, [(0,), (60,)], lambda *_: os.kill(int(sys.argv[2]), signal.SIGKILL))
except RecloserError as error:
    print(error)
"""


def test_dead_scheduler_is_reported_in_one_line(tmp_path):
    with dask_scheduler(tmp_path) as (address, pid), dask_worker(tmp_path, address):
        done = subprocess.run(
            [sys.executable, "-c", KILLING, address, str(pid)],
            capture_output=True,
            text=True,
            check=False,
        )
    said = "the scheduler or its workers have gone away\n"
    assert (done.stdout, done.stderr, done.returncode) == (said, "", 0)


def test_scheduler_that_does_not_answer_is_reported():
    with (
        pytest.raises(RecloserError, match="no scheduler of dask answers there"),
        cluster("nonsense://nowhere"),
    ):
        pass


def test_running_scheduler_is_used_and_left_running(client):
    address = client.scheduler.address
    with cluster(address) as runner:
        assert runner.run(len, [("abc",), ("",)]) == [3, 0]
    assert client.submit(len, "ab").result() == 2
