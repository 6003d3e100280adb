"""The live breaker: decisions, permits and reports.

Each method is a command that becomes an event; what the event does to the state is decided in
``recloser.core.fold`` alone.
"""

from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from functools import partial
from types import MappingProxyType, TracebackType
from typing import Any, ClassVar, Final, Literal, NoReturn, ParamSpec, TypeVar, cast

from attrs import evolve

from recloser.clock import Clock
from recloser.core import kernel
from recloser.core.config import CircuitBreakerConfig, Mode, Settings
from recloser.core.events import (
    CallRejected,
    CircuitBreakerState,
    Event,
    ForcedClosed,
    ForcedOpen,
    ModeChanged,
    Outcome,
    Reason,
    Reset,
)
from recloser.core.fold import refusal_of
from recloser.core.kernel import HALF_OPEN as PROBING
from recloser.core.kernel import NEVER
from recloser.core.snapshot import Snapshot
from recloser.core.state import BreakerState
from recloser.core.state_machine import CLOSED, HALF_OPEN
from recloser.core.validation import Seconds, checked_seconds, checked_took_ns
from recloser.errors import MisuseError, PermitError
from recloser.live import blocks, wrappers
from recloser.live.arguments import (
    checked_clock,
    checked_log,
    checked_mode,
    checked_name,
    config_or_none,
)
from recloser.live.arguments import loggable_text as _text
from recloser.live.classification import (
    is_failure_result,
    is_refusal_of,
    outcome_by_types,
    outcome_of_early_close,
    outcome_of_error,
    outcome_of_type,
    type_name,
)
from recloser.live.config_pool import pooled
from recloser.live.decision import BreakerDecision, CircuitOpenError, Permit, Ride
from recloser.live.fast_path import SHUT, Ending, Leave, Pass
from recloser.live.function_wrapper import begin, end_with, may_end_with, refused_at
from recloser.live.listeners import Listener, subscriptions
from recloser.live.nesting import ride_on_probe
from recloser.live.notifier import FLUSH_SECONDS
from recloser.live.reporting import Admission, Command, Configure, Report
from recloser.live.request import ProbeClaim, spent_before
from recloser.live.resting import Resting, Woken, can_rest, resting_of, snapshot_of
from recloser.live.sequencer import Log, Sequencer
from recloser.live.settings_in_force import (
    UNSHARED,
    OnOtherConfig,
    caller_place,
    checked_on_other_config,
    warn,
)
from recloser.log.codec import lean
from recloser.process.contexts import set_in_context

_DEFAULT: Final = CircuitBreakerConfig()
_KINDS: Final = {
    Outcome.SUCCEEDED: kernel.SUCCEEDED,
    Outcome.FAILED: kernel.FAILED,
    Outcome.IGNORED: kernel.IGNORED,
}
_MOST_ENDINGS: Final = 64
_Rejected: Final = lean(CallRejected)

P = ParamSpec("P")
R = TypeVar("R")


