"""Joins within traces: repeated spans, and clients' spans with servers'."""

from array import array
from collections.abc import Hashable, Iterator
from contextlib import AbstractContextManager
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, Self

import msgspec

from recloser.importers.sorted_runs import SortedRuns

_FIRST_SIZE: Final = 1 << 12
_MASK: Final = (1 << 63) - 1
_SPANS_PER_RUN: Final = 20_000


class SeenSet:
    """Set that needs about 20 bytes per item, and cannot list its items.

    It keeps 63 bits of each item's hash. Among a hundred million items, the chance that any two are
    mistaken for each other is one in two thousand.
    """

    def __init__(self) -> None:
        self._count = 0
        self._slots = array("q", bytes(8 * _FIRST_SIZE))

    def add(self, item: Hashable) -> bool:
        """Add an item; return whether it is new."""
        key = hash(item) & _MASK or 1
        slots = self._slots
        last = len(slots) - 1
        at = key & last
        while found := slots[at]:
            if found == key:
                return False
            at = (at + 1) & last
        slots[at] = key
        self._count += 1
        if 2 * self._count > len(slots):
            self._grow()
        return True

    def __contains__(self, item: Hashable) -> bool:
        key = hash(item) & _MASK or 1
        last = len(self._slots) - 1
        at = key & last
        while (found := self._slots[at]) and found != key:
            at = (at + 1) & last
        return found != 0

    def _grow(self) -> None:
        old = self._slots
        slots = array("q", bytes(16 * len(old)))
        last = len(slots) - 1
        for key in old:
            if key:
                at = key & last
                while slots[at]:
                    at = (at + 1) & last
                slots[at] = key
        self._slots = slots


class JoinEntry(msgspec.Struct, array_like=True, gc=False):
    """A client's span that waits for a server's, or the service of a server's span.

    Attributes:
        key: A hash of ``trace`` and ``id``.
        trace: The id of the trace.
        id: The id of the client's span.
        service: The service of the server's span; None for a client's span.
        line: The number of the line of the client's span.
        source: The file of the client's span.
        values: What is kept of the client's span.
    """

    key: int
    trace: str
    id: str
    service: str | None
    line: int = 0
    source: str = ""
    values: list[Any] = []  # safe: msgspec copies the default


class TargetJoin(AbstractContextManager["TargetJoin"]):
    """Finds the service that answered each client's span.

    The answer is known after all spans of all files are read. Temporary files hold the spans, so
    memory is bounded.

    Args:
        run_length: How many spans are held in memory.

    Attributes:
        waiting: How many clients' spans wait.
    """

    def __init__(self, run_length: int = _SPANS_PER_RUN) -> None:
        self._runs = SortedRuns(JoinEntry, "key", run_length)
        self.waiting = 0

    def __enter__(self) -> Self:
        self._runs.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._runs.__exit__(*exception)

    def serve(self, trace: str, id_: str, service: str) -> None:
        """Note that a service answered the client's span of an id."""
        self._runs.add(JoinEntry(hash((trace, id_)) & _MASK, trace, id_, service))

    def wait(self, trace: str, id_: str, line: int, source: str, values: list[Any]) -> None:
        """Keep a client's span until ``found`` is called."""
        self.waiting += 1
        key = hash((trace, id_)) & _MASK
        self._runs.add(JoinEntry(key, trace, id_, None, line, source, values))

    def found(self) -> Iterator[tuple[JoinEntry, str | None]]:
        """Yield the waiting clients' spans, each with the service that answered.

        The service is None if no server's span belongs to the client's.
        """
        if not self.waiting:
            return
        for _, group in groupby(self._runs, key=attrgetter("key")):
            services: dict[tuple[str, str], str] = {}
            clients: list[JoinEntry] = []
            for entry in group:
                if entry.service is None:
                    clients.append(entry)
                else:
                    services.setdefault((entry.trace, entry.id), entry.service)
            for entry in clients:
                yield entry, services.get((entry.trace, entry.id))
