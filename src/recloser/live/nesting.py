"""Permits that the code of a context runs under, so that a call inside another call finds them.

Only calls that took the sequencer's lock are noted here. The fast path of a closed breaker never
touches the context.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Final

from recloser.core.state import BreakerState
from recloser.core.state_machine import HALF_OPEN
from recloser.live.decision import Permit, Ride
from recloser.process.contexts import set_in_context

_held: Final[ContextVar[tuple[Permit, ...]]] = ContextVar("recloser_held_permits", default=())


def hold(permit: Permit) -> None:
    """Run the code of this context under a permit until the permit is released or reported."""
    held = _held.get()
    if held:
        # Drop permits that were reported in another context, and so never released in this one, and
        # permits of blocks that nobody can leave any more.
        held = tuple([other for other in held if not other.spent and not hasattr(other, "lost")])
    set_in_context(_held, (*held, permit))


def release(permit: Permit) -> None:
    """Remove a permit from this context; nothing happens if the context does not have it."""
    held = _held.get()
    if held and held[-1] is permit:
        set_in_context(_held, held[:-1])
    elif permit in held:
        set_in_context(_held, tuple([other for other in held if other is not permit]))


def held_if_probe(permit: Permit) -> AbstractContextManager[None]:
    """Return a context manager that holds a permit if calls in its block can be part of its probe."""
    return _held_for_block(permit) if permit.probe else nullcontext()


@contextmanager
def _held_for_block(permit: Permit) -> Iterator[None]:
    hold(permit)
    try:
        yield
    finally:
        release(permit)


def held_by_context(giver: BreakerState) -> list[Permit]:
    """Return the unreported permits of a breaker that this context holds, newest first.

    Args:
        giver: The state of the breaker.
    """
    return [
        permit for permit in reversed(_held.get()) if permit.giver is giver and not permit.spent
    ]


def ride_on_probe(giver: BreakerState, read_at: Callable[[], int]) -> Ride | None:
    """Return a permit for a call inside a probe of the same breaker and epoch; None outside of one.

    The state is read without the lock. If it is just changing, the call counts as one before or after
    the change, as any call does.

    An overdue probe carries no call. A signal handler or another thread may have raised an exception
    at the first instruction of ``__exit__``, so that the permit of the block was never released;
    without this rule, every later call of the context would be part of that probe for ever.

    Args:
        giver: The state of the breaker.
        read_at: Reads the time of its log, in nanoseconds.
    """
    if giver.state is not HALF_OPEN:
        return None
    for probe in held_by_context(giver):
        if probe.probe and probe.epoch == giver.epoch:
            overdue_at = probe.started_at + giver.config.probe_timeout_ns
            return None if read_at() >= overdue_at else Ride(giver, probe.epoch, probe.started_at)
    return None
