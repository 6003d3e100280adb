"""Spans of Jaeger's JSON: of its API, its interface, its documents in Elasticsearch, or one trace."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from recloser.importers.spans.shape import BROKEN, Bad, documents_in, told
from recloser.importers.spans.span import Span

_NS_PER_US: Final = 1000
_WRAPPERS: Final = ("data", "hits", "_source")


def spans_of_jaeger(text: str, kinds: Sequence[str]) -> Iterator[Span | Bad | str]:
    """The spans in a value of JSON; of kinds other than these, only the kind."""
    for document in documents_in(msgspec.json.decode(text), _WRAPPERS, "Jaeger"):
        if isinstance(document, Bad):
            yield document
        else:
            yield from _spans(document, kinds)


def _spans(value: Mapping[str, Any], kinds: Sequence[str]) -> Iterator[Span | Bad | str]:
    if "operationName" in value or "startTime" in value:
        yield _one(value, {}, kinds)
        return
    try:
        processes = value.get("processes") or {}
        services = {name: _service(process) for name, process in processes.items()}
        for span in value["spans"] or ():
            yield _one(span, services, kinds)
    except BROKEN as error:
        yield Bad(f"it holds no trace of Jaeger: {told(error)}")


def _one(span: Any, services: Mapping[str, str], kinds: Sequence[str]) -> Span | Bad | str:
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
        return Bad(f"a span can't be read: {told(error)}")


def _tags(span: Mapping[str, Any]) -> dict[str, str]:
    tags = {tag["key"]: _text(tag.get("value")) for tag in span.get("tags") or ()}
    # Elasticsearch has no points in names of fields, so Jaeger writes @ there.
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
