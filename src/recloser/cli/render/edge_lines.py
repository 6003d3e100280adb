"""Edges as the command line tells them: as data, and as a table."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from recloser.cli.render.terminal import print_table, results
from recloser.core.events import Edge, FiredRule
from recloser.history.history import Transition
from recloser.history.timeline import Timeline

T = TypeVar("T")


def edge_data(edge: Edge, timeline: Timeline) -> Mapping[str, object]:
    """An edge as data, dated by the timeline of its log."""
    return transition_data(edge, timeline, edge.seq, _cause_data(edge.cause))


def transition_data(
    edge: Transition | Edge,
    timeline: Timeline,
    seq: int | None = None,
    cause: Mapping[str, object] | None = None,
) -> Mapping[str, object]:
    """As ``edge_data``, of an edge of which it may not be known where it stands, nor why."""
    return {
        "seq": seq,
        "at_ns": edge.at,
        "utc": timeline.text(edge.at),
        "breaker": edge.breaker,
        "epoch": edge.epoch,
        "from": edge.from_state.value,
        "to": edge.to_state.value,
        "trigger": edge.trigger.value,
        "cause": cause,
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
    headings = ("seq", "time (UTC)", "breaker", "edge", "cause")
    print_last(headings, edges, lambda edge: _edge_row(*edge), shown, right=("seq",))


def print_last(
    headings: Sequence[str],
    edges: Sequence[T],
    row_of: Callable[[T], Sequence[str]],
    shown: int,
    *,
    right: Sequence[str] = (),
) -> None:
    """Print the last edges as a table, and how many there are before them.

    Args:
        headings: Those of its columns.
        edges: The edges, in their order.
        row_of: What the table tells of one.
        shown: How many to print; 0 prints all.
        right: The columns that are set to the right.
    """
    last = edges[-shown:] if shown else edges
    if last:
        results().print()
        print_table(headings, map(row_of, last), right=right)
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
