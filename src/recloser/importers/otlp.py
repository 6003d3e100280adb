"""Calls out of OTLP JSON: what the collector's file exporter writes, one ``TracesData`` a line."""

from collections.abc import Iterator, Mapping
from typing import IO, Any, Final

from recloser.importers.documents import MALFORMED, values_of
from recloser.importers.spans import Span, SpanMapping, call_of
from recloser.importers.trace import ObservedCall, Skipped, Unreadable

_KINDS: Final = ("unspecified", "internal", "server", "client", "producer", "consumer")
_ERROR: Final = 2


def read_otlp(text: IO[str], mapping: SpanMapping) -> Iterator[ObservedCall | Unreadable | Skipped]:
    """The calls in the spans of clients, and what can't be read."""
    for value in values_of(text, "resourceSpans"):
        if isinstance(value, Unreadable):
            yield value
            continue
        line, data = value
        try:
            yield from _calls(data, mapping, line)
        except MALFORMED as error:
            yield Unreadable(line, f"it holds no spans of OTLP: {_told(error)}")


def _calls(
    data: Any, mapping: SpanMapping, line: int
) -> Iterator[ObservedCall | Unreadable | Skipped]:
    if "resourceSpans" not in data and "scopeSpans" not in data:
        raise ValueError("there is no resourceSpans in it")
    for resource in data.get("resourceSpans", [data]):
        service = _attributes(resource.get("resource", {})).get("service.name", "")
        scopes = resource.get("scopeSpans") or resource.get("instrumentationLibrarySpans") or ()
        for scope in scopes:
            for span in scope.get("spans", ()):
                try:
                    yield call_of(_span(span, service), mapping, line)
                except MALFORMED as error:
                    yield Unreadable(line, f"a span can't be read: {_told(error)}")


def _span(span: Mapping[str, Any], service: str) -> Span:
    kind = span.get("kind", 0)
    if isinstance(kind, int) and not 0 <= kind < len(_KINDS):
        raise ValueError(f"there is no kind {kind}")
    status = span.get("status") or {}
    return Span(
        service=service,
        name=str(span.get("name", "")),
        kind=_KINDS[kind] if isinstance(kind, int) else kind.removeprefix("SPAN_KIND_").lower(),
        start=int(span["startTimeUnixNano"]),
        end=int(span["endTimeUnixNano"]),
        is_error=status.get("code") in (_ERROR, "STATUS_CODE_ERROR"),
        attributes=_attributes(span),
        exception=_exception(span),
    )


def _exception(span: Mapping[str, Any]) -> str | None:
    for event in span.get("events", ()):
        if event.get("name") == "exception":
            return _attributes(event).get("exception.type")
    return None


def _attributes(holder: Mapping[str, Any]) -> dict[str, str]:
    return {pair["key"]: _text(pair.get("value")) for pair in holder.get("attributes", ())}


def _text(value: Any) -> str:
    """An ``AnyValue`` as text; arrays and maps are of no use here."""
    for kind in ("stringValue", "intValue", "doubleValue", "boolValue"):
        if value and kind in value:
            return str(value[kind])
    return ""


def _told(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)
