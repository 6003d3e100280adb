"""Putting calls in the order of their ends, in bounded memory: sorted runs on disk, then merged."""

import tempfile
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import chain
from operator import attrgetter
from typing import IO, Final, Generic, Self, TypeVar

import msgspec

RUN_LENGTH: Final = 100_000
"""So many items are sorted in memory at once."""

_FAN_IN: Final = 64
_BATCH: Final = 512

T = TypeVar("T", bound=msgspec.Struct)


class SortedRuns(Generic[T]):
    """Takes items in any order and gives them back in that of their key; equal ones stay in order.

    Args:
        key: Names the field, a whole number, that items are put in the order of.
        item: Their type.
        run_length: So many are held in memory.
    """

    def __init__(self, item: type[T], key: str, run_length: int = RUN_LENGTH) -> None:
        self._item, self._run_length = item, run_length
        self._place: Callable[[T], int] = attrgetter(key)
        self._held: list[T] = []
        self._runs: list[IO[bytes]] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()

    def add(self, item: T) -> None:
        """Take an item."""
        self.extend((item,))

    def extend(self, items: Iterable[T]) -> None:
        """Take items; a batch of them goes into one run, so it should be a small part of one."""
        self._held += items
        if len(self._held) >= self._run_length:
            self._write([self._sorted()])
            self._held = []
            if len(self._runs) >= _FAN_IN:
                runs, self._runs = self._runs, []
                self._write(self._merged(map(self._read, runs)))
                for run in runs:
                    run.close()

    def __iter__(self) -> Iterator[T]:
        return chain.from_iterable(self.batches())

    def batches(self) -> Iterator[list[T]]:
        """All items in order, in lists of any length."""
        held = self._sorted()
        batches = (held[start : start + _BATCH] for start in range(0, len(held), _BATCH))
        return self._merged([*map(self._read, self._runs), batches])

    def _merged(self, runs: Iterable[Iterator[list[T]]]) -> Iterator[list[T]]:
        """The items of sorted runs, each told in batches, in one order.

        What is less than the least of the last keys that are at hand is sorted at once, which is
        quick, as it is made of sorted pieces; then comes what is equal to that key, run by run.
        """
        heads = [_Head(run, self._place) for run in runs]
        while heads := [head for head in heads if head.items]:
            bound = min(head.last for head in heads)
            less = []
            for head in heads:
                less += head.take_less(bound)
            if less:
                yield sorted(less, key=self._place)
            for head in heads:
                while equal := head.take_less(bound + 1):
                    yield equal

    def _sorted(self) -> list[T]:
        return sorted(self._held, key=self._place)

    def _write(self, batches: Iterable[list[T]]) -> None:
        file = tempfile.TemporaryFile(prefix="recloser-")  # noqa: SIM115  # closed with the stack
        run = self._stack.enter_context(file)
        encode = msgspec.msgpack.Encoder().encode
        for batch in batches:
            for start in range(0, len(batch), _BATCH):
                _put(run, encode(batch[start : start + _BATCH]))
        self._runs.append(run)

    def _read(self, run: IO[bytes]) -> Iterator[list[T]]:
        decode = msgspec.msgpack.Decoder(list[self._item]).decode  # type: ignore[name-defined]  # a run-time type
        run.seek(0)
        while size := run.read(8):
            yield decode(run.read(int.from_bytes(size, "little")))


class _Head(Generic[T]):
    """What is at hand of a run.

    Attributes:
        items: The next of its items; empty at its end only.
        last: The key of the last of them.
    """

    def __init__(self, batches: Iterator[list[T]], key: Callable[[T], int]) -> None:
        self._batches = batches
        self._key = key
        self._first = self.last = 0
        self.items: list[T] = []
        self._go_on([])

    def take_less(self, bound: int) -> list[T]:
        """Take away those at hand whose key is less."""
        if not self.items or self._first >= bound:
            return []
        end = len(self.items)
        if self.last >= bound:
            end = bisect_left(self.items, bound, key=self._key)
        taken = self.items[:end]
        self._go_on(self.items[end:])
        return taken

    def _go_on(self, items: list[T]) -> None:
        self.items = items or next(self._batches, [])
        if self.items:
            self._first, self.last = self._key(self.items[0]), self._key(self.items[-1])


def _put(run: IO[bytes], data: bytes) -> None:
    run.write(len(data).to_bytes(8, "little"))
    run.write(data)
