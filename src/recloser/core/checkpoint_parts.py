"""Checkpoints in parts, for states that list more numbers than fit into one line of a log.

The parts of a checkpoint are numbered from 1. The last part holds the state with its lists empty. Each
part before it holds a stretch of one of the lists: rows of one, two or six numbers. Numbers grow from
row to row, so a row is written as the difference to the row before, and the first row of a part whole:

* Row of one number: the number is written as a difference.
* Row of two numbers, which is a code and its count, or a probe and its time: the first one is.
* Row of six numbers, for a second of a time window: the first three are, which are the second, and the
  ``seq`` of its first and last outcome.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, chain
from operator import sub
from typing import Final, NamedTuple, TypeAlias, cast

import msgspec

from recloser.core.events import Checkpoint
from recloser.core.limits import PART_BYTES, ROWS_IN_LINE
from recloser.errors import FoldError

State: TypeAlias = Mapping[str, object]
_Row: TypeAlias = int | Sequence[int]

_LISTS: Final = ("failure_seqs", "window", "probes", "probe_seqs", "probe_window")
_AT_ONCE: Final = 4096
_GROWING: Final = {1: 1, 2: 1, 6: 3}
"""How many numbers of a row are written as differences, by how many numbers the row has."""

_encode: Final = msgspec.json.Encoder().encode


class Piece(NamedTuple):
    """The content of one line of a checkpoint.

    Attributes:
        state: The state, or this part of it.
        part: Which part this is, from 1.
        parts: How many parts there are.
    """

    state: State
    part: int
    parts: int


def pieces_of(state: State) -> Iterator[Piece]:
    """Split a state, as ``recloser.core.state.dump`` returns it, into the pieces of its lines."""
    lists = {name: rows for name in _LISTS if (rows := _rows(state.get(name)))}
    if sum(len(rows) * _width(rows) for rows in lists.values()) <= ROWS_IN_LINE:
        yield Piece(state, 1, 1)
        return
    stretches = [{name: stretch} for name, rows in lists.items() for stretch in _stretches(rows)]
    parts = len(stretches) + 1
    for part, stretch in enumerate(stretches, start=1):
        yield Piece(stretch, part, parts)
    yield Piece({**state, **{name: type(state[name])() for name in lists}}, parts, parts)


def _rows(data: object) -> Sequence[_Row]:
    """The rows of a list of a state; empty if the data, which others may have sent, is no such list."""
    if isinstance(data, Mapping):
        data = [[int(number), at] for number, at in data.items() if number.isdecimal()]
    if not isinstance(data, list):
        return ()
    if set(map(type, data)) == {int}:
        return data
    if not {len(row) for row in data if type(row) is list} <= {2, 6}:
        return ()
    numbers = (row if type(row) is list else (row,) for row in data)
    return data if set(map(type, chain.from_iterable(numbers))) <= {int} else ()


def _width(rows: Sequence[_Row]) -> int:
    return max(1 if isinstance(row, int) else len(row) for row in rows)


def _stretches(rows: Sequence[_Row]) -> Iterator[Sequence[_Row]]:
    """Split rows into stretches that each fit into a line, written as differences."""
    start, size = 0, _AT_ONCE
    while start < len(rows):
        stretch = _differences(rows[start : start + size])
        if len(_encode(stretch)) > PART_BYTES and size > 1:
            size //= 2
            continue
        yield stretch
        start += size


def _differences(rows: Sequence[_Row]) -> Sequence[_Row]:
    if set(map(type, rows)) == {int}:
        numbers = cast("Sequence[int]", rows)
        return list(_less_before(numbers))
    width = _only_width(rows)
    if width:
        return _by_column(cast("Sequence[Sequence[int]]", rows), _GROWING[width], _less_before)
    before: Sequence[int] = (0, 0, 0)
    changes: list[_Row] = []
    for row in rows:
        numbers = (row,) if isinstance(row, int) else row
        growing = _GROWING[len(numbers)]
        change = [*map(sub, numbers[:growing], before), *numbers[growing:]]
        changes.append(change[0] if isinstance(row, int) else change)
        before = numbers[:growing]
    return changes


def _only_width(rows: Sequence[_Row]) -> int:
    """The length of every row; 0 if lengths differ, or if the rows are plain numbers."""
    if set(map(type, rows)) != {list}:
        return 0
    widths = set(map(len, cast("Sequence[list[int]]", rows)))
    return widths.pop() if len(widths) == 1 else 0


def _by_column(
    rows: Sequence[Sequence[int]],
    growing: int,
    change: Callable[[Sequence[int]], Iterable[int]],
) -> Sequence[_Row]:
    """Apply ``change`` to each of the first ``growing`` columns of rows of equal width."""
    columns = list(zip(*rows, strict=True))
    return list(map(list, zip(*map(change, columns[:growing]), *columns[growing:], strict=True)))


def _less_before(numbers: Sequence[int]) -> Iterable[int]:
    return map(sub, numbers, chain((0,), numbers))


def _sums(stretch: object) -> Sequence[_Row]:
    """The rows of a stretch; the inverse of ``_differences``.

    Raises:
        msgspec.ValidationError: The data is not a stretch of rows.
    """
    changes = msgspec.convert(stretch, list[int | list[int]])
    if set(map(type, changes)) <= {int}:
        return list(accumulate(cast("list[int]", changes)))
    width = _only_width(changes)
    if width in _GROWING:
        return _by_column(cast("Sequence[Sequence[int]]", changes), _GROWING[width], accumulate)
    before: Sequence[int] = (0, 0, 0)
    rows: list[_Row] = []
    for change in changes:
        numbers = [change] if isinstance(change, int) else change
        growing = _GROWING.get(len(numbers))
        if growing is None:
            raise msgspec.ValidationError(f"{len(numbers)} numbers are no row")
        row = [*map(int.__add__, numbers[:growing], before), *numbers[growing:]]
        rows.append(row[0] if isinstance(change, int) else row)
        before = row[:growing]
    return rows


def is_part(checkpoint: Checkpoint) -> bool:
    """Whether further parts of this checkpoint follow."""
    return checkpoint.part < checkpoint.parts


class CheckpointParts:
    """Joins the parts of checkpoints, in the order of a log.

    The parts of a checkpoint whose last part a crash has prevented are dropped when the next
    checkpoint of the breaker begins.
    """

    def __init__(self) -> None:
        self._held: dict[str, tuple[int, int, dict[str, list[_Row]]]] = {}

    def joined(self, event: Checkpoint) -> Checkpoint | None:
        """Add a checkpoint or a part of one.

        Returns:
            The whole checkpoint, if this was its only or its last part; else None.

        Raises:
            FoldError: An earlier part is missing, the part does not hold stretches of lists, or a
                number of the joined state is out of range.
        """
        if event.parts == 1 == event.part:
            return event
        name = event.breaker
        if event.part == 1:
            held: dict[str, list[_Row]] = {}
        else:
            part, parts, held = self._held.pop(name, (0, 0, {}))
            if (part + 1, parts) != (event.part, event.parts):
                raise FoldError(
                    f"event {event.seq} (checkpoint): part {event.part} of {event.parts} must "
                    f"follow part {event.part - 1}, not part {part} of {parts}"
                )
        if is_part(event):
            for field, stretch in event.state.items():
                if field not in _LISTS:
                    raise FoldError(f"event {event.seq} (checkpoint): {field!r} is no list")
                try:
                    held.setdefault(field, []).extend(_sums(stretch))
                except msgspec.ValidationError as error:
                    raise FoldError(f"event {event.seq} (checkpoint): {error}") from error
            self._held[name] = event.part, event.parts, held
            return None
        lists = {
            field: {str(row[0]): row[1] for row in rows if not isinstance(row, int)}
            if field == "probes"
            else rows
            for field, rows in held.items()
        }
        try:
            return Checkpoint(event.seq, event.at, name, {**event.state, **lists})
        except ValueError as error:
            raise FoldError(f"event {event.seq} (checkpoint): {error}") from error
