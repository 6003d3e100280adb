"""Spans of any tracer, and the fields that calls are made from.

Attributes had other names in older semantic conventions. All names are read, the newest first.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import msgspec

CLIENT: Final = "client"
PRODUCER: Final = "producer"
SERVER: Final = "server"

_NO_SERVICE: Final = "unknown_service"  # the default name of OpenTelemetry's SDKs
_TARGETS: Final = ("service.peer.name", "peer.service", "server.address", "net.peer.name")
_PORTS: Final = {"server.address": "server.port", "net.peer.name": "net.peer.port"}
_URLS: Final = ("url.full", "http.url")
_SYSTEMS: Final = (
    "rpc.service",
    "db.system.name",
    "db.system",
    "messaging.system",
    "network.peer.address",
    "net.sock.peer.addr",
)
_HTTP: Final = ("http.response.status_code", "http.status_code")
_GRPC: Final = (
    "rpc.response.status_code",
    "rpc.status_code",
    "rpc.grpc.status_code",
    "grpc.status_code",
)
_METHODS: Final = ("http.request.method", "http.method", "rpc.method")
_GRPC_CODES: Final = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)


class Span(msgspec.Struct, gc=False):
    """One operation in a trace, such as a request that a client sent.

    Attributes:
        trace: The id of its trace; empty if that is not known.
        id: Its id, unique within the trace.
        parent: The id of the span that caused it; empty for none.
        service: The service that recorded it: for a client's span, the caller.
        name: Its name.
        kind: ``client``, ``server`` and so on; ``unspecified`` if it has no kind.
        start: When it started, in nanoseconds since 1970.
        end: When it ended, in nanoseconds since 1970; None for a span that has not ended.
        is_error: Whether its status is an error.
        attributes: Its attributes as text.
        exception: The type of an exception that it recorded; None for none.
        is_shared: Whether it is a server's span that has the id of the client's span.
    """

    trace: str
    id: str
    parent: str
    service: str
    name: str
    kind: str
    start: int
    end: int | None
    is_error: bool
    attributes: Mapping[str, str]
    exception: str | None = None
    is_shared: bool = False


FieldGetter: TypeAlias = Callable[[Span], Any]
"""Returns the value of a field of a span; None if the span does not have it."""


def target_in(span: Span) -> str | None:
    """Return what a client's span says that it called; None if it does not say."""
    attributes = span.attributes
    for name in _TARGETS:
        if value := attributes.get(name):
            port = attributes.get(_PORTS.get(name, ""), "")
            return f"{value}:{port}" if port else value
    for name in _URLS:
        if host := _host(attributes.get(name, "")):
            return host
    return _first(attributes, _SYSTEMS)


def _host(url: str) -> str:
    if not url:
        return ""
    try:
        return urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        return ""


def _http(span: Span) -> str | None:
    if code := _first(span.attributes, _HTTP):
        return code
    error_type = span.attributes.get("error.type", "")
    return error_type if len(error_type) == 3 and error_type.isdecimal() else None  # noqa: PLR2004


def _grpc(span: Span) -> str | None:
    code = _first(span.attributes, _GRPC)
    if code is not None and code.isdecimal() and len(code) <= 2:  # noqa: PLR2004  # of two digits
        return _GRPC_CODES[int(code)] if int(code) < len(_GRPC_CODES) else code
    return code


def _status(span: Span) -> str:
    if span.is_error:
        return "ERROR"
    return "OK" if span.end is not None else "UNFINISHED"


def _error_type(span: Span) -> str | None:
    return span.attributes.get("error.type") or span.exception


def _error(span: Span) -> str:
    """Return the name of a failure: the most specific that the span has."""
    named = _error_type(span) or _grpc_unless_ok(span) or _http(span)
    return named or _status(span)


def _grpc_unless_ok(span: Span) -> str | None:
    code = _grpc(span)
    return None if code == "OK" else code


def _method(span: Span) -> str:
    return _first(span.attributes, _METHODS) or ""


def _route(span: Span) -> str:
    template = span.attributes.get("url.template")
    if template:
        return template
    method = _method(span)
    # Span names often begin with the method already.
    return f"{method} {span.name}".strip()


def _took(span: Span) -> int | None:
    return None if span.end is None else span.end - span.start


def _first(attributes: Mapping[str, str], names: Sequence[str]) -> str | None:
    for name in names:
        if value := attributes.get(name):
            return value
    return None


_FIELDS: Final[Mapping[str, FieldGetter]] = {
    "caller": lambda span: span.service or _NO_SERVICE,
    "target": target_in,
    "name": lambda span: span.name,
    "method": _method,
    "route": _route,
    "start": lambda span: span.start,
    "took": _took,
    "http": _http,
    "grpc": _grpc,
    "status": _status,
    "error_type": _error_type,
    "error": _error,
    "trace": lambda span: span.trace,
}


def span_field(name: str) -> FieldGetter:
    """Return the getter of a field: one of those made from spans, or an attribute."""
    if name in _FIELDS:
        return _FIELDS[name]
    return lambda span: span.attributes.get(name)


class SpanFields(Collection[str]):
    """The names of the fields of spans.

    Iteration lists the fields that are made from spans. Every name is contained, as an attribute.
    """

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str)

    def __iter__(self) -> Iterator[str]:
        return iter(_FIELDS)

    def __len__(self) -> int:
        return len(_FIELDS)
