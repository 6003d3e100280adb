"""Answers from a log on disk, read from the nearest checkpoint instead of from its beginning."""

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
"""Stands for every trip of a breaker where trips are asked for by number."""


@frozen
class Question:
    """What is asked of a log.

    Attributes:
        breaker: Its name; None for the one that did something last.
        trips: Which of its trips: from 1, from the last with negative numbers, or ALL_TRIPS.
        at: The moment asked for, as a person gives it; None where trips are asked for.
        is_whole: Whether the log is to be read from its beginning.
    """

    breaker: str | None = None
    trips: Sequence[int] = (-1,)
    at: str | None = None
    is_whole: bool = False


@frozen
class QueryResult:
    """An answer, and what it was found in.

    Attributes:
        answer: The answer.
        history: What was read for it.
        others: The breakers that it could have been about as well, where none was named.
    """

    answer: Answer
    history: History
    others: Sequence[str] = field(factory=list)


class LogQuery:
    """Questions to one log that breakers wrote.

    Args:
        path: A folder of segments, or one segment.
        name: How the log is named in answers.
        traffic: The imported traffic that drove the breakers, whose labels tell routes.

    Raises:
        NotALogError: There is no log.
    """

    def __init__(self, path: Path, name: str, traffic: Iterable[Event] | None = None) -> None:
        self._segments = Segments(path)
        self._name = name
        self._traffic = traffic

    def ask(self, question: Question) -> QueryResult:
        """Answer a question.

        Raises:
            RecloserError: There is no such breaker, trip or moment; or the log is damaged.
        """
        if question.at is not None:
            return self._ask_moment(question.at, question.breaker)
        if question.is_whole or any(trip >= ALL_TRIPS for trip in question.trips):
            return self._ask_whole(question)
        return self._ask_last(question)

    def _ask_whole(self, question: Question) -> QueryResult:
        history = fold_history(self._segments.excerpt(0))
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
        """Trips that are counted from the last are looked for from the log's end."""
        wanted = -min(question.trips)
        last = next(self._trips_back(question.breaker), None)
        if last is None:
            return self._no_trip(fold_history(self._last_excerpt()), question.breaker)
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

    def _ask_moment(self, text: str, named: str | None) -> QueryResult:
        segments = self._segments
        end = fold_history(self._last_excerpt())
        first_at = next(iter(segments.excerpt(0))).at
        last_at = StateAt(end).at
        moment = parse_time(text, first_at, last_at, end.timeline.utc(last_at))
        if isinstance(moment, WallTime):
            index = segments.holding_wall(moment.utc)
        elif isinstance(moment, AfterEvent):
            index = segments.holding_seq(moment.seq)
        else:
            index = segments.holding_at(moment)
        history = fold_history(segments.excerpt(index, index + 1))
        if isinstance(moment, WallTime):
            moment = history.timeline.at(moment.utc, moment.ns)
        then = (
            StateAt(history, seq=moment.seq) if isinstance(moment, AfterEvent) else StateAt(history, moment)
        )
        breaker = named or _most_telling(then)
        standing = then.standing(breaker)
        causes: list[Cause] = []
        if standing.state is not CLOSED:
            trip = next(self._trips_back(breaker, index + 1, then.fold.seq), None)
            if trip is not None:
                cause, history = self._explain(*trip)
                causes = [cause]
        return self._found(history, causes, named=named, standing=standing, of=then.fold.breakers)

    def _last_excerpt(self) -> Iterable[Event]:
        return self._segments.excerpt(len(self._segments.paths) - 1)

    def _trips_back(
        self, breaker: str | None, before: int | None = None, until: int | None = None
    ) -> Iterator[tuple[int, Edge]]:
        """Trips and the segments that hold them, the last first; up to the event ``until``."""
        index = self._segments.last_trip(breaker, before)
        while index is not None:
            first = self._segments.first_for(index)
            history = fold_history(self._segments.excerpt(first, index + 1))
            for edge in reversed(history.trips(breaker)):
                if until is None or edge.seq <= until + 1:
                    yield first, edge
            index = self._segments.last_trip(breaker, first)

    def _explain(self, index: int, opened: Edge) -> tuple[Cause, History]:
        """Explain a trip from the segment that holds the oldest outcome which its counters held."""
        start = self._segments.start(index)
        counters = None if start is None else start[1].get(opened.breaker)
        first = index
        if counters is not None and counters.epoch == opened.epoch - 1:
            first = min(index, self._segments.holding_seq(counters.oldest_held))
        end = self._segments.closed_by(opened, index)
        history = fold_history(self._segments.excerpt(first, end))
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
        opened = of or [name for name, snapshot in history.snapshots.items() if snapshot.epoch]
        return QueryResult(
            Answer(SCHEMA, self._name, extent, standing, causes),
            history,
            [] if named is not None else list(opened),
        )


def _most_telling(then: StateAt) -> str:
    """The breaker to speak of where none was named: that of the last edge, those not CLOSED first."""
    breakers = then.fold.breakers
    if not breakers:
        raise RecloserError("there was no breaker in this log then")

    def rank(name: str) -> tuple[bool, int]:
        edge = then.edges.get(name)
        return breakers[name].state is not CLOSED, -1 if edge is None else edge.seq

    return max(sorted(breakers), key=rank)
