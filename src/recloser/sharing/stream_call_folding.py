"""How buffered calls of a shared breaker become events for the stream."""

from array import array
from typing import Final

from recloser.core.events import CallSucceeded
from recloser.live.call_folding import SINGLY, TOGETHER, CallFolding
from recloser.live.call_tokens import FOREVER, AdmitToken, CallToken
from recloser.live.pending_calls import PendingCalls

_NEVER_SLOW: Final = FOREVER


class StreamCallFolding(CallFolding):
    """Folds buffered calls of shared breakers: consecutive successes become one event with a count.

    Failures never get here: each is an event of its own, which the other processes need.
    """

    __slots__ = ()

    def way_of(self, token: CallToken) -> int:
        """Return how calls of a token are folded.

        Whether a success fires an edge is known only when its entry is read from the stream.

        Args:
            token: The token.
        """
        return TOGETHER if isinstance(token, AdmitToken) else SINGLY

    def fold(self, calls: PendingCalls) -> None:
        """Fold calls in their order, none of them later than now.

        A function may have been protected when the log's time was another one; its calls would
        otherwise carry times in the future.

        Args:
            calls: The calls; their times are put in order.
        """
        now = self._sequencer.read_at()
        if max(calls.ats) > now:
            calls.ats = array("q", [min(at, now) for at in calls.ats])
        super().fold(calls)

    def fold_together(self, calls: PendingCalls, rows: PendingCalls | None = None) -> None:
        """Fold successes as events with a count, or one by one if the breaker has slow calls.

        Args:
            calls: The calls.
            rows: Not used.
        """
        del rows
        done = 0
        while done < len(calls):
            token = calls.tokens[calls.codes[done]]
            size = calls.count_alike(done, FOREVER)
            tooks = calls.tooks[done : done + size]
            done += size
            at = calls.ats[done - 1]
            if self._sequencer.fold.breakers[token.breaker].rules.slow_ns == _NEVER_SLOW:
                self._succeed(token, at, sum(tooks) // size, size)
            else:
                for took in tooks:
                    self._succeed(token, at, took, 1)

    def _succeed(self, token: CallToken, at: int, took: int, count: int) -> None:
        # The calls keep their own time, not the present: others that wait may be earlier than now.
        sequencer = self._sequencer
        at = max(at, sequencer.fold.at)
        event = CallSucceeded(sequencer.next_seq, at, token.breaker, token.epoch, took, count=count)
        sequencer.append(event, folded=count)
