"""``recloser import otlp``, ``jaeger`` and ``zipkin``: calls from the client spans of a trace."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from recloser.cli.commands.import_options import format_options, import_as, producers_option
from recloser.importers.import_request import ImportRequest
from recloser.importers.mapping.call_options import CallOptions
from recloser.importers.outcomes.outcome_rules import UserRules

_DEFAULT_BREAKER: Final = "{caller}->{target}"
_span_options: Final = format_options(_DEFAULT_BREAKER, failures=())


@click.command("otlp", short_help="OTLP, as the OpenTelemetry collector or Tempo write it.")
@_span_options
@producers_option
def otlp(**options: Any) -> int:
    """Import calls from the client spans of an OTLP trace, in JSON or protobuf.

    The gRPC status of a span decides whether the call failed; without one, the HTTP status; without
    that, the status of the span. (It comes last because clients set it to an error for HTTP 4xx too,
    which is not a failure of the service.) A --breaker template can name caller, target, route,
    method, name and any attribute.
    """
    return _import_spans("otlp", **options)


@click.command("jaeger", short_help="Jaeger's JSON.")
@_span_options
@producers_option
def jaeger(**options: Any) -> int:
    """Import calls from the client spans of a trace in Jaeger's JSON.

    The gRPC status of a span decides whether the call failed; without one, the HTTP status; without
    that, the error tag. A --breaker template can name caller, target, route, method, name and any
    tag.
    """
    return _import_spans("jaeger", **options)


@click.command("zipkin", short_help="Zipkin's JSON, versions 1 and 2.")
@_span_options
@producers_option
def zipkin(**options: Any) -> int:
    """Import calls from the client spans of a trace in Zipkin's JSON, version 1 or 2.

    The gRPC status of a span decides whether the call failed; without one, the HTTP status; without
    that, the error tag. A --breaker template can name caller, target, route, method, name and any
    tag.
    """
    return _import_spans("zipkin", **options)


def _import_spans(
    format_: str,
    *,
    file: str,
    out: Path,
    breaker: str,
    failures: Sequence[str],
    ignored: Sequence[str],
    labels: Sequence[str],
    producers: bool,
    **result: Any,
) -> int:
    request = ImportRequest(
        format=format_,
        user_rules=UserRules(failed=failures, ignored=ignored),
        options=CallOptions(breaker=breaker, labels=labels),
        producers=producers,
    )
    return import_as(request, file, out, **result)
