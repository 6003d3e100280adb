r"""Records of resilience4j's events, from logs or its actuator endpoint.

The text of an event may begin anywhere in a line::

    2024-02-25T14:52:20.756573+09:00[Asia/Seoul]: CircuitBreaker 'a' recorded a successful call. \
Elapsed time: 7 ms
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from recloser.importers.import_batches import LineBatch, RecordBatch, Unreadable
from recloser.importers.records.record_reader import TOO_LONG

EVENT: Final = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\dT[\d:.]{1,24}(?:Z|[+-]\d\d:\d\d))(?:\[[^\]]{0,80}\])?: "
    r"CircuitBreaker '(?P<breaker>[^']{0,1000})' (?P<what>.*)"
)
_ELAPSED: Final = re.compile(r"Elapsed time: (\d+) ms")
_ERROR: Final = re.compile(r": '([^':\s]+)")
_TYPES: Final = {
    "recorded a successful call": "SUCCESS",
    "recorded an error which has been ignored": "IGNORED_ERROR",
    "recorded an error": "ERROR",
    "recorded a call which was not permitted": "NOT_PERMITTED",
    "changed state": "STATE_TRANSITION",
    "reset": "RESET",
    "exceeded failure rate": "FAILURE_RATE_EXCEEDED",
    "exceeded slow call rate": "SLOW_CALL_RATE_EXCEEDED",
    "changed state to DISABLED": "DISABLED",
    "state changed to FORCED_OPEN": "FORCED_OPEN",
}
_CALLS: Final = ("SUCCESS", "ERROR", "IGNORED_ERROR", "NOT_PERMITTED")
_FIELDS: Final = ("breaker", "end", "duration_ms", "type", "error")
_PUBLISHED: Final = "published: "
_MAX_REMEMBERED: Final = 1 << 15


class Resilience4jReader:
    """Reads the events of calls; an event that two loggers wrote is read once."""

    @property
    def fields(self) -> Collection[str]:
        """The fields of an event of resilience4j."""
        return list(_FIELDS)

    def read(self, batches: Iterable[LineBatch], wanted: Collection[str]) -> Iterator[RecordBatch]:
        """Read lines as records of calls, with all fields."""
        del wanted  # an event has few fields
        seen = _SeenEvents()
        for batch in batches:
            lines: list[int] = []
            rows: list[tuple[Any, ...]] = []
            unreadable = list(batch.unreadable)
            skipped: Counter[str] = Counter()
            for number, text in enumerate(batch.texts, batch.first):
                for event in _events_in(text, seen) if text != "" else ():
                    if isinstance(event, tuple):
                        lines.append(number)
                        rows.append(event)
                    elif isinstance(event, _Skipped):
                        skipped[event] += 1
                    else:
                        unreadable.append(Unreadable(number, event, batch.source))
            columns = zip(*rows, strict=True) if rows else ([] for _ in _FIELDS)
            yield RecordBatch(
                batch.source,
                lines,
                dict(zip(_FIELDS, columns, strict=True)),
                unreadable,
                skipped=dict(skipped),
            )


class _Skipped(str):
    """Why an event of resilience4j, or a line, is not a call."""

    __slots__ = ()


class _SeenEvents:
    """Finds events that two loggers wrote: resilience4j's own and its user's.

    Two events of the same text, as may happen within a millisecond, are two if the same logger
    wrote both: each logger writes each event once.
    """

    def __init__(self) -> None:
        self._recent: dict[str, Counter[str]] = {}
        self._older: dict[str, Counter[str]] = {}

    def is_new(self, event: str, before: str) -> bool:
        """Return whether an event was not yet written by another logger.

        Args:
            event: The text of the event.
            before: The text before it on the line, which shows which logger wrote it.
        """
        logger = "published" if before.endswith(_PUBLISHED) else "after a prefix" if before else ""
        counts = self._recent.get(event)
        if counts is None:
            counts = self._older.get(event, Counter())
            if len(self._recent) >= _MAX_REMEMBERED:
                self._older, self._recent = self._recent, {}
            self._recent[event] = counts
        most = max(counts.values(), default=0)
        counts[logger] += 1
        return counts[logger] > most


def _events_in(text: str | None, seen: _SeenEvents) -> Iterator[tuple[Any, ...] | _Skipped | str]:
    if text is None:
        yield TOO_LONG
        return
    if text.lstrip()[:1] in ("{", "["):
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
            pass  # a logger may write its thread in brackets
        else:
            yield from _rows_of_json(value)
            return
    found = EVENT.search(text)
    if found is not None:
        yield _row_of_text(found, seen)
    elif "CircuitBreaker '" in text:
        yield "the event has no time with a zone"
    else:
        yield _Skipped("lines that are no events")


def _row_of_text(found: "re.Match[str]", seen: _SeenEvents) -> tuple[Any, ...] | _Skipped | str:
    text = found["what"]
    kind = next((kind for start, kind in _TYPES.items() if text.startswith(start)), None)
    if kind is None:
        return f"the type of the event is not known: {text[:60]!r}"
    if not seen.is_new(found[0], found.string[: found.start()]):
        return _Skipped("events that are written twice")
    if kind not in _CALLS:
        return _Skipped(f"events {kind}")
    elapsed = _ELAPSED.search(text)
    error = _ERROR.search(text)
    return (
        found["breaker"],
        found["time"],
        elapsed[1] if elapsed else "0",
        kind,
        error[1] if error else kind,
    )


def _rows_of_json(value: Any) -> Iterator[tuple[Any, ...] | _Skipped | str]:
    events = value.get("circuitBreakerEvents", value) if isinstance(value, dict) else value
    for event in events if isinstance(events, list) else [events]:
        if not isinstance(event, dict):
            yield f"it is not an event: {str(event)[:60]}"
            continue
        yield _row_of_object(event)


def _row_of_object(event: Mapping[str, Any]) -> tuple[Any, ...] | _Skipped | str:
    kind = str(event.get("type"))
    if kind not in _CALLS:
        return _Skipped(f"events {kind[:40]}")
    at, took, name = (event.get(k) for k in ("creationTime", "durationInMs", "circuitBreakerName"))
    if not isinstance(at, str) or not isinstance(name, str):
        return "the event has no circuitBreakerName or no creationTime"
    if took is not None and not isinstance(took, int):
        return f"durationInMs of the event is {took!r}, which is not an integer"
    message = event.get("errorMessage")
    error = message if isinstance(message, str) and message else kind
    return name, at.partition("[")[0], took or 0, kind, error
