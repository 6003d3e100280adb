"""The command line: ``recloser COMMAND``.

Exit status: 0 all well, 1 a difference or failed check, 2 usage, bad input, or what the operating
system refuses, 3 a damaged log, 4 a torn tail only, 5 a version from the future, 70 a fault of recloser
itself, 130 on Ctrl-C.
"""

import importlib
import os
import sys
from typing import Final

import click

from recloser.cli import streams
from recloser.cli.failures import (
    BAD_INPUT,
    DAMAGED,
    DIFFERENCE,
    FUTURE,
    INTERNAL,
    INTERRUPTED,
    TORN,
    say_all_in_lines,
    status_after,
    status_for,
)
from recloser.process.child_python import leave_out_current_folder
from recloser.version import __version__

__all__ = [
    "BAD_INPUT",
    "DAMAGED",
    "DIFFERENCE",
    "FUTURE",
    "INTERNAL",
    "INTERRUPTED",
    "TORN",
    "main",
    "run",
    "status_for",
    "status_of",
]

_OWN_PROCESS: Final = "a process of its own"
_COMMANDS: Final = {
    "demo": "recloser.cli.commands.demo",
    "diff": "recloser.cli.commands.diff",
    "docs": "recloser.cli.commands.docs",
    "export": "recloser.cli.commands.export",
    "golden": "recloser.cli.commands.golden",
    "import": "recloser.cli.commands.import_",
    "machine": "recloser.cli.commands.machine",
    "repair": "recloser.cli.commands.repair",
    "replay": "recloser.cli.commands.replay",
    "report": "recloser.cli.commands.report",
    "tune": "recloser.cli.commands.tune",
    "verify": "recloser.cli.commands.verify",
    "watch": "recloser.cli.commands.watch",
    "whatif": "recloser.cli.commands.whatif",
    "why": "recloser.cli.commands.why",
}


class _LateGroup(click.Group):
    """Imports a command when it is asked for, so that none waits for another's libraries."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = importlib.import_module(_COMMANDS[cmd_name]).command
        assert isinstance(command, click.Command)
        return command


@click.group(cls=_LateGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="recloser")
@click.option("--debug", is_flag=True, help="Show a traceback with an error.")
@click.option("--no-color", is_flag=True, help="No colour, as with NO_COLOR set.")
def main(*, debug: bool, no_color: bool) -> None:
    """Replay, prove and explain what circuit breakers did."""
    if no_color:
        os.environ["NO_COLOR"] = "1"
    if click.get_current_context().obj is _OWN_PROCESS and not debug:
        say_all_in_lines()


def run() -> None:
    """Run the command line and exit with its status."""
    leave_out_current_folder()
    streams.prepare()
    sys.exit(status_of(sys.argv[1:], _OWN_PROCESS))


def status_of(arguments: list[str], whose: str | None = None) -> int:
    """Run the command line with these arguments; the exit status."""
    try:
        status = _done(arguments, whose)
        streams.flush()
    except BaseException as error:  # noqa: BLE001  # each has its line and its status
        return status_after(error, arguments)
    return status if isinstance(status, int) else 0


def _done(arguments: list[str], whose: str | None) -> object:
    if "_RECLOSER_COMPLETE" in os.environ:  # a shell asks what there is to complete
        return main(arguments, prog_name="recloser")
    # Not by main(), which makes exit status 1 of a closed pipe.
    try:
        with main.make_context("recloser", list(arguments), obj=whose) as context:
            return main.invoke(context)
    except click.exceptions.Exit as done:
        return done.exit_code
