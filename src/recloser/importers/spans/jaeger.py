"""Parser of Jaeger's spans, from its API, its interface and Elasticsearch."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from recloser.importers.spans.span import Span
from recloser.importers.spans.span_shapes import (
    BROKEN,
    UnreadableSpan,
    documents_inside,
    error_text,
)

_NS_PER_US: Final = 1000
_WRAPPERS: Final = ("data", "hits", "_source")


def jaeger_spans(text: str, kinds: Sequence[str]) -> Iterator[Span | UnreadableSpan | str]:
    """Yield the spans in a JSON value.

    Args:
        text: The JSON value.
        kinds: The kinds of spans to yield; for a span of another kind, only the kind is yielded.
    """
    for document in documents_inside(msgspec.json.decode(text), _WRAPPERS, "Jaeger"):
        if isinstance(document, UnreadableSpan):
            yield document
        else:
            yield from _spans(document, kinds)


def _spans(value: Mapping[str, Any], kinds: Sequence[str]) -> Iterator[Span | UnreadableSpan | str]:
    if "operationName" in value or "startTime" in value:
        yield _one(value, {}, kinds)
        return
    try:
        processes = value.get("processes") or {}
        services = {name: _service(process) for name, process in processes.items()}
        for span in value["spans"] or ():
            yield _one(span, services, kinds)
    except BROKEN as error:
        yield UnreadableSpan(f"it is not a trace of Jaeger: {error_text(error)}")


def _one(
    span: Any, services: Mapping[str, str], kinds: Sequence[str]
) -> Span | UnreadableSpan | str:
    try:
        tags = _tags(span)
        kind = tags.get("span.kind", "").lower() or "unspecified"
        if kind not in kinds:
            return kind
        start = int(span["startTime"]) * _NS_PER_US
        service = services.get(span.get("processID", ""))
        status = tags.get("otel.status_code") or tags.get("status.code", "")
        return Span(
            trace=str(span.get("traceID", "")),
            id=str(span.get("spanID", "")),
            parent=_parent(span),
            service=_service(span.get("process") or {}) if service is None else service,
            name=str(span.get("operationName", "")),
            kind=kind,
            start=start,
            end=None
            if span.get("duration") is None
            else start + int(span["duration"]) * _NS_PER_US,
            is_error=tags.get("error", "").lower() == "true" or status == "ERROR",
            attributes=tags,
            exception=_exception(span.get("logs") or ()),
        )
    except BROKEN as error:
        return UnreadableSpan(f"a span cannot be read: {error_text(error)}")


def _tags(span: Mapping[str, Any]) -> dict[str, str]:
    tags = {tag["key"]: _text(tag.get("value")) for tag in span.get("tags") or ()}
    # Elasticsearch allows no points in names of fields, so Jaeger writes @ instead.
    for key, value in (span.get("tag") or {}).items():
        tags.setdefault(key.replace("@", "."), _text(value))
    return tags


def _service(process: Mapping[str, Any]) -> str:
    return str(process.get("serviceName", ""))


def _parent(span: Mapping[str, Any]) -> str:
    for reference in span.get("references") or ():
        if reference.get("refType", "CHILD_OF") == "CHILD_OF":
            return str(reference.get("spanID", ""))
    return str(span.get("parentSpanID") or "")


def _exception(logs: Sequence[Any]) -> str | None:
    for log in logs:
        fields = {field["key"]: _text(field.get("value")) for field in log.get("fields") or ()}
        found = fields.get("exception.type") or fields.get("error.kind")
        if found:
            return found
    return None


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
