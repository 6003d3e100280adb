"""Where work is done: on a cluster of dask.distributed, or here.

A piece of work is a pure function of what it is given and of files that are only read, so whatever
a worker had done when it died is done again by another, and comes to the same.
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
"""Told how many pieces of work are done, and of how many."""

_CONNECT_SECONDS: Final = 10


class Runner(Protocol):
    """Does pieces of work, wherever it may."""

    def run(
        self,
        function: Callable[..., R],
        jobs: Sequence[tuple[Any, ...]],
        on_done: OnDone | None = None,
    ) -> list[R]:
        """The results of a function for each of these arguments, in their order."""
        ...


@frozen
class OnCluster:
    """Has the workers of a cluster do the work.

    Attributes:
        client: The connection to its scheduler.
    """

    client: "Client"

    def run(
        self,
        function: Callable[..., R],
        jobs: Sequence[tuple[Any, ...]],
        on_done: OnDone | None = None,
    ) -> list[R]:
        """As ``Runner.run``.

        Raises:
            RecloserError: A piece of work did, or its workers died again and again.
        """
        from distributed import KilledWorker, as_completed

        wanted = versions()
        places = {
            self.client.submit(_worked, wanted, function, *job, pure=False): place
            for place, job in enumerate(jobs)
        }
        results: dict[int, R] = {}
        try:
            for future in as_completed(list(places), loop=self.client.loop):
                results[places[future]] = future.result()
                future.release()
                if on_done is not None:
                    on_done(len(results), len(jobs))
        except CancelledError as error:  # nobody is there to call anything off
            raise RecloserError("the scheduler or its workers have gone away") from error
        except BaseException as error:
            self.client.cancel([future for future in places if not future.done()])
            if isinstance(error, KilledWorker):
                raise RecloserError(
                    f"the workers died again and again, the last at {error.last_worker.address}: "
                    "they may need more memory than their limit"
                ) from error
            raise
        return [results[place] for place in range(len(jobs))]


@contextmanager
def cluster(scheduler: str | None = None, workers: int | None = None) -> Iterator[OnCluster]:
    """A cluster to work on, for as long as this block lasts.

    Args:
        scheduler: The address of a running scheduler; by default workers are started here.
        workers: How many processes to start here; by default one for each processor.

    Raises:
        MissingLibraryError: dask.distributed is not installed.
        RecloserError: The scheduler does not answer, or it or its workers have another recloser.
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
            yield OnCluster(client)
        return
    with started_here(workers) as local, Client(local, set_as_default=False) as client:
        yield OnCluster(client)


@contextmanager
def _silent() -> Iterator[None]:
    """Have dask log nothing: what it does with a traceback when a scheduler dies is told in a line."""
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
def started_here(workers: int | None, **more: Any) -> Iterator["LocalCluster"]:
    """Start a scheduler and workers on this machine, of one thread each.

    Args:
        workers: How many; by default one for each processor.
        more: As ``LocalCluster`` takes it.
    """
    from distributed import LocalCluster

    with (
        child_python.safe_environment(),  # for the workers that are started in place of dead ones too
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address=None,
            # It serves HTTP all the same, and warns if its port is that of another cluster.
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
            silence_logs=logging.CRITICAL,
            **more,
        ) as local,
    ):
        yield local


@contextmanager
def dask_libraries() -> Iterator[None]:
    """Import what needs dask in this block, to be told in one line if it is missing.

    Raises:
        MissingLibraryError: It is.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingLibraryError(
            f"--engine dask needs {error.name}, which is not installed; "
            "pip install 'recloser[dask]'",
            name=error.name,
        ) from None


def _worked(wanted: Versions, function: Callable[..., R], *job: Any) -> R:
    """Do a piece of work, and give back the memory: a worker near its limit gets no more work."""
    import pyarrow as pa

    check_here(wanted)
    try:
        return function(*job)
    finally:
        pa.default_memory_pool().release_unused()
