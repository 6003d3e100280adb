"""Parser of SkyWalking's spans, as its query service answers ``queryTrace``."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from recloser.importers.spans.span import CLIENT, SERVER, Span
from recloser.importers.spans.span_shapes import (
    BROKEN,
    UnreadableSpan,
    documents_inside,
    error_text,
)

_NS_PER_MS: Final = 1_000_000
_KINDS: Final = {"exit": CLIENT, "entry": SERVER, "local": "internal"}
_NAMES: Final = {
    "status_code": "http.status_code",
    "url": "http.url",
    "http.params": "http.params",
    "db.type": "db.system",
    "mq.broker": "net.peer.name",
}
"""Names of attributes of other tracers, and the tags of SkyWalking's agents that mean the same."""

_WRAPPERS: Final = ("data", "trace", "queryTrace", "spans")


def skywalking_spans(text: str, kinds: Sequence[str]) -> Iterator[Span | UnreadableSpan | str]:
    """Yield the spans in a JSON value.

    Args:
        text: The JSON value.
        kinds: The kinds of spans to yield; for a span of another kind, only the kind is yielded.
    """
    for document in documents_inside(msgspec.json.decode(text), _WRAPPERS, "SkyWalking"):
        yield document if isinstance(document, UnreadableSpan) else _one(document, kinds)


def _one(span: Mapping[str, Any], kinds: Sequence[str]) -> Span | UnreadableSpan | str:
    try:
        said = str(span["type"]).lower()
        kind = _KINDS.get(said, said)
        if kind not in kinds:
            return kind
        tags = {
            _NAMES.get(tag["key"], str(tag["key"])): str(tag.get("value"))
            for tag in span.get("tags") or ()
        }
        if kind == CLIENT and span.get("peer"):
            tags.setdefault("peer.service", str(span["peer"]))
        end = span.get("endTime")
        return Span(
            trace=str(span.get("traceId", "")),
            id=f"{span.get('segmentId', '')}-{span.get('spanId', '')}",
            parent=_parent(span),
            service=str(span.get("serviceCode") or ""),
            name=str(span.get("endpointName") or ""),
            kind=kind,
            start=int(span["startTime"]) * _NS_PER_MS,
            end=None if not end else int(end) * _NS_PER_MS,
            is_error=span.get("isError") is True,
            attributes=tags,
            exception=_exception(span.get("logs") or ()),
        )
    except BROKEN as error:
        return UnreadableSpan(f"a span cannot be read: {error_text(error)}")


def _parent(span: Mapping[str, Any]) -> str:
    for reference in span.get("refs") or ():
        return f"{reference.get('parentSegmentId', '')}-{reference.get('parentSpanId', '')}"
    before = span.get("parentSpanId", -1)
    return "" if before == -1 else f"{span.get('segmentId', '')}-{before}"


def _exception(logs: Sequence[Any]) -> str | None:
    for log in logs:
        for field in log.get("data") or ():
            if field.get("key") == "error.kind":
                return str(field.get("value"))
    return None
