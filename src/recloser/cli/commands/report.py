"""``recloser report``: one self-contained page about a log."""

from pathlib import Path

import click

from recloser.audit.report_page import report
from recloser.cli import streams
from recloser.cli.log_input import driven_if_traffic, log_path
from recloser.cli.options import (
    GivenSettings,
    examples,
    json_option,
    log_argument,
    settings_options,
)
from recloser.cli.render.pages import write_page
from recloser.cli.render.schemas.log_schemas import report_object
from recloser.cli.render.terminal import print_json, print_text
from recloser.core.formatting import printable, quantity
from recloser.log.verification import refuse_existing

_BYTES_PER_KIB = 1024


@click.command(
    short_help="Make one HTML page of what the breakers of a log did.",
    epilog=examples(
        "recloser report logs/payments -o report.html",
    ),
)
@log_argument
@click.option(
    "-o",
    "out",
    type=click.Path(path_type=Path),
    metavar="PAGE.html",
    required=True,
    help="The file to write, which must not exist without --force; - is standard output.",
)
@click.option("--force", is_flag=True, help="Replace an existing file.")
@settings_options
@json_option
def command(
    *,
    log: str,
    out: Path,
    force: bool,
    given: GivenSettings,
    as_json: bool,
) -> None:
    """Make one HTML page about LOG, to open, keep and send.

    The page has one lane per breaker with its states, the failure rates against their thresholds,
    the calls by outcome, and the cause of each trip. It loads nothing from the network.

    Needs the plotting library: pip install 'recloser[report]'.
    """
    is_file = str(out) != "-"
    if is_file and not force:
        refuse_existing(out)
    with log_path(log) as path, driven_if_traffic(path, given) as (written, _):
        page, figures = report(written, log)
    if not is_file:
        streams.write_bytes(f"{page}\n".encode(errors="backslashreplace"))
        return
    write_page(page, out, force=force)
    if as_json:
        print_json(
            report_object(
                str(out),
                breakers=len(figures.lanes),
                trips=figures.trips,
                events=figures.events,
            )
        )
        return
    print_text(
        f"{printable(str(out))}: {quantity(figures.events, 'event')} of "
        f"{quantity(len(figures.lanes), 'breaker')}, {quantity(figures.trips, 'trip')}, "
        f"{quantity(len(page.encode()) // _BYTES_PER_KIB, 'KiB', 'KiB')}"
    )
