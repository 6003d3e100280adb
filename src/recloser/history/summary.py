"""The summary of a history: what a golden file holds, and what is compared."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from attrs import evolve, frozen

from recloser.core.checkpoint_parts import is_part
from recloser.core.config import CircuitBreakerConfig
from recloser.core.events import BreakerConfigured, Edge, Event
from recloser.core.snapshot import Totals
from recloser.history.history import History


@frozen
class HistorySummary:
    """The parts of a history that are compared.

    Attributes:
        driven_with: The settings of the breakers that imported calls drove, as data for JSON; None
            if live breakers wrote the log.
        configured: Each configuration in a log that live breakers wrote, sorted by breaker.
        edges: Every edge, sorted by breaker in code-point order, each breaker's in order.
        totals: The numbers of calls of each breaker, by name.
        digest: The digest of the history, in hex.
    """

    driven_with: Mapping[str, object] | None
    configured: Sequence[BreakerConfigured]
    edges: Sequence[Edge]
    totals: Mapping[str, Totals]
    digest: str

    def edges_of(self) -> dict[str, list[Edge]]:
        """Return the edges of each breaker that has any."""
        edges: dict[str, list[Edge]] = {}
        for edge in self.edges:
            edges.setdefault(edge.breaker, []).append(edge)
        return edges

    def settings_of(self) -> dict[str, list[Mapping[str, object]]]:
        """Return the configurations of each breaker, in order."""
        if self.driven_with is not None:
            return {breaker: [self.driven_with] for breaker in self.totals}
        settings: dict[str, list[Mapping[str, object]]] = {}
        for event in self.configured:
            settings.setdefault(event.breaker, []).append(event.config)
        return settings


def summarize(history: History, driven_with: CircuitBreakerConfig | None = None) -> HistorySummary:
    """Summarize a history.

    Args:
        history: The result of folding a log.
        driven_with: The configuration, if imported calls drove the breakers.
    """
    configured = _configurations(history.events) if driven_with is None else ()
    return HistorySummary(
        driven_with=None if driven_with is None else settings_data(driven_with),
        configured=sorted(configured, key=lambda event: event.breaker),
        edges=sorted(history.edges, key=lambda edge: edge.breaker),
        totals={name: history.snapshots[name].totals for name in sorted(history.snapshots)},
        digest=history.digest,
    )


def settings_data(config: CircuitBreakerConfig) -> dict[str, object]:
    """Return settings as read back from JSON, for comparison with a golden file."""
    return _through_json(config.to_mapping())


def _through_json(settings: Mapping[str, object]) -> dict[str, object]:
    data: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(settings))
    return data


def _configurations(events: Iterable[Event]) -> Iterator[BreakerConfigured]:
    known = set()
    for event in events:
        if event.kind == "breaker_configured":
            known.add(event.breaker)
            yield evolve(event, config=_through_json(event.config))
        elif event.kind == "checkpoint" and event.breaker not in known and not is_part(event):
            # If its oldest segments were removed, a log begins with checkpoints instead.
            known.add(event.breaker)
            config = event.state["config"]
            assert isinstance(config, Mapping)
            yield BreakerConfigured(event.seq, event.at, event.breaker, _through_json(config))
