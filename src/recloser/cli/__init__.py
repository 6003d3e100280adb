"""The command line: ``recloser COMMAND``.

Exit status: 0 all well, 1 a difference or failed check, 2 usage or bad input, 3 a damaged log, 4 a
torn tail only, 5 a version from the future, 130 on Ctrl-C.
"""

import importlib
import os
import sys
import traceback
from typing import Final

import click

from recloser.child_python import leave_out_current_folder
from recloser.errors import DamagedLogError, FoldError, FutureVersionError, RecloserError
from recloser.version import __version__

DIFFERENCE: Final = 1
BAD_INPUT: Final = 2
DAMAGED: Final = 3
TORN: Final = 4
FUTURE: Final = 5
INTERRUPTED: Final = 130

_COMMANDS: Final = {
    "demo": "recloser.cli.demo",
    "diff": "recloser.cli.diff",
    "export": "recloser.cli.exporting",
    "golden": "recloser.cli.golden",
    "import": "recloser.cli.importing",
    "machine": "recloser.cli.machine",
    "repair": "recloser.cli.repairing",
    "replay": "recloser.cli.replaying",
    "report": "recloser.cli.reporting",
    "tune": "recloser.cli.tune",
    "verify": "recloser.cli.verifying",
    "watch": "recloser.cli.watching",
    "whatif": "recloser.cli.whatif",
    "why": "recloser.cli.why",
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
    click.get_current_context().obj = debug


def run() -> None:
    """Run the command line and exit with its status."""
    leave_out_current_folder()
    sys.exit(status_of(sys.argv[1:]))


def status_of(arguments: list[str]) -> int:
    """Run the command line with these arguments; the exit status."""
    try:
        status = main(arguments, prog_name="recloser", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has seen enough; nothing must be flushed at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except RecloserError as error:
        from recloser.cli.terminal import printable

        if "--debug" in arguments:
            traceback.print_exc()
        click.echo(f"recloser: {printable(str(error))}", err=True)
        return status_for(error)
    return status if isinstance(status, int) else 0


def status_for(error: RecloserError) -> int:
    """The exit status that tells of an error."""
    if isinstance(error, FutureVersionError):
        return FUTURE
    return DAMAGED if isinstance(error, DamagedLogError | FoldError) else BAD_INPUT
