"""``recloser import FILE…``: looks at traces, says how it understands them, and imports them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import attrs
import click

from recloser import cli
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
from recloser.cli.render.terminal import note, print_table, print_text, stages_progress
from recloser.core.validation import MAX_SECONDS, nanoseconds
from recloser.errors import ConfigError, ImportTraceError
from recloser.importers.call_log import ImportSummary
from recloser.importers.formats.format_description import all_formats
from recloser.importers.import_request import ImportRequest
from recloser.importers.input.input_paths import input_files
from recloser.importers.input.inputs import Inputs
from recloser.importers.mapping.call_options import CallOptions
from recloser.importers.outcomes.outcome_rules import UserRules, Verdict
from recloser.importers.trace_import import TraceImport
from recloser.importers.values.written_times import DateOrder
from recloser.log.listing import errors_of

_FIELD = "FIELD[:UNIT]"


@click.command("files", hidden=True)
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option(
    "-o",
    "out",
    type=click.Path(path_type=Path),
    metavar="LOG",
    help="The folder to write the log to; it must not exist.",
)
@click.option("--dry-run", is_flag=True, help="Say how the files are understood; write nothing.")
@click.option("--format", "format_", metavar="NAME", help="A format; see: recloser import formats.")
@click.option(
    "--log-format",
    metavar="STRING",
    help="The format string of nginx, Apache, Envoy or HAProxy, as its configuration has it.",
)
@click.option(
    "--regex",
    metavar="PATTERN",
    help="A regular expression that is searched for in each line; its named groups are the fields.",
)
@click.option(
    "--unwrap",
    multiple=True,
    metavar="NAME",
    help="What stands around each line, as cri or field:message; none for nothing; repeatable.",
)
@click.option(
    "--records",
    metavar="PATH",
    help="Where the array of records stands in a JSON document, as log.entries.",
)
@click.option(
    "--header",
    metavar="NAME,NAME...",
    help="The names of the columns of delimited text, where the file has none.",
)
@click.option(
    "--where",
    metavar="EXPRESSION",
    help="Take only records for which this is true, in JMESPath, as \"status == '502'\".",
)
@click.option(
    "--breaker", metavar="TEMPLATE", help="Names a call's breaker, as '{caller}->{target}'."
)
@click.option("--group", "is_grouped", is_flag=True, help="Take /users/123 in it for /users/{id}.")
@click.option("--start", metavar=_FIELD, help="When a call started.")
@click.option("--end", metavar=_FIELD, help="When it ended.")
@click.option("--duration", metavar=_FIELD, help="How long it took, as request_time:s.")
@click.option(
    "--zone",
    metavar="NAME",
    help="The zone of times that name none, as Europe/Berlin. Of a time that comes twice when clocks "
    "are set back, the first is taken, and noted; one that is left out is not read.",
)
@click.option(
    "--dates",
    type=click.Choice(["month-first", "day-first"]),
    help="What comes first in a date such as 03/04/2021.",
)
@click.option(
    "--decimal",
    type=click.Choice([".", ","]),
    help="What stands before the decimals of a number, where the files do not show it.",
)
@click.option("--outcome", metavar="FIELD", help="What says how a call ended.")
@click.option("--error", metavar="FIELD", help="What names a failure; by default its outcome.")
@click.option(
    "--failure",
    "failures",
    multiple=True,
    metavar="VALUE",
    help="What counts as failed: a value, 5xx, 500-599 or timeout*; repeatable.",
)
@click.option(
    "--success",
    "successes",
    multiple=True,
    metavar="VALUE",
    help="What counts as succeeded; repeatable.",
)
@click.option("--ignore", "ignored", multiple=True, metavar="VALUE", help="What counts as neither.")
@click.option(
    "--unknown",
    type=click.Choice(["failed", "succeeded", "ignored"]),
    help="What calls are taken for that no rule names; more than 1 % of them are refused otherwise.",
)
@click.option(
    "--slow",
    "slow_seconds",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="A success that took longer counts as failed.",
)
@click.option(
    "--label", "labels", multiple=True, metavar="FIELD", help="A field to keep; repeatable."
)
@click.option("--producers", is_flag=True, help="In spans, count sent messages as calls too.")
@click.option(
    "--unreadable",
    "shown",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    metavar="N",
    help="How many of the lines that can't be read to show; 0 shows up to 1000.",
)
@json_option
def command(
    *,
    files: Sequence[str],
    out: Path | None,
    dry_run: bool,
    shown: int,
    as_json: bool,
    **given: Any,
) -> int:
    """Look at traces, say how they are understood, and import them as one log.

    FILE may be a folder, a pattern, or a piece of a rotated log, and packed as gzip, zstd, bz2, xz,
    zip or tar; - is standard input.
    """  # fmt: skip
    if out is None and not dry_run:
        raise ImportTraceError("name the log to write with -o LOG, or give --dry-run")
    request = request_of(**given)
    target = str(out or "LOG")
    found = input_files(files)
    with stages_progress(files[0], sum(map(size_of, found))) as stages:
        ready = TraceImport(Inputs(found, None if stages is None else stages.read), request)
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
    extra = {"command": full, "calls_seen": [attrs.asdict(each) for each in sampled.first]}
    report(summary, ready, out=target, shown=shown, extra=extra if as_json else None)
    read = summary or sampled.summary
    if summary is None:
        print_unreadable(read, shown)
        if not as_json:
            print_skipped(read)
    warn_of_many_breakers(read, is_grouped=bool(given["is_grouped"]))
    for value in ready.classifier.unused():
        note(f"no call has the value {value!r}, which an option names")
    if dry_run:
        ready.classifier.check_unknown()
    return cli.DAMAGED if ready.cuts or read.unread else 0


@click.command("formats", short_help="The formats that import knows.")
def formats() -> None:
    """List the formats that import knows, for its option --format."""
    listed = [each for each in all_formats() if not each.is_abstract]
    print_table(["format", "what it is"], [(each.name, each.title) for each in listed])


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
    """The request that options make."""
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


def slow_ns_of(seconds: float | None) -> int | None:
    """The nanoseconds of ``--slow``.

    Raises:
        ConfigError: The number of seconds is larger than a log can hold.
    """
    if seconds is None:
        return None
    if not seconds <= MAX_SECONDS:  # nor is a NaN
        raise ConfigError(f"--slow is a number of seconds, at most {MAX_SECONDS:,}")
    return nanoseconds(seconds)


def _zone(name: str | None) -> ZoneInfo | None:
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ImportTraceError(
            f"there is no time zone {name!r}; give one as Europe/Berlin"
        ) from error


def size_of(file: str) -> int:
    """The size of a file in bytes; 0 for standard input."""
    if file == "-":
        return 0
    with errors_of(Path(file)):
        return Path(file).stat().st_size


def _as_options(given: Mapping[str, Any]) -> dict[str, Any]:
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
