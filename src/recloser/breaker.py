"""The live breaker: decisions, permits and reports.

Each method is a command that becomes an event; what the event does to the state is decided in
``recloser.fold`` alone.
"""

from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from functools import partial
from types import MappingProxyType, TracebackType
from typing import Any, ClassVar, Final, Literal, ParamSpec, TypeVar

from attrs import evolve

from recloser import forms
from recloser.arguments import checked_log, checked_mode, checked_name, config_or_none
from recloser.arguments import loggable_text as _text
from recloser.classification import is_failure_result, outcome_of_error, type_name
from recloser.clock import Clock
from recloser.config import CircuitBreakerConfig, Mode, Settings
from recloser.decision import BreakerDecision, CircuitOpenError, Permit, refused_at
from recloser.errors import PermitError
from recloser.events import (
    BreakerConfigured,
    CallFailed,
    CallIgnored,
    CallRejected,
    CallSucceeded,
    CircuitBreakerState,
    ForcedClosed,
    ForcedOpen,
    ModeChanged,
    Outcome,
    Reason,
    Reset,
)
from recloser.fold import refusal_of
from recloser.gate import SHUT, Leave
from recloser.listeners import Listener
from recloser.log.codec import lean
from recloser.log.sequencer import Log
from recloser.machine import CLOSED, HALF_OPEN
from recloser.settings_in_force import (
    Decision,
    OnOtherConfig,
    SettingsInForce,
    caller_place,
    checked_on_other_config,
    warn,
)
from recloser.snapshot import Snapshot
from recloser.validation import checked_took_ns

_Succeeded: Final = lean(CallSucceeded)
_Failed: Final = lean(CallFailed)
_Ignored: Final = lean(CallIgnored)
_Rejected: Final = lean(CallRejected)

P = ParamSpec("P")
R = TypeVar("R")


# By the id of their giver, the permits given in this context and not yet reported: the last one of
# before_call(), and those of the ``with`` blocks that are open.
_last_permits: Final[ContextVar[Mapping[int, Permit]]] = ContextVar(
    "recloser_last_permits", default=MappingProxyType({})
)
_entered: Final[ContextVar[tuple[Permit, ...]]] = ContextVar("recloser_entered", default=())


