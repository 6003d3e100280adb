"""``recloser import``: production traces into logs of call outcomes."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO, Any, Final, TypeVar

import attrs
import click

from recloser import cli
from recloser.cli.arguments import json_option
from recloser.cli.terminal import counted, note, print_json
from recloser.importers.access_log import FIELDS, AccessLogMapping, read_access_log
from recloser.importers.fields import UNITS, BreakerTemplate, OutcomeRule
from recloser.importers.source import open_text
from recloser.importers.tabular import CsvMapping, read_csv
from recloser.importers.trace import ImportSummary, ObservedCall, Unreadable, write_trace

F = TypeVar("F", bound=Callable[..., Any])

_SHOWN: Final = 5


@click.group(short_help="Turn a production trace into a log of call outcomes.")
def command() -> None:
    """Turn a production trace into a log of call outcomes, for replay to drive breakers with.

    FILE may be gzip or zstd; - is standard input. A line that can't be read is counted and shown,
    and the exit status is then 1.
    """


def _shared(function: F) -> F:
    """The argument and options of every importer."""
    decorators = (
        click.argument("file", metavar="FILE"),
        click.option(
            "-o", "out", required=True, type=click.Path(path_type=Path), metavar="LOG",
            help="The folder to write the log to; it must not exist.",
        ),
        click.option(
            "--breaker", required=True, metavar="TEMPLATE",
            help="Names the breaker of a call from its fields, as '{caller}->{target}'.",
        ),
        click.option(
            "--failure", "failures", multiple=True, default=["5xx"], show_default=True,
            metavar="VALUE",
            help="What counts as failed: a value, 5xx, or a range as 500-599; repeatable.",
        ),
        click.option(
            "--label", "labels", multiple=True, metavar="FIELD",
            help="A field to keep with each call; repeatable.",
        ),
        json_option,
    )  # fmt: skip
    for decorator in reversed(decorators):
        function = decorator(function)
    return function


@command.command("csv", short_help="A CSV file, by the names of its columns.")
@_shared
@click.option("--start", required=True, metavar="COLUMN", help="When the call started.")
@click.option("--duration", metavar="COLUMN", help="How long it took; empty is taken as 0.")
@click.option("--outcome", required=True, metavar="COLUMN", help="What tells a failure.")
@click.option("--error", metavar="COLUMN", help="What names a failure; by default the outcome.")
@click.option(
    "--ignore",
    "ignored",
    multiple=True,
    metavar="VALUE",
    help="What counts as neither, in the form of --failure; repeatable.",
)
@click.option("--start-unit", type=click.Choice(list(UNITS)), help="Unless the name ends in it.")
@click.option("--duration-unit", type=click.Choice(list(UNITS)), help="Likewise.")
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
    as_json: bool,
) -> int:
    """Read calls from a CSV file with a header row.

    Times are numbers whose unit is the end of the column's name (_nano, _ns, _us, _ms or _s), or
    else ISO 8601 with a zone.
    """
    mapping = CsvMapping(
        breaker=BreakerTemplate(breaker),
        start=start,
        duration=duration,
        outcome=outcome,
        rule=OutcomeRule(failures, ignored),
        error=error,
        labels=labels,
        start_unit=start_unit,
        duration_unit=duration_unit,
    )
    return _import(file, out, lambda text: read_csv(text, mapping), as_json=as_json)


@command.command("access-log", short_help="A web server's access log, combined format.")
@_shared
@click.option(
    "--ignore",
    "ignored",
    multiple=True,
    default=["499"],
    show_default=True,
    metavar="VALUE",
    help="What counts as neither; 499 is nginx's word for a client that went away.",
)
def _access_log(
    *,
    file: str,
    out: Path,
    breaker: str,
    failures: Sequence[str],
    ignored: Sequence[str],
    labels: Sequence[str],
    as_json: bool,
) -> int:
    """Read requests from an access log in the combined format.

    Templates and labels can name the fields of a line.
    """
    mapping = AccessLogMapping(
        breaker=BreakerTemplate(breaker), rule=OutcomeRule(failures, ignored), labels=labels
    )
    return _import(file, out, lambda text: read_access_log(text, mapping), as_json=as_json)


_access_log.epilog = f"Fields: {', '.join(FIELDS)}."


def _import(
    file: str,
    out: Path,
    read: Callable[[IO[str]], Iterable[ObservedCall | Unreadable]],
    *,
    as_json: bool,
) -> int:
    with open_text(file) as text:
        summary = write_trace(out, read(text))
    _tell(summary, file, out, as_json=as_json)
    return cli.DIFFERENCE if summary.unreadable else 0


def _tell(summary: ImportSummary, file: str, out: Path, *, as_json: bool) -> None:
    for line in summary.unreadable[:_SHOWN]:
        note(f"{file}, line {line.line}: {line.why}")
    if summary.unreadable:
        note(f"{counted(len(summary.unreadable), 'line')} of {summary.read:,} could not be read")
    if as_json:
        print_json({"schema": "recloser.import/1", "log": str(out), **attrs.asdict(summary)})
        return
    click.echo(
        f"read {counted(summary.read, 'line')}: {counted(summary.calls, 'call')} on "
        f"{counted(summary.breakers, 'breaker')}, {summary.succeeded:,} succeeded, "
        f"{summary.failed:,} failed, {summary.ignored:,} ignored; written to {out}"
    )
