"""``recloser replay --engine dask --merge-hosts``: prints what shared breakers would have done."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from recloser.cli.render.history_tables import print_edges, with_utc
from recloser.cli.render.schemas.history_schemas import merged_object
from recloser.cli.render.terminal import note, print_json, print_table, results
from recloser.core.formatting import duration, quantity
from recloser.history.history import digest_of
from recloser.history.timeline import Timeline

if TYPE_CHECKING:
    from recloser.cluster.dataset import Source
    from recloser.cluster.merging import Merged


def show_merged(
    sources: "Sequence[Source]", merged: "Sequence[Merged]", limit: int, *, as_json: bool
) -> int:
    """Print what breakers that all hosts share would have done.

    Args:
        sources: The logs of the hosts.
        merged: The shared breakers.
        limit: How many of the last edges to print; 0 prints all.
        as_json: Whether to print one JSON object.

    Returns:
        The exit status.
    """
    from recloser.cluster.merging import unix_timeline

    timeline = unix_timeline()
    if as_json:
        digest = digest_of([edge for each in merged for edge in each.edges])
        print_json(merged_object(sources, merged, timeline, digest))
    else:
        _print(merged, timeline, limit)
    refused = sum(share.refused for each in merged for share in each.hosts)
    if refused:
        note(
            f"{quantity(refused, 'call')} left out that the hosts' own breakers rejected, because "
            "their outcomes are not known"
        )
    return 0


def _print(merged: "Sequence[Merged]", timeline: Timeline, limit: int) -> None:
    figures = ("hosts", "calls", "left out", "trips", "rejected", "clocks within")
    print_table(
        ("breaker", "state", *figures, "other orders"),
        (
            (
                each.breaker,
                each.snapshot.state.value,
                f"{len(each.hosts):,}",
                f"{sum(share.calls for share in each.hosts):,}",
                f"{sum(share.refused for share in each.hosts):,}",
                f"{sum(edge.trigger.value == 'trip' for edge in each.edges):,}",
                f"{each.snapshot.totals.rejected:,}",
                duration(max(share.uncertainty_ns for share in each.hosts)),
                "change edges" if each.changes else "change no edge",
            )
            for each in merged
        ),
        right=figures,
    )
    edges = sorted(
        ((timeline.text(edge.at), edge.breaker, edge) for each in merged for edge in each.edges),
        key=lambda row: (row[2].at, row[1], row[2].epoch),
    )
    print_edges(edges, limit)
    if any(each.changes for each in merged):
        _print_changes(merged, timeline)
    results().print(
        f"\n{quantity(sum(s.calls for each in merged for s in each.hosts), 'call')}, "
        f"{quantity(len(edges), 'edge')}; digest {digest_of([row[2] for row in edges])[:16]}"
    )


def _print_changes(merged: "Sequence[Merged]", timeline: Timeline) -> None:
    results().print()
    print_table(
        ("breaker", "if the clock of", "is", "this edge", "becomes"),
        (
            (
                each.breaker,
                change.host,
                f"{duration(abs(change.ahead_ns))} {'fast' if change.ahead_ns > 0 else 'slow'}",
                with_utc(str(change.moved.edge), timeline),
                with_utc(change.moved.got, timeline),
            )
            for each in merged
            for change in each.changes
        ),
    )
