"""Shapes of documents with spans, and the results of the parsers of spans."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeAlias

import msgspec
from attrs import frozen

from recloser.importers.spans.span import Span

BROKEN: Final = (ValueError, TypeError, LookupError, AttributeError, OverflowError)
"""Errors from JSON that does not have the expected shape."""

MALFORMED: Final = (msgspec.DecodeError, RecursionError, UnicodeEncodeError)
"""Errors from text that is not JSON."""

_LOOKED_AT: Final = 1 << 16


@frozen
class UnreadableSpan:
    """A span, or a document that should hold spans, that cannot be read.

    Attributes:
        why: The reason, for the user.
    """

    why: str


SpanParser: TypeAlias = Callable[[str, Sequence[str]], Iterator[Span | UnreadableSpan | str]]
"""Yields the spans in a JSON value; of spans of kinds that are not asked for, only the kind."""


def documents_inside(
    value: object, wrappers: Sequence[str], tracer: str
) -> Iterator[dict[str, Any] | UnreadableSpan]:
    """Yield the objects in a JSON value that hold spans.

    Args:
        value: The JSON value.
        wrappers: The keys under which an object holds such objects.
        tracer: The name of the tracer that should have written the value, for error messages.
    """
    if isinstance(value, list):
        for element in value:
            yield from documents_inside(element, wrappers, tracer)
        return
    if not isinstance(value, dict):
        yield UnreadableSpan(f"it is not a trace of {tracer}: {str(value)[:60]}")
        return
    for key in wrappers:
        if isinstance(value.get(key), list | dict):
            yield from documents_inside(value[key], wrappers, tracer)
            return
    yield value


def error_text(error: Exception) -> str:
    """Return the message of an error; for a missing key, that it is missing."""
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)


_SHAPES: Final = (
    ("otlp", (r'"(?:resourceSpans|scopeSpans|instrumentationLibrarySpans)"',)),
    ("otlp", (r'"batches"\s*+:\s*+\[\s*+(?:\]|\{\s*+"resource")',)),
    ("jaeger", (r'"spanID"', r'"operationName"')),
    ("jaeger", (r'"operationName"', r'"span[.@]kind"')),
    ("skywalking", (r'"segmentId"', r'"(?:serviceCode|endpointName)"')),
    ("zipkin", (r'"traceId"', r'"(?:localEndpoint|remoteEndpoint|binaryAnnotations)"')),
    ("resilience4j", (r'"circuitBreakerEvents"',)),
    ("resilience4j", (r'"circuitBreakerName"', r'"creationTime"')),
)
"""Keys that all documents of a format have, by its name; loggers also write single spans or events."""

_PATTERNS: Final = [
    (name, [re.compile(rf"{key}\s*+[:,}}]" if key.endswith('"') else key) for key in keys])
    for name, keys in _SHAPES
]


def shape_of_text(text: str) -> str | None:
    """Return the format whose documents have the keys of a text, or None."""
    beginning = text[:_LOOKED_AT]
    for name, patterns in _PATTERNS:
        if all(pattern.search(beginning) for pattern in patterns):
            return name
    return None
