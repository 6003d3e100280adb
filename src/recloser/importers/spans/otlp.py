"""Parser of OTLP spans in JSON.

It reads the JSON of the collector, of Tempo's API (versions 1 and 2), and of Java's logger.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from recloser.importers.spans.span import CLIENT, PRODUCER, SERVER, Span
from recloser.importers.spans.span_shapes import BROKEN, UnreadableSpan, error_text

_KINDS: Final = ("unspecified", "internal", SERVER, CLIENT, PRODUCER, "consumer")
_KIND_NAMES: Final[dict[int | str, str]] = {
    **dict(enumerate(_KINDS)),
    **{str(number): kind for number, kind in enumerate(_KINDS)},
    **{f"SPAN_KIND_{kind.upper()}": kind for kind in _KINDS},
}
_ERRORS: Final = (2, "2", "STATUS_CODE_ERROR")
_NO_ATTRIBUTES: Final[dict[str, str]] = {}


class _Value(msgspec.Struct, gc=False):
    stringValue: str | None = None  # noqa: N815  # OTLP's names
    intValue: int | str | None = None  # noqa: N815
    doubleValue: float | str | None = None  # noqa: N815
    boolValue: bool | None = None  # noqa: N815


class _Pair(msgspec.Struct, gc=False):
    key: str
    value: _Value | None = None


class _Status(msgspec.Struct, gc=False):
    code: int | str = 0


class _Event(msgspec.Struct, gc=False):
    name: str = ""
    attributes: list[_Pair] | None = None


class _Span(msgspec.Struct, gc=False):
    traceId: str = ""  # noqa: N815
    spanId: str = ""  # noqa: N815
    parentSpanId: str | None = None  # noqa: N815
    name: str = ""
    kind: int | str = 0
    startTimeUnixNano: int | str | None = None  # noqa: N815
    endTimeUnixNano: int | str | None = None  # noqa: N815
    attributes: list[_Pair] | None = None
    status: _Status | None = None
    events: list[_Event] | None = None


class _Scope(msgspec.Struct, gc=False):
    spans: list[_Span] | None = None


class _Attributes(msgspec.Struct, gc=False):
    attributes: list[_Pair] | None = None


class _Resource(msgspec.Struct, gc=False):
    resource: _Attributes | None = None
    scopeSpans: list[_Scope] | None = None  # noqa: N815
    instrumentationLibrarySpans: list[_Scope] | None = None  # noqa: N815


class _Document(_Resource, gc=False):
    """Top of a JSON value: resources, a single one, or an API's answer around them."""

    resourceSpans: list[_Resource] | None = None  # noqa: N815
    batches: list[_Resource] | None = None
    trace: "_Document | None" = None
    result: "_Document | None" = None


_decode: Final = msgspec.json.Decoder(_Document).decode


def otlp_spans(text: str, kinds: Sequence[str]) -> Iterator[Span | UnreadableSpan | str]:
    """Yield the spans in a JSON value.

    Args:
        text: The JSON value.
        kinds: The kinds of spans to yield; for a span of another kind, only the kind is yielded.

    Raises:
        ValueError: The value holds no spans of OTLP.
    """
    try:
        document = _decode(text)
    except msgspec.ValidationError:
        yield from _spans_one_by_one(msgspec.json.decode(text), kinds)
        return
    for resource in _resources(document):
        service = _service(resource)
        for scope in resource.scopeSpans or resource.instrumentationLibrarySpans or ():
            for span in scope.spans or ():
                yield _span_of(span, service, kinds)


def _resources(document: _Document) -> Sequence[_Resource]:
    inner = document.trace or document.result
    if inner is not None:
        return _resources(inner)
    found = document.resourceSpans if document.batches is None else document.batches
    if found is not None:
        return found
    if document.scopeSpans is None and document.instrumentationLibrarySpans is None:
        raise ValueError("it has no resourceSpans")
    return [document]


def _span_of(span: _Span, service: str, kinds: Sequence[str]) -> Span | UnreadableSpan | str:
    kind = _KIND_NAMES.get(span.kind)
    if kind is None:
        return UnreadableSpan(f"a span cannot be read: there is no kind {span.kind}")
    if kind not in kinds:
        return kind
    try:
        if span.startTimeUnixNano is None:
            return UnreadableSpan("a span cannot be read: startTimeUnixNano is missing")
        end = int(span.endTimeUnixNano or 0)
        is_error = span.status is not None and span.status.code in _ERRORS
        return Span(
            span.traceId,
            span.spanId,
            span.parentSpanId or "",
            service,
            span.name,
            kind,
            int(span.startTimeUnixNano),
            end or None,
            is_error,
            _NO_ATTRIBUTES if kind == SERVER else _texts(span.attributes or ()),
            _exception(span.events) if span.events else None,
        )
    except ValueError as error:
        return UnreadableSpan(f"a span cannot be read: {error_text(error)}")


def _texts(pairs: Sequence[_Pair]) -> dict[str, str]:
    return {
        pair.key: value.stringValue if value.stringValue is not None else _text(value)
        for pair in pairs
        if (value := pair.value) is not None
    }


def _text(value: _Value) -> str:
    """Return an attribute other than a string as text; empty for arrays and maps."""
    if value.intValue is not None:
        return str(value.intValue)
    if value.boolValue is not None:
        return "true" if value.boolValue else "false"
    return "" if value.doubleValue is None else str(value.doubleValue)


def _service(resource: _Resource) -> str:
    pairs = resource.resource.attributes if resource.resource is not None else None
    return next((_texts([p]).get(p.key, "") for p in pairs or () if p.key == "service.name"), "")


def _exception(events: Sequence[_Event]) -> str | None:
    for event in events:
        if event.name == "exception":
            return _texts(event.attributes or ()).get("exception.type")
    return None


def _spans_one_by_one(document: Any, kinds: Sequence[str]) -> Iterator[Span | UnreadableSpan | str]:
    """Yield the spans of a document of unexpected shape.

    Each bad span is reported by itself.
    """
    if isinstance(document, list):
        for element in document:
            yield from _spans_one_by_one(element, kinds)
        return
    try:
        for resource in _plain_resources(document):
            service = _service(msgspec.convert({"resource": resource.get("resource")}, _Resource))
            scopes = resource.get("scopeSpans") or resource.get("instrumentationLibrarySpans") or ()
            for span in (span for scope in scopes for span in scope.get("spans", ())):
                try:
                    yield _span_of(msgspec.convert(span, _Span), service, kinds)
                except msgspec.ValidationError as error:
                    yield UnreadableSpan(f"a span cannot be read: {error}")
    except BROKEN as error:
        yield UnreadableSpan(f"it has no spans of OTLP: {error_text(error)}")


def _plain_resources(document: Any) -> Any:
    for key in ("trace", "result"):
        if isinstance(document.get(key), dict):
            return _plain_resources(document[key])
    for key in ("batches", "resourceSpans"):
        if key in document:
            return document[key]
    if "scopeSpans" not in document and "instrumentationLibrarySpans" not in document:
        raise ValueError("it has no resourceSpans")
    return [document]
