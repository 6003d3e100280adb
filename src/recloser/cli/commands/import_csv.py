"""``recloser import csv``: calls from a CSV file, by the names of its columns."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from recloser.cli.commands.import_options import format_options, import_as
from recloser.cli.options import examples
from recloser.importers.formats.format_description import TimeField
from recloser.importers.import_request import ImportRequest
from recloser.importers.mapping.call_options import CallOptions
from recloser.importers.outcomes.outcome_rules import UserRules

_UNITS: Final = ("nano", "ns", "us", "ms", "s")


@click.command(
    "csv",
    short_help="A CSV file, by the names of its columns.",
    epilog=examples(
        "recloser import csv calls.csv -o calls --breaker '{caller}->{target}' \\",
        "    --start start_unix_nano --duration duration_ms --outcome outcome --failure fail",
    ),
)
@format_options()
@click.option(
    "--start", required=True, metavar="COLUMN", help="The column with the time the call started."
)
@click.option(
    "--duration",
    metavar="COLUMN",
    help="The column with the time the call took; an empty cell is taken as 0.",
)
@click.option(
    "--outcome",
    required=True,
    metavar="COLUMN",
    help="The column that says whether the call failed, which --failure and --ignore refer to.",
)
@click.option(
    "--error",
    metavar="COLUMN",
    help="The column with the name of the failure; by default, the outcome.",
)
@click.option(
    "--start-unit",
    type=click.Choice(_UNITS),
    help="The unit of --start; by default, the one that the name of the column ends in.",
)
@click.option(
    "--duration-unit",
    type=click.Choice(_UNITS),
    help="The unit of --duration; by default, the one that the name of the column ends in.",
)
def command(
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
    **result: Any,
) -> int:
    """Import calls from a CSV file with a header row.

    Times are numbers with the unit that the name of the column ends in (_nano, _ns, _us, _ms or _s),
    or ISO 8601 with a time zone.
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
    return import_as(request, file, out, **result)


def _role(field: str, unit: str | None) -> TimeField:
    return TimeField.parse(field) if unit is None else TimeField(field, unit)