# By the id of its giver, the last permit that before_call() gave in this context, until reported.
_last_permits: Final[ContextVar[Mapping[int, Permit]]] = ContextVar(
    "recloser_last_permits", default=MappingProxyType({})
)


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
        listeners: One or several listeners of its events.
        on_other_config: What becomes of settings that differ from those that this process has given
            the breaker of this name on this log before. ``follow``: the first ones hold, and a
            RecloserWarning names both places; ``replace``: these hold from now on; ``raise``: a
            ConfigError. Settings of earlier processes are always replaced, unless the log is
            shared.

    Attributes:
        config: The settings that hold for it.

    Raises:
        ConfigError: An argument has a value that it can't have; a dotted name in the settings
            can't be imported; a listener could not be called; or the log is timed by another clock.
    """

    _classifies: ClassVar[bool] = True
    """Whether it classifies outcomes, so that dotted names in its settings must be resolved."""

    __slots__ = ("__weakref__", "_order", "_state", "config", "gate")

    def __init__(
        self,
        name: str,
        config: Settings | None = None,
        *,
        log: Log | None = None,
        clock: Clock | None = None,
        listeners: Iterable[Listener] | Listener | None = (),
        on_other_config: OnOtherConfig = "follow",
    ) -> None:
        name = checked_name(name)
        subscribed = subscriptions(listeners)
        given = config_or_none(config)
        asked = None if given is None else pooled(given)
        on_other = checked_on_other_config(on_other_config)
        chosen = checked_log(log)
        if asked is not None and self._classifies:
            _ = asked.resolved_mapping  # imports modules, which must not happen under the lock
        timed_by = checked_clock(clock)
        wanted = asked or _DEFAULT
        state = self._state = BreakerState(name, wanted)
        can_begin_at_rest = log is None and not subscribed and can_rest(wanted)
        resting = resting_of(timed_by) if can_begin_at_rest else None
        if resting is not None:
            self.config = wanted
            self._order: Sequencer | Resting = resting
            self.gate = resting.gate(state)
            return
        place = ("", 0) if log is None else caller_place()
        sequencer = self._order = chosen.attach(timed_by)
        for subscription in subscribed:
            add = partial(sequencer.audience.add, name, subscription)
            sequencer.hold(add, add)
        configure = Configure(
            sequencer,
            name,
            in_force=UNSHARED if log is None else chosen.settings_in_force,
            asked=asked,
            place=place,
            on_other=on_other,
        )
        self._state = sequencer.configured(configure, state)
        decision = configure.decision
        # A thread that is in the middle of a change learns only later which settings hold.
        self.config = wanted if decision is None else decision.config
        if decision is not None and decision.warning is not None:
            warn(decision.warning, place)
        gate = sequencer.gate_of(name)
        # A result can be told from a failure by a predicate only, which is asked in ``settle``.
        self.gate = gate if self.config.failure_result is None else SHUT

    @property
    def name(self) -> str:
        """The name by which the log knows the breaker."""
        return self._state.breaker

    @property
    def _sequencer(self) -> Sequencer:
        """What orders and records the breaker's events."""
        order = self._order
        return order if isinstance(order, Sequencer) else self._woken(order)

    def _woken(self, resting: Resting) -> Sequencer:
        """The breaker's own sequencer, now that it does not rest any more."""
        made = Woken(resting, self._state, self.gate)
        # One step: another thread, or a signal handler, may have made one meanwhile.
        if self._order is resting:
            self._order = made
        return self._sequencer

    def before_call(self) -> BreakerDecision:
        """Ask whether a call may be made; if allowed, report its outcome with the permit.

        The permit is also kept in the current context, where ``after_success`` and the others find
        it if they are given none.
        """
        decision = self._let() or self._ride() or self._refused() or self._decide()
        if decision.permit is not None:
            held = {**_last_permits.get(), id(self._state): decision.permit}
            set_in_context(_last_permits, held)
        return decision

    def after_success(self, permit: Permit | None = None, *, took_ns: int | None = None) -> None:
        """Report that the call went well.

        Args:
            permit: The permit of the call; by default the last one given in this context.
            took_ns: How long it took in nanoseconds, if the caller has measured it.

        Raises:
            PermitError: The permit was reported before, or is another breaker's, or there is none.
        """
        self._end(Outcome.SUCCEEDED, self._permit(permit, "after_success"), took_ns)

    def after_failure(
        self,
        permit: Permit | None = None,
        error: BaseException | str | None = None,
        *,
        took_ns: int | None = None,
    ) -> None:
        """Report that the call failed; ``error`` is recorded by its type. Else as above."""
        # A call that its own breaker refused inside has not failed: nobody was asked.
        outcome = Outcome.IGNORED if is_refusal_of(self.name, error) else Outcome.FAILED
        self._end(outcome, self._permit(permit, "after_failure"), took_ns, error)

    def after_ignored(
        self,
        permit: Permit | None = None,
        error: BaseException | str | None = None,
        *,
        took_ns: int | None = None,
    ) -> None:
        """Report an end that says nothing about the dependency; it only gives the permit back."""
        self._end(Outcome.IGNORED, self._permit(permit, "after_ignored"), took_ns, error)

    def call(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call ``function`` if the breaker allows it, and report how it went.

        What it raises or returns is told apart by ``record``, ``ignore`` and ``failure_result`` of
        the configuration. If it is asynchronous, so is this: ``await breaker.call(function)``.

        Raises:
            CircuitOpenError: The breaker refused the call.
        """
        return wrappers.call(self, function, args, kwargs)

    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]:
        """Decorate a function, coroutine function, generator or asynchronous generator.

        A generator is asked for when it is begun, and its outcome is known when it ends.
        """
        return wrappers.protected(self, function)

    def __enter__(self) -> Permit:
        permit = self._let_past() or self.admit()
        try:
            blocks.enter(permit)
        except BaseException as error:  # from outside: the block is not entered
            self._give_back(permit, error)
            raise
        return permit

    def _give_back(self, permit: Permit, error: BaseException) -> None:
        """Report the permit of a block that was not entered."""
        blocks.forget(permit)
        if not permit.spent:
            self._report(Outcome.IGNORED, permit, error=error)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        self._end_block(blocks.leave(self._state), error)
        return False

    async def __aenter__(self) -> Permit:
        permit = self._let_past() or self.admit()
        try:
            blocks.enter(permit)
        except BaseException as error:  # from outside: the block is not entered
            self._give_back(permit, error)
            raise
        return permit

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        self._end_block(blocks.leave(self._state), error)
        return False

    def _end_block(self, permit: Permit | None, error: BaseException | None) -> None:
        if permit is None:
            raise PermitError(f"no block of {self.name!r} is open, so none can be left")
        if error is None and self._has_passed(Outcome.SUCCEEDED, permit, None, None):
            return
        if issubclass(type(error), GeneratorExit) and blocks.is_in_generator(permit):
            # It can only be closed where it has yielded inside of the block.
            self.settle_closed(permit, cast("GeneratorExit", error))
        else:
            self.settle(permit, error)

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise MisuseError(
            f"the breaker {self.name!r} can't be copied or pickled, as its state is shared by all "
            "that use it; make it in each process"
        )

    def current_state(self) -> CircuitBreakerState:
        """Where the breaker is; reading it changes nothing."""
        return self._state.state

    def snapshot(self) -> Snapshot:
        """All there is to see of the breaker; reading it changes nothing."""
        order = self._order
        if isinstance(order, Resting):
            resting = snapshot_of(self._state, self.gate.leave)
            if resting is not None and self._order is order:  # so nothing has changed meanwhile
                return resting
        sequencer = self._sequencer
        snapshot = sequencer.reading(lambda fold, at: fold.snapshot(self.name, at), self.name)
        return evolve(snapshot, degraded=True) if sequencer.degraded else snapshot

    def flush(self, timeout_seconds: Seconds = FLUSH_SECONDS) -> bool:
        """Wait until the listeners of the breaker's log were called for all events so far.

        Returns:
            Whether they were within that time. False at once in a listener, which would wait for
            itself.
        """
        timeout_seconds = checked_seconds("timeout_seconds", timeout_seconds)
        if isinstance(self._order, Resting):  # as nobody listens
            return True
        self._sequencer.relieve()
        return self._sequencer.audience.wait_until_told(timeout_seconds)

    def force_open(self, *, actor: str | None = None, reason: str | None = None) -> None:
        """Refuse all calls until ``reset`` or ``force_closed``."""
        by = (_text(actor), _text(reason))
        self._command(lambda seq, at: ForcedOpen(seq, at, self.name, *by))

    def force_closed(self, *, actor: str | None = None, reason: str | None = None) -> None:
        """Close the breaker now; it trips again by its rules."""
        by = (_text(actor), _text(reason))
        self._command(lambda seq, at: ForcedClosed(seq, at, self.name, *by))

    def reset(self, *, actor: str | None = None, reason: str | None = None) -> None:
        """Put the breaker back to where it began: closed, with nothing counted."""
        by = (_text(actor), _text(reason))
        self._command(lambda seq, at: Reset(seq, at, self.name, *by))

    def set_mode(self, mode: Mode, *, actor: str | None = None, reason: str | None = None) -> None:
        """Change what the breaker does with its decisions; it stays in the state that it is in.

        Raises:
            ConfigError: There is no such mode.
        """
        mode = checked_mode(mode)
        by = (_text(actor), _text(reason))
        self._command(lambda seq, at: ModeChanged(seq, at, self.name, mode, *by))

    def _command(self, make: Callable[[int, int], Event]) -> None:
        self._sequencer.carry_out(Command(self._sequencer, self.name, make))
        self._sequencer.await_effect()

    def admit(self) -> Permit:
        """The permit for a call, to be given back with ``settle``.

        Raises:
            CircuitOpenError: The breaker refused the call.
        """
        permit = self._let_past() or self._ridden()
        if permit is not None:
            return permit
        decision = self._refused() or self._decide()
        if decision.permit is None:
            raise CircuitOpenError(self.name, decision)
        return decision.permit

    def _let_past(self) -> Permit | None:
        """The permit of a call that needs to ask nobody; None if it has to be decided."""
        started = begin(self.gate)
        return None if started is None else self.permit_of(started.leave, started.started_ns)

    def _let(self) -> BreakerDecision | None:
        """The answer to a call that needs to ask nobody; None if it has to be decided."""
        permit = self._let_past()
        if permit is None:
            return None
        if permit.giver.is_disabled:
            return BreakerDecision(True, Reason.DISABLED, None, permit, permit.giver.state)
        return BreakerDecision(True, Reason.CLOSED, None, permit, CLOSED)

    def _ride(self) -> BreakerDecision | None:
        """The answer to a call within a live probe of this breaker; None if it is in none."""
        ride = self._ridden()
        return None if ride is None else BreakerDecision(True, Reason.PROBE, None, ride, HALF_OPEN)

    def _ridden(self) -> Ride | None:
        """The permit of a call within a live probe of this breaker; None if it is in none."""
        if self._state.where != PROBING:
            return None
        return ride_on_probe(self._state, self._sequencer.read_at)

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
        return Permit(leave.state, leave.epoch, started_ns - self.gate.origin)

    def _learn(self, error: type[BaseException]) -> None:
        """Let later calls past the lock that end with such an error, where its type alone says how."""
        leave = self.gate.leave
        if leave is None or (leave.endings is not None and id(error) in leave.endings):
            return
        outcome = outcome_of_type(self.config, error)
        if outcome is not None:
            ending = Ending(leave, _KINDS[outcome], type_name(error))
            ending.error_type = error  # while it is kept, no other type has its id
            self._keep(leave, id(error), ending)

    def _ending(self, leave: Leave, outcome: Outcome, error: str | None) -> Ending:
        ending = None if leave.endings is None else leave.endings.get((outcome, error))
        if ending is None:
            ending = Ending(leave, _KINDS[outcome], error)
            self._keep(leave, (outcome, error), ending)
        return ending

    @staticmethod
    def _keep(leave: Leave, key: object, ending: Ending) -> None:
        if leave.endings is None or len(leave.endings) >= _MOST_ENDINGS:
            leave.endings = {}
        leave.endings[key] = ending

    def settle(
        self, permit: Permit, error: BaseException | None = None, result: Any = None
    ) -> None:
        """Report what a call raised or returned, told apart by the configuration."""
        if permit.rides:
            permit.spend()
        elif error is not None:
            try:
                outcome = outcome_of_error(self.config, error, self.name)
            except BaseException:  # from outside, while a predicate was asked
                self._report(outcome_by_types(self.config, error, self.name), permit, error=error)
                raise
            self._report(outcome, permit, error=error)
            self._learn(type(error))
        else:
            try:
                is_failure = is_failure_result(self.config, result)
            except BaseException:  # as above
                self._report(Outcome.SUCCEEDED, permit)
                raise
            if is_failure:
                self._report(Outcome.FAILED, permit, error="failure_result")
            else:
                self._report(Outcome.SUCCEEDED, permit)

    def settle_closed(self, permit: Permit, error: GeneratorExit) -> None:
        """Report a stream that its consumer closed after at least one item."""
        if permit.rides:
            permit.spend()
        else:
            try:
                outcome = outcome_of_early_close(self.config, error)
            except BaseException:  # as above
                self._report(Outcome(self.config.closed_early), permit, error=error)
                raise
            self._report(outcome, permit, error=error)

    def _decide(self) -> BreakerDecision:
        sequencer, admission = self._sequencer, Admission()
        try:
            answer = sequencer.run(partial(self._decide_at, admission), self._decide_inside)
            if isinstance(answer, BreakerDecision):
                return answer
            answer.wait()
            decide = partial(self._decide_claimed, admission, answer)
            return sequencer.run(decide, self._decide_inside)
        except BaseException as error:
            # It came up after the probe was admitted: nobody makes the call.
            if admission.is_done and not admission.permit.spent:
                self._report(Outcome.IGNORED, admission.permit, error=error)
            raise

    def _decide_claimed(self, admission: Admission, claim: ProbeClaim, at: int) -> BreakerDecision:
        answer = self._decide_at(admission, at, claim)
        assert isinstance(answer, BreakerDecision)  # a claim is waited for once
        return answer

    def _decide_at(
        self, admission: Admission, at: int, claim: ProbeClaim | None = None
    ) -> BreakerDecision | ProbeClaim:
        state = self._state
        if state.mode == "disabled":
            permit = Permit(state, state.epoch, at)
            return BreakerDecision(True, Reason.DISABLED, None, permit, state.state)
        if state.state is not CLOSED:
            if claim is None:
                claim = self._sequencer.claim_probe(state, at)
                if claim is not None:
                    return claim
            admission.permit = Permit(state, state.epoch, at, state.probes_admitted + 1)
            admitted = self._sequencer.admit_probe(state, at, admission)
            if admitted is not None:
                permit = Permit(state, admitted.epoch, admitted.at, admitted.probe)
                return BreakerDecision(True, Reason.PROBE, None, permit, HALF_OPEN)
        # Probes of another process may have closed it meanwhile.
        if self.current_state() is CLOSED:
            permit = Permit(state, state.epoch, at)
            return BreakerDecision(True, Reason.CLOSED, None, permit, CLOSED)
        rejected, decision = self._refusal(state, at)
        rejected.carry_out(at)
        return decision

    def _decide_inside(self) -> BreakerDecision:
        """Decide by the last whole state, in a thread that is in the middle of a change.

        No probe is admitted, as that would be a change.
        """
        sequencer = self._sequencer
        state = sequencer.last_whole(self.name).breakers.get(self.name, self._state)
        at = sequencer.read_at()
        permit = Permit(self._state, state.epoch, at)
        if state.mode == "disabled":
            return BreakerDecision(True, Reason.DISABLED, None, permit, state.state)
        if state.state is CLOSED:
            return BreakerDecision(True, Reason.CLOSED, None, permit, CLOSED)
        rejected, decision = self._refusal(state, at)
        sequencer.ask(rejected)
        return decision

    def _refusal(self, state: BreakerState, at: int) -> tuple[Command, BreakerDecision]:
        """The answer of a breaker in this state that lets no call through, and its event."""
        name = self.name
        reason = refusal_of(state) or Reason.PROBES_EXHAUSTED
        wait_ns = None
        if reason is Reason.COOLDOWN_ACTIVE and state.deadline != NEVER:
            wait_ns = max(0, state.deadline - at)
        rejected = Command(
            self._sequencer, name, lambda seq, at: _Rejected(seq, at, name, reason, wait_ns)
        )
        retry_after = None if wait_ns is None else wait_ns / 1e9
        if state.mode == "shadow":
            # Its outcome is recorded, and as this epoch lets no such call through, counts as stale.
            permit = Permit(self._state, state.epoch, at)
            decision = BreakerDecision(True, Reason.SHADOW, retry_after, permit, state.state)
            return rejected, decision
        return rejected, BreakerDecision(False, reason, retry_after, None, state.state)

    def _report(
        self,
        outcome: Outcome,
        permit: Permit,
        took_ns: int | None = None,
        error: BaseException | str | None = None,
    ) -> None:
        if took_ns is not None:
            took_ns = checked_took_ns(took_ns)
        permit = self._own(permit)
        name = type_name(type(error)) if isinstance(error, BaseException) else _text(error)
        if self._has_passed(outcome, permit, took_ns, name):
            return
        if permit.spent:
            raise spent_before(permit)
        sequencer = self._sequencer
        if took_ns is None and sequencer.is_mine:
            took_ns = max(0, sequencer.read_at() - permit.started_at)
        sequencer.carry_out(Report(sequencer, outcome, permit, took_ns, name))

    def _has_passed(
        self, outcome: Outcome, permit: Permit, took_ns: int | None, error: str | None
    ) -> bool:
        """Whether a report was recorded without the lock, because it can only change counters."""
        gate = self.gate
        leave = gate.leave
        if leave is None or leave.epoch != permit.epoch or permit.probe or permit.spent:
            return False
        ended = gate.monotonic_ns()
        if ended >= leave.lapses_ns or ended >= gate.pending.due_ns:
            return False
        took = max(0, ended - gate.origin - permit.started_at) if took_ns is None else took_ns
        ending: Pass = leave
        if outcome is not Outcome.SUCCEEDED:
            ending = self._ending(leave, outcome, error)
        if not may_end_with(gate, leave, took, ending):
            return False
        permit.spend()
        if not end_with(gate, leave, ended, took, ending):
            # Another thread took the last that was to spare: what comes of it is found at once.
            gate.record(ended, took, ending)
            gate.relieve()
        return True

    def _permit(self, permit: Permit | None, method: str) -> Permit:
        """The permit that a caller reports with, checked to be one."""
        if permit is None:
            permit = _last_permits.get().get(id(self._state))
            if permit is None:
                raise PermitError(
                    f"there is no open permit of {self.name!r} in this context; "
                    "pass the one that before_call() gave"
                )
        elif not isinstance(permit, Permit):
            raise PermitError(_misused(permit, method))
        return permit

    def _end(
        self,
        outcome: Outcome,
        permit: Permit,
        took_ns: int | None,
        error: BaseException | str | None = None,
    ) -> None:
        """Report an outcome, unless another permit reports it."""
        if permit.rides:
            self._own(permit).spend()
        else:
            self._report(outcome, permit, took_ns, error)

    def _own(self, permit: Permit) -> Permit:
        """The permit to report, which is then no longer open in this context."""
        last = _last_permits.get()
        key = id(self._state)
        if permit.giver is not self._state:
            raise PermitError(f"{permit!r} was not given by this breaker, {self.name!r}")
        if last.get(key) is permit:
            others = {other: held for other, held in last.items() if other != key}
            set_in_context(_last_permits, others)
        return permit


def _misused(given: object, method: str) -> str:
    """What to do instead of passing this where a permit belongs."""
    kind = type(given).__name__
    if isinstance(given, BreakerDecision):
        return f"{method}() takes a permit, not a decision; pass decision.permit"
    if isinstance(given, BaseException | type) and method != "after_success":
        return f"{method}() takes the permit first, not {kind}; pass {method}(error=...)"
    return (
        f"{method}() takes a permit of before_call(), not {kind}; without arguments it reports the "
        "last one of this context"
    )
