"""Admission and rejection of calls without the sequencer's lock."""

from recloser.core.events import Reason
from recloser.core.state_machine import CLOSED
from recloser.live.decision import BreakerDecision, Permit
from recloser.live.fast_path import FastPath
from recloser.live.function_wrapper import begin, rejection_at


def begin_lock_free(fast_path: FastPath) -> Permit | None:
    """Return a permit without taking the lock; None if the call must take the lock.

    Args:
        fast_path: The fast path of the breaker.
    """
    started = begin(fast_path)
    if started is None:
        return None
    token = started.token
    return Permit(token.state, token.epoch, started.started_ns - fast_path.origin)


def admit_lock_free(fast_path: FastPath) -> BreakerDecision | None:
    """Return the decision to admit a call without the lock; None if it must take the lock.

    Args:
        fast_path: The fast path of the breaker.
    """
    permit = begin_lock_free(fast_path)
    if permit is None:
        return None
    if permit.giver.is_disabled:
        return BreakerDecision(True, Reason.DISABLED, None, permit, permit.giver.state)
    return BreakerDecision(True, Reason.CLOSED, None, permit, CLOSED)


def reject_lock_free(fast_path: FastPath) -> BreakerDecision | None:
    """Return the answer to a call that can only be rejected; None if it must take the lock.

    Args:
        fast_path: The fast path of the breaker.
    """
    token = fast_path.reject_token
    if token is None:
        return None
    monotonic_ns = fast_path.monotonic_ns()
    if monotonic_ns < token.count_until_ns:
        next(token.counter)
    elif monotonic_ns < token.retry_ns:
        fast_path.record(monotonic_ns, 0, token)
    else:
        return None
    return rejection_at(token, monotonic_ns)
