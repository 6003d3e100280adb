"""Tables of a history: its breakers and its edges."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import attrs

from recloser.cli.render.terminal import print_table, results
from recloser.core.events import CircuitBreakerState, Edge
from recloser.core.snapshot import Totals
from recloser.history.timeline import Timeline

T = TypeVar("T")


def print_breakers(rows: Iterable[tuple[str, CircuitBreakerState, int, Totals]]) -> None:
    """Print a table of breakers, those with the most trips first.

    Args:
        rows: For each breaker its name, its state at the end, the number of its trips, and how
            many of its calls had each outcome.
    """
    figures = ("trips", *attrs.fields_dict(Totals))
    print_table(
        ("breaker", "state", *figures),
        (
            (name, state.value, f"{trips:,}", *(f"{count:,}" for count in attrs.astuple(totals)))
            for name, state, trips, totals in sorted(rows, key=lambda row: (-row[2], row[0]))
        ),
        right=figures,
    )


def print_edges(edges: Sequence[tuple[str, str, Edge]], limit: int) -> None:
    """Print a table of the last edges.

    Args:
        edges: For each edge its time (UTC), the name of its breaker, and the edge.
        limit: How many edges to print; 0 prints all.
    """
    headings = ("seq", "time (UTC)", "breaker", "edge", "cause")
    print_last(headings, edges, lambda edge: _edge_row(*edge), limit, right=("seq",))


def print_last(
    headings: Sequence[str],
    edges: Sequence[T],
    row_of: Callable[[T], Sequence[str]],
    limit: int,
    *,
    right: Sequence[str] = (),
) -> None:
    """Print a table of the last edges, and how many edges are before them.

    Args:
        headings: The titles of the columns.
        edges: All edges, in their order.
        row_of: Makes the cells of an edge.
        limit: How many edges to print; 0 prints all.
        right: The titles of the columns that are aligned right.
    """
    last = edges[-limit:] if limit else edges
    if last:
        results().print()
        print_table(headings, map(row_of, last), right=right)
    if len(last) < len(edges):
        results().print(f"… and {len(edges) - len(last):,} before them; --edges 0 shows all")


def with_utc(text: str, timeline: Timeline) -> str:
    """Replace the nanoseconds at the end of the text of an edge by its time in UTC."""
    return re.sub(r" at (\d+) ns$", lambda found: f" at {timeline.text(int(found[1]))}", text)


def _edge_row(time: str, breaker: str, edge: Edge) -> tuple[str, ...]:
    cause = edge.cause
    return (
        str(edge.seq),
        time,
        breaker,
        f"{edge.from_state.value} → {edge.to_state.value}",
        cause.rule.value if cause.actor is None else f"{cause.rule.value} of {cause.actor}",
    )
