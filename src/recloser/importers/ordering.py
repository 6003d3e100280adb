"""Putting calls in the order of their ends, in bounded memory: sorted runs on disk, then merged."""

import heapq
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import IO, Final, Generic, Self, TypeVar

import msgspec

RUN_LENGTH: Final = 100_000
"""So many items are sorted in memory at once."""

_FAN_IN: Final = 64
_BATCH: Final = 256

T = TypeVar("T", bound=msgspec.Struct)


class SortedRuns(Generic[T]):
    """Takes items in any order and gives them back in that of their key; equal ones stay in order.

    Args:
        key: Names the field, a whole number, that items are put in the order of.
        item: Their type.
        run_length: So many are held in memory.
    """

    def __init__(self, item: type[T], key: str, run_length: int = RUN_LENGTH) -> None:
        self._item, self._key, self._run_length = item, key, run_length
        self._held: list[T] = []
        self._runs: list[IO[bytes]] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()

    def add(self, item: T) -> None:
        """Take an item."""
        self._held.append(item)
        if len(self._held) >= self._run_length:
            self._write(self._sorted())
            self._held = []
            if len(self._runs) >= _FAN_IN:
                runs, self._runs = self._runs, []
                self._write(heapq.merge(*map(self._read, runs), key=self._place))
                for run in runs:
                    run.close()

    def __iter__(self) -> Iterator[T]:
        held = self._sorted()
        return heapq.merge(*map(self._read, self._runs), held, key=self._place)

    def _sorted(self) -> list[T]:
        return sorted(self._held, key=self._place)

    def _place(self, item: T) -> int:
        place = getattr(item, self._key)
        assert isinstance(place, int)
        return place

    def _write(self, items: Iterable[T]) -> None:
        file = tempfile.TemporaryFile(prefix="recloser-")  # noqa: SIM115  # closed with the stack
        run = self._stack.enter_context(file)
        encode = msgspec.msgpack.Encoder().encode
        batch: list[T] = []
        for item in items:
            batch.append(item)
            if len(batch) == _BATCH:
                _put(run, encode(batch))
                batch = []
        _put(run, encode(batch))
        self._runs.append(run)

    def _read(self, run: IO[bytes]) -> Iterator[T]:
        decode = msgspec.msgpack.Decoder(list[self._item]).decode  # type: ignore[name-defined]  # a run-time type
        run.seek(0)
        while size := run.read(8):
            yield from decode(run.read(int.from_bytes(size, "little")))


def _put(run: IO[bytes], data: bytes) -> None:
    run.write(len(data).to_bytes(8, "little"))
    run.write(data)
