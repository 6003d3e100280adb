# cython: language_level=3, annotation_typing=False
"""Tokens that let many calls of one epoch skip the sequencer's lock.

A token is read by callers without a lock and changed by the sequencer under its lock. It is never
reused for another epoch: when the breaker changes, the fast path drops the token, and calls that
still hold it find it expired.

This file is compiled with the types of ``call_tokens.pxd``, and runs interpreted where there is no
compiler.
"""

from itertools import count
from typing import Final, cast

from recloser.core.events import Reason
from recloser.core.kernel import NEVER, REJECTED, SUCCEEDED
from recloser.core.state import BreakerState
from recloser.live.call_counter import (
    UNUSED,
    CallCounter,
    RejectionCounter,
    has_known_retry,
    wait_ns,
)

FOREVER: Final = NEVER
"""A time in nanoseconds that is later than any time of a log."""


class CallToken:
    """Token that lets calls of one epoch skip the lock, and stands for them in the call buffer.

    Attributes:
        state: The breaker's state.
        epoch: The epoch of the calls.
        kind: The outcome code that the kernel gets for each call, such as ``kernel.SUCCEEDED``.
        counter: The counter of calls that need no entry in the call buffer; a placeholder until the
            first such call.
        count_until_ns: Monotonic time in nanoseconds until which callers may count a call instead of
            buffering it; 0 while they may not.
    """

    __slots__ = ("__weakref__", "count_until_ns", "counter", "epoch", "kind", "state")

    def __init__(self, state: BreakerState, kind: int) -> None:
        self.state = state
        self.epoch = state.epoch
        self.kind = kind
        self.counter: count[int] = UNUSED
        self.count_until_ns = 0

    @property
    def breaker(self) -> str:
        """The breaker's name."""
        return self.state.breaker

    @property
    def call_counter(self) -> CallCounter | None:
        """The counter of the token's calls; None before any call was counted."""
        return self.counter if isinstance(self.counter, CallCounter) else None

    def ensure_counter(self) -> CallCounter:
        """Return the counter of the token's calls, making it if there is none."""
        counter = self.call_counter
        if counter is None:
            counter = self.counter = self._new_counter()
        return counter

    def _new_counter(self) -> CallCounter:
        return CallCounter(self.epoch)


class AdmitToken(CallToken):
    """Token on which a closed or disabled breaker admits calls without the lock.

    Attributes:
        expires_ns: Monotonic time in nanoseconds from which no call may use the token; ``FOREVER``
            if time makes no difference.
        slow_ns: A call that takes longer than this, in nanoseconds, is slow.
        ignores_end_time: Whether it makes no difference when a successful call ends.
        bad_recorded: How many failed or slow calls were recorded without the lock.
        bad_limit: How many failed or slow calls may be recorded without the lock in all; 0 if
            every such call must take the lock.
        outcome_tokens: Tokens for calls that did not succeed, by the ``id`` of the error's type or
            by the outcome and error text that a caller reported; None before any such call.
    """

    __slots__ = (
        "bad_limit",
        "bad_recorded",
        "expires_ns",
        "ignores_end_time",
        "outcome_tokens",
        "slow_ns",
    )

    def __init__(self, state: BreakerState) -> None:
        super().__init__(state, SUCCEEDED)
        self.slow_ns = _slow_ns(state)
        self.ignores_end_time = _ignores_end_time(state)
        self.expires_ns = 0
        self.bad_recorded = self.bad_limit = 0
        self.outcome_tokens: dict[object, OutcomeToken] | None = None

    @property
    def never_expires(self) -> bool:
        """Whether a success that is not slow fires no edge, however late it ends."""
        return self.expires_ns == FOREVER

    def fits(self, state: BreakerState) -> bool:
        """Return whether the token's epoch and limits are still those of the breaker's state."""
        return (
            self.epoch == state.epoch
            and self.slow_ns == _slow_ns(state)
            and self.ignores_end_time == _ignores_end_time(state)
        )

    def expire(self) -> None:
        """Make calls that hold the token take the lock when they end."""
        self.expires_ns = self.bad_limit = 0


def _slow_ns(state: BreakerState) -> int:
    limit = state.config.slow_call_ns
    return FOREVER if limit is None else limit


def _ignores_end_time(state: BreakerState) -> bool:
    return state.config.window is None and state.config.slow_call_ns is None


class OutcomeToken(CallToken):
    """Token for admitted calls that did not succeed and ended alike.

    Attributes:
        error: The text that the log records for the error; None for none.
        error_type: The type of the error if the type alone determines the outcome, or else None.
    """

    __slots__ = ("error", "error_type")

    def __init__(self, admit_token: AdmitToken, kind: int, error: str | None) -> None:
        super().__init__(admit_token.state, kind)
        self.epoch = admit_token.epoch
        self.error = error
        self.error_type: type[BaseException] | None = None


class RejectToken(CallToken):
    """Token with which a breaker that admits no call rejects calls without the lock.

    Attributes:
        circuit_state: The state of the breaker, which the answer to the caller names.
        reason: Why calls are rejected.
        retry_ns: Monotonic time in nanoseconds before which no call is admitted.
        has_known_retry: Whether ``retry_ns`` is known.
    """

    __slots__ = ("circuit_state", "has_known_retry", "reason", "retry_ns")

    def __init__(self, state: BreakerState, reason: Reason, retry_ns: int) -> None:
        super().__init__(state, REJECTED)
        self.circuit_state = state.state
        self.reason = reason
        self.retry_ns = retry_ns
        self.has_known_retry = has_known_retry(reason)

    def wait_ns(self, monotonic_ns: int) -> int | None:
        """Return the nanoseconds until a call may be admitted; None if that is not known.

        Args:
            monotonic_ns: The monotonic time now, in nanoseconds.
        """
        return wait_ns(self.reason, self.retry_ns, monotonic_ns)

    def ensure_counter(self) -> RejectionCounter:
        """Return the counter of the rejected calls, making it if there is none."""
        return cast("RejectionCounter", super().ensure_counter())

    def _new_counter(self) -> RejectionCounter:
        return RejectionCounter(self.epoch, self.reason, self.retry_ns)
