"""The command line: ``recloser COMMAND``.

Exit statuses: 0 success; 1 histories differ, or a check failed; 2 wrong usage, bad input, or an error
of the operating system; 3 a damaged log; 4 a log whose last line is torn, and nothing else; 5 a log of
a later version; 70 a fault of recloser itself; 130 Ctrl-C.
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
    print_warnings_in_lines,
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

_OWN_PROCESS: Final = "own process"
"""Context object of a command that may change warnings and logging of the whole process."""

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
    """Imports the module of a command only when that command is used, so that starting is fast."""

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
@click.option("--debug", is_flag=True, help="Print a traceback with an error.")
@click.option(
    "--no-color",
    is_flag=True,
    help="Print without colours, as with NO_COLOR set in the environment.",
)
def main(*, debug: bool, no_color: bool) -> None:
    """Replay, prove and explain what circuit breakers did.

    Results go to standard output, notes and progress to standard error.

    Exit status: 0 success, 1 histories differ, 2 wrong usage or bad input, 3 a damaged log, 4 a torn
    last line only, 5 a log of a later version, 130 Ctrl-C.
    """
    if no_color:
        os.environ["NO_COLOR"] = "1"
    if click.get_current_context().obj is _OWN_PROCESS and not debug:
        print_warnings_in_lines()


def run() -> None:
    """Run the command line with the arguments of this process, and exit with its status."""
    leave_out_current_folder()
    streams.prepare()
    sys.exit(status_of(sys.argv[1:], _OWN_PROCESS))


def status_of(arguments: list[str], context_object: str | None = None) -> int:
    """Run the command line with the given arguments and return its exit status.

    Errors are printed to standard error; no exception is raised.
    """
    try:
        status = _run(arguments, context_object)
        streams.flush()
    except BaseException as error:  # noqa: BLE001  # every error gets its line and its status
        return status_after(error, arguments)
    return status if isinstance(status, int) else 0


def _run(arguments: list[str], context_object: str | None) -> object:
    if "_RECLOSER_COMPLETE" in os.environ:  # a shell asks for completions
        return main(arguments, prog_name="recloser")
    # Calling main() instead would end with status 1 when the reader of a pipe has gone.
    try:
        with main.make_context("recloser", list(arguments), obj=context_object) as context:
            return main.invoke(context)
    except click.exceptions.Exit as ended:
        return ended.exit_code
