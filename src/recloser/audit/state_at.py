"""The state of a breaker at a time, its reason, and what could change it next."""

from recloser.audit.cause import Standing
from recloser.core.config import CircuitBreakerConfig
from recloser.core.events import CircuitBreakerState, Edge, Trigger
from recloser.core.kernel import NEVER, Window
from recloser.core.log_fold import LogFold
from recloser.core.state import BreakerState, numbers_of, probes_of
from recloser.core.state_machine import CLOSED, OPEN
from recloser.core.validation import Rate
from recloser.errors import RecloserError
from recloser.history.history import History


class StateAt:
    """The states of all breakers of a log at a time.

    Args:
        history: The log, from a ``log_opened`` event on.
        at: The time, in nanoseconds of the log's time; None for the last event's.
        seq: The last event to fold; None to fold all events up to ``at``.

    Attributes:
        fold: The log folded up to the time.
        edges: The last edge of each breaker up to the time, among the events in ``history``.
        at: The time, in nanoseconds of the log's time.

    Raises:
        RecloserError: The log begins after the time.
    """

    def __init__(self, history: History, at: int | None = None, seq: int | None = None) -> None:
        self.fold = LogFold()
        self.edges: dict[str, Edge] = {}
        self._timeline = history.timeline
        for event in history.events:
            if (at is not None and event.at > at) or (seq is not None and event.seq > seq):
                break
            for edge in self.fold.apply(event):
                self.edges[edge.breaker] = edge
        if self.fold.opened is None:
            raise RecloserError("the log begins after that time")
        self.at = self.fold.at if at is None else at

    def state_of(self, breaker: str) -> BreakerState:
        """The state of a breaker at the time.

        Raises:
            RecloserError: The log has no breaker of that name at the time.
        """
        try:
            return self.fold.breakers[breaker]
        except KeyError:
            raise RecloserError(
                f"there is no breaker {breaker!r} in this log at that time"
            ) from None

    def standing(self, breaker: str) -> Standing:
        """Explain why a breaker was in its state at the time.

        Raises:
            RecloserError: The log has no breaker of that name at the time.
        """
        state = self.state_of(breaker)
        edge = self.edges.get(breaker)
        text = self._timeline.text
        since = edge.at if edge else _known_since(state)
        cause = edge.cause if edge else None
        return Standing(
            breaker=breaker,
            headline=f"{breaker} was {state.state.value} at {text(self.at)}: {_reason(state, edge)}",
            seq=self.fold.seq,
            at_ns=self.at,
            utc=text(self.at),
            state=state.state,
            epoch=state.epoch,
            mode=state.mode,
            since_utc=None if since is None else text(since),
            since_seq=edge.seq if edge else None,
            since_by=edge.trigger if edge else None,
            actor=cause.actor if cause else None,
            reason=cause.reason if cause else None,
            retry_utc=text(state.deadline)
            if state.state is OPEN and state.deadline != NEVER
            else None,
            figures=describe_limits(state, self.at),
        )


def _known_since(state: BreakerState) -> int | None:
    since = state.opened_at if state.state is OPEN else state.half_open_at
    return None if since < 0 else since


def _reason(state: BreakerState, edge: Edge | None) -> str:
    if state.mode == "disabled":
        return "it was disabled and let every call through"
    if state.state is CircuitBreakerState.HALF_OPEN:
        return "its cooldown was over, and probes were to decide whether it closes"
    if state.state is OPEN:
        if state.is_forced:
            return "an operator had forced it open"
        return "it had opened, and its cooldown was not over"
    return _reason_for_closed(state, edge)


def _reason_for_closed(state: BreakerState, edge: Edge | None) -> str:
    if edge is None:
        if state.epoch == 0:
            return "it had never opened"
        return "it had been closed since before the part of the log that was read"
    how = {
        Trigger.RECOVER: "enough probes had succeeded",
        Trigger.FORCE_CLOSED: "an operator had closed it",
        Trigger.RESET: "an operator had reset it",
    }
    by = f" ({edge.cause.actor})" if edge.cause.actor else ""
    return f"{how[edge.trigger]}{by}, and no limit had been reached since"


def describe_limits(state: BreakerState, at: int) -> list[str]:
    """Describe each rule that could change the state next, with its threshold.

    Args:
        state: The state of the breaker.
        at: The time, in nanoseconds of the log's time.
    """
    config = state.config
    if state.state is CLOSED:
        return _limits(config, state)
    if state.state is OPEN:
        if state.deadline == NEVER:
            return ["open until an operator closes it"]
        left = max(0, state.deadline - at)
        return [f"cooldown: {left / 1e9:.3f} s left"]
    figures = [
        f"probes in flight: {len(probes_of(state))} of at most {config.half_open_max_probes}"
    ]
    if state.probe_window is not None and config.half_open_window is not None:
        needed = config.half_open_window.needed
        return [*figures, f"finished probes: {state.probe_window.calls} of {needed}"]
    needed = config.half_open_success_threshold
    return [*figures, f"successful probes: {len(numbers_of(state.probe_seqs))} of {needed}"]


def _limits(config: CircuitBreakerConfig, state: BreakerState) -> list[str]:
    figures = []
    if config.failure_threshold is not None:
        figures.append(
            f"consecutive failures: {state.consecutive_failures} of {config.failure_threshold}"
        )
    window = config.window
    if window is None or state.window is None:
        return figures
    held = state.window
    if window.failures is not None:
        figures.append(f"failures in the window: {held.failures} of {window.failures}")
    too_few = "" if held.calls >= window.needed else f" (applies from {window.needed} calls on)"
    if window.failure_rate is not None:
        figures.append(_share("failure rate", held.failures, held, window.failure_rate) + too_few)
    if window.slow_call_rate is not None:
        figures.append(_share("slow-call rate", held.slow, held, window.slow_call_rate) + too_few)
    return figures


def _share(what: str, count: int, held: Window, rate: Rate) -> str:
    return f"{what}: {count} of {held.calls} calls, threshold {rate}"
