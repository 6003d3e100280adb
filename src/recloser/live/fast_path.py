# cython: language_level=3, annotation_typing=False
"""Lock-free fast path for calls that cannot change a breaker's state.

Most calls of a closed breaker cannot fire an edge. The breaker has failures *to spare* while that
number of calls may fail or be slow, in any order and with any other calls in between, without firing
an edge. Up to that number, a failed or slow call needs no lock, and neither does a successful call:
it reads the fast path's ``AdmitToken``, and when it ends it is appended to the call buffer or is only
counted. The same holds for rejected calls while the breaker can only reject calls: they use the
``RejectToken``.

Why the log is still exact:

- *Order.* Buffered calls are folded in the order of the buffer. The sequencer empties the buffer
  under its lock before it records anything else, and so before each event that could change what a
  token stands for.
- *The race for the last failure to spare.* One thread may use up the last one while another thread,
  under the lock, has just recorded a failure that makes it one too many. The edge then fires when
  the buffer is folded, at the place of the call among the buffered ones. It is later by the time the
  buffer waits, and just as exact.
- *Counted calls.* The successes, or the rejections, of one breaker and epoch within a whole second
  may be only counted. They are folded and recorded as one event with a count, before anything else
  happens to their breaker and before anything is recorded that is later than their second.

This file is compiled with the types of ``fast_path.pxd``, and runs interpreted where there is no
compiler.
"""

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from recloser.clock import SYSTEM_CLOCK
from recloser.core.fold import rejection_of, spare_calls
from recloser.core.state import BreakerState
from recloser.live.call_buffer import CallBuffer
from recloser.live.call_counter import UNUSED, CallCounter
from recloser.live.call_tokens import FOREVER, AdmitToken, CallToken, RejectToken

if TYPE_CHECKING:
    from recloser.live.settings_in_force import GivenSettings


