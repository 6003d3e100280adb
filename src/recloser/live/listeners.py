"""Listeners: objects that are called with recorded events, outside every lock."""

import inspect
import json
import logging
import threading
from collections.abc import Iterable
from typing import Final

from attrs import define, field

from recloser.clock import SYSTEM_CLOCK
from recloser.core.events import BreakerEvent, CallRejected, CircuitBreakerState, Edge, Reason
from recloser.core.validation import NS_PER_SECOND, shown, takes
from recloser.errors import ConfigError
from recloser.process.host_logging import is_of_signal_handler

_logger: Final = logging.getLogger("recloser")

_ERRORS_LOGGED: Final = 10
"""How many errors of a listener are logged each; after that, one per second is logged."""


class Listener:
    """Receives a breaker's events in their order; subclass it and override the methods you need.

    By default a listener is called in a thread of the log, so that a slow listener delays no call.
    Events wait for it in a queue of 10,000, of which the last 1,000 places are reserved for changes of
    state. Events for which there is no room are dropped and counted in
    ``LogHealth.missed_by_listeners``. ``CircuitBreaker.flush`` waits until the listeners were called.

    An exception that a listener raises is logged and goes no further, ``SystemExit`` included. A
    ``KeyboardInterrupt`` of an inline listener goes on, as it may be the user's Ctrl-C. An exception
    that a signal handler raises goes on too.

    Attributes:
        inline: Whether it is called in the thread that caused the event, right after the event was
            recorded, as is needed to read that thread's context. Such a listener must be quick, as
            calls wait for it. One call delivers a few events at most. If threads record at the same
            moment, another thread may call the listener.
        hears_successes: Whether it receives each success, which makes every call slower; by default
            only if it overrides ``on_event``.
        hears_refusals: Whether it receives each rejection at once, which makes every rejection slower;
            by default only if it overrides ``on_event``. If not, it receives one event for many
            rejections, up to a second later.
    """

    inline: bool = False
    hears_successes: bool | None = None
    hears_refusals: bool | None = None

    def on_event(self, event: BreakerEvent) -> None:
        """Receive an event about the breaker that was recorded; changes of state are among them.

        Args:
            event: The event.
        """

    def on_transition(self, edge: Edge) -> None:
        """Receive a change of the breaker's state.

        Args:
            edge: The change.
        """


def hears_successes(listener: Listener) -> bool:
    """Return whether a listener receives each success."""
    return _or_if_it_listens(listener.hears_successes, listener)


def hears_refusals(listener: Listener) -> bool:
    """Return whether a listener receives each rejection at once."""
    return _or_if_it_listens(listener.hears_refusals, listener)


def _or_if_it_listens(wish: bool | None, listener: Listener) -> bool:
    return type(listener).on_event is not Listener.on_event if wish is None else bool(wish)


@define(eq=False)
class Subscription:
    """A listener and the kinds of events that it receives.

    The listener's attributes are read only once, since reading them may run a user's code.

    Attributes:
        listener: The listener.
        is_inline: Whether it is called in the thread that caused the event.
        hears_events: Whether it receives more than changes of state.
        hears_successes: Whether it receives each success.
        hears_refusals: Whether it receives each rejection at once.
    """

    listener: Listener
    is_inline: bool
    hears_events: bool
    hears_successes: bool
    hears_refusals: bool
    _errors: int = field(default=0, init=False)
    _quiet_until_ns: int = field(default=0, init=False)

    def notify(self, event: BreakerEvent) -> None:
        """Call the listener, and log what it raises.

        Args:
            event: The event.
        """
        listener = self.listener  # before the try block: an exception here is not the listener's
        try:
            listener.on_event(event)
            if event.kind == "state_changed":
                listener.on_transition(event)
        except BaseException as error:  # sys.exit() in a listener must not end the host's call
            if self._is_from_outside(error):
                raise
            self._log(error, event.kind)

    def _is_from_outside(self, error: BaseException) -> bool:
        """Return whether the error may be Ctrl-C, or comes from a signal handler."""
        is_in_main = threading.current_thread() is threading.main_thread()
        if isinstance(error, KeyboardInterrupt):
            return is_in_main or self.is_inline
        return is_in_main and is_of_signal_handler(error)

    def _log(self, error: BaseException, kind: str) -> None:
        """Log an exception of the listener, unless many were logged already.

        A logging handler may call a breaker of this listener: without a limit, each error would
        lead to the next.
        """
        self._errors += 1
        now_ns = SYSTEM_CLOCK.monotonic_ns()
        if self._errors > _ERRORS_LOGGED and now_ns < self._quiet_until_ns:
            return
        self._quiet_until_ns = now_ns + NS_PER_SECOND
        try:
            _logger.error(
                "a listener raised on %s; errors so far: %d", kind, self._errors, exc_info=error
            )
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001, S110  # there is nowhere left to report to
            pass


