"""Spans: what the calls of clients look like in OpenTelemetry, Jaeger and Zipkin alike.

Attributes have had other names in older semantic conventions; all are read, the newest first.
"""

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from attrs import field, frozen

from recloser.events import Outcome
from recloser.importers.fields import BreakerTemplate, OutcomeRule
from recloser.importers.trace import ObservedCall, Skipped, Unreadable

FAILURES: Final = (
    "5xx",
    "ERROR",
    "UNKNOWN",
    "DEADLINE_EXCEEDED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
)
"""What counts as failed: HTTP and gRPC status, or ``ERROR`` where a span has neither."""

_TARGETS: Final = ("service.peer.name", "peer.service", "server.address", "net.peer.name")
_URLS: Final = ("url.full", "http.url")
_SYSTEMS: Final = (
    "rpc.service",
    "db.system.name",
    "db.system",
    "messaging.system",
    "network.peer.address",
    "net.sock.peer.addr",
)
_PORTS: Final = {"server.address": "server.port", "net.peer.name": "net.peer.port"}
_HTTP: Final = ("http.response.status_code", "http.status_code")
_GRPC: Final = ("rpc.response.status_code", "rpc.status_code", "rpc.grpc.status_code")
_METHODS: Final = ("http.request.method", "http.method", "rpc.method")
_GRPC_CODES: Final = [
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
]
_CALLS: Final = ("client", "producer")


@frozen
class Span:
    """A span, from whatever tells of it.

    Attributes:
        service: Who made it: the caller, for the span of a client.
        name: Its own.
        kind: ``client``, ``server`` and so on, in lower case; empty where not told.
        start: In nanoseconds since 1970.
        end: Likewise.
        is_error: Whether its status says so.
        attributes: Its attributes as text.
        exception: The type of an exception that it recorded.
    """

    service: str
    name: str
    kind: str
    start: int
    end: int
    is_error: bool
    attributes: Mapping[str, str]
    exception: str | None = None


@frozen(kw_only=True)
class SpanMapping:
    """What is made of each span.

    Attributes:
        breaker: Names its breaker; ``{caller}``, ``{target}``, ``{route}``, ``{method}``,
            ``{name}`` and the span's attributes are its fields.
        rule: Tells a failure by the status.
        labels: The fields to keep.
        producers: Whether the sending of messages counts as a call too.
    """

    breaker: BreakerTemplate
    rule: OutcomeRule
    labels: Sequence[str] = field(default=())
    producers: bool = False


def call_of(span: Span, mapping: SpanMapping, line: int) -> ObservedCall | Unreadable | Skipped:
    """The call that a span tells of; only spans of clients are calls."""
    if span.kind not in _CALLS[: 1 + mapping.producers]:
        return Skipped(f"{span.kind or 'unspecified'} spans")
    took = span.end - span.start
    if not 0 <= took < 2**63 or not 0 <= span.start < 2**63:
        return Unreadable(line, f"the span {span.name!r} ends before it starts, or out of range")
    fields = _Fields(span)
    try:
        breaker = mapping.breaker.name(fields)
        labels = {name: fields[name] for name in mapping.labels if name in fields}
    except KeyError as error:
        return Unreadable(line, f"the span {span.name!r} has no {error.args[0]}")
    status = status_of(span)
    outcome = mapping.rule(status)
    told = None
    if outcome is not Outcome.SUCCEEDED:
        told = span.attributes.get("error.type") or span.exception or status
    return ObservedCall(breaker, span.start, took, outcome, told, labels)


def status_of(span: Span) -> str:
    """The HTTP status if there is one, or else the name of that of gRPC, or ``ERROR`` or ``OK``.

    A client's span is an error on 4xx too, so the code goes before the status.
    """
    http = _first(span.attributes, _HTTP)
    if http:
        return http
    grpc = _first(span.attributes, _GRPC)
    if grpc:
        is_code = grpc.isdecimal() and int(grpc) < len(_GRPC_CODES)
        return _GRPC_CODES[int(grpc)] if is_code else grpc
    error_type = span.attributes.get("error.type", "")
    if len(error_type) == 3 and error_type.isdecimal():  # noqa: PLR2004  # an HTTP status
        return error_type
    return "ERROR" if span.is_error or error_type else "OK"


class _Fields(dict[str, str]):
    """The fields of a span by name: its attributes, and those made of them."""

    def __init__(self, span: Span) -> None:
        super().__init__(span.attributes)
        method = _first(span.attributes, _METHODS)
        self |= {"caller": span.service, "name": span.name, "method": method}
        self["route"] = span.attributes.get("url.template") or f"{method} {span.name}".strip()
        target = _target(span.attributes)
        if target:
            self["target"] = target


def _target(attributes: Mapping[str, str]) -> str:
    for name in _TARGETS:
        if value := attributes.get(name):
            port = attributes.get(_PORTS.get(name, ""), "")
            return f"{value}:{port}" if port else value
    for name in _URLS:
        if host := _host(attributes.get(name, "")):
            return host
    return _first(attributes, _SYSTEMS)


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        return ""


def _first(attributes: Mapping[str, str], names: Sequence[str]) -> str:
    return next((attributes[name] for name in names if attributes.get(name)), "")