class CircuitBreaker:
    """Decides whether calls to one dependency may be made, and records how they went.

    Breakers of one name on one log are one breaker. Any thread or task may use it. As a decorator,
    ``@breaker``, it protects functions, coroutine functions, generators and asynchronous
    generators; as a context, ``with breaker:`` or ``async with breaker:``, a block.

    Args:
        name: What the breaker is called in the log.
        config: Its settings, or a mapping of them as in a settings file; by default those that
            this process has given the breaker of this name on this log before, or else those of
            ``CircuitBreakerConfig()``.
        log: Where its events go and its state comes from; without one nothing is recorded.
        clock: What times it; by default the log's clock, or else the system's.
        listeners: Who is told of its events.
        on_other_config: What becomes of settings that differ from those that this process has given
            the breaker of this name on this log before. ``follow``: the first ones hold, and a
            RecloserWarning names both places; ``replace``: these hold from now on; ``raise``: a
            ConfigError. Settings of earlier processes are always replaced, unless the log is
            shared.

    Attributes:
        config: The settings that hold for it.

    Raises:
        ConfigError: An argument has a value that it can't have; a dotted name in the settings
            can't be imported; or the log is timed by another clock.
    """

    _classifies: ClassVar[bool] = True
    """Whether it classifies outcomes, so that dotted names in its settings must be resolved."""

    __slots__ = ("__weakref__", "_sequencer", "_state", "config", "gate", "name")

    def __init__(
        self,
        name: str,
        config: Settings | None = None,
        *,
        log: Log | None = None,
        clock: Clock | None = None,
        listeners: Iterable[Listener] = (),
        on_other_config: OnOtherConfig = "follow",
    ) -> None:
        name = self.name = checked_name(name)
        asked = config_or_none(config)
        on_other = checked_on_other_config(on_other_config)
        chosen = checked_log(log)
        place = ("", 0) if log is None else caller_place()
        if asked is not None and self._classifies:
            _ = asked.resolved_mapping  # imports modules, which must not happen under the lock
        self._sequencer = chosen.attach(clock)
        for listener in listeners:
            with self._sequencer.held():
                self._sequencer.audience.add(name, listener)
        with self._sequencer as at:
            decision = self._configured(at, chosen.settings_in_force, asked, place, on_other)
            gate = self._sequencer.gate(name)
        if decision.warning is not None:
            warn(decision.warning, place)
        # A result can be told from a failure by a predicate only, which is asked in ``settle``.
        self.gate = gate if self.config.failure_result is None else SHUT

    def _configured(
        self,
        at: int,
        in_force: SettingsInForce,
        asked: CircuitBreakerConfig | None,
        place: tuple[str, int],
        on_other: OnOtherConfig,
    ) -> Decision:
        """Have the log say which configuration holds for the breaker, and take it over."""
        breakers = self._sequencer.fold.breakers
        known = breakers.get(self.name)
        in_log = None if known is None else known.config
        decision = in_force.decide(self.name, asked, place, on_other, in_log)
        if decision.is_new:
            settings = decision.config.to_mapping()
            self._sequencer.append(BreakerConfigured(self._next_seq(at), at, self.name, settings))
        in_force.note(self.name, decision, place)
        self.config = decision.config
        self._state = self._sequencer.fold.breakers[self.name]
        return decision

    def before_call(self) -> BreakerDecision:
        """Ask whether a call may be made; if allowed, report its outcome with the permit.

        The permit is also kept in the current context, where ``after_success`` and the others find
        it if they are given none.
        """
        decision = self._let() or self._refused() or self._decide()
        if decision.permit is not None:
            _last_permits.set({**_last_permits.get(), id(self._state): decision.permit})
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
        self._report(Outcome.FAILED, permit, took_ns, error)

    def after_ignored(
        self,
        permit: Permit | None = None,
        error: BaseException | str | None = None,
        *,
        took_ns: int | None = None,
    ) -> None:
        """Report an end that says nothing about the dependency; it only gives the permit back."""
        self._report(Outcome.IGNORED, permit, took_ns, error)

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call ``function`` if the breaker allows it, and report how it went.

        What it raises or returns is told apart by ``record``, ``ignore`` and ``failure_result`` of
        the configuration. If it is asynchronous, so is this: ``await breaker.call(function)``.

        Raises:
            CircuitOpenError: The breaker refused the call.
        """
        return forms.call(self, function, args, kwargs)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Decorate a function, coroutine function, generator or asynchronous generator.

        A generator is asked for when it is begun, and its outcome is known when it ends.
        """
        return forms.protected(self, function)

    def __enter__(self) -> Permit:
        permit = self.admit()
        _entered.set((*_entered.get(), permit))
        return permit

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        entered = _entered.get()
        for index in range(len(entered) - 1, -1, -1):
            if entered[index].giver is self._state:
                _entered.set(entered[:index] + entered[index + 1 :])
                self.settle(entered[index], error)
                return False
        raise PermitError(f"the block of {self.name!r} is left in another context than its own")

    async def __aenter__(self) -> Permit:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        return self.__exit__(kind, error, traceback)

    def current_state(self) -> CircuitBreakerState:
        """Where the breaker is; reading it changes nothing."""
        return self._state.state

    def snapshot(self) -> Snapshot:
        """All there is to see of the breaker; reading it changes nothing."""
        with self._sequencer.reading(self.name) as at:
            snapshot = self._sequencer.fold.snapshot(self.name, at)
            return evolve(snapshot, degraded=True) if self._sequencer.degraded else snapshot

    def force_open(self, *, actor: str | None = None, reason: str | None = None) -> None:
        """Refuse all calls until ``reset`` or ``force_closed``."""
        with self._sequencer as at:
            seq = self._next_seq(at)
            self._sequencer.append(ForcedOpen(seq, at, self.name, _text(actor), _text(reason)))

    def force_closed(self, *, actor: str | None = None, reason: str | None = None) -> None:
        """Close the breaker now; it trips again by its rules."""
        with self._sequencer as at:
            seq = self._next_seq(at)
            self._sequencer.append(ForcedClosed(seq, at, self.name, _text(actor), _text(reason)))

    def reset(self, *, actor: str | None = None, reason: str | None = None) -> None:
        """Put the breaker back to where it began: closed, with nothing counted."""
        with self._sequencer as at:
            seq = self._next_seq(at)
            self._sequencer.append(Reset(seq, at, self.name, _text(actor), _text(reason)))

    def set_mode(self, mode: Mode, *, actor: str | None = None, reason: str | None = None) -> None:
        """Change what the breaker does with its decisions; it stays in the state that it is in.

        Raises:
            ConfigError: There is no such mode.
        """
        mode = checked_mode(mode)
        with self._sequencer as at:
            seq = self._next_seq(at)
            self._sequencer.append(
                ModeChanged(seq, at, self.name, mode, _text(actor), _text(reason))
            )

    def admit(self) -> Permit:
        """The permit for a call, to be given back with ``settle``.

        Raises:
            CircuitOpenError: The breaker refused the call.
        """
        permit = self._let_past()
        if permit is not None:
            return permit
        decision = self._refused() or self._decide()
        if decision.permit is None:
            raise CircuitOpenError(self.name, decision)
        return decision.permit

    def _let_past(self) -> Permit | None:
        """The permit of a call that needs to ask nobody; None if it has to be decided."""
        gate = self.gate
        lease = gate.lease
        if lease is None:
            return None
        monotonic_ns = gate.monotonic_ns()
        if monotonic_ns >= lease.lapses_ns or monotonic_ns >= gate.pending.due_ns:
            return None
        return Permit(lease.state, lease.epoch, monotonic_ns - gate.origin)

    def _let(self) -> BreakerDecision | None:
        """The answer to a call that needs to ask nobody; None if it has to be decided."""
        permit = self._let_past()
        if permit is None:
            return None
        if permit.giver.mode == "disabled":
            return BreakerDecision(True, Reason.DISABLED, None, permit, permit.giver.state)
        return BreakerDecision(True, Reason.CLOSED, None, permit, CLOSED)

    def _refused(self) -> BreakerDecision | None:
        """The answer to a call that can only be refused; None if it has to be decided."""
        gate = self.gate
        refusal = gate.refusal
        if refusal is None:
            return None
        monotonic_ns = gate.monotonic_ns()
        if monotonic_ns < refusal.until_ns:
            next(refusal.counter)
        elif monotonic_ns < refusal.opens_ns:
            gate.record(monotonic_ns, 0, refusal)
        else:
            return None
        return refused_at(refusal, monotonic_ns)

    def permit_of(self, leave: Leave, started_ns: int) -> Permit:
        """The permit of a call that was let past the lock, for what is not settled there.

        Args:
            leave: What it was let past on.
            started_ns: The monotonic hand of the clock at its start.
        """
        return Permit(leave.state, leave.epoch, started_ns - self._sequencer.origin)

    def settle(
        self, permit: Permit, error: BaseException | None = None, result: Any = None
    ) -> None:
        """Report what a call raised or returned, told apart by the configuration."""
        if error is not None:
            self._report(outcome_of_error(self.config, error), permit, error=error)
        elif is_failure_result(self.config, result):
            self._report(Outcome.FAILED, permit, error="failure_result")
        else:
            self._report(Outcome.SUCCEEDED, permit)

    def _decide(self) -> BreakerDecision:
        sequencer, state = self._sequencer, self._state
        with sequencer as at:
            epoch = state.epoch
            permit = Permit(state, epoch, at)
            if state.mode == "disabled":
                return BreakerDecision(True, Reason.DISABLED, None, permit, state.state)
            if state.state is CLOSED:
                return BreakerDecision(True, Reason.CLOSED, None, permit, CLOSED)
            admitted = sequencer.admit_probe(state, at)
            if admitted is not None:
                permit = Permit(state, admitted.epoch, admitted.at, admitted.probe)
                return BreakerDecision(True, Reason.PROBE, None, permit, HALF_OPEN)
            if self.current_state() is CLOSED:  # somebody else's probes have closed it meanwhile
                permit = Permit(state, state.epoch, at)
                return BreakerDecision(True, Reason.CLOSED, None, permit, CLOSED)
            return self._refuse(at)

    def _refuse(self, at: int) -> BreakerDecision:
        state = self._state
        reason = refusal_of(state) or Reason.PROBES_EXHAUSTED
        wait_ns = None
        if reason is Reason.COOLDOWN_ACTIVE and state.deadline is not None:
            wait_ns = max(0, state.deadline - at)
        self._sequencer.append(_Rejected(self._next_seq(at), at, self.name, reason, wait_ns))
        retry_after = None if wait_ns is None else wait_ns / 1e9
        if state.mode == "shadow":
            # Its outcome is recorded, and as this epoch lets no such call through, counts as stale.
            permit = Permit(state, state.epoch, at)
            return BreakerDecision(True, Reason.SHADOW, retry_after, permit, state.state)
        return BreakerDecision(False, reason, retry_after, None, state.state)

    def _report(
        self,
        outcome: Outcome,
        permit: Permit | None,
        took_ns: int | None = None,
        error: BaseException | str | None = None,
    ) -> None:
        if took_ns is not None:
            took_ns = checked_took_ns(took_ns)
        permit = self._own(permit)
        if outcome is Outcome.SUCCEEDED and self._has_passed(permit, took_ns):
            return
        sequencer = self._sequencer
        if sequencer.is_mine:
            sequencer.defer(partial(self._report, outcome, permit, took_ns, error))
            return
        name = type_name(type(error)) if isinstance(error, BaseException) else _text(error)
        with sequencer as at:
            permit.spend()
            took = max(0, at - permit.started_at) if took_ns is None else took_ns
            is_plain = outcome is Outcome.SUCCEEDED and not permit.probe
            if is_plain and sequencer.runs.hold(self.name, permit.epoch, took, at):
                return
            call = (self._next_seq(at), at, self.name, permit.epoch, took, permit.probe)
            if outcome is Outcome.SUCCEEDED:
                sequencer.append(_Succeeded(*call))
            elif outcome is Outcome.FAILED:
                sequencer.append(_Failed(*call, name))
            else:
                sequencer.append(_Ignored(*call, name))

    def _has_passed(self, permit: Permit, took_ns: int | None) -> bool:
        """Whether a success was taken past the lock, as nothing but a count can come of it."""
        gate = self.gate
        lease = gate.lease
        if lease is None or lease.epoch != permit.epoch or permit.probe:
            return False
        ended = gate.monotonic_ns()
        if ended >= gate.pending.due_ns:
            return False
        took = max(0, ended - gate.origin - permit.started_at) if took_ns is None else took_ns
        is_counted = ended < lease.until_ns and took <= lease.slow_ns
        if not is_counted and not lease.is_firm:
            return False
        permit.spend()
        if is_counted:
            next(lease.counter)
        else:
            gate.record(ended, took, lease)
        return True

    def _next_seq(self, at: int) -> int:
        """The number of the breaker's next event, once what was counted of it is recorded."""
        self._sequencer.runs.end(self.name, at)
        return self._sequencer.next_seq

    def _own(self, permit: Permit | None) -> Permit:
        """The permit to report, which is then no longer open in this context."""
        last = _last_permits.get()
        key = id(self._state)
        if permit is None:
            permit = last.get(key)
            if permit is None:
                raise PermitError(
                    f"there is no open permit of {self.name!r} in this context; "
                    "pass the one that before_call() gave"
                )
        elif permit.giver is not self._state:
            raise PermitError(f"{permit!r} was not given by this breaker, {self.name!r}")
        if last.get(key) is permit:
            _last_permits.set({other: held for other, held in last.items() if other != key})
        return permit
