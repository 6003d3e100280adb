"""Run jobs on a dask cluster, or start workers on this machine for it.

Jobs are pure functions of their arguments and of files that are only read. If a worker dies, another
one repeats its jobs and gets the same results.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from attrs import frozen

from recloser.cluster.versions import Versions, check_cluster, check_here, versions
from recloser.errors import MissingLibraryError, RecloserError
from recloser.process import child_python

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

R = TypeVar("R")
OnDone = Callable[[int, int], None]
"""Called with the number of finished jobs and the number of all jobs."""

_CONNECT_SECONDS: Final = 10


class Runner(Protocol):
    """Runs jobs somewhere."""

    def run(
        self,
        function: Callable[..., R],
        jobs: Sequence[tuple[Any, ...]],
        on_done: OnDone | None = None,
    ) -> list[R]:
        """Call a function once per job; return the results in the order of the jobs."""
        ...


@frozen
class DaskRunner:
    """Runs jobs on the workers of a dask cluster.

    Attributes:
        client: The connection to the scheduler.
    """

    client: "Client"

    def run(
        self,
        function: Callable[..., R],
        jobs: Sequence[tuple[Any, ...]],
        on_done: OnDone | None = None,
    ) -> list[R]:
        """Call a function once per job; return the results in the order of the jobs.

        Raises:
            RecloserError: A job raised it, the scheduler is gone, or workers died repeatedly.
        """
        from distributed import KilledWorker, as_completed

        wanted = versions()
        indices = {
            self.client.submit(_run_job, wanted, function, *job, pure=False): index
            for index, job in enumerate(jobs)
        }
        results: dict[int, R] = {}
        try:
            for future in as_completed(list(indices), loop=self.client.loop):
                results[indices[future]] = future.result()
                future.release()
                if on_done is not None:
                    on_done(len(results), len(jobs))
        except CancelledError as error:  # this process cancels nothing, so the cluster is gone
            raise RecloserError("the scheduler or its workers have gone away") from error
        except BaseException as error:
            self.client.cancel([future for future in indices if not future.done()])
            if isinstance(error, KilledWorker):
                raise RecloserError(
                    f"the workers died again and again, the last at {error.last_worker.address}: "
                    "they may need more memory than their limit"
                ) from error
            raise
        return [results[index] for index in range(len(jobs))]


@contextmanager
def cluster(scheduler: str | None = None, workers: int | None = None) -> Iterator[DaskRunner]:
    """Connect to a cluster, or start one, within a ``with`` block.

    Args:
        scheduler: The address of a running scheduler; by default workers are started on this machine.
        workers: Number of processes to start on this machine; by default one per processor.

    Raises:
        MissingLibraryError: dask.distributed is not installed.
        RecloserError: The scheduler does not answer, or it or a worker has another recloser version.
    """
    with dask_libraries():
        from distributed import Client
    if scheduler is not None:
        try:
            client = Client(scheduler, timeout=_CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise RecloserError(f"{scheduler}: no scheduler of dask answers there") from error
        with _silent(), client:
            check_cluster(client, scheduler)
            yield DaskRunner(client)
        return
    with local_cluster(workers) as local, Client(local, set_as_default=False) as client:
        yield DaskRunner(client)


@contextmanager
def _silent() -> Iterator[None]:
    """Keep dask from logging tracebacks, within a ``with`` block."""
    handlers = logging.getLogger("distributed").handlers
    levels = [handler.level for handler in handlers]
    for handler in handlers:
        handler.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for handler, level in zip(handlers, levels, strict=True):
            handler.setLevel(level)


@contextmanager
def local_cluster(workers: int | None, **more: Any) -> Iterator["LocalCluster"]:
    """Start a scheduler and workers on this machine, within a ``with`` block.

    Each worker has one thread.

    Args:
        workers: Number of workers; by default one per processor.
        more: Further options of ``LocalCluster``.
    """
    from distributed import LocalCluster

    with (
        child_python.safe_environment(),  # also for workers that replace dead ones later
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address=None,
            # The scheduler serves HTTP anyway, and would warn if another cluster had the default port.
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
            silence_logs=logging.CRITICAL,
            **more,
        ) as local,
    ):
        yield local


@contextmanager
def dask_libraries() -> Iterator[None]:
    """Report a missing library in one line, around imports that need dask.

    Raises:
        MissingLibraryError: A library is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingLibraryError(
            f"--engine dask needs {error.name}, which is not installed; "
            "pip install 'recloser[dask]'",
            name=error.name,
        ) from None


def _run_job(wanted: Versions, function: Callable[..., R], *job: Any) -> R:
    """Run a job, and return its memory to the system.

    dask gives a worker that is near its memory limit no more jobs.
    """
    import pyarrow as pa

    check_here(wanted)
    try:
        return function(*job)
    finally:
        pa.default_memory_pool().release_unused()
