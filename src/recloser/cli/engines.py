"""``--engine dask``: many files at once, on a cluster."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

import click
from attrs import frozen

from recloser.cli.render.terminal import progress_bar

if TYPE_CHECKING:
    from recloser.cluster.dataset import Source
    from recloser.cluster.executor import OnDone, Runner


@frozen
class Engine:
    """Where many files are worked on.

    Attributes:
        scheduler: The address of a running scheduler; None to start workers here.
        workers: How many processes to start; None for one a processor.
    """

    scheduler: str | None
    workers: int | None

    @contextmanager
    def reading(self, dataset: str) -> Iterator[tuple["Runner", Sequence["Source"]]]:
        """A cluster, and the logs of a dataset.

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


def engine_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--engine``, ``--scheduler`` and ``--workers``: given as ``engine``, None by default."""

    @click.option(
        "--engine",
        "name",
        type=click.Choice(["dask"]),
        help="Work on a cluster: LOG is then exported files, as a folder or a pattern in quotes, at "
        "a path or at any URL that fsspec knows.",
    )
    @click.option(
        "--scheduler", metavar="ADDRESS", help="A running scheduler of dask; by default, none."
    )
    @click.option(
        "--workers",
        type=click.IntRange(min=1),
        metavar="N",
        help="Without a scheduler, how many processes to start; by default, one a processor.",
    )
    @wraps(function)
    def command(
        *, name: str | None, scheduler: str | None, workers: int | None, **rest: object
    ) -> object:
        if name is None and (scheduler is not None or workers is not None):
            raise click.UsageError("--scheduler and --workers are of --engine dask")
        if scheduler is not None and workers is not None:
            raise click.UsageError("a scheduler has its workers: leave --workers out")
        return function(engine=None if name is None else Engine(scheduler, workers), **rest)

    return command


@contextmanager
def pieces_progress(doing: str) -> Iterator["OnDone | None"]:
    """A bar for the pieces of work that are done; None off a terminal."""
    with progress_bar() as bar:
        yield None if bar is None else lambda done, total: bar(doing, done, total)
