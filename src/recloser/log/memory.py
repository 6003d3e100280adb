"""A log in memory, for tests and trials."""

from collections.abc import Iterator, Sequence

from recloser.clock import Clock
from recloser.events import Event
from recloser.log.codec import full
from recloser.log.sequencer import Detail, Log
from recloser.log.tail import Tail
from recloser.logfold import LogFold
from recloser.validation import Seconds


class MemoryLog(Log):
    """A log that lives and dies with its process; it is never sealed and never forgets."""

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        tick_seconds: Seconds | None = 1,
        host: str | None = None,
        detail: Detail = "full",
    ) -> None:
        super().__init__(clock=clock, tick_seconds=tick_seconds, host=host, detail=detail)
        self._events: list[Event] = []

    def recovered(self) -> tuple[LogFold, Tail]:
        """Nothing: a log in memory begins empty."""
        return LogFold(), Tail()

    def write(self, events: Sequence[Event]) -> None:
        """Append events."""
        self._events += events

    def flush(self) -> None:
        """Take in what is not folded yet."""
        if self._sequencer is not None:
            with self._sequencer.reading():
                pass

    def __iter__(self) -> Iterator[Event]:
        self.flush()
        return map(full, list(self._events))

    def __len__(self) -> int:
        self.flush()
        return len(self._events)

    def close(self) -> None:
        """Nothing is left to be done."""


class PassingLog(MemoryLog):
    """A log whose events are passed on, and not kept."""

    def passed(self) -> Sequence[Event]:
        """What was written since this was asked last, in the form in which it was written."""
        passed, self._events = self._events, []
        return passed


class NoLog(Log):
    """What stands for a log where a breaker was given none: it keeps nothing."""

    def __init__(self) -> None:
        super().__init__(detail="runs")

    def recovered(self) -> tuple[LogFold, Tail]:
        """Nothing."""
        return LogFold(), Tail()

    def write(self, events: Sequence[Event]) -> None:
        """Forget the events."""

    def __iter__(self) -> Iterator[Event]:
        return iter(())

    def close(self) -> None:
        """Nothing is left to be done."""
