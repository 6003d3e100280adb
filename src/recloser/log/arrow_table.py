"""Converts the events of a log to an Arrow table and back, without loss.

The schema is stable: columns may be added to it, but none is removed or changed. One row is one
event. The fields of calls and ticks have columns of their own. Any other event is stored whole in
``line``, as in a segment, beside the columns that all events have.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, Final, TypeAlias, cast

import msgspec
import pyarrow as pa

from recloser.core.events import (
    CallFailed,
    CallIgnored,
    CallObserved,
    CallRejected,
    CallSucceeded,
    ClockTicked,
    Event,
    Outcome,
    ProbeAdmitted,
    Reason,
)
from recloser.log.codec import decode, encode

_WHOLE: Final = pa.int64()
_TEXT: Final = pa.string()
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

SCHEMA: Final = pa.schema(
    [
        # Columns of all events; the breaker is null if an event is about the whole log.
        pa.field("breaker", _TEXT),
        pa.field("seq", _WHOLE, nullable=False),
        pa.field("at", _WHOLE, nullable=False),
        pa.field("event", _TEXT, nullable=False),
        # Outcomes. Other events have the epoch of the row before, and 0, 0 and 1.
        pa.field("epoch", _WHOLE, nullable=False),
        pa.field("took", _WHOLE, nullable=False),
        pa.field("probe", _WHOLE, nullable=False),
        pa.field("count", _WHOLE, nullable=False),
        pa.field("error", _TEXT),
        # Rejected calls.
        pa.field("reason", _TEXT),
        pa.field("retry_after", _WHOLE),
        # Imported calls, which started at `at - took`; labels are a JSON object.
        pa.field("outcome", _TEXT),
        pa.field("labels", _TEXT),
        # Ticks of the clock.
        pa.field("wall", pa.timestamp("us", "UTC")),
        pa.field("monotonic", _WHOLE),
        # All other events, as the line in a segment.
        pa.field("line", _TEXT),
    ]
)
"""The columns of an exported log; durations and times are nanoseconds, ``wall`` is in UTC."""

_Row: TypeAlias = tuple[object, ...]


def _outcome_row(event: CallSucceeded | CallFailed | CallIgnored) -> _Row:
    count = event.count if event.kind == "call_succeeded" else 1
    error = None if event.kind == "call_succeeded" else event.error
    return (event.epoch, event.took, event.probe, count, error, *_NOTHING[5:])


def _probe_row(event: ProbeAdmitted) -> _Row:
    return (event.epoch, 0, event.probe, *_NOTHING[3:])


def _rejected_row(event: CallRejected) -> _Row:
    return (None, 0, 0, event.count, None, event.reason.value, event.retry_after, *_NOTHING[7:])


def _observed_row(event: CallObserved) -> _Row:
    if event.start != event.at - event.took:
        return _line_row(event)
    labels = msgspec.json.encode(event.labels).decode() if event.labels else None
    return (
        *(None, event.took, 0, 1, event.error, None, None),
        *(event.outcome.value, labels, *_NOTHING[9:]),
    )


def _tick_row(event: ClockTicked) -> _Row:
    return (*_NOTHING[:9], event.wall, event.monotonic, None)


def _line_row(event: Event) -> _Row:
    return (getattr(event, "epoch", None), *_NOTHING[1:11], encode(event)[:-1].decode())


_NOTHING: Final[_Row] = (None, 0, 0, 1, *[None] * 8)
_ROW_OF: Final[Mapping[str, Callable[[Any], _Row]]] = {
    "call_succeeded": _outcome_row,
    "call_failed": _outcome_row,
    "call_ignored": _outcome_row,
    "call_rejected": _rejected_row,
    "probe_admitted": _probe_row,
    "call_observed": _observed_row,
    "clock_ticked": _tick_row,
}


def table_of(breaker: str | None, events: Sequence[Event], epoch: int = 0) -> pa.Table:
    """Return the events of one breaker, or those about the whole log, as a table.

    Args:
        breaker: The breaker's name; None for the whole log.
        events: The events, in order.
        epoch: The epoch to write for events before the first that has one.

    Returns:
        A table of ``SCHEMA``.
    """
    rows = [_ROW_OF.get(event.kind, _line_row)(event) for event in events]
    epochs, *rest = map(list, zip(*rows, strict=True))
    for index, own_epoch in enumerate(epochs):
        if own_epoch is None:
            epochs[index] = epoch
        else:
            epoch = own_epoch
    common = (
        [breaker] * len(rows),
        list(map(attrgetter("seq"), events)),
        list(map(attrgetter("at"), events)),
        list(map(attrgetter("kind"), events)),
    )
    arrays = [
        pa.array(values, field.type)
        for values, field in zip((*common, epochs, *rest), SCHEMA, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def events_of(table: pa.Table) -> Iterator[Event]:
    """Yield the events of a table of ``SCHEMA``, in the order of its rows."""
    for batch in table.to_batches():
        columns = [_values(column) for column in batch.columns]
        for row in zip(*columns, strict=True):
            yield _event_of(row)


def _values(column: pa.Array) -> Sequence[Any]:
    """Convert a column to Python values, faster than ``to_pylist`` does."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not pa.types.is_timestamp(column.type):
        return cast("Sequence[Any]", column.to_pylist())
    return [
        None if us is None else _EPOCH + timedelta(microseconds=us)
        for us in column.cast(pa.timestamp("us", "UTC")).cast(_WHOLE).to_pylist()
    ]


def _event_of(row: Sequence[Any]) -> Event:
    if row[_LINE] is not None:
        return decode(row[_LINE].encode())
    return _EVENT_OF[row[3]](row)


def _outcome(kind: type[CallFailed | CallIgnored]) -> Callable[[Sequence[Any]], Event]:
    return lambda row: kind(row[1], row[2], row[0], row[4], row[5], row[6], row[8])


def _observed(row: Sequence[Any]) -> CallObserved:
    breaker, seq, at, _, _, took, _, _, error, _, _, outcome, text, *_ = row
    labels = {} if text is None else msgspec.json.decode(text, type=dict[str, str])
    return CallObserved(seq, at, breaker, at - took, took, Outcome(outcome), error, labels)


_LINE: Final = SCHEMA.get_field_index("line")
_EVENT_OF: Final[Mapping[str, Callable[[Sequence[Any]], Event]]] = {
    "call_succeeded": lambda row: CallSucceeded(
        row[1], row[2], row[0], row[4], row[5], row[6], row[7]
    ),
    "call_failed": _outcome(CallFailed),
    "call_ignored": _outcome(CallIgnored),
    "call_rejected": lambda row: CallRejected(
        row[1], row[2], row[0], Reason(row[9]), row[10], row[7]
    ),
    "probe_admitted": lambda row: ProbeAdmitted(row[1], row[2], row[0], row[4], row[6]),
    "call_observed": _observed,
    "clock_ticked": lambda row: ClockTicked(row[1], row[2], row[13], row[14]),
}
