"""Calls out of Zipkin's JSON, version 2: arrays of spans, or of traces, or one span a line."""

from collections.abc import Iterator, Mapping
from typing import IO, Any, Final

from recloser.importers.documents import MALFORMED, values_of
from recloser.importers.spans import Span, SpanMapping, call_of
from recloser.importers.trace import ObservedCall, Skipped, Unreadable

_NS_PER_US: Final = 1000


def read_zipkin(
    text: IO[str], mapping: SpanMapping
) -> Iterator[ObservedCall | Unreadable | Skipped]:
    """The calls in the spans of clients, and what can't be read."""
    for value in values_of(text, "spans"):
        if isinstance(value, Unreadable):
            yield value
            continue
        line, data = value
        for span in _spans(data):
            try:
                yield call_of(_span(span), mapping, line)
            except MALFORMED as error:
                yield Unreadable(line, f"a span can't be read: {error}")


def _spans(data: Any) -> Iterator[Any]:
    """The spans of a span, of a trace, or of several."""
    pending = [data]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending.extend(reversed(value))
        else:
            yield value


def _span(span: Mapping[str, Any]) -> Span:
    attributes = {str(key): str(value) for key, value in (span.get("tags") or {}).items()}
    remote = span.get("remoteEndpoint") or {}
    if remote.get("serviceName"):
        attributes.setdefault("peer.service", str(remote["serviceName"]))
    if address := remote.get("ipv4") or remote.get("ipv6"):
        attributes.setdefault("network.peer.address", str(address))
    start = int(span["timestamp"]) * _NS_PER_US
    return Span(
        service=str((span.get("localEndpoint") or {}).get("serviceName", "")),
        name=str(span.get("name", "")),
        kind=str(span.get("kind", "")).lower(),
        start=start,
        # Where the duration is left out, it was too short to be told.
        end=start + int(span.get("duration") or 0) * _NS_PER_US,
        is_error="error" in attributes or attributes.get("otel.status_code") == "ERROR",
        attributes=attributes,
    )
