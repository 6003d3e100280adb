"""``recloser replay --engine dask``: the histories of many logs, side by side or merged."""

import heapq
from collections import Counter
from collections.abc import Sequence
from operator import itemgetter
from typing import TYPE_CHECKING

import attrs

from recloser import cli
from recloser.cli.engines import Engine, pieces_progress
from recloser.cli.options import Given, note_tail, settings_told
from recloser.cli.render.edge_lines import edge_data, print_edges
from recloser.cli.render.histories import print_breakers, replay_data
from recloser.cli.render.terminal import counted, note, print_json, results
from recloser.cli.replay_merged import show_merged
from recloser.core.config import CircuitBreakerConfig

if TYPE_CHECKING:
    from recloser.cluster.dataset import Source
    from recloser.cluster.many_logs import Histories


def show_many(
    dataset: str,
    engine: Engine,
    given: Given,
    *,
    uncertainty_ns: int | None,
    shown: int,
    as_json: bool,
) -> int:
    """Replay the logs of a dataset on a cluster and print what came of it.

    Args:
        dataset: The logs.
        engine: The cluster.
        given: The settings given.
        uncertainty_ns: How wrong the wall clock of a host may be, where their calls are to be merged;
            else None.
        shown: How many of the last edges to print; 0 prints all.
        as_json: Whether to print one JSON object.

    Returns:
        The exit status.
    """
    config = given.read() if given.is_any else None
    with engine.reading(dataset) as (runner, sources):
        from recloser.cluster.many_logs import replay_many
        from recloser.cluster.merging import merge_many

        if uncertainty_ns is not None:
            with pieces_progress("merging") as on_done:
                merged = merge_many(
                    sources, runner, config=config, uncertainty_ns=uncertainty_ns, on_done=on_done
                )
            return show_merged(sources, merged, shown, as_json=as_json)
        _note_traffic(sources, config)
        with pieces_progress("replaying") as on_done:
            found = replay_many(sources, runner, config=config, on_done=on_done)
    return _show_side_by_side(found, shown, as_json=as_json)


def _note_traffic(sources: "Sequence[Source]", config: CircuitBreakerConfig | None) -> None:
    if any(source.about.traffic for source in sources):
        told = settings_told(CircuitBreakerConfig() if config is None else config)
        note(f"imported traffic, driven with {told}")


def _show_side_by_side(found: "Histories", shown: int, *, as_json: bool) -> int:
    if as_json:
        print_json(_as_data(found))
    else:
        _print(found, shown)
    for source, history in zip(found.sources, found.histories, strict=True):
        if history.because is not None:
            note(f"{source.url}: folded event by event: {history.because}")
        for difference in history.differences[:1]:
            note(
                f"{source.url}: the histories part at seq {difference.seq}: expected "
                f"{difference.expected}; got {difference.got}"
            )
        note_tail(source.url, history.tail)
    if any(" @ " in told for names in found.names for told in names.values()):
        note(
            "breakers of one name in several logs are told apart; --merge-hosts takes them for one"
        )
    if any(history.differences for history in found.histories):
        return cli.DIFFERENCE
    return cli.TORN if any(history.tail.torn for history in found.histories) else 0


def _as_data(found: "Histories") -> dict[str, object]:
    logs = list(zip(found.sources, found.histories, found.names, strict=True))
    data = replay_data(
        events=sum(history.count for history in found.histories),
        digest=found.digest,
        edges=[
            {"log": source.url, **edge_data(edge, history.timeline)}
            for source, history, _ in logs
            for edge in history.edges
        ],
        breakers={
            names[name]: (snapshot.state, snapshot.totals)
            for _, history, names in logs
            for name, snapshot in history.snapshots.items()
        },
        engine="dask",
        witnesses=sum(history.witnesses for history in found.histories),
        differences=[
            {"log": source.url, **attrs.asdict(difference)}
            for source, history, _ in logs
            for difference in history.differences
        ],
    )
    data["logs"] = [
        {
            "log": source.url,
            "host": source.host,
            "events": history.count,
            "digest": history.digest,
            "engine": {"name": history.engine, "because": history.because},
        }
        for source, history, _ in logs
    ]
    return data


def _print(found: "Histories", shown: int) -> None:
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
        heapq.merge(  # within a log, its own order is the one that is known
            *(
                [(history.timeline.text(e.at), names[e.breaker], e) for e in history.edges]
                for history, names in logs
            ),
            key=itemgetter(0),
        )
    )
    print_edges(edges, shown)
    checked = sum(history.witnesses for history in found.histories)
    differing = sum(len(history.differences) for history in found.histories)
    results().print(
        f"\n{counted(sum(h.count for h in found.histories), 'event')} in "
        f"{counted(len(found.sources), 'log')}, {counted(len(edges), 'edge')}, "
        f"{counted(checked, 'witness', 'witnesses')} checked, "
        f"{f'{differing:,} differ' if differing else 'all equal'}; digest {found.digest[:16]}"
    )
