"""How buffered calls are folded: in their order, in blocks, and counted where that is enough."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from recloser.core.kernel import SUCCEEDED
from recloser.core.state_machine import CLOSED
from recloser.live.call_buffer import CallBuffer
from recloser.live.call_tokens import CallToken, RejectToken
from recloser.live.coalescing import second_end
from recloser.live.pending_calls import Outcomes, PendingCalls, outcome_event

if TYPE_CHECKING:
    from recloser.live.sequencer import Sequencer

SINGLY: Final = 0
"""A buffered call is folded as an event of its own, which may fire an edge."""

TOGETHER: Final = 1
"""A buffered call is folded in one block with its neighbours, which fires no edge."""


class CallFolding:
    """Folds the buffered calls of a log; all methods are called under the lock.

    Calls are removed from the buffer in a step of its own, after they are recorded. ``folded`` says
    how many of the first buffered calls are recorded already; it is increased in the same step that
    records them. So an exception from outside between the two steps neither loses a call nor records
    it twice.

    Args:
        sequencer: Records the calls.
        buffer: The buffer.
        room: Returns how many events can be recorded before the next seal.

    Attributes:
        buffer: The buffer.
        folded: How many of the first buffered calls are recorded already.
        parents: In a forked child: how many of the first buffered calls the parent records; None if
            they are removed already, and in a process that was not forked.
    """

    __slots__ = ("_room", "_sequencer", "buffer", "folded", "parents")

    def __init__(self, sequencer: "Sequencer", buffer: CallBuffer, room: Callable[[], int]) -> None:
        self._sequencer = sequencer
        self._room = room
        self.buffer = buffer
        self.folded = 0
        self.parents: int | None = None

    def drain(self) -> int:
        """Fold all buffered calls, and record the counted calls whose second is over.

        Returns:
            The time now, in nanoseconds of the log.
        """
        sequencer = self._sequencer
        at = sequencer.read_at()
        self._remove_folded()
        if self.buffer:
            # Only what is buffered now: other threads go on, and could keep this one here for ever.
            waiting = len(self.buffer)
            while waiting > 0:
                calls = PendingCalls.of(self.buffer)
                waiting -= len(calls)
                self.fold(calls)
                self._remove_folded()
        at = max(at, sequencer.fold.at)
        sequencer.coalescing.record_until(at)
        return at

    def _remove_folded(self) -> None:
        folded, parents = self.folded, self.parents
        if not folded:
            return
        parents_left = None if parents is None else max(0, parents - folded)
        # One step: there is no call and no loop in these statements, so nothing can interrupt them.
        del self.buffer[:folded]
        self.folded = 0
        self.parents = parents_left

    def fold(self, calls: PendingCalls) -> None:
        """Fold calls in their order, in blocks that fit before the next seal.

        Args:
            calls: The calls; their times are put in order.
        """
        coalescing = self._sequencer.coalescing
        calls.put_in_order(self._sequencer.fold.at)
        done = 0
        while done < len(calls):
            # Counted calls of their breakers are recorded before them, and take room too.
            counted = len(calls.tokens) if coalescing.counts_successes else 0
            block = calls.slice(done, done + max(1, self._room() - counted))
            # A second of counted calls may end within the block.
            first_end = coalescing.first_end
            before_end = bisect_left(block.ats, first_end)
            if before_end:
                self._fold_block(block.slice(0, before_end))
            if before_end < len(block):
                coalescing.record_until(first_end)
            done += before_end

    def _fold_block(self, calls: PendingCalls) -> None:
        for way, group in calls.grouped_by(self.way_of):
            if way == SINGLY:
                self._fold_singly(group)
            elif self._sequencer.coalescing.counts_successes:
                self._fold_coalesced(group)
            else:
                self.fold_together(group)

    def way_of(self, token: CallToken) -> int:
        """Return how calls of a token are folded: ``SINGLY`` or ``TOGETHER``.

        Args:
            token: The token.
        """
        state = self._sequencer.fold.breakers[token.breaker]
        if isinstance(token, RejectToken) or token.epoch != state.epoch:
            return SINGLY
        return TOGETHER if state.state is CLOSED else SINGLY

    def _fold_coalesced(self, calls: PendingCalls) -> None:
        """Fold outcomes of which the successes are counted, or recorded with a count."""
        # What follows the last call that did not succeed can be counted. The calls up to that one are
        # recorded in their order, with neighbouring successes in one row.
        start = calls.index_after_last(lambda token: token.kind != SUCCEEDED)
        if start:
            mixed = calls.slice(0, start)
            for breaker in mixed.breakers:
                self._sequencer.coalescing.record_of(breaker, mixed.ats[0])
            self.fold_together(mixed, mixed.merged())
        if start < len(calls):
            self._count_successes(calls.slice(start, len(calls)))

    def fold_together(self, calls: PendingCalls, rows: PendingCalls | None = None) -> None:
        """Fold outcomes that should fire no edge as one block.

        Args:
            calls: The calls.
            rows: The rows in which they are recorded; None for one row per call.
        """
        sequencer = self._sequencer
        outcomes = Outcomes(rows or calls, sequencer.next_seq)
        if not sequencer.append_outcomes(outcomes, folded=len(calls)):
            # Threads have raced for the last failures to spare, and one of the calls fires an edge.
            self._fold_singly(calls)

    def _count_successes(self, calls: PendingCalls) -> None:
        """Count successes by second; a slow success gets an event of its own."""
        sequencer, done = self._sequencer, 0
        while done < len(calls):
            at, token = calls.ats[done], calls.tokens[calls.codes[done]]
            sequencer.coalescing.record_until(at)
            size = calls.count_alike(done, second_end(at))
            tooks = calls.tooks[done : done + size]
            if not self._has_counted(token, tooks, at):
                size = 1
                if not self._has_counted(token, tooks[:1], at):
                    sequencer.coalescing.record_of(token.breaker, at)
                    event = outcome_event(token, sequencer.next_seq, at, tooks[0])
                    sequencer.append(event, folded=1)
            done += size

    def _has_counted(self, token: CallToken, tooks: Sequence[int], at: int) -> bool:
        size = len(tooks)
        return self._sequencer.coalescing.count_successes(
            token.breaker,
            token.epoch,
            tooks[0],
            at,
            calls=size,
            slowest_ns=max(tooks),
            folded=size,
            may_count=len(self.buffer) == self.folded + size,
        )

    def _fold_singly(self, calls: PendingCalls) -> None:
        sequencer = self._sequencer
        for at, took_ns, token in calls.each():
            sequencer.coalescing.record_until(at)
            if isinstance(token, RejectToken):
                sequencer.coalescing.count_rejection(token, at, folded=1)
            else:
                sequencer.coalescing.record_of(token.breaker, at)
                event = outcome_event(token, sequencer.next_seq, at, took_ns)
                sequencer.append(event, folded=1)

    # Forks.

    @property
    def has_own_calls(self) -> bool:
        """Whether this process itself has made calls that are buffered."""
        return len(self.buffer) > (self.parents or 0)

    def leave_to_parent(self) -> None:
        """In a forked child: remove the calls that were buffered at the fork; the parent records them.

        Failures among them count in the child's states too, as do those that were folded before the
        fork.
        """
        sequencer = self._sequencer
        parents, folded = self.parents or 0, self.folded
        sequencer.coalescing.drop_parent_counts()
        sequencer.is_whole = False
        if parents > folded:
            self._apply_parents_calls(PendingCalls.of(self.buffer).slice(folded, parents))
        gone = max(parents, folded)
        # One step.
        del self.buffer[:gone]
        self.folded = 0
        self.parents = None
        sequencer.renew_last_good()
        sequencer.update_all_fast_paths()

    def _apply_parents_calls(self, calls: PendingCalls) -> None:
        sequencer = self._sequencer
        calls.put_in_order(sequencer.fold.at)
        for way, group in calls.grouped_by(self.way_of):
            if way != SINGLY and not sequencer.fold.apply_outcomes(
                Outcomes(group, sequencer.next_seq)
            ):
                # One of the calls opens the breaker. Which one does, only the parent's log shows.
                sequencer.last_good.restore(sequencer.fold)
                return
