"""``recloser import``: production traces into logs of call outcomes."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs
import click

from recloser import cli
from recloser.cli.commands.import_files import command as files
from recloser.cli.commands.import_files import formats, size_of, slow_ns_of
from recloser.cli.options import json_option
from recloser.cli.render.import_report import (
    print_outcomes,
    report,
    warn_of_many_breakers,
)
from recloser.cli.render.terminal import stages_progress
from recloser.errors import ImportTraceError
from recloser.importers.formats.format_description import TimeField, all_formats
from recloser.importers.import_request import ImportRequest
from recloser.importers.input.inputs import Inputs
from recloser.importers.mapping.call_options import CallOptions
from recloser.importers.outcomes.outcome_rules import UserRules
from recloser.importers.trace_import import TraceImport

_KEYS: Final[Mapping[str, str]] = {
    "start": "start_time",
    "end": "time_iso8601",
    "duration_ms": "duration_ms",
    "duration_s": "duration_s",
    "status": "status",
    "flags": "response_flags",
    "target": "target",
    "method": "method",
    "path": "path",
    "upstream": "upstream",
    "upstream_status": "upstream_status",
    "upstream_s": "upstream_response_time",
}
"""The roles that ``--key`` names, and the fields of JSON that have them."""

_UNITS: Final = ("nano", "ns", "us", "ms", "s")
_FAILURES: Final = ("5xx",)
_IGNORED: Final = ("499",)

F = TypeVar("F", bound=Callable[..., Any])


class _FilesGroup(click.Group):
    """A group that takes a first word which is not a command as a file to look at."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, *ctx.help_option_names):
            args = ["files", *args]
        return super().parse_args(ctx, args)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, "FILE... -o LOG [OPTIONS]")
        formatter.write_usage(ctx.command_path, "COMMAND [ARGS]...", prefix="       ")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show the options of looking at files, which are those of this group to its users."""
        options = [each for each in files.get_params(ctx) if isinstance(each, click.Option)]
        records = [record for each in options if (record := each.get_help_record(ctx))]
        with formatter.section("Options"):
            formatter.write_dl(records)
        self.format_commands(ctx, formatter)


@click.group(cls=_FilesGroup, short_help="Turn production traces into a log of call outcomes.")
def command() -> None:
    """Turn production traces into a log of call outcomes, for replay to drive breakers with.

    The files are looked at; how they are understood is shown, with the full command that says the
    same. Their format can be named instead: recloser import formats lists those that are known.

    FILE may be packed; - is standard input. A line that can't be read is counted and shown, and the
    exit status is then 3.
    """


command.add_command(files)
command.add_command(formats)


def _shared(
    breaker: str | None = None, failures: Sequence[str] = _FAILURES, ignored: Sequence[str] = ()
) -> Callable[[F], F]:
    """The argument and options of every importer, with the defaults that suit it."""

    def decorate(function: F) -> F:
        decorators = (
            click.argument("file", metavar="FILE"),
            click.option(
                "-o", "out", required=True, type=click.Path(path_type=Path), metavar="LOG",
                help="The folder to write the log to; it must not exist.",
            ),
            click.option(
                "--breaker", **({"required": True} if breaker is None else {"default": breaker, "show_default": True}),
                metavar="TEMPLATE",
                help="Names the breaker of a call from its fields, as '{caller}->{target}'.",
            ),
            click.option(
                "--failure", "failures", multiple=True, default=failures, show_default=True,
                metavar="VALUE",
                help="What counts as failed: a value, 5xx, or a range as 500-599; repeatable.",
            ),
            click.option(
                "--ignore", "ignored", multiple=True, default=ignored, show_default=True,
                metavar="VALUE",
                help="What counts as neither, in the form of --failure; repeatable.",
            ),
        )  # fmt: skip
        function = _telling_options(function)
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


_ALL = (
    click.option(
        "--slow", "slow_seconds", type=click.FloatRange(min=0), metavar="SECONDS",
        help="A success that took longer counts as failed; else only slow_call_seconds of a "
        "breaker tells slow calls.",
    ),
    click.option(
        "--label", "labels", multiple=True, metavar="FIELD",
        help="A field to keep with each call; repeatable.",
    ),
    click.option(
        "--unreadable", "shown", type=click.IntRange(min=0), default=20, show_default=True,
        metavar="N", help="How many of the lines that can't be read to show; 0 shows up to 1000.",
    ),
    json_option,
)  # fmt: skip


def _telling_options(function: F) -> F:
    for decorator in reversed(_ALL):
        function = decorator(function)
    return function


@command.command("csv", short_help="A CSV file, by the names of its columns.")
@_shared()
@click.option("--start", required=True, metavar="COLUMN", help="When the call started.")
@click.option("--duration", metavar="COLUMN", help="How long it took; empty is taken as 0.")
@click.option("--outcome", required=True, metavar="COLUMN", help="What tells a failure.")
@click.option("--error", metavar="COLUMN", help="What names a failure; by default the outcome.")
@click.option("--start-unit", type=click.Choice(_UNITS), help="Unless the name ends in it.")
@click.option("--duration-unit", type=click.Choice(_UNITS), help="Likewise.")
def _csv(
    *,
    file: str,
    out: Path,
    breaker: str,
    start: str,
    duration: str | None,
    outcome: str,
    error: str | None,
    failures: Sequence[str],
    ignored: Sequence[str],
    labels: Sequence[str],
    start_unit: str | None,
    duration_unit: str | None,
    **telling: Any,
) -> int:
    """Read calls from a CSV file with a header row.

    Times are numbers whose unit is the end of the column's name (_nano, _ns, _us, _ms or _s), or
    else ISO 8601 with a zone.
    """
    options = CallOptions(
        breaker=breaker,
        start=_role(start, start_unit),
        duration=None if duration is None else _role(duration, duration_unit),
        error=error,
        labels=labels,
    )
    request = ImportRequest(
        format="csv",
        unwrap=(),
        outcome=outcome,
        user_rules=UserRules(failed=failures, ignored=ignored),
        options=options,
    )
    return _import_as(request, file, out, **telling)


def _role(field: str, unit: str | None) -> TimeField:
    return TimeField.parse(field) if unit is None else TimeField(field, unit)


@command.command("access-log", short_help="An access log: combined, Envoy's, or JSON.")
@_shared(ignored=_IGNORED)
@click.option(
    "--format",
    "form",
    type=click.Choice(["combined", "envoy", "json"]),
    default="combined",
    show_default=True,
    help="Envoy's default text, or JSON of any proxy, tell of the upstream.",
)
@click.option(
    "--key", "keys", multiple=True, metavar="ROLE=KEY",
    help=f"For JSON, under which key a role is found; roles are {', '.join(_KEYS)}.",
)  # fmt: skip
def _access_log(
    *,
    file: str,
    out: Path,
    breaker: str,
    failures: Sequence[str],
    ignored: Sequence[str],
    labels: Sequence[str],
    form: str,
    keys: Sequence[str],
    **telling: Any,
) -> int:
    """Read requests from an access log.

    499 is nginx's word for a client that went away. Of Envoy's flags, those about the upstream are
    failures; a call that Envoy itself refused (UO, RL) is kept as one of unknown outcome.
    """
    if keys and form != "json":
        raise ImportTraceError(f"--key is for --format json, not for {form}")
    assigned = _keys(keys)
    named = "apache-combined" if form == "combined" else "json" if assigned else None
    # The defaults are those of the formats, of which flags come before the status.
    user_rules = UserRules(
        failed=() if tuple(failures) == _FAILURES else failures,
        ignored=() if tuple(ignored) == _IGNORED else ignored,
    )
    request = ImportRequest(
        format=named,
        among=() if named else _among(form),
        user_rules=user_rules,
        options=_with_times(CallOptions(breaker=breaker, labels=labels), assigned),
        fields={_KEYS[role]: key for role, key in assigned.items()},
    )
    return _import_as(request, file, out, **telling)


def _among(form: str) -> Sequence[str]:
    """The formats that a value of ``--format`` stands for."""
    if form == "envoy":
        return ["envoy-default", "istio", "istio-before-1.9"]
    return [
        each.name
        for each in all_formats()
        if each.records.get("kind") == "json" and not each.is_abstract
    ]


def _with_times(options: CallOptions, assigned: Mapping[str, str]) -> CallOptions:
    """The options with the times of a call, where keys are said for them."""
    start, end = (
        TimeField(assigned[role], "auto") if role in assigned else None for role in ("start", "end")
    )
    duration = None
    if start is None or end is None:  # any two of the three
        for role, unit in (("duration_ms", "ms"), ("duration_s", "s")):
            if role in assigned:
                duration = TimeField(assigned[role], unit)
                break
    return attrs.evolve(options, start=start, end=end, duration=duration)


_access_log.epilog = (
    "Fields of the combined format: host, ident, user, time, request, status, bytes, referer, agent, "
    "method, path, route. Of the others: target, method, path, route, upstream, and each key of JSON."
)


def _keys(assignments: Sequence[str]) -> Mapping[str, str]:
    keys = {}
    for assignment in assignments:
        role, equals, key = assignment.partition("=")
        if not equals or role not in _KEYS:
            raise ImportTraceError(
                f"--key is ROLE=KEY with a role of {', '.join(_KEYS)}, not {assignment!r}"
            )
        keys[role] = key
    return keys


def _spans(
    format_: str,
    *,
    file: str,
    out: Path,
    breaker: str,
    failures: Sequence[str],
    ignored: Sequence[str],
    labels: Sequence[str],
    producers: bool,
    **telling: Any,
) -> int:
    request = ImportRequest(
        format=format_,
        user_rules=UserRules(failed=failures, ignored=ignored),
        options=CallOptions(breaker=breaker, labels=labels),
        producers=producers,
    )
    return _import_as(request, file, out, **telling)


_span_options = _shared("{caller}->{target}", ())
_producers = click.option("--producers", is_flag=True, help="Count sent messages as calls too.")


@command.command("otlp", short_help="OTLP, as the collector's file exporter or Tempo write it.")
@_span_options
@_producers
def _otlp(**options: Any) -> int:
    """Read the spans of clients from OTLP, in JSON or protobuf.

    The status of gRPC tells a failure, then that of HTTP, then the span's own: a client's span is an
    error on 4xx too. Templates can name caller, target, route, method, name and any attribute.
    """
    return _spans("otlp", **options)


@command.command("jaeger", short_help="Jaeger's JSON.")
@_span_options
@_producers
def _jaeger(**options: Any) -> int:
    """Read the spans of clients from Jaeger's JSON, in the way of otlp."""
    return _spans("jaeger", **options)


