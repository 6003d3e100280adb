"""A queue of events that wait for listeners, and the claim by which one thread delivers them.

Any code may be interrupted here: by a signal handler or ``__del__`` that enters again, by an
exception that another thread or a signal handler raises, by a fork. So there is no lock that could
stay taken. CPython lets such things in after a call, at the start of a function and at a jump
backwards. A few assignments in a row, or an assignment and the call of a method that is written in
C, happen as one step. The comments below say where the code relies on that.
"""

from collections import deque
from threading import get_ident
from typing import Final, TypeAlias

from recloser.core.events import BreakerEvent
from recloser.live.listeners import Subscription
from recloser.log.codec import full

CAPACITY: Final = 10_000
EDGE_RESERVE: Final = 1_000
"""The last places of a full queue, which only changes of state may take."""

HELD: Final = "held"
"""The key of a claim in its dictionary."""

Claim: TypeAlias = tuple[int]
"""The identifier of a thread, in a new tuple: a nested entry of the same thread has another one."""

Entry: TypeAlias = tuple[int, Subscription, BreakerEvent]


class ListenerQueue:
    """Events that wait for listeners, which are called one at a time in the order of the queue.

    Any thread may deliver. A thread that finds another thread delivering, or itself further up its
    stack, leaves the entries to that one.

    Attributes:
        entries: What is to be delivered: a rising number, a listener, an event. The first entry stays
            until its listener has returned.
        dropped: Entries for which there was no room.
    """

    __slots__ = ("_begun", "_claims", "_ended", "_interrupted", "dropped", "entries")

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque()
        self.dropped = 0
        self._interrupted = 0
        self._claims: dict[str, Claim] = {}
        self._begun: Entry | None = None
        self._ended: Entry | None = None

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def missed(self) -> int:
        """How many entries were dropped, or had a listener that was interrupted from outside."""
        return self.dropped + self._interrupted

    @property
    def is_mine(self) -> bool:
        """Whether this thread is delivering, further up its stack."""
        return is_claimed_here(self._claims)

    def has_room(self, *, for_edge: bool) -> bool:
        """Return whether there is room for one more entry.

        Args:
            for_edge: Whether the entry is a change of state.
        """
        return len(self.entries) < (CAPACITY if for_edge else CAPACITY - EDGE_RESERVE)

    def last_number(self) -> int:
        """Return the number of the newest entry; 0 if the queue is empty."""
        try:
            return self.entries[-1][0]
        except IndexError:
            return 0

    def is_delivered(self, number: int) -> bool:
        """Return whether all entries up to a number are delivered.

        Args:
            number: The number of an entry.
        """
        try:
            return self.entries[0][0] > number
        except IndexError:
            return True

    def deliver(self, limit: int) -> bool:
        """Call the listeners of the next entries.

        An exception that a signal handler or another thread raises here goes on to the caller; the
        entry that it interrupted is counted as missed, and is not delivered again.

        Args:
            limit: The most entries to deliver.

        Returns:
            False if a thread is delivering already.
        """
        claims = self._claims
        claim = (get_ident(),)
        try:
            if claims.setdefault(HELD, claim) is not claim:
                return False
            self._deliver(limit)
            return True
        finally:
            # There is no call in this block, so nothing can interrupt it.
            if HELD in claims and claims[HELD] is claim:
                if self._begun is not self._ended:
                    self._interrupted += 1
                    self._ended = self._begun
                del claims[HELD]

    def _deliver(self, limit: int) -> None:
        entries = self.entries
        while limit:
            try:
                entry = entries[0]
            except IndexError:
                return
            # An entry that was begun is first again if it was interrupted before it was removed.
            if entry is not self._begun:
                limit -= 1
                self._begun = entry
                entry[1].notify(full(entry[2]))
                self._ended = entry
            # A listener that forked returns here in the child too, where the queue was emptied.
            if entries and entries[0] is entry:
                entries.popleft()


def is_claimed_here(claims: dict[str, Claim]) -> bool:
    """Return whether this thread has the claim.

    Args:
        claims: The dictionary of the claim.
    """
    claim = claims.get(HELD)
    return claim is not None and claim[0] == get_ident()
