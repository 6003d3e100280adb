"""The entries of a stream whose edges listeners have received: none twice, and none missed."""

from collections import deque
from typing import Final

from recloser.sharing.stream_entry import EntryId

_REMEMBERED: Final = 1000


class Notified:
    """The last entries that held an edge or a command for listeners.

    A process reads a stream again after it lost its end, or from a checkpoint. This remembers the
    ids of the last 1000 such entries; edges of older entries are not passed on again.
    """

    def __init__(self) -> None:
        self._places: deque[EntryId] = deque()
        self._known: set[EntryId] = set()
        self._floor: EntryId | None = None

    @property
    def has_begun(self) -> bool:
        """Whether the first entry to pass on is known."""
        return self._floor is not None

    def begin(self, place: EntryId) -> None:
        """Pass on what comes after this entry, and forget all others: the stream is another one."""
        self._floor = place
        self._places.clear()
        self._known.clear()

    def is_new(self, place: EntryId) -> bool:
        """Whether listeners have received nothing of an entry, and should."""
        return place not in self._known and (self._floor is None or place > self._floor)

    def note(self, place: EntryId) -> None:
        """Remember an entry that is passed on to listeners."""
        self._places.append(place)
        self._known.add(place)
        if len(self._places) > _REMEMBERED:
            oldest = self._places.popleft()
            self._known.discard(oldest)
            self._floor = oldest if self._floor is None else max(oldest, self._floor)
