"""Which permit a ``with`` block is left with, as the breaker is one object for all blocks.

A block is identified by its frame, which is the same when it is entered and when it is left,
whatever thread, task or context that happens in. Only the id of the frame is kept, so nothing here
keeps a frame alive; its code is compared too, as the frame of another function may get the id of one
that is gone. A block that another object enters along with itself, such as a client or an
``ExitStack``, is identified by that object. Where neither helps, the newest block of the context is
left, or else the oldest one of the breaker.

There are no locks: each change of a dictionary is one step, and no two threads run one frame.
"""

import contextlib
import inspect
import sys
from itertools import pairwise
from types import FrameType
from typing import Final

from recloser.decision import Permit
from recloser.nested import held_by_context, hold, release
from recloser.state import BreakerState

_GENERATOR: Final = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
_ENTERING: Final = frozenset(
    {
        "__enter__",
        "__exit__",
        "__aenter__",
        "__aexit__",
        "enter_context",
        "enter_async_context",
        "close",
        "aclose",
    }
)
"""Methods in which an object enters or leaves a breaker on behalf of its own block."""

# Nothing else distinguishes the blocks of one object. It fails where no Python code is the caller.
_frame_at: Final = sys._getframe  # noqa: SLF001

_by_frame: Final[dict[int, Permit]] = {}
_by_owner: Final[dict[Permit, int]] = {}


def enter(permit: Permit) -> None:
    """Note the permit of a block; called by what the block calls, two frames above it."""
    try:
        frame = _frame_at(2)
    except ValueError:
        permit.code = None
        _by_owner[permit] = 0
        hold(permit)
        return
    permit.code = code = frame.f_code
    if code.co_name in _ENTERING:
        _by_owner[permit] = _owner_of(frame)
    else:
        permit.place = place = id(frame)
        permit.below = _by_frame.get(place)
        _by_frame[place] = permit
        # A generator's context is its consumer's, whose calls are no part of the block; but the
        # code under a ``@contextmanager`` is.
        if code.co_flags & _GENERATOR and not _is_run_by_contextlib(frame):
            return
    hold(permit)


def leave(giver: BreakerState) -> Permit | None:
    """The permit of the block that is left; None if the breaker has no open block.

    Called by what the block calls, as ``enter`` is.
    """
    try:
        frame = _frame_at(2)
    except ValueError:
        frame = None
    place = id(frame)
    permit = _by_frame.get(place)
    if (
        permit is not None
        and permit.giver is giver
        and frame is not None
        and permit.code is frame.f_code
    ):
        if permit.below is None:
            _by_frame.pop(place, None)
        else:
            _by_frame[place] = permit.below
    else:
        permit = _elsewhere(giver, frame)
        if permit is None:
            return None
        _forget(permit)
    release(permit)
    return permit


def forget(permit: Permit) -> None:
    """Drop the permit of a block that was not entered after all."""
    if permit in _by_owner or hasattr(permit, "place"):
        _forget(permit)
    release(permit)


def is_in_generator(permit: Permit) -> bool:
    """Whether a block was entered in a generator, plain or asynchronous."""
    return permit.code is not None and permit.code.co_flags & _GENERATOR != 0


def _is_run_by_contextlib(frame: FrameType) -> bool:
    driver = frame.f_back
    return driver is not None and driver.f_globals is vars(contextlib)


def _elsewhere(giver: BreakerState, frame: FrameType | None) -> Permit | None:
    """The permit of a block that is not the innermost one of its frame, or is left in another."""
    return (
        _of_frame(giver, frame)
        or _of_owner(giver, _owner_of(frame))
        or next(iter(_blocks_of_context(giver)), None)
        or min(_open_blocks(giver), key=lambda permit: permit.started_at, default=None)
    )


def _of_frame(giver: BreakerState, frame: FrameType | None) -> Permit | None:
    if frame is None:
        return None
    for permit in _chain(id(frame)):
        if permit.giver is giver and permit.code is frame.f_code:
            return permit
    return None


def _owner_of(frame: FrameType | None) -> int:
    """The id of the object whose method ``frame`` is; 0 if it is not one that enters blocks."""
    if frame is None or frame.f_code.co_name not in _ENTERING or not frame.f_code.co_argcount:
        return 0
    return id(frame.f_locals.get(frame.f_code.co_varnames[0]))


def _of_owner(giver: BreakerState, owner: int) -> Permit | None:
    if not owner:
        return None
    for permit in (*_blocks_of_context(giver), *reversed(list(_by_owner))):
        if permit.giver is giver and _by_owner.get(permit) == owner:
            return permit
    return None


def _blocks_of_context(giver: BreakerState) -> list[Permit]:
    return [permit for permit in held_by_context(giver) if hasattr(permit, "code")]


def _open_blocks(giver: BreakerState) -> list[Permit]:
    noted = [*list(_by_owner), *(permit for place in list(_by_frame) for permit in _chain(place))]
    return [permit for permit in noted if permit.giver is giver]


def _chain(place: int) -> list[Permit]:
    """The blocks that were entered in the frame of this id, newest first."""
    chain = []
    permit = _by_frame.get(place)
    while permit is not None:
        chain.append(permit)
        permit = permit.below
    return chain


def _forget(permit: Permit) -> None:
    """Drop a permit from where its block was noted."""
    if permit in _by_owner:
        _by_owner.pop(permit, None)
        return
    chain = _chain(permit.place)
    for above, block in pairwise(chain):
        if block is permit:
            above.below = permit.below
    if chain and chain[0] is permit:
        if permit.below is None:
            _by_frame.pop(permit.place, None)
        else:
            _by_frame[permit.place] = permit.below
