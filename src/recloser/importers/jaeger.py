"""Calls out of Jaeger's JSON: what its interface downloads and its query service answers."""

from collections.abc import Iterator, Mapping
from typing import IO, Any, Final

from recloser.importers.documents import MALFORMED, values_of
from recloser.importers.spans import Span, SpanMapping, call_of
from recloser.importers.trace import ObservedCall, Skipped, Unreadable

_NS_PER_US: Final = 1000


def read_jaeger(
    text: IO[str], mapping: SpanMapping
) -> Iterator[ObservedCall | Unreadable | Skipped]:
    """The calls in the spans of clients, and what can't be read."""
    for value in values_of(text, "data"):
        if isinstance(value, Unreadable):
            yield value
            continue
        line, data = value
        try:
            traces = data.get("data", [data])
            for trace in traces:
                yield from _calls(trace, mapping, line)
        except MALFORMED as error:
            yield Unreadable(line, f"it holds no trace of Jaeger: {error}")


def _calls(
    trace: Any, mapping: SpanMapping, line: int
) -> Iterator[ObservedCall | Unreadable | Skipped]:
    services = {
        name: str(process.get("serviceName", ""))
        for name, process in trace.get("processes", {}).items()
    }
    for span in trace["spans"]:
        try:
            yield call_of(_span(span, services), mapping, line)
        except MALFORMED as error:
            yield Unreadable(line, f"a span can't be read: {error}")


def _span(span: Mapping[str, Any], services: Mapping[str, str]) -> Span:
    tags = {tag["key"]: _text(tag.get("value")) for tag in span.get("tags", ())}
    process = span.get("process") or {}
    service = services.get(span.get("processID", ""), str(process.get("serviceName", "")))
    start = int(span["startTime"]) * _NS_PER_US
    status = tags.get("otel.status_code") or tags.get("status.code", "")
    return Span(
        service=service,
        name=str(span.get("operationName", "")),
        kind=tags.get("span.kind", "").lower(),
        start=start,
        end=start + int(span["duration"]) * _NS_PER_US,
        is_error=tags.get("error", "").lower() == "true" or status == "ERROR",
        attributes=tags,
    )


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
