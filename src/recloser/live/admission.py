"""Admission of calls that need the sequencer's lock: probes, rejections and what is due by time."""

from functools import partial
from typing import Final

from recloser.core.events import CallRejected, Reason
from recloser.core.fold import rejection_of
from recloser.core.kernel import NEVER
from recloser.core.state import BreakerState
from recloser.core.state_machine import CLOSED, HALF_OPEN
from recloser.live.decision import BreakerDecision, Permit
from recloser.live.reporting import Command
from recloser.live.request import OneTimeMark, ProbeClaim
from recloser.live.sequencer import Sequencer
from recloser.log.codec import lean

_Rejected: Final = lean(CallRejected)


class ProbeMark(OneTimeMark):
    """A mark that is spent when the admission of a probe is recorded.

    Attributes:
        permit: The permit of the call that becomes the probe.
    """

    __slots__ = ("permit",)

    permit: Permit


def decide(sequencer: Sequencer, giver: BreakerState, mark: ProbeMark) -> BreakerDecision:
    """Decide on a call, and record the decision if it is a probe or a rejection.

    If an exception from outside comes up after a probe was admitted, ``mark`` is spent and nobody
    makes the call: the caller of this function must report the mark's permit.

    Args:
        sequencer: Orders and records the events of the breaker.
        giver: The state of the breaker.
        mark: A new mark.
    """
    decide_nested = partial(_decide_nested, sequencer, giver)
    answer = sequencer.run(partial(_decide_at, sequencer, giver, mark), decide_nested)
    if isinstance(answer, BreakerDecision):
        return answer
    answer.wait()  # for the other processes, and so without the lock
    return sequencer.run(partial(_decide_claimed, sequencer, giver, mark, answer), decide_nested)


def _decide_claimed(
    sequencer: Sequencer, giver: BreakerState, mark: ProbeMark, claim: ProbeClaim, at: int
) -> BreakerDecision:
    answer = _decide_at(sequencer, giver, mark, at, claim)
    assert isinstance(answer, BreakerDecision)  # a claim is waited for once
    return answer


def _decide_at(
    sequencer: Sequencer,
    state: BreakerState,
    mark: ProbeMark,
    at: int,
    claim: ProbeClaim | None = None,
) -> BreakerDecision | ProbeClaim:
    if state.mode == "disabled":
        permit = Permit(state, state.epoch, at)
        return BreakerDecision(True, Reason.DISABLED, None, permit, state.state)
    if state.state is not CLOSED:
        if claim is None:
            claim = sequencer.claim_probe(state, at)
            if claim is not None:
                return claim
        mark.permit = Permit(state, state.epoch, at, state.probes_admitted + 1)
        admitted = sequencer.admit_probe(state, at, mark)
        if admitted is not None:
            permit = Permit(state, admitted.epoch, admitted.at, admitted.probe)
            return BreakerDecision(True, Reason.PROBE, None, permit, HALF_OPEN)
    # Read again: probes of another process may have closed the breaker meanwhile.
    if _is_closed(state):
        permit = Permit(state, state.epoch, at)
        return BreakerDecision(True, Reason.CLOSED, None, permit, CLOSED)
    rejection, decision = _rejection(sequencer, state, state, at)
    rejection.carry_out(at)
    return decision


def _is_closed(state: BreakerState) -> bool:
    return state.state is CLOSED


def _decide_nested(sequencer: Sequencer, giver: BreakerState) -> BreakerDecision:
    """Decide by the last whole state, for a thread that is in the middle of a change itself.

    This happens when a signal handler, a ``__del__`` or a logging handler calls a breaker. No probe
    is admitted, since that would be a change.
    """
    name = giver.breaker
    state = sequencer.last_whole(name).breakers.get(name, giver)
    at = sequencer.read_at()
    permit = Permit(giver, state.epoch, at)
    if state.mode == "disabled":
        return BreakerDecision(True, Reason.DISABLED, None, permit, state.state)
    if state.state is CLOSED:
        return BreakerDecision(True, Reason.CLOSED, None, permit, CLOSED)
    rejection, decision = _rejection(sequencer, giver, state, at)
    sequencer.defer(rejection)
    return decision


def _rejection(
    sequencer: Sequencer, giver: BreakerState, state: BreakerState, at: int
) -> tuple[Command, BreakerDecision]:
    """Return the event and the answer for a call that a breaker in this state does not admit."""
    name = giver.breaker
    reason = rejection_of(state) or Reason.PROBES_EXHAUSTED
    wait_ns = None
    if reason is Reason.COOLDOWN_ACTIVE and state.deadline != NEVER:
        wait_ns = max(0, state.deadline - at)
    rejection = Command(sequencer, name, lambda seq, at: _Rejected(seq, at, name, reason, wait_ns))
    retry_after = None if wait_ns is None else wait_ns / 1e9
    if state.mode == "shadow":
        # The call is made and its outcome recorded. As this epoch admits no such call, it is stale.
        permit = Permit(giver, state.epoch, at)
        return rejection, BreakerDecision(True, Reason.SHADOW, retry_after, permit, state.state)
    return rejection, BreakerDecision(False, reason, retry_after, None, state.state)
