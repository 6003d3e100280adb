"""Why a breaker is in the state that it is in: what led there, and how far it is from leaving."""

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
    """A log folded up to a moment.

    Args:
        history: The log from a ``log_opened`` on.
        at: The moment, in nanoseconds; None for the last event.
        seq: The last event; None for all up to ``at``.

    Attributes:
        fold: Its fold.
        edges: The last edge of each breaker, as far as it was read.
        at: The moment, in nanoseconds.

    Raises:
        RecloserError: The log begins later.
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
            raise RecloserError("the log begins after that moment")
        self.at = self.fold.at if at is None else at

    def state_of(self, breaker: str) -> BreakerState:
        """The state of a breaker then.

        Raises:
            RecloserError: There was none of that name.
        """
        try:
            return self.fold.breakers[breaker]
        except KeyError:
            raise RecloserError(f"there is no breaker {breaker!r} in this log then") from None

    def standing(self, breaker: str) -> Standing:
        """Why a breaker was in its state."""
        state = self.state_of(breaker)
        edge = self.edges.get(breaker)
        text = self._timeline.text
        since = edge.at if edge else _known_since(state)
        cause = edge.cause if edge else None
        return Standing(
            breaker=breaker,
            headline=f"{breaker} was {state.state.value} at {text(self.at)}: {_because(state, edge)}",
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


def _because(state: BreakerState, edge: Edge | None) -> str:
    if state.mode == "disabled":
        return "it is disabled, lets every call through and decides nothing"
    if state.state is CircuitBreakerState.HALF_OPEN:
        return "its cooldown is over, and probes are to decide"
    if state.state is OPEN:
        return "forced open by an operator" if state.is_forced else "it has opened, and is cooling"
    if edge is None:
        nothing = "it has never opened" if state.epoch == 0 else "no edge in what was read"
        return f"{nothing}, and no limit is reached"
    how = {
        Trigger.RECOVER: "enough probes succeeded",
        Trigger.FORCE_CLOSED: "an operator closed it",
        Trigger.RESET: "an operator reset it",
    }
    by = f" ({edge.cause.actor})" if edge.cause.actor else ""
    return f"{how[edge.trigger]}{by}, and no limit has been reached since"


def describe_limits(state: BreakerState, at: int) -> list[str]:
    """Each rule that could move a breaker next, with its figures against the threshold."""
    config = state.config
    if state.state is CLOSED:
        return _limits(config, state)
    if state.state is OPEN:
        if state.deadline == NEVER:
            return ["until an operator's command"]
        left = max(0, state.deadline - at)
        return [f"cooldown: {left / 1e9:.3f} s left"]
    figures = [
        f"probes under way: {len(probes_of(state))} of {config.half_open_max_probes} at once"
    ]
    if state.probe_window is not None and config.half_open_window is not None:
        needed = config.half_open_window.needed
        return [*figures, f"probes reported: {state.probe_window.calls} of {needed}"]
    needed = config.half_open_success_threshold
    return [*figures, f"probes that succeeded: {len(numbers_of(state.probe_seqs))} of {needed}"]


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
    few = "" if held.calls >= window.needed else f", which counts from {window.needed} calls on"
    if window.failure_rate is not None:
        figures.append(_share("failure rate", held.failures, held, window.failure_rate) + few)
    if window.slow_call_rate is not None:
        figures.append(_share("slow-call rate", held.slow, held, window.slow_call_rate) + few)
    return figures


def _share(what: str, count: int, held: Window, rate: Rate) -> str:
    return f"{what}: {count} of {held.calls} calls against {rate}"
