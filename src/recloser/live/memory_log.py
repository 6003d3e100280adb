"""A log in memory, for tests and trials."""

from collections.abc import Iterator, Sequence

from recloser.clock import Clock
from recloser.core.events import Event, LogSealed
from recloser.core.log_fold import LogFold
from recloser.core.validation import Seconds
from recloser.live.live_log import Log
from recloser.live.pending_calls import Outcomes
from recloser.live.session import Detail
from recloser.live.write_buffer import seal_of
from recloser.log.codec import full
from recloser.log.seals import SEAL_EVERY
from recloser.log.tail import Tail


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
    """A log whose events are passed on, and not kept.

    It has seals where a log in a folder has them, so that events have the same numbers in both.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        tick_seconds: Seconds | None = 1,
        host: str | None = None,
        detail: Detail = "full",
    ) -> None:
        super().__init__(clock=clock, tick_seconds=tick_seconds, host=host, detail=detail)
        self._unsealed = 0

    def room(self) -> int:
        """How many events there may be before the next seal."""
        return max(1, SEAL_EVERY - self._unsealed)

    def seal_after(self, events: Sequence[Event]) -> LogSealed | None:
        """The seal that is due after the events."""
        last = events[-1]
        if last.kind == "state_changed" or self._unsealed + len(events) >= SEAL_EVERY:
            return seal_of(last)
        return None

    def write(self, events: Sequence[Event], seal: LogSealed | None) -> None:
        """Append events, and their seal, that are not appended yet."""
        made: list[Event] = list(events) if seal is None else [*events, seal]
        seq = made[-1].seq
        if seq <= self._written_seq:
            return
        unsealed = self._unsealed + len(made) if seal is None else 0
        # Without a call in between, these are one step.
        self._events += made
        self._written_seq = seq
        self._unsealed = unsealed

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

    def catch_up(self, recorded: Sequence[Event | Outcomes]) -> None:
        """Do nothing: no event is kept."""

    def __iter__(self) -> Iterator[Event]:
        return iter(())

    def close(self) -> None:
        """Nothing is left to be done."""


def _look_at_nothing(fold: LogFold, at: int) -> None:
    del fold, at
