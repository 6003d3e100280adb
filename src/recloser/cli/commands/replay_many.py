"""``recloser replay --engine dask``: the histories of many logs, each for itself or merged."""

import heapq
from collections import Counter
from collections.abc import Sequence
from operator import itemgetter
from typing import TYPE_CHECKING

from recloser import cli
from recloser.cli.commands.replay_merged import show_merged
from recloser.cli.dask_engine import DaskEngine, jobs_progress
from recloser.cli.log_input import note_settings, note_tail
from recloser.cli.options import GivenSettings
from recloser.cli.render.history_tables import print_breakers, print_edges
from recloser.cli.render.schemas.history_schemas import histories_object
from recloser.cli.render.terminal import note, print_json, results
from recloser.core.config import CircuitBreakerConfig
from recloser.core.formatting import quantity

if TYPE_CHECKING:
    from recloser.cluster.dataset import Source
    from recloser.cluster.many_logs import Histories


def show_many(
    dataset: str,
    engine: DaskEngine,
    given: GivenSettings,
    *,
    uncertainty_ns: int | None,
    limit: int,
    as_json: bool,
) -> int:
    """Replay the logs of a dataset on a cluster, and print the histories.

    Args:
        dataset: The folder, pattern or URL of the exported logs.
        engine: The cluster.
        given: The settings for imported calls.
        uncertainty_ns: To merge the calls of all hosts, how wrong the wall clock of a host may be;
            None to replay each log for itself.
        limit: How many of the last edges to print; 0 prints all.
        as_json: Whether to print one JSON object.

    Returns:
        The exit status.
    """
    config = given.read() if given.is_any else None
    with engine.reading(dataset) as (runner, sources):
        from recloser.cluster.many_logs import replay_many
        from recloser.cluster.merging import merge_many

        if uncertainty_ns is not None:
            with jobs_progress("merging") as on_done:
                merged = merge_many(
                    sources, runner, config=config, uncertainty_ns=uncertainty_ns, on_done=on_done
                )
            return show_merged(sources, merged, limit, as_json=as_json)
        _note_traffic(sources, config)
        with jobs_progress("replaying") as on_done:
            found = replay_many(sources, runner, config=config, on_done=on_done)
    return _show_each(found, limit, as_json=as_json)


def _note_traffic(sources: "Sequence[Source]", config: CircuitBreakerConfig | None) -> None:
    if any(source.about.traffic for source in sources):
        note_settings(CircuitBreakerConfig() if config is None else config)


def _show_each(found: "Histories", limit: int, *, as_json: bool) -> int:
    if as_json:
        print_json(histories_object(found))
    else:
        _print(found, limit)
    for source, history in zip(found.sources, found.histories, strict=True):
        if history.engine_reason is not None:
            note(f"{source.url}: folded event by event: {history.engine_reason}")
        for difference in history.differences[:1]:
            note(
                f"{source.url}: the histories differ at seq {difference.seq}: expected "
                f"{difference.expected}; got {difference.got}"
            )
        note_tail(source.url, history.tail)
    if any(" @ " in name for names in found.names for name in names.values()):
        note(
            "breakers with one name in several logs are shown with their host; --merge-hosts treats "
            "them as one"
        )
    if any(history.differences for history in found.histories):
        return cli.DIFFERENCE
    return cli.TORN if any(history.tail.torn for history in found.histories) else 0


def _print(found: "Histories", limit: int) -> None:
    logs = list(zip(found.histories, found.names, strict=True))
    rows = []
    for history, names in logs:
        trips = Counter(edge.breaker for edge in history.trips())
        rows += [
            (names[name], snapshot.state, trips[name], snapshot.totals)
            for name, snapshot in history.snapshots.items()
        ]
    print_breakers(rows)
    edges = list(
        heapq.merge(  # edges of one log stay in its order, whatever its clock showed
            *(
                [(history.timeline.text(e.at), names[e.breaker], e) for e in history.edges]
                for history, names in logs
            ),
            key=itemgetter(0),
        )
    )
    print_edges(edges, limit)
    checked = sum(history.witnesses for history in found.histories)
    differing = sum(len(history.differences) for history in found.histories)
    results().print(
        f"\n{quantity(sum(h.count for h in found.histories), 'event')} in "
        f"{quantity(len(found.sources), 'log')}, {quantity(len(edges), 'edge')}, "
        f"{quantity(checked, 'witness', 'witnesses')} checked, "
        f"{f'{differing:,} differ' if differing else 'all equal'}; digest {found.digest[:16]}"
    )
