"""Spans of SkyWalking: what its query service answers to ``queryTrace``."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from recloser.importers.spans.shape import BROKEN, Bad, documents_in, told
from recloser.importers.spans.span import CLIENT, SERVER, Span

_NS_PER_MS: Final = 1_000_000
_KINDS: Final = {"exit": CLIENT, "entry": SERVER, "local": "internal"}
_NAMES: Final = {
    "status_code": "http.status_code",
    "url": "http.url",
    "http.params": "http.params",
    "db.type": "db.system",
    "mq.broker": "net.peer.name",
}
"""The names that its agents give to tags, by those that are read of other spans too."""

_WRAPPERS: Final = ("data", "trace", "queryTrace", "spans")


def spans_of_skywalking(text: str, kinds: Sequence[str]) -> Iterator[Span | Bad | str]:
    """The spans in a value of JSON; of kinds other than these, only the kind."""
    for document in documents_in(msgspec.json.decode(text), _WRAPPERS, "SkyWalking"):
        yield document if isinstance(document, Bad) else _one(document, kinds)


def _one(span: Mapping[str, Any], kinds: Sequence[str]) -> Span | Bad | str:
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
        return Bad(f"a span can't be read: {told(error)}")


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
