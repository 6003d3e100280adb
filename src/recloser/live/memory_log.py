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
    """A log in memory, which is lost when its process ends; it has no seals and drops no events.

    Args:
        clock: The clock that times the log; by default that of the first breaker on it.
        tick_seconds: How often, in seconds, the monotonic and wall time are recorded while events
            flow; None to record them only where a deadline has passed.
        host: The name of the machine in the log; by default the machine's own name.
        detail: ``full`` for one event per outcome; ``runs`` for one event for the successes of a
            breaker within a whole second.

    Raises:
        ConfigError: An argument is invalid.
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
        self._events: list[Event] = []
        self._written_seq = 0

    def recovered(self) -> tuple[LogFold, Tail]:
        """Return an empty fold, as a log in memory begins empty."""
        return LogFold(), Tail()

    def write(self, events: Sequence[Event], seal: LogSealed | None) -> None:
        """Append events, unless they are appended already; called under the lock."""
        del seal
        made, seq = list(events), events[-1].seq
        if seq <= self._written_seq:
            return
        # One step, as there is no call in between.
        self._events += made
        self._written_seq = seq

    def flush(self) -> None:
        """Fold the buffered calls, and record the counted ones."""
        if self._sequencer is not None:
            self._sequencer.reading(_look_at_nothing)

    def __iter__(self) -> Iterator[Event]:
        self.flush()
        return map(full, list(self._events))

    def __len__(self) -> int:
        self.flush()
        return len(self._events)

    def close(self) -> None:
        """Do nothing, as the events are in memory already."""


class PassingLog(MemoryLog):
    """A log that hands its events on and does not keep them.

    It has seals where a log in a folder has them, so that events have the same ``seq`` in both.
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
        """Return how many events can be appended before the next seal; called under the lock."""
        return max(1, SEAL_EVERY - self._unsealed)

    def seal_after(self, events: Sequence[Event]) -> LogSealed | None:
        """Return the seal that is due after events; called under the lock, and changes nothing."""
        last = events[-1]
        if last.kind == "state_changed" or self._unsealed + len(events) >= SEAL_EVERY:
            return seal_of(last)
        return None

    def write(self, events: Sequence[Event], seal: LogSealed | None) -> None:
        """Append events and their seal, unless they are appended already; called under the lock."""
        made: list[Event] = list(events) if seal is None else [*events, seal]
        seq = made[-1].seq
        if seq <= self._written_seq:
            return
        unsealed = self._unsealed + len(made) if seal is None else 0
        # One step, as there is no call in between.
        self._events += made
        self._written_seq = seq
        self._unsealed = unsealed

    def passed(self) -> Sequence[Event]:
        """Return the events since the last call of this method, in the form in which they came."""
        passed, self._events = self._events, []
        return passed


class NoLog(Log):
    """The log of a breaker that was given none: it keeps nothing."""

    def __init__(self) -> None:
        super().__init__(detail="runs")

    def recovered(self) -> tuple[LogFold, Tail]:
        """Return an empty fold."""
        return LogFold(), Tail()

    def write(self, events: Sequence[Event], seal: LogSealed | None) -> None:
        """Do nothing with the events."""

    def catch_up(self, recorded: Sequence[Event | Outcomes]) -> None:
        """Do nothing, as no event is kept."""

    def __iter__(self) -> Iterator[Event]:
        return iter(())

    def close(self) -> None:
        """Do nothing, as the events are in memory already."""


def _look_at_nothing(fold: LogFold, at: int) -> None:
    del fold, at