class FastPath:
    """The fast path of one breaker: the tokens for its calls, and where they are buffered.

    Callers read ``admit_token`` and ``reject_token`` once and without a lock. All methods except
    ``record`` and ``fold_buffered`` are called under the sequencer's lock.

    Attributes:
        breaker: The breaker's name.
        admit_token: The token on which calls are admitted until it expires; None if every call must
            take the lock.
        reject_token: The token with which calls are rejected; None unless the breaker can
            only reject calls.
        admits_bad: Whether failed, slow and ignored calls may be recorded without the lock.
        monotonic_ns: Reads the monotonic clock, in nanoseconds.
        is_system_clock: Whether ``monotonic_ns`` is that of the system's clock.
        origin: The monotonic time in nanoseconds at which the log's time is 0.
        call_buffer: Where calls wait to be folded.
        ends_ns: Monotonic time in nanoseconds by which counted calls must be recorded; ``FOREVER``
            while there are none.
        given_settings: The settings that this process has given the breaker: those of the first
            breaker of this name, or those that replaced them; None before any. They are kept here
            because a dictionary by name would take several times as much memory.
    """

    __slots__ = (
        "_retired",
        "admit_token",
        "admits_bad",
        "breaker",
        "call_buffer",
        "ends_ns",
        "given_settings",
        "is_system_clock",
        "monotonic_ns",
        "origin",
        "reject_token",
    )

    def __init__(
        self,
        breaker: str,
        call_buffer: CallBuffer,
        monotonic_ns: Callable[[], int],
        origin: int = 0,
    ) -> None:
        self.breaker = breaker
        self.admit_token: AdmitToken | None = None
        self.reject_token: RejectToken | None = None
        self.admits_bad = False
        self.monotonic_ns = monotonic_ns
        self.is_system_clock = monotonic_ns is SYSTEM_CLOCK.monotonic_ns
        self.origin = origin
        self.call_buffer = call_buffer
        self.ends_ns = FOREVER
        self.given_settings: GivenSettings | None = None
        self._retired: tuple[tuple[weakref.ref[CallToken], CallCounter], ...] = ()

    def update(
        self,
        state: BreakerState,
        *,
        may_admit: bool,
        may_record_bad: bool,
        may_reject: bool,
        is_all_folded: bool,
    ) -> None:
        """Make or drop tokens according to the breaker's new state; called under the lock.

        Args:
            state: The new state.
            may_admit: Whether no listener or log needs each success at once.
            may_record_bad: Whether no listener or log needs each failure and slow call at once.
            may_reject: Whether no listener or log needs each rejection at once.
            is_all_folded: Whether the call buffer holds no call that is not folded.
        """
        self.admits_bad = may_record_bad
        token = self.admit_token
        if token is not None and not (may_admit and token.fits(state)):
            self._retire(token)
            token.expire()
            token = self.admit_token = None
        if may_admit and token is None and spare_calls(state)[0] >= 0:
            token = AdmitToken(state)
        if token is not None:
            self._renew(token, state, is_all_folded)
        self.admit_token = token
        self._update_reject_token(state, may_reject=may_reject)

    def renew(self, state: BreakerState, *, is_all_folded: bool) -> bool:
        """Extend the admit token after the event of a call that fired no edge; called under the lock.

        Args:
            state: The breaker's state after the event.
            is_all_folded: Whether the call buffer holds no call that is not folded.

        Returns:
            Whether that was enough; if not, ``update`` is needed.
        """
        token = self.admit_token
        if token is None or not token.fits(state):
            return False
        self._renew(token, state, is_all_folded)
        return True

    def _renew(self, token: AdmitToken, state: BreakerState, is_all_folded: bool) -> None:
        """Set how long the token is valid, and how many bad calls it may record."""
        spare, until = spare_calls(state)
        limit = token.bad_recorded + max(spare, 0) if self.admits_bad else 0
        # ``spare`` does not account for bad calls that are buffered and not folded. Where there may
        # be any, the limit is only lowered.
        token.bad_limit = limit if is_all_folded else min(token.bad_limit, limit)
        if spare < 0:
            token.expires_ns = 0
        elif until == FOREVER:
            token.expires_ns = FOREVER
        else:
            token.expires_ns = min(until + self.origin, FOREVER - 1)
        token.count_until_ns = min(token.count_until_ns, token.expires_ns)

    def _update_reject_token(self, state: BreakerState, *, may_reject: bool) -> None:
        reason = rejection_of(state) if may_reject and state.mode == "enforce" else None
        old = self.reject_token
        new: RejectToken | None = None
        if reason is not None:
            deadline = state.deadline
            retry_ns = FOREVER if deadline == FOREVER else min(deadline + self.origin, FOREVER)
            if old is not None and (old.epoch, old.reason, old.retry_ns) == (
                state.epoch,
                reason,
                retry_ns,
            ):
                return
            new = RejectToken(state, reason, retry_ns)
        if old is not None:
            # Before the new token is set: an exception from outside between the two steps would
            # otherwise lose what was counted on the old one.
            self._retire(old)
        self.reject_token = new

    def record(self, monotonic_ns: int, took_ns: int, token: CallToken) -> None:
        """Buffer a call that was admitted or rejected on a token; takes no lock unless it must fold.

        Args:
            monotonic_ns: The monotonic time at which the call ended or was rejected, in nanoseconds.
            took_ns: How long the call took, in nanoseconds.
            token: The token that stands for the call.
        """
        if self.call_buffer.record(monotonic_ns - self.origin, took_ns, token):
            self.call_buffer.fold_buffered()

    def fold_buffered(self) -> None:
        """Fold all buffered calls; takes the lock."""
        self.call_buffer.fold_buffered()

    def stop_rejecting(self) -> None:
        """Make calls take the lock instead of being rejected, as one of them might get a probe."""
        if self.reject_token is not None:
            self._retire(self.reject_token)
            self.reject_token = None

    def _retire(self, token: CallToken) -> None:
        """Stop counting calls on a token, and keep its counter until all of it is recorded.

        A thread may have read ``count_until_ns`` just before, and count one more call afterwards.
        The counter is therefore kept for as long as any thread holds the token.
        """
        token.count_until_ns = 0
        counter = token.call_counter
        if counter is not None:
            self._retired = (*self._retired, (weakref.ref(token), counter))

    @property
    def may_have_counted(self) -> bool:
        """Whether there may be counted calls that are not recorded."""
        admit_token, reject_token = self.admit_token, self.reject_token
        return (
            bool(self._retired)
            or (admit_token is not None and admit_token.counter is not UNUSED)
            or (reject_token is not None and reject_token.counter is not UNUSED)
        )

    def counters(self, ended_ns: int = FOREVER) -> list[CallCounter]:
        """Return the counters that may have calls to record by a time, in the order to record them.

        Retired counters are included whatever their end, for as long as any thread holds their
        token: a thread may have checked the time earlier and count its call only now.

        Args:
            ended_ns: The monotonic time in nanoseconds.
        """
        retired = [counter for _, counter in self._retired]
        return retired + [counter for counter in self._current() if counter.ends_ns <= ended_ns]

    def drop_written(self) -> None:
        """Forget retired counters that are fully recorded and that no thread can count on."""
        if self._retired:
            # The check whether any thread still holds the token comes first: a thread may count a
            # call until it lets go of the token, so only a count read after that is final.
            gone = [(counter, held() is None) for held, counter in self._retired]
            done = {
                id(counter)
                for counter, is_gone in gone
                if is_gone and not (counter.added + counter.read() - counter.written)
            }
            self._retired = tuple(pair for pair in self._retired if id(pair[1]) not in done)

    def next_end_ns(self, ended_ns: int) -> int:
        """Return when the next current counter ends after a time; ``FOREVER`` if none does.

        Args:
            ended_ns: The monotonic time in nanoseconds; counters that end by then are left out.
        """
        ends = (counter.ends_ns for counter in self._current())
        return min((end for end in ends if end > ended_ns), default=FOREVER)

    def _current(self) -> list[CallCounter]:
        tokens = (self.admit_token, self.reject_token)
        counters = [token.call_counter for token in tokens if token is not None]
        return [counter for counter in counters if counter is not None]

    def expire_counters(self, monotonic_ns: int) -> None:
        """Stop counting calls on tokens whose counters have ended by a time.

        Args:
            monotonic_ns: The monotonic time in nanoseconds.
        """
        for token in (self.admit_token, self.reject_token):
            if token is not None and token.count_until_ns <= monotonic_ns:
                token.count_until_ns = 0

    def disable(self) -> None:
        """Make every call take the lock until the next ``update``."""
        for token in (self.admit_token, self.reject_token):
            if token is not None:
                self._retire(token)
        self.reject_token = None
        self.admit_token = None

    def note_fork(self) -> None:
        """In a forked child: note what was counted before the fork, and stop counting."""
        self.expire_counters(FOREVER)
        for counter in self.counters():
            counter.at_fork = counter.read()

    def drop_parent_counts(self) -> None:
        """In a forked child: leave what was counted before the fork to the parent to record."""
        for counter in self.counters():
            counter.written = max(counter.written, counter.at_fork)
            counter.added = counter.first_took_ns = 0


NO_FAST_PATH: Final = FastPath("", CallBuffer(), lambda: 0)
"""A fast path without tokens: every call takes the lock."""
