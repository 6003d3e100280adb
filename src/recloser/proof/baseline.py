"""One plain reading of a log: what it is, how long, and the course that its breakers take."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeAlias

from attrs import define, field

from recloser.core.config import CircuitBreakerConfig
from recloser.core.events import Event, LogOpened
from recloser.errors import FoldError, NotALogError
from recloser.history.edge_sequence import Divergence, EdgeSequence
from recloser.history.engine import is_traffic
from recloser.history.live_driver import read_trace
from recloser.proof.variants import DrivenLane, FoldLane, Lane

Progress: TypeAlias = Callable[[str, int, int | None], None]
"""Told what is done, how many events have been read for it, and of how many if that is known."""

_TELL_EVERY: Final = 1_000


@define
class PlainReading:
    """What one plain reading of a log tells.

    Attributes:
        opened: What the log begins with.
        is_traffic: Whether it is imported traffic, which drives breakers.
        events: How many events it has.
        last_at: The time of the last, in nanoseconds.
        course: The edges of its breakers.
        refused: The first event that can't have happened, where the course ends.
    """

    opened: LogOpened
    is_traffic: bool
    events: int = 0
    last_at: int = 0
    course: EdgeSequence = field(factory=EdgeSequence)
    refused: Divergence | None = None


def taken_plainly(
    events: Iterable[Event], config: CircuitBreakerConfig, progress: Progress | None = None
) -> PlainReading:
    """Read a log once and take the history in it.

    Raises:
        LogError: It can't be read or is damaged.
    """
    opened = next(iter(events), None)
    if not isinstance(opened, LogOpened):
        raise NotALogError("a log begins with a log_opened event")
    reading = PlainReading(opened, is_traffic(events))
    items = counted(_measured(events, reading), "reading", None, progress)
    lane: Lane
    if reading.is_traffic:
        _, items = read_trace(items)
        lane = DrivenLane(opened, config)
    else:
        lane = FoldLane()
    for event in items:
        try:
            edges = lane.take(event)
        except FoldError as error:
            reading.refused = Divergence(
                event.seq, getattr(event, "breaker", ""), "an event that can happen", str(error)
            )
            break
        if edges:
            reading.course.add(event.seq, edges)
    reading.course.add(reading.events, lane.finish())
    return reading


def counted(
    events: Iterable[Event], doing: str, total: int | None, progress: Progress | None
) -> Iterator[Event]:
    """The events, of whose number the progress is told."""
    if progress is None:
        yield from events
        return
    for count, event in enumerate(events):
        if count % _TELL_EVERY == 0:
            progress(doing, count, total)
        yield event


def _measured(events: Iterable[Event], reading: PlainReading) -> Iterator[Event]:
    for event in events:
        reading.events += 1
        reading.last_at = max(reading.last_at, event.at)
        yield event
