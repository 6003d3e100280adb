"""A cluster with another version of recloser is refused in one line before any work."""

from pathlib import Path

import pytest
from dask_processes import dask_scheduler, dask_worker
from distributed import Client

from conftest import ROOT
from recloser import __version__
from recloser.cli import status_of
from recloser.cluster import executor
from recloser.cluster.executor import DaskRunner, cluster, local_cluster
from recloser.cluster.versions import check_cluster, versions
from recloser.core.events import RULES_VERSION
from recloser.errors import RecloserError

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
            "recloser/core/events.py": "RULES_VERSION = 99",
        },
        f"has rules version 99, and here it is {RULES_VERSION}",
    ),
    "half of one": (
        {"recloser/__init__.py": "", "recloser/version.py": SAME},
        "has another recloser than here: No module named 'recloser.core'",
    ),
    "no extra": (
        {"pyarrow/__init__.py": "raise ModuleNotFoundError('gone', name='pyarrow')"},
        "lacks pyarrow",
    ),
}
"""Files placed before the real libraries in another process, and the expected message."""


@pytest.fixture
def client():
    """A scheduler that has no workers."""
    with (
        local_cluster(0) as workers,
        Client(workers, set_as_default=False) as client,
    ):
        yield client


@pytest.mark.parametrize("other", OTHERS)
def test_differing_worker_is_refused_by_its_address(client, tmp_path, other, capsys):
    files, difference = OTHERS[other]
    scheduler = client.scheduler.address
    with dask_worker(tmp_path, scheduler, files) as address:
        status = status_of(["replay", str(RECORDING), "--engine", "dask", "--scheduler", scheduler])
        expected = f"recloser: {address}: this worker {difference}; {REMEDY}\n"
        assert (status, *capsys.readouterr()) == (2, "", expected)
        assert client.run_on_scheduler(tasks_seen) == 0


def tasks_seen(dask_scheduler):
    return len(dask_scheduler.tasks) + dask_scheduler.transition_counter


@pytest.mark.parametrize("other", ["none", "another"])
def test_differing_scheduler_is_refused_by_its_address(tmp_path, other):
    files, difference = OTHERS[other]
    with (
        dask_scheduler(tmp_path, files) as (address, _),
        pytest.raises(RecloserError) as raised,
        cluster(address),
    ):
        pytest.fail("it was taken")
    assert str(raised.value) == f"{address}: this scheduler {difference}; {REMEDY}"


def test_one_of_several_differing_workers_is_named_and_the_others_are_counted(client, tmp_path):
    files, difference = OTHERS["another"]
    scheduler = client.scheduler.address
    with (
        dask_worker(tmp_path / "1", scheduler) as alike,
        dask_worker(tmp_path / "2", scheduler, files) as one,
        dask_worker(tmp_path / "3", scheduler, files) as other,
        pytest.raises(RecloserError) as raised,
    ):
        check_cluster(client, scheduler)
    assert alike not in str(raised.value)
    assert str(raised.value) == (
        f"{min(one, other)}: this worker {difference}; {REMEDY}; 1 more differs too"
    )


def test_worker_that_joins_later_refuses_its_jobs(client, tmp_path, monkeypatch):
    newer = {**versions(), "recloser.version:__version__": "9.9"}
    monkeypatch.setattr(executor, "versions", lambda: newer)
    with dask_worker(tmp_path / "worker", client.scheduler.address) as address:
        with pytest.raises(RecloserError) as raised:
            DaskRunner(client).run(Path.touch, [(tmp_path / "done",)])
        assert str(raised.value) == (
            f"{address}: this worker has recloser {__version__}, and here it is 9.9; "
            "install 'recloser[dask]==9.9' there, and start it again"
        )
        assert not (tmp_path / "done").exists()
        monkeypatch.undo()
        DaskRunner(client).run(Path.touch, [(tmp_path / "done",)])
        assert (tmp_path / "done").exists()


def test_scheduler_without_workers_is_refused(client):
    address = client.scheduler.address
    with (
        pytest.raises(RecloserError, match=f"^{address}: this scheduler has no workers"),
        cluster(address),
    ):
        pytest.fail("it was taken")
