"""External sort: items by key in bounded memory, with sorted runs in files."""

import tempfile
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import chain
from operator import attrgetter
from typing import IO, Final, Generic, Self, TypeVar

import msgspec

RUN_LENGTH: Final = 100_000
"""How many items are sorted in memory at once."""

_MAX_RUNS: Final = 64
_BATCH: Final = 512

T = TypeVar("T", bound=msgspec.Struct)


class SortedRuns(Generic[T]):
    """Takes items in any order and returns them in the order of their key.

    Items of the same key stay in the order in which they were added. Temporary files hold what does
    not fit into memory; leaving the context deletes them.

    Args:
        item: The type of the items.
        key: The name of their attribute, an integer, to sort by.
        run_length: How many items are held in memory.
    """

    def __init__(self, item: type[T], key: str, run_length: int = RUN_LENGTH) -> None:
        self._item, self._run_length = item, run_length
        self._key: Callable[[T], int] = attrgetter(key)
        self._held: list[T] = []
        self._runs: list[IO[bytes]] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()

    def add(self, item: T) -> None:
        """Add one item."""
        self.extend((item,))

    def extend(self, items: Iterable[T]) -> None:
        """Add items. They go into one run, so add far fewer than ``run_length`` at a time."""
        self._held += items
        if len(self._held) >= self._run_length:
            self._write([self._sorted()])
            self._held = []
            if len(self._runs) >= _MAX_RUNS:
                runs, self._runs = self._runs, []
                self._write(self._merged(map(self._read, runs)))
                for run in runs:
                    run.close()

    def __iter__(self) -> Iterator[T]:
        return chain.from_iterable(self.batches())

    def batches(self) -> Iterator[list[T]]:
        """Yield all items in order, in lists of any length."""
        held = self._sorted()
        batches = (held[start : start + _BATCH] for start in range(0, len(held), _BATCH))
        return self._merged([*map(self._read, self._runs), batches])

    def _merged(self, runs: Iterable[Iterator[list[T]]]) -> Iterator[list[T]]:
        """Merge sorted runs, each given as batches, into one order.

        ``bound`` is the smallest of the last keys that are loaded. All items with a smaller key are
        loaded already, so sorting those yields the next items of the whole; this is fast since they
        consist of sorted pieces. Items with a key equal to ``bound`` follow, run by run: a later
        batch of the same run may have more of them, and taking whole runs in their order keeps the
        sort stable.
        """
        heads = [_Head(run, self._key) for run in runs]
        while heads := [head for head in heads if head.items]:
            bound = min(head.last for head in heads)
            less = []
            for head in heads:
                less += head.take_less(bound)
            if less:
                yield sorted(less, key=self._key)
            for head in heads:
                while equal := head.take_less(bound + 1):
                    yield equal

    def _sorted(self) -> list[T]:
        return sorted(self._held, key=self._key)

    def _write(self, batches: Iterable[list[T]]) -> None:
        file = tempfile.TemporaryFile(prefix="recloser-")  # noqa: SIM115  # closed with the stack
        run = self._stack.enter_context(file)
        encode = msgspec.msgpack.Encoder().encode
        for batch in batches:
            for start in range(0, len(batch), _BATCH):
                _write_block(run, encode(batch[start : start + _BATCH]))
        self._runs.append(run)

    def _read(self, run: IO[bytes]) -> Iterator[list[T]]:
        decode = msgspec.msgpack.Decoder(list[self._item]).decode  # type: ignore[name-defined]  # a run-time type
        run.seek(0)
        while size := run.read(8):
            yield decode(run.read(int.from_bytes(size, "little")))


class _Head(Generic[T]):
    """Part of a sorted run that is loaded into memory.

    Attributes:
        items: The next items of the run; empty only at its end.
        last: The key of the last item in ``items``.
    """

    def __init__(self, batches: Iterator[list[T]], key: Callable[[T], int]) -> None:
        self._batches = batches
        self._key = key
        self._first = self.last = 0
        self.items: list[T] = []
        self._load([])

    def take_less(self, bound: int) -> list[T]:
        """Remove and return the loaded items whose key is less than ``bound``."""
        if not self.items or self._first >= bound:
            return []
        end = len(self.items)
        if self.last >= bound:
            end = bisect_left(self.items, bound, key=self._key)
        taken = self.items[:end]
        self._load(self.items[end:])
        return taken

    def _load(self, items: list[T]) -> None:
        self.items = items or next(self._batches, [])
        if self.items:
            self._first, self.last = self._key(self.items[0]), self._key(self.items[-1])


def _write_block(run: IO[bytes], data: bytes) -> None:
    run.write(len(data).to_bytes(8, "little"))
    run.write(data)
