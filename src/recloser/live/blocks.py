"""Permits of ``with`` blocks: which permit belongs to the block that is left.

The breaker is one object for all its blocks, so its ``__exit__`` must find the permit that its
``__enter__`` gave. A block is identified in this order:

1. By its frame, which is the same when the block is entered and left, in whatever thread, task or
   context. Only the id of the frame is kept, so nothing here keeps a frame alive. The code of the
   frame is compared too, as a frame of another function may get the id of one that is gone.
2. By the object that entered it. Another object, such as a client or an ``ExitStack``, may enter the
   block in one of its methods without a ``with`` statement there, and leave it in another method.
3. If neither helps, a block of the same context is left, or else any open block of the breaker. Of
   several blocks, one whose report changes nothing is preferred to a probe.

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
"""How many bytes of code a ``with`` statement begins before its call of ``__enter__``."""

_Owner: TypeAlias = ref[object] | int
"""The object whose block it is, or the id of an object that can't be referred to weakly."""

# Nothing but the frame distinguishes blocks of one object. It fails if the caller is not Python code.
_frame_at: Final = sys._getframe  # noqa: SLF001

_by_frame: Final[dict[int, Permit]] = {}
_by_owner: Final[dict[Permit, _Owner]] = {}

_abandoned: Final[deque[Permit]] = deque()
"""The permits of the newest blocks whose objects are gone: another object may still leave them."""

_MAX_ABANDONED: Final = 50


def enter(permit: Permit) -> None:
    """Note the permit of a block that is entered.

    This must be called by the function that the ``with`` statement calls: the block's frame is the
    second one above.

    Args:
        permit: The permit.
    """
    try:
        frame = _frame_at(2)
    except ValueError:
        permit.code = None
        _by_owner[permit] = 0  # no object has this id
        hold(permit)
        return
    permit.code = code = frame.f_code
    permit.frame_id = frame_id = id(frame)
    owner = None if _is_at_with(frame) else _owner_of(frame)
    if owner is not None:
        _by_owner[permit] = _reference(owner, permit)
    else:
        permit.below = _by_frame.get(frame_id)
        _by_frame[frame_id] = permit
        # A generator runs in the context of its consumer, whose calls are not part of the block. The
        # code inside a ``with`` of a ``@contextmanager`` is part of it.
        if code.co_flags & _GENERATOR and not _is_run_by_contextlib(frame):
            return
    hold(permit)


def exit_block(giver: BreakerState) -> Permit | None:
    """Return the permit of the block that is left; None if the breaker has no open block.

    This must be called by the function that the ``with`` statement calls: the block's frame is the
    second one above.

    Args:
        giver: The state of the breaker.
    """
    try:
        frame = _frame_at(2)
    except ValueError:
        frame = None
    frame_id = id(frame)
    permit = _by_frame.get(frame_id)
    if (
        permit is not None
        and permit.giver is giver
        and frame is not None
        and permit.code is frame.f_code
    ):
        if permit.below is None:
            _by_frame.pop(frame_id, None)
        else:
            _by_frame[frame_id] = permit.below
    else:
        permit = _find_elsewhere(giver, frame)
        if permit is None:
            return None
        _forget(permit)
    release(permit)
    return permit


def forget(permit: Permit) -> None:
    """Drop the permit of a block that was not entered after all.

    Args:
        permit: The permit.
    """
    if permit in _by_owner or hasattr(permit, "frame_id"):
        _forget(permit)
    release(permit)


def is_in_generator(permit: Permit) -> bool:
    """Return whether a block was entered in a generator, plain or asynchronous.

    Args:
        permit: The permit of the block.
    """
    return permit.code is not None and permit.code.co_flags & _GENERATOR != 0


def _is_run_by_contextlib(frame: FrameType) -> bool:
    driver = frame.f_back
    return driver is not None and driver.f_globals is vars(contextlib)


def _is_at_with(frame: FrameType) -> bool:
    """Return whether the current call in a frame is that of a ``with`` statement that begins."""
    at = frame.f_lasti
    return not _WITH.isdisjoint(frame.f_code.co_code[max(0, at - _WITH_BYTES) : at + 1 : 2])


def _find_elsewhere(giver: BreakerState, frame: FrameType | None) -> Permit | None:
    """Return the permit of a block that is not the innermost of this frame, or is of another frame."""
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
    """Return the object whose method runs in a frame; None for a generator or a plain function.

    The first argument of any function counts as its object, since requests are often passed so.
    """
    code = frame.f_code
    if not code.co_argcount or code.co_flags & _GENERATOR:
        return None
    owner = frame.f_locals.get(code.co_varnames[0])
    if frame.f_globals is vars(contextlib):
        # The callbacks, which ``pop_all`` of an ExitStack hands on to another stack.
        return getattr(owner, "_exit_callbacks", owner)
    # Built-in objects, such as numbers and errors, may be shared by any number of callers.
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
    while len(_abandoned) > _MAX_ABANDONED:
        with contextlib.suppress(IndexError):  # another thread has removed it
            _abandoned.popleft().lost = True


def _of_owner(giver: BreakerState, frame: FrameType | None) -> Permit | None:
    owner = None if frame is None else _owner_of(frame)
    if frame is None or owner is None:
        return None
    # A copy of the keys: no ``__del__`` can run, and change the dictionary, while the copy is made.
    of_owner = [
        permit
        for permit in reversed(list(_by_owner))
        if permit.giver is giver and _is_of(permit, owner)
    ]
    if len(of_owner) > 1:
        here = [
            permit
            for permit in of_owner
            if permit.frame_id == id(frame) and permit.code is frame.f_code
        ]
        of_context = [permit for permit in _blocks_of_context(giver) if permit in of_owner]
        of_owner = here[:1] or of_context or of_owner
    return _most_harmless(of_owner)


def _is_of(permit: Permit, owner: object) -> bool:
    noted = _by_owner.get(permit)
    return noted() is owner if isinstance(noted, ref) else noted == id(owner)


def _most_harmless(permits: list[Permit]) -> Permit | None:
    """Return the first permit of a past epoch, or else of no probe, or else of any kind."""
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
        *(permit for frame_id in list(_by_frame) for permit in _chain(frame_id)),
    ]
    return [permit for permit in noted if permit.giver is giver]


def _chain(frame_id: int) -> list[Permit]:
    """Return the permits of the blocks entered in the frame of an id, newest first."""
    chain = []
    permit = _by_frame.get(frame_id)
    while permit is not None:
        chain.append(permit)
        permit = permit.below
    return chain


def _forget(permit: Permit) -> None:
    """Remove a permit from where its block was noted."""
    if _by_owner.pop(permit, None) is not None or not hasattr(permit, "frame_id"):
        return
    with contextlib.suppress(ValueError):
        _abandoned.remove(permit)
    chain = _chain(permit.frame_id)
    for above, block in pairwise(chain):
        if block is permit:
            above.below = permit.below
    if chain and chain[0] is permit:
        if permit.below is None:
            _by_frame.pop(permit.frame_id, None)
        else:
            _by_frame[permit.frame_id] = permit.below