def subscriptions(listeners: Iterable[Listener] | Listener | None) -> tuple[Subscription, ...]:
    """Check the ``listeners`` argument of a breaker and return its subscriptions.

    Args:
        listeners: Several listeners, one, or None.

    Raises:
        ConfigError: Something in it is not a listener, or could not be called as one.
    """
    if listeners is None:
        return ()
    if isinstance(listeners, Listener) or not isinstance(listeners, Iterable):
        return (_subscription(listeners),)
    return tuple(map(_subscription, listeners))


def _subscription(listener: object) -> Subscription:
    if isinstance(listener, type):
        raise ConfigError(
            f"listeners: {listener.__name__} is a class; give an instance: {listener.__name__}()"
        )
    if not isinstance(listener, Listener):
        raise ConfigError(
            f"listeners: {listener!r} is not a Listener; subclass recloser.Listener, override "
            "on_event or on_transition, and give an instance"
        )
    try:
        return _subscription_of(listener)
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        # Any other exception may come from outside, such as a time limit of the host.
        if isinstance(error, ConfigError) or is_of_signal_handler(error):
            raise
        raise ConfigError(
            f"listeners: {type(listener).__name__} can't be asked what it hears: "
            f"{type(error).__name__}"
        ) from error


def _subscription_of(listener: Listener) -> Subscription:
    for method in (listener.on_event, listener.on_transition):
        if _is_never_run(method):
            raise ConfigError(
                f"listeners: {type(listener).__name__}.{method.__name__} is async or a generator, "
                "so calling it would run nothing; make it a plain method, which may hand the event "
                "to an event loop with asyncio.run_coroutine_threadsafe"
            )
        if not takes(method, 1):
            raise ConfigError(
                f"listeners: {type(listener).__name__}.{method.__name__} must take one argument, "
                "the event"
            )
    return Subscription(
        listener=listener,
        is_inline=bool(listener.inline),
        hears_events=getattr(listener.on_event, "__func__", None) is not Listener.on_event,
        hears_successes=hears_successes(listener),
        hears_refusals=hears_refusals(listener),
    )


def _is_never_run(method: object) -> bool:
    """Return whether a call returns an object that has to be awaited or iterated."""
    return (
        inspect.iscoroutinefunction(method)
        or inspect.isgeneratorfunction(method)
        or inspect.isasyncgenfunction(method)
    )


class LoggingListener(Listener):
    """Logs one JSON line per edge with its cause, and at most one per second for rejections.

    Args:
        logger: The logger; by default the logger ``recloser``.

    Raises:
        ConfigError: ``logger`` is not a logger.
    """

    hears_successes = hears_refusals = False

    def __init__(self, logger: logging.Logger | None = None) -> None:
        if logger is not None and not isinstance(logger, logging.Logger | logging.LoggerAdapter):
            raise ConfigError(
                f"logger must be a logger, as logging.getLogger gives, not {shown(logger)}"
            )
        self._logger = _logger if logger is None else logger
        self._logged_at: dict[str, int] = {}
        self._unlogged: dict[str, int] = {}

    def on_transition(self, edge: Edge) -> None:
        """Log the change of state, as a warning if the breaker opens.

        Args:
            edge: The change.
        """
        cause = edge.cause
        opens = edge.to_state is CircuitBreakerState.OPEN
        self._write(
            logging.WARNING if opens else logging.INFO,
            event="state_changed",
            breaker=edge.breaker,
            seq=edge.seq,
            epoch=edge.epoch,
            from_state=edge.from_state.value,
            to_state=edge.to_state.value,
            trigger=edge.trigger.value,
            rule=cause.rule.value,
            observed=cause.observed,
            threshold=cause.threshold,
            calls=cause.calls,
            rate=cause.rate,
            seqs=cause.seqs or cause.span,
            actor=cause.actor,
            reason=cause.reason,
        )

    def on_event(self, event: BreakerEvent) -> None:
        """Log a rejection, with the count of rejections since the line before.

        Args:
            event: The event; other kinds than rejections are passed over.
        """
        if event.kind != "call_rejected":
            return
        name = event.breaker
        count = self._unlogged.get(name, 0) + event.count
        last = self._logged_at.get(name)
        if last is not None and event.at - last < NS_PER_SECOND:
            self._unlogged[name] = count
            return
        self._logged_at[name] = event.at
        self._unlogged[name] = 0
        self._write(
            logging.INFO,
            event="call_rejected",
            breaker=name,
            state=_state_of(event).value,
            reason=event.reason.value,
            retry_after=None if event.retry_after is None else event.retry_after / NS_PER_SECOND,
            count=count,
        )

    def _write(self, level: int, **fields: object) -> None:
        present = {name: value for name, value in fields.items() if value is not None}
        # ASCII, so that no name can break a line or steer a terminal.
        self._logger.log(level, "%s", json.dumps(present), extra={"recloser": present})


def _state_of(event: CallRejected) -> CircuitBreakerState:
    if event.reason is Reason.PROBES_EXHAUSTED:
        return CircuitBreakerState.HALF_OPEN
    return CircuitBreakerState.OPEN
