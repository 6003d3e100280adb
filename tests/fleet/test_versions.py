"""A cluster with another recloser is refused before any work, in a line that names what to do."""

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from distributed import Client

from conftest import ROOT
from recloser import __version__
from recloser.cli import status_of
from recloser.errors import RecloserError
from recloser.events import RULES_VERSION
from recloser.fleet import running
from recloser.fleet.running import OnCluster, cluster, started_here
from recloser.fleet.versions import check_cluster, versions

SAME = f'__version__ = "{__version__}"'
REMEDY = f"install 'recloser[dask]=={__version__}' there, and start it again"
RECORDING = ROOT / "fixtures" / "redis-killed.parquet"

OTHERS = {
    "none": (
        {"recloser/__init__.py": "raise ModuleNotFoundError('gone', name='recloser')"},
        "has no recloser",
    ),
    "another": (
        {"recloser/__init__.py": "", "recloser/version.py": '__version__ = "0.0.9"'},
        f"has recloser 0.0.9, and here it is {__version__}",
    ),
    "other rules": (
        {
            "recloser/__init__.py": "",
            "recloser/version.py": SAME,
            "recloser/events.py": "RULES_VERSION = 99",
        },
        f"has rules version 99, and here it is {RULES_VERSION}",
    ),
    "half of one": (
        {"recloser/__init__.py": "", "recloser/version.py": SAME},
        "has another recloser than here: No module named 'recloser.events'",
    ),
    "no extra": (
        {"pyarrow/__init__.py": "raise ModuleNotFoundError('gone', name='pyarrow')"},
        "lacks pyarrow",
    ),
}
"""What stands before the real libraries in another process, and what is told of it."""


@pytest.fixture
def client():
    """A scheduler that has no workers."""
    with (
        started_here(0) as workers,
        Client(workers, set_as_default=False) as client,
    ):
        yield client


@contextmanager
def started(folder, files, kind, *arguments):
    """A process of dask that finds these modules first, and then the real ones."""
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    paths = [str(folder), str(ROOT / "src")]
    command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *arguments]
    with subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield
        finally:
            process.kill()


@contextmanager
def worker(client, folder, files=()):
    """A worker of that scheduler; its address."""
    before = set(client.scheduler_info()["workers"])
    address = client.scheduler.address
    more = ["--no-nanny", "--no-dashboard", "--nthreads", "1"]
    with started(folder, dict(files), "worker", address, *more):
        client.wait_for_workers(len(before) + 1, timeout=60)
        (own,) = set(client.scheduler_info()["workers"]) - before
        yield own


@pytest.mark.parametrize("other", OTHERS)
def test_a_worker_that_differs_is_refused_by_its_address(client, tmp_path, other, capsys):
    files, told = OTHERS[other]
    scheduler = client.scheduler.address
    with worker(client, tmp_path, files) as address:
        status = status_of(["replay", str(RECORDING), "--engine", "dask", "--scheduler", scheduler])
        expected = f"recloser: {address}: this worker {told}; {REMEDY}\n"
        assert (status, *capsys.readouterr()) == (2, "", expected)
        assert client.run_on_scheduler(tasks_seen) == 0


def tasks_seen(dask_scheduler):
    return len(dask_scheduler.tasks) + dask_scheduler.transition_counter


@pytest.mark.parametrize("other", ["none", "another"])
def test_so_is_a_scheduler(tmp_path, other):
    files, told = OTHERS[other]
    found = tmp_path / "address"
    address = "tcp://127.0.0.1"
    with (
        started(
            tmp_path,
            files,
            "scheduler",
            *("--host", address, "--port", "0", "--no-dashboard", "--scheduler-file", str(found)),
        ),
        Client(scheduler_file=str(found), timeout=60, set_as_default=False) as client,
    ):
        address = client.scheduler.address
        with pytest.raises(RecloserError) as raised, cluster(address):
            pytest.fail("it was taken")
    assert str(raised.value) == f"{address}: this scheduler {told}; {REMEDY}"


def test_of_several_workers_that_differ_one_is_named_and_the_others_are_counted(client, tmp_path):
    files, told = OTHERS["another"]
    with (
        worker(client, tmp_path / "1") as alike,
        worker(client, tmp_path / "2", files) as one,
        worker(client, tmp_path / "3", files) as other,
        pytest.raises(RecloserError) as raised,
    ):
        check_cluster(client, client.scheduler.address)
    assert alike not in str(raised.value)
    assert str(raised.value) == (
        f"{min(one, other)}: this worker {told}; {REMEDY}; 1 more differs too"
    )


def test_one_that_joined_later_refuses_the_work(client, tmp_path, monkeypatch):
    newer = {**versions(), "recloser.version:__version__": "9.9"}
    monkeypatch.setattr(running, "versions", lambda: newer)
    with worker(client, tmp_path / "worker") as address:
        with pytest.raises(RecloserError) as raised:
            OnCluster(client).run(Path.touch, [(tmp_path / "done",)])
        assert str(raised.value) == (
            f"{address}: this worker has recloser {__version__}, and here it is 9.9; "
            "install 'recloser[dask]==9.9' there, and start it again"
        )
        assert not (tmp_path / "done").exists()
        monkeypatch.undo()
        OnCluster(client).run(Path.touch, [(tmp_path / "done",)])
        assert (tmp_path / "done").exists()


def test_a_scheduler_without_workers_is_told_of(client):
    address = client.scheduler.address
    with (
        pytest.raises(RecloserError, match=f"^{address}: this scheduler has no workers"),
        cluster(address),
    ):
        pytest.fail("it was taken")
