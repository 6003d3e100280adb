"""Histories as the command line prints them: as data, and their breakers as a table."""

from collections.abc import Iterable, Mapping, Sequence

import attrs

from recloser.cli.render.terminal import print_table
from recloser.core.events import CircuitBreakerState
from recloser.core.snapshot import Totals


def replay_data(
    *,
    events: int,
    digest: str,
    edges: Sequence[Mapping[str, object]],
    breakers: Mapping[str, tuple[CircuitBreakerState, Totals]],
    engine: str,
    because: str | None = None,
    witnesses: int = 0,
    differences: Sequence[Mapping[str, object]] = (),
) -> dict[str, object]:
    """What ``recloser replay --json`` prints, however the history was found.

    Args:
        events: How many events were read.
        digest: That of the history.
        edges: Its edges, as data.
        breakers: Where each breaker was at the end, and how its calls ended, by what it is called.
        engine: What the history was found by.
        because: Why it was found event by event, where it was.
        witnesses: How many witnesses were compared.
        differences: Where they differ.
    """
    return {
        "schema": "recloser.replay/1",
        "events": events,
        "breakers": len(breakers),
        "digest": digest,
        "edges": edges,
        "states": {name: state.value for name, (state, _) in breakers.items()},
        "totals": {name: attrs.asdict(totals) for name, (_, totals) in breakers.items()},
        "engine": {"name": engine, "because": because},
        "witnesses": {"checked": witnesses, "differing": len(differences)},
        "differences": differences,
    }


def print_breakers(rows: Iterable[tuple[str, CircuitBreakerState, int, Totals]]) -> None:
    """Print breakers, those with the most trips first.

    Args:
        rows: What each is called, where it was at the end, its trips, and how its calls ended.
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
