"""``recloser import FILE…``: recognises traces, shows how it understands them, and imports them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import attrs
import click

from recloser import cli
from recloser.cli.commands.import_options import (
    labels_option,
    out_option,
    producers_option,
    size_of,
    slow_ns_of,
    slow_option,
    unreadable_option,
)
from recloser.cli.options import json_option
from recloser.cli.render.import_report import (
    Sampled,
    command_for,
    print_skipped,
    print_understood,
    print_unreadable,
    report,
    roles_from,
    warn_of_many_breakers,
)
from recloser.cli.render.terminal import note, print_text, stages_progress
from recloser.errors import ImportTraceError
from recloser.importers.call_log import ImportSummary
from recloser.importers.import_request import ImportRequest
from recloser.importers.input.input_paths import input_files
from recloser.importers.input.inputs import Inputs
from recloser.importers.mapping.call_options import CallOptions
from recloser.importers.outcomes.outcome_rules import UserRules, Verdict
from recloser.importers.trace_import import TraceImport
from recloser.importers.values.written_times import DateOrder

_FIELD = "FIELD[:UNIT]"


@click.command("files", hidden=True, short_help="Files whose format is recognised.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@out_option(required=False)
@click.option(
    "--dry-run", is_flag=True, help="Show how the files are understood, and write nothing."
)
@click.option(
    "--format",
    "format_",
    metavar="NAME",
    help="The format, as recloser import formats lists it; by default, it is recognised.",
)
@click.option(
    "--log-format",
    metavar="STRING",
    help="The format string of an access log, copied from the configuration of nginx, Apache, Envoy "
    "or HAProxy.",
)
@click.option(
    "--regex",
    metavar="PATTERN",
    help="A regular expression to search for in each line; its named groups, such as "
    "(?P<status>[0-9]+), are the fields.",
)
@click.option(
    "--unwrap",
    multiple=True,
    metavar="NAME",
    help="What wraps each line, such as cri, or field:message for a JSON field that holds the line; "
    "none for nothing. By default it is recognised; can be repeated.",
)
@click.option(
    "--records",
    metavar="PATH",
    help="The path of the array of records in a JSON document, such as log.entries.",
)
@click.option(
    "--header",
    metavar="NAME,NAME...",
    help="The names of the columns of delimited text that has no header row.",
)
@click.option(
    "--where",
    metavar="EXPRESSION",
    help="Import only the records for which this JMESPath expression is true, such as "
    "\"status == '502'\".",
)
@click.option(
    "--breaker",
    metavar="TEMPLATE",
    help="The name of a call's breaker, made from the fields of the call, such as "
    "'{caller}->{target}'; by default, the template of the format.",
)
@click.option(
    "--group",
    "is_grouped",
    is_flag=True,
    help="Replace numbers and ids in the names of breakers, so that /users/123 becomes /users/{id}.",
)
@click.option(
    "--start",
    metavar=_FIELD,
    help="The field with the time a call started, such as ts:ms. The units are s, ms, us and ns; "
    "without one, the unit is recognised.",
)
@click.option("--end", metavar=_FIELD, help="The field with the time a call ended.")
@click.option(
    "--duration",
    metavar=_FIELD,
    help="The field with the time a call took, such as request_time:s.",
)
@click.option(
    "--zone",
    metavar="NAME",
    help="The time zone of times that name none, such as Europe/Berlin. A time that occurs twice, when "
    "clocks are set back, is taken as the first, which is noted; a time that clocks skip can't be read.",
)
@click.option(
    "--dates",
    type=click.Choice(["month-first", "day-first"]),
    help="Whether the month or the day comes first in dates such as 03/04/2021.",
)
@click.option(
    "--decimal",
    type=click.Choice([".", ","]),
    help="The decimal mark of numbers such as 1,234, if the files do not show which it is.",
)
@click.option(
    "--outcome",
    metavar="FIELD",
    help="The field that says how a call ended, which --failure, --success and --ignore refer to.",
)
@click.option(
    "--error",
    metavar="FIELD",
    help="The field with the name of a failure; by default, the outcome.",
)
@click.option(
    "--failure",
    "failures",
    multiple=True,
    metavar="VALUE",
    help="An outcome that counts as failed: a value, or a pattern such as 5xx, 500-599 or timeout*; "
    "can be repeated.",
)
@click.option(
    "--success",
    "successes",
    multiple=True,
    metavar="VALUE",
    help="An outcome that counts as succeeded, written as for --failure; can be repeated.",
)
@click.option(
    "--ignore",
    "ignored",
    multiple=True,
    metavar="VALUE",
    help="An outcome that counts as neither, written as for --failure; can be repeated.",
)
@click.option(
    "--unknown",
    type=click.Choice(["failed", "succeeded", "ignored"]),
    help="What an outcome counts as that no rule names; without this option, an import with more "
    "than 1 % of such calls is refused.",
)
@slow_option
@labels_option
@producers_option
@unreadable_option
@json_option
def command(
    *,
    files: Sequence[str],
    out: Path | None,
    dry_run: bool,
    limit: int,
    as_json: bool,
    **given: Any,
) -> int:
    """Recognise traces, show how they are understood, and import them as one log.

    FILE may be a folder, a pattern, or a piece of a rotated log, and packed as gzip, zstd, bz2, xz,
    zip or tar; - is standard input.
    """
    if out is None and not dry_run:
        raise ImportTraceError("name the log to write with -o LOG, or add --dry-run")
    request = request_of(**given)
    target = str(out or "LOG")
    found = input_files(files)
    with stages_progress(files[0], sum(map(size_of, found))) as stages:
        ready = TraceImport(
            Inputs(found, None if stages is None else stages.advance_reading), request
        )
        sampled = Sampled()
        summary: ImportSummary | None = None
        if dry_run or out is None:
            for _ in sampled(ready.calls()):
                pass
            if not sampled.summary.calls:
                raise ImportTraceError(ready.no_calls_reason(sampled.summary))
        else:
            summary = ready.write(out, sampled)
    full = command_for(files, ready, target, _as_options(given))
    if not as_json:
        print_understood(ready, sampled.first)
        print_text(full)
    more = {"command": full, "calls_seen": [attrs.asdict(each) for each in sampled.first]}
    report(summary, ready, out=target, limit=limit, as_json=as_json, more=more)
    read = summary or sampled.summary
    if summary is None:
        print_unreadable(read, limit)
        if not as_json:
            print_skipped(read)
    warn_of_many_breakers(read, is_grouped=bool(given["is_grouped"]))
    for value in ready.classifier.unused():
        note(f"no call has the outcome {value!r}, which an option names")
    if dry_run:
        ready.classifier.check_unknown()
    return cli.DAMAGED if ready.cuts or read.unread else 0


def request_of(
    *,
    format_: str | None = None,
    log_format: str | None = None,
    regex: str | None = None,
    unwrap: Sequence[str] = (),
    records: str | None = None,
    header: str | None = None,
    where: str | None = None,
    breaker: str | None = None,
    is_grouped: bool = False,
    start: str | None = None,
    end: str | None = None,
    duration: str | None = None,
    zone: str | None = None,
    decimal: str | None = None,
    dates: DateOrder | None = None,
    outcome: str | None = None,
    error: str | None = None,
    failures: Sequence[str] = (),
    successes: Sequence[str] = (),
    ignored: Sequence[str] = (),
    unknown: str | None = None,
    slow_seconds: float | None = None,
    labels: Sequence[str] = (),
    producers: bool = False,
) -> ImportRequest:
    """Make the request of an import from the options of the command."""
    user_rules = UserRules(
        failed=failures,
        succeeded=successes,
        ignored=ignored,
        unknown=None if unknown is None else Verdict(unknown),
    )
    options = CallOptions(
        breaker=breaker,
        is_grouped=is_grouped,
        error=error,
        labels=labels,
        slow_ns=slow_ns_of(slow_seconds),
        zone=_zone(zone),
        decimal=decimal,
        dates=dates,
        **roles_from(start, end, duration),
    )
    return ImportRequest(
        format=format_,
        log_format=log_format,
        regex=regex,
        unwrap=[name for name in unwrap if name != "none"] if unwrap else None,
        records=records,
        where=where,
        header=None if header is None else [name.strip() for name in header.split(",")],
        outcome=outcome,
        user_rules=user_rules,
        options=options,
        producers=producers,
    )


def _zone(name: str | None) -> ZoneInfo | None:
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ImportTraceError(
            f"there is no time zone {name!r}; write it as Europe/Berlin"
        ) from error


def _as_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given, by their names on the command line."""
    names = {
        "format_": "--format",
        "failures": "--failure",
        "successes": "--success",
        "ignored": "--ignore",
        "slow_seconds": "--slow",
        "labels": "--label",
        "is_grouped": "--group",
    }
    return {
        names.get(name, "--" + name.replace("_", "-")): value
        for name, value in given.items()
        if value is not None and value is not False
    }
