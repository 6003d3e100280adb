"""What ``recloser replay --engine dask --merge-hosts`` prints."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from recloser.cli.render.edge_lines import edge_data, print_edges
from recloser.cli.render.histories import replay_data
from recloser.cli.render.terminal import counted, duration, note, print_json, print_table, results
from recloser.history.history import digest_of
from recloser.history.timeline import Timeline

if TYPE_CHECKING:
    from recloser.cluster.dataset import Source
    from recloser.cluster.merging import Change, Merged


def show_merged(
    sources: "Sequence[Source]", merged: "Sequence[Merged]", shown: int, *, as_json: bool
) -> int:
    """Print what shared breakers would have done.

    Args:
        sources: The logs of the hosts.
        merged: What came of them.
        shown: How many of the last edges to print; 0 prints all.
        as_json: Whether to print one JSON object.

    Returns:
        The exit status.
    """
    from recloser.cluster.merging import unix_timeline

    timeline = unix_timeline()
    if as_json:
        print_json(_as_data(sources, merged, timeline))
    else:
        _print(merged, timeline, shown)
    refused = sum(share.refused for each in merged for share in each.hosts)
    if refused:
        note(
            f"{counted(refused, 'call')} that the hosts' own breakers refused left out, "
            "since how they would have ended is not known"
        )
    return 0


def _as_data(
    sources: "Sequence[Source]", merged: "Sequence[Merged]", timeline: Timeline
) -> dict[str, object]:
    edges = [edge for each in merged for edge in each.edges]
    data = replay_data(
        events=sum(source.about.events for source in sources),
        digest=digest_of(edges),
        edges=[edge_data(edge, timeline) for edge in edges],
        breakers={each.breaker: (each.snapshot.state, each.snapshot.totals) for each in merged},
        engine="dask",
    )
    data["merged"] = {
        each.breaker: {
            "hosts": [attrs.asdict(share) for share in each.hosts],
            "changes": [_change_data(change, timeline) for change in each.changes],
        }
        for each in merged
    }
    return data


def _change_data(change: "Change", timeline: Timeline) -> Mapping[str, object]:
    _, epoch, at, left, to, trigger = change.moved.edge.fields
    return {
        "host": change.host,
        "ahead_ns": change.ahead_ns,
        "edge": {
            "epoch": int(epoch),
            "at_ns": int(at),
            "utc": timeline.text(int(at)),
            "from": left,
            "to": to,
            "trigger": trigger,
        },
        "got": _dated(change.moved.got, timeline),
    }


def _print(merged: "Sequence[Merged]", timeline: Timeline, shown: int) -> None:
    figures = ("hosts", "calls", "refused", "trips", "rejected", "uncertain by")
    print_table(
        ("breaker", "state", *figures, "in that"),
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
                "edges change" if each.changes else "no edge changes",
            )
            for each in merged
        ),
        right=figures,
    )
    edges = sorted(
        ((timeline.text(edge.at), edge.breaker, edge) for each in merged for edge in each.edges),
        key=lambda row: (row[2].at, row[1], row[2].epoch),
    )
    print_edges(edges, shown)
    if any(each.changes for each in merged):
        _print_changes(merged, timeline)
    results().print(
        f"\n{counted(sum(s.calls for each in merged for s in each.hosts), 'call')}, "
        f"{counted(len(edges), 'edge')}; digest {digest_of([row[2] for row in edges])[:16]}"
    )


def _print_changes(merged: "Sequence[Merged]", timeline: Timeline) -> None:
    results().print()
    print_table(
        ("breaker", "if this host", "is", "this edge changes", "into"),
        (
            (
                each.breaker,
                change.host,
                f"{duration(abs(change.ahead_ns))} {'ahead' if change.ahead_ns > 0 else 'behind'}",
                _dated(str(change.moved.edge), timeline),
                _dated(change.moved.got, timeline),
            )
            for each in merged
            for change in each.changes
        ),
    )


def _dated(text: str, timeline: Timeline) -> str:
    return re.sub(r" at (\d+) ns$", lambda told: f" at {timeline.text(int(told[1]))}", text)
