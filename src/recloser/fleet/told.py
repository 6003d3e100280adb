"""Which entries of a stream listeners were told of, so that none is told twice, and none missed."""

from collections import deque
from typing import Final

from recloser.fleet.entry import EntryId

_REMEMBERED: Final = 1000


class Told:
    """The last entries that listeners were told something of.

    A stream may be read again: from a checkpoint, or because it lost its end. What was told then is
    known by its place. Of what is older than all that is remembered here nothing is told.
    """

    def __init__(self) -> None:
        self._places: deque[EntryId] = deque()
        self._known: set[EntryId] = set()
        self._floor: EntryId | None = None

    @property
    def has_begun(self) -> bool:
        """Whether it is known from where on listeners are told."""
        return self._floor is not None

    def begin(self, place: EntryId) -> None:
        """Tell of what comes after a place; what was told before is of another stream, or none."""
        self._floor = place
        self._places.clear()
        self._known.clear()

    def is_new(self, place: EntryId) -> bool:
        """Whether listeners were told nothing of an entry yet, and are to be."""
        return place not in self._known and (self._floor is None or place > self._floor)

    def note(self, place: EntryId) -> None:
        """Note an entry that they are told of."""
        self._places.append(place)
        self._known.add(place)
        if len(self._places) > _REMEMBERED:
            oldest = self._places.popleft()
            self._known.discard(oldest)
            self._floor = oldest if self._floor is None else max(oldest, self._floor)
