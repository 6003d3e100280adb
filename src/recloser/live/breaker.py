"""The live circuit breaker: it admits calls and records their outcomes.

Each method is a command that becomes an event. What an event does to the state is decided in
``recloser.core.fold`` alone.
"""

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, ClassVar, Literal, NoReturn, ParamSpec, TypeVar, cast

from attrs import evolve

from recloser.clock import Clock
from recloser.core.config import Mode, Settings
from recloser.core.events import (
    CircuitBreakerState,
    Event,
    ForcedClosed,
    ForcedOpen,
    ModeChanged,
    Outcome,
    Reason,
    Reset,
)
from recloser.core.kernel import HALF_OPEN as PROBING
from recloser.core.snapshot import Snapshot
from recloser.core.state_machine import HALF_OPEN
from recloser.core.validation import Seconds, checked_seconds, checked_took_ns
from recloser.errors import MisuseError, PermitError
from recloser.live import admission, arguments, blocks, classification, last_permits, wrappers
from recloser.live.breaker_setup import set_up
from recloser.live.call_tokens import AdmitToken
from recloser.live.config_pool import pooled
from recloser.live.decision import BreakerDecision, CircuitOpenError, Permit, Ride
from recloser.live.listeners import Listener, subscriptions
from recloser.live.live_log import Log
from recloser.live.lock_free_admission import admit_lock_free, begin_lock_free, reject_lock_free
from recloser.live.lock_free_reports import learn_outcome, report_lock_free
from recloser.live.nesting import ride_on_probe
from recloser.live.notifier import FLUSH_SECONDS
from recloser.live.reporting import Command, Report
from recloser.live.request import spent_before
from recloser.live.resting import AwakeSequencer, RestingGroup, resting_snapshot
from recloser.live.sequencer import Sequencer
from recloser.live.settings_in_force import OnOtherConfig, checked_on_other_config

P = ParamSpec("P")
R = TypeVar("R")


