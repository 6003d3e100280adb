"""The live breaker: decisions, permits and reports.

Each method is a command that becomes an event; what the event does to the state is decided in
``recloser.fold`` alone.
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Final, ParamSpec, TypeVar

from attrs import frozen

from recloser.clock import Clock
from recloser.config import CircuitBreakerConfig
from recloser.errors import ConfigError, PermitError, RecloserError
from recloser.events import (
    BreakerConfigured,
    CallFailed,
    CallIgnored,
    CallRejected,
    CallSucceeded,
    CircuitBreakerState,
    ForcedClosed,
    ForcedOpen,
    Outcome,
    ProbeAdmitted,
    Reason,
    Reset,
)
from recloser.fold import BreakerState
from recloser.log.memory import NoLog
from recloser.log.sequencer import Log
from recloser.machine import CLOSED, OPEN
from recloser.snapshot import Snapshot

P = ParamSpec("P")
R = TypeVar("R")


class Permit:
    """Leave for one call, to be reported once.

    Attributes:
        breaker: Name of the breaker that gave it.
        epoch: The epoch in which it was given; once that has passed, its outcome changes nothing.
        started_at: When it was given, in nanoseconds of the log.
        giver: The state of that breaker.
        spent: Whether its outcome was reported.
    """

    __slots__ = ("breaker", "epoch", "giver", "spent", "started_at")

    def __init__(self, giver: BreakerState, started_at: int) -> None:
        self.breaker = giver.breaker
        self.epoch = giver.epoch
        self.started_at = started_at
        self.giver = giver
        self.spent = False

    def __repr__(self) -> str:
        return f"<Permit of {self.breaker!r}, epoch {self.epoch}>"


@frozen
class BreakerDecision:
    """The answer to ``before_call``.

    Attributes:
        allowed: Whether the call may be made.
        reason: Why, or why not.
        retry_after: Seconds until a call may be let through; None where there is no knowing, or
            nothing to wait for.
        permit: What the outcome is to be reported with; None if the call is refused.
        state: Where the breaker is.
    """

    allowed: bool
    reason: Reason
    retry_after: float | None
    permit: Permit | None
    state: CircuitBreakerState


class CircuitOpenError(RecloserError):
    """A call was refused; ``decision`` says why, and when to come back."""

    def __init__(self, breaker: str, decision: BreakerDecision) -> None:
        wait = decision.retry_after
        hint = "" if wait is None else f"; try again in {wait:.3f} s"
        super().__init__(f"{breaker!r} refused the call: {decision.reason.value}{hint}")
        self.breaker = breaker
        self.decision = decision


# The permits given in this context and not yet reported, by the id of their giver.
_open_permits: Final[ContextVar[Mapping[int, Permit]]] = ContextVar(
    "recloser_open_permits", default=MappingProxyType({})
)


class CircuitBreaker:
    """Decides whether calls to one dependency may be made, and records how they went.

    Breakers of one name on one log are one breaker. Any thread or task may use it.

    Args:
        name: What the breaker is called in the log.
        config: Its settings; by default those of ``CircuitBreakerConfig()``.
        log: Where its events go and its state comes from; without one nothing is recorded.
        clock: What times it; by default the log's clock, or else the system's.

    Raises:
        ConfigError: The name is empty or no text, or the log is timed by another clock.
    """

    def __init__(
        self,
        name: str,
        config: CircuitBreakerConfig | None = None,
        *,
        log: Log | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.name = _checked_name(name)
        self.config = CircuitBreakerConfig() if config is None else config
        self._sequencer = (NoLog() if log is None else log).attach(clock)
        with self._sequencer.lock:
            self._state = self._configured()

    def _configured(self) -> BreakerState:
        """The state of the breaker, once the log says that it has this configuration."""
        breakers = self._sequencer.fold.breakers
        if self.name not in breakers or breakers[self.name].config != self.config:
            at = self._sequencer.advance()
            self._sequencer.append(
                BreakerConfigured(self._sequencer.next_seq, at, self.name, self.config.to_mapping())
            )
        return breakers[self.name]

    def before_call(self) -> BreakerDecision:
        """Ask whether a call may be made; if allowed, report its outcome with the permit.

        The permit is also kept in the current context, where ``after_success`` and the others find
        it if they are given none.
        """
        decision = self._decide()
        if decision.permit is not None:
            _open_permits.set({**_open_permits.get(), id(self._state): decision.permit})
        return decision

    def after_success(self, permit: Permit | None = None, *, took_ns: int | None = None) -> None:
        """Report that the call went well.

        Args:
            permit: The permit of the call; by default the last one given in this context.
            took_ns: How long it took in nanoseconds, if the caller has measured it.

        Raises:
            PermitError: The permit was reported before, or is another breaker's, or there is none.
        """
        self._report(Outcome.SUCCEEDED, permit, took_ns)

    def after_failure(
        self,
        permit: Permit | None = None,
        error: BaseException | str | None = None,
        *,
        took_ns: int | None = None,
    ) -> None:
        """Report that the call failed; ``error`` is recorded by its type. Else as above."""
        self._report(Outcome.FAILED, permit, took_ns, _error_type(error))

    def after_ignored(
        self,
        permit: Permit | None = None,
        error: BaseException | str | None = None,
        *,
        took_ns: int | None = None,
    ) -> None:
        """Report an end that says nothing about the dependency; it only gives the permit back."""
        self._report(Outcome.IGNORED, permit, took_ns, _error_type(error))

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call ``function`` if the breaker allows it, and report how it went.

        An ``Exception`` is a failure; whatever else unwinds the stack, such as
        ``KeyboardInterrupt``, is ignored.

        Raises:
            CircuitOpenError: The breaker refused the call.
        """
        decision = self._decide()
        if decision.permit is None:
            raise CircuitOpenError(self.name, decision)
        try:
            result = function(*args, **kwargs)
        except Exception as error:
            self.after_failure(decision.permit, error)
            raise
        except BaseException as error:
            self.after_ignored(decision.permit, error)
            raise
        self.after_success(decision.permit)
        return result

    def current_state(self) -> CircuitBreakerState:
        """Where the breaker is; reading it changes nothing."""
        return self._state.state

    def snapshot(self) -> Snapshot:
        """All there is to see of the breaker; reading it changes nothing."""
        with self._sequencer.lock:
            return self._sequencer.fold.snapshot(self.name, self._sequencer.read_at())

    def force_open(self, *, actor: str | None = None, reason: str | None = None) -> None:
        """Refuse all calls until ``reset`` or ``force_closed``."""
        self._command(ForcedOpen, actor, reason)

    def force_closed(self, *, actor: str | None = None, reason: str | None = None) -> None:
        """Close the breaker now; it trips again by its rules."""
        self._command(ForcedClosed, actor, reason)

    def reset(self, *, actor: str | None = None, reason: str | None = None) -> None:
        """Put the breaker back to where it began: closed, with nothing counted."""
        self._command(Reset, actor, reason)

    def _decide(self) -> BreakerDecision:
        sequencer, state = self._sequencer, self._state
        with sequencer.lock:
            at = sequencer.advance()
            if state.state is CLOSED:
                return BreakerDecision(True, Reason.CLOSED, None, Permit(state, at), CLOSED)
            if state.state is OPEN:
                return self._reject(at)
            if state.probes_in_flight >= state.config.half_open_max_probes:
                return self._reject(at)
            sequencer.append(
                ProbeAdmitted(
                    sequencer.next_seq, at, self.name, state.epoch, state.probes_admitted + 1
                )
            )
            return BreakerDecision(True, Reason.PROBE, None, Permit(state, at), state.state)

    def _reject(self, at: int) -> BreakerDecision:
        state = self._state
        wait_ns = None if state.deadline is None else state.deadline - at
        if state.forced:
            reason = Reason.FORCED_OPEN
        elif state.state is OPEN:
            reason = Reason.COOLDOWN_ACTIVE
        else:
            reason = Reason.PROBES_EXHAUSTED
        self._sequencer.append(
            CallRejected(self._sequencer.next_seq, at, self.name, reason, wait_ns)
        )
        retry_after = None if wait_ns is None else wait_ns / 1e9
        return BreakerDecision(False, reason, retry_after, None, state.state)

    def _report(
        self,
        outcome: Outcome,
        permit: Permit | None,
        took_ns: int | None,
        error: str | None = None,
    ) -> None:
        permit = self._own(permit)
        sequencer = self._sequencer
        with sequencer.lock:
            if permit.spent:
                raise PermitError(f"{permit!r} was reported before; a permit is for one call")
            permit.spent = True
            at = sequencer.advance()
            took = at - permit.started_at if took_ns is None else took_ns
            seq, name, epoch = sequencer.next_seq, self.name, permit.epoch
            if outcome is Outcome.SUCCEEDED:
                sequencer.append(CallSucceeded(seq, at, name, epoch, took))
            elif outcome is Outcome.FAILED:
                sequencer.append(CallFailed(seq, at, name, epoch, took, error))
            else:
                sequencer.append(CallIgnored(seq, at, name, epoch, took, error))

    def _own(self, permit: Permit | None) -> Permit:
        """The permit to report, which is then no longer open in this context."""
        opened = _open_permits.get()
        key = id(self._state)
        if permit is None:
            permit = opened.get(key)
            if permit is None:
                raise PermitError(
                    f"there is no open permit of {self.name!r} in this context; "
                    "pass the one that before_call() gave"
                )
        elif permit.giver is not self._state:
            raise PermitError(f"{permit!r} was not given by this breaker, {self.name!r}")
        if opened.get(key) is permit:
            _open_permits.set({other: held for other, held in opened.items() if other != key})
        return permit

    def _command(
        self,
        command: type[ForcedOpen | ForcedClosed | Reset],
        actor: str | None,
        reason: str | None,
    ) -> None:
        with self._sequencer.lock:
            at = self._sequencer.advance()
            self._sequencer.append(command(self._sequencer.next_seq, at, self.name, actor, reason))


def _checked_name(name: str) -> str:
    try:
        if isinstance(name, str) and name.encode():
            return name
    except UnicodeEncodeError:
        pass
    raise ConfigError(f"name must be a text that UTF-8 can encode, and not empty, not {name!r}")


def _error_type(error: BaseException | str | None) -> str | None:
    if error is None or isinstance(error, str):
        return error
    error_type = type(error)
    if error_type.__module__ == "builtins":
        return error_type.__qualname__
    return f"{error_type.__module__}.{error_type.__qualname__}"
