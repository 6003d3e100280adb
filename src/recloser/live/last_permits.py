"""The last permit that each breaker's ``before_call`` gave in the current context."""

from collections.abc import Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Final

from recloser.core.state import BreakerState
from recloser.errors import PermitError
from recloser.live.decision import BreakerDecision, Permit
from recloser.process.contexts import set_in_context

# By the id of the state of the breaker that gave it. A permit leaves the mapping when it is reported.
_last_permits: Final[ContextVar[Mapping[int, Permit]]] = ContextVar(
    "recloser_last_permits", default=MappingProxyType({})
)


def remember(permit: Permit) -> None:
    """Make a permit the last one of its breaker in the current context."""
    set_in_context(_last_permits, {**_last_permits.get(), id(permit.giver): permit})


def forget(permit: Permit) -> None:
    """Forget a permit that is being reported; nothing happens if it is not its breaker's last one."""
    last = _last_permits.get()
    key = id(permit.giver)
    if last.get(key) is permit:
        others = {other: held for other, held in last.items() if other != key}
        set_in_context(_last_permits, others)


def given_or_last(permit: Permit | None, giver: BreakerState, method: str) -> Permit:
    """Return the permit that a caller reports with: the one given, or the last of this context.

    Args:
        permit: The argument of the caller.
        giver: The state of the breaker to which the caller reports.
        method: The name of the method that was called, for the error.

    Raises:
        PermitError: The argument is not a permit, or this context has no open permit.
    """
    if permit is None:
        permit = _last_permits.get().get(id(giver))
        if permit is None:
            raise PermitError(
                f"there is no open permit of {giver.breaker!r} in this context; "
                "pass the one that before_call() gave"
            )
    elif not isinstance(permit, Permit):
        raise PermitError(_advice(permit, method))
    return permit


def _advice(given: object, method: str) -> str:
    """Return what to pass instead of an argument that is not a permit."""
    kind = type(given).__name__
    if isinstance(given, BreakerDecision):
        return f"{method}() takes a permit, not a decision; pass decision.permit"
    if isinstance(given, BaseException | type) and method != "after_success":
        return f"{method}() takes the permit first, not {kind}; pass {method}(error=...)"
    return (
        f"{method}() takes a permit of before_call(), not {kind}; without arguments it reports the "
        "last one of this context"
    )