class CircuitBreaker:
    """Decides whether calls to one dependency may be made, and records how they ended.

    Breakers of one name on one log are one breaker. Any thread or task may use it. As a decorator,
    ``@breaker``, it protects functions, coroutine functions, generators and asynchronous
    generators; as a context manager, ``with breaker:`` or ``async with breaker:``, a block.

    Args:
        name: The breaker's name in the log.
        config: The settings, or a mapping of them as in a settings file. By default those that this
            process has given the breaker of this name on this log before, or else those of
            ``CircuitBreakerConfig()``.
        log: The log that records the breaker's events and from which its state is computed; without
            one, nothing is recorded.
        clock: The clock that times the breaker; by default the log's clock, or else the system's.
        listeners: One or several listeners of the breaker's events.
        on_other_config: What happens to settings that differ from those that this process has given
            the breaker of this name on this log before. ``follow``: the first settings stay in
            force, and a RecloserWarning names both places; ``replace``: the new settings are in force
            from now on; ``raise``: a ConfigError. Settings of earlier processes are always replaced,
            unless the log is shared.

    Attributes:
        config: The settings in force.

    Raises:
        ConfigError: An argument is invalid; a dotted name in the settings can't be imported; a
            listener could not be called; or the log is timed by another clock.
    """

    _classifies: ClassVar[bool] = True
    """Whether it classifies outcomes, so that dotted names in its settings must be resolved."""

    __slots__ = ("__weakref__", "_order", "_state", "config", "fast_path")

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
        name = arguments.checked_name(name)
        subscribed = subscriptions(listeners)
        settings = arguments.config_or_none(config)
        self._order, self._state, self.config, self.fast_path = set_up(
            name,
            None if settings is None else pooled(settings),
            None if log is None else arguments.checked_log(log),
            arguments.checked_clock(clock),
            listeners=subscribed,
            on_other_config=checked_on_other_config(on_other_config),
            needs_classifiers=self._classifies,
        )

    @property
    def name(self) -> str:
        """The breaker's name in the log."""
        return self._state.breaker

    @property
    def _sequencer(self) -> Sequencer:
        """What orders and records the breaker's events."""
        order = self._order
        return order if isinstance(order, Sequencer) else self._awake(order)

    def _awake(self, group: RestingGroup) -> Sequencer:
        """Give the breaker a sequencer of its own, as it does not rest any more."""
        made = AwakeSequencer(group, self._state, self.fast_path)
        # One step: another thread, or a signal handler, may have made one meanwhile.
        if self._order is group:
            self._order = made
        return self._sequencer

    def before_call(self) -> BreakerDecision:
        """Ask whether a call may be made; if it may, report its outcome with the permit.

        The permit is also kept in the current context, where ``after_success``, ``after_failure`` and
        ``after_ignored`` find it if they are given none.
        """
        decision = (
            admit_lock_free(self.fast_path)
            or self._admit_into_probe()
            or reject_lock_free(self.fast_path)
            or self._decide()
        )
        if decision.permit is not None:
            last_permits.remember(decision.permit)
        return decision

    def after_success(self, permit: Permit | None = None, *, took_ns: int | None = None) -> None:
        """Report a successful call.

        Args:
            permit: The permit of the call; by default the last one given in this context.
            took_ns: How long the call took, in nanoseconds, if the caller has measured it.

        Raises:
            PermitError: The permit was reported before, or is another breaker's, or there is none.
        """
        self._end(Outcome.SUCCEEDED, permit, "after_success", took_ns)

    def after_failure(
        self,
        permit: Permit | None = None,
        error: BaseException | str | None = None,
        *,
        took_ns: int | None = None,
    ) -> None:
        """Report a failed call.

        Args:
            permit: The permit of the call; by default the last one given in this context.
            error: The exception, of which the type is recorded, or a text.
            took_ns: How long the call took, in nanoseconds, if the caller has measured it.

        Raises:
            PermitError: The permit was reported before, or is another breaker's, or there is none.
        """
        # A call inside that this very breaker rejected is no failure: the dependency was not asked.
        outcome = (
            Outcome.IGNORED if classification.is_refusal_of(self.name, error) else Outcome.FAILED
        )
        self._end(outcome, permit, "after_failure", took_ns, error)

    def after_ignored(
        self,
        permit: Permit | None = None,
        error: BaseException | str | None = None,
        *,
        took_ns: int | None = None,
    ) -> None:
        """Report a call whose end says nothing about the dependency, such as a cancelled one.

        Args:
            permit: The permit of the call; by default the last one given in this context.
            error: The exception, of which the type is recorded, or a text.
            took_ns: How long the call took, in nanoseconds, if the caller has measured it.

        Raises:
            PermitError: The permit was reported before, or is another breaker's, or there is none.
        """
        self._end(Outcome.IGNORED, permit, "after_ignored", took_ns, error)

    def call(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call ``function`` if the breaker admits the call, and report how it ended.

        The settings ``record``, ``ignore`` and ``failure_result`` decide which exceptions and results
        are failures. If the function is asynchronous, await this: ``await breaker.call(function)``.

        Raises:
            CircuitOpenError: The breaker rejected the call.
        """
        return wrappers.call(self, function, args, kwargs)

    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]:
        """Decorate a function, coroutine function, generator or asynchronous generator.

        The breaker decides on a generator when it is begun, and learns its outcome when it ends.
        """
        return wrappers.protected(self, function)

    def __enter__(self) -> Permit:
        permit = begin_lock_free(self.fast_path) or self.admit()
        try:
            blocks.enter(permit)
        except BaseException as error:  # from outside: the block is not entered
            self._report_not_entered(permit, error)
            raise
        return permit

    def _report_not_entered(self, permit: Permit, error: BaseException) -> None:
        blocks.forget(permit)
        if not permit.spent:
            self._report(Outcome.IGNORED, permit, error=error)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        self._end_block(blocks.exit_block(self._state), error)
        return False

    async def __aenter__(self) -> Permit:
        # As ``__enter__``, which must not be called here: blocks are identified by the frame that is
        # two above ``blocks.enter``.
        permit = begin_lock_free(self.fast_path) or self.admit()
        try:
            blocks.enter(permit)
        except BaseException as error:  # from outside: the block is not entered
            self._report_not_entered(permit, error)
            raise
        return permit

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        self._end_block(blocks.exit_block(self._state), error)
        return False

    def _end_block(self, permit: Permit | None, error: BaseException | None) -> None:
        if permit is None:
            raise PermitError(f"no block of {self.name!r} is open, so none can be left")
        if error is None and report_lock_free(
            self.fast_path, Outcome.SUCCEEDED, permit, None, None
        ):
            return
        if issubclass(type(error), GeneratorExit) and blocks.is_in_generator(permit):
            # The generator has yielded inside the block, and was closed by its consumer there.
            self.report_early_close(permit, cast("GeneratorExit", error))
        else:
            self.classify_and_report(permit, error)

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise MisuseError(
            f"the breaker {self.name!r} can't be copied or pickled, as its state is shared by all "
            "that use it; make it in each process"
        )

    def current_state(self) -> CircuitBreakerState:
        """Return the breaker's state; reading it changes nothing."""
        return self._state.state

    def snapshot(self) -> Snapshot:
        """Return the breaker's state with all its counters and limits; reading changes nothing."""
        order = self._order
        if isinstance(order, RestingGroup):
            resting = resting_snapshot(self._state, self.fast_path.admit_token)
            # If the breaker still rests now, nothing has changed while the snapshot was made.
            if resting is not None and self._order is order:
                return resting
        sequencer = self._sequencer
        snapshot = sequencer.reading(lambda fold, at: fold.snapshot(self.name, at), self.name)
        return evolve(snapshot, degraded=True) if sequencer.degraded else snapshot

    def flush(self, timeout_seconds: Seconds = FLUSH_SECONDS) -> bool:
        """Wait until the listeners of the breaker's log were called for all events so far.

        Args:
            timeout_seconds: How long to wait at most.

        Returns:
            Whether they were within that time. False at once in a listener, which would wait for
            itself.
        """
        timeout_seconds = checked_seconds("timeout_seconds", timeout_seconds)
        if isinstance(self._order, RestingGroup):  # as it has no listeners
            return True
        self._sequencer.fold_buffered()
        return self._sequencer.notifier.wait_until_delivered(timeout_seconds)

    def force_open(self, *, actor: str | None = None, reason: str | None = None) -> None:
        """Reject all calls until ``reset`` or ``force_closed``.

        Args:
            actor: Who did it, for the log.
            reason: Why, for the log.
        """
        self._command(ForcedOpen, actor, reason)

    def force_closed(self, *, actor: str | None = None, reason: str | None = None) -> None:
        """Close the breaker now; it trips again by its rules.

        Args:
            actor: Who did it, for the log.
            reason: Why, for the log.
        """
        self._command(ForcedClosed, actor, reason)

    def reset(self, *, actor: str | None = None, reason: str | None = None) -> None:
        """Return the breaker to its first state: closed, with all counters at 0.

        Args:
            actor: Who did it, for the log.
            reason: Why, for the log.
        """
        self._command(Reset, actor, reason)

    def set_mode(self, mode: Mode, *, actor: str | None = None, reason: str | None = None) -> None:
        """Change whether the breaker enforces its decisions; its state stays the same.

        Args:
            mode: ``enforce``, ``shadow`` or ``disabled``.
            actor: Who did it, for the log.
            reason: Why, for the log.

        Raises:
            ConfigError: There is no such mode.
        """
        mode = arguments.checked_mode(mode)
        self._command(ModeChanged, actor, reason, mode)

    def _command(
        self, event: Callable[..., Event], actor: str | None, reason: str | None, *fields: object
    ) -> None:
        name, by = self.name, (arguments.loggable_text(actor), arguments.loggable_text(reason))
        sequencer = self._sequencer
        sequencer.carry_out(
            Command(sequencer, name, lambda seq, at: event(seq, at, name, *fields, *by))
        )
        sequencer.await_effect()

    def admit(self) -> Permit:
        """Return the permit for a call, to be reported with ``classify_and_report``.

        Raises:
            CircuitOpenError: The breaker rejected the call.
        """
        permit = begin_lock_free(self.fast_path) or self._ride_on_probe()
        if permit is not None:
            return permit
        decision = reject_lock_free(self.fast_path) or self._decide()
        if decision.permit is None:
            raise CircuitOpenError(self.name, decision)
        return decision.permit

    def _admit_into_probe(self) -> BreakerDecision | None:
        """Return the decision for a call inside a probe of this breaker; None outside of one."""
        ride = self._ride_on_probe()
        return None if ride is None else BreakerDecision(True, Reason.PROBE, None, ride, HALF_OPEN)

    def _ride_on_probe(self) -> Ride | None:
        if self._state.where != PROBING:
            return None
        return ride_on_probe(self._state, self._sequencer.read_at)

    def permit_of(self, token: AdmitToken, started_ns: int) -> Permit:
        """Return a permit for a call that was admitted without the lock and must be reported by one.

        Args:
            token: The token on which the call was admitted.
            started_ns: The monotonic time at which the call began, in nanoseconds.
        """
        return Permit(token.state, token.epoch, started_ns - self.fast_path.origin)

    def _decide(self) -> BreakerDecision:
        mark = admission.ProbeMark()
        try:
            return admission.decide(self._sequencer, self._state, mark)
        except BaseException as error:
            # If it came up after a probe was admitted, nobody makes the call.
            if mark.is_done and not mark.permit.spent:
                self._report(Outcome.IGNORED, mark.permit, error=error)
            raise

    def classify_and_report(
        self, permit: Permit, error: BaseException | None = None, result: Any = None
    ) -> None:
        """Report a call by what it raised or returned; the settings decide what that means.

        Args:
            permit: The permit of the call.
            error: The exception that the call raised; None if it returned.
            result: What the call returned.
        """
        if permit.rides:
            permit.spend()
        elif error is not None:
            try:
                outcome = classification.outcome_of_error(self.config, error, self.name)
            except BaseException:  # from outside, while a predicate was asked
                self._report(
                    classification.outcome_by_types(self.config, error, self.name),
                    permit,
                    error=error,
                )
                raise
            self._report(outcome, permit, error=error)
            learn_outcome(self.fast_path, self.config, type(error))
        else:
            try:
                is_failure = classification.is_failure_result(self.config, result)
            except BaseException:  # from outside, while the predicate was asked
                self._report(Outcome.SUCCEEDED, permit)
                raise
            if is_failure:
                self._report(Outcome.FAILED, permit, error="failure_result")
            else:
                self._report(Outcome.SUCCEEDED, permit)

    def report_early_close(self, permit: Permit, error: GeneratorExit) -> None:
        """Report a stream that its consumer closed after at least one item.

        Args:
            permit: The permit of the stream.
            error: The exception with which the stream was closed.
        """
        if permit.rides:
            permit.spend()
        else:
            try:
                outcome = classification.outcome_of_early_close(self.config, error)
            except BaseException:  # from outside, while a predicate was asked
                self._report(Outcome(self.config.closed_early), permit, error=error)
                raise
            self._report(outcome, permit, error=error)

    def _end(
        self,
        outcome: Outcome,
        given: Permit | None,
        method: str,
        took_ns: int | None,
        error: BaseException | str | None = None,
    ) -> None:
        permit = last_permits.given_or_last(given, self._state, method)
        if permit.rides:  # the permit of the probe around the call reports for both
            self._check_own(permit)
            permit.spend()
        else:
            self._report(outcome, permit, took_ns, error)

    def _report(
        self,
        outcome: Outcome,
        permit: Permit,
        took_ns: int | None = None,
        error: BaseException | str | None = None,
    ) -> None:
        if took_ns is not None:
            took_ns = checked_took_ns(took_ns)
        self._check_own(permit)
        text = (
            classification.type_name(type(error))
            if isinstance(error, BaseException)
            else arguments.loggable_text(error)
        )
        if report_lock_free(self.fast_path, outcome, permit, took_ns, text):
            return
        if permit.spent:
            raise spent_before(permit)
        sequencer = self._sequencer
        if took_ns is None and sequencer.is_mine:
            # The report is carried out later, when the outer entry of this thread is over.
            took_ns = max(0, sequencer.read_at() - permit.started_at)
        sequencer.carry_out(Report(sequencer, outcome, permit, took_ns, text))

    def _check_own(self, permit: Permit) -> None:
        if permit.giver is not self._state:
            raise PermitError(f"{permit!r} was not given by this breaker, {self.name!r}")
        last_permits.forget(permit)
