"""Runs the jobs of cluster tests in this process, and writes their datasets."""

from unittest import mock

from recloser.cluster.dataset import urls_of
from recloser.cluster.many_logs import sources_of
from recloser.errors import NotALogError
from recloser.log import parquet
from recloser.log.parquet import write_parquet
from recloser.simulate.recorded_calls import read_traffic


class Here:
    """Runs all jobs in this process, one after the other."""

    def run(self, function, jobs, on_done=None):
        results = []
        for done, job in enumerate(jobs, start=1):
            results.append(function(*job))
            if on_done is not None:
                on_done(done, len(jobs))
        return results


def sources_in(folder, logs, row_group=1 << 20):
    """Export logs to a folder, and describe them as a dataset."""
    with mock.patch.object(parquet, "ROW_GROUP", row_group):
        for number, events in enumerate(logs):
            write_parquet(events, folder / f"{number}.parquet")
    return sources_of(urls_of(str(folder)), Here())


def traffic_of(events):
    """Return the calls in a log, or None if it has none."""
    try:
        return read_traffic(events)
    except NotALogError:
        return None
