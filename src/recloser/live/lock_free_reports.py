"""Reports of outcomes that need no lock because they can only change counters."""

from typing import Final

from recloser.core import kernel
from recloser.core.config import CircuitBreakerConfig
from recloser.core.events import Outcome
from recloser.live.call_tokens import AdmitToken, CallToken, OutcomeToken
from recloser.live.classification import outcome_of_type, type_name
from recloser.live.decision import Permit
from recloser.live.fast_path import FastPath
from recloser.live.function_wrapper import may_record, record_outcome

_KINDS: Final = {
    Outcome.SUCCEEDED: kernel.SUCCEEDED,
    Outcome.FAILED: kernel.FAILED,
    Outcome.IGNORED: kernel.IGNORED,
}
_MAX_OUTCOME_TOKENS: Final = 64


def report_lock_free(
    fast_path: FastPath,
    outcome: Outcome,
    permit: Permit,
    took_ns: int | None,
    error: str | None,
) -> bool:
    """Record an outcome without the lock if it can only change counters, and spend the permit.

    Args:
        fast_path: The fast path of the breaker.
        outcome: How the call ended.
        permit: The permit of the call.
        took_ns: How long the call took, in nanoseconds; None to measure it now.
        error: The type of the call's exception, as text; None if it raised none.

    Returns:
        Whether the outcome is recorded; if not, it must be reported under the lock.

    Raises:
        PermitError: Another thread has reported the permit at the same time.
    """
    token = fast_path.admit_token
    if token is None or token.epoch != permit.epoch or permit.probe or permit.spent:
        return False
    ended = fast_path.monotonic_ns()
    if ended >= token.expires_ns or ended >= fast_path.call_buffer.due_ns:
        return False
    took = max(0, ended - fast_path.origin - permit.started_at) if took_ns is None else took_ns
    outcome_token: CallToken = token
    if outcome is not Outcome.SUCCEEDED:
        outcome_token = _outcome_token(token, outcome, error)
    if not may_record(fast_path, token, took, outcome_token):
        return False
    permit.spend()
    if not record_outcome(fast_path, token, ended, took, outcome_token):
        # Another thread has used the last failure to spare since the check above, and the permit is
        # spent. The call is buffered all the same and folded at once, under the lock, which finds
        # whether it fires an edge.
        fast_path.record(ended, took, outcome_token)
        fast_path.fold_buffered()
    return True


def learn_outcome(
    fast_path: FastPath, config: CircuitBreakerConfig, error_type: type[BaseException]
) -> None:
    """Let later calls that raise this type of exception skip the lock, if the type is enough.

    Args:
        fast_path: The fast path of the breaker.
        config: The breaker's settings, which classify exceptions.
        error_type: The type of an exception that a call has raised.
    """
    token = fast_path.admit_token
    if token is None or (
        token.outcome_tokens is not None and id(error_type) in token.outcome_tokens
    ):
        return
    outcome = outcome_of_type(config, error_type)
    if outcome is not None:
        outcome_token = OutcomeToken(token, _KINDS[outcome], type_name(error_type))
        outcome_token.error_type = error_type  # while it is referred to, no other type has its id
        _keep(token, id(error_type), outcome_token)


def _outcome_token(token: AdmitToken, outcome: Outcome, error: str | None) -> OutcomeToken:
    known = token.outcome_tokens
    outcome_token = None if known is None else known.get((outcome, error))
    if outcome_token is None:
        outcome_token = OutcomeToken(token, _KINDS[outcome], error)
        _keep(token, (outcome, error), outcome_token)
    return outcome_token


def _keep(token: AdmitToken, key: object, outcome_token: OutcomeToken) -> None:
    # Threads may do this at the same time. One of them then drops what the other has kept, which is
    # only a cache: the next such call makes the token again.
    if token.outcome_tokens is None or len(token.outcome_tokens) >= _MAX_OUTCOME_TOKENS:
        token.outcome_tokens = {}
    token.outcome_tokens[key] = outcome_token
