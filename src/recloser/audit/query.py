"""Answer questions about a log on disk, for ``recloser why``.

Where possible, the log is read from the checkpoints nearest to the answer, not from its beginning.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from attrs import field, frozen

from recloser.audit.cause import SCHEMA, Answer, Cause, Extent, Standing
from recloser.audit.explanation import explain, first_seq, why
from recloser.audit.segment_lookup import Segments
from recloser.audit.state_at import StateAt
from recloser.audit.time_argument import AfterEvent, WallTime, parse_time
from recloser.core.events import Edge, Event
from recloser.core.state_machine import CLOSED
from recloser.errors import RecloserError
from recloser.history.engine import fold_history
from recloser.history.history import History

ALL_TRIPS: Final = 0
"""In place of a trip number: every trip of the breaker."""


@frozen
class Question:
    """A question about trips, or about the state of a breaker at a time.

    Attributes:
        breaker: The name of the breaker; None for the breaker whose state changed last.
        trips: The numbers of the trips, from 1, or from -1 for the last one; or ``ALL_TRIPS``.
        at: The time, as a person types it; None if the question is about trips.
        is_whole: Whether to read the log from its beginning in any case.
    """

    breaker: str | None = None
    trips: Sequence[int] = (-1,)
    at: str | None = None
    is_whole: bool = False


@frozen
class QueryResult:
    """An answer, and the history that it was found in.

    Attributes:
        answer: The answer.
        history: The part of the log that was read.
        others: If no breaker was named, all breakers that the answer could have been about.
    """

    answer: Answer
    history: History
    others: Sequence[str] = field(factory=list)


class LogQuery:
    """Answers questions about one log that breakers wrote.

    Args:
        path: A folder of segments, or one segment.
        name: The name of the log in answers.
        traffic: The imported traffic that drove the breakers, if any, for the labels of its calls.

    Raises:
        NotALogError: There is no log at ``path``.
    """

    def __init__(self, path: Path, name: str, traffic: Iterable[Event] | None = None) -> None:
        self._segments = Segments(path)
        self._name = name
        self._traffic = traffic

    def ask(self, question: Question) -> QueryResult:
        """Answer a question.

        Raises:
            RecloserError: The log has no such breaker, trip or time, or is damaged.
        """
        if question.at is not None:
            return self._ask_time(question.at, question.breaker)
        if question.is_whole or any(trip >= ALL_TRIPS for trip in question.trips):
            return self._ask_whole(question)
        return self._ask_last(question)

    def _ask_whole(self, question: Question) -> QueryResult:
        history = fold_history(self._segments.read(0))
        edges = history.trips(question.breaker)
        if question.breaker is None and not edges:
            return self._no_trip(history, None)
        breaker = question.breaker or edges[-1].breaker
        trips = question.trips
        if ALL_TRIPS in trips:
            trips = range(1, len(history.trips(breaker)) + 1)
        causes = [why(history, breaker, trip, traffic=self._traffic) for trip in trips]
        return self._found(history, causes, named=question.breaker)

    def _ask_last(self, question: Question) -> QueryResult:
        """Explain trips that are numbered from the last, reading the log backwards."""
        wanted = -min(question.trips)
        last = next(self._trips_back(question.breaker), None)
        if last is None:
            return self._no_trip(fold_history(self._last_segment()), question.breaker)
        breaker = last[1].breaker
        trips = list(islice(self._trips_back(breaker), wanted))
        if len(trips) < wanted:
            raise RecloserError(
                f"{breaker!r} has trips 1 to {len(trips)}; there is no trip {-wanted}"
            )
        causes = []
        for trip in question.trips:
            cause, history = self._explain(*trips[-trip - 1])
            causes.append(cause)
        return self._found(history, causes, named=question.breaker)

    def _ask_time(self, text: str, named: str | None) -> QueryResult:
        segments = self._segments
        end = fold_history(self._last_segment())
        first_at = next(iter(segments.read(0))).at
        last_at = StateAt(end).at
        time = parse_time(text, first_at, last_at, end.timeline.utc(last_at))
        if isinstance(time, WallTime):
            index = segments.holding_wall(time.utc)
        elif isinstance(time, AfterEvent):
            index = segments.holding_seq(time.seq)
        else:
            index = segments.holding_at(time)
        history = fold_history(segments.read(index, index + 1))
        if isinstance(time, WallTime):
            time = history.timeline.at(time.utc, time.ns)
        if isinstance(time, AfterEvent):
            then = StateAt(history, seq=time.seq)
        else:
            then = StateAt(history, time)
        breaker = named or _most_relevant(then)
        standing = then.standing(breaker)
        causes: list[Cause] = []
        if standing.state is not CLOSED:
            trip = next(self._trips_back(breaker, index + 1, then.fold.seq), None)
            if trip is not None:
                cause, history = self._explain(*trip)
                causes = [cause]
        return self._found(history, causes, named=named, standing=standing, of=then.fold.breakers)

    def _last_segment(self) -> Iterable[Event]:
        return self._segments.read(len(self._segments.paths) - 1)

    def _trips_back(
        self, breaker: str | None, before: int | None = None, until: int | None = None
    ) -> Iterator[tuple[int, Edge]]:
        """Yield trips backwards, each with the segment at which its fold began.

        Args:
            breaker: The breaker; None for all breakers.
            before: Only search the segments before this one; None for all segments.
            until: Only trips up to this event, or that the event caused; None for all trips.
        """
        index = self._segments.last_trip(breaker, before)
        while index is not None:
            first = self._segments.first_for(index)
            history = fold_history(self._segments.read(first, index + 1))
            for edge in reversed(history.trips(breaker)):
                if until is None or edge.seq <= until + 1:
                    yield first, edge
            index = self._segments.last_trip(breaker, first)

    def _explain(self, index: int, opened: Edge) -> tuple[Cause, History]:
        """Explain a trip; ``index`` is the segment at which the fold that found it began.

        The evidence can lie in earlier segments, so reading begins at the segment that holds the
        oldest outcome in the breaker's counters.
        """
        start = self._segments.start(index)
        counters = None if start is None else start[1].get(opened.breaker)
        first = index
        if counters is not None and counters.epoch == opened.epoch - 1:
            first = min(index, self._segments.holding_seq(counters.oldest_held))
        end = self._segments.closed_by(opened, index)
        history = fold_history(self._segments.read(first, end))
        return explain(history, opened, traffic=self._traffic), history

    def _no_trip(self, history: History, named: str | None) -> QueryResult:
        if named is not None and named not in history.snapshots:
            raise RecloserError(f"there is no breaker {named!r} in this log")
        standing = None
        if named is not None or len(history.snapshots) == 1:
            standing = StateAt(history).standing(named or next(iter(history.snapshots)))
        return self._found(history, [], named=named, standing=standing)

    def _found(
        self,
        history: History,
        causes: Sequence[Cause],
        *,
        named: str | None,
        standing: Standing | None = None,
        of: Iterable[str] | None = None,
    ) -> QueryResult:
        first = first_seq(history)
        extent = Extent(first_seq=first, events=history.count, is_from_beginning=first == 1)
        others = of or [name for name, snapshot in history.snapshots.items() if snapshot.epoch]
        return QueryResult(
            Answer(SCHEMA, self._name, extent, standing, causes),
            history,
            [] if named is not None else list(others),
        )


def _most_relevant(then: StateAt) -> str:
    """Choose the breaker to answer about if the question names none.

    It is the one whose state changed last; breakers that are not CLOSED take precedence.
    """
    breakers = then.fold.breakers
    if not breakers:
        raise RecloserError("there is no breaker in this log at that time")

    def rank(name: str) -> tuple[bool, int]:
        edge = then.edges.get(name)
        return breakers[name].state is not CLOSED, -1 if edge is None else edge.seq

    return max(sorted(breakers), key=rank)
