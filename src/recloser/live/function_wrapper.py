# cython: language_level=3, annotation_typing=False, infer_types=True
"""The path of a call that takes no lock: the wrapper of a plain function, and how a call begins and ends.

Why no lock is needed, step by step:

- *The leave is read once.* It may be retired by another thread, under the lock, while the call is under
  way. Then it has lapsed, and the call asks at its end. Between the last look at it and the step that
  records the call nothing can happen that makes the call's entry wrong: where the list is folded, the
  epoch in the entry says what the call belonged to.
- *No call passes by a tick that is due*, nor the deadline of any breaker: it asks, as all others would.
  Where successes may be counted without reading the clock again, only their beginnings look.
- *To record a call is one step* (``Pending.record``), so no call is lost or recorded twice, whatever
  exception comes up. To count one is one step too (``Run``).
- *Calls wait in the order in which they ended.* A call that fails has later ones wait rather than be
  counted, since what is counted has no place among the calls that wait.
- *What is to spare is taken before the call is recorded.* An exception in between leaves one less to
  spare than there is, until all that waits is folded: the breaker asks once too often.

This file is compiled with the types of ``fast_path.pxd``, and runs interpreted where there is no
compiler.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from recloser.core.kernel import FAILED, SUCCEEDED
from recloser.core.state_machine import OPEN
from recloser.live.decision import BreakerDecision, CircuitOpenError, Permit
from recloser.live.deferred_results import Reporter, follow_of
from recloser.live.fast_path import Gate, Leave, Pass, Refusal

if TYPE_CHECKING:
    import cython  # by this line the compiler knows the name; it is never run
else:
    from recloser.core import interpreted as cython

_FAILED = FAILED
_SUCCEEDED = SUCCEEDED
_OPEN = OPEN
_Decision = BreakerDecision
_Error = CircuitOpenError
_follow_of = follow_of


class Passing(Reporter, Protocol):
    """The breaker whose calls are let past the lock.

    Attributes:
        gate: What lets them past.
    """

    gate: Gate

    def permit_of(self, leave: Leave, started_ns: int) -> Permit:
        """The permit of a call that began without one."""


class Started:
    """A call that was let past the lock, and is awaited.

    Attributes:
        leave: The leave that it took.
        started_ns: What the monotonic hand showed when it began.
    """

    __slots__ = ("gate", "leave", "started_ns")

    gate: Gate
    leave: Leave
    started_ns: int

    def returned(self) -> bool:
        """Record that it went well; whether that could be done without asking."""
        return _returned(self.gate, self.leave, self.started_ns)

    def raised(self, error: BaseException) -> bool:
        """Record that it raised an error; whether that could be done without asking."""
        return _raised(self.gate, self.leave, self.started_ns, error)


def begin(gate: Gate) -> Started | None:
    """A call that begins now; None where it has to ask."""
    return _begin(gate)


def _begin(gate: Gate) -> Started | None:
    leave = gate.leave
    if leave is None:
        return None
    started = _hand(gate)
    if started >= leave.lapses_ns or started >= gate.pending.due_ns:
        return None
    call = Started.__new__(Started)
    call.gate = gate
    call.leave = leave
    call.started_ns = started
    return call


def _hand(gate: Gate) -> int:
    if cython.compiled and gate.is_system and READS_HAND:  # type: ignore[name-defined]  # noqa: F821  # of clock.pxd
        return system_hand()  # type: ignore[name-defined,no-any-return]  # noqa: F821  # of clock.pxd
    return gate.monotonic_ns()


def _gate_of(breaker: Passing) -> Gate:
    return breaker.gate  # of the type that ``fast_path.pxd`` says


def passing(  # noqa: C901  # each call inside would cost as much as what it does
    breaker: Passing, function: Callable[..., Any], ask: Callable[..., Any]
) -> Callable[..., Any]:
    """A plain function whose calls are let past the lock where that is possible.

    It passes on no keywords where it was given none: that would cost a dictionary.

    Args:
        breaker: The breaker.
        function: The function.
        ask: The same function, with every call of it asking first.
    """
    gate = _gate_of(breaker)
    plain: type | None = None

    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal plain
        leave = gate.leave
        if leave is None:
            decision = _refused(gate)
            if decision is not None:
                raise _Error(gate.breaker, decision)
            return ask(*args, **kwargs)
        started = _hand(gate)
        if started >= leave.lapses_ns or started >= gate.pending.due_ns:
            return ask(*args, **kwargs)
        try:
            result = function(*args, **kwargs) if kwargs else function(*args)
        except BaseException as error:
            if not _raised(gate, leave, started, error):
                breaker.settle(breaker.permit_of(leave, started), error)
            raise
        if type(result) is not plain:
            if (follow := _follow_of(type(result))) is not None:
                return follow(breaker, breaker.permit_of(leave, started), result)
            plain = type(result)
        if leave.ignores_ends and started < leave.until_ns:
            # It may end after its second is over, and is counted to that second until the sequencer
            # has ended it: within 50 ms where a thread writes the log.
            next(leave.counter)
        elif not _returned(gate, leave, started):
            breaker.settle(breaker.permit_of(leave, started))
        return result

    return call


def refused(gate: Gate) -> BreakerDecision | None:
    """The answer to a call that is refused and only counted; None where it has to be decided."""
    return _refused(gate)


def _refused(gate: Gate) -> BreakerDecision | None:
    refusal = gate.refusal
    if refusal is None or refusal.where is not _OPEN:
        return None
    now = _hand(gate)
    if now >= refusal.until_ns:
        return None
    next(refusal.counter)
    return _refused_at(refusal, now)


def refused_at(refusal: Refusal, monotonic_ns: int) -> BreakerDecision:
    """The answer to a call that can only be refused.

    Args:
        refusal: What it is refused with.
        monotonic_ns: What the monotonic hand shows.
    """
    return _refused_at(refusal, monotonic_ns)


def _refused_at(refusal: Refusal, monotonic_ns: int) -> BreakerDecision:
    wait = (refusal.opens_ns - monotonic_ns) / 1e9 if refusal.has_end else None
    return _Decision(False, refusal.reason, wait, None, refusal.where)


def _returned(gate: Gate, leave: Leave, started: int) -> bool:
    ended = _hand(gate)
    if ended >= gate.pending.due_ns and not leave.ignores_ends:
        return False
    return _succeed(gate, leave, ended, ended - started)


def _succeed(gate: Gate, leave: Leave, ended: int, took: int) -> bool:
    if took <= leave.slow_ns:
        if ended < leave.until_ns:
            next(leave.counter)
            return True
        if ended >= leave.lapses_ns:
            return False
    else:
        if ended >= leave.lapses_ns or leave.bad_let >= leave.bad_most:
            return False
        leave.bad_let += 1
        leave.until_ns = 0
    gate.record(ended, took, leave)
    return True


def _raised(gate: Gate, leave: Leave, started: int, error: BaseException) -> bool:
    ended = _hand(gate)
    if ended >= leave.lapses_ns or ended >= gate.pending.due_ns:
        return False
    kind = type(error)
    # By its id: to hash a type could run a metaclass of the user.
    endings = leave.endings
    ending = None if endings is None else endings.get(id(kind))
    if ending is None:
        return False  # what comes of such an error, the breaker learns when it is reported
    return _end_with(gate, leave, ended, ended - started, ending)


def may_end_with(gate: Gate, leave: Leave, took_ns: int, ending: Pass) -> bool:
    """Whether a call that ends like this may be recorded without the lock."""
    if ending is not leave and not gate.lets_bad:
        return False
    return leave.bad_let < leave.bad_most or not _is_bad(leave, took_ns, ending)


def _is_bad(leave: Leave, took: int, ending: Pass) -> bool:
    return ending.kind == _FAILED or (ending.kind == _SUCCEEDED and took > leave.slow_ns)


def end_with(gate: Gate, leave: Leave, ended_ns: int, took_ns: int, ending: Pass) -> bool:
    """Record a call whose end is known; whether that could be done without asking.

    Args:
        gate: The gate that it went through.
        leave: The leave that it took.
        ended_ns: What the monotonic hand showed when it ended.
        took_ns: How long it took.
        ending: What it ended with: the leave itself where it went well.
    """
    if ending is leave:
        return _succeed(gate, leave, ended_ns, took_ns)
    return _end_with(gate, leave, ended_ns, took_ns, ending)


def _end_with(gate: Gate, leave: Leave, ended: int, took: int, ending: Pass) -> bool:
    if ended >= leave.lapses_ns or not gate.lets_bad:
        return False
    if _is_bad(leave, took, ending):
        if leave.bad_let >= leave.bad_most:
            return False
        leave.bad_let += 1
    leave.until_ns = 0
    gate.record(ended, took, ending)
    return True
