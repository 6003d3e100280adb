"""Which permit a ``with`` block is left with, as the breaker is one object for all blocks.

A block is identified by its frame, which is the same when it is entered and when it is left,
whatever thread, task or context that happens in. Only the id of the frame is kept, so nothing here
keeps a frame alive; its code is compared too, as the frame of another function may get the id of one
that is gone. A block that another object enters in one of its methods, with no ``with`` statement
there, such as a client or an ``ExitStack``, is identified by that object. Where neither helps, a
block of the context is left, or else one of the breaker: of several, one whose report changes
nothing rather than a probe.

There are no locks: each change of a dictionary is one step, and no two threads run one frame.
"""

import contextlib
import inspect
import sys
from collections import deque
from dis import opmap
from functools import partial
from itertools import pairwise
from types import FrameType
from typing import Final, TypeAlias
from weakref import ref

from recloser.core.state import BreakerState
from recloser.live.decision import Permit
from recloser.live.nesting import held_by_context, hold, release

_GENERATOR: Final = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
_WITH: Final = frozenset(
    opmap[name]
    for name in ("BEFORE_WITH", "BEFORE_ASYNC_WITH", "LOAD_SPECIAL")  # differs between Pythons
    if name in opmap
)
_WITH_BYTES: Final = 16
"""How far before the call of ``__enter__``, or the wait for it, a ``with`` statement begins."""

_Owner: TypeAlias = ref[object] | int
"""The object whose block it is, or the id of one that can't be referred to weakly."""

# Nothing else distinguishes the blocks of one object. It fails where no Python code is the caller.
_frame_at: Final = sys._getframe  # noqa: SLF001

_by_frame: Final[dict[int, Permit]] = {}
_by_owner: Final[dict[Permit, _Owner]] = {}

_abandoned: Final[deque[Permit]] = deque()
"""Blocks whose objects are gone, the newest ones: another object may leave them all the same."""

_MOST_ABANDONED: Final = 50


def enter(permit: Permit) -> None:
    """Note the permit of a block; called by what the block calls, two frames above it."""
    try:
        frame = _frame_at(2)
    except ValueError:
        permit.code = None
        _by_owner[permit] = 0  # no object has this id
        hold(permit)
        return
    permit.code = code = frame.f_code
    permit.place = place = id(frame)
    owner = None if _is_at_with(frame) else _owner_of(frame)
    if owner is not None:
        _by_owner[permit] = _reference(owner, permit)
    else:
        permit.below = _by_frame.get(place)
        _by_frame[place] = permit
        # A generator's context is its consumer's, whose calls are no part of the block; but the
        # code under a ``@contextmanager`` is.
        if code.co_flags & _GENERATOR and not _is_run_by_contextlib(frame):
            return
    hold(permit)


def exit_block(giver: BreakerState) -> Permit | None:
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


def _is_at_with(frame: FrameType) -> bool:
    """Whether what ``frame`` calls is called by a ``with`` statement that begins."""
    at = frame.f_lasti
    return not _WITH.isdisjoint(frame.f_code.co_code[max(0, at - _WITH_BYTES) : at + 1 : 2])


def _elsewhere(giver: BreakerState, frame: FrameType | None) -> Permit | None:
    """The permit of a block that is not the innermost one of its frame, or is left in another."""
    return (
        _of_frame(giver, frame)
        or _of_owner(giver, frame)
        or _most_harmless(_blocks_of_context(giver))
        or _most_harmless(sorted(_open_blocks(giver), key=lambda permit: permit.started_at))
        or _most_harmless([permit for permit in list(_abandoned) if permit.giver is giver])
    )


def _of_frame(giver: BreakerState, frame: FrameType | None) -> Permit | None:
    if frame is None:
        return None
    for permit in _chain(id(frame)):
        if permit.giver is giver and permit.code is frame.f_code:
            return permit
    return None


def _owner_of(frame: FrameType) -> object:
    """The object whose method ``frame`` is; None if it is none's, or a generator's.

    The first argument of any function counts, as requests and the like are passed so.
    """
    code = frame.f_code
    if not code.co_argcount or code.co_flags & _GENERATOR:
        return None
    owner = frame.f_locals.get(code.co_varnames[0])
    if frame.f_globals is vars(contextlib):
        # ``pop_all`` of an ExitStack hands this on to another stack.
        return getattr(owner, "_exit_callbacks", owner)
    # What is built in, such as a number or an error, may be shared by any number of callers.
    return None if type(owner).__module__ == "builtins" else owner


def _reference(owner: object, permit: Permit) -> _Owner:
    try:
        return ref(owner, partial(_abandon, permit))
    except TypeError:
        return id(owner)


def _abandon(permit: Permit, _reference: ref[object]) -> None:
    if _by_owner.pop(permit, None) is None:
        return
    _abandoned.append(permit)
    while len(_abandoned) > _MOST_ABANDONED:
        with contextlib.suppress(IndexError):  # another thread took it
            _abandoned.popleft().lost = True


def _of_owner(giver: BreakerState, frame: FrameType | None) -> Permit | None:
    owner = None if frame is None else _owner_of(frame)
    if frame is None or owner is None:
        return None
    # A list of keys, as nothing can be collected, and change the dictionary, while it is made.
    of_owner = [
        permit
        for permit in reversed(list(_by_owner))
        if permit.giver is giver and _is_of(permit, owner)
    ]
    if len(of_owner) > 1:
        here = [
            permit
            for permit in of_owner
            if permit.place == id(frame) and permit.code is frame.f_code
        ]
        of_context = [permit for permit in _blocks_of_context(giver) if permit in of_owner]
        of_owner = here[:1] or of_context or of_owner
    return _most_harmless(of_owner)


def _is_of(permit: Permit, owner: object) -> bool:
    noted = _by_owner.get(permit)
    return noted() is owner if isinstance(noted, ref) else noted == id(owner)


def _most_harmless(permits: list[Permit]) -> Permit | None:
    """The first permit of an epoch that is over, or else of no probe, or else of any kind."""
    return min(permits, key=_harm, default=None)


def _harm(permit: Permit) -> int:
    if permit.epoch != permit.giver.epoch:
        return 0
    return 2 if permit.probe else 1


def _blocks_of_context(giver: BreakerState) -> list[Permit]:
    return [permit for permit in held_by_context(giver) if hasattr(permit, "code")]


def _open_blocks(giver: BreakerState) -> list[Permit]:
    noted = [
        *list(_by_owner),
        *(permit for place in list(_by_frame) for permit in _chain(place)),
    ]
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
    if _by_owner.pop(permit, None) is not None or not hasattr(permit, "place"):
        return
    with contextlib.suppress(ValueError):
        _abandoned.remove(permit)
    chain = _chain(permit.place)
    for above, block in pairwise(chain):
        if block is permit:
            above.below = permit.below
    if chain and chain[0] is permit:
        if permit.below is None:
            _by_frame.pop(permit.place, None)
        else:
            _by_frame[permit.place] = permit.below
