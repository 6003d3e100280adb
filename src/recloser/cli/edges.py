"""Edges as the command line tells them: as data, and as a table."""

from collections.abc import Mapping, Sequence

from recloser.cli.terminal import print_table, results
from recloser.events import Edge, FiredRule
from recloser.replay.timeline import Timeline


def edge_data(edge: Edge, timeline: Timeline) -> Mapping[str, object]:
    """An edge as data, dated by the timeline of its log."""
    return {
        "seq": edge.seq,
        "at_ns": edge.at,
        "utc": timeline.text(edge.at),
        "breaker": edge.breaker,
        "epoch": edge.epoch,
        "from": edge.from_state.value,
        "to": edge.to_state.value,
        "trigger": edge.trigger.value,
        "cause": _cause_data(edge.cause),
    }


def _cause_data(cause: FiredRule) -> Mapping[str, object]:
    return {
        "rule": cause.rule.value,
        "observed": cause.observed,
        "threshold": cause.threshold,
        "seqs": cause.seqs,
        "calls": cause.calls,
        "rate": cause.rate,
        "span": cause.span,
        "actor": cause.actor,
        "reason": cause.reason,
    }


def print_edges(edges: Sequence[tuple[str, str, Edge]], shown: int) -> None:
    """Print edges, each with its wall time and what its breaker is called.

    Args:
        edges: The edges, in their order.
        shown: How many of the last to print; 0 prints all.
    """
    last = edges[-shown:] if shown else edges
    if last:
        results().print()
        print_table(
            ("seq", "time (UTC)", "breaker", "edge", "cause"),
            (_edge_row(*row) for row in last),
            right=("seq",),
        )
    if len(last) < len(edges):
        results().print(f"… and {len(edges) - len(last):,} before them; --edges 0 shows all")


def _edge_row(time: str, breaker: str, edge: Edge) -> tuple[str, ...]:
    cause = edge.cause
    return (
        str(edge.seq),
        time,
        breaker,
        f"{edge.from_state.value} → {edge.to_state.value}",
        cause.rule.value if cause.actor is None else f"{cause.rule.value} of {cause.actor}",
    )
