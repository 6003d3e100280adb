"""``recloser import resilience4j``: calls from the events that resilience4j logs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from recloser.cli.commands.import_options import (
    breaker_option,
    import_as,
    out_option,
    result_options,
)
from recloser.cli.options import examples
from recloser.importers.import_request import ImportRequest
from recloser.importers.mapping.call_options import CallOptions


@click.command(
    "resilience4j",
    short_help="The events that resilience4j logs.",
    epilog=examples(
        "recloser import resilience4j application.log -o calls",
        "recloser import resilience4j events.json --events -o calls",
    ),
)
@click.argument("file", metavar="FILE")
@out_option()
@breaker_option("{breaker}")
@click.option(
    "--events",
    "_is_json",
    is_flag=True,
    help="FILE is a response of the endpoint /circuitbreakerevents. Both kinds of file are "
    "recognised without this option too.",
)
@result_options
def command(
    *, file: str, out: Path, breaker: str, _is_json: bool, labels: Sequence[str], **result: Any
) -> int:
    """Import calls from the events that resilience4j logs.

    Anything may precede the event on a line. A call that was not permitted is imported with an
    unknown outcome. An event that resilience4j's own logger and another logger both wrote is
    imported once.
    """
    request = ImportRequest(
        format="resilience4j", options=CallOptions(breaker=breaker, labels=labels)
    )
    return import_as(request, file, out, **result)
