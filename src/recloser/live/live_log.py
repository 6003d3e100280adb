"""The log of a live process: where its sequencer puts events, and what was in the log before."""

import platform
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Final, NoReturn, Self, get_args

from recloser.clock import SYSTEM_CLOCK, Clock
from recloser.core.events import Event, LogSealed
from recloser.core.limits import label
from recloser.core.log_fold import LogFold
from recloser.core.validation import (
    Seconds,
    checked_seconds,
    checked_text,
    checked_word,
    nanoseconds,
)
from recloser.errors import ConfigError, MisuseError
from recloser.live import notices
from recloser.live.call_buffer import BUFFER_LIMIT
from recloser.live.pending_calls import Outcomes
from recloser.live.sequencer import Sequencer
from recloser.live.session import Detail
from recloser.live.settings_in_force import SettingsInForce
from recloser.log.tail import Tail
from recloser.process import forks

if TYPE_CHECKING:
    from recloser.log.set_aside import Damage

FEW: Final = 64
"""The limit of the call buffer if successes are counted: once folded, later calls need no buffer."""


class Log(ABC):
    """Keeps the events of a sequencer in their order.

    Args:
        clock: The clock that times the log; by default that of the first breaker on it.
        tick_seconds: How often, in seconds, the monotonic and wall time are recorded while events
            flow; None to record them only where a deadline has passed.
        host: The name of the machine in the log; by default the machine's own name.
        detail: ``full`` for one event per outcome; ``runs`` for one event per run, which is the
            successes of a breaker within a whole second, none of them slow and with nothing in
            between, or its rejections. All states and edges are the same, but the log does not have
            the durations of single calls.

    Attributes:
        buffer_limit: How many calls may be buffered before a caller folds them.
        is_in_child: Whether the process was forked and the log of the child is not begun.
        damage: What was damaged when the log was opened, and is set aside; None if nothing was.

    Raises:
        ConfigError: An argument is invalid.
    """

    buffer_limit = BUFFER_LIMIT
    is_in_child = False
    damage: "Damage | None" = None

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        tick_seconds: Seconds | None = 1,
        host: str | None = None,
        detail: Detail = "full",
    ) -> None:
        detail = checked_word("detail", detail, get_args(Detail))
        tick_seconds = checked_seconds("tick_seconds", tick_seconds, above_zero=True, optional=True)
        host = checked_text("host", host, optional=True, may_be_empty=True)
        self._settings_in_force: SettingsInForce | None = None
        if detail == "runs":
            self.buffer_limit = FEW
        self._clock = clock
        self._tick_ns = None if tick_seconds is None else nanoseconds(tick_seconds)
        self._host = label(platform.node() if host is None else host)
        self._detail: Detail = detail
        self._sequencer: Sequencer | None = None

    def attach(self, clock: Clock | None = None) -> Sequencer:
        """Return the sequencer that writes this log; the first call opens a session.

        Args:
            clock: The clock of a breaker; None if it has none of its own.

        Raises:
            ConfigError: The log is timed by another clock already.
        """
        # One lock for all logs. It is a new one in a forked child, and a signal handler that makes a
        # breaker can take it again in its thread.
        with forks.renewing:
            if self._sequencer is None:
                given = clock if self._clock is None else self._clock
                made_clock = SYSTEM_CLOCK if given is None else given
                made = self._make_sequencer(made_clock)
                if self._sequencer is None:  # or else a signal handler has made it meanwhile
                    self._clock, self._sequencer = made_clock, made
            if clock is not None and clock is not self._clock:
                raise ConfigError("clock: the log is timed by another clock; one log has one clock")
            return self._sequencer

    @property
    def settings_in_force(self) -> SettingsInForce:
        """The settings that this process has given the breakers of the log."""
        if self._settings_in_force is None:
            made = SettingsInForce()
            # Another thread, or a signal handler, may have made it meanwhile.
            if self._settings_in_force is None:
                self._settings_in_force = made
        return self._settings_in_force

    def _make_sequencer(self, clock: Clock) -> Sequencer:
        return Sequencer(self, clock, self._tick_ns, self._host, self._detail)

    @abstractmethod
    def recovered(self) -> tuple[LogFold, Tail]:
        """Return the fold of the events that the log has already, and how these ended."""

    @property
    def allows_buffering(self) -> bool:
        """Whether an outcome may be reported before the log has taken it in."""
        return True

    def room(self) -> int:
        """Return how many events can be appended before the next seal; called under the lock."""
        return BUFFER_LIMIT

    def seal_after(self, events: Sequence[Event]) -> LogSealed | None:
        """Return the seal that is due after events; called under the lock, and changes nothing.

        Args:
            events: The next events.
        """
        del events
        return None

    @abstractmethod
    def write(self, events: Sequence[Event], seal: LogSealed | None) -> None:
        """Append events, and the seal that ``seal_after`` returned; called under the lock.

        Events that are appended already are passed over. An exception from outside leaves either
        all of them appended or none.

        Args:
            events: An event and its witnesses, or as many outcomes as there is ``room`` for.
            seal: Their seal, if one is due.
        """

    def catch_up(self, recorded: Sequence["Event | Outcomes"]) -> None:
        """Append recorded events that may not be appended yet; called under the lock.

        Args:
            recorded: What was recorded since the last good state, in the order of the log.
        """
        for each in recorded:
            if isinstance(each, Outcomes):
                self.write(each, None)
            elif not isinstance(each, LogSealed):
                self.write([each], None)

    def ensure_safe(self, seq: int) -> None:
        """Return when all events up to ``seq`` are as safe as promised; called outside the lock.

        Args:
            seq: The ``seq`` of the last event of the call.
        """
        del seq
        self.run_deferred()

    def begin_in_child(self) -> None:  # noqa: B027  # memory needs no log of its own
        """Begin the log of a forked child, before its first event; called under the lock."""

    def wake_writer(self) -> None:  # noqa: B027  # memory needs no thread
        """Have counted calls recorded soon after their second is over; called under the lock."""

    @staticmethod
    def notice(level: int, message: str, *values: object) -> None:
        """Log a message to the host's logging as soon as no lock is held.

        Args:
            level: The level, such as ``logging.WARNING``.
            message: The message, with a ``%s`` for each value.
            values: The values.
        """
        notices.defer(level, message, *values)

    def _wait_for_listeners(self) -> None:
        """Wait a second at most until listeners were called, unless this thread is inside."""
        sequencer = self._sequencer
        if sequencer is not None and not sequencer.is_mine:
            sequencer.notifier.wait_until_delivered()

    def run_deferred(self) -> None:
        """Do what waits until this thread holds no lock: log messages to the host's logging."""
        notices.log_deferred()

    def flush(self) -> None:  # noqa: B027  # not every log has a place to write to
        """Write everything that was appended to where it can be read."""

    @abstractmethod
    def __iter__(self) -> Iterator[Event]:
        """Iterate over the events of the log from its beginning."""

    @abstractmethod
    def close(self) -> None:
        """End the session; what was appended is kept."""

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise MisuseError(
            f"a {type(self).__name__} can't be copied or pickled, as one process writes it; "
            "make it in each process"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
