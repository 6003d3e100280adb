"""What the readers of spans give, and how the shape of their documents is told."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeAlias

import msgspec
from attrs import frozen

from recloser.importers.spans.span import Span

BROKEN: Final = (ValueError, TypeError, LookupError, AttributeError, OverflowError)
"""What comes of reading JSON that has not the shape that it should."""

MALFORMED: Final = (msgspec.DecodeError, RecursionError, UnicodeEncodeError)
"""What comes of reading text that is no JSON."""

_LOOKED_AT: Final = 1 << 16


@frozen
class Bad:
    """A span, or what should hold some, that can't be read.

    Attributes:
        why: Why not.
    """

    why: str


SpansOf: TypeAlias = Callable[[str, Sequence[str]], Iterator[Span | Bad | str]]
"""Gives the spans in a value of JSON: those of some kinds whole, of others their kind only."""


def documents_in(
    value: object, wrappers: Sequence[str], tracer: str
) -> Iterator[dict[str, Any] | Bad]:
    """The objects in a value of JSON, taken out of lists and of objects that only hold others.

    Args:
        value: The value.
        wrappers: The keys under which an object holds others.
        tracer: Whose documents they should be, by name.
    """
    if isinstance(value, list):
        for element in value:
            yield from documents_in(element, wrappers, tracer)
        return
    if not isinstance(value, dict):
        yield Bad(f"it holds no trace of {tracer}: {str(value)[:60]}")
        return
    for key in wrappers:
        if isinstance(value.get(key), list | dict):
            yield from documents_in(value[key], wrappers, tracer)
            return
    yield value


def told(error: Exception) -> str:
    """What an error says, in words."""
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
"""By the names of formats, what is in all of their documents; loggers write single ones of them too."""

_PATTERNS: Final = [
    (name, [re.compile(rf"{key}\s*+[:,}}]" if key.endswith('"') else key) for key in keys])
    for name, keys in _SHAPES
]


def shape_in(text: str) -> str | None:
    """The name of the format whose documents have the keys that this text has; None for no such one."""
    beginning = text[:_LOOKED_AT]
    for name, patterns in _PATTERNS:
        if all(pattern.search(beginning) for pattern in patterns):
            return name
    return None
