"""``recloser report``: one self-contained page about a log."""

from pathlib import Path

import click

from recloser.audit.report_page import report
from recloser.cli import streams
from recloser.cli.options import (
    Given,
    driven_if_traffic,
    json_option,
    log_argument,
    log_path,
    settings_options,
)
from recloser.cli.render.pages import write_page
from recloser.cli.render.terminal import counted, print_json, print_text, printable
from recloser.log.verification import refuse_existing


@click.command(short_help="Make one page of what happened.")
@log_argument
@click.option(
    "-o",
    "out",
    type=click.Path(path_type=Path),
    metavar="PAGE.html",
    required=True,
    help="The page; - is standard output.",
)
@click.option("--force", is_flag=True, help="Write over a page that is there.")
@settings_options
@json_option
def command(
    *,
    log: str,
    out: Path,
    force: bool,
    given: Given,
    as_json: bool,
) -> None:
    """Make one self-contained page of LOG, to be opened, kept and sent.

    It has a lane a breaker, the rates against their thresholds, calls by outcome, and why each
    trip was. It loads nothing. Needs the plotting library: pip install 'recloser[report]'.
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
    told = {"breakers": len(figures.lanes), "trips": figures.trips, "events": figures.events}
    if as_json:
        print_json({"schema": "recloser.report/1", "page": str(out), **told})
        return
    print_text(
        f"{printable(str(out))}: {counted(told['events'], 'event')} of {counted(told['breakers'], 'breaker')}, "
        f"{counted(told['trips'], 'trip')}, {counted(len(page.encode()) // 1024, 'KiB', 'KiB')}"
    )
