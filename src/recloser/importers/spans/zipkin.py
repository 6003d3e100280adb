"""Parser of Zipkin's spans in JSON, versions 1 and 2.

A file has arrays of spans or of traces, or one span per line.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from recloser.importers.spans.span import CLIENT, PRODUCER, SERVER, Span
from recloser.importers.spans.span_shapes import BROKEN, UnreadableSpan, error_text

_NS_PER_US: Final = 1000
_SIDES: Final = (
    (CLIENT, "cs", "cr"),
    (SERVER, "sr", "ss"),
    (PRODUCER, "ms", ""),
    ("consumer", "mr", ""),
)
"""The kind of a span of version 1, and the annotations that mark its start and its end."""


def zipkin_spans(text: str, kinds: Sequence[str]) -> Iterator[Span | UnreadableSpan | str]:
    """Yield the spans in a JSON value.

    Args:
        text: The JSON value.
        kinds: The kinds of spans to yield; for a span of another kind, only the kind is yielded.
    """
    pending = [msgspec.json.decode(text)]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending.extend(reversed(value))
            continue
        try:
            if isinstance(value.get("spans"), list):
                pending.append(value["spans"])
            elif "binaryAnnotations" in value or (
                "kind" not in value and _has_sides(value.get("annotations") or ())
            ):
                yield from _of_version_1(value, kinds)
            else:
                yield _of_version_2(value, kinds)
        except BROKEN as error:
            yield UnreadableSpan(f"a span cannot be read: {error_text(error)}")


def _of_version_2(span: Mapping[str, Any], kinds: Sequence[str]) -> Span | str:
    kind = str(span.get("kind") or "unspecified").lower()
    if kind not in kinds:
        return kind
    tags = {str(key): _text(value) for key, value in (span.get("tags") or {}).items()}
    _add_remote(tags, span.get("remoteEndpoint") or {})
    # A server's span that shares the client's id often has no time of its own.
    start = int(span["timestamp"] if kind != SERVER else span.get("timestamp") or 0) * _NS_PER_US
    return _span(
        span,
        kind,
        start,
        span.get("duration"),
        tags,
        service=str((span.get("localEndpoint") or {}).get("serviceName") or ""),
        is_shared=bool(span.get("shared")),
    )


def _of_version_1(span: Mapping[str, Any], kinds: Sequence[str]) -> Iterator[Span | str]:
    """Yield the client's and the server's part of a span, which holds both."""
    annotated = {a["value"]: a for a in span.get("annotations") or () if "value" in a}
    tags = {str(key): _text(value) for key, value in (span.get("tags") or {}).items()}
    addresses: dict[str, Mapping[str, Any]] = {}
    services: list[str] = []
    for binary in span.get("binaryAnnotations") or ():
        endpoint = binary.get("endpoint") or {}
        if binary["key"] in ("sa", "ca"):
            addresses[binary["key"]] = endpoint
        else:
            tags.setdefault(str(binary["key"]), _text(binary.get("value")))
            services.append(str(endpoint.get("serviceName") or ""))
    sides = [side for side in _SIDES if side[1] in annotated or (side[2] and side[2] in annotated)]
    if not sides:
        kind = "internal"
        if "sa" in addresses and "ca" not in addresses:
            kind = CLIENT  # such as a span of a database, of which only the address is known
        sides = [(kind, "", "")]
    for kind, start_mark, end_mark in sides:
        if kind not in kinds:
            yield kind
            continue
        first, last = annotated.get(start_mark), annotated.get(end_mark)
        endpoint = ((first or last or {}).get("endpoint")) or span.get("localEndpoint") or {}
        start = span.get("timestamp") if first is None else first["timestamp"]
        duration = span.get("duration")
        if first is not None and last is not None:
            duration = int(last["timestamp"]) - int(first["timestamp"])
        own_tags = dict(tags)
        if kind == CLIENT:
            server = annotated.get("sr") or annotated.get("ss") or {}
            remote = addresses.get("sa") or server.get("endpoint") or span.get("remoteEndpoint")
            _add_remote(own_tags, remote or {})
        yield _span(
            span,
            kind,
            int(start or 0) * _NS_PER_US if kind == SERVER else int(_needed(start)) * _NS_PER_US,
            duration,
            own_tags,
            service=str(endpoint.get("serviceName") or next(filter(None, services), "")),
            is_shared=kind == SERVER and "cs" not in annotated,
        )


def _span(
    span: Mapping[str, Any],
    kind: str,
    start: int,
    duration: Any,
    tags: dict[str, str],
    *,
    service: str,
    is_shared: bool,
) -> Span:
    return Span(
        trace=str(span.get("traceId", "")),
        id=str(span.get("id", "")),
        parent=str(span.get("parentId") or ""),
        service=service,
        name=str(span.get("name") or ""),
        kind=kind,
        start=start,
        end=None if duration is None else start + int(duration) * _NS_PER_US,
        is_error=tags.get("error", "false") != "false" or tags.get("otel.status_code") == "ERROR",
        attributes=tags,
        is_shared=is_shared,
    )


def _has_sides(annotations: Sequence[Any]) -> bool:
    names = {name for side in _SIDES for name in side[1:] if name}
    return any(isinstance(each, dict) and each.get("value") in names for each in annotations)


def _add_remote(tags: dict[str, str], remote: Mapping[str, Any]) -> None:
    if remote.get("serviceName"):
        tags.setdefault("peer.service", str(remote["serviceName"]))
    if address := remote.get("ipv4") or remote.get("ipv6"):
        tags.setdefault("network.peer.address", str(address))


def _needed(timestamp: Any) -> Any:
    if timestamp is None:
        raise KeyError("timestamp")
    return timestamp


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
