# cython: language_level=3, annotation_typing=False, infer_types=True
"""Wrapper of a plain function whose calls take no lock, and how such a call begins and ends.

Why no lock is needed:

- *The token is read once per call.* Another thread may drop the token, under the lock, while the
  call is under way. The token has then expired, and the call takes the lock when it ends. Between
  the last check of the token and the step that records the call, nothing can make the record wrong:
  the token in it names the epoch that the call belongs to, whatever the epoch is when the buffer is
  folded.
- *No call overtakes a tick or a deadline that is due.* A call that begins or ends after the buffer's
  ``due_ns`` takes the lock and records the tick or the deadline first. Where successes may be counted
  without a second reading of the clock, only the beginning of the call is checked.
- *Recording a call is one step* (``CallBuffer.record``), so no exception from a signal handler or
  another thread loses a call or records it twice. Counting a call is one step as well
  (``next`` of a ``CallCounter``).
- *Buffered calls are in the order in which they ended.* A call that fails stops the counting of
  later ones, which are then buffered after it; what is counted has no place among buffered calls.
- *A failure to spare is claimed before the call is recorded.* An exception between the two steps
  leaves one failure fewer to spare than there is, until the buffer is folded. The only effect is that
  a call takes the lock without need.

This file is compiled with the types of ``function_wrapper.pxd``, and runs interpreted where there is
no compiler.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from recloser.core.kernel import FAILED, SUCCEEDED
from recloser.core.state_machine import OPEN
from recloser.live.call_tokens import AdmitToken, CallToken, RejectToken
from recloser.live.decision import BreakerDecision, CircuitOpenError, Permit
from recloser.live.deferred_results import Reporter, follow_of
from recloser.live.fast_path import FastPath

if TYPE_CHECKING:
    import cython  # gives the compiler the name; this line never runs
else:
    from recloser.core import interpreted as cython

# Compiled, these are C variables instead of look-ups in the module's dictionary.
_FAILED = FAILED
_SUCCEEDED = SUCCEEDED
_OPEN = OPEN
_Decision = BreakerDecision
_Error = CircuitOpenError
_follow_of = follow_of


class FastBreaker(Reporter, Protocol):
    """A breaker whose calls may use a fast path.

    Attributes:
        fast_path: The breaker's fast path.
    """

    fast_path: FastPath

    def permit_of(self, token: AdmitToken, started_ns: int) -> Permit:
        """Return a permit for a call that began on a token and has to be reported by a permit."""


class StartedCall:
    """An awaited call that was admitted without the lock.

    Attributes:
        fast_path: The fast path that admitted the call.
        token: The token on which the call was admitted.
        started_ns: The monotonic time at which the call began, in nanoseconds.
    """

    __slots__ = ("fast_path", "started_ns", "token")

    fast_path: FastPath
    token: AdmitToken
    started_ns: int

    def record_return(self) -> bool:
        """Record a success without the lock; return False if the call must take the lock."""
        return _record_return(self.fast_path, self.token, self.started_ns)

    def record_error(self, error: BaseException) -> bool:
        """Record an exception without the lock; return False if the call must take the lock."""
        return _record_error(self.fast_path, self.token, self.started_ns, error)


def begin(fast_path: FastPath) -> StartedCall | None:
    """Admit a call that begins now; None if the call must take the lock."""
    return _begin(fast_path)


def _begin(fast_path: FastPath) -> StartedCall | None:
    token = fast_path.admit_token
    if token is None:
        return None
    started = _monotonic_ns(fast_path)
    if started >= token.expires_ns or started >= fast_path.call_buffer.due_ns:
        return None
    call = StartedCall.__new__(StartedCall)
    call.fast_path = fast_path
    call.token = token
    call.started_ns = started
    return call


def _monotonic_ns(fast_path: FastPath) -> int:
    if cython.compiled and fast_path.is_system_clock and READS_HAND:  # type: ignore[name-defined]  # noqa: F821  # of clock.pxd
        return system_hand()  # type: ignore[name-defined,no-any-return]  # noqa: F821  # of clock.pxd
    return fast_path.monotonic_ns()


def _fast_path_of(breaker: FastBreaker) -> FastPath:
    return breaker.fast_path  # function_wrapper.pxd gives the result its C type


def fast_wrapper(  # noqa: C901  # a helper function would cost as much as what it does
    breaker: FastBreaker, function: Callable[..., Any], slow_wrapper: Callable[..., Any]
) -> Callable[..., Any]:
    """Wrap a plain function so that its calls take the fast path where possible.

    The wrapper passes on no keywords if it was given none, since that would cost a dictionary.

    Args:
        breaker: The breaker.
        function: The function.
        slow_wrapper: A wrapper of the same function that takes the lock for every call.
    """
    fast_path = _fast_path_of(breaker)
    plain: type | None = None

    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal plain
        token = fast_path.admit_token
        if token is None:
            decision = _reject(fast_path)
            if decision is not None:
                raise _Error(fast_path.breaker, decision)
            return slow_wrapper(*args, **kwargs)
        started = _monotonic_ns(fast_path)
        if started >= token.expires_ns or started >= fast_path.call_buffer.due_ns:
            return slow_wrapper(*args, **kwargs)
        try:
            result = function(*args, **kwargs) if kwargs else function(*args)
        except BaseException as error:
            if not _record_error(fast_path, token, started, error):
                breaker.classify_and_report(breaker.permit_of(token, started), error)
            raise
        if type(result) is not plain:
            if (follow := _follow_of(type(result))) is not None:
                return follow(breaker, breaker.permit_of(token, started), result)
            plain = type(result)
        if token.ignores_end_time and started < token.count_until_ns:
            # The clock is not read again. The call may end after its second is over, and is counted
            # to that second until the sequencer has ended it: within 50 ms if a thread writes the
            # log. This is harmless, as no rule of this breaker depends on when a success ends.
            next(token.counter)
        elif not _record_return(fast_path, token, started):
            breaker.classify_and_report(breaker.permit_of(token, started))
        return result

    return call


def reject(fast_path: FastPath) -> BreakerDecision | None:
    """Count a call that can only be rejected, and return the answer; None if it takes the lock."""
    return _reject(fast_path)


def _reject(fast_path: FastPath) -> BreakerDecision | None:
    token = fast_path.reject_token
    if token is None or token.circuit_state is not _OPEN:
        return None
    now = _monotonic_ns(fast_path)
    if now >= token.count_until_ns:
        return None
    next(token.counter)
    return _rejection_at(token, now)


def rejection_at(token: RejectToken, monotonic_ns: int) -> BreakerDecision:
    """Return the answer to a call that can only be rejected.

    Args:
        token: The token with which the call is rejected.
        monotonic_ns: The monotonic time now, in nanoseconds.
    """
    return _rejection_at(token, monotonic_ns)


def _rejection_at(token: RejectToken, monotonic_ns: int) -> BreakerDecision:
    wait = (token.retry_ns - monotonic_ns) / 1e9 if token.has_known_retry else None
    return _Decision(False, token.reason, wait, None, token.circuit_state)


def _record_return(fast_path: FastPath, token: AdmitToken, started: int) -> bool:
    ended = _monotonic_ns(fast_path)
    if ended >= fast_path.call_buffer.due_ns and not token.ignores_end_time:
        return False
    return _record_success(fast_path, token, ended, ended - started)


def _record_success(fast_path: FastPath, token: AdmitToken, ended: int, took: int) -> bool:
    if took <= token.slow_ns:
        if ended < token.count_until_ns:
            next(token.counter)
            return True
        if ended >= token.expires_ns:
            return False
    else:
        if ended >= token.expires_ns or token.bad_recorded >= token.bad_limit:
            return False
        token.bad_recorded += 1
        token.count_until_ns = 0  # later successes must be buffered after this call
    fast_path.record(ended, took, token)
    return True


def _record_error(
    fast_path: FastPath, token: AdmitToken, started: int, error: BaseException
) -> bool:
    ended = _monotonic_ns(fast_path)
    if ended >= token.expires_ns or ended >= fast_path.call_buffer.due_ns:
        return False
    kind = type(error)
    # By the type's id: hashing a type could run a metaclass of the user.
    outcome_tokens = token.outcome_tokens
    outcome_token = None if outcome_tokens is None else outcome_tokens.get(id(kind))
    if outcome_token is None:
        return (
            False  # the breaker learns the outcome of such an error from the report under the lock
        )
    return _record_outcome(fast_path, token, ended, ended - started, outcome_token)


def may_record(
    fast_path: FastPath, token: AdmitToken, took_ns: int, outcome_token: CallToken
) -> bool:
    """Return whether a call that ended in a given way may be recorded without the lock.

    Args:
        fast_path: The fast path that admitted the call.
        token: The token on which the call was admitted.
        took_ns: How long the call took, in nanoseconds.
        outcome_token: The token of the outcome: ``token`` itself for a success.
    """
    if outcome_token is not token and not fast_path.admits_bad:
        return False
    return token.bad_recorded < token.bad_limit or not _is_bad(token, took_ns, outcome_token)


def _is_bad(token: AdmitToken, took: int, outcome_token: CallToken) -> bool:
    return outcome_token.kind == _FAILED or (
        outcome_token.kind == _SUCCEEDED and took > token.slow_ns
    )


def record_outcome(
    fast_path: FastPath, token: AdmitToken, ended_ns: int, took_ns: int, outcome_token: CallToken
) -> bool:
    """Record a call whose outcome is known; return False if the call must take the lock.

    Args:
        fast_path: The fast path that admitted the call.
        token: The token on which the call was admitted.
        ended_ns: The monotonic time at which the call ended, in nanoseconds.
        took_ns: How long the call took, in nanoseconds.
        outcome_token: The token of the outcome: ``token`` itself for a success.
    """
    if outcome_token is token:
        return _record_success(fast_path, token, ended_ns, took_ns)
    return _record_outcome(fast_path, token, ended_ns, took_ns, outcome_token)


def _record_outcome(
    fast_path: FastPath, token: AdmitToken, ended: int, took: int, outcome_token: CallToken
) -> bool:
    if ended >= token.expires_ns or not fast_path.admits_bad:
        return False
    if _is_bad(token, took, outcome_token):
        if token.bad_recorded >= token.bad_limit:
            return False
        # Interpreted, two threads may both pass the check before either of them adds 1. The buffer
        # then holds one bad call too many, and the edge fires when that call is folded, at its place
        # in the buffer. Compiled, no other thread runs between the check and this line.
        token.bad_recorded += 1
    token.count_until_ns = 0  # later successes must be buffered after this call
    fast_path.record(ended, took, outcome_token)
    return True
