"""The outline of a history: what of it is kept in a golden file, and compared."""

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
class Outline:
    """What is compared of a history.

    Attributes:
        driven_with: For imported traffic, the settings of the breakers that it drove, as data for
            JSON; None where live breakers wrote the log.
        configured: For a log that live breakers wrote, each configuration in it, by breaker.
        edges: Every edge, by breaker in code-point order of the names, each breaker's in its order.
        totals: The calls of each breaker, by name.
        digest: That of the history.
    """

    driven_with: Mapping[str, object] | None
    configured: Sequence[BreakerConfigured]
    edges: Sequence[Edge]
    totals: Mapping[str, Totals]
    digest: str

    def edges_of(self) -> dict[str, list[Edge]]:
        """The edges of each breaker that took any."""
        edges: dict[str, list[Edge]] = {}
        for edge in self.edges:
            edges.setdefault(edge.breaker, []).append(edge)
        return edges

    def settings_of(self) -> dict[str, list[Mapping[str, object]]]:
        """The configurations of each breaker, one after the other."""
        if self.driven_with is not None:
            return {breaker: [self.driven_with] for breaker in self.totals}
        settings: dict[str, list[Mapping[str, object]]] = {}
        for event in self.configured:
            settings.setdefault(event.breaker, []).append(event.config)
        return settings


def outline(history: History, driven_with: CircuitBreakerConfig | None = None) -> Outline:
    """The outline of a history.

    Args:
        history: What a log folded to.
        driven_with: The settings, if imported traffic drove breakers.
    """
    configured = _configurations(history.events) if driven_with is None else ()
    return Outline(
        driven_with=None if driven_with is None else settings_data(driven_with),
        configured=sorted(configured, key=lambda event: event.breaker),
        edges=sorted(history.edges, key=lambda edge: edge.breaker),
        totals={name: history.snapshots[name].totals for name in sorted(history.snapshots)},
        digest=history.digest,
    )


def settings_data(config: CircuitBreakerConfig) -> dict[str, object]:
    """The settings as they come back from JSON, so that what was read and what was given compare."""
    return _as_read(config.to_mapping())


def _as_read(settings: Mapping[str, object]) -> dict[str, object]:
    data: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(settings))
    return data


def _configurations(events: Iterable[Event]) -> Iterator[BreakerConfigured]:
    known = set()
    for event in events:
        if event.kind == "breaker_configured":
            known.add(event.breaker)
            yield evolve(event, config=_as_read(event.config))
        elif event.kind == "checkpoint" and event.breaker not in known and not is_part(event):
            # A log whose oldest segments were removed begins with the states that they led to.
            known.add(event.breaker)
            config = event.state["config"]
            assert isinstance(config, Mapping)
            yield BreakerConfigured(event.seq, event.at, event.breaker, _as_read(config))
