"""Schedulers and workers of dask in separate processes, with other modules in their path."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from distributed import Client

SOURCE = Path(__file__).parents[2] / "src"


@contextmanager
def dask_scheduler(folder: Path, files: Mapping[str, str] = {}) -> Iterator[tuple[str, int]]:
    """Run a scheduler with ``files`` in its import path; yield its address and process id."""
    scheduler_file = folder / "scheduler.json"
    where = ("--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0")
    with _started(
        folder, files, "scheduler", *where, "--scheduler-file", scheduler_file
    ) as process:
        with Client(scheduler_file=str(scheduler_file), timeout=60, set_as_default=False) as client:
            address: str = client.scheduler.address
        yield address, process.pid


@contextmanager
def dask_worker(folder: Path, scheduler: str, files: Mapping[str, str] = {}) -> Iterator[str]:
    """Run a worker with ``files`` in its import path; yield its address."""
    with Client(scheduler, set_as_default=False) as client:
        before = set(client.scheduler_info()["workers"])
        more = ("--host", "127.0.0.1", "--no-nanny", "--no-dashboard", "--nthreads", "1")
        with _started(folder, files, "worker", scheduler, *more):
            client.wait_for_workers(len(before) + 1, timeout=60)
            (own,) = set(client.scheduler_info()["workers"]) - before
            client.close()
            yield own


@contextmanager
def _started(
    folder: Path, files: Mapping[str, str], kind: str, *arguments: str | Path
) -> Iterator["subprocess.Popen[bytes]"]:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    with subprocess.Popen(
        [sys.executable, "-m", f"distributed.cli.dask_{kind}", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(folder), str(SOURCE)))},
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield process
        finally:
            process.kill()
