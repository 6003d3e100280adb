"""The dask cluster of ``--engine dask``, on which commands work on many exported logs at once."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from attrs import frozen

from recloser.cli.render.terminal import progress_bar

if TYPE_CHECKING:
    from recloser.cluster.dataset import Source
    from recloser.cluster.executor import OnDone, Runner


@frozen
class DaskEngine:
    """The cluster that the options name.

    Attributes:
        scheduler: The address of a running scheduler; None to start workers on this machine.
        workers: The number of worker processes to start; None for one per processor.
    """

    scheduler: str | None
    workers: int | None

    @contextmanager
    def reading(self, dataset: str) -> Iterator[tuple["Runner", Sequence["Source"]]]:
        """Connect to the cluster, and list the logs of a dataset.

        Raises:
            RecloserError: The cluster or the logs can't be used.
        """
        from recloser.cluster.executor import cluster, dask_libraries

        with dask_libraries():
            from recloser.cluster.dataset import urls_of
            from recloser.cluster.many_logs import sources_of
        urls = urls_of(dataset)
        with cluster(self.scheduler, self.workers) as runner:
            yield runner, sources_of(urls, runner)


@contextmanager
def jobs_progress(doing: str) -> Iterator["OnDone | None"]:
    """Show a progress bar for the jobs of a cluster; yields None off a terminal."""
    with progress_bar() as bar:
        yield None if bar is None else lambda done, total: bar(doing, done, total)
