"""The baseline: the history that one ordinary reading of a log gives."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeAlias

from attrs import define, field

from recloser.core.config import CircuitBreakerConfig
from recloser.core.events import Event, LogOpened
from recloser.errors import FoldError, NotALogError
from recloser.history.edge_sequence import EdgeSequence
from recloser.history.engine import is_traffic
from recloser.history.live_driver import read_trace
from recloser.proof.variants import DrivenVariant, FoldVariant, Variant

Progress: TypeAlias = Callable[[str, int, int | None], None]
"""Called with what is being done, the number of events read, and the total, or None if unknown."""

_EVENTS_PER_REPORT: Final = 1_000


@define
class Baseline:
    """What one ordinary reading of a log found.

    Attributes:
        opened: The first event of the log.
        is_traffic: Whether the log is imported traffic, with which live breakers were driven.
        events: How many events the log has.
        last_at: The time of the last event, in nanoseconds of the log's time.
        edges: The edges of its breakers, up to the first impossible event if there is one.
    """

    opened: LogOpened
    is_traffic: bool
    events: int = 0
    last_at: int = 0
    edges: EdgeSequence = field(factory=EdgeSequence)


def read_baseline(
    events: Iterable[Event], config: CircuitBreakerConfig, progress: Progress | None = None
) -> Baseline:
    """Read a log once and compute its history.

    Args:
        events: The log.
        config: The settings of breakers that are driven with imported traffic.
        progress: Called now and then with the number of events read.

    Raises:
        LogError: The log can't be read or is damaged.
    """
    opened = next(iter(events), None)
    if not isinstance(opened, LogOpened):
        raise NotALogError("a log begins with a log_opened event")
    baseline = Baseline(opened, is_traffic(events))
    items = with_progress(_measured(events, baseline), "reading", None, progress)
    variant: Variant
    if baseline.is_traffic:
        _, items = read_trace(items)
        variant = DrivenVariant(opened, config)
    else:
        variant = FoldVariant()
    for event in items:
        try:
            edges = variant.apply(event)
        except FoldError:
            break  # the variants meet the same event, and their row of the proof reports it
        if edges:
            baseline.edges.add(event.seq, edges)
    baseline.edges.add(baseline.events, variant.finish())
    return baseline


def with_progress(
    events: Iterable[Event], doing: str, total: int | None, progress: Progress | None
) -> Iterator[Event]:
    """Yield the events and report how many have been read."""
    if progress is None:
        yield from events
        return
    for count, event in enumerate(events):
        if count % _EVENTS_PER_REPORT == 0:
            progress(doing, count, total)
        yield event


def _measured(events: Iterable[Event], baseline: Baseline) -> Iterator[Event]:
    for event in events:
        baseline.events += 1
        baseline.last_at = max(baseline.last_at, event.at)
        yield event
