"""Listeners: told of what is recorded, after the fact and outside every lock."""

import json
import logging
from typing import Final

from recloser.events import BreakerEvent, CallRejected, CircuitBreakerState, Edge, Reason
from recloser.validation import NS_PER_SECOND

_logger: Final = logging.getLogger("recloser")


class Listener:
    """Is told of a breaker's events in their order; subclass it and override what is wanted.

    It runs in the thread that caused the event or in another that was just recording, so it should
    be quick. What it raises is logged and goes no further.

    Attributes:
        hears_successes: Whether it wants to be told of each call that went well, which costs every
            call more; by default if it overrides ``on_event``.
        hears_refusals: Whether it wants to be told of each refusal at once, which costs every
            refusal more; by default likewise. If not it is told up to a second later, of many at
            once where they are many.
    """

    hears_successes: bool | None = None
    hears_refusals: bool | None = None

    def on_event(self, event: BreakerEvent) -> None:
        """An event about the breaker was recorded; edges are among them."""

    def on_transition(self, edge: Edge) -> None:
        """The breaker took an edge."""


def hears_successes(listener: Listener) -> bool:
    """Whether a listener is to be told of successes."""
    return _or_if_it_listens(listener.hears_successes, listener)


def hears_refusals(listener: Listener) -> bool:
    """Whether a listener is to be told of each refusal at once."""
    return _or_if_it_listens(listener.hears_refusals, listener)


def _or_if_it_listens(wish: bool | None, listener: Listener) -> bool:
    return type(listener).on_event is not Listener.on_event if wish is None else wish


def notify(listener: Listener, event: BreakerEvent) -> None:
    """Tell one listener of one event, and let no exception of its out."""
    try:
        listener.on_event(event)
        if event.kind == "state_changed":
            listener.on_transition(event)
    except Exception:
        _logger.exception("a listener raised on %s", event.kind)


class LoggingListener(Listener):
    """Writes one JSON line an edge with its cause, and at most one a second on refusals.

    Args:
        logger: Where to; by default the logger ``recloser``.
    """

    hears_successes = hears_refusals = False

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = _logger if logger is None else logger
        self._refused_at: dict[str, int] = {}
        self._unsaid: dict[str, int] = {}

    def on_transition(self, edge: Edge) -> None:
        """One line: a warning where the breaker opens."""
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
        """One line for a refusal, with the count of those since the line before."""
        if event.kind != "call_rejected":
            return
        name = event.breaker
        count = self._unsaid.get(name, 0) + event.count
        last = self._refused_at.get(name)
        if last is not None and event.at - last < NS_PER_SECOND:
            self._unsaid[name] = count
            return
        self._refused_at[name] = event.at
        self._unsaid[name] = 0
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
        told = {name: value for name, value in fields.items() if value is not None}
        # ASCII, so that no name can break a line or steer a terminal.
        self._logger.log(level, "%s", json.dumps(told), extra={"recloser": told})


def _state_of(event: CallRejected) -> CircuitBreakerState:
    if event.reason is Reason.PROBES_EXHAUSTED:
        return CircuitBreakerState.HALF_OPEN
    return CircuitBreakerState.OPEN
