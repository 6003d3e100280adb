"""``recloser watch``: a live view of a log that is being written."""

import sys
import threading
from pathlib import Path
from typing import Final

import click

from recloser.audit.live_view import Watch
from recloser.cli.options import examples, json_option
from recloser.cli.render.schemas.log_schemas import watch_object
from recloser.cli.render.terminal import print_json, results
from recloser.cli.render.watch_view import view
from recloser.clock import SYSTEM_CLOCK
from recloser.errors import NotALogError
from recloser.log.listing import errors_of, is_there

_POLL_SECONDS: Final = 0.5
_EVENTS_PER_POLL: Final = 20_000  # a long log is shown while it is still being read


@click.command(
    short_help="Show the breakers of a log live, while it is written.",
    epilog=examples("recloser watch logs/payments", "recloser watch logs/payments --once"),
)
@click.argument("log", metavar="LOG", type=click.Path(path_type=Path))
@click.option("--once", is_flag=True, help="Show the present states once, and end.")
@json_option
def command(*, log: Path, once: bool, as_json: bool) -> None:
    """Show the breakers of LOG, a folder that is being written, until Ctrl-C.

    Breakers that are not closed come first. Each has its state, its counters against their
    thresholds, and the time until its next probe; below are the last trips. The view is updated
    twice a second. If standard output is not a terminal, or with --json, it is printed once.
    """
    with errors_of(log):
        is_log = is_there(log)
    if not is_log:
        raise NotALogError(f"{log}: there is no such file or folder")
    watch = Watch(log, SYSTEM_CLOCK)
    if as_json:
        watch.poll()
        print_json(watch_object(watch))
    elif once or not sys.stdout.isatty():
        watch.poll()
        results().print(view(watch, str(log), None))
    else:
        _show_live(watch, str(log))


def _show_live(watch: Watch, name: str) -> None:
    from rich.live import Live

    out = results()
    never = threading.Event()  # waiting for it sleeps, and Ctrl-C interrupts that
    with Live(console=out, screen=True, auto_refresh=False) as live:
        while True:
            is_more = watch.poll(_EVENTS_PER_POLL)
            live.update(view(watch, name, out.height), refresh=True)
            if not is_more:
                never.wait(_POLL_SECONDS)
