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
from recloser.cli.render.terminal import counted, note, print_json, results
from recloser.cli.render.why_text import print_cause
from recloser.demo.caller import BREAKER
from recloser.demo.play import play
from recloser.history.engine import replay
from recloser.log.verification import refuse_existing


@click.command(short_help="See an outage protected, recorded, killed, replayed and explained.")
@click.option(
    "-o",
    "out",
    type=click.Path(path_type=Path),
    metavar="LOG",
    help="Where to keep the log; by default a new temporary folder.",
)
@json_option
def command(*, out: Path | None, as_json: bool) -> int:
    """Call a real HTTP service that has an outage through a breaker, and explain what happened.

    The calling process is killed in the outage and goes on from its log. Takes some seconds.
    """
    if out is not None:
        refuse_existing(out)
    path = Path(tempfile.mkdtemp(prefix="recloser-demo-")) / "log" if out is None else out
    with _progress() as say:
        play(path, say)
    history = replay(path)
    cause = why(history, BREAKER)
    if as_json:
        print_json({"schema": "recloser.demo/1", "log": str(path), **cause.to_mapping()})
    else:
        differing = len(history.differences)
        results().print(
            f"\nreplayed {counted(history.count, 'event')}: {counted(len(history.edges), 'edge')}, "
            f"{f'{differing} differ from' if differing else 'all equal to'} those recorded live; "
            f"digest {history.digest[:16]}\n"
        )
        print_cause(cause)
        results().print(f"\nagain: recloser why {path}")
    return cli.DIFFERENCE if history.differences else 0


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Tells what happens: under a spinner on a terminal, else line by line."""
    if not sys.stderr.isatty():
        yield note
        return
    from rich.console import Console

    console = Console(stderr=True, markup=False, emoji=False, highlight=False)
    with console.status("working") as status:

        def say(message: str) -> None:
            console.print(f"  {message}")
            status.update("waiting for what comes next")

        yield say