@command.command("zipkin", short_help="Zipkin's JSON, versions 1 and 2.")
@_span_options
@_producers
def _zipkin(**options: Any) -> int:
    """Read the spans of clients from Zipkin's JSON, in the way of otlp."""
    return _spans("zipkin", **options)


@command.command("resilience4j", short_help="The events that resilience4j logs.")
@click.argument("file", metavar="FILE")
@click.option(
    "-o",
    "out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="LOG",
    help="The folder to write the log to; it must not exist.",
)
@click.option("--breaker", default="{breaker}", show_default=True, metavar="TEMPLATE")
@click.option(
    "--events", "_is_json", is_flag=True, help="FILE is what /circuitbreakerevents answers."
)
@_telling_options
def _resilience4j(
    *, file: str, out: Path, breaker: str, _is_json: bool, labels: Sequence[str], **telling: Any
) -> int:
    """Read calls from the events that resilience4j logs, whatever stands before them on a line.

    A call that was not permitted is kept as one of unknown outcome. An event that resilience4j's own
    logger and another one write is one.
    """
    request = ImportRequest(
        format="resilience4j", options=CallOptions(breaker=breaker, labels=labels)
    )
    return _import_as(request, file, out, **telling)


def _import_as(
    request: ImportRequest,
    file: str,
    out: Path,
    *,
    slow_seconds: float | None,
    shown: int,
    as_json: bool,
) -> int:
    """Import a file whose format is said, in words of its command."""
    options = attrs.evolve(request.options, slow_ns=slow_ns_of(slow_seconds))
    with stages_progress(file, size_of(file)) as stages:
        inputs = Inputs([file], None if stages is None else stages.read)
        ready = TraceImport(inputs, attrs.evolve(request, options=options))
        summary = ready.write(out)
    report(summary, ready, out=str(out), shown=shown, extra={} if as_json else None)
    if not as_json:
        print_outcomes(ready)
    warn_of_many_breakers(summary, is_grouped=True)  # there is no --group here
    return cli.DAMAGED if summary.unread or ready.cuts else 0
