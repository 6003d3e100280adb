"""Remember the entries passed to listeners, so that they receive each once."""

from collections import deque
from typing import Final

from recloser.sharing.stream_entry import EntryId

_REMEMBERED: Final = 1000


class NotifiedEntries:
    """The last 1000 entries whose edges or commands were passed to listeners.

    A member reads entries again after the stream has lost its end, and when it starts from a
    checkpoint. Only entries that are not remembered here and are newer than the *floor* are passed
    on. Ids only grow within a stream, so with the floor at the oldest forgotten entry none is passed
    on twice; an entry that is older than the floor and was never seen is passed over.

    Only the log's thread calls these methods, so they need no lock.
    """

    def __init__(self) -> None:
        self._ids: deque[EntryId] = deque()
        self._known: set[EntryId] = set()
        self._floor: EntryId | None = None

    @property
    def has_begun(self) -> bool:
        """Whether ``begin`` was called."""
        return self._floor is not None

    def begin(self, entry_id: EntryId) -> None:
        """Forget all entries of an earlier stream; pass on those after ``entry_id``."""
        self._floor = entry_id
        self._ids.clear()
        self._known.clear()

    def is_new(self, entry_id: EntryId) -> bool:
        """Return whether an entry should be passed to listeners."""
        return entry_id not in self._known and (self._floor is None or entry_id > self._floor)

    def note(self, entry_id: EntryId) -> None:
        """Remember an entry that is passed to listeners."""
        self._ids.append(entry_id)
        self._known.add(entry_id)
        if len(self._ids) > _REMEMBERED:
            oldest = self._ids.popleft()
            self._known.discard(oldest)
            self._floor = oldest if self._floor is None else max(oldest, self._floor)
