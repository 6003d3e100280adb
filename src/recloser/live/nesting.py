"""The permits that the code of a context runs under, so that a call inside another finds them.

Only calls that had to ask are noted here: a closed breaker's fast path never touches the context.
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
    """Have the code of this context run under ``permit`` until it is released or reported."""
    held = _held.get()
    if held:
        # A permit that was reported in another context was never released in this one, nor was one
        # whose block nobody can leave any more.
        held = tuple([other for other in held if not other.spent and not hasattr(other, "lost")])
    set_in_context(_held, (*held, permit))


def release(permit: Permit) -> None:
    """Take ``permit`` out of this context; nothing happens if it is not there."""
    held = _held.get()
    if held and held[-1] is permit:
        set_in_context(_held, held[:-1])
    elif permit in held:
        set_in_context(_held, tuple([other for other in held if other is not permit]))


def held_if_probe(permit: Permit) -> AbstractContextManager[None]:
    """Hold ``permit`` for a block, if calls in the block can ride on it."""
    return _held_for_block(permit) if permit.probe else nullcontext()


@contextmanager
def _held_for_block(permit: Permit) -> Iterator[None]:
    hold(permit)
    try:
        yield
    finally:
        release(permit)


def held_by_context(giver: BreakerState) -> list[Permit]:
    """The permits of one breaker that this context holds and that are unreported, newest first."""
    return [
        permit for permit in reversed(_held.get()) if permit.giver is giver and not permit.spent
    ]


def ride_on_probe(giver: BreakerState, read_at: Callable[[], int]) -> Ride | None:
    """The permit of a call made within a probe of the same breaker and epoch; None outside of one.

    The state is read without the lock: if it is just changing, the call counts as before or after
    the change, as any call does.

    A probe that is overdue carries no call: a signal handler or another thread may have raised an
    exception at the first instruction of ``__exit__``, and nothing else would ever end its block.

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
