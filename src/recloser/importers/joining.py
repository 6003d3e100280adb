"""Finding what belongs together in a trace: a span that comes twice, and both sides of a call."""

from array import array
from collections.abc import Hashable, Iterator
from contextlib import AbstractContextManager
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, Self

import msgspec

from recloser.importers.ordering import SortedRuns

_FIRST_SIZE: Final = 1 << 12
_MASK: Final = (1 << 63) - 1
_RUN_LENGTH: Final = 20_000


class Seen:
    """Knows what was seen before, in some 20 bytes a thing.

    It keeps a hash of 63 bits of each, so two of a hundred million are taken for one by a chance of
    one in two thousand.
    """

    def __init__(self) -> None:
        self._count = 0
        self._slots = array("q", bytes(8 * _FIRST_SIZE))

    def add(self, thing: Hashable) -> bool:
        """Note a thing; whether it was not seen before."""
        key = hash(thing) & _MASK or 1
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

    def __contains__(self, thing: Hashable) -> bool:
        key = hash(thing) & _MASK or 1
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


class Held(msgspec.Struct, array_like=True, gc=False):
    """A client's span that waits for the server's, or what a server's span tells.

    Attributes:
        key: A hash of trace and id.
        trace: The id of the trace.
        id: That of the client's span.
        service: Of the server; None for a client's span.
        line: Where the client's span stands.
        source: In which file.
        values: What is kept of it.
    """

    key: int
    trace: str
    id: str
    service: str | None
    line: int = 0
    source: str = ""
    values: list[Any] = []  # msgspec copies it


class Targets(AbstractContextManager["Targets"]):
    """Gives clients' spans the service that answered, once all spans of all files are read.

    What is known is kept in temporary files, so memory is bounded.

    Attributes:
        waiting: How many clients' spans wait.
    """

    def __init__(self) -> None:
        self._runs = SortedRuns(Held, "key", _RUN_LENGTH)
        self.waiting = 0

    def __enter__(self) -> Self:
        self._runs.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._runs.__exit__(*exception)

    def serve(self, trace: str, id_: str, service: str) -> None:
        """Note that a service answered the client's span of an id."""
        self._runs.add(Held(hash((trace, id_)) & _MASK, trace, id_, service))

    def wait(self, trace: str, id_: str, line: int, source: str, values: list[Any]) -> None:
        """Keep a client's span until the end."""
        self.waiting += 1
        key = hash((trace, id_)) & _MASK
        self._runs.add(Held(key, trace, id_, None, line, source, values))

    def found(self) -> Iterator[tuple[Held, str | None]]:
        """The clients' spans that wait, each with the service that answered; None for unknown."""
        if not self.waiting:
            return
        for _, group in groupby(self._runs, key=attrgetter("key")):
            services: dict[tuple[str, str], str] = {}
            clients: list[Held] = []
            for held in group:
                if held.service is None:
                    clients.append(held)
                else:
                    services.setdefault((held.trace, held.id), held.service)
            for held in clients:
                yield held, services.get((held.trace, held.id))
