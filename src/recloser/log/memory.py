"""A log in memory, for tests and trials."""

from collections.abc import Iterator, Sequence

from recloser.clock import Clock
from recloser.events import Event, LogSealed
from recloser.log.calls import Successes
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
        self._written_seq = 0

    def recovered(self) -> tuple[LogFold, Tail]:
        """Nothing: a log in memory begins empty."""
        return LogFold(), Tail()

    def write(self, events: Sequence[Event], seal: LogSealed | None) -> None:
        """Append events that are not appended yet."""
        del seal
        made, seq = list(events), events[-1].seq
        if seq <= self._written_seq:
            return
        # Without a call in between, these are one step.
        self._events += made
        self._written_seq = seq

    def flush(self) -> None:
        """Take in what is not folded yet."""
        if self._sequencer is not None:
            self._sequencer.reading(_look_at_nothing)

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

    def write(self, events: Sequence[Event], seal: LogSealed | None) -> None:
        """Forget the events."""

    def catch_up(self, recorded: Sequence[Event | Successes]) -> None:
        """Do nothing: no event is kept."""

    def __iter__(self) -> Iterator[Event]:
        return iter(())

    def close(self) -> None:
        """Nothing is left to be done."""


def _look_at_nothing(fold: LogFold, at: int) -> None:
    del fold, at
