"""``recloser demo``: an outage, recorded, replayed and explained."""

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from recloser import cli
from recloser.audit.explanation import why
from recloser.cli.options import json_option
from recloser.cli.render.schemas.log_schemas import demo_object
from recloser.cli.render.terminal import note, print_json, results
from recloser.cli.render.why_text import print_cause
from recloser.core.formatting import quantity
from recloser.demo.caller import BREAKER
from recloser.demo.play import play
from recloser.history.engine import replay
from recloser.log.verification import refuse_existing


@click.command(short_help="Watch a breaker in an outage, then replay and explain it.")
@click.option(
    "-o",
    "out",
    type=click.Path(path_type=Path),
    metavar="LOG",
    help="The folder to write the log to, which must not exist; by default, a new temporary folder.",
)
@json_option
def command(*, out: Path | None, as_json: bool) -> int:
    """Play an outage: record it, replay it, and explain why the breaker opened.

    A process calls a real HTTP service through a breaker. The service fails, the process is killed
    with SIGKILL during the outage and started again, and goes on from its log. This takes a few
    seconds and needs no network.
    """
    if out is not None:
        refuse_existing(out)
    path = Path(tempfile.mkdtemp(prefix="recloser-demo-")) / "log" if out is None else out
    with _progress() as show:
        play(path, show)
    history = replay(path)
    cause = why(history, BREAKER)
    if as_json:
        print_json(demo_object(str(path), cause))
    else:
        differing = len(history.differences)
        results().print(
            f"\nreplayed {quantity(history.count, 'event')}: "
            f"{quantity(len(history.edges), 'edge')}, "
            f"{f'{differing} differ from' if differing else 'all equal to'} those recorded live; "
            f"digest {history.digest[:16]}\n"
        )
        print_cause(cause)
        results().print(f"\nagain: recloser why {path}")
    return cli.DIFFERENCE if history.differences else 0


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Yield a function that shows one step: under a spinner on a terminal, else as a note."""
    if not sys.stderr.isatty():
        yield note
        return
    from rich.console import Console

    console = Console(stderr=True, markup=False, emoji=False, highlight=False)
    with console.status("working") as status:

        def show(message: str) -> None:
            console.print(f"  {message}")
            status.update("waiting for the next step")

        yield show
